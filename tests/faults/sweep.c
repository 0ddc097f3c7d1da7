/* The fault sweep (docs/decisions/0021): one job, run again and again, and in each run one thing fails.
 *
 *     faults.sweep FOLDER DATA count                    how often each operation happens in a run without faults
 *     faults.sweep FOLDER DATA run OP:N:KIND...         "- " from standard input, a point per line
 *
 * FOLDER is emptied. DATA has orders-0.json .. orders-2.json, users.csv and what must come out: windows.txt,
 * joined.txt, totals.txt, sorted. Each point is a process of its own, made by fork: files in, a keyed window, a join
 * and a GROUP BY, files and a two-phase sink of this program out, two checkpoints on the way, then cancelled; then
 * restored, and read to the end. If the run with the fault ends well, its output must be right; if it ends with an
 * error, this must say what failed, and a run without faults must make of what is there what must come out. A line for
 * each point: what became of it. The exit code is 1 if one went wrong.
 *
 * SWEEP_MEMORY and SWEEP_ROWS are the memory limit and the rows of a file, where they are not the usual ones: with much
 * state and little memory there are maps. SWEEP_VERBOSE shows errors that are right.
 *
 * Files, threads and maps fail in env_faulty.c. Allocations fail here: the library of this program is linked with
 * malloc and its relatives, and the memory accountant's functions, replaced by the __wrap_ ones below. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arrow/batch.h"
#include "base/env_faulty.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/session.h"
#include "sabot/sabot.h"

#define HANG_SECONDS 60
#define SCANS 3 /* of the files, one for each INSERT */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "sweep.c:%d: %s: %s\n", __LINE__, #condition, strerror(errno));                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* --- allocations */

enum { OP_ALLOC = ENV_FAULT_N_OPS, OP_CHARGE, N_OPS };
static const char *op_name(int op) {
    return op == OP_ALLOC ? "alloc" : op == OP_CHARGE ? "charge" : env_fault_op_names[op];
}

static _Atomic int64_t allocations, charges;
static int64_t alloc_at, alloc_until, charge_at; /* 0: none fails */
static _Atomic bool memory_fired;

static bool alloc_fails(void) {
    const int64_t n = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    if (n < alloc_at || n >= alloc_until) { return false; }
    atomic_store(&memory_fired, true);
    errno = ENOMEM;
    return true;
}

static bool charge_fails(struct sabot_error *err) {
    if (atomic_fetch_add_explicit(&charges, 1, memory_order_relaxed) + 1 != charge_at) { return false; }
    atomic_store(&memory_fired, true);
    SABOT_FAIL(err, SABOT_ERR_MEMORY, "the sweep's pool: the limit is reached");
    return true;
}

#define WRAP(type, name, arguments, call)                                                                              \
    type __wrap_##name arguments;                                                                                      \
    type __wrap_##name arguments { return alloc_fails() ? NULL : name call; }
WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *block, size_t size), (block, size))
WRAP(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t size), (text, size))

#define WRAP_CHARGE(name, arguments, call)                                                                             \
    sabot_status __wrap_##name arguments;                                                                              \
    sabot_status __wrap_##name arguments { return charge_fails(err) ? SABOT_ERR_MEMORY : name call; }
WRAP_CHARGE(memory_alloc, (struct memory_pool *pool, size_t size, void **out, struct sabot_error *err),
            (pool, size, out, err))
WRAP_CHARGE(memory_resize,
            (struct memory_pool *pool, void **block, size_t old_size, size_t new_size, struct sabot_error *err),
            (pool, block, old_size, new_size, err))
WRAP_CHARGE(memory_alloc_state,
            (struct memory_pool *pool, size_t size, bool zeroed, void **out, struct sabot_error *err),
            (pool, size, zeroed, out, err))
WRAP_CHARGE(memory_resize_state,
            (struct memory_pool *pool, void **block, size_t old_size, size_t new_size, struct sabot_error *err),
            (pool, block, old_size, new_size, err))
WRAP_CHARGE(buffer_new, (struct memory_pool *pool, size_t size, struct buffer **out, struct sabot_error *err),
            (pool, size, out, err))
WRAP_CHARGE(buffer_new_state, (struct memory_pool *pool, size_t size, struct buffer **out, struct sabot_error *err),
            (pool, size, out, err))

