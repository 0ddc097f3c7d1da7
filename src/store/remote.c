/* S3 and HDFS through the library of bridge/remote, which is opened when the first such path is used.
 *
 * A client is kept per bucket or namenode. Files are read ahead in growing pieces. What is written to S3 is gathered in
 * parts: a small file is one request, a larger one an upload in parts; a file that waits for its commit is an upload
 * that is not completed yet. On HDFS it is a hidden file that the commit renames. */
#include "base/library.h"
#include "bridge/remote/bridge_remote.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_FIRST ((size_t)64 << 10)
#define READ_MAX ((size_t)8 << 20)
#define PART_SIZE ((size_t)8 << 20) /* S3 takes 10,000 parts and at least 5 MiB but for the last */
#define PART_LEAST ((size_t)5 << 20)
#define HDFS_PACKET ((size_t)64 << 10)
#define HDFS_FLIGHT_MAX (202 * HDFS_PACKET) /* of the client: 100 to be sent, 100 not acknowledged, one in each hand */
#define ROOM_STEP_NS INT64_C(10000000)
#define ROOM_WAIT_NS INT64_C(5000000000)
#define PARTS_MAX 10000
#define WORD_SIZE 512
#define URL_SIZE 512

struct remotes {
    struct remotes *next;
    struct bridge_fs *fs;
    char url[URL_SIZE]; /* "s3://bucket", "hdfs://host:port" */
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for remote files");
}

/* --- the library */

static struct library library = {
    .name = "libsabot_remote.so",
    .entry = "sabot_remote",
    .version = BRIDGE_REMOTE_VERSION,
    .who = "S3 and HDFS need",
    .remedy = "build it with `make build`, or install it beside libsabot",
};

static const struct bridge_remote *bridge(void) { return library.table; } /* opened when the client was */

/* --- clients */

/* "30 s", "500 ms", "2 min"; the settings have been checked, this is for options of tables. */
static sabot_status duration_read(const char *text, int64_t *out_ns, struct sabot_error *err) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ms", 1e6}, {"milli", 1e6}, {"s", 1e9}, {"sec", 1e9}, {"second", 1e9}, {"seconds", 1e9},
                 {"min", 60e9}, {"minute", 60e9}, {"minutes", 60e9}, {"m", 60e9}, {"h", 3600e9}};
    char *rest;
    const double number = strtod(text, &rest);
    while (*rest == ' ') { rest++; }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(rest, units[i].unit) != 0 || number <= 0 || number > 1e6) { continue; }
        *out_ns = (int64_t)(number * units[i].ns);
        return SABOT_OK;
    }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "'store.timeout' takes a duration such as '30 s', not '%s'", text);
}

static sabot_status client_open(struct store *store, const char *url, struct bridge_fs **out, struct sabot_error *err) {
    SABOT_TRY(library_open(&library, err));
    const char *keys[2 * STORE_SETTINGS_MAX], *values[2 * STORE_SETTINGS_MAX];
    size_t n = 0;
    for (int32_t i = store->n_settings - 1; i >= 0 && n < 2 * STORE_SETTINGS_MAX; i--) {
        /* the first of a key counts, and the library lets the last win */
        if (!*store->settings[i].value) { continue; }
        keys[n] = store->settings[i].key;
        values[n++] = store->settings[i].value;
    }
    int64_t timeout_ns = INT64_C(30000000000);
    const char *timeout = store_setting(store, "store.timeout"), *retries = store_setting(store, "store.retries");
    if (timeout) { SABOT_TRY(duration_read(timeout, &timeout_ns, err)); }
    return (sabot_status)bridge()->open(url, keys, values, n, (uint64_t)(timeout_ns / 1000000),
                                     retries ? (uint32_t)strtoul(retries, NULL, 10) : 100, store->stop, out, err);
}

