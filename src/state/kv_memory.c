/* Key-value state in memory: a columnar hash table. Entries of one key (lists, maps) are a chain through their slots,
 * whose head stands in a second table by the key alone. */
#include <stdlib.h>

#include "state/capture.h"
#include "state/kv_hot.h"

#define SWEEP_PER_CALL 2 /* slots that a call looks at for what is expired, beside one per key */

struct kv_memory {
    struct kv_table table;
    struct kv_hot hot;   /* value, [time], [next, previous]: slot + 1, 0 = none */
    struct kv_hot heads; /* the first slot of a key, + 1 */
    int32_t chain;       /* column of `next` */
    bool is_plain;       /* a BIGINT key and nothing to do but find it: a single access takes a short way */
    int64_t sweep_namespace;
    int32_t sweep_slot;
};

static struct kv_memory *memory_of(struct kv_table *table) { return (struct kv_memory *)table; }

static void memory_close(struct kv_table *table) {
    struct kv_memory *self = memory_of(table);
    kv_hot_clear(&self->hot);
    kv_hot_clear(&self->heads);
    free(self);
}

static sabot_status memory_open(const struct kv_open *open, struct kv_table **out, struct sabot_error *err) {
    const struct kv_spec *spec = open->spec;
    *out = NULL;
    struct kv_memory *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for state %s", spec->name); }
    self->chain = 1 + (spec->ttl.ttl_ms != 0);
    self->is_plain = spec->key == KV_INT64 && !spec->has_sub_key && !spec->ttl.ttl_ms;
    self->sweep_namespace = INT64_MIN;
    const struct field extra[] = {{"next", type_not_null(type_of(TYPE_INT32))},
                                  {"previous", type_not_null(type_of(TYPE_INT32))}};
    struct schema *schema;
    sabot_status status = kv_schema(spec, extra, spec->has_sub_key ? 2 : 0, &schema, err);
    if (status == SABOT_OK) { status = kv_hot_init(&self->hot, open->context, spec, schema, true, err); }
    if (status == SABOT_OK && spec->has_sub_key) {
        const struct kv_spec heads = {.name = spec->name, .key = spec->key, .value = KV_INT64};
        status = kv_schema(&heads, NULL, 0, &schema, err);
        if (status == SABOT_OK) { status = kv_hot_init(&self->heads, open->context, &heads, schema, false, err); }
    }
    if (status != SABOT_OK) {
        memory_close(&self->table);
        return status;
    }
    *out = &self->table;
    return SABOT_OK;
}

/* --- chains */
/* A key of a namespace that lies at a slot of the table; the column must be released. */
static sabot_status key_at(struct kv_memory *self, int64_t namespace_, int32_t slot, struct column **key,
                           struct sabot_error *err) {
    return state_take(self->hot.table, namespace_, &slot, 1, 0, 1, key, err);
}

static int32_t head_find(struct kv_memory *self, int64_t namespace_, const void *key) {
    const struct kv_keys keys = {.namespace_ = namespace_, .n = 1, .keys = key};
    int32_t slot;
    kv_hot_keys(&self->heads, &keys);
    kv_hot_find(&self->heads, &keys, &slot);
    return slot;
}

/* Puts new slots, those behind `before`, in front of the chains of their keys. */
static void chains_add(struct kv_memory *self, const struct kv_keys *keys, const int32_t *slots,
                       const int32_t *head_slots, int32_t before) {
    int32_t *next = kv_hot_values(&self->hot, keys->namespace_, self->chain);
    int32_t *previous = kv_hot_values(&self->hot, keys->namespace_, self->chain + 1);
    int64_t *heads = kv_hot_values(&self->heads, keys->namespace_, 0);
    bool linked[KV_ROWS_MAX] = {false};
    for (int32_t i = 0; i < keys->n; i++) {
        const int32_t slot = slots[i];
        if (slot < before || linked[slot - before]) { continue; }
        linked[slot - before] = true;
        int64_t *head = &heads[head_slots[i]];
        next[slot] = (int32_t)*head;
        previous[slot] = 0;
        if (*head) { previous[*head - 1] = slot + 1; }
        *head = slot + 1;
    }
}

