/* Builds job graphs. A vertex is open while operators may be chained to its end; an exchange closes it. */
#include "plan/physical.h"

#include "plan/explain.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define LABEL_SIZE_MAX 1000
#define MEANING_SIZE_MAX 1000
#define VERTICES_MAX 4096

/* A vertex under construction; arrays in the arena. */
struct vertex {
    const struct op_spec **ops;
    unsigned n_ops, ops_capacity;
    struct job_edge *edges;
    unsigned n_edges, edges_capacity;
    int32_t parallelism;
};

/* The n-th operator of a kind in a statement. */
struct uid_count {
    const char *name;
    int32_t n;
};

struct physical_plan {
    struct plan_arena plans;
    struct physical_options options;
    struct vertex *drafts;
    unsigned n_drafts, drafts_capacity;
    struct schema **schemas; /* owned references */
    unsigned n_schemas, schemas_capacity;
    struct uid_count *uids;
    unsigned n_uids, uids_capacity;
    const char *uid_prefix;
    struct job_graph graph;
    bool bounded;
};

static struct arena *arena_of(struct physical_plan *plan) { return &plan->plans.arena; }

/* Fills in the name of the first unbounded table below. */
static const char *unbounded_table(const struct plan *plan) {
    if (plan->kind == PLAN_SCAN && !plan->bounded) { return plan->scan.table->name; }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        const char *name = unbounded_table(plan->inputs[i]);
        if (name) { return name; }
    }
    return NULL;
}

static sabot_status copy_schema(struct physical_plan *plan, const struct schema *from, struct schema **out,
                                struct sabot_error *err) {
    plan->schemas = arena_grow(arena_of(plan), plan->schemas, plan->n_schemas, sizeof *plan->schemas,
                               &plan->schemas_capacity);
    if (!plan->schemas) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(schema_new(from->fields, from->n_fields, out, err));
    plan->schemas[plan->n_schemas++] = *out;
    return SABOT_OK;
}

/* ---- vertices ------------------------------------------------------------------------------------------------------
 */

static sabot_status vertex_new(struct physical_plan *plan, int32_t parallelism, int32_t *out, struct sabot_error *err) {
    if (plan->n_drafts >= VERTICES_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "the statement needs more than %d task groups", VERTICES_MAX);
    }
    plan->drafts = arena_grow(arena_of(plan), plan->drafts, plan->n_drafts, sizeof *plan->drafts,
                              &plan->drafts_capacity);
    if (!plan->drafts) { return PLAN_NO_MEMORY(err); }
    plan->drafts[plan->n_drafts] = (struct vertex){.parallelism = parallelism};
    *out = (int32_t)plan->n_drafts++;
    return SABOT_OK;
}

static sabot_status add_edge(struct physical_plan *plan, int32_t to, struct job_edge edge, struct sabot_error *err) {
    struct vertex *vertex = &plan->drafts[to];
    vertex->edges = arena_grow(arena_of(plan), vertex->edges, vertex->n_edges, sizeof *vertex->edges,
                               &vertex->edges_capacity);
    if (!vertex->edges) { return PLAN_NO_MEMORY(err); }
    vertex->edges[vertex->n_edges++] = edge;
    return SABOT_OK;
}

static sabot_status uid_of(struct physical_plan *plan, const char *name, const char **out, struct sabot_error *err) {
    unsigned at = 0;
    while (at < plan->n_uids && strcmp(plan->uids[at].name, name) != 0) {
        at++;
    }
    if (at == plan->n_uids) {
        plan->uids = arena_grow(arena_of(plan), plan->uids, plan->n_uids, sizeof *plan->uids, &plan->uids_capacity);
        if (!plan->uids) { return PLAN_NO_MEMORY(err); }
        plan->uids[plan->n_uids++] = (struct uid_count){.name = name};
    }
    const int32_t n = ++plan->uids[at].n;
    *out = n == 1 ? arena_format(arena_of(plan), "%s/%s", plan->uid_prefix, name)
                  : arena_format(arena_of(plan), "%s/%s-%d", plan->uid_prefix, name, n);
    return *out ? SABOT_OK : PLAN_NO_MEMORY(err);
}

/* Appends an operator. `name` goes into the uid, the label is copied and cut. */
static sabot_status append_op(struct physical_plan *plan, int32_t vertex, const struct op_type *type,
                              const void *options, struct schema *output, const char *name, const char *label,
                              struct op_spec **out, struct sabot_error *err) {
    struct vertex *draft = &plan->drafts[vertex];
    struct op_spec *spec = ARENA_NEW(arena_of(plan), struct op_spec);
    draft->ops = arena_grow(arena_of(plan), draft->ops, draft->n_ops, sizeof *draft->ops, &draft->ops_capacity);
    if (!spec || !draft->ops) { return PLAN_NO_MEMORY(err); }
    size_t size = strlen(label);
    const bool cut = size > LABEL_SIZE_MAX;
    if (cut) {
        size = LABEL_SIZE_MAX;
        while (size > 0 && ((unsigned char)label[size] & 0xC0) == 0x80) {
            size--; /* not in the middle of a character */
        }
    }
    spec->type = type;
    spec->options = options;
    spec->output = output;
    SABOT_TRY(uid_of(plan, name, &spec->uid, err));
    spec->label = arena_format(arena_of(plan), "%.*s%s", (int)size, label, cut ? "..." : "");
    if (!spec->label) { return PLAN_NO_MEMORY(err); }
    draft->ops[draft->n_ops++] = spec;
    *out = spec;
    return SABOT_OK;
}

static sabot_status add_op(struct physical_plan *plan, int32_t vertex, const struct op_type *type, const void *options,
                           struct schema *output, const char *name, const char *label, struct sabot_error *err) {
    struct op_spec *spec = NULL;
    return append_op(plan, vertex, type, options, output, name, label, &spec, err);
}

/* Appends the tables that a node reads to sorted names, each once. */
static sabot_status tables_of(struct physical_plan *plan, const struct plan *node, const char ***names, unsigned *n,
                              unsigned *capacity, struct sabot_error *err) {
    if (node->kind == PLAN_SCAN) {
        const char *name = node->scan.table->name;
        unsigned at = 0;
        while (at < *n && strcmp((*names)[at], name) < 0) { at++; }
        if (at < *n && strcmp((*names)[at], name) == 0) { return SABOT_OK; }
        *names = arena_grow(arena_of(plan), *names, *n, sizeof **names, capacity);
        if (!*names) { return PLAN_NO_MEMORY(err); }
        memmove(*names + at + 1, *names + at, (*n - at) * sizeof **names);
        (*names)[at] = name;
        ++*n;
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        SABOT_TRY(tables_of(plan, node->inputs[i], names, n, capacity, err));
    }
    return SABOT_OK;
}

/* Names an operator that may have state by the tables that it reads too, so that what else a statement does has no say
 * in its uid: state is found by it. */
