/* Arrival: puts the wall clock into a column and makes it the watermark of what follows.
 *
 * Windows over processing time are windows over event time behind this operator: its rows carry the time at which they
 * came, no later row carries an earlier one, and the watermark follows the clock without any rows. So they share
 * slices, local aggregation, restore and rescaling with all others. The watermark of the input is not passed on; its
 * end is: windows that are open at the end of bounded input are given out.
 *
 * State: the list "clock", the time given last, so that a restored job whose machine's clock is behind goes on from
 * there; else its rows would be late for windows that have fired. */
#include <stdlib.h>

#include "ops/specs.h"

struct arrival {
    struct op op;
    struct op_context own;
    int32_t column;
    struct schema *clock_schema;
    struct state_table *clock;
    int64_t now_ms;       /* never goes back; WATERMARK_NONE: not read yet */
    int64_t watermark_ms; /* given out last */
};

static void arrival_close(struct op *op) {
    struct arrival *self = (struct arrival *)op;
    schema_unref(self->clock_schema);
    free(self);
}

static sabot_status open_clock(struct arrival *self, struct sabot_error *err) {
    const struct field field = {"time", type_not_null(type_of(TYPE_INT64))};
    SABOT_TRY(schema_new(&field, 1, &self->clock_schema, err));
    const struct state_spec spec = {.name = "clock", .kind = STATE_LIST, .schema = self->clock_schema};
    SABOT_TRY(state_table_open(self->own.state, &spec, &self->clock, err));
    const struct batch *rows = state_list_rows(self->clock);
    for (int32_t i = 0; rows && i < rows->selected; i++) { /* of all subtasks: keys may have moved */
        const struct column *column = rows->columns[0];
        const int64_t time = ((const int64_t *)column->values)[column_at(column, batch_row(rows, i))];
        self->now_ms = time > self->now_ms ? time : self->now_ms;
    }
    return SABOT_OK;
}

static sabot_status arrival_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct arrival_options *options = context->spec->options;
    struct arrival *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for processing time"); }
    self->op.type = &op_arrival;
    self->own = *context;
    self->column = options->column;
    self->now_ms = self->watermark_ms = WATERMARK_NONE;
    const sabot_status status = open_clock(self, err);
    if (status != SABOT_OK) {
        arrival_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

static void read_clock(struct arrival *self) {
    const int64_t now_ms = env_wall_ms(self->own.env);
    self->now_ms = now_ms > self->now_ms ? now_ms : self->now_ms;
}

/* Rows of this millisecond may still come. */
static sabot_status give_watermark(struct arrival *self, struct op_out *out, struct sabot_error *err) {
    if (self->now_ms - 1 <= self->watermark_ms) { return SABOT_OK; }
    self->watermark_ms = self->now_ms - 1;
    return out->watermark(out, self->watermark_ms, err);
}

static sabot_status arrival_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                     struct sabot_error *err) {
    (void)input;
    struct arrival *self = (struct arrival *)op;
    BATCH_OWNED struct batch *batch = taken;
    const struct schema *schema = self->own.spec->output;
    const int32_t n = schema->n_fields;
    struct column **columns = malloc((size_t)n * sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for %d columns", n); }
    read_clock(self);
    const int64_t time = self->now_ms * timestamp_units_per_ms_num(schema->fields[self->column].type);
    sabot_status status =
        column_constant(self->own.pool, PHYS_I64, &time, batch->rows, &columns[self->column], err);
    struct batch *stamped = NULL;
    if (status == SABOT_OK) {
        for (int32_t i = 0; i < n; i++) {
            if (i != self->column) { columns[i] = column_ref(batch->columns[i]); }
        }
        status = batch_with_columns(batch, self->own.spec->output, columns, n, &stamped, err);
    }
    free(columns);
    SABOT_TRY(status);
    SABOT_TRY(out_emit(out, stamped, err));
    return give_watermark(self, out, err);
}

static sabot_status arrival_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                         struct sabot_error *err) {
    (void)op;
    return watermark_ms == WATERMARK_END ? out->watermark(out, watermark_ms, err) : SABOT_OK;
}

/* The clock goes on without rows. */
static sabot_status arrival_on_idle(struct op *op, struct op_out *out, struct sabot_error *err) {
    (void)op;
    (void)out;
    (void)err;
    return SABOT_OK;
}

static sabot_status arrival_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct arrival *self = (struct arrival *)op;
    read_clock(self);
    return give_watermark(self, out, err);
}

static sabot_status arrival_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                           struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct arrival *self = (struct arrival *)op;
    struct column *column;
    SABOT_TRY(column_constant(self->own.pool, PHYS_I64, &self->now_ms, 1, &column, err));
    struct batch *row;
    SABOT_TRY(batch_new(self->clock_schema, &column, 1, 1, &row, err));
    return state_list_replace(self->clock, row, err);
}

const struct op_type op_arrival = {
    .name = "arrival",
    .summary = "take the clock as the time of rows",
    .open = arrival_open,
    .on_batch = arrival_on_batch,
    .on_watermark = arrival_on_watermark,
    .on_idle = arrival_on_idle,
    .on_end = op_default_on_end,
    .resume = arrival_resume,
    .before_barrier = arrival_before_barrier,
    .on_complete = op_default_on_complete,
    .close = arrival_close,
    .wants_ticks = true,
    .declares_state = true,
};
