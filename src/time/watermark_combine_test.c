/* The minimum over active channels, never backwards; idle and returning channels by Flink's rules. */
#include "time/watermark_combine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct watermark_combine combine_of(int32_t n) {
    struct watermark_combine combine;
    assert_int_equal(watermark_combine_init(&combine, n, 0, NULL), SABOT_OK);
    return combine;
}

static void it_is_the_minimum_of_all(void **state) {
    (void)state;
    struct watermark_combine combine = combine_of(3);
    assert_false(watermark_combine_advance(&combine, 0, 10, 1).advanced);
    assert_false(watermark_combine_advance(&combine, 1, 20, 2).advanced);
    assert_int_equal(watermark_combine_holder(&combine), 2);
    assert_true(watermark_combine_advance(&combine, 2, 5, 3).advanced);
    assert_int_equal(combine.watermark_ms, 5);
    assert_true(watermark_combine_advance(&combine, 2, 30, 4).advanced);
    assert_int_equal(combine.watermark_ms, 10);
    assert_int_equal(watermark_combine_holder(&combine), 0);
    watermark_combine_clear(&combine);
}

static void it_never_moves_back(void **state) {
    (void)state;
    struct watermark_combine combine = combine_of(1);
    assert_true(watermark_combine_advance(&combine, 0, 10, 0).advanced);
    assert_false(watermark_combine_advance(&combine, 0, 4, 0).advanced);
    assert_int_equal(combine.watermark_ms, 10);
    assert_int_equal(combine.ignored, 1);
    watermark_combine_clear(&combine);
}

static void an_idle_channel_does_not_hold_it(void **state) {
    (void)state;
    struct watermark_combine combine = combine_of(2);
    watermark_combine_advance(&combine, 0, 100, 0);
    const struct watermark_change change = watermark_combine_idle(&combine, 1, 0);
    assert_true(change.advanced);
    assert_false(change.idle);
    assert_int_equal(combine.watermark_ms, 100);
    watermark_combine_clear(&combine);
}

static void a_channel_that_returns_late_holds_only_when_it_has_caught_up(void **state) {
    (void)state;
    struct watermark_combine combine = combine_of(2);
    watermark_combine_idle(&combine, 1, 0);
    assert_true(watermark_combine_advance(&combine, 0, 100, 0).advanced);
    watermark_combine_active(&combine, 1); /* rows came, no watermark yet */
    assert_true(watermark_combine_advance(&combine, 0, 110, 0).advanced);
    assert_false(watermark_combine_advance(&combine, 1, 50, 0).advanced);
    assert_int_equal(combine.watermark_ms, 110);
    assert_false(watermark_combine_advance(&combine, 1, 115, 0).advanced);
    assert_true(watermark_combine_advance(&combine, 0, 200, 0).advanced);
    assert_int_equal(combine.watermark_ms, 115);
    watermark_combine_clear(&combine);
}

static void when_all_are_idle_it_is_flushed_to_the_largest(void **state) {
    (void)state;
    struct watermark_combine combine = combine_of(2);
    watermark_combine_advance(&combine, 0, 50, 0);
    watermark_combine_advance(&combine, 1, 10, 0);
    assert_false(watermark_combine_idle(&combine, 0, 0).advanced);
    const struct watermark_change change = watermark_combine_idle(&combine, 1, 0);
    assert_true(change.advanced && change.idle && combine.idle);
    assert_int_equal(combine.watermark_ms, 50);
    assert_int_equal(watermark_combine_holder(&combine), -1);
    assert_false(watermark_combine_idle(&combine, 1, 0).idle); /* told once */
    watermark_combine_clear(&combine);
}

static void the_end_of_one_channel_leaves_the_others_in_charge(void **state) {
    (void)state;
    struct watermark_combine combine = combine_of(2);
    assert_false(watermark_combine_advance(&combine, 0, INT64_MAX, 0).advanced);
    assert_true(watermark_combine_advance(&combine, 1, 7, 0).advanced);
    assert_int_equal(combine.watermark_ms, 7);
    assert_true(watermark_combine_advance(&combine, 1, INT64_MAX, 0).advanced);
    assert_int_equal(combine.watermark_ms, INT64_MAX);
    watermark_combine_clear(&combine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_minimum_of_all),
        cmocka_unit_test(it_never_moves_back),
        cmocka_unit_test(an_idle_channel_does_not_hold_it),
        cmocka_unit_test(a_channel_that_returns_late_holds_only_when_it_has_caught_up),
        cmocka_unit_test(when_all_are_idle_it_is_flushed_to_the_largest),
        cmocka_unit_test(the_end_of_one_channel_leaves_the_others_in_charge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
