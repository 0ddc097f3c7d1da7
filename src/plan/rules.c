/* Constant folding, filters towards the scans, projections into one. */
#include "plan/rules.h"

#include "expr/function.h"

#include <assert.h>
#include <string.h>

#define PUSHED_SIZE_MAX 24   /* a filter that grows beyond it when it goes below a projection stays above */
#define MERGED_SIZE_MAX 4096 /* nodes of a merged projection */

sabot_status plan_rewrite_inputs(struct plan_arena *plans, struct plan *plan, plan_rule rule, struct plan **out,
                                 struct sabot_error *err) {
    struct plan **inputs = arena_alloc(&plans->arena, (size_t)(plan->n_inputs + 1) * sizeof *inputs);
    bool same = true;
    if (!inputs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        SABOT_TRY(rule(plans, plan->inputs[i], &inputs[i], err));
        same = same && inputs[i] == plan->inputs[i];
    }
    *out = plan;
    return same ? SABOT_OK : plan_with_inputs(plans, plan, inputs, out, err);
}

/* ---- constants --------------------------------------------------------------------------------------------------- */

static sabot_status rule_fold(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err) {
    struct plan *node = NULL;
    SABOT_TRY(plan_rewrite_inputs(plans, plan, rule_fold, &node, err));
    struct plan *copy = ARENA_NEW(&plans->arena, struct plan);
    if (!copy) { return PLAN_NO_MEMORY(err); }
    *copy = *node;
    if (node->kind == PLAN_FILTER) {
        SABOT_TRY(expr_fold(&plans->arena, node->filter.condition, &copy->filter.condition, err));
    } else if (node->kind == PLAN_PROJECT) {
        const int32_t n = node->schema->n_fields;
        struct expr **exprs = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *exprs);
        if (!exprs) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < n; i++) {
            SABOT_TRY(expr_fold(&plans->arena, node->project.exprs[i], &exprs[i], err));
        }
        copy->project.exprs = exprs;
    } else if (node->kind == PLAN_JOIN && node->join.condition) {
        SABOT_TRY(expr_fold(&plans->arena, node->join.condition, &copy->join.condition, err));
    } else if (node->kind == PLAN_VALUES) {
        const int32_t n = node->schema->n_fields * node->values.n_rows;
        struct expr **cells = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *cells);
        if (!cells) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < n; i++) {
            SABOT_TRY(expr_fold(&plans->arena, node->values.cells[i], &cells[i], err));
        }
        copy->values.cells = cells;
    }
    *out = copy;
    return SABOT_OK;
}

/* ---- filters ----------------------------------------------------------------------------------------------------- */

struct conditions {
    struct expr **items;
    int32_t n;
};

static sabot_status conditions_new(struct plan_arena *plans, int32_t most, struct conditions *out,
                                   struct sabot_error *err) {
    out->n = 0;
    out->items = arena_alloc(&plans->arena, (size_t)(most + 1) * sizeof *out->items);
    return out->items ? SABOT_OK : PLAN_NO_MEMORY(err);
}

static sabot_status filter_above(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                 struct plan **out, struct sabot_error *err) {
    struct expr *all = NULL;
    *out = plan;
    if (conditions->n == 0) { return SABOT_OK; }
    SABOT_TRY(expr_conjunction(plans, conditions->items, conditions->n, &all, err));
    return plan_filter(plans, plan, all, out, err);
}

/* Whether all columns that the condition reads are marked in allowed. */
static sabot_status reads_only(struct plan_arena *plans, const struct expr *condition, const bool *allowed, int32_t n,
                               bool *out, struct sabot_error *err) {
    bool *used = arena_alloc(&plans->arena, (size_t)n + 1);
    if (!used) { return PLAN_NO_MEMORY(err); }
    expr_columns(condition, used, n);
    *out = true;
    for (int32_t i = 0; i < n; i++) {
        *out = *out && (!used[i] || allowed[i]);
    }
    return SABOT_OK;
}

static sabot_status push(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                         struct plan **out, struct sabot_error *err);

