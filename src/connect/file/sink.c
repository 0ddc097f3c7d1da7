/* The sink of the connector 'filesystem': part files in a folder that nobody sees before they are committed (the
 * store's hidden files: .inprogress and .pending locally, .pending on HDFS, uploads that are not completed on S3).
 *
 *   part-<lineage>-<epoch>-<subtask>-<n>.json
 *
 * The lineage stands for the job's checkpoint folder and the sink, the epoch rises with every start from it. A restored
 * job finishes the commits of its checkpoint and removes whatever else of its lineage and of earlier epochs is hidden,
 * which is what was written after that checkpoint; what a newer process writes has a later epoch. Commits can be
 * repeated. Without checkpoints the end of input commits.
 *
 * Encoding, writing and remote commits happen in a helper job (env_offload) that takes batches from a short queue. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "connect/file/file.h"

#define QUEUE 8
#define WRITE_BYTES ((size_t)256 * 1024)

/* A file that is whole and not committed yet. */
struct part {
    struct part *next;
    int64_t checkpoint_id; /* 0: of no checkpoint yet */
    char ticket[];         /* of the store, for the commit */
};

enum request { REQUEST_NONE, REQUEST_CLOSE_FILE };

/* The job's own. */
struct writing {
    struct store_writer *file; /* NULL: standard output, */
    struct env_file *pipe;     /* which is this */
    struct encoder *encoder;
    struct compressor *compressor;
    struct columnar_writer *columnar;
    struct text text, compressed;
    char *name; /* of the open part, when committed; NULL: none is open */
    int64_t bytes, opened_ns;
};

struct sink {
    struct connector_context context;
    struct file_table table;
    struct store *store;
    bool is_pipe, is_remote;
    const char *sink_compression;
    enum compression compression;
    int64_t roll_bytes, roll_ns;
    uint64_t lineage;
    int64_t next_number;
    struct writing writing;

    struct env_mutex *mutex;
    struct env_event *idle;
    /* under the mutex */
    struct batch *queue[QUEUE];
    int32_t queue_first, queue_count;
    enum request request;
    bool running, closing, full_told;
    struct part *parts; /* oldest first */
    int64_t commit_wanted, commit_done; /* checkpoints up to which the job has to commit, and has */
    sabot_status failed;
    struct sabot_error failure;
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to write files");
}

/* malloc'ed; NULL: no memory */
static char *part_path(const struct sink *sink, const char *name) {
    const size_t size = strlen(sink->table.path) + strlen(name) + 2;
    char *path = malloc(size);
    if (path) { snprintf(path, size, "%s/%s", sink->table.path, name); }
    return path;
}

/* --- writing, in the job */

static sabot_status file_write(void *arg, const void *data, size_t size, struct sabot_error *err) {
    struct sink *sink = arg;
    SABOT_TRY(sink->is_pipe ? env_write(sink->writing.pipe, data, size, err)
                            : store_write(sink->writing.file, data, size, err));
    sink->writing.bytes += (int64_t)size;
    if (sink->context.metrics) { metric_add(&sink->context.metrics->bytes_out, (int64_t)size); }
    return SABOT_OK;
}

static sabot_status text_flush(struct sink *sink, struct sabot_error *err) {
    struct writing *writing = &sink->writing;
    struct text *from = &writing->text;
    if (writing->text.failed) { return no_memory(err); }
    if (writing->compressor) {
        if (from->size) {
            SABOT_TRY(compressor_add(writing->compressor, from->data, from->size, &writing->compressed, err));
        }
        from->size = 0;
        from = &writing->compressed;
    }
    const size_t size = from->size;
    from->size = 0;
    return size ? file_write(sink, from->data, size, err) : SABOT_OK;
}

static void writing_drop(struct sink *sink) {
    struct writing *writing = &sink->writing;
    columnar_writer_close(writing->columnar);
    compressor_free(writing->compressor);
    store_writer_close(writing->file);
    free(writing->name);
    writing->columnar = NULL;
    writing->compressor = NULL;
    writing->file = NULL;
    writing->name = NULL;
    writing->text.size = writing->compressed.size = 0;
}

