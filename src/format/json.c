/* JSON, one object per record; semantics of Flink's json format. The parsing is in json_simdjson.cc. */
#include <stdlib.h>

#include "base/encode.h"
#include "format/format.h"
#include "format/json_simdjson.h"
#include "format/scalar.h"

static const struct connector_option json_options[] = {
#define X(name, kind, fallback, values, summary) {name, kind, fallback, values, summary},
#include "format/json_options.def"
#undef X
    {0},
};

/* --- reading */

struct decoder {
    const struct connector_table *table;
    struct memory_pool *pool;
    struct json_parser *parser;
    struct json_column root;
    struct vector *vectors; /* of the record's columns */
    int32_t *columns;       /* which column of the schema each is */
    bool fail_on_missing, ignore_errors;
};

static uint8_t kind_of(struct type type) {
    switch ((enum type_kind)type.kind) {
    case TYPE_INT64: return JSON_INT64;
    case TYPE_STRING: return JSON_STRING;
    case TYPE_ROW: return JSON_ROW;
    case TYPE_ARRAY: return JSON_ARRAY;
    case TYPE_MAP: return JSON_MAP;
    default: return JSON_SCALAR;
    }
}

static void shape_clear(struct json_column *column) {
    for (int32_t i = 0; i < column->n_children; i++) { shape_clear(&column->children[i]); }
    free(column->children);
    free(column->order);
}

static sabot_status shape_children(struct json_column *column, int32_t n, struct sabot_error *err) {
    column->children = calloc((size_t)n + 1, sizeof *column->children);
    column->order = calloc(JSON_ORDER_MAX, sizeof *column->order);
    if (!column->children || !column->order) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a JSON decoder");
    }
    column->n_children = n;
    return SABOT_OK;
}

static sabot_status shape_make(struct json_column *column, const char *name, struct type type,
                               struct sabot_error *err) {
    *column = (struct json_column){.name = name, .name_size = (uint32_t)strlen(name), .kind = kind_of(type)};
    if (column->kind < JSON_ROW) { return SABOT_OK; }
    if (column->kind == JSON_MAP) {
        type.kind = TYPE_ROW;
        SABOT_TRY(shape_children(column, 1, err));
        return shape_make(&column->children[0], name, type, err);
    }
    SABOT_TRY(shape_children(column, type.n_fields, err));
    for (int32_t i = 0; i < type.n_fields; i++) {
        SABOT_TRY(shape_make(&column->children[i], column->kind == JSON_ARRAY ? name : type.fields[i].name,
                             type.fields[i].type, err));
    }
    return SABOT_OK;
}

static void json_decoder_free(struct decoder *decoder) {
    if (!decoder) { return; }
    for (int32_t i = 0; decoder->vectors && i < decoder->root.n_children; i++) { vector_clear(&decoder->vectors[i]); }
    shape_clear(&decoder->root);
    json_parser_free(decoder->parser);
    free(decoder->vectors);
    free(decoder->columns);
    free(decoder);
}

static sabot_status decoder_fill(struct decoder *decoder, const struct connector_table *table,
                                 struct sabot_error *err) {
    SABOT_TRY(option_bool(table, json_options, "json.fail-on-missing-field", &decoder->fail_on_missing, err));
    SABOT_TRY(option_bool(table, json_options, "json.ignore-parse-errors", &decoder->ignore_errors, err));
    if (decoder->fail_on_missing && decoder->ignore_errors) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": json.fail-on-missing-field and json.ignore-parse-errors "
                          "contradict each other: set one of them", table->name);
    }
    const struct schema *schema = table->schema;
    decoder->root.kind = JSON_ROW;
    SABOT_TRY(shape_children(&decoder->root, schema->n_fields, err));
    decoder->root.n_children = 0;
    decoder->vectors = calloc((size_t)schema->n_fields + 1, sizeof *decoder->vectors);
    decoder->columns = calloc((size_t)schema->n_fields + 1, sizeof *decoder->columns);
    decoder->parser = json_parser_new();
    if (!decoder->vectors || !decoder->columns || !decoder->parser) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a JSON decoder");
    }
    for (int32_t i = 0; i < schema->n_fields; i++) {
        if (table->metadata && table->metadata[i]) { continue; }
        const int32_t n = decoder->root.n_children++;
        decoder->columns[n] = i;
        SABOT_TRY(shape_make(&decoder->root.children[n], schema->fields[i].name, schema->fields[i].type, err));
    }
    return SABOT_OK;
}

