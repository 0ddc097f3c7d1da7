/* Jobs on real threads: the same rows at every parallelism, stop, cancel, failure, checkpoints and restore. */
#include "runtime/job.h"

#include "base/env_faulty.h"
#include "base/text.h"
#include "tests/util/test_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

/* source -> filter (chained), hash -> window, rebalance -> sink */
struct plan {
    struct test_stream stream;
    struct test_window window;
    struct test_sink sink;
    struct test_store store;
    struct schema *rows, *results;
    struct op_spec specs[4];
    const struct op_spec *chain[4];
    int32_t keys[1];
    struct job_edge edges[2];
    struct job_vertex vertices[3];
    struct job_graph graph;
};

static void plan_init(struct plan *plan, int32_t sources, int32_t windows, int32_t sinks) {
    memset(plan, 0, sizeof *plan);
    plan->stream = (struct test_stream){
        .splits = 5, .rows = 4000, .keys = 50, .step_ms = 7, .disorder_ms = 100, .batch_rows = 97};
    plan->window.size_ms = 1000;
    test_store_init(&plan->store, env_real());
    plan->sink.store = &plan->store;
    plan->rows = test_stream_schema();
    plan->results = test_result_schema();
    plan->specs[0] = (struct op_spec){&test_source_op, &plan->stream, plan->rows, "source", "Source[numbers]", NULL};
    plan->specs[1] = (struct op_spec){&test_filter_op, NULL, plan->rows, "filter", "Filter[key % 3 <> 0]", NULL};
    plan->specs[2] = (struct op_spec){&test_window_op, &plan->window, plan->results, "window", "Window[1 s]", NULL};
    plan->specs[3] = (struct op_spec){&test_sink_op, &plan->sink, plan->results, "sink", "Sink[store]", NULL};
    for (int32_t i = 0; i < 4; i++) { plan->chain[i] = &plan->specs[i]; }
    plan->edges[0] = (struct job_edge){.from = 0, .exchange = EXCHANGE_HASH, .keys = plan->keys, .n_keys = 1};
    plan->edges[1] = (struct job_edge){.from = 1, .exchange = EXCHANGE_REBALANCE};
    plan->vertices[0] = (struct job_vertex){"source", plan->chain, 2, sources, NULL, 0};
    plan->vertices[1] = (struct job_vertex){"window", plan->chain + 2, 1, windows, plan->edges, 1};
    plan->vertices[2] = (struct job_vertex){"sink", plan->chain + 3, 1, sinks, plan->edges + 1, 1};
    plan->graph = (struct job_graph){plan->vertices, 3};
}

static void plan_clear(struct plan *plan) {
    assert_int_equal(plan->store.watermarks_back, 0);
    test_store_clear(&plan->store);
    schema_unref(plan->rows);
    schema_unref(plan->results);
}

