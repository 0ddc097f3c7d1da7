/* Bound expressions: typed trees that the planner builds and rewrites, compiled once into a program (program.h).
 *
 * Trees are immutable and live in an arena (base/arena.h). Every builder checks its arguments, inserts the implicit
 * casts and derives the type by Flink's rules (decimal precision, nullability, string lengths). */
#ifndef EXPR_EXPR_H
#define EXPR_EXPR_H

#include "arrow/batch.h"
#include "base/arena.h"
#include "base/text.h"

struct function;
struct kernel_call;
/* Computes a column; see function.h. */
typedef sabot_status (*function_kernel)(struct kernel_call *call, struct sabot_error *err);

/* Where in the SQL text an expression stands; line 0 = nowhere. */
struct source_span {
    uint32_t line, column, length;
};

enum expr_kind {
    EXPR_COLUMN,  /* input column `index` */
    EXPR_FIELD,   /* field `index` of the ROW in args[0] */
    EXPR_LITERAL, /* a constant (`value` points to the physical value, NULL = SQL NULL) */
    EXPR_CALL,    /* function(args) */
    EXPR_CASE,    /* args: when0, then0, when1, then1, ..., else; only the branch that is taken is evaluated per row */
    EXPR_AND,     /* args; three-valued; later args are evaluated only for rows that earlier ones leave open */
    EXPR_OR,
    EXPR_CAST,    /* args[0] to `type`; try_cast: NULL where it fails */
};

struct expr {
    enum expr_kind kind;
    struct type type;
    struct source_span span;
    int32_t index;
    bool try_cast;
    const void *value;
    const struct function *function;
    function_kernel kernel; /* CALL, CAST */
    uint32_t flags;         /* FUNCTION_... of the call */
    void *bound; /* what the function's bind made (a compiled regular expression, a format), lives in the arena */
    int32_t n_args;
    struct expr **args;
};

/* All builders: the result is in *out, in `arena`; failures are ERR_PLAN with the span's place in the SQL text. */
sabot_status expr_column(struct arena *arena, int32_t index, struct type type, struct source_span span,
                         struct expr **out, struct sabot_error *err);
sabot_status expr_literal(struct arena *arena, struct type type, const void *value, struct source_span span,
                          struct expr **out, struct sabot_error *err); /* copies the value */
sabot_status expr_field(struct arena *arena, struct expr *row, const char *field, struct source_span span,
                        struct expr **out, struct sabot_error *err);
/* By name, case-insensitive; operators are functions too: + - * / % || = <> < <= > >= NOT, IS NULL, LIKE, BETWEEN, IN
 * (list), and AND/OR/CASE/COALESCE/IF/NULLIF (special forms are made where they are). An unknown name gets the nearest
 * ones in the message. */
sabot_status expr_call(struct arena *arena, const char *name, struct expr *const *args, int32_t n_args,
                       struct source_span span, struct expr **out, struct sabot_error *err);
/* The same with a function that is known already: one registered through the C API. */
sabot_status expr_call_function(struct arena *arena, const struct function *function, struct expr *const *args,
                                int32_t n_args, struct source_span span, struct expr **out, struct sabot_error *err);
sabot_status expr_case(struct arena *arena, struct expr *const *args, int32_t n_args, struct source_span span,
                       struct expr **out, struct sabot_error *err);
sabot_status expr_cast(struct arena *arena, struct expr *from, struct type to, bool try_cast, struct source_span span,
                       struct expr **out, struct sabot_error *err);
/* The type that all arguments fit in (CASE, COALESCE, UNION, IN, VALUES), or ERR_PLAN. */
sabot_status type_common(const struct type *types, int32_t n_types, struct type *out, struct sabot_error *err);
bool type_can_cast_implicitly(struct type from, struct type to);

/* Sets err (ERR_PLAN and the like) with the span as its place in the SQL text. */
#define EXPR_FAIL(err, status, span, ...) expr_fail_at(SABOT_FAIL((err), (status), __VA_ARGS__), (err), (span))
sabot_status expr_fail_at(sabot_status status, struct sabot_error *err, struct source_span span);

bool expr_is_constant(const struct expr *expr);      /* no columns, deterministic */
bool expr_is_deterministic(const struct expr *expr); /* no RAND, UUID ... */
bool expr_equal(const struct expr *a, const struct expr *b);
/* Marks used[index] for every input column that is read. */
void expr_columns(const struct expr *expr, bool *used, int32_t n_columns);
/* A copy in which column i is replaced by replacements[i] (NULL entries stay). */
sabot_status expr_substitute(struct arena *arena, const struct expr *expr, struct expr *const *replacements,
                             int32_t n, struct expr **out, struct sabot_error *err);
/* Evaluates constant subtrees once. A constant that fails to evaluate (1/0) is left for run time. */
sabot_status expr_fold(struct arena *arena, struct expr *expr, struct expr **out, struct sabot_error *err);
/* Value of a constant expression: *value is the physical value in the arena, NULL = SQL NULL. */
sabot_status expr_evaluate_constant(struct arena *arena, const struct expr *expr, const void **value,
                                    struct sabot_error *err);
/* SQL-like text for EXPLAIN; columns by their names in `input` (may be NULL: $0). */
void expr_print(const struct expr *expr, const struct schema *input, struct text *target);

#endif
