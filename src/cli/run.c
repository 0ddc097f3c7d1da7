/* sabot run: runs a script. Rows of its queries go to standard output, everything else to standard error. */
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/live.h"
#include "cli/run.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_NS 50000000
#define PROGRESS_NS 200000000

struct run {
    struct env *env;
    struct session *session;
    enum output_kind output;
    bool output_given, summary, quiet, live;
    int64_t deadline_ns;      /* INT64_MAX = none */
    int stops;                /* of the job that is waited for: stopped, then cancelled */
    bool cut_short;           /* a bounded job was stopped before its end, or statements were left out */
    bool interval_given;      /* --checkpoint-interval */
    bool from_given;          /* --from */
    bool progress;            /* standard error is a terminal */
    bool progress_shown;
    int64_t started_ns, started_cpu_ns, progress_at_ns;
};

static const char help[] =
    "usage: sabot run FILE [OPTIONS]        FILE: a SQL script, - for standard input\n"
    "       sabot run -e SQL [OPTIONS]\n\n"
    "Runs the statements in order. INSERT over bounded input is waited for; over unbounded input it goes on until\n"
    "Ctrl-C, which drains it (a second one cancels). What is bounded and is stopped before its end exits with 130\n"
    "(by SIGTERM 143). Rows of queries go to standard output.\n\n"
    "  -e, --execute SQL            the script itself\n"
    "  -p, --parallelism N          tasks per operator (parallelism.default)\n"
    "      --memory SIZE            memory limit: 512mb, 4gb (default: 60 % of the machine's)\n"
    "      --set KEY=VALUE          a setting, as SET does; may be given many times\n"
    "      --checkpoint-dir DIR     take checkpoints there\n"
    "      --checkpoint-interval T  how often: 1s, 500ms (default 10s)\n"
    "      --from PATH              start from a checkpoint or savepoint, or from the newest complete one in a folder\n"
    "      --resume                 start from the newest checkpoint of the checkpoint folder; where it has none yet,\n"
    "                               begin (or from PATH): one command for the first start and all that follow\n"
    "      --allow-non-restored-state  leave state behind whose operators are not in the script any more\n"
    "      --savepoint-dir DIR      where savepoints go (default: the checkpoint folder)\n"
    "      --unaligned[=T]          barriers overtake rows: at once, or when alignment takes longer than T\n"
    "  -o, --output KIND            table, csv, json or arrow (default: table on a terminal, else csv); a result that\n"
    "                               is updated is folded to its final table, over unbounded input it is shown as a\n"
    "                               changelog with a first column op\n"
    "      --timeout T              stop after so long, as Ctrl-C does: 10s\n"
    "      --summary                events, rows/s, memory and latency at the end, also without a terminal\n"
    "      --live                   on a terminal: the newest rows of a query in a table that is drawn again and "
        "again\n"
    "  -q, --quiet                  no progress line\n";

/* --- progress and summary */

static void progress_clear(struct run *run) {
    if (run->progress_shown) { fputs("\r\033[K", stderr); }
    run->progress_shown = false;
}

static void progress_show(struct run *run, const struct session_job *job) {
    const int64_t now_ns = env_now_ns(run->env);
    if (!run->progress || now_ns < run->progress_at_ns) { return; }
    run->progress_at_ns = now_ns + PROGRESS_NS;
    struct job_totals totals;
    job_totals(job->job, &totals);
    const double seconds = (double)(now_ns - run->started_ns) / 1e9;
    char events[32], rate[32], rows[32];
    console_number((double)totals.events, events, sizeof events);
    console_number((double)totals.events / (seconds > 0 ? seconds : 1), rate, sizeof rate);
    console_number((double)totals.rows_written, rows, sizeof rows);
    fprintf(stderr, "\r\033[K%.1f s  %s events (%s/s)  %s rows out", seconds, events, rate, rows);
    if (totals.rows_late) { fprintf(stderr, "  %lld late", (long long)totals.rows_late); }
    if (totals.rows_malformed) { fprintf(stderr, "  %lld malformed", (long long)totals.rows_malformed); }
    run->progress_shown = true;
}

/* "" where nothing was recorded. */
static void latency_text(const struct job *job, char *target, size_t size) {
    struct histogram *latency = job_latency(job);
    target[0] = '\0';
    if (!latency) { return; }
    const double p50 = (double)histogram_quantile(latency, 0.5), p99 = (double)histogram_quantile(latency, 0.99);
    snprintf(target, size, ", latency p50 %.2f ms p99 %.2f ms", p50 / 1e6, p99 / 1e6);
    histogram_free(latency);
}

