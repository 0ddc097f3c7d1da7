/* ORDER BY over bounded input: all rows are kept, and given out in order at the end. With a limit only the first
 * offset + limit rows are kept: whenever twice as many have come, the rest is thrown away. Equal rows keep the order in
 * which they came. What is kept is state (a list), so that a restored job need not read everything again. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ops/specs.h"

#define COMPACT_ROWS_MIN 65536
#define TOO_MUCH "ORDER BY keeps all rows in memory (add a LIMIT, select fewer columns, or raise the memory limit)"

struct sort {
    struct op op;
    struct op_context own;
    const struct sort_options *options;
    struct state_table *rows; /* written at barriers */
    struct batch **batches;   /* what has come since the last compaction; the first may be sorted */
    int32_t n_batches, capacity;
    int64_t n_rows;
    int64_t keep;             /* rows that can still matter; INT64_MAX = all */
    struct batch *sorted;     /* set at the end */
    int64_t given;
};

static void sort_close(struct op *op) {
    struct sort *sort = (struct sort *)op;
    for (int32_t i = 0; i < sort->n_batches; i++) { batch_unref(sort->batches[i]); }
    free(sort->batches);
    batch_unref(sort->sorted);
    free(sort);
}

static sabot_status add_batch(struct sort *sort, struct batch *batch, struct sabot_error *err) {
    if (sort->n_batches == sort->capacity) {
        const int32_t capacity = sort->capacity ? sort->capacity * 2 : 64;
        struct batch **batches = realloc(sort->batches, (size_t)capacity * sizeof *batches);
        if (!batches) {
            batch_unref(batch);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of batches");
        }
        sort->batches = batches;
        sort->capacity = capacity;
    }
    sort->batches[sort->n_batches++] = batch;
    sort->n_rows += batch->selected;
    return SABOT_OK;
}

static sabot_status sort_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct sort *sort = calloc(1, sizeof *sort);
    if (!sort) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a sort"); }
    sort->op.type = &op_sort;
    sort->own = *context;
    sort->options = context->spec->options;
    const int64_t offset = sort->options->offset > 0 ? sort->options->offset : 0, limit = sort->options->limit;
    sort->keep = limit < 0 || limit > INT64_MAX - offset ? INT64_MAX : offset + limit;
    sort->given = -1;
    const struct state_spec spec = {.name = "rows", .kind = STATE_LIST, .schema = context->input};
    sabot_status status = state_table_open(context->state, &spec, &sort->rows, err);
    if (status == SABOT_OK && state_list_rows(sort->rows) && context->subtask == 0) {
        status = add_batch(sort, batch_ref(state_list_rows(sort->rows)), err);
    }
    if (status != SABOT_OK) {
        sort_close(&sort->op);
        return status;
    }
    *out = &sort->op;
    return SABOT_OK;
}

/* --- order */
static int row_order(const struct sort *sort, const struct batch *batch, int32_t a, int32_t b) {
    for (int32_t k = 0; k < sort->options->n_keys; k++) {
        const struct sort_key *key = &sort->options->keys[k];
        const struct column *column = batch->columns[key->column];
        const bool a_null = column_is_null(column, a), b_null = column_is_null(column, b);
        if (a_null != b_null) { return a_null == key->nulls_first ? -1 : 1; }
        if (a_null) { continue; }
        const int order = column_compare(column, a, column, b, batch->schema->fields[key->column].type);
        if (order) { return key->descending ? -order : order; }
    }
    return 0;
}

/* Stable merge sort of row numbers. */
static void sort_rows(const struct sort *sort, const struct batch *batch, int32_t *rows, int32_t *spare, int32_t n) {
    for (int32_t start = 0; start < n; start += 16) { /* short runs by insertion */
        const int32_t end = start + 16 < n ? start + 16 : n;
        for (int32_t i = start + 1; i < end; i++) {
            const int32_t row = rows[i];
            int32_t at = i;
            for (; at > start && row_order(sort, batch, row, rows[at - 1]) < 0; at--) { rows[at] = rows[at - 1]; }
            rows[at] = row;
        }
    }
    int32_t *from = rows, *to = spare;
    for (int64_t width = 16; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            const int64_t middle = start + width < n ? start + width : n,
                          end = start + 2 * width < n ? start + 2 * width : n;
            int64_t a = start, b = middle;
            for (int64_t at = start; at < end; at++) {
                const bool take_b = a == middle || (b < end && row_order(sort, batch, from[b], from[a]) < 0);
                to[at] = take_b ? from[b++] : from[a++];
            }
        }
        int32_t *other = from;
        from = to;
        to = other;
    }
    if (from != rows) { memcpy(rows, from, (size_t)n * sizeof *rows); }
}

