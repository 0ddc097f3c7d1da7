/* Window aggregation against a naive model: every row into a list per window and key, folded when the window is due.
 * Random kinds of windows, random rows out of order, random watermarks, restarts from snapshots, full outputs; one
 * phase and two. A failing run names its seed; give it as the argument to run it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/op_harness.h"
#include "time/lateness.h"

/* input columns */
enum { KEY, NAME, TS, AMOUNT, SMALL, REAL, FLAG, INPUT_COLUMNS };

struct model_row {
    int64_t key, ts_ms, amount;
    bool key_null, amount_null, flag, flag_null;
    int name; /* -1 NULL */
    int32_t small;
    double real;
    int64_t watermark; /* when it came */
};
struct scenario {
    struct window_spec window;
    int64_t units;     /* of the time column per ms */
    bool two_phase, many_keys, with_keys, distinct;
    struct window_emit emit; /* updates: op_window_update, whose changelog is folded */
};

static uint64_t seed_given;
static const char *const names[] = {"", "a", "b", "a name that is longer than twelve bytes",
                                    "another long name, later"};

/* --- the model: windows by their definition, one by one */
static bool window_holds(const struct window_spec *w, int64_t start, int64_t end, int64_t ts) {
    (void)w;
    return ts >= start && ts < end;
}
struct model_window {
    int64_t start, end;
};
static int32_t windows_of(const struct window_spec *w, int64_t ts, struct model_window *out) {
    int32_t n = 0;
    /* all starts near ts, by counting; starts are offset + k * period for every whole k */
    const int64_t period = w->kind == WINDOW_HOP ? w->slide_ms : w->size_ms;
    const int64_t low = (ts - w->size_ms - w->offset_ms) / period - 3, high = (ts - w->offset_ms) / period + 3;
    for (int64_t k = low; k <= high; k++) {
        const int64_t start = w->offset_ms + k * period;
        if (w->kind == WINDOW_CUMULATE) {
            for (int64_t end = start + w->slide_ms; end <= start + w->size_ms; end += w->slide_ms) {
                if (window_holds(w, start, end, ts)) { out[n++] = (struct model_window){start, end}; }
            }
        } else if (window_holds(w, start, start + w->size_ms, ts)) {
            out[n++] = (struct model_window){start, start + w->size_ms};
        }
    }
    return n;
}

struct model_group {
    int64_t start, end, key;
    bool key_null;
    int name;
    int64_t rows, amounts, sum, flagged_sum, flagged, small_sum, distinct;
    int64_t min, seen[64];
    double max_real;
    int min_name;
};

static char **model_results(const struct scenario *scenario, const struct model_row *rows, int32_t n_rows, int32_t *n,
                            int64_t *late) {
    static struct model_group groups[200000];
    int32_t n_groups = 0;
    *late = 0;
    for (int32_t r = 0; r < n_rows; r++) {
        const struct model_row *row = &rows[r];
        struct model_window windows[64];
        const int32_t n_windows = windows_of(&scenario->window, row->ts_ms, windows);
        bool open = false, any = n_windows > 0;
        for (int32_t w = 0; w < n_windows; w++) {
            if (row_is_late(windows[w].end, scenario->emit.lateness_ms, row->watermark)) { continue; }
            open = true;
            struct model_group *group = NULL;
            for (int32_t g = n_groups - 1; g >= 0 && !group; g--) {
                const bool same = groups[g].end == windows[w].end && groups[g].start == windows[w].start &&
                                  (!scenario->with_keys || (groups[g].key_null == row->key_null &&
                                                            (row->key_null || groups[g].key == row->key) &&
                                                            groups[g].name == row->name));
                if (same) { group = &groups[g]; }
            }
            if (!group) {
                assert_true(n_groups < 200000);
                group = &groups[n_groups++];
                memset(group, 0, sizeof *group);
                group->start = windows[w].start;
                group->end = windows[w].end;
                group->key = row->key;
                group->key_null = row->key_null;
                group->name = row->name;
                group->min_name = -1;
                group->max_real = row->real;
            }
            group->rows++;
            group->small_sum += row->small;
            group->max_real = row->real > group->max_real ? row->real : group->max_real;
            if (row->name >= 0 && (group->min_name < 0 || strcmp(names[row->name], names[group->min_name]) < 0)) {
                group->min_name = row->name;
            }
            if (row->amount_null) { continue; }
            group->min = group->amounts == 0 || row->amount < group->min ? row->amount : group->min;
            group->amounts++;
            group->sum += row->amount;
            if (row->flag && !row->flag_null) {
                group->flagged++;
                group->flagged_sum += row->amount;
            }
            bool known = false;
            for (int64_t i = 0; i < group->distinct && !known; i++) { known = group->seen[i] == row->amount; }
            if (!known) {
                assert_true(group->distinct < 64);
                group->seen[group->distinct++] = row->amount;
            }
        }
        *late += any && !open;
    }
    char **texts = malloc(((size_t)n_groups + 1) * sizeof *texts);
    for (int32_t g = 0; g < n_groups; g++) {
        const struct model_group *group = &groups[g];
        char text[1024], cell[64];
        size_t at = 0;
        text[0] = '\0';
#define ADD(...) at += (size_t)snprintf(text + at, sizeof text - at, __VA_ARGS__)
#define NULLABLE(is_null, ...) (snprintf(cell, sizeof cell, __VA_ARGS__), (is_null) ? "NULL" : cell)
        if (scenario->with_keys) {
            ADD("%s|", NULLABLE(group->key_null, "%lld", (long long)group->key));
            ADD("%s|", group->name < 0 ? "NULL" : names[group->name]);
        }
        ADD("%lld|%lld|", (long long)group->rows, (long long)group->amounts);
        ADD("%s|", NULLABLE(group->amounts == 0, "%lld", (long long)group->sum));
        ADD("%s|",
            NULLABLE(group->amounts == 0, "%lld", (long long)(group->amounts ? group->sum / group->amounts : 0)));
        ADD("%s|", NULLABLE(group->amounts == 0, "%lld", (long long)group->min));
        ADD("%.12g|", group->max_real);
        ADD("%s|", group->min_name < 0 ? "NULL" : names[group->min_name]);
        ADD("%s|", NULLABLE(group->flagged == 0, "%lld", (long long)group->flagged_sum));
        ADD("%lld|", (long long)group->small_sum);
        if (scenario->distinct) { ADD("%lld|", (long long)group->distinct); }
        ADD("%lld|%lld|%lld", (long long)group->start, (long long)group->end * 1000, (long long)group->end - 1);
        texts[g] = strdup(text);
    }
    *n = n_groups;
    return texts;
}

