/* OVER aggregates: every row comes out once, with aggregates of the rows of its partition up to it in event time.
 *
 * Rows wait in the multimap "pending" (namespace = their time in ms) until the watermark reaches their time, and are
 * then worked off in the order of time and arrival, whole timestamps at a time, so that RANGE sees all peers. Frames:
 * - from the start of the partition: what was folded so far is one row of the table "groups" per partition;
 * - the n rows before: the last n rows of each partition are kept in the multimap "past";
 * - the rows of an interval before: rows younger than that are in "past", by time, and leave with the watermark.
 * Frames are computed over columns: the due rows and those kept are sorted by partition, time and arrival; sums come
 * from running totals (of doubles from two stacks: nothing is subtracted), extremes from a queue of candidates. What
 * a frame holds is made into cells (aggregate/accumulate.h), whose results are those of GROUP BY.
 *
 * While state is on disk, watermarks wait until rows enough are due for a walk through it in its order (ops/held.h).
 * A row whose time the watermark has reached already is late. State: "pending", "past", "groups", and the list
 * "progress": the watermark handled and the number of the last row. */
#include <stdlib.h>

#include "base/text.h"
#include "ops/aggregate/aggregator.h"
#include "ops/held.h"
#include "ops/over/frames.h"
#include "ops/window/slices.h"
#include "ops/window/window_rows.h"
#include "state/multimap.h"
#include "time/lateness.h"

#define KEYS_MAX 16
#define CHUNK_ROWS 32768  /* due rows that are worked off together, but for those of one ms; on disk held_rows_max() */
#define PART_ROWS_MIN 128 /* on disk, of those */
#define GROUP_ROWS 8192   /* per look-up */
#define MOMENTS_MAX 4096  /* different ms of a chunk */
#define RELAX_ROWS 256    /* of state here and there */
#define GRANULES 64       /* rows of a RANGE leave in so many steps per interval */

struct over {
    struct op op;
    struct op_context own;
    const struct over_options *options;
    struct accumulators plan;
    struct aggregate_call *specs; /* calls that have cells */
    int32_t *call_of;             /* per call of the options: index among them, -1 = by position */
    int32_t n_columns;            /* of the input */
    int32_t column_of[OVER_COLUMNS_MAX]; /* input column -> column of the multimaps; the last is the number */
    int32_t columns[OVER_COLUMNS_MAX];   /* the reverse */
    struct schema *rows_schema, *groups_schema, *progress_schema, *numbered_schema;
    struct state_multimap *pending, *past;
    struct state_table *groups, *progress;
    int32_t group_keys[KEYS_MAX];
    bool carries;      /* groups are state; else working space */
    int64_t kept_rows; /* of each partition in past; 0: none by number */
    int64_t units;     /* of the time column per ms */
    int64_t number;    /* of the last row that came */
    int64_t watermark_ms, target_ms;
    int64_t created_ns;
    int64_t granule_ms, row_bytes;
    int32_t part_rows; /* see part_rows() */
    int64_t left;      /* rows that the last watermark has left in pending */
    struct held_pace pace;
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an OVER aggregate");
}

static bool is_by_position(enum over_function function) { return function != OVER_AGGREGATE; }

/* ---- open -------------------------------------------------------------------------------------------------------- */

static void over_close(struct op *op) {
    struct over *self = (struct over *)op;
    schema_unref(self->rows_schema);
    schema_unref(self->groups_schema);
    schema_unref(self->progress_schema);
    schema_unref(self->numbered_schema);
    free(self->specs);
    free(self->call_of);
    free(self);
}

static int64_t range_ms(const struct over *self) { return self->options->preceding / self->units + 1; }

/* Keys first, then the other columns, then the number of the row. */
static sabot_status open_rows(struct over *self, struct sabot_error *err) {
    const struct over_options *options = self->options;
    const struct schema *input = self->own.input;
    struct field fields[OVER_COLUMNS_MAX + 1];
    int32_t at = 0;
    if (input->n_fields + 1 >= OVER_COLUMNS_MAX || options->n_keys > KEYS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "OVER takes at most %d columns and %d keys",
                          OVER_COLUMNS_MAX - 2, KEYS_MAX);
    }
    for (int32_t c = 0; c < input->n_fields; c++) { self->column_of[c] = -1; }
    for (int32_t k = 0; k < options->n_keys; k++) {
        self->columns[at] = options->keys[k];
        self->column_of[options->keys[k]] = at++;
    }
    for (int32_t c = 0; c < input->n_fields; c++) {
        if (self->column_of[c] >= 0) { continue; }
        self->columns[at] = c;
        self->column_of[c] = at++;
    }
    self->columns[at] = at;
    for (int32_t c = 0; c < at; c++) { fields[c] = input->fields[self->columns[c]]; }
    fields[at] = (struct field){"number", type_not_null(type_of(TYPE_INT64))};
    for (int32_t c = 0; c <= at; c++) { self->row_bytes += (int64_t)phys_size(type_phys(fields[c].type)); }
    SABOT_TRY(schema_new(fields, at + 1, &self->rows_schema, err));
    for (int32_t c = 0; c < at; c++) { fields[c] = input->fields[c]; }
    SABOT_TRY(schema_new(fields, at + 1, &self->numbered_schema, err));
    const struct multimap_spec pending = {
        .name = "pending", .schema = self->rows_schema, .n_keys = options->n_keys, .namespaces = true};
    SABOT_TRY(state_multimap_open(self->own.state, &pending, &self->pending, err));
    if (self->kept_rows == 0 && options->frame != OVER_RANGE) { return SABOT_OK; }
    const bool by_time = self->kept_rows == 0;
    self->granule_ms = by_time ? range_ms(self) / GRANULES + 1 : 1;
    const struct multimap_spec past = {.name = "past", .schema = self->rows_schema, .n_keys = options->n_keys,
                                       .namespaces = by_time, .counts = !by_time};
    return state_multimap_open(self->own.state, &past, &self->past, err);
}

/* Keys, cells, then how many rows and different times the partition had. */
static sabot_status open_named_groups(struct over *self, struct text *names, struct sabot_error *err) {
    const struct over_options *options = self->options;
    struct field fields[KEYS_MAX + CELLS_MAX + 2];
    int32_t at = 0;
    for (int32_t k = 0; k < options->n_keys; k++) {
        fields[at++] = self->own.input->fields[options->keys[k]];
        self->group_keys[k] = options->keys[k];
    }
    for (int32_t c = 0; c < self->plan.n_cells; c++) {
        SABOT_TRY(aggregator_cell_name(&self->plan, c, self->own.input, names, err));
        fields[at++] = (struct field){text_string(&names[c]), self->plan.cells[c].type};
    }
    fields[at++] = (struct field){"rows", type_not_null(type_of(TYPE_INT64))};
    fields[at++] = (struct field){"times", type_not_null(type_of(TYPE_INT64))};
    SABOT_TRY(schema_new(fields, at, &self->groups_schema, err));
    const struct state_spec spec = {
        .name = "groups", .kind = STATE_KEYED, .schema = self->groups_schema, .n_keys = options->n_keys};
    return state_table_open(self->own.state, &spec, &self->groups, err);
}

