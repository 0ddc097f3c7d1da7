/* Quantiles are right within the histogram's step, and merging adds up. */
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void small_values_are_exact(void **state) {
    (void)state;
    struct histogram *histogram = histogram_new();
    assert_int_equal(histogram_quantile(histogram, 0.5), 0);
    for (int64_t i = 1; i <= 100; i++) { histogram_record(histogram, i, 1); }
    assert_int_equal(histogram_count(histogram), 100);
    assert_int_equal(histogram_quantile(histogram, 0), 1);
    assert_int_equal(histogram_quantile(histogram, 0.5), 50);
    assert_int_equal(histogram_quantile(histogram, 0.99), 99);
    assert_int_equal(histogram_quantile(histogram, 1), 100);
    histogram_free(histogram);
}

static void large_values_are_within_the_step(void **state) {
    (void)state;
    for (int64_t value = 1; value < INT64_C(1) << 50; value = value * 3 + 1) {
        struct histogram *histogram = histogram_new();
        histogram_record(histogram, value, 7);
        histogram_record(histogram, INT64_C(1) << 49, 1);
        const int64_t found = histogram_quantile(histogram, 0.5);
        if (value < INT64_C(1) << 49) {
            assert_true(found >= value);
            assert_true((double)(found - value) <= (double)value / 64);
        }
        histogram_free(histogram);
    }
}

static void values_out_of_range_are_clamped(void **state) {
    (void)state;
    struct histogram *histogram = histogram_new();
    histogram_record(histogram, -5, 1);
    histogram_record(histogram, INT64_MAX, 1);
    assert_int_equal(histogram_quantile(histogram, 0), 0);
    assert_int_equal(histogram_quantile(histogram, 1), (INT64_C(1) << 50) - 1);
    histogram_free(histogram);
}

static void merged_histograms_count_both(void **state) {
    (void)state;
    struct histogram *a = histogram_new(), *b = histogram_new();
    histogram_record(a, 10, 3);
    histogram_record(b, 1000000, 1);
    histogram_merge(a, b);
    assert_int_equal(histogram_count(a), 4);
    assert_int_equal(histogram_quantile(a, 0.75), 10);
    assert_int_equal(histogram_quantile(a, 1), 1000000);
    histogram_free(a);
    histogram_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(large_values_are_within_the_step),
        cmocka_unit_test(values_out_of_range_are_clamped),
        cmocka_unit_test(merged_histograms_count_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
