/* Limit: the first rows that come, without an order. Runs with parallelism 1. How many rows have passed is state, so
 * that a restored job does not give more of them. */
#include <stdlib.h>

#include "ops/specs.h"

struct limit {
    struct op op;
    struct memory_pool *pool;
    int64_t first, end; /* ranks [first, end) pass */
    int64_t seen;
    struct schema *schema;
    struct state_table *progress;
};

static void limit_close(struct op *op) {
    struct limit *limit = (struct limit *)op;
    schema_unref(limit->schema);
    free(limit);
}

static sabot_status limit_restore(struct limit *limit, const struct op_context *context, struct sabot_error *err) {
    const struct field field = {"seen", type_not_null(type_of(TYPE_INT64))};
    SABOT_TRY(schema_new(&field, 1, &limit->schema, err));
    const struct state_spec spec = {.name = "progress", .kind = STATE_LIST, .schema = limit->schema};
    SABOT_TRY(state_table_open(context->state, &spec, &limit->progress, err));
    const struct batch *rows = state_list_rows(limit->progress);
    for (int32_t i = 0; rows && i < rows->selected; i++) {
        const struct column *column = rows->columns[0];
        limit->seen += ((const int64_t *)column->values)[column_at(column, batch_row(rows, i))];
    }
    return SABOT_OK;
}

static sabot_status limit_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct limit_options *options = context->spec->options;
    struct limit *limit = calloc(1, sizeof *limit);
    if (!limit) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a limit"); }
    limit->op.type = &op_limit;
    limit->pool = context->pool;
    limit->first = options->offset > 0 ? options->offset : 0;
    limit->end = options->limit < 0 || options->limit > INT64_MAX - limit->first ? INT64_MAX
                                                                                 : limit->first + options->limit;
    const sabot_status status = limit_restore(limit, context, err);
    if (status != SABOT_OK) {
        limit_close(&limit->op);
        return status;
    }
    limit->op.satisfied = limit->seen >= limit->end;
    *out = &limit->op;
    return SABOT_OK;
}

static sabot_status limit_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                   struct sabot_error *err) {
    (void)input;
    BATCH_OWNED struct batch *batch = taken;
    struct limit *limit = (struct limit *)op;
    const int64_t before = limit->seen;
    limit->seen += batch->selected;
    limit->op.satisfied = limit->seen >= limit->end;
    const int64_t from = limit->first > before ? limit->first - before : 0;
    const int64_t to = limit->end - before < batch->selected ? limit->end - before : batch->selected;
    if (from >= to) { return SABOT_OK; }
    if (from == 0 && to == batch->selected) { return out_emit(out, batch_ref(batch), err); }

    const int32_t n = (int32_t)(to - from);
    struct buffer *selection;
    SABOT_TRY(buffer_new(limit->pool, (size_t)n * sizeof(int32_t), &selection, err));
    int32_t *rows = (int32_t *)(void *)selection->data;
    for (int32_t i = 0; i < n; i++) { rows[i] = batch_row(batch, (int32_t)from + i); }
    struct batch *kept;
    SABOT_TRY(batch_with_selection(batch, selection, n, &kept, err));
    return out_emit(out, kept, err);
}

static sabot_status limit_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                         struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct limit *limit = (struct limit *)op;
    struct column *column;
    SABOT_TRY(column_constant(limit->pool, PHYS_I64, &limit->seen, 1, &column, err));
    struct batch *row;
    SABOT_TRY(batch_new(limit->schema, &column, 1, 1, &row, err));
    return state_list_replace(limit->progress, row, err);
}

const struct op_type op_limit = {
    .name = "limit",
    .summary = "pass on the first rows that come",
    .open = limit_open,
    .on_batch = limit_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = limit_before_barrier,
    .on_complete = op_default_on_complete,
    .close = limit_close,
    .declares_state = true,
};
