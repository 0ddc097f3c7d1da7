/* Transactions that leave a mark. A failed transaction is begun again; where the brokers have ended it on their own
 * (its time-out) or somebody else uses the id, the producer is made anew, and the mark says what came of the
 * transaction. */
#include "connect/kafka/marked.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "connect/kafka/client.h"
#include "connect/kafka/messages.h"

#define STEP_TIMEOUT_MS 1000 /* of one call, between two looks at `stop` */
#define RETRY_NS INT64_C(100000000)
#define REOPENED_MAX 5
#define MARK_AGE_NS (INT64_C(3600) * 1000000000)

static const char *const producer_defaults[][2] = {
    {"partitioner", "murmur2_random"}, /* as Java's client */
    {"linger.ms", "1"},
    {"queue.buffering.max.kbytes", "65536"},
    {"queue.buffering.max.messages", "500000"},
    {"client.id", "sabot"},
    {NULL, NULL},
};

struct kafka_marked {
    struct epochs_target target;
    struct kafka_client client;
    rd_kafka_topic_t *topic;
    uint64_t token;              /* of this process's use of the id */
    uint64_t mark_token;
    rd_kafka_resp_err_t failure; /* of a message in the open transaction */
};

enum outcome { OUTCOME_DONE, OUTCOME_AGAIN /* the same call */, OUTCOME_ABORT, OUTCOME_LOST /* the producer */ };

static bool stopping(const struct kafka_marked *self) { return self->target.stop && atomic_load(self->target.stop); }

static sabot_status conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, const char *table,
                             struct sabot_error *err) {
    char reason[512];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", '%s': %s", table, name, reason);
}

/* ---- the mark ---- */

static int64_t mark_parse(const rd_kafka_topic_partition_t *item, uint64_t *token) {
    char text[96] = "";
    *token = 0;
    if (item->offset < 0) { return -1; }
    if (item->metadata && item->metadata_size < sizeof text) { memcpy(text, item->metadata, item->metadata_size); }
    if (sscanf(text, "sabot1 %" SCNx64, token) != 1) { return -1; }
    return item->offset;
}

static rd_kafka_resp_err_t mark_ask(struct kafka_marked *self, struct kafka_client *reader) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, self->target.place, 0);
    rd_kafka_resp_err_t code = rd_kafka_committed(reader->handle, list, kafka_timeout_ms(reader->table));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { code = list->elems[0].err; }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { self->target.mark = mark_parse(&list->elems[0], &self->mark_token); }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* By a consumer of its own: a producer could only ask through librdkafka's admin interface, whose answer to "this
 * broker is not the coordinator (yet)" is to look for the client's consumer group, of which a producer has none (2.0.2:
 * it crashed in its own thread when a broker was new). Offsets of transactions under way are waited for. */
static sabot_status reader_open(struct kafka_marked *self, struct kafka_client *reader, struct sabot_error *err) {
    static const char *const defaults[][2] = {{"client.id", "sabot"}, {NULL, NULL}};
    const char *const fixed[][2] = {
        {"group.id", self->target.id}, {"enable.auto.commit", "false"}, {"isolation.level", "read_committed"}};
    const struct connector_table *table = self->target.context->table;
    rd_kafka_conf_t *conf;
    SABOT_TRY(kafka_conf_new(table, defaults, &conf, err));
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const sabot_status status = conf_set(conf, fixed[i][0], fixed[i][1], table->name, err);
        if (status == SABOT_OK) { continue; }
        rd_kafka_conf_destroy(conf);
        return status;
    }
    return kafka_client_open(reader, self->target.context->env, table, RD_KAFKA_CONSUMER, conf, err);
}

static sabot_status mark_read(struct kafka_marked *self, struct sabot_error *err) {
    struct env *env = self->target.context->env;
    const int64_t end_ns = env_now_ns(env) + kafka_timeout_ms(self->target.context->table) * INT64_C(1000000);
    struct kafka_client reader = {0};
    sabot_status status = reader_open(self, &reader, err);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    do {
        if (status == SABOT_OK) { code = mark_ask(self, &reader); }
    } while (kafka_again(env, code, end_ns));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        char what[400];
        snprintf(what, sizeof what, "read the mark of transactional id '%s'", self->target.id);
        status = kafka_client_fail(&reader, code, what, err);
    }
    kafka_client_close(&reader);
    return status;
}

/* ---- life ---- */

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
    (void)handle;
    struct kafka_client *client = opaque;
    struct kafka_marked *self = (struct kafka_marked *)((char *)client - offsetof(struct kafka_marked, client));
    /* Of messages that were thrown away by an abort this says nothing new. */
    const bool news = message->err != RD_KAFKA_RESP_ERR_NO_ERROR && message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
                      message->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    if (news && self->failure == RD_KAFKA_RESP_ERR_NO_ERROR) { self->failure = message->err; }
}

