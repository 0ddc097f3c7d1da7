/* Process functions by hand: keys of all forms, state of all kinds, timers that are moved and cleared, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/kv.h"
#include "state/kv_hot.h"
#include "tests/util/op_harness.h"

/* --- a function that writes what it sees into a text column "line" */
static char lines[1 << 16];

/* One row of one text: what it points to is its own. */
struct line {
    struct ArrowArray child, *children[1];
    const void *text_buffers[3], *none[1];
    int32_t offsets[2];
    char text[512];
};
static void column_release(struct ArrowArray *array) { array->release = NULL; }
static void line_release(struct ArrowArray *array) {
    free(array->private_data);
    array->release = NULL;
}

static sabot_status emit_line(struct sabot_process *process, const char *text, int32_t from, struct sabot_error *err) {
    struct line *line = calloc(1, sizeof *line);
    line->offsets[1] = snprintf(line->text, sizeof line->text, "%s", text);
    line->text_buffers[1] = line->offsets;
    line->text_buffers[2] = line->text;
    line->child = (struct ArrowArray){.length = 1, .n_buffers = 3, .buffers = line->text_buffers,
                                      .release = column_release};
    line->children[0] = &line->child;
    struct ArrowArray rows = {.length = 1, .n_buffers = 1, .buffers = line->none, .n_children = 1,
                              .children = line->children, .release = line_release, .private_data = line};
    return sabot_emit(process, &rows, &from, err);
}

enum { COUNT, LAST, ALL, BY_VALUE, TEXT, YOUNG, TAGS, N_STATES };
enum { IDLE, EACH, CLOCK };
static const struct sabot_process_state states[] = {
    {.name = "count", .kind = SABOT_COUNTER, .type = SABOT_BIGINT},
    {.name = "last", .kind = SABOT_VALUE, .type = SABOT_BIGINT},
    {.name = "all", .kind = SABOT_LIST, .type = SABOT_BIGINT},
    {.name = "by_value", .kind = SABOT_MAP, .type = SABOT_BYTES, .map_key = SABOT_BIGINT},
    {.name = "text", .kind = SABOT_VALUE, .type = SABOT_BYTES},
    {.name = "young", .kind = SABOT_VALUE, .type = SABOT_BIGINT, .ttl_ms = 100, .ttl_time = SABOT_EVENT_TIME},
    {.name = "tags", .kind = SABOT_MAP, .type = SABOT_BYTES, .map_key = SABOT_BYTES},
};
static const struct sabot_process_timer timers[] = {
    {.name = "idle", .time = SABOT_EVENT_TIME},
    {.name = "each", .time = SABOT_EVENT_TIME, .many = true},
    {.name = "clock", .time = SABOT_PROCESSING_TIME},
};
static const struct sabot_process_column value_column[] = {{"v", "BIGINT"}}, line_column[] = {{"line", "STRING"}};

/* Per row: v is added to everything; the timer `idle` moves to v + 100. v = -1 clears it, -2 clears all state, -3
 * asks for what is forgotten 100 ms later. */
static sabot_status take_row(struct sabot_process *process, int32_t key, int64_t v, struct sabot_error *err) {
    const int64_t one = 1, idle = v + 100;
    char bytes[64];
    const struct sabot_bytes text = {bytes, (size_t)snprintf(bytes, sizeof bytes, "a value of more than 12 bytes: %lld",
                                                             (long long)v)};
    if (v == -1) { return sabot_timer_clear(process, IDLE, &key, 1, NULL, err); }
    if (v == -2) {
        for (int32_t s = 0; s < N_STATES; s++) { SABOT_TRY(sabot_state_clear(process, s, &key, 1, err)); }
        return SABOT_OK;
    }
    if (v == -3) {
        int64_t young;
        bool found;
        SABOT_TRY(sabot_state_get(process, YOUNG, &key, 1, &young, &found, err));
        return emit_line(process, found ? "there" : "gone", key, err);
    }
    SABOT_TRY(sabot_state_put(process, YOUNG, &key, 1, &v, err));
    SABOT_TRY(sabot_state_add(process, COUNT, &key, 1, &one, err));
    SABOT_TRY(sabot_state_put(process, LAST, &key, 1, &v, err));
    SABOT_TRY(sabot_list_add(process, ALL, &key, 1, &v, err));
    SABOT_TRY(sabot_map_put(process, BY_VALUE, &key, &v, 1, &text, err));
    SABOT_TRY(sabot_state_put(process, TEXT, &key, 1, &text, err));
    return sabot_timer_set(process, IDLE, &key, 1, &idle, err);
}

static sabot_status see_rows(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                             struct sabot_error *err) {
    (void)instance;
    const struct ArrowArray *column = call->rows->children[0];
    const int64_t *values = (const int64_t *)column->buffers[1] + column->offset;
    for (int32_t k = 0; k < call->n_keys; k++) {
        for (int32_t i = call->key_starts[k]; i < call->key_starts[k + 1]; i++) {
            SABOT_TRY(take_row(process, k, values[i], err));
        }
    }
    return SABOT_OK;
}

