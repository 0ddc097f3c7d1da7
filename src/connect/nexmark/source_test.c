/* The source "nexmark": the same rows at every parallelism and across restores, pruned columns, pace, wrong options. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env_sim.h"
#include "base/text.h"
#include "connect/connector.h"
#include "connect/nexmark/generator.h"

extern const struct source_type nexmark_source;

#define SUBTASKS_MAX 8

static struct memory_pool pool;

struct setup {
    struct table_option options[12];
    struct connector_table table;
    struct connector_context context;
};

static void setup_init(struct setup *setup, int32_t parallelism, const char *const (*options)[2], int32_t n) {
    *setup = (struct setup){0};
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    for (int32_t i = 0; i < n; i++) {
        setup->options[i] = (struct table_option){.key = options[i][0], .value = options[i][1]};
    }
    setup->table = (struct connector_table){.name = "t", .options = setup->options, .n_options = n};
    assert_int_equal(nexmark_source.schema(&setup->table, &setup->table.schema, NULL), SABOT_OK);
    setup->context = (struct connector_context){
        .env = env_real(), .pool = &pool, .table = &setup->table, .parallelism = parallelism, .batch_rows = 1000};
}

static void setup_clear(struct setup *setup) {
    schema_unref(setup->table.schema);
    assert_int_equal(atomic_load(&pool.used), 0);
}

static struct source *open_subtask(struct setup *setup, int32_t subtask) {
    setup->context.subtask = subtask;
    struct source *source;
    struct sabot_error err = {0};
    if (nexmark_source.open(&setup->context, &source, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return source;
}

static const char *const sample[][2] = {{"seed", "7"},
                                        {"events.num", "30000"},
                                        {"first-event.rate", "1000"},
                                        {"base-time", "2015-07-14 23:59:10"}};

static const struct column *child_of(const struct batch *batch, int32_t column, int32_t child) {
    return batch->columns[column]->children[child];
}

/* A number that depends on every cell of a row, not on the order of rows when summed up. */
static uint64_t row_digest(const struct batch *batch, int64_t row) {
    uint64_t digest = (uint64_t)((const int32_t *)batch->columns[0]->values)[row] + 1;
    for (int32_t c = 1; c < batch->n_columns; c++) {
        const struct column *column = batch->columns[c];
        if (column_is_null(column, row)) { continue; }
        for (int32_t k = 0; k < column->n_children; k++) {
            const struct column *child = column->children[k];
            if (child->phys == PHYS_I64) {
                digest = digest * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)((const int64_t *)child->values)[row];
                continue;
            }
            const struct string_view *view = (const struct string_view *)child->values + row;
            const char *data = string_view_data(view);
            for (uint32_t i = 0; i < view->size; i++) { digest = digest * UINT64_C(0x100000001b3) + (uint8_t)data[i]; }
            digest += view->size;
        }
    }
    return digest * digest;
}

struct totals {
    uint64_t digest;
    int64_t rows;
};