/* The client of a path, and what the path is below it. */
static sabot_status client(struct store *store, const char *path, struct bridge_fs **fs, const char **below,
                           struct sabot_error *err) {
    if (env_is_simulated(store->env)) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "%s: the simulator reaches no S3 and no HDFS; name a local path",
                          path);
    }
    const char *host = strstr(path, "://") + 3;
    const char *slash = strchr(host, '/');
    const size_t size = slash ? (size_t)(slash - path) : strlen(path);
    if (size >= URL_SIZE || size == (size_t)(host - path)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "%.100s: name a place, s3://bucket/path or hdfs://host:port/path",
                          path);
    }
    *below = slash ? slash : "/";
    env_mutex_lock(store->mutex);
    struct remotes *remote = store->remotes;
    while (remote && (strlen(remote->url) != size || memcmp(remote->url, path, size) != 0)) { remote = remote->next; }
    sabot_status status = SABOT_OK;
    if (!remote) {
        remote = calloc(1, sizeof *remote);
        if (remote) {
            memcpy(remote->url, path, size);
            status = client_open(store, remote->url, &remote->fs, err);
        } else {
            status = no_memory(err);
        }
        if (status == SABOT_OK) {
            remote->next = store->remotes;
            store->remotes = remote;
        } else {
            free(remote);
        }
    }
    if (status == SABOT_OK) { *fs = remote->fs; }
    env_mutex_unlock(store->mutex);
    if (status != SABOT_OK) { error_context(err, "%s", path); }
    return status;
}

void remotes_free(struct store *store) {
    while (store->remotes) {
        struct remotes *remote = store->remotes;
        store->remotes = remote->next;
        bridge()->close(remote->fs);
        free(remote);
    }
}

static bool is_hdfs(const char *path) { return strncmp(path, "hdfs://", 7) == 0; }

/* Says what was being done, and to what. */
static sabot_status said(int32_t status, const char *doing, const char *path, struct sabot_error *err) {
    if (status != SABOT_OK) { error_context(err, "%s %s", doing, path); }
    return (sabot_status)status;
}

/* --- buffers */

struct room {
    char *data;
    size_t capacity;
};

/* Charged before it is there. */
static sabot_status room_make(struct store *store, struct room *room, size_t capacity, struct sabot_error *err) {
    SABOT_TRY(memory_charge(store->pool, (int64_t)(capacity - room->capacity), err));
    char *data = realloc(room->data, capacity);
    if (!data) {
        memory_charge(store->pool, -(int64_t)(capacity - room->capacity), NULL);
        return no_memory(err);
    }
    *room = (struct room){data, capacity};
    return SABOT_OK;
}

/* At least `least`, and `wanted` where there is so much. Who has the memory is about to give it back: sources wait
 * while it is short, and other files are finished. */
static sabot_status room_grow(struct store *store, struct room *room, size_t least, size_t wanted,
                              struct sabot_error *err) {
    if (wanted <= room->capacity || room_make(store, room, wanted, NULL) == SABOT_OK) { return SABOT_OK; }
    if (least <= room->capacity) { return SABOT_OK; }
    for (int64_t waited_ns = 0; waited_ns < ROOM_WAIT_NS; waited_ns += ROOM_STEP_NS) {
        if (room_make(store, room, least, NULL) == SABOT_OK) { return SABOT_OK; }
        env_sleep_ns(store->env, ROOM_STEP_NS);
    }
    return room_make(store, room, least, err);
}

static void room_free(struct store *store, struct room *room) {
    memory_charge(store->pool, -(int64_t)room->capacity, NULL);
    free(room->data);
}

/* --- whole files and folders */

sabot_status remote_stat(struct store *store, const char *path, struct env_stat *out, struct sabot_error *err) {
    struct bridge_fs *fs;
    const char *below;
    SABOT_TRY(client(store, path, &fs, &below, err));
    struct bridge_stat stat = {0};
    SABOT_TRY(said(bridge()->stat(fs, below, &stat, err), "look for", path, err));
    *out = (struct env_stat){.size = (int64_t)stat.size, .modified_ms = stat.modified_ms,
                             .is_directory = stat.is_directory};
    return SABOT_OK;
}

sabot_status remote_make_dirs(struct store *store, const char *path, struct sabot_error *err) {
    struct bridge_fs *fs;
    const char *below;
    SABOT_TRY(client(store, path, &fs, &below, err));
    return said(bridge()->make_dirs(fs, below, err), "make the folder", path, err);
}

static int32_t on_entry(void *context, const char *name, size_t size, const struct bridge_stat *stat) {
    const struct env_stat found = {.size = (int64_t)stat->size, .modified_ms = stat->modified_ms,
                                   .is_directory = stat->is_directory};
    return (int32_t)store_entries_add(context, name, size, &found, NULL);
}

sabot_status remote_list(struct store *store, const char *path, struct store_entries *entries,
                         struct sabot_error *err) {
    struct bridge_fs *fs;
    const char *below;
    SABOT_TRY(client(store, path, &fs, &below, err));
    return said(bridge()->list(fs, below, on_entry, entries, err), "list", path, err);
}

