/* Texts of single values. Doubles are in scalar_double.cc. */
#include "format/scalar.h"

#include <string.h>

#include "arrow/calendar.h"
#include "arrow/print.h"
#include "base/encode.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool int64_parse(const char *text, size_t size, int64_t *out) {
    const bool negative = size > 0 && text[0] == '-';
    size_t at = size > 0 && (text[0] == '-' || text[0] == '+');
    if (at == size) { return false; }
    uint64_t value = 0;
    for (; at < size; at++) {
        const unsigned digit = (unsigned char)text[at] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    if (value > (uint64_t)INT64_MAX + negative) { return false; }
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

bool boolean_parse(const char *text, size_t size, bool *out) {
    static const char *const words[] = {"false", "true"};
    for (int w = 0; w < 2; w++) {
        if (size != strlen(words[w])) { continue; }
        size_t at = 0;
        while (at < size && (text[at] | 0x20) == words[w][at]) { at++; }
        if (at == size) {
            *out = w;
            return true;
        }
    }
    return false;
}

/* --- dates and times */

/* `count` digits at text; false where one is no digit. */
static bool digits(const char *text, int count, int *out) {
    int value = 0;
    for (int i = 0; i < count; i++) {
        const unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9) { return false; }
        value = value * 10 + (int)digit;
    }
    *out = value;
    return true;
}

static bool date_prefix(const char *text, size_t size, int32_t *days) {
    int year, month, day;
    if (size < 10 || text[4] != '-' || text[7] != '-' || !digits(text, 4, &year) || !digits(text + 5, 2, &month) ||
        !digits(text + 8, 2, &day) || month < 1 || month > 12 || day < 1 || day > month_days(year, month)) {
        return false;
    }
    *days = (int32_t)days_of_civil(year, month, day);
    return true;
}

bool date_parse(const char *text, size_t size, int32_t *days) { return size == 10 && date_prefix(text, size, days); }

/* HH:mm[:ss[.fraction]] -> seconds and nanoseconds; *used characters. */
static bool time_prefix(const char *text, size_t size, int *seconds, int *nanos, size_t *used) {
    int hour, minute, second = 0;
    if (size < 5 || text[2] != ':' || !digits(text, 2, &hour) || !digits(text + 3, 2, &minute)) { return false; }
    size_t at = 5;
    *nanos = 0;
    if (at < size && text[at] == ':') {
        if (size < 8 || !digits(text + 6, 2, &second)) { return false; }
        at = 8;
        if (at < size && text[at] == '.') {
            at++;
            int count = 0, value = 0;
            while (at < size && is_digit(text[at]) && count < 9) {
                value = value * 10 + (text[at++] - '0');
                count++;
            }
            if (count == 0) { return false; }
            for (; count < 9; count++) { value *= 10; }
            *nanos = value;
        }
    }
    if (hour > 23 || minute > 59 || second > 59) { return false; }
    *seconds = (hour * 60 + minute) * 60 + second;
    *used = at;
    return true;
}

bool time_parse(const char *text, size_t size, int32_t *ms) {
    int seconds, nanos;
    size_t used;
    if (!time_prefix(text, size, &seconds, &nanos, &used) || used != size) { return false; }
    *ms = seconds * 1000 + nanos / 1000000;
    return true;
}

/* Z, +01, +01:00, +0100 */
static bool offset_parse(const char *text, size_t size, int *seconds) {
    *seconds = 0;
    if (size == 1 && (text[0] == 'Z' || text[0] == 'z')) { return true; }
    int hours, minutes = 0;
    if (size < 3 || (text[0] != '+' && text[0] != '-') || !digits(text + 1, 2, &hours) || hours > 18) { return false; }
    if (size > 3) {
        const size_t at = text[3] == ':' ? 4 : 3;
        if (size != at + 2 || !digits(text + at, 2, &minutes) || minutes > 59) { return false; }
    }
    *seconds = (hours * 60 + minutes) * 60 * (text[0] == '-' ? -1 : 1);
    return true;
}

bool timestamp_parse(const char *text, size_t size, struct type type, int64_t *out) {
    int32_t days;
    int seconds, nanos, offset = 0;
    size_t used;
    if (size < 16 || (text[10] != ' ' && text[10] != 'T') || !date_prefix(text, size, &days) ||
        !time_prefix(text + 11, size - 11, &seconds, &nanos, &used)) {
        return false;
    }
    used += 11;
    if (used < size && (type.kind != TYPE_TIMESTAMP_LTZ || !offset_parse(text + used, size - used, &offset))) {
        return false;
    }
    const int64_t second = (int64_t)days * 86400 + seconds - offset;
    const int64_t per_second = timestamp_units_per_ms_num(type) * 1000;
    int64_t value;
    if (__builtin_mul_overflow(second, per_second, &value)) { return false; }
    return !__builtin_add_overflow(value, nanos / (1000000000 / per_second), out);
}