static sabot_status json_decoder_new(const struct connector_context *context, struct decoder **out,
                                     struct sabot_error *err) {
    *out = NULL;
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a JSON decoder"); }
    decoder->table = context->table;
    decoder->pool = context->pool;
    const sabot_status status = decoder_fill(decoder, context->table, err);
    if (status != SABOT_OK) {
        json_decoder_free(decoder);
        return status;
    }
    *out = decoder;
    return SABOT_OK;
}

static void shape_bind(struct json_column *column, struct vector *vector) {
    column->vector = vector;
    column->values = vector->values;
    for (int32_t i = 0; i < column->n_children; i++) { shape_bind(&column->children[i], &vector->children[i]); }
}

sabot_status json_store_text(struct json_column *column, int32_t row, const char *text, size_t size, bool quoted,
                             void *block, const char **reason, struct sabot_error *err) {
    struct vector *vector = column->vector;
    if (column->kind == JSON_STRING) { return scalar_store(vector, row, text, size, block, reason, err); }
    while (quoted && size > 0 && (text[0] == ' ' || text[0] == '\t')) { text++, size--; }
    while (quoted && size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t')) { size--; }
    const enum type_kind kind = vector->type.kind;
    const bool temporal =
        kind == TYPE_DATE || kind == TYPE_TIME || kind == TYPE_TIMESTAMP || kind == TYPE_TIMESTAMP_LTZ;
    if (!quoted && temporal) {
        *reason = "a date or time must be a string such as \"2015-07-14 23:59:10.123\"";
        return SABOT_OK;
    }
    SABOT_TRY(scalar_store(vector, row, text, size, block, reason, err));
    double number;
    if (!*reason || quoted || !double_parse(text, size, &number)) { return SABOT_OK; }
    /* 12.7 and 1e3 are taken for INT and BIGINT, cut to whole numbers, as in Flink */
    const bool has_fraction = memchr(text, '.', size) || memchr(text, 'e', size) || memchr(text, 'E', size);
    if (has_fraction && (kind == TYPE_INT32 || kind == TYPE_INT64) && number > -9.2e18 && number < 9.2e18 &&
        scalar_store_int(vector, row, (int64_t)number)) {
        *reason = NULL;
    }
    return SABOT_OK;
}

void json_store_null(struct json_column *column, int32_t row) { vector_set_null(column->vector, row); }

void json_store_valid(struct json_column *column, int32_t row) { vector_set_valid(column->vector, row); }

void json_list_begin(struct json_column *list, int32_t row) { vector_list_begin(list->vector, row); }

sabot_status json_list_append(struct json_column *list, int32_t *row, struct sabot_error *err) {
    struct vector *element = &((struct vector *)list->vector)->children[0];
    const void *before = element->validity;
    SABOT_TRY(vector_append(element, row, err));
    if (element->validity != before) { shape_bind(&list->children[0], element); } /* it has grown and moved */
    return SABOT_OK;
}

void json_list_end(struct json_column *list, int32_t row) { vector_list_end(list->vector, row); }

static sabot_status json_decode(struct decoder *decoder, const struct records *records, struct column **columns,
                                struct decode_errors *errors, struct sabot_error *err) {
    const int32_t n_columns = decoder->root.n_children;
    for (int32_t i = 0; i < n_columns; i++) {
        const struct type type = decoder->table->schema->fields[decoder->columns[i]].type;
        SABOT_TRY(vector_init(&decoder->vectors[i], decoder->pool, type, records->n, err));
        shape_bind(&decoder->root.children[i], &decoder->vectors[i]);
    }
    const size_t end = (size_t)records->offsets[records->n];
    struct json_record record = {
        .block = records->block,
        .fail_on_missing = decoder->fail_on_missing,
        .ignore_errors = decoder->ignore_errors,
    };
    char reason[DECODE_REASON_MAX];
    for (int32_t row = 0; row < records->n; row++) {
        const size_t begin = (size_t)records->offsets[row];
        record.data = records->data + begin;
        record.size = (size_t)records->offsets[row + 1] - begin;
        record.capacity = end - begin + 64;
        record.row = row;
        SABOT_TRY(json_parse_record(decoder->parser, &decoder->root, &record, reason, sizeof reason, err));
        for (int32_t i = 0; i < n_columns && !reason[0]; i++) {
            decode_lacks_value(decoder->root.children[i].name, &decoder->vectors[i], row, reason);
        }
        if (!reason[0]) { continue; }
        SABOT_TRY(decode_error_add(errors, row, reason, err));
        for (int32_t i = 0; i < n_columns; i++) { vector_set_null(&decoder->vectors[i], row); }
    }
    errors->tolerated = decoder->ignore_errors;
    for (int32_t i = 0; i < n_columns; i++) {
        SABOT_TRY(vector_finish(&decoder->vectors[i], &columns[decoder->columns[i]], err));
    }
    return SABOT_OK;
}

/* --- writing */

enum null_key { NULL_KEY_FAIL, NULL_KEY_DROP, NULL_KEY_LITERAL };

struct encoder {
    const struct schema *schema;
    struct text *names; /* "name": of each column */
    char separator;     /* between date and time */
    bool ignore_nulls;
    enum null_key null_key;
    const char *null_key_literal;
};

/* NaN and Infinity are no JSON numbers: what was printed since `begin` becomes a string, as in Flink. */
static void quote_unless_number(struct text *target, size_t begin) {
    const size_t size = target->size - begin;
    char word[32];
    if (target->failed || size >= sizeof word || target->data[target->size - 1] <= '9') { return; }
    memcpy(word, target->data + begin, size);
    target->size = begin;
    text_add_json(target, word, size);
}

static sabot_status value_print(const struct encoder *encoder, struct text *target, const struct column *column,
                                int64_t row, struct type type, struct sabot_error *err);

static sabot_status map_print(const struct encoder *encoder, struct text *target, const struct column *column,
                              int64_t at, struct type type, struct sabot_error *err) {
    const int32_t *offsets = column->values;
    const struct column *keys = column->children[0]->children[0], *values = column->children[0]->children[1];
    bool first = true;
    text_append(target, "{", 1);
    for (int32_t i = offsets[at]; i < offsets[at + 1]; i++) {
        const bool null_key = column_is_null(keys, i);
        if (null_key && encoder->null_key == NULL_KEY_FAIL) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "a map with a NULL key has no JSON; set json.map-null-key.mode to "
                              "DROP or LITERAL");
        }
        if (null_key && encoder->null_key == NULL_KEY_DROP) { continue; }
        if (!first) { text_append(target, ",", 1); }
        first = false;
        if (null_key) {
            text_add_json(target, encoder->null_key_literal, strlen(encoder->null_key_literal));
        } else if (type.fields[0].type.kind == TYPE_STRING) {
            SABOT_TRY(value_print(encoder, target, keys, i, type.fields[0].type, err));
        } else {
            struct text key = {0};
            const sabot_status status = value_print(encoder, &key, keys, i, type.fields[0].type, err);
            if (status == SABOT_OK && key.size && key.data[0] == '"') {
                text_append(target, key.data, key.size);
            } else if (status == SABOT_OK) {
                text_add_json(target, text_string(&key), key.size);
            }
            text_clear(&key);
            SABOT_TRY(status);
        }
        text_append(target, ":", 1);
        SABOT_TRY(value_print(encoder, target, values, i, type.fields[1].type, err));
    }
    text_append(target, "}", 1);
    return SABOT_OK;
}

