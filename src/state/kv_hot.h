/* The columnar hash table of state_memory.c as key-value state uses it: what the memory backend is, and what stands as
 * a cache before RocksDB. Keys are given as arrays; no batch is made for them. */
#ifndef STATE_KV_HOT_H
#define STATE_KV_HOT_H

#include "state/kv_backend.h"

struct kv_hot {
    struct state_tables *tables; /* private: not in the operator's snapshots */
    struct state_table *table;
    int32_t n_keys;
    size_t key_sizes[2];
    bool value_is_view;
    struct schema *schema;
    /* A batch over the caller's arrays, made once and pointed at them for each call. */
    struct batch *batch;
    struct column *columns[2];
    uint64_t hashes[KV_ROWS_MAX];
};

/* schema: key, [second key], value, ...; its reference is taken over on every path. snapshots: freeze will be
 * called. */
sabot_status kv_hot_init(struct kv_hot *hot, const struct state_context *context, const struct kv_spec *spec,
                         struct schema *schema, bool snapshots, struct sabot_error *err);
void kv_hot_clear(struct kv_hot *hot);
/* Points the batch at the keys and hashes them; then these may be called. */
void kv_hot_keys(struct kv_hot *hot, const struct kv_keys *keys);
void kv_hot_find(struct kv_hot *hot, const struct kv_keys *keys, int32_t *slots); /* -1: not there */
sabot_status kv_hot_insert(struct kv_hot *hot, const struct kv_keys *keys, int32_t *slots, struct sabot_error *err);
/* A single access where the only key is a BIGINT: the cell of the value, NULL where it is not there. `writes`: the cell
 * is about to be changed. */
void *kv_hot_cell(struct kv_hot *hot, int64_t namespace_, int64_t key, bool writes, int32_t *slot);
/* Value column c of a namespace (0 = the value), indexed by slot. */
static inline void *kv_hot_values(const struct kv_hot *hot, int64_t namespace_, int32_t c) {
    return state_values(hot->table, namespace_, c);
}
/* Sets the values at slots. */
sabot_status kv_hot_set(struct kv_hot *hot, int64_t namespace_, const int32_t *slots, int32_t n, const void *values,
                        struct sabot_error *err);
/* Values at slots that were found, not inserted, are about to be written: a snapshot may want what stands there. */
static inline void kv_hot_touch(struct kv_hot *hot, int64_t namespace_, const int32_t *slots, int32_t n) {
    state_touch(hot->table, namespace_, slots, n);
}
/* A snapshot (capture.h) of the columns that the capture's table has, which are the first of these. */
sabot_status kv_hot_freeze(struct kv_hot *hot, struct capture *capture, struct sabot_error *err);
bool kv_hot_copy(struct kv_hot *hot, int32_t slots);
void kv_hot_thaw(struct kv_hot *hot);
/* The hash of a key alone, which decides its key group. */
uint64_t kv_key_hash(enum kv_type type, const void *key);

#endif
