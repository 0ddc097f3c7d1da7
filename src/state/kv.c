/* Stores, and the kinds of key-value state over a backend's tables. */
#include "state/kv.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env_local.h"
#include "state/capture.h"
#include "state/kv_below.h"
#include "state/kv_hot.h"
#include "state/rocks.h"
#include "state/tonbo.h"

#define STATES_MAX 256 /* per store */
#define LIST_KEPT (1 << 20) /* bytes of a list that was read stay for the next one; more were for a large one */

static const struct kv_backend *const backends[] = {&kv_memory, &kv_rocksdb, &kv_tonbo};

enum kv_kind { KIND_VALUE, KIND_MAP, KIND_LIST, KIND_REDUCING, KIND_AGGREGATING, KIND_BROADCAST, KIND_COUNTER };

struct kv_state {
    struct state_table state; /* by which snapshots and restores find it */
    struct kv_store *store;
    struct kv_table *table;
    enum kv_kind kind;
    enum kv_type given; /* of values that are handed in */
    struct kv_state *lengths; /* LIST: where the next element goes; a state of its own */
    enum kv_fold fold;
    struct kv_aggregate aggregate;
    /* LIST: what kv_list_get gives out; charged */
    char *elements;
    char *bytes;
    int64_t elements_capacity, bytes_size, bytes_capacity;
};

struct kv_store {
    int32_t refs; /* of the owner, and of what is closed with the tables */
    struct env *env;
    struct state_tables *tables;
    const struct kv_backend *backend;
    struct kv_store_options options;
    struct kv_clock clock;
    const int64_t *restored_ms; /* of key groups; the caller's */
    int32_t restored_first, n_restored;
    struct rocks *rocks;
    struct kv_rocksdb_below rocks_below[KV_FAMILIES];
    struct tonbo *tonbo;
    struct kv_below *values, *counters; /* of rocks or tonbo */
    char *dir;
    struct kv_state *states[STATES_MAX];
    int32_t n_states, next_id; /* ids are not used twice: what lies below stays */
    _Atomic int64_t ttl_ms[STATES_MAX]; /* by id, for compactions; 0: none */
    _Atomic int ttl_time[STATES_MAX];
};

/* --- the store */
/* At compaction, on RocksDB's threads too: whether a value of a table with a TTL is expired. */
static bool value_of_expired(struct kv_store *store, int32_t id, const void *value, size_t value_size) {
    const int64_t ttl_ms = id < STATES_MAX ? atomic_load_explicit(&store->ttl_ms[id], memory_order_acquire) : 0;
    if (!ttl_ms || value_size < 8) { return false; }
    int64_t time_ms;
    memcpy(&time_ms, value, 8);
    const enum kv_time time = (enum kv_time)store->ttl_time[id];
    return kv_expired(ttl_ms, kv_written_ms(&store->clock, time, time_ms),
                      atomic_load_explicit(&store->clock.now_ms[time], memory_order_relaxed));
}

/* A key begins with its group and its table in RocksDB, and with its table in Tonbo (kv_disk.c). */
static bool rocks_expired(void *arg, const void *key, size_t key_size, const void *value, size_t value_size) {
    const uint8_t *bytes = key;
    return key_size >= 4 && value_of_expired(arg, bytes[2] << 8 | bytes[3], value, value_size);
}
static bool tonbo_expired(void *arg, const void *key, size_t key_size, const void *value, size_t value_size) {
    const uint8_t *bytes = key;
    return key_size >= 4 && value_of_expired(arg, bytes[0] << 8 | bytes[1], value, value_size);
}

static sabot_status folder_empty(struct env *env, const char *dir, struct sabot_error *err) {
    char **names;
    size_t n;
    struct env_stat found;
    struct sabot_error why = {0};
    const sabot_status seen = env_stat(env, dir, &found, &why);
    if (seen == SABOT_ERR_NOT_FOUND) { return SABOT_OK; }
    if (seen != SABOT_OK) { return SABOT_FAIL(err, seen, "%s", why.message); }
    SABOT_TRY(env_list(env, dir, &names, &n, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        status = env_remove_tree(env, path, err);
    }
    env_names_free(names, n);
    return status;
}

static sabot_status dir_set(struct kv_store *store, struct sabot_error *err) {
    if (!store->options.dir) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the %s state backend needs a folder: SET "
                          "'state.backend.rocksdb.localdir'", store->backend->name);
    }
    store->dir = strdup(store->options.dir);
    return store->dir ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a state store");
}

static sabot_status rocks_start(struct kv_store *store, struct sabot_error *err) {
    static const struct rocks_family families[KV_FAMILIES] = {
        [KV_FAMILY_VALUES] = {.name = "values", .expires = true},
        [KV_FAMILY_COUNTERS] = {.name = "counters", .adds = true},
        [KV_FAMILY_TIMERS] = {.name = "timers"},
    };
    SABOT_TRY(dir_set(store, err));
    /* What an earlier run has left is not state: that is in the checkpoint. */
    SABOT_TRY(folder_empty(store->env, store->dir, err));
    SABOT_TRY(rocks_open(&(struct rocks_options){.env = store->env, .pool = state_tables_context(store->tables)->pool,
                                                 .path = store->dir, .families = families, .n_families = KV_FAMILIES,
                                                 .memory_bytes = store->options.memory_bytes,
                                                 .expired = rocks_expired, .expired_arg = store},
                         &store->rocks, err));
    for (int32_t f = 0; f < KV_FAMILIES; f++) { kv_rocksdb_below_init(&store->rocks_below[f], store->rocks, f); }
    store->values = &store->rocks_below[KV_FAMILY_VALUES].below;
    store->counters = &store->rocks_below[KV_FAMILY_COUNTERS].below;
    return SABOT_OK;
}

static sabot_status tonbo_start(struct kv_store *store, struct sabot_error *err) {
    SABOT_TRY(dir_set(store, err));
    const struct tonbo_options options = {
        .env = store->env, .pool = state_tables_context(store->tables)->pool, .path = store->dir,
        .seal_batches = store->options.tonbo_seal_batches, .compact_files = store->options.tonbo_compact_files,
        .expired = tonbo_expired, .expired_arg = store};
    const sabot_status status = tonbo_open(&options, &store->tonbo, err);
    if (status != SABOT_OK) { /* the folder may be another store's: it stays as it is */
        free(store->dir);
        store->dir = NULL;
        return status;
    }
    store->values = store->counters = tonbo_below(store->tonbo);
    return SABOT_OK;
}

