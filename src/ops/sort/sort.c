/* ORDER BY over bounded input: an external merge sort (docs/decisions/0032). Rows are appended to the open run, a
 * namespace of a log; when that has its share of memory it is sorted and written again as a run in order. At the end
 * the runs are merged. All of it is state: it spills, is in checkpoints as it grows, and a restored job goes on with
 * it. With a limit only the first offset + limit rows of a run are kept, and rows behind a run that is full of them
 * are not even taken in. Equal rows keep the order in which they came. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ops/sort/sort_keys.h"
#include "ops/sort/sort_merge.h"

#define RUN_SHARE 16                          /* of the limit: as much again for its copy, and more for its order */
#define RUN_BYTES_MIN (INT64_C(64) << 10)
#define RUN_BYTES_MAX (INT64_C(64) << 20)
#define RUN_ROWS_MAX (INT32_C(1) << 26)
#define RUN_ROWS_FEW 65536  /* no more rows than these are sorted again rather than kept as a run */
#define CHUNK_SHARE 16      /* of the limit: what a merge reads ahead */
#define PIECE_ROWS 2048     /* rows appended at once */
#define PACKED_COPIES 3     /* of packed bytes while a run is sorted: as stored, as values, and room to grow */

struct sort {
    struct op op;
    struct op_context own;
    const struct sort_options *options;
    struct sort_store store;       /* how the runs keep rows */
    int32_t arrival;               /* column behind the input's: when a row came */
    struct state_table *runs, *former; /* former: what older versions kept */
    struct sort_order order;
    int64_t keep;                  /* rows that can still matter; INT64_MAX = all */
    int64_t next_arrival, next_run;
    int64_t run_bytes, row_bytes;  /* of a run at most; of a row without its texts */
    int64_t open, open_rows, open_bytes; /* the run that rows are appended to */
    int64_t packed_bytes, packed_rows;   /* of all rows so far, where nested columns are packed */
    int64_t *sorted;               /* namespaces of runs in order */
    int32_t n_sorted, sorted_capacity;
    int64_t sorted_rows;
    struct batch *cutoff;          /* its only row: rows that do not come before it can't matter; NULL: not known */
    struct sort_place cutoff_place;
    struct sort_merge *merge;      /* set at the end */
    struct buffer *last_order;     /* of its rows in memory */
};

static void sort_close(struct op *op) {
    struct sort *sort = (struct sort *)op;
    sort_merge_close(sort->merge);
    buffer_unref(sort->last_order);
    batch_unref(sort->cutoff);
    sort_store_clear(&sort->store);
    free(sort->sorted);
    free(sort);
}

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a sort");
}

/* ---- runs ---- */

static sabot_status sorted_add(struct sort *sort, int64_t run, struct sabot_error *err) {
    if (sort->n_sorted == sort->sorted_capacity) {
        const int32_t capacity = sort->sorted_capacity ? sort->sorted_capacity * 2 : 32;
        int64_t *sorted = realloc(sort->sorted, (size_t)capacity * sizeof *sorted);
        if (!sorted) { return no_memory(err); }
        sort->sorted = sorted;
        sort->sorted_capacity = capacity;
    }
    sort->sorted[sort->n_sorted++] = run;
    sort->sorted_rows += state_count(sort->runs, run);
    return SABOT_OK;
}

static int64_t texts_bytes(const struct batch *batch, const int32_t *rows, int32_t n) {
    int64_t bytes = 0;
    for (int32_t c = 0; c < batch->n_columns; c++) {
        const struct column *column = batch->columns[c];
        if (column->phys != PHYS_VIEW) { continue; }
        const struct string_view *views = column->values;
        for (int32_t i = 0; i < n; i++) {
            const struct string_view *view = &views[column_at(column, rows[i])];
            if (view->size > STRING_VIEW_INLINE && !column_is_null(column, rows[i])) { bytes += view->size; }
        }
    }
    return bytes;
}