/* The place that points to `slot`: the `next` of the one before it, or the head of its key. */
static sabot_status chain_take_out(struct kv_memory *self, int64_t namespace_, int32_t slot, struct sabot_error *err) {
    int32_t *next = kv_hot_values(&self->hot, namespace_, self->chain);
    int32_t *previous = kv_hot_values(&self->hot, namespace_, self->chain + 1);
    if (previous[slot]) {
        next[previous[slot] - 1] = next[slot];
    } else {
        COLUMN_OWNED struct column *key = NULL;
        SABOT_TRY(key_at(self, namespace_, slot, &key, err));
        const int32_t head = head_find(self, namespace_, key->values);
        ((int64_t *)kv_hot_values(&self->heads, namespace_, 0))[head] = next[slot];
        if (!next[slot]) { SABOT_TRY(state_remove(self->heads.table, namespace_, &head, 1, err)); }
    }
    if (next[slot]) { previous[next[slot] - 1] = previous[slot]; }
    return SABOT_OK;
}

/* What pointed to slot `from` will point to slot `to`. */
static sabot_status chain_move(struct kv_memory *self, int64_t namespace_, int32_t from, int32_t to,
                               struct sabot_error *err) {
    int32_t *next = kv_hot_values(&self->hot, namespace_, self->chain);
    int32_t *previous = kv_hot_values(&self->hot, namespace_, self->chain + 1);
    if (!previous[from]) {
        COLUMN_OWNED struct column *key = NULL;
        SABOT_TRY(key_at(self, namespace_, from, &key, err));
        const int32_t head = head_find(self, namespace_, key->values);
        ((int64_t *)kv_hot_values(&self->heads, namespace_, 0))[head] = to + 1;
    } else {
        next[previous[from] - 1] = to + 1;
    }
    if (next[from]) { previous[next[from] - 1] = to + 1; }
    return SABOT_OK;
}

static sabot_status slot_remove(struct kv_memory *self, int64_t namespace_, int32_t slot, struct sabot_error *err) {
    const int32_t last = (int32_t)state_count(self->hot.table, namespace_) - 1;
    if (self->table.spec.has_sub_key) {
        SABOT_TRY(chain_take_out(self, namespace_, slot, err));
        if (slot != last) { SABOT_TRY(chain_move(self, namespace_, last, slot, err)); }
    }
    SABOT_TRY(state_remove(self->hot.table, namespace_, &slot, 1, err));
    if (last == 0 && namespace_ != 0) { /* an empty namespace keeps no memory */
        state_drop_namespace(self->hot.table, namespace_);
        if (self->table.spec.has_sub_key) { state_drop_namespace(self->heads.table, namespace_); }
    }
    return SABOT_OK;
}

/* --- TTL */
static void time_set(struct kv_memory *self, int64_t namespace_, int32_t slot, int64_t time_ms) {
    kv_hot_touch(&self->hot, namespace_, &slot, 1);
    ((int64_t *)kv_hot_values(&self->hot, namespace_, 1))[slot] = time_ms;
}

/* One that was not known when the value was written is kept from now on: it goes into snapshots. */
static int64_t time_of(struct kv_memory *self, int64_t namespace_, int32_t slot) {
    const int64_t written_ms = ((const int64_t *)kv_hot_values(&self->hot, namespace_, 1))[slot];
    const int64_t time_ms = kv_written_ms(self->table.clock, self->table.spec.ttl.time, written_ms);
    if (time_ms != written_ms) { time_set(self, namespace_, slot, time_ms); }
    return time_ms;
}

static sabot_status memory_sweep(struct kv_table *table, int32_t entries, struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    const int64_t now_ms = kv_now_ms(table), ttl_ms = table->spec.ttl.ttl_ms;
    if (!ttl_ms || now_ms == KV_TIME_UNKNOWN) { return SABOT_OK; }
    bool wrapped = false; /* once round is enough */
    while (entries > 0) {
        const int64_t count = state_count(self->hot.table, self->sweep_namespace);
        if (self->sweep_slot >= count) { /* on to the next namespace; behind the last: from the start */
            const int64_t *namespaces;
            int32_t n, at = 0;
            SABOT_TRY(state_namespaces(self->hot.table, &namespaces, &n, err));
            while (at < n && namespaces[at] <= self->sweep_namespace) { at++; }
            self->sweep_slot = 0;
            self->sweep_namespace = at < n ? namespaces[at] : INT64_MIN;
            if (at == n && wrapped) { return SABOT_OK; }
            wrapped |= at == n;
            continue;
        }
        entries--;
        const int64_t time_ms = time_of(self, self->sweep_namespace, self->sweep_slot);
        if (kv_expired(ttl_ms, time_ms, now_ms)) {
            SABOT_TRY(slot_remove(self, self->sweep_namespace, self->sweep_slot, err));
        } else {
            self->sweep_slot++;
        }
    }
    return SABOT_OK;
}

