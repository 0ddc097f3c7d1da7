/* Watermarks of splits: the promises, and the cases that Flink's users met, each by its id in Flink's tracker. */
#include "time/watermark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static struct watermarks make(int32_t splits, int64_t idle_timeout_ns, int64_t drift_ms) {
    struct sabot_error err = {0};
    struct watermarks watermarks;
    watermarks_init(&watermarks, idle_timeout_ns, drift_ms);
    assert_int_equal(watermarks_resize(&watermarks, splits, 0, &err), SABOT_OK);
    return watermarks;
}

struct paused {
    bool split[8];
    int32_t calls;
};
static void note_pause(void *arg, int32_t split, bool paused) {
    struct paused *noted = arg;
    noted->split[split] = paused;
    noted->calls++;
}

/* --- units */
static void a_ms_is_behind_the_watermark_only_with_its_last_unit(void **state) {
    (void)state;
    /* For every watermark W in us: window ends E (ms) that may fire are those with no time left below E * 1000. */
    for (int64_t w = -5000; w <= 5000; w++) {
        const int64_t ms = watermark_to_ms(w, 1000);
        for (int64_t end = -6; end <= 6; end++) {
            assert_int_equal(end - 1 <= ms, end * 1000 - 1 <= w);
        }
    }
    assert_int_equal(watermark_to_ms(INT64_C(1999999), 1000000), 1);
    assert_int_equal(watermark_to_ms(INT64_C(1999998), 1000000), 0);
    assert_int_equal(watermark_to_ms(7, 1), 7);
    assert_int_equal(watermark_to_ms(WATERMARK_NONE, 1000), WATERMARK_NONE);
    assert_int_equal(watermark_to_ms(WATERMARK_END, 1000), WATERMARK_END);
}

/* --- combining */
static void the_least_split_holds_the_watermark(void **state) {
    (void)state;
    struct watermarks w = make(3, 0, 0);
    watermarks_rows(&w, 0, 100, 1);
    watermarks_rows(&w, 1, 50, 1);
    assert_int_equal(watermarks_combine(&w, 1), WATERMARK_SAME); /* split 2 has not begun */
    assert_int_equal(watermarks_holder(&w), 2);
    watermarks_rows(&w, 2, 70, 1);
    assert_int_equal(watermarks_combine(&w, 1), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 50);
    assert_int_equal(watermarks_holder(&w), 1);
    watermarks_clear(&w);
}

static void the_watermark_never_moves_back(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct watermarks w = make(1, 0, 0);
    watermarks_rows(&w, 0, 100, 1);
    assert_int_equal(watermarks_combine(&w, 1), WATERMARK_ADVANCED);
    watermarks_rows(&w, 0, 40, 2);
    assert_int_equal(watermarks_combine(&w, 2), WATERMARK_SAME);
    assert_int_equal(watermarks_resize(&w, 2, 2, &err),
                     SABOT_OK); /* a split is discovered: it holds, it does not take back */
    assert_int_equal(watermarks_combine(&w, 2), WATERMARK_SAME);
    watermarks_rows(&w, 1, 10, 3);
    assert_int_equal(watermarks_combine(&w, 3), WATERMARK_SAME);
    assert_int_equal(w.combined_ms, 100);
    watermarks_rows(&w, 0, 300, 4);
    watermarks_rows(&w, 1, 200, 4);
    assert_int_equal(watermarks_combine(&w, 4), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 200);
    watermarks_clear(&w);
}

static void an_idle_split_lets_the_others_go_on_and_comes_back(void **state) {
    (void)state;
    struct watermarks w = make(2, SECOND, 0);
    watermarks_rows(&w, 0, 100, 0);
    assert_int_equal(watermarks_next_idle_ns(&w), SECOND);
    watermarks_rows(&w, 0, 200, SECOND / 2);
    assert_int_equal(watermarks_combine(&w, SECOND - 1), WATERMARK_SAME);
    assert_int_equal(watermarks_combine(&w, SECOND), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 200);
    watermarks_rows(&w, 1, 150, SECOND + 1);
    assert_int_equal(watermarks_combine(&w, SECOND + 1), WATERMARK_SAME);
    watermarks_rows(&w, 0, 400, SECOND + 2);
    watermarks_rows(&w, 1, 300, SECOND + 2);
    assert_int_equal(watermarks_combine(&w, SECOND + 2), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 300);
    watermarks_clear(&w);
}

