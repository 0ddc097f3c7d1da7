/* Copies of state files on this machine. */
#include "checkpoint/local_copy.h"

#include "base/env_local.h"
#include "base/log.h"
#include "checkpoint/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A chain has no more files, most often one per checkpoint; a copy that is removed too early costs time, not rows. */
#define CHAIN_FILES_MAX 18

struct local_copy {
    struct store *store;
    struct store_writer *file;
    bool failed;
    char path[STORAGE_PATH_MAX];
};

static void complain(struct store *store, const char *what, const char *path, const struct sabot_error *why) {
    log_write(store_env(store), LOG_WARNING, "the local copy %s %s: %s", path, what, why->message);
}

/* The folder of the copies of the checkpoint folder `dir` (its first `size` bytes); false: there is none. */
static bool folder_of(const struct store *store, const char *dir, size_t size, char target[STORAGE_PATH_MAX]) {
    const char *root = store_setting(store, LOCAL_COPY_SETTING);
    if (!root || !store_is_remote(dir)) { return false; }
    while (size > 1 && dir[size - 1] == '/') { size--; }
    const unsigned long long name = XXH3_64bits(dir, size);
    const bool is_temporary = strcmp(root, LOCAL_COPY_TEMPORARY) == 0;
    const int length = snprintf(target, STORAGE_PATH_MAX, "%s%s/%016llx",
                                is_temporary ? env_temporary_dir(store_env(store)) : root,
                                is_temporary ? "/sabot-local-copies" : "", name);
    return length > 0 && length < STORAGE_PATH_MAX;
}

/* "s3://b/d/chk-7/x.arrow" -> "<folder of s3://b/d>/chk-7/x.arrow". Savepoints have no copies. */
static bool path_of(const struct store *store, const char *path, char target[STORAGE_PATH_MAX]) {
    const char *name = strrchr(path, '/'), *folder = name;
    while (folder && folder > path && folder[-1] != '/') { folder--; }
    if (!name || folder == path || !(storage_id_of(folder, (size_t)(name - folder)) >= 0 ||
                                     strncmp(folder, STORAGE_SHARED "/", sizeof STORAGE_SHARED) == 0)) {
        return false;
    }
    if (!folder_of(store, path, (size_t)(folder - path), target)) { return false; }
    const size_t used = strlen(target);
    const int length = snprintf(target + used, STORAGE_PATH_MAX - used, "/%s", folder);
    return length > 0 && used + (size_t)length < STORAGE_PATH_MAX;
}

struct local_copy *local_copy_begin(struct store *store, const char *path) {
    struct local_copy *copy = calloc(1, sizeof *copy);
    if (!copy || !path_of(store, path, copy->path)) {
        free(copy);
        return NULL;
    }
    copy->store = store;
    struct sabot_error err = {0};
    char folder[STORAGE_PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(copy->path, '/') - copy->path), copy->path);
    sabot_status status = store_make_dirs(store, folder, &err);
    if (status == SABOT_OK) { status = store_create(store, copy->path, STORE_AT_FINISH, &copy->file, &err); }
    if (status == SABOT_OK) { return copy; }
    complain(store, "can't be made", copy->path, &err);
    free(copy);
    return NULL;
}

static void failed(struct local_copy *copy, const struct sabot_error *why) {
    complain(copy->store, "is given up", copy->path, why);
    copy->failed = true;
}

void local_copy_write(struct local_copy *copy, const void *data, size_t size) {
    struct sabot_error err = {0};
    if (!copy || copy->failed) { return; }
    if (store_write(copy->file, data, size, &err) != SABOT_OK) { failed(copy, &err); }
}

void local_copy_end(struct local_copy *copy, bool whole) {
    if (!copy) { return; }
    struct sabot_error err = {0};
    if (whole && !copy->failed && store_finish(copy->file, &err) != SABOT_OK) { failed(copy, &err); }
    store_writer_close(copy->file);
    free(copy);
}

struct store_file *local_copy_open(struct store *store, const char *path, const struct manifest_file *item) {
    char local[STORAGE_PATH_MAX];
    struct store_file *file = NULL;
    if (!path_of(store, path, local)) { return NULL; }
    struct sabot_error err = {0};
    bool is_there = false;
    struct env_stat found;
    if (store_look(store, local, &is_there, &found, &err) == SABOT_OK && !is_there) { return NULL; }
    if (err.status == SABOT_OK && found.size != item->size) {
        SABOT_FAIL(&err, SABOT_ERR_CORRUPT, "it has %lld bytes, and the manifest says %lld", (long long)found.size,
                   (long long)item->size);
    }
    if (err.status == SABOT_OK) { store_open_large(store, local, &file, &err); }
    if (err.status == SABOT_OK) { return file; }
    complain(store, "is not used", local, &err);
    return NULL;
}

