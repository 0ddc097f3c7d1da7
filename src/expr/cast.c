/* Casts, with Flink's semantics: CAST fails with the value in the message, TRY_CAST gives NULL.
 *
 * Numbers are converted in loops that only remember whether anything was out of range; then the rows that count are
 * looked at again. A number that does not fit a DECIMAL becomes NULL, as in Flink. */
#include "expr/cast.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "arrow/calendar.h"
#include "arrow/print.h"
#include "base/zone.h"
#include "expr/decimal.h"
#include "expr/kernel.h"
#include "expr/temporal_parse.h"
#include "expr/utf8.h"

/* --- failure of one row */
static sabot_status set_null(struct kernel_call *call, int32_t row, struct sabot_error *err) {
    SABOT_TRY(column_builder_add_validity(call->result, err));
    column_builder_set_null(call->result, row);
    return SABOT_OK;
}

/* The value at a row can't be cast: NULL, or an error that shows it. */
static sabot_status fail_row(struct kernel_call *call, int32_t row, struct sabot_error *err) {
    if (call->expr->try_cast) { return set_null(call, row, err); }
    struct text value = {0};
    char type[160];
    const struct text_options options = {.null_text = "NULL"};
    const struct type from = call->expr->args[0]->type;
    column_print(call->args[0], row, from, &options, &value, NULL);
    type_print(type_nullable(call->expr->type), type, sizeof type);
    const char *quote = from.kind == TYPE_STRING ? "'" : "";
    const sabot_status status =
        SABOT_FAIL(err, SABOT_ERR_DATA, "%s%.200s%s%s can't be cast to %s; TRY_CAST gives NULL instead", quote,
                   text_string(&value), value.size > 200 ? "..." : "", quote, type);
    text_clear(&value);
    return status;
}

/* --- numbers to numbers */
static const double integer_limits[][2] = {
    /* the smallest double below the range and the smallest above it, exclusive */
    [PHYS_I8] = {-129.0, 128.0},
    [PHYS_I16] = {-32769.0, 32768.0},
    [PHYS_I32] = {-2147483649.0, 2147483648.0},
    [PHYS_I64] = {-9223372036854777856.0, 9223372036854775808.0},
};

#define NUMBER_LOOP(st, dt, expression)                                                                                \
    do {                                                                                                               \
        const st *x = from->values;                                                                                    \
        dt *restrict target = call->result->values;                                                                    \
        KERNEL_FOR(rows, n, row, {                                                                                     \
            const st v = x[row & mask];                                                                                \
            target[row] = (dt)(expression);                                                                            \
        });                                                                                                            \
    } while (0)
/* from an integer: wraps, and remembers that it did */
#define FROM_INTEGER(st, dt) NUMBER_LOOP(st, dt, (bad |= (st)(dt)v != v, (dt)v))
/* from a float: a value out of range becomes 0 for now */
#define FROM_FLOAT(st, dt)                                                                                             \
    NUMBER_LOOP(st, dt, (double)v > low && (double)v < high ? (dt)v : (bad = true, (dt)0))
#define TO_INTEGER(dt)                                                                                                 \
    switch ((enum phys)from->phys) {                                                                                   \
    case PHYS_BOOL: NUMBER_LOOP(uint8_t, dt, v & 1); break;                                                            \
    case PHYS_I8: FROM_INTEGER(int8_t, dt); break;                                                                     \
    case PHYS_I16: FROM_INTEGER(int16_t, dt); break;                                                                   \
    case PHYS_I32: FROM_INTEGER(int32_t, dt); break;                                                                   \
    case PHYS_I64: FROM_INTEGER(int64_t, dt); break;                                                                   \
    case PHYS_F32: FROM_FLOAT(float, dt); break;                                                                       \
    default: FROM_FLOAT(double, dt); break;                                                                            \
    }
#define TO_FLOAT(dt)                                                                                                   \
    switch ((enum phys)from->phys) {                                                                                   \
    case PHYS_BOOL: NUMBER_LOOP(uint8_t, dt, v & 1); break;                                                            \
    case PHYS_I8: NUMBER_LOOP(int8_t, dt, v); break;                                                                   \
    case PHYS_I16: NUMBER_LOOP(int16_t, dt, v); break;                                                                 \
    case PHYS_I32: NUMBER_LOOP(int32_t, dt, v); break;                                                                 \
    case PHYS_I64: NUMBER_LOOP(int64_t, dt, v); break;                                                                 \
    case PHYS_F32: NUMBER_LOOP(float, dt, v); break;                                                                   \
    default: NUMBER_LOOP(double, dt, v); break;                                                                        \
    }
