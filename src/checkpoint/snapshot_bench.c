/* What a checkpoint of a large table costs the task that owns it, and the disk: the synchronous part, the longest step
 * between two batches, a full and an incremental one, the same bytes written plainly, and a restore.
 * SABOT_BENCH_STATE_MB (default 512) is the size of the state's rows, of which each has SABOT_BENCH_ROW_BYTES (default
 * 32; 10 GB need 128, and 14 GB of memory); the files go to TMPDIR. Steps are what a task does between two batches; the
 * longest may be one in which the system ran somebody else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/restore.h"
#include "checkpoint/snapshot.h"
#include "checkpoint/storage.h"
#include "tests/util/bench.h"

#define VALUES_MAX 31 /* of 8 bytes, beside the key */
#define INSERT_ROWS 8192
#define PLAIN_BYTES ((size_t)1 << 20)
#define SECOND 1e9

struct bench {
    struct memory_pool pool;
    struct metrics metrics;
    struct schema *schema;
    struct store *store;
    struct state_tables *tables;
    struct state_table *table;
    struct coordinator *coordinator;
    struct env_event *event;
    struct snapshot_chains *chains;
    struct task_snapshot *snapshot;
    char dir[256];
    int32_t row_bytes;
    int64_t rows, triggered;
    double begin_ns;         /* of the last checkpoint: the synchronous part */
    struct histogram *steps; /* of the first */
};

static double now_ns(void) { return (double)env_now_ns(env_real()); }
static void wake(void *arg) { env_event_set(((struct bench *)arg)->event); }
static void trigger(void *arg, int64_t id, int64_t timestamp_ms) {
    (void)timestamp_ms;
    ((struct bench *)arg)->triggered = id;
}
static void ignore(void *arg, int64_t id) {
    (void)arg;
    (void)id;
}
static sabot_status prepare(void *arg, struct sabot_error *err) {
    (void)arg;
    (void)err;
    return SABOT_OK;
}

static void tables_open(struct bench *bench, struct state_tables **out) {
    const struct state_context context = {.pool = &bench->pool, .metrics = &bench->metrics, .backend = "memory",
                                          .snapshots = true, .parallelism = 1, .max_parallelism = 128};
    CHECK(state_tables_new(&context, out, &err));
}
static void table_open(struct bench *bench, struct state_tables *tables, struct state_table **out) {
    const struct state_spec spec = {.name = "rows", .kind = STATE_KEYED, .schema = bench->schema, .n_keys = 1};
    CHECK(state_table_open(tables, &spec, out, &err));
}

