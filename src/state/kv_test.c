/* What the conformance test does not see: when expired values leave memory and RocksDB, under the simulated clock; what
 * a counter writes; checkpoints by hard links; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env_sim.h"
#include "state/kv.h"
#include "state/kv_hot.h"
#include "state/rocks.h"

static struct memory_pool pool;
static struct metrics metrics;

struct job {
    struct state_tables *tables;
    struct kv_store *store;
    char dir[256];
};

static void job_open(struct job *job, struct env *env, const char *backend) {
    struct sabot_error err = {0};
    const char *tmp = getenv("TMPDIR");
    const struct state_context context = {.pool = &pool, .metrics = &metrics, .backend = backend, .parallelism = 1,
                                          .max_parallelism = 16};
    snprintf(job->dir, sizeof job->dir, "%s/kv-test-%lld", tmp ? tmp : "/tmp", (long long)env_now_ns(env_real()));
    assert_int_equal(state_tables_new(&context, &job->tables, &err), SABOT_OK);
    const struct kv_store_options options = {.env = env, .tables = job->tables, .dir = job->dir};
    if (kv_store_new(&options, &job->store, &err) != SABOT_OK) { fail_msg("%s", err.message); }
}

static void job_close(struct job *job) {
    state_tables_free(job->tables);
    kv_store_free(job->store);
    env_remove(env_real(), job->dir, NULL);
    assert_int_equal(pool.used, 0);
}

static bool count(void *arg, const struct kv_entry *entry) {
    (void)entry;
    ++*(int64_t *)arg;
    return true;
}

static int64_t entries(struct kv_state *state) {
    int64_t n = 0;
    assert_int_equal(kv_scan(state, count, &n, NULL), SABOT_OK);
    return n;
}

/* 100 keys are written, then 50 of them again; the clock is the simulator's, or a watermark that follows it. */
static void expire(enum kv_time time, bool on_read) {
    struct env *env = env_sim_new(&(struct env_sim_options){.seed = 1});
    struct job job;
    metrics.state_rows = 0;
    job_open(&job, env, "memory");
    struct kv_state *state, *list;
    const struct kv_declare declare = {.name = "s", .ttl = {.ttl_ms = 1000, .time = time, .on_read = on_read}};
    struct kv_declare declare_list = declare;
    declare_list.name = "l";
    assert_int_equal(kv_value_open(job.store, &declare, &state, NULL), SABOT_OK);
    assert_int_equal(kv_list_open(job.store, &declare_list, &list, NULL), SABOT_OK);
    int64_t keys[100], values[100];
    bool found[100];
    for (int64_t i = 0; i < 100; i++) { keys[i] = values[i] = i; }
    const int64_t start_ms = env_wall_ms(env);
#define TELL()                                                                                                         \
    kv_store_set_time(job.store, env_wall_ms(env), time == KV_EVENT_TIME ? env_wall_ms(env) - 5 : INT64_MIN)
    TELL();
    assert_int_equal(kv_put(state, 0, keys, 100, values, NULL), SABOT_OK);
    assert_int_equal(kv_list_add(list, 0, keys, 1, values, NULL), SABOT_OK);
    env_sim_advance(env, env_now_ns(env) + 600 * INT64_C(1000000));
    TELL();
    assert_int_equal(kv_put(state, 0, keys, 50, values, NULL), SABOT_OK);
    assert_int_equal(kv_get(state, 0, keys + 50, 10, values, found, NULL), SABOT_OK);
    assert_int_equal(kv_list_add(list, 0, keys, 1, values + 1, NULL), SABOT_OK);
    env_sim_advance(env, env_now_ns(env) + 399 * INT64_C(1000000));
    TELL();
    assert_true(env_wall_ms(env) - start_ms == 999);
    assert_int_equal(entries(state), 100);
    env_sim_advance(env, env_now_ns(env) + INT64_C(1000000));
    TELL();
    /* 1000 ms after it was written a value is gone, though nobody has removed it yet */
    assert_int_equal(entries(state), on_read ? 60 : 50);
    const void *elements;
    int64_t n;
    assert_int_equal(kv_list_get(list, 0, keys, &elements, &n, NULL), SABOT_OK);
    assert_int_equal(n, 1);
    assert_int_equal(*(const int64_t *)elements, 51); /* what the read above has put there */
    const int64_t before = metrics.state_rows;
    assert_int_equal(kv_store_sweep(job.store, 1000, NULL), SABOT_OK);
    assert_int_equal(before - metrics.state_rows, on_read ? 40 : 51); /* with the list's first */
    /* and calls do a little of it each */
    env_sim_advance(env, env_now_ns(env) + 2000 * INT64_C(1000000));
    TELL();
    for (int64_t i = 0; i < 100; i++) {
        const int64_t absent = 1000 + i;
        assert_int_equal(kv_get(state, 0, &absent, 1, values, found, NULL), SABOT_OK);
        assert_false(found[0]);
    }
    assert_int_equal(entries(state), 0);
    assert_in_range(metrics.state_rows, 0, 6); /* the list was not touched */
    job_close(&job);
    env_sim_free(env);
}