/* Removes those of the keys that are expired. */
static sabot_status keys_expire(struct kv_memory *self, const struct kv_keys *keys, int32_t *slots,
                                struct sabot_error *err) {
    const struct kv_spec *spec = &self->table.spec;
    const int64_t now_ms = kv_now_ms(&self->table);
    for (int32_t i = 0; i < keys->n; i++) {
        if (slots[i] < 0) { continue; }
        const int64_t time_ms = time_of(self, keys->namespace_, slots[i]);
        if (kv_expired(spec->ttl.ttl_ms, time_ms, now_ms)) {
            SABOT_TRY(slot_remove(self, keys->namespace_, slots[i], err));
            kv_hot_keys(&self->hot, keys);
            kv_hot_find(&self->hot, keys, slots);
        }
    }
    return SABOT_OK;
}

/* --- access */
#define GATHER(type_)                                                                                                  \
    do {                                                                                                               \
        const type_ *source = kv_hot_values(&self->hot, keys->namespace_, 0);                                          \
        type_ *target = values;                                                                                        \
        for (int32_t i = 0; i < keys->n; i++) {                                                                        \
            found[i] = slots[i] >= 0;                                                                                  \
            if (found[i]) { target[i] = source[slots[i]]; }                                                            \
        }                                                                                                              \
    } while (0)
static inline void *cell_of(struct kv_memory *self, const struct kv_keys *keys, bool writes, int32_t *slot) {
    return kv_hot_cell(&self->hot, keys->namespace_, *(const int64_t *)keys->keys, writes, slot);
}

static sabot_status memory_get_all(struct kv_table *table, const struct kv_keys *keys, void *values, bool *found,
                                   struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    const bool ages = table->spec.ttl.ttl_ms != 0;
    int32_t slots[KV_ROWS_MAX];
    if (ages) { SABOT_TRY(memory_sweep(table, SWEEP_PER_CALL + keys->n, err)); }
    kv_hot_keys(&self->hot, keys);
    kv_hot_find(&self->hot, keys, slots);
    if (ages) {
        SABOT_TRY(keys_expire(self, keys, slots, err));
        const int64_t *times = kv_hot_values(&self->hot, keys->namespace_, 1);
        const int64_t now_ms = kv_now_ms(table);
        for (int32_t i = 0; table->spec.ttl.on_read && i < keys->n; i++) {
            if (slots[i] >= 0 && times[slots[i]] != now_ms) { time_set(self, keys->namespace_, slots[i], now_ms); }
        }
    }
    if (self->hot.value_is_view) {
        GATHER(struct string_view);
    } else {
        GATHER(uint64_t);
    }
    return SABOT_OK;
}

static sabot_status memory_get(struct kv_table *table, const struct kv_keys *keys, void *values, bool *found,
                               struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    int32_t slot;
    if (keys->n != 1 || !self->is_plain) { return memory_get_all(table, keys, values, found, err); }
    const void *cell = cell_of(self, keys, false, &slot);
    *found = cell != NULL;
    if (!cell) { return SABOT_OK; }
    if (self->hot.value_is_view) {
        *(struct string_view *)values = *(const struct string_view *)cell;
    } else {
        *(uint64_t *)values = *(const uint64_t *)cell;
    }
    return SABOT_OK;
}

/* The slots of keys that are there or are made. */
static sabot_status slots_make(struct kv_memory *self, const struct kv_keys *keys, int32_t *slots, int32_t *made,
                               struct sabot_error *err) {
    int32_t head_slots[KV_ROWS_MAX];
    if (self->table.spec.has_sub_key) {
        const struct kv_keys first = {.namespace_ = keys->namespace_, .n = keys->n, .keys = keys->keys};
        kv_hot_keys(&self->heads, &first);
        SABOT_TRY(kv_hot_insert(&self->heads, &first, head_slots, err));
    }
    const int32_t before = (int32_t)state_count(self->hot.table, keys->namespace_);
    kv_hot_keys(&self->hot, keys);
    const sabot_status status = kv_hot_insert(&self->hot, keys, slots, err);
    *made = (int32_t)state_count(self->hot.table, keys->namespace_) - before;
    if (status != SABOT_OK) {
        /* What was made before the failure goes again. Heads without a chain are harmless, and used the next time. */
        for (int32_t slot = before + *made - 1; slot >= before; slot--) {
            SABOT_TRY(state_remove(self->hot.table, keys->namespace_, &slot, 1, err));
        }
        return status;
    }
    if (self->table.spec.has_sub_key) { chains_add(self, keys, slots, head_slots, before); }
    return SABOT_OK;
}

