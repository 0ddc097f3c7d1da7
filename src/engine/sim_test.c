/* Whole SQL jobs in the simulator: for each seed a query, its rows, an order of steps, crashes, stops with a savepoint,
 * a disk that fails, another parallelism and another memory limit (with which state is on disk) at each start. What is
 * committed is what the same query gives that runs through undisturbed. A seed that fails is run again alone with
 * SABOT_SIM_SEED=<seed>; SABOT_SIM_QUERY=<n> takes one query for all seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env_sim.h"
#include "base/log.h"
#include "runtime/job_impl.h"
#include "sql/parse.h"
#include "sql/statement.h"
#include "tests/util/test_connector.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS 250 /* slower by several times */
#else
#define SEEDS 1000
#endif
#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define VIRTUAL_HOUR (INT64_C(3600) * 1000 * MILLISECOND)
#define CHECKPOINTS "/checkpoints"
#define MEMORY_LIMIT (INT64_C(32) * 1024 * 1024) /* enough for every job here but for what tests of memory want */
#define LATENESS_MS 100 /* of the tables' watermarks */

#define COLUMNS                                                                                                        \
    " (k BIGINT, ts TIMESTAMP(3), v BIGINT, id BIGINT, WATERMARK FOR ts AS ts - INTERVAL '0.1' SECOND) "               \
    "WITH ('connector' = 'test'"
static const char tables[] =
    "CREATE TABLE a" COLUMNS ", 'bounded' = 'false');"
    "CREATE TABLE b" COLUMNS ", 'bounded' = 'false', 'stream' = '1');"
    "CREATE TABLE fa" COLUMNS ");"
    "CREATE TABLE fb" COLUMNS ", 'stream' = '1');"
    "CREATE TABLE c (k BIGINT, v BIGINT, id BIGINT, at AS PROCTIME()) WITH ('connector' = 'test', 'bounded' = 'false');"
    "CREATE TABLE windows (k BIGINT, s TIMESTAMP(3), e TIMESTAMP(3), n BIGINT, t BIGINT) WITH ('connector' = 'test');"
    "CREATE TABLE numbers (x BIGINT, y BIGINT, z BIGINT) WITH ('connector' = 'test');";

