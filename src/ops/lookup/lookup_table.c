/* Reads the table of a lookup join: see lookup_table.h. */
#include "ops/lookup/lookup_table.h"

#include <stdlib.h>

#include "ops/services.h"

#define POLLS_MAX 8

void lookup_table_clear(struct lookup_table *table) {
    if (table->reader) { table->options->table->connector->source->close(table->reader); }
    program_free(table->columns);
    program_free(table->filter);
    program_free(table->project);
    if (table->tables) { state_tables_free(table->tables); }
    schema_unref(table->schema);
    free(table->order);
    *table = (struct lookup_table){0};
}

static sabot_status table_malformed(void *arg, const char *place, const char *reason, const void *record, size_t size,
                                    struct sabot_error *err) {
    const struct lookup_table *table = arg;
    const struct op_context *context = table->context;
    if (context->job) { return job_malformed(context->job, context, place, reason, record, size, err); }
    if (context->metrics) { metric_add(&context->metrics->rows_malformed, 1); }
    return SABOT_OK;
}

/* The whole table, whatever the parallelism of the join. */
static sabot_status open_reader(struct lookup_table *table, struct sabot_error *err) {
    const struct op_context *context = table->context;
    const struct source_type *type = table->options->table->connector->source;
    struct connector_context connector = op_connector_context(context, table->options->table->table);
    connector.subtask = 0;
    connector.parallelism = 1;
    connector.malformed = table_malformed;
    connector.malformed_arg = table;
    return type->open(&connector, &table->reader, err);
}

static sabot_status open_map(struct lookup_table *table, struct sabot_error *err) {
    const struct lookup_options *options = table->options;
    const struct schema *right = options->right;
    const int32_t n = right->n_fields;
    struct field *fields = calloc((size_t)n + (size_t)options->n_keys + 1, sizeof *fields);
    table->order = calloc((size_t)n * 2 + (size_t)options->n_keys + 1, sizeof *table->order);
    if (!fields || !table->order) {
        free(fields);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a lookup table");
    }
    table->places = table->order + n + options->n_keys;
    int32_t at = 0;
    for (int32_t k = 0; k < options->n_keys; k++) {
        /* a column that is compared twice (a.x = t.x AND a.y = t.x) stands there twice */
        table->order[at] = options->right_keys[k];
        table->places[options->right_keys[k]] = at;
        fields[at++] = right->fields[options->right_keys[k]];
    }
    for (int32_t c = 0; c < n; c++) {
        bool is_key = false;
        for (int32_t k = 0; k < options->n_keys; k++) { is_key |= options->right_keys[k] == c; }
        if (is_key) { continue; }
        table->order[at] = c;
        table->places[c] = at;
        fields[at++] = right->fields[c];
    }
    sabot_status status = schema_new(fields, at, &table->schema, err);
    free(fields);
    const struct state_context context = {
        .pool = table->context->pool, .backend = "memory", .parallelism = 1, .max_parallelism = 1};
    if (status == SABOT_OK) { status = state_tables_new(&context, &table->tables, err); }
    if (status != SABOT_OK) { return status; }
    const struct multimap_spec spec = {.name = "table", .schema = table->schema, .n_keys = options->n_keys};
    return state_multimap_open(table->tables, &spec, &table->map, err);
}

sabot_status lookup_table_open(struct lookup_table *table, const struct op_context *context,
                               const struct lookup_options *options, struct sabot_error *err) {
    const struct source_options *source = options->table;
    *table = (struct lookup_table){.context = context, .options = options, .is_unique = true};
    SABOT_TRY(open_map(table, err));
    if (source->columns) {
        SABOT_TRY(program_compile((const struct expr *const *)source->columns, options->scanned->n_fields,
                                  &context->program, &table->columns, err));
    }
    if (source->filter) {
        const struct expr *filter = source->filter;
        SABOT_TRY(program_compile(&filter, 1, &context->program, &table->filter, err));
    }
    if (options->project) {
        SABOT_TRY(program_compile((const struct expr *const *)options->project, options->right->n_fields,
                                  &context->program, &table->project, err));
    }
    return open_reader(table, err);
}

