/* Queries: SELECT with its clauses, VALUES, UNION, WITH, ORDER BY and LIMIT. */
#include "sql/bind_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* What a select list gives: expressions over the input (or, grouped, over keys and calls), their names. */
struct outputs {
    struct expr **exprs;
    const char **names;
    const struct sql_expr **written; /* NULL for a column of a star */
    bool *has_alias;
    int32_t n;
    int32_t capacity;
};

static struct arena *arena_of(struct binder *binder) { return &binder->plans->arena; }

static sabot_status copy_name(struct binder *binder, const char *name, const char **out, struct sabot_error *err) {
    *out = arena_copy(arena_of(binder), name, strlen(name));
    return *out ? SABOT_OK : PLAN_NO_MEMORY(err);
}

static sabot_status outputs_add(struct binder *binder, struct outputs *outputs, struct expr *expr, const char *name,
                                const struct sql_expr *written, bool has_alias, struct sabot_error *err) {
    if (outputs->n == outputs->capacity) {
        const int32_t capacity = outputs->capacity ? outputs->capacity * 2 : 16;
        struct outputs grown = *outputs;
        grown.exprs = arena_alloc(arena_of(binder), (size_t)capacity * sizeof *grown.exprs);
        grown.names = arena_alloc(arena_of(binder), (size_t)capacity * sizeof *grown.names);
        grown.written = arena_alloc(arena_of(binder), (size_t)capacity * sizeof *grown.written);
        grown.has_alias = arena_alloc(arena_of(binder), (size_t)capacity * sizeof *grown.has_alias);
        if (!grown.exprs || !grown.names || !grown.written || !grown.has_alias) { return PLAN_NO_MEMORY(err); }
        const size_t n = (size_t)outputs->n;
        if (n > 0) {
            memcpy(grown.exprs, outputs->exprs, n * sizeof *grown.exprs);
            memcpy(grown.names, outputs->names, n * sizeof *grown.names);
            memcpy(grown.written, outputs->written, n * sizeof *grown.written);
            memcpy(grown.has_alias, outputs->has_alias, n * sizeof *grown.has_alias);
        }
        grown.capacity = capacity;
        *outputs = grown;
    }
    SABOT_TRY(copy_name(binder, name, &outputs->names[outputs->n], err));
    outputs->exprs[outputs->n] = expr;
    outputs->written[outputs->n] = written;
    outputs->has_alias[outputs->n] = has_alias;
    outputs->n++;
    return SABOT_OK;
}

/* ---- the select list --------------------------------------------------------------------------------------------- */

static sabot_status expand_star(struct binder *binder, const struct scope *scope, const struct sql_expr *star,
                                struct outputs *outputs, struct sabot_error *err) {
    const struct sql_path *of = &star->path;
    bool found = false;
    if (!scope || scope->n_tables == 0) { return SQL_FAIL(err, SABOT_ERR_PLAN, star->span, "* needs a FROM"); }
    for (int32_t t = 0; t < scope->n_tables; t++) {
        const struct scope_table *table = &scope->tables[t];
        if (of->count > 0 && (!table->name || strcmp(table->name, of->items[of->count - 1].text) != 0)) { continue; }
        found = true;
        for (int32_t i = table->first; i < table->first + table->count; i++) {
            if (of->count == 0 && table->merged && table->merged[i - table->first]) { continue; }
            struct expr *expr = NULL;
            SABOT_TRY(plan_column_ref(binder->plans, scope->plan, i, span_of(star->span), &expr, err));
            SABOT_TRY(outputs_add(binder, outputs, expr, scope->plan->schema->fields[i].name, NULL, false, err));
        }
    }
    if (found) { return SABOT_OK; }
    return SQL_FAIL(err, SABOT_ERR_PLAN, star->span, "there is no table \"%s\" in FROM",
                    path_text(arena_of(binder), of));
}

/* A column keeps its name, anything else gets Flink's EXPR$i. */
static const char *output_name(const struct sql_item *item, int32_t at, char *target, size_t size) {
    if (item->alias.text) { return item->alias.text; }
    if (item->expr->kind == SQL_EXPR_COLUMN) { return item->expr->path.items[item->expr->path.count - 1].text; }
    if (item->expr->kind == SQL_EXPR_FIELD) { return item->expr->field.name.text; }
    snprintf(target, size, "EXPR$%d", at);
    return target;
}

