/* Key-value state in a store on disk (kv_below.h), with a columnar hash table before it as a write-back cache: the
 * backends rocksdb and tonbo.
 *
 * Each entry of the cache says what is known of its key. What is new there goes down in one batch: when the cache is
 * full, before a scan, and at a checkpoint. Increments of a counter are added up in the cache without knowing the value
 * below, and go down as one merge; where the store below can't add, they are read then. */
#include <stdlib.h>

#include "state/kv_disk_impl.h"

#define NAMESPACE_ROWS 64 /* what a namespace costs beside its rows, in rows */
#define CACHE_BYTES_PER_ROW 256 /* of values that are bytes; more than that on average makes the cache full too */

static void disk_close(struct kv_table *table) {
    struct kv_disk *self = disk_of(table);
    disk_thaw(table);
    kv_hot_clear(&self->changed);
    kv_hot_clear(&self->hot);
    free(self->dirty);
    kv_bytes_free(&self->key);
    kv_bytes_free(&self->key_end);
    kv_bytes_free(&self->value);
    kv_bytes_free(&self->scratch);
    kv_bytes_free(&self->wanted);
    free(self);
}

sabot_status disk_hot_open(const struct kv_disk *self, struct kv_hot *out, struct sabot_error *err) {
    const struct field extra[] = {{"status", type_not_null(type_of(TYPE_INT8))},
                                  {"marks", type_not_null(type_of(TYPE_INT8))}};
    struct schema *schema;
    SABOT_TRY(kv_schema(&self->table.spec, extra, 2, &schema, err));
    return kv_hot_init(out, self->context, &self->table.spec, schema, false, err);
}

static sabot_status disk_open(const struct kv_open *open, struct kv_table **out, struct sabot_error *err) {
    const struct kv_spec *spec = open->spec;
    const struct state_context *context = open->context;
    *out = NULL;
    struct kv_disk *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for state %s", spec->name); }
    self->table.spec = *spec;
    self->context = context;
    self->below = spec->counter ? open->counters : open->values;
    self->id = open->id;
    self->cache_rows = open->cache_rows;
    self->first_group = key_group_first(context->subtask, context->max_parallelism, context->parallelism);
    self->last_group = self->below->type->scans_are_dear
                           ? self->first_group + 1
                           : key_group_first(context->subtask + 1, context->max_parallelism, context->parallelism);
    self->status_column = 1 + (spec->ttl.ttl_ms != 0);
    const sabot_status status = disk_hot_open(self, &self->hot, err);
    if (status != SABOT_OK) {
        disk_close(&self->table);
        return status;
    }
    *out = &self->table;
    return SABOT_OK;
}

/* --- keys and values as bytes */
/* Key group and table. Where scans are dear the table comes first: all of it is one range then. */
static sabot_status key_begin(struct kv_disk *self, int32_t group, struct sabot_error *err) {
    const bool table_first = self->below->type->scans_are_dear;
    return kv_key_begin(&self->key, table_first ? self->id : group, table_first ? group : self->id, err);
}

sabot_status disk_key_encode(struct kv_disk *self, int64_t namespace_, const void *key, const void *sub,
                             struct sabot_error *err) {
    const struct kv_spec *spec = &self->table.spec;
    const int32_t group = key_group_of(kv_key_hash(spec->key, key), self->context->max_parallelism);
    SABOT_TRY(key_begin(self, group, err));
    SABOT_TRY(kv_key_number(&self->key, namespace_, err));
    SABOT_TRY(kv_key_add(&self->key, spec->key, key, err));
    return sub ? kv_key_add(&self->key, spec->sub_key, sub, err) : SABOT_OK;
}

static sabot_status value_encode(struct kv_disk *self, const void *value, int64_t time_ms, struct sabot_error *err) {
    const struct string_view *view = value;
    const bool is_view = self->hot.value_is_view;
    const size_t size = is_view ? view->size : 8;
    self->value.size = 0;
    SABOT_TRY(kv_bytes_reserve(&self->value, size + 8, err));
    if (self->table.spec.ttl.ttl_ms) {
        memcpy(self->value.data, &time_ms, 8);
        self->value.size = 8;
    }
    memcpy(self->value.data + self->value.size, is_view ? string_view_data(view) : value, size);
    self->value.size += size;
    return SABOT_OK;
}

