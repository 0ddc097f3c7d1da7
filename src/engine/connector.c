/* The C API: sources and sinks of the embedding program, behind the engine's own connector interface. */
#include "arrow/export.h"
#include "arrow/import.h"
#include "base/text.h"
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

#define POSITION_BYTES_MAX 4096
#define WAIT_NS 10000000

/* Never freed: connectors stay for the rest of the process. */
struct registered_connector {
    struct connector connector;
    struct source_type source_type;
    struct sink_type sink_type;
    struct sabot_source_connector source;
    struct sabot_sink_connector sink;
    void *user;
};

/* Any option is the program's own business. */
static const struct connector_option any_option[] = {
    {"", OPTION_PREFIX, NULL, NULL, "an option of the program"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

static const struct registered_connector *registered_of(const struct connector_table *table) {
    for (int32_t i = 0; i < table->n_options; i++) {
        if (strcmp(table->options[i].key, "connector") == 0) {
            return (const struct registered_connector *)connector_find(table->options[i].value);
        }
    }
    return NULL;
}

/* What a callback returned: a failure always has a message. */
static sabot_status user_status(sabot_status status, const struct connector_context *context, const char *callback,
                                struct sabot_error *err) {
    if (status == SABOT_OK || !err) { return status; }
    if (!err->message[0]) {
        err->status = SABOT_OK;
        return SABOT_FAIL(err, status, "table \"%s\": the program's %s failed without a message", context->table->name,
                          callback);
    }
    err->status = status;
    return status;
}

/* --- what a user's open is told */

struct told {
    struct sabot_connector_context context;
    struct ArrowSchema schema;
    const char **keys, **values;
};

static void told_clear(struct told *told) {
    if (told->schema.release) { told->schema.release(&told->schema); }
    free(told->keys);
    free(told->values);
}

static sabot_status told_schema(struct told *told, struct schema *schema, bool row_kinds, struct sabot_error *err) {
    if (!row_kinds) { return schema_export(schema, &told->schema, err); }
    struct schema *wider = NULL;
    SABOT_TRY(schema_with_row_kinds(schema, "row_kind", false, &wider, err));
    const sabot_status status = schema_export(wider, &told->schema, err);
    schema_unref(wider);
    return status;
}

static sabot_status told_init(struct told *told, const struct connector_context *context, bool row_kinds,
                              struct sabot_error *err) {
    const struct connector_table *table = context->table;
    *told = (struct told){0};
    told->keys = calloc((size_t)table->n_options + 1, sizeof *told->keys);
    told->values = calloc((size_t)table->n_options + 1, sizeof *told->values);
    if (!told->keys || !told->values) {
        told_clear(told);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for options");
    }
    int32_t n = 0;
    for (int32_t i = 0; i < table->n_options; i++) {
        if (strcmp(table->options[i].key, "connector") == 0) { continue; }
        told->keys[n] = table->options[i].key;
        told->values[n++] = table->options[i].value;
    }
    told->context = (struct sabot_connector_context){
        .size = sizeof told->context, .schema = &told->schema, .option_keys = told->keys,
        .option_values = told->values, .n_options = n, .subtask = context->subtask,
        .parallelism = context->parallelism, .wake = context->wake, .wake_arg = context->wake_arg};
    const sabot_status status = told_schema(told, table->schema, row_kinds, err);
    if (status != SABOT_OK) { told_clear(told); }
    return status;
}

static sabot_status bytes_check(const struct connector_context *context, size_t used, struct sabot_error *err) {
    if (used <= POSITION_BYTES_MAX) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "table \"%s\": %zu bytes for a checkpoint; at most %d can be kept",
                      context->table->name, used, POSITION_BYTES_MAX);
}

/* --- source */

struct source {
    struct connector_context context;
    const struct registered_connector *registered;
    void *user_source;
    struct importer *importer;
    bool ended, paused;
};

static bool user_source_is_bounded(const struct connector_table *table) {
    const struct registered_connector *registered = registered_of(table);
    return registered && registered->source.bounded;
}

static void user_source_close(struct source *source) {
    if (source->user_source) { source->registered->source.close(source->user_source); }
    importer_free(source->importer);
    free(source);
}

static sabot_status user_source_open(const struct connector_context *context, struct source **out,
                                     struct sabot_error *err) {
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a source"); }
    source->context = *context;
    source->registered = registered_of(context->table);
    struct told told;
    sabot_status status = told_init(&told, context, false, err);
    if (status == SABOT_OK) {
        status = importer_new(&told.schema, &source->importer, err);
        if (status == SABOT_OK) {
            status =
                source->registered->source.open(source->registered->user, &told.context, &source->user_source, err);
            status = user_status(status, context, "open", err);
        }
        told_clear(&told);
    }
    if (status != SABOT_OK) {
        user_source_close(source);
        return status;
    }
    *out = source;
    return SABOT_OK;
}

static void user_source_split(const struct source *source, int32_t i, struct source_split *out) {
    (void)i;
    snprintf(out->id, sizeof out->id, "subtask-%d-of-%d", source->context.subtask, source->context.parallelism);
    out->finished = source->ended;
}

static sabot_status user_source_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    struct source_split mine;
    user_source_split(source, 0, &mine);
    bool found = false;
    for (int32_t i = 0; positions && i < positions->selected; i++) {
        const struct split_position at = split_position_at(positions, i);
        if (!split_position_is_of(&at, mine.id)) { continue; }
        found = true;
        if (at.size > 0 && source->registered->source.restore) {
            SABOT_TRY(user_status(source->registered->source.restore(source->user_source, at.bytes, at.size, err),
                        &source->context, "restore", err));
        }
    }
    if (positions && positions->selected > 0 && !found) {
        return SABOT_FAIL(err, SABOT_ERR_STATE,
                          "table \"%s\": a source of the program keeps one position per subtask: restore it at the "
                          "parallelism of the checkpoint", source->context.table->name);
    }
    return SABOT_OK;
}

