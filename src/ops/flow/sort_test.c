/* ORDER BY against qsort over the same rows: directions, NULLs, ties, limits, restarts, full outputs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

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

static void run(uint64_t seed, const struct sort_options *options, int32_t batches, int32_t size) {
    struct test_random random = {seed};
    struct schema *schema = test_schema(
        (struct field[]){{"a", type_of(TYPE_INT64)}, {"b", type_of(TYPE_STRING)}, {"seq", type_of(TYPE_INT64)}}, 3);
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_sort, options, schema, schema);
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
static void nothing_in_nothing_out(void **state) {
    (void)state;
    const struct sort_key key = {.column = 0};
    run(3, &(struct sort_options){.keys = &key, .n_keys = 1, .limit = -1, .offset = 10}, 0, 1);
    run(3, &(struct sort_options){.keys = &key, .n_keys = 1, .limit = 0}, 3, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_come_in_the_order_of_the_model),
                                       cmocka_unit_test(a_limit_keeps_only_what_can_matter),
                                       cmocka_unit_test(nothing_in_nothing_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
