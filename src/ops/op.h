/* Operators: what a task chains together. One operator, one file, one line in ops.def.
 *
 * Contract. An operator belongs to one task and is called by one thread at a time. It never blocks. on_batch takes over
 * the batch's reference on every path. Output goes to `out`; out_emit always takes what it is given (what does not fit
 * is queued in the task), but an operator with much to give must look at out_is_full() and stop: it sets op->busy, and
 * the task calls resume() until busy is false again before it gives the operator anything else. The event that made it
 * busy (a watermark, the end) is passed on by the operator when it is done with it.
 * What must survive a crash is in state tables (state/state.h) that open() declares, or in the sink/source positions;
 * nothing else may be kept across before_barrier(), except what can be computed again from them. */
#ifndef OPS_OP_H
#define OPS_OP_H

#include "arrow/batch.h"
#include "base/env.h"
#include "base/metrics.h"
#include "expr/program.h"

struct op;
struct op_out;
struct op_type;
struct state_tables;

#define WATERMARK_NONE INT64_MIN /* no watermark yet */
#define WATERMARK_END INT64_MAX  /* end of input: everything fires */

/* One operator of the physical plan; immutable, shared by all subtasks. */
struct op_spec {
    const struct op_type *type;
    const void *options;    /* the operator's own struct, see its header */
    struct schema *output;  /* schema of what it emits; owned reference */
    const char *uid;        /* stable across versions of the job; state is found by it */
    const char *label;      /* for EXPLAIN and metrics: "WindowAggregate[tumble 10 s]" */
    const char *meaning;    /* what its state depends on besides the columns: "TUMBLE(size 10 s)"; NULL: nothing */
};

struct op_context {
    struct env *env;
    struct memory_pool *pool;      /* the operator's own */
    struct metrics *metrics;       /* the operator's own */
    const struct op_spec *spec;
    struct schema *input;          /* of input 0 */
    int32_t subtask, parallelism, max_parallelism;
    int32_t batch_rows;            /* batches emitted should have about so many rows */
    int64_t latency_target_ns;     /* nothing may be buffered longer */
    int64_t started_ms;            /* wall clock at the job's start, the same for all tasks; 0: take the clock */
    struct store *store;           /* files, local and remote */
    int64_t epoch;                 /* of the job's checkpoint folder (checkpoint/lease.h), and the folder's lineage: */
    uint64_t lineage;              /* what sinks name hidden output by; 0 = no checkpoint folder */
    struct program_context program; /* for expressions */
    struct state_tables *state; /* declares and finds the operator's state tables (restored ones hold rows already) */
    bool bounded;                  /* all sources end: final results only */
    bool checkpoints;              /* barriers come, the last one behind the end: what is written is committed by
                                      on_complete(). Without: by on_end(); only job_stop sends a last barrier then */
    void (*wake)(void *arg);       /* any thread: the task has something to do (sources, sinks) */
    void *wake_arg;
    struct job *job;               /* for side outputs and services; NULL in unit tests */
};

struct op {
    const struct op_type *type;
    bool busy; /* resume() wants to be called */
    bool satisfied; /* whatever else comes, it gives no more rows (LIMIT); for good */
    int64_t wake_at_ms; /* on_time() wants to be called at this processing time (env_wall_ms of context->env); 0: never.
                           Set and changed by the operator in any of its calls; put back to 0 before on_time() */
};

/* Where an operator's output goes; implemented by the task (runtime) and by tests. */
struct op_out {
    sabot_status (*emit)(struct op_out *out, struct batch *batch, struct sabot_error *err); /* takes over the batch */
    sabot_status (*watermark)(struct op_out *out, int64_t watermark_ms, struct sabot_error *err);
    sabot_status (*idle)(struct op_out *out, struct sabot_error *err); /* this path has no rows for now */
    sabot_status (*end)(struct op_out *out, struct sabot_error *err);
    bool (*is_full)(const struct op_out *out);
};
static inline sabot_status out_emit(struct op_out *out, struct batch *batch, struct sabot_error *err) {
    return out->emit(out, batch, err);
}
static inline bool out_is_full(const struct op_out *out) { return out->is_full(out); }

