/* The heaps that string views of one column under construction point into. */
#include "arrow/heaps.h"

#include <stdlib.h>

sabot_status heaps_add(struct heaps *heaps, struct buffer *buffer, struct sabot_error *err) {
    if (heaps->n == heaps->capacity) {
        const int32_t capacity = heaps->capacity ? heaps->capacity * 2 : 4;
        struct buffer **buffers = realloc(heaps->buffers, (size_t)capacity * sizeof *buffers);
        if (!buffers) {
            buffer_unref(buffer);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of string heaps");
        }
        heaps->buffers = buffers;
        heaps->capacity = capacity;
    }
    heaps->buffers[heaps->n++] = buffer;
    return SABOT_OK;
}

sabot_status heaps_reserve(struct heaps *heaps, struct memory_pool *pool, size_t block, size_t size, char **out,
                           struct sabot_error *err) {
    if ((size_t)(heaps->end - heaps->at) < size || !heaps->at) {
        struct buffer *buffer;
        block = block > size ? block : size;
        SABOT_TRY(buffer_new(pool, block, &buffer, err));
        SABOT_TRY(heaps_add(heaps, buffer, err));
        heaps->at = (char *)buffer->data;
        heaps->end = heaps->at + block;
    }
    *out = heaps->at;
    heaps->at += size;
    return SABOT_OK;
}

void heaps_clear(struct heaps *heaps) {
    for (int32_t i = 0; i < heaps->n; i++) { buffer_unref(heaps->buffers[i]); }
    free(heaps->buffers);
    *heaps = (struct heaps){0};
}