static sabot_status stateful_name(struct physical_plan *plan, const struct plan *node, const char **name,
                                  struct sabot_error *err) {
    if (node->n_inputs == 0 || node->kind == PLAN_SINK || node->kind == PLAN_FILTER || node->kind == PLAN_PROJECT ||
        node->kind == PLAN_EXPAND || node->kind == PLAN_UNNEST) {
        return SABOT_OK;
    }
    const char **tables = NULL;
    unsigned n = 0, capacity = 0;
    SABOT_TRY(tables_of(plan, node, &tables, &n, &capacity, err));
    for (unsigned i = 0; i < n; i++) {
        *name = arena_format(arena_of(plan), "%s.%s", *name, tables[i]);
        if (!*name) { return PLAN_NO_MEMORY(err); }
    }
    return SABOT_OK;
}

/* A long one is told apart by a hash of what is cut off. */
static sabot_status meaning_of(struct physical_plan *plan, const struct plan *node, const char **out,
                               struct sabot_error *err) {
    struct text meaning = {0};
    explain_meaning(node, &meaning);
    if (meaning.size > MEANING_SIZE_MAX) {
        const uint64_t hash = XXH3_64bits(meaning.data, meaning.size);
        size_t size = MEANING_SIZE_MAX;
        while (size > 0 && ((unsigned char)meaning.data[size] & 0xC0) == 0x80) { size--; }
        meaning.size = size;
        text_format(&meaning, "... #%016" PRIx64, hash);
    }
    const bool failed = meaning.failed;
    *out = meaning.size ? arena_format(arena_of(plan), "%s", text_string(&meaning)) : NULL;
    const bool whole = !failed && (*out || meaning.size == 0);
    text_clear(&meaning);
    return whole ? SABOT_OK : PLAN_NO_MEMORY(err);
}

static sabot_status add_node(struct physical_plan *plan, int32_t vertex, const struct op_type *type,
                             const void *options, const struct plan *node, const char *name, struct sabot_error *err) {
    struct schema *output = NULL;
    struct text label = {0};
    SABOT_TRY(stateful_name(plan, node, &name, err));
    SABOT_TRY(copy_schema(plan, node->schema, &output, err));
    explain_node(node, EXPLAIN_PHYSICAL, &label);
    struct op_spec *spec = NULL;
    const sabot_status status =
        append_op(plan, vertex, type, options, output, name, text_string(&label), &spec, err);
    text_clear(&label);
    return status == SABOT_OK ? meaning_of(plan, node, &spec->meaning, err) : status;
}

/* ---- exchanges -----------------------------------------------------------------------------------------------------
 */

/* All rows in one task. */
static sabot_status gather(struct physical_plan *plan, int32_t *vertex, struct sabot_error *err) {
    if (plan->drafts[*vertex].parallelism == 1) { return SABOT_OK; }
    const int32_t from = *vertex;
    SABOT_TRY(vertex_new(plan, 1, vertex, err));
    return add_edge(plan, *vertex, (struct job_edge){.from = from, .exchange = EXCHANGE_GATHER}, err);
}

/* Rows of equal keys in one task. */
static sabot_status hash(struct physical_plan *plan, const int32_t *keys, int32_t n_keys, int32_t *vertex,
                         struct sabot_error *err) {
    if (n_keys == 0) { return gather(plan, vertex, err); }
    if (plan->drafts[*vertex].parallelism == 1) { return SABOT_OK; }
    const int32_t from = *vertex;
    SABOT_TRY(vertex_new(plan, plan->options.parallelism, vertex, err));
    return add_edge(plan, *vertex,
                    (struct job_edge){.from = from, .exchange = EXCHANGE_HASH, .keys = keys, .n_keys = n_keys}, err);
}

/* ---- sources and sinks ----------------------------------------------------------------------------------------------
 */

/* A schema of some columns of a table. */
static sabot_status table_schema(struct physical_plan *plan, const struct plan_table *table, const int32_t *columns,
                                 const struct type *types, int32_t n, struct schema **out, struct sabot_error *err) {
    struct field *fields = arena_alloc(arena_of(plan), (size_t)(n + 1) * sizeof *fields);
    if (!fields) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        const struct table_column *column = &table->columns[columns[i]];
        fields[i] = (struct field){.name = column->name, .type = types ? types[i] : column->type};
    }
    const struct schema borrowed = {.n_fields = n, .fields = fields};
    return copy_schema(plan, &borrowed, out, err);
}

static int32_t find_in(const int32_t *list, int32_t n, int32_t wanted) {
    for (int32_t i = 0; i < n; i++) {
        if (list[i] == wanted) { return i; }
    }
    return -1;
}

/* The table as the connector sees it: `columns` of it, with `types` where they differ from the declared ones. */
static sabot_status connector_view(struct physical_plan *plan, const struct plan_table *table, const int32_t *columns,
                                   const struct type *types, int32_t n, struct connector_table **out,
                                   struct sabot_error *err) {
    struct arena *arena = arena_of(plan);
    struct connector_table *view = ARENA_NEW(arena, struct connector_table);
    const char **metadata = arena_alloc(arena, (size_t)(n + 1) * sizeof *metadata);
    int32_t *declared = arena_alloc(arena, (size_t)(table->n_columns + 1) * sizeof *declared);
    int32_t *key = arena_alloc(arena, (size_t)(table->n_primary_key + 1) * sizeof *key);
    if (!view || !metadata || !declared || !key) { return PLAN_NO_MEMORY(err); }
    int32_t n_declared = 0, n_key = 0;
    for (int32_t i = 0; i < n; i++) {
        metadata[i] = table->columns[columns[i]].metadata_key;
    }
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].kind == TABLE_COLUMN_PHYSICAL) { declared[n_declared++] = i; }
    }
    for (int32_t i = 0; i < table->n_primary_key; i++) {
        const int32_t at = find_in(columns, n, table->primary_key[i]);
        if (at < 0) { break; }
        key[n_key++] = at;
    }
    *view = (struct connector_table){
        .name = table->name, .options = table->options, .n_options = table->n_options, .metadata = metadata,
        .primary_key = key, .n_primary_key = n_key == table->n_primary_key ? n_key : 0, .memory = table->memory,
    };
    SABOT_TRY(table_schema(plan, table, columns, types, n, &view->schema, err));
    SABOT_TRY(table_schema(plan, table, declared, NULL, n_declared, &view->declared, err));
    *out = view;
    return SABOT_OK;
}

/* A literal whose physical value is a whole number. */
static bool whole_number(const struct expr *expr, int64_t *out) {
    if (expr->kind != EXPR_LITERAL || !expr->value) { return false; }
    switch (type_phys(expr->type)) {
    case PHYS_I8: *out = *(const int8_t *)expr->value; return true;
    case PHYS_I16: *out = *(const int16_t *)expr->value; return true;
    case PHYS_I32: *out = *(const int32_t *)expr->value; return true;
    case PHYS_I64: *out = *(const int64_t *)expr->value; return true;
    default: return false;
    }
}

