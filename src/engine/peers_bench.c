/* The keyed windows, the projection and the selection that stream processors are compared by, as whole jobs from SQL
 * text to a sink, beside a plain C loop over the same columns as the limit.
 *
 * Data: bids in memory as int64 columns auction, bidder, price and a time; auction uniform over 10 k or 1 M keys, time
 * rising, 100,000 events per second of event time. q1: price * 0.908, the other columns passed on; q2: auction % 123 =
 * 0; tumble: 10 s count, sum, max of price by auction; hop: 10 s by 2 s count by auction; join: bids of 652,174
 * auctions with these (id, seller, category, reserve), four columns out. two_cores: one job on two cores; two_jobs: two
 * jobs of one core beside each other, which is what two cores of this machine can do together. Arguments: [million
 * rows] [only this case]. */
#include "base/error.h"
#include "engine/session.h"
#include "tests/util/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 8192
#define EVENTS_PER_MS 100
#define WINDOW_MS 10000
#define SLIDE_MS 2000
#define RUNS 3

enum { AUCTION, BIDDER, PRICE, TIME, COLUMNS };

enum { ID, SELLER, CATEGORY, RESERVE }; /* of an auction */
#define AUCTIONS 652174

struct columns_table { /* COLUMNS columns of int64 in batches */
    int64_t rows;
    struct buffer *buffers[COLUMNS];
    int64_t *columns[COLUMNS];
    struct batch **batches;
    struct batches_table table;
};
struct data {
    struct memory_pool pool;
    int64_t rows, keys;
    struct columns_table bids, auctions;
};

static void table_init(struct data *data, struct columns_table *table, int64_t rows, const struct field *fields) {
    table->rows = rows;
    for (int c = 0; c < COLUMNS; c++) {
        CHECK(buffer_new(&data->pool, (size_t)rows * 8, &table->buffers[c], &err));
        table->columns[c] = (int64_t *)(void *)table->buffers[c]->data;
    }
    CHECK(schema_new(fields, COLUMNS, &table->table.schema, &err));
}

static void table_cut(struct columns_table *table) {
    table->table.n_batches = (int32_t)((table->rows + BATCH - 1) / BATCH);
    table->batches = calloc((size_t)table->table.n_batches, sizeof *table->batches);
    table->table.batches = table->batches;
    for (int32_t b = 0; b < table->table.n_batches; b++) {
        struct column *columns[COLUMNS];
        const int64_t first = (int64_t)b * BATCH, left = table->rows - first;
        const int32_t n = left < BATCH ? (int32_t)left : BATCH;
        for (int c = 0; c < COLUMNS; c++) {
            struct buffer *owner = buffer_ref(table->buffers[c]);
            CHECK(column_new(PHYS_I64, n, NULL, table->columns[c] + first, &owner, 1, NULL, 0, &columns[c], &err));
        }
        CHECK(batch_new(table->table.schema, columns, COLUMNS, n, &table->batches[b], &err));
    }
}

static void table_clear(struct columns_table *table) {
    for (int32_t b = 0; b < table->table.n_batches; b++) { batch_unref(table->batches[b]); }
    for (int c = 0; c < COLUMNS; c++) { buffer_unref(table->buffers[c]); }
    free(table->batches);
    schema_unref(table->table.schema);
}

static void data_make(struct data *data, int64_t rows, int64_t keys) {
    uint64_t random = BENCH_SEED;
    memory_pool_init(&data->pool, "bench", NULL, INT64_MAX);
    data->rows = rows;
    data->keys = keys;
    const struct type bigint = type_not_null(type_of(TYPE_INT64));
    const struct field of_bids[] = {
        {"auction", bigint}, {"bidder", bigint}, {"price", bigint}, {"ts", type_not_null(type_timestamp(3))}};
    const struct field of_auctions[] = {{"id", bigint}, {"seller", bigint}, {"category", bigint}, {"reserve", bigint}};
    struct columns_table *bids = &data->bids, *auctions = &data->auctions;
    table_init(data, bids, rows, of_bids);
    for (int64_t i = 0; i < rows; i++) {
        bids->columns[AUCTION][i] = (int64_t)(xorshift64(&random) % (uint64_t)keys);
        bids->columns[BIDDER][i] = (int64_t)(xorshift64(&random) % 100000);
        bids->columns[PRICE][i] = (int64_t)(xorshift64(&random) % 10000);
        bids->columns[TIME][i] = i / EVENTS_PER_MS;
    }
    table_cut(bids);
    table_init(data, auctions, AUCTIONS, of_auctions);
    for (int64_t i = 0; i < AUCTIONS; i++) {
        auctions->columns[ID][i] = i * 7919 % AUCTIONS; /* each once, out of order */
        auctions->columns[SELLER][i] = (int64_t)(xorshift64(&random) % 100000);
        auctions->columns[CATEGORY][i] = (int64_t)(xorshift64(&random) % 10);
        auctions->columns[RESERVE][i] = (int64_t)(xorshift64(&random) % 10000);
    }
    table_cut(auctions);
}

