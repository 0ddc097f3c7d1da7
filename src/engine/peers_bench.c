/* The keyed windows, the projection and the selection that stream processors are compared by, as whole jobs from SQL
 * text to a sink, beside a plain C loop over the same columns as the limit.
 *
 * Data: bids in memory as int64 columns auction, bidder, price and a time; auction uniform over 10 k or 1 M keys, time
 * rising, 100,000 events per second of event time. q1: price * 0.908, the other columns passed on; q2: auction % 123 =
 * 0; tumble: 10 s count, sum, max of price by auction; hop: 10 s by 2 s count by auction. Arguments: [million rows]
 * [only this case]. */
#include "base/error.h"
#include "engine/session.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 8192
#define EVENTS_PER_MS 100
#define WINDOW_MS 10000
#define SLIDE_MS 2000
#define RUNS 3

enum { AUCTION, BIDDER, PRICE, TIME, COLUMNS };

struct data {
    struct memory_pool pool;
    int64_t rows, keys;
    struct buffer *buffers[COLUMNS];
    int64_t *columns[COLUMNS];
    struct batch **batches;
    struct batches_table table;
};

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status == SABOT_OK) { return; }
    fprintf(stderr, "peers_bench: %s\n", err->message);
    exit(1);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void data_make(struct data *data, int64_t rows, int64_t keys) {
    struct sabot_error err = {0};
    uint64_t random = 88172645463325252u;
    memory_pool_init(&data->pool, "bench", NULL, INT64_MAX);
    data->rows = rows;
    data->keys = keys;
    for (int c = 0; c < COLUMNS; c++) {
        ok(buffer_new(&data->pool, (size_t)rows * 8, &data->buffers[c], &err), &err);
        data->columns[c] = (int64_t *)(void *)data->buffers[c]->data;
    }
    for (int64_t i = 0; i < rows; i++) {
        data->columns[AUCTION][i] = (int64_t)(next_random(&random) % (uint64_t)keys);
        data->columns[BIDDER][i] = (int64_t)(next_random(&random) % 100000);
        data->columns[PRICE][i] = (int64_t)(next_random(&random) % 10000);
        data->columns[TIME][i] = i / EVENTS_PER_MS;
    }
    const struct type bigint = type_not_null(type_of(TYPE_INT64));
    const struct field fields[] = {
        {"auction", bigint}, {"bidder", bigint}, {"price", bigint}, {"ts", type_not_null(type_timestamp(3))}};
    ok(schema_new(fields, COLUMNS, &data->table.schema, &err), &err);
    data->table.n_batches = (int32_t)(rows / BATCH);
    data->batches = calloc((size_t)data->table.n_batches, sizeof *data->batches);
    data->table.batches = data->batches;
    for (int32_t b = 0; b < data->table.n_batches; b++) {
        struct column *columns[COLUMNS];
        for (int c = 0; c < COLUMNS; c++) {
            struct buffer *owner = buffer_ref(data->buffers[c]);
            ok(column_new(PHYS_I64, BATCH, NULL, data->columns[c] + (int64_t)b * BATCH, &owner, 1, NULL, 0, &columns[c],
                          &err), &err);
        }
        ok(batch_new(data->table.schema, columns, COLUMNS, BATCH, &data->batches[b], &err), &err);
    }
}

static void data_clear(struct data *data) {
    for (int32_t b = 0; b < data->table.n_batches; b++) { batch_unref(data->batches[b]); }
    for (int c = 0; c < COLUMNS; c++) { buffer_unref(data->buffers[c]); }
    free(data->batches);
    schema_unref(data->table.schema);
}

/* --- the product */

static void run_sql(struct session *session, const char *sql) {
    struct sabot_error err = {0};
    struct session_script script;
    ok(session_parse(sql, strlen(sql), &script, &err), &err);
    while (session_left(&script) > 0) {
        struct session_result result;
        ok(session_step(session, &script, &result, &err), &err);
        batch_unref(result.rows);
        if (!result.job) { continue; }
        ok(session_job_wait(result.job, -1, NULL, &err), &err);
        session_job_free(result.job);
    }
    session_script_clear(&script);
}

