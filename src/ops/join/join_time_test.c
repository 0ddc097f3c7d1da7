/* Window and interval joins against a double loop over all rows, whatever the order in which batches and
 * watermarks come: what came out at the end of input is the join, nothing came out behind a watermark, and nothing
 * is left in state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/fleet.h"

#define ROWS_MAX 1200
#define NONE INT64_MIN
#define WINDOW_MS 100

static int64_t right_units; /* per ms */

/* left: [k, t TIMESTAMP(3), id], right: [k, t TIMESTAMP(6), id]; in window joins t is the
 * window's end, a TIMESTAMP(3) on both sides, and a key */
struct row {
    int64_t key, time_ms, id;
};
struct shape {
    enum join_kind kind;
    bool interval;
    int64_t lower_ms, upper_ms;
    int32_t keys, members, room, batch_rows;
    bool spilled; /* as if state were on disk */
};

static bool rows_match(const struct shape *shape, const struct row *left, const struct row *right) {
    if (left->key == NONE || left->key != right->key) { return false; }
    const int64_t distance = left->time_ms - right->time_ms;
    return shape->interval ? distance >= shape->lower_ms && distance <= shape->upper_ms : distance == 0;
}

static void side_text(int32_t side, const struct row *row, char *target, size_t size) {
    char key[32] = "NULL";
    if (!row) {
        snprintf(target, size, "NULL|NULL|NULL");
        return;
    }
    if (row->key != NONE) { snprintf(key, sizeof key, "%lld", (long long)row->key); }
    snprintf(target, size, "%s|%lld|%lld", key, (long long)row->time_ms * (side == 0 ? 1 : right_units),
             (long long)row->id);
}

static void expect_add(char **rows, int32_t *n, const struct row *left, const struct row *right, bool left_only) {
    char left_text[100], right_text[100], text[204];
    side_text(0, left, left_text, sizeof left_text);
    side_text(1, right, right_text, sizeof right_text);
    snprintf(text, sizeof text, left_only ? "%s" : "%s|%s", left_text, right_text);
    assert_true(*n < FLEET_TABLE_MAX);
    rows[(*n)++] = strdup(text);
}

static void expect(struct fleet *fleet, const struct shape *shape, struct row rows[2][ROWS_MAX],
                   const int32_t *n_rows) {
    char **texts = malloc(FLEET_TABLE_MAX * sizeof *texts);
    bool *matched = calloc(ROWS_MAX, sizeof *matched);
    const enum join_kind kind = shape->kind;
    const bool left_only = kind == JOIN_SEMI || kind == JOIN_ANTI;
    int32_t n = 0;
    for (int32_t l = 0; l < n_rows[0]; l++) {
        bool found = false;
        for (int32_t r = 0; r < n_rows[1]; r++) {
            if (!rows_match(shape, &rows[0][l], &rows[1][r])) { continue; }
            found = matched[r] = true;
            if (!left_only) { expect_add(texts, &n, &rows[0][l], &rows[1][r], false); }
        }
        if (left_only && found == (kind == JOIN_SEMI)) { expect_add(texts, &n, &rows[0][l], NULL, true); }
        if (!found && (kind == JOIN_LEFT || kind == JOIN_FULL)) { expect_add(texts, &n, &rows[0][l], NULL, false); }
    }
    for (int32_t r = 0; r < n_rows[1] && (kind == JOIN_RIGHT || kind == JOIN_FULL); r++) {
        if (!matched[r]) { expect_add(texts, &n, NULL, &rows[1][r], false); }
    }
    fleet_expect(fleet, texts, n);
    for (int32_t i = 0; i < n; i++) { free(texts[i]); }
    free(texts);
    free(matched);
}

/* No row may be as old as a watermark that came out before it. */
static void check_times(const struct fleet *fleet, const struct shape *shape, int64_t *watermarks) {
    for (int32_t m = 0; m < fleet->n_members; m++) {
        const struct op_harness *member = fleet->members[m];
        for (int32_t e = 0; e < member->n_events; e++) {
            const struct batch *batch = member->events[e].batch;
            if (!batch) {
                assert_true(member->events[e].watermark_ms >= watermarks[m]);
                watermarks[m] = member->events[e].watermark_ms;
                continue;
            }
            for (int32_t c = 1; c < batch->n_columns; c += 3) {
                for (int32_t i = 0; i < batch->rows; i++) {
                    if (column_is_null(batch->columns[c], i)) { continue; }
                    const int64_t time = ((const int64_t *)batch->columns[c]->values)[column_at(batch->columns[c], i)];
                    /* the row time of a window is its end less 1 ms */
                    assert_true(time / (c == 1 ? 1 : right_units) - !shape->interval > watermarks[m]);
                }
            }
        }
    }
}

