/* Barriers that overtake rows, and the return of these rows. */
#include "runtime/overtake.h"

#include "checkpoint/restore.h"
#include "runtime/job_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define STATE_NAME "in-flight.%d" /* of an edge */
#define N_EXTRA 2                 /* columns of such a state before those of the rows */

sabot_status overtake_init(struct task *task, struct sabot_error *err) {
    task->overtake = (struct overtake){.id = BARRIER_NONE, .told = BARRIER_NONE};
    task->overtake.closed = calloc((size_t)task->aligner.n_channels + 1, sizeof *task->overtake.closed);
    return task->overtake.closed ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a task");
}

void overtake_abort(struct task *task) {
    struct overtake *overtake = &task->overtake;
    for (int32_t i = 0; i < overtake->n_items; i++) { batch_unref(overtake->items[i].batch); }
    overtake->n_items = 0;
    if (overtake->taken && task->snapshot) { task_snapshot_release(task->snapshot); }
    overtake->taken = false;
    overtake->id = BARRIER_NONE;
}

void overtake_clear(struct task *task) {
    struct overtake *overtake = &task->overtake;
    overtake_abort(task);
    for (int32_t i = overtake->next_restored; i < overtake->n_restored; i++) {
        batch_unref(overtake->restored[i].batch);
    }
    free(overtake->restored);
    free(overtake->items);
    free(overtake->closed);
    *overtake = (struct overtake){.id = BARRIER_NONE};
}

static void announce(struct task *task, int64_t id) {
    for (int32_t i = 0; i < task->n_outs; i++) { exchange_announce(&task->outs[i], id); }
}

sabot_status overtake_begin(struct task *task, int64_t checkpoint_id, int64_t timestamp_ms, struct sabot_error *err) {
    (void)err;
    struct overtake *overtake = &task->overtake;
    overtake->told = checkpoint_id;
    if (task->barrier_passed == checkpoint_id) { announce(task, checkpoint_id); }
    if (task->is_source || task->aligner.over >= checkpoint_id) { return SABOT_OK; }
    overtake_abort(task);
    overtake->id = checkpoint_id;
    overtake->n_closed = 0;
    const bool begun = task->aligner.checkpoint_id == checkpoint_id;
    for (int32_t i = 0; i < task->n_inputs; i++) {
        overtake->closed[i] = begun && barrier_blocks(&task->aligner, i);
        overtake->n_closed += overtake->closed[i];
    }
    barrier_overtake(&task->aligner, checkpoint_id);
    task->barrier_id = checkpoint_id;
    task->barrier_timestamp_ms = timestamp_ms;
    task->barrier_at = 0;
    task->barrier_entered = false;
    return SABOT_OK;
}

static sabot_status add(struct overtake *overtake, int32_t input, struct batch *batch, struct sabot_error *err) {
    if (overtake->n_items == overtake->capacity) {
        const int32_t capacity = overtake->capacity ? overtake->capacity * 2 : 64;
        struct overtaken *grown = realloc(overtake->items, (size_t)capacity * sizeof *grown);
        if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the rows that a barrier overtakes"); }
        overtake->items = grown;
        overtake->capacity = capacity;
    }
    overtake->items[overtake->n_items++] = (struct overtaken){.batch = batch_ref(batch), .input = input};
    return SABOT_OK;
}

sabot_status overtake_record(struct task *task, int32_t input, struct batch *batch, struct sabot_error *err) {
    return add(&task->overtake, input, batch, err);
}

static void input_close(struct overtake *overtake, int32_t input) {
    overtake->n_closed += !overtake->closed[input];
    overtake->closed[input] = true;
}

void overtake_barrier(struct task *task, int32_t input, int64_t checkpoint_id) {
    if (task->overtake.id == checkpoint_id && task->overtake.taken) { input_close(&task->overtake, input); }
}

sabot_status overtake_snapshot(struct task *task, struct sabot_error *err) {
    struct overtake *overtake = &task->overtake;
    announce(task, overtake->id);
    if (!task->snapshot) { /* nobody wants it any more, or it has failed */
        overtake_abort(task);
        return SABOT_OK;
    }
    overtake->taken = true;
    for (int32_t i = overtake->next_restored; i < overtake->n_restored; i++) {
        SABOT_TRY(add(overtake, overtake->restored[i].input, overtake->restored[i].batch, err));
    }
    return overtake_go_on(task, err);
}

