/* Makers of plan nodes: each derives the schema, the time attributes and the window roles of its output. */
#include "plan/plan.h"

#include "expr/function.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void plan_arena_init(struct plan_arena *plans) {
    arena_init(&plans->arena, PLAN_ARENA_BYTES_MAX);
    plans->next_window_id = 1;
}

void plan_arena_clear(struct plan_arena *plans) { arena_clear(&plans->arena); }

sabot_status plan_error_set(struct sabot_error *err, sabot_status status, struct source_span span, const char *file,
                            int line, const char *format, ...) {
    char message[SABOT_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (err && err->status == SABOT_OK && span.line) {
        err->sql_line = span.line;
        err->sql_column = span.column;
        err->sql_length = span.length ? span.length : 1;
    }
    return error_set(err, status, file, line, "%s", message);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

/* A node under construction: its columns are filled in one by one. */
struct draft {
    struct plan *node;
    struct field *fields;
    struct plan_column *columns;
};

static sabot_status draft_new(struct plan_arena *plans, enum plan_kind kind, struct plan *const *inputs,
                              int32_t n_inputs, int32_t n_columns, struct draft *out, struct sabot_error *err) {
    struct arena *arena = &plans->arena;
    if (n_columns > PLAN_COLUMNS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "a query step may have at most %d columns, this one has %d",
                          PLAN_COLUMNS_MAX, n_columns);
    }
    struct plan *node = ARENA_NEW(arena, struct plan);
    struct schema *schema = ARENA_NEW(arena, struct schema);
    struct plan **copied = arena_alloc(arena, (size_t)(n_inputs ? n_inputs : 1) * sizeof *copied);
    out->fields = arena_alloc(arena, (size_t)(n_columns ? n_columns : 1) * sizeof *out->fields);
    out->columns = arena_alloc(arena, (size_t)(n_columns ? n_columns : 1) * sizeof *out->columns);
    if (!node || !schema || !copied || !out->fields || !out->columns) { return PLAN_NO_MEMORY(err); }
    node->kind = kind;
    node->bounded = true;
    for (int32_t i = 0; i < n_inputs; i++) {
        copied[i] = inputs[i];
        node->bounded = node->bounded && inputs[i]->bounded;
        if (node->span.line == 0) { node->span = inputs[i]->span; }
    }
    node->inputs = copied;
    node->n_inputs = n_inputs;
    atomic_init(&schema->refs, 1);
    schema->n_fields = n_columns;
    schema->fields = out->fields;
    node->schema = schema;
    node->columns = out->columns;
    out->node = node;
    return SABOT_OK;
}

static void draft_copy_column(struct draft *draft, int32_t to, const struct plan *from, int32_t i) {
    draft->fields[to] = from->schema->fields[i];
    draft->columns[to] = from->columns[i];
}

bool plan_table_is_bounded(const struct plan_table *table) {
    const struct source_type *source = table->connector->source;
    const struct connector_table view = {
        .name = table->name, .options = table->options, .n_options = table->n_options,
    };
    return source && source->is_bounded(&view);
}

sabot_status plan_scan(struct plan_arena *plans, const struct plan_table *table, const int32_t *picked,
                       int32_t n_picked, struct source_span span, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    SABOT_TRY(draft_new(plans, PLAN_SCAN, NULL, 0, n_picked, &draft, err));
    for (int32_t i = 0; i < n_picked; i++) {
        const struct table_column *column = &table->columns[picked[i]];
        draft.fields[i] = (struct field){.name = column->name, .type = column->type};
        draft.columns[i].time = picked[i] == table->rowtime ? TIME_ROWTIME
                                : column->is_proctime       ? TIME_PROCTIME
                                                            : TIME_NONE;
    }
    draft.node->span = span;
    draft.node->bounded = plan_table_is_bounded(table);
    draft.node->scan.table = table;
    draft.node->scan.picked = picked;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_values(struct plan_arena *plans, struct expr *const *cells, int32_t n_rows, const char *const *names,
                         int32_t n_columns, struct source_span span, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    SABOT_TRY(draft_new(plans, PLAN_VALUES, NULL, 0, n_columns, &draft, err));
    for (int32_t i = 0; i < n_columns; i++) {
        struct type type = n_rows ? cells[i]->type : type_of(TYPE_NULL);
        for (int32_t row = 1; row < n_rows; row++) {
            type.nullable = type.nullable || cells[(int64_t)row * n_columns + i]->type.nullable;
        }
        draft.fields[i] = (struct field){.name = names[i], .type = type};
    }
    draft.node->span = span;
    draft.node->values.cells = cells;
    draft.node->values.n_rows = n_rows;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_filter(struct plan_arena *plans, struct plan *input, struct expr *condition, struct plan **out,
                         struct sabot_error *err) {
    struct draft draft;
    SABOT_TRY(draft_new(plans, PLAN_FILTER, &input, 1, input->schema->n_fields, &draft, err));
    for (int32_t i = 0; i < input->schema->n_fields; i++) {
        draft_copy_column(&draft, i, input, i);
    }
    draft.node->filter.condition = condition;
    *out = draft.node;
    return SABOT_OK;
}

static bool is_proctime(const struct expr *expr) {
    return expr->kind == EXPR_CALL && expr->function && strcmp(expr->function->name, "PROCTIME") == 0;
}

sabot_status plan_project(struct plan_arena *plans, struct plan *input, struct expr *const *exprs,
                          const char *const *names, int32_t n_exprs, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    SABOT_TRY(draft_new(plans, PLAN_PROJECT, &input, 1, n_exprs, &draft, err));
    for (int32_t i = 0; i < n_exprs; i++) {
        draft.fields[i] = (struct field){.name = names[i], .type = exprs[i]->type};
        /* Only a column that is passed on as it is stays a time attribute: what is computed may be out of order. */
        if (expr_is_column(exprs[i])) { draft.columns[i] = input->columns[exprs[i]->index]; }
        if (is_proctime(exprs[i])) { draft.columns[i].time = TIME_PROCTIME; }
    }
    draft.node->project.exprs = exprs;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_window(struct plan_arena *plans, struct plan *input, struct window_spec spec, int32_t window_id,
                         struct plan_partition partition, struct source_span span, struct plan **out,
                         struct sabot_error *err) {
    struct draft draft;
    const int32_t n = input->schema->n_fields;
    SABOT_TRY(draft_new(plans, PLAN_WINDOW, &input, 1, n + 3, &draft, err));
    for (int32_t i = 0; i < n; i++) {
        draft_copy_column(&draft, i, input, i);
        /* The time attribute of what follows is window_time. */
        if (draft.columns[i].time == TIME_ROWTIME) { draft.columns[i].time = TIME_NONE; }
        draft.columns[i].window_role = COLUMN_OF_NO_WINDOW;
        draft.columns[i].window_id = 0;
    }
    static const char *const names[] = {"window_start", "window_end", "window_time"};
    for (int32_t i = 0; i < 3; i++) {
        struct type type = type_not_null(type_timestamp(3));
        if (i == 2) { type.kind = input->schema->fields[spec.time_column].type.kind; }
        draft.fields[n + i] = (struct field){.name = names[i], .type = type};
        draft.columns[n + i].window_id = window_id;
        draft.columns[n + i].window_role = i == 0   ? COLUMN_WINDOW_START
                                           : i == 1 ? COLUMN_WINDOW_END
                                                    : COLUMN_WINDOW_TIME;
    }
    draft.columns[n + 2].time = TIME_ROWTIME;
    draft.node->span = span;
    draft.node->window.spec = spec;
    draft.node->window.partition = partition;
    draft.node->window.window_id = window_id;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_aggregate(struct plan_arena *plans, struct plan *input, const int32_t *keys, int32_t n_keys,
                            const struct aggregate_call *calls, const char *const *call_names, int32_t n_calls,
                            bool is_distinct, struct source_span span, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    SABOT_TRY(draft_new(plans, PLAN_AGGREGATE, &input, 1, n_keys + n_calls, &draft, err));
    for (int32_t i = 0; i < n_keys; i++) {
        draft_copy_column(&draft, i, input, keys[i]);
    }
    for (int32_t i = 0; i < n_calls; i++) {
        draft.fields[n_keys + i] = (struct field){.name = call_names[i], .type = calls[i].type};
    }
    draft.node->span = span;
    draft.node->aggregate.keys = keys;
    draft.node->aggregate.n_keys = n_keys;
    draft.node->aggregate.calls = calls;
    draft.node->aggregate.n_calls = n_calls;
    draft.node->aggregate.is_distinct = is_distinct;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_window_aggregate(struct plan_arena *plans, struct plan *input, const struct plan *model,
                                   const char *const *names, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    const int32_t n_keys = model->window_aggregate.n_keys;
    const int32_t n_calls = model->window_aggregate.n_calls;
    const int32_t n_properties = model->window_aggregate.n_properties;
    SABOT_TRY(draft_new(plans, PLAN_WINDOW_AGGREGATE, &input, 1, n_keys + n_calls + n_properties, &draft, err));
    int32_t at = 0;
    for (int32_t i = 0; i < n_keys; i++, at++) {
        draft_copy_column(&draft, at, input, model->window_aggregate.keys[i]);
    }
    for (int32_t i = 0; i < n_calls; i++, at++) {
        draft.fields[at].type = model->window_aggregate.calls[i].type;
    }
    for (int32_t i = 0; i < n_properties; i++, at++) {
        const enum window_property property = model->window_aggregate.properties[i];
        struct type type = type_not_null(type_timestamp(3));
        if (property == WINDOW_TIME) {
            type.kind = input->schema->fields[model->window_aggregate.spec.time_column].type.kind;
            draft.columns[at].time = TIME_ROWTIME;
        }
        draft.fields[at].type = type;
        draft.columns[at].window_id = model->window_aggregate.window_id;
        draft.columns[at].window_role = property == WINDOW_START ? COLUMN_WINDOW_START
                                        : property == WINDOW_END ? COLUMN_WINDOW_END
                                                                 : COLUMN_WINDOW_TIME;
    }
    for (int32_t i = 0; i < at; i++) {
        draft.fields[i].name = names[i];
    }
    draft.node->span = model->span;
    draft.node->window_aggregate = model->window_aggregate;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_union(struct plan_arena *plans, struct plan *const *inputs, int32_t n_inputs, struct plan **out,
                        struct sabot_error *err) {
    struct draft draft;
    const struct plan *first = inputs[0];
    SABOT_TRY(draft_new(plans, PLAN_UNION, inputs, n_inputs, first->schema->n_fields, &draft, err));
    for (int32_t i = 0; i < first->schema->n_fields; i++) {
        draft_copy_column(&draft, i, first, i);
        for (int32_t j = 1; j < n_inputs; j++) {
            const struct plan *other = inputs[j];
            draft.fields[i].type.nullable = draft.fields[i].type.nullable || other->schema->fields[i].type.nullable;
            if (other->columns[i].time != draft.columns[i].time) { draft.columns[i].time = TIME_NONE; }
            if (other->columns[i].window_id != draft.columns[i].window_id) {
                draft.columns[i].window_id = 0;
                draft.columns[i].window_role = COLUMN_OF_NO_WINDOW;
            }
        }
    }
    *out = draft.node;
    return SABOT_OK;
}

static sabot_status sort_or_limit(struct plan_arena *plans, enum plan_kind kind, struct plan *input,
                                  struct source_span span, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    SABOT_TRY(draft_new(plans, kind, &input, 1, input->schema->n_fields, &draft, err));
    for (int32_t i = 0; i < input->schema->n_fields; i++) {
        draft_copy_column(&draft, i, input, i);
    }
    draft.node->span = span;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_sort(struct plan_arena *plans, struct plan *input, const struct sort_key *keys, int32_t n_keys,
                       int64_t limit, int64_t offset, struct source_span span, struct plan **out,
                       struct sabot_error *err) {
    struct plan *node = NULL;
    SABOT_TRY(sort_or_limit(plans, PLAN_SORT, input, span, &node, err));
    node->sort.keys = keys;
    node->sort.n_keys = n_keys;
    node->sort.limit = limit;
    node->sort.offset = offset;
    *out = node;
    return SABOT_OK;
}

sabot_status plan_limit(struct plan_arena *plans, struct plan *input, int64_t limit, int64_t offset,
                        struct source_span span, struct plan **out, struct sabot_error *err) {
    struct plan *node = NULL;
    SABOT_TRY(sort_or_limit(plans, PLAN_LIMIT, input, span, &node, err));
    node->sort.limit = limit;
    node->sort.offset = offset;
    *out = node;
    return SABOT_OK;
}

sabot_status plan_sink(struct plan_arena *plans, struct plan *input, const struct plan_table *table,
                       const int32_t *picked, bool not_null_enforced, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    SABOT_TRY(draft_new(plans, PLAN_SINK, &input, 1, input->schema->n_fields, &draft, err));
    for (int32_t i = 0; i < input->schema->n_fields; i++) {
        draft_copy_column(&draft, i, input, i);
    }
    draft.node->sink.table = table;
    draft.node->sink.picked = picked;
    draft.node->sink.not_null_enforced = not_null_enforced;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_join(struct plan_arena *plans, struct plan *left, struct plan *right, enum plan_join_kind kind,
                       struct expr *condition, struct source_span on, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    struct plan *inputs[] = {left, right};
    const int32_t n_left = left->schema->n_fields, n_right = right->schema->n_fields;
    const int32_t n = kind == PLAN_JOIN_SEMI || kind == PLAN_JOIN_ANTI ? n_left : n_left + n_right;
    SABOT_TRY(draft_new(plans, PLAN_JOIN, inputs, 2, n, &draft, err));
    for (int32_t i = 0; i < n; i++) {
        const bool of_left = i < n_left;
        draft_copy_column(&draft, i, of_left ? left : right, of_left ? i : i - n_left);
        const bool padded = kind == PLAN_JOIN_FULL || kind == (of_left ? PLAN_JOIN_RIGHT : PLAN_JOIN_LEFT);
        draft.fields[i].type.nullable = draft.fields[i].type.nullable || padded;
    }
    draft.node->span = on;
    draft.node->join.kind = kind;
    draft.node->join.condition = condition;
    draft.node->join.on = on;
    *out = draft.node;
    return SABOT_OK;
}

int32_t plan_join_width(const struct plan *join) {
    return join->inputs[0]->schema->n_fields + join->inputs[1]->schema->n_fields;
}

sabot_status plan_join_keyed(struct plan_arena *plans, struct plan *left, struct plan *right, const struct plan *model,
                             struct plan **out, struct sabot_error *err) {
    struct plan *node = NULL;
    SABOT_TRY(plan_join(plans, left, right, model->join.kind, model->join.condition, model->join.on, &node, err));
    node->join = model->join;
    node->join.is_keyed = true;
    if (model->join.time != PLAN_JOIN_WINDOW) {
        /* Rows come out long after their time: what was a time attribute or a window is an ordinary column now.
         * Interval joins hold the watermark back by as much. */
        struct plan_column *columns =
            arena_alloc(&plans->arena, (size_t)(node->schema->n_fields + 1) * sizeof *columns);
        if (!columns) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; model->join.time == PLAN_JOIN_INTERVAL && i < node->schema->n_fields; i++) {
            columns[i].time = node->columns[i].time;
        }
        /* Rows go through a lookup join at once. */
        for (int32_t i = 0; model->join.time == PLAN_JOIN_LOOKUP && i < left->schema->n_fields; i++) {
            columns[i] = left->columns[i];
        }
        node->columns = columns;
    }
    *out = node;
    return SABOT_OK;
}

sabot_status plan_arrival(struct plan_arena *plans, struct plan *input, int32_t column, struct source_span span,
                          struct plan **out, struct sabot_error *err) {
    struct draft draft;
    const int32_t n = input->schema->n_fields;
    SABOT_TRY(draft_new(plans, PLAN_ARRIVAL, &input, 1, n, &draft, err));
    for (int32_t i = 0; i < n; i++) {
        draft_copy_column(&draft, i, input, i);
        /* The watermark is the clock from here on: it says nothing of other times. */
        if (draft.columns[i].time == TIME_ROWTIME) { draft.columns[i].time = TIME_NONE; }
        draft.columns[i].window_role = COLUMN_OF_NO_WINDOW;
        draft.columns[i].window_id = 0;
    }
    draft.columns[column].time = TIME_ROWTIME;
    draft.node->span = span;
    draft.node->arrival.column = column;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_process(struct plan_arena *plans, struct plan *input, const struct plan *model, struct plan **out,
                          struct sabot_error *err) {
    const struct process_function *function = model->process.function;
    const int32_t n_passed = model->process.n_passed, n_own = function->definition.n_columns;
    const int32_t time_column = model->process.time_column;
    struct draft draft;
    SABOT_TRY(draft_new(plans, PLAN_PROCESS, &input, 1, n_passed + n_own + (time_column >= 0), &draft, err));
    for (int32_t i = 0; i < n_passed; i++) {
        draft_copy_column(&draft, i, input, model->process.passed[i]);
        /* Rows of timers are about a key, not about a time; a window of the input is no window of the output. */
        draft.columns[i] = (struct plan_column){
            .time = function->definition.pass_columns_through ? draft.columns[i].time : TIME_NONE};
    }
    for (int32_t i = 0; i < n_own; i++) { draft.fields[n_passed + i] = function->columns[i]; }
    if (time_column >= 0) {
        const struct type type = type_nullable(input->schema->fields[time_column].type);
        draft.fields[n_passed + n_own] = (struct field){.name = "rowtime", .type = type};
        draft.columns[n_passed + n_own].time = TIME_ROWTIME;
    }
    draft.node->span = model->span;
    draft.node->process = model->process;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_rank(struct plan_arena *plans, struct plan *input, const struct plan *model, const char *name,
                       struct plan **out, struct sabot_error *err) {
    struct draft draft;
    const int32_t n = input->schema->n_fields;
    SABOT_TRY(draft_new(plans, PLAN_RANK, &input, 1, n + (model->rank.output_rank ? 1 : 0), &draft, err));
    for (int32_t i = 0; i < n; i++) {
        draft.fields[i] = input->schema->fields[i]; /* no time attributes: rows are replaced later */
    }
    if (model->rank.output_rank) {
        draft.fields[n] = (struct field){.name = name, .type = type_not_null(type_of(TYPE_INT64))};
    }
    draft.node->span = model->span;
    draft.node->rank = model->rank;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_over(struct plan_arena *plans, struct plan *input, const struct plan *model,
                       const char *const *names, struct plan **out, struct sabot_error *err) {
    struct draft draft;
    const int32_t n = input->schema->n_fields, n_calls = model->over.n_calls;
    SABOT_TRY(draft_new(plans, PLAN_OVER, &input, 1, n + n_calls, &draft, err));
    for (int32_t i = 0; i < n; i++) {
        draft_copy_column(&draft, i, input, i);
        /* Rows wait for the watermark to reach one time: of other times it says nothing any more. */
        if (i != model->over.time_column) { draft.columns[i].time = TIME_NONE; }
    }
    for (int32_t i = 0; i < n_calls; i++) {
        draft.fields[n + i] = (struct field){.name = names[i], .type = model->over.calls[i].aggregate.type};
    }
    draft.node->span = model->span;
    draft.node->over = model->over;
    *out = draft.node;
    return SABOT_OK;
}

int32_t expand_source(const struct expand_options *options, int32_t column, bool *same) {
    int32_t source = -1;
    *same = true;
    for (int32_t s = 0; s < options->n_sets; s++) {
        const int32_t of_set = options->sources[s * options->n_columns + column];
        *same = *same && of_set == options->sources[column];
        if (of_set >= 0) { source = of_set; }
    }
    assert(source >= 0 && "some set has the column");
    return source;
}

/* A column that is the same in all sets stays what it is; one that some leave out is an ordinary one. */
sabot_status plan_expand(struct plan_arena *plans, struct plan *input, const struct expand_options *options,
                         const char *const *names, struct source_span span, struct plan **out,
                         struct sabot_error *err) {
    struct draft draft;
    const int32_t n = options->n_columns;
    SABOT_TRY(draft_new(plans, PLAN_EXPAND, &input, 1, n + 1, &draft, err));
    for (int32_t i = 0; i < n; i++) {
        bool same;
        draft_copy_column(&draft, i, input, expand_source(options, i, &same));
        draft.fields[i].name = names[i];
        if (same) { continue; }
        draft.fields[i].type.nullable = true;
        draft.columns[i] = (struct plan_column){.time = TIME_NONE};
    }
    draft.fields[n] = (struct field){.name = names[n], .type = type_not_null(type_of(TYPE_INT64))};
    draft.node->span = span;
    draft.node->expand = *options;
    *out = draft.node;
    return SABOT_OK;
}

/* The elements' ROW; elements that are none are no fields. */
static const struct type *unnest_element(const struct plan *input, const struct unnest_options *options,
                                         struct type *entry) {
    const struct type *type = &input->schema->fields[options->column].type;
    if (type->kind != TYPE_MAP) { return &type->fields[0].type; }
    *entry = *type; /* its fields are the key and the value */
    return entry;
}

int32_t plan_unnest_width(const struct plan *input, const struct unnest_options *options) {
    struct type entry;
    if (options->repeats) { return 0; }
    return options->by_fields ? unnest_element(input, options, &entry)->n_fields : 1;
}

sabot_status plan_unnest(struct plan_arena *plans, struct plan *input, const struct unnest_options *options,
                         const char *const *names, struct source_span span, struct plan **out,
                         struct sabot_error *err) {
    struct draft draft;
    const int32_t width = plan_unnest_width(input, options);
    int32_t at = 0;
    SABOT_TRY(draft_new(plans, PLAN_UNNEST, &input, 1, options->n_passed + width + options->with_ordinality, &draft,
                        err));
    for (; at < options->n_passed; at++) { draft_copy_column(&draft, at, input, options->passed[at]); }
    for (int32_t i = 0; i < width; i++, at++) {
        struct type entry;
        const struct type *element = unnest_element(input, options, &entry);
        struct type type = options->by_fields ? element->fields[i].type : *element;
        const bool no_row = options->by_fields && element != &entry && element->nullable;
        type.nullable = type.nullable || options->keeps_empty || no_row;
        draft.fields[at] = (struct field){.name = names[i], .type = type};
    }
    if (options->with_ordinality) {
        struct type type = type_of(TYPE_INT64);
        type.nullable = options->keeps_empty;
        draft.fields[at] = (struct field){.name = names[width], .type = type};
    }
    draft.node->span = span;
    draft.node->unnest = *options;
    *out = draft.node;
    return SABOT_OK;
}

sabot_status plan_column_ref(struct plan_arena *plans, const struct plan *input, int32_t i, struct source_span span,
                             struct expr **out, struct sabot_error *err) {
    assert(i >= 0 && i < input->schema->n_fields);
    return expr_column(&plans->arena, i, input->schema->fields[i].type, span, out, err);
}

sabot_status plan_first_items(struct plan_arena *plans, const struct plan *input, int32_t n, int32_t more,
                              struct plan_items *out, struct sabot_error *err) {
    const size_t most = (size_t)n + (size_t)more + 1;
    out->n = n;
    out->exprs = arena_alloc(&plans->arena, most * sizeof *out->exprs);
    out->names = arena_alloc(&plans->arena, most * sizeof *out->names);
    if (!out->exprs || !out->names) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        out->names[i] = input->schema->fields[i].name;
        SABOT_TRY(plan_column_ref(plans, input, i, input->span, &out->exprs[i], err));
    }
    return SABOT_OK;
}

sabot_status plan_first_columns(struct plan_arena *plans, int32_t n, const int32_t **out, struct sabot_error *err) {
    int32_t *columns = arena_alloc(&plans->arena, ((size_t)n + 1) * sizeof *columns);
    if (!columns) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) { columns[i] = i; }
    *out = columns;
    return SABOT_OK;
}

sabot_status plan_repeat_rows(struct plan_arena *plans, struct plan *input, struct plan **out,
                              struct sabot_error *err) {
    const int32_t n = input->schema->n_fields - 1;
    struct unnest_options options = {.column = n, .n_passed = n, .repeats = true};
    SABOT_TRY(plan_first_columns(plans, n, &options.passed, err));
    return plan_unnest(plans, input, &options, NULL, input->span, out, err);
}

sabot_status plan_with_inputs(struct plan_arena *plans, const struct plan *node, struct plan *const *inputs,
                              struct plan **out, struct sabot_error *err) {
    struct plan *copy = ARENA_NEW(&plans->arena, struct plan);
    struct plan **copied = arena_alloc(&plans->arena, (size_t)(node->n_inputs ? node->n_inputs : 1) * sizeof *copied);
    if (!copy || !copied) { return PLAN_NO_MEMORY(err); }
    *copy = *node;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        copied[i] = inputs[i];
    }
    copy->inputs = copied;
    *out = copy;
    return SABOT_OK;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

void duration_print(int64_t ms, struct text *target) {
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms % units[i].ms == 0 && (ms != 0 || units[i].ms == 1000)) {
            text_format(target, "%" PRId64 " %s", ms / units[i].ms, units[i].name);
            return;
        }
    }
}

void window_print(const struct window_spec *spec, struct text *target) {
    static const char *const names[] = {"TUMBLE", "HOP", "CUMULATE", "SESSION"};
    text_format(target, "%s(%s=[", names[spec->kind], spec->kind == WINDOW_SESSION ? "gap" : "size");
    duration_print(spec->size_ms, target);
    if (spec->kind == WINDOW_HOP || spec->kind == WINDOW_CUMULATE) {
        text_add(target, spec->kind == WINDOW_HOP ? "], slide=[" : "], step=[");
        duration_print(spec->slide_ms, target);
    }
    if (spec->offset_ms != 0) {
        text_add(target, "], offset=[");
        duration_print(spec->offset_ms, target);
    }
    text_add(target, "])");
}
