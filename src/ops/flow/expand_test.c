/* Grouping sets: every row once per set, also where the output is full in between; row kinds stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/aggregate/changes.h"
#include "tests/util/op_harness.h"

static const int32_t sources[] = {0, 1, 0, -1, -1, -1};
static const int64_t ids[] = {0, 1, 3};
static const struct expand_options options = {.sources = sources, .ids = ids, .n_columns = 2, .n_sets = 3};

static struct op_harness *harness_new(void) {
    struct op_harness *harness = malloc(sizeof *harness);
    struct schema *input = test_schema((struct field[]){{"a", type_of(TYPE_INT64)}, {"b", type_of(TYPE_STRING)}}, 2);
    struct schema *output = test_schema((struct field[]){{"a", type_of(TYPE_INT64)}, {"b", type_of(TYPE_STRING)},
                                                         {"id", type_not_null(type_of(TYPE_INT64))}}, 3);
    harness_init(harness, &op_expand, &options, input, output);
    return harness;
}

static void harness_done(struct op_harness *harness) {
    struct schema *input = harness->context.input, *output = harness->spec.output;
    harness_close(harness);
    schema_unref(input);
    schema_unref(output);
    free(harness);
}

static struct batch *rows(struct op_harness *harness) {
    static const int32_t kinds[] = {ROW_INSERT, ROW_UPDATE_BEFORE, ROW_UPDATE_AFTER};
    struct sabot_error err = {0};
    struct column *columns[] = {test_column_i64(&harness->pool, (const int64_t[]){1, 2, 3}, NULL, 3),
                                test_column_text(&harness->pool, (const char *const[]){"x", NULL, "z"}, 3)};
    struct batch *batch = test_batch(harness->context.input, columns, 2);
    assert_int_equal(changes_set_kinds(&harness->pool, batch, kinds, 3, &err), SABOT_OK);
    return batch;
}

static const char *const expected = "+I 1|x|0; -U 2|NULL|0; +U 3|z|0; +I 1|NULL|1; -U 2|NULL|1; +U 3|NULL|1; "
                                    "+I NULL|NULL|3; -U NULL|NULL|3; +U NULL|NULL|3";

static void every_row_comes_once_per_set(void **state) {
    (void)state;
    char text[1024];
    struct op_harness *harness = harness_new();
    harness_open(harness);
    harness_batch(harness, rows(harness));
    harness_changes(harness, text, sizeof text);
    assert_string_equal(text, expected);
    harness_batch(harness, test_select(&harness->pool, rows(harness), (const int32_t[]){0}, 1));
    harness_changes(harness, text, sizeof text);
    assert_string_equal(text, "+I 1|x|0; +I 1|NULL|1; +I NULL|NULL|3");
    harness_done(harness);
}

static void sets_wait_while_the_output_is_full(void **state) {
    (void)state;
    struct sabot_error err = {0};
    char text[1024];
    struct op_harness *harness = harness_new();
    harness_open(harness);
    harness->room = 1;
    assert_int_equal(harness_try_batch(harness, rows(harness), &err), SABOT_OK);
    assert_true(harness->op->busy);
    assert_int_equal(harness->n_events, 1);
    harness_resume(harness);
    assert_false(harness->op->busy);
    assert_int_equal(harness->n_events, 3);
    harness_changes(harness, text, sizeof text);
    assert_string_equal(text, expected);
    harness_done(harness);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row_comes_once_per_set),
                                       cmocka_unit_test(sets_wait_while_the_output_is_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
