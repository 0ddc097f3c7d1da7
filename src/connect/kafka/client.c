/* A librdkafka client. Its threads report lost connections through callbacks; the last reason is kept, because the
 * request that fails later only says that it timed out. */
#include "connect/kafka/client.h"

#include <stdio.h>

#include "base/log.h"

#define AGAIN_NS INT64_C(50000000)
#define SYSLOG_WARNING 4 /* librdkafka's levels are syslog's, whose header's names clash with ours */

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text) {
    struct kafka_client *client = rd_kafka_opaque(handle);
    /* A broker that is away is told by the request that needs it, not every second; one table's properties serve for
     * reading and for writing; what is tried again is no news. */
    static const char *const quiet[] = {"FAIL", "ERROR", "CONFWARN", "GETPID"};
    bool loud = level <= SYSLOG_WARNING;
    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++) { loud &= strcmp(facility, quiet[i]) != 0; }
    const enum log_level ours = loud ? LOG_WARNING : LOG_DEBUG;
    log_write(client->env, ours, "kafka: %s", text);
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque) {
    (void)handle;
    struct kafka_client *client = opaque;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) { return; } /* the reason came before */
    env_mutex_lock(client->mutex);
    snprintf(client->reason, sizeof client->reason, "%s", reason);
    env_mutex_unlock(client->mutex);
}

sabot_status kafka_client_open(struct kafka_client *client, struct env *env, const struct connector_table *table,
                               rd_kafka_type_t type, rd_kafka_conf_t *conf, struct sabot_error *err) {
    *client = (struct kafka_client){.env = env, .table = table};
    if (env_is_simulated(env)) {
        rd_kafka_conf_destroy(conf);
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                          "table \"%s\": Kafka can't be used in the simulator, whose clock it does not share",
                          table->name);
    }
    client->mutex = env_mutex_new(env);
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    char reason[512];
    client->handle = rd_kafka_new(type, conf, reason, sizeof reason);
    if (client->handle) { return SABOT_OK; }
    rd_kafka_conf_destroy(conf);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the Kafka client does not start: %s", table->name, reason);
}

void kafka_client_close(struct kafka_client *client) {
    if (client->handle) { rd_kafka_destroy(client->handle); }
    if (client->mutex) { env_mutex_free(client->mutex); }
    client->handle = NULL;
    client->mutex = NULL;
}

sabot_status kafka_client_fail(struct kafka_client *client, rd_kafka_resp_err_t code, const char *what,
                               struct sabot_error *err) {
    rd_kafka_poll(client->handle, 0); /* lets the reason in */
    env_mutex_lock(client->mutex);
    char reason[KAFKA_REASON_MAX];
    memcpy(reason, client->reason, sizeof reason);
    env_mutex_unlock(client->mutex);
    const bool unreachable = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                             code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__RESOLVE;
    if (unreachable) {
        return SABOT_FAIL(err, SABOT_ERR_IO,
                          "table \"%s\": %s: no broker answers at '%s'%s%s%s; check 'properties.bootstrap.servers' and "
                          "that the brokers run",
                          client->table->name, what, kafka_property(client->table, "bootstrap.servers"),
                          reason[0] ? " (" : "", reason, reason[0] ? ")" : "");
    }
    const bool missing = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                         code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    return SABOT_FAIL(err, missing ? SABOT_ERR_NOT_FOUND : SABOT_ERR_IO, "table \"%s\": %s: %s", client->table->name,
                      what, rd_kafka_err2str(code));
}

static bool is_passing(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
           code == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT || code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

bool kafka_again(struct env *env, rd_kafka_resp_err_t code, int64_t end_ns) {
    if (!is_passing(code) || env_now_ns(env) >= end_ns) { return false; }
    env_sleep_ns(env, AGAIN_NS);
    return true;
}

sabot_status kafka_client_metadata(struct kafka_client *client, rd_kafka_topic_t *topic, int timeout_ms,
                                   const struct rd_kafka_metadata **out, struct sabot_error *err) {
    const rd_kafka_resp_err_t code = rd_kafka_metadata(client->handle, !topic, topic, out, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) { return kafka_client_fail(client, code, "list the topics", err); }
    return SABOT_OK;
}
