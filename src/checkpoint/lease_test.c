/* Leases: of two processes on one checkpoint folder the older one commits nothing more, and what it completed behind
 * the newer one's start is not started from. In the simulated world. */
#include "checkpoint/lease.h"

#include "base/env_sim.h"
#include "base/log.h"
#include "checkpoint/storage.h"
#include "tests/util/coordinator_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MILLISECOND INT64_C(1000000)

static struct env *env;
static struct store *store;
static struct memory_pool pool;

static int world_make(void **state) {
    (void)state;
    env = env_sim_new(&(struct env_sim_options){.seed = 3, .work_delay_max_ns = MILLISECOND});
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    log_set_level(LOG_ERROR);
    return store_new(env, NULL, 0, &store, NULL) == SABOT_OK ? 0 : -1;
}

static int world_drop(void **state) {
    (void)state;
    store_free(store);
    env_sim_free(env);
    return 0;
}

static void take(struct lease *lease) {
    struct sabot_error err = {0};
    if (lease_take(store, "/c", lease, &err) != SABOT_OK) { fail_msg("%s", err.message); }
}

static void the_newest_epoch_has_the_folder(void **state) {
    (void)state;
    struct lease first, second, third;
    struct sabot_error err = {0};
    bool fenced;
    take(&first);
    assert_int_equal(first.epoch, 1);
    assert_int_equal(lease_begin(store, &first, -1, NULL), SABOT_OK);
    assert_int_equal(lease_check(store, &first, &fenced, NULL), SABOT_OK);
    take(&second);
    assert_int_equal(second.epoch, 2);
    assert_true(second.lineage == first.lineage);
    assert_int_equal(lease_check(store, &first, &fenced, &err), SABOT_ERR_STATE);
    assert_true(fenced);
    assert_non_null(strstr(err.message, "taken over"));
    assert_int_equal(lease_check(store, &second, &fenced, NULL), SABOT_OK);
    /* one that was overtaken before it began can't begin any more */
    take(&third);
    assert_int_equal(lease_begin(store, &second, 5, NULL), SABOT_ERR_STATE);
    assert_int_equal(lease_begin(store, &third, 5, NULL), SABOT_OK);
}

/* A job that was started from a savepoint goes on from there until it has a checkpoint; its folder knows. */
static void the_newest_epoch_knows_what_it_began_from(void **state) {
    (void)state;
    static const char *const from[] = {"/d/savepoint-1", "/elsewhere/s", "s3://b/s", "relative/s", NULL};
    static const char *const says[] = {"/d/savepoint-1", "/elsewhere/s", "s3://b/s", "", ""};
    char savepoint[LEASE_PATH_MAX];
    int64_t epoch;
    assert_int_equal(lease_origin(store, "/d", &epoch, savepoint, NULL), SABOT_OK);
    assert_string_equal(savepoint, "");
    for (int32_t i = 0; i < 5; i++) {
        struct lease lease, unbegun;
        bool is_void;
        assert_int_equal(lease_take(store, "/d", &lease, NULL), SABOT_OK);
        assert_int_equal(from[i] ? lease_begin_from(store, &lease, 7, from[i], NULL)
                                 : lease_begin(store, &lease, 7, NULL), SABOT_OK);
        assert_int_equal(lease_is_void(store, "/d", lease.epoch - 1, 8, &is_void, NULL), SABOT_OK);
        assert_true(is_void);
        assert_int_equal(lease_take(store, "/d", &unbegun, NULL), SABOT_OK); /* says nothing yet */
        assert_int_equal(lease_origin(store, "/d", &epoch, savepoint, NULL), SABOT_OK);
        assert_string_equal(savepoint, says[i]);
        assert_int_equal(epoch, lease.epoch);
    }
    /* the folder is copied to another place */
    struct lease lease;
    char *data;
    size_t size;
    assert_int_equal(lease_take(store, "/d", &lease, NULL), SABOT_OK);
    assert_int_equal(lease_begin_from(store, &lease, 7, "/d/savepoint-1", NULL), SABOT_OK);
    assert_int_equal(env_read_file(env, "/d/lease/0000000011.base", &data, &size, NULL), SABOT_OK);
    assert_int_equal(env_make_dirs(env, "/moved/lease", NULL), SABOT_OK);
    assert_int_equal(env_write_file(env, "/moved/lease/0000000011.base", data, size, NULL), SABOT_OK);
    free(data);
    assert_int_equal(lease_origin(store, "/moved", &epoch, savepoint, NULL), SABOT_OK);
    assert_string_equal(savepoint, "/moved/savepoint-1");
}

