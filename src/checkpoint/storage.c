/* Checkpoints as files in folders, local or remote. */
#include "checkpoint/storage_impl.h"

#include "arrow/ipc.h"
#include "base/log.h"
#include "checkpoint/lease.h"
#include "checkpoint/local_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_PREFIX "chk-"
/* One record batch of a file: bounds what reader and writer hold at a time. */
#define TABLE_BATCH_ROWS BATCH_ROWS_MAX
#define SMALL_BYTES ((size_t)32 * 1024) /* pieces of a file up to this are gathered */

static sabot_status path_join(const char *folder, const char *name, char target[STORAGE_PATH_MAX],
                              struct sabot_error *err) {
    const int size = snprintf(target, STORAGE_PATH_MAX, "%s/%s", folder, name);
    if (size > 0 && size < STORAGE_PATH_MAX) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s.../%s is too long: choose a shorter one", folder, name);
}

sabot_status storage_path(const char *dir, int64_t checkpoint_id, char target[STORAGE_PATH_MAX],
                          struct sabot_error *err) {
    char name[32];
    snprintf(name, sizeof name, FOLDER_PREFIX "%lld", (long long)checkpoint_id);
    return path_join(dir, name, target, err);
}

static void checksum_print(const XXH3_state_t *state, char target[CHECKSUM_SIZE]) {
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    snprintf(target, CHECKSUM_SIZE, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

/* --- writing */

/* Gathers the writer's small pieces, and hashes what goes to the file. */
struct file_sink {
    struct store_writer *file;
    struct local_copy *copy;
    XXH3_state_t *hash;
    int64_t size;
    char *buffer;
    size_t used;
};

static sabot_status sink_put(struct file_sink *sink, const void *bytes, size_t size, struct sabot_error *err) {
    local_copy_write(sink->copy, bytes, size);
    return store_write(sink->file, bytes, size, err);
}

static sabot_status sink_flush(struct file_sink *sink, struct sabot_error *err) {
    const size_t used = sink->used;
    sink->used = 0;
    return used > 0 ? sink_put(sink, sink->buffer, used, err) : SABOT_OK;
}

static sabot_status sink_write(void *context, const void *bytes, size_t size, struct sabot_error *err) {
    struct file_sink *sink = context;
    XXH3_128bits_update(sink->hash, bytes, size);
    sink->size += (int64_t)size;
    if (sink->used + size > STORAGE_CHUNK) { SABOT_TRY(sink_flush(sink, err)); }
    if (size > SMALL_BYTES) {
        SABOT_TRY(sink_flush(sink, err));
        return sink_put(sink, bytes, size, err);
    }
    memcpy(sink->buffer + sink->used, bytes, size);
    sink->used += size;
    return SABOT_OK;
}

static sabot_status rows_write(struct ipc_writer *writer, struct memory_pool *pool, struct batch *rows,
                               struct sabot_error *err) {
    if (rows->selected <= TABLE_BATCH_ROWS) { return ipc_writer_put(writer, rows, err); }
    int32_t *at = malloc((size_t)TABLE_BATCH_ROWS * sizeof *at);
    if (!at) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a snapshot"); }
    sabot_status status = SABOT_OK;
    for (int32_t first = 0; first < rows->selected && status == SABOT_OK; first += TABLE_BATCH_ROWS) {
        const int32_t left = rows->selected - first;
        const int32_t n = left < TABLE_BATCH_ROWS ? left : TABLE_BATCH_ROWS;
        for (int32_t i = 0; i < n; i++) { at[i] = batch_row(rows, first + i); }
        BATCH_OWNED struct batch *part = NULL;
        status = batch_take(pool, rows, at, n, &part, err);
        if (status == SABOT_OK) { status = ipc_writer_put(writer, part, err); }
    }
    free(at);
    return status;
}

/* A name that says what is in the file, and is unique by the hash behind it: a uid may hold any character. */
static char *file_name(const struct storage_writing *writing, const struct manifest_file *item) {
    char readable[96];
    size_t size = 0;
    const char *const parts[] = {item->uid, "-", item->state};
    for (size_t p = 0; p < 3; p++) {
        for (const char *at = parts[p]; *at && size + 1 < sizeof readable; at++) {
            const bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                               (*at >= '0' && *at <= '9') || *at == '-' || *at == '_';
            readable[size++] = plain ? *at : '_';
        }
    }
    readable[size] = '\0';
    XXH3_state_t *state = XXH3_createState();
    if (!state) { return NULL; }
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, item->uid, strlen(item->uid) + 1);
    XXH3_64bits_update(state, item->state, strlen(item->state));
    const unsigned hash = (unsigned)XXH3_64bits_digest(state);
    XXH3_freeState(state);
    char name[200];
    int used = 0;
    if (item->shared) { used = snprintf(name, sizeof name, "%lld-", (long long)writing->checkpoint_id); }
    used += snprintf(name + used, sizeof name - (size_t)used, "%s-%08x-%d", readable, hash, item->subtask);
    if (item->shared) { used += snprintf(name + used, sizeof name - (size_t)used, "-%08x", writing->nonce); }
    snprintf(name + used, sizeof name - (size_t)used, ".arrow");
    return strdup(name);
}

sabot_status storage_shared_path(const char *dir, char target[STORAGE_PATH_MAX], struct sabot_error *err) {
    return path_join(dir, STORAGE_SHARED, target, err);
}

int64_t storage_shared_id(const char *file) {
    char *rest;
    const int64_t id = strtoll(file, &rest, 10);
    return rest != file && *rest == '-' && id >= 0 ? id : -1;
}

/* The folder of shared files beside the checkpoint `path`. */
static sabot_status shared_of(const char *path, char target[STORAGE_PATH_MAX], struct sabot_error *err) {
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') { size--; }
    while (size > 0 && path[size - 1] != '/') { size--; }
    const int written = snprintf(target, STORAGE_PATH_MAX, "%.*s%s", (int)size, path, STORAGE_SHARED);
    if (written > 0 && written < STORAGE_PATH_MAX) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long: choose a shorter one", path);
}

sabot_status storage_file_path(const char *path, const struct manifest_file *item, char target[STORAGE_PATH_MAX],
                               struct sabot_error *err) {
    if (!item->shared) { return path_join(path, item->file, target, err); }
    char shared[STORAGE_PATH_MAX];
    SABOT_TRY(shared_of(path, shared, err));
    return path_join(shared, item->file, target, err);
}

struct storage_writer {
    struct file_sink sink;
    struct ipc_writer *rows;
    struct memory_pool *pool;
    struct manifest_file *item;
    char path[STORAGE_PATH_MAX];
};

sabot_status storage_writer_open(const struct storage_writing *writing, struct schema *schema,
                                 struct manifest_file *item, struct storage_writer **out, struct sabot_error *err) {
    *out = NULL;
    item->file = file_name(writing, item);
    item->rows = 0;
    item->first_group = item->last_group = -1;
    struct storage_writer *writer = calloc(1, sizeof *writer);
    if (!writer || !item->file) {
        free(writer);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a snapshot");
    }
    writer->pool = writing->pool;
    writer->item = item;
    writer->sink = (struct file_sink){.hash = XXH3_createState(), .buffer = malloc(STORAGE_CHUNK)};
    sabot_status status = storage_file_path(writing->path, item, writer->path, err);
    if (status == SABOT_OK && (!writer->sink.hash || !writer->sink.buffer)) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a snapshot");
    }
    if (status == SABOT_OK) {
        status = store_create(writing->store, writer->path, STORE_AT_FINISH, &writer->sink.file, err);
    }
    if (status == SABOT_OK) {
        writer->sink.copy = local_copy_begin(writing->store, writer->path);
        XXH3_128bits_reset(writer->sink.hash);
        const struct ipc_sink to = {.context = &writer->sink, .write = sink_write};
        status = ipc_writer_open(&to, writing->pool, schema, &writer->rows, err);
    }
    if (status != SABOT_OK) {
        storage_writer_close(writer);
        return status;
    }
    *out = writer;
    return SABOT_OK;
}

