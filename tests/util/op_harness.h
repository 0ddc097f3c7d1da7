/* Runs one operator by hand: opens it with a pool and state tables of its own, collects what it emits, takes it through
 * snapshot and restore. Every failure ends the test with the operator's message. */
#ifndef TESTS_UTIL_OP_HARNESS_H
#define TESTS_UTIL_OP_HARNESS_H

#include "ops/specs.h"
#include "tests/util/chain_check.h"

#define HARNESS_EVENTS_MAX 65536

struct harness_event {
    struct batch *batch;  /* NULL: a watermark, idle or the end */
    int64_t watermark_ms;
    bool is_idle, is_end;
};
struct op_harness {
    struct op_out out; /* first: the operator's output is this */
    struct memory_pool pool;
    struct metrics metrics;
    struct op_spec spec;
    struct op_context context;
    struct state_tables *tables;
    struct op *op;
    struct harness_event events[HARNESS_EVENTS_MAX];
    int32_t n_events;
    int32_t room;        /* batches until is_full() says so; negative: never */
    int32_t input;       /* of the operator, that harness_batch feeds */
    struct op_out *next; /* where events go instead of the list, or NULL */
    /* Between what the operator is given, snapshots of its tables are taken and compared with what was there. */
    struct memory_pool check_pool;
    struct chain_check *check;
    int32_t n_given;
    bool is_frozen;
};

/* The schema references are the caller's. */
void harness_init(struct op_harness *harness, const struct op_type *type, const void *options, struct schema *input,
                  struct schema *output);
void harness_open(struct op_harness *harness);
sabot_status harness_try_open(struct op_harness *harness, struct sabot_error *err);
void harness_batch(struct op_harness *harness, struct batch *batch); /* takes over */
sabot_status harness_try_batch(struct op_harness *harness, struct batch *batch, struct sabot_error *err);
void harness_watermark(struct op_harness *harness, int64_t watermark_ms);
void harness_idle(struct op_harness *harness);
void harness_end(struct op_harness *harness); /* WATERMARK_END and the end */
void harness_resume(struct op_harness *harness);
/* Barrier, snapshot, close, restore into a new operator. */
void harness_restart(struct op_harness *harness, int64_t checkpoint_id);
/* Before its tables are freed. */
void harness_check_end(struct op_harness *harness);
void harness_forget(struct op_harness *harness); /* empties the list of events */
void harness_close(struct op_harness *harness);  /* checks that nothing leaked */

/* To say that state is on disk: the pool of a member gets `spill`. Rows wait then, until a barrier at the latest. */
struct test_disk {
    struct spill *spill;
    void *block;
};
void test_disk_open(struct test_disk *disk);
void test_disk_close(struct test_disk *disk);

/* --- batches by hand */
struct column *test_column_i64(struct memory_pool *pool, const int64_t *values, const bool *nulls, int32_t n);
struct column *test_column_i32(struct memory_pool *pool, const int32_t *values, const bool *nulls, int32_t n);
struct column *test_column_f64(struct memory_pool *pool, const double *values, const bool *nulls, int32_t n);
struct column *test_column_bool(struct memory_pool *pool, const bool *values, const bool *nulls, int32_t n);
struct column *test_column_text(struct memory_pool *pool, const char *const *values /* NULL = NULL */, int32_t n);
struct batch *test_batch(struct schema *schema, struct column *const *columns, int32_t n_columns);
/* Selects rows[0..n). Takes over the batch. */
struct batch *test_select(struct memory_pool *pool, struct batch *batch, const int32_t *rows, int32_t n);
struct schema *test_schema(const struct field *fields, int32_t n);
/* Cells joined by '|', NULL as "NULL"; integers, doubles (%g), strings; decimals and timestamps unscaled. */
void test_row_text(const struct batch *batch, int32_t row, char *target, size_t size);
/* All rows of all batches that came out, sorted; free each and the list. */
char **harness_rows(const struct op_harness *harness, int32_t *n);
/* What came out since the last call, as "+I 1|5; -U 1|5; +U 1|6"; empties the list of events. */
void harness_changes(struct op_harness *harness, char *target, size_t size);
void test_rows_free(char **rows, int32_t n);

/* Random numbers with a seed. */
struct test_random {
    uint64_t state;
};
uint64_t test_random(struct test_random *random);
int32_t test_below(struct test_random *random, int32_t n);

#endif