static void summarize(struct run *run, const struct session_job *job) {
    struct job_totals totals;
    job_totals(job->job, &totals);
    const char *late = settings_text(&run->session->settings, SETTING_late_path);
    const char *dead = settings_text(&run->session->settings, SETTING_dead_letter_path);
    const bool kept = settings_is(&run->session->settings, SETTING_on_error, "dead-letter");
    if (totals.rows_late) {
        fprintf(stderr, "sabot: %lld row%s came behind the watermark and %s left out; %s%s\n",
                (long long)totals.rows_late, totals.rows_late == 1 ? "" : "s", totals.rows_late == 1 ? "was" : "were",
                late[0] ? "they are in " : "SET 'sabot.late.path' keeps them", late);
    }
    if (totals.rows_malformed) {
        const char *first = job_malformed_first(job->job);
        fprintf(stderr, "sabot: %lld record%s could not be decoded and %s left out (the first: %s); %s%s\n",
                (long long)totals.rows_malformed, totals.rows_malformed == 1 ? "" : "s",
                totals.rows_malformed == 1 ? "was" : "were", first ? first : "unknown",
                kept ? "they are in " : "SET 'sabot.dead-letter.path' and 'sabot.on-error' = 'dead-letter' keep them",
                kept ? dead : "");
    }
    if (run->summary || run->progress) {
        const double seconds = (double)(env_now_ns(run->env) - run->started_ns) / 1e9;
        const double cpu = (double)(env_cpu_ns(run->env) - run->started_cpu_ns) / 1e9;
        char events[32], rate[32], per_core[32], rows[32], latency[96];
        console_number((double)totals.events, events, sizeof events);
        console_number((double)totals.events / (seconds > 0 ? seconds : 1), rate, sizeof rate);
        console_number((double)totals.events / (cpu > 0 ? cpu : 1), per_core, sizeof per_core);
        console_number((double)totals.rows_written, rows, sizeof rows);
        latency_text(job->job, latency, sizeof latency);
        fprintf(stderr, "%s events in %.2f s (%s/s, %s/s per core), %s rows out, memory %.0f MB%s\n", events, seconds,
                rate, per_core, rows, (double)env_rss_bytes(run->env) / 1e6, latency);
    }
}

/* --- jobs */

/* Acts on signals and on the deadline: first drain, then cancel (also where two signals came before the first look). */
static void check_stop(struct run *run, struct session_job *job) {
    if (run->stops == 0 && (console_signals() > 0 || env_now_ns(run->env) >= run->deadline_ns)) {
        job_stop(job->job);
        run->stops = 1;
    } else if (run->stops == 1 && console_signals() > 1) {
        job_cancel(job->job);
        run->stops = 2;
    }
}

/* Over bounded input somebody waits for the whole result; unbounded jobs have no other end than this. */
static bool is_cut_short(const struct session_job *job) { return job->bounded && job_state(job->job) == JOB_STOPPED; }

/* What `sabot stop` ended was meant to end, and mostly goes on from its savepoint: that is no failure. */
static void cut_short_note(struct run *run, const struct session_job *job) {
    if (!is_cut_short(job)) { return; }
    if (run->stops > 0) {
        run->cut_short = true;
    } else {
        fputs("sabot: the job was stopped before the end of its input, by sabot stop: the result is not "
              "complete\n", stderr);
    }
}

static sabot_status wait_job(struct run *run, struct session_job *job, struct sabot_error *err) {
    run->stops = 0;
    bool done = false;
    while (!done) {
        SABOT_TRY(session_job_wait(job, POLL_NS, &done, err));
        progress_show(run, job);
        check_stop(run, job);
    }
    return SABOT_OK;
}

static sabot_status write_query(struct run *run, struct session_job *job, struct output *output,
                                struct sabot_error *err) {
    bool end = false, waiting = false;
    run->stops = 0;
    while (!end) {
        BATCH_OWNED struct batch *batch = NULL;
        SABOT_TRY(session_job_next(job, waiting ? POLL_NS : 0, &batch, &end, err));
        check_stop(run, job);
        if (batch) {
            progress_clear(run);
            SABOT_TRY(output_write(output, batch, err));
        } else if (!waiting) {
            SABOT_TRY(output_flush(output, err));
        }
        waiting = !batch;
        if (!batch) { progress_show(run, job); }
    }
    progress_clear(run);
    /* the final table of a changelog is not known */
    if (is_cut_short(job) && job->updating) { return SABOT_OK; }
    return output_end(output, err);
}

struct live_run {
    struct run *run;
    struct session_job *job;
};

/* For live_show: acts on signals; a stopped query still gives what it had. */
static bool live_stop(void *arg) {
    struct live_run *live = arg;
    check_stop(live->run, live->job);
    return false;
}

