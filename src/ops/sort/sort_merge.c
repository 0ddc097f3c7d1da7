/* The merge of sorted runs: a heap of runs, and a list of what a batch is made of (see sort_merge.h). */
#include "ops/sort/sort_merge.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK_ROWS_MIN 32

struct run {
    int64_t namespace_; /* RUN_IN_MEMORY: options.last */
    int64_t at, end;    /* rows from here on are not read yet */
    struct batch *chunk;
    struct sort_place *places; /* of its rows */
    int32_t row;               /* of the chunk: the next one */
    int32_t part;              /* of the batch that is being made; -1: it has none of this chunk yet */
};
#define RUN_IN_MEMORY INT64_MIN

/* A chunk. */
struct part {
    struct batch *batch;
};
struct pick {
    int32_t part, row;
};

struct sort_merge {
    struct sort_merge_options options;
    const struct schema *schema;
    int32_t chunk_rows;
    struct run *runs;
    int32_t n_runs;
    int32_t *heap; /* runs, the one with the least row first */
    int32_t n_heap;
    struct part *parts;
    int32_t n_parts, parts_capacity;
    struct pick *picks;
    int32_t n_picks;
    int64_t rank; /* of the next row */
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to merge sorted runs");
}

/* ---- runs ---- */

static int run_compare(const struct sort_merge *merge, int32_t a, int32_t b) {
    const struct run *x = &merge->runs[a], *y = &merge->runs[b];
    const struct sort_order *order = merge->options.order;
    int found = sort_place_compare(&x->places[x->row], &y->places[y->row]);
    if (found) { return found; }
    if (!order->exact) { found = sort_rows_compare(order, x->chunk, x->row, y->chunk, y->row); }
    if (found) { return found; }
    const int32_t arrival = merge->options.arrival;
    const int64_t came_x = ((const int64_t *)x->chunk->columns[arrival]->values)[x->row];
    const int64_t came_y = ((const int64_t *)y->chunk->columns[arrival]->values)[y->row];
    return came_x < came_y ? -1 : came_x > came_y;
}

static void heap_sink(struct sort_merge *merge, int32_t at) {
    int32_t *heap = merge->heap;
    const int32_t run = heap[at];
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child >= merge->n_heap) { break; }
        if (child + 1 < merge->n_heap && run_compare(merge, heap[child + 1], heap[child]) < 0) { child++; }
        if (run_compare(merge, run, heap[child]) <= 0) { break; }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = run;
}

/* The next rows of a run; its chunk is NULL where there are none. */
static sabot_status run_read(struct sort_merge *merge, struct run *run, struct sabot_error *err) {
    const struct sort_merge_options *options = &merge->options;
    batch_unref(run->chunk);
    run->chunk = NULL;
    run->row = 0;
    run->part = -1;
    const int64_t left = run->end - run->at;
    const int32_t n = left < merge->chunk_rows ? (int32_t)left : merge->chunk_rows;
    if (n == 0) {
        if (run->namespace_ != RUN_IN_MEMORY) { state_drop_namespace(options->runs, run->namespace_); }
        return SABOT_OK;
    }
    if (run->namespace_ == RUN_IN_MEMORY) {
        SABOT_TRY(batch_take(options->pool, options->last, options->last_rows + run->at, n, &run->chunk, err));
    } else {
        struct batch *stored;
        SABOT_TRY(state_read(options->runs, run->namespace_, run->at, n, &stored, err));
        SABOT_TRY(sort_store_get(options->store, stored, &run->chunk, err));
    }
    run->at += n;
    sort_places_fill(options->order, run->chunk, NULL, n, run->places);
    return SABOT_OK;
}

/* ---- a batch of picked rows ---- */

#define PICK(type_)                                                                                                    \
    do {                                                                                                               \
        type_ *target = (type_ *)builder->values;                                                                      \
        for (int32_t i = 0; i < n; i++) {                                                                              \
            target[i] = ((const type_ *)sources[picks[i].part])[picks[i].row];                                         \
        }                                                                                                              \
    } while (0)

/* Texts get bytes of their own, so that a batch does not keep all runs. */
static sabot_status texts_pick(const struct sort_merge *merge, struct column_builder *builder,
                               const void *const *sources, struct sabot_error *err) {
    const struct pick *picks = merge->picks;
    struct string_view *target = builder->values;
    size_t size = 0;
    for (int32_t i = 0; i < merge->n_picks; i++) {
        target[i] = ((const struct string_view *)sources[picks[i].part])[picks[i].row];
        if (builder->validity && !(builder->validity[i >> 6] >> (i & 63) & 1)) { target[i] = (struct string_view){0}; }
        size += target[i].size > STRING_VIEW_INLINE ? target[i].size : 0;
    }
    if (size == 0) { return SABOT_OK; }
    char *bytes;
    SABOT_TRY(column_builder_reserve(builder, size, &bytes, err));
    for (int32_t i = 0; i < merge->n_picks; i++) {
        if (target[i].size <= STRING_VIEW_INLINE) { continue; }
        memcpy(bytes, target[i].data, target[i].size);
        target[i].data = bytes;
        bytes += target[i].size;
    }
    return SABOT_OK;
}

