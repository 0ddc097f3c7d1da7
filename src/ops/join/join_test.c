/* Joins against a naive model: two multisets of rows, and the join computed by a double loop. What comes out is a
 * changelog; applied to a table it must give the model's rows at every moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "tests/util/fleet.h"

#define ROWS_MAX 4000
#define NONE INT64_MIN

/* left: [name STRING, k BIGINT, x BIGINT], right: [k BIGINT, y BIGINT, name STRING]; NONE = NULL */
struct row {
    int64_t key, number;
    int32_t name; /* -1 = NULL */
};
struct model {
    struct row rows[2][ROWS_MAX];
    int32_t n[2];
};

static void name_text(int32_t name, char *target, size_t size) {
    /* short ones stand in the view, long ones in a heap */
    if (name < 0) {
        snprintf(target, size, "NULL");
    } else {
        snprintf(target, size, name % 2 ? "n%d" : "a name that is longer than twelve bytes %d", name);
    }
}
static void number_text(int64_t number, char *target, size_t size) {
    if (number == NONE) {
        snprintf(target, size, "NULL");
    } else {
        snprintf(target, size, "%lld", (long long)number);
    }
}
static void side_text(int32_t side, const struct row *row, char *target, size_t size) {
    char key[32] = "NULL", number[32] = "NULL", name[80] = "NULL";
    if (row) {
        number_text(row->key, key, sizeof key);
        number_text(row->number, number, sizeof number);
        name_text(row->name, name, sizeof name);
    }
    snprintf(target, size, "%s|%s|%s", side == 0 ? name : key, side == 0 ? key : number, side == 0 ? number : name);
}

static bool rows_match(const struct row *left, const struct row *right, bool condition) {
    if (left->key == NONE || left->key != right->key) { return false; }
    return !condition || (left->number != NONE && right->number != NONE && left->number > right->number);
}

static void expect_add(char **rows, int32_t *n, const struct row *left, const struct row *right, bool left_only) {
    char left_text[200], right_text[200], text[404];
    side_text(0, left, left_text, sizeof left_text);
    side_text(1, right, right_text, sizeof right_text);
    snprintf(text, sizeof text, left_only ? "%s" : "%s|%s", left_text, right_text);
    assert_true(*n < FLEET_TABLE_MAX);
    rows[(*n)++] = strdup(text);
}

static void expect(struct fleet *fleet, const struct model *model, enum join_kind kind, bool condition) {
    char **rows = malloc(FLEET_TABLE_MAX * sizeof *rows);
    int32_t n = 0;
    const bool left_only = kind == JOIN_SEMI || kind == JOIN_ANTI;
    for (int32_t l = 0; l < model->n[0]; l++) {
        const struct row *left = &model->rows[0][l];
        bool found = false;
        for (int32_t r = 0; r < model->n[1]; r++) {
            if (!rows_match(left, &model->rows[1][r], condition)) { continue; }
            found = true;
            if (!left_only) { expect_add(rows, &n, left, &model->rows[1][r], false); }
        }
        if (left_only && found == (kind == JOIN_SEMI)) { expect_add(rows, &n, left, NULL, true); }
        if (!found && (kind == JOIN_LEFT || kind == JOIN_FULL)) { expect_add(rows, &n, left, NULL, false); }
    }
    for (int32_t r = 0; r < model->n[1] && (kind == JOIN_RIGHT || kind == JOIN_FULL); r++) {
        bool found = false;
        for (int32_t l = 0; l < model->n[0]; l++) {
            found |= rows_match(&model->rows[0][l], &model->rows[1][r], condition);
        }
        if (!found) { expect_add(rows, &n, NULL, &model->rows[1][r], false); }
    }
    fleet_expect(fleet, rows, n);
    for (int32_t i = 0; i < n; i++) { free(rows[i]); }
    free(rows);
}

/* --- batches */
struct test_schemas {
    struct schema *sides[2], *output;
};
static struct test_schemas schemas_new(enum join_kind kind) {
    const struct field fields[] = {
        {"name", type_of(TYPE_STRING)}, {"k", type_of(TYPE_INT64)}, {"x", type_of(TYPE_INT64)},
        {"k2", type_of(TYPE_INT64)},    {"y", type_of(TYPE_INT64)}, {"name2", type_of(TYPE_STRING)}};
    return (struct test_schemas){.sides = {test_schema(fields, 3), test_schema(fields + 3, 3)},
                                 .output = test_schema(fields, kind == JOIN_SEMI || kind == JOIN_ANTI ? 3 : 6)};
}
static void schemas_clear(struct test_schemas *schemas) {
    schema_unref(schemas->sides[0]);
    schema_unref(schemas->sides[1]);
    schema_unref(schemas->output);
}