/* Whether values of a column compare with a literal as their physical numbers do. */
static bool compares_as_number(struct type column, struct type literal) {
    if (type_is_integer(column)) { return type_is_integer(literal); }
    if (column.kind == TYPE_TIMESTAMP || column.kind == TYPE_TIMESTAMP_LTZ) {
        return literal.kind == column.kind &&
               timestamp_units_per_ms_num(literal) == timestamp_units_per_ms_num(column);
    }
    return column.kind == TYPE_DATE && literal.kind == TYPE_DATE;
}

/* What a condition over the output of a scan says of one column that the connector reads. */
static bool bound_of(const struct plan *node, const struct expr *condition, struct column_bound *out) {
    static const struct {
        const char *name;
        int32_t n_args;
        bool least, most; /* which ends it has, the column on the left */
        int8_t open;      /* the end itself is not in */
    } comparisons[] = {{"=", 2, true, true, 0},   {"<", 2, false, true, 1}, {"<=", 2, false, true, 0},
                       {">", 2, true, false, 1}, {">=", 2, true, false, 0}, {"BETWEEN", 3, true, true, 0}};
    for (size_t c = 0; c < sizeof comparisons / sizeof comparisons[0]; c++) {
        const int32_t n = comparisons[c].n_args;
        if (!expr_is_call_of(condition, comparisons[c].name, n)) { continue; }
        const bool turned = n == 2 && condition->args[0]->kind == EXPR_LITERAL;
        const struct expr *column = condition->args[turned], *first = condition->args[!turned],
                          *second = n == 3 ? condition->args[2] : first;
        int64_t least, most;
        if (column->kind != EXPR_COLUMN || !compares_as_number(column->type, first->type) ||
            !compares_as_number(column->type, second->type) || !whole_number(first, &least) ||
            !whole_number(second, &most)) {
            return false;
        }
        const struct expr *read = node->scan.exprs[column->index];
        if (read->kind != EXPR_COLUMN || !type_same(read->type, column->type)) { return false; }
        const bool has_least = turned ? comparisons[c].most : comparisons[c].least,
                   has_most = turned ? comparisons[c].least : comparisons[c].most;
        const int64_t open = comparisons[c].open;
        if ((has_least && least > INT64_MAX - open) || (has_most && most < INT64_MIN + open)) { return false; }
        *out = (struct column_bound){.column = read->index, .least = has_least ? least + open : INT64_MIN,
                                     .most = has_most ? most - open : INT64_MAX};
        return true;
    }
    return false;
}

/* What the filter asks of single columns, for sources that know the least and the most of parts of their data. Not
 * where the rows make a watermark: it would be another one without those that the filter drops. */
static sabot_status scan_bounds(struct physical_plan *plan, const struct plan *node, struct connector_table *view,
                                struct sabot_error *err) {
    if (!node->scan.filter || node->scan.watermark) { return SABOT_OK; }
    struct expr **conditions;
    int32_t n;
    SABOT_TRY(expr_conjuncts(&plan->plans, node->scan.filter, &conditions, &n, err));
    struct column_bound *bounds = arena_alloc(arena_of(plan), (size_t)(n + 1) * sizeof *bounds);
    if (!bounds) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) { view->n_bounds += bound_of(node, conditions[i], &bounds[view->n_bounds]); }
    view->bounds = bounds;
    return SABOT_OK;
}

/* Whether the output is just what the connector reads. */
static bool scan_is_plain(const struct plan *node) {
    if (node->schema->n_fields != node->scan.n_reads) { return false; }
    for (int32_t i = 0; i < node->scan.n_reads; i++) {
        if (!expr_is_column(node->scan.exprs[i]) || node->scan.exprs[i]->index != i) { return false; }
    }
    return true;
}

static sabot_status scan_options(struct physical_plan *plan, const struct plan *node,
                                 const struct source_options **out, struct sabot_error *err) {
    const struct plan_table *table = node->scan.table;
    struct source_options *options = ARENA_NEW(arena_of(plan), struct source_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    *out = options;
    assert(node->scan.exprs && "scans are pruned before they are built");
    struct connector_table *view;
    SABOT_TRY(connector_view(plan, table, node->scan.reads, node->scan.read_types, node->scan.n_reads, &view, err));
    SABOT_TRY(scan_bounds(plan, node, view, err));
    options->table = view;
    options->connector = table->connector;
    options->columns = scan_is_plain(node) ? NULL : node->scan.exprs;
    options->watermark_kind = node->scan.watermark ? WATERMARK_KIND_EXPRESSION : WATERMARK_KIND_NONE;
    options->watermark = node->scan.watermark;
    options->filter = node->scan.filter;
    options->idle_timeout_ns = plan->options.idle_timeout_ns;
    options->watermark_alignment_ms = plan->options.alignment_drift_ms;
    return SABOT_OK;
}

/* The operator of that name, or a refusal: this build may not have it. */
static sabot_status find_op(const struct plan *node, const char *name, const char *what, const struct op_type **out,
                            struct sabot_error *err) {
    *out = op_find(name);
    if (*out) { return SABOT_OK; }
    return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span, "%s is understood, but can't run yet", what);
}

/* A changelog by key: what each change replaces is found, so that whatever stands above can take it back. */
static sabot_status build_normalize(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                    struct sabot_error *err) {
    const struct plan_table *table = node->scan.table;
    struct rank_options *options = ARENA_NEW(arena_of(plan), struct rank_options);
    struct schema *output = NULL;
    const struct op_type *type = NULL;
    if (!options) { return PLAN_NO_MEMORY(err); }
    if (table->n_primary_key == 0) {
        return PLAN_FAIL(err, SABOT_ERR_PLAN, node->span, "table \"%s\" (connector '%s') needs PRIMARY KEY (...) NOT "
                         "ENFORCED: its rows replace each other by it", table->name, table->connector->name);
    }
    SABOT_TRY(find_op(node, "rank", "a table that is a changelog", &type, err));
    *options = (struct rank_options){
        .keys = node->changes.key, .n_keys = node->changes.n_key, .first = 1, .limit = 1, .keep_last = true,
        .upserts = true, .emit_update_before = node->changes.before, .ttl_ms = plan->options.state_ttl_ms,
    };
    SABOT_TRY(hash(plan, options->keys, options->n_keys, vertex, err));
    SABOT_TRY(copy_schema(plan, node->schema, &output, err));
    const char *name = arena_format(arena_of(plan), "normalize.%s", table->name);
    const char *label = arena_format(arena_of(plan), "Changelog(table=[%s])", table->name);
    if (!name || !label) { return PLAN_NO_MEMORY(err); }
    return add_op(plan, *vertex, type, options, output, name, label, err);
}

