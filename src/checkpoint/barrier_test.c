/* A barrier counts once per channel; what is over, aborted or delivered twice changes nothing but a counter. */
#include "checkpoint/barrier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct barrier_aligner aligner_of(int32_t n) {
    struct barrier_aligner aligner;
    assert_int_equal(barrier_aligner_init(&aligner, n, NULL), SABOT_OK);
    return aligner;
}

static void all_channels_must_deliver(void **state) {
    (void)state;
    for (int32_t n = 1; n <= 130; n += 43) {
        struct barrier_aligner aligner = aligner_of(n);
        for (int32_t i = 0; i < n - 1; i++) {
            assert_int_equal(barrier_arrive(&aligner, i, 1, 0), BARRIER_WAITS);
            assert_true(barrier_blocks(&aligner, i));
            assert_false(barrier_blocks(&aligner, n - 1));
        }
        assert_int_equal(barrier_arrive(&aligner, n - 1, 1, 0), BARRIER_ALIGNED);
        for (int32_t i = 0; i < n; i++) { assert_false(barrier_blocks(&aligner, i)); }
        barrier_aligner_clear(&aligner);
    }
}

static void one_channel_can_not_complete_it_by_delivering_twice(void **state) {
    (void)state;
    struct barrier_aligner aligner = aligner_of(2);
    assert_int_equal(barrier_arrive(&aligner, 0, 1, 0), BARRIER_WAITS);
    assert_int_equal(barrier_arrive(&aligner, 0, 1, 0), BARRIER_IGNORED);
    assert_int_equal(aligner.ignored, 1);
    assert_int_equal(barrier_arrive(&aligner, 1, 1, 0), BARRIER_ALIGNED);
    assert_int_equal(barrier_arrive(&aligner, 1, 1, 0), BARRIER_IGNORED); /* over */
    assert_int_equal(aligner.ignored, 2);
    barrier_aligner_clear(&aligner);
}

static void a_newer_barrier_ends_the_older_alignment(void **state) {
    (void)state;
    struct barrier_aligner aligner = aligner_of(2);
    assert_int_equal(barrier_arrive(&aligner, 0, 1, 0), BARRIER_WAITS);
    assert_int_equal(barrier_arrive(&aligner, 1, 2, 0), BARRIER_WAITS);
    assert_false(barrier_blocks(&aligner, 0));
    assert_true(barrier_blocks(&aligner, 1));
    assert_int_equal(aligner.aborted, 1);
    assert_int_equal(barrier_arrive(&aligner, 1, 1, 0), BARRIER_IGNORED);
    assert_int_equal(barrier_arrive(&aligner, 0, 2, 0), BARRIER_ALIGNED);
    barrier_aligner_clear(&aligner);
}

static void aborted_checkpoints_unblock_and_stay_aborted(void **state) {
    (void)state;
    struct barrier_aligner aligner = aligner_of(2);
    assert_int_equal(barrier_arrive(&aligner, 0, 5, 0), BARRIER_WAITS);
    barrier_abort(&aligner, 5);
    assert_false(barrier_blocks(&aligner, 0));
    assert_int_equal(barrier_arrive(&aligner, 1, 5, 0), BARRIER_IGNORED);
    barrier_abort(&aligner, 6); /* before any of its barriers came */
    assert_int_equal(barrier_arrive(&aligner, 1, 6, 0), BARRIER_IGNORED);
    assert_int_equal(barrier_arrive(&aligner, 1, 7, 0), BARRIER_WAITS);
    barrier_abort(&aligner, 6); /* an old notice does not touch the one under way */
    assert_int_equal(barrier_arrive(&aligner, 0, 7, 0), BARRIER_ALIGNED);
    barrier_aligner_clear(&aligner);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_channels_must_deliver),
        cmocka_unit_test(one_channel_can_not_complete_it_by_delivering_twice),
        cmocka_unit_test(a_newer_barrier_ends_the_older_alignment),
        cmocka_unit_test(aborted_checkpoints_unblock_and_stay_aborted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
