/* Formats: bytes <-> columns. One file each, one line in formats.def. */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include "base/text.h"
#include "connect/connector.h"

/* Records in one block of memory: record i is data[offsets[i] .. offsets[i + 1]). `data` has 64 readable bytes of
 * padding behind its end. */
struct records {
    struct buffer *block; /* keeps data alive: views may point into it */
    const char *data;
    const int64_t *offsets; /* n + 1 of them */
    int32_t n;
    bool are_lines; /* each ends with its line end, which is not part of its value */
};

struct decode_errors;
struct vector;
struct decoder;
struct encoder;
struct format_type {
    const char *name, *summary;
    const struct connector_option *options; /* names with the format's prefix: "json.ignore-parse-errors" */
    bool records_by_line; /* a stream of bytes is cut at line ends */
    bool keeps_blank_lines; /* a line without anything in it is a record (raw) */
    /* Cuts a stream of bytes into records where line ends do not do (csv: quoted newlines); else NULL. Takes up to
     * `max` whole records from `data`; at_end: the last one needs no line end. offsets[0..n] are places in data; record
     * i is offsets[i] .. offsets[i + 1], line end included; what follows offsets[n] belongs to the next call. */
    int32_t (*cut)(struct decoder *decoder, const char *data, size_t size, bool at_end, int64_t *offsets, int32_t max);
    /* Records that stand before the data of a file (csv header). NULL: none, ever. */
    int32_t (*header_records)(const struct decoder *decoder);
    /* NULL: the format is whole files (parquet), which only the connector 'filesystem' reads and writes. */
    sabot_status (*decoder_new)(const struct connector_context *context, struct decoder **out, struct sabot_error *err);
    /* Decodes records into columns of context->table->schema (metadata columns are left NULL in `columns` for the
     * connector to fill). Bad records are reported through `malformed_rows` (ascending record numbers, at most n) with
     * reasons, and have undefined values in the columns. */
    sabot_status (*decode)(struct decoder *decoder, const struct records *records, struct column **columns,
                           struct decode_errors *errors, struct sabot_error *err);
    void (*decoder_free)(struct decoder *decoder);
    sabot_status (*encoder_new)(const struct connector_context *context, struct encoder **out, struct sabot_error *err);
    /* Appends the selected rows, one record each. offsets NULL: as in a file, each with its line end; else bare, as in
     * messages, and offsets[i] is the end of record i in target. */
    sabot_status (*encode)(struct encoder *encoder, const struct batch *batch, struct text *target, int64_t *offsets,
                           struct sabot_error *err);
    /* What stands before the first and behind the last record of a file (csv header, arrow footer); appends. */
    sabot_status (*begin)(struct encoder *encoder, struct text *target, struct sabot_error *err);
    sabot_status (*end)(struct encoder *encoder, struct text *target, struct sabot_error *err);
    void (*encoder_free)(struct encoder *encoder);
};
#define DECODE_REASON_MAX 120
struct decode_errors {
    int32_t n, capacity;
    bool tolerated; /* the format is told to pass over bad records (json.ignore-parse-errors): counted, never a failure
                     */
    struct decode_error {
        int32_t record;
        char reason[DECODE_REASON_MAX];
    } *items;
};
sabot_status decode_error_add(struct decode_errors *errors, int32_t record, const char *reason,
                              struct sabot_error *err);
void decode_errors_clear(struct decode_errors *errors); /* frees */
/* What comes after the source trusts NOT NULL, so a record without a value there is malformed. Says so in `reason`. */
bool decode_lacks_value(const char *name, const struct vector *vector, int32_t row, char *reason);
/* `begin` and `end` of formats that need nothing there. */
sabot_status format_nothing(struct encoder *encoder, struct text *target, struct sabot_error *err);
/* One value as the format json writes it with its default options. */
sabot_status json_value_print(const struct column *column, int64_t row, struct type type, struct text *target,
                              struct sabot_error *err);
const struct format_type *format_find(const char *name);
const struct format_type *format_at(size_t i);

#endif
