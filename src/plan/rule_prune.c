/* Column pruning: what nobody reads is neither decoded nor computed nor carried, down to single fields of rows where
 * the connector can leave them out. Going down, `usage` says what is read of each column; going up, `map` says where
 * each old column is now. */
#include "plan/rules.h"

#include "expr/function.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

/* What is read of a value. */
struct usage {
    bool any;
    bool whole;           /* not by fields */
    struct usage *fields; /* of a ROW; NULL: none yet */
};

struct pruned {
    struct plan *plan;
    int32_t *map; /* old column -> new one; -1: dropped */
};

static sabot_status usages_new(struct plan_arena *plans, int32_t n, struct usage **out, struct sabot_error *err) {
    *out = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof **out);
    return *out ? SABOT_OK : PLAN_NO_MEMORY(err);
}

static sabot_status map_new(struct plan_arena *plans, int32_t n, int32_t **out, struct sabot_error *err) {
    *out = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof **out);
    if (!*out) { return PLAN_NO_MEMORY(err); }
    memset(*out, -1, (size_t)(n + 1) * sizeof **out);
    return SABOT_OK;
}

static void use_whole(struct usage *usage) { usage->any = usage->whole = true; }

static sabot_status merge_usage(struct plan_arena *plans, struct usage *into, const struct usage *from,
                                struct type type, struct sabot_error *err) {
    if (!from->any) { return SABOT_OK; }
    into->any = true;
    into->whole = into->whole || from->whole;
    if (!from->fields || into->whole) { return SABOT_OK; }
    if (!into->fields) { SABOT_TRY(usages_new(plans, type.n_fields, &into->fields, err)); }
    for (int32_t i = 0; i < type.n_fields; i++) {
        SABOT_TRY(merge_usage(plans, &into->fields[i], &from->fields[i], type.fields[i].type, err));
    }
    return SABOT_OK;
}

/* The usage of what a chain of fields over a column stands for; NULL: expr is no such chain. */
static sabot_status chain_usage(struct plan_arena *plans, const struct expr *expr, struct usage *columns,
                                struct usage **out, struct sabot_error *err) {
    *out = NULL;
    if (expr->kind == EXPR_COLUMN) {
        columns[expr->index].any = true;
        *out = &columns[expr->index];
        return SABOT_OK;
    }
    if (expr->kind != EXPR_FIELD) { return SABOT_OK; }
    struct usage *row = NULL;
    SABOT_TRY(chain_usage(plans, expr->args[0], columns, &row, err));
    if (!row) { return SABOT_OK; }
    if (!row->fields) { SABOT_TRY(usages_new(plans, expr->args[0]->type.n_fields, &row->fields, err)); }
    row->fields[expr->index].any = true;
    *out = &row->fields[expr->index];
    return SABOT_OK;
}

/* Marks what the expression reads, of which `wanted` is used (NULL: all of it). */
static sabot_status use_expr(struct plan_arena *plans, const struct expr *expr, const struct usage *wanted,
                             struct usage *columns, struct sabot_error *err) {
    struct usage *of = NULL;
    if (expr->kind == EXPR_COLUMN || expr->kind == EXPR_FIELD) {
        SABOT_TRY(chain_usage(plans, expr, columns, &of, err));
    }
    if (of && wanted) { return merge_usage(plans, of, wanted, expr->type, err); }
    if (of) {
        use_whole(of);
        return SABOT_OK;
    }
    for (int32_t i = 0; i < expr->n_args; i++) {
        SABOT_TRY(use_expr(plans, expr->args[i], NULL, columns, err));
    }
    return SABOT_OK;
}

/* The type with only the fields that are used. */
static sabot_status prune_type(struct plan_arena *plans, struct type type, const struct usage *usage, struct type *out,
                               struct sabot_error *err) {
    *out = type;
    if (type.kind != TYPE_ROW || usage->whole || !usage->fields) { return SABOT_OK; }
    struct field *fields = arena_alloc(&plans->arena, (size_t)(type.n_fields + 1) * sizeof *fields);
    int32_t n = 0;
    if (!fields) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < type.n_fields; i++) {
        if (!usage->fields[i].any) { continue; }
        fields[n].name = type.fields[i].name;
        SABOT_TRY(prune_type(plans, type.fields[i].type, &usage->fields[i], &fields[n].type, err));
        n++;
    }
    out->fields = fields;
    out->n_fields = n;
    return SABOT_OK;
}

/* ---- through expressions ------------------------------------------------------------------------------------------
 */

/* Replacements for the columns of the old input: references to the new ones. */
static sabot_status new_columns(struct plan_arena *plans, const struct pruned *input, int32_t n_old, struct expr ***out,
                                struct sabot_error *err) {
    struct expr **columns = arena_alloc(&plans->arena, (size_t)(n_old + 1) * sizeof *columns);
    if (!columns) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n_old; i++) {
        if (input->map[i] < 0) { continue; }
        const struct source_span nowhere = {0};
        SABOT_TRY(plan_column_ref(plans, input->plan, input->map[i], nowhere, &columns[i], err));
    }
    *out = columns;
    return SABOT_OK;
}

