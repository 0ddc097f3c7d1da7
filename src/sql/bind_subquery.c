/* Subqueries in WHERE: IN, NOT IN, EXISTS and NOT EXISTS as semi and anti joins.
 *
 * A plain SELECT .. FROM .. WHERE may name columns of the query around it: its WHERE becomes the join's condition, in
 * which the rules find keys. What groups, sorts or limits is bound by itself and may not.
 * NOT IN follows the standard: a row passes where the comparison is FALSE with every row of the subquery, so a NULL on
 * either side keeps it out (unless the subquery is empty). Between columns that may be NULL this is no equality: all
 * rows meet in one task, as in Flink. */
#include "sql/bind_internal.h"

static struct arena *arena_of(struct binder *binder) { return &binder->plans->arena; }

bool subquery_of(const struct sql_expr *expr, struct subquery *out) {
    bool negated = false;
    const struct sql_span span = expr->span;
    for (; expr->kind == SQL_EXPR_UNARY && expr->unary.op == SQL_OP_NOT; expr = expr->unary.operand) {
        negated = !negated;
    }
    if (expr->kind == SQL_EXPR_EXISTS) {
        *out = (struct subquery){.query = expr->query, .negated = negated, .span = span};
        return true;
    }
    if (expr->kind != SQL_EXPR_IN || !expr->in.query) { return false; }
    *out = (struct subquery){.operand = expr->in.operand, .query = expr->in.query,
                             .negated = negated != expr->in.negated, .span = span};
    return true;
}

sabot_status bind_conjuncts(struct binder *binder, const struct sql_expr *where, const struct sql_expr ***list,
                            int32_t *n, unsigned *capacity, struct sabot_error *err) {
    if (where->kind == SQL_EXPR_LOGIC && where->logic.op == SQL_OP_AND) {
        for (unsigned i = 0; i < where->logic.operands.count; i++) {
            SABOT_TRY(bind_conjuncts(binder, where->logic.operands.items[i], list, n, capacity, err));
        }
        return SABOT_OK;
    }
    *list = arena_grow(arena_of(binder), *list, (size_t)*n, sizeof **list, capacity);
    if (!*list) { return PLAN_NO_MEMORY(err); }
    (*list)[(*n)++] = where;
    return SABOT_OK;
}

bool subquery_is_plain(const struct sql_query *query, const struct sql_expr *operand) {
    const struct sql_select *select = &query->select;
    if (query->kind != SQL_QUERY_SELECT || query->with.count || query->order_by.count || query->limit ||
        query->offset || !select->from || select->has_group_by || select->having || select->qualify) {
        return false;
    }
    for (unsigned i = 0; i < select->items.count; i++) {
        const struct sql_expr *item = select->items.items[i].expr;
        if (has_aggregate(item) || (operand && item->kind == SQL_EXPR_STAR)) { return false; }
        if (item->kind == SQL_EXPR_CALL && item->call.over) { return false; }
    }
    return true;
}

sabot_status bind_both_scopes(struct binder *binder, const struct scope *outer, const struct scope *inner,
                              struct sql_span span, struct scope *out, struct sabot_error *err) {
    out->n_tables = outer->n_tables + inner->n_tables;
    out->n_inner = inner->n_tables;
    out->tables = arena_alloc(arena_of(binder), (size_t)(out->n_tables + 1) * sizeof *out->tables);
    if (!out->tables) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < out->n_tables; i++) {
        const bool of_inner = i < inner->n_tables;
        out->tables[i] = of_inner ? inner->tables[i] : outer->tables[i - inner->n_tables];
        if (of_inner) { out->tables[i].first += outer->plan->schema->n_fields; }
    }
    return plan_join(binder->plans, outer->plan, inner->plan, PLAN_JOIN_CROSS, NULL, span_of(span), &out->plan, err);
}

sabot_status bind_conjoin(struct binder *binder, struct expr **all, struct expr *more, struct sabot_error *err) {
    if (!*all) {
        *all = more;
        return SABOT_OK;
    }
    struct expr *both[] = {*all, more};
    return expr_call(arena_of(binder), "AND", both, 2, more->span, all, err);
}

