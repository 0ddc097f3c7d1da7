/* A changelog folded to its final table: a hash table from key text to row text and count. */
#include "cli/fold.h"

#include "base/error.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct entry {
    uint64_t hash;
    char *key, *row; /* row NULL: the key is the row */
    size_t key_size, row_size;
    int64_t count;
};

struct fold {
    struct entry *entries; /* in order of arrival */
    size_t n, capacity;
    uint32_t *slots; /* entry index + 1; 0 = free */
    size_t n_slots;  /* power of two */
    int64_t rows;    /* entries with a count above 0 */
};

struct fold *fold_new(void) { return calloc(1, sizeof(struct fold)); }

void fold_free(struct fold *fold) {
    if (!fold) { return; }
    for (size_t i = 0; i < fold->n; i++) {
        free(fold->entries[i].key);
        free(fold->entries[i].row);
    }
    free(fold->entries);
    free(fold->slots);
    free(fold);
}

static bool grow(struct fold *fold) {
    if (fold->n == fold->capacity) {
        const size_t capacity = fold->capacity ? fold->capacity * 2 : 1024;
        struct entry *entries = realloc(fold->entries, capacity * sizeof *entries);
        if (!entries || capacity > UINT32_MAX / 2) {
            if (entries) { fold->entries = entries; }
            return false;
        }
        fold->entries = entries;
        fold->capacity = capacity;
    }
    if (fold->n * 2 < fold->n_slots) { return true; }
    const size_t n_slots = fold->n_slots ? fold->n_slots * 2 : 4096;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (!slots) { return false; }
    for (size_t i = 0; i < fold->n; i++) {
        size_t at = fold->entries[i].hash & (n_slots - 1);
        while (slots[at]) { at = (at + 1) & (n_slots - 1); }
        slots[at] = (uint32_t)i + 1;
    }
    free(fold->slots);
    fold->slots = slots;
    fold->n_slots = n_slots;
    return true;
}

static char *copy_of(const char *data, size_t size) {
    char *copy = malloc(size + 1);
    if (copy) { memcpy(copy, data, size); }
    return copy;
}

static struct entry *find_or_add(struct fold *fold, const char *key, size_t size) {
    if (!grow(fold)) { return NULL; }
    const uint64_t hash = XXH3_64bits(key, size);
    size_t at = hash & (fold->n_slots - 1);
    for (; fold->slots[at]; at = (at + 1) & (fold->n_slots - 1)) {
        struct entry *entry = &fold->entries[fold->slots[at] - 1];
        if (entry->hash == hash && entry->key_size == size && memcmp(entry->key, key, size) == 0) { return entry; }
    }
    char *copy = copy_of(key, size);
    if (!copy) { return NULL; }
    fold->slots[at] = (uint32_t)fold->n + 1;
    fold->entries[fold->n] = (struct entry){.hash = hash, .key = copy, .key_size = size};
    return &fold->entries[fold->n++];
}

/* What is kept of a row; NULL row: nothing beside the key. */
static bool entry_keep(struct entry *entry, const struct fold_row *row) {
    free(entry->row);
    entry->row = row->row ? copy_of(row->row, row->row_size) : NULL;
    entry->row_size = row->row_size;
    return entry->row || !row->row;
}

sabot_status fold_apply(struct fold *fold, const struct fold_row *row, int delta, struct sabot_error *err) {
    struct entry *entry = find_or_add(fold, row->key, row->key_size);
    if (!entry) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to fold a changelog of %zu rows: write it to a table",
                          fold->n);
    }
    const bool there = entry->count > 0;
    entry->count = row->replaces ? delta > 0 : entry->count + delta;
    fold->rows += (entry->count > 0) - there;
    if (delta > 0 && (row->replaces || !there) && !entry_keep(entry, row)) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to fold a changelog");
    }
    return SABOT_OK;
}

int64_t fold_rows(const struct fold *fold) { return fold->rows; }

sabot_status fold_each(const struct fold *fold,
                       sabot_status (*visit)(void *arg, char *row, size_t size, int64_t count, struct sabot_error *err),
                       void *arg, struct sabot_error *err) {
    for (size_t i = 0; i < fold->n; i++) {
        const struct entry *entry = &fold->entries[i];
        if (entry->count <= 0) { continue; }
        SABOT_TRY(visit(arg, entry->row ? entry->row : entry->key, entry->row ? entry->row_size : entry->key_size,
                        entry->count, err));
    }
    return SABOT_OK;
}

sabot_status fold_check(const struct fold *fold, struct sabot_error *err) {
    for (size_t i = 0; i < fold->n; i++) {
        const struct entry *entry = &fold->entries[i];
        if (entry->count < 0) {
            return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "the changelog takes away a row that it never gave: %.*s",
                              (int)(entry->key_size < 200 ? entry->key_size : 200), entry->key);
        }
    }
    return SABOT_OK;
}

struct finish {
    struct text *target;
    int64_t *n_rows;
};

static sabot_status finish_row(void *arg, char *row, size_t size, int64_t count, struct sabot_error *err) {
    (void)err;
    const struct finish *finish = arg;
    for (int64_t n = 0; n < count; n++) { text_append(finish->target, row, size); }
    *finish->n_rows += count;
    return SABOT_OK;
}

sabot_status fold_finish(const struct fold *fold, struct text *target, int64_t *n_rows, struct sabot_error *err) {
    *n_rows = 0;
    SABOT_TRY(fold_check(fold, err));
    SABOT_TRY(fold_each(fold, finish_row, &(struct finish){target, n_rows}, err));
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "the folded table is too large") : SABOT_OK;
}
