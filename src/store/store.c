/* The local side of the store, and the way to the remote one. */
#include "store/store.h"

#include "store/store_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How hidden files are named: ".<name>.inprogress" while they are written, ".<name>.pending" when they are whole. */
#define IN_PROGRESS ".inprogress"
#define PENDING ".pending"

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for files");
}

bool store_is_remote(const char *path) {
    return strncmp(path, "s3://", 5) == 0 || strncmp(path, "s3a://", 6) == 0 || strncmp(path, "hdfs://", 7) == 0;
}

struct env *store_env(const struct store *store) { return store->env; }

static const char *const keys[] = {
#define X(field, key, kind, fallback, summary) key,
#include "store/settings.def"
#undef X
};
#define N_KEYS ((int32_t)(sizeof keys / sizeof keys[0]))

/* SABOT_S3_ENDPOINT for s3.endpoint, and so on. */
static const char *variable_of(const char *key) {
    char name[64] = "SABOT_";
    size_t n = strlen(name);
    for (; *key && n + 1 < sizeof name; key++) {
        name[n++] = *key == '.' || *key == '-' ? '_' : (char)toupper((unsigned char)*key);
    }
    name[n] = '\0';
    return getenv(name);
}

static bool setting_add(struct store *store, const char *key, const char *value) {
    const struct store_setting copy = {strdup(key), strdup(value)};
    store->settings[store->n_settings++] = copy;
    return copy.key && copy.value;
}

sabot_status store_new(struct env *env, const struct store_setting *settings, int32_t n_settings, struct store **out,
                       struct sabot_error *err) {
    *out = NULL;
    struct store *store = calloc(1, sizeof *store);
    if (!store) { return no_memory(err); }
    store->env = env;
    store->settings = calloc((size_t)(n_settings + N_KEYS), sizeof *store->settings);
    bool whole = store->settings != NULL;
    for (int32_t i = 0; i < n_settings && whole; i++) {
        whole = setting_add(store, settings[i].key, settings[i].value);
    }
    for (int32_t k = 0; k < N_KEYS && whole; k++) {
        const char *value = variable_of(keys[k]);
        if (value && *value && !store_setting(store, keys[k])) { whole = setting_add(store, keys[k], value); }
    }
    store->mutex = env_mutex_new(env);
    store->stop = &store->own_stop;
    if (whole) {
        *out = store;
        return SABOT_OK;
    }
    store_free(store);
    return no_memory(err);
}

sabot_status store_with(const struct store *store, const struct store_setting *settings, int32_t n_settings,
                        struct store **out, struct sabot_error *err) {
    struct store_setting both[2 * STORE_SETTINGS_MAX];
    int32_t n = 0;
    for (int32_t i = 0; i < n_settings && n < STORE_SETTINGS_MAX; i++) { both[n++] = settings[i]; }
    for (int32_t i = 0; i < store->n_settings && n < 2 * STORE_SETTINGS_MAX; i++) { both[n++] = store->settings[i]; }
    SABOT_TRY(store_new(store->env, both, n, out, err));
    (*out)->pool = store->pool;
    (*out)->stop = store->stop;
    return SABOT_OK;
}

void store_charge(struct store *store, struct memory_pool *pool) { store->pool = pool; }
void store_hurry(struct store *store) { atomic_store(&store->own_stop, true); }

void store_free(struct store *store) {
    if (!store) { return; }
    remotes_free(store);
    for (int32_t i = 0; i < store->n_settings; i++) {
        free((char *)store->settings[i].key);
        free((char *)store->settings[i].value);
    }
    free(store->settings);
    env_mutex_free(store->mutex);
    free(store);
}

const char *store_setting(const struct store *store, const char *key) {
    for (int32_t i = 0; i < store->n_settings; i++) {
        if (strcmp(store->settings[i].key, key) == 0 && *store->settings[i].value) { return store->settings[i].value; }
    }
    return NULL;
}

