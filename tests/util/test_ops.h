/* Small operators for tests of the runtime: a source of numbers, a filter, a windowed sum and a sink that commits.
 * They keep to the contract of op.h, and what they should give is computed by plain loops. */
#ifndef TESTS_UTIL_TEST_OPS_H
#define TESTS_UTIL_TEST_OPS_H

#include "ops/op.h"

/* Rows of a test stream: [key BIGINT, ts TIMESTAMP(3), value BIGINT]. Row i of split s is a pure function of both. */
struct test_row {
    int64_t key, ts_ms, value;
};
struct test_stream {
    int32_t splits;      /* spread over the subtasks; positions are per split */
    int64_t rows;        /* per split */
    int64_t keys;
    int64_t step_ms;     /* event time between two rows of a split */
    int64_t disorder_ms; /* a row is at most so much out of order; also the watermark's distance */
    int64_t eager_ms;    /* the watermark is so much nearer: rows come late */
    int32_t batch_rows;  /* at most; sizes are random in the simulator */
    int64_t pause_ns;    /* rest between two batches; 0 = none */
    int64_t fail_at;     /* a subtask fails when a split gets there; 0 = never */
};
struct test_row test_stream_row(const struct test_stream *stream, int32_t split, int64_t i);

/* Everything a sink has taken: the outside world, which outlives jobs. Rows become visible by commit. */
struct test_result {
    int64_t key, window_end_ms, sum, count;
};
struct test_pending {
    int64_t checkpoint_id; /* -1: not prepared yet */
    int32_t subtask;
    struct test_result *rows;
    int64_t n, capacity;
};
struct test_store {
    struct env_mutex *mutex;
    struct test_result *rows; /* committed */
    int64_t n, capacity;
    struct test_pending pending[1024];
    int32_t n_pending;
    int64_t batches, watermarks_back; /* a watermark that moved back: never */
};
void test_store_init(struct test_store *store, struct env *env);
void test_store_clear(struct test_store *store);
/* Sorts what is committed and compares it with what the stream gives; prints the first difference. */
bool test_store_equals(struct test_store *store, const struct test_stream *stream, int64_t window_ms);

struct test_window {
    int64_t size_ms;
};
struct test_sink {
    struct test_store *store;
    bool slow; /* makes its operator busy now and then, and goes on when woken */
    const int32_t *columns; /* where key, window_end, sum and count stand; NULL: in this order */
};

extern const struct op_type test_source_op; /* options: struct test_stream */
extern const struct op_type test_filter_op; /* drops keys that 3 divides */
extern const struct op_type test_window_op; /* options: struct test_window; [key, window_end, sum, count] */
extern const struct op_type test_sink_op;   /* options: struct test_sink */

struct schema *test_stream_schema(void); /* a new reference */
struct schema *test_result_schema(void);

#endif