static void all_idle_is_told_once_and_the_watermark_again_behind_it(void **state) {
    (void)state;
    struct watermarks w = make(1, SECOND, 0);
    watermarks_rows(&w, 0, 100, 0);
    assert_int_equal(watermarks_combine(&w, 0), WATERMARK_ADVANCED);
    assert_int_equal(watermarks_combine(&w, 2 * SECOND), WATERMARK_IDLE);
    assert_int_equal(watermarks_combine(&w, 3 * SECOND), WATERMARK_SAME);
    watermarks_rows(&w, 0, 90, 3 * SECOND);
    assert_int_equal(watermarks_combine(&w, 3 * SECOND), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 100);
    watermarks_clear(&w);
}

/* --- alignment */
static void a_split_that_is_ahead_waits_for_the_others(void **state) {
    (void)state;
    struct watermarks w = make(2, 0, 10);
    struct paused noted = {0};
    watermarks_rows(&w, 0, 100, 1);
    watermarks_align(&w, 1, note_pause, &noted);
    assert_false(noted.split[0]); /* the other has not begun: nothing to compare with */
    watermarks_rows(&w, 1, 50, 2);
    watermarks_align(&w, 2, note_pause, &noted);
    assert_true(noted.split[0]);
    watermarks_rows(&w, 1, 89, 3);
    watermarks_align(&w, 3, note_pause, &noted);
    assert_true(noted.split[0]);
    watermarks_rows(&w, 1, 90, 4);
    watermarks_align(&w, 4, note_pause, &noted);
    assert_false(noted.split[0]);
    assert_int_equal(noted.calls, 2);
    watermarks_clear(&w);
}

/* --- Flink's tracker */

/* With alignment, a subtask that had no split reported a minimal watermark (or emitted from an uninitialised one), so
 * the whole group waited for a subtask that would never read anything, and the job hung. */
static void flink_32414_a_subtask_without_splits_holds_nobody(void **state) {
    (void)state;
    struct watermarks none = make(0, 0, 10), busy = make(1, 0, 10);
    struct paused noted = {0};
    watermarks_rows(&busy, 0, 1000000, 1);
    const int64_t told[] = {watermarks_for_alignment(&none), watermarks_for_alignment(&busy)};
    assert_int_equal(told[0], INT64_MAX);
    busy.limit_ms = watermark_alignment_limit(told, 2, 10);
    watermarks_align(&busy, 1, note_pause, &noted);
    assert_false(busy.splits[0].paused);
    assert_int_equal(watermarks_combine(&none, 1), WATERMARK_SAME); /* and it gives out no watermark of its own */
    assert_int_equal(none.combined_ms, WATERMARK_NONE);
    watermarks_clear(&none);
    watermarks_clear(&busy);
}

/* A task of a source that has more of them than splits held the watermark for ever. */
static void who_has_no_split_becomes_idle(void **state) {
    (void)state;
    struct watermarks w = make(0, SECOND, 0);
    assert_int_equal(watermarks_combine(&w, 5 * SECOND), WATERMARK_SAME);
    assert_int_equal(watermarks_next_idle_ns(&w), 6 * SECOND);
    assert_int_equal(watermarks_combine(&w, 6 * SECOND), WATERMARK_IDLE);
    assert_int_equal(watermarks_combine(&w, 7 * SECOND), WATERMARK_SAME);
    assert_true(watermarks_next_idle_ns(&w) == INT64_MAX);
    struct sabot_error err = {0};
    assert_int_equal(watermarks_resize(&w, 1, 7 * SECOND, &err), SABOT_OK); /* one comes */
    watermarks_rows(&w, 0, 100, 7 * SECOND);
    assert_int_equal(watermarks_combine(&w, 7 * SECOND), WATERMARK_ADVANCED);
    watermarks_finish(&w, 0); /* and ends */
    assert_int_equal(watermarks_combine(&w, 7 * SECOND + 1), WATERMARK_SAME);
    watermarks_blocked(&w, SECOND);
    assert_int_equal(watermarks_combine(&w, 8 * SECOND), WATERMARK_SAME);
    assert_int_equal(watermarks_combine(&w, 9 * SECOND), WATERMARK_IDLE);
    watermarks_clear(&w);
    w = make(0, 0, 0); /* no time-out */
    assert_int_equal(watermarks_combine(&w, 5 * SECOND), WATERMARK_SAME);
    assert_int_equal(watermarks_combine(&w, 500 * SECOND), WATERMARK_SAME);
    watermarks_clear(&w);
}

/* A source that had become idle went on telling the group its old, low watermark, so the others, once paused, waited
 * for a source that had nothing to read. */
