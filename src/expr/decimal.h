/* Decimals: unscaled __int128 values of at most 38 digits, and Flink's rules for their types. */
#ifndef EXPR_DECIMAL_H
#define EXPR_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "arrow/type.h"

#define DECIMAL_PRECISION_MAX 38

extern const uint64_t powers_of_10_u64[20];             /* 10^0 .. 10^19 */
__int128 power_of_10(int exponent);                     /* 0..38 */

/* DECIMAL(precision, scale), or where the precision is over 38 the one that Flink makes of it: digits before the point
 * are kept, at least 6 behind it too. */
struct type decimal_adjusted(int precision, int scale);
/* INT as DECIMAL(10, 0) and so on; other types as they are. */
struct type type_as_decimal(struct type type);

static inline bool decimal_fits(__int128 value, int precision) {
    const __int128 limit = power_of_10(precision);
    return value < limit && value > -limit;
}
/* value * 10^(to - from), rounded HALF_UP where digits go; false where it has more than 38 digits. */
bool decimal_rescale(__int128 value, int from_scale, int to_scale, __int128 *out);
/* value / 10^digits, rounded HALF_UP (away from zero). */
__int128 decimal_shorten(__int128 value, int digits);
/* Products and quotients in 256 bits: a * b / 10^drop and a * 10^raise / b, rounded HALF_UP; false on overflow. */
bool decimal_multiply(__int128 a, __int128 b, int drop, __int128 *out);
bool decimal_divide(__int128 a, int raise, __int128 b, __int128 *out);
/* -1, 0, 1 for values of different scale. */
int decimal_compare(__int128 a, int scale_a, __int128 b, int scale_b);
/* Rounded HALF_UP to the scale; false where it is not finite or has more than `precision` digits. */
bool decimal_of_double(double value, int precision, int scale, __int128 *out);
double decimal_to_double(__int128 value, int scale);
/* [+-]digits[.digits][e[+-]digits], blanks around it; rounded HALF_UP to the scale. false: not a number. *fits is false
 * where it has too many digits. */
bool text_to_decimal(const char *text, size_t size, int precision, int scale, __int128 *out, bool *fits);

#endif
