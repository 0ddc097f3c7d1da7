/* Filter: keeps the rows for which a condition is true. Rows are marked in the selection, not copied. */
#include <stdlib.h>

#include "ops/specs.h"

struct filter {
    struct op op;
    struct program *program;
};

static sabot_status filter_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct filter_options *options = context->spec->options;
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a filter"); }
    filter->op.type = &op_filter;
    const struct expr *condition = options->condition;
    const sabot_status status = program_compile(&condition, 1, &context->program, &filter->program, err);
    if (status != SABOT_OK) {
        free(filter);
        return status;
    }
    *out = &filter->op;
    return SABOT_OK;
}

static sabot_status filter_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    struct filter *filter = (struct filter *)op;
    struct batch *kept;
    SABOT_TRY(program_filter(filter->program, batch, &kept, err));
    return kept ? out_emit(out, kept, err) : SABOT_OK;
}

static void filter_close(struct op *op) {
    struct filter *filter = (struct filter *)op;
    program_free(filter->program);
    free(filter);
}

const struct op_type op_filter = {
    .name = "filter",
    .summary = "keep the rows for which a condition is true",
    .open = filter_open,
    .on_batch = filter_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = filter_close,
};