/* "timer@time count/last/list/map/text" */
static sabot_status see_timer(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                              struct sabot_error *err) {
    (void)instance;
    for (int32_t k = 0; k < call->n_keys; k++) {
        int64_t count = 0, last = 0, n = 0, n_entries = 0;
        struct sabot_bytes text = {"", 0};
        bool found;
        const void *list, *map_keys, *map_values;
        char line[512];
        SABOT_TRY(sabot_state_get(process, COUNT, &k, 1, &count, &found, err));
        if (!found) { count = 0; }
        SABOT_TRY(sabot_state_get(process, LAST, &k, 1, &last, &found, err));
        SABOT_TRY(sabot_list_get(process, ALL, k, &list, &n, err));
        int at = snprintf(line, sizeof line, "%s@%lld %lld/%lld/", timers[call->timers[k]].name,
                          (long long)call->times_ms[k], (long long)count, (long long)last);
        for (int64_t i = 0; i < n; i++) {
            at += snprintf(line + at, sizeof line - (size_t)at, "%s%lld", i ? "," : "",
                           (long long)((const int64_t *)list)[i]);
        }
        SABOT_TRY(sabot_map_entries(process, BY_VALUE, k, &map_keys, &map_values, &n_entries, err));
        int64_t bytes = 0;
        for (int64_t i = 0; i < n_entries; i++) { bytes += (int64_t)((const struct sabot_bytes *)map_values)[i].size; }
        SABOT_TRY(sabot_state_get(process, TEXT, &k, 1, &text, &found, err));
        if (!found) { text.size = 0; }
        snprintf(line + at, sizeof line - (size_t)at, "/%lld:%lld/%.*s", (long long)n_entries, (long long)bytes,
                 (int)text.size, (const char *)text.data);
        SABOT_TRY(emit_line(process, line, k, err));
    }
    return SABOT_OK;
}

static struct sabot_process_function definition = {
    .size = sizeof definition, .inputs = value_column, .n_inputs = 1, .columns = line_column, .n_columns = 1,
    .states = states, .n_states = N_STATES, .timers = timers, .n_timers = 3, .process = see_rows,
    .on_timer = see_timer};

/* --- the operator around it; the input is v, then the keys, then their column */
struct rig {
    bool timed; /* the second key is the event time too */
    struct process_function function;
    struct field input_fields[1], line_fields[1];
    struct process_options options;
    struct process_key_options key_options;
    struct schema *rows, *plain, *keyed, *output;
    int32_t keys[4];
    struct op_harness *key, *op;
};

/* Its operator is not open yet. */
static void rig_make(struct rig *rig, const struct field *fields /* v, keys */, int32_t n_keys) {
    struct field all[6], out[6];
    struct type types[4];
    enum process_key_form form;
    memcpy(all, fields, (size_t)(n_keys + 1) * sizeof *fields);
    for (int32_t k = 0; k < n_keys; k++) {
        rig->keys[k] = k + 1;
        types[k] = fields[k + 1].type;
        out[k] = fields[k + 1];
    }
    assert_int_equal(process_key_form(types, n_keys, &form, NULL), SABOT_OK);
    rig->input_fields[0] = (struct field){"v", type_of(TYPE_INT64)};
    rig->line_fields[0] = out[n_keys] = (struct field){"line", type_of(TYPE_STRING)};
    rig->function = (struct process_function){.name = "see", .definition = definition, .inputs = rig->input_fields,
                                              .columns = rig->line_fields};
    rig->rows = test_schema(rig->input_fields, 1);
    rig->plain = test_schema(all, n_keys + 1);
    all[n_keys + 1] = process_key_field(form);
    rig->keyed = test_schema(all, n_keys + 2);
    if (rig->timed) { out[n_keys + 1] = (struct field){"rowtime", fields[2].type}; }
    rig->output = test_schema(out, n_keys + 1 + rig->timed);
    rig->key_options = (struct process_key_options){.keys = rig->keys, .n_keys = n_keys};
    rig->options = (struct process_options){
        .function = &rig->function, .rows = rig->rows, .passed = rig->keys, .n_passed = n_keys, .keys = rig->keys,
        .n_keys = n_keys, .time_column = rig->timed ? 2 : -1};
    rig->key = calloc(1, sizeof *rig->key);
    rig->op = calloc(1, sizeof *rig->op);
    harness_init(rig->op, &op_process, &rig->options, rig->keyed, rig->output);
    harness_init(rig->key, &op_process_key, &rig->key_options, rig->plain, rig->keyed);
    harness_open(rig->key);
}

static void rig_open(struct rig *rig, const struct field *fields, int32_t n_keys) {
    rig_make(rig, fields, n_keys);
    harness_open(rig->op);
}

static void rig_close(struct rig *rig) {
    harness_forget(rig->key);
    harness_forget(rig->op);
    harness_close(rig->key);
    harness_close(rig->op);
    free(rig->key);
    free(rig->op);
    schema_unref(rig->rows);
    schema_unref(rig->plain);
    schema_unref(rig->keyed);
    schema_unref(rig->output);
}

