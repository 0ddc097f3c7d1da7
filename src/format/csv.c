/* CSV as in RFC 4180 and Flink's csv format: fields by position, quotes, escapes, newlines inside quotes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "format/format.h"
#include "format/scalar.h"

static const struct connector_option csv_options[] = {
#define X(name, kind, fallback, values, summary) {name, kind, fallback, values, summary},
#include "format/csv_options.def"
#undef X
    {0},
};

#define NO_CHARACTER (-1)

struct dialect {
    int delimiter, quote, escape, element; /* characters, or NO_CHARACTER */
    const char *null_literal;              /* or NULL */
    size_t null_size;
    bool comments, header, ignore_errors;
};

/* One character, perhaps written \t or \u0009. */
static sabot_status character_option(const struct connector_table *table, const char *name, int *out,
                                     struct sabot_error *err) {
    const char *text = option_text(table, csv_options, name);
    *out = NO_CHARACTER;
    if (!text) { return SABOT_OK; }
    unsigned code;
    char rest;
    if (text[0] && !text[1] && (signed char)text[0] > 0) {
        *out = text[0];
    } else if (strcmp(text, "\\t") == 0) {
        *out = '\t';
    } else if (strcmp(text, "\\\\") == 0) {
        *out = '\\';
    } else if (sscanf(text, "\\u%4x%c", &code, &rest) == 1 && code > 0 && code < 128) {
        *out = (int)code;
    } else {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option '%s': \"%s\" must be one ASCII character, such as "
                          "';' or '\\t'", table->name, name, text);
    }
    if (*out == '\n' || *out == '\r') {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option '%s': a line end can't be used here", table->name,
                          name);
    }
    return SABOT_OK;
}

static sabot_status dialect_read(struct dialect *dialect, const struct connector_table *table,
                                 struct sabot_error *err) {
    bool no_quotes;
    *dialect = (struct dialect){0};
    SABOT_TRY(character_option(table, "csv.field-delimiter", &dialect->delimiter, err));
    SABOT_TRY(character_option(table, "csv.quote-character", &dialect->quote, err));
    SABOT_TRY(character_option(table, "csv.escape-character", &dialect->escape, err));
    SABOT_TRY(character_option(table, "csv.array-element-delimiter", &dialect->element, err));
    SABOT_TRY(option_bool(table, csv_options, "csv.disable-quote-character", &no_quotes, err));
    SABOT_TRY(option_bool(table, csv_options, "csv.allow-comments", &dialect->comments, err));
    SABOT_TRY(option_bool(table, csv_options, "csv.header", &dialect->header, err));
    SABOT_TRY(option_bool(table, csv_options, "csv.ignore-parse-errors", &dialect->ignore_errors, err));
    if (no_quotes) { dialect->quote = NO_CHARACTER; }
    dialect->null_literal = option_text(table, csv_options, "csv.null-literal");
    dialect->null_size = dialect->null_literal ? strlen(dialect->null_literal) : 0;
    return SABOT_OK;
}

/* --- reading */

struct decoder {
    const struct connector_table *table;
    struct memory_pool *pool;
    struct dialect dialect;
    struct vector *vectors; /* by column of the schema */
    int32_t *targets;       /* declared column -> column of the schema, -1: not wanted */
    struct type *declared;  /* of each declared column: fields of a ROW that nobody wants are in it too */
    int32_t n_declared;
    struct text scratch;    /* a field with its quotes and escapes taken out */
};

static bool type_is_plain(struct type type) {
    return type.kind != TYPE_ARRAY && type.kind != TYPE_MAP && type.kind != TYPE_ROW;
}

static sabot_status type_check(const struct field *field, struct sabot_error *err) {
    bool good = field->type.kind != TYPE_MAP;
    for (int32_t i = 0; good && i < field->type.n_fields; i++) { good = type_is_plain(field->type.fields[i].type); }
    if (good) { return SABOT_OK; }
    char type[128];
    type_print(field->type, type, sizeof type);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "column \"%s\": csv has no way to write %s; use the format json",
                      field->name, type);
}

static void csv_decoder_free(struct decoder *decoder) {
    if (!decoder) { return; }
    for (int32_t i = 0; decoder->vectors && i < decoder->table->schema->n_fields; i++) {
        vector_clear(&decoder->vectors[i]);
    }
    text_clear(&decoder->scratch);
    free(decoder->vectors);
    free(decoder->targets);
    free(decoder->declared);
    free(decoder);
}

