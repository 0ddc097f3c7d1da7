/* Reading a chain backwards: per namespace, a bit for each slot that is known already; or a table of the keys. */
#include "state/replay.h"

#include "state/capture.h"

#include <stdlib.h>

#define SLOT_MAX (1 << 30)

struct place { /* a namespace; or all of a multimap */
    int64_t namespace_;
    bool used;
    int32_t end, next_end; /* slots from here on are empty; as the file that is being read says */
    int32_t bits;          /* in `seen` */
    uint64_t *seen;
};
struct replay {
    struct memory_pool *pool;
    struct state_context context; /* of the next */
    struct state_tables *tables;
    struct state_table *keys; /* CAPTURE_KEY_SLOT: (namespace, keys) that a newer file has spoken of; NULL: none yet */
    struct place *places; /* open addressing */
    int32_t n_places, capacity;
};

sabot_status replay_new(struct memory_pool *pool, struct replay **out, struct sabot_error *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
    (*out)->pool = pool;
    return SABOT_OK;
}

void replay_free(struct replay *replay) {
    if (!replay) { return; }
    for (int32_t i = 0; i < replay->capacity; i++) {
        struct place *place = &replay->places[i];
        if (place->seen) { memory_free(replay->pool, place->seen, validity_size(place->bits)); }
    }
    state_tables_free(replay->tables);
    free(replay->places);
    free(replay);
}

static struct place *place_at(struct place *places, int32_t capacity, int64_t namespace_) {
    uint64_t at = (uint64_t)namespace_ * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    for (;; at++) {
        struct place *place = &places[at & (uint64_t)(capacity - 1)];
        if (!place->used || place->namespace_ == namespace_) { return place; }
    }
}

static sabot_status place_get(struct replay *replay, int64_t namespace_, struct place **out, struct sabot_error *err) {
    if (replay->n_places * 2 >= replay->capacity) {
        const int32_t capacity = replay->capacity ? replay->capacity * 2 : 64;
        struct place *places = calloc((size_t)capacity, sizeof *places);
        if (!places) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
        for (int32_t i = 0; i < replay->capacity; i++) {
            const struct place *place = &replay->places[i];
            if (place->used) { *place_at(places, capacity, place->namespace_) = *place; }
        }
        free(replay->places);
        replay->places = places;
        replay->capacity = capacity;
    }
    *out = place_at(replay->places, replay->capacity, namespace_);
    if ((*out)->used) { return SABOT_OK; }
    **out = (struct place){.namespace_ = namespace_, .used = true, .end = SLOT_MAX, .next_end = SLOT_MAX};
    replay->n_places++;
    return SABOT_OK;
}

static sabot_status place_see(struct replay *replay, struct place *place, int32_t slot, struct sabot_error *err) {
    if (slot >= place->bits) {
        int32_t bits = place->bits ? place->bits : 1024;
        while (bits <= slot) { bits *= 2; }
        void *seen = place->seen;
        SABOT_TRY(seen ? memory_resize(replay->pool, &seen, validity_size(place->bits), validity_size(bits), err)
                       : memory_alloc(replay->pool, validity_size(bits), &seen, err));
        memset((char *)seen + validity_size(place->bits), 0, validity_size(bits) - validity_size(place->bits));
        place->seen = seen;
        place->bits = bits;
    }
    bit_put(place->seen, slot, true);
    return SABOT_OK;
}

static bool place_hides(const struct place *place, int32_t slot) {
    return slot >= place->end || (slot < place->bits && bit_is_set(place->seen, slot));
}

/* The columns that say what a row is. */
struct head {
    const int8_t *changes; /* NULL: every row stands in its slot */
    const int64_t *namespaces;
    const int32_t *slots;
    bool is_table; /* slots are the table's, not a namespace's */
    bool is_key;   /* ... or mean nothing */
};

static bool head_column(const struct batch *rows, int32_t at, enum phys phys, const void **out) {
    if (at >= rows->n_columns) { return false; }
    const struct column *column = rows->columns[at];
    *out = column->values;
    return column->phys == phys && !column->constant && !column->validity;
}