static sabot_status bind_items(const struct expr_scope *in, const struct sql_items *items, struct outputs *outputs,
                               struct sabot_error *err) {
    for (unsigned i = 0; i < items->count; i++) {
        const struct sql_item *item = &items->items[i];
        if (item->expr->kind == SQL_EXPR_STAR) {
            SABOT_TRY(expand_star(in->binder, in->scope, item->expr, outputs, err));
            continue;
        }
        struct expr *expr = NULL;
        char name[32];
        SABOT_TRY(bind_expr(in, item->expr, &expr, err));
        SABOT_TRY(outputs_add(in->binder, outputs, expr, output_name(item, outputs->n, name, sizeof name), item->expr,
                              item->alias.text != NULL, err));
    }
    return SABOT_OK;
}

/* ---- grouping --------------------------------------------------------------------------------------------------- */

/* Turns an expression over (input, pending calls) into one over (keys, calls) of the aggregation. */
sabot_status bind_regroup(struct binder *binder, const struct plan *input, const struct plan *given,
                          int32_t first_column, const struct keys *keys, const struct grouping *grouping,
                          const struct expr *expr, struct expr **out, struct sabot_error *err) {
    for (int32_t i = 0; i < keys->n; i++) {
        if (expr_equal(keys->exprs[i], expr)) {
            return plan_column_ref(binder->plans, given, first_column + i, expr->span, out, err);
        }
    }
    const int32_t n_input = input->schema->n_fields;
    if (expr->kind == EXPR_COLUMN && expr->index >= GROUPED_VALUE) {
        const int32_t value = first_column + keys->n + grouping->n_calls + expr->index - GROUPED_VALUE;
        return plan_column_ref(binder->plans, given, value, expr->span, out, err);
    }
    if (expr->kind == EXPR_COLUMN && expr->index >= n_input) {
        const int32_t call = first_column + keys->n + expr->index - n_input;
        return plan_column_ref(binder->plans, given, call, expr->span, out, err);
    }
    if (expr->kind == EXPR_COLUMN) {
        return PLAN_FAIL(err, SABOT_ERR_PLAN, expr->span,
                         "column \"%s\" is neither in GROUP BY nor inside of an aggregate",
                         input->schema->fields[expr->index].name);
    }
    if (expr->n_args == 0) {
        *out = (struct expr *)(uintptr_t)expr;
        return SABOT_OK;
    }
    struct expr *copy = ARENA_NEW(arena_of(binder), struct expr);
    struct expr **args = arena_alloc(arena_of(binder), (size_t)expr->n_args * sizeof *args);
    if (!copy || !args) { return PLAN_NO_MEMORY(err); }
    *copy = *expr;
    copy->args = args;
    for (int32_t i = 0; i < expr->n_args; i++) {
        SABOT_TRY(bind_regroup(binder, input, given, first_column, keys, grouping, expr->args[i], &args[i], err));
    }
    *out = copy;
    return SABOT_OK;
}

/* Columns of the projection under an aggregation: each different expression once. */
struct inputs {
    struct expr **exprs;
    const char **names;
    int32_t n;
};

static int32_t inputs_add(struct inputs *inputs, struct expr *expr, const char *name) {
    for (int32_t i = 0; i < inputs->n; i++) {
        if (expr_equal(inputs->exprs[i], expr)) { return i; }
    }
    inputs->exprs[inputs->n] = expr;
    inputs->names[inputs->n] = name;
    return inputs->n++;
}

static const char *call_name(struct binder *binder, const struct pending_call *call, int32_t i) {
    static const char *const names[] = {"count", "count", "sum", "avg", "min", "max", "first_value",
                                        "last_value", "listagg", "array_agg"};
    const char *name = arena_format(arena_of(binder), "%s%d", names[call->kind], i);
    return name ? name : "agg";
}

