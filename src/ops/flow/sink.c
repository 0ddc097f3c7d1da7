/* Sink: writes rows through a connector, in two phases where there are checkpoints: what was written before a barrier
 * is prepared when the barrier comes and committed when the checkpoint is complete. */
#include <stdlib.h>

#include "base/text.h"
#include "ops/flow/sink_keeper.h"
#include "ops/specs.h"

enum sink_step { SINK_IDLE, SINK_WRITING, SINK_PREPARING, SINK_FINISHING };

struct sink_op {
    struct op op;
    struct op_context own;
    const struct sink_options *options;
    const struct sink_type *type;
    struct sink *sink;
    struct schema *pending_schema;
    struct state_table *pending;
    struct sink_keeper keeper;
    enum sink_step step;
    struct batch *waiting;   /* WRITING: not taken yet */
    int64_t checkpoint_id;   /* PREPARING */
};

static void sink_close(struct op *op) {
    struct sink_op *self = (struct sink_op *)op;
    if (self->sink) { self->type->close(self->sink); }
    batch_unref(self->waiting);
    schema_unref(self->pending_schema);
    sink_keeper_clear(&self->keeper);
    free(self);
}

static sabot_status sink_prepare_open(struct sink_op *self, struct sabot_error *err) {
    const struct op_context *context = &self->own;
    const struct field field = {"pending", type_not_null(type_of(TYPE_BINARY))};
    SABOT_TRY(schema_new(&field, 1, &self->pending_schema, err));
    const struct state_spec spec = {.name = "pending", .kind = STATE_LIST, .schema = self->pending_schema};
    SABOT_TRY(state_table_open(context->state, &spec, &self->pending, err));
    struct connector_context connector = op_connector_context(context, self->options->table);
    if (self->type->keeps_rows) {
        SABOT_TRY(sink_keeper_open(&self->keeper, context, err));
        connector.keeper = &self->keeper.keeper;
    }
    SABOT_TRY(self->type->open(&connector, &self->sink, err));
    struct batch *rows = state_list_rows(self->pending);
    if (!rows) { return SABOT_OK; }
    env_point(context->env, ENV_POINT_SINK_RESTORE);
    SABOT_TRY(self->type->restore(self->sink, rows, err));
    env_point(context->env, ENV_POINT_SINK_RESTORED);
    if (self->type->keeps_rows) { sink_keeper_restored(&self->keeper); }
    return state_list_replace(self->pending, NULL, err);
}

static sabot_status sink_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct sink_options *options = context->spec->options;
    if (!options->connector->sink) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "table %s: connector '%s' can't be written to",
                          options->table->name, options->connector->name);
    }
    struct sink_op *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a sink"); }
    self->op.type = &op_sink;
    self->own = *context;
    self->options = options;
    self->type = options->connector->sink;
    if (context->metrics && !context->metrics->latency) {
        /* read when the job is over too: whoever owns the metrics frees it */
        context->metrics->latency = histogram_new();
    }
    const sabot_status status = sink_prepare_open(self, err);
    if (status != SABOT_OK) {
        sink_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

static sabot_status check_not_null(const struct sink_op *self, const struct batch *batch, struct sabot_error *err) {
    const struct connector_table *table = self->options->table;
    for (int32_t c = 0; c < batch->n_columns && c < table->schema->n_fields; c++) {
        const struct column *column = batch->columns[c];
        if (table->schema->fields[c].type.nullable || (!column->validity && column->phys != PHYS_NULL)) { continue; }
        for (int32_t i = 0; i < batch->selected; i++) {
            if (!column_is_null(column, batch_row(batch, i))) { continue; }
            return SABOT_FAIL(err, SABOT_ERR_DATA,
                              "table %s: a row has NULL in column %s, which is NOT NULL: filter such "
                              "rows out with WHERE %s IS NOT NULL, or declare the column without NOT NULL",
                              table->name, table->schema->fields[c].name, table->schema->fields[c].name);
        }
    }
    return SABOT_OK;
}

/* Takes over self->waiting where the connector does. */
static sabot_status sink_write(struct sink_op *self, struct sabot_error *err) {
    const int32_t rows = self->waiting->selected;
    const int64_t created_ns = self->waiting->created_ns;
    bool full = false;
    const sabot_status status = self->type->write(self->sink, self->waiting, &full, err);
    if (full && status == SABOT_OK) {
        self->step = SINK_WRITING;
        self->op.busy = true;
        return SABOT_OK;
    }
    self->waiting = NULL;
    self->step = SINK_IDLE;
    self->op.busy = false;
    if (status == SABOT_OK && created_ns && self->own.metrics && self->own.metrics->latency) {
        histogram_record(self->own.metrics->latency, env_now_ns(self->own.env) - created_ns, rows);
    }
    return status;
}

static sabot_status sink_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                  struct sabot_error *err) {
    (void)input;
    (void)out;
    struct sink_op *self = (struct sink_op *)op;
    if (batch->selected == 0) {
        batch_unref(batch);
        return SABOT_OK;
    }
    if (self->options->not_null_enforced) {
        const sabot_status status = check_not_null(self, batch, err);
        if (status != SABOT_OK) {
            batch_unref(batch);
            return status;
        }
    }
    self->waiting = batch;
    return sink_write(self, err);
}

