/* Mappings of state, and the clock hand that bounds their resident part. */
#include "base/spill.h"

#include "base/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SHIFT 12
#define BUCKETS_MIN 64
#define FILES_OPEN_MAX 256 /* of mappings that can grow in place; others are copied when they grow */
#define FAULT_BYTES 65536 /* that a page fault may bring in, at most */
#define BETWEEN_LOOKS (INT64_C(32) * 1024 * 1024) /* 256 rows here and there in two arrays, 64 KiB each time */
#define CHUNK_MIN ((size_t)1024 * 1024)
#define CHUNK_MAX ((size_t)16 * 1024 * 1024)

struct mapping {
    struct env_map map;
    struct mapping *next; /* of the bucket */
    int32_t place;        /* in the clock's list */
};

struct spill {
    struct env *env;
    char *folder;
    int64_t resident_max;  /* the limit */
    int64_t resident_goal; /* less: so much may come in between two looks */
    bool begun;            /* there was a block */
    int64_t mapped_before; /* what was resident of files (the program itself) when the first block came */
    size_t block_min;
    size_t chunk;          /* dropped at once */
    int64_t faults_max;    /* page faults of a thread between two looks */
    struct env_mutex *mutex;
    struct mapping **buckets; /* by address */
    uint32_t n_buckets;
    struct mapping **list; /* in any order: what the hand walks over */
    int32_t n, capacity;
    int32_t n_files;
    int32_t hand; /* a place in the list */
    size_t hand_offset;
    _Atomic int64_t bytes;
    atomic_bool sweeping;
};

sabot_status spill_new(struct env *env, const char *folder, int64_t resident_max, struct spill **out,
                       struct sabot_error *err) {
    *out = NULL;
    struct spill *spill = calloc(1, sizeof *spill);
    struct mapping **buckets = calloc(BUCKETS_MIN, sizeof *buckets);
    char *copy = folder ? strdup(folder) : NULL;
    if (!spill || !buckets || (folder && !copy)) {
        free(spill);
        free(buckets);
        free(copy);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a spill folder");
    }
    *spill = (struct spill){.env = env, .folder = copy, .resident_max = resident_max, .buckets = buckets,
                            .n_buckets = BUCKETS_MIN, .block_min = SPILL_BLOCK_MIN};
    const int64_t third = resident_max / 3;
    spill->resident_goal = resident_max / 10 * 9 - (third < BETWEEN_LOOKS ? third : BETWEEN_LOOKS);
    const size_t chunk = resident_max > 0 ? (size_t)resident_max / 128 : 0;
    spill->chunk = chunk < CHUNK_MIN ? CHUNK_MIN : chunk > CHUNK_MAX ? CHUNK_MAX : chunk & ~(CHUNK_MIN - 1);
    /* Several threads, and what a sweep brings about: an eighth of what may come in is for this one. */
    spill->faults_max = (resident_max - spill->resident_goal) / 8 / FAULT_BYTES;
    spill->mutex = env_mutex_new(env);
    *out = spill;
    return SABOT_OK;
}

void spill_blocks_from(struct spill *spill, size_t size) {
    assert(spill->n == 0);
    spill->block_min = size;
}

size_t spill_block_min(const struct spill *spill) { return spill->block_min; }

void spill_free(struct spill *spill) {
    if (!spill) { return; }
    assert(spill->n == 0);
    env_mutex_free(spill->mutex);
    free(spill->buckets);
    free(spill->list);
    free(spill->folder);
    free(spill);
}

