/* Cells that keep every value of a group, in the order of arrival: LISTAGG, ARRAY_AGG.
 *
 * The state column is BINARY: for each value its size (4 bytes, little-endian; all ones: NULL) and its bytes, a
 * string's or those of the fixed-width value. So it takes values back (the first that is equal), and lists are merged
 * end to end. */
#ifndef OPS_AGGREGATE_LIST_CELL_H
#define OPS_AGGREGATE_LIST_CELL_H

#include "ops/aggregate/accumulate.h"

/* Puts rows[i] (NULL = 0..n-1) of the batch into slots[i]; rows of a kind that takes back, or all where `minus` is set,
 * are taken out. by_filter: the cell's filter is asked. */
sabot_status list_cell_change(const struct accumulators *accumulators, int32_t c, struct state_table *table,
                              int64_t namespace_, const struct batch *batch, const int32_t *rows, const int32_t *slots,
                              int32_t n, bool minus, struct sabot_error *err);
/* Appends (a set: what is not there yet) the lists of slots first..first+n of a namespace to those of slots[] of
 * another. */
sabot_status list_cell_merge(const struct cell *cell, struct state_table *table, int32_t c, int64_t from, int64_t first,
                             int32_t n, int64_t into, const int32_t *slots, struct sabot_error *err);
/* How many values each list has. */
sabot_status list_cell_counts(const struct column *lists, int32_t n, struct memory_pool *pool, struct column **out,
                              struct sabot_error *err);
/* All values of all lists; (*slots)[i] (free it) is the list that value i is of. */
sabot_status list_cell_elements(const struct column *lists, int32_t n, enum phys phys, struct memory_pool *pool,
                                struct column **out, int32_t **slots, struct sabot_error *err);
/* The lists as the call's result; NULL where they are empty. */
sabot_status list_cell_result(const struct aggregate_call *call, const struct column *lists, int32_t n,
                              struct memory_pool *pool, struct column **out, struct sabot_error *err);

#endif