sabot_status store_path_join(const char *folder, const char *name, char target[STORE_PATH_MAX],
                             struct sabot_error *err) {
    const size_t size = strlen(folder);
    const char *between = size > 0 && folder[size - 1] == '/' ? "" : "/";
    const int length = snprintf(target, STORE_PATH_MAX, "%s%s%s", folder, between, name);
    if (length > 0 && length < STORE_PATH_MAX) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s.../%s is too long: choose a shorter one", folder, name);
}

/* --- whole files and folders */

sabot_status store_stat(struct store *store, const char *path, struct env_stat *out, struct sabot_error *err) {
    return store_is_remote(path) ? remote_stat(store, path, out, err) : env_stat(store->env, path, out, err);
}

sabot_status store_look(struct store *store, const char *path, bool *is_there, struct env_stat *out,
                        struct sabot_error *err) {
    struct sabot_error why = {0};
    const sabot_status status = store_stat(store, path, out, &why);
    *is_there = status == SABOT_OK;
    return status == SABOT_OK || status == SABOT_ERR_NOT_FOUND ? SABOT_OK : SABOT_FAIL(err, status, "%s", why.message);
}

sabot_status store_make_dirs(struct store *store, const char *path, struct sabot_error *err) {
    return store_is_remote(path) ? remote_make_dirs(store, path, err) : env_make_dirs(store->env, path, err);
}

sabot_status store_entries_add(struct store_entries *entries, const char *name, size_t name_size,
                               const struct env_stat *stat, struct sabot_error *err) {
    if (entries->n == entries->capacity) {
        const size_t capacity = entries->capacity ? entries->capacity * 2 : 16;
        struct store_entry *items = realloc(entries->items, capacity * sizeof *items);
        if (!items) { return no_memory(err); }
        entries->items = items;
        entries->capacity = capacity;
    }
    char *copy = strndup(name, name_size);
    if (!copy) { return no_memory(err); }
    entries->items[entries->n++] = (struct store_entry){copy, *stat};
    return SABOT_OK;
}

static sabot_status local_list(struct store *store, const char *path, struct store_entries *entries,
                               struct sabot_error *err) {
    char **names;
    size_t n;
    SABOT_TRY(env_list(store->env, path, &names, &n, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        char full[STORE_PATH_MAX];
        struct env_stat stat;
        status = store_path_join(path, names[i], full, err);
        if (status != SABOT_OK) { break; }
        struct sabot_error why = {0};
        const sabot_status seen = env_stat(store->env, full, &stat, &why);
        if (seen == SABOT_ERR_NOT_FOUND) { continue; } /* it went away since the folder was listed */
        status = seen == SABOT_OK ? store_entries_add(entries, names[i], strlen(names[i]), &stat, err)
                                  : SABOT_FAIL(err, seen, "%s", why.message);
    }
    env_names_free(names, n);
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct store_entry *)a)->name, ((const struct store_entry *)b)->name);
}

sabot_status store_list(struct store *store, const char *path, struct store_entry **entries, size_t *n,
                        struct sabot_error *err) {
    *entries = NULL;
    *n = 0;
    struct store_entries found = {0};
    const sabot_status status = store_is_remote(path) ? remote_list(store, path, &found, err)
                                                      : local_list(store, path, &found, err);
    if (status != SABOT_OK) {
        store_entries_free(found.items, found.n);
        return status;
    }
    if (found.n > 1) { qsort(found.items, found.n, sizeof *found.items, by_name); }
    *entries = found.items;
    *n = found.n;
    return SABOT_OK;
}

void store_entries_free(struct store_entry *entries, size_t n) {
    for (size_t i = 0; i < n; i++) { free(entries[i].name); }
    free(entries);
}

sabot_status store_read_file(struct store *store, const char *path, char **data, size_t *size,
                             struct sabot_error *err) {
    if (!store_is_remote(path)) { return env_read_file(store->env, path, data, size, err); }
    return remote_read_file(store, path, (size_t)64 << 20, data, size, err);
}