#define TO_BOOL                                                                                                        \
    switch ((enum phys)from->phys) {                                                                                   \
    case PHYS_I8: NUMBER_LOOP(int8_t, uint8_t, v != 0); break;                                                         \
    case PHYS_I16: NUMBER_LOOP(int16_t, uint8_t, v != 0); break;                                                       \
    case PHYS_I32: NUMBER_LOOP(int32_t, uint8_t, v != 0); break;                                                       \
    case PHYS_I64: NUMBER_LOOP(int64_t, uint8_t, v != 0); break;                                                       \
    case PHYS_I128: NUMBER_LOOP(__int128, uint8_t, v != 0); break;                                                     \
    case PHYS_F32: NUMBER_LOOP(float, uint8_t, v != 0); break;                                                         \
    default: NUMBER_LOOP(double, uint8_t, v != 0); break;                                                              \
    }

static bool number_in_range(const struct column *from, int32_t row, enum phys to) {
    const int64_t at = column_at(from, row);
    const double low = integer_limits[to][0], high = integer_limits[to][1];
    int64_t value;
    switch ((enum phys)from->phys) {
    case PHYS_F32:
    case PHYS_F64: {
        const double number = from->phys == PHYS_F32 ? (double)((const float *)from->values)[at]
                                                     : ((const double *)from->values)[at];
        return number > low && number < high;
    }
    case PHYS_I16: value = ((const int16_t *)from->values)[at]; break;
    case PHYS_I32: value = ((const int32_t *)from->values)[at]; break;
    case PHYS_I64: value = ((const int64_t *)from->values)[at]; break;
    default: return true;
    }
    return (double)value > low && (double)value < high;
}

static sabot_status numbers_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct column *from = call->args[0];
    const int32_t mask = from->constant ? 0 : -1;
    const enum phys to = call->result->phys;
    int32_t n;
    const int32_t *rows = kernel_rows_dense(call, &n);
    bool bad = false;
    if (to == PHYS_BOOL) {
        TO_BOOL
        return SABOT_OK;
    }
    if (to == PHYS_F32) {
        TO_FLOAT(float)
        return SABOT_OK;
    }
    if (to == PHYS_F64) {
        TO_FLOAT(double)
        return SABOT_OK;
    }
    const double low = integer_limits[to][0], high = integer_limits[to][1];
    switch (to) {
    case PHYS_I8: TO_INTEGER(int8_t) break;
    case PHYS_I16: TO_INTEGER(int16_t) break;
    case PHYS_I32: TO_INTEGER(int32_t) break;
    default: TO_INTEGER(int64_t) break;
    }
    const bool is_float = from->phys == PHYS_F32 || from->phys == PHYS_F64;
    if (!bad || (call->context->wrap_overflow && !is_float && !call->expr->try_cast)) { return SABOT_OK; }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (kernel_row_counts(call, row) && !number_in_range(from, row, to)) { SABOT_TRY(fail_row(call, row, err)); }
    }
    return SABOT_OK;
}

/* --- decimals */
static inline __int128 exact_at(const struct column *column, int64_t row) {
    const int64_t at = column_at(column, row);
    switch ((enum phys)column->phys) {
    case PHYS_BOOL: return ((const uint8_t *)column->values)[at] & 1;
    case PHYS_I8: return ((const int8_t *)column->values)[at];
    case PHYS_I16: return ((const int16_t *)column->values)[at];
    case PHYS_I32: return ((const int32_t *)column->values)[at];
    case PHYS_I64: return ((const int64_t *)column->values)[at];
    default: return ((const __int128 *)column->values)[at];
    }
}

static sabot_status put_decimal(struct kernel_call *call, int32_t row, __int128 value, bool fits,
                                struct sabot_error *err) {
    if (!fits || !decimal_fits(value, call->expr->type.precision)) { return set_null(call, row, err); }
    if (call->result->phys == PHYS_I64) {
        ((int64_t *)call->result->values)[row] = (int64_t)value;
    } else {
        ((__int128 *)call->result->values)[row] = value;
    }
    return SABOT_OK;
}

