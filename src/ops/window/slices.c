/* Windows as arithmetic: see slices.h. */
#include "ops/window/slices.h"

static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

sabot_status slices_init(struct slices *slices, const struct window_spec *window, struct sabot_error *err) {
    if (window->kind == WINDOW_SESSION) {
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "sessions have no slices");
    }
    const int64_t slide = window->kind == WINDOW_TUMBLE ? window->size_ms : window->slide_ms;
    if (window->size_ms <= 0 || slide <= 0 || window->size_ms > SLICE_TIME_MAX / 1000000 ||
        slide > SLICE_TIME_MAX / 1000000) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "a window of %lld ms with a slide or step of %lld ms: both must be positive",
                          (long long)window->size_ms, (long long)slide);
    }
    if (window->kind == WINDOW_CUMULATE && window->size_ms % slide != 0) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "CUMULATE needs a size that is a multiple of its step: %lld ms is not one of "
                          "%lld ms",
                          (long long)window->size_ms, (long long)slide);
    }
    const int64_t period = window->kind == WINDOW_CUMULATE ? window->size_ms : slide;
    *slices = (struct slices){
        .kind = window->kind,
        .size = window->size_ms,
        .slide = slide,
        .offset = window->offset_ms - floor_div(window->offset_ms, period) * period,
        .slice = window->kind == WINDOW_HOP ? greatest_divisor(window->size_ms, slide) : slide,
    };
    return SABOT_OK;
}

int64_t slice_last_window(const struct slices *slices, int64_t slice_end) {
    const int64_t start = slice_end - slices->slice;
    if (slices->kind == WINDOW_TUMBLE) { return slice_end; }
    const int64_t period = slices->kind == WINDOW_CUMULATE ? slices->size : slices->slide;
    const int64_t last_start = floor_div(start - slices->offset, period) * period + slices->offset;
    const int64_t end = last_start + slices->size;
    return end > start ? end : INT64_MIN;
}

int64_t slice_next_window(const struct slices *slices, int64_t slice_end, int64_t after) {
    const int64_t last = slice_last_window(slices, slice_end);
    if (last == INT64_MIN || last <= after) { return INT64_MAX; }
    const int64_t least = after >= slice_end ? after + 1 : slice_end;
    /* Ends of windows stand `slide` apart, counted back from the last that holds the slice. */
    return last - (last - least) / slices->slide * slices->slide;
}
