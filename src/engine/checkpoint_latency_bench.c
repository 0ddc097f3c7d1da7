/* What a checkpoint does to the latency of rows: a GROUP BY whose state is some hundred MB (SABOT_BENCH_KEYS keys of
 * about 80 bytes) takes paced rows, first without checkpoints, then with one every second, each of which writes all of
 * the state, so that one is nearly always under way; then with incremental ones.
 *
 * As in latency_bench every event carries the time at which it is due, and a stall delays what follows and is measured.
 * Latency = the moment at which the reader gets the group's new row minus that time. In it is the time for which the
 * source gathers rows (sabot.latency-target, 10 ms, is the longest). The rounds are interleaved, and a figure is the
 * median of them. Arguments: [seconds per part] [events per second] [rounds]. */
#include "base/error.h"
#include "checkpoint/coordinator.h"
#include "engine/session.h"
#include "store/store.h"
#include "tests/util/bench.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 9
#define SECOND_NS INT64_C(1000000000)
#define KEEPS_UP_NS (SECOND_NS / 10) /* rows are no later than this: the filling is over */
#define WARM_NS SECOND_NS            /* behind it, and not measured */
#define FILL_SECONDS_MAX 60

static const char job[] =
    "%s"
    "CREATE TABLE filling (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '0',\n"
    "  'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '%lld');\n"
    "CREATE TABLE events (event_type INT, bid ROW<auction BIGINT, price BIGINT, `dateTime` TIMESTAMP(3)>)\n"
    "WITH ('connector' = 'nexmark', 'first-event.rate' = '%d', 'next-event.rate' = '%d', 'max-emit-speed' = 'false');\n"
    "SELECT k, COUNT(*), SUM(v), MAX(v), MAX(ts) FROM (\n"
    "  SELECT id AS k, id AS v, TIMESTAMP '2000-01-01 00:00:00.000' AS ts FROM filling UNION ALL\n"
    "  SELECT (bid.price * 7919 + bid.auction * 104729) %% %lld, bid.price, bid.`dateTime` FROM events\n"
    "  WHERE event_type = 2)\n"
    "GROUP BY k;";

enum part { NONE, FULL, INCREMENTAL, PARTS };
static const char *const names[PARTS] = {"none", "full", "incremental"};

struct run {
    int seconds, rate;
    int64_t keys;
    char dir[256];
};
struct seen {
    double p50_ms, p99_ms, p999_ms;
    double checkpoints, mb; /* completed meanwhile; the size of the last one */
};

static struct session_job *start(const struct run *run, enum part part, struct session *session) {
    char settings[600] = "", sql[4096];
    if (part != NONE) {
        snprintf(settings, sizeof settings,
                 "SET 'execution.checkpointing.dir' = '%s';\nSET 'execution.checkpointing.interval' = '1s';\n"
                 "SET 'execution.checkpointing.incremental' = '%s';\n", run->dir, part == FULL ? "false" : "true");
    }
    snprintf(sql, sizeof sql, job, settings, (long long)run->keys - 1, run->rate, run->rate,
             (long long)run->keys);
    struct session_script script;
    struct session_result result = {0};
    CHECK(session_parse(sql, strlen(sql), &script, &err));
    while (session_left(&script) > 0) { CHECK(session_step(session, &script, &result, &err)); }
    session_script_clear(&script);
    return result.job;
}

/* The latencies of what was due from *from_ns on; that is set when the filling is over. */
static void look(const struct batch *batch, int64_t now_ns, int64_t *from_ns, struct histogram *latency) {
    const struct column *times = batch->columns[4];
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        const uint8_t kind = batch->row_kinds ? batch->row_kinds[row] : ROW_INSERT;
        if (kind == ROW_UPDATE_BEFORE || kind == ROW_DELETE) { continue; }
        const int64_t due_ns = ((const int64_t *)times->values)[column_at(times, row)] * 1000000;
        if (*from_ns == INT64_MAX) {
            if (now_ns - due_ns < KEEPS_UP_NS) { *from_ns = now_ns + WARM_NS; }
        } else if (due_ns >= *from_ns) {
            histogram_record(latency, now_ns - due_ns, 1);
        }
    }
}

