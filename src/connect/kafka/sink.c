/* The sinks "kafka" and "upsert-kafka": rows are encoded into messages and given to librdkafka's producer, whose
 * threads send them. What is not acknowledged yet is bounded by the producer's queue; a full queue makes the task wait.
 * A checkpoint waits until everything written before it is acknowledged: at least once. With 'exactly-once' the
 * messages are kept until the checkpoint is complete, and sent in a transaction (connect/epochs.c, marked.c). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "connect/kafka/client.h"
#include "connect/kafka/marked.h"
#include "connect/kafka/messages.h"

#define PREFIX_MAX 200
#define QUEUE_KILOBYTES "65536"
#define QUEUE_BYTES (INT64_C(65536) << 10)
#define SLICE_ROWS 1024 /* encoded at a time: the client's threads send these while the next are encoded */

static const char *const producer_defaults[][2] = {
    {"partitioner", "murmur2_random"}, /* as Java's client */
    {"linger.ms", "1"},
    {"socket.nagle.disable", "true"}, /* as Java's client */
    {"queue.buffering.max.kbytes", QUEUE_KILOBYTES},
    {"queue.buffering.max.messages", "500000"},
    {"client.id", "sabot"},
    {NULL, NULL},
};

enum partitioner { PARTITION_DEFAULT, PARTITION_FIXED, PARTITION_ROUND_ROBIN };

struct sink {
    struct connector_context context;
    struct kafka_client client;
    struct kafka_layout layout;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *reports; /* the client's main queue: delivery reports */
    const char *topic_name;
    enum partitioner partitioner;
    int32_t n_partitions;
    int32_t next_partition;
    bool waits_for_delivery; /* before a checkpoint */
    const char *id_prefix;   /* 'exactly-once' */
    struct epochs *transactions; /* 'exactly-once': they send, not `client` */
    struct kafka_outbox outbox;
    struct batch *rest; /* rows from rest_at on are not in the outbox yet; NULL: none */
    int32_t rest_at;
    bool finishing;
    rd_kafka_resp_err_t failure; /* of a delivery; the job can't go on */
    int64_t charged;
};

/* ---- options ---- */

static sabot_status partitioner_read(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    const char *name = option_text(table, kafka_options, "sink.partitioner");
    if (strcasecmp(name, "default") == 0) {
        sink->partitioner = PARTITION_DEFAULT;
    } else if (strcasecmp(name, "fixed") == 0) {
        sink->partitioner = PARTITION_FIXED;
    } else if (strcasecmp(name, "round-robin") == 0) {
        sink->partitioner = PARTITION_ROUND_ROBIN;
    } else {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                          "table \"%s\", option 'sink.partitioner': '%s' is neither default, fixed nor round-robin; "
                          "Java classes can't be loaded",
                          table->name, name);
    }
    return SABOT_OK;
}

static sabot_status options_read(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    sink->topic_name = option_text(table, kafka_options, "topic");
    if (!sink->topic_name || option_text(table, kafka_options, "topic-pattern") || strchr(sink->topic_name, ';')) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": writing needs exactly one 'topic'", table->name);
    }
    const char *guarantee = option_text(table, kafka_options, "sink.delivery-guarantee");
    const char *prefix = option_text(table, kafka_options, "sink.transactional-id-prefix");
    if (strcasecmp(guarantee, "exactly-once") == 0) {
        if (!prefix || !*prefix) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\": 'sink.delivery-guarantee' = 'exactly-once' needs "
                              "'sink.transactional-id-prefix': a name that no other running job uses",
                              table->name);
        }
        if (strlen(prefix) > PREFIX_MAX || strpbrk(prefix, " \t\r\n")) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\", option 'sink.transactional-id-prefix': at most %d bytes, without spaces",
                              table->name, PREFIX_MAX);
        }
        sink->id_prefix = prefix;
    }
    sink->waits_for_delivery = strcasecmp(guarantee, "none") != 0;
    return partitioner_read(sink, err);
}

/* ---- sending ---- */

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
    (void)handle;
    struct kafka_client *client = opaque;
    struct sink *sink = (struct sink *)((char *)client - offsetof(struct sink, client));
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && sink->failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
        sink->failure = message->err;
    }
}

