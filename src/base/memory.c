/* The memory accountant and reference-counted buffers. */
#include "base/memory.h"

#include "base/large.h"
#include "base/spill.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

void memory_pool_init(struct memory_pool *pool, const char *name, struct memory_pool *parent, int64_t limit) {
    pool->name = name;
    pool->parent = parent;
    pool->limit = limit;
    pool->spill = parent ? parent->spill : NULL;
    pool->spill_eighths = 4;
    atomic_init(&pool->used, 0);
    atomic_init(&pool->peak, 0);
}

static const char *owner_of(const struct memory_pool *pool) { return pool->name ? pool->name : "memory"; }

static void pool_give_back(struct memory_pool *pool, const struct memory_pool *end, int64_t bytes) {
    for (; pool != end; pool = pool->parent) { atomic_fetch_sub_explicit(&pool->used, bytes, memory_order_relaxed); }
}

sabot_status memory_charge(struct memory_pool *pool, int64_t bytes, struct sabot_error *err) {
    if (bytes <= 0) {
        pool_give_back(pool, NULL, -bytes);
        return SABOT_OK;
    }
    for (struct memory_pool *at = pool; at; at = at->parent) {
        /* what a pool refuses it does not count, not even for a moment: another thread would be refused for it */
        int64_t before = atomic_load_explicit(&at->used, memory_order_relaxed);
        do {
            if (bytes > at->limit || before > at->limit - bytes) {
                pool_give_back(pool, at, bytes);
                return SABOT_FAIL(err, SABOT_ERR_MEMORY,
                                  "%s: %lld bytes more would pass the limit of %lld (%lld in use): raise the memory "
                                  "limit, or use smaller windows or fewer keys",
                                  at->name ? at->name : "memory", (long long)bytes, (long long)at->limit,
                                  (long long)before);
            }
        } while (!atomic_compare_exchange_weak_explicit(&at->used, &before, before + bytes, memory_order_relaxed,
                                                        memory_order_relaxed));
        int64_t peak = atomic_load_explicit(&at->peak, memory_order_relaxed);
        while (before + bytes > peak &&
               !atomic_compare_exchange_weak_explicit(&at->peak, &peak, before + bytes, memory_order_relaxed,
                                                      memory_order_relaxed)) {}
    }
    return SABOT_OK;
}

/* Sizes are rounded up to classes, four to each power of two, so that a freed column fits the next one of its kind. */
#define CLASS_SHIFT_MIN 10 /* 1 KiB: below it malloc is as quick */
#define CLASS_SHIFT_MAX 20 /* 1 MiB: above it blocks are rare */
#define CLASSES (4 * (CLASS_SHIFT_MAX - CLASS_SHIFT_MIN))
#define CACHE_BLOCKS_MAX 32                      /* per class and thread */
#define CACHE_BYTES_MAX ((size_t)8 * 1024 * 1024) /* per thread */
#define CACHE_BYTES_MIN ((size_t)256 * 1024)
#define CACHE_LIMIT_SHARE 128 /* of a memory limit: what the lists keep is charged to nobody */
#define SHARED_BLOCKS_MAX 128 /* per class, for all threads */
#define SHARED_FACTOR 2       /* their bytes: so many times those of a thread */
#define ALIGNMENT ((size_t)64)
#define HAND_ALIGNED_MIN ((size_t)16 * 1024)

static size_t size_rounded(size_t size, int *class_index) {
    *class_index = -1;
    size = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size <= ((size_t)1 << CLASS_SHIFT_MIN) || size > ((size_t)1 << CLASS_SHIFT_MAX)) { return size; }
    const int shift = 63 - __builtin_clzll(size - 1); /* 2^shift < size <= 2^(shift + 1) */
    const size_t step = (size_t)1 << (shift - 2);
    const size_t rounded = (size + step - 1) / step * step;
    *class_index = 4 * (shift - CLASS_SHIFT_MIN) + (int)((rounded - ((size_t)1 << shift)) / step) - 1;
    return rounded;
}

