/* Scalar functions: one table (functions.def) for the binder, the kernels, the reference page and the tests.
 *
 * functions.def: X(NAME, min_args, max_args (-1 = any), bind, flags, category, signature, summary, example, result)
 * `bind` looks at the argument types (and literal values), asks for casts, sets the result type and the kernel.
 * To add one: its bind and kernel in functions_<category>.c, one line in functions.def, a case in tests/sql. */
#ifndef EXPR_FUNCTION_H
#define EXPR_FUNCTION_H

#include "expr/program.h"

#define FUNCTION_NOT_DETERMINISTIC 1u /* RAND, UUID: never folded, each mention is a value of its own */
#define FUNCTION_TEMPORAL 2u          /* CURRENT_TIMESTAMP: constant within a batch, never folded at plan time */
#define FUNCTION_NULL_AWARE 4u        /* the kernel sees NULL arguments; without it NULL in gives NULL out */
#define FUNCTION_DENSE 8u             /* the kernel tolerates garbage in the values under a NULL and outside the rows
                                         (numbers, never strings): it is not narrowed to non-NULL rows, and may compute
                                         physical rows that nobody asked for */

#define FUNCTION_INTERNAL 16u         /* for the binder only: not in function_at, without an example */

/* One call for one batch. Arguments may be constant columns (column->constant: read them at 0).
 *
 * Without FUNCTION_NULL_AWARE the result's validity is already the AND of the arguments', and unless FUNCTION_DENSE is
 * set the rows are narrowed to those where no argument is NULL; so a kernel need not look at NULLs. It may make more
 * rows NULL: column_builder_add_validity(call->result), then column_builder_set_null. With FUNCTION_NULL_AWARE validity
 * is present and all ones. Where all arguments are constant, n_rows is 1, rows is NULL and the result is made constant
 * by the caller. */
struct kernel_call {
    const struct program_context *context;
    const struct expr *expr; /* types, bound data, span */
    struct column *const *args;
    int32_t n_args;
    const int32_t *rows;           /* physical rows to compute, ascending, or NULL = 0..n_rows-1 */
    int32_t n_rows;                /* how many of them */
    struct column_builder *result; /* sized for all physical rows. Not for ARRAY, MAP, ROW results: there it is NULL */
    struct column *column;         /* instead of filling `result` a kernel may set this to a ready column of as many
                                      physical rows (args[0]->length, or 1 in the constant case); nested results must.
                                      Without FUNCTION_NULL_AWARE the NULLs of the arguments must be NULL in it */
    int32_t physical_rows;         /* of the result */
    void *scratch;                 /* per program and call: what the kernel keeps between batches, NULL at first */
    void (*scratch_free)(void *scratch); /* set together with scratch */
};
static inline int32_t kernel_row(const struct kernel_call *call, int32_t i) { return call->rows ? call->rows[i] : i; }
/* The string at a row of an argument. */
static inline const struct string_view *kernel_string(const struct kernel_call *call, int32_t arg, int32_t row) {
    const struct column *column = call->args[arg];
    return (const struct string_view *)column->values + (column->constant ? 0 : row);
}
/* The physical value of a literal argument at bind time; false where it is no literal. *value NULL = SQL NULL. */
static inline bool expr_literal_value(const struct expr *expr, const void **value) {
    *value = expr->value;
    return expr->kind == EXPR_LITERAL;
}

/* What bind fills in: the result type, and a kernel or a replacement. `result` is preset to not NULL where every
 * argument is not NULL, and nullable otherwise, after bind too unless the function is FUNCTION_NULL_AWARE or bind makes
 * it nullable. */
struct function_binding {
    struct arena *arena;
    struct expr **args; /* bind may replace an argument by a cast of it (binding_cast) */
    int32_t n_args;
    struct source_span span;
    struct type result;
    function_kernel kernel;
    void *bound;
    uint32_t flags;           /* preset to the function's; bind may add some */
    struct expr *replacement; /* the call means this expression: BETWEEN, COALESCE, IF */
};
typedef sabot_status (*function_bind)(const struct function *function, struct function_binding *binding,
                                      struct sabot_error *err);

struct function {
    const char *name;
    int32_t min_args, max_args;
    function_bind bind;
    uint32_t flags;
    const char *category, *signature, *summary, *example, *result;
    void *user_data; /* of functions registered through the C API */
};

/* Casts argument `arg` to a type (nullability is kept), where it is not of it already. */
sabot_status binding_cast(struct function_binding *binding, int32_t arg, struct type to, struct sabot_error *err);
/* Casts it where that can be done implicitly: INT to BIGINT, DATE to TIMESTAMP, NULL to anything; else ERR_PLAN that
 * names the function, the argument and both types. */
sabot_status binding_expect(const struct function *function, struct function_binding *binding, int32_t arg,
                            struct type to, struct sabot_error *err);
/* ERR_PLAN: the function can't take these arguments; lists their types and the signature. */
sabot_status binding_refuse(const struct function *function, const struct function_binding *binding,
                            struct sabot_error *err);
/* The built-in function or NULL; names are case-insensitive. */
const struct function *function_find(const char *name);
/* NULL behind the last that is not internal: for SHOW FUNCTIONS and the reference page. */
const struct function *function_at(size_t i);

/* The binds of functions.def. */
#define X(name, min_args, max_args, bind, flags, category, signature, summary, example, result)                        \
    sabot_status bind(const struct function *function, struct function_binding *binding, struct sabot_error *err);
#include "expr/functions.def"
#undef X

#endif