struct took {
    double cpu_s, wall_s;
};

static struct took run_sabot(const struct data *data, const char *query, int parallelism) {
    struct sabot_error err = {0};
    struct session *session = NULL;
    struct env *env = env_real();
    char sql[2048];
    ok(session_new(env, 0, &session, &err), &err);
    snprintf(sql, sizeof sql,
             "SET 'parallelism.default' = '%d';\n"
             "CREATE TABLE bid (auction BIGINT NOT NULL, bidder BIGINT NOT NULL, price BIGINT NOT NULL,\n"
             "  ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND)\n"
             "WITH ('connector' = 'datagen', 'number-of-rows' = '1')", parallelism);
    run_sql(session, sql);
    struct plan_table *table = &catalog_find(&session->catalog, "bid")->table; /* the same, over what is in memory */
    table->connector = connector_find("batches");
    table->memory = &data->table;
    table->n_options = 0;
    snprintf(sql, sizeof sql, "CREATE TABLE target WITH ('connector' = 'blackhole') AS %s", query);
    const int64_t wall_ns = env_now_ns(env), cpu_ns = env_cpu_ns(env);
    run_sql(session, sql);
    const struct took took = {(double)(env_cpu_ns(env) - cpu_ns) / 1e9, (double)(env_now_ns(env) - wall_ns) / 1e9};
    session_free(session);
    return took;
}

/* --- the limit: what somebody would write by hand for keys that are dense numbers. Each gives a checksum. */

static int64_t plain_q1(const struct data *data) {
    static __int128 price[BATCH];
    int64_t checksum = 0;
    for (int64_t i = 0; i + BATCH <= data->rows; i += BATCH) {
        for (int64_t j = 0; j < BATCH; j++) { price[j] = (__int128)data->columns[PRICE][i + j] * 908; }
        checksum += (int64_t)price[i % BATCH];
        __asm__ volatile("" : : "r"(price) : "memory");
    }
    return checksum;
}

static int64_t plain_q2(const struct data *data) {
    static int32_t rows[BATCH];
    int64_t found = 0;
    for (int64_t i = 0; i + BATCH <= data->rows; i += BATCH) {
        int64_t n = 0;
        for (int32_t j = 0; j < BATCH; j++) {
            rows[n] = j;
            n += data->columns[AUCTION][i + j] % 123 == 0;
        }
        __asm__ volatile("" : : "r"(rows) : "memory");
        found += n;
    }
    return found;
}

struct group {
    int64_t count, sum, max;
};

static int64_t plain_tumble(const struct data *data) {
    struct group *groups = calloc((size_t)data->keys, sizeof *groups);
    int64_t checksum = 0, window_end = WINDOW_MS;
    for (int64_t i = 0; i <= data->rows; i++) {
        if (i == data->rows || data->columns[TIME][i] >= window_end) {
            for (int64_t k = 0; k < data->keys; k++) { checksum += groups[k].count + groups[k].sum + groups[k].max; }
            memset(groups, 0, (size_t)data->keys * sizeof *groups);
            window_end += WINDOW_MS;
            if (i == data->rows) { break; }
        }
        struct group *group = &groups[data->columns[AUCTION][i]];
        const int64_t price = data->columns[PRICE][i];
        group->count++;
        group->sum += price;
        group->max = price > group->max ? price : group->max;
    }
    free(groups);
    return checksum;
}

static int64_t plain_hop(const struct data *data) {
    enum { PANES = WINDOW_MS / SLIDE_MS };
    int64_t *panes[PANES], checksum = 0, slice_end = SLIDE_MS, slices = 0;
    for (int p = 0; p < PANES; p++) { panes[p] = calloc((size_t)data->keys, sizeof **panes); }
    for (int64_t i = 0; i <= data->rows; i++) {
        if (i == data->rows || data->columns[TIME][i] >= slice_end) {
            for (int64_t k = 0; k < data->keys; k++) {
                for (int p = 0; p < PANES; p++) { checksum += panes[p][k]; }
            }
            slices++;
            memset(panes[slices % PANES], 0, (size_t)data->keys * sizeof **panes);
            slice_end += SLIDE_MS;
            if (i == data->rows) { break; }
        }
        panes[slices % PANES][data->columns[AUCTION][i]]++;
    }
    for (int p = 0; p < PANES; p++) { free(panes[p]); }
    return checksum;
}

