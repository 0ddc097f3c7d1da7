/* Arithmetic of dates, times, timestamps and intervals. */
#ifndef EXPR_FUNCTIONS_TEMPORAL_H
#define EXPR_FUNCTIONS_TEMPORAL_H

#include "expr/function.h"

/* Binds + - * / where an argument is a time or an interval; *taken says whether it was. */
sabot_status bind_temporal_arithmetic(const struct function *function, struct function_binding *binding, bool *taken,
                                      struct sabot_error *err);

/* Months added to a date, the day cut to the length of the month: 31 January + 1 month is 28 or 29 February. */
int64_t days_add_months(int64_t days, int64_t months);

#endif