/* aligned_alloc() cuts a block out of a longer one; when that is freed and its ends are in use, it is too short for the
 * next of its size, and the heap grows on (a sort with 64 MB: 57 MB of holes). Blocks that leave large holes are
 * therefore aligned by hand. Not under the sanitizers, which look for accesses next to a block. */
static bool is_aligned_by_hand(size_t size) { return size >= HAND_ALIGNED_MIN && large_is(LARGE_BLOCK_MIN); }

static void *system_take(size_t size) {
    if (!is_aligned_by_hand(size)) { return aligned_alloc(ALIGNMENT, size); }
    char *begin = malloc(size + ALIGNMENT);
    if (!begin) { return NULL; }
    char *block = begin + ALIGNMENT - ((uintptr_t)begin & (ALIGNMENT - 1)); /* 16 bytes behind `begin` at least */
    memcpy(block - sizeof begin, &begin, sizeof begin);
    return block;
}

static void system_give(void *block, size_t size) {
    if (is_aligned_by_hand(size)) { memcpy(&block, (char *)block - sizeof block, sizeof block); }
    free(block);
}

struct cached_block {
    struct cached_block *next;
};
struct block_cache {
    struct cached_block *first[CLASSES];
    int32_t count[CLASSES];
    size_t bytes;
};

static _Atomic size_t cache_bytes_max = CACHE_BYTES_MAX;

static bool cache_put(struct block_cache *cache, void *block, size_t size, int class_index, int32_t blocks_max,
                      size_t bytes_max) {
    if (cache->count[class_index] >= blocks_max || cache->bytes + size > bytes_max) { return false; }
    struct cached_block *cached = block;
    cached->next = cache->first[class_index];
    cache->first[class_index] = cached;
    cache->count[class_index]++;
    cache->bytes += size;
    return true;
}