/* The conditions split in those that may read only allowed columns, rewritten for the input, and the others. */
static sabot_status push_through(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                 const bool *allowed, struct expr *const *replacements, struct plan **out,
                                 struct sabot_error *err) {
    struct conditions below, above;
    const int32_t n = plan->schema->n_fields;
    SABOT_TRY(conditions_new(plans, conditions->n, &below, err));
    SABOT_TRY(conditions_new(plans, conditions->n, &above, err));
    for (int32_t i = 0; i < conditions->n; i++) {
        struct expr *condition = conditions->items[i];
        bool goes = false;
        SABOT_TRY(reads_only(plans, condition, allowed, n, &goes, err));
        goes = goes && expr_is_deterministic(condition);
        if (goes && replacements) { SABOT_TRY(expr_rewrite(plans, condition, replacements, n, &condition, err)); }
        goes = goes && (!replacements || plan->kind != PLAN_PROJECT ||
                        expr_size(condition, PUSHED_SIZE_MAX + 1) <= PUSHED_SIZE_MAX ||
                        expr_size(condition, INT32_MAX) <= 2 * expr_size(conditions->items[i], INT32_MAX));
        if (goes) {
            below.items[below.n++] = condition;
        } else {
            above.items[above.n++] = conditions->items[i];
        }
    }
    struct plan *input = NULL;
    SABOT_TRY(push(plans, plan->inputs[0], &below, &input, err));
    SABOT_TRY(plan_with_inputs(plans, plan, &input, &plan, err));
    return filter_above(plans, plan, &above, out, err);
}

static sabot_status allow(struct plan_arena *plans, int32_t n, int32_t first_n, bool **out, struct sabot_error *err) {
    *out = arena_alloc(&plans->arena, (size_t)n + 1);
    if (!*out) { return PLAN_NO_MEMORY(err); }
    memset(*out, true, (size_t)first_n);
    return SABOT_OK;
}

static sabot_status push_into_project(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                      struct plan **out, struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields;
    bool *allowed = NULL;
    SABOT_TRY(allow(plans, n, 0, &allowed, err));
    for (int32_t i = 0; i < n; i++) {
        allowed[i] = expr_is_deterministic(plan->project.exprs[i]);
    }
    return push_through(plans, plan, conditions, allowed, plan->project.exprs, out, err);
}

static sabot_status push_into_aggregate(struct plan_arena *plans, struct plan *plan,
                                        const struct conditions *conditions, struct plan **out,
                                        struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields, n_keys = plan->aggregate.n_keys;
    bool *allowed = NULL;
    struct expr **replacements = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *replacements);
    if (!replacements) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(allow(plans, n, n_keys, &allowed, err));
    for (int32_t i = 0; i < n_keys; i++) {
        /* Behind a filter on its window the aggregation could not share panes any more. */
        if (plan->columns[i].window_role != COLUMN_OF_NO_WINDOW) { allowed[i] = false; }
        SABOT_TRY(plan_column_ref(plans, plan->inputs[0], plan->aggregate.keys[i], plan->span, &replacements[i], err));
    }
    return push_through(plans, plan, conditions, allowed, replacements, out, err);
}

static sabot_status push_into_union(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                    struct plan **out, struct sabot_error *err) {
    struct plan **inputs = arena_alloc(&plans->arena, (size_t)plan->n_inputs * sizeof *inputs);
    if (!inputs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        SABOT_TRY(push(plans, plan->inputs[i], conditions, &inputs[i], err));
    }
    return plan_with_inputs(plans, plan, inputs, out, err);
}

static sabot_status push_into_scan(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                   struct plan **out, struct sabot_error *err) {
    *out = plan;
    if (conditions->n == 0) { return SABOT_OK; }
    /* Of a changelog a change may be dropped only when it is known what it replaces. */
    if (plan->scan.table->connector->source->upserts) { return filter_above(plans, plan, conditions, out, err); }
    struct plan *copy = ARENA_NEW(&plans->arena, struct plan);
    struct conditions all;
    if (!copy) { return PLAN_NO_MEMORY(err); }
    *copy = *plan;
    SABOT_TRY(conditions_new(plans, conditions->n + 1, &all, err));
    if (plan->scan.filter) { all.items[all.n++] = plan->scan.filter; }
    memcpy(&all.items[all.n], conditions->items, (size_t)conditions->n * sizeof *all.items);
    all.n += conditions->n;
    SABOT_TRY(expr_conjunction(plans, all.items, all.n, &copy->scan.filter, err));
    *out = copy;
    return SABOT_OK;
}

