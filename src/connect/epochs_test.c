/* Epochs of rows against a server that keeps rows and marks: tasks that write, checkpoint, commit, die and come back at
 * another parallelism, and every row is there once. Kafka and PostgreSQL themselves are met by their suites. */
#include "connect/epochs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "ops/flow/sink_keeper.h"
#include "tests/util/op_harness.h"

enum { TASKS_MAX = 4, ROWS_MAX = 20000, IDS_MAX = 16, ROUNDS = 200 };

/* --- the server */
static struct {
    struct env_mutex *mutex;
    char ids[IDS_MAX][EPOCHS_ID_MAX];
    int64_t marks[IDS_MAX];
    int32_t n_ids;
    uint8_t seen[ROWS_MAX];
    bool answers_slowly;
    int32_t n_pieces;
} server;

static int32_t id_find(const char *id) {
    for (int32_t i = 0; i < server.n_ids; i++) {
        if (strcmp(server.ids[i], id) == 0) { return i; }
    }
    return -1;
}

static sabot_status fake_open(struct epochs_target *target, struct sabot_error *err) {
    (void)err;
    env_mutex_lock(server.mutex);
    const int32_t at = id_find(target->id);
    target->mark = at < 0 ? -1 : server.marks[at];
    env_mutex_unlock(server.mutex);
    return SABOT_OK;
}

static void rows_see(const char *data, size_t size) {
    for (const char *at = data, *end = data + size; at < end; at = strchr(at, '\n') + 1) {
        const long row = strtol(at, NULL, 10);
        assert_in_range(row, 0, ROWS_MAX - 1);
        server.seen[row]++;
    }
}

static sabot_status fake_send(struct epochs_target *target, const struct epoch *epoch, bool *sent,
                              struct sabot_error *err) {
    (void)err;
    *sent = false;
    if (server.answers_slowly) { env_sleep_ns(env_real(), 1000000); }
    if (target->stop && atomic_load(target->stop)) { return SABOT_OK; }
    env_mutex_lock(server.mutex);
    int32_t at = id_find(target->id);
    if (at < 0) {
        at = server.n_ids++;
        snprintf(server.ids[at], sizeof server.ids[at], "%s", target->id);
    }
    server.marks[at] = epoch->number;
    for (int32_t i = 0; i <= epoch->n_pieces; i++) {
        const struct kept_piece part = epoch_part(epoch, i);
        rows_see(part.data, part.size);
    }
    server.n_pieces += epoch->n_pieces;
    env_mutex_unlock(server.mutex);
    target->mark = epoch->number; /* as Kafka's does: the task has its own copy */
    *sent = true;
    return SABOT_OK;
}

static void fake_close(struct epochs_target *target) { (void)target; }

static sabot_status fake_missing(const struct connector_context *context, const char *id, struct sabot_error *err) {
    (void)context;
    return SABOT_FAIL(err, SABOT_ERR_STATE, "the mark of %s is gone", id);
}

static const struct epochs_type type = {.tag = "fake1", .thread = "fake", .id_option = "'id'",
                                        .size = sizeof(struct epochs_target),
                                        .mark_age_ns = 1, /* again and again: epochs of nothing else have numbers too */
                                        .open = fake_open, .send = fake_send, .close = fake_close,
                                        .mark_missing = fake_missing};

/* --- tasks */
static struct memory_pool pool;
struct task {
    struct state_tables *tables;
    struct sink_keeper keeper;
    struct connector_context context;
    struct epochs *epochs;
};
struct checkpoint {
    int64_t id, rows; /* rows: so many have come before it */
    int32_t n;        /* tasks */
    struct text pending[TASKS_MAX];
    struct state_snapshot *snapshots[TASKS_MAX];
    int32_t n_snapshots[TASKS_MAX];
};

static struct test_random chance;
static const struct connector_table table = {.name = "t"};

static void quietly(void *arg) { (void)arg; }

