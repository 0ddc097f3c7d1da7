/* What key-value state costs: one access, batches of 1024, in memory and in RocksDB, with keys that fit the core's
 * cache (10 k) and that do not (1 M). CPU time of the process, the best of some runs. Of Tonbo, whose library is there
 * only where somebody has built it: batches of 1000 rows and single gets below the cache, and what the cache makes of
 * it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_local.h"
#include "state/kv.h"
#include "state/tonbo.h"
#include "tests/util/bench.h"

#define RUNS 3
#define BATCH 1024

static struct memory_pool pool;
static struct metrics metrics;
static struct state_tables *tables;
static struct kv_store *store;
static int64_t keys[1 << 20];
static struct string_view bytes[BATCH];
static double values[BATCH * 2];

static void store_open(const char *backend) {
    char dir[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/kv-bench-%lld", tmp ? tmp : "/tmp", (long long)env_now_ns(env_real()));
    CHECK(state_tables_new(&(struct state_context){.pool = &pool, .metrics = &metrics, .backend = backend,
                                                   .parallelism = 1, .max_parallelism = 128},
                           &tables, &err));
    CHECK(kv_store_new(&(struct kv_store_options){.env = env_real(), .tables = tables, .dir = dir,
                                                  .memory_bytes = INT64_C(128) << 20},
                       &store, &err));
}
static void store_close(void) {
    state_tables_free(tables);
    kv_store_free(store);
}

enum operation { GET, PUT, ADD };

static void access_once(struct kv_state *state, enum operation operation, int64_t first, int32_t n, const void *data) {
    static bool found[BATCH];
    static struct string_view out[BATCH];
    switch (operation) {
    case GET: CHECK(kv_get(state, 0, keys + first, n, out, found, &err)); break;
    case PUT: CHECK(kv_put(state, 0, keys + first, n, data, &err)); break;
    case ADD: CHECK(kv_add(state, 0, keys + first, n, data, &err)); break;
    }
}

/* ns per key: `total` keys in calls of n. */
static double measure(struct kv_state *state, enum operation operation, int64_t n_keys, int64_t total, int32_t n,
                      const void *data) {
    double best = 1e12;
    for (int32_t run = 0; run < RUNS; run++) {
        const int64_t start = env_cpu_ns(env_real());
        int64_t at = 0;
        for (int64_t done = 0; done < total; done += n) {
            access_once(state, operation, at, n, data);
            at = at + 2 * n <= n_keys ? at + n : 0;
        }
        const double ns = (double)(env_cpu_ns(env_real()) - start) / (double)total;
        best = ns < best ? ns : best;
    }
    return best;
}

static void memory_rows(const char *name, struct kv_state *state, const void *data) {
    static const struct {
        const char *name;
        int64_t keys;
    } sizes[] = {{"10k", 10000}, {"1M", 1 << 20}};
    for (int32_t s = 0; s < 2; s++) {
        printf("memory/%s/put/%s %.1f ns/op # target: <=100\n", name, sizes[s].name,
               measure(state, PUT, sizes[s].keys, 2 << 20, 1, data));
        printf("memory/%s/get/%s %.1f ns/op # target: <=100\n", name, sizes[s].name,
               measure(state, GET, sizes[s].keys, 2 << 20, 1, data));
        printf("memory/%s/put-batch/%s %.1f ns/op # target: 10-20\n", name, sizes[s].name,
               measure(state, PUT, sizes[s].keys, 4 << 20, BATCH, data));
        printf("memory/%s/get-batch/%s %.1f ns/op # target: 10-20\n", name, sizes[s].name,
               measure(state, GET, sizes[s].keys, 4 << 20, BATCH, data));
    }
}