static sabot_status row_print(const struct encoder *encoder, struct text *target, const struct column *column,
                              int64_t at, struct type type, struct sabot_error *err) {
    bool first = true;
    text_append(target, "{", 1);
    for (int32_t i = 0; i < type.n_fields; i++) {
        if (encoder->ignore_nulls && column_is_null(column->children[i], at)) { continue; }
        if (!first) { text_append(target, ",", 1); }
        first = false;
        text_add_json(target, type.fields[i].name, strlen(type.fields[i].name));
        text_append(target, ":", 1);
        SABOT_TRY(value_print(encoder, target, column->children[i], at, type.fields[i].type, err));
    }
    text_append(target, "}", 1);
    return SABOT_OK;
}

static sabot_status value_print(const struct encoder *encoder, struct text *target, const struct column *column,
                                int64_t row, struct type type, struct sabot_error *err) {
    if (column_is_null(column, row)) {
        text_append(target, "null", 4);
        return SABOT_OK;
    }
    const int64_t at = column_at(column, row);
    const size_t begin = target->size;
    switch ((enum type_kind)type.kind) {
    case TYPE_NULL:
    case TYPE_KINDS: text_append(target, "null", 4); break;
    case TYPE_BOOL: text_add(target, ((const uint8_t *)column->values)[at] ? "true" : "false"); break;
    case TYPE_INT8: int64_print(target, ((const int8_t *)column->values)[at]); break;
    case TYPE_INT16: int64_print(target, ((const int16_t *)column->values)[at]); break;
    case TYPE_INT32:
    case TYPE_INTERVAL_MONTH: int64_print(target, ((const int32_t *)column->values)[at]); break;
    case TYPE_INT64:
    case TYPE_INTERVAL_DAY: int64_print(target, ((const int64_t *)column->values)[at]); break;
    case TYPE_FLOAT32:
        float_print(target, ((const float *)column->values)[at]);
        quote_unless_number(target, begin);
        break;
    case TYPE_FLOAT64:
        double_print(target, ((const double *)column->values)[at]);
        quote_unless_number(target, begin);
        break;
    case TYPE_DECIMAL:
        decimal_print(target, column->phys == PHYS_I128 ? ((const __int128 *)column->values)[at]
                                                        : ((const int64_t *)column->values)[at], type.scale);
        break;
    case TYPE_STRING: {
        const struct string_view *view = (const struct string_view *)column->values + at;
        text_add_json(target, string_view_data(view), view->size);
        break;
    }
    case TYPE_BINARY: {
        const struct string_view *view = (const struct string_view *)column->values + at;
        text_append(target, "\"", 1);
        text_add_base64(target, string_view_data(view), view->size);
        text_append(target, "\"", 1);
        break;
    }
    case TYPE_DATE:
        text_append(target, "\"", 1);
        date_print(target, ((const int32_t *)column->values)[at]);
        text_append(target, "\"", 1);
        break;
    case TYPE_TIME:
        text_append(target, "\"", 1);
        time_print(target, ((const int32_t *)column->values)[at]);
        text_append(target, "\"", 1);
        break;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ:
        text_append(target, "\"", 1);
        timestamp_print(target, ((const int64_t *)column->values)[at], type, encoder->separator);
        text_append(target, "\"", 1);
        break;
    case TYPE_ARRAY: {
        const int32_t *offsets = column->values;
        text_append(target, "[", 1);
        for (int32_t i = offsets[at]; i < offsets[at + 1]; i++) {
            if (i > offsets[at]) { text_append(target, ",", 1); }
            SABOT_TRY(value_print(encoder, target, column->children[0], i, type.fields[0].type, err));
        }
        text_append(target, "]", 1);
        break;
    }
    case TYPE_MAP: return map_print(encoder, target, column, at, type, err);
    case TYPE_ROW: return row_print(encoder, target, column, at, type, err);
    }
    return SABOT_OK;
}

