/* Starting from a checkpoint. */
#include "checkpoint/restore.h"

#include "base/log.h"
#include "checkpoint/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A table whose keys have another type in the job. */
struct rekeyed {
    struct rekeyed *next;
    char *uid, *state;
};

struct restore {
    struct rekeyed *rekeyed;
    struct store *store;
    struct memory_pool *pool;
    char path[STORAGE_PATH_MAX];
    struct manifest manifest;
};

sabot_status restore_open(struct store *store, const char *path, struct memory_pool *pool, struct restore **out,
                          struct sabot_error *err) {
    *out = NULL;
    struct restore *restore = calloc(1, sizeof *restore);
    if (!restore) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "restore from %s: no memory", path); }
    restore->store = store;
    restore->pool = pool;
    const sabot_status status = storage_find(store, path, restore->path, &restore->manifest, err);
    if (status != SABOT_OK) {
        error_context(err, "restore from %s", path);
        free(restore);
        return status;
    }
    *out = restore;
    return SABOT_OK;
}

void restore_close(struct restore *restore) {
    if (!restore) { return; }
    while (restore->rekeyed) {
        struct rekeyed *item = restore->rekeyed;
        restore->rekeyed = item->next;
        free(item->uid);
        free(item->state);
        free(item);
    }
    manifest_clear(&restore->manifest);
    free(restore);
}

int64_t restore_id(const struct restore *restore) { return restore->manifest.checkpoint_id; }
const char *restore_path(const struct restore *restore) { return restore->path; }

sabot_status restore_rekey(struct restore *restore, const char *uid, const char *state, struct sabot_error *err) {
    struct rekeyed *item = calloc(1, sizeof *item);
    if (item) {
        *item = (struct rekeyed){.next = restore->rekeyed, .uid = strdup(uid), .state = strdup(state)};
        restore->rekeyed = item;
    }
    return item && item->uid && item->state ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to restore");
}

static bool is_rekeyed(const struct restore *restore, const struct manifest_file *file) {
    for (const struct rekeyed *item = restore->rekeyed; item; item = item->next) {
        if (strcmp(item->uid, file->uid) == 0 && strcmp(item->state, file->state) == 0) { return true; }
    }
    return false;
}

bool restore_ended(const struct restore *restore, const char *uid) {
    const struct manifest *manifest = &restore->manifest;
    int32_t n = 0;
    for (int32_t i = 0; i < manifest->n_operators; i++) {
        if (strcmp(manifest->operators[i].uid, uid) != 0) { continue; }
        if (!manifest->operators[i].ended) { return false; }
        n++;
    }
    return n > 0;
}

const struct manifest *restore_manifest(const struct restore *restore) { return &restore->manifest; }

static int table_compare(const void *a, const void *b) {
    const struct restore_table *left = a, *right = b;
    const int order = strcmp(left->uid, right->uid);
    return order ? order : strcmp(left->state, right->state);
}

sabot_status restore_tables(const struct restore *restore, struct restore_table **out, int32_t *n,
                            struct sabot_error *err) {
    const struct manifest *manifest = &restore->manifest;
    struct restore_table *tables = calloc((size_t)manifest->n_files + 1, sizeof *tables);
    if (!tables) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a list of state tables"); }
    for (int32_t f = 0; f < manifest->n_files; f++) {
        const struct manifest_file *file = &manifest->files[f];
        tables[f] = (struct restore_table){.uid = file->uid, .state = file->state, .kind = file->kind,
                                           .n_keys = file->n_keys, .rows = file->rows, .bytes = file->size};
    }
    qsort(tables, (size_t)manifest->n_files, sizeof *tables, table_compare);
    int32_t kept = 0;
    for (int32_t f = 0; f < manifest->n_files; f++) {
        if (kept > 0 && table_compare(&tables[kept - 1], &tables[f]) == 0) {
            tables[kept - 1].rows += tables[f].rows;
            tables[kept - 1].bytes += tables[f].bytes;
        } else {
            tables[kept++] = tables[f];
        }
    }
    *out = tables;
    *n = kept;
    return SABOT_OK;
}

sabot_status restore_read(struct restore *restore, const char *uid, const char *state, int32_t subtask,
                          sabot_status (*take)(void *arg, struct batch *rows, struct sabot_error *err), void *arg,
                          struct sabot_error *err) {
    const struct manifest *manifest = &restore->manifest;
    for (int32_t i = 0; i < manifest->n_files; i++) {
        const struct manifest_file *file = &manifest->files[i];
        if (strcmp(file->uid, uid) != 0 || strcmp(file->state, state) != 0) { continue; }
        if (subtask >= 0 && file->subtask != subtask) { continue; }
        SABOT_TRY(storage_read_table(restore->store, restore->path, restore->pool, file, take, arg, err));
    }
    return SABOT_OK;
}

struct loading {
    struct state_tables *tables;
    const struct manifest_file *file;
};

static sabot_status take(void *arg, struct batch *batch, struct sabot_error *err) {
    const struct loading *loading = arg;
    return state_tables_load(loading->tables, loading->file->state, loading->file->kind, batch, err);
}

/* Whether a file may hold rows of this subtask. */
static bool concerns(const struct manifest_file *file, int32_t subtask, int32_t parallelism, int32_t max_parallelism) {
    if (file->kind == STATE_LIST) { return true; }
    const int32_t first = key_group_first(subtask, max_parallelism, parallelism);
    const int32_t behind = key_group_first(subtask + 1, max_parallelism, parallelism);
    return file->first_group < behind && file->last_group >= first;
}

sabot_status restore_load(struct restore *restore, const char *uid, int32_t subtask, int32_t parallelism,
                          struct state_tables *tables, struct sabot_error *err) {
    const struct manifest *manifest = &restore->manifest;
    for (int32_t i = 0; i < manifest->n_files; i++) {
        const struct manifest_file *file = &manifest->files[i];
        if (strcmp(file->uid, uid) != 0) { continue; }
        const bool is_ours = concerns(file, subtask, parallelism, manifest->max_parallelism);
        if (!is_ours && !is_rekeyed(restore, file)) { continue; }
        env_point(store_env(restore->store), ENV_POINT_RESTORE);
        struct loading loading = {.tables = tables, .file = file};
        SABOT_TRY(storage_read_table(restore->store, restore->path, restore->pool, file, take, &loading, err));
    }
    return SABOT_OK;
}
