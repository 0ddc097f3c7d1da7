/* What key-value state costs: one access, batches of 1024, in memory and in RocksDB, with keys that fit the core's
 * cache (10 k) and that do not (1 M). CPU time of the process, the best of some runs; what takes long is run once. Of
 * Tonbo, whose library is there only where somebody has built it: batches of 1000 rows and single gets below the cache,
 * and what the cache makes of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_local.h"
#include "state/kv.h"
#include "state/tonbo.h"
#include "tests/util/bench.h"

#define RUNS 3
#define RUN_AGAIN_NS INT64_C(2000000000) /* spent so far: what takes longer is no matter of luck */
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
    static struct sabot_error err; /* one for all: to clear a kilobyte costs more than an access */
    sabot_status status;
    switch (operation) {
    case GET: status = kv_get(state, 0, keys + first, n, out, found, &err); break;
    case PUT: status = kv_put(state, 0, keys + first, n, data, &err); break;
    default: status = kv_add(state, 0, keys + first, n, data, &err); break;
    }
    if (status != SABOT_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

/* ns per key: `total` keys in calls of n. */
static double measure(struct kv_state *state, enum operation operation, int64_t n_keys, int64_t total, int32_t n,
                      const void *data) {
    double best = 1e12;
    const int64_t first_start = env_cpu_ns(env_real());
    for (int32_t run = 0; run < RUNS; run++) {
        const int64_t start = env_cpu_ns(env_real());
        if (start - first_start > RUN_AGAIN_NS) { break; }
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

/* What the machine makes of it: open addressing in plain C, entries of 16 bytes that say where the value stands, one
 * call per access. Nothing has fewer cache misses that does not keep the value beside the key. */
struct plain_entry {
    uint64_t key;
    uint32_t slot1;
};
static struct plain_entry *plain_index;
static uint64_t *plain_values, plain_mask;

static uint64_t plain_hash(uint64_t key) { /* murmur3's end: mixes as well as what tables use */
    key = (key ^ key >> 33) * UINT64_C(0xff51afd7ed558ccd);
    key = (key ^ key >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return key ^ key >> 33;
}

static uint64_t __attribute__((noinline)) *plain_find(const int64_t *key) {
    uint64_t at = plain_hash((uint64_t)*key) & plain_mask;
    while (plain_index[at].slot1 && plain_index[at].key != (uint64_t)*key) { at = (at + 1) & plain_mask; }
    return plain_index[at].slot1 ? &plain_values[plain_index[at].slot1 - 1] : NULL;
}

static void plain_rows(int64_t n_keys, const char *name) {
    static bool found[BATCH];
    static uint64_t out[BATCH];
    plain_mask = 1023;
    while ((int64_t)plain_mask / 3 * 2 < n_keys) { plain_mask = plain_mask * 2 + 1; }
    plain_index = calloc(plain_mask + 1, sizeof *plain_index);
    plain_values = calloc((size_t)n_keys, sizeof *plain_values);
    for (int64_t i = 0; i < n_keys; i++) {
        uint64_t at = plain_hash((uint64_t)keys[i]) & plain_mask;
        while (plain_index[at].slot1) { at = (at + 1) & plain_mask; }
        plain_index[at] = (struct plain_entry){(uint64_t)keys[i], (uint32_t)i + 1};
    }
    double best[2] = {1e12, 1e12};
    for (int32_t run = 0; run < 2 * RUNS; run++) {
        const int64_t start = env_cpu_ns(env_real()), total = 2 << 20;
        for (int64_t done = 0, at = 0; done < total; done++, at = at + 1 < n_keys ? at + 1 : 0) {
            uint64_t *value = plain_find(&keys[at]);
            if (run % 2) {
                *value = (uint64_t)done;
            } else {
                found[0] = value != NULL;
                out[0] = *value;
            }
        }
        const double ns = (double)(env_cpu_ns(env_real()) - start) / (double)total;
        best[run % 2] = ns < best[run % 2] ? ns : best[run % 2];
    }
    if (!found[0] || out[0] == UINT64_MAX) { exit(1); }
    printf("plain-c/int64/put/%s %.1f ns/op\nplain-c/int64/get/%s %.1f ns/op\n", name, best[1], name, best[0]);
    free(plain_index);
    free(plain_values);
}

static void single_row(const char *what, const char *name, const char *size, double ns) {
    /* the plain table has the same keys and numbers: what is above it is ours, not the cache's */
    printf("memory/%s/%s/%s %.1f ns/op # reference: plain-c/int64/%s/%s # target: <=100\n", name, what, size, ns, what,
           size);
}

static void memory_rows(const char *name, struct kv_state *state, const void *data) {
    static const struct {
        const char *name;
        int64_t keys;
    } sizes[] = {{"10k", 10000}, {"1M", 1 << 20}};
    for (int32_t s = 0; s < 2; s++) {
        const int64_t n = sizes[s].keys;
        if (strcmp(name, "int64") == 0) { plain_rows(n, sizes[s].name); }
        single_row("put", name, sizes[s].name, measure(state, PUT, n, 2 << 20, 1, data));
        single_row("get", name, sizes[s].name, measure(state, GET, n, 2 << 20, 1, data));
        printf("memory/%s/put-batch/%s %.1f ns/op # target: <=20\n", name, sizes[s].name,
               measure(state, PUT, n, 4 << 20, BATCH, data));
        printf("memory/%s/get-batch/%s %.1f ns/op # target: <=20\n", name, sizes[s].name,
               measure(state, GET, n, 4 << 20, BATCH, data));
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
    uint64_t random = BENCH_SEED;
    int64_t found = 0;
    const int64_t start = env_cpu_ns(env_real());
    for (int32_t c = 0; c < calls; c++) {
        for (int32_t i = 0; i < n; i++) {
            wanted[i] = tonbo_key((int64_t)(xorshift64(&random) % TONBO_ROWS), rooms[i]);
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

static void shuffle(int64_t *items, int64_t n) {
    static uint64_t random = BENCH_SEED;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t other = (int64_t)(xorshift64(&random) % (uint64_t)(i + 1)), item = items[i];
        items[i] = items[other];
        items[other] = item;
    }
}

/* With an argument (memory, rocksdb, tonbo): that part alone. */
int main(int argc, char **argv) {
    const char *only = argc > 1 ? argv[1] : NULL;
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    for (int64_t i = 0; i < 1 << 20; i++) { keys[i] = i; }
    shuffle(keys, 10000); /* the first 10,000 among themselves, then all the others */
    shuffle(keys + 10000, (1 << 20) - 10000);
    if (!only || strcmp(only, "memory") == 0) { in_memory(); }
    if (!only || strcmp(only, "rocksdb") == 0) { in_rocksdb(); }
    if ((!only || strcmp(only, "tonbo") == 0) && below_in_tonbo()) { in_tonbo(); }
    return 0;
}
