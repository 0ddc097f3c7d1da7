/* A bump arena: many small objects of one lifetime, freed at once. The SQL front end keeps one per script.
 *
 * Memory is zeroed. An arena has a limit: past it arena_alloc returns NULL, and `exhausted` stays set, so that a long
 * run of allocations may check once at its end. Not thread-safe: an arena belongs to one thread at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes handed out, with alignment */
    size_t limit;               /* arena_alloc fails beyond it */
    bool exhausted;             /* an allocation has failed */
};

/* An empty arena that hands out at most `limit` bytes. Allocates nothing yet. */
void arena_init(struct arena *arena, size_t limit);
/* Frees all of it; the arena can be used again, with the same limit. */
void arena_clear(struct arena *arena);
/* `size` zeroed bytes, aligned for any type; NULL at the limit or where memory ends. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy of `size` bytes with a NUL behind them, or NULL. */
char *arena_copy(struct arena *arena, const char *data, size_t size);
/* printf into the arena, or NULL. */
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Grows a vector of `item_size` bytes each, so that it has room for one more; the old items move. NULL at the limit. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t item_size, unsigned *capacity);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

#endif