/* --- the rows as state: a list for each edge, with who was to get a row and its kind in front */

static sabot_status state_schema(const struct schema *rows, struct schema **out, struct sabot_error *err) {
    struct field *fields = malloc((size_t)(rows->n_fields + N_EXTRA) * sizeof *fields);
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a schema"); }
    fields[0] = (struct field){"$subtask", type_not_null(type_of(TYPE_INT32))};
    fields[1] = (struct field){"$row_kind", type_not_null(type_of(TYPE_INT32))};
    for (int32_t i = 0; i < rows->n_fields; i++) { fields[i + N_EXTRA] = rows->fields[i]; }
    const sabot_status status = schema_new(fields, rows->n_fields + N_EXTRA, out, err);
    free(fields);
    return status;
}

static struct schema *edge_schema(const struct task *task, int32_t edge) {
    const struct job_vertex *from = &task->job->graph->vertices[task->vertex->edges[edge].from];
    return from->ops[from->n_ops - 1]->output;
}

/* Flat rows with the columns that stand in front. */
static sabot_status with_extra(const struct task *task, struct batch *rows, struct schema *schema, struct batch **out,
                               struct sabot_error *err) {
    struct memory_pool *pool = task->ops[0].pool;
    const int32_t n = rows->rows;
    struct column **columns = calloc((size_t)rows->n_columns + N_EXTRA, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a snapshot"); }
    struct column_builder builder = {0};
    sabot_status status = column_constant(pool, PHYS_I32, &task->subtask, n, &columns[0], err);
    if (status == SABOT_OK) { status = column_builder_init(&builder, pool, PHYS_I32, n, false, err); }
    if (status == SABOT_OK) {
        for (int32_t i = 0; i < n; i++) { ((int32_t *)builder.values)[i] = rows->row_kinds ? rows->row_kinds[i] : 0; }
        status = column_builder_finish(&builder, &columns[1], err);
    }
    column_builder_clear(&builder);
    if (status == SABOT_OK) {
        for (int32_t i = 0; i < rows->n_columns; i++) { columns[i + N_EXTRA] = column_ref(rows->columns[i]); }
        struct batch *whole = NULL;
        status = batch_new(schema, columns, rows->n_columns + N_EXTRA, n, &whole, err);
        if (status == SABOT_OK) { status = batch_compact(pool, whole, out, err); }
        batch_unref(whole);
    } else {
        column_unref(columns[0]);
        column_unref(columns[1]);
    }
    free(columns);
    return status;
}

/* *rows stays NULL where none was overtaken. */
static sabot_status edge_rows(const struct task *task, int32_t edge, struct batch **list, struct schema **schema,
                              struct batch **rows, struct sabot_error *err) {
    const struct overtake *overtake = &task->overtake;
    int32_t n = 0;
    for (int32_t input = 0; input < task->n_inputs; input++) { /* rows of a channel stay in order */
        for (int32_t i = 0; i < overtake->n_items && task->inputs[input].edge == edge; i++) {
            if (overtake->items[i].input == input) { list[n++] = overtake->items[i].batch; }
        }
    }
    if (n == 0) { return SABOT_OK; }
    BATCH_OWNED struct batch *plain = NULL;
    SABOT_TRY(batch_concat(task->ops[0].pool, list, n, &plain, err));
    SABOT_TRY(state_schema(plain->schema, schema, err));
    return with_extra(task, plain, *schema, rows, err);
}

static sabot_status edge_snapshot(struct task *task, int32_t edge, struct batch **list, struct sabot_error *err) {
    char name[64];
    snprintf(name, sizeof name, STATE_NAME, edge);
    struct schema *schema = NULL;
    struct batch *rows = NULL;
    sabot_status status = edge_rows(task, edge, list, &schema, &rows, err);
    if (status == SABOT_OK && rows) { status = task_snapshot_add(task->snapshot, 0, name, schema, rows, err); }
    schema_unref(schema);
    return status;
}

/* Everything is known: what was overtaken goes into the snapshot, which waits for nothing more. */
static sabot_status finish(struct task *task, struct sabot_error *err) {
    struct overtake *overtake = &task->overtake;
    struct batch **list = malloc((size_t)(overtake->n_items + 1) * sizeof(struct batch *));
    sabot_status status = list ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a snapshot");
    for (int32_t e = 0; e < task->vertex->n_edges && status == SABOT_OK; e++) {
        status = edge_snapshot(task, e, list, err);
    }
    free(list);
    SABOT_TRY(status);
    atomic_fetch_add_explicit(&task->job->batches_overtaken, overtake->n_items, memory_order_relaxed);
    overtake_abort(task); /* what it held is in the snapshot now */
    return SABOT_OK;
}

sabot_status overtake_go_on(struct task *task, struct sabot_error *err) {
    struct overtake *overtake = &task->overtake;
    for (int32_t i = 0; i < task->n_inputs; i++) {
        if (overtake->closed[i]) { continue; }
        struct batch *rows[CHANNEL_LOOK_MAX];
        for (int32_t first = 0;;) {
            bool found;
            const int32_t n = channel_look(task->inputs[i].channel, overtake->id, &first, rows, &found);
            if (!found) { break; }
            for (int32_t k = 0; k < n; k++) { SABOT_TRY(add(overtake, i, rows[k], err)); }
            if (first < 0) {
                input_close(overtake, i);
                break;
            }
        }
    }
    return overtake->n_closed == task->n_inputs ? finish(task, err) : SABOT_OK;
}

/* --- restore */

static bool is_mine(const struct task *task, const struct job_edge *edge, int32_t was, uint64_t hash) {
    const int32_t parallelism = task->vertex->parallelism;
    if (edge->exchange != EXCHANGE_HASH) { return was % parallelism == task->subtask; }
    const int32_t groups = task->job->options.max_parallelism;
    return key_group_owner(key_group_of(hash, groups), groups, parallelism) == task->subtask;
}

/* Rows at[0..n) of the state as a batch for the chain. */
static sabot_status slice(struct task *task, const struct job_edge *edge, struct schema *schema,
                          const struct batch *rows, const int32_t *at, int32_t n, struct batch **out,
                          struct sabot_error *err) {
    struct memory_pool *pool = task->ops[0].pool;
    BATCH_OWNED struct batch *part = NULL;
    SABOT_TRY(batch_take(pool, rows, at, n, &part, err));
    struct column **columns = calloc((size_t)schema->n_fields + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to restore rows in flight"); }
    for (int32_t i = 0; i < schema->n_fields; i++) { columns[i] = column_ref(part->columns[i + N_EXTRA]); }
    sabot_status status = batch_new(schema, columns, schema->n_fields, n, out, err);
    free(columns);
    SABOT_TRY(status);
    const int32_t *kinds = part->columns[1]->values;
    bool inserts = true;
    for (int32_t i = 0; i < n; i++) { inserts &= kinds[i] == ROW_INSERT; }
    if (!inserts) {
        status = buffer_new(pool, (size_t)n, &(*out)->row_kinds_buffer, err);
        for (int32_t i = 0; status == SABOT_OK && i < n; i++) {
            (*out)->row_kinds_buffer->data[i] = (uint8_t)kinds[i];
        }
        if (status == SABOT_OK) { (*out)->row_kinds = (const uint8_t *)(*out)->row_kinds_buffer->data; }
    }
    if (status == SABOT_OK && edge->exchange == EXCHANGE_HASH) {
        status = batch_cache_hashes(pool, *out, edge->keys, edge->n_keys, err);
    }
    return status;
}

static sabot_status queue(struct task *task, int32_t edge, struct batch *batch, struct sabot_error *err) {
    struct overtake *overtake = &task->overtake;
    int32_t input = 0;
    while (task->inputs[input].edge != edge) { input++; }
    struct overtaken *grown = realloc(overtake->restored, (size_t)(overtake->n_restored + 1) * sizeof *grown);
    if (!grown) {
        batch_unref(batch);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to restore rows in flight");
    }
    overtake->restored = grown;
    overtake->restored[overtake->n_restored++] = (struct overtaken){.batch = batch, .input = input};
    return SABOT_OK;
}

static sabot_status rows_queue(struct task *task, int32_t e, struct batch *rows, struct sabot_error *err) {
    const struct job_edge *edge = &task->vertex->edges[e];
    struct schema *schema = edge_schema(task, e);
    struct buffer *hashes = NULL;
    if (edge->exchange == EXCHANGE_HASH) {
        int32_t *keys = malloc((size_t)(edge->n_keys + 1) * sizeof *keys);
        if (!keys) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to restore rows in flight"); }
        for (int32_t k = 0; k < edge->n_keys; k++) { keys[k] = edge->keys[k] + N_EXTRA; }
        const sabot_status hashed = batch_hash(task->ops[0].pool, rows, keys, edge->n_keys, &hashes, err);
        free(keys);
        SABOT_TRY(hashed);
    }
    const int32_t rows_max = task->job->options.batch_rows;
    int32_t *at = malloc((size_t)rows_max * sizeof *at);
    sabot_status status = at ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to restore rows in flight");
    const struct column *was = rows->columns[0];
    int32_t n = 0;
    for (int32_t i = 0; i <= rows->selected && status == SABOT_OK; i++) {
        if (n == rows_max || (i == rows->selected && n > 0)) {
            struct batch *part = NULL;
            status = slice(task, edge, schema, rows, at, n, &part, err);
            if (status == SABOT_OK) {
                status = queue(task, e, part, err);
            } else {
                batch_unref(part);
            }
            n = 0;
        }
        if (i == rows->selected || status != SABOT_OK) { break; }
        const int32_t row = batch_row(rows, i);
        const uint64_t hash = hashes ? ((const uint64_t *)(const void *)hashes->data)[row] : 0;
        if (is_mine(task, edge, ((const int32_t *)was->values)[column_at(was, row)], hash)) { at[n++] = row; }
    }
    free(at);
    buffer_unref(hashes);
    return status;
}

/* Without keys nothing says which task the later changes of a row will go to. */
static sabot_status rescale_check(const struct task *task, const struct job_edge *edge,
                                  const struct manifest_file *file, const struct batch *rows,
                                  struct sabot_error *err) {
    const int32_t parallelism = task->vertex->parallelism; /* one task gets them all */
    if (edge->exchange == EXCHANGE_HASH || parallelism == file->parallelism || parallelism == 1) { return SABOT_OK; }
    const struct column *kinds = rows->columns[1];
    for (int32_t i = 0; i < rows->selected; i++) {
        const int32_t row = batch_row(rows, i);
        if (((const int32_t *)kinds->values)[column_at(kinds, row)] == ROW_INSERT) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_STATE, "the checkpoint has changes in flight that belong to one of %d tasks, "
                          "and this job has %d there: restore it at parallelism %d or 1, or from a savepoint",
                          file->parallelism, parallelism, file->parallelism);
    }
    return SABOT_OK;
}

sabot_status overtake_restore(struct task *task, struct restore *restore, struct sabot_error *err) {
    const struct manifest *manifest = restore_manifest(restore);
    for (int32_t e = 0; e < task->vertex->n_edges; e++) {
        char name[64];
        snprintf(name, sizeof name, STATE_NAME, e);
        const struct manifest_file *file = NULL;
        for (int32_t f = 0; f < manifest->n_files && !file; f++) {
            const bool is = strcmp(manifest->files[f].uid, task->ops[0].spec->uid) == 0 &&
                            strcmp(manifest->files[f].state, name) == 0;
            if (is) { file = &manifest->files[f]; }
        }
        if (!file) { continue; }
        struct schema *schema;
        SABOT_TRY(state_schema(edge_schema(task, e), &schema, err));
        const struct state_spec spec = {.name = name, .kind = STATE_LIST, .schema = schema};
        struct state_table *table;
        sabot_status status = state_table_open(task->ops[0].state, &spec, &table, err);
        struct batch *rows = status == SABOT_OK ? state_list_rows(table) : NULL;
        if (rows) { status = rescale_check(task, &task->vertex->edges[e], file, rows, err); }
        if (status == SABOT_OK && rows) { status = rows_queue(task, e, rows, err); }
        if (status == SABOT_OK) { status = state_list_replace(table, NULL, err); }
        schema_unref(schema);
        SABOT_TRY(status);
    }
    return SABOT_OK;
}
