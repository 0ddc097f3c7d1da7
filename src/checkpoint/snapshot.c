/* One stream per table and checkpoint: the task puts chunks into its queue, a helper at a time takes them out and
 * writes them. */
#include "checkpoint/snapshot.h"

#include "checkpoint/storage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_SLOTS 16384                    /* looked at between two batches */
#define QUEUED_SOFT (INT64_C(64) << 20)     /* bytes of chunks of a task: copying pauses; at most 1/64 of a limit */
#define QUEUED_HARD_FACTOR 2                /* ... and the task takes no input */
#define DELTAS_MAX 16                       /* files of a chain behind its base */

/* --- chains */
struct chain {
    char state[64];
    bool is_whole; /* the files say all up to the last snapshot */
    struct manifest_file files[DELTAS_MAX + 2];
    int32_t n_files;
    int64_t base_bytes, delta_bytes;
};
struct snapshot_chains {
    struct chain **items;
    int32_t n;
    uint32_t nonce;
};

static void chain_clear(struct chain *chain) {
    for (int32_t i = 0; i < chain->n_files; i++) { manifest_file_clear(&chain->files[i]); }
    chain->n_files = 0;
    chain->base_bytes = chain->delta_bytes = 0;
    chain->is_whole = false;
}

void snapshot_chains_free(struct snapshot_chains *chains) {
    if (!chains) { return; }
    for (int32_t i = 0; i < chains->n; i++) {
        chain_clear(chains->items[i]);
        free(chains->items[i]);
    }
    free(chains->items);
    free(chains);
}

static struct chain *chain_get(struct snapshot_chains *chains, const char *state) {
    for (int32_t i = 0; i < chains->n; i++) {
        if (strcmp(chains->items[i]->state, state) == 0) { return chains->items[i]; }
    }
    struct chain **items = realloc(chains->items, (size_t)(chains->n + 1) * sizeof(struct chain *));
    if (!items) { return NULL; }
    chains->items = items;
    struct chain *chain = calloc(1, sizeof *chain);
    if (!chain) { return NULL; }
    snprintf(chain->state, sizeof chain->state, "%s", state);
    return chains->items[chains->n++] = chain;
}

static enum state_form chain_form(const struct chain *chain) {
    const bool grown = chain->n_files > DELTAS_MAX || chain->delta_bytes * 2 > chain->base_bytes;
    return chain->is_whole && !grown ? STATE_FORM_DELTA : STATE_FORM_BASE;
}

/* --- streams */
struct stream {
    struct task_snapshot *owner;
    int32_t op, table; /* of the owner's */
    struct chain *chain; /* NULL: the file is this checkpoint's alone */
    struct schema *schema;
    struct state_grouping grouping;
    struct manifest_file item; /* file NULL: no rows */
    bool copied;
    /* under the owner's mutex */
    struct batch **queue;
    int32_t first, n, capacity;
    bool closed, running, finished;
    struct sabot_error error;
    struct storage_writer *writer; /* the helper's */
};

struct task_snapshot {
    struct snapshot_options options;
    struct checkpoint_place place;
    struct storage_writing writing;
    struct env_mutex *mutex;
    int32_t refs;          /* the task's, and one per helper; under the mutex */
    bool cancelled;        /* under the mutex */
    int64_t queued;        /* bytes; under the mutex */
    int64_t queued_soft;
    struct snapshot_op *ops;
    int32_t n_ops;
    struct stream *streams;
    int32_t n_streams, streams_capacity;
};

static void snapshot_unref(struct task_snapshot *snapshot) {
    env_mutex_lock(snapshot->mutex);
    const bool last = --snapshot->refs == 0;
    env_mutex_unlock(snapshot->mutex);
    if (!last) { return; }
    for (int32_t i = 0; i < snapshot->n_streams; i++) {
        struct stream *stream = &snapshot->streams[i];
        for (int32_t b = stream->first; b < stream->n; b++) { batch_unref(stream->queue[b]); }
        free(stream->queue);
        storage_writer_close(stream->writer);
        manifest_file_clear(&stream->item);
        schema_unref(stream->schema);
    }
    free(snapshot->streams);
    free(snapshot->ops);
    env_mutex_free(snapshot->mutex);
    free(snapshot);
}

