/* What the files of the runtime know of a job. */
#ifndef RUNTIME_JOB_IMPL_H
#define RUNTIME_JOB_IMPL_H

#include "base/text.h"
#include "checkpoint/coordinator.h"
#include "runtime/record.h"
#include "runtime/state_dir.h"
#include "runtime/pools.h"
#include "runtime/ledger.h"
#include "runtime/task.h"
#include "runtime/worker.h"

/* Somebody who waits for a change: job_wait, job_checkpoint, job_explain_stall. */
struct job_waiter {
    struct job_waiter *next;
    struct env_event *event;
};

struct job {
    struct env *env;
    const struct job_graph *graph;
    struct job_options options; /* with the defaults filled in */
    char *name;
    int64_t started_ms; /* wall clock */
    struct store *store;
    struct record *record; /* of system state; NULL: none is kept */
    struct state_dir state_dir; /* of key-value state on disk; zeroed: there is none */
    struct lease lease; /* of the checkpoint folder; epoch 0: there is none */
    struct job_pools *pools;
    struct memory_pool *pool; /* the job's own; operators' pools are below it */

    struct task *tasks; /* vertex by vertex, in topological order */
    int32_t n_tasks;
    int32_t *first_task; /* per vertex */
    struct channel **channels;
    int32_t n_channels;
    struct worker *workers;
    int32_t n_workers;
    int32_t n_metrics;

    _Atomic int state;           /* enum job_state */
    _Atomic bool drain_wanted;   /* with stop_wanted: the input is to end, not only to be left */
    _Atomic bool stop_wanted, cancel_wanted, failed;
    _Atomic bool cut_short;      /* a source was stopped or drained that had more to read */
    _Atomic int32_t n_wanting;   /* tasks at the end of the graph whose sinks may still get rows; */
    _Atomic bool satisfied;      /* none: the input comes to its end here */
    _Atomic bool still;          /* in the last rounds of a stop: nothing happens by the clock any more */
    _Atomic bool over;           /* workers and control leave */
    _Atomic int32_t n_ended;     /* tasks through whose chain the end has gone */
    _Atomic int64_t batches_overtaken; /* by barriers: they are in snapshots */
    int64_t committed_id; /* of the last commit round; under the mutex, */
    int32_t n_committed;  /* as is how many tasks have committed it */

    /* control: one thread (in the simulator: between the steps of tasks) that decides */
    struct env_thread *control;
    struct env_event *control_event;
    _Atomic bool control_wanted; /* the event as the simulator reads it */
    int64_t control_at_ns;       /* when it has to look again without being woken */
    struct coordinator *coordinator;
    bool stop_begun, final_begun;
    struct checkpoint_request final; /* the last barrier of a stop, or behind the end of input */
    char *stop_path;                 /* under the mutex until stop_begun: stop with a savepoint there */
    bool savepoint_begun;
    struct checkpoint_request savepoint; /* of stop_path */

    struct env_mutex *mutex; /* error, waiters, explain */
    struct sabot_error error;
    struct job_waiter *waiters;
    struct text explain;  /* answers of sources to explain_wanted */
    int32_t explain_open; /* how many have not answered */

    struct ledger *dead_letters, *late;
    _Atomic int malformed;      /* 1: somebody writes malformed_first; 2: it is there */
    char malformed_first[320];  /* where the first record was that could not be decoded, and why */
};

/* --- for tasks, on their worker's thread */
/* A barrier has passed the chain: copies the state and acknowledges. */
sabot_status job_task_snapshot(struct task *task, int64_t checkpoint_id, struct sabot_error *err);
void job_task_ended(struct task *task);
void job_task_committed(struct task *task, int64_t checkpoint_id);
void job_task_explain(struct task *task);
/* The job fails with this error, unless it has failed already. */
void job_task_failed(struct task *task, struct sabot_error *err);
/* Any thread. */
void job_control_wake(void *job);

/* --- control.c */
/* Decides what is next: checkpoints, stop, the end. Says when it wants to look again. One thread at a time. */
int64_t job_control_step(struct job *job);
void job_control_main(void *job);
void job_satisfied(struct job *job); /* no sink gets another row: sources read no more; any thread */
void job_notify(struct job *job); /* everybody who waits looks again */
/* The simulator's loop: picks tasks, helper work and control by the seed until *done() or the virtual time is over. */
sabot_status job_simulate(struct job *job, bool (*done)(struct job *job, void *arg), void *arg, int64_t until_ns,
                          struct sabot_error *err);

/* --- build.c */
/* Tasks, channels, operators; restored where the options say so. */
sabot_status job_build(struct job *job, struct sabot_error *err);
sabot_status job_parallelism_check(const struct job_vertex *vertex, int32_t max_parallelism, struct sabot_error *err);
void job_tear_down(struct job *job);
/* Of input 0 of an operator; NULL: it has none. */
struct schema *job_graph_input(const struct job_graph *graph, int32_t vertex, int32_t op);
/* control.c */
sabot_status job_coordinator_make(struct job *job, int64_t restored_id, struct sabot_error *err);

#endif
