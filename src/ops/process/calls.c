/* What a process function may do in a call: state, timers, output. Keys are given by number; those of a call are turned
 * into keys of key-value state in parts that have one namespace. */
#include "ops/process/process_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMESPACE_NULL 1 /* of a key that is the NULL of a single column */

/* Makes a room larger; `keep`: with what is in it. */
static sabot_status room_grow(struct process *self, struct process_room *room, size_t capacity, bool keep,
                              struct sabot_error *err) {
    const int64_t more = (int64_t)(capacity - room->capacity);
    if (!keep) { process_room_free(self, room); }
    SABOT_TRY(memory_charge(self->own.pool, keep ? more : (int64_t)capacity, err));
    void *grown = realloc(room->data, capacity);
    if (!grown) {
        memory_charge(self->own.pool, keep ? -more : -(int64_t)capacity, NULL);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a process function's call");
    }
    *room = (struct process_room){grown, capacity};
    return SABOT_OK;
}

void process_room_free(struct process *self, struct process_room *room) {
    if (room->capacity) { memory_charge(self->own.pool, -(int64_t)room->capacity, NULL); }
    free(room->data);
    *room = (struct process_room){0};
}

sabot_status process_room(struct process *self, struct process_room *room, size_t size, struct sabot_error *err) {
    if (size <= room->capacity) { return SABOT_OK; }
    return room_grow(self, room, size < 4096 ? 4096 : size + size / 2, false, err);
}

/* The same, with what is in it. */
static sabot_status room_extend(struct process *self, struct process_room *room, size_t size, struct sabot_error *err) {
    if (size <= room->capacity) { return SABOT_OK; }
    return room_grow(self, room, size < 2048 ? 4096 : size + size / 2, true, err);
}

/* --- checks */
static sabot_status keys_check(struct process *self, const int32_t *keys, int32_t n, struct sabot_error *err) {
    if (!self->keys) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "state and timers are there in process() and on_timer() of a function "
                          "that is called with PARTITION BY");
    }
    if (n < 0 || (!keys && n > self->call.n_keys)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "%d keys were asked for, and the call has %d", n, self->call.n_keys);
    }
    for (int32_t i = 0; keys && i < n; i++) {
        if (keys[i] >= 0 && keys[i] < self->call.n_keys) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "there is no key %d: the call has %d", keys[i], self->call.n_keys);
    }
    return SABOT_OK;
}

static const char *const kind_names[] = {"value", "list", "map", "counter"};

static sabot_status state_check(struct process *self, int32_t state, unsigned kinds, struct sabot_error *err) {
    const struct sabot_process_function *definition = &self->function->definition;
    if (state < 0 || state >= definition->n_states) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "there is no state %d: %d are declared", state, definition->n_states);
    }
    if (kinds & 1u << definition->states[state].kind) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "state \"%s\" is a %s: this call is for another kind",
                      definition->states[state].name, kind_names[definition->states[state].kind]);
}

#define KIND(kind) (1u << SABOT_##kind)

static sabot_status check(struct process *self, int32_t state, unsigned kinds, const int32_t *keys, int32_t n,
                          struct sabot_error *err) {
    SABOT_TRY(keys_check(self, keys, n, err));
    return state_check(self, state, kinds, err);
}

static enum sabot_process_type value_type(const struct process *self, int32_t state) {
    return self->function->definition.states[state].type;
}

/* --- keys in parts */
struct part {
    int64_t namespace_;
    int32_t first, n; /* of the caller's arrays */
    const void *keys;
};

static bool is_null_key(const struct process *self, const int32_t *keys, int32_t i) {
    return self->nulls && self->nulls[keys ? keys[i] : i];
}