/* --- the point, and what the parent learns of its run */

struct point {
    int op;
    int64_t at;
    char kind[16];
};

struct report {
    sabot_status status;
    char message[2048];
    char stage[64]; /* how far it came */
    bool done, fired;
    int64_t counts[N_OPS];
};
static struct report *report; /* shared with the children */

static const char *folder, *data;

static bool point_parse(const char *text, struct point *out, struct env_fault *fault) {
    *fault = (struct env_fault){0};
    if (env_fault_parse(text, fault)) {
        *out = (struct point){.op = (int)fault->op, .at = fault->at};
        snprintf(out->kind, sizeof out->kind, "%s", env_fault_kind_names[fault->kind]);
        return true;
    }
    const bool alloc = sscanf(text, "alloc:%" SCNd64 ":%15s", &out->at, out->kind) == 2;
    if (!alloc && sscanf(text, "charge:%" SCNd64 ":%15s", &out->at, out->kind) != 2) { return false; }
    out->op = alloc ? OP_ALLOC : OP_CHARGE;
    return true;
}

/* --- a sink of two phases that takes changes: lines in a file for each prepare, renamed by the commit */

struct totals_sink {
    int32_t subtask;
    FILE *file;
    char name[64]; /* of the open file */
    char prepared[64][64];
    int64_t prepared_for[64];
    int32_t n_prepared;
};

static void totals_path(char target[1024], const char *name, const char *suffix) {
    snprintf(target, 1024, "%s/totals/%s%s", folder, name, suffix);
}

static sabot_status totals_open(void *user, const struct sabot_connector_context *context, void **sink,
                                struct sabot_error *err) {
    (void)user;
    (void)err;
    struct totals_sink *made = calloc(1, sizeof *made);
    CHECK(made);
    made->subtask = context->subtask;
    *sink = made;
    return SABOT_OK;
}

static sabot_status totals_write(void *arg, struct ArrowArray *rows, struct sabot_error *err) {
    (void)err;
    struct totals_sink *sink = arg;
    char path[1024];
    if (!sink->file) {
        static _Atomic int number; /* a process starts the job twice */
        snprintf(sink->name, sizeof sink->name, "%d-%d-%d", (int)getpid(), sink->subtask, atomic_fetch_add(&number, 1));
        totals_path(path, sink->name, ".pending");
        sink->file = fopen(path, "we");
        CHECK(sink->file);
    }
    const int64_t *user = rows->children[0]->buffers[1], *n = rows->children[1]->buffers[1],
                  *total = rows->children[2]->buffers[1];
    const int32_t *kind_at = rows->children[3]->buffers[1];
    const char *kinds = rows->children[3]->buffers[2];
    for (int64_t i = 0; i < rows->length; i++) {
        const int64_t row = i + rows->offset;
        const int64_t u = row + rows->children[0]->offset, c = row + rows->children[1]->offset,
                      t = row + rows->children[2]->offset, k = row + rows->children[3]->offset;
        fprintf(sink->file, "%.*s %" PRId64 ",%" PRId64 ",%" PRId64 "\n", kind_at[k + 1] - kind_at[k],
                kinds + kind_at[k], user[u], n[c], total[t]);
    }
    rows->release(rows);
    return SABOT_OK;
}

static sabot_status totals_prepare(void *arg, int64_t checkpoint_id, void *bytes, size_t capacity, size_t *used,
                                   struct sabot_error *err) {
    struct totals_sink *sink = arg;
    *used = 0;
    if (sink->file) {
        CHECK(fclose(sink->file) == 0);
        sink->file = NULL;
        if (sink->n_prepared == 64) { return SABOT_FAIL(err, SABOT_ERR_IO, "too many checkpoints without a commit"); }
        strcpy(sink->prepared[sink->n_prepared], sink->name);
        sink->prepared_for[sink->n_prepared++] = checkpoint_id;
    }
    /* those of aborted checkpoints too: the next one commits them */
    for (int32_t i = 0; i < sink->n_prepared; i++) {
        const int size = snprintf((char *)bytes + *used, capacity - *used, "%s\n", sink->prepared[i]);
        CHECK(size > 0 && (size_t)size < capacity - *used);
        *used += (size_t)size;
    }
    return SABOT_OK;
}

