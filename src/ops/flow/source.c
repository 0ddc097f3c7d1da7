/* Source: reads a connector, computes the computed columns, and makes watermarks per split.
 *
 * Rows go out before the watermark that they make. Positions are written into the state table "positions" when a
 * barrier comes: what was given out before it is before it, nothing else. */
#include "ops/source.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ops/services.h"
#include "ops/specs.h"
#include "time/watermark.h"

#define POLLS_MAX 4 /* batches per resume(), so that barriers and other tasks get their turn */

struct source_operator {
    struct source_op source;
    struct op_context own;
    const struct source_options *options;
    const struct source_type *type;
    struct source *reader;
    struct program *columns; /* NULL: the connector's columns are the output */
    struct program *filter;  /* NULL: none */
    struct watermark_generator generator;
    struct watermarks watermarks;
    struct schema *positions_schema;
    struct state_table *positions;
    int64_t left_ns;         /* when the last resume() ended with more to read; 0 = it waited for input */
};

static struct source_operator *self_of(struct op *op) { return (struct source_operator *)op; }

static void source_close(struct op *op) {
    struct source_operator *self = self_of(op);
    if (self->reader) { self->type->close(self->reader); }
    if (self->columns) { program_free(self->columns); }
    if (self->filter) { program_free(self->filter); }
    watermark_generator_clear(&self->generator);
    watermarks_clear(&self->watermarks);
    schema_unref(self->positions_schema);
    free(self);
}

static sabot_status source_malformed(void *arg, const char *place, const char *reason, const void *record, size_t size,
                                     struct sabot_error *err) {
    struct source_operator *self = arg;
    if (self->own.job) { return job_malformed(self->own.job, &self->own, place, reason, record, size, err); }
    if (self->own.metrics) { metric_add(&self->own.metrics->rows_malformed, 1); }
    return SABOT_OK;
}

/* --- open */
static sabot_status open_programs(struct source_operator *self, struct sabot_error *err) {
    const struct source_options *options = self->options;
    const struct op_context *context = &self->own;
    if (options->columns) {
        SABOT_TRY(program_compile((const struct expr *const *)options->columns, context->spec->output->n_fields,
                                  &context->program, &self->columns, err));
    }
    if (options->filter) {
        const struct expr *filter = options->filter;
        SABOT_TRY(program_compile(&filter, 1, &context->program, &self->filter, err));
    }
    if (options->watermark_kind == WATERMARK_KIND_NONE) { return SABOT_OK; }
    return watermark_generator_init(&self->generator, options->watermark, &context->program, err);
}

static sabot_status open_positions(struct source_operator *self, struct sabot_error *err) {
    const struct field fields[] = {{"split", type_not_null(type_of(TYPE_STRING))},
                                   {"position", type_not_null(type_of(TYPE_BINARY))}};
    SABOT_TRY(schema_new(fields, 2, &self->positions_schema, err));
    const struct state_spec spec = {.name = "positions", .kind = STATE_LIST, .schema = self->positions_schema};
    return state_table_open(self->own.state, &spec, &self->positions, err);
}

static sabot_status open_reader(struct source_operator *self, struct sabot_error *err) {
    const struct op_context *context = &self->own;
    struct connector_context connector = op_connector_context(context, self->options->table);
    connector.malformed = source_malformed;
    connector.malformed_arg = self;
    SABOT_TRY(self->type->open(&connector, &self->reader, err));
    struct batch *rows = state_list_rows(self->positions);
    if (rows) { SABOT_TRY(self->type->restore(self->reader, rows, err)); }
    return watermarks_resize(&self->watermarks, self->type->n_splits(self->reader), env_now_ns(context->env), err);
}

static void source_explain_stall(const struct source_op *source, struct text *target);

void source_error_context(struct sabot_error *err, const char *table) {
    if (!err || strncmp(err->message, "table \"", 7) != 0) { error_context(err, "table \"%s\"", table); }
}

static sabot_status source_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct source_options *options = context->spec->options;
    if (!options->connector->source) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "table %s: connector '%s' can't be read from",
                          options->table->name, options->connector->name);
    }
    struct source_operator *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a source"); }
    self->source.op = (struct op){.type = &op_source, .busy = true};
    self->source.wake_at_ns = INT64_MAX;
    self->source.explain_stall = source_explain_stall;
    self->own = *context;
    self->options = options;
    self->type = options->connector->source;
    watermarks_init(&self->watermarks, options->idle_timeout_ns, options->watermark_alignment_ms);
    sabot_status status = open_programs(self, err);
    if (status == SABOT_OK) { status = open_positions(self, err); }
    if (status == SABOT_OK) { status = open_reader(self, err); }
    if (status != SABOT_OK) {
        source_error_context(err, options->table->name);
        source_close(&self->source.op);
        return status;
    }
    *out = &self->source.op;
    return SABOT_OK;
}

/* --- reading */
static bool has_watermarks(const struct source_operator *self) {
    return self->options->watermark_kind != WATERMARK_KIND_NONE;
}

