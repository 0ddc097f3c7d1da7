/* Window aggregation: groups rows by key and slice, and gives out a window when the watermark reaches its end.
 *
 * Overlapping windows share slices: a row is counted once, whatever the overlap; when a window fires its slices are
 * merged into working space (a tumble has one slice and is read where it stands; a cumulate goes on with what the
 * window before it had). There is one timer per window, not per key: the sorted list of slices is the list of timers.
 * Windows fire in order of their ends; the watermark is passed on behind the last. Results go out in batches: when the
 * output is full the operator stops between two of them and goes on in resume().
 *
 * State: table "panes" (namespace = end of a slice) and the list "fired": the watermark up to which windows have
 * fired, so that a restored job fires no window twice and takes no late row that it refused before. */
#include <assert.h>
#include <stdlib.h>

#include "ops/window/panes.h"
#include "ops/window/progress.h"
#include "ops/window/window_rows.h"
#include "time/lateness.h"

struct window_aggregate {
    struct op op;
    struct op_context own;
    const struct window_aggregate_options *options;
    struct slices slices;
    struct splitter splitter;
    struct aggregator aggregator;
    int32_t time_column;
    struct window_progress progress;
    int64_t watermark_ms;   /* windows that end before it have fired */
    int64_t created_ns;     /* of the newest rows: results are as old as the row that made them due */
    /* firing; window_end INT64_MAX = none */
    int64_t target_ms;      /* the watermark that is being worked off */
    int64_t fired_end;      /* the last window that was given out */
    int64_t window_end, source; /* the window that is being given out, the namespace that holds it */
    int64_t given;          /* groups of it */
};

static void window_close(struct op *op) {
    struct window_aggregate *self = (struct window_aggregate *)op;
    if (self->aggregator.pool) { aggregator_clear(&self->aggregator); }
    splitter_clear(&self->splitter);
    window_progress_clear(&self->progress);
    free(self);
}

/* --- open */
static sabot_status open_parts(struct window_aggregate *self, struct sabot_error *err) {
    const struct op_context *context = &self->own;
    SABOT_TRY(window_panes_open(context, &self->slices, &self->splitter, &self->aggregator, &self->time_column, err));
    return window_progress_open(&self->progress, context, &self->watermark_ms, err);
}

static sabot_status window_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct window_aggregate *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a window aggregation"); }
    self->op.type = &op_window_aggregate;
    self->own = *context;
    self->options = context->spec->options;
    self->watermark_ms = WATERMARK_NONE;
    self->window_end = INT64_MAX;
    const sabot_status status = open_parts(self, err);
    if (status != SABOT_OK) {
        window_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

/* --- rows */
static sabot_status give_late(struct window_aggregate *self, const struct batch *batch, const int32_t *rows, int32_t n,
                              const char *rule, int64_t closes_ms, struct sabot_error *err) {
    return window_late(&self->own, self->options, batch, rows, n, rule, closes_ms,
                       self->watermark_ms, &self->progress, err);
}

/* Behind a restore: rows of key groups that had fired further than this task. */
static sabot_status take_run_by_group(struct window_aggregate *self, const struct batch *batch,
                                      const struct slice_run *run, int64_t closes, struct sabot_error *err) {
    int32_t *kept = malloc((size_t)run->n * 2 * sizeof *kept), n;
    if (!kept) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a window aggregation"); }
    int32_t *late = kept + run->n;
    window_progress_split(&self->progress, batch, run->rows, run->n, closes, 0, kept, &n, late);
    sabot_status status = SABOT_OK;
    if (n < run->n) { status = give_late(self, batch, late, run->n - n, "window", closes, err); }
    if (status == SABOT_OK && n > 0) {
        status = aggregator_add(&self->aggregator, run->slice_end, batch, kept, n, err);
    }
    free(kept);
    return status;
}

static sabot_status take_run(struct window_aggregate *self, const struct batch *batch, const struct slice_run *run,
                             struct sabot_error *err) {
    const int64_t closes = slice_last_window(&self->slices, run->slice_end);
    if (closes == INT64_MIN) { return SABOT_OK; } /* between the windows of a hop with gaps */
    if (late_choose(closes, 0, self->watermark_ms, true) != LATE_TAKE) {
        return give_late(self, batch, run->rows, run->n, "window", closes, err);
    }
    if (window_progress_splits(&self->progress, closes, 0)) {
        return take_run_by_group(self, batch, run, closes, err);
    }
    return aggregator_add(&self->aggregator, run->slice_end, batch, run->rows, run->n, err);
}

static sabot_status window_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    (void)out;
    struct window_aggregate *self = (struct window_aggregate *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0) { return SABOT_OK; }
    if (batch->created_ns) { self->created_ns = batch->created_ns; }
    SABOT_TRY(splitter_split(&self->splitter, batch, self->time_column, err));
    SABOT_TRY(aggregator_prepare(&self->aggregator, &batch, err));
    if (self->splitter.n_timeless) {
        SABOT_TRY(
            give_late(self, batch, self->splitter.timeless, self->splitter.n_timeless, "no time", INT64_MAX, err));
    }
    for (int32_t i = 0; i < self->splitter.n_runs; i++) {
        SABOT_TRY(take_run(self, batch, &self->splitter.runs[i], err));
    }
    return SABOT_OK;
}

