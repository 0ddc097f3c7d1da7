/* sabot checkpoints list|show|verify: what is in a checkpoint folder, and whether it is whole. */
#include "cli/commands.h"
#include "cli/console.h"

#include "checkpoint/restore.h"
#include "checkpoint/storage.h"
#include "checkpoint/system_state.h"
#include "runtime/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: sabot checkpoints list DIR       checkpoints of a folder, and the savepoints in it\n"
    "       sabot checkpoints show PATH      operators and state tables of one (of the newest of a folder)\n"
    "       sabot checkpoints verify PATH    reads every file of it (of all in a folder) and compares checksums\n";

static int64_t bytes_of(const struct manifest *manifest) {
    int64_t bytes = 0;
    for (int32_t i = 0; i < manifest->n_files; i++) { bytes += manifest->files[i].size; }
    return bytes;
}

static int64_t rows_of(const struct manifest *manifest) {
    int64_t rows = 0;
    for (int32_t i = 0; i < manifest->n_files; i++) { rows += manifest->files[i].rows; }
    return rows;
}

/* Calls begin(), where it is not NULL, once the folder is found, and visit() for each folder in it that is, or was to
 * become, a checkpoint or savepoint. */
static sabot_status folders_visit(const char *dir, void (*begin)(void), void (*visit)(const char *path, void *arg),
                                  void *arg, struct sabot_error *err) {
    struct store *store = console_store(err);
    if (!store) { return SABOT_ERR_MEMORY; }
    struct env_stat found;
    SABOT_TRY(store_stat(store, dir, &found, err));
    if (begin) { begin(); }
    int64_t *ids;
    int32_t n;
    SABOT_TRY(storage_list(store, dir, &ids, &n, err));
    sabot_status status = SABOT_OK;
    char path[STORAGE_PATH_MAX];
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        status = storage_path(dir, ids[i], path, err);
        if (status == SABOT_OK) { visit(path, arg); }
    }
    free(ids);
    SABOT_TRY(status);
    struct store_entry *entries;
    size_t n_entries;
    SABOT_TRY(store_list(store, dir, &entries, &n_entries, err));
    for (size_t i = 0; i < n_entries; i++) {
        if (storage_id_of(entries[i].name, strlen(entries[i].name)) >= 0 ||
            snprintf(path, sizeof path, "%s/%s", dir, entries[i].name) >= (int)sizeof path) {
            continue;
        }
        bool is_one = strncmp(entries[i].name, "savepoint-", 10) == 0; /* others have the names that users gave them */
        if (!is_one && storage_has_manifest(store, path, &is_one, NULL) != SABOT_OK) { is_one = false; }
        if (is_one) { visit(path, arg); }
    }
    store_entries_free(entries, n_entries);
    return SABOT_OK;
}

static void print_list_head(void) {
    printf("%-32s %6s  %-20s %12s %14s  %s\n", "NAME", "ID", "TAKEN (UTC)", "ROWS", "BYTES", "JOB");
}

static void list_one(const char *path, void *arg) {
    ++*(int32_t *)arg;
    const char *slash = strrchr(path, '/');
    struct manifest manifest;
    struct sabot_error err = {0};
    if (storage_read_manifest(console_store(&err), path, &manifest, &err) != SABOT_OK) {
        printf("%-32s not complete: %s\n", slash ? slash + 1 : path, err.message);
        return;
    }
    char when[32];
    console_time(manifest.timestamp_ms, when, sizeof when);
    printf("%-32s %6lld  %-20s %12lld %14lld  %s\n", slash ? slash + 1 : path, (long long)manifest.checkpoint_id, when,
           (long long)rows_of(&manifest), (long long)bytes_of(&manifest), manifest.job);
    manifest_clear(&manifest);
}

static int command_list(const char *dir) {
    struct sabot_error err = {0};
    int32_t listed = 0;
    const sabot_status status = folders_visit(dir, print_list_head, list_one, &listed, &err);
    if (status == SABOT_OK && listed == 0) {
        fprintf(stderr, "sabot: %s has no checkpoints and no savepoints in it (`sabot checkpoints show` looks into "
                "one)\n", dir);
    }
    return status == SABOT_OK ? 0 : console_error(&err, NULL, NULL, 0);
}

/* --- show */

static void show_operators(const struct manifest *manifest) {
    printf("\n%-56s %11s %9s\n", "OPERATOR", "PARALLELISM", "ENDED");
    for (int32_t i = 0; i < manifest->n_operators; i++) {
        bool first = true;
        int32_t ended = 0, parallelism = manifest->operators[i].parallelism;
        for (int32_t j = 0; j < manifest->n_operators; j++) {
            if (strcmp(manifest->operators[j].uid, manifest->operators[i].uid) != 0) { continue; }
            first &= j >= i;
            ended += manifest->operators[j].ended;
        }
        if (first) { printf("%-56s %11d %6d/%d\n", manifest->operators[i].uid, parallelism, ended, parallelism); }
    }
}

static bool record_print(void *arg, struct system_key key, const char *fields) {
    const enum system_family family = *(const enum system_family *)arg;
    printf("%-12s %12lld", system_family_name(family), (long long)key.a);
    if (family == SYSTEM_ACKS || family == SYSTEM_BARRIERS) { printf("  task %-4lld", (long long)key.b); }
    printf("  %s\n", fields);
    return true;
}

