/* Every row goes to one target (or, broadcast, to all), in order, to the one that owns its key group; a full
 * target holds up nobody else. */
#include "runtime/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TARGETS_MAX 16

static struct memory_pool pool;

static void no_wake(void *arg) { (void)arg; }

struct fixture {
    struct schema *schema;
    struct channel *channels[TARGETS_MAX];
    struct exchange_out out;
    int32_t keys[1];
};

static void fixture_init(struct fixture *fixture, enum exchange exchange, int32_t n, int32_t items) {
    memset(fixture, 0, sizeof *fixture);
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    const struct field fields[] = {{"key", type_of(TYPE_INT64)}, {"row", type_of(TYPE_INT64)}};
    assert_int_equal(schema_new(fields, 2, &fixture->schema, NULL), SABOT_OK);
    const struct channel_wake wake = {no_wake, NULL};
    for (int32_t i = 0; i < n; i++) {
        assert_int_equal(channel_new(items, wake, wake, &fixture->channels[i], NULL), SABOT_OK);
    }
    const struct exchange_options options = {.exchange = exchange, .keys = fixture->keys, .n_keys = 1,
                                             .max_parallelism = 128, .channels = fixture->channels, .n_channels = n,
                                             .pool = &pool};
    assert_int_equal(exchange_init(&fixture->out, &options, NULL), SABOT_OK);
}

static void fixture_clear(struct fixture *fixture) {
    const int32_t n = fixture->out.n_targets;
    exchange_clear(&fixture->out);
    for (int32_t i = 0; i < n; i++) { channel_free(fixture->channels[i]); }
    schema_unref(fixture->schema);
    assert_int_equal(atomic_load(&pool.used), 0);
}

/* Keys 0..keys, rows numbered; every `step`th row selected. */
static struct batch *batch_make(const struct fixture *fixture, int32_t rows, int64_t keys, int32_t step) {
    struct column *columns[2];
    for (int32_t c = 0; c < 2; c++) {
        struct column_builder builder;
        assert_int_equal(column_builder_init(&builder, &pool, PHYS_I64, rows, false, NULL), SABOT_OK);
        for (int64_t i = 0; i < rows; i++) { ((int64_t *)builder.values)[i] = c ? i : i * 31 % keys; }
        assert_int_equal(column_builder_finish(&builder, &columns[c], NULL), SABOT_OK);
    }
    struct batch *batch;
    assert_int_equal(batch_new(fixture->schema, columns, 2, rows, &batch, NULL), SABOT_OK);
    if (step == 1) { return batch; }
    struct buffer *selection;
    assert_int_equal(buffer_new(&pool, (size_t)rows * sizeof(int32_t), &selection, NULL), SABOT_OK);
    int32_t n = 0;
    for (int32_t i = 0; i < rows; i += step) { ((int32_t *)(void *)selection->data)[n++] = i; }
    struct batch *selected;
    assert_int_equal(batch_with_selection(batch, selection, n, &selected, NULL), SABOT_OK);
    batch_unref(batch);
    return selected;
}

/* Takes what has arrived; marks each row's target in `target_of`, and checks the order. */
static void take_all(struct fixture *fixture, int32_t target, int32_t *target_of) {
    struct channel_item item;
    while (channel_pop(fixture->channels[target], &item)) {
        if (item.kind != CHANNEL_BATCH) { continue; }
        int64_t last = -1;
        for (int32_t i = 0; i < item.batch->selected; i++) {
            const int32_t at = batch_row(item.batch, i);
            const int64_t row = ((const int64_t *)item.batch->columns[1]->values)[at];
            assert_true(row > last);
            last = row;
            assert_int_equal(target_of[row], -1);
            target_of[row] = target;
        }
        batch_unref(item.batch);
    }
}

static void hash_sends_a_key_to_the_owner_of_its_group(void **state) {
    (void)state;
    static const int32_t targets[] = {1, 2, 3, 7, 16};
    for (size_t t = 0; t < sizeof targets / sizeof targets[0]; t++) {
        for (int32_t step = 1; step <= 50; step += 7) {
            struct fixture fixture;
            fixture_init(&fixture, EXCHANGE_HASH, targets[t], 8);
            struct batch *batch = batch_make(&fixture, 5000, 97, step);
            BATCH_OWNED struct batch *kept = batch_ref(batch); /* so that the exchange may not write into it */
            assert_int_equal(exchange_emit(&fixture.out, batch, NULL), SABOT_OK);
            assert_null(kept->hashes);
            int32_t *target_of = malloc(5000 * sizeof *target_of);
            for (int32_t i = 0; i < 5000; i++) { target_of[i] = -1; }
            for (int32_t i = 0; i < targets[t]; i++) { take_all(&fixture, i, target_of); }
            assert_int_equal(batch_cache_hashes(&pool, kept, fixture.keys, 1, NULL), SABOT_OK);
            for (int32_t i = 0; i < 5000; i++) {
                const int32_t wanted =
                    i % step ? -1 : key_group_owner(key_group_of(kept->hashes[i], 128), 128, targets[t]);
                assert_int_equal(target_of[i], wanted);
            }
            free(target_of);
            batch_unref(kept);
            kept = NULL;
            fixture_clear(&fixture);
        }
    }
}

