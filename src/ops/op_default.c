/* What an operator does with an event that it does not care about: pass it on. And what those with a connector tell it.
 */
#include "ops/specs.h"

sabot_status op_default_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out, struct sabot_error *err) {
    (void)op;
    return out->watermark(out, watermark_ms, err);
}

sabot_status op_default_on_idle(struct op *op, struct op_out *out, struct sabot_error *err) {
    (void)op;
    return out->idle(out, err);
}

sabot_status op_default_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    (void)op;
    return out->end(out, err);
}

sabot_status op_default_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    (void)out;
    (void)err;
    op->busy = false;
    return SABOT_OK;
}

sabot_status op_default_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                       struct sabot_error *err) {
    (void)op;
    (void)checkpoint_id;
    (void)out;
    (void)err;
    return SABOT_OK;
}

sabot_status op_default_on_complete(struct op *op, int64_t checkpoint_id, struct sabot_error *err) {
    (void)op;
    (void)checkpoint_id;
    (void)err;
    return SABOT_OK;
}

struct connector_context op_connector_context(const struct op_context *context, const struct connector_table *table) {
    return (struct connector_context){
        .env = context->env,
        .store = context->store,
        .epoch = context->epoch,
        .lineage = context->lineage,
        .uid = context->spec->uid,
        .pool = context->pool,
        .metrics = context->metrics,
        .table = table,
        .subtask = context->subtask,
        .parallelism = context->parallelism,
        .batch_rows = context->batch_rows,
        .latency_target_ns = context->latency_target_ns,
        .started_ms = context->started_ms,
        .wake = context->wake,
        .wake_arg = context->wake_arg,
    };
}
