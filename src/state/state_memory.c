/* The memory backend: one columnar hash table per namespace.
 *
 * A table is an index of 16-byte entries (open addressing, linear probing) over columns that are indexed by slot. An
 * entry
 * holds a 64-bit word that decides equality: the key itself where there is one key column of at most 8 bytes, else the
 * key's hash, and then the full keys are compared column by column behind the probe. The first probe of a block of
 * rows has
 * no branch; only rows that it misses go through a loop. Columns of a dropped namespace are kept for the next one, so
 * that a
 * new pane costs no page faults. */
#include <assert.h>
#include <stdlib.h>

#include "base/spill.h"
#include "state/memory_impl.h"

#define RELAX_ENTRIES (uint32_t)(MEMORY_RELAX_BYTES / 2 / sizeof(struct entry)) /* the old index, and the new one */
#define BLOCK_ROWS 256              /* rows probed together; a table has room for so many before a block begins */
#define CAPACITY_MIN 1024u          /* index entries */
#define CAPACITY_MAX (1u << 30)
#define SLOTS_MAX (1 << 30)
#define LOG_SLOTS_MIN 16384          /* a log has many namespaces: what can't go to disk of each is little */
#define RECORD_ALIGNMENT 8 /* of records; wider values need more */
#define PROBES_AT_ONCE 4
#define PREFETCH_CAPACITY (1u << 14) /* 256 KiB: smaller indexes stay in the core's own cache */

/* --- memory */
sabot_status table_alloc(struct memory_table *table, size_t size, bool zeroed, void **out, struct sabot_error *err) {
    SABOT_TRY(memory_alloc_state(table->pool, size, zeroed, out, err));
    if (table->metrics) { metric_add(&table->metrics->state_bytes, (int64_t)size); }
    return SABOT_OK;
}

static sabot_status table_resize(struct memory_table *table, void **block, size_t from, size_t to,
                                 struct sabot_error *err) {
    SABOT_TRY(memory_resize_state(table->pool, block, from, to, err));
    if (table->metrics) { metric_add(&table->metrics->state_bytes, (int64_t)to - (int64_t)from); }
    return SABOT_OK;
}

static void table_release(struct memory_table *table, void *block, size_t size) {
    if (!block) { return; }
    memory_free_state(table->pool, block, size);
    if (table->metrics) { metric_add(&table->metrics->state_bytes, -(int64_t)size); }
}

/* --- panes */
void pane_free(struct memory_table *table, struct pane *pane) {
    if (!pane) { return; }
    table_release(table, pane->index, pane->capacity * sizeof(struct entry));
    table_release(table, pane->hashes, (size_t)pane->slots * 8);
    for (int32_t i = 0; i < table->n_blocks; i++) {
        table_release(table, pane->blocks[i], (size_t)pane->slots * table->strides[i]);
    }
    for (int32_t i = 0; i < table->n_keys; i++) { table_release(table, pane->validity[i], validity_size(pane->slots)); }
    slot_watch_clear(&pane->watch, table->pool);
    string_heap_clear(&pane->heap);
    free(pane);
}

static void pane_point(const struct memory_table *table, struct pane *pane) {
    for (int32_t c = 0; c < table->n_columns; c++) {
        char *block = pane->blocks[block_of(table, c)];
        pane->columns[c] = block ? block + table->offsets[c] : NULL;
    }
}

static sabot_status pane_grow_slots(struct memory_table *table, struct pane *pane, int32_t slots,
                                    struct sabot_error *err) {
    /* Each array is grown as a whole or not at all, and pane->slots changes behind the last: a failure in between
     * leaves
     * arrays that are larger than said, so their sizes are put right before it is passed on. */
    if (pane->watch.changed || pane->watch.on || table->table.context->snapshots) {
        SABOT_TRY(slot_watch_fit(&pane->watch, table->pool, slots, err));
    }
    const int32_t old = pane->slots;
    int32_t done = 0;
    sabot_status status = SABOT_OK;
    if (table->has_index) {
        status = table_resize(table, (void **)&pane->hashes, (size_t)old * 8, (size_t)slots * 8, err);
    }
    const bool hashes_done = status == SABOT_OK && table->has_index;
    for (; done < table->n_blocks && status == SABOT_OK; done++) {
        status = table_resize(table, &pane->blocks[done], (size_t)old * table->strides[done],
                              (size_t)slots * table->strides[done], err);
        if (status != SABOT_OK) { break; }
    }
    pane_point(table, pane);
    int32_t bits = 0;
    for (; bits < table->n_keys && status == SABOT_OK; bits++) {
        if (!pane->validity[bits]) { continue; }
        status = table_resize(table, (void **)&pane->validity[bits], validity_size(old), validity_size(slots), err);
        if (status != SABOT_OK) { break; }
        memory_fill_state(table->pool, (char *)pane->validity[bits] + validity_size(old), 0xff,
                          validity_size(slots) - validity_size(old));
    }
    if (status == SABOT_OK) {
        pane->slots = slots;
        return SABOT_OK;
    }
    if (hashes_done) { (void)table_resize(table, (void **)&pane->hashes, (size_t)slots * 8, (size_t)old * 8, NULL); }
    for (int32_t i = 0; i < done; i++) {
        (void)table_resize(table, &pane->blocks[i], (size_t)slots * table->strides[i], (size_t)old * table->strides[i],
                           NULL);
    }
    pane_point(table, pane);
    for (int32_t i = 0; i < bits; i++) {
        if (!pane->validity[i]) { continue; }
        (void)table_resize(table, (void **)&pane->validity[i], validity_size(slots), validity_size(old), NULL);
    }
    return status;
}

/* An index filled to one half in the core's cache, to two thirds where misses cost more than longer probes. */
static uint32_t capacity_limit(uint32_t capacity) {
    return capacity <= 1u << 16 ? capacity / 2 : capacity / 3 * 2;
}

static sabot_status fail_full(const struct memory_table *table, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_STATE, "state %s: more than %u keys in one namespace: raise the parallelism",
                      table->table.name, capacity_limit(CAPACITY_MAX));
}