/* Other columns of the same rows; takes over the batch. */
static sabot_status compute(struct program *program, struct schema *schema, struct batch **batch,
                            struct sabot_error *err) {
    if (!program) { return SABOT_OK; }
    BATCH_OWNED struct batch *from = *batch;
    *batch = NULL;
    struct column **columns = calloc((size_t)schema->n_fields + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a lookup table"); }
    sabot_status status = program_eval(program, from, columns, err);
    if (status == SABOT_OK) { status = batch_with_columns(from, schema, columns, schema->n_fields, batch, err); }
    free(columns);
    return status;
}

static bool key_has_null(const struct lookup_table *table, const struct batch *batch, int32_t row) {
    for (int32_t k = 0; k < table->options->n_keys; k++) {
        if (column_is_null(batch->columns[table->options->right_keys[k]], row)) { return true; }
    }
    return false;
}

static sabot_status insert(struct lookup_table *table, const struct batch *batch, struct sabot_error *err) {
    int32_t *rows = malloc((size_t)batch->selected * sizeof *rows);
    if (!rows) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a lookup table"); }
    int32_t n = 0;
    for (int32_t i = 0; i < batch->selected; i++) {
        rows[n] = batch_row(batch, i);
        n += !key_has_null(table, batch, rows[n]);
    }
    const struct multimap_rows inserted = {.batch = batch, .columns = table->order, .rows = rows, .n = n};
    const sabot_status status = n > 0 ? multimap_insert(table->map, &inserted, NULL, NULL, err) : SABOT_OK;
    free(rows);
    return status;
}

static sabot_status take_batch(struct lookup_table *table, struct batch *taken, struct sabot_error *err) {
    BATCH_OWNED struct batch *batch = taken;
    const struct lookup_options *options = table->options;
    SABOT_TRY(compute(table->columns, options->scanned, &batch, err));
    if (table->filter) {
        struct batch *kept = NULL;
        struct batch *given = batch;
        batch = NULL;
        SABOT_TRY(program_filter(table->filter, given, &kept, err));
        batch = kept;
    }
    if (!batch || batch->selected == 0) { return SABOT_OK; }
    SABOT_TRY(compute(table->project, options->right, &batch, err));
    if (atomic_load_explicit(&batch->refs, memory_order_relaxed) > 1) {
        struct batch *own;
        SABOT_TRY(batch_copy(batch, &own, err));
        batch_unref(batch);
        batch = own;
    }
    SABOT_TRY(batch_cache_hashes(table->context->pool, batch, options->right_keys, options->n_keys, err));
    return insert(table, batch, err);
}

static void find_twins(struct lookup_table *table) {
    const int32_t *next = multimap_next(table->map);
    const int64_t n = multimap_size(table->map);
    for (int64_t slot = 0; slot < n && table->is_unique; slot++) { table->is_unique = next[slot] < 0; }
}

sabot_status lookup_table_read(struct lookup_table *table, bool *again, struct sabot_error *err) {
    const struct source_type *type = table->options->table->connector->source;
    *again = true;
    for (int i = 0; i < POLLS_MAX && table->reader; i++) {
        enum source_state state = SOURCE_WAIT;
        struct source_result result = {.wake_at_ns = INT64_MAX};
        SABOT_TRY(type->poll(table->reader, &state, &result, err));
        if (state == SOURCE_BATCH) { SABOT_TRY(take_batch(table, result.batch, err)); }
        if (state == SOURCE_WAIT) {
            *again = false;
            return SABOT_OK;
        }
        if (state == SOURCE_END) {
            type->close(table->reader);
            table->reader = NULL;
            find_twins(table);
        }
    }
    return SABOT_OK;
}