/* What has come out since the last time, sorted, a line each. */
static const char *seen(struct rig *rig) {
    int32_t n;
    char **rows = harness_rows(rig->op, &n);
    size_t at = 0;
    lines[0] = 0;
    for (int32_t i = 0; i < n; i++) { at += (size_t)snprintf(lines + at, sizeof lines - at, "%s\n", rows[i]); }
    test_rows_free(rows, n);
    harness_forget(rig->op);
    return lines;
}

static void feed_numbers(struct rig *rig, const int64_t *values, const int64_t *keys, const bool *nulls, int32_t n) {
    struct column *columns[] = {test_column_i64(&rig->key->pool, values, NULL, n),
                                test_column_i64(&rig->key->pool, keys, nulls, n)};
    harness_batch(rig->key, test_batch(rig->plain, columns, 2));
    harness_batch(rig->op, batch_ref(rig->key->events[rig->key->n_events - 1].batch));
    harness_forget(rig->key);
}

#define TEXT_OF(v) "a value of more than 12 bytes: " #v

static void rows_come_sorted_by_key_and_state_lasts(void **unused) {
    (void)unused;
    struct rig rig = {0};
    const struct field fields[] = {{"v", type_of(TYPE_INT64)}, {"k", type_of(TYPE_INT64)}};
    rig_open(&rig, fields, 1);
    feed_numbers(&rig, (int64_t[]){1, 2, 3, 4, 5}, (int64_t[]){7, 8, 7, 0, 7}, (bool[]){0, 0, 0, 1, 0}, 5);
    feed_numbers(&rig, (int64_t[]){6, 7}, (int64_t[]){0, 0}, (bool[]){0, 1}, 2); /* 0 and NULL are two keys */
    harness_watermark(rig.op, 104);
    assert_string_equal(seen(&rig), "8|idle@102 1/2/2/1:32/" TEXT_OF(2) "\n"); /* the others have moved */
    harness_restart(rig.op, 1);
    harness_watermark(rig.op, 200);
    assert_string_equal(seen(&rig), "0|idle@106 1/6/6/1:32/" TEXT_OF(6) "\n"
                                    "7|idle@105 3/5/1,3,5/3:96/" TEXT_OF(5) "\n"
                                    "NULL|idle@107 2/7/4,7/2:64/" TEXT_OF(7) "\n");
    harness_watermark(rig.op, 1000);
    assert_string_equal(seen(&rig), "");
    rig_close(&rig);
}

/* A checkpoint whose barriers overtook rows: one of two tasks was further. The one that is restored from both begins
 * where the other was, and shows nothing that had expired. */
static void what_had_expired_at_one_task_stays_so_in_the_one_that_takes_over(void **unused) {
    (void)unused;
    enum { KEYS = 40 };
    const struct field fields[] = {{"v", type_of(TYPE_INT64)}, {"k", type_of(TYPE_INT64)}};
    struct rig rigs[3] = {0};
    struct sabot_error err = {0};
    char expected[64];
    for (int32_t t = 0; t < 3; t++) { rig_make(&rigs[t], fields, 1); }
    int64_t first[2] = {-1, -1}; /* a key of each */
    for (int32_t t = 0; t < 2; t++) {
        struct op_harness *op = rigs[t].op;
        op->context.parallelism = 2;
        op->context.subtask = t;
        harness_open(op);
        harness_watermark(op, 1000);
        for (int64_t k = 0; k < KEYS; k++) {
            if (key_group_owner(key_group_of(kv_key_hash(KV_INT64, &k), 128), 128, 2) != t) { continue; }
            first[t] = k;
            feed_numbers(&rigs[t], (int64_t[]){5000}, &k, NULL, 1);
        }
        harness_watermark(op, t ? 1050 : 1100);
        harness_check_end(op);
        struct state_snapshot *snapshots;
        int32_t n;
        assert_int_equal(op_process.before_barrier(op->op, 1, &op->out, &err), SABOT_OK);
        assert_int_equal(state_tables_snapshot(op->tables, &snapshots, &n, &err), SABOT_OK);
        for (int32_t i = 0; i < n; i++) {
            if (!snapshots[i].rows) { continue; }
            assert_int_equal(state_tables_load(rigs[2].op->tables, snapshots[i].name, snapshots[i].kind,
                                               batch_ref(snapshots[i].rows), &err), SABOT_OK);
        }
        state_snapshots_free(snapshots, n);
    }
    harness_open(rigs[2].op);
    feed_numbers(&rigs[2], (int64_t[]){-3, -3}, first, NULL, 2);
    const char *lines_seen = seen(&rigs[2]);
    for (int32_t t = 0; t < 2; t++) {
        snprintf(expected, sizeof expected, "%lld|%s\n", (long long)first[t], t ? "there" : "gone");
        assert_non_null(strstr(lines_seen, expected));
    }
    for (int32_t t = 2; t >= 0; t--) { rig_close(&rigs[t]); }
}

