/* Batches -> Arrow C Data. */
#include "arrow/export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <nanoarrow/nanoarrow.h>

#include "arrow/type_metadata.h"

#define FAIL_IF(failed, what)                                                                                          \
    do {                                                                                                               \
        if (failed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for %s", (what)); }           \
    } while (0)

/* --- types */
void type_metadata_read(const struct ArrowSchema *arrow, struct type *type) {
    struct ArrowStringView value = {0};
    if (!arrow->metadata ||
        ArrowMetadataGetValue(arrow->metadata, ArrowCharView(TYPE_METADATA_KEY), &value) != NANOARROW_OK ||
        !value.data || value.size_bytes <= 0 || value.size_bytes > 40) {
        return;
    }
    char text[48];
    memcpy(text, value.data, (size_t)value.size_bytes);
    text[value.size_bytes] = '\0';
    int precision, fixed, length;
    if (sscanf(text, "%d %d %d", &precision, &fixed, &length) != 3) { return; }
    if ((type->kind == TYPE_TIMESTAMP || type->kind == TYPE_TIMESTAMP_LTZ) && precision >= 0 && precision <= 9) {
        struct type refined = *type;
        refined.precision = (uint8_t)precision;
        if (timestamp_units_per_ms_num(refined) == timestamp_units_per_ms_num(*type)) { *type = refined; }
    } else if (type->kind == TYPE_TIME && precision >= 0 && precision <= 9) {
        type->precision = (uint8_t)precision;
    } else if ((type->kind == TYPE_STRING || type->kind == TYPE_BINARY) && !type->fixed_length &&
               (length > 0 || (length == 0 && fixed != 0))) { /* '' is a CHAR(0) */
        type->fixed_length = fixed != 0;
        type->length = length;
    }
}

/* Only where type_import would not come to the same type by itself. */
static sabot_status metadata_write(struct type type, struct ArrowSchema *out, struct sabot_error *err) {
    const bool is_text = type.kind == TYPE_STRING || type.kind == TYPE_BINARY;
    const bool is_time = type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ;
    const bool plain = is_text   ? type.length == TYPE_LENGTH_MAX && !type.fixed_length
                       : is_time ? type.precision == 3 || type.precision == 6 || type.precision == 9
                                 : type.kind != TYPE_TIME || type.precision == 3;
    if (plain) { return SABOT_OK; }
    char text[48];
    snprintf(text, sizeof text, "%d %d %d", type.precision, type.fixed_length, type.length);
    struct ArrowBuffer buffer;
    FAIL_IF(ArrowMetadataBuilderInit(&buffer, NULL) != NANOARROW_OK, "Arrow metadata");
    const bool failed =
        ArrowMetadataBuilderAppend(&buffer, ArrowCharView(TYPE_METADATA_KEY), ArrowCharView(text)) != NANOARROW_OK ||
        ArrowSchemaSetMetadata(out, (const char *)buffer.data) != NANOARROW_OK;
    ArrowBufferReset(&buffer);
    FAIL_IF(failed, "Arrow metadata");
    return SABOT_OK;
}

static enum ArrowTimeUnit unit_of(struct type type) {
    return type.precision <= 3   ? NANOARROW_TIME_UNIT_MILLI
           : type.precision <= 6 ? NANOARROW_TIME_UNIT_MICRO
                                 : NANOARROW_TIME_UNIT_NANO;
}

/* `out` is initialised and has no type yet. */
static sabot_status type_export(struct type type, struct ArrowSchema *out, struct sabot_error *err);

static sabot_status field_export(const char *name, struct type type, struct ArrowSchema *out,
                                 struct sabot_error *err) {
    SABOT_TRY(type_export(type, out, err));
    FAIL_IF(ArrowSchemaSetName(out, name) != NANOARROW_OK, "an Arrow field");
    return SABOT_OK;
}

static sabot_status type_export(struct type type, struct ArrowSchema *out, struct sabot_error *err) {
    enum ArrowType plain = NANOARROW_TYPE_UNINITIALIZED;
    int rc = NANOARROW_OK;
    switch ((enum type_kind)type.kind) {
    case TYPE_NULL: plain = NANOARROW_TYPE_NA; break;
    case TYPE_BOOL: plain = NANOARROW_TYPE_BOOL; break;
    case TYPE_INT8: plain = NANOARROW_TYPE_INT8; break;
    case TYPE_INT16: plain = NANOARROW_TYPE_INT16; break;
    case TYPE_INT32: plain = NANOARROW_TYPE_INT32; break;
    case TYPE_INT64: plain = NANOARROW_TYPE_INT64; break;
    case TYPE_FLOAT32: plain = NANOARROW_TYPE_FLOAT; break;
    case TYPE_FLOAT64: plain = NANOARROW_TYPE_DOUBLE; break;
    case TYPE_STRING: plain = NANOARROW_TYPE_STRING; break;
    case TYPE_BINARY: plain = NANOARROW_TYPE_BINARY; break;
    case TYPE_DATE: plain = NANOARROW_TYPE_DATE32; break;
    case TYPE_INTERVAL_MONTH: plain = NANOARROW_TYPE_INTERVAL_MONTHS; break;
    case TYPE_DECIMAL:
        rc = ArrowSchemaSetTypeDecimal(out, NANOARROW_TYPE_DECIMAL128, type.precision, type.scale);
        break;
    case TYPE_TIME:
        rc = ArrowSchemaSetTypeDateTime(out, NANOARROW_TYPE_TIME32, NANOARROW_TIME_UNIT_MILLI, NULL);
        break;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ:
        rc = ArrowSchemaSetTypeDateTime(out, NANOARROW_TYPE_TIMESTAMP, unit_of(type),
                                        type.kind == TYPE_TIMESTAMP_LTZ ? "UTC" : NULL);
        break;
    case TYPE_INTERVAL_DAY:
        rc = ArrowSchemaSetTypeDateTime(out, NANOARROW_TYPE_DURATION, NANOARROW_TIME_UNIT_MILLI, NULL);
        break;
    case TYPE_ARRAY:
        /* nanoarrow makes the children of list and map types with their usual names; the types in them are ours */
        rc = ArrowSchemaSetType(out, NANOARROW_TYPE_LIST);
        if (rc == NANOARROW_OK) { SABOT_TRY(type_export(type.fields[0].type, out->children[0], err)); }
        break;
    case TYPE_MAP:
        rc = ArrowSchemaSetType(out, NANOARROW_TYPE_MAP);
        if (rc == NANOARROW_OK) {
            SABOT_TRY(type_export(type_not_null(type.fields[0].type), out->children[0]->children[0], err));
            SABOT_TRY(type_export(type.fields[1].type, out->children[0]->children[1], err));
        }
        break;
    case TYPE_ROW:
        rc = ArrowSchemaSetTypeStruct(out, type.n_fields);
        for (int32_t i = 0; i < type.n_fields && rc == NANOARROW_OK; i++) {
            SABOT_TRY(field_export(type.fields[i].name, type.fields[i].type, out->children[i], err));
        }
        break;
    case TYPE_KINDS: break;
    }
    if (plain != NANOARROW_TYPE_UNINITIALIZED) { rc = ArrowSchemaSetType(out, plain); }
    FAIL_IF(rc != NANOARROW_OK, "an Arrow type");
    out->flags = (out->flags & ~ARROW_FLAG_NULLABLE) | (type.nullable ? ARROW_FLAG_NULLABLE : 0);
    return metadata_write(type, out, err);
}

sabot_status schema_export(const struct schema *schema, struct ArrowSchema *out, struct sabot_error *err) {
    const struct type row = {.kind = TYPE_ROW, .n_fields = schema->n_fields, .fields = schema->fields};
    ArrowSchemaInit(out);
    const sabot_status status = field_export("", row, out, err);
    if (status != SABOT_OK) { ArrowSchemaRelease(out); }
    return status;
}

/* --- arrays */
static void drop_buffer(struct ArrowBufferAllocator *allocator, uint8_t *data, int64_t size) {
    (void)data;
    (void)size;
    buffer_unref(allocator->private_data);
}

static void drop_column(struct ArrowBufferAllocator *allocator, uint8_t *data, int64_t size) {
    (void)data;
    (void)size;
    column_unref(allocator->private_data);
}

/* Gives an array one of our buffers, or memory that a column keeps alive; the reference is taken over. */
static void set_buffer(struct ArrowArray *array, int64_t i, const void *data, int64_t size, struct buffer *buffer,
                       struct column *column) {
    struct ArrowBuffer *target = ArrowArrayBuffer(array, i);
    ArrowBufferReset(target);
    target->allocator =
        buffer ? ArrowBufferDeallocator(drop_buffer, buffer) : ArrowBufferDeallocator(drop_column, column);
    target->data = (uint8_t *)(uintptr_t)data;
    target->size_bytes = size;
    target->capacity_bytes = size;
}

static int64_t count_nulls(const struct column *column) {
    int64_t valid = 0;
    if (!column->validity) { return 0; }
    const int32_t n = column->length;
    for (int32_t i = 0; i + 64 <= n; i += 64) { valid += __builtin_popcountll(column->validity[i / 64]); }
    if (n % 64) { valid += __builtin_popcountll(column->validity[n / 64] & ((UINT64_C(1) << (n % 64)) - 1)); }
    return n - valid;
}

static inline bool row_is_valid(const struct column *column, int32_t i) {
    return !column->validity || (column->validity[i >> 6] >> (i & 63) & 1);
}

static sabot_status bools_export(struct memory_pool *pool, const struct column *column, struct ArrowArray *out,
                                 struct sabot_error *err) {
    struct buffer *bits;
    const size_t size = ((size_t)column->length + 7) / 8;
    SABOT_TRY(buffer_new(pool, size, &bits, err));
    memset(bits->data, 0, size);
    const uint8_t *values = column->values;
    for (int32_t i = 0; i < column->length; i++) {
        bits->data[i / 8] = (uint8_t)(bits->data[i / 8] | (row_is_valid(column, i) && values[i]) << (i % 8));
    }
    set_buffer(out, 1, bits->data, (int64_t)size, bits, NULL);
    return SABOT_OK;
}

static sabot_status decimals_export(struct memory_pool *pool, const struct column *column, struct ArrowArray *out,
                                    struct sabot_error *err) {
    struct buffer *wide;
    SABOT_TRY(buffer_new(pool, (size_t)column->length * 16, &wide, err));
    const int64_t *values = column->values;
    for (int32_t i = 0; i < column->length; i++) {
        ((__int128 *)(void *)wide->data)[i] = row_is_valid(column, i) ? values[i] : 0;
    }
    set_buffer(out, 1, wide->data, (int64_t)wide->size, wide, NULL);
    return SABOT_OK;
}

static sabot_status strings_export(struct memory_pool *pool, const struct column *column, struct ArrowArray *out,
                                   struct sabot_error *err) {
    const struct string_view *views = column->values;
    int64_t total = 0;
    for (int32_t i = 0; i < column->length; i++) { total += row_is_valid(column, i) ? views[i].size : 0; }
    if (total > INT32_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                          "a batch has %lld bytes in one string column, Arrow utf8 takes 2 GiB: use smaller batches",
                          (long long)total);
    }
    struct buffer *offsets, *bytes;
    SABOT_TRY(buffer_new(pool, ((size_t)column->length + 1) * sizeof(int32_t), &offsets, err));
    const sabot_status status = buffer_new(pool, (size_t)total, &bytes, err);
    if (status != SABOT_OK) {
        buffer_unref(offsets);
        return status;
    }
    int32_t *target = (int32_t *)(void *)offsets->data;
    int32_t at = 0;
    for (int32_t i = 0; i < column->length; i++) {
        target[i] = at;
        if (!row_is_valid(column, i) || views[i].size == 0) { continue; }
        memcpy(bytes->data + at, string_view_data(&views[i]), views[i].size);
        at += (int32_t)views[i].size;
    }
    target[column->length] = at;
    set_buffer(out, 1, offsets->data, (int64_t)offsets->size, offsets, NULL);
    set_buffer(out, 2, bytes->data, total, bytes, NULL);
    return SABOT_OK;
}

/* Fills an array that was made from the type. */
static sabot_status column_export(struct memory_pool *pool, struct column *column, struct type type,
                                  struct ArrowArray *out, struct sabot_error *err) {
    out->length = column->length;
    out->null_count = column->phys == PHYS_NULL ? column->length : count_nulls(column);
    if (column->validity) {
        set_buffer(out, 0, column->validity, ((int64_t)column->length + 7) / 8, NULL, column_ref(column));
    }
    switch ((enum phys)column->phys) {
    case PHYS_NULL: return SABOT_OK;
    case PHYS_BOOL: return bools_export(pool, column, out, err);
    case PHYS_VIEW: return strings_export(pool, column, out, err);
    case PHYS_I64:
        if (type.kind == TYPE_DECIMAL) { return decimals_export(pool, column, out, err); }
        break;
    case PHYS_ROW:
        for (int32_t i = 0; i < type.n_fields; i++) {
            SABOT_TRY(column_export(pool, column->children[i], type.fields[i].type, out->children[i], err));
        }
        return SABOT_OK;
    case PHYS_LIST: {
        struct type element = type.fields[0].type;
        if (type.kind == TYPE_MAP) {
            if (count_nulls(column->children[0]->children[0]) > 0) {
                return SABOT_FAIL(err, SABOT_ERR_DATA, "a MAP has NULL as a key, which Arrow maps can't have");
            }
            element = (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = type.fields};
        }
        set_buffer(out, 1, column->values, ((int64_t)column->length + 1) * 4, NULL, column_ref(column));
        return column_export(pool, column->children[0], element, out->children[0], err);
    }
    default: break;
    }
    set_buffer(out, 1, column->values, (int64_t)column->length * (int64_t)phys_size(column->phys), NULL,
               column_ref(column));
    return SABOT_OK;
}

sabot_status batch_export(struct memory_pool *pool, struct batch *batch, struct ArrowArray *out,
                          struct sabot_error *err) {
    out->release = NULL;
    BATCH_OWNED struct batch *flat = NULL;
    SABOT_TRY(batch_compact(pool, batch, &flat, err));
    struct ArrowSchema arrow;
    SABOT_TRY(schema_export(flat->schema, &arrow, err));
    struct ArrowError problem = {0};
    const int made = ArrowArrayInitFromSchema(out, &arrow, &problem);
    ArrowSchemaRelease(&arrow);
    if (made != NANOARROW_OK) {
        out->release = NULL;
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "an Arrow array can't be made: %s", problem.message);
    }
    out->length = flat->rows;
    out->null_count = 0;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < flat->n_columns && status == SABOT_OK; i++) {
        status = column_export(pool, flat->columns[i], flat->schema->fields[i].type, out->children[i], err);
    }
    if (status == SABOT_OK &&
        ArrowArrayFinishBuilding(out, NANOARROW_VALIDATION_LEVEL_MINIMAL, &problem) != NANOARROW_OK) {
        status = SABOT_FAIL(err, SABOT_ERR_INTERNAL, "an exported Arrow array is wrong: %s", problem.message);
    }
    if (status != SABOT_OK) { ArrowArrayRelease(out); }
    return status;
}