/* --- decimals */

enum decimal_result decimal_parse(const char *text, size_t size, struct type type, __int128 *out) {
    size_t at = size > 0 && (text[0] == '-' || text[0] == '+');
    const bool negative = size > 0 && text[0] == '-';
    char kept[80]; /* significant digits; more than these can't count */
    int n_kept = 0;
    int64_t point = 0; /* digits before the decimal point, counted from the first kept one */
    bool any = false, fraction = false;
    for (; at < size; at++) {
        const char c = text[at];
        if (c == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!is_digit(c)) { break; }
        any = true;
        if (n_kept == 0 && c == '0') {
            point -= fraction;
            continue;
        }
        point += !fraction;
        if (n_kept < (int)sizeof kept) { kept[n_kept++] = c; }
    }
    if (!any) { return DECIMAL_BAD; }
    if (at < size) {
        int64_t exponent;
        if ((text[at] | 0x20) != 'e' || !int64_parse(text + at + 1, size - at - 1, &exponent)) { return DECIMAL_BAD; }
        if (exponent > 100000 || exponent < -100000) { exponent = exponent > 0 ? 100000 : -100000; }
        point += exponent;
    }
    const int64_t wanted = point + type.scale; /* digits that count */
    if (n_kept > 0 && wanted > 38) { return DECIMAL_TOO_LARGE; }
    __int128 value = 0, limit = 1;
    if (n_kept > 0) {
        for (int64_t i = 0; i < wanted; i++) { value = value * 10 + (i < n_kept ? kept[i] - '0' : 0); }
        if (wanted >= 0 && wanted < n_kept && kept[wanted] >= '5') { value++; }
    }
    for (int i = 0; i < type.precision; i++) { limit *= 10; }
    if (value >= limit) { return DECIMAL_TOO_LARGE; }
    *out = negative ? -value : value;
    return DECIMAL_OK;
}

/* --- bytes */

bool utf8_is_valid(const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *)text, *const end = at + size;
    while (at < end) {
        if (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, 8);
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += 8;
                continue;
            }
        }
        const unsigned char lead = *at++;
        if (lead < 0x80) { continue; }
        int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC2 || lead > 0xF4 || end - at < more) { return false; }
        const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (*at < low || *at > high) { return false; }
        for (at++; --more > 0; at++) {
            if ((*at & 0xC0) != 0x80) { return false; }
        }
    }
    return true;
}

/* --- storing */

bool scalar_store_int(struct vector *vector, int32_t row, int64_t value) {
    switch (vector->type.kind) {
    case TYPE_INT8: ((int8_t *)vector->values)[row] = (int8_t)value; return value == (int8_t)value;
    case TYPE_INT16: ((int16_t *)vector->values)[row] = (int16_t)value; return value == (int16_t)value;
    case TYPE_INT32:
    case TYPE_INTERVAL_MONTH: ((int32_t *)vector->values)[row] = (int32_t)value; return value == (int32_t)value;
    case TYPE_INT64:
    case TYPE_INTERVAL_DAY: ((int64_t *)vector->values)[row] = value; return true;
    case TYPE_FLOAT32: ((float *)vector->values)[row] = (float)value; return true;
    case TYPE_FLOAT64: ((double *)vector->values)[row] = (double)value; return true;
    default: return false;
    }
}

static sabot_status decimal_store(struct vector *vector, int32_t row, const char *text, size_t size,
                                  const char **reason) {
    __int128 value = 0;
    switch (decimal_parse(text, size, vector->type, &value)) {
    case DECIMAL_BAD: *reason = "not a DECIMAL"; return SABOT_OK;
    case DECIMAL_TOO_LARGE: vector_set_null(vector, row); return SABOT_OK; /* as in Flink */
    case DECIMAL_OK: break;
    }
    if (vector->phys == PHYS_I128) {
        ((__int128 *)vector->values)[row] = value;
    } else {
        ((int64_t *)vector->values)[row] = (int64_t)value;
    }
    return SABOT_OK;
}

