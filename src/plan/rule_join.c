/* Joins: which equalities are keys, and when rows leave the state.
 *
 * Equalities between the sides become keys: the rows come to the join by their hash. What is computed is computed below
 * the join, in types that both sides share. The rest of the condition is judged by the join on the pairs it finds. */
#include "plan/rules.h"

/* An equality of the two sides. */
struct equality {
    struct expr *left, *right; /* over the columns of their side */
};

static sabot_status equality_of(struct plan_arena *plans, struct expr *condition, int32_t n_left, int32_t n,
                                struct equality *out, bool *is_one, struct sabot_error *err) {
    *is_one = false;
    if (!expr_is_call_of(condition, "=", 2) || !expr_is_deterministic(condition)) { return SABOT_OK; }
    struct expr_sides reads[2];
    for (int i = 0; i < 2; i++) { SABOT_TRY(expr_sides_of(plans, condition->args[i], n_left, n, &reads[i], err)); }
    const int of_left = reads[0].left ? 0 : 1;
    const struct expr_sides one = reads[of_left], other = reads[1 - of_left];
    if (!one.left || one.right || other.left || !other.right) { return SABOT_OK; }
    out->left = condition->args[of_left];
    SABOT_TRY(expr_for_right(plans, condition->args[1 - of_left], n_left, n, &out->right, err));
    if (out->left->type.kind >= TYPE_ARRAY || out->right->type.kind >= TYPE_ARRAY) { return SABOT_OK; }
    if (!type_same(out->left->type, out->right->type)) {
        const struct type types[] = {out->left->type, out->right->type};
        struct type common;
        struct sabot_error reason = {0};
        if (type_common(types, 2, &common, &reason) != SABOT_OK) { return SABOT_OK; }
        struct expr **sides[] = {&out->left, &out->right};
        for (int i = 0; i < 2; i++) {
            struct type type = common;
            type.nullable = (*sides[i])->type.nullable;
            if (type_same(type, (*sides[i])->type)) { continue; }
            SABOT_TRY(expr_cast(&plans->arena, *sides[i], type, false, (*sides[i])->span, sides[i], err));
        }
    }
    *is_one = true;
    return SABOT_OK;
}

/* One side: its columns, then the keys that must be computed. */
struct side {
    struct plan *plan;
    struct plan_items items;
    int32_t *keys;
};

static sabot_status side_new(struct plan_arena *plans, struct plan *plan, int32_t n_keys, struct side *out,
                             struct sabot_error *err) {
    out->plan = plan;
    out->keys = arena_alloc(&plans->arena, (size_t)(n_keys + 1) * sizeof *out->keys);
    if (!out->keys) { return PLAN_NO_MEMORY(err); }
    return plan_first_items(plans, plan, plan->schema->n_fields, n_keys, &out->items, err);
}

static sabot_status side_key(struct plan_arena *plans, struct side *side, int32_t key, struct expr *expr,
                             struct sabot_error *err) {
    struct plan_items *items = &side->items;
    int32_t at = 0;
    while (at < items->n && !expr_equal(items->exprs[at], expr)) {
        at++;
    }
    if (at == items->n) {
        items->exprs[items->n] = expr;
        items->names[items->n] = arena_format(&plans->arena, "$key%d", key);
        if (!items->names[items->n++]) { return PLAN_NO_MEMORY(err); }
    }
    side->keys[key] = at;
    return SABOT_OK;
}

static sabot_status side_build(struct plan_arena *plans, struct side *side, struct sabot_error *err) {
    const struct plan_items *items = &side->items;
    if (items->n == side->plan->schema->n_fields) { return SABOT_OK; }
    return plan_project(plans, side->plan, items->exprs, items->names, items->n, &side->plan, err);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Whether the input only ever gives rows, and in time: no result of it waits for the end of bounded input. */
static bool only_appends(const struct plan *plan) {
    if (plan->kind == PLAN_RANK || plan->kind == PLAN_SORT || plan->kind == PLAN_LIMIT || plan->kind == PLAN_VALUES) {
        return false;
    }
    if (plan->kind == PLAN_AGGREGATE && !plan_groups_by_window(plan)) { return false; }
    if (plan->kind == PLAN_JOIN && plan->join.time == PLAN_JOIN_REGULAR) { return false; }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        if (!only_appends(plan->inputs[i])) { return false; }
    }
    return true;
}

