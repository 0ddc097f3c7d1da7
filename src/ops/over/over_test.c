/* OVER aggregates against a model that looks at every row for every row: rows out of order, late ones, NULLs, barriers
 * with restore at any moment, output that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/op_harness.h"

enum { KEY, TS, AMOUNT, NAME, ID, INPUT_COLUMNS };
static const char *const names[] = {"", "b", "a name that is longer than twelve bytes", "another long name, later"};

struct row {
    int64_t key, ts, amount, id;
    bool key_null, amount_null;
    int name; /* -1 NULL */
};
struct model {
    struct row rows[20000];
    int32_t n, late;
};

static const struct over_call calls[] = {
    {.aggregate = {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1}},
    {.aggregate = {.kind = AGGREGATE_SUM, .argument = AMOUNT, .filter = -1}},
    {.aggregate = {.kind = AGGREGATE_MIN, .argument = AMOUNT, .filter = -1}},
    {.aggregate = {.kind = AGGREGATE_MAX, .argument = NAME, .filter = -1}},
    {.aggregate = {.kind = AGGREGATE_FIRST_VALUE, .argument = NAME, .filter = -1}},
    {.aggregate = {.kind = AGGREGATE_LAST_VALUE, .argument = AMOUNT, .filter = -1}},
    {.function = OVER_ROW_NUMBER, .aggregate = {.argument = -1, .filter = -1}},
    {.function = OVER_RANK, .aggregate = {.argument = -1, .filter = -1}},
    {.function = OVER_DENSE_RANK, .aggregate = {.argument = -1, .filter = -1}},
    {.function = OVER_LAG, .aggregate = {.argument = ID, .filter = -1}, .offset = 2},
};

static bool is_before(const struct row *a, const struct row *b) {
    return a->ts < b->ts || (a->ts == b->ts && a->id < b->id);
}
static bool same_key(const struct row *a, const struct row *b) {
    return a->key_null == b->key_null && (a->key_null || a->key == b->key);
}

