/* What the Kafka source and sink share: the table of options, and the client's configuration from 'properties.*'. */
#ifndef CONNECT_KAFKA_OPTIONS_H
#define CONNECT_KAFKA_OPTIONS_H

#include <librdkafka/rdkafka.h>

#include "connect/connector.h"

extern const struct connector_option kafka_options[];
extern const struct connector_option upsert_kafka_options[]; /* each of them is also in kafka_options */

/* 'connector' = 'upsert-kafka' */
bool kafka_is_upsert(const struct connector_table *table);

/* A client configuration from the table's properties; `defaults` are pairs of librdkafka's names, ended by NULL, that a
 * property overrides. Destroyed by rd_kafka_new where that succeeds. */
sabot_status kafka_conf_new(const struct connector_table *table, const char *const (*defaults)[2],
                            rd_kafka_conf_t **out, struct sabot_error *err);

/* The value of a property, NULL if it is not given. `name` without "properties.". */
const char *kafka_property(const struct connector_table *table, const char *name);

/* How long a request that the job can't go on without may take. */
int kafka_timeout_ms(const struct connector_table *table);

#endif
