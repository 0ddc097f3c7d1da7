/* Sorted runs of rows put together again: a k-way merge over the namespaces of a log (state/state.h), of which only
 * some rows of each are in memory. A run that was not written (the last one) is given as a batch with its order. */
#ifndef OPS_SORT_SORT_MERGE_H
#define OPS_SORT_SORT_MERGE_H

#include "ops/sort/sort_keys.h"
#include "ops/sort/sort_store.h"

struct sort_merge;

struct sort_merge_options {
    const struct sort_order *order;
    struct memory_pool *pool;
    struct state_table *runs;
    const struct sort_store *store;
    const int64_t *namespaces; /* of the runs; those that are read to their end are dropped */
    int32_t n_namespaces;
    struct batch *last;        /* rows in memory; NULL: none */
    const int32_t *last_rows;  /* their order; borrowed */
    int32_t n_last;
    int32_t arrival;           /* column: rows that are equal come in its order */
    int64_t chunk_bytes;       /* of all runs, to be read ahead */
    int64_t row_bytes;         /* of a row, about */
    int32_t batch_rows;
    int64_t first, end;        /* ranks of the rows that are wanted */
};

sabot_status sort_merge_open(const struct sort_merge_options *options, struct sort_merge **out,
                             struct sabot_error *err);
void sort_merge_close(struct sort_merge *merge); /* NULL is allowed */
/* The next rows, at most batch_rows; NULL at the end. */
sabot_status sort_merge_next(struct sort_merge *merge, struct batch **out, struct sabot_error *err);

#endif