static void values_expire_by_the_simulated_clock(void **state) {
    (void)state;
    expire(KV_PROCESSING_TIME, false);
    expire(KV_PROCESSING_TIME, true);
    expire(KV_EVENT_TIME, false);
    expire(KV_EVENT_TIME, true);
}

static void what_is_written_before_the_first_watermark_does_not_expire_with_it(void **state_) {
    (void)state_;
    struct job job;
    job_open(&job, env_real(), "memory");
    struct kv_state *state;
    const struct kv_declare declare = {.name = "s", .ttl = {.ttl_ms = 10, .time = KV_EVENT_TIME}};
    const int64_t key = 7;
    int64_t value = 1;
    bool found;
    assert_int_equal(kv_value_open(job.store, &declare, &state, NULL), SABOT_OK);
    kv_store_set_time(job.store, 0, INT64_MIN);
    assert_int_equal(kv_put(state, 0, &key, 1, &value, NULL), SABOT_OK);
    const int64_t watermarks[] = {500, 509, 510};
    for (int32_t i = 0; i < 3; i++) {
        kv_store_set_time(job.store, 0, watermarks[i]);
        assert_int_equal(kv_get(state, 0, &key, 1, &value, &found, NULL), SABOT_OK);
        assert_int_equal(found, i < 2);
    }
    job_close(&job);
}

/* Tasks that had come to different watermarks, as barriers that overtake rows leave them: the one that takes over from
 * them begins at the least, and shows nothing that was expired where a key came from. */
static void what_had_expired_in_a_key_s_own_task_does_not_come_back(void **state_) {
    (void)state_;
    enum { GROUPS = 16, N = 300 };
    struct job job;
    job_open(&job, env_real(), "memory");
    struct kv_state *state, *list, *clock;
    const struct kv_declare values_of = {.name = "v", .ttl = {.ttl_ms = 100, .time = KV_EVENT_TIME}};
    const struct kv_declare list_of = {.name = "l", .ttl = {.ttl_ms = 100, .time = KV_EVENT_TIME}};
    const struct kv_declare clock_of = {.name = "c", .ttl = {.ttl_ms = 100, .time = KV_PROCESSING_TIME}};
    int64_t keys[N], values[N];
    bool found[N];
    for (int64_t i = 0; i < N; i++) { keys[i] = values[i] = i; }
    assert_int_equal(kv_value_open(job.store, &values_of, &state, NULL), SABOT_OK);
    assert_int_equal(kv_list_open(job.store, &list_of, &list, NULL), SABOT_OK);
    assert_int_equal(kv_value_open(job.store, &clock_of, &clock, NULL), SABOT_OK);
    for (int64_t time_ms = 1000; time_ms <= 1050; time_ms += 50) { /* of a list the first elements only are expired */
        kv_store_set_time(job.store, time_ms, time_ms);
        assert_int_equal(kv_list_add(list, 0, keys, N, values, NULL), SABOT_OK);
        if (time_ms > 1000) { continue; }
        assert_int_equal(kv_put(state, 0, keys, N, values, NULL), SABOT_OK);
        assert_int_equal(kv_put(clock, 0, keys, N, values, NULL), SABOT_OK);
    }
    struct state_snapshot *snapshots;
    int32_t n;
    assert_int_equal(state_tables_snapshot(job.tables, &snapshots, &n, NULL), SABOT_OK);
    state_tables_free(job.tables);
    kv_store_free(job.store);

    int64_t restored[GROUPS - 2];
    for (int32_t g = 0; g < GROUPS - 2; g++) { restored[g] = g < 6 ? 1100 : 1099; } /* of groups 2 to 15 */
    job_open(&job, env_real(), "memory");
    for (int32_t s = 0; s < n; s++) {
        struct batch *rows = snapshots[s].rows ? batch_ref(snapshots[s].rows) : NULL;
        assert_int_equal(state_tables_load(job.tables, snapshots[s].name, snapshots[s].kind, rows, NULL), SABOT_OK);
    }
    state_snapshots_free(snapshots, n);
    kv_store_set_restored(job.store, restored, 2, GROUPS - 2);
    assert_int_equal(kv_value_open(job.store, &values_of, &state, NULL), SABOT_OK);
    assert_int_equal(kv_list_open(job.store, &list_of, &list, NULL), SABOT_OK);
    assert_int_equal(kv_value_open(job.store, &clock_of, &clock, NULL), SABOT_OK);
    kv_store_set_restored(job.store, NULL, 0, 0);
    kv_store_set_time(job.store, 1060, 1060);
    assert_int_equal(kv_get(state, 0, keys, N, values, found, NULL), SABOT_OK);
    for (int32_t i = 0; i < N; i++) {
        const int32_t group = key_group_of(kv_key_hash(KV_INT64, &keys[i]), GROUPS);
        const bool had_expired = group >= 2 && group < 8;
        const void *elements;
        int64_t n_elements;
        assert_int_equal(found[i], !had_expired);
        assert_int_equal(kv_list_get(list, 0, &keys[i], &elements, &n_elements, NULL), SABOT_OK);
        assert_int_equal(n_elements, had_expired ? 1 : 2);
    }
    assert_int_equal(entries(clock), N);
    job_close(&job);
}

