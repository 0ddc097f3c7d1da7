/* Snapshots of tables that go on changing: freeze, copy, deltas and replay against what stood in the table at the
 * freeze. Random operations between the pieces of the copy; a run prints its seed when it fails, SABOT_SEED=n runs it
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "state/multimap.h"
#include "tests/util/chain_check.h"
#include "tests/util/op_harness.h"

#define RUNS 150
#define STEPS 300
#define BATCH_MAX 200
#define NAMESPACES 6

struct fixture {
    struct memory_pool pool;
    struct metrics metrics;
    struct test_random random;
    struct schema *schema;
    struct state_tables *tables;
    struct state_table *table;
    struct state_multimap *map;
    struct chain_check *check;
    bool text_keys, counts, frozen;
    int32_t keys; /* distinct ones */
};

static uint64_t seed_now;

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}
static int32_t below(struct fixture *fixture, int32_t n) { return test_below(&fixture->random, n); }
static int64_t a_namespace(struct fixture *fixture) { return below(fixture, NAMESPACES) * 1000 - 2000; }

/* [key, number, text]: short texts and long ones, keys that are NULL */
static struct batch *batch_of(struct fixture *fixture, int32_t n) {
    static char texts[2][BATCH_MAX][80];
    const char *keys[BATCH_MAX], *values[BATCH_MAX];
    int64_t ids[BATCH_MAX], numbers[BATCH_MAX];
    bool nulls[BATCH_MAX];
    for (int32_t i = 0; i < n; i++) {
        ids[i] = below(fixture, fixture->keys);
        nulls[i] = below(fixture, 50) == 0;
        numbers[i] = below(fixture, 5);
        snprintf(texts[0][i], 80, ids[i] % 2 ? "k%d" : "a key of more than twelve bytes: %d", (int)ids[i]);
        snprintf(texts[1][i], 80, "%.*s%d", below(fixture, 3) * 20, "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
                 below(fixture, 3));
        keys[i] = nulls[i] ? NULL : texts[0][i];
        values[i] = texts[1][i];
    }
    struct column *columns[] = {fixture->text_keys ? test_column_text(&fixture->pool, keys, n)
                                                   : test_column_i64(&fixture->pool, ids, nulls, n),
                                test_column_i64(&fixture->pool, numbers, NULL, n),
                                test_column_text(&fixture->pool, values, n)};
    struct batch *batch = test_batch(fixture->schema, columns, 3);
    struct sabot_error err = {0};
    ok(batch_cache_hashes(&fixture->pool, batch, (const int32_t[]){0}, 1, &err), &err);
    return batch;
}

/* --- a keyed table */
static void write_values(struct fixture *fixture, int64_t namespace_, const int32_t *slots, int32_t n) {
    struct sabot_error err = {0};
    char text[64];
    for (int32_t i = 0; i < n; i++) {
        const struct state_cells numbers = state_cells(fixture->table, namespace_, 0);
        *(int64_t *)state_cell(&numbers, slots[i]) = below(fixture, 1000000);
        if (below(fixture, 3)) { continue; }
        const int size = snprintf(text, sizeof text, "%.*s%d", below(fixture, 2) * 25, "xxxxxxxxxxxxxxxxxxxxxxxxx",
                                  below(fixture, 1000));
        ok(state_set_view(fixture->table, namespace_, 1, slots[i], string_view_of(text, (uint32_t)size), &err), &err);
    }
}

static void insert(struct fixture *fixture, int64_t namespace_) {
    struct sabot_error err = {0};
    int32_t slots[BATCH_MAX];
    const int32_t n = 1 + below(fixture, BATCH_MAX);
    struct batch *batch = batch_of(fixture, n);
    ok(state_find_or_insert(fixture->table, namespace_, batch, (const int32_t[]){0}, NULL, n, slots, &err), &err);
    write_values(fixture, namespace_, slots, n);
    batch_unref(batch);
}

static void change_kept(struct fixture *fixture, int64_t namespace_) {
    const int32_t count = (int32_t)state_count(fixture->table, namespace_);
    int32_t slots[BATCH_MAX];
    const int32_t n = count ? below(fixture, BATCH_MAX) : 0;
    for (int32_t i = 0; i < n; i++) { slots[i] = below(fixture, count); }
    state_touch(fixture->table, namespace_, slots, n);
    write_values(fixture, namespace_, slots, n);
}

