/* The source operator with a scripted connector: watermarks behind rows, per split; idleness; alignment; positions in
 * checkpoints; end and stop. Time is the script's own. */
#include "ops/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "tests/util/op_harness.h"

#define SPLITS 2

/* What poll gives, one entry a call; behind the last it waits. */
struct step {
    enum source_state state;
    int32_t split;
    int64_t times[4];
    int32_t n;
};
struct source {
    int32_t at;
    int32_t read[SPLITS]; /* batches of each split */
    bool finished[SPLITS], paused[SPLITS];
};
static const struct step *script;
static int32_t n_script;
static int32_t n_splits = SPLITS;
static struct source *reader; /* the newest */
static struct schema *schema;
static struct memory_pool *pool;

static sabot_status fake_open(const struct connector_context *context, struct source **out, struct sabot_error *err) {
    (void)err;
    pool = context->pool;
    *out = reader = calloc(1, sizeof **out);
    return SABOT_OK;
}
static sabot_status fake_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    (void)err;
    for (int32_t i = 0; i < positions->selected; i++) {
        const struct string_view *split = (const struct string_view *)positions->columns[0]->values + i;
        const struct string_view *position = (const struct string_view *)positions->columns[1]->values + i;
        char id[64], text[32];
        snprintf(id, sizeof id, "%.*s", (int)split->size, string_view_data(split));
        snprintf(text, sizeof text, "%.*s", (int)position->size, string_view_data(position));
        source->read[id[strlen(id) - 1] - '0'] = atoi(text);
        source->at += atoi(text);
    }
    return SABOT_OK;
}
static sabot_status fake_poll(struct source *source, enum source_state *state, struct source_result *result,
                              struct sabot_error *err) {
    (void)err;
    *state = SOURCE_WAIT;
    if (source->at >= n_script) { return SABOT_OK; }
    const struct step *step = &script[source->at];
    *state = step->state;
    if (step->state != SOURCE_BATCH) {
        source->at++;
        return SABOT_OK;
    }
    if (source->paused[step->split]) {
        *state = SOURCE_WAIT;
        return SABOT_OK;
    }
    source->at++;
    source->read[step->split]++;
    struct column *column = test_column_i64(pool, step->times, NULL, step->n);
    result->batch = test_batch(schema, &column, 1);
    result->split = step->split;
    return SABOT_OK;
}
static int32_t fake_n_splits(const struct source *source) {
    (void)source;
    return n_splits;
}
static void fake_split(const struct source *source, int32_t i, struct source_split *out) {
    snprintf(out->id, sizeof out->id, "a split with a rather long name-%d", i);
    out->finished = source->finished[i];
}
static void fake_pause(struct source *source, int32_t split, bool paused) { source->paused[split] = paused; }
static sabot_status fake_position(struct source *source, int32_t split, struct text *position,
                                  struct sabot_error *err) {
    (void)err;
    text_format(position, "%d batches", source->read[split]);
    return SABOT_OK;
}
static sabot_status fake_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}
static void fake_close(struct source *source) { free(source); }

static const struct source_type fake_type = {.name = "fake", .open = fake_open, .restore = fake_restore,
                                             .poll = fake_poll, .n_splits = fake_n_splits, .split = fake_split,
                                             .pause = fake_pause, .position = fake_position,
                                             .on_complete = fake_on_complete, .close = fake_close};
static const struct connector fake = {.name = "fake", .source = &fake_type};
static struct connector_table table = {.name = "events"};
static struct expr ts = {.kind = EXPR_COLUMN};
static struct source_options options = {.connector = &fake, .table = &table};

static int setup(void **state) {
    (void)state;
    schema = test_schema((struct field[]){{"ts", type_timestamp(3)}}, 1);
    table.schema = schema;
    ts.type = type_timestamp(3);
    options = (struct source_options){.connector = &fake, .table = &table,
                                      .watermark_kind = WATERMARK_KIND_EXPRESSION, .watermark = &ts};
    n_splits = SPLITS;
    return 0;
}
static int teardown(void **state) {
    (void)state;
    schema_unref(schema);
    return 0;
}

static struct op_harness *open_source(const struct step *steps, int32_t n) {
    script = steps;
    n_script = n;
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_source, &options, schema, schema);
    harness_open(harness);
    assert_true(harness->op->busy);
    return harness;
}
static void close_source(struct op_harness *harness) {
    harness_close(harness);
    free(harness);
}

static void a_watermark_follows_its_rows_and_waits_for_every_split(void **state) {
    (void)state;
    const struct step steps[] = {{SOURCE_BATCH, 0, {10, 30, 20}, 3}, {SOURCE_BATCH, 0, {40}, 1},
                                 {SOURCE_BATCH, 1, {5, 25}, 2},      {SOURCE_BATCH, 1, {35}, 1},
                                 {SOURCE_END, 0, {0}, 0}};
    struct op_harness *harness = open_source(steps, 5);
    harness_resume(harness);
    const struct harness_event *events = harness->events;
    assert_int_equal(harness->n_events, 8);
    assert_non_null(events[0].batch);
    assert_non_null(events[1].batch); /* split 1 has not begun: no watermark yet */
    assert_non_null(events[2].batch);
    assert_int_equal(events[3].watermark_ms, 25);
    assert_non_null(events[4].batch);
    assert_int_equal(events[5].watermark_ms, 35);
    assert_true(events[6].watermark_ms == WATERMARK_END && !events[6].batch);
    assert_true(events[7].is_end);
    assert_true(source_op_of(harness->op)->ended);
    assert_int_equal(source_watermark_ms(harness->op), INT64_MAX);
    close_source(harness);
}

