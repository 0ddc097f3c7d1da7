/* Incremental snapshots against whole ones: see chain_check.h. */
#include "tests/util/chain_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/cells.h"
#include "state/replay.h"
#include "tests/util/op_harness.h"

#define FILES_MAX 6 /* short chains: a base behind every fifth delta */
#define BATCHES_MAX 4096
#define SHOWN_MAX 10

struct file {
    enum state_form form;
    struct batch *batches[BATCHES_MAX];
    int32_t n;
};
struct chain {
    struct file *files[FILES_MAX];
    int32_t n;
    struct batch *whole; /* what was there at the last freeze */
    bool begun, copied;
};
struct chain_check {
    struct memory_pool *pool;
    struct state_tables *tables;
    struct chain *chains;
    int32_t n;
    int64_t before_ms; /* INT64_MIN: nothing is left out */
};

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}

static void chain_clear(struct chain *chain) {
    for (int32_t f = 0; f < chain->n; f++) {
        for (int32_t b = 0; b < chain->files[f]->n; b++) { batch_unref(chain->files[f]->batches[b]); }
        free(chain->files[f]);
    }
    batch_unref(chain->whole);
    *chain = (struct chain){0};
}

struct chain_check *chain_check_new(struct memory_pool *pool, struct state_tables *tables) {
    struct chain_check *check = calloc(1, sizeof *check);
    check->pool = pool;
    check->tables = tables;
    check->before_ms = INT64_MIN;
    return check;
}

void chain_check_forget(struct chain_check *check, int64_t before_ms) { check->before_ms = before_ms; }


void chain_check_free(struct chain_check *check) {
    if (!check) { return; }
    for (int32_t i = 0; i < check->n; i++) { chain_clear(&check->chains[i]); }
    free(check->chains);
    free(check);
}

static bool has_chain(const struct chain_check *check, int32_t table) {
    struct state_table_info info;
    state_table_info(check->tables, table, &info);
    return info.has_chain;
}

void chain_check_freeze(struct chain_check *check, bool base) {
    struct sabot_error err = {0};
    const int32_t n = state_tables_count(check->tables);
    check->chains = realloc(check->chains, (size_t)(n + 1) * sizeof *check->chains);
    for (; check->n < n; check->n++) { check->chains[check->n] = (struct chain){0}; }
    struct state_snapshot *snapshots; /* made with the help of nothing that deltas need but the gathering of rows */
    int32_t n_snapshots;
    ok(state_tables_snapshot(check->tables, &snapshots, &n_snapshots, &err), &err);
    for (int32_t t = 0; t < n; t++) {
        if (!has_chain(check, t)) { continue; }
        struct chain *chain = &check->chains[t];
        if (base || chain->n == FILES_MAX) { chain_clear(chain); }
        batch_unref(chain->whole);
        chain->whole = snapshots[t].rows ? batch_ref(snapshots[t].rows) : NULL;
        struct file *file = calloc(1, sizeof *file);
        file->form = chain->n ? STATE_FORM_DELTA : STATE_FORM_BASE;
        chain->files[chain->n++] = file;
        ok(state_table_freeze(check->tables, t, file->form, &err), &err);
        chain->begun = true;
        chain->copied = false;
    }
    state_snapshots_free(snapshots, n_snapshots);
}

/* --- what the chain says */
static struct batch *without_selection(struct chain_check *check, struct batch *rows) {
    struct sabot_error err = {0};
    struct batch *flat;
    ok(batch_compact(check->pool, rows, &flat, &err), &err);
    batch_unref(rows);
    return flat;
}

/* Takes over the flat rows; those that are left are flat. */
static struct batch *without_old(struct chain_check *check, struct batch *rows) {
    struct sabot_error err = {0};
    const int32_t last = rows->n_columns - 1;
    if (check->before_ms == INT64_MIN || strcmp(rows->schema->fields[last].name, "time_ms") != 0) { return rows; }
    const int64_t *times = rows->columns[last]->values;
    struct buffer *selection;
    int32_t n = 0;
    ok(buffer_new(check->pool, ((size_t)rows->rows + 1) * sizeof n, &selection, &err), &err);
    for (int32_t i = 0; i < rows->rows; i++) {
        if (times[i] >= check->before_ms) { ((int32_t *)(void *)selection->data)[n++] = i; }
    }
    struct batch *kept;
    ok(batch_with_selection(rows, selection, n, &kept, &err), &err);
    batch_unref(rows);
    return without_selection(check, kept);
}

static int32_t replayed(struct chain_check *check, int32_t table, struct batch **out) {
    const struct chain *chain = &check->chains[table];
    struct state_table_info info;
    state_table_info(check->tables, table, &info);
    struct sabot_error err = {0};
    struct replay *replay;
    int32_t n = 0;
    ok(replay_new(check->pool, &replay, &err), &err);
    for (int32_t f = chain->n - 1; f >= 0; f--) {
        for (int32_t b = 0; b < chain->files[f]->n; b++) {
            struct batch *rows;
            ok(replay_rows(replay, chain->files[f]->form, info.n_keys, batch_ref(chain->files[f]->batches[b]), "a file",
                           &rows, &err), &err);
            if (rows) { out[n++] = without_old(check, without_selection(check, rows)); }
        }
        replay_end_file(replay);
    }
    replay_free(replay);
    return n;
}