static void checkpoint_clear(struct checkpoint *checkpoint) {
    for (int32_t t = 0; t < checkpoint->n; t++) {
        text_clear(&checkpoint->pending[t]);
        state_snapshots_free(checkpoint->snapshots[t], checkpoint->n_snapshots[t]);
    }
    *checkpoint = (struct checkpoint){0};
}

static sabot_status task_restore(struct task *task, const struct checkpoint *from, struct sabot_error *err) {
    const char *texts[TASKS_MAX];
    for (int32_t t = 0; t < from->n; t++) { texts[t] = text_string(&from->pending[t]); }
    struct schema *schema = test_schema((struct field[]){{"pending", type_of(TYPE_STRING)}}, 1);
    struct column *column = test_column_text(&pool, texts, from->n);
    struct batch *pending = test_batch(schema, &column, 1);
    const sabot_status status = epochs_restore(task->epochs, pending, err);
    batch_unref(pending);
    schema_unref(schema);
    if (status == SABOT_OK) { sink_keeper_restored(&task->keeper); }
    return status;
}

static sabot_status task_open(struct task *task, int32_t subtask, int32_t parallelism, const char *place,
                              const struct checkpoint *from, struct sabot_error *err) {
    *task = (struct task){0};
    const struct state_context context = {.pool = &pool, .subtask = subtask, .parallelism = parallelism,
                                          .max_parallelism = 128};
    assert_int_equal(state_tables_new(&context, &task->tables, NULL), SABOT_OK);
    for (int32_t t = 0; t < from->n; t++) {
        for (int32_t s = 0; s < from->n_snapshots[t]; s++) {
            const struct state_snapshot *snapshot = &from->snapshots[t][s];
            if (!snapshot->rows) { continue; }
            assert_int_equal(state_tables_load(task->tables, snapshot->name, snapshot->kind, batch_ref(snapshot->rows),
                                               NULL), SABOT_OK);
        }
    }
    const struct op_context op = {.pool = &pool, .state = task->tables, .subtask = subtask,
                                  .parallelism = parallelism, .max_parallelism = 128};
    assert_int_equal(sink_keeper_open(&task->keeper, &op, NULL), SABOT_OK);
    task->keeper.keeper.piece_bytes = 40; /* some rows */
    task->context = (struct connector_context){.env = env_real(), .pool = &pool, .keeper = &task->keeper.keeper,
                                               .table = &table, .subtask = subtask, .parallelism = parallelism,
                                               .wake = quietly};
    SABOT_TRY(epochs_open(&type, &task->context, place, "job", &task->epochs, err));
    return task_restore(task, from, err);
}

static void task_close(struct task *task) {
    epochs_close(task->epochs);
    state_tables_free(task->tables);
    sink_keeper_clear(&task->keeper);
}

static void row_add(struct task *task, int64_t row) {
    text_format(epochs_rows(task->epochs, NULL), "%lld\n", (long long)row);
    assert_int_equal(epochs_added(task->epochs, 1, NULL), SABOT_OK);
}

static void barrier(struct task *task, int32_t t, struct checkpoint *checkpoint) {
    for (bool full = true; full;) {
        checkpoint->pending[t].size = 0;
        assert_int_equal(epochs_prepare(task->epochs, checkpoint->id, &checkpoint->pending[t], &full, NULL), SABOT_OK);
        if (full) { env_sleep_ns(env_real(), 100000); }
    }
    assert_int_equal(state_tables_snapshot(task->tables, &checkpoint->snapshots[t], &checkpoint->n_snapshots[t], NULL),
                     SABOT_OK);
}

static void wait_until_sent(struct task *task) {
    for (bool done = false; !done;) {
        assert_int_equal(epochs_done(task->epochs, &done, NULL), SABOT_OK);
        if (!done) { env_sleep_ns(env_real(), 100000); }
    }
}

/* Rows come until the process dies, or, the last time, to the end. Checkpoints are complete some rows behind their
 * barriers; of tasks that are told to commit, the last ones may not be told any more, or all of them behind the next
 * barrier. */
