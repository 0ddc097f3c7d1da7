/* The total order of values: NULL first, false before true, NaN behind every number, strings by bytes. */
#include "arrow/batch.h"

#include <math.h>

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_f64(double a, double b) {
    if (isnan(a) || isnan(b)) { return ORDER(isnan(a) != 0, isnan(b) != 0); }
    return ORDER(a, b);
}

static int compare_lists(const struct column *a, int64_t at_a, const struct column *b, int64_t at_b, struct type type) {
    const int32_t *offsets_a = a->values, *offsets_b = b->values;
    const int32_t size_a = offsets_a[at_a + 1] - offsets_a[at_a];
    const int32_t size_b = offsets_b[at_b + 1] - offsets_b[at_b];
    struct type element = type.fields[0].type;
    if (type.kind == TYPE_MAP) { element = (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = type.fields}; }
    for (int32_t i = 0; i < size_a && i < size_b; i++) {
        const int order =
            column_compare(a->children[0], offsets_a[at_a] + i, b->children[0], offsets_b[at_b] + i, element);
        if (order != 0) { return order; }
    }
    return ORDER(size_a, size_b);
}

int column_compare(const struct column *a, int64_t row_a, const struct column *b, int64_t row_b, struct type type) {
    const bool null_a = column_is_null(a, row_a), null_b = column_is_null(b, row_b);
    if (null_a || null_b) { return ORDER(null_b, null_a); }
    const int64_t at_a = column_at(a, row_a), at_b = column_at(b, row_b);
#define COMPARE(c_type) ORDER(((const c_type *)a->values)[at_a], ((const c_type *)b->values)[at_b])
    switch ((enum phys)a->phys) {
    case PHYS_NULL: return 0;
    case PHYS_BOOL: return COMPARE(uint8_t);
    case PHYS_I8: return COMPARE(int8_t);
    case PHYS_I16: return COMPARE(int16_t);
    case PHYS_I32: return COMPARE(int32_t);
    case PHYS_I64: return COMPARE(int64_t);
    case PHYS_I128: return COMPARE(__int128);
    case PHYS_F32:
        return compare_f64((double)((const float *)a->values)[at_a], (double)((const float *)b->values)[at_b]);
    case PHYS_F64: return compare_f64(((const double *)a->values)[at_a], ((const double *)b->values)[at_b]);
    case PHYS_VIEW:
        return string_view_compare((const struct string_view *)a->values + at_a,
                                   (const struct string_view *)b->values + at_b);
    case PHYS_LIST: return compare_lists(a, at_a, b, at_b, type);
    case PHYS_ROW:
        for (int32_t i = 0; i < type.n_fields; i++) {
            const int order = column_compare(a->children[i], at_a, b->children[i], at_b, type.fields[i].type);
            if (order != 0) { return order; }
        }
        return 0;
    }
#undef COMPARE
    return 0;
}
