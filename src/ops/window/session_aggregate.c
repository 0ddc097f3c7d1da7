/* Session aggregation: groups rows by key and session, and gives a session out when the watermark reaches its end.
 *
 * A session is the rows of a key between which no gap is longer than that of the window; it ends a gap behind its last
 * row. Its accumulators are a group of the table "sessions", its bounds are two cells more, MIN and MAX of the time: to
 * merge two sessions is to merge two groups. A key's latest session is in namespace 0; where rows come out of order, or
 * the watermark is far behind, earlier ones that are still open are in namespaces 1..n, dense for each key. A row of
 * the latest session, which nearly every row is, is found with all others of its batch at once and folded with them.
 *
 * A row is first put into the session it touches, also an old row, and only a row that touches none is judged late, by
 * the end that it would have alone (Flink's rule). Sessions that touch are one.
 *
 * DISTINCT values stand in cells, too, so that sessions that become one make one set of theirs.
 *
 * Firing scans the ends of all sessions, but only when the watermark has reached the least that may be due. Results go
 * out in batches; when the output is full the operator goes on in resume(). State: "sessions", and the list "fired"
 * (the watermark handled), so that a restored job takes no row that it refused before. While state is on disk, rows and
 * the watermarks behind them are held until there are many (ops/held.h). */
#include <assert.h>
#include <stdlib.h>

#include "ops/aggregate/aggregator.h"
#include "ops/held.h"
#include "ops/window/progress.h"
#include "ops/window/slices.h"
#include "ops/window/window_rows.h"
#include "time/lateness.h"

#define LEVELS_MAX 100000 /* open sessions of one key */
#define RELAX_ROWS 256    /* of state here and there */
#define SCAN_ROWS 8192    /* of one cell in its order */

struct session {
    struct op op;
    struct op_context own;
    const struct window_aggregate_options *options;
    struct aggregate_call *calls; /* those of the options, MIN(time), MAX(time) */
    struct aggregator aggregator;
    struct state_table *table; /* the aggregator's */
    int32_t least, most;       /* cells: the bounds */
    int64_t gap_ms, units;     /* units of the time column per ms */
    struct window_progress progress;
    int64_t watermark_ms;
    int64_t created_ns;
    int64_t due_ms; /* no session is due before the watermark reaches it */
    /* the batch that is being taken */
    struct batch *batch;
    struct state_cells latest_least, latest_most; /* bounds at level 0 */
    int32_t *rows, *pending_rows, *pending_slots, *late, *vacant;
    int32_t n_pending, n_late, n_vacant, capacity;
    /* firing */
    int64_t target_ms;
    int64_t level;      /* that is being scanned */
    int32_t cursor;     /* slots below it are to be scanned yet */
    int64_t least_left; /* time of the last row of the session that ends first, of those that stay */
    int32_t *due, n_due, n_given;
    /* what waits while state is on disk */
    struct held held;
    struct held_pace pace;
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a session aggregation");
}

static void session_close(struct op *op) {
    struct session *self = (struct session *)op;
    if (self->aggregator.pool) { aggregator_clear(&self->aggregator); }
    window_progress_clear(&self->progress);
    held_clear(&self->held);
    free(self->calls);
    free(self->rows);
    free(self->due);
    free(self);
}

/* ---- open -------------------------------------------------------------------------------------------------------- */

