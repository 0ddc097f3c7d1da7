/* Messages become columns: payloads are copied into one block and decoded at once. */
#include "connect/kafka/records.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/arrow_message.h"

#define RECORD_PADDING 64

/* Copies keys or payloads into one block; the reference to the block is the caller's. */
static sabot_status records_gather(struct memory_pool *pool, const struct kafka_messages *taken, bool keys,
                                   struct records *records, struct buffer **offsets, struct sabot_error *err) {
    SABOT_TRY(buffer_new(pool, ((size_t)taken->n + 1) * sizeof(int64_t), offsets, err));
    int64_t *ends = (int64_t *)(void *)(*offsets)->data;
    size_t size = 0;
    for (int32_t i = 0; i < taken->n; i++) {
        ends[i] = (int64_t)size;
        size += keys ? taken->items[i]->key_len : taken->items[i]->len;
    }
    ends[taken->n] = (int64_t)size;
    SABOT_TRY(buffer_new(pool, size + RECORD_PADDING, &records->block, err));
    char *target = (char *)records->block->data;
    for (int32_t i = 0; i < taken->n; i++) {
        const rd_kafka_message_t *message = taken->items[i];
        const size_t length = keys ? message->key_len : message->len;
        if (length > 0) { memcpy(target + ends[i], keys ? message->key : message->payload, length); }
    }
    memset(target + size, 0, RECORD_PADDING);
    records->data = target;
    records->offsets = ends;
    records->n = taken->n;
    return SABOT_OK;
}

/* Tells the caller of records that could not be decoded, and takes them out of `keep` (a byte per record). */
static sabot_status errors_report(struct kafka_records *self, const struct kafka_place *place,
                                  const struct kafka_messages *taken, const struct records *records,
                                  const struct decode_errors *errors, uint8_t *keep, struct sabot_error *err) {
    for (int32_t i = 0; i < errors->n; i++) {
        const int32_t record = errors->items[i].record;
        const rd_kafka_message_t *message = taken->items[record];
        /* a deletion has no value that could be wrong */
        if (self->layout->upsert && !message->payload && records->offsets[record] == records->offsets[record + 1]) {
            continue;
        }
        char text[320];
        snprintf(text, sizeof text, "%s-%d@%" PRId64, place->topic, place->partition, message->offset);
        keep[record] = 0;
        if (errors->tolerated) {
            metric_add(&self->context->metrics->rows_malformed, 1);
            continue;
        }
        SABOT_TRY(self->context->malformed(self->context->malformed_arg, text, errors->items[i].reason,
                                           records->data + records->offsets[record],
                                           (size_t)(records->offsets[record + 1] - records->offsets[record]), err));
    }
    return SABOT_OK;
}

/* Decodes keys or values into their columns of the table. */
static sabot_status part_decode(struct kafka_records *self, const struct kafka_part *part, struct decoder *decoder,
                                const struct kafka_place *place, const struct kafka_messages *taken,
                                struct column **columns, uint8_t *keep, struct sabot_error *err) {
    const int32_t n_columns = part->table.schema->n_fields;
    struct column **decoded = calloc((size_t)n_columns + 1, sizeof *decoded);
    if (!decoded) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for columns"); }
    struct records records = {0};
    struct buffer *offsets = NULL;
    struct decode_errors errors = {0};
    sabot_status status =
        records_gather(self->context->pool, taken, part == &self->layout->key, &records, &offsets, err);
    if (status == SABOT_OK) { status = part->format->decode(decoder, &records, decoded, &errors, err); }
    if (status == SABOT_OK) { status = errors_report(self, place, taken, &records, &errors, keep, err); }
    for (int32_t i = 0; i < n_columns; i++) { columns[part->columns[i]] = decoded[i]; }
    decode_errors_clear(&errors);
    free(decoded);
    buffer_unref(records.block);
    buffer_unref(offsets);
    return status;
}

