/* A channel: a bounded ring from exactly one producing task to exactly one consuming task. It carries batches and,
 * in the same order, what stands between them: watermarks, idle marks, barriers and the end.
 *
 * Lock-free. Full and empty are answers, not waits: after push said "full" the producer is woken once the ring is
 * half empty, after pop said "empty" the consumer is woken by the next item. Nobody is woken otherwise. */
#ifndef RUNTIME_CHANNEL_H
#define RUNTIME_CHANNEL_H

#include "arrow/batch.h"

enum channel_kind {
    CHANNEL_BATCH,
    CHANNEL_WATERMARK,
    CHANNEL_IDLE,    /* no rows and no watermarks for now */
    CHANNEL_BARRIER, /* may also follow the end: checkpoints go on until the job is over */
    CHANNEL_END
};

struct channel_item {
    enum channel_kind kind;
    int64_t value;        /* WATERMARK: ms; BARRIER: checkpoint id */
    int64_t timestamp_ms; /* BARRIER: when the checkpoint was triggered */
    struct batch *batch;  /* BATCH: a reference that goes with the item */
};

struct channel_wake {
    void (*wake)(void *arg); /* any thread */
    void *arg;
};

struct channel;
/* A ring of at least `items` items (rounded up to a power of two, at most 2^20). */
sabot_status channel_new(int32_t items, struct channel_wake producer, struct channel_wake consumer,
                         struct channel **out, struct sabot_error *err);
/* Neither side may be in a call. Frees the items in it. */
void channel_free(struct channel *channel);
/* Producer only. True: the item is in; false: full. */
bool channel_push(struct channel *channel, const struct channel_item *item);
/* Consumer only. True: *out is the oldest item, and its batch reference the caller's; false: empty. */
bool channel_pop(struct channel *channel, struct channel_item *out);
/* Consumer only: where the barrier of a checkpoint stands among the items, without taking them. *found: it is known;
 * then rows[0..n) are batches before it (borrowed), beginning with the *first-th item, and *first is where to go on, -1
 * behind the last. What the producer has announced is looked at as well. */
#define CHANNEL_LOOK_MAX 64
int32_t channel_look(struct channel *channel, int64_t checkpoint_id, int32_t *first, struct batch **rows, bool *found);
/* Producer only: the barrier stands behind n items that did not fit into the channel yet; takes over the references.
 * Batches in order, NULL for what is none. Wakes the consumer; also with n 0, when the barrier is in the channel. */
struct channel_announcement {
    int64_t checkpoint_id;
    uint32_t tail; /* set by channel_announce */
    int32_t n;
    struct batch *batches[];
};
void channel_announce(struct channel *channel, struct channel_announcement *announcement /* NULL: only wakes */);
/* Items in it; any thread, approximate. */
int32_t channel_count(const struct channel *channel);
/* Frees what an item owns. */
void channel_item_clear(struct channel_item *item);

#endif
