/* Unaligned checkpoints of one task (decision 0013): the barrier overtakes the rows in the task's input channels, which
 * become part of the snapshot; and their return when a job is restored. Called by the task, on its worker's thread. */
#ifndef RUNTIME_OVERTAKE_H
#define RUNTIME_OVERTAKE_H

#include "arrow/batch.h"

struct task;
struct restore;

struct overtaken {
    struct batch *batch; /* owned */
    int32_t input;       /* of the task's inputs */
};

struct overtake {
    int64_t id;    /* under way; BARRIER_NONE: none */
    int64_t told;  /* the newest that this task has been told of */
    bool taken;    /* the barrier is through the chain: the operators' state is in task->snapshot */
    bool *closed;  /* per input: where its rows end is known */
    int32_t n_closed;
    struct overtaken *items;
    int32_t n_items, capacity;
    /* rows of a restored snapshot, still to be given to the chain */
    struct overtaken *restored;
    int32_t n_restored, next_restored;
};

sabot_status overtake_init(struct task *task, struct sabot_error *err);
void overtake_clear(struct task *task);
/* The coordinator has said that barriers overtake: begins, or announces a barrier that has gone out already. */
sabot_status overtake_begin(struct task *task, int64_t checkpoint_id, int64_t timestamp_ms, struct sabot_error *err);
/* The barrier is through the chain, behind everything that was given out; task->snapshot waits for the rows. */
sabot_status overtake_snapshot(struct task *task, struct sabot_error *err);
/* Looks where the rows of inputs end; when all are known they are added to the snapshot. */
sabot_status overtake_go_on(struct task *task, struct sabot_error *err);
/* An item that was taken from an input whose end is not known yet. */
sabot_status overtake_record(struct task *task, int32_t input, struct batch *batch, struct sabot_error *err);
/* A barrier came in band. */
void overtake_barrier(struct task *task, int32_t input, int64_t checkpoint_id);
void overtake_abort(struct task *task);

/* Before the first step. */
sabot_status overtake_restore(struct task *task, struct restore *restore, struct sabot_error *err);

#endif
