/* GROUP BY over bounded input: each aggregate over each type against folds written row by row; NULL rules; DISTINCT,
 * FILTER; no rows at all; overflow. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/aggregate/changes.h"
#include "tests/util/op_harness.h"

/* One result row of one group, as text; the input is given as columns. */
static void expect(struct schema *input, struct column *const *columns, int32_t n_columns, struct op_harness *harness,
                   const char *expected) {
    harness_open(harness);
    if (columns) { harness_batch(harness, test_batch(input, columns, n_columns)); }
    harness_restart(harness, 1);
    harness_end(harness);
    int32_t n;
    char **rows = harness_rows(harness, &n);
    char all[4096] = "";
    for (int32_t i = 0; i < n; i++) {
        strcat(all, i ? " ; " : "");
        strcat(all, rows[i]);
    }
    assert_string_equal(all, expected);
    test_rows_free(rows, n);
    harness_close(harness);
}

static struct schema *results_of(const struct type *types, int32_t n) {
    struct field fields[32];
    for (int32_t i = 0; i < n; i++) { fields[i] = (struct field){"r", types[i]}; }
    return test_schema(fields, n);
}

static void aggregates_of_integers_keep_the_type_and_average_truncates(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"k", type_of(TYPE_INT64)}, {"v", type_of(TYPE_INT32)}}, 2);
    const struct type types[] = {type_of(TYPE_INT64), type_of(TYPE_INT64), type_of(TYPE_INT32), type_of(TYPE_INT32),
                                 type_of(TYPE_INT32), type_of(TYPE_INT32)};
    struct schema *output = results_of(types, 6);
    const struct aggregate_call calls[] = {
        {.kind = AGGREGATE_COUNT, .argument = 1, .filter = -1}, {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1},
        {.kind = AGGREGATE_AVG, .argument = 1, .filter = -1},   {.kind = AGGREGATE_MIN, .argument = 1, .filter = -1},
        {.kind = AGGREGATE_MAX, .argument = 1, .filter = -1},
    };
    const int32_t key = 0;
    const struct group_aggregate_options options = {.keys = &key, .n_keys = 1, .calls = calls, .n_calls = 5};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, output);
    struct column *columns[] = {
        test_column_i64(&harness->pool, (int64_t[]){1, 1, 2, 1, 0, 2, 2}, (bool[]){0, 0, 0, 0, 1, 0, 0}, 7),
        test_column_i32(&harness->pool, (int32_t[]){-5, 2, 0, 99, 7, 0, 0}, (bool[]){0, 0, 1, 1, 0, 1, 1}, 7)};
    expect(input, columns, 2, harness, "1|2|-3|-1|-5|2 ; 2|0|NULL|NULL|NULL|NULL ; NULL|1|7|7|7|7");
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void of_no_rows_counts_are_zero_and_all_else_is_null(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"v", type_not_null(type_of(TYPE_INT64))},
                                                        {"t", type_not_null(type_of(TYPE_STRING))}}, 2);
    const struct type types[] = {type_of(TYPE_INT64), type_of(TYPE_INT64), type_of(TYPE_INT64), type_of(TYPE_STRING),
                                 type_of(TYPE_INT64), type_of(TYPE_INT64)};
    struct schema *output = results_of(types, 6);
    const struct aggregate_call calls[] = {
        {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1},
        {.kind = AGGREGATE_SUM, .argument = 0, .filter = -1},
        {.kind = AGGREGATE_AVG, .argument = 0, .filter = -1},
        {.kind = AGGREGATE_MAX, .argument = 1, .filter = -1},
        {.kind = AGGREGATE_COUNT, .argument = 0, .filter = -1},
        {.kind = AGGREGATE_SUM, .argument = 0, .filter = -1, .distinct = true},
    };
    const struct group_aggregate_options options = {.calls = calls, .n_calls = 6};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, output);
    expect(input, NULL, 0, harness, "0|NULL|NULL|NULL|0|NULL");
    harness_init(harness, &op_group_aggregate, &options, input, output);
    struct column *columns[] = {test_column_i64(&harness->pool, (int64_t[]){5, 5, 8}, NULL, 3),
                                test_column_text(&harness->pool, (const char *const[]){"b", "", "a"}, 3)};
    expect(input, columns, 2, harness, "3|18|6|b|3|13");
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void decimals_are_summed_in_38_digits_and_average_has_six_places(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"v", type_decimal(10, 2)}, {"w", type_decimal(30, 8)}}, 2);
    const struct type types[] = {type_decimal(38, 2), type_decimal(38, 6), type_decimal(10, 2), type_decimal(38, 8),
                                 type_decimal(38, 8)};
    struct schema *output = results_of(types, 5);
    const struct aggregate_call calls[] = {
        {.kind = AGGREGATE_SUM, .argument = 0, .filter = -1}, {.kind = AGGREGATE_AVG, .argument = 0, .filter = -1},
        {.kind = AGGREGATE_MIN, .argument = 0, .filter = -1}, {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1},
        {.kind = AGGREGATE_AVG, .argument = 1, .filter = -1},
    };
    const struct group_aggregate_options options = {.calls = calls, .n_calls = 5};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, output);
    struct column_builder builder;
    struct sabot_error err = {0};
    assert_int_equal(column_builder_init(&builder, &harness->pool, PHYS_I128, 3, false, &err), SABOT_OK);
    ((__int128 *)builder.values)[0] = (__int128)INT64_C(9000000000000000000) * 10;
    ((__int128 *)builder.values)[1] = 1;
    ((__int128 *)builder.values)[2] = -3;
    struct column *wide;
    assert_int_equal(column_builder_finish(&builder, &wide, &err), SABOT_OK);
    /* 10.00, -0.01, -3.32: sum 6.67, average 2.223333...; (9e19 - 2) / 3 = 29999999999999999999.33 */
    struct column *columns[] = {test_column_i64(&harness->pool, (int64_t[]){1000, -1, -332}, NULL, 3), wide};
    expect(input, columns, 2, harness, "667|2223333|-332|89999999999999999998|29999999999999999999");
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void nan_is_the_largest_number_and_sums_are_nan_with_it(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"k", type_of(TYPE_INT64)}, {"v", type_of(TYPE_FLOAT64)}}, 2);
    const struct type types[] = {type_of(TYPE_INT64), type_of(TYPE_FLOAT64), type_of(TYPE_FLOAT64),
                                 type_of(TYPE_FLOAT64)};
    struct schema *output = results_of(types, 4);
    const struct aggregate_call calls[] = {{.kind = AGGREGATE_MIN, .argument = 1, .filter = -1},
                                           {.kind = AGGREGATE_MAX, .argument = 1, .filter = -1},
                                           {.kind = AGGREGATE_AVG, .argument = 1, .filter = -1}};
    const int32_t key = 0;
    const struct group_aggregate_options options = {.keys = &key, .n_keys = 1, .calls = calls, .n_calls = 3};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, output);
    struct column *columns[] = {
        test_column_i64(&harness->pool, (int64_t[]){1, 1, 2, 3, 3}, NULL, 5),
        test_column_f64(&harness->pool, (double[]){(double)NAN, 1.5, (double)NAN, -(double)INFINITY, 2}, NULL, 5)};
    expect(input, columns, 2, harness, "1|1.5|nan|nan ; 2|nan|nan|nan ; 3|-inf|2|-inf");
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void distinct_and_filter_count_each_value_once(void **state) {
    (void)state;
    struct schema *input = test_schema(
        (struct field[]){{"k", type_of(TYPE_STRING)}, {"v", type_of(TYPE_STRING)}, {"f", type_of(TYPE_BOOL)}}, 3);
    const struct type types[] = {type_of(TYPE_STRING), type_of(TYPE_INT64), type_of(TYPE_INT64), type_of(TYPE_INT64),
                                 type_of(TYPE_STRING)};
    struct schema *output = results_of(types, 5);
    const struct aggregate_call calls[] = {
        {.kind = AGGREGATE_COUNT, .argument = 1, .filter = -1, .distinct = true},
        {.kind = AGGREGATE_COUNT, .argument = 1, .filter = 2, .distinct = true},
        {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = 2},
        {.kind = AGGREGATE_MIN, .argument = 1, .filter = 2},
    };
    const int32_t key = 0;
    const struct group_aggregate_options options = {.keys = &key, .n_keys = 1, .calls = calls, .n_calls = 4};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, output);
    struct column *columns[] = {
        test_column_text(&harness->pool, (const char *const[]){"a", "a", "a", "b", "a", "b", "a"}, 7),
        test_column_text(&harness->pool, (const char *const[]){"x", "x", "y", NULL, "", "x", "x"}, 7),
        test_column_bool(&harness->pool, (bool[]){1, 1, 0, 1, 1, 0, 0}, (bool[]){0, 0, 0, 0, 0, 0, 1}, 7)};
    expect(input, columns, 3, harness, "a|3|2|3| ; b|1|0|1|NULL");
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