static void measure(const struct run *run, enum part part, struct seen *seen) {
    struct env *env = env_real();
    struct session *session = NULL;
    CHECK(session_new(env, 0, &session, &err));
    struct session_job *query = start(run, part, session);
    struct histogram *latency = histogram_new();
    const int64_t until_ns = env_wall_ns(env) + (run->seconds + FILL_SECONDS_MAX) * SECOND_NS;
    int64_t from_ns = INT64_MAX, now_ns = env_wall_ns(env);
    struct coordinator_counts before = {0}, after = {0};
    while (now_ns < until_ns && (from_ns == INT64_MAX || now_ns < from_ns + run->seconds * SECOND_NS)) {
        const bool fills = from_ns == INT64_MAX;
        struct batch *batch = NULL;
        bool end;
        CHECK(session_job_next(query, SECOND_NS / 10, &batch, &end, &err));
        now_ns = env_wall_ns(env);
        if (batch) { look(batch, now_ns, &from_ns, latency); }
        batch_unref(batch);
        if (part != NONE && fills && from_ns != INT64_MAX) { job_checkpoint_counts(query->job, &before); }
    }
    if (part != NONE) { job_checkpoint_counts(query->job, &after); }
    if (histogram_count(latency) == 0 || (part != NONE && after.completed <= before.completed)) {
        fprintf(stderr, "checkpoint_latency_bench: %lld rows, %lld checkpoints: too slow for this rate\n",
                (long long)histogram_count(latency), (long long)(after.completed - before.completed));
        exit(1);
    }
    *seen = (struct seen){.p50_ms = (double)histogram_quantile(latency, 0.5) / 1e6,
                          .p99_ms = (double)histogram_quantile(latency, 0.99) / 1e6,
                          .p999_ms = (double)histogram_quantile(latency, 0.999) / 1e6,
                          .checkpoints = (double)(after.completed - before.completed),
                          .mb = (double)after.last_full_bytes / 1e6};
    histogram_free(latency);
    session_job_free(query);
    session_free(session);
}

static int compare(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Of the figure at `offset` in each round. */
static double median(const struct seen *rounds, int n, size_t offset) {
    double values[ROUNDS_MAX];
    for (int r = 0; r < n; r++) { values[r] = *(const double *)(const void *)((const char *)&rounds[r] + offset); }
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

static void print(const struct seen *rounds, int n, const char *name, double p99_ms) {
    printf("checkpoint-latency/%s/p50 %.3f ms\n", name, median(rounds, n, offsetof(struct seen, p50_ms)));
    printf("checkpoint-latency/%s/p99 %.3f ms\n", name, median(rounds, n, offsetof(struct seen, p99_ms)));
    printf("checkpoint-latency/%s/p99.9 %.3f ms\n", name, median(rounds, n, offsetof(struct seen, p999_ms)));
    if (p99_ms == 0) { return; }
    printf("checkpoint-latency/%s/p99-of-none %.2f x # target: <=2\n", name,
           median(rounds, n, offsetof(struct seen, p99_ms)) / p99_ms);
    printf("checkpoint-latency/%s/checkpoints %.0f checkpoints\n", name,
           median(rounds, n, offsetof(struct seen, checkpoints)));
    printf("checkpoint-latency/%s/size %.0f MB\n", name, median(rounds, n, offsetof(struct seen, mb)));
}

int main(int argc, char **argv) {
    const char *keys = getenv("SABOT_BENCH_KEYS"), *tmp = getenv("TMPDIR");
    struct run run = {.seconds = argc > 1 ? atoi(argv[1]) : 5, .rate = argc > 2 ? atoi(argv[2]) : 100000,
                      .keys = keys ? strtoll(keys, NULL, 10) : 5000000};
    const int rounds = argc > 3 ? atoi(argv[3]) : 3;
    if (rounds < 1 || rounds > ROUNDS_MAX) { return 2; }
    struct seen seen[PARTS][ROUNDS_MAX];
    struct store *store;
    CHECK(store_new(env_real(), NULL, 0, &store, &err));
    snprintf(run.dir, sizeof run.dir, "%s/checkpoint-latency-%lld", tmp ? tmp : "/tmp",
             (long long)env_wall_ns(env_real()));
    for (int r = 0; r < rounds; r++) {
        for (int part = 0; part < PARTS; part++) {
            measure(&run, (enum part)part, &seen[part][r]);
            if (part != NONE) { CHECK(store_remove_tree(store, run.dir, &err)); }
        }
    }
    store_free(store);
    const double none_ms = median(seen[NONE], rounds, offsetof(struct seen, p99_ms));
    for (int part = 0; part < PARTS; part++) { print(seen[part], rounds, names[part], part == NONE ? 0 : none_ms); }
    return 0;
}