/* --- firing */
/* Behind a restore: without the key groups for which the window had fired. */
static sabot_status keep_due(struct window_aggregate *self, struct batch **batch, struct sabot_error *err) {
    struct buffer *due;
    struct batch *kept = NULL;
    int32_t n = 0;
    SABOT_TRY(buffer_new(self->own.pool, (size_t)(*batch)->rows * sizeof(int32_t), &due, err));
    sabot_status status = window_progress_due(&self->progress, self->own.pool, *batch, self->aggregator.n_keys,
                                              self->window_end, 0, (int32_t *)(void *)due->data, &n, err);
    if (status != SABOT_OK) {
        buffer_unref(due);
        return status;
    }
    status = batch_with_selection(*batch, due, n, &kept, err);
    if (status != SABOT_OK) { return status; }
    batch_unref(*batch);
    *batch = kept;
    return SABOT_OK;
}

static sabot_status give_results(struct window_aggregate *self, int32_t n, struct op_out *out,
                                 struct sabot_error *err) {
    const struct schema *schema = self->own.spec->output;
    const int32_t n_results = self->aggregator.n_keys + self->aggregator.accumulators.n_calls;
    struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX + 8] = {NULL};
    assert(n_results + self->options->n_properties == schema->n_fields && self->options->n_properties <= 8);
    SABOT_TRY(aggregator_results(&self->aggregator, self->source, self->given, n, schema, columns, err));
    int32_t n_columns = n_results;
    for (int32_t i = 0; i < self->options->n_properties; i++) {
        const sabot_status status = window_property_column(self->own.pool, &self->slices,
                                                           self->options->properties[i], self->window_end,
                                                           schema->fields[n_columns].type, n, &columns[n_columns],
                                                           err);
        if (status != SABOT_OK) {
            for (int32_t c = 0; c < n_columns; c++) { column_unref(columns[c]); }
            return status;
        }
        n_columns++;
    }
    BATCH_OWNED struct batch *batch = NULL;
    SABOT_TRY(batch_new((struct schema *)(uintptr_t)schema, columns, n_columns, n, &batch, err));
    batch->created_ns = self->created_ns;
    self->given += n;
    if (self->aggregator.n_keys && window_progress_splits(&self->progress, self->window_end, 0)) {
        SABOT_TRY(keep_due(self, &batch, err));
    }
    return batch->selected ? out_emit(out, batch_ref(batch), err) : SABOT_OK;
}

/* The least end of a window that holds rows and ends behind `after`; INT64_MAX = none. Slices are sorted and so are the
 * ends of the first windows that hold them, so the first that has one has the least. */
static sabot_status next_window(struct window_aggregate *self, int64_t after, int64_t *window_end,
                                struct sabot_error *err) {
    const int64_t *ends;
    int32_t n;
    SABOT_TRY(state_namespaces(self->aggregator.table, &ends, &n, err));
    *window_end = INT64_MAX;
    for (int32_t i = 0; i < n && *window_end == INT64_MAX; i++) {
        *window_end = slice_next_window(&self->slices, ends[i], after);
    }
    return SABOT_OK;
}

/* A cumulate's window is the one before it and one slice more: all slices so far are folded into the largest, which
 * from now on is that of this window. */
static sabot_status gather_cumulate(struct window_aggregate *self, const int64_t *ends, int32_t n,
                                    struct sabot_error *err) {
    int64_t into = ends[0], most = -1;
    for (int32_t i = 0; i < n; i++) {
        const int64_t count = state_count(self->aggregator.table, ends[i]);
        if (count > most) {
            most = count;
            into = ends[i];
        }
    }
    int64_t others[64];
    while (n > 1) { /* the list of namespaces changes with every drop, so it is copied, some at a time */
        int32_t m = 0;
        for (int32_t i = 0; i < n && m < 64; i++) {
            if (ends[i] != into) { others[m++] = ends[i]; }
        }
        for (int32_t i = 0; i < m; i++) {
            SABOT_TRY(aggregator_merge(&self->aggregator, others[i], into, err));
            aggregator_drop(&self->aggregator, others[i]);
        }
        int32_t first;
        SABOT_TRY(window_panes_of(self->aggregator.table, &self->slices, self->window_end, &ends, &first, &n, err));
        ends += first;
    }
    if (into != self->window_end) { aggregator_rename(&self->aggregator, into, self->window_end); }
    self->source = self->window_end;
    return SABOT_OK;
}