static sabot_status build_scan(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                               struct sabot_error *err) {
    const struct plan_table *table = node->scan.table;
    const struct source_options *options = NULL;
    SABOT_TRY(scan_options(plan, node, &options, err));
    plan->bounded = plan->bounded && node->bounded;
    SABOT_TRY(vertex_new(plan, plan->options.parallelism, vertex, err));
    const char *name = arena_format(arena_of(plan), "source.%s", table->name);
    if (!name) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(add_node(plan, *vertex, &op_source, options, node, name, err));
    return table->connector->source->upserts ? build_normalize(plan, node, vertex, err) : SABOT_OK;
}

static sabot_status build_values(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                 struct sabot_error *err) {
    struct values_options *options = ARENA_NEW(arena_of(plan), struct values_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    options->cells = node->values.cells;
    options->n_rows = node->values.n_rows;
    options->n_columns = node->schema->n_fields;
    SABOT_TRY(vertex_new(plan, 1, vertex, err));
    return add_node(plan, *vertex, &op_values, options, node, "values", err);
}

static sabot_status build_sink(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                               struct sabot_error *err) {
    const struct plan_table *table = node->sink.table;
    struct sink_options *options = ARENA_NEW(arena_of(plan), struct sink_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    struct connector_table *view;
    SABOT_TRY(connector_view(plan, table, node->sink.picked, NULL, node->schema->n_fields, &view, err));
    options->table = view;
    options->connector = table->connector;
    options->not_null_enforced = node->sink.not_null_enforced;
    const bool one_task = table->connector->sink && table->connector->sink->one_task;
    if (table->memory || one_task) { SABOT_TRY(gather(plan, vertex, err)); } /* one reader */
    const char *name = arena_format(arena_of(plan), "sink.%s", table->name);
    return name ? add_node(plan, *vertex, &op_sink, options, node, name, err) : PLAN_NO_MEMORY(err);
}

/* ---- operators ------------------------------------------------------------------------------------------------------
 */

static sabot_status build(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                          struct sabot_error *err);

static sabot_status build_filter(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                 struct sabot_error *err) {
    struct filter_options *options = ARENA_NEW(arena_of(plan), struct filter_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    options->condition = node->filter.condition;
    return add_node(plan, *vertex, &op_filter, options, node, "filter", err);
}

static sabot_status build_project(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                  struct sabot_error *err) {
    struct project_options *options = ARENA_NEW(arena_of(plan), struct project_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    options->exprs = node->project.exprs;
    options->n_exprs = node->schema->n_fields;
    return add_node(plan, *vertex, &op_project, options, node, "project", err);
}

/* What was a time attribute when the statement was bound is none behind a join or a ROW_NUMBER. */
static bool is_behind_state(const struct plan *plan) {
    if (plan->kind == PLAN_JOIN || plan->kind == PLAN_RANK) { return true; }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        if (is_behind_state(plan->inputs[i])) { return true; }
    }
    return false;
}

static sabot_status check_time(const struct plan *node, int32_t column, struct sabot_error *err) {
    const struct plan *input = node->inputs[0];
    if (input->columns[column].time == TIME_ROWTIME || !is_behind_state(input)) { return SABOT_OK; }
    return PLAN_FAIL(err, SABOT_ERR_PLAN, node->span,
                     "a window needs a time attribute, and \"%s\" is none any more behind a join or ROW_NUMBER(): "
                     "their rows come out later than the watermark says", input->schema->fields[column].name);
}

static sabot_status build_arrival(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                  struct sabot_error *err) {
    struct arrival_options *options = ARENA_NEW(arena_of(plan), struct arrival_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    options->column = node->arrival.column;
    return add_node(plan, *vertex, &op_arrival, options, node, "arrival", err);
}

/* The input with a column behind it that stands for the keys: rows are divided by it, as the state is. */
static sabot_status build_process_key(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                      struct sabot_error *err) {
    const struct schema *input = node->inputs[0]->schema;
    const int32_t n_keys = node->process.n_keys, n = input->n_fields;
    struct process_key_options *options = ARENA_NEW(arena_of(plan), struct process_key_options);
    struct field *fields = arena_alloc(arena_of(plan), (size_t)(n + 1) * sizeof *fields);
    int32_t *key = ARENA_NEW(arena_of(plan), int32_t);
    struct type types[PROCESS_KEYS_MAX];
    struct schema *output = NULL;
    enum process_key_form form;
    if (!options || !fields || !key) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n_keys; i++) { types[i] = input->fields[node->process.keys[i]].type; }
    SABOT_TRY(process_key_form(types, n_keys, &form, err));
    memcpy(fields, input->fields, (size_t)n * sizeof *fields);
    fields[n] = process_key_field(form);
    const struct schema keyed = {.n_fields = n + 1, .fields = fields};
    SABOT_TRY(copy_schema(plan, &keyed, &output, err));
    *options = (struct process_key_options){.keys = node->process.keys, .n_keys = n_keys};
    *key = n;
    SABOT_TRY(add_op(plan, *vertex, &op_process_key, options, output, "process-key", "ProcessKey", err));
    return hash(plan, key, 1, vertex, err);
}

static sabot_status build_process(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                  struct sabot_error *err) {
    struct process_options *options = ARENA_NEW(arena_of(plan), struct process_options);
    struct schema *rows = NULL, *output = NULL;
    struct text label = {0};
    if (!options) { return PLAN_NO_MEMORY(err); }
    const struct schema first = {.n_fields = node->process.n_rows, .fields = node->inputs[0]->schema->fields};
    SABOT_TRY(copy_schema(plan, &first, &rows, err));
    *options = (struct process_options){
        .function = node->process.function, .uid = node->process.uid, .rows = rows, .passed = node->process.passed,
        .n_passed = node->process.n_passed, .keys = node->process.keys, .n_keys = node->process.n_keys,
        .time_column = node->process.time_column, .arguments = node->process.arguments};
    if (options->n_keys > 0) { SABOT_TRY(build_process_key(plan, node, vertex, err)); }
    const char *name = arena_format(arena_of(plan), "process.%s",
                                    options->uid ? options->uid : options->function->name);
    if (!name) { return PLAN_NO_MEMORY(err); }
    if (!options->uid) { return add_node(plan, *vertex, &op_process, options, node, name, err); }
    SABOT_TRY(copy_schema(plan, node->schema, &output, err)); /* the uid alone: the tables have no say */
    explain_node(node, EXPLAIN_PHYSICAL, &label);
    const sabot_status status = add_op(plan, *vertex, &op_process, options, output, name, text_string(&label), err);
    text_clear(&label);
    return status;
}

static sabot_status build_window(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                 struct sabot_error *err) {
    struct window_assign_options *options = ARENA_NEW(arena_of(plan), struct window_assign_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    options->window = node->window.spec;
    SABOT_TRY(check_time(node, node->window.spec.time_column, err));
    if (node->window.spec.kind == WINDOW_SESSION) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "SESSION(..) runs below GROUP BY window_start, window_end and its PARTITION BY only: its rows "
                         "would have to be kept until their session ends");
    }
    return add_node(plan, *vertex, &op_window_assign, options, node, "window-assign", err);
}

static sabot_status build_over(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                               struct sabot_error *err) {
    struct over_options *options = ARENA_NEW(arena_of(plan), struct over_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(check_time(node, node->over.time_column, err));
    if (plan->options.state_ttl_ms) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "OVER aggregates keep what they need and no longer; unset table.exec.state.ttl");
    }
    *options = node->over;
    SABOT_TRY(hash(plan, options->keys, options->n_keys, vertex, err));
    return add_node(plan, *vertex, &op_over, options, node, "over", err);
}

/* Results that change: the rows of a key go to one task. */
static sabot_status build_group_update(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                       struct sabot_error *err) {
    struct group_update_options *options = ARENA_NEW(arena_of(plan), struct group_update_options);
    const struct op_type *type = NULL;
    if (!options) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(find_op(node, "group_update", "GROUP BY whose result is updated", &type, err));
    *options = (struct group_update_options){
        .keys = node->aggregate.keys, .n_keys = node->aggregate.n_keys, .calls = node->aggregate.calls,
        .n_calls = node->aggregate.n_calls, .input_retracts = node->inputs[0]->changes.updating,
        .emit_update_before = node->changes.before, .ttl_ms = plan->options.state_ttl_ms,
    };
    SABOT_TRY(hash(plan, options->keys, options->n_keys, vertex, err));
    return add_node(plan, *vertex, type, options, node, "group-update", err);
}

static sabot_status build_rank(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                               struct sabot_error *err) {
    struct rank_options *options = ARENA_NEW(arena_of(plan), struct rank_options);
    const struct op_type *type = NULL;
    if (!options) { return PLAN_NO_MEMORY(err); }
    if (node->rank.limit < 0) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "ROW_NUMBER() OVER (..) numbers all rows without an end: put it into a subquery, and ask for "
                         "the first ones outside, as in WHERE rn <= 10");
    }
    if (node->rank.first > node->rank.limit) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "no row can have a number from %" PRId64 " to %" PRId64, node->rank.first, node->rank.limit);
    }
    SABOT_TRY(find_op(node, "rank", "ROW_NUMBER() OVER (..)", &type, err));
    const struct sort_key *order = node->rank.order;
    const bool by_time = node->rank.n_order == 1 && node->inputs[0]->columns[order[0].column].time != TIME_NONE;
    *options = (struct rank_options){
        .keys = node->rank.keys, .n_keys = node->rank.n_keys, .order = order, .n_order = node->rank.n_order,
        .first = node->rank.first, .limit = node->rank.limit, .output_rank = node->rank.output_rank,
        .input_retracts = node->inputs[0]->changes.updating, .emit_update_before = node->changes.before,
        .keep_last = by_time && node->rank.limit == 1 && order[0].descending, .ttl_ms = plan->options.state_ttl_ms,
    };
    SABOT_TRY(hash(plan, options->keys, options->n_keys, vertex, err));
    return add_node(plan, *vertex, type, options, node, "rank", err);
}

