/* The producing end of an edge: which rows go into which channel.
 *
 * Belongs to one task. What a full channel can't take waits in a queue per channel, so one slow target does not
 * keep the others from getting what is theirs; the task stops as long as anything waits. */
#ifndef RUNTIME_EXCHANGE_H
#define RUNTIME_EXCHANGE_H

#include "runtime/item_queue.h"
#include "runtime/job.h"

struct exchange_target {
    struct channel *channel; /* borrowed */
    struct item_queue waiting;
};

struct exchange_out {
    enum exchange exchange;
    const int32_t *keys;
    int32_t n_keys;
    int32_t n_targets;
    struct exchange_target *targets;
    int32_t n_waiting; /* targets with something in their queue */
    int32_t next;      /* REBALANCE: whose turn it is */
    int32_t max_parallelism;
    uint16_t *owner_of_group; /* HASH with several targets */
    uint16_t *target_of_row;  /* scratch of the partition */
    int32_t *counts;          /* per target, scratch */
    struct memory_pool *pool;
};

struct exchange_options {
    enum exchange exchange;
    const int32_t *keys;
    int32_t n_keys;
    int32_t max_parallelism;
    struct channel *const *channels; /* one per target */
    int32_t n_channels;
    struct memory_pool *pool;
};
sabot_status exchange_init(struct exchange_out *out, const struct exchange_options *options, struct sabot_error *err);
void exchange_clear(struct exchange_out *out);
/* Takes over the batch on every path. */
sabot_status exchange_emit(struct exchange_out *out, struct batch *batch, struct sabot_error *err);
/* An event (without a batch) for all targets. */
sabot_status exchange_event(struct exchange_out *out, const struct channel_item *event, struct sabot_error *err);
/* Moves what waits into its channels; true when nothing waits any more. Where something does, the channel's wake
 * comes. */
bool exchange_flush(struct exchange_out *out);
/* The barrier of this checkpoint has been put out and overtakes: consumers are told where it stands. */
void exchange_announce(struct exchange_out *out, int64_t checkpoint_id);
static inline bool exchange_is_full(const struct exchange_out *out) { return out->n_waiting > 0; }

/* Sorts the selected rows of a batch by target, stable: rows[0..counts[0]) are of target 0, and so on. The batch
 * has its hashes. target_of_row is scratch for batch->selected entries. */
void exchange_partition(const struct batch *batch, const uint16_t *owner_of_group, int32_t max_parallelism,
                        int32_t n_targets, uint16_t *target_of_row, int32_t *counts, int32_t *rows);

#endif