/* --- streams */
struct exported_stream {
    struct memory_pool *pool;
    struct schema *schema;
    struct batch_source source;
    struct sabot_error err;
};

static int stream_fail(struct exported_stream *self) { return self->err.status == SABOT_ERR_MEMORY ? ENOMEM : EIO; }

static int stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    struct exported_stream *self = stream->private_data;
    error_clear(&self->err);
    return schema_export(self->schema, out, &self->err) == SABOT_OK ? 0 : stream_fail(self);
}

static int stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct exported_stream *self = stream->private_data;
    error_clear(&self->err);
    BATCH_OWNED struct batch *batch = NULL;
    out->release = NULL;
    if (self->source.next(self->source.self, &batch, &self->err) != SABOT_OK) { return stream_fail(self); }
    if (!batch) { return 0; }
    return batch_export(self->pool, batch, out, &self->err) == SABOT_OK ? 0 : stream_fail(self);
}

static const char *stream_last_error(struct ArrowArrayStream *stream) {
    const struct exported_stream *self = stream->private_data;
    return self->err.status == SABOT_OK ? NULL : self->err.message;
}

static void stream_release(struct ArrowArrayStream *stream) {
    struct exported_stream *self = stream->private_data;
    self->source.close(self->source.self);
    schema_unref(self->schema);
    free(self);
    stream->release = NULL;
}

sabot_status stream_export(struct memory_pool *pool, struct schema *schema, struct batch_source source,
                           struct ArrowArrayStream *out, struct sabot_error *err) {
    out->release = NULL;
    struct exported_stream *self = calloc(1, sizeof *self);
    if (!self) {
        source.close(source.self);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an Arrow stream");
    }
    self->pool = pool;
    self->schema = schema_ref(schema);
    self->source = source;
    *out = (struct ArrowArrayStream){.get_schema = stream_schema,
                                     .get_next = stream_next,
                                     .get_last_error = stream_last_error,
                                     .release = stream_release,
                                     .private_data = self};
    return SABOT_OK;
}
