/* Rows that wait, and come out in the order of an index: see held.h. */
#include "ops/held.h"

#include <stdlib.h>

#define ROWS_SHARE 2048 /* of the memory limit in bytes: so many rows at most */
#define BYTES_SHARE 8   /* ... and so much of it */
#define ROWS_MAX (1 << 20)

struct place {
    uint64_t order;
    int32_t row;
};

static int64_t bytes_of(const struct batch *batch) {
    int64_t bytes = 0;
    for (int32_t c = 0; c < batch->n_columns; c++) {
        const struct column *column = batch->columns[c];
        bytes += (int64_t)batch->rows * (int64_t)phys_size((enum phys)column->phys);
        const struct string_view *views = column->values;
        for (int32_t i = 0; column->phys == PHYS_VIEW && i < batch->rows; i++) {
            bytes += views[i].size > STRING_VIEW_INLINE ? views[i].size : 0;
        }
    }
    return bytes;
}

/* Rows wait in a copy: a batch keeps the heaps alive of all texts that its own were made of, which is a multiple. */
sabot_status held_add(struct held *held, struct batch *taken, struct sabot_error *err) {
    BATCH_OWNED struct batch *given = taken, *batch = NULL;
    SABOT_TRY(batch_detach(held->pool, given, &batch, err));
    if (held->n == held->capacity) {
        const int32_t capacity = held->capacity ? held->capacity * 2 : 64;
        struct batch **batches = realloc(held->batches, (size_t)capacity * sizeof(struct batch *));
        if (!batches) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of batches"); }
        held->batches = batches;
        held->capacity = capacity;
    }
    held->bytes += bytes_of(batch);
    held->rows += batch->selected;
    held->batches[held->n++] = batch;
    batch = NULL;
    return SABOT_OK;
}

static void forget_batches(struct held *held) {
    for (int32_t i = 0; i < held->n; i++) { batch_unref(held->batches[i]); }
    held->n = 0;
    held->rows = held->bytes = 0;
}

static int by_order(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->order != y->order) { return x->order < y->order ? -1 : 1; }
    return x->row < y->row ? -1 : x->row > y->row;
}

static sabot_status sort_rows(struct held *held, uint64_t mask, struct sabot_error *err) {
    const struct batch *batch = held->sorted;
    const size_t n = (size_t)batch->selected;
    struct buffer *places_buffer;
    SABOT_TRY(buffer_new(held->pool, n * sizeof(int32_t), &held->order_buffer, err));
    SABOT_TRY(buffer_new(held->pool, n * sizeof(struct place), &places_buffer, err));
    struct place *places = (struct place *)(void *)places_buffer->data;
    int32_t *order = (int32_t *)(void *)held->order_buffer->data;
    for (size_t i = 0; i < n; i++) {
        const int32_t row = batch_row(batch, (int32_t)i);
        places[i] = (struct place){batch->hashes[row] & mask, row};
    }
    qsort(places, n, sizeof *places, by_order);
    for (size_t i = 0; i < n; i++) { order[i] = places[i].row; }
    buffer_unref(places_buffer);
    held->order = order;
    return SABOT_OK;
}

sabot_status held_begin(struct held *held, const int32_t *keys, int32_t n_keys, uint64_t mask,
                        struct sabot_error *err) {
    SABOT_TRY(batch_concat(held->pool, held->batches, held->n, &held->sorted, err));
    held->sorted->created_ns = held->batches[0]->created_ns;
    forget_batches(held);
    if (atomic_load_explicit(&held->sorted->refs, memory_order_relaxed) > 1) { /* it was a single flat one */
        struct batch *own;
        SABOT_TRY(batch_copy(held->sorted, &own, err));
        batch_unref(held->sorted);
        held->sorted = own;
    }
    SABOT_TRY(batch_cache_hashes(held->pool, held->sorted, keys, n_keys, err));
    held->at = 0;
    return sort_rows(held, mask, err);
}

sabot_status held_next(struct held *held, int32_t n, struct batch **out, struct sabot_error *err) {
    *out = NULL;
    const int32_t left = held->sorted->selected - held->at;
    if (left == 0) {
        batch_unref(held->sorted);
        buffer_unref(held->order_buffer);
        held->sorted = NULL;
        held->order_buffer = NULL;
        return SABOT_OK;
    }
    n = left < n ? left : n;
    SABOT_TRY(batch_take(held->pool, held->sorted, held->order + held->at, n, out, err));
    (*out)->created_ns = held->sorted->created_ns;
    held->at += n;
    return SABOT_OK;
}

bool held_is_going(const struct held *held) { return held->sorted != NULL; }

void held_clear(struct held *held) {
    forget_batches(held);
    batch_unref(held->sorted);
    buffer_unref(held->order_buffer);
    free(held->batches);
    *held = (struct held){0};
}

int32_t held_rows_max(const struct memory_pool *pool) {
    const int64_t rows = memory_limit(pool) / ROWS_SHARE;
    return rows < ROWS_MAX ? (int32_t)rows : ROWS_MAX;
}

bool held_is_enough(const struct memory_pool *pool, int64_t rows, int64_t bytes) {
    return rows > held_rows_max(pool) || bytes > memory_limit(pool) / BYTES_SHARE || memory_is_short(pool);
}

void held_wake(const struct held_pace *pace, struct op *op, const struct op_context *context) {
    if (context->bounded || op->wake_at_ms) { return; }
    const int64_t target_ns = context->latency_target_ns;
    const int64_t wait_ns = pace->took_ns > target_ns ? pace->took_ns : target_ns;
    op->wake_at_ms = env_wall_ms(context->env) + wait_ns / 1000000 + 1;
}

void held_pace_begin(struct held_pace *pace, struct env *env) { pace->began_ns = env_now_ns(env); }

void held_pace_end(struct held_pace *pace, struct env *env) { pace->took_ns = env_now_ns(env) - pace->began_ns; }

void held_keep_watermark(struct held_pace *pace, int64_t watermark_ms) {
    pace->watermark_waits = true;
    pace->watermark_ms = watermark_ms;
}

bool held_take_watermark(struct held_pace *pace, int64_t *watermark_ms) {
    if (!pace->watermark_waits) { return false; }
    pace->watermark_waits = false;
    *watermark_ms = pace->watermark_ms;
    return true;
}

sabot_status held_pass_idle(struct held_pace *pace, struct op_out *out, struct sabot_error *err) {
    if (!pace->idle_waits) { return SABOT_OK; }
    pace->idle_waits = false;
    return out->idle(out, err);
}
