/* What updating operators cost per row: GROUP BY with a changelog, and ROW_NUMBER, over batches of 8192 rows; keys
 * uniform. Each figure is the median of five runs. Arguments: [million rows] [only this line]. */
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "ops/specs.h"
#include "tests/util/bench.h"

#define BATCH 8192
#define RUNS 5

static int64_t n_batches = 1220; /* 10 M rows */
static struct memory_pool pool;
static uint64_t random_state = BENCH_SEED;

/* --- output is counted and dropped */
struct drop {
    struct op_out out;
    int64_t rows;
};
static sabot_status drop_batch(struct op_out *out, struct batch *batch, struct sabot_error *err) {
    (void)err;
    ((struct drop *)out)->rows += batch->selected;
    batch_unref(batch);
    return SABOT_OK;
}
static bool never_full(const struct op_out *out) {
    (void)out;
    return false;
}

/* --- data: key, price, time */
static struct schema *schema;
static struct batch **make_batches(int64_t keys) {
    struct batch **batches = malloc((size_t)n_batches * sizeof(struct batch *));
    int64_t time = 0;
    for (int64_t b = 0; b < n_batches; b++) {
        struct column *columns[3];
        for (int c = 0; c < 3; c++) {
            struct column_builder builder;
            CHECK(column_builder_init(&builder, &pool, PHYS_I64, BATCH, false, &err));
            for (int32_t i = 0; i < BATCH; i++) {
                ((int64_t *)builder.values)[i] = c == 0   ? (int64_t)(xorshift64(&random_state) % (uint64_t)keys)
                                                 : c == 1 ? (int64_t)(xorshift64(&random_state) % 1000000)
                                                          : time++ / 100;
            }
            CHECK(column_builder_finish(&builder, &columns[c], &err));
        }
        CHECK(batch_new(schema, columns, 3, BATCH, &batches[b], &err));
    }
    return batches;
}

/* --- runs */
struct line {
    const char *name;
    const struct op_type *type;
    const void *options;
    struct schema *output;
    int64_t keys;
    double ns[RUNS];
    int64_t rows_out;
};
static double run(const struct line *line, struct batch **batches, int64_t *rows_out) {
    struct metrics metrics = {0};
    const struct op_spec spec = {.type = line->type, .options = line->options, .output = line->output, .uid = "op",
                                 .label = line->name};
    struct op_context context = {.env = env_real(), .pool = &pool, .metrics = &metrics, .spec = &spec, .input = schema,
                                 .parallelism = 1, .max_parallelism = 128, .batch_rows = BATCH};
    CHECK(state_tables_new(
        &(struct state_context){.pool = &pool, .metrics = &metrics, .parallelism = 1, .max_parallelism = 128},
        &context.state, &err));
    struct op *op;
    CHECK(line->type->open(&context, &op, &err));
    struct drop drop = {.out = {.emit = drop_batch, .is_full = never_full}};
    const int64_t start = env_now_ns(context.env);
    for (int64_t b = 0; b < n_batches; b++) {
        CHECK(line->type->on_batch(op, 0, batch_ref(batches[b]), &drop.out, &err));
    }
    const int64_t end = env_now_ns(context.env);
    line->type->close(op);
    state_tables_free(context.state);
    *rows_out = drop.rows;
    return (double)(end - start) / (double)(n_batches * BATCH);
}

static int by_number(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc > 1) { n_batches = atoll(argv[1]) * 1000000 / BATCH; }
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    const struct type number = type_not_null(type_of(TYPE_INT64));
    struct schema *sums, *ranks;
    CHECK(schema_new((struct field[]){{"k", number}, {"price", number}, {"ts", type_not_null(type_timestamp(3))}}, 3,
                  &schema,
                  &err));
    CHECK(schema_new((struct field[]){{"k", number}, {"n", number}, {"sum", number}}, 3, &sums, &err));
    CHECK(schema_new((struct field[]){{"k", number}, {"price", number}, {"ts", type_not_null(type_timestamp(3))},
                                   {"rank", number}}, 4, &ranks, &err));
    const int32_t key = 0;
    const struct aggregate_call calls[] = {{.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1},
                                           {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1}};
    const struct group_update_options upsert = {.keys = &key, .n_keys = 1, .calls = calls, .n_calls = 2};
    struct group_update_options pairs = upsert, retracting = upsert;
    pairs.emit_update_before = true;
    retracting.input_retracts = true;
    const struct sort_key by_price = {.column = 1, .descending = true}, by_time = {.column = 2, .descending = true};
    const struct rank_options first = {.keys = &key, .n_keys = 1, .order = &by_price, .n_order = 1, .first = 1,
                                       .limit = 1};
    struct rank_options last = first, ten = first;
    last.order = &by_time;
    last.keep_last = true;
    ten.limit = 10;
    ten.output_rank = ten.emit_update_before = true;
    struct line lines[] = {
        {"count, sum by 10 k keys, upsert", &op_group_update, &upsert, sums, 10000, {0}, 0},
        {"count, sum by 10 k keys, -U +U", &op_group_update, &pairs, sums, 10000, {0}, 0},
        {"count, sum by 10 k keys, may retract", &op_group_update, &retracting, sums, 10000, {0}, 0},
        {"count, sum by 100 keys, upsert", &op_group_update, &upsert, sums, 100, {0}, 0},
        {"count, sum by 1 M keys, upsert", &op_group_update, &upsert, sums, 1000000, {0}, 0},
        {"highest price, 10 k keys", &op_rank, &first, schema, 10000, {0}, 0},
        {"last row, 10 k keys", &op_rank, &last, schema, 10000, {0}, 0},
        {"last row, 1 M keys", &op_rank, &last, schema, 1000000, {0}, 0},
        {"top 10 with ranks, 10 k keys", &op_rank, &ten, ranks, 10000, {0}, 0},
    };
    const size_t n_lines = sizeof lines / sizeof lines[0];
    struct batch **batches = NULL;
    printf("%-40s %10s %10s %12s\n", "", "ns/row", "M rows/s", "rows out/in");
    int64_t made = 0;
    for (size_t l = 0; l < n_lines; l++) {
        if (argc > 2 && !strstr(lines[l].name, argv[2])) { continue; }
        if (made != lines[l].keys) {
            for (int64_t b = 0; batches && b < n_batches; b++) { batch_unref(batches[b]); }
            free(batches);
            batches = make_batches(made = lines[l].keys);
        }
        for (int r = 0; r < RUNS; r++) { lines[l].ns[r] = run(&lines[l], batches, &lines[l].rows_out); }
        qsort(lines[l].ns, RUNS, sizeof(double), by_number);
        const double ns = lines[l].ns[RUNS / 2];
        printf("%-40s %10.1f %10.1f %12.2f\n", lines[l].name, ns, 1000 / ns,
               (double)lines[l].rows_out / (double)(n_batches * BATCH));
    }
    for (int64_t b = 0; batches && b < n_batches; b++) { batch_unref(batches[b]); }
    free(batches);
    schema_unref(schema);
    schema_unref(sums);
    schema_unref(ranks);
    return 0;
}
