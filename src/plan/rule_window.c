/* GROUP BY window_start, window_end -> windowed aggregation.
 *
 * Where the window function stands right under the aggregation (but for a projection), both become one operator that
 * shares panes between overlapping windows. Elsewhere (aggregates of windowed aggregates, filters on window columns)
 * the rows carry their window already: they are grouped by its columns, and the group ends when the watermark passes
 * the window's end. That is a tumbling window over window_end, moved by 1 ms so that a bucket holds one window end
 * only. */
#include "plan/rules.h"

#include <string.h>

/* Which keys of an aggregation are columns of one window. */
struct window_keys {
    int32_t id;
    int32_t start, end; /* index into keys; -1: none */
};

static struct window_keys find_window_keys(const struct plan *aggregate) {
    const struct plan *input = aggregate->inputs[0];
    struct window_keys found = {.id = 0, .start = -1, .end = -1};
    for (int32_t i = 0; i < aggregate->aggregate.n_keys; i++) {
        const struct plan_column *column = &input->columns[aggregate->aggregate.keys[i]];
        if (column->window_role != COLUMN_WINDOW_START) { continue; }
        for (int32_t j = 0; j < aggregate->aggregate.n_keys; j++) {
            const struct plan_column *other = &input->columns[aggregate->aggregate.keys[j]];
            if (other->window_role == COLUMN_WINDOW_END && other->window_id == column->window_id) {
                found = (struct window_keys){.id = column->window_id, .start = i, .end = j};
            }
        }
    }
    return found;
}

bool plan_groups_by_window(const struct plan *aggregate) { return find_window_keys(aggregate).start >= 0; }

const struct window_spec *plan_find_window(const struct plan *plan, int32_t id) {
    if (plan->kind == PLAN_WINDOW && plan->window.window_id == id) { return &plan->window.spec; }
    if (plan->kind == PLAN_WINDOW_AGGREGATE && plan->window_aggregate.window_id == id &&
        !plan->window_aggregate.attached) {
        return &plan->window_aggregate.spec;
    }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        const struct window_spec *found = plan_find_window(plan->inputs[i], id);
        if (found) { return found; }
    }
    return NULL;
}

/* ---- the window function right below ------------------------------------------------------------------------------
 */

/* What a column of the aggregation's input is: a column of the new input, or a property of the window. */
struct origin {
    bool is_property;
    enum window_property property;
    int32_t column;
};

static enum window_property property_of(int32_t i) {
    return i == 0 ? WINDOW_START : i == 1 ? WINDOW_END : WINDOW_TIME;
}

/* Moves the projection between the aggregation and the window function below the latter. */
static sabot_status sink_project(struct plan_arena *plans, const struct plan *project, const struct plan *window,
                                 struct origin *origins, struct plan **input, int32_t *time_column, bool *fits,
                                 struct sabot_error *err) {
    struct plan *below = window->inputs[0];
    const int32_t n = project->schema->n_fields, n_below = below->schema->n_fields;
    struct expr **exprs = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *exprs);
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    bool *used = arena_alloc(&plans->arena, (size_t)(n_below + 3));
    if (!exprs || !names || !used) { return PLAN_NO_MEMORY(err); }
    int32_t n_exprs = 0;
    *time_column = -1;
    *fits = true;
    for (int32_t i = 0; i < n; i++) {
        struct expr *expr = project->project.exprs[i];
        if (expr_is_column(expr) && expr->index >= n_below) {
            origins[i] = (struct origin){.is_property = true, .property = property_of(expr->index - n_below)};
            continue;
        }
        memset(used, 0, (size_t)(n_below + 3));
        expr_columns(expr, used, n_below + 3);
        if (used[n_below] || used[n_below + 1] || used[n_below + 2]) { *fits = false; }
        if (expr_is_column(expr) && expr->index == window->window.spec.time_column) { *time_column = n_exprs; }
        origins[i] = (struct origin){.column = n_exprs};
        names[n_exprs] = project->schema->fields[i].name;
        exprs[n_exprs++] = expr;
    }
    if (!*fits) { return SABOT_OK; }
    if (*time_column < 0) {
        *time_column = n_exprs;
        names[n_exprs] = below->schema->fields[window->window.spec.time_column].name;
        SABOT_TRY(plan_column_ref(plans, below, window->window.spec.time_column, window->span, &exprs[n_exprs], err));
        n_exprs++;
    }
    return plan_project(plans, below, exprs, names, n_exprs, input, err);
}

