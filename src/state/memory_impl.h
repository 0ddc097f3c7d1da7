/* Inside of the memory backend: what its files share. */
#ifndef STATE_MEMORY_IMPL_H
#define STATE_MEMORY_IMPL_H

#include <assert.h>

#include "state/capture.h"
#include "state/state_backend.h"

#define PANES_RECYCLED_MAX 8 /* dropped namespaces that keep their memory */

struct entry {
    uint64_t word;  /* the key or its hash */
    uint32_t slot1; /* slot + 1; 0 = empty */
    uint32_t tag;   /* low half of the hash: the entry's home in an index of any size */
};

struct pane {
    int64_t namespace_;
    struct entry *index;
    uint32_t capacity; /* entries, a power of two */
    int32_t count;     /* slots in use */
    int32_t slots;     /* slots allocated */
    int32_t null_slot; /* of the NULL key where the word is the key; -1 = none */
    uint64_t *hashes;
    void **blocks;       /* what is allocated: an array per key, and one per value or one of records */
    void **columns;      /* where the keys, then the values of slot 0 stand in them */
    uint64_t **validity; /* of the keys; NULL = no NULL so far */
    struct string_heap heap;
    struct slot_watch watch;
    int64_t frozen_namespace; /* at the barrier */
    bool dropped;             /* only the snapshot still needs it */
};

struct memory_table {
    struct state_table table;
    struct memory_pool *pool;
    struct metrics *metrics;
    int32_t n_keys, n_columns, max_parallelism;
    bool word_is_key;
    bool is_log;
    bool has_index; /* and hashes */
    bool has_views;
    uint8_t phys[STATE_COLUMNS_MAX];
    uint8_t sizes[STATE_COLUMNS_MAX]; /* bytes per value */
    bool records;     /* the values of a slot stand beside each other in one block behind the keys */
    bool whole_records; /* with its keys in front of them: each find compares these too */
    int32_t n_blocks;
    uint16_t strides[STATE_COLUMNS_MAX]; /* bytes per slot: of the block that a column stands in */
    uint16_t offsets[STATE_COLUMNS_MAX]; /* of a column in its block */
    struct pane **panes; /* sorted by namespace */
    int32_t n_panes, panes_capacity;
    struct pane *latest; /* used last */
    struct pane *recycled[PANES_RECYCLED_MAX];
    int32_t n_recycled;
    int64_t *namespaces; /* for state_namespaces */
    int32_t namespaces_capacity;
    /* the snapshot under way: panes that are not copied yet are frozen[frozen_at..n_frozen) */
    struct pane **frozen;
    int32_t n_frozen, frozen_at;
    int64_t *gone; /* namespaces that the chain has and the table has not any more */
    int32_t n_gone, gone_capacity;
};

static inline struct memory_table *memory_table_of(struct state_table *table) { return (struct memory_table *)table; }
/* The block of a column. */
static inline int32_t block_of(const struct memory_table *table, int32_t column) {
    if (table->whole_records) { return 0; }
    return table->records && column > table->n_keys ? table->n_keys : column;
}
static inline void *value_at(const struct memory_table *table, const struct pane *pane, int32_t column, int64_t slot) {
    return (char *)pane->columns[column] + (size_t)slot * table->strides[column];
}
struct pane *pane_find(struct memory_table *table, int64_t namespace_);
sabot_status table_alloc(struct memory_table *table, size_t size, bool zeroed, void **out, struct sabot_error *err);
/* Empties a pane that is in no list, and keeps its memory for the next namespace if that is worth it. */
void pane_recycle(struct memory_table *table, struct pane *pane);
void pane_free(struct memory_table *table, struct pane *pane); /* NULL is allowed */

