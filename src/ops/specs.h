/* The options of each operator in the physical plan: what the planner fills in and the operator reads. All pointers are
 * borrowed from the plan, which outlives the job. */
#ifndef OPS_SPECS_H
#define OPS_SPECS_H

#include "connect/connector.h"
#include "ops/op.h"
#include "ops/process/process.h"
#include "state/state.h"

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
    struct expr *filter; /* pushed down, over the output columns; applied behind the watermark; or NULL */
    int64_t idle_timeout_ns;             /* 0 = a split without rows holds the watermark for ever */
    int64_t watermark_alignment_ms;      /* 0 = none */
};
/* What an operator with a connector tells it; `malformed` is the operator's to add. */
struct connector_context op_connector_context(const struct op_context *context, const struct connector_table *table);
struct filter_options {
    struct expr *condition;
};
struct project_options {
    struct expr *const *exprs; /* one per output column */
    int32_t n_exprs;
};
/* expand: every row once per grouping set, as `columns` and the set's id (BIGINT) behind them. */
struct expand_options {
    const int32_t *sources; /* per set and column: of the input, -1 = NULL */
    const int64_t *ids;     /* per set */
    int32_t n_columns, n_sets;
};
/* unnest: a row for each element. Output: the passed columns, the elements, then the ordinal (BIGINT, from 1). */
struct unnest_options {
    int32_t column; /* of the input: an ARRAY or MAP; repeats: BIGINT, how often a row comes out */
    const int32_t *passed;
    int32_t n_passed;
    bool repeats;         /* no elements: the row itself */
    bool keeps_empty;     /* LEFT JOIN: a row without elements comes out once, with NULLs */
    bool with_ordinality;
    bool by_fields;       /* elements are ROWs (those of a MAP: key and value): a column per field */
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
enum window_kind {
    WINDOW_TUMBLE, WINDOW_HOP, WINDOW_CUMULATE,
    WINDOW_SESSION /* size_ms is the gap; op_session_aggregate only */
};
struct window_spec {
    enum window_kind kind;
    int64_t size_ms;   /* window length; CUMULATE: the longest */
    int64_t slide_ms;  /* HOP: slide; CUMULATE: step; TUMBLE: == size_ms */
    int64_t offset_ms;
    int32_t time_column;          /* of the input; TIMESTAMP(p) or TIMESTAMP_LTZ(p) */
    bool times_are_ends;          /* it holds ends of windows (exclusive) rather than times within */
};
/* When a window is given out besides at its end (table.exec.emit.*, decision 0023). */
struct window_emit {
    bool updates;        /* op_window_update: results are updated; else nothing of this applies */
    bool before;         /* the consumer needs -U */
    int64_t lateness_ms; /* rows are taken so long behind a window's end */
    int64_t early_ms;    /* before its end: every so often where it has changed; 0: with every batch, -1: not at all */
    int64_t late_ms;     /* behind its end: the same, but never -1 */
};

enum aggregate_kind {
    AGGREGATE_COUNT_STAR, AGGREGATE_COUNT, AGGREGATE_SUM, AGGREGATE_AVG, AGGREGATE_MIN, AGGREGATE_MAX,
    AGGREGATE_FIRST_VALUE, AGGREGATE_LAST_VALUE, /* in the order of arrival; NULLs are passed over */
    AGGREGATE_LISTAGG, /* strings joined in the order of arrival; NULLs are passed over */
    AGGREGATE_ARRAY_AGG /* values in the order of arrival */
};
struct aggregate_call {
    enum aggregate_kind kind;
    bool distinct;
    int32_t argument;    /* input column, -1 for COUNT(*) */
    int32_t filter;      /* BOOLEAN input column, -1 = none */
    struct type type;    /* of the result */
    struct string_view separator; /* LISTAGG */
    bool ignores_nulls;           /* ARRAY_AGG */
};
/* Whether a call depends on the order of its rows: it takes them itself, in one phase. */
static inline bool aggregate_is_ordered(enum aggregate_kind kind) { return kind >= AGGREGATE_FIRST_VALUE; }

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
    struct window_emit emit;
    /* Grouping sets: each row comes once per set. Late ones are counted where this key (of `keys`) holds one of these
     * ids. */
    const struct window_copies {
        int32_t key;
        const int64_t *ids;
        int32_t n_ids;
    } *copies; /* NULL: rows come once */
};
/* window_local: same options; emits partials: [slice_end BIGINT ms, rows BIGINT, keys..., accumulators...] whose schema
 * is made by window_partial_schema(); the global phase takes them. */
sabot_status window_partial_schema(const struct window_aggregate_options *options, const struct schema *input,
                                   struct schema **out, struct sabot_error *err);

/* group_aggregate: GROUP BY without a window over bounded input; emits once, at the end. n_keys may be 0 (one row,
 * also for empty input). Two-phase is left to the hash exchange. DISTINCT rows: no calls. */