sabot_status kv_store_new(const struct kv_store_options *options, struct kv_store **out, struct sabot_error *err) {
    *out = NULL;
    const struct state_context *context = state_tables_context(options->tables);
    const char *of_context = context->kv.backend ? context->kv.backend : context->backend;
    const char *name = options->backend ? options->backend : of_context;
    name = name ? name : "memory";
    const struct kv_backend *backend = NULL;
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (strcmp(backends[i]->name, name) == 0) { backend = backends[i]; }
    }
    if (!backend) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "there is no state backend '%s'; there are: memory, rocksdb, tonbo",
                          name);
    }
    struct kv_store *store = calloc(1, sizeof *store);
    if (!store) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a state store"); }
    store->refs = 1;
    store->env = options->env;
    store->tables = options->tables;
    store->options = *options;
    if (!store->options.dir) { store->options.dir = context->kv.dir; }
    if (!store->options.memory_bytes) { store->options.memory_bytes = context->kv.memory_bytes; }
    if (!store->options.cache_rows) { store->options.cache_rows = context->kv.cache_rows; }
    /* RocksDB and Tonbo have threads and files that the simulator does not rule: their model there is the memory
     * backend. */
    store->backend = env_is_simulated(options->env) ? &kv_memory : backend;
    for (int32_t i = 0; i < 2; i++) { store->clock.now_ms[i] = store->clock.first_ms[i] = KV_TIME_UNKNOWN; }
    const sabot_status status = store->backend == &kv_rocksdb ? rocks_start(store, err)
                                : store->backend == &kv_tonbo ? tonbo_start(store, err) : SABOT_OK;
    if (status != SABOT_OK) {
        kv_store_free(store);
        return status;
    }
    *out = store;
    return SABOT_OK;
}

void kv_store_ref(struct kv_store *store) { store->refs++; }

void kv_store_free(struct kv_store *store) {
    if (!store || --store->refs > 0) { return; }
    rocks_close(store->rocks);
    tonbo_close(store->tonbo);
    if (store->dir) { (void)folder_empty(store->env, store->dir, NULL); }
    free(store->dir);
    free(store);
}

void kv_store_set_time(struct kv_store *store, int64_t processing_ms, int64_t event_ms) {
    const int64_t given[] = {[KV_PROCESSING_TIME] = processing_ms, [KV_EVENT_TIME] = event_ms};
    for (int32_t i = 0; i < 2; i++) {
        const int64_t before_ms = atomic_load_explicit(&store->clock.now_ms[i], memory_order_relaxed);
        if (given[i] > before_ms) {
            if (before_ms == KV_TIME_UNKNOWN) {
                atomic_store_explicit(&store->clock.first_ms[i], given[i], memory_order_release);
            }
            atomic_store_explicit(&store->clock.now_ms[i], given[i], memory_order_relaxed);
        }
    }
}

void kv_store_set_restored(struct kv_store *store, const int64_t *event_ms, int32_t first, int32_t n) {
    store->restored_ms = event_ms;
    store->restored_first = first;
    store->n_restored = event_ms ? n : 0;
}

sabot_status kv_store_sweep(struct kv_store *store, int32_t entries, struct sabot_error *err) {
    for (int32_t i = 0; i < store->n_states; i++) {
        struct kv_table *table = store->states[i]->table;
        SABOT_TRY(table->backend->sweep(table, entries, err));
    }
    return SABOT_OK;
}

sabot_status kv_store_checkpoint(struct kv_store *store, const char *path, struct sabot_error *err) {
    if (!store->rocks && !store->tonbo) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "only the state backends rocksdb and tonbo have files to link");
    }
    for (int32_t i = 0; i < store->n_states; i++) {
        struct kv_table *table = store->states[i]->table;
        SABOT_TRY(table->backend->flush(table, err));
    }
    return store->tonbo ? tonbo_checkpoint(store->tonbo, path, err) : rocks_checkpoint(store->rocks, path, err);
}

struct rocks *kv_store_rocks(struct kv_store *store) { return store->rocks; }
struct tonbo *kv_store_tonbo(struct kv_store *store) { return store->tonbo; }
struct env *kv_store_env(struct kv_store *store) { return store->env; }
struct state_tables *kv_store_tables(struct kv_store *store) { return store->tables; }

/* --- snapshot and restore, the same for every backend */
static void shrink(const struct kv_state *state, void *array, int64_t *capacity, size_t size) {
    void **block = array;
    if (*capacity) { memory_charge(state->state.context->pool, -*capacity * (int64_t)size, NULL); }
    free(*block);
    *block = NULL;
    *capacity = 0;
}

/* What kv_list_get has given out, where it is larger than this. */
static void list_forget(struct kv_state *state, int64_t larger_than) {
    if (state->bytes_capacity > larger_than) { shrink(state, &state->bytes, &state->bytes_capacity, 1); }
    if (state->elements_capacity * (int64_t)sizeof(struct string_view) > larger_than) {
        shrink(state, &state->elements, &state->elements_capacity, sizeof(struct string_view));
    }
}

static void state_close(struct state_table *state) {
    struct kv_state *self = (struct kv_state *)state;
    if (self->table) { self->table->backend->close(self->table); }
    struct kv_store *store = self->store;
    for (int32_t i = 0; i < store->n_states; i++) {
        if (store->states[i] != self) { continue; }
        memmove(&store->states[i], &store->states[i + 1], (size_t)(store->n_states - i - 1) * sizeof self);
        store->n_states--;
        break;
    }
    list_forget(self, 0);
    free(self);
    kv_store_free(store);
}

/* Rows of a snapshot as they are gathered, in batches. */
struct gather {
    struct kv_state *state;
    struct memory_pool *pool;
    struct column_builder builders[8];
    int32_t n_columns, n;
    struct batch **batches;
    int32_t n_batches, batches_capacity;
    int32_t last_group;
    bool sorted;
    sabot_status status;
    struct sabot_error *err;
};

