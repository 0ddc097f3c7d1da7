/* The producing end of an edge. */
#include "runtime/exchange.h"

#include <assert.h>
#include <stdlib.h>

/* A target gets a selection over the shared batch where it has at least this share of its rows, else a copy of its
 * rows: a copy costs a gather per column and row, a sparse selection costs the consumer cache lines and keeps the
 * batch alive. */
#define SHARE_ROWS_MIN 8 /* one row in 8 */

const char *exchange_name(enum exchange exchange) {
    switch (exchange) {
    case EXCHANGE_FORWARD: return "forward";
    case EXCHANGE_HASH: return "hash";
    case EXCHANGE_BROADCAST: return "broadcast";
    case EXCHANGE_REBALANCE: return "rebalance";
    case EXCHANGE_GATHER: return "gather";
    }
    return "unknown";
}

sabot_status exchange_init(struct exchange_out *out, const struct exchange_options *options, struct sabot_error *err) {
    assert(options->n_channels > 0 && options->n_channels <= UINT16_MAX);
    *out = (struct exchange_out){
        .exchange = options->exchange,
        .keys = options->keys,
        .n_keys = options->n_keys,
        .n_targets = options->n_channels,
        .max_parallelism = options->max_parallelism,
        .pool = options->pool,
    };
    const size_t n = (size_t)options->n_channels;
    out->targets = calloc(n, sizeof *out->targets);
    bool room = out->targets != NULL;
    if (options->exchange == EXCHANGE_HASH && n > 1) {
        out->owner_of_group = calloc((size_t)options->max_parallelism, sizeof *out->owner_of_group);
        out->target_of_row = malloc(BATCH_ROWS_MAX * sizeof *out->target_of_row);
        out->counts = calloc(n, sizeof *out->counts);
        room = room && out->owner_of_group && out->target_of_row && out->counts;
    }
    if (!room) {
        exchange_clear(out);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for an exchange with %d targets", options->n_channels);
    }
    for (size_t i = 0; i < n; i++) { out->targets[i].channel = options->channels[i]; }
    for (int32_t group = 0; out->owner_of_group && group < options->max_parallelism; group++) {
        out->owner_of_group[group] =
            (uint16_t)key_group_owner(group, options->max_parallelism, options->n_channels);
    }
    return SABOT_OK;
}

void exchange_clear(struct exchange_out *out) {
    for (int32_t i = 0; out->targets && i < out->n_targets; i++) { item_queue_clear(&out->targets[i].waiting); }
    free(out->targets);
    free(out->owner_of_group);
    free(out->target_of_row);
    free(out->counts);
    *out = (struct exchange_out){0};
}

static sabot_status target_put(struct exchange_out *out, int32_t target, const struct channel_item *item,
                               struct sabot_error *err) {
    struct exchange_target *to = &out->targets[target];
    if (item_queue_is_empty(&to->waiting)) {
        if (channel_push(to->channel, item)) { return SABOT_OK; }
        out->n_waiting++;
    }
    return item_queue_add(&to->waiting, item, err);
}

static sabot_status target_put_batch(struct exchange_out *out, int32_t target, struct batch *batch,
                                     struct sabot_error *err) {
    return target_put(out, target, &(struct channel_item){.kind = CHANNEL_BATCH, .batch = batch}, err);
}

bool exchange_flush(struct exchange_out *out) {
    for (int32_t i = 0; out->n_waiting > 0 && i < out->n_targets; i++) {
        struct exchange_target *target = &out->targets[i];
        if (item_queue_is_empty(&target->waiting)) { continue; }
        while (channel_push(target->channel, item_queue_first(&target->waiting))) {
            item_queue_drop_first(&target->waiting);
            if (item_queue_is_empty(&target->waiting)) {
                out->n_waiting--;
                break;
            }
        }
    }
    return out->n_waiting == 0;
}

/* What stands before the barrier in the queue of a target; NULL where it is not there: it is in the channel. */
static struct channel_announcement *announcement_of(const struct item_queue *queue, int64_t checkpoint_id) {
    for (uint32_t n = 0; n < queue->count; n++) {
        const struct channel_item *item = &queue->items[(queue->first + n) & (queue->capacity - 1)];
        if (item->kind != CHANNEL_BARRIER || item->value != checkpoint_id) { continue; }
        struct channel_announcement *made = malloc(sizeof *made + n * sizeof made->batches[0]);
        if (!made) { return NULL; } /* then it is found when it gets into the channel */
        *made = (struct channel_announcement){.checkpoint_id = checkpoint_id, .n = (int32_t)n};
        for (uint32_t i = 0; i < n; i++) {
            struct channel_item *before = &queue->items[(queue->first + i) & (queue->capacity - 1)];
            made->batches[i] = before->kind == CHANNEL_BATCH ? batch_ref(before->batch) : NULL;
        }
        return made;
    }
    return NULL;
}

void exchange_announce(struct exchange_out *out, int64_t checkpoint_id) {
    for (int32_t i = 0; i < out->n_targets; i++) {
        channel_announce(out->targets[i].channel, announcement_of(&out->targets[i].waiting, checkpoint_id));
    }
}

sabot_status exchange_event(struct exchange_out *out, const struct channel_item *event, struct sabot_error *err) {
    assert(!event->batch);
    for (int32_t i = 0; i < out->n_targets; i++) { SABOT_TRY(target_put(out, i, event, err)); }
    return SABOT_OK;
}

