/* The local phase of a two-phase window aggregation: folds rows by key and slice before they are sent by key, so that
 * few partial results travel instead of many rows.
 *
 * It keeps nothing across a barrier: what it holds goes out before one, when the watermark passes the end of a slice,
 * and when it holds too many groups. It drops no late row; the global phase judges, by the rows that each partial
 * result stands for.
 *
 * Where keys hardly repeat, folding costs a hash table here and saves nothing there. So it watches how many groups
 * become of the rows, and where that is most of them it lets rows through for a while, each as a partial result of one
 * row: columns are passed on as they are, without a look at the keys. Then it tries again.
 *
 * Output: slice_end, rows, keys, then the accumulators' cells but for the first, which is `rows`. */
#include <stdio.h>
#include <stdlib.h>

#include "ops/aggregate/aggregator.h"
#include "ops/window/split.h"
#include "ops/window/window_rows.h"

#define GROUPS_MAX (1 << 18)     /* held at once; above it they go out */
#define JUDGED_GROUPS (1 << 16)  /* with so many groups it is judged whether folding pays, */
#define JUDGED_ROWS_MIN 1024     /* and when they go out, if they were made of so many rows */
#define PAYS_ROWS_MIN 2          /* rows per group */
#define PASSED_PER_JUDGED 32     /* rows are let through for each that was judged before the next try */

enum local_then { THEN_NOTHING, THEN_WATERMARK, THEN_END };

struct window_local {
    struct op op;
    struct op_context own;
    struct slices slices;
    struct splitter splitter;
    struct aggregator aggregator;
    struct state_tables *tables; /* of its own: no state that survives */
    int32_t time_column;
    int64_t groups;
    int64_t created_ns; /* of the oldest rows held; 0 = none */
    /* whether folding pays */
    bool may_pass;      /* single rows can be written as partial results */
    int64_t judged_rows, judged_groups; /* since folding began again */
    int64_t passing;    /* rows that are still to be let through */
    /* flushing */
    int64_t flush_end;  /* slices up to it go out */
    int64_t given;      /* groups of the first of them */
    enum local_then then;
    int64_t watermark_ms;
};

static sabot_status check_calls(const struct window_aggregate_options *options, struct sabot_error *err) {
    for (int32_t i = 0; i < options->n_calls; i++) {
        const struct aggregate_call *call = &options->calls[i];
        if (!call->distinct || call->kind == AGGREGATE_MIN || call->kind == AGGREGATE_MAX) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "DISTINCT can't be aggregated in two phases: plan one");
    }
    return SABOT_OK;
}

sabot_status window_partial_schema(const struct window_aggregate_options *options, const struct schema *input,
                                   struct schema **out, struct sabot_error *err) {
    *out = NULL;
    struct accumulators plan;
    SABOT_TRY(check_calls(options, err));
    SABOT_TRY(accumulators_plan(options->calls, options->n_calls, input, ACCUMULATE_ROWS, &plan, err));
    struct field fields[2 + AGGREGATOR_KEYS_MAX + CELLS_MAX];
    char names[CELLS_MAX][16];
    if (options->n_keys > AGGREGATOR_KEYS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "a GROUP BY of %d columns, at most %d are possible",
                          options->n_keys, AGGREGATOR_KEYS_MAX);
    }
    int32_t n = 0;
    fields[n++] = (struct field){"slice_end", type_not_null(type_of(TYPE_INT64))};
    fields[n++] = (struct field){"rows", type_not_null(type_of(TYPE_INT64))};
    for (int32_t k = 0; k < options->n_keys; k++) { fields[n++] = input->fields[options->keys[k]]; }
    for (int32_t c = 1; c < plan.n_cells; c++) {
        const struct cell *cell = &plan.cells[c];
        const bool is_extreme = cell->op == CELL_MIN || cell->op == CELL_MAX;
        snprintf(names[c], sizeof names[c], "c%d", c);
        /* the least of nothing travels as NULL */
        fields[n++] = (struct field){names[c], is_extreme ? type_nullable(cell->type) : cell->type};
    }
    return schema_new(fields, n, out, err);
}

static void local_close(struct op *op) {
    struct window_local *self = (struct window_local *)op;
    if (self->aggregator.pool) { aggregator_clear(&self->aggregator); }
    splitter_clear(&self->splitter);
    state_tables_free(self->tables);
    free(self);
}

