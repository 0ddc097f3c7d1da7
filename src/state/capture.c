/* Rows on their way out of a table: gathered into chunks that share nothing with it. */
#include "state/capture.h"

#include <assert.h>
#include <stdlib.h>

#define WORD_SLOTS 64
#define DENSE_FROM 8     /* an eighth of the slots change between two files of a chain */
#define DENSE_UNTIL 128  /* so that words without a change are seldom: of a hundred and more, one may be */
#define DENSE_SLOTS_MIN 256
#define CHUNK_ROWS 16384
#define CHUNK_ROWS_MIN 64
#define CHUNK_STRINGS_MAX (INT64_C(4) * 1024 * 1024)
#define CHUNK_ROW_LIMIT 65536 /* bytes of a memory limit per row of a chunk: several copies of it are made on its way */
#define CHUNK_LIMIT_SHARE 256 /* of the limit are a chunk's strings */
#define ALL_ONES 0xff

/* --- which slots */
static sabot_status words_fit(struct memory_pool *pool, uint64_t **words, int32_t *n, int32_t slots,
                              struct sabot_error *err) {
    const int32_t wanted = slots / WORD_SLOTS + (slots % WORD_SLOTS != 0);
    if (wanted <= *n) { return SABOT_OK; }
    const size_t before = (size_t)*n * sizeof **words, after = (size_t)wanted * sizeof **words;
    void *block = *words;
    SABOT_TRY(block ? memory_resize_state(pool, &block, before, after, err)
                    : memory_alloc_state(pool, after, false, &block, err));
    *words = block;
    memory_fill_state(pool, (char *)block + before, 0, after - before);
    *n = wanted;
    return SABOT_OK;
}

sabot_status slot_watch_fit(struct slot_watch *watch, struct memory_pool *pool, int32_t slots,
                            struct sabot_error *err) {
    SABOT_TRY(words_fit(pool, &watch->changed, &watch->n_changed, slots, err));
    SABOT_TRY(words_fit(pool, &watch->saved_slots, &watch->n_saved_slots, slots, err));
    return words_fit(pool, &watch->settled, &watch->n_settled, watch->n_changed, err);
}

void slot_watch_reset(struct slot_watch *watch) {
    struct slot_watch empty = {.changed = watch->changed, .saved_slots = watch->saved_slots, .settled = watch->settled,
                               .n_changed = watch->n_changed, .n_saved_slots = watch->n_saved_slots,
                               .n_settled = watch->n_settled};
    if (watch->marked) {
        memset(watch->changed, 0, (size_t)watch->n_changed * sizeof *watch->changed);
        memset(watch->saved_slots, 0, (size_t)watch->n_saved_slots * sizeof *watch->saved_slots);
    }
    *watch = empty;
}

void slot_watch_clear(struct slot_watch *watch, struct memory_pool *pool) {
    if (watch->changed) {
        memory_free_state(pool, watch->changed, (size_t)watch->n_changed * sizeof *watch->changed);
    }
    if (watch->saved_slots) {
        memory_free_state(pool, watch->saved_slots, (size_t)watch->n_saved_slots * sizeof *watch->saved_slots);
    }
    if (watch->settled) {
        memory_free_state(pool, watch->settled, (size_t)watch->n_settled * sizeof *watch->settled);
    }
    *watch = (struct slot_watch){0};
}

/* Over up to `most` slots of a word, or over a whole word in which nothing is wanted. Returns how many; *wanted: bit i
 * is the slot `cursor + i`, before the cursor was moved. */
static int32_t word_walk(struct slot_watch *watch, int32_t most, uint64_t *wanted) {
    const int32_t word = watch->cursor / WORD_SLOTS, first = watch->cursor % WORD_SLOTS;
    const int32_t left = watch->frozen - watch->cursor;
    int32_t n = WORD_SLOTS - first < left ? WORD_SLOTS - first : left;
    uint64_t *changed = &watch->changed[word], *saved = &watch->saved_slots[word];
    const uint64_t bits = (watch->all ? UINT64_MAX : *changed) & ~*saved;
    if (bits >> first && n > most) { n = most; }
    const uint64_t passed = UINT64_MAX >> (WORD_SLOTS - n) << first;
    *wanted = (bits & passed) >> first;
    watch->walked_changed += __builtin_popcountll(*changed & passed);
    if (watch->is_chain) { *changed &= ~passed | *saved; } /* what changed behind the barrier is for the next file */
    *saved &= ~passed;
    watch->cursor += n;
    return n;
}