static struct batch *batch_of(struct memory_pool *pool, struct schema *schema, int32_t side, const struct row *rows,
                              const uint8_t *kinds, int32_t n) {
    int64_t keys[ROWS_MAX], numbers[ROWS_MAX];
    bool null_keys[ROWS_MAX], null_numbers[ROWS_MAX];
    static char texts[ROWS_MAX][80];
    const char *names[ROWS_MAX];
    bool any_null = false;
    for (int32_t i = 0; i < n; i++) {
        keys[i] = rows[i].key;
        numbers[i] = rows[i].number;
        null_keys[i] = keys[i] == NONE;
        any_null |= null_keys[i];
        null_numbers[i] = numbers[i] == NONE;
        name_text(rows[i].name, texts[i], sizeof texts[i]);
        names[i] = rows[i].name < 0 ? NULL : texts[i];
    }
    struct column *key = test_column_i64(pool, keys, any_null ? null_keys : NULL, n);
    struct column *number = test_column_i64(pool, numbers, null_numbers, n), *name = test_column_text(pool, names, n);
    struct column *columns[] = {side == 0 ? name : key, side == 0 ? key : number, side == 0 ? number : name};
    return test_changes(pool, schema, columns, 3, kinds);
}

static const int32_t left_keys[] = {1}, right_keys[] = {0};

static void feed(struct fleet *fleet, const struct test_schemas *schemas, int32_t side, const struct row *rows,
                 const uint8_t *kinds, int32_t n) {
    if (n == 0) { return; }
    for (int32_t m = 0; m < fleet->n_members; m++) { fleet->members[m]->input = side; }
    fleet->keys = side == 0 ? left_keys : right_keys;
    fleet_batch(fleet, batch_of(&fleet->pool, schemas->sides[side], side, rows, kinds, n));
}

/* --- left.x > right.y */
static struct arena arena;
static struct expr *condition_of(void) {
    struct sabot_error err = {0};
    const struct source_span nowhere = {0};
    struct expr *args[2], *expr;
    assert_int_equal(expr_column(&arena, 2, type_of(TYPE_INT64), nowhere, &args[0], &err), SABOT_OK);
    assert_int_equal(expr_column(&arena, 4, type_of(TYPE_INT64), nowhere, &args[1], &err), SABOT_OK);
    assert_int_equal(expr_call(&arena, ">", args, 2, nowhere, &expr, &err), SABOT_OK);
    return expr;
}

struct shape {
    enum join_kind kind;
    bool condition, retracts;
    int32_t keys, batch_rows, parallelism, skew; /* skew: percent of rows with one key */
    int32_t room; /* batches until the output is full; -1 = never */
    bool unique;  /* no two rows of the right side have one key, and none is taken back */
    int32_t ends; /* this side gets no rows in the last third; -1 = none */
    bool spilled; /* as if state were on disk: rows wait for others, until the barrier at the latest */
};
#define STEPS 30

/* A key that no row of the right side has; -1 = all are taken. */
static int32_t unused_key(const struct model *model, int32_t keys, struct test_random *random) {
    for (int32_t i = 0, key = test_below(random, keys); i < keys; i++, key = (key + 1) % keys) {
        bool used = false;
        for (int32_t r = 0; r < model->n[1]; r++) { used |= model->rows[1][r].key == key; }
        if (!used) { return key; }
    }
    return -1;
}

static int64_t rows_kept(const struct fleet *fleet) {
    int64_t rows = 0;
    for (int32_t m = 0; m < fleet->n_members; m++) { rows += fleet->members[m]->metrics.state_rows; }
    return rows;
}

/* The operator's memory says that some state is on disk. */
static void be_spilled(struct fleet *fleet, struct spill *spill) {
    for (int32_t m = 0; m < fleet->n_members; m++) { fleet->members[m]->pool.spill = spill; }
}

/* Watermarks wait for the rows before them. */
static void expect_watermarks(const struct fleet *fleet, int32_t expected) {
    int32_t n = 0;
    for (int32_t m = 0; m < fleet->n_members; m++) {
        for (int32_t e = 0; e < fleet->members[m]->n_events; e++) { n += !fleet->members[m]->events[e].batch; }
    }
    assert_int_equal(n, expected);
}