sabot_status disk_value_decode(const struct kv_disk *self, struct kv_span span, struct disk_value *out,
                               struct sabot_error *err) {
    const size_t prefix = self->table.spec.ttl.ttl_ms ? 8 : 0;
    const bool right = self->hot.value_is_view ? span.size >= prefix : span.size == prefix + 8;
    if (!right) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "state %s: a value of %zu bytes in %s is damaged",
                          self->table.name, span.size, self->below->type->name);
    }
    const char *bytes = span.data;
    out->time_ms = 0;
    if (prefix) { memcpy(&out->time_ms, bytes, 8); }
    if (self->hot.value_is_view) {
        out->view = string_view_of(bytes + prefix, (uint32_t)(span.size - prefix));
    } else {
        memcpy(&out->word, bytes + prefix, 8);
    }
    return SABOT_OK;
}

sabot_status disk_entry_decode(struct kv_disk *self, struct kv_span key, struct kv_span value, struct disk_entry *out,
                               struct sabot_error *err) {
    const struct kv_spec *spec = &self->table.spec;
    const uint8_t *at = (const uint8_t *)key.data + KV_PREFIX_SIZE, *end = (const uint8_t *)key.data + key.size;
    self->scratch.size = 0;
    SABOT_TRY(kv_bytes_reserve(&self->scratch, key.size, err));
    int64_t namespace_;
    const bool right =
        key.size > KV_PREFIX_SIZE && kv_key_read_number(&at, end, &namespace_) &&
        kv_key_read(&at, end, spec->key, &self->scratch, &out->key, (int64_t *)(void *)&out->key) &&
        (!spec->has_sub_key ||
         kv_key_read(&at, end, spec->sub_key, &self->scratch, &out->sub, (int64_t *)(void *)&out->sub));
    if (!right) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "state %s: a key of %zu bytes in %s is damaged", self->table.name,
                          key.size, self->below->type->name);
    }
    SABOT_TRY(disk_value_decode(self, value, &out->value, err));
    out->entry = (struct kv_entry){.namespace_ = namespace_, .time_ms = out->value.time_ms, .key = &out->key,
                                   .sub = spec->has_sub_key ? &out->sub : NULL, .value = &out->value.view};
    return SABOT_OK;
}

/* --- the cache */
static int8_t *statuses(const struct kv_disk *self, int64_t namespace_) {
    return kv_hot_values(&self->hot, namespace_, self->status_column);
}

/* Room for so many changes, so that none of them fails half way. */
static sabot_status dirty_reserve(struct kv_disk *self, int32_t more, struct sabot_error *err) {
    if (self->dirty_capacity - self->n_dirty >= more) { return SABOT_OK; }
    int32_t capacity = self->dirty_capacity ? self->dirty_capacity : KV_ROWS_MAX;
    while (capacity - self->n_dirty < more) { capacity *= 2; }
    struct dirty *dirty = realloc(self->dirty, (size_t)capacity * sizeof *dirty);
    if (!dirty) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the list of changes"); }
    self->dirty = dirty;
    self->dirty_capacity = capacity;
    return SABOT_OK;
}

static int8_t *marks_of(const struct kv_disk *self, int64_t namespace_) {
    return kv_hot_values(&self->hot, namespace_, self->status_column + 1);
}

/* A slot is changed; it is listed where it was not yet. There is room on the list. */
static void change(struct kv_disk *self, int64_t namespace_, int32_t slot, enum cache_status to) {
    int8_t *status = &statuses(self, namespace_)[slot];
    if (*status < CACHE_DIRTY) { self->dirty[self->n_dirty++] = (struct dirty){namespace_, slot}; }
    *status = (int8_t)to;
    marks_of(self, namespace_)[slot] &= ~CACHE_SAVED;
}

/* --- reading from below */
void disk_wanted_begin(struct kv_disk *self, int64_t namespace_) {
    self->wanted.size = 0;
    self->n_wanted = 0;
    self->wanted_namespace = namespace_;
}

sabot_status disk_wanted_add(struct kv_disk *self, int32_t slot, const void *key, const void *sub,
                             struct sabot_error *err) {
    SABOT_TRY(disk_key_encode(self, self->wanted_namespace, key, sub, err));
    SABOT_TRY(kv_bytes_reserve(&self->wanted, self->key.size, err));
    memcpy(self->wanted.data + self->wanted.size, self->key.data, self->key.size);
    self->wanted.size += self->key.size;
    self->wanted_keys[self->n_wanted].size = self->key.size;
    self->wanted_slots[self->n_wanted++] = slot;
    return SABOT_OK;
}