sabot_status json_value_print(const struct column *column, int64_t row, struct type type, struct text *target,
                              struct sabot_error *err) {
    const struct encoder encoder = {.separator = ' '};
    return value_print(&encoder, target, column, row, type, err);
}

static void json_encoder_free(struct encoder *encoder) {
    if (!encoder) { return; }
    for (int32_t i = 0; encoder->names && i < encoder->schema->n_fields; i++) { text_clear(&encoder->names[i]); }
    free(encoder->names);
    free(encoder);
}

static sabot_status json_encoder_new(const struct connector_context *context, struct encoder **out,
                                     struct sabot_error *err) {
    *out = NULL;
    const struct connector_table *table = context->table;
    bool ignore_nulls;
    SABOT_TRY(option_bool(table, json_options, "json.encode.ignore-null-fields", &ignore_nulls, err));
    const char *mode = option_text(table, json_options, "json.map-null-key.mode");
    const char *standard = option_text(table, json_options, "json.timestamp-format.standard");
    struct encoder *encoder = calloc(1, sizeof *encoder);
    struct text *names = calloc((size_t)table->schema->n_fields + 1, sizeof *names);
    if (!encoder || !names) {
        free(encoder);
        free(names);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a JSON encoder");
    }
    *encoder = (struct encoder){
        .schema = table->schema,
        .names = names,
        .separator = (standard[0] | 0x20) == 'i' ? 'T' : ' ',
        .ignore_nulls = ignore_nulls,
        .null_key = (mode[0] | 0x20) == 'f'   ? NULL_KEY_FAIL
                    : (mode[0] | 0x20) == 'd' ? NULL_KEY_DROP
                                              : NULL_KEY_LITERAL,
        .null_key_literal = option_text(table, json_options, "json.map-null-key.literal"),
    };
    for (int32_t i = 0; i < table->schema->n_fields; i++) {
        const char *name = table->schema->fields[i].name;
        text_add_json(&names[i], name, strlen(name));
        text_append(&names[i], ":", 1);
        if (names[i].failed) {
            json_encoder_free(encoder);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a JSON encoder");
        }
    }
    *out = encoder;
    return SABOT_OK;
}

