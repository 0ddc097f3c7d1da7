/* Connector "test". */
#include "tests/util/test_connector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#define SPLITS_MAX 64
#define COMMIT_NS_MAX 3000000

static struct test_outside *outside;

/* --- rows that are kept */

static void kept_add(struct test_kept_rows *kept, const struct test_kept_row *rows, int64_t n) {
    if (n == 0) { return; }
    if (kept->n + n > kept->capacity) {
        kept->capacity = (kept->n + n) * 2;
        kept->rows = realloc(kept->rows, (size_t)kept->capacity * sizeof *kept->rows);
        if (!kept->rows) { abort(); }
    }
    memcpy(kept->rows + kept->n, rows, (size_t)n * sizeof *rows);
    kept->n += n;
}

static int cells_compare(const void *a, const void *b) {
    const struct test_kept_row *left = a, *right = b;
    for (int32_t c = 0; c < TEST_CELLS_MAX; c++) {
        if (left->cells[c] != right->cells[c]) { return left->cells[c] < right->cells[c] ? -1 : 1; }
    }
    return 0;
}

void test_kept_fold(struct test_kept_rows *kept) {
    if (kept->n == 0) { return; }
    qsort(kept->rows, (size_t)kept->n, sizeof *kept->rows, cells_compare);
    int64_t n = 0;
    for (int64_t i = 0; i < kept->n; i++) {
        if (n > 0 && cells_compare(&kept->rows[n - 1], &kept->rows[i]) == 0) {
            kept->rows[n - 1].times += kept->rows[i].times;
            continue;
        }
        if (n > 0 && kept->rows[n - 1].times == 0) { n--; }
        kept->rows[n++] = kept->rows[i];
    }
    kept->n = kept->rows[n - 1].times == 0 ? n - 1 : n;
}

static void row_print(const char *what, const struct test_kept_row *row) {
    fprintf(stderr, "%s %" PRId64 " times", what, row->times);
    for (int32_t c = 0; c < TEST_CELLS_MAX; c++) {
        if (row->cells[c] == TEST_NULL) {
            fprintf(stderr, " NULL");
        } else {
            fprintf(stderr, " %" PRId64, row->cells[c]);
        }
    }
    fprintf(stderr, "\n");
}

bool test_kept_equal(const struct test_kept_rows *got, const struct test_kept_rows *wanted) {
    for (int64_t i = 0; i < got->n || i < wanted->n; i++) {
        const struct test_kept_row *row = i < got->n ? &got->rows[i] : NULL;
        const struct test_kept_row *want = i < wanted->n ? &wanted->rows[i] : NULL;
        if (row && want && cells_compare(row, want) == 0 && row->times == want->times) { continue; }
        fprintf(stderr, "%" PRId64 " different rows, expected %" PRId64 "\n", got->n, wanted->n);
        if (row) { row_print("row     ", row); }
        if (want) { row_print("expected", want); }
        return false;
    }
    return true;
}

/* --- transactions */

static void transaction_drop(int64_t i) {
    free(outside->transactions[i].rows.rows);
    outside->transactions[i] = outside->transactions[--outside->n_transactions];
}

static void transaction_commit(int64_t i) {
    kept_add(&outside->visible, outside->transactions[i].rows.rows, outside->transactions[i].rows.n);
    transaction_drop(i);
}

static struct test_transaction *transaction_open(int64_t instance) {
    for (int64_t i = 0; i < outside->n_transactions; i++) {
        struct test_transaction *open = &outside->transactions[i];
        if (open->instance == instance && open->checkpoint_id < 0) { return open; }
    }
    if (outside->n_transactions == outside->transactions_capacity) {
        outside->transactions_capacity = outside->transactions_capacity * 2 + 16;
        outside->transactions = realloc(outside->transactions,
                                        (size_t)outside->transactions_capacity * sizeof *outside->transactions);
        if (!outside->transactions) { abort(); }
    }
    outside->transactions[outside->n_transactions] =
        (struct test_transaction){.serial = outside->serials++, .checkpoint_id = -1, .instance = instance};
    return &outside->transactions[outside->n_transactions++];
}

void test_outside_drop_transactions(struct test_outside *target) {
    outside = target;
    while (outside->n_transactions > 0) { transaction_drop(outside->n_transactions - 1); }
}

void test_outside_clear(struct test_outside *target) {
    test_outside_drop_transactions(target);
    free(target->transactions);
    free(target->visible.rows);
}

/* --- source: split s belongs to subtask s % parallelism */

struct source {
    struct connector_context context;
    const struct test_stream *stream;
    int64_t at[SPLITS_MAX];
    bool paused[SPLITS_MAX];
    int32_t next;
    bool rests;
};