static bool count_entry(void *arg, const struct kv_entry *entry) {
    (void)entry;
    ++*(int64_t *)arg;
    return true;
}

/* What was written before the first watermark ages with that, also what is only listed; and is dropped below. */
static int64_t rows_below(struct kv_store *store, int32_t family);
static void what_was_written_before_the_first_watermark_expires_too(void **state_) {
    (void)state_;
    static const char *const backends[] = {"memory", "rocksdb"};
    for (int32_t b = 0; b < 2; b++) {
        struct job job;
        struct kv_state *map, *list;
        job_open(&job, env_real(), backends[b]);
        struct kv_declare declare = {.name = "m", .ttl = {.ttl_ms = 100, .time = KV_EVENT_TIME}};
        assert_int_equal(kv_map_open(job.store, &declare, KV_INT64, &map, NULL), SABOT_OK);
        declare.name = "l";
        assert_int_equal(kv_list_open(job.store, &declare, &list, NULL), SABOT_OK);
        const int64_t key = 1, sub = 2;
        const void *values;
        int64_t n = 0, n_list;
        kv_store_set_time(job.store, 5000, INT64_MIN);
        assert_int_equal(kv_map_put(map, 0, &key, &sub, 1, &key, NULL), SABOT_OK);
        assert_int_equal(kv_list_add(list, 0, &key, 1, &key, NULL), SABOT_OK);
        kv_store_set_time(job.store, 6000, 1000);
        kv_store_set_time(job.store, 7000, 1099);
        assert_int_equal(kv_map_entries(map, 0, &key, count_entry, &n, NULL), SABOT_OK);
        assert_int_equal(kv_list_get(list, 0, &key, &values, &n_list, NULL), SABOT_OK);
        assert_int_equal(n, 1);
        assert_int_equal(n_list, 1);
        kv_store_set_time(job.store, 8000, 1100);
        n = 0;
        assert_int_equal(kv_map_entries(map, 0, &key, count_entry, &n, NULL), SABOT_OK);
        assert_int_equal(kv_list_get(list, 0, &key, &values, &n_list, NULL), SABOT_OK);
        assert_int_equal(n, 0);
        assert_int_equal(n_list, 0);
        if (b == 1) {
            rocks_compact(kv_store_rocks(job.store), KV_FAMILY_VALUES);
            assert_in_range(rows_below(job.store, KV_FAMILY_VALUES), 0, 0);
        }
        job_close(&job);
    }
}

