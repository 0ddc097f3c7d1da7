/* Cells that keep values: see list_cell.h. */
#include "ops/aggregate/list_cell.h"

#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/text.h"
#include "ops/aggregate/changes.h"

#define LIST_BYTES_MAX (UINT32_C(64) << 20) /* of a group */
/* ... and so much of the memory limit: a list is one value, which is in memory up to five times while it grows and
 * becomes a result (the old one, the new one, a buffer that doubles, the result). */
#define LIST_LIMIT_SHARE 8
#define LIST_NULL UINT32_MAX

/* ---- a list ------------------------------------------------------------------------------------------------------ */

struct entry {
    const char *data;
    uint32_t size; /* LIST_NULL: no data */
};
union number {
    double f64;
    float f32;
};

static uint32_t entry_bytes(uint32_t size) { return size == LIST_NULL ? 0 : size; }

static bool entry_equal(struct entry a, struct entry b) {
    const uint32_t bytes = entry_bytes(a.size);
    return a.size == b.size && (bytes == 0 || memcmp(a.data, b.data, bytes) == 0);
}

/* The entry at an offset, which moves behind it; false: there is none. */
static bool entry_next(const char *list, size_t size, size_t *at, struct entry *out) {
    if (*at >= size) { return false; }
    memcpy(&out->size, list + *at, sizeof out->size);
    out->data = list + *at + sizeof out->size;
    *at += sizeof out->size + entry_bytes(out->size);
    return true;
}

static struct entry entry_of(const struct column *column, int32_t row) {
    const int64_t at = column_at(column, row);
    if (column_is_null(column, row)) { return (struct entry){.size = LIST_NULL}; }
    if (column->phys == PHYS_VIEW) {
        const struct string_view *view = (const struct string_view *)column->values + at;
        return (struct entry){.data = string_view_data(view), .size = view->size};
    }
    const size_t size = phys_size((enum phys)column->phys);
    return (struct entry){.data = (const char *)column->values + (size_t)at * size, .size = (uint32_t)size};
}

/* Values that DISTINCT takes for one have one entry: of floating-point numbers 0 and -0, and all that are no number. */
static struct entry distinct_entry(const struct column *column, int32_t row, union number *target) {
    struct entry entry = entry_of(column, row);
    if (column->phys == PHYS_F64) {
        memcpy(&target->f64, entry.data, sizeof target->f64);
        target->f64 = isnan(target->f64) ? (double)NAN : target->f64 + 0.0;
        entry.data = (const char *)&target->f64;
    } else if (column->phys == PHYS_F32) {
        memcpy(&target->f32, entry.data, sizeof target->f32);
        target->f32 = isnan(target->f32) ? NAN : target->f32 + 0.0F;
        entry.data = (const char *)&target->f32;
    }
    return entry;
}

static void list_add(struct text *list, struct entry entry) {
    text_append(list, (const char *)&entry.size, sizeof entry.size);
    text_append(list, entry.data, entry_bytes(entry.size));
}

/* The first that is equal; a value that is not there is passed over, as in Flink. */
static void list_remove(struct text *list, struct entry entry) {
    struct entry found;
    for (size_t at = 0, begin = 0; entry_next(list->data, list->size, &at, &found); begin = at) {
        if (!entry_equal(found, entry)) { continue; }
        memmove(list->data + begin, list->data + at, list->size - at);
        list->size -= at - begin;
        return;
    }
}

static bool list_has(const struct text *list, struct entry entry) {
    struct entry found;
    for (size_t at = 0; entry_next(list->data, list->size, &at, &found);) {
        if (entry_equal(found, entry)) { return true; }
    }
    return false;
}

/* Each value once: of those that are equal the first stays. */
static sabot_status list_unique(struct text *list, struct sabot_error *err) {
    size_t n = 0, places = 16, to = 0;
    struct entry entry;
    for (size_t at = 0; entry_next(list->data, list->size, &at, &entry);) { n++; }
    while (places < 2 * n) { places *= 2; }
    size_t *table = calloc(places, sizeof *table); /* 1 + where an entry begins */
    if (!table) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a set of values"); }
    for (size_t at = 0, begin = 0; entry_next(list->data, list->size, &at, &entry); begin = at) {
        size_t place = XXH3_64bits(entry.data, entry_bytes(entry.size)) & (places - 1);
        bool known = false;
        for (; table[place] && !known; place = (place + 1) & (places - 1)) {
            size_t other_at = table[place] - 1;
            struct entry other = {.size = 0};
            (void)entry_next(list->data, list->size, &other_at, &other);
            known = entry_equal(other, entry);
        }
        if (known) { continue; }
        memmove(list->data + to, list->data + begin, at - begin);
        table[place] = to + 1;
        to += at - begin;
    }
    list->size = to;
    free(table);
    return SABOT_OK;
}