/* Rows of the open run as they are stored: what is packed is in memory about three times when a run is sorted. */
static void texts_count(struct sort *sort, const struct batch *stored, const int32_t *rows, int32_t n) {
    const int64_t bytes = texts_bytes(stored, rows, n);
    sort->open_bytes += n * sort->row_bytes + bytes * (sort->store.n_packed ? PACKED_COPIES : 1);
    if (!sort->store.n_packed) { return; }
    sort->packed_bytes += bytes;
    sort->packed_rows += n;
}

static sabot_status rows_append(struct sort *sort, int64_t run, struct batch *batch, const int32_t *rows, int32_t n,
                                struct sabot_error *err) {
    for (int32_t done = 0; done < n; done += PIECE_ROWS) {
        const int32_t m = n - done < PIECE_ROWS ? n - done : PIECE_ROWS;
        BATCH_OWNED struct batch *stored = NULL;
        SABOT_TRY(sort_store_put(&sort->store, batch, rows + done, m, &stored, err));
        SABOT_TRY(state_append(sort->runs, run, stored, rows + done, m, err));
        if (run == sort->open) { texts_count(sort, stored, rows + done, m); }
    }
    return SABOT_OK;
}

static sabot_status rows_read(const struct sort *sort, int64_t run, int64_t first, int32_t n, struct batch **out,
                              struct sabot_error *err) {
    struct batch *stored;
    SABOT_TRY(state_read(sort->runs, run, first, n, &stored, err));
    return sort_store_get(&sort->store, stored, out, err);
}

/* The order of the rows of a flat batch: rows[0..rows), the first ones that can matter. */
static sabot_status rows_sort(struct sort *sort, const struct batch *batch, struct buffer **out, int32_t *n_out,
                              struct sabot_error *err) {
    const int32_t n = batch->rows;
    struct buffer *rows;
    SABOT_TRY(buffer_new(sort->own.pool, (size_t)n * sizeof(int32_t), &rows, err));
    struct sort_place *places;
    const size_t bytes = (size_t)n * 2 * sizeof *places;
    const sabot_status status = memory_alloc(sort->own.pool, bytes, (void **)&places, err);
    if (status != SABOT_OK) {
        buffer_unref(rows);
        return status;
    }
    int32_t *order = (int32_t *)(void *)rows->data;
    const int64_t *came = batch->columns[sort->arrival]->values;
    bool as_they_came = true;
    for (int32_t i = 1; i < n && as_they_came; i++) { as_they_came = came[i - 1] < came[i]; }
    if (!as_they_came) { /* a restore has changed it */
        for (int32_t i = 0; i < n; i++) { places[i] = (struct sort_place){.high = (uint64_t)came[i], .row = i}; }
        sort_places_radix(places, places + n, n, 64);
        for (int32_t i = 0; i < n; i++) { order[i] = places[i].row; }
    }
    sort_places_fill(&sort->order, batch, as_they_came ? NULL : order, n, places);
    sort_places(&sort->order, batch, places, places + n, n);
    for (int32_t i = 0; i < n; i++) { order[i] = places[i].row; }
    memory_free(sort->own.pool, places, bytes);
    *out = rows;
    *n_out = sort->keep < n ? (int32_t)sort->keep : n;
    return SABOT_OK;
}

/* Whether a row comes before the one behind which nothing can matter. */
static bool before_cutoff(const struct sort *sort, const struct batch *batch, int32_t row,
                          const struct sort_place *place) {
    const int found = sort_place_compare(place, &sort->cutoff_place);
    if (found || sort->order.exact) { return found < 0; }
    return sort_rows_compare(&sort->order, batch, row, sort->cutoff, 0) < 0;
}

/* A run that is full of rows that can matter: what comes behind its last one can't. */
static sabot_status cutoff_take(struct sort *sort, const struct batch *batch, int32_t row, struct sabot_error *err) {
    struct sort_place place;
    sort_places_fill(&sort->order, batch, &row, 1, &place);
    if (sort->cutoff && !before_cutoff(sort, batch, row, &place)) { return SABOT_OK; }
    BATCH_OWNED struct batch *taken = NULL;
    struct batch *own;
    SABOT_TRY(batch_take(sort->own.pool, batch, &row, 1, &taken, err));
    SABOT_TRY(batch_detach(sort->own.pool, taken, &own, err));
    batch_unref(sort->cutoff);
    sort->cutoff = own;
    sort->cutoff_place = place;
    return SABOT_OK;
}