static sabot_status open_parts(struct session *self, struct sabot_error *err) {
    const struct window_aggregate_options *options = self->options;
    const struct op_context *context = &self->own;
    const int32_t n = options->n_calls, time_column = options->window.time_column;
    const struct type time = context->input->fields[time_column].type;
    self->gap_ms = options->window.size_ms;
    self->units = timestamp_units_per_ms_num(time);
    self->calls = calloc((size_t)n + 2, sizeof *self->calls);
    self->due = calloc((size_t)context->batch_rows, sizeof *self->due);
    if (!self->calls || !self->due) { return no_memory(err); }
    if (n > 0) { memcpy(self->calls, options->calls, (size_t)n * sizeof *self->calls); }
    for (int32_t i = 0; i < 2; i++) {
        self->calls[n + i] = (struct aggregate_call){.kind = i == 0 ? AGGREGATE_MIN : AGGREGATE_MAX,
                                                     .argument = time_column, .filter = -1, .type = time};
    }
    const struct aggregator_options aggregator = {
        .keys = options->keys, .n_keys = options->n_keys, .calls = self->calls, .n_calls = n + 2,
        .input = context->input, .flags = (context->program.wrap_overflow ? ACCUMULATE_WRAP : 0) | ACCUMULATE_SET_CELLS,
    };
    SABOT_TRY(aggregator_open(&self->aggregator, &aggregator, context->state, "sessions", context->pool, err));
    self->table = self->aggregator.table;
    self->least = self->aggregator.accumulators.calls[n].value;
    self->most = self->aggregator.accumulators.calls[n + 1].value;
    return window_progress_open(&self->progress, context, &self->watermark_ms, err);
}

