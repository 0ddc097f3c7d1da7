/* Worker threads. */
#include "runtime/worker.h"

#include "runtime/job_impl.h"

#include <stdlib.h>

/* Long enough that switching tasks costs little, short enough that a thousand tasks still answer within a second and a
 * few within a millisecond. */
#define SLICE_NS 300000
#define SLICE_ITEMS 64

sabot_status worker_init(struct worker *worker, struct job *job, int32_t index, int32_t n_tasks,
                         struct sabot_error *err) {
    const size_t n = n_tasks > 0 ? (size_t)n_tasks : 1;
    *worker = (struct worker){.job = job, .index = index, .n_words = (int32_t)((n + 63) / 64)};
    worker->tasks = calloc(n, sizeof(struct task *));
    worker->ready = calloc((size_t)worker->n_words, sizeof *worker->ready);
    worker->wake_at_ns = calloc(n, sizeof *worker->wake_at_ns);
    if (!worker->tasks || !worker->ready || !worker->wake_at_ns) { /* nobody else knows of them yet */
        free(worker->tasks);
        free(worker->ready);
        free(worker->wake_at_ns);
        *worker = (struct worker){0};
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a worker with %d tasks", n_tasks);
    }
    worker->event = env_event_new(job->env);
    return SABOT_OK;
}

void worker_clear(struct worker *worker) {
    env_event_free(worker->event);
    free(worker->tasks);
    free(worker->ready);
    free(worker->wake_at_ns);
    *worker = (struct worker){0};
}

void worker_add(struct worker *worker, struct task *task) {
    task->worker = worker->index;
    task->slot = worker->n_tasks++;
    worker->tasks[task->slot] = task;
    worker->wake_at_ns[task->slot] = INT64_MAX;
    /* everybody begins: sources read, sinks find nothing and wait */
    atomic_fetch_or(&worker->ready[task->slot >> 6], UINT64_C(1) << (task->slot & 63));
}

static void mark(struct worker *worker, int32_t slot) {
    atomic_fetch_or_explicit(&worker->ready[slot >> 6], UINT64_C(1) << (slot & 63), memory_order_acq_rel);
}

void worker_wake_task(void *arg) {
    const struct task *task = arg;
    struct worker *worker = &task->job->workers[task->worker];
    mark(worker, task->slot);
    env_event_set(worker->event);
}

void worker_run(struct worker *worker, int32_t slot, int32_t items) {
    struct task *task = worker->tasks[slot];
    if (atomic_load_explicit(&worker->job->failed, memory_order_acquire)) { return; } /* the control ends the job */
    const int64_t now = env_now_ns(worker->job->env);
    bool more = false;
    struct sabot_error err = {0};
    const sabot_status status = task_step(
        task, &(struct task_step){.now_ns = now, .until_ns = now + SLICE_NS, .items = items}, &more, &err);
    if (status != SABOT_OK) {
        worker->wake_at_ns[slot] = INT64_MAX;
        job_task_failed(task, &err);
        return;
    }
    worker->wake_at_ns[slot] = more ? INT64_MAX : task->wake_at_ns;
    if (more) { mark(worker, slot); }
}

int64_t worker_timers(struct worker *worker, int64_t now_ns) {
    int64_t next = INT64_MAX;
    for (int32_t slot = 0; slot < worker->n_tasks; slot++) {
        const int64_t at = worker->wake_at_ns[slot];
        if (at <= now_ns) {
            worker->wake_at_ns[slot] = INT64_MAX;
            mark(worker, slot);
        } else if (at < next) {
            next = at;
        }
    }
    return next;
}

static bool is_over(const struct worker *worker) {
    return atomic_load_explicit(&worker->job->over, memory_order_acquire);
}

/* Runs every task that is marked once, in order: producers stand before their consumers, so that what one gives out
 * the other finds while it is still in the cache. */
static bool run_marked(struct worker *worker) {
    bool any = false;
    for (int32_t word = 0; word < worker->n_words; word++) {
        if (atomic_load_explicit(&worker->ready[word], memory_order_relaxed) == 0) { continue; }
        uint64_t bits = atomic_exchange_explicit(&worker->ready[word], 0, memory_order_acq_rel);
        for (; bits != 0 && !is_over(worker); bits &= bits - 1) {
            any = true;
            worker_run(worker, word * 64 + __builtin_ctzll(bits), SLICE_ITEMS);
        }
    }
    return any;
}

static void worker_main(void *arg) {
    struct worker *worker = arg;
    struct env *env = worker->job->env;
    while (!is_over(worker)) {
        const bool any = run_marked(worker);
        const int64_t now = env_now_ns(env);
        const int64_t next = worker_timers(worker, now);
        if (any) { continue; }
        /* a mark that was set since the look above has set the event too, and so has a timer that just came due */
        bool marked = false;
        for (int32_t word = 0; word < worker->n_words; word++) {
            marked |= atomic_load_explicit(&worker->ready[word], memory_order_relaxed) != 0;
        }
        if (!marked) { env_event_wait(worker->event, next == INT64_MAX ? -1 : next - now); }
    }
}

sabot_status worker_start(struct worker *worker, struct sabot_error *err) {
    return env_thread_start(worker->job->env, "sabot-worker", worker_main, worker, &worker->thread, err);
}