/* What the job has noted of itself in the folder, where it has (runtime/record.h). */
static void show_record(const char *path, int64_t checkpoint_id, struct memory_pool *pool) {
    struct system_state *state = NULL;
    char dir[STORAGE_PATH_MAX];
    struct sabot_error err = {0};
    const int size = snprintf(dir, sizeof dir, "%s/" RECORD_FOLDER, path);
    if (strstr(path, "://") || size >= (int)sizeof dir) { return; }
    const sabot_status status = system_state_open(env_real(), pool, dir, true, &state, &err);
    if (status == SABOT_ERR_NOT_FOUND) { return; }
    printf("\nRECORD OF THE JOB\n");
    for (int32_t f = 0; f < SYSTEM_FAMILIES && err.status == SABOT_OK; f++) {
        enum system_family family = (enum system_family)f;
        const bool by_id = family == SYSTEM_CHECKPOINTS || family == SYSTEM_ACKS || family == SYSTEM_BARRIERS;
        (void)system_state_scan(state, family, by_id ? checkpoint_id : INT64_MIN, INT64_MAX, record_print, &family,
                                &err);
    }
    if (err.status != SABOT_OK) { printf("can't be read: %s\n", err.message); }
    system_state_close(state);
}

static int command_show(const char *path) {
    struct sabot_error err = {0};
    struct memory_pool pool;
    memory_pool_init(&pool, "show", NULL, INT64_MAX);
    struct restore *restore = NULL;
    struct restore_table *tables = NULL;
    int32_t n = 0;
    sabot_status status = restore_open(console_store(&err), path, &pool, &restore, &err);
    if (status == SABOT_OK) { status = restore_tables(restore, &tables, &n, &err); }
    if (status == SABOT_OK) {
        const struct manifest *manifest = restore_manifest(restore);
        char when[32];
        console_time(manifest->timestamp_ms, when, sizeof when);
        printf("%s\njob %s, checkpoint %lld, taken %s UTC, %d key groups\n", restore_path(restore), manifest->job,
               (long long)manifest->checkpoint_id, when, manifest->max_parallelism);
        show_operators(manifest);
        printf("\n%-40s %-16s %-6s %12s %14s\n", "OPERATOR", "STATE", "KIND", "ROWS", "BYTES");
        for (int32_t i = 0; i < n; i++) {
            char rows[32];
            snprintf(rows, sizeof rows, "%s%lld", tables[i].has_changes ? "<= " : "", (long long)tables[i].rows);
            printf("%-40s %-16s %-6s %12s %14lld\n", tables[i].uid, tables[i].state,
                   tables[i].kind == STATE_LIST ? "list" : "keyed", rows, (long long)tables[i].bytes);
        }
        show_record(path, manifest->checkpoint_id, &pool);
    }
    free(tables);
    restore_close(restore);
    return status == SABOT_OK ? 0 : console_error(&err, NULL, NULL, 0);
}

/* --- verify */

struct verification {
    int32_t whole, damaged, torn;
    int64_t rows;
    struct sabot_error first;
};

static sabot_status take_rows(void *arg, struct batch *rows, struct sabot_error *err) {
    (void)err;
    *(int64_t *)arg += rows->selected;
    batch_unref(rows);
    return SABOT_OK;
}

static sabot_status verify_files(const char *path, int64_t *rows, int32_t *n_tables, struct sabot_error *err) {
    struct memory_pool pool;
    memory_pool_init(&pool, "verify", NULL, INT64_MAX);
    struct restore *restore = NULL;
    struct restore_table *tables = NULL;
    *n_tables = 0;
    sabot_status status = restore_open(console_store(err), path, &pool, &restore, err);
    if (status == SABOT_OK) { status = restore_tables(restore, &tables, n_tables, err); }
    for (int32_t i = 0; status == SABOT_OK && i < *n_tables; i++) {
        status = restore_read(restore, tables[i].uid, tables[i].state, -1, take_rows, rows, err);
    }
    free(tables);
    restore_close(restore);
    return status;
}

static void verify_one(const char *path, void *arg) {
    struct verification *all = arg;
    struct sabot_error err = {0};
    bool complete;
    if (storage_has_manifest(console_store(&err), path, &complete, NULL) == SABOT_OK && !complete) {
        printf("%s: not complete, which is no damage: a job skips it\n", path);
        all->torn++;
        return;
    }
    int64_t rows = 0;
    int32_t n_tables;
    const sabot_status status = verify_files(path, &rows, &n_tables, &err);
    if (status == SABOT_OK) {
        printf("%s: whole, %d state tables, %lld rows\n", path, n_tables, (long long)rows);
        all->whole++;
        return;
    }
    printf("%s: DAMAGED: %s\n", path, err.message);
    all->damaged++;
    if (all->first.status == SABOT_OK) { all->first = err; }
}

static int command_verify(const char *path) {
    struct verification all = {0};
    struct sabot_error err = {0};
    bool complete;
    if (storage_has_manifest(console_store(&err), path, &complete, NULL) == SABOT_OK && complete) {
        verify_one(path, &all);
    } else {
        const sabot_status status = folders_visit(path, NULL, verify_one, &all, &err);
        if (status == SABOT_OK && all.whole + all.damaged == 0) {
            SABOT_FAIL(&err, SABOT_ERR_NOT_FOUND, "there is no complete checkpoint in %s", path);
        }
        if (err.status != SABOT_OK) { return console_error(&err, NULL, NULL, 0); }
    }
    return all.damaged ? sabot_status_exit_code(all.first.status) : 0;
}

int command_checkpoints(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (argc != 3) { return console_usage("checkpoints", "what is to be done: list DIR, show PATH or verify PATH?"); }
    if (strcmp(argv[1], "list") == 0) { return command_list(argv[2]); }
    if (strcmp(argv[1], "show") == 0) { return command_show(argv[2]); }
    if (strcmp(argv[1], "verify") == 0) { return command_verify(argv[2]); }
    return console_usage("checkpoints", "\"%s\" is none of list, show, verify", argv[1]);
}