static void on_report(rd_kafka_t *handle, void *opaque) {
    (void)handle;
    struct sink *sink = opaque;
    sink->context.wake(sink->context.wake_arg);
}

/* Takes in delivery reports; an earlier failure is returned from here on. */
static sabot_status reports_take(struct sink *sink, struct sabot_error *err) {
    rd_kafka_poll(sink->client.handle, 0);
    if (sink->failure == RD_KAFKA_RESP_ERR_NO_ERROR) { return SABOT_OK; }
    char what[320];
    snprintf(what, sizeof what, "a message was not delivered to topic '%s'", sink->topic_name);
    return kafka_client_fail(&sink->client, sink->failure, what, err);
}

static int32_t partition_choose(struct sink *sink) {
    switch (sink->partitioner) {
    case PARTITION_FIXED: return sink->context.subtask % sink->n_partitions;
    case PARTITION_ROUND_ROBIN: {
        const int32_t partition = sink->next_partition;
        sink->next_partition = (partition + 1) % sink->n_partitions;
        return partition;
    }
    default: return RD_KAFKA_PARTITION_UA;
    }
}

static sabot_status produce_failed(struct sink *sink, rd_kafka_resp_err_t code, struct sabot_error *err) {
    return kafka_client_fail(&sink->client, code, sink->topic_name, err);
}

static sabot_status epoch_add(struct epochs *epochs, const struct kafka_message *message, struct sabot_error *err) {
    struct text *messages = epochs_rows(epochs, err);
    if (!messages) { return SABOT_ERR_MEMORY; }
    SABOT_TRY(kafka_message_store(message, messages, err));
    return epochs_added(epochs, 1, err);
}

/* Hands encoded rows to the producer until it is full. */
static sabot_status outbox_send(struct sink *sink, struct sabot_error *err) {
    struct kafka_outbox *outbox = &sink->outbox;
    for (; outbox->next < outbox->n; outbox->next++) {
        struct kafka_message message;
        if (!kafka_outbox_get(outbox, outbox->next, &message)) { continue; }
        /* A round robin's turn is used up only by a message that the producer has taken. */
        const int32_t turn = sink->next_partition;
        message.partition = partition_choose(sink);
        if (sink->transactions) {
            SABOT_TRY(epoch_add(sink->transactions, &message, err));
            continue;
        }
        const rd_kafka_resp_err_t code =
            kafka_message_produce(sink->client.handle, sink->topic, message.partition, &message);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { continue; }
        sink->next_partition = turn;
        return code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? SABOT_OK : produce_failed(sink, code, err);
    }
    return SABOT_OK;
}

static bool outbox_is_empty(const struct kafka_outbox *outbox) { return outbox->next >= outbox->n; }

/* Rows of an update belong together, and a message of format 'arrow' is many rows: they are not cut. */
static bool is_cut(const struct sink *sink, const struct batch *batch) {
    return !sink->layout.is_arrow && !batch->row_kinds && batch->selected > SLICE_ROWS;
}

/* Encodes the next rows of the rest into the outbox, which is empty. */
static sabot_status rest_encode(struct sink *sink, struct sabot_error *err) {
    struct batch *rest = sink->rest;
    int32_t n = rest->selected - sink->rest_at;
    sabot_status status = SABOT_OK;
    if (is_cut(sink, rest)) {
        n = n < SLICE_ROWS ? n : SLICE_ROWS;
        struct buffer *selection;
        SABOT_TRY(buffer_new(sink->context.pool, (size_t)n * sizeof(int32_t), &selection, err));
        int32_t *rows = (int32_t *)(void *)selection->data;
        for (int32_t i = 0; i < n; i++) { rows[i] = batch_row(rest, sink->rest_at + i); }
        BATCH_OWNED struct batch *slice = NULL;
        SABOT_TRY(batch_with_selection(rest, selection, n, &slice, err));
        status = kafka_outbox_fill(&sink->outbox, slice, err);
    } else {
        status = kafka_outbox_fill(&sink->outbox, rest, err);
    }
    sink->rest_at += n;
    if (sink->rest_at == rest->selected) {
        sink->rest = NULL;
        batch_unref(rest);
    }
    return status;
}