static sabot_status origins_of(struct plan_arena *plans, struct plan *aggregate, struct origin *origins,
                               struct plan **input, struct plan **window, int32_t *time_column, bool *fits,
                               struct sabot_error *err) {
    struct plan *below = aggregate->inputs[0];
    *fits = false;
    if (below->kind == PLAN_WINDOW) {
        *window = below;
        *input = below->inputs[0];
        *time_column = below->window.spec.time_column;
        *fits = true;
        const int32_t n = (*input)->schema->n_fields;
        for (int32_t i = 0; i < n + 3; i++) {
            origins[i] = i < n ? (struct origin){.column = i}
                               : (struct origin){.is_property = true, .property = property_of(i - n)};
        }
        return SABOT_OK;
    }
    if (below->kind != PLAN_PROJECT || below->inputs[0]->kind != PLAN_WINDOW) { return SABOT_OK; }
    *window = below->inputs[0];
    return sink_project(plans, below, *window, origins, input, time_column, fits, err);
}

/* Arguments and filters must be columns, not the window's bounds. */
static bool calls_fit(const struct plan *aggregate, const struct origin *origins) {
    for (int32_t i = 0; i < aggregate->aggregate.n_calls; i++) {
        const struct aggregate_call *call = &aggregate->aggregate.calls[i];
        if (call->argument >= 0 && origins[call->argument].is_property) { return false; }
        if (call->filter >= 0 && origins[call->filter].is_property) { return false; }
    }
    return true;
}

/* The arrays of a windowed aggregation under construction. */
struct parts {
    int32_t *keys;
    struct aggregate_call *calls;
    enum window_property *properties;
    const char **names;
    struct expr **restored; /* columns of the aggregation that is replaced */
    const char **restored_names;
};

static sabot_status parts_new(struct plan_arena *plans, int32_t n_keys, int32_t n_calls, struct parts *out,
                              struct sabot_error *err) {
    struct arena *arena = &plans->arena;
    const size_t n = (size_t)n_keys + (size_t)n_calls + 4;
    out->keys = arena_alloc(arena, n * sizeof *out->keys);
    out->calls = arena_alloc(arena, n * sizeof *out->calls);
    out->properties = arena_alloc(arena, n * sizeof *out->properties);
    out->names = arena_alloc(arena, n * sizeof *out->names);
    out->restored = arena_alloc(arena, n * sizeof *out->restored);
    out->restored_names = arena_alloc(arena, n * sizeof *out->restored_names);
    return out->keys && out->calls && out->properties && out->names && out->restored && out->restored_names
               ? SABOT_OK
               : PLAN_NO_MEMORY(err);
}

static int32_t property_at(struct parts *parts, int32_t *n_properties, enum window_property property) {
    for (int32_t i = 0; i < *n_properties; i++) {
        if (parts->properties[i] == property) { return i; }
    }
    parts->properties[*n_properties] = property;
    return (*n_properties)++;
}

static bool is_processing_time(const struct plan *plan) {
    if (plan->kind == PLAN_ARRIVAL) { return true; }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        if (is_processing_time(plan->inputs[i])) { return true; }
    }
    return false;
}

/* table.exec.emit.*, as far as it concerns a window. */
static sabot_status emit_of(const struct plan_arena *plans, const struct plan *aggregate, enum window_kind kind,
                            struct window_emit *out, struct sabot_error *err) {
    *out = plans->emit;
    if (!out->updates) { return SABOT_OK; }
    const bool late_fire = out->late_ms >= 0;
    if (kind == WINDOW_SESSION && (out->early_ms >= 0 || late_fire || out->lateness_ms > 0)) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, aggregate->span,
                         "SESSION windows are given out once, at their end: unset table.exec.emit.allow-lateness, "
                         "early-fire and late-fire");
    }
    if (is_processing_time(aggregate)) { /* no row is ever late */
        out->lateness_ms = 0;
        out->updates = out->early_ms >= 0;
    } else if (late_fire && out->lateness_ms == 0) {
        return PLAN_FAIL(err, SABOT_ERR_PLAN, aggregate->span,
                         "'table.exec.emit.late-fire.enabled' needs 'table.exec.emit.allow-lateness': without, no late "
                         "row is taken");
    }
    if (!late_fire) { out->late_ms = 0; }
    return SABOT_OK;
}