static sabot_status open_parts(struct window_local *self, struct sabot_error *err) {
    const struct op_context *context = &self->own;
    const struct window_aggregate_options *options = context->spec->options;
    SABOT_TRY(check_calls(options, err));
    SABOT_TRY(slices_init(&self->slices, &options->window, err));
    self->time_column = options->window.time_column;
    splitter_init(&self->splitter, context->pool, &self->slices,
                  timestamp_units_per_ms_num(context->input->fields[self->time_column].type),
                  options->window.times_are_ends);
    const struct state_context state = {.pool = context->pool,
                                        .metrics = context->metrics,
                                        .backend = "memory",
                                        .subtask = 0,
                                        .parallelism = 1,
                                        .max_parallelism = context->max_parallelism};
    SABOT_TRY(state_tables_new(&state, &self->tables, err));
    self->may_pass = true;
    for (int32_t i = 0; i < options->n_calls; i++) {
        const struct aggregate_call *call = &options->calls[i];
        const bool is_extreme = call->kind == AGGREGATE_MIN || call->kind == AGGREGATE_MAX;
        self->may_pass &= !is_extreme || call->filter < 0; /* others need no NULL where there was none */
    }
    const struct aggregator_options aggregator = {
        .keys = options->keys,
        .n_keys = options->n_keys,
        .calls = options->calls,
        .n_calls = options->n_calls,
        .input = context->input,
        .flags = ACCUMULATE_ROWS | (context->program.wrap_overflow ? ACCUMULATE_WRAP : 0),
    };
    return aggregator_open(&self->aggregator, &aggregator, self->tables, "partials", context->pool, err);
}

