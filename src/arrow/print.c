/* Values as text. */
#include "arrow/print.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "arrow/batch.h"
#include "arrow/calendar.h"
#include "base/text.h"
#include "base/zone.h"

int print_i128(__int128 value, char *target) {
    char digits[48];
    int n = 0;
    unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    do {
        /* 64-bit steps: a 128-bit division is a library call */
        uint64_t low = (uint64_t)(rest % 1000000000000000000u);
        rest /= 1000000000000000000u;
        for (int i = 0; i < 18 && (low > 0 || rest > 0 || (n == 0 && i == 0)); i++) {
            digits[n++] = (char)('0' + low % 10);
            low /= 10;
        }
    } while (rest > 0);
    int at = 0;
    if (value < 0) { target[at++] = '-'; }
    while (n > 0) { target[at++] = digits[--n]; }
    target[at] = '\0';
    return at;
}

int print_i64(int64_t value, char *target) {
    char digits[24];
    int n = 0;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    int at = 0;
    if (value < 0) { target[at++] = '-'; }
    while (n > 0) { target[at++] = digits[--n]; }
    target[at] = '\0';
    return at;
}

int print_decimal(__int128 unscaled, int scale, char *target) {
    char digits[PRINT_SIZE];
    const unsigned __int128 magnitude = unscaled < 0 ? -(unsigned __int128)unscaled : (unsigned __int128)unscaled;
    int n = (uint64_t)(magnitude >> 63) == 0 ? print_i64((int64_t)magnitude, digits)
                                             : print_i128((__int128)magnitude, digits);
    int at = 0;
    if (unscaled < 0) { target[at++] = '-'; }
    if (n <= scale) {
        target[at++] = '0';
        target[at++] = '.';
        for (int i = n; i < scale; i++) { target[at++] = '0'; }
        for (int i = 0; i < n; i++) { target[at++] = digits[i]; }
    } else {
        for (int i = 0; i < n; i++) {
            if (i == n - scale) { target[at++] = '.'; }
            target[at++] = digits[i];
        }
    }
    target[at] = '\0';
    return at;
}

/* Shortest digits as d.ddd e exponent, then Java's layout of them. */
static int print_float(double value, int digits_min, int digits_max, bool single, char *target) {
    if (isnan(value)) { return sprintf(target, "NaN"); }
    if (isinf(value)) { return sprintf(target, value < 0 ? "-Infinity" : "Infinity"); }
    if (value == 0) { return sprintf(target, signbit(value) ? "-0.0" : "0.0"); }
    char text[40];
    /* Up to digits_min digits survive the way there and back, so what prints with them is shortest but for zeros. */
    const bool subnormal = fabs(value) < (single ? (double)FLT_MIN : DBL_MIN); /* these have fewer digits */
    for (int digits = subnormal ? 2 : digits_min; digits <= digits_max; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) { break; }
    }
    char digits[24];
    int n = 0;
    const char *at = text;
    int size = 0;
    if (*at == '-') {
        target[size++] = '-';
        at++;
    }
    for (; *at != 'e'; at++) {
        if (*at != '.') { digits[n++] = *at; }
    }
    const int exponent = atoi(at + 1);
    while (n > 1 && digits[n - 1] == '0') { n--; }
    if (exponent >= -3 && exponent < 7) {
        if (exponent < 0) {
            target[size++] = '0';
            target[size++] = '.';
            for (int i = -1; i > exponent; i--) { target[size++] = '0'; }
            for (int i = 0; i < n; i++) { target[size++] = digits[i]; }
        } else {
            for (int i = 0; i < n || i <= exponent; i++) {
                if (i == exponent + 1) { target[size++] = '.'; }
                target[size++] = i < n ? digits[i] : '0';
            }
            if (n <= exponent + 1) {
                target[size++] = '.';
                target[size++] = '0';
            }
        }
        target[size] = '\0';
        return size;
    }
    target[size++] = digits[0];
    target[size++] = '.';
    for (int i = 1; i < n; i++) { target[size++] = digits[i]; }
    if (n == 1) { target[size++] = '0'; }
    target[size++] = 'E';
    return size + print_i64(exponent, target + size);
}

