/* What benchmarks share: a failed call ends the program with its message; the seed of their random numbers. */
#ifndef TESTS_UTIL_BENCH_H
#define TESTS_UTIL_BENCH_H

#include "base/error.h"
#include "tests/util/random.h"

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

#endif