static sabot_status gather_begin(struct gather *gather, struct sabot_error *err) {
    const struct schema *schema = gather->state->state.kind == STATE_KEYED ? gather->state->state.snapshot
                                                                           : gather->state->state.schema;
    gather->n = 0;
    for (gather->n_columns = 0; gather->n_columns < schema->n_fields; gather->n_columns++) {
        SABOT_TRY(column_builder_init(&gather->builders[gather->n_columns], gather->pool,
                                      type_phys(schema->fields[gather->n_columns].type), BATCH_ROWS_MAX, false, err));
    }
    return SABOT_OK;
}

static sabot_status gather_end(struct gather *gather, struct sabot_error *err) {
    if (gather->n_batches == gather->batches_capacity) {
        const int32_t capacity = gather->batches_capacity ? gather->batches_capacity * 2 : 16;
        struct batch **batches = realloc(gather->batches, (size_t)capacity * sizeof *batches);
        if (!batches) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a snapshot"); }
        gather->batches = batches;
        gather->batches_capacity = capacity;
    }
    struct column *columns[8];
    int32_t made = 0;
    sabot_status status = SABOT_OK;
    for (; made < gather->n_columns && status == SABOT_OK; made++) {
        gather->builders[made].rows = gather->n;
        status = column_builder_finish(&gather->builders[made], &columns[made], err);
        if (status != SABOT_OK) { break; }
    }
    if (status != SABOT_OK) {
        for (int32_t i = 0; i < made; i++) { column_unref(columns[i]); }
        return status;
    }
    const struct state_table *state = &gather->state->state;
    status = batch_new(state->kind == STATE_KEYED ? state->snapshot : state->schema, columns, gather->n_columns,
                       gather->n, &gather->batches[gather->n_batches], err);
    gather->n_batches += status == SABOT_OK;
    gather->n_columns = 0;
    return status;
}

static sabot_status cell_set(struct column_builder *builder, int32_t row, const void *value, struct sabot_error *err) {
    if (builder->phys != PHYS_VIEW) {
        ((uint64_t *)builder->values)[row] = *(const uint64_t *)value;
        return SABOT_OK;
    }
    const struct string_view *view = value;
    char *bytes;
    SABOT_TRY(column_builder_reserve(builder, view->size, &bytes, err));
    memcpy(bytes, string_view_data(view), view->size);
    ((struct string_view *)builder->values)[row] = string_view_of(bytes, view->size);
    return SABOT_OK;
}

static sabot_status gather_row(struct gather *gather, const struct kv_entry *entry, struct sabot_error *err) {
    const struct kv_state *state = gather->state;
    const struct kv_spec *spec = &state->table->spec;
    int32_t c = 0;
    if (gather->n_columns == 0) { SABOT_TRY(gather_begin(gather, err)); }
    if (state->state.kind == STATE_KEYED) {
        const int32_t group = key_group_of(kv_key_hash(spec->key, entry->key), state->state.context->max_parallelism);
        gather->sorted &= group >= gather->last_group;
        gather->last_group = group;
        ((int32_t *)gather->builders[c++].values)[gather->n] = group;
        ((int64_t *)gather->builders[c++].values)[gather->n] = entry->namespace_;
    }
    SABOT_TRY(cell_set(&gather->builders[c++], gather->n, entry->key, err));
    if (spec->has_sub_key) { SABOT_TRY(cell_set(&gather->builders[c++], gather->n, entry->sub, err)); }
    SABOT_TRY(cell_set(&gather->builders[c++], gather->n, entry->value, err));
    if (spec->ttl.ttl_ms) { SABOT_TRY(cell_set(&gather->builders[c++], gather->n, &entry->time_ms, err)); }
    return ++gather->n == BATCH_ROWS_MAX ? gather_end(gather, err) : SABOT_OK;
}

static bool gather_each(void *arg, const struct kv_entry *entry) {
    struct gather *gather = arg;
    gather->status = gather_row(gather, entry, gather->err);
    return gather->status == SABOT_OK;
}

/* The rows of a batch by key group, which is its first column. */
static sabot_status sort_by_group(struct memory_pool *pool, int32_t max_parallelism, struct batch **rows,
                                  struct sabot_error *err) {
    struct batch *from = *rows;
    const int32_t *groups = from->columns[0]->values;
    int32_t *starts = calloc((size_t)max_parallelism + 1, sizeof *starts);
    int32_t *order = malloc((size_t)from->rows * sizeof *order);
    sabot_status status = starts && order ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a snapshot");
    if (status == SABOT_OK) {
        for (int32_t i = 0; i < from->rows; i++) { starts[groups[i] + 1]++; }
        for (int32_t g = 0; g < max_parallelism; g++) { starts[g + 1] += starts[g]; }
        for (int32_t i = 0; i < from->rows; i++) { order[starts[groups[i]]++] = i; }
        struct batch *sorted;
        status = batch_take(pool, from, order, from->rows, &sorted, err);
        if (status == SABOT_OK) {
            batch_unref(from);
            *rows = sorted;
        }
    }
    free(starts);
    free(order);
    return status;
}

static sabot_status state_snapshot_rows(struct state_table *base, struct batch **out, struct sabot_error *err) {
    struct kv_state *self = (struct kv_state *)base;
    *out = NULL;
    struct gather gather = {.state = self, .pool = base->context->pool, .sorted = true, .err = err};
    sabot_status status = self->table->backend->scan(self->table, 0, NULL, gather_each, &gather, err);
    if (status == SABOT_OK) { status = gather.status; }
    if (status == SABOT_OK && gather.n_columns) { status = gather_end(&gather, err); }
    for (int32_t c = 0; c < 8; c++) { column_builder_clear(&gather.builders[c]); }
    if (status == SABOT_OK && gather.n_batches) {
        status = gather.n_batches == 1 ? SABOT_OK
                                       : batch_concat(gather.pool, gather.batches, gather.n_batches, out, err);
        if (gather.n_batches == 1) { *out = batch_ref(gather.batches[0]); }
    }
    for (int32_t i = 0; i < gather.n_batches; i++) { batch_unref(gather.batches[i]); }
    free(gather.batches);
    if (status == SABOT_OK && *out && base->kind == STATE_KEYED && !gather.sorted) {
        status = sort_by_group(gather.pool, base->context->max_parallelism, out, err);
    }
    if (status != SABOT_OK) {
        batch_unref(*out);
        *out = NULL;
    }
    return status;
}