static sabot_status pane_grow_index(struct memory_table *table, struct pane *pane, struct sabot_error *err) {
    if (pane->capacity >= CAPACITY_MAX) { return fail_full(table, err); }
    const uint32_t capacity = pane->capacity * 2, mask = capacity - 1;
    void *block;
    SABOT_TRY(table_alloc(table, capacity * sizeof(struct entry), true, &block, err));
    struct entry *index = block;
    /* An entry's new home is its old one or that plus the old capacity: two streams, no random access. */
    for (uint32_t i = 0; i < pane->capacity; i++) {
        const struct entry *entry = &pane->index[i];
        if (i % RELAX_ENTRIES == 0) { memory_relax(table->pool); }
        if (!entry->slot1) { continue; }
        uint32_t at = entry->tag & mask;
        while (index[at].slot1) { at = (at + 1) & mask; }
        index[at] = *entry;
    }
    table_release(table, pane->index, pane->capacity * sizeof(struct entry));
    pane->index = index;
    pane->capacity = capacity;
    return SABOT_OK;
}

sabot_status pane_fit_slots(struct memory_table *table, struct pane *pane, int32_t more, struct sabot_error *err) {
    if (more <= pane->slots - pane->count) { return SABOT_OK; }
    if (more > SLOTS_MAX - pane->count) { return fail_full(table, err); }
    const int32_t needed = pane->count + more;
    int32_t slots = pane->slots ? pane->slots : table->is_log ? LOG_SLOTS_MIN : (int32_t)CAPACITY_MIN / 2;
    while (slots < needed) { slots *= 2; }
    return pane_grow_slots(table, pane, slots, err);
}

sabot_status pane_empty_index(struct memory_table *table, struct pane *pane, int32_t rows, struct sabot_error *err) {
    uint32_t capacity = CAPACITY_MIN;
    while (capacity_limit(capacity) < (uint32_t)rows) {
        if (capacity == CAPACITY_MAX) { return fail_full(table, err); }
        capacity *= 2;
    }
    void *block;
    SABOT_TRY(table_alloc(table, capacity * sizeof(struct entry), true, &block, err));
    table_release(table, pane->index, pane->capacity * sizeof(struct entry));
    pane->index = block;
    pane->capacity = capacity;
    pane->null_slot = -1;
    return SABOT_OK;
}

/* Room for `more` new slots. */
static inline sabot_status pane_reserve(struct memory_table *table, struct pane *pane, int32_t more,
                                        struct sabot_error *err) {
    const int32_t needed = pane->count + more;
    while ((uint32_t)needed > capacity_limit(pane->capacity)) { SABOT_TRY(pane_grow_index(table, pane, err)); }
    return needed > pane->slots ? pane_fit_slots(table, pane, more, err) : SABOT_OK;
}

static sabot_status pane_new(struct memory_table *table, int64_t namespace_, struct pane **out,
                             struct sabot_error *err) {
    if (table->n_recycled) {
        struct pane *pane = table->recycled[--table->n_recycled];
        memory_fill_state(table->pool, pane->index, 0, pane->capacity * sizeof(struct entry));
        pane->namespace_ = namespace_;
        *out = pane;
        return SABOT_OK;
    }
    const int32_t n_pointers = table->n_blocks + table->n_columns + table->n_keys;
    struct pane *pane = calloc(1, sizeof *pane + (size_t)n_pointers * sizeof(void *));
    *out = NULL;
    if (!pane) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a state table"); }
    pane->namespace_ = namespace_;
    pane->null_slot = -1;
    pane->blocks = (void **)(pane + 1);
    pane->columns = pane->blocks + table->n_blocks;
    pane->validity = (uint64_t **)(void *)(pane->columns + table->n_columns);
    *out = pane;
    if (table->is_log) { pane->heap.block_min = SPILL_BLOCK_MIN; }
    if (!table->has_index) { return SABOT_OK; }
    void *block;
    const sabot_status status = table_alloc(table, CAPACITY_MIN * sizeof(struct entry), true, &block, err);
    if (status != SABOT_OK) {
        *out = NULL;
        free(pane);
        return status;
    }
    pane->index = block;
    pane->capacity = CAPACITY_MIN;
    return SABOT_OK;
}

/* Empties a pane and keeps its memory, unless it is far more than its rows needed or enough are kept already. */
void pane_recycle(struct memory_table *table, struct pane *pane) {
    if (table->metrics) { metric_add(&table->metrics->state_rows, -(int64_t)pane->count); }
    const bool oversized = pane->capacity > CAPACITY_MIN && (uint32_t)pane->count < pane->capacity / 16;
    if (table->n_recycled == PANES_RECYCLED_MAX || oversized || !table->has_index) {
        pane_free(table, pane);
        return;
    }
    string_heap_clear(&pane->heap);
    for (int32_t i = 0; i < table->n_keys; i++) {
        if (pane->validity[i]) { memset(pane->validity[i], 0xff, validity_size(pane->slots)); }
    }
    slot_watch_reset(&pane->watch);
    pane->count = 0;
    pane->null_slot = -1;
    table->recycled[table->n_recycled++] = pane;
}

