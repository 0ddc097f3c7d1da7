/* Changelogs: see changes.h. */
#include "ops/aggregate/changes.h"

/* Arrays by their elements. */
static bool values_differ(const struct column *a, int64_t i, const struct column *b, int64_t j) {
    const bool null_a = column_is_null(a, i), null_b = column_is_null(b, j);
    if (null_a || null_b) { return null_a != null_b; }
    if (a->phys == PHYS_VIEW) {
        return !string_view_equal((const struct string_view *)a->values + i, (const struct string_view *)b->values + j);
    }
    if (a->phys != PHYS_LIST) {
        const size_t size = phys_size((enum phys)a->phys);
        const char *x = (const char *)a->values + (size_t)i * size, *y = (const char *)b->values + (size_t)j * size;
        return memcmp(x, y, size) != 0;
    }
    const int32_t *x = (const int32_t *)a->values + i, *y = (const int32_t *)b->values + j;
    bool differ = x[1] - x[0] != y[1] - y[0];
    for (int32_t k = 0; k < x[1] - x[0] && !differ; k++) {
        differ = values_differ(a->children[0], x[0] + k, b->children[0], y[0] + k);
    }
    return differ;
}

#define DIFFER(type_)                                                                                                  \
    do {                                                                                                               \
        const type_ *x = a->values, *y = b->values;                                                                    \
        for (int32_t i = 0; i < n; i++) { changed[i] |= x[i] != y[i]; }                                                \
    } while (0)
void changes_mark(const struct column *a, const struct column *b, int32_t *changed, int32_t n) {
    if (a->validity || b->validity || a->phys == PHYS_VIEW || a->phys == PHYS_LIST) {
        for (int32_t i = 0; i < n; i++) { changed[i] |= values_differ(a, i, b, i); }
        return;
    }
    switch (phys_size((enum phys)a->phys)) {
    case 1: DIFFER(uint8_t); break;
    case 2: DIFFER(uint16_t); break;
    case 4: DIFFER(uint32_t); break;
    case 8: DIFFER(uint64_t); break;
    case 16: DIFFER(unsigned __int128); break;
    default: break;
    }
}

sabot_status changes_set_kinds(struct memory_pool *pool, struct batch *batch, const int32_t *kinds, int32_t n,
                              struct sabot_error *err) {
    int32_t any = 0;
    for (int32_t i = 0; i < n; i++) { any |= kinds[i]; }
    if (!any) { return SABOT_OK; }
    SABOT_TRY(buffer_new(pool, (size_t)n, &batch->row_kinds_buffer, err));
    for (int32_t i = 0; i < n; i++) { batch->row_kinds_buffer->data[i] = (uint8_t)kinds[i]; }
    batch->row_kinds = batch->row_kinds_buffer->data;
    return SABOT_OK;
}