static sabot_status to_decimal_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct column *from = call->args[0];
    const struct type source = type_as_decimal(call->expr->args[0]->type), to = call->expr->type;
    const int source_precision = source.kind == TYPE_DECIMAL ? source.precision : 1;
    const int source_scale = source.kind == TYPE_DECIMAL ? source.scale : 0;
    const bool is_float = from->phys == PHYS_F32 || from->phys == PHYS_F64;
    const int raise = to.scale - source_scale;
    if (!is_float && raise >= 0 && raise <= 18 && source_precision - source_scale <= to.precision - to.scale) {
        /* always fits: no checks */
        const uint64_t factor = powers_of_10_u64[raise];
        if (call->result->phys == PHYS_I64) {
            int64_t *target = call->result->values;
            KERNEL_FOR(call->rows, call->n_rows, row,
                       target[row] = (int64_t)((uint64_t)exact_at(from, row) * factor));
        } else {
            __int128 *target = call->result->values;
            KERNEL_FOR(call->rows, call->n_rows, row,
                       target[row] = (__int128)((unsigned __int128)exact_at(from, row) * factor));
        }
        return SABOT_OK;
    }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        __int128 value = 0;
        bool fits;
        if (from->phys == PHYS_F64) {
            const double number = ((const double *)from->values)[column_at(from, row)];
            fits = decimal_of_double(number, to.precision, to.scale, &value);
        } else if (from->phys == PHYS_F32) {
            char text[PRINT_SIZE];
            const int size = print_f32(((const float *)from->values)[column_at(from, row)], text);
            fits = text_to_decimal(text, (size_t)size, to.precision, to.scale, &value, &fits) && fits;
        } else {
            fits = decimal_rescale(exact_at(from, row), source_scale, to.scale, &value);
        }
        SABOT_TRY(put_decimal(call, row, value, fits, err));
    }
    return SABOT_OK;
}

static sabot_status from_decimal_kernel(struct kernel_call *call, struct sabot_error *err) {
    const int scale = call->expr->args[0]->type.scale;
    const __int128 unit = power_of_10(scale);
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const __int128 value = exact_at(call->args[0], row);
        const __int128 whole = value / unit; /* towards zero */
        void *values = call->result->values;
        bool fits = true;
        switch (call->result->phys) {
        case PHYS_I8: fits = whole == (((int8_t *)values)[row] = (int8_t)whole); break;
        case PHYS_I16: fits = whole == (((int16_t *)values)[row] = (int16_t)whole); break;
        case PHYS_I32: fits = whole == (((int32_t *)values)[row] = (int32_t)whole); break;
        case PHYS_I64: fits = whole == (((int64_t *)values)[row] = (int64_t)whole); break;
        case PHYS_F32: ((float *)values)[row] = (float)decimal_to_double(value, scale); break;
        default: ((double *)values)[row] = decimal_to_double(value, scale); break;
        }
        if (!fits && (!call->context->wrap_overflow || call->expr->try_cast)) { SABOT_TRY(fail_row(call, row, err)); }
    }
    return SABOT_OK;
}

/* --- texts to values */
static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void trim(const char **text, size_t *size) {
    while (*size > 0 && is_blank(**text)) {
        (*text)++;
        (*size)--;
    }
    while (*size > 0 && is_blank((*text)[*size - 1])) { (*size)--; }
}

/* [+-]digits, and digits behind a point are cut: '12.9' is 12. */
static bool integer_parse(const char *text, size_t size, int64_t low, int64_t high, int64_t *value) {
    trim(&text, &size);
    size_t at = 0;
    const bool negative = size > 0 && text[0] == '-';
    if (size > 0 && (text[0] == '-' || text[0] == '+')) { at++; }
    if (at == size) { return false; }
    int64_t number = 0; /* negative all the way, since there is one more negative number */
    size_t digits = 0;
    for (; at < size && text[at] >= '0' && text[at] <= '9'; at++, digits++) {
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_sub_overflow(number, text[at] - '0', &number)) {
            return false;
        }
    }
    if (at < size && text[at] == '.') {
        at++;
        for (; at < size && text[at] >= '0' && text[at] <= '9'; at++, digits++) {}
    }
    if (at != size || digits == 0 || (!negative && number == INT64_MIN)) { return false; }
    *value = negative ? number : -number;
    return *value >= low && *value <= high;
}

