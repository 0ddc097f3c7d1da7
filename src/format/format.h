/* Formats: bytes <-> columns. One file each, one line in formats.def. */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include "base/text.h"
#include "connect/connector.h"

/* Records in one block of memory: record i is data[offsets[i] .. offsets[i + 1]). `data` has 64 readable bytes of padding
 * behind its end. */
struct records {
    struct buffer *block; /* keeps data alive: views may point into it */
    const char *data;
    const int64_t *offsets; /* n + 1 of them */
    int32_t n;
};

struct decode_errors;
struct decoder;
struct encoder;
struct format_type {
    const char *name, *summary;
    const struct connector_option *options; /* names with the format's prefix: "json.ignore-parse-errors" */
    bool records_by_line; /* a stream of bytes is cut at line ends (csv cuts by itself: quoted newlines) */
    sabot_status (*decoder_new)(const struct connector_context *context, struct decoder **out, struct sabot_error *err);
    /* Decodes records into columns of context->table->schema (metadata columns are left NULL in `columns` for the
     * connector to fill). Bad records are reported through `malformed_rows` (ascending record numbers, at most n) with
     * reasons, and have undefined values in the columns. */
    sabot_status (*decode)(struct decoder *decoder, const struct records *records, struct column **columns,
                           struct decode_errors *errors, struct sabot_error *err);
    void (*decoder_free)(struct decoder *decoder);
    sabot_status (*encoder_new)(const struct connector_context *context, struct encoder **out, struct sabot_error *err);
    /* Appends the selected rows, one record each; offsets (may be NULL) get the end of each record in target. */
    sabot_status (*encode)(struct encoder *encoder, const struct batch *batch, struct text *target, int64_t *offsets,
                           struct sabot_error *err);
    /* What stands before the first and behind the last record of a file (csv header, arrow footer); appends. */
    sabot_status (*begin)(struct encoder *encoder, struct text *target, struct sabot_error *err);
    sabot_status (*end)(struct encoder *encoder, struct text *target, struct sabot_error *err);
    void (*encoder_free)(struct encoder *encoder);
};
struct decode_errors {
    int32_t n, capacity;
    struct decode_error {
        int32_t record;
        char reason[120];
    } *items;
};
const struct format_type *format_find(const char *name);
const struct format_type *format_at(size_t i);

#endif