/* Computed columns; takes over the batch. */
static sabot_status compute_columns(struct source_operator *self, struct batch *taken, struct batch **out,
                                    struct sabot_error *err) {
    *out = taken;
    if (!self->columns) { return SABOT_OK; }
    BATCH_OWNED struct batch *batch = taken;
    *out = NULL;
    const int32_t n = self->own.spec->output->n_fields;
    struct column *few[32];
    struct column **columns = n <= 32 ? few : malloc((size_t)n * sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for %d columns", n); }
    sabot_status status = program_eval(self->columns, batch, columns, err);
    if (status == SABOT_OK) { status = batch_with_columns(batch, self->own.spec->output, columns, n, out, err); }
    if (columns != few) { free(columns); }
    return status;
}

static sabot_status give_rows(struct source_operator *self, const struct source_result *result, int64_t now_ns,
                              struct op_out *out, struct sabot_error *err) {
    struct batch *batch;
    SABOT_TRY(compute_columns(self, result->batch, &batch, err));
    if (has_watermarks(self)) {
        int64_t watermark_ms;
        const sabot_status status = watermark_generate(&self->generator, batch, &watermark_ms, err);
        if (status != SABOT_OK) {
            batch_unref(batch);
            return status;
        }
        watermarks_rows(&self->watermarks, result->split, watermark_ms, now_ns);
    }
    if (self->filter) {
        struct batch *kept;
        SABOT_TRY(program_filter(self->filter, batch, &kept, err));
        batch = kept;
    }
    if (!batch) { return SABOT_OK; }
    if (batch->selected == 0) {
        batch_unref(batch);
        return SABOT_OK;
    }
    return out_emit(out, batch, err);
}

/* New splits hold the watermark from the moment that they are known: rows of the others may not make theirs late. */
static sabot_status watch_splits(struct source_operator *self, int64_t now_ns, struct sabot_error *err) {
    const int32_t n = self->type->n_splits(self->reader);
    if (n != self->watermarks.n) { SABOT_TRY(watermarks_resize(&self->watermarks, n, now_ns, err)); }
    for (int32_t i = 0; i < n; i++) {
        if (self->watermarks.splits[i].finished) { continue; }
        struct source_split split;
        split.finished = false;
        self->type->split(self->reader, i, &split);
        if (split.finished) { watermarks_finish(&self->watermarks, i); }
    }
    return SABOT_OK;
}

static void pause_split(void *arg, int32_t split, bool paused) {
    struct source_operator *self = arg;
    self->type->pause(self->reader, split, paused);
}

static sabot_status give_watermark(struct source_operator *self, int64_t now_ns, struct op_out *out,
                                   struct sabot_error *err) {
    if (!has_watermarks(self)) { return SABOT_OK; }
    if (self->options->watermark_alignment_ms > 0 || self->watermarks.limit_ms != INT64_MAX) {
        watermarks_align(&self->watermarks, now_ns, pause_split, self);
    }
    switch (watermarks_combine(&self->watermarks, now_ns)) {
    case WATERMARK_SAME: return SABOT_OK;
    case WATERMARK_IDLE: return out->idle(out, err);
    case WATERMARK_ADVANCED: break;
    }
    if (self->own.metrics) {
        atomic_store_explicit(&self->own.metrics->watermark_ms, self->watermarks.combined_ms, memory_order_relaxed);
    }
    return out->watermark(out, self->watermarks.combined_ms, err);
}

static sabot_status give_end(struct source_operator *self, struct op_out *out, struct sabot_error *err) {
    self->source.ended = true;
    self->source.op.busy = false;
    SABOT_TRY(out->watermark(out, WATERMARK_END, err));
    return out->end(out, err);
}

static sabot_status source_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct source_operator *self = self_of(op);
    op->busy = false;
    if (self->source.stopped || self->source.ended) { return SABOT_OK; }
    if (self->source.drains) { return give_end(self, out, err); }
    int64_t now_ns = env_now_ns(self->own.env);
    /* Between a resume() that had more to read and this one the output was full: nobody was idle. */
    if (self->left_ns) { watermarks_blocked(&self->watermarks, now_ns - self->left_ns); }
    self->left_ns = 0;
    self->source.wake_at_ns = INT64_MAX;

    bool waits = false;
    for (int32_t polls = 0; polls < POLLS_MAX && !waits && !out_is_full(out); polls++) {
        enum source_state state = SOURCE_WAIT;
        struct source_result result = {.wake_at_ns = INT64_MAX};
        SABOT_TRY(self->type->poll(self->reader, &state, &result, err));
        now_ns = env_now_ns(self->own.env);
        const sabot_status watched = watch_splits(self, now_ns, err);
        if (watched != SABOT_OK) {
            if (state == SOURCE_BATCH) { batch_unref(result.batch); }
            return watched;
        }
        switch (state) {
        case SOURCE_BATCH:
            metric_add(&self->own.metrics->rows_in, result.batch->selected);
            SABOT_TRY(give_rows(self, &result, now_ns, out, err));
            break;
        case SOURCE_WAIT:
            waits = true;
            self->source.wake_at_ns = result.wake_at_ns;
            break;
        case SOURCE_END: return give_end(self, out, err);
        }
        SABOT_TRY(give_watermark(self, now_ns, out, err));
    }
    if (waits) {
        const int64_t idle_ns = has_watermarks(self) ? watermarks_next_idle_ns(&self->watermarks) : INT64_MAX;
        if (idle_ns < self->source.wake_at_ns) { self->source.wake_at_ns = idle_ns; }
    } else {
        op->busy = true;
        self->left_ns = now_ns;
    }
    return SABOT_OK;
}