static void a_finished_split_holds_nothing(void **state) {
    (void)state;
    const struct step steps[] = {{SOURCE_BATCH, 0, {10}, 1}, {SOURCE_WAIT, 0, {0}, 0}, {SOURCE_BATCH, 0, {20}, 1}};
    struct op_harness *harness = open_source(steps, 3);
    harness_resume(harness);
    assert_int_equal(harness->n_events, 1);
    reader->finished[1] = true;
    harness->op->busy = true;
    harness_resume(harness);
    assert_int_equal(harness->events[harness->n_events - 1].watermark_ms, 20);
    close_source(harness);
}

static void a_source_that_waits_says_when_its_splits_fall_idle(void **state) {
    (void)state;
    options.idle_timeout_ns = 20000000;
    const struct step steps[] = {{SOURCE_BATCH, 0, {10}, 1}};
    struct op_harness *harness = open_source(steps, 1);
    harness_resume(harness);
    const int64_t wake_at = source_op_of(harness->op)->wake_at_ns;
    assert_true(wake_at != INT64_MAX && wake_at <= env_now_ns(env_real()) + options.idle_timeout_ns);
    env_sleep_ns(env_real(), 2 * options.idle_timeout_ns);
    harness->op->busy = true;
    harness_resume(harness);
    assert_true(harness->events[harness->n_events - 1].is_idle); /* both splits fell silent */
    assert_int_equal(source_op_of(harness->op)->wake_at_ns, INT64_MAX);
    close_source(harness);
}

static void a_split_that_is_ahead_is_paused_until_the_other_comes_near(void **state) {
    (void)state;
    options.watermark_alignment_ms = 100;
    const struct step steps[] = {{SOURCE_BATCH, 1, {1}, 1}, {SOURCE_BATCH, 0, {500}, 1}, {SOURCE_BATCH, 1, {450}, 1},
                                 {SOURCE_BATCH, 0, {501}, 1}};
    struct op_harness *harness = open_source(steps, 2);
    harness_resume(harness);
    assert_true(reader->paused[0]);
    assert_false(reader->paused[1]);
    n_script = 4;
    harness->op->busy = true;
    harness_resume(harness);
    assert_false(reader->paused[0]);
    assert_int_equal(reader->read[0], 2);
    /* others may set a limit too */
    source_align(harness->op, 200);
    assert_true(reader->paused[0] && reader->paused[1]);
    assert_int_equal(source_watermark_ms(harness->op), 450);
    source_align(harness->op, INT64_MAX);
    assert_false(reader->paused[0] || reader->paused[1]);
    assert_int_equal(source_op_of(harness->op)->wake_at_ns, 0);
    close_source(harness);
}

static void positions_are_those_behind_the_last_batch_given_out(void **state) {
    (void)state;
    const struct step steps[] = {{SOURCE_BATCH, 0, {1}, 1}, {SOURCE_BATCH, 1, {2}, 1}, {SOURCE_BATCH, 1, {3}, 1},
                                 {SOURCE_BATCH, 0, {4}, 1}, {SOURCE_BATCH, 1, {5}, 1}, {SOURCE_END, 0, {0}, 0}};
    struct op_harness *harness = open_source(steps, 3);
    harness_resume(harness);
    n_script = 6;
    harness_restart(harness, 1);
    assert_int_equal(reader->read[0], 1);
    assert_int_equal(reader->read[1], 2);
    harness_resume(harness);
    int32_t n;
    char **rows = harness_rows(harness, &n);
    assert_int_equal(n, 5);
    for (int32_t i = 0; i < n; i++) { assert_int_equal(atoi(rows[i]), i + 1); }
    test_rows_free(rows, n);
    close_source(harness);
}

static void a_full_output_stops_the_reading(void **state) {
    (void)state;
    const struct step steps[] = {{SOURCE_BATCH, 0, {1}, 1}, {SOURCE_BATCH, 1, {2}, 1}};
    struct sabot_error err = {0};
    struct op_harness *harness = open_source(steps, 2);
    harness->room = 1;
    assert_int_equal(op_source.resume(harness->op, &harness->out, &err), SABOT_OK);
    assert_int_equal(reader->at, 1);
    assert_true(harness->op->busy);
    close_source(harness);
}

static void a_stopped_source_is_silent_and_does_not_end_time(void **state) {
    (void)state;
    const struct step steps[] = {{SOURCE_BATCH, 0, {1}, 1}, {SOURCE_BATCH, 1, {2}, 1}, {SOURCE_END, 0, {0}, 0}};
    struct sabot_error err = {0};
    struct op_harness *harness = open_source(steps, 3);
    source_stop(harness->op);
    assert_int_equal(op_source.resume(harness->op, &harness->out, &err), SABOT_OK);
    assert_int_equal(harness->n_events, 0);
    assert_false(harness->op->busy);
    close_source(harness);
}

static void the_split_that_holds_the_watermark_is_named(void **state) {
    (void)state;
    const struct step steps[] = {{SOURCE_BATCH, 0, {1}, 1}};
    struct op_harness *harness = open_source(steps, 1);
    harness_resume(harness);
    struct text text = {0};
    source_op_of(harness->op)->explain_stall(source_op_of(harness->op), &text);
    assert_non_null(strstr(text_string(&text), "table events, split a split with a rather long name-1: no row yet"));
    text_clear(&text);
    close_source(harness);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_watermark_follows_its_rows_and_waits_for_every_split, setup, teardown),
        cmocka_unit_test_setup_teardown(a_finished_split_holds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_source_that_waits_says_when_its_splits_fall_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(a_split_that_is_ahead_is_paused_until_the_other_comes_near, setup, teardown),
        cmocka_unit_test_setup_teardown(positions_are_those_behind_the_last_batch_given_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_output_stops_the_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stopped_source_is_silent_and_does_not_end_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_split_that_holds_the_watermark_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