static struct job *start(struct plan *plan, const struct job_options *options) {
    struct sabot_error err = {0};
    struct job *job;
    if (job_start(env_real(), &plan->graph, options, &job, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return job;
}

static void end_as(struct job *job, enum job_state state) {
    struct sabot_error err = {0};
    bool done;
    if (job_wait(job, 120 * SECOND, &done, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    assert_true(done);
    assert_int_equal(job_state(job), state);
    job_free(job);
}

static void finish(struct job *job) { end_as(job, JOB_FINISHED); }

static void rows_are_the_same_at_every_parallelism(void **state) {
    (void)state;
    static const int32_t shapes[][4] = {{1, 1, 1, 1}, {1, 2, 1, 2}, {2, 2, 2, 2},
                                        {3, 7, 2, 2}, {5, 3, 1, 4}, {7, 7, 7, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct plan plan;
        plan_init(&plan, shapes[i][0], shapes[i][1], shapes[i][2]);
        plan.sink.slow = i % 2 == 1;
        const struct job_options options = {.workers = shapes[i][3], .channel_batches = 1 + (int32_t)i};
        struct job *job = start(&plan, &options);
        int64_t in = 0;
        bool done;
        assert_int_equal(job_wait(job, 120 * SECOND, &done, NULL), SABOT_OK);
        assert_int_equal(job_n_metrics(job), 2 * shapes[i][0] + shapes[i][1] + shapes[i][2]);
        for (int32_t m = 0; m < job_n_metrics(job); m++) {
            struct job_op_metrics metrics;
            job_metrics(job, m, &metrics);
            if (strcmp(metrics.uid, "filter") == 0) { in += metrics.metrics->rows_in; }
        }
        assert_int_equal(in, plan.stream.rows * plan.stream.splits);
        finish(job);
        assert_true(test_store_equals(&plan.store, &plan.stream, plan.window.size_ms));
        plan_clear(&plan);
    }
}

static void a_failure_names_the_operator(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 2, 2, 1);
    plan.stream.fail_at = 2000;
    struct job *job = start(&plan, &(struct job_options){.workers = 2});
    struct sabot_error err = {0};
    bool done;
    assert_int_equal(job_wait(job, 60 * SECOND, &done, &err), SABOT_ERR_IO);
    assert_true(done);
    assert_int_equal(job_state(job), JOB_FAILED);
    assert_memory_equal(err.message, "source[", 7);
    assert_non_null(strstr(err.message, "] Source[numbers]: split "));
    assert_null(strstr(strchr(err.message, ':') + 1, "source["));
    job_free(job);
    plan_clear(&plan);
}

/* Who wants to stop a job is told what has become of it. */
static void a_savepoint_of_a_job_that_is_over_says_why(void **state) {
    (void)state;
    static const char *const says[] = {"came to its end before", "failed before the savepoint was begun: source[",
                                       "was cancelled before"};
    for (int32_t end = 0; end < 3; end++) {
        struct plan plan;
        plan_init(&plan, 1, 1, 1);
        plan.stream.fail_at = end == 1 ? 2000 : 0;
        if (end == 2) { plan.stream.rows = INT64_C(1) << 40; }
        struct job *job = start(&plan, &(struct job_options){.workers = 1});
        if (end == 2) { job_cancel(job); }
        bool done;
        job_wait(job, 60 * SECOND, &done, NULL);
        assert_true(done);
        struct sabot_error err = {0};
        assert_int_not_equal(job_stop_with_savepoint(job, "/nowhere", false, &err), SABOT_OK);
        assert_non_null(strstr(err.message, says[end]));
        job_free(job);
        plan_clear(&plan);
    }
}

static void cancel_ends_a_job_that_would_not_end(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 2, 2, 2);
    plan.stream.rows = INT64_C(1) << 40;
    struct job *job = start(&plan, &(struct job_options){.workers = 2});
    bool done;
    assert_int_equal(job_wait(job, SECOND / 20, &done, NULL), SABOT_OK);
    assert_false(done);
    assert_int_equal(job_state(job), JOB_RUNNING);
    struct text stall = {0};
    job_explain_stall(job, &stall);
    assert_non_null(strstr(text_string(&stall), "source["));
    text_clear(&stall);
    job_cancel(job);
    assert_int_equal(job_wait(job, 60 * SECOND, &done, NULL), SABOT_ERR_CANCELLED);
    job_free(job);
    /* and freeing a running job cancels it */
    job_free(start(&plan, &(struct job_options){.workers = 2}));
    plan_clear(&plan);
}

static void stop_without_checkpoints_commits_what_came_out(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 2, 2, 1);
    plan.stream.rows = INT64_C(1) << 40;
    plan.stream.pause_ns = 100000;
    struct job *job = start(&plan, &(struct job_options){.workers = 2});
    assert_int_equal(job_wait(job, SECOND / 5, NULL, NULL), SABOT_OK);
    job_stop(job);
    end_as(job, JOB_STOPPED);
    assert_true(plan.store.n > 0);
    assert_int_equal(plan.store.n_pending, 0);
    plan_clear(&plan);
}

static char folder[64];

static int folder_make(void **state) {
    (void)state;
    strcpy(folder, "/tmp/sabot-job-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static void remove_tree(const char *path) {
    char **names;
    size_t n;
    if (env_list(env_real(), path, &names, &n, NULL) == SABOT_OK) {
        for (size_t i = 0; i < n; i++) {
            char child[4096];
            snprintf(child, sizeof child, "%s/%s", path, names[i]);
            remove_tree(child);
        }
        env_names_free(names, n);
    }
    env_remove(env_real(), path, NULL);
}

static int folder_remove(void **state) {
    (void)state;
    remove_tree(folder);
    return 0;
}

/* Between two batches of a source: a run that is left in the middle has no end before, also on a busy machine. */
#define SLOW_NS (SECOND / 50)
#define QUICK_NS 200000

static void a_stopped_job_goes_on_at_another_parallelism(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 2, 3, 2);
    plan.stream.batch_rows = 20;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/stop", folder);
    static const int32_t parallelism[][3] = {{2, 3, 2}, {1, 1, 1}, {5, 7, 3}, {3, 2, 1}};
    struct job_options options = {
        .workers = 2, .checkpoint_dir = dir, .checkpoint_interval_ns = SECOND / 100, .checkpoints_retained = 2,
        .unaligned = true};
    for (int32_t i = 0; i < 4; i++) {
        for (int32_t v = 0; v < 3; v++) { plan.vertices[v].parallelism = parallelism[i][v]; }
        plan.sink.slow = i % 2 == 0;
        plan.stream.pause_ns = i < 3 ? SLOW_NS : QUICK_NS;
        struct job *job = start(&plan, &options);
        if (i < 3) {
            assert_int_equal(job_wait(job, SECOND / 20, NULL, NULL), SABOT_OK);
            job_stop(job);
        }
        end_as(job, i < 3 ? JOB_STOPPED : JOB_FINISHED);
        options.restore_from = dir;
    }
    assert_true(test_store_equals(&plan.store, &plan.stream, plan.window.size_ms));
    char **names;
    size_t n;
    assert_int_equal(env_list(env_real(), dir, &names, &n, NULL), SABOT_OK);
    assert_true(n <= 5); /* two are kept, perhaps one that was just completed; the lease; shared files */
    env_names_free(names, n);
    /* a job that starts behind the end gives out nothing more */
    const int64_t rows = plan.store.n;
    finish(start(&plan, &options));
    assert_int_equal(plan.store.n, rows);
    plan_clear(&plan);
}

static void a_cancelled_job_goes_on_from_its_last_checkpoint(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 3, 2, 2);
    plan.stream.batch_rows = 20;
    char dir[128], savepoint[128];
    snprintf(dir, sizeof dir, "%s/cancel", folder);
    snprintf(savepoint, sizeof savepoint, "%s/savepoint", folder);
    struct job_options options = {
        .workers = 2, .checkpoint_dir = dir, .checkpoint_interval_ns = SECOND / 200, .unaligned = true};
    for (int32_t i = 0; i < 4; i++) {
        plan.stream.pause_ns = i < 3 ? SLOW_NS : QUICK_NS;
        struct job *job = start(&plan, &options);
        if (i < 3) {
            assert_int_equal(job_wait(job, SECOND / 30, NULL, NULL), SABOT_OK);
            int64_t id = -1;
            struct sabot_error err = {0};
            if (job_checkpoint(job, i == 1 ? savepoint : NULL, &id, &err) != SABOT_OK) { fail_msg("%s", err.message); }
            assert_true(id > 0);
            job_cancel(job);
            job_free(job);
            options.restore_from = i == 1 ? savepoint : dir;
            if (i == 1) {
                /* the savepoint is the newest: what later checkpoints have committed would come again */
                continue;
            }
        } else {
            finish(job);
        }
    }
    assert_true(test_store_equals(&plan.store, &plan.stream, plan.window.size_ms));
    plan_clear(&plan);
}

/* Whether the newest complete checkpoint in the folder has rows that barriers overtook. */
static bool has_rows_in_flight(const char *dir) {
    char **names, newest[256] = "";
    size_t n;
    if (env_list(env_real(), dir, &names, &n, NULL) != SABOT_OK) { return false; }
    int most = -1;
    for (size_t i = 0; i < n; i++) {
        char manifest[512];
        struct env_stat stat;
        int id;
        snprintf(manifest, sizeof manifest, "%s/%s/MANIFEST", dir, names[i]);
        if (sscanf(names[i], "chk-%d", &id) != 1 || id < most) { continue; }
        if (env_stat(env_real(), manifest, &stat, NULL) != SABOT_OK) { continue; }
        most = id;
        snprintf(newest, sizeof newest, "%s/%s/MANIFEST", dir, names[i]);
    }
    env_names_free(names, n);
    char *text;
    size_t size;
    if (most < 0 || env_read_file(env_real(), newest, &text, &size, NULL) != SABOT_OK) { return false; }
    const bool has = strstr(text, "in-flight.") != NULL;
    free(text);
    return has;
}

/* Full channels, slow sinks, checkpoints all the time: every restart but the last is from rows in flight. */
static void rows_that_barriers_overtook_come_back(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 3, 2, 2);
    plan.stream.rows = 40000;
    plan.stream.batch_rows = 20;
    plan.sink.slow = true;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/overtaken", folder);
    struct job_options options = {.workers = 2, .channel_batches = 4, .checkpoint_dir = dir,
                                  .checkpoint_interval_ns = SECOND / 1000, .unaligned = true};
    int32_t restarts = 0;
    for (bool done = false; !done;) {
        struct job *job = start(&plan, &options);
        if (restarts == 3) {
            finish(job);
            break;
        }
        const int64_t before = job_checkpoints_completed(job);
        do {
            assert_int_equal(job_wait(job, SECOND / 500, &done, NULL), SABOT_OK);
        } while (!done && (job_checkpoints_completed(job) == before || !has_rows_in_flight(dir)));
        job_cancel(job);
        job_free(job);
        restarts += !done && has_rows_in_flight(dir);
        options.restore_from = dir;
    }
    assert_true(restarts > 0);
    assert_true(test_store_equals(&plan.store, &plan.stream, plan.window.size_ms));
    plan_clear(&plan);
}

