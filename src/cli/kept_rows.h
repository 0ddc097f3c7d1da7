/* Rows that a fold refers to by number, as columns: for output that text would not do for. */
#ifndef CLI_KEPT_ROWS_H
#define CLI_KEPT_ROWS_H

#include "arrow/batch.h"
#include "cli/fold.h"

/* Batches end to end: number n is the n-th row of them all. */
struct kept_rows {
    struct memory_pool *pool;
    struct batch **batches;
    int32_t n, capacity;
    int64_t rows;
};
void kept_rows_clear(struct kept_rows *kept);
/* Keeps all rows of the batch (borrowed): its row i is number *first + i. */
sabot_status kept_rows_add(struct kept_rows *kept, struct batch *batch, int64_t *first, struct sabot_error *err);
/* Drops what the fold does not refer to, where that is most of the rows (or always: `now`). The rows that are left get
 * new numbers, in the order of the fold. */
sabot_status kept_rows_compact(struct kept_rows *kept, struct fold *fold, bool now, struct sabot_error *err);
/* The fold's table, in batches of at most batch_rows; compacts first. */
sabot_status kept_rows_write(struct kept_rows *kept, struct fold *fold, int32_t batch_rows,
                             sabot_status (*write)(void *arg, struct batch *batch, struct sabot_error *err), void *arg,
                             struct sabot_error *err);

#endif