/* Projection of keys, arguments and filters, then the aggregation. */
sabot_status bind_aggregation(struct binder *binder, struct plan *input, const struct keys *keys,
                              const struct grouping *grouping, struct source_span span, struct plan **out,
                              struct sabot_error *err) {
    struct arena *arena = arena_of(binder);
    const size_t most = (size_t)keys->n + 2 * (size_t)grouping->n_calls + 1;
    struct inputs inputs = {.exprs = arena_alloc(arena, most * sizeof *inputs.exprs),
                            .names = arena_alloc(arena, most * sizeof *inputs.names)};
    int32_t *key_columns = arena_alloc(arena, ((size_t)keys->n + 1) * sizeof *key_columns);
    struct aggregate_call *calls = arena_alloc(arena, ((size_t)grouping->n_calls + 1) * sizeof *calls);
    const char **names = arena_alloc(arena, ((size_t)grouping->n_calls + 1) * sizeof *names);
    if (!inputs.exprs || !inputs.names || !key_columns || !calls || !names) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < keys->n; i++) {
        const char *name = bind_column_name(binder, input, keys->exprs[i], "$key", i);
        key_columns[i] = inputs_add(&inputs, keys->exprs[i], name);
    }
    for (int32_t i = 0; i < grouping->n_calls; i++) {
        const struct pending_call *pending = &grouping->calls[i];
        calls[i] = (struct aggregate_call){
            .kind = pending->kind, .distinct = pending->distinct, .argument = -1, .filter = -1, .type = pending->type,
            .separator = pending->separator, .ignores_nulls = pending->ignores_nulls,
        };
        if (pending->argument) {
            calls[i].argument =
                inputs_add(&inputs, pending->argument, bind_column_name(binder, input, pending->argument, "$arg", i));
        }
        if (pending->filter) {
            calls[i].filter =
                inputs_add(&inputs, pending->filter, bind_column_name(binder, input, pending->filter, "$filter", i));
        }
        names[i] = call_name(binder, pending, i);
    }
    struct plan *projected = NULL;
    SABOT_TRY(plan_project(binder->plans, input, inputs.exprs, inputs.names, inputs.n, &projected, err));
    return plan_aggregate(binder->plans, projected, key_columns, keys->n, calls, names, grouping->n_calls, false, span,
                          out, err);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

/* The output column that an ORDER BY item means by its position or alias; -1: it is an expression of its own. */
static int32_t ordered_output(const struct outputs *outputs, const struct sql_expr *written) {
    if (written->kind == SQL_EXPR_INTEGER) {
        const long at = strtol(written->text, NULL, 10);
        return at >= 1 && at <= outputs->n ? (int32_t)at - 1 : -2;
    }
    if (written->kind != SQL_EXPR_COLUMN || written->path.count != 1) { return -1; }
    for (int32_t i = 0; i < outputs->n; i++) {
        if (strcmp(outputs->names[i], written->path.items[0].text) == 0) { return i; }
    }
    return -1;
}

struct sort_key sort_key_of(const struct sql_order *order, int32_t column) {
    /* Flink: NULL is the smallest value. */
    const bool nulls_first = order->nulls == SQL_NULLS_DEFAULT ? !order->descending : order->nulls == SQL_NULLS_FIRST;
    return (struct sort_key){.column = column, .descending = order->descending, .nulls_first = nulls_first};
}

static sabot_status bad_position(const struct sql_expr *written, int32_t n, struct sabot_error *err) {
    return SQL_FAIL(err, SABOT_ERR_PLAN, written->span, "ORDER BY position %s is not between 1 and %d", written->text,
                    n);
}

/* ORDER BY, LIMIT and OFFSET over a plan whose sort keys are columns. */
static sabot_status build_order(struct binder *binder, const struct sql_query *query, struct plan *input,
                                const struct sort_key *keys, int32_t n_keys, struct plan **out,
                                struct sabot_error *err) {
    int64_t limit = -1, offset = 0;
    if (query->limit) { SABOT_TRY(bind_count(binder, query->limit, "LIMIT", &limit, err)); }
    if (query->offset) { SABOT_TRY(bind_count(binder, query->offset, "OFFSET", &offset, err)); }
    *out = input;
    if (n_keys > 0) {
        const struct source_span span = span_of(query->order_by.items[0].expr->span);
        return plan_sort(binder->plans, input, keys, n_keys, limit, offset, span, out, err);
    }
    if (!query->limit && !query->offset) { return SABOT_OK; }
    const struct source_span span = span_of(query->limit ? query->limit->span : query->offset->span);
    return plan_limit(binder->plans, input, limit, offset, span, out, err);
}