/* Position of the first pane whose namespace is not below. */
static int32_t pane_position(const struct memory_table *table, int64_t namespace_) {
    int32_t low = 0, high = table->n_panes;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (table->panes[middle]->namespace_ < namespace_) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct pane *pane_find(struct memory_table *table, int64_t namespace_) {
    if (table->latest && table->latest->namespace_ == namespace_) { return table->latest; }
    const int32_t at = pane_position(table, namespace_);
    if (at == table->n_panes || table->panes[at]->namespace_ != namespace_) { return NULL; }
    return table->latest = table->panes[at];
}

static sabot_status pane_insert(struct memory_table *table, struct pane *pane, struct sabot_error *err) {
    if (table->n_panes == table->panes_capacity) {
        const int32_t capacity = table->panes_capacity ? table->panes_capacity * 2 : 16;
        struct pane **panes = realloc(table->panes, (size_t)capacity * sizeof(struct pane *));
        if (!panes) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of namespaces"); }
        table->panes = panes;
        table->panes_capacity = capacity;
    }
    const int32_t at = pane_position(table, pane->namespace_);
    memmove(&table->panes[at + 1], &table->panes[at], (size_t)(table->n_panes - at) * sizeof(struct pane *));
    table->panes[at] = pane;
    table->n_panes++;
    return SABOT_OK;
}

sabot_status pane_get(struct memory_table *table, int64_t namespace_, struct pane **out,
                      struct sabot_error *err) {
    *out = pane_find(table, namespace_);
    if (*out) { return SABOT_OK; }
    struct pane *pane;
    SABOT_TRY(pane_new(table, namespace_, &pane, err));
    const sabot_status status = pane_insert(table, pane, err);
    if (status != SABOT_OK) {
        pane_free(table, pane);
        return status;
    }
    *out = table->latest = pane;
    return SABOT_OK;
}

static void pane_take_out(struct memory_table *table, int32_t at) {
    memmove(&table->panes[at], &table->panes[at + 1], (size_t)(table->n_panes - at - 1) * sizeof(struct pane *));
    table->n_panes--;
    table->latest = NULL;
}

/* --- keys */
static inline bool view_is_null(const struct key_view *view, int64_t row) {
    return view->validity && !bit_is_set(view->validity, view->constant ? 0 : row);
}

bool key_equal(const struct memory_table *table, const struct pane *pane, int32_t slot,
               const struct key_view *views, int64_t row) {
    for (int32_t k = 0; k < table->n_keys; k++) {
        const bool is_null = view_is_null(&views[k], row);
        if (is_null != (pane->validity[k] && !bit_is_set(pane->validity[k], slot))) { return false; }
        if (is_null) { continue; }
        if (!value_equal(table->phys[k], value_at(table, pane, k, slot), 0, key_view_at(&views[k], row), 0)) {
            return false;
        }
    }
    return true;
}

/* Clears bad[i] nowhere, sets it where the key of row at[i] is not the one at slots[i]: column by column. */
#define VERIFY(type_)                                                                                                  \
    do {                                                                                                               \
        const char *mine = pane->columns[k], *theirs = view->values;                                                   \
        const size_t stride = table->strides[k], their_stride = view->stride;                                          \
        for (int32_t i = 0; i < n; i++) {                                                                              \
            bad |= *(const type_ *)(const void *)(mine + (size_t)slots[i] * stride) !=                                 \
                   *(const type_ *)(const void *)(theirs + (size_t)at[i] * their_stride);                              \
        }                                                                                                              \
    } while (0)
static bool keys_differ(const struct memory_table *table, const struct pane *pane, const struct key_view *views,
                        const int32_t *at, const int32_t *slots, int32_t n) {
    bool bad = false;
    for (int32_t k = 0; k < table->n_keys && !bad; k++) {
        const struct key_view *view = &views[k];
        if (view->validity || pane->validity[k] || view->constant) {
            for (int32_t i = 0; i < n && !bad; i++) {
                const bool is_null = view_is_null(view, at[i]);
                bad = is_null != (pane->validity[k] && !bit_is_set(pane->validity[k], slots[i])) ||
                      (!is_null && !value_equal(table->phys[k], value_at(table, pane, k, slots[i]), 0,
                                                key_view_at(view, at[i]), 0));
            }
            continue;
        }
        switch (table->phys[k]) {
        case PHYS_BOOL:
        case PHYS_I8: VERIFY(uint8_t); break;
        case PHYS_I16: VERIFY(uint16_t); break;
        case PHYS_I32: VERIFY(uint32_t); break;
        case PHYS_I64: VERIFY(uint64_t); break;
        default:
            for (int32_t i = 0; i < n && !bad; i++) {
                bad = !value_equal(table->phys[k], value_at(table, pane, k, slots[i]), 0, key_view_at(view, at[i]), 0);
            }
            break;
        }
    }
    return bad;
}

static sabot_status key_set_null(struct memory_table *table, struct pane *pane, int32_t k, int32_t slot,
                                 struct sabot_error *err) {
    if (!pane->validity[k]) {
        void *block;
        SABOT_TRY(table_alloc(table, validity_size(pane->slots), false, &block, err));
        memory_fill_state(table->pool, block, 0xff, validity_size(pane->slots));
        pane->validity[k] = block;
    }
    pane->validity[k][slot >> 6] &= ~(UINT64_C(1) << (slot & 63));
    return SABOT_OK;
}

#define APPEND(type_)                                                                                                  \
    do {                                                                                                               \
        char *target = value_at(table, pane, k, first);                                                                \
        const size_t stride = table->strides[k];                                                                       \
        for (int32_t i = 0; i < n; i++) {                                                                              \
            *(type_ *)(void *)(target + (size_t)i * stride) = *(const type_ *)key_view_at(view, at[i]);                \
        }                                                                                                              \
    } while (0)
sabot_status keys_append(struct memory_table *table, struct pane *pane, const struct key_view *views,
                         const int32_t *at, int32_t first, int32_t n, struct sabot_error *err) {
    for (int32_t b = table->whole_records ? 0 : table->n_keys; b < table->n_blocks; b++) {
        memset((char *)pane->blocks[b] + (size_t)first * table->strides[b], 0, (size_t)n * table->strides[b]);
    }
    for (int32_t k = 0; k < table->n_keys; k++) {
        const struct key_view *view = &views[k];
        switch (table->sizes[k]) {
        case 0: break;
        case 1: APPEND(uint8_t); break;
        case 2: APPEND(uint16_t); break;
        case 4: APPEND(uint32_t); break;
        case 8: APPEND(uint64_t); break;
        default:
            if (table->phys[k] != PHYS_VIEW) {
                APPEND(__int128);
                break;
            }
            for (int32_t i = 0; i < n; i++) {
                const struct string_view *from = key_view_at(view, at[i]);
                struct string_view *target = value_at(table, pane, k, first + i);
                if (view_is_null(view, at[i])) {
                    memset(target, 0, sizeof *target);
                } else {
                    SABOT_TRY(string_heap_keep(table->pool, &pane->heap, from, target, err));
                }
            }
            break;
        }
        if (!view->validity) { continue; }
        for (int32_t i = 0; i < n; i++) {
            if (!view_is_null(view, at[i])) { continue; }
            SABOT_TRY(key_set_null(table, pane, k, first + i, err));
            if (table->sizes[k]) {
                memset(value_at(table, pane, k, first + i), 0, table->sizes[k]);
            }
        }
    }
    return SABOT_OK;
}

/* --- probing */
struct probe_block {
    const uint64_t *words, *hashes; /* n each */
    int32_t n;
    bool on_disk; /* some state is */
    int32_t n_fresh;
    int32_t fresh[BLOCK_ROWS]; /* positions in the block that made new slots, in order */
};

/* Finds or makes an entry for each word. New slots are counted, their columns are not written yet. */
static void probe(struct pane *pane, struct probe_block *block, int32_t *slots) {
    struct entry *const index = pane->index;
    const uint32_t mask = pane->capacity - 1;
    const uint64_t *const words = block->words, *const hashes = block->hashes;
    const int32_t n = block->n;
    if (block->on_disk) {
        for (int32_t i = 0; i < n; i++) { memory_page_in(&index[(uint32_t)hashes[i] & mask]); }
    } else if (pane->capacity > PREFETCH_CAPACITY) {
        for (int32_t i = 0; i < n; i++) { __builtin_prefetch(&index[(uint32_t)hashes[i] & mask], 1); }
    }
    int32_t missed[BLOCK_ROWS];
    int32_t n_missed = 0;
    for (int32_t i = 0; i < n; i++) {
        const struct entry *entry = &index[(uint32_t)hashes[i] & mask];
        slots[i] = (int32_t)entry->slot1 - 1;
        missed[n_missed] = i;
        n_missed += (entry->word != words[i]) | (entry->slot1 == 0);
    }
    int32_t count = pane->count, n_fresh = 0;
    for (int32_t m = 0; m < n_missed; m++) {
        const int32_t i = missed[m];
        const uint64_t word = words[i];
        const uint32_t tag = (uint32_t)hashes[i];
        uint32_t at = tag & mask;
        while (index[at].slot1 && index[at].word != word) { at = (at + 1) & mask; }
        if (!index[at].slot1) {
            index[at] = (struct entry){.word = word, .slot1 = (uint32_t)count + 1, .tag = tag};
            pane->hashes[count] = hashes[i];
            block->fresh[n_fresh++] = i;
            count++;
        }
        slots[i] = (int32_t)index[at].slot1 - 1;
    }
    pane->count = count;
    block->n_fresh = n_fresh;
}

/* Two keys have one hash: goes on probing by the full key. */
static sabot_status probe_slowly(struct memory_table *table, struct pane *pane, const struct key_view *views,
                                 uint64_t hash, int32_t row, int32_t *slot, struct sabot_error *err) {
    SABOT_TRY(pane_reserve(table, pane, 1, err));
    const uint32_t mask = pane->capacity - 1;
    uint32_t at = (uint32_t)hash & mask;
    for (; pane->index[at].slot1; at = (at + 1) & mask) {
        *slot = (int32_t)pane->index[at].slot1 - 1;
        if (pane->index[at].word == hash && key_equal(table, pane, *slot, views, row)) { return SABOT_OK; }
    }
    *slot = pane->count;
    SABOT_TRY(keys_append(table, pane, views, &row, *slot, 1, err));
    pane->index[at] = (struct entry){.word = hash, .slot1 = (uint32_t)*slot + 1, .tag = (uint32_t)hash};
    pane->hashes[*slot] = hash;
    pane->count++;
    return SABOT_OK;
}

/* Takes slots from `first` on out of the index again: they were counted, but their keys could not be written. */
static void probe_undo(struct pane *pane, int32_t first) {
    pane->count = first;
    struct entry *index = pane->index;
    const uint32_t mask = pane->capacity - 1;
    for (uint32_t i = 0; i < pane->capacity; i++) {
        if (index[i].slot1 > (uint32_t)first) { index[i] = (struct entry){0}; }
    }
    /* Close the gaps: entries that were placed behind a removed one move up. Rare, so the index is simply rebuilt. */
    bool moved = true;
    while (moved) {
        moved = false;
        for (uint32_t i = 0; i < pane->capacity; i++) {
            if (!index[i].slot1) { continue; }
            uint32_t at = index[i].tag & mask;
            while (at != i && index[at].slot1) { at = (at + 1) & mask; }
            if (at == i) { continue; }
            index[at] = index[i];
            index[i] = (struct entry){0};
            moved = true;
        }
    }
}

/* Who finds or makes slots compares their keys, and is going to write their values. */
void pages_in(const struct memory_table *table, const struct pane *pane, const int32_t *slots, int32_t n) {
    for (int32_t b = table->word_is_key ? table->n_keys : 0; b < table->n_blocks; b++) {
        char *block = pane->blocks[b];
        if (!block || !table->strides[b]) { continue; }
        for (int32_t i = 0; i < n; i++) { memory_page_in(block + (size_t)slots[i] * table->strides[b]); }
    }
}

static sabot_status block_finish(struct memory_table *table, struct pane *pane, const struct key_view *views,
                                 struct probe_block *block, const int32_t *at, int32_t *slots,
                                 struct sabot_error *err) {
    if (block->n_fresh) {
        int32_t fresh_rows[BLOCK_ROWS];
        const int32_t first = pane->count - block->n_fresh;
        for (int32_t i = 0; i < block->n_fresh; i++) { fresh_rows[i] = at[block->fresh[i]]; }
        const sabot_status status = keys_append(table, pane, views, fresh_rows, first, block->n_fresh, err);
        if (status != SABOT_OK) {
            probe_undo(pane, first);
            return status;
        }
    }
    if (block->on_disk) { pages_in(table, pane, slots, block->n); }
    if (table->word_is_key || !keys_differ(table, pane, views, at, slots, block->n)) { return SABOT_OK; }
    for (int32_t i = 0; i < block->n; i++) {
        if (key_equal(table, pane, slots[i], views, at[i])) { continue; }
        SABOT_TRY(probe_slowly(table, pane, views, block->hashes[i], at[i], &slots[i], err));
    }
    return SABOT_OK;
}

#define GATHER(type_)                                                                                                  \
    do {                                                                                                               \
        const type_ *source = view->values;                                                                            \
        for (int32_t i = 0; i < n; i++) { words[i] = (uint64_t)source[at[i]]; }                                        \
    } while (0)
/* The keys at rows at[0..n) as words. Constants are spread. */
static void words_gather(const struct key_view *view, size_t size, const int32_t *at, int32_t n, uint64_t *words) {
    static const int32_t zeros[BLOCK_ROWS];
    if (view->constant) { at = zeros; }
    switch (size) {
    case 1: GATHER(uint8_t); break;
    case 2: GATHER(uint16_t); break;
    case 4: GATHER(uint32_t); break;
    default: GATHER(uint64_t); break;
    }
}

/* The NULL key has no word: rows with it get a slot of their own, and the others are probed without them. */
static sabot_status block_with_nulls(struct memory_table *table, struct pane *pane, const struct key_view *views,
                                     const uint64_t *hashes, const int32_t *at, int32_t n, int32_t *slots,
                                     struct sabot_error *err) {
    int32_t rest[BLOCK_ROWS], rest_at[BLOCK_ROWS], rest_slots[BLOCK_ROWS];
    uint64_t words[BLOCK_ROWS], rest_hashes[BLOCK_ROWS];
    int32_t n_rest = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!view_is_null(views, at[i])) {
            rest[n_rest] = i;
            rest_at[n_rest] = at[i];
            rest_hashes[n_rest++] = hashes[i];
            continue;
        }
        if (pane->null_slot < 0) {
            SABOT_TRY(keys_append(table, pane, views, &at[i], pane->count, 1, err));
            pane->hashes[pane->count] = hashes[i];
            pane->null_slot = pane->count++;
        }
        slots[i] = pane->null_slot;
    }
    words_gather(views, table->sizes[0], rest_at, n_rest, words);
    struct probe_block block = {.words = words, .hashes = rest_hashes, .n = n_rest,
                                .on_disk = memory_is_spilled(table->pool)};
    probe(pane, &block, rest_slots);
    SABOT_TRY(block_finish(table, pane, views, &block, rest_at, rest_slots, err));
    for (int32_t i = 0; i < n_rest; i++) { slots[rest[i]] = rest_slots[i]; }
    return SABOT_OK;
}

