/* sabot jobs, savepoint, stop, cancel: what another process can do with the jobs of a `sabot run`. */
#include "cli/commands.h"
#include "cli/console.h"
#include "engine/job_server.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char jobs_help[] =
    "usage: sabot jobs [--quiet]\n\n"
    "Lists the jobs that `sabot run` and `sabot sql` of this user run on this machine.\n\n"
    "  ROWS     that the sources have read; ROWS/S of the last 5 to 10 seconds\n"
    "  LAG      how far the watermark of the sinks is behind the clock; - without a watermark\n"
    "  CHKS     checkpoints completed, FAILED ones, and how old the LAST is\n\n"
    "  -q, --quiet                  only their ids\n";
static const char savepoint_help[] =
    "usage: sabot savepoint JOB [--dir DIR]        JOB: an id, a name, or a checkpoint folder\n\n"
    "Takes a savepoint of a running job, which goes on, and prints its path. `sabot run --from PATH` starts from it.\n"
    "A savepoint commits nothing: what the job has written becomes visible with its next checkpoint.\n\n"
    "  -d, --dir DIR                make the savepoint's folder there (default: the checkpoint folder, or what\n"
    "                               execution.checkpointing.savepoint-dir says)\n"
    "      --path PATH              use exactly this folder, which must be empty or not there yet\n";
static const char stop_help[] =
    "usage: sabot stop JOB [--savepoint [--dir DIR]] [--drain]        JOB: an id, a name, or a checkpoint folder\n\n"
    "Sources read no more, what is in flight is finished, a last checkpoint is taken where there are checkpoints,\n"
    "sinks commit, the job ends. Windows that are still open do not fire: they go on in the job that is started\n"
    "from there.\n\n"
    "  -s, --savepoint              take a savepoint of everything that was read, and print the path of it\n"
    "      --drain                  the input ends for good: the watermark goes to its maximum, open windows fire,\n"
    "                               and then comes the savepoint. Rows that a job started from it reads are late\n"
    "  -d, --dir DIR                make the savepoint's folder there\n"
    "      --path PATH              use exactly this folder\n";
static const char cancel_help[] =
    "usage: sabot cancel JOB        JOB: an id, a name, or a checkpoint folder\n\n"
    "Ends a job at once. What it has not committed is dropped; its checkpoints stay, unless it was told otherwise\n"
    "(execution.checkpointing.externalized-checkpoint-retention).\n";

#define JOB_LINE "%-9s %-20s %-9s %8s %9s %9s %8s %6s %6s %8s  %s\n"

static void number_text(const char *line, enum job_column column, char *target, size_t size) {
    char text[32];
    job_server_column(line, column, text, sizeof text);
    console_number(strtod(text, NULL), target, size);
}

static void since_text(const char *line, enum job_column column, char *target, size_t size) {
    char text[32];
    job_server_column(line, column, text, sizeof text);
    const int64_t ms = strtoll(text, NULL, 10);
    if (!text[0] || strcmp(text, "0") == 0) {
        snprintf(target, size, "-");
    } else {
        console_duration(env_wall_ms(env_real()) - ms, target, size);
    }
}

static void print_job(const char *line) {
    char id[32], name[256], state[32], folder[ENV_PATH_MAX], uptime[32], rows[32], rate[32], lag[32], last[32];
    char completed[32], failed[32];
    job_server_column(line, JOB_COLUMN_ID, id, sizeof id);
    job_server_column(line, JOB_COLUMN_NAME, name, sizeof name);
    job_server_column(line, JOB_COLUMN_STATE, state, sizeof state);
    job_server_column(line, JOB_COLUMN_CHECKPOINTS, completed, sizeof completed);
    job_server_column(line, JOB_COLUMN_FAILED, failed, sizeof failed);
    job_server_column(line, JOB_COLUMN_FOLDER, folder, sizeof folder);
    since_text(line, JOB_COLUMN_STARTED, uptime, sizeof uptime);
    since_text(line, JOB_COLUMN_WATERMARK, lag, sizeof lag);
    since_text(line, JOB_COLUMN_CHECKPOINT_MS, last, sizeof last);
    number_text(line, JOB_COLUMN_ROWS, rows, sizeof rows);
    number_text(line, JOB_COLUMN_RATE, rate, sizeof rate);
    printf(JOB_LINE, id, name, state, uptime, rows, rate, lag, completed, failed, last, folder);
}

