/* Rows picked, flattened, joined end to end, and cut loose from foreign memory. */
#include "arrow/batch.h"

#include <assert.h>
#include <stdlib.h>

static inline bool bit_is_set(const uint64_t *bits, int64_t at) { return bits[at >> 6] >> (at & 63) & 1; }

static bool any_negative(const int32_t *rows, int32_t n) {
    int32_t all = 0;
    for (int32_t i = 0; rows && i < n; i++) { all |= rows[i]; }
    return all < 0;
}

/* What to gather: rows NULL means 0..n-1; a constant column is read at 0. */
struct gather {
    const int32_t *rows;
    int32_t n;
    bool has_nulls; /* some rows are -1 */
    bool constant;
};

#define GATHER(type)                                                                                                   \
    do {                                                                                                               \
        const type *restrict source = from;                                                                            \
        type *restrict target = to;                                                                                    \
        if (gather->constant) {                                                                                        \
            for (int32_t i = 0; i < gather->n; i++) { target[i] = source[0]; }                                         \
        } else if (!gather->rows) {                                                                                    \
            memcpy(target, source, (size_t)gather->n * sizeof(type));                                                  \
        } else if (gather->has_nulls) {                                                                                \
            for (int32_t i = 0; i < gather->n; i++) {                                                                  \
                if (gather->rows[i] >= 0) {                                                                            \
                    target[i] = source[gather->rows[i]];                                                               \
                } else {                                                                                               \
                    memset(&target[i], 0, sizeof(type));                                                               \
                }                                                                                                      \
            }                                                                                                          \
        } else {                                                                                                       \
            for (int32_t i = 0; i < gather->n; i++) { target[i] = source[gather->rows[i]]; }                           \
        }                                                                                                              \
    } while (0)

static void gather_values(const struct gather *gather, enum phys phys, const void *from, void *to) {
    switch (phys_size(phys)) {
    case 1: GATHER(uint8_t); break;
    case 2: GATHER(uint16_t); break;
    case 4: GATHER(uint32_t); break;
    case 8: GATHER(uint64_t); break;
    case 16: GATHER(struct string_view); break;
    default: break;
    }
}

static void gather_validity(const struct gather *gather, const uint64_t *from, uint64_t *to) {
    for (int32_t base = 0; base < gather->n; base += 64) {
        uint64_t word = 0;
        const int32_t n = gather->n - base < 64 ? gather->n - base : 64;
        for (int32_t i = 0; i < n; i++) {
            const int32_t row = gather->rows ? gather->rows[base + i] : base + i;
            const bool valid = row >= 0 && (!from || bit_is_set(from, gather->constant ? 0 : row));
            word |= (uint64_t)valid << i;
        }
        to[base / 64] = word;
    }
}

static sabot_status take(struct memory_pool *pool, const struct column *from, const int32_t *rows, int32_t n,
                         bool expand, struct column **out, struct sabot_error *err);

static sabot_status take_children(struct memory_pool *pool, const struct column *from, const int32_t *rows, int32_t n,
                                  bool expand, struct column **children, struct sabot_error *err) {
    for (int32_t i = 0; i < from->n_children; i++) {
        const sabot_status status = take(pool, from->children[i], rows, n, expand, &children[i], err);
        if (status != SABOT_OK) {
            while (i > 0) { column_unref(children[--i]); }
            return status;
        }
    }
    return SABOT_OK;
}

