/* Subqueries as values: a scalar subquery, IN and EXISTS where they are no condition of WHERE by themselves (below OR,
 * NOT of more, CASE, in a select list). Each becomes a left join with at most one row per row, and a column.
 *
 * A correlated one is taken apart: of its WHERE the equalities between the query around and itself become the keys of
 * that join, and the groups or different rows of its own side. What else speaks of the query around is refused, as in
 * Flink. IN is three-valued: where nothing is equal it is NULL if either side holds a NULL, and FALSE of no rows. */
#include "sql/bind_internal.h"

#include "expr/function.h"

static struct arena *arena_of(struct binder *binder) { return &binder->plans->arena; }

/* What a subquery is joined by. */
struct apart {
    struct scope inner;
    struct keys outer;     /* over the query around */
    struct keys keys;      /* the same over inner.plan */
};

/* ---- taking apart ------------------------------------------------------------------------------------------------ */

/* outer = inner, in either order. */
static sabot_status add_correlation(struct binder *binder, const struct expr *condition, int32_t n_outer, int32_t n,
                                    struct apart *apart, bool *fits, struct sabot_error *err) {
    *fits = false;
    if (!expr_is_call_of(condition, "=", 2)) { return SABOT_OK; }
    struct expr_sides reads[2];
    for (int32_t i = 0; i < 2; i++) {
        SABOT_TRY(expr_sides_of(binder->plans, condition->args[i], n_outer, n, &reads[i], err));
    }
    const int32_t outer = reads[0].right || reads[1].left ? 1 : 0;
    *fits = !reads[outer].right && !reads[1 - outer].left;
    if (!*fits) { return SABOT_OK; }
    apart->outer.exprs[apart->outer.n++] = condition->args[outer];
    return expr_for_right(binder->plans, condition->args[1 - outer], n_outer, n,
                          &apart->keys.exprs[apart->keys.n++], err);
}

/* FROM and WHERE of a subquery, without what it says of the query around. */
static sabot_status take_apart(struct binder *binder, const struct scope *outer, const struct sql_query *query,
                               struct sql_span span, struct apart *out, struct sabot_error *err) {
    const struct sql_select *select = &query->select;
    const struct sql_expr **list = NULL;
    struct scope both = {0};
    struct expr *own = NULL;
    int32_t n = 0;
    unsigned capacity = 0;
    SABOT_TRY(bind_table(binder, select->from, &out->inner, err));
    if (select->where) { SABOT_TRY(bind_conjuncts(binder, select->where, &list, &n, &capacity, err)); }
    out->outer.exprs = arena_alloc(arena_of(binder), (size_t)(n + 1) * sizeof *out->outer.exprs);
    out->keys.exprs = arena_alloc(arena_of(binder), (size_t)(n + 1) * sizeof *out->keys.exprs);
    if (!out->outer.exprs || !out->keys.exprs) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(bind_both_scopes(binder, outer, &out->inner, span, &both, err));
    const int32_t n_outer = outer->plan->schema->n_fields, n_both = both.plan->schema->n_fields;
    const struct expr_scope in = {.binder = binder, .scope = &both, .clause = "WHERE"};
    for (int32_t i = 0; i < n; i++) {
        struct expr *bound = NULL;
        struct expr_sides reads;
        bool fits = false;
        SABOT_TRY(bind_condition(&in, list[i], &bound, err));
        SABOT_TRY(expr_sides_of(binder->plans, bound, n_outer, n_both, &reads, err));
        if (!reads.left) {
            SABOT_TRY(expr_for_right(binder->plans, bound, n_outer, n_both, &bound, err));
            SABOT_TRY(bind_conjoin(binder, &own, bound, err));
            continue;
        }
        SABOT_TRY(add_correlation(binder, bound, n_outer, n_both, out, &fits, err));
        if (fits) { continue; }
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, list[i]->span,
                        "a subquery that is a value may speak of the query around it in equalities only, such as "
                        "inner.k = outer.k");
    }
    return own ? plan_filter(binder->plans, out->inner.plan, own, &out->inner.plan, err) : SABOT_OK;
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

/* LEFT JOIN of the scope's plan with rows that begin with the keys; the columns of `right` stand behind those of the
 * scope's plan. Without keys there is one row at most. */