sabot_status remote_read_file(struct store *store, const char *path, size_t size_max, char **data, size_t *size,
                              struct sabot_error *err) {
    struct bridge_fs *fs;
    const char *below;
    SABOT_TRY(client(store, path, &fs, &below, err));
    struct bridge_stat stat = {0};
    SABOT_TRY(said(bridge()->stat(fs, below, &stat, err), "look for", path, err));
    if (stat.is_directory) { return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "%s is a folder", path); }
    if (stat.size > size_max) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "%s has %" PRIu64 " bytes, more than %zu", path, stat.size, size_max);
    }
    *size = (size_t)stat.size;
    *data = malloc(*size + 1);
    if (!*data) { return no_memory(err); }
    (*data)[*size] = '\0';
    if (*size == 0) { return SABOT_OK; }
    const int32_t status = bridge()->read(fs, below, 0, *data, *size, err);
    if (status != SABOT_OK) { free(*data); }
    return said(status, "read", path, err);
}

sabot_status remote_put_new(struct store *store, const char *path, const void *data, size_t size, bool *won,
                            struct sabot_error *err) {
    struct bridge_fs *fs;
    const char *below;
    SABOT_TRY(client(store, path, &fs, &below, err));
    return said(bridge()->put_new(fs, below, data, size, won, err), "write (if it is not there)", path, err);
}

sabot_status remote_remove(struct store *store, const char *path, bool tree, struct sabot_error *err) {
    struct bridge_fs *fs;
    const char *below;
    SABOT_TRY(client(store, path, &fs, &below, err));
    return said(bridge()->remove(fs, below, tree, err), "remove", path, err);
}

/* --- reading */

struct remote_file {
    struct store_file file;
    struct bridge_fs *fs;
    char path[STORE_PATH_MAX];
    const char *below;
    struct room room; /* `held` bytes that stand at `at` */
    int64_t at;
    size_t held, ahead;
};

sabot_status remote_open(struct store *store, const char *path, struct store_file **out, struct sabot_error *err) {
    struct env_stat stat;
    SABOT_TRY(remote_stat(store, path, &stat, err));
    if (stat.is_directory) { return SABOT_FAIL(err, SABOT_ERR_IO, "open %s: it is a folder", path); }
    struct remote_file *file = calloc(1, sizeof *file);
    if (!file) { return no_memory(err); }
    file->file = (struct store_file){.store = store, .is_remote = true, .size = stat.size};
    snprintf(file->path, sizeof file->path, "%s", path);
    file->ahead = READ_FIRST;
    const sabot_status status = client(store, file->path, &file->fs, &file->below, err);
    if (status != SABOT_OK) {
        free(file);
        return status;
    }
    *out = &file->file;
    return SABOT_OK;
}

/* Fills the buffer from `offset` on: more each time where the reader goes on where it was. */
static sabot_status read_ahead(struct remote_file *file, int64_t offset, size_t size, struct sabot_error *err) {
    const bool goes_on = offset == file->at + (int64_t)file->held && file->held > 0;
    file->ahead = goes_on ? file->ahead * 4 : READ_FIRST;
    if (file->ahead > READ_MAX) { file->ahead = READ_MAX; }
    size_t wanted = size > file->ahead ? size : file->ahead;
    if ((int64_t)wanted > file->file.size - offset) { wanted = (size_t)(file->file.size - offset); }
    file->held = 0;
    const size_t least = wanted < READ_FIRST ? wanted : READ_FIRST;
    const sabot_status status = room_grow(file->file.store, &file->room, least, wanted, err);
    if (status != SABOT_OK) { return said(status, "read", file->path, err); }
    if (wanted > file->room.capacity) { wanted = file->room.capacity; }
    SABOT_TRY(said(bridge()->read(file->fs, file->below, (uint64_t)offset, file->room.data, wanted, err), "read",
                   file->path, err));
    file->at = offset;
    file->held = wanted;
    return SABOT_OK;
}

sabot_status remote_read(struct store_file *given, int64_t offset, void *target, size_t size, size_t *got,
                         struct sabot_error *err) {
    struct remote_file *file = (struct remote_file *)given;
    *got = 0;
    if (offset >= given->size || size == 0) { return SABOT_OK; }
    if (offset < file->at || offset >= file->at + (int64_t)file->held) {
        SABOT_TRY(read_ahead(file, offset, size < READ_MAX ? size : READ_MAX, err));
    }
    const size_t left = file->held - (size_t)(offset - file->at);
    *got = size < left ? size : left;
    memcpy(target, file->room.data + (offset - file->at), *got);
    return SABOT_OK;
}