/* --- the operator */
static const int32_t keys[] = {KEY, NAME};
static struct aggregate_call calls[] = {
    {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1},
    {.kind = AGGREGATE_COUNT, .argument = AMOUNT, .filter = -1},
    {.kind = AGGREGATE_SUM, .argument = AMOUNT, .filter = -1},
    {.kind = AGGREGATE_AVG, .argument = AMOUNT, .filter = -1},
    {.kind = AGGREGATE_MIN, .argument = AMOUNT, .filter = -1},
    {.kind = AGGREGATE_MAX, .argument = REAL, .filter = -1},
    {.kind = AGGREGATE_MIN, .argument = NAME, .filter = -1},
    {.kind = AGGREGATE_SUM, .argument = AMOUNT, .filter = FLAG},
    {.kind = AGGREGATE_SUM, .argument = SMALL, .filter = -1},
    {.kind = AGGREGATE_COUNT, .distinct = true, .argument = AMOUNT, .filter = -1},
};
static const enum window_property properties[] = {WINDOW_START, WINDOW_END, WINDOW_TIME};

static struct schema *input_schema(int64_t units) {
    return test_schema(
        (struct field[]){
            {"key", type_of(TYPE_INT64)},
            {"name", type_of(TYPE_STRING)},
            {"ts", type_timestamp(units == 1 ? 3 : units == 1000 ? 6 : 9)},
            {"amount", type_of(TYPE_INT64)},
            {"small", type_not_null(type_of(TYPE_INT32))},
            {"real", type_not_null(type_of(TYPE_FLOAT64))},
            {"flag", type_of(TYPE_BOOL)},
        },
        INPUT_COLUMNS);
}
static struct schema *output_schema(const struct scenario *scenario) {
    struct field fields[20];
    int32_t n = 0;
    if (scenario->with_keys) {
        fields[n++] = (struct field){"key", type_of(TYPE_INT64)};
        fields[n++] = (struct field){"name", type_of(TYPE_STRING)};
    }
    fields[n++] = (struct field){"rows", type_of(TYPE_INT64)};
    fields[n++] = (struct field){"amounts", type_of(TYPE_INT64)};
    fields[n++] = (struct field){"sum", type_of(TYPE_INT64)};
    fields[n++] = (struct field){"avg", type_of(TYPE_INT64)};
    fields[n++] = (struct field){"min", type_of(TYPE_INT64)};
    fields[n++] = (struct field){"max", type_of(TYPE_FLOAT64)};
    fields[n++] = (struct field){"min_name", type_of(TYPE_STRING)};
    fields[n++] = (struct field){"flagged", type_of(TYPE_INT64)};
    fields[n++] = (struct field){"small", type_of(TYPE_INT32)};
    if (scenario->distinct) { fields[n++] = (struct field){"distinct", type_of(TYPE_INT64)}; }
    fields[n++] = (struct field){"window_start", type_timestamp(3)};
    fields[n++] = (struct field){"window_end", type_timestamp(6)};
    fields[n++] = (struct field){"window_time", type_timestamp(3)};
    return test_schema(fields, n);
}

