/* Several subtasks of one operator: see fleet.h. */
#include "tests/util/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROW_TEXT 1024

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}

static struct op_harness *member_new(struct fleet *fleet, int32_t subtask, int32_t parallelism) {
    struct sabot_error err = {0};
    struct op_harness *member = malloc(sizeof *member);
    harness_init(member, fleet->type, fleet->options, fleet->input, fleet->output);
    member->context.subtask = subtask;
    member->context.parallelism = parallelism;
    state_tables_free(member->tables);
    ok(state_tables_new(&(struct state_context){.pool = &member->pool, .metrics = &member->metrics, .backend = "memory",
                                                .subtask = subtask, .parallelism = parallelism, .max_parallelism = 128},
                        &member->tables, &err),
       &err);
    return member;
}

void fleet_open(struct fleet *fleet, int32_t n_members) {
    memory_pool_init(&fleet->pool, "fleet", NULL, INT64_MAX);
    fleet->n_members = n_members;
    for (int32_t i = 0; i < n_members; i++) {
        fleet->members[i] = member_new(fleet, i, n_members);
        harness_open(fleet->members[i]);
    }
}

void fleet_batch(struct fleet *fleet, struct batch *batch) {
    struct sabot_error err = {0};
    if (fleet->n_keys) { ok(batch_cache_hashes(&fleet->pool, batch, fleet->keys, fleet->n_keys, &err), &err); }
    int32_t *rows = malloc(((size_t)batch->selected + 1) * sizeof *rows);
    for (int32_t m = 0; m < fleet->n_members; m++) {
        int32_t n = 0;
        for (int32_t i = 0; i < batch->selected; i++) {
            const int32_t row = batch_row(batch, i);
            const int32_t group = fleet->n_keys ? key_group_of(batch->hashes[row], 128) : 0;
            if (key_group_owner(group, 128, fleet->n_members) == m) { rows[n++] = row; }
        }
        if (n == batch->rows) {
            harness_batch(fleet->members[m], batch_ref(batch));
        } else if (n) {
            harness_batch(fleet->members[m], test_select(&fleet->pool, batch_ref(batch), rows, n));
        }
    }
    free(rows);
    batch_unref(batch);
    fleet_apply(fleet);
}

/* --- the table */
static size_t key_length(const char *row, int32_t columns) {
    size_t length = 0;
    for (; columns > 0 && row[length]; length++) { columns -= row[length] == '|'; }
    return length;
}
static int32_t table_find(const struct fleet *fleet, const char *row, bool by_key) {
    const size_t length = by_key ? key_length(row, fleet->n_upsert_keys) : 0;
    for (int32_t i = 0; i < fleet->n_table; i++) {
        if (by_key ? key_length(fleet->table[i], fleet->n_upsert_keys) == length &&
                         memcmp(fleet->table[i], row, length) == 0
                   : strcmp(fleet->table[i], row) == 0) {
            return i;
        }
    }
    return -1;
}
static void apply_row(struct fleet *fleet, enum row_kind kind, const char *row) {
    const bool upsert = fleet->n_upsert_keys >= 0;
    const int32_t at = table_find(fleet, row, upsert);
    if (kind == ROW_DELETE || kind == ROW_UPDATE_BEFORE) {
        if (at < 0 || (upsert && kind == ROW_UPDATE_BEFORE)) { fail_msg("kind %d of a row not there: %s", kind, row); }
        free(fleet->table[at]);
        fleet->table[at] = fleet->table[--fleet->n_table];
        return;
    }
    if (upsert && (kind == ROW_INSERT) != (at < 0)) {
        fail_msg("kind %d, but the key is%s there: %s", kind, at < 0 ? " not" : "", row);
    }
    if (upsert && at >= 0) {
        if (strcmp(fleet->table[at], row) == 0) { fail_msg("an update that changes nothing: %s", row); }
        free(fleet->table[at]);
        fleet->table[at] = strdup(row);
        return;
    }
    assert_true(fleet->n_table < FLEET_TABLE_MAX);
    fleet->table[fleet->n_table++] = strdup(row);
}