static sabot_status local_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct window_local *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a window aggregation"); }
    self->op.type = &op_window_local;
    self->own = *context;
    const sabot_status status = open_parts(self, err);
    if (status != SABOT_OK) {
        local_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

/* --- giving out */
/* A cell as a column of the partial result: MIN and MAX of nothing are NULL. */
static sabot_status partial_cell(struct window_local *self, int32_t c, const struct batch *rows, struct column **out,
                                 struct sabot_error *err) {
    const struct accumulators *plan = &self->aggregator.accumulators;
    const int32_t first = self->aggregator.n_keys;
    struct column *column = rows->columns[first + c];
    int32_t count = -1;
    for (int32_t i = 0; i < plan->n_calls && count < 0; i++) {
        if (plan->calls[i].value == c && plan->cells[c].op != CELL_COUNT) { count = plan->calls[i].count; }
    }
    if ((plan->cells[c].op != CELL_MIN && plan->cells[c].op != CELL_MAX) || count < 0) {
        *out = column_ref(column);
        return SABOT_OK;
    }
    const int64_t *counts = rows->columns[first + count]->values;
    struct buffer *validity;
    const size_t size = ((size_t)rows->rows + 63) / 64 * 8;
    SABOT_TRY(buffer_new(self->own.pool, size, &validity, err));
    uint64_t *bits = (uint64_t *)(void *)validity->data;
    memset(bits, 0xff, size);
    for (int32_t i = 0; i < rows->rows; i++) {
        if (counts[i] == 0) { bits[i >> 6] &= ~(UINT64_C(1) << (i & 63)); }
    }
    struct buffer **owners = malloc((size_t)(column->n_owners + 1) * sizeof *owners);
    if (!owners) {
        buffer_unref(validity);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    }
    for (int32_t i = 0; i < column->n_owners; i++) { owners[i] = buffer_ref(column->owners[i]); }
    owners[column->n_owners] = validity;
    const sabot_status status = column_new((enum phys)column->phys, column->length, bits, column->values, owners,
                                           column->n_owners + 1, NULL, 0, out, err);
    free(owners);
    return status;
}

static sabot_status give_partials(struct window_local *self, int64_t slice_end, int32_t n, struct op_out *out,
                                  struct sabot_error *err) {
    const int32_t n_keys = self->aggregator.n_keys, n_cells = self->aggregator.accumulators.n_cells;
    BATCH_OWNED struct batch *rows = NULL;
    SABOT_TRY(state_read(self->aggregator.table, slice_end, self->given, n, &rows, err));
    struct column *columns[2 + AGGREGATOR_KEYS_MAX + CELLS_MAX];
    int32_t n_columns = 0;
    sabot_status status = column_constant(self->own.pool, PHYS_I64, &slice_end, n, &columns[0], err);
    if (status == SABOT_OK) {
        n_columns = 1;
        columns[n_columns++] = column_ref(rows->columns[n_keys]);
        for (int32_t k = 0; k < n_keys; k++) { columns[n_columns++] = column_ref(rows->columns[k]); }
    }
    for (int32_t c = 1; c < n_cells && status == SABOT_OK; c++) {
        status = partial_cell(self, c, rows, &columns[n_columns], err);
        n_columns += status == SABOT_OK;
    }
    if (status != SABOT_OK) {
        for (int32_t i = 0; i < n_columns; i++) { column_unref(columns[i]); }
        return status;
    }
    struct batch *batch;
    SABOT_TRY(batch_new(self->own.spec->output, columns, n_columns, n, &batch, err));
    batch->created_ns = self->created_ns;
    self->given += n;
    return out_emit(out, batch, err);
}

/* Looks at how many groups the rows since the last look became. */
static void judge(struct window_local *self) {
    if (self->may_pass && self->judged_groups * PAYS_ROWS_MIN > self->judged_rows) {
        self->passing = self->judged_rows * PASSED_PER_JUDGED;
    }
    self->judged_rows = self->judged_groups = 0;
}

/* Gives out slices up to flush_end; stops when the output is full, unless it must not. */
static sabot_status flush(struct window_local *self, bool may_stop, struct op_out *out, struct sabot_error *err) {
    self->op.busy = true;
    for (;;) {
        const int64_t *ends;
        int32_t n_slices;
        SABOT_TRY(state_namespaces(self->aggregator.table, &ends, &n_slices, err));
        if (n_slices == 0 || ends[0] > self->flush_end) { break; }
        const int64_t slice_end = ends[0], count = state_count(self->aggregator.table, slice_end);
        while (self->given < count) {
            if (may_stop && out_is_full(out)) { return SABOT_OK; }
            const int64_t left = count - self->given;
            const int32_t n = left < self->own.batch_rows ? (int32_t)left : self->own.batch_rows;
            SABOT_TRY(give_partials(self, slice_end, n, out, err));
        }
        aggregator_drop(&self->aggregator, slice_end);
        self->groups -= count;
        self->given = 0;
    }
    self->op.busy = false;
    if (self->groups == 0) {
        self->created_ns = 0;
        if (self->judged_rows >= JUDGED_ROWS_MIN) { judge(self); }
    }
    const enum local_then then = self->then;
    self->then = THEN_NOTHING;
    switch (then) {
    case THEN_NOTHING: return SABOT_OK;
    case THEN_WATERMARK: return out->watermark(out, self->watermark_ms, err);
    case THEN_END: return out->end(out, err);
    }
    return SABOT_OK;
}

/* --- letting rows through */
#define WIDEN(source_type, cell_type)                                                                                  \
    do {                                                                                                               \
        const source_type *const source = column->values;                                                              \
        cell_type *const cells = builder->values;                                                                      \
        for (int32_t i = 0; i < batch->selected; i++) {                                                                \
            const int32_t row = batch->selection ? batch->selection[i] : i;                                            \
            cells[row] = takes && !takes[row] ? 0 : (cell_type)source[row & mask];                                     \
        }                                                                                                              \
    } while (0)
/* takes: per physical row whether it counts; NULL = all do. */
static void widen(const struct batch *batch, const struct column *column, const uint8_t *takes,
                  struct column_builder *builder) {
    const int32_t mask = column->constant ? 0 : -1;
    switch ((enum phys)column->phys) {
    case PHYS_I8: WIDEN(int8_t, int64_t); break;
    case PHYS_I16: WIDEN(int16_t, int64_t); break;
    case PHYS_I32: WIDEN(int32_t, int64_t); break;
    case PHYS_I64:
        if (builder->phys == PHYS_I128) {
            WIDEN(int64_t, __int128);
        } else {
            WIDEN(int64_t, int64_t);
        }
        break;
    case PHYS_I128: WIDEN(__int128, __int128); break;
    case PHYS_F32: WIDEN(float, double); break;
    default: WIDEN(double, double); break;
    }
}

/* What a cell is for single rows of which some may not count. */
static sabot_status fill_cell(const struct cell *cell, const struct batch *batch, bool some_may_not,
                              struct column_builder *builder, struct sabot_error *err) {
    uint8_t *takes = NULL;
    if (some_may_not) {
        SABOT_TRY(memory_alloc(builder->pool, (size_t)batch->rows, (void **)&takes, err));
        const struct column *argument = cell->argument >= 0 ? batch->columns[cell->argument] : NULL;
        const struct column *filter = cell->filter >= 0 ? batch->columns[cell->filter] : NULL;
        for (int32_t i = 0; i < batch->selected; i++) {
            const int32_t row = batch_row(batch, i);
            bool taken = !argument || !column_is_null(argument, row);
            if (filter) {
                taken = taken && !column_is_null(filter, row) &&
                        ((const uint8_t *)filter->values)[column_at(filter, row)];
            }
            takes[row] = taken;
        }
    }
    if (cell->op == CELL_COUNT) {
        int64_t *counts = builder->values;
        for (int32_t i = 0; i < batch->selected; i++) {
            const int32_t row = batch_row(batch, i);
            counts[row] = !takes || takes[row];
        }
    } else {
        widen(batch, batch->columns[cell->argument], takes, builder);
    }
    if (takes) { memory_free(builder->pool, takes, (size_t)batch->rows); }
    return SABOT_OK;
}

/* A cell as a column of the partial results that single rows are. */
static sabot_status single_cell(struct window_local *self, int32_t c, const struct batch *batch, struct column **out,
                                struct sabot_error *err) {
    static const int64_t one = 1;
    const struct cell *cell = &self->aggregator.accumulators.cells[c];
    struct column *argument = cell->argument >= 0 ? batch->columns[cell->argument] : NULL;
    const bool some_may_not = cell->filter >= 0 || (argument && (argument->validity || argument->phys == PHYS_NULL));
    if (cell->op == CELL_COUNT && !some_may_not) {
        return column_constant(self->own.pool, PHYS_I64, &one, batch->rows, out, err);
    }
    const bool is_extreme = cell->op == CELL_MIN || cell->op == CELL_MAX;
    if (is_extreme || (cell->op == CELL_SUM && !some_may_not && argument->phys == type_phys(cell->type))) {
        *out = column_ref(argument);
        return SABOT_OK;
    }
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, self->own.pool, type_phys(cell->type), batch->rows, false, err));
    sabot_status status = fill_cell(cell, batch, some_may_not, &builder, err);
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

