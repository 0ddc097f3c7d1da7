/* Key hashes: xxh3 of each value, mixed over the key columns.
 *
 * The result is part of the checkpoint format (it decides the key group), so it must never change. Numbers are hashed
 * in their widest form, so that a key column may be widened (INT to BIGINT, FLOAT to DOUBLE, DECIMAL precision) later.
 */
#include "arrow/batch.h"

#include <assert.h>
#include <math.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HASH_SEED UINT64_C(0x5ab07)

static inline uint64_t hash_i64(int64_t value) { return XXH3_64bits_withSeed(&value, sizeof value, HASH_SEED); }

static inline uint64_t hash_i128(__int128 value) {
    if (value == (int64_t)value) { return hash_i64((int64_t)value); }
    return XXH3_64bits_withSeed(&value, sizeof value, HASH_SEED);
}

static inline uint64_t hash_f64(double value) {
    value = isnan(value) ? (double)NAN : value + 0.0; /* one NaN; -0.0 + 0.0 is 0.0 */
    return XXH3_64bits_withSeed(&value, sizeof value, HASH_SEED);
}

static inline uint64_t hash_view(const struct string_view *view) {
    return XXH3_64bits_withSeed(string_view_data(view), view->size, HASH_SEED);
}

static inline uint64_t hash_mix(uint64_t hash, uint64_t value) {
    const unsigned __int128 product =
        (unsigned __int128)(hash ^ UINT64_C(0xa0761d6478bd642f)) * (value ^ UINT64_C(0xe7037ed1a0b428db));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_value(const struct column *column, int64_t row);

static uint64_t hash_nested(const struct column *column, int64_t at) {
    if (column->phys == PHYS_ROW) {
        uint64_t hash = HASH_SEED;
        for (int32_t i = 0; i < column->n_children; i++) { hash = hash_mix(hash, hash_value(column->children[i], at)); }
        return hash;
    }
    const int32_t *offsets = column->values;
    uint64_t hash = hash_i64(offsets[at + 1] - offsets[at]);
    for (int32_t i = offsets[at]; i < offsets[at + 1]; i++) {
        hash = hash_mix(hash, hash_value(column->children[0], i));
    }
    return hash;
}

static uint64_t hash_value(const struct column *column, int64_t row) {
    if (column_is_null(column, row)) { return HASH_NULL; }
    const int64_t at = column_at(column, row);
    switch ((enum phys)column->phys) {
    case PHYS_NULL: return HASH_NULL;
    case PHYS_BOOL: return hash_i64(((const uint8_t *)column->values)[at]);
    case PHYS_I8: return hash_i64(((const int8_t *)column->values)[at]);
    case PHYS_I16: return hash_i64(((const int16_t *)column->values)[at]);
    case PHYS_I32: return hash_i64(((const int32_t *)column->values)[at]);
    case PHYS_I64: return hash_i64(((const int64_t *)column->values)[at]);
    case PHYS_I128: return hash_i128(((const __int128 *)column->values)[at]);
    case PHYS_F32: return hash_f64((double)((const float *)column->values)[at]);
    case PHYS_F64: return hash_f64(((const double *)column->values)[at]);
    case PHYS_VIEW: return hash_view((const struct string_view *)column->values + at);
    case PHYS_LIST:
    case PHYS_ROW: return hash_nested(column, at);
    }
    return HASH_NULL;
}

static inline bool bit_is_set(const uint64_t *bits, int64_t at) { return bits[at >> 6] >> (at & 63) & 1; }

/* One loop per layout: whether it is the first key, whether it has NULLs and whether there is a selection are constants
 * in each copy. */
#define HASH_LOOP(type, call, first, nulls, selected)                                                                  \
    for (int32_t i = 0; i < n; i++) {                                                                                  \
        const int32_t row = (selected) ? rows[i] : i;                                                                  \
        uint64_t hash = call(((const type *)column->values)[row]);                                                     \
        if (nulls) { hash = bit_is_set(column->validity, row) ? hash : HASH_NULL; }                                    \
        hashes[row] = (first) ? hash : hash_mix(hashes[row], hash);                                                    \
    }
#define HASH_LOOPS(type, call)                                                                                         \
    do {                                                                                                               \
        if (!column->validity && !rows) {                                                                              \
            if (first) {                                                                                               \
                HASH_LOOP(type, call, true, false, false)                                                              \
            } else {                                                                                                   \
                HASH_LOOP(type, call, false, false, false)                                                             \
            }                                                                                                          \
        } else if (!column->validity) {                                                                                \
            if (first) {                                                                                               \
                HASH_LOOP(type, call, true, false, true)                                                               \
            } else {                                                                                                   \
                HASH_LOOP(type, call, false, false, true)                                                              \
            }                                                                                                          \
        } else {                                                                                                       \
            HASH_LOOP(type, call, first, true, rows != NULL)                                                           \
        }                                                                                                              \
    } while (0)

static void hash_views(const struct column *column, const int32_t *rows, int32_t n, bool first, uint64_t *hashes) {
    const struct string_view *views = column->values;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        /* the value under a NULL is undefined: it must not be followed */
        const bool valid = !column->validity || bit_is_set(column->validity, row);
        const uint64_t hash = valid ? hash_view(views + row) : HASH_NULL;
        hashes[row] = first ? hash : hash_mix(hashes[row], hash);
    }
}

