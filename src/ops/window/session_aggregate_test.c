/* Session aggregation against a model that keeps a list of sessions per key and puts each row in by itself: rows far
 * out of order, rows that join two sessions, late rows, finer units than milliseconds, restores at other parallelisms,
 * a full output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/fleet.h"

#define SESSIONS_MAX 20000
#define GAP 100
#define KEYS 6

struct model_session {
    int32_t k; /* -1 = NULL */
    int64_t start, last, n, sum;
    int32_t text; /* the greatest; -1 = NULL only */
    uint32_t different; /* texts, as bits */
    bool given;   /* has been given out */
};
struct model {
    struct model_session sessions[SESSIONS_MAX];
    int32_t n;
    int64_t watermark, late;
};
struct row {
    int32_t k;
    int64_t time; /* in units */
    int64_t v;
    int32_t text; /* -1 = NULL */
};
struct config {
    int64_t units;
    bool global;
    int32_t spread; /* how far rows are out of order, ms */
    int32_t delay;  /* of the watermark */
    bool has_late, spilled;
};

static const char *const texts[] = {"", "a", "b", "a text that is longer than twelve bytes", "another long text"};

/* --- the model */
static void model_row(struct model *model, const struct config *config, const struct row *row) {
    const int64_t t = row->time / config->units; /* times are not negative here */
    struct model_session all = {
        .k = config->global ? 0 : row->k, .start = t, .last = t, .n = 1, .sum = row->v, .text = row->text,
        .different = row->text < 0 ? 0 : UINT32_C(1) << row->text};
    bool touches = false;
    for (int32_t i = 0; i < model->n; i++) {
        struct model_session *s = &model->sessions[i];
        if (s->given || s->k != all.k || s->start > t + GAP || s->last + GAP < t) { continue; }
        touches = true;
        all.start = s->start < all.start ? s->start : all.start;
        all.last = s->last > all.last ? s->last : all.last;
        all.n += s->n;
        all.sum += s->sum;
        all.different |= s->different;
        if (s->text >= 0 && (all.text < 0 || strcmp(texts[s->text], texts[all.text]) > 0)) { all.text = s->text; }
        *s = model->sessions[--model->n];
        i--;
    }
    if (!touches && t + GAP - 1 <= model->watermark) {
        model->late++;
        return;
    }
    assert_true(model->n < SESSIONS_MAX);
    model->sessions[model->n++] = all;
}

static void model_fire(struct model *model, int64_t watermark) {
    model->watermark = watermark;
    for (int32_t i = 0; i < model->n; i++) {
        struct model_session *s = &model->sessions[i];
        if (watermark == WATERMARK_END || s->last + GAP - 1 <= watermark) { s->given = true; }
    }
}

static char **model_results(const struct model *model, const struct config *config, int32_t *n) {
    char **rows = calloc((size_t)model->n + 1, sizeof *rows);
    *n = 0;
    for (int32_t i = 0; i < model->n; i++) {
        const struct model_session *s = &model->sessions[i];
        if (!s->given) { continue; }
        char line[256], key[16] = "";
        if (!config->global) { snprintf(key, sizeof key, s->k < 0 ? "NULL|" : "%d|", s->k); }
        snprintf(line, sizeof line, "%s%lld|%lld|%s|%d|%lld|%lld|%lld", key, (long long)s->n, (long long)s->sum,
                 s->text < 0 ? "NULL" : texts[s->text], __builtin_popcount(s->different), (long long)s->start,
                 (long long)s->last + GAP,
                 (long long)s->last + GAP - 1);
        rows[(*n)++] = strdup(line);
    }
    return rows;
}

/* --- the operator */
static struct schema *input_schema(const struct config *config) {
    return test_schema((struct field[]){{"k", type_of(TYPE_INT64)},
                                        {"ts", type_timestamp(config->units == 1 ? 3 : 6)},
                                        {"v", type_not_null(type_of(TYPE_INT64))},
                                        {"s", type_of(TYPE_STRING)}}, 4);
}
static struct schema *output_schema(const struct config *config) {
    const struct field fields[] = {{"k", type_of(TYPE_INT64)},
                                   {"n", type_not_null(type_of(TYPE_INT64))},
                                   {"sum", type_of(TYPE_INT64)},
                                   {"most", type_of(TYPE_STRING)},
                                   {"different", type_not_null(type_of(TYPE_INT64))},
                                   {"window_start", type_not_null(type_timestamp(3))},
                                   {"window_end", type_not_null(type_timestamp(3))},
                                   {"window_time", type_not_null(type_timestamp(3))}};
    return test_schema(fields + config->global, 8 - config->global);
}

static const int32_t keys[] = {0};
static const struct aggregate_call calls[] = {
    {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1, .type = {.kind = TYPE_INT64}},
    {.kind = AGGREGATE_SUM, .argument = 2, .filter = -1, .type = {.kind = TYPE_INT64}},
    {.kind = AGGREGATE_MAX, .argument = 3, .filter = -1, .type = {.kind = TYPE_STRING}},
    {.kind = AGGREGATE_COUNT, .distinct = true, .argument = 3, .filter = -1, .type = {.kind = TYPE_INT64}},
};
static const enum window_property properties[] = {WINDOW_START, WINDOW_END, WINDOW_TIME};

