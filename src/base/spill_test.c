/* Blocks of state larger than memory: they keep their bytes whatever is dropped, grow and shrink, are bounded, and a
 * full disk is an error. */
#include "base/spill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env_sim.h"
#include "base/memory.h"

#define MIB ((size_t)1 << 20)

static void pool_with_spill(struct memory_pool *pool, struct env *env, int64_t limit) {
    struct spill *spill;
    assert_int_equal(spill_new(env, NULL, limit, &spill, NULL), SABOT_OK);
    memory_pool_init(pool, "operator join[0]", NULL, limit);
    pool->spill = spill;
}

static void state_goes_to_disk_past_half_of_the_limit(void **state) {
    (void)state;
    struct memory_pool pool;
    pool_with_spill(&pool, env_real(), 4 * MIB);
    void *blocks[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(memory_alloc_state(&pool, MIB, true, &blocks[i], NULL), SABOT_OK);
        for (size_t at = 0; at < MIB; at += 4096) { assert_int_equal(((char *)blocks[i])[at], 0); }
        memset(blocks[i], i + 1, MIB);
    }
    assert_int_equal(pool.used, 2 * MIB);
    assert_int_equal(spill_bytes(pool.spill), 6 * MIB);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(((char *)blocks[i])[MIB - 1], i + 1);
        memory_free_state(&pool, blocks[i], MIB);
    }
    assert_int_equal(pool.used, 0);
    assert_int_equal(spill_bytes(pool.spill), 0);
    spill_free(pool.spill);
}

static void small_blocks_and_batches_stay_in_memory(void **state) {
    (void)state;
    struct memory_pool pool;
    pool_with_spill(&pool, env_real(), 2 * MIB);
    void *state_block, *small;
    struct buffer *batch;
    assert_int_equal(memory_alloc_state(&pool, MIB, false, &state_block, NULL), SABOT_OK);
    assert_int_equal(memory_alloc_state(&pool, 1000, false, &small, NULL), SABOT_OK);
    assert_int_equal(buffer_new(&pool, MIB / 2, &batch, NULL), SABOT_OK);
    assert_int_equal(spill_bytes(pool.spill), 0);
    assert_false(memory_is_short(&pool));
    struct buffer *second, *third;
    assert_int_equal(buffer_new(&pool, MIB / 4, &second, NULL), SABOT_OK);
    assert_true(memory_is_short(&pool));
    struct sabot_error err = {0};
    assert_int_equal(buffer_new(&pool, MIB, &third, &err), SABOT_ERR_MEMORY);
    assert_non_null(strstr(err.message, "operator join[0]"));
    buffer_unref(batch);
    buffer_unref(second);
    memory_free_state(&pool, state_block, MIB);
    memory_free_state(&pool, small, 1000);
    spill_free(pool.spill);
}

static void blocks_keep_their_bytes_when_they_grow_shrink_and_move(void **state) {
    (void)state;
    struct memory_pool pool;
    pool_with_spill(&pool, env_real(), 4 * MIB);
    struct block {
        uint32_t *words;
        size_t size;
    } blocks[40] = {0};
    uint32_t seed = 1;
    for (int step = 0; step < 2000; step++) {
        seed = seed * 1664525u + 1013904223u;
        struct block *block = &blocks[(seed >> 8) % 40];
        const size_t size = ((seed >> 16) % 300 + 1) * 4096;
        if (block->words && (seed >> 28) < 4) {
            memory_free_state(&pool, block->words, block->size);
            *block = (struct block){0};
            continue;
        }
        assert_int_equal(memory_resize_state(&pool, (void **)&block->words, block->size, size, NULL), SABOT_OK);
        for (size_t i = block->size / 4; i < size / 4; i++) { block->words[i] = (uint32_t)i; }
        block->size = size;
        for (size_t i = 0; i < size / 4; i += 997) { assert_int_equal(block->words[i], i); }
    }
    for (int i = 0; i < 40; i++) { memory_free_state(&pool, blocks[i].words, blocks[i].size); }
    assert_int_equal(pool.used, 0);
    spill_free(pool.spill);
}

/* Works only where the process is larger than its limit to begin with, so that all but an eighth is dropped. */
static void what_is_resident_is_bounded_and_what_is_dropped_comes_back(void **state) {
    (void)state;
    struct env *env = env_real();
    struct memory_pool pool;
    const size_t limit = 16 * MIB, size = 256 * MIB;
    pool_with_spill(&pool, env, (int64_t)limit);
    const int64_t before = env_memory_now(env).of_files;
    uint64_t *words = NULL;
    assert_int_equal(memory_alloc_state(&pool, size, true, (void **)&words, NULL), SABOT_OK);
    int64_t most = 0;
    for (size_t i = 0; i < size / 8; i += 512) {
        words[i] = i + 7;
        if (i % (MIB / 8) == 0) {
            memory_relax(&pool);
            const int64_t now = env_memory_now(env).of_files - before;
            most = now > most ? now : most;
        }
    }
    assert_true(most < (int64_t)(limit + limit / 5));
    for (size_t i = 0; i < size / 8; i += 512) {
        assert_int_equal(words[i], i + 7);
        if (i % (MIB / 8) == 0) { memory_relax(&pool); }
    }
    memory_free_state(&pool, words, size);
    spill_free(pool.spill);
}