static sabot_status writing_open(struct sink *sink, struct sabot_error *err) {
    struct writing *writing = &sink->writing;
    writing->bytes = 0;
    writing->opened_ns = env_now_ns(sink->context.env);
    const char *format = sink->table.format->name;
    char name[128];
    snprintf(name, sizeof name, "part-%016llx-%lld-%d-%lld.%s%s", (unsigned long long)sink->lineage,
             (long long)sink->context.epoch, sink->context.subtask, (long long)sink->next_number++,
             sink->table.format->keeps_blank_lines ? "txt" : format,
             compression_extension(sink->compression));
    writing->name = strdup(name);
    if (!writing->name) { return no_memory(err); }
    if (sink->is_pipe) {
        writing->pipe = env_stdout(sink->context.env);
    } else {
        char *path = part_path(sink, name);
        if (!path) { return no_memory(err); }
        const sabot_status status = store_create(sink->store, path, STORE_AT_COMMIT, &writing->file, err);
        free(path);
        if (status != SABOT_OK) { return status; }
    }
    if (sink->table.kind != FILE_RECORDS) {
        return columnar_writer_open(&sink->context, sink->table.kind, sink->sink_compression, file_write, sink,
                                    &writing->columnar, err);
    }
    if (sink->compression != COMPRESSION_NONE) {
        SABOT_TRY(compressor_new(sink->compression, &writing->compressor, err));
    }
    return sink->table.format->begin(writing->encoder, &writing->text, err);
}

/* Makes the open part whole and durable. */
static sabot_status writing_close(struct sink *sink, struct sabot_error *err) {
    struct writing *writing = &sink->writing;
    if (!writing->name) { return SABOT_OK; }
    if (writing->columnar) {
        SABOT_TRY(columnar_writer_finish(writing->columnar, err));
    } else {
        SABOT_TRY(sink->table.format->end(writing->encoder, &writing->text, err));
        SABOT_TRY(text_flush(sink, err));
        if (writing->compressor) {
            SABOT_TRY(compressor_end(writing->compressor, &writing->compressed, err));
            SABOT_TRY(text_flush(sink, err));
        }
    }
    if (sink->is_pipe) {
        writing_drop(sink);
        return SABOT_OK;
    }
    struct text ticket = {0};
    const sabot_status status = store_prepare(writing->file, &ticket, err);
    struct part *part = status == SABOT_OK ? malloc(sizeof *part + ticket.size + 1) : NULL;
    if (part) {
        *part = (struct part){0};
        memcpy(part->ticket, ticket.data, ticket.size);
        part->ticket[ticket.size] = '\0';
    }
    text_clear(&ticket);
    SABOT_TRY(status);
    if (!part) { return no_memory(err); }
    env_mutex_lock(sink->mutex);
    struct part **last = &sink->parts;
    while (*last) { last = &(*last)->next; }
    *last = part;
    env_mutex_unlock(sink->mutex);
    writing_drop(sink);
    return SABOT_OK;
}

static sabot_status batch_write(struct sink *sink, struct batch *batch, struct sabot_error *err) {
    struct writing *writing = &sink->writing;
    if (!writing->name) { SABOT_TRY(writing_open(sink, err)); }
    int64_t size;
    if (writing->columnar) {
        SABOT_TRY(columnar_writer_add(writing->columnar, batch, err));
        size = columnar_writer_size(writing->columnar);
    } else {
        SABOT_TRY(sink->table.format->encode(writing->encoder, batch, &writing->text, NULL, err));
        if (writing->text.size >= WRITE_BYTES) { SABOT_TRY(text_flush(sink, err)); }
        size = writing->bytes + (int64_t)writing->text.size;
    }
    if (sink->is_pipe) { return SABOT_OK; }
    const bool roll = size >= sink->roll_bytes || env_now_ns(sink->context.env) - writing->opened_ns >= sink->roll_ns;
    return roll ? writing_close(sink, err) : SABOT_OK;
}

