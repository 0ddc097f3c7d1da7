/* sabot sql: the interactive shell. Statements end with ';'; queries over unbounded input show a live table until
 * Ctrl-C. */
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/live.h"
#include "expr/function.h"

#include <getopt.h>
#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define HISTORY_LINES 10000
#define POLL_NS 50000000

static const char help[] =
    "usage: sabot sql [OPTIONS] [FILE]\n\n"
    "Starts a shell; FILE, a script, is run first. Statements end with ';'.\n\n"
    "  -p, --parallelism N   tasks per operator\n"
    "      --memory SIZE     memory limit\n"
    "      --set KEY=VALUE   a setting\n";

static const char shell_help[] =
    "Statements end with ';' and may go over many lines. Tab completes names, arrow keys walk through the history.\n"
    "A query over unbounded input shows its newest rows until Ctrl-C.\n\n"
    "  .help                 this text\n"
    "  .tables               tables and views (SHOW TABLES; DESCRIBE name;)\n"
    "  .functions [NAME]     scalar functions\n"
    "  .connectors [NAME]    connectors and their options\n"
    "  .output KIND          table, csv, json\n"
    "  .jobs                 running INSERTs, and what holds their watermarks\n"
    "  .quit                 leave; running jobs are drained (Ctrl-D, SIGTERM and a closed terminal too)\n";

struct shell {
    struct env *env;
    struct session *session;
    enum output_kind output;
    EditLine *editor; /* NULL: standard input is no terminal */
    History *history;
    struct text statement; /* typed so far */
    char history_path[1024];
    bool quit;
};

/* --- completion: keywords, tables, their columns, functions */

static const char *const keywords[] = {
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "HAVING",
    "ORDER BY",
    "LIMIT",
    "INSERT INTO",
    "VALUES",
    "CREATE TABLE",
    "CREATE VIEW",
    "CREATE TEMPORARY VIEW",
    "CREATE FUNCTION",
    "DROP TABLE",
    "DROP VIEW",
    "SHOW TABLES",
    "SHOW VIEWS",
    "SHOW FUNCTIONS",
    "SHOW CREATE TABLE",
    "DESCRIBE",
    "EXPLAIN",
    "EXPLAIN STALL",
    "SET",
    "RESET",
    "WITH",
    "WATERMARK FOR",
    "PRIMARY KEY",
    "NOT ENFORCED",
    "INTERVAL",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "TUMBLE",
    "HOP",
    "CUMULATE",
    "DESCRIPTOR",
    "TABLE",
    "UNION ALL",
    "BETWEEN",
    "DISTINCT",
    "COUNT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "BEGIN STATEMENT SET",
    "BIGINT",
    "INT",
    "STRING",
    "DOUBLE",
    "BOOLEAN",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "DECIMAL",
    "DATE",
    "window_start",
    "window_end",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
};

struct completion {
    const char *word;
    size_t size;
    char best[256]; /* the common start of all that match */
    int matches;
    struct text names;
};

static void offer(struct completion *completion, const char *name) {
    if (strncasecmp(name, completion->word, completion->size) != 0) { return; }
    text_format(&completion->names, "%s  ", name);
    if (completion->matches++ == 0) {
        snprintf(completion->best, sizeof completion->best, "%s", name);
        return;
    }
    size_t same = 0;
    while (completion->best[same] && strncasecmp(completion->best + same, name + same, 1) == 0) { same++; }
    completion->best[same] = 0;
}

static void offer_objects(struct completion *completion, const struct catalog *catalog) {
    for (size_t i = 0; i < catalog->n_objects; i++) {
        const struct catalog_object *object = catalog->objects[i];
        offer(completion, object->name);
        for (int32_t c = 0; object->kind == CATALOG_TABLE && c < object->table.n_columns; c++) {
            offer(completion, object->table.columns[c].name);
        }
        for (int32_t c = 0; object->kind == CATALOG_VIEW && object->view_schema && c < object->view_schema->n_fields;
             c++) {
            offer(completion, object->view_schema->fields[c].name);
        }
    }
}