static sabot_status fuse(struct plan_arena *plans, const struct plan *aggregate, const struct origin *origins,
                         struct plan *input, const struct plan *window, int32_t time_column, struct plan **out,
                         struct sabot_error *err) {
    static const char *const property_names[] = {"window_start", "window_end", "window_time"};
    const int32_t n_calls = aggregate->aggregate.n_calls;
    struct parts parts;
    SABOT_TRY(parts_new(plans, aggregate->aggregate.n_keys, n_calls, &parts, err));
    int32_t n_keys = 0, n_properties = 0;
    for (int32_t i = 0; i < aggregate->aggregate.n_keys; i++) {
        const struct origin *origin = &origins[aggregate->aggregate.keys[i]];
        if (!origin->is_property) {
            parts.names[n_keys] = aggregate->schema->fields[i].name;
            parts.keys[n_keys++] = origin->column;
        }
    }
    for (int32_t i = 0; i < n_calls; i++) {
        parts.calls[i] = aggregate->aggregate.calls[i];
        if (parts.calls[i].argument >= 0) { parts.calls[i].argument = origins[parts.calls[i].argument].column; }
        if (parts.calls[i].filter >= 0) { parts.calls[i].filter = origins[parts.calls[i].filter].column; }
        parts.names[n_keys + i] = aggregate->schema->fields[aggregate->aggregate.n_keys + i].name;
    }
    for (int32_t i = 0; i < aggregate->aggregate.n_keys; i++) {
        const struct origin *origin = &origins[aggregate->aggregate.keys[i]];
        if (origin->is_property) { (void)property_at(&parts, &n_properties, origin->property); }
    }
    for (int32_t i = 0; i < n_properties; i++) {
        parts.names[n_keys + n_calls + i] = property_names[parts.properties[i]];
    }
    struct plan model = {.kind = PLAN_WINDOW_AGGREGATE, .span = aggregate->span};
    model.window_aggregate.spec = window->window.spec;
    model.window_aggregate.spec.time_column = time_column;
    model.window_aggregate.keys = parts.keys;
    model.window_aggregate.n_keys = n_keys;
    model.window_aggregate.calls = parts.calls;
    model.window_aggregate.n_calls = n_calls;
    model.window_aggregate.properties = parts.properties;
    model.window_aggregate.n_properties = n_properties;
    model.window_aggregate.window_id = window->window.window_id;
    SABOT_TRY(emit_of(plans, aggregate, window->window.spec.kind, &model.window_aggregate.emit, err));
    struct plan *node = NULL;
    SABOT_TRY(plan_window_aggregate(plans, input, &model, parts.names, &node, err));
    /* The columns in the order of the aggregation that was replaced. */
    int32_t key = 0;
    const int32_t n = aggregate->schema->n_fields;
    for (int32_t i = 0; i < n; i++) {
        int32_t from = 0;
        if (i >= aggregate->aggregate.n_keys) {
            from = n_keys + i - aggregate->aggregate.n_keys;
        } else {
            const struct origin *origin = &origins[aggregate->aggregate.keys[i]];
            from =
                origin->is_property ? n_keys + n_calls + property_at(&parts, &n_properties, origin->property) : key++;
        }
        parts.restored_names[i] = aggregate->schema->fields[i].name;
        SABOT_TRY(plan_column_ref(plans, node, from, aggregate->span, &parts.restored[i], err));
    }
    return plan_project(plans, node, parts.restored, parts.restored_names, n, out, err);
}

/* ---- rows that carry their window ---------------------------------------------------------------------------------
 */