static sabot_status prune(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                          struct sabot_error *err);

/* The input with exactly its old columns in their old order, those that `usage` does not name included where keep_all.
 */
static sabot_status prune_exactly(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                  struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields;
    struct usage *usage = NULL;
    struct pruned pruned = {0};
    SABOT_TRY(usages_new(plans, n, &usage, err));
    for (int32_t i = 0; i < n; i++) {
        use_whole(&usage[i]);
    }
    SABOT_TRY(prune(plans, plan, usage, &pruned, err));
    bool same = pruned.plan->schema->n_fields == n;
    for (int32_t i = 0; i < n; i++) {
        same = same && pruned.map[i] == i;
    }
    *out = pruned.plan;
    if (same) { return SABOT_OK; }
    struct expr **exprs = NULL;
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    if (!names) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(new_columns(plans, &pruned, n, &exprs, err));
    for (int32_t i = 0; i < n; i++) {
        names[i] = plan->schema->fields[i].name;
    }
    return plan_project(plans, pruned.plan, exprs, names, n, out, err);
}

/* ---- scans --------------------------------------------------------------------------------------------------------
 */

/* Which columns of the table are needed for the output, the filter and the watermark, and what of each. */
static sabot_status table_usage(struct plan_arena *plans, const struct plan *scan, const struct usage *output,
                                struct usage *columns, bool *emitted, struct sabot_error *err) {
    const struct plan_table *table = scan->scan.table;
    const int32_t n = scan->schema->n_fields;
    struct usage *mine = NULL;
    SABOT_TRY(usages_new(plans, n, &mine, err));
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(merge_usage(plans, &mine[i], &output[i], scan->schema->fields[i].type, err));
    }
    if (scan->scan.filter) { SABOT_TRY(use_expr(plans, scan->scan.filter, NULL, mine, err)); }
    for (int32_t i = 0; i < n; i++) {
        const int32_t column = scan->scan.picked[i];
        SABOT_TRY(merge_usage(plans, &columns[column], &mine[i], scan->schema->fields[i].type, err));
        emitted[column] = emitted[column] || mine[i].any;
    }
    if (table->connector->source->upserts) { /* its rows are told apart by their key */
        for (int32_t i = 0; i < table->n_primary_key; i++) {
            use_whole(&columns[table->primary_key[i]]);
            emitted[table->primary_key[i]] = true;
        }
    }
    if (scan->scan.needs_watermark && table->rowtime >= 0) {
        struct usage *read = NULL;
        SABOT_TRY(usages_new(plans, table->n_columns, &read, err));
        use_whole(&read[table->rowtime]);
        SABOT_TRY(use_expr(plans, table->watermark, NULL, read, err));
        for (int32_t i = 0; i < table->n_columns; i++) {
            SABOT_TRY(merge_usage(plans, &columns[i], &read[i], table->columns[i].type, err));
            emitted[i] = emitted[i] || read[i].any;
        }
    }
    return SABOT_OK;
}

/* The narrowest column of the record, for queries that only count rows. */
static int32_t cheapest_column(const struct plan_table *table) {
    int32_t best = -1;
    size_t best_size = SIZE_MAX;
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].kind != TABLE_COLUMN_PHYSICAL) { continue; }
        const size_t size = phys_size(type_phys(table->columns[i].type));
        const size_t cost = size == 0 ? 1024 : size;
        if (cost < best_size) {
            best = i;
            best_size = cost;
        }
    }
    return best >= 0 ? best : 0;
}

/* What is read for the emitted columns: physical and metadata ones, and those that computed ones are made of. */
static sabot_status read_usage(struct plan_arena *plans, const struct plan_table *table, const struct usage *columns,
                               const bool *emitted, struct usage *reads, struct sabot_error *err) {
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (!emitted[i]) { continue; }
        const struct table_column *column = &table->columns[i];
        if (column->kind == TABLE_COLUMN_COMPUTED) {
            SABOT_TRY(use_expr(plans, column->computed, NULL, reads, err));
        } else {
            SABOT_TRY(merge_usage(plans, &reads[i], &columns[i], column->type, err));
        }
    }
    return SABOT_OK;
}

