/* The rows of a savepoint as a source: its position is where it stands, also before it has read anything. */
#include "engine/savepoint.h"

#include "base/env_sim.h"
#include "base/text.h"
#include "checkpoint/storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 200000 /* several batches */

static struct memory_pool pool;

struct world {
    struct env *env;
    struct store *store;
    struct schema *rows, *positions;
    const struct source_type *type;
    struct connector_table table;
    struct connector_context context;
};

static const struct table_option options[] = {{.key = "connector", .value = "savepoint"},
                                              {.key = "path", .value = "/s"},
                                              {.key = "operator", .value = "op"},
                                              {.key = "state", .value = "numbers"}};

/* Row i is i. */
static struct batch *numbers(struct schema *schema) {
    struct column_builder builder;
    struct column *column;
    struct batch *batch;
    assert_int_equal(column_builder_init(&builder, &pool, PHYS_I64, ROWS, false, NULL), SABOT_OK);
    for (int32_t i = 0; i < ROWS; i++) { ((int64_t *)builder.values)[i] = i; }
    assert_int_equal(column_builder_finish(&builder, &column, NULL), SABOT_OK);
    assert_int_equal(batch_new(schema, &column, 1, ROWS, &batch, NULL), SABOT_OK);
    return batch;
}

static void savepoint_make(struct world *world) {
    struct manifest manifest = {.job = strdup("job"), .checkpoint_id = 1, .max_parallelism = 128};
    const struct manifest_operator instance = {.uid = strdup("op"), .parallelism = 1};
    struct manifest_file file = {.uid = strdup("op"), .state = strdup("numbers"), .parallelism = 1,
                                 .kind = STATE_LIST};
    const struct storage_writing writing = {.store = world->store, .pool = &pool, .path = "/s"};
    struct storage_writer *writer;
    assert_int_equal(storage_claim(world->store, "/s", true, 0, NULL), SABOT_OK);
    assert_int_equal(storage_writer_open(&writing, world->rows, &file, &writer, NULL), SABOT_OK);
    struct batch *rows = numbers(world->rows);
    assert_int_equal(storage_writer_put(writer, rows, NULL), SABOT_OK);
    batch_unref(rows);
    assert_int_equal(storage_writer_finish(writer, NULL), SABOT_OK);
    storage_writer_close(writer);
    assert_int_equal(manifest_add_operator(&manifest, &instance, NULL), SABOT_OK);
    assert_int_equal(manifest_add_file(&manifest, &file, NULL), SABOT_OK);
    assert_int_equal(storage_write_manifest(world->store, "/s", &manifest, NULL), SABOT_OK);
    manifest_clear(&manifest);
}

static void world_init(struct world *world) {
    *world = (struct world){.env = env_sim_new(&(struct env_sim_options){.seed = 1})};
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    assert_int_equal(store_new(world->env, NULL, 0, &world->store, NULL), SABOT_OK);
    assert_int_equal(savepoint_register(NULL), SABOT_OK);
    world->type = connector_find("savepoint")->source;
    const struct field row = {"n", type_not_null(type_of(TYPE_INT64))};
    const struct field position[] = {{"split", type_not_null(type_of(TYPE_STRING))},
                                     {"position", type_not_null(type_of(TYPE_BINARY))}};
    assert_int_equal(schema_new(&row, 1, &world->rows, NULL), SABOT_OK);
    assert_int_equal(schema_new(position, 2, &world->positions, NULL), SABOT_OK);
    world->table = (struct connector_table){.name = "t", .options = options, .n_options = 4, .schema = world->rows,
                                            .declared = world->rows};
    world->context = (struct connector_context){.env = world->env, .store = world->store, .uid = "", .pool = &pool,
                                                .table = &world->table, .parallelism = 1};
    savepoint_make(world);
}

static void world_clear(struct world *world) {
    schema_unref(world->rows);
    schema_unref(world->positions);
    store_free(world->store);
    env_sim_free(world->env);
    assert_int_equal(atomic_load(&pool.used), 0);
}

/* The next batch: its first row, and how many; false: none is left. */
static bool poll(struct world *world, struct source *source, int64_t *first, int64_t *n) {
    for (;;) {
        enum source_state state;
        struct source_result result = {0};
        struct sabot_error err = {0};
        if (world->type->poll(source, &state, &result, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (state == SOURCE_END) { return false; }
        if (state == SOURCE_BATCH) {
            *first = ((const int64_t *)result.batch->columns[0]->values)[0];
            *n = result.batch->selected;
            batch_unref(result.batch);
            return true;
        }
        env_sim_advance(world->env, env_sim_next_work_ns(world->env));
        while (env_sim_due_work(world->env) > 0) { env_sim_run_work(world->env); }
    }
}

/* A source that goes on where another one stands. */
static struct source *go_on(struct world *world, struct source *source) {
    struct text position = {0};
    struct source_split split;
    struct column *columns[2];
    struct batch *rows;
    world->type->split(source, 0, &split);
    assert_int_equal(world->type->position(source, 0, &position, NULL), SABOT_OK);
    world->type->close(source);
    const struct string_view id = string_view_of(split.id, (uint32_t)strlen(split.id));
    const struct string_view at = string_view_of(position.data, (uint32_t)position.size);
    assert_int_equal(column_constant(&pool, PHYS_VIEW, &id, 1, &columns[0], NULL), SABOT_OK);
    assert_int_equal(column_constant(&pool, PHYS_VIEW, &at, 1, &columns[1], NULL), SABOT_OK);
    assert_int_equal(batch_new(world->positions, columns, 2, 1, &rows, NULL), SABOT_OK);
    assert_int_equal(world->type->open(&world->context, &source, NULL), SABOT_OK);
    assert_int_equal(world->type->restore(source, rows, NULL), SABOT_OK);
    batch_unref(rows);
    text_clear(&position);
    return source;
}

/* A checkpoint may come before a restored source has read anything. */
static void rows_come_once_however_often_it_is_restored(void **state) {
    (void)state;
    struct world world;
    struct source *source;
    world_init(&world);
    assert_int_equal(world.type->open(&world.context, &source, NULL), SABOT_OK);
    int64_t first, n, wanted = 0;
    while (poll(&world, source, &first, &n)) {
        assert_int_equal(first, wanted);
        wanted += n;
        for (int32_t i = 0; i < 2; i++) { source = go_on(&world, source); }
    }
    assert_int_equal(wanted, ROWS);
    world.type->close(source);
    world_clear(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_come_once_however_often_it_is_restored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