struct query {
    const char *name, *sql;
    bool windows; /* rows of one key and window come once, also where rows are late */
    bool batch;   /* may run in batch mode */
    bool clock;   /* windows of the time of day: what is in which of them is by chance, but every row is in one */
    const char *setting, *value;
    const char *setting2, *value2;
};
#define OF_WINDOWS "SELECT k, window_start, window_end, COUNT(*), SUM(v) FROM TABLE("
#define BY_WINDOW " GROUP BY k, window_start, window_end"
static const struct query queries[] = {
    {.name = "tumble",
     .sql = "INSERT INTO windows " OF_WINDOWS "TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '0.05' SECOND))" BY_WINDOW,
     .windows = true},
    {.name = "hop",
     .sql = "INSERT INTO windows " OF_WINDOWS
            "HOP(TABLE a, DESCRIPTOR(ts), INTERVAL '0.02' SECOND, INTERVAL '0.1' SECOND))" BY_WINDOW,
     .windows = true},
    {.name = "cumulate",
     .sql = "INSERT INTO windows " OF_WINDOWS
            "CUMULATE(TABLE a, DESCRIPTOR(ts), INTERVAL '0.02' SECOND, INTERVAL '0.2' SECOND))" BY_WINDOW,
     .windows = true},
    {.name = "session",
     .sql = "INSERT INTO windows " OF_WINDOWS
            "SESSION(TABLE a PARTITION BY k, DESCRIPTOR(ts), INTERVAL '0.06' SECOND))" BY_WINDOW, .windows = true},
    {.name = "distinct in hop",
     .sql = "INSERT INTO windows SELECT k, window_start, window_end, COUNT(DISTINCT v), MAX(v) FROM "
            "TABLE(HOP(TABLE a, DESCRIPTOR(ts), INTERVAL '0.02' SECOND, INTERVAL '0.1' SECOND))" BY_WINDOW,
     .windows = true},
    {.name = "hop of a union",
     .sql = "INSERT INTO windows " OF_WINDOWS
            "HOP(TABLE ab, DESCRIPTOR(ts), INTERVAL '0.05' SECOND, INTERVAL '0.1' SECOND))" BY_WINDOW,
     .windows = true},
    {.name = "windows of windows",
     .sql = "INSERT INTO windows SELECT k, window_start, window_end, COUNT(*), SUM(n) FROM TABLE(TUMBLE(TABLE "
            "counted, DESCRIPTOR(t), INTERVAL '0.6' SECOND))" BY_WINDOW, .windows = true},
    {.name = "early and late windows",
     .sql = "INSERT INTO windows " OF_WINDOWS
            "HOP(TABLE a, DESCRIPTOR(ts), INTERVAL '0.02' SECOND, INTERVAL '0.1' SECOND))" BY_WINDOW,
     .setting = "table.exec.emit.early-fire.enabled", .value = "true"},
    {.name = "windows given out by the clock",
     .sql = "INSERT INTO windows " OF_WINDOWS "TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '0.4' SECOND))" BY_WINDOW,
     .setting = "table.exec.emit.early-fire.enabled", .value = "true",
     .setting2 = "table.exec.emit.early-fire.delay", .value2 = "1 ms"},
    {.name = "windows of the clock",
     .sql = "INSERT INTO numbers SELECT k, COUNT(*), SUM(v) FROM TABLE(TUMBLE(TABLE c, DESCRIPTOR(at), INTERVAL "
            "'0.001' SECOND))" BY_WINDOW, .clock = true},
    {.name = "windows that take late rows",
     .sql = "INSERT INTO windows " OF_WINDOWS
            "CUMULATE(TABLE a, DESCRIPTOR(ts), INTERVAL '0.02' SECOND, INTERVAL '0.1' SECOND))" BY_WINDOW,
     .setting = "table.exec.emit.allow-lateness", .value = "50 ms"},
    {.name = "window join",
     .sql = "INSERT INTO numbers SELECT x.k, x.n, y.n FROM (SELECT k, window_start, window_end, COUNT(*) AS n "
            "FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '0.2' SECOND))" BY_WINDOW
            ") x LEFT JOIN (SELECT k, window_start, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE b, "
            "DESCRIPTOR(ts), INTERVAL '0.2' SECOND))" BY_WINDOW
            ") y ON x.k = y.k AND x.window_start = y.window_start AND x.window_end = y.window_end"},
    {.name = "GROUP BY",
     .sql = "INSERT INTO numbers SELECT k, COUNT(*), SUM(v) FROM a GROUP BY k"},
    {.name = "GROUP BY that retracts",
     .sql = "INSERT INTO numbers SELECT m, COUNT(*), MIN(k) FROM (SELECT k, MAX(v) % 7 AS m FROM a GROUP BY k) "
            "GROUP BY m"},
    {.name = "DISTINCT",
     .sql = "INSERT INTO numbers SELECT k, COUNT(DISTINCT v), SUM(DISTINCT v) FROM a GROUP BY k"},
    {.name = "join",
     .sql = "INSERT INTO numbers SELECT a.k, a.id, b.id FROM a JOIN b ON a.k = b.k AND a.v % 5 = b.v % 5"},
    {.name = "outer join",
     .sql = "INSERT INTO numbers SELECT a.k, a.id, b.id FROM a FULL JOIN b ON a.v = b.v"},
    {.name = "GROUP BY over an outer join",
     .sql = "INSERT INTO numbers SELECT a.k, COUNT(b.id), COUNT(*) FROM a LEFT JOIN b ON a.v = b.v GROUP BY a.k"},
    {.name = "semi join",
     .sql = "INSERT INTO numbers SELECT k, v, id FROM a WHERE v IN (SELECT v FROM b)"},
    {.name = "anti join",
     .sql = "INSERT INTO numbers SELECT k, v, id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.v = a.v)"},
    {.name = "interval join",
     .sql = "INSERT INTO numbers SELECT a.k, a.id, b.id FROM a LEFT JOIN b ON a.k = b.k AND a.ts BETWEEN b.ts - "
            "INTERVAL '0.05' SECOND AND b.ts + INTERVAL '0.03' SECOND"},
    {.name = "top 3",
     .sql = "INSERT INTO numbers SELECT k, r, v FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v "
            "DESC, id) AS r FROM a) WHERE r <= 3"},
    {.name = "top 2 of what is updated",
     .sql = "INSERT INTO numbers SELECT p, r, n FROM (SELECT p, n, ROW_NUMBER() OVER (PARTITION BY p ORDER BY n "
            "DESC, k) AS r FROM (SELECT k % 3 AS p, k, COUNT(*) AS n FROM a GROUP BY k)) WHERE r <= 2"},
    {.name = "deduplication",
     .sql = "INSERT INTO numbers SELECT k, v, id FROM (SELECT k, v, id, ROW_NUMBER() OVER (PARTITION BY k ORDER "
            "BY id) AS r FROM a) WHERE r = 1"},
    {.name = "over",
     .sql = "INSERT INTO numbers SELECT id, SUM(v) OVER w, COUNT(*) OVER w FROM a WINDOW w AS (PARTITION BY k "
            "ORDER BY ts RANGE BETWEEN INTERVAL '0.1' SECOND PRECEDING AND CURRENT ROW)"},
    {.name = "set operation",
     .sql = "INSERT INTO numbers SELECT k, v, v FROM a EXCEPT ALL SELECT k, v, v FROM b"},
    {.name = "grouping sets",
     .sql = "INSERT INTO numbers SELECT k, v % 3, COUNT(*) FROM a GROUP BY ROLLUP (k, v % 3)"},
    {.name = "join of what ends",
     .sql = "INSERT INTO numbers SELECT fa.k, fa.id, fb.id FROM fa JOIN fb ON fa.k = fb.k AND fa.v % 5 = fb.v % 5",
     .batch = true},
    {.name = "joins of what ends",
     .sql = "INSERT INTO numbers SELECT x.k, COUNT(*), SUM(y.v) FROM fa x JOIN fb y ON x.v = y.v LEFT JOIN fa z "
            "ON z.id = y.id GROUP BY x.k", .batch = true},
    {.name = "GROUP BY of what ends",
     .sql = "INSERT INTO numbers SELECT k, COUNT(*), MAX(v) FROM fa GROUP BY k", .batch = true},
    {.name = "ORDER BY",
     .sql = "INSERT INTO numbers SELECT k, v, id FROM fa ORDER BY v, id LIMIT 9", .batch = true},
};
#define N_QUERIES ((int32_t)(sizeof queries / sizeof *queries))
static const char views[] =
    "CREATE VIEW ab AS SELECT k, ts, v FROM a UNION ALL SELECT k, ts, v FROM b;"
    "CREATE VIEW counted AS SELECT k % 3 AS k, window_time AS t, COUNT(*) AS n, COUNT(*) AS v "
    "FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '0.2' SECOND)) "
    "GROUP BY k, window_start, window_end, window_time;";

