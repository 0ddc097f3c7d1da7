/* The string heap of the tables in memory. */
#include "state/string_heap.h"

#include <stdlib.h>

#define RELAX_SIZE ((uint32_t)16 * 1024)
#define HEAP_BLOCK_MIN ((size_t)16 * 1024)
#define HEAP_BLOCK_MAX ((size_t)16 * 1024 * 1024)

void string_heap_clear(struct string_heap *heap) {
    for (int32_t i = 0; i < heap->n_blocks; i++) { buffer_unref(heap->blocks[i]); }
    free(heap->blocks);
    *heap = (struct string_heap){0};
}

sabot_status string_heap_grow(struct memory_pool *pool, struct string_heap *heap, size_t size,
                              struct sabot_error *err) {
    if (heap->n_blocks == heap->blocks_capacity) {
        const int32_t capacity = heap->blocks_capacity ? heap->blocks_capacity * 2 : 4;
        struct buffer **blocks = realloc(heap->blocks, (size_t)capacity * sizeof(struct buffer *));
        if (!blocks) {
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of string heaps");
        }
        heap->blocks = blocks;
        heap->blocks_capacity = capacity;
    }
    const size_t least = heap->block_min ? heap->block_min : HEAP_BLOCK_MIN;
    size_t block = heap->n_blocks ? heap->blocks[heap->n_blocks - 1]->size * 2 : least;
    block = block > HEAP_BLOCK_MAX ? HEAP_BLOCK_MAX : block;
    block = block < size ? size : block;
    struct buffer *buffer;
    SABOT_TRY(buffer_new_state(pool, block, &buffer, err));
    heap->blocks[heap->n_blocks++] = buffer;
    heap->at = (char *)buffer->data;
    heap->end = heap->at + block;
    return SABOT_OK;
}

sabot_status string_heap_keep(struct memory_pool *pool, struct string_heap *heap, const struct string_view *view,
                              struct string_view *out, struct sabot_error *err) {
    const struct string_view kept = *view;
    *out = kept;
    if (kept.size <= STRING_VIEW_INLINE) { return SABOT_OK; }
    if (!heap->at || (size_t)(heap->end - heap->at) < kept.size) {
        const sabot_status status = string_heap_grow(pool, heap, kept.size, err);
        if (status != SABOT_OK) {
            memset(out, 0, sizeof *out);
            return status;
        }
    }
    memcpy(heap->at, kept.data, kept.size);
    out->data = heap->at;
    if (kept.size >= RELAX_SIZE) { memory_relax(pool); } /* many of them are MiBs of a walk */
    heap->at += kept.size;
    heap->size += kept.size;
    return SABOT_OK;
}

sabot_status string_heap_column(const struct string_heap *heap, enum phys phys, int32_t rows, struct buffer *values,
                                struct buffer *validity, struct column **out, struct sabot_error *err) {
    const int32_t n_blocks = phys == PHYS_VIEW ? heap->n_blocks : 0;
    struct buffer **owners = malloc((size_t)(n_blocks + 2) * sizeof *owners);
    if (!owners) {
        buffer_unref(values);
        buffer_unref(validity);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    }
    int32_t n_owners = 0;
    owners[n_owners++] = values;
    if (validity) { owners[n_owners++] = validity; }
    for (int32_t b = 0; b < n_blocks; b++) { owners[n_owners++] = buffer_ref(heap->blocks[b]); }
    const sabot_status status =
        column_new(phys, rows, validity ? (const uint64_t *)(const void *)validity->data : NULL, values->data, owners,
                   n_owners, NULL, 0, out, err);
    free(owners);
    return status;
}
