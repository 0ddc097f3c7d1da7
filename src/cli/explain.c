/* sabot explain: the plans of the queries and INSERTs of a script, without running them. */
#include "cli/commands.h"
#include "cli/console.h"

#include <getopt.h>
#include <stdio.h>

/* CREATE and SET take effect, because later statements need them; queries and INSERTs are explained. */
static sabot_status explain_script(struct session *session, struct session_script *script, struct sabot_error *err) {
    while (session_left(script) > 0) {
        struct session_result result;
        SABOT_TRY(session_explain_step(session, script, &result, err));
        BATCH_OWNED struct batch *rows = result.rows;
        for (int32_t i = 0; rows && i < rows->selected; i++) {
            const struct column *column = rows->columns[0];
            const struct string_view *view =
                (const struct string_view *)column->values + column_at(column, batch_row(rows, i));
            fwrite(string_view_data(view), 1, view->size, stdout);
            putchar('\n');
        }
    }
    return SABOT_OK;
}

static const char help[] =
    "usage: sabot explain FILE [OPTIONS]        FILE: a SQL script, - for standard input\n"
    "       sabot explain -e SQL [OPTIONS]\n\n"
    "Shows the logical, the optimised and the physical plan of each query and INSERT. Nothing is run.\n\n"
    "  -e, --execute SQL     the script itself\n"
    "  -p, --parallelism N   tasks per operator, as of `sabot run`\n"
    "      --memory SIZE     memory limit\n"
    "      --set KEY=VALUE   a setting, as SET does\n";

int command_explain(int argc, char **argv) {
    static const struct option options[] = {
        {"execute", required_argument, NULL, 'e'},
        CONSOLE_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct console_session given = {0};
    const char *sql = NULL;
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, "e:p:", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (option == 'e') {
            sql = optarg;
            continue;
        }
        const int code = console_option("explain", option, optarg, &given);
        if (code >= 0) { return code; }
    }
    if (optind + (sql ? 0 : 1) != argc) {
        return console_usage("explain", "which script? Name one file, - for standard input, or -e SQL");
    }
    struct sabot_error err = {0};
    struct console_script script;
    if (console_script_open(sql ? NULL : argv[optind], sql, &given, &script, &err) == SABOT_OK) {
        explain_script(script.session, &script.script, &err);
    }
    return console_script_close(&script, &err);
}
