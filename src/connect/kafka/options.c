/* The options of the connector "kafka", with Flink's names, and librdkafka's configuration made from them. */
#include "connect/kafka/options.h"

#include <stdio.h>
#include <stdlib.h>

#define PROPERTY "properties."
#define PROPERTY_SIZE (sizeof PROPERTY - 1)
#define TIMEOUT_DEFAULT_MS 10000

const struct connector_option kafka_options[] = {
    {"topic", OPTION_STRING, NULL, NULL, "topic to read or write; several to read: a;b"},
    {"topic-pattern", OPTION_STRING, NULL, NULL, "read every topic whose whole name matches this regular expression"},
    {"properties.bootstrap.servers", OPTION_STRING, OPTION_REQUIRED, NULL, "brokers: host:port,host:port"},
    {"properties.group.id", OPTION_STRING, NULL, NULL, "consumer group whose offsets are read and committed"},
    {"properties.", OPTION_PREFIX, NULL, NULL, "any setting of the Kafka client"},
    {"key.format", OPTION_STRING, NULL, NULL, "format of the message key"},
    {"key.fields", OPTION_STRING, NULL, NULL, "columns that the key holds: a;b"},
    {"key.fields-prefix", OPTION_STRING, "", NULL, "prefix of the key's columns that the key itself does not have"},
    {"key.", OPTION_PREFIX, NULL, NULL, "option of the key's format"},
    {"value.format", OPTION_STRING, NULL, NULL, "format of the message value; the same as 'format'"},
    {"value.fields-include", OPTION_ENUM, "ALL", "ALL|EXCEPT_KEY", "whether the value holds the key's columns too"},
    {"value.", OPTION_PREFIX, NULL, NULL, "option of the value's format"},
    {"scan.startup.mode", OPTION_ENUM, "group-offsets",
     "earliest-offset|latest-offset|group-offsets|timestamp|specific-offsets", "where to begin without a checkpoint"},
    {"scan.startup.specific-offsets", OPTION_STRING, NULL, NULL, "partition:0,offset:42;partition:1,offset:300"},
    {"scan.startup.timestamp-millis", OPTION_INT, NULL, NULL, "milliseconds since 1970"},
    {"scan.bounded.mode", OPTION_ENUM, "unbounded",
     "unbounded|latest-offset|group-offsets|timestamp|specific-offsets", "where to end"},
    {"scan.bounded.specific-offsets", OPTION_STRING, NULL, NULL, "partition:0,offset:42;partition:1,offset:300"},
    {"scan.bounded.timestamp-millis", OPTION_INT, NULL, NULL, "milliseconds since 1970"},
    {"scan.topic-partition-discovery.interval", OPTION_DURATION, "5 min", NULL,
     "how often to look for new partitions and topics; 0: never"},
    {"scan.parallelism", OPTION_INT, NULL, NULL, "subtasks that read"},
    {"sink.partitioner", OPTION_STRING, "default", NULL,
     "default (by key, else spread), fixed (each subtask one partition) or round-robin"},
    {"sink.delivery-guarantee", OPTION_ENUM, "at-least-once", "none|at-least-once|exactly-once",
     "what holds after a failure"},
    {"sink.transactional-id-prefix", OPTION_STRING, NULL, NULL,
     "for 'exactly-once': a name that no other running job uses"},
    {"sink.parallelism", OPTION_INT, NULL, NULL, "subtasks that write"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

const struct connector_option upsert_kafka_options[] = {
    {"topic", OPTION_STRING, OPTION_REQUIRED, NULL, "topic to read or write"},
    {"properties.bootstrap.servers", OPTION_STRING, OPTION_REQUIRED, NULL, "brokers: host:port,host:port"},
    {"properties.", OPTION_PREFIX, NULL, NULL, "any setting of the Kafka client"},
    {"key.format", OPTION_STRING, OPTION_REQUIRED, NULL, "format of the message key, which is the primary key"},
    {"key.fields-prefix", OPTION_STRING, "", NULL, "prefix of the key's columns that the key itself does not have"},
    {"key.", OPTION_PREFIX, NULL, NULL, "option of the key's format"},
    {"value.format", OPTION_STRING, OPTION_REQUIRED, NULL, "format of the message value"},
    {"value.fields-include", OPTION_ENUM, "ALL", "ALL|EXCEPT_KEY", "whether the value holds the key's columns too"},
    {"value.", OPTION_PREFIX, NULL, NULL, "option of the value's format"},
    {"scan.topic-partition-discovery.interval", OPTION_DURATION, "5 min", NULL,
     "how often to look for new partitions; 0: never"},
    {"scan.bounded.mode", OPTION_ENUM, "unbounded",
     "unbounded|latest-offset|group-offsets|timestamp|specific-offsets", "where to end"},
    {"scan.bounded.specific-offsets", OPTION_STRING, NULL, NULL, "partition:0,offset:42;partition:1,offset:300"},
    {"scan.bounded.timestamp-millis", OPTION_INT, NULL, NULL, "milliseconds since 1970"},
    {"sink.delivery-guarantee", OPTION_ENUM, "at-least-once", "none|at-least-once|exactly-once",
     "what holds after a failure"},
    {"sink.transactional-id-prefix", OPTION_STRING, NULL, NULL,
     "for 'exactly-once': a name that no other running job uses"},
    {"sink.parallelism", OPTION_INT, NULL, NULL, "subtasks that write"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

bool kafka_is_upsert(const struct connector_table *table) {
    for (int32_t i = 0; i < table->n_options; i++) {
        if (strcmp(table->options[i].key, "connector") == 0) {
            return strcmp(table->options[i].value, "upsert-kafka") == 0;
        }
    }
    return false;
}

const char *kafka_property(const struct connector_table *table, const char *name) {
    for (int32_t i = 0; i < table->n_options; i++) {
        const char *key = table->options[i].key;
        if (strncmp(key, PROPERTY, PROPERTY_SIZE) == 0 && strcmp(key + PROPERTY_SIZE, name) == 0) {
            return table->options[i].value;
        }
    }
    return NULL;
}

int kafka_timeout_ms(const struct connector_table *table) {
    const char *text = kafka_property(table, "default.api.timeout.ms");
    const long given = text ? strtol(text, NULL, 10) : 0;
    return given > 0 && given <= 3600000 ? (int)given : TIMEOUT_DEFAULT_MS;
}

/* librdkafka's name of a property, NULL where it has no meaning here. */
static const char *property_name(const char *name) {
    static const struct {
        const char *java, *ours;
    } names[] = {
#define X(java, ours) {java, ours},
#include "connect/kafka/properties.def"
#undef X
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].java, name) == 0) { return names[i].ours; }
    }
    return name;
}

static sabot_status conf_set(rd_kafka_conf_t *conf, const struct connector_table *table, const char *name,
                             const char *value, struct sabot_error *err) {
    char reason[512];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'properties.%s': %s", table->name, name, reason);
}

/* The value of key="..." in a JAAS line, into target; false if it is not there. */
static bool jaas_value(const char *line, const char *key, char *target, size_t size) {
    const char *at = strstr(line, key);
    if (!at) { return false; }
    at += strlen(key);
    while (*at == ' ' || *at == '=') { at++; }
    const char quote = *at == '"' || *at == '\'' ? *at++ : ' ';
    size_t n = 0;
    while (at[n] && at[n] != quote && at[n] != ';' && n + 1 < size) {
        target[n] = at[n];
        n++;
    }
    target[n] = '\0';
    return n > 0;
}

/* Java names user and password in a line of JAAS; librdkafka has two properties. */
static sabot_status jaas_set(rd_kafka_conf_t *conf, const struct connector_table *table, const char *line,
                             struct sabot_error *err) {
    char user[256], password[512];
    if (!jaas_value(line, "username", user, sizeof user) || !jaas_value(line, "password", password, sizeof password)) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\", option 'properties.sasl.jaas.config': there is no username=\"...\" "
                          "password=\"...\" in it; other login modules are set by librdkafka's own 'properties.sasl.*'",
                          table->name);
    }
    SABOT_TRY(conf_set(conf, table, "sasl.username", user, err));
    return conf_set(conf, table, "sasl.password", password, err);
}

