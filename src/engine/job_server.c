/* Jobs of this process as other processes reach them. */
#include "engine/job_server.h"

#include "base/log.h"
#include "checkpoint/coordinator.h"
#include "checkpoint/storage.h"
#include "engine/totals.h"
#include "ops/op.h"
#include "store/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 1024
#define CONNECTIONS_MAX 32
#define REQUEST_SIZE_MAX 16384
#define ACCEPT_NS INT64_C(100000000)
#define REQUEST_NS (INT64_C(5) * 1000000000)
#define REFUSED_NS INT64_C(20000000) /* a client sends its request at once */
#define SAMPLE_NS (INT64_C(5) * 1000000000)
#define SUFFIX ".sock"

/* How many rows a job had read at some time. */
struct sample {
    int64_t at_ns, rows;
};

struct served_job {
    struct job *job;
    char id[JOB_ID_SIZE];
    char *savepoint_dir;
    int32_t in_use; /* requests */
    struct sample before, last; /* SAMPLE_NS apart, for its rate */
};

struct job_server {
    struct env *env;
    struct env_socket *listener;
    char path[ENV_PATH_MAX + 32];
    struct env_thread *thread;
    struct env_mutex *mutex;
    struct env_event *changed; /* a request has ended */
    struct served_job *jobs[JOBS_MAX];
    int32_t n_jobs, n_connections;
    _Atomic bool over;
};

struct connection {
    struct job_server *server;
    struct env_socket *socket;
};

/* A path that means the same to a process with another current folder; `target` has ENV_PATH_MAX bytes. */
static sabot_status path_for_all(struct env *env, const char *path, char *target, struct sabot_error *err) {
    if (!store_is_remote(path)) { return env_absolute(env, path, target, err); }
    if (snprintf(target, ENV_PATH_MAX, "%s", path) < ENV_PATH_MAX) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long", path);
}

/* --- requests */

struct request {
    char verb[16];
    char job[ENV_PATH_MAX], dir[ENV_PATH_MAX], path[ENV_PATH_MAX];
    bool savepoint, drain;
};

static void request_line(struct request *request, const char *line) {
    const char *equals = strchr(line, '=');
    if (!equals) {
        snprintf(request->verb, sizeof request->verb, "%s", line);
        return;
    }
    const size_t size = (size_t)(equals - line);
#define IS(key) (size == sizeof key - 1 && memcmp(line, key, size) == 0)
    if (IS("job")) { snprintf(request->job, sizeof request->job, "%s", equals + 1); }
    if (IS("dir")) { snprintf(request->dir, sizeof request->dir, "%s", equals + 1); }
    if (IS("path")) { snprintf(request->path, sizeof request->path, "%s", equals + 1); }
    if (IS("drain")) { request->drain = equals[1] == '1'; }
    if (IS("savepoint")) { request->savepoint = equals[1] == '1'; }
#undef IS
}

/* Reads up to the empty line. */
static sabot_status request_read(struct env_socket *socket, struct request *request, struct sabot_error *err) {
    char *text = malloc(REQUEST_SIZE_MAX + 1);
    if (!text) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a request"); }
    size_t size = 0;
    sabot_status status = SABOT_OK;
    *request = (struct request){0};
    for (;;) {
        size_t got;
        status = env_socket_read(socket, text + size, REQUEST_SIZE_MAX - size, REQUEST_NS, &got, err);
        if (status != SABOT_OK) { break; }
        size += got;
        text[size] = '\0';
        if (size >= 2 && memcmp(text + size - 2, "\n\n", 2) == 0) { break; }
        if (got == 0 || size == REQUEST_SIZE_MAX) {
            status = SABOT_FAIL(err, SABOT_ERR_USAGE, "a request does not end");
            break;
        }
    }
    if (status == SABOT_OK) {
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            request_line(request, line);
        }
    }
    free(text);
    return status;
}

/* --- jobs */

static bool is_named(const struct served_job *job, const char *name) {
    struct job_description description;
    job_describe(job->job, &description);
    if (strcmp(job->id, name) == 0 || strcmp(description.name, name) == 0) { return true; }
    if (!description.checkpoint_dir) { return false; }
    char folder[ENV_PATH_MAX], wanted[ENV_PATH_MAX];
    struct env *env = env_real();
    return strcmp(description.checkpoint_dir, name) == 0 ||
           (path_for_all(env, name, wanted, NULL) == SABOT_OK &&
            path_for_all(env, description.checkpoint_dir, folder, NULL) == SABOT_OK && strcmp(folder, wanted) == 0);
}

