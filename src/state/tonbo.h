/* Tonbo below key-value state (experimental): a table of key and value in a folder, through the library of
 * bridge/tonbo, which is opened when the first store asks for it.
 *
 * What is held here beside it: the batch that is not committed yet, and, in two bytes per key, which keys may be below
 * at all, because asking Tonbo for one key costs milliseconds. One thread at a time; not under the simulator. */
#ifndef STATE_TONBO_H
#define STATE_TONBO_H

#include "base/env.h"
#include "base/memory.h"
#include "state/kv_below.h"

struct tonbo;

struct tonbo_options {
    struct env *env;
    struct memory_pool *pool;
    const char *path;              /* an absolute folder; emptied when it is opened, and locked while it is open */
    const char *from;              /* NULL: empty; else a checkpoint to begin with */
    int32_t seal_batches, compact_files; /* 0 = a default: see bridge_tonbo.h */
    /* Asked about each entry when all is rewritten; NULL: nothing expires. */
    bool (*expired)(void *arg, const void *key, size_t key_size, const void *value, size_t value_size);
    void *expired_arg;
};

sabot_status tonbo_open(const struct tonbo_options *options, struct tonbo **out, struct sabot_error *err);
void tonbo_close(struct tonbo *tonbo); /* NULL is allowed */
struct kv_below *tonbo_below(struct tonbo *tonbo);
/* Rewrites everything, so that what is expired, deleted or overwritten goes. */
sabot_status tonbo_compact(struct tonbo *tonbo, struct sabot_error *err);
/* A durable copy of what is committed in a new folder, by hard links where it is on the same file system. */
sabot_status tonbo_checkpoint(struct tonbo *tonbo, const char *path, struct sabot_error *err);

struct tonbo_stats {
    int64_t files, flushes, compactions;
    int64_t gets, gets_spared; /* spared: keys of which it was known that they are not there */
};
void tonbo_stats(const struct tonbo *tonbo, struct tonbo_stats *out);

#endif