static void totals_show(const char *name) {
    char from[1024], to[1024];
    totals_path(from, name, ".pending");
    totals_path(to, name, ".done");
    CHECK(rename(from, to) == 0 || access(to, F_OK) == 0);
}

static sabot_status totals_commit(void *arg, int64_t checkpoint_id, struct sabot_error *err) {
    (void)err;
    struct totals_sink *sink = arg;
    int32_t left = 0;
    for (int32_t i = 0; i < sink->n_prepared; i++) {
        if (sink->prepared_for[i] <= checkpoint_id) {
            totals_show(sink->prepared[i]);
        } else {
            strcpy(sink->prepared[left], sink->prepared[i]);
            sink->prepared_for[left++] = sink->prepared_for[i];
        }
    }
    sink->n_prepared = left;
    return SABOT_OK;
}

static sabot_status totals_restore(void *arg, const void *bytes, size_t size, struct sabot_error *err) {
    (void)arg;
    (void)err;
    const char *at = bytes, *const end = at + size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        CHECK(stop && stop - at < 64);
        char name[64] = {0};
        memcpy(name, at, (size_t)(stop - at));
        totals_show(name);
        at = stop + 1;
    }
    return SABOT_OK;
}

static void totals_close(void *arg) {
    struct totals_sink *sink = arg;
    if (sink->file) { fclose(sink->file); }
    free(sink);
}

static const struct sabot_sink_connector totals_connector = {
    .size = sizeof totals_connector,
    .open = totals_open,
    .write = totals_write,
    .close = totals_close,
    .prepare = totals_prepare,
    .commit = totals_commit,
    .restore = totals_restore,
    .takes_changes = true,
};

/* --- a source without rows: with it the GROUP BY is over unbounded input, and gives changes, also where the files are
 * read to the end */

static bool silence_ends;

static sabot_status silence_open(void *user, const struct sabot_connector_context *context, void **source,
                                 struct sabot_error *err) {
    (void)user;
    (void)context;
    (void)err;
    *source = &silence_ends;
    return SABOT_OK;
}

static sabot_status silence_poll(void *source, enum sabot_poll *state, struct ArrowArray *rows,
                                 struct sabot_error *err) {
    (void)source;
    (void)rows;
    (void)err;
    *state = silence_ends ? SABOT_POLL_END : SABOT_POLL_WAIT;
    return SABOT_OK;
}

static sabot_status silence_position(void *source, void *bytes, size_t capacity, size_t *used,
                                     struct sabot_error *err) {
    (void)source;
    (void)bytes;
    (void)capacity;
    (void)err;
    *used = 0;
    return SABOT_OK;
}

static sabot_status silence_restore(void *source, const void *bytes, size_t size, struct sabot_error *err) {
    (void)source;
    (void)bytes;
    (void)size;
    (void)err;
    return SABOT_OK;
}

static void silence_close(void *source) { (void)source; }

static const struct sabot_source_connector silence_connector = {
    .size = sizeof silence_connector,
    .open = silence_open,
    .poll = silence_poll,
    .position = silence_position,
    .restore = silence_restore,
    .close = silence_close,
};

/* --- the job */

