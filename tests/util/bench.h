/* What benchmarks share: a failed call ends the program with its message; random numbers, the same ones each time. */
#ifndef TESTS_UTIL_BENCH_H
#define TESTS_UTIL_BENCH_H

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* call uses &err, which is declared here. */
#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        struct sabot_error err = {0};                                                                                  \
        if ((call) != SABOT_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", #call, err.message);                                                           \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define BENCH_SEED 88172645463325252u

/* Marsaglia's xorshift64 (13, 7, 17). The state must not be 0. */
static inline uint64_t bench_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
