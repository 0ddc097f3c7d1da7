/* The multimap against a plain list of rows: random inserts, retractions, drops of namespaces, lookups, and
 * restores into another number of subtasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "state/multimap.h"
#include "tests/util/fleet.h"

#define MODEL_MAX 20000
#define SUBTASKS_MAX 5
#define BATCH_MAX 300
#define NUMBER_LIKE_NULL INT64_C(-4610558521370608916) /* its xxh3 with our seed is HASH_NULL */

/* [name STRING, k INT] keys, [value DOUBLE, text STRING] */
struct row {
    int32_t name, key, value, text; /* -1 = NULL */
    int64_t namespace_, matches, count;
};
struct fixture {
    struct memory_pool pool;
    struct metrics metrics;
    struct schema *schema;
    bool counts;
    int32_t n_subtasks;
    struct state_tables *tables[SUBTASKS_MAX];
    struct state_multimap *maps[SUBTASKS_MAX];
    struct row model[MODEL_MAX];
    int32_t n;
    struct test_random random;
};
static const int32_t columns[] = {0, 1, 2, 3};

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}

static void open_subtask(struct fixture *fixture, int32_t s, int32_t n_subtasks, struct state_tables **out) {
    struct sabot_error err = {0};
    const struct state_context context = {.pool = &fixture->pool, .metrics = &fixture->metrics, .backend = "memory",
                                          .subtask = s, .parallelism = n_subtasks, .max_parallelism = 128};
    ok(state_tables_new(&context, out, &err), &err);
}
static void open_map(struct fixture *fixture, struct state_tables *tables, struct state_multimap **out) {
    struct sabot_error err = {0};
    const struct multimap_spec spec = {.name = "rows", .schema = fixture->schema, .n_keys = 2,
                                       .counts = fixture->counts,
                                       .matches = true, .namespaces = true};
    ok(state_multimap_open(tables, &spec, out, &err), &err);
}

static void text_of(int32_t number, char *target, size_t size) {
    snprintf(target, size, number % 3 ? "%d" : "a text of more than twelve bytes, much longer even, %d", number);
}

static struct batch *batch_of(struct fixture *fixture, const struct row *rows, const uint8_t *kinds, int32_t n) {
    static char texts[2][BATCH_MAX][80];
    const char *names[BATCH_MAX], *values[BATCH_MAX];
    int32_t keys[BATCH_MAX];
    double numbers[BATCH_MAX];
    bool null_keys[BATCH_MAX], null_numbers[BATCH_MAX];
    for (int32_t i = 0; i < n; i++) {
        text_of(rows[i].name, texts[0][i], 80);
        text_of(rows[i].text, texts[1][i], 80);
        names[i] = rows[i].name < 0 ? NULL : texts[0][i];
        values[i] = rows[i].text < 0 ? NULL : texts[1][i];
        keys[i] = rows[i].key;
        null_keys[i] = rows[i].key < 0;
        numbers[i] = rows[i].value / 2.0;
        null_numbers[i] = rows[i].value < 0;
    }
    struct column *made[] = {test_column_text(&fixture->pool, names, n),
                             test_column_i32(&fixture->pool, keys, null_keys, n),
                             test_column_f64(&fixture->pool, numbers, null_numbers, n),
                             test_column_text(&fixture->pool, values, n)};
    struct batch *batch = test_changes(&fixture->pool, fixture->schema, made, 4, kinds);
    struct sabot_error err = {0};
    ok(batch_cache_hashes(&fixture->pool, batch, columns, 2, &err), &err);
    return batch;
}

static bool same(const struct row *a, const struct row *b) {
    return a->name == b->name && a->key == b->key && a->value == b->value && a->text == b->text;
}