static sabot_status user_source_poll(struct source *source, enum source_state *state, struct source_result *result,
                                     struct sabot_error *err) {
    *state = source->ended ? SOURCE_END : SOURCE_WAIT;
    result->wake_at_ns = INT64_MAX;
    if (source->ended || source->paused) { return SABOT_OK; }
    /* An array may have more rows than a batch. */
    SABOT_TRY(importer_next(source->importer, source->context.pool, source->context.batch_rows, &result->batch, err));
    if (!result->batch) {
        enum sabot_poll polled = SABOT_POLL_WAIT;
        struct ArrowArray rows = {0};
        SABOT_TRY(user_status(source->registered->source.poll(source->user_source, &polled, &rows, err),
                    &source->context, "poll", err));
        if (polled == SABOT_POLL_END) {
            source->ended = true;
            *state = SOURCE_END;
            return SABOT_OK;
        }
        result->wake_at_ns = env_now_ns(source->context.env) + WAIT_NS;
        if (polled == SABOT_POLL_WAIT || !rows.release) { return SABOT_OK; }
        SABOT_TRY(importer_put(source->importer, &rows, err));
        SABOT_TRY(
            importer_next(source->importer, source->context.pool, source->context.batch_rows, &result->batch, err));
        if (!result->batch) { return SABOT_OK; }
    }
    result->batch->created_ns = env_now_ns(source->context.env);
    result->split = 0;
    *state = SOURCE_BATCH;
    return SABOT_OK;
}

static int32_t user_source_n_splits(const struct source *source) {
    (void)source;
    return 1;
}

static void user_source_pause(struct source *source, int32_t split, bool paused) {
    (void)split;
    source->paused = paused;
}

static sabot_status user_source_position(struct source *source, int32_t split, struct text *position,
                                         struct sabot_error *err) {
    (void)split;
    if (!source->registered->source.position) { return SABOT_OK; }
    char bytes[POSITION_BYTES_MAX];
    size_t used = 0;
    SABOT_TRY(user_status(source->registered->source.position(source->user_source, bytes, sizeof bytes, &used, err),
                &source->context, "position", err));
    SABOT_TRY(bytes_check(&source->context, used, err));
    text_append(position, bytes, used);
    return position->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a position") : SABOT_OK;
}

static sabot_status user_source_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

/* --- sink */

struct sink {
    struct connector_context context;
    const struct registered_connector *registered;
    void *user_sink;
    struct schema *changes; /* of takes_changes; NULL: rows as they are */
};

static sabot_status user_sink_open(const struct connector_context *context, struct sink **out,
                                   struct sabot_error *err) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a sink"); }
    sink->context = *context;
    sink->registered = registered_of(context->table);
    struct told told;
    sabot_status status = told_init(&told, context, sink->registered->sink.takes_changes, err);
    if (status == SABOT_OK) {
        status = user_status(sink->registered->sink.open(sink->registered->user, &told.context,
                    &sink->user_sink, err), context, "open", err);
        told_clear(&told);
    }
    if (status == SABOT_OK && sink->registered->sink.takes_changes) {
        status = schema_with_row_kinds(context->table->schema, "row_kind", false, &sink->changes, err);
        if (status != SABOT_OK) { sink->registered->sink.close(sink->user_sink); }
    }
    if (status != SABOT_OK) {
        free(sink);
        return status;
    }
    *out = sink;
    return SABOT_OK;
}

static sabot_status user_sink_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    const struct sabot_sink_connector *user = &sink->registered->sink;
    if (!user->restore || sink->context.subtask != 0) { return SABOT_OK; }
    const struct column *column = pending->columns[0];
    for (int32_t i = 0; i < pending->selected; i++) {
        const struct string_view *bytes =
            (const struct string_view *)column->values + column_at(column, batch_row(pending, i));
        SABOT_TRY(user_status(user->restore(sink->user_sink, string_view_data(bytes), bytes->size, err),
                    &sink->context, "restore", err));
    }
    return SABOT_OK;
}

