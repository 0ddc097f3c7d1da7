/* Small operators for tests of the runtime. */
#include "tests/util/test_ops.h"

#include "ops/source.h"
#include "state/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

struct test_row test_stream_row(const struct test_stream *stream, int32_t split, int64_t i) {
    const uint64_t z = mix((uint64_t)split * 1000003u + (uint64_t)i * 7919u + 1);
    const int64_t back = stream->disorder_ms > 0 ? (int64_t)((z >> 20) % (uint64_t)(stream->disorder_ms + 1)) : 0;
    return (struct test_row){
        .key = (int64_t)(z % (uint64_t)stream->keys),
        .ts_ms = i * stream->step_ms + stream->disorder_ms - back,
        .value = (int64_t)(z >> 40) % 1000,
    };
}

static struct schema *schema_of(const char *const *names, int32_t n) {
    struct field fields[4];
    for (int32_t i = 0; i < n; i++) {
        const bool time = strcmp(names[i], "ts") == 0;
        fields[i] = (struct field){names[i], type_not_null(time ? type_timestamp(3) : type_of(TYPE_INT64))};
    }
    struct schema *schema = NULL;
    if (schema_new(fields, n, &schema, NULL) != SABOT_OK) { abort(); }
    return schema;
}
struct schema *test_stream_schema(void) { return schema_of((const char *const[]){"key", "ts", "value"}, 3); }
struct schema *test_result_schema(void) {
    return schema_of((const char *const[]){"key", "window_end", "sum", "count"}, 4);
}

static sabot_status batch_of(struct memory_pool *pool, struct schema *schema, int64_t *const *values, int32_t rows,
                             struct batch **out, struct sabot_error *err) {
    struct column *columns[4] = {0};
    for (int32_t c = 0; c < schema->n_fields; c++) {
        struct column_builder builder;
        SABOT_TRY(column_builder_init(&builder, pool, PHYS_I64, rows, false, err));
        if (rows > 0) { memcpy(builder.values, values[c], (size_t)rows * sizeof(int64_t)); }
        SABOT_TRY(column_builder_finish(&builder, &columns[c], err));
    }
    return batch_new(schema, columns, schema->n_fields, rows, out, err);
}

/* --- source: split s belongs to subtask s % parallelism */

struct test_source {
    struct source_op base;
    struct op_context context;
    const struct test_stream *stream;
    struct state_table *positions;
    int64_t *at;         /* per split of the job; -1: not ours */
    int64_t *watermarks;
    int32_t next;
    int64_t watermark_ms;
};

static sabot_status source_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    struct test_source *self = calloc(1, sizeof *self);
    self->base.op = (struct op){.type = &test_source_op, .busy = true};
    self->base.wake_at_ns = INT64_MAX;
    self->context = *context;
    self->stream = context->spec->options;
    self->at = calloc((size_t)self->stream->splits, sizeof *self->at);
    self->watermarks = calloc((size_t)self->stream->splits, sizeof *self->watermarks);
    self->watermark_ms = WATERMARK_NONE;
    *out = &self->base.op;
    struct schema *schema = schema_of((const char *const[]){"split", "position"}, 2);
    const struct state_spec spec = {.name = "positions", .kind = STATE_LIST, .schema = schema};
    const sabot_status status = state_table_open(context->state, &spec, &self->positions, err);
    schema_unref(schema);
    SABOT_TRY(status);
    for (int32_t s = 0; s < self->stream->splits; s++) {
        self->at[s] = s % context->parallelism == context->subtask ? 0 : -1;
        self->watermarks[s] = WATERMARK_NONE;
    }
    const struct batch *rows = state_list_rows(self->positions);
    for (int32_t i = 0; rows && i < rows->selected; i++) {
        const int32_t row = batch_row(rows, i);
        const int64_t split = ((const int64_t *)rows->columns[0]->values)[column_at(rows->columns[0], row)];
        const int64_t position = ((const int64_t *)rows->columns[1]->values)[column_at(rows->columns[1], row)];
        if (self->at[split] >= 0) { self->at[split] = position; }
    }
    return SABOT_OK;
}

