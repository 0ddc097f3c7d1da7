/* Connector "test": tables of whole SQL jobs in the simulator. A source reads a test stream (test_ops.h) as
 * [k BIGINT, ts TIMESTAMP(3), v BIGINT, id BIGINT]; what a sink takes is kept outside of the job, becomes visible by
 * commit, and folds a changelog into rows. */
#ifndef TESTS_UTIL_TEST_CONNECTOR_H
#define TESTS_UTIL_TEST_CONNECTOR_H

#include "connect/connector.h"
#include "tests/util/test_ops.h"

#define TEST_CELLS_MAX 8
#define TEST_STREAMS 2
#define TEST_NULL INT64_MIN /* a cell that is NULL */

struct test_kept_row {
    int64_t cells[TEST_CELLS_MAX];
    int64_t times; /* 1, or -1 for a row that is taken back */
};
struct test_kept_rows {
    struct test_kept_row *rows;
    int64_t n, capacity;
};
struct test_transaction {
    int64_t serial, checkpoint_id; /* -1: not prepared yet */
    int64_t instance;              /* of the sink */
    struct test_kept_rows rows;
};
/* All that outlives the jobs of a test. */
struct test_outside {
    struct test_stream streams[TEST_STREAMS]; /* WITH ('stream' = '0') */
    bool slow;                                /* sinks and sources make the job wait now and then */
    struct test_kept_rows visible;
    struct test_transaction *transactions;
    int64_t n_transactions, transactions_capacity;
    int64_t serials, instances;
};

/* The connectors of jobs that are started from now on find this world; one thread. */
void test_outside_use(struct test_outside *outside);
/* Nothing was ever committed: a job starts from the beginning. */
void test_outside_drop_transactions(struct test_outside *outside);
void test_outside_clear(struct test_outside *outside);
/* Sorts the visible rows, adds up equal ones, leaves out those that come to nothing. */
void test_kept_fold(struct test_kept_rows *rows);
/* Both folded; prints the first difference. */
bool test_kept_equal(const struct test_kept_rows *got, const struct test_kept_rows *wanted);

#endif