/* Polls until the end or until `batches` were read; adds to totals. Returns false at the end. */
static bool read_batches(struct source *source, int32_t batches, struct totals *totals) {
    for (int32_t i = 0; i < batches; i++) {
        enum source_state state;
        struct source_result result = {0};
        struct sabot_error err = {0};
        if (nexmark_source.poll(source, &state, &result, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (state == SOURCE_END) { return false; }
        assert_int_equal(state, SOURCE_BATCH);
        for (int32_t row = 0; row < result.batch->rows; row++) {
            totals->digest += row_digest(result.batch, row);
            totals->rows++;
        }
        batch_unref(result.batch);
    }
    return true;
}

static struct totals totals_of(int32_t parallelism, const char *const (*options)[2], int32_t n) {
    struct setup setup;
    struct totals totals = {0};
    setup_init(&setup, parallelism, options, n);
    for (int32_t subtask = 0; subtask < parallelism; subtask++) {
        struct source *source = open_subtask(&setup, subtask);
        assert_false(read_batches(source, INT32_MAX, &totals));
        nexmark_source.close(source);
    }
    setup_clear(&setup);
    return totals;
}

static void every_parallelism_gives_the_same_rows(void **state) {
    (void)state;
    const struct totals expected = totals_of(1, sample, 4);
    assert_int_equal(expected.rows, 30000);
    for (int32_t parallelism = 2; parallelism <= SUBTASKS_MAX; parallelism++) {
        const struct totals found = totals_of(parallelism, sample, 4);
        assert_int_equal(found.rows, expected.rows);
        assert_true(found.digest == expected.digest);
    }
}

static void several_official_generators_make_their_share_each(void **state) {
    (void)state;
    const char *const options[][2] = {{"seed", "9"}, {"events.num", "1000"}, {"generators", "3"}, {"base-time", "0"}};
    const struct totals one = totals_of(1, options, 4), five = totals_of(5, options, 4);
    assert_int_equal(one.rows, 1000);
    assert_int_equal(five.rows, 1000);
    assert_true(one.digest == five.digest);
}

/* The positions of all splits of n sources as the rows that restore takes. */
static struct batch *positions_of(struct source *const *sources, int32_t n) {
    const struct field fields[] = {{"split", type_of(TYPE_STRING)}, {"position", type_of(TYPE_BINARY)}};
    struct schema *schema;
    assert_int_equal(schema_new(fields, 2, &schema, NULL), SABOT_OK);
    int32_t rows = 0;
    for (int32_t i = 0; i < n; i++) { rows += nexmark_source.n_splits(sources[i]); }
    struct column_builder builders[2];
    for (int b = 0; b < 2; b++) {
        assert_int_equal(column_builder_init(&builders[b], &pool, PHYS_VIEW, rows, false, NULL), SABOT_OK);
    }
    int32_t row = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t k = 0; k < nexmark_source.n_splits(sources[i]); k++, row++) {
            struct source_split split;
            struct text position = {0};
            nexmark_source.split(sources[i], k, &split);
            assert_int_equal(nexmark_source.position(sources[i], k, &position, NULL), SABOT_OK);
            const char *cells[2] = {split.id, position.data};
            const size_t sizes[2] = {strlen(split.id), position.size};
            for (int b = 0; b < 2; b++) {
                char *target;
                assert_int_equal(column_builder_reserve(&builders[b], sizes[b], &target, NULL), SABOT_OK);
                memcpy(target, cells[b], sizes[b]);
                ((struct string_view *)builders[b].values)[row] = string_view_of(target, (uint32_t)sizes[b]);
            }
            text_clear(&position);
        }
    }
    struct column *columns[2];
    for (int b = 0; b < 2; b++) { assert_int_equal(column_builder_finish(&builders[b], &columns[b], NULL), SABOT_OK); }
    struct batch *batch;
    assert_int_equal(batch_new(schema, columns, 2, rows, &batch, NULL), SABOT_OK);
    schema_unref(schema);
    return batch;
}

static void restore_goes_on_where_the_checkpoint_stood_at_any_parallelism(void **state) {
    (void)state;
    const struct totals expected = totals_of(1, sample, 4);
    const int32_t before[] = {1, 2, 5, 3}, after[] = {1, 7, 2, 1};
    for (size_t i = 0; i < 4; i++) {
        struct setup setup;
        struct totals totals = {0};
        struct source *sources[SUBTASKS_MAX];
        setup_init(&setup, before[i], sample, 4);
        for (int32_t s = 0; s < before[i]; s++) {
            sources[s] = open_subtask(&setup, s);
            read_batches(sources[s], 1 + 3 * s, &totals);
        }
        struct batch *positions = positions_of(sources, before[i]);
        for (int32_t s = 0; s < before[i]; s++) { nexmark_source.close(sources[s]); }
        setup.context.parallelism = after[i];
        setup.context.batch_rows = 777;
        for (int32_t s = 0; s < after[i]; s++) {
            struct source *source = open_subtask(&setup, s);
            assert_int_equal(nexmark_source.restore(source, positions, NULL), SABOT_OK);
            read_batches(source, INT32_MAX, &totals);
            nexmark_source.close(source);
        }
        batch_unref(positions);
        assert_int_equal(totals.rows, expected.rows);
        assert_true(totals.digest == expected.digest);
        setup_clear(&setup);
    }
}