/* Nothing is queued: somebody who reads along wants what there is. */
static sabot_status drained(struct sink *sink, struct sabot_error *err) {
    struct writing *writing = &sink->writing;
    const bool flush = sink->is_pipe && writing->name && !writing->columnar && !writing->compressor;
    return flush ? text_flush(sink, err) : SABOT_OK;
}

/* INT64_MAX: all, also those of no checkpoint. */
static sabot_status parts_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    for (;;) {
        env_mutex_lock(sink->mutex);
        struct part *part = sink->parts;
        const bool due = part && (checkpoint_id == INT64_MAX ||
                                  (part->checkpoint_id != 0 && part->checkpoint_id <= checkpoint_id));
        env_mutex_unlock(sink->mutex);
        if (!due) { return SABOT_OK; }
        SABOT_TRY(store_commit(sink->store, sink->table.path, part->ticket, err));
        env_point(sink->context.env, ENV_POINT_FILE_COMMIT);
        env_mutex_lock(sink->mutex);
        sink->parts = part->next;
        env_mutex_unlock(sink->mutex);
        free(part);
    }
}

static void job_run(void *arg) {
    struct sink *sink = arg;
    for (;;) {
        struct batch *batch = NULL;
        enum request request = REQUEST_NONE;
        int64_t commit = 0;
        struct sabot_error err = {0};
        env_mutex_lock(sink->mutex);
        const bool stop = sink->closing || sink->failed != SABOT_OK;
        if (!stop && sink->queue_count > 0) {
            batch = sink->queue[sink->queue_first];
            sink->queue_first = (sink->queue_first + 1) % QUEUE;
            sink->queue_count--;
        } else if (!stop) {
            request = sink->request;
            if (request == REQUEST_NONE && sink->commit_wanted > sink->commit_done) { commit = sink->commit_wanted; }
        }
        env_mutex_unlock(sink->mutex);
        sabot_status status = SABOT_OK;
        if (batch) {
            status = batch_write(sink, batch, &err);
            batch_unref(batch);
        } else if (request == REQUEST_CLOSE_FILE) {
            status = writing_close(sink, &err);
        } else if (commit > 0) {
            status = parts_commit(sink, commit, &err);
        } else if (!stop) {
            status = drained(sink, &err);
        }
        env_mutex_lock(sink->mutex);
        if (status != SABOT_OK && sink->failed == SABOT_OK) {
            sink->failed = status;
            sink->failure = err;
        }
        if (request != REQUEST_NONE) { sink->request = REQUEST_NONE; }
        if (commit > 0 && status == SABOT_OK) { sink->commit_done = commit; }
        const bool rest = stop || sink->failed != SABOT_OK ||
                          (!batch && sink->queue_count == 0 && sink->request == REQUEST_NONE &&
                           sink->commit_wanted <= sink->commit_done);
        const bool wake = !sink->closing && (rest || sink->full_told);
        sink->full_told = sink->full_told && !wake;
        if (wake) { sink->context.wake(sink->context.wake_arg); }
        if (rest) {
            sink->running = false;
            env_event_set(sink->idle);
            env_mutex_unlock(sink->mutex);
            return;
        }
        env_mutex_unlock(sink->mutex);
    }
}

/* --- the caller's side */

/* Under the mutex; unlocks it. */
static sabot_status job_start_unlock(struct sink *sink, struct sabot_error *err) {
    const bool start = !sink->running;
    sink->running = true;
    env_mutex_unlock(sink->mutex);
    if (!start) { return SABOT_OK; }
    const sabot_status status = env_offload(sink->context.env, job_run, sink, err);
    if (status != SABOT_OK) {
        env_mutex_lock(sink->mutex);
        sink->running = false;
        env_mutex_unlock(sink->mutex);
    }
    return status;
}