static sabot_status job_take(struct job_server *server, const char *name, struct served_job **out,
                             struct sabot_error *err) {
    *out = NULL;
    int32_t n = 0;
    env_mutex_lock(server->mutex);
    for (int32_t i = 0; i < server->n_jobs; i++) {
        if (!is_named(server->jobs[i], name)) { continue; }
        *out = server->jobs[i];
        n++;
    }
    if (n == 1) { (*out)->in_use++; }
    struct job *job = n == 1 ? (*out)->job : NULL;
    env_mutex_unlock(server->mutex);
    if (job) { return SABOT_OK; }
    return n == 0 ? SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "no job here is called %s", name)
                  : SABOT_FAIL(err, SABOT_ERR_USAGE, "%d jobs are called %s: name one by its id", n, name);
}

static void job_give_back(struct job_server *server, struct served_job *job) {
    env_mutex_lock(server->mutex);
    job->in_use--;
    env_event_set(server->changed);
    env_mutex_unlock(server->mutex);
}

/* Under the mutex. */
static void job_sample(struct job_server *server, struct served_job *job) {
    const int64_t now_ns = env_now_ns(server->env);
    if (now_ns - job->last.at_ns < SAMPLE_NS) { return; }
    struct job_totals totals;
    job_totals(job->job, &totals);
    job->before = job->last;
    job->last = (struct sample){now_ns, totals.events};
}

static void jobs_sample(struct job_server *server) {
    env_mutex_lock(server->mutex);
    for (int32_t i = 0; i < server->n_jobs; i++) { job_sample(server, server->jobs[i]); }
    env_mutex_unlock(server->mutex);
}

/* Under the mutex: what has been read, how fast, and up to when. */
static void list_totals(const struct job_server *server, const struct served_job *job, struct text *answer) {
    struct job_totals totals;
    job_totals(job->job, &totals);
    const int64_t passed_ns = env_now_ns(server->env) - job->before.at_ns;
    const double rate = passed_ns > 0 ? (double)(totals.events - job->before.rows) * 1e9 / (double)passed_ns : 0;
    text_format(answer, "\t%lld\t%.0f\t", (long long)totals.events, rate);
    if (totals.watermark_ms != WATERMARK_NONE) { text_format(answer, "%lld", (long long)totals.watermark_ms); }
}

static void list_jobs(struct job_server *server, struct text *answer) {
    static const char *const states[] = {[JOB_CREATED] = "created",   [JOB_RUNNING] = "running",
                                         [JOB_STOPPING] = "stopping", [JOB_FINISHED] = "finished",
                                         [JOB_STOPPED] = "stopped",
                                         [JOB_CANCELLED] = "cancelled", [JOB_FAILED] = "failed"};
    env_mutex_lock(server->mutex);
    for (int32_t i = 0; i < server->n_jobs; i++) {
        struct job_description description;
        struct coordinator_counts counts;
        job_describe(server->jobs[i]->job, &description);
        job_checkpoint_counts(server->jobs[i]->job, &counts);
        char name[256];
        snprintf(name, sizeof name, "%s", description.name);
        for (char *at = name; *at; at++) {
            if ((unsigned char)*at < ' ') { *at = ' '; }
        }
        text_format(answer, "%s\t%s\t%s\t%lld\t%lld\t%lld\t%lld\t%lld\t%s\t%lld", server->jobs[i]->id, name,
                    states[description.state], (long long)description.started_ms, (long long)counts.completed,
                    (long long)counts.failed, (long long)counts.last_id,
                    (long long)(counts.last_duration_ns / 1000000),
                    description.checkpoint_dir ? description.checkpoint_dir : "", (long long)counts.last_ms);
        list_totals(server, server->jobs[i], answer);
        text_add(answer, "\n");
    }
    env_mutex_unlock(server->mutex);
}