static void model_apply(struct fixture *fixture, const struct row *row, uint8_t kind) {
    int32_t at = fixture->n;
    for (int32_t i = 0; i < fixture->n && fixture->counts; i++) {
        if (same(&fixture->model[i], row)) { at = i; }
    }
    if (kind == ROW_INSERT && at == fixture->n) {
        assert_true(fixture->n < MODEL_MAX);
        fixture->model[fixture->n] = *row;
        fixture->model[fixture->n++].count = 1;
    } else if (kind == ROW_INSERT) {
        const int64_t count = fixture->model[at].count + 1;
        fixture->model[at] = *row;
        fixture->model[at].count = count;
    } else if (at < fixture->n && --fixture->model[at].count == 0) {
        fixture->model[at] = fixture->model[--fixture->n];
    }
}

static void change(struct fixture *fixture) {
    struct sabot_error err = {0};
    struct row rows[BATCH_MAX];
    uint8_t kinds[BATCH_MAX];
    int64_t namespaces[BATCH_MAX], matches[BATCH_MAX];
    const int32_t n = 1 + test_below(&fixture->random, BATCH_MAX);
    for (int32_t i = 0; i < n; i++) {
        rows[i] = (struct row){.name = test_below(&fixture->random, 6) - 1, .key = test_below(&fixture->random, 40) - 1,
                               .value = test_below(&fixture->random, 3) - 1,
                               .text = test_below(&fixture->random, 8) - 1,
                               .namespace_ = test_below(&fixture->random, 9) * 10,
                               .matches = test_below(&fixture->random, 100)};
        kinds[i] = fixture->counts && test_below(&fixture->random, 5) < 2 ? ROW_DELETE : ROW_INSERT;
        if (kinds[i] == ROW_DELETE && fixture->n && test_below(&fixture->random, 4)) {
            rows[i] = fixture->model[test_below(&fixture->random, fixture->n)];
        }
        model_apply(fixture, &rows[i], kinds[i]);
    }
    struct batch *batch = batch_of(fixture, rows, fixture->counts ? kinds : NULL, n);
    for (int32_t s = 0; s < fixture->n_subtasks; s++) {
        int32_t own[BATCH_MAX], n_own = 0;
        for (int32_t i = 0; i < n; i++) {
            if (key_group_owner(key_group_of(batch->hashes[i], 128), 128, fixture->n_subtasks) != s) { continue; }
            namespaces[n_own] = rows[i].namespace_;
            matches[n_own] = rows[i].matches;
            own[n_own++] = i;
        }
        const struct multimap_rows some = {.batch = batch, .columns = columns, .rows = own, .n = n_own};
        ok(multimap_apply(fixture->maps[s], &some, namespaces, matches, &err), &err);
    }
    batch_unref(batch);
}

static void drop(struct fixture *fixture) {
    const int64_t namespace_ = test_below(&fixture->random, 9) * 10;
    int32_t kept = 0;
    for (int32_t i = 0; i < fixture->n; i++) {
        if (fixture->model[i].namespace_ != namespace_) { fixture->model[kept++] = fixture->model[i]; }
    }
    fixture->n = kept;
    for (int32_t s = 0; s < fixture->n_subtasks; s++) { multimap_drop_namespace(fixture->maps[s], namespace_); }
}