/* ---- joins ------------------------------------------------------------------------------------------------------- */

/* Where a condition of a join may go; of_above: it stands above the join, not in ON. */
static sabot_status place(struct plan_arena *plans, const struct plan *join, struct expr *condition, bool of_above,
                          struct conditions *left, struct conditions *right, struct conditions *on,
                          struct conditions *above, struct sabot_error *err) {
    const int32_t n_left = join->inputs[0]->schema->n_fields, n = plan_join_width(join);
    const enum plan_join_kind kind = join->join.kind;
    const bool inner = kind == PLAN_JOIN_INNER || kind == PLAN_JOIN_CROSS || kind == PLAN_JOIN_SEMI;
    const bool anti = kind == PLAN_JOIN_ANTI;
    struct expr_sides reads;
    SABOT_TRY(expr_sides_of(plans, condition, n_left, n, &reads, err));
    /* A condition above drops rows of the side that is kept; one in ON only keeps them from matching. */
    const bool left_may = inner || (anti && of_above) || kind == (of_above ? PLAN_JOIN_LEFT : PLAN_JOIN_RIGHT);
    const bool right_may = inner || anti || kind == (of_above ? PLAN_JOIN_RIGHT : PLAN_JOIN_LEFT);
    if (!expr_is_deterministic(condition)) {
        struct conditions *stays = of_above ? above : on;
        stays->items[stays->n++] = condition;
    } else if (!reads.right && left_may) {
        left->items[left->n++] = condition;
    } else if (!reads.left && right_may) {
        return expr_for_right(plans, condition, n_left, n, &right->items[right->n++], err);
    } else {
        struct conditions *stays = of_above && !inner ? above : on;
        stays->items[stays->n++] = condition;
    }
    return SABOT_OK;
}

static sabot_status push_into_join(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                   struct plan **out, struct sabot_error *err) {
    struct conditions left, right, on, above;
    struct expr **own = NULL;
    int32_t n_own = 0;
    if (plan->join.condition) { SABOT_TRY(expr_conjuncts(plans, plan->join.condition, &own, &n_own, err)); }
    SABOT_TRY(conditions_new(plans, conditions->n + n_own, &left, err));
    SABOT_TRY(conditions_new(plans, conditions->n + n_own, &right, err));
    SABOT_TRY(conditions_new(plans, conditions->n + n_own, &on, err));
    SABOT_TRY(conditions_new(plans, conditions->n + n_own, &above, err));
    for (int32_t i = 0; i < n_own; i++) {
        SABOT_TRY(place(plans, plan, own[i], false, &left, &right, &on, &above, err));
    }
    for (int32_t i = 0; i < conditions->n; i++) {
        SABOT_TRY(place(plans, plan, conditions->items[i], true, &left, &right, &on, &above, err));
    }
    struct plan *sides[2] = {NULL, NULL};
    struct expr *condition = NULL;
    enum plan_join_kind kind = plan->join.kind;
    SABOT_TRY(push(plans, plan->inputs[0], &left, &sides[0], err));
    SABOT_TRY(push(plans, plan->inputs[1], &right, &sides[1], err));
    if (on.n > 0) { SABOT_TRY(expr_conjunction(plans, on.items, on.n, &condition, err)); }
    if (kind == PLAN_JOIN_CROSS && condition) { kind = PLAN_JOIN_INNER; }
    const enum plan_join_time time = plan->join.time;
    SABOT_TRY(plan_join(plans, sides[0], sides[1], kind, condition, plan->join.on, &plan, err));
    plan->join.time = time;
    return filter_above(plans, plan, &above, out, err);
}

/* ---- ROW_NUMBER -------------------------------------------------------------------------------------------------- */

