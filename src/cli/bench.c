/* sabot bench: the Nexmark queries, timed on this machine. */
#include "cli/commands.h"
#include "cli/console.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name, *summary, *sql;
} queries[] = {
#define X(name, summary, sql) {#name, summary, sql},
#include "cli/nexmark_queries.def"
#undef X
};
#define QUERIES (sizeof queries / sizeof queries[0])

static const char help[] =
    "usage: sabot bench nexmark [QUERY...] [OPTIONS]\n\n"
    "Runs Nexmark queries (all that run, or q0 q5 ...) into a sink that drops rows, and shows how fast.\n\n"
    "  -n, --events N        events (default 10000000)\n"
    "  -p, --parallelism N   tasks per operator (default 1)\n"
    "      --memory SIZE     memory limit\n"
    "  -r, --rounds N        runs of each query, interleaved; the median is shown (default 3)\n"
    "      --recorded        the events are generated before the clock starts and replayed from memory\n"
    "      --set KEY=VALUE   a setting\n"
    "      --lines           one figure per line, for programs: nexmark/q0 5.31 M/s/core\n"
    "      --print           show a query's SQL instead of running it\n";

#define ROUNDS_MAX 100
#define EVENTS_MAX INT64_C(1000000000000000)

struct bench {
    struct env *env;
    int64_t events;
    int64_t rounds;
    bool recorded, lines;
    struct console_session given;
    /* recorded input */
    struct session *recorder; /* owns the memory of the batches */
    struct batches_table input;
    struct batch **batches;
};

struct figure {
    double wall_s, cpu_s;
};

#define EVENTS_DDL                                                                                                     \
    "CREATE TABLE events (event_type INT,\n"                                                                           \
    "  person ROW<id BIGINT, name STRING, emailAddress STRING, creditCard STRING, city STRING, state STRING,\n"        \
    "             `dateTime` TIMESTAMP(3), extra STRING>,\n"                                                           \
    "  auction ROW<id BIGINT, itemName STRING, description STRING, initialBid BIGINT, reserve BIGINT,\n"               \
    "              `dateTime` TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra STRING>,\n"    \
    "  bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, `dateTime` TIMESTAMP(3),\n"    \
    "          extra STRING>"
#define ROWTIME_DDL                                                                                                    \
    ",\n  `dateTime` AS CASE WHEN event_type = 0 THEN person.`dateTime` WHEN event_type = 1 THEN auction.`dateTime`\n" \
    "                     ELSE bid.`dateTime` END,\n"                                                                  \
    "  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND"
/* 10,000 events per second of event time, as the official generator's default. */
#define GENERATOR_DDL                                                                                                  \
    ") WITH ('connector' = 'nexmark', 'first-event.rate' = '10000', 'next-event.rate' = '10000', 'seed' = '7',\n"      \
    "  'base-time' = '1436918350000', 'events.num' = '%lld');\n"

static const char views[] =
    "CREATE VIEW person AS SELECT person.id, person.name, person.emailAddress, person.creditCard, person.city,\n"
    "  person.state, `dateTime`, person.extra FROM events WHERE event_type = 0;\n"
    "CREATE VIEW auction AS SELECT auction.id, auction.itemName, auction.description, auction.initialBid,\n"
    "  auction.reserve, `dateTime`, auction.expires, auction.seller, auction.category, auction.extra\n"
    "  FROM events WHERE event_type = 1;\n"
    "CREATE VIEW bid AS SELECT bid.auction, bid.bidder, bid.price, bid.channel, bid.url, `dateTime`, bid.extra\n"
    "  FROM events WHERE event_type = 2;\n"
    "CREATE VIEW bid_proc AS SELECT *, PROCTIME() AS p_time FROM bid;\n"
    /* the lookup table of q13: i, i for 10,000 keys */
    "CREATE TABLE side_input (key BIGINT, `value` AS CAST(key AS STRING)) WITH ('connector' = 'datagen',\n"
    "  'fields.key.kind' = 'sequence', 'fields.key.start' = '0', 'fields.key.end' = '9999',\n"
    "  'number-of-rows' = '10000', 'rows-per-second' = '0');\n";
/* q14 alone needs the benchmark's own function. */
static const char count_char[] = "CREATE FUNCTION count_char AS 'com.github.nexmark.flink.udf.CountChar';";

static int query_index(const char *name) {
    for (size_t i = 0; i < QUERIES; i++) {
        if (strcmp(queries[i].name, name) == 0) { return (int)i; }
    }
    return -1;
}

