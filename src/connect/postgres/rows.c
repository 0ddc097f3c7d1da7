/* Columns become the text format of COPY: a tab between values, a line end behind a row, a backslash before what would
 * be mistaken.
 *
 * Without a primary key rows are appended by COPY alone. With one they go into a temporary table first, with their
 * number in the epoch and whether they delete; of each key the last row counts, and is inserted, replaces or deletes.
 */
#include "connect/postgres/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "arrow/calendar.h"
#include "arrow/print.h"
#include "connect/postgres/client.h"
#include "format/format.h"

/* ---- statements ---- */

enum part { PART_NAME, PART_ASSIGN /* "a" = EXCLUDED."a" */, PART_SAME /* t."a" = s."a" */ };

static bool is_key(const struct connector_table *table, int32_t column) {
    for (int32_t i = 0; i < table->n_primary_key; i++) {
        if (table->primary_key[i] == column) { return true; }
    }
    return false;
}

/* Columns in this form, those of the key, the others, or all. */
static sabot_status columns_add(const struct connector_table *table, struct text *sql, enum part part, bool keys,
                                bool others, const char *between, struct sabot_error *err) {
    const char *before = "";
    for (int32_t i = 0; i < table->schema->n_fields; i++) {
        if (is_key(table, i) ? !keys : !others) { continue; }
        const char *name = table->schema->fields[i].name;
        text_add(sql, before);
        before = between;
        if (part == PART_SAME) { text_add(sql, "t."); }
        SABOT_TRY(pg_name_add(sql, name, strlen(name), err));
        if (part == PART_NAME) { continue; }
        text_add(sql, part == PART_SAME ? " = s." : " = EXCLUDED.");
        SABOT_TRY(pg_name_add(sql, name, strlen(name), err));
    }
    return SABOT_OK;
}

/* The last row of each key. */
static sabot_status last_add(const struct connector_table *table, const char *stage, struct text *sql,
                             struct sabot_error *err) {
    text_add(sql, "(SELECT DISTINCT ON (");
    SABOT_TRY(columns_add(table, sql, PART_NAME, true, false, ", ", err));
    text_format(sql, ") * FROM %s ORDER BY ", stage);
    SABOT_TRY(columns_add(table, sql, PART_NAME, true, false, ", ", err));
    text_add(sql, ", \"sabot seq\" DESC) s");
    return SABOT_OK;
}

static sabot_status upsert_add(const struct connector_table *table, const char *target, const char *columns,
                               struct text *sql, struct sabot_error *err) {
    char stage[64];
    struct text key = {0};
    text_format(&key, "%s %s", target, columns);
    snprintf(stage, sizeof stage, "pg_temp.sabot_rows_%016" PRIx64, (uint64_t)XXH3_64bits(text_string(&key), key.size));
    text_clear(&key);
    text_format(sql, "CREATE TEMP TABLE IF NOT EXISTS %s ON COMMIT DELETE ROWS AS SELECT %s, 0::bigint AS \"sabot "
                "seq\", false AS \"sabot delete\" FROM %s WITH NO DATA\n", stage + 8, columns, target);
    text_format(sql, "COPY %s FROM STDIN\n", stage);
    text_format(sql, "DELETE FROM %s t USING ", target);
    SABOT_TRY(last_add(table, stage, sql, err));
    text_add(sql, " WHERE s.\"sabot delete\" AND ");
    SABOT_TRY(columns_add(table, sql, PART_SAME, true, false, " AND ", err));
    text_format(sql, "\nINSERT INTO %s (%s) SELECT %s FROM ", target, columns, columns);
    SABOT_TRY(last_add(table, stage, sql, err));
    text_add(sql, " WHERE NOT s.\"sabot delete\" ON CONFLICT (");
    SABOT_TRY(columns_add(table, sql, PART_NAME, true, false, ", ", err));
    text_add(sql, table->n_primary_key < table->schema->n_fields ? ") DO UPDATE SET " : ") DO NOTHING");
    SABOT_TRY(columns_add(table, sql, PART_ASSIGN, false, true, ", ", err));
    text_add(sql, "\n");
    return SABOT_OK;
}

sabot_status pg_statements_add(const struct connector_table *table, const char *target, struct text *rows,
                               struct sabot_error *err) {
    struct text columns = {0};
    sabot_status status = columns_add(table, &columns, PART_NAME, true, true, ", ", err);
    if (status == SABOT_OK && table->n_primary_key > 0) {
        status = upsert_add(table, target, text_string(&columns), rows, err);
    } else if (status == SABOT_OK) {
        text_format(rows, "\nCOPY %s (%s) FROM STDIN\n\n\n", target, text_string(&columns));
    }
    if (status == SABOT_OK && (columns.failed || rows->failed)) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for rows");
    }
    text_clear(&columns);
    return status;
}