static char *path_of(const char *name) {
    static char paths[4][1024];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

static void input_give(int n) {
    char command[3000];
    snprintf(command, sizeof command, "%s/orders-%d.json", data, n);
    const int from = open(command, O_RDONLY | O_CLOEXEC);
    CHECK(from >= 0);
    char name[64];
    snprintf(name, sizeof name, "in/.orders-%d.json", n);
    const char *hidden = path_of(name);
    snprintf(name, sizeof name, "in/orders-%d.json", n);
    const char *shown = path_of(name);
    if (access(shown, F_OK) != 0) {
        const int to = open(hidden, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK(to >= 0);
        char bytes[65536];
        for (ssize_t got; (got = read(from, bytes, sizeof bytes)) > 0;) { CHECK(write(to, bytes, (size_t)got) == got); }
        close(to);
        CHECK(rename(hidden, shown) == 0);
    }
    close(from);
}

static char *script_make(bool bounded) {
    static char script[8192];
    const int size = snprintf(
        script, sizeof script,
        "CREATE TABLE orders (id BIGINT, who BIGINT, amount BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL "
        "'2' SECOND) WITH ('connector' = 'filesystem', 'path' = '%s/in', 'format' = 'json'%s);\n"
        "CREATE TABLE users (who BIGINT, name STRING) WITH ('connector' = 'filesystem', 'path' = '%s/users.csv', "
        "'format' = 'csv');\n"
        "CREATE TABLE windows (who BIGINT, w TIMESTAMP(3), n BIGINT, total BIGINT) WITH ('connector' = 'filesystem', "
        "'path' = '%s/windows', 'format' = 'csv');\n"
        "CREATE TABLE joined (id BIGINT, amount BIGINT, name STRING) WITH ('connector' = 'filesystem', "
        "'path' = '%s/joined', 'format' = 'json');\n"
        "CREATE TABLE totals (who BIGINT, n BIGINT, total BIGINT) WITH ('connector' = 'totals');\n"
        "CREATE TABLE silence (who BIGINT, amount BIGINT) WITH ('connector' = 'silence');\n"
        "EXECUTE STATEMENT SET BEGIN\n"
        "INSERT INTO windows SELECT who, window_start, COUNT(*), SUM(amount) FROM TABLE(TUMBLE(TABLE orders, "
        "DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY who, window_start, window_end;\n"
        "INSERT INTO joined SELECT o.id, o.amount, u.name FROM orders o JOIN users u ON o.who = u.who;\n"
        "INSERT INTO totals SELECT who, COUNT(*), SUM(amount) FROM (SELECT who, amount FROM orders UNION ALL SELECT "
        "who, amount FROM silence) GROUP BY who;\n"
        "END;\n",
        folder, bounded ? "" : ", 'source.monitor-interval' = '1 ms'", data, folder, folder);
    CHECK(size > 0 && (size_t)size < sizeof script);
    return script;
}

static sabot_status set(struct session *session, const char *key, const char *value, struct sabot_error *err) {
    const struct sql_span nowhere = {0};
    return settings_set(&session->settings, key, value, nowhere, nowhere, err);
}

static bool has_checkpoint(void) {
    for (int i = 0; i < 100; i++) {
        char name[64];
        snprintf(name, sizeof name, "checkpoints/chk-%d/MANIFEST", i);
        if (access(path_of(name), F_OK) == 0) { return true; }
    }
    return false;
}

static void stage(const char *name) { snprintf(report->stage, sizeof report->stage, "%s", name); }

static int64_t memory_limit_wanted = 64 << 20, rows_per_file = 300;

static sabot_status job_begin(struct env *env, bool bounded, struct session **session, struct session_job **job,
                              struct sabot_error *err) {
    SABOT_TRY(session_new(env, memory_limit_wanted, session, err));
    SABOT_TRY(set(*session, "execution.checkpointing.dir", path_of("checkpoints"), err));
    SABOT_TRY(set(*session, "parallelism.default", "2", err));
    if (has_checkpoint()) { SABOT_TRY(set(*session, "execution.savepoint.path", path_of("checkpoints"), err)); }
    struct session_script script;
    const char *text = script_make(bounded);
    SABOT_TRY(session_parse(text, strlen(text), &script, err));
    sabot_status status = SABOT_OK;
    struct session_result result = {0};
    while (status == SABOT_OK && session_left(&script) > 0) {
        status = session_step(*session, &script, &result, err);
    }
    session_script_clear(&script);
    *job = result.job;
    return status;
}

static int64_t rows_read(const struct job *job) {
    int64_t rows = 0;
    for (int32_t i = 0; i < job_n_metrics(job); i++) {
        struct job_op_metrics metrics;
        job_metrics(job, i, &metrics);
        if (metrics.is_source) { rows += atomic_load_explicit(&metrics.metrics->rows_out, memory_order_relaxed); }
    }
    return rows;
}

/* Until the sources have given out so many rows, or the job is over. */
static sabot_status wait_for_rows(struct session_job *job, int64_t rows, struct sabot_error *err) {
    for (;;) {
        bool done;
        SABOT_TRY(session_job_wait(job, 200000, &done, err));
        if (done) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "an unbounded job has ended"); }
        if (rows_read(job->job) >= rows) { return SABOT_OK; }
    }
}

