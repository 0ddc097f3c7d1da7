/* The sink operator with a connector that is sometimes full: nothing is lost or doubled, rows become visible only when
 * a checkpoint is complete, a restore finishes what was prepared, NULLs in NOT NULL columns are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "tests/util/op_harness.h"

/* A connector that keeps numbers in memory: written, prepared, visible. */
static struct {
    int64_t written[1000], visible[1000], prepared[1000];
    int32_t n_written, n_visible, n_prepared;
    int32_t full; /* says so many times that it is full */
    int32_t restored;
    char restored_text[64];
} world;
struct sink {
    int unused;
};

static bool is_full(void) { return world.full > 0 && world.full-- > 0; }

static sabot_status fake_open(const struct connector_context *context, struct sink **out, struct sabot_error *err) {
    (void)err;
    assert_non_null(context->table);
    *out = calloc(1, sizeof **out);
    world.n_written = 0; /* what was not prepared dies with the process */
    return SABOT_OK;
}
static sabot_status fake_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    (void)sink, (void)err;
    world.restored++;
    const struct string_view *view = pending->columns[0]->values;
    snprintf(world.restored_text, sizeof world.restored_text, "%.*s", (int)view->size, string_view_data(view));
    return SABOT_OK;
}
static sabot_status fake_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    (void)sink, (void)err;
    *full = is_full();
    if (*full) { return SABOT_OK; }
    for (int32_t i = 0; i < batch->selected; i++) {
        world.written[world.n_written++] = ((const int64_t *)batch->columns[0]->values)[batch_row(batch, i)];
    }
    batch_unref(batch);
    return SABOT_OK;
}
static sabot_status fake_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                 struct sabot_error *err) {
    (void)sink, (void)err;
    *full = is_full();
    if (*full) { return SABOT_OK; }
    for (int32_t i = 0; i < world.n_written; i++) { world.prepared[world.n_prepared++] = world.written[i]; }
    world.n_written = 0;
    text_format(pending, "checkpoint %lld", (long long)checkpoint_id);
    return SABOT_OK;
}
static sabot_status fake_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    (void)sink, (void)checkpoint_id, (void)err;
    for (int32_t i = 0; i < world.n_prepared; i++) { world.visible[world.n_visible++] = world.prepared[i]; }
    world.n_prepared = 0;
    return SABOT_OK;
}
static sabot_status fake_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    (void)sink;
    *full = is_full();
    if (*full) { return SABOT_OK; }
    struct text text = {0};
    bool again;
    SABOT_TRY(fake_prepare(sink, 0, &text, &again, err));
    text_clear(&text);
    return fake_commit(sink, 0, err);
}
static void fake_close(struct sink *sink) { free(sink); }

static const struct sink_type fake_type = {.name = "fake", .accepts = SINK_INSERTS, .open = fake_open,
                                           .restore = fake_restore, .write = fake_write, .prepare = fake_prepare,
                                           .commit = fake_commit, .finish = fake_finish, .close = fake_close};
static const struct connector fake = {.name = "fake", .sink = &fake_type};

static struct schema *schema;
static struct connector_table table = {.name = "results"};
static const struct sink_options options = {.connector = &fake, .table = &table, .not_null_enforced = true};

static int setup(void **state) {
    (void)state;
    memset(&world, 0, sizeof world);
    schema = test_schema((struct field[]){{"n", type_not_null(type_of(TYPE_INT64))}}, 1);
    table.schema = schema;
    return 0;
}
static int teardown(void **state) {
    (void)state;
    schema_unref(schema);
    return 0;
}
static struct op_harness *open_sink(bool checkpoints) {
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_sink, &options, schema, schema);
    harness->context.checkpoints = checkpoints;
    harness_open(harness);
    return harness;
}
static void close_sink(struct op_harness *harness) {
    harness_close(harness);
    free(harness);
}
static struct batch *numbers(struct op_harness *harness, int64_t first, int32_t n) {
    int64_t values[100];
    for (int32_t i = 0; i < n; i++) { values[i] = first + i; }
    struct column *column = test_column_i64(&harness->pool, values, NULL, n);
    struct batch *batch = test_batch(schema, &column, 1);
    batch->created_ns = 1;
    return batch;
}
static void expect_visible(int32_t n) {
    assert_int_equal(world.n_visible, n);
    for (int32_t i = 0; i < n; i++) { assert_int_equal(world.visible[i], i); }
}