static void times_set(struct kv_memory *self, const struct kv_keys *keys, const int32_t *slots) {
    int64_t *times = kv_hot_values(&self->hot, keys->namespace_, 1);
    const int64_t now_ms = kv_now_ms(&self->table);
    for (int32_t i = 0; i < keys->n; i++) { times[slots[i]] = keys->times_ms ? keys->times_ms[i] : now_ms; }
}

static sabot_status memory_put_all(struct kv_table *table, const struct kv_keys *keys, const void *values,
                                   struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    int32_t slots[KV_ROWS_MAX], made;
    if (table->spec.ttl.ttl_ms && !keys->times_ms) {
        SABOT_TRY(memory_sweep(table, SWEEP_PER_CALL + keys->n, err));
    }
    SABOT_TRY(slots_make(self, keys, slots, &made, err));
    if (table->spec.ttl.ttl_ms) { times_set(self, keys, slots); }
    const sabot_status status = kv_hot_set(&self->hot, keys->namespace_, slots, keys->n, values, err);
    for (; status != SABOT_OK && made > 0; made--) { /* a key without its value is no key */
        SABOT_TRY(slot_remove(self, keys->namespace_,
                              (int32_t)state_count(self->hot.table, keys->namespace_) - 1, err));
    }
    return status;
}

static sabot_status memory_put(struct kv_table *table, const struct kv_keys *keys, const void *values,
                               struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    int32_t slot;
    void *cell = keys->n == 1 && self->is_plain ? cell_of(self, keys, true, &slot) : NULL;
    if (!cell) { return memory_put_all(table, keys, values, err); }
    if (self->hot.value_is_view) { return kv_hot_set(&self->hot, keys->namespace_, &slot, 1, values, err); }
    *(uint64_t *)cell = *(const uint64_t *)values;
    return SABOT_OK;
}

static sabot_status memory_add(struct kv_table *table, const struct kv_keys *keys, const int64_t *deltas,
                               struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    int32_t slots[KV_ROWS_MAX], made, slot;
    uint64_t *cell = keys->n == 1 && self->is_plain ? cell_of(self, keys, true, &slot) : NULL;
    if (cell) {
        *cell += (uint64_t)*deltas;
        return SABOT_OK;
    }
    SABOT_TRY(slots_make(self, keys, slots, &made, err)); /* new values are 0 */
    uint64_t *values = kv_hot_values(&self->hot, keys->namespace_, 0);
    for (int32_t i = 0; i < keys->n; i++) { values[slots[i]] += (uint64_t)deltas[i]; }
    return SABOT_OK;
}

static sabot_status memory_remove(struct kv_table *table, const struct kv_keys *keys, struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    const size_t key_size = self->hot.key_sizes[0], sub_size = self->hot.key_sizes[1];
    for (int32_t i = 0; i < keys->n; i++) {
        const struct kv_keys one = {.namespace_ = keys->namespace_, .n = 1,
                                    .keys = (const char *)keys->keys + (size_t)i * key_size,
                                    .subs = keys->subs ? (const char *)keys->subs + (size_t)i * sub_size : NULL};
        int32_t slot;
        kv_hot_keys(&self->hot, &one);
        kv_hot_find(&self->hot, &one, &slot);
        if (slot >= 0) { SABOT_TRY(slot_remove(self, keys->namespace_, slot, err)); }
    }
    return SABOT_OK;
}

/* --- scans */
struct scan {
    struct kv_memory *self;
    int64_t namespace_;
    kv_each each;
    void *arg;
    bool stopped;
};

