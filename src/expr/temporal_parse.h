/* Texts of dates, times and timestamps, as CAST reads them: blanks around are ignored, parts may be one digit long. */
#ifndef EXPR_TEMPORAL_PARSE_H
#define EXPR_TEMPORAL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 2015-07-14, 2015-7-4, 2015-07, 2015; a time behind it is ignored. */
bool text_to_date(const char *text, size_t size, int32_t *days);
/* 23:59:10.123, 23:59, 23; digits beyond ms are cut. */
bool text_to_time(const char *text, size_t size, int32_t *ms_of_day);
/* A date, or a date and a time with ' ' or 'T' between and up to 9 digits of a second, in the unit of the precision;
 * more digits are cut. *utc (may be NULL: not allowed): a Z stood at the end. */
bool text_to_timestamp(const char *text, size_t size, int precision, int64_t *value, bool *utc);

#endif