/* The value below of a wanted key, into its slot. A slot that is wanted twice is set by the first. */
static sabot_status slot_load(void *arg, int32_t i, struct kv_span found, struct sabot_error *err) {
    struct kv_disk *self = arg;
    const int64_t namespace_ = self->wanted_namespace;
    const int32_t slot = self->wanted_slots[i];
    int8_t *status = &statuses(self, namespace_)[slot];
    if (*status != CACHE_UNKNOWN && *status != CACHE_DELTA) { return SABOT_OK; }
    if (!found.data) {
        *status = *status == CACHE_DELTA ? CACHE_DIRTY : CACHE_ABSENT; /* 0 below */
        return SABOT_OK;
    }
    struct disk_value value;
    SABOT_TRY(disk_value_decode(self, found, &value, err));
    if (*status == CACHE_DELTA) {
        ((uint64_t *)kv_hot_values(&self->hot, namespace_, 0))[slot] += value.word;
        *status = CACHE_DIRTY;
        return SABOT_OK;
    }
    SABOT_TRY(kv_hot_set(&self->hot, namespace_, &slot, 1, &value.view, err));
    if (self->hot.value_is_view) { self->cached_bytes += value.view.size; }
    if (self->table.spec.ttl.ttl_ms) { ((int64_t *)kv_hot_values(&self->hot, namespace_, 1))[slot] = value.time_ms; }
    statuses(self, namespace_)[slot] = CACHE_CLEAN;
    return SABOT_OK;
}

sabot_status disk_wanted_get(struct kv_disk *self, struct kv_below *below, kv_below_got got, void *arg,
                             struct sabot_error *err) {
    if (self->n_wanted == 0) { return SABOT_OK; }
    const uint8_t *at = self->wanted.data;
    for (int32_t i = 0; i < self->n_wanted; i++) {
        self->wanted_keys[i].data = at;
        at += self->wanted_keys[i].size;
    }
    return below->type->get(below, self->wanted_keys, self->n_wanted, got, arg, err);
}

static sabot_status wanted_load(struct kv_disk *self, struct sabot_error *err) {
    return disk_wanted_get(self, self->below, slot_load, self, err);
}

/* --- writing */
static sabot_status changes_write(struct kv_disk *self, const struct dirty *dirty, int32_t n,
                                  struct sabot_error *err) {
    const struct kv_spec *spec = &self->table.spec;
    struct kv_below *below = self->below;
    const int64_t namespace_ = dirty[0].namespace_;
    int32_t slots[KV_ROWS_MAX];
    for (int32_t i = 0; i < n; i++) { slots[i] = dirty[i].slot; }
    struct column *keys[2];
    SABOT_TRY(state_take(self->hot.table, namespace_, slots, n, 0, self->hot.n_keys, keys, err));
    const char *values = kv_hot_values(&self->hot, namespace_, 0);
    const int64_t *times = spec->ttl.ttl_ms ? kv_hot_values(&self->hot, namespace_, 1) : NULL;
    const int8_t *status = statuses(self, namespace_), *marks = marks_of(self, namespace_);
    sabot_status result = SABOT_OK;
    for (int32_t i = 0; i < n && result == SABOT_OK; i++) {
        const int32_t slot = slots[i];
        const void *value = values + (size_t)slot * kv_size(spec->value);
        const struct kv_keys key = {
            .namespace_ = namespace_, .n = 1,
            .keys = (const char *)keys[0]->values + (size_t)i * self->hot.key_sizes[0],
            .subs = spec->has_sub_key ? (const char *)keys[1]->values + (size_t)i * self->hot.key_sizes[1] : NULL};
        if (!(marks[slot] & CACHE_SAVED)) { disk_note_changed(self, &key); }
        result = disk_key_encode(self, namespace_, key.keys, key.subs, err);
        if (result != SABOT_OK) { break; }
        if (status[slot] == CACHE_REMOVED) {
            result = below->type->erase(below, kv_span_of(&self->key), err);
        } else if (status[slot] == CACHE_DELTA) {
            result = below->type->add(below, kv_span_of(&self->key), *(const int64_t *)value, err);
        } else {
            result = value_encode(self, value, times ? times[slot] : 0, err);
            if (result == SABOT_OK) {
                result = below->type->put(below, kv_span_of(&self->key), kv_span_of(&self->value), err);
            }
        }
    }
    for (int32_t k = 0; k < self->hot.n_keys; k++) { column_unref(keys[k]); }
    return result;
}