/* Not to be able to tell is not to be fenced, and no permission either. */
static void a_disk_that_fails_gives_no_permission(void **state) {
    (void)state;
    struct lease lease;
    bool fenced;
    take(&lease);
    env_sim_fail(env, "list the folder", 1);
    assert_int_equal(lease_check(store, &lease, &fenced, NULL), SABOT_ERR_IO);
    assert_false(fenced);
    env_sim_fail(env, NULL, 0);
    assert_int_equal(lease_check(store, &lease, &fenced, NULL), SABOT_OK);
}

static void what_a_replaced_process_completes_is_void(void **state) {
    (void)state;
    struct lease first, second;
    bool is_void;
    take(&first);
    assert_int_equal(lease_begin(store, &first, -1, NULL), SABOT_OK);
    take(&second);
    assert_int_equal(lease_begin(store, &second, 7, NULL), SABOT_OK);
    static const struct { int64_t epoch, id; bool is_void; } cases[] = {
        {1, 7, false}, {1, 6, false}, {1, 8, true}, {1, 100, true}, {2, 8, false}, {2, 100, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(lease_is_void(store, "/c", cases[i].epoch, cases[i].id, &is_void, NULL), SABOT_OK);
        assert_int_equal(is_void, cases[i].is_void);
    }
}

/* Where a job starts from decides what is void: one folder has many names. */
static void a_folder_is_known_by_its_owner(void **state) {
    (void)state;
    bool same;
    assert_int_equal(storage_claim(store, "/c/chk-1", false, 1, NULL), SABOT_OK);
    assert_int_equal(storage_claim(store, "/d/chk-1", false, 1, NULL), SABOT_OK);
    assert_int_equal(storage_same(store, "/c//chk-1", "/c/chk-1", &same, NULL), SABOT_OK);
    assert_true(same);
    assert_int_equal(storage_same(store, "/d/chk-1", "/c/chk-1", &same, NULL), SABOT_OK);
    assert_false(same);
    assert_int_equal(storage_same(store, "/c/chk-1", "/c/chk-2", &same, NULL), SABOT_OK);
    assert_false(same);
    env_sim_fail(env, "look at", 1);
    assert_int_equal(storage_same(store, "/c//chk-1", "/c/chk-1", &same, NULL), SABOT_ERR_IO);
    env_sim_fail(env, NULL, 0);
}

/* --- through the coordinator */

static struct noted_checkpoints noted;

static struct coordinator *coordinator_of(const struct lease *lease, int32_t failures_max) {
    const struct coordinator_options options = {
        .env = env, .store = store, .lease = *lease, .pool = &pool, .job_name = "job", .dir = "/c",
        .interval_ns = 50 * MILLISECOND, .timeout_ns = 1000 * MILLISECOND, .retained = 3,
        .failures_max = failures_max, .max_parallelism = 128, .n_tasks = 1,
        .calls = noted_calls(&noted)};
    struct coordinator *coordinator;
    assert_int_equal(coordinator_new(&options, &coordinator, NULL), SABOT_OK);
    return coordinator;
}

static void pass(struct coordinator *coordinator, int64_t ms, struct sabot_error *fatal) {
    const int64_t until = env_now_ns(env) + ms * MILLISECOND;
    while (env_now_ns(env) < until) {
        env_sim_advance(env, env_now_ns(env) + MILLISECOND / 2);
        while (env_sim_due_work(env) > 0) { env_sim_run_work(env); }
        coordinator_step(coordinator, true, fatal);
    }
}

/* And claims its folder. */
static void checkpoint_begin(struct coordinator *coordinator, struct sabot_error *fatal) {
    const int64_t before = noted.triggered;
    while (noted.triggered == before && fatal->status == SABOT_OK) { pass(coordinator, 5, fatal); }
    pass(coordinator, 5, fatal);
}

static void checkpoint_take(struct coordinator *coordinator, struct sabot_error *fatal) {
    checkpoint_begin(coordinator, fatal);
    coordinator_acknowledge(coordinator, 0, noted.triggered, NULL, 0, NULL);
    pass(coordinator, 20, fatal);
}

static void a_replaced_process_commits_nothing_and_nobody_starts_from_it(void **state) {
    (void)state;
    noted.triggered = noted.completed = 0;
    struct lease first, second;
    take(&first);
    assert_int_equal(lease_begin(store, &first, -1, NULL), SABOT_OK);
    struct sabot_error fatal = {0};
    struct coordinator *coordinator = coordinator_of(&first, 3);
    checkpoint_take(coordinator, &fatal);
    assert_int_equal(noted.completed, 1);
    checkpoint_begin(coordinator, &fatal);
    take(&second); /* starts from checkpoint 1 while the first still runs */
    assert_int_equal(lease_begin(store, &second, 1, NULL), SABOT_OK);
    coordinator_acknowledge(coordinator, 0, noted.triggered, NULL, 0, NULL);
    pass(coordinator, 20, &fatal);
    assert_int_equal(noted.completed, 1);
    assert_int_equal(fatal.status, SABOT_ERR_STATE);
    assert_non_null(strstr(fatal.message, "taken over"));
    struct env_stat stat; /* its manifest may be there: it is void */
    assert_int_equal(env_stat(env, "/c/chk-2/MANIFEST", &stat, NULL), SABOT_OK);
    char target[STORAGE_PATH_MAX];
    struct manifest manifest;
    assert_int_equal(storage_find(store, "/c", target, &manifest, NULL), SABOT_OK);
    assert_int_equal(manifest.checkpoint_id, 1);
    manifest_clear(&manifest);
    coordinator_free(coordinator);
}

/* Nothing is made anew in its place, nothing is committed, and it is said. */
static void a_folder_that_was_removed_ends_the_job(void **state) {
    (void)state;
    noted.triggered = noted.completed = 0;
    struct lease lease;
    take(&lease);
    assert_int_equal(lease_begin(store, &lease, -1, NULL), SABOT_OK);
    struct sabot_error fatal = {0};
    struct coordinator *coordinator = coordinator_of(&lease, 3);
    checkpoint_take(coordinator, &fatal);
    assert_int_equal(noted.completed, 1);
    assert_int_equal(store_remove_tree(store, "/c", NULL), SABOT_OK);
    checkpoint_take(coordinator, &fatal);
    assert_int_equal(noted.completed, 1);
    assert_int_equal(fatal.status, SABOT_ERR_STATE);
    assert_non_null(strstr(fatal.message, "was removed"));
    struct env_stat stat;
    assert_int_equal(env_stat(env, "/c", &stat, NULL), SABOT_ERR_NOT_FOUND);
    coordinator_free(coordinator);
}

/* A claim that somebody else of the folder has made before. */
static void claim(int64_t id, int64_t epoch) {
    char path[STORAGE_PATH_MAX];
    assert_int_equal(storage_path("/c", id, path, NULL), SABOT_OK);
    assert_int_equal(storage_claim(store, path, false, epoch, NULL), SABOT_OK);
}

static void who_holds_the_lease_goes_past_the_checkpoints_of_those_it_replaced(void **state) {
    (void)state;
    noted.triggered = noted.completed = 0;
    struct lease first, second;
    take(&first);
    assert_int_equal(lease_begin(store, &first, -1, NULL), SABOT_OK);
    take(&second);
    assert_int_equal(lease_begin(store, &second, -1, NULL), SABOT_OK);
    struct sabot_error fatal = {0};
    struct coordinator *coordinator = coordinator_of(&second, 1);
    for (int64_t id = 1; id <= 3; id++) { claim(id, first.epoch); }
    for (int64_t id = 1; id <= 4; id++) { checkpoint_take(coordinator, &fatal); }
    assert_int_equal(fatal.status, SABOT_OK);
    assert_int_equal(noted.completed, 4);
    coordinator_free(coordinator);

    /* a replaced process learns of it where it collides */
    coordinator = coordinator_of(&first, 1);
    claim(5, second.epoch);
    checkpoint_take(coordinator, &fatal);
    assert_int_equal(fatal.status, SABOT_ERR_STATE);
    assert_non_null(strstr(fatal.message, "taken over"));
    coordinator_free(coordinator);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_epoch_has_the_folder, world_make, world_drop),
        cmocka_unit_test_setup_teardown(the_newest_epoch_knows_what_it_began_from, world_make, world_drop),
        cmocka_unit_test_setup_teardown(a_disk_that_fails_gives_no_permission, world_make, world_drop),
        cmocka_unit_test_setup_teardown(what_a_replaced_process_completes_is_void, world_make, world_drop),
        cmocka_unit_test_setup_teardown(a_folder_is_known_by_its_owner, world_make, world_drop),
        cmocka_unit_test_setup_teardown(a_replaced_process_commits_nothing_and_nobody_starts_from_it, world_make,
                                        world_drop),
        cmocka_unit_test_setup_teardown(a_folder_that_was_removed_ends_the_job, world_make, world_drop),
        cmocka_unit_test_setup_teardown(who_holds_the_lease_goes_past_the_checkpoints_of_those_it_replaced, world_make,
                                        world_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
