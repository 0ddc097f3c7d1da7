/* The watermark of a task from those of its channels: the minimum over the channels that are not idle, never
 * backwards.
 *
 * Flink's rules: a channel that was idle and comes back behind the combined watermark does not hold it (nor move
 * it) until it has caught up. When the last active channel turns idle while it is the one that holds the
 * watermark, the watermark jumps to the largest of all channels: nothing else would ever move it. Pure; no clock
 * but what the caller gives. */
#ifndef TIME_WATERMARK_COMBINE_H
#define TIME_WATERMARK_COMBINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct watermark_input {
    int64_t watermark_ms; /* the highest that came; INT64_MIN: none yet */
    int64_t since_ns;     /* when it came */
    bool idle;
    bool aligned; /* takes part in the minimum: not idle, and not behind what was given out already */
};

struct watermark_combine {
    int32_t n_inputs, n_idle;
    int64_t watermark_ms; /* what was given out last; INT64_MIN: nothing yet */
    bool idle;            /* all inputs are */
    int64_t ignored;      /* watermarks that would have moved an input back */
    struct watermark_input *inputs;
};

/* What the caller has to pass on after an event, in this order. */
struct watermark_change {
    bool advanced; /* to watermark_combine.watermark_ms */
    bool idle;     /* all inputs are idle now */
};

sabot_status watermark_combine_init(struct watermark_combine *combine, int32_t n_inputs, int64_t now_ns,
                                    struct sabot_error *err);
void watermark_combine_clear(struct watermark_combine *combine);
struct watermark_change watermark_combine_advance(struct watermark_combine *combine, int32_t input,
                                                  int64_t watermark_ms, int64_t now_ns);
struct watermark_change watermark_combine_idle(struct watermark_combine *combine, int32_t input, int64_t now_ns);
/* Rows came: the channel is not idle. Cheap when it was not. */
void watermark_combine_active(struct watermark_combine *combine, int32_t input);
/* An input that holds the watermark now: the aligned one with the lowest; -1 where all are idle. */
int32_t watermark_combine_holder(const struct watermark_combine *combine);

#endif
