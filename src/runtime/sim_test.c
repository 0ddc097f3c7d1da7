/* Whole jobs under the simulator: for each seed another order of steps, other batch sizes, delays and parallelism,
 * and always the rows that plain loops compute. A seed that fails is run again alone with SABOT_SIM_SEED=<seed>. */
#include "runtime/job.h"

#include "base/env_sim.h"
#include "base/log.h"
#include "ops/process/process.h"
#include "runtime/job_impl.h"
#include "ops/specs.h"
#include "tests/util/test_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 1000
#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define VIRTUAL_HOUR (INT64_C(3600) * 1000 * MILLISECOND)

/* --- a window as a process function: maps by window, a timer for each */
enum { SUMS, COUNTS };
static const struct sabot_process_state process_states[] = {
    {.name = "sums", .kind = SABOT_MAP, .type = SABOT_BIGINT, .map_key = SABOT_BIGINT},
    {.name = "counts", .kind = SABOT_MAP, .type = SABOT_BIGINT, .map_key = SABOT_BIGINT}};
static const struct sabot_process_timer process_timers[] = {{.name = "end", .time = SABOT_EVENT_TIME, .many = true}};
static const struct sabot_process_column process_inputs[] = {
    {"key", "BIGINT"}, {"ts", "TIMESTAMP(3)"}, {"value", "BIGINT"}};
static const struct sabot_process_column process_columns[] = {
    {"window_end", "BIGINT"}, {"sum", "BIGINT"}, {"count", "BIGINT"}};

static sabot_status map_add(struct sabot_process *process, int32_t state, int32_t key, int64_t window, int64_t delta,
                            struct sabot_error *err) {
    int64_t value = 0;
    bool found;
    SABOT_TRY(sabot_map_get(process, state, &key, &window, 1, &value, &found, err));
    value = (found ? value : 0) + delta;
    return sabot_map_put(process, state, &key, &window, 1, &value, err);
}

static sabot_status process_rows(void *size_ms, struct sabot_process *process, const struct sabot_process_call *call,
                                 struct sabot_error *err) {
    const int64_t size = *(const int64_t *)size_ms;
    const struct ArrowArray *column = call->rows->children[2];
    const int64_t *values = (const int64_t *)column->buffers[1] + column->offset;
    for (int32_t k = 0; k < call->n_keys; k++) {
        for (int32_t i = call->key_starts[k]; i < call->key_starts[k + 1]; i++) {
            const int64_t end = call->times_ms[i] / size * size + size, fires = end - 1;
            SABOT_TRY(map_add(process, SUMS, k, end, values[i], err));
            SABOT_TRY(map_add(process, COUNTS, k, end, 1, err));
            SABOT_TRY(sabot_timer_set(process, 0, &k, 1, &fires, err));
        }
    }
    return SABOT_OK;
}

struct process_rows_out {
    struct ArrowArray columns[3], *children[3];
    const void *buffers[3][2], *none[1];
    int64_t *values[3];
};

static void column_release(struct ArrowArray *array) { array->release = NULL; }
static void rows_release(struct ArrowArray *array) {
    struct process_rows_out *rows = array->private_data;
    for (int c = 0; c < 3; c++) { free(rows->values[c]); }
    free(rows);
    array->release = NULL;
}