static void open_begin(struct sort *sort) {
    sort->open = sort->next_run++;
    sort->open_rows = sort->open_bytes = 0;
}

/* The open run in order, as it stands in memory. */
static sabot_status open_sort(struct sort *sort, struct batch **batch, struct buffer **order, int32_t *n,
                              struct sabot_error *err) {
    SABOT_TRY(rows_read(sort, sort->open, 0, (int32_t)sort->open_rows, batch, err));
    return rows_sort(sort, *batch, order, n, err);
}

static sabot_status open_finish(struct sort *sort, struct sabot_error *err) {
    BATCH_OWNED struct batch *batch = NULL;
    struct buffer *order;
    int32_t n;
    SABOT_TRY(open_sort(sort, &batch, &order, &n, err));
    const int32_t *rows = (const int32_t *)(const void *)order->data;
    const int64_t run = sort->next_run++;
    sabot_status status = rows_append(sort, run, batch, rows, n, err);
    if (status == SABOT_OK) { status = sorted_add(sort, run, err); }
    if (status == SABOT_OK && n > 0 && n == sort->keep) { status = cutoff_take(sort, batch, rows[n - 1], err); }
    buffer_unref(order);
    state_drop_namespace(sort->runs, sort->open);
    open_begin(sort);
    return status;
}

static sabot_status merge_begin(struct sort *sort, struct batch *last, const struct buffer *order, int32_t n,
                                int64_t first, struct sabot_error *err) {
    const int64_t limit = memory_limit(sort->own.pool), share = limit / CHUNK_SHARE;
    const int64_t packed = sort->packed_rows ? PACKED_COPIES * sort->packed_bytes / sort->packed_rows : 0;
    const struct sort_merge_options options = {
        .order = &sort->order,
        .pool = sort->own.pool,
        .runs = sort->runs,
        .store = &sort->store,
        .namespaces = sort->sorted,
        .n_namespaces = sort->n_sorted,
        .last = last,
        .last_rows = order ? (const int32_t *)(const void *)order->data : NULL,
        .n_last = n,
        .arrival = sort->arrival,
        .chunk_bytes = share < RUN_BYTES_MAX ? share : RUN_BYTES_MAX,
        .row_bytes = sort->row_bytes + packed,
        .batch_rows = sort->own.batch_rows,
        .first = first,
        .end = sort->keep,
    };
    return sort_merge_open(&options, &sort->merge, err);
}

/* All runs become one, of the rows that can matter. */
static sabot_status runs_unite(struct sort *sort, struct sabot_error *err) {
    SABOT_TRY(merge_begin(sort, NULL, NULL, 0, 0, err));
    const int64_t run = sort->next_run++;
    sabot_status status = SABOT_OK;
    for (bool more = true; more && status == SABOT_OK;) {
        BATCH_OWNED struct batch *batch = NULL;
        status = sort_merge_next(sort->merge, &batch, err);
        more = batch != NULL;
        int32_t rows[PIECE_ROWS];
        for (int32_t done = 0; more && done < batch->rows && status == SABOT_OK; done += PIECE_ROWS) {
            const int32_t m = batch->rows - done < PIECE_ROWS ? batch->rows - done : PIECE_ROWS;
            for (int32_t i = 0; i < m; i++) { rows[i] = done + i; }
            status = rows_append(sort, run, batch, rows, m, err);
        }
        if (status == SABOT_OK && more && state_count(sort->runs, run) == sort->keep) {
            status = cutoff_take(sort, batch, batch->rows - 1, err);
        }
    }
    sort_merge_close(sort->merge);
    sort->merge = NULL;
    for (int32_t i = 0; i < sort->n_sorted; i++) { state_drop_namespace(sort->runs, sort->sorted[i]); }
    sort->n_sorted = 0;
    sort->sorted_rows = 0;
    return status == SABOT_OK ? sorted_add(sort, run, err) : status;
}

