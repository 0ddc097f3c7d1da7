/* The connector 'savepoint': the rows of a state table as they were at a barrier.
 *
 * A subtask of the source reads what some of the subtasks that wrote the state had, one at a time, on a helper thread;
 * so one subtask's rows of the table are held in memory. */
#include "engine/savepoint.h"

#include "checkpoint/restore.h"
#include "connect/connector.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct connector_option savepoint_options[] = {
    {"path", OPTION_STRING, OPTION_REQUIRED, NULL, "a checkpoint, a savepoint, or a folder with checkpoints (newest); "
                                                   "of a sink: the new savepoint"},
    {"operator", OPTION_STRING, OPTION_REQUIRED, NULL, "uid of the operator, as `sabot checkpoints show` prints it"},
    {"state", OPTION_STRING, OPTION_REQUIRED, NULL, "name of the state"},
    {"base", OPTION_STRING, NULL, NULL, "of a sink: the checkpoint or savepoint that the new one is made from"},
    {"mode", OPTION_ENUM, "replace", "replace|add", "of a sink: in place of the base's rows or beside them"},
    {"keys", OPTION_INT, NULL, NULL, "of a sink, for a state that the base does not have: how many of its columns are "
                                     "keys; 0 makes it a list"},
    {0},
};

struct source {
    struct connector_context context;
    struct restore *restore;
    const char *uid, *state;
    int32_t n_parts;  /* subtasks that had such an operator: the splits of all instances */
    int32_t part;     /* that is being given out, in steps of the parallelism */
    int64_t given, skip; /* batches of it */
    struct batch **batches; /* of the part */
    int32_t n_batches, capacity;
    bool loaded;
    _Atomic int loading; /* LOADING_* */
    struct sabot_error error;
    _Atomic int32_t refs; /* the source and its helper */
};
enum { LOADING_NO, LOADING_YES, LOADING_DONE };

static bool savepoint_is_bounded(const struct connector_table *table) {
    (void)table;
    return true;
}

/* --- schema */

static sabot_status savepoint_schema(const struct connector_table *table, struct schema **out,
                                     struct sabot_error *err) {
    *out = NULL;
    const struct connector_option *tables[] = {savepoint_options};
    SABOT_TRY(options_check(table, tables, 1, err));
    struct memory_pool pool;
    memory_pool_init(&pool, "savepoint", NULL, INT64_MAX);
    struct store *store = NULL;
    struct restore *restore = NULL;
    sabot_status result = store_new(env_real(), NULL, 0, &store, err);
    /* a sink's columns are those of what it changes */
    const char *base = option_text(table, savepoint_options, "base");
    const char *path = base ? base : option_text(table, savepoint_options, "path");
    if (result == SABOT_OK) { result = restore_open(store, path, &pool, &restore, err); }
    if (result != SABOT_OK) {
        store_free(store);
        return result;
    }
    const char *uid = option_text(table, savepoint_options, "operator");
    const char *state = option_text(table, savepoint_options, "state");
    result = restore_schema(restore, uid, state, out, err);
    if (result == SABOT_OK && !*out) {
        result = SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "%s has no rows of state '%s' of operator '%s'; `sabot "
                            "checkpoints show` lists what it has", restore_path(restore), state, uid);
    }
    restore_close(restore);
    store_free(store);
    return result;
}

/* --- reading */

static void batches_clear(struct source *source) {
    for (int32_t i = 0; i < source->n_batches; i++) { batch_unref(source->batches[i]); }
    source->n_batches = 0;
}

static void source_drop(struct source *source) {
    if (atomic_fetch_sub(&source->refs, 1) != 1) { return; }
    batches_clear(source);
    free(source->batches);
    restore_close(source->restore);
    free(source);
}

static sabot_status take_batch(void *arg, struct batch *rows, struct sabot_error *err) {
    struct source *source = arg;
    if (source->n_batches == source->capacity) {
        const int32_t capacity = source->capacity ? source->capacity * 2 : 16;
        struct batch **grown = realloc(source->batches, (size_t)capacity * sizeof(struct batch *));
        if (!grown) {
            batch_unref(rows);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to read state");
        }
        source->batches = grown;
        source->capacity = capacity;
    }
    source->batches[source->n_batches++] = rows;
    return SABOT_OK;
}

