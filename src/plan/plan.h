/* Logical plans: what the binder makes of a query, what rules.h rewrites and physical.h turns into a job graph.
 *
 * Nodes live in the arena of one `struct plan_arena` and are immutable once they are handed out; rules make new ones.
 * The schema of a node is in its arena too (never ref'd): copy it with schema_new where it must live longer.
 * Every column knows whether it is a time attribute and whether it is the start, end or time of a window: that is what
 * makes GROUP BY window_start, window_end a windowed aggregate, through any number of views and subqueries. */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "connect/connector.h"
#include "expr/expr.h"
#include "ops/specs.h"

struct plan;

/* ---- tables ------------------------------------------------------------------------------------------------------ */

enum table_column_kind { TABLE_COLUMN_PHYSICAL, TABLE_COLUMN_COMPUTED, TABLE_COLUMN_METADATA };

enum time_attribute { TIME_NONE, TIME_ROWTIME, TIME_PROCTIME };

struct table_column {
    const char *name;
    struct type type;
    enum table_column_kind kind;
    const char *metadata_key; /* METADATA */
    bool is_virtual;          /* METADATA VIRTUAL: not written */
    struct expr *computed;    /* COMPUTED: over the table's columns, of which it reads no computed one */
    const char *text;         /* COMPUTED: as written */
    const char *comment;      /* NULL: none */
    bool is_proctime;         /* COMPUTED as PROCTIME() */
};

/* A table that a connector reads or writes. Immutable; owner: the catalogue (or an engine's registered stream). */
struct plan_table {
    const char *name;      /* for messages and labels: "bid" */
    const char *full_name; /* "default_catalog.default_database.bid" */
    const struct connector *connector;
    const struct table_option *options;
    int32_t n_options;
    const struct table_column *columns;
    int32_t n_columns;
    int32_t rowtime; /* column of the watermark, -1: none */
    struct expr *watermark; /* over the table's columns, of which it may read computed ones */
    const char *watermark_text;
    const int32_t *primary_key;
    int32_t n_primary_key;
    const char *comment;       /* NULL: none */
    const void *memory;        /* what the engine's own connectors find behind connector_table (connect/memory) */
};

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

enum plan_kind {
    PLAN_SCAN,
    PLAN_VALUES,
    PLAN_FILTER,
    PLAN_PROJECT,
    PLAN_WINDOW,           /* window TVF: every row once per window */
    PLAN_AGGREGATE,        /* GROUP BY without a window, DISTINCT */
    PLAN_WINDOW_AGGREGATE, /* made by the rules from AGGREGATE over WINDOW */
    PLAN_UNION,            /* UNION ALL */
    PLAN_SORT,             /* ORDER BY [LIMIT] */
    PLAN_LIMIT,
    PLAN_SINK,
    PLAN_JOIN,
    PLAN_RANK,             /* ROW_NUMBER() OVER (..): its columns, then the number */
    PLAN_OVER,             /* OVER aggregates by time: its columns, then one per call */
    PLAN_ARRIVAL,          /* the clock as a time attribute: what a processing-time window stands on */
    PLAN_PROCESS,          /* a process function */
    PLAN_EXPAND,           /* every row once per grouping set */
    PLAN_UNNEST,           /* every row once per element of an array */
};

/* What a window has to do with a column: set from PLAN_WINDOW or a windowed aggregate upwards through plain columns. */
struct plan_column {
    enum time_attribute time;
    enum { COLUMN_OF_NO_WINDOW, COLUMN_WINDOW_START, COLUMN_WINDOW_END, COLUMN_WINDOW_TIME } window_role;
    int32_t window_id; /* which window; 0 = none */
};

/* How rows leave the state of a join; filled in by rule_joins. */
enum plan_join_time {
    PLAN_JOIN_REGULAR, PLAN_JOIN_INTERVAL, PLAN_JOIN_WINDOW,
    PLAN_JOIN_LOOKUP /* FOR SYSTEM_TIME AS OF processing time, set by the binder: the right side is read whole */
};

/* What comes out of a node over time; filled in by rule_changes. */
struct plan_changes {
    bool updating; /* rows may be updated or deleted later */
    bool deletes;  /* -D may come */
    bool before;   /* -U is given out, because something above needs it */
    const struct plan *cause; /* updating: the lowest node that makes it so */
    const int32_t *key;       /* upsert key: there is one row at most for its values at any time */
    int32_t n_key;            /* -1: none */
};