static sabot_status prune_scan(struct plan_arena *plans, struct plan *plan, const struct usage *usage,
                               struct pruned *out, struct sabot_error *err) {
    const struct plan_table *table = plan->scan.table;
    const int32_t n_table = table->n_columns, n_old = plan->schema->n_fields;
    struct arena *arena = &plans->arena;
    struct usage *columns = NULL, *reads = NULL;
    bool *emitted = arena_alloc(arena, (size_t)n_table + 1);
    int32_t *picked = arena_alloc(arena, (size_t)(n_table + 1) * sizeof *picked);
    int32_t *read_list = arena_alloc(arena, (size_t)(n_table + 1) * sizeof *read_list);
    struct type *read_types = arena_alloc(arena, (size_t)(n_table + 1) * sizeof *read_types);
    struct expr **read_refs = arena_alloc(arena, (size_t)(n_table + 1) * sizeof *read_refs);
    struct expr **exprs = arena_alloc(arena, (size_t)(n_table + 1) * sizeof *exprs);
    struct expr **output_refs = arena_alloc(arena, (size_t)(n_table + 1) * sizeof *output_refs);
    int32_t *position = NULL;
    if (!emitted || !picked || !read_list || !read_types || !read_refs || !exprs || !output_refs) {
        return PLAN_NO_MEMORY(err);
    }
    SABOT_TRY(usages_new(plans, n_table, &columns, err));
    SABOT_TRY(usages_new(plans, n_table, &reads, err));
    SABOT_TRY(map_new(plans, n_table, &position, err));
    SABOT_TRY(table_usage(plans, plan, usage, columns, emitted, err));
    SABOT_TRY(read_usage(plans, table, columns, emitted, reads, err));
    int32_t n_reads = 0, n = 0;
    bool reads_any = false;
    for (int32_t i = 0; i < n_table; i++) {
        reads_any = reads_any || reads[i].any;
    }
    if (!reads_any) {
        const int32_t cheapest = cheapest_column(table);
        use_whole(&reads[cheapest]);
        emitted[cheapest] = true;
    }
    for (int32_t i = 0; i < n_table; i++) {
        if (!reads[i].any) { continue; }
        read_list[n_reads] = i;
        read_types[n_reads] = table->columns[i].type;
        if (table->connector->source->nested_projection && table->columns[i].kind == TABLE_COLUMN_PHYSICAL) {
            SABOT_TRY(prune_type(plans, table->columns[i].type, &reads[i], &read_types[n_reads], err));
        }
        SABOT_TRY(expr_column(arena, n_reads, read_types[n_reads], plan->span, &read_refs[i], err));
        n_reads++;
    }
    for (int32_t i = 0; i < n_table; i++) {
        if (!emitted[i]) { continue; }
        position[i] = n;
        picked[n] = i;
        exprs[n] = read_refs[i];
        if (table->columns[i].kind == TABLE_COLUMN_COMPUTED) {
            SABOT_TRY(expr_rewrite(plans, table->columns[i].computed, read_refs, n_table, &exprs[n], err));
            SABOT_TRY(expr_fold(arena, exprs[n], &exprs[n], err));
        }
        n++;
    }
    struct plan *scan = NULL;
    SABOT_TRY(plan_scan(plans, table, picked, n, plan->span, &scan, err));
    for (int32_t i = 0; i < n; i++) {
        scan->schema->fields[i].type = exprs[i]->type;
        SABOT_TRY(plan_column_ref(plans, scan, i, plan->span, &output_refs[picked[i]], err));
    }
    scan->scan.reads = read_list;
    scan->scan.read_types = read_types;
    scan->scan.n_reads = n_reads;
    scan->scan.exprs = exprs;
    scan->scan.needs_watermark = plan->scan.needs_watermark && table->rowtime >= 0;
    if (scan->scan.needs_watermark) {
        SABOT_TRY(expr_rewrite(plans, table->watermark, output_refs, n_table, &scan->scan.watermark, err));
        SABOT_TRY(expr_fold(arena, scan->scan.watermark, &scan->scan.watermark, err));
    }
    out->plan = scan;
    SABOT_TRY(map_new(plans, n_old, &out->map, err));
    for (int32_t i = 0; i < n_old; i++) {
        out->map[i] = position[plan->scan.picked[i]];
    }
    if (!plan->scan.filter) { return SABOT_OK; }
    struct expr **renamed = NULL;
    SABOT_TRY(new_columns(plans, out, n_old, &renamed, err));
    return expr_rewrite(plans, plan->scan.filter, renamed, n_old, &scan->scan.filter, err);
}

/* ---- the other nodes -----------------------------------------------------------------------------------------------
 */

static sabot_status prune_filter(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                                 struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields;
    struct usage *below = NULL;
    struct pruned input = {0};
    SABOT_TRY(usages_new(plans, n, &below, err));
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(merge_usage(plans, &below[i], &usage[i], plan->schema->fields[i].type, err));
    }
    SABOT_TRY(use_expr(plans, plan->filter.condition, NULL, below, err));
    SABOT_TRY(prune(plans, plan->inputs[0], below, &input, err));
    struct expr **columns = NULL, *condition = NULL;
    SABOT_TRY(new_columns(plans, &input, n, &columns, err));
    SABOT_TRY(expr_rewrite(plans, plan->filter.condition, columns, n, &condition, err));
    out->map = input.map;
    return plan_filter(plans, input.plan, condition, &out->plan, err);
}