/* All rows in order in one flat batch, at most `keep` of them; NULL = none. The list is empty then. */
static sabot_status sort_all(struct sort *sort, struct batch **out, struct sabot_error *err) {
    *out = NULL;
    if (sort->n_rows == 0) { return SABOT_OK; }
    if (sort->n_rows > INT32_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "ORDER BY over more than 2147483647 rows: add a LIMIT");
    }
    BATCH_OWNED struct batch *all = NULL;
    SABOT_TRY(batch_concat(sort->own.pool, sort->batches, sort->n_batches, &all, err));
    for (int32_t i = 0; i < sort->n_batches; i++) { batch_unref(sort->batches[i]); }
    sort->n_batches = 0;
    sort->n_rows = 0;
    const int32_t n = all->rows;
    int32_t *rows;
    SABOT_TRY(memory_alloc(sort->own.pool, (size_t)n * 2 * sizeof *rows, (void **)&rows, err));
    for (int32_t i = 0; i < n; i++) { rows[i] = i; }
    sort_rows(sort, all, rows, rows + n, n);
    const int32_t kept = sort->keep < n ? (int32_t)sort->keep : n;
    const sabot_status status = batch_take(sort->own.pool, all, rows, kept, out, err);
    memory_free(sort->own.pool, rows, (size_t)n * 2 * sizeof *rows);
    return status;
}

static sabot_status compact(struct sort *sort, struct sabot_error *err) {
    struct batch *sorted;
    SABOT_TRY(sort_all(sort, &sorted, err));
    return sorted ? add_batch(sort, sorted, err) : SABOT_OK;
}

/* The rows do not spill: before memory ends elsewhere, in a source perhaps, it is said what to do. */
static sabot_status check_memory(const struct sort *sort, struct sabot_error *err) {
    int64_t row_bytes = 0;
    for (int32_t c = 0; c < sort->own.input->n_fields; c++) {
        row_bytes += (int64_t)phys_size(type_phys(sort->own.input->fields[c].type));
    }
    const int64_t limit = memory_limit(sort->own.pool);
    if (!memory_is_short(sort->own.pool) || sort->n_rows < limit / 8 / (row_bytes + 1)) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, TOO_MUCH ": after %" PRId64 " rows the limit of %" PRId64 " bytes is near",
                      sort->n_rows, limit);
}

/* --- events */
static sabot_status sort_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                  struct sabot_error *err) {
    (void)input;
    (void)out;
    struct sort *sort = (struct sort *)op;
    if (batch->selected == 0 || sort->keep == 0) {
        batch_unref(batch);
        return SABOT_OK;
    }
    SABOT_TRY(add_batch(sort, batch, err));
    const bool full = sort->keep < INT64_MAX / 2 && sort->n_rows > 2 * sort->keep && sort->n_rows > COMPACT_ROWS_MIN;
    return full ? compact(sort, err) : check_memory(sort, err);
}

static sabot_status give_sorted(struct sort *sort, struct op_out *out, struct sabot_error *err) {
    sort->op.busy = true;
    const int64_t end = sort->sorted ? sort->sorted->rows : 0;
    while (sort->given < end) {
        if (out_is_full(out)) { return SABOT_OK; }
        const int32_t n =
            end - sort->given < sort->own.batch_rows ? (int32_t)(end - sort->given) : sort->own.batch_rows;
        int32_t *rows;
        SABOT_TRY(memory_alloc(sort->own.pool, (size_t)n * sizeof *rows, (void **)&rows, err));
        for (int32_t i = 0; i < n; i++) { rows[i] = (int32_t)sort->given + i; }
        struct batch *batch;
        const sabot_status status = batch_take(sort->own.pool, sort->sorted, rows, n, &batch, err);
        memory_free(sort->own.pool, rows, (size_t)n * sizeof *rows);
        if (status != SABOT_OK) { return status; }
        sort->given += n;
        SABOT_TRY(out_emit(out, batch, err));
    }
    batch_unref(sort->sorted);
    sort->sorted = NULL;
    sort->op.busy = false;
    return out->end(out, err);
}

static sabot_status sort_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct sort *sort = (struct sort *)op;
    const sabot_status status = sort_all(sort, &sort->sorted, err);
    if (status == SABOT_ERR_MEMORY) { error_context(err, TOO_MUCH); }
    if (status != SABOT_OK) { return status; }
    sort->given = sort->options->offset > 0 ? sort->options->offset : 0;
    return give_sorted(sort, out, err);
}

static sabot_status sort_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? give_sorted((struct sort *)op, out, err) : SABOT_OK;
}

static sabot_status sort_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                        struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct sort *sort = (struct sort *)op;
    if (sort->n_batches == 0) { return state_list_replace(sort->rows, NULL, err); }
    struct batch *all;
    SABOT_TRY(batch_concat(sort->own.pool, sort->batches, sort->n_batches, &all, err));
    return state_list_replace(sort->rows, all, err);
}

const struct op_type op_sort = {
    .name = "sort",
    .summary = "give the rows out in order at the end",
    .open = sort_open,
    .on_batch = sort_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = sort_on_end,
    .resume = sort_resume,
    .before_barrier = sort_before_barrier,
    .on_complete = op_default_on_complete,
    .close = sort_close,
    .declares_state = true,
};