static sabot_status headers_column(struct memory_pool *pool, const struct kafka_messages *taken, struct column **out,
                                   struct sabot_error *err);

/* "CreateTime" and the like; views may point at it for ever. */
static const char *timestamp_type_name(rd_kafka_timestamp_type_t type) {
    switch (type) {
    case RD_KAFKA_TIMESTAMP_CREATE_TIME: return "CreateTime";
    case RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME: return "LogAppendTime";
    default: return "NoTimestampType";
    }
}

static int32_t leader_epoch(const rd_kafka_message_t *message) {
#if RD_KAFKA_VERSION >= 0x020100ff
    return rd_kafka_message_leader_epoch(message);
#else
    (void)message;
    return -1; /* older librdkafka does not tell */
#endif
}

static void number_put(struct column_builder *builder, int32_t row, int64_t value) {
    if (builder->phys == PHYS_I32) {
        ((int32_t *)builder->values)[row] = (int32_t)value;
    } else {
        ((int64_t *)builder->values)[row] = value;
    }
}

/* Fills a metadata column that differs from row to row. */
static void metadata_fill(const struct kafka_messages *taken, enum kafka_metadata metadata, struct type type,
                          struct column_builder *builder) {
    const int64_t units = metadata == KAFKA_TIMESTAMP ? timestamp_units_per_ms_num(type) : 1;
    for (int32_t i = 0; i < taken->n; i++) {
        const rd_kafka_message_t *message = taken->items[i];
        rd_kafka_timestamp_type_t time_type;
        const int64_t time_ms = rd_kafka_message_timestamp(message, &time_type);
        if (metadata == KAFKA_OFFSET) {
            number_put(builder, i, message->offset);
        } else if (metadata == KAFKA_TIMESTAMP) {
            number_put(builder, i, time_ms * units);
        } else if (metadata == KAFKA_TIMESTAMP_TYPE) {
            const char *name = timestamp_type_name(time_type);
            ((struct string_view *)builder->values)[i] = string_view_of(name, (uint32_t)strlen(name));
        } else {
            number_put(builder, i, leader_epoch(message));
            if (leader_epoch(message) < 0) { column_builder_set_null(builder, i); }
        }
    }
}

/* One metadata column, of a type that the layout has let through. */
static sabot_status metadata_column(const struct kafka_records *self, const struct kafka_place *place,
                                    const struct kafka_messages *taken, int32_t index, struct column **out,
                                    struct sabot_error *err) {
    struct memory_pool *pool = self->context->pool;
    const enum kafka_metadata metadata = self->layout->metadata[index];
    const struct type type = self->context->table->schema->fields[index].type;
    const enum phys phys = type_phys(type);
    if (metadata == KAFKA_HEADERS) { return headers_column(pool, taken, out, err); }
    if (metadata == KAFKA_TOPIC) {
        const struct string_view name = string_view_of(place->topic, (uint32_t)strlen(place->topic));
        return column_constant(pool, PHYS_VIEW, &name, taken->n, out, err);
    }
    if (metadata == KAFKA_PARTITION) {
        const int64_t wide = place->partition;
        const void *value = phys == PHYS_I64 ? (const void *)&wide : &place->partition;
        return column_constant(pool, phys, value, taken->n, out, err);
    }
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, pool, phys, taken->n, metadata == KAFKA_LEADER_EPOCH, err));
    metadata_fill(taken, metadata, type, &builder);
    return column_builder_finish(&builder, out, err);
}

