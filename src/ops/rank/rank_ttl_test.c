/* ROW_NUMBER that forgets rows (table.exec.state.ttl), with the simulator's clock: as in Flink, in processing time, a
 * row lives from when it was written. For consumers that need -U and for those that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/ttl.h"

static const int32_t key = 0;
static const struct sort_key by_v[] = {{.column = 1}}, by_v_down[] = {{.column = 1, .descending = true}};

static struct ttl_fixture *begin(struct rank_options options) {
    options.ttl_ms = TTL_MS;
    options.keys = &key;
    options.first = 1;
    options.n_order = 1;
    const struct type bigint = type_not_null(type_of(TYPE_INT64));
    const struct field fields[] = {{"k", bigint}, {"v", bigint}, {"rank", bigint}};
    return ttl_begin(&op_rank, &options, sizeof options, options.input_retracts, test_schema(fields, 2),
                     test_schema(fields, options.output_rank ? 3 : 2));
}

static void the_first_row_of_a_key_comes_again_when_the_one_before_is_forgotten(void **state) {
    (void)state;
    for (int32_t n_keys = 0; n_keys < 2; n_keys++) {
        struct ttl_fixture *fixture = begin((struct rank_options){.n_keys = n_keys, .order = by_v, .limit = 1});
        TTL_SEND(fixture, "+I 7|1", {7, 1, ROW_INSERT});
        ttl_pass(fixture, TTL_MS - 1);
        TTL_SEND(fixture, "", {7, 2, ROW_INSERT}); /* a row that does not rank writes nothing */
        ttl_pass(fixture, 1);
        TTL_SEND(fixture, "+I 7|3", {7, 3, ROW_INSERT});
        assert_int_equal(fixture->harness.metrics.state_rows, 2); /* with its partition */
        ttl_end(fixture);
    }
}

static void each_new_last_row_prolongs_the_life_of_its_key(void **state) {
    (void)state;
    for (int32_t pairs = 0; pairs < 2; pairs++) {
        struct ttl_fixture *fixture = begin((struct rank_options){
            .n_keys = 1, .order = by_v_down, .limit = 1, .keep_last = true, .emit_update_before = pairs});
        TTL_SEND(fixture, "+I 7|1", {7, 1, ROW_INSERT});
        ttl_pass(fixture, TTL_MS - 1);
        TTL_SEND(fixture, pairs ? "-U 7|1; +U 7|2" : "+U 7|2", {7, 2, ROW_INSERT});
        ttl_pass(fixture, TTL_MS - 1);
        /* the same row: given out for consumers that forget, too */
        TTL_SEND(fixture, pairs ? "-U 7|2; +U 7|2" : "+U 7|2", {7, 2, ROW_INSERT});
        ttl_pass(fixture, TTL_MS);
        TTL_SEND(fixture, "+I 7|1", {7, 1, ROW_INSERT});
        ttl_end(fixture);
    }
}

static void each_of_the_first_rows_is_forgotten_at_its_own_time(void **state) {
    (void)state;
    struct ttl_fixture *fixture = begin(
        (struct rank_options){.n_keys = 1, .order = by_v, .limit = 2, .output_rank = true, .emit_update_before = true});
    TTL_SEND(fixture, "+I 7|10|1", {7, 10, ROW_INSERT});
    ttl_pass(fixture, 500);
    TTL_SEND(fixture, "+I 7|20|2", {7, 20, ROW_INSERT});
    ttl_pass(fixture, 500);
    /* 10 is forgotten without a word: 20 is the first of what is known */
    TTL_SEND(fixture, "+I 7|30|2", {7, 30, ROW_INSERT});
    ttl_pass(fixture, 500);
    TTL_SEND(fixture, "+I 7|40|2", {7, 40, ROW_INSERT});
    ttl_end(fixture);
}

