/* Key-value state in RocksDB, with a columnar hash table before it as a write-back cache.
 *
 * Each entry of the cache says what is known of its key. What is new there goes down in one batch: when the cache is
 * full, before a scan, and at a checkpoint. Increments of a counter are added up in the cache without knowing the value
 * below, and go down as one merge. */
#include <assert.h>
#include <stdlib.h>

#include "state/kv_hot.h"
#include "state/kv_key.h"
#include "state/rocks.h"

#define NAMESPACE_ROWS 64 /* what a namespace costs beside its rows, in rows */
#define CACHE_BYTES_PER_ROW 256 /* of values that are bytes; more than that on average makes the cache full too */

enum cache_status {
    CACHE_UNKNOWN = 0, /* not looked up yet */
    CACHE_CLEAN,       /* as below */
    CACHE_ABSENT,      /* not there below either */
    CACHE_DIRTY,       /* new here: from here on to be written */
    CACHE_REMOVED,
    CACHE_DELTA        /* to be added to the value below */
};

struct dirty {
    int64_t namespace_;
    int32_t slot;
};

struct kv_rocksdb {
    struct kv_table table;
    struct kv_hot hot; /* value, [time], status, used */
    int32_t status_column;
    struct rocks *rocks;
    int32_t family, id, max_parallelism, first_group, last_group; /* last: excluded */
    int32_t cache_rows;
    int64_t cached_rows, cached_bytes;
    struct dirty *dirty;
    int32_t n_dirty, dirty_capacity;
    struct kv_bytes key, key_end, value, scratch;
};

static struct kv_rocksdb *rocksdb_of(struct kv_table *table) { return (struct kv_rocksdb *)table; }

static void rocksdb_close(struct kv_table *table) {
    struct kv_rocksdb *self = rocksdb_of(table);
    kv_hot_clear(&self->hot);
    free(self->dirty);
    kv_bytes_free(&self->key);
    kv_bytes_free(&self->key_end);
    kv_bytes_free(&self->value);
    kv_bytes_free(&self->scratch);
    free(self);
}

static sabot_status rocksdb_open(const struct kv_open *open, struct kv_table **out, struct sabot_error *err) {
    const struct kv_spec *spec = open->spec;
    const struct state_context *context = open->context;
    *out = NULL;
    struct kv_rocksdb *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for state %s", spec->name); }
    self->rocks = open->rocks;
    self->family = spec->counter ? KV_FAMILY_COUNTERS : KV_FAMILY_VALUES;
    self->id = open->id;
    self->cache_rows = open->cache_rows;
    self->max_parallelism = context->max_parallelism;
    self->first_group = key_group_first(context->subtask, context->max_parallelism, context->parallelism);
    self->last_group = key_group_first(context->subtask + 1, context->max_parallelism, context->parallelism);
    self->status_column = 1 + (spec->ttl.ttl_ms != 0);
    const struct field extra[] = {{"status", type_not_null(type_of(TYPE_INT8))},
                                  {"used", type_not_null(type_of(TYPE_INT8))}};
    struct schema *schema;
    sabot_status status = kv_schema(spec, extra, 2, &schema, err);
    if (status == SABOT_OK) { status = kv_hot_init(&self->hot, context, spec, schema, err); }
    if (status != SABOT_OK) {
        rocksdb_close(&self->table);
        return status;
    }
    *out = &self->table;
    return SABOT_OK;
}

/* --- keys and values as bytes */
static sabot_status key_encode(struct kv_rocksdb *self, int64_t namespace_, const void *key, const void *sub,
                               struct sabot_error *err) {
    const struct kv_spec *spec = &self->table.spec;
    const int32_t group = key_group_of(kv_key_hash(spec->key, key), self->max_parallelism);
    SABOT_TRY(kv_key_begin(&self->key, group, self->id, err));
    SABOT_TRY(kv_key_number(&self->key, namespace_, err));
    SABOT_TRY(kv_key_add(&self->key, spec->key, key, err));
    return sub ? kv_key_add(&self->key, spec->sub_key, sub, err) : SABOT_OK;
}

static struct rocks_span span_of(const struct kv_bytes *bytes) {
    return (struct rocks_span){bytes->data, bytes->size};
}