static sabot_status prune_project(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                                  struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields, n_below = plan->inputs[0]->schema->n_fields;
    struct usage *below = NULL;
    struct pruned input = {0};
    struct expr **columns = NULL;
    struct expr **exprs = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *exprs);
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    if (!exprs || !names) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(usages_new(plans, n_below, &below, err));
    SABOT_TRY(map_new(plans, n, &out->map, err));
    for (int32_t i = 0; i < n; i++) {
        if (usage[i].any) { SABOT_TRY(use_expr(plans, plan->project.exprs[i], &usage[i], below, err)); }
    }
    SABOT_TRY(prune(plans, plan->inputs[0], below, &input, err));
    SABOT_TRY(new_columns(plans, &input, n_below, &columns, err));
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!usage[i].any) { continue; }
        names[kept] = plan->schema->fields[i].name;
        SABOT_TRY(expr_rewrite(plans, plan->project.exprs[i], columns, n_below, &exprs[kept], err));
        out->map[i] = kept++;
    }
    if (kept == 0) { /* only rows are counted above: any input will do */
        out->plan = input.plan;
        return SABOT_OK;
    }
    return plan_project(plans, input.plan, exprs, names, kept, &out->plan, err);
}

static sabot_status prune_window(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                                 struct sabot_error *err) {
    const int32_t n = plan->inputs[0]->schema->n_fields;
    struct pruned input = {0};
    use_whole(&usage[plan->window.spec.time_column]);
    for (int32_t i = 0; i < plan->window.partition.n; i++) { use_whole(&usage[plan->window.partition.columns[i]]); }
    SABOT_TRY(prune(plans, plan->inputs[0], usage, &input, err));
    struct window_spec spec = plan->window.spec;
    struct plan_partition partition = plan->window.partition;
    int32_t *columns = NULL;
    spec.time_column = input.map[spec.time_column];
    SABOT_TRY(map_new(plans, partition.n > 0 ? partition.n : 0, &columns, err));
    for (int32_t i = 0; i < partition.n; i++) { columns[i] = input.map[partition.columns[i]]; }
    partition.columns = columns;
    SABOT_TRY(plan_window(plans, input.plan, spec, plan->window.window_id, partition, plan->span, &out->plan, err));
    SABOT_TRY(map_new(plans, n + 3, &out->map, err));
    memcpy(out->map, input.map, (size_t)n * sizeof *out->map);
    for (int32_t i = 0; i < 3; i++) {
        out->map[n + i] = input.plan->schema->n_fields + i;
    }
    return SABOT_OK;
}

/* Keys all, of the calls those that are used. */
static sabot_status prune_calls(struct plan_arena *plans, const struct usage *usage, const struct plan *plan,
                                const int32_t *keys, int32_t n_keys, const struct aggregate_call *calls,
                                int32_t n_calls, struct pruned *input, int32_t **new_keys,
                                struct aggregate_call **new_calls, int32_t *n_new_calls, int32_t *map,
                                const char **names, struct usage *below, struct sabot_error *err) {
    *new_keys = arena_alloc(&plans->arena, (size_t)(n_keys + 1) * sizeof **new_keys);
    *new_calls = arena_alloc(&plans->arena, (size_t)(n_calls + 1) * sizeof **new_calls);
    if (!*new_keys || !*new_calls) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n_keys; i++) {
        use_whole(&below[keys[i]]);
    }
    for (int32_t i = 0; i < n_calls; i++) {
        if (!usage[n_keys + i].any) { continue; }
        if (calls[i].argument >= 0) { use_whole(&below[calls[i].argument]); }
        if (calls[i].filter >= 0) { use_whole(&below[calls[i].filter]); }
    }
    SABOT_TRY(prune(plans, plan->inputs[0], below, input, err));
    for (int32_t i = 0; i < n_keys; i++) {
        (*new_keys)[i] = input->map[keys[i]];
        map[i] = i;
        names[i] = plan->schema->fields[i].name;
    }
    *n_new_calls = 0;
    for (int32_t i = 0; i < n_calls; i++) {
        if (!usage[n_keys + i].any) { continue; }
        struct aggregate_call call = calls[i];
        if (call.argument >= 0) { call.argument = input->map[call.argument]; }
        if (call.filter >= 0) { call.filter = input->map[call.filter]; }
        map[n_keys + i] = n_keys + *n_new_calls;
        names[n_keys + *n_new_calls] = plan->schema->fields[n_keys + i].name;
        (*new_calls)[(*n_new_calls)++] = call;
    }
    return SABOT_OK;
}

static sabot_status prune_aggregate(struct plan_arena *plans, struct plan *plan, struct usage *usage,
                                    struct pruned *out, struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields;
    struct usage *below = NULL;
    struct pruned input = {0};
    int32_t *keys = NULL, n_calls = 0;
    struct aggregate_call *calls = NULL;
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    if (!names) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(usages_new(plans, plan->inputs[0]->schema->n_fields, &below, err));
    SABOT_TRY(map_new(plans, n, &out->map, err));
    SABOT_TRY(prune_calls(plans, usage, plan, plan->aggregate.keys, plan->aggregate.n_keys, plan->aggregate.calls,
                          plan->aggregate.n_calls, &input, &keys, &calls, &n_calls, out->map, names, below, err));
    return plan_aggregate(plans, input.plan, keys, plan->aggregate.n_keys, calls, names + plan->aggregate.n_keys,
                          n_calls, plan->aggregate.is_distinct, plan->span, &out->plan, err);
}

