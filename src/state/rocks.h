/* RocksDB, as far as state needs it: one database with named column families, a pending write batch, gets, range scans,
 * checkpoints by hard links. The library is loaded by name when the first database is opened, so that who does not use
 * it does not pay for it.
 *
 * Not under the simulator: it has threads and files of its own. One thread at a time per database, but for calls of
 * `expired`, which come from its compaction threads. */
#ifndef STATE_ROCKS_H
#define STATE_ROCKS_H

#include <stdbool.h>

#include "base/env.h"
#include "base/memory.h"

struct rocks;

struct rocks_span {
    const void *data;
    size_t size;
};

struct rocks_family {
    const char *name;
    bool adds;    /* values are int64 (8 bytes, little-endian); rocks_merge adds to them, beginning at 0 */
    bool expires; /* asks `expired` about each value at compaction */
};

struct rocks_options {
    struct env *env;
    struct memory_pool *pool;  /* charged with memory_bytes while it is open */
    const char *path;          /* a folder; made where it is not there */
    const struct rocks_family *families;
    int32_t n_families;
    int64_t memory_bytes;      /* block cache and write buffers together; 0 = ROCKS_MEMORY_DEFAULT */
    bool wal;                  /* what is committed survives a crash of the process (with sync: of the machine) */
    bool read_only;            /* beside the process that has it open; nothing is written */
    bool (*expired)(void *arg, const void *key, size_t key_size, const void *value, size_t value_size);
    void *expired_arg;
};
#define ROCKS_MEMORY_DEFAULT (INT64_C(32) << 20)
#define ROCKS_FAMILIES_MAX 16

sabot_status rocks_open(const struct rocks_options *options, struct rocks **out, struct sabot_error *err);
void rocks_close(struct rocks *rocks); /* NULL is allowed */

/* Noted in the pending batch, in order; seen by nobody before rocks_commit. */
void rocks_put(struct rocks *rocks, int32_t family, struct rocks_span key, struct rocks_span value);
void rocks_delete(struct rocks *rocks, int32_t family, struct rocks_span key);
void rocks_delete_range(struct rocks *rocks, int32_t family, struct rocks_span from, struct rocks_span to);
void rocks_merge(struct rocks *rocks, int32_t family, struct rocks_span key, int64_t delta);
int32_t rocks_pending(const struct rocks *rocks);
/* All of the batch or nothing. After a failure the batch is still pending. */
sabot_status rocks_commit(struct rocks *rocks, bool sync, struct sabot_error *err);
void rocks_discard(struct rocks *rocks); /* empties the batch */

/* *out.data NULL: it is not there. Valid until the next call. */
sabot_status rocks_get(struct rocks *rocks, int32_t family, struct rocks_span key, struct rocks_span *out,
                       struct sabot_error *err);

/* Keys from..to (excluded; size 0 = to the end), ascending, as they are committed when it is opened. */
struct rocks_scan;
sabot_status rocks_scan_open(struct rocks *rocks, int32_t family, struct rocks_span from, struct rocks_span to,
                             struct rocks_scan **out, struct sabot_error *err);
/* What is committed now, for reads later on; what is dropped at a compaction as expired is gone from it too. */
struct rocks_snapshot;
sabot_status rocks_snapshot_new(struct rocks *rocks, struct rocks_snapshot **out, struct sabot_error *err);
void rocks_snapshot_free(struct rocks_snapshot *snapshot); /* NULL is allowed */
/* NULL: as it is now. */
sabot_status rocks_get_at(struct rocks *rocks, const struct rocks_snapshot *at, int32_t family, struct rocks_span key,
                          struct rocks_span *out, struct sabot_error *err);
sabot_status rocks_scan_open_at(struct rocks *rocks, const struct rocks_snapshot *at, int32_t family,
                                struct rocks_span from, struct rocks_span to, struct rocks_scan **out,
                                struct sabot_error *err);
/* false: at the end, or failed (then err says why). The spans are valid until the next call. */
bool rocks_scan_next(struct rocks_scan *scan, struct rocks_span *key, struct rocks_span *value,
                     struct sabot_error *err);
void rocks_scan_close(struct rocks_scan *scan); /* NULL is allowed */

/* A copy of what is committed in a new folder, by hard links where it is on the same file system. */
sabot_status rocks_checkpoint(struct rocks *rocks, const char *path, struct sabot_error *err);
/* Rewrites a family, so that what is expired or deleted goes; for tests and the end of big jobs. */
void rocks_compact(struct rocks *rocks, int32_t family);

#endif
