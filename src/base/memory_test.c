/* Charges count up to the root, limits hold, blocks are aligned, and everything that is freed is given back. */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/text.h"

static void charges_count_in_every_pool_up_to_the_root(void **state) {
    (void)state;
    struct memory_pool root, job;
    memory_pool_init(&root, "process", NULL, 1000);
    memory_pool_init(&job, "job", &root, INT64_MAX);
    assert_int_equal(memory_charge(&job, 600, NULL), SABOT_OK);
    assert_int_equal(root.used, 600);
    assert_int_equal(job.used, 600);
    struct sabot_error err = {0};
    assert_int_equal(memory_charge(&job, 401, &err), SABOT_ERR_MEMORY);
    assert_non_null(strstr(err.message, "process"));
    assert_int_equal(root.used, 600); /* a refused charge leaves no trace */
    assert_int_equal(job.used, 600);
    assert_int_equal(memory_charge(&job, 400, NULL), SABOT_OK);
    memory_charge(&job, -1000, NULL);
    assert_int_equal(root.used, 0);
    assert_int_equal(root.peak, 1000);
}

static void blocks_are_aligned_and_given_back(void **state) {
    (void)state;
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    for (size_t size = 0; size < 3000000; size = size * 5 / 4 + 7) {
        for (int round = 0; round < 3; round++) {
            void *block;
            assert_int_equal(memory_alloc(&pool, size, &block, NULL), SABOT_OK);
            assert_int_equal((uintptr_t)block % 64, 0);
            assert_true(pool.used >= (int64_t)size);
            memset(block, 1, (size + 63) / 64 * 64); /* padded to whole vectors */
            memory_free(&pool, block, size);
            assert_int_equal(pool.used, 0);
        }
    }
}

/* From malloc to the system's pages and back: contents stay, what is charged is what is held, new state is zero. */
static void large_blocks_grow_and_shrink(void **state) {
    (void)state;
    static const size_t sizes[] = {1000, 1500000, 3000000, 9000000, 40000000, 2500000, 100000};
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, 64000000);
    void *block;
    assert_int_equal(memory_alloc(&pool, sizes[0], &block, NULL), SABOT_OK);
    for (size_t at = 0; at < sizes[0]; at++) { ((uint8_t *)block)[at] = (uint8_t)(at * 7); }
    for (size_t i = 0; i + 1 < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(memory_resize(&pool, &block, sizes[i], sizes[i + 1], NULL), SABOT_OK);
        assert_in_range(pool.used, sizes[i + 1], sizes[i + 1] * 5 / 4 + 64);
        assert_int_equal((uintptr_t)block % 64, 0);
        ((uint8_t *)block)[sizes[i + 1] - 1] = 1;
        for (size_t at = 0; at < sizes[0] - 1; at++) { assert_int_equal(((uint8_t *)block)[at], (uint8_t)(at * 7)); }
        struct sabot_error err = {0};
        assert_int_equal(memory_resize(&pool, &block, sizes[i + 1], 80000000, &err), SABOT_ERR_MEMORY);
        assert_non_null(strstr(err.message, "limit")); /* and the block is as it was */
    }
    memory_free(&pool, block, 100000);
    assert_int_equal(pool.used, 0);
    for (size_t size = 1000; size < 20000000; size *= 7) {
        uint8_t *zeros;
        assert_int_equal(memory_alloc_state(&pool, size, true, (void **)&zeros, NULL), SABOT_OK);
        for (size_t at = 0; at < size; at++) { assert_int_equal(zeros[at], 0); }
        memset(zeros, 1, size);
        memory_free_state(&pool, zeros, size);
    }
    assert_int_equal(pool.used, 0);
}

static void to_shrink_is_never_refused(void **state) {
    (void)state;
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, 40 << 10);
    void *block = NULL, *other;
    assert_int_equal(memory_alloc(&pool, 16 << 10, &block, NULL), SABOT_OK);
    assert_int_equal(memory_alloc(&pool, 20 << 10, &other, NULL), SABOT_OK);
    memset(block, 7, 16 << 10);
    assert_int_equal(memory_resize(&pool, &block, 16 << 10, 8 << 10, NULL), SABOT_OK); /* 4 KiB are left */
    assert_int_equal(pool.used, 28 << 10);
    for (int32_t i = 0; i < 8 << 10; i++) { assert_int_equal(((uint8_t *)block)[i], 7); }
    memory_free(&pool, block, 8 << 10);
    memory_free(&pool, other, 20 << 10);
    assert_int_equal(pool.used, 0);
}

static void resize_keeps_the_contents(void **state) {
    (void)state;
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, 100000);
    void *block;
    assert_int_equal(memory_alloc(&pool, 10, &block, NULL), SABOT_OK);
    memcpy(block, "0123456789", 10);
    size_t size = 10;
    for (; size < 20000; size *= 2) {
        assert_int_equal(memory_resize(&pool, &block, size, size * 2, NULL), SABOT_OK);
        assert_memory_equal(block, "0123456789", 10);
    }
    void *before = block;
    assert_int_equal(memory_resize(&pool, &block, size, 200000, NULL), SABOT_ERR_MEMORY);
    assert_ptr_equal(block, before);
    assert_memory_equal(block, "0123456789", 10);
    memory_free(&pool, block, size);
    assert_int_equal(pool.used, 0);
}

static void count_release(void *owner) { (*(int *)owner)++; }