static int64_t batch_bytes(const struct batch *batch) {
    int64_t bytes = 0;
    for (int32_t c = 0; c < batch->n_columns; c++) {
        for (int32_t o = 0; o < batch->columns[c]->n_owners; o++) {
            bytes += (int64_t)batch->columns[c]->owners[o]->size;
        }
    }
    return bytes;
}

static sabot_status chunk_write(struct stream *stream, struct batch *batch, struct sabot_error *err) {
    const struct task_snapshot *snapshot = stream->owner;
    if (!stream->writer) {
        SABOT_TRY(storage_writer_open(&snapshot->writing, stream->schema, &stream->item, &stream->writer, err));
        env_point(snapshot->options.env, ENV_POINT_STATE_WRITE);
    }
    SABOT_TRY(state_grouping_fill(&stream->grouping, snapshot->options.pool, batch, err));
    return storage_writer_put(stream->writer, batch, err);
}

/* What the helper does next: a chunk, or the end; NULL and not *end: nothing now. */
static struct batch *stream_next(struct stream *stream, bool *end) {
    struct task_snapshot *snapshot = stream->owner;
    struct batch *batch = NULL;
    env_mutex_lock(snapshot->mutex);
    if (stream->first < stream->n) { batch = stream->queue[stream->first++]; }
    *end = !batch && stream->closed;
    if (!batch && !*end) { stream->running = false; }
    env_mutex_unlock(snapshot->mutex);
    return batch;
}

/* On a helper; holds a reference on the snapshot. */
static void stream_main(void *arg, const struct sabot_error *refused) {
    struct stream *stream = arg;
    struct task_snapshot *snapshot = stream->owner;
    env_mutex_lock(snapshot->mutex);
    struct sabot_error err = stream->error.status != SABOT_OK ? stream->error : *refused;
    env_mutex_unlock(snapshot->mutex);
    for (;;) {
        bool end;
        struct batch *batch = stream_next(stream, &end);
        if (!batch && !end) { break; }
        env_mutex_lock(snapshot->mutex);
        const bool wanted = !snapshot->cancelled && err.status == SABOT_OK;
        env_mutex_unlock(snapshot->mutex);
        const int64_t bytes = batch ? batch_bytes(batch) : 0;
        if (wanted && batch) { chunk_write(stream, batch, &err); }
        if (wanted && end && stream->writer) { storage_writer_finish(stream->writer, &err); }
        batch_unref(batch);
        env_mutex_lock(snapshot->mutex);
        if (stream->error.status == SABOT_OK) { stream->error = err; }
        snapshot->queued -= bytes;
        stream->finished = end;
        env_mutex_unlock(snapshot->mutex);
        if (end) { break; }
        snapshot->options.wake(snapshot->options.wake_arg);
    }
    snapshot->options.wake(snapshot->options.wake_arg);
    snapshot_unref(snapshot);
}

/* Puts a chunk (taken over; NULL: the end) into the queue, and sees to it that a helper is at work. */
static void stream_put(struct stream *stream, struct batch *batch) {
    struct task_snapshot *snapshot = stream->owner;
    env_mutex_lock(snapshot->mutex);
    if (stream->n == stream->capacity && stream->first) {
        memmove(stream->queue, stream->queue + stream->first,
                (size_t)(stream->n - stream->first) * sizeof(struct batch *));
        stream->n -= stream->first;
        stream->first = 0;
    }
    if (stream->n == stream->capacity) {
        const int32_t capacity = stream->capacity ? stream->capacity * 2 : 8;
        struct batch **queue = realloc(stream->queue, (size_t)capacity * sizeof(struct batch *));
        if (queue) {
            stream->queue = queue;
            stream->capacity = capacity;
        }
    }
    bool runs = false;
    if (!batch) {
        stream->closed = true;
    } else if (stream->n < stream->capacity) {
        stream->queue[stream->n++] = batch;
        snapshot->queued += batch_bytes(batch);
    } else {
        batch_unref(batch);
        SABOT_FAIL(&stream->error, SABOT_ERR_MEMORY, "the system has no memory for a snapshot");
    }
    if (stream->closed && !stream->running && stream->first == stream->n && !stream->writer) {
        stream->finished = true; /* no rows at all: no file */
    } else if (!stream->running) {
        runs = stream->running = true;
        snapshot->refs++;
    }
    env_mutex_unlock(snapshot->mutex);
    if (!runs) { return; }
    struct sabot_error err = {0};
    const sabot_status status =
        coordinator_help(snapshot->options.coordinator, snapshot->place.checkpoint, stream_main, stream, &err);
    if (status == SABOT_OK) { return; }
    env_mutex_lock(snapshot->mutex);
    stream->error = err;
    stream->running = false;
    stream->finished = stream->closed;
    env_mutex_unlock(snapshot->mutex);
    snapshot_unref(snapshot);
}

