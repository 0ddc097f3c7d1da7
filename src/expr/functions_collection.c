/* ROW, ARRAY and MAP constructors, element access, CARDINALITY. */
#include <stdlib.h>

#include "expr/function.h"

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
}

/* --- ROW */
static sabot_status row_kernel(struct kernel_call *call, struct sabot_error *err) {
    for (int32_t i = 0; i < call->n_args; i++) { column_ref(call->args[i]); }
    return column_new(PHYS_ROW, call->physical_rows, NULL, NULL, NULL, 0, call->args, call->n_args, &call->column, err);
}

sabot_status bind_row(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    (void)function;
    struct field *fields = arena_alloc(binding->arena, (size_t)binding->n_args * sizeof *fields);
    if (!fields) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    for (int32_t i = 0; i < binding->n_args; i++) {
        fields[i] = (struct field){.name = arena_format(binding->arena, "EXPR$%d", i), .type = binding->args[i]->type};
        if (!fields[i].name) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    }
    binding->result = type_not_null(type_of(TYPE_ROW));
    binding->result.n_fields = binding->n_args;
    binding->result.fields = fields;
    binding->kernel = row_kernel;
    return SABOT_OK;
}

/* --- ARRAY, MAP */
/* Arguments first, first + step, ... of each row one behind the other; rows that are not asked for have none. */
static sabot_status interleave(struct kernel_call *call, int32_t first, int32_t step, struct column **out,
                               struct sabot_error *err) {
    *out = NULL;
    const int32_t width = call->n_args / step;
    struct column **columns = calloc((size_t)width, sizeof *columns);
    int32_t *rows = malloc(((size_t)call->n_rows * (size_t)width + 1) * sizeof *rows);
    COLUMN_OWNED struct column *all = NULL;
    sabot_status status = columns && rows ? SABOT_OK : no_memory(err);
    if (status == SABOT_OK) {
        for (int32_t k = 0; k < width; k++) { columns[k] = call->args[first + k * step]; }
        int64_t n = 0;
        for (int32_t i = 0; i < call->n_rows; i++) {
            for (int32_t k = 0; k < width; k++) { rows[n++] = k * call->physical_rows + kernel_row(call, i); }
        }
        status = n <= INT32_MAX && (int64_t)width * call->physical_rows <= INT32_MAX
                     ? column_concat(call->context->pool, columns, width, &all, err)
                     : SABOT_FAIL(err, SABOT_ERR_MEMORY, "too many elements in the arrays of one batch");
        if (status == SABOT_OK) { status = column_take(call->context->pool, all, rows, (int32_t)n, out, err); }
    }
    free(columns);
    free(rows);
    return status;
}

static sabot_status list_around(struct kernel_call *call, struct column *child, int32_t width,
                                struct sabot_error *err) {
    struct buffer *offsets;
    const sabot_status status =
        buffer_new(call->context->pool, ((size_t)call->physical_rows + 1) * sizeof(int32_t), &offsets, err);
    if (status != SABOT_OK) {
        column_unref(child);
        return status;
    }
    int32_t *at = (int32_t *)(void *)offsets->data, total = 0, next = 0;
    for (int32_t row = 0; row < call->physical_rows; row++) {
        at[row] = total;
        if (next < call->n_rows && kernel_row(call, next) == row) {
            total += width;
            next++;
        }
    }
    at[call->physical_rows] = total;
    return column_new(PHYS_LIST, call->physical_rows, NULL, at, &offsets, 1, &child, 1, &call->column, err);
}

static sabot_status array_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct column *child;
    SABOT_TRY(interleave(call, 0, 1, &child, err));
    return list_around(call, child, call->n_args, err);
}

static sabot_status map_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct column *parts[2], *entries;
    SABOT_TRY(interleave(call, 0, 2, &parts[0], err));
    const sabot_status status = interleave(call, 1, 2, &parts[1], err);
    if (status != SABOT_OK) {
        column_unref(parts[0]);
        return status;
    }
    SABOT_TRY(column_new(PHYS_ROW, parts[0]->length, NULL, NULL, NULL, 0, parts, 2, &entries, err));
    return list_around(call, entries, call->n_args / 2, err);
}

/* The common type of arguments first, first + step, ...; they are cast to it. */
static sabot_status join_types(struct function_binding *binding, int32_t first, int32_t step, struct type *out,
                               struct sabot_error *err) {
    struct type *types = arena_alloc(binding->arena, (size_t)binding->n_args * sizeof *types);
    if (!types) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    int32_t n = 0;
    for (int32_t i = first; i < binding->n_args; i += step) { types[n++] = binding->args[i]->type; }
    SABOT_TRY(type_common(types, n, out, err));
    for (int32_t i = first; i < binding->n_args; i += step) { SABOT_TRY(binding_cast(binding, i, *out, err)); }
    return SABOT_OK;
}

