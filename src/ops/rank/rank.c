/* ROW_NUMBER() <= n, and deduplication: per partition the rows that rank first, given out as a changelog.
 *
 * The state is one table: (partition keys, place) -> row. A place is a number that is never used twice; a row that
 * enters takes the place of one that leaves, so that a full partition costs no hashing of rows. In memory each
 * partition has a run: its rows in order, as a word that orders like the first sort column and the slot of the row.
 * Runs are no state: they are made anew from the table when the operator opens (rows keep their arrival for that: of
 * equal rows the earlier one ranks first, with keep_last the later one).
 *
 * TTL, as Flink's: a row is forgotten without a word when it was written so long ago (processing time). Before a batch
 * is taken in, its partitions and some other rows are looked at for their age.
 *
 * With `upserts` the input is a changelog by key, whose rows do not say what they replace (upsert-kafka): the newest
 * row of each key is kept, and what comes out says it.
 *
 * A mini-batch is one input batch: its rows go into the runs, then each touched partition is compared with what it
 * was, and only what differs in the end is given out and written. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/specs.h"

#define KEYS_MAX 16
#define COLUMNS_MAX 60
#define OUTPUT_ROWS_MAX 16384
#define CLASSES 31
#define RESTORE_ROWS 8192

struct item {
    uint64_t word;
    int32_t ref; /* >= 0: slot of the table; < 0: ~row of the batch at hand */
    int32_t partition;
};
struct run {
    int64_t at;      /* first item */
    int32_t count;
    int8_t size;     /* 1 << size items; -1: none */
    int32_t touched; /* index in self->touched; -1: not by this batch */
};
struct touched {
    int32_t partition;
    int32_t old_n;
    int64_t old_at; /* in self->old: the first rows before the batch */
    int32_t left;   /* first of self->left: slots that its rows have left; -1 = none */
};
struct left {
    int32_t slot, next;
};
struct change { /* a row to give out */
    int64_t rank;
    int32_t ref;
    uint8_t kind;
};
struct array {
    void *items;
    int64_t n, capacity;
};
struct rank {
    struct op op;
    struct op_context own;
    const struct rank_options *options;
    int32_t limit; /* of a partition's rows that are given out */
    bool exact;    /* equal words are equal sort keys */
    struct schema *row_schema, *partition_schema;
    struct state_table *rows, *partitions; /* the second one holds scratch only */
    int32_t place_of[COLUMNS_MAX]; /* input column -> column of the table */
    int32_t n_masks;               /* value columns with NULL bits, behind the arrival */
    int64_t arrival;               /* of the next row */
    int32_t written;               /* value column: when a row was written; only with a TTL */
    int64_t now_ms;                /* of the batch at hand; only with a TTL */
    int64_t looked_from;           /* rows from here on were looked at for their age */
    struct array runs, items, touched, old, left, entered, changes, slots, owners, words, scratch;
    int64_t free_items[CLASSES]; /* first of a list through `word`; -1 */
    /* the batch at hand */
    const struct batch *batch;
    struct column state_columns[COLUMNS_MAX]; /* values of the table by slot; of keys nothing */
    const uint64_t *masks[(COLUMNS_MAX + 63) / 64];
};

/* --- arrays */
static sabot_status reserve(struct rank *self, struct array *array, int64_t wanted, size_t size,
                            struct sabot_error *err) {
    if (wanted <= array->capacity) { return SABOT_OK; }
    int64_t capacity = array->capacity ? array->capacity : 256;
    while (capacity < wanted) { capacity *= 2; }
    if (!array->items) {
        SABOT_TRY(memory_alloc_state(self->own.pool, (size_t)capacity * size, false, &array->items, err));
    } else {
        SABOT_TRY(memory_resize_state(self->own.pool, &array->items, (size_t)array->capacity * size,
                                      (size_t)capacity * size, err));
    }
    array->capacity = capacity;
    return SABOT_OK;
}
static void array_free(struct rank *self, struct array *array, size_t size) {
    if (array->items) { memory_free_state(self->own.pool, array->items, (size_t)array->capacity * size); }
    *array = (struct array){0};
}
static struct run *run_of(struct rank *self, int32_t partition) { return (struct run *)self->runs.items + partition; }
static struct item *items_of(struct rank *self, const struct run *run) {
    return (struct item *)self->items.items + run->at;
}

/* --- order */
static uint64_t word_of(const struct sort_key *key, const struct column *column, int64_t row) {
    if (column_is_null(column, row)) { return key->nulls_first ? 0 : UINT64_MAX; }
    const int64_t at = column_at(column, row);
    uint64_t word = 0;
    double real = 0;
    switch ((enum phys)column->phys) {
    case PHYS_BOOL: word = ((const uint8_t *)column->values)[at]; break;
    case PHYS_I8: word = (uint64_t)((const int8_t *)column->values)[at] ^ UINT64_C(1) << 63; break;
    case PHYS_I16: word = (uint64_t)((const int16_t *)column->values)[at] ^ UINT64_C(1) << 63; break;
    case PHYS_I32: word = (uint64_t)((const int32_t *)column->values)[at] ^ UINT64_C(1) << 63; break;
    case PHYS_I64: word = (uint64_t)((const int64_t *)column->values)[at] ^ UINT64_C(1) << 63; break;
    case PHYS_I128: word = (uint64_t)(((const __int128 *)column->values)[at] >> 64) ^ UINT64_C(1) << 63; break;
    case PHYS_F32:
    case PHYS_F64:
        real = column->phys == PHYS_F32 ? (double)((const float *)column->values)[at]
                                        : ((const double *)column->values)[at];
        real = isnan(real) ? (double)NAN : real == 0 ? 0.0 : real;
        memcpy(&word, &real, sizeof word);
        word = isnan(real) ? UINT64_MAX : word >> 63 ? ~word : word | UINT64_C(1) << 63;
        break;
    case PHYS_VIEW: {
        const struct string_view *view = (const struct string_view *)column->values + at;
        const char *data = string_view_data(view);
        for (uint32_t i = 0; i < 8; i++) { word = word << 8 | (i < view->size ? (uint8_t)data[i] : 0); }
        break;
    }
    default: break;
    }
    return key->descending ? ~word : word;
}