/* A whole number that stands in the text, perhaps cast. */
static bool literal_number(const struct expr *expr, int64_t *out) {
    while (expr->kind == EXPR_CAST && !expr->try_cast && type_is_integer(expr->type)) {
        expr = expr->args[0];
    }
    if (expr->kind != EXPR_LITERAL || !expr->value) { return false; }
    switch (expr->type.kind) {
    case TYPE_INT8: *out = *(const int8_t *)expr->value; return true;
    case TYPE_INT16: *out = *(const int16_t *)expr->value; return true;
    case TYPE_INT32: *out = *(const int32_t *)expr->value; return true;
    case TYPE_INT64: *out = *(const int64_t *)expr->value; return true;
    default: return false;
    }
}

static bool is_number_column(const struct expr *expr, int32_t column) {
    while (expr->kind == EXPR_CAST && type_is_integer(expr->type)) {
        expr = expr->args[0];
    }
    return expr_is_column(expr) && expr->index == column;
}

/* number <= 10 and the like narrow the ranks that are wanted. */
static bool narrows(const struct expr *condition, int32_t column, struct plan *model) {
    static const char *const ops[] = {"<", "<=", "=", ">=", ">"};
    int64_t number = 0;
    int op = 0;
    if (condition->kind != EXPR_CALL || condition->n_args != 2 || !condition->function) { return false; }
    while (op < 5 && strcmp(condition->function->name, ops[op]) != 0) {
        op++;
    }
    if (op == 5) { return false; }
    if (is_number_column(condition->args[1], column) && literal_number(condition->args[0], &number)) {
        op = 4 - op; /* 10 >= number */
    } else if (!is_number_column(condition->args[0], column) || !literal_number(condition->args[1], &number)) {
        return false;
    }
    if (number < 0 || number > INT32_MAX) { return false; }
    if (op <= 2) {
        const int64_t last = op == 0 ? number - 1 : number;
        if (last < 1) { return false; }
        if (model->rank.limit < 0 || last < model->rank.limit) { model->rank.limit = last; }
    }
    if (op >= 2) {
        const int64_t first = op == 4 ? number + 1 : number;
        if (first > model->rank.first) { model->rank.first = first; }
    }
    return true;
}

static sabot_status push_into_rank(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                   struct plan **out, struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields, n_input = plan->inputs[0]->schema->n_fields;
    struct conditions below, above;
    bool *of_keys = NULL;
    struct plan model = {.kind = PLAN_RANK, .span = plan->span, .rank = plan->rank};
    SABOT_TRY(conditions_new(plans, conditions->n, &below, err));
    SABOT_TRY(conditions_new(plans, conditions->n, &above, err));
    SABOT_TRY(allow(plans, n, 0, &of_keys, err));
    for (int32_t i = 0; i < plan->rank.n_keys; i++) {
        of_keys[plan->rank.keys[i]] = true;
    }
    for (int32_t i = 0; i < conditions->n; i++) {
        struct expr *condition = conditions->items[i];
        bool goes = false;
        if (plan->rank.output_rank && narrows(condition, n_input, &model)) { continue; }
        SABOT_TRY(reads_only(plans, condition, of_keys, n, &goes, err));
        if (goes && expr_is_deterministic(condition)) {
            below.items[below.n++] = condition;
        } else {
            above.items[above.n++] = condition;
        }
    }
    struct plan *input = NULL;
    const char *name = plan->schema->fields[n - 1].name;
    SABOT_TRY(push(plans, plan->inputs[0], &below, &input, err));
    SABOT_TRY(plan_rank(plans, input, &model, name, &plan, err));
    return filter_above(plans, plan, &above, out, err);
}

static sabot_status push_filter(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                struct plan **out, struct sabot_error *err) {
    struct expr **own = NULL;
    int32_t n_own = 0;
    struct conditions all;
    SABOT_TRY(expr_conjuncts(plans, plan->filter.condition, &own, &n_own, err));
    SABOT_TRY(conditions_new(plans, conditions->n + n_own, &all, err));
    for (int32_t i = 0; i < n_own; i++) {
        const struct expr *condition = own[i];
        const bool is_true = condition->kind == EXPR_LITERAL && condition->value && condition->type.kind == TYPE_BOOL &&
                             *(const uint8_t *)condition->value;
        if (!is_true) { all.items[all.n++] = own[i]; }
    }
    for (int32_t i = 0; i < conditions->n; i++) {
        all.items[all.n++] = conditions->items[i];
    }
    return push(plans, plan->inputs[0], &all, out, err);
}

