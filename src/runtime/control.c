/* The control of a job: the one place that decides what happens to the job as a whole. Tasks and callers leave
 * notes (atomic flags and counters) and wake it. */
#include "base/log.h"
#include "runtime/job_impl.h"

#include <stdlib.h>

void job_control_wake(void *arg) {
    struct job *job = arg;
    atomic_store_explicit(&job->control_wanted, true, memory_order_release);
    env_event_set(job->control_event);
}

void job_notify(struct job *job) {
    env_mutex_lock(job->mutex);
    for (struct job_waiter *waiter = job->waiters; waiter; waiter = waiter->next) { env_event_set(waiter->event); }
    env_mutex_unlock(job->mutex);
}

/* --- what the coordinator asks for */

static void sources_wake(struct job *job) {
    for (int32_t t = 0; t < job->n_tasks; t++) {
        if (job->tasks[t].is_source) { worker_wake_task(&job->tasks[t]); }
    }
}

void job_satisfied(struct job *job) {
    atomic_store_explicit(&job->satisfied, true, memory_order_release);
    sources_wake(job);
}

static void trigger(void *arg, int64_t checkpoint_id, int64_t timestamp_ms) {
    struct job *job = arg;
    record_trigger(job->record, checkpoint_id, timestamp_ms);
    for (int32_t t = 0; t < job->n_tasks; t++) {
        struct task *task = &job->tasks[t];
        if (!task->is_source) { continue; }
        atomic_store_explicit(&task->barrier_wanted_timestamp_ms, timestamp_ms, memory_order_relaxed);
        atomic_store_explicit(&task->barrier_wanted, checkpoint_id, memory_order_release);
    }
    sources_wake(job);
}

/* Every task is told at once: none waits for a barrier that is stuck behind rows. */
static void overtake(void *arg, int64_t checkpoint_id) {
    struct job *job = arg;
    for (int32_t t = 0; t < job->n_tasks; t++) {
        atomic_store_explicit(&job->tasks[t].overtake_wanted, checkpoint_id, memory_order_release);
        worker_wake_task(&job->tasks[t]);
    }
}

/* Rows that go to everybody can't be divided anew at another parallelism. */
static bool may_overtake(const struct job *job) {
    for (int32_t v = 0; v < job->graph->n_vertices; v++) {
        for (int32_t e = 0; e < job->graph->vertices[v].n_edges; e++) {
            if (job->graph->vertices[v].edges[e].exchange == EXCHANGE_BROADCAST) { return false; }
        }
    }
    return true;
}

static void abort_checkpoint(void *arg, int64_t checkpoint_id) {
    struct job *job = arg;
    record_over(job->record, checkpoint_id, "aborted");
    for (int32_t t = 0; t < job->n_tasks; t++) {
        atomic_store_explicit(&job->tasks[t].barrier_aborted, checkpoint_id, memory_order_release);
        worker_wake_task(&job->tasks[t]);
    }
}

static void complete(void *arg, int64_t checkpoint_id) {
    struct job *job = arg;
    record_over(job->record, checkpoint_id, "complete");
    env_mutex_lock(job->mutex);
    job->n_committed = 0;
    job->committed_id = checkpoint_id;
    env_mutex_unlock(job->mutex);
    for (int32_t t = 0; t < job->n_tasks; t++) {
        atomic_store_explicit(&job->tasks[t].complete_wanted, checkpoint_id, memory_order_release);
        worker_wake_task(&job->tasks[t]);
    }
}

static void acknowledged(void *arg, int32_t task, int64_t checkpoint_id) {
    record_note(((struct job *)arg)->record, RECORD_ACK, task, checkpoint_id);
}

static sabot_status prepare_manifest(void *arg, struct sabot_error *err) {
    struct job *job = arg;
    if (job->dead_letters) { SABOT_TRY(ledger_flush(job->dead_letters, err)); }
    return job->late ? ledger_flush(job->late, err) : SABOT_OK;
}

