/* Rows become messages, and messages become bytes that a checkpoint keeps. */
#include "connect/kafka/messages.h"

#include <stdlib.h>
#include <string.h>

#include "format/arrow_message.h"

#define NONE UINT32_MAX /* size of what is NULL */
#define MESSAGE_MAX_DEFAULT 1000000
#define MESSAGE_OVERHEAD 512 /* what a record batch adds to a message, at most */

/* ---- one message ---- */

struct stored {
    uint32_t key_size, value_size, headers_size;
    int32_t partition;
    int64_t time_ms;
};

sabot_status kafka_message_store(const struct kafka_message *message, struct text *target, struct sabot_error *err) {
    const size_t key = message->key ? message->key_size : 0, value = message->value ? message->value_size : 0;
    const struct stored stored = {
        .key_size = message->key ? (uint32_t)key : NONE,
        .value_size = message->value ? (uint32_t)value : NONE,
        .headers_size = message->headers ? (uint32_t)message->headers_size : NONE,
        .partition = message->partition,
        .time_ms = message->time_ms,
    };
    const size_t headers = message->headers ? message->headers_size : 0;
    char *at = text_reserve(target, sizeof stored + key + value + headers);
    if (!at) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for messages"); }
    memcpy(at, &stored, sizeof stored);
    at += sizeof stored;
    if (key) { memcpy(at, message->key, key); }
    if (value) { memcpy(at + key, message->value, value); }
    if (headers) { memcpy(at + key + value, message->headers, headers); }
    target->size += sizeof stored + key + value + headers;
    return SABOT_OK;
}

bool kafka_message_load(const char *data, size_t size, size_t *at, struct kafka_message *out) {
    struct stored stored;
    if (size - *at < sizeof stored) { return false; }
    memcpy(&stored, data + *at, sizeof stored);
    const size_t key = stored.key_size == NONE ? 0 : stored.key_size;
    const size_t value = stored.value_size == NONE ? 0 : stored.value_size;
    const size_t headers = stored.headers_size == NONE ? 0 : stored.headers_size;
    if (size - *at - sizeof stored < key + value + headers) { return false; }
    const char *bytes = data + *at + sizeof stored;
    *out = (struct kafka_message){
        .key = stored.key_size == NONE ? NULL : bytes,
        .key_size = key,
        .value = stored.value_size == NONE ? NULL : bytes + key,
        .value_size = value,
        .time_ms = stored.time_ms,
        .partition = stored.partition,
        .headers = stored.headers_size == NONE ? NULL : bytes + key + value,
        .headers_size = headers,
    };
    *at += sizeof stored + key + value + headers;
    return true;
}

/* ---- headers ---- */

static void part_add(struct text *target, const char *data, uint32_t size) {
    text_append(target, (const char *)&size, sizeof size);
    if (size != NONE) { text_append(target, data, size); }
}

/* For each header: size of its name, name, size of its value or NONE, value. */
static void headers_write(const struct column *column, int64_t row, struct text *target) {
    if (column_is_null(column, row)) { return; }
    const int64_t at = column_at(column, row);
    const int32_t *offsets = column->values;
    const struct column *keys = column->children[0]->children[0], *values = column->children[0]->children[1];
    for (int32_t i = offsets[at]; i < offsets[at + 1]; i++) {
        const struct string_view *name = (const struct string_view *)keys->values + column_at(keys, i);
        const struct string_view *value = (const struct string_view *)values->values + column_at(values, i);
        const bool null = column_is_null(values, i);
        part_add(target, string_view_data(name), name->size);
        part_add(target, null ? NULL : string_view_data(value), null ? NONE : value->size);
    }
}

/* The next of what part_add has written; its size, NONE for NULL. */
static uint32_t part_take(const char **at, const char *end, const char **data) {
    uint32_t size = NONE;
    *data = NULL;
    if ((size_t)(end - *at) < sizeof size) {
        *at = end;
        return NONE;
    }
    memcpy(&size, *at, sizeof size);
    *at += sizeof size;
    if (size == NONE || size > (size_t)(end - *at)) { return NONE; }
    *data = *at;
    *at += size;
    return size;
}