static void flink_32496_an_idle_source_does_not_keep_the_others_waiting(void **state) {
    (void)state;
    struct watermarks slow = make(1, SECOND, 10), fast = make(1, SECOND, 10);
    struct paused noted = {0};
    watermarks_rows(&slow, 0, 10, 0);
    watermarks_rows(&fast, 0, 500, 0);
    int64_t told[] = {watermarks_for_alignment(&slow), watermarks_for_alignment(&fast)};
    fast.limit_ms = watermark_alignment_limit(told, 2, 10);
    watermarks_align(&fast, 0, note_pause, &noted);
    assert_true(fast.splits[0].paused);
    assert_int_equal(watermarks_combine(&slow, 2 * SECOND), WATERMARK_IDLE);
    told[0] = watermarks_for_alignment(&slow);
    assert_int_equal(told[0], INT64_MAX);
    fast.limit_ms = watermark_alignment_limit(told, 2, 10);
    watermarks_align(&fast, 2 * SECOND, note_pause, &noted);
    assert_false(fast.splits[0].paused);
    /* and the slow one wakes up with its own low watermark: it counts again */
    watermarks_rows(&slow, 0, 11, 3 * SECOND);
    assert_int_equal(watermarks_for_alignment(&slow), 11);
    watermarks_clear(&slow);
    watermarks_clear(&fast);
}

/* When all sources were idle the group's least watermark was the largest number there is; adding the drift overflowed
 * to a negative limit, and no source could ever go on. */
static void flink_31632_the_limit_of_idle_sources_does_not_overflow(void **state) {
    (void)state;
    const int64_t told[] = {INT64_MAX, INT64_MAX};
    assert_int_equal(watermark_alignment_limit(told, 2, 10), INT64_MAX);
    assert_int_equal(watermark_alignment_limit((int64_t[]){INT64_MAX - 5}, 1, 10), INT64_MAX);
    struct watermarks w = make(1, SECOND, 10);
    struct paused noted = {0};
    watermarks_rows(&w, 0, 100, 0);
    assert_int_equal(watermarks_combine(&w, 2 * SECOND), WATERMARK_IDLE);
    w.limit_ms = watermark_alignment_limit(told, 2, 10);
    watermarks_align(&w, 2 * SECOND, note_pause, &noted);
    assert_false(w.splits[0].paused);
    watermarks_clear(&w);
}

/* Time in which a split could not be read, because of back-pressure or because alignment had paused it, was counted as
 * idleness: the watermark ran ahead and the rows that waited were late. */
static void flink_35886_time_blocked_is_not_idle_time(void **state) {
    (void)state;
    struct watermarks w = make(2, SECOND, 10);
    struct paused noted = {0};
    watermarks_rows(&w, 0, 100, 0);
    watermarks_rows(&w, 1, 50, 0);
    assert_int_equal(watermarks_combine(&w, 0), WATERMARK_ADVANCED);
    watermarks_blocked(&w, 10 * SECOND); /* back-pressure */
    assert_int_equal(watermarks_combine(&w, 10 * SECOND), WATERMARK_SAME);
    assert_false(w.splits[0].idle || w.splits[1].idle);
    watermarks_align(&w, 10 * SECOND, note_pause, &noted); /* split 0 is ahead */
    assert_true(w.splits[0].paused);
    for (int64_t t = 11; t < 20; t++) {
        watermarks_rows(&w, 1, 50 + t, t * SECOND);
        (void)watermarks_combine(&w, t * SECOND);
        assert_false(w.splits[0].idle);
    }
    assert_int_equal(w.combined_ms, 69);
    watermarks_rows(&w, 1, 95, 20 * SECOND);
    watermarks_align(&w, 20 * SECOND, note_pause, &noted);
    assert_false(w.splits[0].paused);
    (void)watermarks_combine(&w, 20 * SECOND + SECOND / 2); /* its time-out starts anew when it is read again */
    assert_false(w.splits[0].idle);
    watermarks_clear(&w);
}

/* When there were no more splits to assign, limits of alignment were not sent any more: sources that had been paused
 * stayed so for ever. Here a finished split must free those that waited for it. */
static void flink_37670_a_finished_split_frees_those_that_waited_for_it(void **state) {
    (void)state;
    struct watermarks w = make(2, 0, 10);
    struct paused noted = {0};
    watermarks_rows(&w, 0, 100, 1);
    watermarks_rows(&w, 1, 50, 1);
    watermarks_align(&w, 1, note_pause, &noted);
    assert_true(w.splits[0].paused);
    watermarks_finish(&w, 1);
    watermarks_align(&w, 2, note_pause, &noted);
    assert_false(w.splits[0].paused);
    assert_int_equal(watermarks_combine(&w, 2), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 100);
    watermarks_finish(&w, 0);
    assert_int_equal(watermarks_for_alignment(&w), INT64_MAX);
    watermarks_clear(&w);
}

