/* The multimap of multimap.h in memory: columns by slot, an open-addressing index from key hashes to the first row
 * of a key, chains through the rows of a key and of a namespace. Where rows are counted, a second index finds a
 * row by the hash of all its columns, so that a retraction costs the same in a chain of one row and of a million. */
#include "state/multimap.h"

#include <assert.h>
#include <stdlib.h>

#include "state/multimap_impl.h"

#define BLOCK_ROWS 256 /* rows whose index entries are fetched together */
#define CAPACITY_MIN 1024u
#define CAPACITY_MAX (1u << 31)
#define SLOTS_MAX (1 << 30)
#define RELAX_ROWS 64
#define RELAX_ENTRIES (uint32_t)(MEMORY_RELAX_BYTES / 2 / sizeof(struct entry)) /* the old index, and the new one */

/* --- memory */
static sabot_status array_fit(struct state_multimap *map, struct array *array, size_t size, struct sabot_error *err) {
    if (size <= array->size) { return SABOT_OK; }
    if (array->data) {
        SABOT_TRY(memory_resize_state(map->pool, &array->data, array->size, size, err));
    } else {
        SABOT_TRY(memory_alloc_state(map->pool, size, true, &array->data, err));
    }
    if (map->metrics) { metric_add(&map->metrics->state_bytes, (int64_t)(size - array->size)); }
    array->size = size;
    return SABOT_OK;
}

static void array_free(struct state_multimap *map, struct array *array) {
    if (!array->data) { return; }
    memory_free_state(map->pool, array->data, array->size);
    if (map->metrics) { metric_add(&map->metrics->state_bytes, -(int64_t)array->size); }
    *array = (struct array){0};
}

static sabot_status slots_grow(struct state_multimap *map, int32_t slots, struct sabot_error *err) {
    const size_t n = (size_t)slots;
    if (map->watch.changed || map->watch.on || map->table.context->snapshots) {
        SABOT_TRY(slot_watch_fit(&map->watch, map->pool, slots, err));
    }
    SABOT_TRY(array_fit(map, &map->hashes, n * 8, err));
    SABOT_TRY(array_fit(map, &map->next, n * 4, err));
    SABOT_TRY(array_fit(map, &map->prev, n * 4, err));
    if (map->has_counts) {
        SABOT_TRY(array_fit(map, &map->row_hashes, n * 8, err));
        SABOT_TRY(array_fit(map, &map->counts, n * 8, err));
    }
    if (map->has_matches) { SABOT_TRY(array_fit(map, &map->matches, n * 8, err)); }
    if (map->has_namespaces) {
        SABOT_TRY(array_fit(map, &map->namespaces, n * 8, err));
        SABOT_TRY(array_fit(map, &map->time_next, n * 4, err));
        SABOT_TRY(array_fit(map, &map->time_prev, n * 4, err));
    }
    for (int32_t c = 0; c < map->n_columns; c++) {
        SABOT_TRY(array_fit(map, &map->columns[c], n * map->sizes[c], err));
        if (!map->validity[c].data) { continue; }
        const size_t before = map->validity[c].size;
        SABOT_TRY(array_fit(map, &map->validity[c], validity_size(slots), err));
        memory_fill_state(map->pool, (char *)map->validity[c].data + before, 0xff, map->validity[c].size - before);
    }
    map->slots = slots;
    return SABOT_OK;
}

/* Copies what is in use into new blocks. Batches that share the old ones keep them. Views of free slots are zero. */
static sabot_status heap_compact(struct state_multimap *map, struct sabot_error *err) {
    struct string_heap heap = {0};
    SABOT_TRY(string_heap_grow(map->pool, &heap, map->heap.size - map->heap.garbage, err));
    for (int32_t c = 0; c < map->n_columns; c++) {
        if (map->phys[c] != PHYS_VIEW) { continue; }
        struct string_view *views = map->columns[c].data;
        for (int32_t i = 0; i < map->used; i++) {
            if (i % RELAX_ROWS == 0) { memory_relax(map->pool); }
            SABOT_TRY(string_heap_keep(map->pool, &heap, &views[i], &views[i], err));
        }
    }
    string_heap_clear(&map->heap);
    map->heap = heap;
    return SABOT_OK;
}

/* --- index */
static uint32_t capacity_limit(uint32_t capacity) {
    return capacity <= 1u << 16 ? capacity / 2 : capacity / 3 * 2;
}