sabot_status bind_true(struct binder *binder, struct source_span span, struct expr **out, struct sabot_error *err) {
    const uint8_t value = 1;
    return expr_literal(arena_of(binder), type_not_null(type_of(TYPE_BOOL)), &value, span, out, err);
}

/* operand = item, or, for a row, all of its parts. */
static sabot_status compare(struct binder *binder, const struct subquery *of, struct expr *const *operands,
                            struct expr *const *items, int32_t n, struct expr **out, struct sabot_error *err) {
    const struct source_span span = span_of(of->span);
    struct expr *all = NULL;
    bool nullable = false;
    for (int32_t i = 0; i < n; i++) {
        struct expr *pair[] = {operands[i], items[i]}, *equal = NULL;
        nullable = nullable || operands[i]->type.nullable || items[i]->type.nullable;
        SABOT_TRY(expr_call(arena_of(binder), "=", pair, 2, span, &equal, err));
        SABOT_TRY(bind_conjoin(binder, &all, equal, err));
    }
    *out = all;
    if (!of->negated || !nullable) { return SABOT_OK; }
    return expr_call(arena_of(binder), "IS NOT FALSE", &all, 1, span, out, err);
}

static sabot_status bind_operands(const struct expr_scope *in, const struct subquery *of, int32_t n_items,
                                  struct expr ***out, struct sabot_error *err) {
    const bool is_row = of->operand->kind == SQL_EXPR_ROW;
    const int32_t n = is_row ? (int32_t)of->operand->list.count : 1;
    struct expr **operands = arena_alloc(arena_of(in->binder), (size_t)n * sizeof *operands);
    if (!operands) { return PLAN_NO_MEMORY(err); }
    if (n != n_items) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, of->span, "IN compares %d value%s with a subquery of %d columns", n,
                        n == 1 ? "" : "s", n_items);
    }
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(bind_expr(in, is_row ? of->operand->list.items[i] : of->operand, &operands[i], err));
    }
    *out = operands;
    return SABOT_OK;
}

/* A subquery that is bound by itself. */
static sabot_status bind_alone(struct binder *binder, const struct scope *outer, const struct subquery *of,
                               struct plan **right, struct expr **condition, struct sabot_error *err) {
    const struct expr_scope in = {.binder = binder, .scope = outer, .clause = "WHERE"};
    struct expr **operands = NULL;
    SABOT_TRY(bind_query(binder, of->query, right, err));
    if (!of->operand) { return SABOT_OK; }
    const int32_t n = (*right)->schema->n_fields, n_left = outer->plan->schema->n_fields;
    SABOT_TRY(bind_operands(&in, of, n, &operands, err));
    struct expr **items = arena_alloc(arena_of(binder), (size_t)n * sizeof *items);
    if (!items) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(expr_column(arena_of(binder), n_left + i, (*right)->schema->fields[i].type, span_of(of->span),
                              &items[i], err));
    }
    return compare(binder, of, operands, items, n, condition, err);
}

static sabot_status apply(struct binder *binder, const struct subquery *of, struct scope *scope,
                          struct sabot_error *err);