int print_f64(double value, char *target) { return print_float(value, 15, 17, false, target); }

int print_f32(float value, char *target) { return print_float((double)value, 6, 9, true, target); }

static char *put_two(char *at, int value) {
    *at++ = (char)('0' + value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

int print_date(int64_t days, char *target) {
    const struct civil civil = civil_of_days(days);
    char *at = target;
    if (civil.year >= 0 && civil.year <= 9999) {
        at = put_two(at, (int)(civil.year / 100));
        at = put_two(at, (int)(civil.year % 100));
    } else {
        at += sprintf(at, "%s%04" PRId64, civil.year < 0 ? "-" : "+", civil.year < 0 ? -civil.year : civil.year);
    }
    *at++ = '-';
    at = put_two(at, civil.month);
    *at++ = '-';
    at = put_two(at, civil.day);
    *at = '\0';
    return (int)(at - target);
}

static char *put_clock(char *at, int64_t seconds_of_day) {
    at = put_two(at, (int)(seconds_of_day / 3600));
    *at++ = ':';
    at = put_two(at, (int)(seconds_of_day / 60 % 60));
    *at++ = ':';
    return put_two(at, (int)(seconds_of_day % 60));
}

/* The first `precision` of nine digits. */
static char *put_fraction(char *at, int64_t nanos, int precision) {
    if (precision <= 0) { return at; }
    *at++ = '.';
    int64_t unit = 100000000;
    for (int i = 0; i < precision && i < 9; i++) {
        *at++ = (char)('0' + nanos / unit % 10);
        unit /= 10;
    }
    return at;
}

int print_time(int32_t ms_of_day, int precision, char *target) {
    char *at = put_clock(target, ms_of_day / 1000);
    at = put_fraction(at, (int64_t)(ms_of_day % 1000) * 1000000, precision > 3 ? 3 : precision);
    *at = '\0';
    return (int)(at - target);
}

int print_timestamp(int64_t value, int precision, char *target) {
    const int64_t per_second = 1000 * timestamp_units_per_ms_num(type_timestamp(precision));
    const int64_t seconds = floor_div(value, per_second);
    const int64_t fraction = value - seconds * per_second;
    const int64_t days = floor_div(seconds, 86400);
    char *at = target + print_date(days, target);
    *at++ = ' ';
    at = put_clock(at, seconds - days * 86400);
    at = put_fraction(at, fraction * (1000000000 / per_second), precision);
    *at = '\0';
    return (int)(at - target);
}

int print_interval_month(int32_t months, char *target) {
    const int64_t size = llabs((long long)months);
    return sprintf(target, "%c%" PRId64 "-%02" PRId64, months < 0 ? '-' : '+', size / 12, size % 12);
}

int print_interval_day(int64_t ms, char *target) {
    const uint64_t size = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    char *at = target + sprintf(target, "%c%" PRIu64 " ", ms < 0 ? '-' : '+', size / (uint64_t)DAY_MS);
    at = put_clock(at, (int64_t)(size / 1000 % 86400));
    at = put_fraction(at, (int64_t)(size % 1000) * 1000000, 3);
    *at = '\0';
    return (int)(at - target);
}

static void print_hex(const struct string_view *view, struct text *target) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)string_view_data(view);
    char *room = text_reserve(target, (size_t)view->size * 2 + 3);
    if (!room) { return; }
    *room++ = 'x';
    *room++ = '\'';
    for (uint32_t i = 0; i < view->size; i++) {
        *room++ = hex[bytes[i] >> 4];
        *room++ = hex[bytes[i] & 15];
    }
    *room = '\'';
    target->size += (size_t)view->size * 2 + 3;
}

static sabot_status print_list(const struct column *column, int64_t at, struct type type,
                               const struct text_options *options, struct text *target, struct sabot_error *err) {
    const int32_t *offsets = column->values;
    const struct column *child = column->children[0];
    const bool is_map = type.kind == TYPE_MAP;
    text_add(target, is_map ? "{" : "[");
    for (int32_t i = offsets[at]; i < offsets[at + 1]; i++) {
        if (i > offsets[at]) { text_add(target, ", "); }
        if (!is_map) {
            SABOT_TRY(column_print(child, i, type.fields[0].type, options, target, err));
            continue;
        }
        SABOT_TRY(column_print(child->children[0], i, type.fields[0].type, options, target, err));
        text_add(target, "=");
        SABOT_TRY(column_print(child->children[1], i, type.fields[1].type, options, target, err));
    }
    text_add(target, is_map ? "}" : "]");
    return SABOT_OK;
}