static sabot_status index_reserve(struct state_multimap *map, struct index *index, uint32_t more,
                                  struct sabot_error *err) {
    uint32_t capacity = index->capacity ? index->capacity : CAPACITY_MIN;
    while (index->used + more > capacity_limit(capacity)) {
        if (capacity == CAPACITY_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_STATE, "state %s: too many keys in one task: raise the parallelism",
                              map->table.name);
        }
        capacity *= 2;
    }
    if (capacity == index->capacity) { return SABOT_OK; }
    struct array grown = {0};
    SABOT_TRY(array_fit(map, &grown, (size_t)capacity * sizeof(struct entry), err));
    struct entry *entries = grown.data; /* zero bytes */
    const int32_t shift = 32 - __builtin_ctz(capacity);
    for (uint32_t i = 0; i < index->capacity; i++) {
        const struct entry *entry = &ENTRIES(index)[i];
        if (i % RELAX_ENTRIES == 0) { memory_relax(map->pool); }
        if (!entry->slot1) { continue; }
        uint32_t at = (uint32_t)entry->hash >> shift;
        while (entries[at].slot1) { at = (at + 1) & (capacity - 1); }
        entries[at] = *entry;
    }
    array_free(map, &index->entries);
    index->entries = grown;
    index->capacity = capacity;
    index->shift = shift;
    return SABOT_OK;
}

/* Takes an entry out and moves up those behind it that would not be found any more. */
static void index_remove(struct index *index, uint32_t at) {
    struct entry *entries = ENTRIES(index);
    const uint32_t mask = index->capacity - 1;
    uint32_t hole = at;
    for (uint32_t i = (at + 1) & mask; entries[i].slot1; i = (i + 1) & mask) {
        const uint32_t home = home_of(index, entries[i].hash);
        if (((i - home) & mask) < ((i - hole) & mask)) { continue; }
        entries[hole] = entries[i];
        hole = i;
    }
    entries[hole] = (struct entry){0};
    index->used--;
}

/* --- cells */
static inline bool slot_is_null(const struct state_multimap *map, int32_t c, int32_t slot) {
    return map->validity[c].data && !bit_is_set(map->validity[c].data, slot);
}

/* Whether the first n columns at a slot equal those of a batch's row. */
static bool row_equal(const struct state_multimap *map, int32_t slot, const struct multimap_rows *rows, int32_t row,
                      int32_t n) {
    for (int32_t c = 0; c < n; c++) {
        const struct column *column = rows->batch->columns[rows->columns[c]];
        const bool is_null = column_is_null(column, row);
        if (is_null != (slot_is_null(map, c, slot) || map->phys[c] == PHYS_NULL)) { return false; }
        if (is_null) { continue; }
        if (!value_equal((enum phys)map->phys[c], map->columns[c].data, slot, column->values, column_at(column, row))) {
            return false;
        }
    }
    return true;
}

static inline int32_t row_at(const struct multimap_rows *rows, int32_t i) { return rows->rows ? rows->rows[i] : i; }

/* --- find */
/* Whether rows of equal hashes have equal keys: true of one whole number, whose hash (xxh3 of 8 bytes: xor with
 * rotations, odd factors, shifts) permutes its 64 bits, but for the one whose hash a NULL has. */
static bool hashes_are_keys(const struct state_multimap *map) {
    if (map->n_keys == 0) { return true; }
    const enum phys phys = (enum phys)map->phys[0];
    return map->n_keys == 1 && (phys == PHYS_BOOL || phys == PHYS_I8 || phys == PHYS_I16 || phys == PHYS_I32 ||
                                phys == PHYS_I64);
}

/* Whether a row whose hash is that of a slot has its key. */
static inline bool key_is_same(const struct state_multimap *map, int32_t slot, const struct multimap_rows *rows,
                               int32_t row, bool exact) {
    return (exact && rows->batch->hashes[row] != HASH_NULL) || row_equal(map, slot, rows, row, map->n_keys);
}

static int32_t find_slowly(const struct state_multimap *map, const struct multimap_rows *rows, int32_t row) {
    const uint64_t hash = rows->batch->hashes[row];
    const struct entry *entries = ENTRIES(&map->keys);
    const uint32_t mask = map->keys.capacity - 1;
    for (uint32_t at = home_of(&map->keys, hash); entries[at].slot1; at = (at + 1) & mask) {
        const int32_t slot = (int32_t)entries[at].slot1 - 1;
        if (entries[at].hash == hash && row_equal(map, slot, rows, row, map->n_keys)) { return slot; }
    }
    return -1;
}

/* Where the hashes of rows first..end stand. In rounds over what is not found yet instead of a loop per row: how long a
 * probe is can't be predicted, and each wrong guess would cost more than the probe. */
static void block_find(const struct index *index, const struct multimap_rows *rows, int32_t first, int32_t end,
                       int32_t *heads) {
    const struct entry *entries = ENTRIES(index);
    const uint32_t mask = index->capacity - 1;
    const uint64_t *hashes = rows->batch->hashes;
    uint64_t wanted[BLOCK_ROWS];
    uint32_t at[BLOCK_ROWS];
    int32_t left[BLOCK_ROWS];
    const int32_t n = end - first;
    for (int32_t i = 0; i < n; i++) {
        wanted[i] = hashes[row_at(rows, first + i)];
        at[i] = home_of(index, wanted[i]);
        left[i] = i;
        __builtin_prefetch(&entries[at[i]]);
    }
    for (int32_t n_left = n, still; n_left > 0; n_left = still) {
        still = 0;
        for (int32_t l = 0; l < n_left; l++) {
            const int32_t i = left[l];
            const struct entry *entry = &entries[at[i]];
            heads[first + i] = (int32_t)entry->slot1 - 1;
            at[i] = (at[i] + 1) & mask;
            left[still] = i;
            still += (entry->slot1 != 0) & (entry->hash != wanted[i]);
        }
    }
}

