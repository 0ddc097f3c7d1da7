/* Unnest: a row for each element of an array or map, or a row as many times as a column says (INTERSECT ALL, EXCEPT
 * ALL). Keeps nothing: a changelog of rows is one of their elements. */
#include <stdlib.h>

#include "ops/aggregate/changes.h"
#include "ops/specs.h"

#define ROWS_GIVEN_MAX 8192

struct unnest {
    struct op op;
    struct op_context own;
    const struct unnest_options *options;
    struct batch *batch;       /* at hand */
    int32_t next_row;          /* of its selected rows: this one, */
    int64_t next_element;      /* from this element on, is still to come */
    int32_t *rows, *elements;  /* ROWS_GIVEN_MAX each: where an output row comes from; element -1: none */
    int64_t *ordinals;
    int32_t n;
};

static sabot_status unnest_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    struct unnest *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for UNNEST"); }
    self->op.type = &op_unnest;
    self->own = *context;
    self->options = context->spec->options;
    const sabot_status status = memory_alloc(context->pool, (size_t)ROWS_GIVEN_MAX * 16, (void **)&self->ordinals, err);
    if (status != SABOT_OK) {
        free(self);
        return status;
    }
    self->rows = (int32_t *)(self->ordinals + ROWS_GIVEN_MAX);
    self->elements = self->rows + ROWS_GIVEN_MAX;
    *out = &self->op;
    return SABOT_OK;
}

/* How often a row comes out, not counting that LEFT gives it once at least; where its elements begin. */
static int64_t count_of(const struct unnest *self, int32_t row, int32_t *first) {
    const struct column *column = self->batch->columns[self->options->column];
    const int64_t at = column_at(column, row);
    *first = 0;
    if (column_is_null(column, row)) { return 0; }
    if (self->options->repeats) { return ((const int64_t *)column->values)[at]; }
    const int32_t *offsets = column->values;
    *first = offsets[at];
    return offsets[at + 1] - offsets[at];
}

/* ---- what comes out ---------------------------------------------------------------------------------------------- */

/* The fields of a ROW at elements[]; NULL where there is no element, or it is NULL itself. */
static sabot_status take_fields(struct unnest *self, const struct column *elements, struct column **columns, int32_t *n,
                                struct sabot_error *err) {
    struct column *rows COLUMN_OWNED = NULL;
    SABOT_TRY(column_take(self->own.pool, elements, self->elements, self->n, &rows, err));
    for (int32_t i = 0; i < self->n; i++) {
        if (column_is_null(rows, i)) { self->elements[i] = -1; }
    }
    for (int32_t i = 0; i < elements->n_children; i++) {
        SABOT_TRY(column_take(self->own.pool, elements->children[i], self->elements, self->n, &columns[*n], err));
        ++*n;
    }
    return SABOT_OK;
}

static sabot_status take_ordinals(struct unnest *self, struct column **out, struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, self->n, true, err));
    memcpy(builder.values, self->ordinals, (size_t)self->n * sizeof *self->ordinals);
    for (int32_t i = 0; i < self->n; i++) {
        if (self->ordinals[i] == 0) { column_builder_set_null(&builder, i); }
    }
    const sabot_status status = column_builder_finish(&builder, out, err);
    column_builder_clear(&builder);
    return status;
}

static sabot_status take_columns(struct unnest *self, struct column **columns, int32_t *n, struct sabot_error *err) {
    const struct unnest_options *options = self->options;
    const struct batch *batch = self->batch;
    for (; *n < options->n_passed; ++*n) {
        SABOT_TRY(column_take(self->own.pool, batch->columns[options->passed[*n]], self->rows, self->n, &columns[*n],
                              err));
    }
    if (!options->repeats) {
        const struct column *elements = batch->columns[options->column]->children[0];
        if (options->by_fields) {
            SABOT_TRY(take_fields(self, elements, columns, n, err));
        } else {
            SABOT_TRY(column_take(self->own.pool, elements, self->elements, self->n, &columns[*n], err));
            ++*n;
        }
    }
    if (options->with_ordinality) {
        SABOT_TRY(take_ordinals(self, &columns[*n], err));
        ++*n;
    }
    return SABOT_OK;
}