rd_kafka_headers_t *kafka_headers_make(const char *data, size_t size) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
    const char *const end = data + size;
    while (data < end) {
        const char *name, *value;
        const uint32_t name_size = part_take(&data, end, &name), value_size = part_take(&data, end, &value);
        if (!name) { break; }
        rd_kafka_header_add(headers, name, (ssize_t)name_size, value, value ? (ssize_t)value_size : 0);
    }
    return headers;
}

rd_kafka_resp_err_t kafka_message_produce(rd_kafka_t *handle, rd_kafka_topic_t *topic, int32_t partition,
                                          const struct kafka_message *message) {
    void *value = (void *)message->value; /* it is copied */
    if (!message->headers && !message->time_ms) {
        const int failed = rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value, message->value_size,
                                            message->key, message->key_size, NULL);
        return failed ? rd_kafka_last_error() : RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_headers_t *headers = message->headers ? kafka_headers_make(message->headers, message->headers_size) : NULL;
    const rd_kafka_resp_err_t code = rd_kafka_producev(
        handle, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(message->key, message->key_size), RD_KAFKA_V_VALUE(value, message->value_size),
        RD_KAFKA_V_TIMESTAMP(message->time_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers) { rd_kafka_headers_destroy(headers); }
    return code;
}

/* ---- batches ---- */

static sabot_status encoder_make(const struct connector_table *table, const struct kafka_part *part,
                                 struct encoder **out, struct sabot_error *err) {
    if (!part->format->encoder_new) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the format '%s' can't be written", table->name,
                          part->format->name);
    }
    return part->format->encoder_new(&part->context, out, err);
}

static sabot_status metadata_check(struct kafka_outbox *outbox, struct sabot_error *err) {
    const struct connector_table *table = outbox->context->table;
    const struct kafka_layout *layout = outbox->layout;
    for (int32_t i = 0; i < table->schema->n_fields; i++) {
        const enum kafka_metadata metadata = layout->metadata[i];
        if (metadata == KAFKA_NONE) { continue; }
        if (metadata != KAFKA_TIMESTAMP && metadata != KAFKA_HEADERS) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\": the metadata '%s' can't be written; declare the column "
                              "METADATA ... VIRTUAL",
                              table->name, table->metadata[i]);
        }
        *(metadata == KAFKA_TIMESTAMP ? &outbox->time_column : &outbox->headers_column) = i;
    }
    const bool per_row = outbox->time_column >= 0 || outbox->headers_column >= 0 || layout->key.format;
    if (layout->is_arrow && per_row) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": a message in format 'arrow' is many rows, so it has no key, timestamp or "
                          "headers of one row; leave out 'key.format' and declare metadata columns VIRTUAL",
                          table->name);
    }
    return SABOT_OK;
}

sabot_status kafka_outbox_open(struct kafka_outbox *outbox, const struct connector_context *context,
                               const struct kafka_layout *layout, struct sabot_error *err) {
    *outbox = (struct kafka_outbox){.context = context, .layout = layout, .time_column = -1, .headers_column = -1};
    SABOT_TRY(metadata_check(outbox, err));
    const char *max = kafka_property(context->table, "max.request.size");
    if (!max) { max = kafka_property(context->table, "message.max.bytes"); }
    const long given = max ? strtol(max, NULL, 10) : 0;
    outbox->message_max = given > 0 ? (size_t)given : MESSAGE_MAX_DEFAULT;
    if (!layout->is_arrow) { SABOT_TRY(encoder_make(context->table, &layout->value, &outbox->value_encoder, err)); }
    return layout->key.format ? encoder_make(context->table, &layout->key, &outbox->key_encoder, err) : SABOT_OK;
}