static sabot_status attach(struct plan_arena *plans, const struct plan *aggregate, struct window_keys found,
                           struct plan **out, struct sabot_error *err) {
    struct plan *input = aggregate->inputs[0];
    const struct window_spec *spec = plan_find_window(input, found.id);
    *out = (struct plan *)(uintptr_t)aggregate;
    if (!spec) { return SABOT_OK; }
    struct plan model = {.kind = PLAN_WINDOW_AGGREGATE, .span = aggregate->span};
    const int64_t slide_ms = spec->kind == WINDOW_SESSION ? 1 : spec->slide_ms; /* sessions end at any time */
    model.window_aggregate.spec = (struct window_spec){
        .kind = WINDOW_TUMBLE, .size_ms = slide_ms, .slide_ms = slide_ms, .offset_ms = spec->offset_ms % slide_ms,
        .time_column = aggregate->aggregate.keys[found.end], .times_are_ends = true,
    };
    if (spec->kind == WINDOW_HOP) {
        /* Ends are at start + size: with a size that is no multiple of the slide they are shifted against the starts.
         */
        model.window_aggregate.spec.offset_ms = (spec->offset_ms + spec->size_ms) % spec->slide_ms;
    }
    model.window_aggregate.keys = aggregate->aggregate.keys;
    model.window_aggregate.n_keys = aggregate->aggregate.n_keys;
    model.window_aggregate.calls = aggregate->aggregate.calls;
    model.window_aggregate.n_calls = aggregate->aggregate.n_calls;
    model.window_aggregate.window_id = found.id;
    model.window_aggregate.attached = true;
    SABOT_TRY(emit_of(plans, aggregate, spec->kind, &model.window_aggregate.emit, err));
    const int32_t n = aggregate->schema->n_fields;
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    if (!names) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        names[i] = aggregate->schema->fields[i].name;
    }
    return plan_window_aggregate(plans, input, &model, names, out, err);
}

/* The column of the window function's input that a key is; -1: none. */
static int32_t column_below(const struct plan *aggregate, int32_t key) {
    const struct plan *below = aggregate->inputs[0];
    const int32_t column = aggregate->aggregate.keys[key];
    if (below->kind == PLAN_WINDOW) { return column; }
    const struct expr *expr = below->project.exprs[column];
    return expr_is_column(expr) ? expr->index : -1;
}

/* Sessions are made of the rows of one group: the other keys must be those of PARTITION BY. */
static sabot_status check_sessions(struct plan_arena *plans, const struct plan *aggregate, const struct plan *window,
                                   struct sabot_error *err) {
    const struct plan_partition *partition = &window->window.partition;
    const int32_t n_below = window->inputs[0]->schema->n_fields;
    if (partition->n < 0) { return SABOT_OK; }
    bool *found = arena_alloc(&plans->arena, (size_t)n_below + 4);
    if (!found) { return PLAN_NO_MEMORY(err); }
    bool same = true;
    for (int32_t i = 0; i < aggregate->aggregate.n_keys; i++) {
        const int32_t column = column_below(aggregate, i);
        bool of_partition = column >= n_below; /* of the window itself */
        for (int32_t j = 0; j < partition->n; j++) { of_partition = of_partition || partition->columns[j] == column; }
        same = same && of_partition;
        if (column >= 0) { found[column] = true; }
    }
    for (int32_t j = 0; j < partition->n; j++) { same = same && found[partition->columns[j]]; }
    if (same) { return SABOT_OK; }
    return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, aggregate->span,
                     "GROUP BY over SESSION(..) needs window_start, window_end and exactly the columns of its "
                     "PARTITION BY");
}

sabot_status rule_window_aggregates(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                    struct sabot_error *err) {
    SABOT_TRY(plan_rewrite_inputs(plans, plan, rule_window_aggregates, &plan, err));
    *out = plan;
    if (plan->kind != PLAN_AGGREGATE) { return SABOT_OK; }
    const struct window_keys found = find_window_keys(plan);
    if (found.start < 0) { return SABOT_OK; }
    struct plan *input = NULL, *window = NULL;
    int32_t time_column = -1;
    bool fits = false;
    struct origin *origins =
        arena_alloc(&plans->arena, (size_t)(plan->inputs[0]->schema->n_fields + 1) * sizeof *origins);
    if (!origins) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(origins_of(plans, plan, origins, &input, &window, &time_column, &fits, err));
    if (fits && window->window.window_id == found.id && window->window.spec.kind == WINDOW_SESSION) {
        SABOT_TRY(check_sessions(plans, plan, window, err));
    }
    if (fits && window->window.window_id == found.id && calls_fit(plan, origins)) {
        return fuse(plans, plan, origins, input, window, time_column, out, err);
    }
    return attach(plans, plan, found, out, err);
}
