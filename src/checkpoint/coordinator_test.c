/* Checkpoints as files: complete when the manifest is there, skipped when torn, refused when damaged; and the
 * coordinator's rules: one acknowledgement per task, time-outs, what is kept. In the simulated world. */
#include "checkpoint/coordinator.h"

#include "base/env_sim.h"
#include "base/log.h"
#include "checkpoint/restore.h"
#include "checkpoint/storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MILLISECOND INT64_C(1000000)

static struct memory_pool pool;

struct fixture {
    struct env *env;
    struct store *store;
    struct coordinator *coordinator;
    int64_t triggered, aborted, completed;
    int32_t n_triggered, n_completed;
};

static void on_trigger(void *arg, int64_t id, int64_t timestamp_ms) {
    (void)timestamp_ms;
    struct fixture *fixture = arg;
    fixture->triggered = id;
    fixture->n_triggered++;
}
static void on_abort(void *arg, int64_t id) { ((struct fixture *)arg)->aborted = id; }
static void on_complete(void *arg, int64_t id) {
    ((struct fixture *)arg)->completed = id;
    ((struct fixture *)arg)->n_completed++;
}
static sabot_status on_manifest(void *arg, struct sabot_error *err) {
    (void)arg;
    (void)err;
    return SABOT_OK;
}
static void on_wake(void *arg) { (void)arg; }

static struct coordinator_options options_of(struct fixture *fixture, const char *dir, int32_t n_tasks) {
    return (struct coordinator_options){
        .env = fixture->env,
        .store = fixture->store,
        .pool = &pool,
        .job_name = "a \"job\"\n",
        .dir = dir,
        .interval_ns = 100 * MILLISECOND,
        .timeout_ns = 1000 * MILLISECOND,
        .retained = 2,
        .failures_max = 3,
        .max_parallelism = 128,
        .n_tasks = n_tasks,
        .calls = {fixture, on_trigger, on_abort, on_complete, on_manifest, on_wake},
    };
}

static void world_init(struct fixture *fixture, uint64_t seed) {
    memset(fixture, 0, sizeof *fixture);
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    fixture->env = env_sim_new(&(struct env_sim_options){.seed = seed, .work_delay_max_ns = MILLISECOND});
    assert_int_equal(store_new(fixture->env, NULL, 0, &fixture->store, NULL), SABOT_OK);
}

static void fixture_init(struct fixture *fixture, const char *dir, int32_t n_tasks) {
    world_init(fixture, 7);
    const struct coordinator_options options = options_of(fixture, dir, n_tasks);
    assert_int_equal(coordinator_new(&options, &fixture->coordinator, NULL), SABOT_OK);
}

static void fixture_clear(struct fixture *fixture) {
    coordinator_free(fixture->coordinator);
    store_free(fixture->store);
    env_sim_free(fixture->env);
    assert_int_equal(atomic_load(&pool.used), 0);
}

static void helpers_work(struct fixture *fixture) {
    env_sim_advance(fixture->env, env_now_ns(fixture->env) + MILLISECOND / 2);
    while (env_sim_due_work(fixture->env) > 0) { env_sim_run_work(fixture->env); }
}

/* Lets time pass, with helper work and the coordinator in it. */
static void pass(struct fixture *fixture, int64_t ms, struct sabot_error *fatal) {
    const int64_t until = env_now_ns(fixture->env) + ms * MILLISECOND;
    while (env_now_ns(fixture->env) < until) {
        helpers_work(fixture);
        coordinator_step(fixture->coordinator, true, fatal);
    }
}

/* A keyed table with n rows: key_group i % 128 sorted, namespace, a string key and a decimal value, some of them
 * NULL. */