/* What increments are to be added to, where the store below can't. */
static sabot_status sums_load(struct kv_disk *self, const struct dirty *dirty, int32_t n, struct sabot_error *err) {
    const int64_t namespace_ = dirty[0].namespace_;
    const int8_t *status = statuses(self, namespace_);
    int32_t slots[KV_ROWS_MAX], m = 0;
    for (int32_t i = 0; i < n; i++) {
        if (status[dirty[i].slot] == CACHE_DELTA) { slots[m++] = dirty[i].slot; }
    }
    if (m == 0) { return SABOT_OK; }
    struct column *keys;
    SABOT_TRY(state_take(self->hot.table, namespace_, slots, m, 0, 1, &keys, err)); /* counters have no second key */
    disk_wanted_begin(self, namespace_);
    sabot_status result = SABOT_OK;
    for (int32_t i = 0; i < m && result == SABOT_OK; i++) {
        const void *key = (const char *)keys->values + (size_t)i * self->hot.key_sizes[0];
        result = disk_wanted_add(self, slots[i], key, NULL, err);
    }
    column_unref(keys);
    return result == SABOT_OK ? wanted_load(self, err) : result;
}

static sabot_status disk_flush(struct kv_table *table, struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    if (!self->n_dirty) { return SABOT_OK; }
    self->below->type->discard(self->below); /* of a flush that failed */
    for (int32_t first = 0; first < self->n_dirty;) {
        int32_t n = 1;
        while (first + n < self->n_dirty && n < KV_ROWS_MAX &&
               self->dirty[first + n].namespace_ == self->dirty[first].namespace_) {
            n++;
        }
        if (table->spec.counter && !self->below->type->adds) {
            SABOT_TRY(sums_load(self, self->dirty + first, n, err));
        }
        SABOT_TRY(changes_write(self, self->dirty + first, n, err));
        first += n;
    }
    SABOT_TRY(self->below->type->commit(self->below, err));
    for (int32_t i = 0; i < self->n_dirty; i++) {
        const struct dirty *dirty = &self->dirty[i];
        int8_t *status = &statuses(self, dirty->namespace_)[dirty->slot];
        if (*status == CACHE_DELTA) { ((int64_t *)kv_hot_values(&self->hot, dirty->namespace_, 0))[dirty->slot] = 0; }
        *status = *status == CACHE_DIRTY ? CACHE_CLEAN : *status == CACHE_REMOVED ? CACHE_ABSENT : CACHE_UNKNOWN;
    }
    self->n_dirty = 0;
    return SABOT_OK;
}

/* Drops what was not used since the last time, or all, where that is little. Nothing is dirty. */
static sabot_status evict(struct kv_disk *self, struct sabot_error *err) {
    const int64_t *namespaces;
    int32_t n;
    int64_t left = 0;
    SABOT_TRY(state_namespaces(self->hot.table, &namespaces, &n, err));
    for (int32_t i = 0; i < n; i++) {
        const int8_t *marks = marks_of(self, namespaces[i]);
        const int64_t count = state_count(self->hot.table, namespaces[i]);
        for (int64_t s = 0; s < count; s++) { left += marks[s] & CACHE_USED; }
    }
    const bool all =
        left > self->cache_rows / 2 || self->cached_bytes > (int64_t)self->cache_rows * CACHE_BYTES_PER_ROW;
    for (int32_t i = n - 1; i >= 0; i--) {
        const int64_t namespace_ = namespaces[i];
        if (all) {
            state_drop_namespace(self->hot.table, namespace_);
            /* the list was borrowed until the drop */
            SABOT_TRY(state_namespaces(self->hot.table, &namespaces, &n, err));
            continue;
        }
        int32_t slots[KV_ROWS_MAX], m = 0;
        for (int32_t s = (int32_t)state_count(self->hot.table, namespace_) - 1; s >= 0; s--) {
            int8_t *marks = marks_of(self, namespace_);
            if (marks[s] & CACHE_USED) {
                marks[s] = 0;
                continue;
            }
            slots[m++] = s;
            if (m == KV_ROWS_MAX) { /* rows that move come from behind, where all has been looked at */
                SABOT_TRY(state_remove(self->hot.table, namespace_, slots, m, err));
                m = 0;
            }
        }
        SABOT_TRY(state_remove(self->hot.table, namespace_, slots, m, err));
        if (state_count(self->hot.table, namespace_) == 0) { state_drop_namespace(self->hot.table, namespace_); }
    }
    self->cached_rows = all ? 0 : left;
    self->cached_bytes = all ? 0 : self->cached_bytes / 2;
    return SABOT_OK;
}