static sabot_status session_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct session *self = calloc(1, sizeof *self);
    if (!self) { return no_memory(err); }
    self->op.type = &op_session_aggregate;
    self->own = *context;
    self->options = context->spec->options;
    self->watermark_ms = WATERMARK_NONE;
    self->held.pool = context->pool;
    self->due_ms = INT64_MIN; /* unknown what a restore has brought */
    const sabot_status status = open_parts(self, err);
    if (status != SABOT_OK) {
        session_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

/* ---- one session ------------------------------------------------------------------------------------------------- */

static inline int64_t to_ms(const struct session *self, int64_t time) {
    return self->units == 1 ? time : floor_div(time, self->units);
}

static int64_t *bound_at(const struct session *self, int64_t level, int32_t cell, int32_t slot) {
    const struct state_cells cells = state_cells(self->table, level, cell);
    return state_cell(&cells, slot);
}

/* Who is meant: a row whose key columns hold the key. */
struct who {
    const struct batch *batch;
    const int32_t *keys;
    int32_t row;
};

static int32_t find_at(const struct session *self, const struct who *who, int64_t level) {
    int32_t slot = -1;
    state_find(self->table, level, who->batch, who->keys, &who->row, 1, &slot);
    return slot;
}

/* A group of nothing. */
static sabot_status reset(struct session *self, int64_t level, int32_t slot, struct sabot_error *err) {
    const struct accumulators *accumulators = &self->aggregator.accumulators;
    state_touch(self->table, level, &slot, 1);
    for (int32_t c = 0; c < accumulators->n_cells; c++) {
        const enum phys phys = type_phys(accumulators->cells[c].type);
        const struct string_view none = string_view_of("", 0);
        if (phys == PHYS_VIEW) { /* its bytes are given back */
            SABOT_TRY(state_set_view(self->table, level, c, slot, none, err));
            continue;
        }
        const struct state_cells cells = state_cells(self->table, level, c);
        memset(state_cell(&cells, slot), 0, phys_size(phys));
    }
    accumulators_init(accumulators, self->table, level, slot, (int64_t)slot + 1);
    return SABOT_OK;
}

static void find_latest(struct session *self) {
    self->latest_least = state_cells(self->table, 0, self->least);
    self->latest_most = state_cells(self->table, 0, self->most);
}

/* Folds a session into that of the same key at another level, where an empty one is made if there is none. */
static sabot_status fold_into(struct session *self, int64_t from, int32_t slot, int64_t into,
                              struct sabot_error *err) {
    const struct accumulators *accumulators = &self->aggregator.accumulators;
    const int64_t before = state_count(self->table, into);
    int32_t target = -1;
    SABOT_TRY(state_merge(self->table, from, slot, 1, into, &target, err));
    if (into == 0) { find_latest(self); } /* they may have moved */
    accumulators_init(accumulators, self->table, into, before, state_count(self->table, into));
    return accumulators_merge(accumulators, self->table, from, slot, 1, into, &target, err);
}

/* Takes a session at level >= 1 away: the key's last level moves into its place. */
static sabot_status remove_at(struct session *self, const struct who *who, int64_t level, int32_t slot,
                              struct sabot_error *err) {
    int64_t last = level;
    int32_t last_slot = slot;
    for (int32_t next = slot; next >= 0;) {
        next = find_at(self, who, last + 1);
        if (next < 0) { break; }
        last_slot = next;
        last++;
    }
    if (last > level) {
        SABOT_TRY(reset(self, level, slot, err));
        SABOT_TRY(fold_into(self, last, last_slot, level, err));
    }
    return state_remove(self->table, last, &last_slot, 1, err);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static sabot_status flush_pending(struct session *self, struct sabot_error *err) {
    const int32_t n = self->n_pending;
    self->n_pending = 0;
    if (n == 0) { return SABOT_OK; }
    return accumulators_update(&self->aggregator.accumulators, -1, self->table, 0, self->batch, NULL,
                               self->pending_rows, self->pending_slots, n, err);
}

static inline void add_pending(struct session *self, int32_t row, int32_t slot, int64_t time) {
    int64_t *least = state_cell(&self->latest_least, slot), *most = state_cell(&self->latest_most, slot);
    *least = time < *least ? time : *least;
    *most = time > *most ? time : *most;
    self->pending_rows[self->n_pending] = row;
    self->pending_slots[self->n_pending++] = slot;
}

static bool is_late(struct session *self, int32_t row, int64_t time_ms) {
    const int64_t end_ms = time_ms + self->gap_ms;
    if (row_is_late(end_ms, 0, window_progress_of(&self->progress, self->batch, row, self->watermark_ms))) {
        self->late[self->n_late++] = row;
        return true;
    }
    self->due_ms = end_ms - 1 < self->due_ms ? end_ms - 1 : self->due_ms;
    return false;
}

/* A session behind all others of the key: the one that was the latest goes to the first free level. */
static sabot_status begin_latest(struct session *self, const struct who *who, int32_t slot, int64_t time,
                                 struct sabot_error *err) {
    int64_t level = 1;
    while (find_at(self, who, level) >= 0) { level++; }
    if (level > LEVELS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "a key has more than %d open sessions: the watermark is too far behind "
                          "for a gap of %lld ms", LEVELS_MAX, (long long)self->gap_ms);
    }
    (void)is_late(self, who->row, to_ms(self, time)); /* it is not: it is behind an open session */
    SABOT_TRY(flush_pending(self, err));
    SABOT_TRY(fold_into(self, 0, slot, level, err));
    SABOT_TRY(reset(self, 0, slot, err));
    add_pending(self, who->row, slot, time);
    return SABOT_OK;
}

static sabot_status fold_row(struct session *self, const struct who *who, int64_t level, struct sabot_error *err) {
    const int64_t before = state_count(self->table, level);
    int32_t slot = -1;
    SABOT_TRY(state_find_or_insert(self->table, level, who->batch, who->keys, &who->row, 1, &slot, err));
    accumulators_init(&self->aggregator.accumulators, self->table, level, before, state_count(self->table, level));
    return accumulators_update(&self->aggregator.accumulators, -1, self->table, level, who->batch, NULL, &who->row,
                               &slot, 1, err);
}

/* A row before the key's latest session: it may touch that one, one before it, both, or none. Sessions of a key are
 * more than nothing apart, and the row alone is as long as the gap that each has behind it: it touches two at most. */
static sabot_status take_earlier(struct session *self, const struct who *who, int32_t slot, int64_t time,
                                 struct sabot_error *err) {
    const int64_t start_ms = to_ms(self, time), end_ms = start_ms + self->gap_ms;
    int64_t touched[2], levels = 0;
    int32_t n_touched = 0;
    if (to_ms(self, *bound_at(self, 0, self->least, slot)) <= end_ms) { touched[n_touched++] = 0; }
    for (int32_t at = find_at(self, who, 1); at >= 0; at = find_at(self, who, levels + 1)) {
        levels++;
        const int64_t other_start = to_ms(self, *bound_at(self, levels, self->least, at));
        const int64_t other_end = to_ms(self, *bound_at(self, levels, self->most, at)) + self->gap_ms;
        if (other_start > end_ms || other_end < start_ms) { continue; }
        assert(n_touched < 2);
        touched[n_touched++] = levels;
    }
    if (n_touched == 0) {
        if (is_late(self, who->row, start_ms)) { return SABOT_OK; }
        if (levels == LEVELS_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "a key has more than %d open sessions: the watermark is too far "
                              "behind for a gap of %lld ms", LEVELS_MAX, (long long)self->gap_ms);
        }
        return fold_row(self, who, levels + 1, err);
    }
    if (touched[0] == 0) {
        add_pending(self, who->row, slot, time);
    } else {
        SABOT_TRY(fold_row(self, who, touched[0], err));
    }
    if (n_touched == 1) { return SABOT_OK; }
    const int32_t other = find_at(self, who, touched[1]);
    SABOT_TRY(fold_into(self, touched[1], other, touched[0], err));
    return remove_at(self, who, touched[1], other, err);
}