static void *cache_get(struct block_cache *cache, size_t size, int class_index) {
    struct cached_block *block = cache->first[class_index];
    if (!block) { return NULL; }
    cache->first[class_index] = block->next;
    cache->count[class_index]--;
    cache->bytes -= size;
    return block;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Reuse would hide a use after free from the sanitizers. */
static struct block_cache *cache_of_thread(void) { return NULL; }
static bool shared_put(void *block, size_t size, int class_index, size_t bytes_max) {
    (void)cache_put;
    (void)block;
    (void)size;
    (void)class_index;
    (void)bytes_max;
    return false;
}
static void *shared_get(size_t size, int class_index) {
    (void)cache_get;
    (void)size;
    (void)class_index;
    return NULL;
}
#else
/* Blocks that one thread takes and another gives back, as a snapshot's do between a task and its helpers: without a
 * list for all threads the first would ask the system for fresh pages each time. Who finds another thread in it goes to
 * the system instead: nobody waits. */
static struct {
    atomic_flag busy;
    struct block_cache cache;
    _Atomic int32_t count[CLASSES]; /* as in the cache, to be looked at without entering */
} shared = {.busy = ATOMIC_FLAG_INIT};
static tss_t cache_key;
static once_flag cache_once = ONCE_FLAG_INIT;
static bool cache_usable;
static _Thread_local struct block_cache *thread_cache;

static size_t class_size(int class_index) {
    const int shift = CLASS_SHIFT_MIN + class_index / 4;
    return ((size_t)1 << shift) + (size_t)(class_index % 4 + 1) * ((size_t)1 << (shift - 2));
}

static void cache_free(void *value) {
    struct block_cache *cache = value;
    for (int i = 0; i < CLASSES; i++) {
        while (cache->first[i]) {
            struct cached_block *next = cache->first[i]->next;
            system_give(cache->first[i], class_size(i));
            cache->first[i] = next;
        }
    }
    free(cache);
    thread_cache = NULL;
}

/* Only for its destructor: a thread's list must go when the thread ends, also a thread that is not ours. */
static void cache_key_make(void) {
    cache_usable = tss_create(&cache_key, cache_free) == thrd_success;
}

static struct block_cache *cache_of_thread(void) {
    if (thread_cache) { return thread_cache; }
    call_once(&cache_once, cache_key_make);
    if (!cache_usable) { return NULL; }
    struct block_cache *cache = calloc(1, sizeof *cache);
    if (cache && tss_set(cache_key, cache) != thrd_success) {
        free(cache);
        return NULL;
    }
    thread_cache = cache;
    return cache;
}

static bool shared_enter(void) {
    return !atomic_flag_test_and_set_explicit(&shared.busy, memory_order_acquire);
}

static void shared_leave(int class_index) {
    atomic_store_explicit(&shared.count[class_index], shared.cache.count[class_index], memory_order_relaxed);
    atomic_flag_clear_explicit(&shared.busy, memory_order_release);
}

static bool shared_put(void *block, size_t size, int class_index, size_t bytes_max) {
    if (!shared_enter()) { return false; }
    const bool kept = cache_put(&shared.cache, block, size, class_index, SHARED_BLOCKS_MAX, bytes_max * SHARED_FACTOR);
    shared_leave(class_index);
    return kept;
}

static void *shared_get(size_t size, int class_index) {
    if (atomic_load_explicit(&shared.count[class_index], memory_order_relaxed) == 0 || !shared_enter()) {
        return NULL;
    }
    void *block = cache_get(&shared.cache, size, class_index);
    shared_leave(class_index);
    return block;
}
#endif

void memory_lists_fit(int64_t limit) {
    const size_t share = limit > 0 ? (size_t)limit / CACHE_LIMIT_SHARE : 0;
    const size_t bytes = share < CACHE_BYTES_MIN ? CACHE_BYTES_MIN : share > CACHE_BYTES_MAX ? CACHE_BYTES_MAX : share;
    atomic_store_explicit(&cache_bytes_max, bytes, memory_order_relaxed);
}

static void *block_take(size_t size, int class_index) {
    if (large_is(size)) { return large_new(size); }
    struct block_cache *cache = class_index < 0 ? NULL : cache_of_thread();
    void *block = cache ? cache_get(cache, size, class_index) : NULL;
    if (!block && cache) { block = shared_get(size, class_index); }
    return block ? block : system_take(size);
}

static void block_give(void *block, size_t size, int class_index) {
    if (large_is(size)) {
        large_free(block, size);
        return;
    }
    struct block_cache *cache = class_index < 0 ? NULL : cache_of_thread();
    const size_t bytes_max = atomic_load_explicit(&cache_bytes_max, memory_order_relaxed);
    const bool kept = cache && (cache_put(cache, block, size, class_index, CACHE_BLOCKS_MAX, bytes_max) ||
                                shared_put(block, size, class_index, bytes_max));
    if (!kept) { system_give(block, size); }
}

sabot_status memory_alloc(struct memory_pool *pool, size_t size, void **out, struct sabot_error *err) {
    *out = NULL;
    if (size > (size_t)INT64_MAX / 2) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "a block of %zu bytes is too big", size);
    }
    int class_index;
    const size_t rounded = size_rounded(size, &class_index);
    SABOT_TRY(memory_charge(pool, (int64_t)rounded, err));
    *out = block_take(rounded, class_index);
    if (*out) { return SABOT_OK; }
    memory_charge(pool, -(int64_t)rounded, NULL);
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "%s: the system has no %zu bytes left", owner_of(pool), rounded);
}

/* From one large block to another: pages move, not their bytes. */
static sabot_status resize_large(struct memory_pool *pool, void **block, size_t old_size, size_t new_size,
                                 struct sabot_error *err) {
    const int64_t more = (int64_t)new_size - (int64_t)old_size;
    SABOT_TRY(memory_charge(pool, more, err));
    void *resized = large_resize(*block, old_size, new_size);
    if (!resized) {
        memory_charge(pool, -more, NULL);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "%s: the system has no %zu bytes left", owner_of(pool), new_size);
    }
    *block = resized;
    return SABOT_OK;
}