/* A short interval, and a long rest behind each checkpoint. */
static void checkpoints_leave_a_pause(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 1, 1, 1);
    plan.stream.rows = INT64_C(1) << 40;
    plan.stream.pause_ns = 1000000;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/pause", folder);
    const struct job_options options = {.workers = 1, .checkpoint_dir = dir, .checkpoint_interval_ns = SECOND / 500,
                                        .checkpoint_min_pause_ns = SECOND / 5};
    struct job *job = start(&plan, &options);
    const int64_t begun = env_now_ns(env_real());
    assert_int_equal(job_wait(job, SECOND, NULL, NULL), SABOT_OK);
    const int64_t pauses = (env_now_ns(env_real()) - begun) / (SECOND / 5);
    assert_in_range(job_checkpoints_completed(job), 1, pauses + 1);
    job_free(job);
    plan_clear(&plan);
}

/* Where checkpoints can't be written any more the job goes on so long as that is tolerated, then it fails and says why;
 * and what was complete before is enough to go on from. */
static void a_full_disk_ends_the_job_when_it_is_not_tolerated_any_more(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 2, 2, 1);
    plan.stream.rows = 400;
    plan.stream.pause_ns = 1000000;
    plan.stream.batch_rows = 1;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/full", folder);
    struct job_options options = {.workers = 2, .checkpoint_dir = dir, .checkpoint_interval_ns = SECOND / 200,
                                  .checkpoint_failures_max = 4};
    const struct env_fault fault = {.op = ENV_FAULT_WRITE, .kind = ENV_FAULT_KIND_FULL, .at = 60};
    struct env *env = env_faulty_new(env_real(), &fault);
    struct sabot_error err = {0};
    struct job *job;
    assert_int_equal(job_start(env, &plan.graph, &options, &job, &err), SABOT_OK);
    bool done = false;
    assert_int_equal(job_wait(job, 60 * SECOND, &done, &err), SABOT_ERR_STATE);
    assert_true(done);
    assert_int_equal(job_state(job), JOB_FAILED);
    assert_non_null(strstr(err.message, "4 checkpoints in a row failed"));
    assert_non_null(strstr(err.message, "No space left on device"));
    assert_true(job_checkpoints_completed(job) > 0);
    job_free(job);
    env_faulty_free(env);
    options.restore_from = dir;
    plan.stream.pause_ns = 0;
    finish(start(&plan, &options));
    assert_true(test_store_equals(&plan.store, &plan.stream, plan.window.size_ms));
    plan_clear(&plan);
}