static void source_close(struct op *op) {
    struct test_source *self = (struct test_source *)op;
    free(self->at);
    free(self->watermarks);
    free(self);
}

/* The next split of ours that has rows left; -1: none. */
static int32_t source_next(struct test_source *self) {
    for (int32_t i = 0; i < self->stream->splits; i++) {
        const int32_t split = (self->next + i) % self->stream->splits;
        if (self->at[split] >= 0 && self->at[split] < self->stream->rows) {
            self->next = split + 1;
            return split;
        }
    }
    return -1;
}

static int64_t source_watermark(const struct test_source *self) {
    int64_t watermark = INT64_MAX;
    for (int32_t s = 0; s < self->stream->splits; s++) {
        if (self->at[s] < 0 || self->at[s] >= self->stream->rows) { continue; }
        watermark = self->watermarks[s] < watermark ? self->watermarks[s] : watermark;
    }
    return watermark;
}

static sabot_status source_give(struct test_source *self, int32_t split, struct op_out *out, struct sabot_error *err) {
    const struct test_stream *stream = self->stream;
    int64_t n = stream->batch_rows;
    if (env_is_simulated(self->context.env)) { n = 1 + (int64_t)(env_random(self->context.env) % (uint64_t)n); }
    if (n > stream->rows - self->at[split]) { n = stream->rows - self->at[split]; }
    if (stream->fail_at > 0 && self->at[split] + n > stream->fail_at) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "split %d broke", split);
    }
    int64_t *values[3];
    for (int32_t c = 0; c < 3; c++) { values[c] = malloc((size_t)n * sizeof(int64_t)); }
    for (int64_t i = 0; i < n; i++) {
        const struct test_row row = test_stream_row(stream, split, self->at[split] + i);
        values[0][i] = row.key;
        values[1][i] = row.ts_ms;
        values[2][i] = row.value;
        const int64_t watermark = row.ts_ms - stream->disorder_ms - 1 + stream->eager_ms;
        if (watermark > self->watermarks[split]) { self->watermarks[split] = watermark; }
    }
    struct batch *batch = NULL;
    const sabot_status status =
        batch_of(self->context.pool, self->context.spec->output, values, (int32_t)n, &batch, err);
    for (int32_t c = 0; c < 3; c++) { free(values[c]); }
    SABOT_TRY(status);
    batch->created_ns = env_now_ns(self->context.env);
    self->at[split] += n;
    return out_emit(out, batch, err);
}

static sabot_status source_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct test_source *self = (struct test_source *)op;
    const int32_t split = source_next(self);
    if (split < 0) {
        op->busy = false;
        self->base.ended = true;
        SABOT_TRY(out->watermark(out, WATERMARK_END, err));
        return out->end(out, err);
    }
    SABOT_TRY(source_give(self, split, out, err));
    const int64_t watermark = source_watermark(self);
    if (watermark != INT64_MAX && watermark > self->watermark_ms) {
        self->watermark_ms = watermark;
        SABOT_TRY(out->watermark(out, watermark, err));
    }
    op->busy = self->stream->pause_ns == 0;
    self->base.wake_at_ns = op->busy ? INT64_MAX : env_now_ns(self->context.env) + self->stream->pause_ns;
    return SABOT_OK;
}

static sabot_status source_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                          struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct test_source *self = (struct test_source *)op;
    int64_t splits[64], positions[64];
    int32_t n = 0;
    for (int32_t s = 0; s < self->stream->splits; s++) {
        if (self->at[s] < 0) { continue; }
        splits[n] = s;
        positions[n++] = self->at[s];
    }
    struct schema *schema = schema_of((const char *const[]){"split", "position"}, 2);
    struct batch *rows = NULL;
    const sabot_status status =
        batch_of(self->context.pool, schema, (int64_t *const[]){splits, positions}, n, &rows, err);
    schema_unref(schema);
    SABOT_TRY(status);
    return state_list_replace(self->positions, rows, err);
}

static sabot_status no_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                             struct sabot_error *err) {
    (void)op;
    (void)input;
    (void)out;
    batch_unref(batch);
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a source takes no rows");
}