void multimap_find(const struct state_multimap *map, const struct multimap_rows *rows, int32_t *heads) {
    if (map->live == 0) {
        for (int32_t i = 0; i < rows->n; i++) { heads[i] = -1; }
        return;
    }
    const bool exact = hashes_are_keys(map);
    for (int32_t first = 0; first < rows->n; first += BLOCK_ROWS) {
        const int32_t end = rows->n - first < BLOCK_ROWS ? rows->n : first + BLOCK_ROWS;
        memory_relax(map->pool);
        block_find(&map->keys, rows, first, end, heads);
        for (int32_t i = first; i < end; i++) {
            if (heads[i] >= 0 && !key_is_same(map, heads[i], rows, row_at(rows, i), exact)) {
                heads[i] = find_slowly(map, rows, row_at(rows, i));
            }
        }
    }
}

/* --- namespaces */
static int32_t moment_position(const struct state_multimap *map, int64_t namespace_) {
    const struct moment *moments = MOMENTS(map);
    int32_t low = 0, high = map->n_moments;
    if (high && moments[high - 1].namespace_ <= namespace_) { /* time goes on: mostly the newest */
        return moments[high - 1].namespace_ == namespace_ ? high - 1 : high;
    }
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (moments[middle].namespace_ < namespace_) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool moment_is_at(const struct state_multimap *map, int32_t at, int64_t namespace_) {
    return at < map->n_moments && MOMENTS(map)[at].namespace_ == namespace_;
}

/* Room for one more behind the last: where many have left, in their place. */
static sabot_status moments_reserve(struct state_multimap *map, struct sabot_error *err) {
    const int32_t capacity = (int32_t)(map->moments.size / sizeof(struct moment));
    if (map->first_moment + map->n_moments < capacity) { return SABOT_OK; }
    if (capacity > 0 && map->first_moment >= capacity / 2) {
        memmove(map->moments.data, MOMENTS(map), (size_t)map->n_moments * sizeof(struct moment));
        map->first_moment = 0;
        return SABOT_OK;
    }
    return array_fit(map, &map->moments, (size_t)(capacity ? capacity * 2 : 16) * sizeof(struct moment), err);
}

static sabot_status moment_get(struct state_multimap *map, int64_t namespace_, struct moment **out,
                               struct sabot_error *err) {
    const int32_t at = moment_position(map, namespace_);
    if (!moment_is_at(map, at, namespace_)) {
        SABOT_TRY(moments_reserve(map, err));
        struct moment *moments = MOMENTS(map);
        memmove(&moments[at + 1], &moments[at], (size_t)(map->n_moments - at) * sizeof *moments);
        moments[at] = (struct moment){.namespace_ = namespace_, .head = -1};
        map->n_moments++;
    }
    *out = &MOMENTS(map)[at];
    return SABOT_OK;
}

static void moment_remove(struct state_multimap *map, int32_t at) {
    struct moment *moments = MOMENTS(map);
    map->n_moments--;
    if (at == 0) {
        map->first_moment = map->n_moments > 0 ? map->first_moment + 1 : 0;
    } else {
        memmove(&moments[at], &moments[at + 1], (size_t)(map->n_moments - at) * sizeof *moments);
    }
}

static void moment_link(struct state_multimap *map, struct moment *moment, int32_t slot) {
    NAMESPACES(map)[slot] = moment->namespace_;
    TIME_PREV(map)[slot] = -1;
    TIME_NEXT(map)[slot] = moment->head;
    if (moment->head >= 0) { TIME_PREV(map)[moment->head] = slot; }
    moment->head = slot;
    moment->rows++;
}

static void moment_unlink(struct state_multimap *map, int32_t slot) {
    const int32_t at = moment_position(map, NAMESPACES(map)[slot]);
    struct moment *moment = &MOMENTS(map)[at];
    const int32_t before = TIME_PREV(map)[slot], behind = TIME_NEXT(map)[slot];
    if (before >= 0) {
        TIME_NEXT(map)[before] = behind;
    } else {
        moment->head = behind;
    }
    if (behind >= 0) { TIME_PREV(map)[behind] = before; }
    if (--moment->rows == 0) { moment_remove(map, at); }
}

/* --- rows in and out */
#define PUT(type_)                                                                                                     \
    do {                                                                                                               \
        type_ *target = map->columns[c].data;                                                                          \
        const type_ *source = column->values;                                                                          \
        for (int32_t i = 0; i < n; i++) { target[slots[i]] = source[column->constant ? 0 : at[i]]; }                   \
    } while (0)
static sabot_status put_views(struct state_multimap *map, const struct column *column, int32_t c, const int32_t *at,
                              const int32_t *slots, int32_t n, struct sabot_error *err) {
    struct string_view *target = map->columns[c].data;
    const struct string_view *source = column->values;
    for (int32_t i = 0; i < n; i++) { memset(&target[slots[i]], 0, sizeof *target); }
    for (int32_t i = 0; i < n; i++) {
        if (column_is_null(column, at[i])) { continue; }
        const struct string_view *view = &source[column->constant ? 0 : at[i]];
        SABOT_TRY(string_heap_keep(map->pool, &map->heap, view, &target[slots[i]], err));
    }
    return SABOT_OK;
}

static sabot_status put_column(struct state_multimap *map, const struct column *column, int32_t c, const int32_t *at,
                               const int32_t *slots, int32_t n, struct sabot_error *err) {
    switch (map->sizes[c]) {
    case 0: break;
    case 1: PUT(uint8_t); break;
    case 2: PUT(uint16_t); break;
    case 4: PUT(uint32_t); break;
    case 8: PUT(uint64_t); break;
    default:
        if (map->phys[c] != PHYS_VIEW) {
            PUT(__int128);
            break;
        }
        SABOT_TRY(put_views(map, column, c, at, slots, n, err));
        break;
    }
    if (column->validity && !map->validity[c].data) {
        SABOT_TRY(array_fit(map, &map->validity[c], validity_size(map->slots), err));
        memset(map->validity[c].data, 0xff, map->validity[c].size);
    }
    if (!map->validity[c].data) { return SABOT_OK; }
    uint64_t *bits = map->validity[c].data;
    for (int32_t i = 0; i < n; i++) {
        const uint64_t bit = UINT64_C(1) << (slots[i] & 63);
        if (column_is_null(column, at[i])) {
            bits[slots[i] >> 6] &= ~bit;
        } else {
            bits[slots[i] >> 6] |= bit;
        }
    }
    return SABOT_OK;
}

/* Slots whose columns could not be written are free again. */
static void slots_release(struct state_multimap *map, const int32_t *slots, int32_t n) {
    for (int32_t i = n - 1; i >= 0; i--) {
        for (int32_t c = 0; c < map->n_columns; c++) {
            if (map->phys[c] != PHYS_VIEW) { continue; }
            ((struct string_view *)map->columns[c].data)[slots[i]] = (struct string_view){0};
        }
        PREV(map)[slots[i]] = MULTIMAP_PREV_FREE;
        NEXT(map)[slots[i]] = map->free_head;
        map->free_head = slots[i];
    }
}

/* Room for n more rows, and nothing can fail behind it but strings and new NULLs. */
static sabot_status rows_reserve(struct state_multimap *map, int32_t n, struct sabot_error *err) {
    SABOT_TRY(index_reserve(map, &map->keys, (uint32_t)n, err));
    if (map->has_counts) { SABOT_TRY(index_reserve(map, &map->rows, (uint32_t)n, err)); }
    const int32_t reused = map->used - map->live, fresh = n > reused ? n - reused : 0;
    if (map->used + fresh <= map->slots) { return SABOT_OK; }
    int32_t slots = map->slots ? map->slots : (int32_t)CAPACITY_MIN / 2;
    while (slots < map->used + fresh) {
        if (slots >= SLOTS_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_STATE, "state %s: more than %d rows in one task: raise the parallelism",
                              map->table.name, SLOTS_MAX);
        }
        slots *= 2;
    }
    return slots_grow(map, slots, err);
}

