/* The source "stream": an ArrowArrayStream, read once by subtask 0.
 *
 * A stream can't be wound back: its position is the number of rows handed out, and a restored job skips so many rows of
 * the stream that it is given, which must be the same one from its start. */
#include "arrow/import.h"
#include "base/text.h"
#include "connect/memory/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

struct stream_table {
    struct importer *importer;
    bool may_block;
    atomic_bool taken; /* by a source: a stream is read once */
};

enum pull_state { PULL_IDLE, PULL_RUNNING, PULL_DONE };

/* One call of get_next on a helper thread. */
struct pull {
    _Atomic int32_t state;
    _Atomic int32_t running; /* helpers inside pull_run: nothing that they touch may go */
    struct importer *importer;
    struct memory_pool *pool;
    int32_t rows_max;
    struct batch *batch; /* NULL at the end */
    sabot_status status;
    struct sabot_error err;
    void (*wake)(void *arg);
    void *wake_arg;
    struct env_event *done; /* for close */
};

struct source {
    struct connector_context context;
    struct stream_table *table; /* NULL: another subtask reads */
    struct pull *pull;
    int64_t rows_out, rows_skip;
    bool ended, paused;
};

sabot_status stream_table_new(struct ArrowArrayStream *stream, struct stream_table **out, struct sabot_error *err) {
    *out = NULL;
    struct importer *importer = NULL;
    SABOT_TRY(importer_of_stream(stream, &importer, err));
    struct stream_table *table = calloc(1, sizeof *table);
    if (!table) {
        importer_free(importer);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a stream");
    }
    *table = (struct stream_table){.importer = importer, .may_block = true};
    *out = table;
    return SABOT_OK;
}

void stream_table_set_blocking(struct stream_table *table, bool may_block) { table->may_block = may_block; }

struct schema *stream_table_schema(const struct stream_table *table) { return importer_schema(table->importer); }

void stream_table_free(void *owner) {
    struct stream_table *table = owner;
    if (!table) { return; }
    importer_free(table->importer);
    free(table);
}

static bool stream_is_bounded(const struct connector_table *table) {
    (void)table;
    return true;
}

static sabot_status stream_open(const struct connector_context *context, struct source **out, struct sabot_error *err) {
    struct stream_table *table = (struct stream_table *)context->table->memory;
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a stream"); }
    source->context = *context;
    if (context->subtask == 0) {
        if (atomic_exchange(&table->taken, true)) {
            free(source);
            return SABOT_FAIL(err, SABOT_ERR_STATE,
                              "table \"%s\": its stream has been read already; register a new one",
                              context->table->name);
        }
        source->table = table;
    }
    *out = source;
    return SABOT_OK;
}

static sabot_status stream_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    if (!positions || !source->table) { return SABOT_OK; }
    for (int32_t i = 0; i < positions->selected; i++) {
        const struct split_position at = split_position_at(positions, i);
        if (at.size != sizeof source->rows_skip) {
            return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "table \"%s\": the checkpoint holds no position of a stream",
                              source->context.table->name);
        }
        memcpy(&source->rows_skip, at.bytes, sizeof source->rows_skip);
        source->rows_out = source->rows_skip;
    }
    return SABOT_OK;
}

static void pull_run(void *arg) {
    struct pull *pull = arg;
    pull->status = importer_next(pull->importer, pull->pool, pull->rows_max, &pull->batch, &pull->err);
    atomic_store_explicit(&pull->state, PULL_DONE, memory_order_release);
    pull->wake(pull->wake_arg);
    env_event_set(pull->done);
    atomic_fetch_sub(&pull->running, 1); /* the last touch: close may free now */
}

/* Starts a call, or fetches what one brought; *ready is false while it runs. */
static sabot_status pull_next(struct source *source, struct batch **out, bool *ready, struct sabot_error *err) {
    struct pull *pull = source->pull;
    *ready = false;
    if (!pull) {
        pull = calloc(1, sizeof *pull);
        if (!pull) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a stream"); }
        *pull = (struct pull){.importer = source->table->importer, .pool = source->context.pool,
                              .rows_max = source->context.batch_rows, .wake = source->context.wake,
                              .wake_arg = source->context.wake_arg, .done = env_event_new(source->context.env)};
        source->pull = pull;
    }
    if (atomic_load_explicit(&pull->state, memory_order_acquire) == PULL_DONE) {
        atomic_store(&pull->state, PULL_IDLE);
        *ready = true;
        *out = pull->batch;
        pull->batch = NULL;
        if (pull->status != SABOT_OK) {
            if (err && err->status == SABOT_OK) { *err = pull->err; }
            return pull->status;
        }
        if (!*out) { return SABOT_OK; }
    }
    if (atomic_load(&pull->state) == PULL_IDLE) { /* read ahead by one batch */
        atomic_store(&pull->state, PULL_RUNNING);
        atomic_fetch_add(&pull->running, 1);
        const sabot_status status = env_offload(source->context.env, pull_run, pull, err);
        if (status != SABOT_OK) {
            atomic_store(&pull->state, PULL_IDLE);
            atomic_fetch_sub(&pull->running, 1);
            return status;
        }
    }
    return SABOT_OK;
}