/* The folder of a new savepoint. */
static sabot_status savepoint_path(struct job_server *server, const struct served_job *job,
                                   const struct request *request, char target[ENV_PATH_MAX], struct sabot_error *err) {
    struct job_description description;
    job_describe(job->job, &description);
    const char *dir = request->dir[0] ? request->dir : job->savepoint_dir ? job->savepoint_dir
                                                                           : description.checkpoint_dir;
    if (request->path[0]) {
        snprintf(target, ENV_PATH_MAX, "%s", request->path);
        return SABOT_OK;
    }
    if (!dir) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "job %s has no folder for savepoints: name one with --dir, or SET "
                          "'execution.checkpointing.savepoint-dir'", description.name);
    }
    char folder[ENV_PATH_MAX];
    SABOT_TRY(path_for_all(server->env, dir, folder, err));
    const int size = snprintf(target, ENV_PATH_MAX, "%.4000s/savepoint-%s-%08x", folder, job->id,
                              (unsigned)env_random(server->env));
    return size < ENV_PATH_MAX ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long", dir);
}

static sabot_status job_act(struct job_server *server, struct served_job *job, const struct request *request,
                            struct text *answer, struct sabot_error *err) {
    char path[ENV_PATH_MAX] = "";
    const bool takes_savepoint = strcmp(request->verb, "savepoint") == 0 || request->savepoint;
    if (takes_savepoint) { SABOT_TRY(savepoint_path(server, job, request, path, err)); }
    if (strcmp(request->verb, "savepoint") == 0) {
        SABOT_TRY(job_checkpoint(job->job, path, NULL, err));
    } else if (strcmp(request->verb, "stop") == 0 && (request->savepoint || request->drain)) {
        /* a job that is told a wrong folder goes on: it can't be asked a second time once it has stopped */
        if (request->savepoint) { SABOT_TRY(job_savepoint_try(job->job, path, err)); }
        SABOT_TRY(job_stop_with_savepoint(job->job, request->savepoint ? path : NULL, request->drain, err));
    } else if (strcmp(request->verb, "stop") == 0) {
        job_stop(job->job);
        SABOT_TRY(job_wait(job->job, -1, NULL, err));
    } else if (strcmp(request->verb, "cancel") == 0) {
        job_cancel(job->job);
        job_wait(job->job, -1, NULL, NULL); /* "was cancelled" is what was wanted */
    } else {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "a request '%s' is not known here: the other process is of another "
                          "version", request->verb);
    }
    text_add(answer, path);
    return SABOT_OK;
}

static sabot_status request_do(struct job_server *server, const struct request *request, struct text *answer,
                               struct sabot_error *err) {
    if (strcmp(request->verb, "list") == 0) {
        list_jobs(server, answer);
        return SABOT_OK;
    }
    struct served_job *job;
    SABOT_TRY(job_take(server, request->job, &job, err));
    const sabot_status status = job_act(server, job, request, answer, err);
    job_give_back(server, job);
    return status;
}

static sabot_status checkpoint_path(const char *dir, int64_t id, char path[ENV_PATH_MAX], struct sabot_error *err) {
    char folder[ENV_PATH_MAX];
    SABOT_TRY(path_for_all(env_real(), dir, folder, err));
    return storage_path(folder, id, path, err);
}

/* Until the other process has read it, or is gone, or the job is over. */
static void checkpoint_lend(struct job_server *server, const struct job *job, struct env_socket *socket) {
    char unused[64];
    size_t got = 1;
    while (!atomic_load(&server->over) && job_state(job) <= JOB_STOPPING) {
        const sabot_status status = env_socket_read(socket, unused, sizeof unused, ACCEPT_NS, &got, NULL);
        if (status == SABOT_OK && got == 0) { return; }
    }
}

/* Says the path of a new checkpoint; "" where the job has no folder for them. */
static sabot_status checkpoint_hold(struct job_server *server, struct job *job, struct env_socket *socket,
                                    struct sabot_error *err) {
    struct job_description description;
    char path[ENV_PATH_MAX] = "";
    int64_t id = -1;
    job_describe(job, &description);
    sabot_status status = SABOT_OK;
    if (description.checkpoint_dir) {
        SABOT_TRY(job_checkpoint_keep(job, &id, err));
        status = checkpoint_path(description.checkpoint_dir, id, path, err);
    }
    if (status == SABOT_OK) {
        struct text answer = {0};
        text_format(&answer, "ok\n%s\n", path);
        const bool asks = env_socket_write(socket, text_string(&answer), answer.size, NULL) == SABOT_OK;
        text_clear(&answer);
        if (asks && path[0]) { checkpoint_lend(server, job, socket); }
    }
    if (description.checkpoint_dir) { job_checkpoint_drop(job, id); }
    return status;
}