static sabot_status run_query(struct run *run, struct session_job *job, struct sabot_error *err) {
    if (run->live && run->output == OUTPUT_TABLE && env_is_terminal(env_stdout(run->env))) {
        struct live_run live = {run, job};
        run->stops = 0;
        return live_show(run->env, job, live_stop, &live, err);
    }
    struct output *output = NULL;
    const struct output_options options = {.kind = run->output, .updating = job->updating,
                                           .fold = job->updating && job->bounded, .upsert_key = job->upsert_key,
                                           .n_upsert_key = job->n_upsert_key};
    SABOT_TRY(output_new(run->env, run->session->pool, job->schema, &options, &output, err));
    const sabot_status status = write_query(run, job, output, err);
    output_free(output);
    return status;
}

static sabot_status write_rows(struct run *run, struct batch *rows, struct sabot_error *err) {
    struct output *output = NULL;
    const struct output_options options = {.kind = run->output};
    SABOT_TRY(output_new(run->env, run->session->pool, rows->schema, &options, &output, err));
    sabot_status status = output_write(output, rows, err);
    if (status == SABOT_OK) { status = output_end(output, err); }
    output_free(output);
    return status;
}

/* Who asks for checkpoints means to have them; the folder may still come from a SET. */
static void interval_warn(struct run *run) {
    if (!run->interval_given || settings_text(&run->session->settings, SETTING_checkpoint_dir)[0]) { return; }
    fprintf(stderr, "sabot: --checkpoint-interval takes no checkpoints without a folder for them: add "
            "--checkpoint-dir DIR\n");
    run->interval_given = false;
}

/* The next start would begin from there once more. */
static void from_warn(struct run *run, const struct session_job *job) {
    const bool is_query = job->schema != NULL;
    if (!run->from_given || is_query || settings_text(&run->session->settings, SETTING_checkpoint_dir)[0]) { return; }
    fprintf(stderr, "sabot: this job takes no checkpoints: should it fail, it begins from %s again, and what it has "
            "written comes twice: add --checkpoint-dir DIR\n",
            settings_text(&run->session->settings, SETTING_savepoint_path));
    run->from_given = false;
}

static sabot_status run_statement(struct run *run, struct session_script *script, struct sabot_error *err) {
    struct session_result result;
    run->started_ns = env_now_ns(run->env);
    run->started_cpu_ns = env_cpu_ns(run->env);
    SABOT_TRY(session_step(run->session, script, &result, err));
    sabot_status status = SABOT_OK;
    if (result.job) {
        interval_warn(run);
        from_warn(run, result.job);
    }
    switch (result.outcome) {
    case STATEMENT_ROWS:
        status = write_rows(run, result.rows, err);
        batch_unref(result.rows);
        return status;
    case STATEMENT_QUERY: status = run_query(run, result.job, err); break;
    case STATEMENT_JOB:
        if (!result.job->bounded && session_left(script) > 0) { return SABOT_OK; } /* goes on beside the rest */
        status = wait_job(run, result.job, err);
        break;
    default: return SABOT_OK;
    }
    progress_clear(run);
    if (status == SABOT_OK) { summarize(run, result.job); }
    cut_short_note(run, result.job);
    session_job_free(result.job);
    return status;
}

static sabot_status run_script(struct run *run, struct session_script *script, struct sabot_error *err) {
    while (session_left(script) > 0 && console_signals() == 0) { SABOT_TRY(run_statement(run, script, err)); }
    run->cut_short |= session_left(script) > 0;
    while (run->session->jobs) { /* unbounded ones that were started on the way */
        SABOT_TRY(wait_job(run, run->session->jobs, err));
        progress_clear(run);
        summarize(run, run->session->jobs);
        cut_short_note(run, run->session->jobs);
        session_job_free(run->session->jobs);
    }
    return SABOT_OK;
}

/* --- the command line */

struct arguments {
    const char *path, *sql;
    struct console_session session;
};

enum {
    OPT_CHECKPOINT_DIR = 256,
    OPT_CHECKPOINT_INTERVAL,
    OPT_FROM,
    OPT_RESUME,
    OPT_ALLOW_NON_RESTORED,
    OPT_SAVEPOINT_DIR,
    OPT_UNALIGNED,
    OPT_TIMEOUT,
    OPT_SUMMARY,
    OPT_LIVE,
    OPT_HELP
};

static const struct option long_options[] = {
    {"execute", required_argument, NULL, 'e'},
    CONSOLE_OPTIONS,
    {"checkpoint-dir", required_argument, NULL, OPT_CHECKPOINT_DIR},
    {"checkpoint-interval", required_argument, NULL, OPT_CHECKPOINT_INTERVAL},
    {"from", required_argument, NULL, OPT_FROM},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"allow-non-restored-state", no_argument, NULL, OPT_ALLOW_NON_RESTORED},
    {"savepoint-dir", required_argument, NULL, OPT_SAVEPOINT_DIR},
    {"unaligned", optional_argument, NULL, OPT_UNALIGNED},
    {"output", required_argument, NULL, 'o'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"summary", no_argument, NULL, OPT_SUMMARY},
    {"live", no_argument, NULL, OPT_LIVE},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int setting(const char *key, const char *value, struct arguments *arguments) {
    return console_setting("run", key, value, &arguments->session);
}

