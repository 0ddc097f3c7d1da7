/* Reading the files of a checkpoint: what is decoded is checked against the manifest in the same go. Large files are
 * decoded by a helper some batches ahead of who takes the rows. */
#include "checkpoint/storage_impl.h"

#include "arrow/ipc.h"
#include "base/log.h"
#include "checkpoint/local_copy.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD_BATCHES 4
#define AHEAD_FILE_MIN (INT64_C(4) << 20)    /* below it a helper gains nothing */
#define AHEAD_MEMORY_MIN (INT64_C(512) << 20) /* with less memory no batches wait */

/* The reader of the format goes through a file from front to back, but for its end, where it looks first. */
struct checked_source {
    struct store_file *file;
    XXH3_state_t *hash;
    int64_t hashed; /* bytes from the front */
    char *chunk;
};

/* Hashes on to `end`, by reading. */
static sabot_status source_catch_up(struct checked_source *source, int64_t end, struct sabot_error *err) {
    while (source->hashed < end) {
        const int64_t left = end - source->hashed;
        size_t got;
        SABOT_TRY(store_read(source->file, source->hashed, source->chunk,
                             left < (int64_t)STORAGE_CHUNK ? (size_t)left : STORAGE_CHUNK, &got, err));
        if (got == 0) { return SABOT_OK; } /* too short: the checksum will tell */
        XXH3_128bits_update(source->hash, source->chunk, got);
        source->hashed += (int64_t)got;
    }
    return SABOT_OK;
}

static sabot_status source_read(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                                struct sabot_error *err) {
    struct checked_source *source = context;
    const int64_t at = (int64_t)offset;
    SABOT_TRY(store_read(source->file, at, target, size, got, err));
    if (at > source->hashed && at - source->hashed <= (int64_t)STORAGE_CHUNK) {
        SABOT_TRY(source_catch_up(source, at, err)); /* a gap that the reader has no use for */
    }
    const int64_t end = at + (int64_t)*got;
    if (at > source->hashed || end <= source->hashed) { return SABOT_OK; }
    XXH3_128bits_update(source->hash, (const char *)target + (source->hashed - at), (size_t)(end - source->hashed));
    source->hashed = end;
    return SABOT_OK;
}

static sabot_status source_finish(struct checked_source *source, const char *path, const struct manifest_file *item,
                                  struct sabot_error *err) {
    SABOT_TRY(source_catch_up(source, INT64_MAX, err)); /* also what stands behind the end that the manifest knows */
    return storage_checksum_compare(source->hash, source->hashed, path, item, err);
}

/* Takes over `file`. */
static sabot_status source_open(struct store_file *file, const char *path, struct checked_source *source,
                                struct sabot_error *err) {
    *source = (struct checked_source){.file = file, .hash = XXH3_createState(), .chunk = malloc(STORAGE_CHUNK)};
    if (!source->hash || !source->chunk) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to read %s", path); }
    XXH3_128bits_reset(source->hash);
    return SABOT_OK;
}

static void source_close(struct checked_source *source) {
    XXH3_freeState(source->hash);
    free(source->chunk);
    store_close(source->file);
}

/* --- ahead */
struct ahead {
    struct ipc_reader *reader;
    struct memory_pool *pool;
    struct env_mutex *mutex;
    struct env_event *filled, *emptied;
    /* under the mutex */
    struct batch *queue[AHEAD_BATCHES];
    int32_t n;
    bool given_up, ended;
    struct sabot_error error;
};

/* On a helper. */
static void ahead_main(void *arg) {
    struct ahead *ahead = arg;
    struct sabot_error err = {0};
    for (bool ended = false; !ended;) {
        struct batch *batch = NULL;
        ended = ipc_reader_next(ahead->reader, ahead->pool, &batch, &err) != SABOT_OK || !batch;
        for (bool placed = false; !placed;) {
            env_mutex_lock(ahead->mutex);
            placed = ended || ahead->n < AHEAD_BATCHES || ahead->given_up;
            ended = ended || ahead->given_up;
            if (ended) {
                batch_unref(batch);
                ahead->error = err;
                ahead->ended = true;
            } else if (placed) {
                ahead->queue[ahead->n++] = batch;
            }
            env_event_set(ahead->filled); /* inside: behind the unlocking the owner may be gone */
            env_mutex_unlock(ahead->mutex);
            if (!placed) { env_event_wait(ahead->emptied, -1); }
        }
    }
}

/* The next batch; NULL at the end. */
static struct batch *ahead_next(struct ahead *ahead, bool gives_up) {
    for (;;) {
        struct batch *batch = NULL;
        env_mutex_lock(ahead->mutex);
        ahead->given_up = ahead->given_up || gives_up;
        if (ahead->n > 0) {
            batch = ahead->queue[0];
            memmove(ahead->queue, ahead->queue + 1, (size_t)--ahead->n * sizeof(struct batch *));
        }
        const bool ended = ahead->ended;
        env_mutex_unlock(ahead->mutex);
        env_event_set(ahead->emptied);
        if (batch || ended) { return batch; }
        env_event_wait(ahead->filled, -1);
    }
}