static int64_t headers_count(const struct kafka_messages *taken, int32_t *offsets) {
    int64_t n = 0;
    for (int32_t i = 0; i < taken->n; i++) {
        rd_kafka_headers_t *headers;
        if (offsets) { offsets[i] = (int32_t)n; }
        if (rd_kafka_message_headers(taken->items[i], &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            n += (int64_t)rd_kafka_header_cnt(headers);
        }
    }
    if (offsets) { offsets[taken->n] = (int32_t)n; }
    return n;
}

static sabot_status view_put(struct column_builder *builder, int32_t row, const void *data, size_t size,
                             struct sabot_error *err) {
    char *target;
    SABOT_TRY(column_builder_reserve(builder, size, &target, err));
    if (size > 0) { memcpy(target, data, size); }
    ((struct string_view *)builder->values)[row] = string_view_of(target, (uint32_t)size);
    return SABOT_OK;
}

static sabot_status headers_fill(const struct kafka_messages *taken, struct column_builder *keys,
                                 struct column_builder *values, struct sabot_error *err) {
    int32_t row = 0;
    for (int32_t i = 0; i < taken->n; i++) {
        rd_kafka_headers_t *headers;
        if (rd_kafka_message_headers(taken->items[i], &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) { continue; }
        const char *name;
        const void *value;
        size_t size;
        for (size_t k = 0; k < rd_kafka_header_cnt(headers); k++) {
            rd_kafka_header_get_all(headers, k, &name, &value, &size);
            SABOT_TRY(view_put(keys, row, name, strlen(name), err));
            SABOT_TRY(view_put(values, row, value, value ? size : 0, err));
            if (!value) { column_builder_set_null(values, row); }
            row++;
        }
    }
    return SABOT_OK;
}

/* MAP<STRING, BYTES>: offsets into a ROW of key and value. */
static sabot_status headers_column(struct memory_pool *pool, const struct kafka_messages *taken, struct column **out,
                                   struct sabot_error *err) {
    const int32_t n = (int32_t)headers_count(taken, NULL);
    struct column_builder builders[2] = {0};
    struct column *children[2] = {NULL, NULL};
    struct buffer *offsets = NULL;
    sabot_status status = buffer_new(pool, ((size_t)taken->n + 1) * sizeof(int32_t), &offsets, err);
    for (int b = 0; b < 2 && status == SABOT_OK; b++) {
        status = column_builder_init(&builders[b], pool, PHYS_VIEW, n, b == 1, err);
    }
    if (status == SABOT_OK) {
        headers_count(taken, (int32_t *)(void *)offsets->data);
        status = headers_fill(taken, &builders[0], &builders[1], err);
    }
    for (int b = 0; b < 2 && status == SABOT_OK; b++) {
        status = column_builder_finish(&builders[b], &children[b], err);
    }
    struct column *entries = NULL;
    if (status == SABOT_OK) {
        status = column_new(PHYS_ROW, n, NULL, NULL, NULL, 0, children, 2, &entries, err);
        children[0] = children[1] = NULL;
    }
    if (status == SABOT_OK) {
        const void *values = offsets->data;
        status = column_new(PHYS_LIST, taken->n, NULL, values, &offsets, 1, &entries, 1, out, err);
        offsets = NULL;
    }
    for (int b = 0; b < 2; b++) {
        column_builder_clear(&builders[b]);
        column_unref(children[b]);
    }
    buffer_unref(offsets);
    return status;
}

/* Rows of a compacted topic that were deleted have a key only: NULL in every other column. */
static sabot_status values_blank(struct kafka_records *self, const struct kafka_messages *taken,
                                 struct column **columns, struct sabot_error *err) {
    const struct kafka_part *value = &self->layout->value;
    int32_t *rows = malloc((size_t)taken->n * sizeof *rows);
    if (!rows) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for a batch"); }
    bool any = false;
    for (int32_t i = 0; i < taken->n; i++) {
        rows[i] = taken->items[i]->payload ? i : -1;
        any |= rows[i] < 0;
    }
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; any && c < value->table.schema->n_fields && status == SABOT_OK; c++) {
        struct column **column = &columns[value->columns[c]], *blanked = NULL;
        status = column_take(self->context->pool, *column, rows, taken->n, &blanked, err);
        if (status != SABOT_OK) { break; }
        column_unref(*column);
        *column = blanked;
    }
    free(rows);
    return status;
}

static sabot_status columns_make(struct kafka_records *self, const struct kafka_place *place,
                                 const struct kafka_messages *taken, struct column **columns, uint8_t *keep,
                                 struct sabot_error *err) {
    const struct kafka_layout *layout = self->layout;
    if (!self->arrow) {
        SABOT_TRY(part_decode(self, &layout->value, self->value_decoder, place, taken, columns, keep, err));
    }
    if (layout->upsert) { SABOT_TRY(values_blank(self, taken, columns, err)); }
    if (layout->key.format) {
        SABOT_TRY(part_decode(self, &layout->key, self->key_decoder, place, taken, columns, keep, err));
    }
    for (int32_t i = 0; i < self->context->table->schema->n_fields; i++) {
        if (layout->metadata[i] == KAFKA_NONE) { continue; }
        SABOT_TRY(metadata_column(self, place, taken, i, &columns[i], err));
    }
    return SABOT_OK;
}

/* The columns of one message stand for each of its rows. */
static sabot_status columns_spread(struct kafka_records *self, struct column **columns, int32_t rows,
                                   struct sabot_error *err) {
    int32_t *zeros = calloc((size_t)rows + 1, sizeof *zeros);
    if (!zeros) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for a batch"); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < self->context->table->schema->n_fields && status == SABOT_OK; i++) {
        if (!columns[i]) { continue; }
        struct column *spread = NULL;
        status = column_take(self->context->pool, columns[i], zeros, rows, &spread, err);
        if (status != SABOT_OK) { break; }
        column_unref(columns[i]);
        columns[i] = spread;
    }
    free(zeros);
    return status;
}