static void slots_take(struct state_multimap *map, int32_t *slots, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        if (map->free_head >= 0) {
            slots[i] = map->free_head;
            map->free_head = NEXT(map)[map->free_head];
        } else {
            slots[i] = map->used++;
        }
    }
}

/* Puts a written row at the end of its key's chain. Its key stands in its own columns. */
static void chain_append(struct state_multimap *map, const struct multimap_rows *rows, int32_t row, int32_t slot,
                         bool exact) {
    const uint64_t hash = HASHES(map)[slot];
    struct entry *entries = ENTRIES(&map->keys);
    const uint32_t mask = map->keys.capacity - 1;
    uint32_t at = home_of(&map->keys, hash);
    int32_t *next = NEXT(map), *prev = PREV(map);
    for (; entries[at].slot1; at = (at + 1) & mask) {
        const int32_t head = (int32_t)entries[at].slot1 - 1;
        if (entries[at].hash != hash || !key_is_same(map, head, rows, row, exact)) { continue; }
        const int32_t tail = prev[head];
        next[tail] = slot;
        prev[slot] = tail;
        next[slot] = -1;
        prev[head] = slot; /* the head's predecessor is the tail */
        return;
    }
    entries[at] = (struct entry){.hash = hash, .slot1 = (uint32_t)slot + 1};
    map->keys.used++;
    next[slot] = -1;
    prev[slot] = slot;
}