static struct window_aggregate_options options_of(const struct config *config) {
    return (struct window_aggregate_options){
        .window = {.kind = WINDOW_SESSION, .size_ms = GAP, .slide_ms = GAP, .time_column = 1},
        .keys = keys, .n_keys = !config->global, .calls = calls, .n_calls = 4,
        .properties = properties, .n_properties = 3,
    };
}

static struct batch *batch_of(struct memory_pool *pool, struct schema *schema, const struct row *rows, int32_t n) {
    int64_t *values = calloc((size_t)n * 3, sizeof *values);
    const char **strings = calloc((size_t)n, sizeof *strings);
    bool *nulls = calloc((size_t)n, sizeof *nulls);
    for (int32_t i = 0; i < n; i++) {
        values[i] = rows[i].k;
        nulls[i] = rows[i].k < 0;
        values[n + i] = rows[i].time;
        values[2 * n + i] = rows[i].v;
        strings[i] = rows[i].text < 0 ? NULL : texts[rows[i].text];
    }
    struct column *columns[] = {test_column_i64(pool, values, nulls, n), test_column_i64(pool, values + n, NULL, n),
                                test_column_i64(pool, values + 2 * n, NULL, n), test_column_text(pool, strings, n)};
    free(values);
    free(strings);
    free(nulls);
    return test_batch(schema, columns, 4);
}

static void random_rows(struct test_random *random, const struct config *config, int64_t now, struct row *rows,
                        int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        const int64_t t = now + test_below(random, 60) - test_below(random, config->spread);
        rows[i] = (struct row){.k = test_below(random, KEYS) - 1, .time = (t < 0 ? 0 : t) * config->units,
                               .v = test_below(random, 1000) - 500, .text = test_below(random, 6) - 1};
        if (config->units > 1) { rows[i].time += test_below(random, (int32_t)config->units); }
    }
}

static int64_t late_of(const struct fleet *fleet) {
    int64_t late = 0;
    for (int32_t m = 0; m < fleet->n_members; m++) { late += fleet->members[m]->metrics.rows_late; }
    return late;
}

static void expect(struct fleet *fleet, const struct model *model, const struct config *config) {
    int32_t n = 0;
    char **rows = model_results(model, config, &n);
    fleet_apply(fleet);
    fleet_expect(fleet, rows, n);
    for (int32_t i = 0; i < n; i++) { free(rows[i]); }
    free(rows);
}

static void run(struct config config) {
    static const int32_t parallelisms[] = {2, 7, 1, 3};
    const struct window_aggregate_options options = options_of(&config);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15)};
        struct fleet *fleet = calloc(1, sizeof *fleet);
        struct model *model = calloc(1, sizeof *model);
        int64_t now = 0, late = 0, watermark = WATERMARK_NONE;
        *fleet = (struct fleet){.type = &op_session_aggregate, .options = &options, .input = input_schema(&config),
                                .output = output_schema(&config), .keys = keys, .n_keys = !config.global,
                                .n_upsert_keys = -1};
        model->watermark = WATERMARK_NONE;
        struct test_disk disk = {0};
        if (config.spilled) { test_disk_open(&disk); }
        fleet_open(fleet, 1);
        fleet->members[0]->pool.spill = disk.spill;
        for (int32_t step = 0; step < 60; step++) {
            struct row rows[40];
            const int32_t n = 1 + test_below(&random, 40);
            random_rows(&random, &config, now, rows, n);
            for (int32_t i = 0; i < n; i++) { model_row(model, &config, &rows[i]); }
            fleet_batch(fleet, batch_of(&fleet->pool, fleet->input, rows, n));
            now += test_below(&random, 120);
            if (step % 2) {
                watermark = now - config.delay > watermark ? now - config.delay : watermark;
                if (!config.spilled) { model_fire(model, watermark); } /* else it waits for the rows before it */
                for (int32_t m = 0; m < fleet->n_members; m++) { harness_watermark(fleet->members[m], watermark); }
            }
            expect(fleet, model, &config);
            if (config.spilled && test_below(&random, 5) == 0) { /* until it is said that there are no rows for now */
                struct op_harness *only = fleet->members[0];
                model_fire(model, watermark);
                harness_idle(only);
                assert_true(only->events[only->n_events - 1].is_idle);
                expect(fleet, model, &config);
            }
            if (step % 6 == 5) {
                if (config.spilled) { /* or a barrier comes */
                    struct sabot_error err = {0};
                    struct op_harness *only = fleet->members[0];
                    model_fire(model, watermark);
                    assert_int_equal(op_session_aggregate.before_barrier(only->op, 1, &only->out, &err), SABOT_OK);
                    harness_resume(only);
                    expect(fleet, model, &config);
                }
                late += late_of(fleet);
                fleet_rescale(fleet, config.global || config.spilled ? 1 : parallelisms[step / 6 % 4]);
                fleet->members[0]->pool.spill = disk.spill;
            }
        }
        late += late_of(fleet);
        assert_int_equal(late, model->late);
        if (config.has_late) { assert_true(late > 0); }
        model_fire(model, WATERMARK_END);
        for (int32_t m = 0; m < fleet->n_members; m++) { harness_watermark(fleet->members[m], WATERMARK_END); }
        expect(fleet, model, &config);
        for (int32_t m = 0; m < fleet->n_members; m++) { assert_int_equal(fleet->members[m]->metrics.state_rows, 0); }
        schema_unref(fleet->input);
        schema_unref(fleet->output);
        fleet_close(fleet);
        test_disk_close(&disk);
        free(fleet);
        free(model);
    }
}

