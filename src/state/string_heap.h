/* Bytes of long strings: blocks that are only appended to, so that batches read from a table may share them. */
#ifndef STATE_STRING_HEAP_H
#define STATE_STRING_HEAP_H

#include "arrow/batch.h"

struct string_heap {
    struct buffer **blocks;
    int32_t n_blocks, blocks_capacity;
    char *at, *end; /* free space in the newest block */
    size_t size;    /* bytes handed out */
    size_t garbage; /* of them: of values that were replaced or removed */
    size_t block_min; /* of the first block; 0: a small one */
};

void string_heap_clear(struct string_heap *heap);
/* A new block of at least `size` bytes. */
sabot_status string_heap_grow(struct memory_pool *pool, struct string_heap *heap, size_t size,
                              struct sabot_error *err);
/* *out: a view of the same bytes in the heap; zero bytes after a failure. May be `view` itself. */
sabot_status string_heap_keep(struct memory_pool *pool, struct string_heap *heap, const struct string_view *view,
                              struct string_view *out, struct sabot_error *err);
static inline void string_heap_discard(struct string_heap *heap, const struct string_view *view) {
    heap->garbage += view->size > STRING_VIEW_INLINE ? view->size : 0;
}
/* Whether copying what is still in use into a new heap is worth it. */
static inline bool string_heap_is_wasteful(const struct string_heap *heap) {
    return heap->garbage > (size_t)256 * 1024 && heap->garbage > heap->size / 2;
}
/* A column over `values` and `validity` (taken over; validity may be NULL) whose views point into the heap. */
sabot_status string_heap_column(const struct string_heap *heap, enum phys phys, int32_t rows, struct buffer *values,
                                struct buffer *validity, struct column **out, struct sabot_error *err);

#endif