/* --- the list; with the mutex held */
static size_t whole_pages(size_t size) {
    return (size + ((size_t)1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT << PAGE_SHIFT;
}

static uint32_t bucket_of(const struct spill *spill, const void *block) {
    const uint64_t page = (uint64_t)(uintptr_t)block >> PAGE_SHIFT;
    return (uint32_t)((page * 0x9E3779B97F4A7C15u) >> 32) & (spill->n_buckets - 1);
}

static struct mapping **find(struct spill *spill, const void *block) {
    struct mapping **at = &spill->buckets[bucket_of(spill, block)];
    while (*at && (*at)->map.data != block) { at = &(*at)->next; }
    return at;
}

static void enter(struct spill *spill, struct mapping *mapping) {
    struct mapping **at = &spill->buckets[bucket_of(spill, mapping->map.data)];
    mapping->next = *at;
    *at = mapping;
}

static bool room_make(struct spill *spill) {
    if (spill->n < spill->capacity) { return true; }
    const int32_t capacity = spill->capacity ? spill->capacity * 2 : 64;
    struct mapping **list = realloc(spill->list, (size_t)capacity * sizeof *list);
    if (!list) { return false; }
    spill->list = list;
    spill->capacity = capacity;
    struct mapping **buckets = calloc((size_t)capacity, sizeof *buckets);
    if (!buckets) { return true; } /* longer chains do no harm */
    free(spill->buckets);
    spill->buckets = buckets;
    spill->n_buckets = (uint32_t)capacity;
    for (int32_t i = 0; i < spill->n; i++) { enter(spill, spill->list[i]); }
    return true;
}

static void take_out(struct spill *spill, struct mapping **at) {
    struct mapping *mapping = *at;
    *at = mapping->next;
    struct mapping *last = spill->list[--spill->n];
    spill->list[mapping->place] = last;
    last->place = mapping->place;
}

/* --- blocks */
sabot_status spill_block_new(struct spill *spill, const char *owner, size_t size, void **out, struct sabot_error *err) {
    *out = NULL;
    size = whole_pages(size);
    struct mapping *mapping = calloc(1, sizeof *mapping);
    if (!mapping) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "%s: the system has no memory to spill", owner); }
    env_mutex_lock(spill->mutex);
    const bool grows = spill->n_files < FILES_OPEN_MAX;
    sabot_status status = SABOT_OK;
    if (!spill->begun) {
        spill->mapped_before = env_memory_now(spill->env).of_files;
        status = spill->folder ? env_make_dirs(spill->env, spill->folder, err) : SABOT_OK;
        spill->begun = status == SABOT_OK;
    }
    if (status == SABOT_OK) {
        status = room_make(spill) ? env_map_open(spill->env, spill->folder, size, grows, &mapping->map, err)
                                  : SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of blocks");
    }
    if (status == SABOT_OK) {
        spill->n_files += grows;
        mapping->place = spill->n;
        spill->list[spill->n++] = mapping;
        enter(spill, mapping);
        atomic_fetch_add_explicit(&spill->bytes, (int64_t)size, memory_order_relaxed);
    }
    env_mutex_unlock(spill->mutex);
    if (status != SABOT_OK) {
        free(mapping);
        error_context(err, "%s: its state goes to disk past half of the memory limit", owner);
        return status;
    }
    *out = mapping->map.data;
    return SABOT_OK;
}

bool spill_has(struct spill *spill, const void *block) {
    if (((uintptr_t)block & ((1u << PAGE_SHIFT) - 1)) != 0 || spill_bytes(spill) == 0) { return false; }
    env_mutex_lock(spill->mutex);
    const bool found = *find(spill, block) != NULL;
    env_mutex_unlock(spill->mutex);
    return found;
}

static sabot_status resize_by_copy(struct spill *spill, const char *owner, void **block, size_t from, size_t to,
                                   struct sabot_error *err) {
    void *moved;
    SABOT_TRY(spill_block_new(spill, owner, to, &moved, err));
    const size_t size = from < to ? from : to;
    for (size_t done = 0; done < size; done += CHUNK_MIN) {
        memcpy((char *)moved + done, (const char *)*block + done, size - done < CHUNK_MIN ? size - done : CHUNK_MIN);
        spill_relax(spill);
    }
    spill_block_free(spill, *block);
    *block = moved;
    return SABOT_OK;
}

