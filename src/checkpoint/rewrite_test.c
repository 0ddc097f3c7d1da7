/* Savepoints made from others: which key groups new rows get, for tables whose keys have a say in it, some of them or
 * none, and for logs that any subtask may need. In the simulated world. */
#include "checkpoint/rewrite.h"

#include "base/env_sim.h"
#include "checkpoint/storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/util/op_harness.h"

enum { ROWS = 500, GROUPS = 16 };
/* n_group_keys of a table's two keys, or: */
enum { TO_ALL = -1 };

struct world {
    struct env *env;
    struct store *store;
    struct memory_pool pool;
    struct schema *stored, *given;
};

static void world_init(struct world *world) {
    memset(world, 0, sizeof *world);
    memory_pool_init(&world->pool, "test", NULL, INT64_MAX);
    world->env = env_sim_new(&(struct env_sim_options){.seed = 3});
    assert_int_equal(store_new(world->env, NULL, 0, &world->store, NULL), SABOT_OK);
    const struct field fields[] = {{"key_group", type_not_null(type_of(TYPE_INT32))},
                                   {"namespace", type_not_null(type_of(TYPE_INT64))},
                                   {"a", type_of(TYPE_INT64)}, {"b", type_of(TYPE_INT64)}};
    world->stored = test_schema(fields, 4);
    world->given = test_schema(fields + 2, 2);
}

static void world_clear(struct world *world) {
    schema_unref(world->stored);
    schema_unref(world->given);
    store_free(world->store);
    env_sim_free(world->env);
    assert_int_equal(atomic_load(&world->pool.used), 0);
}

/* Rows from `first` on in the caller's columns. */
static struct batch *given_rows(struct world *world, int64_t first) {
    int64_t a[ROWS], b[ROWS];
    for (int64_t i = 0; i < ROWS; i++) {
        a[i] = first + i;
        b[i] = (first + i) * 7;
    }
    struct column *columns[] = {test_column_i64(&world->pool, a, NULL, ROWS),
                                test_column_i64(&world->pool, b, NULL, ROWS)};
    return test_batch(world->given, columns, 2);
}

static void groups_expect(struct batch *rows, int32_t n_group_keys, int32_t first_column, int32_t *groups) {
    const int32_t keys[] = {first_column, first_column + 1};
    uint64_t hashes[ROWS];
    if (n_group_keys > 0) { batch_hash_into(rows, keys, n_group_keys, hashes); }
    for (int32_t i = 0; i < rows->rows; i++) {
        groups[i] = n_group_keys > 0 ? key_group_of(hashes[i], GROUPS) : n_group_keys == TO_ALL ? STATE_GROUP_ALL : 0;
    }
}

/* A savepoint /base with one table, whose rows have the groups of a table with so many group keys. */
static void base_write(struct world *world, int32_t n_group_keys) {
    struct batch *plain = given_rows(world, 0);
    int32_t groups[ROWS];
    int64_t namespaces[ROWS] = {0};
    groups_expect(plain, n_group_keys, 0, groups);
    struct column *columns[] = {test_column_i32(&world->pool, groups, NULL, ROWS),
                                test_column_i64(&world->pool, namespaces, NULL, ROWS),
                                column_ref(plain->columns[0]), column_ref(plain->columns[1])};
    struct batch *rows = test_batch(world->stored, columns, 4);
    batch_unref(plain);
    struct manifest manifest = {.job = strdup("job"), .checkpoint_id = 1, .max_parallelism = GROUPS};
    struct manifest_file item = {.uid = strdup("op"), .state = strdup("t"), .parallelism = 1, .kind = STATE_KEYED,
                                 .n_keys = 2};
    const struct manifest_operator operator_ = {.uid = strdup("op"), .parallelism = 1};
    const struct storage_writing writing = {.store = world->store, .pool = &world->pool, .path = "/base"};
    struct storage_writer *writer;
    assert_int_equal(storage_claim(world->store, "/base", true, 0, NULL), SABOT_OK);
    assert_int_equal(storage_writer_open(&writing, world->stored, &item, &writer, NULL), SABOT_OK);
    assert_int_equal(storage_writer_put(writer, rows, NULL), SABOT_OK);
    assert_int_equal(storage_writer_finish(writer, NULL), SABOT_OK);
    storage_writer_close(writer);
    batch_unref(rows);
    assert_int_equal(manifest_add_operator(&manifest, &operator_, NULL), SABOT_OK);
    assert_int_equal(manifest_add_file(&manifest, &item, NULL), SABOT_OK);
    assert_int_equal(storage_write_manifest(world->store, "/base", &manifest, NULL), SABOT_OK);
    manifest_clear(&manifest);
}

struct seen {
    int32_t n_group_keys, n_rows;
};

static sabot_status groups_check(void *arg, struct batch *rows, struct sabot_error *err) {
    (void)err;
    struct seen *seen = arg;
    int32_t groups[ROWS];
    assert_in_range(rows->rows, 1, ROWS);
    assert_int_equal(rows->selected, rows->rows);
    groups_expect(rows, seen->n_group_keys, 2, groups);
    for (int32_t i = 0; i < rows->rows; i++) {
        assert_int_equal(((const int32_t *)rows->columns[0]->values)[column_at(rows->columns[0], i)], groups[i]);
    }
    seen->n_rows += rows->rows;
    batch_unref(rows);
    return SABOT_OK;
}

static void new_rows_get_the_groups_that_those_of_the_base_have(void **state) {
    (void)state;
    for (int32_t n_group_keys = 2; n_group_keys >= TO_ALL; n_group_keys--) {
        for (int32_t keeps = 0; keeps < 2; keeps++) {
            struct world world;
            world_init(&world);
            base_write(&world, n_group_keys);
            const struct rewrite_options options = {.store = world.store, .pool = &world.pool, .base = "/base",
                                                    .path = "/new", .uid = "op", .state = "t", .schema = world.given,
                                                    .keeps_rows = keeps, .n_keys = REWRITE_KEYS_OF_BASE};
            struct rewrite *rewrite;
            struct sabot_error err = {0};
            if (rewrite_open(&options, &rewrite, &err) != SABOT_OK) { fail_msg("%s", err.message); }
            struct batch *rows = given_rows(&world, 10 * ROWS);
            assert_int_equal(rewrite_put(rewrite, rows, &err), SABOT_OK);
            batch_unref(rows);
            assert_int_equal(rewrite_finish(rewrite, &err), SABOT_OK);
            rewrite_close(rewrite);
            struct manifest manifest;
            assert_int_equal(storage_read_manifest(world.store, "/new", &manifest, &err), SABOT_OK);
            struct seen seen = {.n_group_keys = n_group_keys};
            assert_int_equal(manifest.n_files, 1);
            for (int32_t group = 0; group < GROUPS && n_group_keys == TO_ALL; group++) { /* any subtask may need it */
                assert_true(manifest.files[0].first_group <= group && group <= manifest.files[0].last_group);
            }
            assert_int_equal(storage_read_table(world.store, "/new", &world.pool, &manifest.files[0], groups_check,
                                                &seen, &err), SABOT_OK);
            assert_int_equal(seen.n_rows, keeps ? 2 * ROWS : ROWS);
            manifest_clear(&manifest);
            world_clear(&world);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(new_rows_get_the_groups_that_those_of_the_base_have)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