static sabot_status take_row(struct session *self, int32_t row, int32_t slot, int64_t time, struct sabot_error *err) {
    const int64_t least = *(int64_t *)state_cell(&self->latest_least, slot);
    const int64_t most = *(int64_t *)state_cell(&self->latest_most, slot);
    const int64_t time_ms = to_ms(self, time);
    if (least > most) { /* a key that was not there */
        if (is_late(self, row, time_ms)) {
            self->vacant[self->n_vacant++] = slot;
        } else {
            add_pending(self, row, slot, time);
        }
        return SABOT_OK;
    }
    const bool behind = time_ms > to_ms(self, most) + self->gap_ms;
    if (!behind && time_ms >= to_ms(self, least)) {
        add_pending(self, row, slot, time);
        return SABOT_OK;
    }
    const struct who who = {.batch = self->batch, .keys = self->aggregator.keys, .row = row};
    return behind ? begin_latest(self, &who, slot, time, err) : take_earlier(self, &who, slot, time, err);
}

static int by_slot_descending(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x < y) - (x > y);
}

/* Keys of which only late rows came. */
static sabot_status remove_vacant(struct session *self, struct sabot_error *err) {
    if (self->n_vacant == 0) { return SABOT_OK; }
    int32_t n = 0;
    qsort(self->vacant, (size_t)self->n_vacant, sizeof *self->vacant, by_slot_descending);
    for (int32_t i = 0; i < self->n_vacant; i++) {
        const int32_t slot = self->vacant[i];
        const bool again = n > 0 && self->vacant[n - 1] == slot;
        if (again || *bound_at(self, 0, self->least, slot) <= *bound_at(self, 0, self->most, slot)) { continue; }
        self->vacant[n++] = slot;
    }
    return n > 0 ? state_remove(self->table, 0, self->vacant, n, err) : SABOT_OK;
}

static sabot_status give_late(struct session *self, const char *rule, bool has_time, struct sabot_error *err) {
    const struct column *times = self->batch->columns[self->options->window.time_column];
    for (int32_t i = 0; i < self->n_late; i++) {
        const int32_t row = self->late[i];
        int64_t closes_ms = INT64_MAX;
        if (has_time) {
            closes_ms = to_ms(self, ((const int64_t *)times->values)[column_at(times, row)]) + self->gap_ms;
        }
        SABOT_TRY(window_late(&self->own, self->options, self->batch, &row, 1, rule, closes_ms,
                              self->watermark_ms, &self->progress, err));
    }
    self->n_late = 0;
    return SABOT_OK;
}

static sabot_status reserve(struct session *self, int32_t rows, struct sabot_error *err) {
    if (rows <= self->capacity) { return SABOT_OK; }
    const size_t n = (size_t)(rows < BATCH_ROWS_DEFAULT ? BATCH_ROWS_DEFAULT : rows);
    free(self->rows);
    self->rows = malloc(n * 5 * sizeof *self->rows);
    self->capacity = self->rows ? (int32_t)n : 0;
    if (!self->rows) { return no_memory(err); }
    self->pending_rows = self->rows + n;
    self->pending_slots = self->pending_rows + n;
    self->late = self->pending_slots + n;
    self->vacant = self->late + n;
    return SABOT_OK;
}