/* How the lookup side is read: a scan, perhaps below a projection. */
static sabot_status lookup_table(struct physical_plan *plan, const struct plan *node, struct lookup_options *options,
                                 struct sabot_error *err) {
    const struct plan *right = node->inputs[1];
    const struct plan *scan = right->kind == PLAN_PROJECT ? right->inputs[0] : right;
    if (scan->kind != PLAN_SCAN) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "FOR SYSTEM_TIME AS OF takes a table, or a view that only selects columns and rows of one");
    }
    if (scan->scan.table->connector->source->upserts) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "a lookup join can't read table \"%s\" (connector '%s'), whose rows replace each other: "
                         "join it without FOR SYSTEM_TIME AS OF", scan->scan.table->name,
                         scan->scan.table->connector->name);
    }
    if (!scan->bounded) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "a lookup join reads its table whole, and table \"%s\" is unbounded", scan->scan.table->name);
    }
    options->project = right->kind == PLAN_PROJECT ? right->project.exprs : NULL;
    SABOT_TRY(copy_schema(plan, scan->schema, &options->scanned, err));
    SABOT_TRY(copy_schema(plan, right->schema, &options->right, err));
    return scan_options(plan, scan, &options->table, err);
}

/* Every subtask has the whole table, so that rows stay where they are. */
static sabot_status build_lookup(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                 struct sabot_error *err) {
    struct lookup_options *options = ARENA_NEW(arena_of(plan), struct lookup_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    if (node->join.kind != PLAN_JOIN_LEFT && node->join.kind != PLAN_JOIN_INNER) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span, "a lookup join is an inner or a LEFT join");
    }
    if (node->join.n_keys == 0) {
        return PLAN_FAIL(err, SABOT_ERR_PLAN, node->span,
                         "a lookup join needs an equality with a column of the table in ON");
    }
    *options = (struct lookup_options){
        .left_keys = node->join.left_keys, .right_keys = node->join.right_keys, .n_keys = node->join.n_keys,
        .keeps_left = node->join.kind == PLAN_JOIN_LEFT, .condition = node->join.condition,
        .reload_ns = plan->options.lookup_reload_ns,
    };
    if (options->reload_ns > 0 && node->inputs[0]->changes.updating) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "a table that is read again ('sabot.lookup.reload-interval') can't be joined to rows that are "
                         "updated later: an old row would be taken back with new values");
    }
    SABOT_TRY(lookup_table(plan, node, options, err));
    SABOT_TRY(build(plan, node->inputs[0], vertex, err));
    return add_node(plan, *vertex, &op_lookup, options, node, "lookup", err);
}