/* What is tolerated of a checkpoint is tolerated of the last one, which commits; and no more. */
static void a_last_checkpoint_that_fails_is_taken_again(void **state) {
    (void)state;
    for (int32_t tolerated = 0; tolerated < 2; tolerated++) {
        struct plan plan;
        plan_init(&plan, 2, 2, 1);
        plan.stream.rows = 40;
        plan.stream.pause_ns = SECOND / 100;
        plan.stream.batch_rows = 5;
        char dir[128];
        snprintf(dir, sizeof dir, "%s/last-%d", folder, tolerated);
        struct job_options options = {.workers = 2, .checkpoint_dir = dir, .checkpoint_failures_max = 1 + tolerated};
        const struct env_fault none = {.at = 0}, fault = {.op = ENV_FAULT_WRITE, .kind = ENV_FAULT_KIND_ERROR, .at = 1};
        struct env *env = env_faulty_new(env_real(), &none);
        struct sabot_error err = {0};
        struct job *job;
        assert_int_equal(job_start(env, &plan.graph, &options, &job, &err), SABOT_OK);
        env_faulty_set(env, &fault);
        bool done = false;
        job_wait(job, 60 * SECOND, &done, &err);
        assert_true(done && env_faulty_fired(env));
        assert_int_equal(job_state(job), tolerated ? JOB_FINISHED : JOB_FAILED);
        assert_int_equal(strstr(err.message, "Input/output error") != NULL, !tolerated);
        assert_int_equal(job_checkpoints_completed(job), tolerated);
        if (tolerated) { assert_true(test_store_equals(&plan.store, &plan.stream, plan.window.size_ms)); }
        job_free(job);
        env_faulty_free(env);
        plan_clear(&plan);
    }
}