/* ---- rows into lists --------------------------------------------------------------------------------------------- */

struct placed {
    int32_t slot, row, order;
};

static int by_slot(const void *a, const void *b) {
    const struct placed *x = a, *y = b;
    if (x->slot != y->slot) { return x->slot < y->slot ? -1 : 1; }
    return x->order - y->order;
}

static sabot_status list_load(struct state_table *table, int32_t c, int64_t namespace_, int32_t slot,
                              struct text *list, struct sabot_error *err) {
    const struct state_cells cells = state_cells(table, namespace_, c);
    const struct string_view *view = state_cell(&cells, slot);
    list->size = 0;
    text_append(list, string_view_data(view), view->size);
    return list->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list") : SABOT_OK;
}

static sabot_status list_store(struct state_table *table, int32_t c, int64_t namespace_, int32_t slot,
                               const struct text *list, struct sabot_error *err) {
    if (list->failed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list"); }
    if (list->size > LIST_BYTES_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "LISTAGG or ARRAY_AGG keeps more than %u MiB for one group",
                          LIST_BYTES_MAX >> 20);
    }
    const int64_t limit = state_memory_limit(table);
    if ((int64_t)list->size > limit / LIST_LIMIT_SHARE) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "LISTAGG, ARRAY_AGG, JSON_ARRAYAGG or DISTINCT keeps %zu bytes for "
                          "one group, more than an eighth of the memory limit of %lld: a value must fit in memory, so "
                          "raise the limit, or make smaller groups", list->size, (long long)limit);
    }
    const struct string_view view = string_view_of(list->data ? list->data : "", (uint32_t)list->size);
    return state_set_view(table, namespace_, c, slot, view, err);
}

static sabot_status change_placed(int32_t c, struct state_table *table, int64_t namespace_, const struct batch *batch,
                                  const struct cell *cell, const struct placed *placed, int32_t n, bool minus,
                                  struct text *list, struct sabot_error *err) {
    const struct column *column = batch->columns[cell->argument];
    const bool is_set = cell->op == CELL_SET;
    for (int32_t i = 0; i < n;) {
        const int32_t slot = placed[i].slot, begin = i;
        SABOT_TRY(list_load(table, c, namespace_, slot, list, err));
        for (; i < n && placed[i].slot == slot; i++) {
            const int32_t row = placed[i].row;
            union number number;
            const struct entry entry = is_set ? distinct_entry(column, row, &number) : entry_of(column, row);
            if (minus || (batch->row_kinds && row_kind_is_retraction(batch->row_kinds[row]))) {
                list_remove(list, entry);
            } else if (!is_set || i > begin || !list_has(list, entry)) {
                list_add(list, entry);
            }
        }
        if (is_set && i > begin + 1 && !list->failed) { SABOT_TRY(list_unique(list, err)); }
        SABOT_TRY(list_store(table, c, namespace_, slot, list, err));
    }
    return SABOT_OK;
}

sabot_status list_cell_change(const struct accumulators *accumulators, int32_t c, struct state_table *table,
                              int64_t namespace_, const struct batch *batch, const int32_t *rows, const int32_t *slots,
                              int32_t n, bool minus, struct sabot_error *err) {
    const struct cell *cell = &accumulators->cells[c];
    const int32_t filter = cell->set >= 0 ? -1 : cell->filter; /* sets are filtered already */
    const int32_t never_null = cell->op == CELL_LIST_NULLS ? -1 : cell->argument;
    struct placed *placed = malloc(((size_t)n + 1) * sizeof *placed);
    if (!placed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list"); }
    int32_t m = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        int32_t kept;
        if (rows_qualify(batch, never_null, filter, &row, NULL, 1, &kept, NULL) == 0) { continue; }
        placed[m] = (struct placed){.slot = slots[i], .row = row, .order = m};
        m++;
    }
    qsort(placed, (size_t)m, sizeof *placed, by_slot);
    /* Rows of a set come without kinds that mean anything: it has found out which values are new, and which went. */
    struct batch plain = *batch;
    if (cell->set >= 0) { plain.row_kinds = NULL; }
    struct text list = {0};
    const sabot_status status =
        change_placed(c, table, namespace_, &plain, cell, placed, m, minus, &list, err);
    text_clear(&list);
    free(placed);
    return status;
}

