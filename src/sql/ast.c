/* Names of units, operators and types, and errors with a place in the source. */
#include "sql/ast.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

sabot_status sql_error_set(struct sabot_error *err, sabot_status status, struct sql_span span, const char *file,
                           int line, const char *format, ...) {
    if (!err || err->status != SABOT_OK) { return status; }
    char message[SABOT_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    error_set(err, status, file, line, "%s", message);
    err->sql_line = span.line;
    err->sql_column = span.column;
    err->sql_length = span.line > 0 && span.length == 0 ? 1 : span.length;
    return status;
}

static const struct {
    const char *name;
    enum sql_unit unit;
} units[] = {
    {"YEAR", SQL_UNIT_YEAR},       {"QUARTER", SQL_UNIT_QUARTER}, {"MONTH", SQL_UNIT_MONTH},
    {"WEEK", SQL_UNIT_WEEK},       {"DAY", SQL_UNIT_DAY},         {"HOUR", SQL_UNIT_HOUR},
    {"MINUTE", SQL_UNIT_MINUTE},   {"SECOND", SQL_UNIT_SECOND},   {"MILLISECOND", SQL_UNIT_MILLISECOND},
    {"MICROSECOND", SQL_UNIT_MICROSECOND}, {"NANOSECOND", SQL_UNIT_NANOSECOND}, {"DOW", SQL_UNIT_DOW},
    {"ISODOW", SQL_UNIT_ISODOW},   {"DOY", SQL_UNIT_DOY},         {"ISOYEAR", SQL_UNIT_ISOYEAR},
    {"EPOCH", SQL_UNIT_EPOCH},     {"DECADE", SQL_UNIT_DECADE},   {"CENTURY", SQL_UNIT_CENTURY},
    {"MILLENNIUM", SQL_UNIT_MILLENNIUM},
    /* other words for the same; a name that is looked up comes first */
    {"SQL_TSI_YEAR", SQL_UNIT_YEAR}, {"SQL_TSI_QUARTER", SQL_UNIT_QUARTER}, {"SQL_TSI_MONTH", SQL_UNIT_MONTH},
    {"SQL_TSI_WEEK", SQL_UNIT_WEEK}, {"SQL_TSI_DAY", SQL_UNIT_DAY}, {"SQL_TSI_HOUR", SQL_UNIT_HOUR},
    {"SQL_TSI_MINUTE", SQL_UNIT_MINUTE}, {"SQL_TSI_SECOND", SQL_UNIT_SECOND},
};

const char *sql_unit_name(enum sql_unit unit) {
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].unit == unit) { return units[i].name; }
    }
    return "";
}

enum sql_unit sql_unit_find(const char *word) {
    const size_t size = strlen(word);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const char *name = units[i].name;
        const size_t name_size = strlen(name);
        const bool plural = size == name_size + 1 && (word[name_size] | 0x20) == 's' && i <= SQL_UNIT_NANOSECOND - 1;
        if ((size == name_size || plural) && strncasecmp(name, word, name_size) == 0) { return units[i].unit; }
    }
    return SQL_UNIT_NONE;
}

const char *sql_op_name(enum sql_op op) {
    static const char *const names[] = {
        [SQL_OP_PLUS] = "+",
        [SQL_OP_MINUS] = "-",
        [SQL_OP_NOT] = "NOT",
        [SQL_OP_ADD] = "+",
        [SQL_OP_SUB] = "-",
        [SQL_OP_MUL] = "*",
        [SQL_OP_DIV] = "/",
        [SQL_OP_MOD] = "%",
        [SQL_OP_CONCAT] = "||",
        [SQL_OP_EQ] = "=",
        [SQL_OP_NE] = "<>",
        [SQL_OP_LT] = "<",
        [SQL_OP_LE] = "<=",
        [SQL_OP_GT] = ">",
        [SQL_OP_GE] = ">=",
        [SQL_OP_DISTINCT] = "IS DISTINCT FROM",
        [SQL_OP_NOT_DISTINCT] = "IS NOT DISTINCT FROM",
        [SQL_OP_OVERLAPS] = "OVERLAPS",
        [SQL_OP_AND] = "AND",
        [SQL_OP_OR] = "OR",
    };
    return names[op];
}

const char *sql_type_kind_name(enum sql_type_kind kind) {
    static const char *const names[] = {
        [SQL_TYPE_CHAR] = "CHAR",
        [SQL_TYPE_VARCHAR] = "VARCHAR",
        [SQL_TYPE_STRING] = "STRING",
        [SQL_TYPE_BOOLEAN] = "BOOLEAN",
        [SQL_TYPE_BINARY] = "BINARY",
        [SQL_TYPE_VARBINARY] = "VARBINARY",
        [SQL_TYPE_BYTES] = "BYTES",
        [SQL_TYPE_DECIMAL] = "DECIMAL",
        [SQL_TYPE_TINYINT] = "TINYINT",
        [SQL_TYPE_SMALLINT] = "SMALLINT",
        [SQL_TYPE_INT] = "INT",
        [SQL_TYPE_BIGINT] = "BIGINT",
        [SQL_TYPE_FLOAT] = "FLOAT",
        [SQL_TYPE_DOUBLE] = "DOUBLE",
        [SQL_TYPE_DATE] = "DATE",
        [SQL_TYPE_TIME] = "TIME",
        [SQL_TYPE_TIMESTAMP] = "TIMESTAMP",
        [SQL_TYPE_TIMESTAMP_TZ] = "TIMESTAMP_TZ",
        [SQL_TYPE_TIMESTAMP_LTZ] = "TIMESTAMP_LTZ",
        [SQL_TYPE_INTERVAL] = "INTERVAL",
        [SQL_TYPE_ARRAY] = "ARRAY",
        [SQL_TYPE_MULTISET] = "MULTISET",
        [SQL_TYPE_MAP] = "MAP",
        [SQL_TYPE_ROW] = "ROW",
        [SQL_TYPE_RAW] = "RAW",
        [SQL_TYPE_NULL] = "NULL",
        [SQL_TYPE_VARIANT] = "VARIANT",
        [SQL_TYPE_NAMED] = "user-defined type",
    };
    return names[kind];
}

struct sql_span sql_span_join(struct sql_span first, struct sql_span last) {
    if (first.line == 0) { return last; }
    if (last.line == 0) { return first; }
    const uint32_t end = last.offset + last.size;
    if (end > first.offset + first.size) {
        first.size = end - first.offset;
        first.length = last.position + last.length - first.position;
    }
    return first;
}
