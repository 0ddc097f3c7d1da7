/* Key-value state: what functions keep by key. Values, lists, maps, folds, broadcasts and counters, of BIGINT,
 * DOUBLE or bytes, with a time to live; in memory, in RocksDB or in Tonbo (experimental), and in the same snapshots as
 * every other state.
 *
 * A store belongs to one operator instance and is used by one thread at a time. Each call takes n keys of one namespace
 * (0 where there are none; a window's end): arrays of int64_t or of struct string_view, as the state was declared.
 * With n = 1 it is a single access. Views that are handed out are valid until the next call on the same state. */
#ifndef STATE_KV_H
#define STATE_KV_H

#include "state/kv_backend.h"

struct kv_store;

struct kv_store_options {
    struct env *env;
    struct state_tables *tables;  /* of the operator: snapshots and restores go with them; freeing them closes the
                                     states. Must outlive the store's use */
    const char *backend;          /* "memory", "rocksdb" or "tonbo"; NULL: as the tables' context says, like the next
                                     3 */
    const char *dir;              /* rocksdb, tonbo: an empty or absent folder of the store's own; emptied at open */
    int64_t memory_bytes;         /* rocksdb: its block cache and write buffers; 0 = a default */
    int32_t cache_rows;           /* rocksdb, tonbo: entries of each state held in memory; 0 = a default */
    int32_t tonbo_seal_batches, tonbo_compact_files; /* 0 = a default (state/tonbo.h) */
    void (*trace)(void *arg, const char *line); /* NULL: none. Called behind each call of a backend */
    void *trace_arg;
    struct kv_faults *faults;     /* NULL: none */
};
#define KV_CACHE_ROWS_DEFAULT (1 << 16)

sabot_status kv_store_new(const struct kv_store_options *options, struct kv_store **out, struct sabot_error *err);
/* Its states and timers are closed with the tables, before or after this; the last one out closes the store. NULL is
 * allowed. */
void kv_store_free(struct kv_store *store);
void kv_store_ref(struct kv_store *store); /* one more kv_store_free */
/* The time that TTLs go by; told once per batch. event_ms: the watermark (INT64_MIN: none yet). Never goes back. */
void kv_store_set_time(struct kv_store *store, int64_t processing_ms, int64_t event_ms);
/* What the rows of a restore were judged by when they were saved: event times of the key groups from `first` on, which
 * may be ahead of the one that is told next. Values that had expired by then do not come back. Told before states are
 * opened; `event_ms` NULL: no longer, it is not looked at any more. */
void kv_store_set_restored(struct kv_store *store, const int64_t *event_ms, int32_t first, int32_t n);
/* Looks at so many entries of each state for what is expired; without, calls do a little of it each. */
sabot_status kv_store_sweep(struct kv_store *store, int32_t entries, struct sabot_error *err);
/* rocksdb, tonbo: everything as files in a new folder, by hard links. */
sabot_status kv_store_checkpoint(struct kv_store *store, const char *path, struct sabot_error *err);
struct rocks *kv_store_rocks(struct kv_store *store); /* NULL: another backend; so too the next */
struct tonbo *kv_store_tonbo(struct kv_store *store);
struct env *kv_store_env(struct kv_store *store);
struct state_tables *kv_store_tables(struct kv_store *store);

/* --- any state */
struct kv_state; /* a value, a map, a counter ...; closed with the store's tables */
struct kv_declare {
    const char *name; /* unique within the operator; finds the rows of a snapshot */
    enum kv_type key, value;
    struct kv_ttl ttl;
};
sabot_status kv_clear_namespace(struct kv_state *state, int64_t namespace_, struct sabot_error *err);
/* All entries, in any order, for queries. */
sabot_status kv_scan(struct kv_state *state, kv_each each, void *arg, struct sabot_error *err);

/* --- ValueState */
sabot_status kv_value_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                           struct sabot_error *err);
sabot_status kv_get(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, void *values,
                    bool *found, struct sabot_error *err);
