/* The shared slices of the window aggregations: how the table of panes is opened, and which slices a window has. */
#ifndef OPS_WINDOW_PANES_H
#define OPS_WINDOW_PANES_H

#include "ops/aggregate/aggregator.h"
#include "ops/window/split.h"

/* Opens what an operator with the options window_aggregate_options needs to take rows or partial results: table "panes"
 * (namespace = end of a slice). What was opened is the caller's to clear, also behind an error. */
sabot_status window_panes_open(const struct op_context *context, struct slices *slices, struct splitter *splitter,
                               struct aggregator *aggregator, int32_t *time_column, struct sabot_error *err);
/* Slices of the window that ends at window_end, in order: ends[first..first + n). */
sabot_status window_panes_of(struct state_table *panes, const struct slices *slices, int64_t window_end,
                             const int64_t **ends, int32_t *first, int32_t *n, struct sabot_error *err);

#endif