/* Java's Double.parseDouble, but for hexadecimal numbers. */
static bool float_parse(const char *text, size_t size, bool single, double *value) {
    trim(&text, &size);
    if (size == 0 || size > 400) { return false; }
    char copy[404];
    memcpy(copy, text, size);
    copy[size] = '\0';
    const char last = copy[size - 1];
    const bool suffix = size > 1 && (last == 'd' || last == 'D' || last == 'f' || last == 'F');
    const char *digits = copy + (copy[0] == '-' || copy[0] == '+');
    if (strcmp(digits, "NaN") == 0) {
        *value = (double)NAN;
        return true;
    }
    if (strcmp(digits, "Infinity") == 0) {
        *value = copy[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (suffix) { copy[size - 1] = '\0'; }
    for (const char *at = digits; *at; at++) {
        if (!((*at >= '0' && *at <= '9') || *at == '.' || *at == 'e' || *at == 'E' || *at == '-' || *at == '+')) {
            return false;
        }
    }
    char *end;
    *value = single ? (double)strtof(copy, &end) : strtod(copy, &end);
    return *end == '\0' && end != copy;
}

static bool bool_parse(const char *text, size_t size, uint8_t *value) {
    static const char *const words[2][5] = {{"f", "false", "n", "no", "0"}, {"t", "true", "y", "yes", "1"}};
    trim(&text, &size);
    for (int is_true = 0; is_true < 2; is_true++) {
        for (int i = 0; i < 5; i++) {
            if (strlen(words[is_true][i]) == size && strncasecmp(words[is_true][i], text, size) == 0) {
                *value = (uint8_t)is_true;
                return true;
            }
        }
    }
    return false;
}

static sabot_status session_zone(const struct kernel_call *call, const struct zone **zone, struct sabot_error *err) {
    return zone_find(call->context->time_zone, zone, err);
}

static sabot_status parse_row(struct kernel_call *call, int32_t row, const struct zone *zone, struct sabot_error *err) {
    const struct string_view *view = kernel_string(call, 0, row);
    const char *text = string_view_data(view);
    const size_t size = view->size;
    const struct type to = call->expr->type;
    void *values = call->result->values;
    int64_t number = 0;
    bool ok = false;
    switch ((enum type_kind)to.kind) {
    case TYPE_BOOL: ok = bool_parse(text, size, (uint8_t *)values + row); break;
    case TYPE_INT8:
        ok = integer_parse(text, size, INT8_MIN, INT8_MAX, &number);
        ((int8_t *)values)[row] = (int8_t)number;
        break;
    case TYPE_INT16:
        ok = integer_parse(text, size, INT16_MIN, INT16_MAX, &number);
        ((int16_t *)values)[row] = (int16_t)number;
        break;
    case TYPE_INT32:
        ok = integer_parse(text, size, INT32_MIN, INT32_MAX, &number);
        ((int32_t *)values)[row] = (int32_t)number;
        break;
    case TYPE_INT64: ok = integer_parse(text, size, INT64_MIN, INT64_MAX, (int64_t *)values + row); break;
    case TYPE_FLOAT32: {
        double value = 0;
        ok = float_parse(text, size, true, &value);
        ((float *)values)[row] = (float)value;
        break;
    }
    case TYPE_FLOAT64: ok = float_parse(text, size, false, (double *)values + row); break;
    case TYPE_DECIMAL: {
        __int128 value;
        bool fits;
        ok = text_to_decimal(text, size, to.precision, to.scale, &value, &fits);
        if (ok) { return put_decimal(call, row, value, fits, err); }
        break;
    }
    case TYPE_DATE: ok = text_to_date(text, size, (int32_t *)values + row); break;
    case TYPE_TIME: ok = text_to_time(text, size, (int32_t *)values + row); break;
    case TYPE_TIMESTAMP: ok = text_to_timestamp(text, size, to.precision, (int64_t *)values + row, NULL); break;
    case TYPE_TIMESTAMP_LTZ: {
        bool utc;
        ok = text_to_timestamp(text, size, to.precision, &number, &utc);
        if (!utc) { number = zone_to_instant(zone, number, 1000 * timestamp_units_per_ms_num(to)); }
        ((int64_t *)values)[row] = number;
        break;
    }
    default: return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a text is cast to a type of kind %d", to.kind);
    }
    return ok ? SABOT_OK : fail_row(call, row, err);
}

static sabot_status parse_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct zone *zone;
    SABOT_TRY(session_zone(call, &zone, err));
    for (int32_t i = 0; i < call->n_rows; i++) { SABOT_TRY(parse_row(call, kernel_row(call, i), zone, err)); }
    return SABOT_OK;
}

/* --- values to texts */
/* CHAR(n) is padded with blanks, VARCHAR(n) cut: by characters. */
static sabot_status put_text(struct kernel_call *call, int32_t row, const char *text, size_t size, bool borrowed,
                             struct sabot_error *err) {
    const struct type to = call->expr->type;
    struct string_view *target = (struct string_view *)call->result->values + row;
    size_t pad = 0;
    if (to.length != TYPE_LENGTH_MAX && to.kind == TYPE_STRING) {
        int64_t left = to.length;
        size_t at = 0;
        while (at < size && left > 0) {
            at += utf8_step(text + at, size - at);
            left--;
        }
        size = at;
        pad = to.fixed_length ? (size_t)left : 0;
    } else if (to.length != TYPE_LENGTH_MAX) {
        const size_t limit = (size_t)to.length;
        size = size < limit ? size : limit;
        pad = to.fixed_length ? limit - size : 0;
    }
    if (size + pad > INT32_MAX) { return SABOT_FAIL(err, SABOT_ERR_DATA, "a string would be longer than 2 GiB"); }
    if (pad == 0 && (borrowed || size <= STRING_VIEW_INLINE)) {
        *target = string_view_of(text, (uint32_t)size);
        return SABOT_OK;
    }
    char *bytes;
    SABOT_TRY(column_builder_reserve(call->result, size + pad, &bytes, err));
    if (size > 0) { memcpy(bytes, text, size); }
    if (pad > 0) { memset(bytes + size, to.kind == TYPE_STRING ? ' ' : 0, pad); }
    *target = string_view_of(bytes, (uint32_t)(size + pad));
    return SABOT_OK;
}

/* STRING and BINARY to each other and to other lengths: the bytes stay. */
static sabot_status resize_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        const struct string_view *view = kernel_string(call, 0, row);
        SABOT_TRY(put_text(call, row, string_view_data(view), view->size, true, err));
    }
    return SABOT_OK;
}

