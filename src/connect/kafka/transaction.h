/* Exactly-once: the messages of an epoch (from barrier to barrier) are kept, go into the checkpoint, and are sent
 * behind it in one transaction together with a mark that says so. See docs/decisions/0015-exactly-once-to-kafka.md.
 *
 * Called by the task; a thread of its own sends, so that only open, restore and close wait for a broker. */
#ifndef CONNECT_KAFKA_TRANSACTION_H
#define CONNECT_KAFKA_TRANSACTION_H

#include "connect/kafka/messages.h"

struct kafka_transactions;

/* Fences whoever used the transactional id before. `context` must outlive it. */
sabot_status kafka_transactions_open(const struct connector_context *context, const char *topic, const char *prefix,
                                     struct kafka_transactions **out, struct sabot_error *err);
/* Waits for the sending thread, which stops in the middle: the checkpoint has the rest. NULL is allowed. */
void kafka_transactions_close(struct kafka_transactions *self);

/* Epochs of a complete checkpoint that may not have been sent. */
sabot_status kafka_transactions_restore(struct kafka_transactions *self, const struct batch *pending,
                                        struct sabot_error *err);
/* Adds a message to the epoch. */
sabot_status kafka_transactions_add(struct kafka_transactions *self, const struct kafka_message *message,
                                    struct sabot_error *err);
/* Too much waits to be sent: take no more rows until woken. */
bool kafka_transactions_full(struct kafka_transactions *self);
/* The epoch is over; appends all that is not sent yet. *full: not now, again when woken. */
sabot_status kafka_transactions_prepare(struct kafka_transactions *self, int64_t checkpoint_id, struct text *pending,
                                        bool *full, struct sabot_error *err);
/* Sends the epochs up to this checkpoint. */
sabot_status kafka_transactions_commit(struct kafka_transactions *self, int64_t checkpoint_id, struct sabot_error *err);
/* *done: all that was to be sent is. Also tells of what failed meanwhile. */
sabot_status kafka_transactions_done(struct kafka_transactions *self, bool *done, struct sabot_error *err);

/* For sinks that have no transactions any more: ends what transactional ids of the checkpoint have open, and sends the
 * epochs that were not sent, or of which that is not known. */
sabot_status kafka_pending_finish(const struct connector_context *context, const struct batch *pending,
                                  struct sabot_error *err);

#endif