/* ORDER BY of a query whose inside is not seen: by output columns only. */
static sabot_status order_by_outputs(struct binder *binder, const struct sql_query *query, struct plan *input,
                                     struct plan **out, struct sabot_error *err) {
    const int32_t n = (int32_t)query->order_by.count;
    struct sort_key *keys = arena_alloc(arena_of(binder), ((size_t)n + 1) * sizeof *keys);
    if (!keys) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        const struct sql_order *order = &query->order_by.items[i];
        int32_t column = -1;
        if (order->expr->kind == SQL_EXPR_INTEGER) {
            const long at = strtol(order->expr->text, NULL, 10);
            if (at < 1 || at > input->schema->n_fields) {
                return bad_position(order->expr, input->schema->n_fields, err);
            }
            column = (int32_t)at - 1;
        } else if (order->expr->kind == SQL_EXPR_COLUMN) {
            struct scope_table all = {.first = 0, .count = input->schema->n_fields};
            const struct scope scope = {.plan = input, .tables = &all, .n_tables = 1};
            unsigned used = 0;
            SABOT_TRY(scope_find(&scope, &order->expr->path, "ORDER BY", &column, &used, err));
        } else {
            return SQL_FAIL(err, SABOT_ERR_PLAN, order->expr->span,
                            "ORDER BY behind UNION, VALUES or DISTINCT takes output columns only");
        }
        keys[i] = sort_key_of(order, column);
    }
    return build_order(binder, query, input, keys, n, out, err);
}

/* ---- SELECT ------------------------------------------------------------------------------------------------------ */

/* FROM-less: one row, as Flink's Values(tuples=[[{ 0 }]]). */
sabot_status bind_one_row(struct binder *binder, struct sql_span span, struct plan **out, struct sabot_error *err) {
    static const char *const names[] = {"ZERO"};
    struct expr **cells = arena_alloc(arena_of(binder), sizeof *cells);
    const int32_t zero = 0;
    if (!cells) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(expr_literal(arena_of(binder), type_not_null(type_of(TYPE_INT32)), &zero, span_of(span), &cells[0], err));
    return plan_values(binder->plans, cells, 1, names, 1, span_of(span), out, err);
}

static bool select_is_grouped(const struct sql_select *select) {
    if (select->has_group_by || has_aggregate(select->having)) { return true; }
    for (unsigned i = 0; i < select->items.count; i++) {
        if (has_aggregate(select->items.items[i].expr)) { return true; }
    }
    return false;
}

static sabot_status regroup_all(struct binder *binder, const struct plan *input, const struct plan *aggregate,
                                const struct keys *keys, const struct grouping *grouping, struct expr **exprs,
                                int32_t n, struct sabot_error *err) {
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(bind_regroup(binder, input, aggregate, 0, keys, grouping, exprs[i], &exprs[i], err));
    }
    return SABOT_OK;
}

sabot_status bind_distinct_rows(struct binder *binder, struct plan *input, struct source_span span, struct plan **out,
                           struct sabot_error *err) {
    const int32_t n = input->schema->n_fields;
    const int32_t *keys = NULL;
    SABOT_TRY(plan_first_columns(binder->plans, n, &keys, err));
    return plan_aggregate(binder->plans, input, keys, n, NULL, NULL, 0, true, span, out, err);
}

/* The select list's projection without the columns that only ORDER BY needed. */
static sabot_status drop_hidden(struct binder *binder, struct plan *input, const struct outputs *outputs, int32_t shown,
                                struct plan **out, struct sabot_error *err) {
    if (shown == input->schema->n_fields) {
        *out = input;
        return SABOT_OK;
    }
    struct expr **exprs = arena_alloc(arena_of(binder), ((size_t)shown + 1) * sizeof *exprs);
    if (!exprs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < shown; i++) {
        SABOT_TRY(plan_column_ref(binder->plans, input, i, outputs->exprs[i]->span, &exprs[i], err));
    }
    return plan_project(binder->plans, input, exprs, outputs->names, shown, out, err);
}

static sabot_status bind_order_items(const struct expr_scope *in, const struct sql_query *query,
                                     struct outputs *outputs, struct sort_key **out, struct sabot_error *err) {
    const int32_t n = (int32_t)query->order_by.count, shown = outputs->n;
    struct sort_key *keys = arena_alloc(arena_of(in->binder), ((size_t)n + 1) * sizeof *keys);
    if (!keys) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        const struct sql_order *order = &query->order_by.items[i];
        int32_t column = ordered_output(outputs, order->expr);
        if (column == -2) { return bad_position(order->expr, shown, err); }
        if (column == -1) {
            struct expr *expr = NULL;
            SABOT_TRY(bind_expr(in, order->expr, &expr, err));
            for (column = 0; column < outputs->n && !expr_equal(outputs->exprs[column], expr); column++) {}
            if (column == outputs->n) {
                SABOT_TRY(outputs_add(in->binder, outputs, expr, "$order", order->expr, false, err));
            }
        }
        keys[i] = sort_key_of(order, column);
    }
    *out = keys;
    return SABOT_OK;
}