static sabot_status prune_window_aggregate(struct plan_arena *plans, struct plan *plan, struct usage *usage,
                                           struct pruned *out, struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields, n_keys = plan->window_aggregate.n_keys;
    struct usage *below = NULL;
    struct pruned input = {0};
    int32_t *keys = NULL, n_calls = 0, n_properties = 0;
    struct aggregate_call *calls = NULL;
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    enum window_property *properties = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *properties);
    if (!names || !properties) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(usages_new(plans, plan->inputs[0]->schema->n_fields, &below, err));
    SABOT_TRY(map_new(plans, n, &out->map, err));
    use_whole(&below[plan->window_aggregate.spec.time_column]);
    SABOT_TRY(prune_calls(plans, usage, plan, plan->window_aggregate.keys, n_keys, plan->window_aggregate.calls,
                          plan->window_aggregate.n_calls, &input, &keys, &calls, &n_calls, out->map, names, below,
                          err));
    for (int32_t i = 0; i < plan->window_aggregate.n_properties; i++) {
        const int32_t at = n_keys + plan->window_aggregate.n_calls + i;
        if (!usage[at].any) { continue; }
        out->map[at] = n_keys + n_calls + n_properties;
        names[out->map[at]] = plan->schema->fields[at].name;
        properties[n_properties++] = plan->window_aggregate.properties[i];
    }
    struct plan model = *plan;
    model.window_aggregate.spec.time_column = input.map[plan->window_aggregate.spec.time_column];
    model.window_aggregate.keys = keys;
    model.window_aggregate.calls = calls;
    model.window_aggregate.n_calls = n_calls;
    model.window_aggregate.properties = properties;
    model.window_aggregate.n_properties = n_properties;
    return plan_window_aggregate(plans, input.plan, &model, names, &out->plan, err);
}

static sabot_status prune_sort(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                               struct sabot_error *err) {
    struct pruned input = {0};
    struct sort_key *keys = arena_alloc(&plans->arena, (size_t)(plan->sort.n_keys + 1) * sizeof *keys);
    if (!keys) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < plan->sort.n_keys; i++) {
        use_whole(&usage[plan->sort.keys[i].column]);
    }
    SABOT_TRY(prune(plans, plan->inputs[0], usage, &input, err));
    for (int32_t i = 0; i < plan->sort.n_keys; i++) {
        keys[i] = plan->sort.keys[i];
        keys[i].column = input.map[keys[i].column];
    }
    out->map = input.map;
    if (plan->kind == PLAN_LIMIT) {
        return plan_limit(plans, input.plan, plan->sort.limit, plan->sort.offset, plan->span, &out->plan, err);
    }
    return plan_sort(plans, input.plan, keys, plan->sort.n_keys, plan->sort.limit, plan->sort.offset, plan->span,
                     &out->plan, err);
}

/* UNION keeps the used columns; its inputs get a projection to line them up. */
static sabot_status prune_union(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                                struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields;
    struct plan **inputs = arena_alloc(&plans->arena, (size_t)plan->n_inputs * sizeof *inputs);
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    if (!inputs || !names) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(map_new(plans, n, &out->map, err));
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++) {
        if (usage[i].any) {
            names[kept] = plan->schema->fields[i].name;
            out->map[i] = kept++;
        }
    }
    if (kept == 0) {
        names[0] = plan->schema->fields[0].name;
        use_whole(&usage[0]);
        out->map[0] = kept++;
    }
    for (int32_t k = 0; k < plan->n_inputs; k++) {
        struct plan *input = plan->inputs[k];
        struct expr **exprs = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *exprs);
        if (!exprs) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < n; i++) {
            if (out->map[i] >= 0) { SABOT_TRY(plan_column_ref(plans, input, i, plan->span, &exprs[out->map[i]], err)); }
        }
        SABOT_TRY(plan_project(plans, input, exprs, names, kept, &input, err));
        SABOT_TRY(prune_exactly(plans, input, &inputs[k], err));
    }
    return plan_union(plans, inputs, plan->n_inputs, &out->plan, err);
}

static sabot_status identity(struct plan_arena *plans, struct plan *plan, struct pruned *out, struct sabot_error *err) {
    out->plan = plan;
    SABOT_TRY(map_new(plans, plan->schema->n_fields, &out->map, err));
    for (int32_t i = 0; i < plan->schema->n_fields; i++) {
        out->map[i] = i;
    }
    return SABOT_OK;
}

