/* ROW_NUMBER that forgets rows (table.exec.state.ttl), with the simulator's clock: as in Flink, in processing time, a
 * row lives from when it was written. For consumers that need -U and for those that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/env_sim.h"
#include "tests/util/fleet.h"

#define TTL_MS 1000
#define ROWS_MAX 4096

struct row {
    int64_t k, v;
    enum row_kind kind;
};
struct fixture {
    struct env *env;
    int64_t now_ms; /* since the beginning */
    struct op_harness harness;
    struct rank_options options;
    struct schema *input;
    char changes[65536];
};

static const int32_t key = 0;
static const struct sort_key by_v[] = {{.column = 1}}, by_v_down[] = {{.column = 1, .descending = true}};

static struct fixture *begin(struct rank_options options) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->env = env_sim_new(&(struct env_sim_options){.seed = 1});
    fixture->options = options;
    fixture->options.ttl_ms = TTL_MS;
    fixture->options.keys = &key;
    fixture->options.first = 1;
    fixture->options.n_order = 1;
    const struct type bigint = type_not_null(type_of(TYPE_INT64));
    const struct field fields[] = {{"k", bigint}, {"v", bigint}, {"rank", bigint}};
    struct schema *output = test_schema(fields, options.output_rank ? 3 : 2);
    fixture->input = test_schema(fields, 2);
    harness_init(&fixture->harness, &op_rank, &fixture->options, fixture->input, output);
    schema_unref(output);
    fixture->harness.context.env = fixture->env;
    harness_open(&fixture->harness);
    return fixture;
}

static void end(struct fixture *fixture) {
    harness_close(&fixture->harness);
    schema_unref(fixture->input);
    env_sim_free(fixture->env);
    free(fixture);
}

static void pass(struct fixture *fixture, int64_t ms) {
    fixture->now_ms += ms;
    env_sim_advance(fixture->env, env_now_ns(fixture->env) + ms * 1000000);
}

static void send(struct fixture *fixture, const struct row *rows, int32_t n) {
    static int64_t keys[ROWS_MAX], values[ROWS_MAX];
    static uint8_t kinds[ROWS_MAX];
    for (int32_t i = 0; i < n; i++) {
        keys[i] = rows[i].k;
        values[i] = rows[i].v;
        kinds[i] = (uint8_t)rows[i].kind;
    }
    struct memory_pool *pool = &fixture->harness.pool;
    struct column *columns[] = {test_column_i64(pool, keys, NULL, n), test_column_i64(pool, values, NULL, n)};
    harness_batch(&fixture->harness, test_changes(pool, fixture->input, columns, 2,
                                                  fixture->options.input_retracts ? kinds : NULL));
}

#define SEND(fixture_, expected_, ...)                                                                                 \
    do {                                                                                                               \
        const struct row rows_[] = {__VA_ARGS__};                                                                      \
        send(fixture_, rows_, (int32_t)(sizeof rows_ / sizeof rows_[0]));                                              \
        harness_changes(&(fixture_)->harness, (fixture_)->changes, sizeof(fixture_)->changes);                         \
        assert_string_equal((fixture_)->changes, expected_);                                                           \
    } while (0)

static void the_first_row_of_a_key_comes_again_when_the_one_before_is_forgotten(void **state) {
    (void)state;
    for (int32_t n_keys = 0; n_keys < 2; n_keys++) {
        struct fixture *fixture = begin((struct rank_options){.n_keys = n_keys, .order = by_v, .limit = 1});
        SEND(fixture, "+I 7|1", {7, 1, ROW_INSERT});
        pass(fixture, TTL_MS - 1);
        SEND(fixture, "", {7, 2, ROW_INSERT}); /* a row that does not rank writes nothing */
        pass(fixture, 1);
        SEND(fixture, "+I 7|3", {7, 3, ROW_INSERT});
        assert_int_equal(fixture->harness.metrics.state_rows, 2); /* with its partition */
        end(fixture);
    }
}

static void each_new_last_row_prolongs_the_life_of_its_key(void **state) {
    (void)state;
    for (int32_t pairs = 0; pairs < 2; pairs++) {
        struct fixture *fixture = begin((struct rank_options){
            .n_keys = 1, .order = by_v_down, .limit = 1, .keep_last = true, .emit_update_before = pairs});
        SEND(fixture, "+I 7|1", {7, 1, ROW_INSERT});
        pass(fixture, TTL_MS - 1);
        SEND(fixture, pairs ? "-U 7|1; +U 7|2" : "+U 7|2", {7, 2, ROW_INSERT});
        pass(fixture, TTL_MS - 1);
        /* the same row: given out for consumers that forget, too */
        SEND(fixture, pairs ? "-U 7|2; +U 7|2" : "+U 7|2", {7, 2, ROW_INSERT});
        pass(fixture, TTL_MS);
        SEND(fixture, "+I 7|1", {7, 1, ROW_INSERT});
        end(fixture);
    }
}