static void hash_column(const struct column *column, const int32_t *rows, int32_t n, bool first, uint64_t *hashes) {
    if (!column->constant) {
        switch ((enum phys)column->phys) {
        case PHYS_BOOL: HASH_LOOPS(uint8_t, hash_i64); return;
        case PHYS_I8: HASH_LOOPS(int8_t, hash_i64); return;
        case PHYS_I16: HASH_LOOPS(int16_t, hash_i64); return;
        case PHYS_I32: HASH_LOOPS(int32_t, hash_i64); return;
        case PHYS_I64: HASH_LOOPS(int64_t, hash_i64); return;
        case PHYS_I128: HASH_LOOPS(__int128, hash_i128); return;
        case PHYS_F32: HASH_LOOPS(float, hash_f64); return;
        case PHYS_F64: HASH_LOOPS(double, hash_f64); return;
        case PHYS_VIEW: hash_views(column, rows, n, first, hashes); return;
        default: break;
        }
    }
    const uint64_t constant = column->constant && n > 0 ? hash_value(column, 0) : 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        const uint64_t hash = column->constant ? constant : hash_value(column, row);
        hashes[row] = first ? hash : hash_mix(hashes[row], hash);
    }
}

void batch_hash_into(const struct batch *batch, const int32_t *keys, int32_t n_keys, uint64_t *target) {
    for (int32_t i = 0; i < n_keys; i++) {
        hash_column(batch->columns[keys[i]], batch->selection, batch->selected, i == 0, target);
    }
    if (n_keys == 0) { /* one global group */
        for (int32_t i = 0; i < batch->rows; i++) { target[i] = HASH_SEED; }
    }
}

sabot_status batch_hash(struct memory_pool *pool, struct batch *batch, const int32_t *keys, int32_t n_keys,
                        struct buffer **hashes, struct sabot_error *err) {
    SABOT_TRY(buffer_new(pool, (size_t)batch->rows * sizeof(uint64_t), hashes, err));
    batch_hash_into(batch, keys, n_keys, (uint64_t *)(void *)(*hashes)->data);
    return SABOT_OK;
}

uint64_t hash_number(int64_t key) { return hash_i64(key); }

uint64_t key_id(const int32_t *keys, int32_t n_keys) {
    return XXH3_64bits_withSeed(keys, (size_t)n_keys * sizeof *keys, HASH_SEED + (uint64_t)n_keys);
}

sabot_status batch_cache_hashes(struct memory_pool *pool, struct batch *batch, const int32_t *keys, int32_t n_keys,
                                struct sabot_error *err) {
    const uint64_t id = key_id(keys, n_keys);
    if (batch->hashes && batch->hash_key_id == id) { return SABOT_OK; }
    struct buffer *hashes;
    if (n_keys > 1 && batch->hashes && batch->hash_key_id == key_id(keys, n_keys - 1)) { /* one more column */
        SABOT_TRY(buffer_new(pool, (size_t)batch->rows * sizeof(uint64_t), &hashes, err));
        memcpy(hashes->data, batch->hashes, (size_t)batch->rows * sizeof(uint64_t));
        hash_column(batch->columns[keys[n_keys - 1]], batch->selection, batch->selected, false,
                    (uint64_t *)(void *)hashes->data);
    } else {
        SABOT_TRY(batch_hash(pool, batch, keys, n_keys, &hashes, err));
    }
    buffer_unref(batch->hashes_buffer);
    batch->hashes_buffer = hashes;
    batch->hashes = (const uint64_t *)(const void *)hashes->data;
    batch->hash_key_id = id;
    return SABOT_OK;
}