/* Two files, a checkpoint behind each; then it is cancelled. */
static sabot_status first_half(struct env *env, struct sabot_error *err) {
    struct session *session = NULL;
    struct session_job *job = NULL;
    stage("start");
    sabot_status status = job_begin(env, false, &session, &job, err);
    for (int i = 0; i < 2 && status == SABOT_OK; i++) {
        stage(i == 0 ? "first file" : "second file");
        input_give(i);
        status = wait_for_rows(job, SCANS * rows_per_file * (i + 1), err);
        stage(i == 0 ? "first checkpoint" : "second checkpoint");
        struct sabot_error failed = {0}; /* a checkpoint may fail, the job goes on */
        if (status == SABOT_OK) { job_checkpoint(job->job, NULL, NULL, &failed); }
    }
    if (status == SABOT_OK) { stage("cancel"); }
    session_free(session);
    return status;
}

static sabot_status second_half(struct env *env, struct sabot_error *err) {
    for (int i = 0; i < 3; i++) { input_give(i); }
    silence_ends = true;
    stage("restore");
    struct session *session = NULL;
    struct session_job *job = NULL;
    sabot_status status = job_begin(env, true, &session, &job, err);
    if (status == SABOT_OK) {
        stage("rest");
        status = session_job_wait(job, -1, NULL, err);
    }
    session_free(session);
    return status;
}

static void child(const struct point *point, const struct env_fault *fault, bool whole) {
    struct sabot_error err = {0};
    alarm(HANG_SECONDS);
    struct env *env = env_faulty_new(env_real(), fault->at ? fault : NULL);
    CHECK(sabot_register_connector("totals", NULL, &totals_connector, NULL, &err) == SABOT_OK);
    CHECK(sabot_register_connector("silence", &silence_connector, NULL, NULL, &err) == SABOT_OK);
    atomic_store(&allocations, 0);
    atomic_store(&charges, 0);
    if (point && point->op == OP_ALLOC) {
        alloc_at = point->at;
        alloc_until = strcmp(point->kind, "burst") == 0 ? point->at + 20 : point->at + 1;
    }
    if (point && point->op == OP_CHARGE) { charge_at = point->at; }
    sabot_status status = whole ? first_half(env, &err) : SABOT_OK;
    if (status == SABOT_OK) { status = second_half(env, &err); }
    report->status = status;
    snprintf(report->message, sizeof report->message, "%s", err.message);
    for (int i = 0; i < ENV_FAULT_N_OPS; i++) { report->counts[i] = env_faulty_count(env, (enum env_fault_op)i); }
    report->counts[OP_ALLOC] = atomic_load(&allocations);
    report->counts[OP_CHARGE] = atomic_load(&charges);
    report->fired = env_faulty_fired(env) || atomic_load(&memory_fired);
    report->done = true;
    exit(0); /* with the leak check of a sanitizer, where there is one */
}

/* --- what has come out */

struct lines {
    char **items;
    size_t n, capacity;
};

static void lines_add(struct lines *lines, const char *text, size_t size) {
    if (lines->n == lines->capacity) {
        lines->capacity = lines->capacity ? lines->capacity * 2 : 1024;
        lines->items = realloc(lines->items, lines->capacity * sizeof *lines->items);
        CHECK(lines->items);
    }
    lines->items[lines->n] = strndup(text, size);
    CHECK(lines->items[lines->n]);
    lines->n++;
}

static void lines_clear(struct lines *lines) {
    for (size_t i = 0; i < lines->n; i++) { free(lines->items[i]); }
    free(lines->items);
    *lines = (struct lines){0};
}

static void file_read(const char *path, struct lines *lines) {
    FILE *file = fopen(path, "re");
    CHECK(file);
    char line[4096];
    while (fgets(line, sizeof line, file)) {
        const size_t size = strcspn(line, "\n");
        if (size) { lines_add(lines, line, size); }
    }
    fclose(file);
}

static void folder_read(const char *name, const char *suffix, struct lines *lines) {
    char **names;
    size_t n;
    if (env_list(env_real(), path_of(name), &names, &n, NULL) != SABOT_OK) { return; }
    for (size_t i = 0; i < n; i++) {
        const size_t size = strlen(names[i]), tail = strlen(suffix);
        if (names[i][0] == '.' || size < tail || strcmp(names[i] + size - tail, suffix) != 0) { continue; }
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", path_of(name), names[i]);
        file_read(path, lines);
    }
    env_names_free(names, n);
}