static struct state_snapshot snapshot_of(int32_t n) {
    struct state_snapshot snapshot = {.name = "sums", .kind = STATE_KEYED, .n_keys = 1};
    const struct field fields[] = {{"key_group", type_not_null(type_of(TYPE_INT32))},
                                   {"namespace", type_not_null(type_of(TYPE_INT64))},
                                   {"name", type_of(TYPE_STRING)},
                                   {"total", type_decimal(12, 2)}};
    assert_int_equal(schema_new(fields, 4, &snapshot.schema, NULL), SABOT_OK);
    struct column *columns[4];
    for (int32_t c = 0; c < 4; c++) {
        struct column_builder builder;
        const enum phys phys = type_phys(fields[c].type);
        assert_int_equal(column_builder_init(&builder, &pool, phys, n, c >= 2, NULL), SABOT_OK);
        for (int32_t i = 0; i < n; i++) {
            if (c == 0) { ((int32_t *)builder.values)[i] = (int32_t)((int64_t)i * 128 / n); }
            if (c == 1) { ((int64_t *)builder.values)[i] = i * 10; }
            if (c == 3) { ((int64_t *)builder.values)[i] = i * 100; }
            if (c == 2) {
                char *space;
                assert_int_equal(column_builder_reserve(&builder, 32, &space, NULL), SABOT_OK);
                const int size = snprintf(space, 32, "a rather long name %d", i);
                ((struct string_view *)builder.values)[i] = string_view_of(space, (uint32_t)size);
            }
            if (c >= 2 && i % 7 == c) { column_builder_set_null(&builder, i); }
        }
        assert_int_equal(column_builder_finish(&builder, &columns[c], NULL), SABOT_OK);
    }
    assert_int_equal(batch_new(snapshot.schema, columns, 4, n, &snapshot.rows, NULL), SABOT_OK);
    return snapshot;
}

static bool exists(struct env *env, const char *path) {
    struct env_stat found;
    return env_stat(env, path, &found, NULL) == SABOT_OK;
}

static void acknowledge(struct fixture *fixture, int32_t task, int64_t id, int32_t rows) {
    struct checkpoint_part *parts = calloc(1, sizeof *parts);
    *parts = (struct checkpoint_part){.uid = "sum/\"ü\"", .subtask = task, .parallelism = 2};
    char path[64];
    snprintf(path, sizeof path, "/c/chk-%lld", (long long)id);
    if (rows > 0 && id == fixture->triggered) {
        assert_int_equal(env_make_dirs(fixture->env, path, NULL), SABOT_OK);
        const struct storage_writing writing = {.store = fixture->store, .pool = &pool, .path = path};
        struct state_snapshot snapshot = snapshot_of(rows);
        parts->files = calloc(1, sizeof *parts->files);
        parts->n_files = 1;
        parts->files[0] = (struct manifest_file){.uid = strdup(parts->uid), .state = strdup(snapshot.name),
                                                 .subtask = task, .parallelism = 2, .n_keys = 1};
        struct storage_writer *writer;
        assert_int_equal(storage_writer_open(&writing, snapshot.schema, &parts->files[0], &writer, NULL), SABOT_OK);
        assert_int_equal(storage_writer_put(writer, snapshot.rows, NULL), SABOT_OK);
        assert_int_equal(storage_writer_finish(writer, NULL), SABOT_OK);
        storage_writer_close(writer);
        batch_unref(snapshot.rows);
        schema_unref(snapshot.schema);
    }
    assert_int_equal(coordinator_acknowledge(fixture->coordinator, task, id, parts, 1, NULL), SABOT_OK);
}

static void a_checkpoint_is_complete_when_all_tasks_are_written(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 2);
    pass(&fixture, 150, NULL);
    assert_int_equal(fixture.triggered, 1);
    acknowledge(&fixture, 0, 1, 100);
    acknowledge(&fixture, 0, 1, 100); /* again: ignored */
    acknowledge(&fixture, 1, 7, 100); /* of no checkpoint */
    pass(&fixture, 20, NULL);
    assert_int_equal(fixture.n_completed, 0);
    assert_false(exists(fixture.env, "/c/chk-1/MANIFEST"));
    acknowledge(&fixture, 1, 1, 0);
    pass(&fixture, 20, NULL);
    assert_int_equal(fixture.completed, 1);
    assert_true(exists(fixture.env, "/c/chk-1/MANIFEST"));
    struct coordinator_counts counts;
    coordinator_counts(fixture.coordinator, &counts);
    assert_int_equal(counts.completed, 1);
    assert_int_equal(counts.acks_ignored, 2);
    assert_true(counts.last_bytes > 1000);
    fixture_clear(&fixture);
}

static void complete_one(struct fixture *fixture, int64_t id, int32_t rows) {
    while (fixture->triggered < id) { pass(fixture, 10, NULL); }
    for (int32_t t = 0; t < 2; t++) { acknowledge(fixture, t, id, rows); }
    while (fixture->completed < id) { pass(fixture, 5, NULL); }
    pass(fixture, 5, NULL);
}

