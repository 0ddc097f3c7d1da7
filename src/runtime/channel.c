/* The ring between two tasks.
 *
 * `tail` is written by the producer, `head` by the consumer; each keeps a copy of the other's that may lag, so that the
 * shared cache lines are read only when the ring looks full or empty. Before a side sleeps it raises its flag and looks
 * again; the other side publishes its index and then looks at the flag. Both are sequentially consistent, so at least
 * one of them sees the other: no wake-up is lost. */
#include "runtime/channel.h"

#include <stdlib.h>

#define CACHE_LINE 64
#define ITEMS_MAX (1 << 20)

struct channel {
    /* producer */
    _Alignas(CACHE_LINE) _Atomic uint32_t tail;
    uint32_t head_seen;
    /* consumer */
    _Alignas(CACHE_LINE) _Atomic uint32_t head;
    uint32_t tail_seen;
    struct channel_announcement *looked_at; /* taken from `announced` */
    /* both, seldom written */
    _Alignas(CACHE_LINE) _Atomic bool producer_waits;
    _Atomic bool consumer_waits;
    struct channel_announcement *_Atomic announced;
    /* never written after the start */
    _Alignas(CACHE_LINE) uint32_t mask;
    struct channel_wake producer, consumer;
    struct channel_item *items;
};

sabot_status channel_new(int32_t items, struct channel_wake producer, struct channel_wake consumer,
                         struct channel **out, struct sabot_error *err) {
    uint32_t capacity = 2;
    while (capacity < (uint32_t)items && capacity < ITEMS_MAX) { capacity *= 2; }
    struct channel *channel = aligned_alloc(CACHE_LINE, sizeof *channel);
    struct channel_item *ring = calloc(capacity, sizeof *ring);
    if (!channel || !ring) {
        free(channel);
        free(ring);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a channel of %u items", capacity);
    }
    *channel = (struct channel){.mask = capacity - 1, .producer = producer, .consumer = consumer, .items = ring};
    *out = channel;
    return SABOT_OK;
}

void channel_item_clear(struct channel_item *item) {
    batch_unref(item->batch);
    item->batch = NULL;
}

static void announcement_free(struct channel_announcement *announcement) {
    for (int32_t i = 0; announcement && i < announcement->n; i++) { batch_unref(announcement->batches[i]); }
    free(announcement);
}

void channel_free(struct channel *channel) {
    if (!channel) { return; }
    announcement_free(atomic_exchange(&channel->announced, NULL));
    announcement_free(channel->looked_at);
    const uint32_t tail = atomic_load(&channel->tail);
    for (uint32_t at = atomic_load(&channel->head); at != tail; at++) {
        channel_item_clear(&channel->items[at & channel->mask]);
    }
    free(channel->items);
    free(channel);
}

static bool is_full(struct channel *channel, uint32_t tail) {
    if (tail - channel->head_seen <= channel->mask) { return false; }
    channel->head_seen = atomic_load_explicit(&channel->head, memory_order_acquire);
    if (tail - channel->head_seen <= channel->mask) { return false; }
    atomic_store(&channel->producer_waits, true);
    channel->head_seen = atomic_load(&channel->head);
    if (tail - channel->head_seen > channel->mask) { return true; }
    atomic_store_explicit(&channel->producer_waits, false, memory_order_relaxed);
    return false;
}

bool channel_push(struct channel *channel, const struct channel_item *item) {
    const uint32_t tail = atomic_load_explicit(&channel->tail, memory_order_relaxed);
    if (is_full(channel, tail)) { return false; }
    channel->items[tail & channel->mask] = *item;
    atomic_store(&channel->tail, tail + 1);
    if (atomic_load(&channel->consumer_waits) && atomic_exchange(&channel->consumer_waits, false)) {
        channel->consumer.wake(channel->consumer.arg);
    }
    return true;
}