/* The slice of each row. */
static sabot_status slice_ends(struct window_local *self, const struct batch *batch, struct column **out,
                               struct sabot_error *err) {
    const struct splitter *splitter = &self->splitter;
    if (splitter->n_runs == 1) {
        return column_constant(self->own.pool, PHYS_I64, &splitter->runs[0].slice_end, batch->rows, out, err);
    }
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, batch->rows, false, err));
    int64_t *ends = builder.values;
    for (int32_t r = 0; r < splitter->n_runs; r++) {
        const struct slice_run *run = &splitter->runs[r];
        for (int32_t i = 0; i < run->n; i++) { ends[run->rows ? run->rows[i] : i] = run->slice_end; }
    }
    const sabot_status status = column_builder_finish(&builder, out, err);
    column_builder_clear(&builder);
    return status;
}

static sabot_status pass(struct window_local *self, const struct batch *batch, struct op_out *out,
                         struct sabot_error *err) {
    static const int64_t one = 1;
    const int32_t n_keys = self->aggregator.n_keys, n_cells = self->aggregator.accumulators.n_cells;
    struct column *columns[2 + AGGREGATOR_KEYS_MAX + CELLS_MAX];
    int32_t n_columns = 0;
    sabot_status status = slice_ends(self, batch, &columns[0], err);
    n_columns += status == SABOT_OK;
    if (status == SABOT_OK) { status = column_constant(self->own.pool, PHYS_I64, &one, batch->rows, &columns[1], err); }
    n_columns += status == SABOT_OK;
    for (int32_t k = 0; k < n_keys && status == SABOT_OK; k++) {
        columns[n_columns++] = column_ref(batch->columns[self->aggregator.keys[k]]);
    }
    for (int32_t c = 1; c < n_cells && status == SABOT_OK; c++) {
        status = single_cell(self, c, batch, &columns[n_columns], err);
        n_columns += status == SABOT_OK;
    }
    if (status != SABOT_OK) {
        for (int32_t i = 0; i < n_columns; i++) { column_unref(columns[i]); }
        return status;
    }
    struct batch *partials;
    SABOT_TRY(batch_with_columns(batch, self->own.spec->output, columns, n_columns, &partials, err));
    self->passing -= batch->selected;
    return out_emit(out, partials, err);
}

