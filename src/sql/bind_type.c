/* SQL types -> types. */
#include "sql/bind_internal.h"

#include <stdio.h>

#include "sql/parse.h"

#define CHAR_LENGTH_DEFAULT 1
#define DECIMAL_PRECISION_DEFAULT 10
#define DECIMAL_PRECISION_MAX 38
#define TIMESTAMP_PRECISION_DEFAULT 6
#define TIMESTAMP_PRECISION_MAX 9

static sabot_status length_of(const struct sql_type *type, bool fixed, struct type *out, struct sabot_error *err) {
    /* As Flink's type system: VARCHAR without a length is STRING, CHAR is CHAR(1). */
    const uint32_t length = type->has_precision ? type->precision : fixed ? CHAR_LENGTH_DEFAULT : TYPE_LENGTH_MAX;
    if (length < 1 || length > TYPE_LENGTH_MAX) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, type->span, "a length must be between 1 and %d", TYPE_LENGTH_MAX);
    }
    out->length = (int32_t)length;
    out->fixed_length = fixed;
    return SABOT_OK;
}

static sabot_status fields_of(struct arena *arena, const struct sql_type *const *types, const char *const *names,
                              int32_t n, struct type *out, struct sabot_error *err) {
    struct field *fields = arena_alloc(arena, (size_t)(n ? n : 1) * sizeof *fields);
    if (!fields) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        fields[i].name = names[i];
        SABOT_TRY(bind_type(arena, types[i], &fields[i].type, err));
    }
    out->fields = fields;
    out->n_fields = n;
    return SABOT_OK;
}

static sabot_status row_of(struct arena *arena, const struct sql_type *type, struct type *out,
                           struct sabot_error *err) {
    const unsigned n = type->fields.count;
    const struct sql_type **types = arena_alloc(arena, (n ? n : 1) * sizeof *types);
    const char **names = arena_alloc(arena, (n ? n : 1) * sizeof *names);
    if (!types || !names) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < n; i++) {
        types[i] = type->fields.items[i].type;
        names[i] = arena_copy(arena, type->fields.items[i].name.text, strlen(type->fields.items[i].name.text));
        if (!names[i]) { return PLAN_NO_MEMORY(err); }
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0) {
                return SQL_FAIL(err, SABOT_ERR_PLAN, type->fields.items[i].name.span,
                                "the ROW has two fields \"%s\"", names[i]);
            }
        }
    }
    return fields_of(arena, types, names, (int32_t)n, out, err);
}

static sabot_status decimal_of(const struct sql_type *type, struct type *out, struct sabot_error *err) {
    const uint32_t precision = type->has_precision ? type->precision : DECIMAL_PRECISION_DEFAULT;
    const uint32_t scale = type->has_scale ? type->scale : 0;
    if (precision < 1 || precision > DECIMAL_PRECISION_MAX || scale > precision) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, type->span,
                        "DECIMAL(%u, %u): the precision must be 1 to %d and the scale 0 to the precision", precision,
                        scale, DECIMAL_PRECISION_MAX);
    }
    *out = type_decimal((int)precision, (int)scale);
    return SABOT_OK;
}

static sabot_status precision_of(const struct sql_type *type, uint32_t fallback, uint32_t max, struct type *out,
                                 struct sabot_error *err) {
    const uint32_t precision = type->has_precision ? type->precision : fallback;
    if (precision > max) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, type->span, "the precision must be 0 to %u, not %u", max, precision);
    }
    out->precision = (uint8_t)precision;
    return SABOT_OK;
}

static sabot_status refuse(const struct sql_type *type, struct sabot_error *err) {
    return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, type->span, "type %s can't be used yet",
                    sql_type_kind_name(type->kind));
}

