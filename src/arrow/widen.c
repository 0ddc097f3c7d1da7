/* Widening: see widen.h. */
#include "arrow/widen.h"

static int digits_of(struct type type) {
    switch ((enum type_kind)type.kind) {
    case TYPE_INT8: return 3;
    case TYPE_INT16: return 5;
    case TYPE_INT32: return 10;
    case TYPE_INT64: return 19;
    default: return type.precision;
    }
}

static bool integer_widens(struct type from, struct type to) {
    switch ((enum type_kind)to.kind) {
    case TYPE_DECIMAL: return to.precision - to.scale >= digits_of(from);
    case TYPE_FLOAT32: return from.kind <= TYPE_INT16; /* 24 bits are exact */
    case TYPE_FLOAT64: return from.kind <= TYPE_INT32;
    default: return type_is_integer(to) && digits_of(to) >= digits_of(from);
    }
}

bool type_widens(struct type from, struct type to) {
    if (type_same(from, to)) { return true; }
    if (type_is_integer(from)) { return integer_widens(from, to); }
    switch ((enum type_kind)from.kind) {
    case TYPE_FLOAT32: return to.kind == TYPE_FLOAT64;
    case TYPE_DECIMAL:
        return to.kind == TYPE_DECIMAL && to.scale >= from.scale &&
               to.precision - to.scale >= from.precision - from.scale;
    case TYPE_STRING:
    case TYPE_BINARY: return to.kind == from.kind && !to.fixed_length && to.length >= from.length;
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ: return to.kind == from.kind && to.precision >= from.precision;
    default: return false;
    }
}

static __int128 integer_at(const struct column *column, int64_t at) {
    switch (column->phys) {
    case PHYS_I8: return ((const int8_t *)column->values)[at];
    case PHYS_I16: return ((const int16_t *)column->values)[at];
    case PHYS_I32: return ((const int32_t *)column->values)[at];
    case PHYS_I64: return ((const int64_t *)column->values)[at];
    default: return ((const __int128 *)column->values)[at];
    }
}

static double double_at(const struct column *column, int64_t at) {
    return column->phys == PHYS_F32 ? (double)((const float *)column->values)[at] : (double)integer_at(column, at);
}

/* What values are multiplied by: a larger scale, finer units of time. */
static __int128 factor_of(struct type from, struct type to) {
    if (to.kind == TYPE_TIMESTAMP || to.kind == TYPE_TIMESTAMP_LTZ) {
        return timestamp_units_per_ms_num(to) / timestamp_units_per_ms_num(from);
    }
    __int128 factor = 1;
    for (int i = from.kind == TYPE_DECIMAL ? from.scale : 0; to.kind == TYPE_DECIMAL && i < to.scale; i++) {
        factor *= 10;
    }
    return factor;
}

static sabot_status value_put(struct column_builder *builder, int32_t row, __int128 value, struct sabot_error *err) {
    switch (builder->phys) {
    case PHYS_I8: ((int8_t *)builder->values)[row] = (int8_t)value; break;
    case PHYS_I16: ((int16_t *)builder->values)[row] = (int16_t)value; break;
    case PHYS_I32: ((int32_t *)builder->values)[row] = (int32_t)value; break;
    case PHYS_I64:
        if (value != (int64_t)value) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "a timestamp is too far away for the finer units that its column "
                              "has in this job: keep the old precision");
        }
        ((int64_t *)builder->values)[row] = (int64_t)value;
        break;
    default: ((__int128 *)builder->values)[row] = value; break;
    }
    return SABOT_OK;
}

static sabot_status convert(const struct column *column, struct type from, struct type to,
                            struct column_builder *builder, struct sabot_error *err) {
    const __int128 factor = factor_of(from, to);
    for (int32_t row = 0; row < column->length; row++) {
        const int64_t at = column_at(column, row);
        const bool is_null = column_is_null(column, row);
        if (is_null) { column_builder_set_null(builder, row); }
        switch (builder->phys) {
        case PHYS_F32: ((float *)builder->values)[row] = is_null ? 0 : (float)double_at(column, at); break;
        case PHYS_F64: ((double *)builder->values)[row] = is_null ? 0 : double_at(column, at); break;
        default: SABOT_TRY(value_put(builder, row, is_null ? 0 : integer_at(column, at) * factor, err)); break;
        }
    }
    return SABOT_OK;
}

sabot_status column_widen(struct memory_pool *pool, struct column *column, struct type from, struct type to,
                          struct column **out, struct sabot_error *err) {
    const enum phys phys = type_phys(to);
    const bool is_number = phys != PHYS_VIEW && phys != PHYS_LIST && phys != PHYS_ROW && phys != PHYS_BOOL;
    if (!is_number || (column->phys == phys && factor_of(from, to) == 1)) {
        *out = column_ref(column);
        return SABOT_OK;
    }
    *out = NULL;
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, pool, phys, column->length, column->validity != NULL, err));
    sabot_status status = convert(column, from, to, &builder, err);
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}