static sabot_status values_pick(const struct sort_merge *merge, struct column_builder *builder, int32_t c,
                                const void **sources, struct sabot_error *err) {
    const struct pick *picks = merge->picks;
    const int32_t n = merge->n_picks;
    for (int32_t p = 0; p < merge->n_parts; p++) { sources[p] = merge->parts[p].batch->columns[c]->values; }
    for (int32_t i = 0; i < n && builder->validity; i++) {
        if (column_is_null(merge->parts[picks[i].part].batch->columns[c], picks[i].row)) {
            column_builder_set_null(builder, i);
        }
    }
    switch (phys_size(builder->phys)) {
    case 0: break;
    case 1: PICK(uint8_t); break;
    case 2: PICK(uint16_t); break;
    case 4: PICK(uint32_t); break;
    case 8: PICK(uint64_t); break;
    default:
        if (builder->phys == PHYS_VIEW) { return texts_pick(merge, builder, sources, err); }
        PICK(__int128);
        break;
    }
    return SABOT_OK;
}

/* Lists and rows of fields: the chunks one behind the other, and then the rows of these. */
static sabot_status nested_pick(const struct sort_merge *merge, int32_t c, const void **sources, struct column **out,
                                struct sabot_error *err) {
    struct buffer *starts_buffer, *rows_buffer;
    SABOT_TRY(buffer_new(merge->options.pool, (size_t)merge->n_parts * sizeof(int32_t), &starts_buffer, err));
    sabot_status status =
        buffer_new(merge->options.pool, (size_t)merge->n_picks * sizeof(int32_t), &rows_buffer, err);
    if (status != SABOT_OK) {
        buffer_unref(starts_buffer);
        return status;
    }
    int32_t *starts = (int32_t *)(void *)starts_buffer->data, *rows = (int32_t *)(void *)rows_buffer->data;
    struct column **columns = (struct column **)(void *)sources;
    for (int32_t p = 0, start = 0; p < merge->n_parts; p++) {
        columns[p] = merge->parts[p].batch->columns[c];
        starts[p] = start;
        start += merge->parts[p].batch->rows;
    }
    for (int32_t i = 0; i < merge->n_picks; i++) { rows[i] = starts[merge->picks[i].part] + merge->picks[i].row; }
    COLUMN_OWNED struct column *all = NULL;
    status = column_concat(merge->options.pool, columns, merge->n_parts, &all, err);
    if (status == SABOT_OK) { status = column_take(merge->options.pool, all, rows, merge->n_picks, out, err); }
    buffer_unref(starts_buffer);
    buffer_unref(rows_buffer);
    return status;
}

static sabot_status column_pick(const struct sort_merge *merge, int32_t c, const void **sources, struct column **out,
                                struct sabot_error *err) {
    const enum phys phys = (enum phys)merge->parts[0].batch->columns[c]->phys;
    if (phys == PHYS_LIST || phys == PHYS_ROW) { return nested_pick(merge, c, sources, out, err); }
    bool nulls = false;
    for (int32_t p = 0; p < merge->n_parts; p++) { nulls |= merge->parts[p].batch->columns[c]->validity != NULL; }
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, merge->options.pool, phys, merge->n_picks, nulls, err));
    sabot_status status = values_pick(merge, &builder, c, sources, err);
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    if (status != SABOT_OK) { column_builder_clear(&builder); }
    return status;
}

static sabot_status batch_pick(const struct sort_merge *merge, struct batch **out, struct sabot_error *err) {
    const struct batch *model = merge->parts[0].batch;
    const int32_t n_columns = model->n_columns;
    struct column **columns = calloc((size_t)n_columns, sizeof *columns);
    const void **sources = malloc((size_t)merge->n_parts * sizeof *sources);
    sabot_status status = columns && sources ? SABOT_OK : no_memory(err);
    int32_t n = 0;
    for (; n < n_columns && status == SABOT_OK; n++) { status = column_pick(merge, n, sources, &columns[n], err); }
    if (status == SABOT_OK) {
        status = batch_new(model->schema, columns, n_columns, merge->n_picks, out, err);
    } else {
        for (int32_t c = 0; columns && c < n_columns; c++) { column_unref(columns[c]); }
    }
    free(columns);
    free(sources);
    return status;
}

static void parts_clear(struct sort_merge *merge) {
    for (int32_t p = 0; p < merge->n_parts; p++) { batch_unref(merge->parts[p].batch); }
    for (int32_t r = 0; r < merge->n_runs; r++) { merge->runs[r].part = -1; }
    merge->n_parts = merge->n_picks = 0;
}