static sabot_status process_timer(void *size_ms, struct sabot_process *process, const struct sabot_process_call *call,
                                  struct sabot_error *err) {
    (void)size_ms;
    const int32_t n = call->n_keys;
    struct process_rows_out *rows = calloc(1, sizeof *rows);
    struct ArrowArray array = {.length = n, .n_buffers = 1, .buffers = rows->none, .n_children = 3,
                               .children = rows->children, .release = rows_release, .private_data = rows};
    for (int c = 0; c < 3; c++) {
        rows->values[c] = calloc((size_t)n + 1, sizeof(int64_t));
        rows->buffers[c][1] = rows->values[c];
        rows->columns[c] = (struct ArrowArray){.length = n, .n_buffers = 2, .buffers = rows->buffers[c],
                                               .release = column_release};
        rows->children[c] = &rows->columns[c];
    }
    int64_t *ends = rows->values[0];
    for (int32_t k = 0; k < n; k++) { ends[k] = call->times_ms[k] + 1; }
    bool *found = calloc((size_t)n + 1, sizeof *found);
    sabot_status status = sabot_map_get(process, SUMS, NULL, ends, n, rows->values[1], found, err);
    if (status == SABOT_OK) { status = sabot_map_get(process, COUNTS, NULL, ends, n, rows->values[2], found, err); }
    if (status == SABOT_OK) { status = sabot_map_remove(process, SUMS, NULL, ends, n, err); }
    if (status == SABOT_OK) { status = sabot_map_remove(process, COUNTS, NULL, ends, n, err); }
    free(found);
    if (status == SABOT_OK) { return sabot_emit(process, &array, NULL, err); }
    rows_release(&array);
    return status;
}

/* source -> filter [-> local window | key], hash -> window, (rebalance | gather) -> sink; everything that the seed
 * decides is drawn from `env` */
struct world {
    struct env *env;
    uint64_t seed;
    struct test_stream stream;
    struct test_window window;
    struct test_sink sink;
    struct test_store store;
    struct schema *rows, *results, *partials;
    struct window_aggregate_options local, global; /* of the product's own windows */
    struct process_function function;
    struct process_options process;
    struct process_key_options process_key;
    struct schema *keyed;
    struct op_spec specs[5];
    const struct op_spec *chain[5];
    int32_t keys[1];
    struct job_edge edges[2];
    struct job_vertex vertices[3];
    struct job_graph graph;
    struct job_options options;
};

static int32_t draw(struct world *world, int32_t low, int32_t high) {
    return low + (int32_t)(env_random(world->env) % (uint64_t)(high - low + 1));
}

static void parallelism_draw(struct world *world) {
    for (int32_t v = 0; v < 3; v++) { world->vertices[v].parallelism = draw(world, 1, 7); }
    world->edges[1].exchange = world->vertices[2].parallelism == 1 ? EXCHANGE_GATHER : EXCHANGE_REBALANCE;
    world->options.workers = draw(world, 1, 4);
    world->options.channel_batches = draw(world, 1, 6);
}

/* A process function with state and timers. */
static void process_make(struct world *world) {
    static const int32_t first_column[] = {0};
    const struct field out[] = {{"key", type_of(TYPE_INT64)}, {"window_end", type_of(TYPE_INT64)},
                                {"sum", type_of(TYPE_INT64)}, {"count", type_of(TYPE_INT64)},
                                {"rowtime", type_timestamp(3)}};
    struct field keyed[4];
    memcpy(keyed, world->rows->fields, 3 * sizeof *keyed);
    keyed[3] = process_key_field(PROCESS_KEY_NUMBER);
    schema_unref(world->results);
    assert_int_equal(schema_new(out, 5, &world->results, NULL), SABOT_OK);
    assert_int_equal(schema_new(keyed, 4, &world->keyed, NULL), SABOT_OK);
    world->function = (struct process_function){
        .name = "windows",
        .definition = {.size = sizeof world->function.definition, .inputs = process_inputs, .n_inputs = 3,
                       .columns = process_columns, .n_columns = 3, .states = process_states, .n_states = 2,
                       .timers = process_timers, .n_timers = 1, .process = process_rows, .on_timer = process_timer,
                       .user = &world->window.size_ms},
        .inputs = world->rows->fields, .columns = world->results->fields + 1};
    world->process = (struct process_options){
        .function = &world->function, .rows = world->rows, .passed = first_column, .n_passed = 1,
        .keys = first_column, .n_keys = 1, .time_column = 1};
    world->process_key = (struct process_key_options){.keys = first_column, .n_keys = 1};
    world->specs[2] = (struct op_spec){&op_process_key, &world->process_key, world->keyed, "key", "ProcessKey", NULL};
    world->specs[3] = (struct op_spec){&op_process, &world->process, world->results, "process", "Process", NULL};
    world->specs[4].output = world->results;
    world->vertices[0].n_ops = 3;
    world->keys[0] = 3;
}