static sabot_status value_encode(struct kv_rocksdb *self, const void *value, int64_t time_ms, struct sabot_error *err) {
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

/* The value as the kind of the table wants it; points into `span` where it is bytes. */
static sabot_status value_decode(const struct kv_rocksdb *self, struct rocks_span span, struct string_view *view,
                                 uint64_t *word, int64_t *time_ms, struct sabot_error *err) {
    const size_t prefix = self->table.spec.ttl.ttl_ms ? 8 : 0;
    const bool right = self->hot.value_is_view ? span.size >= prefix : span.size == prefix + 8;
    if (!right) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "state %s: a value of %zu bytes in RocksDB is damaged",
                          self->table.name, span.size);
    }
    const char *bytes = span.data;
    *time_ms = 0;
    if (prefix) { memcpy(time_ms, bytes, 8); }
    if (self->hot.value_is_view) {
        *view = string_view_of(bytes + prefix, (uint32_t)(span.size - prefix));
    } else {
        memcpy(word, bytes + prefix, 8);
    }
    return SABOT_OK;
}

/* --- the cache */
static int8_t *statuses(const struct kv_rocksdb *self, int64_t namespace_) {
    return kv_hot_values(&self->hot, namespace_, self->status_column);
}

/* Room for so many changes, so that none of them fails half way. */
static sabot_status dirty_reserve(struct kv_rocksdb *self, int32_t more, struct sabot_error *err) {
    if (self->dirty_capacity - self->n_dirty >= more) { return SABOT_OK; }
    int32_t capacity = self->dirty_capacity ? self->dirty_capacity : KV_ROWS_MAX;
    while (capacity - self->n_dirty < more) { capacity *= 2; }
    struct dirty *dirty = realloc(self->dirty, (size_t)capacity * sizeof *dirty);
    if (!dirty) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the list of changes"); }
    self->dirty = dirty;
    self->dirty_capacity = capacity;
    return SABOT_OK;
}

/* Marks a slot as changed; it is listed where it was not yet. There is room on the list. */
static void change(struct kv_rocksdb *self, int64_t namespace_, int32_t slot, enum cache_status to) {
    int8_t *status = &statuses(self, namespace_)[slot];
    if (*status < CACHE_DIRTY) { self->dirty[self->n_dirty++] = (struct dirty){namespace_, slot}; }
    *status = (int8_t)to;
}

static sabot_status changes_write(struct kv_rocksdb *self, const struct dirty *dirty, int32_t n,
                                  struct sabot_error *err) {
    const struct kv_spec *spec = &self->table.spec;
    const int64_t namespace_ = dirty[0].namespace_;
    int32_t slots[KV_ROWS_MAX];
    for (int32_t i = 0; i < n; i++) { slots[i] = dirty[i].slot; }
    struct column *keys[2];
    SABOT_TRY(state_take(self->hot.table, namespace_, slots, n, 0, self->hot.n_keys, keys, err));
    const char *values = kv_hot_values(&self->hot, namespace_, 0);
    const int64_t *times = spec->ttl.ttl_ms ? kv_hot_values(&self->hot, namespace_, 1) : NULL;
    const int8_t *status = statuses(self, namespace_);
    sabot_status result = SABOT_OK;
    for (int32_t i = 0; i < n && result == SABOT_OK; i++) {
        const int32_t slot = slots[i];
        const void *value = values + (size_t)slot * kv_size(spec->value);
        result = key_encode(self, namespace_, (const char *)keys[0]->values + (size_t)i * self->hot.key_sizes[0],
                            self->hot.n_keys == 2
                                ? (const char *)keys[1]->values + (size_t)i * self->hot.key_sizes[1] : NULL, err);
        if (result != SABOT_OK) { break; }
        if (status[slot] == CACHE_REMOVED) {
            rocks_delete(self->rocks, self->family, span_of(&self->key));
        } else if (status[slot] == CACHE_DELTA) {
            rocks_merge(self->rocks, self->family, span_of(&self->key), *(const int64_t *)value);
        } else {
            result = value_encode(self, value, times ? times[slot] : 0, err);
            if (result == SABOT_OK) {
                rocks_put(self->rocks, self->family, span_of(&self->key), span_of(&self->value));
            }
        }
    }
    for (int32_t k = 0; k < self->hot.n_keys; k++) { column_unref(keys[k]); }
    return result;
}