static const struct connector_option source_options[] = {
    {"stream", OPTION_INT, "0", NULL, "which of the test's streams"},
    {"bounded", OPTION_BOOL, "true", NULL, "what the planner is told; it ends all the same"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

static bool source_is_bounded(const struct connector_table *table) {
    bool bounded = true;
    return option_bool(table, source_options, "bounded", &bounded, NULL) == SABOT_OK && bounded;
}

static sabot_status source_open(const struct connector_context *context, struct source **out, struct sabot_error *err) {
    int64_t number;
    SABOT_TRY(option_int(context->table, source_options, "stream", &number, err));
    struct source *source = calloc(1, sizeof *source);
    if (!source) { abort(); }
    source->context = *context;
    source->stream = &outside->streams[number % TEST_STREAMS];
    *out = source;
    return SABOT_OK;
}

static int32_t source_n_splits(const struct source *source) {
    const int32_t left = source->stream->splits - source->context.subtask;
    return left <= 0 ? 0 : (left - 1) / source->context.parallelism + 1;
}

static int32_t split_number(const struct source *source, int32_t i) {
    return source->context.subtask + i * source->context.parallelism;
}

static void source_split(const struct source *source, int32_t i, struct source_split *out) {
    snprintf(out->id, sizeof out->id, "split-%d", split_number(source, i));
    out->finished = source->at[i] >= source->stream->rows;
}

static sabot_status source_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    (void)err;
    for (int32_t p = 0; positions && p < positions->selected; p++) {
        const struct split_position at = split_position_at(positions, p);
        for (int32_t i = 0; i < source_n_splits(source); i++) {
            struct source_split mine;
            source_split(source, i, &mine);
            if (split_position_is_of(&at, mine.id)) { memcpy(&source->at[i], at.bytes, sizeof source->at[i]); }
        }
    }
    return SABOT_OK;
}

/* The rows [at, at + n) of a split as the columns that the query reads. */
static sabot_status source_rows(struct source *source, int32_t split, int64_t at, int32_t n, struct batch **out,
                                struct sabot_error *err) {
    const struct schema *schema = source->context.table->schema;
    const int32_t number = (int32_t)(source->stream - outside->streams) * SPLITS_MAX + split;
    struct column *columns[4] = {0};
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c < schema->n_fields && status == SABOT_OK; c++) {
        const char *name = schema->fields[c].name;
        struct column_builder builder;
        status = column_builder_init(&builder, source->context.pool, PHYS_I64, n, false, err);
        if (status != SABOT_OK) { break; }
        int64_t *values = builder.values;
        for (int32_t i = 0; i < n; i++) {
            const struct test_row row = test_stream_row(source->stream, number, at + i);
            values[i] = !strcmp(name, "k")    ? row.key
                        : !strcmp(name, "ts") ? row.ts_ms
                        : !strcmp(name, "v")  ? row.value
                                              : number * INT64_C(1000000) + at + i;
        }
        status = column_builder_finish(&builder, &columns[c], err);
    }
    if (status != SABOT_OK) {
        for (int32_t c = 0; c < schema->n_fields; c++) { column_unref(columns[c]); }
        return status;
    }
    return batch_new((struct schema *)(uintptr_t)schema, columns, schema->n_fields, n, out, err);
}

static sabot_status source_poll(struct source *source, enum source_state *state, struct source_result *result,
                                struct sabot_error *err) {
    struct env *env = source->context.env;
    *state = SOURCE_WAIT;
    result->wake_at_ns = INT64_MAX;
    if (source->rests) {
        source->rests = false;
        result->wake_at_ns = env_now_ns(env) + source->stream->pause_ns;
        return SABOT_OK;
    }
    const int32_t n_splits = source_n_splits(source);
    bool left = false;
    for (int32_t i = 0; i < n_splits; i++) {
        const int32_t split = (source->next + i) % n_splits;
        const int64_t at = source->at[split], rest = source->stream->rows - at;
        left = left || rest > 0;
        if (rest <= 0 || source->paused[split]) { continue; }
        const int64_t drawn = 1 + (int64_t)(env_random(env) % (uint64_t)source->stream->batch_rows);
        const int32_t n = (int32_t)(drawn < rest ? drawn : rest);
        SABOT_TRY(source_rows(source, split_number(source, split), at, n, &result->batch, err));
        result->batch->created_ns = env_now_ns(env);
        result->split = split;
        source->at[split] += n;
        source->next = split + 1;
        source->rests = source->stream->pause_ns > 0;
        *state = SOURCE_BATCH;
        return SABOT_OK;
    }
    if (!left) { *state = SOURCE_END; }
    return SABOT_OK;
}

static void source_pause(struct source *source, int32_t split, bool paused) { source->paused[split] = paused; }

static sabot_status source_position(struct source *source, int32_t split, struct text *position,
                                    struct sabot_error *err) {
    (void)err;
    text_append(position, (const char *)&source->at[split], sizeof source->at[split]);
    return SABOT_OK;
}

static sabot_status source_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

static void source_close(struct source *source) { free(source); }

/* --- sink */

struct sink {
    struct connector_context context;
    int64_t instance;
    int64_t committed_ns; /* when the last commit is through */
};

static const struct connector_option sink_options[] = {{NULL, OPTION_STRING, NULL, NULL, NULL}};