/* Hints of how to execute (BROADCAST, LOOKUP, ..) change no rows and are passed over; what is forgotten does. */
static sabot_status check_hints(struct binder *binder, const struct sql_hints *hints, struct sabot_error *err) {
    for (unsigned i = 0; i < hints->count; i++) {
        const struct sql_name *name = &hints->items[i].name;
        if (strcasecmp(name->text, "STATE_TTL") == 0 && !settings_is(binder->settings, SETTING_runtime_mode, "batch")) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, name->span, "STATE_TTL hints can't be used yet: leave it out "
                            "and SET 'table.exec.state.ttl' = '1 d', which is for all states of a job");
        }
    }
    return SABOT_OK;
}

static sabot_status bind_select(struct binder *binder, const struct sql_query *query, struct plan **out,
                                struct sabot_error *err) {
    const struct sql_select *select = &query->select;
    struct scope scope = {0};
    SABOT_TRY(check_hints(binder, &select->hints, err));
    if (select->from) {
        SABOT_TRY(bind_table(binder, select->from, &scope, err));
    } else {
        SABOT_TRY(bind_one_row(binder, query->span, &scope.plan, err));
    }
    SABOT_TRY(bind_scalar_subqueries(binder, select, select_is_grouped(select), &scope, err));
    if (select->where) {
        SABOT_TRY(bind_where(binder, select->where, &scope, err));
    }
    struct grouping grouping = {0};
    struct keys keys = {0};
    const bool grouped = select_is_grouped(select);
    if (!grouped) { SABOT_TRY(bind_overs(binder, select, &scope, err)); }
    if (select->qualify) {
        if (grouped || !scope.n_overs) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, select->qualify->span,
                            "QUALIFY needs a function with OVER (..), and no GROUP BY beside it");
        }
        const struct expr_scope in = {.binder = binder, .scope = &scope, .clause = "QUALIFY"};
        struct expr *condition = NULL;
        SABOT_TRY(bind_condition(&in, select->qualify, &condition, err));
        SABOT_TRY(plan_filter(binder->plans, scope.plan, condition, &scope.plan, err));
    }
    if (grouped) { SABOT_TRY(bind_group_keys(binder, select, &scope, &grouping, &keys, err)); }
    grouping.n_input = scope.plan->schema->n_fields;
    if (grouped) { SABOT_TRY(bind_grouped_values(binder, query, &grouping, err)); }

    struct expr_scope in = {.binder = binder, .scope = &scope, .grouping = grouped ? &grouping : NULL,
                            .clause = "SELECT"};
    struct outputs outputs = {0};
    struct expr *having = NULL;
    struct sort_key *sort_keys = NULL;
    SABOT_TRY(bind_items(&in, &select->items, &outputs, err));
    const int32_t shown = outputs.n;
    in.clause = "HAVING";
    if (select->having && !grouped) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, select->having->span, "HAVING needs GROUP BY or an aggregate; use WHERE");
    }
    if (select->having) { SABOT_TRY(bind_condition(&in, select->having, &having, err)); }
    in.clause = "ORDER BY";
    if (!select->distinct) { SABOT_TRY(bind_order_items(&in, query, &outputs, &sort_keys, err)); }

    struct plan *plan = scope.plan;
    if (grouped) {
        const struct source_span span = select->group_by.count ? span_of(select->group_by.items[0].span)
                                                               : span_of(query->span);
        SABOT_TRY(bind_aggregation(binder, scope.plan, &keys, &grouping, span, &plan, err));
        SABOT_TRY(bind_join_grouped_values(binder, &grouping, &plan, err));
        SABOT_TRY(regroup_all(binder, scope.plan, plan, &keys, &grouping, outputs.exprs, outputs.n, err));
        if (having) {
            SABOT_TRY(bind_regroup(binder, scope.plan, plan, 0, &keys, &grouping, having, &having, err));
            SABOT_TRY(plan_filter(binder->plans, plan, having, &plan, err));
        }
    }
    SABOT_TRY(plan_project(binder->plans, plan, outputs.exprs, outputs.names, outputs.n, &plan, err));
    if (select->distinct) {
        SABOT_TRY(bind_distinct_rows(binder, plan, span_of(query->span), &plan, err));
        return order_by_outputs(binder, query, plan, out, err);
    }
    SABOT_TRY(build_order(binder, query, plan, sort_keys, (int32_t)query->order_by.count, &plan, err));
    return drop_hidden(binder, plan, &outputs, shown, out, err);
}

