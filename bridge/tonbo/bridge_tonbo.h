/* Tonbo behind a C ABI: what libsabot_tonbo.so exports is one function that gives this table.
 *
 * A store is a folder with one table: rows of one schema whose first column is the key, BINARY and not null. Rows are
 * Arrow structs (C Data Interface). All calls block, on the caller's thread, and one thread at a time may use a store;
 * they end when Tonbo's own threads are at rest, so that no read ever meets a flush. Nothing of a callback may call the
 * store again. Errors: struct sabot_error, NULL is allowed; no panic leaves the library.
 *
 * Durable is what `checkpoint` has made, and nothing else: a store that was not closed is to be thrown away. */
#ifndef BRIDGE_TONBO_H
#define BRIDGE_TONBO_H

#include <nanoarrow/nanoarrow.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sabot/error.h"

#define BRIDGE_TONBO_VERSION 1

struct bridge_tonbo_store;

struct bridge_tonbo_options {
    const char *path;             /* absolute; made where it is not there. Held by a lock while the store is open */
    const struct ArrowSchema *schema; /* a struct; read, not taken over */
    const char *from;             /* NULL: the folder is emptied first; its own path: opened as it was closed; else: a
                                     checkpoint, which is copied to `path` */
    uint32_t seal_batches;        /* a table of memory becomes a file behind so many puts */
    uint32_t compact_files;       /* all is rewritten at so many files, where as much was written since the last time
                                     as that left behind */
};

struct bridge_tonbo_stats {
    uint64_t files;               /* that a read looks into */
    uint64_t bytes;               /* of these */
    uint64_t flushes, compactions; /* since it was opened */
};

/* Of a scan: rows in the order of their keys, moved to the callee. *more = false ends the scan. */
typedef int32_t (*bridge_tonbo_rows)(void *context, struct ArrowArray *rows, bool *more);
/* keep[i]: 1, cleared where row i may be dropped. rows is moved to the callee. */
typedef int32_t (*bridge_tonbo_keep)(void *context, struct ArrowArray *rows, uint8_t *keep);

struct bridge_tonbo {
    uint32_t version;
    size_t error_size; /* sizeof(struct sabot_error) as the library knows it */
    int32_t (*open)(const struct bridge_tonbo_options *options, struct bridge_tonbo_store **out,
                    struct sabot_error *err);
    void (*close)(struct bridge_tonbo_store *store); /* NULL is allowed */
    /* Rows of distinct keys, all or none; they replace what is there. deletes: NULL, or for each row 1 where the key is
     * to be removed (the other columns are then not looked at, but must be there). `rows` is moved on every path. */
    int32_t (*put)(struct bridge_tonbo_store *store, struct ArrowArray *rows, const uint8_t *deletes,
                   struct sabot_error *err);
    /* keys: a struct of one column, any order, moved on every path. out: as many rows as keys, in that order; a row
     * that is not there is null. */
    int32_t (*get)(struct bridge_tonbo_store *store, struct ArrowArray *keys, struct ArrowArray *out,
                   struct sabot_error *err);
    /* Keys from..to (excluded). to NULL: to the end. A failure of `on_rows` ends the scan with its status. */
    int32_t (*scan)(struct bridge_tonbo_store *store, const void *from, size_t from_size, const void *to,
                    size_t to_size, bridge_tonbo_rows on_rows, void *context, struct sabot_error *err);
    /* Rewrites everything into as few files as possible. keep NULL: drops nothing but what is overwritten. */
    int32_t (*compact)(struct bridge_tonbo_store *store, bridge_tonbo_keep keep, void *context,
                       struct sabot_error *err);
    bool (*compact_due)(const struct bridge_tonbo_store *store);
    /* A whole copy in a new folder, by hard links where that is possible; durable when this returns. */
    int32_t (*checkpoint)(struct bridge_tonbo_store *store, const char *path, struct sabot_error *err);
    void (*stats)(const struct bridge_tonbo_store *store, struct bridge_tonbo_stats *out);
};

const struct bridge_tonbo *sabot_tonbo(void);

#endif
