/* Items come out once and in order, full and empty are told apart, and no wake-up is lost between two threads. */
#include "runtime/channel.h"

#include "base/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void count_wake(void *arg) { ++*(int *)arg; }

static struct channel_item watermark(int64_t value) {
    return (struct channel_item){.kind = CHANNEL_WATERMARK, .value = value};
}

static void full_and_empty_are_answers(void **state) {
    (void)state;
    int producer_wakes = 0, consumer_wakes = 0;
    struct channel *channel;
    assert_int_equal(channel_new(4, (struct channel_wake){count_wake, &producer_wakes},
                                 (struct channel_wake){count_wake, &consumer_wakes}, &channel, NULL), SABOT_OK);
    struct channel_item item;
    assert_false(channel_pop(channel, &item)); /* asks to be woken */
    for (int64_t i = 0; i < 4; i++) {
        item = watermark(i);
        assert_true(channel_push(channel, &item));
    }
    assert_int_equal(consumer_wakes, 1); /* by the first item only */
    item = watermark(4);
    assert_false(channel_push(channel, &item));
    assert_int_equal(channel_count(channel), 4);
    for (int64_t i = 0; i < 4; i++) {
        assert_true(channel_pop(channel, &item));
        assert_int_equal(item.value, i);
        assert_int_equal(producer_wakes, i < 2 - 1 ? 0 : 1); /* when half of it is empty */
    }
    assert_false(channel_pop(channel, &item));
    channel_free(channel);
}

static void nobody_is_woken_who_does_not_wait(void **state) {
    (void)state;
    int wakes = 0;
    struct channel *channel;
    const struct channel_wake wake = {count_wake, &wakes};
    assert_int_equal(channel_new(8, wake, wake, &channel, NULL), SABOT_OK);
    for (int64_t i = 0; i < 1000; i++) {
        struct channel_item item = watermark(i);
        assert_true(channel_push(channel, &item));
        assert_true(channel_pop(channel, &item));
    }
    assert_int_equal(wakes, 0);
    channel_free(channel);
}

static void freeing_a_channel_frees_what_is_in_it(void **state) {
    (void)state;
    struct schema *schema;
    assert_int_equal(schema_new(NULL, 0, &schema, NULL), SABOT_OK);
    int wakes = 0;
    struct channel *channel;
    const struct channel_wake wake = {count_wake, &wakes};
    assert_int_equal(channel_new(8, wake, wake, &channel, NULL), SABOT_OK);
    struct channel_item item = {.kind = CHANNEL_BATCH};
    assert_int_equal(batch_new(schema, NULL, 0, 3, &item.batch, NULL), SABOT_OK);
    struct batch *batch = batch_ref(item.batch);
    assert_true(channel_push(channel, &item));
    channel_free(channel);
    assert_int_equal(atomic_load(&batch->refs), 1);
    batch_unref(batch);
    schema_unref(schema);
}

/* --- two threads */

#define ITEMS INT64_C(300000)

struct side {
    struct channel *channel;
    struct env_event *event;
    int64_t waits;
};

static void side_wake(void *arg) { env_event_set(((struct side *)arg)->event); }

static void produce(void *arg) {
    struct side *side = arg;
    for (int64_t i = 0; i < ITEMS; i++) {
        struct channel_item item = watermark(i);
        while (!channel_push(side->channel, &item)) {
            side->waits++;
            assert_true(env_event_wait(side->event, INT64_C(20000000000)));
        }
        if (i % 1024 == 0) { env_sleep_ns(env_real(), 1); } /* lets the ring run empty now and then */
    }
}

static void no_wake_up_is_lost_between_threads(void **state) {
    (void)state;
    for (int32_t capacity = 2; capacity <= 64; capacity *= 32) {
        struct side producer = {.event = env_event_new(env_real())};
        struct side consumer = {.event = env_event_new(env_real())};
        struct channel *channel;
        assert_int_equal(channel_new(capacity, (struct channel_wake){side_wake, &producer},
                                     (struct channel_wake){side_wake, &consumer}, &channel, NULL), SABOT_OK);
        producer.channel = consumer.channel = channel;
        struct env_thread *thread;
        assert_int_equal(env_thread_start(env_real(), "producer", produce, &producer, &thread, NULL), SABOT_OK);
        for (int64_t i = 0; i < ITEMS; i++) {
            struct channel_item item;
            while (!channel_pop(channel, &item)) {
                consumer.waits++;
                assert_true(env_event_wait(consumer.event, INT64_C(20000000000)));
            }
            assert_int_equal(item.value, i);
        }
        env_thread_join(thread);
        print_message("capacity %d: producer waited %lld times, consumer %lld\n", capacity, (long long)producer.waits,
                      (long long)consumer.waits);
        channel_free(channel);
        env_event_free(producer.event);
        env_event_free(consumer.event);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_and_empty_are_answers),
        cmocka_unit_test(nobody_is_woken_who_does_not_wait),
        cmocka_unit_test(freeing_a_channel_frees_what_is_in_it),
        cmocka_unit_test(no_wake_up_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