static sabot_status join_keys(struct binder *binder, struct plan *left, const struct keys *outer, struct plan *right,
                              struct sql_span span, struct plan **out, struct sabot_error *err) {
    struct expr *condition = NULL;
    const int32_t n_left = left->schema->n_fields;
    for (int32_t i = 0; i < outer->n; i++) {
        struct expr *sides[2] = {outer->exprs[i], NULL}, *equal = NULL;
        const struct type type = right->schema->fields[i].type;
        SABOT_TRY(expr_column(arena_of(binder), n_left + i, type, span_of(span), &sides[1], err));
        SABOT_TRY(expr_call(arena_of(binder), "=", sides, 2, span_of(span), &equal, err));
        SABOT_TRY(bind_conjoin(binder, &condition, equal, err));
    }
    return plan_join(binder->plans, left, right, PLAN_JOIN_LEFT, condition, span_of(span), out, err);
}

/* The scope's columns and the value behind them; *column is its place. `joined` begins with the scope's columns. */
static sabot_status keep_value(struct binder *binder, struct plan *joined, struct expr *value, struct scope *scope,
                               int32_t *column, struct sabot_error *err) {
    const int32_t n = scope->plan->schema->n_fields;
    struct plan_items items;
    SABOT_TRY(plan_first_items(binder->plans, joined, n, 1, &items, err));
    items.names[n] = arena_format(arena_of(binder), "$value%d", n);
    if (!items.names[n]) { return PLAN_NO_MEMORY(err); }
    items.exprs[n] = value;
    *column = n;
    return plan_project(binder->plans, joined, items.exprs, items.names, n + 1, &scope->plan, err);
}

static sabot_status call_of(struct binder *binder, const char *name, struct expr *a, struct expr *b,
                            struct source_span span, struct expr **out, struct sabot_error *err) {
    return expr_call(arena_of(binder), name, (struct expr *[]){a, b}, b ? 2 : 1, span, out, err);
}

static sabot_status is_not_null(struct binder *binder, const struct plan *plan, int32_t column,
                                struct source_span span, struct expr **out, struct sabot_error *err) {
    struct expr *value = NULL;
    SABOT_TRY(plan_column_ref(binder->plans, plan, column, span, &value, err));
    return call_of(binder, "IS NOT NULL", value, NULL, span, out, err);
}

/* ---- scalar subqueries ------------------------------------------------------------------------------------------- */

/* Has one row whatever its input: nothing but aggregates of all rows. */
static bool is_one_row(const struct sql_query *query) {
    const struct sql_select *select = &query->select;
    return query->kind == SQL_QUERY_SELECT && !query->order_by.count && !query->limit && !query->offset &&
           !select->distinct && !select->has_group_by && !select->having && !select->qualify &&
           select->items.count == 1 && has_aggregate(select->items.items[0].expr);
}

/* Bound by itself: one row. */
static sabot_status bind_only_row(struct binder *binder, const struct sql_expr *expr, struct plan **out,
                             struct sabot_error *err) {
    if (is_one_row(expr->query)) { return bind_query(binder, expr->query, out, err); }
    return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span,
                    "a subquery as a value is one aggregate without GROUP BY, such as (SELECT MAX(x) FROM t): "
                    "others may have more rows than one");
}

static sabot_status join_row(struct binder *binder, const struct sql_expr *expr, struct plan *value,
                             struct scope *scope, int32_t *column, struct sabot_error *err) {
    /* Bounded, there is one row; else there is none before the first has come: then the value is NULL. */
    const enum plan_join_kind kind = value->bounded ? PLAN_JOIN_CROSS : PLAN_JOIN_LEFT;
    *column = scope->plan->schema->n_fields;
    return plan_join(binder->plans, scope->plan, value, kind, NULL, span_of(expr->span), &scope->plan, err);
}

static sabot_status join_alone(struct binder *binder, const struct sql_expr *expr, struct scope *scope,
                               int32_t *column, struct sabot_error *err) {
    struct plan *value = NULL;
    SABOT_TRY(bind_only_row(binder, expr, &value, err));
    return join_row(binder, expr, value, scope, column, err);
}

