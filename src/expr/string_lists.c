/* Building ARRAY<STRING> and MAP<STRING, STRING> results: see string_lists.h. */
#include "expr/string_lists.h"

#include <stdlib.h>

sabot_status string_lists_init(struct string_lists *lists, const struct kernel_call *call, struct sabot_error *err) {
    *lists = (struct string_lists){.n = 0};
    struct memory_pool *pool = call->context->pool;
    const size_t words = ((size_t)call->physical_rows + 63) / 64 + 1;
    SABOT_TRY(buffer_new(pool, ((size_t)call->physical_rows + 1) * sizeof(int32_t), &lists->offsets, err));
    const sabot_status status = buffer_new(pool, words * sizeof(uint64_t), &lists->validity, err);
    if (status != SABOT_OK) {
        string_lists_clear(lists);
        return status;
    }
    memset(lists->validity->data, 0, words * sizeof(uint64_t));
    return SABOT_OK;
}

void string_lists_clear(struct string_lists *lists) {
    buffer_unref(lists->offsets);
    buffer_unref(lists->validity);
    free(lists->items[0]);
    free(lists->items[1]);
    free(lists->is_null);
    *lists = (struct string_lists){.n = 0};
}

void string_lists_row(struct string_lists *lists, int32_t row) {
    int32_t *offsets = (int32_t *)(void *)lists->offsets->data;
    uint64_t *validity = (uint64_t *)(void *)lists->validity->data;
    while (lists->next_row <= row) { offsets[lists->next_row++] = (int32_t)lists->n; }
    validity[row >> 6] |= UINT64_C(1) << (row & 63);
}

static sabot_status grow(struct string_lists *lists, struct sabot_error *err) {
    if (lists->n < lists->capacity) { return SABOT_OK; }
    const size_t capacity = lists->capacity ? lists->capacity * 2 : 1024;
    if (capacity > INT32_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "too many elements in the arrays of one batch");
    }
    struct string_view *keys = realloc(lists->items[0], capacity * sizeof *keys);
    if (keys) { lists->items[0] = keys; }
    struct string_view *values = realloc(lists->items[1], capacity * sizeof *values);
    if (values) { lists->items[1] = values; }
    uint8_t *is_null = realloc(lists->is_null, capacity);
    if (is_null) { lists->is_null = is_null; }
    if (!keys || !values || !is_null) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an array");
    }
    lists->capacity = capacity;
    return SABOT_OK;
}

sabot_status string_lists_add(struct string_lists *lists, struct slice key, struct slice value,
                              struct sabot_error *err) {
    SABOT_TRY(grow(lists, err));
    lists->items[0][lists->n] = string_view_of(key.data ? key.data : "", (uint32_t)key.size);
    lists->items[1][lists->n] = string_view_of(value.data ? value.data : "", (uint32_t)value.size);
    lists->is_null[lists->n++] = value.data == NULL;
    return SABOT_OK;
}

/* The elements as a column; `of` 1: the values. */
static sabot_status child_column(const struct string_lists *lists, const struct kernel_call *call, int of,
                                 struct column **out, struct sabot_error *err) {
    struct column_builder builder;
    const int32_t n = (int32_t)lists->n;
    SABOT_TRY(column_builder_init(&builder, call->context->pool, PHYS_VIEW, n, of == 1, err));
    if (n > 0) { memcpy(builder.values, lists->items[of], (size_t)n * sizeof(struct string_view)); }
    for (int32_t i = 0; of == 1 && i < n; i++) {
        if (lists->is_null[i]) { column_builder_set_null(&builder, i); }
    }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_args && status == SABOT_OK; i++) {
        if (call->args[i]->phys == PHYS_VIEW) { status = column_builder_share(&builder, call->args[i], err); }
    }
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

sabot_status string_lists_finish(struct string_lists *lists, struct kernel_call *call, bool is_map,
                                 struct sabot_error *err) {
    int32_t *offsets = (int32_t *)(void *)lists->offsets->data;
    struct column *children[2] = {NULL, NULL}, *child = NULL;
    while (lists->next_row <= call->physical_rows) { offsets[lists->next_row++] = (int32_t)lists->n; }
    sabot_status status = child_column(lists, call, 0, &children[0], err);
    if (status == SABOT_OK && is_map) { status = child_column(lists, call, 1, &children[1], err); }
    if (status == SABOT_OK) {
        child = children[0];
        children[0] = NULL;
        if (is_map) {
            struct column *parts[2] = {child, children[1]};
            children[1] = child = NULL;
            status = column_new(PHYS_ROW, (int32_t)lists->n, NULL, NULL, NULL, 0, parts, 2, &child, err);
        }
    }
    if (status == SABOT_OK) {
        struct buffer *owners[2] = {buffer_ref(lists->offsets), buffer_ref(lists->validity)};
        status = column_new(PHYS_LIST, call->physical_rows, (const uint64_t *)(void *)lists->validity->data, offsets,
                            owners, 2, &child, 1, &call->column, err);
    }
    column_unref(children[0]);
    column_unref(children[1]);
    string_lists_clear(lists);
    return status;
}

sabot_status string_lists_type(struct arena *arena, bool is_map, struct type *out, struct sabot_error *err) {
    struct field *fields = arena_alloc(arena, 2 * sizeof *fields);
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    fields[0] = (struct field){.name = is_map ? "key" : "element", .type = type_of(TYPE_STRING)};
    fields[1] = (struct field){.name = "value", .type = type_of(TYPE_STRING)};
    *out = type_of(is_map ? TYPE_MAP : TYPE_ARRAY);
    out->n_fields = is_map ? 2 : 1;
    out->fields = fields;
    return SABOT_OK;
}