sabot_status job_coordinator_make(struct job *job, int64_t restored_id, struct sabot_error *err) {
    const struct job_options *options = &job->options;
    const struct coordinator_options coordinator = {
        .env = job->env,
        .store = job->store,
        .lease = job->lease,
        .pool = job->pool,
        .job_name = job->name,
        .dir = options->checkpoint_dir,
        .interval_ns = options->checkpoint_interval_ns,
        .timeout_ns = options->checkpoint_timeout_ns,
        .overtakes = options->unaligned && may_overtake(job),
        .overtake_after_ns = options->aligned_timeout_ns,
        .min_pause_ns = options->checkpoint_min_pause_ns,
        .incremental = !options->checkpoints_full,
        .retained = options->checkpoints_retained,
        .failures_max = options->checkpoint_failures_max,
        .max_parallelism = options->max_parallelism,
        .n_tasks = job->n_tasks,
        .restored_id = restored_id,
        .calls = {.arg = job,
                  .trigger = trigger,
                  .overtake = overtake,
                  .abort = abort_checkpoint,
                  .complete = complete,
                  .prepare_manifest = prepare_manifest,
                  .acknowledged = acknowledged,
                  .wake = job_control_wake},
    };
    return coordinator_new(&coordinator, &job->coordinator, err);
}

/* --- what tasks say */

sabot_status job_task_snapshot(struct task *task, int64_t checkpoint_id, struct sabot_error *err) {
    struct job *job = task->job;
    const bool overtakes = task->overtake.id == checkpoint_id;
    struct snapshot_op *ops = calloc((size_t)task->n_ops, sizeof *ops);
    if (!ops) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a snapshot"); }
    for (int32_t i = 0; i < task->n_ops; i++) {
        struct chain_op *op = &task->ops[i];
        ops[i] = (struct snapshot_op){
            .uid = op->spec->uid,
            .meaning = op->spec->meaning,
            .subtask = task->subtask,
            .parallelism = task->vertex->parallelism,
            .ended = op->ended,
            .tables = op->state,
            .chains = &op->chains,
        };
    }
    const struct snapshot_options options = {
        .env = job->env,
        .pool = job->pool,
        .coordinator = job->coordinator,
        .task = task->index,
        .checkpoint_id = checkpoint_id,
        .wake = worker_wake_task,
        .wake_arg = task,
        .step_slots = job->options.checkpoint_step_slots,
        .n_extra = overtakes ? task->vertex->n_edges : 0,
        .waits = overtakes,
    };
    record_note(job->record, RECORD_BARRIER, task->index, checkpoint_id);
    task_snapshot_cancel(task->snapshot); /* of a checkpoint that was given up: nobody waits for it */
    const sabot_status status = task_snapshot_begin(&options, ops, task->n_ops, &task->snapshot, err);
    free(ops);
    SABOT_TRY(status);
    return overtakes ? overtake_snapshot(task, err) : SABOT_OK;
}

void job_task_ended(struct task *task) {
    struct job *job = task->job;
    if (atomic_fetch_add(&job->n_ended, 1) + 1 == job->n_tasks) { job_control_wake(job); }
}

void job_task_committed(struct task *task, int64_t checkpoint_id) {
    struct job *job = task->job;
    /* at once: of a round that the next one replaces meanwhile it would count for that one */
    env_mutex_lock(job->mutex);
    const bool all = job->committed_id == checkpoint_id && ++job->n_committed == job->n_tasks;
    env_mutex_unlock(job->mutex);
    if (all) { job_control_wake(job); }
}

static void job_fail(struct job *job, const struct sabot_error *err) {
    env_mutex_lock(job->mutex);
    if (job->error.status == SABOT_OK) { job->error = *err; }
    env_mutex_unlock(job->mutex);
    atomic_store(&job->failed, true);
    job_control_wake(job);
}