static sabot_status print_integers(struct kernel_call *call, struct sabot_error *err) {
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        char text[PRINT_SIZE];
        const int size = print_i64((int64_t)exact_at(call->args[0], row), text);
        SABOT_TRY(put_text(call, row, text, (size_t)size, false, err));
    }
    return SABOT_OK;
}

static sabot_status print_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct type from = call->expr->args[0]->type;
    if (type_is_integer(from)) { return print_integers(call, err); }
    const struct zone *zone;
    SABOT_TRY(session_zone(call, &zone, err));
    const struct text_options options = {.null_text = "NULL", .as_cast = true, .zone = zone};
    struct text text = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        const int32_t row = kernel_row(call, i);
        text.size = 0;
        status = column_print(call->args[0], row, from, &options, &text, err);
        if (status == SABOT_OK) { status = put_text(call, row, text_string(&text), text.size, false, err); }
    }
    text_clear(&text);
    return status;
}

/* --- dates, times, timestamps */
static sabot_status out_of_range(struct kernel_call *call, int32_t row, struct sabot_error *err) {
    return fail_row(call, row, err);
}

/* Between timestamps: units, the session zone, and digits beyond the precision are cut (towards the past). */
static sabot_status timestamps_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct type from = call->expr->args[0]->type, to = call->expr->type;
    const int64_t from_unit = timestamp_units_per_ms_num(from), to_unit = timestamp_units_per_ms_num(to);
    const struct zone *zone;
    SABOT_TRY(session_zone(call, &zone, err));
    int64_t step = 1; /* digits that the type's unit has and its precision has not */
    for (int i = to.precision; i < (to.precision <= 3 ? 3 : to.precision <= 6 ? 6 : 9); i++) { step *= 10; }
    if (to.precision >= from.precision) { step = 1; }
    const int64_t *x = call->args[0]->values;
    int64_t *target = call->result->values;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        int64_t value = x[column_at(call->args[0], row)];
        if (to_unit >= from_unit) {
            if (__builtin_mul_overflow(value, to_unit / from_unit, &value)) {
                SABOT_TRY(out_of_range(call, row, err));
                continue;
            }
        } else {
            value = floor_div(value, from_unit / to_unit);
        }
        if (step > 1) { value -= floor_mod(value, step); }
        if (from.kind != to.kind) {
            value = to.kind == TYPE_TIMESTAMP_LTZ ? zone_to_instant(zone, value, 1000 * to_unit)
                                                  : zone_to_local(zone, value, 1000 * to_unit);
        }
        target[row] = value;
    }
    return SABOT_OK;
}

