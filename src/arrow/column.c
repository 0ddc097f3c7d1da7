/* Columns and their builders. */
#include "arrow/batch.h"

#include <assert.h>
#include <stdlib.h>

#define HEAP_BLOCK_MIN ((size_t)16 * 1024)
#define HEAP_BLOCK_MAX ((size_t)1024 * 1024)

bool string_view_equal(const struct string_view *a, const struct string_view *b) {
    if (memcmp(a, b, 8) != 0) { return false; } /* size and prefix */
    if (a->size <= STRING_VIEW_INLINE) { return memcmp(a->rest, b->rest, 8) == 0; }
    return a->data == b->data || memcmp(a->data + 4, b->data + 4, a->size - 4) == 0;
}

int string_view_compare(const struct string_view *a, const struct string_view *b) {
    const uint32_t size = a->size < b->size ? a->size : b->size;
    const int order = memcmp(string_view_data(a), string_view_data(b), size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

struct column *column_ref(struct column *column) {
    if (column) { atomic_fetch_add_explicit(&column->refs, 1, memory_order_relaxed); }
    return column;
}

void column_unref(struct column *column) {
    if (!column || atomic_fetch_sub_explicit(&column->refs, 1, memory_order_acq_rel) != 1) { return; }
    for (int32_t i = 0; i < column->n_children; i++) { column_unref(column->children[i]); }
    for (int32_t i = 0; i < column->n_owners; i++) { buffer_unref(column->owners[i]); }
    free(column);
}

void column_cleanup(struct column **column) { column_unref(*column); }

sabot_status column_new(enum phys phys, int32_t length, const uint64_t *validity, const void *values,
                        struct buffer *const *owners, int32_t n_owners, struct column *const *children,
                        int32_t n_children, struct column **out, struct sabot_error *err) {
    /* one block: the column, its children, its owners */
    struct column *column = malloc(sizeof *column + (size_t)(n_children + n_owners) * sizeof(void *));
    *out = column;
    if (!column) {
        for (int32_t i = 0; i < n_children; i++) { column_unref(children[i]); }
        for (int32_t i = 0; i < n_owners; i++) { buffer_unref(owners[i]); }
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    }
    *column = (struct column){
        .phys = (uint8_t)phys,
        .length = length,
        .validity = validity,
        .values = values,
        .n_children = n_children,
        .n_owners = n_owners,
        .children = (struct column **)(column + 1),
        .owners = (struct buffer **)(column + 1) + n_children,
    };
    atomic_init(&column->refs, 1);
    for (int32_t i = 0; i < n_children; i++) { column->children[i] = children[i]; }
    for (int32_t i = 0; i < n_owners; i++) { column->owners[i] = owners[i]; }
    return SABOT_OK;
}

static size_t validity_size(int32_t rows) { return ((size_t)rows + 63) / 64 * 8; }

sabot_status column_builder_add_validity(struct column_builder *builder, struct sabot_error *err) {
    if (builder->validity) { return SABOT_OK; }
    const size_t size = validity_size(builder->rows);
    SABOT_TRY(buffer_new(builder->pool, size, &builder->validity_buffer, err));
    builder->validity = (uint64_t *)(void *)builder->validity_buffer->data;
    memset(builder->validity, 0xff, size);
    return SABOT_OK;
}

sabot_status column_builder_init(struct column_builder *builder, struct memory_pool *pool, enum phys phys,
                                 int32_t rows, bool with_validity, struct sabot_error *err) {
    assert(rows >= 0);
    *builder = (struct column_builder){.pool = pool, .phys = phys, .rows = rows};
    if (with_validity) { SABOT_TRY(column_builder_add_validity(builder, err)); }
    const sabot_status status =
        buffer_new(pool, (size_t)rows * phys_size(phys), &builder->values_buffer, err);
    if (status != SABOT_OK) {
        column_builder_clear(builder);
        return status;
    }
    builder->values = builder->values_buffer->data;
    return SABOT_OK;
}

sabot_status column_builder_reserve(struct column_builder *builder, size_t size, char **out, struct sabot_error *err) {
    struct heaps *heaps = &builder->heaps;
    size_t block = heaps->n ? heaps->buffers[heaps->n - 1]->size * 2 : HEAP_BLOCK_MIN;
    block = block > HEAP_BLOCK_MAX ? HEAP_BLOCK_MAX : block < HEAP_BLOCK_MIN ? HEAP_BLOCK_MIN : block;
    return heaps_reserve(heaps, builder->pool, block, size, out, err);
}

sabot_status column_builder_share(struct column_builder *builder, const struct column *from, struct sabot_error *err) {
    for (int32_t i = 0; i < from->n_owners; i++) {
        struct buffer *owner = from->owners[i];
        /* not what views point into: the validity, and the views themselves unless the bytes follow them */
        const bool is_own_part = owner->data == (const void *)from->validity ||
                                 (owner->data == (const void *)from->values && !from->constant);
        if (is_own_part && !owner->release) { continue; }
        bool known = false;
        for (int32_t at = builder->heaps.n; at > 0 && !known; at--) { known = builder->heaps.buffers[at - 1] == owner; }
        if (!known) { SABOT_TRY(heaps_add(&builder->heaps, buffer_ref(owner), err)); }
    }
    return SABOT_OK;
}

void column_builder_clear(struct column_builder *builder) {
    buffer_unref(builder->validity_buffer);
    buffer_unref(builder->values_buffer);
    heaps_clear(&builder->heaps);
    *builder = (struct column_builder){0};
}

sabot_status column_builder_finish(struct column_builder *builder, struct column **out, struct sabot_error *err) {
    *out = NULL;
    const int32_t more = (builder->values_buffer != NULL) + (builder->validity_buffer != NULL);
    struct buffer **owners = malloc((size_t)(builder->heaps.n + more) * sizeof(struct buffer *) + 1);
    if (!owners) {
        column_builder_clear(builder);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    }
    int32_t n = 0;
    if (builder->values_buffer) { owners[n++] = builder->values_buffer; }
    if (builder->validity_buffer) { owners[n++] = builder->validity_buffer; }
    for (int32_t i = 0; i < builder->heaps.n; i++) { owners[n++] = builder->heaps.buffers[i]; }
    const sabot_status status = column_new(builder->phys, builder->rows, builder->validity, builder->values, owners, n,
                                           NULL, 0, out, err);
    free(owners);
    free(builder->heaps.buffers);
    *builder = (struct column_builder){0}; /* the references went with column_new, on success and failure */
    return status;
}

static const uint64_t no_bits = 0;

sabot_status column_constant(struct memory_pool *pool, enum phys phys, const void *value, int32_t rows,
                             struct column **out, struct sabot_error *err) {
    *out = NULL;
    if (phys == PHYS_NULL) { return column_new(PHYS_NULL, rows, NULL, NULL, NULL, 0, NULL, 0, out, err); }
    const size_t size = phys_size(phys);
    struct buffer *owner = NULL;
    if (value) {
        const struct string_view *view = value;
        const size_t heap = phys == PHYS_VIEW && view->size > STRING_VIEW_INLINE ? view->size : 0;
        SABOT_TRY(buffer_new(pool, size + heap, &owner, err));
        memcpy(owner->data, value, size);
        if (heap) {
            memcpy(owner->data + size, view->data, heap);
            ((struct string_view *)(void *)owner->data)->data = (const char *)owner->data + size;
        }
    } else {
        SABOT_TRY(buffer_new(pool, size, &owner, err)); /* a readable value, so that kernels need no special case */
        memset(owner->data, 0, size);
    }
    SABOT_TRY(column_new(phys, rows, value ? NULL : &no_bits, owner->data, &owner, 1, NULL, 0, out, err));
    (*out)->constant = true;
    return SABOT_OK;
}

sabot_status column_all_null(struct memory_pool *pool, struct type type, int32_t rows, struct column **out,
                             struct sabot_error *err) {
    *out = NULL;
    const enum phys phys = type_phys(type);
    if (phys != PHYS_ROW && phys != PHYS_LIST) { return column_constant(pool, phys, NULL, rows, out, err); }

    struct column *children[1] = {NULL};
    struct column **fields = children;
    int32_t n_children = 1;
    sabot_status status = SABOT_OK;
    struct buffer *offsets = NULL;
    if (phys == PHYS_ROW) {
        n_children = type.n_fields;
        fields = calloc((size_t)n_children + 1, sizeof *fields);
        if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
        for (int32_t i = 0; i < n_children && status == SABOT_OK; i++) {
            status = column_all_null(pool, type.fields[i].type, rows, &fields[i], err);
        }
    } else {
        struct type element = type.fields[0].type;
        if (type.kind == TYPE_MAP) { element = (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = type.fields}; }
        status = column_all_null(pool, element, 0, &fields[0], err);
        if (status == SABOT_OK) { status = buffer_new(pool, 2 * sizeof(int32_t), &offsets, err); }
        if (status == SABOT_OK) { memset(offsets->data, 0, 2 * sizeof(int32_t)); }
    }
    if (status == SABOT_OK) {
        status = column_new(phys, rows, &no_bits, offsets ? offsets->data : NULL, &offsets, offsets ? 1 : 0, fields,
                            n_children, out, err);
        if (status == SABOT_OK) { (*out)->constant = true; }
    } else {
        for (int32_t i = 0; i < n_children; i++) { column_unref(fields[i]); }
    }
    if (fields != children) { free(fields); }
    return status;
}