static sabot_status join_scalar(struct binder *binder, const struct sql_expr *expr, struct scope *scope,
                                int32_t *column, struct sabot_error *err) {
    const struct source_span span = span_of(expr->span);
    struct apart apart = {0};
    struct plan *groups = NULL, *joined = NULL;
    if (!is_one_row(expr->query) || !expr->query->select.from || expr->query->with.count) {
        return join_alone(binder, expr, scope, column, err);
    }
    SABOT_TRY(take_apart(binder, scope, expr->query, expr->span, &apart, err));
    if (apart.keys.n == 0) { return join_alone(binder, expr, scope, column, err); }
    struct grouping grouping = {.n_input = apart.inner.plan->schema->n_fields, .may_be_absent = true};
    const struct expr_scope in = {.binder = binder, .scope = &apart.inner, .grouping = &grouping, .clause = "SELECT"};
    struct expr *value = NULL;
    SABOT_TRY(bind_expr(&in, expr->query->select.items.items[0].expr, &value, err));
    SABOT_TRY(bind_aggregation(binder, apart.inner.plan, &apart.keys, &grouping, span, &groups, err));
    SABOT_TRY(join_keys(binder, scope->plan, &apart.outer, groups, expr->span, &joined, err));
    /* Only its calls: a key would be absent where there is no group. */
    const struct keys none = {.n = 0};
    SABOT_TRY(bind_regroup(binder, apart.inner.plan, joined, scope->plan->schema->n_fields + apart.keys.n, &none,
                           &grouping, value, &value, err));
    return keep_value(binder, joined, value, scope, column, err);
}

/* ---- EXISTS ------------------------------------------------------------------------------------------------------ */

/* The keys, different ones, and behind them the items. */
static sabot_status different(struct binder *binder, const struct apart *apart, struct expr *const *items,
                              int32_t n_items, struct source_span span, struct plan **out, struct sabot_error *err) {
    const int32_t n = apart->keys.n + n_items;
    struct expr **exprs = arena_alloc(arena_of(binder), (size_t)(n + 1) * sizeof *exprs);
    const char **names = arena_alloc(arena_of(binder), (size_t)(n + 1) * sizeof *names);
    if (!exprs || !names) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        exprs[i] = i < apart->keys.n ? apart->keys.exprs[i] : items[i - apart->keys.n];
        names[i] = bind_column_name(binder, apart->inner.plan, exprs[i], "$key", i);
    }
    SABOT_TRY(plan_project(binder->plans, apart->inner.plan, exprs, names, n, out, err));
    return bind_distinct_rows(binder, *out, span, out, err);
}

/* The keys, and whether a row of theirs has no item: it changes when that does, as a count would with each row. */
static sabot_status without_item(struct binder *binder, const struct apart *apart, struct expr *item,
                                 struct source_span span, struct plan **out, struct sabot_error *err) {
    struct pending_call call = {.kind = AGGREGATE_MAX, .type = type_of(TYPE_BOOL)};
    SABOT_TRY(call_of(binder, "IS NULL", item, NULL, span, &call.argument, err));
    const struct grouping grouping = {.calls = &call, .n_calls = 1};
    return bind_aggregation(binder, apart->inner.plan, &apart->keys, &grouping, span, out, err);
}

static sabot_status join_exists(struct binder *binder, const struct sql_expr *expr, struct scope *scope,
                                int32_t *column, struct sabot_error *err) {
    const struct source_span span = span_of(expr->span);
    const int32_t n = scope->plan->schema->n_fields;
    struct apart apart = {0};
    struct plan *right = NULL, *joined = NULL;
    struct expr *value = NULL, *there = NULL;
    if (subquery_is_plain(expr->query, NULL)) {
        SABOT_TRY(take_apart(binder, scope, expr->query, expr->span, &apart, err));
    } else {
        SABOT_TRY(bind_query(binder, expr->query, &apart.inner.plan, err));
    }
    /* Without keys one row that says so if there is any. */
    SABOT_TRY(bind_true(binder, span, &there, err));
    SABOT_TRY(different(binder, &apart, &there, apart.keys.n == 0, span, &right, err));
    SABOT_TRY(join_keys(binder, scope->plan, &apart.outer, right, expr->span, &joined, err));
    SABOT_TRY(is_not_null(binder, joined, n, span, &value, err));
    return keep_value(binder, joined, value, scope, column, err);
}

/* ---- IN ---------------------------------------------------------------------------------------------------------- */