/* Offsets of the gathered lists, then the elements they cover. */
static sabot_status take_list(struct memory_pool *pool, const struct column *from, const struct gather *gather,
                              struct buffer *validity, struct column **out, struct sabot_error *err) {
    struct buffer *owners[2] = {NULL, validity};
    struct buffer *elements = NULL;
    const int32_t *offsets = from->values;
    const uint64_t *bits = validity ? (const uint64_t *)(const void *)validity->data : NULL;
    int64_t total = 0;
    sabot_status status = buffer_new(pool, ((size_t)gather->n + 1) * sizeof(int32_t), &owners[0], err);
    if (status != SABOT_OK) {
        buffer_unref(validity);
        return status;
    }
    int32_t *target = (int32_t *)(void *)owners[0]->data;
    for (int32_t i = 0; i < gather->n; i++) {
        target[i] = (int32_t)total;
        const int32_t row = gather->constant ? 0 : gather->rows ? gather->rows[i] : i;
        if (!bits || bit_is_set(bits, i)) { total += offsets[row + 1] - offsets[row]; }
        if (total > INT32_MAX) {
            buffer_unref(owners[0]);
            buffer_unref(validity);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "arrays with more than %d elements in one batch", INT32_MAX);
        }
    }
    target[gather->n] = (int32_t)total;
    struct column *child = NULL;
    status = buffer_new(pool, (size_t)total * sizeof(int32_t), &elements, err);
    if (status == SABOT_OK) {
        int32_t *element_rows = (int32_t *)(void *)elements->data;
        for (int32_t i = 0; i < gather->n; i++) {
            const int32_t row = gather->constant ? 0 : gather->rows ? gather->rows[i] : i;
            const int32_t size = target[i + 1] - target[i];
            for (int32_t k = 0; k < size; k++) { element_rows[target[i] + k] = offsets[row] + k; }
        }
        status = take(pool, from->children[0], element_rows, (int32_t)total, true, &child, err);
    }
    buffer_unref(elements);
    if (status != SABOT_OK) {
        buffer_unref(owners[0]);
        buffer_unref(validity);
        return status;
    }
    return column_new(PHYS_LIST, gather->n, bits, target, owners, validity ? 2 : 1, &child, 1, out, err);
}

static sabot_status take_row(struct memory_pool *pool, const struct column *from, const struct gather *gather,
                             bool expand, struct buffer *validity, struct column **out, struct sabot_error *err) {
    struct column **children = calloc((size_t)from->n_children + 1, sizeof *children);
    sabot_status status = children ? take_children(pool, from, gather->rows, gather->n, expand, children, err)
                                   : SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    if (status == SABOT_OK) {
        const uint64_t *bits = validity ? (const uint64_t *)(const void *)validity->data : NULL;
        status = column_new(PHYS_ROW, gather->n, bits, NULL, &validity, validity ? 1 : 0, children, from->n_children,
                            out, err);
    } else {
        buffer_unref(validity);
    }
    free(children);
    return status;
}

/* A constant column of another length. */
static sabot_status constant_resized(const struct column *from, int32_t n, struct column **out,
                                     struct sabot_error *err) {
    struct column **children = calloc((size_t)from->n_children + 1, sizeof *children);
    if (!children) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < from->n_children && status == SABOT_OK; i++) {
        if (from->phys == PHYS_LIST) {
            children[i] = column_ref(from->children[i]);
        } else {
            status = constant_resized(from->children[i], n, &children[i], err);
        }
    }
    if (status == SABOT_OK) {
        for (int32_t i = 0; i < from->n_owners; i++) { buffer_ref(from->owners[i]); }
        status = column_new(from->phys, n, from->validity, from->values, from->owners, from->n_owners, children,
                            from->n_children, out, err);
        if (status == SABOT_OK) { (*out)->constant = true; }
    } else {
        for (int32_t i = 0; i < from->n_children; i++) { column_unref(children[i]); }
    }
    free(children);
    return status;
}

static bool all_children_constant(const struct column *column) {
    if (column->phys != PHYS_ROW) { return true; }
    for (int32_t i = 0; i < column->n_children; i++) {
        if (!column->children[i]->constant || !all_children_constant(column->children[i])) { return false; }
    }
    return true;
}

