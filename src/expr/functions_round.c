/* Functions that round numbers: FLOOR, CEIL, ROUND, TRUNCATE, and SIGN. Decimals have the types that Flink gives them.
 */
#include "expr/decimal.h"
#include "expr/functions_calendar.h"
#include "expr/kernel.h"
#include "expr/signature.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- numbers of every type --------------------------------------------------------------------------------------- */

static __int128 integer_at(const struct column *column, int32_t row) {
    const int64_t at = column->constant ? 0 : row;
    switch ((enum phys)column->phys) {
    case PHYS_I8: return ((const int8_t *)column->values)[at];
    case PHYS_I16: return ((const int16_t *)column->values)[at];
    case PHYS_I32: return ((const int32_t *)column->values)[at];
    case PHYS_I64: return ((const int64_t *)column->values)[at];
    default: return ((const __int128 *)column->values)[at];
    }
}

static void put_integer(struct kernel_call *call, int32_t row, __int128 value) {
    void *values = call->result->values;
    switch (call->result->phys) {
    case PHYS_I8: ((int8_t *)values)[row] = (int8_t)value; break;
    case PHYS_I16: ((int16_t *)values)[row] = (int16_t)value; break;
    case PHYS_I32: ((int32_t *)values)[row] = (int32_t)value; break;
    case PHYS_I64: ((int64_t *)values)[row] = (int64_t)value; break;
    default: ((__int128 *)values)[row] = value; break;
    }
}

static bool integer_fits(struct type type, __int128 value) {
    switch ((enum type_kind)type.kind) {
    case TYPE_INT8: return value == (int8_t)value;
    case TYPE_INT16: return value == (int16_t)value;
    case TYPE_INT32: return value == (int32_t)value;
    case TYPE_INT64: return value == (int64_t)value;
    default: return decimal_fits(value, type.precision);
    }
}

static double real_at(const struct column *column, int32_t row) {
    const int64_t at = column->constant ? 0 : row;
    return column->phys == PHYS_F32 ? (double)((const float *)column->values)[at]
                                    : ((const double *)column->values)[at];
}

static void put_real(struct kernel_call *call, int32_t row, double value) {
    if (call->result->phys == PHYS_F32) {
        ((float *)call->result->values)[row] = (float)value;
    } else {
        ((double *)call->result->values)[row] = value;
    }
}

static sabot_status too_big(const struct kernel_call *call, struct sabot_error *err) {
    char type[64];
    type_print(type_nullable(call->expr->type), type, sizeof type);
    return SABOT_FAIL(err, SABOT_ERR_DATA, "the result of %s does not fit %s: cast the argument to a wider type",
                      call->expr->function->name, type);
}

static bool is_real(struct type type) { return type.kind == TYPE_FLOAT32 || type.kind == TYPE_FLOAT64; }

/* ---- FLOOR, CEIL, SIGN ------------------------------------------------------------------------------------------- */

static sabot_status floor_real_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const bool up = call->expr->function->name[0] == 'C';
    FOR_ROWS(call, row, {
        const double value = real_at(call->args[0], row);
        put_real(call, row, up ? ceil(value) : floor(value));
    })
    return SABOT_OK;
}

static sabot_status floor_decimal_kernel(struct kernel_call *call, struct sabot_error *err) {
    const bool up = call->expr->function->name[0] == 'C';
    const __int128 unit = power_of_10(call->expr->args[0]->type.scale);
    FOR_ROWS(call, row, {
        const __int128 value = integer_at(call->args[0], row);
        __int128 whole = value / unit;
        const __int128 rest = value % unit;
        whole += up ? rest > 0 : -(__int128)(rest < 0);
        if (!integer_fits(call->expr->type, whole)) { return too_big(call, err); }
        put_integer(call, row, whole);
    })
    return SABOT_OK;
}

sabot_status bind_floor(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    if (binding->n_args == 2) { return bind_round_time(function, binding, err); }
    if (binding->args[0]->type.kind == TYPE_NULL) { SABOT_TRY(binding_cast(binding, 0, type_of(TYPE_FLOAT64), err)); }
    const struct type from = binding->args[0]->type;
    if (type_is_integer(from)) {
        binding->replacement = binding->args[0];
        return SABOT_OK;
    }
    if (!type_is_numeric(from)) { return binding_refuse(function, binding, err); }
    binding->result = is_real(from) ? from : type_decimal(from.precision, 0);
    binding->result.nullable = from.nullable;
    binding->kernel = is_real(from) ? floor_real_kernel : floor_decimal_kernel;
    return SABOT_OK;
}

static sabot_status sign_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    if (is_real(call->expr->type)) {
        FOR_ROWS(call, row, {
            const double value = real_at(call->args[0], row);
            put_real(call, row, value > 0 ? 1.0 : value < 0 ? -1.0 : value); /* 0, -0 and NaN are their own */
        })
        return SABOT_OK;
    }
    const __int128 one = power_of_10(call->expr->type.kind == TYPE_DECIMAL ? call->expr->type.scale : 0);
    FOR_ROWS(call, row, {
        const __int128 value = integer_at(call->args[0], row);
        put_integer(call, row, value > 0 ? one : value < 0 ? -one : 0);
    })
    return SABOT_OK;
}