/* n rows of `views` whose hashes stand in hashes[row]; rows NULL = first..first+n. */
static sabot_status pane_probe(struct memory_table *table, struct pane *pane, const struct key_view *views,
                               const uint64_t *hashes, const int32_t *rows, int32_t first, int32_t n, int32_t *slots,
                               struct sabot_error *err) {
    const int32_t before = pane->count;
    sabot_status status = SABOT_OK;
    for (int32_t done = 0; done < n && status == SABOT_OK; done += BLOCK_ROWS) {
        const int32_t m = n - done < BLOCK_ROWS ? n - done : BLOCK_ROWS;
        memory_relax(table->pool);
        status = pane_reserve(table, pane, BLOCK_ROWS, err);
        if (status != SABOT_OK) { break; }
        int32_t at_block[BLOCK_ROWS];
        uint64_t hash_block[BLOCK_ROWS], word_block[BLOCK_ROWS];
        const int32_t *at = rows ? rows + done : at_block;
        const uint64_t *block_hashes = hash_block;
        if (rows) {
            for (int32_t i = 0; i < m; i++) { hash_block[i] = hashes[at[i]]; }
        } else {
            for (int32_t i = 0; i < m; i++) { at_block[i] = first + done + i; }
            block_hashes = hashes + first + done;
        }
        if (table->word_is_key && views[0].validity) {
            status = block_with_nulls(table, pane, views, block_hashes, at, m, slots + done, err);
            continue;
        }
        struct probe_block block = {.words = block_hashes, .hashes = block_hashes, .n = m,
                                    .on_disk = memory_is_spilled(table->pool)};
        if (table->word_is_key) {
            if (!rows && !views[0].constant && table->sizes[0] == 8) {
                block.words = (const uint64_t *)views[0].values + first + done;
            } else {
                words_gather(&views[0], table->sizes[0], at, m, word_block);
                block.words = word_block;
            }
        }
        probe(pane, &block, slots + done);
        status = block_finish(table, pane, views, &block, at, slots + done, err);
    }
    if (table->metrics && pane->count != before) { metric_add(&table->metrics->state_rows, pane->count - before); }
    if (status == SABOT_OK) {
        pane_touch(table, pane, slots, n, before);
    } else if (pane->watch.on) {
        for (int32_t slot = before; slot < pane->count; slot++) { slot_set_changed(&pane->watch, slot); }
    }
    return status;
}

