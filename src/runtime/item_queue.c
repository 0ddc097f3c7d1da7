/* A ring of events that doubles when it is full, up to a limit. */
#include "runtime/item_queue.h"

#include <stdlib.h>

static sabot_status grow(struct item_queue *queue, struct sabot_error *err) {
    if (queue->capacity >= ITEM_QUEUE_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%d results wait for room: the operator does not look whether its "
                          "output is full", ITEM_QUEUE_MAX);
    }
    const uint32_t capacity = queue->capacity ? queue->capacity * 2 : 8;
    struct channel_item *items = calloc(capacity, sizeof *items);
    if (!items) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a queue of %u events", capacity); }
    for (uint32_t i = 0; i < queue->count; i++) {
        items[i] = queue->items[(queue->first + i) & (queue->capacity - 1)];
    }
    free(queue->items);
    queue->items = items;
    queue->first = 0;
    queue->capacity = capacity;
    return SABOT_OK;
}

sabot_status item_queue_add(struct item_queue *queue, const struct channel_item *item, struct sabot_error *err) {
    if (queue->count > 0 && item->kind == CHANNEL_WATERMARK) {
        /* of two watermarks in a row only the later says anything */
        struct channel_item *last = &queue->items[(queue->first + queue->count - 1) & (queue->capacity - 1)];
        if (last->kind == CHANNEL_WATERMARK) {
            *last = *item;
            return SABOT_OK;
        }
    }
    if (queue->count == queue->capacity) {
        const sabot_status status = grow(queue, err);
        if (status != SABOT_OK) {
            batch_unref(item->batch);
            return status;
        }
    }
    queue->items[(queue->first + queue->count++) & (queue->capacity - 1)] = *item;
    return SABOT_OK;
}

void item_queue_clear(struct item_queue *queue) {
    for (; queue->count > 0; item_queue_drop_first(queue)) { channel_item_clear(item_queue_first(queue)); }
    free(queue->items);
    *queue = (struct item_queue){0};
}