static sabot_status rocksdb_flush(struct kv_table *table, struct sabot_error *err) {
    struct kv_rocksdb *self = rocksdb_of(table);
    if (!self->n_dirty) { return SABOT_OK; }
    rocks_discard(self->rocks); /* of a flush that failed */
    for (int32_t first = 0; first < self->n_dirty;) {
        int32_t n = 1;
        while (first + n < self->n_dirty && n < KV_ROWS_MAX &&
               self->dirty[first + n].namespace_ == self->dirty[first].namespace_) {
            n++;
        }
        SABOT_TRY(changes_write(self, self->dirty + first, n, err));
        first += n;
    }
    SABOT_TRY(rocks_commit(self->rocks, false, err));
    for (int32_t i = 0; i < self->n_dirty; i++) {
        const struct dirty *dirty = &self->dirty[i];
        int8_t *status = &statuses(self, dirty->namespace_)[dirty->slot];
        if (*status == CACHE_DELTA) { ((int64_t *)kv_hot_values(&self->hot, dirty->namespace_, 0))[dirty->slot] = 0; }
        *status = *status == CACHE_DIRTY ? CACHE_CLEAN : *status == CACHE_REMOVED ? CACHE_ABSENT : CACHE_UNKNOWN;
    }
    self->n_dirty = 0;
    return SABOT_OK;
}

static sabot_status namespaces_of(struct kv_rocksdb *self, const int64_t **out, int32_t *n, struct sabot_error *err) {
    return state_namespaces(self->hot.table, out, n, err);
}