static sabot_status build_join(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                               struct sabot_error *err) {
    static const enum join_kind kinds[] = {
        [PLAN_JOIN_INNER] = JOIN_INNER, [PLAN_JOIN_LEFT] = JOIN_LEFT,   [PLAN_JOIN_RIGHT] = JOIN_RIGHT,
        [PLAN_JOIN_FULL] = JOIN_FULL,   [PLAN_JOIN_CROSS] = JOIN_INNER, [PLAN_JOIN_SEMI] = JOIN_SEMI,
        [PLAN_JOIN_ANTI] = JOIN_ANTI,
    };
    if (node->join.time == PLAN_JOIN_LOOKUP) { return build_lookup(plan, node, vertex, err); }
    struct join_options *options = ARENA_NEW(arena_of(plan), struct join_options);
    const struct op_type *type = NULL;
    if (!options) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(find_op(node, "join", "JOIN", &type, err));
    const bool interval = node->join.time == PLAN_JOIN_INTERVAL, window = node->join.time == PLAN_JOIN_WINDOW;
    const int32_t n_keys = node->join.n_keys;
    *options = (struct join_options){
        .kind = kinds[node->join.kind], .left_keys = node->join.left_keys, .right_keys = node->join.right_keys,
        .n_keys = n_keys, .condition = node->join.condition, .interval = interval,
        .left_retracts = node->inputs[0]->changes.updating, .right_retracts = node->inputs[1]->changes.updating,
        .left_time = interval ? node->join.left_time : -1, .right_time = interval ? node->join.right_time : -1,
        .lower_ms = node->join.lower_ms, .upper_ms = node->join.upper_ms,
        .left_window_end = window ? node->join.left_window_end : -1,
        .right_window_end = window ? node->join.right_window_end : -1,
        .ttl_ms = interval || window ? 0 : plan->options.state_ttl_ms,
        .batch = plan->options.batch && node->bounded,
    };
    SABOT_TRY(copy_schema(plan, node->inputs[0]->schema, &options->left, err));
    SABOT_TRY(copy_schema(plan, node->inputs[1]->schema, &options->right, err));
    int32_t sides[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        SABOT_TRY(build(plan, node->inputs[i], &sides[i], err));
    }
    SABOT_TRY(vertex_new(plan, n_keys ? plan->options.parallelism : 1, vertex, err));
    for (int i = 0; i < 2; i++) {
        const struct job_edge edge = {
            .from = sides[i], .input = i, .exchange = n_keys ? EXCHANGE_HASH : EXCHANGE_GATHER,
            .keys = i == 0 ? options->left_keys : options->right_keys, .n_keys = n_keys,
        };
        SABOT_TRY(add_edge(plan, *vertex, edge, err));
    }
    return add_node(plan, *vertex, type, options, node, "join", err);
}

static sabot_status build_aggregate(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                    struct sabot_error *err) {
    struct group_aggregate_options *options = ARENA_NEW(arena_of(plan), struct group_aggregate_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    if (node->changes.updating) { return build_group_update(plan, node, vertex, err); }
    options->keys = node->aggregate.keys;
    options->n_keys = node->aggregate.n_keys;
    options->calls = node->aggregate.calls;
    options->n_calls = node->aggregate.n_calls;
    options->settles = node->aggregate.settles;
    SABOT_TRY(hash(plan, options->keys, options->n_keys, vertex, err));
    const char *name = options->settles ? "settle" : "group-aggregate";
    return add_node(plan, *vertex, &op_group_aggregate, options, node, name, err);
}

static bool may_be_two_phase(const struct physical_plan *plan, const struct plan *node, int32_t vertex) {
    if (plan->drafts[vertex].parallelism == 1 || !plan->options.two_phase || plan->options.late_ledger ||
        node->window_aggregate.spec.kind == WINDOW_SESSION ||
        (node->window_aggregate.emit.updates && node->window_aggregate.emit.early_ms >= 0)) {
        return false; /* early results: partial ones would wait for the watermark */
    }
    for (int32_t i = 0; i < node->window_aggregate.n_calls; i++) {
        const struct aggregate_call *call = &node->window_aggregate.calls[i];
        if (call->distinct || aggregate_is_ordered(call->kind)) { return false; }
    }
    return true;
}

/* The partial aggregation behind the rows, and the keys of its output. */
static sabot_status build_local(struct physical_plan *plan, const struct plan *node,
                                const struct window_aggregate_options *options, int32_t vertex, int32_t **keys,
                                struct sabot_error *err) {
    struct schema *partial = NULL;
    struct text label = {0};
    *keys = arena_alloc(arena_of(plan), (size_t)(options->n_keys + 1) * sizeof **keys);
    plan->schemas = arena_grow(arena_of(plan), plan->schemas, plan->n_schemas, sizeof *plan->schemas,
                               &plan->schemas_capacity);
    if (!*keys || !plan->schemas) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(window_partial_schema(options, node->inputs[0]->schema, &partial, err));
    plan->schemas[plan->n_schemas++] = partial;
    for (int32_t i = 0; i < options->n_keys; i++) {
        (*keys)[i] = 2 + i; /* behind slice end and row count */
    }
    explain_node(node, EXPLAIN_LOCAL, &label);
    const sabot_status status =
        add_op(plan, vertex, &op_window_local, options, partial, "window-local", text_string(&label), err);
    text_clear(&label);
    return status;
}

/* The EXPAND whose id a column is, below projections; NULL: none. */
static const struct plan *expand_of_id(const struct plan *plan, int32_t column) {
    while (plan->kind == PLAN_PROJECT && expr_is_column(plan->project.exprs[column])) {
        column = plan->project.exprs[column]->index;
        plan = plan->inputs[0];
    }
    return plan->kind == PLAN_EXPAND && column == plan->expand.n_columns ? plan : NULL;
}

/* Whether set a has all keys of set b. */
static bool set_holds(const struct expand_options *expand, int32_t a, int32_t b) {
    for (int32_t i = 0; i < expand->n_columns; i++) {
        if (expand->sources[b * expand->n_columns + i] >= 0 && expand->sources[a * expand->n_columns + i] < 0) {
            return false;
        }
    }
    return true;
}

/* A session may be open for one set and not for another. A row that is late for a set is late for every set with more
 * keys, so those count that no other holds; where there are several, the row is late for each by itself. */
static bool set_counts(const struct expand_options *expand, enum window_kind kind, int32_t set) {
    if (kind != WINDOW_SESSION) { return set == 0; }
    for (int32_t other = 0; other < expand->n_sets; other++) {
        const bool holds = other != set && set_holds(expand, other, set);
        if (holds && (other < set || !set_holds(expand, set, other))) { return false; }
    }
    return true;
}

static sabot_status find_copies(struct physical_plan *plan, const struct plan *node,
                                struct window_aggregate_options *options, struct sabot_error *err) {
    for (int32_t i = 0; i < options->n_keys && !options->copies; i++) {
        const struct plan *found = expand_of_id(node->inputs[0], options->keys[i]);
        if (!found) { continue; }
        const struct expand_options *expand = &found->expand;
        struct window_copies *copies = ARENA_NEW(arena_of(plan), struct window_copies);
        int64_t *ids = arena_alloc(arena_of(plan), (size_t)expand->n_sets * sizeof *ids);
        if (!copies || !ids) { return PLAN_NO_MEMORY(err); }
        int32_t n = 0;
        for (int32_t s = 0; s < expand->n_sets; s++) {
            if (set_counts(expand, options->window.kind, s)) { ids[n++] = expand->ids[s]; }
        }
        *copies = (struct window_copies){.key = i, .ids = ids, .n_ids = n};
        options->copies = copies;
    }
    return SABOT_OK;
}

static sabot_status build_window_aggregate(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                           struct sabot_error *err) {
    struct window_aggregate_options *options = ARENA_NEW(arena_of(plan), struct window_aggregate_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    options->window = node->window_aggregate.spec;
    if (!node->window_aggregate.attached) {
        SABOT_TRY(check_time(node, node->window_aggregate.spec.time_column, err));
    }
    options->keys = node->window_aggregate.keys;
    options->n_keys = node->window_aggregate.n_keys;
    options->calls = node->window_aggregate.calls;
    options->n_calls = node->window_aggregate.n_calls;
    options->properties = node->window_aggregate.properties;
    options->n_properties = node->window_aggregate.n_properties;
    SABOT_TRY(find_copies(plan, node, options, err));
    if (options->window.kind == WINDOW_SESSION) {
        for (int32_t i = 0; i < options->n_calls; i++) {
            const enum aggregate_kind kind = options->calls[i].kind;
            if (kind == AGGREGATE_FIRST_VALUE || kind == AGGREGATE_LAST_VALUE) {
                return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                                 "FIRST_VALUE and LAST_VALUE over SESSION windows can't run yet: sessions that become "
                                 "one have no order of arrival");
            }
            if (options->calls[i].distinct && aggregate_is_ordered(kind)) {
                return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                                 "LISTAGG(DISTINCT ..) and ARRAY_AGG(DISTINCT ..) over SESSION windows can't run yet");
            }
        }
        SABOT_TRY(hash(plan, options->keys, options->n_keys, vertex, err));
        return add_node(plan, *vertex, &op_session_aggregate, options, node, "session-aggregate", err);
    }
    options->emit = node->window_aggregate.emit;
    options->emit.before = node->changes.before;
    const struct op_type *type = options->emit.updates ? &op_window_update : &op_window_aggregate;
    if (!may_be_two_phase(plan, node, *vertex)) {
        SABOT_TRY(hash(plan, options->keys, options->n_keys, vertex, err));
        return add_node(plan, *vertex, type, options, node, "window-aggregate", err);
    }
    struct window_aggregate_options *merging = ARENA_NEW(arena_of(plan), struct window_aggregate_options);
    struct schema *raw = NULL;
    int32_t *keys = NULL;
    if (!merging) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(build_local(plan, node, options, *vertex, &keys, err));
    SABOT_TRY(copy_schema(plan, node->inputs[0]->schema, &raw, err));
    *merging = *options;
    merging->merges_partials = true;
    merging->raw_input = raw;
    merging->local = options;
    SABOT_TRY(hash(plan, keys, options->n_keys, vertex, err));
    return add_node(plan, *vertex, type, merging, node, "window-aggregate", err);
}

