/* Snapshots of key-value state on disk (decision 0030). At the barrier what is new in the cache is copied (it is
 * bounded), and the store below is held as it is; both are walked between batches. A delta has the keys that changed
 * since the file before: those that went down meanwhile are remembered in a table of keys, the others are still new in
 * the cache. A row's place in the chain is its key, as what lies on disk has no slots. */
#include <assert.h>

#include "state/kv_disk_impl.h"

#define BLOCK_ROWS 256 /* looked at together */
#define STEP_SHARE 16  /* a row that is read from below counts as so many slots in memory */

/* --- what has changed */
static sabot_status changed_open(const struct kv_disk *self, struct kv_hot *out, struct sabot_error *err) {
    struct schema *all, *keys;
    SABOT_TRY(kv_schema(&self->table.spec, NULL, 0, &all, err));
    const sabot_status status = schema_new(all->fields, 1 + self->table.spec.has_sub_key, &keys, err);
    schema_unref(all);
    SABOT_TRY(status);
    return kv_hot_init(out, self->context, &self->table.spec, keys, false, err);
}

void disk_note_changed(struct kv_disk *self, const struct kv_keys *keys) {
    int32_t slots[BLOCK_ROWS];
    assert(keys->n <= BLOCK_ROWS);
    if (!self->tracks) { return; }
    kv_hot_keys(&self->changed, keys);
    if (kv_hot_insert(&self->changed, keys, slots, NULL) == SABOT_OK) { return; }
    self->tracks = false; /* no memory: the next file is a base */
    kv_hot_clear(&self->changed);
}

/* --- the barrier */
static void frozen_clear(struct kv_disk *self) {
    struct kv_disk_frozen *frozen = &self->frozen;
    if (frozen->held) { frozen->held->type->release(frozen->held); }
    kv_hot_clear(&frozen->overlay);
    kv_hot_clear(&frozen->changed);
    kv_bytes_free(&frozen->at);
    *frozen = (struct kv_disk_frozen){0};
}

#define COPY(type_, column_)                                                                                           \
    do {                                                                                                               \
        const type_ *source = kv_hot_values(&self->hot, namespace_, column_);                                          \
        type_ *target = kv_hot_values(overlay, namespace_, column_);                                                   \
        for (int32_t i = 0; i < n; i++) { target[to[i]] = source[from[i]]; }                                           \
    } while (0)
/* Entries of one namespace that are new in the cache. */
static sabot_status overlay_add(struct kv_disk *self, int64_t namespace_, const int32_t *from, int32_t n,
                                struct sabot_error *err) {
    struct kv_hot *overlay = &self->frozen.overlay;
    int32_t to[BLOCK_ROWS];
    if (n == 0) { return SABOT_OK; }
    struct column *columns[2];
    SABOT_TRY(state_take(self->hot.table, namespace_, from, n, 0, self->hot.n_keys, columns, err));
    const struct kv_keys keys = {.namespace_ = namespace_, .n = n, .keys = columns[0]->values,
                                 .subs = self->hot.n_keys == 2 ? columns[1]->values : NULL};
    kv_hot_keys(overlay, &keys);
    sabot_status status = kv_hot_insert(overlay, &keys, to, err);
    for (int32_t k = 0; k < self->hot.n_keys; k++) { column_unref(columns[k]); }
    SABOT_TRY(status);
    if (self->hot.value_is_view) {
        const struct string_view *views = kv_hot_values(&self->hot, namespace_, 0);
        for (int32_t i = 0; i < n; i++) { SABOT_TRY(kv_hot_set(overlay, namespace_, &to[i], 1, &views[from[i]], err)); }
    } else {
        COPY(uint64_t, 0);
    }
    if (self->table.spec.ttl.ttl_ms) { COPY(int64_t, 1); }
    COPY(int8_t, self->status_column);
    return SABOT_OK;
}