void remote_close(struct store_file *given) {
    struct remote_file *file = (struct remote_file *)given;
    room_free(given->store, &file->room);
    free(file);
}

/* --- writing */

struct remote_writer {
    struct store_writer writer;
    struct bridge_fs *fs;
    const char *below;
    /* S3: an upload once there is a whole part, or when it is prepared */
    struct room room;
    size_t used;
    char upload[WORD_SIZE]; /* empty: none */
    char (*tags)[WORD_SIZE];
    size_t n_tags, tags_capacity;
    /* HDFS */
    struct bridge_fs_writer *file;
    size_t charged, in_flight; /* what the client may keep of what was written since the last flush */
    char written[STORE_PATH_MAX]; /* where the bytes are; empty: nothing that close removes */
};

static const char *name_of(const char *path) { return strrchr(path, '/') + 1; }

/* "hdfs://host/folder/.name.pending" */
static sabot_status hidden_path(const char *folder, const char *name, int name_size, char target[STORE_PATH_MAX],
                                struct sabot_error *err) {
    char hidden[WORD_SIZE];
    if (snprintf(hidden, sizeof hidden, ".%.*s.pending", name_size, name) >= (int)sizeof hidden) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the name %.100s... is too long", name);
    }
    return store_path_join(folder, hidden, target, err);
}

static sabot_status hdfs_create(struct remote_writer *writer, struct sabot_error *err) {
    const char *path = writer->writer.path;
    if (writer->writer.visible == STORE_AT_COMMIT) {
        char folder[STORE_PATH_MAX];
        snprintf(folder, sizeof folder, "%.*s", (int)(name_of(path) - path - 1), path);
        SABOT_TRY(hidden_path(folder, name_of(path), (int)strlen(name_of(path)), writer->written, err));
    } else {
        strcpy(writer->written, path);
    }
    const char *below;
    SABOT_TRY(client(writer->writer.store, writer->written, &writer->fs, &below, err));
    return said(bridge()->create(writer->fs, below, &writer->file, err), "create", writer->written, err);
}

sabot_status remote_create(struct store *store, const char *path, enum store_visible visible,
                           struct store_writer **out, struct sabot_error *err) {
    struct remote_writer *writer = calloc(1, sizeof *writer);
    if (!writer) { return no_memory(err); }
    writer->writer = (struct store_writer){.store = store, .is_remote = true, .visible = visible};
    strcpy(writer->writer.path, path);
    sabot_status status = client(store, writer->writer.path, &writer->fs, &writer->below, err);
    if (status == SABOT_OK && is_hdfs(path)) { status = hdfs_create(writer, err); }
    if (status != SABOT_OK) {
        remote_writer_close(&writer->writer);
        return status;
    }
    *out = &writer->writer;
    return SABOT_OK;
}

/* What is gathered becomes a part of the upload. */
static sabot_status part_send(struct remote_writer *writer, struct sabot_error *err) {
    const char *path = writer->writer.path;
    if (!writer->upload[0]) {
        SABOT_TRY(said(bridge()->upload_begin(writer->fs, writer->below, writer->upload, WORD_SIZE, err),
                       "begin the upload of", path, err));
    }
    if (writer->n_tags == PARTS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "%s has %d parts of %zu MiB, the most that S3 takes: begin new files "
                          "sooner ('sink.rolling-policy.file-size')", path, PARTS_MAX, PART_SIZE >> 20);
    }
    if (writer->n_tags == writer->tags_capacity) {
        const size_t capacity = writer->tags_capacity ? writer->tags_capacity * 2 : 4;
        char(*tags)[WORD_SIZE] = realloc(writer->tags, capacity * sizeof *tags);
        if (!tags) { return no_memory(err); }
        writer->tags = tags;
        writer->tags_capacity = capacity;
    }
    SABOT_TRY(said(bridge()->upload_part(writer->fs, writer->below, writer->upload, writer->n_tags, writer->room.data,
                                         writer->used, writer->tags[writer->n_tags], WORD_SIZE, err),
                   "upload a part of", path, err));
    writer->n_tags++;
    writer->used = 0;
    env_point(writer->writer.store->env, ENV_POINT_UPLOAD);
    return SABOT_OK;
}