#define ROWS_MAX 512
static struct batch *random_rows(struct test_random *random, const struct scenario *scenario, struct memory_pool *pool,
                                 struct schema *schema, int64_t around, int64_t spread, int64_t watermark,
                                 struct model_row *model, int32_t *n_model) {
    const int32_t n = 1 + test_below(random, ROWS_MAX - 1);
    int64_t key[ROWS_MAX], ts[ROWS_MAX], amount[ROWS_MAX];
    int32_t small[ROWS_MAX], selection[ROWS_MAX], selected = 0;
    double real[ROWS_MAX];
    bool key_null[ROWS_MAX], amount_null[ROWS_MAX], flag[ROWS_MAX], flag_null[ROWS_MAX];
    const char *name[ROWS_MAX];
    const bool all = test_below(random, 2);
    for (int32_t i = 0; i < n; i++) {
        struct model_row row = {
            .key = test_below(random, scenario->many_keys ? 100 : 4) * INT64_C(1000000007),
            .key_null = test_below(random, 9) == 0,
            .name = test_below(random, 6) - 1,
            .ts_ms = around + (int64_t)(test_random(random) % (uint64_t)(2 * spread)) - spread,
            .amount = test_below(random, 21) - 10,
            .amount_null = test_below(random, 3) == 0,
            .small = test_below(random, 1000),
            .real = test_below(random, 1000) / 8.0 - 60,
            .flag = test_below(random, 2),
            .flag_null = test_below(random, 5) == 0,
            .watermark = watermark,
        };
        key[i] = row.key;
        key_null[i] = row.key_null;
        name[i] = row.name < 0 ? NULL : names[row.name];
        ts[i] = row.ts_ms * scenario->units + (scenario->units > 1 ? test_below(random, (int32_t)scenario->units) : 0);
        amount[i] = row.amount;
        amount_null[i] = row.amount_null;
        small[i] = row.small;
        real[i] = row.real;
        flag[i] = row.flag;
        flag_null[i] = row.flag_null;
        if (all || test_below(random, 3)) {
            selection[selected++] = i;
            model[(*n_model)++] = row;
        }
    }
    struct column *columns[] = {
        test_column_i64(pool, key, key_null, n),       test_column_text(pool, name, n),
        test_column_i64(pool, ts, NULL, n),            test_column_i64(pool, amount, amount_null, n),
        test_column_i32(pool, small, NULL, n),         test_column_f64(pool, real, NULL, n),
        test_column_bool(pool, flag, flag_null, n),
    };
    struct batch *batch = test_batch(schema, columns, INPUT_COLUMNS);
    return all ? batch : test_select(pool, batch, selection, selected);
}

/* The local phase hands its output to the global one. */
struct pipe {
    struct op_out out;
    struct op_harness *target;
};
static sabot_status pipe_emit(struct op_out *out, struct batch *batch, struct sabot_error *err) {
    (void)err;
    harness_batch(((struct pipe *)out)->target, batch);
    return SABOT_OK;
}
static sabot_status pipe_watermark(struct op_out *out, int64_t watermark_ms, struct sabot_error *err) {
    (void)err;
    harness_watermark(((struct pipe *)out)->target, watermark_ms);
    return SABOT_OK;
}
static sabot_status pipe_end(struct op_out *out, struct sabot_error *err) {
    struct op_harness *target = ((struct pipe *)out)->target;
    (void)err;
    struct sabot_error own = {0};
    assert_int_equal(target->spec.type->on_end(target->op, &target->out, &own), SABOT_OK);
    return SABOT_OK;
}

/* A changelog becomes the rows that are left of it, as one batch less what was taken back: every -U takes back a row
 * that is there, and every +U replaces one. Without -U (upserts) rows are told apart by keys and window. */