static sabot_status overlay_fill(struct kv_disk *self, struct sabot_error *err) {
    const int8_t saved = self->frozen.capture->form == STATE_FORM_DELTA ? CACHE_SAVED : 0; /* has nothing new to say */
    int32_t slots[BLOCK_ROWS], n = 0;
    int64_t namespace_ = 0;
    const int8_t *marks = NULL;
    for (int32_t i = 0; i < self->n_dirty; i++) {
        const struct dirty *dirty = &self->dirty[i];
        if (n == BLOCK_ROWS || !marks || dirty->namespace_ != namespace_) {
            SABOT_TRY(overlay_add(self, namespace_, slots, n, err));
            n = 0;
            namespace_ = dirty->namespace_;
            marks = kv_hot_values(&self->hot, namespace_, self->status_column + 1);
        }
        if (!(marks[dirty->slot] & saved)) { slots[n++] = dirty->slot; }
    }
    return overlay_add(self, namespace_, slots, n, err);
}

static sabot_status frozen_fill(struct kv_disk *self, struct kv_hot *fresh, struct sabot_error *err) {
    struct kv_disk_frozen *frozen = &self->frozen;
    SABOT_TRY(disk_hot_open(self, &frozen->overlay, err));
    SABOT_TRY(overlay_fill(self, err));
    if (frozen->capture->form != STATE_FORM_ROWS) { SABOT_TRY(changed_open(self, fresh, err)); }
    return self->below->type->hold(self->below, &frozen->held, err);
}

sabot_status disk_freeze(struct kv_table *table, struct capture *capture, struct sabot_error *err) {
    struct kv_disk *self = disk_of(table);
    struct kv_disk_frozen *frozen = &self->frozen;
    assert(!frozen->capture);
    if (capture->form == STATE_FORM_DELTA && !self->tracks) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "state %s: changes were lost for want of memory", table->name);
    }
    struct kv_hot fresh = {0};
    frozen->capture = capture;
    frozen->group = self->first_group;
    frozen->phase = capture->form == STATE_FORM_DELTA ? FROZEN_CHANGED : FROZEN_OVERLAY;
    const sabot_status status = frozen_fill(self, &fresh, err);
    if (status != SABOT_OK) {
        kv_hot_clear(&fresh);
        frozen_clear(self);
        return status;
    }
    if (capture->form == STATE_FORM_ROWS) { return SABOT_OK; }
    for (int32_t i = 0; i < self->n_dirty; i++) {
        const struct dirty *dirty = &self->dirty[i];
        int8_t *marks = kv_hot_values(&self->hot, dirty->namespace_, self->status_column + 1);
        marks[dirty->slot] |= CACHE_SAVED;
    }
    if (capture->form == STATE_FORM_DELTA) {
        frozen->changed = self->changed;
    } else {
        kv_hot_clear(&self->changed);
    }
    self->changed = fresh;
    self->tracks = true;
    return SABOT_OK;
}

void disk_thaw(struct kv_table *table) {
    if (disk_of(table)->frozen.capture) { frozen_clear(disk_of(table)); }
}

/* --- the walk */
static void give(struct kv_disk *self, const struct kv_entry *entry, enum slot_change change) {
    const struct kv_spec *spec = &self->table.spec;
    struct capture_source *source = &self->frozen.source;
    const int32_t slot = 0;
    int32_t c = 0;
    source->namespace_ = entry->namespace_;
    source->change = change;
    source->columns[c++] = entry->key;
    if (spec->has_sub_key) { source->columns[c++] = entry->sub; }
    source->columns[c++] = entry->value;
    if (spec->ttl.ttl_ms) { source->columns[c++] = &entry->time_ms; }
    capture_rows(self->frozen.capture, source, &slot, 1, true);
}

static void give_empty(struct kv_disk *self, struct kv_entry entry) {
    static const struct string_view nothing;
    entry.value = &nothing;
    entry.time_ms = 0;
    give(self, &entry, SLOT_EMPTY);
}

/* Keys of a block of slots of one of the frozen tables. */
struct block {
    struct kv_disk *self;
    struct column *columns[2];
    struct kv_keys keys;
    int32_t first;
};

static sabot_status block_take(struct kv_disk *self, struct kv_hot *hot, int64_t namespace_, int32_t first, int32_t n,
                               struct block *out, struct sabot_error *err) {
    int32_t slots[BLOCK_ROWS];
    for (int32_t i = 0; i < n; i++) { slots[i] = first + i; }
    *out = (struct block){.self = self, .first = first};
    SABOT_TRY(state_take(hot->table, namespace_, slots, n, 0, hot->n_keys, out->columns, err));
    out->keys = (struct kv_keys){.namespace_ = namespace_, .n = n, .keys = out->columns[0]->values,
                                 .subs = hot->n_keys == 2 ? out->columns[1]->values : NULL};
    return SABOT_OK;
}

