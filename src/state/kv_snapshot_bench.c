/* What a checkpoint of key-value state costs the task that owns it: the synchronous part at the barrier, the longest
 * step between two batches, how many rows are written; of all, and of the 1 % that has changed. In memory and in
 * RocksDB. SABOT_BENCH_STATE_MB (default 512) is the size of the state in memory, a tenth of it goes to RocksDB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_local.h"
#include "state/kv.h"
#include "tests/util/bench.h"

#define BATCH 1024
#define OBJECT_BYTES 200
#define ROW_BYTES (8 + OBJECT_BYTES)
#define STEP_SLOTS 16384 /* as src/checkpoint/snapshot.c has it */

static struct memory_pool pool;
static struct metrics metrics;
static struct state_tables *tables;
static struct kv_store *store;
static struct kv_state *state;

static double now_us(void) { return (double)env_now_ns(env_real()) / 1000; }

static void put(int64_t first, int64_t stride, int64_t n) {
    static char object[OBJECT_BYTES];
    int64_t keys[BATCH];
    struct string_view values[BATCH];
    for (int64_t done = 0; done < n; done += BATCH) {
        const int32_t m = n - done < BATCH ? (int32_t)(n - done) : BATCH;
        for (int32_t i = 0; i < m; i++) {
            keys[i] = first + (done + i) * stride;
            values[i] = string_view_of(object, sizeof object);
        }
        memcpy(object, &done, sizeof done);
        CHECK(kv_put(state, 0, keys, m, values, &err));
    }
}

static void snapshot(const char *backend, const char *what, enum state_form form) {
    struct state_table_info info;
    state_table_info(tables, 0, &info);
    const double begin = now_us();
    CHECK(state_table_freeze(tables, 0, info.has_chain ? form : STATE_FORM_ROWS, &err));
    const double frozen = now_us();
    double longest = 0;
    int64_t rows = 0;
    for (bool done = false; !done;) {
        struct batch *batch;
        const double step = now_us();
        CHECK(state_table_copy(tables, 0, STEP_SLOTS, &batch, &done, &err));
        longest = now_us() - step > longest ? now_us() - step : longest;
        rows += batch ? batch->rows : 0;
        batch_unref(batch);
    }
    printf("kv-checkpoint/%s/%s/sync %.3f ms # target: <=10\n", backend, what, (frozen - begin) / 1000);
    printf("kv-checkpoint/%s/%s/longest-step %.3f ms\n", backend, what, longest / 1000);
    printf("kv-checkpoint/%s/%s/copied %lld rows in %.3f s\n", backend, what, (long long)rows,
           (now_us() - frozen) / 1e6);
}

static void bench(const char *backend, int64_t rows) {
    char dir[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/kv-bench-%lld", tmp ? tmp : "/tmp", (long long)env_now_ns(env_real()));
    CHECK(state_tables_new(&(struct state_context){.pool = &pool, .metrics = &metrics, .backend = backend,
                                                   .snapshots = true, .parallelism = 1, .max_parallelism = 128},
                           &tables, &err));
    CHECK(kv_store_new(&(struct kv_store_options){.env = env_real(), .tables = tables, .dir = dir,
                                                  .memory_bytes = INT64_C(128) << 20},
                       &store, &err));
    const struct kv_declare declare = {.name = "objects", .value = KV_BYTES};
    CHECK(kv_value_open(store, &declare, &state, &err));
    put(0, 1, rows);
    printf("kv-checkpoint/%s/state %.1f MB, %lld rows of %d bytes\n", backend, (double)rows * ROW_BYTES / 1e6,
           (long long)rows, ROW_BYTES);
    snapshot(backend, "full", STATE_FORM_BASE);
    put(0, 100, rows / 100);
    snapshot(backend, "1%-changed", STATE_FORM_DELTA);
    state_tables_free(tables);
    kv_store_free(store);
}

int main(void) {
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    const char *size = getenv("SABOT_BENCH_STATE_MB");
    const int64_t rows = (size ? strtoll(size, NULL, 10) : 512) * (1 << 20) / ROW_BYTES;
    bench("memory", rows);
    bench("rocksdb", rows / 10);
    return 0;
}