static sabot_status csv_decoder_new(const struct connector_context *context, struct decoder **out,
                                    struct sabot_error *err) {
    *out = NULL;
    const struct connector_table *table = context->table;
    const struct schema *declared = table->declared ? table->declared : table->schema;
    struct dialect dialect;
    SABOT_TRY(dialect_read(&dialect, table, err));
    for (int32_t i = 0; i < declared->n_fields; i++) { SABOT_TRY(type_check(&declared->fields[i], err)); }
    struct decoder *decoder = calloc(1, sizeof *decoder);
    struct vector *vectors = calloc((size_t)table->schema->n_fields + 1, sizeof *vectors);
    int32_t *targets = calloc((size_t)declared->n_fields + 1, sizeof *targets);
    struct type *types = calloc((size_t)declared->n_fields + 1, sizeof *types);
    if (!decoder || !vectors || !targets || !types) {
        free(decoder);
        free(types);
        free(vectors);
        free(targets);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a CSV decoder");
    }
    *decoder = (struct decoder){
        .table = table,
        .pool = context->pool,
        .dialect = dialect,
        .vectors = vectors,
        .targets = targets,
        .declared = types,
    };
    for (int32_t i = 0; i < declared->n_fields; i++) {
        const int32_t at = schema_find(table->schema, declared->fields[i].name);
        const bool is_metadata = table->metadata && declared == table->schema && table->metadata[i];
        if (is_metadata) { continue; }
        types[decoder->n_declared] = declared->fields[i].type;
        targets[decoder->n_declared++] = at >= 0 && table->metadata && table->metadata[at] ? -1 : at;
    }
    *out = decoder;
    return SABOT_OK;
}

static int32_t csv_header_records(const struct decoder *decoder) { return decoder->dialect.header; }

/* The place behind the record that begins at `at`, or NULL where it does not end in the data. */
static const char *record_end(const struct dialect *dialect, const char *at, const char *end, bool at_end) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    const char *line_end = newline ? newline + 1 : end;
    if (dialect->quote == NO_CHARACTER || !memchr(at, dialect->quote, (size_t)(line_end - at))) {
        return newline || at_end ? line_end : NULL;
    }
    for (bool field_start = true, quoted = false; at < end; at++) {
        const char c = *at;
        if (c == dialect->escape && dialect->escape != NO_CHARACTER && c != dialect->quote) {
            at++;
            field_start = false;
        } else if (quoted) {
            /* a doubled quote ends the quotes and begins them again at once */
            quoted = c != dialect->quote || (at + 1 < end && at[1] == dialect->quote && at++);
        } else if (c == dialect->quote && field_start) {
            quoted = true;
            field_start = false;
        } else if (c == '\n') {
            return at + 1;
        } else {
            field_start = c == dialect->delimiter;
        }
    }
    return at_end ? end : NULL;
}

/* Behind blank lines and comments at `at`. */
static const char *skip_no_records(const struct dialect *dialect, const char *at, const char *end) {
    while (at < end) {
        if (*at == '\n' || (*at == '\r' && at + 1 < end && at[1] == '\n')) {
            at++;
        } else if (dialect->comments && *at == '#') {
            const char *newline = memchr(at, '\n', (size_t)(end - at));
            if (!newline) { return end; }
            at = newline + 1;
        } else {
            break;
        }
    }
    return at;
}

static int32_t csv_cut(struct decoder *decoder, const char *data, size_t size, bool at_end, int64_t *offsets,
                       int32_t max) {
    const char *at = data, *const end = data + size;
    int32_t n = 0;
    offsets[0] = 0;
    while (n < max) {
        const char *begin = skip_no_records(&decoder->dialect, at, end);
        const char *behind = begin < end ? record_end(&decoder->dialect, begin, end, at_end) : NULL;
        if (!behind) {
            /* what follows is no record: with the last one it is done with */
            if (at_end && n > 0) { offsets[n] = (int64_t)size; }
            break;
        }
        at = behind;
        offsets[++n] = at - data;
    }
    return n;
}

/* A field between its delimiters. */
struct csv_field {
    const char *data;
    size_t size;
    bool quoted;
    bool copied; /* in decoder->scratch */
};