/* The next keys that go together; begin with a zeroed part. false: at the end. */
static bool part_next(struct process *self, const int32_t *keys, int32_t n, struct part *part) {
    const int32_t first = part->first + part->n;
    const size_t size = kv_size(self->key_type);
    if (first >= n) { return false; }
    const bool is_null = is_null_key(self, keys, first);
    int32_t end = first + 1;
    while (end < n && end - first < KV_ROWS_MAX && is_null_key(self, keys, end) == is_null) { end++; }
    *part = (struct part){.namespace_ = is_null ? NAMESPACE_NULL : 0, .first = first, .n = end - first,
                          .keys = (const char *)self->keys + (size_t)first * size};
    if (!keys) { return true; }
    char *target = self->gathered.data; /* made with the call: KV_ROWS_MAX keys */
    for (int32_t i = first; i < end; i++) {
        memcpy(target + (size_t)(i - first) * size, (const char *)self->keys + (size_t)keys[i] * size, size);
    }
    part->keys = target;
    return true;
}

/* --- bytes */
static size_t given_size(enum sabot_process_type type) {
    return type == SABOT_BYTES ? sizeof(struct sabot_bytes) : 8;
}

/* Values of a caller as key-value state takes them: up to KV_ROWS_MAX from `first` on. */
static sabot_status values_in(struct process *self, struct process_room *room, enum sabot_process_type type,
                              const void *values, int32_t first, int32_t n, const void **out,
                              struct sabot_error *err) {
    *out = (const char *)values + (size_t)first * given_size(type);
    if (type != SABOT_BYTES || n == 0) { return SABOT_OK; }
    SABOT_TRY(process_room(self, room, KV_ROWS_MAX * sizeof(struct string_view), err));
    const struct sabot_bytes *given = *out;
    struct string_view *views = room->data;
    for (int32_t i = 0; i < n; i++) {
        if (given[i].size > INT32_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_USAGE, "a value of state has %zu bytes: it can have 2 GB", given[i].size);
        }
        views[i] = string_view_of(given[i].data ? given[i].data : "", (uint32_t)given[i].size);
    }
    *out = views;
    return SABOT_OK;
}

/* Bytes that are handed out are copied, because views end with the next access. */
static sabot_status copy_bytes(struct process *self, struct process_room *room, size_t *used,
                               const struct string_view *view, size_t *offset, struct sabot_error *err) {
    const size_t wanted = *used + view->size + 1;
    SABOT_TRY(room_extend(self, room, wanted, err));
    memcpy((char *)room->data + *used, string_view_data(view), view->size);
    *offset = *used;
    *used = wanted;
    return SABOT_OK;
}

/* --- values, counters */
static sabot_status get_bytes(struct process *self, struct kv_state *state, const int32_t *keys, const void *subs,
                              enum sabot_process_type sub_type, int32_t n, struct sabot_bytes *values, bool *found,
                              struct sabot_error *err) {
    struct string_view views[KV_ROWS_MAX];
    size_t used = 0;
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        const void *map_keys = NULL;
        if (subs) { SABOT_TRY(values_in(self, &self->given, sub_type, subs, part.first, part.n, &map_keys, err)); }
        SABOT_TRY(subs ? kv_map_get(state, part.namespace_, part.keys, map_keys, part.n, views, found + part.first, err)
                       : kv_get(state, part.namespace_, part.keys, part.n, views, found + part.first, err));
        for (int32_t i = 0; i < part.n; i++) {
            struct sabot_bytes *value = &values[part.first + i];
            size_t offset = 0;
            *value = (struct sabot_bytes){0};
            if (!found[part.first + i]) { continue; }
            SABOT_TRY(copy_bytes(self, &self->bytes, &used, &views[i], &offset, err));
            *value = (struct sabot_bytes){.data = (void *)(uintptr_t)offset, .size = views[i].size};
        }
    }
    for (int32_t i = 0; i < n; i++) { /* where the copies lie is known now */
        if (found[i]) { values[i].data = (const char *)self->bytes.data + (uintptr_t)values[i].data; }
    }
    return SABOT_OK;
}

static sabot_status call_get(struct sabot_process *handle, int32_t state, const int32_t *keys, int32_t n, void *values,
                             bool *found, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(VALUE) | KIND(COUNTER), keys, n, err));
    struct kv_state *kept = self->states[state];
    if (value_type(self, state) == SABOT_BYTES) { return get_bytes(self, kept, keys, NULL, 0, n, values, found, err); }
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        SABOT_TRY(kv_get(kept, part.namespace_, part.keys, part.n, (char *)values + (size_t)part.first * 8,
                         found + part.first, err));
    }
    return SABOT_OK;
}