static void row_index_add(struct state_multimap *map, int32_t slot) {
    const uint64_t hash = ROW_HASHES(map)[slot];
    const uint32_t mask = map->rows.capacity - 1;
    uint32_t at = home_of(&map->rows, hash);
    while (ENTRIES(&map->rows)[at].slot1) { at = (at + 1) & mask; }
    ENTRIES(&map->rows)[at] = (struct entry){.hash = hash, .slot1 = (uint32_t)slot + 1};
    map->rows.used++;
}

/* The slot of an equal row; -1 = there is none. */
static int32_t row_find(const struct state_multimap *map, const struct multimap_rows *rows, int32_t row,
                        uint64_t hash) {
    if (map->live == 0) { return -1; }
    const struct entry *entries = ENTRIES(&map->rows);
    const uint32_t mask = map->rows.capacity - 1;
    for (uint32_t at = home_of(&map->rows, hash); entries[at].slot1; at = (at + 1) & mask) {
        const int32_t slot = (int32_t)entries[at].slot1 - 1;
        if (entries[at].hash == hash && row_equal(map, slot, rows, row, map->n_columns)) { return slot; }
    }
    return -1;
}

static void chain_remove(struct state_multimap *map, int32_t slot) {
    int32_t *next = NEXT(map), *prev = PREV(map);
    const bool is_head = next[prev[slot]] < 0;
    if (!is_head && next[slot] >= 0) {
        next[prev[slot]] = next[slot];
        prev[next[slot]] = prev[slot];
        return;
    }
    /* The head or the tail: the index entry is needed. The tail is known from its head. */
    const uint64_t hash = HASHES(map)[slot];
    struct entry *entries = ENTRIES(&map->keys);
    const uint32_t mask = map->keys.capacity - 1;
    uint32_t at = home_of(&map->keys, hash);
    while (entries[at].hash != hash || (is_head ? (int32_t)entries[at].slot1 - 1 != slot
                                                : prev[(int32_t)entries[at].slot1 - 1] != slot)) {
        assert(entries[at].slot1);
        at = (at + 1) & mask;
    }
    if (!is_head) {
        next[prev[slot]] = -1;
        prev[(int32_t)entries[at].slot1 - 1] = prev[slot];
    } else if (next[slot] >= 0) {
        prev[next[slot]] = prev[slot];
        entries[at].slot1 = (uint32_t)next[slot] + 1;
    } else {
        index_remove(&map->keys, at);
    }
}

static void row_remove(struct state_multimap *map, int32_t slot) {
    map_touch(map, &slot, 1);
    chain_remove(map, slot);
    if (map->has_counts) {
        const uint32_t mask = map->rows.capacity - 1;
        uint32_t at = home_of(&map->rows, ROW_HASHES(map)[slot]);
        while (ENTRIES(&map->rows)[at].slot1 != (uint32_t)slot + 1) { at = (at + 1) & mask; }
        index_remove(&map->rows, at);
    }
    if (map->has_namespaces) { moment_unlink(map, slot); }
    for (int32_t c = 0; c < map->n_columns; c++) {
        if (map->phys[c] != PHYS_VIEW) { continue; }
        string_heap_discard(&map->heap, (const struct string_view *)map->columns[c].data + slot);
    }
    slots_release(map, &slot, 1);
    map->live--;
    if (map->metrics) { metric_add(&map->metrics->state_rows, -1); }
}

/* Up to BLOCK_ROWS rows (physical rows at[0..n)) that are not in the map yet, one after the other. */
static sabot_status block_insert(struct state_multimap *map, const struct multimap_rows *rows, const int32_t *at,
                                 int32_t n, const int64_t *namespaces, const int64_t *matches,
                                 const uint64_t *row_hashes, struct sabot_error *err) {
    SABOT_TRY(rows_reserve(map, n, err));
    struct moment *moments[1];
    int32_t slots[BLOCK_ROWS];
    slots_take(map, slots, n);
    map_touch(map, slots, n);
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c < map->n_columns && status == SABOT_OK; c++) {
        status = put_column(map, rows->batch->columns[rows->columns[c]], c, at, slots, n, err);
    }
    for (int32_t i = 0; i < n && status == SABOT_OK && map->has_namespaces; i++) { /* all before any is linked */
        const int64_t namespace_ = namespaces ? namespaces[i] : 0;
        if (i && namespaces && namespaces[i - 1] == namespace_) { continue; }
        status = moment_get(map, namespace_, moments, err);
    }
    if (status != SABOT_OK) {
        slots_release(map, slots, n);
        return status;
    }
    const bool exact = hashes_are_keys(map);
    for (int32_t i = 0; i < n; i++) {
        HASHES(map)[slots[i]] = rows->batch->hashes[at[i]];
        __builtin_prefetch(&ENTRIES(&map->keys)[home_of(&map->keys, rows->batch->hashes[at[i]])], 1);
    }
    for (int32_t i = 0; i < n; i++) {
        chain_append(map, rows, at[i], slots[i], exact);
        if (map->has_counts) {
            COUNTS(map)[slots[i]] = 1;
            ROW_HASHES(map)[slots[i]] = row_hashes[at[i]];
            row_index_add(map, slots[i]);
        }
        if (map->has_matches) { MATCHES(map)[slots[i]] = matches ? matches[i] : 0; }
        if (map->has_namespaces) {
            (void)moment_get(map, namespaces ? namespaces[i] : 0, moments, NULL); /* it is there */
            moment_link(map, moments[0], slots[i]);
        }
    }
    map->live += n;
    if (map->metrics) { metric_add(&map->metrics->state_rows, n); }
    return SABOT_OK;
}

