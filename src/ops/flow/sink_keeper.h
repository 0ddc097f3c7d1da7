/* What a sink keeps until it is committed (connector.h): a log in the sink's state, so that it is in checkpoints as it
 * grows, and on disk where it is much. A restore gives what a subtask kept to the one that may have to send it: that
 * with its number, modulo the parallelism (epochs.c). */
#ifndef OPS_FLOW_SINK_KEEPER_H
#define OPS_FLOW_SINK_KEEPER_H

#include "connect/connector.h"
#include "ops/op.h"
#include "state/state.h"

struct sink_keeper {
    struct keeper keeper; /* first */
    struct state_table *rows;
    struct schema *schema;
    struct memory_pool *pool;
    int32_t subtask;
    int64_t *restored; /* keys */
    int32_t n_restored;
};

/* Safe to clear where this fails. */
sabot_status sink_keeper_open(struct sink_keeper *self, const struct op_context *context, struct sabot_error *err);
/* The sink has taken what is its own of what was restored. */
void sink_keeper_restored(struct sink_keeper *self);
void sink_keeper_clear(struct sink_keeper *self);

#endif
