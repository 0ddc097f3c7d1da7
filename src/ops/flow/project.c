/* Project: computes the output columns. A column that is only passed on costs a reference. */
#include <stdlib.h>

#include "ops/specs.h"

struct project {
    struct op op;
    struct program *program;
    struct schema *schema;
    int32_t n;
    struct column *columns[];
};

static sabot_status project_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct project_options *options = context->spec->options;
    struct project *project = calloc(1, sizeof *project + (size_t)options->n_exprs * sizeof(struct column *));
    if (!project) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a projection"); }
    project->op.type = &op_project;
    project->n = options->n_exprs;
    const sabot_status status = program_compile((const struct expr *const *)options->exprs, options->n_exprs,
                                                &context->program, &project->program, err);
    if (status != SABOT_OK) {
        free(project);
        return status;
    }
    project->schema = schema_ref(context->spec->output);
    *out = &project->op;
    return SABOT_OK;
}

static sabot_status project_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                     struct sabot_error *err) {
    (void)input;
    BATCH_OWNED struct batch *batch = taken;
    struct project *project = (struct project *)op;
    SABOT_TRY(program_eval(project->program, batch, project->columns, err));
    struct batch *result;
    SABOT_TRY(batch_with_columns(batch, project->schema, project->columns, project->n, &result, err));
    return out_emit(out, result, err);
}

/* CURRENT_WATERMARK and the like are the program's own: it reads its context. */
static void project_close(struct op *op) {
    struct project *project = (struct project *)op;
    program_free(project->program);
    schema_unref(project->schema);
    free(project);
}

const struct op_type op_project = {
    .name = "project",
    .summary = "compute the output columns",
    .open = project_open,
    .on_batch = project_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = project_close,
};