static struct batch *batch_of(struct memory_pool *pool, struct schema *schema, int32_t side, const struct row *rows,
                              int32_t n) {
    int64_t keys[64], times[64], ids[64];
    bool nulls[64];
    for (int32_t i = 0; i < n; i++) {
        keys[i] = rows[i].key;
        nulls[i] = rows[i].key == NONE;
        times[i] = rows[i].time_ms * (side == 0 ? 1 : right_units);
        ids[i] = rows[i].id;
    }
    struct column *columns[] = {test_column_i64(pool, keys, nulls, n), test_column_i64(pool, times, NULL, n),
                                test_column_i64(pool, ids, NULL, n)};
    return test_batch(schema, columns, 3);
}

static void open_fleet(struct fleet *fleet, const struct shape *shape) {
    for (int32_t m = 0; m < fleet->n_members; m++) { fleet->members[m]->room = shape->room; }
}

static void feed(struct fleet *fleet, const struct shape *shape, struct schema *schema, int32_t side,
                 const struct row *rows, int32_t n, int64_t *watermarks) {
    for (int32_t m = 0; m < fleet->n_members; m++) { fleet->members[m]->input = side; }
    struct batch *batch = batch_of(&fleet->pool, schema, side, rows, n);
    if (fleet->n_members > 1) {
        fleet_batch(fleet, batch); /* applies what comes out at once */
        return;
    }
    harness_batch(fleet->members[0], batch);
    check_times(fleet, shape, watermarks);
    fleet_apply(fleet);
}

static void be_spilled(struct fleet *fleet, const struct test_disk *disk) {
    for (int32_t m = 0; m < fleet->n_members; m++) { fleet->members[m]->pool.spill = disk->spill; }
}

static int32_t events_of(const struct fleet *fleet) {
    int32_t n = 0;
    for (int32_t m = 0; m < fleet->n_members; m++) { n += fleet->members[m]->n_events; }
    return n;
}

