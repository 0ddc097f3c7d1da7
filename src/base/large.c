/* Large blocks from the system: mmap, mremap. */
#include "base/large.h"

#include <sys/mman.h>

static size_t in_pages(size_t size) { return (size + 4095) / 4096 * 4096; }

void *large_new(size_t size) {
    void *block = mmap(NULL, in_pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

void *large_resize(void *block, size_t old_size, size_t new_size) {
    void *resized = mremap(block, in_pages(old_size), in_pages(new_size), MREMAP_MAYMOVE);
    return resized == MAP_FAILED ? NULL : resized;
}

void large_free(void *block, size_t size) { munmap(block, in_pages(size)); }
