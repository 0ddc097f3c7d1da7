/* Tonbo through the library of bridge/tonbo: batches, gets and scans as Arrow arrays. */
#include "state/tonbo.h"

#include <assert.h>
#include <nanoarrow/nanoarrow.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/env_local.h"
#include "base/library.h"
#include "bridge/tonbo/bridge_tonbo.h"

#define SEAL_BATCHES 8
#define COMPACT_FILES 8
#define MEMORY_BYTES (INT64_C(64) << 20) /* charged: Tonbo's tables of memory, what is decoded of files */
#define PART_ROWS (1 << 16)
#define PART_BYTES (INT64_C(32) << 20)
#define KEY_SIZE_MAX (UINT32_C(1) << 20)
#define VALUE_SIZE_MAX (UINT32_C(1) << 20) /* Tonbo scans 1024 rows at once, with ends of 32 bits */

/* Bloom filters, each of twice the keys of the one before. */
#define FILTERS_MAX 32
#define FILTER_FIRST (1 << 12) /* keys */
#define FILTER_BITS 16         /* per key */
#define FILTER_PROBES 4
struct filter {
    uint64_t *bits;
    int64_t keys, keys_max; /* keys_max: a power of two */
};

struct tonbo {
    struct kv_below below;
    struct env *env;
    struct memory_pool *pool;
    int64_t charged;
    char path[ENV_PATH_MAX];
    struct bridge_tonbo_store *store;
    bool (*expired)(void *arg, const void *key, size_t key_size, const void *value, size_t value_size);
    void *expired_arg;
    /* the batch */
    struct ArrowBuffer key_ends, keys, value_ends, values, deletes;
    int32_t rows, n_deletes;
    struct filter filters[FILTERS_MAX];
    int32_t n_filters;
    int64_t gets, gets_spared;
};

static struct tonbo *tonbo_of(struct kv_below *below) { return (struct tonbo *)below; }

static sabot_status no_memory(const struct tonbo *tonbo, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for state in Tonbo (%s)", tonbo->path);
}

/* --- the library */
static struct library library = {
    .name = "libsabot_tonbo.so",
    .entry = "sabot_tonbo",
    .version = BRIDGE_TONBO_VERSION,
    .who = "the state backend tonbo is experimental and needs",
    .remedy = "build it with `make tonbo` (minutes) and install it beside libsabot, or SET 'state.backend.type' = "
              "'rocksdb' or 'hashmap'",
};

static const struct bridge_tonbo *bridge(void) { return library.table; } /* opened when the store was */

/* --- which keys may be below */
static bool filter_find(const struct filter *filter, uint64_t hash, bool set) {
    const uint64_t mask = (uint64_t)filter->keys_max * FILTER_BITS - 1;
    bool all = true;
    for (int32_t i = 0; i < FILTER_PROBES; i++) {
        const uint64_t bit = (hash + (uint64_t)i * (hash >> 32 | 1)) & mask;
        all = all && (filter->bits[bit / 64] >> (bit % 64) & 1);
        if (set) { filter->bits[bit / 64] |= UINT64_C(1) << (bit % 64); }
    }
    return all;
}

static bool may_be_below(const struct tonbo *tonbo, uint64_t hash) {
    for (int32_t f = 0; f < tonbo->n_filters; f++) {
        if (filter_find(&tonbo->filters[f], hash, false)) { return true; }
    }
    return false;
}

static sabot_status filter_new(struct tonbo *tonbo, int64_t keys_max, struct sabot_error *err) {
    assert(tonbo->n_filters < FILTERS_MAX);
    const int64_t bytes = keys_max * FILTER_BITS / 8;
    SABOT_TRY(memory_charge(tonbo->pool, bytes, err));
    struct filter *filter = &tonbo->filters[tonbo->n_filters];
    *filter = (struct filter){.bits = calloc(1, (size_t)bytes), .keys_max = keys_max};
    if (!filter->bits) {
        memory_charge(tonbo->pool, -bytes, NULL);
        return no_memory(tonbo, err);
    }
    tonbo->n_filters++;
    return SABOT_OK;
}

static void filters_clear(struct tonbo *tonbo) {
    for (int32_t f = 0; f < tonbo->n_filters; f++) {
        memory_charge(tonbo->pool, -(tonbo->filters[f].keys_max * FILTER_BITS / 8), NULL);
        free(tonbo->filters[f].bits);
    }
    tonbo->n_filters = 0;
}

