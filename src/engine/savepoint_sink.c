/* The connector 'savepoint' as a sink: a new savepoint that is another one but for the rows of one state table, which
 * are those of an INSERT. A helper writes them as they come; all or nothing, because the savepoint exists only when the
 * input has ended and its manifest is there. */
#include "engine/savepoint.h"

#include "checkpoint/rewrite.h"
#include "connect/connector.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_ROWS 16384   /* so many make a helper write */
#define WAITING_ROWS 65536 /* while it does, so many wait for it */

enum { WRITING_NO, WRITING_YES, WRITING_DONE };

/* Rows in order of arrival. */
struct pile {
    struct batch **batches;
    int32_t n, capacity;
    int64_t rows;
};

struct sink {
    struct connector_context context;
    struct rewrite *rewrite;
    struct pile waiting, taken; /* taken: the helper's */
    bool finishing, finished;   /* the helper has the last rows; the savepoint exists */
    _Atomic int writing; /* WRITING_; DONE until the task has looked at `error` */
    _Atomic int32_t refs; /* the sink and its helper */
    struct sabot_error error;
};

static void pile_clear(struct pile *pile) {
    for (int32_t i = 0; i < pile->n; i++) { batch_unref(pile->batches[i]); }
    free(pile->batches);
    *pile = (struct pile){0};
}

static void sink_drop(struct sink *sink) {
    if (atomic_fetch_sub(&sink->refs, 1) != 1) { return; }
    pile_clear(&sink->waiting);
    pile_clear(&sink->taken);
    rewrite_close(sink->rewrite);
    free(sink);
}

static sabot_status options_read(const struct connector_context *context, struct rewrite_options *out,
                                 struct sabot_error *err) {
    const struct connector_table *table = context->table;
    const struct connector_option *tables[] = {savepoint_options};
    SABOT_TRY(options_check(table, tables, 1, err));
    *out = (struct rewrite_options){
        .store = context->store,
        .pool = context->pool,
        .base = option_text(table, savepoint_options, "base"),
        .path = option_text(table, savepoint_options, "path"),
        .uid = option_text(table, savepoint_options, "operator"),
        .state = option_text(table, savepoint_options, "state"),
        .schema = table->schema,
        .keeps_rows = strcmp(option_text(table, savepoint_options, "mode"), "add") == 0,
        .n_keys = REWRITE_KEYS_OF_BASE,
    };
    if (!out->base) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": what it is made from is missing: 'base' = 'PATH', a "
                          "savepoint or checkpoint", table->name);
    }
    if (option_text(table, savepoint_options, "keys")) {
        int64_t keys;
        SABOT_TRY(option_int(table, savepoint_options, "keys", &keys, err));
        if (keys < 0 || keys > table->schema->n_fields) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": 'keys' is the number of its first columns that are "
                              "the key; 0 makes it a list", table->name);
        }
        out->n_keys = keys == 0 ? -1 : (int32_t)keys;
    }
    if (context->epoch != 0) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "table \"%s\" writes a savepoint when its input has ended, all "
                          "or nothing: run it without checkpoints", table->name);
    }
    return SABOT_OK;
}

static sabot_status savepoint_sink_open(const struct connector_context *context, struct sink **out,
                                        struct sabot_error *err) {
    *out = NULL;
    struct rewrite_options options;
    SABOT_TRY(options_read(context, &options, err));
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a sink"); }
    sink->context = *context;
    atomic_init(&sink->refs, 1);
    const sabot_status status = rewrite_open(&options, &sink->rewrite, err);
    if (status != SABOT_OK) {
        sink_drop(sink);
        return status;
    }
    *out = sink;
    return SABOT_OK;
}

/* --- writing */

static sabot_status pile_write(struct sink *sink, struct sabot_error *err) {
    for (int32_t i = 0; i < sink->taken.n; i++) {
        SABOT_TRY(rewrite_put(sink->rewrite, sink->taken.batches[i], err));
        batch_unref(sink->taken.batches[i]);
        sink->taken.batches[i] = NULL;
    }
    return sink->finishing ? rewrite_finish(sink->rewrite, err) : SABOT_OK;
}

