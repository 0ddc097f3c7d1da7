/* UNNEST in FROM: a row for each element of an array or map, which may be a column of the tables before it. */
#include "sql/bind_internal.h"

static struct arena *arena_of(struct binder *binder) { return &binder->plans->arena; }

/* Calcite's names, or those behind AS; a single column goes by the name of the table. */
static sabot_status names_of(struct binder *binder, const struct sql_table *table, const struct plan *input,
                             const struct unnest_options *options, const char **names, struct sabot_error *err) {
    static const char *const of_map[] = {"KEY", "VALUE"};
    const struct type *type = &input->schema->fields[options->column].type;
    const int32_t width = plan_unnest_width(input, options), n = width + options->with_ordinality;
    if (table->columns.count && table->columns.count != (unsigned)n) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, table->columns.items[0].span, "%u column names are given for %d columns",
                        table->columns.count, n);
    }
    for (int32_t i = 0; i < n; i++) {
        const char *name = i == width                 ? "ORDINALITY"
                           : type->kind == TYPE_MAP   ? of_map[i]
                           : options->by_fields       ? type->fields[0].type.fields[i].name
                           : table->alias.text        ? table->alias.text
                                                      : "EXPR$0";
        if (table->columns.count) { name = table->columns.items[i].text; }
        names[i] = arena_copy(arena_of(binder), name, strlen(name));
        if (!names[i]) { return PLAN_NO_MEMORY(err); }
    }
    return SABOT_OK;
}

/* The columns of the input, then the array where it is none of them. */
static sabot_status with_array(struct binder *binder, struct plan *input, struct expr *array, struct plan **out,
                               int32_t *column, struct sabot_error *err) {
    const int32_t n = input->schema->n_fields;
    struct plan_items items;
    *out = input;
    *column = array->index;
    if (expr_is_column(array)) { return SABOT_OK; }
    SABOT_TRY(plan_first_items(binder->plans, input, n, 1, &items, err));
    items.names[n] = "$array";
    items.exprs[n] = array;
    *column = n;
    return plan_project(binder->plans, input, items.exprs, items.names, n + 1, out, err);
}

static sabot_status add_table(struct binder *binder, const struct scope *left, const struct sql_table *table,
                              struct plan *plan, int32_t first, struct scope *out, struct sabot_error *err) {
    const int32_t n = left ? left->n_tables : 0;
    struct scope_table *tables = arena_alloc(arena_of(binder), ((size_t)n + 1) * sizeof *tables);
    if (!tables) { return PLAN_NO_MEMORY(err); }
    if (n > 0) { memcpy(tables, left->tables, (size_t)n * sizeof *tables); }
    tables[n] = (struct scope_table){.first = first, .count = plan->schema->n_fields - first};
    if (table->alias.text) {
        tables[n].name = arena_copy(arena_of(binder), table->alias.text, strlen(table->alias.text));
        if (!tables[n].name) { return PLAN_NO_MEMORY(err); }
    }
    *out = (struct scope){.plan = plan, .tables = tables, .n_tables = n + 1};
    return SABOT_OK;
}

sabot_status bind_unnest(struct binder *binder, const struct scope *left, const struct sql_table *table,
                         bool keeps_empty, struct scope *out, struct sabot_error *err) {
    const struct expr_scope in = {.binder = binder, .scope = left, .clause = "UNNEST"};
    const struct sql_exprs *written = &table->unnest.exprs;
    struct plan *input = left ? left->plan : NULL;
    struct expr *array = NULL;
    if (written->count != 1) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, table->span, "UNNEST takes one array, not %u; UNNEST them one "
                        "after the other, WITH ORDINALITY", written->count);
    }
    SABOT_TRY(bind_expr(&in, written->items[0], &array, err));
    if (array->type.kind != TYPE_ARRAY && array->type.kind != TYPE_MAP) {
        char text[160];
        type_print(array->type, text, sizeof text);
        return SQL_FAIL(err, SABOT_ERR_PLAN, written->items[0]->span, "UNNEST takes an ARRAY or a MAP, this is %s",
                        text);
    }
    if (!input) { SABOT_TRY(bind_one_row(binder, table->span, &input, err)); }
    const int32_t n_passed = left ? input->schema->n_fields : 0;
    const bool of_rows = array->type.kind == TYPE_MAP || array->type.fields[0].type.kind == TYPE_ROW;
    struct unnest_options options = {.n_passed = n_passed, .keeps_empty = keeps_empty, .by_fields = of_rows,
                                     .with_ordinality = table->unnest.with_ordinality};
    SABOT_TRY(with_array(binder, input, array, &input, &options.column, err));
    const size_t width = (size_t)plan_unnest_width(input, &options) + 1;
    const char **names = arena_alloc(arena_of(binder), width * sizeof *names);
    if (!names) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(plan_first_columns(binder->plans, n_passed, &options.passed, err));
    SABOT_TRY(names_of(binder, table, input, &options, names, err));
    struct plan *plan = NULL;
    SABOT_TRY(plan_unnest(binder->plans, input, &options, names, span_of(table->span), &plan, err));
    return add_table(binder, left, table, plan, n_passed, out, err);
}

sabot_status bind_unnest_join(struct binder *binder, const struct sql_table *join, const struct scope *left,
                              struct scope *out, struct sabot_error *err) {
    const enum sql_join_kind kind = join->join.kind;
    const struct sql_expr *on = join->join.on;
    const bool keeps_empty = kind == SQL_JOIN_LEFT;
    if (kind == SQL_JOIN_RIGHT || kind == SQL_JOIN_FULL || join->join.natural || join->join.columns.count) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, join->span,
                        "UNNEST is joined with CROSS JOIN, INNER JOIN .. ON or LEFT JOIN .. ON TRUE");
    }
    if (keeps_empty && on && !(on->kind == SQL_EXPR_BOOL && on->boolean)) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, on->span, "LEFT JOIN UNNEST takes ON TRUE only, as in Flink");
    }
    SABOT_TRY(bind_unnest(binder, left, join->join.right, keeps_empty, out, err));
    if (keeps_empty || !on) { return SABOT_OK; }
    const struct expr_scope in = {.binder = binder, .scope = out, .clause = "ON"};
    struct expr *condition = NULL;
    SABOT_TRY(bind_condition(&in, on, &condition, err));
    return plan_filter(binder->plans, out->plan, condition, &out->plan, err);
}