void kafka_outbox_close(struct kafka_outbox *outbox) {
    if (outbox->value_encoder) { outbox->layout->value.format->encoder_free(outbox->value_encoder); }
    if (outbox->key_encoder) { outbox->layout->key.format->encoder_free(outbox->key_encoder); }
    text_clear(&outbox->values);
    text_clear(&outbox->keys);
    text_clear(&outbox->headers);
    free(outbox->value_ends);
    free(outbox->key_ends);
    free(outbox->headers_ends);
    batch_unref(outbox->batch);
    *outbox = (struct kafka_outbox){0};
}

static sabot_status ends_grow(int64_t **ends, int32_t n, struct sabot_error *err) {
    int64_t *grown = realloc(*ends, ((size_t)n + 1) * sizeof **ends);
    if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for messages"); }
    *ends = grown;
    return SABOT_OK;
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
    SABOT_TRY(ends_grow(ends, batch->selected, err));
    BATCH_OWNED struct batch *columns = NULL;
    SABOT_TRY(part_batch(part, batch, &columns, err));
    target->size = 0;
    SABOT_TRY(part->format->encode(encoder, columns, target, *ends, err));
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for messages") : SABOT_OK;
}

static sabot_status headers_encode(struct kafka_outbox *outbox, const struct batch *batch, struct sabot_error *err) {
    SABOT_TRY(ends_grow(&outbox->headers_ends, batch->selected, err));
    outbox->headers.size = 0;
    for (int32_t i = 0; i < batch->selected; i++) {
        headers_write(batch->columns[outbox->headers_column], batch_row(batch, i), &outbox->headers);
        outbox->headers_ends[i] = (int64_t)outbox->headers.size;
    }
    return outbox->headers.failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for headers") : SABOT_OK;
}

static sabot_status too_large(const struct kafka_outbox *outbox, size_t size, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_DATA,
                      "table \"%s\": a row makes a message of %zu bytes, and 'properties.max.request.size' allows %zu; "
                      "raise it, and 'max.message.bytes' of the topic too",
                      outbox->context->table->name, size, outbox->message_max);
}

/* Rows first..first+n as one message, or as several where that is too large. */
static sabot_status arrow_add(struct kafka_outbox *outbox, struct batch *batch, int32_t first, int32_t n,
                              struct sabot_error *err) {
    const size_t before = outbox->values.size;
    int32_t *rows = malloc((size_t)n * sizeof *rows);
    if (!rows) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for messages"); }
    for (int32_t i = 0; i < n; i++) { rows[i] = batch_row(batch, first + i); }
    BATCH_OWNED struct batch *part = NULL;
    sabot_status status = batch_take(outbox->context->pool, batch, rows, n, &part, err);
    free(rows);
    SABOT_TRY(status);
    SABOT_TRY(arrow_message_write(outbox->context->pool, part, &outbox->values, err));
    const size_t size = outbox->values.size - before;
    if (size + MESSAGE_OVERHEAD <= outbox->message_max) {
        SABOT_TRY(ends_grow(&outbox->value_ends, outbox->n, err));
        outbox->value_ends[outbox->n++] = (int64_t)outbox->values.size;
        return SABOT_OK;
    }
    outbox->values.size = before;
    if (n == 1) { return too_large(outbox, size, err); }
    SABOT_TRY(arrow_add(outbox, batch, first, n / 2, err));
    return arrow_add(outbox, batch, first + n / 2, n - n / 2, err);
}

static sabot_status arrow_encode(struct kafka_outbox *outbox, const struct batch *batch, struct sabot_error *err) {
    BATCH_OWNED struct batch *columns = NULL;
    SABOT_TRY(part_batch(&outbox->layout->value, batch, &columns, err));
    outbox->values.size = 0;
    outbox->n = 0;
    return arrow_add(outbox, columns, 0, columns->selected, err);
}

static sabot_status sizes_check(const struct kafka_outbox *outbox, struct sabot_error *err) {
    for (int32_t i = 0; i < outbox->n; i++) {
        struct kafka_message message;
        if (!kafka_outbox_get(outbox, i, &message)) { continue; }
        const size_t size = message.key_size + message.value_size + message.headers_size;
        if (size + MESSAGE_OVERHEAD > outbox->message_max) { return too_large(outbox, size, err); }
    }
    return SABOT_OK;
}