static sabot_status date_to_timestamp_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct type to = call->expr->type;
    const int64_t unit = timestamp_units_per_ms_num(to);
    const struct zone *zone;
    SABOT_TRY(session_zone(call, &zone, err));
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        int64_t value;
        if (__builtin_mul_overflow((int64_t)exact_at(call->args[0], row), DAY_MS * unit, &value)) {
            SABOT_TRY(out_of_range(call, row, err));
            continue;
        }
        if (to.kind == TYPE_TIMESTAMP_LTZ) { value = zone_to_instant(zone, value, 1000 * unit); }
        ((int64_t *)call->result->values)[row] = value;
    }
    return SABOT_OK;
}

/* To DATE or TIME. */
static sabot_status timestamp_part_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct type from = call->expr->args[0]->type, to = call->expr->type;
    const int64_t unit = timestamp_units_per_ms_num(from);
    const struct zone *zone;
    SABOT_TRY(session_zone(call, &zone, err));
    int32_t step = 1;
    for (int i = to.precision; i < 3; i++) { step *= 10; }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        int64_t value = (int64_t)exact_at(call->args[0], row);
        if (from.kind == TYPE_TIMESTAMP_LTZ) { value = zone_to_local(zone, value, 1000 * unit); }
        const int64_t days = floor_div(value, DAY_MS * unit);
        int32_t part = (int32_t)days;
        if (to.kind == TYPE_TIME) {
            part = (int32_t)((value - days * DAY_MS * unit) / unit);
            part -= part % step;
        } else if (days != part) {
            SABOT_TRY(out_of_range(call, row, err));
        }
        ((int32_t *)call->result->values)[row] = part;
    }
    return SABOT_OK;
}

static sabot_status time_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    int32_t step = 1;
    for (int i = call->expr->type.precision; i < 3; i++) { step *= 10; }
    KERNEL_FOR(call->rows, call->n_rows, row, {
        const int32_t value = (int32_t)exact_at(call->args[0], row);
        ((int32_t *)call->result->values)[row] = value - value % step;
    });
    return SABOT_OK;
}

/* --- arrays, maps and rows: part by part */
struct nested_cast {
    struct expr *parts; /* a cast for each field; kernel NULL = nothing to do */
    int32_t n;
};

