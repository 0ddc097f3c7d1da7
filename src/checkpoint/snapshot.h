/* The snapshot of one task at a barrier, taken while the task goes on (decision 0010): the state tables are frozen,
 * then copied some thousand slots at a time between batches; helpers write the chunks. And the chains of files that its
 * tables have from earlier checkpoints. All calls are the task's own thread's. */
#ifndef CHECKPOINT_SNAPSHOT_H
#define CHECKPOINT_SNAPSHOT_H

#include "checkpoint/coordinator.h"

struct snapshot_chains; /* of the tables of one operator instance */
void snapshot_chains_free(struct snapshot_chains *chains); /* NULL is allowed */

struct snapshot_op {
    const char *uid, *meaning; /* borrowed from the plan */
    int32_t subtask, parallelism;
    bool ended;
    struct state_tables *tables;
    struct snapshot_chains **chains; /* made when first needed */
};
struct snapshot_options {
    struct env *env;
    struct memory_pool *pool;
    struct coordinator *coordinator;
    int32_t task;
    int64_t checkpoint_id;
    void (*wake)(void *arg); /* any thread: step() has something to do */
    void *wake_arg;
    int32_t step_slots;      /* looked at between two batches; 0: a number that takes little time */
    int32_t n_extra;         /* task_snapshot_add is called so many times at most */
    bool waits;              /* not acknowledged before task_snapshot_release */
};

struct task_snapshot;
/* The freeze mark. *out: NULL where the coordinator wants no state (it is acknowledged then). */
sabot_status task_snapshot_begin(const struct snapshot_options *options, const struct snapshot_op *ops, int32_t n_ops,
                                 struct task_snapshot **out, struct sabot_error *err);
/* A bounded piece of work. *more: there is another at once. Frees the snapshot and sets it to NULL when all files are
 * written and the coordinator was told. A failure is the checkpoint's, not the task's. */
void task_snapshot_step(struct task_snapshot **snapshot, bool *more);
/* Rows (a list, taken over) beside the tables of ops[op]; those of a checkpoint that overtook them. */
sabot_status task_snapshot_add(struct task_snapshot *snapshot, int32_t op, const char *state, struct schema *schema,
                               struct batch *rows, struct sabot_error *err);
void task_snapshot_release(struct task_snapshot *snapshot);
/* Helpers can't follow: the task must take no input for now. */
bool task_snapshot_is_full(const struct task_snapshot *snapshot);
void task_snapshot_cancel(struct task_snapshot *snapshot); /* NULL is allowed */

#endif