static void timers_can_be_cleared(void **unused) {
    (void)unused;
    struct rig rig = {0};
    const struct field fields[] = {{"v", type_of(TYPE_INT64)}, {"k", type_of(TYPE_INT64)}};
    rig_open(&rig, fields, 1);
    feed_numbers(&rig, (int64_t[]){1, 2}, (int64_t[]){1, 2}, NULL, 2);
    feed_numbers(&rig, (int64_t[]){-1}, (int64_t[]){1}, NULL, 1);
    feed_numbers(&rig, (int64_t[]){-2}, (int64_t[]){2}, NULL, 1); /* state without its timer */
    harness_watermark(rig.op, 500);
    assert_string_equal(seen(&rig), "2|idle@102 0/0//0:0/\n");
    rig_close(&rig);
}

/* A callback of one timer of a key clears and moves others that are due with it. */
static int64_t other_at;
static sabot_status set_both(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                             struct sabot_error *err) {
    (void)instance;
    const int64_t times[] = {10, 20, 30};
    for (int32_t k = 0; k < call->n_keys; k++) {
        SABOT_TRY(sabot_timer_set(process, IDLE, &k, 1, &times[1], err));
        for (int32_t i = 0; i < 3; i++) { SABOT_TRY(sabot_timer_set(process, EACH, &k, 1, &times[i], err)); }
    }
    return SABOT_OK;
}
static sabot_status change_others(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                                  struct sabot_error *err) {
    (void)instance;
    const int64_t thirty = 30;
    for (int32_t k = 0; k < call->n_keys; k++) {
        char line[64];
        snprintf(line, sizeof line, "%s@%lld", timers[call->timers[k]].name, (long long)call->times_ms[k]);
        SABOT_TRY(emit_line(process, line, k, err));
        if (call->times_ms[k] != 10) { continue; }
        SABOT_TRY(other_at ? sabot_timer_set(process, IDLE, &k, 1, &other_at, err)
                           : sabot_timer_clear(process, IDLE, &k, 1, NULL, err));
        SABOT_TRY(sabot_timer_clear(process, EACH, &k, 1, &thirty, err));
    }
    return SABOT_OK;
}

static void what_is_due_can_still_be_changed(void **unused) {
    (void)unused;
    const struct field fields[] = {{"v", type_of(TYPE_INT64)}, {"k", type_of(TYPE_INT64)}};
    definition.process = set_both;
    definition.on_timer = change_others;
    for (int32_t i = 0; i < 2; i++) {
        struct rig rig = {0};
        other_at = i ? 25 : 0;
        rig_open(&rig, fields, 1);
        feed_numbers(&rig, (int64_t[]){1, 2}, (int64_t[]){1, 2}, NULL, 2);
        harness_watermark(rig.op, 100); /* all at once */
        assert_string_equal(seen(&rig), i ? "1|each@10\n1|each@20\n1|idle@25\n2|each@10\n2|each@20\n2|idle@25\n"
                                          : "1|each@10\n1|each@20\n2|each@10\n2|each@20\n");
        rig_close(&rig);
    }
    definition.process = see_rows;
    definition.on_timer = see_timer;
}

/* --- what a function may do with timers: */
static const struct field by_number[] = {{"v", {.kind = TYPE_INT64}}, {"k", {.kind = TYPE_INT64}}};

static sabot_status fired_line(struct sabot_process *process, const struct sabot_process_call *call, int32_t k,
                               struct sabot_error *err) {
    static int32_t number; /* rows are seen sorted: in the order in which they were given out */
    char line[64];
    snprintf(line, sizeof line, "%04d %s@%lld", number++ % 10000, timers[call->timers[k]].name,
             (long long)call->times_ms[k]);
    return emit_line(process, line, k, err);
}

/* A key named more than once in a call: the last time counts, as if it had been set again. */
static sabot_status set_twice(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                              struct sabot_error *err) {
    (void)instance;
    (void)call;
    const int32_t keys[] = {0, 0, 0, 1, 1};
    const int64_t times[] = {10, 30, 20, 7, 7};
    SABOT_TRY(sabot_timer_set(process, IDLE, keys, 1, &(int64_t){30}, err)); /* stands there before */
    return sabot_timer_set(process, IDLE, keys, 5, times, err);
}
static void a_key_that_is_named_twice_has_one_timer(void **unused) {
    (void)unused;
    struct rig rig = {0};
    definition.process = set_twice;
    definition.on_timer = change_others;
    rig_open(&rig, by_number, 1);
    feed_numbers(&rig, (int64_t[]){1, 2}, (int64_t[]){1, 2}, NULL, 2);
    harness_watermark(rig.op, 100);
    assert_string_equal(seen(&rig), "1|idle@20\n2|idle@7\n");
    definition.process = see_rows;
    definition.on_timer = see_timer;
    rig_close(&rig);
}