static sabot_status note_key(struct tonbo *tonbo, const void *key, size_t size, struct sabot_error *err) {
    const uint64_t hash = XXH3_64bits(key, size);
    if (may_be_below(tonbo, hash)) { return SABOT_OK; }
    struct filter *last = tonbo->n_filters ? &tonbo->filters[tonbo->n_filters - 1] : NULL;
    if (!last || last->keys == last->keys_max) {
        SABOT_TRY(filter_new(tonbo, last ? last->keys_max * 2 : FILTER_FIRST, err));
        last = &tonbo->filters[tonbo->n_filters - 1];
    }
    last->keys++;
    filter_find(last, hash, true);
    return SABOT_OK;
}

/* --- rows as Arrow has them: a struct of key and value, both BINARY: Tonbo writes LARGE BINARY, and can't scan it. */
static struct kv_span bytes_at(const struct ArrowArray *array, int64_t i) {
    const int32_t *ends = (const int32_t *)array->buffers[1] + array->offset;
    const char *bytes = array->buffers[2];
    return (struct kv_span){ends[i + 1] > ends[i] ? bytes + ends[i] : "", (size_t)(ends[i + 1] - ends[i])};
}
static struct kv_span key_at(const struct ArrowArray *rows, int64_t i) { return bytes_at(rows->children[0], i); }
static struct kv_span value_at(const struct ArrowArray *rows, int64_t i) { return bytes_at(rows->children[1], i); }

static bool is_there(const struct ArrowArray *rows, int64_t i) {
    const uint8_t *bits = rows->buffers[0];
    const int64_t at = i + rows->offset;
    return !bits || (bits[at / 8] >> (at % 8) & 1);
}

/* A column whose buffers are taken over. */
static ArrowErrorCode column_make(struct ArrowArray *out, struct ArrowBuffer *ends, struct ArrowBuffer *bytes,
                                  int64_t n) {
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromType(out, NANOARROW_TYPE_BINARY));
    NANOARROW_RETURN_NOT_OK(ArrowArraySetBuffer(out, 1, ends));
    NANOARROW_RETURN_NOT_OK(ArrowArraySetBuffer(out, 2, bytes));
    out->length = n;
    out->null_count = 0;
    return NANOARROW_OK;
}

/* n rows of a key, and of a value where there are `values`; all four buffers are taken over on success. */
static sabot_status rows_make(const struct tonbo *tonbo, struct ArrowArray *out, struct ArrowBuffer *key_ends,
                              struct ArrowBuffer *keys, struct ArrowBuffer *value_ends, struct ArrowBuffer *values,
                              int64_t n, struct sabot_error *err) {
    const int64_t n_columns = values ? 2 : 1;
    ArrowErrorCode code = ArrowArrayInitFromType(out, NANOARROW_TYPE_STRUCT);
    if (code != NANOARROW_OK) { return no_memory(tonbo, err); }
    code = ArrowArrayAllocateChildren(out, n_columns);
    if (code == NANOARROW_OK) { code = column_make(out->children[0], key_ends, keys, n); }
    if (code == NANOARROW_OK && values) { code = column_make(out->children[1], value_ends, values, n); }
    out->length = n;
    out->null_count = 0;
    if (code == NANOARROW_OK) { code = ArrowArrayFinishBuildingDefault(out, NULL); }
    if (code == NANOARROW_OK) { return SABOT_OK; }
    ArrowArrayRelease(out);
    return no_memory(tonbo, err);
}

/* --- the batch */
static void tonbo_discard(struct kv_below *below) {
    struct tonbo *tonbo = tonbo_of(below);
    ArrowBufferReset(&tonbo->key_ends);
    ArrowBufferReset(&tonbo->keys);
    ArrowBufferReset(&tonbo->value_ends);
    ArrowBufferReset(&tonbo->values);
    ArrowBufferReset(&tonbo->deletes);
    tonbo->rows = tonbo->n_deletes = 0;
}