static void remove_some(struct fixture *fixture, int64_t namespace_) {
    struct sabot_error err = {0};
    const int32_t count = (int32_t)state_count(fixture->table, namespace_), odds = 1 + below(fixture, 20);
    int32_t *slots = malloc((size_t)(count + 1) * sizeof *slots);
    int32_t n = 0;
    for (int32_t slot = count - 1; slot >= 0; slot--) {
        if (below(fixture, odds) == 0) { slots[n++] = slot; }
    }
    ok(state_remove(fixture->table, namespace_, slots, n, &err), &err);
    free(slots);
}

static void merge(struct fixture *fixture, int64_t from, int64_t into) {
    struct sabot_error err = {0};
    const int32_t count = (int32_t)state_count(fixture->table, from);
    int32_t slots[BATCH_MAX];
    if (from == into || count == 0) { return; }
    const int32_t first = below(fixture, count), left = count - first;
    const int32_t n = left < BATCH_MAX ? left : BATCH_MAX;
    ok(state_merge(fixture->table, from, first, n, into, slots, &err), &err);
    write_values(fixture, into, slots, n);
}

static void rename_one(struct fixture *fixture, int64_t from, int64_t to) {
    if (from == to) { return; }
    if (below(fixture, 2)) { state_drop_namespace(fixture->table, to); }
    if (state_count(fixture->table, to) == 0) { state_rename_namespace(fixture->table, from, to); }
}

static void change_table(struct fixture *fixture) {
    const int64_t namespace_ = a_namespace(fixture);
    switch (below(fixture, 12)) {
    case 0: case 1: case 2: case 3: insert(fixture, namespace_); break;
    case 4: case 5: change_kept(fixture, namespace_); break;
    case 6: case 7: remove_some(fixture, namespace_); break;
    case 8: state_drop_namespace(fixture->table, namespace_); break;
    case 9: rename_one(fixture, namespace_, a_namespace(fixture)); break;
    case 10: merge(fixture, namespace_, a_namespace(fixture)); break;
    default: /* working space is in no snapshot */
        insert(fixture, STATE_NAMESPACE_SCRATCH);
        if (below(fixture, 2)) { state_drop_namespace(fixture->table, STATE_NAMESPACE_SCRATCH); }
        break;
    }
}

/* --- a multimap */
static void change_map(struct fixture *fixture) {
    struct sabot_error err = {0};
    static const int32_t columns[] = {0, 1, 2};
    const int32_t n = 1 + below(fixture, BATCH_MAX), what = below(fixture, 10);
    int64_t namespaces[BATCH_MAX], matches[BATCH_MAX];
    int32_t slots[BATCH_MAX];
    uint8_t kinds[BATCH_MAX];
    for (int32_t i = 0; i < n; i++) {
        namespaces[i] = a_namespace(fixture);
        matches[i] = below(fixture, 10);
        kinds[i] = below(fixture, 2) ? ROW_DELETE : ROW_INSERT;
    }
    struct batch *batch = batch_of(fixture, n);
    const struct multimap_rows rows = {.batch = batch, .columns = columns, .n = n};
    if (what < 3 || (what < 7 && !fixture->counts)) {
        ok(multimap_insert(fixture->map, &rows, namespaces, matches, &err), &err);
    } else if (what < 7) {
        batch->row_kinds = kinds;
        ok(multimap_apply(fixture->map, &rows, namespaces, matches, &err), &err);
        batch->row_kinds = NULL;
    } else if (what == 7) {
        multimap_drop_namespace(fixture->map, namespaces[0]);
    } else {
        multimap_find(fixture->map, &rows, slots);
        for (int32_t i = 0; i < n; i++) {
            if (slots[i] < 0) { continue; }
            multimap_touch(fixture->map, &slots[i], 1);
            multimap_matches(fixture->map)[slots[i]] = matches[i] + 100;
        }
    }
    batch_unref(batch);
}

