/* A savepoint made from another one: everything is copied but the rows of one state table, which the caller gives. How
 * SQL writes state (connector 'savepoint'). All calls may block. */
#ifndef CHECKPOINT_REWRITE_H
#define CHECKPOINT_REWRITE_H

#include "checkpoint/restore.h"

struct rewrite_options {
    struct store *store;
    struct memory_pool *pool;
    const char *base;       /* checkpoint, savepoint or checkpoint folder */
    const char *path;       /* of the new savepoint: a folder that is not there, or empty */
    const char *uid, *state; /* the table */
    struct schema *schema;  /* of the caller's rows: namespace (may be left out), keys, values; key_group is passed
                               over. A list: its columns */
    bool keeps_rows;        /* the base's rows of the table stay; of one key the caller's wins */
    int32_t n_keys;         /* of a table that the base does not have; -1: a list; KEYS_OF_BASE: there must be one */
};
#define REWRITE_KEYS_OF_BASE INT32_MIN
struct rewrite;
/* Makes the folder at `path` its own. */
sabot_status rewrite_open(const struct rewrite_options *options, struct rewrite **out, struct sabot_error *err);
/* Without finish there is nothing at `path` afterwards. NULL is allowed. */
void rewrite_close(struct rewrite *rewrite);
/* Rows of the table; their key groups are computed here. The caller keeps the batch. */
sabot_status rewrite_put(struct rewrite *rewrite, struct batch *rows, struct sabot_error *err);
/* Copies the rest; when this returns the savepoint exists. */
sabot_status rewrite_finish(struct rewrite *rewrite, struct sabot_error *err);

#endif