/* Whoever reads a union sees the columns of its first input: all inputs must say alike what may be NULL. */
static sabot_status widen(struct physical_plan *plan, const struct plan *node, const struct plan *input, int32_t vertex,
                          struct sabot_error *err) {
    const int32_t n = node->schema->n_fields;
    bool same = true;
    for (int32_t i = 0; i < n; i++) {
        same = same && input->schema->fields[i].type.nullable == node->schema->fields[i].type.nullable;
    }
    if (same) { return SABOT_OK; }
    struct project_options *options = ARENA_NEW(arena_of(plan), struct project_options);
    struct expr **exprs = arena_alloc(arena_of(plan), (size_t)(n + 1) * sizeof *exprs);
    if (!options || !exprs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(plan_column_ref(&plan->plans, input, i, node->span, &exprs[i], err));
    }
    options->exprs = exprs;
    options->n_exprs = n;
    return add_node(plan, vertex, &op_project, options, node, "union", err);
}

static sabot_status build_union(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                                struct sabot_error *err) {
    int32_t *inputs = arena_alloc(arena_of(plan), (size_t)node->n_inputs * sizeof *inputs);
    int32_t parallelism = 1;
    if (!inputs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        SABOT_TRY(build(plan, node->inputs[i], &inputs[i], err));
        SABOT_TRY(widen(plan, node, node->inputs[i], inputs[i], err));
        if (plan->drafts[inputs[i]].parallelism > parallelism) { parallelism = plan->drafts[inputs[i]].parallelism; }
    }
    SABOT_TRY(vertex_new(plan, parallelism, vertex, err));
    for (int32_t i = 0; i < node->n_inputs; i++) {
        const bool same = plan->drafts[inputs[i]].parallelism == parallelism;
        const enum exchange exchange = same ? EXCHANGE_FORWARD : EXCHANGE_REBALANCE;
        SABOT_TRY(add_edge(plan, *vertex, (struct job_edge){.from = inputs[i], .exchange = exchange}, err));
    }
    return SABOT_OK;
}

static sabot_status build_sort(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                               struct sabot_error *err) {
    const char *unbounded = unbounded_table(node);
    if (node->kind == PLAN_SORT && unbounded) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, node->span,
                         "ORDER BY without LIMIT waits for the end of its input, and table \"%s\" is unbounded",
                         unbounded);
    }
    if (node->kind == PLAN_LIMIT) {
        struct limit_options *options = ARENA_NEW(arena_of(plan), struct limit_options);
        if (!options) { return PLAN_NO_MEMORY(err); }
        options->limit = node->sort.limit < 0 ? INT64_MAX : node->sort.limit;
        options->offset = node->sort.offset;
        SABOT_TRY(gather(plan, vertex, err));
        return add_node(plan, *vertex, &op_limit, options, node, "limit", err);
    }
    struct sort_options *options = ARENA_NEW(arena_of(plan), struct sort_options);
    if (!options) { return PLAN_NO_MEMORY(err); }
    options->keys = node->sort.keys;
    options->n_keys = node->sort.n_keys;
    options->limit = node->sort.limit;
    options->offset = node->sort.offset;
    SABOT_TRY(gather(plan, vertex, err));
    return add_node(plan, *vertex, &op_sort, options, node, "sort", err);
}

/* Builds a node; *vertex is the open vertex that its rows come out of. */
static sabot_status build(struct physical_plan *plan, const struct plan *node, int32_t *vertex,
                          struct sabot_error *err) {
    switch (node->kind) {
    case PLAN_SCAN: return build_scan(plan, node, vertex, err);
    case PLAN_VALUES: return build_values(plan, node, vertex, err);
    case PLAN_UNION: return build_union(plan, node, vertex, err);
    case PLAN_JOIN: return build_join(plan, node, vertex, err);
    default: break;
    }
    SABOT_TRY(build(plan, node->inputs[0], vertex, err));
    switch (node->kind) {
    case PLAN_FILTER: return build_filter(plan, node, vertex, err);
    case PLAN_PROJECT: return build_project(plan, node, vertex, err);
    case PLAN_WINDOW: return build_window(plan, node, vertex, err);
    case PLAN_OVER: return build_over(plan, node, vertex, err);
    case PLAN_EXPAND: return add_node(plan, *vertex, &op_expand, &node->expand, node, "expand", err);
    case PLAN_UNNEST: return add_node(plan, *vertex, &op_unnest, &node->unnest, node, "unnest", err);
    case PLAN_ARRIVAL: return build_arrival(plan, node, vertex, err);
    case PLAN_RANK: return build_rank(plan, node, vertex, err);
    case PLAN_PROCESS: return build_process(plan, node, vertex, err);
    case PLAN_AGGREGATE: return build_aggregate(plan, node, vertex, err);
    case PLAN_WINDOW_AGGREGATE: return build_window_aggregate(plan, node, vertex, err);
    case PLAN_SORT:
    case PLAN_LIMIT: return build_sort(plan, node, vertex, err);
    case PLAN_SINK: return build_sink(plan, node, vertex, err);
    default: return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a plan node of kind %d is not known", (int)node->kind);
    }
}

