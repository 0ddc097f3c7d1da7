/* Building ARRAY<STRING> and MAP<STRING, STRING> results of strings that stand in the arguments. */
#ifndef EXPR_STRING_LISTS_H
#define EXPR_STRING_LISTS_H

#include "expr/signature.h"

struct string_lists {
    struct string_view *items[2]; /* elements; or keys and values */
    uint8_t *is_null;             /* of the values */
    size_t n, capacity;
    struct buffer *offsets, *validity;
    int32_t next_row; /* the first row whose beginning is not noted */
};
sabot_status string_lists_init(struct string_lists *lists, const struct kernel_call *call, struct sabot_error *err);
/* Rows come in ascending order; what is added from here on is the row's. Rows left out are NULL. */
void string_lists_row(struct string_lists *lists, int32_t row);
/* value.data NULL: NULL. For arrays the key is the element and the value is left out. Bytes are borrowed: they stand in
 * an argument, or are at most 12. */
sabot_status string_lists_add(struct string_lists *lists, struct slice key, struct slice value,
                              struct sabot_error *err);
/* Sets call->column to an array (is_map: a map); the heaps of the arguments are kept. Frees everything, on failure too.
 */
sabot_status string_lists_finish(struct string_lists *lists, struct kernel_call *call, bool is_map,
                                 struct sabot_error *err);
void string_lists_clear(struct string_lists *lists);
/* ARRAY<STRING>, and MAP<STRING, STRING>, as a result. */
sabot_status string_lists_type(struct arena *arena, bool is_map, struct type *out, struct sabot_error *err);

#endif