/* The rows that have a time; the others go to the late ledger. */
static sabot_status pick_rows(struct session *self, const struct batch *batch, int32_t *n, struct sabot_error *err) {
    const struct column *times = batch->columns[self->options->window.time_column];
    *n = self->n_late = 0; /* also those that an error left */
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        bool has_time = !column_is_null(times, row);
        if (has_time) {
            const int64_t time = ((const int64_t *)times->values)[column_at(times, row)];
            has_time = time >= -SLICE_TIME_MAX && time <= SLICE_TIME_MAX;
        }
        *(has_time ? &self->rows[(*n)++] : &self->late[self->n_late++]) = row;
    }
    return give_late(self, "no time", false, err);
}

static sabot_status take_batch(struct session *self, struct sabot_error *err) {
    const struct batch *batch = self->batch;
    const struct column *times = batch->columns[self->options->window.time_column];
    int32_t n = 0;
    SABOT_TRY(reserve(self, batch->selected, err));
    SABOT_TRY(pick_rows(self, batch, &n, err));
    if (n == 0) { return SABOT_OK; }
    self->n_pending = self->n_vacant = 0;
    SABOT_TRY(aggregator_find(&self->aggregator, 0, batch, self->rows, n, err));
    const int64_t *values = times->values;
    find_latest(self);
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = self->rows[i];
        if (i % RELAX_ROWS == 0) { memory_relax(self->own.pool); }
        SABOT_TRY(take_row(self, row, self->aggregator.slots[i], values[column_at(times, row)], err));
    }
    SABOT_TRY(flush_pending(self, err));
    SABOT_TRY(remove_vacant(self, err));
    return give_late(self, "session", true, err);
}

static sabot_status take(struct session *self, struct batch *taken, struct sabot_error *err) {
    BATCH_OWNED struct batch *batch = taken;
    if (batch->created_ns) { self->created_ns = batch->created_ns; }
    SABOT_TRY(aggregator_prepare(&self->aggregator, &batch, err));
    self->batch = batch;
    const sabot_status status = take_batch(self, err);
    self->batch = NULL;
    return status;
}

/* ---- firing ------------------------------------------------------------------------------------------------------ */

static sabot_status property_column(struct session *self, enum window_property property, struct type type,
                                    const struct batch *rows, struct column **out, struct sabot_error *err) {
    const int32_t cell = property == WINDOW_START ? self->least : self->most;
    const struct column *bound = rows->columns[self->aggregator.n_keys + cell];
    const int64_t *times = bound->values, scale = timestamp_units_per_ms_num(type);
    struct column_builder builder = {0};
    SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, rows->rows, false, err));
    int64_t *target = builder.values;
    for (int32_t i = 0; i < rows->rows; i++) {
        int64_t value = to_ms(self, times[column_at(bound, i)]);
        if (property != WINDOW_START) { value += self->gap_ms - (property == WINDOW_TIME); }
        target[i] = value * scale;
    }
    return column_builder_finish(&builder, out, err);
}

/* The due sessions of a level as rows of the table. */
static sabot_status read_due(struct session *self, struct batch **out, struct sabot_error *err) {
    const int32_t n = self->aggregator.schema->n_fields;
    struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX] = {NULL};
    SABOT_TRY(state_take(self->table, self->level, self->due, self->n_due, 0, n, columns, err));
    return batch_new(self->aggregator.schema, columns, n, self->n_due, out, err);
}

static sabot_status result_columns(struct session *self, const struct batch *rows, struct column **columns, int32_t *n,
                                   struct sabot_error *err) {
    const struct schema *schema = self->own.spec->output;
    const int32_t n_keys = self->aggregator.n_keys;
    for (*n = 0; *n < n_keys; (*n)++) { columns[*n] = column_ref(rows->columns[*n]); }
    for (int32_t i = 0; i < self->options->n_calls; i++, (*n)++) {
        SABOT_TRY(accumulators_result(&self->aggregator.accumulators, i, rows, n_keys, self->own.pool,
                                      schema->fields[*n].type, &columns[*n], err));
    }
    for (int32_t i = 0; i < self->options->n_properties; i++, (*n)++) {
        SABOT_TRY(property_column(self, self->options->properties[i], schema->fields[*n].type, rows, &columns[*n],
                                  err));
    }
    return SABOT_OK;
}