/* A join gives all columns of both sides: they are what is used above, its keys, and what its condition reads. */
static sabot_status prune_join(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                               struct sabot_error *err) {
    const int32_t n_left = plan->inputs[0]->schema->n_fields, n = plan_join_width(plan);
    const int32_t n_keys = plan->join.n_keys;
    struct pruned sides[2] = {{0}, {0}};
    if (plan->schema->n_fields < n) { /* the right side of a semi join is used by its condition only */
        struct usage *both = NULL;
        SABOT_TRY(usages_new(plans, n, &both, err));
        memcpy(both, usage, (size_t)n_left * sizeof *both);
        usage = both;
    }
    struct plan model = {.kind = PLAN_JOIN, .join = plan->join};
    int32_t *keys[2] = {NULL, NULL};
    if (plan->join.condition) { SABOT_TRY(use_expr(plans, plan->join.condition, NULL, usage, err)); }
    for (int32_t i = 0; i < n_keys; i++) {
        use_whole(&usage[plan->join.left_keys[i]]);
        use_whole(&usage[n_left + plan->join.right_keys[i]]);
    }
    if (plan->join.time == PLAN_JOIN_INTERVAL) {
        use_whole(&usage[plan->join.left_time]);
        use_whole(&usage[n_left + plan->join.right_time]);
    }
    SABOT_TRY(prune(plans, plan->inputs[0], usage, &sides[0], err));
    SABOT_TRY(prune(plans, plan->inputs[1], usage + n_left, &sides[1], err));
    const int32_t new_left = sides[0].plan->schema->n_fields;
    for (int s = 0; s < 2; s++) {
        const int32_t *old = s == 0 ? plan->join.left_keys : plan->join.right_keys;
        keys[s] = arena_alloc(&plans->arena, (size_t)(n_keys + 1) * sizeof *keys[s]);
        if (!keys[s]) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < n_keys; i++) {
            keys[s][i] = sides[s].map[old[i]];
        }
    }
    SABOT_TRY(map_new(plans, n, &out->map, err));
    for (int32_t i = 0; i < n; i++) {
        const int32_t at = i < n_left ? sides[0].map[i] : sides[1].map[i - n_left];
        out->map[i] = at < 0 || i < n_left ? at : at + new_left;
    }
    model.join.left_keys = keys[0];
    model.join.right_keys = keys[1];
    if (plan->join.time == PLAN_JOIN_INTERVAL) {
        model.join.left_time = sides[0].map[plan->join.left_time];
        model.join.right_time = sides[1].map[plan->join.right_time];
    }
    if (plan->join.time == PLAN_JOIN_WINDOW) {
        model.join.left_window_end = sides[0].map[plan->join.left_window_end];
        model.join.right_window_end = sides[1].map[plan->join.right_window_end];
    }
    if (plan->join.condition) {
        /* Rows of fewer fields are found again by name: as in the output of the new join. */
        struct plan *shape = NULL;
        struct expr **columns = NULL;
        model.join.condition = NULL;
        SABOT_TRY(plan_join(plans, sides[0].plan, sides[1].plan, PLAN_JOIN_INNER, NULL, plan->join.on, &shape, err));
        const struct pruned both = {.plan = shape, .map = out->map};
        SABOT_TRY(new_columns(plans, &both, n, &columns, err));
        SABOT_TRY(expr_rewrite(plans, plan->join.condition, columns, n, &model.join.condition, err));
    }
    return plan_join_keyed(plans, sides[0].plan, sides[1].plan, &model, &out->plan, err);
}

static sabot_status prune_arrival(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                                  struct sabot_error *err) {
    struct pruned input = {0};
    use_whole(&usage[plan->arrival.column]);
    SABOT_TRY(prune(plans, plan->inputs[0], usage, &input, err));
    out->map = input.map;
    return plan_arrival(plans, input.plan, input.map[plan->arrival.column], plan->span, &out->plan, err);
}

static sabot_status prune_rank(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                               struct sabot_error *err) {
    const int32_t n = plan->inputs[0]->schema->n_fields;
    struct plan model = {.kind = PLAN_RANK, .span = plan->span, .rank = plan->rank};
    int32_t *keys = arena_alloc(&plans->arena, (size_t)(plan->rank.n_keys + 1) * sizeof *keys);
    struct sort_key *order = arena_alloc(&plans->arena, (size_t)(plan->rank.n_order + 1) * sizeof *order);
    struct pruned input = {0};
    if (!keys || !order) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < plan->rank.n_keys; i++) {
        use_whole(&usage[plan->rank.keys[i]]);
    }
    for (int32_t i = 0; i < plan->rank.n_order; i++) {
        use_whole(&usage[plan->rank.order[i].column]);
    }
    SABOT_TRY(prune(plans, plan->inputs[0], usage, &input, err));
    for (int32_t i = 0; i < plan->rank.n_keys; i++) {
        keys[i] = input.map[plan->rank.keys[i]];
    }
    for (int32_t i = 0; i < plan->rank.n_order; i++) {
        order[i] = plan->rank.order[i];
        order[i].column = input.map[order[i].column];
    }
    model.rank.keys = keys;
    model.rank.order = order;
    SABOT_TRY(map_new(plans, n + 1, &out->map, err));
    memcpy(out->map, input.map, (size_t)n * sizeof *out->map);
    model.rank.output_rank = plan->rank.output_rank && usage[n].any;
    if (model.rank.output_rank) { out->map[n] = input.plan->schema->n_fields; }
    return plan_rank(plans, input.plan, &model, plan->schema->fields[plan->schema->n_fields - 1].name, &out->plan, err);
}

