/* GROUP BY with a changelog against a model that keeps all rows and computes every group from scratch: random inserts,
 * updates and deletes, NULL keys, DISTINCT and FILTER, restores at other parallelisms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/fleet.h"

#define ROWS_MAX 4000
#define KEYS 25
#define BATCH_MAX 120

struct model_row {
    int32_t key; /* -1 = NULL */
    int64_t v;
    bool v_null, f, f_null;
    int32_t t; /* text number; -1 = NULL */
};
struct model {
    struct model_row rows[ROWS_MAX];
    int32_t n;
};

static const char *text_of(int32_t t) {
    static char buffer[8][48];
    static int at;
    if (t < 0) { return NULL; }
    at = (at + 1) % 8;
    buffer[at][0] = 0; /* 0 is the empty string */
    if (t) { snprintf(buffer[at], sizeof buffer[at], t % 2 ? "t%d" : "a text that is long, number %d", t); }
    return buffer[at];
}

/* --- the model's results */
static void number(char *target, bool null, int64_t value) {
    snprintf(target, 32, null ? "NULL" : "%lld", (long long)value);
}
static bool takes_distinct(const struct model *model, int32_t row, int32_t key, bool text) {
    const struct model_row *a = &model->rows[row];
    for (int32_t i = 0; i < row; i++) {
        const struct model_row *b = &model->rows[i];
        if (key != -2 && b->key != key) { continue; }
        if (text ? b->f && !b->f_null && b->t == a->t : !b->v_null && b->v == a->v) { return false; }
    }
    return true;
}
/* key -2: all rows */
static bool model_group(const struct model *model, int32_t key, char *target, size_t size) {
    int64_t rows = 0, count = 0, sum = 0, min = 0, max = 0, distinct = 0, distinct_sum = 0, texts = 0, filtered = 0;
    bool filtered_null = true;
    const char *min_text = NULL, *max_text = NULL;
    char min_copy[64], max_copy[64];
    for (int32_t i = 0; i < model->n; i++) {
        const struct model_row *row = &model->rows[i];
        if (key != -2 && row->key != key) { continue; }
        rows++;
        if (!row->v_null) {
            min = count == 0 || row->v < min ? row->v : min;
            max = count == 0 || row->v > max ? row->v : max;
            count++;
            sum += row->v;
            if (takes_distinct(model, i, key, false)) {
                distinct++;
                distinct_sum += row->v;
            }
            if (row->f && !row->f_null) {
                filtered += row->v;
                filtered_null = false;
            }
        }
        const char *text = text_of(row->t);
        if (text && row->f && !row->f_null && takes_distinct(model, i, key, true)) { texts++; }
        if (text && (!min_text || strcmp(text, min_text) < 0)) { min_text = strcpy(min_copy, text); }
        if (text && (!max_text || strcmp(text, max_text) > 0)) { max_text = strcpy(max_copy, text); }
    }
    char cells[7][32], key_text[32];
    number(key_text, key == -1, key);
    number(cells[0], count == 0, sum);
    number(cells[1], count == 0, count ? sum / count : 0);
    number(cells[2], count == 0, min);
    number(cells[3], count == 0, max);
    number(cells[4], count == 0, distinct_sum);
    number(cells[5], filtered_null, filtered);
    snprintf(target, size, "%s%s%lld|%lld|%s|%s|%s|%s|%s|%s|%lld|%s|%lld|%s", key == -2 ? "" : key_text,
             key == -2 ? "" : "|",
             (long long)rows, (long long)count, cells[0], cells[1], cells[2], cells[3], min_text ? min_text : "NULL",
             max_text ? max_text : "NULL", (long long)distinct, cells[4], (long long)texts, cells[5]);
    return rows > 0;
}
static void expect_model(struct fleet *fleet, const struct model *model, bool global) {
    char *rows[KEYS + 1];
    int32_t n = 0;
    for (int32_t key = global ? -2 : -1; key < (global ? -1 : KEYS); key++) {
        char text[1024];
        if (model_group(model, key, text, sizeof text)) { rows[n++] = strdup(text); }
    }
    fleet_expect(fleet, rows, n);
    for (int32_t i = 0; i < n; i++) { free(rows[i]); }
}