/* A timer that is set while later ones of its key are due fires before them. */
static sabot_status set_10_and_20(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                                  struct sabot_error *err) {
    (void)instance;
    for (int32_t k = 0; k < call->n_keys; k++) {
        SABOT_TRY(sabot_timer_set(process, EACH, &k, 1, &(int64_t){10}, err));
        SABOT_TRY(sabot_timer_set(process, EACH, &k, 1, &(int64_t){20}, err));
    }
    return SABOT_OK;
}
static sabot_status set_15_between(void *instance, struct sabot_process *process,
                                   const struct sabot_process_call *call, struct sabot_error *err) {
    (void)instance;
    for (int32_t k = 0; k < call->n_keys; k++) {
        SABOT_TRY(fired_line(process, call, k, err));
        if (call->times_ms[k] == 10) { SABOT_TRY(sabot_timer_set(process, EACH, &k, 1, &(int64_t){15}, err)); }
    }
    return SABOT_OK;
}
static void timers_of_a_key_fire_in_the_order_of_time(void **unused) {
    (void)unused;
    struct rig rig = {0};
    definition.process = set_10_and_20;
    definition.on_timer = set_15_between;
    rig_open(&rig, by_number, 1);
    feed_numbers(&rig, (int64_t[]){1, 1, 1}, (int64_t[]){1, 2, 3}, NULL, 3);
    harness_watermark(rig.op, 100);
    int32_t n;
    char **rows = harness_rows(rig.op, &n);
    assert_int_equal(n, 9);
    static const char *const want[] = {"@10", "@15", "@20"};
    for (int32_t i = 0; i < n; i++) { assert_non_null(strstr(rows[i], want[i % 3])); }
    test_rows_free(rows, n);
    definition.process = see_rows;
    definition.on_timer = see_timer;
    rig_close(&rig);
}

/* Each timer sets the next one: at the end of the input that never ends, and a job can be cancelled meanwhile. */
static int64_t n_ticks;
static sabot_status tick(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                         struct sabot_error *err) {
    (void)instance;
    for (int32_t k = 0; k < call->n_keys; k++) {
        const int64_t next = call->times_ms[k] + 1;
        n_ticks++;
        SABOT_TRY(sabot_timer_set(process, EACH, &k, 1, &next, err));
    }
    return SABOT_OK;
}
static void timers_without_an_end_let_the_task_look_up(void **unused) {
    (void)unused;
    struct rig rig = {0};
    struct sabot_error err = {0};
    definition.process = set_10_and_20;
    definition.on_timer = tick;
    rig_open(&rig, by_number, 1);
    feed_numbers(&rig, (int64_t[]){1}, (int64_t[]){1}, NULL, 1);
    n_ticks = 0;
    assert_int_equal(op_process.on_watermark(rig.op->op, WATERMARK_END, &rig.op->out, &err), SABOT_OK);
    for (int32_t i = 0; i < 3; i++) {
        assert_true(rig.op->op->busy);
        assert_in_range(n_ticks, 1 + i * 4096, 8192 + i * 4096);
        assert_int_equal(op_process.resume(rig.op->op, &rig.op->out, &err), SABOT_OK);
    }
    definition.process = see_rows;
    definition.on_timer = see_timer;
    rig_close(&rig);
}

/* The watermark has come far, or to the end: a timer still finds what is younger than its TTL at the timer's time. */
static sabot_status set_young(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                              struct sabot_error *err) {
    (void)instance;
    for (int32_t k = 0; k < call->n_keys; k++) {
        SABOT_TRY(sabot_state_put(process, YOUNG, &k, 1, &(int64_t){5}, err));
        SABOT_TRY(sabot_timer_set(process, EACH, &k, 1, &(int64_t){1060}, err));
        SABOT_TRY(sabot_timer_set(process, EACH, &k, 1, &(int64_t){1200}, err));
    }
    return SABOT_OK;
}
static sabot_status look_young(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                               struct sabot_error *err) {
    (void)instance;
    for (int32_t k = 0; k < call->n_keys; k++) {
        int64_t young;
        bool found;
        char line[64];
        SABOT_TRY(sabot_state_get(process, YOUNG, &k, 1, &young, &found, err));
        snprintf(line, sizeof line, "%lld %s", (long long)call->times_ms[k], found ? "there" : "gone");
        SABOT_TRY(emit_line(process, line, k, err));
    }
    return SABOT_OK;
}
static void a_timer_finds_what_there_was_at_its_time(void **unused) {
    (void)unused;
    definition.process = set_young;
    definition.on_timer = look_young;
    for (int32_t ends = 0; ends < 2; ends++) {
        struct rig rig = {0};
        rig_open(&rig, by_number, 1);
        harness_watermark(rig.op, 1000);
        feed_numbers(&rig, (int64_t[]){1, 1}, (int64_t[]){1, 2}, NULL, 2);
        harness_watermark(rig.op, ends ? WATERMARK_END : 50000);
        assert_string_equal(seen(&rig), "1|1060 there\n1|1200 gone\n2|1060 there\n2|1200 gone\n");
        rig_close(&rig);
    }
    definition.process = see_rows;
    definition.on_timer = see_timer;
}