static sabot_status insert_uncounted(struct state_multimap *map, const struct multimap_rows *rows,
                                     const int64_t *namespaces, const int64_t *matches, struct sabot_error *err) {
    for (int32_t first = 0; first < rows->n; first += BLOCK_ROWS) {
        const int32_t n = rows->n - first < BLOCK_ROWS ? rows->n - first : BLOCK_ROWS;
        int32_t at[BLOCK_ROWS];
        memory_relax(map->pool);
        for (int32_t i = 0; i < n; i++) { at[i] = row_at(rows, first + i); }
        SABOT_TRY(block_insert(map, rows, at, n, namespaces ? namespaces + first : NULL,
                               matches ? matches + first : NULL, NULL, err));
    }
    return SABOT_OK;
}

static sabot_status add_counted(struct state_multimap *map, const struct multimap_rows *rows, int32_t row,
                                int64_t count, const int64_t *namespace_, const int64_t *matches,
                                const uint64_t *row_hashes, struct sabot_error *err) {
    int32_t slot = row_find(map, rows, row, row_hashes[row]);
    if (slot < 0) {
        SABOT_TRY(block_insert(map, rows, &row, 1, namespace_, matches, row_hashes, err));
        if (count == 1) { return SABOT_OK; }
        slot = row_find(map, rows, row, row_hashes[row]);
        count--;
    }
    map_touch(map, &slot, 1);
    COUNTS(map)[slot] += count;
    if (map->has_matches && matches) { MATCHES(map)[slot] = *matches; }
    if (map->has_namespaces && namespace_ && *namespace_ != NAMESPACES(map)[slot]) {
        struct moment *moment;
        SABOT_TRY(moment_get(map, *namespace_, &moment, err));
        moment_unlink(map, slot);
        SABOT_TRY(moment_get(map, *namespace_, &moment, err)); /* it may have moved */
        moment_link(map, moment, slot);
    }
    return SABOT_OK;
}

static sabot_status compact_if_worth(struct state_multimap *map, struct sabot_error *err) {
    return string_heap_is_wasteful(&map->heap) ? heap_compact(map, err) : SABOT_OK;
}

/* counts: how often each row is put in, NULL = once. */
static sabot_status apply(struct state_multimap *map, const struct multimap_rows *rows, bool by_kind,
                          const int64_t *counts, const int64_t *namespaces, const int64_t *matches,
                          struct sabot_error *err) {
    struct buffer *buffer = NULL;
    struct batch *batch = (struct batch *)(uintptr_t)rows->batch; /* batch_hash only reads it */
    SABOT_TRY(batch_hash(map->pool, batch, rows->columns, map->n_columns, &buffer, err));
    const uint64_t *row_hashes = (const uint64_t *)(const void *)buffer->data;
    const uint8_t *kinds = by_kind ? rows->batch->row_kinds : NULL;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < rows->n && status == SABOT_OK; i++) {
        const int32_t row = row_at(rows, i);
        if (i % RELAX_ROWS == 0) { memory_relax(map->pool); }
        if (!kinds || kinds[row] == ROW_INSERT || kinds[row] == ROW_UPDATE_AFTER) {
            status = add_counted(map, rows, row, counts ? counts[i] : 1, namespaces ? namespaces + i : NULL,
                                 matches ? matches + i : NULL, row_hashes, err);
            continue;
        }
        const int32_t slot = row_find(map, rows, row, row_hashes[row]);
        if (slot < 0) { continue; }
        map_touch(map, &slot, 1);
        if (--COUNTS(map)[slot] == 0) { row_remove(map, slot); }
    }
    buffer_unref(buffer);
    return status == SABOT_OK ? compact_if_worth(map, err) : status;
}

sabot_status multimap_insert(struct state_multimap *map, const struct multimap_rows *rows, const int64_t *namespaces,
                             const int64_t *matches, struct sabot_error *err) {
    return map->has_counts ? apply(map, rows, false, NULL, namespaces, matches, err)
                           : insert_uncounted(map, rows, namespaces, matches, err);
}