int command_jobs(int argc, char **argv) {
    const bool quiet = argc == 2 && (strcmp(argv[1], "--quiet") == 0 || strcmp(argv[1], "-q") == 0);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(jobs_help, stdout);
        return 0;
    }
    if (argc > 1 && !quiet) { return console_usage("jobs", "what is \"%s\"?", argv[1]); }
    struct sabot_error err = {0};
    struct text list = {0};
    const sabot_status status = job_server_list(env_real(), &list, &err);
    if (status == SABOT_OK && !quiet && list.size > 0) {
        printf(JOB_LINE, "ID", "NAME", "STATE", "UPTIME", "ROWS", "ROWS/S", "LAG", "CHKS", "FAILED", "LAST",
               "CHECKPOINT FOLDER");
    }
    char *rest = NULL;
    for (char *line = list.data ? strtok_r(list.data, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        if (quiet) {
            printf("%.8s\n", line);
        } else {
            print_job(line);
        }
    }
    text_clear(&list);
    return status == SABOT_OK ? 0 : console_error(&err, NULL, NULL, 0);
}

struct job_command {
    const char *name, *help;
    enum job_verb verb;
    const char *options; /* of getopt */
};

static int job_command_run(const struct job_command *command, int argc, char **argv) {
    static const struct option all[] = {
        {"dir", required_argument, NULL, 'd'},  {"path", required_argument, NULL, 'P'},
        {"drain", no_argument, NULL, 'D'},      {"help", no_argument, NULL, 'h'},
        {"savepoint", no_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    struct job_request request = {.verb = command->verb};
    optind = 1;
    opterr = 1;
    for (int option; (option = getopt_long(argc, argv, "d:sh", all, NULL)) != -1;) {
        if (option == 'h') {
            fputs(command->help, stdout);
            return 0;
        }
        if (!strchr(command->options, option)) {
            return console_usage(command->name, "the command line can't be understood");
        }
        if (option == 'd') { request.dir = optarg; }
        if (option == 'P') { request.path = optarg; }
        if (option == 'D') { request.drain = true; }
        if (option == 's') { request.savepoint = true; }
    }
    if (optind + 1 != argc) {
        return console_usage(command->name, "which job? `sabot jobs` lists them");
    }
    request.job = argv[optind];
    if (request.dir && request.path) { return console_usage(command->name, "--dir or --path, not both"); }
    if (command->verb == JOB_VERB_STOP && (request.dir || request.path)) { request.savepoint = true; }
    struct sabot_error err = {0};
    struct text answer = {0};
    const sabot_status status = job_server_ask(env_real(), &request, &answer, &err);
    if (status == SABOT_OK && answer.size > 0) { printf("%s\n", text_string(&answer)); }
    text_clear(&answer);
    return status == SABOT_OK ? 0 : console_error(&err, NULL, NULL, 0);
}

int command_savepoint(int argc, char **argv) {
    return job_command_run(&(struct job_command){"savepoint", savepoint_help, JOB_VERB_SAVEPOINT, "dP"}, argc, argv);
}

int command_stop(int argc, char **argv) {
    return job_command_run(&(struct job_command){"stop", stop_help, JOB_VERB_STOP, "dPsD"}, argc, argv);
}

int command_cancel(int argc, char **argv) {
    return job_command_run(&(struct job_command){"cancel", cancel_help, JOB_VERB_CANCEL, ""}, argc, argv);
}