static void data_clear(struct data *data) {
    table_clear(&data->bids);
    table_clear(&data->auctions);
}

/* --- the product */

static void run_sql(struct session *session, const char *sql) {
    struct session_script script;
    CHECK(session_parse(sql, strlen(sql), &script, &err));
    while (session_left(&script) > 0) {
        struct session_result result;
        CHECK(session_step(session, &script, &result, &err));
        batch_unref(result.rows);
        if (!result.job) { continue; }
        CHECK(session_job_wait(result.job, -1, NULL, &err));
        session_job_free(result.job);
    }
    session_script_clear(&script);
}

struct took {
    double cpu_s, wall_s;
};

/* The table is the same, over what is in memory. */
static void put_in_memory(struct session *session, const char *name, const struct columns_table *columns) {
    struct plan_table *table = &catalog_find(&session->catalog, name)->table;
    table->connector = connector_find("batches");
    table->memory = &columns->table;
    table->n_options = 0;
}

static struct took run_sabot(const struct data *data, const char *query, int parallelism) {
    struct session *session = NULL;
    struct env *env = env_real();
    char sql[2048];
    CHECK(session_new(env, 0, &session, &err));
    snprintf(sql, sizeof sql,
             "SET 'parallelism.default' = '%d';\n"
             "CREATE TABLE bid (auction BIGINT NOT NULL, bidder BIGINT NOT NULL, price BIGINT NOT NULL,\n"
             "  ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND)\n"
             "WITH ('connector' = 'datagen', 'number-of-rows' = '1')", parallelism);
    run_sql(session, sql);
    run_sql(session, "CREATE TABLE auction (id BIGINT NOT NULL, seller BIGINT NOT NULL, category BIGINT NOT NULL,\n"
                     "  reserve BIGINT NOT NULL) WITH ('connector' = 'datagen', 'number-of-rows' = '1')");
    put_in_memory(session, "bid", &data->bids);
    put_in_memory(session, "auction", &data->auctions);
    snprintf(sql, sizeof sql, "CREATE TABLE target WITH ('connector' = 'blackhole') AS %s", query);
    const int64_t wall_ns = env_now_ns(env), cpu_ns = env_cpu_ns(env);
    run_sql(session, sql);
    const struct took took = {(double)(env_cpu_ns(env) - cpu_ns) / 1e9, (double)(env_now_ns(env) - wall_ns) / 1e9};
    session_free(session);
    return took;
}

struct one_of_two {
    const struct data *data;
    const char *query;
};

static void run_one_of_two(void *arg) {
    const struct one_of_two *one = arg;
    run_sabot(one->data, one->query, 1);
}

/* Seconds of two jobs beside each other, each over all rows on a core of its own: what the cores lose to each other
 * without sending each other a row. */
static double run_two_jobs(const struct data *data, const char *query) {
    struct env *env = env_real();
    struct env_thread *threads[2];
    struct one_of_two one = {data, query};
    const int64_t wall_ns = env_now_ns(env);
    for (int i = 0; i < 2; i++) { CHECK(env_thread_start(env, "job", run_one_of_two, &one, &threads[i], &err)); }
    for (int i = 0; i < 2; i++) { env_thread_join(threads[i]); }
    return (double)(env_now_ns(env) - wall_ns) / 1e9;
}

/* --- the limit: what somebody would write by hand for keys that are dense numbers. Each gives a checksum. */