/* Takes nothing of the limit on the way: to give back is never refused. */
static sabot_status resize_down(struct memory_pool *pool, void **block, size_t old_size, size_t new_size,
                                struct sabot_error *err) {
    int old_class, new_class;
    const size_t from = size_rounded(old_size, &old_class), to = size_rounded(new_size, &new_class);
    void *moved = block_take(to, new_class);
    if (!moved) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "%s: the system has no %zu bytes left", owner_of(pool), to);
    }
    memcpy(moved, *block, new_size);
    block_give(*block, from, old_class);
    memory_charge(pool, (int64_t)to - (int64_t)from, NULL);
    *block = moved;
    return SABOT_OK;
}

sabot_status memory_resize(struct memory_pool *pool, void **block, size_t old_size, size_t new_size,
                           struct sabot_error *err) {
    if (*block && new_size <= (size_t)INT64_MAX / 2) {
        int old_class, new_class;
        const size_t from = size_rounded(old_size, &old_class), to = size_rounded(new_size, &new_class);
        if (from == to) { return SABOT_OK; }
        if (large_is(from) && large_is(to)) { return resize_large(pool, block, from, to, err); }
        if (to < from) { return resize_down(pool, block, old_size, new_size, err); }
    }
    void *moved;
    SABOT_TRY(memory_alloc(pool, new_size, &moved, err));
    if (*block) {
        memcpy(moved, *block, old_size < new_size ? old_size : new_size);
        memory_free(pool, *block, old_size);
    }
    *block = moved;
    return SABOT_OK;
}

void memory_free(struct memory_pool *pool, void *block, size_t size) {
    if (!block) { return; }
    int class_index;
    const size_t rounded = size_rounded(size, &class_index);
    memory_charge(pool, -(int64_t)rounded, NULL);
    block_give(block, rounded, class_index);
}

/* --- state */
/* Whether `bytes` more would pass this share of a limit. */
static bool passes_share(const struct memory_pool *pool, size_t bytes, int64_t eighths) {
    for (; pool; pool = pool->parent) {
        if (pool->limit == INT64_MAX) { continue; }
        const int64_t used = atomic_load_explicit(&pool->used, memory_order_relaxed);
        if (used + (int64_t)bytes > pool->limit / 8 * eighths) { return true; }
    }
    return false;
}

bool memory_is_spilled(const struct memory_pool *pool) { return pool->spill && spill_bytes(pool->spill) > 0; }

/* Besides what is charged, an eighth of the limit is for pages of state that is on disk (spill.c), and what is being
 * worked on has room in it. */
bool memory_is_short(const struct memory_pool *pool) { return passes_share(pool, 0, memory_is_spilled(pool) ? 5 : 7); }

int64_t memory_limit(const struct memory_pool *pool) {
    int64_t limit = INT64_MAX;
    for (; pool; pool = pool->parent) { limit = pool->limit < limit ? pool->limit : limit; }
    return limit;
}

static bool goes_to_disk(const struct memory_pool *pool, size_t size) {
    return pool->spill && size >= spill_block_min(pool->spill) && size <= (size_t)INT64_MAX / 2 &&
           passes_share(pool, size, pool->spill_eighths);
}

static bool is_on_disk(const struct memory_pool *pool, const void *block, size_t size) {
    return pool->spill && size >= spill_block_min(pool->spill) && spill_has(pool->spill, block);
}

sabot_status memory_alloc_state(struct memory_pool *pool, size_t size, bool zeroed, void **out,
                                struct sabot_error *err) {
    if (goes_to_disk(pool, size)) { return spill_block_new(pool->spill, owner_of(pool), size, out, err); }
    SABOT_TRY(memory_alloc(pool, size, out, err));
    if (zeroed && !large_is(size)) { memset(*out, 0, size); } /* the system gives out large blocks zeroed */
    return SABOT_OK;
}

/* Between memory and disk, or within memory. */
static sabot_status move_state(struct memory_pool *pool, void **block, size_t old_size, size_t new_size,
                               struct sabot_error *err) {
    void *moved;
    SABOT_TRY(memory_alloc_state(pool, new_size, false, &moved, err));
    const size_t size = old_size < new_size ? old_size : new_size;
    for (size_t done = 0; done < size; done += MEMORY_RELAX_BYTES) {
        const size_t left = size - done;
        memcpy((char *)moved + done, (char *)*block + done, left < MEMORY_RELAX_BYTES ? left : MEMORY_RELAX_BYTES);
        memory_relax(pool);
    }
    memory_free_state(pool, *block, old_size);
    *block = moved;
    return SABOT_OK;
}

