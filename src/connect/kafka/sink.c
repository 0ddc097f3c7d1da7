/* The sink "kafka": rows are encoded into messages and given to librdkafka's producer, whose threads send them. What is
 * not acknowledged yet is bounded by the producer's queue; a full queue makes the task wait. A checkpoint waits until
 * everything written before it is acknowledged: at least once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "connect/kafka/client.h"
#include "connect/kafka/layout.h"

#define QUEUE_KILOBYTES "65536"
#define QUEUE_BYTES (INT64_C(65536) << 10)

static const char *const producer_defaults[][2] = {
    {"partitioner", "murmur2_random"}, /* as Java's client */
    {"linger.ms", "1"},
    {"queue.buffering.max.kbytes", QUEUE_KILOBYTES},
    {"queue.buffering.max.messages", "500000"},
    {"client.id", "sabot"},
    {NULL, NULL},
};

enum partitioner { PARTITION_DEFAULT, PARTITION_FIXED, PARTITION_ROUND_ROBIN };

/* Encoded rows that the producer has not taken yet. */
struct outbox {
    struct text values, keys;
    int64_t *value_ends, *key_ends; /* end of each message in its text */
    struct batch *batch;            /* for metadata columns; NULL where there are none */
    int32_t n, next;
};

struct sink {
    struct connector_context context;
    struct kafka_client client;
    struct kafka_layout layout;
    struct encoder *value_encoder, *key_encoder;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *reports; /* the client's main queue: delivery reports */
    const char *topic_name;
    enum partitioner partitioner;
    int32_t n_partitions;
    int32_t next_partition;
    bool waits_for_delivery; /* before a checkpoint */
    bool has_metadata;
    struct outbox outbox;
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
    if (strcasecmp(guarantee, "exactly-once") == 0) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                          "table \"%s\": 'sink.delivery-guarantee' = 'exactly-once' is not there yet; 'at-least-once' "
                          "may write rows again after a failure, which an idempotent reader bears",
                          table->name);
    }
    sink->waits_for_delivery = strcasecmp(guarantee, "none") != 0;
    return partitioner_read(sink, err);
}

static sabot_status metadata_check(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    for (int32_t i = 0; i < table->schema->n_fields; i++) {
        const enum kafka_metadata metadata = sink->layout.metadata[i];
        if (metadata == KAFKA_NONE) { continue; }
        if (metadata != KAFKA_TIMESTAMP && metadata != KAFKA_HEADERS) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\": the metadata '%s' can't be written; declare the column "
                              "METADATA ... VIRTUAL",
                              table->name, table->metadata[i]);
        }
        sink->has_metadata = true;
    }
    return SABOT_OK;
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

static rd_kafka_headers_t *headers_make(const struct column *column, int64_t row) {
    if (column_is_null(column, row)) { return NULL; }
    const int64_t at = column_at(column, row);
    const int32_t *offsets = column->values;
    const struct column *keys = column->children[0]->children[0], *values = column->children[0]->children[1];
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)(offsets[at + 1] - offsets[at]));
    for (int32_t i = offsets[at]; i < offsets[at + 1]; i++) {
        const struct string_view *name = (const struct string_view *)keys->values + column_at(keys, i);
        const struct string_view *value = (const struct string_view *)values->values + column_at(values, i);
        const bool null = column_is_null(values, i);
        rd_kafka_header_add(headers, string_view_data(name), (ssize_t)name->size, null ? NULL : string_view_data(value),
                            null ? 0 : (ssize_t)value->size);
    }
    return headers;
}

/* One message with a timestamp or headers of its own. */
static rd_kafka_resp_err_t produce_with_metadata(struct sink *sink, int32_t row, const void *key, size_t key_size,
                                                 void *value, size_t value_size, int32_t partition) {
    const struct batch *batch = sink->outbox.batch;
    int64_t time_ms = 0; /* 0: now */
    rd_kafka_headers_t *headers = NULL;
    for (int32_t i = 0; i < batch->n_columns; i++) {
        const struct column *column = batch->columns[i];
        if (sink->layout.metadata[i] == KAFKA_HEADERS) { headers = headers_make(column, row); }
        if (sink->layout.metadata[i] != KAFKA_TIMESTAMP || column_is_null(column, row)) { continue; }
        const int64_t units = timestamp_units_per_ms_num(batch->schema->fields[i].type);
        time_ms = ((const int64_t *)column->values)[column_at(column, row)] / units;
    }
    const rd_kafka_resp_err_t code = rd_kafka_producev(
        sink->client.handle, RD_KAFKA_V_RKT(sink->topic), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE(value, value_size),
        RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers) { rd_kafka_headers_destroy(headers); }
    return code;
}

