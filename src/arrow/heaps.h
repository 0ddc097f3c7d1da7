/* The heaps that string views of one column under construction point into. */
#ifndef ARROW_HEAPS_H
#define ARROW_HEAPS_H

#include "base/memory.h"

struct heaps {
    struct buffer **buffers; /* owned references: blocks of our own, and those of others whose views were copied */
    int32_t n, capacity;
    char *at, *end; /* free space in the newest block of our own */
};

/* Space for `size` bytes; a new block, when one is needed, has at least `block` bytes. */
sabot_status heaps_reserve(struct heaps *heaps, struct memory_pool *pool, size_t block, size_t size, char **out,
                           struct sabot_error *err);
/* Keeps one more buffer alive; our own newest block goes on being filled. Takes over the reference on every path. */
sabot_status heaps_add(struct heaps *heaps, struct buffer *buffer, struct sabot_error *err);
void heaps_clear(struct heaps *heaps); /* safe on zeroes */

#endif