/* The buffer is full: a larger one, or, where memory is short and S3 takes it, a smaller part. */
static sabot_status part_room(struct remote_writer *writer, size_t size, struct sabot_error *err) {
    struct room *room = &writer->room;
    size_t wanted = room->capacity ? room->capacity * 2 : (size_t)64 << 10;
    while (wanted < writer->used + size && wanted < PART_SIZE) { wanted *= 2; }
    if (wanted > PART_SIZE) { wanted = PART_SIZE; }
    size_t least = room->capacity < PART_LEAST ? room->capacity + ((size_t)64 << 10) : room->capacity;
    if (least > wanted) { least = wanted; }
    const sabot_status status = room_grow(writer->writer.store, room, least, wanted, err);
    if (status != SABOT_OK) { return said(status, "gather a part of", writer->writer.path, err); }
    return writer->used == room->capacity ? part_send(writer, err) : SABOT_OK;
}

/* The client keeps packets until they are acknowledged: that much of the pool is taken, or, where it is short, what is
 * in flight must arrive first. */
static sabot_status flight_room(struct remote_writer *writer, size_t size, struct sabot_error *err) {
    struct memory_pool *pool = writer->writer.store->pool;
    size_t wanted = writer->in_flight + size;
    wanted = wanted < HDFS_FLIGHT_MAX ? (wanted + HDFS_PACKET - 1) / HDFS_PACKET * HDFS_PACKET : HDFS_FLIGHT_MAX;
    if (wanted <= writer->charged) { return SABOT_OK; }
    if (memory_charge(pool, (int64_t)(wanted - writer->charged), NULL) == SABOT_OK) {
        writer->charged = wanted;
        return SABOT_OK;
    }
    if (writer->charged < HDFS_PACKET) { /* it needs one at least: others are about to give back */
        sabot_status status = SABOT_ERR_MEMORY;
        for (int64_t waited_ns = 0; waited_ns < ROOM_WAIT_NS && status != SABOT_OK; waited_ns += ROOM_STEP_NS) {
            status = memory_charge(pool, HDFS_PACKET, NULL);
            if (status != SABOT_OK) { env_sleep_ns(writer->writer.store->env, ROOM_STEP_NS); }
        }
        if (status != SABOT_OK) { SABOT_TRY(memory_charge(pool, HDFS_PACKET, err)); }
        writer->charged = HDFS_PACKET;
    }
    writer->in_flight = 0;
    return bridge()->flush(writer->file, err);
}

static sabot_status hdfs_write(struct remote_writer *writer, const char *data, size_t size, struct sabot_error *err) {
    while (size > 0) {
        const size_t n = size < HDFS_PACKET ? size : HDFS_PACKET;
        SABOT_TRY(flight_room(writer, n, err));
        SABOT_TRY((sabot_status)bridge()->write(writer->file, data, n, err));
        writer->in_flight += n;
        data += n;
        size -= n;
    }
    return SABOT_OK;
}

sabot_status remote_write(struct store_writer *given, const void *data, size_t size, struct sabot_error *err) {
    struct remote_writer *writer = (struct remote_writer *)given;
    if (writer->file) { return said((int32_t)hdfs_write(writer, data, size, err), "write", writer->written, err); }
    const char *from = data;
    while (size > 0) {
        if (writer->used == writer->room.capacity) { SABOT_TRY(part_room(writer, size, err)); }
        const size_t room = writer->room.capacity - writer->used;
        const size_t n = size < room ? size : room;
        memcpy(writer->room.data + writer->used, from, n);
        writer->used += n;
        from += n;
        size -= n;
        if (writer->used == PART_SIZE) { SABOT_TRY(part_send(writer, err)); }
    }
    return SABOT_OK;
}

static sabot_status upload_complete(struct bridge_fs *fs, const char *below, const char *path, const char *upload,
                                    char (*tags)[WORD_SIZE], size_t n, struct sabot_error *err) {
    const char **pointers = calloc(n + 1, sizeof *pointers);
    if (!pointers) { return no_memory(err); }
    for (size_t i = 0; i < n; i++) { pointers[i] = tags[i]; }
    const int32_t status = bridge()->upload_complete(fs, below, upload, pointers, n, err);
    free(pointers);
    return said(status, "complete the upload of", path, err);
}