static sabot_status open_groups(struct over *self, struct sabot_error *err) {
    struct text names[CELLS_MAX] = {0};
    const sabot_status status = open_named_groups(self, names, err);
    for (int32_t c = 0; c < CELLS_MAX; c++) { text_clear(&names[c]); }
    return status;
}

static sabot_status open_progress(struct over *self, struct sabot_error *err) {
    const struct field fields[] = {{"watermark", type_not_null(type_of(TYPE_INT64))},
                                   {"number", type_not_null(type_of(TYPE_INT64))}};
    SABOT_TRY(schema_new(fields, 2, &self->progress_schema, err));
    const struct state_spec spec = {.name = "progress", .kind = STATE_LIST, .schema = self->progress_schema};
    SABOT_TRY(state_table_open(self->own.state, &spec, &self->progress, err));
    const struct batch *rows = state_list_rows(self->progress);
    for (int32_t i = 0; rows && i < rows->selected; i++) {
        const int64_t at = column_at(rows->columns[0], batch_row(rows, i));
        const int64_t watermark = ((const int64_t *)rows->columns[0]->values)[at];
        const int64_t number = ((const int64_t *)rows->columns[1]->values)[column_at(rows->columns[1],
                                                                                    batch_row(rows, i))];
        self->watermark_ms = i == 0 || watermark < self->watermark_ms ? watermark : self->watermark_ms;
        self->number = number > self->number ? number : self->number;
    }
    return SABOT_OK;
}

static sabot_status open_parts(struct over *self, struct sabot_error *err) {
    const struct over_options *options = self->options;
    const int32_t n = options->n_calls;
    SABOT_TRY(window_check_time(self->own.input, options->time_column, err));
    self->units = timestamp_units_per_ms_num(self->own.input->fields[options->time_column].type);
    self->specs = calloc((size_t)n + 1, sizeof *self->specs);
    self->call_of = calloc((size_t)n + 1, sizeof *self->call_of);
    if (!self->specs || !self->call_of) { return no_memory(err); }
    int32_t n_specs = 0;
    self->carries = options->frame == OVER_UNBOUNDED || options->frame == OVER_UNBOUNDED_ROWS;
    self->kept_rows = options->frame == OVER_ROWS ? options->preceding : 0;
    for (int32_t i = 0; i < n; i++) {
        const struct over_call *call = &options->calls[i];
        self->call_of[i] = is_by_position(call->function) ? -1 : n_specs;
        if (!is_by_position(call->function)) { self->specs[n_specs++] = call->aggregate; }
        if (call->function == OVER_LAG && call->offset > self->kept_rows) { self->kept_rows = call->offset; }
        self->carries = self->carries || (is_by_position(call->function) && call->function != OVER_LAG);
    }
    const uint32_t flags = self->own.program.wrap_overflow ? ACCUMULATE_WRAP : 0;
    SABOT_TRY(accumulators_plan(self->specs, n_specs, self->own.input, flags, &self->plan, err));
    SABOT_TRY(open_rows(self, err));
    SABOT_TRY(open_groups(self, err));
    return open_progress(self, err);
}

static sabot_status over_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct over *self = calloc(1, sizeof *self);
    if (!self) { return no_memory(err); }
    self->op.type = &op_over;
    self->own = *context;
    self->options = context->spec->options;
    self->watermark_ms = WATERMARK_NONE;
    self->n_columns = context->input->n_fields;
    self->part_rows = PART_ROWS_MIN;
    const sabot_status status = open_parts(self, err);
    if (status != SABOT_OK) {
        over_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int64_t time_ms_of(const struct over *self, int64_t time) {
    return self->units == 1 ? time : floor_div(time, self->units);
}

/* Sorts rows out: rows[0..n) are to be kept, with the ms of their times. */
static sabot_status judge(struct over *self, const struct batch *batch, int32_t *rows, int64_t *times, int32_t *n_rows,
                          struct sabot_error *err) {
    const struct column *time = batch->columns[self->options->time_column];
    int32_t n = 0;
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        const int64_t value = column_is_null(time, row) ? INT64_MAX : ((const int64_t *)time->values)[column_at(time,
                                                                                                            row)];
        const bool timeless = value > SLICE_TIME_MAX || value < -SLICE_TIME_MAX;
        const int64_t ms = timeless ? INT64_MAX - 1 : time_ms_of(self, value);
        if (timeless || row_is_late(ms + 1, 0, self->watermark_ms)) {
            SABOT_TRY(window_late(&self->own, NULL, batch, &row, 1, timeless ? "no time" : "over",
                                  timeless ? INT64_MAX : ms + 1, self->watermark_ms, NULL, err));
            continue;
        }
        rows[n] = row;
        times[n++] = ms;
    }
    *n_rows = n;
    return SABOT_OK;
}

static sabot_status number_rows(struct over *self, const struct batch *batch, const int32_t *rows, int32_t n,
                                struct batch **out, struct sabot_error *err) {
    struct column *numbers;
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, batch->rows, false, err));
    memset(builder.values, 0, (size_t)batch->rows * 8);
    for (int32_t i = 0; i < n; i++) { ((int64_t *)builder.values)[rows[i]] = ++self->number; }
    SABOT_TRY(column_builder_finish(&builder, &numbers, err));
    return batch_with_column(batch, self->numbered_schema, numbers, false, out, err);
}

static sabot_status keep(struct over *self, struct batch *batch, int32_t *rows, int64_t *times,
                         struct sabot_error *err) {
    int32_t n = 0;
    SABOT_TRY(judge(self, batch, rows, times, &n, err));
    if (n == 0) { return SABOT_OK; }
    BATCH_OWNED struct batch *numbered = NULL;
    SABOT_TRY(number_rows(self, batch, rows, n, &numbered, err));
    SABOT_TRY(batch_cache_hashes(self->own.pool, numbered, self->options->keys, self->options->n_keys, err));
    const struct multimap_rows taken = {.batch = numbered, .columns = self->columns, .rows = rows, .n = n};
    return multimap_insert(self->pending, &taken, times, NULL, err);
}