/* Values of a column at some rows, in an array of their own. */
static void column_pick(const struct column *column, const int32_t *at, int32_t n, void *out) {
    for (int32_t i = 0; i < n; i++) {
        const int64_t row = column_at(column, at[i]);
        if (column->phys == PHYS_VIEW) {
            ((struct string_view *)out)[i] = ((const struct string_view *)column->values)[row];
        } else {
            ((uint64_t *)out)[i] = ((const uint64_t *)column->values)[row];
        }
    }
}

static sabot_status rows_put(struct kv_state *self, int64_t namespace_, const struct batch *rows, int32_t first_column,
                             const int32_t *at, int32_t n, struct sabot_error *err) {
    const struct kv_spec *spec = &self->table->spec;
    static _Thread_local struct string_view keys[KV_ROWS_MAX], subs[KV_ROWS_MAX], values[KV_ROWS_MAX];
    static _Thread_local int64_t times[KV_ROWS_MAX];
    for (int32_t first = 0; first < n; first += KV_ROWS_MAX) {
        const int32_t m = n - first < KV_ROWS_MAX ? n - first : KV_ROWS_MAX;
        int32_t c = first_column;
        column_pick(rows->columns[c++], at + first, m, keys);
        if (spec->has_sub_key) { column_pick(rows->columns[c++], at + first, m, subs); }
        column_pick(rows->columns[c++], at + first, m, values);
        if (spec->ttl.ttl_ms) { column_pick(rows->columns[c++], at + first, m, times); }
        const struct kv_keys put = {.namespace_ = namespace_, .n = m, .keys = keys,
                                    .subs = spec->has_sub_key ? subs : NULL,
                                    .times_ms = spec->ttl.ttl_ms ? times : NULL};
        SABOT_TRY(self->table->backend->put(self->table, &put, values, err));
    }
    return SABOT_OK;
}

static bool row_had_expired(const struct kv_state *self, const struct batch *rows, int32_t row) {
    const struct kv_store *store = self->store;
    const struct kv_spec *spec = &self->table->spec;
    const struct column *keys = rows->columns[2], *times = rows->columns[rows->n_columns - 1];
    const char *key = (const char *)keys->values + (size_t)column_at(keys, row) * kv_size(spec->key);
    const int32_t group = key_group_of(kv_key_hash(spec->key, key), self->state.context->max_parallelism);
    const int32_t at = group - store->restored_first;
    return at >= 0 && at < store->n_restored &&
           kv_expired(spec->ttl.ttl_ms, ((const int64_t *)times->values)[column_at(times, row)],
                      store->restored_ms[at]);
}

static sabot_status state_restore_rows(struct state_table *base, int64_t namespace_, const struct batch *rows,
                                       const int32_t *at, int32_t n, struct sabot_error *err) {
    struct kv_state *self = (struct kv_state *)base;
    const struct kv_ttl *ttl = &self->table->spec.ttl;
    if (!ttl->ttl_ms || ttl->time != KV_EVENT_TIME || self->store->n_restored == 0) {
        return rows_put(self, namespace_, rows, 2, at, n, err);
    }
    int32_t kept[KV_ROWS_MAX];
    for (int32_t i = 0; i < n;) {
        int32_t m = 0;
        for (; i < n && m < KV_ROWS_MAX; i++) {
            if (!row_had_expired(self, rows, at[i])) { kept[m++] = at[i]; }
        }
        SABOT_TRY(rows_put(self, namespace_, rows, 2, kept, m, err));
    }
    return SABOT_OK;
}

static sabot_status state_freeze(struct state_table *base, struct sabot_error *err) {
    struct kv_table *table = ((struct kv_state *)base)->table;
    return table->backend->freeze(table, base->capture, err);
}
static bool state_copy(struct state_table *base, int32_t slots) {
    struct kv_table *table = ((struct kv_state *)base)->table;
    return table->backend->copy(table, slots);
}
static void state_thaw(struct state_table *base) {
    struct kv_table *table = ((struct kv_state *)base)->table;
    table->backend->thaw(table);
}

#define FREEZES                                                                                                        \
    .close = state_close, .restore = state_restore_rows, .freeze = state_freeze, .copy = state_copy, .thaw = state_thaw
static const struct state_backend adopted_slots = {.name = "key-value", .slot_column = CAPTURE_SLOT, FREEZES};
static const struct state_backend adopted_keys = {.name = "key-value", .slot_column = CAPTURE_KEY_SLOT, FREEZES};
static const struct state_backend adopted_keyed = {
    .name = "key-value", .close = state_close, .snapshot = state_snapshot_rows, .restore = state_restore_rows};
static const struct state_backend adopted_list = {
    .name = "broadcast", .close = state_close, .snapshot = state_snapshot_rows};

/* --- declaring */
static sabot_status table_open(struct kv_store *store, const struct kv_spec *spec, struct kv_table **out,
                               struct sabot_error *err) {
    const int32_t id = store->next_id++;
    const struct kv_backend *backend = spec->broadcast ? &kv_memory : store->backend;
    const struct kv_open open = {
        .context = state_tables_context(store->tables), .spec = spec, .env = store->env, .clock = &store->clock,
        .values = store->values, .counters = store->counters, .id = id,
        .cache_rows = store->options.cache_rows ? store->options.cache_rows : KV_CACHE_ROWS_DEFAULT};
    SABOT_TRY(backend->open(&open, out, err));
    struct kv_table *table = *out;
    table->backend = backend;
    table->spec = *spec;
    table->clock = &store->clock;
    snprintf(table->name, sizeof table->name, "%s", spec->name);
    table->spec.name = table->name;
    atomic_store_explicit(&store->ttl_time[id], (int)spec->ttl.time, memory_order_relaxed);
    atomic_store_explicit(&store->ttl_ms[id], spec->ttl.ttl_ms, memory_order_release);
    if (store->options.faults) { SABOT_TRY(kv_faulty_wrap(*out, store->options.faults, out, err)); }
    if (store->options.trace) {
        SABOT_TRY(kv_trace_wrap(*out, store->env, store->options.trace, store->options.trace_arg, out, err));
    }
    return SABOT_OK;
}

