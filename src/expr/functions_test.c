/* The examples of functions.def: each is bound as SQL and gives the result that stands beside it; and again with its
 * literals turned into columns (dense, with NULLs, selected), wherever the function takes columns in their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "expr/function.h"
#include "expr/program.h"
#include "sql/bind.h"
#include "sql/parse.h"

#define OK(call) assert_int_equal((call), SABOT_OK)
#define ROWS 130
#define SHOWN_ROW 126 /* a multiple of 3 and 7: selected and not NULL */

static struct memory_pool pool;
static const struct source_span nowhere = {0};

/* One example, as an expression in an arena of its own. */
struct example {
    struct sql_script *script;
    struct plan_arena plans;
    struct catalog catalog;
    struct settings settings;
    struct binder binder;
    const struct expr *expr;
};

static sabot_status example_bind(struct example *example, const char *sql, struct sabot_error *err) {
    char text[4096];
    snprintf(text, sizeof text, "SELECT %s", sql);
    plan_arena_init(&example->plans);
    example->binder = (struct binder){
        .catalog = &example->catalog, .settings = &example->settings, .plans = &example->plans};
    SABOT_TRY(sql_parse(text, strlen(text), &example->script, err));
    assert_int_equal(example->script->statements.items[0]->kind, SQL_STATEMENT_QUERY);
    struct plan *plan = NULL;
    SABOT_TRY(bind_query(&example->binder, example->script->statements.items[0]->query, &plan, err));
    while (plan->kind != PLAN_PROJECT) {
        assert_int_equal(plan->n_inputs, 1);
        plan = plan->inputs[0];
    }
    example->expr = plan->project.exprs[0];
    return SABOT_OK;
}

static void example_clear(struct example *example) {
    binder_clear(&example->binder);
    plan_arena_clear(&example->plans);
    sql_script_free(example->script);
    catalog_clear(&example->catalog);
    settings_clear(&example->settings);
}

static sabot_status eval_text(const struct expr *expr, struct batch *batch, int32_t row, struct text *text,
                              struct sabot_error *err) {
    const struct program_context context = {.env = env_real(), .pool = &pool, .watermark_ms = INT64_MIN};
    struct program *program = NULL;
    SABOT_TRY(program_compile(&expr, 1, &context, &program, err));
    struct column *column = NULL;
    const struct text_options options = {.null_text = "NULL"};
    sabot_status status = program_eval(program, batch, &column, err);
    if (status == SABOT_OK) { status = column_print(column, row, expr->type, &options, text, err); }
    if (status == SABOT_OK && column_is_null(column, row)) { assert_true(expr->type.nullable); }
    if (status == SABOT_OK) { /* scratch is kept between batches */
        column_unref(column);
        column = NULL;
        status = program_eval(program, batch, &column, err);
    }
    column_unref(column);
    program_free(program);
    return status;
}

static struct batch *batch_of(const struct field *fields, struct column *const *columns, int32_t n, int32_t rows) {
    struct schema *schema = NULL;
    struct batch *batch = NULL;
    OK(schema_new(fields, n, &schema, NULL));
    OK(batch_new(schema, columns, n, rows, &batch, NULL));
    schema_unref(schema);
    return batch;
}

struct spread {
    struct arena *arena;
    struct field fields[64];
    struct column *columns[64];
    int32_t n;
    bool with_nulls;
    bool refused; /* a function insists on a literal */
};

static struct expr *spread_literal(struct spread *spread, const struct expr *expr) {
    const enum phys phys = type_phys(expr->type);
    const size_t size = phys_size(phys);
    struct column_builder builder;
    OK(column_builder_init(&builder, &pool, phys, ROWS, spread->with_nulls, NULL));
    struct string_view view;
    const void *value = expr->value;
    if (phys == PHYS_VIEW) {
        view = *(const struct string_view *)expr->value;
        if (view.size > STRING_VIEW_INLINE) {
            char *bytes = NULL;
            OK(column_builder_reserve(&builder, view.size, &bytes, NULL));
            memcpy(bytes, view.data, view.size);
            view.data = bytes;
        }
        value = &view;
    }
    for (int32_t i = 0; i < ROWS; i++) {
        memcpy((char *)builder.values + (size_t)i * size, value, size);
        if (spread->with_nulls && i % 3 == 1) {
            column_builder_set_null(&builder, i);
            /* must not be looked at */
            memset((char *)builder.values + (size_t)i * size, phys == PHYS_VIEW || phys == PHYS_BOOL ? 0xff : 0, size);
        }
    }
    struct type type = expr->type;
    type.nullable = spread->with_nulls;
    struct expr *out = NULL;
    spread->fields[spread->n] = (struct field){"c", type};
    OK(column_builder_finish(&builder, &spread->columns[spread->n], NULL));
    OK(expr_column(spread->arena, spread->n++, type, nowhere, &out, NULL));
    return out;
}