/* Under the mutex; unlocks it where it returns a failure. */
static sabot_status failure_unlock(struct sink *sink, struct sabot_error *err) {
    if (sink->failed == SABOT_OK) { return SABOT_OK; }
    if (err && err->status == SABOT_OK) { *err = sink->failure; }
    const sabot_status status = sink->failed;
    env_mutex_unlock(sink->mutex);
    return status;
}

static sabot_status file_write_batch(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    *full = false;
    env_mutex_lock(sink->mutex);
    const sabot_status status = failure_unlock(sink, err);
    if (status != SABOT_OK) {
        batch_unref(batch); /* it is ours also where it can't be written any more */
        return status;
    }
    if (sink->queue_count == QUEUE) {
        *full = true;
        sink->full_told = true;
        env_mutex_unlock(sink->mutex);
        return SABOT_OK;
    }
    sink->queue[(sink->queue_first + sink->queue_count++) % QUEUE] = batch;
    return job_start_unlock(sink, err);
}

/* Everything that was written becomes whole parts; *full: not yet. */
static sabot_status settle(struct sink *sink, bool *asked, bool *full, struct sabot_error *err) {
    *full = true;
    env_mutex_lock(sink->mutex);
    SABOT_TRY(failure_unlock(sink, err));
    if (!*asked) {
        *asked = true;
        sink->request = REQUEST_CLOSE_FILE;
        return job_start_unlock(sink, err);
    }
    if (!sink->running && sink->request == REQUEST_NONE) {
        *asked = false;
        *full = false;
    }
    env_mutex_unlock(sink->mutex);
    return SABOT_OK;
}

struct file_sink {
    struct sink sink;
    bool asked; /* settle is on its way */
};

static bool *asked_of(struct sink *sink) { return &((struct file_sink *)sink)->asked; }

static sabot_status file_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                 struct sabot_error *err) {
    SABOT_TRY(settle(sink, asked_of(sink), full, err));
    if (*full || sink->is_pipe) { return SABOT_OK; }
    for (struct part *part = sink->parts; part; part = part->next) {
        if (part->checkpoint_id == 0) { part->checkpoint_id = checkpoint_id; }
        text_format(pending, "file %s\n", part->ticket);
    }
    return pending->failed ? no_memory(err) : SABOT_OK;
}

/* Remote commits take a while: the job does them. */
static sabot_status commit_begin(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    if (!sink->is_remote) { return parts_commit(sink, checkpoint_id, err); }
    env_mutex_lock(sink->mutex);
    SABOT_TRY(failure_unlock(sink, err));
    if (checkpoint_id > sink->commit_wanted) { sink->commit_wanted = checkpoint_id; }
    return job_start_unlock(sink, err);
}

static sabot_status file_committed(struct sink *sink, bool *done, struct sabot_error *err) {
    env_mutex_lock(sink->mutex);
    SABOT_TRY(failure_unlock(sink, err));
    *done = sink->commit_wanted <= sink->commit_done;
    env_mutex_unlock(sink->mutex);
    return SABOT_OK;
}

static sabot_status file_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    return commit_begin(sink, checkpoint_id, err);
}

static sabot_status file_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    if (sink->commit_wanted != INT64_MAX) {
        SABOT_TRY(settle(sink, asked_of(sink), full, err));
        if (*full) { return SABOT_OK; }
        SABOT_TRY(commit_begin(sink, INT64_MAX, err));
    }
    bool done;
    SABOT_TRY(file_committed(sink, &done, err));
    *full = !done;
    return SABOT_OK;
}