/* --- the barrier */
static sabot_status stream_open(struct task_snapshot *snapshot, int32_t op_index, int32_t table,
                                struct sabot_error *err) {
    struct snapshot_op *op = &snapshot->ops[op_index];
    struct stream *stream = &snapshot->streams[snapshot->n_streams];
    *stream = (struct stream){.owner = snapshot, .op = op_index, .table = table};
    struct state_table_info info;
    state_table_info(op->tables, table, &info);
    enum state_form form = STATE_FORM_ROWS;
    if (snapshot->place.shares && info.has_chain) {
        if (!*op->chains) {
            *op->chains = calloc(1, sizeof **op->chains);
            if (*op->chains) { (*op->chains)->nonce = (uint32_t)env_random(snapshot->options.env); }
        }
        stream->chain = *op->chains ? chain_get(*op->chains, info.name) : NULL;
        if (!stream->chain) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
        form = chain_form(stream->chain);
        snapshot->writing.nonce = (*op->chains)->nonce;
    }
    sabot_status status = SABOT_OK;
    if (form == STATE_FORM_DELTA && state_table_freeze(op->tables, table, form, NULL) != SABOT_OK) {
        form = STATE_FORM_BASE; /* changes were lost for want of memory */
        status = state_table_freeze(op->tables, table, form, err);
    } else if (form != STATE_FORM_DELTA) {
        status = state_table_freeze(op->tables, table, form, err);
    }
    if (status != SABOT_OK) { return status; }
    snapshot->n_streams++;
    struct schema *schema;
    SABOT_TRY(state_table_schema(op->tables, table, form, &schema, err));
    state_table_grouping(op->tables, table, form, &stream->grouping);
    stream->schema = schema_ref(schema);
    stream->item = (struct manifest_file){
        .uid = strdup(op->uid),
        .state = strdup(info.name),
        .subtask = op->subtask,
        .parallelism = op->parallelism,
        .kind = info.kind,
        .form = form,
        .shared = stream->chain != NULL,
        .n_keys = info.n_keys,
    };
    if (stream->item.uid && stream->item.state) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot");
}

/* Gives up what is not copied yet. */
static void streams_thaw(struct task_snapshot *snapshot) {
    for (int32_t i = 0; i < snapshot->n_streams; i++) {
        struct stream *stream = &snapshot->streams[i];
        if (!stream->copied) { state_table_thaw(snapshot->ops[stream->op].tables, stream->table); }
        if (stream->chain) { chain_clear(stream->chain); } /* what the files lack is not known any more */
    }
}

static sabot_status streams_open(struct task_snapshot *snapshot, struct sabot_error *err) {
    int32_t n = snapshot->options.n_extra;
    for (int32_t i = 0; i < snapshot->n_ops; i++) { n += state_tables_count(snapshot->ops[i].tables); }
    snapshot->streams = calloc((size_t)n + 1, sizeof *snapshot->streams); /* helpers point into it: never moved */
    snapshot->streams_capacity = n;
    if (!snapshot->streams) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
    for (int32_t i = 0; i < snapshot->n_ops; i++) {
        for (int32_t t = 0; t < state_tables_count(snapshot->ops[i].tables); t++) {
            SABOT_TRY(stream_open(snapshot, i, t, err));
        }
    }
    return SABOT_OK;
}

static struct checkpoint_part *parts_new(const struct snapshot_op *ops, int32_t n_ops) {
    struct checkpoint_part *parts = calloc((size_t)n_ops + 1, sizeof *parts);
    for (int32_t i = 0; parts && i < n_ops; i++) {
        parts[i] = (struct checkpoint_part){.uid = ops[i].uid, .meaning = ops[i].meaning, .subtask = ops[i].subtask,
                                            .parallelism = ops[i].parallelism, .ended = ops[i].ended};
    }
    return parts;
}

static sabot_status acknowledge_empty(const struct snapshot_options *options, const struct snapshot_op *ops,
                                      int32_t n_ops, struct sabot_error *err) {
    struct checkpoint_part *parts = parts_new(ops, n_ops);
    if (!parts) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
    return coordinator_acknowledge(options->coordinator, options->task, options->checkpoint_id, parts, n_ops, err);
}