static sabot_status over_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                  struct sabot_error *err) {
    (void)input;
    (void)out;
    struct over *self = (struct over *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0) { return SABOT_OK; }
    if (batch->created_ns) { self->created_ns = batch->created_ns; }
    const size_t size = (size_t)batch->selected * 12;
    void *block;
    SABOT_TRY(memory_alloc(self->own.pool, size, &block, err));
    int64_t *times = block;
    const sabot_status status = keep(self, batch, (int32_t *)(times + batch->selected), times, err);
    memory_free(self->own.pool, block, size);
    return status;
}

/* ---- a chunk of due rows ----------------------------------------------------------------------------------------- */

struct sorted {
    int64_t time, number;
    int32_t group; /* slot */
    int32_t at;    /* row of the gathered columns */
};
struct slot_list {
    int32_t *slots;
    size_t capacity;
};
struct place {
    uint64_t order;
    int32_t slot;
};
struct due {
    struct slot_list list; /* of pending */
    int32_t n, n_moments, moments_max;
    int64_t *moments;      /* to be dropped when all is done */
    struct place *places;  /* the slots in the order of what is on disk; NULL: in that of time */
};
struct chunk {
    struct slot_list list; /* of pending; then past rows */
    int32_t n_due, n_past;
    struct column *columns[OVER_COLUMNS_MAX]; /* of the multimaps: due rows, then past ones; then sorted */
    struct sorted *order;
    struct frames frames;
    struct column *cells[CELLS_MAX];
    struct column *by_position[CELLS_MAX]; /* results of calls that have no cells */
    size_t order_size;
};

static void chunk_clear(struct over *self, struct chunk *chunk) {
    memory_free(self->own.pool, chunk->list.slots, chunk->list.capacity);
    memory_free(self->own.pool, chunk->order, chunk->order_size);
    for (int32_t c = 0; c <= self->n_columns; c++) { column_unref(chunk->columns[c]); }
    for (int32_t c = 0; c < CELLS_MAX; c++) {
        column_unref(chunk->cells[c]);
        column_unref(chunk->by_position[c]);
    }
    frames_clear(&chunk->frames);
}

static void due_clear(struct over *self, struct due *due) {
    memory_free(self->own.pool, due->list.slots, due->list.capacity);
    memory_free(self->own.pool, due->moments, (size_t)due->moments_max * sizeof *due->moments);
    memory_free(self->own.pool, due->places, (size_t)due->n * sizeof *due->places);
}

static sabot_status slots_reserve(struct over *self, struct slot_list *list, int64_t wanted, struct sabot_error *err) {
    const size_t size = (size_t)wanted * sizeof *list->slots;
    if (size <= list->capacity) { return SABOT_OK; }
    if (wanted > INT32_MAX / 4) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "too many rows of one time for OVER"); }
    size_t capacity = list->capacity ? list->capacity : 65536;
    while (capacity < size) { capacity *= 2; }
    if (!list->slots) {
        SABOT_TRY(memory_alloc(self->own.pool, capacity, (void **)&list->slots, err));
    } else {
        SABOT_TRY(memory_resize(self->own.pool, (void **)&list->slots, list->capacity, capacity, err));
    }
    list->capacity = capacity;
    return SABOT_OK;
}