static sabot_status read_ahead(struct env *env, struct ahead *ahead, storage_take take, void *arg, bool *begun,
                               struct sabot_error *err) {
    ahead->mutex = env_mutex_new(env);
    ahead->filled = env_event_new(env);
    ahead->emptied = env_event_new(env);
    *begun = env_offload(env, ahead_main, ahead, NULL) == SABOT_OK;
    sabot_status status = SABOT_OK;
    for (struct batch *batch; *begun && (batch = ahead_next(ahead, status != SABOT_OK));) {
        if (status != SABOT_OK) {
            batch_unref(batch);
        } else {
            status = take(arg, batch, err);
        }
    }
    if (status == SABOT_OK && ahead->error.status != SABOT_OK) {
        if (err && err->status == SABOT_OK) { *err = ahead->error; }
        status = ahead->error.status;
    }
    env_event_free(ahead->filled);
    env_event_free(ahead->emptied);
    env_mutex_free(ahead->mutex);
    return status;
}

static sabot_status read_here(struct ipc_reader *reader, struct memory_pool *pool, storage_take take, void *arg,
                              struct sabot_error *err) {
    for (;;) {
        struct batch *batch;
        SABOT_TRY(ipc_reader_next(reader, pool, &batch, err));
        if (!batch) { return SABOT_OK; }
        SABOT_TRY(take(arg, batch, err));
    }
}

static sabot_status table_read(struct store *store, struct checked_source *from, struct memory_pool *pool,
                               const struct manifest_file *item, storage_take take, void *arg,
                               struct sabot_error *err) {
    const struct ipc_source source = {.context = from, .size = (uint64_t)item->size, .read_at = source_read};
    struct ipc_reader *reader;
    SABOT_TRY(ipc_reader_open(&source, &reader, err));
    struct env *env = store_env(store);
    const bool ahead = item->size >= AHEAD_FILE_MIN && memory_limit(pool) >= AHEAD_MEMORY_MIN && !env_is_simulated(env);
    bool begun = false;
    sabot_status status = SABOT_OK;
    if (ahead) {
        status = read_ahead(env, &(struct ahead){.reader = reader, .pool = pool}, take, arg, &begun, err);
    }
    if (!begun) { status = read_here(reader, pool, take, arg, err); }
    ipc_reader_close(reader);
    return status;
}

sabot_status storage_read_table(struct store *store, const char *path, struct memory_pool *pool,
                                const struct manifest_file *item, storage_take take, void *arg,
                                struct sabot_error *err) {
    char target[STORAGE_PATH_MAX];
    SABOT_TRY(storage_file_path(path, item, target, err));
    struct store_file *file = local_copy_open(store, target, item);
    if (!file) { SABOT_TRY(store_open_large(store, target, &file, err)); }
    struct checked_source source;
    sabot_status status = source_open(file, target, &source, err);
    if (status == SABOT_OK) {
        struct sabot_error reading = {0}, whole = {0};
        status = table_read(store, &source, pool, item, take, arg, &reading);
        if (status != SABOT_ERR_CANCELLED) { /* whose taker had enough: the rest is not read */
            /* a damaged file may fail in many ways: its checksum is what says so */
            const sabot_status checked = source_finish(&source, target, item, &whole);
            if (status == SABOT_OK || checked == SABOT_ERR_CORRUPT) {
                reading = whole;
                status = checked;
            }
        }
        if (status != SABOT_OK) { error_context(&reading, "read %s", target); }
        if (status != SABOT_OK && err && err->status == SABOT_OK) { *err = reading; }
    }
    source_close(&source);
    return status;
}

static sabot_status file_check(struct store_file *file, const char *name, const struct manifest_file *item,
                               struct sabot_error *err) {
    struct checked_source source;
    sabot_status status = source_open(file, name, &source, err);
    if (status == SABOT_OK) { status = source_finish(&source, name, item, err); }
    source_close(&source);
    return status;
}

/* Whether there is a whole copy on this machine. One that is not goes. */
static bool copy_is_whole(struct store *store, const char *target, const struct manifest_file *item) {
    struct store_file *file = local_copy_open(store, target, item);
    if (!file) { return false; }
    struct sabot_error why = {0};
    const sabot_status status = file_check(file, "the copy", item, &why);
    if (status != SABOT_OK) { local_copy_damaged(store, target, &why); }
    return status == SABOT_OK;
}

sabot_status storage_verify(struct store *store, const char *path, const struct manifest *manifest,
                            struct sabot_error *err) {
    int32_t n_copies = 0;
    for (int32_t i = 0; i < manifest->n_files; i++) {
        char target[STORAGE_PATH_MAX];
        SABOT_TRY(storage_file_path(path, &manifest->files[i], target, err));
        if (copy_is_whole(store, target, &manifest->files[i])) {
            n_copies++;
            continue;
        }
        struct store_file *file;
        SABOT_TRY(store_open_large(store, target, &file, err));
        SABOT_TRY(file_check(file, target, &manifest->files[i], err));
    }
    if (n_copies > 0) {
        log_write(store_env(store), LOG_INFO, "%d of %d files of %s are read from their local copies", n_copies,
                  manifest->n_files, path);
    }
    return SABOT_OK;
}