static sabot_status tonbo_commit(struct kv_below *below, struct sabot_error *err) {
    struct tonbo *tonbo = tonbo_of(below);
    if (tonbo->rows == 0) { return SABOT_OK; }
    const int32_t *ends = (const int32_t *)(const void *)tonbo->key_ends.data;
    for (int32_t i = 0; i < tonbo->rows; i++) {
        if (tonbo->deletes.data[i]) { continue; }
        SABOT_TRY(note_key(tonbo, tonbo->keys.data + ends[i], (size_t)(ends[i + 1] - ends[i]), err));
    }
    struct ArrowArray rows;
    SABOT_TRY(rows_make(tonbo, &rows, &tonbo->key_ends, &tonbo->keys, &tonbo->value_ends, &tonbo->values, tonbo->rows,
                        err));
    const int32_t status =
        bridge()->put(tonbo->store, &rows, tonbo->n_deletes ? tonbo->deletes.data : NULL, err);
    tonbo_discard(below);
    if (status != SABOT_OK) { return (sabot_status)status; }
    return bridge()->compact_due(tonbo->store) ? tonbo_compact(tonbo, err) : SABOT_OK;
}

static sabot_status row_add(struct tonbo *tonbo, struct kv_span key, struct kv_span value, bool is_delete,
                            struct sabot_error *err) {
    if (key.size > KEY_SIZE_MAX || value.size > VALUE_SIZE_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "the state backend tonbo takes keys and values of up to 1 MiB "
                          "each, not %zu and %zu bytes: SET 'state.backend.type' = 'rocksdb'", key.size, value.size);
    }
    if (tonbo->rows >= PART_ROWS || tonbo->keys.size_bytes + tonbo->values.size_bytes >= PART_BYTES) {
        SABOT_TRY(tonbo_commit(&tonbo->below, err));
    }
    ArrowErrorCode code = NANOARROW_OK;
    if (tonbo->rows == 0) {
        tonbo_discard(&tonbo->below); /* of a row that failed half way */
        code = ArrowBufferAppendInt32(&tonbo->key_ends, 0);
        if (code == NANOARROW_OK) { code = ArrowBufferAppendInt32(&tonbo->value_ends, 0); }
    }
    const uint8_t flag = is_delete;
    if (code == NANOARROW_OK) { code = ArrowBufferAppend(&tonbo->keys, key.data, (int64_t)key.size); }
    if (code == NANOARROW_OK) { code = ArrowBufferAppend(&tonbo->values, value.data, (int64_t)value.size); }
    if (code == NANOARROW_OK) { code = ArrowBufferAppend(&tonbo->deletes, &flag, 1); }
    if (code == NANOARROW_OK) {
        code = ArrowBufferAppendInt32(&tonbo->key_ends, (int32_t)tonbo->keys.size_bytes);
    }
    if (code == NANOARROW_OK) {
        code = ArrowBufferAppendInt32(&tonbo->value_ends, (int32_t)tonbo->values.size_bytes);
    }
    if (code != NANOARROW_OK) {
        tonbo_discard(&tonbo->below); /* its caller begins again */
        return no_memory(tonbo, err);
    }
    tonbo->rows++;
    tonbo->n_deletes += is_delete;
    return SABOT_OK;
}

static sabot_status tonbo_put(struct kv_below *below, struct kv_span key, struct kv_span value,
                              struct sabot_error *err) {
    return row_add(tonbo_of(below), key, value, false, err);
}

static sabot_status tonbo_erase(struct kv_below *below, struct kv_span key, struct sabot_error *err) {
    struct tonbo *tonbo = tonbo_of(below);
    if (!may_be_below(tonbo, XXH3_64bits(key.data, key.size))) { return SABOT_OK; }
    return row_add(tonbo, key, (struct kv_span){"", 0}, true, err);
}

/* --- reading */
/* Asks for keys of which it is not known that they are absent: `asked` says which. */
static sabot_status keys_make(struct tonbo *tonbo, const struct kv_span *keys, const int32_t *asked, int32_t n,
                              struct ArrowArray *out, struct sabot_error *err) {
    struct ArrowBuffer ends, bytes;
    ArrowBufferInit(&ends);
    ArrowBufferInit(&bytes);
    ArrowErrorCode code = ArrowBufferAppendInt32(&ends, 0);
    for (int32_t i = 0; i < n && code == NANOARROW_OK; i++) {
        const struct kv_span key = keys[asked[i]];
        code = ArrowBufferAppend(&bytes, key.data, (int64_t)key.size);
        if (code == NANOARROW_OK) { code = ArrowBufferAppendInt32(&ends, (int32_t)bytes.size_bytes); }
    }
    const sabot_status status = code == NANOARROW_OK ? rows_make(tonbo, out, &ends, &bytes, NULL, NULL, n, err)
                                                     : no_memory(tonbo, err);
    ArrowBufferReset(&ends); /* empty where they were taken over */
    ArrowBufferReset(&bytes);
    return status;
}