static sabot_status source_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                    struct sabot_error *err) {
    (void)op;
    (void)out;
    batch_unref(batch);
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a source was given a batch on input %d, it has none", input);
}

/* --- checkpoints */
static sabot_status write_position(struct source_operator *self, int32_t i, struct column_builder *splits,
                                   struct column_builder *positions, struct sabot_error *err) {
    struct source_split split = {0};
    self->type->split(self->reader, i, &split);
    struct text position = {0};
    sabot_status status = self->type->position(self->reader, i, &position, err);
    if (status == SABOT_OK && position.failed) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "split %s: the system has no memory for its position", split.id);
    }
    char *id, *bytes;
    const size_t size = strlen(split.id);
    if (status == SABOT_OK) { status = column_builder_reserve(splits, size, &id, err); }
    if (status == SABOT_OK) { status = column_builder_reserve(positions, position.size, &bytes, err); }
    if (status == SABOT_OK) {
        memcpy(id, split.id, size);
        if (position.size) { memcpy(bytes, position.data, position.size); }
        ((struct string_view *)splits->values)[i] = string_view_of(id, (uint32_t)size);
        ((struct string_view *)positions->values)[i] = string_view_of(bytes, (uint32_t)position.size);
    }
    text_clear(&position);
    return status;
}

static sabot_status source_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                          struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct source_operator *self = self_of(op);
    const int32_t n = self->type->n_splits(self->reader);
    if (n == 0) { return state_list_replace(self->positions, NULL, err); }
    struct column_builder builders[2] = {0};
    struct column *columns[2] = {NULL, NULL};
    sabot_status status = column_builder_init(&builders[0], self->own.pool, PHYS_VIEW, n, false, err);
    if (status == SABOT_OK) { status = column_builder_init(&builders[1], self->own.pool, PHYS_VIEW, n, false, err); }
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        status = write_position(self, i, &builders[0], &builders[1], err);
    }
    for (int32_t c = 0; c < 2 && status == SABOT_OK; c++) {
        status = column_builder_finish(&builders[c], &columns[c], err);
    }
    for (int32_t c = 0; c < 2; c++) { column_builder_clear(&builders[c]); }
    if (status != SABOT_OK) {
        for (int32_t c = 0; c < 2; c++) { column_unref(columns[c]); }
        return status;
    }
    struct batch *rows;
    SABOT_TRY(batch_new(self->positions_schema, columns, 2, n, &rows, err));
    return state_list_replace(self->positions, rows, err);
}

static sabot_status source_on_complete(struct op *op, int64_t checkpoint_id, struct sabot_error *err) {
    struct source_operator *self = self_of(op);
    return self->type->on_complete(self->reader, checkpoint_id, err);
}

/* --- for the runtime */
int64_t source_watermark_ms(const struct op *op) {
    const struct source_operator *self = (const struct source_operator *)op;
    if (op->type != &op_source || self->source.ended || !has_watermarks(self)) { return INT64_MAX; }
    return watermarks_for_alignment(&self->watermarks);
}

void source_align(struct op *op, int64_t limit_ms) {
    struct source_operator *self = self_of(op);
    if (op->type != &op_source || limit_ms == self->watermarks.limit_ms) { return; }
    self->watermarks.limit_ms = limit_ms;
    if (!has_watermarks(self) || self->source.ended) { return; }
    watermarks_align(&self->watermarks, env_now_ns(self->own.env), pause_split, self);
    self->source.wake_at_ns = 0; /* what was paused may be read again */
}

static void source_explain_stall(const struct source_op *source, struct text *target) {
    const struct source_operator *self = (const struct source_operator *)source;
    const int32_t holder = has_watermarks(self) && !source->ended ? watermarks_holder(&self->watermarks) : -1;
    if (holder < 0) { return; }
    const struct watermark_split *split = &self->watermarks.splits[holder];
    struct source_split name = {0};
    self->type->split(self->reader, holder, &name);
    const int64_t since_ms = (env_now_ns(self->own.env) - split->advanced_ns) / 1000000;
    text_format(target, "table %s, split %s: ", self->options->table->name, name.id);
    if (split->watermark_ms == WATERMARK_NONE) {
        text_format(target, "no row yet for %lld ms", (long long)since_ms);
    } else {
        text_format(target, "watermark %lld has not moved for %lld ms", (long long)split->watermark_ms,
                    (long long)since_ms);
    }
    text_add(target, self->options->idle_timeout_ns ? "\n" : " and no idle time-out is set\n");
}

const struct op_type op_source = {
    .name = "source",
    .summary = "read a table",
    .open = source_open,
    .on_batch = source_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = source_resume,
    .before_barrier = source_before_barrier,
    .on_complete = source_on_complete,
    .close = source_close,
};
