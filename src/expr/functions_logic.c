/* NOT, IS ..., COALESCE, IF, NULLIF, GREATEST, LEAST. AND, OR and CASE are nodes of their own (bind.c, program.c). */
#include "expr/kernel.h"

static sabot_status not_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    uint8_t *target = call->result->values;
    const uint8_t *values = call->args[0]->values;
    int32_t n;
    const int32_t *rows = kernel_rows_dense(call, &n);
    if (call->args[0]->constant) {
        memset(target, !values[0], (size_t)call->physical_rows);
        return SABOT_OK;
    }
    KERNEL_FOR(rows, n, row, target[row] = values[row] ^ 1);
    return SABOT_OK;
}

sabot_status bind_not(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    SABOT_TRY(binding_expect(function, binding, 0, type_of(TYPE_BOOL), err));
    binding->result.kind = TYPE_BOOL;
    binding->kernel = not_kernel;
    return SABOT_OK;
}

/* --- IS */
static sabot_status is_null_rows(struct kernel_call *call, uint8_t when_null) {
    const struct column *from = call->args[0];
    uint8_t *target = call->result->values;
    if (!from->validity || from->constant) {
        const bool null = column_is_null(from, 0);
        memset(target, null ? when_null : !when_null, (size_t)call->physical_rows);
        return SABOT_OK;
    }
    for (int32_t i = 0; i < call->physical_rows; i++) {
        const uint8_t valid = from->validity[i >> 6] >> (i & 63) & 1;
        target[i] = valid ^ when_null;
    }
    return SABOT_OK;
}

static sabot_status is_null_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    return is_null_rows(call, 1);
}
static sabot_status is_not_null_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    return is_null_rows(call, 0);
}

static void is_value(struct kernel_call *call, uint8_t wanted, uint8_t negate) {
    const struct column *from = call->args[0];
    uint8_t *target = call->result->values;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        const bool is = !column_is_null(from, row) && ((const uint8_t *)from->values)[column_at(from, row)] == wanted;
        target[row] = (uint8_t)is ^ negate;
    }
}
#define IS_KERNEL(name, wanted, negate)                                                                                \
    static sabot_status name(struct kernel_call *call, struct sabot_error *err) {                                      \
        (void)err;                                                                                                     \
        is_value(call, wanted, negate);                                                                                \
        return SABOT_OK;                                                                                               \
    }
IS_KERNEL(is_true_kernel, 1, 0)
IS_KERNEL(is_not_true_kernel, 1, 1)
IS_KERNEL(is_false_kernel, 0, 0)
IS_KERNEL(is_not_false_kernel, 0, 1)

sabot_status bind_is(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    static const struct {
        const char *name;
        function_kernel kernel;
        bool is_condition;
    } kinds[] = {
        {"IS NULL", is_null_kernel, false},        {"IS NOT NULL", is_not_null_kernel, false},
        {"IS TRUE", is_true_kernel, true},         {"IS NOT TRUE", is_not_true_kernel, true},
        {"IS FALSE", is_false_kernel, true},       {"IS NOT FALSE", is_not_false_kernel, true},
        {"IS UNKNOWN", is_null_kernel, true},      {"IS NOT UNKNOWN", is_not_null_kernel, true},
    };
    binding->result = type_not_null(type_of(TYPE_BOOL));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, function->name) != 0) { continue; }
        binding->kernel = kinds[i].kernel;
        if (kinds[i].is_condition) { return binding_expect(function, binding, 0, type_of(TYPE_BOOL), err); }
        return SABOT_OK;
    }
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s has no kernel", function->name);
}

/* --- what CASE can say */
static sabot_status call_of(struct function_binding *binding, const char *name, struct expr *a, struct expr *b,
                            struct expr **out, struct sabot_error *err) {
    struct expr *args[2] = {a, b};
    return expr_call(binding->arena, name, args, b ? 2 : 1, binding->span, out, err);
}

/* CASE WHEN a IS NOT NULL THEN a WHEN b IS NOT NULL THEN b ... ELSE z END */
sabot_status bind_coalesce(const struct function *function, struct function_binding *binding,
                           struct sabot_error *err) {
    (void)function;
    const int32_t n = binding->n_args;
    struct expr **args = arena_alloc(binding->arena, (size_t)(2 * n) * sizeof *args);
    if (!args) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    int32_t used = 0;
    for (int32_t i = 0; i + 1 < n; i++) {
        SABOT_TRY(call_of(binding, "IS NOT NULL", binding->args[i], NULL, &args[used++], err));
        args[used++] = binding->args[i];
    }
    args[used++] = binding->args[n - 1];
    struct expr *result;
    SABOT_TRY(expr_case(binding->arena, args, used, binding->span, &result, err));
    bool nullable = true;
    for (int32_t i = 0; i < n; i++) { nullable = nullable && binding->args[i]->type.nullable; }
    result->type.nullable = nullable;
    binding->replacement = result;
    return SABOT_OK;
}

sabot_status bind_if(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    (void)function;
    return expr_case(binding->arena, binding->args, 3, binding->span, &binding->replacement, err);
}

sabot_status bind_nullif(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    (void)function;
    struct expr *args[3] = {NULL, NULL, binding->args[0]};
    SABOT_TRY(call_of(binding, "=", binding->args[0], binding->args[1], &args[0], err));
    SABOT_TRY(expr_literal(binding->arena, binding->args[0]->type, NULL, binding->span, &args[1], err));
    return expr_case(binding->arena, args, 3, binding->span, &binding->replacement, err);
}

/* --- GREATEST, LEAST */
static sabot_status extreme(struct kernel_call *call, bool greatest, struct sabot_error *err) {
    const struct type type = call->expr->type;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        const struct column *best = call->args[0];
        for (int32_t a = 1; a < call->n_args; a++) {
            const int order = column_compare(call->args[a], row, best, row, type);
            if (greatest ? order > 0 : order < 0) { best = call->args[a]; }
        }
        const size_t size = phys_size(call->result->phys);
        memcpy((char *)call->result->values + (size_t)row * size,
               (const char *)best->values + (size_t)column_at(best, row) * size, size);
    }
    for (int32_t a = 0; call->result->phys == PHYS_VIEW && a < call->n_args; a++) {
        SABOT_TRY(column_builder_share(call->result, call->args[a], err));
    }
    return SABOT_OK;
}
static sabot_status greatest_kernel(struct kernel_call *call, struct sabot_error *err) {
    return extreme(call, true, err);
}
static sabot_status least_kernel(struct kernel_call *call, struct sabot_error *err) {
    return extreme(call, false, err);
}

sabot_status bind_extreme(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    struct type *types = arena_alloc(binding->arena, (size_t)binding->n_args * sizeof *types);
    if (!types) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    for (int32_t i = 0; i < binding->n_args; i++) { types[i] = binding->args[i]->type; }
    SABOT_TRY(type_common(types, binding->n_args, &binding->result, err));
    if (phys_size(type_phys(binding->result)) == 0 && binding->result.kind != TYPE_NULL) {
        return binding_refuse(function, binding, err);
    }
    for (int32_t i = 0; i < binding->n_args; i++) { SABOT_TRY(binding_cast(binding, i, binding->result, err)); }
    binding->kernel = function->name[0] == 'G' ? greatest_kernel : least_kernel;
    return SABOT_OK;
}
