/* Rows of a sort as a log keeps them (state/state.h), which has a few dozen flat columns: others (ARRAY, MAP, ROW, and
 * flat ones that are too many) are put together as bytes in one more column. Behind them stands when a row came. */
#ifndef OPS_SORT_SORT_STORE_H
#define OPS_SORT_SORT_STORE_H

#include "arrow/batch.h"

struct sort_store {
    struct memory_pool *pool;
    struct schema *loaded; /* the input's columns, and the arrival */
    struct schema *stored;
    int32_t arrival;       /* column of `loaded` */
    int32_t *flat, *packed; /* columns of `loaded`, the arrival among neither */
    int32_t n_flat, n_packed;
    int64_t row_bytes;     /* without the bytes of texts */
};

/* Safe to clear where this fails. */
sabot_status sort_store_init(struct sort_store *store, struct memory_pool *pool, const struct schema *input,
                             struct sabot_error *err);
void sort_store_clear(struct sort_store *store);
/* A batch of `stored` from one of `loaded`; of packed columns only rows[0..n) are in it. */
sabot_status sort_store_put(const struct sort_store *store, struct batch *loaded, const int32_t *rows, int32_t n,
                            struct batch **out, struct sabot_error *err);
/* The other way round, of a flat batch that is taken over. */
sabot_status sort_store_get(const struct sort_store *store, struct batch *stored, struct batch **out,
                            struct sabot_error *err);

#endif