static sabot_status cache_make_room(struct kv_disk *self, int32_t more, struct sabot_error *err) {
    SABOT_TRY(dirty_reserve(self, more, err));
    if (self->cached_rows + more <= self->cache_rows &&
        self->cached_bytes <= (int64_t)self->cache_rows * CACHE_BYTES_PER_ROW) {
        return SABOT_OK;
    }
    SABOT_TRY(disk_flush(&self->table, err));
    return evict(self, err);
}

/* Slots of all keys, with a status of their own where they are new. */
static sabot_status slots_make(struct kv_disk *self, const struct kv_keys *keys, int32_t *slots,
                               struct sabot_error *err) {
    SABOT_TRY(cache_make_room(self, keys->n, err));
    const int32_t before = (int32_t)state_count(self->hot.table, keys->namespace_);
    kv_hot_keys(&self->hot, keys);
    const sabot_status status = kv_hot_insert(&self->hot, keys, slots, err);
    self->cached_rows += state_count(self->hot.table, keys->namespace_) - before + (before ? 0 : NAMESPACE_ROWS);
    if (status != SABOT_OK) { return status; } /* what is half made is UNKNOWN: looked up when it is used */
    int8_t *marks = marks_of(self, keys->namespace_);
    for (int32_t i = 0; i < keys->n; i++) { marks[slots[i]] |= slots[i] < before ? CACHE_USED : 0; }
    return SABOT_OK;
}

static const void *key_of(const struct kv_disk *self, const struct kv_keys *keys, int32_t i) {
    return (const char *)keys->keys + (size_t)i * self->hot.key_sizes[0];
}
static const void *sub_of(const struct kv_disk *self, const struct kv_keys *keys, int32_t i) {
    return keys->subs ? (const char *)keys->subs + (size_t)i * self->hot.key_sizes[1] : NULL;
}

/* --- access */
static void slot_age(struct kv_disk *self, int64_t namespace_, int32_t slot) {
    int8_t *status = &statuses(self, namespace_)[slot];
    if (*status != CACHE_CLEAN && *status != CACHE_DIRTY) { return; }
    const struct kv_ttl *ttl = &self->table.spec.ttl;
    const int64_t now_ms = kv_now_ms(&self->table);
    int64_t *time_ms = &((int64_t *)kv_hot_values(&self->hot, namespace_, 1))[slot];
    const int64_t written_ms = kv_written_ms(self->table.clock, ttl->time, *time_ms);
    if (kv_expired(ttl->ttl_ms, written_ms, now_ms)) {
        change(self, namespace_, slot, CACHE_REMOVED);
        return;
    }
    const int64_t young_ms = ttl->on_read ? now_ms : written_ms;
    if (*time_ms == young_ms) { return; }
    change(self, namespace_, slot, CACHE_DIRTY);
    *time_ms = young_ms;
}

#define GATHER(type_)                                                                                                  \
    do {                                                                                                               \
        const type_ *source = kv_hot_values(&self->hot, keys->namespace_, 0);                                          \
        type_ *target = values;                                                                                        \
        for (int32_t i = 0; i < keys->n; i++) {                                                                        \
            found[i] = status[slots[i]] == CACHE_CLEAN || status[slots[i]] == CACHE_DIRTY;                             \
            if (found[i]) { target[i] = source[slots[i]]; }                                                            \
        }                                                                                                              \
    } while (0)
static sabot_status disk_get(struct kv_table *table, const struct kv_keys *keys, void *values, bool *found,
                                struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    if (keys->n == 0) { return SABOT_OK; }
    int32_t slots[KV_ROWS_MAX];
    SABOT_TRY(slots_make(self, keys, slots, err));
    const int8_t *status = statuses(self, keys->namespace_);
    disk_wanted_begin(self, keys->namespace_);
    for (int32_t i = 0; i < keys->n; i++) {
        if (status[slots[i]] != CACHE_UNKNOWN && status[slots[i]] != CACHE_DELTA) { continue; }
        SABOT_TRY(disk_wanted_add(self, slots[i], key_of(self, keys, i), sub_of(self, keys, i), err));
    }
    SABOT_TRY(wanted_load(self, err));
    for (int32_t i = 0; table->spec.ttl.ttl_ms && i < keys->n; i++) { slot_age(self, keys->namespace_, slots[i]); }
    if (self->hot.value_is_view) {
        GATHER(struct string_view);
    } else {
        GATHER(uint64_t);
    }
    return SABOT_OK;
}