static void a_checkpoint_knows_when_a_row_was_written(void **state) {
    (void)state;
    for (int32_t late = 0; late < 2; late++) {
        struct ttl_fixture *fixture = begin((struct rank_options){.n_keys = 1, .order = by_v, .limit = 1});
        TTL_SEND(fixture, "+I 7|5", {7, 5, ROW_INSERT});
        ttl_pass(fixture, 600);
        TTL_SEND(fixture, "+I 8|5", {8, 5, ROW_INSERT});
        harness_restart(&fixture->harness, 1);
        ttl_pass(fixture, late ? 400 : 399);
        TTL_SEND(fixture, late ? "+I 7|6" : "", {7, 6, ROW_INSERT}, {8, 6, ROW_INSERT});
        ttl_end(fixture);
    }
}

static void retractions_of_forgotten_rows_are_passed_over(void **state) {
    (void)state;
    struct ttl_fixture *fixture = begin((struct rank_options){
        .n_keys = 1, .order = by_v, .limit = 1, .input_retracts = true, .emit_update_before = true});
    TTL_SEND(fixture, "+I 7|5", {7, 5, ROW_INSERT}, {7, 6, ROW_INSERT});
    ttl_pass(fixture, 500);
    TTL_SEND(fixture, "-U 7|5; +U 7|3", {7, 3, ROW_INSERT});
    ttl_pass(fixture, 500);
    TTL_SEND(fixture, "", {7, 5, ROW_DELETE});
    TTL_SEND(fixture, "-D 7|3", {7, 3, ROW_DELETE}); /* 6 is forgotten: it does not come back */
    assert_int_equal(fixture->harness.metrics.state_rows, 0);
    ttl_end(fixture);
}

static void rows_of_partitions_without_news_go_little_by_little(void **state) {
    (void)state;
    static struct ttl_row rows[TTL_ROWS_MAX];
    for (int32_t retracts = 0; retracts < 2; retracts++) {
        struct ttl_fixture *fixture =
            begin((struct rank_options){.n_keys = 1, .order = by_v, .limit = 3, .input_retracts = retracts});
        for (int32_t i = 0; i < 4000; i++) { rows[i] = (struct ttl_row){i % 700, i % 5, ROW_INSERT}; }
        ttl_send(fixture, rows, 4000);
        ttl_pass(fixture, TTL_MS);
        for (int32_t i = 0; i < 100; i++) { ttl_send(fixture, &(struct ttl_row){5000, 100 - i, ROW_INSERT}, 1); }
        assert_int_equal(fixture->harness.metrics.state_rows, retracts ? 100 + 1 : 3 + 1);
        harness_changes(&fixture->harness, fixture->changes, sizeof fixture->changes);
        TTL_SEND(fixture, "+I 17|5", {17, 5, ROW_INSERT});
        ttl_end(fixture);
    }
}

/* Rows that come at random: of each key the model knows the least value among those that are not forgotten. */
static void random_rows_live_as_long_as_the_model_says(void **state) {
    (void)state;
    enum { KEYS = 40 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15)};
        struct ttl_fixture *fixture = begin((struct rank_options){.n_keys = 1, .order = by_v, .limit = 1});
        int64_t written_ms[KEYS], least[KEYS];
        bool there[KEYS] = {0};
        for (int32_t step = 0; step < 150; step++) {
            char expected[64] = "";
            const int32_t k = test_below(&random, KEYS), v = test_below(&random, 50);
            ttl_pass(fixture, test_below(&random, 60));
            const bool lives = there[k] && fixture->now_ms - written_ms[k] < TTL_MS;
            if (!lives || v < least[k]) {
                snprintf(expected, sizeof expected, "%s %d|%d", lives ? "+U" : "+I", k, v);
                written_ms[k] = fixture->now_ms;
                least[k] = v;
                there[k] = true;
            }
            TTL_SEND(fixture, expected, {k, v, ROW_INSERT});
            if (step % 25 == 24) { harness_restart(&fixture->harness, step); }
        }
        ttl_end(fixture);
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