static void wrapped_memory_is_released_once_by_the_last_reference(void **state) {
    (void)state;
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, 100);
    int released = 0;
    struct buffer *buffer;
    assert_int_equal(buffer_wrap(&pool, "hello", 5, count_release, &released, &buffer, NULL), SABOT_OK);
    assert_int_equal(pool.used, 5);
    buffer_ref(buffer);
    buffer_unref(buffer);
    assert_int_equal(released, 0);
    buffer_unref(buffer);
    assert_int_equal(released, 1);
    assert_int_equal(pool.used, 0);
    assert_int_equal(buffer_wrap(&pool, "hello", 101, count_release, &released, &buffer, NULL), SABOT_ERR_MEMORY);
    assert_null(buffer);
    assert_int_equal(released, 1);
}

static void text_grows_and_stays_terminated(void **state) {
    (void)state;
    struct text text = {0};
    assert_string_equal(text_string(&text), "");
    for (int i = 0; i < 1000; i++) { text_format(&text, "%d,", i % 10); }
    assert_int_equal(text.size, 2000);
    text_add(&text, "end");
    assert_string_equal(text.data + 2000, "end");
    char *room = text_reserve(&text, 2);
    memcpy(room, "!!", 2);
    text.size += 2;
    assert_string_equal(text_string(&text) + 2000, "end!!");
    assert_null(text_reserve(&text, TEXT_SIZE_MAX));
    assert_true(text.failed);
    text_clear(&text);
    assert_false(text.failed);
}

/* Asks for more than there is, again and again. */
#define ASKED_TIMES 200000
static atomic_int asked;
static void ask_for_too_much(void *arg) {
    for (; asked < ASKED_TIMES; asked++) { assert_int_equal(memory_charge(arg, 1000, NULL), SABOT_ERR_MEMORY); }
}

static void what_is_refused_to_one_thread_takes_nothing_from_another(void **state) {
    (void)state;
    struct memory_pool pool;
    memory_pool_init(&pool, "shared", NULL, 1000);
    struct env_thread *thread;
    assert_int_equal(memory_charge(&pool, 1, NULL), SABOT_OK);
    assert_int_equal(env_thread_start(env_real(), "asker", ask_for_too_much, &pool, &thread, NULL), SABOT_OK);
    int refused = 0;
    while (asked < ASKED_TIMES) {
        if (memory_charge(&pool, 1, NULL) == SABOT_OK) {
            memory_charge(&pool, -1, NULL);
        } else {
            refused++;
        }
    }
    env_thread_join(thread);
    assert_int_equal(refused, 0);
    assert_int_equal(pool.used, 1);
}

/* As a task's chunks that its helpers give back: no block is in two hands, whoever gave it back, and none is lost. */
#define HANDED_BLOCKS 200 /* more than a thread keeps for itself */
#define HANDED_ROUNDS 40
#define HANDED_BYTES ((size_t)20000)
struct handing {
    struct memory_pool *pool;
    void *blocks[HANDED_BLOCKS];
    uint8_t mark;
};

static void give_back(void *arg) {
    struct handing *handing = arg;
    for (int i = 0; i < HANDED_BLOCKS; i++) { memory_free(handing->pool, handing->blocks[i], HANDED_BYTES); }
    void *own[HANDED_BLOCKS];
    for (int i = 0; i < HANDED_BLOCKS; i++) {
        if (memory_alloc(handing->pool, HANDED_BYTES, &own[i], NULL) != SABOT_OK) { abort(); }
        memset(own[i], handing->mark + i, HANDED_BYTES);
    }
    for (int i = 0; i < HANDED_BLOCKS; i++) {
        const uint8_t *bytes = own[i];
        if (bytes[0] != (uint8_t)(handing->mark + i) || bytes[HANDED_BYTES - 1] != bytes[0]) { abort(); }
        memory_free(handing->pool, own[i], HANDED_BYTES);
    }
}

static void blocks_that_other_threads_give_back_are_in_one_hand(void **state) {
    (void)state;
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    for (int round = 0; round < HANDED_ROUNDS; round++) {
        struct handing handing[2] = {{.pool = &pool, .mark = 1}, {.pool = &pool, .mark = 100}};
        struct env_thread *threads[2];
        for (int t = 0; t < 2; t++) {
            for (int i = 0; i < HANDED_BLOCKS; i++) {
                assert_int_equal(memory_alloc(&pool, HANDED_BYTES, &handing[t].blocks[i], NULL), SABOT_OK);
                memset(handing[t].blocks[i], t + 7, HANDED_BYTES);
            }
        }
        for (int t = 0; t < 2; t++) {
            for (int i = 0; i < HANDED_BLOCKS; i++) {
                assert_int_equal(*(uint8_t *)handing[t].blocks[i], t + 7);
            }
            assert_int_equal(env_thread_start(env_real(), "giver", give_back, &handing[t], &threads[t], NULL),
                             SABOT_OK);
        }
        for (int t = 0; t < 2; t++) { env_thread_join(threads[t]); }
        assert_int_equal(pool.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_that_other_threads_give_back_are_in_one_hand),
        cmocka_unit_test(charges_count_in_every_pool_up_to_the_root),
        cmocka_unit_test(blocks_are_aligned_and_given_back),
        cmocka_unit_test(large_blocks_grow_and_shrink),
        cmocka_unit_test(resize_keeps_the_contents),
        cmocka_unit_test(to_shrink_is_never_refused),
        cmocka_unit_test(wrapped_memory_is_released_once_by_the_last_reference),
        cmocka_unit_test(text_grows_and_stays_terminated),
        cmocka_unit_test(what_is_refused_to_one_thread_takes_nothing_from_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
