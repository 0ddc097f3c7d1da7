/* java.util.SplittableRandom, to the bit, as far as the Nexmark generator draws from it.
 *
 * The whole state is one 64-bit number that grows by a constant with each draw, so a position in the sequence is stored
 * in eight bytes and draws whose values nobody needs are skipped by one multiplication. The algorithm is the one that
 * the JDK documents (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"). */
#ifndef CONNECT_NEXMARK_RANDOM_H
#define CONNECT_NEXMARK_RANDOM_H

#include <stdint.h>

#define SPLITTABLE_GAMMA UINT64_C(0x9e3779b97f4a7c15)

struct splittable_random {
    uint64_t state;
};

static inline uint64_t splittable_mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t splittable_mix32(uint64_t z) {
    z = (z ^ (z >> 33)) * UINT64_C(0x62a9d9ed799705f5);
    return (uint32_t)(((z ^ (z >> 28)) * UINT64_C(0xcb24d0a5c88c35b3)) >> 32);
}

/* nextLong() */
static inline int64_t splittable_next_long(struct splittable_random *random) {
    random->state += SPLITTABLE_GAMMA;
    return (int64_t)splittable_mix64(random->state);
}

/* nextInt() */
static inline int32_t splittable_next_int(struct splittable_random *random) {
    random->state += SPLITTABLE_GAMMA;
    return (int32_t)splittable_mix32(random->state);
}

/* nextInt(bound), 1 <= bound <= 2^31 - 1. A value from the incomplete last stretch of [0, 2^31) is drawn again. */
static inline uint32_t splittable_next_below(struct splittable_random *random, uint32_t bound) {
    const uint32_t mask = bound - 1;
    uint32_t bits = (uint32_t)splittable_next_int(random);
    if ((bound & mask) == 0) { return bits & mask; }
    bits >>= 1;
    uint32_t value = bits % bound;
    while (__builtin_expect(bits - value + mask > INT32_MAX, 0)) {
        bits = (uint32_t)splittable_next_int(random) >> 1;
        value = bits % bound;
    }
    return value;
}

/* The 53 bits that nextDouble() makes its value from: value = bits * 2^-53. */
static inline uint64_t splittable_next_double_bits(struct splittable_random *random) {
    return (uint64_t)splittable_next_long(random) >> 11;
}

/* Passes over `count` draws. */
static inline void splittable_skip(struct splittable_random *random, uint64_t count) {
    random->state += SPLITTABLE_GAMMA * count;
}

#endif