static struct expr *spread_expr(struct spread *spread, const struct expr *expr) {
    struct expr *same = (struct expr *)(uintptr_t)expr;
    if (expr->kind == EXPR_LITERAL && expr->value && type_phys(expr->type) != PHYS_NULL && spread->n < 64) {
        return spread_literal(spread, expr);
    }
    if (expr->kind != EXPR_CALL && expr->kind != EXPR_CAST) { return same; }
    struct expr *args[64], *out = NULL;
    struct sabot_error ignored = {0};
    assert_true(expr->n_args <= 64);
    for (int32_t i = 0; i < expr->n_args; i++) { args[i] = spread_expr(spread, expr->args[i]); }
    const sabot_status status =
        expr->kind == EXPR_CAST
            ? expr_cast(spread->arena, args[0], expr->type, expr->try_cast, nowhere, &out, &ignored)
            : expr_call_function(spread->arena, expr->function, args, expr->n_args, nowhere, &out, &ignored);
    spread->refused |= status != SABOT_OK;
    return status == SABOT_OK ? out : same;
}

static bool check_spread(struct example *example, const struct function *function, bool with_nulls, bool selected) {
    struct spread spread = {.arena = &example->plans.arena, .with_nulls = with_nulls};
    const struct expr *over = spread_expr(&spread, example->expr);
    struct batch *batch = batch_of(spread.fields, spread.columns, spread.n, ROWS);
    bool good = true;
    /* ROUND(x, 2) has another type where the 2 is a column */
    if (spread.n > 0 && !spread.refused && type_same(over->type, example->expr->type)) {
        struct buffer *selection = NULL;
        struct batch *some = NULL;
        int32_t n = 0;
        OK(buffer_new(&pool, ROWS * sizeof(int32_t), &selection, NULL));
        for (int32_t i = 0; i < ROWS; i += selected ? 7 : 1) { ((int32_t *)(void *)selection->data)[n++] = i; }
        OK(batch_with_selection(batch, selection, n, &some, NULL));
        struct text text = {0};
        struct sabot_error err = {0};
        const sabot_status status = eval_text(over, selected ? some : batch, SHOWN_ROW, &text, &err);
        good = status == SABOT_OK && strcmp(text_string(&text), function->result) == 0;
        if (!good) {
            print_error("%s over columns%s%s: %s is %s, not %s %s\n", function->name, with_nulls ? " with NULLs" : "",
                        selected ? ", selected" : "", function->example, text_string(&text), function->result,
                        err.message);
        }
        text_clear(&text);
        batch_unref(some);
    }
    batch_unref(batch);
    return good;
}

static bool check_example(const struct function *function) {
    struct example example = {0};
    struct sabot_error err = {0};
    struct text text = {0};
    sabot_status status = example_bind(&example, function->example, &err);
    if (status == SABOT_OK) {
        struct batch *batch = batch_of(NULL, NULL, 0, 1);
        status = eval_text(example.expr, batch, 0, &text, &err);
        batch_unref(batch);
    }
    bool good = status == SABOT_OK && strcmp(text_string(&text), function->result) == 0;
    if (!good) {
        print_error("%s: %s is %s, not %s %s\n", function->name, function->example, text_string(&text),
                    function->result, err.message);
    }
    for (int variant = 0; good && variant < 4; variant++) {
        good = check_spread(&example, function, variant & 1, variant & 2);
    }
    text_clear(&text);
    example_clear(&example);
    return good;
}

static void every_example_gives_its_result(void **state) {
    (void)state;
    int failed = 0;
    for (size_t i = 0; function_at(i); i++) { failed += !check_example(function_at(i)); }
    assert_int_equal(failed, 0);
    assert_int_equal(atomic_load(&pool.used), 0);
}

static void every_function_is_described(void **state) {
    (void)state;
    for (size_t i = 0; function_at(i); i++) {
        const struct function *function = function_at(i);
        assert_true(function->summary[0] && function->signature[0] && function->example[0] && function->category[0]);
        for (size_t k = 0; k < i; k++) { assert_string_not_equal(function->name, function_at(k)->name); }
    }
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_gives_its_result),
        cmocka_unit_test(every_function_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
