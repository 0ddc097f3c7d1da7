/* Key-value access to a columnar hash table. */
#include "state/kv_hot.h"

#include "state/memory_impl.h"

#include <assert.h>
#include <stdlib.h>

static const int32_t key_columns[] = {0, 1};

sabot_status kv_schema(const struct kv_spec *spec, const struct field *extra, int32_t n_extra, struct schema **out,
                       struct sabot_error *err) {
    static const enum type_kind kinds[] = {[KV_INT64] = TYPE_INT64, [KV_FLOAT64] = TYPE_FLOAT64,
                                           [KV_BYTES] = TYPE_BINARY};
    struct field fields[8];
    int32_t n = 0;
    fields[n++] = (struct field){"key", type_not_null(type_of(kinds[spec->key]))};
    if (spec->has_sub_key) { fields[n++] = (struct field){"entry", type_not_null(type_of(kinds[spec->sub_key]))}; }
    fields[n++] = (struct field){"value", type_not_null(type_of(kinds[spec->value]))};
    if (spec->ttl.ttl_ms) { fields[n++] = (struct field){"time_ms", type_not_null(type_of(TYPE_INT64))}; }
    for (int32_t i = 0; i < n_extra; i++) { fields[n++] = extra[i]; }
    return schema_new(fields, n, out, err);
}

sabot_status kv_hot_init(struct kv_hot *hot, const struct state_context *context, const struct kv_spec *spec,
                         struct schema *schema, bool snapshots, struct sabot_error *err) {
    hot->schema = schema;
    hot->n_keys = spec->has_sub_key ? 2 : 1;
    hot->key_sizes[0] = kv_size(spec->key);
    hot->key_sizes[1] = kv_size(spec->sub_key);
    hot->value_is_view = spec->value == KV_BYTES;
    struct state_context own = *context;
    own.backend = "memory";
    own.snapshots &= snapshots;
    SABOT_TRY(state_tables_new(&own, &hot->tables, err));
    SABOT_TRY(state_table_open(hot->tables,
                               &(struct state_spec){.name = spec->name, .kind = STATE_KEYED, .schema = schema,
                                                    .n_keys = hot->n_keys, .n_sub_keys = hot->n_keys - 1},
                               &hot->table, err));
    const enum kv_type types[] = {spec->key, spec->sub_key};
    struct column *columns[2];
    for (int32_t k = 0; k < hot->n_keys; k++) {
        const enum phys phys = types[k] == KV_BYTES ? PHYS_VIEW : PHYS_I64;
        const sabot_status status = column_new(phys, 0, NULL, NULL, NULL, 0, NULL, 0, &hot->columns[k], err);
        if (status != SABOT_OK) {
            if (k) { column_unref(columns[0]); }
            return status;
        }
        columns[k] = hot->columns[k];
    }
    return batch_new(schema, columns, hot->n_keys, 0, &hot->batch, err);
}

void kv_hot_clear(struct kv_hot *hot) {
    if (hot->table) { hot->table->capture = NULL; } /* somebody else's */
    if (hot->batch) {
        hot->batch->hashes = NULL;
        batch_unref(hot->batch);
    }
    state_tables_free(hot->tables);
    schema_unref(hot->schema);
    *hot = (struct kv_hot){0};
}

void kv_hot_keys(struct kv_hot *hot, const struct kv_keys *keys) {
    assert(keys->n <= KV_ROWS_MAX);
    struct batch *batch = hot->batch;
    batch->rows = batch->selected = keys->n;
    hot->columns[0]->values = keys->keys;
    hot->columns[0]->length = keys->n;
    if (hot->n_keys == 2) {
        hot->columns[1]->values = keys->subs;
        hot->columns[1]->length = keys->n;
    }
    batch_hash_into(batch, key_columns, hot->n_keys, hot->hashes);
    batch->hashes = hot->hashes;
}

void kv_hot_find(struct kv_hot *hot, const struct kv_keys *keys, int32_t *slots) {
    state_find(hot->table, keys->namespace_, hot->batch, key_columns, NULL, keys->n, slots);
}

void *kv_hot_cell(struct kv_hot *hot, int64_t namespace_, int64_t key, bool writes, int32_t *slot) {
    return memory_cell(hot->table, namespace_, key, writes, slot);
}

sabot_status kv_hot_insert(struct kv_hot *hot, const struct kv_keys *keys, int32_t *slots, struct sabot_error *err) {
    return state_find_or_insert(hot->table, keys->namespace_, hot->batch, key_columns, NULL, keys->n, slots, err);
}

sabot_status kv_hot_set(struct kv_hot *hot, int64_t namespace_, const int32_t *slots, int32_t n, const void *values,
                        struct sabot_error *err) {
    if (hot->value_is_view) {
        const struct string_view *views = values;
        for (int32_t i = 0; i < n; i++) {
            SABOT_TRY(state_set_view(hot->table, namespace_, 0, slots[i], views[i], err));
        }
        return SABOT_OK;
    }
    uint64_t *target = kv_hot_values(hot, namespace_, 0);
    const uint64_t *words = values;
    for (int32_t i = 0; i < n; i++) { target[slots[i]] = words[i]; }
    return SABOT_OK;
}

sabot_status kv_hot_freeze(struct kv_hot *hot, struct capture *capture, struct sabot_error *err) {
    hot->table->capture = capture;
    const sabot_status status = hot->table->backend->freeze(hot->table, err);
    if (status != SABOT_OK) { hot->table->capture = NULL; }
    return status;
}

bool kv_hot_copy(struct kv_hot *hot, int32_t slots) { return hot->table->backend->copy(hot->table, slots); }

void kv_hot_thaw(struct kv_hot *hot) {
    hot->table->backend->thaw(hot->table);
    hot->table->capture = NULL;
}

uint64_t kv_key_hash(enum kv_type type, const void *key) {
    if (type != KV_BYTES) { return hash_number(*(const int64_t *)key); }
    struct column column = {.phys = PHYS_VIEW, .length = 1, .values = key};
    struct column *columns[] = {&column};
    const struct batch batch = {.rows = 1, .selected = 1, .n_columns = 1, .columns = columns};
    uint64_t hash;
    batch_hash_into(&batch, key_columns, 1, &hash);
    return hash;
}
