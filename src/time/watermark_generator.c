/* WATERMARK FOR ts AS <expression>: from the rows of a batch to a watermark. */
#include "expr/function.h"
#include "time/watermark.h"

/* `ts - INTERVAL` with a day-time interval: how many ms, else -1. */
static int64_t delay_of(const struct expr *expression) {
    if (expression->kind != EXPR_CALL || expression->n_args != 2 || !expression->function ||
        strcmp(expression->function->name, "-") != 0) {
        return -1;
    }
    const struct expr *column = expression->args[0], *delay = expression->args[1];
    if (column->kind != EXPR_COLUMN || delay->kind != EXPR_LITERAL || !delay->value ||
        delay->type.kind != TYPE_INTERVAL_DAY || column->type.kind != expression->type.kind ||
        column->type.precision != expression->type.precision) {
        return -1;
    }
    const int64_t ms = *(const int64_t *)delay->value;
    return ms > INT64_MAX / 1000000 ? -1 : ms;
}

sabot_status watermark_generator_init(struct watermark_generator *generator, const struct expr *expression,
                                      const struct program_context *context, struct sabot_error *err) {
    *generator = (struct watermark_generator){.column = -1,
                                              .units_per_ms = timestamp_units_per_ms_num(expression->type)};
    if (expression->type.kind != TYPE_TIMESTAMP && expression->type.kind != TYPE_TIMESTAMP_LTZ) {
        char type[128];
        type_print(expression->type, type, sizeof type);
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "a watermark must be TIMESTAMP or TIMESTAMP_LTZ, this one is %s: cast it", type);
    }
    if (expression->kind == EXPR_COLUMN) {
        generator->column = expression->index;
        return SABOT_OK;
    }
    const int64_t delay_ms = delay_of(expression);
    if (delay_ms >= 0) {
        generator->column = expression->args[0]->index;
        generator->delay = delay_ms * generator->units_per_ms;
        return SABOT_OK;
    }
    return program_compile(&expression, 1, context, &generator->program, err);
}

void watermark_generator_clear(struct watermark_generator *generator) {
    if (generator->program) { program_free(generator->program); }
    *generator = (struct watermark_generator){.column = -1};
}

sabot_status watermark_generate(struct watermark_generator *generator, const struct batch *batch, int64_t *watermark_ms,
                                struct sabot_error *err) {
    *watermark_ms = WATERMARK_NONE;
    if (batch->selected == 0) { return SABOT_OK; }
    COLUMN_OWNED struct column *column = NULL;
    if (generator->column >= 0) {
        column = column_ref(batch->columns[generator->column]);
    } else {
        SABOT_TRY(program_eval(generator->program, batch, &column, err));
    }
    int64_t min, max, watermark;
    if (!time_column_range(column, batch->selection, batch->selected, &min, &max)) { return SABOT_OK; }
    if (__builtin_sub_overflow(max, generator->delay, &watermark)) { return SABOT_OK; }
    *watermark_ms = watermark_to_ms(watermark, generator->units_per_ms);
    /* A time at the very end of the range is a time, not the end of the input. */
    if (*watermark_ms == WATERMARK_END) { *watermark_ms = WATERMARK_END - 1; }
    return SABOT_OK;
}