/* An empty path is a variable of a script that is not set: as "none" it would have a job begin without its state. */
static int folder(const char *option, const char *key, const char *value, struct arguments *arguments) {
    if (!value[0]) { return console_usage("run", "%s is empty: name a folder, or leave the option out", option); }
    return setting(key, value, arguments);
}

/* Returns -1 to go on, else the exit code. */
static int take_option(int option, struct run *run, struct arguments *arguments) {
    struct sabot_error err = {0};
    int64_t duration_ns;
    int code = -1;
    switch (option) {
    case 'e': arguments->sql = optarg; return -1;
    case 'q': run->quiet = true; return -1;
    case OPT_CHECKPOINT_DIR: return folder("--checkpoint-dir", "execution.checkpointing.dir", optarg, arguments);
    case OPT_CHECKPOINT_INTERVAL:
        run->interval_given = true;
        return setting("execution.checkpointing.interval", optarg, arguments);
    case OPT_FROM:
        run->from_given = true;
        return folder("--from", "execution.savepoint.path", optarg, arguments);
    case OPT_RESUME: return setting("execution.checkpointing.resume", "true", arguments);
    case OPT_ALLOW_NON_RESTORED: return setting("execution.savepoint.ignore-unclaimed-state", "true", arguments);
    case OPT_SAVEPOINT_DIR:
        return folder("--savepoint-dir", "execution.checkpointing.savepoint-dir", optarg, arguments);
    case OPT_UNALIGNED:
        if (optarg) { code = setting("execution.checkpointing.aligned-checkpoint-timeout", optarg, arguments); }
        return code >= 0 ? code : setting("execution.checkpointing.unaligned.enabled", "true", arguments);
    case OPT_SUMMARY: run->summary = true; return -1;
    case OPT_LIVE: run->live = true; return -1;
    case OPT_HELP: fputs(help, stdout); return 0;
    case 'o':
        if (!output_kind_parse(optarg, &run->output)) {
            return console_usage("run", "--output %s: choose table, csv, json or arrow", optarg);
        }
        run->output_given = true;
        return -1;
    case OPT_TIMEOUT:
        if (duration_parse(optarg, &duration_ns, &err) != SABOT_OK) {
            return console_usage("run", "--timeout: %s", err.message);
        }
        run->deadline_ns = env_now_ns(run->env) + duration_ns;
        return -1;
    default: return console_option("run", option, optarg, &arguments->session);
    }
}

static sabot_status run_prelude(struct run *run, const char *prelude, struct sabot_error *err) {
    struct session_script script = {0};
    sabot_status status = session_parse(prelude, strlen(prelude), &script, err);
    if (status == SABOT_OK) { status = run_script(run, &script, err); }
    session_script_clear(&script);
    return status;
}

int command_run(int argc, char **argv) { return run_with_prelude(argc, argv, NULL); }

int run_with_prelude(int argc, char **argv, const char *prelude) {
    struct run run = {.env = env_real(), .deadline_ns = INT64_MAX};
    struct arguments arguments = {0};
    optind = 1;
    opterr = 1;
    for (int option; (option = getopt_long(argc, argv, "e:p:o:q", long_options, NULL)) != -1;) {
        const int code = take_option(option, &run, &arguments);
        if (code >= 0) { return code; }
    }
    if (!arguments.sql && optind < argc) { arguments.path = argv[optind++]; }
    if (optind < argc) { return console_usage("run", "one script, please: what is \"%s\"?", argv[optind]); }
    if (!arguments.sql && !arguments.path) {
        return console_usage("run", "which script? Name a file, or - for standard input");
    }
    if (!run.output_given) { run.output = env_is_terminal(env_stdout(run.env)) ? OUTPUT_TABLE : OUTPUT_CSV; }
    run.progress = !run.quiet && env_is_terminal(env_stderr(run.env));
    console_catch_signals();

    struct sabot_error err = {0};
    struct console_script script = {0};
    sabot_status status = console_script_open(arguments.path, arguments.sql, &arguments.session, &script, &err);
    run.session = script.session;
    if (status == SABOT_OK) {
        run.session->serves = true;
        if (prelude) { status = run_prelude(&run, prelude, &err); }
    }
    if (status == SABOT_OK) { status = run_script(&run, &script.script, &err); }
    progress_clear(&run);
    if (status == SABOT_OK && run.cut_short) {
        status = SABOT_FAIL(&err, SABOT_ERR_CANCELLED,
                            "stopped before the end of the script or of its input: the result is not complete");
    }
    const int code = console_script_close(&script, &err);
    return status == SABOT_ERR_CANCELLED ? console_signal_code() : code;
}