/* Where a cell stands: of a row of the batch or of the table. */
static const struct column *cell(const struct rank *self, int32_t ref, int32_t c, int64_t *row, bool *is_null) {
    if (ref < 0) {
        *row = ~ref;
        *is_null = column_is_null(self->batch->columns[c], *row);
        return self->batch->columns[c];
    }
    *row = ref;
    *is_null = self->masks[c >> 6][ref] >> (c & 63) & 1;
    return &self->state_columns[c];
}
static int compare_cells(const struct rank *self, int32_t a, int32_t b, int32_t c, bool nulls_first) {
    int64_t row_a, row_b;
    bool null_a, null_b;
    const struct column *column_a = cell(self, a, c, &row_a, &null_a), *column_b = cell(self, b, c, &row_b, &null_b);
    if (null_a || null_b) { return null_a == null_b ? 0 : null_a == nulls_first ? -1 : 1; }
    return column_compare(column_a, row_a, column_b, row_b, self->own.input->fields[c].type);
}
static bool is_key(const struct rank *self, int32_t c) { return self->place_of[c] < self->options->n_keys; }

static int compare_items(const struct rank *self, uint64_t word_a, int32_t a, uint64_t word_b, int32_t b) {
    if (word_a != word_b) { return word_a < word_b ? -1 : 1; }
    if (self->exact) { return 0; }
    for (int32_t k = 0; k < self->options->n_order; k++) {
        const struct sort_key *key = &self->options->order[k];
        if (is_key(self, key->column)) { continue; } /* the same in the whole partition */
        int64_t row;
        bool null_a, null_b;
        (void)cell(self, a, key->column, &row, &null_a);
        (void)cell(self, b, key->column, &row, &null_b);
        const int order = compare_cells(self, a, b, key->column, key->nulls_first);
        if (order) { return key->descending && !null_a && !null_b ? -order : order; }
    }
    return 0;
}
/* Whole rows of one partition. */
static bool rows_equal(const struct rank *self, int32_t a, int32_t b) {
    for (int32_t c = 0; c < self->own.input->n_fields; c++) {
        if (!is_key(self, c) && compare_cells(self, a, b, c, true) != 0) { return false; }
    }
    return true;
}
/* The first item that is not below (upper: that is above) the sort key of a row. */
static int32_t run_bound(struct rank *self, const struct run *run, uint64_t word, int32_t ref, bool upper) {
    const struct item *items = items_of(self, run);
    int32_t low = 0, high = run->count;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        const int order = compare_items(self, items[middle].word, items[middle].ref, word, ref);
        if (order < 0 || (upper && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* --- runs */
static sabot_status run_grow(struct rank *self, struct run *run, struct sabot_error *err) {
    const int32_t size = run->size + 1;
    int64_t at = self->free_items[size];
    if (at >= 0) {
        self->free_items[size] = (int64_t)((struct item *)self->items.items)[at].word;
    } else {
        at = self->items.n;
        SABOT_TRY(reserve(self, &self->items, at + ((int64_t)1 << size), sizeof(struct item), err));
        self->items.n += (int64_t)1 << size;
    }
    struct item *items = self->items.items;
    if (run->size >= 0) {
        memcpy(items + at, items + run->at, (size_t)run->count * sizeof *items);
        items[run->at].word = (uint64_t)self->free_items[run->size];
        self->free_items[run->size] = run->at;
    }
    run->at = at;
    run->size = (int8_t)size;
    return SABOT_OK;
}
static void run_release(struct rank *self, struct run *run) {
    if (run->size >= 0) {
        ((struct item *)self->items.items)[run->at].word = (uint64_t)self->free_items[run->size];
        self->free_items[run->size] = run->at;
    }
}
static sabot_status run_insert(struct rank *self, int32_t partition, int32_t position, uint64_t word, int32_t ref,
                               struct sabot_error *err) {
    struct run *run = run_of(self, partition);
    if (run->size < 0 || run->count == (int32_t)1 << run->size) { SABOT_TRY(run_grow(self, run, err)); }
    struct item *items = items_of(self, run);
    memmove(items + position + 1, items + position, (size_t)(run->count - position) * sizeof *items);
    items[position] = (struct item){word, ref, partition};
    run->count++;
    return SABOT_OK;
}
/* Where an item stands that is known by its word and reference; -1 = nowhere. */
static int32_t run_find(struct rank *self, const struct run *run, uint64_t word, int32_t ref) {
    const struct item *items = items_of(self, run);
    int32_t low = 0, high = run->count;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (items[middle].word < word) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low < run->count && items[low].word == word && items[low].ref != ref) { low++; }
    return low < run->count && items[low].ref == ref ? low : -1;
}
static sabot_status runs_reserve(struct rank *self, struct sabot_error *err) {
    const int64_t n = state_count(self->partitions, STATE_NAMESPACE_SCRATCH);
    SABOT_TRY(reserve(self, &self->runs, n, sizeof(struct run), err));
    for (; self->runs.n < n; self->runs.n++) {
        *run_of(self, (int32_t)self->runs.n) = (struct run){.size = -1, .touched = -1};
    }
    return SABOT_OK;
}

/* Remembers what a partition was before the batch. */
static sabot_status touch(struct rank *self, int32_t partition, struct sabot_error *err) {
    struct run *run = run_of(self, partition);
    if (run->touched >= 0) { return SABOT_OK; }
    const int32_t n = run->count < self->limit ? run->count : self->limit;
    SABOT_TRY(reserve(self, &self->old, self->old.n + n, sizeof(struct item), err));
    SABOT_TRY(reserve(self, &self->touched, self->touched.n + 1, sizeof(struct touched), err));
    if (n) {
        memcpy((struct item *)self->old.items + self->old.n, items_of(self, run), (size_t)n * sizeof(struct item));
    }
    run->touched = (int32_t)self->touched.n;
    ((struct touched *)self->touched.items)[self->touched.n++] =
        (struct touched){.partition = partition, .old_n = n, .old_at = self->old.n, .left = -1};
    self->old.n += n;
    return SABOT_OK;
}
static sabot_status take_out(struct rank *self, int32_t partition, int32_t position, struct sabot_error *err) {
    struct run *run = run_of(self, partition);
    struct item *items = items_of(self, run);
    const int32_t ref = items[position].ref;
    memmove(items + position, items + position + 1, (size_t)(run->count - position - 1) * sizeof *items);
    run->count--;
    if (ref < 0) { /* came with this batch: forgotten */
        ((struct item *)self->entered.items)[~ref].partition = -1;
        return SABOT_OK;
    }
    SABOT_TRY(reserve(self, &self->left, self->left.n + 1, sizeof(struct left), err));
    struct touched *touched = (struct touched *)self->touched.items + run->touched;
    ((struct left *)self->left.items)[self->left.n] = (struct left){ref, touched->left};
    touched->left = (int32_t)self->left.n++;
    return SABOT_OK;
}

static sabot_status row_enter(struct rank *self, int32_t row, int32_t partition, uint64_t word,
                              struct sabot_error *err) {
    const struct rank_options *options = self->options;
    struct run *run = run_of(self, partition);
    const bool full = !options->input_retracts && run->count == self->limit;
    if (full) { /* most rows of a long stream end here */
        const struct item *last = &items_of(self, run)[run->count - 1];
        if (word > last->word || (word == last->word && self->exact && !options->keep_last)) { return SABOT_OK; }
    }
    const int32_t position = run_bound(self, run, word, ~row, !options->keep_last);
    if (full && position == self->limit) { return SABOT_OK; }
    SABOT_TRY(touch(self, partition, err));
    if (full) { SABOT_TRY(take_out(self, partition, run->count - 1, err)); }
    ((struct item *)self->entered.items)[row] = (struct item){word, ~row, partition};
    return run_insert(self, partition, position, word, ~row, err);
}

static sabot_status row_leave(struct rank *self, int32_t row, int32_t partition, uint64_t word,
                              struct sabot_error *err) {
    const struct run *run = run_of(self, partition);
    for (int32_t at = run_bound(self, run, word, ~row, false); at < run->count; at++) {
        const struct item *item = &items_of(self, run)[at];
        if (compare_items(self, item->word, item->ref, word, ~row) != 0) { break; }
        if (!rows_equal(self, item->ref, ~row)) { continue; }
        SABOT_TRY(touch(self, partition, err));
        return take_out(self, partition, at, err);
    }
    return SABOT_OK; /* of a row that never came, as Flink: nothing */
}

/* --- what to give out */
static sabot_status change(struct rank *self, enum row_kind kind, int32_t ref, int64_t rank, struct sabot_error *err) {
    SABOT_TRY(reserve(self, &self->changes, self->changes.n + 1, sizeof(struct change), err));
    ((struct change *)self->changes.items)[self->changes.n++] = (struct change){rank, ref, (uint8_t)kind};
    return SABOT_OK;
}

/* Rank by rank: also the one row of a partition where the rank isn't given out. */
static sabot_status changes_by_rank(struct rank *self, const struct item *old, int32_t n_old, const struct item *now,
                                    int32_t n_now, struct sabot_error *err) {
    for (int32_t i = (int32_t)self->options->first - 1; i < n_old || i < n_now; i++) {
        if (i >= n_now) {
            SABOT_TRY(change(self, ROW_DELETE, old[i].ref, i + 1, err));
        } else if (i >= n_old) {
            SABOT_TRY(change(self, ROW_INSERT, now[i].ref, i + 1, err));
        } else if (old[i].ref != now[i].ref &&
                   (self->options->ttl_ms > 0 || old[i].word != now[i].word ||
                    !rows_equal(self, old[i].ref, now[i].ref))) {
            if (self->options->emit_update_before) {
                SABOT_TRY(change(self, ROW_UPDATE_BEFORE, old[i].ref, i + 1, err));
            }
            SABOT_TRY(change(self, ROW_UPDATE_AFTER, now[i].ref, i + 1, err));
        }
    }
    return SABOT_OK;
}

/* Rows that stay keep their order, so both lists are walked at once. `enters` false: those that go, else those that
 * come. */
static sabot_status changes_by_row(struct rank *self, const struct item *old, int32_t n_old, const struct item *now,
                                   int32_t n_now, bool enters, struct sabot_error *err) {
    const int32_t first = (int32_t)self->options->first - 1;
    int32_t i = 0, j = 0;
    while (i < n_old || j < n_now) {
        if (i < n_old && j < n_now && old[i].ref == now[j].ref) {
            if (!enters && i >= first && j < first) { SABOT_TRY(change(self, ROW_DELETE, old[i].ref, 0, err)); }
            if (enters && i < first && j >= first) { SABOT_TRY(change(self, ROW_INSERT, now[j].ref, 0, err)); }
            i++;
            j++;
        } else if (j < n_now && (now[j].ref < 0 || i == n_old)) {
            if (enters && j >= first) { SABOT_TRY(change(self, ROW_INSERT, now[j].ref, 0, err)); }
            j++;
        } else {
            if (!enters && i >= first) { SABOT_TRY(change(self, ROW_DELETE, old[i].ref, 0, err)); }
            i++;
        }
    }
    return SABOT_OK;
}

static sabot_status find_changes(struct rank *self, struct sabot_error *err) {
    self->changes.n = 0;
    for (int64_t t = 0; t < self->touched.n; t++) {
        const struct touched *touched = (const struct touched *)self->touched.items + t;
        const struct run *run = run_of(self, touched->partition);
        const struct item *old = (const struct item *)self->old.items + touched->old_at;
        const struct item *now = run->count ? items_of(self, run) : NULL;
        const int32_t n_now = run->count < self->limit ? run->count : self->limit;
        if (self->options->output_rank || self->limit == 1) {
            SABOT_TRY(changes_by_rank(self, old, touched->old_n, now, n_now, err));
        } else {
            SABOT_TRY(changes_by_row(self, old, touched->old_n, now, n_now, false, err));
            SABOT_TRY(changes_by_row(self, old, touched->old_n, now, n_now, true, err));
        }
    }
    return SABOT_OK;
}

/* A column of table rows with its NULLs, which stand in the masks. Takes over `values`. */
static sabot_status with_nulls(struct rank *self, struct column *values, const uint64_t *mask, int32_t c, int32_t n,
                               struct column **out, struct sabot_error *err) {
    bool any = false;
    for (int32_t i = 0; i < n; i++) { any |= mask[i] >> (c & 63) & 1; }
    *out = values;
    if (!any) { return SABOT_OK; }
    COLUMN_OWNED struct column *owned = values;
    *out = NULL;
    struct buffer *bits;
    const size_t size = ((size_t)n + 63) / 64 * 8;
    SABOT_TRY(buffer_new(self->own.pool, size, &bits, err));
    uint64_t *validity = (uint64_t *)(void *)bits->data;
    memset(validity, 0xff, size);
    for (int32_t i = 0; i < n; i++) {
        if (mask[i] >> (c & 63) & 1) { validity[i >> 6] &= ~(UINT64_C(1) << (i & 63)); }
    }
    struct buffer **owners = malloc(((size_t)owned->n_owners + 1) * sizeof *owners);
    if (!owners) {
        buffer_unref(bits);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    }
    for (int32_t i = 0; i < owned->n_owners; i++) { owners[i] = buffer_ref(owned->owners[i]); }
    owners[owned->n_owners] = bits;
    const sabot_status status = column_new((enum phys)owned->phys, n, validity, owned->values, owners,
                                           owned->n_owners + 1, NULL, 0, out, err);
    free(owners);
    return status;
}

/* Input column c of `n` rows: `sources` < n_state are rows of the table (at `slots`), the others n_state + row. */
static sabot_status gather(struct rank *self, int32_t c, const int32_t *slots, int32_t n_state,
                           const struct column *const *masks, const int32_t *sources, int32_t n, struct column **out,
                           struct sabot_error *err) {
    struct column *kept COLUMN_OWNED = NULL, *both COLUMN_OWNED = NULL;
    struct column *from = self->batch->columns[c];
    if (n_state) {
        struct column *values;
        SABOT_TRY(state_take(self->rows, 0, slots, n_state, self->place_of[c], 1, &values, err));
        if (is_key(self, c)) {
            kept = values;
        } else {
            SABOT_TRY(with_nulls(self, values, masks[c >> 6]->values, c, n_state, &kept, err));
        }
        SABOT_TRY(column_concat(self->own.pool, (struct column *const[]){kept, from}, 2, &both, err));
        from = both;
    }
    return column_take(self->own.pool, from, sources, n, out, err);
}

static sabot_status rank_column(struct rank *self, const struct change *changes, int32_t n, struct column **out,
                                struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, n, false, err));
    for (int32_t i = 0; i < n; i++) { ((int64_t *)builder.values)[i] = changes[i].rank; }
    const sabot_status status = column_builder_finish(&builder, out, err);
    column_builder_clear(&builder);
    return status;
}

