/* A column under construction, of any type and any depth: what decoders write records into.
 *
 * Rows of the top column and of the fields of a ROW are written by index 0..rows-1; elements of a LIST are appended.
 * A row that is not written stays undefined, so a decoder writes or nulls each of them. */
#ifndef ARROW_VECTOR_H
#define ARROW_VECTOR_H

#include "arrow/batch.h"

struct vector {
    struct type type;
    enum phys phys;
    struct memory_pool *pool;
    int32_t rows;     /* written by index: as told to vector_init; a list's elements: how many there are so far */
    int32_t capacity; /* rows that the buffers have room for */
    bool has_nulls;   /* validity counts */
    void *values;     /* LIST: int32_t offsets[capacity + 1] */
    uint64_t *validity;
    struct buffer *values_buffer, *validity_buffer;
    struct vector *children; /* ROW: fields; LIST: [0]; MAP: [0] is a ROW of key and value */
    int32_t n_children;
    struct heaps heaps; /* our own blocks, and the record block where views point into it */
    const struct buffer *shared; /* the foreign block that is among the heaps already */
};

#define VECTOR_LIST_ELEMENTS_MAX (1 << 28)

sabot_status vector_init(struct vector *vector, struct memory_pool *pool, struct type type, int32_t rows,
                         struct sabot_error *err);
/* Safe on zeroes and after finish. */
void vector_clear(struct vector *vector);
/* Makes the column, constant validity left out where no row is NULL, and empties the vector. */
sabot_status vector_finish(struct vector *vector, struct column **out, struct sabot_error *err);

void vector_null_all_children(struct vector *vector, int32_t row);
/* NULL, with a zero value under it; fields of a ROW too. */
static inline void vector_set_null(struct vector *vector, int32_t row) {
    vector->has_nulls = true;
    vector->validity[row >> 6] &= ~(UINT64_C(1) << (row & 63));
    switch (vector->phys) {
    case PHYS_VIEW: ((struct string_view *)vector->values)[row] = (struct string_view){0}; break;
    case PHYS_I64:
    case PHYS_F64: ((int64_t *)vector->values)[row] = 0; break;
    case PHYS_I32:
    case PHYS_F32: ((int32_t *)vector->values)[row] = 0; break;
    case PHYS_I16: ((int16_t *)vector->values)[row] = 0; break;
    case PHYS_I8:
    case PHYS_BOOL: ((int8_t *)vector->values)[row] = 0; break;
    case PHYS_I128: ((__int128 *)vector->values)[row] = 0; break;
    case PHYS_LIST:
    case PHYS_ROW: vector_null_all_children(vector, row); break;
    case PHYS_NULL: break;
    }
}
/* A row that was NULL (a field that came twice in a record) is not any more. */
static inline void vector_set_valid(struct vector *vector, int32_t row) {
    if (vector->has_nulls) { vector->validity[row >> 6] |= UINT64_C(1) << (row & 63); }
}

static inline bool vector_is_null(const struct vector *vector, int32_t row) {
    return vector->has_nulls && !(vector->validity[row >> 6] >> (row & 63) & 1);
}

/* Room for one more element of a list; its index. */
sabot_status vector_append(struct vector *element, int32_t *row, struct sabot_error *err);
/* Begins row `row` of a LIST; what it held before (a field that came twice in a record) is forgotten. */
void vector_list_begin(struct vector *list, int32_t row);
/* Ends row `row` of a LIST: all elements appended since the row before are its own. */
static inline void vector_list_end(struct vector *list, int32_t row) {
    ((int32_t *)list->values)[row + 1] = list->children[0].rows;
}

/* Space for `size` string bytes that live as long as the column. */
sabot_status vector_reserve(struct vector *vector, size_t size, char **out, struct sabot_error *err);
sabot_status vector_share_block(struct vector *vector, struct buffer *block, struct sabot_error *err);
/* A string that stands in `block` (NULL: somewhere that goes away, so it is copied). */
static inline sabot_status vector_set_string(struct vector *vector, int32_t row, const char *data, size_t size,
                                             struct buffer *block, struct sabot_error *err) {
    struct string_view *views = vector->values;
    if (size > STRING_VIEW_INLINE) {
        if (block && vector->shared != block) { SABOT_TRY(vector_share_block(vector, block, err)); }
        if (!block) {
            char *copy;
            SABOT_TRY(vector_reserve(vector, size, &copy, err));
            memcpy(copy, data, size);
            data = copy;
        }
    }
    views[row] = string_view_of(data, (uint32_t)size);
    return SABOT_OK;
}

#endif