struct group_aggregate_options {
    const int32_t *keys;
    int32_t n_keys;
    const struct aggregate_call *calls;
    int32_t n_calls;
    bool settles; /* COUNT(*) by all columns of a changelog: groups that are left at its end */
};
/* window_assign: a window TVF without aggregation above it: every row once per window, with window_start, window_end
 * and window_time appended. */
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

/* --- updating operators (docs/decisions/0009): input and output batches may carry row kinds */
/* group_update: GROUP BY without a window over unbounded (or retracting) input. Output: keys, aggregates. */
struct group_update_options {
    const int32_t *keys;
    int32_t n_keys; /* 0: one global row */
    const struct aggregate_call *calls;
    int32_t n_calls;
    bool input_retracts;     /* -U, -D may come in */
    bool emit_update_before; /* the consumer needs -U (retract mode); else upsert: +I, +U, -D */
    int64_t ttl_ms;          /* 0 = for ever */
};

enum join_kind { JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL, JOIN_SEMI, JOIN_ANTI };
/* join: input 0 is the left side, 1 the right one. Output: left columns, right columns (SEMI, ANTI: left only). Both
 * inputs come by hash of their keys (or gathered where n_keys is 0). NULL keys match nothing. */
struct join_options {
    enum join_kind kind;
    const int32_t *left_keys, *right_keys;
    int32_t n_keys;
    struct expr *condition; /* what remains of ON, over left columns then right columns; NULL = none */
    struct schema *left, *right;
    bool left_retracts, right_retracts;
    /* INTERVAL: left[left_time] BETWEEN right[right_time] + lower_ms AND right[right_time] + upper_ms, both rowtimes;
     * state leaves with the watermark; insert-only in and out, outer rows are emitted when they can't match any more.
     */
    bool interval;
    int32_t left_time, right_time;
    int64_t lower_ms, upper_ms;
    /* WINDOW: the keys hold window_start and window_end; columns of window_end; the window is joined when the watermark
     * passes its end. -1 = no window join. */
    int32_t left_window_end, right_window_end;
    int64_t ttl_ms; /* regular joins: 0 = for ever */
    bool batch;     /* both inputs end, and nobody waits for rows before: the smaller one goes first */
};

/* rank: ROW_NUMBER() OVER (PARTITION BY keys ORDER BY ...) <= limit, and deduplication (limit 1). Output: input
 * columns, then the rank as BIGINT where output_rank. */
struct rank_options {
    const int32_t *keys;
    int32_t n_keys;
    const struct sort_key *order;
    int32_t n_order;
    int64_t first, limit; /* ranks first..limit, 1-based */
    bool output_rank;
    bool input_retracts, emit_update_before;
    bool keep_last; /* limit 1, ORDER BY time DESC: among equal times the last arrival wins (Flink's deduplication) */
    bool upserts;   /* limit 1, keep_last, no order: a row replaces that of its keys, a deletion has only the keys */
    int64_t ttl_ms;
};

/* over: aggregates of the rows of a partition up to each row, by event time. Output: input columns, then one per
 * call. */
enum over_frame {
    OVER_UNBOUNDED,      /* RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW: peers of the row too */
    OVER_UNBOUNDED_ROWS, /* ROWS .. */
    OVER_RANGE,          /* RANGE BETWEEN preceding (units of the time column) PRECEDING AND CURRENT ROW */
    OVER_ROWS            /* ROWS BETWEEN preceding PRECEDING AND CURRENT ROW */
};
enum over_function { OVER_AGGREGATE, OVER_ROW_NUMBER, OVER_RANK, OVER_DENSE_RANK, OVER_LAG };
#define OVER_COLUMNS_MAX 256
struct over_call {
    enum over_function function;
    struct aggregate_call aggregate; /* OVER_LAG: only the argument and the type */
    int64_t offset;                  /* OVER_LAG: so many rows back */
};
struct over_options {
    const int32_t *keys;
    int32_t n_keys;
    int32_t time_column;
    enum over_frame frame; /* of the aggregates; the others look at the whole partition */
    int64_t preceding;
    const struct over_call *calls;
    int32_t n_calls;
};

/* lookup: rows of the input joined with a bounded table that every subtask reads whole before the first row, and again
 * when it is older than reload_ns. Output: input columns, then those of `right`. No state: it can be read again. */
struct lookup_options {
    const struct source_options *table; /* how it is read; computed columns and filter are applied, watermarks not */
    struct schema *scanned;             /* the columns that come of it */
    struct expr *const *project;        /* over scanned, one per column of right; NULL = scanned is right */
    struct schema *right;
    const int32_t *left_keys, *right_keys; /* NULL keys match nothing */
    int32_t n_keys;
    bool keeps_left;        /* LEFT JOIN: rows without a match come out with NULLs */
    struct expr *condition; /* over input columns, then those of right; NULL = none */
    int64_t reload_ns;      /* 0 = it is read once */
};

/* arrival: puts the wall clock into a column, and makes the clock the watermark of what follows; never runs backwards,
 * also across a restore. */
struct arrival_options {
    int32_t column; /* TIMESTAMP_LTZ */
};

#define X(symbol) extern const struct op_type symbol;
#include "ops/ops.def"
#undef X

#endif
