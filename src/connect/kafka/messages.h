/* Rows become messages: keys and values are encoded by their formats, timestamps and headers come from metadata
 * columns. */
#ifndef CONNECT_KAFKA_MESSAGES_H
#define CONNECT_KAFKA_MESSAGES_H

#include "connect/kafka/layout.h"
#include "connect/kafka/options.h"

struct kafka_message {
    const char *key, *value; /* NULL: none */
    size_t key_size, value_size;
    int64_t time_ms;         /* 0: when it is sent */
    int32_t partition;       /* the caller's choice; RD_KAFKA_PARTITION_UA: by the key, else spread */
    const char *headers;     /* as kafka_headers_write has made them; NULL: none */
    size_t headers_size;
};

/* The messages of one batch. */
struct kafka_outbox {
    const struct connector_context *context;
    const struct kafka_layout *layout;
    struct encoder *value_encoder, *key_encoder;
    struct text values, keys, headers;
    int64_t *value_ends, *key_ends, *headers_ends; /* end of each message's part in its text */
    struct batch *batch;                           /* for row kinds and timestamps; NULL where there are none */
    int32_t time_column;                           /* -1: none */
    int32_t headers_column;
    int32_t n, next;                               /* next is the caller's */
    size_t message_max;                            /* bytes: 'properties.max.request.size' */
};

/* `context` and `layout` must outlive it. Safe to close where this fails. */
sabot_status kafka_outbox_open(struct kafka_outbox *outbox, const struct connector_context *context,
                               const struct kafka_layout *layout, struct sabot_error *err);
void kafka_outbox_close(struct kafka_outbox *outbox);
/* Replaces what is in it. The batch stays the caller's. */
sabot_status kafka_outbox_fill(struct kafka_outbox *outbox, struct batch *batch, struct sabot_error *err);
/* Message i; false: this row is none (the next one replaces it, of an upsert table). */
bool kafka_outbox_get(const struct kafka_outbox *outbox, int32_t i, struct kafka_message *out);

/* The headers of a message for the client, which takes them over where it takes the message. */
rd_kafka_headers_t *kafka_headers_make(const char *data, size_t size);
/* Gives one message to a producer. partition RD_KAFKA_PARTITION_UA: by the key. */
rd_kafka_resp_err_t kafka_message_produce(rd_kafka_t *handle, rd_kafka_topic_t *topic, int32_t partition,
                                          const struct kafka_message *message);

/* Messages in a row, as bytes: what is kept in a checkpoint until it is sent. */
sabot_status kafka_message_store(const struct kafka_message *message, struct text *target, struct sabot_error *err);
/* The message at *at, which is moved behind it; false: there is none (any more), or it is torn. */
bool kafka_message_load(const char *data, size_t size, size_t *at, struct kafka_message *out);

#endif