/* The least and the greatest key group of a file, so that a reader opens only what concerns it. */
static void groups_note(struct manifest_file *item, const struct batch *rows) {
    if (item->kind != STATE_KEYED) { return; }
    const struct column *groups = rows->columns[item->form == STATE_FORM_DELTA ? 1 : 0];
    for (int32_t i = 0; i < rows->selected; i++) {
        const int32_t group = ((const int32_t *)groups->values)[column_at(groups, batch_row(rows, i))];
        if (group == STATE_GROUP_ALL) {
            item->first_group = 0;
            item->last_group = INT32_MAX;
            return;
        }
        if (group < 0) { continue; } /* a mark of a delta */
        item->first_group = item->first_group < 0 || group < item->first_group ? group : item->first_group;
        item->last_group = group > item->last_group ? group : item->last_group;
    }
}

sabot_status storage_writer_put(struct storage_writer *writer, struct batch *rows, struct sabot_error *err) {
    const sabot_status status = rows_write(writer->rows, writer->pool, rows, err);
    if (status != SABOT_OK) {
        error_context(err, "write %s", writer->path);
        return status;
    }
    writer->item->rows += rows->selected;
    groups_note(writer->item, rows);
    return SABOT_OK;
}

sabot_status storage_writer_finish(struct storage_writer *writer, struct sabot_error *err) {
    sabot_status status = ipc_writer_finish(writer->rows, err);
    if (status == SABOT_OK) { status = sink_flush(&writer->sink, err); }
    if (status == SABOT_OK) { status = store_finish(writer->sink.file, err); }
    if (status != SABOT_OK) { error_context(err, "write %s", writer->path); }
    local_copy_end(writer->sink.copy, status == SABOT_OK);
    writer->sink.copy = NULL;
    checksum_print(writer->sink.hash, writer->item->checksum);
    writer->item->size = writer->sink.size;
    return status;
}