/* Casts a child column at all rows where it is a value. */
static sabot_status cast_child(struct kernel_call *call, const struct expr *part, struct column *child,
                               struct column **out, struct sabot_error *err) {
    *out = NULL;
    const enum phys phys = type_phys(part->type);
    if (!part->kernel) {
        *out = column_ref(child);
        return SABOT_OK;
    }
    if (child->phys == PHYS_NULL) { return column_all_null(call->context->pool, part->type, child->length, out, err); }
    COLUMN_OWNED struct column *flat = NULL;
    if (child->constant) {
        struct buffer *rows; /* an index for each row makes it as long as the others */
        SABOT_TRY(buffer_new(call->context->pool, ((size_t)child->length + 1) * sizeof(int32_t), &rows, err));
        for (int32_t i = 0; i <= child->length; i++) { ((int32_t *)(void *)rows->data)[i] = i; }
        const bool null = column_is_null(child, 0);
        const int32_t *indexes = (const int32_t *)(const void *)rows->data;
        const sabot_status status = null
                                        ? column_all_null(call->context->pool, part->type, child->length, out, err)
                                        : column_take(call->context->pool, child, indexes, child->length, &flat, err);
        buffer_unref(rows);
        if (status != SABOT_OK || null) { return status; }
        child = flat;
    }
    struct buffer *list = NULL;
    struct column_builder result = {0};
    struct kernel_call inner = *call;
    inner.expr = part;
    inner.args = &child;
    inner.rows = NULL;
    inner.n_rows = child->length;
    inner.physical_rows = child->length;
    inner.column = NULL;
    inner.scratch = NULL;
    inner.result = phys == PHYS_LIST || phys == PHYS_ROW ? NULL : &result;
    sabot_status status = SABOT_OK;
    if (child->validity && !child->constant) {
        SABOT_TRY(buffer_new(call->context->pool, ((size_t)child->length + 1) * sizeof(int32_t), &list, err));
        int32_t *rows = (int32_t *)(void *)list->data;
        int32_t n = 0;
        for (int32_t i = 0; i < child->length; i++) {
            rows[n] = i;
            n += !column_is_null(child, i);
        }
        inner.rows = rows;
        inner.n_rows = n;
    }
    if (inner.result) {
        status = column_builder_init(&result, call->context->pool, phys, child->length, list != NULL, err);
        if (status == SABOT_OK && list) {
            memcpy(result.validity, child->validity, ((size_t)child->length + 63) / 64 * 8);
        }
    }
    if (status == SABOT_OK) { status = part->kernel(&inner, err); }
    buffer_unref(list);
    if (status != SABOT_OK) {
        column_builder_clear(&result);
        return status;
    }
    if (!inner.column) { return column_builder_finish(&result, out, err); }
    column_builder_clear(&result); /* the kernel has given a column of its own */
    *out = inner.column;
    return SABOT_OK;
}

static sabot_status nested_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct nested_cast *nested = call->expr->bound;
    const struct column *from = call->args[0];
    /* the entries of a map are a row of their own */
    const struct column *holder = call->expr->type.kind == TYPE_MAP ? from->children[0] : from;
    struct column **children = calloc((size_t)nested->n + 1, sizeof *children);
    if (!children) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < nested->n && status == SABOT_OK; i++) {
        status = cast_child(call, &nested->parts[i], holder->children[i], &children[i], err);
    }
    struct column *entries = NULL;
    int32_t n = nested->n;
    if (status == SABOT_OK && holder != from) {
        status = column_new(PHYS_ROW, holder->length, NULL, NULL, NULL, 0, children, n, &entries, err);
        children[0] = entries;
        n = 1;
        if (status != SABOT_OK) {
            free(children);
            return status;
        }
    }
    if (status == SABOT_OK) {
        for (int32_t i = 0; i < from->n_owners; i++) { buffer_ref(from->owners[i]); }
        status = column_new((enum phys)from->phys, from->length, from->validity, from->values, from->owners,
                            from->n_owners, children, n, &call->column, err);
        if (status == SABOT_OK) { call->column->constant = from->constant; }
    } else {
        for (int32_t i = 0; i < n; i++) { column_unref(children[i]); }
    }
    free(children);
    return status;
}

/* --- which kernel */
static bool is_number(struct type type) {
    return type.kind == TYPE_BOOL || type_is_integer(type) || type.kind == TYPE_FLOAT32 || type.kind == TYPE_FLOAT64;
}
static bool is_interval(struct type type) { return type.kind == TYPE_INTERVAL_DAY || type.kind == TYPE_INTERVAL_MONTH; }
static bool is_text(struct type type) { return type.kind == TYPE_STRING || type.kind == TYPE_BINARY; }
static bool is_timestamp(struct type type) { return type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ; }
static bool is_nested(struct type type) {
    return type.kind == TYPE_ARRAY || type.kind == TYPE_MAP || type.kind == TYPE_ROW;
}