static void a_full_connector_gets_each_row_once(void **state) {
    (void)state;
    struct op_harness *harness = open_sink(false);
    for (int32_t i = 0; i < 10; i++) {
        world.full = i % 3;
        harness_batch(harness, numbers(harness, i * 10, 10));
    }
    expect_visible(0);
    world.full = 2;
    harness_end(harness);
    expect_visible(100);
    assert_true(harness->events[harness->n_events - 1].is_end);
    assert_int_equal(histogram_count(harness->metrics.latency), 100);
    close_sink(harness);
}

static void rows_are_visible_when_their_checkpoint_is_complete(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct op_harness *harness = open_sink(true);
    harness_batch(harness, numbers(harness, 0, 10));
    world.full = 3; /* the pre-commit takes its time */
    assert_int_equal(op_sink.before_barrier(harness->op, 7, &harness->out, &err), SABOT_OK);
    assert_true(harness->op->busy);
    harness_resume(harness);
    harness_batch(harness, numbers(harness, 10, 10));
    expect_visible(0);
    assert_int_equal(op_sink.on_complete(harness->op, 7, &err), SABOT_OK);
    expect_visible(10);
    harness_end(harness); /* the last barrier comes behind the end */
    expect_visible(10);
    assert_int_equal(op_sink.before_barrier(harness->op, 8, &harness->out, &err), SABOT_OK);
    assert_int_equal(op_sink.on_complete(harness->op, 8, &err), SABOT_OK);
    expect_visible(20);
    close_sink(harness);
}

static void a_restore_hands_pending_commits_to_the_connector(void **state) {
    (void)state;
    struct op_harness *harness = open_sink(true);
    harness_batch(harness, numbers(harness, 0, 10));
    assert_int_equal(world.restored, 0);
    harness_restart(harness, 42);
    assert_int_equal(world.restored, 1);
    assert_string_equal(world.restored_text, "checkpoint 42");
    close_sink(harness);
}

static void null_in_a_not_null_column_is_refused_with_its_name(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct op_harness *harness = open_sink(false);
    struct column *column = test_column_i64(&harness->pool, (int64_t[]){1, 2, 3}, (bool[]){0, 1, 0}, 3);
    assert_int_equal(harness_try_batch(harness, test_batch(schema, &column, 1), &err), SABOT_ERR_DATA);
    assert_non_null(strstr(err.message, "NULL in column n"));
    /* a NULL in a row that is not selected is no NULL */
    column = test_column_i64(&harness->pool, (int64_t[]){0, 2, 1}, (bool[]){0, 1, 0}, 3);
    harness_batch(harness, test_select(&harness->pool, test_batch(schema, &column, 1), (int32_t[]){0, 2}, 2));
    harness_end(harness);
    expect_visible(2);
    close_sink(harness);
}

static void a_table_that_can_not_be_written_is_named(void **state) {
    (void)state;
    struct sabot_error err = {0};
    const struct connector readonly = {.name = "readonly"};
    const struct sink_options wrong = {.connector = &readonly, .table = &table};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_sink, &wrong, schema, schema);
    assert_int_equal(harness_try_open(harness, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "readonly"));
    close_sink(harness);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_connector_gets_each_row_once, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_visible_when_their_checkpoint_is_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restore_hands_pending_commits_to_the_connector, setup, teardown),
        cmocka_unit_test_setup_teardown(null_in_a_not_null_column_is_refused_with_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_table_that_can_not_be_written_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
