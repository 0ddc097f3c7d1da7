/* Rows that a fold refers to by number. A changelog keeps replacing rows: they are copied together when most are
 * dead, so that memory is bounded by the final table and not by the number of changes. */
#include "cli/kept_rows.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* Below this nothing is copied. */
#define COMPACT_ROWS_MIN 65536

static void batches_drop(struct kept_rows *kept) {
    for (int32_t i = 0; i < kept->n; i++) { batch_unref(kept->batches[i]); }
    kept->n = 0;
    kept->rows = 0;
}

void kept_rows_clear(struct kept_rows *kept) {
    batches_drop(kept);
    free(kept->batches);
    kept->batches = NULL;
    kept->capacity = 0;
}

static sabot_status push(struct kept_rows *kept, struct batch *batch, struct sabot_error *err) {
    if (kept->n == kept->capacity) {
        const int32_t capacity = kept->capacity ? kept->capacity * 2 : 64;
        struct batch **grown = realloc(kept->batches, sizeof(struct batch *) * (size_t)capacity);
        if (!grown) {
            batch_unref(batch);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to fold a changelog");
        }
        kept->batches = grown;
        kept->capacity = capacity;
    }
    kept->batches[kept->n++] = batch;
    kept->rows += batch->selected;
    return SABOT_OK;
}

sabot_status kept_rows_add(struct kept_rows *kept, struct batch *batch, int64_t *first, struct sabot_error *err) {
    struct batch *flat = NULL;
    *first = kept->rows;
    SABOT_TRY(batch_compact(kept->pool, batch, &flat, err));
    return push(kept, flat, err);
}

struct numbers {
    int32_t *rows;
    int64_t n;
};

static sabot_status renumber(void *arg, char *row, size_t size, int64_t count, struct sabot_error *err) {
    (void)size, (void)count, (void)err;
    struct numbers *numbers = arg;
    int64_t number;
    memcpy(&number, row, sizeof number);
    numbers->rows[numbers->n] = (int32_t)number;
    memcpy(row, &numbers->n, sizeof numbers->n);
    numbers->n++;
    return SABOT_OK;
}

sabot_status kept_rows_compact(struct kept_rows *kept, struct fold *fold, bool now, struct sabot_error *err) {
    const int64_t live = fold_rows(fold);
    if (kept->n == 0 || (!now && kept->rows < 2 * live + COMPACT_ROWS_MIN)) { return SABOT_OK; }
    BATCH_OWNED struct batch *all = NULL;
    SABOT_TRY(batch_concat(kept->pool, kept->batches, kept->n, &all, err));
    batches_drop(kept);
    struct numbers numbers = {.rows = malloc(sizeof(int32_t) * (size_t)(live + 1))};
    if (!numbers.rows) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to fold a changelog"); }
    sabot_status status = fold_each(fold, renumber, &numbers, err);
    BATCH_OWNED struct batch *taken = NULL;
    struct batch *own = NULL;
    if (status == SABOT_OK) { status = batch_take(kept->pool, all, numbers.rows, (int32_t)numbers.n, &taken, err); }
    free(numbers.rows);
    /* texts of the rows that went are let go too */
    if (status == SABOT_OK) { status = batch_detach(kept->pool, taken, &own, err); }
    return status == SABOT_OK ? push(kept, own, err) : status;
}

struct writing {
    struct kept_rows *kept;
    int32_t *rows;
    int32_t n, capacity;
    sabot_status (*write)(void *arg, struct batch *batch, struct sabot_error *err);
    void *arg;
};

static sabot_status write_rows(struct writing *writing, struct sabot_error *err) {
    if (writing->n == 0) { return SABOT_OK; }
    BATCH_OWNED struct batch *batch = NULL;
    SABOT_TRY(batch_take(writing->kept->pool, writing->kept->batches[0], writing->rows, writing->n, &batch, err));
    writing->n = 0;
    return writing->write(writing->arg, batch, err);
}

static sabot_status write_row(void *arg, char *row, size_t size, int64_t count, struct sabot_error *err) {
    (void)size;
    struct writing *writing = arg;
    int64_t number;
    memcpy(&number, row, sizeof number);
    for (int64_t i = 0; i < count; i++) {
        writing->rows[writing->n++] = (int32_t)number;
        if (writing->n == writing->capacity) { SABOT_TRY(write_rows(writing, err)); }
    }
    return SABOT_OK;
}

sabot_status kept_rows_write(struct kept_rows *kept, struct fold *fold, int32_t batch_rows,
                             sabot_status (*write)(void *arg, struct batch *batch, struct sabot_error *err), void *arg,
                             struct sabot_error *err) {
    SABOT_TRY(fold_check(fold, err));
    SABOT_TRY(kept_rows_compact(kept, fold, true, err));
    struct writing writing = {.kept = kept, .rows = malloc(sizeof(int32_t) * (size_t)batch_rows),
                              .capacity = batch_rows, .write = write, .arg = arg};
    if (!writing.rows) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to fold a changelog"); }
    sabot_status status = fold_each(fold, write_row, &writing, err);
    if (status == SABOT_OK) { status = write_rows(&writing, err); }
    free(writing.rows);
    return status;
}
