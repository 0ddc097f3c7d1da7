/* What the functions of dates and times share: reading values of every temporal type as local time. */
#ifndef EXPR_FUNCTIONS_CALENDAR_H
#define EXPR_FUNCTIONS_CALENDAR_H

#include "base/zone.h"
#include "expr/function.h"

/* Units of a type's values in a day: 1 for DATE. */
int64_t temporal_per_day(struct type type);

/* Reads an argument as a local date or time, in its own unit. */
struct temporal_reader {
    const struct column *column;
    const struct zone *zone; /* TIMESTAMP_LTZ: the session's; else NULL */
    int64_t per_day, per_second;
};
sabot_status temporal_reader_init(struct temporal_reader *reader, const struct kernel_call *call, int32_t arg,
                                  struct sabot_error *err);
static inline int64_t temporal_read(const struct temporal_reader *reader, int32_t row) {
    const int64_t at = reader->column->constant ? 0 : row;
    if (reader->column->phys == PHYS_I32) { return ((const int32_t *)reader->column->values)[at]; }
    const int64_t value = ((const int64_t *)reader->column->values)[at];
    return reader->zone ? zone_to_local(reader->zone, value, reader->per_second) : value;
}

void iso_week(int64_t day, int64_t *year, int32_t *week);
/* FLOOR(t TO unit) and CEIL, which share their names with the functions of numbers. */
sabot_status bind_round_time(const struct function *function, struct function_binding *binding,
                             struct sabot_error *err);
sabot_status bind_unix_now(struct function_binding *binding);

#endif