static bool nested_find(struct arena *arena, struct type from, struct type to, function_kernel *kernel, void **bound) {
    if (from.kind != to.kind || from.n_fields != to.n_fields) { return false; }
    struct nested_cast *nested = ARENA_NEW(arena, struct nested_cast);
    struct expr *parts = arena_alloc(arena, (size_t)(from.n_fields + 1) * sizeof *parts);
    if (!nested || !parts) { return false; }
    for (int32_t i = 0; i < from.n_fields; i++) {
        struct expr *source = ARENA_NEW(arena, struct expr);
        struct expr **args = arena_alloc(arena, sizeof *args);
        if (!source || !args) { return false; }
        *source = (struct expr){.kind = EXPR_COLUMN, .type = from.fields[i].type};
        args[0] = source;
        parts[i] = (struct expr){.kind = EXPR_CAST, .type = to.fields[i].type, .n_args = 1, .args = args};
        if (type_same(from.fields[i].type, to.fields[i].type)) { continue; }
        uint32_t flags = 0;
        if (!cast_find(arena, from.fields[i].type, to.fields[i].type, &parts[i].kernel, &flags, &parts[i].bound)) {
            return false;
        }
    }
    *nested = (struct nested_cast){.parts = parts, .n = from.n_fields};
    *bound = nested;
    *kernel = nested_kernel;
    return true;
}

/* Of type NULL: every row is NULL without a call. */
static sabot_status null_kernel(struct kernel_call *call, struct sabot_error *err) {
    return column_all_null(call->context->pool, call->expr->type, call->physical_rows, &call->column, err);
}

/* Of the same values under another name: ROW<a> to ROW<b>, STRING to STRING NOT NULL. */
static sabot_status same_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    call->column = column_ref(call->args[0]);
    return SABOT_OK;
}

bool cast_find(struct arena *arena, struct type from, struct type to, function_kernel *kernel, uint32_t *flags,
               void **bound) {
    *kernel = NULL;
    *flags = 0;
    *bound = NULL;
    const bool decimal = from.kind == TYPE_DECIMAL;
    if (from.kind == TYPE_NULL) {
        *kernel = null_kernel;
    } else if (type_same(from, to)) {
        *kernel = same_kernel;
    } else if (to.kind == TYPE_DECIMAL && (is_number(from) || decimal)) {
        *kernel = to_decimal_kernel;
        *flags = FUNCTION_DENSE;
    } else if (decimal && to.kind == TYPE_BOOL) {
        *kernel = numbers_kernel;
        *flags = FUNCTION_DENSE;
    } else if (decimal && is_number(to)) {
        *kernel = from_decimal_kernel;
        *flags = FUNCTION_DENSE;
    } else if (is_number(from) && is_number(to)) {
        *kernel = numbers_kernel;
        *flags = FUNCTION_DENSE;
    } else if ((is_interval(from) && type_is_integer(to)) || (type_is_integer(from) && is_interval(to))) {
        *kernel = numbers_kernel;
        *flags = FUNCTION_DENSE;
    } else if (is_text(from) && is_text(to)) {
        const bool grows = from.kind == to.kind && !to.fixed_length && to.length >= from.length;
        *kernel = grows || (to.length == TYPE_LENGTH_MAX && !to.fixed_length) ? same_kernel : resize_kernel;
    } else if (from.kind == TYPE_STRING && (is_number(to) || to.kind == TYPE_DECIMAL || to.kind == TYPE_DATE ||
                                            to.kind == TYPE_TIME || is_timestamp(to))) {
        *kernel = parse_kernel;
    } else if (to.kind == TYPE_STRING) {
        *kernel = print_kernel;
    } else if (is_timestamp(from) && is_timestamp(to)) {
        *kernel = timestamps_kernel;
        *flags = FUNCTION_DENSE;
    } else if (from.kind == TYPE_DATE && is_timestamp(to)) {
        *kernel = date_to_timestamp_kernel;
        *flags = FUNCTION_DENSE;
    } else if (is_timestamp(from) && (to.kind == TYPE_DATE || to.kind == TYPE_TIME)) {
        *kernel = timestamp_part_kernel;
        *flags = FUNCTION_DENSE;
    } else if (from.kind == TYPE_TIME && to.kind == TYPE_TIME) {
        *kernel = time_kernel;
        *flags = FUNCTION_DENSE;
    } else if (is_nested(from) && from.kind == to.kind) {
        return nested_find(arena, from, to, kernel, bound);
    }
    return *kernel != NULL;
}