static void another_seed_than_the_checkpoints_is_refused(void **state) {
    (void)state;
    struct setup setup;
    setup_init(&setup, 1, sample, 4);
    struct source *source = open_subtask(&setup, 0);
    struct batch *positions = positions_of(&source, 1);
    nexmark_source.close(source);
    setup.options[0].value = "8";
    source = open_subtask(&setup, 0);
    struct sabot_error err = {0};
    assert_int_equal(nexmark_source.restore(source, positions, &err), SABOT_ERR_STATE);
    assert_non_null(strstr(err.message, "'seed' = '7'"));
    nexmark_source.close(source);
    batch_unref(positions);
    setup_clear(&setup);
}

static void only_the_columns_asked_for_are_made(void **state) {
    (void)state;
    struct setup setup;
    setup_init(&setup, 1, sample, 4);
    struct schema *all = setup.table.schema;
    const struct field bid_fields[] = {{"price", type_of(TYPE_INT64)}, {"url", type_of(TYPE_STRING)}};
    struct field column = {"bid", type_of(TYPE_ROW)};
    column.type.fields = bid_fields;
    column.type.n_fields = 2;
    assert_int_equal(schema_new(&column, 1, &setup.table.schema, NULL), SABOT_OK);
    struct source *pruned = open_subtask(&setup, 0);
    struct schema *pruned_schema = setup.table.schema;
    setup.table.schema = all;
    struct source *full = open_subtask(&setup, 0);
    enum source_state poll_state;
    struct source_result a = {0}, b = {0};
    assert_int_equal(nexmark_source.poll(full, &poll_state, &a, NULL), SABOT_OK);
    setup.table.schema = pruned_schema;
    assert_int_equal(nexmark_source.poll(pruned, &poll_state, &b, NULL), SABOT_OK);
    assert_int_equal(b.batch->n_columns, 1);
    assert_int_equal(b.batch->columns[0]->n_children, 2);
    assert_int_equal(a.batch->rows, b.batch->rows);
    const int64_t *price = child_of(b.batch, 0, 0)->values, *price_full = child_of(a.batch, 3, 2)->values;
    const struct string_view *url = child_of(b.batch, 0, 1)->values, *url_full = child_of(a.batch, 3, 4)->values;
    for (int32_t row = 0; row < a.batch->rows; row++) {
        assert_true(price[row] == price_full[row]);
        assert_true(string_view_data(&url[row]) != NULL && url[row].size == url_full[row].size);
    }
    batch_unref(a.batch);
    batch_unref(b.batch);
    nexmark_source.close(full);
    nexmark_source.close(pruned);
    schema_unref(pruned_schema);
    setup.table.schema = all;
    setup_clear(&setup);
}

static void batches_outlive_their_source(void **state) {
    (void)state;
    struct setup setup;
    setup_init(&setup, 1, sample, 4);
    struct source *source = open_subtask(&setup, 0);
    enum source_state poll_state;
    struct source_result result = {0};
    assert_int_equal(nexmark_source.poll(source, &poll_state, &result, NULL), SABOT_OK);
    nexmark_source.close(source);
    uint64_t digest = 0;
    for (int32_t row = 0; row < result.batch->rows; row++) { digest += row_digest(result.batch, row); }
    assert_true(digest != 0);
    batch_unref(result.batch);
    setup_clear(&setup);
}

