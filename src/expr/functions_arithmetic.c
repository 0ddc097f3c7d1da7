/* + - * / % on integers, floating-point numbers and decimals. Dates and intervals are in functions_temporal.c.
 *
 * The loops compute without branches and remember whether anything went wrong; only then are the rows that count looked
 * at one by one, because a value under a NULL or outside of the selection must not fail. */
#include <math.h>
#include <stdlib.h>

#include "arrow/print.h"
#include "expr/decimal.h"
#include "expr/functions_temporal.h"
#include "expr/kernel.h"

/* An operand: masked by 0 where it is constant, so that x[row & mask] is its value. */
static inline int32_t mask_of(const struct column *column) { return column->constant ? 0 : -1; }

static int64_t integer_at(const struct column *column, int64_t row) {
    const int64_t at = column_at(column, row);
    switch ((enum phys)column->phys) {
    case PHYS_I8: return ((const int8_t *)column->values)[at];
    case PHYS_I16: return ((const int16_t *)column->values)[at];
    case PHYS_I32: return ((const int32_t *)column->values)[at];
    default: return ((const int64_t *)column->values)[at];
    }
}

/* --- integers: + - * */
static bool integer_fits(__int128 value, enum phys phys) {
    switch (phys) {
    case PHYS_I8: return value == (int8_t)value;
    case PHYS_I16: return value == (int16_t)value;
    case PHYS_I32: return value == (int32_t)value;
    default: return value == (int64_t)value;
    }
}

static sabot_status overflow(const struct kernel_call *call, int64_t x, const char *op, int64_t y,
                             struct sabot_error *err) {
    char type[64];
    type_print(type_nullable(call->expr->type), type, sizeof type);
    return SABOT_FAIL(err, SABOT_ERR_DATA,
                      "%lld %s %lld is out of range for %s: cast an operand to a wider type, or set wrap_overflow",
                      (long long)x, op, (long long)y, type);
}

/* Something overflowed somewhere: was it in a row that counts? */
static sabot_status overflow_check(const struct kernel_call *call, char op, struct sabot_error *err) {
    if (call->context->wrap_overflow) { return SABOT_OK; }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const int64_t x = integer_at(call->args[0], row), y = integer_at(call->args[1], row);
        const __int128 exact = op == '+' ? (__int128)x + y : op == '-' ? (__int128)x - y : (__int128)x * y;
        const char text[2] = {op, '\0'};
        if (!integer_fits(exact, call->result->phys)) { return overflow(call, x, text, y, err); }
    }
    return SABOT_OK;
}

