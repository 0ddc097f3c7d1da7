/* The order of rows, as numbers: the sort keys of a row become up to 128 bits that compare as the row does, so that
 * rows are sorted by radix and merged by two comparisons. Where the keys do not fit (texts, several wide columns) the
 * bits are a prefix, and rows that agree in them are compared value by value. */
#ifndef OPS_SORT_SORT_KEYS_H
#define OPS_SORT_SORT_KEYS_H

#include "ops/specs.h"

struct sort_place {
    uint64_t high, low;
    int32_t row; /* physical */
};

struct sort_order {
    const struct sort_key *keys;
    int32_t n_keys;
    const struct schema *schema; /* of the rows; borrowed */
    int32_t n_bits;              /* of `high` and `low` that are used, from the top */
    bool exact;                  /* rows that agree in them are equal */
};

void sort_order_init(struct sort_order *order, const struct sort_key *keys, int32_t n_keys,
                     const struct schema *schema);
/* The places of rows rows[0..n) of a batch (NULL = 0..n-1). */
void sort_places_fill(const struct sort_order *order, const struct batch *batch, const int32_t *rows, int32_t n,
                      struct sort_place *places);
static inline int sort_place_compare(const struct sort_place *a, const struct sort_place *b) {
    if (a->high != b->high) { return a->high < b->high ? -1 : 1; }
    return a->low < b->low ? -1 : a->low > b->low;
}
/* All keys, value by value. */
int sort_rows_compare(const struct sort_order *order, const struct batch *a, int32_t row_a, const struct batch *b,
                      int32_t row_b);
/* Sorts places of a batch; equal rows stay as they are. `spare` has room for as many. */
void sort_places(const struct sort_order *order, const struct batch *batch, struct sort_place *places,
                 struct sort_place *spare, int32_t n);
/* The same, by the numbers alone. */
void sort_places_radix(struct sort_place *places, struct sort_place *spare, int32_t n, int32_t n_bits);

#endif
