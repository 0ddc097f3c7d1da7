/* How far windows have fired, through checkpoints whose tasks were not at one watermark, at any parallelism. */
#include "ops/window/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define GROUPS 16

static struct memory_pool pool;

/* A task of an operator. */
struct task {
    struct op_context context;
    struct state_tables *tables;
    struct window_progress progress;
    int64_t watermark_ms;
};

static void task_make(struct task *task, int32_t subtask, int32_t parallelism) {
    *task = (struct task){.watermark_ms = INT64_MIN};
    const struct state_context state = {.pool = &pool, .backend = "memory", .subtask = subtask,
                                        .parallelism = parallelism, .max_parallelism = GROUPS};
    assert_int_equal(state_tables_new(&state, &task->tables, NULL), SABOT_OK);
    task->context = (struct op_context){.pool = &pool, .state = task->tables, .subtask = subtask,
                                        .parallelism = parallelism, .max_parallelism = GROUPS};
}

static void task_open(struct task *task) {
    assert_int_equal(window_progress_open(&task->progress, &task->context, &task->watermark_ms, NULL), SABOT_OK);
}

static void task_close(struct task *task) {
    window_progress_clear(&task->progress);
    state_tables_free(task->tables);
}

/* All `to` tasks start from what `from` tasks have kept. */
static void restore(struct task *from, int32_t n_from, struct task *to, int32_t n_to) {
    for (int32_t t = 0; t < n_to; t++) { task_make(&to[t], t, n_to); }
    for (int32_t f = 0; f < n_from; f++) {
        assert_int_equal(window_progress_keep(&from[f].progress, &pool, from[f].watermark_ms, NULL), SABOT_OK);
        struct state_snapshot *snapshots;
        int32_t n;
        assert_int_equal(state_tables_snapshot(from[f].tables, &snapshots, &n, NULL), SABOT_OK);
        for (int32_t i = 0; i < n; i++) {
            for (int32_t t = 0; t < n_to && snapshots[i].rows; t++) {
                assert_int_equal(state_tables_load(to[t].tables, snapshots[i].name, snapshots[i].kind,
                                                   batch_ref(snapshots[i].rows), NULL), SABOT_OK);
            }
        }
        state_snapshots_free(snapshots, n);
        task_close(&from[f]);
    }
    for (int32_t t = 0; t < n_to; t++) { task_open(&to[t]); }
}

/* By what a row of this key group is judged. */
static int64_t judged_by(const struct task *task, int32_t group) {
    uint64_t hash = 0;
    while (key_group_of(hash, GROUPS) != group) { hash += UINT64_C(0x9E3779B97F4A7C15); }
    const struct batch batch = {.hashes = &hash};
    return window_progress_of(&task->progress, &batch, 0, task->watermark_ms);
}

static void two_begin(struct task tasks[2]) {
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    for (int32_t t = 0; t < 2; t++) {
        task_make(&tasks[t], t, 2);
        task_open(&tasks[t]);
        assert_true(tasks[t].watermark_ms == INT64_MIN);
        tasks[t].watermark_ms = 100 + 100 * t;
    }
}

static void each_task_goes_on_where_it_was(void **state) {
    (void)state;
    struct task before[2], after[2];
    two_begin(before);
    restore(before, 2, after, 2);
    for (int32_t t = 0; t < 2; t++) {
        assert_int_equal(after[t].watermark_ms, 100 + 100 * t);
        assert_false(window_progress_splits(&after[t].progress, 0, 0));
        task_close(&after[t]);
    }
    assert_int_equal(pool.used, 0);
}

static void a_group_that_was_further_takes_no_late_row_at_another_parallelism(void **state) {
    (void)state;
    struct task two[2], one[1], three[3], again[1];
    two_begin(two);
    restore(two, 2, one, 1);
    assert_int_equal(one->watermark_ms, 100);
    assert_int_equal(judged_by(one, 0), 100);
    assert_int_equal(judged_by(one, GROUPS / 2 - 1), 100);
    assert_int_equal(judged_by(one, GROUPS / 2), 200);
    assert_int_equal(judged_by(one, GROUPS - 1), 200);
    assert_true(window_progress_splits(&one->progress, 150, 0));
    assert_false(window_progress_splits(&one->progress, 250, 0));
    one->watermark_ms = 120; /* and it stays so through the next checkpoint */
    restore(one, 1, three, 3);
    for (int32_t t = 0; t < 3; t++) {
        const int32_t first = key_group_first(t, GROUPS, 3);
        const bool all_further = first >= GROUPS / 2;
        assert_int_equal(three[t].watermark_ms, all_further ? 200 : 120);
        assert_int_equal(judged_by(&three[t], first), all_further ? 200 : 120);
        three[t].watermark_ms = 230; /* past all: nothing is left of the difference */
    }
    restore(three, 3, again, 1);
    assert_int_equal(again->watermark_ms, 230);
    assert_false(window_progress_splits(&again->progress, 0, 0));
    task_close(again);
    assert_int_equal(pool.used, 0);
}

static void rows_are_split_by_their_groups(void **state) {
    (void)state;
    struct task two[2], one[1];
    two_begin(two);
    restore(two, 2, one, 1);
    uint64_t hashes[64];
    for (uint64_t i = 0; i < 64; i++) { hashes[i] = i * UINT64_C(0x9E3779B97F4A7C15); }
    const struct batch batch = {.hashes = hashes};
    int32_t kept[64], late[64], n_kept;
    window_progress_split(&one->progress, &batch, NULL, 64, 150, 0, kept, &n_kept, late);
    assert_in_range(n_kept, 1, 63);
    for (int32_t i = 0; i < n_kept; i++) { assert_true(key_group_of(hashes[kept[i]], GROUPS) < GROUPS / 2); }
    for (int32_t i = 0; i < 64 - n_kept; i++) { assert_true(key_group_of(hashes[late[i]], GROUPS) >= GROUPS / 2); }
    window_progress_split(&one->progress, &batch, NULL, 64, 150, 60, kept, &n_kept, late); /* allowed lateness */
    assert_int_equal(n_kept, 64);
    task_close(one);
    assert_int_equal(pool.used, 0);
}

/* One watermark per task, of groups that are not named: the least, so that no window is lost. */
static void a_checkpoint_of_before_is_read(void **state) {
    (void)state;
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    struct task task;
    task_make(&task, 0, 1);
    const struct field field = {"watermark", type_not_null(type_of(TYPE_INT64))};
    struct schema *schema;
    assert_int_equal(schema_new(&field, 1, &schema, NULL), SABOT_OK);
    for (int64_t watermark = 200; watermark >= 100; watermark -= 100) {
        struct column *column;
        struct batch *row;
        assert_int_equal(column_constant(&pool, PHYS_I64, &watermark, 1, &column, NULL), SABOT_OK);
        assert_int_equal(batch_new(schema, &column, 1, 1, &row, NULL), SABOT_OK);
        assert_int_equal(state_tables_load(task.tables, "progress", STATE_LIST, row, NULL), SABOT_OK);
    }
    task_open(&task);
    assert_int_equal(task.watermark_ms, 100);
    struct task after[1];
    restore(&task, 1, after, 1);
    assert_int_equal(after->watermark_ms, 100);
    task_close(after);
    schema_unref(schema);
    assert_int_equal(pool.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_goes_on_where_it_was),
        cmocka_unit_test(a_group_that_was_further_takes_no_late_row_at_another_parallelism),
        cmocka_unit_test(rows_are_split_by_their_groups),
        cmocka_unit_test(a_checkpoint_of_before_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