static int by_place(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

/* Due rows in the order in which what is on disk is walked through. */
static sabot_status order_due(struct over *self, struct due *due, struct sabot_error *err) {
    const uint64_t mask = self->carries ? state_order(self->groups, 0) : MULTIMAP_ORDER;
    const uint64_t *hashes = multimap_hashes(self->pending);
    const size_t n = (size_t)due->n;
    SABOT_TRY(memory_alloc(self->own.pool, n * sizeof *due->places, (void **)&due->places, err));
    const int32_t *slots = due->list.slots;
    for (size_t i = 0; i < n; i++) { due->places[i] = (struct place){hashes[slots[i]] & mask, slots[i]}; }
    qsort(due->places, n, sizeof *due->places, by_place);
    for (size_t i = 0; i < n; i++) { due->list.slots[i] = due->places[i].slot; }
    return SABOT_OK;
}

/* Which rows are due next. */
static sabot_status take_due(struct over *self, struct due *due, struct sabot_error *err) {
    const bool spilled = memory_is_spilled(self->own.pool) && self->options->n_keys > 0;
    const int32_t rows_held = held_rows_max(self->own.pool);
    const int32_t rows_max = spilled && rows_held > CHUNK_ROWS ? rows_held : CHUNK_ROWS;
    const int32_t moments_max = spilled ? rows_max : MOMENTS_MAX;
    SABOT_TRY(memory_alloc(self->own.pool, (size_t)moments_max * sizeof *due->moments, (void **)&due->moments, err));
    due->moments_max = moments_max;
    int64_t moment;
    while (multimap_namespace_at(self->pending, due->n_moments, &moment) && moment <= self->target_ms &&
           due->n < rows_max && due->n_moments < moments_max) {
        int32_t n = GROUP_ROWS;
        for (int32_t after = -1; n == GROUP_ROWS; after = due->list.slots[due->n - 1]) {
            SABOT_TRY(slots_reserve(self, &due->list, (int64_t)due->n + GROUP_ROWS, err));
            n = multimap_namespace_slots(self->pending, moment, after, due->list.slots + due->n, GROUP_ROWS);
            due->n += n;
        }
        due->moments[due->n_moments++] = moment;
    }
    return spilled && due->n ? order_due(self, due, err) : SABOT_OK;
}

/* How many of them are worked off together: all, or in order and whole partitions, so many that what is kept of these
 * has room in memory beside them. */
static int32_t part_rows(const struct over *self, const struct due *due, int32_t first) {
    if (!due->places || due->n - first <= self->part_rows) { return due->n - first; }
    int32_t end = first + self->part_rows;
    while (end < due->n && due->places[end].order == due->places[end - 1].order) { end++; }
    return end - first;
}

static void part_rows_learn(struct over *self, const struct chunk *chunk) {
    const int64_t room = held_rows_max(self->own.pool) / 2;
    const int64_t rows = room * chunk->n_due / (chunk->n_due + chunk->n_past);
    self->part_rows = rows < PART_ROWS_MIN ? PART_ROWS_MIN : (int32_t)rows;
}

static sabot_status take_part(struct over *self, const struct due *due, int32_t first, struct chunk *chunk,
                              struct sabot_error *err) {
    const int32_t n = part_rows(self, due, first);
    SABOT_TRY(slots_reserve(self, &chunk->list, n, err));
    memcpy(chunk->list.slots, due->list.slots + first, (size_t)n * sizeof *chunk->list.slots);
    chunk->n_due = n;
    for (int32_t c = 0; c <= self->n_columns; c++) {
        SABOT_TRY(multimap_take(self->pending, c, chunk->list.slots, n, &chunk->columns[c], err));
    }
    return SABOT_OK;
}

/* Part of the gathered rows as a batch of the input's columns and the number, with its hashes. */
static sabot_status part_of(struct over *self, struct column *const *columns, int32_t first, int32_t n,
                            struct batch **out, struct sabot_error *err) {
    struct column *parts[OVER_COLUMNS_MAX];
    int32_t *rows = NULL;
    SABOT_TRY(memory_alloc(self->own.pool, (size_t)n * sizeof *rows, (void **)&rows, err));
    for (int32_t i = 0; i < n; i++) { rows[i] = first + i; }
    sabot_status status = SABOT_OK;
    int32_t at = 0;
    for (int32_t c = 0; c <= self->n_columns && status == SABOT_OK; c++) {
        const int32_t from = c < self->n_columns ? self->column_of[c] : self->n_columns;
        status = column_take(self->own.pool, columns[from], rows, n, &parts[c], err);
        at += status == SABOT_OK;
    }
    memory_free(self->own.pool, rows, (size_t)n * sizeof *rows);
    if (status != SABOT_OK) {
        for (int32_t c = 0; c < at; c++) { column_unref(parts[c]); }
        return status;
    }
    SABOT_TRY(batch_new(self->numbered_schema, parts, at, n, out, err));
    status = batch_cache_hashes(self->own.pool, *out, self->options->keys, self->options->n_keys, err);
    if (status != SABOT_OK) {
        batch_unref(*out);
        *out = NULL;
    }
    return status;
}

static int64_t namespace_of(const struct over *self) { return self->carries ? 0 : STATE_NAMESPACE_SCRATCH; }

/* The partition of each due row. */
static sabot_status find_groups(struct over *self, struct chunk *chunk, int32_t *groups, struct sabot_error *err) {
    const int64_t namespace_ = namespace_of(self);
    for (int32_t first = 0; first < chunk->n_due; first += GROUP_ROWS) {
        const int32_t n = chunk->n_due - first < GROUP_ROWS ? chunk->n_due - first : GROUP_ROWS;
        BATCH_OWNED struct batch *part = NULL;
        SABOT_TRY(part_of(self, chunk->columns, first, n, &part, err));
        const int64_t before = state_count(self->groups, namespace_);
        SABOT_TRY(state_find_or_insert(self->groups, namespace_, part, self->group_keys, NULL, n, groups + first, err));
        accumulators_init(&self->plan, self->groups, namespace_, before, state_count(self->groups, namespace_));
    }
    return SABOT_OK;
}

static int by_order(const void *a, const void *b) {
    const struct sorted *x = a, *y = b;
    if (x->group != y->group) { return x->group < y->group ? -1 : 1; }
    if (x->time != y->time) { return x->time < y->time ? -1 : 1; }
    return (x->number > y->number) - (x->number < y->number);
}

/* Rows of past for the partitions of the chunk: their slots behind those that are due, their partition in groups. */
static sabot_status find_past(struct over *self, struct chunk *chunk, int32_t **groups, size_t *groups_size,
                              struct sabot_error *err) {
    const int64_t n_groups = state_count(self->groups, namespace_of(self));
    uint8_t *seen;
    SABOT_TRY(memory_alloc(self->own.pool, (size_t)n_groups, (void **)&seen, err));
    memset(seen, 0, (size_t)n_groups);
    sabot_status status = SABOT_OK;
    int32_t heads[GROUP_ROWS];
    for (int32_t first = 0; first < chunk->n_due && status == SABOT_OK; first += GROUP_ROWS) {
        const int32_t n = chunk->n_due - first < GROUP_ROWS ? chunk->n_due - first : GROUP_ROWS;
        BATCH_OWNED struct batch *part = NULL;
        status = part_of(self, chunk->columns, first, n, &part, err);
        if (status != SABOT_OK) { break; }
        const struct multimap_rows rows = {.batch = part, .columns = self->columns, .n = n};
        multimap_find(self->past, &rows, heads);
        const int32_t *next = multimap_next(self->past);
        for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
            const int32_t group = (*groups)[first + i];
            if (seen[group]) { continue; }
            seen[group] = 1;
            for (int32_t slot = heads[i]; slot >= 0 && status == SABOT_OK; slot = next[slot]) {
                const int64_t at = (int64_t)chunk->n_due + chunk->n_past;
                status = slots_reserve(self, &chunk->list, at + 1, err);
                const size_t size = (size_t)(at + 1) * sizeof **groups;
                if (status == SABOT_OK && size > *groups_size) {
                    const size_t more = size * 2;
                    status = memory_resize(self->own.pool, (void **)groups, *groups_size, more, err);
                    if (status == SABOT_OK) { *groups_size = more; }
                }
                if (status != SABOT_OK) { break; }
                chunk->list.slots[at] = slot;
                (*groups)[at] = group;
                chunk->n_past++;
            }
        }
    }
    memory_free(self->own.pool, seen, (size_t)n_groups);
    return status;
}

/* Columns of due and past rows together. */
static sabot_status append_past(struct over *self, struct chunk *chunk, struct sabot_error *err) {
    for (int32_t c = 0; c <= self->n_columns && chunk->n_past; c++) {
        struct column *past COLUMN_OWNED = NULL, *both = NULL;
        SABOT_TRY(multimap_take(self->past, c, chunk->list.slots + chunk->n_due, chunk->n_past, &past, err));
        SABOT_TRY(column_concat(self->own.pool, (struct column *const[]){chunk->columns[c], past}, 2, &both, err));
        column_unref(chunk->columns[c]);
        chunk->columns[c] = both;
    }
    return SABOT_OK;
}

/* Brings all columns into the order of partition, time and arrival. */
static sabot_status sort_rows(struct over *self, struct chunk *chunk, const int32_t *groups, struct sabot_error *err) {
    const int32_t n = chunk->n_due + chunk->n_past;
    const int64_t *times = chunk->columns[self->column_of[self->options->time_column]]->values;
    const int64_t *numbers = chunk->columns[self->n_columns]->values;
    chunk->order_size = (size_t)n * sizeof *chunk->order;
    SABOT_TRY(memory_alloc(self->own.pool, chunk->order_size, (void **)&chunk->order, err));
    for (int32_t i = 0; i < n; i++) {
        chunk->order[i] = (struct sorted){.time = times[i], .number = numbers[i], .group = groups[i], .at = i};
    }
    qsort(chunk->order, (size_t)n, sizeof *chunk->order, by_order);
    int32_t *rows;
    SABOT_TRY(memory_alloc(self->own.pool, (size_t)n * sizeof *rows, (void **)&rows, err));
    for (int32_t i = 0; i < n; i++) { rows[i] = chunk->order[i].at; }
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c <= self->n_columns && status == SABOT_OK; c++) {
        struct column *sorted = NULL;
        status = column_take(self->own.pool, chunk->columns[c], rows, n, &sorted, err);
        if (status != SABOT_OK) { break; }
        column_unref(chunk->columns[c]);
        chunk->columns[c] = sorted;
    }
    memory_free(self->own.pool, rows, (size_t)n * sizeof *rows);
    return status;
}

