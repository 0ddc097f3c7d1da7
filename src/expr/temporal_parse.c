/* Texts of dates, times and timestamps. */
#include "expr/temporal_parse.h"

#include "arrow/calendar.h"
#include "arrow/type.h"

struct cursor {
    const char *at, *end;
};

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static struct cursor trimmed(const char *text, size_t size) {
    struct cursor cursor = {text, text + size};
    while (cursor.at < cursor.end && is_blank(*cursor.at)) { cursor.at++; }
    while (cursor.end > cursor.at && is_blank(cursor.end[-1])) { cursor.end--; }
    return cursor;
}

static bool take(struct cursor *cursor, char c) {
    if (cursor->at == cursor->end || *cursor->at != c) { return false; }
    cursor->at++;
    return true;
}

/* 1..digits_max digits. */
static bool number(struct cursor *cursor, int digits_max, int32_t *value) {
    int digits = 0;
    *value = 0;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        if (++digits > digits_max) { return false; }
        *value = *value * 10 + *cursor->at++ - '0';
    }
    return digits > 0;
}

static bool date_take(struct cursor *cursor, int64_t *days) {
    int32_t year, month = 1, day = 1;
    if (!number(cursor, 4, &year)) { return false; }
    if (take(cursor, '-')) {
        if (!number(cursor, 2, &month)) { return false; }
        if (take(cursor, '-') && !number(cursor, 2, &day)) { return false; }
    }
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month)) { return false; }
    *days = days_of_civil(year, month, day);
    return true;
}

static bool clock_take(struct cursor *cursor, int64_t *ns) {
    int32_t hour, minute = 0, second = 0;
    int64_t fraction = 0;
    if (!number(cursor, 2, &hour)) { return false; }
    if (take(cursor, ':')) {
        if (!number(cursor, 2, &minute)) { return false; }
        if (take(cursor, ':')) {
            if (!number(cursor, 2, &second)) { return false; }
            if (take(cursor, '.')) {
                int64_t unit = 100000000;
                const char *from = cursor->at;
                while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
                    fraction += (*cursor->at++ - '0') * unit;
                    unit /= 10;
                }
                if (cursor->at == from) { return false; }
            }
        }
    }
    if (hour > 23 || minute > 59 || second > 59) { return false; }
    *ns = ((int64_t)hour * 3600 + minute * 60 + second) * 1000000000 + fraction;
    return true;
}

bool text_to_date(const char *text, size_t size, int32_t *days) {
    struct cursor cursor = trimmed(text, size);
    int64_t value, ns;
    if (!date_take(&cursor, &value)) { return false; }
    *days = (int32_t)value;
    if (cursor.at == cursor.end) { return true; }
    return (take(&cursor, ' ') || take(&cursor, 'T')) && clock_take(&cursor, &ns) && cursor.at == cursor.end;
}

bool text_to_time(const char *text, size_t size, int32_t *ms_of_day) {
    struct cursor cursor = trimmed(text, size);
    int64_t ns;
    if (!clock_take(&cursor, &ns) || cursor.at != cursor.end) { return false; }
    *ms_of_day = (int32_t)(ns / 1000000);
    return true;
}

bool text_to_timestamp(const char *text, size_t size, int precision, int64_t *value, bool *utc) {
    struct cursor cursor = trimmed(text, size);
    int64_t days, ns = 0;
    if (utc) { *utc = false; }
    if (!date_take(&cursor, &days)) { return false; }
    if (cursor.at != cursor.end) {
        if (!(take(&cursor, ' ') || take(&cursor, 'T')) || !clock_take(&cursor, &ns)) { return false; }
    }
    if (utc && take(&cursor, 'Z')) { *utc = true; }
    if (cursor.at != cursor.end) { return false; }
    int64_t kept = ns, step = 1; /* digits beyond the precision are cut */
    for (int i = precision; i < 9; i++) { step *= 10; }
    kept -= kept % step;
    const int64_t per_ms = timestamp_units_per_ms_num(type_timestamp(precision));
    return !__builtin_mul_overflow(days, DAY_MS * per_ms, value) &&
           !__builtin_add_overflow(*value, kept / (1000000 / per_ms), value);
}