static sabot_status give_results(struct session *self, const struct batch *rows, struct op_out *out,
                                 struct sabot_error *err) {
    struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX + 8] = {NULL};
    int32_t n = 0;
    assert(self->options->n_properties <= 8);
    const sabot_status status = result_columns(self, rows, columns, &n, err);
    if (status != SABOT_OK) {
        while (n > 0) { column_unref(columns[--n]); }
        return status;
    }
    struct batch *batch;
    SABOT_TRY(batch_new(self->own.spec->output, columns, n, rows->rows, &batch, err));
    batch->created_ns = self->created_ns;
    return out_emit(out, batch, err);
}

/* Levels are done from the last to the first, so a key whose latest session is due has none left elsewhere. */
static sabot_status remove_due(struct session *self, struct batch *rows, struct sabot_error *err) {
    if (self->level == 0) { return state_remove(self->table, 0, self->due, self->n_due, err); }
    int32_t keys[AGGREGATOR_KEYS_MAX];
    for (int32_t k = 0; k < self->aggregator.n_keys; k++) { keys[k] = k; }
    if (self->aggregator.n_keys > 0) {
        SABOT_TRY(batch_cache_hashes(self->own.pool, rows, keys, self->aggregator.n_keys, err));
    }
    for (int32_t i = 0; i < self->n_due; i++) {
        const struct who who = {.batch = rows, .keys = keys, .row = i};
        SABOT_TRY(remove_at(self, &who, self->level, self->due[i], err));
    }
    return SABOT_OK;
}

/* Finds the next sessions of the level that are due, from the last slot down, as they must be removed. */
static void collect_due(struct session *self) {
    const struct state_cells most = state_cells(self->table, self->level, self->most);
    const bool all = self->target_ms == WATERMARK_END;
    const int64_t last_ms = all ? INT64_MAX : self->target_ms - self->gap_ms + 1; /* of a session's last row */
    self->n_due = 0;
    while (self->cursor > 0 && self->n_due < self->own.batch_rows) {
        if (self->cursor % SCAN_ROWS == 0) { memory_relax(self->own.pool); }
        const int64_t time = *(int64_t *)state_cell(&most, --self->cursor);
        if (to_ms(self, time) <= last_ms) {
            self->due[self->n_due++] = self->cursor;
        } else if (time < self->least_left) {
            self->least_left = time;
        }
    }
}

static sabot_status fire(struct session *self, struct op_out *out, struct sabot_error *err) {
    self->op.busy = true;
    for (; self->level >= 0; self->level--, self->cursor = -1) {
        if (self->cursor < 0) { self->cursor = (int32_t)state_count(self->table, self->level); }
        while (self->cursor > 0) {
            if (out_is_full(out)) { return SABOT_OK; }
            collect_due(self);
            if (self->n_due == 0) { continue; }
            const int32_t n = aggregator_rows_fit(&self->aggregator, self->level, self->due, 0, self->n_due);
            if (n < self->n_due) { /* the others come next */
                self->cursor = self->due[n] + 1;
                self->n_due = n;
            }
            BATCH_OWNED struct batch *rows = NULL;
            SABOT_TRY(read_due(self, &rows, err));
            SABOT_TRY(give_results(self, rows, out, err));
            SABOT_TRY(remove_due(self, rows, err));
        }
    }
    self->op.busy = false;
    self->due_ms = self->least_left == INT64_MAX ? INT64_MAX : to_ms(self, self->least_left) + self->gap_ms - 1;
    self->watermark_ms = self->target_ms;
    SABOT_TRY(out->watermark(out, self->target_ms, err));
    return held_pass_idle(&self->pace, out, err);
}