static unsigned char complete(EditLine *editor, int key) {
    (void)key;
    struct shell *shell = NULL;
    el_get(editor, EL_CLIENTDATA, &shell);
    const LineInfo *line = el_line(editor);
    const char *start = line->cursor;
    while (start > line->buffer && (start[-1] == '_' || start[-1] == '.' || (start[-1] >= '0' && start[-1] <= '9') ||
                                    (start[-1] >= 'A' && start[-1] <= 'Z') || (start[-1] >= 'a' && start[-1] <= 'z'))) {
        start--;
    }
    struct completion completion = {.word = start, .size = (size_t)(line->cursor - start)};
    if (completion.size == 0) { return CC_ERROR; }
    offer_objects(&completion, &shell->session->catalog);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) { offer(&completion, keywords[i]); }
    for (size_t i = 0; function_at(i); i++) {
        const char first = function_at(i)->name[0];
        if (first >= 'A' && first <= 'Z') { offer(&completion, function_at(i)->name); }
    }
    unsigned char answer = CC_ERROR;
    const size_t size = strlen(completion.best);
    if (completion.matches > 0 && size > completion.size) {
        el_insertstr(editor, completion.best + completion.size);
        answer = CC_REFRESH;
    } else if (completion.matches > 1) {
        printf("\n%.2000s\n", text_string(&completion.names));
        answer = CC_REDISPLAY;
    }
    text_clear(&completion.names);
    return answer;
}

/* --- results */

static sabot_status show_rows(struct shell *shell, struct session_result *result, struct sabot_error *err) {
    struct session_job *job = result->job;
    if (job && !job->bounded && shell->editor && shell->output == OUTPUT_TABLE) {
        const sabot_status shown = live_show(shell->env, job, NULL, NULL, err);
        if (console_signals() > 0) { puts("stopped"); }
        return shown;
    }
    struct output *output = NULL;
    const struct output_options options = {.kind = shell->output, .updating = job && job->updating,
                                           .fold = job && job->updating && job->bounded,
                                           .upsert_key = job ? job->upsert_key : NULL,
                                           .n_upsert_key = job ? job->n_upsert_key : 0};
    struct schema *schema = job ? job->schema : result->rows->schema;
    SABOT_TRY(output_new(shell->env, shell->session->pool, schema, &options, &output, err));
    sabot_status status = SABOT_OK;
    if (!job) {
        status = output_write(output, result->rows, err);
    } else {
        bool end = false, waiting = false;
        while (!end && status == SABOT_OK && console_signals() == 0) {
            BATCH_OWNED struct batch *batch = NULL;
            status = session_job_next(job, waiting ? POLL_NS : 0, &batch, &end, err);
            if (status != SABOT_OK) { break; }
            if (batch) {
                status = output_write(output, batch, err);
            } else if (!waiting) {
                status = output_flush(output, err);
            }
            waiting = !batch;
        }
    }
    const bool stopped = job && console_signals() > 0 && job_state(job->job) != JOB_FINISHED;
    /* the final table of a changelog is not known */
    if (status == SABOT_OK && !(stopped && options.fold)) { status = output_end(output, err); }
    if (stopped) { fputs("stopped before its end\n", stderr); }
    output_free(output);
    return status;
}

static sabot_status run_one(struct shell *shell, struct session_script *script, struct sabot_error *err) {
    struct session_result result;
    SABOT_TRY(session_step(shell->session, script, &result, err));
    sabot_status status = SABOT_OK;
    bool done = false;
    switch (result.outcome) {
    case STATEMENT_ROWS:
    case STATEMENT_QUERY: status = show_rows(shell, &result, err); break;
    case STATEMENT_JOB:
        if (!result.job->bounded) {
            puts("started; .jobs shows it");
            return SABOT_OK;
        }
        while (status == SABOT_OK && !done && console_signals() == 0) {
            status = session_job_wait(result.job, POLL_NS, &done, err);
        }
        if (done && status == SABOT_OK) { puts("done"); }
        if (!done && status == SABOT_OK) { puts("cancelled before its end: what was not committed is dropped"); }
        break;
    default: puts("ok"); break;
    }
    batch_unref(result.rows);
    session_job_free(result.job);
    return status;
}