/* A table without keys has one row at most. */
static sabot_status find_only_row(struct memory_table *table, struct pane *pane, int32_t n, int32_t *slots,
                                  struct sabot_error *err) {
    if (n == 0) { return SABOT_OK; }
    const int32_t before = pane->count;
    if (pane->count == 0) {
        SABOT_TRY(pane_reserve(table, pane, 1, err));
        SABOT_TRY(keys_append(table, pane, NULL, NULL, 0, 1, err));
        pane->hashes[0] = 0;
        pane->count = 1;
        if (table->metrics) { metric_add(&table->metrics->state_rows, 1); }
    }
    memset(slots, 0, (size_t)n * sizeof *slots);
    pane_touch(table, pane, slots, 1, before);
    return SABOT_OK;
}

/* A table that is used by slot: each row is a new one. */
static sabot_status rows_make(struct memory_table *table, struct pane *pane, const struct key_view *views,
                              const int32_t *rows, int32_t n, int32_t *slots, struct sabot_error *err) {
    const int32_t before = pane->count;
    SABOT_TRY(pane_fit_slots(table, pane, n, err));
    for (int32_t i = 0; i < n; i++) { slots[i] = rows ? rows[i] : i; }
    memory_relax(table->pool);
    SABOT_TRY(keys_append(table, pane, views, slots, before, n, err));
    for (int32_t i = 0; i < n; i++) { slots[i] = before + i; }
    pane->count += n;
    if (table->metrics) { metric_add(&table->metrics->state_rows, n); }
    pane_touch(table, pane, slots, n, before);
    return SABOT_OK;
}

static sabot_status memory_find_or_insert(struct state_table *base, int64_t namespace_, const struct batch *batch,
                                          const int32_t *keys, const int32_t *rows, int32_t n, int32_t *slots,
                                          struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane;
    SABOT_TRY(pane_get(table, namespace_, &pane, err));
    if (table->n_keys == 0) { return find_only_row(table, pane, n, slots, err); }
    struct key_view views[64];
    for (int32_t k = 0; k < table->n_keys; k++) { views[k] = key_view_of(table, k, batch->columns[keys[k]]); }
    if (!table->has_index) { return rows_make(table, pane, views, rows, n, slots, err); }
    assert(batch->hashes);
    return pane_probe(table, pane, views, batch->hashes, rows, 0, n, slots, err);
}

static inline int32_t lookup(const struct memory_table *table, const struct pane *pane, const struct key_view *views,
                             uint64_t hash, int64_t row) {
    if (table->word_is_key && view_is_null(views, row)) { return pane->null_slot; }
    const int64_t at_key = views->constant ? 0 : row;
    const uint64_t word = table->word_is_key ? key_word(views->values, table->sizes[0], at_key) : hash;
    const uint32_t mask = pane->capacity - 1;
    for (uint32_t at = (uint32_t)hash & mask; pane->index[at].slot1; at = (at + 1) & mask) {
        if (pane->index[at].word != word) { continue; }
        const int32_t slot = (int32_t)pane->index[at].slot1 - 1;
        if (table->word_is_key || key_equal(table, pane, slot, views, row)) { return slot; }
    }
    return -1;
}