enum ordeal { CRASHES, FAULTS, LATE, STOPS };
#define ORDEALS 4

struct world {
    struct env *env;
    uint64_t seed;
    enum ordeal ordeal;
    const struct query *query;
    struct test_outside outside;
    struct settings settings;
    struct job_options options; /* beside those of the settings */
    int32_t savepoints;
    char savepoint[64];
    bool was_left; /* the job went on behind the savepoint: its older checkpoints are no place to start from */
    bool began_there; /* a job was started from it: the folder of its checkpoints leads there too */
};

static struct catalog catalog; /* the same for all seeds */
static struct memory_pool pool;
static int64_t batches_overtaken, savepoints_taken, restores, jobs_failed, jobs_short, starts_spilled, rows_seen, runs;

static int32_t draw(struct world *world, int32_t low, int32_t high) {
    return low + (int32_t)(env_random(world->env) % (uint64_t)(high - low + 1));
}

static void check(const struct world *world, bool right, const char *what, const struct sabot_error *err) {
    if (right) { return; }
    fail_msg("seed %llu, %s: %s%s%s\n  run it again: SABOT_SIM_SEED=%llu build/tests/engine.sim_test",
             (unsigned long long)world->seed, world->query ? world->query->name : "tables", what,
             err && err->status != SABOT_OK ? ": " : "", err ? err->message : "", (unsigned long long)world->seed);
}

static void set(struct world *world, const char *key, const char *value) {
    const struct sql_span nowhere = {0};
    struct sabot_error err = {0};
    check(world, settings_set(&world->settings, key, value, nowhere, nowhere, &err) == SABOT_OK, "a setting", &err);
}
static void set_number(struct world *world, const char *key, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set(world, key, text);
}

static void query_settings(struct world *world) {
    if (world->query->setting) { set(world, world->query->setting, world->query->value); }
    if (world->query->setting2) { set(world, world->query->setting2, world->query->value2); }
}

/* --- statements */

/* Runs statements; of the last one the plan, where it has one. */
static struct physical_plan *run_sql(struct world *world, const char *text, const char *restore_from) {
    struct sabot_error err = {0};
    struct sql_script *script = NULL;
    check(world, sql_parse(text, strlen(text), &script, &err) == SABOT_OK, "SQL", &err);
    const struct statement_context context = {.env = world->env, .pool = &pool, .catalog = &catalog,
                                              .settings = &world->settings, .text = script->text,
                                              .restore_from = restore_from};
    struct physical_plan *plan = NULL;
    for (unsigned i = 0; i < script->statements.count; i++) {
        struct statement_result result = {0};
        check(world, statement_execute(&context, script->statements.items[i], &result, &err) == SABOT_OK, "SQL", &err);
        plan = result.plan;
        result.plan = NULL;
        statement_result_clear(&result);
    }
    sql_script_free(script);
    return plan;
}

struct running {
    struct physical_plan *plan;
    struct job *job;
};

