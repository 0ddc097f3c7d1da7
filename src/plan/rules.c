/* Constant folding, filters towards the scans, projections into one. */
#include "plan/rules.h"

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
    case PLAN_WINDOW:
        SABOT_TRY(allow(plans, n, n - 3, &allowed, err));
        return push_through(plans, plan, conditions, allowed, NULL, out, err);
    case PLAN_AGGREGATE:
        if (plan->aggregate.n_keys > 0) { return push_into_aggregate(plans, plan, conditions, out, err); }
        break;
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
    SABOT_TRY(rule_merge_projects(plans, plan, &plan, err));
    SABOT_TRY(rule_window_aggregates(plans, plan, &plan, err));
    SABOT_TRY(rule_merge_projects(plans, plan, &plan, err));
    SABOT_TRY(rule_prune(plans, plan, &plan, err));
    return rule_merge_projects(plans, plan, out, err);
}