static sabot_status set_kinds(struct rank *self, struct batch *batch, const struct change *changes, int32_t n,
                              struct sabot_error *err) {
    bool any = false;
    for (int32_t i = 0; i < n; i++) { any |= changes[i].kind != ROW_INSERT; }
    if (!any) { return SABOT_OK; }
    SABOT_TRY(buffer_new(self->own.pool, (size_t)n, &batch->row_kinds_buffer, err));
    for (int32_t i = 0; i < n; i++) { batch->row_kinds_buffer->data[i] = changes[i].kind; }
    batch->row_kinds = batch->row_kinds_buffer->data;
    return SABOT_OK;
}

static sabot_status make_output(struct rank *self, const struct change *changes, int32_t n, struct batch **out,
                                struct sabot_error *err) {
    SABOT_TRY(reserve(self, &self->scratch, 2 * (int64_t)n, sizeof(int32_t), err));
    int32_t *slots = self->scratch.items, *sources = slots + n;
    int32_t n_state = 0, n_columns = 0;
    for (int32_t i = 0; i < n; i++) {
        if (changes[i].ref >= 0) { slots[n_state++] = changes[i].ref; }
    }
    for (int32_t i = 0, s = 0; i < n; i++) { sources[i] = changes[i].ref >= 0 ? s++ : n_state + ~changes[i].ref; }
    struct column *masks[(COLUMNS_MAX + 63) / 64] = {0};
    struct column *columns[COLUMNS_MAX + 1];
    sabot_status status = SABOT_OK;
    if (n_state) {
        status = state_take(self->rows, 0, slots, n_state, self->options->n_keys + 2, self->n_masks, masks, err);
        if (status != SABOT_OK) { return status; }
    }
    for (int32_t c = 0; c < self->own.input->n_fields && status == SABOT_OK; c++) {
        status = gather(self, c, slots, n_state, (const struct column *const *)masks, sources, n, &columns[c], err);
        n_columns += status == SABOT_OK;
    }
    if (self->options->output_rank && status == SABOT_OK) {
        status = rank_column(self, changes, n, &columns[n_columns], err);
        n_columns += status == SABOT_OK;
    }
    for (int32_t m = 0; m < self->n_masks; m++) { column_unref(masks[m]); }
    if (status != SABOT_OK) {
        for (int32_t c = 0; c < n_columns; c++) { column_unref(columns[c]); }
        return status;
    }
    SABOT_TRY(batch_new(self->own.spec->output, columns, n_columns, n, out, err));
    (*out)->created_ns = self->batch->created_ns;
    return set_kinds(self, *out, changes, n, err);
}