/* Below grouping sets go conditions on what is the same in all of them. */
static sabot_status push_into_expand(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                     struct plan **out, struct sabot_error *err) {
    const struct expand_options *options = &plan->expand;
    const int32_t n = options->n_columns;
    bool *allowed = NULL;
    struct expr **replacements = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *replacements);
    if (!replacements) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(allow(plans, n + 1, 0, &allowed, err));
    for (int32_t i = 0; i < n; i++) {
        const int32_t source = expand_source(options, i, &allowed[i]);
        if (!allowed[i]) { continue; }
        SABOT_TRY(plan_column_ref(plans, plan->inputs[0], source, plan->span, &replacements[i], err));
    }
    return push_through(plans, plan, conditions, allowed, replacements, out, err);
}

static sabot_status push_into_unnest(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                                     struct plan **out, struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields, n_passed = plan->unnest.n_passed;
    bool *allowed = NULL;
    struct expr **replacements = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *replacements);
    if (!replacements) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(allow(plans, n, n_passed, &allowed, err));
    for (int32_t i = 0; i < n_passed; i++) {
        const int32_t column = plan->unnest.passed[i];
        SABOT_TRY(plan_column_ref(plans, plan->inputs[0], column, plan->span, &replacements[i], err));
    }
    return push_through(plans, plan, conditions, allowed, replacements, out, err);
}

/* The plan with the conditions applied to its output, as far down as they can go. */
static sabot_status push(struct plan_arena *plans, struct plan *plan, const struct conditions *conditions,
                         struct plan **out, struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields;
    bool *allowed = NULL;
    switch (plan->kind) {
    case PLAN_FILTER: return push_filter(plans, plan, conditions, out, err);
    case PLAN_PROJECT: return push_into_project(plans, plan, conditions, out, err);
    case PLAN_UNION: return push_into_union(plans, plan, conditions, out, err);
    case PLAN_SCAN: return push_into_scan(plans, plan, conditions, out, err);
    case PLAN_EXPAND: return push_into_expand(plans, plan, conditions, out, err);
    case PLAN_UNNEST: return push_into_unnest(plans, plan, conditions, out, err);
    case PLAN_WINDOW:
        SABOT_TRY(allow(plans, n, n - 3, &allowed, err));
        if (plan->window.spec.kind == WINDOW_SESSION && plan->window.partition.n >= 0) {
            /* Without a row sessions are others; without a whole partition they are not. */
            memset(allowed, false, (size_t)n);
            for (int32_t i = 0; i < plan->window.partition.n; i++) {
                allowed[plan->window.partition.columns[i]] = true;
            }
        }
        return push_through(plans, plan, conditions, allowed, NULL, out, err);
    case PLAN_AGGREGATE:
        if (plan->aggregate.n_keys > 0) { return push_into_aggregate(plans, plan, conditions, out, err); }
        break;
    case PLAN_JOIN: return push_into_join(plans, plan, conditions, out, err);
    case PLAN_RANK: return push_into_rank(plans, plan, conditions, out, err);
    case PLAN_SORT:
        if (plan->sort.limit < 0 && plan->sort.offset == 0) {
            SABOT_TRY(allow(plans, n, n, &allowed, err));
            return push_through(plans, plan, conditions, allowed, NULL, out, err);
        }
        break;
    default: break;
    }
    SABOT_TRY(plan_rewrite_inputs(plans, plan, rule_push_filters, &plan, err));
    return filter_above(plans, plan, conditions, out, err);
}

sabot_status rule_push_filters(struct plan_arena *plans, struct plan *plan, struct plan **out,
                               struct sabot_error *err) {
    const struct conditions none = {.n = 0};
    return push(plans, plan, &none, out, err);
}

/* ---- projections ------------------------------------------------------------------------------------------------- */