static void one_key_goes_on_without_a_copy(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, EXCHANGE_HASH, 4, 8);
    struct batch *batch = batch_make(&fixture, 100, 1, 1);
    assert_int_equal(exchange_emit(&fixture.out, batch, NULL), SABOT_OK);
    int32_t arrived = 0;
    for (int32_t i = 0; i < 4; i++) {
        struct channel_item item;
        if (!channel_pop(fixture.channels[i], &item)) { continue; }
        arrived++;
        assert_ptr_equal(item.batch, batch);
        batch_unref(item.batch);
    }
    assert_int_equal(arrived, 1);
    fixture_clear(&fixture);
}

static void a_full_target_holds_up_nobody_else(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, EXCHANGE_BROADCAST, 2, 2);
    struct channel_item item;
    for (int32_t i = 0; i < 6; i++) {
        assert_int_equal(exchange_emit(&fixture.out, batch_make(&fixture, 1 + i, 5, 1), NULL), SABOT_OK);
        assert_true(channel_pop(fixture.channels[1], &item));
        assert_int_equal(item.batch->rows, 1 + i);
        batch_unref(item.batch);
        assert_int_equal(exchange_is_full(&fixture.out), i >= 2);
    }
    assert_int_equal(exchange_event(&fixture.out, &(struct channel_item){.kind = CHANNEL_WATERMARK, .value = 9}, NULL),
                     SABOT_OK);
    for (int32_t i = 0; i < 6; i++) { /* what waited comes in order, the watermark behind it */
        exchange_flush(&fixture.out);
        assert_true(channel_pop(fixture.channels[0], &item));
        assert_int_equal(item.batch->rows, 1 + i);
        batch_unref(item.batch);
    }
    assert_true(exchange_flush(&fixture.out));
    for (int32_t i = 0; i < 2; i++) {
        assert_true(channel_pop(fixture.channels[i], &item));
        assert_int_equal(item.kind, CHANNEL_WATERMARK);
    }
    fixture_clear(&fixture);
}

static void rebalance_takes_turns_and_passes_by_the_full(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, EXCHANGE_REBALANCE, 3, 2);
    struct channel_item item;
    int32_t arrived[3] = {0};
    for (int32_t i = 0; i < 30; i++) {
        assert_int_equal(exchange_emit(&fixture.out, batch_make(&fixture, 1, 5, 1), NULL), SABOT_OK);
        for (int32_t t = 1; t < 3; t++) { /* nobody reads target 0 */
            while (channel_pop(fixture.channels[t], &item)) {
                arrived[t]++;
                batch_unref(item.batch);
            }
        }
    }
    assert_true(arrived[1] + arrived[2] >= 27);
    assert_true(abs(arrived[1] - arrived[2]) <= 3);
    fixture_clear(&fixture);
}

static void empty_batches_are_not_sent(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, EXCHANGE_FORWARD, 1, 2);
    assert_int_equal(exchange_emit(&fixture.out, batch_make(&fixture, 0, 5, 1), NULL), SABOT_OK);
    assert_int_equal(channel_count(fixture.channels[0]), 0);
    fixture_clear(&fixture);
}

/* Batch i has i + 1 rows. */
static void a_barrier_behind_a_full_channel_is_announced_with_the_rows_before_it(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, EXCHANGE_FORWARD, 1, 2);
    for (int32_t i = 0; i < 5; i++) {
        assert_int_equal(exchange_emit(&fixture.out, batch_make(&fixture, i + 1, 5, 1), NULL), SABOT_OK);
    }
    const struct channel_item barrier = {.kind = CHANNEL_BARRIER, .value = 7};
    assert_int_equal(exchange_event(&fixture.out, &barrier, NULL), SABOT_OK);
    assert_int_equal(exchange_emit(&fixture.out, batch_make(&fixture, 9, 5, 1), NULL), SABOT_OK);
    struct batch *rows[CHANNEL_LOOK_MAX];
    int32_t first = 0;
    bool found;
    channel_look(fixture.channels[0], 7, &first, rows, &found);
    assert_false(found); /* it waits in the producer's queue */
    exchange_announce(&fixture.out, 6);
    channel_look(fixture.channels[0], 7, &first, rows, &found);
    assert_false(found); /* that was another one */
    exchange_announce(&fixture.out, 7);
    int32_t seen = 0;
    for (first = 0; first >= 0;) {
        const int32_t n = channel_look(fixture.channels[0], 7, &first, rows, &found);
        assert_true(found);
        for (int32_t i = 0; i < n; i++) { assert_int_equal(rows[i]->selected, ++seen); }
    }
    assert_int_equal(seen, 5);
    int32_t taken = 0;
    struct channel_item item;
    for (int32_t i = 0; i < 7; i++) { /* looking has taken nothing */
        exchange_flush(&fixture.out);
        assert_true(channel_pop(fixture.channels[0], &item));
        if (item.kind != CHANNEL_BATCH) { continue; }
        assert_int_equal(item.batch->selected, taken < 5 ? taken + 1 : 9);
        taken++;
        batch_unref(item.batch);
    }
    assert_int_equal(taken, 6);
    fixture_clear(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_sends_a_key_to_the_owner_of_its_group),
        cmocka_unit_test(one_key_goes_on_without_a_copy),
        cmocka_unit_test(a_full_target_holds_up_nobody_else),
        cmocka_unit_test(rebalance_takes_turns_and_passes_by_the_full),
        cmocka_unit_test(empty_batches_are_not_sent),
        cmocka_unit_test(a_barrier_behind_a_full_channel_is_announced_with_the_rows_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
