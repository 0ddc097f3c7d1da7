/* What the window aggregations share about rows: the time column, late rows, columns that are the window itself. */
#ifndef OPS_WINDOW_WINDOW_ROWS_H
#define OPS_WINDOW_WINDOW_ROWS_H

#include "ops/window/progress.h"
#include "ops/window/slices.h"

/* Refuses a column that holds no time. */
sabot_status window_check_time(const struct schema *input, int32_t time_column, struct sabot_error *err);
/* Counts late rows (NULL = 0..n-1), and writes them down where a ledger is kept; those of the first grouping set only.
 * A partial result stands for as many rows as its column 1 says. options NULL: there are neither sets nor partial
 * results. closes_ms: the end of their last window; INT64_MAX = they have no time. progress: of the operator, where a
 * row may be late for its key group only; or NULL. */
sabot_status window_late(const struct op_context *context, const struct window_aggregate_options *options,
                         const struct batch *batch, const int32_t *rows, int32_t n, const char *rule,
                         int64_t closes_ms, int64_t watermark_ms, const struct window_progress *progress,
                         struct sabot_error *err);
/* Start, end or time of the window that ends at window_end, for n rows. */
sabot_status window_property_column(struct memory_pool *pool, const struct slices *slices,
                                    enum window_property property, int64_t window_end, struct type type, int32_t n,
                                    struct column **out, struct sabot_error *err);

#endif
