/* Columns under construction for decoders. */
#include "arrow/vector.h"

#include <stdlib.h>

#define HEAP_BYTES ((size_t)64 * 1024)
#define LIST_ELEMENTS_FIRST 1024

static sabot_status vector_room(struct vector *vector, int32_t capacity, struct sabot_error *err) {
    const size_t size = vector->phys == PHYS_LIST ? sizeof(int32_t) : phys_size(vector->phys);
    const size_t slots = (size_t)capacity + (vector->phys == PHYS_LIST);
    const size_t old_slots = vector->values_buffer ? (size_t)vector->rows + (vector->phys == PHYS_LIST) : 0;
    struct buffer *values = NULL, *validity = NULL;
    SABOT_TRY(buffer_new(vector->pool, slots * size, &values, err));
    const size_t bits = ((size_t)capacity + 63) / 64 * 8;
    const sabot_status status = buffer_new(vector->pool, bits, &validity, err);
    if (status != SABOT_OK) {
        buffer_unref(values);
        return status;
    }
    memset(validity->data, 0xff, bits);
    if (old_slots) { memcpy(values->data, vector->values, old_slots * size); }
    if (vector->validity) { memcpy(validity->data, vector->validity, ((size_t)vector->rows + 63) / 64 * 8); }
    buffer_unref(vector->values_buffer);
    buffer_unref(vector->validity_buffer);
    vector->values_buffer = values;
    vector->validity_buffer = validity;
    vector->values = values->data;
    vector->validity = (uint64_t *)(void *)validity->data;
    vector->capacity = capacity;
    for (int32_t i = 0; vector->phys == PHYS_ROW && i < vector->n_children; i++) {
        vector->children[i].rows = vector->rows;
        SABOT_TRY(vector_room(&vector->children[i], capacity, err));
    }
    return SABOT_OK;
}

static sabot_status vector_shape(struct vector *vector, struct memory_pool *pool, struct type type,
                                 struct sabot_error *err) {
    *vector = (struct vector){.type = type, .phys = type_phys(type), .pool = pool};
    if (vector->phys != PHYS_ROW && vector->phys != PHYS_LIST) { return SABOT_OK; }
    const bool is_map = type.kind == TYPE_MAP;
    const int32_t n = vector->phys == PHYS_LIST ? 1 : type.n_fields;
    vector->children = calloc((size_t)n + 1, sizeof *vector->children);
    if (!vector->children) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
    vector->n_children = n;
    for (int32_t i = 0; i < n; i++) {
        struct type child = is_map ? (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = type.fields}
                                   : type.fields[i].type;
        SABOT_TRY(vector_shape(&vector->children[i], pool, child, err));
    }
    return SABOT_OK;
}

static void list_starts(struct vector *vector) {
    if (vector->phys == PHYS_LIST) { ((int32_t *)vector->values)[0] = 0; }
    for (int32_t i = 0; i < vector->n_children; i++) { list_starts(&vector->children[i]); }
}

static sabot_status vector_rooms(struct vector *vector, int32_t rows, struct sabot_error *err) {
    SABOT_TRY(vector_room(vector, rows, err));
    if (vector->phys == PHYS_LIST) { return vector_rooms(&vector->children[0], LIST_ELEMENTS_FIRST, err); }
    for (int32_t i = 0; i < vector->n_children; i++) {
        /* vector_room has been here for the fields of a ROW; what is below a list in them has not. */
        struct vector *child = &vector->children[i];
        if (child->n_children) { SABOT_TRY(vector_rooms(child, rows, err)); }
    }
    return SABOT_OK;
}

static void vector_set_rows(struct vector *vector, int32_t rows) {
    vector->rows = rows;
    for (int32_t i = 0; vector->phys == PHYS_ROW && i < vector->n_children; i++) {
        vector_set_rows(&vector->children[i], rows);
    }
}

sabot_status vector_init(struct vector *vector, struct memory_pool *pool, struct type type, int32_t rows,
                         struct sabot_error *err) {
    sabot_status status = vector_shape(vector, pool, type, err);
    if (status == SABOT_OK) { status = vector_rooms(vector, rows, err); }
    if (status != SABOT_OK) {
        vector_clear(vector);
        return status;
    }
    list_starts(vector);
    vector_set_rows(vector, rows);
    return SABOT_OK;
}

void vector_clear(struct vector *vector) {
    for (int32_t i = 0; i < vector->n_children; i++) { vector_clear(&vector->children[i]); }
    free(vector->children);
    buffer_unref(vector->values_buffer);
    buffer_unref(vector->validity_buffer);
    heaps_clear(&vector->heaps);
    *vector = (struct vector){0};
}

void vector_null_all_children(struct vector *vector, int32_t row) {
    if (vector->phys == PHYS_LIST) {
        vector_list_end(vector, row);
        return;
    }
    for (int32_t i = 0; i < vector->n_children; i++) { vector_set_null(&vector->children[i], row); }
}

sabot_status vector_append(struct vector *element, int32_t *row, struct sabot_error *err) {
    if (element->rows == element->capacity) {
        if (element->capacity >= VECTOR_LIST_ELEMENTS_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "more than %d list elements in one batch: set a smaller batch_rows",
                              VECTOR_LIST_ELEMENTS_MAX);
        }
        SABOT_TRY(vector_room(element, element->capacity * 2, err));
    }
    *row = element->rows;
    vector_set_rows(element, element->rows + 1);
    vector_set_valid(element, *row);
    return SABOT_OK;
}

void vector_list_begin(struct vector *list, int32_t row) {
    vector_set_rows(&list->children[0], ((int32_t *)list->values)[row]);
}

sabot_status vector_reserve(struct vector *vector, size_t size, char **out, struct sabot_error *err) {
    return heaps_reserve(&vector->heaps, vector->pool, HEAP_BYTES, size, out, err);
}

sabot_status vector_share_block(struct vector *vector, struct buffer *block, struct sabot_error *err) {
    SABOT_TRY(heaps_add(&vector->heaps, buffer_ref(block), err));
    vector->shared = block;
    return SABOT_OK;
}

sabot_status vector_finish(struct vector *vector, struct column **out, struct sabot_error *err) {
    *out = NULL;
    const int32_t n_children = vector->n_children;
    struct column **children = calloc((size_t)n_children + 1, sizeof(struct column *));
    struct buffer **owners = calloc((size_t)vector->heaps.n + 2, sizeof(struct buffer *));
    sabot_status status = SABOT_OK;
    if (!children || !owners) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
    for (int32_t i = 0; i < n_children && status == SABOT_OK; i++) {
        status = vector_finish(&vector->children[i], &children[i], err);
    }
    if (status != SABOT_OK) {
        for (int32_t i = 0; children && i < n_children; i++) { column_unref(children[i]); }
        free(children);
        free(owners);
        return status;
    }
    int32_t n = 0;
    const void *values = vector->phys == PHYS_ROW || vector->phys == PHYS_NULL ? NULL : vector->values;
    if (values) { owners[n++] = buffer_ref(vector->values_buffer); }
    if (vector->has_nulls) { owners[n++] = buffer_ref(vector->validity_buffer); }
    for (int32_t i = 0; i < vector->heaps.n; i++) { owners[n++] = buffer_ref(vector->heaps.buffers[i]); }
    status = column_new(vector->phys, vector->rows, vector->has_nulls ? vector->validity : NULL, values, owners, n,
                        children, n_children, out, err);
    free(children);
    free(owners);
    vector_clear(vector);
    return status;
}