void storage_writer_close(struct storage_writer *writer) {
    if (!writer) { return; }
    ipc_writer_close(writer->rows);
    local_copy_end(writer->sink.copy, false);
    store_writer_close(writer->sink.file);
    XXH3_freeState(writer->sink.hash);
    free(writer->sink.buffer);
    free(writer);
}

/* The manifest makes the names in its own folder durable, but not those beside it: of files that this checkpoint has
 * written, or one before that was given up. */
static sabot_status shared_sync(struct store *store, const char *path, const struct manifest *manifest,
                                struct sabot_error *err) {
    bool any = false;
    for (int32_t f = 0; f < manifest->n_files; f++) {
        any |= manifest->files[f].shared;
    }
    if (!any) { return SABOT_OK; }
    char shared[STORAGE_PATH_MAX];
    SABOT_TRY(shared_of(path, shared, err));
    return store_sync_folder(store, shared, err);
}

sabot_status storage_write_manifest(struct store *store, const char *path, const struct manifest *manifest,
                                    struct sabot_error *err) {
    char manifest_path[STORAGE_PATH_MAX];
    SABOT_TRY(path_join(path, MANIFEST_NAME, manifest_path, err));
    SABOT_TRY(shared_sync(store, path, manifest, err));
    struct text text = {0};
    sabot_status status = manifest_print(manifest, &text, err);
    bool won = false;
    if (status == SABOT_OK) { status = store_put_new(store, manifest_path, text.data, text.size, &won, err); }
    if (status == SABOT_OK && !won) {
        status = SABOT_FAIL(err, SABOT_ERR_STATE, "%s is there already: another process writes checkpoints into this "
                            "folder; give every job a folder of its own", manifest_path);
    }
    text_clear(&text);
    return status;
}

/* --- reading */

