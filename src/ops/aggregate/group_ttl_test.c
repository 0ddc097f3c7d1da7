/* GROUP BY that forgets groups (table.exec.state.ttl), with the simulator's clock: as in Flink, in processing time, and
 * a group lives on when it is written. For consumers that need -U and for those that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/ttl.h"

static const int32_t key = 0;
static const struct aggregate_call count_and_max[] = {
    {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1}, {.kind = AGGREGATE_MAX, .argument = 1, .filter = -1}};
static const struct aggregate_call max_only[] = {{.kind = AGGREGATE_MAX, .argument = 1, .filter = -1}};
static const struct aggregate_call distinct[] = {
    {.kind = AGGREGATE_COUNT, .argument = 1, .filter = -1, .distinct = true},
    {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1}};

static struct ttl_fixture *begin(struct group_update_options options) {
    options.ttl_ms = TTL_MS;
    options.keys = &key;
    struct field fields[4];
    int32_t n = 0;
    if (options.n_keys) { fields[n++] = (struct field){"k", type_of(TYPE_INT64)}; }
    for (int32_t i = 0; i < options.n_calls; i++) { fields[n++] = (struct field){"a", type_of(TYPE_INT64)}; }
    struct schema *input = test_schema((struct field[]){{"k", type_of(TYPE_INT64)}, {"v", type_of(TYPE_INT64)}}, 2);
    return ttl_begin(&op_group_update, &options, sizeof options, options.input_retracts, input, test_schema(fields, n));
}

static void a_group_is_new_again_when_it_was_not_written_for_so_long(void **state) {
    (void)state;
    for (int32_t pairs = 0; pairs < 2; pairs++) {
        for (int32_t n_keys = 0; n_keys < 2; n_keys++) {
            struct ttl_fixture *fixture = begin((struct group_update_options){
                .n_keys = n_keys, .calls = count_and_max, .n_calls = 2, .emit_update_before = pairs});
            const char *key_text = n_keys ? "7|" : "";
            char expected[64];
            snprintf(expected, sizeof expected, "+I %s1|9", key_text);
            TTL_SEND(fixture, expected, {7, 9, ROW_INSERT});
            ttl_pass(fixture, TTL_MS - 1);
            if (pairs) {
                snprintf(expected, sizeof expected, "-U %s1|9; +U %s2|9", key_text, key_text);
            } else {
                snprintf(expected, sizeof expected, "+U %s2|9", key_text);
            }
            TTL_SEND(fixture, expected, {7, 5, ROW_INSERT});
            ttl_pass(fixture, TTL_MS);
            snprintf(expected, sizeof expected, "+I %s1|5", key_text);
            TTL_SEND(fixture, expected, {7, 5, ROW_INSERT});
            ttl_end(fixture);
        }
    }
}

static void every_row_prolongs_the_life_of_its_group(void **state) {
    (void)state;
    struct ttl_fixture *fixture =
        begin((struct group_update_options){.n_keys = 1, .calls = count_and_max, .n_calls = 2});
    TTL_SEND(fixture, "+I 7|1|9", {7, 9, ROW_INSERT});
    for (int32_t i = 2; i < 9; i++) {
        char expected[64];
        ttl_pass(fixture, TTL_MS - 1);
        snprintf(expected, sizeof expected, "+U 7|%d|9", i);
        TTL_SEND(fixture, expected, {7, 1, ROW_INSERT});
    }
    ttl_end(fixture);
}

static void a_result_that_stays_is_given_out_for_consumers_that_forget(void **state) {
    (void)state;
    struct ttl_fixture *fixture =
        begin((struct group_update_options){.n_keys = 1, .calls = max_only, .n_calls = 1, .emit_update_before = true});
    TTL_SEND(fixture, "+I 7|9", {7, 9, ROW_INSERT});
    TTL_SEND(fixture, "-U 7|9; +U 7|9", {7, 3, ROW_INSERT});
    ttl_end(fixture);
}

static void a_checkpoint_knows_when_a_group_was_written(void **state) {
    (void)state;
    for (int32_t late = 0; late < 2; late++) {
        struct ttl_fixture *fixture =
            begin((struct group_update_options){.n_keys = 1, .calls = count_and_max, .n_calls = 2});
        TTL_SEND(fixture, "+I 7|1|9; +I 8|1|1", {7, 9, ROW_INSERT}, {8, 1, ROW_INSERT});
        ttl_pass(fixture, 600);
        TTL_SEND(fixture, "+U 8|2|1", {8, 1, ROW_INSERT});
        harness_restart(&fixture->harness, 1);
        ttl_pass(fixture, late ? 400 : 399);
        TTL_SEND(fixture, late ? "+I 7|1|5; +U 8|3|1" : "+U 7|2|9; +U 8|3|1", {7, 5, ROW_INSERT}, {8, 1, ROW_INSERT});
        ttl_end(fixture);
    }
}

static void retractions_of_forgotten_rows_are_passed_over(void **state) {
    (void)state;
    struct ttl_fixture *fixture = begin((struct group_update_options){
        .n_keys = 1, .calls = count_and_max, .n_calls = 2, .input_retracts = true, .emit_update_before = true});
    TTL_SEND(fixture, "+I 7|1|9; +I 8|1|9", {7, 9, ROW_INSERT}, {8, 9, ROW_INSERT});
    ttl_pass(fixture, TTL_MS);
    TTL_SEND(fixture, "", {7, 9, ROW_DELETE});
    assert_int_equal(fixture->harness.metrics.state_rows, 0);
    TTL_SEND(fixture, "+I 8|1|4", {8, 9, ROW_UPDATE_BEFORE}, {8, 4, ROW_UPDATE_AFTER});
    TTL_SEND(fixture, "-D 8|1|4", {8, 4, ROW_DELETE});
    assert_int_equal(fixture->harness.metrics.state_rows, 0);
    ttl_end(fixture);
}

static void distinct_values_go_with_their_group(void **state) {
    (void)state;
    for (int32_t retracts = 0; retracts < 2; retracts++) {
        struct ttl_fixture *fixture = begin((struct group_update_options){
            .n_keys = 1, .calls = distinct, .n_calls = 2, .input_retracts = retracts});
        TTL_SEND(fixture, "+I 7|2|17; +I 8|1|4", {7, 9, ROW_INSERT}, {7, 4, ROW_INSERT}, {7, 4, ROW_INSERT},
             {8, 4, ROW_INSERT});
        assert_int_equal(fixture->harness.metrics.state_rows, 5);
        harness_restart(&fixture->harness, 1);
        const int64_t rows = fixture->harness.metrics.state_rows;
        ttl_pass(fixture, 500);
        TTL_SEND(fixture, "+U 8|2|7", {8, 3, ROW_INSERT}); /* a value more */
        ttl_pass(fixture, 500);
        TTL_SEND(fixture, "+I 7|1|9", {7, 9, ROW_INSERT}); /* two less, and 7 itself */
        assert_int_equal(fixture->harness.metrics.state_rows, rows);
        TTL_SEND(fixture, "+U 8|2|11", {8, 4, ROW_INSERT});
        ttl_end(fixture);
    }
}

