/* Jobs as their owner sees them: start, wait, stop, metrics, and the services that operators ask for. */
#include "runtime/job.h"

#include "checkpoint/storage.h"
#include "ops/source.h"
#include "runtime/job_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY_TARGET_NS_DEFAULT 10000000
#define CHANNEL_BATCHES_DEFAULT 8
#define CHECKPOINT_TIMEOUT_NS_DEFAULT (INT64_C(600) * 1000000000)
#define CHECKPOINTS_RETAINED_DEFAULT 2
#define CHECKPOINT_FAILURES_MAX_DEFAULT 3
#define BYTES_PER_BATCH_ROW (1 << 20)
#define BATCH_ROWS_LEAST 256

/* The parent of jobs that are given none. */
static struct memory_pool process_pool = {.name = "process", .limit = INT64_MAX};

static void defaults_fill(struct job *job) {
    struct job_options *options = &job->options;
    int32_t largest = 1;
    for (int32_t v = 0; v < job->graph->n_vertices; v++) {
        if (job->graph->vertices[v].parallelism > largest) { largest = job->graph->vertices[v].parallelism; }
    }
    if (options->workers <= 0) {
        options->workers = env_cores(job->env);
        if (options->workers > largest) { options->workers = largest; }
    }
    if (options->max_parallelism <= 0) { options->max_parallelism = MAX_PARALLELISM_DEFAULT; }
    if (options->batch_rows <= 0) { options->batch_rows = BATCH_ROWS_DEFAULT; }
    if (options->batch_rows > BATCH_ROWS_MAX) { options->batch_rows = BATCH_ROWS_MAX; }
    if (!options->memory) { options->memory = &process_pool; }
    /* What a batch touches of state on disk comes into memory before it can be dropped again: docs/decisions/0011. */
    const int64_t limit = job_memory_limit(options);
    const int64_t rows_max = limit / BYTES_PER_BATCH_ROW < BATCH_ROWS_LEAST ? BATCH_ROWS_LEAST
                                                                            : limit / BYTES_PER_BATCH_ROW;
    if (options->batch_rows > rows_max) { options->batch_rows = (int32_t)rows_max; }
    if (options->latency_target_ns <= 0) { options->latency_target_ns = LATENCY_TARGET_NS_DEFAULT; }
    if (options->channel_batches <= 0) { options->channel_batches = CHANNEL_BATCHES_DEFAULT; }
    if (options->checkpoint_timeout_ns <= 0) { options->checkpoint_timeout_ns = CHECKPOINT_TIMEOUT_NS_DEFAULT; }
    if (options->checkpoint_failures_max <= 0) { options->checkpoint_failures_max = CHECKPOINT_FAILURES_MAX_DEFAULT; }
    if (options->checkpoints_retained <= 0) { options->checkpoints_retained = CHECKPOINTS_RETAINED_DEFAULT; }
}

static void job_delete(struct job *job) {
    job_tear_down(job);
    ledger_close(job->dead_letters, NULL);
    ledger_close(job->late, NULL);
    env_event_free(job->control_event);
    env_mutex_free(job->mutex);
    text_clear(&job->explain);
    free(job->stop_path);
    free(job->name);
    free(job);
}

static sabot_status threads_start(struct job *job, struct sabot_error *err) {
    if (env_is_simulated(job->env)) { return SABOT_OK; }
    for (int32_t w = 0; w < job->n_workers; w++) { SABOT_TRY(worker_start(&job->workers[w], err)); }
    return env_thread_start(job->env, "sabot-control", job_control_main, job, &job->control, err);
}

sabot_status job_start(struct env *env, const struct job_graph *graph, const struct job_options *options,
                       struct job **out, struct sabot_error *err) {
    *out = NULL;
    struct job *job = calloc(1, sizeof *job);
    if (!job) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a job"); }
    job->env = env;
    job->graph = graph;
    job->options = *options;
    job->name = strdup(options->name ? options->name : "job");
    job->started_ms = env_wall_ms(env);
    job->mutex = env_mutex_new(env);
    job->control_event = env_event_new(env);
    atomic_init(&job->control_wanted, true);
    job->committed_id = BARRIER_NONE;
    defaults_fill(job);
    sabot_status status = job->name ? job_build(job, err) : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a job");
    atomic_store(&job->state, JOB_RUNNING);
    if (status == SABOT_OK) { status = threads_start(job, err); }
    if (status != SABOT_OK) {
        atomic_store(&job->over, true);
        for (int32_t w = 0; w < job->n_workers; w++) {
            if (!job->workers[w].thread) { continue; }
            env_event_set(job->workers[w].event);
            env_thread_join(job->workers[w].thread);
        }
        job_delete(job);
        return status;
    }
    *out = job;
    return SABOT_OK;
}

/* --- waiting */