static void only_the_newest_are_kept(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 2);
    assert_int_equal(env_make_dirs(fixture.env, "/c/chk-0", NULL), SABOT_OK); /* torn, from an earlier life */
    for (int64_t id = 1; id <= 5; id++) { complete_one(&fixture, id, 10); }
    assert_false(exists(fixture.env, "/c/chk-0"));
    assert_false(exists(fixture.env, "/c/chk-3"));
    assert_true(exists(fixture.env, "/c/chk-4/MANIFEST"));
    assert_true(exists(fixture.env, "/c/chk-5/MANIFEST"));
    fixture_clear(&fixture);
}

/* "Can't be looked at" is not "not complete". */
static void a_disk_that_fails_to_answer_loses_no_checkpoint(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 2);
    for (int64_t id = 1; id <= 2; id++) { complete_one(&fixture, id, 10); }
    env_sim_fail(fixture.env, "look at", 1);
    complete_one(&fixture, 3, 10);
    env_sim_fail(fixture.env, NULL, 0);
    assert_true(exists(fixture.env, "/c/chk-2/MANIFEST"));
    assert_true(exists(fixture.env, "/c/chk-3/MANIFEST"));
    complete_one(&fixture, 4, 10); /* what was left then is removed now */
    assert_false(exists(fixture.env, "/c/chk-1"));
    assert_false(exists(fixture.env, "/c/chk-2"));
    /* nor does a restore fall back to an older one, or say that there is none */
    char target[STORAGE_PATH_MAX];
    struct manifest manifest;
    struct sabot_error err = {0};
    env_sim_fail(fixture.env, "look at", 1);
    assert_int_equal(storage_find(fixture.store, "/c", target, &manifest, &err), SABOT_ERR_IO);
    env_sim_fail(fixture.env, NULL, 0);
    fixture_clear(&fixture);
}

/* Checkpoint 1 has begun, and waits for its second task. */
static void one_of_two_has_acknowledged(struct fixture *fixture, struct sabot_error *fatal) {
    fixture_init(fixture, "/c", 2);
    pass(fixture, 110, fatal);
    acknowledge(fixture, 0, 1, 10);
}

static void a_checkpoint_that_takes_too_long_is_given_up(void **state) {
    (void)state;
    struct fixture fixture;
    struct sabot_error fatal = {0};
    one_of_two_has_acknowledged(&fixture, &fatal);
    pass(&fixture, 1010, &fatal);
    assert_int_equal(fixture.aborted, 1);
    assert_false(exists(fixture.env, "/c/chk-1"));
    assert_int_equal(fixture.triggered, 2); /* and the next one begins */
    acknowledge(&fixture, 1, 1, 10);        /* too late */
    pass(&fixture, 10, &fatal);
    assert_int_equal(fixture.n_completed, 0);
    assert_int_equal(fatal.status, SABOT_OK);
    pass(&fixture, 2500, &fatal); /* the third failure in a row is the job's */
    assert_int_equal(fatal.status, SABOT_ERR_STATE);
    fixture_clear(&fixture);
}

/* A store that is away would stop the control: the folder of what is given up is removed by a helper. */
static void the_control_removes_no_folder_itself(void **state) {
    (void)state;
    struct fixture fixture;
    struct sabot_error fatal = {0};
    one_of_two_has_acknowledged(&fixture, &fatal);
    helpers_work(&fixture); /* its folder is claimed */
    env_sim_advance(fixture.env, env_now_ns(fixture.env) + 1000 * MILLISECOND);
    coordinator_step(fixture.coordinator, true, &fatal);
    assert_int_equal(fixture.aborted, 1);
    assert_true(exists(fixture.env, "/c/chk-1"));
    for (int32_t i = 0; i < 4; i++) { helpers_work(&fixture); }
    assert_false(exists(fixture.env, "/c/chk-1"));
    fixture_clear(&fixture);
}

/* Once its manifest is being written nothing but the end of that is waited for: the control sleeps. */
static void a_manifest_under_way_is_waited_for(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 1);
    pass(&fixture, 110, NULL);
    acknowledge(&fixture, 0, 1, 10);
    struct sabot_error fatal = {0};
    coordinator_step(fixture.coordinator, true, &fatal);
    for (int32_t i = 0; i < 3; i++) { /* the disk, or S3, hangs */
        env_sim_advance(fixture.env, env_now_ns(fixture.env) + 700 * MILLISECOND);
        assert_true(coordinator_step(fixture.coordinator, true, &fatal) > env_now_ns(fixture.env));
    }
    assert_int_equal(fixture.aborted, 0);
    pass(&fixture, 10, &fatal);
    assert_int_equal(fixture.completed, 1);
    fixture_clear(&fixture);
}