static sabot_status property_set(rd_kafka_conf_t *conf, const struct connector_table *table, const char *name,
                                 const char *value, struct sabot_error *err) {
    if (strcmp(name, "sasl.jaas.config") == 0) { return jaas_set(conf, table, value, err); }
    if (strcmp(name, "ssl.truststore.location") == 0 && strstr(value, ".jks")) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\", option 'properties.ssl.truststore.location': Java key stores can't be read; "
                          "export the certificates as PEM (keytool -exportcert -rfc) and name that file",
                          table->name);
    }
    if (strcmp(name, "auto.offset.reset") == 0 && strcmp(value, "none") == 0) { value = "error"; }
    const char *ours = property_name(name);
    return ours ? conf_set(conf, table, ours, value, err) : SABOT_OK;
}

sabot_status kafka_conf_new(const struct connector_table *table, const char *const (*defaults)[2],
                            rd_kafka_conf_t **out, struct sabot_error *err) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    sabot_status status = SABOT_OK;
    for (int i = 0; defaults[i][0] && status == SABOT_OK; i++) {
        status = conf_set(conf, table, defaults[i][0], defaults[i][1], err);
    }
    for (int32_t i = 0; i < table->n_options && status == SABOT_OK; i++) {
        const char *key = table->options[i].key;
        if (strncmp(key, PROPERTY, PROPERTY_SIZE) != 0) { continue; }
        status = property_set(conf, table, key + PROPERTY_SIZE, table->options[i].value, err);
    }
    if (status != SABOT_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    *out = conf;
    return SABOT_OK;
}