/* Eight flags are looked at together: the sets of a column go on behind them. */
static void a_column_has_more_sets_than_fit_a_word(void **state) {
    (void)state;
    enum { SETS = 11, ROWS = 200, VALUES = 30 };
    struct field fields[SETS + 2] = {{"k", type_of(TYPE_INT64)}, {"v", type_of(TYPE_INT64)}};
    struct type types[SETS + 1] = {type_of(TYPE_INT64)};
    struct aggregate_call calls[SETS];
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "l"};
    for (int32_t s = 0; s < SETS; s++) { /* the last has no filter */
        fields[s + 2] = (struct field){names[s], type_of(TYPE_BOOL)};
        types[s + 1] = type_of(TYPE_INT64);
        calls[s] = (struct aggregate_call){.kind = s % 2 ? AGGREGATE_SUM : AGGREGATE_COUNT, .argument = 1,
                                           .filter = s == SETS - 1 ? -1 : s + 2, .distinct = true};
    }
    struct schema *input = test_schema(fields, SETS + 2), *output = results_of(types, SETS + 1);
    const int32_t key = 0;
    const struct group_aggregate_options options = {.keys = &key, .n_keys = 1, .calls = calls, .n_calls = SETS};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, output);
    int64_t keys[ROWS], values[ROWS];
    bool filters[SETS][ROWS], nulls[ROWS], seen[SETS][VALUES] = {0};
    int64_t results[SETS] = {0};
    for (int32_t i = 0; i < ROWS; i++) {
        keys[i] = 1;
        values[i] = i * 7 % VALUES;
        nulls[i] = i % 13 == 0;
        for (int32_t s = 0; s < SETS; s++) {
            filters[s][i] = i % (s + 3) == 1;
            const bool takes = !nulls[i] && (filters[s][i] || s == SETS - 1) && !seen[s][values[i]];
            results[s] += takes ? (s % 2 ? values[i] : 1) : 0;
            seen[s][values[i]] |= takes;
        }
    }
    struct column *columns[SETS + 2] = {test_column_i64(&harness->pool, keys, NULL, ROWS),
                                        test_column_i64(&harness->pool, values, nulls, ROWS)};
    for (int32_t s = 0; s < SETS; s++) {
        columns[s + 2] = test_column_bool(&harness->pool, filters[s], NULL, ROWS);
    }
    char expected[512] = "1";
    for (int32_t s = 0; s < SETS; s++) {
        const size_t at = strlen(expected);
        snprintf(expected + at, sizeof expected - at, "|%lld", (long long)results[s]);
    }
    expect(input, columns, SETS + 2, harness, expected);
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void without_calls_it_gives_each_key_once(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"k", type_of(TYPE_INT64)}}, 1);
    const int32_t key = 0;
    const struct group_aggregate_options options = {.keys = &key, .n_keys = 1};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, input);
    harness->context.batch_rows = 100;
    harness_open(harness);
    for (int32_t b = 0; b < 20; b++) {
        int64_t values[500];
        for (int32_t i = 0; i < 500; i++) { values[i] = (b * 500 + i) % 3000; }
        struct column *column = test_column_i64(&harness->pool, values, NULL, 500);
        harness_batch(harness, test_batch(input, &column, 1));
    }
    harness->room = 0;
    harness_end(harness);
    int32_t n;
    char **rows = harness_rows(harness, &n);
    assert_int_equal(n, 3000);
    for (int32_t i = 1; i < n; i++) { assert_string_not_equal(rows[i - 1], rows[i]); }
    test_rows_free(rows, n);
    harness_close(harness);
    free(harness);
    schema_unref(input);
}

