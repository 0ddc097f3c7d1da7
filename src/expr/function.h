/* Scalar functions: one table (functions.def) for the binder, the kernels, the reference page and the tests.
 *
 * functions.def: X(NAME, min_args, max_args (-1 = any), bind, flags, category, signature, summary, example, result)
 * `bind` looks at the argument types (and literal values), asks for casts, sets the result type and the kernel.
 * To add one: its bind and kernel in functions_<category>.c, one line in functions.def, a case in tests/sql. */
#ifndef EXPR_FUNCTION_H
#define EXPR_FUNCTION_H

#include "expr/program.h"

#define FUNCTION_NOT_DETERMINISTIC 1u /* RAND, UUID: never folded */
#define FUNCTION_TEMPORAL 2u          /* CURRENT_TIMESTAMP: constant within a batch, never folded at plan time */
#define FUNCTION_NULL_AWARE 4u        /* the kernel sees NULL arguments; without it NULL in gives NULL out */

struct kernel_call;

/* Computes a column at the rows of `call`. Arguments may be constant columns. Without FUNCTION_NULL_AWARE the caller has
 * set the result's validity to the AND of the arguments' and narrowed the rows to those; the kernel may clear more. */
typedef sabot_status (*function_kernel)(struct kernel_call *call, struct sabot_error *err);

struct kernel_call {
    const struct program_context *context;
    const struct expr *expr;            /* types, bound data, span */
    struct column *const *args;
    int32_t n_args;
    const int32_t *rows;                /* physical rows to compute, or NULL = 0..n_rows-1 */
    int32_t n_rows;                     /* how many of them */
    struct column_builder *result;      /* sized for all physical rows; validity present where it may be NULL */
    void *scratch;                      /* per program and call: whatever the kernel keeps between batches (freed by
                                           function->scratch_free) */
};
static inline int32_t kernel_row(const struct kernel_call *call, int32_t i) { return call->rows ? call->rows[i] : i; }

/* What bind fills in. */
struct function_binding {
    struct arena *arena;
    struct expr **args; /* bind may replace an argument by a cast of it (binding_cast) */
    int32_t n_args;
    struct source_span span;
    struct type result;
    function_kernel kernel;
    void *bound;
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

sabot_status binding_cast(struct function_binding *binding, int32_t arg, struct type to, struct sabot_error *err);
/* The built-in function or NULL; names are case-insensitive. */
const struct function *function_find(const char *name);
const struct function *function_at(size_t i); /* NULL behind the last: for SHOW FUNCTIONS and the reference page */

#endif
