/* Lookup join: rows meet the rows of a bounded table that was read whole before the first of them.
 *
 * Every subtask reads the table for itself, so that rows need no exchange and the operator has no state: after a
 * restore it reads again. While it reads, the operator is busy and its input waits. With an interval, a batch that
 * finds the table older than that waits for a new reading.
 *
 * Where no key stands twice and nothing but the keys is compared, no column of the input is copied: the table's columns
 * are put beside them, and rows without a match are taken out by a selection. Else candidates (row, slot) are collected
 * in blocks, and the condition is evaluated over a block at once. */
#include <stdlib.h>
#include <string.h>

#include "ops/lookup/lookup_table.h"
#include "ops/source.h"

#define SLOT_END (-1)     /* behind the last candidate of a row: LEFT gives it out if there was no match */
#define CURSOR_FRESH (-2) /* the next row's chain is not begun */
#define SPARSE 4          /* taking for all physical rows pays where at least one in so many is selected */

struct lookup {
    struct op op;
    struct op_context own;
    const struct lookup_options *options;
    struct lookup_table table;
    int64_t read_ns; /* when the reading of the table began */
    struct schema *pair;
    struct program *condition;
    bool *condition_reads; /* columns of pair */
    struct column **columns;
    /* the batch on its way through the table */
    struct batch *batch; /* NULL = none */
    int32_t *rows, *heads, *slots; /* heads: by position in rows; slots: by physical row */
    bool *matched;
    int32_t capacity;
    int32_t row, cursor;
    /* a block of candidates */
    int32_t block;
    int32_t *event_rows, *event_slots, *out_rows, *out_slots;
    bool *passes;
};

static void lookup_close(struct op *op) {
    struct lookup *self = (struct lookup *)op;
    if (self->table.options) { lookup_table_clear(&self->table); }
    batch_unref(self->batch);
    schema_unref(self->pair);
    program_free(self->condition);
    free(self->condition_reads);
    free(self->columns);
    free(self->rows);
    free(self->matched);
    free(self->event_rows);
    free(self->passes);
    free(self);
}

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a lookup join");
}

/* ---- open -------------------------------------------------------------------------------------------------------- */

static sabot_status open_condition(struct lookup *self, struct sabot_error *err) {
    const struct schema *left = self->own.input, *right = self->options->right;
    const int32_t n = left->n_fields + right->n_fields;
    if (!self->options->condition) { return SABOT_OK; }
    struct field *fields = calloc((size_t)n + 1, sizeof *fields);
    self->condition_reads = calloc((size_t)n + 1, sizeof *self->condition_reads);
    if (!fields || !self->condition_reads) {
        free(fields);
        return no_memory(err);
    }
    for (int32_t i = 0; i < n; i++) {
        fields[i] = i < left->n_fields ? left->fields[i] : right->fields[i - left->n_fields];
    }
    const sabot_status status = schema_new(fields, n, &self->pair, err);
    free(fields);
    SABOT_TRY(status);
    const struct expr *condition = self->options->condition;
    expr_columns(condition, self->condition_reads, n);
    return program_compile(&condition, 1, &self->own.program, &self->condition, err);
}

static sabot_status open_parts(struct lookup *self, struct sabot_error *err) {
    self->block = self->own.batch_rows > BATCH_ROWS_MAX ? BATCH_ROWS_MAX : self->own.batch_rows;
    const size_t n = (size_t)self->block + 1;
    self->event_rows = calloc(n * 4, sizeof *self->event_rows);
    self->passes = calloc(n, sizeof *self->passes);
    self->columns = calloc((size_t)(self->own.input->n_fields + self->options->right->n_fields) + 1,
                           sizeof *self->columns);
    if (!self->event_rows || !self->passes || !self->columns) { return no_memory(err); }
    self->event_slots = self->event_rows + n;
    self->out_rows = self->event_slots + n;
    self->out_slots = self->out_rows + n;
    SABOT_TRY(open_condition(self, err));
    self->read_ns = env_now_ns(self->own.env);
    return lookup_table_open(&self->table, &self->own, self->options, err);
}