sabot_status multimap_apply(struct state_multimap *map, const struct multimap_rows *rows, const int64_t *namespaces,
                            const int64_t *matches, struct sabot_error *err) {
    assert(map->has_counts || !rows->batch->row_kinds);
    return map->has_counts ? apply(map, rows, true, NULL, namespaces, matches, err)
                           : insert_uncounted(map, rows, namespaces, matches, err);
}

/* --- by slot */
const int32_t *multimap_next(const struct state_multimap *map) { return NEXT(map); }
const int64_t *multimap_counts(const struct state_multimap *map) { return COUNTS(map); }
int64_t *multimap_matches(struct state_multimap *map) { return MATCHES(map); }
void multimap_touch(struct state_multimap *map, const int32_t *slots, int32_t n) { map_touch(map, slots, n); }
const void *multimap_values(const struct state_multimap *map, int32_t column) { return map->columns[column].data; }
const uint64_t *multimap_hashes(const struct state_multimap *map) { return HASHES(map); }
int64_t multimap_size(const struct state_multimap *map) { return map->live; }
bool multimap_is_unique(const struct state_multimap *map) { return (uint32_t)map->live == map->keys.used; }

#define TAKE(type_)                                                                                                    \
    do {                                                                                                               \
        type_ *target = (type_ *)(void *)values->data;                                                                 \
        const type_ *source = map->columns[c].data;                                                                    \
        if (with_null) {                                                                                               \
            for (int32_t i = 0; i < n; i++) { target[i] = slots[i] < 0 ? (type_){0} : source[slots[i]]; }              \
        } else {                                                                                                       \
            for (int32_t i = 0; i < n; i++) { target[i] = source[slots[i]]; }                                          \
        }                                                                                                              \
    } while (0)
sabot_status multimap_take(const struct state_multimap *map, int32_t c, const int32_t *slots, int32_t n,
                           struct column **out, struct sabot_error *err) {
    int32_t least = 0;
    for (int32_t i = 0; i < n; i++) { least = slots[i] < least ? slots[i] : least; }
    const bool with_null = least < 0;
    struct buffer *values, *validity = NULL;
    memory_relax(map->pool);
    SABOT_TRY(buffer_new(map->pool, (size_t)n * map->sizes[c] + 1, &values, err));
    if (with_null || map->validity[c].data) {
        const sabot_status status = buffer_new(map->pool, validity_size(n), &validity, err);
        if (status != SABOT_OK) {
            buffer_unref(values);
            return status;
        }
        uint64_t *bits = (uint64_t *)(void *)validity->data;
        memset(bits, 0xff, validity_size(n));
        for (int32_t i = 0; i < n; i++) {
            if (slots[i] < 0 || slot_is_null(map, c, slots[i])) { bits[i >> 6] &= ~(UINT64_C(1) << (i & 63)); }
        }
    }
    switch (map->sizes[c]) {
    case 0: break;
    case 1: TAKE(uint8_t); break;
    case 2: TAKE(uint16_t); break;
    case 4: TAKE(uint32_t); break;
    case 8: TAKE(uint64_t); break;
    default:
        if (map->phys[c] == PHYS_VIEW) {
            TAKE(struct string_view);
        } else {
            TAKE(__int128);
        }
        break;
    }
    return string_heap_column(&map->heap, (enum phys)map->phys[c], n, values, validity, out, err);
}

/* --- by namespace */
bool multimap_first_namespace(const struct state_multimap *map, int64_t *out) {
    if (map->n_moments == 0) { return false; }
    *out = MOMENTS(map)[0].namespace_;
    return true;
}

bool multimap_namespace_at(const struct state_multimap *map, int32_t i, int64_t *out) {
    if (i >= map->n_moments) { return false; }
    *out = MOMENTS(map)[i].namespace_;
    return true;
}

int32_t multimap_namespace_slots(const struct state_multimap *map, int64_t namespace_, int32_t after, int32_t *slots,
                                 int32_t n) {
    const int32_t at = moment_position(map, namespace_);
    if (!moment_is_at(map, at, namespace_)) { return 0; }
    int32_t slot = after < 0 ? MOMENTS(map)[at].head : TIME_NEXT(map)[after], found = 0;
    for (; found < n && slot >= 0; slot = TIME_NEXT(map)[slot]) { slots[found++] = slot; }
    return found;
}

void multimap_drop_namespace(struct state_multimap *map, int64_t namespace_) {
    for (;;) {
        const int32_t at = moment_position(map, namespace_);
        if (!moment_is_at(map, at, namespace_)) { break; }
        const struct moment *moment = &MOMENTS(map)[at];
        if (moment->head >= 0) {
            if (moment->rows % RELAX_ROWS == 0) { memory_relax(map->pool); }
            row_remove(map, moment->head);
            continue;
        }
        moment_remove(map, at); /* a failed insert has left it without rows */
    }
    (void)compact_if_worth(map, NULL); /* no memory to save memory with: later */
}

