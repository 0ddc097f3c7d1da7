/* How the subtasks of a generating source share one numbered stream of rows: in blocks, block b belongs to part
 * b modulo parts. So the rows are the same at every parallelism, and no subtask runs far ahead in time. */
#ifndef CONNECT_BLOCKS_H
#define CONNECT_BLOCKS_H

#include <stdint.h>

struct block_share {
    int32_t part, parts;
    int64_t block_rows;
};

/* The first row at or behind `row` that is in a block of this share. */
static inline int64_t block_share_next(const struct block_share *share, int64_t row) {
    const int64_t block = row / share->block_rows;
    const int64_t behind = (share->part - block % share->parts + share->parts) % share->parts;
    return behind ? (block + behind) * share->block_rows : row;
}

/* How many rows from `row`, which is in a block of this share, are in the same block. */
static inline int64_t block_share_left(const struct block_share *share, int64_t row) {
    return share->parts == 1 ? INT64_MAX : share->block_rows - row % share->block_rows;
}

/* Under a rate limit a long block would keep the watermark of the other subtasks back: at most a millisecond's rows. */
static inline int64_t block_rows_for(int64_t batch_rows, double interval_ns) {
    if (interval_ns <= 0) { return batch_rows; }
    const double rows_per_ms = 1e6 / interval_ns;
    if (rows_per_ms >= (double)batch_rows) { return batch_rows; }
    return rows_per_ms < 1 ? 1 : (int64_t)rows_per_ms;
}

#endif