static sabot_status owner_read(struct store *store, const char *path, char **data, size_t *size,
                               struct sabot_error *err) {
    char target[STORAGE_PATH_MAX];
    struct env_stat found;
    bool is_there;
    *data = NULL;
    SABOT_TRY(path_join(path, OWNER_NAME, target, err));
    SABOT_TRY(store_look(store, target, &is_there, &found, err));
    return is_there ? store_read_file(store, target, data, size, err) : SABOT_OK;
}

sabot_status storage_same(struct store *store, const char *a, const char *b, bool *same, struct sabot_error *err) {
    *same = strcmp(a, b) == 0;
    if (*same) { return SABOT_OK; }
    char *left, *right = NULL;
    size_t left_size = 0, right_size = 0;
    SABOT_TRY(owner_read(store, a, &left, &left_size, err));
    const sabot_status status = left ? owner_read(store, b, &right, &right_size, err) : SABOT_OK;
    *same = left && right && left_size == right_size && memcmp(left, right, left_size) == 0;
    free(left);
    free(right);
    return status;
}

static int entry_compare(const void *a, const void *b) {
    return strcmp(((const struct store_entry *)a)->name, ((const struct store_entry *)b)->name);
}

sabot_status storage_read_manifest(struct store *store, const char *path, struct manifest *out,
                                   struct sabot_error *err) {
    *out = (struct manifest){0};
    char target[STORAGE_PATH_MAX];
    SABOT_TRY(path_join(path, MANIFEST_NAME, target, err));
    char *data;
    size_t size;
    SABOT_TRY(store_read_file(store, target, &data, &size, err));
    sabot_status status = manifest_parse(data, size, target, out, err);
    free(data);
    /* a list of each folder instead of a question per file: those are slow on S3 */
    struct store_entry *entries[2] = {0}; /* of the checkpoint, and shared ones */
    size_t n[2] = {0};
    bool lists[2] = {0};
    for (int32_t i = 0; i < out->n_files && status == SABOT_OK; i++) { lists[out->files[i].shared] = true; }
    if (lists[0]) { status = store_list(store, path, &entries[0], &n[0], err); }
    if (lists[1] && status == SABOT_OK) { status = shared_of(path, target, err); }
    if (lists[1] && status == SABOT_OK) { status = store_list(store, target, &entries[1], &n[1], err); }
    if (status == SABOT_ERR_NOT_FOUND && lists[1]) { /* a folder that is not there has no files: damage */
        if (err) { error_clear(err); }
        status = SABOT_OK;
    }
    for (int32_t i = 0; i < out->n_files && status == SABOT_OK; i++) {
        const struct manifest_file *file = &out->files[i];
        const struct store_entry key = {.name = file->file};
        const struct store_entry *found =
            n[file->shared] > 0 ? bsearch(&key, entries[file->shared], n[file->shared], sizeof key, entry_compare)
                                : NULL;
        const long long bytes = found ? (long long)found->stat.size : 0;
        if (!found) {
            status = SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s/%s is not there any more: restore from another checkpoint",
                                path, key.name);
        } else if (bytes != file->size) {
            status = SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s/%s has %lld bytes, and the manifest says %lld: restore "
                                "from another checkpoint", path, key.name, bytes, (long long)file->size);
        }
    }
    for (int32_t i = 0; i < 2; i++) { store_entries_free(entries[i], n[i]); }
    if (status != SABOT_OK) { manifest_clear(out); }
    return status;
}