static sabot_status find_frames(struct over *self, struct chunk *chunk, struct sabot_error *err) {
    const int32_t n = chunk->n_due + chunk->n_past;
    const size_t size = (size_t)n * (sizeof(int32_t) + sizeof(bool));
    void *block;
    SABOT_TRY(memory_alloc(self->own.pool, size, &block, err));
    int32_t *groups = block;
    bool *past = (bool *)(groups + n);
    for (int32_t i = 0; i < n; i++) {
        groups[i] = chunk->order[i].group;
        past[i] = chunk->order[i].at >= chunk->n_due;
    }
    const int64_t *times = chunk->columns[self->column_of[self->options->time_column]]->values;
    const sabot_status status = frames_init(&chunk->frames, self->own.pool, groups, past, times, n,
                                            self->options->frame, self->options->preceding, err);
    memory_free(self->own.pool, block, size);
    return status;
}

/* ---- cells of frames --------------------------------------------------------------------------------------------- */

/* Working space of one cell. */
struct work {
    bool *takes;        /* per row */
    bool *has_carry;    /* per partition */
    __int128 *wide[4];  /* values, running totals; carry; results */
    double *real[4];
    int64_t *counts[3]; /* running totals, carry, results */
    int32_t *picked[2]; /* queue, results */
};

static const void *group_cell(const struct over *self, int32_t c) {
    return state_values(self->groups, namespace_of(self), c);
}
/* The group of a partition of the chunk. */
static int32_t group_of(const struct chunk *chunk, int32_t segment) {
    return chunk->order[chunk->frames.starts[segment]].group;
}
static bool frame_is_unbounded(const struct over *self) {
    return self->options->frame == OVER_UNBOUNDED || self->options->frame == OVER_UNBOUNDED_ROWS;
}

static const struct column *argument_of(const struct over *self, const struct chunk *chunk, int32_t argument) {
    return argument < 0 ? NULL : chunk->columns[self->column_of[argument]];
}

static void find_takes(const struct over *self, const struct chunk *chunk, const struct cell *cell, bool *takes) {
    const struct column *argument = argument_of(self, chunk, cell->argument);
    const struct column *filter = argument_of(self, chunk, cell->filter);
    for (int32_t i = 0; i < chunk->frames.n_rows; i++) {
        takes[i] = (!argument || !column_is_null(argument, i)) &&
                   (!filter || (!column_is_null(filter, i) && ((const uint8_t *)filter->values)[column_at(filter, i)]));
    }
}

static __int128 wide_value(const struct column *column, int64_t at) {
    switch ((enum phys)column->phys) {
    case PHYS_I8: return ((const int8_t *)column->values)[at];
    case PHYS_I16: return ((const int16_t *)column->values)[at];
    case PHYS_I32: return ((const int32_t *)column->values)[at];
    case PHYS_I64: return ((const int64_t *)column->values)[at];
    default: return ((const __int128 *)column->values)[at];
    }
}

static sabot_status sum_cell(const struct over *self, const struct chunk *chunk, int32_t c, struct work *work,
                             void *out, struct sabot_error *err) {
    const struct frames *frames = &chunk->frames;
    const struct cell *cell = &self->plan.cells[c];
    const struct column *argument = argument_of(self, chunk, cell->argument);
    const enum phys phys = type_phys(cell->type);
    const bool carries = frame_is_unbounded(self);
    const void *before = group_cell(self, c);
    if (phys == PHYS_F64) {
        for (int32_t i = 0; i < frames->n_rows; i++) {
            work->real[0][i] = !work->takes[i]                 ? 0
                               : argument->phys == PHYS_F32 ? (double)((const float *)argument->values)[i]
                                                            : ((const double *)argument->values)[i];
        }
        for (int32_t s = 0; s < frames->n_segments && carries; s++) {
            work->real[2][s] = ((const double *)before)[group_of(chunk, s)];
        }
        frames_sum_real(frames, work->real[0], carries ? work->real[2] : NULL, out, work->real[1]);
        return SABOT_OK;
    }
    for (int32_t i = 0; i < frames->n_rows; i++) { work->wide[0][i] = work->takes[i] ? wide_value(argument, i) : 0; }
    for (int32_t s = 0; s < frames->n_segments && carries; s++) {
        const int32_t group = group_of(chunk, s);
        work->wide[2][s] = phys == PHYS_I64 ? ((const int64_t *)before)[group] : ((const __int128 *)before)[group];
    }
    frames_sum(frames, work->wide[0], carries ? work->wide[2] : NULL, work->wide[3], work->wide[1]);
    if (phys != PHYS_I64) {
        memcpy(out, work->wide[3], (size_t)frames->n_due * sizeof(__int128));
        return SABOT_OK;
    }
    bool overflow = false;
    for (int32_t j = 0; j < frames->n_due; j++) {
        const __int128 sum = work->wide[3][j];
        overflow |= sum > INT64_MAX || sum < INT64_MIN;
        ((int64_t *)out)[j] = (int64_t)(uint64_t)sum;
    }
    if (overflow && !(self->plan.flags & ACCUMULATE_WRAP)) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "a SUM or AVG passes the range of BIGINT: cast the argument to "
                          "DECIMAL(38, 0) or DOUBLE");
    }
    return SABOT_OK;
}