struct folded {
    char *row, *key;
    struct batch *batch;
    int32_t at;
};
static char *key_text(const struct batch *batch, int32_t row, const struct scenario *scenario) {
    char text[1024], key[1024] = "";
    test_row_text(batch, row, text, sizeof text);
    const char *at = text;
    size_t size = 0;
    for (int i = 0; i < 2 && scenario->with_keys; i++) { at = strchr(at, '|') + 1; }
    size = (size_t)(at - text);
    memcpy(key, text, size);
    const char *end = strrchr(text, '|');
    snprintf(key + size, sizeof key - size, "%s", end);
    return strdup(key);
}
static void fold_changes(struct op_harness *harness, const struct scenario *scenario, uint64_t seed) {
    static struct folded rows[100000];
    int32_t n = 0;
    for (int32_t e = 0; e < harness->n_events; e++) {
        struct batch *batch = harness->events[e].batch;
        for (int32_t i = 0; batch && i < batch->selected; i++) {
            const int32_t row = batch_row(batch, i);
            const int kind = batch->row_kinds ? batch->row_kinds[row] : ROW_INSERT;
            char text[1024], *key = key_text(batch, row, scenario);
            test_row_text(batch, row, text, sizeof text);
            int32_t at = 0;
            while (at < n && strcmp(rows[at].key, key) != 0) { at++; }
            if (kind == ROW_INSERT ? at < n : at == n) {
                fail_msg("seed %llu: row %s of kind %d", (unsigned long long)seed, text, kind);
            }
            if (kind == ROW_UPDATE_BEFORE) {
                assert_true(scenario->emit.before);
                assert_string_equal(rows[at].row, text);
                rows[at].batch = NULL;
                free(key);
                continue;
            }
            if (kind == ROW_UPDATE_AFTER) {
                assert_true(scenario->emit.before == !rows[at].batch);
                assert_string_not_equal(rows[at].row, text);
                free(rows[at].row);
                free(rows[at].key);
            } else {
                n++;
                assert_true(n <= 100000);
            }
            rows[at] = (struct folded){.row = strdup(text), .key = key, .batch = batch, .at = row};
        }
    }
    /* What is left of each batch is selected. */
    for (int32_t e = 0; e < harness->n_events; e++) {
        struct batch *batch = harness->events[e].batch;
        if (!batch) { continue; }
        int32_t *left = calloc((size_t)batch->rows + 1, sizeof *left), m = 0;
        for (int32_t row = 0; row < batch->rows; row++) {
            for (int32_t f = 0; f < n; f++) {
                if (rows[f].batch == batch && rows[f].at == row) { left[m++] = row; }
            }
        }
        harness->events[e].batch = test_select(&harness->pool, batch, left, m);
        for (int32_t f = 0; f < n; f++) {
            if (rows[f].batch == batch) { rows[f].batch = NULL; }
        }
        free(left);
    }
    for (int32_t f = 0; f < n; f++) {
        free(rows[f].row);
        free(rows[f].key);
    }
}