static sabot_status tonbo_get(struct kv_below *below, const struct kv_span *keys, int32_t n, kv_below_got got,
                              void *arg, struct sabot_error *err) {
    struct tonbo *tonbo = tonbo_of(below);
    int32_t *asked = malloc((size_t)n * sizeof *asked), m = 0;
    if (!asked) { return no_memory(tonbo, err); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        if (may_be_below(tonbo, XXH3_64bits(keys[i].data, keys[i].size))) {
            asked[m++] = i;
        } else {
            status = got(arg, i, (struct kv_span){0}, err);
        }
    }
    tonbo->gets += n;
    tonbo->gets_spared += n - m;
    struct ArrowArray wanted, found;
    if (status == SABOT_OK && m > 0) {
        status = keys_make(tonbo, keys, asked, m, &wanted, err);
        if (status == SABOT_OK) { status = (sabot_status)bridge()->get(tonbo->store, &wanted, &found, err); }
        if (status == SABOT_OK) {
            for (int32_t i = 0; i < m && status == SABOT_OK; i++) {
                status = got(arg, asked[i], is_there(&found, i) ? value_at(&found, i) : (struct kv_span){0}, err);
            }
            ArrowArrayRelease(&found);
        }
    }
    free(asked);
    return status;
}

struct scan {
    kv_below_seen seen;
    void *arg;
    struct sabot_error *err;
};

static int32_t scan_rows(void *context, struct ArrowArray *rows, bool *more) {
    const struct scan *scan = context;
    sabot_status status = SABOT_OK;
    for (int64_t i = 0; i < rows->length && *more && status == SABOT_OK; i++) {
        status = scan->seen(scan->arg, key_at(rows, i), value_at(rows, i), more, scan->err);
    }
    ArrowArrayRelease(rows);
    return (int32_t)status;
}

static sabot_status tonbo_scan(struct kv_below *below, struct kv_span from, struct kv_span to, kv_below_seen seen,
                               void *arg, struct sabot_error *err) {
    struct scan scan = {seen, arg, err};
    return (sabot_status)bridge()->scan(tonbo_of(below)->store, from.data, from.size, to.size ? to.data : NULL, to.size,
                                        scan_rows, &scan, err);
}

/* Tonbo has no merge operator: counters are read before they are written. */
static sabot_status tonbo_add(struct kv_below *below, struct kv_span key, int64_t delta, struct sabot_error *err) {
    (void)below;
    (void)key;
    (void)delta;
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "an increment was given to Tonbo, which can't add");
}

static const struct kv_below_type tonbo_type = {
    .name = "Tonbo",
    .scans_are_dear = true,
    .put = tonbo_put,
    .erase = tonbo_erase,
    .add = tonbo_add,
    .commit = tonbo_commit,
    .discard = tonbo_discard,
    .get = tonbo_get,
    .scan = tonbo_scan,
};

/* --- all of it */
struct rewrite {
    struct tonbo *tonbo;
    struct sabot_error *err;
};

static int32_t keep_rows(void *context, struct ArrowArray *rows, uint8_t *keep) {
    const struct rewrite *rewrite = context;
    struct tonbo *tonbo = rewrite->tonbo;
    sabot_status status = SABOT_OK;
    for (int64_t i = 0; i < rows->length && status == SABOT_OK; i++) {
        const struct kv_span key = key_at(rows, i), value = value_at(rows, i);
        keep[i] = !tonbo->expired || !tonbo->expired(tonbo->expired_arg, key.data, key.size, value.data, value.size);
        if (keep[i]) { status = note_key(tonbo, key.data, key.size, rewrite->err); }
    }
    ArrowArrayRelease(rows);
    return (int32_t)status;
}

sabot_status tonbo_compact(struct tonbo *tonbo, struct sabot_error *err) {
    struct rewrite rewrite = {tonbo, err};
    filters_clear(tonbo); /* made anew of what stays; where that fails the store can't be used any more */
    return (sabot_status)bridge()->compact(tonbo->store, keep_rows, &rewrite, err);
}