static int64_t rows_below(struct kv_store *store, int32_t family) {
    struct rocks_scan *scan;
    struct rocks_span key, value, all = {0};
    int64_t n = 0;
    assert_int_equal(rocks_scan_open(kv_store_rocks(store), family, all, all, &scan, NULL), SABOT_OK);
    while (rocks_scan_next(scan, &key, &value, NULL)) { n++; }
    rocks_scan_close(scan);
    return n;
}

static void a_compaction_drops_what_is_expired_and_nothing_else(void **state_) {
    (void)state_;
    struct job job;
    job_open(&job, env_real(), "rocksdb");
    struct kv_state *young, *old, *kept;
    struct kv_declare declare = {.name = "young", .ttl = {.ttl_ms = 5000, .time = KV_EVENT_TIME}};
    assert_int_equal(kv_value_open(job.store, &declare, &young, NULL), SABOT_OK);
    declare.name = "old";
    declare.ttl.ttl_ms = 100;
    assert_int_equal(kv_value_open(job.store, &declare, &old, NULL), SABOT_OK);
    declare = (struct kv_declare){.name = "kept"};
    assert_int_equal(kv_value_open(job.store, &declare, &kept, NULL), SABOT_OK);
    int64_t keys[100], values[100] = {0};
    for (int64_t i = 0; i < 100; i++) { keys[i] = i; }
    kv_store_set_time(job.store, 0, 1000);
    assert_int_equal(kv_put(young, 0, keys, 100, values, NULL), SABOT_OK);
    assert_int_equal(kv_put(old, 0, keys, 100, values, NULL), SABOT_OK);
    assert_int_equal(kv_put(kept, 0, keys, 100, values, NULL), SABOT_OK);
    assert_int_equal(entries(young) + entries(old) + entries(kept), 300); /* flushed by this */
    kv_store_set_time(job.store, 0, 2000);
    rocks_compact(kv_store_rocks(job.store), KV_FAMILY_VALUES);
    assert_int_equal(rows_below(job.store, KV_FAMILY_VALUES), 200);
    assert_int_equal(entries(young) + entries(kept), 200);
    assert_int_equal(entries(old), 0);
    job_close(&job);
}

/* Rows of the first table's snapshot that is under way, `slots` looked at in a step. */
static int32_t copied_rows(struct job *job, int32_t slots, int32_t *n_steps) {
    int32_t rows = 0;
    *n_steps = 0;
    for (bool done = false; !done; ++*n_steps) {
        struct batch *batch;
        assert_int_equal(state_table_copy(job->tables, 0, slots, &batch, &done, NULL), SABOT_OK);
        rows += batch ? batch->rows : 0;
        batch_unref(batch);
    }
    return rows;
}

/* What was alive at the barrier is in the checkpoint, whatever the clock says when it is copied: a restore goes back to
 * the time of the barrier. */
static void a_compaction_spares_what_a_snapshot_holds(void **state_) {
    (void)state_;
    struct job job;
    job_open(&job, env_real(), "rocksdb");
    struct kv_state *state;
    const struct kv_declare declare = {.name = "s", .ttl = {.ttl_ms = 100, .time = KV_EVENT_TIME}};
    assert_int_equal(kv_value_open(job.store, &declare, &state, NULL), SABOT_OK);
    int64_t keys[100];
    for (int64_t i = 0; i < 100; i++) { keys[i] = i; }
    kv_store_set_time(job.store, 0, 1000);
    assert_int_equal(kv_put(state, 0, keys, 100, keys, NULL), SABOT_OK);
    assert_int_equal(entries(state), 100); /* flushed by this */
    assert_int_equal(state_table_freeze(job.tables, 0, STATE_FORM_ROWS, NULL), SABOT_OK);
    kv_store_set_time(job.store, 0, 2000);
    rocks_compact(kv_store_rocks(job.store), KV_FAMILY_VALUES);
    assert_int_equal(entries(state), 0);
    int32_t n_steps;
    assert_int_equal(copied_rows(&job, INT32_MAX, &n_steps), 100);
    rocks_compact(kv_store_rocks(job.store), KV_FAMILY_VALUES); /* nothing holds them any more */
    assert_int_equal(rows_below(job.store, KV_FAMILY_VALUES), 0);
    job_close(&job);
}