sabot_status remote_finish(struct store_writer *given, struct sabot_error *err) {
    struct remote_writer *writer = (struct remote_writer *)given;
    if (writer->file) {
        SABOT_TRY(said(bridge()->finish(writer->file, err), "finish", writer->written, err));
        writer->written[0] = '\0';
        return SABOT_OK;
    }
    if (!writer->upload[0]) {
        return said(bridge()->put(writer->fs, writer->below, writer->room.data, writer->used, err), "write",
                    given->path, err);
    }
    if (writer->used > 0) { SABOT_TRY(part_send(writer, err)); }
    SABOT_TRY(upload_complete(writer->fs, writer->below, given->path, writer->upload, writer->tags, writer->n_tags,
                              err));
    writer->upload[0] = '\0';
    return SABOT_OK;
}

sabot_status remote_prepare(struct store_writer *given, struct text *ticket, struct sabot_error *err) {
    struct remote_writer *writer = (struct remote_writer *)given;
    if (writer->file) {
        SABOT_TRY(remote_finish(given, err));
        text_add(ticket, name_of(given->path));
    } else {
        if (writer->used > 0 || writer->n_tags == 0) { SABOT_TRY(part_send(writer, err)); }
        text_format(ticket, "%s %s", name_of(given->path), writer->upload);
        for (size_t i = 0; i < writer->n_tags; i++) { text_format(ticket, " %s", writer->tags[i]); }
    }
    if (ticket->failed) { return no_memory(err); }
    writer->upload[0] = '\0';
    return SABOT_OK;
}

void remote_writer_close(struct store_writer *given) {
    struct remote_writer *writer = (struct remote_writer *)given;
    if (writer->upload[0]) { bridge()->upload_abort(writer->fs, writer->below, writer->upload, NULL); }
    if (writer->file) { bridge()->drop_writer(writer->file); }
    if (writer->file && writer->written[0]) { remote_remove(given->store, writer->written, false, NULL); }
    room_free(given->store, &writer->room);
    memory_charge(given->store->pool, -(int64_t)writer->charged, NULL);
    free(writer->tags);
    free(writer);
}

/* --- commits */

/* The next word of a ticket; false at its end. */
static bool word_next(const char **at, char target[WORD_SIZE]) {
    while (**at == ' ') { ++*at; }
    const size_t size = strcspn(*at, " ");
    if (size == 0 || size >= WORD_SIZE) { return false; }
    memcpy(target, *at, size);
    target[size] = '\0';
    *at += size;
    return true;
}

static sabot_status hdfs_commit(struct store *store, const char *folder, const char *name, const char *path,
                                struct sabot_error *err) {
    char pending[STORE_PATH_MAX];
    SABOT_TRY(hidden_path(folder, name, (int)strlen(name), pending, err));
    struct bridge_fs *fs;
    const char *from, *to;
    SABOT_TRY(client(store, pending, &fs, &from, err));
    SABOT_TRY(client(store, path, &fs, &to, err));
    struct sabot_error why = {0};
    struct bridge_stat stat;
    const int32_t status = bridge()->rename(fs, from, to, &why);
    if (status == SABOT_OK) { return SABOT_OK; }
    /* done before? */
    const int32_t hidden = bridge()->stat(fs, from, &stat, NULL);
    if (hidden == SABOT_ERR_NOT_FOUND && bridge()->stat(fs, to, &stat, NULL) == SABOT_OK) { return SABOT_OK; }
    if (hidden == SABOT_ERR_NOT_FOUND) {
        return SABOT_FAIL(err, SABOT_ERR_STATE, "%s was written before the checkpoint and is gone, and so is %s: the "
                          "output of the checkpoint is not whole any more", pending, path);
    }
    return SABOT_FAIL(err, (sabot_status)status, "rename %s to %s: %s", pending, path, why.message);
}

sabot_status remote_commit(struct store *store, const char *folder, const char *ticket, struct sabot_error *err) {
    char name[WORD_SIZE], upload[WORD_SIZE], path[STORE_PATH_MAX];
    const char *at = ticket;
    if (!word_next(&at, name)) { return SABOT_FAIL(err, SABOT_ERR_STATE, "an empty name of a file to commit"); }
    SABOT_TRY(store_path_join(folder, name, path, err));
    if (is_hdfs(folder)) { return hdfs_commit(store, folder, name, path, err); }
    if (!word_next(&at, upload)) {
        return SABOT_FAIL(err, SABOT_ERR_STATE, "%s: the checkpoint does not say which upload is to be completed",
                          path);
    }
    size_t n = 0;
    char(*tags)[WORD_SIZE] = calloc(strlen(at) / 2 + 1, sizeof *tags);
    if (!tags) { return no_memory(err); }
    while (word_next(&at, tags[n])) { n++; }
    struct bridge_fs *fs;
    const char *below;
    sabot_status status = client(store, path, &fs, &below, err);
    if (status == SABOT_OK) { status = upload_complete(fs, below, path, upload, tags, n, err); }
    free(tags);
    return status;
}

