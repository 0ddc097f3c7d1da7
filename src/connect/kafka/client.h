/* A librdkafka client whose errors and log lines go where ours go. */
#ifndef CONNECT_KAFKA_CLIENT_H
#define CONNECT_KAFKA_CLIENT_H

#include "connect/kafka/options.h"

#define KAFKA_REASON_MAX 256

struct kafka_client {
    struct env *env;
    const struct connector_table *table;
    rd_kafka_t *handle;
    struct env_mutex *mutex; /* guards reason */
    char reason[KAFKA_REASON_MAX]; /* why the last connection failed; librdkafka's threads write it */
};

/* Takes over `conf`. The client must stay where it is until it is closed. */
sabot_status kafka_client_open(struct kafka_client *client, struct env *env, const struct connector_table *table,
                               rd_kafka_type_t type, rd_kafka_conf_t *conf, struct sabot_error *err);
void kafka_client_close(struct kafka_client *client);

/* A failure of a request: "table "t": <what>: <librdkafka's reason> (<why the last connection failed>)". */
sabot_status kafka_client_fail(struct kafka_client *client, rd_kafka_resp_err_t code, const char *what,
                               struct sabot_error *err);

/* A group's coordinator or a partition's leader that has just started, or moved, or is ending a transaction: waits
 * for a moment and says that the request is to be made again, but for where it is later than end_ns. */
bool kafka_again(struct env *env, rd_kafka_resp_err_t code, int64_t end_ns);

/* Topics and partitions as the brokers know them: of one topic, or of all (topic NULL). Blocks up to timeout_ms. */
sabot_status kafka_client_metadata(struct kafka_client *client, rd_kafka_topic_t *topic, int timeout_ms,
                                   const struct rd_kafka_metadata **out, struct sabot_error *err);

#endif