static void barrier(struct fleet *fleet, bool holds_watermark) {
    struct sabot_error err = {0};
    for (int32_t m = 0; m < fleet->n_members; m++) {
        struct op_harness *member = fleet->members[m];
        assert_int_equal(op_join.before_barrier(member->op, 1, &member->out, &err), SABOT_OK);
        harness_resume(member);
    }
    if (holds_watermark) { expect_watermarks(fleet, fleet->n_members); }
    fleet_apply(fleet);
}

static void end_input(struct fleet *fleet, int32_t side) {
    for (int32_t m = 0; m < fleet->n_members; m++) { op_join.on_input_end(fleet->members[m]->op, side); }
}

/* Random rows of one side: new ones, and, where it retracts, some of those that are there (also of this batch). */
static int32_t change(struct model *model, int32_t side, const struct shape *shape, struct test_random *random,
                      struct row *rows, uint8_t *kinds) {
    const int32_t wanted = test_below(random, 60);
    int32_t n = 0;
    for (int32_t i = 0; i < wanted; i++) {
        int32_t *count = &model->n[side];
        const bool retracts = shape->retracts && !(side == 1 && shape->unique);
        if (retracts && *count && test_below(random, 100) < (*count > 60 ? 70 : 40)) {
            const int32_t at = test_below(random, *count);
            rows[n] = model->rows[side][at];
            kinds[n++] = ROW_DELETE;
            model->rows[side][at] = model->rows[side][--*count];
            continue;
        }
        if (*count == (shape->retracts ? 100 : 160)) { break; }
        const bool unique = side == 1 && shape->unique;
        const int32_t unused = unique ? unused_key(model, shape->keys, random) : 0;
        if (unused < 0) { break; }
        const struct row row = {
            .key = unique                                  ? unused
                   : test_below(random, 20) == 0           ? NONE
                   : test_below(random, 100) < shape->skew ? 7
                                                           : test_below(random, shape->keys),
            .number = test_below(random, 15) == 0 ? NONE : test_below(random, 5),
            .name = test_below(random, 6) - 1,
        };
        model->rows[side][(*count)++] = row;
        rows[n] = row;
        kinds[n++] = ROW_INSERT;
    }
    return n;
}

static void run(struct shape shape, uint64_t seed) {
    struct test_random random = {seed * 7919 + 13};
    struct test_schemas schemas = schemas_new(shape.kind);
    arena_init(&arena, 1 << 20);
    const struct join_options options = {
        .kind = shape.kind,
        .left_keys = left_keys,
        .right_keys = right_keys,
        .n_keys = 1,
        .condition = shape.condition ? condition_of() : NULL,
        .left = schemas.sides[0],
        .right = schemas.sides[1],
        .left_retracts = shape.retracts,
        .right_retracts = shape.retracts && !shape.unique,
        .left_window_end = -1,
        .right_window_end = -1,
    };
    struct fleet *fleet = calloc(1, sizeof *fleet);
    *fleet = (struct fleet){.type = &op_join, .options = &options, .input = schemas.sides[0], .output = schemas.output,
                            .keys = left_keys, .n_keys = 1, .n_upsert_keys = -1};
    struct test_disk disk = {0};
    if (shape.spilled) { test_disk_open(&disk); }
    fleet_open(fleet, shape.parallelism);
    be_spilled(fleet, disk.spill);
    struct model *model = calloc(1, sizeof *model);
    struct row rows[64];
    uint8_t kinds[64];
    for (int32_t step = 0; step < STEPS; step++) {
        const bool ended = shape.ends >= 0 && step >= STEPS * 2 / 3;
        if (ended) { end_input(fleet, shape.ends); }
        for (int32_t m = 0; m < fleet->n_members; m++) {
            fleet->members[m]->room = shape.room;
        }
        const int32_t side = ended ? 1 - shape.ends : test_below(&random, 2);
        const int64_t kept = rows_kept(fleet);
        const int32_t n = change(model, side, &shape, &random, rows, kinds);
        const bool retracts = side == 0 ? options.left_retracts : options.right_retracts;
        fleet->n_changes = 0;
        feed(fleet, &schemas, side, rows, retracts ? kinds : NULL, n);
        if (shape.spilled) {
            assert_int_equal(fleet->n_changes, 0); /* what is on disk is not looked at for a few rows */
            const bool all_hold = n > 0 && fleet->n_members == 1;
            if (all_hold) {
                harness_watermark(fleet->members[0], step);
                expect_watermarks(fleet, 0);
            }
            if (test_below(&random, 4) > 0) { continue; }
            barrier(fleet, all_hold);
        }
        expect(fleet, model, shape.kind, shape.condition);
        if (ended && !shape.spilled) { assert_int_equal(rows_kept(fleet), kept); }
        if (step % 7 == 6) { fleet_rescale(fleet, 1 + test_below(&random, 5)); }
        be_spilled(fleet, disk.spill);
    }
    fleet_close(fleet);
    test_disk_close(&disk);
    free(fleet);
    free(model);
    schemas_clear(&schemas);
    arena_clear(&arena);
}

