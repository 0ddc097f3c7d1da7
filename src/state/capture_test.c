/* What a step between two batches copies of a frozen table: so many slots of narrow rows, fewer of wide ones; and which
 * slots a walk wants. */
#include "state/capture.h"

#include "base/env.h"
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 4096
#define STEP_SLOTS 16384 /* all rows, if they are narrow */
#define STEP_BYTES (INT64_C(2) << 20)

static struct memory_pool pool;
static struct metrics metrics;

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}

/* A table of ROWS texts of `size` bytes, each its own key. */
static struct state_tables *filled(int32_t size) {
    struct sabot_error err = {0};
    const struct state_context context = {.pool = &pool, .metrics = &metrics, .backend = "memory", .snapshots = true,
                                          .parallelism = 1, .max_parallelism = 128};
    struct state_tables *tables;
    struct state_table *table;
    struct schema *schema;
    ok(state_tables_new(&context, &tables, &err), &err);
    ok(schema_new(&(struct field){"text", type_not_null(type_of(TYPE_STRING))}, 1, &schema, &err), &err);
    const struct state_spec spec = {.name = "rows", .kind = STATE_KEYED, .schema = schema, .n_keys = 1};
    ok(state_table_open(tables, &spec, &table, &err), &err);
    char *text = calloc(1, (size_t)size + 1);
    memset(text, 'x', (size_t)size);
    const int32_t keys[] = {0};
    for (int32_t i = 0; i < ROWS; i++) {
        int32_t slot;
        struct column *column;
        struct batch *batch;
        struct column_builder builder;
        snprintf(text, (size_t)size + 1, "%0*d", size, i);
        ok(column_builder_init(&builder, &pool, PHYS_VIEW, 1, false, &err), &err);
        ((struct string_view *)builder.values)[0] = string_view_of(text, (uint32_t)size);
        ok(column_builder_finish(&builder, &column, &err), &err);
        ok(batch_new(schema, &column, 1, 1, &batch, &err), &err);
        ok(batch_cache_hashes(&pool, batch, keys, 1, &err), &err);
        ok(state_find_or_insert(table, 0, batch, keys, NULL, 1, &slot, &err), &err);
        batch_unref(batch);
    }
    free(text);
    schema_unref(schema);
    return tables;
}

/* How many steps it takes to copy all; *most: bytes that one has added to the pool. */
static int32_t steps_of(int32_t size, int64_t *most) {
    struct sabot_error err = {0};
    struct state_tables *tables = filled(size);
    ok(state_table_freeze(tables, 0, STATE_FORM_BASE, &err), &err);
    int32_t steps = 0, rows = 0;
    *most = 0;
    for (bool done = false; !done; steps++) {
        struct batch *batch;
        const int64_t before = pool.used;
        ok(state_table_copy(tables, 0, STEP_SLOTS, &batch, &done, &err), &err);
        const int64_t added = pool.used - before;
        *most = added > *most ? added : *most;
        rows += batch ? batch->rows : 0;
        batch_unref(batch);
    }
    assert_int_equal(rows, ROWS);
    state_tables_free(tables);
    assert_int_equal(pool.used, 0);
    return steps;
}

static void wide_rows_are_copied_in_more_steps(void **state) {
    (void)state;
    int64_t most;
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    assert_in_range(steps_of(10, &most), 1, 3);
    const int32_t steps = steps_of(8192, &most); /* 32 MB */
    assert_true(steps >= ROWS * 8192 / (3 * STEP_BYTES));
    assert_true(most < 5 * STEP_BYTES);
}

#define WATCHED 200 /* slots: three words, and a part of one */

static int32_t random_below(uint64_t *state, int32_t n) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (int32_t)(*state % (uint64_t)n);
}

/* Walks in steps of chance while slots change, beside a byte per slot and question; a slot that is saved before it
 * changes is captured then. Twice: what changed behind the first barrier is what the second one wants. */
static void a_walk_wants_each_changed_slot_once(void **unused) {
    (void)unused;
    struct sabot_error err = {0};
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
        struct slot_watch watch = {.is_saved = true, .on = true};
        bool changed[WATCHED] = {0};
        ok(slot_watch_fit(&watch, &pool, WATCHED, &err), &err);
        for (int32_t barrier = 0; barrier < 3; barrier++) {
            for (int32_t i = random_below(&random, WATCHED); i > 0; i--) {
                const int32_t slot = random_below(&random, WATCHED);
                slot_set_changed(&watch, slot);
                changed[slot] = true;
            }
            bool captured[WATCHED] = {0}, wanted[WATCHED], again[WATCHED] = {0};
            memcpy(wanted, changed, sizeof wanted);
            const int32_t frozen = 1 + random_below(&random, WATCHED);
            slot_watch_freeze(&watch, STATE_FORM_DELTA, frozen);
            while (watch.cursor < frozen) {
                const int32_t slot = random_below(&random, WATCHED), cursor = watch.cursor;
                if (slot_is_pending(&watch, slot) && slot_is_wanted(&watch, slot)) {
                    assert_false(captured[slot]);
                    captured[slot] = true;
                }
                slot_set_changed(&watch, slot);
                again[slot] = true;
                int32_t found[70], left = 1 + random_below(&random, 70);
                const int32_t most = left, room = 1 + random_below(&random, 70);
                const int32_t n = slot_watch_walk(&watch, &left, found, room);
                assert_true(watch.cursor > cursor && watch.cursor <= frozen && n <= room && left < most);
                for (int32_t i = 0; i < n; i++) {
                    assert_true(found[i] >= (i ? found[i - 1] + 1 : cursor) && found[i] < watch.cursor);
                    assert_false(captured[found[i]]);
                    captured[found[i]] = true;
                }
            }
            slot_watch_thaw(&watch);
            for (int32_t slot = 0; slot < WATCHED; slot++) {
                assert_int_equal(captured[slot], slot < frozen && wanted[slot]);
                changed[slot] = again[slot] || (slot >= frozen && changed[slot]);
                assert_int_equal(slot_is_wanted(&watch, slot), changed[slot]);
            }
        }
        slot_watch_clear(&watch, &pool);
    }
    assert_int_equal(pool.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_wants_each_changed_slot_once),
        cmocka_unit_test(wide_rows_are_copied_in_more_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