static char *expected_of(const struct model *model, const struct row *row, const struct over_options *options) {
    int64_t rows = 0, sum = 0, amounts = 0, least = 0, number = 1, rank = 1, dense = 1, back = 0, lag = -1;
    int most = -1;
    const struct row *first = NULL, *last = NULL;
    for (int32_t i = 0; i < model->n; i++) {
        const struct row *other = &model->rows[i];
        if (!same_key(row, other)) { continue; }
        const bool before = is_before(other, row), peer = other->ts == row->ts;
        int64_t between = 0; /* rows from the other one to this one; and whether it is the first of its time */
        bool first_of_time = true;
        for (int32_t j = 0; j < model->n; j++) {
            const struct row *third = &model->rows[j];
            if (!same_key(row, third)) { continue; }
            between += before && is_before(other, third) && is_before(third, row);
            first_of_time = first_of_time && !(third->ts == other->ts && third->id < other->id);
        }
        number += before;
        rank += before && !peer;
        dense += before && !peer && first_of_time;
        if (before && between == 1) {
            lag = other->id;
            back++;
        }
        const bool up_to = before || other == row;
        const bool takes = options->frame == OVER_UNBOUNDED        ? up_to || peer
                           : options->frame == OVER_UNBOUNDED_ROWS ? up_to
                           : options->frame == OVER_ROWS ? up_to && (other == row || between < options->preceding)
                                                         : (up_to || peer) && other->ts >= row->ts - options->preceding;
        if (!takes) { continue; }
        rows++;
        if (other->name >= 0) {
            most = most < 0 || strcmp(names[other->name], names[most]) > 0 ? other->name : most;
            first = !first || is_before(other, first) ? other : first;
        }
        if (other->amount_null) { continue; }
        least = amounts == 0 || other->amount < least ? other->amount : least;
        sum += other->amount;
        amounts++;
        last = !last || is_before(last, other) ? other : last;
    }
    char text[512], cells[6][24];
    const bool none = amounts == 0;
    snprintf(cells[0], 24, "%lld", (long long)sum);
    snprintf(cells[1], 24, "%lld", (long long)least);
    snprintf(cells[2], 24, "%lld", last ? (long long)last->amount : 0);
    snprintf(cells[3], 24, "%lld", (long long)lag);
    snprintf(cells[4], 24, "%lld", (long long)row->key);
    snprintf(cells[5], 24, "%lld", (long long)row->amount);
    snprintf(text, sizeof text, "%s|%lld|%s|%s|%lld|%lld|%s|%s|%s|%s|%s|%lld|%lld|%lld",
             row->key_null ? "NULL" : cells[4], (long long)row->ts,
             row->amount_null ? "NULL" : cells[5], row->name < 0 ? "NULL" : names[row->name],
             (long long)row->id, (long long)rows, none ? "NULL" : cells[0], none ? "NULL" : cells[1],
             most < 0 ? "NULL" : names[most], first ? names[first->name] : "NULL", last ? cells[2] : "NULL",
             (long long)number, (long long)rank, (long long)dense);
    if (options->frame != OVER_RANGE) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "|%s", back ? cells[3] : "NULL");
    }
    return strdup(text);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static struct batch *random_rows(struct test_random *random, struct op_harness *harness, struct schema *schema,
                                 int64_t now, int64_t watermark, struct model *model, int64_t *id) {
    enum { MOST = 60 };
    const int32_t n = 1 + test_below(random, MOST - 1);
    int64_t keys[MOST], ts[MOST], amounts[MOST], ids[MOST];
    bool key_nulls[MOST], amount_nulls[MOST];
    const char *texts[MOST];
    for (int32_t i = 0; i < n; i++) {
        struct row row = {.key = test_below(random, 3), .ts = now - 40 + test_below(random, 60),
                          .amount = test_below(random, 20) - 10, .id = ++*id, .key_null = test_below(random, 9) == 0,
                          .amount_null = test_below(random, 3) == 0, .name = test_below(random, 5) - 1};
        if (row.ts > watermark) {
            model->rows[model->n++] = row;
        } else {
            model->late++;
        }
        keys[i] = row.key;
        ts[i] = row.ts;
        amounts[i] = row.amount;
        ids[i] = row.id;
        key_nulls[i] = row.key_null;
        amount_nulls[i] = row.amount_null;
        texts[i] = row.name < 0 ? NULL : names[row.name];
    }
    struct column *columns[] = {
        test_column_i64(&harness->pool, keys, key_nulls, n),       test_column_i64(&harness->pool, ts, NULL, n),
        test_column_i64(&harness->pool, amounts, amount_nulls, n), test_column_text(&harness->pool, texts, n),
        test_column_i64(&harness->pool, ids, NULL, n),
    };
    return test_batch(schema, columns, INPUT_COLUMNS);
}

