/* Raw: the record is the value of the table's only column, as bytes, a string, or a number in binary. */
#include <stdio.h>
#include <stdlib.h>

#include "format/format.h"
#include "format/scalar.h"

static const struct connector_option raw_options[] = {
#define X(name, kind, fallback, values, summary) {name, kind, fallback, values, summary},
#include "format/raw_options.def"
#undef X
    {0},
};

/* Reading and writing need the same. */
struct raw {
    struct memory_pool *pool;
    int32_t column; /* of the schema; -1: none wanted (only metadata is read) */
    struct type type;
    bool little_endian;
};
struct decoder {
    struct raw raw;
};
struct encoder {
    struct raw raw;
};

static bool type_is_raw(struct type type) {
    switch ((enum type_kind)type.kind) {
    case TYPE_STRING:
    case TYPE_BINARY:
    case TYPE_BOOL:
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_FLOAT32:
    case TYPE_FLOAT64: return true;
    default: return false;
    }
}

static sabot_status raw_fill(const struct connector_context *context, struct raw *raw, struct sabot_error *err) {
    const struct connector_table *table = context->table;
    *raw = (struct raw){.pool = context->pool, .column = -1};
    int32_t n = 0;
    for (int32_t i = 0; i < table->schema->n_fields; i++) {
        if (table->metadata && table->metadata[i]) { continue; }
        raw->column = i;
        raw->type = table->schema->fields[i].type;
        n++;
    }
    if (n > 1) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": the format raw takes exactly one column, this table has %d", table->name, n);
    }
    if (n == 1 && !type_is_raw(raw->type)) {
        char type[128];
        type_print(raw->type, type, sizeof type);
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\", column \"%s\": the format raw takes STRING, BYTES, BOOLEAN, "
                          "integers, FLOAT and DOUBLE, not %s",
                          table->name, table->schema->fields[raw->column].name, type);
    }
    const char *order = option_text(table, raw_options, "raw.endianness");
    raw->little_endian = (order[0] | 0x20) == 'l';
    return SABOT_OK;
}

static sabot_status raw_decoder_new(const struct connector_context *context, struct decoder **out,
                                    struct sabot_error *err) {
    struct raw raw;
    *out = NULL;
    SABOT_TRY(raw_fill(context, &raw, err));
    *out = malloc(sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a decoder"); }
    (*out)->raw = raw;
    return SABOT_OK;
}

static void raw_decoder_free(struct decoder *decoder) { free(decoder); }

static void copy_number(void *target, const void *from, size_t size, bool reverse) {
    for (size_t i = 0; i < size; i++) {
        ((char *)target)[i] = ((const char *)from)[reverse ? size - 1 - i : i];
    }
}

static sabot_status raw_store(const struct raw *raw, struct vector *vector, int32_t row, const char *data, size_t size,
                              struct buffer *block, char *why, struct sabot_error *err) {
    if (vector->phys == PHYS_VIEW) {
        if (vector->type.kind == TYPE_STRING && !utf8_is_valid(data, size)) {
            snprintf(why, DECODE_REASON_MAX, "not UTF-8");
            return SABOT_OK;
        }
        return vector_set_string(vector, row, data, size, block, err);
    }
    const size_t want = phys_size(vector->phys);
    if (size != want) {
        snprintf(why, DECODE_REASON_MAX, "%zu bytes where the number has %zu", size, want);
        return SABOT_OK;
    }
    copy_number((char *)vector->values + (size_t)row * want, data, want, !raw->little_endian);
    if (vector->phys == PHYS_BOOL) { ((uint8_t *)vector->values)[row] = data[0] != 0; }
    return SABOT_OK;
}

static sabot_status raw_decode(struct decoder *decoder, const struct records *records, struct column **columns,
                               struct decode_errors *errors, struct sabot_error *err) {
    const struct raw *raw = &decoder->raw;
    if (raw->column < 0) { return SABOT_OK; }
    struct vector vector;
    SABOT_TRY(vector_init(&vector, raw->pool, raw->type, records->n, err));
    sabot_status status = SABOT_OK;
    for (int32_t row = 0; row < records->n && status == SABOT_OK; row++) {
        char why[DECODE_REASON_MAX] = "";
        const char *data = records->data + records->offsets[row];
        size_t size = (size_t)(records->offsets[row + 1] - records->offsets[row]);
        if (records->are_lines && size > 0 && data[size - 1] == '\n') {
            size--;
            size -= size > 0 && data[size - 1] == '\r';
        }
        status = raw_store(raw, &vector, row, data, size, records->block, why, err);
        if (status != SABOT_OK || !why[0]) { continue; }
        vector_set_null(&vector, row);
        status = decode_error_add(errors, row, why, err);
    }
    if (status == SABOT_OK) { status = vector_finish(&vector, &columns[raw->column], err); }
    vector_clear(&vector);
    return status;
}

static sabot_status raw_encoder_new(const struct connector_context *context, struct encoder **out,
                                    struct sabot_error *err) {
    struct raw raw;
    *out = NULL;
    SABOT_TRY(raw_fill(context, &raw, err));
    *out = malloc(sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an encoder"); }
    (*out)->raw = raw;
    return SABOT_OK;
}

static void raw_encoder_free(struct encoder *encoder) { free(encoder); }

static sabot_status raw_encode(struct encoder *encoder, const struct batch *batch, struct text *target,
                               int64_t *offsets, struct sabot_error *err) {
    const struct raw *raw = &encoder->raw;
    const struct column *column = batch->columns[raw->column];
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        const int64_t at = column_at(column, row);
        if (column_is_null(column, row)) {
            /* nothing: an empty record */
        } else if (column->phys == PHYS_VIEW) {
            const struct string_view *view = (const struct string_view *)column->values + at;
            text_append(target, string_view_data(view), view->size);
        } else {
            const size_t size = phys_size(column->phys);
            char bytes[16];
            copy_number(bytes, (const char *)column->values + (size_t)at * size, size, !raw->little_endian);
            text_append(target, bytes, size);
        }
        if (offsets) {
            offsets[i] = (int64_t)target->size;
        } else {
            text_append(target, "\n", 1);
        }
    }
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "bytes of a batch: no memory, or more than 2 GiB")
                          : SABOT_OK;
}

const struct format_type raw_format = {
    .name = "raw",
    .summary = "the record itself, in one column",
    .options = raw_options,
    .records_by_line = true,
    .keeps_blank_lines = true,
    .decoder_new = raw_decoder_new,
    .decode = raw_decode,
    .decoder_free = raw_decoder_free,
    .encoder_new = raw_encoder_new,
    .encode = raw_encode,
    .begin = format_nothing,
    .end = format_nothing,
    .encoder_free = raw_encoder_free,
};
