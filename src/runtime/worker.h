/* A worker: a thread that runs its tasks in turns. It knows which of them have something to do from a bit each,
 * which anybody may set; when no bit is set it sleeps until somebody does, or until the first task that asked for
 * a time. */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include "base/env.h"

#include <stdatomic.h>

struct job;
struct task;

struct worker {
    struct job *job;
    int32_t index;
    struct task **tasks; /* by slot */
    int32_t n_tasks;
    _Atomic uint64_t *ready; /* a bit per slot */
    int32_t n_words;
    int64_t *wake_at_ns;     /* per slot; the worker's own */
    struct env_event *event;
    struct env_thread *thread; /* NULL in the simulator */
};

sabot_status worker_init(struct worker *worker, struct job *job, int32_t index, int32_t n_tasks,
                         struct sabot_error *err);
void worker_clear(struct worker *worker); /* not while its thread runs */
void worker_add(struct worker *worker, struct task *task);
sabot_status worker_start(struct worker *worker, struct sabot_error *err);
/* Any thread: the task (struct task *) has something to do. */
void worker_wake_task(void *task);
/* Runs one task for a slice. */
void worker_run(struct worker *worker, int32_t slot, int32_t items);
/* Marks the tasks whose time has come; returns the next time, INT64_MAX for none. */
int64_t worker_timers(struct worker *worker, int64_t now_ns);

#endif