/* Whether the open run has rows enough to be sorted. */
static bool open_is_full(const struct sort *sort) {
    if (sort->open_bytes >= sort->run_bytes || sort->open_rows >= RUN_ROWS_MAX) { return true; }
    return sort->open_rows >= RUN_ROWS_FEW && sort->open_rows / 2 >= sort->keep;
}

static sabot_status runs_tidy(struct sort *sort, struct sabot_error *err) {
    if (!open_is_full(sort)) { return SABOT_OK; }
    SABOT_TRY(open_finish(sort, err));
    const bool many = sort->n_sorted > 1 && sort->sorted_rows >= RUN_ROWS_FEW && sort->sorted_rows / 2 >= sort->keep;
    return many ? runs_unite(sort, err) : SABOT_OK;
}

/* ---- rows that come ---- */

/* Takes in rows of a batch that has the columns of the runs. */
static sabot_status open_add(struct sort *sort, struct batch *batch, const int32_t *rows, int32_t n,
                             struct sabot_error *err) {
    for (int32_t done = 0; done < n; done += PIECE_ROWS) {
        const int32_t m = n - done < PIECE_ROWS ? n - done : PIECE_ROWS;
        SABOT_TRY(rows_append(sort, sort->open, batch, rows + done, m, err));
        sort->open_rows += m;
        SABOT_TRY(runs_tidy(sort, err));
    }
    return SABOT_OK;
}

/* Leaves out rows that can't matter; how many are left. */
static sabot_status rows_cut(const struct sort *sort, const struct batch *batch, int32_t *rows, int32_t *n,
                             struct sabot_error *err) {
    if (!sort->cutoff) { return SABOT_OK; }
    struct sort_place *places;
    const size_t bytes = (size_t)*n * sizeof *places;
    SABOT_TRY(memory_alloc(sort->own.pool, bytes, (void **)&places, err));
    sort_places_fill(&sort->order, batch, rows, *n, places);
    int32_t left = 0;
    for (int32_t i = 0; i < *n; i++) {
        /* an equal one came later than the rows of that run */
        if (before_cutoff(sort, batch, places[i].row, &places[i])) { rows[left++] = places[i].row; }
    }
    memory_free(sort->own.pool, places, bytes);
    *n = left;
    return SABOT_OK;
}

/* The batch with a number for each of its rows. */
static sabot_status with_arrivals(struct sort *sort, const struct batch *batch, const int32_t *rows, int32_t n,
                                  struct batch **out, struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, sort->own.pool, PHYS_I64, batch->rows, false, err));
    for (int32_t i = 0; i < n; i++) { ((int64_t *)builder.values)[rows[i]] = sort->next_arrival++; }
    struct column *arrivals;
    SABOT_TRY(column_builder_finish(&builder, &arrivals, err));
    return batch_with_column(batch, sort->store.loaded, arrivals, false, out, err);
}

static sabot_status sort_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                  struct sabot_error *err) {
    (void)input;
    (void)out;
    struct sort *sort = (struct sort *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0 || sort->keep == 0) { return SABOT_OK; }
    struct buffer *rows_buffer;
    int32_t n = batch->selected;
    SABOT_TRY(buffer_new(sort->own.pool, (size_t)n * sizeof(int32_t), &rows_buffer, err));
    int32_t *rows = (int32_t *)(void *)rows_buffer->data;
    for (int32_t i = 0; i < n; i++) { rows[i] = batch_row(batch, i); }
    BATCH_OWNED struct batch *stored = NULL;
    sabot_status status = rows_cut(sort, batch, rows, &n, err);
    if (status == SABOT_OK && n > 0) { status = with_arrivals(sort, batch, rows, n, &stored, err); }
    if (status == SABOT_OK && n > 0) { status = open_add(sort, stored, rows, n, err); }
    buffer_unref(rows_buffer);
    return status;
}

/* ---- open and restore ---- */

/* A run of a checkpoint, chunk by chunk. */
struct walk {
    struct batch *before; /* the last chunk */
    bool in_order;
    int64_t last_arrival;
};