static void file_close(struct sink *sink) {
    if (!sink) { return; }
    if (sink->mutex) {
        env_mutex_lock(sink->mutex);
        sink->closing = true;
        bool running = sink->running;
        env_mutex_unlock(sink->mutex);
        while (running) {
            env_event_wait(sink->idle, -1);
            env_mutex_lock(sink->mutex);
            running = sink->running;
            env_mutex_unlock(sink->mutex);
        }
        env_mutex_free(sink->mutex);
    }
    if (sink->idle) { env_event_free(sink->idle); }
    for (; sink->queue_count > 0; sink->queue_count--) {
        batch_unref(sink->queue[sink->queue_first]);
        sink->queue_first = (sink->queue_first + 1) % QUEUE;
    }
    if (sink->writing.encoder) { sink->table.format->encoder_free(sink->writing.encoder); }
    writing_drop(sink);
    text_clear(&sink->writing.text);
    text_clear(&sink->writing.compressed);
    while (sink->parts) {
        struct part *next = sink->parts->next;
        free(sink->parts);
        sink->parts = next;
    }
    store_free(sink->store);
    free((struct file_sink *)sink);
}

/* Of this sink alone: a job may have several that write into one folder, and their files are as different as those of
 * two jobs are. The same whenever the job starts from its checkpoint folder. */
static uint64_t lineage_of(const struct connector_context *context) {
    if (context->epoch == 0) { return env_random(context->env); }
    const char *uid = context->uid ? context->uid : "";
    return context->lineage ^ XXH3_64bits(uid, strlen(uid));
}

static sabot_status sink_fill(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    struct env *env = sink->context.env;
    SABOT_TRY(file_table_read(table, &sink->table, err));
    sink->is_pipe = strcmp(sink->table.path, "-") == 0;
    sink->is_remote = store_is_remote(sink->table.path);
    SABOT_TRY(file_store_open(&sink->context, &sink->store, err));
    SABOT_TRY(option_size(table, file_options, "sink.rolling-policy.file-size", &sink->roll_bytes, err));
    SABOT_TRY(option_duration(table, file_options, "sink.rolling-policy.rollover-interval", &sink->roll_ns, err));
    sink->sink_compression = option_text(table, file_options, "sink.compression");
    bool given = false;
    for (int32_t i = 0; i < table->n_options; i++) { given |= strcmp(table->options[i].key, "sink.compression") == 0; }
    const char code = (char)(sink->sink_compression[0] | 0x20);
    if (sink->table.kind == FILE_RECORDS) {
        if (code == 's') {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\", option 'sink.compression': snappy is for parquet; %s files "
                              "take gzip, zstd or lz4",
                              table->name, sink->table.format->name);
        }
        sink->compression = code == 'g'   ? COMPRESSION_GZIP
                            : code == 'z' ? COMPRESSION_ZSTD
                            : code == 'l' ? COMPRESSION_LZ4
                                          : COMPRESSION_NONE;
    } else if (!given) {
        sink->sink_compression = sink->table.kind == FILE_PARQUET ? "snappy" : "none";
    } else if (sink->table.kind == FILE_ARROW && (code == 's' || code == 'g')) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'sink.compression': arrow files take zstd or lz4",
                          table->name);
    }
    sink->mutex = env_mutex_new(env);
    sink->idle = env_event_new(env);
    sink->lineage = lineage_of(&sink->context);
    if (sink->table.kind == FILE_RECORDS) {
        SABOT_TRY(sink->table.format->encoder_new(&sink->context, &sink->writing.encoder, err));
    }
    if (sink->is_pipe) { return SABOT_OK; }
    SABOT_TRY(store_make_dirs(sink->store, sink->table.path, err));
    struct env_stat stat = {.is_directory = true};
    sabot_status status = store_stat(sink->store, sink->table.path, &stat, err);
    if (status == SABOT_ERR_NOT_FOUND && sink->is_remote) { /* a folder with nothing in it is not there */
        if (err) { error_clear(err); }
        status = SABOT_OK;
    }
    SABOT_TRY(status);
    if (!stat.is_directory) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\", option 'path': %s is a file; results are written into a folder", table->name,
                          sink->table.path);
    }
    return SABOT_OK;
}