static sabot_status json_encode(struct encoder *encoder, const struct batch *batch, struct text *target,
                                int64_t *offsets, struct sabot_error *err) {
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        bool first = true;
        text_append(target, "{", 1);
        for (int32_t c = 0; c < batch->n_columns; c++) {
            if (encoder->ignore_nulls && column_is_null(batch->columns[c], row)) { continue; }
            if (!first) { text_append(target, ",", 1); }
            first = false;
            text_append(target, encoder->names[c].data, encoder->names[c].size);
            SABOT_TRY(value_print(encoder, target, batch->columns[c], row, encoder->schema->fields[c].type, err));
        }
        text_append(target, "}\n", offsets ? 1 : 2);
        if (offsets) { offsets[i] = (int64_t)target->size; }
    }
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "JSON of a batch: no memory, or more than 2 GiB")
                          : SABOT_OK;
}

const struct format_type json_format = {
    .name = "json",
    .summary = "one JSON object per line or message",
    .options = json_options,
    .records_by_line = true,
    .decoder_new = json_decoder_new,
    .decode = json_decode,
    .decoder_free = json_decoder_free,
    .encoder_new = json_encoder_new,
    .encode = json_encode,
    .begin = format_nothing,
    .end = format_nothing,
    .encoder_free = json_encoder_free,
};