/* The item of the subquery over its own rows. */
static sabot_status in_item(struct binder *binder, const struct scope *scope, const struct sql_expr *expr,
                            struct apart *apart, struct expr **item, struct sabot_error *err) {
    const struct sql_query *query = expr->in.query;
    int32_t n_items = 1;
    if (expr->in.operand->kind == SQL_EXPR_ROW) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "IN of a row can stand as a condition of its own in "
                        "WHERE only");
    }
    if (subquery_is_plain(query, expr->in.operand)) {
        SABOT_TRY(take_apart(binder, scope, query, expr->span, apart, err));
        const struct expr_scope in = {.binder = binder, .scope = &apart->inner, .clause = "SELECT"};
        n_items = (int32_t)query->select.items.count;
        if (n_items == 1) { SABOT_TRY(bind_expr(&in, query->select.items.items[0].expr, item, err)); }
    } else {
        SABOT_TRY(bind_query(binder, query, &apart->inner.plan, err));
        n_items = apart->inner.plan->schema->n_fields;
        SABOT_TRY(plan_column_ref(binder->plans, apart->inner.plan, 0, span_of(expr->span), item, err));
    }
    if (n_items == 1) { return SABOT_OK; }
    return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "IN compares 1 value with a subquery of %d columns", n_items);
}

/* Where nothing was equal: FALSE of no rows, NULL if a NULL is compared, else FALSE. At `without` of joined stands
 * whether a row had no item, which is NULL of no rows. */
static sabot_status unknown_or_false(struct binder *binder, const struct plan *joined, int32_t without,
                                     struct expr *found, struct expr *operand, struct source_span span,
                                     struct expr **out, struct sabot_error *err) {
    struct expr *args[7], *nulls[2] = {NULL, NULL};
    const uint8_t no = 0;
    SABOT_TRY(plan_column_ref(binder->plans, joined, without, span, &nulls[1], err));
    SABOT_TRY(call_of(binder, "IS NULL", nulls[1], NULL, span, &args[0], err));
    SABOT_TRY(expr_literal(arena_of(binder), type_not_null(type_of(TYPE_BOOL)), &no, span, &args[1], err));
    args[2] = found;
    SABOT_TRY(bind_true(binder, span, &args[3], err));
    SABOT_TRY(call_of(binder, "IS NULL", operand, NULL, span, &nulls[0], err));
    SABOT_TRY(call_of(binder, "OR", nulls[0], nulls[1], span, &args[4], err));
    SABOT_TRY(expr_literal(arena_of(binder), type_of(TYPE_BOOL), NULL, span, &args[5], err));
    args[6] = args[1];
    return expr_case(arena_of(binder), args, 7, span, out, err);
}

static sabot_status join_in(struct binder *binder, const struct sql_expr *expr, struct scope *scope, int32_t *column,
                            struct sabot_error *err) {
    const struct source_span span = span_of(expr->span);
    const struct expr_scope around = {.binder = binder, .scope = scope, .clause = "IN"};
    const int32_t n = scope->plan->schema->n_fields;
    struct apart apart = {0};
    struct plan *right = NULL, *joined = NULL;
    struct expr *item = NULL, *operand = NULL, *value = NULL;
    SABOT_TRY(in_item(binder, scope, expr, &apart, &item, err));
    SABOT_TRY(bind_expr(&around, expr->in.operand, &operand, err));
    SABOT_TRY(different(binder, &apart, &item, 1, span, &right, err));
    const int32_t n_keys = apart.keys.n;
    struct keys outer = {.n = n_keys + 1};
    outer.exprs = arena_alloc(arena_of(binder), (size_t)(n_keys + 1) * sizeof *outer.exprs);
    if (!outer.exprs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n_keys; i++) { outer.exprs[i] = apart.outer.exprs[i]; }
    outer.exprs[n_keys] = operand;
    SABOT_TRY(join_keys(binder, scope->plan, &outer, right, expr->span, &joined, err));
    const bool nullable = operand->type.nullable || item->type.nullable;
    const int32_t found = n + n_keys, without = found + 1 + n_keys;
    if (nullable) {
        SABOT_TRY(without_item(binder, &apart, item, span, &right, err));
        SABOT_TRY(join_keys(binder, joined, &apart.outer, right, expr->span, &joined, err));
    }
    SABOT_TRY(is_not_null(binder, joined, found, span, &value, err));
    if (nullable) { SABOT_TRY(unknown_or_false(binder, joined, without, value, operand, span, &value, err)); }
    if (expr->in.negated) { SABOT_TRY(call_of(binder, "NOT", value, NULL, span, &value, err)); }
    return keep_value(binder, joined, value, scope, column, err);
}

/* ---- all of a SELECT --------------------------------------------------------------------------------------------- */

