/* sabot state tables|query: the state of a checkpoint, a savepoint or a running job as tables. A running job is asked
 * for a checkpoint, unless its newest one will do; where it has no folder for them, for a savepoint that is removed
 * afterwards. */
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
    "usage: sabot state tables PATH|JOB [--max-age T]               the tables, with their columns\n"
    "       sabot state query PATH|JOB SQL [--max-age T] [RUN OPTIONS]\n"
    "                                                               runs SQL over them, as `sabot run -e SQL` does\n\n"
    "PATH is a checkpoint, a savepoint, or a checkpoint folder (its newest). JOB is a running job, which is asked for\n"
    "a checkpoint: it writes only what has changed since the last one, and its sinks commit with it. A job without\n"
    "a checkpoint folder writes a savepoint, removed afterwards. Standard error says of when the state is. Each state\n"
    "is a table named by its operator and its name; a window's panes have columns key_group, namespace (the end of\n"
    "the pane), the keys, and the accumulators.\n\n"
    "      --max-age T              of a JOB: its newest checkpoint will do where it is not older than T (10s), which\n"
    "                               costs the job nothing; it may be removed while a long query reads it\n";

/* The newest complete checkpoint of the only running job of that name; false: there is none, or it is too old. */
static bool newest_checkpoint(const char *job, int64_t max_age_ns, char target[ENV_PATH_MAX]) {
    struct text list = {0};
    char found[ENV_PATH_MAX], folder[ENV_PATH_MAX] = "", id[32] = "";
    int32_t n = 0;
    if (job_server_list(env_real(), &list, NULL) != SABOT_OK) { return false; }
    for (const char *line = text_string(&list); *line; line += strcspn(line, "\n"), line += *line == '\n') {
        bool is = false;
        static const enum job_column names[] = {JOB_COLUMN_ID, JOB_COLUMN_NAME, JOB_COLUMN_FOLDER};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            job_server_column(line, names[i], found, sizeof found);
            is = is || strcmp(found, job) == 0;
        }
        if (!is) { continue; }
        n++;
        job_server_column(line, JOB_COLUMN_FOLDER, folder, sizeof folder);
        job_server_column(line, JOB_COLUMN_CHECKPOINT, id, sizeof id);
    }
    text_clear(&list);
    const int64_t number = strtoll(id, NULL, 10);
    struct manifest manifest;
    if (n != 1 || !folder[0] || number < 0 || storage_path(folder, number, target, NULL) != SABOT_OK ||
        storage_read_manifest(console_store(NULL), target, &manifest, NULL) != SABOT_OK) {
        return false;
    }
    const int64_t age_ms = env_wall_ms(env_real()) - manifest.timestamp_ms;
    manifest_clear(&manifest);
    return age_ms <= max_age_ns / 1000000;
}

static void say_when(const char *job, const char *path, bool is_checkpoint) {
    struct manifest manifest;
    struct sabot_error err = {0};
    char when[32];
    if (storage_read_manifest(console_store(&err), path, &manifest, &err) != SABOT_OK) { return; }
    console_time(manifest.timestamp_ms, when, sizeof when);
    if (is_checkpoint) {
        fprintf(stderr, "sabot: state of job %s as of %s UTC, checkpoint %lld\n", job, when,
                (long long)manifest.checkpoint_id);
    } else {
        fprintf(stderr, "sabot: state of job %s as of %s UTC\n", job, when);
    }
    manifest_clear(&manifest);
}

/* Where the state is, and what is to be given back when it was read. */
struct place {
    char path[ENV_PATH_MAX];
    struct env_socket *held; /* keeps the checkpoint of a running job; NULL: not needed */
    bool temporary;          /* a savepoint made for this */
};