static bool is_empty(struct channel *channel, uint32_t head) {
    if (channel->tail_seen != head) { return false; }
    channel->tail_seen = atomic_load_explicit(&channel->tail, memory_order_acquire);
    if (channel->tail_seen != head) { return false; }
    /* raised already where the consumer was woken by another of its channels */
    if (!atomic_load_explicit(&channel->consumer_waits, memory_order_relaxed)) {
        atomic_store(&channel->consumer_waits, true);
    }
    channel->tail_seen = atomic_load(&channel->tail);
    if (channel->tail_seen == head) { return true; }
    atomic_store_explicit(&channel->consumer_waits, false, memory_order_relaxed);
    return false;
}

bool channel_pop(struct channel *channel, struct channel_item *out) {
    const uint32_t head = atomic_load_explicit(&channel->head, memory_order_relaxed);
    if (is_empty(channel, head)) { return false; }
    *out = channel->items[head & channel->mask];
    atomic_store(&channel->head, head + 1);
    /* Half empty rather than one free place: a producer that is woken for each item would do nothing but wake up. */
    if (atomic_load(&channel->producer_waits) &&
        atomic_load_explicit(&channel->tail, memory_order_relaxed) - (head + 1) <= (channel->mask + 1) / 2 &&
        atomic_exchange(&channel->producer_waits, false)) {
        channel->producer.wake(channel->producer.arg);
    }
    return true;
}

void channel_announce(struct channel *channel, struct channel_announcement *announcement) {
    if (announcement) {
        announcement->tail = atomic_load_explicit(&channel->tail, memory_order_relaxed);
        announcement_free(atomic_exchange(&channel->announced, announcement));
    }
    channel->consumer.wake(channel->consumer.arg);
}

/* How many items from the head on stand before the barrier; -1: not known. */
static int64_t items_before(struct channel *channel, int64_t checkpoint_id, uint32_t head) {
    struct channel_announcement *newer = atomic_exchange(&channel->announced, NULL);
    if (newer) {
        announcement_free(channel->looked_at);
        channel->looked_at = newer;
    }
    const uint32_t tail = atomic_load(&channel->tail);
    for (uint32_t at = head; at != tail; at++) {
        const struct channel_item *item = &channel->items[at & channel->mask];
        if (item->kind == CHANNEL_BARRIER && item->value == checkpoint_id) { return (int64_t)(at - head); }
    }
    const struct channel_announcement *announced = channel->looked_at;
    if (!announced || announced->checkpoint_id != checkpoint_id) { return -1; }
    return (int64_t)(int32_t)(announced->tail + (uint32_t)announced->n - head);
}

int32_t channel_look(struct channel *channel, int64_t checkpoint_id, int32_t *first, struct batch **rows, bool *found) {
    const uint32_t head = atomic_load_explicit(&channel->head, memory_order_relaxed);
    const int64_t n_items = items_before(channel, checkpoint_id, head);
    int32_t n = 0;
    *found = n_items >= 0;
    const struct channel_announcement *announced = channel->looked_at;
    while (*found && *first < n_items && n < CHANNEL_LOOK_MAX) {
        const uint32_t at = head + (uint32_t)(*first)++;
        const uint32_t tail = atomic_load(&channel->tail);
        struct batch *batch;
        if ((int32_t)(tail - at) > 0) {
            const struct channel_item *item = &channel->items[at & channel->mask];
            batch = item->kind == CHANNEL_BATCH ? item->batch : NULL;
        } else {
            batch = announced->batches[at - announced->tail];
        }
        if (batch) { rows[n++] = batch; }
    }
    if (*found && *first >= n_items) { *first = -1; }
    return n;
}

int32_t channel_count(const struct channel *channel) {
    struct channel *readable = (struct channel *)channel;
    const uint32_t head = atomic_load_explicit(&readable->head, memory_order_relaxed);
    const uint32_t tail = atomic_load_explicit(&readable->tail, memory_order_relaxed);
    const uint32_t count = tail - head;
    return count > channel->mask + 1 ? 0 : (int32_t)count;
}