/* A read of a page that is not there may bring in 15 more; memory_page_in brings it alone, and changes nothing. */
static void a_page_comes_in_without_its_neighbours(void **state) {
    (void)state;
    struct env *env = env_real();
    struct memory_pool pool;
    const size_t size = 256 * MIB, step = 128 * 1024;
    pool_with_spill(&pool, env, (int64_t)(4 * MIB));
    unsigned char *bytes = NULL;
    assert_int_equal(memory_alloc_state(&pool, size, true, (void **)&bytes, NULL), SABOT_OK);
    for (size_t i = 0; i < size; i += 4096) {
        bytes[i] = (unsigned char)(i / step % 251);
        if (i % MIB == 0) { memory_relax(&pool); }
    }
    int64_t before = env_memory_now(env).of_files;
    for (int64_t last = INT64_MAX; before < last;) {
        last = before;
        memory_relax(&pool);
        before = env_memory_now(env).of_files;
    }
    for (size_t i = 0; i < size; i += step) { memory_page_in(bytes + i); }
    const int64_t grown = env_memory_now(env).of_files - before, pages = (int64_t)(size / step) * 4096;
    assert_true(grown < 2 * pages); /* 8 MiB; with neighbours 128 */
    for (size_t i = 0; i < size; i += step) { assert_int_equal(bytes[i], i / step % 251); }
    memory_free_state(&pool, bytes, size);
    spill_free(pool.spill);
}

static void many_blocks_grow_without_a_file_of_their_own(void **state) {
    (void)state;
    struct memory_pool pool;
    pool_with_spill(&pool, env_real(), 65536);
    void *blocks[400];
    for (int i = 0; i < 400; i++) {
        assert_int_equal(memory_alloc_state(&pool, 65536, true, &blocks[i], NULL), SABOT_OK);
        memset(blocks[i], i & 127, 65536);
    }
    for (int i = 0; i < 400; i++) {
        assert_int_equal(memory_resize_state(&pool, &blocks[i], 65536, 131072, NULL), SABOT_OK);
        assert_int_equal(((char *)blocks[i])[65535], i & 127);
        memory_free_state(&pool, blocks[i], 131072);
    }
    spill_free(pool.spill);
}

static void a_full_disk_is_an_error_that_leaves_the_block_as_it_was(void **state) {
    (void)state;
    struct env *env = env_sim_new(&(struct env_sim_options){.seed = 1, .bytes_max = (int64_t)(4 * MIB)});
    struct memory_pool pool;
    pool_with_spill(&pool, env, (int64_t)MIB);
    char *block = NULL, *other = NULL;
    assert_int_equal(memory_alloc_state(&pool, MIB, true, (void **)&block, NULL), SABOT_OK);
    block[MIB - 1] = 9;
    struct sabot_error err = {0};
    assert_int_equal(memory_resize_state(&pool, (void **)&block, MIB, 8 * MIB, &err), SABOT_ERR_IO);
    assert_non_null(strstr(err.message, "No space left"));
    assert_non_null(strstr(err.message, "operator join[0]"));
    assert_int_equal(block[MIB - 1], 9);
    assert_int_equal(memory_alloc_state(&pool, 8 * MIB, true, (void **)&other, NULL), SABOT_ERR_IO);
    memory_free_state(&pool, block, MIB);
    spill_free(pool.spill);
    env_sim_free(env);
}

static void a_folder_that_can_not_be_written_is_named(void **state) {
    (void)state;
    struct spill *spill;
    void *block;
    struct sabot_error err = {0};
    assert_int_equal(spill_new(env_real(), "/proc/nowhere", MIB, &spill, NULL), SABOT_OK);
    assert_int_equal(spill_block_new(spill, "operator rank[1]", MIB, &block, &err), SABOT_ERR_IO);
    assert_non_null(strstr(err.message, "/proc/nowhere"));
    spill_free(spill);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_goes_to_disk_past_half_of_the_limit),
        cmocka_unit_test(small_blocks_and_batches_stay_in_memory),
        cmocka_unit_test(blocks_keep_their_bytes_when_they_grow_shrink_and_move),
        cmocka_unit_test(what_is_resident_is_bounded_and_what_is_dropped_comes_back),
        cmocka_unit_test(a_page_comes_in_without_its_neighbours),
        cmocka_unit_test(many_blocks_grow_without_a_file_of_their_own),
        cmocka_unit_test(a_full_disk_is_an_error_that_leaves_the_block_as_it_was),
        cmocka_unit_test(a_folder_that_can_not_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