static void fill(struct bench *bench) {
    static int32_t slots[INSERT_ROWS];
    const int32_t keys[] = {0};
    for (int64_t first = 0; first < bench->rows; first += INSERT_ROWS) {
        struct column_builder builder;
        struct column *column;
        struct batch *batch;
        CHECK(column_builder_init(&builder, &bench->pool, PHYS_I64, INSERT_ROWS, false, &err));
        for (int32_t i = 0; i < INSERT_ROWS; i++) { ((int64_t *)builder.values)[i] = first + i; }
        CHECK(column_builder_finish(&builder, &column, &err));
        CHECK(batch_new(bench->schema, &column, 1, INSERT_ROWS, &batch, &err));
        CHECK(batch_cache_hashes(&bench->pool, batch, keys, 1, &err));
        CHECK(state_find_or_insert(bench->table, 0, batch, keys, NULL, INSERT_ROWS, slots, &err));
        /* half of the bits are noise: it compresses as money does */
        for (int32_t c = 0; c + 1 < bench->row_bytes / 8; c++) {
            int64_t *values = state_values(bench->table, 0, c);
            for (int32_t i = 0; i < INSERT_ROWS; i++) {
                values[slots[i]] = (int64_t)((uint64_t)(first + i + c) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
            }
        }
        batch_unref(batch);
    }
}

static void change(struct bench *bench, int64_t n) {
    uint64_t random = BENCH_SEED;
    for (int64_t i = 0; i < n; i++) {
        xorshift64(&random);
        const int32_t slot = (int32_t)(random % (uint64_t)bench->rows);
        state_touch(bench->table, 0, &slot, 1);
        ((int64_t *)state_values(bench->table, 0, 0))[slot]++;
    }
}

/* Returns how long it took until it was complete. */
static double checkpoint(struct bench *bench, struct coordinator_counts *counts) {
    struct checkpoint_request request = {0};
    struct sabot_error fatal = {0};
    const double start = now_ns();
    bench->triggered = -1;
    CHECK(coordinator_request(bench->coordinator, &request, &err));
    while (!coordinator_poll(bench->coordinator, &request)) {
        (void)coordinator_step(bench->coordinator, false, &fatal);
        if (bench->triggered >= 0) {
            const struct snapshot_options options = {.env = env_real(), .pool = &bench->pool, .wake = wake,
                                                     .coordinator = bench->coordinator, .wake_arg = bench,
                                                     .checkpoint_id = bench->triggered};
            const struct snapshot_op op = {.uid = "bench", .parallelism = 1, .tables = bench->tables,
                                           .chains = &bench->chains};
            const double before = now_ns();
            CHECK(task_snapshot_begin(&options, &op, 1, &bench->snapshot, &err));
            bench->begin_ns = now_ns() - before;
            bench->triggered = -1;
        }
        bool more = false;
        if (bench->snapshot) {
            const double before = now_ns();
            task_snapshot_step(&bench->snapshot, &more);
            if (bench->steps) { histogram_record(bench->steps, (int64_t)(now_ns() - before), 1); }
        }
        if (!more) { env_event_wait(bench->event, 1000000); }
    }
    if (request.error.status != SABOT_OK) {
        fprintf(stderr, "%s\n", request.error.message);
        exit(1);
    }
    coordinator_counts(bench->coordinator, counts);
    return now_ns() - start;
}

/* The same number of bytes into one file, synced, as `dd conv=fsync` does. */
static double plain_write(struct bench *bench, int64_t bytes) {
    char path[300];
    snprintf(path, sizeof path, "%s/plain", bench->dir);
    char *block = malloc(PLAIN_BYTES);
    if (!block) { exit(1); }
    for (size_t i = 0; i < PLAIN_BYTES; i++) { block[i] = (char)(i * 131 >> 3); }
    struct store_writer *writer;
    const double start = now_ns();
    CHECK(store_create(bench->store, path, STORE_AT_FINISH, &writer, &err));
    for (int64_t at = 0; at < bytes; at += (int64_t)PLAIN_BYTES) {
        const int64_t left = bytes - at;
        CHECK(store_write(writer, block, left < (int64_t)PLAIN_BYTES ? (size_t)left : PLAIN_BYTES, &err));
    }
    CHECK(store_finish(writer, &err));
    const double ns = now_ns() - start;
    store_writer_close(writer);
    CHECK(store_remove(bench->store, path, &err));
    free(block);
    return ns;
}

/* Returns how long it took; *cpu_ns: of all threads. */
static double restore(struct bench *bench, double *cpu_ns) {
    struct restore *from;
    struct state_tables *tables;
    struct state_table *table;
    const int64_t cpu_before = env_cpu_ns(env_real());
    const double start = now_ns();
    CHECK(restore_open(bench->store, bench->dir, &bench->pool, &from, &err));
    tables_open(bench, &tables);
    CHECK(restore_load(from, "bench", 0, 1, tables, &err));
    table_open(bench, tables, &table);
    const double ns = now_ns() - start;
    *cpu_ns = (double)(env_cpu_ns(env_real()) - cpu_before);
    if (state_count(table, 0) != bench->rows) {
        fprintf(stderr, "%lld rows came back, not %lld\n", (long long)state_count(table, 0), (long long)bench->rows);
        exit(1);
    }
    state_tables_free(tables);
    restore_close(from);
    return ns;
}

static void open_all(struct bench *bench, int64_t bytes) {
    memory_pool_init(&bench->pool, "bench", NULL, INT64_MAX);
    const struct type number = type_not_null(type_of(TYPE_INT64));
    struct field fields[VALUES_MAX + 1] = {{"key", number}};
    static char names[VALUES_MAX + 1][8];
    const int32_t n = bench->row_bytes / 8;
    for (int32_t c = 1; c < n; c++) {
        snprintf(names[c], sizeof names[c], "v%d", c);
        fields[c] = (struct field){names[c], number};
    }
    CHECK(schema_new(fields, n, &bench->schema, &err));
    CHECK(store_new(env_real(), NULL, 0, &bench->store, &err));
    const char *tmp = getenv("TMPDIR");
    snprintf(bench->dir, sizeof bench->dir, "%s/snapshot-bench-%lld", tmp ? tmp : "/tmp", (long long)now_ns());
    bench->rows = bytes / bench->row_bytes / INSERT_ROWS * INSERT_ROWS;
    bench->event = env_event_new(env_real());
    tables_open(bench, &bench->tables);
    table_open(bench, bench->tables, &bench->table);
    const struct coordinator_options options = {
        .env = env_real(), .store = bench->store, .pool = &bench->pool, .job_name = "bench", .dir = bench->dir,
        .timeout_ns = INT64_C(3600000000000), .incremental = true, .retained = 2, .failures_max = 3,
        .max_parallelism = 128, .n_tasks = 1,
        .calls = {.arg = bench, .trigger = trigger, .abort = ignore, .complete = ignore, .prepare_manifest = prepare,
                  .wake = wake}};
    CHECK(coordinator_new(&options, &bench->coordinator, &err));
}

/* The state and who writes it: a restore has the memory to itself. */
static void close_state(struct bench *bench) {
    coordinator_free(bench->coordinator);
    snapshot_chains_free(bench->chains);
    state_tables_free(bench->tables);
    env_event_free(bench->event);
}

static void close_all(struct bench *bench) {
    CHECK(store_remove_tree(bench->store, bench->dir, &err));
    store_free(bench->store);
    schema_unref(bench->schema);
}

static int64_t number_of(const char *variable, int64_t otherwise) {
    const char *text = getenv(variable);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

/* What a restore takes when every file is checked before the first is decoded, because there is another checkpoint to
 * go back to; which is so by default. */
static void print_restore(struct bench *bench, int64_t mb) {
    const double state = (double)bench->rows * bench->row_bytes;
    double cpu_ns;
    const double ns = restore(bench, &cpu_ns);
    printf("snapshot/%lldMB/restore %.0f MB/s # target: >=300, or the disk's speed\n", (long long)mb,
           state / ns * SECOND / 1e6);
    printf("snapshot/%lldMB/restore-cpu %.2f s/GB\n", (long long)mb, cpu_ns / state);
}

int main(void) {
    static struct bench bench;
    const int64_t mb = number_of("SABOT_BENCH_STATE_MB", 512);
    bench.row_bytes = (int32_t)number_of("SABOT_BENCH_ROW_BYTES", 32) / 8 * 8;
    if (bench.row_bytes < 16 || bench.row_bytes > 8 * (VALUES_MAX + 1) || mb < 1) { return 2; }
    open_all(&bench, mb * 1000000);
    fill(&bench);
    const double state = (double)bench.rows * bench.row_bytes;
    struct coordinator_counts full, part;
    bench.steps = histogram_new();
    const int64_t cpu_before = env_cpu_ns(env_real());
    const double full_ns = checkpoint(&bench, &full);
    const double full_cpu_ns = (double)(env_cpu_ns(env_real()) - cpu_before); /* of all threads */
    printf("snapshot/%lldMB/synchronous %.3f ms # target: <=10\n", (long long)mb, bench.begin_ns / 1e6);
    printf("snapshot/%lldMB/step-p99 %.3f ms # target: <=10\n", (long long)mb,
           (double)histogram_quantile(bench.steps, 0.99) / 1e6);
    printf("snapshot/%lldMB/longest-step %.3f ms\n", (long long)mb,
           (double)histogram_quantile(bench.steps, 1) / 1e6);
    histogram_free(bench.steps);
    bench.steps = NULL;
    const double plain_ns = plain_write(&bench, full.last_bytes);
    printf("snapshot/%lldMB/plain-write %.0f MB/s\n", (long long)mb,
           (double)full.last_bytes / plain_ns * SECOND / 1e6);
    printf("snapshot/%lldMB/full-on-disk %.0f MB/s\n", (long long)mb, (double)full.last_bytes / full_ns * SECOND / 1e6);
    printf("snapshot/%lldMB/full-of-plain-write %.0f %% # target: >=90, which is the disk's speed\n", (long long)mb,
           100 * plain_ns / full_ns);
    printf("snapshot/%lldMB/full-in-memory %.0f MB/s\n", (long long)mb, state / full_ns * SECOND / 1e6);
    printf("snapshot/%lldMB/full-cpu %.2f s/GB\n", (long long)mb, full_cpu_ns / state);
    change(&bench, bench.rows / 100);
    const double part_ns = checkpoint(&bench, &part);
    printf("snapshot/%lldMB/full %.3f s\n", (long long)mb, full_ns / SECOND);
    printf("snapshot/%lldMB/1%%-changed %.3f s # reference: snapshot/%lldMB/full # target: <=1, also at 10 GB\n",
           (long long)mb, part_ns / SECOND, (long long)mb);
    printf("snapshot/%lldMB/1%%-changed-bytes %.2f %%\n", (long long)mb,
           100.0 * (double)part.last_bytes / (double)part.last_full_bytes);
    close_state(&bench);
    print_restore(&bench, mb);
    close_all(&bench);
    return 0;
}
