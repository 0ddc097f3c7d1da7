/* One file system for checkpoints, file sinks and file sources. A path says where: `s3://bucket/key` and
 * `hdfs://host:port/path` are remote (by the library of bridge/remote), everything else is a path of struct env.
 *
 * All calls but store_new, store_is_remote and store_env may block for long (time-outs and retries are bounded): they
 * belong on helper threads (env_offload), or before and after a job. A handle may be used by several threads at once; a
 * file or a writer by one at a time. Errors name path, operation, cause and what to do. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/env.h"
#include "base/memory.h"
#include "base/text.h"

struct store;
struct store_file;
struct store_writer;

/* "s3.endpoint", "s3.access-key", ... as in settings.def of this folder; others are left alone, empty values too. */
#define STORE_SETTINGS_MAX 16
struct store_setting {
    const char *key, *value;
};
/* Opens nothing yet. Copies the settings; what they leave out may be in the environment (SABOT_S3_ENDPOINT for
 * s3.endpoint). */
sabot_status store_new(struct env *env, const struct store_setting *settings, int32_t n_settings, struct store **out,
                       struct sabot_error *err);
/* The same with settings that come before those of `store`, which must outlive it. */
sabot_status store_with(const struct store *store, const struct store_setting *settings, int32_t n_settings,
                        struct store **out, struct sabot_error *err);
/* Buffers of remote files that are opened or written from now on are charged to a pool, which must outlive the store.
 * Where it is full they wait a while for others to give back, then take less, then fail. */
void store_charge(struct store *store, struct memory_pool *pool);
/* From now on no request of it, or of one that was made from it, waits long for a server that is away: for a job that
 * is over. From any thread. */
void store_hurry(struct store *store);
void store_free(struct store *store); /* NULL is allowed */
const char *store_setting(const struct store *store, const char *key); /* NULL: it is not set */
struct env *store_env(const struct store *store);
bool store_is_remote(const char *path);

/* --- whole files and folders. S3 has no folders: one is there as soon as something is in it. */
/* ERR_NOT_FOUND where nothing is there. */
sabot_status store_stat(struct store *store, const char *path, struct env_stat *out, struct sabot_error *err);
/* For what may be absent: that is no failure, and everything else is one. */
sabot_status store_look(struct store *store, const char *path, bool *is_there, struct env_stat *out,
                        struct sabot_error *err);
sabot_status store_make_dirs(struct store *store, const char *path, struct sabot_error *err);
struct store_entry {
    char *name;
    struct env_stat stat;
};
/* What is directly in a folder, sorted by the bytes of the names. A remote folder that is not there is empty. */
sabot_status store_list(struct store *store, const char *path, struct store_entry **entries, size_t *n,
                        struct sabot_error *err);
void store_entries_free(struct store_entry *entries, size_t n);
/* *data is malloc'ed and ends with a NUL; at most 64 MiB. */
sabot_status store_read_file(struct store *store, const char *path, char **data, size_t *size,
                             struct sabot_error *err);
/* Put if absent, whole and durable. *won: this call created it; of several at once exactly one wins. The bytes must
 * tell writers apart (a random number): where an answer is lost on the way, they are how the winner knows itself. */
sabot_status store_put_new(struct store *store, const char *path, const void *data, size_t size, bool *won,
                           struct sabot_error *err);
/* What was created in a local folder stays there when the power is cut; store_put_new and commits do this for theirs,
 * and remote stores at once. */
sabot_status store_sync_folder(struct store *store, const char *path, struct sabot_error *err);
/* A file or an empty folder; absent is OK. */
sabot_status store_remove(struct store *store, const char *path, struct sabot_error *err);
/* A folder with all that is in it; absent is OK. */
sabot_status store_remove_tree(struct store *store, const char *path, struct sabot_error *err);

/* --- reading */
sabot_status store_open(struct store *store, const char *path, struct store_file **out, struct sabot_error *err);
/* What is read once, from front to back: it does not stay in the system's memory. */
sabot_status store_open_large(struct store *store, const char *path, struct store_file **out, struct sabot_error *err);
/* Up to `size` bytes at `offset`; *got = 0 at the end. Remote files are read ahead. */
sabot_status store_read(struct store_file *file, int64_t offset, void *target, size_t size, size_t *got,
                        struct sabot_error *err);
int64_t store_size(const struct store_file *file);
void store_close(struct store_file *file); /* NULL is allowed */

/* --- writing, piece by piece */
enum store_visible {
    /* Durable after store_finish; until then others may or may not see a part of it. It goes to the disk while it is
     * written, and does not stay in the system's memory. */
    STORE_AT_FINISH,
    STORE_AT_COMMIT, /* nobody sees it before store_commit */
};
sabot_status store_create(struct store *store, const char *path, enum store_visible visible,
                          struct store_writer **out, struct sabot_error *err);
sabot_status store_write(struct store_writer *writer, const void *data, size_t size, struct sabot_error *err);
sabot_status store_finish(struct store_writer *writer, struct sabot_error *err);
/* STORE_AT_COMMIT: makes it durable, and appends to `ticket` what any process needs to commit it: one line without its
 * end, of which the first word is the file's name. */
sabot_status store_prepare(struct store_writer *writer, struct text *ticket, struct sabot_error *err);
/* Frees the writer; what is neither finished nor prepared is removed. NULL is allowed. */
void store_writer_close(struct store_writer *writer);

/* Makes a prepared file of `folder` visible; can be repeated. ERR_STATE: it is gone. */
sabot_status store_commit(struct store *store, const char *folder, const char *ticket, struct sabot_error *err);
/* Tickets of files in `folder` that are hidden, finished or not, whoever wrote them; malloc'ed, env_names_free. */
sabot_status store_hidden(struct store *store, const char *folder, char ***tickets, size_t *n,
                          struct sabot_error *err);
/* Removes a hidden file; absent is OK. */
sabot_status store_abandon(struct store *store, const char *folder, const char *ticket, struct sabot_error *err);

#endif