/* --- runs */
static void fixture_open(struct fixture *fixture, uint64_t seed, bool map) {
    struct sabot_error err = {0};
    *fixture = (struct fixture){.random = {seed * UINT64_C(0x9e3779b97f4a7c15) + 1}};
    for (int32_t i = 0; i < 20; i++) { test_random(&fixture->random); }
    memory_pool_init(&fixture->pool, "test", NULL, INT64_MAX);
    fixture->text_keys = below(fixture, 2);
    fixture->counts = below(fixture, 2);
    fixture->keys = below(fixture, 3) ? 5000 : 40;
    fixture->schema = test_schema((struct field[]){{"key", type_of(fixture->text_keys ? TYPE_STRING : TYPE_INT64)},
                                                   {"number", type_not_null(type_of(TYPE_INT64))},
                                                   {"text", type_not_null(type_of(TYPE_STRING))}}, 3);
    const struct state_context context = {.pool = &fixture->pool, .metrics = &fixture->metrics, .backend = "memory",
                                          .snapshots = below(fixture, 2), .parallelism = 1, .max_parallelism = 128};
    ok(state_tables_new(&context, &fixture->tables, &err), &err);
    if (map) {
        const struct multimap_spec spec = {.name = "rows", .schema = fixture->schema, .n_keys = 1,
                                           .counts = fixture->counts, .matches = true, .namespaces = true};
        ok(state_multimap_open(fixture->tables, &spec, &fixture->map, &err), &err);
    } else {
        const struct state_spec spec = {.name = "panes", .kind = STATE_KEYED, .schema = fixture->schema, .n_keys = 1,
                                        .records = below(fixture, 2)};
        ok(state_table_open(fixture->tables, &spec, &fixture->table, &err), &err);
    }
    fixture->check = chain_check_new(&fixture->pool, fixture->tables);
}

static void fixture_close(struct fixture *fixture) {
    chain_check_free(fixture->check);
    state_tables_free(fixture->tables);
    schema_unref(fixture->schema);
    assert_int_equal(fixture->pool.used, 0);
}

static void snapshot_step(struct fixture *fixture) {
    if (!fixture->frozen) {
        if (below(fixture, 4) == 0) { /* a savepoint in between */
            struct sabot_error err = {0};
            struct state_snapshot *snapshots;
            int32_t n;
            ok(state_tables_snapshot(fixture->tables, &snapshots, &n, &err), &err);
            state_snapshots_free(snapshots, n);
        }
        chain_check_freeze(fixture->check, below(fixture, 12) == 0);
        fixture->frozen = true;
    } else if (below(fixture, 40) == 0) {
        chain_check_thaw(fixture->check);
        fixture->frozen = false;
    } else {
        static const int32_t slots[] = {0, 1, 7, 8, 100, 1000, INT32_MAX};
        fixture->frozen = !chain_check_copy(fixture->check, slots[below(fixture, 7)]);
    }
}

static void run(uint64_t seed, bool map) {
    struct fixture *fixture = malloc(sizeof *fixture);
    seed_now = seed;
    fixture_open(fixture, seed, map);
    const int32_t odds = 2 + below(fixture, 4);
    for (int32_t step = 0; step < STEPS; step++) {
        if (below(fixture, odds) == 0) {
            snapshot_step(fixture);
        } else if (map) {
            change_map(fixture);
        } else {
            change_table(fixture);
        }
    }
    while (fixture->frozen) { fixture->frozen = !chain_check_copy(fixture->check, 1000); }
    chain_check_step(fixture->check);
    fixture_close(fixture);
    free(fixture);
}

static void runs(bool map) {
    const char *given = getenv("SABOT_SEED");
    if (given) {
        run(strtoull(given, NULL, 10), map);
        return;
    }
    for (uint64_t seed = 1; seed <= RUNS; seed++) { run(seed, map); }
}

static void chains_of_tables_give_what_was_there(void **state) {
    (void)state;
    runs(false);
}
static void chains_of_multimaps_give_what_was_there(void **state) {
    (void)state;
    runs(true);
}

static int seed_print(void **state) {
    (void)state;
    print_message("last seed: SABOT_SEED=%llu\n", (unsigned long long)seed_now);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(chains_of_tables_give_what_was_there, seed_print),
        cmocka_unit_test_teardown(chains_of_multimaps_give_what_was_there, seed_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