/* Sends what it can of the outbox and the rest. */
static sabot_status rest_send(struct sink *sink, struct sabot_error *err) {
    SABOT_TRY(outbox_send(sink, err));
    while (sink->rest && outbox_is_empty(&sink->outbox)) {
        SABOT_TRY(rest_encode(sink, err));
        SABOT_TRY(outbox_send(sink, err));
    }
    return SABOT_OK;
}

/* Sends what it can. *full: some rows still wait. */
static sabot_status outbox_go_on(struct sink *sink, bool *full, struct sabot_error *err) {
    *full = false;
    if (sink->transactions) {
        bool done; /* for what has failed meanwhile */
        SABOT_TRY(epochs_done(sink->transactions, &done, err));
        *full = epochs_full(sink->transactions);
        return SABOT_OK;
    }
    SABOT_TRY(reports_take(sink, err));
    SABOT_TRY(rest_send(sink, err));
    *full = sink->rest || !outbox_is_empty(&sink->outbox);
    return SABOT_OK;
}

static sabot_status kafka_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    const sabot_status status = outbox_go_on(sink, full, err);
    if (status == SABOT_OK && *full) { return SABOT_OK; }
    if (status != SABOT_OK) {
        batch_unref(batch);
        return status;
    }
    sink->rest = batch;
    sink->rest_at = 0;
    return rest_send(sink, err);
}

/* Whether everything written has been sent and, where asked for, acknowledged; else *full. */
static sabot_status kafka_flush(struct sink *sink, bool wait, bool *full, struct sabot_error *err) {
    SABOT_TRY(outbox_go_on(sink, full, err));
    if (*full || !wait) { return SABOT_OK; }
    *full = rd_kafka_outq_len(sink->client.handle) > 0;
    return *full ? SABOT_OK : reports_take(sink, err);
}

static sabot_status kafka_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                  struct sabot_error *err) {
    if (sink->transactions) {
        return epochs_prepare(sink->transactions, checkpoint_id, pending, full, err);
    }
    return kafka_flush(sink, sink->waits_for_delivery, full, err);
}

/* What is acknowledged is visible; only transactions are sent now. */
static sabot_status kafka_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    return sink->transactions ? epochs_commit(sink->transactions, checkpoint_id, err) : SABOT_OK;
}

static sabot_status kafka_committed(struct sink *sink, bool *done, struct sabot_error *err) {
    *done = true;
    return sink->transactions ? epochs_done(sink->transactions, done, err) : SABOT_OK;
}

static sabot_status kafka_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    if (!sink->transactions) { return kafka_flush(sink, true, full, err); }
    if (!sink->finishing) {
        struct text unused = {0};
        sabot_status status = epochs_prepare(sink->transactions, 0, &unused, full, err);
        text_clear(&unused);
        if (status == SABOT_OK && !*full) { status = epochs_commit(sink->transactions, 0, err); }
        if (status != SABOT_OK || *full) { return status; }
        sink->finishing = true;
    }
    bool done;
    SABOT_TRY(epochs_done(sink->transactions, &done, err));
    *full = !done;
    return SABOT_OK;
}

/* ---- restore ---- */

static sabot_status kafka_sink_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    if (!pending) { return SABOT_OK; }
    if (sink->transactions) { return epochs_restore(sink->transactions, pending, err); }
    return epochs_pending_finish(&kafka_epochs, &sink->context, pending, err); /* 'exactly-once' before, and no more */
}

/* ---- life ---- */

