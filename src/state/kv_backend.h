/* What a backend of key-value state implements: typed tables of (namespace, key[, second key]) -> value, n keys at a
 * time. The kinds of state that users see (values, lists, maps, folds, counters) are in kv.h, above this.
 *
 * To add one: a file with a const struct kv_backend, a line in kv.c, its name in kv_conformance_test.c. `trace` and
 * `faulty` are backends too, before another. One thread at a time. */
#ifndef STATE_KV_BACKEND_H
#define STATE_KV_BACKEND_H

#include "base/env.h"
#include "state/state_backend.h"

#define KV_ROWS_MAX 1024 /* keys per call of a backend; kv.c divides what is longer */

/* How values and keys are given: int64_t[], double[] or struct string_view[] (bytes up to 2^31). */
enum kv_type { KV_INT64, KV_FLOAT64, KV_BYTES };

enum kv_time { KV_PROCESSING_TIME, KV_EVENT_TIME };

struct kv_ttl {
    int64_t ttl_ms;     /* 0: values never expire */
    enum kv_time time;
    bool on_read;       /* reading makes a value young again too; without: only writing */
};

struct kv_spec {
    const char *name;
    enum kv_type key, sub_key, value; /* keys: KV_INT64 or KV_BYTES */
    bool has_sub_key;                 /* entries of one key belong together: they can be listed, and removed at once */
    bool counter;                     /* KV_INT64 values that are added to */
    bool broadcast;                   /* the same at every subtask; no key groups */
    struct kv_ttl ttl;
};

/* The time as the operator last told it (kv_store_set_time). Read by compaction threads too. */
struct kv_clock {
    _Atomic int64_t now_ms[2];   /* by enum kv_time */
    _Atomic int64_t first_ms[2]; /* what was told first */
};

/* n keys of one namespace: arrays by the spec's types. */
struct kv_keys {
    int64_t namespace_;
    int32_t n;
    const void *keys, *subs; /* subs: NULL without second keys */
    const int64_t *times_ms; /* put only: when the values were written (a restore); NULL = now */
};

struct capture; /* capture.h */
struct kv_table {
    const struct kv_backend *backend;
    struct kv_spec spec;
    char name[64];
    struct kv_clock *clock;
};

/* The column families of a store's RocksDB. */
enum kv_family { KV_FAMILY_VALUES, KV_FAMILY_COUNTERS, KV_FAMILY_TIMERS, KV_FAMILIES };

struct kv_below;
struct kv_open {
    const struct state_context *context;
    const struct kv_spec *spec;
    struct env *env;
    struct kv_clock *clock;
    struct kv_below *values, *counters; /* of rocksdb and tonbo: what is below the cache */
    int32_t id;             /* of the table among the store's */
    int32_t cache_rows;
};

/* Called for entries; views are valid during the call. The table must not be touched. false ends the scan. */
struct kv_entry {
    int64_t namespace_, time_ms;
    const void *key, *sub, *value;
};
typedef bool (*kv_each)(void *arg, const struct kv_entry *entry);

struct kv_backend {
    const char *name;
    sabot_status (*open)(const struct kv_open *open, struct kv_table **out, struct sabot_error *err);
    void (*close)(struct kv_table *table);
    /* values: an array by the spec's type, set where found; views are valid until the next call. */
    sabot_status (*get)(struct kv_table *table, const struct kv_keys *keys, void *values, bool *found,
                        struct sabot_error *err);
    /* The same key more than once: the last counts. */
    sabot_status (*put)(struct kv_table *table, const struct kv_keys *keys, const void *values,
                        struct sabot_error *err);
    sabot_status (*erase)(struct kv_table *table, const struct kv_keys *keys, struct sabot_error *err);
    /* Counters: adds (wrapping) to what is there, 0 where nothing is. */
    sabot_status (*add)(struct kv_table *table, const struct kv_keys *keys, const int64_t *deltas,
                        struct sabot_error *err);
    /* Entries of one key in any order; key NULL: those of all keys of all namespaces. Expired ones are left out. */
    sabot_status (*scan)(struct kv_table *table, int64_t namespace_, const void *key, kv_each each, void *arg,
                         struct sabot_error *err);
    sabot_status (*clear)(struct kv_table *table, int64_t namespace_, struct sabot_error *err);
    /* Looks at up to so many entries and removes those that are expired. */
    sabot_status (*sweep)(struct kv_table *table, int32_t entries, struct sabot_error *err);
    /* Writes what is only in memory to the store below. */
    sabot_status (*flush)(struct kv_table *table, struct sabot_error *err);
    /* A snapshot of all entries into `capture` while the table goes on changing, in the form that it says: as freeze,
     * copy and thaw of state_backend.h. Where slot_column is NULL there are none, and a snapshot is a scan. */
    const char *slot_column;
    sabot_status (*freeze)(struct kv_table *table, struct capture *capture, struct sabot_error *err);
    bool (*copy)(struct kv_table *table, int32_t slots);
    void (*thaw)(struct kv_table *table);
};

extern const struct kv_backend kv_memory, kv_rocksdb, kv_tonbo;

/* --- for backends */
static inline size_t kv_size(enum kv_type type) { return type == KV_BYTES ? sizeof(struct string_view) : 8; }
static inline int64_t kv_now_ms(const struct kv_table *table) {
    return atomic_load_explicit(&table->clock->now_ms[table->spec.ttl.time], memory_order_relaxed);
}
/* The time of what was written before the first watermark: it begins to age with that. */
#define KV_TIME_UNKNOWN INT64_MIN
static inline int64_t kv_written_ms(const struct kv_clock *clock, enum kv_time time, int64_t time_ms) {
    return time_ms != KV_TIME_UNKNOWN ? time_ms : atomic_load_explicit(&clock->first_ms[time], memory_order_acquire);
}
static inline bool kv_expired(int64_t ttl_ms, int64_t time_ms, int64_t now_ms) {
    int64_t since_ms;
    return now_ms != KV_TIME_UNKNOWN && time_ms != KV_TIME_UNKNOWN &&
           !__builtin_sub_overflow(now_ms, ttl_ms, &since_ms) && time_ms <= since_ms;
}
/* The schema of a table: keys, the value, and the time in ms where it has a TTL; with `extra` fields behind. */
sabot_status kv_schema(const struct kv_spec *spec, const struct field *extra, int32_t n_extra, struct schema **out,
                       struct sabot_error *err);

/* --- kv_trace.c, kv_faulty.c: wrap a table, which they take over on every path */
sabot_status kv_trace_wrap(struct kv_table *inner, struct env *env, void (*line)(void *arg, const char *text),
                           void *arg, struct kv_table **out, struct sabot_error *err);
/* Every n-th call fails, before or after it has done its work, as the seed says (an addition only before). */
struct kv_faults {
    int64_t every;
    uint64_t seed;
    int64_t calls, failed; /* counted */
};
sabot_status kv_faulty_wrap(struct kv_table *inner, struct kv_faults *faults, struct kv_table **out,
                            struct sabot_error *err);

#endif
