/* GROUP BY without a window over bounded input: the result is given out once, at the end. Without calls it is
 * DISTINCT. Where it settles a changelog (ORDER BY of rows that are updated), it counts each row up and down, and
 * forgets it at 0. (A row that goes before it comes, from another task, is counted below 0 meanwhile.) */
#include <stdlib.h>

#include "ops/aggregate/aggregator.h"
#include "ops/aggregate/changes.h"

struct group_aggregate {
    struct op op;
    struct op_context own;
    struct aggregator aggregator;
    bool settles;
    int64_t given; /* groups given out; -1 = the end has not come */
};

static void group_close(struct op *op) {
    struct group_aggregate *self = (struct group_aggregate *)op;
    if (self->aggregator.pool) { aggregator_clear(&self->aggregator); }
    free(self);
}

static sabot_status group_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct group_aggregate_options *options = context->spec->options;
    struct group_aggregate *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an aggregation"); }
    self->op.type = &op_group_aggregate;
    self->own = *context;
    self->given = -1;
    self->settles = options->settles;
    const struct aggregator_options aggregator = {
        .keys = options->keys,
        .n_keys = options->n_keys,
        .calls = options->calls,
        .n_calls = options->n_calls,
        .input = context->input,
        .flags = (context->program.wrap_overflow ? ACCUMULATE_WRAP : 0) |
                 (options->n_keys == 0 ? ACCUMULATE_MAY_BE_EMPTY : 0),
    };
    const sabot_status status =
        aggregator_open(&self->aggregator, &aggregator, context->state, "groups", context->pool, err);
    if (status != SABOT_OK) {
        group_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

static int descending(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x > y ? -1 : x < y;
}

/* Of slots that were counted down: rows that are not there any more. */
static sabot_status remove_gone(struct group_aggregate *self, int32_t *slots, int32_t n, struct sabot_error *err) {
    struct state_table *table = self->aggregator.table;
    const struct state_cells counts = state_cells(table, 0, 0);
    int32_t gone = 0;
    qsort(slots, (size_t)n, sizeof *slots, descending);
    for (int32_t i = 0; i < n; i++) {
        const int64_t *count = state_cell(&counts, slots[i]);
        if (*count == 0 && (gone == 0 || slots[gone - 1] != slots[i])) { slots[gone++] = slots[i]; }
    }
    return state_remove(table, 0, slots, gone, err);
}

/* Counts the rows of a changelog up and down. */
static sabot_status settle(struct group_aggregate *self, const struct batch *batch, struct sabot_error *err) {
    struct aggregator *aggregator = &self->aggregator;
    SABOT_TRY(aggregator_find(aggregator, 0, batch, batch->selection, batch->selected, err));
    int32_t n = 0;
    for (int32_t minus = 0; minus < 2; minus++) {
        n = 0;
        for (int32_t i = 0; i < batch->selected; i++) {
            const int32_t row = batch_row(batch, i);
            if (row_kind_is_retraction(batch->row_kinds[row]) != minus) { continue; }
            aggregator->kept[n] = row;
            aggregator->kept_slots[n++] = aggregator->slots[i];
        }
        SABOT_TRY(minus ? accumulators_retract(&aggregator->accumulators, -1, aggregator->table, 0, batch,
                                               aggregator->kept, aggregator->kept_slots, n, err)
                        : accumulators_update(&aggregator->accumulators, -1, aggregator->table, 0, batch, NULL,
                                              aggregator->kept, aggregator->kept_slots, n, err));
    }
    return n ? remove_gone(self, aggregator->kept_slots, n, err) : SABOT_OK;
}

static sabot_status group_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                   struct sabot_error *err) {
    (void)input;
    (void)out;
    struct group_aggregate *self = (struct group_aggregate *)op;
    BATCH_OWNED struct batch *batch = taken;
    SABOT_TRY(aggregator_prepare(&self->aggregator, &batch, err));
    if (self->settles && batch->row_kinds) { return settle(self, batch, err); }
    return aggregator_add(&self->aggregator, 0, batch, batch->selection, batch->selected, err);
}

static sabot_status give_results(struct group_aggregate *self, struct op_out *out, struct sabot_error *err) {
    self->op.busy = true;
    const int64_t count = state_count(self->aggregator.table, 0);
    struct schema *schema = self->own.spec->output;
    while (self->given < count) {
        if (out_is_full(out)) { return SABOT_OK; }
        const int64_t left = count - self->given;
        const int32_t most = left < self->own.batch_rows ? (int32_t)left : self->own.batch_rows;
        const int32_t n = aggregator_rows_fit(&self->aggregator, 0, NULL, self->given, most);
        struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX];
        SABOT_TRY(aggregator_results(&self->aggregator, 0, self->given, n, schema, columns, err));
        struct batch *batch;
        SABOT_TRY(batch_new(schema, columns, schema->n_fields, n, &batch, err));
        self->given += n;
        SABOT_TRY(out_emit(out, batch, err));
    }
    aggregator_drop(&self->aggregator, 0);
    self->op.busy = false;
    return out->end(out, err);
}

/* Without keys there is one group even if there was no row. */
static sabot_status add_only_group(struct group_aggregate *self, struct sabot_error *err) {
    struct state_table *table = self->aggregator.table;
    if (self->aggregator.n_keys || state_count(table, 0) || self->own.subtask != 0) { return SABOT_OK; }
    int32_t slot;
    SABOT_TRY(state_find_or_insert(table, 0, NULL, NULL, NULL, 1, &slot, err));
    accumulators_init(&self->aggregator.accumulators, table, 0, 0, 1);
    return SABOT_OK;
}

static sabot_status group_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct group_aggregate *self = (struct group_aggregate *)op;
    if (self->given < 0) {
        SABOT_TRY(add_only_group(self, err));
        self->given = 0;
    }
    return give_results(self, out, err);
}

static sabot_status group_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? give_results((struct group_aggregate *)op, out, err) : SABOT_OK;
}

const struct op_type op_group_aggregate = {
    .name = "group_aggregate",
    .summary = "aggregate by key over bounded input",
    .open = group_open,
    .on_batch = group_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = group_on_end,
    .resume = group_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = group_close,
    .stateful = true,
    .declares_state = true,
    .ends_for_good = true,
};