/* Takes the quotes and escapes out of a field; *at: its first character, then its delimiter or the end. */
static const char *field_read_slow(struct decoder *decoder, const char **at, const char *end, struct csv_field *field) {
    const struct dialect *dialect = &decoder->dialect;
    const char *from = *at;
    struct text *scratch = &decoder->scratch;
    scratch->size = 0;
    field->quoted = *from == dialect->quote && dialect->quote != NO_CHARACTER;
    bool quoted = field->quoted;
    if (quoted) { from++; }
    char *to = text_reserve(scratch, (size_t)(end - from));
    if (!to) { return "a field without memory for it"; }
    char *const begin = to;
    for (; from < end; from++) {
        const char c = *from;
        if (c == dialect->escape && dialect->escape != NO_CHARACTER && c != dialect->quote && from + 1 < end) {
            *to++ = *++from;
        } else if (quoted && c == dialect->quote) {
            if (from + 1 < end && from[1] == c) {
                *to++ = *from++;
                continue;
            }
            quoted = false;
            for (from++; from < end && *from == ' ' && *from != dialect->delimiter;) { from++; }
            break;
        } else if (!quoted && c == dialect->delimiter) {
            break;
        } else {
            *to++ = c;
        }
    }
    if (quoted) { return "a quoted field does not end"; }
    if (from < end && *from != dialect->delimiter) { return "text behind a closing quote"; }
    *at = from;
    field->data = begin;
    field->size = (size_t)(to - begin);
    field->copied = true;
    return NULL;
}

static const char *field_read(struct decoder *decoder, const char **at, const char *end, struct csv_field *field) {
    const struct dialect *dialect = &decoder->dialect;
    const char *from = *at;
    const int delimiter = dialect->delimiter;
    *field = (struct csv_field){.data = from};
    if (from < end && *from == dialect->quote) {
        /* the usual quoted field has no quotes or escapes in it */
        const char *close = memchr(from + 1, dialect->quote, (size_t)(end - from - 1));
        const char *behind = close ? close + 1 : NULL;
        if (behind && dialect->escape == NO_CHARACTER && (behind == end || *behind == delimiter)) {
            field->data = from + 1;
            field->size = (size_t)(close - from - 1);
            field->quoted = true;
            *at = behind;
            return NULL;
        }
        return field_read_slow(decoder, at, end, field);
    }
    while (from < end && *from != delimiter) {
        if (*from == dialect->escape) { return field_read_slow(decoder, at, end, field); }
        from++;
    }
    field->size = (size_t)(from - *at);
    *at = from;
    return NULL;
}

static void trim(const char **data, size_t *size) {
    while (*size > 0 && (**data == ' ' || **data == '\t')) { ++*data, --*size; }
    while (*size > 0 && ((*data)[*size - 1] == ' ' || (*data)[*size - 1] == '\t')) { --*size; }
}

static sabot_status plain_store(struct decoder *decoder, struct vector *vector, int32_t row,
                                const struct csv_field *field, struct buffer *block, const char **reason,
                                struct sabot_error *err) {
    const struct dialect *dialect = &decoder->dialect;
    const char *data = field->data;
    size_t size = field->size;
    *reason = NULL;
    if (dialect->null_literal && size == dialect->null_size && memcmp(data, dialect->null_literal, size) == 0) {
        vector_set_null(vector, row);
        return SABOT_OK;
    }
    if (vector->type.kind == TYPE_STRING) {
        if (!utf8_is_valid(data, size)) {
            *reason = "not UTF-8";
            return SABOT_OK;
        }
        return vector_set_string(vector, row, data, size, field->copied ? NULL : block, err);
    }
    trim(&data, &size);
    if (size == 0 && !(field->quoted && vector->type.kind == TYPE_BINARY)) {
        vector_set_null(vector, row);
        return SABOT_OK;
    }
    return scalar_store(vector, row, data, size, NULL, reason, err);
}

static int32_t row_child(const struct vector *vector, const char *name) {
    int32_t i = vector->type.n_fields;
    while (--i >= 0 && strcmp(vector->type.fields[i].name, name) != 0) {}
    return i;
}