static sabot_status state_open(struct kv_store *store, const struct kv_spec *spec, enum kv_kind kind,
                               struct kv_state **out, struct sabot_error *err) {
    *out = NULL;
    if (store->next_id == STATES_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: an operator has at most %d states", spec->name,
                          STATES_MAX);
    }
    if (spec->key == KV_FLOAT64 || (spec->has_sub_key && spec->sub_key == KV_FLOAT64)) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: a DOUBLE can't be a key: NaN and -0.0 equal nothing "
                          "or too much", spec->name);
    }
    if (spec->ttl.ttl_ms < 0) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "state %s: its TTL is %lld ms: it must be positive, or 0 for none",
                          spec->name, (long long)spec->ttl.ttl_ms);
    }
    struct kv_state *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for state %s", spec->name); }
    self->store = store;
    self->kind = kind;
    self->given = spec->value;
    self->state.backend = spec->broadcast                 ? &adopted_list
                          : store->backend == &kv_memory  ? &adopted_slots
                          : store->backend == &kv_rocksdb ? &adopted_keys : &adopted_keyed;
    self->state.context = state_tables_context(store->tables);
    struct schema *schema;
    sabot_status status = kv_schema(spec, NULL, 0, &schema, err);
    if (status == SABOT_OK) {
        status = table_open(store, spec, &self->table, err);
        if (status == SABOT_OK) {
            store->states[store->n_states++] = self;
            kv_store_ref(store);
            const struct state_spec adopted = {.name = spec->name, .kind = spec->broadcast ? STATE_LIST : STATE_KEYED,
                                               .schema = schema, .n_keys = spec->has_sub_key ? 2 : 1,
                                               .n_sub_keys = spec->has_sub_key};
            status = state_table_adopt(store->tables, &adopted, &self->state, err);
        } else {
            free(self);
        }
        schema_unref(schema);
    } else {
        free(self);
    }
    if (status == SABOT_OK) { *out = self; }
    return status;
}

static struct kv_spec spec_of(const struct kv_declare *declare) {
    return (struct kv_spec){
        .name = declare->name, .key = declare->key, .value = declare->value, .ttl = declare->ttl};
}

sabot_status kv_value_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                           struct sabot_error *err) {
    const struct kv_spec spec = spec_of(declare);
    return state_open(store, &spec, KIND_VALUE, out, err);
}

sabot_status kv_map_open(struct kv_store *store, const struct kv_declare *declare, enum kv_type map_key,
                         struct kv_state **out, struct sabot_error *err) {
    struct kv_spec spec = spec_of(declare);
    spec.has_sub_key = true;
    spec.sub_key = map_key;
    return state_open(store, &spec, KIND_MAP, out, err);
}

sabot_status kv_list_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                          struct sabot_error *err) {
    struct kv_spec spec = spec_of(declare);
    spec.has_sub_key = true;
    spec.sub_key = KV_INT64;
    *out = NULL;
    struct kv_state *self;
    SABOT_TRY(state_open(store, &spec, KIND_LIST, &self, err));
    /* Its TTL is refreshed by every addition and by reading, so it lives as long as any element. */
    char name[64];
    if (snprintf(name, sizeof name, "%s#next", declare->name) >= (int)sizeof name) {
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "state %s: the name is too long for a list", declare->name);
    }
    const struct kv_spec lengths = {.name = name, .key = declare->key, .value = KV_INT64, .ttl = declare->ttl};
    SABOT_TRY(state_open(store, &lengths, KIND_VALUE, &self->lengths, err));
    *out = self;
    return SABOT_OK;
}

sabot_status kv_reducing_open(struct kv_store *store, const struct kv_declare *declare, enum kv_fold fold,
                              struct kv_state **out, struct sabot_error *err) {
    if (declare->value == KV_BYTES) {
        *out = NULL;
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: bytes can't be summed or compared here: use an "
                          "aggregating state", declare->name);
    }
    const struct kv_spec spec = spec_of(declare);
    SABOT_TRY(state_open(store, &spec, KIND_REDUCING, out, err));
    (*out)->fold = fold;
    return SABOT_OK;
}

sabot_status kv_aggregating_open(struct kv_store *store, const struct kv_declare *declare,
                                 const struct kv_aggregate *aggregate, struct kv_state **out,
                                 struct sabot_error *err) {
    struct kv_spec spec = spec_of(declare);
    spec.value = KV_BYTES;
    *out = NULL;
    if (aggregate->size == 0 || aggregate->size > KV_ACCUMULATOR_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: an accumulator of %u bytes; 1 to %d are possible",
                          declare->name, aggregate->size, KV_ACCUMULATOR_MAX);
    }
    SABOT_TRY(state_open(store, &spec, KIND_AGGREGATING, out, err));
    (*out)->aggregate = *aggregate;
    (*out)->given = declare->value;
    return SABOT_OK;
}

sabot_status kv_broadcast_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                               struct sabot_error *err) {
    struct kv_spec spec = spec_of(declare);
    spec.broadcast = true;
    SABOT_TRY(state_open(store, &spec, KIND_BROADCAST, out, err));
    struct kv_state *self = *out;
    struct batch *rows = self->state.list;
    self->state.list = NULL;
    sabot_status status = SABOT_OK;
    for (int32_t first = 0; rows && first < rows->selected && status == SABOT_OK; first += KV_ROWS_MAX) {
        int32_t at[KV_ROWS_MAX], n = 0;
        for (; n < KV_ROWS_MAX && first + n < rows->selected; n++) { at[n] = batch_row(rows, first + n); }
        status = rows_put(self, 0, rows, 0, at, n, err);
    }
    batch_unref(rows);
    return status;
}

sabot_status kv_counter_open(struct kv_store *store, const struct kv_declare *declare, struct kv_state **out,
                             struct sabot_error *err) {
    struct kv_spec spec = spec_of(declare);
    *out = NULL;
    if (declare->ttl.ttl_ms) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: a counter has no TTL: use a reducing state",
                          declare->name);
    }
    if (declare->value != KV_INT64) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "state %s: a counter counts in BIGINT", declare->name);
    }
    spec.counter = true;
    return state_open(store, &spec, KIND_COUNTER, out, err);
}

/* --- access: calls of any length, in parts that a backend takes */
#define PART(n, first) ((n) - (first) < KV_ROWS_MAX ? (n) - (first) : KV_ROWS_MAX)
#define AT(array, type, i) ((const void *)((const char *)(array) + (size_t)(i) * kv_size(type)))