static int id_compare(const void *a, const void *b) {
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

int64_t storage_id_of(const char *name, size_t size) {
    const size_t prefix = strlen(FOLDER_PREFIX);
    if (size <= prefix || strncmp(name, FOLDER_PREFIX, prefix) != 0) { return -1; }
    int64_t id = 0;
    for (size_t i = prefix; i < size; i++) {
        if (name[i] < '0' || name[i] > '9' || id > INT64_MAX / 20) { return -1; }
        id = id * 10 + (name[i] - '0');
    }
    return id;
}

sabot_status storage_list(struct store *store, const char *dir, int64_t **ids, int32_t *n, struct sabot_error *err) {
    *ids = NULL;
    *n = 0;
    struct env_stat found;
    bool is_there;
    SABOT_TRY(store_look(store, dir, &is_there, &found, err));
    if (!is_there) { return SABOT_OK; }
    struct store_entry *entries;
    size_t n_entries;
    SABOT_TRY(store_list(store, dir, &entries, &n_entries, err));
    int64_t *list = malloc((n_entries + 1) * sizeof *list);
    for (size_t i = 0; list && i < n_entries; i++) {
        list[*n] = storage_id_of(entries[i].name, strlen(entries[i].name));
        *n += list[*n] >= 0;
    }
    store_entries_free(entries, n_entries);
    if (!list) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "list %s: no memory", dir); }
    if (*n > 1) { qsort(list, (size_t)*n, sizeof *list, id_compare); }
    *ids = list;
    return SABOT_OK;
}

sabot_status storage_has_manifest(struct store *store, const char *path, bool *has, struct sabot_error *err) {
    char target[STORAGE_PATH_MAX];
    struct env_stat found;
    SABOT_TRY(path_join(path, MANIFEST_NAME, target, err));
    return store_look(store, target, has, &found, err);
}

/* A folder of savepoints is none of checkpoints: which of them is meant must be said. */
static sabot_status no_checkpoint(struct store *store, const char *path, int32_t n, struct sabot_error *err) {
    struct store_entry *entries = NULL;
    size_t n_entries = 0;
    const char *savepoint = NULL;
    if (store_list(store, path, &entries, &n_entries, NULL) != SABOT_OK) { n_entries = 0; }
    for (size_t i = 0; i < n_entries && !savepoint; i++) {
        if (strncmp(entries[i].name, "savepoint-", strlen("savepoint-")) == 0) { savepoint = entries[i].name; }
    }
    const sabot_status status =
        savepoint ? SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "%s is a folder of savepoints: name one of them, such as "
                               "%s/%s", path, path, savepoint)
                  : SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "there is no complete checkpoint in %s (%d folders named "
                               FOLDER_PREFIX "<number>, none with a valid " MANIFEST_NAME "); a first start names none",
                               path, n);
    store_entries_free(entries, n_entries);
    return status;
}

sabot_status storage_newest(struct store *store, const char *path, char target[STORAGE_PATH_MAX], struct manifest *out,
                            struct sabot_error *err) {
    *out = (struct manifest){0};
    const bool has_copies = store_is_remote(path) && store_setting(store, LOCAL_COPY_SETTING);
    int64_t *ids;
    int32_t n;
    SABOT_TRY(storage_list(store, path, &ids, &n, err));
    sabot_status status = SABOT_ERR_NOT_FOUND;
    for (int32_t i = n - 1; i >= 0 && status != SABOT_OK; i--) {
        struct sabot_error torn = {0};
        status = storage_path(path, ids[i], target, &torn);
        if (status == SABOT_OK) { status = storage_read_manifest(store, target, out, &torn); }
        bool is_void = false;
        if (status == SABOT_OK) { status = lease_is_void(store, path, out->epoch, ids[i], &is_void, &torn); }
        if (is_void) {
            status = SABOT_FAIL(&torn, SABOT_ERR_NOT_FOUND, "it was written by a process that had been replaced");
        }
        /* While there is another one to go back to, nothing is read before everything is whole. */
        if (status == SABOT_OK && (i > 0 || has_copies)) { status = storage_verify(store, target, out, &torn); }
        if (status == SABOT_OK) { break; }
        manifest_clear(out);
        if (status == SABOT_ERR_NOT_FOUND) {
            log_write(store_env(store), LOG_WARNING, "checkpoint %s is not complete and is skipped: %s", target,
                      torn.message);
            continue;
        }
        if (status == SABOT_ERR_CORRUPT) {
            log_write(store_env(store), LOG_WARNING, "checkpoint %s is damaged, the one before it is used instead "
                      "(what sinks have committed since then may be written again): %s", target, torn.message);
            continue;
        }
        free(ids);
        if (err && err->status == SABOT_OK) { *err = torn; }
        return status; /* a newer format, no permission: skipping it would go back in time */
    }
    free(ids);
    return status == SABOT_OK ? SABOT_OK : no_checkpoint(store, path, n, err);
}