sabot_status task_snapshot_begin(const struct snapshot_options *options, const struct snapshot_op *ops, int32_t n_ops,
                                 struct task_snapshot **out, struct sabot_error *err) {
    *out = NULL;
    struct checkpoint_place place;
    if (!coordinator_hold(options->coordinator, options->checkpoint_id, &place)) {
        return acknowledge_empty(options, ops, n_ops, err);
    }
    struct task_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot) { snapshot->ops = malloc(((size_t)n_ops + 1) * sizeof *ops); }
    if (!snapshot || !snapshot->ops) {
        free(snapshot);
        coordinator_release(&place);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot");
    }
    memcpy(snapshot->ops, ops, (size_t)n_ops * sizeof *ops);
    snapshot->n_ops = n_ops;
    snapshot->options = *options;
    if (options->step_slots == 0) { snapshot->options.step_slots = STEP_SLOTS; }
    snapshot->place = place;
    const int64_t share = memory_limit(options->pool) / 64;
    snapshot->queued_soft = share < QUEUED_SOFT ? share : QUEUED_SOFT;
    snapshot->writing = (struct storage_writing){.store = place.store, .pool = options->pool, .path = place.path,
                                                 .checkpoint_id = options->checkpoint_id};
    snapshot->mutex = env_mutex_new(options->env);
    snapshot->refs = 1;
    struct sabot_error failed = {0};
    if (streams_open(snapshot, &failed) != SABOT_OK) {
        coordinator_decline(options->coordinator, options->checkpoint_id, &failed);
        task_snapshot_cancel(snapshot);
        return SABOT_OK;
    }
    *out = snapshot;
    return SABOT_OK;
}

sabot_status task_snapshot_add(struct task_snapshot *snapshot, int32_t op, const char *state, struct schema *schema,
                               struct batch *rows, struct sabot_error *err) {
    assert(snapshot->n_streams < snapshot->streams_capacity);
    const struct snapshot_op *of = &snapshot->ops[op];
    struct stream *stream = &snapshot->streams[snapshot->n_streams++];
    *stream = (struct stream){.owner = snapshot, .op = op, .copied = true, .schema = schema_ref(schema)};
    stream->item = (struct manifest_file){.uid = strdup(of->uid), .state = strdup(state), .subtask = of->subtask,
                                          .parallelism = of->parallelism, .kind = STATE_LIST};
    if (!stream->item.uid || !stream->item.state) {
        batch_unref(rows);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot");
    }
    stream_put(stream, rows);
    stream_put(stream, NULL);
    return SABOT_OK;
}

void task_snapshot_release(struct task_snapshot *snapshot) {
    snapshot->options.waits = false;
    snapshot->options.wake(snapshot->options.wake_arg);
}

/* --- between batches */
/* Hands over what is ready, and looks at up to `slots` more. */
static void stream_copy(struct task_snapshot *snapshot, struct stream *stream, int32_t slots) {
    struct sabot_error err = {0};
    struct batch *batch = NULL;
    bool done = false;
    do {
        const sabot_status status =
            state_table_copy(snapshot->ops[stream->op].tables, stream->table, slots, &batch, &done, &err);
        if (status != SABOT_OK) {
            env_mutex_lock(snapshot->mutex);
            if (stream->error.status == SABOT_OK) { stream->error = err; }
            env_mutex_unlock(snapshot->mutex);
            done = true;
        }
        if (batch) { stream_put(stream, batch); }
        if (batch) { slots = 0; } /* only what is ready already */
    } while (batch && !done);
    if (!done) { return; }
    stream->copied = true;
    stream_put(stream, NULL);
}

static bool all_finished(struct task_snapshot *snapshot, struct sabot_error *error) {
    bool all = true;
    env_mutex_lock(snapshot->mutex);
    for (int32_t i = 0; i < snapshot->n_streams; i++) {
        all &= snapshot->streams[i].finished;
        if (error->status == SABOT_OK) { *error = snapshot->streams[i].error; }
    }
    env_mutex_unlock(snapshot->mutex);
    return all;
}