void job_task_failed(struct task *task, struct sabot_error *err) {
    if (err->status == SABOT_OK) { SABOT_FAIL(err, SABOT_ERR_INTERNAL, "an operator failed without saying why"); }
    char place[256];
    task_place(task, place, sizeof place);
    error_context(err, "%s", place);
    job_fail(task->job, err);
}

/* --- decisions */

static bool all_ended(const struct job *job) { return atomic_load(&((struct job *)job)->n_ended) == job->n_tasks; }

static bool final_is_committed(struct job *job) {
    if (!coordinator_poll(job->coordinator, &job->final)) { return false; }
    env_mutex_lock(job->mutex);
    /* one that somebody asked for meanwhile may have replaced its round, and holds no less */
    const bool committed = job->committed_id >= job->final.checkpoint_id && job->n_committed == job->n_tasks;
    env_mutex_unlock(job->mutex);
    return committed;
}

/* What becomes of the checkpoints of a job that is over. */
static void checkpoints_leave(struct job *job, enum job_state state) {
    const bool kept = job->options.checkpoint_retention == JOB_RETAIN_ALWAYS ||
                      (job->options.checkpoint_retention == JOB_RETAIN_ON_FAILURE && state == JOB_FAILED);
    struct sabot_error err = {0};
    if (!kept && coordinator_remove_all(job->coordinator, &err) != SABOT_OK) {
        log_write(job->env, LOG_WARNING, "checkpoints of job %s stay: %s", job->name, err.message);
    }
}

static void job_end(struct job *job, enum job_state state) {
    struct sabot_error why = {.status = SABOT_ERR_CANCELLED, .message = "the job is over"};
    if (state == JOB_FAILED) {
        env_mutex_lock(job->mutex);
        why = job->error;
        env_mutex_unlock(job->mutex);
    }
    if (state != JOB_FINISHED) { store_hurry(job->store); } /* a server that is away is not waited for */
    coordinator_give_up(job->coordinator, &why);
    atomic_store(&job->over, true);
    for (int32_t w = 0; w < job->n_workers; w++) { env_event_set(job->workers[w].event); }
    for (int32_t w = 0; w < job->n_workers; w++) {
        if (job->workers[w].thread) { env_thread_join(job->workers[w].thread); }
        job->workers[w].thread = NULL;
    }
    /* after the tasks: they add to the ledgers to the last */
    struct sabot_error err = {0};
    prepare_manifest(job, &err);
    if (err.status != SABOT_OK && state == JOB_FINISHED) {
        env_mutex_lock(job->mutex);
        job->error = err;
        env_mutex_unlock(job->mutex);
        state = JOB_FAILED;
    }
    store_hurry(job->store); /* what is committed needs no server any more */
    checkpoints_leave(job, state);
    if (state == JOB_FINISHED && atomic_load(&job->cut_short)) { state = JOB_STOPPED; }
    atomic_store(&job->state, state);
    job_notify(job);
}

/* The last round of barriers: of a job that is stopped, or, where there are checkpoints, behind the end of input. */
static void final_begin(struct job *job) {
    job->final_begun = true;
    struct sabot_error err = {0};
    if (coordinator_request(job->coordinator, &job->final, &err) != SABOT_OK) { job_fail(job, &err); }
}

/* Of a job that is stopped: the savepoint where one was asked for, then the last checkpoint. */
static void last_rounds_begin(struct job *job) {
    /* What the clock brings about behind the savepoint's barrier would be committed by the last checkpoint, and come
     * again in a job that is started from the savepoint. */
    atomic_store_explicit(&job->still, true, memory_order_release);
    env_mutex_lock(job->mutex);
    job->savepoint.path = job->stop_path;
    env_mutex_unlock(job->mutex);
    if (!job->savepoint.path) {
        final_begin(job);
        return;
    }
    struct sabot_error err = {0};
    job->savepoint_begun = true;
    if (coordinator_request(job->coordinator, &job->savepoint, &err) != SABOT_OK) { job_fail(job, &err); }
}