static void rescale(struct fixture *fixture) {
    struct sabot_error err = {0};
    const int32_t n_new = 1 + test_below(&fixture->random, SUBTASKS_MAX);
    struct state_tables *opened[SUBTASKS_MAX];
    for (int32_t s = 0; s < n_new; s++) { open_subtask(fixture, s, n_new, &opened[s]); }
    for (int32_t s = 0; s < fixture->n_subtasks; s++) {
        struct state_snapshot *snapshots;
        int32_t n;
        ok(state_tables_snapshot(fixture->tables[s], &snapshots, &n, &err), &err);
        for (int32_t o = 0; snapshots[0].rows && o < n_new; o++) {
            ok(state_tables_load(opened[o], "rows", STATE_KEYED, batch_ref(snapshots[0].rows), &err), &err);
        }
        state_snapshots_free(snapshots, n);
        state_tables_free(fixture->tables[s]);
    }
    fixture->n_subtasks = n_new;
    for (int32_t s = 0; s < n_new; s++) {
        fixture->tables[s] = opened[s];
        open_map(fixture, opened[s], &fixture->maps[s]);
    }
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* All rows of a key, found by the key, as text with count, matches and namespace. */
static int32_t found_rows(struct fixture *fixture, const struct row *probe, char **texts) {
    struct sabot_error err = {0};
    struct batch *batch = batch_of(fixture, probe, NULL, 1);
    const int32_t s = key_group_owner(key_group_of(batch->hashes[0], 128), 128, fixture->n_subtasks);
    struct state_multimap *map = fixture->maps[s];
    int32_t head, n = 0;
    multimap_find(map, &(struct multimap_rows){.batch = batch, .columns = columns, .n = 1}, &head);
    for (int32_t slot = head; slot >= 0; slot = multimap_next(map)[slot]) {
        struct column *cells[4];
        for (int32_t c = 0; c < 4; c++) { ok(multimap_take(map, c, &slot, 1, &cells[c], &err), &err); }
        struct batch *row = test_batch(fixture->schema, cells, 4);
        char text[400], all[500];
        test_row_text(row, 0, text, sizeof text);
        snprintf(all, sizeof all, "%s|%lld|%lld", text,
                 (long long)(multimap_counts(map) ? multimap_counts(map)[slot] : 1),
                 (long long)multimap_matches(map)[slot]);
        texts[n++] = strdup(all);
        batch_unref(row);
    }
    batch_unref(batch);
    return n;
}

static void check_key(struct fixture *fixture, const struct row *probe) {
    char **found = malloc(MODEL_MAX * sizeof *found), **wanted = malloc(MODEL_MAX * sizeof *wanted);
    const int32_t n = found_rows(fixture, probe, found);
    int32_t n_wanted = 0;
    for (int32_t i = 0; i < fixture->n; i++) {
        const struct row *row = &fixture->model[i];
        if (row->name != probe->name || row->key != probe->key) { continue; }
        struct batch *batch = batch_of(fixture, row, NULL, 1);
        char text[400], all[500];
        test_row_text(batch, 0, text, sizeof text);
        snprintf(all, sizeof all, "%s|%lld|%lld", text, (long long)row->count, (long long)row->matches);
        wanted[n_wanted++] = strdup(all);
        batch_unref(batch);
    }
    assert_int_equal(n, n_wanted);
    qsort(found, (size_t)n, sizeof *found, by_text);
    qsort(wanted, (size_t)n, sizeof *wanted, by_text);
    for (int32_t i = 0; i < n; i++) {
        assert_string_equal(found[i], wanted[i]);
        free(found[i]);
        free(wanted[i]);
    }
    free(found);
    free(wanted);
}

static void check(struct fixture *fixture) {
    int64_t size = 0;
    for (int32_t s = 0; s < fixture->n_subtasks; s++) { size += multimap_size(fixture->maps[s]); }
    assert_int_equal(size, fixture->n);
    for (int32_t i = 0; i < 6; i++) {
        check_key(fixture, &(struct row){.name = test_below(&fixture->random, 6) - 1,
                                         .key = test_below(&fixture->random, 40) - 1});
    }
}

static void run(bool counts, uint64_t seed) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    memory_pool_init(&fixture->pool, "test", NULL, INT64_MAX);
    fixture->random.state = seed * 31 + 5;
    fixture->counts = counts;
    fixture->n_subtasks = 1;
    fixture->schema = test_schema((struct field[]){{"name", type_of(TYPE_STRING)}, {"k", type_of(TYPE_INT32)},
                                                   {"value", type_of(TYPE_FLOAT64)},
                                                   {"text", type_of(TYPE_STRING)}}, 4);
    open_subtask(fixture, 0, 1, &fixture->tables[0]);
    open_map(fixture, fixture->tables[0], &fixture->maps[0]);
    for (int32_t step = 0; step < 150; step++) {
        const int32_t what = test_below(&fixture->random, 10);
        if (what < 5) {
            change(fixture);
        } else if (what < 9) {
            drop(fixture);
        } else {
            rescale(fixture);
        }
        check(fixture);
    }
    for (int32_t s = 0; s < fixture->n_subtasks; s++) { state_tables_free(fixture->tables[s]); }
    schema_unref(fixture->schema);
    assert_int_equal(fixture->pool.used, 0);
    free(fixture);
}