int32_t slot_watch_walk(struct slot_watch *watch, int32_t *left, int32_t *wanted, int32_t room) {
    int32_t n = 0;
    while (*left > 0 && n < room && watch->cursor < watch->frozen) {
        const int32_t cursor = watch->cursor;
        uint64_t bits;
        const int32_t passed = word_walk(watch, *left < room - n ? *left : room - n, &bits);
        *left -= bits ? passed : 1;
        for (; bits; bits &= bits - 1) { wanted[n++] = cursor + __builtin_ctzll(bits); }
    }
    return n;
}

void slot_watch_forget(struct slot_watch *watch) {
    watch->is_saved = false;
    watch->saved = 0;
    watch->on = watch->frozen > 0;
}

void slot_watch_freeze(struct slot_watch *watch, enum state_form form, int32_t slots) {
    watch->is_chain = form != STATE_FORM_ROWS;
    watch->all = form != STATE_FORM_DELTA || !watch->is_saved;
    watch->frozen = slots;
    watch->cursor = watch->walked_changed = 0;
    if (watch->settled) { memset(watch->settled, 0, (size_t)watch->n_settled * sizeof *watch->settled); }
    if (watch->is_chain) {
        watch->is_saved = true;
        watch->saved = slots;
    }
    watch->on = slots > 0 || watch->is_saved;
    watch->marked |= watch->on;
}

/* Words are marked from an eighth of the slots on, as few words have none of them then (64 slots, one in 5,000). They
 * say no more how many slots change: that it is less is seen when there are words without any. */
static void density_judge(struct slot_watch *watch) {
    const int32_t least = watch->dense ? watch->frozen - watch->frozen / DENSE_UNTIL : watch->frozen / DENSE_FROM;
    watch->dense = watch->frozen >= DENSE_SLOTS_MIN && watch->walked_changed >= least;
}

void slot_watch_thaw(struct slot_watch *watch) {
    if (watch->is_chain && watch->cursor == watch->frozen) { density_judge(watch); }
    const int32_t first = watch->cursor / WORD_SLOTS, end = (watch->frozen + WORD_SLOTS - 1) / WORD_SLOTS;
    if (first < end) { memset(watch->saved_slots + first, 0, (size_t)(end - first) * sizeof *watch->saved_slots); }
    watch->frozen = watch->cursor = 0;
    watch->on = watch->is_saved;
}

/* --- columns */
int32_t capture_head(enum state_form form) { return form == STATE_FORM_DELTA ? 4 : form == STATE_FORM_BASE ? 3 : 2; }

sabot_status capture_schema(const struct state_table *table, enum state_form form, struct schema **out,
                            struct sabot_error *err) {
    const struct schema *schema = table->schema;
    const int32_t head = capture_head(form);
    struct field *fields = malloc((size_t)(schema->n_fields + head) * sizeof *fields);
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a schema"); }
    int32_t n = 0;
    if (form == STATE_FORM_DELTA) { fields[n++] = (struct field){"change", type_not_null(type_of(TYPE_INT8))}; }
    fields[n++] = (struct field){"key_group", type_not_null(type_of(TYPE_INT32))};
    fields[n++] = (struct field){"namespace", type_not_null(type_of(TYPE_INT64))};
    if (form != STATE_FORM_ROWS) {
        fields[n++] = (struct field){table->backend->slot_column, type_not_null(type_of(TYPE_INT32))};
    }
    assert(n == head);
    for (int32_t i = 0; i < schema->n_fields; i++) { fields[n++] = schema->fields[i]; }
    const sabot_status status = schema_new(fields, n, out, err);
    free(fields);
    return status;
}

/* --- chunks */
static void chunk_drop(struct capture *capture) {
    buffer_unref(capture->changes);
    buffer_unref(capture->groups);
    buffer_unref(capture->namespaces);
    buffer_unref(capture->slots);
    capture->changes = capture->groups = capture->namespaces = capture->slots = NULL;
    for (int32_t c = 0; c < STATE_COLUMNS_MAX + 2; c++) { /* a list has no cells, and may have more columns */
        buffer_unref(capture->values[c]);
        buffer_unref(capture->validity[c]);
        capture->values[c] = capture->validity[c] = NULL;
    }
    string_heap_clear(&capture->heap);
    capture->n = capture->capacity = 0;
}