static bool is_over(struct job *job, void *arg) {
    (void)arg;
    const int state = atomic_load(&job->state);
    return state == JOB_FINISHED || state == JOB_STOPPED || state == JOB_CANCELLED || state == JOB_FAILED;
}

static void waiter_add(struct job *job, struct job_waiter *waiter) {
    waiter->event = env_event_new(job->env);
    env_mutex_lock(job->mutex);
    waiter->next = job->waiters;
    job->waiters = waiter;
    env_mutex_unlock(job->mutex);
}

static void waiter_remove(struct job *job, struct job_waiter *waiter) {
    env_mutex_lock(job->mutex);
    struct job_waiter **at = &job->waiters;
    while (*at != waiter) { at = &(*at)->next; }
    *at = waiter->next;
    env_mutex_unlock(job->mutex);
    env_event_free(waiter->event);
}

/* Until done() or, where timeout_ns is not negative, so long. */
static sabot_status wait_until(struct job *job, bool (*done)(struct job *job, void *arg), void *arg,
                               int64_t timeout_ns, struct sabot_error *err) {
    const int64_t start = env_now_ns(job->env);
    const int64_t until = timeout_ns < 0 ? INT64_MAX : start + timeout_ns;
    if (env_is_simulated(job->env)) { return job_simulate(job, done, arg, until, err); }
    struct job_waiter waiter;
    waiter_add(job, &waiter);
    while (!done(job, arg)) {
        const int64_t now = env_now_ns(job->env);
        if (now >= until) { break; }
        env_event_wait(waiter.event, until == INT64_MAX ? -1 : until - now);
    }
    waiter_remove(job, &waiter);
    return SABOT_OK;
}

/* What a process that takes over removes of ours fails here for a reason that says nothing: it is told as what it is. A
 * remote store is not asked: it may be what failed, and keep its caller waiting. */
static void replaced_instead(struct job *job, struct sabot_error *error) {
    if (error->status != SABOT_ERR_IO && error->status != SABOT_ERR_NOT_FOUND) { return; }
    if (job->lease.epoch == 0 || store_is_remote(job->options.checkpoint_dir)) { return; }
    bool fenced = false;
    struct sabot_error why = {0};
    lease_check(job->store, &job->lease, &fenced, &why);
    if (fenced) { *error = why; }
}

sabot_status job_wait(struct job *job, int64_t timeout_ns, bool *done, struct sabot_error *err) {
    SABOT_TRY(wait_until(job, is_over, NULL, timeout_ns, err));
    const bool over = is_over(job, NULL);
    if (done) { *done = over; }
    if (!over) { return SABOT_OK; }
    switch (job_state(job)) {
    case JOB_CANCELLED: return SABOT_FAIL(err, SABOT_ERR_CANCELLED, "job %s was cancelled", job->name);
    case JOB_FAILED: {
        env_mutex_lock(job->mutex);
        struct sabot_error error = job->error;
        env_mutex_unlock(job->mutex);
        replaced_instead(job, &error);
        if (err && err->status == SABOT_OK) { *err = error; }
        return error.status;
    }
    default: return SABOT_OK;
    }
}

void job_stop(struct job *job) {
    atomic_store(&job->stop_wanted, true);
    job_control_wake(job);
}

sabot_status job_savepoint_try(struct job *job, const char *path, struct sabot_error *err) {
    const sabot_status status = storage_try(job->store, path, err);
    if (status != SABOT_OK) { error_context(err, "job %s goes on", job->name); }
    return status;
}

/* It was over before the savepoint was begun: why. */
static sabot_status over_before_savepoint(struct job *job, struct sabot_error *err) {
    if (job_state(job) != JOB_FAILED) {
        return SABOT_FAIL(err, SABOT_ERR_STATE, "job %s %s before the savepoint was begun", job->name,
                          job_state(job) == JOB_CANCELLED ? "was cancelled" : "came to its end");
    }
    struct sabot_error why = {0};
    const sabot_status status = job_wait(job, -1, NULL, &why);
    return SABOT_FAIL(err, status, "job %s failed before the savepoint was begun: %s", job->name, why.message);
}

