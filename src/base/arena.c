/* A bump arena. Chunks double up to 256 KiB, so that a small script costs one or two malloc calls. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CHUNK_MIN ((size_t)4096)
#define ARENA_CHUNK_MAX ((size_t)256 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of `bytes` */
    size_t used;
    _Alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *arena, size_t limit) { *arena = (struct arena){.limit = limit}; }

void arena_clear(struct arena *arena) {
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    arena_init(arena, arena->limit);
}

static struct arena_chunk *chunk_add(struct arena *arena, size_t need) {
    size_t size = arena->chunks ? arena->chunks->size * 2 : ARENA_CHUNK_MIN;
    size = size > ARENA_CHUNK_MAX ? ARENA_CHUNK_MAX : size;
    size = size < need ? need : size;
    struct arena_chunk *chunk = calloc(1, sizeof *chunk + size);
    if (!chunk) { return NULL; }
    chunk->size = size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size) {
    const size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 4) { size = SIZE_MAX / 4; }
    const size_t need = (size + align - 1) / align * align;
    struct arena_chunk *chunk = arena->chunks;
    if (arena->exhausted || need > arena->limit - arena->used) {
        arena->exhausted = true;
        return NULL;
    }
    if (!chunk || need > chunk->size - chunk->used) { chunk = chunk_add(arena, need); }
    if (!chunk) {
        arena->exhausted = true;
        return NULL;
    }
    void *bytes = chunk->bytes + chunk->used;
    chunk->used += need;
    arena->used += need;
    return bytes;
}

char *arena_copy(struct arena *arena, const char *data, size_t size) {
    if (size == SIZE_MAX) { return NULL; }
    char *copy = arena_alloc(arena, size + 1);
    if (copy && size > 0) { memcpy(copy, data, size); }
    return copy;
}

char *arena_format(struct arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size < 0 ? NULL : arena_alloc(arena, (size_t)size + 1);
    if (!text) { return NULL; }
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t item_size, unsigned *capacity) {
    if (count < *capacity) { return items; }
    const size_t grown = *capacity ? (size_t)*capacity * 2 : 4;
    if (grown > UINT32_MAX / 2 || grown > SIZE_MAX / item_size) { return NULL; }
    void *moved = arena_alloc(arena, grown * item_size);
    if (!moved) { return NULL; }
    if (count > 0) { memcpy(moved, items, count * item_size); }
    *capacity = (unsigned)grown;
    return moved;
}