static sabot_status namespace_check(const struct kv_state *state, int64_t namespace_, struct sabot_error *err) {
    if (namespace_ != STATE_NAMESPACE_SCRATCH) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "state %s: INT64_MAX is no namespace", state->table->name);
}

static struct kv_keys keys_part(const struct kv_state *state, int64_t namespace_, const void *keys, const void *subs,
                                int32_t first, int32_t n) {
    const struct kv_spec *spec = &state->table->spec;
    return (struct kv_keys){.namespace_ = namespace_, .n = PART(n, first), .keys = AT(keys, spec->key, first),
                            .subs = subs ? AT(subs, spec->sub_key, first) : NULL};
}

sabot_status kv_map_get(struct kv_state *state, int64_t namespace_, const void *keys, const void *map_keys, int32_t n,
                        void *values, bool *found, struct sabot_error *err) {
    struct kv_table *table = state->table;
    if (n > KV_ROWS_MAX && table->spec.value == KV_BYTES) { /* views of one part end with the next */
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "state %s: %d values of bytes at once; at most %d", table->name, n,
                          KV_ROWS_MAX);
    }
    SABOT_TRY(namespace_check(state, namespace_, err));
    for (int32_t first = 0; first < n; first += KV_ROWS_MAX) {
        const struct kv_keys part = keys_part(state, namespace_, keys, map_keys, first, n);
        SABOT_TRY(table->backend->get(table, &part, (char *)values + (size_t)first * kv_size(table->spec.value),
                                      found + first, err));
    }
    return SABOT_OK;
}

sabot_status kv_map_put(struct kv_state *state, int64_t namespace_, const void *keys, const void *map_keys, int32_t n,
                        const void *values, struct sabot_error *err) {
    struct kv_table *table = state->table;
    SABOT_TRY(namespace_check(state, namespace_, err));
    for (int32_t first = 0; first < n; first += KV_ROWS_MAX) {
        const struct kv_keys part = keys_part(state, namespace_, keys, map_keys, first, n);
        SABOT_TRY(table->backend->put(table, &part, AT(values, table->spec.value, first), err));
    }
    return SABOT_OK;
}

sabot_status kv_map_remove(struct kv_state *state, int64_t namespace_, const void *keys, const void *map_keys,
                           int32_t n, struct sabot_error *err) {
    SABOT_TRY(namespace_check(state, namespace_, err));
    for (int32_t first = 0; first < n; first += KV_ROWS_MAX) {
        const struct kv_keys part = keys_part(state, namespace_, keys, map_keys, first, n);
        SABOT_TRY(state->table->backend->erase(state->table, &part, err));
    }
    return SABOT_OK;
}

sabot_status kv_get(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, void *values,
                    bool *found, struct sabot_error *err) {
    return kv_map_get(state, namespace_, keys, NULL, n, values, found, err);
}

sabot_status kv_put(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const void *values,
                    struct sabot_error *err) {
    return kv_map_put(state, namespace_, keys, NULL, n, values, err);
}

sabot_status kv_remove(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n,
                       struct sabot_error *err) {
    return kv_map_remove(state, namespace_, keys, NULL, n, err);
}

sabot_status kv_add(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const int64_t *deltas,
                    struct sabot_error *err) {
    assert(state->kind == KIND_COUNTER);
    SABOT_TRY(namespace_check(state, namespace_, err));
    for (int32_t first = 0; first < n; first += KV_ROWS_MAX) {
        const struct kv_keys part = keys_part(state, namespace_, keys, NULL, first, n);
        SABOT_TRY(state->table->backend->add(state->table, &part, deltas + first, err));
    }
    return SABOT_OK;
}

sabot_status kv_clear_namespace(struct kv_state *state, int64_t namespace_, struct sabot_error *err) {
    SABOT_TRY(state->table->backend->clear(state->table, namespace_, err));
    return state->lengths ? kv_clear_namespace(state->lengths, namespace_, err) : SABOT_OK;
}

sabot_status kv_scan(struct kv_state *state, kv_each each, void *arg, struct sabot_error *err) {
    return state->table->backend->scan(state->table, 0, NULL, each, arg, err);
}

/* --- maps */
sabot_status kv_map_entries(struct kv_state *state, int64_t namespace_, const void *key, kv_each each, void *arg,
                            struct sabot_error *err) {
    return state->table->backend->scan(state->table, namespace_, key, each, arg, err);
}

/* Copies of second keys, to be removed when the scan is over. */
struct doomed {
    enum kv_type type;
    struct string_view subs[KV_ROWS_MAX]; /* or int64_t[] */
    char *bytes[KV_ROWS_MAX];
    int32_t n;
    bool failed;
};

static bool doom(void *arg, const struct kv_entry *entry) {
    struct doomed *doomed = arg;
    const int32_t i = doomed->n;
    doomed->bytes[i] = NULL;
    if (doomed->type != KV_BYTES) {
        ((int64_t *)(void *)doomed->subs)[i] = *(const int64_t *)entry->sub;
    } else {
        const struct string_view *view = entry->sub;
        doomed->subs[i] = *view;
        if (view->size > STRING_VIEW_INLINE) {
            doomed->bytes[i] = malloc(view->size);
            doomed->failed = !doomed->bytes[i];
            if (doomed->failed) { return false; }
            memcpy(doomed->bytes[i], view->data, view->size);
            doomed->subs[i].data = doomed->bytes[i];
        }
    }
    return ++doomed->n < KV_ROWS_MAX;
}

sabot_status kv_map_clear(struct kv_state *state, int64_t namespace_, const void *key, struct sabot_error *err) {
    const struct kv_spec *spec = &state->table->spec;
    struct doomed *doomed = malloc(sizeof *doomed);
    struct string_view *keys = malloc(KV_ROWS_MAX * sizeof *keys); /* the key, as often as needed */
    sabot_status status = doomed && keys ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to clear a map");
    for (int32_t i = 0; status == SABOT_OK && i < KV_ROWS_MAX; i++) {
        memcpy((char *)keys + (size_t)i * kv_size(spec->key), key, kv_size(spec->key));
    }
    do {
        if (status != SABOT_OK) { break; }
        doomed->type = spec->sub_key;
        doomed->n = 0;
        doomed->failed = false;
        status = state->table->backend->scan(state->table, namespace_, key, doom, doomed, err);
        if (doomed->failed) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to clear a map"); }
        if (status == SABOT_OK && doomed->n) {
            const struct kv_keys remove = {
                .namespace_ = namespace_, .n = doomed->n, .keys = keys, .subs = doomed->subs};
            status = state->table->backend->erase(state->table, &remove, err);
        }
        for (int32_t i = 0; i < doomed->n; i++) { free(doomed->bytes[i]); }
    } while (doomed->n == KV_ROWS_MAX);
    free(doomed);
    free(keys);
    return status;
}

