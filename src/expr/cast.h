/* Casts between types: what a cast of one type to another is computed by. */
#ifndef EXPR_CAST_H
#define EXPR_CAST_H

#include "expr/function.h"

/* The kernel of a cast; false where Flink has no such cast. expr->try_cast makes it give NULL instead of failing. */
bool cast_find(struct arena *arena, struct type from, struct type to, function_kernel *kernel, uint32_t *flags,
               void **bound);

#endif