/* Drops what was not used since the last time, or all, where that is little. Nothing is dirty. */
static sabot_status evict(struct kv_rocksdb *self, struct sabot_error *err) {
    const int64_t *namespaces;
    int32_t n;
    int64_t left = 0;
    SABOT_TRY(namespaces_of(self, &namespaces, &n, err));
    for (int32_t i = 0; i < n; i++) {
        const int8_t *used = kv_hot_values(&self->hot, namespaces[i], self->status_column + 1);
        const int64_t count = state_count(self->hot.table, namespaces[i]);
        for (int64_t s = 0; s < count; s++) { left += used[s]; }
    }
    const bool all =
        left > self->cache_rows / 2 || self->cached_bytes > (int64_t)self->cache_rows * CACHE_BYTES_PER_ROW;
    for (int32_t i = n - 1; i >= 0; i--) {
        const int64_t namespace_ = namespaces[i];
        if (all) {
            state_drop_namespace(self->hot.table, namespace_);
            SABOT_TRY(namespaces_of(self, &namespaces, &n, err)); /* the list was borrowed until the drop */
            continue;
        }
        int32_t slots[KV_ROWS_MAX], m = 0;
        for (int32_t s = (int32_t)state_count(self->hot.table, namespace_) - 1; s >= 0; s--) {
            int8_t *used = kv_hot_values(&self->hot, namespace_, self->status_column + 1);
            if (used[s]) {
                used[s] = 0;
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

static sabot_status cache_make_room(struct kv_rocksdb *self, int32_t more, struct sabot_error *err) {
    SABOT_TRY(dirty_reserve(self, more, err));
    if (self->cached_rows + more <= self->cache_rows &&
        self->cached_bytes <= (int64_t)self->cache_rows * CACHE_BYTES_PER_ROW) {
        return SABOT_OK;
    }
    SABOT_TRY(rocksdb_flush(&self->table, err));
    return evict(self, err);
}

/* Slots of all keys, with a status of their own where they are new. */
static sabot_status slots_make(struct kv_rocksdb *self, const struct kv_keys *keys, int32_t *slots,
                               struct sabot_error *err) {
    SABOT_TRY(cache_make_room(self, keys->n, err));
    const int32_t before = (int32_t)state_count(self->hot.table, keys->namespace_);
    kv_hot_keys(&self->hot, keys);
    const sabot_status status = kv_hot_insert(&self->hot, keys, slots, err);
    self->cached_rows += state_count(self->hot.table, keys->namespace_) - before + (before ? 0 : NAMESPACE_ROWS);
    if (status != SABOT_OK) { return status; } /* what is half made is UNKNOWN: looked up when it is used */
    int8_t *used = kv_hot_values(&self->hot, keys->namespace_, self->status_column + 1);
    for (int32_t i = 0; i < keys->n; i++) { used[slots[i]] |= slots[i] < before; }
    return SABOT_OK;
}

static const void *key_of(const struct kv_rocksdb *self, const struct kv_keys *keys, int32_t i) {
    return (const char *)keys->keys + (size_t)i * self->hot.key_sizes[0];
}
static const void *sub_of(const struct kv_rocksdb *self, const struct kv_keys *keys, int32_t i) {
    return keys->subs ? (const char *)keys->subs + (size_t)i * self->hot.key_sizes[1] : NULL;
}

/* Reads key i from below into its slot. */
static sabot_status slot_load(struct kv_rocksdb *self, const struct kv_keys *keys, int32_t i, int32_t slot,
                              struct sabot_error *err) {
    struct rocks_span found;
    SABOT_TRY(key_encode(self, keys->namespace_, key_of(self, keys, i), sub_of(self, keys, i), err));
    SABOT_TRY(rocks_get(self->rocks, self->family, span_of(&self->key), &found, err));
    int8_t *status = &statuses(self, keys->namespace_)[slot];
    if (!found.data) {
        if (*status == CACHE_DELTA) {
            *status = CACHE_DIRTY; /* 0 below */
        } else {
            *status = CACHE_ABSENT;
        }
        return SABOT_OK;
    }
    struct string_view view;
    uint64_t word = 0;
    int64_t time_ms;
    SABOT_TRY(value_decode(self, found, &view, &word, &time_ms, err));
    if (*status == CACHE_DELTA) {
        ((uint64_t *)kv_hot_values(&self->hot, keys->namespace_, 0))[slot] += word;
        *status = CACHE_DIRTY;
        return SABOT_OK;
    }
    if (self->hot.value_is_view) {
        SABOT_TRY(kv_hot_set(&self->hot, keys->namespace_, &slot, 1, &view, err));
        self->cached_bytes += view.size;
    } else {
        SABOT_TRY(kv_hot_set(&self->hot, keys->namespace_, &slot, 1, &word, err));
    }
    if (self->table.spec.ttl.ttl_ms) { ((int64_t *)kv_hot_values(&self->hot, keys->namespace_, 1))[slot] = time_ms; }
    statuses(self, keys->namespace_)[slot] = CACHE_CLEAN;
    return SABOT_OK;
}

/* --- access */
static void slot_age(struct kv_rocksdb *self, int64_t namespace_, int32_t slot) {
    int8_t *status = &statuses(self, namespace_)[slot];
    if (*status != CACHE_CLEAN && *status != CACHE_DIRTY) { return; }
    const struct kv_ttl *ttl = &self->table.spec.ttl;
    const int64_t now_ms = kv_now_ms(&self->table);
    int64_t *time_ms = &((int64_t *)kv_hot_values(&self->hot, namespace_, 1))[slot];
    if (kv_expired(ttl->ttl_ms, *time_ms, now_ms)) {
        change(self, namespace_, slot, CACHE_REMOVED);
        return;
    }
    if (*time_ms == now_ms || (!ttl->on_read && *time_ms != KV_TIME_UNKNOWN)) { return; }
    change(self, namespace_, slot, CACHE_DIRTY);
    *time_ms = now_ms;
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
static sabot_status rocksdb_get(struct kv_table *table, const struct kv_keys *keys, void *values, bool *found,
                                struct sabot_error *err) {
    struct kv_rocksdb *self = rocksdb_of(table);
    if (keys->n == 0) { return SABOT_OK; }
    int32_t slots[KV_ROWS_MAX];
    SABOT_TRY(slots_make(self, keys, slots, err));
    for (int32_t i = 0; i < keys->n; i++) {
        const int8_t status = statuses(self, keys->namespace_)[slots[i]];
        if (status == CACHE_UNKNOWN || status == CACHE_DELTA) { SABOT_TRY(slot_load(self, keys, i, slots[i], err)); }
        if (table->spec.ttl.ttl_ms) { slot_age(self, keys->namespace_, slots[i]); }
    }
    const int8_t *status = statuses(self, keys->namespace_);
    if (self->hot.value_is_view) {
        GATHER(struct string_view);
    } else {
        GATHER(uint64_t);
    }
    return SABOT_OK;
}

static sabot_status rocksdb_put(struct kv_table *table, const struct kv_keys *keys, const void *values,
                                struct sabot_error *err) {
    struct kv_rocksdb *self = rocksdb_of(table);
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

static sabot_status rocksdb_remove(struct kv_table *table, const struct kv_keys *keys, struct sabot_error *err) {
    struct kv_rocksdb *self = rocksdb_of(table);
    if (keys->n == 0) { return SABOT_OK; }
    int32_t slots[KV_ROWS_MAX];
    SABOT_TRY(slots_make(self, keys, slots, err));
    for (int32_t i = 0; i < keys->n; i++) {
        if (statuses(self, keys->namespace_)[slots[i]] == CACHE_ABSENT) { continue; }
        change(self, keys->namespace_, slots[i], CACHE_REMOVED);
    }
    return SABOT_OK;
}

static sabot_status rocksdb_add(struct kv_table *table, const struct kv_keys *keys, const int64_t *deltas,
                                struct sabot_error *err) {
    struct kv_rocksdb *self = rocksdb_of(table);
    if (keys->n == 0) { return SABOT_OK; }
    int32_t slots[KV_ROWS_MAX];
    SABOT_TRY(slots_make(self, keys, slots, err));
    for (int32_t i = 0; i < keys->n; i++) {
        int8_t *status = &statuses(self, keys->namespace_)[slots[i]];
        uint64_t *value = &((uint64_t *)kv_hot_values(&self->hot, keys->namespace_, 0))[slots[i]];
        if (*status == CACHE_UNKNOWN || *status == CACHE_ABSENT || *status == CACHE_REMOVED) {
            const enum cache_status to = *status == CACHE_UNKNOWN ? CACHE_DELTA : CACHE_DIRTY;
            change(self, keys->namespace_, slots[i], to);
            *value = 0;
        } else if (*status == CACHE_CLEAN) {
            change(self, keys->namespace_, slots[i], CACHE_DIRTY);
        }
    }
    uint64_t *values = kv_hot_values(&self->hot, keys->namespace_, 0);
    for (int32_t i = 0; i < keys->n; i++) { values[slots[i]] += (uint64_t)deltas[i]; }
    return SABOT_OK;
}

/* --- scans */
/* Entries of the range self->key..self->key_end. */
static sabot_status range_scan(struct kv_rocksdb *self, kv_each each, void *arg, bool *stopped,
                               struct sabot_error *err) {
    const struct kv_spec *spec = &self->table.spec;
    const int64_t now_ms = spec->ttl.ttl_ms ? kv_now_ms(&self->table) : 0;
    struct rocks_scan *scan;
    SABOT_TRY(rocks_scan_open(self->rocks, self->family, span_of(&self->key), span_of(&self->key_end), &scan, err));
    struct rocks_span key, value;
    struct sabot_error failure = {0};
    sabot_status status = SABOT_OK;
    while (status == SABOT_OK && !*stopped && rocks_scan_next(scan, &key, &value, &failure)) {
        struct string_view key_view, sub_view, value_view;
        int64_t namespace_, key_number, sub_number, time_ms;
        uint64_t word;
        const uint8_t *at = (const uint8_t *)key.data + KV_PREFIX_SIZE, *end = (const uint8_t *)key.data + key.size;
        self->scratch.size = 0;
        status = kv_bytes_reserve(&self->scratch, key.size, err);
        if (status != SABOT_OK) { break; }
        const bool right =
            key.size > KV_PREFIX_SIZE && kv_key_read_number(&at, end, &namespace_) &&
            kv_key_read(&at, end, spec->key, &self->scratch, &key_view, &key_number) &&
            (!spec->has_sub_key || kv_key_read(&at, end, spec->sub_key, &self->scratch, &sub_view, &sub_number));
        status = right ? value_decode(self, value, &value_view, &word, &time_ms, err)
                       : SABOT_FAIL(err, SABOT_ERR_CORRUPT, "state %s: a key of %zu bytes in RocksDB is damaged",
                                    self->table.name, key.size);
        if (status != SABOT_OK || (spec->ttl.ttl_ms && kv_expired(spec->ttl.ttl_ms, time_ms, now_ms))) { continue; }
        const struct kv_entry entry = {
            .namespace_ = namespace_, .time_ms = time_ms,
            .key = spec->key == KV_BYTES ? (const void *)&key_view : &key_number,
            .sub = !spec->has_sub_key ? NULL : spec->sub_key == KV_BYTES ? (const void *)&sub_view : &sub_number,
            .value = self->hot.value_is_view ? (const void *)&value_view : &word};
        *stopped = !each(arg, &entry);
    }
    rocks_scan_close(scan);
    if (failure.status != SABOT_OK) {
        if (err && err->status == SABOT_OK) { *err = failure; }
        return failure.status;
    }
    return status;
}

static sabot_status end_set(struct kv_rocksdb *self, struct sabot_error *err) {
    self->key_end.size = 0;
    SABOT_TRY(kv_bytes_reserve(&self->key_end, self->key.size, err));
    memcpy(self->key_end.data, self->key.data, self->key.size);
    self->key_end.size = self->key.size;
    kv_key_next(&self->key_end);
    return SABOT_OK;
}

static sabot_status rocksdb_scan(struct kv_table *table, int64_t namespace_, const void *key, kv_each each, void *arg,
                                 struct sabot_error *err) {
    struct kv_rocksdb *self = rocksdb_of(table);
    bool stopped = false;
    SABOT_TRY(rocksdb_flush(table, err));
    if (key) {
        SABOT_TRY(key_encode(self, namespace_, key, NULL, err));
        SABOT_TRY(end_set(self, err));
        return range_scan(self, each, arg, &stopped, err);
    }
    for (int32_t group = self->first_group; group < self->last_group && !stopped; group++) {
        SABOT_TRY(kv_key_begin(&self->key, group, self->id, err));
        SABOT_TRY(end_set(self, err));
        SABOT_TRY(range_scan(self, each, arg, &stopped, err));
    }
    return SABOT_OK;
}

static sabot_status rocksdb_clear(struct kv_table *table, int64_t namespace_, struct sabot_error *err) {
    struct kv_rocksdb *self = rocksdb_of(table);
    SABOT_TRY(rocksdb_flush(table, err));
    rocks_discard(self->rocks);
    for (int32_t group = self->first_group; group < self->last_group; group++) {
        SABOT_TRY(kv_key_begin(&self->key, group, self->id, err));
        SABOT_TRY(kv_key_number(&self->key, namespace_, err));
        SABOT_TRY(end_set(self, err));
        /* Each key by itself: a tombstone for the whole range would make later reads slower. */
        struct rocks_scan *scan;
        SABOT_TRY(rocks_scan_open(self->rocks, self->family, span_of(&self->key), span_of(&self->key_end), &scan, err));
        struct rocks_span key, value;
        struct sabot_error failure = {0};
        while (rocks_scan_next(scan, &key, &value, &failure)) { rocks_delete(self->rocks, self->family, key); }
        rocks_scan_close(scan);
        if (failure.status != SABOT_OK) {
            if (err && err->status == SABOT_OK) { *err = failure; }
            return failure.status;
        }
    }
    SABOT_TRY(rocks_commit(self->rocks, false, err));
    self->cached_rows -= state_count(self->hot.table, namespace_);
    state_drop_namespace(self->hot.table, namespace_);
    return SABOT_OK;
}

/* What is expired below goes at compaction. */
static sabot_status rocksdb_sweep(struct kv_table *table, int32_t entries, struct sabot_error *err) {
    (void)table;
    (void)entries;
    (void)err;
    return SABOT_OK;
}

const struct kv_backend kv_rocksdb = {
    .name = "rocksdb",
    .open = rocksdb_open,
    .close = rocksdb_close,
    .get = rocksdb_get,
    .put = rocksdb_put,
    .erase = rocksdb_remove,
    .add = rocksdb_add,
    .scan = rocksdb_scan,
    .clear = rocksdb_clear,
    .sweep = rocksdb_sweep,
    .flush = rocksdb_flush,
};