/* --- writing */
#define WRITE(type_)                                                                                                   \
    do {                                                                                                               \
        type_ *target = state_values(self->rows, 0, value);                                                            \
        const type_ *source = column->values;                                                                          \
        for (int32_t i = 0; i < n; i++) { target[slots[i]] = source[column_at(column, rows[i])]; }                     \
    } while (0)
static sabot_status write_column(struct rank *self, int32_t c, const int32_t *rows, const int32_t *slots, int32_t n,
                                 struct sabot_error *err) {
    const struct column *column = self->batch->columns[c];
    const int32_t value = self->place_of[c] - (self->options->n_keys + 1);
    if (column->phys != PHYS_VIEW) {
        switch (phys_size((enum phys)column->phys)) {
        case 0: break;
        case 1: WRITE(uint8_t); break;
        case 2: WRITE(uint16_t); break;
        case 4: WRITE(uint32_t); break;
        case 8: WRITE(uint64_t); break;
        default: WRITE(__int128); break;
        }
    }
    if (!self->own.input->fields[c].type.nullable && column->phys != PHYS_VIEW) { return SABOT_OK; }
    uint64_t *mask = state_values(self->rows, 0, 1 + c / 64);
    const uint64_t bit = UINT64_C(1) << (c & 63);
    for (int32_t i = 0; i < n; i++) {
        const bool is_null = column_is_null(column, rows[i]);
        mask[slots[i]] = is_null ? mask[slots[i]] | bit : mask[slots[i]] & ~bit;
        if (column->phys != PHYS_VIEW) { continue; }
        struct string_view view = {0};
        if (!is_null) { view = ((const struct string_view *)column->values)[column_at(column, rows[i])]; }
        SABOT_TRY(state_set_view(self->rows, 0, value, slots[i], view, err));
    }
    return SABOT_OK;
}