sabot_status spill_block_resize(struct spill *spill, const char *owner, void **block, size_t size,
                                struct sabot_error *err) {
    size = whole_pages(size);
    env_mutex_lock(spill->mutex);
    struct mapping **at = find(spill, *block);
    assert(*at);
    struct mapping *mapping = *at;
    const size_t before = mapping->map.size;
    const bool in_place = env_map_grows(&mapping->map);
    sabot_status status = SABOT_OK;
    if (in_place) {
        status = env_map_resize(spill->env, &mapping->map, size, err);
        if (status == SABOT_OK) {
            *at = mapping->next; /* its address may be another now */
            enter(spill, mapping);
            *block = mapping->map.data;
            atomic_fetch_add_explicit(&spill->bytes, (int64_t)size - (int64_t)before, memory_order_relaxed);
        }
    }
    env_mutex_unlock(spill->mutex);
    if (!in_place) { return resize_by_copy(spill, owner, block, before, size, err); }
    if (status != SABOT_OK) {
        error_context(err, "%s: its state is on disk past half of the memory limit, in %s", owner,
                      spill->folder ? spill->folder : "the folder for temporary files");
    }
    return status;
}

void spill_block_free(struct spill *spill, void *block) {
    env_mutex_lock(spill->mutex);
    struct mapping **at = find(spill, block);
    assert(*at);
    struct mapping *mapping = *at;
    take_out(spill, at);
    spill->n_files -= env_map_grows(&mapping->map);
    atomic_fetch_sub_explicit(&spill->bytes, (int64_t)mapping->map.size, memory_order_relaxed);
    env_map_close(spill->env, &mapping->map);
    env_mutex_unlock(spill->mutex);
    free(mapping);
}

int64_t spill_bytes(const struct spill *spill) { return atomic_load_explicit(&spill->bytes, memory_order_relaxed); }

/* --- the clock hand */
static bool is_over(const struct spill *spill) {
    const struct env_memory now = env_memory_now(spill->env);
    const int64_t mapped = now.of_files - spill->mapped_before;
    /* Part of the limit is kept for state whatever else the process holds: sweeping all of it would help nobody. */
    return now.resident > spill->resident_goal && mapped > spill->resident_max / 8;
}

/* Drops the next chunk; false: nothing is mapped. */
static void drop_chunk(struct spill *spill) {
    if (spill->hand >= spill->n) { spill->hand = 0; }
    struct env_map *map = &spill->list[spill->hand]->map;
    if (spill->hand_offset < map->size) {
        const size_t left = map->size - spill->hand_offset;
        env_map_drop(spill->env, map, spill->hand_offset, left < spill->chunk ? left : spill->chunk);
        spill->hand_offset += spill->chunk;
    }
    if (spill->hand_offset < map->size) { return; }
    spill->hand++;
    spill->hand_offset = 0;
}

/* A look at what is resident costs as much as two page faults. Where this thread has had few since its last one,
 * nothing can have changed much, or another thread looks. */
static bool is_time_to_look(const struct spill *spill) {
    static _Thread_local struct {
        const struct spill *spill;
        int64_t faults;
    } last;
    const int64_t faults = env_page_faults(spill->env);
    if (faults >= 0 && last.spill == spill && faults - last.faults < spill->faults_max) { return false; }
    last.spill = spill;
    last.faults = faults;
    return true;
}

void spill_relax(struct spill *spill) {
    if (spill_bytes(spill) == 0 || !is_time_to_look(spill) || !is_over(spill)) { return; }
    if (atomic_exchange_explicit(&spill->sweeping, true, memory_order_acquire)) { return; } /* another is at it */
    env_mutex_lock(spill->mutex);
    size_t dropped = 0;
    const size_t all = (size_t)spill_bytes(spill) + (size_t)spill->n * spill->chunk;
    do { /* one look per two chunks: most pages of a chunk are not resident */
        for (int i = 0; i < 2 && spill->n; i++) { drop_chunk(spill); }
        dropped += 2 * spill->chunk;
    } while (spill->n && dropped < all && is_over(spill));
    env_mutex_unlock(spill->mutex);
    atomic_store_explicit(&spill->sweeping, false, memory_order_release);
}
