/* A window function without an aggregation: every row once for each window that holds it, with window_start, window_end
 * and window_time behind its columns. Keeps nothing. */
#include <stdlib.h>

#include "ops/window/slices.h"
#include "ops/window/split.h"
#include "ops/services.h"

#define ROWS_GIVEN_MAX BATCH_ROWS_MAX

struct window_assign {
    struct op op;
    struct op_context own;
    struct slices slices;
    struct splitter splitter;
    int32_t time_column;
};

static void assign_close(struct op *op) {
    struct window_assign *self = (struct window_assign *)op;
    splitter_clear(&self->splitter);
    free(self);
}

static sabot_status assign_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct window_assign_options *options = context->spec->options;
    struct window_assign *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a window function"); }
    self->op.type = &op_window_assign;
    self->own = *context;
    self->time_column = options->window.time_column;
    const sabot_status status = slices_init(&self->slices, &options->window, err);
    if (status != SABOT_OK) {
        free(self);
        return status;
    }
    splitter_init(&self->splitter, context->pool, &self->slices,
                  timestamp_units_per_ms_num(context->input->fields[self->time_column].type), 0);
    *out = &self->op;
    return SABOT_OK;
}

/* Windows of a slice. */
static int32_t windows_of(const struct slices *slices, int64_t slice_end) {
    int32_t n = 0;
    for (int64_t end = slice_next_window(slices, slice_end, INT64_MIN); end != INT64_MAX;
         end = slice_next_window(slices, slice_end, end)) {
        n++;
    }
    return n;
}

struct assigned {
    int32_t *rows;   /* of the input batch */
    int64_t *ends;   /* window end of each */
    int32_t n;
};

static sabot_status give_assigned(struct window_assign *self, const struct batch *batch,
                                  const struct assigned *assigned, struct op_out *out, struct sabot_error *err) {
    const struct schema *schema = self->own.spec->output;
    const int32_t n_input = batch->n_columns, n = assigned->n;
    BATCH_OWNED struct batch *rows = NULL;
    SABOT_TRY(batch_take(self->own.pool, batch, assigned->rows, n, &rows, err));
    struct column **columns = calloc((size_t)n_input + 3, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a batch"); }
    sabot_status status = SABOT_OK;
    int32_t done = 0;
    for (; done < n_input; done++) { columns[done] = column_ref(rows->columns[done]); }
    for (int32_t p = 0; p < 3 && status == SABOT_OK; p++) {
        struct column_builder builder;
        status = column_builder_init(&builder, self->own.pool, PHYS_I64, n, false, err);
        if (status != SABOT_OK) { break; }
        const int64_t units = timestamp_units_per_ms_num(schema->fields[n_input + p].type);
        int64_t *values = builder.values;
        for (int32_t i = 0; i < n; i++) {
            const int64_t end = assigned->ends[i];
            values[i] = (p == 0 ? window_start_of(&self->slices, end) : p == 1 ? end : end - 1) * units;
        }
        status = column_builder_finish(&builder, &columns[done], err);
        column_builder_clear(&builder);
        done += status == SABOT_OK;
    }
    struct batch *result = NULL;
    if (status == SABOT_OK) {
        status = batch_with_columns(rows, self->own.spec->output, columns, n_input + 3, &result, err);
    } else {
        for (int32_t i = 0; i < done; i++) { column_unref(columns[i]); }
    }
    free(columns);
    return status == SABOT_OK ? out_emit(out, result, err) : status;
}

static sabot_status assign_rows(struct window_assign *self, const struct batch *batch, struct assigned *assigned,
                                struct op_out *out, struct sabot_error *err) {
    for (int32_t r = 0; r < self->splitter.n_runs; r++) {
        const struct slice_run *run = &self->splitter.runs[r];
        for (int64_t end = slice_next_window(&self->slices, run->slice_end, INT64_MIN); end != INT64_MAX;
             end = slice_next_window(&self->slices, run->slice_end, end)) {
            for (int32_t i = 0; i < run->n; i++) {
                assigned->rows[assigned->n] = run->rows ? run->rows[i] : i;
                assigned->ends[assigned->n++] = end;
                if (assigned->n < ROWS_GIVEN_MAX) { continue; }
                SABOT_TRY(give_assigned(self, batch, assigned, out, err));
                assigned->n = 0;
            }
        }
    }
    return assigned->n ? give_assigned(self, batch, assigned, out, err) : SABOT_OK;
}

static sabot_status assign_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    struct window_assign *self = (struct window_assign *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0) { return SABOT_OK; }
    SABOT_TRY(splitter_split(&self->splitter, batch, self->time_column, err));
    if (self->splitter.n_timeless && self->own.metrics) {
        metric_add(&self->own.metrics->rows_late, self->splitter.n_timeless);
    }
    int64_t total = 0;
    for (int32_t r = 0; r < self->splitter.n_runs; r++) {
        total += (int64_t)self->splitter.runs[r].n * windows_of(&self->slices, self->splitter.runs[r].slice_end);
    }
    if (total == 0) { return SABOT_OK; }
    const size_t capacity = total < ROWS_GIVEN_MAX ? (size_t)total : ROWS_GIVEN_MAX;
    void *block;
    SABOT_TRY(memory_alloc(self->own.pool, capacity * 12, &block, err));
    struct assigned assigned = {.ends = block, .rows = (int32_t *)((int64_t *)block + capacity)};
    const sabot_status status = assign_rows(self, batch, &assigned, out, err);
    memory_free(self->own.pool, block, capacity * 12);
    return status;
}

const struct op_type op_window_assign = {
    .name = "window_assign",
    .summary = "give each row once for every window that holds it",
    .open = assign_open,
    .on_batch = assign_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = assign_close,
};
