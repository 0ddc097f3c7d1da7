/* What the files of the binder share: scopes and the binding of expressions. */
#ifndef SQL_BIND_INTERNAL_H
#define SQL_BIND_INTERNAL_H

#include "sql/bind.h"

#define VIEW_DEPTH_MAX 32 /* views over views; also ends a view that was replaced by one over itself */

/* A run of columns of a plan that a name in FROM stands for. */
struct scope_table {
    const char *name; /* NULL: none */
    int32_t first, count;
    const bool *merged; /* per column: it goes by the column of USING unless the table is named; NULL: none */
};

/* A call with OVER (..), and the column that holds its value. */
struct scope_over {
    const struct sql_expr *call;
    int32_t column;
};

struct scope {
    struct plan *plan;
    struct scope_table *tables;
    int32_t n_tables;
    int32_t n_inner; /* the first tables, whose names hide those of the others (the query around); 0: all are equal */
    const struct scope_over *overs; /* calls with OVER (..) of the select list and QUALIFY, bound already */
    int32_t n_overs;
    const struct scope_over *scalars; /* subqueries that are values: the same */
    int32_t n_scalars;
};

struct cte_frame {
    const struct sql_cte *cte;
    struct plan *plan;
    const struct cte_frame *outer;
};

/* An aggregate call that was met while an expression was bound; it stands as column n_input + i in the expression until
 * the aggregation is built. */
struct pending_call {
    enum aggregate_kind kind;
    bool distinct;
    struct expr *argument; /* NULL: COUNT(*) */
    struct expr *filter;   /* NULL: none */
    struct type type;
    struct string_view separator; /* LISTAGG */
    bool ignores_nulls;           /* ARRAY_AGG */
};

/* TUMBLE(ts, size) in GROUP BY. */
struct group_window {
    bool is_set;
    const struct sql_expr *call;
    struct window_spec spec;
    const struct plan *over;  /* what it is a window over */
    int32_t start, end, time; /* columns of the input */
};

/* Keys of GROUP BY, as expressions over the input. */
struct keys {
    struct expr **exprs;
    int32_t n;
};

/* GROUPING SETS, ROLLUP, CUBE: the keys as they are written, and what stands for them in rows that are expanded. */
struct grouping_sets {
    struct keys written;
    struct expr **keys;
    const uint64_t *sets; /* bit i: the set has key i */
    const int64_t *ids;   /* per set: what the rows of the set carry */
    int32_t n_sets;
    struct expr *id;      /* NULL: there is one set, of all keys */
};

#define GROUPED_VALUE (INT32_C(1) << 24)

/* A subquery as a value above an aggregation. */
struct grouped_value {
    const struct sql_expr *expr;
    struct plan *plan; /* its one row; NULL: EXISTS */
    struct type type;
};

struct grouping {
    struct grouping_sets sets;
    int32_t n_input;
    struct pending_call *calls;
    int32_t n_calls;
    unsigned calls_capacity;
    struct group_window window;
    /* Subqueries as values above the aggregation: value i stands as column GROUPED_VALUE + i until it is joined. */
    const struct grouped_value *values;
    int32_t n_values;
    bool may_be_absent; /* a row without a group sees its calls as of no rows: NULL, or 0 for COUNT */
};

struct expr_scope {
    struct binder *binder;
    const struct scope *scope;  /* NULL: constants only */
    struct grouping *grouping;  /* NULL: no aggregates here */
    bool in_aggregate;          /* inside of an aggregate's argument */
    const char *clause;         /* "WHERE", for messages */
};

/* The scope of an aggregate's argument and filter. */
static inline struct expr_scope argument_scope(const struct expr_scope *in) {
    struct expr_scope inner = *in;
    inner.in_aggregate = true;
    inner.clause = "an aggregate";
    return inner;
}

static inline struct source_span span_of(struct sql_span span) {
    return (struct source_span){.line = span.line, .column = span.column, .length = span.length};
}