void fleet_apply(struct fleet *fleet) {
    char text[ROW_TEXT], before[ROW_TEXT];
    fleet->n_changes = 0;
    for (int32_t m = 0; m < fleet->n_members; m++) {
        struct op_harness *member = fleet->members[m];
        bool pending = false;
        for (int32_t e = 0; e < member->n_events; e++) {
            const struct batch *batch = member->events[e].batch;
            for (int32_t i = 0; batch && i < batch->selected; i++) {
                const int32_t row = batch_row(batch, i);
                const enum row_kind kind = batch->row_kinds ? (enum row_kind)batch->row_kinds[row] : ROW_INSERT;
                test_row_text(batch, row, text, sizeof text);
                if (pending && (kind != ROW_UPDATE_AFTER || strcmp(before, text) == 0)) {
                    fail_msg("-U %s is followed by kind %d %s", before, kind, text);
                }
                if (!pending && fleet->n_upsert_keys < 0 && kind == ROW_UPDATE_AFTER) {
                    fail_msg("+U without -U: %s", text);
                }
                pending = kind == ROW_UPDATE_BEFORE;
                strcpy(before, text);
                apply_row(fleet, kind, text);
                fleet->n_changes++;
            }
            assert_false(pending); /* pairs are not parted */
        }
        harness_forget(member);
    }
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void fleet_expect(struct fleet *fleet, char **rows, int32_t n) {
    qsort(fleet->table, (size_t)fleet->n_table, sizeof(char *), by_text);
    qsort(rows, (size_t)n, sizeof(char *), by_text);
    for (int32_t i = 0; i < n && i < fleet->n_table; i++) {
        if (strcmp(rows[i], fleet->table[i])) { fail_msg("row %d: got %s, expected %s", i, fleet->table[i], rows[i]); }
    }
    assert_int_equal(fleet->n_table, n);
}

/* --- rescale */
void fleet_rescale(struct fleet *fleet, int32_t n_members) {
    struct sabot_error err = {0};
    struct op_harness *old[FLEET_MAX];
    struct state_snapshot *snapshots[FLEET_MAX];
    int32_t n_snapshots[FLEET_MAX];
    const int32_t n_old = fleet->n_members;
    for (int32_t m = 0; m < n_old; m++) {
        old[m] = fleet->members[m];
        ok(fleet->type->before_barrier(old[m]->op, 1, &old[m]->out, &err), &err);
        harness_resume(old[m]);
        harness_check_end(old[m]);
    }
    fleet_apply(fleet);
    for (int32_t m = 0; m < n_old; m++) {
        ok(state_tables_snapshot(old[m]->tables, &snapshots[m], &n_snapshots[m], &err), &err);
    }
    fleet->n_members = n_members;
    for (int32_t m = 0; m < n_members; m++) {
        fleet->members[m] = member_new(fleet, m, n_members);
        for (int32_t o = 0; o < n_old; o++) {
            for (int32_t i = 0; i < n_snapshots[o]; i++) {
                if (!snapshots[o][i].rows) { continue; }
                struct batch *rows; /* of no old member's pool: lists are kept as they come */
                int32_t *all = malloc(((size_t)snapshots[o][i].rows->rows + 1) * sizeof *all);
                for (int32_t r = 0; r < snapshots[o][i].rows->rows; r++) { all[r] = r; }
                ok(batch_take(&fleet->pool, snapshots[o][i].rows, all, snapshots[o][i].rows->rows, &rows, &err), &err);
                free(all);
                ok(state_tables_load(fleet->members[m]->tables, snapshots[o][i].name, snapshots[o][i].kind, rows, &err),
                   &err);
            }
        }
        harness_open(fleet->members[m]);
    }
    for (int32_t m = 0; m < n_old; m++) {
        state_snapshots_free(snapshots[m], n_snapshots[m]);
        harness_close(old[m]);
        free(old[m]);
    }
}

void fleet_close(struct fleet *fleet) {
    for (int32_t m = 0; m < fleet->n_members; m++) {
        harness_close(fleet->members[m]);
        free(fleet->members[m]);
    }
    for (int32_t i = 0; i < fleet->n_table; i++) { free(fleet->table[i]); }
    assert_int_equal(fleet->pool.used, 0);
}

struct batch *test_changes(struct memory_pool *pool, struct schema *schema, struct column *const *columns,
                           int32_t n_columns, const uint8_t *kinds) {
    struct sabot_error err = {0};
    struct batch *batch = test_batch(schema, columns, n_columns);
    if (!kinds) { return batch; }
    ok(buffer_new(pool, (size_t)batch->rows, &batch->row_kinds_buffer, &err), &err);
    memcpy(batch->row_kinds_buffer->data, kinds, (size_t)batch->rows);
    batch->row_kinds = batch->row_kinds_buffer->data;
    return batch;
}