/* Drops the first rows_skip rows after a restore. */
static sabot_status skip_rows(struct source *source, struct batch **batch, struct sabot_error *err) {
    if (source->rows_skip == 0 || !*batch) { return SABOT_OK; }
    struct batch *whole = *batch;
    const int32_t n = whole->selected;
    if (source->rows_skip >= n) {
        source->rows_skip -= n;
        batch_unref(whole);
        *batch = NULL;
        return SABOT_OK;
    }
    const int32_t first = (int32_t)source->rows_skip;
    source->rows_skip = 0;
    struct buffer *rows = NULL;
    sabot_status status = buffer_new(source->context.pool, sizeof(int32_t) * (size_t)(n - first), &rows, err);
    if (status == SABOT_OK) {
        for (int32_t i = first; i < n; i++) { ((int32_t *)(void *)rows->data)[i - first] = batch_row(whole, i); }
        status = batch_with_selection(whole, rows, n - first, batch, err);
    }
    batch_unref(whole);
    if (status != SABOT_OK) { *batch = NULL; }
    return status;
}

static sabot_status stream_poll(struct source *source, enum source_state *state, struct source_result *result,
                                struct sabot_error *err) {
    *state = SOURCE_END;
    if (!source->table || source->ended) { return SABOT_OK; }
    *state = SOURCE_WAIT;
    result->wake_at_ns = INT64_MAX;
    if (source->paused) { return SABOT_OK; }
    for (;;) {
        struct batch *batch = NULL;
        bool ready = true;
        if (source->table->may_block) {
            SABOT_TRY(pull_next(source, &batch, &ready, err));
        } else {
            SABOT_TRY(importer_next(source->table->importer, source->context.pool, source->context.batch_rows, &batch,
                                    err));
        }
        if (!ready) { return SABOT_OK; }
        if (!batch) {
            source->ended = true;
            *state = SOURCE_END;
            return SABOT_OK;
        }
        SABOT_TRY(skip_rows(source, &batch, err));
        if (!batch) { continue; }
        const sabot_status status = memory_project(source->context.table, batch, &result->batch, err);
        source->rows_out += batch->selected;
        batch_unref(batch);
        if (status != SABOT_OK) { return status; }
        result->batch->created_ns = env_now_ns(source->context.env);
        *state = SOURCE_BATCH;
        result->split = 0;
        return SABOT_OK;
    }
}

static int32_t stream_n_splits(const struct source *source) { return source->table ? 1 : 0; }

static void stream_split(const struct source *source, int32_t i, struct source_split *out) {
    (void)i;
    *out = (struct source_split){.id = "stream", .finished = source->ended};
}

static void stream_pause(struct source *source, int32_t split, bool paused) {
    (void)split;
    source->paused = paused;
}

static sabot_status stream_position(struct source *source, int32_t split, struct text *position,
                                    struct sabot_error *err) {
    (void)split;
    text_append(position, (const char *)&source->rows_out, sizeof source->rows_out);
    return position->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a position") : SABOT_OK;
}

static sabot_status stream_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

static void stream_close(struct source *source) {
    if (source->pull) {
        /* A helper may still be inside get_next, or about to wake the task: both must stay until it is done. */
        while (atomic_load(&source->pull->running) > 0) { env_event_wait(source->pull->done, 100000); }
        batch_unref(source->pull->batch);
        env_event_free(source->pull->done);
        free(source->pull);
    }
    free(source);
}

const struct source_type memory_stream_source = {
    .name = "stream",
    .summary = "an Arrow stream that the embedding program gave",
    .is_internal = true,
    .is_bounded = stream_is_bounded,
    .open = stream_open,
    .restore = stream_restore,
    .poll = stream_poll,
    .n_splits = stream_n_splits,
    .split = stream_split,
    .pause = stream_pause,
    .position = stream_position,
    .on_complete = stream_on_complete,
    .close = stream_close,
};