void exchange_partition(const struct batch *batch, const uint16_t *owner_of_group, int32_t max_parallelism,
                        int32_t n_targets, uint16_t *target_of_row, int32_t *counts, int32_t *rows) {
    const int32_t n = batch->selected;
    const uint64_t *hashes = batch->hashes;
    const int32_t *selection = batch->selection;
    /* Two passes, a table look-up and a histogram, then a scatter: no branch depends on the data. */
    if (selection) {
        for (int32_t i = 0; i < n; i++) {
            target_of_row[i] = owner_of_group[key_group_of(hashes[selection[i]], max_parallelism)];
        }
    } else {
        for (int32_t i = 0; i < n; i++) { target_of_row[i] = owner_of_group[key_group_of(hashes[i], max_parallelism)]; }
    }
    for (int32_t t = 0; t < n_targets; t++) { counts[t] = 0; }
    for (int32_t i = 0; i < n; i++) { counts[target_of_row[i]]++; }
    int32_t first = 0;
    for (int32_t t = 0; t < n_targets; t++) {
        const int32_t count = counts[t];
        counts[t] = first; /* where its next row goes, for the scatter */
        first += count;
    }
    for (int32_t i = 0; i < n; i++) { rows[counts[target_of_row[i]]++] = selection ? selection[i] : i; }
    for (int32_t t = n_targets - 1; t > 0; t--) { counts[t] -= counts[t - 1]; }
}

/* The rows of one target as a batch of its own. */
static sabot_status part_make(struct exchange_out *out, const struct batch *batch, struct buffer *rows, int32_t first,
                              int32_t n, struct batch **part, struct sabot_error *err) {
    const int32_t *selection = (const int32_t *)(const void *)rows->data + first;
    if ((int64_t)n * SHARE_ROWS_MIN < batch->rows) {
        SABOT_TRY(batch_take(out->pool, batch, selection, n, part, err));
        (*part)->created_ns = batch->created_ns;
        return SABOT_OK;
    }
    SABOT_TRY(batch_with_selection(batch, buffer_ref(rows), n, part, err));
    (*part)->selection = selection; /* all parts share one buffer */
    return SABOT_OK;
}

static sabot_status hash_split(struct exchange_out *out, struct batch *batch, struct sabot_error *err) {
    struct buffer *rows;
    SABOT_TRY(buffer_new(out->pool, (size_t)batch->selected * sizeof(int32_t), &rows, err));
    exchange_partition(batch, out->owner_of_group, out->max_parallelism, out->n_targets, out->target_of_row,
                       out->counts, (int32_t *)(void *)rows->data);
    sabot_status status = SABOT_OK;
    int32_t first = 0;
    for (int32_t t = 0; t < out->n_targets && status == SABOT_OK; t++) {
        const int32_t n = out->counts[t];
        if (n == 0) { continue; }
        struct batch *part = NULL;
        if (n == batch->selected) {
            part = batch_ref(batch);
        } else {
            status = part_make(out, batch, rows, first, n, &part, err);
        }
        if (status == SABOT_OK) { status = target_put_batch(out, t, part, err); }
        first += n;
    }
    buffer_unref(rows);
    return status;
}

/* The batch with the hashes of the edge's keys. Where others hold the batch too, its hashes are not ours to write. */
static sabot_status with_hashes(struct exchange_out *out, struct batch **batch, struct sabot_error *err) {
    if ((*batch)->hashes && (*batch)->hash_key_id == key_id(out->keys, out->n_keys)) { return SABOT_OK; }
    if (atomic_load_explicit(&(*batch)->refs, memory_order_acquire) > 1) {
        struct batch *own;
        SABOT_TRY(batch_copy(*batch, &own, err));
        batch_unref(*batch);
        *batch = own;
    }
    return batch_cache_hashes(out->pool, *batch, out->keys, out->n_keys, err);
}

static sabot_status hash_emit(struct exchange_out *out, struct batch *batch, struct sabot_error *err) {
    BATCH_OWNED struct batch *owned = batch;
    /* With one target the hashes are still worth having: the operator behind needs them, and this task may be on a
     * less busy worker. */
    SABOT_TRY(with_hashes(out, &owned, err));
    if (out->n_targets == 1) { return target_put_batch(out, 0, batch_ref(owned), err); }
    return hash_split(out, owned, err);
}

static int32_t rebalance_target(struct exchange_out *out) {
    /* round robin, but nobody waits for a slow one while another has room */
    for (int32_t i = 0; i < out->n_targets; i++) {
        const int32_t target = (out->next + i) % out->n_targets;
        if (item_queue_is_empty(&out->targets[target].waiting)) {
            out->next = (target + 1) % out->n_targets;
            return target;
        }
    }
    const int32_t target = out->next;
    out->next = (target + 1) % out->n_targets;
    return target;
}

sabot_status exchange_emit(struct exchange_out *out, struct batch *batch, struct sabot_error *err) {
    if (batch->selected == 0) {
        batch_unref(batch);
        return SABOT_OK;
    }
    switch (out->exchange) {
    case EXCHANGE_HASH: return hash_emit(out, batch, err);
    case EXCHANGE_REBALANCE: return target_put_batch(out, rebalance_target(out), batch, err);
    case EXCHANGE_BROADCAST: {
        BATCH_OWNED struct batch *owned = batch;
        for (int32_t i = 0; i < out->n_targets; i++) { SABOT_TRY(target_put_batch(out, i, batch_ref(owned), err)); }
        return SABOT_OK;
    }
    case EXCHANGE_FORWARD:
    case EXCHANGE_GATHER: break;
    }
    assert(out->n_targets == 1);
    return target_put_batch(out, 0, batch, err);
}