static sabot_status lookup_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct lookup *self = calloc(1, sizeof *self);
    if (!self) { return no_memory(err); }
    self->op = (struct op){.type = &op_lookup, .busy = true}; /* it reads */
    self->own = *context;
    self->options = context->spec->options;
    const sabot_status status = open_parts(self, err);
    if (status != SABOT_OK) {
        source_error_context(err, self->options->table->table->name);
        lookup_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

static void drop_columns(struct column **columns, int32_t n) {
    while (n > 0) { column_unref(columns[--n]); }
}

static sabot_status take_right(struct lookup *self, const int32_t *slots, int32_t n, struct column **columns,
                               struct sabot_error *err) {
    for (int32_t c = 0; c < self->options->right->n_fields; c++) {
        const sabot_status status =
            multimap_take(self->table.map, self->table.places[c], slots, n, &columns[c], err);
        if (status != SABOT_OK) {
            drop_columns(columns, c);
            return status;
        }
    }
    return SABOT_OK;
}

/* The rows of the batch that are marked in slots (those without a match too for LEFT). */
static sabot_status select_matched(struct lookup *self, struct batch **batch, struct sabot_error *err) {
    struct buffer *selection = NULL;
    SABOT_TRY(buffer_new(self->own.pool, (size_t)(*batch)->selected * sizeof(int32_t), &selection, err));
    int32_t *list = (int32_t *)(void *)selection->data, n = 0;
    for (int32_t i = 0; i < (*batch)->selected; i++) {
        list[n] = self->rows[i];
        n += self->heads[i] >= 0;
    }
    struct batch *from = *batch;
    const sabot_status status = batch_with_selection(from, selection, n, batch, err);
    batch_unref(from);
    if (status != SABOT_OK) { *batch = NULL; }
    return status;
}

/* At most one match per row: the table's columns beside those of the batch. */
static sabot_status give_beside(struct lookup *self, struct op_out *out, struct sabot_error *err) {
    BATCH_OWNED struct batch *batch = self->batch;
    self->batch = NULL;
    int32_t n_matched = 0;
    for (int32_t row = 0; batch->selection && row < batch->rows; row++) { self->slots[row] = -1; }
    for (int32_t i = 0; i < batch->selected; i++) {
        self->slots[self->rows[i]] = self->heads[i];
        n_matched += self->heads[i] >= 0;
    }
    if (n_matched == 0 && !self->options->keeps_left) { return SABOT_OK; }
    const int32_t n_left = batch->n_columns;
    SABOT_TRY(take_right(self, self->slots, batch->rows, self->columns + n_left, err));
    for (int32_t c = 0; c < n_left; c++) { self->columns[c] = column_ref(batch->columns[c]); }
    struct batch *joined = NULL;
    SABOT_TRY(batch_with_columns(batch, self->own.spec->output, self->columns,
                                 n_left + self->options->right->n_fields, &joined, err));
    if (n_matched < batch->selected && !self->options->keeps_left) { SABOT_TRY(select_matched(self, &joined, err)); }
    return out_emit(out, joined, err);
}

static sabot_status give_pairs(struct lookup *self, int32_t n, struct op_out *out, struct sabot_error *err) {
    const struct batch *batch = self->batch;
    if (n == 0) { return SABOT_OK; }
    for (int32_t c = 0; c < batch->n_columns; c++) {
        const sabot_status status =
            column_take(self->own.pool, batch->columns[c], self->out_rows, n, &self->columns[c], err);
        if (status != SABOT_OK) {
            drop_columns(self->columns, c);
            return status;
        }
    }
    const sabot_status status = take_right(self, self->out_slots, n, self->columns + batch->n_columns, err);
    if (status != SABOT_OK) {
        drop_columns(self->columns, batch->n_columns);
        return status;
    }
    BATCH_OWNED struct batch *pairs = NULL;
    SABOT_TRY(batch_new(self->own.spec->output, self->columns, batch->n_columns + self->options->right->n_fields, n,
                        &pairs, err));
    pairs->created_ns = batch->created_ns;
    if (batch->row_kinds) {
        SABOT_TRY(buffer_new(self->own.pool, (size_t)n, &pairs->row_kinds_buffer, err));
        for (int32_t i = 0; i < n; i++) { pairs->row_kinds_buffer->data[i] = batch->row_kinds[self->out_rows[i]]; }
        pairs->row_kinds = pairs->row_kinds_buffer->data;
    }
    struct batch *given = pairs;
    pairs = NULL;
    return out_emit(out, given, err);
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

static int32_t collect(struct lookup *self) {
    const int32_t *next = multimap_next(self->table.map);
    int32_t n = 0;
    while (self->row < self->batch->selected && n < self->block) {
        int32_t slot = self->cursor == CURSOR_FRESH ? self->heads[self->row] : self->cursor;
        for (; slot >= 0 && n < self->block; slot = next[slot]) {
            self->event_rows[n] = self->row;
            self->event_slots[n] = slot;
            self->passes[n++] = true;
        }
        if (slot >= 0) {
            self->cursor = slot;
            break;
        }
        self->event_rows[n] = self->row++;
        self->event_slots[n++] = SLOT_END;
        self->cursor = CURSOR_FRESH;
    }
    return n;
}

/* Candidates as rows for the condition; columns that it does not read are NULL. */
static sabot_status pair_batch(struct lookup *self, int32_t n, struct batch **out, struct sabot_error *err) {
    const int32_t n_left = self->batch->n_columns;
    for (int32_t c = 0; c < self->pair->n_fields; c++) {
        struct column **column = &self->columns[c];
        sabot_status status;
        if (!self->condition_reads[c]) {
            status = column_all_null(self->own.pool, type_nullable(self->pair->fields[c].type), n, column, err);
        } else if (c < n_left) {
            status = column_take(self->own.pool, self->batch->columns[c], self->out_rows, n, column, err);
        } else {
            status = multimap_take(self->table.map, self->table.places[c - n_left], self->out_slots, n, column, err);
        }
        if (status != SABOT_OK) {
            drop_columns(self->columns, c);
            return status;
        }
    }
    return batch_new(self->pair, self->columns, self->pair->n_fields, n, out, err);
}

static sabot_status check_condition(struct lookup *self, int32_t n_events, struct sabot_error *err) {
    int32_t n = 0;
    for (int32_t e = 0; e < n_events; e++) {
        if (self->event_slots[e] == SLOT_END) { continue; }
        self->out_rows[n] = self->rows[self->event_rows[e]];
        self->out_slots[n++] = self->event_slots[e];
    }
    if (n == 0) { return SABOT_OK; }
    struct batch *pairs;
    SABOT_TRY(pair_batch(self, n, &pairs, err));
    BATCH_OWNED struct batch *passed = NULL;
    SABOT_TRY(program_filter(self->condition, pairs, &passed, err));
    if (passed && !passed->selection) { return SABOT_OK; }
    const int32_t n_passed = passed ? passed->selected : 0;
    int32_t pair = 0, at = 0;
    for (int32_t e = 0; e < n_events; e++) {
        if (self->event_slots[e] == SLOT_END) { continue; }
        self->passes[e] = at < n_passed && passed->selection[at] == pair;
        at += self->passes[e];
        pair++;
    }
    return SABOT_OK;
}

static sabot_status give_block(struct lookup *self, struct op_out *out, struct sabot_error *err) {
    const int32_t n_events = collect(self);
    int32_t n = 0;
    if (self->condition) { SABOT_TRY(check_condition(self, n_events, err)); }
    for (int32_t e = 0; e < n_events; e++) {
        const int32_t row = self->event_rows[e], slot = self->event_slots[e];
        const bool gives = slot == SLOT_END ? self->options->keeps_left && !self->matched[row] : self->passes[e];
        if (slot != SLOT_END && gives) { self->matched[row] = true; }
        self->out_rows[n] = self->rows[row];
        self->out_slots[n] = slot;
        n += gives;
    }
    return give_pairs(self, n, out, err);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static sabot_status reserve(struct lookup *self, int32_t rows, struct sabot_error *err) {
    if (rows <= self->capacity) { return SABOT_OK; }
    const size_t n = (size_t)(rows < BATCH_ROWS_DEFAULT ? BATCH_ROWS_DEFAULT : rows);
    free(self->rows);
    free(self->matched);
    self->rows = malloc(n * 3 * sizeof *self->rows);
    self->matched = malloc(n * sizeof *self->matched);
    self->capacity = self->rows && self->matched ? (int32_t)n : 0;
    if (self->capacity == 0) { return no_memory(err); }
    self->heads = self->rows + n;
    self->slots = self->heads + n;
    return SABOT_OK;
}

/* Looks up where the rows of the batch lead to. */
static sabot_status find(struct lookup *self, struct sabot_error *err) {
    const struct lookup_options *options = self->options;
    if (atomic_load_explicit(&self->batch->refs, memory_order_relaxed) > 1) {
        struct batch *own;
        SABOT_TRY(batch_copy(self->batch, &own, err));
        batch_unref(self->batch);
        self->batch = own;
    }
    struct batch *batch = self->batch;
    SABOT_TRY(reserve(self, batch->rows, err));
    SABOT_TRY(batch_cache_hashes(self->own.pool, batch, options->left_keys, options->n_keys, err));
    for (int32_t i = 0; i < batch->selected; i++) { self->rows[i] = batch_row(batch, i); }
    memset(self->matched, 0, (size_t)batch->selected * sizeof *self->matched);
    const struct multimap_rows rows = {
        .batch = batch, .columns = options->left_keys, .rows = self->rows, .n = batch->selected};
    multimap_find(self->table.map, &rows, self->heads);
    for (int32_t k = 0; k < options->n_keys; k++) {
        const struct column *column = batch->columns[options->left_keys[k]];
        if (!column->validity && column->phys != PHYS_NULL) { continue; }
        for (int32_t i = 0; i < batch->selected; i++) {
            if (column_is_null(column, self->rows[i])) { self->heads[i] = -1; }
        }
    }
    self->row = 0;
    self->cursor = CURSOR_FRESH;
    return SABOT_OK;
}

static sabot_status probe(struct lookup *self, struct op_out *out, struct sabot_error *err) {
    const struct batch *batch = self->batch;
    if (self->row == 0 && self->cursor == CURSOR_FRESH && self->table.is_unique && !self->condition &&
        batch->rows / SPARSE <= batch->selected) {
        return give_beside(self, out, err);
    }
    while (self->row < batch->selected) {
        if (out_is_full(out)) { return SABOT_OK; }
        SABOT_TRY(give_block(self, out, err));
    }
    batch_unref(self->batch);
    self->batch = NULL;
    return SABOT_OK;
}

static sabot_status drive(struct lookup *self, struct op_out *out, struct sabot_error *err) {
    self->op.busy = true;
    if (self->table.reader) {
        bool again = true;
        SABOT_TRY(lookup_table_read(&self->table, &again, err));
        if (self->table.reader) {
            if (again && self->own.wake) { self->own.wake(self->own.wake_arg); }
            return SABOT_OK;
        }
        if (self->batch) { SABOT_TRY(find(self, err)); }
    }
    if (self->batch) { SABOT_TRY(probe(self, out, err)); }
    self->op.busy = self->batch != NULL;
    return SABOT_OK;
}

static sabot_status lookup_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    struct lookup *self = (struct lookup *)op;
    self->batch = batch;
    if (batch->selected == 0) {
        batch_unref(batch);
        self->batch = NULL;
        return SABOT_OK;
    }
    const int64_t now_ns = self->options->reload_ns > 0 ? env_now_ns(self->own.env) : 0;
    if (self->options->reload_ns > 0 && now_ns - self->read_ns >= self->options->reload_ns) {
        lookup_table_clear(&self->table);
        self->read_ns = now_ns;
        SABOT_TRY(lookup_table_open(&self->table, &self->own, self->options, err));
    } else {
        SABOT_TRY(find(self, err));
    }
    return drive(self, out, err);
}

static sabot_status lookup_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                        struct sabot_error *err) {
    struct lookup *self = (struct lookup *)op;
    if (self->condition) { program_set_watermark(self->condition, watermark_ms); }
    return out->watermark(out, watermark_ms, err);
}

static sabot_status lookup_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? drive((struct lookup *)op, out, err) : SABOT_OK;
}

const struct op_type op_lookup = {
    .name = "lookup",
    .summary = "join rows with a bounded table that is read whole",
    .open = lookup_open,
    .on_batch = lookup_on_batch,
    .on_watermark = lookup_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = lookup_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = lookup_close,
};