sabot_status pg_statements_read(const char *rows, size_t size, struct pg_statements *out, struct sabot_error *err) {
    *out = (struct pg_statements){0};
    size_t ends[4], at = 0;
    for (int i = 0; i < 4; i++) {
        const char *end = memchr(rows + at, '\n', size - at);
        if (!end) {
            return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "the rows that the checkpoint keeps for PostgreSQL are torn");
        }
        ends[i] = (size_t)(end - rows);
        at = ends[i] + 1;
    }
    out->lines = strndup(rows, at);
    if (!out->lines) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for rows"); }
    const char **const lines[] = {&out->stage, &out->copy, &out->remove, &out->insert};
    size_t begin = 0;
    for (int i = 0; i < 4; i++) {
        out->lines[ends[i]] = '\0';
        *lines[i] = ends[i] > begin ? out->lines + begin : NULL;
        begin = ends[i] + 1;
    }
    out->data = rows + at;
    out->size = size - at;
    return SABOT_OK;
}

void pg_statements_clear(struct pg_statements *statements) { free(statements->lines); }

/* ---- values ---- */

/* Between 1 and 9999 a date is written alike everywhere; PostgreSQL says BC of what is before. */
static void date_add(struct text *target, int64_t days, const char *clock, const char *end) {
    const struct civil civil = civil_of_days(days);
    const bool before_christ = civil.year <= 0;
    text_format(target, "%04" PRId64 "-%02d-%02d%s%s%s", before_christ ? 1 - (int64_t)civil.year : (int64_t)civil.year,
                civil.month, civil.day, clock, end, before_christ ? " BC" : "");
}

/* PostgreSQL keeps microseconds; finer ones are cut, not rounded. */
static void timestamp_add(struct text *target, int64_t value, struct type type, const char *end) {
    const int64_t per_second = 1000 * timestamp_units_per_ms_num(type);
    const int64_t seconds = floor_div(value, per_second);
    const int64_t us = (value - seconds * per_second) * 1000000 / per_second;
    const int64_t days = floor_div(seconds, 86400), second = seconds - days * 86400;
    char clock[40];
    snprintf(clock, sizeof clock, " %02d:%02d:%02d.%06d", (int)(second / 3600), (int)(second / 60 % 60),
             (int)(second % 60), (int)us);
    date_add(target, days, clock, end);
}

static void hex_add(struct text *target, const char *data, size_t size) {
    static const char digits[] = "0123456789abcdef";
    char *room = text_reserve(target, 2 * size);
    for (size_t i = 0; room && i < size; i++) {
        *room++ = digits[(unsigned char)data[i] >> 4];
        *room++ = digits[data[i] & 15];
    }
    if (room) { target->size += 2 * size; }
}

static sabot_status value_add(struct text *target, const struct column *column, int64_t row, struct type type,
                              struct sabot_error *err);

/* An element of an array literal. */
static void element_add(struct text *target, const char *data, size_t size) {
    text_append(target, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '"' || data[i] == '\\') { text_append(target, "\\", 1); }
        text_append(target, data + i, 1);
    }
    text_append(target, "\"", 1);
}

static sabot_status array_add(struct text *target, const struct column *column, int64_t at, struct type type,
                              struct sabot_error *err) {
    const int32_t *offsets = column->values;
    const struct column *items = column->children[0];
    const struct type item = type.fields[0].type;
    struct text text = {0};
    sabot_status status = SABOT_OK;
    text_append(target, "{", 1);
    for (int32_t i = offsets[at]; i < offsets[at + 1] && status == SABOT_OK; i++) {
        if (i > offsets[at]) { text_append(target, ",", 1); }
        if (column_is_null(items, i)) {
            text_append(target, "NULL", 4);
        } else if (item.kind == TYPE_ARRAY) {
            status = value_add(target, items, i, item, err);
        } else {
            text.size = 0;
            status = value_add(&text, items, i, item, err);
            element_add(target, text_string(&text), text.size);
        }
    }
    text_append(target, "}", 1);
    if (text.failed) { target->failed = true; }
    text_clear(&text);
    return status;
}