/* New rows of the table for rows[0..n) of the batch. */
static sabot_status new_slots(struct rank *self, const int32_t *rows, int32_t *slots, int32_t n,
                              struct sabot_error *err) {
    const int32_t n_keys = self->options->n_keys;
    struct column *columns[KEYS_MAX + 1];
    int32_t keys[KEYS_MAX + 1];
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, n, false, err));
    for (int32_t i = 0; i < n; i++) { ((int64_t *)builder.values)[i] = self->arrival + rows[i]; }
    sabot_status status = column_builder_finish(&builder, &columns[n_keys], err);
    column_builder_clear(&builder);
    if (status != SABOT_OK) { return status; }
    for (int32_t k = 0; k < n_keys; k++) {
        keys[k] = k;
        status = column_take(self->own.pool, self->batch->columns[self->options->keys[k]], rows, n, &columns[k], err);
        if (status != SABOT_OK) {
            for (int32_t i = 0; i < k; i++) { column_unref(columns[i]); }
            column_unref(columns[n_keys]);
            return status;
        }
    }
    keys[n_keys] = n_keys;
    BATCH_OWNED struct batch *batch = NULL;
    SABOT_TRY(batch_new(self->row_schema, columns, n_keys + 1, n, &batch, err));
    return state_find_or_insert(self->rows, 0, batch, keys, NULL, n, slots, err);
}

static int descending(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x < y) - (x > y);
}

/* The item of `row_slot` in its run now refers to `slot`. */
static void row_moved(struct rank *self, int32_t row_slot, int32_t slot) {
    int32_t *owners = self->owners.items;
    uint64_t *words = self->words.items;
    const struct run *run = run_of(self, owners[row_slot]);
    items_of(self, run)[run_find(self, run, words[row_slot], row_slot)].ref = slot;
    owners[slot] = owners[row_slot];
    words[slot] = words[row_slot];
}

static sabot_status remove_slots(struct rank *self, int32_t *slots, int32_t n, struct sabot_error *err) {
    qsort(slots, (size_t)n, sizeof *slots, descending);
    int32_t last = (int32_t)state_count(self->rows, 0) - 1;
    for (int32_t i = 0; i < n; i++, last--) {
        if (slots[i] != last) { row_moved(self, last, slots[i]); }
    }
    return state_remove(self->rows, 0, slots, n, err);
}

/* Slots that rows have left and no other has taken. */
static int32_t slots_left(const struct rank *self, int32_t *slots) {
    int32_t n = 0;
    for (int64_t t = 0; t < self->touched.n; t++) {
        for (int32_t at = ((const struct touched *)self->touched.items)[t].left; at >= 0;
             at = ((const struct left *)self->left.items)[at].next) {
            slots[n++] = ((const struct left *)self->left.items)[at].slot;
        }
    }
    return n;
}

/* Rows that entered get slots: those that rows of their partition have left, else new ones. Slots that remain go. */
static sabot_status write_rows(struct rank *self, struct sabot_error *err) {
    const struct batch *batch = self->batch;
    SABOT_TRY(reserve(self, &self->scratch, 4 * (int64_t)batch->rows + self->left.n + 4, sizeof(int32_t), err));
    int32_t *rows = self->scratch.items, *slots = rows + batch->rows, *fresh = slots + batch->rows;
    int32_t *fresh_slots = fresh + batch->rows, *gone = fresh_slots + batch->rows;
    struct item *entered = self->entered.items;
    int32_t n = 0, n_fresh = 0, n_gone;
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        if (entered[row].partition < 0) { continue; }
        struct touched *touched =
            (struct touched *)self->touched.items + run_of(self, entered[row].partition)->touched;
        if (touched->left >= 0) {
            const struct left *left = (const struct left *)self->left.items + touched->left;
            rows[n] = row;
            slots[n++] = left->slot;
            touched->left = left->next;
        } else {
            fresh[n_fresh++] = row;
        }
    }
    if (n_fresh) { SABOT_TRY(new_slots(self, fresh, fresh_slots, n_fresh, err)); }
    for (int32_t i = 0; i < n_fresh; i++) {
        rows[n] = fresh[i];
        slots[n++] = fresh_slots[i];
    }
    const int64_t count = state_count(self->rows, 0);
    SABOT_TRY(reserve(self, &self->owners, count, sizeof(int32_t), err));
    SABOT_TRY(reserve(self, &self->words, count, sizeof(uint64_t), err));
    state_touch(self->rows, 0, slots, n);
    int64_t *arrivals = state_values(self->rows, 0, 0);
    for (int32_t i = 0; i < n; i++) {
        const struct item *item = &entered[rows[i]];
        const struct run *run = run_of(self, item->partition);
        items_of(self, run)[run_find(self, run, item->word, item->ref)].ref = slots[i];
        ((int32_t *)self->owners.items)[slots[i]] = item->partition;
        ((uint64_t *)self->words.items)[slots[i]] = item->word;
        arrivals[slots[i]] = self->arrival + rows[i];
    }
    int64_t *written = n && self->options->ttl_ms > 0 ? state_values(self->rows, 0, self->written) : NULL;
    for (int32_t i = 0; i < n && written; i++) { written[slots[i]] = self->now_ms; }
    for (int32_t c = 0; c < self->own.input->n_fields && n; c++) {
        if (!is_key(self, c)) { SABOT_TRY(write_column(self, c, rows, slots, n, err)); }
    }
    n_gone = slots_left(self, gone);
    return n_gone ? remove_slots(self, gone, n_gone, err) : SABOT_OK;
}

/* Partitions without rows are forgotten. */
static sabot_status drop_empty(struct rank *self, struct sabot_error *err) {
    SABOT_TRY(reserve(self, &self->scratch, self->touched.n + 1, sizeof(int32_t), err));
    int32_t *empty = self->scratch.items;
    int32_t n = 0;
    for (int64_t t = 0; t < self->touched.n; t++) {
        const int32_t partition = ((struct touched *)self->touched.items)[t].partition;
        run_of(self, partition)->touched = -1;
        if (run_of(self, partition)->count == 0) { empty[n++] = partition; }
    }
    if (n == 0) { return SABOT_OK; }
    qsort(empty, (size_t)n, sizeof *empty, descending);
    for (int32_t i = 0; i < n; i++) {
        run_release(self, run_of(self, empty[i]));
        const int32_t last = (int32_t)--self->runs.n;
        if (empty[i] == last) { continue; }
        struct run *run = run_of(self, empty[i]);
        *run = *run_of(self, last);
        struct item *items = items_of(self, run);
        for (int32_t r = 0; r < run->count; r++) {
            items[r].partition = empty[i];
            ((int32_t *)self->owners.items)[items[r].ref] = empty[i];
        }
    }
    return state_remove(self->partitions, STATE_NAMESPACE_SCRATCH, empty, n, err);
}

/* --- rows that are too old */
#define LOOK_AT_LEAST 64     /* rows that a batch looks at besides those of its partitions */
#define LOOK_IN_RUN_MAX 1024 /* rows of a partition that are looked at, behind those that are given out */
#define SEEN (-2)            /* run.touched: its rows were looked at */