static void a_sum_of_int_that_passes_int_is_an_error(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"v", type_of(TYPE_INT32)}}, 1);
    const struct aggregate_call sum = {.kind = AGGREGATE_SUM, .argument = 0, .filter = -1};
    const struct group_aggregate_options options = {.calls = &sum, .n_calls = 1};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, input);
    harness_open(harness);
    struct column *column = test_column_i32(&harness->pool, (int32_t[]){INT32_MAX, 1}, NULL, 2);
    harness_batch(harness, test_batch(input, &column, 1));
    struct sabot_error err = {0};
    assert_int_equal(op_group_aggregate.on_end(harness->op, &harness->out, &err), SABOT_ERR_DATA);
    assert_non_null(strstr(err.message, "cast the argument to BIGINT"));
    harness_close(harness);
    free(harness);
    schema_unref(input);
}

static void what_is_left_of_a_changelog_is_counted(void **state) {
    (void)state;
    struct field fields[] = {{"k", type_of(TYPE_INT64)}, {"n", type_not_null(type_of(TYPE_INT64))}};
    struct schema *input = test_schema(fields, 1), *output = test_schema(fields, 2);
    static const int32_t kinds[2][4] = {{ROW_INSERT, ROW_INSERT, ROW_INSERT, ROW_UPDATE_BEFORE},
                                        {ROW_DELETE, ROW_UPDATE_AFTER, ROW_INSERT, ROW_INSERT}};
    static const int64_t values[2][4] = {{1, 1, 2, 3}, {2, 3, 3, 1}}; /* the 3 goes before it comes */
    const struct aggregate_call count = {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1,
                                         .type = type_not_null(type_of(TYPE_INT64))};
    const int32_t key = 0;
    const struct group_aggregate_options options = {.keys = &key, .n_keys = 1, .calls = &count, .n_calls = 1,
                                                    .settles = true};
    struct sabot_error err = {0};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_group_aggregate, &options, input, output);
    harness_open(harness);
    for (int32_t b = 0; b < 2; b++) {
        struct column *column = test_column_i64(&harness->pool, values[b], NULL, 4);
        struct batch *batch = test_batch(input, &column, 1);
        assert_int_equal(changes_set_kinds(&harness->pool, batch, kinds[b], 4, &err), SABOT_OK);
        harness_batch(harness, batch);
        harness_restart(harness, b + 1);
    }
    harness_end(harness);
    int32_t n;
    char **rows = harness_rows(harness, &n);
    assert_int_equal(n, 2); /* the 2 is forgotten */
    assert_string_equal(rows[0], "1|3");
    assert_string_equal(rows[1], "3|1");
    test_rows_free(rows, n);
    harness_close(harness);
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aggregates_of_integers_keep_the_type_and_average_truncates),
        cmocka_unit_test(of_no_rows_counts_are_zero_and_all_else_is_null),
        cmocka_unit_test(decimals_are_summed_in_38_digits_and_average_has_six_places),
        cmocka_unit_test(nan_is_the_largest_number_and_sums_are_nan_with_it),
        cmocka_unit_test(distinct_and_filter_count_each_value_once),
        cmocka_unit_test(a_column_has_more_sets_than_fit_a_word),
        cmocka_unit_test(without_calls_it_gives_each_key_once),
        cmocka_unit_test(a_sum_of_int_that_passes_int_is_an_error),
        cmocka_unit_test(what_is_left_of_a_changelog_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