/* Runs all statements; the last one's job is waited for. */
static sabot_status run_text(struct session *session, const char *text, struct sabot_error *err) {
    struct session_script script;
    SABOT_TRY(session_parse(text, strlen(text), &script, err));
    sabot_status status = SABOT_OK;
    while (status == SABOT_OK && session_left(&script) > 0) {
        struct session_result result;
        status = session_step(session, &script, &result, err);
        if (status != SABOT_OK) { break; }
        batch_unref(result.rows);
        if (!result.job) { continue; }
        bool done = false;
        while (status == SABOT_OK && !done && console_signals() == 0) {
            status = session_job_wait(result.job, 100000000, &done, err);
        }
        if (status == SABOT_OK && !done) { status = SABOT_FAIL(err, SABOT_ERR_CANCELLED, "stopped"); }
        session_job_free(result.job);
    }
    session_script_clear(&script);
    return status;
}

static sabot_status session_open(const struct bench *bench, struct session **out, struct sabot_error *err) {
    SABOT_TRY(session_new(bench->env, bench->given.memory_limit, out, err));
    const struct sql_span nowhere = {0};
    sabot_status status = SABOT_OK;
    for (int i = 0; i < SETTINGS_COUNT && status == SABOT_OK; i++) {
        const char *value = bench->given.settings.values[i];
        if (value) { status = settings_set(&(*out)->settings, setting_infos[i].key, value, nowhere, nowhere, err); }
    }
    if (status == SABOT_OK) { return SABOT_OK; }
    session_free(*out);
    *out = NULL;
    return status;
}

/* --- recorded input */

static sabot_status keep_batches(struct bench *bench, struct session_job *job, struct sabot_error *err) {
    int32_t capacity = 0;
    bool end = false;
    while (!end) {
        struct batch *batch = NULL;
        SABOT_TRY(session_job_next(job, -1, &batch, &end, err));
        if (!batch) { continue; }
        if (bench->input.n_batches == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            struct batch **grown = realloc(bench->batches, sizeof *grown * (size_t)capacity);
            if (!grown) {
                batch_unref(batch);
                return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for %d batches", capacity);
            }
            bench->batches = grown;
        }
        bench->batches[bench->input.n_batches++] = batch;
    }
    bench->input.schema = schema_ref(job->schema);
    bench->input.batches = bench->batches;
    return SABOT_OK;
}

static sabot_status record(struct bench *bench, struct sabot_error *err) {
    char ddl[4096];
    snprintf(ddl, sizeof ddl, EVENTS_DDL GENERATOR_DDL "SELECT event_type, person, auction, bid FROM events;",
             (long long)bench->events);
    SABOT_TRY(session_open(bench, &bench->recorder, err));
    struct session_script script;
    SABOT_TRY(session_parse(ddl, strlen(ddl), &script, err));
    struct session_result result = {0};
    sabot_status status = session_step(bench->recorder, &script, &result, err);
    if (status == SABOT_OK) { status = session_step(bench->recorder, &script, &result, err); }
    if (status == SABOT_OK) { status = keep_batches(bench, result.job, err); }
    session_job_free(result.job);
    session_script_clear(&script);
    return status;
}

static void recorded_free(struct bench *bench) {
    for (int32_t i = 0; i < bench->input.n_batches; i++) { batch_unref(bench->batches[i]); }
    free(bench->batches);
    schema_unref(bench->input.schema);
    session_free(bench->recorder);
}

/* --- one run */