sabot_status bind_type(struct arena *arena, const struct sql_type *type, struct type *out, struct sabot_error *err) {
    static const char *const element_name[] = {"element"};
    static const char *const map_names[] = {"key", "value"};
    switch (type->kind) {
    case SQL_TYPE_CHAR:
    case SQL_TYPE_VARCHAR:
        *out = type_of(TYPE_STRING);
        SABOT_TRY(length_of(type, type->kind == SQL_TYPE_CHAR, out, err));
        break;
    case SQL_TYPE_STRING: *out = type_of(TYPE_STRING); break;
    case SQL_TYPE_BINARY:
    case SQL_TYPE_VARBINARY:
        *out = type_of(TYPE_BINARY);
        SABOT_TRY(length_of(type, type->kind == SQL_TYPE_BINARY, out, err));
        break;
    case SQL_TYPE_BYTES: *out = type_of(TYPE_BINARY); break;
    case SQL_TYPE_BOOLEAN: *out = type_of(TYPE_BOOL); break;
    case SQL_TYPE_TINYINT: *out = type_of(TYPE_INT8); break;
    case SQL_TYPE_SMALLINT: *out = type_of(TYPE_INT16); break;
    case SQL_TYPE_INT: *out = type_of(TYPE_INT32); break;
    case SQL_TYPE_BIGINT: *out = type_of(TYPE_INT64); break;
    case SQL_TYPE_FLOAT: *out = type_of(TYPE_FLOAT32); break;
    case SQL_TYPE_DOUBLE: *out = type_of(TYPE_FLOAT64); break;
    case SQL_TYPE_DECIMAL: SABOT_TRY(decimal_of(type, out, err)); break;
    case SQL_TYPE_DATE: *out = type_of(TYPE_DATE); break;
    case SQL_TYPE_TIME:
        *out = type_of(TYPE_TIME);
        SABOT_TRY(precision_of(type, 0, 3, out, err));
        break;
    case SQL_TYPE_TIMESTAMP:
    case SQL_TYPE_TIMESTAMP_LTZ:
        *out = type_of(type->kind == SQL_TYPE_TIMESTAMP ? TYPE_TIMESTAMP : TYPE_TIMESTAMP_LTZ);
        SABOT_TRY(precision_of(type, TIMESTAMP_PRECISION_DEFAULT, TIMESTAMP_PRECISION_MAX, out, err));
        break;
    case SQL_TYPE_INTERVAL: {
        const bool months = type->unit_from == SQL_UNIT_YEAR || type->unit_from == SQL_UNIT_MONTH;
        *out = type_of(months ? TYPE_INTERVAL_MONTH : TYPE_INTERVAL_DAY);
        break;
    }
    case SQL_TYPE_ARRAY:
        *out = type_of(TYPE_ARRAY);
        SABOT_TRY(fields_of(arena, (const struct sql_type *const[]){type->element}, element_name, 1, out, err));
        break;
    case SQL_TYPE_MAP:
        *out = type_of(TYPE_MAP);
        SABOT_TRY(fields_of(arena, (const struct sql_type *const[]){type->key, type->element}, map_names, 2, out, err));
        break;
    case SQL_TYPE_ROW:
        *out = type_of(TYPE_ROW);
        SABOT_TRY(row_of(arena, type, out, err));
        break;
    case SQL_TYPE_NULL: *out = type_of(TYPE_NULL); break;
    case SQL_TYPE_NAMED:
        return SQL_FAIL(err, SABOT_ERR_PLAN, type->span, "there is no type \"%s\"",
                        path_text(arena, &type->name));
    default: return refuse(type, err);
    }
    out->nullable = !type->not_null;
    return SABOT_OK;
}

sabot_status bind_type_text(struct arena *arena, const char *text, struct type *out, struct sabot_error *err) {
    char sql[512];
    if (!text || snprintf(sql, sizeof sql, "CAST(NULL AS %s)", text) >= (int)sizeof sql) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "a function's type is missing or too long");
    }
    struct sql_script *script = NULL;
    struct sql_expr *expr = NULL;
    sabot_status status = sql_parse_expr(sql, strlen(sql), &script, &expr, err);
    if (status == SABOT_OK) { status = bind_type(arena, expr->cast.type, out, err); }
    sql_script_free(script);
    if (status != SABOT_OK) { error_context(err, "type \"%s\"", text); }
    return status;
}