sabot_status pane_get(struct memory_table *table, int64_t namespace_, struct pane **out, struct sabot_error *err);
/* Room for `more` slots in the columns; the index stays. */
sabot_status pane_fit_slots(struct memory_table *table, struct pane *pane, int32_t more, struct sabot_error *err);
/* An index without entries, large enough for so many. */
sabot_status pane_empty_index(struct memory_table *table, struct pane *pane, int32_t rows, struct sabot_error *err);

/* Where keys come from: columns of a batch or of another pane. */
struct key_view {
    const void *values;
    const uint64_t *validity;
    size_t stride; /* bytes from a row's to the next one's */
    bool constant;
};
static inline const void *key_view_at(const struct key_view *view, int64_t row) {
    return (const char *)view->values + (view->constant ? 0 : (size_t)row * view->stride);
}
static inline struct key_view key_view_of(const struct memory_table *table, int32_t key, const struct column *column) {
    assert(column->phys == table->phys[key]);
    return (struct key_view){.values = column->values, .validity = column->validity, .stride = table->sizes[key],
                             .constant = column->constant};
}
/* The keys of a pane's own slots. */
static inline struct key_view key_view_of_pane(const struct memory_table *table, const struct pane *pane, int32_t key) {
    return (struct key_view){.values = pane->columns[key], .validity = pane->validity[key],
                             .stride = table->strides[key]};
}
/* What an index entry compares where the key itself is its word. */
static inline uint64_t key_word(const void *values, size_t size, int64_t at) {
    switch (size) {
    case 1: return ((const uint8_t *)values)[at];
    case 2: return ((const uint16_t *)values)[at];
    case 4: return ((const uint32_t *)values)[at];
    default: return ((const uint64_t *)values)[at];
    }
}
/* Whether the key at `row` of the views stands at `slot`. */
bool key_equal(const struct memory_table *table, const struct pane *pane, int32_t slot, const struct key_view *views,
               int64_t row);
/* Writes the keys at rows at[0..n) into slots first..first+n, and zeroes the values there. */
sabot_status keys_append(struct memory_table *table, struct pane *pane, const struct key_view *views,
                         const int32_t *at, int32_t first, int32_t n, struct sabot_error *err);
/* Takes out a slot that has no entry any more: the last one moves there. */
void slot_close(struct memory_table *table, struct pane *pane, int32_t slot);

/* A single access to a table whose only key is a BIGINT that is not NULL: the cell of its first value, NULL where it is
 * not there. `writes`: the cell is about to be changed. */
void *memory_cell(struct state_table *base, int64_t namespace_, int64_t key, bool writes, int32_t *slot);

/* Of state on disk: the pages of slots are about to be used. */
void pages_in(const struct memory_table *table, const struct pane *pane, const int32_t *slots, int32_t n);

/* memory_restore.c */
sabot_status memory_append(struct state_table *base, int64_t namespace_, const struct batch *rows,
                           int32_t first_column, const int32_t *at, int32_t n, struct sabot_error *err);
sabot_status memory_index(struct state_table *base, struct sabot_error *err);

/* memory_snapshot.c */
/* Slots are about to change, or (from `fresh` on) were just made. Only where pane->watch.on. */
void pane_note_changes(struct memory_table *table, struct pane *pane, const int32_t *slots, int32_t n, int32_t fresh);
static inline void pane_touch(struct memory_table *table, struct pane *pane, const int32_t *slots, int32_t n,
                              int32_t fresh) {
    if (pane->watch.on) { pane_note_changes(table, pane, slots, n, fresh); }
}
/* The namespace is about to be dropped or renamed: the chain must hear of it. */
void pane_note_end(struct memory_table *table, struct pane *pane);
/* True: the pane is kept until it is copied, then recycled. */
bool pane_keep_for_snapshot(struct pane *pane);
void memory_touch(struct state_table *base, int64_t namespace_, const int32_t *slots, int32_t n);
sabot_status memory_freeze(struct state_table *base, struct sabot_error *err);
bool memory_copy(struct state_table *base, int32_t n);
void memory_thaw(struct state_table *base);

#endif