/* The window of the tests; the product's, in one phase, or one phase before and one behind the exchange; or a process
 * function. */
static void windows_draw(struct world *world) {
    static const struct aggregate_call calls[] = {
        {.kind = AGGREGATE_SUM, .argument = 2, .filter = -1, .type = {.kind = TYPE_INT64, .nullable = true}},
        {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1, .type = {.kind = TYPE_INT64}},
    };
    static const enum window_property properties[] = {WINDOW_END};
    static const int32_t columns[] = {0, 3, 1, 2}, first_column[] = {0};
    const int32_t kind = draw(world, 0, 3);
    if (kind == 0) { return; }
    if (kind == 3) {
        process_make(world);
        return;
    }
    world->local = (struct window_aggregate_options){
        .window = {.kind = WINDOW_TUMBLE, .size_ms = world->window.size_ms, .slide_ms = world->window.size_ms,
                   .time_column = 1},
        .keys = first_column, .n_keys = 1, .calls = calls, .n_calls = 2, .properties = properties, .n_properties = 1};
    world->global = world->local;
    world->sink.columns = columns;
    const struct field fields[] = {{"key", type_of(TYPE_INT64)}, {"sum", type_of(TYPE_INT64)},
                                   {"count", type_of(TYPE_INT64)}, {"window_end", type_timestamp(3)}};
    schema_unref(world->results);
    assert_int_equal(schema_new(fields, 4, &world->results, NULL), SABOT_OK);
    world->specs[3] = (struct op_spec){&op_window_aggregate, &world->global, world->results, "window",
                                       "WindowAggregate", NULL};
    world->specs[4].output = world->results;
    if (kind == 1) { return; }
    assert_int_equal(window_partial_schema(&world->local, world->rows, &world->partials, NULL), SABOT_OK);
    world->global.merges_partials = true;
    world->global.raw_input = world->rows;
    world->global.local = &world->local;
    world->specs[2] = (struct op_spec){&op_window_local, &world->local, world->partials, "local", "WindowLocal", NULL};
    world->vertices[0].n_ops = 3;
    world->keys[0] = 2;
}

static void world_init(struct world *world, uint64_t seed) {
    memset(world, 0, sizeof *world);
    world->seed = seed;
    world->env = env_sim_new(&(struct env_sim_options){
        .seed = seed, .short_reads = true, .work_delay_max_ns = seed % 3 == 0 ? 2 * MILLISECOND : 30 * MICROSECOND});
    world->stream = (struct test_stream){
        .splits = draw(world, 1, 6),
        .rows = draw(world, 20, 200),
        .keys = draw(world, 1, 30),
        .step_ms = draw(world, 1, 50),
        .disorder_ms = draw(world, 0, 300),
        .batch_rows = draw(world, 1, 40),
        .pause_ns = draw(world, 0, 1) * MILLISECOND,
    };
    world->window.size_ms = draw(world, 50, 1000);
    test_store_init(&world->store, world->env);
    world->sink = (struct test_sink){.store = &world->store, .slow = draw(world, 0, 1) == 1};
    world->rows = test_stream_schema();
    world->results = test_result_schema();
    world->specs[0] = (struct op_spec){&test_source_op, &world->stream, world->rows, "source", "Source[numbers]", NULL};
    world->specs[1] = (struct op_spec){&test_filter_op, NULL, world->rows, "filter", "Filter[key % 3 <> 0]", NULL};
    world->specs[3] = (struct op_spec){&test_window_op, &world->window, world->results, "window", "Window", NULL};
    world->specs[4] = (struct op_spec){&test_sink_op, &world->sink, world->results, "sink", "Sink[store]", NULL};
    for (int32_t i = 0; i < 5; i++) { world->chain[i] = &world->specs[i]; }
    world->edges[0] = (struct job_edge){.from = 0, .exchange = EXCHANGE_HASH, .keys = world->keys, .n_keys = 1};
    world->edges[1] = (struct job_edge){.from = 1};
    world->vertices[0] = (struct job_vertex){"source", world->chain, 2, 1, NULL, 0};
    world->vertices[1] = (struct job_vertex){"window", world->chain + 3, 1, 1, world->edges, 1};
    world->vertices[2] = (struct job_vertex){"sink", world->chain + 4, 1, 1, world->edges + 1, 1};
    world->graph = (struct job_graph){world->vertices, 3};
    windows_draw(world);
    parallelism_draw(world);
}

