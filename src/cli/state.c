/* sabot state tables|query: the state of a checkpoint, a savepoint or a running job as tables. A running job is asked
 * for a savepoint, which is removed afterwards. */
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/run.h"

#include "base/env_local.h"
#include "checkpoint/restore.h"
#include "checkpoint/storage.h"
#include "engine/job_server.h"
#include "engine/savepoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: sabot state tables PATH|JOB                     the tables that can be queried, with their columns\n"
    "       sabot state query PATH|JOB SQL [RUN OPTIONS]    runs SQL over them, as `sabot run -e SQL` does\n\n"
    "PATH is a checkpoint, a savepoint, or a checkpoint folder (its newest). JOB is a running job, which is asked for\n"
    "a savepoint, removed afterwards. Each state is a table named by its operator and its name; a window's panes have\n"
    "columns key_group, namespace (the end of the pane), the keys, and the accumulators.\n";

/* Where the state is: the path itself, or a savepoint of the running job of that name. */
static sabot_status path_of(const char *given, char target[ENV_PATH_MAX], bool *temporary, struct sabot_error *err) {
    struct env *env = env_real();
    struct env_stat found;
    *temporary = false;
    if (store_is_remote(given) || env_stat(env, given, &found, NULL) == SABOT_OK) {
        snprintf(target, ENV_PATH_MAX, "%s", given);
        return SABOT_OK;
    }
    char folder[ENV_PATH_MAX];
    SABOT_TRY(env_run_dir(env, folder, err));
    if (snprintf(target, ENV_PATH_MAX, "%.4000s/state-%08x", folder, (unsigned)env_random(env)) >= ENV_PATH_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long", folder);
    }
    struct text answer = {0};
    const struct job_request request = {.verb = JOB_VERB_SAVEPOINT, .job = given, .path = target};
    const sabot_status status = job_server_ask(env, &request, &answer, err);
    text_clear(&answer);
    if (status == SABOT_ERR_NOT_FOUND) { error_context(err, "%s is neither a path nor a job", given); }
    *temporary = status == SABOT_OK;
    return status;
}

static sabot_status take_columns(void *arg, struct batch *rows, struct sabot_error *err) {
    (void)err;
    struct text *text = arg;
    for (int32_t i = 0; i < rows->schema->n_fields && text->size == 0; i = rows->schema->n_fields) {
        for (int32_t c = 0; c < rows->schema->n_fields; c++) {
            char type[128];
            type_print(rows->schema->fields[c].type, type, sizeof type);
            text_format(text, "%s%s %s", c ? ", " : "", rows->schema->fields[c].name, type);
        }
    }
    batch_unref(rows);
    return SABOT_ERR_CANCELLED; /* enough */
}

static sabot_status tables_show(const char *path, struct sabot_error *err) {
    struct memory_pool pool;
    memory_pool_init(&pool, "state", NULL, INT64_MAX);
    struct restore *restore;
    struct restore_table *tables;
    int32_t n;
    SABOT_TRY(restore_open(console_store(err), path, &pool, &restore, err));
    sabot_status status = restore_tables(restore, &tables, &n, err);
    for (int32_t i = 0; status == SABOT_OK && i < n; i++) {
        char name[512];
        struct text columns = {0};
        struct sabot_error stopped = {0};
        savepoint_table_name(tables[i].uid, tables[i].state, name, sizeof name);
        restore_read(restore, tables[i].uid, tables[i].state, -1, take_columns, &columns, &stopped);
        printf("%s (%s)\n    %s '%s' of operator %s, %lld rows\n", name, text_string(&columns),
               tables[i].kind == STATE_LIST ? "list" : "state", tables[i].state, tables[i].uid,
               (long long)tables[i].rows);
        text_clear(&columns);
        if (stopped.status != SABOT_OK && stopped.status != SABOT_ERR_CANCELLED) {
            *err = stopped;
            status = stopped.status;
        }
    }
    free(tables);
    restore_close(restore);
    return status;
}

static int query(const char *path, const char *sql, int n_options, char **options) {
    struct sabot_error err = {0};
    struct text prelude = {0};
    char **argv = calloc((size_t)n_options + 5, sizeof *argv);
    sabot_status status = argv ? SABOT_OK : SABOT_FAIL(&err, SABOT_ERR_MEMORY, "no memory for a query");
    if (status == SABOT_OK) { status = savepoint_tables_sql(console_store(&err), path, &prelude, &err); }
    int code = 0;
    if (status == SABOT_OK) {
        int argc = 0;
        argv[argc++] = "run";
        for (int i = 0; i < n_options; i++) { argv[argc++] = options[i]; }
        argv[argc++] = "-e";
        argv[argc++] = (char *)sql;
        code = run_with_prelude(argc, argv, text_string(&prelude));
    } else {
        code = console_error(&err, NULL, NULL, 0);
    }
    text_clear(&prelude);
    free(argv);
    return code;
}

int command_state(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    const bool tables = argc == 3 && strcmp(argv[1], "tables") == 0;
    if (!tables && (argc < 4 || strcmp(argv[1], "query") != 0)) {
        return console_usage("state", "what is to be done: tables PATH, or query PATH SQL?");
    }
    struct sabot_error err = {0};
    char path[ENV_PATH_MAX];
    bool temporary;
    if (path_of(argv[2], path, &temporary, &err) != SABOT_OK) { return console_error(&err, NULL, NULL, 0); }
    int code = 0;
    if (!tables) {
        code = query(path, argv[3], argc - 4, argv + 4);
    } else if (tables_show(path, &err) != SABOT_OK) {
        code = console_error(&err, NULL, NULL, 0);
    }
    if (temporary && storage_remove(console_store(&err), path, &err) != SABOT_OK) {
        fprintf(stderr, "sabot: the savepoint that was queried stays: %s\n", err.message);
    }
    return code;
}