/* ---- the graph ------------------------------------------------------------------------------------------------------
 */

/* "source.bid -> project", for metrics and logs. */
static const char *vertex_name(struct physical_plan *plan, const struct vertex *vertex) {
    struct text name = {0};
    for (unsigned i = 0; i < vertex->n_ops; i++) {
        const char *uid = vertex->ops[i]->uid;
        const char *slash = strrchr(uid, '/');
        text_format(&name, "%s%s", i ? " -> " : "", slash ? slash + 1 : uid);
    }
    const char *copy = arena_copy(arena_of(plan), text_string(&name), name.size);
    text_clear(&name);
    return copy;
}

/* A union makes a vertex without operators; where none followed, as below an exchange or another union, whoever reads
 * it reads its inputs instead. Inputs stand before their readers. */
static sabot_status drop_empty_vertices(struct physical_plan *plan, struct sabot_error *err) {
    int32_t *places = arena_alloc(arena_of(plan), (plan->n_drafts + 1) * sizeof *places);
    unsigned n = 0;
    if (!places) { return PLAN_NO_MEMORY(err); }
    for (unsigned v = 0; v < plan->n_drafts; v++) {
        const struct vertex old = plan->drafts[v];
        struct vertex *vertex = &plan->drafts[v];
        vertex->edges = NULL;
        vertex->n_edges = vertex->edges_capacity = 0;
        for (unsigned i = 0; i < old.n_edges; i++) {
            const struct vertex *from = &plan->drafts[old.edges[i].from];
            if (from->n_ops > 0) { SABOT_TRY(add_edge(plan, (int32_t)v, old.edges[i], err)); }
            for (unsigned j = 0; j < from->n_edges && from->n_ops == 0; j++) {
                struct job_edge edge = old.edges[i];
                if (edge.exchange == EXCHANGE_FORWARD) { edge = from->edges[j]; }
                edge.from = from->edges[j].from;
                SABOT_TRY(add_edge(plan, (int32_t)v, edge, err));
            }
        }
        places[v] = vertex->n_ops > 0 ? (int32_t)n++ : -1;
    }
    for (unsigned v = 0; v < plan->n_drafts; v++) {
        for (unsigned i = 0; i < plan->drafts[v].n_edges; i++) {
            plan->drafts[v].edges[i].from = places[plan->drafts[v].edges[i].from];
        }
    }
    for (unsigned v = 0; v < plan->n_drafts; v++) {
        if (places[v] >= 0) { plan->drafts[places[v]] = plan->drafts[v]; }
    }
    plan->n_drafts = n;
    return SABOT_OK;
}

static sabot_status finish(struct physical_plan *plan, struct sabot_error *err) {
    SABOT_TRY(drop_empty_vertices(plan, err));
    struct job_vertex *vertices = arena_alloc(arena_of(plan), (plan->n_drafts + 1) * sizeof *vertices);
    if (!vertices) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < plan->n_drafts; i++) {
        const struct vertex *draft = &plan->drafts[i];
        vertices[i] = (struct job_vertex){
            .name = vertex_name(plan, draft), .ops = draft->ops, .n_ops = (int32_t)draft->n_ops,
            .parallelism = plan->options.keeps_exchanges ? 1 : draft->parallelism,
            .edges = draft->edges, .n_edges = (int32_t)draft->n_edges,
        };
        if (!vertices[i].name) { return PLAN_NO_MEMORY(err); }
    }
    plan->graph = (struct job_graph){.vertices = vertices, .n_vertices = (int32_t)plan->n_drafts};
    return SABOT_OK;
}

sabot_status physical_build(struct plan_arena *plans, struct plan *const *roots, const char *const *uid_prefixes,
                            int32_t n_roots, const struct physical_options *options, struct physical_plan **out,
                            struct sabot_error *err) {
    struct physical_plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        plan_arena_clear(plans);
        if (options->release) { options->release(options->owner); }
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a plan");
    }
    plan->plans = *plans;
    plan_arena_init(plans);
    plan->options = *options;
    plan->options.keeps_exchanges = options->keeps_exchanges && options->parallelism == 1;
    if (plan->options.keeps_exchanges) { plan->options.parallelism = 2; } /* finish() makes it 1 again */
    plan->bounded = true;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n_roots && status == SABOT_OK; i++) {
        int32_t vertex = 0;
        plan->uid_prefix = uid_prefixes[i];
        plan->n_uids = 0;
        status = build(plan, roots[i], &vertex, err);
    }
    if (status == SABOT_OK) { status = finish(plan, err); }
    if (status != SABOT_OK) {
        physical_free(plan);
        return status;
    }
    *out = plan;
    return SABOT_OK;
}

const struct job_graph *physical_graph(const struct physical_plan *plan) { return &plan->graph; }

bool physical_is_bounded(const struct physical_plan *plan) { return plan->bounded; }

void physical_free(struct physical_plan *plan) {
    if (!plan) { return; }
    for (unsigned i = 0; i < plan->n_schemas; i++) {
        schema_unref(plan->schemas[i]);
    }
    if (plan->options.release) { plan->options.release(plan->options.owner); }
    plan_arena_clear(&plan->plans);
    free(plan);
}

/* ---- EXPLAIN --------------------------------------------------------------------------------------------------------
 */

static void print_edge(const struct physical_plan *plan, const struct job_edge *edge, struct text *target) {
    const struct job_vertex *from = &plan->graph.vertices[edge->from];
    text_format(target, "   <- %s", exchange_name(edge->exchange));
    if (edge->n_keys > 0) {
        const struct schema *schema = from->ops[from->n_ops - 1]->output;
        text_add(target, "[");
        for (int32_t i = 0; i < edge->n_keys; i++) {
            text_format(target, "%s%s", i ? ", " : "", schema->fields[edge->keys[i]].name);
        }
        text_add(target, "]");
    }
    text_format(target, " from [%d]\n", edge->from + 1);
}

void physical_print(const struct physical_plan *plan, struct text *target) {
    for (int32_t i = 0; i < plan->graph.n_vertices; i++) {
        const struct job_vertex *vertex = &plan->graph.vertices[i];
        text_format(target, "[%d] parallelism %d\n", i + 1, vertex->parallelism);
        for (int32_t j = 0; j < vertex->n_edges; j++) {
            print_edge(plan, &vertex->edges[j], target);
        }
        for (int32_t j = 0; j < vertex->n_ops; j++) {
            text_format(target, "   %s%s\n", j ? "+- " : "", vertex->ops[j]->label);
        }
    }
}