static void kafka_sink_close(struct sink *sink) {
    if (!sink) { return; }
    if (sink->reports) {
        rd_kafka_queue_cb_event_enable(sink->reports, NULL, NULL);
        rd_kafka_queue_destroy(sink->reports);
    }
    if (sink->client.handle) {
        rd_kafka_purge(sink->client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    }
    if (sink->topic) { rd_kafka_topic_destroy(sink->topic); }
    kafka_client_close(&sink->client);
    epochs_close(sink->transactions);
    batch_unref(sink->rest);
    kafka_outbox_close(&sink->outbox);
    kafka_layout_clear(&sink->layout);
    memory_charge(sink->context.pool, -sink->charged, NULL);
    free(sink);
}

static sabot_status producer_start(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    rd_kafka_conf_t *conf;
    SABOT_TRY(kafka_conf_new(table, producer_defaults, &conf, err));
    const char *acks = kafka_property(table, "acks");
    const bool acks_all = !acks || strcmp(acks, "all") == 0 || strcmp(acks, "-1") == 0;
    if (!kafka_property(table, "enable.idempotence") && acks_all) {
        char reason[256]; /* as Java's client: on, unless acks forbids it */
        rd_kafka_conf_set(conf, "enable.idempotence", "true", reason, sizeof reason);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    SABOT_TRY(kafka_client_open(&sink->client, sink->context.env, table, RD_KAFKA_PRODUCER, conf, err));
    sink->topic = rd_kafka_topic_new(sink->client.handle, sink->topic_name, NULL);
    if (!sink->topic) { return kafka_client_fail(&sink->client, rd_kafka_last_error(), sink->topic_name, err); }
    sink->reports = rd_kafka_queue_get_main(sink->client.handle);
    rd_kafka_queue_cb_event_enable(sink->reports, on_report, sink);
    return SABOT_OK;
}

/* The topic must be there, or the broker make it. */
static sabot_status topic_check(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    const int64_t end_ns = env_now_ns(sink->context.env) + kafka_timeout_ms(table) * INT64_C(1000000);
    while (true) {
        const struct rd_kafka_metadata *metadata;
        SABOT_TRY(kafka_client_metadata(&sink->client, sink->topic, kafka_timeout_ms(table), &metadata, err));
        const bool there = metadata->topic_cnt > 0 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        const rd_kafka_resp_err_t code =
            metadata->topic_cnt > 0 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        sink->n_partitions = there ? metadata->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(metadata);
        if (sink->n_partitions > 0) { return SABOT_OK; }
        /* A topic that the broker makes on first use has no leader for a moment. */
        const bool being_made = there || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
                                code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (!being_made || env_now_ns(sink->context.env) >= end_ns) {
            return kafka_client_fail(&sink->client, code, sink->topic_name, err);
        }
        env_sleep_ns(sink->context.env, 50000000);
    }
}

static sabot_status sink_setup(struct sink *sink, struct sabot_error *err) {
    SABOT_TRY(options_read(sink, err));
    SABOT_TRY(kafka_layout_init(&sink->layout, &sink->context, false, err));
    SABOT_TRY(kafka_outbox_open(&sink->outbox, &sink->context, &sink->layout, err));
    SABOT_TRY(memory_charge(sink->context.pool, QUEUE_BYTES, err));
    sink->charged = QUEUE_BYTES;
    SABOT_TRY(producer_start(sink, err));
    SABOT_TRY(topic_check(sink, err));
    if (!sink->id_prefix) { return SABOT_OK; }
    return epochs_open(&kafka_epochs, &sink->context, sink->topic_name, sink->id_prefix, &sink->transactions, err);
}

static sabot_status kafka_sink_open(const struct connector_context *context, struct sink **out,
                                    struct sabot_error *err) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for the sink"); }
    sink->context = *context;
    const sabot_status status = sink_setup(sink, err);
    if (status != SABOT_OK) {
        kafka_sink_close(sink);
        return status;
    }
    *out = sink;
    return SABOT_OK;
}

#define SINK_CALLS                                                                                                     \
    .takes_format = true, .open = kafka_sink_open, .restore = kafka_sink_restore, .write = kafka_write,                \
    .prepare = kafka_prepare, .commit = kafka_commit, .committed = kafka_committed, .finish = kafka_finish,            \
    .close = kafka_sink_close

const struct sink_type kafka_sink = {
    .name = "kafka",
    .summary = "messages of a Kafka topic",
    .options = kafka_options,
    .accepts = SINK_INSERTS,
    .keeps_rows = true,
    SINK_CALLS,
};

const struct sink_type upsert_kafka_sink = {
    .name = "upsert-kafka",
    .summary = "the newest value of each primary key as a message, deletions as messages without a value",
    .options = upsert_kafka_options,
    .accepts = SINK_INSERTS | SINK_UPSERTS,
    .keeps_rows = true,
    SINK_CALLS,
};
