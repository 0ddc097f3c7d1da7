/* ORDER BY against qsort over the same rows: directions, NULLs, ties, limits, restarts, full outputs, many runs. Sort
 * keys as numbers against the comparison of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

#include "ops/sort/sort_keys.h"
#include "tests/util/op_harness.h"

struct row {
    int64_t a;
    bool a_null;
    const char *b;
    int64_t sequence;
};
static const struct sort_options *model_options;

static int model_order(const void *x, const void *y) {
    const struct row *a = x, *b = y;
    for (int32_t k = 0; k < model_options->n_keys; k++) {
        const struct sort_key *key = &model_options->keys[k];
        const bool a_null = key->column == 0 ? a->a_null : !a->b, b_null = key->column == 0 ? b->a_null : !b->b;
        if (a_null || b_null) {
            if (a_null && b_null) { continue; }
            return a_null == key->nulls_first ? -1 : 1;
        }
        int order = key->column == 0 ? (a->a > b->a) - (a->a < b->a) : strcmp(a->b, b->b);
        if (key->descending) { order = -order; }
        if (order) { return order; }
    }
    return a->sequence < b->sequence ? -1 : 1;
}

/* limit: of memory; a run has a sixteenth of it. */
static void run_within(int64_t limit, uint64_t seed, const struct sort_options *options, int32_t batches,
                       int32_t size) {
    struct test_random random = {seed};
    struct schema *schema = test_schema(
        (struct field[]){{"a", type_of(TYPE_INT64)}, {"b", type_of(TYPE_STRING)}, {"seq", type_of(TYPE_INT64)}}, 3);
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_sort, options, schema, schema);
    struct memory_pool small; /* the state's has no limit, for it is copied and checked now and then */
    memory_pool_init(&small, "sort", &harness->pool, limit);
    harness->context.pool = &small;
    harness->context.batch_rows = 1 + test_below(&random, 300);
    harness_open(harness);
    static const char *const texts[] = {NULL, "", "a", "ab", "a text longer than twelve bytes", "b"};
    struct row *rows = calloc((size_t)batches * (size_t)size + 1, sizeof *rows);
    int32_t n = 0;
    for (int32_t b = 0; b < batches; b++) {
        const int32_t m = 1 + test_below(&random, size);
        int64_t a[8192], sequence[8192];
        bool nulls[8192];
        const char *text[8192];
        for (int32_t i = 0; i < m; i++) {
            rows[n] = (struct row){.a = test_below(&random, 20) - 10, .a_null = test_below(&random, 6) == 0,
                                   .b = texts[test_below(&random, 6)], .sequence = n};
            a[i] = rows[n].a;
            nulls[i] = rows[n].a_null;
            text[i] = rows[n].b;
            sequence[i] = n++;
        }
        struct column *columns[] = {test_column_i64(&harness->pool, a, nulls, m),
                                    test_column_text(&harness->pool, text, m),
                                    test_column_i64(&harness->pool, sequence, NULL, m)};
        harness_batch(harness, test_batch(schema, columns, 3));
        if (test_below(&random, 5) == 0) { harness_restart(harness, b); }
    }
    harness->room = 0;
    harness_end(harness);
    model_options = options;
    qsort(rows, (size_t)n, sizeof *rows, model_order);
    int64_t at = options->offset, given = 0;
    for (int32_t e = 0; e < harness->n_events; e++) {
        const struct batch *batch = harness->events[e].batch;
        for (int32_t i = 0; batch && i < batch->selected; i++, at++, given++) {
            assert_int_equal(((const int64_t *)batch->columns[2]->values)[batch_row(batch, i)], rows[at].sequence);
        }
    }
    const int64_t left = n > options->offset ? n - options->offset : 0;
    assert_int_equal(given, options->limit < 0 || options->limit > left ? left : options->limit);
    free(rows);
    harness_close(harness);
    free(harness);
    schema_unref(schema);
}

static void run(uint64_t seed, const struct sort_options *options, int32_t batches, int32_t size) {
    run_within(INT64_MAX, seed, options, batches, size);
}

static void rows_come_in_the_order_of_the_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const struct sort_key keys[] = {{.column = 1, .descending = seed % 2, .nulls_first = seed % 3 == 0},
                                        {.column = 0, .descending = seed % 5 < 2, .nulls_first = seed % 4 < 2}};
        run(seed, &(struct sort_options){.keys = keys, .n_keys = 2, .limit = -1}, 10, 200);
        run(seed, &(struct sort_options){.keys = keys + 1, .n_keys = 1, .limit = 17, .offset = 5}, 10, 200);
    }
}
static void a_limit_keeps_only_what_can_matter(void **state) {
    (void)state;
    const struct sort_key key = {.column = 0, .descending = true};
    run(3, &(struct sort_options){.keys = &key, .n_keys = 1, .limit = 100, .offset = 10}, 60, 8000);
}
static void many_runs_are_merged(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        const struct sort_key keys[] = {{.column = 0, .descending = seed % 2, .nulls_first = seed % 3 == 0},
                                        {.column = 1, .descending = seed % 4 < 2, .nulls_first = seed % 2}};
        const int32_t n_keys = seed % 2 ? 2 : 1;
        run_within(64 << 20, seed, &(struct sort_options){.keys = keys, .n_keys = n_keys, .limit = -1}, 60, 8000);
        run_within(64 << 20, seed,
                   &(struct sort_options){.keys = keys, .n_keys = n_keys, .limit = 30000, .offset = 700}, 60, 8000);
    }
}