/* A plain subquery, which may name columns around it. */
static sabot_status bind_correlated(struct binder *binder, const struct scope *outer, const struct subquery *of,
                                    struct plan **right, struct expr **condition, struct sabot_error *err) {
    const struct sql_select *select = &of->query->select;
    const struct sql_expr **list = NULL;
    struct scope inner = {0}, both = {0};
    int32_t n = 0;
    unsigned capacity = 0;
    SABOT_TRY(bind_table(binder, select->from, &inner, err));
    if (select->where) { SABOT_TRY(bind_conjuncts(binder, select->where, &list, &n, &capacity, err)); }
    for (int32_t i = 0; i < n; i++) { /* deeper ones see the subquery's own tables */
        struct subquery deeper;
        if (subquery_of(list[i], &deeper)) { SABOT_TRY(apply(binder, &deeper, &inner, err)); }
    }
    SABOT_TRY(bind_both_scopes(binder, outer, &inner, of->span, &both, err));
    const struct expr_scope in = {.binder = binder, .scope = &both, .clause = "WHERE"};
    for (int32_t i = 0; i < n; i++) {
        struct subquery deeper;
        struct expr *bound = NULL;
        if (subquery_of(list[i], &deeper)) { continue; }
        SABOT_TRY(bind_condition(&in, list[i], &bound, err));
        SABOT_TRY(bind_conjoin(binder, condition, bound, err));
    }
    *right = inner.plan;
    if (!of->operand) { return SABOT_OK; }
    const struct expr_scope around = {.binder = binder, .scope = outer, .clause = "WHERE"};
    const int32_t n_items = (int32_t)select->items.count;
    struct expr **operands = NULL, *equal = NULL;
    struct expr **items = arena_alloc(arena_of(binder), (size_t)n_items * sizeof *items);
    if (!items) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(bind_operands(&around, of, n_items, &operands, err));
    for (int32_t i = 0; i < n_items; i++) { SABOT_TRY(bind_expr(&in, select->items.items[i].expr, &items[i], err)); }
    SABOT_TRY(compare(binder, of, operands, items, n_items, &equal, err));
    return bind_conjoin(binder, condition, equal, err);
}

/* One row if there is any, so that EXISTS without a condition need not look at each; it changes when the first comes
 * and when the last goes, not with each. */
static sabot_status any_row(struct binder *binder, struct plan *input, struct sql_span span, struct plan **out,
                            struct sabot_error *err) {
    struct plan_items items;
    SABOT_TRY(plan_first_items(binder->plans, input, 0, 1, &items, err));
    items.names[0] = "$any";
    SABOT_TRY(bind_true(binder, span_of(span), &items.exprs[0], err));
    SABOT_TRY(plan_project(binder->plans, input, items.exprs, items.names, 1, out, err));
    return bind_distinct_rows(binder, *out, span_of(span), out, err);
}

static sabot_status apply(struct binder *binder, const struct subquery *of, struct scope *scope,
                          struct sabot_error *err) {
    struct plan *right = NULL;
    struct expr *condition = NULL;
    if (subquery_is_plain(of->query, of->operand)) {
        SABOT_TRY(bind_correlated(binder, scope, of, &right, &condition, err));
    } else {
        SABOT_TRY(bind_alone(binder, scope, of, &right, &condition, err));
    }
    if (!condition) { SABOT_TRY(any_row(binder, right, of->span, &right, err)); }
    return plan_join(binder->plans, scope->plan, right, of->negated ? PLAN_JOIN_ANTI : PLAN_JOIN_SEMI, condition,
                     span_of(of->span), &scope->plan, err);
}

sabot_status bind_where(struct binder *binder, const struct sql_expr *where, struct scope *scope,
                        struct sabot_error *err) {
    const struct sql_expr **list = NULL;
    int32_t n = 0;
    unsigned capacity = 0;
    struct expr *condition = NULL;
    SABOT_TRY(bind_conjuncts(binder, where, &list, &n, &capacity, err));
    for (int32_t i = 0; i < n; i++) {
        const struct expr_scope in = {.binder = binder, .scope = scope, .clause = "WHERE"};
        struct subquery of;
        struct expr *bound = NULL;
        if (subquery_of(list[i], &of)) { continue; }
        SABOT_TRY(bind_condition(&in, list[i], &bound, err));
        SABOT_TRY(bind_conjoin(binder, &condition, bound, err));
    }
    if (condition) { SABOT_TRY(plan_filter(binder->plans, scope->plan, condition, &scope->plan, err)); }
    for (int32_t i = 0; i < n; i++) {
        struct subquery of;
        if (subquery_of(list[i], &of)) { SABOT_TRY(apply(binder, &of, scope, err)); }
    }
    return SABOT_OK;
}