/* The elements of an ARRAY or the fields of a ROW inside one CSV field. */
static sabot_status nested_store(struct decoder *decoder, struct vector *vector, struct type declared, int32_t row,
                                 struct csv_field whole, struct buffer *block, const char **reason,
                                 struct sabot_error *err) {
    const bool is_null = decoder->dialect.null_literal && whole.size == decoder->dialect.null_size &&
                         memcmp(whole.data, decoder->dialect.null_literal, whole.size) == 0;
    *reason = NULL;
    if (is_null || whole.size == 0) {
        vector_set_null(vector, row);
        return SABOT_OK;
    }
    const bool is_list = vector->phys == PHYS_LIST;
    const char *at = whole.data, *const end = at + whole.size;
    int32_t n = 0;
    if (is_list) { vector_list_begin(vector, row); }
    for (bool more = true; more && !*reason; n++) {
        const char *stop = memchr(at, decoder->dialect.element, (size_t)(end - at));
        more = stop != NULL;
        if (!stop) { stop = end; }
        const struct csv_field part = {.data = at, .size = (size_t)(stop - at), .copied = whole.copied};
        int32_t target = row;
        if (is_list) { SABOT_TRY(vector_append(&vector->children[0], &target, err)); }
        if (!is_list && n >= declared.n_fields) {
            *reason = "more fields than its ROW has";
            return SABOT_OK;
        }
        const int32_t child = is_list ? 0 : row_child(vector, declared.fields[n].name);
        if (child >= 0) {
            SABOT_TRY(plain_store(decoder, &vector->children[child], target, &part, block, reason, err));
        }
        at = stop + 1;
    }
    if (!is_list && !*reason && n < declared.n_fields) { *reason = "fewer fields than its ROW has"; }
    if (is_list) { vector_list_end(vector, row); }
    return SABOT_OK;
}

static sabot_status record_read(struct decoder *decoder, const char *at, const char *end, struct buffer *block,
                                int32_t row, char *why, struct sabot_error *err) {
    const struct schema *schema = decoder->table->schema;
    const bool ignore = decoder->dialect.ignore_errors;
    int32_t n = 0;
    why[0] = 0;
    for (bool more = true; more; n++) {
        struct csv_field field;
        const char *reason = field_read(decoder, &at, end, &field);
        if (reason) {
            snprintf(why, DECODE_REASON_MAX, "field %d: %s", n + 1, reason);
            return SABOT_OK;
        }
        more = at < end; /* at a delimiter: one more field follows, perhaps an empty one */
        at++;
        if (n >= decoder->n_declared) { continue; }
        const int32_t target = decoder->targets[n];
        if (target < 0) { continue; }
        struct vector *vector = &decoder->vectors[target];
        if (type_is_plain(vector->type)) {
            SABOT_TRY(plain_store(decoder, vector, row, &field, block, &reason, err));
        } else {
            SABOT_TRY(nested_store(decoder, vector, decoder->declared[n], row, field, block, &reason, err));
        }
        if (reason && ignore) {
            vector_set_null(vector, row);
        } else if (reason) {
            snprintf(why, DECODE_REASON_MAX, "field \"%s\": %s", schema->fields[target].name, reason);
            return SABOT_OK;
        }
    }
    if (n == decoder->n_declared) { return SABOT_OK; }
    if (!ignore) {
        snprintf(why, DECODE_REASON_MAX, "%d fields where the table has %d columns", n, decoder->n_declared);
        return SABOT_OK;
    }
    for (; n < decoder->n_declared; n++) {
        if (decoder->targets[n] >= 0) { vector_set_null(&decoder->vectors[decoder->targets[n]], row); }
    }
    return SABOT_OK;
}

