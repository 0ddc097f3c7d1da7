/* See ttl.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/util/ttl.h"

struct ttl_fixture *ttl_begin(const struct op_type *type, const void *options, size_t options_size, bool retracts,
                              struct schema *input, struct schema *output) {
    struct ttl_fixture *fixture = calloc(1, sizeof *fixture);
    fixture->env = env_sim_new(&(struct env_sim_options){.seed = 1});
    fixture->options = malloc(options_size);
    memcpy(fixture->options, options, options_size);
    fixture->retracts = retracts;
    fixture->input = input;
    harness_init(&fixture->harness, type, fixture->options, fixture->input, output);
    schema_unref(output);
    fixture->harness.context.env = fixture->env;
    harness_open(&fixture->harness);
    return fixture;
}

void ttl_end(struct ttl_fixture *fixture) {
    harness_close(&fixture->harness);
    schema_unref(fixture->input);
    env_sim_free(fixture->env);
    free(fixture->options);
    free(fixture);
}

void ttl_pass(struct ttl_fixture *fixture, int64_t ms) {
    fixture->now_ms += ms;
    env_sim_advance(fixture->env, env_now_ns(fixture->env) + ms * 1000000);
}

void ttl_send(struct ttl_fixture *fixture, const struct ttl_row *rows, int32_t n) {
    static int64_t keys[TTL_ROWS_MAX], values[TTL_ROWS_MAX];
    static uint8_t kinds[TTL_ROWS_MAX];
    for (int32_t i = 0; i < n; i++) {
        keys[i] = rows[i].k;
        values[i] = rows[i].v;
        kinds[i] = (uint8_t)rows[i].kind;
    }
    struct memory_pool *pool = &fixture->harness.pool;
    struct column *columns[] = {test_column_i64(pool, keys, NULL, n), test_column_i64(pool, values, NULL, n)};
    harness_batch(&fixture->harness,
                  test_changes(pool, fixture->input, columns, 2, fixture->retracts ? kinds : NULL));
}

void ttl_expect(struct ttl_fixture *fixture, const char *expected) {
    harness_changes(&fixture->harness, fixture->changes, sizeof fixture->changes);
    assert_string_equal(fixture->changes, expected);
}