static void each_of_the_first_rows_is_forgotten_at_its_own_time(void **state) {
    (void)state;
    struct fixture *fixture = begin(
        (struct rank_options){.n_keys = 1, .order = by_v, .limit = 2, .output_rank = true, .emit_update_before = true});
    SEND(fixture, "+I 7|10|1", {7, 10, ROW_INSERT});
    pass(fixture, 500);
    SEND(fixture, "+I 7|20|2", {7, 20, ROW_INSERT});
    pass(fixture, 500);
    /* 10 is forgotten without a word: 20 is the first of what is known */
    SEND(fixture, "+I 7|30|2", {7, 30, ROW_INSERT});
    pass(fixture, 500);
    SEND(fixture, "+I 7|40|2", {7, 40, ROW_INSERT});
    end(fixture);
}

static void a_checkpoint_knows_when_a_row_was_written(void **state) {
    (void)state;
    for (int32_t late = 0; late < 2; late++) {
        struct fixture *fixture = begin((struct rank_options){.n_keys = 1, .order = by_v, .limit = 1});
        SEND(fixture, "+I 7|5", {7, 5, ROW_INSERT});
        pass(fixture, 600);
        SEND(fixture, "+I 8|5", {8, 5, ROW_INSERT});
        harness_restart(&fixture->harness, 1);
        pass(fixture, late ? 400 : 399);
        SEND(fixture, late ? "+I 7|6" : "", {7, 6, ROW_INSERT}, {8, 6, ROW_INSERT});
        end(fixture);
    }
}

static void retractions_of_forgotten_rows_are_passed_over(void **state) {
    (void)state;
    struct fixture *fixture = begin((struct rank_options){
        .n_keys = 1, .order = by_v, .limit = 1, .input_retracts = true, .emit_update_before = true});
    SEND(fixture, "+I 7|5", {7, 5, ROW_INSERT}, {7, 6, ROW_INSERT});
    pass(fixture, 500);
    SEND(fixture, "-U 7|5; +U 7|3", {7, 3, ROW_INSERT});
    pass(fixture, 500);
    SEND(fixture, "", {7, 5, ROW_DELETE});
    SEND(fixture, "-D 7|3", {7, 3, ROW_DELETE}); /* 6 is forgotten: it does not come back */
    assert_int_equal(fixture->harness.metrics.state_rows, 0);
    end(fixture);
}

static void rows_of_partitions_without_news_go_little_by_little(void **state) {
    (void)state;
    static struct row rows[ROWS_MAX];
    for (int32_t retracts = 0; retracts < 2; retracts++) {
        struct fixture *fixture =
            begin((struct rank_options){.n_keys = 1, .order = by_v, .limit = 3, .input_retracts = retracts});
        for (int32_t i = 0; i < 4000; i++) { rows[i] = (struct row){i % 700, i % 5, ROW_INSERT}; }
        send(fixture, rows, 4000);
        pass(fixture, TTL_MS);
        for (int32_t i = 0; i < 100; i++) { send(fixture, &(struct row){5000, 100 - i, ROW_INSERT}, 1); }
        assert_int_equal(fixture->harness.metrics.state_rows, retracts ? 100 + 1 : 3 + 1);
        harness_changes(&fixture->harness, fixture->changes, sizeof fixture->changes);
        SEND(fixture, "+I 17|5", {17, 5, ROW_INSERT});
        end(fixture);
    }
}

/* Rows that come at random: of each key the model knows the least value among those that are not forgotten. */
static void random_rows_live_as_long_as_the_model_says(void **state) {
    (void)state;
    enum { KEYS = 40 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15)};
        struct fixture *fixture = begin((struct rank_options){.n_keys = 1, .order = by_v, .limit = 1});
        int64_t written_ms[KEYS], least[KEYS];
        bool there[KEYS] = {0};
        for (int32_t step = 0; step < 150; step++) {
            char expected[64] = "";
            const int32_t k = test_below(&random, KEYS), v = test_below(&random, 50);
            pass(fixture, test_below(&random, 60));
            const bool lives = there[k] && fixture->now_ms - written_ms[k] < TTL_MS;
            if (!lives || v < least[k]) {
                snprintf(expected, sizeof expected, "%s %d|%d", lives ? "+U" : "+I", k, v);
                written_ms[k] = fixture->now_ms;
                least[k] = v;
                there[k] = true;
            }
            SEND(fixture, expected, {k, v, ROW_INSERT});
            if (step % 25 == 24) { harness_restart(&fixture->harness, step); }
        }
        end(fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_row_of_a_key_comes_again_when_the_one_before_is_forgotten),
        cmocka_unit_test(each_new_last_row_prolongs_the_life_of_its_key),
        cmocka_unit_test(each_of_the_first_rows_is_forgotten_at_its_own_time),
        cmocka_unit_test(a_checkpoint_knows_when_a_row_was_written),
        cmocka_unit_test(retractions_of_forgotten_rows_are_passed_over),
        cmocka_unit_test(rows_of_partitions_without_news_go_little_by_little),
        cmocka_unit_test(random_rows_live_as_long_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
