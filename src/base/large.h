/* Large blocks straight from the system: zero bytes at first, and grown without a copy.
 *
 * State doubles as it grows. From malloc each doubling is a copy into fresh pages, each of them a fault (up to half of
 * the time of a join or a top-N that was filling its state); here pages keep their contents, and only new ones fault.
 * No huge pages: docs/decisions/0028 says why. */
#ifndef BASE_LARGE_H
#define BASE_LARGE_H

#include <stdbool.h>
#include <stddef.h>

#define LARGE_BLOCK_MIN ((size_t)2 * 1024 * 1024) /* below it blocks come and go too often for system calls */

/* Under the sanitizers nothing is large: they watch malloc's blocks only. */
static inline bool large_is(size_t size) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)size;
    return false;
#else
    return size >= LARGE_BLOCK_MIN;
#endif
}

void *large_new(size_t size); /* NULL: the system has none left */
/* Both sizes are large; what is new is zero. NULL: the old block stays as it was. */
void *large_resize(void *block, size_t old_size, size_t new_size);
void large_free(void *block, size_t size);

#endif