static void memory_find(struct state_table *base, int64_t namespace_, const struct batch *batch, const int32_t *keys,
                        const int32_t *rows, int32_t n, int32_t *slots) {
    struct memory_table *table = memory_table_of(base);
    const struct pane *pane = pane_find(table, namespace_);
    if (!pane || !pane->count || table->n_keys == 0) {
        for (int32_t i = 0; i < n; i++) { slots[i] = pane && pane->count ? 0 : -1; }
        return;
    }
    assert(batch->hashes && table->has_index);
    struct key_view views[64];
    for (int32_t k = 0; k < table->n_keys; k++) { views[k] = key_view_of(table, k, batch->columns[keys[k]]); }
    if (pane->capacity > PREFETCH_CAPACITY && n > 1) {
        const uint32_t mask = pane->capacity - 1;
        for (int32_t i = 0; i < n; i++) {
            __builtin_prefetch(&pane->index[(uint32_t)batch->hashes[rows ? rows[i] : i] & mask]);
        }
    }
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        slots[i] = lookup(table, pane, views, batch->hashes[row], row);
    }
}

void *memory_cell(struct state_table *base, int64_t namespace_, int64_t key, bool writes, int32_t *slot) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane = pane_find(table, namespace_);
    assert(table->word_is_key && table->sizes[0] == 8 && table->has_index);
    if (!pane || !pane->count) { return NULL; }
    const uint32_t mask = pane->capacity - 1;
    const struct entry *const index = pane->index;
    uint32_t at = (uint32_t)hash_number(key) & mask, slot1 = 0;
    bool ends = false;
    while (!slot1 && !ends) { /* some at once, without a branch between them: it would wait for the cache, and guess */
        for (uint32_t i = 0; i < PROBES_AT_ONCE; i++, at = (at + 1) & mask) {
            slot1 |= index[at].slot1 & (0u - (index[at].word == (uint64_t)key)); /* it stands there once */
            ends |= index[at].slot1 == 0;
        }
    }
    if (!slot1) { return NULL; }
    *slot = (int32_t)slot1 - 1;
    memory_relax(table->pool);
    if (writes) { pane_touch(table, pane, slot, 1, pane->count); }
    return value_at(table, pane, 1, *slot);
}

static sabot_status memory_merge(struct state_table *base, int64_t from, int64_t first, int32_t n, int64_t into,
                                 int32_t *slots, struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    assert(from != into && table->has_index);
    struct pane *target;
    SABOT_TRY(pane_get(table, into, &target, err));
    struct pane *source = pane_find(table, from);
    assert(source && first >= 0 && first + n <= source->count);
    if (table->n_keys == 0) { return find_only_row(table, target, n, slots, err); }
    struct key_view views[64];
    for (int32_t k = 0; k < table->n_keys; k++) {
        views[k] = key_view_of_pane(table, source, k);
    }
    return pane_probe(table, target, views, source->hashes, NULL, (int32_t)first, n, slots, err);
}

static struct state_cells memory_cells(struct state_table *base, int64_t namespace_, int32_t value_column) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane = pane_find(table, namespace_);
    const int32_t c = table->n_keys + value_column;
    memory_relax(table->pool); /* the caller is going to use them here and there */
    return (struct state_cells){.first = pane && pane->count ? pane->columns[c] : NULL, .stride = table->strides[c]};
}

/* Copies what is still in use into a new heap, of one block. Batches that share the old blocks keep them. */
static sabot_status heap_compact(struct memory_table *table, struct pane *pane, struct sabot_error *err) {
    size_t size = 0;
    for (int32_t c = 0; c < table->n_columns; c++) {
        if (table->phys[c] != PHYS_VIEW) { continue; }
        for (int32_t i = 0; i < pane->count; i++) {
            const struct string_view *view = value_at(table, pane, c, i);
            if (i % BLOCK_ROWS == 0) { memory_relax(table->pool); }
            size += view->size > STRING_VIEW_INLINE ? view->size : 0;
        }
    }
    struct string_heap heap = {0};
    SABOT_TRY(string_heap_grow(table->pool, &heap, size, err));
    for (int32_t c = 0; c < table->n_columns; c++) {
        if (table->phys[c] != PHYS_VIEW) { continue; }
        for (int32_t i = 0; i < pane->count; i++) {
            struct string_view *view = value_at(table, pane, c, i), kept;
            if (i % BLOCK_ROWS == 0) { memory_relax(table->pool); }
            (void)string_heap_keep(table->pool, &heap, view, &kept, NULL); /* there is room for all of them */
            *view = kept;
        }
    }
    string_heap_clear(&pane->heap);
    pane->heap = heap;
    return SABOT_OK;
}

static sabot_status memory_set_view(struct state_table *base, int64_t namespace_, int32_t value_column, int32_t slot,
                                    struct string_view view, struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane = pane_find(table, namespace_);
    assert(pane && slot >= 0 && slot < pane->count);
    struct string_view *target = value_at(table, pane, table->n_keys + value_column, slot);
    struct string_view kept;
    pane_touch(table, pane, &slot, 1, pane->count);
    SABOT_TRY(string_heap_keep(table->pool, &pane->heap, &view, &kept, err));
    string_heap_discard(&pane->heap, target);
    *target = kept;
    return string_heap_is_wasteful(&pane->heap) ? heap_compact(table, pane, err) : SABOT_OK;
}

static int64_t memory_count(struct state_table *base, int64_t namespace_) {
    const struct pane *pane = pane_find(memory_table_of(base), namespace_);
    return pane ? pane->count : 0;
}

static uint64_t memory_walk(struct state_table *base, int64_t namespace_) {
    const struct pane *pane = pane_find(memory_table_of(base), namespace_);
    return pane && pane->capacity ? pane->capacity - 1 : UINT32_MAX;
}

static sabot_status memory_namespaces(struct state_table *base, const int64_t **out, int32_t *n,
                                      struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    if (table->namespaces_capacity < table->n_panes) {
        const int32_t capacity = table->panes_capacity;
        int64_t *namespaces = realloc(table->namespaces, (size_t)capacity * sizeof *namespaces);
        if (!namespaces) {
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of namespaces");
        }
        table->namespaces = namespaces;
        table->namespaces_capacity = capacity;
    }
    *n = 0;
    for (int32_t i = 0; i < table->n_panes; i++) {
        const struct pane *pane = table->panes[i];
        if (pane->count && pane->namespace_ != STATE_NAMESPACE_SCRATCH) {
            table->namespaces[(*n)++] = pane->namespace_;
        }
    }
    *out = table->namespaces;
    return SABOT_OK;
}

/* --- reading */
#define PICK(type_)                                                                                                    \
    do {                                                                                                               \
        type_ *target = (type_ *)(void *)values->data;                                                                 \
        for (int32_t i = 0; i < n; i++) {                                                                              \
            target[i] = *(const type_ *)value_at(table, pane, c, slots ? slots[i] : first + i);                        \
        }                                                                                                              \
    } while (0)
