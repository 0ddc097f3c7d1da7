/* A producer with a transactional id whose transactions leave a mark: a committed offset that says which epoch was sent
 * last. Blocks; one thread at a time. */
#ifndef CONNECT_KAFKA_MARKED_H
#define CONNECT_KAFKA_MARKED_H

#include "connect/kafka/client.h"
#include "connect/kafka/messages.h"

#define KAFKA_TRANSACTIONAL_ID_MAX 256
#define KAFKA_TOPIC_MAX 250

struct kafka_marked {
    const struct connector_context *context;
    struct kafka_client client;
    rd_kafka_topic_t *topic;
    char id[KAFKA_TRANSACTIONAL_ID_MAX];
    char topic_name[KAFKA_TOPIC_MAX];
    uint64_t token;              /* of this process's use of the id */
    int64_t mark;                /* epoch that was sent last; -1: there is no mark */
    uint64_t mark_token;
    rd_kafka_resp_err_t failure; /* of a message in the open transaction */
    _Atomic bool *stop;          /* give up where you are; may be NULL */
};

struct kafka_epoch {
    int64_t number, checkpoint_id;
    const char *data; /* stored messages */
    size_t size;
    int64_t n;
};

/* Ends whatever the id has open, fences its former user and reads the mark. Must stay where it is until it is closed,
 * also where this fails. */
sabot_status kafka_marked_open(struct kafka_marked *self, const struct connector_context *context, const char *id,
                               const char *topic, _Atomic bool *stop, struct sabot_error *err);
void kafka_marked_close(struct kafka_marked *self);
/* Makes the epoch and its mark visible in one transaction, however long the brokers are away. *sent stays false only
 * where `stop` was set. */
sabot_status kafka_marked_send(struct kafka_marked *self, const struct kafka_epoch *epoch, bool *sent,
                               struct sabot_error *err);

#endif
