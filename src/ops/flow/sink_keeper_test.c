/* Rows that a sink keeps go, with a restore at any parallelism, to the subtask that may have to send them, and to no
 * other. */
#include "ops/flow/sink_keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BEFORE = 4, PIECES = 3, SUBTASKS_MAX = 7 };

struct task {
    struct memory_pool pool;
    struct state_tables *tables;
    struct sink_keeper keeper;
};

static void task_make(struct task *task, int32_t subtask, int32_t parallelism) {
    const struct state_context context = {.pool = &task->pool, .subtask = subtask, .parallelism = parallelism,
                                          .max_parallelism = 128};
    memory_pool_init(&task->pool, "test", NULL, INT64_MAX);
    assert_int_equal(state_tables_new(&context, &task->tables, NULL), SABOT_OK);
}

static void task_open(struct task *task, int32_t subtask, int32_t parallelism) {
    const struct op_context context = {.pool = &task->pool, .state = task->tables, .subtask = subtask,
                                       .parallelism = parallelism, .max_parallelism = 128};
    assert_int_equal(sink_keeper_open(&task->keeper, &context, NULL), SABOT_OK);
}

static void task_clear(struct task *task) {
    state_tables_free(task->tables);
    sink_keeper_clear(&task->keeper);
    assert_int_equal(atomic_load(&task->pool.used), 0);
}

/* All subtasks have kept rows under the same keys. */
static void each_keeps(struct task *task, int32_t subtask) {
    for (int64_t key = 0; key < 2; key++) {
        for (int32_t piece = 0; piece < PIECES; piece++) {
            char text[64];
            const int size = snprintf(text, sizeof text, "subtask %d key %lld piece %d of some length", subtask,
                                      (long long)key, piece);
            assert_int_equal(task->keeper.keeper.add(&task->keeper.keeper, key, text, (size_t)size, NULL), SABOT_OK);
        }
    }
}

static void each_finds(struct task *task, int32_t former, bool is_ours) {
    for (int64_t key = 0; key < 2; key++) {
        struct kept_pieces pieces;
        assert_int_equal(task->keeper.keeper.former(&task->keeper.keeper, former, key, &pieces, NULL), SABOT_OK);
        assert_int_equal(pieces.n, is_ours ? PIECES : 0);
        for (int32_t piece = 0; piece < pieces.n; piece++) {
            char text[64];
            const int size = snprintf(text, sizeof text, "subtask %d key %lld piece %d of some length", former,
                                      (long long)key, piece);
            assert_int_equal(pieces.pieces[piece].size, size);
            assert_memory_equal(pieces.pieces[piece].data, text, (size_t)size);
        }
        kept_pieces_clear(&pieces);
    }
}

static void kept_rows_go_to_who_sends_them(void **state) {
    (void)state;
    for (int32_t parallelism = 1; parallelism <= SUBTASKS_MAX; parallelism++) {
        static struct task before[BEFORE], after[SUBTASKS_MAX];
        for (int32_t a = 0; a < parallelism; a++) { task_make(&after[a], a, parallelism); }
        for (int32_t b = 0; b < BEFORE; b++) {
            struct state_snapshot *snapshots;
            int32_t n;
            task_make(&before[b], b, BEFORE);
            task_open(&before[b], b, BEFORE);
            each_keeps(&before[b], b);
            assert_int_equal(state_tables_snapshot(before[b].tables, &snapshots, &n, NULL), SABOT_OK);
            assert_int_equal(n, 1);
            for (int32_t a = 0; a < parallelism; a++) {
                assert_int_equal(state_tables_load(after[a].tables, snapshots[0].name, snapshots[0].kind,
                                                   batch_ref(snapshots[0].rows), NULL), SABOT_OK);
            }
            state_snapshots_free(snapshots, n);
        }
        for (int32_t a = 0; a < parallelism; a++) {
            task_open(&after[a], a, parallelism);
            for (int32_t b = 0; b < BEFORE; b++) { each_finds(&after[a], b, b % parallelism == a); }
            sink_keeper_restored(&after[a].keeper);
            for (int32_t b = 0; b < BEFORE; b++) { each_finds(&after[a], b, false); }
        }
        for (int32_t a = 0; a < parallelism; a++) { task_clear(&after[a]); }
        for (int32_t b = 0; b < BEFORE; b++) { task_clear(&before[b]); }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kept_rows_go_to_who_sends_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
