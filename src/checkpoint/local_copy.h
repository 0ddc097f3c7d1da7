/* Copies of state files on this machine, where the checkpoints are remote (docs/decisions/0026). A restore reads a copy
 * whose size and checksum are those of the manifest, and the remote file otherwise. A copy that can't be written, read
 * or removed is said in the log and fails nothing.
 *
 * Where copies are wanted is a setting of the store, so that whoever has the store of a job uses them. */
#ifndef CHECKPOINT_LOCAL_COPY_H
#define CHECKPOINT_LOCAL_COPY_H

#include "checkpoint/manifest.h"
#include "store/store.h"

#define LOCAL_COPY_SETTING "local-copies" /* of the store: a folder; unset: there are none */
#define LOCAL_COPY_TEMPORARY "temporary"  /* instead of a folder: one in the system's folder for temporary files */

/* One that is being written, beside the file at `path`. NULL: none is wanted, or there can be none. */
struct local_copy;
struct local_copy *local_copy_begin(struct store *store, const char *path);
void local_copy_write(struct local_copy *copy, const void *data, size_t size);
void local_copy_end(struct local_copy *copy, bool whole); /* frees it; what is not whole goes. NULL is allowed */

/* Opens the copy of the file at `path`; NULL: there is none that is as long as the manifest says. */
struct store_file *local_copy_open(struct store *store, const char *path, const struct manifest_file *item);
/* It is not what was written. */
void local_copy_damaged(struct store *store, const char *path, const struct sabot_error *why);
/* Removes what the checkpoint `newest` of the folder `dir` does not need; kept: manifests that name shared files which
 * may be needed. */
void local_copy_prune(struct store *store, const char *dir, int64_t newest, const struct manifest *kept,
                      int32_t n_kept);
/* Removes copies of the folder's checkpoints `first` to `last`, which were never complete and whose process is gone. */
void local_copy_forget(struct store *store, const char *dir, int64_t first, int64_t last);
/* Removes copies of the checkpoint `id`, which was given up, behind the complete one `complete`. Shared files stay a
 * while: what a task has written for it, its next checkpoints name. */
void local_copy_give_up(struct store *store, const char *dir, int64_t complete, int64_t id);

#endif
