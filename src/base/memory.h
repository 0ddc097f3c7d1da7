/* The memory accountant: every buffer, table and cache is charged to a pool.
 *
 * Pools form a tree (process -> job -> operator); a charge counts in each pool up to the root and fails with
 * SABOT_ERR_MEMORY when one of them would pass its limit. Thread safe: pools are charged with atomics.
 * Blocks are 64-byte aligned and padded to 64 bytes, so that kernels may read and write whole vectors. Freed blocks of
 * common sizes are kept in small thread-local lists (bounded), because a batch's columns come and go at a fixed size;
 * what these can't hold goes into lists for all threads, because those who free are often others than those who
 * allocate.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct spill;

struct memory_pool {
    const char *name;           /* borrowed; appears in errors: "operator window[3]" */
    struct memory_pool *parent; /* NULL for the root */
    int64_t limit;              /* bytes; INT64_MAX = none */
    _Atomic int64_t used, peak; /* bytes */
    struct spill *spill;        /* where large blocks of state go; as the parent's; NULL = nowhere */
    int32_t spill_eighths;      /* of a limit: past these they go there; 4, or what the owner has set */
};

void memory_pool_init(struct memory_pool *pool, const char *name, struct memory_pool *parent, int64_t limit);
/* Charges without allocating (for memory of libraries); memory_charge(-n) gives back. NULL: nobody is charged. */
sabot_status memory_charge(struct memory_pool *pool, int64_t bytes, struct sabot_error *err);

/* Uninitialised memory of `size` bytes, 64-byte aligned. *out is NULL on failure. size 0 gives a valid pointer. */
sabot_status memory_alloc(struct memory_pool *pool, size_t size, void **out, struct sabot_error *err);
/* Grows or shrinks; contents up to the smaller size stay; on failure the old block stays valid. */
sabot_status memory_resize(struct memory_pool *pool, void **block, size_t old_size, size_t new_size,
                           struct sabot_error *err);
void memory_free(struct memory_pool *pool, void *block, size_t size);

/* The same for state, which may be larger than memory: past half of a pool's limit (spill_eighths) large blocks are
 * mapped files (base/spill.h), which are not charged. zeroed: all bytes are zero, without touching those of a file. */
sabot_status memory_alloc_state(struct memory_pool *pool, size_t size, bool zeroed, void **out,
                                struct sabot_error *err);
sabot_status memory_resize_state(struct memory_pool *pool, void **block, size_t old_size, size_t new_size,
                                 struct sabot_error *err);
void memory_free_state(struct memory_pool *pool, void *block, size_t size);
/* memset of a part of such a block, which may be large. */
void memory_fill_state(const struct memory_pool *pool, void *target, int byte, size_t size);
/* Lets go of pages of state where too many are in memory. To be called every few hundred rows that are read or written
 * here and there in state, and every MiB of a walk through all of it; costs nothing where no state is on disk. Pointers
 * stay valid. */
#define MEMORY_RELAX_BYTES ((size_t)1024 * 1024)
void memory_relax(const struct memory_pool *pool);
/* Whether who makes more work should wait until what is in flight is done: less than an eighth of a limit is left. */
bool memory_is_short(const struct memory_pool *pool);

/* Whether some of the state of the pool's process is on disk. */
bool memory_is_spilled(const struct memory_pool *pool);
/* Brings the page of a place in state into memory as a write does, and changes nothing. The kernel maps the 64 KiB
 * around a page that is read, but a page that is written comes alone. Where state on disk is read here and there (and
 * is going to be written, or else this only makes work for the disk), what comes along would be most of what the
 * process may hold. */
static inline void memory_page_in(void *at) { (void)__atomic_fetch_add((unsigned char *)at, 0, __ATOMIC_RELAXED); }
int64_t memory_limit(const struct memory_pool *pool); /* the least, up to the root; INT64_MAX = none */

/* The lists of freed blocks, which are charged to nobody, keep little where the process may use little (the limit of
 * the job that began last). */
void memory_lists_fit(int64_t limit);

/* A reference-counted block of bytes, immutable once it is shared. */
struct buffer {
    _Atomic int32_t refs;
    struct memory_pool *pool;      /* the pool that is charged; must outlive the buffer */
    uint8_t *data;                 /* 64-byte aligned where Sabot allocated it */
    size_t size;                   /* bytes */
    bool is_state;                 /* memory_alloc_state's */
    void (*release)(void *owner);  /* NULL: data is from `pool`; else called once when the last reference goes */
    void *owner;
};

sabot_status buffer_new(struct memory_pool *pool, size_t size, struct buffer **out, struct sabot_error *err);
/* memory_alloc_state */
sabot_status buffer_new_state(struct memory_pool *pool, size_t size, struct buffer **out, struct sabot_error *err);
/* Wraps foreign memory (an Arrow array, a static area): release(owner) is called when the last reference goes. */
sabot_status buffer_wrap(struct memory_pool *pool, const void *data, size_t size, void (*release)(void *owner),
                         void *owner, struct buffer **out, struct sabot_error *err);
struct buffer *buffer_ref(struct buffer *buffer);
void buffer_unref(struct buffer *buffer); /* NULL is allowed */

#endif