static sabot_status part_add(struct sort_merge *merge, struct run *run, struct sabot_error *err) {
    if (merge->n_parts == merge->parts_capacity) {
        const int32_t capacity = merge->parts_capacity ? merge->parts_capacity * 2 : 64;
        struct part *parts = realloc(merge->parts, (size_t)capacity * sizeof *parts);
        if (!parts) { return no_memory(err); }
        merge->parts = parts;
        merge->parts_capacity = capacity;
    }
    run->part = merge->n_parts;
    merge->parts[merge->n_parts++].batch = batch_ref(run->chunk);
    return SABOT_OK;
}

/* ---- the merge ---- */

/* The least row is picked, or passed over; its run moves on. */
static sabot_status step(struct sort_merge *merge, struct sabot_error *err) {
    struct run *run = &merge->runs[merge->heap[0]];
    if (merge->rank++ >= merge->options.first) {
        if (run->part < 0) { SABOT_TRY(part_add(merge, run, err)); }
        merge->picks[merge->n_picks++] = (struct pick){run->part, run->row};
    }
    if (++run->row == run->chunk->rows) {
        SABOT_TRY(run_read(merge, run, err));
        if (!run->chunk) { merge->heap[0] = merge->heap[--merge->n_heap]; }
    }
    if (merge->n_heap > 1) { heap_sink(merge, 0); }
    return SABOT_OK;
}

sabot_status sort_merge_next(struct sort_merge *merge, struct batch **out, struct sabot_error *err) {
    *out = NULL;
    while (merge->n_heap && merge->rank < merge->options.end && merge->n_picks < merge->options.batch_rows) {
        SABOT_TRY(step(merge, err));
    }
    if (merge->n_picks == 0) { return SABOT_OK; }
    const sabot_status status = batch_pick(merge, out, err);
    parts_clear(merge);
    return status;
}

static int64_t chunk_rows(const struct sort_merge_options *options, int32_t n_runs) {
    const int64_t row = options->row_bytes + (int64_t)sizeof(struct sort_place);
    const int64_t rows = options->chunk_bytes / row / (n_runs ? n_runs : 1);
    const int64_t most = rows < options->batch_rows ? rows : options->batch_rows;
    return most < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : most;
}

static sabot_status runs_open(struct sort_merge *merge, struct sabot_error *err) {
    const struct sort_merge_options *options = &merge->options;
    for (int32_t r = 0; r < merge->n_runs; r++) {
        struct run *run = &merge->runs[r];
        const bool is_last = r == options->n_namespaces;
        run->namespace_ = is_last ? RUN_IN_MEMORY : options->namespaces[r];
        run->end = is_last ? options->n_last : state_count(options->runs, run->namespace_);
        SABOT_TRY(memory_alloc(options->pool, (size_t)merge->chunk_rows * sizeof *run->places, (void **)&run->places,
                               err));
        SABOT_TRY(run_read(merge, run, err));
        if (run->chunk) { merge->heap[merge->n_heap++] = r; }
    }
    for (int32_t i = merge->n_heap / 2 - 1; i >= 0; i--) { heap_sink(merge, i); }
    return SABOT_OK;
}

sabot_status sort_merge_open(const struct sort_merge_options *options, struct sort_merge **out,
                             struct sabot_error *err) {
    *out = NULL;
    struct sort_merge *merge = calloc(1, sizeof *merge);
    if (!merge) { return no_memory(err); }
    merge->options = *options;
    merge->options.last = options->last ? batch_ref(options->last) : NULL;
    merge->n_runs = options->n_namespaces + (options->last != NULL);
    merge->chunk_rows = (int32_t)chunk_rows(options, merge->n_runs);
    merge->runs = calloc((size_t)merge->n_runs + 1, sizeof *merge->runs);
    merge->heap = calloc((size_t)merge->n_runs + 1, sizeof *merge->heap);
    merge->picks = calloc((size_t)options->batch_rows, sizeof *merge->picks);
    const sabot_status status = merge->runs && merge->heap && merge->picks ? runs_open(merge, err) : no_memory(err);
    if (status != SABOT_OK) {
        sort_merge_close(merge);
        return status;
    }
    *out = merge;
    return SABOT_OK;
}

void sort_merge_close(struct sort_merge *merge) {
    if (!merge) { return; }
    if (merge->runs) { parts_clear(merge); }
    for (int32_t r = 0; merge->runs && r < merge->n_runs; r++) {
        struct run *run = &merge->runs[r];
        batch_unref(run->chunk);
        if (run->places) {
            memory_free(merge->options.pool, run->places, (size_t)merge->chunk_rows * sizeof *run->places);
        }
    }
    batch_unref(merge->options.last);
    free(merge->parts);
    free(merge->runs);
    free(merge->heap);
    free(merge->picks);
    free(merge);
}