static int line_compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void lines_sort(struct lines *lines) {
    if (lines->n > 1) { qsort(lines->items, lines->n, sizeof *lines->items, line_compare); }
}

/* A changelog becomes the table that it describes: each row as often as it was put in more than taken out. */
static void changes_fold(struct lines *lines) {
    struct lines in = {0}, out = {0}, left = {0};
    for (size_t i = 0; i < lines->n; i++) {
        const char *line = lines->items[i];
        struct lines *to = line[0] == '+' ? &in : &out;
        lines_add(to, line + 3, strlen(line + 3));
    }
    lines_sort(&in);
    lines_sort(&out);
    size_t o = 0;
    for (size_t i = 0; i < in.n; i++) {
        while (o < out.n && strcmp(out.items[o], in.items[i]) < 0) { /* taken out and never put in */
            lines_add(&left, "-", 1);
            o++;
        }
        if (o < out.n && strcmp(out.items[o], in.items[i]) == 0) {
            o++;
        } else {
            lines_add(&left, in.items[i], strlen(in.items[i]));
        }
    }
    for (; o < out.n; o++) { lines_add(&left, "-", 1); }
    lines_clear(&in);
    lines_clear(&out);
    lines_clear(lines);
    *lines = left;
}

/* "": as it must be */
static const char *outputs_wrong(void) {
    static char problem[1024];
    static const char *const names[] = {"windows", "joined", "totals"};
    problem[0] = '\0';
    for (int i = 0; i < 3 && !problem[0]; i++) {
        struct lines got = {0}, want = {0};
        folder_read(names[i], i == 2 ? ".done" : "", &got);
        if (i == 2) { changes_fold(&got); }
        lines_sort(&got);
        char path[2048];
        snprintf(path, sizeof path, "%s/%s.txt", data, names[i]);
        file_read(path, &want);
        size_t at = 0;
        while (at < got.n && at < want.n && strcmp(got.items[at], want.items[at]) == 0) { at++; }
        if (at < got.n || at < want.n) {
            snprintf(problem, sizeof problem, "%s: %zu lines instead of %zu, the first difference: %s instead of %s",
                     names[i], got.n, want.n, at < got.n ? got.items[at] : "nothing",
                     at < want.n ? want.items[at] : "nothing");
        }
        lines_clear(&got);
        lines_clear(&want);
    }
    return problem;
}

/* --- the parent */

static void world_empty(void) {
    char command[3000];
    snprintf(command, sizeof command, "rm -rf '%s' && mkdir -p '%s/in' '%s/totals'", folder, folder, folder);
    CHECK(system(command) == 0);
}

