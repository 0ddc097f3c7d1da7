/* Changelogs: see changes.h. */
#include "ops/aggregate/changes.h"

#define DIFFER(type_)                                                                                                  \
    do {                                                                                                               \
        const type_ *x = a->values, *y = b->values;                                                                    \
        for (int32_t i = 0; i < n; i++) { changed[i] |= x[i] != y[i]; }                                                \
    } while (0)
void changes_mark(const struct column *a, const struct column *b, int32_t *changed, int32_t n) {
    if (a->validity || b->validity || a->phys == PHYS_VIEW) {
        const size_t size = phys_size((enum phys)a->phys);
        for (int32_t i = 0; i < n; i++) {
            const bool null_a = column_is_null(a, i), null_b = column_is_null(b, i);
            if (null_a || null_b) {
                changed[i] |= null_a != null_b;
            } else if (a->phys == PHYS_VIEW) {
                changed[i] |= !string_view_equal((const struct string_view *)a->values + i,
                                                 (const struct string_view *)b->values + i);
            } else {
                changed[i] |= memcmp((const char *)a->values + (size_t)i * size,
                                     (const char *)b->values + (size_t)i * size, size) != 0;
            }
        }
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
