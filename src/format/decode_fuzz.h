/* What the fuzz targets of the decoders share: any bytes, cut as a file is, into columns of every kind of type. */
#ifndef FORMAT_DECODE_FUZZ_H
#define FORMAT_DECODE_FUZZ_H

#include "format/format.h"

#define FUZZ_RECORDS_MAX 256

static inline void decode_fuzz(const char *name, const struct field *fields, int32_t n_fields, const uint8_t *data,
                               size_t size) {
    struct memory_pool pool;
    memory_pool_init(&pool, "fuzz", NULL, (int64_t)1 << 30);
    struct schema *schema = NULL;
    struct decoder *decoder = NULL;
    struct buffer *block = NULL;
    if (schema_new(fields, n_fields, &schema, NULL) != SABOT_OK) { return; }
    const struct connector_table table = {.name = "fuzz", .schema = schema, .declared = schema};
    const struct connector_context context = {.pool = &pool, .table = &table, .batch_rows = FUZZ_RECORDS_MAX};
    const struct format_type *format = format_find(name);
    if (format->decoder_new(&context, &decoder, NULL) != SABOT_OK ||
        buffer_new(&pool, size + 64, &block, NULL) != SABOT_OK) {
        __builtin_trap();
    }
    if (size) { memcpy(block->data, data, size); }
    memset(block->data + size, 0, 64);
    int64_t offsets[FUZZ_RECORDS_MAX + 1] = {0};
    int32_t n = 0;
    if (format->cut) {
        n = format->cut(decoder, (const char *)block->data, size, true, offsets, FUZZ_RECORDS_MAX);
    } else {
        for (size_t i = 0; i < size && n < FUZZ_RECORDS_MAX; i++) {
            if (data[i] == '\n' || i + 1 == size) { offsets[++n] = (int64_t)i + 1; }
        }
    }
    const struct records records = {block, (const char *)block->data, offsets, n, true};
    struct column *columns[16] = {0};
    struct decode_errors errors = {0};
    const sabot_status status = format->decode(decoder, &records, columns, &errors, NULL);
    if (status == SABOT_OK) {
        struct batch *batch = NULL;
        if (batch_new(schema, columns, n_fields, n, &batch, NULL) != SABOT_OK) { __builtin_trap(); }
        struct encoder *encoder = NULL;
        struct text text = {0};
        if (format->encoder_new(&context, &encoder, NULL) != SABOT_OK) { __builtin_trap(); }
        (void)format->encode(encoder, batch, &text, NULL, NULL);
        format->encoder_free(encoder);
        text_clear(&text);
        batch_unref(batch);
    } else {
        for (int32_t i = 0; i < n_fields; i++) { column_unref(columns[i]); }
    }
    decode_errors_clear(&errors);
    format->decoder_free(decoder);
    buffer_unref(block);
    schema_unref(schema);
    if (pool.used != 0) { __builtin_trap(); }
}

#endif