/* `step` computes r from p and q and sets bad where it overflowed. */
#define INTEGER_LOOPS(type, step)                                                                                      \
    do {                                                                                                               \
        const type *x = a->values, *y = b->values;                                                                     \
        type *restrict target = call->result->values;                                                                  \
        if (b->constant && !rows) {                                                                                    \
            const type q = y[0];                                                                                       \
            for (int32_t row = 0; row < n; row++) {                                                                    \
                const type p = x[row];                                                                                 \
                step                                                                                                   \
            }                                                                                                          \
        } else if (a->constant && !rows) {                                                                             \
            const type p = x[0];                                                                                       \
            for (int32_t row = 0; row < n; row++) {                                                                    \
                const type q = y[row];                                                                                 \
                step                                                                                                   \
            }                                                                                                          \
        } else if (!rows) {                                                                                            \
            for (int32_t row = 0; row < n; row++) {                                                                    \
                const type p = x[row], q = y[row];                                                                     \
                step                                                                                                   \
            }                                                                                                          \
        } else {                                                                                                       \
            const int32_t mx = mask_of(a), my = mask_of(b);                                                            \
            for (int32_t i = 0; i < n; i++) {                                                                          \
                const int32_t row = rows[i];                                                                           \
                const type p = x[row & mx], q = y[row & my];                                                           \
                step                                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

#define NARROW_STEP(type, wide, op)                                                                                    \
    const wide r = (wide)p op(wide) q;                                                                                 \
    target[row] = (type)r;                                                                                             \
    bad |= r ^ (type)r;

#define INTEGER_KERNEL(name, op, op_char, step64)                                                                      \
    static sabot_status name(struct kernel_call *call, struct sabot_error *err) {                                      \
        const struct column *a = call->args[0], *b = call->args[1];                                                    \
        int32_t n;                                                                                                     \
        const int32_t *rows = kernel_rows_dense(call, &n);                                                             \
        if (a->constant && b->constant) { n = rows ? n : 1; }                                                          \
        bool failed;                                                                                                   \
        switch ((enum phys)call->result->phys) {                                                                       \
        case PHYS_I8: {                                                                                                \
            int32_t bad = 0;                                                                                           \
            INTEGER_LOOPS(int8_t, NARROW_STEP(int8_t, int32_t, op));                                                   \
            failed = bad != 0;                                                                                         \
            break;                                                                                                     \
        }                                                                                                              \
        case PHYS_I16: {                                                                                               \
            int32_t bad = 0;                                                                                           \
            INTEGER_LOOPS(int16_t, NARROW_STEP(int16_t, int32_t, op));                                                 \
            failed = bad != 0;                                                                                         \
            break;                                                                                                     \
        }                                                                                                              \
        case PHYS_I32: {                                                                                               \
            int64_t bad = 0;                                                                                           \
            INTEGER_LOOPS(int32_t, NARROW_STEP(int32_t, int64_t, op));                                                 \
            failed = bad != 0;                                                                                         \
            break;                                                                                                     \
        }                                                                                                              \
        default: {                                                                                                     \
            int64_t bad = 0;                                                                                           \
            INTEGER_LOOPS(int64_t, step64);                                                                            \
            failed = bad < 0;                                                                                          \
            break;                                                                                                     \
        }                                                                                                              \
        }                                                                                                              \
        return failed ? overflow_check(call, op_char, err) : SABOT_OK;                                                 \
    }

/* the sign bit of `bad` tells */
#define ADD_STEP                                                                                                       \
    const int64_t r = (int64_t)((uint64_t)p + (uint64_t)q);                                                            \
    target[row] = r;                                                                                                   \
    bad |= (p ^ r) & (q ^ r);
#define SUBTRACT_STEP                                                                                                  \
    const int64_t r = (int64_t)((uint64_t)p - (uint64_t)q);                                                            \
    target[row] = r;                                                                                                   \
    bad |= (p ^ q) & (p ^ r);
#define MULTIPLY_STEP                                                                                                  \
    int64_t r;                                                                                                         \
    bad |= -(int64_t)__builtin_mul_overflow(p, q, &r);                                                                 \
    target[row] = r;
INTEGER_KERNEL(add_integers, +, '+', ADD_STEP)
INTEGER_KERNEL(subtract_integers, -, '-', SUBTRACT_STEP)
INTEGER_KERNEL(multiply_integers, *, '*', MULTIPLY_STEP)

/* --- integers: / % */
/* Division by a number that is known: multiply by a magic number and shift (Warren, Hacker's Delight, chapter 10). */
struct divider {
    int64_t divisor;
    int64_t magic;
    int shift;
    int64_t add; /* 0, 1, -1: times n, to be added to the product */
};

static struct divider divider_of(int64_t d) {
    /* d is not 0, 1 or -1 */
    const uint64_t two63 = UINT64_C(1) << 63;
    const uint64_t ad = d < 0 ? -(uint64_t)d : (uint64_t)d;
    const uint64_t t = two63 + ((uint64_t)d >> 63);
    const uint64_t anc = t - 1 - t % ad;
    int p = 63;
    uint64_t q1 = two63 / anc, r1 = two63 - q1 * anc, q2 = two63 / ad, r2 = two63 - q2 * ad, delta;
    do {
        p++;
        q1 = 2 * q1;
        r1 = 2 * r1;
        if (r1 >= anc) {
            q1++;
            r1 -= anc;
        }
        q2 = 2 * q2;
        r2 = 2 * r2;
        if (r2 >= ad) {
            q2++;
            r2 -= ad;
        }
        delta = ad - r2;
    } while (q1 < delta || (q1 == delta && r1 == 0));
    const int64_t magic = (int64_t)(d < 0 ? -(q2 + 1) : q2 + 1);
    return (struct divider){.divisor = d,
                            .magic = magic,
                            .shift = p - 64,
                            .add = d > 0 && magic < 0 ? 1 : d < 0 && magic > 0 ? -1 : 0};
}

static inline int64_t divide_by(int64_t n, const struct divider *by) {
    const int64_t high = (int64_t)((__int128)n * by->magic >> 64);
    const int64_t q = (int64_t)((uint64_t)high + (uint64_t)by->add * (uint64_t)n) >> by->shift;
    return q + (int64_t)((uint64_t)q >> 63);
}

#define BY_CONSTANT(in, out, expression)                                                                               \
    do {                                                                                                               \
        const in *x = a->values;                                                                                       \
        out *restrict target = call->result->values;                                                                   \
        KERNEL_FOR(rows, n, row, {                                                                                     \
            const int64_t p = x[row];                                                                                  \
            target[row] = (out)(expression);                                                                           \
        });                                                                                                            \
    } while (0)
#define BY_COLUMN(in, out, expression)                                                                                 \
    do {                                                                                                               \
        const in *x = a->values, *y = b->values;                                                                       \
        out *restrict target = call->result->values;                                                                   \
        const int32_t mx = mask_of(a), my = mask_of(b);                                                                \
        KERNEL_FOR(rows, n, row, {                                                                                     \
            const int64_t p = x[row & mx], q = y[row & my];                                                            \
            bad |= q == 0;                                                                                             \
            target[row] = (out)(expression);                                                                           \
        });                                                                                                            \
    } while (0)
/* The operands have one type; % gives the type of its right operand, which may be narrower. */
#define FOR_TYPES(loop, expression)                                                                                    \
    switch (a->phys * 16 + call->result->phys) {                                                                       \
    case PHYS_I8 * 16 + PHYS_I8: loop(int8_t, int8_t, expression); break;                                              \
    case PHYS_I16 * 16 + PHYS_I8: loop(int16_t, int8_t, expression); break;                                            \
    case PHYS_I16 * 16 + PHYS_I16: loop(int16_t, int16_t, expression); break;                                          \
    case PHYS_I32 * 16 + PHYS_I8: loop(int32_t, int8_t, expression); break;                                            \
    case PHYS_I32 * 16 + PHYS_I16: loop(int32_t, int16_t, expression); break;                                          \
    case PHYS_I32 * 16 + PHYS_I32: loop(int32_t, int32_t, expression); break;                                          \
    case PHYS_I64 * 16 + PHYS_I8: loop(int64_t, int8_t, expression); break;                                            \
    case PHYS_I64 * 16 + PHYS_I16: loop(int64_t, int16_t, expression); break;                                          \
    case PHYS_I64 * 16 + PHYS_I32: loop(int64_t, int32_t, expression); break;                                          \
    default: loop(int64_t, int64_t, expression); break;                                                                \
    }

static sabot_status division_check(const struct kernel_call *call, bool remainder, struct sabot_error *err) {
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const int64_t x = integer_at(call->args[0], row), y = integer_at(call->args[1], row);
        if (y == 0) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "division by zero: %lld %s 0", (long long)x, remainder ? "%" : "/");
        }
        if (!remainder && !call->context->wrap_overflow && !integer_fits(-(__int128)x, call->result->phys) && y == -1) {
            return overflow(call, x, "/", y, err);
        }
    }
    return SABOT_OK;
}

