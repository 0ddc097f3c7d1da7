/* sabot diff A B: which keys of which state were added, changed or removed between two checkpoints or savepoints.
 *
 * Of each row only two hashes are held: of its key and of all of it, 128 bits each. Where rows are to be shown the
 * tables are read again. Rows of lists have no key: they are there or not. */
#include "cli/commands.h"
#include "cli/console.h"

#include "checkpoint/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char help[] =
    "usage: sabot diff A B [--rows]        A, B: checkpoints, savepoints, or checkpoint folders (their newest)\n\n"
    "Shows for each state how many keys were added, changed and removed from A to B. The exit code is 1 where the two\n"
    "differ.\n\n"
    "      --rows                   the rows too: + added, - removed, < before and > after a change\n";

struct row_hash {
    XXH128_hash_t key, all;
    char change; /* 0: none, + - or ! */
};

struct side {
    struct restore *restore;
    struct restore_table *tables;
    int32_t n_tables;
    /* of one table */
    struct row_hash *rows;
    size_t n_rows, capacity;
    int32_t n_keys; /* of the state; -1: a list */
    struct text cell;
    char sign;      /* while rows are shown */
};

static int hash_compare(const void *a, const void *b) {
    const struct row_hash *left = a, *right = b;
    const int order = XXH128_cmp(&left->key, &right->key);
    return order ? order : XXH128_cmp(&left->all, &right->all);
}

