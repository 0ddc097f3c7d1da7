/* What the actions of grammar.y call to make the tree. Private to the parser.
 *
 * A failure (a limit, a word that is none of those allowed) leaves by longjmp to parse.c, so that no action needs to
 * check; all memory is the arena's. */
#ifndef SQL_BUILD_H
#define SQL_BUILD_H

#include <setjmp.h>

#include "sql/ast.h"
#include "sql/lexer.h"

struct sql_build {
    struct arena *arena;
    struct sabot_error *err;
    struct sql_statements statements; /* the result */
    struct sql_token previous;        /* the token shifted last: the end of what is being reduced */
    struct sql_token current;         /* the token that the grammar looks at */
    bool syntax_error;                /* the grammar has no use for `current` */
    sabot_status status;
    jmp_buf failed;
};

_Noreturn void build_fail(struct sql_build *b, sabot_status status, struct sql_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* From a first place to the token shifted last. */
struct sql_span build_span(const struct sql_build *b, struct sql_span first);
void *build_alloc(struct sql_build *b, size_t size);
struct sql_expr *build_expr(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first);
/* Fails where `height` is past SQL_DEPTH_MAX. */
uint16_t build_height(struct sql_build *b, struct sql_span span, unsigned height);

/* ---- words and literals ---- */
struct sql_name build_name(struct sql_build *b, struct sql_token token);
const char *build_string(struct sql_build *b, struct sql_token token);
uint32_t build_uint(struct sql_build *b, struct sql_token token);
struct sql_expr *build_literal(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first,
                               struct sql_token token);
enum sql_unit build_unit(struct sql_build *b, struct sql_token token);
bool build_word_is(const struct sql_token *token, const char *word);

struct build_qualifier {
    enum sql_unit from, to;
    bool has_precision, has_scale;
    uint32_t precision, scale;
};
struct sql_expr *build_interval(struct sql_build *b, struct sql_token start, bool negative, struct sql_token text,
                                struct build_qualifier qualifier);

/* ---- lists: each appends and gives the list back ---- */
struct sql_exprs build_exprs(struct sql_build *b, struct sql_exprs list, struct sql_expr *item);
struct sql_path build_path(struct sql_build *b, struct sql_path list, struct sql_token name);
struct sql_orders build_orders(struct sql_build *b, struct sql_orders list, struct sql_order item);
struct sql_items build_items(struct sql_build *b, struct sql_items list, struct sql_item item);
struct sql_whens build_whens(struct sql_build *b, struct sql_whens list, struct sql_when item);
struct sql_options build_options(struct sql_build *b, struct sql_options list, struct sql_option item);
struct sql_hints build_hints(struct sql_build *b, struct sql_hints list, struct sql_hint item);
struct sql_groups build_groups(struct sql_build *b, struct sql_groups list, struct sql_group item);
struct sql_fields build_fields(struct sql_build *b, struct sql_fields list, struct sql_field item);
struct sql_ctes build_ctes(struct sql_build *b, struct sql_ctes list, struct sql_cte item);
struct sql_named_windows build_windows(struct sql_build *b, struct sql_named_windows list,
                                       struct sql_named_window item);
struct sql_patterns build_patterns(struct sql_build *b, struct sql_patterns list, struct sql_pattern *item);
struct sql_statements build_statements(struct sql_build *b, struct sql_statements list, struct sql_statement *item);
struct sql_resources build_resources(struct sql_build *b, struct sql_resources list, struct sql_resource item);
struct sql_like_options build_like_options(struct sql_build *b, struct sql_like_options list,
                                           struct sql_like_option item);
void build_column(struct sql_build *b, struct sql_table_elements *elements, struct sql_column column);
void build_constraint(struct sql_build *b, struct sql_table_elements *elements, struct sql_constraint item);
void build_watermark(struct sql_build *b, struct sql_table_elements *elements, struct sql_watermark item);

/* ---- expressions ---- */
struct sql_span build_path_span(const struct sql_path *path);
struct sql_expr *build_column_ref(struct sql_build *b, struct sql_path path);
struct sql_expr *build_unary(struct sql_build *b, enum sql_op op, struct sql_token start, struct sql_expr *operand);
struct sql_expr *build_binary(struct sql_build *b, enum sql_op op, struct sql_expr *left, struct sql_expr *right);
struct sql_expr *build_logic(struct sql_build *b, enum sql_op op, struct sql_expr *left, struct sql_expr *right);
struct sql_expr *build_is(struct sql_build *b, struct sql_expr *operand, enum sql_is what, bool negated);
struct sql_expr *build_is_json(struct sql_build *b, struct sql_expr *operand, struct sql_token words);
struct sql_expr *build_like(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                            struct sql_expr *pattern, struct sql_expr *escape);
struct sql_expr *build_between(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                               struct sql_expr *low, struct sql_expr *high);
struct sql_expr *build_in_list(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                               struct sql_exprs list);
struct sql_expr *build_in_query(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                                struct sql_query *query);
struct sql_expr *build_quantified(struct sql_build *b, struct sql_expr *operand, enum sql_op op,
                                  struct sql_token quantifier, struct sql_query *query);
struct sql_expr *build_query_expr(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first,
                                  struct sql_query *query);
struct sql_expr *build_list_expr(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first,
                                 struct sql_exprs list);
struct sql_expr *build_case(struct sql_build *b, struct sql_token start, struct sql_expr *operand,
                            struct sql_whens whens, struct sql_expr *otherwise);
struct sql_expr *build_cast(struct sql_build *b, struct sql_token start, struct sql_expr *operand,
                            struct sql_type *type, bool try_cast);
struct sql_expr *build_symbol(struct sql_build *b, struct sql_token word, enum sql_unit unit);
struct sql_expr *build_call(struct sql_build *b, struct sql_path name, struct sql_exprs args);
/* A call by its name alone, for the special syntaxes: f(a FROM b FOR c). */
struct sql_expr *build_from_call(struct sql_build *b, struct sql_path name, struct sql_expr *where,
                                 struct sql_expr *first, struct sql_expr *second, struct sql_expr *third);
struct sql_expr *build_named_call(struct sql_build *b, const char *name, struct sql_span first, struct sql_expr *one,
                                  struct sql_expr *two);
struct sql_expr *build_named_arg(struct sql_build *b, struct sql_token name, struct sql_expr *value);
struct sql_expr *build_field_of(struct sql_build *b, struct sql_expr *operand, struct sql_token name);
struct sql_expr *build_table_arg(struct sql_build *b, struct sql_token start, struct sql_table *table,
                                 struct sql_expr *partition_by, struct sql_orders order_by);
struct sql_window *build_window(struct sql_build *b, struct sql_span first);
struct sql_json *build_json_merge(struct sql_build *b, struct sql_json *json, struct sql_json clause);
void build_call_height(struct sql_build *b, struct sql_expr *call);
/* VALUES 1, (2): every row becomes a ROW. */
struct sql_exprs build_rows(struct sql_build *b, struct sql_exprs exprs);

/* ---- types ---- */
struct sql_type *build_type(struct sql_build *b, enum sql_type_kind kind, struct sql_span first);
struct sql_type *build_named_type(struct sql_build *b, struct sql_path name);
void build_type_args(struct sql_build *b, struct sql_type *type, struct sql_token precision,
                     const struct sql_token *scale);
struct sql_type *build_zone_type(struct sql_build *b, struct sql_type *type, enum sql_type_kind zone);
struct sql_type *build_collection(struct sql_build *b, enum sql_type_kind kind, struct sql_span first,
                                  struct sql_type *key, struct sql_type *element);
struct sql_type *build_row_type(struct sql_build *b, struct sql_span first, struct sql_fields fields);

/* ---- tables and queries ---- */
struct sql_table *build_table(struct sql_build *b, enum sql_table_kind kind, struct sql_span first);
struct sql_table *build_join(struct sql_build *b, enum sql_join_kind kind, struct sql_table *left,
                             struct sql_table *right);
void build_table_height(struct sql_build *b, struct sql_table *table, unsigned child);
struct sql_query *build_query(struct sql_build *b, enum sql_query_kind kind, struct sql_span first);
struct sql_query *build_set_query(struct sql_build *b, enum sql_set_op op, bool all, struct sql_query *left,
                                  struct sql_query *right);
/* A query with clauses around it; wraps where it has such clauses of its own. */
struct sql_query *build_query_clauses(struct sql_build *b, struct sql_query *body, struct sql_orders order_by,
                                      struct sql_expr *limit, struct sql_expr *offset);
void build_select_height(struct sql_build *b, struct sql_query *query);
struct sql_pattern *build_pattern(struct sql_build *b, enum sql_pattern_kind kind, struct sql_span first,
                                  struct sql_patterns children);
struct sql_pattern *build_repeat(struct sql_build *b, struct sql_pattern *child, uint32_t min, uint32_t max);

/* ---- statements ---- */
struct sql_statement *build_statement(struct sql_build *b, enum sql_statement_kind kind, struct sql_span first);
struct sql_statement *build_show(struct sql_build *b, struct sql_token start, struct sql_token first,
                                 const struct sql_token *second, struct sql_path name);
struct sql_statement *build_describe(struct sql_build *b, struct sql_token start, const struct sql_token *word,
                                     struct sql_path name);
void build_explain_detail(struct sql_build *b, unsigned *details, struct sql_token word);
/* INTO <number> BUCKETS. */
uint32_t build_buckets(struct sql_build *b, struct sql_token number, struct sql_token word);
struct sql_like_option build_like_option(struct sql_build *b, struct sql_token mode, struct sql_token what);
enum sql_language build_language(struct sql_build *b, struct sql_token word);

#endif
