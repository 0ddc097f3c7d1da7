/* The connector 'savepoint' as a sink: a new savepoint that is another one but for the rows of one state table, which
 * are those of an INSERT. All or nothing: the rows are kept until the input ends, then a helper writes. */
#include "engine/savepoint.h"

#include "checkpoint/rewrite.h"
#include "connect/connector.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WRITING_NO, WRITING_YES, WRITING_DONE };

struct sink {
    struct connector_context context;
    struct rewrite *rewrite;
    struct batch **batches; /* in order of arrival */
    int32_t n_batches, capacity;
    _Atomic int writing; /* WRITING_ */
    _Atomic int32_t refs; /* the sink and its helper */
    struct sabot_error error;
};

static void sink_drop(struct sink *sink) {
    if (atomic_fetch_sub(&sink->refs, 1) != 1) { return; }
    for (int32_t i = 0; i < sink->n_batches; i++) { batch_unref(sink->batches[i]); }
    free(sink->batches);
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

static sabot_status savepoint_sink_write(struct sink *sink, struct batch *taken, bool *full, struct sabot_error *err) {
    BATCH_OWNED struct batch *batch = taken;
    *full = false;
    if (sink->n_batches == sink->capacity) {
        const int32_t capacity = sink->capacity ? sink->capacity * 2 : 64;
        struct batch **grown = realloc(sink->batches, (size_t)capacity * sizeof(struct batch *));
        if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the rows of a savepoint"); }
        sink->batches = grown;
        sink->capacity = capacity;
    }
    SABOT_TRY(batch_compact(sink->context.pool, batch, &sink->batches[sink->n_batches], err));
    sink->n_batches++;
    return SABOT_OK;
}

static void write_main(void *arg) {
    struct sink *sink = arg;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < sink->n_batches && status == SABOT_OK; i++) {
        status = rewrite_put(sink->rewrite, sink->batches[i], &sink->error);
    }
    if (status == SABOT_OK) { status = rewrite_finish(sink->rewrite, &sink->error); }
    if (status != SABOT_OK) { error_context(&sink->error, "table \"%s\"", sink->context.table->name); }
    void (*wake)(void *) = sink->context.wake;
    void *wake_arg = sink->context.wake_arg;
    atomic_store(&sink->writing, WRITING_DONE);
    if (wake) { wake(wake_arg); } /* close() waits for this helper, so the task is still there */
    sink_drop(sink);
}

static sabot_status savepoint_sink_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    const int writing = atomic_load(&sink->writing);
    *full = writing != WRITING_DONE;
    if (writing == WRITING_NO) {
        atomic_store(&sink->writing, WRITING_YES);
        atomic_fetch_add(&sink->refs, 1);
        const sabot_status status = env_offload(sink->context.env, write_main, sink, err);
        if (status != SABOT_OK) { atomic_fetch_sub(&sink->refs, 1); }
        return status;
    }
    if (writing == WRITING_YES || sink->error.status == SABOT_OK) { return SABOT_OK; }
    if (err && err->status == SABOT_OK) { *err = sink->error; }
    return sink->error.status;
}

/* A barrier comes only when the job is stopped, or asked for a savepoint, before the input has ended. Behind the end
 * there is nothing to keep. */
static sabot_status savepoint_sink_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                           struct sabot_error *err) {
    (void)checkpoint_id, (void)pending;
    *full = false;
    if (atomic_load(&sink->writing) == WRITING_DONE) { return SABOT_OK; }
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