static sabot_status call_put(struct sabot_process *handle, int32_t state, const int32_t *keys, int32_t n,
                             const void *values, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(VALUE), keys, n, err));
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        const void *given;
        SABOT_TRY(values_in(self, &self->given, value_type(self, state), values, part.first, part.n, &given, err));
        SABOT_TRY(kv_put(self->states[state], part.namespace_, part.keys, part.n, given, err));
    }
    return SABOT_OK;
}

static sabot_status call_add(struct sabot_process *handle, int32_t state, const int32_t *keys, int32_t n,
                             const int64_t *deltas, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(COUNTER), keys, n, err));
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        SABOT_TRY(kv_add(self->states[state], part.namespace_, part.keys, part.n, deltas + part.first, err));
    }
    return SABOT_OK;
}

static sabot_status call_clear(struct sabot_process *handle, int32_t state, const int32_t *keys, int32_t n,
                               struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(VALUE) | KIND(COUNTER) | KIND(LIST) | KIND(MAP), keys, n, err));
    const enum sabot_process_kind kind = self->function->definition.states[state].kind;
    struct kv_state *kept = self->states[state];
    const size_t size = kv_size(self->key_type);
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        if (kind == SABOT_VALUE || kind == SABOT_COUNTER) {
            SABOT_TRY(kv_remove(kept, part.namespace_, part.keys, part.n, err));
            continue;
        }
        for (int32_t i = 0; i < part.n; i++) {
            const void *key = (const char *)part.keys + (size_t)i * size;
            SABOT_TRY(kind == SABOT_LIST ? kv_list_clear(kept, part.namespace_, key, err)
                                         : kv_map_clear(kept, part.namespace_, key, err));
        }
    }
    return SABOT_OK;
}

/* --- lists */
static sabot_status call_list_add(struct sabot_process *handle, int32_t state, const int32_t *keys, int32_t n,
                                  const void *values, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(LIST), keys, n, err));
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        const void *given;
        SABOT_TRY(values_in(self, &self->given, value_type(self, state), values, part.first, part.n, &given, err));
        SABOT_TRY(kv_list_add(self->states[state], part.namespace_, part.keys, part.n, given, err));
    }
    return SABOT_OK;
}

static sabot_status call_list_get(struct sabot_process *handle, int32_t state, int32_t key, const void **values,
                                  int64_t *n, struct sabot_error *err) {
    struct process *self = process_of(handle);
    struct part part = {0};
    SABOT_TRY(check(self, state, KIND(LIST), &key, 1, err));
    (void)part_next(self, &key, 1, &part);
    SABOT_TRY(kv_list_get(self->states[state], part.namespace_, part.keys, values, n, err));
    if (value_type(self, state) != SABOT_BYTES || *n == 0) { return SABOT_OK; }
    const struct string_view *views = *values;
    SABOT_TRY(process_room(self, &self->out_values, (size_t)*n * sizeof(struct sabot_bytes), err));
    struct sabot_bytes *out = self->out_values.data;
    for (int64_t i = 0; i < *n; i++) {
        out[i] = (struct sabot_bytes){.data = string_view_data(&views[i]), .size = views[i].size};
    }
    *values = out;
    return SABOT_OK;
}

/* --- maps */
static sabot_status call_map_get(struct sabot_process *handle, int32_t state, const int32_t *keys,
                                 const void *map_keys, int32_t n, void *values, bool *found, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(MAP), keys, n, err));
    const enum sabot_process_type sub_type = self->function->definition.states[state].map_key;
    struct kv_state *kept = self->states[state];
    if (value_type(self, state) == SABOT_BYTES) {
        return get_bytes(self, kept, keys, map_keys, sub_type, n, values, found, err);
    }
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        const void *subs;
        SABOT_TRY(values_in(self, &self->given, sub_type, map_keys, part.first, part.n, &subs, err));
        SABOT_TRY(kv_map_get(kept, part.namespace_, part.keys, subs, part.n, (char *)values + (size_t)part.first * 8,
                             found + part.first, err));
    }
    return SABOT_OK;
}