sabot_status memory_resize_state(struct memory_pool *pool, void **block, size_t old_size, size_t new_size,
                                 struct sabot_error *err) {
    if (*block && is_on_disk(pool, *block, old_size)) {
        if (new_size < spill_block_min(pool->spill)) { return move_state(pool, block, old_size, new_size, err); }
        return spill_block_resize(pool->spill, owner_of(pool), block, new_size, err);
    }
    if (!*block) { return memory_alloc_state(pool, new_size, false, block, err); }
    if (goes_to_disk(pool, new_size)) { return move_state(pool, block, old_size, new_size, err); }
    return memory_resize(pool, block, old_size, new_size, err);
}

void memory_free_state(struct memory_pool *pool, void *block, size_t size) {
    if (block && is_on_disk(pool, block, size)) {
        spill_block_free(pool->spill, block);
    } else {
        memory_free(pool, block, size);
    }
}

void memory_fill_state(const struct memory_pool *pool, void *target, int byte, size_t size) {
    for (size_t done = 0; done < size; done += MEMORY_RELAX_BYTES) {
        const size_t left = size - done;
        memset((char *)target + done, byte, left < MEMORY_RELAX_BYTES ? left : MEMORY_RELAX_BYTES);
        memory_relax(pool);
    }
}

void memory_relax(const struct memory_pool *pool) {
    if (pool->spill) { spill_relax(pool->spill); }
}

/* --- buffers */
static sabot_status buffer_make(struct buffer **out, struct sabot_error *err) {
    *out = malloc(sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a buffer"); }
    **out = (struct buffer){0};
    atomic_init(&(*out)->refs, 1);
    return SABOT_OK;
}

static sabot_status buffer_make_over(struct memory_pool *pool, size_t size, bool is_state, struct buffer **out,
                                     struct sabot_error *err) {
    SABOT_TRY(buffer_make(out, err));
    void *data;
    const sabot_status status =
        is_state ? memory_alloc_state(pool, size, false, &data, err) : memory_alloc(pool, size, &data, err);
    if (status != SABOT_OK) {
        free(*out);
        *out = NULL;
        return status;
    }
    (*out)->pool = pool;
    (*out)->data = data;
    (*out)->size = size;
    (*out)->is_state = is_state;
    return SABOT_OK;
}

sabot_status buffer_new(struct memory_pool *pool, size_t size, struct buffer **out, struct sabot_error *err) {
    return buffer_make_over(pool, size, false, out, err);
}

sabot_status buffer_new_state(struct memory_pool *pool, size_t size, struct buffer **out, struct sabot_error *err) {
    return buffer_make_over(pool, size, true, out, err);
}

sabot_status buffer_wrap(struct memory_pool *pool, const void *data, size_t size, void (*release)(void *owner),
                         void *owner, struct buffer **out, struct sabot_error *err) {
    assert(release);
    *out = NULL;
    SABOT_TRY(memory_charge(pool, (int64_t)size, err));
    const sabot_status status = buffer_make(out, err);
    if (status != SABOT_OK) {
        memory_charge(pool, -(int64_t)size, NULL);
        return status;
    }
    (*out)->pool = pool;
    (*out)->data = (uint8_t *)(uintptr_t)data;
    (*out)->size = size;
    (*out)->release = release;
    (*out)->owner = owner;
    return SABOT_OK;
}

struct buffer *buffer_ref(struct buffer *buffer) {
    if (buffer) { atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed); }
    return buffer;
}

void buffer_unref(struct buffer *buffer) {
    if (!buffer || atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) != 1) { return; }
    if (buffer->release) {
        memory_charge(buffer->pool, -(int64_t)buffer->size, NULL);
        buffer->release(buffer->owner);
    } else if (buffer->is_state) {
        memory_free_state(buffer->pool, buffer->data, buffer->size);
    } else {
        memory_free(buffer->pool, buffer->data, buffer->size);
    }
    free(buffer);
}
