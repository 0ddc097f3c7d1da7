/* Decimal arithmetic in 128 bits, with 256 bits in between where it is needed. */
#include "expr/decimal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/print.h"

typedef unsigned __int128 u128;

const uint64_t powers_of_10_u64[20] = {
    1u,
    10u,
    100u,
    1000u,
    10000u,
    100000u,
    1000000u,
    10000000u,
    100000000u,
    1000000000u,
    10000000000u,
    100000000000u,
    1000000000000u,
    10000000000000u,
    100000000000000u,
    1000000000000000u,
    10000000000000000u,
    100000000000000000u,
    1000000000000000000u,
    10000000000000000000u,
};

__int128 power_of_10(int exponent) {
    if (exponent <= 19) { return powers_of_10_u64[exponent < 0 ? 0 : exponent]; }
    return (__int128)powers_of_10_u64[19] * powers_of_10_u64[(exponent > 38 ? 38 : exponent) - 19];
}

struct type decimal_adjusted(int precision, int scale) {
    if (precision > DECIMAL_PRECISION_MAX) {
        const int whole = precision - scale;
        const int least = scale < 6 ? scale : 6;
        const int left = DECIMAL_PRECISION_MAX - whole;
        scale = left > least ? left : least;
        precision = DECIMAL_PRECISION_MAX;
    }
    return type_decimal(precision, scale);
}

static u128 magnitude(__int128 value) { return value < 0 ? -(u128)value : (u128)value; }

__int128 decimal_shorten(__int128 value, int digits) {
    if (digits <= 0) { return value; }
    if (digits > 38) { return 0; }
    const __int128 divisor = power_of_10(digits);
    const __int128 half = divisor / 2; /* even: powers of ten are */
    if (value == (int64_t)value && digits <= 18) {
        const int64_t narrow = (int64_t)value, d = (int64_t)divisor;
        const int64_t quotient = narrow / d, rest = narrow % d;
        return quotient + (rest >= d / 2) - (rest <= -(d / 2));
    }
    const __int128 quotient = value / divisor, rest = value % divisor;
    return quotient + (rest >= half) - (rest <= -half);
}

bool decimal_rescale(__int128 value, int from_scale, int to_scale, __int128 *out) {
    if (to_scale <= from_scale) {
        *out = decimal_shorten(value, from_scale - to_scale);
        return true;
    }
    if (to_scale - from_scale > 38) {
        *out = 0;
        return value == 0;
    }
    return !__builtin_mul_overflow(value, power_of_10(to_scale - from_scale), out) &&
           decimal_fits(*out, DECIMAL_PRECISION_MAX);
}

/* --- 256 bits */
struct u256 {
    u128 high, low;
};

static struct u256 multiply_wide(u128 a, u128 b) {
    const uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64), b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    const u128 p00 = (u128)a0 * b0, p01 = (u128)a0 * b1, p10 = (u128)a1 * b0, p11 = (u128)a1 * b1;
    const u128 middle = (p00 >> 64) + (uint64_t)p01 + (uint64_t)p10;
    return (struct u256){.high = p11 + (p01 >> 64) + (p10 >> 64) + (middle >> 64),
                         .low = middle << 64 | (uint64_t)p00};
}