/* --- restore */
/* Physical rows at[0..n) of a snapshot, all of one namespace. */
static sabot_status map_restore(struct state_table *table, int64_t namespace_, const struct batch *rows,
                                const int32_t *at, int32_t n, struct sabot_error *err) {
    struct state_multimap *map = map_of(table);
    int32_t columns[STATE_COLUMNS_MAX];
    for (int32_t c = 0; c < map->n_columns; c++) { columns[c] = 2 + c; }
    const struct column *count_column = rows->columns[2 + map->n_columns];
    const struct column *match_column = rows->columns[3 + map->n_columns];
    for (int32_t first = 0; first < n; first += BLOCK_ROWS) {
        const int32_t m = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
        int64_t namespaces[BLOCK_ROWS], matches[BLOCK_ROWS], counts[BLOCK_ROWS];
        for (int32_t i = 0; i < m; i++) {
            const int32_t row = at[first + i];
            namespaces[i] = namespace_ == 0 ? map->unplaced : namespace_;
            matches[i] = ((const int64_t *)match_column->values)[column_at(match_column, row)];
            counts[i] = ((const int64_t *)count_column->values)[column_at(count_column, row)];
        }
        struct batch block = *rows; /* borrowed: only its selection is another */
        block.selection = at + first;
        block.selected = m;
        const struct multimap_rows some = {.batch = &block, .columns = columns, .rows = at + first, .n = m};
        if (map->has_counts) {
            SABOT_TRY(apply(map, &some, false, counts, namespaces, matches, err));
            continue;
        }
        SABOT_TRY(insert_uncounted(map, &some, namespaces, matches, err));
        for (int32_t i = 0; i < m; i++) { /* the checkpoint's job counted: equal rows stand apart now */
            const struct multimap_rows one = {.batch = &block, .columns = columns, .rows = &at[first + i], .n = 1};
            for (int64_t c = 1; c < counts[i]; c++) {
                SABOT_TRY(insert_uncounted(map, &one, &namespaces[i], &matches[i], err));
            }
        }
    }
    return SABOT_OK;
}

/* --- open and close */
static void map_close(struct state_table *table) {
    struct state_multimap *map = map_of(table);
    struct array *arrays[] = {&map->hashes, &map->row_hashes, &map->next, &map->prev, &map->counts, &map->matches,
                              &map->namespaces, &map->time_next, &map->time_prev, &map->keys.entries,
                              &map->rows.entries, &map->moments};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) { array_free(map, arrays[i]); }
    for (int32_t c = 0; c < map->n_columns; c++) {
        array_free(map, &map->columns[c]);
        array_free(map, &map->validity[c]);
    }
    slot_watch_clear(&map->watch, map->pool);
    string_heap_clear(&map->heap);
    free(map);
}

const struct state_backend state_multimap_memory = {
    .name = "memory",
    .close = map_close,
    .touch = map_touch_table,
    .slot_column = CAPTURE_TABLE_SLOT,
    .freeze = map_freeze,
    .copy = map_copy,
    .thaw = map_thaw,
    .restore = map_restore,
};

sabot_status state_multimap_make(const struct state_context *context, const struct multimap_spec *spec,
                                 struct state_table **out, struct sabot_error *err) {
    *out = NULL;
    if (spec->schema->n_fields > STATE_COLUMNS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s has %d columns, at most %d are possible: select fewer "
                          "columns below the join", spec->name, spec->schema->n_fields, STATE_COLUMNS_MAX);
    }
    for (int32_t i = 0; i < spec->schema->n_fields; i++) {
        const enum phys phys = type_phys(spec->schema->fields[i].type);
        if (phys != PHYS_LIST && phys != PHYS_ROW) { continue; }
        char type[128];
        type_print(spec->schema->fields[i].type, type, sizeof type);
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: column %s of type %s can't be kept in state: select "
                          "its fields instead", spec->name, spec->schema->fields[i].name, type);
    }
    struct state_multimap *map = calloc(1, sizeof *map);
    if (!map) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a state table"); }
    map->pool = context->pool;
    map->metrics = context->metrics;
    map->max_parallelism = context->max_parallelism;
    map->n_keys = spec->n_keys;
    map->n_columns = spec->schema->n_fields;
    map->has_counts = spec->counts;
    map->has_matches = spec->matches;
    map->has_namespaces = spec->namespaces;
    map->unplaced = spec->unplaced;
    map->free_head = -1;
    for (int32_t i = 0; i < map->n_columns; i++) {
        map->phys[i] = (uint8_t)type_phys(spec->schema->fields[i].type);
        map->sizes[i] = (uint8_t)phys_size((enum phys)map->phys[i]);
    }
    map->table.backend = &state_multimap_memory;
    *out = &map->table;
    return SABOT_OK;
}