/* The answer to the writing of a manifest is lost. The checkpoint may be complete, and another process may have started
 * from it: who gives it up removes nothing of it. */
static void what_may_be_complete_is_not_removed(void **state) {
    (void)state;
    int32_t n_complete = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture fixture;
        world_init(&fixture, seed);
        struct coordinator_options options = options_of(&fixture, "/c", 2);
        struct lease other;
        struct sabot_error fatal = {0};
        assert_int_equal(lease_take(fixture.store, "/c", &options.lease, NULL), SABOT_OK);
        assert_int_equal(lease_begin(fixture.store, &options.lease, -1, NULL), SABOT_OK);
        assert_int_equal(coordinator_new(&options, &fixture.coordinator, NULL), SABOT_OK);
        complete_one(&fixture, 1, 10);
        while (fixture.triggered < 2) { pass(&fixture, 10, NULL); }
        pass(&fixture, 5, NULL); /* the folder is claimed */
        for (int32_t t = 0; t < 2; t++) { acknowledge(&fixture, t, 2, 10); }
        coordinator_step(fixture.coordinator, true, &fatal);
        env_sim_fail(fixture.env, "rename", 1);
        for (int32_t i = 0; i < 4; i++) { helpers_work(&fixture); }
        env_sim_fail(fixture.env, NULL, 0);

        assert_int_equal(lease_take(fixture.store, "/c", &other, NULL), SABOT_OK);
        char path[STORAGE_PATH_MAX], again[STORAGE_PATH_MAX];
        struct manifest manifest;
        assert_int_equal(storage_find(fixture.store, "/c", path, &manifest, NULL), SABOT_OK);
        assert_int_equal(lease_begin(fixture.store, &other, manifest.checkpoint_id, NULL), SABOT_OK);
        n_complete += manifest.checkpoint_id == 2;
        manifest_clear(&manifest);
        pass(&fixture, 20, &fatal);
        assert_int_equal(fixture.aborted, 2);
        assert_int_equal(storage_find(fixture.store, "/c", again, &manifest, NULL), SABOT_OK);
        assert_string_equal(again, path);
        assert_int_equal(storage_verify(fixture.store, path, &manifest, NULL), SABOT_OK);
        if (manifest.checkpoint_id == 1) { assert_false(exists(fixture.env, "/c/chk-2")); }
        manifest_clear(&manifest);
        fixture_clear(&fixture);
    }
    assert_in_range(n_complete, 1, 19);
}

/* Failures are counted in a row: one that is complete between them begins the count anew. */
static void a_complete_checkpoint_forgives_the_failures_before_it(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 2);
    struct sabot_error fatal = {0};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++) { /* three would be too many */
            const int64_t before = fixture.aborted;
            while (fixture.aborted == before && fatal.status == SABOT_OK) { pass(&fixture, 50, &fatal); }
        }
        assert_int_equal(fatal.status, SABOT_OK);
        complete_one(&fixture, fixture.triggered + (fixture.triggered == fixture.aborted), 5);
    }
    fixture_clear(&fixture);
}

static void requests_wait_and_share(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, NULL, 1);
    struct checkpoint_request a = {0}, b = {0}, savepoint = {.path = "/save/point"};
    assert_int_equal(coordinator_request(fixture.coordinator, &a, NULL), SABOT_OK);
    assert_int_equal(coordinator_request(fixture.coordinator, &savepoint, NULL), SABOT_OK);
    assert_int_equal(coordinator_request(fixture.coordinator, &b, NULL), SABOT_OK);
    pass(&fixture, 2, NULL);
    acknowledge(&fixture, 0, 1, 5); /* no folder: a round of barriers only */
    pass(&fixture, 2, NULL);
    assert_true(coordinator_poll(fixture.coordinator, &a) && coordinator_poll(fixture.coordinator, &b));
    assert_int_equal(a.checkpoint_id, 1);
    assert_int_equal(b.checkpoint_id, 1);
    assert_false(coordinator_poll(fixture.coordinator, &savepoint));
    assert_int_equal(fixture.triggered, 2);
    acknowledge(&fixture, 0, 2, 5);
    pass(&fixture, 20, NULL);
    assert_true(coordinator_poll(fixture.coordinator, &savepoint));
    assert_int_equal(savepoint.error.status, SABOT_OK);
    assert_true(exists(fixture.env, "/save/point/MANIFEST"));
    /* a folder that has something in it is not written over */
    assert_int_equal(coordinator_request(fixture.coordinator, &savepoint, NULL), SABOT_OK);
    pass(&fixture, 2, NULL);
    assert_true(coordinator_poll(fixture.coordinator, &savepoint));
    assert_int_equal(savepoint.error.status, SABOT_ERR_USAGE);
    /* who still waits when the job is over is told so */
    assert_int_equal(coordinator_request(fixture.coordinator, &a, NULL), SABOT_OK);
    const struct sabot_error why = {.status = SABOT_ERR_CANCELLED, .message = "over"};
    coordinator_give_up(fixture.coordinator, &why);
    assert_int_equal(a.error.status, SABOT_ERR_CANCELLED);
    fixture_clear(&fixture);
}