static bool same_windows(const struct plan *left, int32_t left_id, const struct plan *right, int32_t right_id) {
    const struct window_spec *a = plan_find_window(left, left_id), *b = plan_find_window(right, right_id);
    return a && b && a->kind == b->kind && a->size_ms == b->size_ms && a->slide_ms == b->slide_ms &&
           a->offset_ms == b->offset_ms;
}

/* Both starts and both ends of windows of one kind are equal: a window join. */
static void find_window_join(const struct side *left, const struct side *right, int32_t n_keys, struct plan *model) {
    int32_t start = -1, end = -1;
    for (int32_t i = 0; i < n_keys; i++) {
        const bool computed =
            left->keys[i] >= left->plan->schema->n_fields || right->keys[i] >= right->plan->schema->n_fields;
        if (computed) { continue; }
        const struct plan_column *l = &left->plan->columns[left->keys[i]], *r = &right->plan->columns[right->keys[i]];
        if (l->window_role != r->window_role || l->window_id == 0 || r->window_id == 0) { continue; }
        if (l->window_role == COLUMN_WINDOW_START) { start = i; }
        if (l->window_role == COLUMN_WINDOW_END) { end = i; }
    }
    if (start < 0 || end < 0) { return; }
    const struct plan_column *l = &left->plan->columns[left->keys[end]], *r = &right->plan->columns[right->keys[end]];
    if (left->plan->columns[left->keys[start]].window_id != l->window_id ||
        right->plan->columns[right->keys[start]].window_id != r->window_id) {
        return;
    }
    if (!same_windows(left->plan, l->window_id, right->plan, r->window_id)) { return; }
    if (!only_appends(left->plan) || !only_appends(right->plan)) { return; }
    model->join.time = PLAN_JOIN_WINDOW;
    model->join.left_window_end = left->keys[end];
    model->join.right_window_end = right->keys[end];
}

/* column + offset_ms, where the column is a rowtime. */
static bool is_moved_rowtime(const struct expr *expr, const struct side *left, const struct side *right, int32_t n_left,
                             int32_t *column, int64_t *offset_ms) {
    if (expr->kind == EXPR_COLUMN) {
        const bool of_left = expr->index < n_left;
        const struct plan *plan = of_left ? left->plan : right->plan;
        *column = expr->index;
        return plan->columns[of_left ? expr->index : expr->index - n_left].time == TIME_ROWTIME;
    }
    const bool plus = expr_is_call_of(expr, "+", 2), minus = expr_is_call_of(expr, "-", 2);
    const struct expr *by = plus || minus ? expr->args[1] : NULL;
    if (!by || by->kind != EXPR_LITERAL || by->type.kind != TYPE_INTERVAL_DAY || !by->value) { return false; }
    const int64_t ms = *(const int64_t *)by->value;
    *offset_ms += plus ? ms : -ms;
    return is_moved_rowtime(expr->args[0], left, right, n_left, column, offset_ms);
}

/* Both bounds of left rowtime - right rowtime are constants: an interval join. Bounds are inclusive here; the
 * conditions themselves stay, which judges < and finer units than milliseconds. */
static void find_interval_join(struct expr *const *conditions, int32_t n, const struct side *left,
                               const struct side *right, struct plan *model) {
    const int32_t n_left = left->plan->schema->n_fields;
    int32_t columns[2] = {-1, -1};
    int64_t bounds[2] = {0, 0};
    bool found[2] = {false, false};
    for (int32_t i = 0; i < n; i++) {
        const struct expr *condition = conditions[i];
        const bool less = expr_is_call_of(condition, "<", 2) || expr_is_call_of(condition, "<=", 2);
        const bool more = expr_is_call_of(condition, ">", 2) || expr_is_call_of(condition, ">=", 2);
        const bool equal = expr_is_call_of(condition, "=", 2);
        if (!less && !more && !equal) { continue; }
        int32_t column[2] = {-1, -1};
        int64_t offset[2] = {0, 0};
        if (!is_moved_rowtime(condition->args[0], left, right, n_left, &column[0], &offset[0]) ||
            !is_moved_rowtime(condition->args[1], left, right, n_left, &column[1], &offset[1])) {
            continue;
        }
        const int l = column[0] < n_left ? 0 : 1;
        if (column[l] >= n_left || column[1 - l] < n_left) { continue; } /* of one side */
        if (columns[0] >= 0 && (columns[0] != column[l] || columns[1] != column[1 - l] - n_left)) { continue; }
        columns[0] = column[l];
        columns[1] = column[1 - l] - n_left;
        const int64_t distance = offset[1 - l] - offset[l]; /* left ~ right + distance */
        const bool is_upper = equal || (l == 0 ? less : more), is_lower = equal || (l == 0 ? more : less);
        if (is_lower && (!found[0] || distance > bounds[0])) { bounds[0] = distance; }
        if (is_upper && (!found[1] || distance < bounds[1])) { bounds[1] = distance; }
        found[0] = found[0] || is_lower;
        found[1] = found[1] || is_upper;
    }
    if (!found[0] || !found[1] || bounds[0] > bounds[1]) { return; }
    if (!only_appends(left->plan) || !only_appends(right->plan)) { return; }
    model->join.time = PLAN_JOIN_INTERVAL;
    model->join.left_time = columns[0];
    model->join.right_time = columns[1];
    model->join.lower_ms = bounds[0];
    model->join.upper_ms = bounds[1];
}