static sabot_status call_map_put(struct sabot_process *handle, int32_t state, const int32_t *keys,
                                 const void *map_keys, int32_t n, const void *values, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(MAP), keys, n, err));
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        const void *subs, *given;
        SABOT_TRY(values_in(self, &self->given, self->function->definition.states[state].map_key, map_keys, part.first,
                            part.n, &subs, err));
        SABOT_TRY(values_in(self, &self->taken, value_type(self, state), values, part.first, part.n, &given, err));
        SABOT_TRY(kv_map_put(self->states[state], part.namespace_, part.keys, subs, part.n, given, err));
    }
    return SABOT_OK;
}

static sabot_status call_map_remove(struct sabot_process *handle, int32_t state, const int32_t *keys,
                                    const void *map_keys, int32_t n, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(check(self, state, KIND(MAP), keys, n, err));
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        const void *subs;
        SABOT_TRY(values_in(self, &self->given, self->function->definition.states[state].map_key, map_keys, part.first,
                            part.n, &subs, err));
        SABOT_TRY(kv_map_remove(self->states[state], part.namespace_, part.keys, subs, part.n, err));
    }
    return SABOT_OK;
}

/* Entries as they are found: words, or bytes by their place in self->entry_bytes. */
struct cell {
    uint64_t word;
    size_t size;
};
struct entries {
    struct process *self;
    bool bytes_key, bytes_value;
    int64_t n;
    size_t used;
    sabot_status status;
    struct sabot_error *err;
};

static sabot_status cell_note(struct entries *entries, bool is_bytes, const void *from, struct cell *out) {
    if (!is_bytes) {
        memcpy(&out->word, from, 8);
        return SABOT_OK;
    }
    const struct string_view *view = from;
    size_t offset = 0;
    SABOT_TRY(copy_bytes(entries->self, &entries->self->entry_bytes, &entries->used, view, &offset, entries->err));
    *out = (struct cell){.word = offset, .size = view->size};
    return SABOT_OK;
}

static sabot_status entry_note(struct entries *entries, const struct kv_entry *entry) {
    struct process_room *room = &entries->self->offsets;
    const size_t wanted = (size_t)(entries->n + 1) * 2 * sizeof(struct cell);
    SABOT_TRY(room_extend(entries->self, room, wanted, entries->err));
    struct cell *cells = (struct cell *)room->data + 2 * entries->n++;
    SABOT_TRY(cell_note(entries, entries->bytes_key, entry->sub, &cells[0]));
    return cell_note(entries, entries->bytes_value, entry->value, &cells[1]);
}

static bool entry_each(void *arg, const struct kv_entry *entry) {
    struct entries *entries = arg;
    entries->status = entry_note(entries, entry);
    return entries->status == SABOT_OK;
}

/* One of the two columns of the entries, as it is handed out. */
static sabot_status entries_out(struct process *self, struct process_room *room, bool is_bytes, int64_t n, int32_t c,
                                const void **out, struct sabot_error *err) {
    SABOT_TRY(process_room(self, room, (size_t)(n + 1) * sizeof(struct sabot_bytes), err));
    const struct cell *cells = self->offsets.data;
    for (int64_t i = 0; i < n; i++) {
        const struct cell *cell = &cells[2 * i + c];
        if (is_bytes) {
            ((struct sabot_bytes *)room->data)[i] =
                (struct sabot_bytes){.data = (const char *)self->entry_bytes.data + cell->word, .size = cell->size};
        } else {
            ((uint64_t *)room->data)[i] = cell->word;
        }
    }
    *out = room->data;
    return SABOT_OK;
}

