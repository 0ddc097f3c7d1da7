/* Functions of real numbers: roots, powers, logarithms, angles, chance. All compute with DOUBLE. */
#include "base/env.h"
#include "expr/kernel.h"
#include "expr/signature.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#define PI 3.14159265358979323846
#define EULER 2.71828182845904523536

/* ---- one or two numbers ------------------------------------------------------------------------------------------ */

#define UNARY(name, expression)                                                                                        \
    static sabot_status name##_kernel(struct kernel_call *call, struct sabot_error *err) {                             \
        (void)err;                                                                                                     \
        const double *values = call->args[0]->values;                                                                  \
        double *restrict target = call->result->values;                                                                \
        const int32_t mask = call->args[0]->constant ? 0 : -1;                                                         \
        int32_t n;                                                                                                     \
        const int32_t *rows = kernel_rows_dense(call, &n);                                                             \
        KERNEL_FOR(rows, n, row, {                                                                                     \
            const double x = values[row & mask];                                                                       \
            target[row] = (expression);                                                                                \
        });                                                                                                            \
        return SABOT_OK;                                                                                               \
    }

#define BINARY(name, expression)                                                                                       \
    static sabot_status name##_kernel(struct kernel_call *call, struct sabot_error *err) {                             \
        (void)err;                                                                                                     \
        FOR_ROWS(call, row, {                                                                                          \
            const double x = arg_double(call, 0, row);                                                                 \
            const double y = arg_double(call, 1, row);                                                                 \
            put_double(call, row, (expression));                                                                       \
        })                                                                                                             \
        return SABOT_OK;                                                                                               \
    }

UNARY(sqrt, sqrt(x))
UNARY(exp, exp(x))
UNARY(ln, log(x))
UNARY(log10, log10(x))
UNARY(log2, log2(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(tan, tan(x))
UNARY(cot, 1.0 / tan(x))
UNARY(asin, asin(x))
UNARY(acos, acos(x))
UNARY(atan, atan(x))
UNARY(sinh, sinh(x))
UNARY(cosh, cosh(x))
UNARY(tanh, tanh(x))
UNARY(degrees, x * (180.0 / PI))
UNARY(radians, x / 180.0 * PI)
BINARY(power, pow(x, y))
BINARY(atan2, atan2(x, y))
BINARY(log_base, log(y) / log(x))

static sabot_status pi_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, { put_double(call, row, PI); })
    return SABOT_OK;
}
static sabot_status e_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, { put_double(call, row, EULER); })
    return SABOT_OK;
}

static const struct signature signatures[] = {
    {"SQRT", "D", 'D', false, sqrt_kernel},       {"EXP", "D", 'D', false, exp_kernel},
    {"LN", "D", 'D', false, ln_kernel},           {"LOG10", "D", 'D', false, log10_kernel},
    {"LOG2", "D", 'D', false, log2_kernel},       {"LOG", "D", 'D', false, ln_kernel},
    {"SIN", "D", 'D', false, sin_kernel},         {"COS", "D", 'D', false, cos_kernel},
    {"TAN", "D", 'D', false, tan_kernel},         {"COT", "D", 'D', false, cot_kernel},
    {"ASIN", "D", 'D', false, asin_kernel},       {"ACOS", "D", 'D', false, acos_kernel},
    {"ATAN", "D", 'D', false, atan_kernel},       {"SINH", "D", 'D', false, sinh_kernel},
    {"COSH", "D", 'D', false, cosh_kernel},       {"TANH", "D", 'D', false, tanh_kernel},
    {"DEGREES", "D", 'D', false, degrees_kernel}, {"RADIANS", "D", 'D', false, radians_kernel},
    {"POWER", "DD", 'D', false, power_kernel},    {"ATAN2", "DD", 'D', false, atan2_kernel},
    {"PI", "", 'D', false, pi_kernel},            {"E", "", 'D', false, e_kernel},
};

sabot_status bind_real(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    static const struct signature to_base[] = {{"LOG", "DD", 'D', false, log_base_kernel}};
    const bool is_log = binding->n_args == 2 && strcmp(function->name, "LOG") == 0;
    for (int32_t i = 0; i < binding->n_args; i++) { /* DECIMAL is no implicit DOUBLE elsewhere, here it is */
        if (type_is_numeric(binding->args[i]->type)) {
            SABOT_TRY(binding_cast(binding, i, type_of(TYPE_FLOAT64), err));
        }
    }
    return is_log ? BIND_SIGNATURE(function, binding, to_base, err)
                  : BIND_SIGNATURE(function, binding, signatures, err);
}

/* ---- RAND, RAND_INTEGER ------------------------------------------------------------------------------------------ */

/* With a seed the sequence is that of java.util.Random, which Flink's users get: a linear congruence of 48 bits. */
struct random_sequence {
    uint64_t state;
};

static uint32_t next_bits(struct random_sequence *random, int bits) {
    random->state = (random->state * UINT64_C(0x5DEECE66D) + 0xB) & ((UINT64_C(1) << 48) - 1);
    return (uint32_t)(random->state >> (48 - bits));
}

static double next_double(struct random_sequence *random) {
    const uint64_t high = (uint64_t)next_bits(random, 26) << 27;
    return (double)(high + next_bits(random, 27)) * 0x1p-53;
}

static int32_t next_below(struct random_sequence *random, int32_t bound) {
    if ((bound & (bound - 1)) == 0) { return (int32_t)((int64_t)bound * next_bits(random, 31) >> 31); }
    int64_t bits, value;
    do {
        bits = next_bits(random, 31);
        value = bits % bound;
    } while (bits - value + bound - 1 > INT32_MAX);
    return (int32_t)value;
}

/* Seeded once, by the first row. */
static sabot_status sequence_of(struct kernel_call *call, bool seeded, struct random_sequence **out,
                                struct sabot_error *err) {
    if (!call->scratch && call->n_rows > 0) {
        struct random_sequence *random = malloc(sizeof *random);
        if (!random) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a random sequence"); }
        const int32_t first = kernel_row(call, 0);
        const uint64_t seed = seeded ? (uint64_t)(int64_t)arg_int(call, 0, first) : env_random(call->context->env);
        random->state = (seed ^ UINT64_C(0x5DEECE66D)) & ((UINT64_C(1) << 48) - 1);
        call->scratch = random;
        call->scratch_free = free;
    }
    *out = call->scratch;
    return SABOT_OK;
}

static sabot_status rand_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct random_sequence *random = NULL;
    SABOT_TRY(sequence_of(call, call->n_args == 1, &random, err));
    FOR_ROWS(call, row, { put_double(call, row, next_double(random)); })
    return SABOT_OK;
}

static sabot_status rand_integer_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct random_sequence *random = NULL;
    SABOT_TRY(sequence_of(call, call->n_args == 2, &random, err));
    FOR_ROWS(call, row, {
        const int32_t bound = arg_int(call, call->n_args - 1, row);
        if (bound <= 0) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "RAND_INTEGER: the bound must be positive, not %d", bound);
        }
        put_int(call, row, next_below(random, bound));
    })
    return SABOT_OK;
}

sabot_status bind_rand(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    static const struct signature random[] = {
        {"RAND", "|I", 'D', false, rand_kernel},
        {"RAND_INTEGER", "I|I", 'I', false, rand_integer_kernel},
    };
    return BIND_SIGNATURE(function, binding, random, err);
}