/* Of a job that has no checkpoint folder. */
static sabot_status savepoint_make(const char *job, struct place *place, struct sabot_error *err) {
    struct env *env = env_real();
    char folder[ENV_PATH_MAX];
    SABOT_TRY(env_run_dir(env, folder, err));
    snprintf(place->path, sizeof place->path, "%.4000s/state-%08x", folder, (unsigned)env_random(env));
    struct text answer = {0};
    const struct job_request request = {.verb = JOB_VERB_SAVEPOINT, .job = job, .path = place->path};
    const sabot_status status = job_server_ask(env, &request, &answer, err);
    text_clear(&answer);
    place->temporary = status == SABOT_OK;
    if (place->temporary) { say_when(job, place->path, false); }
    return status;
}

static sabot_status place_find(const char *given, int64_t max_age_ns, struct place *place, struct sabot_error *err) {
    struct env *env = env_real();
    struct env_stat found;
    *place = (struct place){0};
    if (store_is_remote(given) || env_stat(env, given, &found, NULL) == SABOT_OK) {
        snprintf(place->path, sizeof place->path, "%s", given);
        return SABOT_OK;
    }
    if (max_age_ns >= 0 && newest_checkpoint(given, max_age_ns, place->path)) {
        say_when(given, place->path, true);
        return SABOT_OK;
    }
    const sabot_status status = job_server_hold(env, given, place->path, &place->held, err);
    if (status == SABOT_ERR_NOT_FOUND) { error_context(err, "%s is neither a path nor a job", given); }
    if (status == SABOT_OK && !place->held) { return savepoint_make(given, place, err); }
    if (status == SABOT_OK) { say_when(given, place->path, true); }
    return status;
}

static void place_leave(struct place *place) {
    struct sabot_error err = {0};
    env_socket_close(place->held);
    if (place->temporary && storage_remove(console_store(&err), place->path, &err) != SABOT_OK) {
        fprintf(stderr, "sabot: the savepoint that was queried stays: %s\n", err.message);
    }
}

static sabot_status take_columns(void *arg, struct batch *rows, struct sabot_error *err) {
    (void)err;
    struct text *text = arg;
    for (int32_t c = 0; c < rows->schema->n_fields; c++) {
        char type[128];
        type_print(rows->schema->fields[c].type, type, sizeof type);
        text_format(text, "%s%s %s", c ? ", " : "", rows->schema->fields[c].name, type);
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
        printf("%s (%s)\n    %s '%s' of operator %s, %s%lld rows\n", name, text_string(&columns),
               tables[i].kind == STATE_LIST ? "list" : "state", tables[i].state, tables[i].uid,
               tables[i].has_changes ? "at most " : "", (long long)tables[i].rows);
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
        argv[argc++] = "sabot state";
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

/* Takes --max-age T out of the arguments. */
static bool take_max_age(int *argc, char **argv, int64_t *max_age_ns) {
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--max-age") != 0) { continue; }
        if (i + 1 == *argc || duration_parse(argv[i + 1], max_age_ns, NULL) != SABOT_OK) { return false; }
        memmove(argv + i, argv + i + 2, (size_t)(*argc - i - 2) * sizeof *argv);
        *argc -= 2;
        return true;
    }
    return true;
}

int command_state(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    int64_t max_age_ns = -1;
    if (!take_max_age(&argc, argv, &max_age_ns)) { return console_usage("state", "--max-age T: a time such as 10s"); }
    const bool tables = argc == 3 && strcmp(argv[1], "tables") == 0;
    if (!tables && (argc < 4 || strcmp(argv[1], "query") != 0)) {
        return console_usage("state", "what is to be done: tables PATH, or query PATH SQL?");
    }
    struct sabot_error err = {0};
    struct place place;
    if (place_find(argv[2], max_age_ns, &place, &err) != SABOT_OK) { return console_error(&err, NULL, NULL, 0); }
    int code = 0;
    if (!tables) {
        code = query(place.path, argv[3], argc - 4, argv + 4);
    } else if (tables_show(place.path, &err) != SABOT_OK) {
        code = console_error(&err, NULL, NULL, 0);
    }
    place_leave(&place);
    return code;
}
