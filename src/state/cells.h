/* Values of table columns: equality, bits. What every table in memory needs. */
#ifndef STATE_CELLS_H
#define STATE_CELLS_H

#include <math.h>

#include "arrow/batch.h"

#define STATE_COLUMNS_MAX 64 /* of a table */

static inline bool bit_is_set(const uint64_t *bits, int64_t at) { return bits[at >> 6] >> (at & 63) & 1; }
static inline void bit_set(uint64_t *bits, int64_t at) { bits[at >> 6] |= UINT64_C(1) << (at & 63); }
static inline void bit_clear(uint64_t *bits, int64_t at) { bits[at >> 6] &= ~(UINT64_C(1) << (at & 63)); }
static inline void bit_put(uint64_t *bits, int64_t at, bool set) {
    const uint64_t bit = UINT64_C(1) << (at & 63);
    bits[at >> 6] = set ? bits[at >> 6] | bit : bits[at >> 6] & ~bit;
}
static inline size_t validity_size(int32_t slots) { return ((size_t)slots + 63) / 64 * 8; }

/* Whether two values are the same key: NaN equals NaN, 0.0 equals -0.0. */
static inline bool value_equal(enum phys phys, const void *a, int64_t at_a, const void *b, int64_t at_b) {
    switch (phys) {
    case PHYS_BOOL:
    case PHYS_I8: return ((const uint8_t *)a)[at_a] == ((const uint8_t *)b)[at_b];
    case PHYS_I16: return ((const uint16_t *)a)[at_a] == ((const uint16_t *)b)[at_b];
    case PHYS_I32: return ((const uint32_t *)a)[at_a] == ((const uint32_t *)b)[at_b];
    case PHYS_I64: return ((const uint64_t *)a)[at_a] == ((const uint64_t *)b)[at_b];
    case PHYS_I128: return ((const __int128 *)a)[at_a] == ((const __int128 *)b)[at_b];
    case PHYS_F32: {
        const float x = ((const float *)a)[at_a], y = ((const float *)b)[at_b];
        return x == y || (isnan(x) && isnan(y));
    }
    case PHYS_F64: {
        const double x = ((const double *)a)[at_a], y = ((const double *)b)[at_b];
        return x == y || (isnan(x) && isnan(y));
    }
    case PHYS_VIEW:
        return string_view_equal(&((const struct string_view *)a)[at_a], &((const struct string_view *)b)[at_b]);
    default: return true; /* PHYS_NULL: all alike */
    }
}

#endif