static sabot_status forget_rows_of(struct rank *self, const int64_t *written, int32_t partition,
                                   struct sabot_error *err) {
    const struct run *run = run_of(self, partition);
    const int64_t end = (int64_t)self->limit + LOOK_IN_RUN_MAX;
    for (int32_t at = (run->count < end ? run->count : (int32_t)end) - 1; at >= 0; at--) {
        if (written[items_of(self, run)[at].ref] > self->now_ms - self->options->ttl_ms) { continue; }
        SABOT_TRY(touch(self, partition, err));
        SABOT_TRY(take_out(self, partition, at, err));
    }
    return SABOT_OK;
}

/* Partitions that the batch has rows of: they must not see what is too old. */
static sabot_status forget_in_partitions(struct rank *self, const struct batch *batch, const int64_t *written,
                                         struct sabot_error *err) {
    const int32_t n = batch->selected;
    SABOT_TRY(reserve(self, &self->slots, n, sizeof(int32_t), err));
    int32_t *partitions = self->slots.items;
    if (self->options->n_keys) {
        state_find(self->partitions, STATE_NAMESPACE_SCRATCH, batch, self->options->keys, batch->selection, n,
                   partitions);
    } else {
        memset(partitions, 0, (size_t)n * sizeof *partitions); /* there is one: it has rows */
    }
    for (int32_t i = 0; i < n; i++) {
        if (partitions[i] < 0 || run_of(self, partitions[i])->touched != -1) { continue; }
        run_of(self, partitions[i])->touched = SEEN;
        SABOT_TRY(forget_rows_of(self, written, partitions[i], err));
    }
    for (int32_t i = 0; i < n; i++) {
        if (partitions[i] < 0 || run_of(self, partitions[i])->touched != SEEN) { continue; }
        run_of(self, partitions[i])->touched = -1;
    }
    return SABOT_OK;
}

/* The next rows of the table, whatever their partitions. From the end, because what is removed is replaced by the
 * last: that one was looked at already. */
static sabot_status forget_here_and_there(struct rank *self, const int64_t *written, int32_t look,
                                          struct sabot_error *err) {
    const int64_t count = state_count(self->rows, 0);
    int64_t at = self->looked_from > 0 && self->looked_from <= count ? self->looked_from : count;
    for (int32_t i = 0; i < look && at > 0; i++) {
        if (written[--at] > self->now_ms - self->options->ttl_ms) { continue; }
        const int32_t partition = ((const int32_t *)self->owners.items)[at];
        const struct run *run = run_of(self, partition);
        const int32_t position = run_find(self, run, ((const uint64_t *)self->words.items)[at], (int32_t)at);
        if (position < 0) { continue; } /* gone with its partition's */
        SABOT_TRY(touch(self, partition, err));
        SABOT_TRY(take_out(self, partition, position, err));
    }
    self->looked_from = at;
    return SABOT_OK;
}

static sabot_status forget(struct rank *self, const struct batch *batch, struct sabot_error *err) {
    self->now_ms = env_wall_ms(self->own.env);
    if (state_count(self->rows, 0) == 0) { return SABOT_OK; }
    self->touched.n = self->old.n = self->left.n = 0;
    const int64_t *written = state_values(self->rows, 0, self->written);
    SABOT_TRY(forget_in_partitions(self, batch, written, err));
    SABOT_TRY(forget_here_and_there(self, written, batch->selected > LOOK_AT_LEAST ? batch->selected : LOOK_AT_LEAST,
                                    err));
    SABOT_TRY(reserve(self, &self->scratch, self->left.n + 1, sizeof(int32_t), err));
    const int32_t n_gone = slots_left(self, self->scratch.items);
    if (n_gone) { SABOT_TRY(remove_slots(self, self->scratch.items, n_gone, err)); }
    return drop_empty(self, err);
}

/* --- events */
static void look_at_state(struct rank *self, const struct batch *batch) {
    self->batch = batch;
    const int32_t first_value = self->options->n_keys + 1;
    for (int32_t m = 0; m < self->n_masks; m++) { self->masks[m] = state_values(self->rows, 0, 1 + m); }
    for (int32_t c = 0; c < self->own.input->n_fields; c++) {
        if (is_key(self, c)) { continue; }
        self->state_columns[c] = (struct column){.phys = (uint8_t)type_phys(self->own.input->fields[c].type),
                                                 .values = state_values(self->rows, 0,
                                                                        self->place_of[c] - first_value)};
    }
}

#define ROWS_AHEAD 12 /* a partition that is not in the cache costs two misses, its run and the run's last item */

/* always_inline: gcc 12 takes a function that only prefetches for one without effect, and drops its calls. */
__attribute__((always_inline)) static inline void look_ahead(const struct rank *self, const int32_t *partitions,
                                                             int32_t i, int32_t n) {
    const struct run *runs = self->runs.items;
    if (i + 2 * ROWS_AHEAD < n) { __builtin_prefetch(&runs[partitions[i + 2 * ROWS_AHEAD]]); }
    if (i + ROWS_AHEAD >= n) { return; }
    const struct run *run = &runs[partitions[i + ROWS_AHEAD]];
    if (run->count) { __builtin_prefetch((const struct item *)self->items.items + run->at + run->count - 1); }
}

static void page_runs_in(struct rank *self, const int32_t *partitions, int32_t n) {
    for (int32_t i = 0; i < n; i++) { memory_page_in(run_of(self, partitions[i])); }
    for (int32_t i = 0; i < n; i++) {
        const struct run *run = run_of(self, partitions[i]);
        if (run->count) { memory_page_in(&items_of(self, run)[run->count - 1]); }
    }
}

static sabot_status take_rows(struct rank *self, const struct batch *batch, const int32_t *partitions,
                              struct sabot_error *err) {
    const struct sort_key *key = self->options->n_order ? &self->options->order[0] : NULL;
    if (memory_is_spilled(self->own.pool)) { page_runs_in(self, partitions, batch->selected); }
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        look_ahead(self, partitions, i, batch->selected);
        const uint64_t word = key ? word_of(key, batch->columns[key->column], row) : 0;
        const uint8_t kind = batch->row_kinds ? batch->row_kinds[row] : ROW_INSERT;
        ((struct item *)self->entered.items)[row].partition = -1;
        if (kind == ROW_INSERT || kind == ROW_UPDATE_AFTER) {
            SABOT_TRY(row_enter(self, row, partitions[i], word, err));
        } else if (self->options->upserts) {
            if (run_of(self, partitions[i])->count == 0) { continue; } /* of a key that is not there */
            SABOT_TRY(touch(self, partitions[i], err));
            SABOT_TRY(take_out(self, partitions[i], 0, err));
        } else if (self->options->input_retracts) {
            SABOT_TRY(row_leave(self, row, partitions[i], word, err));
        } else {
            return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s gets a retraction from an input that was planned without",
                              self->own.spec->label);
        }
    }
    return SABOT_OK;
}