enum plan_join_kind {
    PLAN_JOIN_INNER, PLAN_JOIN_LEFT, PLAN_JOIN_RIGHT, PLAN_JOIN_FULL, PLAN_JOIN_CROSS,
    PLAN_JOIN_SEMI, PLAN_JOIN_ANTI /* EXISTS, NOT EXISTS, IN, NOT IN: the left columns only */
};

/* SESSION: whose rows make sessions together. */
struct plan_partition {
    const int32_t *columns;
    int32_t n; /* -1: the keys of the GROUP BY above, whatever they are */
};

struct plan {
    enum plan_kind kind;
    struct source_span span;
    const struct schema *schema; /* in the arena */
    const struct plan_column *columns; /* schema->n_fields of them */
    struct plan *const *inputs;
    int32_t n_inputs;
    bool bounded; /* all its sources end */
    struct plan_changes changes;
    union {
        struct {
            const struct plan_table *table;
            const int32_t *picked;     /* per output column: column of the table */
            struct expr *filter;       /* pushed down, over the output; NULL: none */
            bool needs_watermark;      /* set by the rules: something above is driven by event time */
            /* Set by pruning: what the connector reads, and the output computed from it. */
            const int32_t *reads;      /* columns of the table */
            const struct type *read_types; /* rows of fewer fields where the connector can leave some out */
            int32_t n_reads;
            struct expr *const *exprs; /* per output column, over the reads */
            struct expr *watermark;    /* over the output; NULL where it is not needed */
        } scan;
        struct {
            struct expr *const *cells; /* row by row */
            int32_t n_rows;
        } values;
        struct {
            struct expr *condition;
        } filter;
        struct {
            struct expr *const *exprs; /* one per output column */
        } project;
        struct {
            struct window_spec spec; /* output: input columns, window_start, window_end, window_time */
            struct plan_partition partition;
            int32_t window_id;
        } window;
        struct {
            const int32_t *keys;
            int32_t n_keys;
            const struct aggregate_call *calls;
            int32_t n_calls;
            bool is_distinct; /* made from SELECT DISTINCT */
            bool settles;     /* made by rule_changes: what is left of a changelog at its end */
        } aggregate;          /* output: keys, calls */
        struct {
            struct window_spec spec;
            const int32_t *keys;
            int32_t n_keys;
            const struct aggregate_call *calls;
            int32_t n_calls;
            const enum window_property *properties;
            int32_t n_properties;
            int32_t window_id;
            struct window_emit emit; /* `before` is filled in by the physical plan */
            bool attached; /* its input rows carry their window already; spec is a tumbling window over window_time */
        } window_aggregate;      /* output: keys, calls, properties */
        struct {
            const struct sort_key *keys;
            int32_t n_keys;
            int64_t limit, offset; /* SORT: limit -1 = all */
        } sort;                    /* LIMIT too */
        struct {
            const struct plan_table *table;
            const int32_t *picked; /* per input column: column of the table */
            bool not_null_enforced;
        } sink;
        struct {
            enum plan_join_kind kind;
            struct expr *condition; /* NULL: none; over left columns, then right ones */
            struct source_span on;
            /* Set by rule_joins, which leaves the rest in condition. */
            bool is_keyed;
            const int32_t *left_keys, *right_keys; /* columns of the inputs */
            int32_t n_keys;
            enum plan_join_time time;
            int32_t left_time, right_time; /* INTERVAL: rowtimes; left BETWEEN right + lower AND right + upper */
            int64_t lower_ms, upper_ms;
            int32_t left_window_end, right_window_end; /* WINDOW */
        } join;
        struct {
            const int32_t *keys;
            int32_t n_keys;
            const struct sort_key *order;
            int32_t n_order;
            int64_t first, limit; /* ranks that are wanted, from 1; limit -1: no end is known */
            bool output_rank;     /* the number is the last column */
            bool of_sort;         /* made from ORDER BY .. LIMIT by rule_changes */
        } rank;
        struct over_options over;
        struct expand_options expand; /* output: n_columns, then the set's id */
        struct unnest_options unnest; /* output: the passed columns, the elements, the ordinal */
        struct {
            int32_t column; /* gets the time of arrival and is the rowtime of what follows */
        } arrival;
        struct {
            const struct process_function *function;
            const char *uid;       /* NULL: its name */
            int32_t n_rows;        /* the first columns of the input are what the function reads */
            const int32_t *passed; /* columns of the input that the output begins with; then come the function's, and */
            int32_t n_passed;      /* the rowtime where there is one */
            const int32_t *keys;
            int32_t n_keys;
            int32_t time_column;   /* of the input; -1: none */
            struct expr *const *arguments;
        } process;
    };
};