struct hidden {
    char **tickets;
    size_t n, capacity;
    size_t prefix; /* of the keys */
};

static bool hidden_add(struct hidden *hidden, char *ticket) {
    if (ticket && hidden->n == hidden->capacity) {
        const size_t capacity = hidden->capacity ? hidden->capacity * 2 : 16;
        char **tickets = realloc(hidden->tickets, capacity * sizeof *tickets);
        if (tickets) {
            hidden->tickets = tickets;
            hidden->capacity = capacity;
        }
    }
    if (!ticket || hidden->n == hidden->capacity) {
        free(ticket);
        return false;
    }
    hidden->tickets[hidden->n++] = ticket;
    return true;
}

static int32_t on_upload(void *context, const char *key, size_t key_size, const char *id, size_t id_size) {
    struct hidden *hidden = context;
    if (key_size <= hidden->prefix) { return SABOT_OK; }
    key += hidden->prefix;
    key_size -= hidden->prefix;
    /* not of this folder, not ours */
    if (memchr(key, '/', key_size) || memchr(key, ' ', key_size)) { return SABOT_OK; }
    char *ticket = malloc(key_size + id_size + 2);
    if (ticket) { sprintf(ticket, "%.*s %.*s", (int)key_size, key, (int)id_size, id); }
    return hidden_add(hidden, ticket) ? SABOT_OK : SABOT_ERR_MEMORY;
}

static sabot_status hdfs_hidden(struct store *store, const char *folder, struct hidden *hidden,
                                struct sabot_error *err) {
    struct store_entry *entries;
    size_t n;
    SABOT_TRY(store_list(store, folder, &entries, &n, err));
    static const char end[] = ".pending";
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        const char *name = entries[i].name;
        const size_t size = strlen(name);
        if (name[0] != '.' || size <= sizeof end || strcmp(name + size - (sizeof end - 1), end) != 0) { continue; }
        if (!hidden_add(hidden, strndup(name + 1, size - sizeof end))) { status = no_memory(err); }
    }
    store_entries_free(entries, n);
    return status;
}

sabot_status remote_hidden(struct store *store, const char *folder, char ***tickets, size_t *n,
                           struct sabot_error *err) {
    struct hidden hidden = {0};
    sabot_status status;
    if (is_hdfs(folder)) {
        status = hdfs_hidden(store, folder, &hidden, err);
    } else {
        struct bridge_fs *fs;
        const char *below;
        char path[STORE_PATH_MAX];
        SABOT_TRY(store_path_join(folder, "", path, err));
        SABOT_TRY(client(store, path, &fs, &below, err));
        below += *below == '/';
        hidden.prefix = strlen(below);
        status = said(bridge()->uploads(fs, below, on_upload, &hidden, err), "look for uploads in", folder, err);
    }
    if (status != SABOT_OK) {
        env_names_free(hidden.tickets, hidden.n);
        return status;
    }
    *tickets = hidden.tickets;
    *n = hidden.n;
    return SABOT_OK;
}

sabot_status remote_abandon(struct store *store, const char *folder, const char *ticket, struct sabot_error *err) {
    char name[WORD_SIZE], upload[WORD_SIZE], path[STORE_PATH_MAX];
    const char *at = ticket;
    if (!word_next(&at, name)) { return SABOT_OK; }
    if (is_hdfs(folder)) {
        SABOT_TRY(hidden_path(folder, name, (int)strlen(name), path, err));
        return remote_remove(store, path, false, err);
    }
    SABOT_TRY(store_path_join(folder, name, path, err));
    struct bridge_fs *fs;
    const char *below;
    SABOT_TRY(client(store, path, &fs, &below, err));
    if (!word_next(&at, upload)) { return SABOT_OK; }
    return said(bridge()->upload_abort(fs, below, upload, err), "give up the upload of", path, err);
}