/* The time-out counts also where barriers would begin to overtake rows only later. */
static void a_late_begin_of_overtaking_is_no_longer_time_out(void **state) {
    (void)state;
    struct fixture fixture;
    world_init(&fixture, 7);
    struct coordinator_options options = options_of(&fixture, "/c", 1);
    options.overtakes = true;
    options.overtake_after_ns = 5000 * MILLISECOND;
    assert_int_equal(coordinator_new(&options, &fixture.coordinator, NULL), SABOT_OK);
    pass(&fixture, 110, NULL);
    assert_int_equal(fixture.triggered, 1);
    struct sabot_error fatal = {0};
    const int64_t wakes = coordinator_step(fixture.coordinator, true, &fatal);
    assert_true(wakes - env_now_ns(fixture.env) <= options.timeout_ns);
    env_sim_advance(fixture.env, wakes);
    coordinator_step(fixture.coordinator, true, &fatal);
    assert_int_equal(fixture.aborted, 1);
    fixture_clear(&fixture);
}

/* Savepoints commit nothing: who takes one behind the other keeps nobody's rows back. */
static void savepoints_take_turns_with_checkpoints(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 1);
    struct checkpoint_request savepoints[8] = {0};
    char paths[8][32];
    for (int32_t i = 0; i < 8; i++) {
        snprintf(paths[i], sizeof paths[i], "/s/%d", i);
        savepoints[i].path = paths[i];
        assert_int_equal(coordinator_request(fixture.coordinator, &savepoints[i], NULL), SABOT_OK);
    }
    int32_t n_savepoints = 0;
    for (int64_t id = 1; n_savepoints < 8; id++) { /* each takes as long as the interval */
        while (fixture.triggered < id) { pass(&fixture, 5, NULL); }
        pass(&fixture, 100, NULL);
        acknowledge(&fixture, 0, id, 0);
        pass(&fixture, 20, NULL);
        n_savepoints = 0;
        for (int32_t i = 0; i < 8; i++) { n_savepoints += coordinator_poll(fixture.coordinator, &savepoints[i]); }
        assert_in_range(fixture.n_completed, n_savepoints - 1, n_savepoints + 1);
    }
    for (int32_t i = 0; i < 8; i++) { assert_int_equal(savepoints[i].error.status, SABOT_OK); }
    fixture_clear(&fixture);
}

/* A process that was replaced has made the folder of the next number before it noticed: the checkpoint that somebody
 * asked for, the last one of a job perhaps, is another one. */
static void who_asks_is_not_told_of_a_number_that_was_taken(void **state) {
    (void)state;
    struct fixture fixture;
    world_init(&fixture, 7);
    struct coordinator_options options = options_of(&fixture, "/c", 1);
    assert_int_equal(lease_take(fixture.store, "/c", &options.lease, NULL), SABOT_OK);
    assert_int_equal(lease_take(fixture.store, "/c", &options.lease, NULL), SABOT_OK);
    assert_int_equal(lease_begin(fixture.store, &options.lease, -1, NULL), SABOT_OK);
    assert_int_equal(coordinator_new(&options, &fixture.coordinator, NULL), SABOT_OK);
    assert_int_equal(storage_claim(fixture.store, "/c/chk-1", false, options.lease.epoch - 1, NULL), SABOT_OK);
    struct checkpoint_request a = {0}, b = {0};
    struct sabot_error fatal = {0};
    assert_int_equal(coordinator_request(fixture.coordinator, &a, NULL), SABOT_OK);
    pass(&fixture, 1, &fatal);
    assert_int_equal(coordinator_request(fixture.coordinator, &b, NULL), SABOT_OK);
    while (fixture.triggered < 2) { pass(&fixture, 1, &fatal); }
    assert_int_equal(fixture.aborted, 1);
    assert_false(coordinator_poll(fixture.coordinator, &a) || coordinator_poll(fixture.coordinator, &b));
    acknowledge(&fixture, 0, 2, 0);
    pass(&fixture, 20, &fatal);
    assert_true(coordinator_poll(fixture.coordinator, &a) && coordinator_poll(fixture.coordinator, &b));
    assert_int_equal(a.error.status, SABOT_OK);
    assert_int_equal(a.checkpoint_id, 2);
    assert_int_equal(b.checkpoint_id, 2);
    assert_int_equal(fatal.status, SABOT_OK);
    fixture_clear(&fixture);
}