void local_copy_damaged(struct store *store, const char *path, const struct sabot_error *why) {
    char local[STORAGE_PATH_MAX];
    if (!path_of(store, path, local)) { return; }
    complain(store, "is damaged, and the remote file is used", local, why);
    struct sabot_error err = {0};
    if (store_remove(store, local, &err) != SABOT_OK) { complain(store, "stays", local, &err); }
}

static sabot_status prune(struct store *store, const char *folder, int64_t newest, const struct manifest *kept,
                          int32_t n_kept, struct sabot_error *err) {
    int64_t *ids;
    int32_t n;
    SABOT_TRY(storage_list(store, folder, &ids, &n, err));
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && ids[i] < newest && status == SABOT_OK; i++) {
        char target[STORAGE_PATH_MAX];
        status = storage_path(folder, ids[i], target, err);
        if (status == SABOT_OK) { status = store_remove_tree(store, target, err); }
    }
    free(ids);
    return status == SABOT_OK ? storage_sweep(store, folder, newest, kept, n_kept, err) : status;
}

void local_copy_prune(struct store *store, const char *dir, int64_t newest, const struct manifest *kept,
                      int32_t n_kept) {
    char folder[STORAGE_PATH_MAX];
    struct sabot_error err = {0};
    if (!folder_of(store, dir, strlen(dir), folder)) { return; }
    if (prune(store, folder, newest, kept, n_kept, &err) != SABOT_OK) {
        complain(store, "of an older checkpoint stays", folder, &err);
    }
}

/* Shared files of the copies in `folder` that checkpoints `first` to `last` wrote. */
static sabot_status shared_forget(struct store *store, const char *folder, int64_t first, int64_t last,
                                  struct sabot_error *err) {
    char shared[STORAGE_PATH_MAX], path[STORAGE_PATH_MAX];
    SABOT_TRY(storage_shared_path(folder, shared, err));
    bool is_there = false;
    struct env_stat found;
    SABOT_TRY(store_look(store, shared, &is_there, &found, err));
    if (!is_there) { return SABOT_OK; }
    struct store_entry *entries;
    size_t n;
    SABOT_TRY(store_list(store, shared, &entries, &n, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        const int64_t id = storage_shared_id(entries[i].name);
        if (id < first || id > last) { continue; }
        const int length = snprintf(path, sizeof path, "%s/%s", shared, entries[i].name);
        if (length > 0 && (size_t)length < sizeof path) { status = store_remove(store, path, err); }
    }
    store_entries_free(entries, n);
    return status;
}

/* Folders of the copies in `folder` of checkpoints `first` to `last`. */
static sabot_status folders_forget(struct store *store, const char *folder, int64_t first, int64_t last,
                                   struct sabot_error *err) {
    int64_t *ids;
    int32_t n;
    SABOT_TRY(storage_list(store, folder, &ids, &n, err));
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        char target[STORAGE_PATH_MAX];
        if (ids[i] < first || ids[i] > last) { continue; }
        status = storage_path(folder, ids[i], target, err);
        if (status == SABOT_OK) { status = store_remove_tree(store, target, err); }
    }
    free(ids);
    return status;
}

/* Folders of checkpoints first[0] to last[0], shared files of first[1] to last[1]. */
static void forget(struct store *store, const char *dir, const int64_t first[2], const int64_t last[2]) {
    char folder[STORAGE_PATH_MAX];
    struct sabot_error err = {0};
    if (!folder_of(store, dir, strlen(dir), folder)) { return; }
    bool is_there = false;
    struct env_stat found;
    sabot_status status = store_look(store, folder, &is_there, &found, &err);
    if (is_there) { status = folders_forget(store, folder, first[0], last[0], &err); }
    if (is_there && status == SABOT_OK) { status = shared_forget(store, folder, first[1], last[1], &err); }
    if (status != SABOT_OK) { complain(store, "of a checkpoint that was given up stays", folder, &err); }
}

void local_copy_forget(struct store *store, const char *dir, int64_t first, int64_t last) {
    forget(store, dir, (const int64_t[2]){first, first}, (const int64_t[2]){last, last});
}

void local_copy_give_up(struct store *store, const char *dir, int64_t complete, int64_t id) {
    forget(store, dir, (const int64_t[2]){id, complete + 1}, (const int64_t[2]){id, id - CHAIN_FILES_MAX});
}