static sabot_status disk_put(struct kv_table *table, const struct kv_keys *keys, const void *values,
                                struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    if (keys->n == 0) { return SABOT_OK; }
    int32_t slots[KV_ROWS_MAX];
    SABOT_TRY(slots_make(self, keys, slots, err));
    const int64_t namespace_ = keys->namespace_;
    const struct string_view *views = values;
    const uint64_t *words = values;
    for (int32_t i = 0; i < keys->n; i++) {
        const int32_t slot = slots[i];
        SABOT_TRY(kv_hot_set(&self->hot, namespace_, &slot, 1,
                             self->hot.value_is_view ? (const void *)&views[i] : &words[i], err));
        if (self->hot.value_is_view) { self->cached_bytes += views[i].size; }
        if (table->spec.ttl.ttl_ms) {
            ((int64_t *)kv_hot_values(&self->hot, namespace_, 1))[slot] =
                keys->times_ms ? keys->times_ms[i] : kv_now_ms(table);
        }
        change(self, namespace_, slot, CACHE_DIRTY);
    }
    return SABOT_OK;
}

static sabot_status disk_remove(struct kv_table *table, const struct kv_keys *keys, struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    if (keys->n == 0) { return SABOT_OK; }
    int32_t slots[KV_ROWS_MAX];
    SABOT_TRY(slots_make(self, keys, slots, err));
    for (int32_t i = 0; i < keys->n; i++) {
        if (statuses(self, keys->namespace_)[slots[i]] == CACHE_ABSENT) { continue; }
        change(self, keys->namespace_, slots[i], CACHE_REMOVED);
    }
    return SABOT_OK;
}

static sabot_status disk_add(struct kv_table *table, const struct kv_keys *keys, const int64_t *deltas,
                                struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    if (keys->n == 0) { return SABOT_OK; }
    int32_t slots[KV_ROWS_MAX];
    SABOT_TRY(slots_make(self, keys, slots, err));
    for (int32_t i = 0; i < keys->n; i++) {
        int8_t *status = &statuses(self, keys->namespace_)[slots[i]];
        uint64_t *value = &((uint64_t *)kv_hot_values(&self->hot, keys->namespace_, 0))[slots[i]];
        if (*status == CACHE_UNKNOWN || *status == CACHE_ABSENT || *status == CACHE_REMOVED) { *value = 0; }
        const bool is_sum = *status == CACHE_UNKNOWN || *status == CACHE_DELTA;
        change(self, keys->namespace_, slots[i], is_sum ? CACHE_DELTA : CACHE_DIRTY);
    }
    uint64_t *values = kv_hot_values(&self->hot, keys->namespace_, 0);
    for (int32_t i = 0; i < keys->n; i++) { values[slots[i]] += (uint64_t)deltas[i]; }
    return SABOT_OK;
}

/* --- scans */
struct shown {
    struct kv_disk *self;
    int64_t now_ms;
    kv_each each;
    void *arg;
    bool stopped;
};

/* An entry from below, to who scans. */
static sabot_status show(void *arg, struct kv_span key, struct kv_span value, bool *more, struct sabot_error *err) {
    struct shown *shown = arg;
    const int64_t ttl_ms = shown->self->table.spec.ttl.ttl_ms;
    struct disk_entry found;
    SABOT_TRY(disk_entry_decode(shown->self, key, value, &found, err));
    const struct kv_table *table = &shown->self->table;
    const int64_t time_ms = kv_written_ms(table->clock, table->spec.ttl.time, found.entry.time_ms);
    if (ttl_ms && kv_expired(ttl_ms, time_ms, shown->now_ms)) { return SABOT_OK; }
    *more = shown->each(shown->arg, &found.entry);
    shown->stopped = !*more;
    return SABOT_OK;
}