/* In WHERE those that are conditions by themselves become semi and anti joins (bind_subquery.c). */
static sabot_status find_in_where(struct binder *binder, const struct sql_expr *where, struct found *found,
                                  struct sabot_error *err) {
    const struct sql_expr **list = NULL;
    int32_t n = 0;
    unsigned capacity = 0;
    if (!where) { return SABOT_OK; }
    SABOT_TRY(bind_conjuncts(binder, where, &list, &n, &capacity, err));
    for (int32_t i = 0; i < n; i++) {
        struct subquery of;
        bind_find(subquery_of(list[i], &of) ? of.operand : list[i], found);
    }
    return SABOT_OK;
}

static sabot_status check_found(const struct found *found, struct sabot_error *err) {
    if (!found->too_many_scalars) { return SABOT_OK; }
    return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, found->scalars[0]->span, "more than %d subqueries in a SELECT",
                    OVERS_MAX);
}

sabot_status bind_scalar_subqueries(struct binder *binder, const struct sql_select *select, bool grouped,
                                    struct scope *scope, struct sabot_error *err) {
    struct found found = {.n = 0};
    for (unsigned i = 0; i < select->items.count && !grouped; i++) { bind_find(select->items.items[i].expr, &found); }
    SABOT_TRY(find_in_where(binder, select->where, &found, err));
    bind_find(select->qualify, &found);
    if (found.n_scalars == 0) { return SABOT_OK; }
    SABOT_TRY(check_found(&found, err));
    struct scope_over *scalars = arena_alloc(arena_of(binder), (size_t)found.n_scalars * sizeof *scalars);
    if (!scalars) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < found.n_scalars; i++) {
        const struct sql_expr *expr = found.scalars[i];
        int32_t column = 0;
        SABOT_TRY(expr->kind == SQL_EXPR_SUBQUERY ? join_scalar(binder, expr, scope, &column, err)
                  : expr->kind == SQL_EXPR_EXISTS ? join_exists(binder, expr, scope, &column, err)
                                                  : join_in(binder, expr, scope, &column, err));
        scalars[i] = (struct scope_over){.call = expr, .column = column};
        scope->scalars = scalars; /* the operand of an IN may be one of those before it */
        scope->n_scalars = i + 1;
    }
    return SABOT_OK;
}

/* ---- beside GROUP BY --------------------------------------------------------------------------------------------- */

static sabot_status bind_grouped_value(struct binder *binder, const struct sql_expr *expr, struct grouped_value *out,
                                       struct sabot_error *err) {
    *out = (struct grouped_value){.expr = expr, .type = type_not_null(type_of(TYPE_BOOL))};
    if (expr->kind == SQL_EXPR_EXISTS) { return SABOT_OK; }
    SABOT_TRY(bind_only_row(binder, expr, &out->plan, err));
    out->type = type_nullable(out->plan->schema->fields[0].type);
    return SABOT_OK;
}

sabot_status bind_grouped_values(struct binder *binder, const struct sql_query *query, struct grouping *grouping,
                                 struct sabot_error *err) {
    const struct sql_select *select = &query->select;
    struct found found = {.n = 0};
    for (unsigned i = 0; i < select->items.count; i++) { bind_find(select->items.items[i].expr, &found); }
    bind_find(select->having, &found);
    for (unsigned i = 0; i < query->order_by.count; i++) { bind_find(query->order_by.items[i].expr, &found); }
    SABOT_TRY(check_found(&found, err));
    struct grouped_value *values = arena_alloc(arena_of(binder), ((size_t)found.n_scalars + 1) * sizeof *values);
    if (!values) { return PLAN_NO_MEMORY(err); }
    int32_t n = 0;
    for (int32_t i = 0; i < found.n_scalars; i++) {
        if (found.scalars[i]->kind == SQL_EXPR_IN) { continue; } /* refused where it stands */
        SABOT_TRY(bind_grouped_value(binder, found.scalars[i], &values[n++], err));
    }
    grouping->values = values;
    grouping->n_values = n;
    return SABOT_OK;
}

sabot_status bind_join_grouped_values(struct binder *binder, const struct grouping *grouping, struct plan **plan,
                                      struct sabot_error *err) {
    /* No tables: it can't speak of the query around, whose rows are groups by then. */
    struct scope above = {.plan = *plan};
    for (int32_t i = 0; i < grouping->n_values; i++) {
        const struct grouped_value *value = &grouping->values[i];
        int32_t column = 0;
        SABOT_TRY(value->plan ? join_row(binder, value->expr, value->plan, &above, &column, err)
                              : join_exists(binder, value->expr, &above, &column, err));
    }
    *plan = above.plan;
    return SABOT_OK;
}