static sabot_status local_put_new(struct env *env, const char *path, const void *data, size_t size, bool *won,
                                  struct sabot_error *err) {
    char temporary[STORE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    const int folder = slash ? (int)(slash - path) + 1 : 0;
    /* a name of its own: several processes may be at it */
    const int length = snprintf(temporary, sizeof temporary, "%.*s.%s.%016llx.tmp", folder, path, path + folder,
                                (unsigned long long)env_random(env));
    if (length >= STORE_PATH_MAX) { return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long", path); }
    struct env_file *file;
    SABOT_TRY(env_open(env, temporary, ENV_WRITE_NEW, &file, err));
    sabot_status status = env_write(file, data, size, err);
    if (status == SABOT_OK) { status = env_sync(file, err); }
    env_close(file);
    if (status == SABOT_OK) { status = env_rename_new(env, temporary, path, won, err); }
    if (!*won) { env_remove(env, temporary, NULL); }
    return status;
}

sabot_status store_put_new(struct store *store, const char *path, const void *data, size_t size, bool *won,
                           struct sabot_error *err) {
    *won = false;
    return store_is_remote(path) ? remote_put_new(store, path, data, size, won, err)
                                 : local_put_new(store->env, path, data, size, won, err);
}

sabot_status store_sync_folder(struct store *store, const char *path, struct sabot_error *err) {
    return store_is_remote(path) ? SABOT_OK : env_sync_folder(store->env, path, err);
}

sabot_status store_remove(struct store *store, const char *path, struct sabot_error *err) {
    return store_is_remote(path) ? remote_remove(store, path, false, err) : env_remove(store->env, path, err);
}

#define DEPTH_MAX 32

static sabot_status local_remove_tree(struct store *store, const char *path, int depth, struct sabot_error *err) {
    struct env *env = store->env;
    struct env_stat found;
    bool is_there;
    SABOT_TRY(store_look(store, path, &is_there, &found, err));
    if (!is_there) { return SABOT_OK; }
    if (!found.is_directory) { return env_remove(env, path, err); }
    if (depth > DEPTH_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "remove %s: folders nested more than %d deep", path, DEPTH_MAX);
    }
    char **names;
    size_t n;
    SABOT_TRY(env_list(env, path, &names, &n, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        char full[STORE_PATH_MAX];
        status = store_path_join(path, names[i], full, err);
        if (status == SABOT_OK) { status = local_remove_tree(store, full, depth + 1, err); }
    }
    env_names_free(names, n);
    return status == SABOT_OK ? env_remove(env, path, err) : status;
}

sabot_status store_remove_tree(struct store *store, const char *path, struct sabot_error *err) {
    return store_is_remote(path) ? remote_remove(store, path, true, err) : local_remove_tree(store, path, 0, err);
}

/* --- reading */

struct local_file {
    struct store_file file;
    struct env_file *opened;
};

static sabot_status file_open(struct store *store, const char *path, enum env_open mode, struct store_file **out,
                              struct sabot_error *err) {
    *out = NULL;
    if (store_is_remote(path)) { return remote_open(store, path, out, err); }
    struct local_file *file = calloc(1, sizeof *file);
    if (!file) { return no_memory(err); }
    file->file.store = store;
    struct env_stat stat;
    sabot_status status = env_open(store->env, path, mode, &file->opened, err);
    if (status == SABOT_OK) { status = env_file_stat(file->opened, &stat, err); }
    if (status != SABOT_OK) {
        store_close(&file->file);
        return status;
    }
    file->file.size = stat.size;
    *out = &file->file;
    return SABOT_OK;
}

sabot_status store_open(struct store *store, const char *path, struct store_file **out, struct sabot_error *err) {
    return file_open(store, path, ENV_READ, out, err);
}

sabot_status store_open_large(struct store *store, const char *path, struct store_file **out, struct sabot_error *err) {
    return file_open(store, path, ENV_READ_LARGE, out, err);
}

sabot_status store_read(struct store_file *file, int64_t offset, void *target, size_t size, size_t *got,
                        struct sabot_error *err) {
    if (file->is_remote) { return remote_read(file, offset, target, size, got, err); }
    return env_read(((struct local_file *)file)->opened, offset, target, size, got, err);
}

int64_t store_size(const struct store_file *file) { return file->size; }

void store_close(struct store_file *file) {
    if (!file) { return; }
    if (file->is_remote) {
        remote_close(file);
        return;
    }
    env_close(((struct local_file *)file)->opened);
    free(file);
}

/* --- writing */

struct local_writer {
    struct store_writer writer;
    struct env_file *opened;
    char written[STORE_PATH_MAX]; /* where the bytes are now; empty: nothing that close removes */
};

/* "folder/.<name><end>" */
static sabot_status hidden_path(const char *folder, const char *name, int name_size, const char *end,
                                char target[STORE_PATH_MAX], struct sabot_error *err) {
    char hidden[512];
    const int length = snprintf(hidden, sizeof hidden, ".%.*s%s", name_size, name, end);
    if (length >= (int)sizeof hidden) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the name %.100s... is too long", name);
    }
    return store_path_join(folder, hidden, target, err);
}

/* Splits a path; `folder` is "." where there is none. */
static const char *path_split(const char *path, char folder[STORE_PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    if (!slash) {
        strcpy(folder, ".");
        return path;
    }
    const size_t size = slash == path ? 1 : (size_t)(slash - path);
    memcpy(folder, path, size);
    folder[size] = '\0';
    return slash + 1;
}

sabot_status store_create(struct store *store, const char *path, enum store_visible visible,
                          struct store_writer **out, struct sabot_error *err) {
    *out = NULL;
    if (strlen(path) >= STORE_PATH_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long: choose a shorter one", path);
    }
    if (store_is_remote(path)) { return remote_create(store, path, visible, out, err); }
    struct local_writer *writer = calloc(1, sizeof *writer);
    if (!writer) { return no_memory(err); }
    writer->writer = (struct store_writer){.store = store, .visible = visible};
    strcpy(writer->writer.path, path);
    char folder[STORE_PATH_MAX];
    const char *name = path_split(path, folder);
    sabot_status status = SABOT_OK;
    if (visible == STORE_AT_COMMIT) {
        status = hidden_path(folder, name, (int)strlen(name), IN_PROGRESS, writer->written, err);
    } else {
        strcpy(writer->written, path);
    }
    if (status == SABOT_OK) {
        status = env_open(store->env, writer->written, visible == STORE_AT_COMMIT ? ENV_WRITE_NEW : ENV_WRITE_LARGE,
                          &writer->opened, err);
        if (status != SABOT_OK) { writer->written[0] = '\0'; } /* it may be another's */
    }
    if (status != SABOT_OK) {
        store_writer_close(&writer->writer);
        return status;
    }
    *out = &writer->writer;
    return SABOT_OK;
}

sabot_status store_write(struct store_writer *writer, const void *data, size_t size, struct sabot_error *err) {
    if (writer->is_remote) { return remote_write(writer, data, size, err); }
    return env_write(((struct local_writer *)writer)->opened, data, size, err);
}

sabot_status store_finish(struct store_writer *writer, struct sabot_error *err) {
    if (writer->is_remote) { return remote_finish(writer, err); }
    struct local_writer *local = (struct local_writer *)writer;
    SABOT_TRY(env_sync(local->opened, err));
    local->written[0] = '\0';
    return SABOT_OK;
}

sabot_status store_prepare(struct store_writer *writer, struct text *ticket, struct sabot_error *err) {
    if (writer->is_remote) { return remote_prepare(writer, ticket, err); }
    struct local_writer *local = (struct local_writer *)writer;
    SABOT_TRY(env_sync(local->opened, err));
    char folder[STORE_PATH_MAX], pending[STORE_PATH_MAX];
    const char *name = path_split(writer->path, folder);
    SABOT_TRY(hidden_path(folder, name, (int)strlen(name), PENDING, pending, err));
    SABOT_TRY(env_rename(writer->store->env, local->written, pending, err)); /* syncs the folder too */
    local->written[0] = '\0';
    text_add(ticket, name);
    return ticket->failed ? no_memory(err) : SABOT_OK;
}

void store_writer_close(struct store_writer *writer) {
    if (!writer) { return; }
    if (writer->is_remote) {
        remote_writer_close(writer);
        return;
    }
    struct local_writer *local = (struct local_writer *)writer;
    env_close(local->opened);
    if (local->written[0]) { env_remove(writer->store->env, local->written, NULL); }
    free(writer);
}

/* --- commits */

static sabot_status local_commit(struct store *store, const char *folder, const char *name, struct sabot_error *err) {
    char pending[STORE_PATH_MAX], committed[STORE_PATH_MAX];
    SABOT_TRY(hidden_path(folder, name, (int)strlen(name), PENDING, pending, err));
    SABOT_TRY(store_path_join(folder, name, committed, err));
    struct env_stat stat;
    bool is_there;
    SABOT_TRY(store_look(store, pending, &is_there, &stat, err));
    if (is_there) { return env_rename(store->env, pending, committed, err); }
    SABOT_TRY(store_look(store, committed, &is_there, &stat, err));
    /* done before, perhaps by a process that died between the rename and the sync */
    if (is_there) { return env_sync_folder(store->env, folder, err); }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "%s was written before the checkpoint and is gone, and so is %s: the "
                      "output of the checkpoint is not whole any more", pending, committed);
}

sabot_status store_commit(struct store *store, const char *folder, const char *ticket, struct sabot_error *err) {
    if (store_is_remote(folder)) { return remote_commit(store, folder, ticket, err); }
    return local_commit(store, folder, ticket, err);
}

/* The name in ".<name>.inprogress" or ".<name>.pending"; 0: it is neither. */
static size_t hidden_name_size(const char *name) {
    const size_t size = strlen(name);
    const char *const ends[] = {IN_PROGRESS, PENDING};
    for (size_t i = 0; i < 2; i++) {
        const size_t end = strlen(ends[i]);
        if (name[0] == '.' && size > end + 1 && strcmp(name + size - end, ends[i]) == 0) { return size - end - 1; }
    }
    return 0;
}

sabot_status store_hidden(struct store *store, const char *folder, char ***tickets, size_t *n,
                          struct sabot_error *err) {
    *tickets = NULL;
    *n = 0;
    if (store_is_remote(folder)) { return remote_hidden(store, folder, tickets, n, err); }
    char **names;
    size_t n_names;
    SABOT_TRY(env_list(store->env, folder, &names, &n_names, err));
    size_t kept = 0;
    for (size_t i = 0; i < n_names; i++) {
        const size_t size = hidden_name_size(names[i]);
        if (size == 0) {
            free(names[i]);
            continue;
        }
        memmove(names[i], names[i] + 1, size);
        names[i][size] = '\0';
        names[kept++] = names[i];
    }
    *tickets = names;
    *n = kept;
    return SABOT_OK;
}

sabot_status store_abandon(struct store *store, const char *folder, const char *ticket, struct sabot_error *err) {
    if (store_is_remote(folder)) { return remote_abandon(store, folder, ticket, err); }
    char path[STORE_PATH_MAX];
    SABOT_TRY(hidden_path(folder, ticket, (int)strlen(ticket), IN_PROGRESS, path, err));
    SABOT_TRY(env_remove(store->env, path, err));
    SABOT_TRY(hidden_path(folder, ticket, (int)strlen(ticket), PENDING, path, err));
    return env_remove(store->env, path, err);
}