static bool pair_in_order(const struct sort *sort, const struct batch *a, int32_t row_a, const struct batch *b,
                          int32_t row_b) {
    const int found = sort_rows_compare(&sort->order, a, row_a, b, row_b);
    const int64_t came_a = ((const int64_t *)a->columns[sort->arrival]->values)[row_a];
    const int64_t came_b = ((const int64_t *)b->columns[sort->arrival]->values)[row_b];
    return found < 0 || (found == 0 && came_a < came_b);
}

static void walk_chunk(const struct sort *sort, struct walk *walk, struct batch *chunk) {
    const int64_t *came = chunk->columns[sort->arrival]->values;
    for (int32_t i = 0; i < chunk->rows; i++) {
        walk->last_arrival = came[i] > walk->last_arrival ? came[i] : walk->last_arrival;
        if (!walk->in_order || (i == 0 && !walk->before)) { continue; }
        walk->in_order = i ? pair_in_order(sort, chunk, i - 1, chunk, i)
                           : pair_in_order(sort, walk->before, walk->before->rows - 1, chunk, 0);
    }
}

static sabot_status run_walk(const struct sort *sort, int64_t run, struct walk *walk, struct sabot_error *err) {
    const int64_t end = state_count(sort->runs, run);
    sabot_status status = SABOT_OK;
    walk->in_order = true;
    for (int64_t at = 0; at < end && status == SABOT_OK; at += PIECE_ROWS) {
        const int32_t n = end - at < PIECE_ROWS ? (int32_t)(end - at) : PIECE_ROWS;
        struct batch *chunk = NULL;
        status = rows_read(sort, run, at, n, &chunk, err);
        if (status != SABOT_OK) { break; }
        walk_chunk(sort, walk, chunk);
        batch_unref(walk->before);
        walk->before = chunk;
    }
    batch_unref(walk->before);
    walk->before = NULL;
    return status;
}

/* Rows of a run that a restore has put out of order (or that never were) are taken in again, with their numbers. */
static sabot_status run_take_again(struct sort *sort, int64_t run, struct sabot_error *err) {
    const int64_t end = state_count(sort->runs, run);
    int32_t rows[PIECE_ROWS];
    for (int32_t i = 0; i < PIECE_ROWS; i++) { rows[i] = i; }
    for (int64_t at = 0; at < end; at += PIECE_ROWS) {
        const int32_t n = end - at < PIECE_ROWS ? (int32_t)(end - at) : PIECE_ROWS;
        BATCH_OWNED struct batch *chunk = NULL;
        SABOT_TRY(rows_read(sort, run, at, n, &chunk, err));
        SABOT_TRY(open_add(sort, chunk, rows, n, err));
    }
    state_drop_namespace(sort->runs, run);
    return SABOT_OK;
}

static sabot_status runs_restore(struct sort *sort, const int64_t *runs, int32_t n, struct sabot_error *err) {
    struct walk walk = {.last_arrival = -1};
    sort->next_run = runs[n > 0 ? n - 1 : 0] + 1;
    open_begin(sort);
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(run_walk(sort, runs[i], &walk, err));
        const bool is_run = walk.in_order && state_count(sort->runs, runs[i]) > RUN_ROWS_FEW;
        SABOT_TRY(is_run ? sorted_add(sort, runs[i], err) : run_take_again(sort, runs[i], err));
    }
    sort->next_arrival = walk.last_arrival + 1;
    return SABOT_OK;
}

/* Before 0032 the rows were a list. */
static sabot_status former_restore(struct sort *sort, struct sabot_error *err) {
    struct batch *rows = state_list_rows(sort->former);
    if (rows && sort->own.subtask == 0) { SABOT_TRY(sort_on_batch(&sort->op, 0, batch_ref(rows), NULL, err)); }
    return state_list_replace(sort->former, NULL, err);
}

static sabot_status restore(struct sort *sort, struct sabot_error *err) {
    const int64_t *listed;
    int32_t n;
    SABOT_TRY(state_namespaces(sort->runs, &listed, &n, err));
    int64_t *runs = calloc((size_t)n + 1, sizeof *runs);
    if (!runs) { return no_memory(err); }
    for (int32_t i = 0; i < n; i++) { runs[i] = listed[i]; }
    const sabot_status status = runs_restore(sort, runs, n, err);
    free(runs);
    return status == SABOT_OK ? former_restore(sort, err) : status;
}

