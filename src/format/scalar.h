/* Texts of single values, as Flink's formats read and write them: numbers, decimals, dates, times, timestamps, base64.
 */
#ifndef FORMAT_SCALAR_H
#define FORMAT_SCALAR_H

#include "base/text.h"
#include "arrow/vector.h"

/* --- reading. All return false where the text is not a value of its type; the whole text must be one. */
bool int64_parse(const char *text, size_t size, int64_t *out); /* decimal, with a sign */
bool double_parse(const char *text, size_t size, double *out); /* also NaN, Infinity, -Infinity */
bool boolean_parse(const char *text, size_t size, bool *out);  /* true or false in any case */
bool date_parse(const char *text, size_t size, int32_t *days); /* 2015-07-14 */
bool time_parse(const char *text, size_t size, int32_t *ms);   /* 23:59:10[.123] */
/* 2015-07-14 23:59:10[.123456789] with ' ' or 'T' between; digits past the unit of `type` are cut. TIMESTAMP_LTZ: with
 * Z or an offset behind it (none: UTC). */
bool timestamp_parse(const char *text, size_t size, struct type type, int64_t *out);
enum decimal_result { DECIMAL_BAD, DECIMAL_OK, DECIMAL_TOO_LARGE };
/* Unscaled value, rounded half up to the scale. */
enum decimal_result decimal_parse(const char *text, size_t size, struct type type, __int128 *out);
bool utf8_is_valid(const char *text, size_t size);

/* Stores `text` (without blanks around it) as row `row` of a vector that is not nested; strings may borrow from
 * `block`. *reason: NULL, or why the text is no such value (static). */
sabot_status scalar_store(struct vector *vector, int32_t row, const char *text, size_t size, struct buffer *block,
                          const char **reason, struct sabot_error *err);
/* Stores a whole number; false where it is out of the type's range or the type is no number. */
bool scalar_store_int(struct vector *vector, int32_t row, int64_t value);

/* --- writing; all append */
void int64_print(struct text *target, int64_t value);
void double_print(struct text *target, double value); /* as Java: 1.0, 1.0E10, NaN */
void float_print(struct text *target, float value);
void decimal_print(struct text *target, __int128 value, int scale);
void date_print(struct text *target, int32_t days);
void time_print(struct text *target, int32_t ms);
/* `separator` is ' ' or 'T'; the fraction of a second without zeros at its end, none where it is
 * zero (as Flink's formats do); Z behind TIMESTAMP_LTZ. */
void timestamp_print(struct text *target, int64_t value, struct type type, char separator);
#endif