static rd_kafka_resp_err_t produce(struct sink *sink, int32_t i) {
    struct outbox *outbox = &sink->outbox;
    const int64_t value_begin = i > 0 ? outbox->value_ends[i - 1] : 0;
    const size_t value_size = (size_t)(outbox->value_ends[i] - value_begin);
    char *value = outbox->values.data + value_begin;
    const char *key = NULL;
    size_t key_size = 0;
    if (sink->key_encoder) {
        const int64_t key_begin = i > 0 ? outbox->key_ends[i - 1] : 0;
        key = outbox->keys.data + key_begin;
        key_size = (size_t)(outbox->key_ends[i] - key_begin);
    }
    /* A round robin's turn is used up only by a message that the producer has taken. */
    const int32_t turn = sink->next_partition;
    const int32_t partition = partition_choose(sink);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (outbox->batch) {
        code = produce_with_metadata(sink, batch_row(outbox->batch, i), key, key_size, value, value_size, partition);
    } else if (rd_kafka_produce(sink->topic, partition, RD_KAFKA_MSG_F_COPY, value, value_size, key, key_size, NULL)) {
        code = rd_kafka_last_error();
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) { sink->next_partition = turn; }
    return code;
}

/* Hands encoded rows to the producer until it is full. */
static sabot_status outbox_send(struct sink *sink, struct sabot_error *err) {
    struct outbox *outbox = &sink->outbox;
    while (outbox->next < outbox->n) {
        const rd_kafka_resp_err_t code = produce(sink, outbox->next);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) { return SABOT_OK; }
        if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
            return SABOT_FAIL(err, SABOT_ERR_DATA,
                              "table \"%s\": a row makes a message that is larger than 'properties.max.request.size' "
                              "allows (1000000 bytes unless set)",
                              sink->context.table->name);
        }
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return kafka_client_fail(&sink->client, code, sink->topic_name, err);
        }
        outbox->next++;
    }
    batch_unref(outbox->batch);
    outbox->batch = NULL;
    return SABOT_OK;
}

static bool outbox_is_empty(const struct outbox *outbox) {
    return outbox->next == outbox->n;
}

/* The columns of a part as a batch of their own, with the same rows. */
static sabot_status part_batch(const struct kafka_part *part, const struct batch *batch, struct batch **out,
                               struct sabot_error *err) {
    const int32_t n = part->table.schema->n_fields;
    struct column **columns = calloc((size_t)n + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for columns"); }
    for (int32_t i = 0; i < n; i++) { columns[i] = column_ref(batch->columns[part->columns[i]]); }
    const sabot_status status = batch_with_columns(batch, part->table.schema, columns, n, out, err);
    free(columns);
    return status;
}

static sabot_status part_encode(const struct kafka_part *part, struct encoder *encoder, const struct batch *batch,
                                struct text *target, int64_t **ends, struct sabot_error *err) {
    int64_t *grown = realloc(*ends, ((size_t)batch->selected + 1) * sizeof **ends);
    if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for messages"); }
    *ends = grown;
    BATCH_OWNED struct batch *columns = NULL;
    SABOT_TRY(part_batch(part, batch, &columns, err));
    target->size = 0;
    SABOT_TRY(part->format->encode(encoder, columns, target, *ends, err));
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for messages") : SABOT_OK;
}

static sabot_status outbox_fill(struct sink *sink, struct batch *batch, struct sabot_error *err) {
    struct outbox *outbox = &sink->outbox;
    SABOT_TRY(part_encode(&sink->layout.value, sink->value_encoder, batch, &outbox->values, &outbox->value_ends, err));
    if (sink->key_encoder) {
        SABOT_TRY(part_encode(&sink->layout.key, sink->key_encoder, batch, &outbox->keys, &outbox->key_ends, err));
    }
    outbox->n = batch->selected;
    outbox->next = 0;
    outbox->batch = sink->has_metadata ? batch_ref(batch) : NULL;
    metric_add(&sink->context.metrics->bytes_out, (int64_t)(outbox->values.size + outbox->keys.size));
    return SABOT_OK;
}

static sabot_status kafka_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    *full = false;
    sabot_status status = reports_take(sink, err);
    if (status == SABOT_OK) { status = outbox_send(sink, err); }
    if (status == SABOT_OK && !outbox_is_empty(&sink->outbox)) {
        *full = true;
        return SABOT_OK;
    }
    if (status == SABOT_OK) { status = outbox_fill(sink, batch, err); }
    if (status == SABOT_OK) { status = outbox_send(sink, err); }
    batch_unref(batch);
    return status;
}