/* A message that is a batch of rows by itself. *rows = 0: none of it can be used. */
static sabot_status message_columns(struct kafka_records *self, const struct kafka_place *place,
                                    const struct kafka_messages *taken, struct column **columns, int32_t *rows,
                                    struct sabot_error *err) {
    const rd_kafka_message_t *message = taken->items[0];
    const struct kafka_part *value = &self->layout->value;
    struct column **decoded = calloc((size_t)value->table.schema->n_fields + 1, sizeof *decoded);
    if (!decoded) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for columns"); }
    char reason[DECODE_REASON_MAX] = "";
    uint8_t keep = 1;
    sabot_status status =
        arrow_message_read(self->arrow, message->payload, message->len, decoded, rows, reason, err);
    if (status == SABOT_OK && reason[0]) {
        char text[320];
        snprintf(text, sizeof text, "%s-%d@%" PRId64, place->topic, place->partition, message->offset);
        status = self->context->malformed(self->context->malformed_arg, text, reason, message->payload, message->len,
                                          err);
    }
    if (status == SABOT_OK && *rows > 0) { status = columns_make(self, place, taken, columns, &keep, err); }
    if (status == SABOT_OK && !keep) { *rows = 0; } /* its key can't be decoded */
    if (status == SABOT_OK && *rows > 0) { status = columns_spread(self, columns, *rows, err); }
    for (int32_t i = 0; i < value->table.schema->n_fields; i++) {
        if (decoded[i]) { columns[value->columns[i]] = decoded[i]; }
    }
    free(decoded);
    return status;
}

/* The batch without the rows that keep[] has no 1 for. */
static sabot_status batch_keep(struct memory_pool *pool, struct batch **batch, const uint8_t *keep,
                               struct sabot_error *err) {
    const int32_t rows = (*batch)->rows;
    int32_t kept = 0;
    for (int32_t i = 0; i < rows; i++) { kept += keep[i]; }
    if (kept == rows) { return SABOT_OK; }
    struct buffer *selection;
    SABOT_TRY(buffer_new(pool, (size_t)rows * sizeof(int32_t), &selection, err));
    int32_t *target = (int32_t *)(void *)selection->data;
    kept = 0;
    for (int32_t i = 0; i < rows; i++) {
        target[kept] = i;
        kept += keep[i];
    }
    struct batch *selected;
    SABOT_TRY(batch_with_selection(*batch, selection, kept, &selected, err));
    batch_unref(*batch);
    *batch = selected;
    return SABOT_OK;
}