static sabot_status csv_decode(struct decoder *decoder, const struct records *records, struct column **columns,
                               struct decode_errors *errors, struct sabot_error *err) {
    const struct schema *schema = decoder->table->schema;
    const char *const *metadata = decoder->table->metadata;
    for (int32_t i = 0; i < schema->n_fields; i++) {
        if (metadata && metadata[i]) { continue; }
        SABOT_TRY(vector_init(&decoder->vectors[i], decoder->pool, schema->fields[i].type, records->n, err));
    }
    for (int32_t row = 0; row < records->n; row++) {
        const char *at = records->data + records->offsets[row], *end = records->data + records->offsets[row + 1];
        at = skip_no_records(&decoder->dialect, at, end);
        if (end > at && end[-1] == '\n') { end--; }
        if (end > at && end[-1] == '\r') { end--; }
        char why[DECODE_REASON_MAX];
        SABOT_TRY(record_read(decoder, at, end, records->block, row, why, err));
        for (int32_t i = 0; i < schema->n_fields && !why[0]; i++) {
            if (metadata && metadata[i]) { continue; }
            decode_lacks_value(schema->fields[i].name, &decoder->vectors[i], row, why);
        }
        if (!why[0]) { continue; }
        SABOT_TRY(decode_error_add(errors, row, why, err));
        for (int32_t i = 0; i < schema->n_fields; i++) {
            if (!metadata || !metadata[i]) { vector_set_null(&decoder->vectors[i], row); }
        }
    }
    errors->tolerated = decoder->dialect.ignore_errors;
    for (int32_t i = 0; i < schema->n_fields; i++) {
        if (metadata && metadata[i]) { continue; }
        SABOT_TRY(vector_finish(&decoder->vectors[i], &columns[i], err));
    }
    return SABOT_OK;
}

/* --- writing */

struct encoder {
    const struct schema *schema;
    struct dialect dialect;
    struct text part; /* one nested value */
};

static void csv_encoder_free(struct encoder *encoder) {
    if (!encoder) { return; }
    text_clear(&encoder->part);
    free(encoder);
}

static sabot_status csv_encoder_new(const struct connector_context *context, struct encoder **out,
                                    struct sabot_error *err) {
    *out = NULL;
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a CSV encoder"); }
    encoder->schema = context->table->schema;
    sabot_status status = dialect_read(&encoder->dialect, context->table, err);
    for (int32_t i = 0; i < encoder->schema->n_fields && status == SABOT_OK; i++) {
        status = type_check(&encoder->schema->fields[i], err);
    }
    if (status != SABOT_OK) {
        free(encoder);
        return status;
    }
    *out = encoder;
    return SABOT_OK;
}

/* A text with quotes where it needs them; an empty string gets them, so that it is told from NULL. */
static void field_print(const struct dialect *dialect, struct text *target, const char *data, size_t size) {
    bool quote = size == 0 || data[0] == ' ' || data[size - 1] == ' ' || (dialect->comments && data[0] == '#');
    for (size_t i = 0; i < size && !quote; i++) {
        quote = data[i] == dialect->delimiter || data[i] == dialect->quote || data[i] == '\n' || data[i] == '\r' ||
                data[i] == dialect->escape;
    }
    if (!quote || dialect->quote == NO_CHARACTER) {
        for (size_t i = 0; i < size; i++) {
            /* without quotes the escape is all there is */
            const bool special = data[i] == dialect->delimiter || data[i] == dialect->escape;
            if (special && dialect->escape != NO_CHARACTER) { text_append(target, &(char){(char)dialect->escape}, 1); }
            text_append(target, data + i, 1);
        }
        return;
    }
    const char mark = (char)dialect->quote;
    text_append(target, &mark, 1);
    size_t begin = 0;
    for (size_t i = 0; i < size; i++) {
        const bool special = data[i] == mark || data[i] == dialect->escape;
        if (!special) { continue; }
        text_append(target, data + begin, i - begin);
        text_append(target, data[i] == mark ? &mark : &(char){(char)dialect->escape}, 1);
        begin = i;
    }
    text_append(target, data + begin, size - begin);
    text_append(target, &mark, 1);
}

static void plain_print(struct text *target, const struct column *column, int64_t row, struct type type) {
    const int64_t at = column_at(column, row);
    switch ((enum type_kind)type.kind) {
    case TYPE_BOOL: text_add(target, ((const uint8_t *)column->values)[at] ? "true" : "false"); break;
    case TYPE_INT8: int64_print(target, ((const int8_t *)column->values)[at]); break;
    case TYPE_INT16: int64_print(target, ((const int16_t *)column->values)[at]); break;
    case TYPE_INT32:
    case TYPE_INTERVAL_MONTH: int64_print(target, ((const int32_t *)column->values)[at]); break;
    case TYPE_INT64:
    case TYPE_INTERVAL_DAY: int64_print(target, ((const int64_t *)column->values)[at]); break;
    case TYPE_FLOAT32: float_print(target, ((const float *)column->values)[at]); break;
    case TYPE_FLOAT64: double_print(target, ((const double *)column->values)[at]); break;
    case TYPE_DECIMAL:
        decimal_print(target, column->phys == PHYS_I128 ? ((const __int128 *)column->values)[at]
                                                        : ((const int64_t *)column->values)[at], type.scale);
        break;
    case TYPE_DATE: date_print(target, ((const int32_t *)column->values)[at]); break;
    case TYPE_TIME: time_print(target, ((const int32_t *)column->values)[at]); break;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ: timestamp_print(target, ((const int64_t *)column->values)[at], type, ' '); break;
    case TYPE_STRING: {
        const struct string_view *view = (const struct string_view *)column->values + at;
        text_append(target, string_view_data(view), view->size);
        break;
    }
    case TYPE_BINARY: {
        const struct string_view *view = (const struct string_view *)column->values + at;
        text_add_base64(target, string_view_data(view), view->size);
        break;
    }
    case TYPE_NULL:
    case TYPE_ARRAY:
    case TYPE_MAP:
    case TYPE_ROW:
    case TYPE_KINDS: break;
    }
}