static void count_uses(const struct expr *expr, int32_t *uses) {
    if (expr->kind == EXPR_COLUMN) { uses[expr->index]++; }
    for (int32_t i = 0; i < expr->n_args; i++) {
        count_uses(expr->args[i], uses);
    }
}

/* An inner expression that is computed, and used more than once, stays where it is, so that plans can't double in size
 * with every level, and RAND() is drawn once. */
static sabot_status may_merge(struct plan_arena *plans, const struct plan *outer, const struct plan *inner, bool *out,
                              struct sabot_error *err) {
    const int32_t n = inner->schema->n_fields;
    int32_t *uses = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *uses);
    if (!uses) { return PLAN_NO_MEMORY(err); }
    int64_t size = 0;
    for (int32_t i = 0; i < outer->schema->n_fields; i++) {
        count_uses(outer->project.exprs[i], uses);
        size += expr_size(outer->project.exprs[i], MERGED_SIZE_MAX);
    }
    *out = true;
    for (int32_t i = 0; i < n; i++) {
        const struct expr *expr = inner->project.exprs[i];
        if (uses[i] > 1 && !expr_is_cheap(expr)) { *out = false; }
        size += (int64_t)uses[i] * expr_size(expr, MERGED_SIZE_MAX);
    }
    *out = *out && size <= MERGED_SIZE_MAX;
    return SABOT_OK;
}

static const char *const *names_of(struct plan_arena *plans, const struct plan *plan) {
    const char **names = arena_alloc(&plans->arena, (size_t)(plan->schema->n_fields + 1) * sizeof *names);
    for (int32_t i = 0; names && i < plan->schema->n_fields; i++) {
        names[i] = plan->schema->fields[i].name;
    }
    return names;
}

static bool is_identity(const struct plan *project) {
    const struct plan *input = project->inputs[0];
    if (project->schema->n_fields != input->schema->n_fields) { return false; }
    for (int32_t i = 0; i < project->schema->n_fields; i++) {
        const struct expr *expr = project->project.exprs[i];
        if (!expr_is_column(expr) || expr->index != i ||
            strcmp(project->schema->fields[i].name, input->schema->fields[i].name) != 0) {
            return false;
        }
    }
    return true;
}

sabot_status rule_merge_projects(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                 struct sabot_error *err) {
    SABOT_TRY(plan_rewrite_inputs(plans, plan, rule_merge_projects, &plan, err));
    while (plan->kind == PLAN_PROJECT && plan->inputs[0]->kind == PLAN_PROJECT) {
        const struct plan *inner = plan->inputs[0];
        const int32_t n = plan->schema->n_fields;
        bool merges = false;
        SABOT_TRY(may_merge(plans, plan, inner, &merges, err));
        if (!merges) { break; }
        struct expr **exprs = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *exprs);
        const char *const *names = names_of(plans, plan);
        if (!exprs || !names) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < n; i++) {
            SABOT_TRY(expr_rewrite(plans, plan->project.exprs[i], inner->project.exprs, inner->schema->n_fields,
                                   &exprs[i], err));
        }
        SABOT_TRY(plan_project(plans, inner->inputs[0], exprs, names, n, &plan, err));
    }
    *out = plan->kind == PLAN_PROJECT && is_identity(plan) ? plan->inputs[0] : plan;
    return SABOT_OK;
}

sabot_status plan_optimize(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err) {
    SABOT_TRY(rule_fold(plans, plan, &plan, err));
    SABOT_TRY(rule_push_filters(plans, plan, &plan, err));
    SABOT_TRY(rule_over(plans, plan, &plan, err));
    SABOT_TRY(rule_merge_projects(plans, plan, &plan, err));
    SABOT_TRY(rule_joins(plans, plan, &plan, err));
    SABOT_TRY(rule_expands(plans, plan, &plan, err));
    SABOT_TRY(rule_merge_projects(plans, plan, &plan, err));
    SABOT_TRY(rule_window_aggregates(plans, plan, &plan, err));
    SABOT_TRY(rule_merge_projects(plans, plan, &plan, err));
    SABOT_TRY(rule_prune(plans, plan, &plan, err));
    SABOT_TRY(rule_merge_projects(plans, plan, &plan, err));
    return rule_changes(plans, plan, out, err);
}
