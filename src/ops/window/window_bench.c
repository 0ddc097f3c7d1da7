/* What windows cost per row, step by step and as a whole, beside a plain C loop over the same data as the limit.
 *
 * Data: auction uniform over the keys, time rising, 100,000 events per second of event time, batches of 8192 rows. Each
 * figure is the median of interleaved runs. Arguments: [million rows] [only this line]. */
#include <stdio.h>
#include <stdlib.h>

#include "ops/aggregate/aggregator.h"
#include "ops/window/split.h"
#include "time/lateness.h"
#include "time/watermark.h"
#include "tests/util/bench.h"

#define BATCH 8192
#define RUNS 3
#define EVENTS_PER_MS 100
#define SECOND 1000

static int64_t n_batches = 1220; /* 10 M rows */
static const char *only;
static struct memory_pool pool;

static uint64_t random_state = BENCH_SEED;

/* --- data */
enum { AUCTION, PRICE, TS, COLUMNS };
struct data {
    struct schema *schema;
    struct buffer *buffers[COLUMNS];
    int64_t *columns[COLUMNS];
    int64_t rows;
};
static struct data make_data(int64_t keys) {
    struct data data = {.rows = n_batches * BATCH};
    const struct field fields[] = {{"auction", type_not_null(type_of(TYPE_INT64))},
                                   {"price", type_not_null(type_of(TYPE_INT64))},
                                   {"ts", type_not_null(type_timestamp(3))}};
    CHECK(schema_new(fields, COLUMNS, &data.schema, &err));
    for (int c = 0; c < COLUMNS; c++) {
        CHECK(buffer_new(&pool, (size_t)data.rows * 8, &data.buffers[c], &err));
        data.columns[c] = (int64_t *)(void *)data.buffers[c]->data;
    }
    for (int64_t i = 0; i < data.rows; i++) {
        data.columns[AUCTION][i] = (int64_t)(xorshift64(&random_state) % (uint64_t)keys);
        data.columns[PRICE][i] = (int64_t)(xorshift64(&random_state) % 10000);
        data.columns[TS][i] = i / EVENTS_PER_MS;
    }
    return data;
}
static void free_data(struct data *data) {
    for (int c = 0; c < COLUMNS; c++) { buffer_unref(data->buffers[c]); }
    schema_unref(data->schema);
}
/* A batch over the data: three columns, no copy, as a source would give it. */
static struct batch *batch_at(const struct data *data, int64_t b) {
    struct column *columns[COLUMNS];
    for (int c = 0; c < COLUMNS; c++) {
        struct buffer *owner = buffer_ref(data->buffers[c]);
        CHECK(column_new(PHYS_I64, BATCH, NULL, data->columns[c] + b * BATCH, &owner, 1, NULL, 0, &columns[c], &err));
    }
    struct batch *batch;
    CHECK(batch_new(data->schema, columns, COLUMNS, BATCH, &batch, &err));
    return batch;
}

/* --- operators under test */
struct counting_out {
    struct op_out out;
    int64_t rows, checksum;
};
static sabot_status count_batch(struct op_out *out, struct batch *batch, struct sabot_error *err) {
    (void)err;
    struct counting_out *counting = (struct counting_out *)out;
    counting->rows += batch->selected;
    counting->checksum += ((const int64_t *)batch->columns[1]->values)[0];
    batch_unref(batch);
    return SABOT_OK;
}
static sabot_status count_watermark(struct op_out *out, int64_t watermark_ms, struct sabot_error *err) {
    (void)out, (void)watermark_ms, (void)err;
    return SABOT_OK;
}
static sabot_status count_event(struct op_out *out, struct sabot_error *err) {
    (void)out, (void)err;
    return SABOT_OK;
}
static bool never_full(const struct op_out *out) {
    (void)out;
    return false;
}

static const struct aggregate_call count_sum_max[] = {
    {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1},
    {.kind = AGGREGATE_SUM, .argument = PRICE, .filter = -1},
    {.kind = AGGREGATE_MAX, .argument = PRICE, .filter = -1},
};
static const enum window_property window_columns[] = {WINDOW_START, WINDOW_END};