static sabot_status divide_integers(struct kernel_call *call, struct sabot_error *err) {
    const struct column *a = call->args[0], *b = call->args[1];
    int32_t n, bad = 0;
    const int32_t *rows = kernel_rows_dense(call, &n);
    if (a->constant && b->constant) { n = rows ? n : 1; }
    if (b->constant && !a->constant) {
        const int64_t d = integer_at(b, 0);
        if (d == 1) {
            FOR_TYPES(BY_CONSTANT, p);
            return SABOT_OK;
        }
        if (d > 1 || d < -1) {
            const struct divider by = divider_of(d);
            FOR_TYPES(BY_CONSTANT, divide_by(p, &by));
            return SABOT_OK;
        }
    }
    /* -1 by negation: the least number divided by -1 traps */
    FOR_TYPES(BY_COLUMN, q == 0 ? 0 : q == -1 ? (bad |= p < 0, (int64_t)-(uint64_t)p) : p / q);
    return bad ? division_check(call, false, err) : SABOT_OK;
}

static sabot_status modulo_integers(struct kernel_call *call, struct sabot_error *err) {
    const struct column *a = call->args[0], *b = call->args[1];
    int32_t n, bad = 0;
    const int32_t *rows = kernel_rows_dense(call, &n);
    if (a->constant && b->constant) { n = rows ? n : 1; }
    if (b->constant && !a->constant) {
        const int64_t d = integer_at(b, 0);
        if (d > 1 || d < -1) {
            const struct divider by = divider_of(d);
            FOR_TYPES(BY_CONSTANT, (int64_t)((uint64_t)p - (uint64_t)divide_by(p, &by) * (uint64_t)d));
            return SABOT_OK;
        }
    }
    FOR_TYPES(BY_COLUMN, q == 0 || q == -1 ? 0 : p % q);
    return bad ? division_check(call, true, err) : SABOT_OK;
}