/* ---- VALUES, UNION ----------------------------------------------------------------------------------------------- */

static sabot_status cast_to(struct binder *binder, struct expr *expr, struct type type, struct expr **out,
                            struct sabot_error *err) {
    if (type_same(expr->type, type)) {
        *out = expr;
        return SABOT_OK;
    }
    type.nullable = type.nullable || expr->type.nullable;
    return expr_cast(arena_of(binder), expr, type, false, expr->span, out, err);
}

static sabot_status bind_values(struct binder *binder, const struct sql_query *query, struct plan **out,
                                struct sabot_error *err) {
    const struct sql_exprs *rows = &query->rows;
    const struct expr_scope in = {.binder = binder, .clause = "VALUES"};
    const unsigned n_columns = rows->items[0]->kind == SQL_EXPR_ROW ? rows->items[0]->list.count : 1;
    struct arena *arena = arena_of(binder);
    struct expr **cells = arena_alloc(arena, (size_t)rows->count * n_columns * sizeof *cells);
    struct type *types = arena_alloc(arena, (size_t)rows->count * sizeof *types);
    const char **names = arena_alloc(arena, n_columns * sizeof *names);
    if (!cells || !types || !names) { return PLAN_NO_MEMORY(err); }
    for (unsigned row = 0; row < rows->count; row++) {
        const struct sql_expr *written = rows->items[row];
        const bool is_row = written->kind == SQL_EXPR_ROW;
        if ((is_row ? written->list.count : 1) != n_columns) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, written->span,
                            "this row of VALUES has %u columns, the first one has %u", is_row ? written->list.count : 1,
                            n_columns);
        }
        for (unsigned i = 0; i < n_columns; i++) {
            SABOT_TRY(bind_expr(&in, is_row ? written->list.items[i] : written, &cells[row * n_columns + i], err));
        }
    }
    for (unsigned i = 0; i < n_columns; i++) {
        struct type common;
        struct sabot_error reason = {0};
        for (unsigned row = 0; row < rows->count; row++) {
            types[row] = cells[row * n_columns + i]->type;
        }
        if (type_common(types, (int32_t)rows->count, &common, &reason) != SABOT_OK) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, rows->items[0]->span, "column %u of VALUES: %s", i + 1,
                            reason.message);
        }
        for (unsigned row = 0; row < rows->count; row++) {
            struct expr **cell = &cells[row * n_columns + i];
            SABOT_TRY(cast_to(binder, *cell, common, cell, err));
        }
        names[i] = arena_format(arena, "EXPR$%u", i);
        if (!names[i]) { return PLAN_NO_MEMORY(err); }
    }
    return plan_values(binder->plans, cells, (int32_t)rows->count, names, (int32_t)n_columns, span_of(query->span), out,
                       err);
}

/* The input with its columns cast to the common types. */
static sabot_status cast_columns(struct binder *binder, struct plan *input, const struct type *types,
                                 const char *const *names, struct plan **out, struct sabot_error *err) {
    const int32_t n = input->schema->n_fields;
    struct expr **exprs = arena_alloc(arena_of(binder), ((size_t)n + 1) * sizeof *exprs);
    bool differs = false;
    if (!exprs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        struct expr *column = NULL;
        SABOT_TRY(plan_column_ref(binder->plans, input, i, input->span, &column, err));
        SABOT_TRY(cast_to(binder, column, types[i], &exprs[i], err));
        differs = differs || exprs[i] != column;
    }
    *out = input;
    return differs ? plan_project(binder->plans, input, exprs, names, n, out, err) : SABOT_OK;
}

/* The columns of an input, then a mark for each side, which is NULL for the other's rows. */
static sabot_status mark_side(struct binder *binder, struct plan *input, const char *const *names, int side,
                              struct plan **out, struct sabot_error *err) {
    const int32_t n = input->schema->n_fields, one = 1;
    const struct type type = type_of(TYPE_INT32);
    struct plan_items items;
    SABOT_TRY(plan_first_items(binder->plans, input, n, 2, &items, err));
    for (int32_t i = 0; i < 2; i++) {
        SABOT_TRY(expr_literal(arena_of(binder), type, i == side ? &one : NULL, input->span, &items.exprs[n + i], err));
    }
    return plan_project(binder->plans, input, items.exprs, names, n + 2, out, err);
}

