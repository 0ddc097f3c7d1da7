/* Splits the rows of a batch by slice. Rows of a batch mostly fall into one slice or two, so that is looked for first.
 */
#ifndef OPS_WINDOW_SPLIT_H
#define OPS_WINDOW_SPLIT_H

#include "ops/window/slices.h"

struct slice_run {
    int64_t slice_end;
    const int32_t *rows; /* physical; NULL = 0..n-1 */
    int32_t n;
};
struct splitter {
    struct memory_pool *pool;
    const struct slices *slices;
    int64_t units_per_ms; /* of the time column */
    int64_t shift;        /* subtracted from the column: 1 where it holds slice ends rather than times */
    struct slice_run *runs;
    int32_t n_runs;
    int32_t *timeless;    /* rows whose time is NULL or out of range */
    int32_t n_timeless;
    /* scratch */
    void *block;
    size_t block_size;
    int32_t capacity; /* rows */
};
void splitter_init(struct splitter *splitter, struct memory_pool *pool, const struct slices *slices,
                   int64_t units_per_ms, int64_t shift);
void splitter_clear(struct splitter *splitter);
/* Fills runs (ascending by slice) and timeless; they are valid until the next call, as long as the batch lives. */
sabot_status splitter_split(struct splitter *splitter, const struct batch *batch, int32_t time_column,
                            struct sabot_error *err);

#endif