static sabot_status take_watermark(struct session *self, int64_t watermark_ms, struct op_out *out,
                                   struct sabot_error *err) {
    if (watermark_ms <= self->watermark_ms) { /* behind a restore the sources begin anew */
        return watermark_ms == self->watermark_ms ? out->watermark(out, watermark_ms, err) : SABOT_OK;
    }
    if (watermark_ms < self->due_ms) {
        self->watermark_ms = watermark_ms;
        return out->watermark(out, watermark_ms, err);
    }
    const int64_t *levels;
    int32_t n = 0;
    SABOT_TRY(state_namespaces(self->table, &levels, &n, err));
    self->level = n > 0 ? levels[n - 1] : -1;
    self->cursor = -1;
    self->least_left = INT64_MAX;
    self->target_ms = watermark_ms;
    return fire(self, out, err);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* What is held goes on before whatever is behind it. */
static sabot_status release(struct session *self, struct op_out *out, struct sabot_error *err) {
    if (self->held.rows > 0) {
        held_pace_begin(&self->pace, self->own.env);
        SABOT_TRY(held_begin(&self->held, self->aggregator.keys, self->aggregator.n_keys, state_order(self->table, 0),
                             err));
        for (struct batch *batch;;) {
            SABOT_TRY(held_next(&self->held, self->own.batch_rows, &batch, err));
            if (!batch) { break; }
            SABOT_TRY(take(self, batch, err));
        }
        held_pace_end(&self->pace, self->own.env);
    }
    int64_t watermark_ms;
    if (held_take_watermark(&self->pace, &watermark_ms)) { SABOT_TRY(take_watermark(self, watermark_ms, out, err)); }
    return self->op.busy ? SABOT_OK : held_pass_idle(&self->pace, out, err);
}

static sabot_status session_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                     struct sabot_error *err) {
    (void)input;
    struct session *self = (struct session *)op;
    const bool spilled = self->aggregator.n_keys > 0 && memory_is_spilled(self->own.pool);
    if (taken->selected == 0) {
        batch_unref(taken);
        return SABOT_OK;
    }
    if (self->held.rows == 0 && !spilled) { return take(self, taken, err); }
    SABOT_TRY(held_add(&self->held, taken, err));
    if (held_is_enough(self->own.pool, self->held.rows, self->held.bytes)) { return release(self, out, err); }
    held_wake(&self->pace, op, &self->own);
    return SABOT_OK;
}

static sabot_status session_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                         struct sabot_error *err) {
    struct session *self = (struct session *)op;
    if (self->held.rows == 0) { return take_watermark(self, watermark_ms, out, err); }
    held_keep_watermark(&self->pace, watermark_ms);
    return watermark_ms == WATERMARK_END ? release(self, out, err) : SABOT_OK;
}

static sabot_status session_on_idle(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct session *self = (struct session *)op;
    self->pace.idle_waits = true;
    return release(self, out, err);
}

static sabot_status session_on_time(struct op *op, int64_t now_ms, struct op_out *out, struct sabot_error *err) {
    (void)now_ms;
    return release((struct session *)op, out, err);
}

static sabot_status session_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? fire((struct session *)op, out, err) : SABOT_OK;
}

static sabot_status session_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                           struct sabot_error *err) {
    (void)checkpoint_id;
    struct session *self = (struct session *)op;
    SABOT_TRY(release(self, out, err));
    const int64_t watermark_ms = op->busy ? self->target_ms : self->watermark_ms; /* it waits until all is given out */
    return window_progress_keep(&self->progress, self->own.pool, watermark_ms, err);
}

const struct op_type op_session_aggregate = {
    .name = "session_aggregate",
    .summary = "aggregate by key and session",
    .open = session_open,
    .on_batch = session_on_batch,
    .on_watermark = session_on_watermark,
    .on_idle = session_on_idle,
    .on_end = op_default_on_end,
    .resume = session_resume,
    .before_barrier = session_before_barrier,
    .on_time = session_on_time,
    .on_complete = op_default_on_complete,
    .close = session_close,
    .stateful = true,
    .declares_state = true,
};
