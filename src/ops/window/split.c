/* Rows by slice: see split.h. */
#include "ops/window/split.h"

#include <stdlib.h>

#include "time/watermark.h"

#define COUNTED_SLICES_MAX 4096 /* a counting sort up to here, a comparing sort above */

struct keyed_row {
    int64_t slice;
    int32_t row;
};

void splitter_init(struct splitter *splitter, struct memory_pool *pool, const struct slices *slices,
                   int64_t units_per_ms, int64_t shift) {
    *splitter = (struct splitter){.pool = pool, .slices = slices, .units_per_ms = units_per_ms, .shift = shift};
}

void splitter_clear(struct splitter *splitter) {
    memory_free(splitter->pool, splitter->block, splitter->block_size);
    *splitter = (struct splitter){0};
}

/* Arrays of n rows: runs, timeless, all rows, sorted rows, slice numbers, keyed rows. */
struct scratch {
    int32_t *all, *sorted;
    uint16_t *numbers;
    struct keyed_row *keyed;
};
static sabot_status reserve(struct splitter *splitter, int32_t n, struct scratch *scratch, struct sabot_error *err) {
    const size_t row = sizeof(struct slice_run) + sizeof(struct keyed_row) + 3 * sizeof(int32_t) + sizeof(uint16_t);
    if (n > splitter->capacity) {
        const int32_t capacity = n < BATCH_ROWS_DEFAULT ? BATCH_ROWS_DEFAULT : n;
        void *block;
        SABOT_TRY(memory_alloc(splitter->pool, (size_t)capacity * row, &block, err));
        memory_free(splitter->pool, splitter->block, splitter->block_size);
        splitter->block = block;
        splitter->block_size = (size_t)capacity * row;
        splitter->capacity = capacity;
    }
    const size_t rows = (size_t)splitter->capacity;
    splitter->runs = splitter->block;
    scratch->keyed = (struct keyed_row *)(splitter->runs + rows);
    splitter->timeless = (int32_t *)(scratch->keyed + rows);
    scratch->all = splitter->timeless + rows;
    scratch->sorted = scratch->all + rows;
    scratch->numbers = (uint16_t *)(scratch->sorted + rows);
    return SABOT_OK;
}

static void add_run(struct splitter *splitter, int64_t slice_end, const int32_t *rows, int32_t n) {
    splitter->runs[splitter->n_runs++] = (struct slice_run){slice_end, rows, n};
}

/* Takes out rows without a usable time. Returns the rows that are left, *n of them. */
static const int32_t *take_out_timeless(struct splitter *splitter, const struct column *column, const int32_t *rows,
                                        int32_t *n, int32_t *left) {
    const int64_t *times = column->values;
    int32_t kept = 0;
    for (int32_t i = 0; i < *n; i++) {
        const int32_t row = rows ? rows[i] : i;
        const bool null = column_is_null(column, row);
        const int64_t time = null ? 0 : times[column_at(column, row)];
        const bool usable = !null && time >= -SLICE_TIME_MAX && time <= SLICE_TIME_MAX;
        left[kept] = row;
        splitter->timeless[splitter->n_timeless] = row;
        kept += usable;
        splitter->n_timeless += !usable;
    }
    *n = kept;
    return left;
}

/* Two slices: one comparison per row. */
static void split_in_two(struct splitter *splitter, const int64_t *times, const int32_t *rows, int32_t n,
                         int64_t first_end, int64_t bound, int32_t *sorted) {
    int32_t low = 0, high = n;
    for (int32_t i = 0; i < n; i++) { /* the upper ones are written from the back, so their order turns round */
        const int32_t row = rows ? rows[i] : i;
        const bool above = times[row] >= bound;
        sorted[low] = row;
        low += !above;
        high -= above;
        if (above) { sorted[high] = row; }
    }
    for (int32_t a = high, b = n - 1; a < b; a++, b--) {
        const int32_t row = sorted[a];
        sorted[a] = sorted[b];
        sorted[b] = row;
    }
    add_run(splitter, first_end, sorted, low);
    add_run(splitter, first_end + splitter->slices->slice, sorted + low, n - low);
}