static void run_seed(struct scenario scenario, uint64_t seed) {
    struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    struct schema *input = input_schema(scenario.units), *output = output_schema(&scenario), *partial = NULL;
    const int32_t n_calls = (int32_t)(sizeof calls / sizeof calls[0]) - !scenario.distinct;
    struct window_aggregate_options options = {
        .window = scenario.window,
        .keys = keys,
        .n_keys = scenario.with_keys ? 2 : 0,
        .calls = calls,
        .n_calls = n_calls,
        .properties = properties,
        .n_properties = 3,
    };
    options.window.time_column = TS;
    options.emit = scenario.emit;
    const struct op_type *const type = scenario.emit.updates ? &op_window_update : &op_window_aggregate;
    struct window_aggregate_options global = options;
    struct op_harness *first = malloc(sizeof *first), *last = first;
    struct pipe pipe = {.out = {.emit = pipe_emit, .watermark = pipe_watermark, .end = pipe_end}};
    if (scenario.two_phase) {
        struct sabot_error err = {0};
        assert_int_equal(window_partial_schema(&options, input, &partial, &err), SABOT_OK);
        global.merges_partials = true;
        global.raw_input = input;
        global.local = &options;
        last = malloc(sizeof *last);
        harness_init(last, type, &global, partial, output);
        harness_open(last);
        harness_init(first, &op_window_local, &options, input, partial);
        pipe.target = last;
        first->next = &pipe.out;
    } else {
        harness_init(first, type, &options, input, output);
    }
    harness_open(first);
    first->context.batch_rows = last->context.batch_rows = 3 + test_below(&random, 500);

    static struct model_row model[100000];
    int32_t n_model = 0;
    int64_t now = (int64_t)test_below(&random, 100000) - 50000, watermark = INT64_MIN;
    for (int32_t step = 0; step < 30; step++) {
        const int64_t spread = 1 + scenario.window.size_ms * test_below(&random, 30) / 10;
        harness_batch(first,
                      random_rows(&random, &scenario, &first->pool, input, now, spread, watermark, model, &n_model));
        now += test_below(&random, (int32_t)scenario.window.size_ms + 10);
        if (test_below(&random, 2)) {
            const int64_t to = now - test_below(&random, 3 * (int32_t)scenario.window.size_ms);
            if (to > watermark) {
                last->room = test_below(&random, 3) ? -1 : 0;
                harness_watermark(first, watermark = to);
                last->room = -1;
            }
        }
        if (test_below(&random, 8) == 0) {
            harness_restart(first, step);
            if (last != first) { harness_restart(last, step); }
        }
    }
    harness_end(first);
    assert_true(last->events[last->n_events - 1].is_end);

    /* windows come in order of their ends, each before the watermark that made it due goes on */
    int64_t end_before = INT64_MIN, told = INT64_MIN;
    for (int32_t e = 0; e < last->n_events; e++) {
        const struct harness_event *event = &last->events[e];
        if (!event->batch) {
            if (!event->is_end) {
                assert_true(event->watermark_ms > told);
                told = event->watermark_ms;
            }
            continue;
        }
        if (scenario.emit.updates) { continue; }
        const struct column *ends = event->batch->columns[event->batch->n_columns - 1];
        for (int32_t i = 0; i < event->batch->selected; i++) {
            const int64_t end = ((const int64_t *)ends->values)[column_at(ends, i)] + 1;
            assert_true(end >= end_before && (told == INT64_MIN || end - 1 > told));
            end_before = end;
        }
    }
    int32_t n_expected, n_rows;
    int64_t late;
    char **expected = model_results(&scenario, model, n_model, &n_expected, &late);
    struct op_harness sorted = {0}; /* only to sort */
    (void)sorted;
    if (scenario.emit.updates) { fold_changes(last, &scenario, seed); }
    char **rows = harness_rows(last, &n_rows);
    for (int32_t i = 0; i < n_expected; i++) { /* insertion into order, by the same rule */
        char *text = expected[i];
        int32_t low = 0, high = i;
        while (low < high) {
            const int32_t middle = (low + high) / 2;
            if (strcmp(expected[middle], text) < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        memmove(&expected[low + 1], &expected[low], (size_t)(i - low) * sizeof *expected);
        expected[low] = text;
    }
    for (int32_t i = 0; i < n_expected && i < n_rows; i++) {
        if (strcmp(rows[i], expected[i]) != 0) {
            fail_msg("seed %llu, row %d: got %s, expected %s", (unsigned long long)seed, i, rows[i], expected[i]);
        }
    }
    if (n_rows != n_expected) {
        fail_msg("seed %llu: %d rows, expected %d", (unsigned long long)seed, n_rows, n_expected);
    }
    assert_int_equal(last->metrics.rows_late, late);
    test_rows_free(rows, n_rows);
    test_rows_free(expected, n_expected);
    harness_close(first);
    if (last != first) { harness_close(last); free(last); }
    free(first);
    schema_unref(input);
    schema_unref(output);
    schema_unref(partial);
}

static void run_seeds(struct scenario scenario, uint64_t seeds) {
    for (uint64_t seed = 1; seed <= seeds; seed++) { run_seed(scenario, seed_given ? seed_given : seed); }
}
static void run(struct scenario scenario) { run_seeds(scenario, 5); }

static void tumbling_windows_equal_the_model(void **state) {
    (void)state;
    const struct window_spec window = {.kind = WINDOW_TUMBLE, .size_ms = 1000, .slide_ms = 1000};
    run((struct scenario){.window = window, .units = 1, .with_keys = true});
    run((struct scenario){.window = window, .units = 1000, .with_keys = true, .distinct = true});
    run((struct scenario){.window = window, .units = 1});
}
static void tumbling_windows_with_an_offset_equal_the_model(void **state) {
    (void)state;
    run((struct scenario){.window = {.kind = WINDOW_TUMBLE, .size_ms = 777, .slide_ms = 777, .offset_ms = -1300},
                          .units = 1000, .with_keys = true});
}
static void hopping_windows_equal_the_model(void **state) {
    (void)state;
    run((struct scenario){
        .window = {.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 200}, .units = 1, .with_keys = true});
    run((struct scenario){.window = {.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 250, .offset_ms = 33},
                          .units = 1000000, .with_keys = true, .distinct = true});
}
static void a_hop_whose_size_is_no_multiple_of_its_slide_equals_the_model(void **state) {
    (void)state;
    run((struct scenario){
        .window = {.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 300}, .units = 1, .with_keys = true});
    run((struct scenario){
        .window = {.kind = WINDOW_HOP, .size_ms = 300, .slide_ms = 1000}, .units = 1, .with_keys = true});
}
static void cumulating_windows_equal_the_model(void **state) {
    (void)state;
    run((struct scenario){.window = {.kind = WINDOW_CUMULATE, .size_ms = 1000, .slide_ms = 250}, .units = 1,
                          .with_keys = true});
    run((struct scenario){.window = {.kind = WINDOW_CUMULATE, .size_ms = 1200, .slide_ms = 200, .offset_ms = 100},
                          .units = 1000, .with_keys = true, .distinct = true});
}
static const struct window_spec update_windows[] = {
    {.kind = WINDOW_TUMBLE, .size_ms = 1000, .slide_ms = 1000},
    {.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 250, .offset_ms = 33},
    {.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 300},
    {.kind = WINDOW_HOP, .size_ms = 300, .slide_ms = 1000},
    {.kind = WINDOW_CUMULATE, .size_ms = 1000, .slide_ms = 250},
};
static void run_updates(struct window_emit emit, bool two_phase) {
    emit.updates = true;
    for (size_t w = 0; w < sizeof update_windows / sizeof update_windows[0]; w++) {
        emit.before = w % 2 == 0;
        run_seeds((struct scenario){.window = update_windows[w], .units = 1000, .with_keys = true, .emit = emit,
                              .two_phase = two_phase}, 2);
        emit.before = !emit.before;
        if (!two_phase) {
            run_seeds((struct scenario){.window = update_windows[w], .units = 1, .with_keys = true, .distinct = true,
                                  .emit = emit}, 2);
        }
        run_seeds((struct scenario){.window = update_windows[w], .units = 1, .emit = emit, .two_phase = two_phase}, 2);
    }
}
static void late_rows_within_the_allowed_lateness_update_their_windows(void **state) {
    (void)state;
    run_updates((struct window_emit){.lateness_ms = 1500, .early_ms = -1}, false);
    run_updates((struct window_emit){.lateness_ms = 400, .early_ms = -1}, true);
}
static void late_rows_that_wait_for_their_interval_are_not_lost(void **state) {
    (void)state;
    run_updates((struct window_emit){.lateness_ms = 1500, .early_ms = -1, .late_ms = 1000000}, false);
}
static void windows_given_out_early_end_with_the_same_rows(void **state) {
    (void)state;
    run_updates((struct window_emit){.early_ms = 0}, false);
    run_updates((struct window_emit){.early_ms = 1000000, .lateness_ms = 700}, false);
    run_updates((struct window_emit){.early_ms = 0, .lateness_ms = 1500, .late_ms = 1000000}, false);
}

static void two_phases_give_what_one_gives(void **state) {
    (void)state;
    run((struct scenario){.window = {.kind = WINDOW_TUMBLE, .size_ms = 1000, .slide_ms = 1000}, .units = 1,
                          .with_keys = true, .two_phase = true});
    run((struct scenario){.window = {.kind = WINDOW_HOP, .size_ms = 1000, .slide_ms = 200, .offset_ms = 7},
                          .units = 1000,
                          .with_keys = true,
                          .two_phase = true});
    run((struct scenario){.window = {.kind = WINDOW_CUMULATE, .size_ms = 1000, .slide_ms = 250}, .units = 1,
                          .two_phase = true});
}
/* Short windows make about as many groups as there are rows: then the local phase lets rows through as they are. */
static void two_phases_that_let_rows_through_give_what_one_gives(void **state) {
    (void)state;
    run((struct scenario){.window = {.kind = WINDOW_TUMBLE, .size_ms = 3, .slide_ms = 3}, .units = 1000,
                          .with_keys = true, .two_phase = true, .many_keys = true});
    run((struct scenario){.window = {.kind = WINDOW_HOP, .size_ms = 6, .slide_ms = 2}, .units = 1, .with_keys = true,
                          .two_phase = true, .many_keys = true});
}
static void windows_of_many_slices_in_a_batch_equal_the_model(void **state) {
    (void)state;
    run((struct scenario){
        .window = {.kind = WINDOW_TUMBLE, .size_ms = 3, .slide_ms = 3}, .units = 1, .with_keys = true});
}

/* --- single promises */
static const struct aggregate_call count_rows = {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1};

static void a_row_without_a_time_is_counted_late_and_in_no_window(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"ts", type_timestamp(3)}}, 1);
    struct schema *output = test_schema((struct field[]){{"n", type_of(TYPE_INT64)}}, 1);
    const struct window_aggregate_options options = {.window = {.size_ms = 10, .slide_ms = 10}, .calls = &count_rows,
                                                     .n_calls = 1};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_window_aggregate, &options, input, output);
    harness_open(harness);
    struct column *ts = test_column_i64(&harness->pool, (int64_t[]){1, 2, INT64_MAX, INT64_MIN},
                                        (bool[]){false, true, false, false}, 4);
    harness_batch(harness, test_batch(input, &ts, 1));
    harness_end(harness);
    int32_t n;
    char **rows = harness_rows(harness, &n);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0], "1");
    assert_int_equal(harness->metrics.rows_late, 3);
    test_rows_free(rows, n);
    harness_close(harness);
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