const struct op_type test_source_op = {
    .name = "test_source",
    .summary = "numbers",
    .open = source_open,
    .on_batch = no_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = source_resume,
    .before_barrier = source_before_barrier,
    .on_complete = op_default_on_complete,
    .close = source_close,
};

/* --- filter: by a selection, as the real one does */

struct test_filter {
    struct op op;
    struct memory_pool *pool;
};

static sabot_status filter_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    (void)err;
    struct test_filter *self = calloc(1, sizeof *self);
    *self = (struct test_filter){{.type = &test_filter_op}, context->pool};
    *out = &self->op;
    return SABOT_OK;
}

static sabot_status filter_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    BATCH_OWNED struct batch *batch = taken;
    struct buffer *selection;
    SABOT_TRY(buffer_new(((struct test_filter *)op)->pool, (size_t)batch->selected * sizeof(int32_t), &selection, err));
    int32_t *rows = (int32_t *)(void *)selection->data;
    int32_t n = 0;
    const int64_t *keys = batch->columns[0]->values;
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        if (keys[column_at(batch->columns[0], row)] % 3 != 0) { rows[n++] = row; }
    }
    struct batch *kept;
    SABOT_TRY(batch_with_selection(batch, selection, n, &kept, err));
    if (n == 0) {
        batch_unref(kept);
        return SABOT_OK;
    }
    return out_emit(out, kept, err);
}

static void op_free(struct op *op) { free(op); }

const struct op_type test_filter_op = {
    .name = "test_filter",
    .summary = "drops keys that 3 divides",
    .open = filter_open,
    .on_batch = filter_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = op_free,
};

/* --- window: sum and count per key and tumbling window; gives out at most 16 rows before it looks at the output */

struct test_window_op {
    struct op op;
    struct op_context context;
    int64_t size_ms;
    struct state_table *table;
    int64_t watermark_ms;  /* to be passed on when all due windows are out */
    int64_t first;         /* of the due window's slots that are not out yet */
};

static sabot_status window_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    struct test_window_op *self = calloc(1, sizeof *self);
    *self = (struct test_window_op){
        .op = {.type = &test_window_op},
        .context = *context,
        .size_ms = ((const struct test_window *)context->spec->options)->size_ms,
        .watermark_ms = WATERMARK_NONE,
    };
    *out = &self->op;
    struct schema *schema = schema_of((const char *const[]){"key", "sum", "count"}, 3);
    const struct state_spec spec = {.name = "windows", .kind = STATE_KEYED, .schema = schema, .n_keys = 1};
    const sabot_status status = state_table_open(context->state, &spec, &self->table, err);
    schema_unref(schema);
    return status;
}

static sabot_status window_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    (void)out;
    struct test_window_op *self = (struct test_window_op *)op;
    BATCH_OWNED struct batch *batch = taken;
    const int32_t keys[1] = {0};
    SABOT_TRY(batch_cache_hashes(self->context.pool, batch, keys, 1, err));
    const int64_t *ts = batch->columns[1]->values, *values = batch->columns[2]->values;
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        const int64_t end = (ts[row] / self->size_ms + 1) * self->size_ms;
        if (self->watermark_ms != WATERMARK_NONE && end - 1 <= self->watermark_ms) {
            return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a row of %lld came behind the watermark %lld",
                              (long long)ts[row], (long long)self->watermark_ms);
        }
        int32_t slot;
        SABOT_TRY(state_find_or_insert(self->table, end, batch, keys, &row, 1, &slot, err));
        ((int64_t *)state_values(self->table, end, 0))[slot] += values[row];
        ((int64_t *)state_values(self->table, end, 1))[slot] += 1;
    }
    return SABOT_OK;
}