/* Up to COUNTED_SLICES_MAX slices from `base` (a time) on, each `length` units long. */
static void split_counting(struct splitter *splitter, const int64_t *times, const int32_t *rows, int32_t n,
                           int64_t first_end, int64_t base, int64_t length, int32_t n_slices, uint16_t *numbers,
                           int32_t *sorted) {
    int32_t starts[COUNTED_SLICES_MAX + 1];
    memset(starts, 0, ((size_t)n_slices + 1) * sizeof *starts);
    const double inverse = 1.0 / (double)length;
    for (int32_t i = 0; i < n; i++) {
        const int64_t distance = times[rows ? rows[i] : i] - base;
        int64_t number = (int64_t)((double)distance * inverse); /* one off at most */
        number -= number * length > distance;
        number += (number + 1) * length <= distance;
        numbers[i] = (uint16_t)number;
        starts[number + 1]++;
    }
    for (int32_t s = 0; s < n_slices; s++) { starts[s + 1] += starts[s]; }
    for (int32_t s = 0; s < n_slices; s++) {
        if (starts[s + 1] == starts[s]) { continue; }
        add_run(splitter, first_end + s * splitter->slices->slice, sorted + starts[s], starts[s + 1] - starts[s]);
    }
    for (int32_t i = 0; i < n; i++) { sorted[starts[numbers[i]]++] = rows ? rows[i] : i; }
}

static int keyed_row_order(const void *a, const void *b) {
    const struct keyed_row *x = a, *y = b;
    if (x->slice != y->slice) { return x->slice < y->slice ? -1 : 1; }
    return (x->row > y->row) - (x->row < y->row);
}

static void split_sorting(struct splitter *splitter, const int64_t *times, const int32_t *rows, int32_t n,
                          int64_t offset, int64_t length, struct keyed_row *keyed, int32_t *sorted) {
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        keyed[i] = (struct keyed_row){floor_div(times[row] - offset, length), row};
    }
    qsort(keyed, (size_t)n, sizeof *keyed, keyed_row_order);
    for (int32_t i = 0, start = 0; i < n; i++) {
        sorted[i] = keyed[i].row;
        if (i + 1 < n && keyed[i + 1].slice == keyed[i].slice) { continue; }
        const struct slices *slices = splitter->slices;
        add_run(splitter, keyed[i].slice * slices->slice + slices->offset + slices->slice, sorted + start,
                i + 1 - start);
        start = i + 1;
    }
}

sabot_status splitter_split(struct splitter *splitter, const struct batch *batch, int32_t time_column,
                            struct sabot_error *err) {
    const struct column *column = batch->columns[time_column];
    const struct slices *slices = splitter->slices;
    const int32_t *rows = batch->selection;
    int32_t n = batch->selected;
    struct scratch scratch;
    SABOT_TRY(reserve(splitter, n, &scratch, err));
    splitter->n_runs = splitter->n_timeless = 0;
    if (n == 0) { return SABOT_OK; }

    int64_t min, max;
    bool any = time_column_range(column, rows, n, &min, &max);
    const bool has_null = column->validity != NULL;
    if (!any || has_null || min < -SLICE_TIME_MAX || max > SLICE_TIME_MAX) {
        rows = take_out_timeless(splitter, column, rows, &n, scratch.all);
        if (splitter->n_timeless == 0 && !batch->selection) { rows = NULL; }
        any = time_column_range(column, rows, n, &min, &max);
        if (!any) { return SABOT_OK; }
    }
    /* Slices in units of the column: no division per row. */
    const int64_t units = splitter->units_per_ms;
    const int64_t length = slices->slice * units, offset = slices->offset * units + splitter->shift;
    const int64_t first = floor_div(min - offset, length), last = floor_div(max - offset, length);
    const int64_t first_end = first * slices->slice + slices->offset + slices->slice;
    const int64_t n_slices = last - first + 1;
    const int64_t *times = column->values;
    if (n_slices == 1) {
        add_run(splitter, first_end, rows, n);
    } else if (n_slices == 2) {
        split_in_two(splitter, times, rows, n, first_end, last * length + offset, scratch.sorted);
    } else if (n_slices <= COUNTED_SLICES_MAX) {
        split_counting(splitter, times, rows, n, first_end, first * length + offset, length, (int32_t)n_slices,
                       scratch.numbers, scratch.sorted);
    } else {
        split_sorting(splitter, times, rows, n, offset, length, scratch.keyed, scratch.sorted);
    }
    return SABOT_OK;
}
