/* System state: kept in order, over a close, readable beside its writer, and nothing without a folder. */
#include "checkpoint/system_state.h"

#include "base/env_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct memory_pool pool;

static void path_of(const char *name, char *out, size_t size) {
    const char *tmp = getenv("TMPDIR");
    snprintf(out, size, "%s/system-state-%s-%d", tmp ? tmp : "/tmp", name, (int)(env_now_ns(env_real()) % 1000000));
}

static struct system_state *open_at(const char *path, bool read_only) {
    struct sabot_error err = {0};
    struct system_state *state;
    const sabot_status status = system_state_open(env_real(), &pool, path, read_only, &state, &err);
    if (status != SABOT_OK) { fail_msg("%s", err.message); }
    return state;
}

struct seen {
    struct system_key keys[64];
    char fields[64][64];
    int32_t n, stop_at;
};

static bool note(void *arg, struct system_key key, const char *fields) {
    struct seen *seen = arg;
    seen->keys[seen->n] = key;
    snprintf(seen->fields[seen->n++], sizeof seen->fields[0], "%s", fields);
    return seen->n != seen->stop_at;
}

static struct seen scan(struct system_state *state, enum system_family family, int64_t from, int64_t to) {
    struct seen seen = {0};
    assert_int_equal(system_state_scan(state, family, from, to, note, &seen, NULL), SABOT_OK);
    return seen;
}

static void records_are_in_order_and_survive_a_close(void **state_) {
    (void)state_;
    char path[256];
    path_of("order", path, sizeof path);
    struct system_state *state = open_at(path, false);
    for (int64_t id = 5; id >= -5; id--) {
        char fields[64];
        snprintf(fields, sizeof fields, "state=complete bytes=%lld", (long long)id * 100);
        system_state_put(state, SYSTEM_CHECKPOINTS, (struct system_key){id, 0}, fields, id == 0);
        system_state_put(state, SYSTEM_ACKS, (struct system_key){3, id}, "at_ms=7", false);
    }
    system_state_put(state, SYSTEM_CHECKPOINTS, (struct system_key){2, 0}, "state=aborted", false);
    system_state_remove(state, SYSTEM_CHECKPOINTS, (struct system_key){1, 0});
    for (int32_t round = 0; round < 2; round++) {
        struct seen all = scan(state, SYSTEM_CHECKPOINTS, INT64_MIN, INT64_MAX);
        assert_int_equal(all.n, 10);
        for (int32_t i = 1; i < all.n; i++) { assert_true(all.keys[i - 1].a < all.keys[i].a); }
        assert_string_equal(scan(state, SYSTEM_CHECKPOINTS, 2, 3).fields[0], "state=aborted");
        assert_int_equal(scan(state, SYSTEM_CHECKPOINTS, 1, 2).n, 0);
        struct seen acks = scan(state, SYSTEM_ACKS, 3, 4);
        assert_int_equal(acks.n, 11);
        assert_int_equal(acks.keys[0].b, -5);
        assert_int_equal(scan(state, SYSTEM_WATERMARKS, INT64_MIN, INT64_MAX).n, 0);
        system_state_close(state);
        state = open_at(path, false);
    }
    system_state_remove_range(state, SYSTEM_CHECKPOINTS, -5, 3);
    assert_int_equal(scan(state, SYSTEM_CHECKPOINTS, INT64_MIN, INT64_MAX).n, 3);
    struct seen stopped = {.stop_at = 2};
    assert_int_equal(system_state_scan(state, SYSTEM_ACKS, 3, 4, note, &stopped, NULL), SABOT_OK);
    assert_int_equal(stopped.n, 2);
    assert_int_equal(system_state_failures(state), 0);
    system_state_close(state);
    assert_int_equal(pool.used, 0);
}

static void it_can_be_read_while_the_job_writes(void **state_) {
    (void)state_;
    char path[256];
    path_of("beside", path, sizeof path);
    struct system_state *state = open_at(path, false);
    system_state_put(state, SYSTEM_ASSIGNMENTS, (struct system_key){4, 0}, "worker=1", false);
    struct system_state *reader = open_at(path, true);
    assert_int_equal(scan(reader, SYSTEM_ASSIGNMENTS, 0, 100).n, 1);
    system_state_close(reader);
    /* a second writer is kept out */
    struct sabot_error err = {0};
    struct system_state *second;
    assert_int_not_equal(system_state_open(env_real(), &pool, path, false, &second, &err), SABOT_OK);
    assert_non_null(strstr(err.message, path));
    assert_null(second);
    system_state_close(state);
    err = (struct sabot_error){0};
    assert_int_equal(system_state_open(env_real(), &pool, "/nowhere/at/all", true, &second, &err),
                     SABOT_ERR_NOT_FOUND);
}

static void without_a_folder_it_does_nothing(void **state_) {
    (void)state_;
    struct env *sim = env_sim_new(&(struct env_sim_options){.seed = 1});
    struct system_state *state = (void *)&pool;
    assert_int_equal(system_state_open(sim, &pool, "/dir", false, &state, NULL), SABOT_OK);
    assert_null(state);
    assert_int_equal(system_state_open(env_real(), &pool, NULL, false, &state, NULL), SABOT_OK);
    assert_null(state);
    system_state_put(state, SYSTEM_ACKS, (struct system_key){1, 1}, "x=1", true);
    system_state_remove(state, SYSTEM_ACKS, (struct system_key){1, 1});
    system_state_remove_range(state, SYSTEM_ACKS, 0, 9);
    assert_int_equal(scan(state, SYSTEM_ACKS, 0, 9).n, 0);
    assert_int_equal(system_state_failures(state), 0);
    system_state_close(state);
    env_sim_free(sim);
}

static void fields_are_found_by_name(void **state_) {
    (void)state_;
    char value[8];
    assert_true(system_field("a=1 bytes=22 path=/x", "bytes", value, sizeof value));
    assert_string_equal(value, "22");
    assert_true(system_field("a=1 bytes=22 path=/x", "path", value, sizeof value));
    assert_string_equal(value, "/x");
    assert_true(system_field("a=", "a", value, sizeof value));
    assert_string_equal(value, "");
    assert_false(system_field("a=1 bytes=22", "yte", value, sizeof value));
    assert_false(system_field("a=1 bytes=22", "by", value, sizeof value));
    assert_false(system_field("a=12345678", "a", value, sizeof value));
    assert_false(system_field("", "a", value, sizeof value));
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_in_order_and_survive_a_close),
        cmocka_unit_test(it_can_be_read_while_the_job_writes),
        cmocka_unit_test(without_a_folder_it_does_nothing),
        cmocka_unit_test(fields_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