static sabot_status merge_list(const struct cell *cell, struct state_table *table, int32_t c, int64_t from,
                               int32_t slot_from, int64_t into, int32_t slot_into, struct text *list,
                               struct sabot_error *err) {
    const struct state_cells cells = state_cells(table, from, c);
    const struct string_view more = *(const struct string_view *)state_cell(&cells, slot_from);
    if (more.size == 0) { return SABOT_OK; }
    SABOT_TRY(list_load(table, c, into, slot_into, list, err));
    text_append(list, string_view_data(&more), more.size);
    if (cell->op == CELL_SET && !list->failed) { SABOT_TRY(list_unique(list, err)); }
    return list_store(table, c, into, slot_into, list, err);
}

sabot_status list_cell_merge(const struct cell *cell, struct state_table *table, int32_t c, int64_t from, int64_t first,
                             int32_t n, int64_t into, const int32_t *slots, struct sabot_error *err) {
    struct text list = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        status = merge_list(cell, table, c, from, (int32_t)(first + i), into, slots[i], &list, err);
    }
    text_clear(&list);
    return status;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static const char *list_of(const struct column *lists, int32_t i, size_t *size) {
    const struct string_view *view = (const struct string_view *)lists->values + column_at(lists, i);
    *size = view->size;
    return string_view_data(view);
}

static sabot_status join_list(const char *list, size_t size, const struct string_view *separator,
                              struct column_builder *builder, struct string_view *out, struct sabot_error *err) {
    size_t total = 0, n = 0;
    struct entry entry;
    for (size_t at = 0; entry_next(list, size, &at, &entry); n++) { total += entry.size; }
    total += (n - 1) * separator->size;
    char *text = NULL;
    if (total > LIST_BYTES_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "LISTAGG makes a text of more than %u MiB", LIST_BYTES_MAX >> 20);
    }
    SABOT_TRY(column_builder_reserve(builder, total + 1, &text, err));
    char *to = text;
    for (size_t at = 0; entry_next(list, size, &at, &entry);) {
        if (to > text || at > sizeof entry.size + entry.size) {
            memcpy(to, string_view_data(separator), separator->size);
            to += separator->size;
        }
        memcpy(to, entry.data, entry.size);
        to += entry.size;
    }
    *out = string_view_of(text, (uint32_t)total);
    return SABOT_OK;
}

static sabot_status joined(const struct aggregate_call *call, const struct column *lists, int32_t n,
                           struct memory_pool *pool, struct column **out, struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, pool, PHYS_VIEW, n, true, err));
    struct string_view *views = builder.values;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        size_t size;
        const char *list = list_of(lists, i, &size);
        memset(&views[i], 0, sizeof views[i]);
        if (size == 0) {
            column_builder_set_null(&builder, i);
            continue;
        }
        status = join_list(list, size, &call->separator, &builder, &views[i], err);
    }
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

/* All entries of all lists, one behind the other. */
static sabot_status elements(const struct column *lists, int32_t n, int64_t total, enum phys phys,
                             struct memory_pool *pool, struct column **out, struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, pool, phys, (int32_t)total, true, err));
    const size_t width = phys_size(phys);
    sabot_status status = SABOT_OK;
    int32_t to = 0;
    for (int32_t i = 0; i < n; i++) {
        size_t size, at = 0;
        const char *list = list_of(lists, i, &size);
        struct entry entry;
        for (; status == SABOT_OK && entry_next(list, size, &at, &entry); to++) {
            char *target = (char *)builder.values + (size_t)to * width;
            memset(target, 0, width);
            if (entry.size == LIST_NULL) {
                column_builder_set_null(&builder, to);
            } else if (phys != PHYS_VIEW) {
                memcpy(target, entry.data, width);
            } else {
                char *bytes = NULL;
                status = column_builder_reserve(&builder, entry.size + 1u, &bytes, err);
                if (status != SABOT_OK) { break; }
                memcpy(bytes, entry.data, entry.size);
                const struct string_view view = string_view_of(bytes, entry.size);
                memcpy(target, &view, sizeof view);
            }
        }
    }
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

