/* Processing time under the simulated clock: rows carry the time at which they came, the watermark follows the clock
 * without rows, windows fire by it, and neither runs backwards, also across a restore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/env_sim.h"
#include "tests/util/op_harness.h"

struct fixture {
    struct env *env;
    struct schema *input, *output;
    struct op_harness arrival, window;
    int64_t start_ms;
};

static const struct arrival_options arrival_options = {.column = 1};
static const int32_t window_keys[] = {0};
static const struct aggregate_call window_calls[] = {
    {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1, .type = {.kind = TYPE_INT64}}};
static const enum window_property window_properties[] = {WINDOW_START, WINDOW_END};
static const struct window_aggregate_options window_options = {
    .window = {.kind = WINDOW_TUMBLE, .size_ms = 1000, .slide_ms = 1000, .time_column = 1},
    .keys = window_keys, .n_keys = 1, .calls = window_calls, .n_calls = 1,
    .properties = window_properties, .n_properties = 2,
};

static struct type instant(void) {
    struct type type = type_not_null(type_timestamp(3));
    type.kind = TYPE_TIMESTAMP_LTZ;
    return type;
}

static void move_clock(struct fixture *f, int64_t ms) {
    env_sim_advance(f->env, env_now_ns(f->env) + ms * 1000000);
}

static void open_fixture(struct fixture *f) {
    memset(f, 0, sizeof *f);
    f->env = env_sim_new(&(struct env_sim_options){.seed = 1});
    const struct field fields[] = {{"k", type_not_null(type_of(TYPE_INT64))}, {"at", instant()}};
    const struct field results[] = {{"k", type_not_null(type_of(TYPE_INT64))},
                                    {"n", type_not_null(type_of(TYPE_INT64))},
                                    {"window_start", type_not_null(type_timestamp(3))},
                                    {"window_end", type_not_null(type_timestamp(3))}};
    f->input = test_schema(fields, 2);
    f->output = test_schema(results, 4);
    harness_init(&f->window, &op_window_aggregate, &window_options, f->input, f->output);
    harness_init(&f->arrival, &op_arrival, &arrival_options, f->input, f->input);
    f->arrival.context.env = f->window.context.env = f->env;
    harness_open(&f->window);
    harness_open(&f->arrival);
    move_clock(f, 1000 - env_wall_ms(f->env) % 1000); /* windows begin at whole seconds */
    f->start_ms = env_wall_ms(f->env);
}

static void close_fixture(struct fixture *f) {
    harness_close(&f->arrival);
    harness_close(&f->window);
    schema_unref(f->input);
    schema_unref(f->output);
    env_sim_free(f->env);
}

/* As the task does at every latency target. */
static void tick(struct fixture *f) {
    struct sabot_error err = {0};
    assert_int_equal(op_arrival.resume(f->arrival.op, &f->arrival.out, &err), SABOT_OK);
}

static void send(struct fixture *f, int32_t n) {
    int64_t *keys = calloc((size_t)n, sizeof *keys);
    struct column *columns[2] = {test_column_i64(&f->arrival.pool, keys, NULL, n),
                                 test_column_i64(&f->arrival.pool, keys, NULL, n)};
    free(keys);
    harness_batch(&f->arrival, test_batch(f->input, columns, 2));
}

/* What has come out of the arrival goes into the window, in order. */
static void pass_on(struct fixture *f) {
    for (int32_t i = 0; i < f->arrival.n_events; i++) {
        const struct harness_event *event = &f->arrival.events[i];
        if (event->batch) {
            harness_batch(&f->window, batch_ref(event->batch));
        } else if (!event->is_idle && !event->is_end) {
            harness_watermark(&f->window, event->watermark_ms);
        }
    }
    harness_forget(&f->arrival);
}

/* What the window has given out: one row, or nothing where n is 0. */
static void check_window(struct fixture *f, int64_t start_ms, int n) {
    char want[128];
    int32_t n_rows = 0;
    char **rows = harness_rows(&f->window, &n_rows);
    snprintf(want, sizeof want, "0|%d|%lld|%lld", n, (long long)start_ms, (long long)start_ms + 1000);
    assert_int_equal(n_rows, n > 0);
    if (n > 0) { assert_string_equal(rows[0], want); }
    test_rows_free(rows, n_rows);
    harness_forget(&f->window);
}

static void a_window_counts_what_came_in_it_and_fires_without_rows(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    send(&f, 3);
    move_clock(&f, 400);
    send(&f, 2);
    move_clock(&f, 599);
    tick(&f);
    pass_on(&f);
    check_window(&f, f.start_ms, 0); /* a row may still come in the window's last millisecond */
    move_clock(&f, 1);
    tick(&f);
    pass_on(&f);
    check_window(&f, f.start_ms, 5);
    move_clock(&f, 2300); /* rows are of the window in which they come, whenever the last one was */
    send(&f, 1);
    pass_on(&f);
    harness_end(&f.arrival); /* bounded input: what is open is given out */
    harness_watermark(&f.window, WATERMARK_END);
    check_window(&f, f.start_ms + 3000, 1);
    close_fixture(&f);
}

static void the_watermark_of_the_input_is_not_the_clock(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    tick(&f);
    harness_forget(&f.arrival);
    harness_watermark(&f.arrival, f.start_ms + 1000000);
    harness_idle(&f.arrival);
    assert_int_equal(f.arrival.n_events, 0);
    move_clock(&f, 5);
    tick(&f);
    assert_int_equal(f.arrival.n_events, 1);
    assert_int_equal(f.arrival.events[0].watermark_ms, f.start_ms + 4);
    tick(&f); /* time stands still: nothing to say */
    assert_int_equal(f.arrival.n_events, 1);
    close_fixture(&f);
}

static void a_clock_that_is_behind_after_a_restore_makes_no_row_late(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    move_clock(&f, 1500);
    send(&f, 1);
    pass_on(&f); /* the first window of the two can't be filled any more */
    struct env *behind = env_sim_new(&(struct env_sim_options){.seed = 1}); /* its time begins anew */
    assert_true(env_wall_ms(behind) < f.start_ms + 1500);
    f.arrival.context.env = behind;
    harness_restart(&f.arrival, 1);
    harness_forget(&f.arrival);
    send(&f, 4);
    const struct batch *batch = f.arrival.events[0].batch;
    assert_true(((const int64_t *)batch->columns[1]->values)[0] >= f.start_ms + 1500);
    pass_on(&f);
    assert_int_equal(atomic_load(&f.window.metrics.rows_late), 0);
    harness_forget(&f.window);
    close_fixture(&f);
    env_sim_free(behind);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_counts_what_came_in_it_and_fires_without_rows),
        cmocka_unit_test(the_watermark_of_the_input_is_not_the_clock),
        cmocka_unit_test(a_clock_that_is_behind_after_a_restore_makes_no_row_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