/* The type is the argument's; of a DECIMAL(3, 3) 1 is no value, so that it gets a digit in front. */
sabot_status bind_sign(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    if (binding->args[0]->type.kind == TYPE_NULL) { SABOT_TRY(binding_cast(binding, 0, type_of(TYPE_INT32), err)); }
    const struct type from = binding->args[0]->type;
    if (!type_is_numeric(from)) { return binding_refuse(function, binding, err); }
    binding->result = from;
    if (from.kind == TYPE_DECIMAL && from.precision == from.scale) {
        binding->result = from.precision < DECIMAL_PRECISION_MAX ? type_decimal(from.precision + 1, from.scale)
                                                                 : type_decimal(from.precision, from.scale - 1);
        binding->result.nullable = from.nullable;
    }
    binding->kernel = sign_kernel;
    return SABOT_OK;
}

/* ---- ROUND, TRUNCATE --------------------------------------------------------------------------------------------- */

/* value / 10^digits, HALF_UP or towards zero; digits may be more than the value has. */
static __int128 cut(__int128 value, int digits, bool truncate) {
    if (digits <= 0) { return value; }
    if (digits > DECIMAL_PRECISION_MAX) { return 0; }
    return truncate ? value / power_of_10(digits) : decimal_shorten(value, digits);
}

static sabot_status round_exact_kernel(struct kernel_call *call, struct sabot_error *err) {
    const bool truncate = call->expr->function->name[0] == 'T';
    const struct type from = call->expr->args[0]->type;
    const struct type to = call->expr->type;
    const int from_scale = from.kind == TYPE_DECIMAL ? from.scale : 0;
    const int to_scale = to.kind == TYPE_DECIMAL ? to.scale : 0;
    FOR_ROWS(call, row, {
        int32_t places = call->n_args == 2 ? arg_int(call, 1, row) : 0;
        places = places > from_scale                   ? from_scale
                 : places < -DECIMAL_PRECISION_MAX - 1 ? -DECIMAL_PRECISION_MAX - 1
                                                       : places;
        __int128 value = cut(integer_at(call->args[0], row), from_scale - places, truncate);
        __int128 rounded = 0;
        const bool fits =
            value == 0 || (places >= -DECIMAL_PRECISION_MAX && decimal_rescale(value, places, to_scale, &rounded));
        if (!fits || !integer_fits(to, rounded)) { return too_big(call, err); }
        put_integer(call, row, rounded);
    })
    return SABOT_OK;
}

/* Java rounds the shortest decimal text that means the number: 2.675 to 2.68. */
static double round_text(double value, int places, bool truncate) {
    char text[64];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) { break; }
    }
    /* d.ddde+xx: keep the digits in front of the place */
    char digits[32];
    int n = 0;
    const bool negative = text[0] == '-';
    const char *at = text + negative;
    for (; *at != 'e'; at++) {
        if (*at != '.') { digits[n++] = *at; }
    }
    const int exponent = (int)strtol(at + 1, NULL, 10);
    const int keep = exponent + 1 + places;
    if (keep >= n) { return value; }
    if (keep < 0) { return negative ? -0.0 : 0.0; }
    const bool up = !truncate && digits[keep] >= '5';
    __int128 kept = 0;
    for (int i = 0; i < keep; i++) { kept = kept * 10 + (digits[i] - '0'); }
    kept += up;
    snprintf(text, sizeof text, "%s%llde%d", negative ? "-" : "", (long long)kept, -places);
    return strtod(text, NULL);
}

static double round_real(double value, int places, bool truncate) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (!isfinite(value) || value == 0) { return value; }
    if (places > 400) { return value; }
    if (places < -400) { return 0; }
    if (places >= 0 && places <= 15) {
        const double scaled = fabs(value) * powers[places];
        const double whole = floor(scaled), rest = scaled - whole;
        /* where the fraction is clearly on one side no rounding of the product matters */
        const double near = truncate ? fmin(rest, 1 - rest) : fabs(rest - 0.5);
        if (scaled < 1e9 && near > 1e-6) {
            const double result = (whole + (!truncate && rest > 0.5)) / powers[places];
            return value < 0 ? -result : result;
        }
    }
    return round_text(value, places, truncate);
}

static sabot_status round_real_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const bool truncate = call->expr->function->name[0] == 'T';
    FOR_ROWS(call, row, {
        const int32_t places = call->n_args == 2 ? arg_int(call, 1, row) : 0;
        put_real(call, row, round_real(real_at(call->args[0], row), places, truncate));
    })
    return SABOT_OK;
}

/* Flink's rule: rounding may need one digit more in front; with a number of places that is no literal the type stays.
 */
static struct type rounded_type(const struct function_binding *binding, struct type from) {
    const void *places_value = NULL;
    int32_t places = 0;
    if (binding->n_args == 2) {
        if (!binding_constant(binding, 1, &places_value) || !places_value) { return from; }
        places = *(const int32_t *)places_value;
    }
    struct type type = from;
    if (places < 0) {
        const int digits = 1 + from.precision - from.scale;
        type = type_decimal(digits > DECIMAL_PRECISION_MAX ? DECIMAL_PRECISION_MAX : digits, 0);
    } else if (places < from.scale) {
        type = type_decimal(1 + from.precision - from.scale + places, places);
    }
    return type;
}

sabot_status bind_round(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    if (binding->args[0]->type.kind == TYPE_NULL) { SABOT_TRY(binding_cast(binding, 0, type_of(TYPE_FLOAT64), err)); }
    const struct type from = binding->args[0]->type;
    const bool nullable = binding->result.nullable;
    if (!type_is_numeric(from)) { return binding_refuse(function, binding, err); }
    if (binding->n_args == 2) { SABOT_TRY(binding_expect(function, binding, 1, type_of(TYPE_INT32), err)); }
    binding->result = from.kind == TYPE_DECIMAL ? rounded_type(binding, from) : from;
    binding->result.nullable = nullable;
    binding->kernel = is_real(from) ? round_real_kernel : round_exact_kernel;
    return SABOT_OK;
}