/* A finished input sent the largest watermark; while the others were idle that made the combined watermark jump to the
 * end, and all their later rows were late. Finished is a status of its own: it neither holds nor lifts the watermark.
 */
static void flink_38477_a_finished_split_does_not_lift_the_watermark_over_idle_ones(void **state) {
    (void)state;
    struct watermarks w = make(2, SECOND, 0);
    watermarks_rows(&w, 0, 100, 0);
    watermarks_rows(&w, 1, 100, 0);
    assert_int_equal(watermarks_combine(&w, 0), WATERMARK_ADVANCED);
    watermarks_rows(&w, 0, 900, 2 * SECOND);
    assert_int_equal(watermarks_combine(&w, 2 * SECOND), WATERMARK_ADVANCED); /* split 1 is idle */
    assert_int_equal(w.combined_ms, 900);
    watermarks_finish(&w, 0);
    assert_int_equal(watermarks_combine(&w, 2 * SECOND), WATERMARK_IDLE);
    assert_int_equal(w.combined_ms, 900);
    watermarks_rows(&w, 1, 950, 3 * SECOND);
    assert_int_equal(watermarks_combine(&w, 3 * SECOND), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 950);
    /* all finished: silence; the end of the input is an event of its own */
    watermarks_finish(&w, 1);
    assert_int_equal(watermarks_combine(&w, 3 * SECOND + 1), WATERMARK_SAME);
    watermarks_clear(&w);
}

/* A split that alignment paused and that was marked idle at the same time was left out when splits were resumed, and
 * gave no rows ever after. */
static void flink_40093_a_split_that_is_paused_and_idle_is_resumed(void **state) {
    (void)state;
    struct watermarks w = make(2, SECOND, 10);
    struct paused noted = {0};
    watermarks_rows(&w, 0, 100, 0);
    watermarks_rows(&w, 1, 50, 0);
    watermarks_align(&w, 0, note_pause, &noted);
    assert_true(w.splits[0].paused);
    w.splits[0].idle = true; /* the race: idleness had been decided before the pause was */
    watermarks_rows(&w, 1, 95, SECOND / 2);
    watermarks_align(&w, SECOND / 2, note_pause, &noted);
    assert_false(w.splits[0].paused);
    assert_false(noted.split[0]);
    watermarks_rows(&w, 0, 120, SECOND / 2); /* and it counts as soon as it has rows */
    assert_false(w.splits[0].idle);
    watermarks_clear(&w);
}

/* At the start, rows of the first split moved the watermark on before the other splits of the reader were known; their
 * older rows were late for nothing. All splits are announced before the first row is read, and each holds the
 * watermark. */
static void flink_26018_no_row_is_late_because_its_split_is_read_last(void **state) {
    (void)state;
    struct watermarks w = make(4, 0, 0);
    for (int32_t split = 0; split < 4; split++) {
        const int64_t oldest = 1000 - 100 * split; /* later splits hold older rows */
        assert_true(w.combined_ms < oldest);
        watermarks_rows(&w, split, oldest, split);
        if (split < 3) { assert_int_equal(watermarks_combine(&w, split), WATERMARK_SAME); }
    }
    assert_int_equal(watermarks_combine(&w, 4), WATERMARK_ADVANCED);
    assert_int_equal(w.combined_ms, 700);
    watermarks_clear(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ms_is_behind_the_watermark_only_with_its_last_unit),
        cmocka_unit_test(the_least_split_holds_the_watermark),
        cmocka_unit_test(the_watermark_never_moves_back),
        cmocka_unit_test(an_idle_split_lets_the_others_go_on_and_comes_back),
        cmocka_unit_test(all_idle_is_told_once_and_the_watermark_again_behind_it),
        cmocka_unit_test(a_split_that_is_ahead_waits_for_the_others),
        cmocka_unit_test(flink_32414_a_subtask_without_splits_holds_nobody),
        cmocka_unit_test(who_has_no_split_becomes_idle),
        cmocka_unit_test(flink_32496_an_idle_source_does_not_keep_the_others_waiting),
        cmocka_unit_test(flink_31632_the_limit_of_idle_sources_does_not_overflow),
        cmocka_unit_test(flink_35886_time_blocked_is_not_idle_time),
        cmocka_unit_test(flink_37670_a_finished_split_frees_those_that_waited_for_it),
        cmocka_unit_test(flink_38477_a_finished_split_does_not_lift_the_watermark_over_idle_ones),
        cmocka_unit_test(flink_40093_a_split_that_is_paused_and_idle_is_resumed),
        cmocka_unit_test(flink_26018_no_row_is_late_because_its_split_is_read_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
