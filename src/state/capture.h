/* The rows that a table had at a barrier, copied while the table goes on changing (decision 0010).
 *
 * A slot is captured once: by the owning task as it walks over all slots between batches, or just before the slot is
 * changed. Two bits per slot say what is known of it; between checkpoints only the first is looked at, and the marks of
 * 10 M slots are 1.25 MB.
 *
 * Where many slots change between two files of a chain (the watch is `dense`), they are marked and captured by the word
 * of 64, and one more bit per word says that its slots need nothing more: 20 KB for 10 M slots, which stay in the
 * core's own cache. A file then has some rows that have not changed. */
#ifndef STATE_CAPTURE_H
#define STATE_CAPTURE_H

#include "state/cells.h"
#include "state/state_backend.h"
#include "state/string_heap.h"

/* What a row of a delta says (its first column). */
enum slot_change {
    SLOT_ROW = 0,   /* this row stands in the slot */
    SLOT_EMPTY = 1, /* the slot is empty */
    SLOT_END = 2    /* this slot of the namespace and all behind it are empty */
};

/* The slots of a namespace, or of a multimap. */
struct slot_watch {
    /* bits by slot in words; NULL until there is a snapshot */
    uint64_t *changed; /* since the last file of the table's chain */
    uint64_t *saved_slots; /* frozen, at or behind the cursor: what stood there at the barrier is captured; else zero */
    uint64_t *settled; /* dense: by word of the others; it is marked as changed, and nothing in it is pending */
    int32_t n_changed, n_saved_slots, n_settled; /* words */
    int32_t walked_changed; /* frozen: slots before the cursor that were marked */
    bool marked;    /* bits are not all zero */
    bool on;        /* whoever changes a slot must say so */
    bool all;       /* frozen: every slot is wanted, not only changed ones */
    bool is_saved;  /* a file of the chain has it; else all of it is changed */
    bool is_chain;  /* frozen for a file of the chain: CHANGED begins anew behind the barrier */
    bool dense;     /* marked by the word */
    int32_t frozen; /* slots at the barrier; 0: not frozen */
    int32_t cursor; /* slots before it are captured */
    int32_t saved;  /* slots that the chain's newest file has seen */
};
static inline bool slot_is_pending(const struct slot_watch *watch, int32_t slot) {
    return slot >= watch->cursor && slot < watch->frozen && !bit_is_set(watch->saved_slots, slot);
}
/* Whether a pending slot belongs into the capture. */
static inline bool slot_is_wanted(const struct slot_watch *watch, int32_t slot) {
    return watch->all || bit_is_set(watch->changed, slot);
}
/* From now on something else stands in the slot; what stood there was captured if it had to be. */
static inline void slot_set_changed(struct slot_watch *watch, int32_t slot) {
    bit_set(watch->changed, slot);
    if (slot >= watch->cursor && slot < watch->frozen) { bit_set(watch->saved_slots, slot); }
}
/* The walk goes on from the cursor: over up to *left slots, which become fewer, or until `room` wanted ones are found.
 * A word of 64 in which nothing is wanted counts as one slot. Returns how many are in `wanted`, ascending. */
int32_t slot_watch_walk(struct slot_watch *watch, int32_t *left, int32_t *wanted, int32_t room);
/* Bits for so many slots, the new ones zero. */
sabot_status slot_watch_fit(struct slot_watch *watch, struct memory_pool *pool, int32_t slots,
                            struct sabot_error *err);
/* All bits are zero, and nothing is known; the memory stays. */
void slot_watch_reset(struct slot_watch *watch);
void slot_watch_clear(struct slot_watch *watch, struct memory_pool *pool);
/* The chain knows nothing of it any more. */
void slot_watch_forget(struct slot_watch *watch);
void slot_watch_freeze(struct slot_watch *watch, enum state_form form, int32_t slots);
/* The walk is over, or given up. */
void slot_watch_thaw(struct slot_watch *watch);

/* Where rows come from. */
struct capture_source {
    const void *columns[STATE_COLUMNS_MAX + 2]; /* by slot; NULL: `absent` */
    uint16_t strides[STATE_COLUMNS_MAX + 2];    /* bytes from slot to slot; 0: a value's size */
    const uint64_t *validity[STATE_COLUMNS_MAX + 2];
    int64_t absent[STATE_COLUMNS_MAX + 2];
    const int64_t *namespaces; /* by slot; NULL: namespace_ */
    int64_t namespace_;
    enum slot_change change; /* CAPTURE_KEY_SLOT: SLOT_ROW or SLOT_EMPTY */
};

struct capture {
    struct state_table *table;
    enum state_form form;
    bool active;
    struct sabot_error error; /* the first failure: what was captured is worthless */
    int64_t expected;         /* rows at most: small tables get small chunks */
    int64_t copied;           /* bytes of rows so far */
    int64_t ahead_until;      /* of them: so far whole words are captured where one of their slots is about to change */
    /* the chunk that is being filled */
    int32_t n, capacity;
    struct buffer *changes, *groups, *namespaces, *slots;
    struct buffer *values[STATE_COLUMNS_MAX + 2], *validity[STATE_COLUMNS_MAX + 2];
    struct string_heap heap;
    /* full ones, oldest first */
    struct batch **chunks;
    int32_t n_chunks, first_chunk, chunks_capacity;
};

/* Columns of a form: [change,] key_group, namespace, [slot,] keys, values. The name of the slot says what it is unique
 * in. */
#define CAPTURE_SLOT "slot"             /* a namespace */
#define CAPTURE_TABLE_SLOT "table_slot" /* the table: multimaps */
#define CAPTURE_KEY_SLOT "key_slot"     /* nothing: a row's place is its namespace and keys, also of an empty one */
sabot_status capture_schema(const struct state_table *table, enum state_form form, struct schema **out,
                            struct sabot_error *err);
int32_t capture_head(enum state_form form); /* columns before the keys */
void capture_begin(struct capture *capture, struct state_table *table, enum state_form form, int64_t rows_expected);
void capture_clear(struct capture *capture);
/* Copies rows out of a table. `ascending`: slots are. A failure is kept in capture->error. */
void capture_rows(struct capture *capture, const struct capture_source *source, const int32_t *slots, int32_t n,
                  bool ascending);
void capture_mark(struct capture *capture, enum slot_change change, int64_t namespace_, int32_t slot);
void capture_flush(struct capture *capture);
sabot_status capture_add(struct capture *capture, struct batch *chunk /* taken over */, struct sabot_error *err);
/* The next full chunk; NULL: none. */
struct batch *capture_take(struct capture *capture);

#endif