/* --- floating point */
#define FLOAT_KERNEL(name, expression32, expression64)                                                                 \
    static sabot_status name(struct kernel_call *call, struct sabot_error *err) {                                      \
        (void)err;                                                                                                     \
        const struct column *a = call->args[0], *b = call->args[1];                                                    \
        int32_t n;                                                                                                     \
        const int32_t *rows = kernel_rows_dense(call, &n);                                                             \
        if (a->constant && b->constant) { n = rows ? n : 1; }                                                          \
        if (call->result->phys == PHYS_F32) {                                                                          \
            INTEGER_LOOPS(float, target[row] = (expression32););                                                       \
        } else {                                                                                                       \
            INTEGER_LOOPS(double, target[row] = (expression64););                                                      \
        }                                                                                                              \
        return SABOT_OK;                                                                                               \
    }
FLOAT_KERNEL(add_floats, p + q, p + q)
FLOAT_KERNEL(subtract_floats, p - q, p - q)
FLOAT_KERNEL(multiply_floats, p *q, p *q)
FLOAT_KERNEL(divide_floats, p / q, p / q)
FLOAT_KERNEL(modulo_floats, fmodf(p, q), fmod(p, q))

/* --- decimals. An integer operand is taken as it is, with scale 0. */
struct decimal_plan {
    int scale_a, scale_b, scale;
    int precision;
    bool exact; /* the result type holds every result */
    int64_t raise_a, raise_b; /* + and - with `exact`: powers of ten to multiply with; 0 = not within 64 bits */
};

static inline __int128 wide_at(const struct column *column, int64_t row) {
    return column->phys == PHYS_I128 ? ((const __int128 *)column->values)[column_at(column, row)]
                                     : integer_at(column, row);
}

static sabot_status put_decimal(struct kernel_call *call, int32_t row, bool fits, __int128 value,
                                const struct decimal_plan *plan, struct sabot_error *err) {
    if (!fits || !decimal_fits(value, plan->precision)) {
        SABOT_TRY(column_builder_add_validity(call->result, err));
        column_builder_set_null(call->result, row);
        return SABOT_OK;
    }
    if (call->result->phys == PHYS_I64) {
        ((int64_t *)call->result->values)[row] = (int64_t)value;
    } else {
        ((__int128 *)call->result->values)[row] = value;
    }
    return SABOT_OK;
}

#define DECIMAL_LOOP(xt, yt, out, wide, expression)                                                                    \
    do {                                                                                                               \
        const xt *x = a->values;                                                                                       \
        const yt *y = b->values;                                                                                       \
        out *restrict target = call->result->values;                                                                   \
        const int32_t mx = mask_of(a), my = mask_of(b);                                                                \
        if (b->constant && !a->constant && !rows) {                                                                    \
            const wide q = (wide)y[0];                                                                                 \
            for (int32_t row = 0; row < n; row++) {                                                                    \
                const wide p = (wide)x[row];                                                                           \
                target[row] = (out)(expression);                                                                       \
            }                                                                                                          \
        } else if (a->constant && !b->constant && !rows) {                                                             \
            const wide p = (wide)x[0];                                                                                 \
            for (int32_t row = 0; row < n; row++) {                                                                    \
                const wide q = (wide)y[row];                                                                           \
                target[row] = (out)(expression);                                                                       \
            }                                                                                                          \
        } else {                                                                                                       \
            KERNEL_FOR(rows, n, row, {                                                                                 \
                const wide p = (wide)x[row & mx], q = (wide)y[row & my];                                               \
                target[row] = (out)(expression);                                                                       \
            });                                                                                                        \
        }                                                                                                              \
    } while (0)

