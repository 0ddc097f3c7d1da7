/* Prices: round(10^(6 d) * 100) for a random d of [0, 1), to the cent as Java's Math.pow and Math.round give it. */
#ifndef CONNECT_NEXMARK_PRICE_H
#define CONNECT_NEXMARK_PRICE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define NEXMARK_EXP_STEPS 64

/* From the 53 random bits of d. Java's pow and the C library's are both within one unit in the last place, so they can
 * differ only where a price lies within a millionth of a cent of a half. */
static inline int64_t nexmark_price_exact(uint64_t bits) {
    const double x = pow(10.0, (double)bits * 0x1p-53 * 6.0) * 100.0;
    return (int64_t)floor(x + 0.5);
}

/* The same by 2^(k + j/64) times a short series. Its error is below 1e-5, so only what comes close to a half needs the
 * library's pow. */
static inline int64_t nexmark_price(const double *exp_steps, uint64_t bits) {
    const double log2_of_million = 19.931568569324174;
    const double x = (double)(int64_t)bits * (0x1p-53 * log2_of_million * NEXMARK_EXP_STEPS);
    const int64_t step = (int64_t)x;
    const double f = (x - (double)step) * (0.6931471805599453 / NEXMARK_EXP_STEPS);
    const double series = 1.0 + f * (1.0 + f * (0.5 + f * (1.0 / 6 + f * (1.0 / 24 + f * (1.0 / 120)))));
    const uint64_t power_bits = (uint64_t)(1023 + step / NEXMARK_EXP_STEPS) << 52;
    double power;
    memcpy(&power, &power_bits, sizeof power);
    const double price = 100.0 * exp_steps[step % NEXMARK_EXP_STEPS] * series * power;
    const int64_t whole = (int64_t)price;
    const double fraction = price - (double)whole;
    if (__builtin_expect(fabs(fraction - 0.5) < 1e-4, 0)) { return nexmark_price_exact(bits); }
    return whole + (fraction > 0.5);
}

#endif