/* The wait status of a child. */
static int run_child(const struct point *point, const struct env_fault *fault, bool whole) {
    memset(report, 0, sizeof *report);
    fflush(NULL);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        const int log = open(path_of("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        CHECK(log >= 0 && dup2(log, 2) == 2);
        child(point, fault, whole);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static const char *log_tail(void) {
    static char tail[1500];
    tail[0] = '\0';
    FILE *log = fopen(path_of("log"), "re");
    if (!log) { return tail; }
    fseek(log, 0, SEEK_END);
    const long size = ftell(log);
    fseek(log, size > (long)sizeof tail - 1 ? size - (long)sizeof tail + 1 : 0, SEEK_SET);
    tail[fread(tail, 1, sizeof tail - 1, log)] = '\0';
    fclose(log);
    return tail;
}

/* A process that may end without memory for a lock or an event says so; that is its contract (base/env.h). */
static bool ended_by_contract(int status) {
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
           (strstr(log_tail(), "sabot: no memory for an event") || strstr(log_tail(), "sabot: no memory for a mutex"));
}

/* An error says what failed: memory, or the file and why. */
static const char *message_wrong(const struct point *point) {
    if (report->status == SABOT_ERR_INTERNAL) { return "an internal error"; }
    if (strlen(report->message) < 10) { return "an error without a message"; }
    if (point->op >= OP_ALLOC) {
        const bool says = report->status == SABOT_ERR_MEMORY || strstr(report->message, "memory") ||
                          strstr(report->message, "the limit is reached");
        return says ? "" : "an error that does not speak of memory";
    }
    const bool says = strstr(report->message, "Input/output error") || strstr(report->message, "No space left");
    return says ? "" : "an error that does not say what failed";
}

/* What became of a point: a word for the count, and where it went wrong, why. */
static const char *point_run(const struct point *point, const struct env_fault *fault, const char **problem) {
    static char text[4096];
    *problem = "";
    world_empty();
    const int status = run_child(point, fault, true);
    const bool crash = strcmp(point->kind, "crash") == 0;
    const char *what;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        *problem = "it hangs";
        return "hang";
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && crash) {
        what = "crashed";
    } else if (ended_by_contract(status)) {
        what = "ended";
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !report->done) {
        snprintf(text, sizeof text, "it died (%s %d) at %s: %s", WIFSIGNALED(status) ? "signal" : "exit code",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), report->stage, log_tail());
        *problem = text;
        return "died";
    } else if (report->status == SABOT_OK) {
        what = report->fired ? "rode over" : "not reached";
        snprintf(text, sizeof text, "%s", outputs_wrong());
        *problem = text;
        return what;
    } else {
        what = "failed";
        const char *wrong = message_wrong(point);
        snprintf(text, sizeof text, "%s at %s: %s: %s", wrong, report->stage, sabot_status_name(report->status),
                 report->message);
        if (getenv("SWEEP_VERBOSE")) { fprintf(stdout, "# %s\n", text); }
        if (wrong[0]) {
            *problem = text;
            return what;
        }
    }
    char why[1024];
    snprintf(why, sizeof why, "%s at %s: %.700s", what, report->stage, report->message);
    const struct env_fault none = {0};
    const int again = run_child(NULL, &none, false);
    if (!WIFEXITED(again) || WEXITSTATUS(again) != 0 || report->status != SABOT_OK) {
        const bool hangs = WIFSIGNALED(again) && WTERMSIG(again) == SIGALRM;
        snprintf(text, sizeof text, "after (%s) the restart %s at %s (wait status %d): %s: %s", why,
                 hangs ? "hangs" : "fails", report->stage, again, report->message, log_tail());
        *problem = text;
        return what;
    }
    const char *wrong = outputs_wrong();
    if (wrong[0]) {
        snprintf(text, sizeof text, "after (%s) and a restart: %s", why, wrong);
        *problem = text;
    }
    return what;
}

static int count_all(void) {
    world_empty();
    const struct env_fault none = {0};
    const int status = run_child(NULL, &none, true);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || report->status != SABOT_OK) {
        printf("not ok: status %d at %s: %s\n%s\n", status, report->stage, report->message, log_tail());
        return 1;
    }
    if (outputs_wrong()[0]) {
        printf("not ok: %s\n", outputs_wrong());
        return 1;
    }
    for (int i = 0; i < N_OPS; i++) { printf("%s %" PRId64 "\n", op_name(i), report->counts[i]); }
    return 0;
}

static int point_tell(const char *text) {
    struct point point;
    struct env_fault fault;
    if (!point_parse(text, &point, &fault)) {
        fprintf(stderr, "sweep: %s is no point\n", text);
        exit(2);
    }
    const char *problem;
    const char *what = point_run(&point, &fault, &problem);
    printf("%s\t%s\t", text, what);
    for (const char *at = problem; *at; at++) { putchar(*at == '\n' || *at == '\t' ? ' ' : *at); }
    putchar('\n');
    fflush(stdout);
    return *problem != '\0';
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s FOLDER DATA count|run [POINT...]\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    data = argv[2];
    if (getenv("SWEEP_MEMORY")) { memory_limit_wanted = strtoll(getenv("SWEEP_MEMORY"), NULL, 10); }
    if (getenv("SWEEP_ROWS")) { rows_per_file = strtoll(getenv("SWEEP_ROWS"), NULL, 10); }
    log_set_level(LOG_ERROR);
    alloc_until = 0;
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(report != MAP_FAILED);
    if (strcmp(argv[3], "count") == 0) { return count_all(); }
    int wrong = 0;
    for (int i = 4; i < argc; i++) { wrong |= point_tell(argv[i]); }
    char line[128];
    while (argc == 4 && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0]) { wrong |= point_tell(line); }
    }
    return wrong;
}