static sabot_status head_read(const struct batch *rows, enum state_form form, const char *path, struct head *out,
                              struct sabot_error *err) {
    *out = (struct head){0};
    const int32_t first = form == STATE_FORM_DELTA ? 1 : 0;
    const void *changes = NULL, *namespaces, *slots;
    const bool whole = (form == STATE_FORM_BASE || head_column(rows, 0, PHYS_I8, &changes)) &&
                       head_column(rows, first + 1, PHYS_I64, &namespaces) &&
                       head_column(rows, first + 2, PHYS_I32, &slots);
    if (!whole) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s has not the columns of its form: restore from another "
                          "checkpoint", path);
    }
    const char *slot = rows->schema->fields[first + 2].name;
    *out = (struct head){.changes = changes, .namespaces = namespaces, .slots = slots,
                         .is_table = strcmp(slot, CAPTURE_TABLE_SLOT) == 0,
                         .is_key = strcmp(slot, CAPTURE_KEY_SLOT) == 0};
    return SABOT_OK;
}

static sabot_status rows_without_head(const struct batch *rows, enum state_form form, const int32_t *kept, int32_t n,
                                      struct memory_pool *pool, struct batch **out, struct sabot_error *err) {
    struct schema *schema;
    struct field fields[STATE_COLUMNS_MAX + 6];
    struct column *columns[STATE_COLUMNS_MAX + 6];
    const int32_t head = capture_head(form), first = form == STATE_FORM_DELTA ? 1 : 0;
    int32_t m = 0;
    for (int32_t c = first; c < rows->n_columns; c++) {
        if (c == head - 1) { continue; } /* the slot */
        fields[m] = rows->schema->fields[c];
        columns[m++] = rows->columns[c];
    }
    SABOT_TRY(schema_new(fields, m, &schema, err));
    for (int32_t c = 0; c < m; c++) { column_ref(columns[c]); }
    BATCH_OWNED struct batch *all = NULL;
    sabot_status status = batch_new(schema, columns, m, rows->rows, &all, err);
    schema_unref(schema);
    SABOT_TRY(status);
    struct buffer *selection;
    SABOT_TRY(buffer_new(pool, (size_t)n * sizeof *kept, &selection, err));
    memcpy(selection->data, kept, (size_t)n * sizeof *kept);
    return batch_with_selection(all, selection, n, out, err);
}

static sabot_status row_look(struct replay *replay, enum state_form form, const struct head *head, int32_t row,
                             bool *keeps, const char *path, struct sabot_error *err) {
    const int32_t slot = head->slots[row];
    const int8_t change = head->changes ? head->changes[row] : SLOT_ROW;
    if (slot < 0 || slot >= SLOT_MAX || change < SLOT_ROW || change > SLOT_END) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s has a row with slot %d and change %d: restore from another "
                          "checkpoint", path, slot, change);
    }
    struct place *place = NULL;
    SABOT_TRY(place_get(replay, head->is_table ? 0 : head->namespaces[row], &place, err));
    *keeps = false;
    if (change == SLOT_END) {
        place->next_end = slot < place->next_end ? slot : place->next_end;
        return SABOT_OK;
    }
    *keeps = change == SLOT_ROW && !place_hides(place, slot);
    /* nothing is older than a base */
    return form == STATE_FORM_DELTA && slot < place->end ? place_see(replay, place, slot, err) : SABOT_OK;
}

/* --- by key */
static sabot_status keys_open(struct replay *replay, const struct batch *rows, int32_t first, int32_t n_keys,
                              struct sabot_error *err) {
    struct field fields[STATE_COLUMNS_MAX + 1];
    fields[0] = rows->schema->fields[first];
    for (int32_t k = 0; k < n_keys; k++) { fields[k + 1] = rows->schema->fields[first + 2 + k]; }
    replay->context = (struct state_context){.pool = replay->pool, .parallelism = 1, .max_parallelism = 1};
    SABOT_TRY(state_tables_new(&replay->context, &replay->tables, err));
    struct schema *schema;
    SABOT_TRY(schema_new(fields, n_keys + 1, &schema, err));
    const struct state_spec spec = {.name = "replay", .kind = STATE_KEYED, .schema = schema, .n_keys = n_keys + 1};
    const sabot_status status = state_table_open(replay->tables, &spec, &replay->keys, err);
    schema_unref(schema);
    return status;
}