static int64_t run_operator(const struct data *data, struct window_spec window, int32_t n_calls) {
    const int32_t key = AUCTION;
    window.time_column = TS;
    const struct window_aggregate_options options = {.window = window,
                                                     .keys = &key,
                                                     .n_keys = 1,
                                                     .calls = count_sum_max,
                                                     .n_calls = n_calls,
                                                     .properties = window_columns,
                                                     .n_properties = 2};
    struct field fields[8] = {{"auction", type_not_null(type_of(TYPE_INT64))}};
    for (int32_t i = 0; i < n_calls; i++) { fields[1 + i] = (struct field){"a", type_of(TYPE_INT64)}; }
    fields[1 + n_calls] = (struct field){"window_start", type_timestamp(3)};
    fields[2 + n_calls] = (struct field){"window_end", type_timestamp(3)};
    struct schema *output;
    CHECK(schema_new(fields, 3 + n_calls, &output, &err));
    struct metrics metrics = {0};
    struct state_tables *tables;
    CHECK(state_tables_new(&(struct state_context){.pool = &pool, .metrics = &metrics, .parallelism = 1,
                                                .max_parallelism = 128}, &tables, &err));
    const struct op_spec spec = {.type = &op_window_aggregate, .options = &options, .output = output};
    const struct op_context context = {.env = env_real(), .pool = &pool, .metrics = &metrics, .spec = &spec,
                                       .input = data->schema, .parallelism = 1, .max_parallelism = 128,
                                       .batch_rows = BATCH, .state = tables};
    struct op *op;
    CHECK(op_window_aggregate.open(&context, &op, &err));
    struct counting_out out = {.out = {count_batch, count_watermark, count_event, count_event, never_full}};
    for (int64_t b = 0; b < n_batches; b++) {
        CHECK(op->type->on_batch(op, 0, batch_at(data, b), &out.out, &err));
        CHECK(op->type->on_watermark(op, data->columns[TS][b * BATCH + BATCH - 1] - 1, &out.out, &err));
    }
    CHECK(op->type->on_watermark(op, WATERMARK_END, &out.out, &err));
    op->type->close(op);
    state_tables_free(tables);
    schema_unref(output);
    return out.rows;
}
static int64_t tumble(const struct data *data) {
    return run_operator(data, (struct window_spec){.kind = WINDOW_TUMBLE, .size_ms = 10 * SECOND,
                                                   .slide_ms = 10 * SECOND}, 3);
}
static int64_t hop(const struct data *data) {
    return run_operator(data, (struct window_spec){.kind = WINDOW_HOP, .size_ms = 10 * SECOND, .slide_ms = 2 * SECOND},
                        1);
}

/* --- the limit: what somebody would write by hand for these keys (dense numbers, so an array is enough) */
struct plain_group {
    int64_t count, sum, max;
};
static int64_t plain_keys;
static int64_t plain_tumble(const struct data *data) {
    struct plain_group *groups = calloc((size_t)plain_keys, sizeof *groups);
    int64_t results = 0, checksum = 0, window_end = 10 * SECOND;
    for (int64_t i = 0; i <= data->rows; i++) {
        if (i == data->rows || data->columns[TS][i] >= window_end) {
            for (int64_t k = 0; k < plain_keys; k++) {
                results += groups[k].count > 0;
                checksum += groups[k].sum + groups[k].max;
            }
            memset(groups, 0, (size_t)plain_keys * sizeof *groups);
            window_end += 10 * SECOND;
            if (i == data->rows) { break; }
        }
        struct plain_group *group = &groups[data->columns[AUCTION][i]];
        const int64_t price = data->columns[PRICE][i];
        group->count++;
        group->sum += price;
        group->max = price > group->max ? price : group->max;
    }
    free(groups);
    return checksum ? results : 0;
}
static int64_t plain_hop(const struct data *data) {
    int64_t *panes[5], results = 0, slice_end = 2 * SECOND, slices = 0;
    for (int p = 0; p < 5; p++) { panes[p] = calloc((size_t)plain_keys, sizeof **panes); }
    for (int64_t i = 0; i <= data->rows; i++) {
        if (i == data->rows || data->columns[TS][i] >= slice_end) {
            for (int64_t k = 0; k < plain_keys; k++) {
                int64_t count = 0;
                for (int p = 0; p < 5; p++) { count += panes[p][k]; }
                results += count > 0;
            }
            slices++;
            memset(panes[slices % 5], 0, (size_t)plain_keys * sizeof **panes);
            slice_end += 2 * SECOND;
            if (i == data->rows) { break; }
        }
        panes[slices % 5][data->columns[AUCTION][i]]++;
    }
    for (int p = 0; p < 5; p++) { free(panes[p]); }
    return results;
}