/* ---- the rule ---------------------------------------------------------------------------------------------------- */

/* The columns of the join as it was: without the keys that were computed. */
static sabot_status restore(struct plan_arena *plans, const struct plan *old, struct plan *join, int32_t n_left,
                            int32_t more_left, struct plan **out, struct sabot_error *err) {
    const int32_t n = old->schema->n_fields;
    *out = join;
    if (join->schema->n_fields == n) { return SABOT_OK; }
    struct expr **exprs = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *exprs);
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    if (!exprs || !names) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        names[i] = old->schema->fields[i].name;
        SABOT_TRY(plan_column_ref(plans, join, i < n_left ? i : i + more_left, old->span, &exprs[i], err));
    }
    return plan_project(plans, join, exprs, names, n, out, err);
}

sabot_status rule_joins(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err) {
    SABOT_TRY(plan_rewrite_inputs(plans, plan, rule_joins, &plan, err));
    *out = plan;
    if (plan->kind != PLAN_JOIN || plan->join.is_keyed) { return SABOT_OK; }
    const int32_t n_left = plan->inputs[0]->schema->n_fields, n = plan_join_width(plan);
    struct expr **conditions = NULL;
    int32_t n_conditions = 0, n_keys = 0, n_rest = 0;
    if (plan->join.condition) {
        SABOT_TRY(expr_conjuncts(plans, plan->join.condition, &conditions, &n_conditions, err));
    }
    struct expr **rest = arena_alloc(&plans->arena, (size_t)(n_conditions + 1) * sizeof *rest);
    struct side left = {0}, right = {0};
    if (!rest) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(side_new(plans, plan->inputs[0], n_conditions, &left, err));
    SABOT_TRY(side_new(plans, plan->inputs[1], n_conditions, &right, err));
    for (int32_t i = 0; i < n_conditions; i++) {
        struct equality equality = {0};
        bool is_one = false;
        SABOT_TRY(equality_of(plans, conditions[i], n_left, n, &equality, &is_one, err));
        if (!is_one) {
            rest[n_rest++] = conditions[i];
            continue;
        }
        SABOT_TRY(side_key(plans, &left, n_keys, equality.left, err));
        SABOT_TRY(side_key(plans, &right, n_keys, equality.right, err));
        n_keys++;
    }
    struct plan model = {.kind = PLAN_JOIN, .join = plan->join};
    model.join.left_keys = left.keys;
    model.join.right_keys = right.keys;
    model.join.n_keys = n_keys;
    model.join.condition = NULL;
    if (model.join.time == PLAN_JOIN_REGULAR) { find_window_join(&left, &right, n_keys, &model); }
    const bool gives_pairs = model.join.kind != PLAN_JOIN_SEMI && model.join.kind != PLAN_JOIN_ANTI;
    if (model.join.time == PLAN_JOIN_REGULAR && gives_pairs) {
        find_interval_join(conditions, n_conditions, &left, &right, &model);
    }
    SABOT_TRY(side_build(plans, &left, err));
    SABOT_TRY(side_build(plans, &right, err));
    const int32_t more_left = left.items.n - n_left;
    if (n_rest > 0) {
        int32_t *map = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *map);
        if (!map) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < n; i++) {
            map[i] = i < n_left ? i : i + more_left;
        }
        SABOT_TRY(expr_conjunction(plans, rest, n_rest, &model.join.condition, err));
        SABOT_TRY(expr_remap(plans, model.join.condition, map, &model.join.condition, err));
    }
    struct plan *join = NULL;
    SABOT_TRY(plan_join_keyed(plans, left.plan, right.plan, &model, &join, err));
    return restore(plans, plan, join, n_left, more_left, out, err);
}