static void world_clear(struct world *world) {
    test_store_clear(&world->store);
    schema_unref(world->rows);
    schema_unref(world->results);
    schema_unref(world->partials);
    schema_unref(world->keyed);
    env_sim_free(world->env);
}

static void check(struct world *world, bool right, const char *what, const struct sabot_error *err) {
    if (right) { return; }
    fail_msg("seed %llu: %s%s%s\n  run it again: SABOT_SIM_SEED=%llu build/tests/runtime.sim_test",
             (unsigned long long)world->seed, what, err && err->status != SABOT_OK ? ": " : "",
             err ? err->message : "", (unsigned long long)world->seed);
}

static void run_to_the_end(struct world *world) {
    struct sabot_error err = {0};
    struct job *job;
    check(world, job_start(world->env, &world->graph, &world->options, &job, &err) == SABOT_OK, "start", &err);
    bool done = false;
    const bool ran = job_wait(job, VIRTUAL_HOUR, &done, &err) == SABOT_OK;
    check(world, ran, "the job failed", &err);
    check(world, done, "the job did not end within an hour of virtual time", NULL);
    job_free(job);
}

static void check_rows(struct world *world) {
    check(world, world->store.watermarks_back == 0, "a watermark moved back", NULL);
    check(world, test_store_equals(&world->store, &world->stream, world->window.size_ms), "wrong rows", NULL);
}

static void plain_run(uint64_t seed) {
    struct world world;
    world_init(&world, seed);
    run_to_the_end(&world);
    check_rows(&world);
    world_clear(&world);
}

static int64_t batches_overtaken; /* of all runs */
static int64_t jobs_failed;       /* of the runs with a faulty disk */
static int64_t results_of_late_runs;

/* Where the next job starts: at the newest checkpoint, once there is one. */
static void restore_choose(struct world *world, bool completed) {
    if (completed) { world->options.restore_from = world->options.checkpoint_dir; }
    if (world->options.restore_from) { return; }
    /* nothing was committed either; but a manifest may have been written that nobody was told of */
    char **names;
    size_t n;
    if (env_list(world->env, world->options.checkpoint_dir, &names, &n, NULL) != SABOT_OK) { return; }
    for (size_t f = 0; f < n; f++) {
        char path[256];
        struct env_stat found;
        snprintf(path, sizeof path, "%s/%s/MANIFEST", world->options.checkpoint_dir, names[f]);
        if (env_stat(world->env, path, &found, NULL) == SABOT_OK) {
            world->options.restore_from = world->options.checkpoint_dir;
        }
    }
    env_names_free(names, n);
}

static int result_compare(const void *a, const void *b) {
    const struct test_result *left = a, *right = b;
    if (left->window_end_ms != right->window_end_ms) { return left->window_end_ms < right->window_end_ms ? -1 : 1; }
    return (left->key > right->key) - (left->key < right->key);
}

/* What late rows make of the results depends on the schedule; but no window of a key is given out twice. */
static void check_once(struct world *world) {
    if (world->store.n > 1) {
        qsort(world->store.rows, (size_t)world->store.n, sizeof *world->store.rows, result_compare);
    }
    for (int64_t i = 1; i < world->store.n; i++) {
        const struct test_result *row = &world->store.rows[i];
        check(world, result_compare(row - 1, row) != 0, "a window came twice", NULL);
    }
    results_of_late_runs += world->store.n;
}

