/* The memory backend's part in restores: rows are appended to the columns of their namespace, and what finds them, the
 * index, is made once when all are there: at its final size, and walked through from front to back instead of here and
 * there. */
#include <assert.h>
#include <stdlib.h>

#include "state/memory_impl.h"

#define SLOTS_SORTED (1 << 22) /* slots that are put into the index in the order of their homes; fewer with a limit */
#define SLOTS_SORTED_MIN (1 << 12)
#define SORT_LIMIT_SHARE 64    /* of a memory limit may be used for that */
#define BUCKETS_LOG 11
#define LOOK_AHEAD 16

/* --- columns */
#define COPY(type_)                                                                                                    \
    do {                                                                                                               \
        const type_ *source = column->values;                                                                          \
        if (is_run && table->strides[c] == sizeof(type_)) {                                                            \
            memcpy(value_at(table, pane, c, first), source + at[0], (size_t)n * sizeof(type_));                        \
        } else {                                                                                                       \
            for (int32_t i = 0; i < n; i++) {                                                                          \
                *(type_ *)value_at(table, pane, c, first + i) = source[column_at(column, at[i])];                      \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
/* The values of column c of rows at[0..n) into slots first..; those of NULL stay zero. */
static sabot_status values_append(struct memory_table *table, struct pane *pane, int32_t c,
                                  const struct column *column, const int32_t *at, int32_t first, int32_t n,
                                  struct sabot_error *err) {
    const size_t size = table->sizes[c];
    const bool is_run = !column->constant && at[n - 1] - at[0] == n - 1;
    if (table->phys[c] == PHYS_VIEW) {
        const struct string_view *source = column->values;
        for (int32_t i = 0; i < n; i++) {
            if (column_is_null(column, at[i])) { continue; }
            SABOT_TRY(string_heap_keep(table->pool, &pane->heap, &source[column_at(column, at[i])],
                                       value_at(table, pane, c, first + i), err));
        }
        return SABOT_OK;
    }
    switch (size) {
    case 0: break;
    case 1: COPY(uint8_t); break;
    case 2: COPY(uint16_t); break;
    case 4: COPY(uint32_t); break;
    case 8: COPY(uint64_t); break;
    default: COPY(__int128); break;
    }
    for (int32_t i = 0; i < n && column->validity; i++) {
        if (column_is_null(column, at[i])) { memset(value_at(table, pane, c, first + i), 0, size); }
    }
    return SABOT_OK;
}

/* The last rows of a log: whoever takes a snapshot must hear of them. */
static void slots_are_new(struct memory_table *table, struct pane *pane, int32_t first, int32_t n) {
    int32_t slots[256];
    for (int32_t done = 0; done < n && pane->watch.on; done += 256) {
        const int32_t m = n - done < 256 ? n - done : 256;
        for (int32_t i = 0; i < m; i++) { slots[i] = first + done + i; }
        pane_touch(table, pane, slots, m, first);
    }
}

sabot_status memory_append(struct state_table *base, int64_t namespace_, const struct batch *rows,
                           int32_t first_column, const int32_t *at, int32_t n, struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane;
    assert(table->n_keys && (rows->hashes || !table->has_index) && n > 0);
    SABOT_TRY(pane_get(table, namespace_, &pane, err));
    SABOT_TRY(pane_fit_slots(table, pane, n, err));
    memory_relax(table->pool);
    struct key_view views[STATE_COLUMNS_MAX];
    for (int32_t k = 0; k < table->n_keys; k++) { views[k] = key_view_of(table, k, rows->columns[first_column + k]); }
    const int32_t first = pane->count;
    SABOT_TRY(keys_append(table, pane, views, at, first, n, err));
    for (int32_t c = table->n_keys; c < table->n_columns; c++) {
        SABOT_TRY(values_append(table, pane, c, rows->columns[first_column + c], at, first, n, err));
    }
    for (int32_t i = 0; i < n && table->has_index; i++) { pane->hashes[first + i] = rows->hashes[at[i]]; }
    pane->count += n;
    if (base->is_log) { slots_are_new(table, pane, first, n); }
    if (table->metrics) { metric_add(&table->metrics->state_rows, n); }
    return SABOT_OK;
}

/* --- the index */
struct indexing {
    struct memory_table *table;
    struct pane *pane;
    struct key_view views[STATE_COLUMNS_MAX]; /* of the pane's own keys */
    struct entry *order;                      /* of a stretch, by home: all that an entry needs */
    int32_t *orphans;                         /* slots whose key stands in a later one too */
    int32_t n_orphans, orphans_capacity;
};

static sabot_status orphan_add(struct indexing *indexing, int32_t slot, struct sabot_error *err) {
    if (indexing->n_orphans == indexing->orphans_capacity) {
        const int32_t capacity = indexing->orphans_capacity ? indexing->orphans_capacity * 2 : 64;
        int32_t *orphans = realloc(indexing->orphans, (size_t)capacity * sizeof *orphans);
        if (!orphans) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
        indexing->orphans = orphans;
        indexing->orphans_capacity = capacity;
    }
    indexing->orphans[indexing->n_orphans++] = slot;
    return SABOT_OK;
}

static uint64_t slot_word(const struct memory_table *table, const struct pane *pane, int32_t slot) {
    return table->word_is_key ? key_word(pane->columns[0], table->sizes[0], slot) : pane->hashes[slot];
}

static sabot_status entry_place(struct indexing *indexing, const struct entry *entry, struct sabot_error *err) {
    const struct memory_table *table = indexing->table;
    const struct pane *pane = indexing->pane;
    const int32_t slot = (int32_t)entry->slot1 - 1;
    const uint32_t mask = pane->capacity - 1;
    uint32_t at = entry->tag & mask;
    for (; pane->index[at].slot1; at = (at + 1) & mask) {
        if (pane->index[at].word != entry->word) { continue; }
        const int32_t found = (int32_t)pane->index[at].slot1 - 1;
        if (!table->word_is_key && !key_equal(table, pane, found, indexing->views, slot)) { continue; }
        /* what was written by hand may have a key twice: the last one counts */
        assert(found < slot); /* one home, one bucket, and in it slots ascend */
        SABOT_TRY(orphan_add(indexing, found, err));
        break;
    }
    pane->index[at] = *entry;
    return SABOT_OK;
}

static bool slot_is_null(const struct indexing *indexing, int32_t slot) {
    const struct pane *pane = indexing->pane;
    return indexing->table->word_is_key && pane->validity[0] && !bit_is_set(pane->validity[0], slot);
}

/* The NULL key has no entry. */
static sabot_status nulls_place(struct indexing *indexing, int32_t first, int32_t n, struct sabot_error *err) {
    struct pane *pane = indexing->pane;
    if (!indexing->table->word_is_key || !pane->validity[0]) { return SABOT_OK; }
    for (int32_t slot = first; slot < first + n; slot++) {
        if (!slot_is_null(indexing, slot)) { continue; }
        if (pane->null_slot >= 0) { SABOT_TRY(orphan_add(indexing, pane->null_slot, err)); }
        pane->null_slot = slot;
    }
    return SABOT_OK;
}

/* The entries of slots first..first+n into indexing->order, by the highest bits of their homes; returns how many. */
static int32_t stretch_sort(struct indexing *indexing, int32_t first, int32_t n) {
    const struct pane *pane = indexing->pane;
    const uint32_t mask = pane->capacity - 1;
    const int log = __builtin_ctz(pane->capacity), shift = log > BUCKETS_LOG ? log - BUCKETS_LOG : 0;
    int32_t starts[(1 << BUCKETS_LOG) + 1] = {0};
    int32_t n_entries = 0;
    for (int32_t slot = first; slot < first + n; slot++) {
        const bool has_entry = !slot_is_null(indexing, slot);
        starts[(((uint32_t)pane->hashes[slot] & mask) >> shift) + 1] += has_entry;
        n_entries += has_entry;
    }
    for (int32_t b = 0; b < 1 << BUCKETS_LOG; b++) { starts[b + 1] += starts[b]; }
    for (int32_t slot = first; slot < first + n; slot++) {
        if (slot_is_null(indexing, slot)) { continue; }
        const uint32_t tag = (uint32_t)pane->hashes[slot];
        indexing->order[starts[(tag & mask) >> shift]++] = (struct entry){
            .word = slot_word(indexing->table, pane, slot), .slot1 = (uint32_t)slot + 1, .tag = tag};
    }
    return n_entries;
}

static sabot_status slots_index(struct indexing *indexing, int32_t stretch, struct sabot_error *err) {
    struct pane *pane = indexing->pane;
    const uint32_t mask = pane->capacity - 1;
    for (int32_t first = 0; first < pane->count; first += stretch) {
        const int32_t left = pane->count - first, n = left < stretch ? left : stretch;
        SABOT_TRY(nulls_place(indexing, first, n, err));
        const int32_t n_entries = stretch_sort(indexing, first, n);
        for (int32_t i = 0; i < n_entries; i++) {
            if (i % 256 == 0) { memory_relax(indexing->table->pool); }
            if (i + LOOK_AHEAD < n_entries) {
                __builtin_prefetch(&pane->index[indexing->order[i + LOOK_AHEAD].tag & mask], 1);
            }
            SABOT_TRY(entry_place(indexing, &indexing->order[i], err));
        }
    }
    return SABOT_OK;
}

static int slot_compare(const void *a, const void *b) { return *(const int32_t *)a - *(const int32_t *)b; }

/* Slots stay dense: the last row moves to each that is given up. */
static void orphans_remove(struct indexing *indexing) {
    struct memory_table *table = indexing->table;
    struct pane *pane = indexing->pane;
    if (indexing->n_orphans == 0) { return; }
    qsort(indexing->orphans, (size_t)indexing->n_orphans, sizeof *indexing->orphans, slot_compare);
    for (int32_t i = indexing->n_orphans - 1; i >= 0; i--) { slot_close(table, pane, indexing->orphans[i]); }
    if (table->metrics) { metric_add(&table->metrics->state_rows, -(int64_t)indexing->n_orphans); }
}

static sabot_status pane_index(struct memory_table *table, struct pane *pane, struct sabot_error *err) {
    struct indexing indexing = {.table = table, .pane = pane};
    const int64_t share = memory_limit(table->pool) / SORT_LIMIT_SHARE / (int64_t)sizeof *indexing.order;
    int32_t stretch = share < SLOTS_SORTED ? (int32_t)share : SLOTS_SORTED;
    stretch = stretch < SLOTS_SORTED_MIN ? SLOTS_SORTED_MIN : stretch;
    stretch = pane->count < stretch ? pane->count : stretch;
    SABOT_TRY(pane_empty_index(table, pane, pane->count, err));
    for (int32_t k = 0; k < table->n_keys; k++) {
        indexing.views[k] = key_view_of_pane(table, pane, k);
    }
    const size_t order_bytes = (size_t)stretch * sizeof *indexing.order;
    void *order;
    SABOT_TRY(memory_alloc(table->pool, order_bytes, &order, err));
    indexing.order = order;
    const sabot_status status = slots_index(&indexing, stretch, err);
    if (status == SABOT_OK) { orphans_remove(&indexing); }
    memory_free(table->pool, order, order_bytes);
    free(indexing.orphans);
    return status;
}

sabot_status memory_index(struct state_table *base, struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    for (int32_t i = 0; i < table->n_panes && table->n_keys && table->has_index; i++) {
        if (table->panes[i]->count) { SABOT_TRY(pane_index(table, table->panes[i], err)); }
    }
    return SABOT_OK;
}