static sabot_status start(struct world *world, struct running *out, struct sabot_error *err) {
    *out = (struct running){.plan = run_sql(world, world->query->sql, world->options.restore_from)};
    struct job_options options = {0};
    statement_job_options(&world->settings, &options);
    const struct job_options *drawn = &world->options;
    options.bounded = physical_is_bounded(out->plan);
    options.checkpoint_dir = drawn->checkpoint_dir;
    options.spill_dir = NULL;
    options.memory_limit = drawn->memory_limit;
    options.spills_all = drawn->memory_limit > 0;
    options.checkpoint_interval_ns = drawn->checkpoint_interval_ns;
    options.checkpoint_timeout_ns = drawn->checkpoint_timeout_ns;
    options.checkpoints_retained = drawn->checkpoints_retained;
    options.checkpoint_failures_max = drawn->checkpoint_failures_max;
    options.checkpoints_full = drawn->checkpoints_full;
    options.checkpoint_step_slots = drawn->checkpoint_step_slots;
    options.checkpoint_min_pause_ns = drawn->checkpoint_min_pause_ns;
    options.unaligned = drawn->unaligned;
    options.aligned_timeout_ns = drawn->aligned_timeout_ns;
    options.restore_from = drawn->restore_from;
    restores += options.restore_from != NULL;
    const sabot_status status = job_start(world->env, physical_graph(out->plan), &options, &out->job, err);
    if (status != SABOT_OK) { physical_free(out->plan); }
    return status;
}

static void end(struct running *running) {
    batches_overtaken += atomic_load(&running->job->batches_overtaken);
    starts_spilled += memory_is_spilled(running->job->pool);
    job_free(running->job);
    physical_free(running->plan);
}

static void run_to_the_end(struct world *world) {
    struct sabot_error err = {0};
    struct running running;
    check(world, start(world, &running, &err) == SABOT_OK, "start", &err);
    bool done = false;
    check(world, job_wait(running.job, VIRTUAL_HOUR, &done, &err) == SABOT_OK, "the job failed", &err);
    check(world, done, "the job did not end within an hour of virtual time", NULL);
    end(&running);
    check(world, world->outside.n_transactions == 0, "a job that has ended left rows uncommitted", NULL);
}

/* --- worlds */

static void parallelism_draw(struct world *world) {
    static const int32_t usual[] = {1, 2, 3, 7};
    set_number(world, "parallelism.default", usual[draw(world, 0, 3)]);
    set_number(world, "sabot.workers", draw(world, 1, 4));
    set_number(world, "sabot.channel-batches", draw(world, 1, 6));
    set(world, "sabot.watermark-alignment.max-drift", draw(world, 0, 2) ? "0 ms" : "50 ms");
}

/* With a limit all state is on disk. A little one is soon full of rows that wait for it, and sometimes too little for
 * the job: it fails and says so. */
static void memory_draw(struct world *world) {
    const int64_t shift = draw(world, 0, 2) == 0 ? 0 : draw(world, 5, 8);
    world->options.memory_limit = draw(world, 0, 1) ? 0 : MEMORY_LIMIT >> shift;
}

static void streams_draw(struct world *world) {
    const bool late = world->ordeal == LATE;
    for (int32_t s = 0; s < TEST_STREAMS; s++) {
        world->outside.streams[s] = (struct test_stream){
            .splits = draw(world, 1, 5),
            .rows = draw(world, 20, 120),
            .keys = draw(world, 1, 30),
            .step_ms = draw(world, 1, 25),
            .disorder_ms = late ? draw(world, LATENESS_MS, 8 * LATENESS_MS) : draw(world, 0, LATENESS_MS - 1),
            .batch_rows = draw(world, 1, 40),
        };
    }
    /* Without a pause the channels are full, and barriers have much to overtake; with one they are nearly empty. */
    const bool pauses = draw(world, 0, 2) == 0 || world->ordeal == STOPS; /* what is to be stopped takes a while */
    const int64_t pause_ns = pauses ? 50 * MICROSECOND : 0;
    for (int32_t s = 0; s < TEST_STREAMS; s++) { world->outside.streams[s].pause_ns = pause_ns; }
    world->outside.slow = draw(world, 0, 1);
}

/* The query may be planned otherwise at another start only where that leaves its state as it is. */
static void query_draw(struct world *world) {
    const char *given = getenv("SABOT_SIM_QUERY");
    do {
        world->query = &queries[given ? atoi(given) % N_QUERIES : draw(world, 0, N_QUERIES - 1)];
    } while (world->ordeal == LATE && !given && !world->query->windows);
    if (world->ordeal == STOPS && !given && draw(world, 0, 3) == 0) {
        while (!world->query->clock) { world->query = &queries[draw(world, 0, N_QUERIES - 1)]; }
    }
    query_settings(world);
    set(world, "table.optimizer.agg-phase-strategy", draw(world, 0, 1) ? "ONE_PHASE" : "AUTO");
    if (world->query->batch && draw(world, 0, 2)) { set(world, "execution.runtime-mode", "batch"); }
    if (draw(world, 0, 1)) { set_number(world, "sabot.batch-rows", draw(world, 1, 20)); }
}