/* The next process on the folder /c. */
static void begin_anew(struct fixture *fixture, struct coordinator_options *options, int64_t base, const char *from) {
    if (fixture->coordinator) { coordinator_free(fixture->coordinator); }
    assert_int_equal(lease_take(fixture->store, "/c", &options->lease, NULL), SABOT_OK);
    assert_int_equal(from ? lease_begin_from(fixture->store, &options->lease, base, from, NULL)
                          : lease_begin(fixture->store, &options->lease, base, NULL), SABOT_OK);
    assert_int_equal(coordinator_new(options, &fixture->coordinator, NULL), SABOT_OK);
}

static sabot_status found(struct fixture *fixture, char path[STORAGE_PATH_MAX]) {
    struct manifest manifest;
    const sabot_status status = storage_find(fixture->store, "/c", path, &manifest, NULL);
    if (status == SABOT_OK) { manifest_clear(&manifest); }
    return status;
}

/* Stopped with a savepoint in the folder, started from it, and dead before the first checkpoint: what comes next starts
 * from the savepoint too. */
static void a_start_from_a_savepoint_counts_until_the_next_checkpoint(void **state) {
    (void)state;
    struct fixture fixture;
    world_init(&fixture, 7);
    struct coordinator_options options = options_of(&fixture, "/c", 2);
    char path[STORAGE_PATH_MAX];
    begin_anew(&fixture, &options, -1, NULL);
    complete_one(&fixture, 1, 10);
    struct checkpoint_request savepoint = {.path = "/c/savepoint-1"};
    assert_int_equal(coordinator_request(fixture.coordinator, &savepoint, NULL), SABOT_OK);
    while (fixture.triggered < 2) { pass(&fixture, 1, NULL); }
    for (int32_t t = 0; t < 2; t++) { acknowledge(&fixture, t, 2, 0); }
    while (!coordinator_poll(fixture.coordinator, &savepoint)) { pass(&fixture, 1, NULL); }
    complete_one(&fixture, 3, 10); /* the last one of the stop */
    assert_int_equal(found(&fixture, path), SABOT_OK);
    assert_string_equal(path, "/c/chk-3");
    for (int32_t i = 0; i < 2; i++) {
        begin_anew(&fixture, &options, 2, "/c/savepoint-1");
        assert_int_equal(found(&fixture, path), SABOT_OK);
        assert_string_equal(path, "/c/savepoint-1");
    }
    complete_one(&fixture, 4, 10);
    assert_int_equal(found(&fixture, path), SABOT_OK);
    assert_string_equal(path, "/c/chk-4");
    fixture_clear(&fixture);
}

struct read_back {
    int64_t rows, total;
};

static sabot_status count_rows(void *arg, struct batch *batch, struct sabot_error *err) {
    (void)err;
    struct read_back *seen = arg;
    for (int32_t i = 0; i < batch->selected; i++) {
        const int64_t row = seen->rows++;
        assert_int_equal(((const int64_t *)batch->columns[1]->values)[column_at(batch->columns[1], i)], row * 10);
        assert_int_equal(column_is_null(batch->columns[2], i), row % 7 == 2);
        assert_int_equal(column_is_null(batch->columns[3], i), row % 7 == 3);
        if (row % 7 != 2) {
            char name[32];
            snprintf(name, sizeof name, "a rather long name %lld", (long long)row);
            const struct string_view *view = (const struct string_view *)batch->columns[2]->values + i;
            assert_int_equal(view->size, strlen(name));
            assert_memory_equal(string_view_data(view), name, view->size);
        }
        assert_int_equal(batch->columns[3]->phys, PHYS_I64);
    }
    batch_unref(batch);
    return SABOT_OK;
}

