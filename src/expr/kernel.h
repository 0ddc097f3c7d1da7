/* Loops over the rows of a call, for kernels that are FUNCTION_DENSE. */
#ifndef EXPR_KERNEL_H
#define EXPR_KERNEL_H

#include "expr/function.h"

/* A kernel that tolerates garbage computes all physical rows when at least a quarter is asked for: a loop without a row
 * list is vectorised. */
static inline const int32_t *kernel_rows_dense(const struct kernel_call *call, int32_t *n) {
    if (!call->rows || call->n_rows >= call->physical_rows / 4) {
        *n = call->physical_rows;
        return NULL;
    }
    *n = call->n_rows;
    return call->rows;
}

/* Runs `statement` for each row, in a loop of its own with and without a row list. */
#define KERNEL_FOR(rows, n, row, ...)                                                                                  \
    do {                                                                                                               \
        if (!(rows)) {                                                                                                 \
            for (int32_t row = 0; row < (n); row++) { __VA_ARGS__; }                                                   \
        } else {                                                                                                       \
            for (int32_t row##_i = 0; row##_i < (n); row##_i++) {                                                      \
                const int32_t row = (rows)[row##_i];                                                                   \
                __VA_ARGS__;                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* Rows that really count: asked for and not NULL in the result. For the second look after a failure. */
static inline bool kernel_row_counts(const struct kernel_call *call, int32_t row) {
    const uint64_t *bits = call->result->validity;
    return !bits || (bits[row >> 6] >> (row & 63) & 1);
}

#endif