/* All statements of a text; false after an error, which has been shown. */
static bool run_text(struct shell *shell, const char *name, const char *text, size_t size) {
    struct sabot_error err = {0};
    struct session_script script = {0};
    sabot_status status = session_parse(text, size, &script, &err);
    console_signals_clear();
    while (status == SABOT_OK && session_left(&script) > 0 && console_signals() == 0) {
        status = run_one(shell, &script, &err);
    }
    fflush(stdout);
    if (status != SABOT_OK) { console_error(&err, name, text, size); }
    session_script_clear(&script);
    return status == SABOT_OK;
}

/* --- lines */

static void dot_command(struct shell *shell, char *line) {
    char *argv[3] = {strtok(line, " \t\n"), strtok(NULL, " \t\n"), NULL};
    const int argc = argv[1] ? 2 : 1;
    if (strcmp(argv[0], ".quit") == 0 || strcmp(argv[0], ".exit") == 0) {
        shell->quit = true;
    } else if (strcmp(argv[0], ".tables") == 0) {
        run_text(shell, NULL, "SHOW TABLES;", 12);
    } else if (strcmp(argv[0], ".functions") == 0) {
        command_functions(argc, argv);
    } else if (strcmp(argv[0], ".connectors") == 0) {
        command_connectors(argc, argv);
    } else if (strcmp(argv[0], ".jobs") == 0) {
        run_text(shell, NULL, "EXPLAIN STALL;", 14);
    } else if (strcmp(argv[0], ".output") == 0 && argc == 2) {
        if (!output_kind_parse(argv[1], &shell->output)) { puts("choose table, csv or json"); }
    } else {
        fputs(shell_help, stdout);
    }
}

static void take_line(struct shell *shell, char *line) {
    if (shell->statement.size == 0) {
        const size_t blank = strspn(line, " \t\r\n");
        if (!line[blank]) { return; }
        if (line[blank] == '.') {
            dot_command(shell, line + blank);
            return;
        }
    }
    text_add(&shell->statement, line);
    if (!sql_parse_is_complete(text_string(&shell->statement), shell->statement.size)) { return; }
    if (shell->history) {
        HistEvent event;
        history(shell->history, &event, H_ENTER, text_string(&shell->statement));
    }
    run_text(shell, NULL, text_string(&shell->statement), shell->statement.size);
    text_clear(&shell->statement);
}

static char *prompt(EditLine *editor) {
    static char first[] = "sabot> ", more[] = "    -> ";
    struct shell *shell = NULL;
    el_get(editor, EL_CLIENTDATA, &shell);
    return shell->statement.size ? more : first;
}

static void editor_open(struct shell *shell) {
    HistEvent event;
    shell->editor = el_init("sabot", stdin, stdout, stderr);
    if (!shell->editor) { return; }
    shell->history = history_init();
    el_set(shell->editor, EL_CLIENTDATA, shell);
    el_set(shell->editor, EL_PROMPT, prompt);
    el_set(shell->editor, EL_EDITOR, "emacs");
    el_set(shell->editor, EL_SIGNAL, 0);
    el_set(shell->editor, EL_ADDFN, "sabot-complete", "complete a name", complete);
    el_set(shell->editor, EL_BIND, "^I", "sabot-complete", NULL);
    if (!shell->history) { return; }
    history(shell->history, &event, H_SETSIZE, HISTORY_LINES);
    history(shell->history, &event, H_SETUNIQUE, 1);
    el_set(shell->editor, EL_HIST, history, shell->history);
    const char *home = getenv("HOME");
    if (home) { snprintf(shell->history_path, sizeof shell->history_path, "%s/.sabot_history", home); }
    if (shell->history_path[0]) { history(shell->history, &event, H_LOAD, shell->history_path); }
}

