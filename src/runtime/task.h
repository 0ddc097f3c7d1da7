/* A task: one subtask of a vertex. It drives its chain of operators from its channels, or, where the chain begins
 * with a source, from the source; one worker runs it, one step at a time.
 *
 * Order within a step: what waits for room, operators that are busy, a barrier on its way through the chain, and
 * only then new input. So an operator never gets anything while it is busy, and a barrier never overtakes a row. */
#ifndef RUNTIME_TASK_H
#define RUNTIME_TASK_H

#include "checkpoint/barrier.h"
#include "checkpoint/snapshot.h"
#include "ops/op.h"
#include "runtime/exchange.h"
#include "runtime/job.h"
#include "runtime/overtake.h"
#include "state/state.h"
#include "time/watermark_combine.h"

struct task;
struct source_op;

/* An operator in its place in the chain; as an op_out it is where the operator's output goes. */
struct chain_op {
    struct op_out out;
    struct task *task;
    int32_t index;
    struct op *op;
    const struct op_spec *spec;
    struct op_context context;
    struct metrics metrics;
    struct memory_pool *pool; /* of the job's pools */
    struct state_tables *state;
    struct snapshot_chains *chains; /* files that earlier checkpoints have of it */
    struct item_queue waiting; /* for this operator, while it is busy */
    bool ended;                /* its `end` has gone out */
    bool end_done_before;      /* restored from a checkpoint behind its end: gives out nothing more */
};

struct task_input {
    struct channel *channel; /* borrowed from the job */
    const struct task *from;
    int32_t input;
    int32_t edge; /* of the vertex's */
    bool ended;
};

struct task {
    struct job *job;
    const struct job_vertex *vertex;
    int32_t vertex_index, subtask;
    int32_t index;  /* among the job's tasks */
    int32_t worker; /* who runs it */
    int32_t slot;   /* its bit in the worker's ready set */

    struct chain_op *ops;
    int32_t n_ops;
    struct exchange_out *outs;
    int32_t n_outs;
    struct task_input *inputs;
    int32_t n_inputs;
    int32_t next_input, n_inputs_ended;

    struct watermark_combine combine;
    struct barrier_aligner aligner;
    bool is_source, stopped;
    bool end_reached;   /* all inputs ended, or the source did: told to the chain */
    bool satisfied;     /* ends in a sink that gets no more rows, and has said so */
    bool end_reported;  /* it has gone through the whole chain */

    /* the barrier on its way through the chain */
    int64_t barrier_id; /* BARRIER_NONE: none */
    int64_t barrier_timestamp_ms;
    int32_t barrier_at;
    bool barrier_entered; /* before_barrier of ops[barrier_at] was called */

    int64_t barrier_passed; /* the last one that went out */
    struct overtake overtake;
    struct task_snapshot *snapshot; /* behind the last barrier: its state is still being copied or written */

    int64_t completed_id; /* the last one that on_complete was called for */
    bool commit_pending;  /* on_complete was called; an operator may still be busy with it */

    int64_t given; /* events given out by any operator: tells a busy one that goes on from one that waits */
    int64_t held_watermark_ms, watermark_sent_ns; /* sources, where watermarks have an interval */

    int64_t wake_at_ns; /* step again then; INT64_MAX: only when woken */
    int64_t tick_at_ns;
    bool has_ticks;
    int64_t blocked_since_ns; /* INT64_MIN: the output has room */
    int64_t timed_at_ns;      /* busy_ns accounting: when the running operator began */
    int32_t timed_op;         /* -1: none */
    int32_t failed_op;        /* whose call failed first; -1: none */

    /* written by others; the task looks at them in each step */
    _Atomic int64_t barrier_wanted;  /* sources: put this barrier in */
    _Atomic int64_t barrier_wanted_timestamp_ms;
    _Atomic int64_t overtake_wanted; /* barriers of this checkpoint overtake rows */
    _Atomic int64_t barrier_aborted; /* this checkpoint and older ones will not complete */
    _Atomic int64_t complete_wanted; /* this checkpoint is complete */
    _Atomic bool stop_wanted;        /* sources: read no more */
    _Atomic bool explain_wanted;     /* sources: describe what holds the watermark */

    /* written by the task for whoever explains a stall */
    _Atomic int64_t watermark_ms, watermark_since_ns;
    _Atomic bool is_idle, has_ended;
    _Atomic int64_t align_ms; /* sources, where they are aligned: source_watermark_ms */
    _Atomic int64_t barriers_ignored;
};

struct task_step {
    int64_t now_ns;
    int64_t until_ns; /* end of the time slice */
    int32_t items;    /* at most so many items or resumes; bounds a step where time stands still */
};

/* Runs the task for a while. *more: it could go on at once; otherwise it waits to be woken, or for task->wake_at_ns. */
sabot_status task_step(struct task *task, const struct task_step *step, bool *more, struct sabot_error *err);
/* Prepares the chain's links, before the operators are opened. */
void task_link(struct task *task);
/* "vertex[subtask] label" of the operator that failed, for error messages. */
void task_place(const struct task *task, char *target, size_t size);

#endif