typedef unsigned __int128 u128;
/* 64 by 64 bits: one multiplication instruction */
#define PRODUCT_NARROW ((__int128)(int64_t)p * (int64_t)q)

/* Where no result can be too big: loops over the layouts that matter. False where there is none for these. */
static bool multiply_exact(struct kernel_call *call) {
    const struct column *a = call->args[0], *b = call->args[1];
    int32_t n;
    const int32_t *rows = kernel_rows_dense(call, &n);
    if (a->constant && b->constant) { n = rows ? n : 1; }
    if (call->result->phys == PHYS_I64) {
        if (a->phys == PHYS_I64 && b->phys == PHYS_I64) {
            DECIMAL_LOOP(int64_t, int64_t, int64_t, uint64_t, p * q);
        } else if (a->phys == PHYS_I32 && b->phys == PHYS_I64) {
            DECIMAL_LOOP(int32_t, int64_t, int64_t, uint64_t, p * q);
        } else if (a->phys == PHYS_I64 && b->phys == PHYS_I32) {
            DECIMAL_LOOP(int64_t, int32_t, int64_t, uint64_t, p * q);
        } else {
            return false;
        }
        return true;
    }
    if (a->phys == PHYS_I64 && b->phys == PHYS_I64) {
        DECIMAL_LOOP(int64_t, int64_t, __int128, int64_t, PRODUCT_NARROW);
    } else if (a->phys == PHYS_I32 && b->phys == PHYS_I64) {
        DECIMAL_LOOP(int32_t, int64_t, __int128, int64_t, PRODUCT_NARROW);
    } else if (a->phys == PHYS_I64 && b->phys == PHYS_I32) {
        DECIMAL_LOOP(int64_t, int32_t, __int128, int64_t, PRODUCT_NARROW);
    } else if (a->phys == PHYS_I128 && b->phys == PHYS_I64) {
        DECIMAL_LOOP(__int128, int64_t, __int128, u128, p * q);
    } else if (a->phys == PHYS_I64 && b->phys == PHYS_I128) {
        DECIMAL_LOOP(int64_t, __int128, __int128, u128, p * q);
    } else if (a->phys == PHYS_I128 && b->phys == PHYS_I128) {
        DECIMAL_LOOP(__int128, __int128, __int128, u128, p * q);
    } else {
        return false;
    }
    return true;
}

static bool add_exact(struct kernel_call *call, const struct decimal_plan *plan, bool subtract) {
    const struct column *a = call->args[0], *b = call->args[1];
    if (plan->raise_a == 0 || plan->raise_b == 0) { return false; }
    int32_t n;
    const int32_t *rows = kernel_rows_dense(call, &n);
    if (a->constant && b->constant) { n = rows ? n : 1; }
    const u128 ra = (u128)plan->raise_a, rb = subtract ? -(u128)plan->raise_b : (u128)plan->raise_b;
    const uint64_t na = (uint64_t)ra, nb = (uint64_t)rb;
    if (a->phys == PHYS_I64 && b->phys == PHYS_I64) {
        if (call->result->phys == PHYS_I64) {
            DECIMAL_LOOP(int64_t, int64_t, int64_t, uint64_t, p *na + q * nb);
        } else {
            DECIMAL_LOOP(int64_t, int64_t, __int128, __int128, (u128)p * ra + (u128)q * rb);
        }
    } else if (a->phys == PHYS_I128 && b->phys == PHYS_I64) {
        DECIMAL_LOOP(__int128, int64_t, __int128, __int128, (u128)p * ra + (u128)q * rb);
    } else if (a->phys == PHYS_I64 && b->phys == PHYS_I128) {
        DECIMAL_LOOP(int64_t, __int128, __int128, __int128, (u128)p * ra + (u128)q * rb);
    } else if (a->phys == PHYS_I128 && b->phys == PHYS_I128) {
        DECIMAL_LOOP(__int128, __int128, __int128, __int128, (u128)p * ra + (u128)q * rb);
    } else {
        return false;
    }
    return true;
}