/* --- steps */
static int64_t step_batch(const struct data *data) {
    int64_t rows = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        struct batch *batch = batch_at(data, b);
        rows += batch->selected;
        batch_unref(batch);
    }
    return rows;
}
static int64_t step_times(const struct data *data) {
    int64_t sum = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        struct batch *batch = batch_at(data, b);
        int64_t min, max;
        if (time_column_range(batch->columns[TS], NULL, BATCH, &min, &max)) { sum += max - min; }
        batch_unref(batch);
    }
    return sum;
}
static int64_t step_watermark(const struct data *data) {
    struct watermarks watermarks;
    watermarks_init(&watermarks, 1000000000, 0);
    CHECK(watermarks_resize(&watermarks, 8, 1, &err));
    int64_t advanced = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        watermarks_rows(&watermarks, (int32_t)(b % 8), data->columns[TS][b * BATCH + BATCH - 1], b);
        advanced += watermarks_combine(&watermarks, b) == WATERMARK_ADVANCED;
    }
    watermarks_clear(&watermarks);
    return advanced;
}
static int64_t step_assign(const struct data *data, struct window_spec window) {
    struct slices slices;
    CHECK(slices_init(&slices, &window, &err));
    struct splitter splitter;
    splitter_init(&splitter, &pool, &slices, 1, 0);
    int64_t runs = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        struct batch *batch = batch_at(data, b);
        CHECK(splitter_split(&splitter, batch, TS, &err));
        runs += splitter.n_runs;
        batch_unref(batch);
    }
    splitter_clear(&splitter);
    return runs;
}
static int64_t step_tumble_assign(const struct data *data) {
    return step_assign(data,
                       (struct window_spec){.kind = WINDOW_TUMBLE, .size_ms = 10 * SECOND, .slide_ms = 10 * SECOND});
}
static int64_t step_hop_assign(const struct data *data) {
    return step_assign(data, (struct window_spec){.kind = WINDOW_HOP, .size_ms = 10 * SECOND, .slide_ms = 2500});
}
static int64_t step_mixed_assign(const struct data *data) { /* a batch spans 40 slices */
    return step_assign(data, (struct window_spec){.kind = WINDOW_TUMBLE, .size_ms = 2, .slide_ms = 2});
}
static int64_t step_late(const struct data *data) {
    int32_t rows[BATCH], late[BATCH];
    int64_t kept = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        for (int32_t i = 0; i < BATCH; i++) { rows[i] = i; }
        kept += late_split(data->columns[TS] + b * BATCH, 0, data->columns[TS][b * BATCH] + 40, rows, BATCH, late);
    }
    return kept;
}
static int64_t step_hash(const struct data *data) {
    const int32_t key = AUCTION;
    int64_t sum = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        struct batch *batch = batch_at(data, b);
        CHECK(batch_cache_hashes(&pool, batch, &key, 1, &err));
        sum += (int64_t)(batch->hashes[0] & 1);
        batch_unref(batch);
    }
    return sum;
}
/* Hash and state: a namespace per 10 s, as the tumble has it. */
static int64_t step_state(const struct data *data) {
    struct state_tables *tables;
    struct state_table *table;
    struct schema *schema;
    const struct field fields[] = {{"key", type_not_null(type_of(TYPE_INT64))},
                                   {"n", type_not_null(type_of(TYPE_INT64))}};
    CHECK(schema_new(fields, 2, &schema, &err));
    CHECK(state_tables_new(&(struct state_context){.pool = &pool, .parallelism = 1, .max_parallelism = 128}, &tables,
                           &err));
    CHECK(state_table_open(
        tables, &(struct state_spec){.name = "t", .kind = STATE_KEYED, .schema = schema, .n_keys = 1}, &table, &err));
    static int32_t slots[BATCH];
    const int32_t key = AUCTION;
    int64_t sum = 0, namespace_ = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        struct batch *batch = batch_at(data, b);
        const int64_t now = data->columns[TS][b * BATCH] / (10 * SECOND);
        if (now != namespace_) { state_drop_namespace(table, namespace_); }
        namespace_ = now;
        CHECK(batch_cache_hashes(&pool, batch, &key, 1, &err));
        CHECK(state_find_or_insert(table, namespace_, batch, &key, NULL, BATCH, slots, &err));
        sum += slots[0];
        batch_unref(batch);
    }
    state_tables_free(tables);
    schema_unref(schema);
    return sum;
}