sabot_status job_stop_with_savepoint(struct job *job, const char *path, bool drain, struct sabot_error *err) {
    char *copy = path ? strdup(path) : NULL;
    if (path && !copy) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to stop job %s", job->name); }
    env_mutex_lock(job->mutex);
    const bool over = is_over(job, NULL);
    const bool first = !job->stop_path && !atomic_load(&job->stop_wanted) && !over;
    if (first) {
        job->stop_path = copy;
        atomic_store(&job->drain_wanted, drain);
        atomic_store(&job->stop_wanted, true);
    }
    env_mutex_unlock(job->mutex);
    if (!first) {
        free(copy);
        if (over) { return over_before_savepoint(job, err); }
        return SABOT_FAIL(err, SABOT_ERR_STATE, "job %s is being stopped already", job->name);
    }
    job_control_wake(job);
    if (!path) { return job_wait(job, -1, NULL, err); }
    SABOT_TRY(wait_until(job, is_over, NULL, -1, err));
    const struct checkpoint_request *savepoint = &job->savepoint;
    if (savepoint->done && savepoint->error.status == SABOT_OK) { return SABOT_OK; }
    if (savepoint->error.status != SABOT_OK) {
        if (err && err->status == SABOT_OK) { *err = savepoint->error; }
        error_context(err, "job %s has stopped without the savepoint", job->name);
        return savepoint->error.status;
    }
    return over_before_savepoint(job, err);
}

void job_cancel(struct job *job) {
    atomic_store(&job->cancel_wanted, true);
    job_control_wake(job);
}

void job_free(struct job *job) {
    if (!job) { return; }
    if (!is_over(job, NULL)) {
        job_cancel(job);
        if (env_is_simulated(job->env)) {
            job_control_step(job);
        } else {
            wait_until(job, is_over, NULL, -1, NULL);
        }
    }
    if (job->control) { env_thread_join(job->control); }
    job_delete(job);
}

enum job_state job_state(const struct job *job) {
    return (enum job_state)atomic_load(&((struct job *)job)->state);
}

static bool request_is_done(struct job *job, void *arg) { return coordinator_poll(job->coordinator, arg); }

sabot_status job_checkpoint(struct job *job, const char *path, int64_t *checkpoint_id, struct sabot_error *err) {
    if (!path && !job->options.checkpoint_dir) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "job %s has no checkpoint folder: name one, or ask for a savepoint "
                          "with a path", job->name);
    }
    struct checkpoint_request request = {.path = path};
    SABOT_TRY(coordinator_request(job->coordinator, &request, err));
    SABOT_TRY(wait_until(job, request_is_done, &request, -1, err));
    if (checkpoint_id) { *checkpoint_id = request.checkpoint_id; }
    if (request.error.status != SABOT_OK && err && err->status == SABOT_OK) { *err = request.error; }
    return request.error.status;
}

/* --- metrics */

int32_t job_n_metrics(const struct job *job) { return job->n_metrics; }

void job_metrics(const struct job *job, int32_t i, struct job_op_metrics *out) {
    assert(i >= 0 && i < job->n_metrics);
    int32_t v = 0;
    while (i >= job->graph->vertices[v].parallelism * job->graph->vertices[v].n_ops) {
        i -= job->graph->vertices[v].parallelism * job->graph->vertices[v].n_ops;
        v++;
    }
    const struct job_vertex *vertex = &job->graph->vertices[v];
    const struct task *task = &job->tasks[job->first_task[v] + i / vertex->n_ops];
    const struct chain_op *op = &task->ops[i % vertex->n_ops];
    bool is_last = true;
    for (int32_t w = 0; w < job->graph->n_vertices; w++) {
        for (int32_t e = 0; e < job->graph->vertices[w].n_edges; e++) {
            is_last = is_last && job->graph->vertices[w].edges[e].from != v;
        }
    }
    *out = (struct job_op_metrics){
        .vertex = vertex->name,
        .label = vertex->ops[i % vertex->n_ops]->label,
        .uid = vertex->ops[i % vertex->n_ops]->uid,
        .subtask = task->subtask,
        .is_source = vertex->n_edges == 0 && i % vertex->n_ops == 0,
        .is_sink = is_last && i % vertex->n_ops == vertex->n_ops - 1,
        .metrics = &op->metrics,
    };
}

int64_t job_checkpoints_completed(const struct job *job) {
    struct coordinator_counts counts;
    coordinator_counts(job->coordinator, &counts);
    return counts.completed;
}

sabot_status job_checkpoint_keep(struct job *job, int64_t *id, struct sabot_error *err) {
    SABOT_TRY(coordinator_keep(job->coordinator, COORDINATOR_KEEP_ALL, err));
    sabot_status status = job_checkpoint(job, NULL, id, err);
    if (status == SABOT_OK) { status = coordinator_keep(job->coordinator, *id, err); }
    coordinator_drop(job->coordinator, COORDINATOR_KEEP_ALL);
    return status;
}

void job_checkpoint_drop(struct job *job, int64_t id) { coordinator_drop(job->coordinator, id); }

void job_checkpoint_counts(const struct job *job, struct coordinator_counts *out) {
    coordinator_counts(job->coordinator, out);
}

void job_describe(const struct job *job, struct job_description *out) {
    *out = (struct job_description){
        .name = job->name,
        .checkpoint_dir = job->options.checkpoint_dir,
        .state = job_state(job),
        .started_ms = job->started_ms,
    };
}