static sabot_status sink_open(const struct connector_context *context, struct sink **out, struct sabot_error *err) {
    (void)err;
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink) { abort(); }
    *sink = (struct sink){.context = *context, .instance = outside->instances++};
    *out = sink;
    return SABOT_OK;
}

/* What the restored checkpoint had prepared is finished; what came later never happened. */
static sabot_status sink_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    (void)err;
    if (sink->context.subtask != 0) { return SABOT_OK; }
    for (int32_t row = 0; row < pending->selected; row++) {
        const struct column *column = pending->columns[0];
        const struct string_view *view =
            (const struct string_view *)column->values + column_at(column, batch_row(pending, row));
        for (size_t b = 0; b < view->size; b += sizeof(int64_t)) {
            int64_t serial;
            memcpy(&serial, string_view_data(view) + b, sizeof serial);
            for (int64_t t = outside->n_transactions - 1; t >= 0; t--) {
                if (outside->transactions[t].serial == serial) { transaction_commit(t); }
            }
        }
    }
    test_outside_drop_transactions(outside);
    return SABOT_OK;
}

/* Makes the job wait now and then; the wake-up comes at once. */
static bool sink_is_full(struct sink *sink) {
    if (!outside->slow || env_random(sink->context.env) % 3) { return false; }
    sink->context.wake(sink->context.wake_arg);
    return true;
}

static sabot_status sink_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    (void)err;
    *full = sink_is_full(sink);
    if (*full) { return SABOT_OK; }
    struct test_transaction *open = transaction_open(sink->instance);
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t at = batch_row(batch, i);
        const uint8_t kind = batch->row_kinds ? batch->row_kinds[at] : ROW_INSERT;
        struct test_kept_row row = {.times = kind == ROW_UPDATE_BEFORE || kind == ROW_DELETE ? -1 : 1};
        for (int32_t c = 0; c < batch->n_columns; c++) {
            const struct column *column = batch->columns[c];
            row.cells[c] = column_is_null(column, at) ? TEST_NULL
                                                      : ((const int64_t *)column->values)[column_at(column, at)];
        }
        kept_add(&open->rows, &row, 1);
    }
    batch_unref(batch);
    return SABOT_OK;
}

static sabot_status sink_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                 struct sabot_error *err) {
    (void)err;
    *full = sink_is_full(sink);
    for (int64_t t = 0; !*full && t < outside->n_transactions; t++) {
        struct test_transaction *mine = &outside->transactions[t];
        if (mine->instance != sink->instance) { continue; }
        if (mine->checkpoint_id < 0) { mine->checkpoint_id = checkpoint_id; }
        text_append(pending, (const char *)&mine->serial, sizeof mine->serial);
    }
    return SABOT_OK;
}

static sabot_status sink_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    (void)err;
    const uint64_t drawn = outside->slow ? env_random(sink->context.env) : 0;
    sink->committed_ns = drawn % 3 == 1 ? env_now_ns(sink->context.env) + (int64_t)(drawn >> 8) % COMMIT_NS_MAX : 0;
    for (int64_t t = outside->n_transactions - 1; t >= 0; t--) {
        const struct test_transaction *mine = &outside->transactions[t];
        const bool due = mine->checkpoint_id >= 0 && mine->checkpoint_id <= checkpoint_id;
        if (mine->instance == sink->instance && due) { transaction_commit(t); }
    }
    return SABOT_OK;
}

/* Some outside world takes its time to say that it has committed. */
static sabot_status sink_committed(struct sink *sink, bool *done, struct sabot_error *err) {
    (void)err;
    *done = env_now_ns(sink->context.env) >= sink->committed_ns;
    if (!*done) { sink->context.wake(sink->context.wake_arg); }
    return SABOT_OK;
}

static sabot_status sink_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    struct text unused = {0};
    const sabot_status status = sink_prepare(sink, 0, &unused, full, err);
    text_clear(&unused);
    return *full ? status : sink_commit(sink, 0, err);
}

static void sink_close(struct sink *sink) { free(sink); }

static const struct source_type test_source = {
    .name = "test", .summary = "rows of a test", .options = source_options, .is_bounded = source_is_bounded,
    .open = source_open, .restore = source_restore, .poll = source_poll, .n_splits = source_n_splits,
    .split = source_split, .pause = source_pause, .position = source_position, .on_complete = source_on_complete,
    .close = source_close};
static const struct sink_type test_sink = {
    .name = "test", .summary = "rows for a test", .options = sink_options, .accepts = SINK_INSERTS | SINK_RETRACTS,
    .open = sink_open, .restore = sink_restore, .write = sink_write, .prepare = sink_prepare, .commit = sink_commit,
    .committed = sink_committed,
    .finish = sink_finish, .close = sink_close};
static const struct connector connector = {.name = "test", .source = &test_source, .sink = &test_sink};

void test_outside_use(struct test_outside *target) {
    outside = target;
    if (!connector_find("test") && connector_register(&connector, NULL) != SABOT_OK) { abort(); }
}