static sabot_status window_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct test_window_op *self = (struct test_window_op *)op;
    for (;;) {
        const int64_t *ends;
        int32_t n;
        SABOT_TRY(state_namespaces(self->table, &ends, &n, err));
        if (n == 0 || ends[0] - 1 > self->watermark_ms) { break; }
        const int64_t end = ends[0];
        const int64_t left = state_count(self->table, end) - self->first;
        if (left <= 0) {
            state_drop_namespace(self->table, end);
            self->first = 0;
            continue;
        }
        if (out_is_full(out)) {
            op->busy = true;
            return SABOT_OK;
        }
        const int32_t some = left < 16 ? (int32_t)left : 16;
        struct batch *rows;
        SABOT_TRY(state_read(self->table, end, self->first, some, &rows, err));
        self->first += some;
        int64_t window_ends[16];
        for (int32_t i = 0; i < some; i++) { window_ends[i] = end; }
        struct batch *result = NULL;
        const sabot_status status = batch_of(
            self->context.pool, self->context.spec->output,
            (int64_t *const[]){(int64_t *)rows->columns[0]->values, window_ends,
                               (int64_t *)rows->columns[1]->values, (int64_t *)rows->columns[2]->values},
            some, &result, err);
        batch_unref(rows);
        SABOT_TRY(status);
        SABOT_TRY(out_emit(out, result, err));
    }
    op->busy = false;
    return out->watermark(out, self->watermark_ms, err);
}

static sabot_status window_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                        struct sabot_error *err) {
    ((struct test_window_op *)op)->watermark_ms = watermark_ms;
    return window_resume(op, out, err);
}

const struct op_type test_window_op = {
    .name = "test_window",
    .summary = "sum and count per key and window",
    .open = window_open,
    .on_batch = window_on_batch,
    .on_watermark = window_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = window_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = op_free,
    .stateful = true,
};

/* --- sink */

void test_store_init(struct test_store *store, struct env *env) {
    memset(store, 0, sizeof *store);
    store->mutex = env_mutex_new(env);
}

void test_store_clear(struct test_store *store) {
    for (int32_t i = 0; i < store->n_pending; i++) { free(store->pending[i].rows); }
    free(store->rows);
    env_mutex_free(store->mutex);
}

static void results_add(struct test_result **rows, int64_t *n, int64_t *capacity, const struct test_result *more,
                        int64_t n_more) {
    if (n_more == 0) { return; }
    if (*n + n_more > *capacity) {
        *capacity = (*n + n_more) * 2;
        *rows = realloc(*rows, (size_t)*capacity * sizeof **rows);
    }
    memcpy(*rows + *n, more, (size_t)n_more * sizeof **rows);
    *n += n_more;
}

/* The pending rows of a subtask that are not prepared yet. */
static struct test_pending *pending_open(struct test_store *store, int32_t subtask) {
    for (int32_t i = 0; i < store->n_pending; i++) {
        struct test_pending *pending = &store->pending[i];
        if (pending->checkpoint_id < 0 && pending->subtask == subtask) { return pending; }
    }
    if (store->n_pending == 1024) { abort(); }
    store->pending[store->n_pending] = (struct test_pending){.checkpoint_id = -1, .subtask = subtask};
    return &store->pending[store->n_pending++];
}

static void pending_drop(struct test_store *store, int32_t i) {
    free(store->pending[i].rows);
    store->pending[i] = store->pending[--store->n_pending];
}

/* Commits what was prepared for checkpoints up to `id`, of one subtask or (-1) of all. */
static void store_commit(struct test_store *store, int64_t id, int32_t subtask) {
    for (int32_t i = store->n_pending - 1; i >= 0; i--) {
        const struct test_pending *pending = &store->pending[i];
        if (pending->checkpoint_id < 0 || pending->checkpoint_id > id) { continue; }
        if (subtask >= 0 && pending->subtask != subtask) { continue; }
        results_add(&store->rows, &store->n, &store->capacity, pending->rows, pending->n);
        pending_drop(store, i);
    }
}

struct test_sink_op {
    struct op op;
    struct op_context context;
    struct test_store *store;
    struct state_table *pending;
    bool slow, ending;
    const int32_t *columns;
    int64_t preparing;
    int64_t watermark_ms;
};

