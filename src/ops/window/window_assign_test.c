/* Window functions without aggregation: every row once for each window that holds it, by the definition of the window.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/op_harness.h"

static int text_order(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void run(struct window_spec window, int32_t n) {
    struct test_random random = {(uint64_t)n * 77 + 5};
    struct schema *input = test_schema((struct field[]){{"id", type_of(TYPE_INT64)}, {"ts", type_timestamp(6)}}, 2);
    struct schema *output = test_schema((struct field[]){{"id", type_of(TYPE_INT64)}, {"ts", type_timestamp(6)},
                                                         {"window_start", type_timestamp(3)},
                                                         {"window_end", type_timestamp(3)},
                                                         {"window_time", type_timestamp(6)}}, 5);
    window.time_column = 1;
    const struct window_assign_options options = {.window = window};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_window_assign, &options, input, output);
    harness_open(harness);
    int64_t ids[3000], times[3000];
    char **expected = malloc(100000 * sizeof *expected);
    int32_t n_expected = 0;
    const int64_t period = window.kind == WINDOW_HOP ? window.slide_ms : window.size_ms;
    for (int32_t i = 0; i < n; i++) {
        ids[i] = i;
        times[i] = (int64_t)(test_random(&random) % 20000000) - 10000000; /* us around 0 */
        for (int64_t k = -60000 / period; k <= 60000 / period; k++) {
            const int64_t start = window.offset_ms + k * period;
            const int64_t step = window.kind == WINDOW_CUMULATE ? window.slide_ms : window.size_ms;
            for (int64_t end = start + step; end <= start + window.size_ms; end += step) {
                if (times[i] < start * 1000 || times[i] >= end * 1000) { continue; }
                char text[200];
                snprintf(text, sizeof text, "%d|%lld|%lld|%lld|%lld", i, (long long)times[i], (long long)start,
                         (long long)end, (long long)(end - 1) * 1000);
                expected[n_expected++] = strdup(text);
            }
        }
    }
    struct column *columns[] = {test_column_i64(&harness->pool, ids, NULL, n),
                                test_column_i64(&harness->pool, times, NULL, n)};
    harness_batch(harness, test_batch(input, columns, 2));
    harness_end(harness);
    int32_t n_rows;
    char **rows = harness_rows(harness, &n_rows);
    qsort(expected, (size_t)n_expected, sizeof *expected, text_order);
    assert_int_equal(n_rows, n_expected);
    for (int32_t i = 0; i < n_rows; i++) { assert_string_equal(rows[i], expected[i]); }
    test_rows_free(rows, n_rows);
    test_rows_free(expected, n_expected);
    harness_close(harness);
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void each_row_is_in_every_window_that_holds_it(void **state) {
    (void)state;
    run((struct window_spec){.kind = WINDOW_TUMBLE, .size_ms = 700, .slide_ms = 700, .offset_ms = 50}, 2000);
    run((struct window_spec){.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 250}, 2000);
    run((struct window_spec){.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 300, .offset_ms = -20}, 2000);
    run((struct window_spec){.kind = WINDOW_HOP, .size_ms = 200, .slide_ms = 300}, 2000);
    run((struct window_spec){.kind = WINDOW_CUMULATE, .size_ms = 1000, .slide_ms = 200, .offset_ms = 10}, 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_row_is_in_every_window_that_holds_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
