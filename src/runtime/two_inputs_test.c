/* A job with an operator of two inputs: a join of two streams gives the same rows at every parallelism. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ops/specs.h"
#include "runtime/job.h"
#include "tests/util/test_ops.h"

#define SECOND INT64_C(1000000000)

static int by_row(const void *a, const void *b) { return memcmp(a, b, sizeof(struct test_result)); }

static void expect_pairs(struct test_store *store, const struct test_stream *streams) {
    const int64_t n_left = streams[0].splits * streams[0].rows, n_right = streams[1].splits * streams[1].rows;
    struct test_result *pairs = calloc((size_t)(n_left * n_right), sizeof *pairs);
    int64_t n = 0;
    for (int64_t l = 0; l < n_left; l++) {
        const struct test_row left = test_stream_row(&streams[0], (int32_t)(l / streams[0].rows), l % streams[0].rows);
        for (int64_t r = 0; r < n_right; r++) {
            const struct test_row right =
                test_stream_row(&streams[1], (int32_t)(r / streams[1].rows), r % streams[1].rows);
            if (left.key != right.key) { continue; }
            pairs[n++] = (struct test_result){left.key, left.ts_ms, left.value, right.value};
        }
    }
    assert_int_equal(store->n, n);
    qsort(store->rows, (size_t)n, sizeof *pairs, by_row);
    qsort(pairs, (size_t)n, sizeof *pairs, by_row);
    assert_memory_equal(store->rows, pairs, (size_t)n * sizeof *pairs);
    free(pairs);
}

static void run(int32_t sources, int32_t joins, int32_t sinks, int32_t workers) {
    struct sabot_error err = {0};
    const struct test_stream streams[] = {
        {.splits = 3, .rows = 200, .keys = 40, .step_ms = 7, .disorder_ms = 100, .batch_rows = 37},
        {.splits = 2, .rows = 150, .keys = 60, .step_ms = 5, .disorder_ms = 50, .batch_rows = 11}};
    struct test_store store;
    test_store_init(&store, env_real());
    static const int32_t columns[] = {0, 1, 2, 5}, keys[] = {0};
    const struct test_sink sink = {.store = &store, .slow = workers == 2, .columns = columns};
    struct schema *rows = test_stream_schema(), *output;
    struct field fields[6];
    for (int32_t i = 0; i < 6; i++) { fields[i] = rows->fields[i % 3]; }
    assert_int_equal(schema_new(fields, 6, &output, &err), SABOT_OK);
    const struct join_options options = {.kind = JOIN_INNER, .left_keys = keys, .right_keys = keys, .n_keys = 1,
                                         .left = rows, .right = rows, .left_window_end = -1, .right_window_end = -1};
    const struct op_spec specs[] = {{&test_source_op, &streams[0], rows, "left", "Source[left]", NULL},
                                    {&test_source_op, &streams[1], rows, "right", "Source[right]", NULL},
                                    {&op_join, &options, output, "join", "Join[key]", NULL},
                                    {&test_sink_op, &sink, output, "sink", "Sink[store]", NULL}};
    const struct op_spec *chain[] = {&specs[0], &specs[1], &specs[2], &specs[3]};
    const struct job_edge edges[] = {
        {.from = 0, .input = 0, .exchange = EXCHANGE_HASH, .keys = keys, .n_keys = 1},
        {.from = 1, .input = 1, .exchange = EXCHANGE_HASH, .keys = keys, .n_keys = 1},
        {.from = 2, .exchange = EXCHANGE_REBALANCE}};
    const struct job_vertex vertices[] = {{"left", &chain[0], 1, sources, NULL, 0},
                                          {"right", &chain[1], 1, 1, NULL, 0},
                                          {"join", &chain[2], 1, joins, edges, 2},
                                          {"sink", &chain[3], 1, sinks, edges + 2, 1}};
    const struct job_graph graph = {vertices, 4};
    struct job *job;
    bool done;
    const struct job_options job_options = {.workers = workers, .batch_rows = 64};
    if (job_start(env_real(), &graph, &job_options, &job, &err) != SABOT_OK ||
        job_wait(job, 120 * SECOND, &done, &err) != SABOT_OK) {
        fail_msg("%s", err.message);
    }
    assert_true(done);
    job_free(job);
    expect_pairs(&store, streams);
    assert_int_equal(store.watermarks_back, 0);
    test_store_clear(&store);
    schema_unref(rows);
    schema_unref(output);
}

static void a_join_of_two_streams_is_the_same_at_every_parallelism(void **state) {
    (void)state;
    run(1, 1, 1, 1);
    run(2, 2, 1, 2);
    run(3, 5, 2, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_join_of_two_streams_is_the_same_at_every_parallelism)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