static sabot_status sink_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    const struct test_sink *options = context->spec->options;
    struct test_sink_op *self = calloc(1, sizeof *self);
    *self = (struct test_sink_op){.op = {.type = &test_sink_op}, .context = *context, .store = options->store,
                                  .columns = options->columns, .slow = options->slow, .preparing = -1,
                                  .watermark_ms = WATERMARK_NONE};
    *out = &self->op;
    struct schema *schema = schema_of((const char *const[]){"prepared", "unused"}, 2);
    const struct state_spec spec = {.name = "pending", .kind = STATE_LIST, .schema = schema};
    const sabot_status status = state_table_open(context->state, &spec, &self->pending, err);
    schema_unref(schema);
    SABOT_TRY(status);
    const struct batch *rows = state_list_rows(self->pending);
    if (context->subtask != 0) { return SABOT_OK; }
    /* what the restored checkpoint had prepared is finished; what came later never happened */
    env_mutex_lock(self->store->mutex);
    int64_t restored = -1;
    for (int32_t i = 0; rows && i < rows->selected; i++) {
        const int64_t id = ((const int64_t *)rows->columns[0]->values)[column_at(rows->columns[0], batch_row(rows, i))];
        restored = id > restored ? id : restored;
    }
    store_commit(self->store, restored, -1);
    while (self->store->n_pending > 0) { pending_drop(self->store, 0); }
    env_mutex_unlock(self->store->mutex);
    return SABOT_OK;
}

static sabot_status sink_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                  struct sabot_error *err) {
    (void)input;
    (void)out;
    struct test_sink_op *self = (struct test_sink_op *)op;
    BATCH_OWNED struct batch *batch = NULL;
    const sabot_status status = batch_compact(self->context.pool, taken, &batch, err);
    batch_unref(taken);
    SABOT_TRY(status);
    env_mutex_lock(self->store->mutex);
    struct test_pending *pending = pending_open(self->store, self->context.subtask);
    for (int32_t i = 0; i < batch->selected; i++) {
        int64_t cells[4];
        for (int32_t c = 0; c < 4; c++) {
            cells[c] = ((const int64_t *)batch->columns[self->columns ? self->columns[c] : c]->values)[i];
        }
        const struct test_result row = {cells[0], cells[1], cells[2], cells[3]};
        results_add(&pending->rows, &pending->n, &pending->capacity, &row, 1);
    }
    self->store->batches++;
    env_mutex_unlock(self->store->mutex);
    if (self->slow && env_random(self->context.env) % 3 == 0) {
        op->busy = true; /* as if the outside were full; the wake-up comes at once */
        self->context.wake(self->context.wake_arg);
    }
    return SABOT_OK;
}

static sabot_status sink_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                      struct sabot_error *err) {
    struct test_sink_op *self = (struct test_sink_op *)op;
    if (watermark_ms < self->watermark_ms) {
        env_mutex_lock(self->store->mutex);
        self->store->watermarks_back++;
        env_mutex_unlock(self->store->mutex);
    }
    self->watermark_ms = watermark_ms;
    return out->watermark(out, watermark_ms, err);
}

static sabot_status sink_prepare(struct test_sink_op *self, struct sabot_error *err) {
    env_mutex_lock(self->store->mutex);
    for (int32_t i = 0; i < self->store->n_pending; i++) {
        struct test_pending *pending = &self->store->pending[i];
        if (pending->subtask == self->context.subtask && pending->checkpoint_id < 0) {
            pending->checkpoint_id = self->preparing;
        }
    }
    env_mutex_unlock(self->store->mutex);
    struct schema *schema = schema_of((const char *const[]){"prepared", "unused"}, 2);
    struct batch *rows = NULL;
    const sabot_status status = batch_of(self->context.pool, schema,
                                         (int64_t *const[]){&self->preparing, &self->preparing}, 1, &rows, err);
    schema_unref(schema);
    self->preparing = -1;
    SABOT_TRY(status);
    return state_list_replace(self->pending, rows, err);
}

static sabot_status sink_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                        struct sabot_error *err) {
    (void)out;
    struct test_sink_op *self = (struct test_sink_op *)op;
    self->preparing = checkpoint_id;
    if (self->slow && env_random(self->context.env) % 2 == 0) {
        op->busy = true;
        self->context.wake(self->context.wake_arg);
        return SABOT_OK;
    }
    return sink_prepare(self, err);
}

