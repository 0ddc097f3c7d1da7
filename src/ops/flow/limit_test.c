/* LIMIT and OFFSET over batches of any size, and that a restored job does not give more rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/op_harness.h"

static struct schema *schema;
static int setup(void **state) {
    (void)state;
    schema = test_schema((struct field[]){{"n", type_of(TYPE_INT64)}}, 1);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    schema_unref(schema);
    return 0;
}

static struct batch *numbers(struct op_harness *harness, int64_t first, int32_t n) {
    int64_t values[100];
    for (int32_t i = 0; i < n; i++) { values[i] = first + i; }
    struct column *column = test_column_i64(&harness->pool, values, NULL, n);
    return test_batch(schema, &column, 1);
}

/* Gives numbers 0..99 in batches of `size`, restarting now and then; expects limit rows from offset on, in order. */
static void run(int64_t limit, int64_t offset, int32_t size, bool select_odd) {
    const struct limit_options options = {.limit = limit, .offset = offset};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_limit, &options, schema, schema);
    harness_open(harness);
    for (int32_t first = 0; first < 100; first += size) {
        const int32_t n = 100 - first < size ? 100 - first : size;
        struct batch *batch = numbers(harness, first, n);
        if (select_odd) {
            int32_t rows[100], m = 0;
            for (int32_t i = 0; i < n; i++) {
                if ((first + i) % 2) { rows[m++] = i; }
            }
            batch = test_select(&harness->pool, batch, rows, m);
        }
        harness_batch(harness, batch);
        if (first / size % 3 == 0) { harness_restart(harness, first); }
    }
    if (limit >= 0 && limit + (double)offset <= 50) { assert_true(harness->op->satisfied); }
    if (limit < 0 || limit + (double)offset > 100) { assert_false(harness->op->satisfied); }
    harness_end(harness);
    int64_t expected = offset, given = 0;
    const int64_t rows = select_odd ? 50 : 100;
    for (int32_t e = 0; e < harness->n_events; e++) {
        const struct batch *batch = harness->events[e].batch;
        for (int32_t i = 0; batch && i < batch->selected; i++, given++, expected++) {
            const int64_t value = ((const int64_t *)batch->columns[0]->values)[batch_row(batch, i)];
            assert_int_equal(value, select_odd ? 2 * expected + 1 : expected);
        }
    }
    const int64_t left = rows > offset ? rows - offset : 0;
    assert_int_equal(given, limit < 0 || limit > left ? left : limit);
    assert_true(harness->events[harness->n_events - 1].is_end);
    harness_close(harness);
    free(harness);
}

static void the_first_rows_pass(void **state) {
    (void)state;
    const int64_t limits[] = {-1, 0, 1, 7, 99, 100, 1000, INT64_MAX}, offsets[] = {0, 1, 10, 99, 100, 500};
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++) {
            for (int32_t size = 1; size <= 100; size += 33) {
                run(limits[l], offsets[o], size, false);
                run(limits[l], offsets[o], size, true);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_rows_pass)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
