/* A large file of a checkpoint is decoded by a helper ahead of who takes its rows: all rows come, in order; who gives
 * up in between, and a damaged file, end it with one error and without a leak. On the machine's own files, threads. */
#include "checkpoint/storage.h"

#include "base/env_local.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BATCHES 40
#define ROWS 30000 /* of 24 bytes, more than the least that is read ahead */

static struct memory_pool pool;
static struct store *store;
static struct schema *schema;
static char dir[256];
static struct manifest_file item;

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}

static uint64_t noise(int64_t at) {
    uint64_t x = (uint64_t)at * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return x * UINT64_C(0xbf58476d1ce4e5b9);
}

/* Noise, too, in the first quarter and the last one: what is stored as it is and what is compressed take turns. */
static uint64_t changing(int64_t at) {
    const int64_t quarter = at / (BATCHES * ROWS / 4);
    return quarter == 0 || quarter == 3 ? noise(at) : (uint64_t)(at & 7);
}

static struct batch *rows_make(int64_t first) {
    struct sabot_error err = {0};
    struct column *columns[3];
    for (int32_t c = 0; c < 3; c++) {
        struct column_builder builder;
        ok(column_builder_init(&builder, &pool, PHYS_I64, ROWS, false, &err), &err);
        for (int32_t i = 0; i < ROWS; i++) {
            ((uint64_t *)builder.values)[i] = c < 2 ? noise(first + i + c) : changing(first + i);
        }
        ok(column_builder_finish(&builder, &columns[c], &err), &err);
    }
    struct batch *batch;
    ok(batch_new(schema, columns, 3, ROWS, &batch, &err), &err);
    return batch;
}

static int file_make(void **state) {
    (void)state;
    struct sabot_error err = {0};
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    log_set_level(LOG_ERROR);
    snprintf(dir, sizeof dir, "%s/sabot-read-test-%016llx", env_temporary_dir(env_real()),
             (unsigned long long)env_random(env_real()));
    ok(store_new(env_real(), NULL, 0, &store, &err), &err);
    ok(store_make_dirs(store, dir, &err), &err);
    const struct type number = type_not_null(type_of(TYPE_INT64));
    ok(schema_new((const struct field[]){{"a", number}, {"b", number}, {"c", number}}, 3, &schema, &err), &err);
    item = (struct manifest_file){.uid = strdup("op"), .state = strdup("rows"), .parallelism = 1, .kind = STATE_LIST};
    const struct storage_writing writing = {.store = store, .pool = &pool, .path = dir};
    struct storage_writer *writer;
    ok(storage_writer_open(&writing, schema, &item, &writer, &err), &err);
    for (int64_t b = 0; b < BATCHES; b++) {
        struct batch *batch = rows_make(b * ROWS);
        ok(storage_writer_put(writer, batch, &err), &err);
        batch_unref(batch);
    }
    ok(storage_writer_finish(writer, &err), &err);
    storage_writer_close(writer);
    /* a third of the noise is not there; what tries cost, and the last ones before a change is seen */
    const int64_t noisy = (int64_t)BATCHES * ROWS * (2 * 8 + 4);
    assert_in_range(item.size, noisy, noisy + noisy / 8);
    return 0;
}

static int file_drop(void **state) {
    (void)state;
    struct sabot_error err = {0};
    ok(store_remove_tree(store, dir, &err), &err);
    manifest_file_clear(&item);
    schema_unref(schema);
    store_free(store);
    assert_int_equal(pool.used, 0);
    return 0;
}

struct taken {
    int64_t rows, stops_at; /* stops_at: rows behind which take() fails; -1: never */
};

static sabot_status take(void *arg, struct batch *given, struct sabot_error *err) {
    struct taken *taken = arg;
    BATCH_OWNED struct batch *batch = given;
    const uint64_t *values = batch->columns[1]->values;
    for (int32_t i = 0; i < batch->selected; i += 97) {
        if (values[batch_row(batch, i)] != noise(taken->rows + i + 1)) { fail_msg("another row came"); }
        const uint64_t *last = batch->columns[2]->values;
        if (last[batch_row(batch, i)] != changing(taken->rows + i)) { fail_msg("another row came"); }
    }
    taken->rows += batch->selected;
    if (taken->stops_at >= 0 && taken->rows >= taken->stops_at) {
        return SABOT_FAIL(err, SABOT_ERR_STATE, "enough after %lld rows", (long long)taken->rows);
    }
    return SABOT_OK;
}