/* ---- building ---------------------------------------------------------------------------------------------------- */

#define PLAN_ARENA_BYTES_MAX ((size_t)256 << 20)
#define PLAN_COLUMNS_MAX 4096

/* Everything of one statement. */
struct plan_arena {
    struct arena arena;
    int32_t next_window_id;
    struct window_emit emit; /* of the statement's windows */
};
void plan_arena_init(struct plan_arena *plans);
void plan_arena_clear(struct plan_arena *plans);

/* Every maker returns ERR_MEMORY when the arena is exhausted; arrays are borrowed from the same arena. */
sabot_status plan_scan(struct plan_arena *plans, const struct plan_table *table, const int32_t *picked,
                       int32_t n_picked, struct source_span span, struct plan **out, struct sabot_error *err);
/* names: one per column; the types are the common ones of the rows (the cells are cast already). */
sabot_status plan_values(struct plan_arena *plans, struct expr *const *cells, int32_t n_rows, const char *const *names,
                         int32_t n_columns, struct source_span span, struct plan **out, struct sabot_error *err);
sabot_status plan_filter(struct plan_arena *plans, struct plan *input, struct expr *condition, struct plan **out,
                         struct sabot_error *err);
sabot_status plan_project(struct plan_arena *plans, struct plan *input, struct expr *const *exprs,
                          const char *const *names, int32_t n_exprs, struct plan **out, struct sabot_error *err);
sabot_status plan_window(struct plan_arena *plans, struct plan *input, struct window_spec spec, int32_t window_id,
                         struct plan_partition partition, struct source_span span, struct plan **out,
                         struct sabot_error *err);
sabot_status plan_aggregate(struct plan_arena *plans, struct plan *input, const int32_t *keys, int32_t n_keys,
                            const struct aggregate_call *calls, const char *const *call_names, int32_t n_calls,
                            bool is_distinct, struct source_span span, struct plan **out, struct sabot_error *err);
sabot_status plan_window_aggregate(struct plan_arena *plans, struct plan *input, const struct plan *model,
                                   const char *const *names, struct plan **out, struct sabot_error *err);
sabot_status plan_union(struct plan_arena *plans, struct plan *const *inputs, int32_t n_inputs, struct plan **out,
                        struct sabot_error *err);
sabot_status plan_sort(struct plan_arena *plans, struct plan *input, const struct sort_key *keys, int32_t n_keys,
                       int64_t limit, int64_t offset, struct source_span span, struct plan **out,
                       struct sabot_error *err);
sabot_status plan_limit(struct plan_arena *plans, struct plan *input, int64_t limit, int64_t offset,
                        struct source_span span, struct plan **out, struct sabot_error *err);
sabot_status plan_sink(struct plan_arena *plans, struct plan *input, const struct plan_table *table,
                       const int32_t *picked, bool not_null_enforced, struct plan **out, struct sabot_error *err);
sabot_status plan_join(struct plan_arena *plans, struct plan *left, struct plan *right, enum plan_join_kind kind,
                       struct expr *condition, struct source_span on, struct plan **out, struct sabot_error *err);
/* A join whose keys are known: kind, condition and the rest from model->join. */
sabot_status plan_join_keyed(struct plan_arena *plans, struct plan *left, struct plan *right, const struct plan *model,
                             struct plan **out, struct sabot_error *err);
/* Columns of both sides, which the condition is over (SEMI and ANTI give the left ones only). */
int32_t plan_join_width(const struct plan *join);
sabot_status plan_arrival(struct plan_arena *plans, struct plan *input, int32_t column, struct source_span span,
                          struct plan **out, struct sabot_error *err);
/* The input has exactly the columns that model->process speaks of. */
sabot_status plan_process(struct plan_arena *plans, struct plan *input, const struct plan *model, struct plan **out,
                          struct sabot_error *err);
/* name: of the number's column, which is there where model->rank.output_rank. */
sabot_status plan_rank(struct plan_arena *plans, struct plan *input, const struct plan *model, const char *name,
                       struct plan **out, struct sabot_error *err);

/* names: one per call of model->over. */
sabot_status plan_over(struct plan_arena *plans, struct plan *input, const struct plan *model,
                       const char *const *names, struct plan **out, struct sabot_error *err);

/* The input's column that a column stands for where it is not NULL; *same: in every set. */
int32_t expand_source(const struct expand_options *options, int32_t column, bool *same);
/* names: of the columns and the id; the options are borrowed. */
sabot_status plan_expand(struct plan_arena *plans, struct plan *input, const struct expand_options *options,
                         const char *const *names, struct source_span span, struct plan **out,
                         struct sabot_error *err);