/* A sum whose digits must be cut: exact in parts, so that the rounding is right. */
static bool add_rounded(__int128 x, __int128 y, bool subtract, const struct decimal_plan *plan, __int128 *out) {
    const int top = plan->scale_a > plan->scale_b ? plan->scale_a : plan->scale_b;
    if (subtract) { y = -y; }
    __int128 p, q, sum;
    if (!__builtin_mul_overflow(x, power_of_10(top - plan->scale_a), &p) &&
        !__builtin_mul_overflow(y, power_of_10(top - plan->scale_b), &q) && !__builtin_add_overflow(p, q, &sum)) {
        return decimal_rescale(sum, top, plan->scale, out);
    }
    /* Too wide to line up: whole parts and fractions apart. */
    const __int128 ux = power_of_10(plan->scale_a), uy = power_of_10(plan->scale_b);
    __int128 whole = x / ux + y / uy;
    if (!decimal_rescale(x % ux, plan->scale_a, top, &p) || !decimal_rescale(y % uy, plan->scale_b, top, &q)) {
        return false;
    }
    __int128 fraction = p + q;
    const __int128 one = power_of_10(top);
    whole += fraction / one;
    fraction %= one;
    if (whole > 0 && fraction < 0) {
        whole--;
        fraction += one;
    } else if (whole < 0 && fraction > 0) {
        whole++;
        fraction -= one;
    }
    __int128 rounded;
    if (!decimal_rescale(fraction, top, plan->scale, &rounded)) { return false; }
    return !__builtin_mul_overflow(whole, power_of_10(plan->scale), &sum) && !__builtin_add_overflow(sum, rounded, out);
}

static sabot_status add_or_subtract(struct kernel_call *call, bool subtract, struct sabot_error *err) {
    const struct decimal_plan *plan = call->expr->bound;
    if (plan->exact && add_exact(call, plan, subtract)) { return SABOT_OK; }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        __int128 sum = 0;
        const bool fits =
            add_rounded(wide_at(call->args[0], row), wide_at(call->args[1], row), subtract, plan, &sum);
        SABOT_TRY(put_decimal(call, row, fits, sum, plan, err));
    }
    return SABOT_OK;
}
static sabot_status add_decimals(struct kernel_call *call, struct sabot_error *err) {
    return add_or_subtract(call, false, err);
}
static sabot_status subtract_decimals(struct kernel_call *call, struct sabot_error *err) {
    return add_or_subtract(call, true, err);
}

static sabot_status multiply_decimals(struct kernel_call *call, struct sabot_error *err) {
    const struct decimal_plan *plan = call->expr->bound;
    if (plan->exact && multiply_exact(call)) { return SABOT_OK; }
    const int drop = plan->scale_a + plan->scale_b - plan->scale;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        __int128 product = 0;
        const bool fits =
            decimal_multiply(wide_at(call->args[0], row), wide_at(call->args[1], row), drop, &product);
        SABOT_TRY(put_decimal(call, row, fits, product, plan, err));
    }
    return SABOT_OK;
}

static sabot_status zero_divisor(const struct kernel_call *call, int32_t row, const char *op,
                                 const struct decimal_plan *plan, struct sabot_error *err) {
    char text[PRINT_SIZE];
    print_decimal(wide_at(call->args[0], row), plan->scale_a, text);
    return SABOT_FAIL(err, SABOT_ERR_DATA, "division by zero: %s %s 0", text, op);
}

