/* Timers in a radix heap, with RocksDB behind it. */
#include "time/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "base/large.h"
#include "state/capture.h"
#include "state/kv_hot.h"
#include "state/kv_key.h"
#include "state/rocks.h"

#define LEVELS 11 /* of 6 bits each: 64 bits */
#define READY_MAX 4096 /* a bucket of at most so many is sorted; a larger one is spread over the levels below */
#define FIRE_MAX 1024  /* timers per callback */
#define COMPACT_MIN 4096
#define MEMORY_MAX_DEFAULT (INT64_C(1) << 22)
#define LIMIT_SHARE 16 /* of a memory limit are timers, before they go to RocksDB: arrays double, and are copied */
#define LOAD_MAX 8192

/* Times are held with the sign flipped, so that they compare unsigned. */
static uint64_t time_of(int64_t time_ms) { return (uint64_t)time_ms ^ UINT64_C(1) << 63; }
static int64_t ms_of(uint64_t time) { return (int64_t)(time ^ UINT64_C(1) << 63); }

struct entry {
    uint64_t time;
    int64_t namespace_;
    int64_t key;       /* the number; of bytes: where they begin in the run's bytes */
    uint64_t sequence; /* << 1, | 1: a deletion. Of equal timers the last one counts */
    uint32_t hash;     /* of all but the time: what is sorted by before the rest is compared */
    uint32_t size;     /* of bytes */
    int32_t callback;
};

/* Entries in any order or sorted, and the bytes of their keys. */
struct run {
    struct entry *items;
    uint8_t *bytes;
    int64_t n, capacity, first; /* first: those before it are gone */
    int64_t n_bytes, bytes_capacity;
    int64_t compact_at;
    int64_t wanted, wanted_end; /* items that a snapshot under way has not taken yet */
};

struct domain {
    uint64_t base; /* buckets hold what is later; equal and earlier times are in `fresh` or `ready` */
    struct run buckets[LEVELS][64];
    uint64_t filled[LEVELS]; /* bit per bucket */
    struct run fresh, ready; /* unsorted; sorted, without duplicates and deletions */
    bool below_any;          /* there are timers in RocksDB */
    uint64_t below_next;     /* their first time */
    int64_t n;               /* entries in memory, duplicates too */
    int64_t n_below;         /* in RocksDB, about */
};

/* A snapshot under way: the entries that there were at the barrier are gathered between batches; those of a run that
 * is about to be sorted or emptied, before that. They are divided by hash, so that equal ones, of which the last
 * counts, are together in parts that are small enough to be sorted in a step. They lie in slabs, which are large enough
 * to be the system's own: what malloc gives back of so much at once takes tens of ms. */
#define SLAB_BYTES LARGE_BLOCK_MIN
#define CHUNK_ENTRIES 32
struct slab {
    struct slab *next;
    size_t size, used;
};
struct chunk {
    struct chunk *next;
    int64_t n;
    struct entry items[CHUNK_ENTRIES]; /* bytes of a key: its address */
};
struct frozen {
    struct capture *capture; /* NULL: none */
    enum { FROZEN_RUNS, FROZEN_BELOW, FROZEN_PARTS, FROZEN_SLABS, FROZEN_DONE } phase;
    struct slab *slabs;
    struct chunk **parts; /* of each domain n_parts */
    int32_t n_parts, part_shift, part, run;
    struct run rows; /* the part that is given out, sorted */
    struct rocks_snapshot *held;
    struct kv_bytes at; /* the least key below that was not seen */
    int64_t credit;     /* entries that may still be looked at; below 0 where the last step took more */
};

struct timers {
    struct state_table state;
    struct timers_options options;
    struct memory_pool *pool;
    struct rocks *rocks; /* NULL: memory only */
    struct domain domains[2];
    uint64_t sequence;
    int64_t charged;
    struct entry *scratch;
    int64_t scratch_capacity;
    struct kv_bytes key, key_end, decoded;
    bool firing;
    struct frozen frozen;
};

/* --- runs */
static sabot_status array_grow(struct timers *timers, void *array, int64_t *capacity, int64_t wanted, size_t size,
                               struct sabot_error *err) {
    if (wanted <= *capacity) { return SABOT_OK; }
    int64_t more = *capacity ? *capacity * 2 : 64;
    while (more < wanted) { more *= 2; }
    const int64_t bytes = (more - *capacity) * (int64_t)size;
    SABOT_TRY(memory_charge(timers->pool, bytes, err));
    void *grown = realloc(*(void **)array, (size_t)more * size);
    if (!grown) {
        memory_charge(timers->pool, -bytes, NULL);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "timers %s: the system has no memory for %lld timers",
                          timers->options.name, (long long)more);
    }
    timers->charged += bytes;
    *(void **)array = grown;
    *capacity = more;
    return SABOT_OK;
}

static void run_free(struct timers *timers, struct run *run) {
    const int64_t bytes = run->capacity * (int64_t)sizeof(struct entry) + run->bytes_capacity;
    if (!bytes) { return; }
    memory_charge(timers->pool, -bytes, NULL);
    timers->charged -= bytes;
    free(run->items);
    free(run->bytes);
    *run = (struct run){0};
}