/* --- the same key more than once in a call */
#define REPEATS_CAPACITY (2 * KV_ROWS_MAX)

/* previous[i]: the row before i with the same key, -1 = there is none. */
static void repeats_find(enum kv_type type, const void *keys, int32_t n, int32_t *previous) {
    int16_t latest[REPEATS_CAPACITY];
    const size_t size = n == 1 ? 0 : sizeof latest;
    memset(latest, 0xff, size);
    previous[0] = -1;
    for (int32_t i = 0; i < n && n > 1; i++) {
        const void *key = AT(keys, type, i);
        uint32_t at = (uint32_t)kv_key_hash(type, key) % REPEATS_CAPACITY;
        for (; latest[at] >= 0; at = (at + 1) % REPEATS_CAPACITY) {
            const void *other = AT(keys, type, latest[at]);
            if (type == KV_BYTES ? string_view_equal(key, other) : *(const int64_t *)key == *(const int64_t *)other) {
                break;
            }
        }
        previous[i] = latest[at];
        latest[at] = (int16_t)i;
    }
}

/* --- lists: maps from position to element; the next position is a value of its own */
sabot_status kv_list_add(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const void *values,
                         struct sabot_error *err) {
    const struct kv_spec *spec = &state->table->spec;
    int64_t next[KV_ROWS_MAX];
    int32_t previous[KV_ROWS_MAX];
    bool found[KV_ROWS_MAX];
    SABOT_TRY(namespace_check(state, namespace_, err));
    for (int32_t first = 0; first < n; first += KV_ROWS_MAX) {
        struct kv_keys part = keys_part(state, namespace_, keys, NULL, first, n);
        SABOT_TRY(kv_get(state->lengths, namespace_, part.keys, part.n, next, found, err));
        repeats_find(spec->key, part.keys, part.n, previous);
        for (int32_t i = 0; i < part.n; i++) {
            next[i] = previous[i] >= 0 ? next[previous[i]] + 1 : found[i] ? next[i] : 0;
        }
        part.subs = next;
        /* The elements first: one that is written and not counted is not seen, and written again the next time. */
        SABOT_TRY(state->table->backend->put(state->table, &part, AT(values, spec->value, first), err));
        for (int32_t i = 0; i < part.n; i++) { next[i]++; }
        SABOT_TRY(kv_put(state->lengths, namespace_, part.keys, part.n, next, err));
    }
    return SABOT_OK;
}

struct element {
    int64_t position;
    union {
        uint64_t word;
        struct {
            size_t offset; /* in state->bytes */
            uint32_t size;
        } bytes;
    };
};

struct elements {
    struct kv_state *state;
    struct element *items;
    int64_t n, capacity, next;
    sabot_status status;
    struct sabot_error *err;
};

/* Room for `wanted` items of `size` bytes; *capacity counts items. */
static sabot_status grow(const struct kv_state *state, void *array, int64_t *capacity, int64_t wanted, size_t size,
                         struct sabot_error *err) {
    void **block = array;
    if (*capacity >= wanted) { return SABOT_OK; }
    const int64_t more = wanted < 64 ? 64 : wanted + wanted / 2, bytes = (more - *capacity) * (int64_t)size;
    SABOT_TRY(memory_charge(state->state.context->pool, bytes, err));
    void *grown = realloc(*block, (size_t)more * size);
    if (!grown) {
        memory_charge(state->state.context->pool, -bytes, NULL);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "state %s: the system has no memory for a list of %lld elements",
                          state->table->name, (long long)wanted);
    }
    *block = grown;
    *capacity = more;
    return SABOT_OK;
}

static sabot_status element_add(struct elements *elements, const struct kv_entry *entry, struct sabot_error *err) {
    struct kv_state *state = elements->state;
    struct element element = {.position = *(const int64_t *)entry->sub};
    if (element.position >= elements->next) { return SABOT_OK; } /* of an addition that failed */
    if (state->table->spec.value != KV_BYTES) {
        element.word = *(const uint64_t *)entry->value;
    } else {
        const struct string_view *view = entry->value;
        element.bytes.offset = (size_t)state->bytes_size;
        element.bytes.size = view->size;
        /* never NULL, for empty elements too */
        SABOT_TRY(grow(state, &state->bytes, &state->bytes_capacity, state->bytes_size + view->size + 1, 1, err));
        memcpy(state->bytes + state->bytes_size, string_view_data(view), view->size);
        state->bytes_size += view->size;
    }
    SABOT_TRY(grow(state, &elements->items, &elements->capacity, elements->n + 1, sizeof element, err));
    elements->items[elements->n++] = element;
    return SABOT_OK;
}

static bool element_note(void *arg, const struct kv_entry *entry) {
    struct elements *elements = arg;
    elements->status = element_add(elements, entry, elements->err);
    return elements->status == SABOT_OK;
}

static int by_position(const void *a, const void *b) {
    const int64_t x = ((const struct element *)a)->position, y = ((const struct element *)b)->position;
    return (x > y) - (x < y);
}

/* Reading makes the elements young again. */
static sabot_status list_refresh(struct kv_state *state, int64_t namespace_, const void *key,
                                 const struct elements *elements, struct sabot_error *err) {
    const enum kv_type type = state->table->spec.key, value = state->table->spec.value;
    struct string_view keys[64];
    int64_t positions[64];
    for (int32_t i = 0; i < 64; i++) { memcpy((char *)keys + (size_t)i * kv_size(type), key, kv_size(type)); }
    for (int64_t first = 0; first < elements->n; first += 64) {
        const int32_t n = elements->n - first < 64 ? (int32_t)(elements->n - first) : 64;
        for (int32_t i = 0; i < n; i++) { positions[i] = elements->items[first + i].position; }
        SABOT_TRY(kv_map_put(state, namespace_, keys, positions, n, AT(state->elements, value, first), err));
    }
    return SABOT_OK;
}

