/* An operator that forgets (table.exec.state.ttl) under the simulator's clock: rows (k, v) go in, time passes, and what
 * comes out is compared as text. */
#ifndef TESTS_UTIL_TTL_H
#define TESTS_UTIL_TTL_H

#include "base/env_sim.h"
#include "tests/util/fleet.h"

#define TTL_MS 1000
#define TTL_ROWS_MAX 4096

struct ttl_row {
    int64_t k, v;
    enum row_kind kind;
};
struct ttl_fixture {
    struct env *env;
    int64_t now_ms; /* since the beginning */
    struct op_harness harness;
    struct schema *input;
    void *options; /* the operator's; a copy */
    bool retracts; /* rows have kinds */
    char changes[65536];
};

/* Opens the operator; takes over the schemas, copies the options. */
struct ttl_fixture *ttl_begin(const struct op_type *type, const void *options, size_t options_size, bool retracts,
                              struct schema *input, struct schema *output);
void ttl_end(struct ttl_fixture *fixture);
void ttl_pass(struct ttl_fixture *fixture, int64_t ms);
void ttl_send(struct ttl_fixture *fixture, const struct ttl_row *rows, int32_t n);
/* What has come out since the last look is this, as harness_changes writes it. */
void ttl_expect(struct ttl_fixture *fixture, const char *expected);

#define TTL_SEND(fixture_, expected_, ...)                                                                             \
    do {                                                                                                               \
        const struct ttl_row rows_[] = {__VA_ARGS__};                                                                  \
        ttl_send(fixture_, rows_, (int32_t)(sizeof rows_ / sizeof rows_[0]));                                          \
        ttl_expect(fixture_, expected_);                                                                               \
    } while (0)

#endif
