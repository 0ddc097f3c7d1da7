/* Frames of OVER: which rows an aggregate takes for each row, and what it makes of them; pure functions over rows that
 * are sorted by partition and time. In each partition the rows that were given out before ("past") stand first. */
#ifndef OPS_OVER_FRAMES_H
#define OPS_OVER_FRAMES_H

#include "arrow/batch.h"
#include "ops/specs.h"

struct frames {
    struct memory_pool *pool;
    int32_t n_rows, n_due, n_segments;
    const int64_t *times; /* per row */
    int32_t *starts;      /* per partition: its first row; one more behind the last */
    int32_t *first_due;   /* per partition: its first row that is due */
    /* per due row, in order */
    int32_t *rows;        /* which row it is */
    int32_t *segments;
    int32_t *low, *high;  /* its frame: rows low..high-1 */
    int32_t *peers;       /* the first row of the same time */
    void *block;
    size_t block_size;
};
/* groups: per row, equal within a partition; past: per row. Both are read here only. preceding: rows, or units of
 * time. */
sabot_status frames_init(struct frames *frames, struct memory_pool *pool, const int32_t *groups, const bool *past,
                         const int64_t *times, int32_t n, enum over_frame frame, int64_t preceding,
                         struct sabot_error *err);
void frames_clear(struct frames *frames);

/* Each gives one value per due row. takes: per row, or NULL = all. carry: per partition, what rows before the first one
 * here have given; NULL = nothing. */
void frames_count(const struct frames *frames, const bool *takes, const int64_t *carry, int64_t *out, int64_t *scratch);
void frames_sum(const struct frames *frames, const __int128 *values, const __int128 *carry, __int128 *out,
                __int128 *scratch /* n_rows + 1 */);
void frames_sum_real(const struct frames *frames, const double *values, const double *carry, double *out,
                     double *scratch /* n_rows + 1 */);
/* The row that holds the least, greatest, first or last value of a frame; -1 = none. Where a partition has a carry
 * (has_carry), it stands at column row n_rows + partition. scratch: n_rows + 1. */
enum frames_pick { PICK_MIN, PICK_MAX, PICK_FIRST, PICK_LAST };
void frames_pick(const struct frames *frames, enum frames_pick pick, const struct column *column, struct type type,
                 const bool *takes, const bool *has_carry, int32_t *out, int32_t *scratch);

#endif