static sabot_status take(struct memory_pool *pool, const struct column *from, const int32_t *rows, int32_t n,
                         bool expand, struct column **out, struct sabot_error *err) {
    *out = NULL;
    const struct gather gather = {
        .rows = rows, .n = n, .has_nulls = any_negative(rows, n), .constant = from->constant};
    if (from->phys == PHYS_NULL) { return column_new(PHYS_NULL, n, NULL, NULL, NULL, 0, NULL, 0, out, err); }
    if (from->constant && !expand && !gather.has_nulls && all_children_constant(from)) {
        return constant_resized(from, n, out, err);
    }
    const bool with_validity = from->validity || gather.has_nulls;
    if (from->phys == PHYS_LIST || from->phys == PHYS_ROW) {
        struct buffer *validity = NULL;
        if (with_validity) {
            SABOT_TRY(buffer_new(pool, ((size_t)n + 63) / 64 * 8, &validity, err));
            gather_validity(&gather, from->validity, (uint64_t *)(void *)validity->data);
        }
        return from->phys == PHYS_LIST ? take_list(pool, from, &gather, validity, out, err)
                                       : take_row(pool, from, &gather, expand, validity, out, err);
    }
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, pool, from->phys, n, with_validity, err));
    if (with_validity) { gather_validity(&gather, from->validity, builder.validity); }
    gather_values(&gather, from->phys, from->values, builder.values);
    sabot_status status = SABOT_OK;
    if (from->phys == PHYS_VIEW) { status = column_builder_share(&builder, from, err); }
    if (status == SABOT_OK) { return column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

sabot_status column_take(struct memory_pool *pool, const struct column *from, const int32_t *rows, int32_t n,
                         struct column **out, struct sabot_error *err) {
    return take(pool, from, rows, n, false, out, err);
}

static bool column_is_flat(const struct column *column) {
    if (column->constant) { return false; }
    for (int32_t i = 0; i < column->n_children; i++) {
        if (!column_is_flat(column->children[i])) { return false; }
    }
    return true;
}

/* A batch of `n` rows made of new columns; takes row kinds and, if asked, hashes along. */
static sabot_status batch_gather(struct memory_pool *pool, const struct batch *batch, const int32_t *rows, int32_t n,
                                 bool with_hashes, struct batch **out, struct sabot_error *err) {
    *out = NULL;
    struct column **columns = calloc((size_t)batch->n_columns + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a batch"); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < batch->n_columns && status == SABOT_OK; i++) {
        if (!rows && column_is_flat(batch->columns[i])) {
            columns[i] = column_ref(batch->columns[i]);
        } else {
            status = take(pool, batch->columns[i], rows, n, true, &columns[i], err);
        }
    }
    if (status == SABOT_OK) {
        status = batch_new(batch->schema, columns, batch->n_columns, n, out, err);
    } else {
        for (int32_t i = 0; i < batch->n_columns; i++) { column_unref(columns[i]); }
    }
    free(columns);
    SABOT_TRY(status);
    struct batch *result = *out;
    result->created_ns = batch->created_ns;
    const struct gather gather = {.rows = rows, .n = n};
    if (batch->row_kinds && !rows) {
        result->row_kinds_buffer = buffer_ref(batch->row_kinds_buffer);
        result->row_kinds = batch->row_kinds;
    } else if (batch->row_kinds) {
        status = buffer_new(pool, (size_t)n, &result->row_kinds_buffer, err);
        if (status == SABOT_OK) {
            gather_values(&gather, PHYS_BOOL, batch->row_kinds, result->row_kinds_buffer->data);
            result->row_kinds = result->row_kinds_buffer->data;
        }
    }
    if (status == SABOT_OK && with_hashes && batch->hashes) {
        status = buffer_new(pool, (size_t)n * sizeof(uint64_t), &result->hashes_buffer, err);
        if (status == SABOT_OK) {
            gather_values(&gather, PHYS_I64, batch->hashes, result->hashes_buffer->data);
            result->hashes = (const uint64_t *)(const void *)result->hashes_buffer->data;
            result->hash_key_id = batch->hash_key_id;
        }
    }
    if (status != SABOT_OK) {
        batch_unref(result);
        *out = NULL;
    }
    return status;
}

static bool batch_is_flat(const struct batch *batch) {
    if (batch->selection) { return false; }
    for (int32_t i = 0; i < batch->n_columns; i++) {
        if (!column_is_flat(batch->columns[i])) { return false; }
    }
    return true;
}

sabot_status batch_compact(struct memory_pool *pool, struct batch *batch, struct batch **out, struct sabot_error *err) {
    if (batch_is_flat(batch)) {
        *out = batch_ref(batch);
        return SABOT_OK;
    }
    return batch_gather(pool, batch, batch->selection, batch->selected, false, out, err);
}

sabot_status batch_take(struct memory_pool *pool, const struct batch *batch, const int32_t *rows, int32_t n,
                        struct batch **out, struct sabot_error *err) {
    static const int32_t no_row = 0;
    return batch_gather(pool, batch, rows ? rows : &no_row, n, true, out, err);
}

/* --- concat */
/* Appends n bits of `from` (NULL = ones) at bit `at`; what is behind is zero before. */
static void bits_append(uint64_t *to, int64_t at, const uint64_t *from, int64_t n) {
    for (int64_t i = 0; i < n; i += 64) {
        const int64_t here = n - i < 64 ? n - i : 64;
        uint64_t word = from ? from[i >> 6] : UINT64_MAX;
        if (here < 64) { word &= (UINT64_C(1) << here) - 1; }
        const int64_t shift = (at + i) & 63;
        to[(at + i) >> 6] |= word << shift;
        if (shift && here > 64 - shift) { to[((at + i) >> 6) + 1] |= word >> (64 - shift); }
    }
}

static sabot_status concat_validity(struct memory_pool *pool, struct column *const *columns, int32_t n, int32_t total,
                                    struct buffer **out, struct sabot_error *err) {
    *out = NULL;
    bool any = false;
    for (int32_t i = 0; i < n; i++) { any = any || columns[i]->validity; }
    if (!any) { return SABOT_OK; }
    SABOT_TRY(buffer_new(pool, ((size_t)total + 63) / 64 * 8, out, err));
    memset((*out)->data, 0, (*out)->size);
    int64_t at = 0;
    for (int32_t i = 0; i < n; i++) {
        bits_append((uint64_t *)(void *)(*out)->data, at, columns[i]->validity, columns[i]->length);
        at += columns[i]->length;
    }
    return SABOT_OK;
}

/* Flat columns of one layout, end to end. */
static sabot_status concat_flat_columns(struct memory_pool *pool, struct column *const *columns, int32_t n,
                                        int32_t total, struct column **out, struct sabot_error *err) {
    *out = NULL;
    const enum phys phys = columns[0]->phys;
    if (phys == PHYS_NULL) { return column_new(PHYS_NULL, total, NULL, NULL, NULL, 0, NULL, 0, out, err); }
    struct buffer *validity;
    SABOT_TRY(concat_validity(pool, columns, n, total, &validity, err));
    const uint64_t *bits = validity ? (const uint64_t *)(const void *)validity->data : NULL;
    sabot_status status = SABOT_OK;
    if (phys == PHYS_ROW || phys == PHYS_LIST) {
        const int32_t n_children = columns[0]->n_children;
        struct column **children = calloc((size_t)n_children + 1, sizeof *children);
        struct column **parts = calloc((size_t)n + 1, sizeof *parts);
        struct buffer *owners[2] = {validity, NULL};
        if (!children || !parts) {
            status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
        }
        int64_t child_total = total;
        if (phys == PHYS_LIST && status == SABOT_OK) {
            status = buffer_new(pool, ((size_t)total + 1) * sizeof(int32_t), &owners[1], err);
            child_total = 0;
            int32_t *offsets = status == SABOT_OK ? (int32_t *)(void *)owners[1]->data : NULL;
            int32_t at = 0;
            for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
                const int32_t *from = columns[i]->values;
                for (int32_t k = 0; k < columns[i]->length; k++) { offsets[at++] = (int32_t)(child_total + from[k]); }
                child_total += columns[i]->children[0]->length;
                if (child_total > INT32_MAX) {
                    status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "arrays with more than %d elements in one batch",
                                        INT32_MAX);
                }
            }
            if (status == SABOT_OK) {
                /* a child may be longer than its list's last offset, so the end is where the next list would begin */
                const struct column *last = columns[n - 1];
                offsets[at] = (int32_t)(child_total - last->children[0]->length) +
                              ((const int32_t *)last->values)[last->length];
            }
        }
        for (int32_t c = 0; c < n_children && status == SABOT_OK; c++) {
            for (int32_t i = 0; i < n; i++) { parts[i] = columns[i]->children[c]; }
            status = concat_flat_columns(pool, parts, n, (int32_t)child_total, &children[c], err);
        }
        if (status == SABOT_OK) {
            struct buffer *list[2];
            int32_t n_owners = 0;
            for (int i = 0; i < 2; i++) {
                if (owners[i]) { list[n_owners++] = owners[i]; }
            }
            status = column_new(phys, total, bits, owners[1] ? owners[1]->data : NULL, list, n_owners, children,
                                n_children, out, err);
        } else {
            for (int32_t c = 0; children && c < n_children; c++) { column_unref(children[c]); }
            buffer_unref(owners[0]);
            buffer_unref(owners[1]);
        }
        free(children);
        free(parts);
        return status;
    }
    struct column_builder builder;
    status = column_builder_init(&builder, pool, phys, total, false, err);
    if (status != SABOT_OK) {
        buffer_unref(validity);
        return status;
    }
    builder.validity_buffer = validity;
    builder.validity = (uint64_t *)(uintptr_t)bits;
    const size_t size = phys_size(phys);
    char *target = builder.values;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        const size_t bytes = (size_t)columns[i]->length * size;
        if (bytes > 0) { memcpy(target, columns[i]->values, bytes); }
        target += bytes;
        if (phys == PHYS_VIEW) { status = column_builder_share(&builder, columns[i], err); }
    }
    if (status == SABOT_OK) { return column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

sabot_status column_concat(struct memory_pool *pool, struct column *const *columns, int32_t n, struct column **out,
                           struct sabot_error *err) {
    assert(n > 0);
    *out = NULL;
    struct column **flat = calloc((size_t)n, sizeof *flat);
    if (!flat) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
    sabot_status status = SABOT_OK;
    int64_t total = 0;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        total += columns[i]->length;
        if (column_is_flat(columns[i])) {
            flat[i] = column_ref(columns[i]);
        } else {
            status = take(pool, columns[i], NULL, columns[i]->length, true, &flat[i], err);
        }
    }
    if (status == SABOT_OK && total > INT32_MAX) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "more than %d rows in one column", INT32_MAX);
    }
    if (status == SABOT_OK) { status = concat_flat_columns(pool, flat, n, (int32_t)total, out, err); }
    for (int32_t i = 0; i < n; i++) { column_unref(flat[i]); }
    free(flat);
    return status;
}