static sabot_status run_query(struct bench *bench, int query, struct figure *out, struct sabot_error *err) {
    struct session *session = NULL;
    char ddl[8192];
    snprintf(ddl, sizeof ddl, EVENTS_DDL ROWTIME_DDL GENERATOR_DDL, (long long)bench->events);
    SABOT_TRY(session_open(bench, &session, err));
    sabot_status status = run_text(session, ddl, err);
    if (status == SABOT_OK && bench->recorded) { /* the same table over the rows that stand in memory */
        struct plan_table *table = &catalog_find(&session->catalog, "events")->table;
        table->connector = connector_find("batches");
        table->memory = &bench->input;
        table->n_options = 0;
    }
    if (status == SABOT_OK) { status = run_text(session, views, err); }
    if (status == SABOT_OK && strstr(queries[query].sql, "count_char")) { status = run_text(session, count_char, err); }
    if (status == SABOT_OK) {
        char sql[8192];
        snprintf(sql, sizeof sql, "CREATE TABLE target WITH ('connector' = 'blackhole') AS %s", queries[query].sql);
        const int64_t wall_ns = env_now_ns(bench->env), cpu_ns = env_cpu_ns(bench->env);
        status = run_text(session, sql, err);
        out->wall_s = (double)(env_now_ns(bench->env) - wall_ns) / 1e9;
        out->cpu_s = (double)(env_cpu_ns(bench->env) - cpu_ns) / 1e9;
    }
    session_free(session);
    return status;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const struct figure *figures, int n, bool cpu) {
    double values[ROUNDS_MAX];
    for (int i = 0; i < n; i++) { values[i] = cpu ? figures[i].cpu_s : figures[i].wall_s; }
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void show(const struct bench *bench, int query, const struct figure *figures, int n) {
    const double wall = median(figures, n, false), cpu = median(figures, n, true);
    const double events = (double)bench->events;
    const char *mode = bench->recorded ? "/recorded" : "";
    if (bench->lines) {
        printf("nexmark/%s%s %.3f M/s/core\n", queries[query].name, mode, events / cpu / 1e6);
        printf("nexmark/%s%s/wall %.3f M/s\n", queries[query].name, mode, events / wall / 1e6);
    } else {
        printf("%-6s %8.2f M events/s per core   %8.2f M events/s   %7.3f s   %6.0f MB   %s\n", queries[query].name,
               events / cpu / 1e6, events / wall / 1e6, wall, (double)env_rss_bytes(bench->env) / 1e6,
               queries[query].summary);
    }
    fflush(stdout);
}

static int bench_queries(struct bench *bench, const int *chosen, int n_chosen, bool all) {
    struct figure figures[QUERIES][ROUNDS_MAX];
    bool refused[QUERIES] = {false};
    struct sabot_error err = {0};
    if (bench->recorded && record(bench, &err) != SABOT_OK) { return console_error(&err, NULL, NULL, 0); }
    for (int round = 0; round < bench->rounds; round++) {
        for (int i = 0; i < n_chosen; i++) {
            if (refused[i]) { continue; }
            err = (struct sabot_error){0};
            const sabot_status status = run_query(bench, chosen[i], &figures[i][round], &err);
            if (status == SABOT_OK) { continue; }
            if (all && (status == SABOT_ERR_UNSUPPORTED || status == SABOT_ERR_PLAN)) {
                /* all that run were asked for */
                fprintf(stderr, "%s is left out: %s\n", queries[chosen[i]].name, err.message);
                refused[i] = true;
                continue;
            }
            fprintf(stderr, "sabot bench: %s: ", queries[chosen[i]].name);
            return console_error(&err, NULL, NULL, 0);
        }
    }
    for (int i = 0; i < n_chosen; i++) {
        if (!refused[i]) { show(bench, chosen[i], figures[i], bench->rounds); }
    }
    return 0;
}

enum { OPT_RECORDED = 256, OPT_LINES, OPT_PRINT, OPT_HELP };

/* "1000000", "1e6"; returns -1, or the exit code. */
static int number_read(const char *option, const char *text, int64_t most, int64_t *out) {
    char *end;
    const double number = strtod(text, &end);
    if (end == text || *end || !(number >= 1) || number > (double)most) {
        return console_usage("bench", "%s %s: a whole number from 1 to %lld", option, text, (long long)most);
    }
    *out = (int64_t)number;
    return -1;
}

int command_bench(int argc, char **argv) {
    static const struct option options[] = {
        {"events", required_argument, NULL, 'n'}, CONSOLE_OPTIONS,
        {"rounds", required_argument, NULL, 'r'}, {"recorded", no_argument, NULL, OPT_RECORDED},
        {"lines", no_argument, NULL, OPT_LINES},  {"print", no_argument, NULL, OPT_PRINT},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    struct bench bench = {.env = env_real(), .events = 10000000, .rounds = 3};
    bool print = false;
    int code = console_setting("bench", "parallelism.default", "1", &bench.given);
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, "n:p:r:", options, NULL)) != -1;) {
        switch (option) {
        case 'n': code = number_read("--events", optarg, EVENTS_MAX, &bench.events); break;
        case 'r': code = number_read("--rounds", optarg, ROUNDS_MAX, &bench.rounds); break;
        case OPT_RECORDED: bench.recorded = true; break;
        case OPT_LINES: bench.lines = true; break;
        case OPT_PRINT: print = true; break;
        case OPT_HELP: fputs(help, stdout); return 0;
        default: code = console_option("bench", option, optarg, &bench.given); break;
        }
        if (code >= 0) { return code; }
    }
    if (optind >= argc || strcmp(argv[optind], "nexmark") != 0) {
        return console_usage("bench", "which one? There is nexmark");
    }
    int chosen[QUERIES], n_chosen = 0;
    for (int i = optind + 1; i < argc; i++) {
        const int query = query_index(argv[i]);
        if (query < 0 || n_chosen == (int)QUERIES) {
            return console_usage("bench", "there is no Nexmark query %s", argv[i]);
        }
        chosen[n_chosen++] = query;
    }
    const bool all = n_chosen == 0;
    for (size_t i = 0; all && i < QUERIES; i++) { chosen[n_chosen++] = (int)i; }
    if (print) {
        for (int i = 0; i < n_chosen; i++) { fputs(queries[chosen[i]].sql, stdout); }
        return 0;
    }
    console_catch_signals();
    code = bench_queries(&bench, chosen, n_chosen, all);
    recorded_free(&bench);
    settings_clear(&bench.given.settings);
    return code;
}