/* Slots first..first+n, or slots[0..n) where they are given. */
static sabot_status read_column(struct memory_table *table, struct pane *pane, int32_t c, const int32_t *slots,
                                int64_t first, int32_t n, struct column **out, struct sabot_error *err) {
    struct buffer *values, *validity = NULL;
    memory_relax(table->pool);
    SABOT_TRY(buffer_new(table->pool, (size_t)n * table->sizes[c], &values, err));
    for (int32_t i = 0; slots && table->sizes[c] && i < n && memory_is_spilled(table->pool); i++) {
        memory_page_in(value_at(table, pane, c, slots[i]));
    }
    if (!slots && table->strides[c] == table->sizes[c]) {
        memcpy(values->data, (const char *)pane->columns[c] + (size_t)first * table->sizes[c],
               (size_t)n * table->sizes[c]);
    } else {
        switch (table->sizes[c]) {
        case 0: break;
        case 1: PICK(uint8_t); break;
        case 2: PICK(uint16_t); break;
        case 4: PICK(uint32_t); break;
        case 8: PICK(uint64_t); break;
        default: PICK(__int128); break;
        }
    }
    if (c < table->n_keys && pane->validity[c]) {
        const sabot_status status = buffer_new(table->pool, validity_size(n), &validity, err);
        if (status != SABOT_OK) {
            buffer_unref(values);
            return status;
        }
        uint64_t *bits = (uint64_t *)(void *)validity->data;
        memset(bits, 0xff, validity_size(n));
        for (int32_t i = 0; i < n; i++) {
            if (!bit_is_set(pane->validity[c], slots ? slots[i] : first + i)) {
                bits[i >> 6] &= ~(UINT64_C(1) << (i & 63));
            }
        }
    }
    return string_heap_column(&pane->heap, table->phys[c], n, values, validity, out, err);
}

static sabot_status memory_read(struct state_table *base, int64_t namespace_, int64_t first, int32_t n,
                                struct batch **out, struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane = pane_find(table, namespace_);
    *out = NULL;
    assert(pane && first >= 0 && first + n <= pane->count);
    struct column *columns[64];
    for (int32_t c = 0; c < table->n_columns; c++) {
        const sabot_status status = read_column(table, pane, c, NULL, first, n, &columns[c], err);
        if (status != SABOT_OK) {
            for (int32_t i = 0; i < c; i++) { column_unref(columns[i]); }
            return status;
        }
    }
    return batch_new(base->schema, columns, table->n_columns, n, out, err);
}

static sabot_status memory_take(struct state_table *base, int64_t namespace_, const int32_t *slots, int32_t n,
                                int32_t first_column, int32_t n_columns, struct column **out,
                                struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane = pane_find(table, namespace_);
    assert(pane && first_column >= 0 && first_column + n_columns <= table->n_columns);
    for (int32_t c = 0; c < n_columns; c++) {
        const sabot_status status = read_column(table, pane, first_column + c, slots, 0, n, &out[c], err);
        if (status != SABOT_OK) {
            for (int32_t i = 0; i < c; i++) { column_unref(out[i]); }
            return status;
        }
    }
    return SABOT_OK;
}

/* --- removing */
/* Where the entry of a slot stands. */
static uint32_t entry_of(const struct pane *pane, int32_t slot) {
    const uint32_t mask = pane->capacity - 1;
    uint32_t at = (uint32_t)pane->hashes[slot] & mask;
    while (pane->index[at].slot1 != (uint32_t)slot + 1) { at = (at + 1) & mask; }
    return at;
}

/* Takes an entry out and closes the gap, so that no probe stops too early. */
static void entry_remove(struct pane *pane, uint32_t at) {
    const uint32_t mask = pane->capacity - 1;
    struct entry *index = pane->index;
    for (uint32_t next = (at + 1) & mask; index[next].slot1; next = (next + 1) & mask) {
        const uint32_t home = index[next].tag & mask;
        if (((next - home) & mask) < ((next - at) & mask)) { continue; } /* it would stand before its home */
        index[at] = index[next];
        at = next;
    }
    index[at] = (struct entry){0};
}

static void slot_move(struct memory_table *table, struct pane *pane, int32_t from, int32_t to) {
    if (pane->null_slot == from) {
        pane->null_slot = to;
    } else if (table->n_keys && table->has_index) {
        pane->index[entry_of(pane, from)].slot1 = (uint32_t)to + 1;
    }
    if (table->has_index) { pane->hashes[to] = pane->hashes[from]; }
    for (int32_t b = 0; b < table->n_blocks; b++) {
        const size_t size = table->strides[b];
        memcpy((char *)pane->blocks[b] + (size_t)to * size, (char *)pane->blocks[b] + (size_t)from * size, size);
    }
    for (int32_t k = 0; k < table->n_keys; k++) {
        if (!pane->validity[k]) { continue; }
        const uint64_t bit = UINT64_C(1) << (to & 63);
        pane->validity[k][to >> 6] = bit_is_set(pane->validity[k], from) ? pane->validity[k][to >> 6] | bit
                                                                         : pane->validity[k][to >> 6] & ~bit;
    }
}

void slot_close(struct memory_table *table, struct pane *pane, int32_t slot) {
    const int32_t last = pane->count - 1;
    for (int32_t c = 0; c < table->n_columns && table->has_views; c++) {
        if (table->phys[c] != PHYS_VIEW) { continue; }
        string_heap_discard(&pane->heap, value_at(table, pane, c, slot));
    }
    if (slot != last) { slot_move(table, pane, last, slot); }
    for (int32_t k = 0; k < table->n_keys; k++) { /* free slots are not NULL */
        if (pane->validity[k]) { pane->validity[k][last >> 6] |= UINT64_C(1) << (last & 63); }
    }
    pane->count = last;
}

static sabot_status memory_remove(struct state_table *base, int64_t namespace_, const int32_t *slots, int32_t n,
                                  struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane = pane_find(table, namespace_);
    for (int32_t i = 0; i < n; i++) {
        const int32_t slot = slots[i];
        assert(pane && slot >= 0 && slot < pane->count && (i == 0 || slot < slots[i - 1]));
        const int32_t last = pane->count - 1;
        pane_touch(table, pane, (const int32_t[]){slot, last}, 2, pane->count);
        if (pane->null_slot == slot) {
            pane->null_slot = -1;
        } else if (table->n_keys && table->has_index) {
            entry_remove(pane, entry_of(pane, slot));
        }
        slot_close(table, pane, slot);
    }
    if (table->metrics) { metric_add(&table->metrics->state_rows, -(int64_t)n); }
    return string_heap_is_wasteful(&pane->heap) ? heap_compact(table, pane, err) : SABOT_OK;
}