/* --- and with what it is given: entries are handed back to remove them; a failure that it passes over is one. */
static sabot_status tag_and_untag(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                                  struct sabot_error *err) {
    (void)instance;
    enum { N = 300 };
    char names[N][40];
    struct sabot_bytes tags[N];
    int32_t keys[N] = {0};
    int64_t n;
    const void *map_keys, *values;
    (void)call;
    for (int32_t i = 0; i < N; i++) {
        const int size = snprintf(names[i], sizeof names[i], "the tag of number %d", i);
        tags[i] = (struct sabot_bytes){names[i], (size_t)size};
    }
    for (int32_t round = 0; round < 3; round++) { /* rooms are small at first */
        const int32_t n_tags = round == 0 ? 3 : N;
        SABOT_TRY(sabot_map_put(process, TAGS, keys, tags, n_tags, tags, err));
        SABOT_TRY(sabot_map_entries(process, TAGS, 0, &map_keys, &values, &n, err));
        assert_int_equal(n, n_tags);
        SABOT_TRY(sabot_map_put(process, TAGS, keys, map_keys, n_tags, values, err));
        SABOT_TRY(sabot_map_entries(process, TAGS, 0, &map_keys, &values, &n, err));
        assert_int_equal(n, n_tags);
        struct sabot_bytes again[N];
        bool found[N];
        SABOT_TRY(sabot_map_get(process, TAGS, keys, map_keys, n_tags, again, found, err));
        for (int32_t i = 0; i < n_tags; i++) {
            const struct sabot_bytes *key = &((const struct sabot_bytes *)map_keys)[i];
            assert_true(found[i] && again[i].size == key->size && memcmp(again[i].data, key->data, key->size) == 0);
        }
        SABOT_TRY(sabot_map_remove(process, TAGS, keys, map_keys, n_tags, err));
        SABOT_TRY(sabot_map_entries(process, TAGS, 0, &map_keys, &values, &n, err));
        assert_int_equal(n, 0);
    }
    return SABOT_OK;
}
static void what_was_handed_out_may_be_handed_back(void **unused) {
    (void)unused;
    struct rig rig = {0};
    definition.process = tag_and_untag;
    rig_open(&rig, by_number, 1);
    feed_numbers(&rig, (int64_t[]){1}, (int64_t[]){1}, NULL, 1);
    definition.process = see_rows;
    rig_close(&rig);
}

static sabot_status pass_over(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                              struct sabot_error *err) {
    (void)instance;
    (void)call;
    (void)err;
    static char large[1 << 20];
    const struct sabot_bytes value = {large, sizeof large};
    const int32_t key = 0;
    assert_int_equal(sabot_state_put(process, LAST + 100, &key, 1, &value, NULL), SABOT_ERR_USAGE); /* does no harm */
    return sabot_state_put(process, TEXT, &key, 1, &value, NULL) == SABOT_ERR_MEMORY ? SABOT_OK : SABOT_ERR_DATA;
}
static void a_failure_that_is_passed_over_ends_the_job(void **unused) {
    (void)unused;
    struct rig rig = {0};
    struct sabot_error err = {0};
    definition.process = pass_over;
    rig_open(&rig, by_number, 1);
    struct column *columns[] = {test_column_i64(&rig.key->pool, (int64_t[]){1}, NULL, 1),
                                test_column_i64(&rig.key->pool, (int64_t[]){1}, NULL, 1)};
    harness_batch(rig.key, test_batch(rig.plain, columns, 2));
    rig.op->pool.limit = rig.op->pool.used + (1 << 19);
    assert_int_equal(harness_try_batch(rig.op, batch_ref(rig.key->events[0].batch), &err), SABOT_ERR_MEMORY);
    assert_non_null(strstr(err.message, "see() passed over a failure"));
    rig.op->pool.limit = INT64_MAX;
    definition.process = see_rows;
    rig_close(&rig);
}

/* A value of a megabyte is not kept in the operator's rooms for good, and counts while it is. */
static int64_t used_within;
static struct rig *looked_at;
static sabot_status read_large(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                               struct sabot_error *err) {
    (void)instance;
    (void)call;
    static char large[3 << 20];
    const struct sabot_bytes value = {large, sizeof large};
    const int32_t key = 0;
    struct sabot_bytes got;
    bool found;
    SABOT_TRY(sabot_state_put(process, TEXT, &key, 1, &value, err));
    const int64_t before = looked_at->op->pool.used;
    SABOT_TRY(sabot_state_get(process, TEXT, &key, 1, &got, &found, err));
    used_within = looked_at->op->pool.used - before;
    return sabot_state_clear(process, TEXT, &key, 1, err);
}
static void what_is_handed_out_is_charged(void **unused) {
    (void)unused;
    struct rig rig = {0};
    definition.process = read_large;
    looked_at = &rig;
    rig_open(&rig, by_number, 1);
    feed_numbers(&rig, (int64_t[]){1}, (int64_t[]){1}, NULL, 1);
    assert_true(used_within >= 3 << 20);
    const int64_t behind = rig.op->pool.used;
    feed_numbers(&rig, (int64_t[]){1}, (int64_t[]){1}, NULL, 1);
    assert_true(rig.op->pool.used <= behind); /* nothing piles up */
    definition.process = see_rows;
    rig_close(&rig);
}