/* A key group is a scan, whatever is in it. */
static void a_step_of_a_snapshot_is_bounded_where_groups_are_empty(void **state_) {
    (void)state_;
    struct job job;
    job_open(&job, env_real(), "rocksdb");
    struct kv_state *state;
    const struct kv_declare declare = {.name = "s"};
    assert_int_equal(kv_value_open(job.store, &declare, &state, NULL), SABOT_OK);
    const int64_t key = 7;
    int32_t n_steps;
    assert_int_equal(kv_put(state, 0, &key, 1, &key, NULL), SABOT_OK);
    assert_int_equal(entries(state), 1);
    assert_int_equal(state_table_freeze(job.tables, 0, STATE_FORM_ROWS, NULL), SABOT_OK);
    assert_int_equal(copied_rows(&job, 1, &n_steps), 1);
    assert_in_range(n_steps, 16, 32); /* as many as there are groups, and a few */
    assert_int_equal(state_table_freeze(job.tables, 0, STATE_FORM_ROWS, NULL), SABOT_OK);
    assert_int_equal(copied_rows(&job, INT32_MAX, &n_steps), 1);
    assert_in_range(n_steps, 1, 2);
    job_close(&job);
}

/* What a checkpoint has copied of the cache is not state, and closed tables have none. */
static void checkpoints_leave_the_count_of_rows_as_it_was(void **state_) {
    (void)state_;
    struct job job;
    metrics.state_rows = 0;
    job_open(&job, env_real(), "rocksdb");
    struct kv_state *state;
    const struct kv_declare declare = {.name = "s"};
    assert_int_equal(kv_value_open(job.store, &declare, &state, NULL), SABOT_OK);
    int64_t keys[500];
    for (int64_t i = 0; i < 500; i++) { keys[i] = i; }
    assert_int_equal(kv_put(state, 0, keys, 500, keys, NULL), SABOT_OK);
    const int64_t before = metrics.state_rows;
    assert_true(before >= 500);
    for (int32_t i = 0; i < 3; i++) {
        struct state_snapshot *snapshots;
        int32_t n;
        assert_int_equal(state_tables_snapshot(job.tables, &snapshots, &n, NULL), SABOT_OK);
        state_snapshots_free(snapshots, n);
        assert_int_equal(metrics.state_rows, before);
    }
    job_close(&job);
    assert_int_equal(metrics.state_rows, 0);
}

static void a_counter_is_one_merge_and_no_read(void **state_) {
    (void)state_;
    struct job job;
    job_open(&job, env_real(), "rocksdb");
    struct kv_state *counter;
    const struct kv_declare declare = {.name = "c"};
    assert_int_equal(kv_counter_open(job.store, &declare, &counter, NULL), SABOT_OK);
    const int64_t key = 1, ten = 10;
    int64_t value;
    bool found;
    for (int32_t i = 0; i < 5; i++) {
        assert_int_equal(kv_add(counter, 0, &key, 1, &ten, NULL), SABOT_OK);
        /* flushes, then fails */
        assert_int_equal(kv_store_checkpoint(job.store, "/nowhere/at/all", NULL), SABOT_ERR_IO);
    }
    /* five operands below, merged when they are read, by the compaction or by this */
    if (rows_below(job.store, KV_FAMILY_COUNTERS) != 1) { fail_msg("one key was expected below"); }
    rocks_compact(kv_store_rocks(job.store), KV_FAMILY_COUNTERS);
    assert_int_equal(kv_get(counter, 0, &key, 1, &value, &found, NULL), SABOT_OK);
    assert_true(found);
    assert_int_equal(value, 50);
    job_close(&job);
}

