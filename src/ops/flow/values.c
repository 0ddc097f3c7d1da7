/* Values: a source of literal rows. Subtask 0 gives them out, once: that it has done so is state. */
#include <stdlib.h>

#include "ops/source.h"
#include "ops/specs.h"

struct values {
    struct source_op source;
    struct memory_pool *pool;
    struct schema *schema;       /* of what it emits */
    struct schema *state_schema;
    struct state_table *progress;
    const struct values_options *options;
    struct program_context program;
    struct env *env;
    bool given;
};

static void values_close(struct op *op) {
    struct values *values = (struct values *)op;
    schema_unref(values->schema);
    schema_unref(values->state_schema);
    free(values);
}

static sabot_status values_prepare(struct values *values, const struct op_context *context, struct sabot_error *err) {
    const struct field field = {"given", type_not_null(type_of(TYPE_BOOL))};
    SABOT_TRY(schema_new(&field, 1, &values->state_schema, err));
    const struct state_spec spec = {.name = "progress", .kind = STATE_LIST, .schema = values->state_schema};
    SABOT_TRY(state_table_open(context->state, &spec, &values->progress, err));
    values->given = context->subtask != 0 || state_list_rows(values->progress) != NULL;
    return SABOT_OK;
}

static sabot_status values_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct values *values = calloc(1, sizeof *values);
    if (!values) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for VALUES"); }
    values->source.op = (struct op){.type = &op_values, .busy = true};
    values->source.wake_at_ns = INT64_MAX;
    values->pool = context->pool;
    values->schema = schema_ref(context->spec->output);
    values->options = context->spec->options;
    values->program = context->program;
    values->env = context->env;
    const sabot_status status = values_prepare(values, context, err);
    if (status != SABOT_OK) {
        values_close(&values->source.op);
        return status;
    }
    *out = &values->source.op;
    return SABOT_OK;
}

/* One row: its cells are expressions without columns, evaluated over a row without any. */
static sabot_status values_row(struct values *values, int32_t row, struct batch **out, struct sabot_error *err) {
    const int32_t n = values->options->n_columns;
    BATCH_OWNED struct batch *empty = NULL;
    struct schema *no_columns;
    SABOT_TRY(schema_new(NULL, 0, &no_columns, err));
    const sabot_status made = batch_new(no_columns, NULL, 0, 1, &empty, err);
    schema_unref(no_columns);
    if (made != SABOT_OK) { return made; }

    struct program *program;
    struct column **columns = calloc((size_t)n + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for VALUES"); }
    sabot_status status =
        program_compile((const struct expr *const *)values->options->cells + (size_t)row * (size_t)n, n,
                        &values->program, &program, err);
    if (status == SABOT_OK) {
        status = program_eval(program, empty, columns, err);
        program_free(program);
    }
    if (status == SABOT_OK) { status = batch_new(values->schema, columns, n, 1, out, err); }
    free(columns);
    return status;
}

static sabot_status values_give(struct values *values, struct op_out *out, struct sabot_error *err) {
    const int32_t n = values->options->n_rows;
    struct batch **rows = calloc((size_t)n + 1, sizeof *rows);
    if (!rows) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for VALUES"); }
    struct batch *all = NULL;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) { status = values_row(values, i, &rows[i], err); }
    if (status == SABOT_OK && n) { status = batch_concat(values->pool, rows, n, &all, err); }
    for (int32_t i = 0; i < n; i++) { batch_unref(rows[i]); }
    free(rows);
    if (status != SABOT_OK || !all) { return status; }
    all->created_ns = env_now_ns(values->env);
    return out_emit(out, all, err);
}

static sabot_status values_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct values *values = (struct values *)op;
    op->busy = false;
    if (values->source.stopped || values->source.ended) { return SABOT_OK; }
    if (!values->given) {
        values->given = true;
        SABOT_TRY(values_give(values, out, err));
    }
    values->source.ended = true;
    SABOT_TRY(out->watermark(out, WATERMARK_END, err));
    return out->end(out, err);
}

static sabot_status values_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                    struct sabot_error *err) {
    (void)op;
    (void)out;
    batch_unref(batch);
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "VALUES was given a batch on input %d, it has none", input);
}

static sabot_status values_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                          struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct values *values = (struct values *)op;
    if (!values->given) { return SABOT_OK; }
    struct column *column;
    SABOT_TRY(column_constant(values->pool, PHYS_BOOL, &(uint8_t){1}, 1, &column, err));
    struct batch *row;
    SABOT_TRY(batch_new(values->state_schema, &column, 1, 1, &row, err));
    return state_list_replace(values->progress, row, err);
}

const struct op_type op_values = {
    .name = "values",
    .summary = "give out literal rows",
    .open = values_open,
    .on_batch = values_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = values_resume,
    .before_barrier = values_before_barrier,
    .on_complete = op_default_on_complete,
    .close = values_close,
    .declares_state = true,
};