/* Entries of the range self->key..self->key_end. */
static sabot_status range_scan(struct shown *shown, struct sabot_error *err) {
    struct kv_below *below = shown->self->below;
    return below->type->scan(below, kv_span_of(&shown->self->key), kv_span_of(&shown->self->key_end), show, shown, err);
}

static sabot_status end_set(struct kv_disk *self, struct sabot_error *err) {
    self->key_end.size = 0;
    SABOT_TRY(kv_bytes_reserve(&self->key_end, self->key.size, err));
    memcpy(self->key_end.data, self->key.data, self->key.size);
    self->key_end.size = self->key.size;
    kv_key_next(&self->key_end);
    return SABOT_OK;
}

sabot_status disk_group_range(struct kv_disk *self, int32_t group, struct sabot_error *err) {
    SABOT_TRY(key_begin(self, group, err));
    if (self->below->type->scans_are_dear) { self->key.size = KV_PREFIX_SIZE / 2; }
    return end_set(self, err);
}

static sabot_status disk_scan(struct kv_table *table, int64_t namespace_, const void *key, kv_each each, void *arg,
                              struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    struct shown shown = {.self = self, .now_ms = table->spec.ttl.ttl_ms ? kv_now_ms(table) : 0, .each = each,
                          .arg = arg};
    SABOT_TRY(disk_flush(table, err));
    if (key) {
        SABOT_TRY(disk_key_encode(self, namespace_, key, NULL, err));
        SABOT_TRY(end_set(self, err));
        return range_scan(&shown, err);
    }
    for (int32_t group = self->first_group; group < self->last_group && !shown.stopped; group++) {
        SABOT_TRY(disk_group_range(self, group, err));
        SABOT_TRY(range_scan(&shown, err));
    }
    return SABOT_OK;
}

struct cleared {
    struct kv_disk *self;
    int64_t namespace_;
};

/* Each key by itself: a tombstone for the whole range would make later reads slower. */
static sabot_status clear_key(void *arg, struct kv_span key, struct kv_span value, bool *more,
                              struct sabot_error *err) {
    const struct cleared *cleared = arg;
    struct kv_disk *self = cleared->self;
    struct disk_entry found;
    (void)more;
    SABOT_TRY(disk_entry_decode(self, key, value, &found, err));
    if (found.entry.namespace_ != cleared->namespace_) { return SABOT_OK; }
    disk_note_changed(self, &(struct kv_keys){.namespace_ = cleared->namespace_, .n = 1, .keys = found.entry.key,
                                              .subs = found.entry.sub});
    return self->below->type->erase(self->below, key, err);
}

static sabot_status disk_clear(struct kv_table *table, int64_t namespace_, struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    struct kv_below *below = self->below;
    struct cleared cleared = {self, namespace_};
    SABOT_TRY(disk_flush(table, err));
    below->type->discard(below);
    for (int32_t group = self->first_group; group < self->last_group; group++) {
        SABOT_TRY(disk_group_range(self, group, err));
        if (!below->type->scans_are_dear) {
            SABOT_TRY(kv_key_number(&self->key, namespace_, err));
            SABOT_TRY(end_set(self, err));
        }
        SABOT_TRY(below->type->scan(below, kv_span_of(&self->key), kv_span_of(&self->key_end), clear_key, &cleared,
                                    err));
    }
    SABOT_TRY(below->type->commit(below, err));
    self->cached_rows -= state_count(self->hot.table, namespace_);
    state_drop_namespace(self->hot.table, namespace_);
    return SABOT_OK;
}

/* What is expired below goes at compaction. */
static sabot_status disk_sweep(struct kv_table *table, int32_t entries, struct sabot_error *err) {
    (void)table;
    (void)entries;
    (void)err;
    return SABOT_OK;
}

#define DISK_CALLS                                                                                                     \
    .open = disk_open, .close = disk_close, .get = disk_get, .put = disk_put, .erase = disk_remove, .add = disk_add,   \
    .scan = disk_scan, .clear = disk_clear, .sweep = disk_sweep, .flush = disk_flush
const struct kv_backend kv_rocksdb = {.name = "rocksdb", DISK_CALLS, .slot_column = CAPTURE_KEY_SLOT,
                                      .freeze = disk_freeze, .copy = disk_copy, .thaw = disk_thaw};
/* Tonbo can't hold what is below: a snapshot is a scan at the barrier. */
const struct kv_backend kv_tonbo = {.name = "tonbo", DISK_CALLS};
