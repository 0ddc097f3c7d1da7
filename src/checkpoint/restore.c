/* Starting from a checkpoint. */
#include "checkpoint/restore.h"

#include "base/log.h"
#include "checkpoint/storage.h"
#include "state/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A table whose keys have another type in the job. */
struct rekeyed {
    struct rekeyed *next;
    char *uid, *state;
};

/* What one operator instance asks a restore for. */
struct asker {
    struct asker *next;
    struct restore *restore;
    char *uid;
    int32_t subtask, parallelism;
};

struct restore {
    struct rekeyed *rekeyed;
    struct asker *askers;
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
        error_context(err, "read the checkpoint %s", path);
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
    while (restore->askers) {
        struct asker *asker = restore->askers;
        restore->askers = asker->next;
        free(asker->uid);
        free(asker);
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
                                           .n_keys = file->n_keys, .rows = file->rows, .bytes = file->size,
                                           .has_changes = file->form == STATE_FORM_DELTA};
    }
    qsort(tables, (size_t)manifest->n_files, sizeof *tables, table_compare);
    int32_t kept = 0;
    for (int32_t f = 0; f < manifest->n_files; f++) {
        if (kept > 0 && table_compare(&tables[kept - 1], &tables[f]) == 0) {
            tables[kept - 1].rows += tables[f].rows;
            tables[kept - 1].bytes += tables[f].bytes;
            tables[kept - 1].has_changes |= tables[f].has_changes;
        } else {
            tables[kept++] = tables[f];
        }
    }
    *out = tables;
    *n = kept;
    return SABOT_OK;
}

/* A file on its way into a table. */
struct loading {
    const struct manifest_file *file;
    struct replay *replay;
    sabot_status (*take)(void *taker, enum state_kind kind, struct batch *rows, struct sabot_error *err);
    void *taker;
};

static sabot_status file_take(void *arg, struct batch *batch, struct sabot_error *err) {
    const struct loading *loading = arg;
    struct batch *rows;
    const struct manifest_file *file = loading->file;
    SABOT_TRY(replay_rows(loading->replay, file->form, file->n_keys, batch, file->file, &rows, err));
    return rows ? loading->take(loading->taker, file->kind, rows, err) : SABOT_OK;
}

static bool same_chain(const struct manifest_file *a, const struct manifest_file *b) {
    return a->subtask == b->subtask && strcmp(a->uid, b->uid) == 0 && strcmp(a->state, b->state) == 0;
}

/* Whether a file may hold rows of this subtask. */
static bool concerns(const struct manifest_file *file, int32_t subtask, int32_t parallelism, int32_t max_parallelism) {
    if (file->kind == STATE_LIST) { return true; }
    const int32_t first = key_group_first(subtask, max_parallelism, parallelism);
    const int32_t behind = key_group_first(subtask + 1, max_parallelism, parallelism);
    return file->first_group < behind && file->last_group >= first;
}

static bool chain_concerns(const struct manifest *manifest, int32_t first, const struct asker *asker) {
    for (int32_t i = first; i < manifest->n_files; i++) {
        if (same_chain(&manifest->files[first], &manifest->files[i]) &&
            concerns(&manifest->files[i], asker->subtask, asker->parallelism, manifest->max_parallelism)) {
            return true;
        }
    }
    return false;
}

/* A base and its deltas, or a single file: the newest first. A delta without a row of ours may hide older ones. */
static sabot_status chain_read(const struct restore *restore, int32_t first, struct loading *loading,
                               struct sabot_error *err) {
    const struct manifest *manifest = &restore->manifest;
    SABOT_TRY(replay_new(restore->pool, &loading->replay, err));
    sabot_status status = SABOT_OK;
    for (int32_t i = manifest->n_files - 1; i >= first && status == SABOT_OK; i--) {
        if (!same_chain(&manifest->files[first], &manifest->files[i])) { continue; }
        loading->file = &manifest->files[i];
        status = storage_read_table(restore->store, restore->path, restore->pool, loading->file, file_take, loading,
                                    err);
        replay_end_file(loading->replay);
    }
    replay_free(loading->replay);
    return status;
}