static sabot_status file_open(const struct connector_context *context, struct sink **out, struct sabot_error *err) {
    *out = NULL;
    struct file_sink *made = calloc(1, sizeof *made);
    if (!made) { return no_memory(err); }
    made->sink.context = *context;
    const sabot_status status = sink_fill(&made->sink, err);
    if (status != SABOT_OK) {
        file_close(&made->sink);
        return status;
    }
    *out = &made->sink;
    return SABOT_OK;
}

/* --- restore */

/* What a checkpoint has as pending. */
struct restored {
    char **tickets;
    size_t n;
};

static sabot_status restored_add(struct restored *restored, const char *line, size_t size, struct sabot_error *err) {
    if (size > 10 && memcmp(line, "file part-", 10) == 0 && !memchr(line, '\0', size)) {
        char **tickets = realloc(restored->tickets, (restored->n + 1) * sizeof *tickets);
        if (!tickets) { return no_memory(err); }
        restored->tickets = tickets;
        tickets[restored->n] = strndup(line + 5, size - 5);
        if (!tickets[restored->n]) { return no_memory(err); }
        const char *ticket = tickets[restored->n++];
        if (strcspn(ticket, "/") >= strcspn(ticket, " ")) { return SABOT_OK; } /* a name, not a path */
    }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "the checkpoint's list of files can't be read: \"%.*s\"", (int)size, line);
}

static sabot_status restored_read(struct restored *restored, const struct batch *pending, struct sabot_error *err) {
    const struct column *column = pending->columns[0];
    for (int32_t i = 0; i < pending->selected; i++) {
        const int32_t row = batch_row(pending, i);
        if (column_is_null(column, row)) { continue; }
        const struct string_view *view = (const struct string_view *)column->values + column_at(column, row);
        const char *at = string_view_data(view), *const end = at + view->size;
        while (at < end) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            if (!stop) { stop = end; }
            SABOT_TRY(restored_add(restored, at, (size_t)(stop - at), err));
            at = stop + 1;
        }
    }
    return SABOT_OK;
}

/* Hidden by an earlier process of this lineage. Those of a checkpoint are committed by now, so hidden no more. */
static bool is_leftover(const struct sink *sink, const char *ticket) {
    unsigned long long lineage;
    long long epoch;
    return sscanf(ticket, "part-%16llx-%lld-", &lineage, &epoch) == 2 && lineage == sink->lineage &&
           epoch < sink->context.epoch;
}

static sabot_status leftovers_remove(struct sink *sink, struct sabot_error *err) {
    if (sink->context.epoch == 0) { return SABOT_OK; }
    char **tickets = NULL;
    size_t n = 0;
    SABOT_TRY(store_hidden(sink->store, sink->table.path, &tickets, &n, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        if (is_leftover(sink, tickets[i])) {
            status = store_abandon(sink->store, sink->table.path, tickets[i], err);
        }
    }
    env_names_free(tickets, n);
    return status;
}

static sabot_status file_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    if (!pending || pending->selected == 0 || sink->is_pipe || sink->context.subtask != 0) { return SABOT_OK; }
    struct restored restored = {0};
    sabot_status status = restored_read(&restored, pending, err);
    for (size_t i = 0; i < restored.n && status == SABOT_OK; i++) {
        status = store_commit(sink->store, sink->table.path, restored.tickets[i], err);
    }
    if (status == SABOT_OK) { status = leftovers_remove(sink, err); }
    env_names_free(restored.tickets, restored.n);
    if (status != SABOT_OK) { error_context(err, "table \"%s\"", sink->context.table->name); }
    return status;
}

const struct sink_type file_sink = {
    .name = "filesystem",
    .summary = "part files in a folder, invisible until they are committed: json, csv, raw, parquet, arrow",
    .options = file_options,
    .accepts = SINK_INSERTS,
    .takes_format = true,
    .open = file_open,
    .restore = file_restore,
    .write = file_write_batch,
    .prepare = file_prepare,
    .commit = file_commit,
    .committed = file_committed,
    .finish = file_finish,
    .close = file_close,
};