/* Runs with frequent checkpoints; the power is cut at random moments, or the job is stopped; each restart has another
 * parallelism. */
static void crashes_run(uint64_t seed, bool late) {
    struct world world;
    world_init(&world, seed ^ (late ? 0x1A7Eu : 0xC4A5u));
    world.seed = seed;
    if (late && world.specs[3].type != &op_window_aggregate) { /* which judge no row late */
        world_clear(&world);
        return;
    }
    if (late) { world.stream.eager_ms = draw(&world, 1, 2 * (int32_t)world.stream.disorder_ms + 1); }
    /* Without a pause the channels are full, and barriers have much to overtake; with one they are nearly empty. */
    world.stream.pause_ns = draw(&world, 0, 2) == 0 ? 50 * MICROSECOND : 0;
    world.stream.rows *= 2;
    world.options.checkpoint_dir = "/checkpoints";
    world.options.checkpoint_interval_ns = draw(&world, 5, 500) * MICROSECOND;
    world.options.checkpoints_retained = draw(&world, 1, 3);
    world.options.unaligned = draw(&world, 0, 2) > 0;
    world.options.aligned_timeout_ns = draw(&world, 0, 1) * draw(&world, 0, 200) * MICROSECOND;
    if (draw(&world, 0, 1) == 0) { world.options.batch_rows = draw(&world, 1, 20); }
    world.options.checkpoints_full = draw(&world, 0, 4) == 0;
    world.options.checkpoint_step_slots = draw(&world, 0, 2) ? draw(&world, 1, 20) : 0;
    world.options.checkpoint_failures_max = INT32_MAX;
    const int32_t crashes = draw(&world, 1, 4);
    for (int32_t i = 0; i < crashes; i++) {
        struct sabot_error err = {0};
        struct job *job;
        const bool stops = draw(&world, 0, 3) == 0;
        /* some are given up while they are copied or written: the next barrier finds them so */
        world.options.checkpoint_timeout_ns = stops || draw(&world, 0, 1) ? 0 : draw(&world, 50, 1000) * MICROSECOND;
        check(&world, job_start(world.env, &world.graph, &world.options, &job, &err) == SABOT_OK, "start", &err);
        bool done = false;
        const int64_t until_ns = draw(&world, 5, 3000) * MICROSECOND;
        const bool waited = job_wait(job, until_ns, &done, &err) == SABOT_OK;
        /* a job at its end fails with its last checkpoint */
        const bool gave_up = !waited && world.options.checkpoint_timeout_ns && strstr(err.message, "was not complete");
        check(&world, waited || gave_up, "before a crash", &err);
        if (stops) {
            job_stop(job);
            check(&world, job_wait(job, VIRTUAL_HOUR, &done, &err) == SABOT_OK, "while it stopped", &err);
            check(&world, done, "the job did not stop within an hour of virtual time", NULL);
            check(&world, world.store.n_pending == 0, "a stopped job left rows uncommitted", NULL);
        }
        const bool completed = job_checkpoints_completed(job) > 0;
        batches_overtaken += atomic_load(&job->batches_overtaken);
        env_sim_crash(world.env);
        job_free(job);
        env_sim_restart(world.env);
        restore_choose(&world, completed);
        parallelism_draw(&world);
    }
    world.options.checkpoint_timeout_ns = 0;
    run_to_the_end(&world);
    if (late) {
        check_once(&world);
    } else {
        check_rows(&world);
    }
    world_clear(&world);
}

static void crash_run(uint64_t seed) { crashes_run(seed, false); }
static void late_run(uint64_t seed) { crashes_run(seed, true); }