/* A deletion for a message without a value, else a new or replaced row. */
static sabot_status kinds_make(struct memory_pool *pool, const struct kafka_messages *taken, struct batch *batch,
                               struct sabot_error *err) {
    struct buffer *kinds;
    SABOT_TRY(buffer_new(pool, (size_t)taken->n, &kinds, err));
    for (int32_t i = 0; i < taken->n; i++) {
        kinds->data[i] = taken->items[i]->payload ? ROW_UPDATE_AFTER : ROW_DELETE;
    }
    batch->row_kinds_buffer = kinds;
    batch->row_kinds = kinds->data;
    return SABOT_OK;
}

/* A batch over columns, which are taken over. */
static sabot_status batch_finish(struct kafka_records *self, const struct kafka_messages *taken,
                                 struct column *const *columns, int32_t rows, const uint8_t *keep, struct batch **out,
                                 struct sabot_error *err) {
    struct schema *schema = self->context->table->schema;
    SABOT_TRY(batch_new(schema, columns, schema->n_fields, rows, out, err));
    (*out)->created_ns = env_now_ns(self->context->env);
    sabot_status status = SABOT_OK;
    if (self->layout->upsert) { status = kinds_make(self->context->pool, taken, *out, err); }
    if (status == SABOT_OK && keep) { status = batch_keep(self->context->pool, out, keep, err); }
    if (status != SABOT_OK || (*out)->selected == 0) {
        batch_unref(*out);
        *out = NULL;
    }
    return status;
}

sabot_status kafka_records_batch(struct kafka_records *self, const struct kafka_place *place,
                                 const struct kafka_messages *taken, struct batch **out, struct sabot_error *err) {
    const int32_t n_fields = self->context->table->schema->n_fields;
    struct column **columns = calloc((size_t)n_fields + 1, sizeof *columns);
    uint8_t *keep = malloc((size_t)taken->n);
    *out = NULL;
    if (!columns || !keep) {
        free(columns);
        free(keep);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for a batch");
    }
    memset(keep, 1, (size_t)taken->n);
    int32_t rows = taken->n;
    sabot_status status = self->arrow ? message_columns(self, place, taken, columns, &rows, err)
                                      : columns_make(self, place, taken, columns, keep, err);
    if (status == SABOT_OK && rows > 0) {
        status = batch_finish(self, taken, columns, rows, self->arrow ? NULL : keep, out, err);
    } else {
        for (int32_t i = 0; i < n_fields; i++) { column_unref(columns[i]); }
    }
    free(columns);
    free(keep);
    return status;
}

int32_t kafka_records_max(const struct kafka_records *self) { return self->arrow ? 1 : self->context->batch_rows; }

sabot_status kafka_records_open(struct kafka_records *self, const struct connector_context *context,
                                const struct kafka_layout *layout, struct sabot_error *err) {
    const struct kafka_part *value = &layout->value, *key = &layout->key;
    *self = (struct kafka_records){.context = context, .layout = layout};
    if (layout->is_arrow) {
        SABOT_TRY(arrow_message_reader_new(&value->context, &self->arrow, err));
    } else {
        SABOT_TRY(value->format->decoder_new(&value->context, &self->value_decoder, err));
    }
    return key->format ? key->format->decoder_new(&key->context, &self->key_decoder, err) : SABOT_OK;
}

void kafka_records_close(struct kafka_records *self) {
    if (self->value_decoder) { self->layout->value.format->decoder_free(self->value_decoder); }
    if (self->key_decoder) { self->layout->key.format->decoder_free(self->key_decoder); }
    arrow_message_reader_free(self->arrow);
}