static sabot_status concat_flat(struct memory_pool *pool, struct batch *const *batches, int32_t n, int32_t total,
                                struct batch **out, struct sabot_error *err) {
    const int32_t n_columns = batches[0]->n_columns;
    struct column **columns = calloc((size_t)n_columns + 1, sizeof *columns);
    struct column **parts = calloc((size_t)n + 1, sizeof *parts);
    sabot_status status = SABOT_OK;
    if (!columns || !parts) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a batch"); }
    for (int32_t c = 0; c < n_columns && status == SABOT_OK; c++) {
        for (int32_t i = 0; i < n; i++) { parts[i] = batches[i]->columns[c]; }
        status = concat_flat_columns(pool, parts, n, total, &columns[c], err);
    }
    if (status == SABOT_OK) {
        status = batch_new(batches[0]->schema, columns, n_columns, total, out, err);
    } else {
        for (int32_t c = 0; columns && c < n_columns; c++) { column_unref(columns[c]); }
    }
    free(columns);
    free(parts);
    return status;
}

static sabot_status concat_row_kinds(struct memory_pool *pool, struct batch *const *batches, int32_t n,
                                     struct batch *target, struct sabot_error *err) {
    bool any = false;
    for (int32_t i = 0; i < n; i++) { any = any || batches[i]->row_kinds; }
    if (!any) { return SABOT_OK; }
    SABOT_TRY(buffer_new(pool, (size_t)target->rows, &target->row_kinds_buffer, err));
    target->row_kinds = target->row_kinds_buffer->data;
    uint8_t *at = target->row_kinds_buffer->data;
    for (int32_t i = 0; i < n; i++) {
        const size_t rows = (size_t)batches[i]->rows;
        if (rows == 0) { continue; }
        if (batches[i]->row_kinds) {
            memcpy(at, batches[i]->row_kinds, rows);
        } else {
            memset(at, ROW_INSERT, rows);
        }
        at += rows;
    }
    return SABOT_OK;
}