static sabot_status divide_decimals(struct kernel_call *call, struct sabot_error *err) {
    const struct decimal_plan *plan = call->expr->bound;
    const int raise = plan->scale - plan->scale_a + plan->scale_b;
    const __int128 factor = raise >= 0 && raise <= 38 ? power_of_10(raise) : 0;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const __int128 x = wide_at(call->args[0], row), y = wide_at(call->args[1], row);
        if (y == 0) { return zero_divisor(call, row, "/", plan, err); }
        __int128 raised, quotient = 0;
        bool fits = true;
        if (factor && !__builtin_mul_overflow(x, factor, &raised)) {
            quotient = raised / y;
            const __int128 rest = raised % y;
            const u128 size = rest < 0 ? -(u128)rest : (u128)rest, divisor = y < 0 ? -(u128)y : (u128)y;
            if (size >= divisor - size) { quotient += (x < 0) == (y < 0) ? 1 : -1; }
        } else {
            fits = decimal_divide(x, raise, y, &quotient);
        }
        SABOT_TRY(put_decimal(call, row, fits, quotient, plan, err));
    }
    return SABOT_OK;
}

static sabot_status modulo_decimals(struct kernel_call *call, struct sabot_error *err) {
    const struct decimal_plan *plan = call->expr->bound;
    const int top = plan->scale_a > plan->scale_b ? plan->scale_a : plan->scale_b;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        __int128 x = wide_at(call->args[0], row), y = wide_at(call->args[1], row), rest = 0;
        if (y == 0) { return zero_divisor(call, row, "%", plan, err); }
        bool fits = true;
        if (__builtin_mul_overflow(y, power_of_10(top - plan->scale_b), &y)) {
            rest = x; /* the divisor is bigger than any x: at most 38 digits at the same scale */
        } else {
            /* x * 10^k mod y, a power of ten at a time */
            rest = x % y;
            for (int k = 0; k < top - plan->scale_a && fits; k++) {
                fits = !__builtin_mul_overflow(rest, 10, &rest);
                if (fits) { rest %= y; }
            }
        }
        __int128 value = 0;
        fits = fits && decimal_rescale(rest, top, plan->scale, &value);
        SABOT_TRY(put_decimal(call, row, fits, value, plan, err));
    }
    return SABOT_OK;
}

/* --- bind */
static sabot_status bind_decimals(struct function_binding *binding, char op, struct sabot_error *err) {
    struct decimal_plan *plan = ARENA_NEW(binding->arena, struct decimal_plan);
    if (!plan) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    for (int32_t i = 0; i < 2; i++) { /* two layouts less to care for */
        const enum type_kind kind = binding->args[i]->type.kind;
        if (kind == TYPE_INT8 || kind == TYPE_INT16) { SABOT_TRY(binding_cast(binding, i, type_of(TYPE_INT32), err)); }
    }
    const struct type a = type_as_decimal(binding->args[0]->type), b = type_as_decimal(binding->args[1]->type);
    const int top = a.scale > b.scale ? a.scale : b.scale;
    const int whole_a = a.precision - a.scale, whole_b = b.precision - b.scale;
    int precision = 0, scale = 0;
    switch (op) {
    case '+':
    case '-':
        scale = top;
        precision = (whole_a > whole_b ? whole_a : whole_b) + scale + 1;
        binding->kernel = op == '+' ? add_decimals : subtract_decimals;
        for (int32_t i = 0; i < 2; i++) { /* one layout less */
            if (binding->args[i]->type.kind == TYPE_INT32) {
                SABOT_TRY(binding_cast(binding, i, type_of(TYPE_INT64), err));
            }
        }
        break;
    case '*':
        scale = a.scale + b.scale;
        precision = a.precision + b.precision + 1;
        binding->kernel = multiply_decimals;
        break;
    case '/':
        scale = a.scale + b.precision + 1 > 6 ? a.scale + b.precision + 1 : 6;
        precision = whole_a + b.scale + scale;
        binding->kernel = divide_decimals;
        break;
    default:
        scale = top;
        precision = (whole_a < whole_b ? whole_a : whole_b) + scale;
        binding->kernel = modulo_decimals;
        break;
    }
    const struct type result = decimal_adjusted(precision, scale);
    *plan = (struct decimal_plan){.scale_a = a.scale,
                                  .scale_b = b.scale,
                                  .scale = result.scale,
                                  .precision = result.precision,
                                  .exact = precision <= DECIMAL_PRECISION_MAX};
    const bool narrow = top - a.scale <= 18 && top - b.scale <= 18;
    plan->raise_a = narrow ? (int64_t)powers_of_10_u64[top - a.scale] : 0;
    plan->raise_b = narrow ? (int64_t)powers_of_10_u64[top - b.scale] : 0;
    binding->bound = plan;
    const bool nullable = binding->args[0]->type.nullable || binding->args[1]->type.nullable;
    binding->result = result;
    binding->result.nullable = nullable || !plan->exact || op == '/';
    return SABOT_OK;
}