/* The same key more than once: the last value counts. */
sabot_status kv_put(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const void *values,
                    struct sabot_error *err);
sabot_status kv_remove(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n,
                       struct sabot_error *err);

/* --- MapState: second keys within a key */
sabot_status kv_map_open(struct kv_store *store, const struct kv_declare *declare, enum kv_type map_key,
                         struct kv_state **out, struct sabot_error *err);
sabot_status kv_map_get(struct kv_state *state, int64_t namespace_, const void *keys, const void *map_keys, int32_t n,
                        void *values, bool *found, struct sabot_error *err);
sabot_status kv_map_put(struct kv_state *state, int64_t namespace_, const void *keys, const void *map_keys, int32_t n,
                        const void *values, struct sabot_error *err);
sabot_status kv_map_remove(struct kv_state *state, int64_t namespace_, const void *keys, const void *map_keys,
                           int32_t n, struct sabot_error *err);
/* The entries of one key, in any order: entry->sub is the map's key. */
sabot_status kv_map_entries(struct kv_state *state, int64_t namespace_, const void *key, kv_each each, void *arg,
                            struct sabot_error *err);
/* Removes all entries of one key. */
sabot_status kv_map_clear(struct kv_state *state, int64_t namespace_, const void *key, struct sabot_error *err);

/* --- ListState: values in the order in which they were added. Elements expire one by one. */
sabot_status kv_list_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                          struct sabot_error *err);
/* values[i] goes to the end of the list of keys[i]. */
sabot_status kv_list_add(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const void *values,
                         struct sabot_error *err);
/* The elements of one key: *values is an array by the state's type, valid until the next call on this state. */
sabot_status kv_list_get(struct kv_state *state, int64_t namespace_, const void *key, const void **values, int64_t *n,
                         struct sabot_error *err);
sabot_status kv_list_clear(struct kv_state *state, int64_t namespace_, const void *key, struct sabot_error *err);

/* --- ReducingState: a value that each new one is folded into */
enum kv_fold { KV_SUM, KV_MIN, KV_MAX }; /* sums of BIGINT wrap, as everywhere; MIN and MAX pass NaN over */
sabot_status kv_reducing_open(struct kv_store *store, const struct kv_declare *declare, enum kv_fold fold,
                              struct kv_state **out, struct sabot_error *err);

/* --- AggregatingState: an accumulator of the caller's own, held as bytes of a fixed size */
struct kv_aggregate {
    uint32_t size; /* of the accumulator; at most KV_ACCUMULATOR_MAX */
    void (*init)(void *arg, void *accumulator);
    /* value: as the declaration's type says. May be a function of the caller's that fails. */
    sabot_status (*add)(void *arg, void *accumulator, const void *value, struct sabot_error *err);
    void *arg;
};
#define KV_ACCUMULATOR_MAX 4096
/* declare->value is the type of what is added; kv_get gives the accumulator's bytes. */
sabot_status kv_aggregating_open(struct kv_store *store, const struct kv_declare *declare,
                                 const struct kv_aggregate *aggregate, struct kv_state **out,
                                 struct sabot_error *err);
/* Both: folds values[i] into what keys[i] has; read with kv_get. The same key more than once counts each time. */
sabot_status kv_fold(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const void *values,
                     struct sabot_error *err);

/* --- BroadcastState: a map that is the same at every subtask, which all write the same to. kv_get, kv_put, kv_remove;
 * always in memory. A restore gives every subtask all of it. */
sabot_status kv_broadcast_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                               struct sabot_error *err);

/* --- AtomicCounter: adds without reading; in RocksDB by its merge operator. Read with kv_get. No TTL. */
sabot_status kv_counter_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                             struct sabot_error *err);
sabot_status kv_add(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const int64_t *deltas,
                    struct sabot_error *err);

#endif