static void rows_come_back_as_they_were(void **state) {
    (void)state;
    for (int32_t rows = 1; rows < 200000; rows = rows * 40 + 1) { /* also more than one record batch */
        struct fixture fixture;
        fixture_init(&fixture, "/c", 2);
        complete_one(&fixture, 1, rows);
        char path[STORAGE_PATH_MAX];
        struct manifest manifest;
        assert_int_equal(storage_find(fixture.store, "/c", path, &manifest, NULL), SABOT_OK);
        assert_string_equal(path, "/c/chk-1");
        assert_string_equal(manifest.job, "a \"job\"\n");
        assert_int_equal(manifest.n_operators, 2);
        assert_int_equal(manifest.n_files, 2);
        for (int32_t f = 0; f < 2; f++) {
            assert_string_equal(manifest.files[f].uid, "sum/\"ü\"");
            assert_int_equal(manifest.files[f].rows, rows);
            assert_int_equal(manifest.files[f].first_group, 0);
            struct read_back seen = {0};
            struct sabot_error err = {0};
            if (storage_read_table(fixture.store, path, &pool, &manifest.files[f], count_rows, &seen, &err) !=
                SABOT_OK) {
                fail_msg("%s", err.message);
            }
            assert_int_equal(seen.rows, rows);
        }
        manifest_clear(&manifest);
        fixture_clear(&fixture);
    }
}

static void torn_checkpoints_are_skipped_and_damage_is_refused(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 2);
    for (int64_t id = 1; id <= 2; id++) { complete_one(&fixture, id, 50); }
    char path[STORAGE_PATH_MAX], *data;
    size_t size;
    struct manifest manifest;
    assert_int_equal(env_read_file(fixture.env, "/c/chk-2/MANIFEST", &data, &size, NULL), SABOT_OK);
    /* every cut and every flipped bit of a manifest is noticed */
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_not_equal(manifest_parse(data, cut, "m", &manifest, NULL), SABOT_OK);
        data[cut] ^= 4;
        assert_int_not_equal(manifest_parse(data, size, "m", &manifest, NULL), SABOT_OK);
        data[cut] ^= 4;
    }
    assert_int_equal(env_write_file(fixture.env, "/c/chk-2/MANIFEST", data, size / 2, NULL), SABOT_OK);
    assert_int_equal(storage_find(fixture.store, "/c", path, &manifest, NULL), SABOT_OK);
    assert_string_equal(path, "/c/chk-1");
    manifest_clear(&manifest);
    free(data);
    struct sabot_error err = {0};
    assert_int_equal(storage_find(fixture.store, "/c/chk-2", path, &manifest, &err), SABOT_ERR_CORRUPT);
    assert_int_equal(storage_find(fixture.store, "/nowhere", path, &manifest, NULL), SABOT_ERR_NOT_FOUND);
    assert_int_equal(env_make_dirs(fixture.env, "/empty", NULL), SABOT_OK);
    error_clear(&err);
    assert_int_equal(storage_find(fixture.store, "/empty", path, &manifest, &err), SABOT_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "no complete checkpoint"));

    struct restore *restore;
    assert_int_equal(restore_open(fixture.store, "/c", &pool, &restore, NULL), SABOT_OK);
    assert_false(restore_ended(restore, "sum/\"ü\""));
    restore_close(restore);
    fixture_clear(&fixture);
}

static sabot_status rows_drop(void *arg, struct batch *rows, struct sabot_error *err) {
    (void)arg;
    (void)err;
    batch_unref(rows);
    return SABOT_OK;
}