static sabot_status prune_over(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                               struct sabot_error *err) {
    const struct over_options *over = &plan->over;
    const int32_t n = plan->inputs[0]->schema->n_fields;
    struct plan model = {.kind = PLAN_OVER, .span = plan->span, .over = *over};
    int32_t *keys = arena_alloc(&plans->arena, (size_t)(over->n_keys + 1) * sizeof *keys);
    struct over_call *calls = arena_alloc(&plans->arena, (size_t)(over->n_calls + 1) * sizeof *calls);
    const char **names = arena_alloc(&plans->arena, (size_t)(over->n_calls + 1) * sizeof *names);
    struct pruned input = {0};
    if (!keys || !calls || !names) { return PLAN_NO_MEMORY(err); }
    use_whole(&usage[over->time_column]);
    for (int32_t i = 0; i < over->n_keys; i++) { use_whole(&usage[over->keys[i]]); }
    for (int32_t i = 0; i < over->n_calls; i++) { /* calls that nothing reads go */
        const struct aggregate_call *call = &over->calls[i].aggregate;
        if (!usage[n + i].any) { continue; }
        if (call->argument >= 0) { use_whole(&usage[call->argument]); }
        if (call->filter >= 0) { use_whole(&usage[call->filter]); }
    }
    SABOT_TRY(prune(plans, plan->inputs[0], usage, &input, err));
    for (int32_t i = 0; i < over->n_keys; i++) { keys[i] = input.map[over->keys[i]]; }
    SABOT_TRY(map_new(plans, n + over->n_calls, &out->map, err));
    memcpy(out->map, input.map, (size_t)n * sizeof *out->map);
    model.over.n_calls = 0;
    for (int32_t i = 0; i < over->n_calls; i++) {
        if (!usage[n + i].any) { continue; }
        struct over_call *call = &calls[model.over.n_calls];
        *call = over->calls[i];
        if (call->aggregate.argument >= 0) { call->aggregate.argument = input.map[call->aggregate.argument]; }
        if (call->aggregate.filter >= 0) { call->aggregate.filter = input.map[call->aggregate.filter]; }
        names[model.over.n_calls] = plan->schema->fields[n + i].name;
        out->map[n + i] = input.plan->schema->n_fields + model.over.n_calls++;
    }
    model.over.keys = keys;
    model.over.calls = calls;
    model.over.time_column = input.map[over->time_column];
    return plan_over(plans, input.plan, &model, names, &out->plan, err);
}

static sabot_status prune_expand(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                                 struct sabot_error *err) {
    const int32_t n = plan->expand.n_columns, n_sets = plan->expand.n_sets;
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    int32_t *sources = arena_alloc(&plans->arena, (size_t)(n + 1) * (size_t)n_sets * sizeof *sources);
    struct usage *below = NULL;
    struct pruned input = {0};
    struct expand_options options = plan->expand;
    if (!names || !sources) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(usages_new(plans, plan->inputs[0]->schema->n_fields, &below, err));
    SABOT_TRY(map_new(plans, n + 1, &out->map, err));
    options.n_columns = 0;
    options.sources = sources;
    for (int32_t i = 0; i < n; i++) {
        if (!usage[i].any) { continue; }
        for (int32_t s = 0; s < n_sets; s++) {
            const int32_t source = plan->expand.sources[s * n + i];
            if (source >= 0) { use_whole(&below[source]); }
        }
        names[options.n_columns] = plan->schema->fields[i].name;
        out->map[i] = options.n_columns++;
    }
    SABOT_TRY(prune(plans, plan->inputs[0], below, &input, err));
    for (int32_t i = 0; i < n; i++) {
        for (int32_t s = 0; s < n_sets && out->map[i] >= 0; s++) {
            const int32_t source = plan->expand.sources[s * n + i];
            sources[s * options.n_columns + out->map[i]] = source < 0 ? -1 : input.map[source];
        }
    }
    names[options.n_columns] = plan->schema->fields[n].name;
    out->map[n] = options.n_columns;
    return plan_expand(plans, input.plan, &options, names, plan->span, &out->plan, err);
}

/* The array itself is passed on only where it is read above. */
static sabot_status prune_unnest(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                                 struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields, n_passed = plan->unnest.n_passed;
    const char **names = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *names);
    int32_t *passed = arena_alloc(&plans->arena, (size_t)(n_passed + 1) * sizeof *passed);
    struct usage *below = NULL;
    struct pruned input = {0};
    struct unnest_options options = plan->unnest;
    if (!names || !passed) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(usages_new(plans, plan->inputs[0]->schema->n_fields, &below, err));
    SABOT_TRY(map_new(plans, n, &out->map, err));
    use_whole(&below[options.column]);
    for (int32_t i = 0; i < n_passed; i++) {
        const int32_t column = options.passed[i];
        SABOT_TRY(merge_usage(plans, &below[column], &usage[i], plan->schema->fields[i].type, err));
    }
    SABOT_TRY(prune(plans, plan->inputs[0], below, &input, err));
    options.n_passed = 0;
    for (int32_t i = 0; i < n_passed; i++) {
        if (!usage[i].any) { continue; }
        out->map[i] = options.n_passed;
        passed[options.n_passed++] = input.map[plan->unnest.passed[i]];
    }
    for (int32_t i = n_passed; i < n; i++) {
        names[i - n_passed] = plan->schema->fields[i].name;
        out->map[i] = i - n_passed + options.n_passed;
    }
    options.passed = passed;
    options.column = input.map[options.column];
    return plan_unnest(plans, input.plan, &options, names, plan->span, &out->plan, err);
}