static sabot_status user_sink_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    *full = false;
    struct ArrowArray rows = {0};
    sabot_status status = SABOT_OK;
    if (sink->changes) {
        struct batch *plain = batch;
        batch = NULL;
        status = batch_with_row_kinds(sink->context.pool, plain, sink->changes, false, &batch, err);
        batch_unref(plain);
    }
    if (status == SABOT_OK) { status = batch_export(sink->context.pool, batch, &rows, err); }
    batch_unref(batch);
    if (status != SABOT_OK) { return status; }
    return user_status(sink->registered->sink.write(sink->user_sink, &rows, err), &sink->context, "write", err);
}

static sabot_status user_sink_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                      struct sabot_error *err) {
    *full = false;
    const struct sabot_sink_connector *user = &sink->registered->sink;
    if (!user->prepare) { return user->flush ? user_status(user->flush(sink->user_sink, err),
                &sink->context, "flush", err) : SABOT_OK; }
    char bytes[POSITION_BYTES_MAX];
    size_t used = 0;
    SABOT_TRY(user_status(user->prepare(sink->user_sink, checkpoint_id, bytes, sizeof bytes, &used, err),
                &sink->context, "prepare", err));
    SABOT_TRY(bytes_check(&sink->context, used, err));
    text_append(pending, bytes, used);
    return pending->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a pending commit") : SABOT_OK;
}

static sabot_status user_sink_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    const struct sabot_sink_connector *user = &sink->registered->sink;
    return user->commit ? user_status(user->commit(sink->user_sink, checkpoint_id, err),
                &sink->context, "commit", err) : SABOT_OK;
}

/* There are no checkpoints: what was written is committed at the end. */
static sabot_status user_sink_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    struct text unused = {0};
    const sabot_status status = user_sink_prepare(sink, INT64_MAX, &unused, full, err);
    text_clear(&unused);
    return status == SABOT_OK ? user_sink_commit(sink, INT64_MAX, err) : status;
}

static void user_sink_close(struct sink *sink) {
    schema_unref(sink->changes);
    sink->registered->sink.close(sink->user_sink);
    free(sink);
}

/* --- registering */

static sabot_status connector_fill(struct registered_connector *made, const struct sabot_source_connector *source,
                                   const struct sabot_sink_connector *sink, struct sabot_error *err) {
    SABOT_TRY(options_take(&made->source, sizeof made->source, source, source ? source->size : 0,
                           "sabot_source_connector", err));
    SABOT_TRY(options_take(&made->sink, sizeof made->sink, sink, sink ? sink->size : 0, "sabot_sink_connector", err));
    if ((!source && !sink) || (source && (!made->source.open || !made->source.poll || !made->source.close)) ||
        (sink && (!made->sink.open || !made->sink.write || !made->sink.close))) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "a source needs open, poll and close, a sink open, write and close");
    }
    const struct sabot_sink_connector *given = &made->sink;
    if (sink && (!given->prepare != !given->commit || !given->prepare != !given->restore)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "a sink has prepare, commit and restore, or none of them");
    }
    made->source_type = (struct source_type){
        .name = made->connector.name, .summary = "registered by the program", .options = any_option,
        .is_bounded = user_source_is_bounded, .open = user_source_open, .restore = user_source_restore,
        .poll = user_source_poll, .n_splits = user_source_n_splits, .split = user_source_split,
        .pause = user_source_pause, .position = user_source_position, .on_complete = user_source_on_complete,
        .close = user_source_close};
    made->sink_type = (struct sink_type){
        .name = made->connector.name, .summary = "registered by the program", .options = any_option,
        .accepts = SINK_INSERTS | (given->takes_changes ? SINK_RETRACTS : 0u), .open = user_sink_open,
                    .restore = user_sink_restore, .write = user_sink_write,
        .prepare = user_sink_prepare, .commit = user_sink_commit, .finish = user_sink_finish,
        .close = user_sink_close};
    made->connector.source = source ? &made->source_type : NULL;
    made->connector.sink = sink ? &made->sink_type : NULL;
    return connector_register(&made->connector, err);
}

sabot_status sabot_register_connector(const char *name, const struct sabot_source_connector *source,
                                      const struct sabot_sink_connector *sink, void *user, struct sabot_error *err) {
    if (!name || !name[0]) { return SABOT_FAIL(err, SABOT_ERR_USAGE, "a connector needs a name"); }
    struct registered_connector *made = calloc(1, sizeof *made);
    char *copy = strdup(name);
    if (!made || !copy) {
        free(made);
        free(copy);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a connector");
    }
    made->connector.name = copy;
    made->user = user;
    const sabot_status status = connector_fill(made, source, sink, err);
    if (status != SABOT_OK) {
        free(copy);
        free(made);
    }
    return status;
}