/* A number that does not depend on the order of rows. */
static uint64_t digest(struct chain_check *check, struct batch *const *batches, int32_t n, int64_t *rows) {
    struct sabot_error err = {0};
    uint64_t sum = 0;
    *rows = 0;
    for (int32_t b = 0; b < n; b++) {
        int32_t columns[STATE_COLUMNS_MAX + 6];
        for (int32_t c = 0; c < batches[b]->n_columns; c++) { columns[c] = c; }
        struct buffer *hashes;
        ok(batch_hash(check->pool, batches[b], columns, batches[b]->n_columns, &hashes, &err), &err);
        for (int32_t i = 0; i < batches[b]->rows; i++) {
            sum += ((const uint64_t *)(const void *)hashes->data)[i] * UINT64_C(0x9e3779b97f4a7c15);
        }
        *rows += batches[b]->rows;
        buffer_unref(hashes);
    }
    return sum;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static char **texts_of(struct batch *const *batches, int32_t n, int32_t *n_rows) {
    *n_rows = 0;
    for (int32_t b = 0; b < n; b++) { *n_rows += batches[b]->rows; }
    char **texts = malloc(((size_t)*n_rows + 1) * sizeof *texts);
    int32_t at = 0;
    for (int32_t b = 0; b < n; b++) {
        for (int32_t i = 0; i < batches[b]->rows; i++) {
            char text[8192];
            test_row_text(batches[b], i, text, sizeof text);
            texts[at++] = strdup(text);
        }
    }
    qsort(texts, (size_t)at, sizeof *texts, by_text);
    return texts;
}

static void differ(struct chain_check *check, int32_t table, struct batch *const *found, int32_t n_found) {
    struct state_table_info info;
    state_table_info(check->tables, table, &info);
    struct batch *whole = check->chains[table].whole;
    int32_t n_wanted, n_got, shown = 0;
    char **wanted = texts_of(&whole, whole != NULL, &n_wanted), **got = texts_of(found, n_found, &n_got);
    for (int32_t w = 0, g = 0; (w < n_wanted || g < n_got) && shown < SHOWN_MAX;) {
        const int order = w == n_wanted ? 1 : g == n_got ? -1 : strcmp(wanted[w], got[g]);
        if (order) { print_message("%s %s\n", order < 0 ? "in the table only:" : "in the chain only:",
                                   order < 0 ? wanted[w] : got[g]); }
        shown += order != 0;
        w += order <= 0;
        g += order >= 0;
    }
    fail_msg("state %s: base and %d deltas give %d rows that are not the %d of the table", info.name,
             check->chains[table].n - 1, n_got, n_wanted);
}

static void compare(struct chain_check *check, int32_t table) {
    struct chain *chain = &check->chains[table];
    int32_t most = 0;
    for (int32_t f = 0; f < chain->n; f++) { most += chain->files[f]->n; }
    struct batch **found = malloc((size_t)(most + 1) * sizeof(struct batch *));
    const int32_t n = replayed(check, table, found);
    int64_t rows, wanted;
    if (chain->whole) { chain->whole = without_old(check, chain->whole); }
    const uint64_t sum = digest(check, found, n, &rows);
    const uint64_t wanted_sum = digest(check, &chain->whole, chain->whole != NULL, &wanted);
    if (rows != wanted || sum != wanted_sum) { differ(check, table, found, n); }
    for (int32_t b = 0; b < n; b++) { batch_unref(found[b]); }
    free(found);
}

bool chain_check_copy(struct chain_check *check, int32_t slots) {
    struct sabot_error err = {0};
    bool all = true;
    for (int32_t t = 0; t < check->n; t++) {
        struct chain *chain = &check->chains[t];
        if (!chain->begun) { continue; }
        struct file *file = chain->files[chain->n - 1];
        struct batch *batch = NULL;
        bool done = chain->copied;
        if (!done) { ok(state_table_copy(check->tables, t, slots, &batch, &done, &err), &err); }
        if (batch) {
            struct state_grouping grouping;
            state_table_grouping(check->tables, t, file->form, &grouping);
            ok(state_grouping_fill(&grouping, check->pool, batch, &err), &err);
            assert_true(file->n < BATCHES_MAX);
            file->batches[file->n++] = batch;
        }
        chain->copied = done;
        all &= done;
    }
    for (int32_t t = 0; all && t < check->n; t++) {
        if (check->chains[t].begun) { compare(check, t); }
        check->chains[t].begun = false;
    }
    return all;
}

void chain_check_thaw(struct chain_check *check) {
    for (int32_t t = 0; t < check->n; t++) {
        if (!check->chains[t].begun) { continue; }
        state_table_thaw(check->tables, t);
        chain_clear(&check->chains[t]);
    }
}

void chain_check_step(struct chain_check *check) {
    chain_check_freeze(check, false);
    while (!chain_check_copy(check, INT32_MAX)) {}
}
