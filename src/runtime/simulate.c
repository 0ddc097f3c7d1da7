/* A job in the simulator: one thread does everything, in an order that the seed decides. */
#include "base/env_sim.h"
#include "runtime/job_impl.h"

/* The n-th task that is marked; NULL where fewer are. */
static struct task *marked_task(struct job *job, int32_t n) {
    for (int32_t t = 0; t < job->n_tasks; t++) {
        struct task *task = &job->tasks[t];
        const uint64_t word = atomic_load(&job->workers[task->worker].ready[task->slot >> 6]);
        if ((word >> (task->slot & 63) & 1) && n-- == 0) { return task; }
    }
    return NULL;
}

static int32_t count_marked(struct job *job) {
    int32_t n = 0;
    for (int32_t w = 0; w < job->n_workers; w++) {
        for (int32_t i = 0; i < job->workers[w].n_words; i++) {
            n += __builtin_popcountll(atomic_load(&job->workers[w].ready[i]));
        }
    }
    return n;
}

static void run_task(struct job *job, struct task *task) {
    struct worker *worker = &job->workers[task->worker];
    atomic_fetch_and(&worker->ready[task->slot >> 6], ~(UINT64_C(1) << (task->slot & 63)));
    worker_run(worker, task->slot, 1 + (int32_t)(env_random(job->env) % 4));
}

/* The next time at which something happens by itself. */
static int64_t next_time(struct job *job) {
    int64_t next = job->control_at_ns;
    for (int32_t w = 0; w < job->n_workers; w++) {
        const int64_t at = worker_timers(&job->workers[w], env_now_ns(job->env));
        next = at < next ? at : next;
    }
    const int64_t work = env_sim_next_work_ns(job->env);
    return work < next ? work : next;
}

sabot_status job_simulate(struct job *job, bool (*done)(struct job *job, void *arg), void *arg, int64_t until_ns,
                          struct sabot_error *err) {
    struct env *env = job->env;
    while (!done(job, arg) && env_now_ns(env) < until_ns) {
        const int64_t next = next_time(job);
        const int64_t now = env_now_ns(env);
        const int32_t tasks = count_marked(job);
        const bool control = atomic_load(&job->control_wanted) || job->control_at_ns <= now;
        const int32_t work = env_sim_due_work(env);
        const int32_t choices = tasks + control + work;
        if (choices == 0) {
            if (next == INT64_MAX) {
                return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "the simulated job is stuck: nothing can run (seed %llu)",
                                  (unsigned long long)env_sim_seed(env));
            }
            env_sim_advance(env, next < until_ns ? next : until_ns);
            continue;
        }
        env_sim_tick(env); /* running takes time: a few microseconds each */
        const int32_t choice = (int32_t)(env_random(env) % (uint64_t)choices);
        if (choice < tasks) {
            run_task(job, marked_task(job, choice));
        } else if (choice < tasks + work) {
            env_sim_run_work(env);
        } else {
            job->control_at_ns = job_control_step(job);
        }
    }
    return SABOT_OK;
}