static sabot_status slots_give(struct scan *scan, const int32_t *slots, int32_t n, struct sabot_error *err) {
    struct kv_memory *self = scan->self;
    const struct kv_spec *spec = &self->table.spec;
    const int32_t n_keys = self->hot.n_keys, n_columns = n_keys + 1 + (spec->ttl.ttl_ms != 0);
    const int64_t now_ms = spec->ttl.ttl_ms ? kv_now_ms(&self->table) : 0;
    struct column *columns[4];
    SABOT_TRY(state_take(self->hot.table, scan->namespace_, slots, n, 0, n_columns, columns, err));
    const struct column *value = columns[n_keys];
    const int64_t *times = spec->ttl.ttl_ms ? columns[n_keys + 1]->values : NULL;
    for (int32_t i = 0; i < n && !scan->stopped; i++) {
        if (times && kv_expired(spec->ttl.ttl_ms, kv_written_ms(self->table.clock, spec->ttl.time, times[i]),
                                now_ms)) {
            continue;
        }
        const struct kv_entry entry = {
            .namespace_ = scan->namespace_, .time_ms = times ? times[i] : 0,
            .key = (const char *)columns[0]->values + (size_t)i * self->hot.key_sizes[0],
            .sub = n_keys == 2 ? (const char *)columns[1]->values + (size_t)i * self->hot.key_sizes[1] : NULL,
            .value = (const char *)value->values + (size_t)i * kv_size(spec->value)};
        scan->stopped = !scan->each(scan->arg, &entry);
    }
    for (int32_t c = 0; c < n_columns; c++) { column_unref(columns[c]); }
    return SABOT_OK;
}

static sabot_status chain_scan(struct scan *scan, const void *key, struct sabot_error *err) {
    struct kv_memory *self = scan->self;
    const int32_t head = head_find(self, scan->namespace_, key);
    if (head < 0) { return SABOT_OK; }
    const int32_t *next = kv_hot_values(&self->hot, scan->namespace_, self->chain);
    int32_t slots[KV_ROWS_MAX], n = 0;
    int32_t at = (int32_t)((const int64_t *)kv_hot_values(&self->heads, scan->namespace_, 0))[head];
    while (at && !scan->stopped) {
        slots[n++] = at - 1;
        at = next[at - 1];
        if (n == KV_ROWS_MAX || !at) {
            SABOT_TRY(slots_give(scan, slots, n, err));
            n = 0;
        }
    }
    return SABOT_OK;
}

static sabot_status memory_scan(struct kv_table *table, int64_t namespace_, const void *key, kv_each each, void *arg,
                                struct sabot_error *err) {
    struct kv_memory *self = memory_of(table);
    struct scan scan = {self, namespace_, each, arg, false};
    if (key) { return chain_scan(&scan, key, err); }
    const int64_t *namespaces;
    int32_t n_namespaces, slots[KV_ROWS_MAX];
    SABOT_TRY(state_namespaces(self->hot.table, &namespaces, &n_namespaces, err));
    for (int32_t s = 0; s < n_namespaces; s++) {
        scan.namespace_ = namespaces[s];
        const int32_t count = (int32_t)state_count(self->hot.table, namespaces[s]);
        for (int32_t first = 0; first < count && !scan.stopped; first += KV_ROWS_MAX) {
            const int32_t n = count - first < KV_ROWS_MAX ? count - first : KV_ROWS_MAX;
            for (int32_t i = 0; i < n; i++) { slots[i] = first + i; }
            SABOT_TRY(slots_give(&scan, slots, n, err));
        }
    }
    return SABOT_OK;
}

static sabot_status memory_clear(struct kv_table *table, int64_t namespace_, struct sabot_error *err) {
    (void)err;
    struct kv_memory *self = memory_of(table);
    state_drop_namespace(self->hot.table, namespace_);
    if (table->spec.has_sub_key) { state_drop_namespace(self->heads.table, namespace_); }
    return SABOT_OK;
}

static sabot_status memory_flush(struct kv_table *table, struct sabot_error *err) {
    (void)table;
    (void)err;
    return SABOT_OK;
}

/* --- snapshots: the table's own; chains are made anew at a restore */
static sabot_status memory_freeze(struct kv_table *table, struct capture *capture, struct sabot_error *err) {
    return kv_hot_freeze(&memory_of(table)->hot, capture, err);
}
static bool memory_copy(struct kv_table *table, int32_t slots) { return kv_hot_copy(&memory_of(table)->hot, slots); }
static void memory_thaw(struct kv_table *table) { kv_hot_thaw(&memory_of(table)->hot); }

const struct kv_backend kv_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .get = memory_get,
    .put = memory_put,
    .erase = memory_remove,
    .add = memory_add,
    .scan = memory_scan,
    .clear = memory_clear,
    .sweep = memory_sweep,
    .flush = memory_flush,
    .slot_column = CAPTURE_SLOT,
    .freeze = memory_freeze,
    .copy = memory_copy,
    .thaw = memory_thaw,
};