void capture_begin(struct capture *capture, struct state_table *table, enum state_form form, int64_t rows_expected) {
    capture_clear(capture);
    capture->table = table;
    capture->form = form;
    capture->active = true;
    capture->expected = rows_expected;
}

void capture_clear(struct capture *capture) {
    chunk_drop(capture);
    for (int32_t i = capture->first_chunk; i < capture->n_chunks; i++) { batch_unref(capture->chunks[i]); }
    free(capture->chunks);
    *capture = (struct capture){0};
}

static sabot_status chunk_new(struct capture *capture, struct sabot_error *err) {
    struct memory_pool *pool = capture->table->context->pool;
    const int64_t rows_max = memory_limit(pool) / CHUNK_ROW_LIMIT;
    int64_t capacity = rows_max < CHUNK_ROWS ? rows_max : CHUNK_ROWS;
    capacity = capture->expected < capacity ? capture->expected : capacity;
    capacity = capacity < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : capacity;
    const size_t n = (size_t)capacity;
    if (capture->form == STATE_FORM_DELTA) { SABOT_TRY(buffer_new(pool, n, &capture->changes, err)); }
    if (capture->form != STATE_FORM_ROWS) { SABOT_TRY(buffer_new(pool, n * 4, &capture->slots, err)); }
    SABOT_TRY(buffer_new(pool, n * 4, &capture->groups, err));
    SABOT_TRY(buffer_new(pool, n * 8, &capture->namespaces, err));
    for (int32_t c = 0; c < capture->table->schema->n_fields; c++) {
        const size_t size = phys_size(type_phys(capture->table->schema->fields[c].type));
        SABOT_TRY(buffer_new(pool, n * size, &capture->values[c], err));
    }
    capture->capacity = (int32_t)capacity;
    return SABOT_OK;
}

static sabot_status fixed_column(struct capture *capture, struct buffer **values, enum phys phys, struct column **out,
                                 struct sabot_error *err) {
    struct buffer *taken = *values;
    *values = NULL;
    return string_heap_column(&capture->heap, phys, capture->n, taken, NULL, out, err);
}

sabot_status state_grouping_fill(const struct state_grouping *grouping, struct memory_pool *pool, struct batch *chunk,
                                 struct sabot_error *err) {
    if (grouping->n_keys == 0) { return SABOT_OK; }
    int32_t keys[STATE_COLUMNS_MAX];
    for (int32_t k = 0; k < grouping->n_keys; k++) { keys[k] = grouping->first_key + k; }
    struct buffer *hashes;
    SABOT_TRY(batch_hash(pool, chunk, keys, grouping->n_keys, &hashes, err));
    int32_t *groups = (int32_t *)(uintptr_t)chunk->columns[grouping->column]->values; /* nobody else has the chunk */
    for (int32_t i = 0; i < chunk->rows; i++) {
        if (groups[i] < 0) { continue; } /* a mark */
        groups[i] = key_group_of(((const uint64_t *)(const void *)hashes->data)[i], grouping->max_parallelism);
    }
    buffer_unref(hashes);
    return SABOT_OK;
}

static sabot_status chunk_columns(struct capture *capture, struct column **columns, int32_t *n,
                                  struct sabot_error *err) {
    if (capture->form == STATE_FORM_DELTA) {
        SABOT_TRY(fixed_column(capture, &capture->changes, PHYS_I8, &columns[*n], err));
        ++*n;
    }
    SABOT_TRY(fixed_column(capture, &capture->groups, PHYS_I32, &columns[*n], err));
    ++*n;
    SABOT_TRY(fixed_column(capture, &capture->namespaces, PHYS_I64, &columns[*n], err));
    ++*n;
    if (capture->form != STATE_FORM_ROWS) {
        SABOT_TRY(fixed_column(capture, &capture->slots, PHYS_I32, &columns[*n], err));
        ++*n;
    }
    for (int32_t c = 0; c < capture->table->schema->n_fields; c++) {
        struct buffer *values = capture->values[c], *validity = capture->validity[c];
        capture->values[c] = capture->validity[c] = NULL;
        SABOT_TRY(string_heap_column(&capture->heap, type_phys(capture->table->schema->fields[c].type), capture->n,
                                     values, validity, &columns[*n], err));
        ++*n;
    }
    return SABOT_OK;
}

static sabot_status chunk_finish(struct capture *capture, struct batch **out, struct sabot_error *err) {
    struct column *columns[STATE_COLUMNS_MAX + 6];
    int32_t n = 0;
    const sabot_status status = chunk_columns(capture, columns, &n, err);
    if (status != SABOT_OK) {
        for (int32_t i = 0; i < n; i++) { column_unref(columns[i]); }
        return status;
    }
    return batch_new(capture->table->forms[capture->form], columns, n, capture->n, out, err);
}