/* MIN, MAX, FIRST_VALUE and LAST_VALUE are rows that are picked. */
static sabot_status pick_cell(const struct over *self, const struct chunk *chunk, int32_t c, struct work *work,
                              struct column **out, struct sabot_error *err) {
    static const enum frames_pick picks[] = {[CELL_MIN] = PICK_MIN, [CELL_MAX] = PICK_MAX, [CELL_FIRST] = PICK_FIRST,
                                             [CELL_LAST] = PICK_LAST};
    const struct frames *frames = &chunk->frames;
    const struct cell *cell = &self->plan.cells[c];
    struct column *values COLUMN_OWNED = column_ref((struct column *)(uintptr_t)argument_of(self, chunk,
                                                                                           cell->argument));
    const bool carries = frame_is_unbounded(self);
    if (carries) {
        struct column *before COLUMN_OWNED = NULL;
        struct column *both = NULL;
        int32_t *groups = work->picked[0];
        const int64_t *rows = group_cell(self, self->plan.n_cells);
        for (int32_t s = 0; s < frames->n_segments; s++) { groups[s] = group_of(chunk, s); }
        SABOT_TRY(state_take(self->groups, namespace_of(self), groups, frames->n_segments, self->options->n_keys + c, 1,
                             &before, err));
        for (int32_t i = 0; i < self->plan.n_calls; i++) { /* a count of what it took, where not all rows are taken */
            const bool is_it = self->plan.calls[i].value == c && self->plan.calls[i].count >= 0;
            if (is_it) { rows = group_cell(self, self->plan.calls[i].count); }
        }
        for (int32_t s = 0; s < frames->n_segments; s++) { work->has_carry[s] = rows[groups[s]] > 0; }
        SABOT_TRY(column_concat(self->own.pool, (struct column *const[]){values, before}, 2, &both, err));
        column_unref(values);
        values = both;
    }
    frames_pick(frames, picks[cell->op], values, cell->type, work->takes, carries ? work->has_carry : NULL,
                work->picked[1], work->picked[0]);
    int32_t *picked = work->picked[1];
    bool any_none = false;
    for (int32_t j = 0; j < frames->n_due; j++) { any_none |= picked[j] < 0; }
    SABOT_TRY(column_take(self->own.pool, values, picked, frames->n_due, out, err));
    if (!any_none) { return SABOT_OK; }
    /* cells hold no NULLs: where there is none, the count is 0 */
    for (int32_t j = 0; j < frames->n_due; j++) { picked[j] = picked[j] < 0 ? 0 : picked[j]; }
    column_unref(*out);
    return column_take(self->own.pool, values, picked, frames->n_due, out, err);
}

static sabot_status compute_cell(const struct over *self, struct chunk *chunk, int32_t c, struct work *work,
                                 struct sabot_error *err) {
    const struct frames *frames = &chunk->frames;
    const struct cell *cell = &self->plan.cells[c];
    find_takes(self, chunk, cell, work->takes);
    if (cell->op != CELL_COUNT && cell->op != CELL_SUM) {
        return pick_cell(self, chunk, c, work, &chunk->cells[c], err);
    }
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, self->own.pool, type_phys(cell->type), frames->n_due, false, err));
    sabot_status status = SABOT_OK;
    if (cell->op == CELL_COUNT) {
        const bool carries = frame_is_unbounded(self);
        const int64_t *before = group_cell(self, c);
        for (int32_t s = 0; s < frames->n_segments && carries; s++) { work->counts[1][s] = before[group_of(chunk, s)]; }
        frames_count(frames, work->takes, carries ? work->counts[1] : NULL, builder.values, work->counts[0]);
    } else {
        status = sum_cell(self, chunk, c, work, builder.values, err);
    }
    if (status == SABOT_OK) { status = column_builder_finish(&builder, &chunk->cells[c], err); }
    column_builder_clear(&builder);
    return status;
}

/* ROW_NUMBER, RANK, DENSE_RANK. */
static void number_column(const struct over *self, const struct chunk *chunk, enum over_function function,
                          int64_t *out) {
    const struct frames *frames = &chunk->frames;
    const int64_t *rows = group_cell(self, self->plan.n_cells), *times = group_cell(self, self->plan.n_cells + 1);
    int64_t dense = 0;
    for (int32_t j = 0; j < frames->n_due; j++) {
        const int32_t s = frames->segments[j], group = group_of(chunk, s), i = frames->rows[j];
        const bool fresh = j == 0 || frames->segments[j - 1] != s;
        if (fresh) { dense = times[group]; }
        if (fresh || frames->peers[j] == i) { dense++; }
        const int32_t due = frames->first_due[s];
        out[j] = function == OVER_ROW_NUMBER ? rows[group] + i - due + 1
                 : function == OVER_RANK     ? rows[group] + frames->peers[j] - due + 1
                                             : dense;
    }
}

static sabot_status compute_by_position(const struct over *self, struct chunk *chunk, int32_t call,
                                        struct sabot_error *err) {
    const struct frames *frames = &chunk->frames;
    const struct over_call *of = &self->options->calls[call];
    struct column_builder builder;
    if (of->function != OVER_LAG) {
        SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, frames->n_due, false, err));
        number_column(self, chunk, of->function, builder.values);
        const sabot_status status = column_builder_finish(&builder, &chunk->by_position[call], err);
        column_builder_clear(&builder);
        return status;
    }
    int32_t *rows;
    const size_t size = (size_t)frames->n_due * sizeof *rows;
    SABOT_TRY(memory_alloc(self->own.pool, size, (void **)&rows, err));
    for (int32_t j = 0; j < frames->n_due; j++) {
        const int64_t at = frames->rows[j] - of->offset;
        rows[j] = at >= frames->starts[frames->segments[j]] ? (int32_t)at : -1;
    }
    const sabot_status status = column_take(self->own.pool, argument_of(self, chunk, of->aggregate.argument), rows,
                                            frames->n_due, &chunk->by_position[call], err);
    memory_free(self->own.pool, rows, size);
    return status;
}

static sabot_status compute(struct over *self, struct chunk *chunk, struct sabot_error *err) {
    const size_t n = (size_t)chunk->frames.n_rows + 2;
    const size_t size = n * (4 * sizeof(__int128) + 4 * sizeof(double) + 3 * sizeof(int64_t) + 2 * sizeof(int32_t) + 2);
    void *block;
    SABOT_TRY(memory_alloc(self->own.pool, size, &block, err));
    struct work work = {0};
    char *at = block;
    for (int i = 0; i < 4; i++, at += n * sizeof(__int128)) { work.wide[i] = (__int128 *)(void *)at; }
    for (int i = 0; i < 4; i++, at += n * sizeof(double)) { work.real[i] = (double *)(void *)at; }
    for (int i = 0; i < 3; i++, at += n * sizeof(int64_t)) { work.counts[i] = (int64_t *)(void *)at; }
    for (int i = 0; i < 2; i++, at += n * sizeof(int32_t)) { work.picked[i] = (int32_t *)(void *)at; }
    work.takes = (bool *)at;
    work.has_carry = (bool *)at + n;
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c < self->plan.n_cells && status == SABOT_OK; c++) {
        status = compute_cell(self, chunk, c, &work, err);
    }
    memory_free(self->own.pool, block, size);
    for (int32_t i = 0; i < self->options->n_calls && status == SABOT_OK; i++) {
        if (self->call_of[i] < 0) { status = compute_by_position(self, chunk, i, err); }
    }
    return status;
}

/* ---- what stays ------------------------------------------------------------------------------------------------- */