static sabot_status request_hold(struct job_server *server, const struct request *request, struct env_socket *socket,
                                 struct sabot_error *err) {
    struct served_job *job;
    SABOT_TRY(job_take(server, request->job, &job, err));
    const sabot_status status = checkpoint_hold(server, job->job, socket, err);
    job_give_back(server, job);
    return status;
}

static void connection_main(void *arg) {
    struct connection *connection = arg;
    struct job_server *server = connection->server;
    struct sabot_error err = {0};
    struct request *request = malloc(sizeof *request);
    struct text answer = {0}, whole = {0};
    sabot_status status = request ? request_read(connection->socket, request, &err)
                                  : SABOT_FAIL(&err, SABOT_ERR_MEMORY, "no memory for a request");
    const bool holds = status == SABOT_OK && strcmp(request->verb, "checkpoint") == 0;
    if (holds) {
        status = request_hold(server, request, connection->socket, &err);
    } else if (status == SABOT_OK) {
        status = request_do(server, request, &answer, &err);
    }
    if (status == SABOT_OK && !holds) {
        text_format(&whole, "ok\n%s", text_string(&answer));
    } else if (status != SABOT_OK) {
        text_format(&whole, "error %d\n%s", (int)status, err.message);
    }
    env_socket_write(connection->socket, text_string(&whole), whole.size, NULL); /* a client may be gone */
    text_clear(&answer);
    text_clear(&whole);
    free(request);
    env_socket_close(connection->socket);
    free(connection);
    /* under the mutex: who closes the server frees it as soon as no connection is left */
    env_mutex_lock(server->mutex);
    server->n_connections--;
    env_event_set(server->changed);
    env_mutex_unlock(server->mutex);
}

static void connection_refuse(struct env_socket *socket) {
    char text[128];
    const int size = snprintf(text, sizeof text, "error %d\n%d requests are under way in the process of the job: try "
                              "again later", (int)SABOT_ERR_STATE, CONNECTIONS_MAX);
    env_socket_write(socket, text, (size_t)size, NULL);
    char request[256]; /* closed with something unread, the socket would be reset and the answer lost */
    size_t got;
    (void)env_socket_read(socket, request, sizeof request, REFUSED_NS, &got, NULL);
    env_socket_close(socket);
}

static void server_main(void *arg) {
    struct job_server *server = arg;
    while (!atomic_load(&server->over)) {
        jobs_sample(server);
        struct env_socket *socket = NULL;
        if (env_socket_accept(server->listener, ACCEPT_NS, &socket, NULL) != SABOT_OK) {
            env_sleep_ns(server->env, ACCEPT_NS);
            continue;
        }
        if (!socket) { continue; }
        struct connection *connection = malloc(sizeof *connection);
        env_mutex_lock(server->mutex);
        const bool room = connection && server->n_connections < CONNECTIONS_MAX;
        server->n_connections += room;
        env_mutex_unlock(server->mutex);
        if (room) { *connection = (struct connection){.server = server, .socket = socket}; }
        if (room && env_offload(server->env, connection_main, connection, NULL) == SABOT_OK) { continue; }
        env_mutex_lock(server->mutex);
        server->n_connections -= room;
        env_mutex_unlock(server->mutex);
        connection_refuse(socket);
        free(connection);
    }
}

sabot_status job_server_open(struct env *env, struct job_server **out, struct sabot_error *err) {
    *out = NULL;
    char folder[ENV_PATH_MAX];
    SABOT_TRY(env_run_dir(env, folder, err));
    struct job_server *server = calloc(1, sizeof *server);
    if (!server) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to listen in %s", folder); }
    /* a process may hold several sessions, each with a server */
    static _Atomic int number;
    snprintf(server->path, sizeof server->path, "%s/%d-%d" SUFFIX, folder, env_process_id(env),
             atomic_fetch_add(&number, 1));
    server->env = env;
    sabot_status status = env_socket_listen(env, server->path, &server->listener, err);
    if (status != SABOT_OK) {
        free(server);
        return status;
    }
    server->mutex = env_mutex_new(env);
    server->changed = env_event_new(env);
    status = env_thread_start(env, "sabot-server", server_main, server, &server->thread, err);
    if (status != SABOT_OK) {
        job_server_close(server);
        return status;
    }
    *out = server;
    return SABOT_OK;
}

