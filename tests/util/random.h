/* Random numbers that are the same each time: of tests, which print their seed, and of benchmarks. */
#ifndef TESTS_UTIL_RANDOM_H
#define TESTS_UTIL_RANDOM_H

#include <stdint.h>

/* Marsaglia's xorshift64 (13, 7, 17). The state must not be 0. */
static inline uint64_t xorshift64(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
