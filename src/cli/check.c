/* sabot check SCRIPT --against PATH: whether the jobs of a script can start from a checkpoint or savepoint, state by
 * state, and what to do where they can't. Nothing is run. */
#include "cli/commands.h"
#include "cli/console.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: sabot check SCRIPT --against PATH [OPTIONS]     SCRIPT: a file, - for standard input\n\n"
    "Compares the state of each operator with what the checkpoint or savepoint PATH (or the newest of a folder) has\n"
    "of it. Operators are found by uid, columns by name. A verdict is\n"
    "  same           restored as it is\n"
    "  migrates       restored in another form: wider types, columns that may be NULL, added columns\n"
    "  new            the operator begins empty\n"
    "  dropped        state without a place in the job; refused without --allow-non-restored-state\n"
    "  incompatible   refused\n"
    "The exit code is 0 if `sabot run --from PATH` would start the jobs, and 8 if it would refuse one.\n\n"
    "      --against PATH           the checkpoint, savepoint or checkpoint folder\n"
    "      --allow-non-restored-state   as of `sabot run`\n"
    "      --set KEY=VALUE          a setting, as SET does\n"
    "  -p, --parallelism N          as of `sabot run`; says nothing about state\n"
    "      --memory SIZE            most memory that reading may take\n";

enum { OPT_AGAINST = 256, OPT_ALLOW, OPT_HELP };
static const struct option long_options[] = {
    CONSOLE_OPTIONS,
    {"against", required_argument, NULL, OPT_AGAINST},
    {"allow-non-restored-state", no_argument, NULL, OPT_ALLOW},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void print_report(const struct state_report *report) {
    printf("%-14s %-48s %s\n", "VERDICT", "OPERATOR", "STATE");
    for (int32_t i = 0; i < report->n; i++) {
        const struct state_finding *item = &report->items[i];
        printf("%-14s %-48s %s\n", state_fate_name(item->fate), item->uid, item->state ? item->state : "");
        if (item->why) { printf("               %s\n", item->why); }
    }
    if (report->n == 0) { printf("neither the job nor the checkpoint has state\n"); }
}

static sabot_status check_script(struct session *session, struct session_script *script, const char *path, bool *fits,
                                 struct sabot_error *err) {
    int32_t n_jobs = 0;
    while (session_left(script) > 0) {
        struct state_report report;
        bool is_job;
        SABOT_TRY(session_check_step(session, script, path, &report, &is_job, err));
        if (!is_job) { continue; }
        if (n_jobs++ > 0) { putchar('\n'); }
        print_report(&report);
        *fits = *fits && !state_report_obstacle(&report);
        state_report_clear(&report);
    }
    if (n_jobs > 0) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "the script has no INSERT and no query to compare with %s", path);
}

int command_check(int argc, char **argv) {
    struct console_session given = {0};
    const char *against = NULL;
    optind = 1;
    opterr = 1;
    for (int option; (option = getopt_long(argc, argv, "p:", long_options, NULL)) != -1;) {
        int code = -1;
        switch (option) {
        case OPT_AGAINST: against = optarg; break;
        case OPT_ALLOW:
            code = console_setting("check", "execution.savepoint.ignore-unclaimed-state", "true", &given);
            break;
        case OPT_HELP: fputs(help, stdout); return 0;
        default: code = console_option("check", option, optarg, &given); break;
        }
        if (code >= 0) { return code; }
    }
    if (optind != argc - 1) { return console_usage("check", "which script? Name one file, or - for standard input"); }
    if (!against) { return console_usage("check", "against what? --against CHECKPOINT, SAVEPOINT or their folder"); }
    struct sabot_error err = {0};
    struct console_script script;
    bool fits = true;
    if (console_script_open(argv[optind], NULL, &given, &script, &err) == SABOT_OK) {
        check_script(script.session, &script.script, against, &fits, &err);
    }
    const int code = console_script_close(&script, &err);
    return code == 0 && !fits ? sabot_status_exit_code(SABOT_ERR_STATE) : code;
}