/* The chain goes on with the file of a stream, or is broken. */
static void chain_take(struct stream *stream) {
    struct chain *chain = stream->chain;
    const bool is_base = stream->item.form == STATE_FORM_BASE;
    if (is_base || stream->error.status != SABOT_OK) { chain_clear(chain); }
    if (stream->error.status != SABOT_OK) { return; }
    chain->is_whole = true;
    if (!stream->item.file) { return; }
    if (manifest_file_copy(&stream->item, &chain->files[chain->n_files], NULL) != SABOT_OK) {
        chain_clear(chain);
        SABOT_FAIL(&stream->error, SABOT_ERR_MEMORY, "the system has no memory for a snapshot");
        return;
    }
    chain->n_files++;
    *(is_base ? &chain->base_bytes : &chain->delta_bytes) += stream->item.size;
}

static sabot_status part_add(struct checkpoint_part *part, const struct manifest_file *item, struct sabot_error *err) {
    struct manifest_file *files = realloc(part->files, (size_t)(part->n_files + 1) * sizeof *files);
    if (!files) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
    part->files = files;
    SABOT_TRY(manifest_file_copy(item, &files[part->n_files], err));
    part->n_files++;
    return SABOT_OK;
}

static sabot_status parts_fill(const struct task_snapshot *snapshot, struct checkpoint_part *parts,
                               struct sabot_error *err) {
    for (int32_t i = 0; i < snapshot->n_streams; i++) {
        const struct stream *stream = &snapshot->streams[i];
        struct checkpoint_part *part = &parts[stream->op];
        for (int32_t f = 0; stream->chain && f < stream->chain->n_files; f++) {
            SABOT_TRY(part_add(part, &stream->chain->files[f], err));
        }
        if (!stream->chain && stream->item.file) { SABOT_TRY(part_add(part, &stream->item, err)); }
    }
    return SABOT_OK;
}

static void snapshot_finish(struct task_snapshot *snapshot, struct sabot_error *error) {
    const struct snapshot_options *options = &snapshot->options;
    for (int32_t i = 0; i < snapshot->n_streams; i++) {
        struct stream *stream = &snapshot->streams[i];
        if (stream->chain) { chain_take(stream); }
        if (error->status == SABOT_OK) { *error = stream->error; }
    }
    struct checkpoint_part *parts = NULL;
    if (error->status == SABOT_OK) {
        parts = parts_new(snapshot->ops, snapshot->n_ops);
        if (!parts) { SABOT_FAIL(error, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
    }
    if (error->status == SABOT_OK) { parts_fill(snapshot, parts, error); }
    if (error->status == SABOT_OK) {
        coordinator_acknowledge(options->coordinator, options->task, options->checkpoint_id, parts, snapshot->n_ops,
                                error);
    } else if (parts) {
        checkpoint_parts_free(parts, snapshot->n_ops);
    }
    if (error->status != SABOT_OK) { coordinator_decline(options->coordinator, options->checkpoint_id, error); }
    coordinator_release(&snapshot->place);
    snapshot_unref(snapshot);
}

bool task_snapshot_is_full(const struct task_snapshot *snapshot) {
    env_mutex_lock(snapshot->mutex);
    const bool full = snapshot->queued > snapshot->queued_soft * QUEUED_HARD_FACTOR;
    env_mutex_unlock(snapshot->mutex);
    return full;
}

void task_snapshot_step(struct task_snapshot **at, bool *more) {
    struct task_snapshot *snapshot = *at;
    *more = false;
    env_mutex_lock(snapshot->mutex);
    const bool pauses = snapshot->queued > snapshot->queued_soft;
    env_mutex_unlock(snapshot->mutex);
    struct stream *current = NULL;
    for (int32_t i = 0; i < snapshot->n_streams; i++) {
        struct stream *stream = &snapshot->streams[i];
        if (stream->copied) { continue; }
        stream_copy(snapshot, stream, pauses || current ? 0 : snapshot->options.step_slots);
        current = current ? current : stream;
    }
    if (current) {
        *more = !pauses;
        return;
    }
    struct sabot_error error = {0};
    if (snapshot->options.waits || !all_finished(snapshot, &error)) { return; }
    *at = NULL;
    snapshot_finish(snapshot, &error);
}

void task_snapshot_cancel(struct task_snapshot *snapshot) {
    if (!snapshot) { return; }
    streams_thaw(snapshot);
    env_mutex_lock(snapshot->mutex);
    snapshot->cancelled = true;
    env_mutex_unlock(snapshot->mutex);
    coordinator_release(&snapshot->place);
    snapshot_unref(snapshot);
}
