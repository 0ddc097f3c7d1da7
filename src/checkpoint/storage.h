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
/* "D/shared" of a checkpoint_dir, or of the checkpoint D/chk-<id>: files that several checkpoints may need. */
#define STORAGE_SHARED "shared"
sabot_status storage_shared_path(const char *dir, char target[STORAGE_PATH_MAX], struct sabot_error *err);

int64_t storage_id_of(const char *folder, size_t size); /* of "chk-<id>"; -1: it is no checkpoint's folder */
int64_t storage_shared_id(const char *file); /* the checkpoint that wrote a shared file; -1: it is none */

/* Writes a file of a state table: `item` says whose it is, and gets name, size, checksum, rows and key groups. A shared
 * file's name begins with the checkpoint's id, and `nonce` keeps those of different runs apart. */
struct storage_writer;
struct storage_writing {
    struct store *store;
    struct memory_pool *pool;
    const char *path;      /* of the checkpoint */
    int64_t checkpoint_id; /* of shared files */
    uint32_t nonce;
};
sabot_status storage_writer_open(const struct storage_writing *writing, struct schema *schema,
                                 struct manifest_file *item, struct storage_writer **out, struct sabot_error *err);
sabot_status storage_writer_put(struct storage_writer *writer, struct batch *rows, struct sabot_error *err);
sabot_status storage_writer_finish(struct storage_writer *writer, struct sabot_error *err); /* synced */
void storage_writer_close(struct storage_writer *writer); /* NULL is allowed */
/* Checks every file against the manifest (size and checksum); where there is a local copy, that. */
sabot_status storage_verify(struct store *store, const char *path, const struct manifest *manifest,
                            struct sabot_error *err);
/* Calls take() with the rows of a file, batch by batch, in the caller's thread; take owns the batch. ERR_CORRUPT, when
 * rows were taken already: the file is not what the manifest says. */
typedef sabot_status (*storage_take)(void *arg, struct batch *batch, struct sabot_error *err);
sabot_status storage_read_table(struct store *store, const char *path, struct memory_pool *pool,
                                const struct manifest_file *item, storage_take take, void *arg,
                                struct sabot_error *err);
/* Whether a savepoint could be written to `path` now: makes the folder, which is left empty, and writes into it. */
sabot_status storage_try(struct store *store, const char *path, struct sabot_error *err);
/* Before anything else is written: makes the checkpoint's folder the caller's own. ERR_STATE: it is another's;
 * ERR_USAGE: `must_be_empty` and it is not. */
sabot_status storage_claim(struct store *store, const char *path, bool must_be_empty, int64_t epoch,
                           struct sabot_error *err);
/* Whether two paths are the same checkpoint's folder, by its owner's random token: one folder has many names
 * ("D//chk-1", a link, s3a:// for s3://). One that is not there is none. */
sabot_status storage_same(struct store *store, const char *a, const char *b, bool *same, struct sabot_error *err);
/* Writes the manifest, put if absent: from now on the checkpoint exists. */
sabot_status storage_write_manifest(struct store *store, const char *path, const struct manifest *manifest,
                                    struct sabot_error *err);
/* Reads the manifest of the checkpoint folder `path`. ERR_NOT_FOUND: it has none; ERR_CORRUPT: it, or a file of it, is
 * not whole. */
sabot_status storage_read_manifest(struct store *store, const char *path, struct manifest *out,
                                   struct sabot_error *err);
/* Ids of the folders chk-<id> in `dir`, ascending; malloc'ed. A folder that is not there has none. */
sabot_status storage_list(struct store *store, const char *dir, int64_t **ids, int32_t *n, struct sabot_error *err);
/* Whether a folder has a manifest, whole or not: it is, or was, a complete checkpoint. */
sabot_status storage_has_manifest(struct store *store, const char *path, bool *has, struct sabot_error *err);
/* `path` is a checkpoint folder, or a checkpoint_dir: then the newest complete one in it. Torn ones, and ones with a
 * damaged file, are reported in the log and skipped: every file of the one that is found was verified, unless there is
 * none to go back to. */
sabot_status storage_find(struct store *store, const char *path, char target[STORAGE_PATH_MAX], struct manifest *out,
                          struct sabot_error *err);
/* Whether storage_find() has something to find in a folder of checkpoints, be it damaged: one that was completed, or
 * the savepoint that its last job began from. What is not there has none. */
sabot_status storage_has_any(struct store *store, const char *path, bool *has, struct sabot_error *err);
/* The newest complete checkpoint in the folder `path`, whatever its last job was started from. */
sabot_status storage_newest(struct store *store, const char *path, char target[STORAGE_PATH_MAX], struct manifest *out,
                            struct sabot_error *err);
/* Removes shared files of checkpoints up to `newest` that none of the given manifests needs. */
sabot_status storage_sweep(struct store *store, const char *dir, int64_t newest, const struct manifest *kept,
                           int32_t n_kept, struct sabot_error *err);
/* Removes a checkpoint's folder, the manifest first, so that no half of it looks complete. */
sabot_status storage_remove(struct store *store, const char *path, struct sabot_error *err);

#endif