struct op_type {
    const char *name;    /* "filter" */
    const char *summary; /* one line for EXPLAIN's help and the docs */
    sabot_status (*open)(const struct op_context *context, struct op **out, struct sabot_error *err);
    sabot_status (*on_batch)(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                             struct sabot_error *err);
    /* Watermarks of all inputs are combined already; never moves back. */
    sabot_status (*on_watermark)(struct op *op, int64_t watermark_ms, struct op_out *out, struct sabot_error *err);
    sabot_status (*on_idle)(struct op *op, struct op_out *out, struct sabot_error *err);
    /* All inputs have ended (a watermark WATERMARK_END came before). */
    sabot_status (*on_end)(struct op *op, struct op_out *out, struct sabot_error *err);
    /* One of several inputs has come to its end (not: was stopped), which a restored job finds there again: no more
     * rows come from it. Not while it is busy. NULL: it does not care. */
    void (*on_input_end)(struct op *op, int32_t input);
    /* Of several inputs, the one whose rows are wanted next; -1: any. *waits: rather none than another's (an input
     * whose rows wait must not hold up those that are waited for). Not asked while barriers come in. NULL: any. */
    int32_t (*next_input)(const struct op *op, bool *waits);
    /* Goes on with what was interrupted; called while busy and the output is not full. Also called at
     * context.latency_target intervals where wants_ticks is set (then busy need not be set). */
    sabot_status (*resume)(struct op *op, struct op_out *out, struct sabot_error *err);
    /* A barrier is about to pass: emit what is buffered, bring the state tables up to date. Where that can't be done at
     * once (a sink's pre-commit), busy is set, and the barrier waits until resume() has cleared it. */
    sabot_status (*before_barrier)(struct op *op, int64_t checkpoint_id, struct op_out *out, struct sabot_error *err);
    /* The checkpoint is complete: sinks commit. Not called for aborted ones. */
    sabot_status (*on_complete)(struct op *op, int64_t checkpoint_id, struct sabot_error *err);
    /* Whether what on_complete() has begun is done; asked again when woken, meanwhile rows go on. NULL: it is. */
    sabot_status (*completed)(struct op *op, bool *done, struct sabot_error *err);
    void (*close)(struct op *op); /* frees; NULL is not passed */
    /* The processing time now_ms has reached op->wake_at_ms. Not while it is busy, nor without room for output, nor
     * within a barrier, nor behind its end; so it may come late, and never early. An operator that has more timers
     * sets wake_at_ms again. Set where wake_at_ms is. */
    sabot_status (*on_time)(struct op *op, int64_t now_ms, struct op_out *out, struct sabot_error *err);
    bool wants_ticks;
    bool declares_state; /* open() makes memory and declares its tables, nothing else: before a job is restored it is
                            opened once without a job, and its tables are compared with the checkpoint */
    bool ends_for_good; /* what it gives out at the end holds all rows: none that comes in a later life can be added */
    bool stateful; /* has keyed state: its input must come by hash of the key */
    bool key_value_state; /* keeps it in state/kv.h, which may want a folder */
};

const struct op_type *op_find(const char *name); /* NULL: unknown */
const struct op_type *op_at(size_t i);           /* NULL behind the last */

/* The defaults for slots, so that no slot is NULL (op_default.c). */
sabot_status op_default_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out, struct sabot_error *err);
sabot_status op_default_on_idle(struct op *op, struct op_out *out, struct sabot_error *err);
sabot_status op_default_on_end(struct op *op, struct op_out *out, struct sabot_error *err);
sabot_status op_default_resume(struct op *op, struct op_out *out, struct sabot_error *err);
sabot_status op_default_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                       struct sabot_error *err);
sabot_status op_default_on_complete(struct op *op, int64_t checkpoint_id, struct sabot_error *err);

#endif
