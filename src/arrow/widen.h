/* Widening: a column's values as another type that holds every one of them. What lets state of an older version of a
 * job be read by a newer one. */
#ifndef ARROW_WIDEN_H
#define ARROW_WIDEN_H

#include "arrow/batch.h"

/* Whether every value of `from` is a value of `to`; NULL is not looked at. The same type widens to itself. */
bool type_widens(struct type from, struct type to);
/* `to` must be what type_widens() allows; shares the column where the values lie in memory as they did. A timestamp
 * that is too far away for finer units is ERR_DATA. */
sabot_status column_widen(struct memory_pool *pool, struct column *column, struct type from, struct type to,
                          struct column **out, struct sabot_error *err);

#endif