static int64_t count_entries(const char *list, size_t size) {
    struct entry entry;
    int64_t n = 0;
    for (size_t at = 0; entry_next(list, size, &at, &entry);) { n++; }
    return n;
}

sabot_status list_cell_counts(const struct column *lists, int32_t n, struct memory_pool *pool, struct column **out,
                              struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, pool, PHYS_I64, n, false, err));
    for (int32_t i = 0; i < n; i++) {
        size_t size;
        const char *list = list_of(lists, i, &size);
        ((int64_t *)builder.values)[i] = count_entries(list, size);
    }
    const sabot_status status = column_builder_finish(&builder, out, err);
    column_builder_clear(&builder);
    return status;
}

sabot_status list_cell_elements(const struct column *lists, int32_t n, enum phys phys, struct memory_pool *pool,
                                struct column **out, int32_t **slots, struct sabot_error *err) {
    int64_t total = 0, at = 0;
    for (int32_t i = 0; i < n; i++) {
        size_t size;
        const char *list = list_of(lists, i, &size);
        total += count_entries(list, size);
    }
    if (total > INT32_MAX) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "too many values in the sets of one batch"); }
    *slots = malloc(((size_t)total + 1) * sizeof **slots);
    if (!*slots) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a set of values"); }
    for (int32_t i = 0; i < n; i++) {
        size_t size;
        const char *list = list_of(lists, i, &size);
        for (int64_t k = count_entries(list, size); k > 0; k--) { (*slots)[at++] = i; }
    }
    const sabot_status status = elements(lists, n, total, phys, pool, out, err);
    if (status != SABOT_OK) {
        free(*slots);
        *slots = NULL;
    }
    return status;
}

static sabot_status arrays(const struct aggregate_call *call, const struct column *lists, int32_t n,
                           struct memory_pool *pool, struct column **out, struct sabot_error *err) {
    const size_t words = ((size_t)n + 63) / 64 + 1;
    struct buffer *owners[2] = {NULL, NULL};
    struct column *child = NULL;
    SABOT_TRY(buffer_new(pool, ((size_t)n + 1) * sizeof(int32_t), &owners[0], err));
    sabot_status status = buffer_new(pool, words * sizeof(uint64_t), &owners[1], err);
    int64_t total = 0;
    if (status == SABOT_OK) {
        int32_t *offsets = (int32_t *)(void *)owners[0]->data;
        uint64_t *validity = (uint64_t *)(void *)owners[1]->data;
        memset(validity, 0, words * sizeof *validity);
        for (int32_t i = 0; i < n; i++) {
            size_t size;
            const char *list = list_of(lists, i, &size);
            offsets[i] = (int32_t)total;
            if (size > 0) { validity[i >> 6] |= UINT64_C(1) << (i & 63); }
            total += count_entries(list, size);
            if (total > INT32_MAX) {
                status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "too many elements in the arrays of one batch");
                break;
            }
        }
        offsets[n] = (int32_t)total;
    }
    if (status == SABOT_OK) {
        status = elements(lists, n, total, type_phys(call->type.fields[0].type), pool, &child, err);
    }
    if (status != SABOT_OK) {
        buffer_unref(owners[0]);
        buffer_unref(owners[1]);
        return status;
    }
    return column_new(PHYS_LIST, n, (const uint64_t *)(const void *)owners[1]->data, owners[0]->data, owners, 2,
                      &child, 1, out, err);
}

sabot_status list_cell_result(const struct aggregate_call *call, const struct column *lists, int32_t n,
                              struct memory_pool *pool, struct column **out, struct sabot_error *err) {
    return call->kind == AGGREGATE_LISTAGG ? joined(call, lists, n, pool, out, err)
                                           : arrays(call, lists, n, pool, out, err);
}