/* The last due row of each partition has what the next rows go on with. */
static sabot_status keep_groups(struct over *self, const struct chunk *chunk, struct sabot_error *err) {
    const struct frames *frames = &chunk->frames;
    const int64_t namespace_ = namespace_of(self);
    int64_t *rows = state_values(self->groups, namespace_, self->plan.n_cells);
    int64_t *times = state_values(self->groups, namespace_, self->plan.n_cells + 1);
    char *cells[CELLS_MAX];
    for (int32_t c = 0; c < self->plan.n_cells; c++) { cells[c] = state_values(self->groups, namespace_, c); }
    for (int32_t j = 0; j < frames->n_due; j++) {
        const int32_t s = frames->segments[j], group = group_of(chunk, s);
        if (j % RELAX_ROWS == 0) { memory_relax(self->own.pool); }
        rows[group]++;
        times[group] += frames->peers[j] == frames->rows[j];
        if ((j + 1 < frames->n_due && frames->segments[j + 1] == s) || !frame_is_unbounded(self)) { continue; }
        for (int32_t c = 0; c < self->plan.n_cells; c++) {
            const struct column *cell = chunk->cells[c];
            const size_t size = phys_size((enum phys)cell->phys);
            const char *source = (const char *)cell->values + (size_t)j * size;
            if (cell->phys == PHYS_VIEW) {
                struct string_view view;
                memcpy(&view, source, sizeof view);
                SABOT_TRY(state_set_view(self->groups, namespace_, c, group, view, err));
                continue;
            }
            memcpy(cells[c] + (size_t)group * size, source, size);
        }
    }
    return SABOT_OK;
}

/* Due rows go into past; with a number of rows per partition, those before the last so many leave it. */
static sabot_status keep_past(struct over *self, const struct chunk *chunk, struct sabot_error *err) {
    const struct frames *frames = &chunk->frames;
    const int32_t n = frames->n_rows;
    uint8_t *kinds;
    int64_t *times;
    const size_t size = (size_t)n * 9;
    void *block;
    SABOT_TRY(memory_alloc(self->own.pool, size, &block, err));
    times = block;
    kinds = (uint8_t *)(times + n);
    const int64_t *values = chunk->columns[self->column_of[self->options->time_column]]->values;
    for (int32_t i = 0, s = 0; i < n; i++) {
        while (i >= frames->starts[s + 1]) { s++; }
        const bool is_due = i >= frames->first_due[s];
        const bool stays = self->kept_rows == 0 || frames->starts[s + 1] - i <= self->kept_rows;
        kinds[i] = is_due && stays ? ROW_INSERT : !is_due && !stays ? ROW_DELETE : UINT8_MAX;
        times[i] = time_ms_of(self, values[i]);
    }
    sabot_status status = SABOT_OK;
    for (int32_t first = 0; first < n && status == SABOT_OK; first += GROUP_ROWS) {
        const int32_t some = n - first < GROUP_ROWS ? n - first : GROUP_ROWS;
        int32_t rows[GROUP_ROWS], m = 0;
        int64_t moments[GROUP_ROWS];
        BATCH_OWNED struct batch *part = NULL;
        status = part_of(self, chunk->columns, first, some, &part, err);
        if (status != SABOT_OK) { break; }
        for (int32_t i = 0; i < some; i++) {
            if (kinds[first + i] == UINT8_MAX) { continue; }
            moments[m] = self->kept_rows == 0 ? multimap_granule(times[first + i], self->granule_ms) : 0;
            rows[m++] = i;
        }
        if (m == 0) { continue; }
        status = buffer_new(self->own.pool, (size_t)some, &part->row_kinds_buffer, err);
        if (status != SABOT_OK) { break; }
        memcpy(part->row_kinds_buffer->data, kinds + first, (size_t)some);
        part->row_kinds = part->row_kinds_buffer->data;
        const struct multimap_rows changed = {.batch = part, .columns = self->columns, .rows = rows, .n = m};
        status = self->kept_rows ? multimap_apply(self->past, &changed, NULL, NULL, err)
                                 : multimap_insert(self->past, &changed, moments, NULL, err);
    }
    memory_free(self->own.pool, block, size);
    return status;
}

/* Rows that no frame of a later row holds. */
static void drop_past(struct over *self, int64_t watermark_ms) {
    int64_t moment;
    if (!self->past || self->kept_rows) { return; }
    while (multimap_first_namespace(self->past, &moment) &&
           (watermark_ms == WATERMARK_END || moment < watermark_ms - range_ms(self))) {
        multimap_drop_namespace(self->past, moment);
    }
}

/* ---- giving out -------------------------------------------------------------------------------------------------- */

static sabot_status result_columns(struct over *self, const struct chunk *chunk, const int32_t *due, int32_t n,
                                   struct column **columns, int32_t *n_columns, struct sabot_error *err) {
    struct column *cells[CELLS_MAX];
    BATCH_OWNED struct batch *batch = NULL;
    for (int32_t c = 0; c < self->plan.n_cells; c++) {
        const sabot_status status = column_take(self->own.pool, chunk->cells[c], due, n, &cells[c], err);
        if (status == SABOT_OK) { continue; }
        while (c-- > 0) { column_unref(cells[c]); }
        return status;
    }
    SABOT_TRY(batch_new(self->groups_schema, cells, self->plan.n_cells, n, &batch, err));
    for (int32_t i = 0; i < self->options->n_calls; i++) {
        const struct type type = self->own.spec->output->fields[self->n_columns + i].type;
        SABOT_TRY(self->call_of[i] < 0
                      ? column_take(self->own.pool, chunk->by_position[i], due, n, &columns[*n_columns], err)
                      : accumulators_result(&self->plan, self->call_of[i], batch, 0, self->own.pool, type,
                                            &columns[*n_columns], err));
        (*n_columns)++;
    }
    return SABOT_OK;
}

static sabot_status give_part(struct over *self, const struct chunk *chunk, int32_t first, int32_t n,
                              struct op_out *out, struct sabot_error *err) {
    struct column *columns[OVER_COLUMNS_MAX + CELLS_MAX];
    int32_t at = 0, *due;
    SABOT_TRY(memory_alloc(self->own.pool, (size_t)n * sizeof *due, (void **)&due, err));
    for (int32_t i = 0; i < n; i++) { due[i] = first + i; }
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c < self->n_columns && status == SABOT_OK; c++) {
        status = column_take(self->own.pool, chunk->columns[self->column_of[c]], chunk->frames.rows + first, n,
                             &columns[at], err);
        at += status == SABOT_OK;
    }
    if (status == SABOT_OK) { status = result_columns(self, chunk, due, n, columns, &at, err); }
    memory_free(self->own.pool, due, (size_t)n * sizeof *due);
    if (status != SABOT_OK) {
        while (at-- > 0) { column_unref(columns[at]); }
        return status;
    }
    struct batch *batch;
    SABOT_TRY(batch_new(self->own.spec->output, columns, at, n, &batch, err));
    batch->created_ns = self->created_ns;
    return out_emit(out, batch, err);
}