sabot_status column_print(const struct column *column, int64_t row, struct type type,
                          const struct text_options *options, struct text *target, struct sabot_error *err) {
    if (column_is_null(column, row)) {
        text_add(target, options->null_text ? options->null_text : "NULL");
        return SABOT_OK;
    }
    const int64_t at = column_at(column, row);
    const void *values = column->values;
    char text[PRINT_SIZE];
    int size = 0;
    switch ((enum type_kind)type.kind) {
    case TYPE_BOOL: {
        const bool value = ((const uint8_t *)values)[at];
        text_add(target, options->as_cast ? (value ? "TRUE" : "FALSE") : value ? "true" : "false");
        return SABOT_OK;
    }
    case TYPE_INT8: size = print_i64(((const int8_t *)values)[at], text); break;
    case TYPE_INT16: size = print_i64(((const int16_t *)values)[at], text); break;
    case TYPE_INT32: size = print_i64(((const int32_t *)values)[at], text); break;
    case TYPE_INT64: size = print_i64(((const int64_t *)values)[at], text); break;
    case TYPE_FLOAT32: size = print_f32(((const float *)values)[at], text); break;
    case TYPE_FLOAT64: size = print_f64(((const double *)values)[at], text); break;
    case TYPE_DECIMAL:
        size = print_decimal(column->phys == PHYS_I64 ? (__int128)((const int64_t *)values)[at]
                                                      : ((const __int128 *)values)[at],
                             type.scale, text);
        break;
    case TYPE_STRING:
        text_append(target, string_view_data((const struct string_view *)values + at),
                    ((const struct string_view *)values + at)->size);
        return SABOT_OK;
    case TYPE_BINARY:
        if (options->as_cast) {
            text_append(target, string_view_data((const struct string_view *)values + at),
                        ((const struct string_view *)values + at)->size);
        } else {
            print_hex((const struct string_view *)values + at, target);
        }
        return SABOT_OK;
    case TYPE_DATE: size = print_date(((const int32_t *)values)[at], text); break;
    case TYPE_TIME: size = print_time(((const int32_t *)values)[at], type.precision, text); break;
    case TYPE_TIMESTAMP: size = print_timestamp(((const int64_t *)values)[at], type.precision, text); break;
    case TYPE_TIMESTAMP_LTZ: {
        int64_t value = ((const int64_t *)values)[at];
        if (options->zone) { value = zone_to_local(options->zone, value, 1000 * timestamp_units_per_ms_num(type)); }
        size = print_timestamp(value, type.precision, text);
        break;
    }
    case TYPE_INTERVAL_MONTH: size = print_interval_month(((const int32_t *)values)[at], text); break;
    case TYPE_INTERVAL_DAY: size = print_interval_day(((const int64_t *)values)[at], text); break;
    case TYPE_ARRAY:
    case TYPE_MAP: {
        const struct text_options nested = {.null_text = "NULL", .as_cast = options->as_cast, .zone = options->zone};
        return print_list(column, at, type, &nested, target, err);
    }
    case TYPE_ROW: {
        const struct text_options nested = {.null_text = "NULL", .as_cast = options->as_cast, .zone = options->zone};
        text_add(target, "(");
        for (int32_t i = 0; i < type.n_fields; i++) {
            if (i) { text_add(target, ", "); }
            SABOT_TRY(column_print(column->children[i], at, type.fields[i].type, &nested, target, err));
        }
        text_add(target, ")");
        return SABOT_OK;
    }
    case TYPE_NULL:
    case TYPE_KINDS: return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a value of type NULL can't be printed");
    }
    text_append(target, text, (size_t)size);
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "a text is longer than 2 GiB") : SABOT_OK;
}