/* A time that is one constant for all rows of a batch. */
static sabot_status say_row(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                            struct sabot_error *err) {
    (void)instance;
    for (int32_t i = 0; i < call->n_rows; i++) {
        if (call->times_ms[i] != 1234567) { return SABOT_ERR_DATA; }
        if (i % 1000 == 0) { SABOT_TRY(emit_line(process, "row", i, err)); }
    }
    return SABOT_OK;
}
static void a_constant_time_is_that_of_all_rows(void **unused) {
    (void)unused;
    enum { ROWS = 2001 };
    struct rig rig = {.timed = true};
    const struct type time = {.kind = TYPE_TIMESTAMP, .precision = 3};
    const struct field fields[] = {{"v", type_of(TYPE_INT64)}, {"k", type_of(TYPE_INT64)}, {"ts", time}};
    static int64_t values[ROWS], keys[ROWS];
    definition.process = say_row;
    definition.n_timers = 0;
    rig_open(&rig, fields, 2);
    struct column *columns[] = {test_column_i64(&rig.key->pool, values, NULL, ROWS),
                                test_column_i64(&rig.key->pool, keys, NULL, ROWS),
                                test_column_i64(&rig.key->pool, (int64_t[]){1234567}, NULL, 1)};
    columns[2]->constant = true;
    columns[2]->length = ROWS;
    harness_batch(rig.key, test_batch(rig.plain, columns, 3));
    harness_batch(rig.op, batch_ref(rig.key->events[0].batch));
    const char *row = "0|1234567|row|1234567\n"; /* as physical numbers */
    char want[256];
    snprintf(want, sizeof want, "%s%s%s", row, row, row);
    assert_string_equal(seen(&rig), want);
    definition.process = see_rows;
    definition.n_timers = 3;
    rig_close(&rig);
}

static void keys_of_several_columns_and_of_text(void **unused) {
    (void)unused;
    struct rig rig = {0};
    const struct field fields[] = {
        {"v", type_of(TYPE_INT64)}, {"a", type_of(TYPE_STRING)}, {"b", type_of(TYPE_INT32)},
        {"c", type_of(TYPE_FLOAT64)}};
    rig_open(&rig, fields, 3);
    const int64_t values[] = {1, 2, 3, 4, 5};
    const char *texts[] = {"x", NULL, "x", "a text of more than 12 bytes", "x"};
    struct column *columns[] = {
        test_column_i64(&rig.key->pool, values, NULL, 5), test_column_text(&rig.key->pool, texts, 5),
        test_column_i32(&rig.key->pool, (int32_t[]){1, 1, 1, 0, 2}, (bool[]){0, 0, 0, 1, 0}, 5),
        test_column_f64(&rig.key->pool, (double[]){0.0, 2, -0.0, 3, 0.0}, NULL, 5)};
    harness_batch(rig.key, test_batch(rig.plain, columns, 4));
    harness_batch(rig.op, batch_ref(rig.key->events[rig.key->n_events - 1].batch));
    harness_forget(rig.key);
    harness_restart(rig.op, 1);
    harness_end(rig.op);
    const char *got = seen(&rig);
    assert_non_null(strstr(got, "x|1|0|idle@103 2/3/1,3/")); /* 0.0 and -0.0 are one key */
    assert_non_null(strstr(got, "NULL|1|2|idle@102 1/2/2/"));
    assert_non_null(strstr(got, "a text of more than 12 bytes|NULL|3|idle@104 1/4/4/"));
    assert_non_null(strstr(got, "x|2|0|idle@105 1/5/5/"));
    rig_close(&rig);

    struct rig text = {0};
    const struct field one[] = {{"v", type_of(TYPE_INT64)}, {"a", type_of(TYPE_STRING)}};
    const char *words[] = {"", NULL, "", "a text of more than 12 bytes"};
    rig_open(&text, one, 1);
    struct column *both[] = {test_column_i64(&text.key->pool, values, NULL, 4),
                             test_column_text(&text.key->pool, words, 4)};
    harness_batch(text.key, test_batch(text.plain, both, 2));
    harness_batch(text.op, batch_ref(text.key->events[text.key->n_events - 1].batch));
    harness_forget(text.key);
    harness_end(text.op);
    got = seen(&text);
    assert_non_null(strstr(got, "|idle@103 2/3/1,3/")); /* the empty text is not NULL */
    assert_non_null(strstr(got, "NULL|idle@102 1/2/2/"));
    assert_non_null(strstr(got, "a text of more than 12 bytes|idle@104 1/4/4/"));
    rig_close(&text);
}