/* --- measuring */
struct line {
    const char *name;
    int64_t (*run)(const struct data *data);
    bool per_batch;
    double target_ns;  /* 0: none */
    const char *limit; /* the line that it is compared with */
};
static const struct line lines[] = {
    {"batch-setup-3-columns", step_batch, true, 1000, NULL},
    {"watermark-update-8-splits", step_watermark, true, 0, NULL},
    {"timestamp-range", step_times, false, 0, NULL},
    {"tumble-assign", step_tumble_assign, false, 5, NULL},
    {"hop-x4-assign", step_hop_assign, false, 20, NULL},
    {"assign-40-slices", step_mixed_assign, false, 0, NULL},
    {"late-check", step_late, false, 0, NULL},
    {"key-hash", step_hash, false, 0, NULL},
    {"key-hash-and-state", step_state, false, 0, NULL},
    {"plain-c-tumble", plain_tumble, false, 0, NULL},
    {"tumble", tumble, false, 0, "plain-c-tumble"},
    {"plain-c-hop", plain_hop, false, 0, NULL},
    {"hop", hop, false, 0, "plain-c-hop"},
};
#define LINES ((int)(sizeof lines / sizeof lines[0]))

static int order(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void measure(int64_t keys) {
    struct data data = make_data(keys);
    plain_keys = keys;
    static double ns[LINES][RUNS];
    int64_t sum = 0;
    for (int run = 0; run < RUNS; run++) {
        for (int l = 0; l < LINES; l++) {
            if (only && !strstr(lines[l].name, only)) { continue; }
            const int64_t start = env_cpu_ns(env_real());
            sum += lines[l].run(&data);
            ns[l][run] =
                (double)(env_cpu_ns(env_real()) - start) / (double)(lines[l].per_batch ? n_batches : data.rows);
        }
    }
    for (int l = 0; l < LINES; l++) {
        const struct line *line = &lines[l];
        if (only && !strstr(line->name, only)) { continue; }
        qsort(ns[l], RUNS, sizeof ns[l][0], order);
        printf("window/%lld-keys/%s %.3f ns/%s", (long long)keys, line->name, ns[l][RUNS / 2],
               line->per_batch ? "batch" : "row");
        if (line->target_ns > 0) { printf(" # target: <=%.0f", line->target_ns); }
        if (line->limit) { printf(" # reference: window/%lld-keys/%s", (long long)keys, line->limit); }
        printf("\n");
    }
    if (sum == -1) { puts(""); } /* the sums are used, so that nothing is left out */
    free_data(&data);
}

int main(int argc, char **argv) {
    if (argc > 1) { n_batches = strtoll(argv[1], NULL, 10) * 1000000 / BATCH; }
    if (argc > 2) { only = argv[2]; }
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    measure(10000);
    measure(1000000);
    return 0;
}
