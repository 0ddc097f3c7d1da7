/* Compiled expressions: evaluated per batch, vectorised, with exact NULL semantics.
 *
 * A program is made once per task and used by that task's thread only. Common subexpressions are computed once. */
#ifndef EXPR_PROGRAM_H
#define EXPR_PROGRAM_H

#include "base/env.h"
#include "expr/expr.h"

struct program;

/* What expressions may know of the world they run in. */
struct program_context {
    struct env *env;             /* for CURRENT_TIMESTAMP, RAND, UUID */
    struct memory_pool *pool;
    const char *time_zone;       /* session zone (IANA name) for TIMESTAMP_LTZ; NULL = UTC */
    bool wrap_overflow;          /* integer overflow wraps as in Java; default: an error */
    int64_t watermark_ms;        /* for CURRENT_WATERMARK; INT64_MIN = none; see program_set_watermark */
};

sabot_status program_compile(const struct expr *const *exprs, int32_t n_exprs, const struct program_context *context,
                             struct program **out, struct sabot_error *err);
/* Evaluates at the selected rows. columns[0..n_exprs) are new references with batch->rows physical rows each. A plain
 * column reference costs one reference count. */
sabot_status program_eval(struct program *program, const struct batch *batch, struct column **columns,
                          struct sabot_error *err);
/* For one boolean expression: keeps the rows where it is TRUE. Takes over `batch`; *out may be the same batch, or NULL
 * where no row is left. */
sabot_status program_filter(struct program *program, struct batch *batch, struct batch **out, struct sabot_error *err);
/* The watermark that CURRENT_WATERMARK shows from the next batch on. */
void program_set_watermark(struct program *program, int64_t watermark_ms);
void program_free(struct program *program); /* NULL is allowed */

#endif
