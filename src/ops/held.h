/* Rows that wait until there are many, where an operator's state is on disk: it is then walked through in the order of
 * its index, once for all of them, instead of a page fault per row here and there. Watermarks wait for the rows before
 * them, which is as if they had come later; barriers and ends do not wait: they let the rows go first. */
#ifndef OPS_HELD_H
#define OPS_HELD_H

#include "ops/op.h"

struct held {
    struct memory_pool *pool;
    struct batch **batches;
    int32_t n, capacity;
    int64_t rows, bytes;
    /* on their way out */
    struct batch *sorted;
    struct buffer *order_buffer;
    const int32_t *order; /* rows of `sorted` */
    int32_t at;
};
sabot_status held_add(struct held *held, struct batch *batch /* taken over */, struct sabot_error *err);
/* All rows that wait are on their way out from now on, in the order of the hashes of their keys & mask
 * (MULTIMAP_ORDER, state_order()), those of one key as they came. */
sabot_status held_begin(struct held *held, const int32_t *keys, int32_t n_keys, uint64_t mask,
                        struct sabot_error *err);
/* The next up to n of them, with the hashes of the keys; *out is NULL behind the last. */
sabot_status held_next(struct held *held, int32_t n, struct batch **out, struct sabot_error *err);
bool held_is_going(const struct held *held); /* behind held_begin, and held_next has not given NULL yet */
void held_clear(struct held *held);

/* When it is time to let them go, and what waits behind them. */
struct held_pace {
    int64_t began_ns, took_ns; /* the last time */
    int64_t watermark_ms;      /* the last one behind them, if watermark_waits */
    bool watermark_waits;
    bool idle_waits; /* that there are no rows for now: it lets them go, and is passed on behind them */
};
int32_t held_rows_max(const struct memory_pool *pool); /* so many are enough */
bool held_is_enough(const struct memory_pool *pool, int64_t rows, int64_t bytes);
/* Rows have begun to wait: without an end to come the operator is woken (on_time) after as long as they took the last
 * time, so that at most half of the time is lost. */
void held_wake(const struct held_pace *pace, struct op *op, const struct op_context *context);
void held_pace_begin(struct held_pace *pace, struct env *env);
void held_pace_end(struct held_pace *pace, struct env *env);
void held_keep_watermark(struct held_pace *pace, int64_t watermark_ms);
/* The rows have gone: false where no watermark waits (and *watermark_ms stays). */
bool held_take_watermark(struct held_pace *pace, int64_t *watermark_ms);
sabot_status held_pass_idle(struct held_pace *pace, struct op_out *out, struct sabot_error *err); /* if it waits */

#endif