static void groups_without_rows_go_little_by_little(void **state) {
    (void)state;
    static struct ttl_row rows[TTL_ROWS_MAX];
    struct ttl_fixture *fixture = begin((struct group_update_options){.n_keys = 1, .calls = distinct, .n_calls = 2});
    for (int32_t i = 0; i < 3000; i++) { rows[i] = (struct ttl_row){i, i, ROW_INSERT}; }
    ttl_send(fixture, rows, 3000);
    ttl_pass(fixture, TTL_MS);
    for (int32_t i = 0; i < 100; i++) { ttl_send(fixture, &(struct ttl_row){5000, 1, ROW_INSERT}, 1); }
    assert_int_equal(fixture->harness.metrics.state_rows, 2); /* the group, and its value */
    harness_changes(&fixture->harness, fixture->changes, sizeof fixture->changes);
    TTL_SEND(fixture, "+I 17|1|5; +U 5000|1|101", {17, 5, ROW_INSERT}, {5000, 1, ROW_INSERT});
    ttl_end(fixture);
}

/* Groups come, go and are written at random; each lives as its last row says. */
static void random_groups_live_as_long_as_the_model_says(void **state) {
    (void)state;
    enum { KEYS = 60 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15)};
        struct ttl_fixture *fixture =
            begin((struct group_update_options){.n_keys = 1, .calls = count_and_max, .n_calls = 1});
        int64_t written_ms[KEYS], counts[KEYS] = {0};
        for (int32_t step = 0; step < 120; step++) {
            char expected[64];
            const int32_t k = test_below(&random, KEYS);
            ttl_pass(fixture, test_below(&random, 60));
            const bool lives = counts[k] > 0 && fixture->now_ms - written_ms[k] < TTL_MS;
            counts[k] = lives ? counts[k] + 1 : 1;
            written_ms[k] = fixture->now_ms;
            snprintf(expected, sizeof expected, "%s %d|%lld", lives ? "+U" : "+I", k, (long long)counts[k]);
            TTL_SEND(fixture, expected, {k, 1, ROW_INSERT});
            if (step % 25 == 24) { harness_restart(&fixture->harness, step); }
        }
        ttl_end(fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_new_again_when_it_was_not_written_for_so_long),
        cmocka_unit_test(every_row_prolongs_the_life_of_its_group),
        cmocka_unit_test(a_result_that_stays_is_given_out_for_consumers_that_forget),
        cmocka_unit_test(a_checkpoint_knows_when_a_group_was_written),
        cmocka_unit_test(retractions_of_forgotten_rows_are_passed_over),
        cmocka_unit_test(distinct_values_go_with_their_group),
        cmocka_unit_test(groups_without_rows_go_little_by_little),
        cmocka_unit_test(random_groups_live_as_long_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