/* A value as PostgreSQL reads it, not yet escaped for COPY. */
static sabot_status value_add(struct text *target, const struct column *column, int64_t row, struct type type,
                              struct sabot_error *err) {
    const int64_t at = column_at(column, row);
    const void *values = column->values;
    switch ((enum type_kind)type.kind) {
    case TYPE_STRING: {
        const struct string_view *view = (const struct string_view *)values + at;
        if (memchr(string_view_data(view), '\0', view->size)) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "a text has a zero byte, which PostgreSQL can't keep in one");
        }
        text_append(target, string_view_data(view), view->size);
        return SABOT_OK;
    }
    case TYPE_BINARY: {
        const struct string_view *view = (const struct string_view *)values + at;
        text_append(target, "\\x", 2);
        hex_add(target, string_view_data(view), view->size);
        return SABOT_OK;
    }
    case TYPE_DATE: date_add(target, ((const int32_t *)values)[at], "", ""); return SABOT_OK;
    case TYPE_TIMESTAMP: timestamp_add(target, ((const int64_t *)values)[at], type, ""); return SABOT_OK;
    case TYPE_TIMESTAMP_LTZ: timestamp_add(target, ((const int64_t *)values)[at], type, "+00"); return SABOT_OK;
    case TYPE_INTERVAL_MONTH:
        text_format(target, "%" PRId32 " mons", ((const int32_t *)values)[at]);
        return SABOT_OK;
    case TYPE_INTERVAL_DAY: {
        const int64_t ms = ((const int64_t *)values)[at];
        const uint64_t size = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
        text_format(target, "%s%" PRIu64 ".%03d seconds", ms < 0 ? "-" : "", size / 1000, (int)(size % 1000));
        return SABOT_OK;
    }
    case TYPE_ARRAY: return array_add(target, column, at, type, err);
    case TYPE_MAP:
    case TYPE_ROW: return json_value_print(column, row, type, target, err);
    default: {
        const struct text_options options = {.null_text = "NULL"};
        return column_print(column, row, type, &options, target, err);
    }
    }
}

/* What may stand in a line of COPY as it is. */
static bool is_plain(struct type type) {
    return type.kind != TYPE_STRING && type.kind != TYPE_BINARY && type.kind != TYPE_ARRAY && type.kind != TYPE_MAP &&
           type.kind != TYPE_ROW;
}

static void escaped_add(struct text *target, const char *data, size_t size) {
    size_t begin = 0;
    for (size_t i = 0; i < size; i++) {
        const char c = data[i];
        const char *instead = c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
        if (!instead) { continue; }
        text_append(target, data + begin, i - begin);
        text_append(target, instead, 2);
        begin = i + 1;
    }
    text_append(target, data + begin, size - begin);
}

static sabot_status cell_add(const struct connector_table *table, const struct batch *batch, int32_t c, int32_t row,
                             struct text *scratch, struct text *rows, struct sabot_error *err) {
    const struct column *column = batch->columns[c];
    const struct field *field = &batch->schema->fields[c];
    if (column_is_null(column, row)) {
        text_append(rows, "\\N", 2);
        return SABOT_OK;
    }
    const bool plain = is_plain(field->type);
    scratch->size = 0;
    const sabot_status status = value_add(plain ? rows : scratch, column, row, field->type, err);
    if (status != SABOT_OK) {
        error_context(err, "table \"%s\", column \"%s\"", table->name, field->name);
        return status;
    }
    if (!plain) { escaped_add(rows, text_string(scratch), scratch->size); }
    return SABOT_OK;
}

sabot_status pg_rows_add(const struct connector_table *table, const struct batch *batch, int64_t first,
                         struct text *rows, struct sabot_error *err) {
    struct text scratch = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < batch->selected && status == SABOT_OK; i++) {
        const int32_t row = batch_row(batch, i);
        for (int32_t c = 0; c < batch->n_columns && status == SABOT_OK; c++) {
            if (c > 0) { text_append(rows, "\t", 1); }
            status = cell_add(table, batch, c, row, &scratch, rows, err);
        }
        if (table->n_primary_key > 0) {
            const uint8_t kind = batch->row_kinds ? batch->row_kinds[row] : ROW_INSERT;
            const bool deletes = kind == ROW_DELETE || kind == ROW_UPDATE_BEFORE;
            text_format(rows, "\t%" PRId64 "\t%c", first + i, deletes ? 't' : 'f');
        }
        text_append(rows, "\n", 1);
    }
    if (status == SABOT_OK && (scratch.failed || rows->failed)) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "table \"%s\": the system has no memory for rows", table->name);
    }
    text_clear(&scratch);
    return status;
}