/* --- random changes */
static struct model_row random_row(struct test_random *random) {
    return (struct model_row){
        .key = test_below(random, KEYS + 1) - 1,
        .v = test_below(random, 30) - 15,
        .v_null = test_below(random, 5) == 0,
        .f = test_below(random, 2),
        .f_null = test_below(random, 6) == 0,
        .t = test_below(random, 9) - 1,
    };
}
static struct batch *batch_of(struct fleet *fleet, const struct model_row *rows, const uint8_t *kinds, int32_t n) {
    int64_t keys[BATCH_MAX + 2] = {0}, values[BATCH_MAX + 2] = {0};
    bool key_nulls[BATCH_MAX + 2] = {0}, value_nulls[BATCH_MAX + 2] = {0};
    bool flags[BATCH_MAX + 2] = {0}, flag_nulls[BATCH_MAX + 2] = {0};
    const char *texts[BATCH_MAX + 2] = {0};
    for (int32_t i = 0; i < n; i++) {
        keys[i] = rows[i].key;
        key_nulls[i] = rows[i].key < 0;
        values[i] = rows[i].v;
        value_nulls[i] = rows[i].v_null;
        flags[i] = rows[i].f;
        flag_nulls[i] = rows[i].f_null;
        texts[i] = text_of(rows[i].t) ? strdup(text_of(rows[i].t)) : NULL;
    }
    struct column *columns[] = {
        test_column_i64(&fleet->pool, keys, key_nulls, n), test_column_i64(&fleet->pool, values, value_nulls, n),
        test_column_text(&fleet->pool, texts, n), test_column_bool(&fleet->pool, flags, flag_nulls, n)};
    for (int32_t i = 0; i < n; i++) { free((char *)(uintptr_t)texts[i]); }
    return test_changes(&fleet->pool, fleet->input, columns, 4, kinds);
}

static void random_step(struct fleet *fleet, struct model *model, struct test_random *random, bool retracts,
                        int32_t grow) {
    struct model_row rows[BATCH_MAX + 2];
    uint8_t kinds[BATCH_MAX + 2];
    int32_t n = 0;
    const int32_t wanted = 1 + test_below(random, BATCH_MAX);
    while (n < wanted) {
        if (!retracts || model->n == 0 || test_below(random, 100) < grow) {
            assert_true(model->n < ROWS_MAX);
            kinds[n] = ROW_INSERT;
            rows[n++] = model->rows[model->n++] = random_row(random);
            continue;
        }
        const int32_t at = test_below(random, model->n);
        const bool update = test_below(random, 3) == 0;
        kinds[n] = update ? ROW_UPDATE_BEFORE : ROW_DELETE;
        rows[n++] = model->rows[at];
        if (update) {
            const int32_t key = model->rows[at].key;
            model->rows[at] = random_row(random);
            model->rows[at].key = key;
            kinds[n] = ROW_UPDATE_AFTER;
            rows[n++] = model->rows[at];
        } else {
            model->rows[at] = model->rows[--model->n];
        }
    }
    fleet_batch(fleet, batch_of(fleet, rows, retracts ? kinds : NULL, n));
}

static const struct aggregate_call calls[] = {
    {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1},
    {.kind = AGGREGATE_COUNT, .argument = 1, .filter = -1},
    {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1},
    {.kind = AGGREGATE_AVG, .argument = 1, .filter = -1},
    {.kind = AGGREGATE_MIN, .argument = 1, .filter = -1},
    {.kind = AGGREGATE_MAX, .argument = 1, .filter = -1},
    {.kind = AGGREGATE_MIN, .argument = 2, .filter = -1},
    {.kind = AGGREGATE_MAX, .argument = 2, .filter = -1},
    {.kind = AGGREGATE_COUNT, .argument = 1, .filter = -1, .distinct = true},
    {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1, .distinct = true},
    {.kind = AGGREGATE_COUNT, .argument = 2, .filter = 3, .distinct = true},
    {.kind = AGGREGATE_SUM, .argument = 1, .filter = 3},
};
static struct schema *schema_of_input(void) {
    return test_schema((struct field[]){{"k", type_of(TYPE_INT64)}, {"v", type_of(TYPE_INT64)}, {"t",
                                                                                                 type_of(TYPE_STRING)},
                                        {"f", type_of(TYPE_BOOL)}}, 4);
}
static struct schema *schema_of_output(int32_t n_keys) {
    struct field fields[13];
    for (int32_t i = 0; i < 13; i++) { fields[i] = (struct field){"r", type_of(TYPE_INT64)}; }
    fields[n_keys + 6].type = fields[n_keys + 7].type = type_of(TYPE_STRING);
    return test_schema(fields, 12 + n_keys);
}