/* The last job here was started from a savepoint and has completed no checkpoint: what is older than that start is
 * behind what has been committed since. */
static sabot_status origin_find(struct store *store, const char *path, int64_t epoch, const char *savepoint,
                                char target[STORAGE_PATH_MAX], struct manifest *out, struct sabot_error *err) {
    struct sabot_error none = {0};
    const sabot_status found = storage_newest(store, path, target, out, &none);
    /* what can't be read may be newer */
    if (found != SABOT_OK && found != SABOT_ERR_NOT_FOUND) { return SABOT_FAIL(err, found, "%s", none.message); }
    bool is_there = true;
    const bool is_newer = found == SABOT_OK && out->epoch >= epoch;
    sabot_status status = is_newer ? SABOT_OK : storage_has_manifest(store, savepoint, &is_there, err);
    if (status == SABOT_OK && !is_there) {
        log_write(store_env(store), LOG_WARNING, "the last job of %s was started from %s, which is gone: an older "
                  "checkpoint is used, and what sinks have committed since then may be written again", path, savepoint);
    }
    if (status == SABOT_OK && (is_newer || !is_there)) {
        return found == SABOT_OK ? SABOT_OK : SABOT_FAIL(err, found, "%s", none.message);
    }
    manifest_clear(out);
    *out = (struct manifest){0};
    snprintf(target, STORAGE_PATH_MAX, "%s", savepoint);
    if (status == SABOT_OK) {
        log_write(store_env(store), LOG_WARNING, "the last job of %s was started from %s and has completed no "
                  "checkpoint: that is where it goes on from", path, savepoint);
    }
    return status == SABOT_OK ? storage_read_manifest(store, savepoint, out, err) : status;
}

sabot_status storage_has_any(struct store *store, const char *path, bool *has, struct sabot_error *err) {
    *has = false;
    int64_t *ids;
    int32_t n;
    struct sabot_error failed = {0};
    const sabot_status listed = storage_list(store, path, &ids, &n, &failed);
    if (listed == SABOT_ERR_NOT_FOUND) { return SABOT_OK; }
    if (listed != SABOT_OK) { return SABOT_FAIL(err, listed, "%s", failed.message); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK && !*has; i++) {
        char target[STORAGE_PATH_MAX];
        status = storage_path(path, ids[i], target, err);
        if (status == SABOT_OK) { status = storage_has_manifest(store, target, has, err); }
    }
    free(ids);
    char savepoint[LEASE_PATH_MAX];
    int64_t epoch = 0;
    if (status != SABOT_OK || *has) { return status; }
    SABOT_TRY(lease_origin(store, path, &epoch, savepoint, err));
    *has = savepoint[0] != 0;
    return SABOT_OK;
}

sabot_status storage_find(struct store *store, const char *path, char target[STORAGE_PATH_MAX], struct manifest *out,
                          struct sabot_error *err) {
    *out = (struct manifest){0};
    const bool has_copies = store_is_remote(path) && store_setting(store, LOCAL_COPY_SETTING);
    struct env_stat found;
    SABOT_TRY(store_stat(store, path, &found, err));
    bool is_there;
    SABOT_TRY(storage_has_manifest(store, path, &is_there, err));
    if (is_there) {
        snprintf(target, STORAGE_PATH_MAX, "%s", path);
        SABOT_TRY(storage_read_manifest(store, path, out, err));
        /* who reads the files checks them; copies must be known to be whole before */
        const sabot_status whole = has_copies ? storage_verify(store, path, out, err) : SABOT_OK;
        if (whole != SABOT_OK) { manifest_clear(out); }
        return whole;
    }
    char savepoint[LEASE_PATH_MAX];
    int64_t epoch = 0;
    SABOT_TRY(lease_origin(store, path, &epoch, savepoint, err));
    return savepoint[0] ? origin_find(store, path, epoch, savepoint, target, out, err)
                        : storage_newest(store, path, target, out, err);
}