sabot_status batch_concat(struct memory_pool *pool, struct batch *const *batches, int32_t n, struct batch **out,
                          struct sabot_error *err) {
    assert(n > 0);
    *out = NULL;
    if (n == 1) { return batch_compact(pool, batches[0], out, err); }
    struct batch **flat = calloc((size_t)n, sizeof *flat);
    if (!flat) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a batch"); }
    sabot_status status = SABOT_OK;
    int64_t total = 0, created = 0;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        status = batch_compact(pool, batches[i], &flat[i], err);
        total += batches[i]->selected;
        if (batches[i]->created_ns && (!created || batches[i]->created_ns < created)) {
            created = batches[i]->created_ns;
        }
    }
    if (status == SABOT_OK && total > INT32_MAX) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "more than %d rows in one batch", INT32_MAX);
    }
    if (status == SABOT_OK) { status = concat_flat(pool, flat, n, (int32_t)total, out, err); }
    if (status == SABOT_OK) {
        (*out)->created_ns = created;
        status = concat_row_kinds(pool, flat, n, *out, err);
        if (status != SABOT_OK) {
            batch_unref(*out);
            *out = NULL;
        }
    }
    for (int32_t i = 0; i < n; i++) { batch_unref(flat[i]); }
    free(flat);
    return status;
}

/* --- detach */
static bool is_foreign(const struct column *column) {
    if (column->phys == PHYS_VIEW) { return true; } /* which heap a view points into is not known */
    for (int32_t i = 0; i < column->n_owners; i++) {
        if (column->owners[i]->release) { return true; }
    }
    for (int32_t i = 0; i < column->n_children; i++) {
        if (is_foreign(column->children[i])) { return true; }
    }
    return false;
}