sabot_status kafka_outbox_fill(struct kafka_outbox *outbox, struct batch *batch, struct sabot_error *err) {
    batch_unref(outbox->batch);
    outbox->batch = NULL;
    outbox->next = 0;
    outbox->n = 0;
    if (outbox->layout->is_arrow) {
        SABOT_TRY(arrow_encode(outbox, batch, err));
    } else {
        SABOT_TRY(part_encode(&outbox->layout->value, outbox->value_encoder, batch, &outbox->values,
                              &outbox->value_ends, err));
        if (outbox->key_encoder) {
            SABOT_TRY(part_encode(&outbox->layout->key, outbox->key_encoder, batch, &outbox->keys, &outbox->key_ends,
                                  err));
        }
        if (outbox->headers_column >= 0) { SABOT_TRY(headers_encode(outbox, batch, err)); }
        if (batch->row_kinds || outbox->time_column >= 0) { outbox->batch = batch_ref(batch); }
        outbox->n = batch->selected;
    }
    metric_add(&outbox->context->metrics->bytes_out, (int64_t)(outbox->values.size + outbox->keys.size));
    /* All together fits: so does each. */
    if (outbox->values.size + outbox->keys.size + outbox->headers.size + MESSAGE_OVERHEAD <= outbox->message_max) {
        return SABOT_OK;
    }
    return sizes_check(outbox, err);
}

static const char *piece(const struct text *text, const int64_t *ends, int32_t i, size_t *size) {
    const int64_t begin = i > 0 ? ends[i - 1] : 0;
    *size = (size_t)(ends[i] - begin);
    return text_string(text) + begin;
}

/* Whether the next row has the new value of this one's key; where it does not, a filter has dropped it. */
static bool is_replaced_next(const struct kafka_outbox *outbox, int32_t i, const struct kafka_message *message) {
    if (i + 1 >= outbox->n) { return false; }
    const uint8_t kind = outbox->batch->row_kinds[batch_row(outbox->batch, i + 1)];
    if (kind != ROW_UPDATE_AFTER && kind != ROW_INSERT) { return false; }
    size_t size;
    const char *key = outbox->key_encoder ? piece(&outbox->keys, outbox->key_ends, i + 1, &size) : NULL;
    return key && size == message->key_size && memcmp(key, message->key, size) == 0;
}

bool kafka_outbox_get(const struct kafka_outbox *outbox, int32_t i, struct kafka_message *out) {
    *out = (struct kafka_message){.partition = RD_KAFKA_PARTITION_UA};
    const struct batch *batch = outbox->batch;
    const int32_t row = batch ? batch_row(batch, i) : 0;
    const uint8_t kind = batch && batch->row_kinds ? batch->row_kinds[row] : ROW_INSERT;
    if (outbox->key_encoder) { out->key = piece(&outbox->keys, outbox->key_ends, i, &out->key_size); }
    if (kind == ROW_UPDATE_BEFORE && is_replaced_next(outbox, i, out)) { return false; }
    if (kind == ROW_INSERT || kind == ROW_UPDATE_AFTER) {
        out->value = piece(&outbox->values, outbox->value_ends, i, &out->value_size);
    }
    if (outbox->headers_column >= 0) {
        out->headers = piece(&outbox->headers, outbox->headers_ends, i, &out->headers_size);
        if (!out->headers_size) { out->headers = NULL; }
    }
    if (outbox->time_column < 0) { return true; }
    const struct column *column = batch->columns[outbox->time_column];
    if (column_is_null(column, row)) { return true; }
    const int64_t units = timestamp_units_per_ms_num(batch->schema->fields[outbox->time_column].type);
    out->time_ms = ((const int64_t *)column->values)[column_at(column, row)] / units;
    return true;
}