static void checkpoints_draw(struct world *world) {
    struct job_options *options = &world->options;
    options->checkpoint_dir = CHECKPOINTS;
    options->checkpoint_interval_ns = draw(world, 5, 500) * MICROSECOND;
    options->checkpoint_min_pause_ns = draw(world, 0, 1) * draw(world, 0, 500) * MICROSECOND;
    options->checkpoints_retained = draw(world, 1, 3);
    options->unaligned = draw(world, 0, 2) > 0;
    options->aligned_timeout_ns = draw(world, 0, 1) * draw(world, 0, 200) * MICROSECOND;
    options->checkpoints_full = draw(world, 0, 4) == 0;
    options->checkpoint_step_slots = draw(world, 0, 2) ? draw(world, 1, 20) : 0;
    options->checkpoint_failures_max = world->ordeal == FAULTS ? draw(world, 1, 5) : INT32_MAX;
}

static struct env *env_of(uint64_t seed) {
    return env_sim_new(&(struct env_sim_options){.seed = seed, .short_reads = true, .work_delay_max_ns =
                                                     seed % 3 == 0 ? 2 * MILLISECOND : 30 * MICROSECOND});
}

static void world_init(struct world *world, uint64_t seed, enum ordeal ordeal) {
    memset(world, 0, sizeof *world);
    world->seed = seed;
    world->ordeal = ordeal;
    world->env = env_of(seed * ORDEALS + (uint64_t)ordeal);
    test_outside_use(&world->outside);
    if (!catalog_find(&catalog, "a")) {
        run_sql(world, tables, NULL);
        run_sql(world, views, NULL);
    }
    query_draw(world);
    streams_draw(world);
    parallelism_draw(world);
}

static void world_clear(struct world *world) {
    settings_clear(&world->settings);
    test_outside_clear(&world->outside);
    env_sim_free(world->env);
}

/* What the same query gives in one task, undisturbed. */
static void undisturbed(const struct world *world, struct test_outside *out) {
    struct world calm = {.env = env_of(1), .seed = world->seed, .query = world->query};
    memcpy(calm.outside.streams, world->outside.streams, sizeof calm.outside.streams);
    query_settings(&calm);
    test_outside_use(&calm.outside);
    run_to_the_end(&calm);
    settings_clear(&calm.settings);
    env_sim_free(calm.env);
    *out = calm.outside;
    test_kept_fold(&out->visible);
}

/* Of each key the sums of the other cells. */
static void add_up(struct test_kept_rows *rows) {
    int64_t n = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        const struct test_kept_row *row = &rows->rows[i];
        int64_t at = 0;
        while (at < n && rows->rows[at].cells[0] != row->cells[0]) { at++; }
        struct test_kept_row sum = at < n ? rows->rows[at] : (struct test_kept_row){.cells = {row->cells[0]}};
        for (int32_t c = 1; c < TEST_CELLS_MAX; c++) { sum.cells[c] += row->cells[c] * row->times; }
        sum.times = 1;
        rows->rows[at] = sum;
        n += at == n;
    }
    rows->n = n;
}

static void check_rows(struct world *world) {
    struct test_outside calm;
    undisturbed(world, &calm);
    if (world->query->clock) {
        add_up(&world->outside.visible);
        add_up(&calm.visible);
        test_kept_fold(&calm.visible);
    }
    test_kept_fold(&world->outside.visible);
    rows_seen += calm.visible.n;
    check(world, test_kept_equal(&world->outside.visible, &calm.visible), "wrong rows", NULL);
    test_outside_clear(&calm);
}

/* Which rows are late depends on the schedule; but no window of a key is given out twice. */
static void check_once(struct world *world) {
    struct test_kept_rows *visible = &world->outside.visible;
    for (int64_t i = 0; i < visible->n; i++) { visible->rows[i].cells[3] = visible->rows[i].cells[4] = 0; }
    test_kept_fold(visible);
    for (int64_t i = 0; i < visible->n; i++) { check(world, visible->rows[i].times == 1, "a window came twice", NULL); }
    rows_seen += visible->n;
}

/* --- ordeals */

/* Where the next job starts: at the savepoint of a stop, or the newest checkpoint, once there is one. */
static void restore_choose(struct world *world) {
    world->options.restore_from = NULL;
    if (world->savepoint[0]) {
        world->options.restore_from = world->began_there && draw(world, 0, 1) ? CHECKPOINTS : world->savepoint;
        return;
    }
    char **names;
    size_t n;
    if (env_list(world->env, CHECKPOINTS, &names, &n, NULL) == SABOT_OK) {
        for (size_t f = 0; f < n; f++) {
            char path[256];
            struct env_stat found;
            snprintf(path, sizeof path, CHECKPOINTS "/%s/MANIFEST", names[f]);
            if (env_stat(world->env, path, &found, NULL) == SABOT_OK) { world->options.restore_from = CHECKPOINTS; }
        }
        env_names_free(names, n);
    }
    if (world->options.restore_from) { return; }
    check(world, world->outside.visible.n == 0, "rows were committed without a checkpoint", NULL);
    test_outside_drop_transactions(&world->outside);
}

