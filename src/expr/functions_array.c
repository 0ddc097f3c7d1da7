/* Functions of whole arrays and maps: searching, and new arrays out of the elements of one. */
#include "expr/signature.h"

#include <stdlib.h>

/* The elements of a row: [first, behind) of the child column. */
struct span {
    int32_t first, behind;
};
static struct span span_at(const struct column *list, int32_t row) {
    const int32_t *offsets = list->values;
    const int64_t at = column_at(list, row);
    return (struct span){offsets[at], offsets[at + 1]};
}

/* ---- searching --------------------------------------------------------------------------------------------------- */

/* Position of the needle, from 1; 0: it is not there. NULL is found as a value. */
static int32_t find(const struct kernel_call *call, int32_t row) {
    const struct column *list = call->args[0], *needle = call->args[1];
    const struct span span = span_at(list, row);
    const struct type type = call->expr->args[1]->type;
    for (int32_t i = span.first; i < span.behind; i++) {
        if (column_compare(list->children[0], i, needle, row, type) == 0) { return i - span.first + 1; }
    }
    return 0;
}

static sabot_status position_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, { put_int(call, row, find(call, row)); })
    return SABOT_OK;
}

static sabot_status contains_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const bool is_null = column_is_null(call->args[0], row);
        put_bool(call, row, !is_null && find(call, row) > 0);
        if (is_null) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

sabot_status bind_array_find(const struct function *function, struct function_binding *binding,
                             struct sabot_error *err) {
    const struct type list = binding->args[0]->type;
    if (list.kind != TYPE_ARRAY) { return binding_refuse(function, binding, err); }
    SABOT_TRY(binding_expect(function, binding, 1, list.fields[0].type, err));
    const bool position = function->name[6] == 'P';
    binding->result = type_of(position ? TYPE_INT32 : TYPE_BOOL);
    binding->result.nullable = list.nullable || (position && binding->args[1]->type.nullable);
    binding->kernel = position ? position_kernel : contains_kernel;
    return SABOT_OK;
}

/* ---- new arrays -------------------------------------------------------------------------------------------------- */

static int32_t reverse_row(const struct span span, int32_t *picked) {
    int32_t n = 0;
    for (int32_t i = span.behind; i > span.first; i--) { picked[n++] = i - 1; }
    return n;
}

static int32_t distinct_row(const struct column *child, struct type type, const struct span span, int32_t *picked) {
    int32_t n = 0;
    for (int32_t i = span.first; i < span.behind; i++) {
        bool known = false;
        for (int32_t k = 0; k < n && !known; k++) { known = column_compare(child, i, child, picked[k], type) == 0; }
        if (!known) { picked[n++] = i; }
    }
    return n;
}

static sabot_status pick_rows(struct kernel_call *call, int32_t *picked, struct sabot_error *err) {
    const struct column *list = call->args[0];
    const struct type element = call->expr->type.fields[0].type;
    const bool distinct = call->expr->function->name[6] == 'D';
    const size_t words = ((size_t)call->physical_rows + 63) / 64 + 1;
    struct buffer *owners[2] = {NULL, NULL};
    struct column *child = NULL;
    SABOT_TRY(buffer_new(call->context->pool, ((size_t)call->physical_rows + 1) * sizeof(int32_t), &owners[0], err));
    sabot_status status = buffer_new(call->context->pool, words * sizeof(uint64_t), &owners[1], err);
    int32_t n = 0;
    if (status == SABOT_OK) {
        int32_t *offsets = (int32_t *)(void *)owners[0]->data;
        uint64_t *validity = (uint64_t *)(void *)owners[1]->data;
        memset(validity, 0, words * sizeof(uint64_t));
        int32_t next = 0;
        for (int32_t row = 0; row < call->physical_rows; row++) {
            offsets[row] = n;
            if (next == call->n_rows || kernel_row(call, next) != row) { continue; }
            next++;
            validity[row >> 6] |= UINT64_C(1) << (row & 63);
            n += distinct ? distinct_row(list->children[0], element, span_at(list, row), picked + n)
                          : reverse_row(span_at(list, row), picked + n);
        }
        offsets[call->physical_rows] = n;
        status = column_take(call->context->pool, list->children[0], picked, n, &child, err);
    }
    if (status != SABOT_OK) {
        buffer_unref(owners[0]);
        buffer_unref(owners[1]);
        return status;
    }
    return column_new(PHYS_LIST, call->physical_rows, (const uint64_t *)(void *)owners[1]->data, owners[0]->data,
        owners, 2,
                      &child, 1, &call->column, err);
}

static sabot_status pick_kernel(struct kernel_call *call, struct sabot_error *err) {
    int64_t most = 0;
    FOR_ROWS(call, row, {
        const struct span span = span_at(call->args[0], row);
        most += span.behind - span.first;
    })
    if (most > INT32_MAX) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "too many elements in the arrays of one batch"); }
    int32_t *picked = malloc(((size_t)most + 1) * sizeof *picked);
    if (!picked) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an array"); }
    const sabot_status status = pick_rows(call, picked, err);
    free(picked);
    return status;
}

sabot_status bind_array_pick(const struct function *function, struct function_binding *binding,
                             struct sabot_error *err) {
    if (binding->args[0]->type.kind != TYPE_ARRAY) { return binding_refuse(function, binding, err); }
    binding->result = binding->args[0]->type;
    binding->kernel = pick_kernel;
    return SABOT_OK;
}