static void in_memory(void) {
    struct kv_state *state;
    const struct kv_declare int64 = {.name = "int64"}, real = {.name = "float64", .value = KV_FLOAT64},
                            text = {.name = "bytes", .value = KV_BYTES}, object = {.name = "object", .value = KV_BYTES},
                            counter = {.name = "counter"};
    store_open("memory");
    CHECK(kv_value_open(store, &int64, &state, &err));
    memory_rows("int64", state, values);
    CHECK(kv_value_open(store, &real, &state, &err));
    memory_rows("float64", state, values);
    CHECK(kv_value_open(store, &text, &state, &err));
    for (int32_t i = 0; i < BATCH; i++) { bytes[i] = string_view_of("16 bytes of text", 16); }
    memory_rows("bytes16", state, bytes);
    static char big[200] = "an object as bytes";
    CHECK(kv_value_open(store, &object, &state, &err));
    for (int32_t i = 0; i < BATCH; i++) { bytes[i] = string_view_of(big, sizeof big); }
    memory_rows("object200", state, bytes);
    CHECK(kv_counter_open(store, &counter, &state, &err));
    printf("memory/counter/add-batch/1M %.1f ns/op\n", measure(state, ADD, 1 << 20, 4 << 20, BATCH, values));
    store_close();
}

static void row_per_second(const char *name, double ns, const char *target) {
    printf("%s %.3f Mops/s # target: %s\n", name, 1000 / ns, target);
}

static void in_rocksdb(void) {
    struct kv_state *state, *counter;
    const struct kv_declare declare = {.name = "values"}, count = {.name = "counters"};
    store_open("rocksdb");
    CHECK(kv_value_open(store, &declare, &state, &err));
    CHECK(kv_counter_open(store, &count, &counter, &err));
    row_per_second("rocksdb/put/cached-10k", measure(state, PUT, 10000, 1 << 20, 1, values), ">=0.1");
    row_per_second("rocksdb/get/cached-10k", measure(state, GET, 10000, 1 << 20, 1, values), ">=0.1");
    row_per_second("rocksdb/put-batch/cached-10k", measure(state, PUT, 10000, 1 << 20, BATCH, values), ">=1");
    row_per_second("rocksdb/get-batch/cached-10k", measure(state, GET, 10000, 1 << 20, BATCH, values), ">=1");
    /* sixteen times what the cache holds: each access goes below */
    row_per_second("rocksdb/put/1M", measure(state, PUT, 1 << 20, 1 << 20, 1, values), ">=0.1");
    row_per_second("rocksdb/get/1M", measure(state, GET, 1 << 20, 1 << 20, 1, values), ">=0.1");
    row_per_second("rocksdb/put-batch/1M", measure(state, PUT, 1 << 20, 1 << 20, BATCH, values), ">=1");
    row_per_second("rocksdb/get-batch/1M", measure(state, GET, 1 << 20, 1 << 20, BATCH, values), ">=1");
    row_per_second("rocksdb/counter/add/10k", measure(counter, ADD, 10000, 1 << 20, 1, values), ">=0.1");
    row_per_second("rocksdb/counter/add-batch/1M", measure(counter, ADD, 1 << 20, 1 << 20, BATCH, values), ">=1");
    store_close();
}

#define TONBO_BATCH 1000
#define TONBO_ROWS 100000

static struct kv_span tonbo_key(int64_t number, uint8_t room[8]) {
    const uint64_t ordered = __builtin_bswap64((uint64_t)number);
    memcpy(room, &ordered, 8);
    return (struct kv_span){room, 8};
}

static sabot_status count_found(void *arg, int32_t i, struct kv_span value, struct sabot_error *err) {
    (void)i;
    (void)err;
    *(int64_t *)arg += value.data != NULL;
    return SABOT_OK;
}
static sabot_status count_seen(void *arg, struct kv_span key, struct kv_span value, bool *more,
                               struct sabot_error *err) {
    (void)key;
    (void)value;
    (void)more;
    (void)err;
    ++*(int64_t *)arg;
    return SABOT_OK;
}

/* us per call: n random keys out of all, `calls` times. */
static double tonbo_gets(struct kv_below *below, int32_t n, int32_t calls) {
    static uint8_t rooms[TONBO_BATCH][8];
    struct kv_span wanted[TONBO_BATCH];
    uint64_t random = 7;
    int64_t found = 0;
    const int64_t start = env_cpu_ns(env_real());
    for (int32_t c = 0; c < calls; c++) {
        for (int32_t i = 0; i < n; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            wanted[i] = tonbo_key((int64_t)((random >> 33) % TONBO_ROWS), rooms[i]);
        }
        CHECK(below->type->get(below, wanted, n, count_found, &found, &err));
    }
    if (found != (int64_t)n * calls) { exit(1); }
    return (double)(env_cpu_ns(env_real()) - start) / calls / 1000;
}

