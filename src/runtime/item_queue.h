/* What an operator gave out while nobody could take it: a queue of events inside one task. Operators that have
 * much to give look at out_is_full(), so it stays short; the limit catches one that does not. */
#ifndef RUNTIME_ITEM_QUEUE_H
#define RUNTIME_ITEM_QUEUE_H

#include "runtime/channel.h"

#define ITEM_QUEUE_MAX 65536

struct item_queue {
    struct channel_item *items; /* a ring */
    uint32_t first, count, capacity;
};

static inline bool item_queue_is_empty(const struct item_queue *queue) { return queue->count == 0; }
/* Takes over the item's batch on every path. */
sabot_status item_queue_add(struct item_queue *queue, const struct channel_item *item, struct sabot_error *err);
/* The oldest; the queue must not be empty. */
static inline struct channel_item *item_queue_first(struct item_queue *queue) { return &queue->items[queue->first]; }
static inline void item_queue_drop_first(struct item_queue *queue) {
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    queue->count--;
}
void item_queue_clear(struct item_queue *queue); /* frees what is in it */

#endif