/* kept[0..*n): in: all rows of the batch; out: those whose key no newer file has spoken of, and which are rows. */
static sabot_status keys_look(struct replay *replay, enum state_form form, int32_t n_keys, const struct head *head,
                              struct batch *given, int32_t *kept, int32_t *n, struct sabot_error *err) {
    const int32_t first = form == STATE_FORM_DELTA ? 2 : 1; /* the namespace; behind it the slot, then keys */
    if (form == STATE_FORM_BASE && !replay->keys) { return SABOT_OK; } /* it is the only file */
    if (!replay->keys) { SABOT_TRY(keys_open(replay, given, first, n_keys, err)); }
    int32_t columns[STATE_COLUMNS_MAX + 1] = {first};
    for (int32_t k = 0; k < n_keys; k++) { columns[k + 1] = first + 2 + k; }
    BATCH_OWNED struct batch *rows = NULL;
    SABOT_TRY(batch_copy(given, &rows, err));
    SABOT_TRY(batch_cache_hashes(replay->pool, rows, columns, n_keys + 1, err));
    int32_t *slots = malloc((size_t)(*n + 1) * sizeof *slots);
    if (!slots) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
    const int64_t known = state_count(replay->keys, 0);
    sabot_status status = SABOT_OK;
    if (form == STATE_FORM_BASE) { /* nothing is older */
        state_find(replay->keys, 0, rows, columns, kept, *n, slots);
    } else {
        status = state_find_or_insert(replay->keys, 0, rows, columns, kept, *n, slots, err);
    }
    int32_t m = 0;
    for (int32_t i = 0; i < *n && status == SABOT_OK; i++) {
        const bool is_new = slots[i] < 0 || slots[i] >= known;
        if (is_new && (!head->changes || head->changes[kept[i]] == SLOT_ROW)) { kept[m++] = kept[i]; }
    }
    *n = m;
    free(slots);
    return status;
}

sabot_status replay_rows(struct replay *replay, enum state_form form, int32_t n_keys, struct batch *given,
                         const char *path, struct batch **out, struct sabot_error *err) {
    *out = NULL;
    if (form == STATE_FORM_ROWS) {
        *out = given;
        return SABOT_OK;
    }
    BATCH_OWNED struct batch *rows = given;
    struct head head;
    SABOT_TRY(head_read(rows, form, path, &head, err));
    if (rows->n_columns > STATE_COLUMNS_MAX + 6 || rows->n_columns < capture_head(form) + n_keys ||
        n_keys < 0 || n_keys > STATE_COLUMNS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s has %d columns: restore from another checkpoint", path,
                          rows->n_columns);
    }
    int32_t *kept = malloc((size_t)(rows->selected + 1) * sizeof *kept);
    if (!kept) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
    int32_t n = 0;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < rows->selected && head.is_key; i++) { kept[n++] = batch_row(rows, i); }
    if (head.is_key) { status = keys_look(replay, form, n_keys, &head, rows, kept, &n, err); }
    for (int32_t i = 0; i < rows->selected && status == SABOT_OK && !head.is_key; i++) {
        kept[n] = batch_row(rows, i);
        bool keeps = false;
        status = row_look(replay, form, &head, kept[n], &keeps, path, err);
        n += status == SABOT_OK && keeps;
    }
    if (status == SABOT_OK && n) { status = rows_without_head(rows, form, kept, n, replay->pool, out, err); }
    free(kept);
    return status;
}

void replay_end_file(struct replay *replay) {
    for (int32_t i = 0; i < replay->capacity; i++) {
        struct place *place = &replay->places[i];
        place->end = place->next_end < place->end ? place->next_end : place->end;
        place->next_end = SLOT_MAX;
    }
}