static void rows_nearly_in_order_equal_the_model(void **state) {
    (void)state;
    run((struct config){.units = 1, .spread = 20, .delay = 30});
}
static void rows_far_out_of_order_equal_the_model(void **state) {
    (void)state;
    run((struct config){.units = 1, .spread = 900, .delay = 1000});
    run((struct config){.units = 1, .spread = 3000, .delay = 2500});
}
static void late_rows_are_judged_behind_the_merge(void **state) {
    (void)state;
    run((struct config){.units = 1, .spread = 400, .delay = 30, .has_late = true});
}
static void rows_and_watermarks_that_wait_for_others_equal_the_model(void **state) {
    (void)state;
    run((struct config){.units = 1, .spread = 20, .delay = 30, .spilled = true});
    run((struct config){.units = 1, .spread = 900, .delay = 1000, .spilled = true});
    run((struct config){.units = 1, .spread = 400, .delay = 30, .has_late = true, .spilled = true});
}
static void microseconds_and_no_keys_equal_the_model(void **state) {
    (void)state;
    run((struct config){.units = 1000, .spread = 600, .delay = 300});
    run((struct config){.units = 1, .spread = 300, .delay = 100, .global = true});
}

static void an_old_row_that_touches_an_open_session_is_taken(void **state) {
    (void)state;
    const struct config config = {.units = 1};
    const struct window_aggregate_options options = options_of(&config);
    struct op_harness *harness = calloc(1, sizeof *harness);
    struct schema *input = input_schema(&config), *output = output_schema(&config);
    harness_init(harness, &op_session_aggregate, &options, input, output);
    harness_open(harness);
    const struct row open = {.k = 1, .time = 1000}, old = {.k = 1, .time = 900}, late = {.k = 2, .time = 900};
    harness_batch(harness, batch_of(&harness->pool, input, &open, 1));
    harness_watermark(harness, 1050); /* [900, 1000) has passed, [1000, 1100) has not */
    harness_batch(harness, batch_of(&harness->pool, input, &late, 1));
    harness_batch(harness, batch_of(&harness->pool, input, &old, 1));
    assert_int_equal(harness->metrics.rows_late, 1);
    harness_watermark(harness, 1098);
    int32_t n = 0;
    char **none = harness_rows(harness, &n);
    assert_int_equal(n, 0);
    test_rows_free(none, n);
    harness_watermark(harness, 1099);
    char **rows = harness_rows(harness, &n);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0], "1|2|0||1|900|1100|1099");
    test_rows_free(rows, n);
    harness_forget(harness);
    harness_close(harness);
    schema_unref(input);
    schema_unref(output);
    free(harness);
}

static void a_full_output_stops_between_two_batches(void **state) {
    (void)state;
    const struct config config = {.units = 1};
    const struct window_aggregate_options options = options_of(&config);
    struct op_harness *harness = calloc(1, sizeof *harness);
    struct schema *input = input_schema(&config), *output = output_schema(&config);
    harness_init(harness, &op_session_aggregate, &options, input, output);
    harness->context.batch_rows = 3;
    harness_open(harness);
    struct row rows[20];
    for (int32_t i = 0; i < 20; i++) { /* two sessions of each key */
        rows[i] = (struct row){.k = i % 10, .time = i < 10 ? 1000 + i : 5000 + i, .text = 1};
    }
    harness_batch(harness, batch_of(&harness->pool, input, rows, 20));
    harness->room = 1;
    harness_watermark(harness, WATERMARK_END);
    for (int32_t turn = 0; harness->op->busy; turn++) {
        assert_true(turn < 20);
        harness->room = 1;
        harness_resume(harness);
    }
    int32_t n = 0;
    char **given = harness_rows(harness, &n);
    assert_int_equal(n, 20);
    test_rows_free(given, n);
    assert_int_equal(harness->events[harness->n_events - 1].watermark_ms, WATERMARK_END);
    harness_forget(harness);
    harness_close(harness);
    schema_unref(input);
    schema_unref(output);
    free(harness);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_nearly_in_order_equal_the_model),
        cmocka_unit_test(rows_far_out_of_order_equal_the_model),
        cmocka_unit_test(late_rows_are_judged_behind_the_merge),
        cmocka_unit_test(rows_and_watermarks_that_wait_for_others_equal_the_model),
        cmocka_unit_test(microseconds_and_no_keys_equal_the_model),
        cmocka_unit_test(an_old_row_that_touches_an_open_session_is_taken),
        cmocka_unit_test(a_full_output_stops_between_two_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