/* --- cases */

#define TUMBLE_SQL                                                                                                     \
    "SELECT auction, COUNT(*) AS n, SUM(price) AS total, MAX(price) AS best, window_start, window_end\n"              \
    "FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end"
#define HOP_SQL                                                                                                        \
    "SELECT auction, COUNT(*) AS n, window_start, window_end\n"                                                        \
    "FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND))\n"                          \
    "GROUP BY auction, window_start, window_end"

static const struct {
    const char *name, *sql;
    int64_t keys;
    int64_t (*plain)(const struct data *data);
} cases[] = {
    {"q1", "SELECT auction, bidder, price * 0.908 AS price, ts FROM bid", 10000, plain_q1},
    {"q2", "SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0", 10000, plain_q2},
    {"tumble_10k", TUMBLE_SQL, 10000, plain_tumble},
    {"hop_10k", HOP_SQL, 10000, plain_hop},
    {"tumble_1m", TUMBLE_SQL, 1000000, plain_tumble},
};

static double rate(const struct data *data, double seconds) { return (double)data->rows / seconds / 1e6; }

static struct took plain_took(const struct data *data, int64_t (*plain)(const struct data *)) {
    const int64_t start_ns = env_cpu_ns(env_real());
    if (plain(data) == -1) { puts(""); }
    const double seconds = (double)(env_cpu_ns(env_real()) - start_ns) / 1e9;
    return (struct took){seconds, seconds};
}

static int by_cpu(const void *a, const void *b) {
    const struct took *x = a, *y = b;
    return (x->cpu_s > y->cpu_s) - (x->cpu_s < y->cpu_s);
}

static void bench_case(const struct data *data, size_t c) {
    struct took plain[RUNS], one[RUNS], two[RUNS];
    run_sabot(data, cases[c].sql, 1); /* warm */
    for (int run = 0; run < RUNS; run++) {
        plain[run] = plain_took(data, cases[c].plain);
        one[run] = run_sabot(data, cases[c].sql, 1);
        two[run] = run_sabot(data, cases[c].sql, 2);
    }
    qsort(plain, RUNS, sizeof *plain, by_cpu);
    qsort(one, RUNS, sizeof *one, by_cpu);
    qsort(two, RUNS, sizeof *two, by_cpu);
    const char *name = cases[c].name;
    printf("peers/%s/plain_c %.1f Mrows/s\n", name, rate(data, plain[RUNS / 2].cpu_s));
    printf("peers/%s %.1f Mrows/s/core # reference: peers/%s/plain_c\n", name, rate(data, one[RUNS / 2].cpu_s), name);
    printf("peers/%s/wall %.1f Mrows/s\n", name, rate(data, one[RUNS / 2].wall_s));
    printf("peers/%s/two_cores %.1f Mrows/s # reference: peers/%s/wall\n", name, rate(data, two[RUNS / 2].wall_s),
           name);
    printf("peers/%s/two_cores/cpu %.1f Mrows/s/core # reference: peers/%s\n", name, rate(data, two[RUNS / 2].cpu_s),
           name);
    fflush(stdout);
}

int main(int argc, char **argv) {
    const int64_t rows = (argc > 1 ? atoll(argv[1]) : 10) * 1000000 / BATCH * BATCH;
    struct data data = {0};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        if (argc > 2 && strcmp(argv[2], cases[c].name) != 0) { continue; }
        if (data.keys != cases[c].keys) {
            if (data.keys) { data_clear(&data); }
            data = (struct data){0};
            data_make(&data, rows, cases[c].keys);
        }
        bench_case(&data, c);
    }
    if (data.keys) { data_clear(&data); }
    return 0;
}