/* Rows that carry their window come when it has fired: their result must be out before that watermark, or what joins
 * it finds it late. */
static void a_window_of_rows_with_its_end_is_given_out_by_the_watermark_that_ends_it(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"window_end", type_timestamp(3)}}, 1);
    struct schema *output = test_schema((struct field[]){{"n", type_of(TYPE_INT64)}}, 1);
    const struct window_aggregate_options options = {
        .window = {.size_ms = 10, .slide_ms = 10, .times_are_ends = true}, .calls = &count_rows, .n_calls = 1};
    struct op_harness *harness = malloc(sizeof *harness);
    harness_init(harness, &op_window_aggregate, &options, input, output);
    harness_open(harness);
    struct column *ends = test_column_i64(&harness->pool, (int64_t[]){20, 20, 30}, NULL, 3);
    harness_batch(harness, test_batch(input, &ends, 1));
    harness_watermark(harness, 18);
    int32_t n;
    char **rows = harness_rows(harness, &n);
    assert_int_equal(n, 0);
    test_rows_free(rows, n);
    harness_watermark(harness, 19);
    rows = harness_rows(harness, &n);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0], "2");
    test_rows_free(rows, n);
    harness_close(harness);
    free(harness);
    schema_unref(input);
    schema_unref(output);
}

