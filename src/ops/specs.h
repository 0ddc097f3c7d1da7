/* The options of each operator in the physical plan: what the planner fills in and the operator reads. All pointers are
 * borrowed from the plan, which outlives the job. */
#ifndef OPS_SPECS_H
#define OPS_SPECS_H

#include "connect/connector.h"
#include "ops/op.h"

/* --- time */
enum watermark_kind {
    WATERMARK_KIND_NONE,
    WATERMARK_KIND_EXPRESSION /* watermark = max over rows of `watermark` (TIMESTAMP or TIMESTAMP_LTZ column), NULLs
                                 skipped; `ts - INTERVAL` patterns are bounded out-of-orderness and run on columns */
};

/* source: connector -> rows of `output`. Computes computed columns and per-split watermarks. */
struct source_options {
    const struct connector *connector;
    const struct connector_table *table; /* what the connector produces */
    struct expr *const *columns;         /* one per output column, over table->schema; NULL = the same columns */
    enum watermark_kind watermark_kind;
    struct expr *watermark;              /* over the output columns */
    struct expr *filter;                 /* pushed down, over the output columns; applied behind the watermark; or NULL */
    int64_t idle_timeout_ns;             /* 0 = a split without rows holds the watermark for ever */
    int64_t watermark_alignment_ms;      /* 0 = none */
};
struct filter_options {
    struct expr *condition;
};
struct project_options {
    struct expr *const *exprs; /* one per output column */
    int32_t n_exprs;
};
struct sink_options {
    const struct connector *connector;
    const struct connector_table *table;
    bool not_null_enforced; /* NULL in a NOT NULL column is an error ('fail') */
};
struct values_options { /* a source of literal rows */
    struct expr *const *cells; /* row by row, constants */
    int32_t n_rows, n_columns;
};

/* --- windows */
enum window_kind { WINDOW_TUMBLE, WINDOW_HOP, WINDOW_CUMULATE };
struct window_spec {
    enum window_kind kind;
    int64_t size_ms;   /* window length; CUMULATE: the longest */
    int64_t slide_ms;  /* HOP: slide; CUMULATE: step; TUMBLE: == size_ms */
    int64_t offset_ms;
    int32_t time_column;          /* of the input; TIMESTAMP(p) or TIMESTAMP_LTZ(p) */
    int64_t allowed_lateness_ms;  /* 0 in SQL */
};

enum aggregate_kind {
    AGGREGATE_COUNT_STAR, AGGREGATE_COUNT, AGGREGATE_SUM, AGGREGATE_AVG, AGGREGATE_MIN, AGGREGATE_MAX
};
struct aggregate_call {
    enum aggregate_kind kind;
    bool distinct;
    int32_t argument;    /* input column, -1 for COUNT(*) */
    int32_t filter;      /* BOOLEAN input column, -1 = none */
    struct type type;    /* of the result */
};
/* window_aggregate (one-phase, or the global phase behind window_local) over keys and a window.
 * Output columns: keys, aggregates in order, then for each entry of `properties` a window property. */
enum window_property { WINDOW_START, WINDOW_END, WINDOW_TIME /* end - 1 ms, the rowtime */ };
struct window_aggregate_options {
    struct window_spec window;
    const int32_t *keys; /* input columns */
    int32_t n_keys;
    const struct aggregate_call *calls;
    int32_t n_calls;
    const enum window_property *properties;
    int32_t n_properties;
    bool merges_partials; /* input comes from window_local */
    const struct schema *raw_input; /* merges_partials: the input schema of window_local */
    const struct window_aggregate_options *local; /* merges_partials: the options of window_local, NULL else */
};
/* window_local: same options; emits partials: [slice_end BIGINT ms, rows BIGINT, keys..., accumulators...] whose schema is
 * made by window_partial_schema(); the global phase takes them. */
sabot_status window_partial_schema(const struct window_aggregate_options *options, const struct schema *input,
                                   struct schema **out, struct sabot_error *err);

/* group_aggregate: GROUP BY without a window over bounded input; emits once, at the end. n_keys may be 0 (one row,
 * also for empty input). Two-phase is left to the hash exchange. DISTINCT rows: no calls. */
struct group_aggregate_options {
    const int32_t *keys;
    int32_t n_keys;
    const struct aggregate_call *calls;
    int32_t n_calls;
};
/* window_assign: a window TVF without aggregation above it: every row once per window, with window_start, window_end and
 * window_time appended. */
struct window_assign_options {
    struct window_spec window;
};
/* sort: bounded input only (ORDER BY at the end of input), limit >= 0 keeps the first offset + limit rows. */
struct sort_key {
    int32_t column;
    bool descending, nulls_first;
};
struct sort_options {
    const struct sort_key *keys;
    int32_t n_keys;
    int64_t limit; /* -1 = all */
    int64_t offset;
};
struct limit_options { /* without order: the first rows that come; parallelism 1 */
    int64_t limit, offset;
};

#define X(symbol) extern const struct op_type symbol;
#include "ops/ops.def"
#undef X

#endif
