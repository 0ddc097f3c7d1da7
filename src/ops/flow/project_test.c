/* FILTER, PROJECT and VALUES over real expressions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/source.h"
#include "tests/util/op_harness.h"

static struct arena arena;
static struct schema *schema;
static int setup(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    schema = test_schema((struct field[]){{"a", type_of(TYPE_INT64)}, {"t", type_of(TYPE_STRING)}}, 2);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    schema_unref(schema);
    arena_clear(&arena);
    return 0;
}

static const struct source_span nowhere;
static struct expr *column(int32_t index) {
    struct sabot_error err = {0};
    struct expr *expr = NULL;
    assert_int_equal(expr_column(&arena, index, schema->fields[index].type, nowhere, &expr, &err), SABOT_OK);
    return expr;
}
static struct expr *number(int64_t value) {
    struct sabot_error err = {0};
    struct expr *expr = NULL;
    assert_int_equal(expr_literal(&arena, type_not_null(type_of(TYPE_INT64)), &value, nowhere, &expr, &err), SABOT_OK);
    return expr;
}
static struct expr *call(const char *name, struct expr *a, struct expr *b) {
    struct sabot_error err = {0};
    struct expr *expr = NULL, *args[] = {a, b};
    if (expr_call(&arena, name, args, 2, nowhere, &expr, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return expr;
}
static struct batch *rows(struct op_harness *harness) {
    struct column *columns[] = {
        test_column_i64(&harness->pool, (int64_t[]){1, 2, 3, 4}, (bool[]){0, 0, 1, 0}, 4),
        test_column_text(&harness->pool, (const char *const[]){"x", NULL, "y", "a text that is long"}, 4)};
    return test_batch(schema, columns, 2);
}
static void expect(struct op_harness *harness, const char *const *texts, int32_t n_texts) {
    int32_t n;
    char **got = harness_rows(harness, &n);
    assert_int_equal(n, n_texts);
    for (int32_t i = 0; i < n; i++) { assert_string_equal(got[i], texts[i]); }
    test_rows_free(got, n);
    harness_close(harness);
    free(harness);
}

static void only_rows_for_which_it_is_true_pass(void **state) {
    (void)state;
    const struct filter_options options = {.condition = call(">", column(0), number(1))};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_filter, &options, schema, schema);
    harness_open(harness);
    harness_batch(harness, rows(harness));
    harness_batch(harness, test_select(&harness->pool, rows(harness), (int32_t[]){0, 2}, 2)); /* none passes */
    harness_watermark(harness, 5);
    harness_end(harness);
    expect(harness, (const char *const[]){"2|NULL", "4|a text that is long"}, 2);
}

static void columns_are_computed_at_the_selected_rows(void **state) {
    (void)state;
    struct expr *exprs[] = {column(1), call("+", column(0), number(10))};
    const struct project_options options = {.exprs = exprs, .n_exprs = 2};
    struct schema *output = test_schema((struct field[]){{"t", type_of(TYPE_STRING)}, {"b", type_of(TYPE_INT64)}}, 2);
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_project, &options, schema, output);
    harness_open(harness);
    struct batch *batch = test_select(&harness->pool, rows(harness), (int32_t[]){0, 2, 3}, 3);
    batch->created_ns = 77;
    harness_batch(harness, batch);
    assert_int_equal(harness->events[0].batch->created_ns, 77);
    harness_end(harness);
    expect(harness, (const char *const[]){"a text that is long|14", "x|11", "y|NULL"}, 3);
    schema_unref(output);
}

static void values_come_once_from_the_first_subtask(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct expr *null = NULL;
    assert_int_equal(expr_literal(&arena, type_of(TYPE_INT64), NULL, nowhere, &null, &err), SABOT_OK);
    struct expr *cells[] = {number(7), null, call("+", number(40), number(2))};
    const struct values_options options = {.cells = cells, .n_rows = 3, .n_columns = 1};
    struct schema *output = test_schema((struct field[]){{"v", type_of(TYPE_INT64)}}, 1);
    for (int32_t subtask = 0; subtask < 2; subtask++) {
        struct op_harness *harness = malloc(sizeof *harness);
        harness_init(harness, &op_values, &options, output, output);
        harness->context.subtask = subtask;
        harness_open(harness);
        harness_resume(harness);
        assert_true(source_op_of(harness->op)->ended);
        assert_true(harness->events[harness->n_events - 1].is_end);
        harness_restart(harness, 1); /* and not again behind a restore */
        harness_resume(harness);
        expect(harness, (const char *const[]){"42", "7", "NULL"}, subtask == 0 ? 3 : 0);
    }
    schema_unref(output);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_rows_for_which_it_is_true_pass),
                                       cmocka_unit_test(columns_are_computed_at_the_selected_rows),
                                       cmocka_unit_test(values_come_once_from_the_first_subtask)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
