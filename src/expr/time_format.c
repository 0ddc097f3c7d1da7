/* Patterns of dates and times: compiled to one op per field, written and read by walking the ops. */
#include "expr/time_format.h"

#include "arrow/calendar.h"
#include "expr/functions_calendar.h"

#include <stdio.h>
#include <strings.h>

#define SECOND_NS INT64_C(1000000000)
#define DAY_NS (86400 * SECOND_NS)
#define LITERAL 0

static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const weekdays[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static const char known_letters[] = "yuMLdDEecaHkKhmsSnAQqYwGzVZXx";

static int64_t letter_resolution(char letter, int count) {
    static const int64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    switch (letter) {
    case 'H': case 'k': case 'K': case 'h': return 3600 * SECOND_NS;
    case 'a': return 12 * 3600 * SECOND_NS;
    case 'm': return 60 * SECOND_NS;
    case 's': return SECOND_NS;
    case 'S': return count >= 9 ? 1 : powers[9 - count];
    case 'n': return 1;
    case 'A': return 1000000;
    case 'z': case 'V': case 'Z': case 'X': case 'x': return 0;
    default: return DAY_NS;
    }
}

static bool is_numeric_op(const struct time_format_op *op) {
    if (op->letter == LITERAL || op->letter == '[' || op->letter == ']' || strchr("GazVZXxE", op->letter)) {
        return false;
    }
    return !(strchr("MLQqec", op->letter) && op->count >= 3);
}

static struct time_format_op *add_op(struct time_format *format, char letter, const char **reason) {
    if (format->n_ops == TIME_FORMAT_OPS_MAX) {
        *reason = "it is too long";
        return NULL;
    }
    struct time_format_op *op = &format->ops[format->n_ops++];
    *op = (struct time_format_op){.letter = letter};
    return op;
}

static bool add_literal(struct time_format *format, char c, int *used, const char **reason) {
    struct time_format_op *op = format->n_ops ? &format->ops[format->n_ops - 1] : NULL;
    if (!op || op->letter != LITERAL) {
        op = add_op(format, LITERAL, reason);
        if (!op) { return false; }
        op->at = (uint8_t)*used;
    }
    format->literals[(*used)++] = c;
    op->count++;
    return true;
}

/* 'text' and '' for a quote. */
static bool add_quoted(struct time_format *format, struct slice pattern, size_t *at, int *used, const char **reason) {
    size_t i = *at + 1;
    if (i < pattern.size && pattern.data[i] == '\'') {
        *at = i + 1;
        return add_literal(format, '\'', used, reason);
    }
    for (; i < pattern.size; i++) {
        if (pattern.data[i] == '\'') {
            if (i + 1 >= pattern.size || pattern.data[i + 1] != '\'') { break; }
            i++;
        }
        if (!add_literal(format, pattern.data[i], used, reason)) { return false; }
    }
    if (i >= pattern.size) {
        *reason = "a quote is not closed";
        return false;
    }
    *at = i + 1;
    return true;
}

bool time_format_compile(struct slice pattern, struct time_format *format, const char **reason) {
    memset(format, 0, sizeof *format);
    format->resolution_ns = DAY_NS;
    *reason = "it is too long";
    if (pattern.size > TIME_FORMAT_SIZE_MAX - 1) { return false; }
    int used = 0, depth = 0;
    for (size_t i = 0; i < pattern.size;) {
        const char c = pattern.data[i];
        if (c == '\'') {
            if (!add_quoted(format, pattern, &i, &used, reason)) { return false; }
            continue;
        }
        size_t n = 1;
        if ((c | 32) >= 'a' && (c | 32) <= 'z') {
            while (i + n < pattern.size && pattern.data[i + n] == c) { n++; }
            if (!strchr(known_letters, c)) {
                *reason = "it has a letter that means nothing; text stands in quotes";
                return false;
            }
            if (n > 19) {
                *reason = "a field has too many letters";
                return false;
            }
            struct time_format_op *op = add_op(format, c, reason);
            if (!op) { return false; }
            op->count = (uint8_t)n;
            const int64_t step = letter_resolution(c, (int)n);
            format->resolution_ns = step < format->resolution_ns ? step : format->resolution_ns;
        } else if (c == '[' || c == ']') {
            depth += c == '[' ? 1 : -1;
            if (depth < 0 || !add_op(format, c, reason)) {
                *reason = "a ] has no [";
                return false;
            }
        } else if (!add_literal(format, c, &used, reason)) {
            return false;
        }
        i += n;
    }
    for (int32_t i = 0; i + 1 < format->n_ops; i++) {
        format->ops[i].next_is_digits = is_numeric_op(&format->ops[i]) && is_numeric_op(&format->ops[i + 1]);
    }
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct writer {
    char *at, *end;
};

static void put_text(struct writer *to, const char *text, size_t size) {
    if ((size_t)(to->end - to->at) < size) {
        to->end = to->at - 1; /* full: nothing more goes in */
        return;
    }
    memcpy(to->at, text, size);
    to->at += size;
}

static void put_number(struct writer *to, int64_t value, int width) {
    char digits[24];
    int at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    while ((int)sizeof digits - at < width && at > 1) { digits[--at] = '0'; }
    if (value < 0) { digits[--at] = '-'; }
    put_text(to, digits + at, sizeof digits - (size_t)at);
}

static void put_word(struct writer *to, const char *word, int count) {
    put_text(to, word, count >= 5 ? 1 : count == 4 ? strlen(word) : 3);
}

/* +01, +0130, +01:30 by the letter and its count, as java.time has them. */
static void put_offset(struct writer *to, char letter, int count, int32_t offset) {
    if (offset == 0 && (letter == 'X' || (letter == 'Z' && count == 5))) {
        put_text(to, "Z", 1);
        return;
    }
    if (letter == 'Z' && count == 4) { put_text(to, "GMT", 3); }
    if (letter == 'Z' && count == 4 && offset == 0) { return; }
    const int32_t size = offset < 0 ? -offset : offset;
    const int hours = size / 3600, minutes = size / 60 % 60, seconds = size % 60;
    const bool colon = letter == 'Z' ? count >= 4 : count == 3 || count == 5;
    const bool with_minutes = letter == 'Z' || count > 1 || minutes > 0;
    put_text(to, offset < 0 ? "-" : "+", 1);
    put_number(to, hours, 2);
    if (with_minutes) {
        if (colon) { put_text(to, ":", 1); }
        put_number(to, minutes, 2);
    }
    if (seconds > 0 && count >= 4) {
        if (colon) { put_text(to, ":", 1); }
        put_number(to, seconds, 2);
    }
}

static void write_year(struct writer *to, int64_t year, int count) {
    if (count == 2) {
        put_number(to, floor_mod(year, 100), 2);
    } else {
        if (year > 9999 && count >= 4) { put_text(to, "+", 1); } /* as java.time marks years beyond the pattern */
        put_number(to, year, count);
    }
}

static void write_op(const struct time_format_op *op, const struct time_parts *parts, struct civil civil,
                     struct writer *to) {
    const int64_t ns = parts->ns;
    const int64_t second = ns / SECOND_NS;
    const int hour = (int)(second / 3600);
    const int day_of_year = (int)(parts->day - days_of_civil(civil.year, 1, 1)) + 1;
    const int weekday = (int)floor_mod(parts->day + 3, 7); /* Monday is 0 */
    int64_t week_year;
    int32_t week;
    switch (op->letter) {
    case 'y': write_year(to, civil.year > 0 ? civil.year : 1 - civil.year, op->count); break;
    case 'u': write_year(to, civil.year, op->count); break;
    case 'G': put_text(to, civil.year > 0 ? "AD" : "BC", 2); break;
    case 'M': case 'L':
        if (op->count < 3) {
            put_number(to, civil.month, op->count);
        } else {
            put_word(to, months[civil.month - 1], op->count);
        }
        break;
    case 'd': put_number(to, civil.day, op->count); break;
    case 'D': put_number(to, day_of_year, op->count); break;
    case 'E': put_word(to, weekdays[weekday], op->count < 3 ? 3 : op->count); break;
    case 'e': case 'c': /* the week begins on Sunday, as in the English locale */
        if (op->count < 3) {
            put_number(to, (weekday + 1) % 7 + 1, op->count);
        } else {
            put_word(to, weekdays[weekday], op->count);
        }
        break;
    case 'Q': case 'q':
        if (op->count == 3) { put_text(to, "Q", 1); }
        put_number(to, (civil.month + 2) / 3, op->count < 3 ? op->count : 1);
        break;
    case 'Y': case 'w':
        iso_week(parts->day, &week_year, &week);
        if (op->letter == 'w') {
            put_number(to, week, op->count);
        } else {
            write_year(to, week_year, op->count);
        }
        break;
    case 'a': put_text(to, hour < 12 ? "AM" : "PM", 2); break;
    case 'H': put_number(to, hour, op->count); break;
    case 'k': put_number(to, hour == 0 ? 24 : hour, op->count); break;
    case 'K': put_number(to, hour % 12, op->count); break;
    case 'h': put_number(to, hour % 12 == 0 ? 12 : hour % 12, op->count); break;
    case 'm': put_number(to, second / 60 % 60, op->count); break;
    case 's': put_number(to, second % 60, op->count); break;
    case 'n': put_number(to, ns % SECOND_NS, op->count); break;
    case 'A': put_number(to, ns / 1000000, op->count); break;
    case 'S': {
        char digits[32];
        snprintf(digits, sizeof digits, "%09u0000000000", (unsigned)(ns % SECOND_NS));
        put_text(to, digits, op->count);
        break;
    }
    case 'z': case 'V': put_text(to, parts->zone_name, strlen(parts->zone_name)); break;
    case 'Z': case 'X': case 'x': put_offset(to, op->letter, op->count, parts->offset_s); break;
    default: break;
    }
}

int time_format_write(const struct time_format *format, const struct time_parts *parts, char *target) {
    struct writer to = {target, target + TIME_FORMAT_SIZE_MAX};
    const struct civil civil = civil_of_days(parts->day);
    for (int32_t i = 0; i < format->n_ops; i++) {
        const struct time_format_op *op = &format->ops[i];
        if (op->letter == LITERAL) {
            put_text(&to, format->literals + op->at, op->count);
        } else {
            write_op(op, parts, civil, &to);
        }
        if (to.end < to.at) { return -1; }
    }
    return (int)(to.at - target);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct reader {
    const char *at, *end;
    int64_t year, month, day, day_of_year;
    int64_t hour, half_hour, minute, second, ns, ms_of_day;
    int half; /* 0 AM, 1 PM, -1: not given */
    bool before_christ, has_fraction;
    struct time_parsed *out;
};

/* least..most digits; in front of another number exactly `count` of them. */
static bool read_number(struct reader *from, const struct time_format_op *op, int least, int most, int64_t *value) {
    if (op->next_is_digits) { least = most = op->count; }
    int digits = 0;
    int64_t number = 0;
    while (digits < most && from->at < from->end && *from->at >= '0' && *from->at <= '9') {
        number = number * 10 + (*from->at++ - '0');
        digits++;
    }
    *value = number;
    return digits >= least;
}

/* A word of a list, in any case; short: its first three letters. */
static bool read_word(struct reader *from, const char *const *words, int n, bool is_short, int64_t *index) {
    for (int i = 0; i < n; i++) {
        const size_t size = is_short ? 3 : strlen(words[i]);
        if ((size_t)(from->end - from->at) >= size && strncasecmp(from->at, words[i], size) == 0) {
            from->at += size;
            *index = i;
            return true;
        }
    }
    return false;
}

static bool read_two(struct reader *from, int32_t *value) {
    if (from->end - from->at < 2 || from->at[0] < '0' || from->at[0] > '9' || from->at[1] < '0' || from->at[1] > '9') {
        return false;
    }
    *value = (from->at[0] - '0') * 10 + from->at[1] - '0';
    from->at += 2;
    return true;
}

static bool read_offset(struct reader *from) {
    int32_t hours = 0, minutes = 0;
    from->out->has_offset = true;
    if (from->at < from->end && *from->at == 'Z') {
        from->at++;
        from->out->parts.offset_s = 0;
        return true;
    }
    if (from->at == from->end || (*from->at != '+' && *from->at != '-')) { return false; }
    const int sign = *from->at++ == '-' ? -1 : 1;
    if (!read_two(from, &hours)) { return false; }
    const char *before = from->at;
    if (from->at < from->end && *from->at == ':') { from->at++; }
    if (!read_two(from, &minutes)) { from->at = before; }
    from->out->parts.offset_s = sign * (hours * 3600 + minutes * 60);
    return hours <= 18 && minutes < 60;
}

static bool read_zone(struct reader *from) {
    char name[64];
    size_t n = 0;
    while (from->at < from->end && n < sizeof name - 1 && *from->at != ' ' && *from->at != ']' && *from->at != ',') {
        name[n++] = *from->at++;
    }
    name[n] = 0;
    struct sabot_error ignored = {0};
    const bool known = n > 0 && zone_find(name, &from->out->zone, &ignored) == SABOT_OK;
    error_clear(&ignored);
    return known;
}

static bool read_year(struct reader *from, const struct time_format_op *op, int64_t *year) {
    const bool negative = from->at < from->end && *from->at == '-' && op->letter == 'u';
    from->at += negative;
    if (op->count == 2) {
        if (!read_number(from, op, 2, 2, year)) { return false; }
        *year += 2000;
        return true;
    }
    const bool good = read_number(from, op, op->count, op->count < 4 ? 9 : op->count == 4 ? 4 : 9, year);
    if (negative) { *year = -*year; }
    return good;
}

static bool read_op(const struct time_format_op *op, struct reader *from) {
    const int most = op->count == 1 ? 2 : op->count;
    int64_t unused = 0;
    switch (op->letter) {
    case 'y': case 'u': return read_year(from, op, &from->year);
    case 'M': case 'L':
        if (op->count < 3) { return read_number(from, op, op->count, most, &from->month); }
        if (!read_word(from, months, 12, op->count == 3, &from->month)) { return false; }
        from->month++;
        return true;
    case 'd': return read_number(from, op, op->count, most, &from->day);
    case 'D': return read_number(from, op, op->count, 3, &from->day_of_year);
    case 'E': return read_word(from, weekdays, 7, op->count <= 3, &unused);
    case 'a': {
        static const char *const halves[] = {"AM ", "PM "};
        if (from->end - from->at < 2) { return false; }
        for (int i = 0; i < 2; i++) {
            if (strncasecmp(from->at, halves[i], 2) == 0) { from->half = i; }
        }
        from->at += 2;
        return from->half >= 0;
    }
    case 'G':
        if (from->end - from->at < 2) { return false; }
        from->before_christ = strncasecmp(from->at, "BC", 2) == 0;
        from->at += 2;
        return from->before_christ || strncasecmp(from->at - 2, "AD", 2) == 0;
    case 'H': return read_number(from, op, op->count, most, &from->hour) && from->hour < 24;
    case 'k':
        if (!read_number(from, op, op->count, most, &from->hour) || from->hour < 1 || from->hour > 24) { return false; }
        from->hour %= 24;
        return true;
    case 'K': return read_number(from, op, op->count, most, &from->half_hour) && from->half_hour < 12;
    case 'h':
        if (!read_number(from, op, op->count, most, &from->half_hour) || from->half_hour < 1 || from->half_hour > 12) {
            return false;
        }
        from->half_hour %= 12;
        return true;
    case 'm': return read_number(from, op, op->count, most, &from->minute) && from->minute < 60;
    case 's': return read_number(from, op, op->count, most, &from->second) && from->second < 60;
    case 'n': return read_number(from, op, 1, 9, &from->ns);
    case 'A': return read_number(from, op, 1, 8, &from->ms_of_day) && from->ms_of_day < DAY_MS;
    case 'S': {
        const int digits = op->count > 9 ? 9 : op->count;
        if (!read_number(from, op, digits, digits, &from->ns)) { return false; }
        for (int i = digits; i < 9; i++) { from->ns *= 10; }
        return true;
    }
    case 'Z': case 'X': case 'x': return read_offset(from);
    case 'z': case 'V': return read_zone(from);
    default: return read_number(from, op, 1, 9, &unused); /* Q w Y e c: they do not say which day */
    }
}

/* Ops [first, last); what stands in [ ] may be missing. */
static bool read_ops(const struct time_format *format, int32_t first, int32_t last, struct reader *from) {
    for (int32_t i = first; i < last; i++) {
        const struct time_format_op *op = &format->ops[i];
        if (op->letter == '[') {
            int32_t close = i + 1;
            for (int depth = 1; close < last; close++) {
                depth += format->ops[close].letter == '[' ? 1 : format->ops[close].letter == ']' ? -1 : 0;
                if (depth == 0) { break; }
            }
            const struct reader before = *from;
            if (!read_ops(format, i + 1, close, from)) { *from = before; }
            i = close;
        } else if (op->letter == LITERAL) {
            if ((size_t)(from->end - from->at) < op->count ||
                memcmp(from->at, format->literals + op->at, op->count) != 0) {
                return false;
            }
            from->at += op->count;
        } else if (op->letter != ']' && !read_op(op, from)) {
            return false;
        }
    }
    return true;
}

bool time_format_read(const struct time_format *format, struct slice text, bool partial, struct time_parsed *out) {
    *out = (struct time_parsed){.has_offset = false};
    struct reader from = {
        .at = text.data, .end = text.data + text.size, .year = 1970, .month = 1, .day = 1, .day_of_year = -1,
        .half_hour = -1, .ms_of_day = -1, .half = -1, .out = out,
    };
    if (!read_ops(format, 0, format->n_ops, &from) || (!partial && from.at != from.end)) { return false; }
    if (from.before_christ) { from.year = 1 - from.year; }
    if (from.half_hour >= 0) { from.hour = from.half_hour + (from.half == 1 ? 12 : 0); }
    if (from.year > 999999 || from.month < 1 || from.month > 12 || from.day < 1 || from.day > 31) { return false; }
    /* 30 February is its last day: java.time resolves "smartly" */
    const int last = month_days(from.year, (int)from.month);
    out->parts.day = days_of_civil(from.year, (int)from.month, from.day < last ? (int)from.day : last);
    if (from.day_of_year >= 0) {
        if (from.day_of_year < 1 || from.day_of_year > 365 + year_is_leap(from.year)) { return false; }
        out->parts.day = days_of_civil(from.year, 1, 1) + from.day_of_year - 1;
    }
    out->parts.ns = from.ms_of_day >= 0
                        ? from.ms_of_day * 1000000
                        : ((from.hour * 60 + from.minute) * 60 + from.second) * SECOND_NS + from.ns;
    return true;
}