static bool is_first_of_chain(const struct manifest *manifest, int32_t at) {
    for (int32_t i = 0; i < at; i++) {
        if (same_chain(&manifest->files[i], &manifest->files[at])) { return false; }
    }
    return true;
}

/* Who reads for a tool: plain flat rows. */
struct reading {
    struct memory_pool *pool;
    sabot_status (*take)(void *arg, struct batch *rows, struct sabot_error *err);
    void *arg;
};

static sabot_status reading_take(void *taker, enum state_kind kind, struct batch *given, struct sabot_error *err) {
    (void)kind;
    const struct reading *reading = taker;
    BATCH_OWNED struct batch *rows = given;
    struct batch *flat;
    SABOT_TRY(batch_compact(reading->pool, rows, &flat, err));
    return reading->take(reading->arg, flat, err);
}

sabot_status restore_read(struct restore *restore, const char *uid, const char *state, int32_t subtask,
                          sabot_status (*take)(void *arg, struct batch *rows, struct sabot_error *err), void *arg,
                          struct sabot_error *err) {
    const struct manifest *manifest = &restore->manifest;
    struct reading reading = {.pool = restore->pool, .take = take, .arg = arg};
    for (int32_t i = 0; i < manifest->n_files; i++) {
        const struct manifest_file *file = &manifest->files[i];
        if (strcmp(file->uid, uid) != 0 || strcmp(file->state, state) != 0) { continue; }
        if ((subtask >= 0 && file->subtask != subtask) || !is_first_of_chain(manifest, i)) { continue; }
        struct loading loading = {.take = reading_take, .taker = &reading};
        SABOT_TRY(chain_read(restore, i, &loading, err));
    }
    return SABOT_OK;
}

static sabot_status table_read(void *arg, const char *name,
                               sabot_status (*take)(void *taker, enum state_kind kind, struct batch *rows,
                                                    struct sabot_error *err),
                               void *taker, struct sabot_error *err) {
    const struct asker *asker = arg;
    const struct manifest *manifest = &asker->restore->manifest;
    for (int32_t i = 0; i < manifest->n_files; i++) {
        const struct manifest_file *file = &manifest->files[i];
        if (strcmp(file->uid, asker->uid) != 0 || strcmp(file->state, name) != 0) { continue; }
        if (!is_first_of_chain(manifest, i)) { continue; }
        if (!chain_concerns(manifest, i, asker) && !is_rekeyed(asker->restore, file)) { continue; }
        env_point(store_env(asker->restore->store), ENV_POINT_RESTORE);
        struct loading loading = {.take = take, .taker = taker};
        SABOT_TRY(chain_read(asker->restore, i, &loading, err));
    }
    return SABOT_OK;
}

sabot_status restore_load(struct restore *restore, const char *uid, int32_t subtask, int32_t parallelism,
                          struct state_tables *tables, struct sabot_error *err) {
    struct asker *asker = calloc(1, sizeof *asker);
    if (asker) { asker->uid = strdup(uid); }
    if (!asker || !asker->uid) {
        free(asker);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to restore");
    }
    asker->restore = restore;
    asker->subtask = subtask;
    asker->parallelism = parallelism;
    asker->next = restore->askers;
    restore->askers = asker;
    state_tables_restore_from(tables, &(struct state_source){.arg = asker, .read = table_read});
    return SABOT_OK;
}

static sabot_status take_schema(void *arg, struct batch *rows, struct sabot_error *err) {
    (void)err;
    struct schema **out = arg;
    *out = schema_ref(rows->schema);
    batch_unref(rows);
    return SABOT_ERR_CANCELLED; /* enough */
}

sabot_status restore_schema(struct restore *restore, const char *uid, const char *state, struct schema **out,
                            struct sabot_error *err) {
    struct sabot_error stopped = {0};
    *out = NULL;
    const sabot_status status = restore_read(restore, uid, state, -1, take_schema, out, &stopped);
    if (*out || status == SABOT_OK) { return SABOT_OK; }
    if (err && err->status == SABOT_OK) { *err = stopped; }
    return status;
}