void job_server_close(struct job_server *server) {
    if (!server) { return; }
    atomic_store(&server->over, true);
    struct env_socket *knock = NULL; /* so that nobody waits for the end of accept's time */
    if (env_socket_connect(server->env, server->path, &knock, NULL) == SABOT_OK) { env_socket_close(knock); }
    if (server->thread) { env_thread_join(server->thread); }
    for (;;) {
        env_mutex_lock(server->mutex);
        const bool idle = server->n_connections == 0;
        env_mutex_unlock(server->mutex);
        if (idle) { break; }
        env_event_wait(server->changed, ACCEPT_NS);
    }
    assert(server->n_jobs == 0);
    env_socket_close(server->listener);
    env_mutex_free(server->mutex);
    env_event_free(server->changed);
    free(server);
}

sabot_status job_server_add(struct job_server *server, struct job *job, const char *savepoint_dir,
                            char id[JOB_ID_SIZE], struct sabot_error *err) {
    snprintf(id, JOB_ID_SIZE, "%08x", (unsigned)env_random(server->env));
    struct served_job *served = calloc(1, sizeof *served);
    if (!served) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to let other processes see a job"); }
    const struct sample begun = {.at_ns = env_now_ns(server->env)};
    *served = (struct served_job){.job = job, .savepoint_dir = savepoint_dir ? strdup(savepoint_dir) : NULL,
                                  .before = begun, .last = begun};
    memcpy(served->id, id, JOB_ID_SIZE);
    env_mutex_lock(server->mutex);
    const bool room = server->n_jobs < JOBS_MAX;
    if (room) { server->jobs[server->n_jobs++] = served; }
    env_mutex_unlock(server->mutex);
    if (room) { return SABOT_OK; }
    free(served->savepoint_dir);
    free(served);
    return SABOT_FAIL(err, SABOT_ERR_STATE, "%d jobs run in this process: other processes don't see more", JOBS_MAX);
}

/* Under the mutex: takes a job off the list, where no request is about it; NULL where it is not there (any more). */
static struct served_job *job_take_off(struct job_server *server, const struct job *job, bool *used) {
    *used = false;
    for (int32_t i = 0; i < server->n_jobs; i++) {
        struct served_job *served = server->jobs[i];
        if (served->job != job) { continue; }
        *used = served->in_use > 0;
        if (*used) { return NULL; }
        server->n_jobs--;
        memmove(&server->jobs[i], &server->jobs[i + 1], (size_t)(server->n_jobs - i) * sizeof(struct served_job *));
        return served;
    }
    return NULL;
}

void job_server_remove(struct job_server *server, const struct job *job) {
    for (;;) {
        bool used;
        env_mutex_lock(server->mutex);
        struct served_job *served = job_take_off(server, job, &used);
        env_mutex_unlock(server->mutex);
        if (!used) {
            if (served) { free(served->savepoint_dir); }
            free(served);
            return;
        }
        env_event_wait(server->changed, ACCEPT_NS);
    }
}

/* --- clients */

#define ENDED "the process of the job ended before it answered"

static sabot_status answer_check(const char *text, struct sabot_error *err) {
    const char *body = strchr(text, '\n');
    int number = 0;
    if (!body) { return SABOT_FAIL(err, SABOT_ERR_IO, "%s", ENDED); }
    if (sscanf(text, "error %d", &number) != 1) { return SABOT_OK; }
    return SABOT_FAIL(err, (sabot_status)number, "%s", body + 1);
}

/* Adds what the socket gives: all there is, or, of an answer that is no error, so many lines behind "ok" (lines >= 0);
 * waits so long for each piece of it (negative: for ever). */