static void block_release(struct block *block) {
    for (int32_t k = 0; k < 2 && block->columns[k]; k++) { column_unref(block->columns[k]); }
}

static struct kv_entry block_entry(const struct block *block, int32_t i) {
    const struct kv_disk *self = block->self;
    return (struct kv_entry){
        .namespace_ = block->keys.namespace_,
        .key = (const char *)block->keys.keys + (size_t)i * self->hot.key_sizes[0],
        .sub = block->keys.subs ? (const char *)block->keys.subs + (size_t)i * self->hot.key_sizes[1] : NULL};
}

/* What was below for a key that has changed. */
static sabot_status give_found(void *arg, int32_t i, struct kv_span found, struct sabot_error *err) {
    struct block *block = arg;
    struct kv_disk *self = block->self;
    struct kv_entry entry = block_entry(block, self->wanted_slots[i]);
    struct disk_value value;
    if (!found.data) {
        give_empty(self, entry);
        return SABOT_OK;
    }
    SABOT_TRY(disk_value_decode(self, found, &value, err));
    entry.value = &value.view;
    entry.time_ms = value.time_ms;
    give(self, &entry, SLOT_ROW);
    return SABOT_OK;
}

static sabot_status changed_block(struct block *block, struct sabot_error *err) {
    struct kv_disk *self = block->self;
    struct kv_disk_frozen *frozen = &self->frozen;
    int32_t newer[BLOCK_ROWS];
    kv_hot_keys(&frozen->overlay, &block->keys);
    kv_hot_find(&frozen->overlay, &block->keys, newer);
    disk_wanted_begin(self, block->keys.namespace_);
    for (int32_t i = 0; i < block->keys.n; i++) {
        if (newer[i] >= 0) { continue; } /* comes with the overlay */
        const struct kv_entry entry = block_entry(block, i);
        SABOT_TRY(disk_wanted_add(self, i, entry.key, entry.sub, err));
    }
    return disk_wanted_get(self, frozen->held, give_found, block, err);
}

/* A counter whose increments had not gone down. */
static sabot_status give_sum(void *arg, int32_t i, struct kv_span found, struct sabot_error *err) {
    struct block *block = arg;
    struct kv_disk *self = block->self;
    const int32_t at = self->wanted_slots[i];
    struct kv_entry entry = block_entry(block, at);
    struct disk_value value = {.word = 0};
    if (found.data) { SABOT_TRY(disk_value_decode(self, found, &value, err)); }
    const uint64_t *sums = kv_hot_values(&self->frozen.overlay, block->keys.namespace_, 0);
    value.word += sums[block->first + at];
    entry.value = &value.word;
    give(self, &entry, SLOT_ROW);
    return SABOT_OK;
}

static sabot_status overlay_block(struct block *block, struct sabot_error *err) {
    struct kv_disk *self = block->self;
    struct kv_hot *overlay = &self->frozen.overlay;
    const int64_t namespace_ = block->keys.namespace_;
    const bool ages = self->table.spec.ttl.ttl_ms != 0;
    const char *values = kv_hot_values(overlay, namespace_, 0);
    const int64_t *times = ages ? kv_hot_values(overlay, namespace_, 1) : NULL;
    const int8_t *status = kv_hot_values(overlay, namespace_, self->status_column);
    disk_wanted_begin(self, namespace_);
    for (int32_t i = 0; i < block->keys.n; i++) {
        const int32_t slot = block->first + i;
        struct kv_entry entry = block_entry(block, i);
        if (status[slot] == CACHE_DELTA) {
            SABOT_TRY(disk_wanted_add(self, i, entry.key, entry.sub, err));
        } else if (status[slot] == CACHE_DIRTY) {
            entry.value = values + (size_t)slot * kv_size(self->table.spec.value);
            entry.time_ms = times ? times[slot] : 0;
            give(self, &entry, SLOT_ROW);
        } else if (self->frozen.capture->form == STATE_FORM_DELTA) {
            give_empty(self, entry);
        }
    }
    return disk_wanted_get(self, self->frozen.held, give_sum, block, err);
}