/* `bytes`: those of the key where it is of bytes. */
static inline sabot_status run_add(struct timers *timers, struct run *run, const struct entry *entry,
                                   const uint8_t *bytes, struct sabot_error *err) {
    if (run->n == run->capacity) {
        SABOT_TRY(array_grow(timers, &run->items, &run->capacity, run->n + 1, sizeof(struct entry), err));
    }
    struct entry *target = &run->items[run->n];
    *target = *entry;
    if (timers->options.key == KV_BYTES) {
        SABOT_TRY(array_grow(timers, &run->bytes, &run->bytes_capacity, run->n_bytes + entry->size + 1, 1,
                             err)); /* never NULL, for the empty key too */
        memcpy(run->bytes + run->n_bytes, bytes, entry->size);
        target->key = run->n_bytes;
        run->n_bytes += entry->size;
    }
    run->n++;
    return SABOT_OK;
}

static const uint8_t *bytes_of(const struct run *run, const struct entry *entry) {
    return run->bytes ? run->bytes + entry->key : NULL;
}

/* The order of timers, but for their sequence. */
static int timer_compare(const struct run *run_a, const struct entry *a, const struct run *run_b,
                         const struct entry *b) {
    if (a->time != b->time) { return a->time < b->time ? -1 : 1; }
    if (a->hash != b->hash) { return a->hash < b->hash ? -1 : 1; }
    if (a->callback != b->callback) { return a->callback < b->callback ? -1 : 1; }
    if (a->namespace_ != b->namespace_) { return a->namespace_ < b->namespace_ ? -1 : 1; }
    if (!run_a->bytes || !run_b->bytes) { return (a->key > b->key) - (a->key < b->key); }
    if (a->size != b->size) { return a->size < b->size ? -1 : 1; }
    return memcmp(bytes_of(run_a, a), bytes_of(run_b, b), a->size);
}