static sabot_status producer_start(struct kafka_marked *self, struct sabot_error *err) {
    const struct connector_table *table = self->target.context->table;
    rd_kafka_conf_t *conf;
    SABOT_TRY(kafka_conf_new(table, producer_defaults, &conf, err));
    const char *timeout = kafka_property(table, "transaction.timeout.ms");
    sabot_status status = conf_set(conf, "transactional.id", self->target.id, table->name, err);
    if (status == SABOT_OK && timeout) { status = conf_set(conf, "transaction.timeout.ms", timeout, table->name, err); }
    if (status != SABOT_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    SABOT_TRY(kafka_client_open(&self->client, self->target.context->env, table, RD_KAFKA_PRODUCER, conf, err));
    self->topic = rd_kafka_topic_new(self->client.handle, self->target.place, NULL);
    if (!self->topic) { return kafka_client_fail(&self->client, rd_kafka_last_error(), self->target.place, err); }
    rd_kafka_error_t *error = rd_kafka_init_transactions(self->client.handle, kafka_timeout_ms(table));
    if (error) {
        const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        char what[400];
        snprintf(what, sizeof what, "take over transactional id '%s'", self->target.id);
        return kafka_client_fail(&self->client, code, what, err);
    }
    return mark_read(self, err);
}

static void producer_end(struct kafka_marked *self) {
    if (self->client.handle) {
        rd_kafka_purge(self->client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    }
    if (self->topic) { rd_kafka_topic_destroy(self->topic); }
    self->topic = NULL;
    kafka_client_close(&self->client);
}

static sabot_status marked_open(struct epochs_target *target, struct sabot_error *err) {
    struct kafka_marked *self = (struct kafka_marked *)target;
    self->token = env_random(target->context->env) | 1;
    return producer_start(self, err);
}

static void marked_close(struct epochs_target *target) { producer_end((struct kafka_marked *)target); }

/* ---- one transaction ---- */

/* What to do after a call; the error is freed. */
static enum outcome outcome_of(struct kafka_marked *self, rd_kafka_error_t *error, const char *what) {
    if (!error) { return OUTCOME_DONE; }
    enum outcome outcome = OUTCOME_LOST;
    if (rd_kafka_error_is_fatal(error)) {
        outcome = OUTCOME_LOST;
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        outcome = OUTCOME_ABORT;
    } else if (rd_kafka_error_is_retriable(error)) {
        outcome = OUTCOME_AGAIN;
    }
    if (self->failure == RD_KAFKA_RESP_ERR_NO_ERROR && outcome != OUTCOME_AGAIN) {
        self->failure = rd_kafka_error_code(error);
    }
    log_write(self->target.context->env, outcome == OUTCOME_AGAIN ? LOG_DEBUG : LOG_WARNING,
              "kafka: transactional id '%s': %s: %s", self->target.id, what, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return outcome;
}

static enum outcome messages_produce(struct kafka_marked *self, const struct epoch *epoch) {
    struct kafka_message message;
    int32_t part = 0;
    struct kept_piece rows = epoch_part(epoch, 0);
    size_t at = 0;
    for (int64_t n = 0;; n++) {
        while (!kafka_message_load(rows.data, rows.size, &at, &message)) {
            if (part == epoch->n_pieces) { return OUTCOME_DONE; }
            memory_relax(self->target.context->pool);
            rows = epoch_part(epoch, ++part);
            at = 0;
        }
        if (n == epoch->n / 2) { env_point(self->target.context->env, ENV_POINT_KAFKA_PRODUCE); }
        rd_kafka_resp_err_t code;
        while ((code = kafka_message_produce(self->client.handle, self->topic, message.partition, &message)) ==
               RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(self->client.handle, 10);
            if (stopping(self)) { return OUTCOME_ABORT; }
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { continue; }
        if (self->failure == RD_KAFKA_RESP_ERR_NO_ERROR) { self->failure = code; }
        return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR__FATAL ? OUTCOME_LOST : OUTCOME_ABORT;
    }
}

static enum outcome mark_send(struct kafka_marked *self, const struct epoch *epoch) {
    char text[96];
    const int size = snprintf(text, sizeof text, "sabot1 %016" PRIx64 " checkpoint %" PRId64, self->token,
                              epoch->checkpoint_id);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *item = rd_kafka_topic_partition_list_add(list, self->target.place, 0);
    item->offset = epoch->number;
    item->metadata = strdup(text); /* librdkafka frees it */
    item->metadata_size = item->metadata ? (size_t)size : 0;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(self->target.id);
    enum outcome outcome;
    do {
        outcome = outcome_of(self,
                             rd_kafka_send_offsets_to_transaction(self->client.handle, list, group, STEP_TIMEOUT_MS),
                             "set the mark");
    } while (outcome == OUTCOME_AGAIN && !stopping(self));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(list);
    return outcome;
}

static enum outcome transaction_run(struct kafka_marked *self, const struct epoch *epoch) {
    rd_kafka_t *handle = self->client.handle;
    self->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    enum outcome outcome = outcome_of(self, rd_kafka_begin_transaction(handle), "begin a transaction");
    if (outcome == OUTCOME_DONE) { outcome = messages_produce(self, epoch); }
    if (outcome == OUTCOME_DONE) { outcome = mark_send(self, epoch); }
    while (outcome == OUTCOME_DONE && rd_kafka_flush(handle, STEP_TIMEOUT_MS) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        if (stopping(self)) { outcome = OUTCOME_ABORT; }
    }
    if (outcome != OUTCOME_DONE) { return outcome; }
    env_point(self->target.context->env, ENV_POINT_KAFKA_SENT);
    do {
        outcome = outcome_of(self, rd_kafka_commit_transaction(handle, STEP_TIMEOUT_MS), "commit a transaction");
    } while (outcome == OUTCOME_AGAIN && !stopping(self));
    if (outcome == OUTCOME_DONE) { env_point(self->target.context->env, ENV_POINT_KAFKA_COMMITTED); }
    return outcome;
}

static enum outcome transaction_abort(struct kafka_marked *self) {
    enum outcome outcome;
    do {
        outcome = outcome_of(self, rd_kafka_abort_transaction(self->client.handle, STEP_TIMEOUT_MS),
                             "abort a transaction");
    } while (outcome == OUTCOME_AGAIN && !stopping(self));
    return outcome == OUTCOME_ABORT ? OUTCOME_LOST : outcome;
}

/* ---- sending ---- */

/* Whether sending the same again can't help. */
static bool is_hopeless(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: return true;
    default: return false;
    }
}

static sabot_status hopeless(struct kafka_marked *self, const struct epoch *epoch, struct sabot_error *err) {
    char what[600];
    snprintf(what, sizeof what,
             "the rows of checkpoint %" PRId64 " can't be sent to topic '%s'; mend the cause and start from the "
             "checkpoint, which has them",
             epoch->checkpoint_id, self->target.place);
    return kafka_client_fail(&self->client, self->failure, what, err);
}

/* Makes the producer anew and asks the mark what came of the transaction. */
static sabot_status producer_renew(struct kafka_marked *self, const struct epoch *epoch, bool *sent,
                                   struct sabot_error *err) {
    const int64_t mark = self->target.mark;
    const uint64_t token = self->mark_token;
    producer_end(self);
    SABOT_TRY(producer_start(self, err));
    if (self->target.mark >= epoch->number && self->mark_token == self->token) {
        *sent = true;
        return SABOT_OK;
    }
    if (self->target.mark != mark || self->mark_token != token) {
        return SABOT_FAIL(err, SABOT_ERR_STATE,
                          "table \"%s\": another job has taken over the transactional id '%s': it was restarted from "
                          "this job's checkpoint, or has the same 'sink.transactional-id-prefix'",
                          self->target.context->table->name, self->target.id);
    }
    return SABOT_OK;
}

static sabot_status marked_send(struct epochs_target *target, const struct epoch *epoch, bool *sent,
                                struct sabot_error *err) {
    struct kafka_marked *self = (struct kafka_marked *)target;
    *sent = false;
    int reopened = 0;
    while (!stopping(self)) {
        enum outcome outcome = transaction_run(self, epoch);
        if (outcome == OUTCOME_DONE) {
            self->target.mark = epoch->number;
            self->mark_token = self->token;
            *sent = true;
            return SABOT_OK;
        }
        if (stopping(self)) { break; }
        if (outcome == OUTCOME_ABORT) {
            const rd_kafka_resp_err_t failure = self->failure;
            outcome = transaction_abort(self);
            self->failure = failure;
            if (is_hopeless(failure)) { return hopeless(self, epoch, err); }
        }
        if (outcome == OUTCOME_LOST) {
            if (is_hopeless(self->failure) || ++reopened > REOPENED_MAX) { return hopeless(self, epoch, err); }
            SABOT_TRY(producer_renew(self, epoch, sent, err));
            if (*sent) { return SABOT_OK; }
        }
        env_sleep_ns(self->target.context->env, RETRY_NS);
    }
    return SABOT_OK;
}

static sabot_status mark_missing(const struct connector_context *context, const char *id, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_STATE,
                      "table \"%s\": the mark of transactional id '%s' (the committed offset of a group of this name) "
                      "is gone, so it can't be told whether the last rows of the checkpoint were sent: the brokers "
                      "keep it for 'offsets.retention.minutes'. Start with 'sink.delivery-guarantee' = 'at-least-once' "
                      "to send them, perhaps a second time",
                      context->table->name, id);
}

const struct epochs_type kafka_epochs = {
    .tag = "kafka1",
    .thread = "kafka-commit",
    .id_option = "'sink.transactional-id-prefix'",
    .size = sizeof(struct kafka_marked),
    .mark_age_ns = MARK_AGE_NS,
    .open = marked_open,
    .send = marked_send,
    .close = marked_close,
    .mark_missing = mark_missing,
};