sabot_status capture_add(struct capture *capture, struct batch *chunk, struct sabot_error *err) {
    if (capture->n_chunks == capture->chunks_capacity) {
        const int32_t capacity = capture->chunks_capacity ? capture->chunks_capacity * 2 : 8;
        struct batch **chunks = realloc(capture->chunks, (size_t)capacity * sizeof(struct batch *));
        if (!chunks) {
            batch_unref(chunk);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot");
        }
        capture->chunks = chunks;
        capture->chunks_capacity = capacity;
    }
    capture->chunks[capture->n_chunks++] = chunk;
    return SABOT_OK;
}

void capture_flush(struct capture *capture) {
    if (capture->n == 0 || capture->error.status != SABOT_OK) { return; }
    struct batch *batch = NULL;
    if (chunk_finish(capture, &batch, &capture->error) == SABOT_OK) {
        capture_add(capture, batch, &capture->error);
    }
    chunk_drop(capture);
}

struct batch *capture_take(struct capture *capture) {
    if (capture->first_chunk == capture->n_chunks) { return NULL; }
    struct batch *batch = capture->chunks[capture->first_chunk++];
    if (capture->first_chunk == capture->n_chunks) { capture->first_chunk = capture->n_chunks = 0; }
    return batch;
}

/* --- rows */
#define GATHER(type_)                                                                                                  \
    do {                                                                                                               \
        type_ *target = (type_ *)(void *)capture->values[c]->data + at;                                                \
        if (is_run && stride == sizeof *target) {                                                                      \
            memcpy(target, from + (size_t)slots[0] * stride, (size_t)n * sizeof *target);                              \
        } else {                                                                                                       \
            for (int32_t i = 0; i < n; i++) {                                                                          \
                target[i] = *(const type_ *)(const void *)(from + (size_t)slots[i] * stride);                          \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
static sabot_status gather_column(struct capture *capture, const struct capture_source *source, int32_t c,
                                  const int32_t *slots, int32_t n, bool is_run, struct sabot_error *err) {
    const int32_t at = capture->n;
    const enum phys phys = type_phys(capture->table->schema->fields[c].type);
    memory_relax(capture->table->context->pool);
    if (!source->columns[c]) {
        int64_t *target = (int64_t *)(void *)capture->values[c]->data + at;
        for (int32_t i = 0; i < n && phys == PHYS_I64; i++) { target[i] = source->absent[c]; }
        return SABOT_OK;
    }
    const size_t stride = source->strides[c] ? source->strides[c] : phys_size(phys);
    const char *from = source->columns[c];
    switch (phys_size(phys)) {
    case 0: break;
    case 1: GATHER(uint8_t); break;
    case 2: GATHER(uint16_t); break;
    case 4: GATHER(uint32_t); break;
    case 8: GATHER(uint64_t); break;
    default:
        if (phys != PHYS_VIEW) {
            GATHER(__int128);
            break;
        }
        struct string_view *target = (struct string_view *)(void *)capture->values[c]->data + at;
        for (int32_t i = 0; i < n; i++) {
            const struct string_view *view = (const void *)(from + (size_t)slots[i] * stride);
            SABOT_TRY(string_heap_keep(capture->table->context->pool, &capture->heap, view, &target[i], err));
        }
        break;
    }
    const uint64_t *bits = source->validity[c];
    if (bits && !capture->validity[c]) {
        const size_t size = validity_size(capture->capacity);
        SABOT_TRY(buffer_new(capture->table->context->pool, size, &capture->validity[c], err));
        memset(capture->validity[c]->data, ALL_ONES, size);
    }
    for (int32_t i = 0; i < n && bits; i++) {
        if (!bit_is_set(bits, slots[i])) { bit_clear((uint64_t *)(void *)capture->validity[c]->data, at + i); }
    }
    return SABOT_OK;
}

static void gather_head(struct capture *capture, const struct capture_source *source, const int32_t *slots,
                        int32_t n) {
    const int32_t at = capture->n;
    int32_t *groups = (int32_t *)(void *)capture->groups->data + at;
    int64_t *namespaces = (int64_t *)(void *)capture->namespaces->data + at;
    const int32_t group = capture->table->by_subtask ? STATE_GROUP_ALL : 0;
    for (int32_t i = 0; i < n; i++) { groups[i] = group; } /* else see state_grouping_fill() */
    for (int32_t i = 0; i < n; i++) {
        namespaces[i] = source->namespaces ? source->namespaces[slots[i]] : source->namespace_;
    }
    if (capture->slots) { memcpy((int32_t *)(void *)capture->slots->data + at, slots, (size_t)n * sizeof *slots); }
    if (capture->changes) { memset(capture->changes->data + at, (int)source->change, (size_t)n); }
}

static int64_t strings_max_of(const struct capture *capture) {
    const int64_t share = memory_limit(capture->table->context->pool) / CHUNK_LIMIT_SHARE;
    return share < CHUNK_STRINGS_MAX ? share : CHUNK_STRINGS_MAX;
}

/* How many of slots[0..n) do not make the chunk's strings much more than they may be: one at least. */
static int32_t slots_that_fit(const struct capture *capture, const struct capture_source *source, const int32_t *slots,
                              int32_t n) {
    const struct schema *schema = capture->table->schema;
    const int64_t bytes_max = strings_max_of(capture);
    int64_t bytes = (int64_t)capture->heap.size;
    int32_t texts[STATE_COLUMNS_MAX + 2], n_texts = 0;
    for (int32_t c = 0; c < schema->n_fields; c++) {
        if (source->columns[c] && type_phys(schema->fields[c].type) == PHYS_VIEW) { texts[n_texts++] = c; }
    }
    for (int32_t i = 0; i < n && n_texts; i++) {
        for (int32_t t = 0; t < n_texts; t++) {
            const int32_t c = texts[t];
            const size_t stride = source->strides[c] ? source->strides[c] : sizeof(struct string_view);
            const char *at = (const char *)source->columns[c] + (size_t)slots[i] * stride;
            const uint32_t size = ((const struct string_view *)(const void *)at)->size;
            bytes += size > STRING_VIEW_INLINE ? size : 0;
        }
        if (bytes > bytes_max) { return i + 1; }
    }
    return n;
}

/* Room for a row at least. */
static bool chunk_ready(struct capture *capture) {
    const int64_t strings_max = strings_max_of(capture);
    if (capture->n && (capture->n == capture->capacity || (int64_t)capture->heap.size > strings_max)) {
        capture_flush(capture);
    }
    if (capture->error.status == SABOT_OK && !capture->capacity && chunk_new(capture, &capture->error) != SABOT_OK) {
        chunk_drop(capture);
    }
    return capture->error.status == SABOT_OK;
}

static int64_t row_bytes(const struct schema *schema) {
    int64_t bytes = 0;
    for (int32_t c = 0; c < schema->n_fields; c++) { bytes += (int64_t)phys_size(type_phys(schema->fields[c].type)); }
    return bytes;
}

void capture_rows(struct capture *capture, const struct capture_source *source, const int32_t *slots, int32_t n,
                  bool ascending) {
    while (n > 0 && chunk_ready(capture)) {
        const int32_t room = capture->capacity - capture->n;
        const int32_t m = slots_that_fit(capture, source, slots, n < room ? n : room);
        const bool is_run = ascending && slots[m - 1] - slots[0] == m - 1;
        const size_t strings = capture->heap.size;
        gather_head(capture, source, slots, m);
        for (int32_t c = 0; c < capture->table->schema->n_fields; c++) {
            if (gather_column(capture, source, c, slots, m, is_run, &capture->error) != SABOT_OK) { return; }
        }
        capture->copied += m * row_bytes(capture->table->schema) + (int64_t)(capture->heap.size - strings);
        capture->n += m;
        slots += m;
        n -= m;
    }
}

void capture_mark(struct capture *capture, enum slot_change change, int64_t namespace_, int32_t slot) {
    assert(capture->form == STATE_FORM_DELTA);
    if (!chunk_ready(capture)) { return; }
    const int32_t at = capture->n++;
    ((int8_t *)(void *)capture->changes->data)[at] = (int8_t)change;
    ((int32_t *)(void *)capture->groups->data)[at] = -1;
    ((int64_t *)(void *)capture->namespaces->data)[at] = namespace_;
    ((int32_t *)(void *)capture->slots->data)[at] = slot;
    for (int32_t c = 0; c < capture->table->schema->n_fields; c++) {
        const size_t size = phys_size(type_phys(capture->table->schema->fields[c].type));
        memset(capture->values[c]->data + (size_t)at * size, 0, size);
    }
}