static sabot_status hash_keys(struct rank *self, struct batch **batch, struct sabot_error *err) {
    const struct rank_options *options = self->options;
    if (options->n_keys &&
        (!(*batch)->hashes || (*batch)->hash_key_id != key_id(options->keys, options->n_keys))) {
        if (atomic_load_explicit(&(*batch)->refs, memory_order_relaxed) > 1) {
            /* others may read this batch at the same time: the hashes go into one of our own */
            struct batch *own;
            SABOT_TRY(batch_with_selection(*batch, buffer_ref((*batch)->selection_buffer), (*batch)->selected, &own,
                                           err));
            batch_unref(*batch);
            *batch = own;
        }
        SABOT_TRY(batch_cache_hashes(self->own.pool, *batch, options->keys, options->n_keys, err));
    }
    return SABOT_OK;
}

static sabot_status find_partitions(struct rank *self, const struct batch *batch, struct sabot_error *err) {
    SABOT_TRY(reserve(self, &self->slots, batch->selected, sizeof(int32_t), err));
    SABOT_TRY(state_find_or_insert(self->partitions, STATE_NAMESPACE_SCRATCH, batch, self->options->keys,
                                   batch->selection, batch->selected, self->slots.items, err));
    return runs_reserve(self, err);
}

/* A partition that was made for a retraction of a row that never came, or for a rank that keeps none. */
static sabot_status touch_empty(struct rank *self, const int32_t *partitions, int32_t n, struct sabot_error *err) {
    for (int32_t i = 0; i < n; i++) {
        if (run_of(self, partitions[i])->count == 0) { SABOT_TRY(touch(self, partitions[i], err)); }
    }
    return SABOT_OK;
}

static sabot_status give(struct rank *self, struct op_out *out, struct sabot_error *err) {
    for (int64_t done = 0; done < self->changes.n;) {
        const struct change *changes = (const struct change *)self->changes.items + done;
        const int64_t left = self->changes.n - done;
        int32_t n = left < OUTPUT_ROWS_MAX ? (int32_t)left : OUTPUT_ROWS_MAX;
        if (n < left && changes[n - 1].kind == ROW_UPDATE_BEFORE) { n--; } /* pairs stay together */
        BATCH_OWNED struct batch *batch = NULL;
        SABOT_TRY(make_output(self, changes, n, &batch, err));
        done += n;
        SABOT_TRY(out_emit(out, batch_ref(batch), err));
    }
    return SABOT_OK;
}

static sabot_status rank_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                  struct sabot_error *err) {
    (void)input;
    struct rank *self = (struct rank *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0 || self->limit < 1) { return SABOT_OK; }
    SABOT_TRY(hash_keys(self, &batch, err));
    if (self->options->ttl_ms > 0) { SABOT_TRY(forget(self, batch, err)); }
    SABOT_TRY(find_partitions(self, batch, err));
    SABOT_TRY(reserve(self, &self->entered, batch->rows, sizeof(struct item), err));
    self->touched.n = self->old.n = self->left.n = 0;
    look_at_state(self, batch);
    SABOT_TRY(take_rows(self, batch, self->slots.items, err));
    if (self->options->input_retracts || self->options->upserts) {
        SABOT_TRY(touch_empty(self, self->slots.items, batch->selected, err));
    }
    SABOT_TRY(find_changes(self, err));
    SABOT_TRY(give(self, out, err)); /* rows that have left are still in the table */
    SABOT_TRY(write_rows(self, err));
    SABOT_TRY(drop_empty(self, err));
    self->arrival += batch->rows;
    self->batch = NULL;
    return SABOT_OK;
}

/* --- open and close */
static int compare_restored(const struct rank *self, const struct item *a, const struct item *b,
                            const int64_t *arrivals) {
    const int order = compare_items(self, a->word, a->ref, b->word, b->ref);
    if (order) { return order; }
    const int earlier = arrivals[a->ref] < arrivals[b->ref] ? -1 : 1;
    return self->options->keep_last ? -earlier : earlier;
}
/* Heap sort: a run may be long, and no comparator of the library's sort knows the operator. */
static void run_sort(struct rank *self, const struct run *run, const int64_t *arrivals) {
    struct item *items = items_of(self, run);
    int32_t n = run->count, start = run->count / 2;
    while (n > 1) {
        if (start > 0) {
            start--;
        } else {
            n--;
            const struct item first = items[0];
            items[0] = items[n];
            items[n] = first;
        }
        for (int32_t at = start, child; (child = 2 * at + 1) < n; at = child) {
            child += child + 1 < n && compare_restored(self, &items[child], &items[child + 1], arrivals) < 0;
            if (compare_restored(self, &items[at], &items[child], arrivals) >= 0) { break; }
            const struct item down = items[at];
            items[at] = items[child];
            items[child] = down;
        }
    }
}

static sabot_status restore_rows(struct rank *self, int64_t first, int32_t n, struct sabot_error *err) {
    const struct rank_options *options = self->options;
    BATCH_OWNED struct batch *rows = NULL;
    SABOT_TRY(state_read(self->rows, 0, first, n, &rows, err));
    int32_t keys[KEYS_MAX];
    for (int32_t k = 0; k < options->n_keys; k++) { keys[k] = k; }
    if (options->n_keys) { SABOT_TRY(batch_cache_hashes(self->own.pool, rows, keys, options->n_keys, err)); }
    SABOT_TRY(reserve(self, &self->slots, n, sizeof(int32_t), err));
    const int32_t *partitions = self->slots.items;
    SABOT_TRY(state_find_or_insert(self->partitions, STATE_NAMESPACE_SCRATCH, rows, keys, NULL, n, self->slots.items,
                                   err));
    SABOT_TRY(runs_reserve(self, err));
    const struct sort_key *key = options->n_order ? &options->order[0] : NULL;
    const int64_t *arrivals = rows->columns[options->n_keys + 1]->values;
    for (int32_t i = 0; i < n; i++) {
        uint64_t word = 0;
        const int32_t slot = (int32_t)first + i;
        if (key && !is_key(self, key->column) && self->masks[key->column >> 6][slot] >> (key->column & 63) & 1) {
            word = key->nulls_first ? 0 : UINT64_MAX;
        } else if (key) {
            word = word_of(key, rows->columns[self->place_of[key->column]], i);
        }
        SABOT_TRY(run_insert(self, partitions[i], run_of(self, partitions[i])->count, word, slot, err));
        ((int32_t *)self->owners.items)[slot] = partitions[i];
        ((uint64_t *)self->words.items)[slot] = word;
        self->arrival = arrivals[i] >= self->arrival ? arrivals[i] + 1 : self->arrival;
        const int64_t place = ((const int64_t *)rows->columns[options->n_keys]->values)[i];
        self->arrival = place >= self->arrival ? place + 1 : self->arrival;
    }
    return SABOT_OK;
}