sabot_status storage_checksum_compare(const XXH3_state_t *hash, int64_t size, const char *path,
                                      const struct manifest_file *item, struct sabot_error *err) {
    char checksum[CHECKSUM_SIZE];
    checksum_print(hash, checksum);
    if (strcmp(checksum, item->checksum) == 0 && size == item->size) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s is not what was written (checksum %s, the manifest says %s): restore "
                      "from another checkpoint", path, checksum, item->checksum);
}

static bool needs(const struct manifest *kept, int32_t n_kept, const char *name) {
    for (int32_t m = 0; m < n_kept; m++) {
        for (int32_t f = 0; f < kept[m].n_files; f++) {
            if (kept[m].files[f].shared && strcmp(kept[m].files[f].file, name) == 0) { return true; }
        }
    }
    return false;
}

sabot_status storage_sweep(struct store *store, const char *dir, int64_t newest, const struct manifest *kept,
                           int32_t n_kept, struct sabot_error *err) {
    char shared[STORAGE_PATH_MAX], target[STORAGE_PATH_MAX];
    SABOT_TRY(storage_shared_path(dir, shared, err));
    struct env_stat found;
    if (store_stat(store, shared, &found, NULL) == SABOT_ERR_NOT_FOUND) { return SABOT_OK; }
    struct store_entry *entries;
    size_t n;
    SABOT_TRY(store_list(store, shared, &entries, &n, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        const int64_t id = storage_shared_id(entries[i].name);
        if (id < 0 || id > newest || needs(kept, n_kept, entries[i].name)) {
            continue;
        }
        status = path_join(shared, entries[i].name, target, err);
        if (status == SABOT_OK) { status = store_remove(store, target, err); }
    }
    store_entries_free(entries, n);
    return status;
}

sabot_status storage_remove(struct store *store, const char *path, struct sabot_error *err) {
    char file_path[STORAGE_PATH_MAX];
    SABOT_TRY(path_join(path, MANIFEST_NAME, file_path, err));
    SABOT_TRY(store_remove(store, file_path, err));
    return store_remove_tree(store, path, err);
}

sabot_status storage_claim(struct store *store, const char *path, bool must_be_empty, int64_t epoch,
                           struct sabot_error *err) {
    SABOT_TRY(store_make_dirs(store, path, err));
    if (must_be_empty) {
        struct store_entry *entries;
        size_t n;
        SABOT_TRY(store_list(store, path, &entries, &n, err));
        store_entries_free(entries, n);
        if (n > 0) {
            return SABOT_FAIL(err, SABOT_ERR_USAGE, "the savepoint folder %s is not empty: name a new one", path);
        }
    }
    char file_path[STORAGE_PATH_MAX], text[64];
    SABOT_TRY(path_join(path, OWNER_NAME, file_path, err));
    const int size = snprintf(text, sizeof text, "epoch %lld\ntoken %016llx\n", (long long)epoch,
                              (unsigned long long)env_random(store_env(store)));
    bool won;
    SABOT_TRY(store_put_new(store, file_path, text, (size_t)size, &won, err));
    if (won) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "the checkpoint folder %s belongs to another process: give every job a "
                      "folder of its own", path);
}

sabot_status storage_try(struct store *store, const char *path, struct sabot_error *err) {
    char file_path[STORAGE_PATH_MAX];
    SABOT_TRY(storage_claim(store, path, true, 0, err));
    SABOT_TRY(path_join(path, OWNER_NAME, file_path, err));
    return store_remove(store, file_path, err);
}
