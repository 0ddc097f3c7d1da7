/* Windows as arithmetic: slices that overlapping windows share, all times in ms, ends exclusive.
 *
 * A slice is the longest stretch of time that lies wholly in or wholly out of every window: the window of a tumble, the
 * greatest common divisor of size and slide of a hop, the step of a cumulate. It is named by its end. */
#ifndef OPS_WINDOW_SLICES_H
#define OPS_WINDOW_SLICES_H

#include "ops/specs.h"

#define SLICE_TIME_MAX (INT64_MAX / 4) /* times beyond it (in their unit) are no times */

struct slices {
    enum window_kind kind;
    int64_t size, slide, offset; /* ms; 0 <= offset < slide (CUMULATE: < size) */
    int64_t slice;               /* length of a slice */
};
sabot_status slices_init(struct slices *slices, const struct window_spec *window, struct sabot_error *err);

/* a / b towards minus infinity, b > 0. */
static inline int64_t floor_div(int64_t a, int64_t b) {
    const int64_t quotient = a / b;
    return quotient - (a % b < 0);
}
/* End of the slice that holds a time. */
static inline int64_t slice_end_of(const struct slices *slices, int64_t time_ms) {
    return floor_div(time_ms - slices->offset, slices->slice) * slices->slice + slices->offset + slices->slice;
}
static inline int64_t window_start_of(const struct slices *slices, int64_t window_end) {
    if (slices->kind != WINDOW_CUMULATE) { return window_end - slices->size; }
    return floor_div(window_end - 1 - slices->offset, slices->size) * slices->size + slices->offset;
}
/* End of the last window that holds a slice; INT64_MIN where none does (a hop whose slide is longer than its size). */
int64_t slice_last_window(const struct slices *slices, int64_t slice_end);
/* End of the first window that holds the slice and ends behind `after`; INT64_MAX where there is none. */
int64_t slice_next_window(const struct slices *slices, int64_t slice_end, int64_t after);

#endif