/* ALL: each row as often as it stands on both sides, or oftener on the left than on the right. */
static sabot_status repeat_rows(struct binder *binder, struct plan *counted, int32_t n, enum sql_set_op op,
                                const char **names, struct expr **exprs, struct plan **out, struct sabot_error *err) {
    struct expr *counts[2] = {NULL, NULL};
    for (int32_t i = 0; i < 2; i++) {
        SABOT_TRY(plan_column_ref(binder->plans, counted, n + i, counted->span, &counts[i], err));
    }
    names[n] = "$times";
    SABOT_TRY(expr_call(arena_of(binder), op == SQL_SET_EXCEPT ? "-" : "LEAST", counts, 2, counted->span, &exprs[n],
                        err));
    SABOT_TRY(plan_project(binder->plans, counted, exprs, names, n + 1, &counted, err));
    return plan_repeat_rows(binder->plans, counted, out, err);
}

/* INTERSECT and EXCEPT: each different row once (NULL equals NULL), where it stands on the left and on the right, or
 * not on the right. */
static sabot_status rows_of_both(struct binder *binder, struct plan *const *inputs, const char *const *column_names,
                                 enum sql_set_op op, bool keeps_all, struct source_span span, struct plan **out,
                                 struct sabot_error *err) {
    static const char *const call_names[] = {"$left", "$right"};
    struct arena *arena = arena_of(binder);
    const int32_t n = inputs[0]->schema->n_fields;
    const char **names = arena_alloc(arena, ((size_t)n + 2) * sizeof *names);
    const int32_t *keys = NULL;
    struct aggregate_call *calls = arena_alloc(arena, 2 * sizeof *calls);
    struct expr **exprs = arena_alloc(arena, ((size_t)n + 1) * sizeof *exprs);
    struct plan *marked[2] = {NULL, NULL}, *all = NULL, *counted = NULL;
    if (!names || !calls || !exprs) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(plan_first_columns(binder->plans, n, &keys, err));
    if (n > 0) { memcpy(names, column_names, (size_t)n * sizeof *names); }
    for (int32_t i = 0; i < 2; i++) {
        names[n + i] = call_names[i];
        calls[i] = (struct aggregate_call){
            .kind = AGGREGATE_COUNT, .argument = n + i, .filter = -1, .type = type_not_null(type_of(TYPE_INT64))};
    }
    for (int32_t i = 0; i < 2; i++) { SABOT_TRY(mark_side(binder, inputs[i], names, i, &marked[i], err)); }
    SABOT_TRY(plan_union(binder->plans, marked, 2, &all, err));
    SABOT_TRY(plan_aggregate(binder->plans, all, keys, n, calls, call_names, 2, false, span, &counted, err));
    for (int32_t i = 0; i < n; i++) { SABOT_TRY(plan_column_ref(binder->plans, counted, i, span, &exprs[i], err)); }
    if (keeps_all) { return repeat_rows(binder, counted, n, op, names, exprs, out, err); }
    struct expr *conditions[2] = {NULL, NULL}, *both = NULL;
    const int64_t zero = 0;
    for (int32_t i = 0; i < 2; i++) {
        const char *compare = i == 1 && op == SQL_SET_EXCEPT ? "=" : ">";
        struct expr *sides[2] = {NULL, NULL};
        SABOT_TRY(plan_column_ref(binder->plans, counted, n + i, span, &sides[0], err));
        SABOT_TRY(expr_literal(arena, calls[i].type, &zero, span, &sides[1], err));
        SABOT_TRY(expr_call(arena, compare, sides, 2, span, &conditions[i], err));
    }
    SABOT_TRY(expr_call(arena, "AND", conditions, 2, span, &both, err));
    SABOT_TRY(plan_filter(binder->plans, counted, both, &counted, err));
    return plan_project(binder->plans, counted, exprs, names, n, out, err);
}