/* A block of one of the frozen tables, or on to the next namespace, or the next phase. */
static sabot_status table_step(struct kv_disk *self, struct kv_hot *hot,
                               sabot_status (*each)(struct block *block, struct sabot_error *err),
                               struct sabot_error *err) {
    struct kv_disk_frozen *frozen = &self->frozen;
    const int64_t *namespaces;
    int32_t n_namespaces;
    SABOT_TRY(state_namespaces(hot->table, &namespaces, &n_namespaces, err));
    if (frozen->namespace_ == n_namespaces) {
        frozen->phase++;
        frozen->namespace_ = frozen->slot = 0;
        return SABOT_OK;
    }
    const int64_t namespace_ = namespaces[frozen->namespace_];
    int32_t n = (int32_t)state_count(hot->table, namespace_) - frozen->slot;
    n = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    if (n == 0) {
        frozen->namespace_++;
        frozen->slot = 0;
        return SABOT_OK;
    }
    struct block block;
    SABOT_TRY(block_take(self, hot, namespace_, frozen->slot, n, &block, err));
    const sabot_status status = each(&block, err);
    block_release(&block);
    frozen->slot += n;
    frozen->budget -= n;
    return status;
}

/* A row that was below, and not newer in the cache. */
static sabot_status give_below(void *arg, struct kv_span key, struct kv_span value, bool *more,
                               struct sabot_error *err) {
    struct kv_disk *self = arg;
    struct kv_disk_frozen *frozen = &self->frozen;
    struct disk_entry found;
    SABOT_TRY(disk_entry_decode(self, key, value, &found, err));
    const struct kv_keys keys = {.namespace_ = found.entry.namespace_, .n = 1, .keys = found.entry.key,
                                 .subs = found.entry.sub};
    int32_t newer;
    kv_hot_keys(&frozen->overlay, &keys);
    kv_hot_find(&frozen->overlay, &keys, &newer);
    if (newer < 0) { give(self, &found.entry, SLOT_ROW); }
    *more = --frozen->budget > 0;
    if (*more) { return SABOT_OK; }
    frozen->at.size = 0;
    SABOT_TRY(kv_bytes_reserve(&frozen->at, key.size, err));
    memcpy(frozen->at.data, key.data, key.size);
    frozen->at.size = key.size;
    return SABOT_OK;
}

static sabot_status below_step(struct kv_disk *self, struct sabot_error *err) {
    struct kv_disk_frozen *frozen = &self->frozen;
    if (frozen->capture->form == STATE_FORM_DELTA || frozen->group == self->last_group) {
        frozen->phase = FROZEN_DONE;
        return SABOT_OK;
    }
    frozen->budget--; /* a group without rows costs something too */
    SABOT_TRY(disk_group_range(self, frozen->group, err));
    if (frozen->at.size) { /* the least key behind it */
        self->key.size = 0;
        SABOT_TRY(kv_bytes_reserve(&self->key, frozen->at.size + 1, err));
        memcpy(self->key.data, frozen->at.data, frozen->at.size);
        self->key.data[frozen->at.size] = 0;
        self->key.size = frozen->at.size + 1;
        frozen->at.size = 0;
    }
    SABOT_TRY(frozen->held->type->scan(frozen->held, kv_span_of(&self->key), kv_span_of(&self->key_end), give_below,
                                       self, err));
    frozen->group += frozen->at.size == 0;
    return SABOT_OK;
}

static sabot_status frozen_step(struct kv_disk *self, struct sabot_error *err) {
    switch (self->frozen.phase) {
    case FROZEN_CHANGED: return table_step(self, &self->frozen.changed, changed_block, err);
    case FROZEN_OVERLAY: return table_step(self, &self->frozen.overlay, overlay_block, err);
    default: return below_step(self, err);
    }
}

bool disk_copy(struct kv_table *table, int32_t slots) {
    struct kv_disk *self = disk_of(table);
    struct kv_disk_frozen *frozen = &self->frozen;
    struct sabot_error *err = &frozen->capture->error;
    frozen->budget = slots > 0 ? slots / STEP_SHARE + 1 : 0;
    while (frozen->budget > 0 && frozen->phase != FROZEN_DONE && err->status == SABOT_OK) {
        (void)frozen_step(self, err);
    }
    return frozen->phase == FROZEN_DONE || err->status != SABOT_OK;
}