static void run_seed(enum over_frame frame, int64_t preceding, uint64_t seed, bool spilled) {
    static const int32_t keys[] = {KEY};
    const int32_t n_calls = (int32_t)(sizeof calls / sizeof calls[0]) - (frame == OVER_RANGE);
    const struct over_options options = {.keys = keys, .n_keys = 1, .time_column = TS, .frame = frame,
                                         .preceding = preceding, .calls = calls, .n_calls = n_calls};
    struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    struct field fields[20] = {{"key", type_of(TYPE_INT64)}, {"ts", type_timestamp(3)}, {"amount", type_of(TYPE_INT64)},
                               {"name", type_of(TYPE_STRING)}, {"id", type_not_null(type_of(TYPE_INT64))}};
    struct schema *input = test_schema(fields, INPUT_COLUMNS);
    for (int32_t i = 0; i < n_calls; i++) {
        const bool text = calls[i].function == OVER_AGGREGATE && calls[i].aggregate.argument == NAME;
        fields[INPUT_COLUMNS + i] = (struct field){"result", type_of(text ? TYPE_STRING : TYPE_INT64)};
    }
    struct schema *output = test_schema(fields, INPUT_COLUMNS + n_calls);
    struct op_harness *harness = malloc(sizeof *harness);
    static struct model model;
    model.n = model.late = 0;
    harness_init(harness, &op_over, &options, input, output);
    harness->context.batch_rows = 3 + test_below(&random, 50);
    harness_open(harness);
    struct test_disk disk = {0};
    if (spilled) { test_disk_open(&disk); }
    harness->pool.spill = disk.spill;
    int64_t now = -100, watermark = INT64_MIN, handled = INT64_MIN, id = 0;
    for (int32_t step = 0; step < 14; step++) {
        harness_batch(harness, random_rows(&random, harness, input, now, handled, &model, &id));
        now += test_below(&random, preceding > 1000 ? 900 : 40); /* long ago enough that rows leave */
        const int64_t to = now - test_below(&random, 50);
        if (test_below(&random, 2) && to > watermark) {
            harness->room = test_below(&random, 3) ? -1 : 0;
            const int32_t before = harness->n_events;
            harness_watermark(harness, watermark = to);
            harness->room = -1;
            if (spilled) { assert_int_equal(harness->n_events, before); } /* it waits */
            handled = spilled ? handled : watermark;
        }
        if (spilled && test_below(&random, 4) == 0) { /* until it is said that there are no rows for now */
            harness_idle(harness);
            assert_true(harness->events[harness->n_events - 1].is_idle);
            if (watermark > handled) {
                assert_int_equal(harness->events[harness->n_events - 2].watermark_ms, watermark);
            }
            handled = watermark;
        }
        if (test_below(&random, 3) == 0) { /* or a barrier comes */
            harness_restart(harness, step);
            if (watermark > handled) {
                assert_int_equal(harness->events[harness->n_events - 1].watermark_ms, watermark);
            }
            handled = watermark;
        }
    }
    harness_end(harness);
    char **expected = malloc((size_t)model.n * sizeof *expected);
    for (int32_t i = 0; i < model.n; i++) { expected[i] = expected_of(&model, &model.rows[i], &options); }
    qsort(expected, (size_t)model.n, sizeof *expected, by_text);
    int32_t n;
    char **rows = harness_rows(harness, &n);
    for (int32_t i = 0; i < n && i < model.n; i++) {
        if (strcmp(rows[i], expected[i]) != 0) {
            fail_msg("seed %llu, row %d: got %s, expected %s", (unsigned long long)seed, i, rows[i], expected[i]);
        }
    }
    assert_int_equal(n, model.n);
    assert_int_equal(harness->metrics.rows_late, model.late);
    test_rows_free(rows, n);
    test_rows_free(expected, model.n);
    harness_close(harness);
    test_disk_close(&disk);
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void run(enum over_frame frame, int64_t preceding) {
    for (uint64_t seed = 1; seed <= 12; seed++) { run_seed(frame, preceding, seed, seed > 6); }
}
static void rows_from_the_start_equal_the_model(void **state) {
    (void)state;
    run(OVER_UNBOUNDED_ROWS, 0);
}
static void peers_are_of_a_range_from_the_start(void **state) {
    (void)state;
    run(OVER_UNBOUNDED, 0);
}
static void the_rows_before_equal_the_model(void **state) {
    (void)state;
    run(OVER_ROWS, 0);
    run(OVER_ROWS, 1);
    run(OVER_ROWS, 7);
}
static void the_interval_before_equals_the_model(void **state) {
    (void)state;
    run(OVER_RANGE, 0);
    run(OVER_RANGE, 15);
    run(OVER_RANGE, 1000);
    run(OVER_RANGE, 1500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_from_the_start_equal_the_model),
        cmocka_unit_test(peers_are_of_a_range_from_the_start),
        cmocka_unit_test(the_rows_before_equal_the_model),
        cmocka_unit_test(the_interval_before_equals_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