static sabot_status answer_read(struct env_socket *socket, int lines, int64_t timeout_ns, struct text *answer,
                                struct sabot_error *err) {
    for (size_t got = 1; got > 0;) {
        char *target = text_reserve(answer, 4096);
        if (!target) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for an answer"); }
        SABOT_TRY(env_socket_read(socket, target, 4096, timeout_ns, &got, err));
        answer->size += got;
        if (lines < 0 || answer->size < 3 || memcmp(answer->data, "ok\n", 3) != 0) { continue; }
        int left = lines;
        for (size_t i = 3; i < answer->size; i++) { left -= answer->data[i] == '\n'; }
        if (left <= 0) { break; }
    }
    return SABOT_OK;
}

static sabot_status exchange_texts(struct env *env, const char *path, const struct text *request, int64_t timeout_ns,
                                   struct text *answer, struct sabot_error *err) {
    struct env_socket *socket;
    SABOT_TRY(env_socket_connect(env, path, &socket, err));
    struct text whole = {0};
    struct sabot_error unread = {0};
    /* who has too much to do answers without having read */
    const sabot_status written = env_socket_write(socket, text_string(request), request->size, &unread);
    sabot_status status = answer_read(socket, -1, timeout_ns, &whole, written == SABOT_OK ? err : NULL);
    env_socket_close(socket);
    if (written != SABOT_OK && (status != SABOT_OK || whole.size == 0)) {
        status = SABOT_FAIL(err, unread.status, "%s", unread.message);
    }
    if (status == SABOT_OK) { status = answer_check(text_string(&whole), err); }
    if (status == SABOT_OK) { text_add(answer, strchr(text_string(&whole), '\n') + 1); }
    text_clear(&whole);
    return status;
}

/* Calls visit() with the socket of each process that lives; what the dead have left is removed. */
static sabot_status processes_visit(struct env *env,
                                    sabot_status (*visit)(struct env *env, const char *path, void *arg,
                                                          struct sabot_error *err),
                                    void *arg, struct sabot_error *err) {
    char folder[ENV_PATH_MAX];
    SABOT_TRY(env_run_dir(env, folder, err));
    char **names;
    size_t n;
    SABOT_TRY(env_list(env, folder, &names, &n, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        const size_t size = strlen(names[i]);
        if (size < sizeof SUFFIX || strcmp(names[i] + size - strlen(SUFFIX), SUFFIX) != 0) { continue; }
        char path[ENV_PATH_MAX + 256];
        snprintf(path, sizeof path, "%s/%.200s", folder, names[i]);
        struct sabot_error reason = {0};
        status = visit(env, path, arg, &reason);
        if (status == SABOT_ERR_NOT_FOUND) {
            env_remove(env, path, NULL);
            status = SABOT_OK;
        } else if (status != SABOT_OK && err && err->status == SABOT_OK) {
            *err = reason;
        }
    }
    env_names_free(names, n);
    return status;
}

static sabot_status visit_list(struct env *env, const char *path, void *arg, struct sabot_error *err) {
    struct text request = {0};
    text_add(&request, "list\n\n");
    struct sabot_error why = {0};
    const sabot_status status = exchange_texts(env, path, &request, REQUEST_NS, arg, &why);
    text_clear(&request);
    if (status == SABOT_OK) { return SABOT_OK; }
    if (status != SABOT_ERR_IO && status != SABOT_ERR_STATE) { return SABOT_FAIL(err, status, "%s", why.message); }
    /* it ended while we asked; or it is stopped, or has too much to do: the jobs of others are no less there */
    if (!strstr(why.message, ENDED)) {
        log_write(env, LOG_WARNING, "the jobs of one process are not known (%s): %s", path, why.message);
    }
    return SABOT_OK;
}

sabot_status job_server_list(struct env *env, struct text *answer, struct sabot_error *err) {
    return processes_visit(env, visit_list, answer, err);
}

struct search {
    const char *job, *folder;
    char path[ENV_PATH_MAX + 256];
    char id[JOB_ID_SIZE];
    int32_t n;
};

static const char *column_begin(const char *line, enum job_column column) {
    for (int left = (int)column; left > 0; left--) {
        line += strcspn(line, "\t\n");
        line += *line == '\t';
    }
    return line;
}

void job_server_column(const char *line, enum job_column column, char *target, size_t size) {
    const char *begin = column_begin(line, column);
    snprintf(target, size, "%.*s", (int)strcspn(begin, "\t\n"), begin);
}

static bool column_is(const char *line, enum job_column column, const char *wanted) {
    const char *begin = column_begin(line, column);
    const size_t size = strcspn(begin, "\t\n");
    return size > 0 && size == strlen(wanted) && memcmp(begin, wanted, size) == 0;
}

static sabot_status visit_search(struct env *env, const char *path, void *arg, struct sabot_error *err) {
    struct search *search = arg;
    struct text list = {0};
    const sabot_status status = visit_list(env, path, &list, err);
    const char *line = text_string(&list);
    while (status == SABOT_OK && *line) {
        if (column_is(line, JOB_COLUMN_ID, search->job) || column_is(line, JOB_COLUMN_NAME, search->job) ||
            column_is(line, JOB_COLUMN_FOLDER, search->job) || column_is(line, JOB_COLUMN_FOLDER, search->folder)) {
            search->n++;
            snprintf(search->path, sizeof search->path, "%s", path);
            snprintf(search->id, sizeof search->id, "%.8s", line);
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    text_clear(&list);
    return status;
}

/* The only running job of that name. */
static sabot_status job_find(struct env *env, const char *job, struct search *out, struct sabot_error *err) {
    char folder[ENV_PATH_MAX];
    SABOT_TRY(path_for_all(env, job, folder, err));
    *out = (struct search){.job = job, .folder = folder};
    SABOT_TRY(processes_visit(env, visit_search, out, err));
    out->folder = NULL;
    if (out->n == 0) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "no running job is called %s; `sabot jobs` lists them", job);
    }
    if (out->n > 1) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "%d running jobs are called %s: name one by its id, which `sabot jobs` "
                          "lists", out->n, job);
    }
    return SABOT_OK;
}