static void life(struct checkpoint *newest, int32_t parallelism, bool is_last) {
    static struct task tasks[TASKS_MAX];
    struct sabot_error err = {0};
    for (int32_t t = 0; t < parallelism; t++) {
        if (task_open(&tasks[t], t, parallelism, "place", newest, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    }
    int64_t row = newest->rows, id = newest->id, untold = -1;
    const int32_t n_checkpoints = test_below(&chance, 4) + is_last;
    for (int32_t c = 0; c < n_checkpoints; c++) {
        for (int32_t n = test_below(&chance, 60); n > 0; n--, row++) { row_add(&tasks[row % parallelism], row); }
        struct checkpoint next = {.id = ++id, .rows = row, .n = parallelism};
        for (int32_t t = 0; t < parallelism; t++) { barrier(&tasks[t], t, &next); }
        for (int32_t t = 0; t < parallelism && untold >= 0; t++) { /* of the one before: these rows are not meant */
            assert_int_equal(epochs_commit(tasks[t].epochs, untold, NULL), SABOT_OK);
        }
        if (untold >= 0 && test_below(&chance, 2)) { env_sleep_ns(env_real(), 300000); }
        untold = -1;
        const bool dies = !is_last && test_below(&chance, 4) == 0;
        if (dies && test_below(&chance, 2)) { /* before it is complete */
            checkpoint_clear(&next);
            break;
        }
        for (int32_t n = test_below(&chance, 20); n > 0 && !(is_last && c + 1 == n_checkpoints); n--, row++) {
            row_add(&tasks[row % parallelism], row);
        }
        checkpoint_clear(newest);
        *newest = next;
        if (!is_last && test_below(&chance, 3) == 0) {
            untold = next.id;
            continue;
        }
        const int32_t n_told = dies ? test_below(&chance, parallelism + 1) : parallelism;
        for (int32_t t = 0; t < n_told; t++) {
            assert_int_equal(epochs_commit(tasks[t].epochs, next.id, NULL), SABOT_OK);
        }
        if (test_below(&chance, 2)) { wait_until_sent(&tasks[0]); }
        if (dies) { break; }
    }
    if (!is_last && untold < 0 && test_below(&chance, 2)) { env_sleep_ns(env_real(), 2000000); }
    for (int32_t t = 0; t < parallelism && is_last; t++) {
        const int64_t *kept;
        int32_t n_kept;
        wait_until_sent(&tasks[t]);
        assert_int_equal(state_namespaces(tasks[t].keeper.rows, &kept, &n_kept, NULL), SABOT_OK);
        assert_int_equal(n_kept, 0); /* what is sent is kept no longer */
    }
    for (int32_t t = 0; t < parallelism; t++) { task_close(&tasks[t]); }
}

static int setup(void **state) {
    (void)state;
    memset(&server, 0, sizeof server);
    server.mutex = env_mutex_new(env_real());
    chance = (struct test_random){.state = 7};
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    env_mutex_free(server.mutex);
    return atomic_load(&pool.used) != 0;
}

static void each_row_is_sent_once(void **state) {
    (void)state;
    struct checkpoint newest = {0};
    for (int32_t round = 0; round <= ROUNDS; round++) {
        server.answers_slowly = round % 3 == 0;
        life(&newest, 1 + test_below(&chance, TASKS_MAX), round == ROUNDS);
        /* what a complete checkpoint does not have was not sent, and nothing twice */
        for (int64_t row = 0; row < ROWS_MAX; row++) { assert_true(server.seen[row] <= (row < newest.rows)); }
    }
    assert_in_range(newest.rows, 1000, ROWS_MAX);
    for (int64_t row = 0; row < newest.rows; row++) { assert_int_equal(server.seen[row], 1); }
    assert_true(server.n_pieces > 100);
    checkpoint_clear(&newest);
}

/* A checkpoint with rows that were not sent, by a task that died before it was told. */
static void unsent(struct checkpoint *out) {
    struct task task;
    struct checkpoint none = {0};
    assert_int_equal(task_open(&task, 0, 1, "place", &none, NULL), SABOT_OK);
    *out = (struct checkpoint){.id = 1, .rows = 50, .n = 1};
    for (int64_t row = 0; row < out->rows; row++) { row_add(&task, row); }
    barrier(&task, 0, out);
    task_close(&task);
}

static void what_can_not_be_sent_once_is_refused(void **state) {
    (void)state;
    struct checkpoint checkpoint;
    struct task task;
    struct sabot_error err = {0};
    unsent(&checkpoint);
    assert_int_equal(task_open(&task, 0, 1, "elsewhere", &checkpoint, &err), SABOT_ERR_STATE);
    assert_non_null(strstr(err.message, "rows for 'place' that may not be sent yet"));
    task_close(&task);

    server.n_ids = 0; /* somebody has removed the marks: nobody knows what was sent */
    error_clear(&err);
    assert_int_equal(task_open(&task, 0, 1, "place", &checkpoint, &err), SABOT_ERR_STATE);
    assert_non_null(strstr(err.message, "the mark of job-0 is gone"));
    task_close(&task);
    checkpoint_clear(&checkpoint);
    for (int32_t row = 0; row < 50; row++) { assert_int_equal(server.seen[row], 0); }
}

/* Somebody starts the job without its newest checkpoint, sees it, and starts it from there after all. */
static void a_start_from_elsewhere_sends_nothing_in_their_place(void **state) {
    (void)state;
    struct checkpoint checkpoint, none = {0}, other = {.id = 1, .n = 1};
    struct task task;
    unsent(&checkpoint);
    assert_int_equal(task_open(&task, 0, 1, "place", &none, NULL), SABOT_OK);
    barrier(&task, 0, &other); /* its mark is set */
    task_close(&task);
    checkpoint_clear(&other);
    assert_int_equal(task_open(&task, 0, 1, "place", &checkpoint, NULL), SABOT_OK);
    wait_until_sent(&task);
    task_close(&task);
    checkpoint_clear(&checkpoint);
    for (int32_t row = 0; row < 50; row++) { assert_int_equal(server.seen[row], 1); }
}

static void torn_pieces_are_refused(void **state) {
    (void)state;
    struct checkpoint checkpoint;
    struct task task;
    struct sabot_error err = {0};
    unsent(&checkpoint);
    struct batch *whole = checkpoint.snapshots[0][0].rows, *part;
    assert_true(whole->selected > 2);
    struct buffer *selection;
    assert_int_equal(buffer_new(&pool, (size_t)whole->rows * sizeof(int32_t), &selection, NULL), SABOT_OK);
    for (int32_t i = 1; i < whole->selected; i++) { ((int32_t *)(void *)selection->data)[i - 1] = batch_row(whole, i); }
    assert_int_equal(batch_with_selection(whole, selection, whole->selected - 1, &part, NULL), SABOT_OK);
    batch_unref(whole);
    checkpoint.snapshots[0][0].rows = part;
    assert_int_equal(task_open(&task, 0, 1, "place", &checkpoint, &err), SABOT_ERR_CORRUPT);
    assert_non_null(strstr(err.message, "lacks some of the rows that it says it keeps for 'place'"));
    task_close(&task);

    error_clear(&err);
    checkpoint.pending[0].size -= 3; /* its last rows */
    assert_int_equal(task_open(&task, 0, 1, "place", &checkpoint, &err), SABOT_ERR_CORRUPT);
    task_close(&task);
    checkpoint_clear(&checkpoint);
    for (int32_t row = 0; row < 50; row++) { assert_int_equal(server.seen[row], 0); }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_row_is_sent_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_can_not_be_sent_once_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_from_elsewhere_sends_nothing_in_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(torn_pieces_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