/* An update of a row is no update of one of its elements: what was there goes, what is there now comes. */
static sabot_status set_kinds(struct unnest *self, struct batch *result, struct sabot_error *err) {
    int32_t *kinds = NULL;
    if (!self->batch->row_kinds) { return SABOT_OK; }
    const size_t size = (size_t)self->n * sizeof *kinds;
    SABOT_TRY(memory_alloc(self->own.pool, size, (void **)&kinds, err));
    for (int32_t i = 0; i < self->n; i++) {
        kinds[i] = row_kind_is_retraction(self->batch->row_kinds[self->rows[i]]) ? ROW_DELETE : ROW_INSERT;
    }
    const sabot_status status = changes_set_kinds(self->own.pool, result, kinds, self->n, err);
    memory_free(self->own.pool, kinds, size);
    return status;
}

static sabot_status give(struct unnest *self, struct op_out *out, struct sabot_error *err) {
    struct schema *schema = self->own.spec->output;
    struct column **columns = calloc((size_t)schema->n_fields + 1, sizeof *columns);
    int32_t n = 0;
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a batch"); }
    sabot_status status = take_columns(self, columns, &n, err);
    BATCH_OWNED struct batch *result = NULL;
    if (status == SABOT_OK) {
        status = batch_new(schema, columns, n, self->n, &result, err);
    } else {
        for (int32_t i = 0; i < n; i++) { column_unref(columns[i]); }
    }
    free(columns);
    if (status != SABOT_OK) { return status; }
    result->created_ns = self->batch->created_ns;
    SABOT_TRY(set_kinds(self, result, err));
    self->n = 0;
    return out_emit(out, batch_ref(result), err);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void add(struct unnest *self, int32_t row, int32_t element, int64_t ordinal) {
    self->rows[self->n] = row;
    self->elements[self->n] = element;
    self->ordinals[self->n++] = ordinal;
}

/* Goes on until the buffer is full or the batch is done. */
static void fill(struct unnest *self) {
    for (; self->next_row < self->batch->selected; self->next_row++, self->next_element = 0) {
        const int32_t row = batch_row(self->batch, self->next_row);
        int32_t first;
        const int64_t count = count_of(self, row, &first);
        if (count <= 0 && self->options->keeps_empty) {
            if (self->n == ROWS_GIVEN_MAX) { return; }
            add(self, row, -1, 0);
        }
        for (; self->next_element < count; self->next_element++) {
            if (self->n == ROWS_GIVEN_MAX) { return; }
            add(self, row, first + (int32_t)self->next_element, self->next_element + 1);
        }
    }
}

static sabot_status unnest_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct unnest *self = (struct unnest *)op;
    while (self->batch) {
        op->busy = out_is_full(out);
        if (op->busy) { return SABOT_OK; }
        fill(self);
        const bool done = self->next_row == self->batch->selected;
        if (self->n) { SABOT_TRY(give(self, out, err)); }
        if (!done) { continue; }
        batch_unref(self->batch);
        self->batch = NULL;
    }
    op->busy = false;
    return SABOT_OK;
}

static sabot_status unnest_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                    struct sabot_error *err) {
    struct unnest *self = (struct unnest *)op;
    (void)input;
    self->batch = batch;
    self->next_row = 0;
    self->next_element = 0;
    self->n = 0;
    return unnest_resume(op, out, err);
}

static void unnest_close(struct op *op) {
    struct unnest *self = (struct unnest *)op;
    batch_unref(self->batch);
    memory_free(self->own.pool, self->ordinals, (size_t)ROWS_GIVEN_MAX * 16);
    free(self);
}

const struct op_type op_unnest = {
    .name = "unnest",
    .summary = "a row for each element of an array",
    .open = unnest_open,
    .on_batch = unnest_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = unnest_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = unnest_close,
};