sabot_status job_server_hold(struct env *env, const char *job, char path[ENV_PATH_MAX], struct env_socket **held,
                             struct sabot_error *err) {
    *held = NULL;
    path[0] = '\0';
    struct search search;
    SABOT_TRY(job_find(env, job, &search, err));
    struct env_socket *socket;
    SABOT_TRY(env_socket_connect(env, search.path, &socket, err));
    struct text text = {0};
    text_format(&text, "checkpoint\njob=%s\n\n", search.id);
    sabot_status status = env_socket_write(socket, text_string(&text), text.size, err);
    text.size = 0;
    if (status == SABOT_OK) { status = answer_read(socket, 1, -1, &text, err); }
    if (status == SABOT_OK) { status = answer_check(text_string(&text), err); }
    if (status == SABOT_OK) { snprintf(path, ENV_PATH_MAX, "%.*s", (int)strcspn(text.data + 3, "\n"), text.data + 3); }
    text_clear(&text);
    if (status == SABOT_OK && path[0]) {
        *held = socket;
    } else {
        env_socket_close(socket);
    }
    return status;
}

sabot_status job_server_ask(struct env *env, const struct job_request *asked, struct text *answer,
                            struct sabot_error *err) {
    static const char *const verbs[] = {
        [JOB_VERB_SAVEPOINT] = "savepoint", [JOB_VERB_STOP] = "stop", [JOB_VERB_CANCEL] = "cancel"};
    char dir[ENV_PATH_MAX] = "", path[ENV_PATH_MAX] = "";
    if (asked->dir) { SABOT_TRY(path_for_all(env, asked->dir, dir, err)); }
    if (asked->path) { SABOT_TRY(path_for_all(env, asked->path, path, err)); }
    struct search search;
    SABOT_TRY(job_find(env, asked->job, &search, err));
    struct text request = {0};
    text_format(&request, "%s\njob=%s\n", verbs[asked->verb], search.id);
    if (dir[0]) { text_format(&request, "dir=%s\n", dir); }
    if (path[0]) { text_format(&request, "path=%s\n", path); }
    if (asked->savepoint) { text_add(&request, "savepoint=1\n"); }
    if (asked->drain) { text_add(&request, "drain=1\n"); }
    text_add(&request, "\n");
    const sabot_status status = exchange_texts(env, search.path, &request, -1, answer, err);
    text_clear(&request);
    return status;
}
