/* State larger than memory: large blocks as mappings of unnamed files, of which only a bounded part is resident.
 *
 * A spill belongs to a pool and to those below it (memory_pool.spill). memory.c decides which blocks go here; spill.c
 * keeps the list of mappings and walks over it with a clock hand, dropping pages from the process while it has more
 * than its share resident. A dropped page is in the page cache or in the file: the next access brings it back. Thread
 * safe. docs/decisions/0011 says why. */
#ifndef BASE_SPILL_H
#define BASE_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"

#define SPILL_BLOCK_MIN ((size_t)64 * 1024) /* smaller blocks are never mappings, but for tests */

struct spill;

/* folder: where the files are, until they are closed; NULL = a temporary folder of the system. resident_max: bytes that
 * the process may have in memory, with everything. */
sabot_status spill_new(struct env *env, const char *folder, int64_t resident_max, struct spill **out,
                       struct sabot_error *err);
/* For tests whose state is small: blocks of `size` bytes and more are mappings. Before the first block. */
void spill_blocks_from(struct spill *spill, size_t size);
size_t spill_block_min(const struct spill *spill);
void spill_free(struct spill *spill); /* all blocks must have been freed; NULL is allowed */

/* A block of zero bytes. `owner` is for errors: "operator join[0]". */
sabot_status spill_block_new(struct spill *spill, const char *owner, size_t size, void **out, struct sabot_error *err);
bool spill_has(struct spill *spill, const void *block);
/* Grows or shrinks; it may move. On failure the old block stays. */
sabot_status spill_block_resize(struct spill *spill, const char *owner, void **block, size_t size,
                                struct sabot_error *err);
void spill_block_free(struct spill *spill, void *block);
int64_t spill_bytes(const struct spill *spill); /* of all blocks */
/* Drops pages if too many are resident. Cheap where there is no block. */
void spill_relax(struct spill *spill);

#endif