/* All rows of the split batch are in windows, so that its columns can be passed on as they stand. */
static bool all_in_windows(const struct window_local *self) {
    bool all = self->splitter.n_timeless == 0;
    for (int32_t i = 0; i < self->splitter.n_runs && all; i++) {
        all = slice_last_window(&self->slices, self->splitter.runs[i].slice_end) != INT64_MIN;
    }
    return all;
}

/* --- events */
static sabot_status local_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                   struct sabot_error *err) {
    (void)input;
    struct window_local *self = (struct window_local *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0) { return SABOT_OK; }
    SABOT_TRY(splitter_split(&self->splitter, batch, self->time_column, err));
    if (self->passing > 0 && all_in_windows(self)) { return pass(self, batch, out, err); }
    if (!self->created_ns) { self->created_ns = batch->created_ns; }
    SABOT_TRY(aggregator_prepare(&self->aggregator, &batch, err));
    if (self->splitter.n_timeless) {
        SABOT_TRY(window_late(&self->own, self->own.spec->options, batch, self->splitter.timeless,
                              self->splitter.n_timeless, "no time", INT64_MAX, WATERMARK_NONE, NULL, err));
    }
    for (int32_t i = 0; i < self->splitter.n_runs; i++) {
        const struct slice_run *run = &self->splitter.runs[i];
        if (slice_last_window(&self->slices, run->slice_end) == INT64_MIN) { continue; }
        const int64_t before = state_count(self->aggregator.table, run->slice_end);
        SABOT_TRY(aggregator_add(&self->aggregator, run->slice_end, batch, run->rows, run->n, err));
        const int64_t fresh = state_count(self->aggregator.table, run->slice_end) - before;
        self->groups += fresh;
        self->judged_groups += fresh;
        self->judged_rows += run->n;
    }
    if (self->judged_groups >= JUDGED_GROUPS) { judge(self); }
    if (self->groups <= GROUPS_MAX && self->passing <= 0) { return SABOT_OK; }
    self->flush_end = INT64_MAX;
    return flush(self, true, out, err);
}

static sabot_status local_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                       struct sabot_error *err) {
    struct window_local *self = (struct window_local *)op;
    self->flush_end = watermark_ms == INT64_MAX ? INT64_MAX : watermark_ms + 1;
    self->watermark_ms = watermark_ms;
    self->then = THEN_WATERMARK;
    return flush(self, true, out, err);
}

/* An idle input lets others set the watermark: nothing of it may stay behind. */
static sabot_status local_on_idle(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct window_local *self = (struct window_local *)op;
    self->flush_end = INT64_MAX;
    SABOT_TRY(flush(self, false, out, err));
    return out->idle(out, err);
}

static sabot_status local_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct window_local *self = (struct window_local *)op;
    self->flush_end = INT64_MAX;
    self->then = THEN_END;
    return flush(self, true, out, err);
}

static sabot_status local_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? flush((struct window_local *)op, true, out, err) : SABOT_OK;
}

static sabot_status local_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                         struct sabot_error *err) {
    (void)checkpoint_id;
    struct window_local *self = (struct window_local *)op;
    self->flush_end = INT64_MAX;
    return flush(self, false, out, err);
}

const struct op_type op_window_local = {
    .name = "window_local",
    .summary = "aggregate by key and window before rows are sent by key",
    .open = local_open,
    .on_batch = local_on_batch,
    .on_watermark = local_on_watermark,
    .on_idle = local_on_idle,
    .on_end = local_on_end,
    .resume = local_resume,
    .before_barrier = local_before_barrier,
    .on_complete = op_default_on_complete,
    .close = local_close,
};
