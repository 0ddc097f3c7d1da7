/* Where checkpoints are: a folder D with a folder chk-<id> for each, or a folder of its own for a savepoint. All
 * calls may block: they belong on helper threads, or before and after a job. */
#ifndef CHECKPOINT_STORAGE_H
#define CHECKPOINT_STORAGE_H

#include "checkpoint/manifest.h"
#include "store/store.h"

#define STORAGE_PATH_MAX 4096
#define OWNER_NAME "OWNER" /* says whose a checkpoint's folder is */

/* "D/chk-<id>". */
sabot_status storage_path(const char *dir, int64_t checkpoint_id, char target[STORAGE_PATH_MAX],
                          struct sabot_error *err);
/* Writes one state table's rows as a file of the checkpoint, synced; fills in name, size, checksum of `item`. */
sabot_status storage_write_table(struct store *store, const char *path, struct memory_pool *pool,
                                 const struct state_snapshot *snapshot, struct manifest_file *item,
                                 struct sabot_error *err);
/* Checks the file against the manifest (size and checksum), then calls take() with its rows, batch by batch; take owns
 * the batch. */
sabot_status storage_read_table(struct store *store, const char *path, struct memory_pool *pool,
                                const struct manifest_file *item,
                                sabot_status (*take)(void *arg, struct batch *batch, struct sabot_error *err),
                                void *arg, struct sabot_error *err);
/* Before anything else is written: makes the checkpoint's folder the caller's own. ERR_STATE: it is another's;
 * ERR_USAGE: `must_be_empty` and it is not. */
sabot_status storage_claim(struct store *store, const char *path, bool must_be_empty, int64_t epoch,
                           struct sabot_error *err);
/* Writes the manifest, put if absent: from now on the checkpoint exists. */
sabot_status storage_write_manifest(struct store *store, const char *path, const struct manifest *manifest,
                                    struct sabot_error *err);
/* Reads the manifest of the checkpoint folder `path`. ERR_NOT_FOUND: it has none; ERR_CORRUPT: it, or a file of it, is
 * not whole. */
sabot_status storage_read_manifest(struct store *store, const char *path, struct manifest *out,
                                   struct sabot_error *err);
/* Ids of the folders chk-<id> in `dir`, ascending; malloc'ed. A folder that is not there has none. */
sabot_status storage_list(struct store *store, const char *dir, int64_t **ids, int32_t *n, struct sabot_error *err);
/* `path` is a checkpoint folder, or a checkpoint_dir: then the newest complete one in it. Torn ones are reported
 * in the log and skipped. */
sabot_status storage_find(struct store *store, const char *path, char target[STORAGE_PATH_MAX], struct manifest *out,
                          struct sabot_error *err);
/* Removes a checkpoint's folder, the manifest first, so that no half of it looks complete. */
sabot_status storage_remove(struct store *store, const char *path, struct sabot_error *err);

#endif