static sabot_status work_off(struct over *self, struct chunk *chunk, int32_t **groups, size_t *groups_size,
                             struct op_out *out, struct sabot_error *err) {
    SABOT_TRY(find_groups(self, chunk, *groups, err));
    if (self->past) {
        SABOT_TRY(find_past(self, chunk, groups, groups_size, err));
        SABOT_TRY(append_past(self, chunk, err));
    }
    SABOT_TRY(sort_rows(self, chunk, *groups, err));
    SABOT_TRY(find_frames(self, chunk, err));
    SABOT_TRY(compute(self, chunk, err));
    SABOT_TRY(keep_groups(self, chunk, err));
    if (self->past) { SABOT_TRY(keep_past(self, chunk, err)); }
    const int32_t n_due = chunk->frames.n_due;
    for (int32_t first = 0; first < n_due; first += self->own.batch_rows) {
        const int32_t n = n_due - first < self->own.batch_rows ? n_due - first : self->own.batch_rows;
        SABOT_TRY(give_part(self, chunk, first, n, out, err));
    }
    part_rows_learn(self, chunk);
    if (!self->carries) { state_drop_namespace(self->groups, STATE_NAMESPACE_SCRATCH); }
    return SABOT_OK;
}

static sabot_status give_some(struct over *self, const struct due *due, int32_t *first, struct op_out *out,
                              struct sabot_error *err) {
    struct chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) { return no_memory(err); }
    int32_t *groups = NULL;
    size_t size = 0;
    sabot_status status = take_part(self, due, *first, chunk, err);
    *first += chunk->n_due;
    if (status == SABOT_OK) {
        size = (size_t)chunk->n_due * sizeof *groups;
        status = memory_alloc(self->own.pool, size, (void **)&groups, err);
        if (status == SABOT_OK) { status = work_off(self, chunk, &groups, &size, out, err); }
        if (groups) { memory_free(self->own.pool, groups, size); }
    }
    chunk_clear(self, chunk);
    free(chunk);
    return status;
}

/* The next due rows; *any: there were some. */
static sabot_status give_due(struct over *self, struct op_out *out, bool *any, struct sabot_error *err) {
    struct due due = {0};
    sabot_status status = take_due(self, &due, err);
    *any = due.n > 0;
    for (int32_t first = 0; first < due.n && status == SABOT_OK;) { status = give_some(self, &due, &first, out, err); }
    for (int32_t i = 0; i < due.n_moments && status == SABOT_OK; i++) {
        multimap_drop_namespace(self->pending, due.moments[i]);
    }
    due_clear(self, &due);
    return status;
}

static sabot_status give(struct over *self, struct op_out *out, struct sabot_error *err) {
    self->op.busy = true;
    for (bool any = true; any;) {
        if (out_is_full(out)) { return SABOT_OK; }
        SABOT_TRY(give_due(self, out, &any, err));
    }
    self->op.busy = false;
    self->watermark_ms = self->target_ms;
    drop_past(self, self->watermark_ms);
    self->left = multimap_size(self->pending);
    held_pace_end(&self->pace, self->own.env);
    if (self->own.metrics) {
        atomic_store_explicit(&self->own.metrics->watermark_ms, self->watermark_ms, memory_order_relaxed);
    }
    SABOT_TRY(out->watermark(out, self->target_ms, err));
    return held_pass_idle(&self->pace, out, err);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* The watermark that waits goes on before whatever is behind it. */
static sabot_status release(struct over *self, struct op_out *out, struct sabot_error *err) {
    if (!held_take_watermark(&self->pace, &self->target_ms)) {
        return self->op.busy ? SABOT_OK : held_pass_idle(&self->pace, out, err);
    }
    held_pace_begin(&self->pace, self->own.env);
    return give(self, out, err);
}

static sabot_status over_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                      struct sabot_error *err) {
    struct over *self = (struct over *)op;
    if (watermark_ms <= self->watermark_ms) { /* behind a restore the sources begin anew */
        return watermark_ms == self->watermark_ms ? out->watermark(out, watermark_ms, err) : SABOT_OK;
    }
    held_keep_watermark(&self->pace, watermark_ms);
    const int64_t rows = multimap_size(self->pending) - self->left; /* so many more than the last time */
    const bool waits = watermark_ms != WATERMARK_END && memory_is_spilled(self->own.pool) &&
                       self->options->n_keys > 0 && !held_is_enough(self->own.pool, rows, rows * self->row_bytes);
    if (!waits) { return release(self, out, err); }
    held_wake(&self->pace, op, &self->own);
    return SABOT_OK;
}

static sabot_status over_on_time(struct op *op, int64_t now_ms, struct op_out *out, struct sabot_error *err) {
    (void)now_ms;
    return release((struct over *)op, out, err);
}

static sabot_status over_on_idle(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct over *self = (struct over *)op;
    self->pace.idle_waits = true;
    return release(self, out, err);
}

static sabot_status over_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? give((struct over *)op, out, err) : SABOT_OK;
}

static sabot_status over_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                        struct sabot_error *err) {
    (void)checkpoint_id;
    struct over *self = (struct over *)op;
    SABOT_TRY(release(self, out, err));
    const int64_t watermark_ms = op->busy ? self->target_ms : self->watermark_ms; /* it waits until all is given out */
    struct column *columns[2];
    SABOT_TRY(column_constant(self->own.pool, PHYS_I64, &watermark_ms, 1, &columns[0], err));
    const sabot_status status = column_constant(self->own.pool, PHYS_I64, &self->number, 1, &columns[1], err);
    if (status != SABOT_OK) {
        column_unref(columns[0]);
        return status;
    }
    struct batch *row;
    SABOT_TRY(batch_new(self->progress_schema, columns, 2, 1, &row, err));
    return state_list_replace(self->progress, row, err);
}

const struct op_type op_over = {
    .name = "over",
    .summary = "aggregates of the rows of a partition up to each row, by event time",
    .open = over_open,
    .on_batch = over_on_batch,
    .on_watermark = over_on_watermark,
    .on_idle = over_on_idle,
    .on_end = op_default_on_end,
    .resume = over_resume,
    .before_barrier = over_before_barrier,
    .on_time = over_on_time,
    .on_complete = op_default_on_complete,
    .close = over_close,
    .stateful = true,
    .declares_state = true,
};