/* What a function gets wrong is said. */
static sabot_status misuse(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                           struct sabot_error *err) {
    (void)instance;
    (void)call;
    int64_t value = 0;
    bool found;
    const int32_t far = 99;
    assert_int_equal(sabot_state_get(process, 7, NULL, 1, &value, &found, NULL), SABOT_ERR_USAGE);
    assert_int_equal(sabot_state_get(process, ALL, NULL, 1, &value, &found, NULL), SABOT_ERR_USAGE);
    assert_int_equal(sabot_state_put(process, COUNT, NULL, 1, &value, NULL), SABOT_ERR_USAGE);
    assert_int_equal(sabot_state_get(process, LAST, &far, 1, &value, &found, NULL), SABOT_ERR_USAGE);
    assert_int_equal(sabot_state_get(process, LAST, NULL, 99, &value, &found, NULL), SABOT_ERR_USAGE);
    assert_int_equal(sabot_timer_set(process, 3, NULL, 1, &value, NULL), SABOT_ERR_USAGE);
    assert_int_equal(sabot_timer_clear(process, EACH, NULL, 1, NULL, NULL), SABOT_ERR_USAGE);
    assert_int_equal(emit_line(process, "far", 99, NULL), SABOT_ERR_USAGE);
    snprintf(err->message, sizeof err->message, "the reason");
    return SABOT_ERR_DATA;
}

static void misuse_is_refused_and_failures_are_named(void **unused) {
    (void)unused;
    struct rig rig = {0};
    struct sabot_error err = {0};
    const struct field fields[] = {{"v", type_of(TYPE_INT64)}, {"k", type_of(TYPE_INT64)}};
    definition.process = misuse;
    rig_open(&rig, fields, 1);
    struct column *columns[] = {test_column_i64(&rig.key->pool, (int64_t[]){1}, NULL, 1),
                                test_column_i64(&rig.key->pool, (int64_t[]){1}, NULL, 1)};
    harness_batch(rig.key, test_batch(rig.plain, columns, 2));
    assert_int_equal(harness_try_batch(rig.op, batch_ref(rig.key->events[0].batch), &err), SABOT_ERR_DATA);
    assert_string_equal(err.message, "see(), process: the reason");
    definition.process = see_rows;
    rig_close(&rig);
}

/* Many keys, random rows, restarts: against a plain model. */
static void many_keys_against_a_model(void **unused) {
    (void)unused;
    struct rig rig = {0};
    struct test_random random = {.state = 42};
    enum { KEYS = 500, ROWS = 3000 };
    static int64_t values[ROWS], keys[ROWS], count[KEYS], last[KEYS];
    const struct field fields[] = {{"v", type_of(TYPE_INT64)}, {"k", type_of(TYPE_INT64)}};
    rig_open(&rig, fields, 1);
    for (int32_t round = 0; round < 5; round++) {
        for (int32_t i = 0; i < ROWS; i++) {
            keys[i] = test_below(&random, KEYS);
            values[i] = test_below(&random, 100000);
            count[keys[i]]++;
            last[keys[i]] = values[i];
        }
        feed_numbers(&rig, values, keys, NULL, ROWS);
        if (round & 1) { harness_restart(rig.op, round); }
    }
    harness_end(rig.op);
    int32_t n;
    char **rows = harness_rows(rig.op, &n);
    int32_t fired = 0;
    for (int32_t i = 0; i < n; i++) {
        long long key, at, got_count, got_last;
        assert_int_equal(sscanf(rows[i], "%lld|idle@%lld %lld/%lld/", &key, &at, &got_count, &got_last), 4);
        assert_int_equal(got_count, count[key]);
        assert_int_equal(got_last, last[key]);
        assert_int_equal(at, last[key] + 100);
        fired++;
    }
    test_rows_free(rows, n);
    assert_int_equal(fired, KEYS);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_sorted_by_key_and_state_lasts),
        cmocka_unit_test(what_had_expired_at_one_task_stays_so_in_the_one_that_takes_over),
        cmocka_unit_test(timers_can_be_cleared),
        cmocka_unit_test(what_is_due_can_still_be_changed),
        cmocka_unit_test(a_key_that_is_named_twice_has_one_timer),
        cmocka_unit_test(timers_of_a_key_fire_in_the_order_of_time),
        cmocka_unit_test(timers_without_an_end_let_the_task_look_up),
        cmocka_unit_test(a_timer_finds_what_there_was_at_its_time),
        cmocka_unit_test(what_was_handed_out_may_be_handed_back),
        cmocka_unit_test(a_failure_that_is_passed_over_ends_the_job),
        cmocka_unit_test(what_is_handed_out_is_charged),
        cmocka_unit_test(a_constant_time_is_that_of_all_rows),
        cmocka_unit_test(keys_of_several_columns_and_of_text),
        cmocka_unit_test(misuse_is_refused_and_failures_are_named),
        cmocka_unit_test(many_keys_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