static sabot_status bytes_store(struct vector *vector, int32_t row, const char *text, size_t size, const char **reason,
                                struct sabot_error *err) {
    char *target;
    size_t got;
    SABOT_TRY(vector_reserve(vector, size / 4 * 3 + 3, &target, err));
    if (!base64_decode(text, size, BASE64_LENIENT, target, &got) || got > UINT32_MAX) {
        *reason = "not base64";
        return SABOT_OK;
    }
    ((struct string_view *)vector->values)[row] = string_view_of(target, (uint32_t)got);
    return SABOT_OK;
}

sabot_status scalar_store(struct vector *vector, int32_t row, const char *text, size_t size, struct buffer *block,
                          const char **reason, struct sabot_error *err) {
    *reason = NULL;
    int64_t integer;
    double number;
    bool truth, good = true;
    switch ((enum type_kind)vector->type.kind) {
    case TYPE_STRING:
        if (size > INT32_MAX) {
            *reason = "a string longer than 2 GiB";
            return SABOT_OK;
        }
        return vector_set_string(vector, row, text, size, block, err);
    case TYPE_BINARY: return bytes_store(vector, row, text, size, reason, err);
    case TYPE_DECIMAL: return decimal_store(vector, row, text, size, reason);
    case TYPE_BOOL:
        if ((good = boolean_parse(text, size, &truth))) { ((uint8_t *)vector->values)[row] = truth; }
        if (!good) { *reason = "not a BOOLEAN"; }
        break;
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_INTERVAL_MONTH:
    case TYPE_INTERVAL_DAY:
        if (!int64_parse(text, size, &integer)) {
            *reason = "not a whole number, or out of range";
        } else if (!scalar_store_int(vector, row, integer)) {
            *reason = "out of the range of its type";
        }
        break;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        if (!double_parse(text, size, &number)) {
            *reason = "not a number";
        } else if (vector->phys == PHYS_F32) {
            ((float *)vector->values)[row] = (float)number;
        } else {
            ((double *)vector->values)[row] = number;
        }
        break;
    case TYPE_DATE:
        if (!date_parse(text, size, (int32_t *)vector->values + row)) { *reason = "not a DATE (2015-07-14)"; }
        break;
    case TYPE_TIME:
        if (!time_parse(text, size, (int32_t *)vector->values + row)) { *reason = "not a TIME (23:59:10.123)"; }
        break;
    case TYPE_TIMESTAMP:
        if (!timestamp_parse(text, size, vector->type, (int64_t *)vector->values + row)) {
            *reason = "not a TIMESTAMP (2015-07-14 23:59:10.123)";
        }
        break;
    case TYPE_TIMESTAMP_LTZ:
        if (!timestamp_parse(text, size, vector->type, (int64_t *)vector->values + row)) {
            *reason = "not a TIMESTAMP_LTZ (2015-07-14 23:59:10.123Z)";
        }
        break;
    case TYPE_NULL: vector_set_null(vector, row); break;
    case TYPE_ARRAY:
    case TYPE_MAP:
    case TYPE_ROW:
    case TYPE_KINDS: *reason = "a nested value where a plain one is expected"; break;
    }
    return SABOT_OK;
}

/* --- writing */

#define PRINT(target, call)                                                                                            \
    do {                                                                                                               \
        char block[PRINT_SIZE];                                                                                        \
        text_append((target), block, (size_t)(call));                                                                  \
    } while (0)

void int64_print(struct text *target, int64_t value) { PRINT(target, print_i64(value, block)); }
void double_print(struct text *target, double value) { PRINT(target, print_f64(value, block)); }
void float_print(struct text *target, float value) { PRINT(target, print_f32(value, block)); }
void decimal_print(struct text *target, __int128 value, int scale) {
    PRINT(target, print_decimal(value, scale, block));
}
void date_print(struct text *target, int32_t days) { PRINT(target, print_date(days, block)); }

/* Without the zeros at the end of a fraction, and without its point where nothing is left of it. */
static int fraction_trim(const char *text, int size) {
    if (!memchr(text, '.', (size_t)size)) { return size; }
    while (text[size - 1] == '0') { size--; }
    return size - (text[size - 1] == '.');
}

void time_print(struct text *target, int32_t ms) { PRINT(target, fraction_trim(block, print_time(ms, 3, block))); }

void timestamp_print(struct text *target, int64_t value, struct type type, char separator) {
    char block[PRINT_SIZE + 1];
    int size = fraction_trim(block, print_timestamp(value, type.precision, block));
    char *blank = memchr(block, ' ', (size_t)size);
    if (blank) { *blank = separator; }
    if (type.kind == TYPE_TIMESTAMP_LTZ) { block[size++] = 'Z'; }
    text_append(target, block, (size_t)size);
}