static void a_sum_that_passes_bigint_is_an_error_unless_it_may_wrap(void **state) {
    (void)state;
    struct schema *input = test_schema((struct field[]){{"ts", type_timestamp(3)}, {"v", type_of(TYPE_INT64)}}, 2);
    struct schema *output = test_schema((struct field[]){{"s", type_of(TYPE_INT64)}}, 1);
    const struct aggregate_call sum = {.kind = AGGREGATE_SUM, .argument = 1, .filter = -1};
    const struct window_aggregate_options options = {.window = {.size_ms = 10, .slide_ms = 10}, .calls = &sum,
                                                     .n_calls = 1};
    for (int32_t wraps = 0; wraps < 2; wraps++) {
        struct op_harness *harness = malloc(sizeof *harness);
        harness_init(harness, &op_window_aggregate, &options, input, output);
        harness->context.program.wrap_overflow = wraps;
        harness_open(harness);
        struct column *columns[] = {test_column_i64(&harness->pool, (int64_t[]){1, 2}, NULL, 2),
                                    test_column_i64(&harness->pool, (int64_t[]){INT64_MAX, 1}, NULL, 2)};
        struct sabot_error err = {0};
        assert_int_equal(harness_try_batch(harness, test_batch(input, columns, 2), &err),
                         wraps ? SABOT_OK : SABOT_ERR_DATA);
        harness_close(harness);
        free(harness);
    }
    schema_unref(input);
    schema_unref(output);
}

#define KEYS 32
/* Keys 0..KEYS-1 whose key groups are of a subtask of two, each at two times. */
static void give_keys(struct op_harness *harness, struct schema *input, int32_t subtask) {
    int64_t all[KEYS], mine[2 * KEYS], times[2 * KEYS];
    uint64_t hashes[KEYS];
    int32_t n = 0;
    for (int32_t i = 0; i < KEYS; i++) { all[i] = i; }
    struct column *columns[] = {test_column_i64(&harness->pool, all, NULL, KEYS),
                                test_column_i64(&harness->pool, all, NULL, KEYS)};
    struct batch *probe = test_batch(input, columns, 2);
    batch_hash_into(probe, (int32_t[]){0}, 1, hashes);
    batch_unref(probe);
    for (int32_t i = 0; i < KEYS; i++) {
        if ((key_group_of(hashes[i], 128) >= 64) != subtask) { continue; }
        for (int32_t late = 0; late < 2; late++, n++) {
            mine[n] = i;
            times[n] = late ? 15 : 5;
        }
    }
    struct column *given[] = {test_column_i64(&harness->pool, mine, NULL, n),
                              test_column_i64(&harness->pool, times, NULL, n)};
    harness_batch(harness, test_batch(input, given, 2));
}

static int32_t count_given(const struct op_harness *harness) {
    int32_t n;
    char **rows = harness_rows(harness, &n);
    test_rows_free(rows, n);
    return n;
}