static void all_rows_come_in_order(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct taken taken = {.stops_at = -1};
    ok(storage_read_table(store, dir, &pool, &item, take, &taken, &err), &err);
    assert_int_equal(taken.rows, (int64_t)BATCHES * ROWS);
}

static void who_gives_up_ends_it_with_its_own_error(void **state) {
    (void)state;
    for (int64_t stops_at = 0; stops_at < BATCHES * ROWS; stops_at += 7 * ROWS) {
        struct sabot_error err = {0};
        struct taken taken = {.stops_at = stops_at};
        assert_int_equal(storage_read_table(store, dir, &pool, &item, take, &taken, &err), SABOT_ERR_STATE);
        assert_non_null(strstr(err.message, "enough after"));
        assert_true(taken.rows < stops_at + 2 * ROWS);
    }
}

/* The table's file as it was written. */
static char *read_whole(char path[512], size_t *size) {
    struct sabot_error err = {0};
    char *data;
    snprintf(path, 512, "%s/%s", dir, item.file);
    ok(env_read_file(env_real(), path, &data, size, &err), &err);
    return data;
}

/* Writes it with one bit changed; `data` stays as it was. */
static void damage(const char *path, char *data, size_t size, size_t at) {
    struct sabot_error err = {0};
    data[at] ^= 1;
    ok(env_write_file(env_real(), path, data, size, &err), &err);
    data[at] ^= 1;
}

static sabot_status take_one(void *arg, struct batch *batch, struct sabot_error *err) {
    (void)err;
    ++*(int *)arg;
    batch_unref(batch);
    return SABOT_ERR_CANCELLED;
}

/* Damage behind what was taken is not looked for: nobody reads a large file for a look at its columns. */
static void who_has_enough_is_told_so_and_the_rest_is_not_read(void **state) {
    (void)state;
    char path[512];
    size_t size;
    struct sabot_error err = {0};
    char *data = read_whole(path, &size);
    damage(path, data, size, size / 2);
    int calls = 0;
    assert_int_equal(storage_read_table(store, dir, &pool, &item, take_one, &calls, &err), SABOT_ERR_CANCELLED);
    assert_int_equal(err.status, SABOT_OK);
    assert_int_equal(calls, 1);
    ok(env_write_file(env_real(), path, data, size, &err), &err);
    free(data);
}

static sabot_status drop(void *arg, struct batch *batch, struct sabot_error *err) {
    (void)arg;
    (void)err;
    batch_unref(batch);
    return SABOT_OK;
}

static void damage_anywhere_is_an_error_that_names_the_file(void **state) {
    (void)state;
    char path[512];
    size_t size;
    struct sabot_error err = {0};
    char *data = read_whole(path, &size);
    for (int32_t part = 0; part < 4; part++) {
        const size_t at = part == 3 ? size - 5 : size / 3 * (size_t)part + 12345;
        damage(path, data, size, at);
        error_clear(&err);
        assert_int_equal(storage_read_table(store, dir, &pool, &item, drop, NULL, &err), SABOT_ERR_CORRUPT);
        assert_non_null(strstr(err.message, "is not what was written"));
        assert_non_null(strstr(err.message, item.file));
        error_clear(&err);
    }
    ok(env_write_file(env_real(), path, data, size / 2, &err), &err);
    assert_int_equal(storage_read_table(store, dir, &pool, &item, drop, NULL, NULL), SABOT_ERR_CORRUPT);
    ok(env_write_file(env_real(), path, data, size, &err), &err);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_rows_come_in_order),
        cmocka_unit_test(who_gives_up_ends_it_with_its_own_error),
        cmocka_unit_test(who_has_enough_is_told_so_and_the_rest_is_not_read),
        cmocka_unit_test(damage_anywhere_is_an_error_that_names_the_file),
    };
    return cmocka_run_group_tests(tests, file_make, file_drop);
}