static void run(bool retracts, bool pairs, bool global) {
    static const int32_t parallelisms[] = {2, 7, 1, 3};
    static const int32_t key = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15)};
        const struct group_update_options options = {.keys = &key, .n_keys = !global, .calls = calls, .n_calls = 12,
                                                     .input_retracts = retracts, .emit_update_before = pairs};
        struct fleet *fleet = calloc(1, sizeof *fleet);
        struct model *model = calloc(1, sizeof *model);
        *fleet = (struct fleet){.type = &op_group_update, .options = &options, .input = schema_of_input(),
                                .output = schema_of_output(!global), .keys = &key, .n_keys = !global,
                                .n_upsert_keys = pairs ? -1 : !global};
        fleet_open(fleet, 1);
        for (int32_t step = 0; step < 40; step++) {
            const int32_t grow = step % 20 < 8 ? 70 : 30; /* up, then down to nothing now and then */
            random_step(fleet, model, &random, retracts, grow);
            expect_model(fleet, model, global);
            if (step % 7 == 6) { fleet_rescale(fleet, global ? 1 : parallelisms[step / 7 % 4]); }
        }
        schema_unref(fleet->input);
        schema_unref(fleet->output);
        fleet_close(fleet);
        free(fleet);
        free(model);
    }
}

static void inserts_alone_give_pairs_that_equal_the_model(void **state) {
    (void)state;
    run(false, true, false);
}
static void inserts_alone_give_upserts_that_equal_the_model(void **state) {
    (void)state;
    run(false, false, false);
}
static void retractions_give_pairs_that_equal_the_model(void **state) {
    (void)state;
    run(true, true, false);
}
static void retractions_give_upserts_that_equal_the_model(void **state) {
    (void)state;
    run(true, false, false);
}
static void an_aggregate_of_all_rows_equals_the_model(void **state) {
    (void)state;
    run(false, true, true);
    run(true, true, true);
    run(true, false, true);
}

/* --- what is given out */
static void open_count(struct op_harness *harness, const struct group_update_options *options, bool bounded) {
    struct schema *input = schema_of_input();
    struct schema *output = options->n_keys
        ? test_schema((struct field[]){{"k", type_of(TYPE_INT64)}, {"n", type_of(TYPE_INT64)}}, 2)
        : test_schema((struct field[]){{"n", type_of(TYPE_INT64)}}, 1);
    harness_init(harness, &op_group_update, options, input, output);
    harness->context.bounded = bounded;
    harness_open(harness);
    schema_unref(input);
    schema_unref(output);
}

static void no_rows_give_a_row_at_a_bounded_end_only(void **state) {
    (void)state;
    const struct aggregate_call count = {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1};
    for (int32_t bounded = 0; bounded < 2; bounded++) {
        struct op_harness *harness = malloc(sizeof *harness);
        const struct group_update_options options = {.calls = &count, .n_calls = 1};
        open_count(harness, &options, bounded);
        harness_end(harness);
        int32_t n;
        char **rows = harness_rows(harness, &n);
        assert_int_equal(n, bounded);
        if (bounded) { assert_string_equal(rows[0], "0"); }
        test_rows_free(rows, n);
        harness_close(harness);
        free(harness);
    }
}

static void a_group_is_given_out_once_per_batch_and_only_if_it_changed(void **state) {
    (void)state;
    const int32_t key = 0;
    const struct aggregate_call max = {.kind = AGGREGATE_MAX, .argument = 1, .filter = -1};
    const struct group_update_options options = {.keys = &key, .n_keys = 1, .calls = &max, .n_calls = 1};
    struct fleet *fleet = calloc(1, sizeof *fleet);
    *fleet = (struct fleet){.type = &op_group_update, .options = &options, .input = schema_of_input(), .keys = &key,
                            .output = test_schema((struct field[]){{"k", type_of(TYPE_INT64)},
                                                   {"m", type_of(TYPE_INT64)}}, 2),
                            .n_keys = 1, .n_upsert_keys = 1};
    fleet_open(fleet, 1);
    const struct model_row first[] = {{.key = 1, .v = 5}, {.key = 1, .v = 9}, {.key = 2, .v = 1}, {.key = 1, .v = 7}};
    fleet_batch(fleet, batch_of(fleet, first, NULL, 4));
    assert_int_equal(fleet->n_changes, 2);
    const struct model_row second[] = {{.key = 1, .v = 8}, {.key = 2, .v = 3}, {.key = 2, .v = 4}};
    fleet_batch(fleet, batch_of(fleet, second, NULL, 3));
    assert_int_equal(fleet->n_changes, 1);
    char *rows[] = {strdup("1|9"), strdup("2|4")};
    fleet_expect(fleet, rows, 2);
    free(rows[0]);
    free(rows[1]);
    schema_unref(fleet->input);
    schema_unref(fleet->output);
    fleet_close(fleet);
    free(fleet);
}