static int64_t plain_q1(const struct data *data) {
    static __int128 price[BATCH];
    int64_t checksum = 0;
    for (int64_t i = 0; i + BATCH <= data->rows; i += BATCH) {
        for (int64_t j = 0; j < BATCH; j++) { price[j] = (__int128)data->bids.columns[PRICE][i + j] * 908; }
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
            n += data->bids.columns[AUCTION][i + j] % 123 == 0;
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
        if (i == data->rows || data->bids.columns[TIME][i] >= window_end) {
            for (int64_t k = 0; k < data->keys; k++) { checksum += groups[k].count + groups[k].sum + groups[k].max; }
            memset(groups, 0, (size_t)data->keys * sizeof *groups);
            window_end += WINDOW_MS;
            if (i == data->rows) { break; }
        }
        struct group *group = &groups[data->bids.columns[AUCTION][i]];
        const int64_t price = data->bids.columns[PRICE][i];
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
        if (i == data->rows || data->bids.columns[TIME][i] >= slice_end) {
            for (int64_t k = 0; k < data->keys; k++) {
                for (int p = 0; p < PANES; p++) { checksum += panes[p][k]; }
            }
            slices++;
            memset(panes[slices % PANES], 0, (size_t)data->keys * sizeof **panes);
            slice_end += SLIDE_MS;
            if (i == data->rows) { break; }
        }
        panes[slices % PANES][data->bids.columns[AUCTION][i]]++;
    }
    for (int p = 0; p < PANES; p++) { free(panes[p]); }
    return checksum;
}

/* A table of open addressing, half full at most. */
static int64_t plain_join(const struct data *data) {
    enum { ENTRIES = 1 << 21 };
    struct {
        int64_t id;
        int64_t row1; /* row + 1 */
    } *entries = calloc(ENTRIES, sizeof *entries);
    const struct columns_table *bids = &data->bids, *auctions = &data->auctions;
    static int64_t out[COLUMNS][BATCH];
    int64_t found = 0, n = 0;
    for (int64_t row = 0; row < auctions->rows; row++) {
        const int64_t id = auctions->columns[ID][row];
        uint64_t at = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 43;
        while (entries[at].row1) { at = (at + 1) % ENTRIES; }
        entries[at].id = id;
        entries[at].row1 = row + 1;
    }
    for (int64_t i = 0; i < bids->rows; i++) {
        const int64_t id = bids->columns[AUCTION][i];
        uint64_t at = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 43;
        for (; entries[at].row1; at = (at + 1) % ENTRIES) {
            if (entries[at].id != id) { continue; }
            out[0][n] = id;
            out[1][n] = bids->columns[BIDDER][i];
            out[2][n] = bids->columns[PRICE][i];
            out[3][n++] = auctions->columns[SELLER][entries[at].row1 - 1];
            found++;
            if (n < BATCH) { continue; }
            n = 0;
            __asm__ volatile("" : : "r"(out) : "memory");
        }
    }
    free(entries);
    return found;
}

/* --- cases */

#define TUMBLE_SQL                                                                                                     \
    "SELECT auction, COUNT(*) AS n, SUM(price) AS total, MAX(price) AS best, window_start, window_end\n"              \
    "FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end"
#define HOP_SQL                                                                                                        \
    "SELECT auction, COUNT(*) AS n, window_start, window_end\n"                                                        \
    "FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND))\n"                          \
    "GROUP BY auction, window_start, window_end"
#define JOIN_SQL                                                                                                       \
    "SELECT b.auction, b.bidder, b.price, a.seller FROM bid AS b JOIN auction AS a ON b.auction = a.id"

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
    {"join", JOIN_SQL, AUCTIONS, plain_join},
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
    double apart_s = INFINITY;
    run_sabot(data, cases[c].sql, 1); /* warm */
    for (int run = 0; run < RUNS; run++) {
        plain[run] = plain_took(data, cases[c].plain);
        one[run] = run_sabot(data, cases[c].sql, 1);
        two[run] = run_sabot(data, cases[c].sql, 2);
        apart_s = fmin(apart_s, run_two_jobs(data, cases[c].sql));
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
    printf("peers/%s/two_jobs %.1f Mrows/s # reference: peers/%s/wall\n", name, 2 * rate(data, apart_s), name);
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