/* Tonbo itself, below the cache: 100,000 rows of 8 + 8 bytes. False: its library is not there. */
static bool below_in_tonbo(void) {
    char dir[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/kv-bench-tonbo-%lld", tmp ? tmp : "/tmp", (long long)env_now_ns(env_real()));
    struct tonbo *tonbo;
    if (tonbo_open(&(struct tonbo_options){.env = env_real(), .pool = &pool, .path = dir}, &tonbo, NULL) != SABOT_OK) {
        printf("no figures of Tonbo: its library is not built (make tonbo)\n");
        return false;
    }
    struct kv_below *below = tonbo_below(tonbo);
    uint8_t room[8];
    const int64_t start = env_cpu_ns(env_real());
    for (int64_t i = 0; i < TONBO_ROWS; i++) {
        const int64_t value = i;
        CHECK(below->type->put(below, tonbo_key(i * 7919 % TONBO_ROWS, room), (struct kv_span){&value, 8}, &err));
        if ((i + 1) % TONBO_BATCH == 0) { CHECK(below->type->commit(below, &err)); }
    }
    printf("tonbo/below/put-1000 %.1f us/batch # target: <=10\n",
           (double)(env_cpu_ns(env_real()) - start) / (TONBO_ROWS / TONBO_BATCH) / 1000);
    printf("tonbo/below/get-1000 %.1f us/batch\n", tonbo_gets(below, TONBO_BATCH, 5));
    printf("tonbo/below/get-1 %.1f us/op # target: <=0.5\n", tonbo_gets(below, 1, 20));
    CHECK(tonbo_compact(tonbo, &err));
    printf("tonbo/below/get-1000/rewritten %.1f us/batch\n", tonbo_gets(below, TONBO_BATCH, 5));
    printf("tonbo/below/get-1/rewritten %.1f us/op # target: <=0.5\n", tonbo_gets(below, 1, 20));
    int64_t seen = 0;
    const int64_t scan_start = env_cpu_ns(env_real());
    CHECK(below->type->scan(below, (struct kv_span){0}, (struct kv_span){0}, count_seen, &seen, &err));
    printf("tonbo/below/scan %.3f Mrows/s\n", (double)seen * 1000 / (double)(env_cpu_ns(env_real()) - scan_start));
    tonbo_close(tonbo);
    env_remove_tree(env_real(), dir, NULL);
    return true;
}

static void in_tonbo(void) {
    struct kv_state *state;
    const struct kv_declare declare = {.name = "values"};
    store_open("tonbo");
    CHECK(kv_value_open(store, &declare, &state, &err));
    row_per_second("tonbo/put/cached-10k", measure(state, PUT, 10000, 1 << 20, 1, values), ">=0.1");
    row_per_second("tonbo/get/cached-10k", measure(state, GET, 10000, 1 << 20, 1, values), ">=0.1");
    /* twice what the cache holds: each access goes below */
    row_per_second("tonbo/put-batch/128k", measure(state, PUT, 1 << 17, 1 << 17, BATCH, values), ">=1");
    row_per_second("tonbo/get-batch/128k", measure(state, GET, 1 << 17, 1 << 13, BATCH, values), ">=1");
    store_close();
}

/* With an argument: Tonbo alone. */
int main(int argc, char **argv) {
    (void)argv;
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    uint64_t random = 42;
    for (int64_t i = 0; i < 1 << 20; i++) { keys[i] = i; }
    for (int64_t i = 9999; i > 0; i--) { /* shuffled: the first 10,000 among themselves, then all the others */
        random = random * 6364136223846793005u + 1442695040888963407u;
        const int64_t other = (int64_t)((random >> 33) % (uint64_t)(i + 1)), key = keys[i];
        keys[i] = keys[other];
        keys[other] = key;
    }
    for (int64_t i = (1 << 20) - 1; i > 10000; i--) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const int64_t other = 10000 + (int64_t)((random >> 33) % (uint64_t)(i - 9999)), key = keys[i];
        keys[i] = keys[other];
        keys[other] = key;
    }
    if (argc == 1) {
        in_memory();
        in_rocksdb();
    }
    if (below_in_tonbo()) { in_tonbo(); }
    return 0;
}
