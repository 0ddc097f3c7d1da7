/* The source "datagen": ranges, sequences, NULLs, the same rows at every parallelism, wrong options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "connect/connector.h"

extern const struct source_type datagen_source;

static struct memory_pool pool;

struct setup {
    struct table_option options[16];
    struct connector_table table;
    struct connector_context context;
};

static void setup_init(struct setup *setup, const struct field *fields, int32_t n_fields,
                       const char *const (*options)[2], int32_t n_options) {
    *setup = (struct setup){0};
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    for (int32_t i = 0; i < n_options; i++) {
        setup->options[i] = (struct table_option){.key = options[i][0], .value = options[i][1]};
    }
    setup->table = (struct connector_table){.name = "t", .options = setup->options, .n_options = n_options};
    assert_int_equal(schema_new(fields, n_fields, &setup->table.schema, NULL), SABOT_OK);
    setup->context = (struct connector_context){
        .env = env_real(), .pool = &pool, .table = &setup->table, .parallelism = 1, .batch_rows = 100};
}

static void setup_clear(struct setup *setup) {
    schema_unref(setup->table.schema);
    assert_int_equal(atomic_load(&pool.used), 0);
}

static struct source *source_open(struct setup *setup, int32_t subtask) {
    struct source *source;
    struct sabot_error err = {0};
    setup->context.subtask = subtask;
    if (datagen_source.open(&setup->context, &source, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return source;
}

/* The next batch, NULL at the end. */
static struct batch *next_batch(struct source *source) {
    enum source_state state;
    struct source_result result = {0};
    struct sabot_error err = {0};
    if (datagen_source.poll(source, &state, &result, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    if (state == SOURCE_END) { return NULL; }
    assert_int_equal(state, SOURCE_BATCH);
    return result.batch;
}

static void random_numbers_stay_in_their_range_and_reach_its_ends(void **state) {
    (void)state;
    const struct field fields[] = {{"a", type_of(TYPE_INT32)}, {"b", type_of(TYPE_FLOAT64)}, {"c", type_decimal(5, 2)}};
    const char *const options[][2] = {{"rows-per-second", "0"}, {"number-of-rows", "10000"}, {"fields.a.min", "-3"},
                                      {"fields.a.max", "3"},    {"fields.b.min", "0.5"},     {"fields.b.max", "0.75"},
                                      {"fields.c.min", "1.50"}, {"fields.c.max", "1.53"}};
    struct setup setup;
    setup_init(&setup, fields, 3, options, 8);
    struct source *source = source_open(&setup, 0);
    struct batch *batch;
    int counts[7] = {0}, decimals[4] = {0};
    int64_t rows = 0;
    while ((batch = next_batch(source))) {
        for (int32_t row = 0; row < batch->rows; row++, rows++) {
            const int32_t a = ((const int32_t *)batch->columns[0]->values)[row];
            const double b = ((const double *)batch->columns[1]->values)[row];
            const int64_t c = ((const int64_t *)batch->columns[2]->values)[row];
            assert_in_range(a + 3, 0, 6);
            counts[a + 3]++;
            assert_true(b >= 0.5 && b < 0.75);
            assert_in_range(c, 150, 153);
            decimals[c - 150]++;
        }
        batch_unref(batch);
    }
    assert_int_equal(rows, 10000);
    for (int i = 0; i < 7; i++) { assert_in_range(counts[i], 10000 / 7 - 200, 10000 / 7 + 200); }
    for (int i = 0; i < 4; i++) { assert_true(decimals[i] > 0); }
    datagen_source.close(source);
    setup_clear(&setup);
}

static void a_sequence_counts_and_ends_the_source_at_every_parallelism(void **state) {
    (void)state;
    const struct field fields[] = {{"id", type_of(TYPE_INT64)}, {"name", type_of(TYPE_STRING)}};
    const char *const options[][2] = {{"rows-per-second", "0"},      {"fields.id.kind", "sequence"},
                                      {"fields.id.start", "-500"},   {"fields.id.end", "1499"},
                                      {"fields.name.length", "20"}, {"seed", "3"}};
    uint64_t expected = 0;
    for (int32_t parallelism = 1; parallelism <= 5; parallelism++) {
        struct setup setup;
        setup_init(&setup, fields, 2, options, 6);
        assert_true(datagen_source.is_bounded(&setup.table));
        setup.context.parallelism = parallelism;
        uint8_t seen[2000] = {0};
        uint64_t digest = 0;
        for (int32_t subtask = 0; subtask < parallelism; subtask++) {
            struct source *source = source_open(&setup, subtask);
            struct batch *batch;
            while ((batch = next_batch(source))) {
                for (int32_t row = 0; row < batch->rows; row++) {
                    const int64_t id = ((const int64_t *)batch->columns[0]->values)[row];
                    const struct string_view *name = (const struct string_view *)batch->columns[1]->values + row;
                    assert_in_range(id + 500, 0, 1999);
                    assert_int_equal(seen[id + 500]++, 0);
                    assert_int_equal(name->size, 20);
                    uint64_t hash = (uint64_t)id;
                    for (int i = 0; i < 20; i++) {
                        const char c = string_view_data(name)[i];
                        assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
                        hash = hash * 31 + (uint8_t)c;
                    }
                    digest += hash * hash;
                }
                batch_unref(batch);
            }
            datagen_source.close(source);
        }
        for (int i = 0; i < 2000; i++) { assert_int_equal(seen[i], 1); }
        if (parallelism == 1) { expected = digest; }
        assert_true(digest == expected);
        setup_clear(&setup);
    }
}

static void a_sequence_that_nobody_reads_ends_the_source_too(void **state) {
    (void)state;
    const struct field fields[] = {{"x", type_of(TYPE_BOOL)}, {"id", type_of(TYPE_INT64)}};
    const char *const options[][2] = {
        {"rows-per-second", "0"}, {"fields.id.kind", "sequence"}, {"fields.id.start", "1"}, {"fields.id.end", "7"}};
    struct setup setup;
    setup_init(&setup, fields, 1, options, 4);
    assert_int_equal(schema_new(fields, 2, &setup.table.declared, NULL), SABOT_OK);
    struct source *source = source_open(&setup, 0);
    struct batch *batch = next_batch(source);
    assert_int_equal(batch->rows, 7);
    batch_unref(batch);
    assert_null(next_batch(source));
    datagen_source.close(source);
    schema_unref(setup.table.declared);
    setup_clear(&setup);
}

static void null_rate_is_the_share_of_nulls_also_in_rows(void **state) {
    (void)state;
    const struct field inner[] = {{"s", type_of(TYPE_STRING)}, {"i", type_of(TYPE_INT8)}};
    struct type row_type = type_of(TYPE_ROW);
    row_type.fields = inner;
    row_type.n_fields = 2;
    const struct field fields[] = {{"r", row_type}};
    const char *const options[][2] = {{"rows-per-second", "0"},   {"number-of-rows", "10000"},
                                      {"fields.r.null-rate", "0.25"}, {"fields.r.s.null-rate", "0.5"},
                                      {"fields.r.s.var-len", "true"}, {"fields.r.s.length", "5"}};
    struct setup setup;
    setup_init(&setup, fields, 1, options, 6);
    struct source *source = source_open(&setup, 0);
    struct batch *batch;
    int rows_null = 0, strings_null = 0, lengths[6] = {0};
    while ((batch = next_batch(source))) {
        const struct column *row_column = batch->columns[0], *s = row_column->children[0];
        for (int32_t row = 0; row < batch->rows; row++) {
            rows_null += column_is_null(row_column, row);
            strings_null += column_is_null(s, row);
            const uint32_t size = ((const struct string_view *)s->values)[row].size;
            assert_in_range(size, 1, 5);
            lengths[size]++;
        }
        batch_unref(batch);
    }
    assert_in_range(rows_null, 2300, 2700);
    assert_in_range(strings_null, 4700, 5300);
    for (int i = 1; i <= 5; i++) { assert_true(lengths[i] > 1500); }
    datagen_source.close(source);
    setup_clear(&setup);
}

static void timestamps_are_now_or_at_most_max_past_ago(void **state) {
    (void)state;
    const struct field fields[] = {
        {"now", type_timestamp(3)}, {"past", type_timestamp(6)}, {"day", type_of(TYPE_DATE)}};
    const char *const options[][2] = {
        {"rows-per-second", "0"}, {"number-of-rows", "100"}, {"fields.past.max-past", "10 s"}};
    struct setup setup;
    setup_init(&setup, fields, 3, options, 3);
    struct source *source = source_open(&setup, 0);
    const int64_t before_ms = env_wall_ms(env_real());
    struct batch *batch = next_batch(source);
    const int64_t after_ms = env_wall_ms(env_real());
    for (int32_t row = 0; row < batch->rows; row++) {
        const int64_t now_ms = ((const int64_t *)batch->columns[0]->values)[row];
        const int64_t past_us = ((const int64_t *)batch->columns[1]->values)[row];
        assert_true(now_ms >= before_ms && now_ms <= after_ms);
        assert_true(past_us >= (before_ms - 10000) * 1000 && past_us <= after_ms * 1000);
        const int32_t day = ((const int32_t *)batch->columns[2]->values)[row];
        assert_true(day == before_ms / 86400000 || day == after_ms / 86400000);
    }
    batch_unref(batch);
    datagen_source.close(source);
    setup_clear(&setup);
}

/* A source that goes on from a position. */
static struct source *source_restored(struct setup *setup, const struct text *position) {
    const struct field names[] = {{"split", type_of(TYPE_STRING)}, {"position", type_of(TYPE_BINARY)}};
    struct schema *schema;
    assert_int_equal(schema_new(names, 2, &schema, NULL), SABOT_OK);
    const struct string_view cell = string_view_of(position->data, (uint32_t)position->size);
    struct column *columns[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(column_constant(&pool, PHYS_VIEW, &cell, 1, &columns[i], NULL), SABOT_OK);
    }
    struct batch *positions;
    assert_int_equal(batch_new(schema, columns, 2, 1, &positions, NULL), SABOT_OK);
    schema_unref(schema);
    struct source *source = source_open(setup, 0);
    assert_int_equal(datagen_source.restore(source, positions, NULL), SABOT_OK);
    batch_unref(positions);
    return source;
}

static void restore_goes_on_behind_the_last_row(void **state) {
    (void)state;
    const struct field fields[] = {{"id", type_of(TYPE_INT32)}};
    const char *const options[][2] = {
        {"rows-per-second", "0"}, {"fields.id.kind", "sequence"}, {"fields.id.start", "0"}, {"fields.id.end", "249"}};
    struct setup setup;
    setup_init(&setup, fields, 1, options, 4);
    struct source *source = source_open(&setup, 0);
    batch_unref(next_batch(source));
    struct text position = {0};
    assert_int_equal(datagen_source.position(source, 0, &position, NULL), SABOT_OK);
    datagen_source.close(source);
    source = source_restored(&setup, &position);
    struct batch *batch = next_batch(source);
    assert_int_equal(((const int32_t *)batch->columns[0]->values)[0], 100);
    batch_unref(batch);
    text_clear(&position);
    datagen_source.close(source);
    setup_clear(&setup);
}

/* A job that was away for years would be flooded. */
static void after_a_restore_it_goes_on_at_its_rate(void **state) {
    (void)state;
    const struct field fields[] = {{"id", type_of(TYPE_INT32)}};
    const char *const options[][2] = {
        {"rows-per-second", "1"}, {"fields.id.kind", "sequence"}, {"fields.id.start", "0"}, {"fields.id.end", "2490"}};
    struct setup setup;
    setup_init(&setup, fields, 1, options, 4);
    struct text position = {0};
    text_format(&position, "datagen1 100 0 1 1000 1436918350000");
    struct source *source = source_restored(&setup, &position);
    struct batch *batch = next_batch(source);
    assert_int_equal(((const int32_t *)batch->columns[0]->values)[0], 100);
    assert_int_equal(batch->selected, 1);
    batch_unref(batch);
    text_clear(&position);
    datagen_source.close(source);
    setup_clear(&setup);
}

static void refuse(struct type type, const char *key, const char *value, const char *expected) {
    const struct field fields[] = {{"x", type}};
    const char *const options[][2] = {{key, value}};
    struct setup setup;
    setup_init(&setup, fields, 1, options, 1);
    struct source *source;
    struct sabot_error err = {0};
    assert_int_not_equal(datagen_source.open(&setup.context, &source, &err), SABOT_OK);
    if (!strstr(err.message, expected)) { fail_msg("'%s' does not say \"%s\"", err.message, expected); }
    setup_clear(&setup);
}

static void wrong_options_are_named(void **state) {
    (void)state;
    refuse(type_of(TYPE_INT32), "fields.x.min", "a", "'fields.x.min': \"a\" is not a whole number");
    refuse(type_of(TYPE_INT8), "fields.x.max", "1000", "'fields.x.max'");
    refuse(type_of(TYPE_INT32), "fields.x.kind", "sequence", "'fields.x.start': missing");
    refuse(type_of(TYPE_BOOL), "fields.x.null-rate", "2", "'fields.x.null-rate': \"2\" is not from 0 to 1");
    refuse(type_not_null(type_of(TYPE_BOOL)), "fields.x.null-rate", "0.1", "NOT NULL");
    refuse(type_of(TYPE_STRING), "fields.x.length", "0", "'fields.x.length'");
    refuse(type_of(TYPE_STRING), "rows-per-second", "-1", "'rows-per-second'");
    struct type list = type_of(TYPE_ARRAY);
    const struct field element = {"e", type_of(TYPE_INT32)};
    list.fields = &element;
    list.n_fields = 1;
    refuse(list, "number-of-rows", "1", "column x is ARRAY");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_numbers_stay_in_their_range_and_reach_its_ends),
        cmocka_unit_test(a_sequence_counts_and_ends_the_source_at_every_parallelism),
        cmocka_unit_test(a_sequence_that_nobody_reads_ends_the_source_too),
        cmocka_unit_test(null_rate_is_the_share_of_nulls_also_in_rows),
        cmocka_unit_test(timestamps_are_now_or_at_most_max_past_ago),
        cmocka_unit_test(restore_goes_on_behind_the_last_row),
        cmocka_unit_test(after_a_restore_it_goes_on_at_its_rate),
        cmocka_unit_test(wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
