/* Functions of numbers. */
#include <math.h>

#include "arrow/print.h"
#include "expr/decimal.h"
#include "expr/kernel.h"

/* --- ABS */
static sabot_status abs_overflow(const struct kernel_call *call, struct sabot_error *err) {
    for (int32_t i = 0; i < call->n_rows && !call->context->wrap_overflow; i++) {
        const int32_t row = kernel_row(call, i);
        const bool least = call->result->phys == PHYS_I64 ? ((const int64_t *)call->result->values)[row] == INT64_MIN
                                                          : ((const int32_t *)call->result->values)[row] == INT32_MIN;
        if (kernel_row_counts(call, row) && least) {
            char type[64];
            type_print(type_nullable(call->expr->type), type, sizeof type);
            return SABOT_FAIL(err, SABOT_ERR_DATA, "ABS of the least %s is out of range: cast it to a wider type",
                              type);
        }
    }
    return SABOT_OK;
}

#define ABS_LOOP(type, unsigned_type)                                                                                  \
    do {                                                                                                               \
        const type *x = from->values;                                                                                  \
        type *restrict target = call->result->values;                                                                  \
        KERNEL_FOR(rows, n, row, {                                                                                     \
            const type r = x[row & mask] < 0 ? (type) - (unsigned_type)x[row & mask] : x[row & mask];                  \
            target[row] = r;                                                                                           \
            bad |= r < 0;                                                                                              \
        });                                                                                                            \
    } while (0)

static sabot_status abs_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct column *from = call->args[0];
    const int32_t mask = from->constant ? 0 : -1;
    int32_t n, bad = 0;
    const int32_t *rows = kernel_rows_dense(call, &n);
    switch ((enum phys)from->phys) {
    case PHYS_I8: ABS_LOOP(int8_t, uint8_t); return SABOT_OK; /* wraps as a Java byte does */
    case PHYS_I16: ABS_LOOP(int16_t, uint16_t); return SABOT_OK;
    case PHYS_I32: ABS_LOOP(int32_t, uint32_t); break;
    case PHYS_I64: ABS_LOOP(int64_t, uint64_t); break;
    case PHYS_I128: ABS_LOOP(__int128, unsigned __int128); return SABOT_OK;
    case PHYS_F32:
        KERNEL_FOR(rows, n, row,
                   ((float *)call->result->values)[row] = fabsf(((const float *)from->values)[row & mask]));
        return SABOT_OK;
    default:
        KERNEL_FOR(rows, n, row,
                   ((double *)call->result->values)[row] = fabs(((const double *)from->values)[row & mask]));
        return SABOT_OK;
    }
    return bad && call->expr->type.kind != TYPE_DECIMAL ? abs_overflow(call, err) : SABOT_OK;
}

sabot_status bind_abs(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    if (binding->args[0]->type.kind == TYPE_NULL) { SABOT_TRY(binding_cast(binding, 0, type_of(TYPE_INT32), err)); }
    if (!type_is_numeric(binding->args[0]->type)) { return binding_refuse(function, binding, err); }
    binding->result = binding->args[0]->type;
    binding->kernel = abs_kernel;
    return SABOT_OK;
}