/* names: of the elements and the ordinal, as many as there are. */
sabot_status plan_unnest(struct plan_arena *plans, struct plan *input, const struct unnest_options *options,
                         const char *const *names, struct source_span span, struct plan **out,
                         struct sabot_error *err);
/* How many columns the elements have: of a ROW one per field. */
int32_t plan_unnest_width(const struct plan *input, const struct unnest_options *options);

/* A reference to column i of a node. */
sabot_status plan_column_ref(struct plan_arena *plans, const struct plan *input, int32_t i, struct source_span span,
                             struct expr **out, struct sabot_error *err);
/* References to the first n columns of a node and their names, with room for `more` behind them. */
struct plan_items {
    struct expr **exprs;
    const char **names;
    int32_t n;
};
sabot_status plan_first_items(struct plan_arena *plans, const struct plan *input, int32_t n, int32_t more,
                              struct plan_items *out, struct sabot_error *err);
/* 0, 1, .. n - 1. */
sabot_status plan_first_columns(struct plan_arena *plans, int32_t n, const int32_t **out, struct sabot_error *err);
/* The rows without their last column, each as often as it says. */
sabot_status plan_repeat_rows(struct plan_arena *plans, struct plan *input, struct plan **out,
                              struct sabot_error *err);
/* The same node over other inputs of the same columns (a rule has rewritten them). */
sabot_status plan_with_inputs(struct plan_arena *plans, const struct plan *node, struct plan *const *inputs,
                              struct plan **out, struct sabot_error *err);
bool plan_table_is_bounded(const struct plan_table *table);
/* "TUMBLE(size 10 s)" for labels and EXPLAIN. */
void window_print(const struct window_spec *spec, struct text *target);
/* Milliseconds as people write them: "10 s", "1 min", "250 ms". */
void duration_print(int64_t ms, struct text *target);

/* Places in messages: an error with the span's line and column; see SABOT_FAIL. */
sabot_status plan_error_set(struct sabot_error *err, sabot_status status, struct source_span span, const char *file,
                            int line, const char *format, ...) __attribute__((format(printf, 6, 7)));
#define PLAN_FAIL(err, status, span, ...) plan_error_set((err), (status), (span), __FILE__, __LINE__, __VA_ARGS__)
#define PLAN_NO_MEMORY(err) SABOT_FAIL((err), SABOT_ERR_MEMORY, "the statement's plan needs more than %zu MiB", \
                                       PLAN_ARENA_BYTES_MAX >> 20)

/* ---- expressions over plan columns (exprs.c) --------------------------------------------------------------------- */

static inline bool expr_is_column(const struct expr *expr) { return expr->kind == EXPR_COLUMN; }
/* Columns, fields of columns and literals: free to compute again. */
bool expr_is_cheap(const struct expr *expr);
/* Number of nodes, counted up to `limit`. */
int32_t expr_size(const struct expr *expr, int32_t limit);
/* A copy in which column i is replacements[i] (NULL stays). Fields of rows are found again by name, so that a
 * replacement may be a row of fewer fields. */
sabot_status expr_rewrite(struct plan_arena *plans, const struct expr *expr, struct expr *const *replacements,
                          int32_t n, struct expr **out, struct sabot_error *err);
/* A copy in which column i becomes column map[i]; map[i] < 0 is a defect. */
sabot_status expr_remap(struct plan_arena *plans, const struct expr *expr, const int32_t *map, struct expr **out,
                        struct sabot_error *err);
/* The operands of an AND (flattened), or the expression alone. */
sabot_status expr_conjuncts(struct plan_arena *plans, struct expr *condition, struct expr ***out, int32_t *n,
                            struct sabot_error *err);
bool expr_is_call_of(const struct expr *expr, const char *name, int32_t n_args);
/* Which sides of a join's columns [0, n_left) [n_left, n) an expression reads. */
struct expr_sides {
    bool left, right;
};
sabot_status expr_sides_of(struct plan_arena *plans, const struct expr *expr, int32_t n_left, int32_t n,
                           struct expr_sides *out, struct sabot_error *err);
/* An expression that reads the right side only, over that side's own columns. */
sabot_status expr_for_right(struct plan_arena *plans, const struct expr *expr, int32_t n_left, int32_t n,
                            struct expr **out, struct sabot_error *err);
/* AND of n >= 1 conditions. */
sabot_status expr_conjunction(struct plan_arena *plans, struct expr *const *conditions, int32_t n, struct expr **out,
                              struct sabot_error *err);

#endif
