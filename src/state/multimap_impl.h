/* Inside of the multimap: what its files share. */
#ifndef STATE_MULTIMAP_IMPL_H
#define STATE_MULTIMAP_IMPL_H

#include "state/capture.h"
#include "state/multimap.h"

#define MULTIMAP_PREV_FREE (-2) /* prev[] of a slot without a row */

/* A block that knows its size: growing several of them may fail in between. */
struct array {
    void *data;
    size_t size;
};
struct entry {
    uint64_t hash;
    uint32_t slot1; /* slot + 1; 0 = empty */
    uint32_t unused;
};
/* An entry's home are the highest bits of the lower half of its hash (the upper half decides the key group): so that
 * rows that come in the order of their hashes & MULTIMAP_ORDER walk through the index, at any capacity. */
struct index {
    struct array entries;
    uint32_t capacity, used; /* entries */
    int32_t shift;           /* 32 - log2(capacity) */
};
static inline uint32_t home_of(const struct index *index, uint64_t hash) { return (uint32_t)hash >> index->shift; }
struct moment { /* a namespace */
    int64_t namespace_;
    int32_t head; /* newest row */
    int32_t rows;
};

struct state_multimap {
    struct state_table table; /* first */
    struct memory_pool *pool;
    struct metrics *metrics;
    int32_t n_keys, n_columns;
    bool has_counts, has_matches, has_namespaces;
    uint8_t phys[STATE_COLUMNS_MAX], sizes[STATE_COLUMNS_MAX];
    int32_t max_parallelism;
    int64_t unplaced;
    struct index keys, rows;
    int32_t slots;     /* allocated */
    int32_t used;      /* behind it no slot was ever used */
    int32_t live;      /* rows */
    int32_t free_head; /* chain through next[]; -1 = none */
    struct array hashes, row_hashes, next, prev, counts, matches, namespaces, time_next, time_prev;
    struct array columns[STATE_COLUMNS_MAX], validity[STATE_COLUMNS_MAX]; /* validity: empty = no NULL so far */
    struct string_heap heap;
    struct slot_watch watch;
    struct array moments; /* sorted; those before first_moment have left: time goes on, so they leave at the front */
    int32_t first_moment, n_moments;
};

static inline struct state_multimap *map_of(struct state_table *table) { return (struct state_multimap *)table; }
#define HASHES(map) ((uint64_t *)(map)->hashes.data)
#define ROW_HASHES(map) ((uint64_t *)(map)->row_hashes.data)
#define NEXT(map) ((int32_t *)(map)->next.data)
#define PREV(map) ((int32_t *)(map)->prev.data)
#define COUNTS(map) ((int64_t *)(map)->counts.data)
#define MATCHES(map) ((int64_t *)(map)->matches.data)
#define NAMESPACES(map) ((int64_t *)(map)->namespaces.data)
#define TIME_NEXT(map) ((int32_t *)(map)->time_next.data)
#define TIME_PREV(map) ((int32_t *)(map)->time_prev.data)
#define ENTRIES(index) ((struct entry *)(index)->entries.data)
#define MOMENTS(map) ((struct moment *)(map)->moments.data + (map)->first_moment)

static inline bool map_is_live(const struct state_multimap *map, int32_t slot) {
    return PREV(map)[slot] != MULTIMAP_PREV_FREE;
}

/* multimap_snapshot.c */
/* Slots are about to get, change or lose a row. Only where map->watch.on. */
void map_note_changes(struct state_multimap *map, const int32_t *slots, int32_t n);
static inline void map_touch(struct state_multimap *map, const int32_t *slots, int32_t n) {
    if (map->watch.on) { map_note_changes(map, slots, n); }
}
void map_touch_table(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n);
sabot_status map_freeze(struct state_table *table, struct sabot_error *err);
bool map_copy(struct state_table *table, int32_t n);
void map_thaw(struct state_table *table);

#endif
