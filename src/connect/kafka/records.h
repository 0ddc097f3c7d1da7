/* Messages become columns: values and keys are decoded by their formats, metadata columns are filled from the
 * messages. */
#ifndef CONNECT_KAFKA_RECORDS_H
#define CONNECT_KAFKA_RECORDS_H

#include "connect/kafka/layout.h"
#include "connect/kafka/options.h"

/* Messages of one partition that become rows. */
struct kafka_messages {
    rd_kafka_message_t **items;
    int32_t n;
};
struct kafka_place {
    const char *topic;
    int32_t partition;
};

struct arrow_message_reader;
struct kafka_records {
    const struct connector_context *context;
    const struct kafka_layout *layout;
    struct decoder *value_decoder, *key_decoder;
    struct arrow_message_reader *arrow; /* instead of value_decoder: each message is many rows */
};

/* Both must outlive it. Safe to close where this fails. */
sabot_status kafka_records_open(struct kafka_records *self, const struct connector_context *context,
                                const struct kafka_layout *layout, struct sabot_error *err);
void kafka_records_close(struct kafka_records *self);
/* How many messages may be given at a time. */
int32_t kafka_records_max(const struct kafka_records *self);
/* The rows of messages, at least one; *out stays NULL where none can be decoded. The messages stay the caller's. */
sabot_status kafka_records_batch(struct kafka_records *self, const struct kafka_place *place,
                                 const struct kafka_messages *taken, struct batch **out, struct sabot_error *err);

#endif