/* The same on a disk where now and then something fails: checkpoints are given up, jobs fail and are started again. */
static void faulty_run(uint64_t seed) {
    struct world world;
    world_init(&world, seed ^ 0xFA17u);
    world.seed = seed;
    world.stream.pause_ns = draw(&world, 0, 1) * 50 * MICROSECOND;
    world.stream.rows *= 2;
    world.options.checkpoint_dir = "/checkpoints";
    world.options.checkpoint_interval_ns = draw(&world, 5, 500) * MICROSECOND;
    world.options.checkpoints_retained = draw(&world, 1, 3);
    world.options.checkpoint_failures_max = draw(&world, 1, 5);
    world.options.unaligned = draw(&world, 0, 1) > 0;
    world.options.checkpoint_step_slots = draw(&world, 0, 1) * draw(&world, 1, 20);
    const int32_t starts = draw(&world, 1, 6);
    for (int32_t i = 0; i < starts; i++) {
        struct sabot_error err = {0};
        struct job *job = NULL;
        env_sim_fail(world.env, NULL, draw(&world, 5, 500));
        if (job_start(world.env, &world.graph, &world.options, &job, &err) != SABOT_OK) {
            check(&world, err.status == SABOT_ERR_IO, "a start failed for another reason than the disk", &err);
            jobs_failed++;
            env_sim_fail(world.env, NULL, 0);
            restore_choose(&world, false);
            continue;
        }
        bool done = false;
        if (job_wait(job, draw(&world, 5, 5000) * MICROSECOND, &done, &err) != SABOT_OK) {
            const bool says = err.status == SABOT_ERR_IO || strstr(err.message, "Input/output error") ||
                              strstr(err.message, "checkpoints in a row failed");
            check(&world, says, "the job failed for another reason than the disk", &err);
            jobs_failed++;
        }
        const bool completed = job_checkpoints_completed(job) > 0;
        const bool crash = draw(&world, 0, 1) == 0;
        if (crash) { env_sim_crash(world.env); }
        job_free(job);
        env_sim_restart(world.env);
        env_sim_fail(world.env, NULL, 0);
        restore_choose(&world, completed);
        parallelism_draw(&world);
    }
    run_to_the_end(&world);
    check_rows(&world);
    world_clear(&world);
}

static int64_t n_seeds; /* that were run; 0: so few that chance decides what they meet */

static void for_each_seed(void (*run)(uint64_t seed)) {
    uint64_t first, last;
    env_sim_seeds_wanted(SEEDS, &first, &last);
    for (uint64_t s = first; s <= last; s++) { run(s); }
    n_seeds = last - first < 100 ? 0 : (int64_t)(last - first + 1);
}

static void a_thousand_schedules_give_the_same_rows(void **state) {
    (void)state;
    for_each_seed(plain_run);
}

static void committed_rows_are_exact_after_crashes(void **state) {
    (void)state;
    for_each_seed(crash_run);
    print_message("%lld batches were overtaken by barriers\n", (long long)batches_overtaken);
    assert_true(batches_overtaken >= 25 * n_seeds);
}

static void no_window_comes_twice_for_late_rows(void **state) {
    (void)state;
    for_each_seed(late_run);
    print_message("%lld windows\n", (long long)results_of_late_runs);
    assert_true(results_of_late_runs >= 10 * n_seeds);
}

static void committed_rows_are_exact_on_a_disk_that_fails(void **state) {
    (void)state;
    for_each_seed(faulty_run);
    print_message("%lld jobs failed\n", (long long)jobs_failed);
    assert_true(jobs_failed >= n_seeds / 2);
}

static void a_seed_is_a_run(void **state) {
    (void)state;
    int64_t ends[2], batches[2];
    for (int32_t i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, 42);
        run_to_the_end(&world);
        ends[i] = env_now_ns(world.env);
        batches[i] = world.store.batches;
        world_clear(&world);
    }
    assert_int_equal(ends[0], ends[1]);
    assert_int_equal(batches[0], batches[1]);
}

int main(void) {
    log_set_level(LOG_ERROR); /* what a crash leaves behind is no news here */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_a_run),
        cmocka_unit_test(a_thousand_schedules_give_the_same_rows),
        cmocka_unit_test(committed_rows_are_exact_after_crashes),
        cmocka_unit_test(no_window_comes_twice_for_late_rows),
        cmocka_unit_test(committed_rows_are_exact_on_a_disk_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