static sabot_status bind_set(struct binder *binder, const struct sql_query *query, struct plan **out,
                             struct sabot_error *err) {
    static const char *const names[] = {"UNION", "INTERSECT", "EXCEPT"};
    struct plan *inputs[2] = {NULL, NULL};
    SABOT_TRY(bind_query(binder, query->set.left, &inputs[0], err));
    SABOT_TRY(bind_query(binder, query->set.right, &inputs[1], err));
    const int32_t n = inputs[0]->schema->n_fields;
    if (inputs[1]->schema->n_fields != n) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, query->set.right->span, "%s of %d and %d columns", names[query->set.op], n,
                        inputs[1]->schema->n_fields);
    }
    struct type *types = arena_alloc(arena_of(binder), ((size_t)n + 1) * sizeof *types);
    const char **column_names = arena_alloc(arena_of(binder), ((size_t)n + 1) * sizeof *column_names);
    if (!types || !column_names) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        const struct type both[] = {inputs[0]->schema->fields[i].type, inputs[1]->schema->fields[i].type};
        struct sabot_error reason = {0};
        column_names[i] = inputs[0]->schema->fields[i].name;
        if (type_common(both, 2, &types[i], &reason) != SABOT_OK) {
            char left[160], right[160];
            type_print(both[0], left, sizeof left);
            type_print(both[1], right, sizeof right);
            return SQL_FAIL(err, SABOT_ERR_PLAN, query->set.right->span,
                            "%s: column %d (\"%s\") is %s on the left and %s on the right; add a CAST",
                            names[query->set.op], i + 1, column_names[i], left, right);
        }
    }
    for (int i = 0; i < 2; i++) {
        SABOT_TRY(cast_columns(binder, inputs[i], types, column_names, &inputs[i], err));
    }
    if (query->set.op != SQL_SET_UNION) {
        return rows_of_both(binder, inputs, column_names, query->set.op, query->set.all, span_of(query->span), out,
                            err);
    }
    SABOT_TRY(plan_union(binder->plans, inputs, 2, out, err));
    return query->set.all ? SABOT_OK : bind_distinct_rows(binder, *out, span_of(query->span), out, err);
}

/* ---- WITH -------------------------------------------------------------------------------------------------------- */

static sabot_status bind_cte(struct binder *binder, const struct sql_cte *cte, struct cte_frame *frame,
                             struct sabot_error *err) {
    struct plan *plan = NULL;
    SABOT_TRY(bind_query(binder, cte->query, &plan, err));
    if (cte->columns.count) {
        const int32_t n = plan->schema->n_fields;
        if (cte->columns.count != (unsigned)n) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, cte->name.span, "\"%s\" names %u columns, its query has %d",
                            cte->name.text, cte->columns.count, n);
        }
        struct expr **exprs = arena_alloc(arena_of(binder), (size_t)n * sizeof *exprs);
        const char **names = arena_alloc(arena_of(binder), (size_t)n * sizeof *names);
        if (!exprs || !names) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < n; i++) {
            SABOT_TRY(plan_column_ref(binder->plans, plan, i, span_of(cte->name.span), &exprs[i], err));
            SABOT_TRY(copy_name(binder, cte->columns.items[i].text, &names[i], err));
        }
        SABOT_TRY(plan_project(binder->plans, plan, exprs, names, n, &plan, err));
    }
    frame->cte = cte;
    frame->plan = plan;
    frame->outer = binder->ctes;
    binder->ctes = frame;
    return SABOT_OK;
}

static sabot_status bind_body(struct binder *binder, const struct sql_query *query, struct plan **out,
                              struct sabot_error *err) {
    switch (query->kind) {
    case SQL_QUERY_SELECT: return bind_select(binder, query, out, err); /* does its own ORDER BY */
    case SQL_QUERY_VALUES: SABOT_TRY(bind_values(binder, query, out, err)); break;
    case SQL_QUERY_SET: SABOT_TRY(bind_set(binder, query, out, err)); break;
    case SQL_QUERY_TABLE: {
        struct scope scope = {0};
        SABOT_TRY(bind_table(binder, query->table, &scope, err));
        *out = scope.plan;
        break;
    }
    case SQL_QUERY_NESTED: SABOT_TRY(bind_query(binder, query->nested, out, err)); break;
    }
    return order_by_outputs(binder, query, *out, out, err);
}

sabot_status bind_query(struct binder *binder, const struct sql_query *query, struct plan **out,
                        struct sabot_error *err) {
    if (query->recursive) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, query->span, "WITH RECURSIVE can't run");
    }
    const struct cte_frame *outer = binder->ctes;
    struct cte_frame *frames = arena_alloc(arena_of(binder), ((size_t)query->with.count + 1) * sizeof *frames);
    if (!frames) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < query->with.count; i++) {
        SABOT_TRY(bind_cte(binder, &query->with.items[i], &frames[i], err));
    }
    const sabot_status status = bind_body(binder, query, out, err);
    binder->ctes = outer;
    return status;
}
