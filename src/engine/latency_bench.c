/* How long after its end a window's result is in the reader's hands: 200,000 events/s for some seconds, 1 s tumbling
 * windows by key, in one process.
 *
 * Every event carries the time at which it is due, and the source gives it out then, on its own clock: a stall delays
 * what follows and is measured, not left out (no coordinated omission). Latency = the moment at which the reader gets
 * the row minus window_end; in it are the pacing of the source, the engine and the hand-over. Arguments: [seconds]
 * [events per second] [parallelism]. */
#include "base/error.h"
#include "engine/session.h"
#include "tests/util/bench.h"

#include <stdio.h>
#include <stdlib.h>

static const char job[] =
    "SET 'parallelism.default' = '%d';\n"
    "CREATE TABLE events (event_type INT, bid ROW<auction BIGINT, price BIGINT, `dateTime` TIMESTAMP(3)>,\n"
    "  person ROW<`dateTime` TIMESTAMP(3)>, auction ROW<`dateTime` TIMESTAMP(3)>,\n"
    "  ts AS CASE WHEN event_type = 0 THEN person.`dateTime` WHEN event_type = 1 THEN auction.`dateTime`\n"
    "             ELSE bid.`dateTime` END,\n"
    "  WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND)\n"
    "WITH ('connector' = 'nexmark', 'first-event.rate' = '%d', 'next-event.rate' = '%d', 'max-emit-speed' = 'false',\n"
    "  'events.num' = '%lld');\n"
    "SELECT bid.auction, window_end, COUNT(*), MAX(bid.price) FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts),\n"
    "  INTERVAL '1' SECOND)) WHERE event_type = 2 GROUP BY bid.auction, window_start, window_end;";

int main(int argc, char **argv) {
    const int seconds = argc > 1 ? atoi(argv[1]) : 20, rate = argc > 2 ? atoi(argv[2]) : 200000;
    const int parallelism = argc > 3 ? atoi(argv[3]) : 1;
    struct env *env = env_real();
    struct session *session = NULL;
    struct session_script script;
    struct session_result result = {0};
    char sql[4096];
    snprintf(sql, sizeof sql, job, parallelism, rate, rate, (long long)seconds * rate);
    CHECK(session_new(env, 0, &session, &err));
    CHECK(session_parse(sql, strlen(sql), &script, &err));
    while (session_left(&script) > 0) { CHECK(session_step(session, &script, &result, &err)); }
    struct histogram *latency = histogram_new();
    int64_t last_end_ms = 0, cpu_ns = env_cpu_ns(env);
    for (bool end = false; !end;) {
        struct batch *batch = NULL;
        CHECK(session_job_next(result.job, -1, &batch, &end, &err));
        if (!batch) { continue; }
        const int64_t now_ns = env_wall_ns(env);
        const int64_t *ends = batch->columns[1]->values;
        for (int32_t i = 0; i < batch->selected; i++) {
            const int64_t end_ms = ends[column_at(batch->columns[1], batch_row(batch, i))];
            /* The last window is ended by the end of input, not by its time. */
            if (now_ns < end_ms * 1000000) { continue; }
            histogram_record(latency, now_ns - end_ms * 1000000, 1);
            last_end_ms = end_ms;
        }
        batch_unref(batch);
    }
    cpu_ns = env_cpu_ns(env) - cpu_ns;
    if (last_end_ms == 0) {
        fputs("latency_bench: no window ended in time\n", stderr);
        return 1;
    }
    printf("latency/p50 %.3f ms\n", (double)histogram_quantile(latency, 0.5) / 1e6);
    printf("latency/p99 %.3f ms\n", (double)histogram_quantile(latency, 0.99) / 1e6);
    printf("latency/p99.9 %.3f ms\n", (double)histogram_quantile(latency, 0.999) / 1e6);
    printf("latency/rows %lld rows\n", (long long)histogram_count(latency));
    printf("latency/cpu %.3f s/s\n", (double)cpu_ns / 1e9 / seconds);
    histogram_free(latency);
    session_job_free(result.job);
    session_script_clear(&script);
    session_free(session);
    return 0;
}