/* It is the reason why no savepoint was made, or the job failed. */
static bool is_short(const struct world *world, const struct sabot_error *err) {
    const int64_t limit = world->options.memory_limit;
    return limit > 0 && limit < MEMORY_LIMIT && strstr(err->message, "would pass the limit of") != NULL;
}

static bool is_of_memory(const struct world *world, const struct sabot_error *err) {
    const bool is = err->status == SABOT_ERR_MEMORY && is_short(world, err);
    jobs_short += is;
    return is;
}

/* A savepoint of a job that goes on, and is given up before it has committed anything more. */
static bool save_and_leave(struct world *world, struct running *running, const char *path) {
    struct sabot_error err = {0};
    if (job_checkpoint(running->job, path, NULL, &err) != SABOT_OK) {
        const bool is_told = strstr(err.message, "the job is over") || is_short(world, &err);
        check(world, is_told, "no savepoint", &err);
        return false;
    }
    savepoints_taken++;
    snprintf(world->savepoint, sizeof world->savepoint, "%s", path);
    world->was_left = true;
    world->began_there = false;
    return true;
}

/* A job that was started from a savepoint starts there again until it has completed a checkpoint of its own. */
static void savepoint_forget(struct world *world, const struct job *job) {
    struct coordinator_counts counts;
    job_checkpoint_counts(job, &counts);
    world->began_there = true;
    if (world->was_left && counts.last_id < 0) { return; }
    world->savepoint[0] = 0;
    world->was_left = false;
}

static void stop(struct world *world, struct running *running) {
    struct sabot_error err = {0};
    char path[64];
    snprintf(path, sizeof path, draw(world, 0, 1) ? "/savepoints/%d" : CHECKPOINTS "/savepoint-%d",
             world->savepoints++);
    if (draw(world, 0, 2) == 0 && save_and_leave(world, running, path)) { return; }
    bool starts_there = false;
    if (draw(world, 0, 2) == 0) {
        job_stop(running->job);
    } else if (job_stop_with_savepoint(running->job, path, false, &err) == SABOT_OK) {
        savepoints_taken++;
        starts_there = draw(world, 0, 1); /* the last checkpoint holds the same rows */
    } else {
        const bool is_told = strstr(err.message, "came to its end before") || is_short(world, &err);
        check(world, is_told, "no savepoint", &err);
        err = (struct sabot_error){0};
    }
    bool done = false;
    const bool stopped = job_wait(running->job, VIRTUAL_HOUR, &done, &err) == SABOT_OK;
    savepoint_forget(world, running->job);
    if (starts_there) { snprintf(world->savepoint, sizeof world->savepoint, "%s", path); }
    world->began_there = false;
    if (!stopped) {
        check(world, is_of_memory(world, &err), "while it stopped", &err);
        return;
    }
    check(world, done, "the job did not stop within an hour of virtual time", NULL);
    check(world, world->outside.n_transactions == 0, "a stopped job left rows uncommitted", NULL);
}

/* Others who ask for checkpoints and savepoints at any time, also while the job comes to its end. */
#define ASKED_MAX 6
struct asking {
    struct world *world;
    struct checkpoint_request requests[ASKED_MAX];
    char paths[ASKED_MAX][64];
    int32_t n;
};

static bool is_over_or_asks(struct job *job, void *arg) {
    struct asking *asking = arg;
    struct world *world = asking->world;
    if (job_state(job) > JOB_STOPPING) { return true; }
    if (asking->n == ASKED_MAX || draw(world, 0, 150) > 0) { return false; }
    const int32_t i = asking->n++;
    if (draw(world, 0, 1)) {
        snprintf(asking->paths[i], sizeof asking->paths[i], "/asked/%d", world->savepoints++);
        asking->requests[i].path = asking->paths[i];
    }
    struct sabot_error err = {0};
    check(world, coordinator_request(job->coordinator, &asking->requests[i], &err) == SABOT_OK, "a request", &err);
    return false;
}

/* job_wait for so long while others ask, in some runs. */
static sabot_status wait_and_ask(struct asking *asking, struct job *job, int64_t ns, bool *done,
                                 struct sabot_error *err) {
    struct world *world = asking->world;
    if (draw(world, 0, 2) > 0) { return job_wait(job, ns, done, err); }
    const int64_t until_ns = env_now_ns(world->env) + ns;
    check(world, job_simulate(job, is_over_or_asks, asking, until_ns, err) == SABOT_OK, "simulate", err);
    return job_wait(job, 0, done, err);
}