/* Whatever byte of it is another one, also where the rows could be read all the same. */
static void a_state_file_that_is_not_what_was_written_is_refused(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 2);
    complete_one(&fixture, 1, 50);
    struct manifest manifest;
    char path[STORAGE_PATH_MAX], file[2 * STORAGE_PATH_MAX], *data;
    assert_int_equal(storage_find(fixture.store, "/c", path, &manifest, NULL), SABOT_OK);
    const struct manifest_file *item = &manifest.files[0];
    snprintf(file, sizeof file, "%s/%s", path, item->file);
    size_t size;
    assert_int_equal(env_read_file(fixture.env, file, &data, &size, NULL), SABOT_OK);
    assert_int_equal(storage_read_table(fixture.store, path, &pool, item, rows_drop, NULL, NULL), SABOT_OK);
    for (size_t at = 0; at < size; at += 1 + size / 200) {
        struct sabot_error err = {0};
        data[at] ^= 0x10;
        assert_int_equal(env_write_file(fixture.env, file, data, size, NULL), SABOT_OK);
        data[at] ^= 0x10;
        assert_int_equal(storage_verify(fixture.store, path, &manifest, &err), SABOT_ERR_CORRUPT);
        assert_non_null(strstr(err.message, "is not what was written"));
        assert_non_null(strstr(err.message, item->file));
        error_clear(&err);
        assert_int_equal(storage_read_table(fixture.store, path, &pool, item, rows_drop, NULL, &err),
                         SABOT_ERR_CORRUPT);
        assert_non_null(strstr(err.message, "is not what was written"));
    }
    free(data);
    manifest_clear(&manifest);
    fixture_clear(&fixture);
}

static void ids_are_never_used_twice(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, "/c", 2);
    complete_one(&fixture, 1, 10);
    assert_int_equal(env_make_dirs(fixture.env, "/c/chk-41", NULL), SABOT_OK);
    coordinator_free(fixture.coordinator);
    const struct coordinator_options options = options_of(&fixture, "/c", 2);
    assert_int_equal(coordinator_new(&options, &fixture.coordinator, NULL), SABOT_OK);
    pass(&fixture, 150, NULL);
    assert_int_equal(fixture.triggered, 42);
    fixture_clear(&fixture);
}

/* A cancelled job: files that can't be removed keep no others. */
static void what_is_shared_goes_with_the_last_manifest(void **state) {
    (void)state;
    int32_t n_swept = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct fixture fixture;
        world_init(&fixture, seed);
        struct coordinator_options options = options_of(&fixture, "/c", 2);
        options.incremental = true;
        assert_int_equal(coordinator_new(&options, &fixture.coordinator, NULL), SABOT_OK);
        for (int64_t id = 1; id <= 2; id++) { complete_one(&fixture, id, 10); }
        assert_int_equal(env_write_file(fixture.env, "/c/shared/2-a", "x", 1, NULL), SABOT_OK);
        env_sim_fail(fixture.env, "remove", 3);
        struct sabot_error err = {0};
        const sabot_status status = coordinator_remove_all(fixture.coordinator, &err);
        env_sim_fail(fixture.env, NULL, 0);
        const bool is_named = exists(fixture.env, "/c/chk-1/MANIFEST") || exists(fixture.env, "/c/chk-2/MANIFEST");
        const bool is_left = exists(fixture.env, "/c/chk-1") || exists(fixture.env, "/c/chk-2");
        const bool is_shared = exists(fixture.env, "/c/shared/2-a");
        assert_int_equal(err.status, status);
        assert_int_equal(status == SABOT_OK, !is_left && !is_shared);
        assert_true(is_shared || !is_named);
        n_swept += is_left && !is_shared;
        fixture_clear(&fixture);
    }
    assert_in_range(n_swept, 1, 29);
}

int main(void) {
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_is_complete_when_all_tasks_are_written),
        cmocka_unit_test(only_the_newest_are_kept),
        cmocka_unit_test(a_disk_that_fails_to_answer_loses_no_checkpoint),
        cmocka_unit_test(a_checkpoint_that_takes_too_long_is_given_up),
        cmocka_unit_test(the_control_removes_no_folder_itself),
        cmocka_unit_test(a_manifest_under_way_is_waited_for),
        cmocka_unit_test(what_may_be_complete_is_not_removed),
        cmocka_unit_test(a_complete_checkpoint_forgives_the_failures_before_it),
        cmocka_unit_test(requests_wait_and_share),
        cmocka_unit_test(a_late_begin_of_overtaking_is_no_longer_time_out),
        cmocka_unit_test(savepoints_take_turns_with_checkpoints),
        cmocka_unit_test(who_asks_is_not_told_of_a_number_that_was_taken),
        cmocka_unit_test(a_start_from_a_savepoint_counts_until_the_next_checkpoint),
        cmocka_unit_test(rows_come_back_as_they_were),
        cmocka_unit_test(torn_checkpoints_are_skipped_and_damage_is_refused),
        cmocka_unit_test(a_state_file_that_is_not_what_was_written_is_refused),
        cmocka_unit_test(ids_are_never_used_twice),
        cmocka_unit_test(what_is_shared_goes_with_the_last_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
