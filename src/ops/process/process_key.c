/* Adds the column that stands for the keys of a process function, so that its rows are divided by the same hash as its
 * state is. */
#include <stdlib.h>

#include "ops/specs.h"

struct process_key {
    struct op op;
    struct memory_pool *pool;
    struct schema *schema;
    const struct process_key_options *options;
};

static void process_key_close(struct op *op) {
    struct process_key *self = (struct process_key *)op;
    schema_unref(self->schema);
    free(self);
}

static sabot_status process_key_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    struct process_key *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for keys"); }
    self->op.type = &op_process_key;
    self->pool = context->pool;
    self->schema = schema_ref(context->spec->output);
    self->options = context->spec->options;
    *out = &self->op;
    return SABOT_OK;
}

static sabot_status process_key_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                         struct sabot_error *err) {
    (void)input;
    const struct process_key *self = (struct process_key *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0) { return SABOT_OK; }
    struct column *keys;
    struct batch *keyed;
    SABOT_TRY(process_key_column(self->pool, batch, self->options->keys, self->options->n_keys, &keys, err));
    SABOT_TRY(batch_with_column(batch, self->schema, keys, false, &keyed, err));
    return out_emit(out, keyed, err);
}

const struct op_type op_process_key = {
    .name = "process_key",
    .summary = "the key of a process function as one column",
    .open = process_key_open,
    .on_batch = process_key_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = process_key_close,
};