/* The columns behind key_group make a row: namespace and keys its key, the rest its values. */
static sabot_status row_hash_of(struct side *side, const struct batch *rows, int32_t row, struct row_hash *out,
                                struct sabot_error *err) {
    const struct text_options options = {.null_text = "\\N"};
    const bool list = side->n_keys < 0;
    const int32_t n_key = list ? rows->n_columns : 2 + side->n_keys;
    side->cell.size = 0;
    out->change = 0;
    for (int32_t c = list ? 0 : 1; c < rows->n_columns; c++) {
        if (c == n_key) { out->key = XXH3_128bits(side->cell.data, side->cell.size); }
        const size_t before = side->cell.size;
        text_append(&side->cell, "\0\0\0\0\0", 5); /* NULL or not, and the size: so cells can't run together */
        SABOT_TRY(column_print(rows->columns[c], row, rows->schema->fields[c].type, &options, &side->cell, err));
        if (side->cell.failed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a row"); }
        const uint32_t size = (uint32_t)(side->cell.size - before);
        side->cell.data[before] = column_is_null(rows->columns[c], row) ? 'n' : 'v';
        memcpy(side->cell.data + before + 1, &size, sizeof size);
    }
    out->all = XXH3_128bits(side->cell.data, side->cell.size);
    if (n_key >= rows->n_columns) { out->key = out->all; }
    return SABOT_OK;
}

static sabot_status take_hashes(void *arg, struct batch *taken, struct sabot_error *err) {
    struct side *side = arg;
    BATCH_OWNED struct batch *rows = taken;
    for (int32_t i = 0; i < rows->selected; i++) {
        if (side->n_rows == side->capacity) {
            const size_t capacity = side->capacity ? side->capacity * 2 : 4096;
            struct row_hash *grown = realloc(side->rows, capacity * sizeof *grown);
            if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to compare %zu rows", capacity); }
            side->rows = grown;
            side->capacity = capacity;
        }
        SABOT_TRY(row_hash_of(side, rows, batch_row(rows, i), &side->rows[side->n_rows], err));
        side->n_rows++;
    }
    return SABOT_OK;
}

/* Shows the rows that compare() has marked. */
static sabot_status take_shown(void *arg, struct batch *taken, struct sabot_error *err) {
    struct side *side = arg;
    BATCH_OWNED struct batch *rows = taken;
    const struct text_options options = {.null_text = "NULL"};
    for (int32_t i = 0; i < rows->selected; i++) {
        const int32_t row = batch_row(rows, i);
        struct row_hash hash;
        SABOT_TRY(row_hash_of(side, rows, row, &hash, err));
        const struct row_hash *found = bsearch(&hash, side->rows, side->n_rows, sizeof hash, hash_compare);
        if (!found || !found->change) { continue; }
        struct text line = {0};
        text_format(&line, "  %c ", found->change == '!' ? side->sign : found->change);
        sabot_status status = SABOT_OK;
        for (int32_t c = side->n_keys < 0 ? 0 : 1; c < rows->n_columns && status == SABOT_OK; c++) {
            text_format(&line, "%s=", rows->schema->fields[c].name);
            status = column_print(rows->columns[c], row, rows->schema->fields[c].type, &options, &line, err);
            text_add(&line, c + 1 < rows->n_columns ? " " : "");
        }
        if (status == SABOT_OK) { puts(text_string(&line)); }
        text_clear(&line);
        SABOT_TRY(status);
    }
    return SABOT_OK;
}

struct changes {
    int64_t added, changed, removed;
};

static size_t key_end(const struct side *side, size_t first) {
    size_t at = first;
    while (at < side->n_rows && XXH128_cmp(&side->rows[at].key, &side->rows[first].key) == 0) { at++; }
    return at;
}

static void mark(struct side *side, size_t first, size_t end, char change) {
    for (size_t i = first; i < end; i++) { side->rows[i].change = change; }
}

/* Both sides in order of key: a key that both have is changed when its rows differ, as a multiset. */
static void compare(struct side *a, struct side *b, struct changes *changes) {
    qsort(a->rows, a->n_rows, sizeof *a->rows, hash_compare);
    qsort(b->rows, b->n_rows, sizeof *b->rows, hash_compare);
    size_t i = 0, j = 0;
    while (i < a->n_rows || j < b->n_rows) {
        const int order = i == a->n_rows ? 1 : j == b->n_rows ? -1 : XXH128_cmp(&a->rows[i].key, &b->rows[j].key);
        const size_t i_end = order <= 0 ? key_end(a, i) : i, j_end = order >= 0 ? key_end(b, j) : j;
        if (order < 0) {
            changes->removed++;
            mark(a, i, i_end, '-');
        } else if (order > 0) {
            changes->added++;
            mark(b, j, j_end, '+');
        } else {
            bool same = i_end - i == j_end - j;
            for (size_t k = 0; same && k < i_end - i; k++) {
                same = XXH128_cmp(&a->rows[i + k].all, &b->rows[j + k].all) == 0;
            }
            changes->changed += !same;
            mark(a, i, i_end, same ? 0 : '!');
            mark(b, j, j_end, same ? 0 : '!');
        }
        i = i_end;
        j = j_end;
    }
}

static const struct restore_table *table_find(const struct side *side, const struct restore_table *like) {
    for (int32_t i = 0; i < side->n_tables; i++) {
        if (strcmp(side->tables[i].uid, like->uid) == 0 && strcmp(side->tables[i].state, like->state) == 0) {
            return &side->tables[i];
        }
    }
    return NULL;
}

static sabot_status table_load(struct side *side, const struct restore_table *like, struct sabot_error *err) {
    const struct restore_table *table = table_find(side, like);
    side->n_rows = 0;
    side->n_keys = like->kind == STATE_LIST ? -1 : like->n_keys;
    return table ? restore_read(side->restore, table->uid, table->state, -1, take_hashes, side, err) : SABOT_OK;
}

static sabot_status table_diff(struct side *a, struct side *b, const struct restore_table *table, bool show,
                               bool *differs, struct sabot_error *err) {
    struct changes changes = {0};
    SABOT_TRY(table_load(a, table, err));
    SABOT_TRY(table_load(b, table, err));
    const size_t before = a->n_rows, after = b->n_rows;
    compare(a, b, &changes);
    printf("%-40s %-16s %12zu %12zu %10lld %10lld %10lld\n", table->uid, table->state, before, after,
           (long long)changes.added, (long long)changes.changed, (long long)changes.removed);
    *differs |= changes.added + changes.changed + changes.removed > 0;
    if (!show) { return SABOT_OK; }
    SABOT_TRY(restore_read(a->restore, table->uid, table->state, -1, take_shown, a, err));
    return restore_read(b->restore, table->uid, table->state, -1, take_shown, b, err);
}

static sabot_status side_open(struct side *side, const char *path, struct memory_pool *pool, struct sabot_error *err) {
    SABOT_TRY(restore_open(console_store(err), path, pool, &side->restore, err));
    return restore_tables(side->restore, &side->tables, &side->n_tables, err);
}

static void side_close(struct side *side) {
    free(side->tables);
    free(side->rows);
    text_clear(&side->cell);
    restore_close(side->restore);
}

int command_diff(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    const bool show = argc == 4 && strcmp(argv[3], "--rows") == 0;
    if (argc != 3 && !show) { return console_usage("diff", "name two checkpoints or savepoints"); }
    struct memory_pool pool;
    memory_pool_init(&pool, "diff", NULL, INT64_MAX);
    struct side a = {.sign = '<'}, b = {.sign = '>'};
    struct sabot_error err = {0};
    bool differs = false;
    sabot_status status = side_open(&a, argv[1], &pool, &err);
    if (status == SABOT_OK) { status = side_open(&b, argv[2], &pool, &err); }
    if (status == SABOT_OK) {
        printf("%-40s %-16s %12s %12s %10s %10s %10s\n", "OPERATOR", "STATE", "ROWS IN A", "ROWS IN B", "ADDED",
               "CHANGED", "REMOVED");
    }
    for (int32_t i = 0; status == SABOT_OK && i < a.n_tables; i++) {
        status = table_diff(&a, &b, &a.tables[i], show, &differs, &err);
    }
    for (int32_t i = 0; status == SABOT_OK && i < b.n_tables; i++) {
        if (!table_find(&a, &b.tables[i])) { status = table_diff(&a, &b, &b.tables[i], show, &differs, &err); }
    }
    side_close(&a);
    side_close(&b);
    return status == SABOT_OK ? (differs ? 1 : 0) : console_error(&err, NULL, NULL, 0);
}