static sabot_status call_map_entries(struct sabot_process *handle, int32_t state, int32_t key, const void **map_keys,
                                     const void **values, int64_t *n, struct sabot_error *err) {
    struct process *self = process_of(handle);
    struct part part = {0};
    SABOT_TRY(check(self, state, KIND(MAP), &key, 1, err));
    const struct sabot_process_state *declared = &self->function->definition.states[state];
    (void)part_next(self, &key, 1, &part);
    struct entries entries = {.self = self, .bytes_key = declared->map_key == SABOT_BYTES,
                              .bytes_value = declared->type == SABOT_BYTES, .err = err};
    SABOT_TRY(kv_map_entries(self->states[state], part.namespace_, part.keys, entry_each, &entries, err));
    SABOT_TRY(entries.status);
    SABOT_TRY(entries_out(self, &self->out_keys, entries.bytes_key, entries.n, 0, map_keys, err));
    *n = entries.n;
    return entries_out(self, &self->out_values, entries.bytes_value, entries.n, 1, values, err);
}

/* --- timers */
static sabot_status timer_check(struct process *self, int32_t timer, const int32_t *keys, int32_t n,
                                struct sabot_error *err) {
    SABOT_TRY(keys_check(self, keys, n, err));
    if (timer >= 0 && timer < self->function->definition.n_timers) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "there is no timer %d: %d are declared", timer,
                      self->function->definition.n_timers);
}

static enum timer_domain domain_of(const struct process *self, int32_t timer) {
    return self->function->definition.timers[timer].time == SABOT_EVENT_TIME ? TIMER_EVENT_TIME
                                                                              : TIMER_PROCESSING_TIME;
}

/* Takes the timers of a part out of the heap. standing: when each fires. */
static sabot_status part_delete(struct process *self, int32_t timer, const struct part *part, const int64_t *standing,
                                const bool *found, struct sabot_error *err) {
    const size_t size = kv_size(self->key_type);
    const int64_t namespace_ = self->names[timer] + part->namespace_;
    for (int32_t i = 0; i < part->n; i++) {
        const void *key = (const char *)part->keys + (size_t)i * size;
        if (found && !found[i]) { continue; }
        SABOT_TRY(timers_delete(self->timers, domain_of(self, timer), standing[i], namespace_, key, 0, err));
    }
    return SABOT_OK;
}

static sabot_status part_set(struct process *self, int32_t timer, const struct part *part, const int64_t *times_ms,
                             struct sabot_error *err) {
    const size_t size = kv_size(self->key_type);
    int64_t standing[KV_ROWS_MAX];
    bool found[KV_ROWS_MAX];
    struct kv_state *moves = self->standing[timer];
    if (moves) {
        SABOT_TRY(kv_get(moves, part->namespace_, part->keys, part->n, standing, found, err));
        for (int32_t i = 0; i < part->n; i++) { found[i] = found[i] && standing[i] != times_ms[i]; }
        SABOT_TRY(part_delete(self, timer, part, standing, found, err));
        SABOT_TRY(kv_put(moves, part->namespace_, part->keys, part->n, times_ms, err));
    }
    if (moves && part->n > 1) { /* a key that stands there more than once: the last counts */
        SABOT_TRY(kv_get(moves, part->namespace_, part->keys, part->n, standing, found, err));
    }
    for (int32_t i = 0; i < part->n; i++) {
        if (moves && part->n > 1 && standing[i] != times_ms[i]) { continue; }
        SABOT_TRY(timers_register(self->timers, domain_of(self, timer), times_ms[i],
                                  self->names[timer] + part->namespace_, (const char *)part->keys + (size_t)i * size, 0,
                                  err));
    }
    return SABOT_OK;
}

static sabot_status call_timer_set(struct sabot_process *handle, int32_t timer, const int32_t *keys, int32_t n,
                                   const int64_t *times_ms, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(timer_check(self, timer, keys, n, err));
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        SABOT_TRY(part_set(self, timer, &part, times_ms + part.first, err));
    }
    return SABOT_OK;
}