static sabot_status tables_open(struct sort *sort, struct sabot_error *err) {
    SABOT_TRY(sort_store_init(&sort->store, sort->own.pool, sort->own.input, err));
    sort->arrival = sort->store.arrival;
    sort->row_bytes = sort->store.row_bytes + 2 * (int64_t)sizeof(struct sort_place);
    sort_order_init(&sort->order, sort->options->keys, sort->options->n_keys, sort->store.loaded);
    const int32_t n = sort->store.stored->n_fields;
    const struct state_spec former = {.name = "rows", .kind = STATE_LIST, .schema = sort->own.input};
    const struct state_spec runs = {.name = "runs", .kind = STATE_KEYED, .schema = sort->store.stored, .n_keys = n,
                                    .n_sub_keys = n, .is_log = true};
    SABOT_TRY(state_table_open(sort->own.state, &former, &sort->former, err));
    return state_table_open(sort->own.state, &runs, &sort->runs, err);
}

static sabot_status sort_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct sort *sort = calloc(1, sizeof *sort);
    if (!sort) { return no_memory(err); }
    sort->op.type = &op_sort;
    sort->own = *context;
    sort->options = context->spec->options;
    const int64_t offset = sort->options->offset > 0 ? sort->options->offset : 0, limit = sort->options->limit;
    sort->keep = limit < 0 || limit > INT64_MAX - offset ? INT64_MAX : offset + limit;
    const int64_t share = memory_limit(context->pool) / RUN_SHARE;
    sort->run_bytes = share < RUN_BYTES_MIN ? RUN_BYTES_MIN : share > RUN_BYTES_MAX ? RUN_BYTES_MAX : share;
    context->pool->spill_eighths = 1; /* runs are written and read from front to back, which costs little on a disk */
    sabot_status status = tables_open(sort, err);
    if (status == SABOT_OK && !state_tables_are_observed(context->state)) { status = restore(sort, err); }
    if (status != SABOT_OK) {
        sort_close(&sort->op);
        return status;
    }
    *out = &sort->op;
    return SABOT_OK;
}

/* ---- the end ---- */

static sabot_status give_sorted(struct sort *sort, struct op_out *out, struct sabot_error *err) {
    sort->op.busy = true;
    for (;;) {
        if (out_is_full(out)) { return SABOT_OK; }
        BATCH_OWNED struct batch *batch = NULL;
        SABOT_TRY(sort_merge_next(sort->merge, &batch, err));
        if (!batch) { break; }
        struct batch *given;
        for (int32_t c = 0; c < sort->arrival; c++) { column_ref(batch->columns[c]); } /* the arrival is left out */
        SABOT_TRY(batch_new(sort->own.input, batch->columns, sort->arrival, batch->rows, &given, err));
        SABOT_TRY(out_emit(out, given, err));
    }
    sort_merge_close(sort->merge);
    sort->merge = NULL;
    buffer_unref(sort->last_order);
    sort->last_order = NULL;
    for (int32_t i = 0; i < sort->n_sorted; i++) { state_drop_namespace(sort->runs, sort->sorted[i]); }
    sort->n_sorted = 0;
    sort->op.busy = false;
    return out->end(out, err);
}

static sabot_status sort_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct sort *sort = (struct sort *)op;
    BATCH_OWNED struct batch *last = NULL;
    struct buffer *order = NULL;
    int32_t n = 0;
    if (sort->open_rows) { SABOT_TRY(open_sort(sort, &last, &order, &n, err)); }
    state_drop_namespace(sort->runs, sort->open);
    sort->last_order = order;
    SABOT_TRY(merge_begin(sort, last, order, n, sort->options->offset > 0 ? sort->options->offset : 0, err));
    return give_sorted(sort, out, err);
}

static sabot_status sort_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? give_sorted((struct sort *)op, out, err) : SABOT_OK;
}

const struct op_type op_sort = {
    .name = "sort",
    .summary = "give the rows out in order at the end",
    .open = sort_open,
    .on_batch = sort_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = sort_on_end,
    .resume = sort_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = sort_close,
    .declares_state = true,
    .ends_for_good = true,
};