static sabot_status nested_result(struct function_binding *binding, enum type_kind kind, const struct type *types,
                                  int32_t n, struct sabot_error *err) {
    struct field *fields = arena_alloc(binding->arena, (size_t)n * sizeof *fields);
    if (!fields) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    for (int32_t i = 0; i < n; i++) {
        fields[i] = (struct field){.name = kind == TYPE_ARRAY ? "element" : i ? "value" : "key", .type = types[i]};
    }
    binding->result = type_not_null(type_of(kind));
    binding->result.n_fields = n;
    binding->result.fields = fields;
    return SABOT_OK;
}

sabot_status bind_array(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    (void)function;
    struct type element;
    SABOT_TRY(join_types(binding, 0, 1, &element, err));
    binding->kernel = array_kernel;
    return nested_result(binding, TYPE_ARRAY, &element, 1, err);
}

sabot_status bind_map(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    struct type types[2];
    if (binding->n_args % 2) { return binding_refuse(function, binding, err); }
    SABOT_TRY(join_types(binding, 0, 2, &types[0], err));
    SABOT_TRY(join_types(binding, 1, 2, &types[1], err));
    binding->kernel = map_kernel;
    return nested_result(binding, TYPE_MAP, types, 2, err);
}

/* --- [] */
static int64_t index_at(const struct kernel_call *call, int32_t row) {
    return ((const int64_t *)call->args[1]->values)[column_at(call->args[1], row)];
}

/* Where the element of a row stands in the list's child, or -1. */
static int32_t element_at(const struct kernel_call *call, int32_t row) {
    const struct column *list = call->args[0];
    const int32_t *offsets = list->values;
    const int64_t at = column_at(list, row);
    const int32_t from = offsets[at], to = offsets[at + 1];
    if (call->expr->args[0]->type.kind == TYPE_ARRAY) {
        const int64_t index = index_at(call, row);
        return index >= 1 && index <= to - from ? (int32_t)(from + index - 1) : -1;
    }
    const struct column *keys = list->children[0]->children[0];
    for (int32_t i = to - 1; i >= from; i--) { /* the last of equal keys counts */
        if (column_compare(keys, i, call->args[1], row, call->expr->args[1]->type) == 0) { return i; }
    }
    return -1;
}

static sabot_status element_kernel(struct kernel_call *call, struct sabot_error *err) {
    int32_t *rows = malloc(((size_t)call->physical_rows + 1) * sizeof *rows);
    if (!rows) { return no_memory(err); }
    for (int32_t i = 0; i < call->physical_rows; i++) { rows[i] = -1; }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        rows[row] = element_at(call, row);
    }
    const struct column *child = call->args[0]->children[0];
    if (call->expr->args[0]->type.kind == TYPE_MAP) { child = child->children[1]; }
    const sabot_status status =
        column_take(call->context->pool, child, rows, call->physical_rows, &call->column, err);
    free(rows);
    return status;
}

sabot_status bind_element(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    const struct type from = binding->args[0]->type;
    if (from.kind == TYPE_ROW) {
        const void *value = NULL;
        SABOT_TRY(binding_expect(function, binding, 1, type_of(TYPE_INT64), err));
        struct expr *index;
        SABOT_TRY(expr_fold(binding->arena, binding->args[1], &index, err));
        if (!expr_literal_value(index, &value) || !value || *(const int64_t *)value < 1 ||
            *(const int64_t *)value > from.n_fields) {
            return EXPR_FAIL(err, SABOT_ERR_PLAN, binding->span, "row[n] needs a number from 1 to %d", from.n_fields);
        }
        return expr_field(binding->arena, binding->args[0], from.fields[*(const int64_t *)value - 1].name,
                          binding->span, &binding->replacement, err);
    }
    if (from.kind != TYPE_ARRAY && from.kind != TYPE_MAP) { return binding_refuse(function, binding, err); }
    const bool is_map = from.kind == TYPE_MAP;
    SABOT_TRY(binding_expect(function, binding, 1, is_map ? from.fields[0].type : type_of(TYPE_INT64), err));
    binding->result = type_nullable(from.fields[is_map].type);
    binding->kernel = element_kernel;
    return SABOT_OK;
}

/* --- CARDINALITY */
static sabot_status cardinality_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const int32_t *offsets = call->args[0]->values;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        const int64_t at = column_at(call->args[0], row);
        ((int32_t *)call->result->values)[row] = offsets[at + 1] - offsets[at];
    }
    return SABOT_OK;
}

sabot_status bind_cardinality(const struct function *function, struct function_binding *binding,
                              struct sabot_error *err) {
    const enum type_kind kind = binding->args[0]->type.kind;
    if (kind != TYPE_ARRAY && kind != TYPE_MAP) { return binding_refuse(function, binding, err); }
    binding->result = type_of(TYPE_INT32);
    binding->result.nullable = binding->args[0]->type.nullable;
    binding->kernel = cardinality_kernel;
    return SABOT_OK;
}
