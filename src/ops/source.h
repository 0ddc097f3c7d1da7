/* What a task needs to know of operators that begin a chain (op_source, op_values): they have no input, so the task
 * drives them itself.
 *
 * The task calls resume() whenever it is runnable, the output is not full and the operator is neither stopped nor
 * ended. One resume() reads at most a few batches. Afterwards op.busy    there is more to read at once: stay runnable;
 *   ended      the input is read: WATERMARK_END and `end` have gone out; never resumed again;
 *   otherwise  wait for context.wake or until wake_at_ns, whichever comes first.
 * A barrier may be put between any two calls (before_barrier writes the positions). All functions are for the task's
 * own thread. */
#ifndef OPS_SOURCE_H
#define OPS_SOURCE_H

#include "base/text.h"
#include "ops/op.h"

/* Every operator of a vertex without inputs begins with this. */
struct source_op {
    struct op op;
    int64_t wake_at_ns; /* env_now_ns; INT64_MAX = only when woken */
    bool stopped;       /* set by source_stop */
    bool drains;        /* set by source_drain */
    bool ended;         /* everything was read and `end` has gone out */
    void (*explain_stall)(const struct source_op *source, struct text *target); /* NULL: never holds the watermark */
};
static inline struct source_op *source_op_of(struct op *op) { return (struct source_op *)op; }

/* Reads no more: the job stops. No WATERMARK_END goes out (open windows stay open for the next run), nor `end`: that
 * the task passes on to the chain itself, behind the last barrier. */
static inline void source_stop(struct op *op) {
    source_op_of(op)->stopped = true;
    op->busy = false;
}

/* Reads no more, as if the input had come to its end: WATERMARK_END and `end` go out. */
static inline void source_drain(struct op *op) {
    source_op_of(op)->drains = true;
    op->busy = !source_op_of(op)->ended;
}

/* --- op_source only: watermark alignment across subtasks. The runtime collects source_watermark_ms() of all subtasks
 * that align and gives back the least plus the drift; INT64_MAX = free. Without calls each subtask aligns its own
 * splits. */
int64_t source_watermark_ms(
    const struct op *op); /* WATERMARK_NONE: none yet; INT64_MAX: idle, ended or without splits */
void source_align(struct op *op, int64_t limit_ms);

/* What reads a table names it in its errors, unless the connector has done so. */
void source_error_context(struct sabot_error *err, const char *table);

#endif