static sabot_status sink_finish(struct test_sink_op *self, struct op_out *out, struct sabot_error *err) {
    if (!self->context.checkpoints) {
        self->preparing = 0;
        SABOT_TRY(sink_prepare(self, err));
        env_mutex_lock(self->store->mutex);
        store_commit(self->store, 0, self->context.subtask);
        env_mutex_unlock(self->store->mutex);
    }
    return out->end(out, err);
}

static sabot_status sink_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct test_sink_op *self = (struct test_sink_op *)op;
    if (self->slow && env_random(self->context.env) % 2 == 0) {
        self->context.wake(self->context.wake_arg);
        return SABOT_OK;
    }
    op->busy = false;
    if (self->preparing >= 0) { return sink_prepare(self, err); }
    return self->ending ? sink_finish(self, out, err) : SABOT_OK;
}

static sabot_status sink_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct test_sink_op *self = (struct test_sink_op *)op;
    if (!self->slow) { return sink_finish(self, out, err); }
    self->ending = true;
    op->busy = true;
    self->context.wake(self->context.wake_arg);
    return SABOT_OK;
}

static sabot_status sink_on_complete(struct op *op, int64_t checkpoint_id, struct sabot_error *err) {
    (void)err;
    struct test_sink_op *self = (struct test_sink_op *)op;
    env_mutex_lock(self->store->mutex);
    store_commit(self->store, checkpoint_id, self->context.subtask);
    env_mutex_unlock(self->store->mutex);
    return SABOT_OK;
}

const struct op_type test_sink_op = {
    .name = "test_sink",
    .summary = "keeps rows, visible once committed",
    .open = sink_open,
    .on_batch = sink_on_batch,
    .on_watermark = sink_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = sink_on_end,
    .resume = sink_resume,
    .before_barrier = sink_before_barrier,
    .on_complete = sink_on_complete,
    .close = op_free,
};

/* --- what should come out */

static int result_compare(const void *a, const void *b) { return memcmp(a, b, sizeof(struct test_result)); }

bool test_store_equals(struct test_store *store, const struct test_stream *stream, int64_t window_ms) {
    const int64_t last_ms = stream->rows * stream->step_ms + stream->disorder_ms;
    const int64_t windows = last_ms / window_ms + 1;
    struct test_result *wanted = calloc((size_t)(windows * stream->keys), sizeof *wanted);
    for (int32_t s = 0; s < stream->splits; s++) {
        for (int64_t i = 0; i < stream->rows; i++) {
            const struct test_row row = test_stream_row(stream, s, i);
            if (row.key % 3 == 0) { continue; }
            struct test_result *result = &wanted[row.ts_ms / window_ms * stream->keys + row.key];
            *result = (struct test_result){row.key, (row.ts_ms / window_ms + 1) * window_ms, result->sum + row.value,
                                           result->count + 1};
        }
    }
    int64_t n = 0;
    for (int64_t i = 0; i < windows * stream->keys; i++) {
        if (wanted[i].count > 0) { wanted[n++] = wanted[i]; }
    }
    qsort(wanted, (size_t)n, sizeof *wanted, result_compare);
    if (store->n > 1) { qsort(store->rows, (size_t)store->n, sizeof *store->rows, result_compare); }
    bool equal = n == store->n;
    for (int64_t i = 0; i < n && i < store->n; i++) {
        if (result_compare(&wanted[i], &store->rows[i]) == 0) { continue; }
        fprintf(stderr, "row %lld: key %lld window %lld sum %lld count %lld, expected key %lld window %lld sum %lld "
                "count %lld\n", (long long)i, (long long)store->rows[i].key, (long long)store->rows[i].window_end_ms,
                (long long)store->rows[i].sum, (long long)store->rows[i].count, (long long)wanted[i].key,
                (long long)wanted[i].window_end_ms, (long long)wanted[i].sum, (long long)wanted[i].count);
        equal = false;
        break;
    }
    if (n != store->n) { fprintf(stderr, "%lld rows, expected %lld\n", (long long)store->n, (long long)n); }
    free(wanted);
    return equal;
}