/* One task is restored from two, of which one was a window further. */
static void restored_from_two(const struct op_type *type, struct window_spec window, struct window_emit emit,
                              int32_t n_windows) {
    struct schema *input =
        test_schema((struct field[]){{"k", type_of(TYPE_INT64)}, {"ts", type_timestamp(3)}}, 2);
    struct schema *output = test_schema((struct field[]){{"k", type_of(TYPE_INT64)},
                                                         {"n", type_of(TYPE_INT64)},
                                                         {"window_end", type_timestamp(3)}}, 3);
    window.time_column = 1;
    const struct window_aggregate_options options = {
        .window = window, .keys = (int32_t[]){0}, .n_keys = 1, .calls = &count_rows, .n_calls = 1, .emit = emit,
        .properties = (enum window_property[]){WINDOW_END}, .n_properties = 1};
    struct op_harness *tasks[3];
    int32_t given = 0;
    struct sabot_error err = {0};
    for (int32_t t = 0; t < 3; t++) {
        tasks[t] = malloc(sizeof *tasks[t]);
        harness_init(tasks[t], type, &options, input, output);
    }
    for (int32_t t = 0; t < 2; t++) {
        struct state_snapshot *snapshots;
        int32_t n;
        tasks[t]->context.parallelism = 2;
        tasks[t]->context.subtask = t;
        harness_open(tasks[t]);
        give_keys(tasks[t], input, t);
        harness_watermark(tasks[t], t ? 19 : 9);
        harness_check_end(tasks[t]);
        assert_int_equal(type->before_barrier(tasks[t]->op, 1, &tasks[t]->out, &err), SABOT_OK);
        given += count_given(tasks[t]);
        assert_int_equal(state_tables_snapshot(tasks[t]->tables, &snapshots, &n, &err), SABOT_OK);
        for (int32_t i = 0; i < n; i++) {
            if (!snapshots[i].rows) { continue; }
            assert_int_equal(state_tables_load(tasks[2]->tables, snapshots[i].name, snapshots[i].kind,
                                               batch_ref(snapshots[i].rows), &err), SABOT_OK);
        }
        state_snapshots_free(snapshots, n);
    }
    harness_open(tasks[2]);
    harness_watermark(tasks[2], 100);
    given += count_given(tasks[2]);
    for (int32_t t = 2; t >= 0; t--) {
        harness_close(tasks[t]);
        free(tasks[t]);
    }
    schema_unref(input);
    schema_unref(output);
    assert_int_equal(given, KEYS * n_windows);
}

static void a_window_that_had_fired_for_some_key_groups_only_fires_for_the_others(void **state) {
    (void)state;
    const struct window_spec tumble = {.kind = WINDOW_TUMBLE, .size_ms = 10, .slide_ms = 10},
                             hop = {.kind = WINDOW_HOP, .size_ms = 20, .slide_ms = 10},
                             cumulate = {.kind = WINDOW_CUMULATE, .size_ms = 30, .slide_ms = 10};
    const struct window_emit once = {.early_ms = -1},
                             early = {.updates = true, .before = true, .early_ms = 1000000};
    restored_from_two(&op_window_aggregate, tumble, once, 2);
    restored_from_two(&op_window_aggregate, hop, once, 3);
    restored_from_two(&op_window_aggregate, cumulate, once, 3);
    restored_from_two(&op_window_update, hop, early, 3);
    restored_from_two(&op_window_update, cumulate, early, 3);
}

int main(int argc, char **argv) {
    if (argc > 1) { seed_given = strtoull(argv[1], NULL, 10); }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tumbling_windows_equal_the_model),
        cmocka_unit_test(tumbling_windows_with_an_offset_equal_the_model),
        cmocka_unit_test(hopping_windows_equal_the_model),
        cmocka_unit_test(a_hop_whose_size_is_no_multiple_of_its_slide_equals_the_model),
        cmocka_unit_test(cumulating_windows_equal_the_model),
        cmocka_unit_test(late_rows_within_the_allowed_lateness_update_their_windows),
        cmocka_unit_test(late_rows_that_wait_for_their_interval_are_not_lost),
        cmocka_unit_test(windows_given_out_early_end_with_the_same_rows),
        cmocka_unit_test(two_phases_give_what_one_gives),
        cmocka_unit_test(two_phases_that_let_rows_through_give_what_one_gives),
        cmocka_unit_test(windows_of_many_slices_in_a_batch_equal_the_model),
        cmocka_unit_test(a_row_without_a_time_is_counted_late_and_in_no_window),
        cmocka_unit_test(a_window_of_rows_with_its_end_is_given_out_by_the_watermark_that_ends_it),
        cmocka_unit_test(a_sum_that_passes_bigint_is_an_error_unless_it_may_wrap),
        cmocka_unit_test(a_window_that_had_fired_for_some_key_groups_only_fires_for_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