sabot_status bind_expr(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                       struct sabot_error *err);
/* As above; the value must be BOOLEAN. */
sabot_status bind_condition(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                            struct sabot_error *err);
/* Whether the name is in a list that ends in NULL; case does not matter. */
bool is_any_of(const char *name, const char *const *names);
/* Whether an aggregate call (not OVER) stands in the expression, outside of subqueries. */
bool has_aggregate(const struct sql_expr *expr);
/* A constant of type INTERVAL DAY..SECOND, in milliseconds. */
sabot_status bind_interval_ms(struct binder *binder, const struct sql_expr *expr, const char *what, int64_t *out,
                              struct sabot_error *err);
/* A whole number >= 0 as in LIMIT. */
sabot_status bind_count(struct binder *binder, const struct sql_expr *expr, const char *what, int64_t *out,
                        struct sabot_error *err);
/* The column that a path names in a scope and how many parts of the path it took; ERR_PLAN with the nearest name. */
sabot_status scope_find(const struct scope *scope, const struct sql_path *path, const char *clause, int32_t *column,
                        unsigned *used, struct sabot_error *err);
/* Whether the first part of the path is a column; no message. */
bool scope_has(const struct scope *scope, const char *name);

/* IN or EXISTS as a condition. */
struct subquery {
    const struct sql_expr *operand; /* of IN; NULL: EXISTS */
    const struct sql_query *query;
    bool negated;
    struct sql_span span;
};
bool subquery_of(const struct sql_expr *expr, struct subquery *out);
/* SELECT .. FROM .. WHERE and nothing else: its rows are those of FROM, so that its WHERE may move into the join. */
bool subquery_is_plain(const struct sql_query *query, const struct sql_expr *operand);
/* The conjuncts of a condition, flattened, behind list[0..*n). */
sabot_status bind_conjuncts(struct binder *binder, const struct sql_expr *where, const struct sql_expr ***list,
                            int32_t *n, unsigned *capacity, struct sabot_error *err);
/* The columns of the query around, then those of the subquery, whose names are looked for first. */
sabot_status bind_both_scopes(struct binder *binder, const struct scope *outer, const struct scope *inner,
                              struct sql_span span, struct scope *out, struct sabot_error *err);
sabot_status bind_true(struct binder *binder, struct source_span span, struct expr **out, struct sabot_error *err);
sabot_status bind_conjoin(struct binder *binder, struct expr **all, struct expr *more, struct sabot_error *err);
/* The aggregation of keys and pending calls, and an expression over its input as one over `given`, whose columns from
 * first_column on are those of the aggregation: keys, calls, values (bind_query.c). */
sabot_status bind_aggregation(struct binder *binder, struct plan *input, const struct keys *keys,
                              const struct grouping *grouping, struct source_span span, struct plan **out,
                              struct sabot_error *err);
sabot_status bind_regroup(struct binder *binder, const struct plan *input, const struct plan *given,
                          int32_t first_column, const struct keys *keys, const struct grouping *grouping,
                          const struct expr *expr, struct expr **out, struct sabot_error *err);
sabot_status bind_distinct_rows(struct binder *binder, struct plan *input, struct source_span span, struct plan **out,
                           struct sabot_error *err);

/* WHERE over the scope's plan, with IN (SELECT ..) and EXISTS (bind_subquery.c). */
sabot_status bind_where(struct binder *binder, const struct sql_expr *where, struct scope *scope,
                        struct sabot_error *err);
/* The same columns; a name that stands there already gets a number behind it: x, x0 (bind_from.c). */
sabot_status bind_unique_names(struct binder *binder, struct plan *plan, struct plan **out, struct sabot_error *err);

struct sort_key sort_key_of(const struct sql_order *order, int32_t column);
/* The kind of an aggregate function; false: it is none. Its result type in Flink. */
bool aggregate_kind_of(const char *name, enum aggregate_kind *kind);
sabot_status aggregate_type(enum aggregate_kind kind, const struct sql_expr *expr, const struct expr *argument,
                            bool may_be_empty, struct type *out, struct sabot_error *err);
/* What of an expression is bound before it: calls with OVER (..), and subqueries that are values. */
#define OVERS_MAX 64
struct found {
    const struct sql_expr *calls[OVERS_MAX];
    int32_t n;
    bool too_many_calls, too_many_scalars;
    const struct sql_expr *scalars[OVERS_MAX];
    int32_t n_scalars;
};
void bind_find(const struct sql_expr *expr, struct found *found);
/* All calls with OVER (..) of a select list and QUALIFY become columns behind those of the scope, which keep their
 * places (bind_over.c). */