/* Rounded HALF_UP; false where the quotient has more than 127 bits. Bit by bit: this is the rare way. */
static bool divide_wide(struct u256 value, u128 divisor, u128 *out) {
    if (value.high >= divisor) { return false; }
    u128 rest = value.high, quotient = 0;
    for (int i = 127; i >= 0; i--) {
        const bool carry = rest >> 127;
        rest = rest << 1 | (value.low >> i & 1);
        quotient <<= 1;
        if (carry || rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
    }
    if (rest >= divisor - rest) { quotient++; }
    *out = quotient;
    return quotient >> 127 == 0;
}

static bool with_sign(u128 value, bool negative, __int128 *out) {
    *out = negative ? -(__int128)value : (__int128)value;
    return decimal_fits(*out, DECIMAL_PRECISION_MAX);
}

bool decimal_multiply(__int128 a, __int128 b, int drop, __int128 *out) {
    if (drop == 0) { return !__builtin_mul_overflow(a, b, out) && decimal_fits(*out, DECIMAL_PRECISION_MAX); }
    const struct u256 product = multiply_wide(magnitude(a), magnitude(b));
    u128 quotient;
    return divide_wide(product, (u128)power_of_10(drop), &quotient) && with_sign(quotient, (a < 0) != (b < 0), out);
}

bool decimal_divide(__int128 a, int raise, __int128 b, __int128 *out) {
    const u128 divisor = magnitude(b);
    u128 quotient;
    if (raise < 0) {
        /* a / (b * 10^-raise); the divisor may pass 128 bits only where the quotient is 0 or 1, */
        u128 big;
        if (-raise > 38 || __builtin_mul_overflow(divisor, (u128)power_of_10(-raise), &big)) {
            *out = 0;
            return true;
        }
        if (!divide_wide((struct u256){.high = 0, .low = magnitude(a)}, big, &quotient)) { return false; }
    } else if (raise <= 38) {
        if (!divide_wide(multiply_wide(magnitude(a), (u128)power_of_10(raise)), divisor, &quotient)) { return false; }
    } else {
        /* two steps would round twice: divide first, then carry the rest on */
        u128 whole = magnitude(a) / divisor, rest = magnitude(a) % divisor;
        for (int i = 0; i < raise; i++) {
            const struct u256 ten = multiply_wide(rest, 10);
            u128 digit = 0;
            /* rest < divisor, so the digit is below 10; exact, not rounded */
            struct u256 left = ten;
            while (left.high > 0 || left.low >= divisor) {
                if (left.low < divisor) { left.high--; }
                left.low -= divisor;
                digit++;
            }
            rest = left.low;
            if (whole > (u128)power_of_10(38) / 10) { return false; }
            whole = whole * 10 + digit;
        }
        quotient = whole + (rest >= divisor - rest);
    }
    return with_sign(quotient, (a < 0) != (b < 0), out);
}

int decimal_compare(__int128 a, int scale_a, __int128 b, int scale_b) {
    if (scale_a < scale_b) { return -decimal_compare(b, scale_b, a, scale_a); }
    __int128 wide;
    if (scale_a > scale_b) {
        if (__builtin_mul_overflow(b, power_of_10(scale_a - scale_b), &wide)) { return b > 0 ? -1 : 1; }
        b = wide;
    }
    return (a > b) - (a < b);
}

/* --- from and to other numbers */
bool decimal_of_double(double value, int precision, int scale, __int128 *out) {
    if (!isfinite(value)) { return false; }
    /* as Flink: BigDecimal.valueOf, which reads the shortest digits of the double */
    char text[PRINT_SIZE];
    const int size = print_f64(value, text);
    bool fits = false;
    return text_to_decimal(text, (size_t)size, precision, scale, out, &fits) && fits;
}

double decimal_to_double(__int128 value, int scale) {
    if (value == (int64_t)value && scale <= 18) {
        const int64_t narrow = (int64_t)value;
        /* both exact, so the quotient is rounded once */
        if (narrow <= (INT64_C(1) << 53) && narrow >= -(INT64_C(1) << 53)) {
            return (double)narrow / (double)powers_of_10_u64[scale];
        }
    }
    char text[PRINT_SIZE];
    print_decimal(value, scale, text);
    return strtod(text, NULL);
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool text_to_decimal(const char *text, size_t size, int precision, int scale, __int128 *out, bool *fits) {
    size_t at = 0;
    *fits = true;
    *out = 0;
    while (at < size && is_blank(text[at])) { at++; }
    while (size > at && is_blank(text[size - 1])) { size--; }
    bool negative = false;
    if (at < size && (text[at] == '-' || text[at] == '+')) { negative = text[at++] == '-'; }

    /* digits of the number without leading zeros; `point` counts those before the point */
    char digits[DECIMAL_PRECISION_MAX * 2 + 4];
    int n = 0;
    int64_t point = 0, seen = 0;
    bool before_point = true, sticky = false;
    for (; at < size; at++) {
        const char c = text[at];
        if (c == '.') {
            if (!before_point) { return false; }
            before_point = false;
            continue;
        }
        if (c < '0' || c > '9') { break; }
        seen++;
        if (n == 0 && c == '0') {
            point -= !before_point;
            continue;
        }
        point += before_point;
        if (n < (int)sizeof digits) {
            digits[n++] = c;
        } else {
            sticky = sticky || c != '0';
        }
    }
    if (seen == 0) { return false; }
    if (at < size && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        bool negative_exponent = false;
        if (at < size && (text[at] == '-' || text[at] == '+')) { negative_exponent = text[at++] == '-'; }
        if (at >= size) { return false; }
        int64_t exponent = 0;
        for (; at < size; at++) {
            if (text[at] < '0' || text[at] > '9') { return false; }
            if (exponent < 100000) { exponent = exponent * 10 + text[at] - '0'; }
        }
        point += negative_exponent ? -exponent : exponent;
    }
    if (at != size) { return false; }
    if (n == 0) { return true; }

    const int64_t wanted = point + scale; /* how many digits stay */
    if (wanted > precision) {
        *fits = false;
        return true;
    }
    __int128 value = 0;
    for (int64_t i = 0; i < wanted; i++) { value = value * 10 + (i < n ? digits[i] - '0' : 0); }
    if (wanted >= 0 && wanted < n && digits[wanted] >= '5') { value++; }
    (void)sticky; /* HALF_UP looks at one digit only */
    *out = negative ? -value : value;
    *fits = decimal_fits(value, precision);
    return true;
}