static sabot_status prune_below(struct plan_arena *plans, struct plan *plan, struct pruned *out,
                                struct sabot_error *err) {
    SABOT_TRY(plan_rewrite_inputs(plans, plan, prune_exactly, &plan, err));
    return identity(plans, plan, out, err);
}

static sabot_status prune(struct plan_arena *plans, struct plan *plan, struct usage *usage, struct pruned *out,
                          struct sabot_error *err) {
    switch (plan->kind) {
    case PLAN_SCAN: return prune_scan(plans, plan, usage, out, err);
    case PLAN_FILTER: return prune_filter(plans, plan, usage, out, err);
    case PLAN_PROJECT: return prune_project(plans, plan, usage, out, err);
    case PLAN_WINDOW: return prune_window(plans, plan, usage, out, err);
    case PLAN_AGGREGATE: return prune_aggregate(plans, plan, usage, out, err);
    case PLAN_WINDOW_AGGREGATE: return prune_window_aggregate(plans, plan, usage, out, err);
    case PLAN_SORT:
    case PLAN_LIMIT: return prune_sort(plans, plan, usage, out, err);
    case PLAN_UNION: return prune_union(plans, plan, usage, out, err);
    case PLAN_VALUES: return identity(plans, plan, out, err);
    case PLAN_JOIN: return prune_join(plans, plan, usage, out, err);
    case PLAN_RANK: return prune_rank(plans, plan, usage, out, err);
    case PLAN_OVER: return prune_over(plans, plan, usage, out, err);
    case PLAN_EXPAND: return prune_expand(plans, plan, usage, out, err);
    case PLAN_UNNEST: return prune_unnest(plans, plan, usage, out, err);
    case PLAN_ARRIVAL: return prune_arrival(plans, plan, usage, out, err);
    case PLAN_PROCESS:
    case PLAN_SINK: return prune_below(plans, plan, out, err);
    }
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a plan node of kind %d is not known", (int)plan->kind);
}

/* ---- watermarks ----------------------------------------------------------------------------------------------------
 */

static bool reads_watermark(const struct expr *expr) {
    if (expr->kind == EXPR_CALL && expr->function && strcasecmp(expr->function->name, "CURRENT_WATERMARK") == 0) {
        return true;
    }
    for (int32_t i = 0; i < expr->n_args; i++) {
        if (reads_watermark(expr->args[i])) { return true; }
    }
    return false;
}

/* Whether all rows go through an arrival, whose watermark is the clock. */
static bool is_clocked(const struct plan *plan) {
    if (plan->kind == PLAN_ARRIVAL) { return true; }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        if (!is_clocked(plan->inputs[i])) { return false; }
    }
    return plan->n_inputs > 0;
}

/* Whether anything in the plan is driven by event time; where nothing is, watermarks need not be made. */
static bool needs_watermark(const struct plan *plan) {
    const bool timed_join =
        plan->kind == PLAN_JOIN && plan->join.time != PLAN_JOIN_REGULAR && plan->join.time != PLAN_JOIN_LOOKUP;
    const bool timed = timed_join || plan->kind == PLAN_OVER || plan->kind == PLAN_WINDOW ||
                       plan->kind == PLAN_WINDOW_AGGREGATE || plan->kind == PLAN_PROCESS;
    if (timed && !is_clocked(plan)) { return true; }
    for (int32_t i = 0; plan->kind == PLAN_PROJECT && i < plan->schema->n_fields; i++) {
        if (reads_watermark(plan->project.exprs[i])) { return true; }
    }
    if (plan->kind == PLAN_FILTER && reads_watermark(plan->filter.condition)) { return true; }
    if (plan->kind == PLAN_JOIN && plan->join.condition && reads_watermark(plan->join.condition)) { return true; }
    if (plan->kind == PLAN_SCAN && plan->scan.filter && reads_watermark(plan->scan.filter)) { return true; }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        if (needs_watermark(plan->inputs[i])) { return true; }
    }
    return false;
}

static sabot_status rule_mark_watermarks(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                         struct sabot_error *err) {
    if (plan->kind != PLAN_SCAN) { return plan_rewrite_inputs(plans, plan, rule_mark_watermarks, out, err); }
    SABOT_TRY(plan_with_inputs(plans, plan, NULL, out, err));
    (*out)->scan.needs_watermark = plan->scan.table->rowtime >= 0;
    return SABOT_OK;
}

sabot_status rule_prune(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err) {
    if (needs_watermark(plan)) { SABOT_TRY(rule_mark_watermarks(plans, plan, &plan, err)); }
    return prune_exactly(plans, plan, out, err);
}
