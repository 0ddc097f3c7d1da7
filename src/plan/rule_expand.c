/* EXPAND over WINDOW -> PROJECT over WINDOW over EXPAND.
 *
 * Rows are multiplied by the grouping sets before the window function rather than behind it, so that the aggregation
 * above stands on the window again and can share its panes (rule_window.c). The columns of the window are in every set;
 * a window that some set leaves out is no window any more, and nothing is moved. */
#include "plan/rules.h"

#include <string.h>

struct parts {
    struct expr **below; /* what the moved EXPAND stands on: expressions over the window's input */
    int32_t n_below;
    int32_t *sources;
    const char **names; /* of the moved EXPAND; what it stands on has the same */
    int32_t *places;    /* per column of the old one: of the new one, or of the window (>= its input's width) */
    bool *is_property;
    struct expr **restored;
    const char **restored_names;
};

static sabot_status parts_new(struct plan_arena *plans, int32_t n, int32_t n_sets, struct parts *out,
                              struct sabot_error *err) {
    struct arena *arena = &plans->arena;
    const size_t size = (size_t)n + 2;
    out->below = arena_alloc(arena, size * sizeof *out->below);
    out->sources = arena_alloc(arena, size * (size_t)n_sets * sizeof *out->sources);
    out->names = arena_alloc(arena, size * sizeof *out->names);
    out->places = arena_alloc(arena, size * sizeof *out->places);
    out->is_property = arena_alloc(arena, size * sizeof *out->is_property);
    out->restored = arena_alloc(arena, size * sizeof *out->restored);
    out->restored_names = arena_alloc(arena, size * sizeof *out->restored_names);
    return out->below && out->sources && out->names && out->places && out->is_property &&
                   out->restored && out->restored_names
               ? SABOT_OK
               : PLAN_NO_MEMORY(err);
}

/* What a column of the EXPAND's input is, over the window's output. */
static sabot_status input_expr(struct plan_arena *plans, const struct plan *input, int32_t i, struct expr **out,
                               struct sabot_error *err) {
    if (input->kind == PLAN_WINDOW) { return plan_column_ref(plans, input, i, input->span, out, err); }
    *out = input->project.exprs[i];
    return SABOT_OK;
}

/* Sorts the columns into those of the window itself and those below it; false: they do not part. */
static sabot_status part_columns(struct plan_arena *plans, const struct plan *expand, const struct plan *window,
                                 struct parts *parts, bool *fits, struct sabot_error *err) {
    const struct expand_options *options = &expand->expand;
    const int32_t n = options->n_columns, n_input = window->inputs[0]->schema->n_fields;
    bool *used = arena_alloc(&plans->arena, (size_t)n_input + 3);
    if (!used) { return PLAN_NO_MEMORY(err); }
    *fits = true;
    for (int32_t i = 0; i < n && *fits; i++) {
        bool same;
        const int32_t source = expand_source(options, i, &same);
        struct expr *expr = NULL;
        SABOT_TRY(input_expr(plans, expand->inputs[0], source, &expr, err));
        if (expr_is_column(expr) && expr->index >= n_input) {
            parts->is_property[i] = true;
            parts->places[i] = expr->index - n_input;
            *fits = same;
            continue;
        }
        memset(used, 0, (size_t)n_input + 3);
        expr_columns(expr, used, n_input + 3);
        *fits = !used[n_input] && !used[n_input + 1] && !used[n_input + 2];
        parts->places[i] = parts->n_below;
        parts->names[parts->n_below] = expand->schema->fields[i].name;
        parts->below[parts->n_below++] = expr;
    }
    return SABOT_OK;
}

static sabot_status move_below(struct plan_arena *plans, const struct plan *expand, const struct plan *window,
                               struct parts *parts, struct plan **out, struct sabot_error *err) {
    struct plan *input = window->inputs[0], *node = NULL;
    struct expand_options options = expand->expand;
    struct window_spec spec = window->window.spec;
    const int32_t n = options.n_columns;
    options.n_columns = parts->n_below + 1; /* the time behind the others */
    options.sources = parts->sources;
    for (int32_t s = 0; s < options.n_sets; s++) {
        for (int32_t i = 0; i < n; i++) {
            if (parts->is_property[i]) { continue; }
            const bool absent = expand->expand.sources[s * n + i] < 0;
            parts->sources[s * options.n_columns + parts->places[i]] = absent ? -1 : parts->places[i];
        }
        parts->sources[s * options.n_columns + parts->n_below] = parts->n_below;
    }
    const char *time = input->schema->fields[spec.time_column].name;
    SABOT_TRY(plan_column_ref(plans, input, spec.time_column, window->span, &parts->below[parts->n_below], err));
    parts->names[parts->n_below] = time;
    parts->names[parts->n_below + 1] = expand->schema->fields[n].name;
    SABOT_TRY(plan_project(plans, input, parts->below, parts->names, parts->n_below + 1, &node, err));
    SABOT_TRY(plan_expand(plans, node, &options, parts->names, expand->span, &node, err));
    const int32_t width = node->schema->n_fields;
    spec.time_column = parts->n_below;
    SABOT_TRY(plan_window(plans, node, spec, window->window.window_id, window->window.partition, window->span, &node,
                          err));
    for (int32_t i = 0; i <= n; i++) {
        const int32_t at = i == n ? width - 1 : parts->is_property[i] ? width + parts->places[i] : parts->places[i];
        SABOT_TRY(plan_column_ref(plans, node, at, expand->span, &parts->restored[i], err));
        parts->restored_names[i] = expand->schema->fields[i].name;
    }
    return plan_project(plans, node, parts->restored, parts->restored_names, n + 1, out, err);
}

sabot_status rule_expands(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err) {
    SABOT_TRY(plan_rewrite_inputs(plans, plan, rule_expands, &plan, err));
    *out = plan;
    if (plan->kind != PLAN_EXPAND) { return SABOT_OK; }
    const struct plan *below = plan->inputs[0];
    const struct plan *window = below->kind == PLAN_PROJECT ? below->inputs[0] : below;
    /* sessions of a PARTITION BY are those of its columns, whatever is grouped by */
    if (window->kind != PLAN_WINDOW || window->window.partition.n > 0) { return SABOT_OK; }
    struct parts parts = {0};
    bool fits = false;
    SABOT_TRY(parts_new(plans, plan->expand.n_columns, plan->expand.n_sets, &parts, err));
    SABOT_TRY(part_columns(plans, plan, window, &parts, &fits, err));
    return fits ? move_below(plans, plan, window, &parts, out, err) : SABOT_OK;
}