static void editor_close(struct shell *shell) {
    HistEvent event;
    if (shell->history && shell->history_path[0]) { history(shell->history, &event, H_SAVE, shell->history_path); }
    if (shell->editor) { el_end(shell->editor); }
    if (shell->history) { history_end(shell->history); }
}

static void read_terminal(struct shell *shell) {
    puts("Sabot. Statements end with ';', .help shows more.");
    while (!shell->quit && console_reads(true)) {
        int size = 0;
        const char *line = el_gets(shell->editor, &size);
        console_reads(false);
        if (!line || size <= 0) {
            if (console_signals() == 0) { break; } /* Ctrl-D */
            console_signals_clear();               /* Ctrl-C: forget what was typed */
            text_clear(&shell->statement);
            puts("");
            continue;
        }
        char *copy = strdup(line);
        if (copy) { take_line(shell, copy); }
        free(copy);
    }
    console_reads(false);
}

/* Without a terminal: statements from a pipe, each run as soon as it is complete. */
static void read_pipe(struct shell *shell) {
    char *line = NULL;
    size_t capacity = 0;
    while (!shell->quit && console_reads(true)) {
        const ssize_t size = getline(&line, &capacity, stdin);
        console_reads(false);
        if (size <= 0) { break; }
        take_line(shell, line);
    }
    console_reads(false);
    if (shell->statement.size && !console_is_told_to_end()) {
        run_text(shell, NULL, text_string(&shell->statement), shell->statement.size);
    }
    free(line);
}

static void drain_jobs(struct shell *shell) {
    for (struct session_job *job = shell->session->jobs; job; job = job->next) { job_stop(job->job); }
    while (shell->session->jobs) {
        struct sabot_error err = {0};
        if (session_job_wait(shell->session->jobs, -1, NULL, &err) != SABOT_OK) { console_error(&err, NULL, NULL, 0); }
        session_job_free(shell->session->jobs);
    }
}

int command_sql(int argc, char **argv) {
    static const struct option options[] = {CONSOLE_OPTIONS, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct shell shell = {.env = env_real(), .output = OUTPUT_TABLE};
    struct sabot_error err = {0};
    struct console_session given = {0};
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, "p:", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        const int refused = console_option("sql", option, optarg, &given);
        if (refused >= 0) { return refused; }
    }
    if (session_new(shell.env, given.memory_limit, &shell.session, &err) != SABOT_OK) {
        return console_error(&err, NULL, NULL, 0);
    }
    shell.session->settings = given.settings;
    shell.session->serves = true;
    console_catch_signals();
    console_catch_hangup();
    bool fine = true;
    int code = sabot_status_exit_code(SABOT_ERR_SQL);
    if (optind < argc) {
        char *text = NULL;
        size_t size = 0;
        fine = console_read(shell.env, argv[optind], &text, &size, &err) == SABOT_OK;
        if (!fine) { code = console_error(&err, NULL, NULL, 0); }
        fine = fine && run_text(&shell, argv[optind], text, size);
        free(text);
    }
    const bool goes_on = fine && !console_is_told_to_end();
    if (goes_on && env_is_terminal(env_stdin(shell.env))) { editor_open(&shell); }
    if (goes_on && shell.editor) { read_terminal(&shell); }
    if (goes_on && !shell.editor) { read_pipe(&shell); }
    editor_close(&shell);
    drain_jobs(&shell);
    session_free(shell.session);
    text_clear(&shell.statement);
    if (console_is_told_to_end()) { return console_signal_code(); }
    return fine ? 0 : code;
}