static void a_checkpoint_by_links_holds_what_was_there(void **state_) {
    (void)state_;
    struct job job;
    job_open(&job, env_real(), "rocksdb");
    struct kv_state *state;
    const struct kv_declare declare = {.name = "s", .value = KV_BYTES};
    assert_int_equal(kv_value_open(job.store, &declare, &state, NULL), SABOT_OK);
    int64_t keys[1000];
    struct string_view values[1000];
    for (int64_t i = 0; i < 1000; i++) {
        keys[i] = i;
        values[i] = string_view_of("some bytes that do not fit into a view", (uint32_t)(i % 38));
    }
    assert_int_equal(kv_put(state, 3, keys, 1000, values, NULL), SABOT_OK);
    char copy[300];
    snprintf(copy, sizeof copy, "%s-copy", job.dir);
    struct sabot_error err = {0};
    if (kv_store_checkpoint(job.store, copy, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    assert_int_equal(kv_remove(state, 3, keys, 1000, NULL), SABOT_OK); /* the copy does not see it */
    assert_int_equal(entries(state), 0);
    const struct rocks_family families[] = {{.name = "values"}, {.name = "counters", .adds = true}, {.name = "timers"}};
    struct rocks *rocks;
    assert_int_equal(rocks_open(&(struct rocks_options){.env = env_real(), .pool = &pool, .path = copy,
                                                        .families = families, .n_families = 3, .read_only = true},
                                &rocks, &err), SABOT_OK);
    struct rocks_scan *scan;
    struct rocks_span key, value, all = {0};
    int64_t n = 0, bytes = 0;
    assert_int_equal(rocks_scan_open(rocks, 0, all, all, &scan, NULL), SABOT_OK);
    while (rocks_scan_next(scan, &key, &value, NULL)) {
        n++;
        bytes += (int64_t)value.size;
    }
    rocks_scan_close(scan);
    rocks_close(rocks);
    int64_t expected = 0;
    for (int64_t i = 0; i < 1000; i++) { expected += i % 38; }
    assert_int_equal(n, 1000);
    assert_int_equal(bytes, expected);
    job_close(&job);
}

static void what_can_t_be_is_refused(void **state_) {
    (void)state_;
    struct job job;
    job_open(&job, env_real(), "memory");
    struct kv_state *state;
    struct sabot_error err = {0};
    const struct kv_declare by_double = {.name = "a", .key = KV_FLOAT64};
    assert_int_equal(kv_value_open(job.store, &by_double, &state, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "state a: a DOUBLE can't be a key"));
    err = (struct sabot_error){0};
    const struct kv_declare aging = {.name = "b", .ttl = {.ttl_ms = 1}};
    assert_int_equal(kv_counter_open(job.store, &aging, &state, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "a counter has no TTL"));
    err = (struct sabot_error){0};
    const struct kv_declare bytes = {.name = "c", .value = KV_BYTES};
    assert_int_equal(kv_reducing_open(job.store, &bytes, KV_SUM, &state, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "aggregating state"));
    const struct kv_declare plain = {.name = "d"};
    assert_int_equal(kv_value_open(job.store, &plain, &state, NULL), SABOT_OK);
    const int64_t one = 1;
    assert_int_equal(kv_put(state, INT64_MAX, &one, 1, &one, NULL), SABOT_ERR_USAGE);
    struct kv_state *again;
    assert_int_not_equal(kv_value_open(job.store, &plain, &again, NULL), SABOT_OK);
    assert_int_equal(kv_store_checkpoint(job.store, "/x", NULL), SABOT_ERR_UNSUPPORTED);
    job_close(&job);
    struct state_tables *tables;
    const struct state_context context = {.pool = &pool, .metrics = &metrics, .parallelism = 1, .max_parallelism = 1};
    assert_int_equal(state_tables_new(&context, &tables, NULL), SABOT_OK);
    struct kv_store *store;
    err = (struct sabot_error){0};
    assert_int_equal(kv_store_new(&(struct kv_store_options){.env = env_real(), .tables = tables, .backend = "redis"},
                                  &store, &err), SABOT_ERR_USAGE);
    assert_non_null(strstr(err.message, "there are: memory, rocksdb"));
    state_tables_free(tables);
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_expire_by_the_simulated_clock),
        cmocka_unit_test(what_is_written_before_the_first_watermark_does_not_expire_with_it),
        cmocka_unit_test(what_had_expired_in_a_key_s_own_task_does_not_come_back),
        cmocka_unit_test(what_was_written_before_the_first_watermark_expires_too),
        cmocka_unit_test(a_compaction_drops_what_is_expired_and_nothing_else),
        cmocka_unit_test(a_compaction_spares_what_a_snapshot_holds),
        cmocka_unit_test(a_step_of_a_snapshot_is_bounded_where_groups_are_empty),
        cmocka_unit_test(checkpoints_leave_the_count_of_rows_as_it_was),
        cmocka_unit_test(a_counter_is_one_merge_and_no_read),
        cmocka_unit_test(a_checkpoint_by_links_holds_what_was_there),
        cmocka_unit_test(what_can_t_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