static sabot_status sink_finish(struct sink_op *self, struct op_out *out, struct sabot_error *err) {
    bool full = false;
    SABOT_TRY(self->type->finish(self->sink, &full, err));
    self->op.busy = full;
    self->step = full ? SINK_FINISHING : SINK_IDLE;
    return full ? SABOT_OK : out->end(out, err);
}

/* With checkpoints a last barrier follows the end, and its completion commits. */
static sabot_status sink_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct sink_op *self = (struct sink_op *)op;
    return self->own.checkpoints ? out->end(out, err) : sink_finish(self, out, err);
}

/* What the commit needs goes into the checkpoint; a row also where it is nothing, so that a restore calls the connector
 * and it can remove what was left behind. */
static sabot_status keep_pending(struct sink_op *self, const struct text *pending, struct sabot_error *err) {
    if (pending->failed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for pending commits"); }
    const struct string_view view = string_view_of(pending->data ? pending->data : "", (uint32_t)pending->size);
    struct column *column;
    SABOT_TRY(column_constant(self->own.pool, PHYS_VIEW, &view, 1, &column, err));
    struct batch *row;
    SABOT_TRY(batch_new(self->pending_schema, &column, 1, 1, &row, err));
    return state_list_replace(self->pending, row, err);
}

static sabot_status sink_prepare(struct sink_op *self, struct sabot_error *err) {
    struct text pending = {0};
    bool full = false;
    env_point(self->own.env, ENV_POINT_SINK_PREPARE);
    sabot_status status = self->type->prepare(self->sink, self->checkpoint_id, &pending, &full, err);
    if (status == SABOT_OK && !full) {
        status = keep_pending(self, &pending, err);
        env_point(self->own.env, ENV_POINT_SINK_PREPARED);
    }
    text_clear(&pending);
    self->op.busy = full && status == SABOT_OK;
    self->step = self->op.busy ? SINK_PREPARING : SINK_IDLE;
    return status;
}

static sabot_status sink_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                        struct sabot_error *err) {
    (void)out;
    struct sink_op *self = (struct sink_op *)op;
    self->checkpoint_id = checkpoint_id;
    return sink_prepare(self, err);
}

static sabot_status sink_on_complete(struct op *op, int64_t checkpoint_id, struct sabot_error *err) {
    struct sink_op *self = (struct sink_op *)op;
    env_point(self->own.env, ENV_POINT_SINK_COMMIT);
    return self->type->commit(self->sink, checkpoint_id, err);
}

static sabot_status sink_completed(struct op *op, bool *done, struct sabot_error *err) {
    struct sink_op *self = (struct sink_op *)op;
    *done = true;
    return self->type->committed ? self->type->committed(self->sink, done, err) : SABOT_OK;
}

static sabot_status sink_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct sink_op *self = (struct sink_op *)op;
    switch (self->step) {
    case SINK_IDLE: op->busy = false; return SABOT_OK;
    case SINK_WRITING: return sink_write(self, err);
    case SINK_PREPARING: return sink_prepare(self, err);
    case SINK_FINISHING: return sink_finish(self, out, err);
    }
    return SABOT_OK;
}

const struct op_type op_sink = {
    .name = "sink",
    .summary = "write rows to a table",
    .open = sink_open,
    .on_batch = sink_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = sink_on_end,
    .resume = sink_resume,
    .before_barrier = sink_before_barrier,
    .on_complete = sink_on_complete,
    .completed = sink_completed,
    .close = sink_close,
};