static int entry_compare(const struct run *run, const struct entry *a, const struct entry *b) {
    const int order = timer_compare(run, a, run, b);
    return order ? order : (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

/* One pass of a radix sort by 8 bits of a 32-bit or 64-bit field. */
#define RADIX_PASS(field, shift)                                                                                       \
    do {                                                                                                               \
        int64_t starts[257] = {0};                                                                                     \
        for (int64_t i = 0; i < n; i++) { starts[((from[i].field - low_##field) >> (shift) & 255) + 1]++; }            \
        for (int32_t d = 0; d < 256; d++) { starts[d + 1] += starts[d]; }                                              \
        for (int64_t i = 0; i < n; i++) { to[starts[(from[i].field - low_##field) >> (shift) & 255]++] = from[i]; }    \
        struct entry *swapped = from;                                                                                  \
        from = to;                                                                                                     \
        to = swapped;                                                                                                  \
    } while (0)

/* By time and the top 16 bits of the hash; a last pass of insertion puts the few in order that are still equal then. */
static sabot_status run_sort(struct timers *timers, struct run *run, struct sabot_error *err) {
    const int64_t n = run->n;
    uint64_t low_time = UINT64_MAX, high = 0;
    const uint32_t low_hash = 0;
    bool sorted = true;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t time = run->items[i].time;
        low_time = time < low_time ? time : low_time;
        high = time > high ? time : high;
        sorted &= i == 0 || entry_compare(run, &run->items[i - 1], &run->items[i]) < 0;
    }
    if (sorted) { return SABOT_OK; }
    if (n > 32) {
        SABOT_TRY(array_grow(timers, &timers->scratch, &timers->scratch_capacity, n, sizeof(struct entry), err));
        struct entry *from = run->items, *to = timers->scratch;
        RADIX_PASS(hash, 16);
        RADIX_PASS(hash, 24);
        for (int32_t shift = 0; shift < 64 && (high - low_time) >> shift; shift += 8) { RADIX_PASS(time, shift); }
        if (from != run->items) { memcpy(run->items, from, (size_t)n * sizeof *from); }
    }
    for (int64_t i = 1; i < n; i++) {
        const struct entry entry = run->items[i];
        int64_t at = i;
        for (; at > 0 && entry_compare(run, &entry, &run->items[at - 1]) < 0; at--) {
            run->items[at] = run->items[at - 1];
        }
        run->items[at] = entry;
    }
    return SABOT_OK;
}

/* Of equal timers the last; deletions go too, unless something may lie below that they are of. How many went. */
static int64_t run_dedup(struct run *run, bool keep_deletions) {
    int64_t kept = 0;
    for (int64_t i = 0; i < run->n; i++) {
        const bool last = i + 1 == run->n || timer_compare(run, &run->items[i], run, &run->items[i + 1]) != 0;
        if (last && (keep_deletions || !(run->items[i].sequence & 1))) { run->items[kept++] = run->items[i]; }
    }
    const int64_t gone = run->n - kept;
    run->n = kept;
    return gone;
}

/* --- what a snapshot wants */
static uint32_t part_of(const struct frozen *frozen, const struct entry *entry) {
    const uint64_t mixed = (entry->time ^ (uint64_t)entry->hash << 32) * UINT64_C(0x9e3779b97f4a7c15);
    return frozen->n_parts == 1 ? 0 : (uint32_t)(mixed >> frozen->part_shift);
}

static sabot_status slab_take(struct timers *timers, size_t size, void **out, struct sabot_error *err) {
    struct slab *slab = timers->frozen.slabs;
    size = (size + 15) / 16 * 16;
    if (!slab || slab->size - slab->used < size) {
        const size_t head = (sizeof *slab + 15) / 16 * 16;
        const size_t whole = head + size > SLAB_BYTES ? head + size : SLAB_BYTES;
        void *block;
        SABOT_TRY(memory_alloc(timers->pool, whole, &block, err));
        slab = block;
        *slab = (struct slab){.next = timers->frozen.slabs, .size = whole, .used = head};
        timers->frozen.slabs = slab;
    }
    *out = (char *)slab + slab->used;
    slab->used += size;
    return SABOT_OK;
}

static void slab_free(struct timers *timers) {
    struct slab *slab = timers->frozen.slabs;
    timers->frozen.slabs = slab->next;
    memory_free(timers->pool, slab, slab->size);
}

static sabot_status frozen_add(struct timers *timers, int32_t domain, const struct entry *entry, const uint8_t *bytes,
                               struct sabot_error *err) {
    struct frozen *frozen = &timers->frozen;
    struct chunk **part = &frozen->parts[domain * frozen->n_parts + (int32_t)part_of(frozen, entry)];
    void *taken;
    if (!*part || (*part)->n == CHUNK_ENTRIES) {
        SABOT_TRY(slab_take(timers, sizeof **part, &taken, err));
        struct chunk *chunk = taken;
        chunk->next = *part;
        chunk->n = 0;
        *part = chunk;
    }
    struct entry *target = &(*part)->items[(*part)->n];
    *target = *entry;
    if (timers->options.key == KV_BYTES) {
        SABOT_TRY(slab_take(timers, entry->size, &taken, err));
        memcpy(taken, bytes, entry->size);
        target->key = (int64_t)(intptr_t)taken;
    }
    (*part)->n++;
    return SABOT_OK;
}

/* Up to so many entries of a run that the snapshot wants. */
static void run_gather(struct timers *timers, int32_t domain, struct run *run, int64_t most) {
    struct frozen *frozen = &timers->frozen;
    const int64_t end = run->wanted_end - run->wanted < most ? run->wanted_end : run->wanted + most;
    for (; run->wanted < end && frozen->capture->error.status == SABOT_OK; run->wanted++) {
        const struct entry *entry = &run->items[run->wanted];
        (void)frozen_add(timers, domain, entry, bytes_of(run, entry), &frozen->capture->error);
    }
}

/* The items of a run are about to move (not: to be passed over, they stand where they stood). */
static void run_disturb(struct timers *timers, const struct domain *domain, struct run *run) {
    if (run->wanted < run->wanted_end) { run_gather(timers, (int32_t)(domain - timers->domains), run, INT64_MAX / 2); }
    run->wanted = run->wanted_end = 0;
}

/* --- buckets */
static void place_of(const struct domain *domain, uint64_t time, int32_t *level, int32_t *digit) {
    *level = (63 - __builtin_clzll(time ^ domain->base)) / 6;
    *digit = (int32_t)(time >> (6 * *level) & 63);
}

/* The first and last time of the bucket. */
static void bucket_range(const struct domain *domain, int32_t level, int32_t digit, uint64_t *first, uint64_t *last) {
    const int32_t shift = 6 * level;
    const uint64_t mask = shift + 6 >= 64 ? 0 : UINT64_MAX << (shift + 6);
    *first = (domain->base & mask) | (uint64_t)digit << shift;
    *last = *first | (((UINT64_C(1) << shift) - 1));
}

static sabot_status entry_put(struct timers *timers, struct domain *domain, const struct entry *entry,
                              const uint8_t *bytes, struct sabot_error *err) {
    struct run *run = &domain->fresh;
    if (entry->time > domain->base) {
        int32_t level, digit;
        place_of(domain, entry->time, &level, &digit);
        run = &domain->buckets[level][digit];
        domain->filled[level] |= UINT64_C(1) << digit;
    }
    SABOT_TRY(run_add(timers, run, entry, bytes, err));
    domain->n++;
    if (run->n < COMPACT_MIN || run->n < run->compact_at) { return SABOT_OK; }
    run_disturb(timers, domain, run);
    SABOT_TRY(run_sort(timers, run, err));
    domain->n -= run_dedup(run, timers->rocks != NULL || run == &domain->fresh);
    run->compact_at = run->n * 2;
    return SABOT_OK;
}

static bool bucket_first(const struct domain *domain, int32_t *level, int32_t *digit) {
    for (*level = 0; *level < LEVELS; ++*level) {
        if (!domain->filled[*level]) { continue; }
        *digit = __builtin_ctzll(domain->filled[*level]);
        return true;
    }
    return false;
}

/* --- RocksDB: keys are domain, time, namespace, callback, key: the order in which they fire */
static sabot_status below_key(enum timer_domain domain, uint64_t time, struct kv_bytes *out, struct sabot_error *err) {
    SABOT_TRY(kv_key_begin(out, (int32_t)domain, 0, err));
    return kv_key_number(out, ms_of(time), err);
}

static struct rocks_span span_of(const struct kv_bytes *bytes) { return (struct rocks_span){bytes->data, bytes->size}; }

static sabot_status below_entry_key(struct timers *timers, enum timer_domain domain, const struct run *run,
                                    const struct entry *entry, struct sabot_error *err) {
    SABOT_TRY(below_key(domain, entry->time, &timers->key, err));
    SABOT_TRY(kv_key_number(&timers->key, entry->namespace_, err));
    SABOT_TRY(kv_key_number(&timers->key, entry->callback, err));
    if (timers->options.key != KV_BYTES) { return kv_key_number(&timers->key, entry->key, err); }
    const struct string_view view = string_view_of((const char *)bytes_of(run, entry), entry->size);
    return kv_key_add(&timers->key, KV_BYTES, &view, err);
}

/* Moves a bucket down. */
static sabot_status bucket_spill(struct timers *timers, enum timer_domain which, int32_t level, int32_t digit,
                                 struct sabot_error *err) {
    struct domain *domain = &timers->domains[which];
    struct run *run = &domain->buckets[level][digit];
    run_disturb(timers, domain, run);
    SABOT_TRY(run_sort(timers, run, err));
    domain->n -= run_dedup(run, true);
    rocks_discard(timers->rocks);
    for (int64_t i = 0; i < run->n; i++) {
        const struct entry *entry = &run->items[i];
        SABOT_TRY(below_entry_key(timers, which, run, entry, err));
        if (entry->sequence & 1) {
            rocks_delete(timers->rocks, KV_FAMILY_TIMERS, span_of(&timers->key));
        } else {
            rocks_put(timers->rocks, KV_FAMILY_TIMERS, span_of(&timers->key), (struct rocks_span){"", 0});
        }
    }
    SABOT_TRY(rocks_commit(timers->rocks, false, err));
    if (run->n && (!domain->below_any || run->items[0].time < domain->below_next)) {
        domain->below_next = run->items[0].time;
    }
    domain->below_any |= run->n > 0;
    domain->n_below += run->n;
    domain->n -= run->n;
    domain->filled[level] &= ~(UINT64_C(1) << digit);
    run_free(timers, run);
    return SABOT_OK;
}

/* Moves the farthest buckets down until half the room is free. */
static sabot_status spill(struct timers *timers, enum timer_domain which, struct sabot_error *err) {
    struct domain *domain = &timers->domains[which];
    const int64_t max = timers->options.memory_max;
    if (!timers->rocks || domain->n <= max) { return SABOT_OK; }
    for (int32_t level = LEVELS - 1; level >= 0; level--) {
        while (domain->filled[level]) {
            if (domain->n <= max / 2) { return SABOT_OK; }
            SABOT_TRY(bucket_spill(timers, which, level, 63 - __builtin_clzll(domain->filled[level]), err));
        }
    }
    return SABOT_OK;
}

static uint32_t hash_of(int64_t namespace_, int32_t callback, uint64_t key_hash) {
    uint64_t hash = (key_hash ^ (uint64_t)namespace_ * UINT64_C(0x9e3779b97f4a7c15)) + (uint64_t)callback;
    hash = (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(hash >> 32);
}

/* A key of RocksDB as an entry; its bytes are in timers->decoded. */
static sabot_status below_decode(struct timers *timers, struct rocks_span key, struct entry *entry,
                                 struct sabot_error *err) {
    const uint8_t *at = (const uint8_t *)key.data + KV_PREFIX_SIZE, *end = (const uint8_t *)key.data + key.size;
    int64_t time_ms, callback, number = 0;
    struct string_view view = {0};
    timers->decoded.size = 0;
    SABOT_TRY(kv_bytes_reserve(&timers->decoded, key.size, err));
    if (key.size < KV_PREFIX_SIZE || !kv_key_read_number(&at, end, &time_ms) ||
        !kv_key_read_number(&at, end, &entry->namespace_) || !kv_key_read_number(&at, end, &callback) ||
        !kv_key_read(&at, end, timers->options.key, &timers->decoded, &view, &number)) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "timers %s: a key of %zu bytes in RocksDB is damaged",
                          timers->options.name, key.size);
    }
    entry->time = time_of(time_ms);
    entry->callback = (int32_t)callback;
    entry->key = number;
    entry->size = view.size;
    entry->sequence = 0;
    entry->hash = hash_of(entry->namespace_, entry->callback,
                          timers->options.key == KV_BYTES ? kv_key_hash(KV_BYTES, &view) : (uint64_t)number);
    return SABOT_OK;
}

/* Brings timers with times in first..last up into `run`, at most LOAD_MAX and then to the end of a time. */
static sabot_status below_load(struct timers *timers, enum timer_domain which, uint64_t first, uint64_t last,
                               struct run *run, struct sabot_error *err) {
    struct domain *domain = &timers->domains[which];
    struct rocks_scan *scan;
    struct rocks_span key, value;
    struct sabot_error failure = {0};
    uint64_t loaded_to = first;
    const int64_t before = run->n;
    SABOT_TRY(below_key(which, first, &timers->key, err));
    SABOT_TRY(kv_key_begin(&timers->key_end, (int32_t)which + 1, 0, err));
    SABOT_TRY(rocks_scan_open(timers->rocks, KV_FAMILY_TIMERS, span_of(&timers->key), span_of(&timers->key_end), &scan,
                              err));
    sabot_status status = SABOT_OK;
    uint64_t next = 0;
    bool any = false;
    while (status == SABOT_OK && rocks_scan_next(scan, &key, &value, &failure)) {
        struct entry entry;
        status = below_decode(timers, key, &entry, err);
        if (status != SABOT_OK) { break; }
        if (entry.time > last || (run->n - before >= LOAD_MAX && entry.time != loaded_to)) {
            next = entry.time;
            any = true;
            break;
        }
        loaded_to = entry.time;
        status = run_add(timers, run, &entry, timers->decoded.data, err);
    }
    rocks_scan_close(scan);
    if (failure.status != SABOT_OK) {
        if (err && err->status == SABOT_OK) { *err = failure; }
        status = failure.status;
    }
    if (status == SABOT_OK && run->n > before) {
        /* What is in memory now is gone below: one range, behind all later reads. */
        rocks_discard(timers->rocks);
        status = below_key(which, loaded_to, &timers->key_end, err);
        if (status == SABOT_OK) {
            kv_key_next(&timers->key_end);
            rocks_delete_range(timers->rocks, KV_FAMILY_TIMERS, span_of(&timers->key), span_of(&timers->key_end));
            status = rocks_commit(timers->rocks, false, err);
        }
    }
    if (status != SABOT_OK) {
        run->n = before; /* they are still below */
        return status;
    }
    domain->n += run->n - before;
    domain->n_below -= run->n - before < domain->n_below ? run->n - before : domain->n_below;
    domain->below_next = next;
    domain->below_any = any;
    return SABOT_OK;
}

/* --- firing */
/* Puts what was registered for times that have come into the sorted run. */
static sabot_status fresh_merge(struct timers *timers, struct domain *domain, struct sabot_error *err) {
    struct run *fresh = &domain->fresh, *ready = &domain->ready;
    if (!fresh->n) { return SABOT_OK; }
    run_disturb(timers, domain, fresh);
    run_disturb(timers, domain, ready);
    if (ready->first) { /* those before are gone */
        memmove(ready->items, ready->items + ready->first, (size_t)(ready->n - ready->first) * sizeof(struct entry));
        ready->n -= ready->first;
        ready->first = 0;
        if (!ready->n) { ready->n_bytes = 0; }
    }
    const int64_t before = ready->n;
    for (int64_t i = 0; i < fresh->n; i++) {
        const sabot_status status = run_add(timers, ready, &fresh->items[i], bytes_of(fresh, &fresh->items[i]), err);
        if (status != SABOT_OK) {
            ready->n = before; /* they are still in `fresh` */
            return status;
        }
    }
    fresh->n = fresh->n_bytes = 0;
    SABOT_TRY(run_sort(timers, ready, err));
    domain->n -= run_dedup(ready, false);
    return SABOT_OK;
}

/* Opens the earliest bucket that begins by `until`: into the sorted run, or spread over the levels below it. */
static sabot_status bucket_open(struct timers *timers, enum timer_domain which, uint64_t until, bool *opened,
                                struct sabot_error *err) {
    struct domain *domain = &timers->domains[which];
    int32_t level, digit;
    uint64_t first = 0, last = 0;
    *opened = false;
    const bool any = bucket_first(domain, &level, &digit);
    if (any) { bucket_range(domain, level, digit, &first, &last); }
    if (domain->below_any && (!any || domain->below_next < first)) {
        if (domain->below_next <= domain->base) { /* only below, and due: straight into `fresh` */
            *opened = true;
            return below_load(timers, which, domain->below_next, domain->base, &domain->fresh, err);
        }
        place_of(domain, domain->below_next, &level, &digit);
        bucket_range(domain, level, digit, &first, &last);
    }
    if ((!any && !domain->below_any) || first > until) { return SABOT_OK; }
    *opened = true;
    struct run *bucket = &domain->buckets[level][digit];
    domain->filled[level] |= UINT64_C(1) << digit;
    if (domain->below_any && domain->below_next <= last) {
        SABOT_TRY(below_load(timers, which, domain->below_next, last, bucket, err));
    }
    const bool whole = !domain->below_any || domain->below_next > last;
    run_disturb(timers, domain, bucket);
    struct run taken = *bucket;
    *bucket = (struct run){0};
    domain->filled[level] &= ~(UINT64_C(1) << digit);
    domain->n -= taken.n;
    /* Only what is due goes to `fresh` and is sorted; the others, into the levels below. (If all of the bucket went,
     * whatever is registered before its last time would be sorted in at each firing.) */
    domain->base = level > 0 && !(whole && taken.n <= READY_MAX) ? first : last < until ? last : until;
    sabot_status status = SABOT_OK;
    for (int64_t i = 0; i < taken.n && status == SABOT_OK; i++) { /* a failure ends the job */
        status = entry_put(timers, domain, &taken.items[i], bytes_of(&taken, &taken.items[i]), err);
    }
    run_free(timers, &taken);
    return status;
}

sabot_status timers_fire(struct timers *timers, enum timer_domain which, int64_t until_ms, int32_t max, bool *more,
                         struct sabot_error *err) {
    struct domain *domain = &timers->domains[which];
    const uint64_t until = time_of(until_ms);
    struct run *ready = &domain->ready;
    static _Thread_local struct timer batch[FIRE_MAX];
    assert(!timers->firing);
    int32_t fired = 0, offer = FIRE_MAX;
    *more = false;
    for (;;) {
        SABOT_TRY(fresh_merge(timers, domain, err));
        if (ready->first == ready->n) {
            bool opened;
            ready->first = ready->n = ready->n_bytes = 0;
            SABOT_TRY(bucket_open(timers, which, until, &opened, err));
            if (!opened) { return SABOT_OK; }
            continue;
        }
        if (ready->items[ready->first].time > until) { return SABOT_OK; }
        if (fired >= max) {
            *more = true;
            return SABOT_OK;
        }
        const int32_t callback = ready->items[ready->first].callback;
        int32_t n = 0;
        for (int64_t i = ready->first; i < ready->n && n < offer && n < max - fired; i++, n++) {
            const struct entry *entry = &ready->items[i];
            if (entry->time > until || entry->callback != callback) { break; }
            batch[n] = (struct timer){.time_ms = ms_of(entry->time), .namespace_ = entry->namespace_};
            if (timers->options.key == KV_BYTES) {
                batch[n].key.bytes = string_view_of((const char *)bytes_of(ready, entry), entry->size);
            } else {
                batch[n].key.number = entry->key;
            }
        }
        if (callback < 0 || callback >= TIMER_CALLBACKS_MAX || !timers->options.callbacks[callback]) {
            return SABOT_FAIL(err, SABOT_ERR_STATE, "timers %s: a timer of the checkpoint wants callback %d, which "
                              "this job does not have: start it without the checkpoint", timers->options.name,
                              callback);
        }
        int32_t taken = n;
        timers->firing = true;
        const sabot_status status =
            timers->options.callbacks[callback](timers->options.arg, which, batch, n, &taken, err);
        timers->firing = false;
        SABOT_TRY(status);
        assert(taken > 0 && taken <= n);
        ready->first += taken;
        domain->n -= taken;
        fired += taken;
        offer = 2 * (taken < n ? taken : offer); /* what is not taken is made again */
        offer = offer > FIRE_MAX ? FIRE_MAX : offer;
    }
}

int64_t timers_next(const struct timers *timers, enum timer_domain which) {
    const struct domain *domain = &timers->domains[which];
    uint64_t next = domain->below_any ? domain->below_next : UINT64_MAX;
    if (domain->ready.first < domain->ready.n) {
        const uint64_t time = domain->ready.items[domain->ready.first].time;
        next = time < next ? time : next;
    }
    for (int64_t i = 0; i < domain->fresh.n; i++) {
        const struct entry *entry = &domain->fresh.items[i];
        next = !(entry->sequence & 1) && entry->time < next ? entry->time : next;
    }
    int32_t level, digit;
    if (bucket_first(domain, &level, &digit)) {
        uint64_t first, last;
        bucket_range(domain, level, digit, &first, &last);
        next = first < next ? first : next;
    }
    return ms_of(next);
}

/* --- registering */
static sabot_status change(struct timers *timers, enum timer_domain which, int64_t time_ms, int64_t namespace_,
                           const void *key, int32_t callback, bool deletion, struct sabot_error *err) {
    struct domain *domain = &timers->domains[which];
    const bool is_bytes = timers->options.key == KV_BYTES;
    const struct string_view *view = is_bytes ? key : NULL;
    const struct entry entry = {
        .time = time_of(time_ms), .namespace_ = namespace_, .key = is_bytes ? 0 : *(const int64_t *)key,
        .sequence = ++timers->sequence << 1 | deletion, .size = is_bytes ? view->size : 0, .callback = callback,
        .hash = hash_of(namespace_, callback, is_bytes ? kv_key_hash(KV_BYTES, key) : (uint64_t)*(const int64_t *)key)};
    SABOT_TRY(entry_put(timers, domain, &entry, is_bytes ? (const uint8_t *)string_view_data(view) : NULL, err));
    return timers->rocks ? spill(timers, which, err) : SABOT_OK;
}

sabot_status timers_register(struct timers *timers, enum timer_domain domain, int64_t time_ms, int64_t namespace_,
                             const void *key, int32_t callback, struct sabot_error *err) {
    return change(timers, domain, time_ms, namespace_, key, callback, false, err);
}

sabot_status timers_delete(struct timers *timers, enum timer_domain domain, int64_t time_ms, int64_t namespace_,
                           const void *key, int32_t callback, struct sabot_error *err) {
    return change(timers, domain, time_ms, namespace_, key, callback, true, err);
}

/* --- snapshot and restore: rows of [key group, namespace, key, callback, time, domain] */
enum { COLUMN_GROUP, COLUMN_NAMESPACE, COLUMN_KEY, COLUMN_CALLBACK, COLUMN_TIME, COLUMN_DOMAIN };

#define PART_ENTRIES 4096 /* a part has about so many */
#define PARTS_MAX (1 << 14)
#define GIVE_ROWS 512
#define GATHER_COST 2 /* of an entry, in rows given: each goes to a place of its own, in memory that is new */
#define SLAB_COST 4096
#define RUNS (LEVELS * 64 + 2)

static struct run *run_at(struct timers *timers, int32_t i) {
    struct domain *domain = &timers->domains[i / RUNS];
    const int32_t at = i % RUNS;
    return at == 0 ? &domain->ready : at == 1 ? &domain->fresh : &domain->buckets[(at - 2) / 64][(at - 2) % 64];
}

static void frozen_clear(struct timers *timers) {
    struct frozen *frozen = &timers->frozen;
    for (int32_t i = 0; i < 2 * RUNS; i++) { run_at(timers, i)->wanted = run_at(timers, i)->wanted_end = 0; }
    while (frozen->slabs) { slab_free(timers); }
    run_free(timers, &frozen->rows);
    free(frozen->parts);
    rocks_snapshot_free(frozen->held);
    kv_bytes_free(&frozen->at);
    *frozen = (struct frozen){0};
}

/* The mark: no entry is looked at. */
static sabot_status timers_freeze(struct state_table *base, struct sabot_error *err) {
    struct timers *timers = (struct timers *)base;
    struct frozen *frozen = &timers->frozen;
    int64_t n = 0;
    assert(!frozen->capture && base->capture->form == STATE_FORM_ROWS);
    for (int32_t d = 0; d < 2; d++) { n += timers->domains[d].n + timers->domains[d].n_below; }
    frozen->n_parts = 1;
    frozen->part_shift = 64;
    while (frozen->n_parts < PARTS_MAX && n / frozen->n_parts > PART_ENTRIES) {
        frozen->n_parts *= 2;
        frozen->part_shift--;
    }
    frozen->parts = calloc((size_t)frozen->n_parts * 2, sizeof *frozen->parts);
    sabot_status status = SABOT_OK;
    if (!frozen->parts) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "timers %s: no memory for a snapshot", base->name);
    } else if (timers->domains[0].below_any || timers->domains[1].below_any) {
        status = rocks_snapshot_new(timers->rocks, &frozen->held, err);
    }
    if (status != SABOT_OK) {
        frozen_clear(timers);
        return status;
    }
    for (int32_t i = 0; i < 2 * RUNS; i++) {
        struct run *run = run_at(timers, i);
        run->wanted = run->first;
        run->wanted_end = run->n;
    }
    frozen->capture = base->capture;
    return SABOT_OK;
}

/* Some entries of a run, or on to the next one. */
static void runs_step(struct timers *timers) {
    struct frozen *frozen = &timers->frozen;
    struct run *run = run_at(timers, frozen->run);
    const int64_t before = run->wanted;
    run_gather(timers, frozen->run / RUNS, run, frozen->credit / GATHER_COST + 1);
    frozen->credit -= GATHER_COST * (run->wanted - before);
    if (run->wanted == run->wanted_end && ++frozen->run == 2 * RUNS) { frozen->phase = FROZEN_BELOW; }
}

/* Some of what lay in RocksDB. */
static sabot_status below_step(struct timers *timers, struct sabot_error *err) {
    struct frozen *frozen = &timers->frozen;
    struct rocks_scan *scan;
    struct rocks_span key, value;
    struct sabot_error failure = {0};
    if (!frozen->held) {
        frozen->phase = FROZEN_PARTS;
        return SABOT_OK;
    }
    SABOT_TRY(kv_key_begin(&timers->key_end, 2, 0, err));
    SABOT_TRY(rocks_scan_open_at(timers->rocks, frozen->held, KV_FAMILY_TIMERS, span_of(&frozen->at),
                                 span_of(&timers->key_end), &scan, err));
    sabot_status status = SABOT_OK;
    bool more = true;
    while (status == SABOT_OK && frozen->credit > 0 && (more = rocks_scan_next(scan, &key, &value, &failure))) {
        struct entry entry;
        status = below_decode(timers, key, &entry, err);
        if (status == SABOT_OK) {
            status = frozen_add(timers, ((const uint8_t *)key.data)[1] != 0, &entry, timers->decoded.data, err);
        }
        frozen->credit -= GATHER_COST;
        if (frozen->credit > 0 || status != SABOT_OK) { continue; }
        frozen->at.size = 0; /* the least key behind it is where the next step goes on */
        status = kv_bytes_reserve(&frozen->at, key.size + 1, err);
        if (status != SABOT_OK) { break; }
        memcpy(frozen->at.data, key.data, key.size);
        frozen->at.data[key.size] = 0;
        frozen->at.size = key.size + 1;
    }
    rocks_scan_close(scan);
    if (status == SABOT_OK && failure.status != SABOT_OK) {
        return SABOT_FAIL(err, failure.status, "%s", failure.message);
    }
    if (!more) { frozen->phase = FROZEN_PARTS; }
    return status;
}

/* Entries of a part, as rows. */
static void rows_give(struct timers *timers, int64_t domain, const struct run *run, int64_t first, int32_t n) {
    int64_t namespaces[GIVE_ROWS], callbacks[GIVE_ROWS], times[GIVE_ROWS], domains[GIVE_ROWS], numbers[GIVE_ROWS];
    struct string_view views[GIVE_ROWS];
    int32_t slots[GIVE_ROWS];
    const bool is_bytes = timers->options.key == KV_BYTES;
    for (int32_t i = 0; i < n; i++) {
        const struct entry *entry = &run->items[first + i];
        slots[i] = i;
        namespaces[i] = entry->namespace_;
        callbacks[i] = entry->callback;
        times[i] = ms_of(entry->time);
        domains[i] = domain;
        numbers[i] = entry->key;
        if (is_bytes) { views[i] = string_view_of((const char *)bytes_of(run, entry), entry->size); }
    }
    const void *keys = is_bytes ? (const void *)views : numbers;
    const struct capture_source source = {.columns = {keys, callbacks, times, domains}, .namespaces = namespaces};
    capture_rows(timers->frozen.capture, &source, slots, n, true);
}

/* The timers of a part, each once. */
static sabot_status part_sort(struct timers *timers, const struct chunk *chunk, struct sabot_error *err) {
    struct run *rows = &timers->frozen.rows;
    rows->n = rows->first = rows->n_bytes = 0;
    for (; chunk; chunk = chunk->next) {
        for (int64_t i = 0; i < chunk->n; i++) {
            const struct entry *entry = &chunk->items[i];
            SABOT_TRY(run_add(timers, rows, entry, (const uint8_t *)(intptr_t)entry->key, err));
        }
    }
    timers->frozen.credit -= rows->n;
    SABOT_TRY(run_sort(timers, rows, err));
    run_dedup(rows, false);
    return SABOT_OK;
}

/* Sorts the next part, or gives some rows of one. */
static sabot_status part_step(struct timers *timers, struct sabot_error *err) {
    struct frozen *frozen = &timers->frozen;
    struct run *rows = &frozen->rows;
    if (rows->first == rows->n) {
        frozen->credit--;
        if (frozen->part < 2 * frozen->n_parts) { return part_sort(timers, frozen->parts[frozen->part++], err); }
        frozen->phase = FROZEN_SLABS;
        return SABOT_OK;
    }
    const int64_t left = rows->n - rows->first;
    const int32_t n = left < GIVE_ROWS ? (int32_t)left : GIVE_ROWS;
    rows_give(timers, frozen->part > frozen->n_parts, rows, rows->first, n);
    rows->first += n;
    frozen->credit -= n;
    return SABOT_OK;
}

static void slabs_step(struct timers *timers) {
    timers->frozen.credit -= SLAB_COST;
    if (timers->frozen.slabs) {
        slab_free(timers);
    } else {
        timers->frozen.phase = FROZEN_DONE;
    }
}

static bool timers_copy(struct state_table *base, int32_t n) {
    struct timers *timers = (struct timers *)base;
    struct frozen *frozen = &timers->frozen;
    struct sabot_error *err = &frozen->capture->error;
    frozen->credit = n == INT32_MAX ? INT64_MAX / 2 : frozen->credit + n;
    while (frozen->credit > 0 && frozen->phase != FROZEN_DONE && err->status == SABOT_OK) {
        switch (frozen->phase) {
        case FROZEN_RUNS: runs_step(timers); break;
        case FROZEN_BELOW: (void)below_step(timers, err); break;
        case FROZEN_PARTS: (void)part_step(timers, err); break;
        default: slabs_step(timers); break;
        }
    }
    return frozen->phase == FROZEN_DONE || err->status != SABOT_OK;
}

static void timers_thaw(struct state_table *base) {
    struct timers *timers = (struct timers *)base;
    if (timers->frozen.capture) { frozen_clear(timers); }
}

static int64_t number_at(const struct batch *rows, int32_t column, int32_t row) {
    const struct column *from = rows->columns[column];
    return ((const int64_t *)from->values)[column_at(from, row)];
}

static sabot_status timers_restore(struct state_table *base, int64_t namespace_, const struct batch *rows,
                                   const int32_t *at, int32_t n, struct sabot_error *err) {
    struct timers *timers = (struct timers *)base;
    const struct column *keys = rows->columns[COLUMN_KEY];
    const size_t size = kv_size(timers->options.key);
    for (int32_t i = 0; i < n; i++) {
        const void *key = (const char *)keys->values + (size_t)column_at(keys, at[i]) * size;
        SABOT_TRY(timers_register(timers, number_at(rows, COLUMN_DOMAIN, at[i]) ? TIMER_PROCESSING_TIME
                                                                                : TIMER_EVENT_TIME,
                                  number_at(rows, COLUMN_TIME, at[i]), namespace_, key,
                                  (int32_t)number_at(rows, COLUMN_CALLBACK, at[i]), err));
    }
    return SABOT_OK;
}

static void timers_close(struct state_table *base) {
    struct timers *timers = (struct timers *)base;
    frozen_clear(timers);
    for (int32_t d = 0; d < 2; d++) {
        struct domain *domain = &timers->domains[d];
        for (int32_t b = 0; b < LEVELS * 64; b++) { run_free(timers, &domain->buckets[b / 64][b % 64]); }
        run_free(timers, &domain->fresh);
        run_free(timers, &domain->ready);
    }
    memory_charge(timers->pool, -timers->scratch_capacity * (int64_t)sizeof(struct entry), NULL);
    free(timers->scratch);
    kv_bytes_free(&timers->key);
    kv_bytes_free(&timers->key_end);
    kv_bytes_free(&timers->decoded);
    kv_store_free(timers->options.store);
    free(timers);
}

static const struct state_backend adopted = {
    .name = "timers", .close = timers_close, .restore = timers_restore, .freeze = timers_freeze, .copy = timers_copy,
    .thaw = timers_thaw};

sabot_status timers_open(const struct timers_options *options, struct timers **out, struct sabot_error *err) {
    *out = NULL;
    struct state_tables *tables = kv_store_tables(options->store);
    struct timers *timers = calloc(1, sizeof *timers);
    if (!timers) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for timers %s", options->name); }
    timers->options = *options;
    timers->pool = state_tables_context(tables)->pool;
    if (!options->memory_max) {
        const int64_t share = memory_limit(timers->pool) / LIMIT_SHARE / (int64_t)sizeof(struct entry);
        timers->options.memory_max = share < MEMORY_MAX_DEFAULT ? share : MEMORY_MAX_DEFAULT;
    }
    timers->rocks = kv_store_rocks(options->store);
    timers->state.backend = &adopted;
    timers->state.context = state_tables_context(tables);
    const struct type number = type_not_null(type_of(TYPE_INT64));
    const struct field fields[] = {
        {"key", options->key == KV_BYTES ? type_not_null(type_of(TYPE_BINARY)) : number},
        {"callback", number}, {"time_ms", number}, {"domain", number}};
    struct schema *schema;
    sabot_status status = schema_new(fields, 4, &schema, err);
    if (status != SABOT_OK) {
        free(timers);
        return status;
    }
    kv_store_ref(options->store);
    status = state_table_adopt(tables, &(struct state_spec){.name = options->name, .kind = STATE_KEYED,
                                                            .schema = schema, .n_keys = 4, .n_sub_keys = 3},
                               &timers->state, err);
    schema_unref(schema);
    if (status == SABOT_OK) { *out = timers; }
    return status;
}
