/* Arrow IPC streams in messages, read and written by the bridge. Messages of a topic mostly have one schema: what
 * brings its columns to the table's is kept from one message to the next. */
#include "format/arrow_message.h"

#include <stdio.h>
#include <stdlib.h>

#include "arrow/ipc.h"
#include "format/conform.h"

#define PARTS_MAX 4096 /* record batches in a message */

struct arrow_message_reader {
    const struct connector_context *context;
    struct schema *last; /* of the newest message */
    struct schema *needed;
    uint32_t *columns;   /* of `last`, those of `needed` */
    struct conform *conform;
};

struct bytes {
    const char *data;
    size_t size;
};

static sabot_status bytes_read(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                               struct sabot_error *err) {
    (void)err;
    const struct bytes *bytes = context;
    const size_t left = offset < bytes->size ? bytes->size - (size_t)offset : 0;
    *got = size < left ? size : left;
    memcpy(target, bytes->data + bytes->size - left, *got);
    return SABOT_OK;
}

sabot_status arrow_message_reader_new(const struct connector_context *context, struct arrow_message_reader **out,
                                      struct sabot_error *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to read Arrow messages"); }
    (*out)->context = context;
    return SABOT_OK;
}

static void schema_forget(struct arrow_message_reader *reader) {
    conform_free(reader->conform);
    schema_unref(reader->needed);
    schema_unref(reader->last);
    free(reader->columns);
    *reader = (struct arrow_message_reader){.context = reader->context};
}

void arrow_message_reader_free(struct arrow_message_reader *reader) {
    if (!reader) { return; }
    schema_forget(reader);
    free(reader);
}

/* Which columns of `schema` the table needs, and how they become the table's. */
static sabot_status schema_learn(struct arrow_message_reader *reader, struct schema *schema, struct sabot_error *err) {
    if (reader->last && schema_equal(reader->last, schema)) { return SABOT_OK; }
    schema_forget(reader);
    const struct connector_table *table = reader->context->table;
    struct conform *whole = NULL;
    SABOT_TRY(conform_new(schema, table->schema, table->metadata, &whole, err));
    const size_t most = (size_t)table->schema->n_fields + 1;
    struct field *fields = calloc(most, sizeof *fields);
    reader->columns = calloc(most, sizeof *reader->columns);
    sabot_status status = SABOT_OK;
    if (fields && reader->columns) {
        const int32_t n = conform_needed(whole, reader->columns);
        for (int32_t i = 0; i < n; i++) { fields[i] = schema->fields[reader->columns[i]]; }
        status = schema_new(fields, n, &reader->needed, err);
    } else {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to read Arrow messages");
    }
    if (status == SABOT_OK) {
        status = conform_new(reader->needed, table->schema, table->metadata, &reader->conform, err);
    }
    free(fields);
    conform_free(whole);
    if (status == SABOT_OK) { reader->last = schema_ref(schema); }
    return status;
}

/* All rows of a stream as one batch of the needed columns. */
static sabot_status parts_read(struct arrow_message_reader *reader, struct ipc_reader *stream, struct batch **parts,
                               int32_t *n_parts, struct sabot_error *err) {
    int64_t rows = 0;
    for (;;) {
        BATCH_OWNED struct batch *part = NULL;
        SABOT_TRY(ipc_reader_next(stream, reader->context->pool, &part, err));
        if (!part) { return SABOT_OK; }
        if (part->rows == 0) { continue; }
        rows += part->rows;
        if (rows > BATCH_ROWS_MAX || *n_parts == PARTS_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "more than %d rows or %d record batches in one message",
                              BATCH_ROWS_MAX, PARTS_MAX);
        }
        SABOT_TRY(schema_learn(reader, part->schema, err));
        const int32_t n = reader->needed->n_fields;
        struct column **columns = calloc((size_t)n + 1, sizeof *columns);
        if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to read Arrow messages"); }
        for (int32_t i = 0; i < n; i++) { columns[i] = column_ref(part->columns[reader->columns[i]]); }
        const sabot_status status = batch_new(reader->needed, columns, n, part->rows, &parts[*n_parts], err);
        free(columns);
        SABOT_TRY(status);
        ++*n_parts;
    }
}

static sabot_status stream_read(struct arrow_message_reader *reader, struct ipc_reader *stream,
                                struct column **columns, int32_t *rows, struct sabot_error *err) {
    struct batch **parts = calloc(PARTS_MAX, sizeof *parts);
    if (!parts) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to read Arrow messages"); }
    int32_t n_parts = 0;
    BATCH_OWNED struct batch *whole = NULL;
    sabot_status status = parts_read(reader, stream, parts, &n_parts, err);
    if (status == SABOT_OK && n_parts > 0) {
        status = n_parts == 1 ? (whole = batch_ref(parts[0]), SABOT_OK)
                              : batch_concat(reader->context->pool, parts, n_parts, &whole, err);
    }
    if (status == SABOT_OK && whole) {
        status = conform_apply(reader->conform, reader->context->pool, whole, columns, err);
        if (status == SABOT_OK) { *rows = whole->rows; }
    }
    for (int32_t i = 0; i < n_parts; i++) { batch_unref(parts[i]); }
    free(parts);
    return status;
}

sabot_status arrow_message_read(struct arrow_message_reader *reader, const void *data, size_t size,
                                struct column **columns, int32_t *rows, char *reason, struct sabot_error *err) {
    static const unsigned char mark[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    *rows = 0;
    if (size < sizeof mark || memcmp(data, mark, sizeof mark) != 0) {
        snprintf(reason, DECODE_REASON_MAX, "it is no Arrow IPC stream");
        return SABOT_OK;
    }
    const struct bytes bytes = {data, size};
    const struct ipc_source source = {.context = (void *)&bytes, .size = size, .read_at = bytes_read};
    struct sabot_error why = {0};
    struct ipc_reader *stream = NULL;
    sabot_status status = ipc_reader_open(&source, &stream, &why);
    if (status == SABOT_OK) { status = stream_read(reader, stream, columns, rows, &why); }
    ipc_reader_close(stream);
    if (status == SABOT_OK) { return SABOT_OK; }
    if (status == SABOT_ERR_MEMORY) {
        if (err) { *err = why; }
        return status;
    }
    *rows = 0;
    snprintf(reason, DECODE_REASON_MAX, "%.*s", DECODE_REASON_MAX - 1, why.message);
    return SABOT_OK;
}

static sabot_status text_write(void *context, const void *bytes, size_t size, struct sabot_error *err) {
    struct text *target = context;
    text_append(target, bytes, size);
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an Arrow message")
                          : SABOT_OK;
}

sabot_status arrow_message_write(struct memory_pool *pool, struct batch *batch, struct text *target,
                                 struct sabot_error *err) {
    const struct ipc_sink sink = {.context = target, .write = text_write};
    struct ipc_writer *writer = NULL;
    SABOT_TRY(ipc_writer_open_stream(&sink, pool, batch->schema, &writer, err));
    sabot_status status = ipc_writer_put(writer, batch, err);
    if (status == SABOT_OK) { status = ipc_writer_finish(writer, err); }
    ipc_writer_close(writer);
    return status;
}