sabot_status tonbo_checkpoint(struct tonbo *tonbo, const char *path, struct sabot_error *err) {
    char absolute[ENV_PATH_MAX];
    SABOT_TRY(env_absolute(tonbo->env, path, absolute, err));
    return (sabot_status)bridge()->checkpoint(tonbo->store, absolute, err);
}

static sabot_status note_entry(void *arg, struct kv_span key, struct kv_span value, bool *more,
                               struct sabot_error *err) {
    (void)value;
    (void)more;
    return note_key(arg, key.data, key.size, err);
}

static ArrowErrorCode schema_make(struct ArrowSchema *schema) {
    ArrowSchemaInit(schema);
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeStruct(schema, 2));
    static const char *const names[] = {"key", "value"};
    for (int32_t i = 0; i < 2; i++) {
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(schema->children[i], NANOARROW_TYPE_BINARY));
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema->children[i], names[i]));
        schema->children[i]->flags = 0; /* not null */
    }
    return NANOARROW_OK;
}

static sabot_status store_open(struct tonbo *tonbo, const struct tonbo_options *options, struct sabot_error *err) {
    SABOT_TRY(library_open(&library, err));
    char from[ENV_PATH_MAX];
    SABOT_TRY(env_absolute(options->env, options->path, tonbo->path, err));
    if (options->from) { SABOT_TRY(env_absolute(options->env, options->from, from, err)); }
    SABOT_TRY(memory_charge(options->pool, MEMORY_BYTES, err));
    tonbo->charged = MEMORY_BYTES;
    struct ArrowSchema schema;
    sabot_status status = schema_make(&schema) == NANOARROW_OK ? SABOT_OK : no_memory(tonbo, err);
    const struct bridge_tonbo_options open = {
        .path = tonbo->path, .schema = &schema, .from = options->from ? from : NULL,
        .seal_batches = options->seal_batches ? (uint32_t)options->seal_batches : SEAL_BATCHES,
        .compact_files = options->compact_files ? (uint32_t)options->compact_files : COMPACT_FILES};
    if (status == SABOT_OK) { status = (sabot_status)bridge()->open(&open, &tonbo->store, err); }
    if (schema.release) { ArrowSchemaRelease(&schema); }
    if (status != SABOT_OK || !options->from) { return status; }
    const struct kv_span all = {0};
    return tonbo_scan(&tonbo->below, all, all, note_entry, tonbo, err);
}

sabot_status tonbo_open(const struct tonbo_options *options, struct tonbo **out, struct sabot_error *err) {
    *out = NULL;
    if (env_is_simulated(options->env)) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "Tonbo does not run in the simulator: use the memory backend");
    }
    struct tonbo *tonbo = calloc(1, sizeof *tonbo);
    if (!tonbo) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a store of Tonbo"); }
    tonbo->below.type = &tonbo_type;
    tonbo->env = options->env;
    tonbo->pool = options->pool;
    tonbo->expired = options->expired;
    tonbo->expired_arg = options->expired_arg;
    struct ArrowBuffer *buffers[] = {&tonbo->key_ends, &tonbo->keys, &tonbo->value_ends, &tonbo->values,
                                     &tonbo->deletes};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) { ArrowBufferInit(buffers[i]); }
    const sabot_status status = store_open(tonbo, options, err);
    if (status != SABOT_OK) {
        tonbo_close(tonbo);
        return status;
    }
    *out = tonbo;
    return SABOT_OK;
}

void tonbo_close(struct tonbo *tonbo) {
    if (!tonbo) { return; }
    tonbo_discard(&tonbo->below);
    filters_clear(tonbo);
    if (tonbo->store) { bridge()->close(tonbo->store); }
    memory_charge(tonbo->pool, -tonbo->charged, NULL);
    free(tonbo);
}

struct kv_below *tonbo_below(struct tonbo *tonbo) { return &tonbo->below; }

void tonbo_stats(const struct tonbo *tonbo, struct tonbo_stats *out) {
    struct bridge_tonbo_stats stats;
    bridge()->stats(tonbo->store, &stats);
    *out = (struct tonbo_stats){.files = (int64_t)stats.files, .flushes = (int64_t)stats.flushes,
                                .compactions = (int64_t)stats.compactions, .gets = tonbo->gets,
                                .gets_spared = tonbo->gets_spared};
}