static void a_damaged_state_file_is_refused(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan, 1, 1, 1);
    plan.stream.rows = INT64_C(1) << 40;
    plan.stream.pause_ns = 1000000;
    char savepoint[128], file[4096] = "";
    snprintf(savepoint, sizeof savepoint, "%s/damaged", folder);
    struct job *job = start(&plan, &(struct job_options){.workers = 1});
    struct sabot_error err = {0};
    assert_int_equal(job_checkpoint(job, savepoint, NULL, &err), SABOT_OK);
    job_free(job);
    char **names;
    size_t n;
    assert_int_equal(env_list(env_real(), savepoint, &names, &n, NULL), SABOT_OK);
    for (size_t i = 0; i < n; i++) {
        if (strstr(names[i], "source")) { snprintf(file, sizeof file, "%s/%s", savepoint, names[i]); }
    }
    env_names_free(names, n);
    char *data;
    size_t size;
    assert_int_equal(env_read_file(env_real(), file, &data, &size, NULL), SABOT_OK);
    data[size / 2] ^= 1;
    assert_int_equal(env_write_file(env_real(), file, data, size, NULL), SABOT_OK);
    free(data);
    const struct job_options options = {.workers = 1, .restore_from = savepoint};
    assert_int_equal(job_start(env_real(), &plan.graph, &options, &job, &err), SABOT_ERR_CORRUPT);
    assert_non_null(strstr(err.message, "source"));
    plan_clear(&plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_same_at_every_parallelism),
        cmocka_unit_test(a_failure_names_the_operator),
        cmocka_unit_test(a_savepoint_of_a_job_that_is_over_says_why),
        cmocka_unit_test(cancel_ends_a_job_that_would_not_end),
        cmocka_unit_test(stop_without_checkpoints_commits_what_came_out),
        cmocka_unit_test(a_stopped_job_goes_on_at_another_parallelism),
        cmocka_unit_test(a_cancelled_job_goes_on_from_its_last_checkpoint),
        cmocka_unit_test(rows_that_barriers_overtook_come_back),
        cmocka_unit_test(checkpoints_leave_a_pause),
        cmocka_unit_test(a_full_disk_ends_the_job_when_it_is_not_tolerated_any_more),
        cmocka_unit_test(a_last_checkpoint_that_fails_is_taken_again),
        cmocka_unit_test(a_damaged_state_file_is_refused),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
