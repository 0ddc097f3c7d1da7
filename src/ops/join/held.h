/* Rows of a join that wait until there are many: state that is on disk is then walked through in the order of its
 * index, once for all of them, instead of a page fault per row here and there. */
#ifndef OPS_JOIN_HELD_H
#define OPS_JOIN_HELD_H

#include "arrow/batch.h"

struct held {
    struct memory_pool *pool;
    struct batch **batches;
    int32_t n, capacity;
    int64_t rows, bytes; /* bytes: without those of strings */
    /* on their way out */
    struct batch *sorted;
    struct buffer *order_buffer;
    const int32_t *order; /* rows of `sorted` */
    int32_t at;
};
sabot_status held_add(struct held *held, struct batch *batch /* taken over */, struct sabot_error *err);
/* All rows that wait are on their way out from now on, in multimap_order() of their keys, those of one key as they
 * came. */
sabot_status held_begin(struct held *held, const int32_t *keys, int32_t n_keys, struct sabot_error *err);
/* The next up to n of them, with the hashes of the keys; *out is NULL behind the last. */
sabot_status held_next(struct held *held, int32_t n, struct batch **out, struct sabot_error *err);
bool held_is_going(const struct held *held); /* behind held_begin, and held_next has not given NULL yet */
void held_clear(struct held *held);

#endif