/* One start that does not come to its end. */
static void disturbed(struct world *world) {
    struct sabot_error err = {0};
    struct running running;
    const bool stops = draw(world, 0, 3) == 0;
    /* some are given up while they are copied or written: the next barrier finds them so */
    world->options.checkpoint_timeout_ns = stops || draw(world, 0, 1) ? 0 : draw(world, 50, 1000) * MICROSECOND;
    if (start(world, &running, &err) != SABOT_OK) {
        check(world, is_of_memory(world, &err), "start", &err);
        return;
    }
    bool done = false;
    struct asking asking = {.world = world};
    const int64_t ns = draw(world, 5, 3000) * MICROSECOND;
    const bool waited = wait_and_ask(&asking, running.job, ns, &done, &err) == SABOT_OK;
    /* a job at its end fails with its last checkpoint */
    const bool gave_up = !waited && world->options.checkpoint_timeout_ns && strstr(err.message, "was not complete");
    check(world, waited || gave_up || is_of_memory(world, &err), "before a crash", &err);
    savepoint_forget(world, running.job);
    if (stops && waited && !done) { stop(world, &running); }
    env_sim_crash(world->env);
    end(&running);
    env_sim_restart(world->env);
}

/* One start that is stopped, or comes to its end, while others ask for checkpoints. */
static void asked(struct world *world) {
    struct sabot_error err = {0};
    struct running running;
    struct asking asking = {.world = world};
    if (start(world, &running, &err) != SABOT_OK) {
        check(world, is_of_memory(world, &err), "start", &err);
        return;
    }
    const int64_t until_ns = env_now_ns(world->env) + draw(world, 5, 5000) * MICROSECOND;
    check(world, job_simulate(running.job, is_over_or_asks, &asking, until_ns, &err) == SABOT_OK, "simulate", &err);
    savepoint_forget(world, running.job);
    if (job_state(running.job) <= JOB_STOPPING) { stop(world, &running); }
    end(&running);
    for (int32_t i = 0; i < asking.n; i++) {
        const struct checkpoint_request *request = &asking.requests[i];
        check(world, request->done, "who asked for a checkpoint was not told", NULL);
        savepoints_taken += request->path && request->error.status == SABOT_OK;
    }
}

static bool is_of_the_disk(const struct sabot_error *err) {
    return err->status == SABOT_ERR_IO || strstr(err->message, "Input/output error") ||
           strstr(err->message, "checkpoints in a row failed");
}

/* One start on a disk where now and then something fails. */
static void with_faults(struct world *world) {
    struct sabot_error err = {0};
    struct running running;
    env_sim_fail(world->env, NULL, draw(world, 5, 500));
    if (start(world, &running, &err) != SABOT_OK) {
        check(world, is_of_the_disk(&err) || is_of_memory(world, &err), "a start failed, not for disk or memory",
              &err);
        jobs_failed++;
    } else {
        bool done = false;
        struct asking asking = {.world = world};
        if (wait_and_ask(&asking, running.job, draw(world, 5, 5000) * MICROSECOND, &done, &err) != SABOT_OK) {
            check(world, is_of_the_disk(&err) || is_of_memory(world, &err),
                  "the job failed, not for disk or memory", &err);
            jobs_failed++;
        }
        const bool crash = draw(world, 0, 1) == 0;
        if (crash) { env_sim_crash(world->env); }
        end(&running);
        env_sim_restart(world->env);
    }
    env_sim_fail(world->env, NULL, 0);
}

static void run(uint64_t seed, enum ordeal ordeal) {
    struct world world;
    world_init(&world, seed, ordeal);
    if (ordeal == LATE && !world.query->windows) { /* given by hand */
        world_clear(&world);
        return;
    }
    checkpoints_draw(&world);
    memory_draw(&world);
    runs++;
    const int32_t starts = draw(&world, 1, 4);
    for (int32_t i = 0; i < starts; i++) {
        (ordeal == FAULTS ? with_faults : ordeal == STOPS ? asked : disturbed)(&world);
        restore_choose(&world);
        parallelism_draw(&world);
        memory_draw(&world);
    }
    world.options.checkpoint_timeout_ns = 0;
    if (world.options.memory_limit) { world.options.memory_limit = MEMORY_LIMIT; }
    run_to_the_end(&world);
    (ordeal == LATE ? check_once : check_rows)(&world);
    world_clear(&world);
}

static void for_each_seed(enum ordeal ordeal) {
    batches_overtaken = savepoints_taken = restores = jobs_failed = jobs_short = starts_spilled = rows_seen = runs = 0;
    uint64_t first, last;
    env_sim_seeds_wanted(SEEDS, &first, &last);
    for (uint64_t s = first; s <= last; s++) { run(s, ordeal); }
    print_message("%lld seeds: %lld restores, %lld savepoints, %lld batches overtaken, %lld jobs failed, %lld short of "
                  "memory, %lld starts with state on disk, %lld rows\n", (long long)runs, (long long)restores,
                  (long long)savepoints_taken, (long long)batches_overtaken, (long long)jobs_failed,
                  (long long)jobs_short, (long long)starts_spilled, (long long)rows_seen);
    assert_true(runs < 100 || starts_spilled >= runs / 3);
}