static sabot_status call_timer_clear(struct sabot_process *handle, int32_t timer, const int32_t *keys, int32_t n,
                                     const int64_t *times_ms, struct sabot_error *err) {
    struct process *self = process_of(handle);
    SABOT_TRY(timer_check(self, timer, keys, n, err));
    if (!self->standing[timer] && !times_ms) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "of timer \"%s\" a key may have many: say which one is cleared",
                          self->function->definition.timers[timer].name);
    }
    for (struct part part = {0}; part_next(self, keys, n, &part);) {
        int64_t standing[KV_ROWS_MAX];
        bool found[KV_ROWS_MAX];
        if (!self->standing[timer]) {
            SABOT_TRY(part_delete(self, timer, &part, times_ms + part.first, NULL, err));
            continue;
        }
        SABOT_TRY(kv_get(self->standing[timer], part.namespace_, part.keys, part.n, standing, found, err));
        SABOT_TRY(part_delete(self, timer, &part, standing, found, err));
        SABOT_TRY(kv_remove(self->standing[timer], part.namespace_, part.keys, part.n, err));
    }
    return SABOT_OK;
}

/* --- output */
/* The rowtime of the rows: of what each is about. */
static sabot_status times_column(struct process *self, const int32_t *rows, int32_t n, struct column **out,
                                 struct sabot_error *err) {
    const struct schema *schema = self->own.spec->output;
    const int64_t scale = timestamp_units_per_ms_num(schema->fields[schema->n_fields - 1].type);
    struct column_builder builder = {0};
    SABOT_TRY(column_builder_init(&builder, self->own.pool, PHYS_I64, n, true, err));
    int64_t *target = builder.values;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows[i];
        const bool exact = self->row_times != NULL;
        const int64_t time_ms = self->emit_ms[row];
        target[i] = 0;
        if (time_ms == INT64_MIN ||
            (!exact && __builtin_mul_overflow(time_ms, scale, &target[i]))) {
            column_builder_set_null(&builder, i);
        } else if (exact) {
            target[i] = ((const int64_t *)self->row_times->values)[column_at(self->row_times, row)];
        }
    }
    return column_builder_finish(&builder, out, err);
}

static sabot_status front_columns(struct process *self, const int32_t *rows, int32_t n, struct column **columns,
                                  int32_t *made, struct sabot_error *err) {
    for (int32_t i = 0; i < self->options->n_passed; i++) {
        SABOT_TRY(column_take(self->own.pool, self->rows->columns[self->passed ? self->passed[i] : i], rows, n,
                              &columns[*made], err));
        ++*made;
    }
    return SABOT_OK;
}

/* Rows as the function made them, with what stands around them. */
static sabot_status emit_batch(struct process *self, const struct batch *given, const int32_t *from, int32_t first,
                               struct sabot_error *err) {
    const int32_t n = given->rows;
    struct column *columns[2 * PROCESS_COLUMNS_MAX + 1] = {NULL};
    int32_t made = 0;
    SABOT_TRY(process_room(self, &self->found, (size_t)(n + 1) * sizeof(int32_t), err));
    int32_t *rows = self->found.data;
    for (int32_t i = 0; i < n; i++) {
        rows[i] = from ? from[i] : first + i;
        if (rows[i] >= 0 && rows[i] < self->call.n_rows) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "row %d of the output is about row %d, and the call has %lld", i,
                          rows[i], (long long)self->call.n_rows);
    }
    sabot_status status = front_columns(self, rows, n, columns, &made, err);
    for (int32_t i = 0; i < given->n_columns && status == SABOT_OK; i++) {
        columns[made++] = column_ref(given->columns[i]);
    }
    if (status == SABOT_OK && self->options->time_column >= 0) {
        status = times_column(self, rows, n, &columns[made], err);
        made += status == SABOT_OK;
    }
    struct batch *batch = NULL;
    if (status == SABOT_OK) {
        SABOT_TRY(batch_new(self->own.spec->output, columns, made, n, &batch, err));
        batch->created_ns = self->created_ns;
        return out_emit(self->out, batch, err);
    }
    while (made > 0) { column_unref(columns[--made]); }
    return status;
}