static void regular(enum join_kind kind) {
    for (uint64_t seed = 1; seed <= 8; seed++) {
        for (int32_t variant = 0; variant < 8; variant++) {
            run((struct shape){.kind = kind,
                               .condition = variant & 1,
                               .retracts = variant >> 1 & 1,
                               .spilled = variant >> 2,
                               .keys = seed % 2 ? 12 : 100,
                               .skew = seed % 3 == 0 ? 60 : 0,
                               .parallelism = 1 + (int32_t)(seed % 3),
                               .room = seed % 2 ? -1 : 1,
                               .unique = seed >= 5,
                               .ends = (int32_t)(seed % 3) - 1},
                seed * 10 + (uint64_t)variant);
        }
    }
}
static void inner_join_equals_the_model(void **state) {
    (void)state;
    regular(JOIN_INNER);
}
static void left_join_equals_the_model(void **state) {
    (void)state;
    regular(JOIN_LEFT);
}
static void right_join_equals_the_model(void **state) {
    (void)state;
    regular(JOIN_RIGHT);
}
static void full_join_equals_the_model(void **state) {
    (void)state;
    regular(JOIN_FULL);
}
static void semi_join_equals_the_model(void **state) {
    (void)state;
    regular(JOIN_SEMI);
}
static void anti_join_equals_the_model(void **state) {
    (void)state;
    regular(JOIN_ANTI);
}

/* The side with fewer rows is read until it is not behind any more; one task waits for it, several do not; where
 * somebody looks at results before the end, and once a side has ended, any input will do. */
static void in_batch_mode_the_smaller_side_goes_first(void **state) {
    (void)state;
    static const struct {
        bool batch;
        int32_t members;
    } cases[] = {{true, 1}, {true, 2}, {false, 1}};
    for (int32_t i = 0; i < 3; i++) {
        struct test_schemas schemas = schemas_new(JOIN_INNER);
        const struct join_options options = {
            .kind = JOIN_INNER, .left_keys = left_keys, .right_keys = right_keys, .n_keys = 1,
            .left = schemas.sides[0], .right = schemas.sides[1], .left_window_end = -1, .right_window_end = -1,
            .batch = cases[i].batch,
        };
        struct fleet *fleet = calloc(1, sizeof *fleet);
        *fleet = (struct fleet){.type = &op_join, .options = &options, .input = schemas.sides[0],
                                .output = schemas.output, .keys = left_keys, .n_keys = 1, .n_upsert_keys = -1};
        fleet_open(fleet, cases[i].members);
        const struct op *op = fleet->members[0]->op;
        const struct row rows[3] = {{.key = 7, .number = 1}, {.key = 7, .number = 2}, {.key = 7, .number = 3}};
        bool waits = false;
        for (int32_t side = 0; side < 2; side++) {
            for (int32_t n = 2; n < 4; n++) {
                feed(fleet, &schemas, side, rows, NULL, n);
                const int64_t of_sides[2] = {5, side == 0 ? 0 : n == 2 ? 2 : 5};
                if (!cases[i].batch) {
                    assert_int_equal(op->type->next_input(op, &waits), -1);
                } else if (cases[i].members == 1) { /* a key's rows are all with one member */
                    assert_int_equal(op->type->next_input(op, &waits), of_sides[1] <= of_sides[0]);
                    assert_true(waits);
                } else {
                    assert_in_range(op->type->next_input(op, &waits), 0, 1);
                    assert_false(waits);
                }
            }
        }
        op->type->on_input_end(fleet->members[0]->op, 1);
        assert_int_equal(op->type->next_input(op, &waits), -1);
        fleet_close(fleet);
        free(fleet);
        schemas_clear(&schemas);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inner_join_equals_the_model), cmocka_unit_test(left_join_equals_the_model),
        cmocka_unit_test(right_join_equals_the_model), cmocka_unit_test(full_join_equals_the_model),
        cmocka_unit_test(semi_join_equals_the_model),  cmocka_unit_test(anti_join_equals_the_model),
        cmocka_unit_test(in_batch_mode_the_smaller_side_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