static void stop_begin(struct job *job) {
    job->stop_begun = true;
    atomic_store(&job->state, JOB_STOPPING);
    for (int32_t t = 0; t < job->n_tasks; t++) {
        atomic_store_explicit(&job->tasks[t].stop_wanted, true, memory_order_release);
    }
    sources_wake(job);
    /* input that is over and committed already needs no other round */
    if (job->final_begun) { return; }
    /* what is drained goes on to its end: open windows fire, and then comes the savepoint */
    if (!atomic_load(&job->drain_wanted)) { last_rounds_begin(job); }
}

/* The savepoint of a stop is there, or has failed. Only the checkpoint behind it commits: it holds the same rows, so a
 * job may be started from either. */
static void savepoint_over(struct job *job) {
    if (atomic_load(&job->drain_wanted) && !job->options.checkpoint_dir) {
        /* sinks have committed at the end of input */
        job_end(job, JOB_FINISHED);
        return;
    }
    if (job->savepoint.error.status != SABOT_OK && !job->options.checkpoint_dir) {
        struct sabot_error err = job->savepoint.error;
        error_context(&err, "the savepoint");
        job_fail(job, &err);
        return;
    }
    final_begin(job);
}

/* What is tolerated of the others is tolerated of the last one: the coordinator says when there were too many. */
static void final_failed(struct job *job) {
    if (!atomic_load(&job->failed)) { final_begin(job); }
}

int64_t job_control_step(struct job *job) {
    atomic_store_explicit(&job->control_wanted, false, memory_order_relaxed);
    if (atomic_load(&job->over)) { return INT64_MAX; }
    if (atomic_load(&job->failed)) {
        job_end(job, JOB_FAILED);
        return INT64_MAX;
    }
    if (atomic_load(&job->cancel_wanted)) {
        job_end(job, JOB_CANCELLED);
        return INT64_MAX;
    }
    if (all_ended(job) && !job->final_begun && !job->savepoint_begun) {
        env_mutex_lock(job->mutex);
        const bool has_savepoint = atomic_load(&job->drain_wanted) && job->stop_path;
        env_mutex_unlock(job->mutex);
        if (has_savepoint) {
            if (!job->stop_begun) { stop_begin(job); }
            last_rounds_begin(job);
        } else if (!job->options.checkpoint_dir) {
            job_end(job, JOB_FINISHED);
            return INT64_MAX;
        } else {
            final_begin(job);
        }
    }
    if (atomic_load(&job->stop_wanted) && !job->stop_begun) { stop_begin(job); }
    const int64_t completed = job_checkpoints_completed(job);
    struct sabot_error fatal = {0};
    const int64_t next = coordinator_step(job->coordinator, !job->final_begun && !job->savepoint_begun, &fatal);
    record_step(job->record, next);
    if (job_checkpoints_completed(job) != completed) { job_notify(job); }
    if (fatal.status != SABOT_OK) { job_fail(job, &fatal); }
    if (job->savepoint_begun && !job->final_begun && coordinator_poll(job->coordinator, &job->savepoint)) {
        savepoint_over(job);
        if (atomic_load(&job->over)) { return INT64_MAX; }
    }
    if (job->final_begun && coordinator_poll(job->coordinator, &job->final)) {
        if (job->final.error.status != SABOT_OK) {
            final_failed(job);
        } else if (final_is_committed(job)) {
            job_end(job, JOB_FINISHED);
            return INT64_MAX;
        }
    }
    job_notify(job);
    return atomic_load(&job->failed) ? env_now_ns(job->env) : next;
}

void job_control_main(void *arg) {
    struct job *job = arg;
    while (!atomic_load(&job->over)) {
        const int64_t next = job_control_step(job);
        if (atomic_load(&job->over)) { return; }
        const int64_t now = env_now_ns(job->env);
        if (next <= now) { continue; }
        env_event_wait(job->control_event, next == INT64_MAX ? -1 : next - now);
    }
}