/* -x is 0 - x; the literal is made in x's type, so that nothing is widened. */
static sabot_status bind_negative(const struct function *function, struct function_binding *binding,
                                  struct sabot_error *err) {
    const struct type type = binding->args[0]->type;
    if (type.kind == TYPE_NULL) {
        binding->replacement = binding->args[0];
        return SABOT_OK;
    }
    if (!type_is_numeric(type) && type.kind != TYPE_INTERVAL_DAY && type.kind != TYPE_INTERVAL_MONTH) {
        return binding_refuse(function, binding, err);
    }
    if (function->name[0] == '+') {
        binding->replacement = binding->args[0];
        return SABOT_OK;
    }
    if (type.kind == TYPE_FLOAT32 || type.kind == TYPE_FLOAT64) {
        /* -0.0 - x, so that -(0.0) is -0.0 */
        const float single = -0.0F;
        const double wide = -0.0;
        struct expr *args[2] = {NULL, binding->args[0]};
        SABOT_TRY(expr_literal(binding->arena, type, type.kind == TYPE_FLOAT32 ? (const void *)&single : &wide,
                               binding->span, &args[0], err));
        return expr_call(binding->arena, "-", args, 2, binding->span, &binding->replacement, err);
    }
    const __int128 zero = 0;
    struct expr *args[2] = {NULL, binding->args[0]}, *difference;
    SABOT_TRY(expr_literal(binding->arena, type, &zero, binding->span, &args[0], err));
    SABOT_TRY(expr_call(binding->arena, "-", args, 2, binding->span, &difference, err));
    return expr_cast(binding->arena, difference, type, false, binding->span, &binding->replacement, err);
}

sabot_status bind_arithmetic(const struct function *function, struct function_binding *binding,
                             struct sabot_error *err) {
    static const struct {
        char op;
        function_kernel integers, floats;
    } kernels[] = {
        {'+', add_integers, add_floats},           {'-', subtract_integers, subtract_floats},
        {'*', multiply_integers, multiply_floats}, {'/', divide_integers, divide_floats},
        {'%', modulo_integers, modulo_floats},
    };
    if (binding->n_args == 1) { return bind_negative(function, binding, err); }
    const char op = function->name[0] == 'M' ? '%' : function->name[0];
    struct type a = binding->args[0]->type, b = binding->args[1]->type;
    bool taken;
    SABOT_TRY(bind_temporal_arithmetic(function, binding, &taken, err));
    if (taken) { return SABOT_OK; }
    /* NULL takes the type of the other side */
    if (a.kind == TYPE_NULL && b.kind == TYPE_NULL) { a = b = type_of(TYPE_INT32); }
    if (a.kind == TYPE_NULL) { a = b; }
    if (b.kind == TYPE_NULL) { b = a; }
    if (!type_is_numeric(a) || !type_is_numeric(b)) { return binding_refuse(function, binding, err); }
    SABOT_TRY(binding_cast(binding, 0, a, err));
    SABOT_TRY(binding_cast(binding, 1, b, err));
    struct type common;
    SABOT_TRY(type_common((const struct type[]){a, b}, 2, &common, err));
    if (common.kind == TYPE_DECIMAL) { return bind_decimals(binding, op, err); }
    SABOT_TRY(binding_cast(binding, 0, common, err));
    SABOT_TRY(binding_cast(binding, 1, common, err));
    binding->result = common;
    binding->result.nullable = binding->args[0]->type.nullable || binding->args[1]->type.nullable;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        if (kernels[i].op != op) { continue; }
        binding->kernel = type_is_integer(common) ? kernels[i].integers : kernels[i].floats;
    }
    /* a remainder has the type of the divisor */
    if (op == '%' && type_is_integer(common)) { binding->result.kind = b.kind; }
    return SABOT_OK;
}
