/* Which rows come too late: decided by pure functions, vectorised over the rows of a batch. */
#ifndef TIME_LATENESS_H
#define TIME_LATENESS_H

#include <stdbool.h>
#include <stdint.h>

enum late_choice { LATE_TAKE, LATE_SIDE_OUTPUT, LATE_DROP };

/* A row whose last window ends at closes_ms (exclusive) is late when that window has fired and its lateness is over. */
static inline bool row_is_late(int64_t closes_ms, int64_t lateness_ms, int64_t watermark_ms) {
    if (watermark_ms == INT64_MIN) { return false; }
    return closes_ms - 1 <= watermark_ms - lateness_ms;
}

static inline enum late_choice late_choose(int64_t closes_ms, int64_t lateness_ms, int64_t watermark_ms,
                                           bool has_side_output) {
    if (!row_is_late(closes_ms, lateness_ms, watermark_ms)) { return LATE_TAKE; }
    return has_side_output ? LATE_SIDE_OUTPUT : LATE_DROP;
}

/* Splits n rows by closes_ms[i], the end of rows[i]'s last window: those in time stay in `rows`, in order; those late
 * go to `late` (room for n). Returns how many stay. */
int32_t late_split(const int64_t *closes_ms, int64_t lateness_ms, int64_t watermark_ms, int32_t *rows, int32_t n,
                   int32_t *late);

#endif