static sabot_status restore(struct rank *self, struct sabot_error *err) {
    const int64_t count = state_count(self->rows, 0);
    if (count == 0) { return SABOT_OK; }
    look_at_state(self, NULL);
    SABOT_TRY(reserve(self, &self->owners, count, sizeof(int32_t), err));
    SABOT_TRY(reserve(self, &self->words, count, sizeof(uint64_t), err));
    for (int64_t first = 0; first < count; first += RESTORE_ROWS) {
        SABOT_TRY(restore_rows(self, first, count - first < RESTORE_ROWS ? (int32_t)(count - first) : RESTORE_ROWS,
                               err));
    }
    const int64_t *arrivals = state_values(self->rows, 0, 0);
    for (int32_t p = 0; p < (int32_t)self->runs.n; p++) { run_sort(self, run_of(self, p), arrivals); }
    return SABOT_OK;
}

static void rank_close(struct op *op) {
    struct rank *self = (struct rank *)op;
    array_free(self, &self->runs, sizeof(struct run));
    array_free(self, &self->items, sizeof(struct item));
    array_free(self, &self->touched, sizeof(struct touched));
    array_free(self, &self->old, sizeof(struct item));
    array_free(self, &self->left, sizeof(struct left));
    array_free(self, &self->entered, sizeof(struct item));
    array_free(self, &self->changes, sizeof(struct change));
    array_free(self, &self->slots, sizeof(int32_t));
    array_free(self, &self->owners, sizeof(int32_t));
    array_free(self, &self->words, sizeof(uint64_t));
    array_free(self, &self->scratch, sizeof(int32_t));
    schema_unref(self->row_schema);
    schema_unref(self->partition_schema);
    free(self);
}

static sabot_status check_options(const struct op_context *context, struct sabot_error *err) {
    const struct rank_options *options = context->spec->options;
    if (options->n_keys > KEYS_MAX || context->input->n_fields > COLUMNS_MAX - options->n_keys - 4) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                          "ROW_NUMBER over rows of %d columns by %d of them: at most %d columns "
                          "and %d keys are possible; select fewer columns in the subquery", context->input->n_fields,
                          options->n_keys, COLUMNS_MAX - options->n_keys - 4, KEYS_MAX);
    }
    return SABOT_OK;
}

static sabot_status open_tables(struct rank *self, struct sabot_error *err) {
    const struct rank_options *options = self->options;
    const struct schema *input = self->own.input;
    struct field fields[2 * COLUMNS_MAX];
    char names[(COLUMNS_MAX + 63) / 64][16];
    int32_t n = 0;
    for (int32_t k = 0; k < options->n_keys; k++) { fields[n++] = input->fields[options->keys[k]]; }
    SABOT_TRY(schema_new(fields, n, &self->partition_schema, err));
    fields[n++] = (struct field){"place", type_not_null(type_of(TYPE_INT64))};
    fields[n++] = (struct field){"arrival", type_not_null(type_of(TYPE_INT64))};
    self->n_masks = (input->n_fields + 63) / 64;
    for (int32_t m = 0; m < self->n_masks; m++) {
        snprintf(names[m], sizeof names[m], "nulls%d", m);
        fields[n++] = (struct field){names[m], type_not_null(type_of(TYPE_INT64))};
    }
    for (int32_t c = 0; c < input->n_fields; c++) {
        self->place_of[c] = -1;
        for (int32_t k = 0; k < options->n_keys; k++) {
            if (options->keys[k] == c) { self->place_of[c] = k; }
        }
        if (self->place_of[c] >= 0) { continue; }
        self->place_of[c] = n;
        fields[n++] = input->fields[c];
    }
    if (options->ttl_ms > 0) {
        self->written = n - (options->n_keys + 1);
        fields[n++] = (struct field){"written", type_not_null(type_of(TYPE_INT64))};
    }
    SABOT_TRY(schema_new(fields, n, &self->row_schema, err));
    SABOT_TRY(state_table_open(self->own.state,
                               &(struct state_spec){.name = "rows",
                                                    .kind = STATE_KEYED,
                                                    .schema = self->row_schema,
                                                    .n_keys = options->n_keys + 1,
                                                    .n_sub_keys = 1,
                                                    .by_slot = true,
                                                    .fixed_layout = true /* NULLs are by place */},
                               &self->rows, err));
    return state_table_open(self->own.state,
                            &(struct state_spec){.name = "partitions",
                                                 .kind = STATE_KEYED,
                                                 .schema = self->partition_schema,
                                                 .n_keys = options->n_keys,
                                                 .records = true},
                            &self->partitions, err);
}

static bool words_are_exact(const struct schema *input, const struct rank_options *options) {
    if (options->n_order == 0) { return true; }
    const struct type type = input->fields[options->order[0].column].type;
    const enum phys phys = type_phys(type);
    return options->n_order == 1 && !type.nullable && phys != PHYS_I128 && phys != PHYS_VIEW && phys_size(phys) > 0;
}

static sabot_status rank_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    SABOT_TRY(check_options(context, err));
    struct rank *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a ranking"); }
    self->op.type = &op_rank;
    self->own = *context;
    self->options = context->spec->options;
    self->limit = self->options->limit > INT32_MAX - 1 ? INT32_MAX - 1 : (int32_t)self->options->limit;
    self->exact = words_are_exact(context->input, self->options);
    for (int32_t i = 0; i < CLASSES; i++) { self->free_items[i] = -1; }
    sabot_status status = open_tables(self, err);
    if (status == SABOT_OK) { status = restore(self, err); }
    if (status != SABOT_OK) {
        rank_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

const struct op_type op_rank = {
    .name = "rank",
    .summary = "keep the first rows of each partition (ROW_NUMBER, deduplication)",
    .open = rank_open,
    .on_batch = rank_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = rank_close,
    .stateful = true,
    .declares_state = true,
};