static void a_rate_limit_makes_it_wait_and_is_kept(void **state) {
    (void)state;
    const char *const options[][2] = {{"events.num", "200"}, {"rows-per-second", "2000"}};
    struct setup setup;
    setup_init(&setup, 1, options, 2);
    struct env *env = env_sim_new(&(struct env_sim_options){.seed = 1}); /* its clock runs when the test says so */
    setup.context.env = env;
    /* Event time that begins now and the pace start when the source is opened, at a whole millisecond. */
    const int64_t start_ns = env_now_ns(env) - 1000000;
    struct source *source = open_subtask(&setup, 0);
    int64_t rows = 0, waits = 0;
    while (true) {
        enum source_state poll_state;
        struct source_result result = {0};
        assert_int_equal(nexmark_source.poll(source, &poll_state, &result, NULL), SABOT_OK);
        if (poll_state == SOURCE_END) { break; }
        if (poll_state == SOURCE_WAIT) {
            waits++;
            assert_true(result.wake_at_ns < INT64_MAX);
            env_sleep_ns(env, result.wake_at_ns - env_now_ns(env));
            continue;
        }
        rows += result.batch->rows;
        batch_unref(result.batch);
    }
    assert_int_equal(rows, 200);
    assert_true(waits > 5);
    /* The first row is due at once, the last one 199 intervals later. */
    assert_true(env_now_ns(env) - start_ns >= 99 * INT64_C(1000000));
    nexmark_source.close(source);
    env_sim_free(env);
    setup_clear(&setup);
}

static void an_endless_or_kept_alive_stream_is_not_bounded(void **state) {
    (void)state;
    const char *const options[][2] = {{"events.num", "1"}, {"keep-alive", "true"}};
    struct setup setup;
    setup_init(&setup, 1, options, 2);
    assert_false(nexmark_source.is_bounded(&setup.table));
    struct source *source = open_subtask(&setup, 0);
    struct totals totals = {0};
    read_batches(source, 1, &totals);
    enum source_state poll_state;
    struct source_result result = {0};
    assert_int_equal(nexmark_source.poll(source, &poll_state, &result, NULL), SABOT_OK);
    assert_int_equal(poll_state, SOURCE_WAIT);
    nexmark_source.close(source);
    setup.table.n_options = 1;
    assert_true(nexmark_source.is_bounded(&setup.table));
    setup.table.n_options = 0;
    assert_false(nexmark_source.is_bounded(&setup.table));
    setup_clear(&setup);
}

static void refuse(const char *key, const char *value, const char *expected) {
    const char *const options[][2] = {{key, value}};
    struct setup setup;
    setup_init(&setup, 1, options, 1);
    struct source *source;
    struct sabot_error err = {0};
    assert_int_equal(nexmark_source.open(&setup.context, &source, &err), SABOT_ERR_PLAN);
    if (!strstr(err.message, expected)) { fail_msg("'%s' does not say \"%s\"", err.message, expected); }
    setup_clear(&setup);
}

static void wrong_options_and_columns_are_named(void **state) {
    (void)state;
    refuse("base-time", "yesterday", "'base-time': \"yesterday\"");
    refuse("base-time", "2015-13-01 00:00:00", "2015-13-01");
    refuse("generators", "0", "'generators' is 0");
    refuse("bid.avg-size", "1 gb", "'bid.avg-size'");
    refuse("rows-per-second", "-1", "'rows-per-second'");
    refuse("first-event.rate", "0", "'first-event.rate' is 0");

    struct setup setup;
    setup_init(&setup, 1, NULL, 0);
    struct schema *all = setup.table.schema;
    const struct field wrong[] = {{"auction", type_of(TYPE_INT64)}};
    assert_int_equal(schema_new(wrong, 1, &setup.table.schema, NULL), SABOT_OK);
    struct source *source;
    struct sabot_error err = {0};
    assert_int_equal(nexmark_source.open(&setup.context, &source, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "column auction is BIGINT"));
    schema_unref(setup.table.schema);
    setup.table.schema = all;
    setup_clear(&setup);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parallelism_gives_the_same_rows),
        cmocka_unit_test(several_official_generators_make_their_share_each),
        cmocka_unit_test(restore_goes_on_where_the_checkpoint_stood_at_any_parallelism),
        cmocka_unit_test(another_seed_than_the_checkpoints_is_refused),
        cmocka_unit_test(only_the_columns_asked_for_are_made),
        cmocka_unit_test(batches_outlive_their_source),
        cmocka_unit_test(a_rate_limit_makes_it_wait_and_is_kept),
        cmocka_unit_test(an_endless_or_kept_alive_stream_is_not_bounded),
        cmocka_unit_test(wrong_options_and_columns_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