static sabot_status detach_views(const struct column *from, struct column_builder *builder, struct sabot_error *err) {
    const struct string_view *views = from->values;
    struct string_view *target = builder->values;
    size_t total = 0;
    for (int32_t i = 0; i < from->length; i++) {
        const bool valid = !from->validity || bit_is_set(from->validity, i);
        total += valid && views[i].size > STRING_VIEW_INLINE ? views[i].size : 0;
    }
    char *bytes = NULL;
    if (total > 0) { SABOT_TRY(column_builder_reserve(builder, total, &bytes, err)); }
    for (int32_t i = 0; i < from->length; i++) {
        target[i] = views[i];
        const bool valid = !from->validity || bit_is_set(from->validity, i);
        if (!valid) { memset(&target[i], 0, sizeof target[i]); }
        if (!valid || views[i].size <= STRING_VIEW_INLINE) { continue; }
        memcpy(bytes, views[i].data, views[i].size);
        target[i].data = bytes;
        bytes += views[i].size;
    }
    return SABOT_OK;
}

/* A flat column without foreign owners. */
static sabot_status column_detach(struct memory_pool *pool, struct column *from, struct column **out,
                                  struct sabot_error *err) {
    *out = NULL;
    if (!is_foreign(from)) {
        *out = column_ref(from);
        return SABOT_OK;
    }
    struct column_builder builder = {0};
    if (from->phys == PHYS_ROW || from->phys == PHYS_LIST) {
        struct column **children = calloc((size_t)from->n_children + 1, sizeof *children);
        struct buffer *owners[2] = {NULL, NULL};
        int32_t n_owners = 0;
        sabot_status status = SABOT_OK;
        if (!children) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
        for (int32_t i = 0; i < from->n_children && status == SABOT_OK; i++) {
            status = column_detach(pool, from->children[i], &children[i], err);
        }
        const uint64_t *bits = NULL;
        const void *values = NULL;
        if (status == SABOT_OK && from->validity) {
            status = buffer_new(pool, ((size_t)from->length + 63) / 64 * 8, &owners[n_owners], err);
            if (status == SABOT_OK) {
                bits = memcpy(owners[n_owners]->data, from->validity, owners[n_owners]->size);
                n_owners++;
            }
        }
        if (status == SABOT_OK && from->phys == PHYS_LIST) {
            status = buffer_new(pool, ((size_t)from->length + 1) * sizeof(int32_t), &owners[n_owners], err);
            if (status == SABOT_OK) {
                values = memcpy(owners[n_owners]->data, from->values, owners[n_owners]->size);
                n_owners++;
            }
        }
        if (status == SABOT_OK) {
            status = column_new(from->phys, from->length, bits, values, owners, n_owners, children, from->n_children,
                                out, err);
        } else {
            for (int32_t i = 0; i < from->n_children; i++) { column_unref(children[i]); }
            for (int32_t i = 0; i < n_owners; i++) { buffer_unref(owners[i]); }
        }
        free(children);
        return status;
    }
    SABOT_TRY(column_builder_init(&builder, pool, from->phys, from->length, from->validity != NULL, err));
    if (from->validity) { memcpy(builder.validity, from->validity, ((size_t)from->length + 63) / 64 * 8); }
    sabot_status status = SABOT_OK;
    if (from->phys == PHYS_VIEW) {
        status = detach_views(from, &builder, err);
    } else {
        memcpy(builder.values, from->values, (size_t)from->length * phys_size(from->phys));
    }
    if (status == SABOT_OK) { return column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

sabot_status batch_detach(struct memory_pool *pool, struct batch *batch, struct batch **out, struct sabot_error *err) {
    *out = NULL;
    BATCH_OWNED struct batch *flat = NULL;
    SABOT_TRY(batch_compact(pool, batch, &flat, err));
    struct column **columns = calloc((size_t)flat->n_columns + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a batch"); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < flat->n_columns && status == SABOT_OK; i++) {
        status = column_detach(pool, flat->columns[i], &columns[i], err);
    }
    if (status == SABOT_OK) {
        status = batch_with_columns(flat, flat->schema, columns, flat->n_columns, out, err);
    } else {
        for (int32_t i = 0; i < flat->n_columns; i++) { column_unref(columns[i]); }
    }
    free(columns);
    return status;
}
