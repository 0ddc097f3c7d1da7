/* What key-value state on disk stands on: bytes to bytes in the order of the keys, written in batches. RocksDB
 * (kv_rocksdb.c) and Tonbo (tonbo.c). One thread at a time; nothing is called from within a callback. */
#ifndef STATE_KV_BELOW_H
#define STATE_KV_BELOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct kv_span {
    const void *data;
    size_t size;
};

/* What is found for key i; value->data NULL: nothing. Valid during the call. */
typedef sabot_status (*kv_below_got)(void *arg, int32_t i, struct kv_span value, struct sabot_error *err);
/* An entry of a scan, valid during the call; *more = false ends the scan. */
typedef sabot_status (*kv_below_seen)(void *arg, struct kv_span key, struct kv_span value, bool *more,
                                      struct sabot_error *err);

struct kv_below {
    const struct kv_below_type *type;
};

struct kv_below_type {
    const char *name;      /* for messages */
    bool adds;             /* `add` works without reading; else the cache reads first, and never calls it */
    bool scans_are_dear;   /* one scan over much is cheaper than several over little */
    /* Noted in a batch, for distinct keys; seen by nobody before `commit`. */
    sabot_status (*put)(struct kv_below *below, struct kv_span key, struct kv_span value, struct sabot_error *err);
    sabot_status (*erase)(struct kv_below *below, struct kv_span key, struct sabot_error *err);
    sabot_status (*add)(struct kv_below *below, struct kv_span key, int64_t delta, struct sabot_error *err);
    sabot_status (*commit)(struct kv_below *below, struct sabot_error *err);
    void (*discard)(struct kv_below *below); /* empties the batch */
    /* Each of n keys, in any order. */
    sabot_status (*get)(struct kv_below *below, const struct kv_span *keys, int32_t n, kv_below_got got, void *arg,
                        struct sabot_error *err);
    /* from..to (excluded), ascending, as committed. */
    sabot_status (*scan)(struct kv_below *below, struct kv_span from, struct kv_span to, kv_below_seen seen, void *arg,
                         struct sabot_error *err);
    /* What is committed now, as a store that is only read, for as long as it is wanted. NULL: it has no such thing. */
    sabot_status (*hold)(struct kv_below *below, struct kv_below **out, struct sabot_error *err);
    void (*release)(struct kv_below *held);
};

/* --- kv_rocksdb.c: a column family of a database */
struct rocks;
struct rocks_snapshot;
struct kv_rocksdb_below {
    struct kv_below below;
    struct rocks *rocks;
    int32_t family;
    struct rocks_snapshot *held; /* NULL: as it is now */
};
void kv_rocksdb_below_init(struct kv_rocksdb_below *out, struct rocks *rocks, int32_t family);

#endif