static void null_print(const struct dialect *dialect, struct text *target) {
    text_append(target, dialect->null_literal ? dialect->null_literal : "", dialect->null_size);
}

static void column_put(struct encoder *encoder, struct text *target, const struct column *column, int64_t row,
                       struct type type) {
    const struct dialect *dialect = &encoder->dialect;
    if (column_is_null(column, row)) {
        null_print(dialect, target);
        return;
    }
    const int64_t at = column_at(column, row);
    if (type.kind == TYPE_STRING) {
        const struct string_view *view = (const struct string_view *)column->values + at;
        field_print(dialect, target, string_view_data(view), view->size);
        return;
    }
    if (type_is_plain(type)) {
        plain_print(target, column, row, type);
        return;
    }
    const bool is_list = type.kind == TYPE_ARRAY;
    const int32_t *offsets = column->values;
    const int32_t first = is_list ? offsets[at] : 0, end = is_list ? offsets[at + 1] : type.n_fields;
    encoder->part.size = 0;
    for (int32_t i = first; i < end; i++) {
        const struct column *child = column->children[is_list ? 0 : i];
        const int64_t child_row = is_list ? i : at;
        if (i > first) { text_append(&encoder->part, &(char){(char)dialect->element}, 1); }
        if (column_is_null(child, child_row)) {
            null_print(dialect, &encoder->part);
        } else {
            plain_print(&encoder->part, child, child_row, type.fields[is_list ? 0 : i].type);
        }
    }
    field_print(dialect, target, text_string(&encoder->part), encoder->part.size);
}

static sabot_status csv_encode(struct encoder *encoder, const struct batch *batch, struct text *target,
                               int64_t *offsets, struct sabot_error *err) {
    const char delimiter = (char)encoder->dialect.delimiter;
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        for (int32_t c = 0; c < batch->n_columns; c++) {
            if (c > 0) { text_append(target, &delimiter, 1); }
            column_put(encoder, target, batch->columns[c], row, encoder->schema->fields[c].type);
        }
        if (offsets) {
            offsets[i] = (int64_t)target->size;
        } else {
            text_append(target, "\n", 1);
        }
    }
    return target->failed || encoder->part.failed
               ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "CSV of a batch: no memory, or more than 2 GiB")
               : SABOT_OK;
}

static sabot_status csv_begin(struct encoder *encoder, struct text *target, struct sabot_error *err) {
    (void)err;
    if (!encoder->dialect.header) { return SABOT_OK; }
    for (int32_t i = 0; i < encoder->schema->n_fields; i++) {
        if (i > 0) { text_append(target, &(char){(char)encoder->dialect.delimiter}, 1); }
        field_print(&encoder->dialect, target, encoder->schema->fields[i].name,
                    strlen(encoder->schema->fields[i].name));
    }
    text_append(target, "\n", 1);
    return SABOT_OK;
}

const struct format_type csv_format = {
    .name = "csv",
    .summary = "fields by position, as in RFC 4180",
    .options = csv_options,
    .cut = csv_cut,
    .header_records = csv_header_records,
    .decoder_new = csv_decoder_new,
    .decode = csv_decode,
    .decoder_free = csv_decoder_free,
    .encoder_new = csv_encoder_new,
    .encode = csv_encode,
    .begin = csv_begin,
    .end = format_nothing,
    .encoder_free = csv_encoder_free,
};
