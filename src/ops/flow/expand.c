/* Expand: every row once per grouping set, with NULL in the columns that the set leaves out and the set's id behind
 * them. What is passed on costs a reference; a batch comes out once per set. */
#include <stdlib.h>

#include "ops/specs.h"

struct expand {
    struct op op;
    const struct expand_options *options;
    struct memory_pool *pool;
    struct schema *schema;
    struct batch *batch; /* at hand: sets from `next` on are still to come */
    int32_t next;
    struct column *columns[]; /* schema->n_fields */
};

static sabot_status expand_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    const int32_t n = context->spec->output->n_fields;
    struct expand *expand = calloc(1, sizeof *expand + (size_t)n * sizeof(struct column *));
    *out = NULL;
    if (!expand) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for grouping sets"); }
    expand->op.type = &op_expand;
    expand->options = context->spec->options;
    expand->pool = context->pool;
    expand->schema = schema_ref(context->spec->output);
    *out = &expand->op;
    return SABOT_OK;
}

static sabot_status column_of(const struct expand *expand, int32_t set, int32_t i, struct column **out,
                              struct sabot_error *err) {
    const struct batch *batch = expand->batch;
    const int32_t n = expand->options->n_columns;
    if (i == n) {
        return column_constant(expand->pool, PHYS_I64, &expand->options->ids[set], batch->rows, out, err);
    }
    const int32_t source = expand->options->sources[set * n + i];
    if (source < 0) { return column_all_null(expand->pool, expand->schema->fields[i].type, batch->rows, out, err); }
    *out = column_ref(batch->columns[source]);
    return SABOT_OK;
}

static sabot_status give_set(struct expand *expand, int32_t set, struct op_out *out, struct sabot_error *err) {
    const int32_t n = expand->schema->n_fields;
    for (int32_t i = 0; i < n; i++) {
        const sabot_status status = column_of(expand, set, i, &expand->columns[i], err);
        if (status == SABOT_OK) { continue; }
        while (i > 0) { column_unref(expand->columns[--i]); }
        return status;
    }
    struct batch *result = NULL;
    SABOT_TRY(batch_with_columns(expand->batch, expand->schema, expand->columns, n, &result, err));
    return out_emit(out, result, err);
}

static sabot_status expand_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct expand *expand = (struct expand *)op;
    while (expand->batch && expand->next < expand->options->n_sets) {
        op->busy = out_is_full(out);
        if (op->busy) { return SABOT_OK; }
        SABOT_TRY(give_set(expand, expand->next++, out, err));
    }
    batch_unref(expand->batch);
    expand->batch = NULL;
    op->busy = false;
    return SABOT_OK;
}

static sabot_status expand_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                    struct sabot_error *err) {
    struct expand *expand = (struct expand *)op;
    (void)input;
    expand->batch = batch;
    expand->next = 0;
    return expand_resume(op, out, err);
}

static void expand_close(struct op *op) {
    struct expand *expand = (struct expand *)op;
    batch_unref(expand->batch);
    schema_unref(expand->schema);
    free(expand);
}

const struct op_type op_expand = {
    .name = "expand",
    .summary = "every row once per grouping set",
    .open = expand_open,
    .on_batch = expand_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = expand_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = expand_close,
};