/* --- namespaces */
static void memory_drop(struct state_table *base, int64_t namespace_) {
    struct memory_table *table = memory_table_of(base);
    const int32_t at = pane_position(table, namespace_);
    if (at == table->n_panes || table->panes[at]->namespace_ != namespace_) { return; }
    struct pane *pane = table->panes[at];
    pane_note_end(table, pane);
    pane_take_out(table, at);
    if (!pane_keep_for_snapshot(pane)) { pane_recycle(table, pane); }
}

static void memory_rename(struct state_table *base, int64_t from, int64_t to) {
    struct memory_table *table = memory_table_of(base);
    memory_drop(base, to); /* an empty one may be there */
    const int32_t at = pane_position(table, from);
    if (at == table->n_panes || table->panes[at]->namespace_ != from) { return; }
    struct pane *pane = table->panes[at];
    pane_note_end(table, pane);
    slot_watch_forget(&pane->watch);
    pane_take_out(table, at);
    pane->namespace_ = to;
    (void)pane_insert(table, pane, NULL); /* never grows: a place was just freed */
}

/* --- open and close */
static void memory_close(struct state_table *base) {
    struct memory_table *table = memory_table_of(base);
    memory_thaw(base);
    for (int32_t i = 0; i < table->n_panes; i++) {
        if (table->metrics) { metric_add(&table->metrics->state_rows, -(int64_t)table->panes[i]->count); }
        pane_free(table, table->panes[i]);
    }
    for (int32_t i = 0; i < table->n_recycled; i++) { pane_free(table, table->recycled[i]); }
    free(table->panes);
    free(table->namespaces);
    free(table->frozen);
    free(table->gone);
    free(table);
}

/* Columns first..end of a record from `at` on, the widest first, so that each is aligned; equal ones, such as flags,
 * keep their order without a gap. Returns where they end, rounded up. */
static uint32_t columns_place(struct memory_table *table, int32_t first, int32_t end, uint32_t at, uint32_t alignment) {
    for (uint32_t size = 16; size; size /= 2) {
        for (int32_t c = first; c < end; c++) {
            if (table->sizes[c] != size) { continue; }
            table->offsets[c] = (uint16_t)at;
            at += size;
        }
    }
    return (at + alignment - 1) / alignment * alignment;
}

static uint32_t widest(const struct memory_table *table, int32_t first, int32_t end) {
    uint32_t size = RECORD_ALIGNMENT;
    for (int32_t c = first; c < end; c++) { size = table->sizes[c] > size ? table->sizes[c] : size; }
    return size;
}

/* Where each column stands. A key that is its entry's word is not read to be found, and stays out of the records. */
static void lay_out(struct memory_table *table, bool records) {
    const int32_t n_keys = table->n_keys, n_values = table->n_columns - n_keys;
    table->whole_records = records && n_keys && !table->word_is_key && table->n_columns > 1;
    table->records = table->whole_records || (records && n_values > 1);
    table->n_blocks = table->whole_records ? 1 : table->records ? n_keys + 1 : table->n_columns;
    for (int32_t c = 0; c < table->n_columns; c++) { table->strides[c] = table->sizes[c]; }
    if (!table->records) { return; }
    const int32_t first = table->whole_records ? 0 : n_keys;
    const uint32_t widest_value = widest(table, n_keys, table->n_columns), all = widest(table, first, table->n_columns);
    uint32_t end = table->whole_records ? columns_place(table, 0, n_keys, 0, widest_value) : 0;
    end = columns_place(table, n_keys, table->n_columns, end, all);
    for (int32_t c = first; c < table->n_columns; c++) { table->strides[c] = (uint16_t)end; }
}

static sabot_status memory_open(const struct state_context *context, const struct state_spec *spec,
                                struct state_table **out, struct sabot_error *err) {
    *out = NULL;
    const struct schema *schema = spec->schema;
    if (schema->n_fields > 64) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s has %d columns, at most 64 are possible: use fewer "
            "keys "
                          "or aggregates", spec->name, schema->n_fields);
    }
    struct memory_table *table = calloc(1, sizeof *table);
    if (!table) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a state table"); }
    table->pool = context->pool;
    table->metrics = context->metrics;
    table->n_keys = spec->n_keys;
    table->n_columns = schema->n_fields;
    table->max_parallelism = context->max_parallelism;
    for (int32_t i = 0; i < schema->n_fields; i++) {
        const enum phys phys = type_phys(schema->fields[i].type);
        if (phys == PHYS_LIST || phys == PHYS_ROW) {
            char type[128];
            type_print(schema->fields[i].type, type, sizeof type);
            free(table);
            return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: column %s of type %s can't be a key or be kept in "
                              "state: group by its fields", spec->name, schema->fields[i].name, type);
        }
        table->phys[i] = (uint8_t)phys;
        table->sizes[i] = (uint8_t)phys_size(phys);
        table->has_views |= phys == PHYS_VIEW;
    }
    const enum phys first = table->n_keys == 1 ? (enum phys)table->phys[0] : PHYS_NULL;
    table->is_log = spec->is_log;
    table->has_index = !spec->is_log && !spec->by_slot;
    assert(!spec->by_slot || spec->n_sub_keys > 0); /* else the key group would be that of the hash */
    table->word_is_key = first == PHYS_I64 || first == PHYS_I32 || first == PHYS_I16 || first == PHYS_I8 ||
                         first == PHYS_BOOL;
    lay_out(table, spec->records && !spec->is_log);
    *out = &table->table;
    return SABOT_OK;
}

const struct state_backend state_memory = {
    .name = "memory",
    .slot_column = CAPTURE_SLOT,
    .open = memory_open,
    .close = memory_close,
    .find_or_insert = memory_find_or_insert,
    .find = memory_find,
    .merge = memory_merge,
    .cells = memory_cells,
    .set_view = memory_set_view,
    .count = memory_count,
    .order = memory_walk,
    .namespaces = memory_namespaces,
    .read = memory_read,
    .take = memory_take,
    .remove = memory_remove,
    .drop = memory_drop,
    .rename = memory_rename,
    .touch = memory_touch,
    .freeze = memory_freeze,
    .copy = memory_copy,
    .thaw = memory_thaw,
    .append = memory_append,
    .index = memory_index,
};