/* ---- sort keys as numbers ---- */

static struct column *random_column(struct memory_pool *pool, struct type type, struct test_random *random, int32_t n) {
    struct column_builder builder;
    struct column *column;
    assert_int_equal(column_builder_init(&builder, pool, type_phys(type), n, type.nullable, NULL), SABOT_OK);
    for (int32_t i = 0; i < n; i++) {
        const int64_t few = test_below(random, 5) - 2, many = (int64_t)test_random(random);
        const int64_t value = test_below(random, 2) ? few : many;
        static const double special[] = {NAN, -NAN, INFINITY, -INFINITY, 0.0, -0.0, 1e-310, 1.5, -1.5};
        const double number = special[test_below(random, 9)];
        static const char *const texts[] = {"", "a", "a\0b", "ab", "sixteen bytes, and", "sixteen bytes, bnd",
                                             "\xff\xff"};
        static const uint32_t sizes[] = {0, 1, 3, 2, 18, 18, 2};
        const int32_t t = test_below(random, 7);
        switch (builder.phys) {
        case PHYS_BOOL: ((uint8_t *)builder.values)[i] = value & 1; break;
        case PHYS_I8: ((int8_t *)builder.values)[i] = (int8_t)value; break;
        case PHYS_I16: ((int16_t *)builder.values)[i] = (int16_t)value; break;
        case PHYS_I32: ((int32_t *)builder.values)[i] = (int32_t)value; break;
        case PHYS_I64: ((int64_t *)builder.values)[i] = value; break;
        case PHYS_I128:
            ((__int128 *)builder.values)[i] = (__int128)value * (test_below(random, 2) ? 1 : INT64_MAX);
            break;
        case PHYS_F32: ((float *)builder.values)[i] = (float)number; break;
        case PHYS_F64: ((double *)builder.values)[i] = number; break;
        case PHYS_VIEW: ((struct string_view *)builder.values)[i] = string_view_of(texts[t], sizes[t]); break;
        default: fail();
        }
        if (type.nullable && test_below(random, 4) == 0) { column_builder_set_null(&builder, i); }
    }
    assert_int_equal(column_builder_finish(&builder, &column, NULL), SABOT_OK);
    return column;
}

static int sign(int value) { return (value > 0) - (value < 0); }

/* Numbers never contradict the values; where they are exact, they say all. */
static void numbers_order_as_values_do(void **state) {
    (void)state;
    const struct type types[] = {type_of(TYPE_BOOL), type_of(TYPE_INT8), type_of(TYPE_INT16), type_of(TYPE_INT32),
                                 type_of(TYPE_INT64), type_of(TYPE_FLOAT32), type_of(TYPE_FLOAT64),
                                 type_decimal(30, 2), type_of(TYPE_STRING), type_of(TYPE_BINARY)};
    enum { TYPES = sizeof types / sizeof types[0], ROWS = 300 };
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    struct test_random random = {77};
    for (int32_t round = 0; round < 400; round++) {
        struct field fields[3];
        struct sort_key keys[3];
        struct column *columns[3];
        const int32_t n_keys = 1 + test_below(&random, 3);
        for (int32_t k = 0; k < 3; k++) {
            const struct type type = types[(round + k * test_below(&random, TYPES)) % TYPES];
            fields[k] = (struct field){(const char *[]){"a", "b", "c"}[k],
                                       test_below(&random, 3) ? type : type_not_null(type)};
            keys[k] = (struct sort_key){.column = k, .descending = test_below(&random, 2),
                                        .nulls_first = test_below(&random, 2)};
            columns[k] = random_column(&pool, fields[k].type, &random, ROWS);
        }
        struct schema *schema = test_schema(fields, 3);
        struct batch *batch = test_batch(schema, columns, 3);
        struct sort_order order;
        sort_order_init(&order, keys, n_keys, schema);
        struct sort_place places[ROWS], spare[ROWS];
        sort_places_fill(&order, batch, NULL, ROWS, places);
        for (int32_t i = 1; i < ROWS; i++) {
            const int by_values = sort_rows_compare(&order, batch, i - 1, batch, i);
            const int by_numbers = sort_place_compare(&places[i - 1], &places[i]);
            if (by_numbers || order.exact) { assert_int_equal(sign(by_values), by_numbers); }
        }
        sort_places(&order, batch, places, spare, ROWS);
        for (int32_t i = 1; i < ROWS; i++) {
            const int found = sort_rows_compare(&order, batch, places[i - 1].row, batch, places[i].row);
            assert_true(found < 0 || (found == 0 && places[i - 1].row < places[i].row));
        }
        batch_unref(batch);
        schema_unref(schema);
    }
    assert_int_equal(pool.used, 0);
}

static void nothing_in_nothing_out(void **state) {
    (void)state;
    const struct sort_key key = {.column = 0};
    run(3, &(struct sort_options){.keys = &key, .n_keys = 1, .limit = -1, .offset = 10}, 0, 1);
    run(3, &(struct sort_options){.keys = &key, .n_keys = 1, .limit = 0}, 3, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_come_in_the_order_of_the_model),
                                       cmocka_unit_test(a_limit_keeps_only_what_can_matter),
                                       cmocka_unit_test(many_runs_are_merged),
                                       cmocka_unit_test(numbers_order_as_values_do),
                                       cmocka_unit_test(nothing_in_nothing_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