static void groups_that_are_gone_leave_the_state(void **state) {
    (void)state;
    const int32_t key = 0;
    const struct group_update_options options = {.keys = &key, .n_keys = 1, .calls = calls, .n_calls = 12,
                                                 .input_retracts = true, .emit_update_before = true};
    struct fleet *fleet = calloc(1, sizeof *fleet);
    *fleet = (struct fleet){.type = &op_group_update, .options = &options, .input = schema_of_input(), .keys = &key,
                            .output = schema_of_output(1), .n_keys = 1, .n_upsert_keys = -1};
    fleet_open(fleet, 1);
    struct test_random random = {77};
    struct model_row rows[BATCH_MAX];
    uint8_t kinds[BATCH_MAX];
    for (int32_t i = 0; i < BATCH_MAX; i++) { rows[i] = random_row(&random); }
    fleet_batch(fleet, batch_of(fleet, rows, NULL, BATCH_MAX));
    memset(kinds, ROW_DELETE, sizeof kinds);
    fleet_batch(fleet, batch_of(fleet, rows, kinds, BATCH_MAX));
    assert_int_equal(fleet->n_table, 0);
    assert_int_equal(fleet->members[0]->metrics.state_rows, 0);
    schema_unref(fleet->input);
    schema_unref(fleet->output);
    fleet_close(fleet);
    free(fleet);
}

/* 1e16 + 1 is 1e16: taken back, the two would leave -1. */
static void a_sum_of_doubles_is_zero_again_when_all_values_are_gone(void **state) {
    (void)state;
    const int32_t key = 0;
    const struct aggregate_call sum = {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1,
                                       .type = type_of(TYPE_FLOAT64)};
    const struct group_update_options options = {.keys = &key, .n_keys = 1, .calls = &sum, .n_calls = 1,
                                                 .input_retracts = true, .emit_update_before = true};
    struct fleet *fleet = calloc(1, sizeof *fleet);
    *fleet = (struct fleet){.type = &op_group_update, .options = &options, .keys = &key, .n_keys = 1,
                            .n_upsert_keys = -1,
                            .input = test_schema((struct field[]){{"k", type_of(TYPE_INT64)},
                                                                  {"v", type_of(TYPE_FLOAT64)}}, 2),
                            .output = test_schema((struct field[]){{"k", type_of(TYPE_INT64)},
                                                                   {"s", type_of(TYPE_FLOAT64)}}, 2)};
    fleet_open(fleet, 1);
    const struct {
        double v[3];
        bool null[3];
        uint8_t kind;
        int32_t n;
        const char *expected;
    } steps[] = {{{0, 1e16, 1}, {true, false, false}, ROW_INSERT, 3, "1|1e+16"},
                 {{1e16, 1}, {false, false}, ROW_DELETE, 2, "1|NULL"},
                 {{5}, {false}, ROW_INSERT, 1, "1|5"}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const int64_t keys[] = {1, 1, 1};
        const uint8_t kinds[] = {steps[i].kind, steps[i].kind, steps[i].kind};
        struct column *columns[] = {test_column_i64(&fleet->pool, keys, NULL, steps[i].n),
                                    test_column_f64(&fleet->pool, steps[i].v, steps[i].null, steps[i].n)};
        fleet_batch(fleet, test_changes(&fleet->pool, fleet->input, columns, 2, kinds));
        char *row = strdup(steps[i].expected);
        fleet_expect(fleet, &row, 1);
        free(row);
    }
    schema_unref(fleet->input);
    schema_unref(fleet->output);
    fleet_close(fleet);
    free(fleet);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserts_alone_give_pairs_that_equal_the_model),
        cmocka_unit_test(inserts_alone_give_upserts_that_equal_the_model),
        cmocka_unit_test(retractions_give_pairs_that_equal_the_model),
        cmocka_unit_test(retractions_give_upserts_that_equal_the_model),
        cmocka_unit_test(an_aggregate_of_all_rows_equals_the_model),
        cmocka_unit_test(no_rows_give_a_row_at_a_bounded_end_only),
        cmocka_unit_test(a_group_is_given_out_once_per_batch_and_only_if_it_changed),
        cmocka_unit_test(groups_that_are_gone_leave_the_state),
        cmocka_unit_test(a_sum_of_doubles_is_zero_again_when_all_values_are_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