static void load_main(void *arg) {
    struct source *source = arg;
    restore_read(source->restore, source->uid, source->state, source->part, take_batch, source, &source->error);
    void (*wake)(void *) = source->context.wake;
    void *wake_arg = source->context.wake_arg;
    atomic_store(&source->loading, LOADING_DONE);
    /* close() waits for this helper, so the task is still there */
    if (wake) { wake(wake_arg); }
    source_drop(source);
}

static sabot_status savepoint_open(const struct connector_context *context, struct source **out,
                                   struct sabot_error *err) {
    const struct connector_option *tables[] = {savepoint_options};
    SABOT_TRY(options_check(context->table, tables, 1, err));
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a source"); }
    atomic_init(&source->refs, 1);
    source->context = *context;
    source->uid = option_text(context->table, savepoint_options, "operator");
    source->state = option_text(context->table, savepoint_options, "state");
    source->part = context->subtask;
    const char *path = option_text(context->table, savepoint_options, "path");
    const sabot_status status = restore_open(context->store, path, context->pool, &source->restore, err);
    if (status != SABOT_OK) {
        source_drop(source);
        return status;
    }
    const struct manifest *manifest = restore_manifest(source->restore);
    for (int32_t i = 0; i < manifest->n_operators; i++) {
        const struct manifest_operator *item = &manifest->operators[i];
        if (strcmp(item->uid, source->uid) == 0) { source->n_parts = item->parallelism; }
    }
    *out = source;
    return SABOT_OK;
}

/* The columns that the plan asks for, by name. */
static sabot_status project(const struct source *source, const struct batch *from, struct batch **out,
                            struct sabot_error *err) {
    struct schema *wanted = source->context.table->schema;
    struct column **columns = calloc((size_t)wanted->n_fields + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for %d columns", wanted->n_fields); }
    sabot_status status = SABOT_OK;
    int32_t n = 0;
    for (; n < wanted->n_fields && status == SABOT_OK; n++) {
        const int32_t at = schema_find(from->schema, wanted->fields[n].name);
        if (at < 0 || from->columns[at]->phys != type_phys(wanted->fields[n].type)) {
            status = SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the state has no column %s of this type: declare "
                                "no columns, then the table has those of the state", source->context.table->name,
                                wanted->fields[n].name);
            break;
        }
        columns[n] = column_ref(from->columns[at]);
    }
    if (status == SABOT_OK) {
        status = batch_with_columns(from, wanted, columns, wanted->n_fields, out, err);
    } else {
        for (int32_t i = 0; i < n; i++) { column_unref(columns[i]); }
    }
    free(columns);
    return status;
}

static sabot_status savepoint_poll(struct source *source, enum source_state *state, struct source_result *result,
                                   struct sabot_error *err) {
    *state = SOURCE_WAIT;
    for (;;) {
        if (source->part >= source->n_parts) {
            *state = SOURCE_END;
            return SABOT_OK;
        }
        if (!source->loaded) {
            const int loading = atomic_load(&source->loading);
            if (loading == LOADING_YES) { return SABOT_OK; }
            if (loading == LOADING_NO) {
                atomic_store(&source->loading, LOADING_YES);
                atomic_fetch_add(&source->refs, 1);
                const sabot_status status = env_offload(source->context.env, load_main, source, err);
                if (status != SABOT_OK) { atomic_fetch_sub(&source->refs, 1); }
                return status;
            }
            if (source->error.status != SABOT_OK) {
                if (err && err->status == SABOT_OK) { *err = source->error; }
                return source->error.status;
            }
            atomic_store(&source->loading, LOADING_NO);
            source->loaded = true;
            source->given = source->skip;
            source->skip = 0;
        }
        if (source->given < source->n_batches) {
            struct batch **next = &source->batches[source->given++];
            const sabot_status status = project(source, *next, &result->batch, err);
            batch_unref(*next);
            *next = NULL;
            SABOT_TRY(status);
            result->batch->created_ns = env_now_ns(source->context.env);
            result->split = 0;
            *state = SOURCE_BATCH;
            return SABOT_OK;
        }
        batches_clear(source);
        source->loaded = false;
        source->given = 0;
        source->part += source->context.parallelism;
    }
}

/* --- positions: part and batches given of it; only at the same parallelism */

static int32_t savepoint_n_splits(const struct source *source) {
    (void)source;
    return 1;
}

static void savepoint_split(const struct source *source, int32_t i, struct source_split *out) {
    (void)i;
    snprintf(out->id, sizeof out->id, "part-%d-of-%d", source->context.subtask, source->context.parallelism);
    out->finished = source->part >= source->n_parts;
}