sabot_status kv_list_get(struct kv_state *state, int64_t namespace_, const void *key, const void **values, int64_t *n,
                         struct sabot_error *err) {
    const struct kv_spec *spec = &state->table->spec;
    struct elements elements = {.state = state, .err = err};
    bool found;
    *n = 0;
    *values = NULL;
    SABOT_TRY(kv_get(state->lengths, namespace_, key, 1, &elements.next, &found, err));
    if (!found) { return SABOT_OK; }
    list_forget(state, LIST_KEPT);
    state->bytes_size = 0;
    sabot_status status = state->table->backend->scan(state->table, namespace_, key, element_note, &elements, err);
    if (status == SABOT_OK) { status = elements.status; }
    if (status == SABOT_OK) {
        status = grow(state, &state->elements, &state->elements_capacity, elements.n + 1, sizeof(struct string_view),
                      err);
    }
    if (status == SABOT_OK) {
        if (elements.n) { qsort(elements.items, (size_t)elements.n, sizeof *elements.items, by_position); }
        for (int64_t i = 0; i < elements.n; i++) {
            const struct element *element = &elements.items[i];
            if (spec->value == KV_BYTES) {
                ((struct string_view *)(void *)state->elements)[i] =
                    string_view_of(state->bytes + element->bytes.offset, element->bytes.size);
            } else {
                ((uint64_t *)(void *)state->elements)[i] = element->word;
            }
        }
        *values = state->elements;
        *n = elements.n;
        if (spec->ttl.ttl_ms && spec->ttl.on_read) {
            status = list_refresh(state, namespace_, key, &elements, err);
        }
    }
    shrink(state, &elements.items, &elements.capacity, sizeof *elements.items);
    return status;
}

sabot_status kv_list_clear(struct kv_state *state, int64_t namespace_, const void *key, struct sabot_error *err) {
    /* The elements first: positions start again from 0 when the counter is gone. */
    SABOT_TRY(kv_map_clear(state, namespace_, key, err));
    return kv_remove(state->lengths, namespace_, key, 1, err);
}

/* --- folds */
static uint64_t fold_one(enum kv_type type, enum kv_fold fold, uint64_t a, uint64_t b) {
    if (type == KV_INT64) {
        const int64_t x = (int64_t)a, y = (int64_t)b;
        return fold == KV_SUM ? a + b : fold == KV_MIN ? (uint64_t)(x < y ? x : y) : (uint64_t)(x > y ? x : y);
    }
    double x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x = fold == KV_SUM ? x + y : fold == KV_MIN ? fmin(x, y) : fmax(x, y);
    memcpy(&a, &x, sizeof a);
    return a;
}

static sabot_status reduce(struct kv_state *state, const struct kv_keys *keys, const uint64_t *given,
                           struct sabot_error *err) {
    const struct kv_spec *spec = &state->table->spec;
    uint64_t values[KV_ROWS_MAX];
    int32_t previous[KV_ROWS_MAX];
    bool found[KV_ROWS_MAX];
    SABOT_TRY(state->table->backend->get(state->table, keys, values, found, err));
    repeats_find(spec->key, keys->keys, keys->n, previous);
    for (int32_t i = 0; i < keys->n; i++) {
        if (previous[i] >= 0) {
            values[i] = fold_one(spec->value, state->fold, values[previous[i]], given[i]);
        } else {
            values[i] = found[i] ? fold_one(spec->value, state->fold, values[i], given[i]) : given[i];
        }
    }
    return state->table->backend->put(state->table, keys, values, err);
}

static sabot_status accumulate(struct kv_state *state, const struct kv_keys *keys, const void *given, char *room,
                               struct sabot_error *err) {
    const struct kv_aggregate *aggregate = &state->aggregate;
    struct string_view values[KV_ROWS_MAX];
    int32_t previous[KV_ROWS_MAX];
    bool found[KV_ROWS_MAX];
    SABOT_TRY(state->table->backend->get(state->table, keys, values, found, err));
    repeats_find(state->table->spec.key, keys->keys, keys->n, previous);
    for (int32_t i = 0; i < keys->n; i++) {
        char *accumulator = room + (size_t)i * aggregate->size;
        if (previous[i] >= 0) {
            memcpy(accumulator, room + (size_t)previous[i] * aggregate->size, aggregate->size);
        } else if (!found[i]) {
            aggregate->init(aggregate->arg, accumulator);
        } else if (values[i].size == aggregate->size) {
            memcpy(accumulator, string_view_data(&values[i]), aggregate->size);
        } else {
            return SABOT_FAIL(err, SABOT_ERR_STATE, "state %s: an accumulator of %u bytes was kept, this job has one "
                              "of %u: start it without the checkpoint", state->table->name, values[i].size,
                              aggregate->size);
        }
        SABOT_TRY(aggregate->add(aggregate->arg, accumulator, AT(given, state->given, i), err));
    }
    for (int32_t i = 0; i < keys->n; i++) {
        values[i] = string_view_of(room + (size_t)i * aggregate->size, aggregate->size);
    }
    return state->table->backend->put(state->table, keys, values, err);
}

sabot_status kv_fold(struct kv_state *state, int64_t namespace_, const void *keys, int32_t n, const void *values,
                     struct sabot_error *err) {
    const bool reduces = state->kind == KIND_REDUCING;
    assert(reduces || state->kind == KIND_AGGREGATING);
    SABOT_TRY(namespace_check(state, namespace_, err));
    char *room = NULL;
    if (!reduces && n > 0) {
        room = malloc((size_t)(n < KV_ROWS_MAX ? n : KV_ROWS_MAX) * state->aggregate.size);
        if (!room) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for accumulators"); }
    }
    sabot_status status = SABOT_OK;
    for (int32_t first = 0; first < n && status == SABOT_OK; first += KV_ROWS_MAX) {
        const struct kv_keys part = keys_part(state, namespace_, keys, NULL, first, n);
        const void *given = AT(values, state->given, first);
        status = reduces ? reduce(state, &part, given, err) : accumulate(state, &part, given, room, err);
    }
    free(room);
    return status;
}