static void counted_rows_equal_the_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) { run(true, seed); }
}
static void uncounted_rows_equal_the_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) { run(false, seed); }
}

/* A BIGINT key is as good as its hash, but for the one that has the hash of NULL. */
static void null_is_not_the_number_with_its_hash(void **state) {
    (void)state;
    const int64_t keys[] = {NUMBER_LIKE_NULL, 0, 5, NUMBER_LIKE_NULL, 0};
    const bool nulls[] = {false, true, false, false, true};
    for (int32_t first = 0; first < 2; first++) { /* whichever of the two is there first */
        struct fixture fixture = {.n_subtasks = 1};
        memory_pool_init(&fixture.pool, "test", NULL, INT64_MAX);
        struct schema *schema = test_schema((struct field[]){{"k", type_of(TYPE_INT64)}}, 1);
        struct state_tables *tables;
        struct state_multimap *map;
        struct sabot_error err = {0};
        open_subtask(&fixture, 0, 1, &tables);
        ok(state_multimap_open(tables, &(struct multimap_spec){.name = "rows", .schema = schema, .n_keys = 1}, &map,
                               &err), &err);
        struct column *column = test_column_i64(&fixture.pool, keys, nulls, 5);
        struct batch *batch = test_batch(schema, &column, 1);
        ok(batch_cache_hashes(&fixture.pool, batch, columns, 1, &err), &err);
        assert_int_equal(batch->hashes[0], HASH_NULL);
        assert_int_equal(batch->hashes[1], HASH_NULL);
        int32_t heads[3];
        const struct multimap_rows looked_for = {.batch = batch, .columns = columns, .n = 3};
        const int32_t one[] = {first}, rest[] = {1 - first, 2, 3, 4};
        ok(multimap_insert(map, &(struct multimap_rows){.batch = batch, .columns = columns, .rows = one, .n = 1}, NULL,
                           NULL, &err), &err);
        multimap_find(map, &looked_for, heads);
        assert_true(heads[first] >= 0);
        assert_int_equal(heads[1 - first], -1);
        assert_int_equal(heads[2], -1);
        ok(multimap_insert(map, &(struct multimap_rows){.batch = batch, .columns = columns, .rows = rest, .n = 4}, NULL,
                           NULL, &err), &err);
        multimap_find(map, &looked_for, heads);
        for (int32_t i = 0; i < 3; i++) {
            int32_t n = 0;
            for (int32_t slot = heads[i]; slot >= 0; slot = multimap_next(map)[slot]) {
                struct column *value;
                ok(multimap_take(map, 0, &slot, 1, &value, &err), &err);
                assert_int_equal(column_is_null(value, 0), nulls[i]);
                if (!nulls[i]) { assert_true(((const int64_t *)value->values)[0] == keys[i]); }
                column_unref(value);
                n++;
            }
            assert_int_equal(n, i == 2 ? 1 : 2);
        }
        batch_unref(batch);
        state_tables_free(tables);
        schema_unref(schema);
        assert_int_equal(fixture.pool.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(counted_rows_equal_the_model),
                                       cmocka_unit_test(uncounted_rows_equal_the_model),
                                       cmocka_unit_test(null_is_not_the_number_with_its_hash)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