sabot_status bind_overs(struct binder *binder, const struct sql_select *select, struct scope *scope,
                       struct sabot_error *err);

/* The keys of GROUP BY, over scope->plan, which gets what they need below: a window, the rows of grouping sets
 * (bind_group.c). */
sabot_status bind_group_keys(struct binder *binder, const struct sql_select *select, struct scope *scope,
                       struct grouping *grouping, struct keys *keys, struct sabot_error *err);
/* GROUPING(a, ..), GROUPING_ID(a, ..), GROUP_ID(). */
sabot_status bind_grouping_function(const struct expr_scope *in, const struct sql_expr *call, struct expr **out,
                                    struct sabot_error *err);
/* A name for an expression's column, by which state is found again. */
const char *bind_column_name(struct binder *binder, const struct plan *input, const struct expr *expr,
                             const char *fallback, int32_t i);

/* Subqueries that stand as values in a select list (not of a grouped SELECT), WHERE and QUALIFY, IN and EXISTS among
 * them: each is joined, as a column behind those of the scope (bind_subquery_value.c). */
sabot_status bind_scalar_subqueries(struct binder *binder, const struct sql_select *select, bool grouped,
                                    struct scope *scope, struct sabot_error *err);

/* No FROM: one row (bind_query.c). */
sabot_status bind_one_row(struct binder *binder, struct sql_span span, struct plan **out, struct sabot_error *err);
/* UNNEST (array) over the rows of `left` (NULL: of its own), which keep their columns; keeps_empty: LEFT JOIN
 * (bind_unnest.c). */
sabot_status bind_unnest(struct binder *binder, const struct scope *left, const struct sql_table *table,
                         bool keeps_empty, struct scope *out, struct sabot_error *err);
sabot_status bind_unnest_join(struct binder *binder, const struct sql_table *join, const struct scope *left,
                              struct scope *out, struct sabot_error *err);

/* JSON functions (bind_json.c): JSON_VALUE, JSON_QUERY, JSON_EXISTS with clauses; JSON_OBJECT, JSON_ARRAY;
 * JSON_OBJECTAGG, JSON_ARRAYAGG where an aggregate may stand. */
sabot_status bind_json_path_call(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                 struct sabot_error *err);
sabot_status bind_json_entries_call(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                    struct sabot_error *err);
sabot_status bind_json_aggregate(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                 struct sabot_error *err);
/* The column that stands for an aggregate call until the aggregation is built. */
sabot_status bind_pending(const struct expr_scope *in, struct pending_call pending, struct sql_span span,
                          struct expr **out, struct sabot_error *err);

/* Subqueries as values beside GROUP BY go into grouping; later they are joined to the aggregation. */
sabot_status bind_grouped_values(struct binder *binder, const struct sql_query *query, struct grouping *grouping,
                                 struct sabot_error *err);
sabot_status bind_join_grouped_values(struct binder *binder, const struct grouping *grouping, struct plan **plan,
                                      struct sabot_error *err);

/* FROM (bind_from.c). */
sabot_status bind_table(struct binder *binder, const struct sql_table *table, struct scope *out,
                        struct sabot_error *err);
sabot_status bind_window_call(struct binder *binder, const struct plan *input, const struct sql_expr *call,
                              const struct sql_name *column, const struct sql_expr *const *intervals,
                              int32_t n_intervals, struct window_spec *out, struct sabot_error *err);
/* The time attribute that a call names. */
sabot_status bind_time_column(struct binder *binder, const struct plan *input, const struct sql_expr *call,
                              const struct sql_name *name, int32_t *out, struct sabot_error *err);
/* A call of a process function (bind_process.c). */
sabot_status bind_process(struct binder *binder, const struct process_function *function, const struct sql_expr *call,
                          struct plan **out, struct sabot_error *err);
/* Where the column is a processing-time attribute: its input with the time of arrival in it. */
sabot_status bind_arrival(struct binder *binder, int32_t time_column, struct source_span span, struct plan **input,
                          struct sabot_error *err);
/* TUMBLE, HOP, CUMULATE, SESSION; false: another name. */
bool window_kind_of(const char *name, enum window_kind *kind);
const char *path_text(struct arena *arena, const struct sql_path *path);

#endif