static void run(struct shape shape, uint64_t seed) {
    struct test_random random = {seed * 104729 + 7};
    right_units = shape.interval ? 1000 : 1;
    const struct field fields[] = {
        {"k", type_of(TYPE_INT64)},  {"t", type_timestamp(3)},                       {"id", type_of(TYPE_INT64)},
        {"k2", type_of(TYPE_INT64)}, {"t2", type_timestamp(shape.interval ? 6 : 3)}, {"id2", type_of(TYPE_INT64)}};
    struct schema *sides[] = {test_schema(fields, 3), test_schema(fields + 3, 3)};
    struct schema *output = test_schema(fields, shape.kind == JOIN_SEMI || shape.kind == JOIN_ANTI ? 3 : 6);
    const int32_t keys[] = {0, 1}, n_keys = shape.interval ? 1 : 2;
    const struct join_options options = {
        .kind = shape.kind, .left_keys = keys, .right_keys = keys, .n_keys = n_keys, .left = sides[0],
        .right = sides[1],
        .interval = shape.interval, .left_time = 1, .right_time = 1, .lower_ms = shape.lower_ms,
        .upper_ms = shape.upper_ms, .left_window_end = shape.interval ? -1 : 1,
        .right_window_end = shape.interval ? -1 : 1,
    };
    struct fleet *fleet = calloc(1, sizeof *fleet);
    *fleet = (struct fleet){.type = &op_join, .options = &options, .input = sides[0], .output = output, .keys = keys,
                            .n_keys = n_keys, .n_upsert_keys = -1};
    struct test_disk disk = {0};
    if (shape.spilled) { test_disk_open(&disk); }
    fleet_open(fleet, shape.members);
    be_spilled(fleet, &disk);
    struct row(*rows)[ROWS_MAX] = calloc(2, sizeof *rows);
    int32_t n_rows[2] = {0, 0};
    int64_t watermarks[FLEET_MAX], now_ms = -300, watermark_ms = -1000;
    for (int32_t m = 0; m < FLEET_MAX; m++) { watermarks[m] = WATERMARK_NONE; }
    for (int32_t step = 0; step < 80; step++) {
        open_fleet(fleet, &shape);
        const int32_t side = test_below(&random, 2), n = 1 + test_below(&random, 12);
        for (int32_t i = 0; i < n; i++) {
            int64_t time_ms = watermark_ms + 1 + test_below(&random, 120); /* never late */
            if (!shape.interval) { time_ms = ((time_ms + 1000 * WINDOW_MS) / WINDOW_MS - 999) * WINDOW_MS; }
            rows[side][n_rows[side] + i] = (struct row){
                test_below(&random, 15) ? test_below(&random, shape.keys) : NONE, time_ms, step * 100 + i};
        }
        feed(fleet, &shape, sides[side], side, &rows[side][n_rows[side]], n, watermarks);
        n_rows[side] += n;
        if (test_below(&random, 3) == 0) {
            now_ms += test_below(&random, 150);
            watermark_ms = now_ms - 60 > watermark_ms ? now_ms - 60 : watermark_ms;
            for (int32_t m = 0; m < fleet->n_members; m++) { harness_watermark(fleet->members[m], watermark_ms); }
            if (shape.spilled && fleet->n_members == 1) {
                assert_int_equal(events_of(fleet), 0); /* it waits for the rows before it */
                if (test_below(&random, 4) == 0) { /* and both go before it is said that there are no rows */
                    struct op_harness *only = fleet->members[0];
                    harness_idle(only);
                    assert_true(only->n_events >= 2 && only->events[only->n_events - 1].is_idle);
                    assert_false(only->events[only->n_events - 2].is_idle);
                    batch_unref(only->events[--only->n_events].batch);
                }
            }
            check_times(fleet, &shape, watermarks);
            fleet_apply(fleet);
        }
        if (step % 20 == 19) {
            const int32_t n_members = shape.members == 1 ? 1 : 1 + test_below(&random, 5);
            fleet_rescale(fleet, n_members);
            for (int32_t m = 0; m < FLEET_MAX; m++) { watermarks[m] = WATERMARK_NONE; }
            be_spilled(fleet, &disk);
            for (int32_t m = 0; m < n_members; m++) { harness_watermark(fleet->members[m], watermark_ms); }
        }
    }
    for (int32_t m = 0; m < fleet->n_members; m++) {
        harness_end(fleet->members[m]);
        assert_int_equal(fleet->members[m]->metrics.state_rows, 0);
    }
    fleet_apply(fleet);
    expect(fleet, &shape, rows, n_rows);
    fleet_close(fleet);
    test_disk_close(&disk);
    free(fleet);
    free(rows);
    schema_unref(sides[0]);
    schema_unref(sides[1]);
    schema_unref(output);
}

static void interval_joins(bool spilled) {
    const enum join_kind kinds[] = {JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL};
    const int64_t bounds[][2] = {{-50, 50}, {-200, 0}, {0, 300}, {20, 90}, {-90, -20}, {0, 0}};
    for (int32_t k = 0; k < 4; k++) {
        for (int32_t b = 0; b < 6; b++) {
            for (int32_t members = 1; members <= 3; members += 2) {
                run((struct shape){.kind = kinds[k], .interval = true, .lower_ms = bounds[b][0],
                                   .upper_ms = bounds[b][1],
                                   .keys = b % 2 ? 3 : 10, .members = members, .room = b % 3 ? -1 : 1,
                                   .spilled = spilled},
                    (uint64_t)(k * 100 + b * 10 + members));
            }
        }
    }
}

static void interval_joins_equal_the_model(void **state) {
    (void)state;
    interval_joins(false);
}
static void interval_joins_on_disk_equal_the_model(void **state) {
    (void)state;
    interval_joins(true);
}

static void window_joins(bool spilled) {
    const enum join_kind kinds[] = {JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL, JOIN_SEMI, JOIN_ANTI};
    for (int32_t k = 0; k < 6; k++) {
        for (int32_t members = 1; members <= 3; members++) {
            run((struct shape){.kind = kinds[k], .keys = members == 2 ? 3 : 10, .members = members,
                               .room = members % 2 ? 1 : -1, .spilled = spilled},
                (uint64_t)(k * 10 + members));
        }
    }
}

static void window_joins_equal_the_model(void **state) {
    (void)state;
    window_joins(false);
}
static void window_joins_on_disk_equal_the_model(void **state) {
    (void)state;
    window_joins(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interval_joins_equal_the_model), cmocka_unit_test(interval_joins_on_disk_equal_the_model),
        cmocka_unit_test(window_joins_equal_the_model), cmocka_unit_test(window_joins_on_disk_equal_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