/* Whether everything written has been sent and, where asked for, acknowledged; else *full. */
static sabot_status kafka_flush(struct sink *sink, bool wait, bool *full, struct sabot_error *err) {
    *full = false;
    SABOT_TRY(reports_take(sink, err));
    SABOT_TRY(outbox_send(sink, err));
    if (!outbox_is_empty(&sink->outbox)) {
        *full = true;
        return SABOT_OK;
    }
    if (!wait) { return SABOT_OK; }
    *full = rd_kafka_outq_len(sink->client.handle) > 0;
    if (*full) { return SABOT_OK; }
    return reports_take(sink, err);
}

static sabot_status kafka_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                  struct sabot_error *err) {
    (void)checkpoint_id, (void)pending;
    return kafka_flush(sink, sink->waits_for_delivery, full, err);
}

static sabot_status kafka_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    (void)sink, (void)checkpoint_id, (void)err;
    return SABOT_OK; /* what is acknowledged is visible */
}

static sabot_status kafka_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    return kafka_flush(sink, true, full, err);
}

static sabot_status kafka_sink_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    (void)sink, (void)pending, (void)err;
    return SABOT_OK;
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
    if (sink->value_encoder) { sink->layout.value.format->encoder_free(sink->value_encoder); }
    if (sink->key_encoder) { sink->layout.key.format->encoder_free(sink->key_encoder); }
    kafka_layout_clear(&sink->layout);
    memory_charge(sink->context.pool, -sink->charged, NULL);
    text_clear(&sink->outbox.values);
    text_clear(&sink->outbox.keys);
    free(sink->outbox.value_ends);
    free(sink->outbox.key_ends);
    batch_unref(sink->outbox.batch);
    free(sink);
}

static sabot_status encoder_make(const struct connector_table *table, const struct kafka_part *part,
                                 struct encoder **out, struct sabot_error *err) {
    if (!part->format->encoder_new) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the format '%s' can't be written", table->name,
                          part->format->name);
    }
    return part->format->encoder_new(&part->context, out, err);
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
    const struct connector_table *table = sink->context.table;
    SABOT_TRY(options_read(sink, err));
    SABOT_TRY(kafka_layout_init(&sink->layout, &sink->context, false, err));
    SABOT_TRY(metadata_check(sink, err));
    SABOT_TRY(encoder_make(table, &sink->layout.value, &sink->value_encoder, err));
    if (sink->layout.key.format) { SABOT_TRY(encoder_make(table, &sink->layout.key, &sink->key_encoder, err)); }
    SABOT_TRY(memory_charge(sink->context.pool, QUEUE_BYTES, err));
    sink->charged = QUEUE_BYTES;
    SABOT_TRY(producer_start(sink, err));
    return topic_check(sink, err);
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

const struct sink_type kafka_sink = {
    .name = "kafka",
    .summary = "messages of a Kafka topic",
    .options = kafka_options,
    .accepts = SINK_INSERTS,
    .takes_format = true,
    .open = kafka_sink_open,
    .restore = kafka_sink_restore,
    .write = kafka_write,
    .prepare = kafka_prepare,
    .commit = kafka_commit,
    .finish = kafka_finish,
    .close = kafka_sink_close,
};