static void committed_rows_are_those_of_an_undisturbed_run(void **state) {
    (void)state;
    for_each_seed(CRASHES);
    assert_true(runs < 100 || (restores >= runs && savepoints_taken >= runs / 20 && batches_overtaken >= 5 * runs));
}

static void committed_rows_are_exact_on_a_disk_that_fails(void **state) {
    (void)state;
    for_each_seed(FAULTS);
    assert_true(runs < 100 || jobs_failed >= runs / 2);
}

static void no_window_comes_twice_for_late_rows(void **state) {
    (void)state;
    for_each_seed(LATE);
    assert_true(runs < 100 || rows_seen >= 10 * runs);
}

static void a_job_may_be_stopped_and_asked_for_savepoints_at_any_time(void **state) {
    (void)state;
    for_each_seed(STOPS);
    assert_true(runs < 100 || savepoints_taken >= runs / 2);
}

/* Drains a job of this query after a while, and starts it again from the savepoint; no other checkpoints. */
static sabot_status drain_and_go_on(struct world *world, const struct query *query, struct sabot_error *err) {
    struct running running;
    world->query = query;
    world->options = (struct job_options){.checkpoint_failures_max = 1};
    for (int32_t s = 0; s < TEST_STREAMS; s++) { world->outside.streams[s].pause_ns = 50 * MICROSECOND; }
    check(world, start(world, &running, err) == SABOT_OK, "start", err);
    bool done = false;
    check(world, job_wait(running.job, draw(world, 5, 1000) * MICROSECOND, &done, err) == SABOT_OK, "wait", err);
    bool drained = false;
    if (!done) {
        struct sabot_error why = {0};
        drained = job_stop_with_savepoint(running.job, "/drained", true, &why) == SABOT_OK;
        check(world, drained || strstr(why.message, "came to its end before"), "drain", &why);
        check(world, job_wait(running.job, VIRTUAL_HOUR, &done, err) == SABOT_OK && done, "the drain failed", err);
    }
    const bool cut_short = job_state(running.job) == JOB_STOPPED;
    end(&running);
    if (!drained || !cut_short) { return SABOT_OK; }
    savepoints_taken++;
    world->options.restore_from = "/drained";
    check(world, start(world, &running, err) == SABOT_OK, "start", err);
    const sabot_status status = job_wait(running.job, VIRTUAL_HOUR, &done, err);
    check(world, status != SABOT_OK || done, "no end", NULL);
    end(&running);
    return status;
}

/* What was drained can be gone on from, where the rest of the rows changes no result; else that is said. */
static void a_drained_job_goes_on_or_says_that_it_can_not(void **state) {
    (void)state;
    static const struct query passes = {.name = "rows that are passed on",
                                        .sql = "INSERT INTO numbers SELECT k, v, id FROM fa WHERE v % 3 > 0"};
    static const struct query ends[] = {
        {.name = "GROUP BY", .sql = "INSERT INTO numbers SELECT k, COUNT(*), SUM(v) FROM fa GROUP BY k"},
        {.name = "ORDER BY", .sql = "INSERT INTO numbers SELECT k, v, id FROM fa ORDER BY v, id"}};
    int32_t n_refused = 0;
    savepoints_taken = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world world;
        struct sabot_error err = {0};
        world_init(&world, seed, STOPS);
        if (seed % 3 == 0) {
            check(&world, drain_and_go_on(&world, &passes, &err) == SABOT_OK, "rows that are passed on", &err);
            check_rows(&world);
        } else if (drain_and_go_on(&world, &ends[seed % 3 - 1], &err) != SABOT_OK) {
            check(&world, strstr(err.message, "behind the end of the input") != NULL, "another reason", &err);
            n_refused++;
        } else { /* there were no more rows */
            check_rows(&world);
        }
        world_clear(&world);
    }
    assert_true(savepoints_taken >= 20 && n_refused >= 10);
}

int main(void) {
    log_set_level(LOG_ERROR); /* what a crash leaves behind is no news here */
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_rows_are_those_of_an_undisturbed_run),
        cmocka_unit_test(committed_rows_are_exact_on_a_disk_that_fails),
        cmocka_unit_test(no_window_comes_twice_for_late_rows),
        cmocka_unit_test(a_job_may_be_stopped_and_asked_for_savepoints_at_any_time),
        cmocka_unit_test(a_drained_job_goes_on_or_says_that_it_can_not),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    catalog_clear(&catalog);
    return failed;
}