static sabot_status savepoint_position(struct source *source, int32_t split, struct text *position,
                                       struct sabot_error *err) {
    (void)split;
    /* one of them is 0: what a restore skips is given only when the part has been read */
    const int64_t at[2] = {source->part, source->given + source->skip};
    text_append(position, (const char *)at, sizeof at);
    return position->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a position") : SABOT_OK;
}

static sabot_status savepoint_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    struct source_split mine;
    savepoint_split(source, 0, &mine);
    for (int32_t i = 0; positions && i < positions->selected; i++) {
        const int32_t row = batch_row(positions, i);
        const struct string_view *id =
            (const struct string_view *)positions->columns[0]->values + column_at(positions->columns[0], row);
        const struct string_view *at =
            (const struct string_view *)positions->columns[1]->values + column_at(positions->columns[1], row);
        if (id->size != strlen(mine.id) || memcmp(string_view_data(id), mine.id, id->size) != 0) { continue; }
        int64_t position[2];
        if (at->size != sizeof position) { continue; }
        memcpy(position, string_view_data(at), sizeof position);
        source->part = (int32_t)position[0];
        source->skip = position[1];
        return SABOT_OK;
    }
    if (!positions || positions->selected == 0) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "table \"%s\" reads a savepoint, and can go on only at the parallelism "
                      "that it was begun with", source->context.table->name);
}

static void savepoint_pause(struct source *source, int32_t split, bool paused) {
    (void)source, (void)split, (void)paused;
}

static sabot_status savepoint_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

static void savepoint_close(struct source *source) {
    /* the helper reads into this source's pool and wakes its task */
    while (atomic_load(&source->refs) > 1) { env_sleep_ns(source->context.env, 100000); }
    source_drop(source);
}

static const struct source_type savepoint_source = {
    .name = "savepoint",
    .summary = "state of a checkpoint or savepoint",
    .options = savepoint_options,
    .is_bounded = savepoint_is_bounded,
    .schema = savepoint_schema,
    .open = savepoint_open,
    .restore = savepoint_restore,
    .poll = savepoint_poll,
    .n_splits = savepoint_n_splits,
    .split = savepoint_split,
    .pause = savepoint_pause,
    .position = savepoint_position,
    .on_complete = savepoint_on_complete,
    .close = savepoint_close,
};
static const struct connector savepoint_connector = {.name = "savepoint", .source = &savepoint_source,
                                                    .sink = &savepoint_sink};

sabot_status savepoint_register(struct sabot_error *err) {
    static _Atomic bool begun;
    return atomic_exchange(&begun, true) ? SABOT_OK : connector_register(&savepoint_connector, err);
}

/* --- statements */

void savepoint_table_name(const char *uid, const char *state, char *target, size_t size) {
    snprintf(target, size, "%s_%s", uid, state);
    for (char *at = target; *at; at++) {
        const bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');
        if (!plain) { *at = '_'; }
    }
}

static void add_literal(struct text *sql, const char *value) {
    text_add(sql, "'");
    for (const char *at = value; *at; at++) {
        text_append(sql, *at == '\'' ? "''" : at, *at == '\'' ? 2 : 1);
    }
    text_add(sql, "'");
}

sabot_status savepoint_tables_sql(struct store *store, const char *path, struct text *sql, struct sabot_error *err) {
    struct memory_pool pool;
    memory_pool_init(&pool, "savepoint", NULL, INT64_MAX);
    struct restore *restore;
    SABOT_TRY(restore_open(store, path, &pool, &restore, err));
    struct restore_table *tables;
    int32_t n;
    const sabot_status status = restore_tables(restore, &tables, &n, err);
    for (int32_t i = 0; status == SABOT_OK && i < n; i++) {
        char name[512];
        savepoint_table_name(tables[i].uid, tables[i].state, name, sizeof name);
        text_format(sql, "CREATE TABLE `%s` WITH ('connector' = 'savepoint', 'path' = ", name);
        add_literal(sql, restore_path(restore));
        text_add(sql, ", 'operator' = ");
        add_literal(sql, tables[i].uid);
        text_add(sql, ", 'state' = ");
        add_literal(sql, tables[i].state);
        text_add(sql, ");\n");
    }
    if (status == SABOT_OK) { free(tables); }
    restore_close(restore);
    return status;
}