/* Makes self->source the namespace that holds the window's groups. */
static sabot_status gather_window(struct window_aggregate *self, struct sabot_error *err) {
    const int64_t *ends;
    int32_t first, n;
    SABOT_TRY(window_panes_of(self->aggregator.table, &self->slices, self->window_end, &ends, &first, &n, err));
    assert(n > 0);
    self->given = 0;
    if (self->slices.kind == WINDOW_CUMULATE) { return gather_cumulate(self, ends + first, n, err); }
    self->source = ends[first];
    if (n == 1) { return SABOT_OK; }
    self->source = STATE_NAMESPACE_SCRATCH;
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(aggregator_merge(&self->aggregator, ends[first + i], STATE_NAMESPACE_SCRATCH, err));
        SABOT_TRY(state_namespaces(self->aggregator.table, &ends, &(int32_t){0}, err));
    }
    return SABOT_OK;
}

/* Slices that no later window holds. */
static sabot_status drop_done(struct window_aggregate *self, struct sabot_error *err) {
    if (self->source == STATE_NAMESPACE_SCRATCH) { aggregator_drop(&self->aggregator, STATE_NAMESPACE_SCRATCH); }
    for (;;) {
        const int64_t *ends;
        int32_t n;
        SABOT_TRY(state_namespaces(self->aggregator.table, &ends, &n, err));
        if (n == 0 || slice_last_window(&self->slices, ends[0]) > self->window_end) { return SABOT_OK; }
        aggregator_drop(&self->aggregator, ends[0]);
    }
}

/* Fires what is due until the output is full or nothing is left; then passes the watermark on. */
static sabot_status fire(struct window_aggregate *self, struct op_out *out, struct sabot_error *err) {
    self->op.busy = true;
    for (;;) {
        if (self->window_end == INT64_MAX) {
            SABOT_TRY(next_window(self, self->fired_end, &self->window_end, err));
            if (self->window_end == INT64_MAX || self->window_end - 1 > self->target_ms) { break; }
            SABOT_TRY(gather_window(self, err));
        }
        const int64_t count = state_count(self->aggregator.table, self->source);
        while (self->given < count) {
            if (out_is_full(out)) { return SABOT_OK; }
            const int64_t left = count - self->given;
            const int32_t most = left < self->own.batch_rows ? (int32_t)left : self->own.batch_rows;
            const int32_t n = aggregator_rows_fit(&self->aggregator, self->source, NULL, self->given, most);
            SABOT_TRY(give_results(self, n, out, err));
        }
        SABOT_TRY(drop_done(self, err));
        self->fired_end = self->window_end;
        self->window_end = INT64_MAX;
    }
    self->window_end = INT64_MAX;
    self->op.busy = false;
    self->watermark_ms = self->target_ms;
    if (self->own.metrics) {
        atomic_store_explicit(&self->own.metrics->watermark_ms, self->watermark_ms, memory_order_relaxed);
    }
    return out->watermark(out, self->target_ms, err);
}

static sabot_status window_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                        struct sabot_error *err) {
    struct window_aggregate *self = (struct window_aggregate *)op;
    if (watermark_ms <= self->watermark_ms) { /* behind a restore the sources begin anew */
        return watermark_ms == self->watermark_ms ? out->watermark(out, watermark_ms, err) : SABOT_OK;
    }
    self->fired_end = self->watermark_ms == WATERMARK_NONE ? INT64_MIN : self->watermark_ms + 1;
    self->target_ms = watermark_ms;
    return fire(self, out, err);
}

static sabot_status window_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct window_aggregate *self = (struct window_aggregate *)op;
    return op->busy ? fire(self, out, err) : SABOT_OK;
}

static sabot_status window_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                          struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct window_aggregate *self = (struct window_aggregate *)op;
    return window_progress_keep(&self->progress, self->own.pool, self->watermark_ms, err);
}

const struct op_type op_window_aggregate = {
    .name = "window_aggregate",
    .summary = "aggregate by key and window",
    .open = window_open,
    .on_batch = window_on_batch,
    .on_watermark = window_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = window_resume,
    .before_barrier = window_before_barrier,
    .on_complete = op_default_on_complete,
    .close = window_close,
    .stateful = true,
    .declares_state = true,
};
