/* Rows as often as a count says, with their kinds; arrays are tested through SQL (tests/sql/unnest.test). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/aggregate/changes.h"
#include "tests/util/op_harness.h"

static const int32_t passed[] = {0};

static void rows_come_as_often_as_they_say(void **state) {
    (void)state;
    const struct unnest_options options = {.column = 1, .passed = passed, .n_passed = 1, .repeats = true,
                                           .with_ordinality = true};
    static const int32_t kinds[] = {ROW_INSERT, ROW_UPDATE_BEFORE, ROW_UPDATE_AFTER, ROW_DELETE, ROW_INSERT};
    struct sabot_error err = {0};
    struct op_harness *harness = malloc(sizeof *harness);
    struct schema *input = test_schema((struct field[]){{"a", type_of(TYPE_INT64)}, {"n", type_of(TYPE_INT64)}}, 2);
    struct schema *output = test_schema((struct field[]){{"a", type_of(TYPE_INT64)}, {"at", type_of(TYPE_INT64)}}, 2);
    char text[1024];
    harness_init(harness, &op_unnest, &options, input, output);
    harness_open(harness);
    struct column *columns[] = {
        test_column_i64(&harness->pool, (const int64_t[]){1, 2, 3, 4, 5}, NULL, 5),
        test_column_i64(&harness->pool, (const int64_t[]){2, 1, 3, -1, 9}, (const bool[]){0, 0, 0, 0, 1}, 5)};
    struct batch *batch = test_batch(input, columns, 2);
    assert_int_equal(changes_set_kinds(&harness->pool, batch, kinds, 5, &err), SABOT_OK);
    harness_batch(harness, batch);
    harness_changes(harness, text, sizeof text);
    assert_string_equal(text, "+I 1|1; +I 1|2; -D 2|1; +I 3|1; +I 3|2; +I 3|3");
    harness_close(harness);
    schema_unref(input);
    schema_unref(output);
    free(harness);
}

/* 3 rows of 10000 each, in batches of 8192, of which one fits at a time. */
static void a_row_is_divided_where_the_output_is_full(void **state) {
    (void)state;
    const struct unnest_options options = {.column = 0, .passed = passed, .n_passed = 1, .repeats = true};
    struct sabot_error err = {0};
    struct op_harness *harness = malloc(sizeof *harness);
    struct schema *schema = test_schema((struct field[]){{"n", type_of(TYPE_INT64)}}, 1);
    harness_init(harness, &op_unnest, &options, schema, schema);
    harness_open(harness);
    harness->room = 1;
    struct column *column = test_column_i64(&harness->pool, (const int64_t[]){10000, 10000, 10000}, NULL, 3);
    assert_int_equal(harness_try_batch(harness, test_batch(schema, &column, 1), &err), SABOT_OK);
    assert_true(harness->op->busy);
    assert_int_equal(harness->n_events, 1);
    harness_resume(harness);
    assert_false(harness->op->busy);
    assert_int_equal(harness->n_events, 4);
    int32_t given = 0;
    for (int32_t e = 0; e < harness->n_events; e++) { given += harness->events[e].batch->selected; }
    assert_int_equal(given, 30000);
    harness_close(harness);
    schema_unref(schema);
    free(harness);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_come_as_often_as_they_say),
                                       cmocka_unit_test(a_row_is_divided_where_the_output_is_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