static sabot_status call_emit(struct sabot_process *handle, struct ArrowArray *array, const int32_t *from,
                              struct sabot_error *err) {
    struct process *self = process_of(handle);
    const int64_t n = array->length;
    if (!self->rows) {
        if (array->release) { array->release(array); }
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "rows can be given out in process() and on_timer() only");
    }
    SABOT_TRY(importer_put(self->importer, array, err));
    for (int32_t first = 0;;) {
        BATCH_OWNED struct batch *given = NULL;
        SABOT_TRY(importer_next(self->importer, self->own.pool, BATCH_ROWS_MAX, &given, err));
        if (!given) { break; }
        if (first + (int64_t)given->rows > n) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "more rows than given"); }
        SABOT_TRY(emit_batch(self, given, from ? from + first : NULL, first, err));
        first += given->rows;
    }
    return SABOT_OK;
}

/* --- what the function is given
 * A call that failed may have done half of its work: the job fails of it, whether the function says so or not. One that
 * was refused has done nothing. */
static sabot_status kept(struct sabot_process *process, sabot_status status, const struct sabot_error *err) {
    struct process *self = process_of(process);
    if (status == SABOT_OK || status == SABOT_ERR_USAGE || self->failed != SABOT_OK) { return status; }
    self->failed = status;
    snprintf(self->failure, sizeof self->failure, "%s", err && err->message[0] ? err->message : "it gave no err");
    return status;
}
#define KEPT(name, parameters, arguments)                                                                              \
    static sabot_status kept_##name parameters { return kept(process, call_##name arguments, err); }
KEPT(get, (struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n, void *values, bool *found,
     struct sabot_error *err), (process, state, keys, n, values, found, err))
KEPT(put, (struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n, const void *values,
     struct sabot_error *err), (process, state, keys, n, values, err))
KEPT(add, (struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n, const int64_t *deltas,
     struct sabot_error *err), (process, state, keys, n, deltas, err))
KEPT(clear, (struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n, struct sabot_error *err),
     (process, state, keys, n, err))
KEPT(list_add, (struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n, const void *values,
     struct sabot_error *err), (process, state, keys, n, values, err))
KEPT(list_get, (struct sabot_process *process, int32_t state, int32_t key, const void **values, int64_t *n,
     struct sabot_error *err), (process, state, key, values, n, err))
KEPT(map_get, (struct sabot_process *process, int32_t state, const int32_t *keys, const void *map_keys, int32_t n,
     void *values, bool *found, struct sabot_error *err), (process, state, keys, map_keys, n, values, found, err))
KEPT(map_put, (struct sabot_process *process, int32_t state, const int32_t *keys, const void *map_keys, int32_t n,
     const void *values, struct sabot_error *err), (process, state, keys, map_keys, n, values, err))
KEPT(map_remove, (struct sabot_process *process, int32_t state, const int32_t *keys, const void *map_keys, int32_t n,
     struct sabot_error *err), (process, state, keys, map_keys, n, err))
KEPT(map_entries, (struct sabot_process *process, int32_t state, int32_t key, const void **map_keys,
     const void **values, int64_t *n, struct sabot_error *err), (process, state, key, map_keys, values, n, err))
KEPT(timer_set, (struct sabot_process *process, int32_t timer, const int32_t *keys, int32_t n,
     const int64_t *times_ms, struct sabot_error *err), (process, timer, keys, n, times_ms, err))
KEPT(timer_clear, (struct sabot_process *process, int32_t timer, const int32_t *keys, int32_t n,
     const int64_t *times_ms, struct sabot_error *err), (process, timer, keys, n, times_ms, err))
KEPT(emit, (struct sabot_process *process, struct ArrowArray *array, const int32_t *from, struct sabot_error *err),
     (process, array, from, err))

const struct sabot_process_api process_api = {
    .size = sizeof process_api,
    .get = kept_get,
    .put = kept_put,
    .add = kept_add,
    .clear = kept_clear,
    .list_add = kept_list_add,
    .list_get = kept_list_get,
    .map_get = kept_map_get,
    .map_put = kept_map_put,
    .map_remove = kept_map_remove,
    .map_entries = kept_map_entries,
    .timer_set = kept_timer_set,
    .timer_clear = kept_timer_clear,
    .emit = kept_emit,
};
