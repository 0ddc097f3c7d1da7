/* Patterns of dates and times as Java's DateTimeFormatter has them (yyyy-MM-dd HH:mm:ss.SSS), compiled once.
 *
 * Understood: y u M L d D E e c a H k K h m s S n A Q q Y w (ISO weeks) G z V Z X x, 'text', [optional]. Words are
 * English. */
#ifndef EXPR_TIME_FORMAT_H
#define EXPR_TIME_FORMAT_H

#include "base/zone.h"
#include "expr/signature.h"

#define TIME_FORMAT_OPS_MAX 64
#define TIME_FORMAT_SIZE_MAX 256 /* bytes of a pattern, and of what it writes */

struct time_format_op {
    char letter;      /* 0: literal text; '[' and ']' */
    uint8_t count;    /* letters, or bytes of the literal */
    uint8_t at;       /* LITERAL: where its bytes stand */
    bool next_is_digits; /* a number follows at once: this one has exactly `count` digits */
};

struct time_format {
    int32_t n_ops;
    struct time_format_op ops[TIME_FORMAT_OPS_MAX];
    char literals[TIME_FORMAT_SIZE_MAX];
    /* In which steps of time the written text can change: ns of the finest field; 0: names the zone. */
    int64_t resolution_ns;
};

/* *reason: what is wrong with the pattern. */
bool time_format_compile(struct slice pattern, struct time_format *format, const char **reason);

/* A moment in local time. */
struct time_parts {
    int64_t day;          /* since 1970-01-01 */
    int64_t ns;           /* of the day */
    int32_t offset_s;     /* of the zone */
    const char *zone_name;
};
/* Writes at most TIME_FORMAT_SIZE_MAX bytes; returns how many, or -1: too long. */
int time_format_write(const struct time_format *format, const struct time_parts *parts, char *target);

struct time_parsed {
    struct time_parts parts;
    bool has_offset;
    const struct zone *zone; /* of a zone name in the text; NULL: none */
};
/* false: the text is not of this pattern. partial: text behind the end is ignored. Missing fields are those of
 * 1970-01-01 00:00:00. */
bool time_format_read(const struct time_format *format, struct slice text, bool partial, struct time_parsed *out);

#endif
