/* What an operator does with an event that it does not care about: pass it on. */
#include "ops/op.h"

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