static void write_main(void *arg) {
    struct sink *sink = arg;
    if (pile_write(sink, &sink->error) != SABOT_OK) {
        error_context(&sink->error, "table \"%s\"", sink->context.table->name);
    }
    void (*wake)(void *) = sink->context.wake;
    void *wake_arg = sink->context.wake_arg;
    atomic_store(&sink->writing, WRITING_DONE);
    if (wake) { wake(wake_arg); } /* close() waits for this helper, so the task is still there */
    sink_drop(sink);
}

/* No helper is at work: gives what waits to one. */
static sabot_status write_begin(struct sink *sink, struct sabot_error *err) {
    pile_clear(&sink->taken);
    sink->taken = sink->waiting;
    sink->waiting = (struct pile){0};
    atomic_store(&sink->writing, WRITING_YES);
    atomic_fetch_add(&sink->refs, 1);
    const sabot_status status = env_offload(sink->context.env, write_main, sink, err);
    if (status != SABOT_OK) {
        atomic_fetch_sub(&sink->refs, 1);
        atomic_store(&sink->writing, WRITING_NO);
    }
    return status;
}

/* What has become of the helper; *busy: it is at work. */
static sabot_status write_look(struct sink *sink, bool *busy, struct sabot_error *err) {
    *busy = atomic_load(&sink->writing) == WRITING_YES;
    if (*busy) { return SABOT_OK; }
    if (sink->error.status != SABOT_OK) {
        if (err && err->status == SABOT_OK) { *err = sink->error; }
        return sink->error.status;
    }
    if (atomic_load(&sink->writing) == WRITING_DONE) {
        sink->finished = sink->finishing;
        atomic_store(&sink->writing, WRITING_NO);
    }
    return SABOT_OK;
}

static sabot_status pile_add(struct sink *sink, struct batch *batch, struct sabot_error *err) {
    struct pile *pile = &sink->waiting;
    if (pile->n == pile->capacity) {
        const int32_t capacity = pile->capacity ? pile->capacity * 2 : 64;
        struct batch **grown = realloc(pile->batches, (size_t)capacity * sizeof(struct batch *));
        if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the rows of a savepoint"); }
        pile->batches = grown;
        pile->capacity = capacity;
    }
    SABOT_TRY(batch_compact(sink->context.pool, batch, &pile->batches[pile->n], err));
    pile->n++;
    pile->rows += batch->selected;
    return SABOT_OK;
}

static sabot_status savepoint_sink_write(struct sink *sink, struct batch *taken, bool *full, struct sabot_error *err) {
    bool busy;
    *full = false;
    const sabot_status status = write_look(sink, &busy, err);
    if (status != SABOT_OK) {
        batch_unref(taken);
        return status;
    }
    *full = busy && sink->waiting.rows >= WAITING_ROWS;
    if (*full) { return SABOT_OK; }
    BATCH_OWNED struct batch *batch = taken;
    SABOT_TRY(pile_add(sink, batch, err));
    return busy || sink->waiting.rows < WRITE_ROWS ? SABOT_OK : write_begin(sink, err);
}

static sabot_status savepoint_sink_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    bool busy;
    SABOT_TRY(write_look(sink, &busy, err));
    *full = !sink->finished;
    if (busy || sink->finished) { return SABOT_OK; }
    sink->finishing = true;
    return write_begin(sink, err);
}

/* A barrier comes only when the job is stopped, or asked for a savepoint, before the input has ended. Behind the end
 * there is nothing to keep. */
static sabot_status savepoint_sink_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                           struct sabot_error *err) {
    (void)checkpoint_id, (void)pending;
    *full = false;
    if (sink->finished) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "table \"%s\" writes a savepoint when its input has ended, all or "
                      "nothing: it can't be stopped or take part in a savepoint before; nothing was written",
                      sink->context.table->name);
}

static void savepoint_sink_close(struct sink *sink) {
    while (atomic_load(&sink->refs) > 1) { env_sleep_ns(sink->context.env, 100000); }
    sink_drop(sink);
}

const struct sink_type savepoint_sink = {
    .name = "savepoint",
    .summary = "a savepoint made from another one, with other rows in one state",
    .options = savepoint_options,
    .accepts = SINK_INSERTS,
    .one_task = true,
    .open = savepoint_sink_open,
    .restore = sink_default_restore,
    .write = savepoint_sink_write,
    .prepare = savepoint_sink_prepare,
    .commit = sink_default_commit,
    .finish = savepoint_sink_finish,
    .close = savepoint_sink_close,
};
