/* RocksDB through its C API, loaded by dlopen. */
#include "state/rocks.h"

#include <assert.h>
#include <dlfcn.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_SIZE (UINT64_C(64) << 20)
#define BLOCK_SIZE ((size_t)16 << 10)
#define BLOOM_BITS 10.0
#define MEMTABLE_BLOOM_RATIO 0.05 /* of the write buffer */
#define LOG_LEVEL_FATAL 4

/* Every function that is used, once: declared here by the library's header, found by name when it is loaded. */
#define FUNCTIONS(X)                                                                                                   \
    X(rocksdb_options_create) X(rocksdb_options_destroy) X(rocksdb_options_set_create_if_missing)                      \
    X(rocksdb_options_set_create_missing_column_families) X(rocksdb_options_set_info_log_level)                        \
    X(rocksdb_options_set_keep_log_file_num) X(rocksdb_options_set_max_background_jobs)                                \
    X(rocksdb_options_set_db_write_buffer_size) X(rocksdb_options_set_write_buffer_size)                               \
    X(rocksdb_options_set_compression) X(rocksdb_options_set_block_based_table_factory)                                \
    X(rocksdb_options_set_merge_operator) X(rocksdb_options_set_compaction_filter)                                     \
    X(rocksdb_options_set_target_file_size_base) X(rocksdb_options_set_max_open_files)                                 \
    X(rocksdb_options_set_memtable_prefix_bloom_size_ratio) X(rocksdb_options_set_memtable_whole_key_filtering)        \
    X(rocksdb_options_set_level_compaction_dynamic_level_bytes) X(rocksdb_options_set_stats_dump_period_sec)           \
    X(rocksdb_block_based_options_create) X(rocksdb_block_based_options_destroy)                                       \
    X(rocksdb_block_based_options_set_block_size) X(rocksdb_block_based_options_set_block_cache)                       \
    X(rocksdb_block_based_options_set_filter_policy) X(rocksdb_block_based_options_set_index_type)                     \
    X(rocksdb_block_based_options_set_partition_filters)                                                               \
    X(rocksdb_block_based_options_set_cache_index_and_filter_blocks) X(rocksdb_filterpolicy_create_bloom)              \
    X(rocksdb_cache_create_lru) X(rocksdb_cache_destroy) X(rocksdb_mergeoperator_create)                               \
    X(rocksdb_compactionfilter_create) X(rocksdb_compactionfilter_destroy) X(rocksdb_open_column_families)             \
    X(rocksdb_open_for_read_only_column_families) X(rocksdb_column_family_handle_destroy) X(rocksdb_close)             \
    X(rocksdb_writeoptions_create) X(rocksdb_writeoptions_destroy) X(rocksdb_writeoptions_disable_WAL)                 \
    X(rocksdb_writeoptions_set_sync) X(rocksdb_readoptions_create) X(rocksdb_readoptions_destroy)                      \
    X(rocksdb_readoptions_set_iterate_upper_bound) X(rocksdb_writebatch_create) X(rocksdb_writebatch_destroy)          \
    X(rocksdb_writebatch_clear) X(rocksdb_writebatch_count) X(rocksdb_writebatch_put_cf)                               \
    X(rocksdb_writebatch_delete_cf) X(rocksdb_writebatch_delete_range_cf) X(rocksdb_writebatch_merge_cf)               \
    X(rocksdb_write) X(rocksdb_get_pinned_cf) X(rocksdb_pinnableslice_value) X(rocksdb_pinnableslice_destroy)          \
    X(rocksdb_create_iterator_cf) X(rocksdb_iter_seek) X(rocksdb_iter_valid) X(rocksdb_iter_next) X(rocksdb_iter_key)  \
    X(rocksdb_iter_value) X(rocksdb_iter_get_error) X(rocksdb_iter_destroy) X(rocksdb_checkpoint_object_create)        \
    X(rocksdb_checkpoint_create) X(rocksdb_checkpoint_object_destroy) X(rocksdb_flush_cf)                             \
    X(rocksdb_flushoptions_create) X(rocksdb_create_snapshot) X(rocksdb_release_snapshot)                              \
    X(rocksdb_readoptions_set_snapshot) X(rocksdb_flushoptions_destroy) X(rocksdb_compact_range_cf) X(rocksdb_free)

#define DECLARE(name) __typeof__(name) *name;
static struct {
    FUNCTIONS(DECLARE)
} lib;

static atomic_flag load_lock = ATOMIC_FLAG_INIT;
static bool loaded;
static char load_failure[256];

struct rocks {
    struct memory_pool *pool;
    int64_t charged;
    char *path;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[ROCKS_FAMILIES_MAX + 1]; /* the last is "default", which must be there */
    int32_t n_families;
    rocksdb_options_t *options[ROCKS_FAMILIES_MAX + 1];
    rocksdb_cache_t *cache;
    rocksdb_compactionfilter_t *filter;
    rocksdb_writeoptions_t *write, *write_sync;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch;
    rocksdb_pinnableslice_t *pinned;
    bool (*expired)(void *arg, const void *key, size_t key_size, const void *value, size_t value_size);
    void *expired_arg;
    _Atomic int n_snapshots;
};

struct rocks_snapshot {
    struct rocks *rocks;
    const rocksdb_snapshot_t *held;
    rocksdb_readoptions_t *read;
};

struct rocks_scan {
    const struct rocks *rocks;
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *iterator;
    char *to;
    bool begun;
};

/* --- the library */
/* Under load_lock. */
static void load(void) {
    loaded = true;
    static const char *const names[] = {"librocksdb.so.7.8", "librocksdb.so.7", "librocksdb.so"};
    void *handle = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !handle; i++) {
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    const char *missing = handle ? NULL : "librocksdb.so";
#define FIND(name)                                                                                                     \
    if (!missing) {                                                                                                    \
        lib.name = (__typeof__(lib.name))dlsym(handle, #name);                                                         \
        missing = lib.name ? NULL : #name;                                                                             \
    }
    FUNCTIONS(FIND)
    if (missing) {
        const char *why = dlerror();
        snprintf(load_failure, sizeof load_failure, "%s: install Debian's librocksdb7.8, or SET 'state.backend.type' "
                 "= 'hashmap'", why ? why : missing);
    }
}

/* Takes over RocksDB's message. */
static sabot_status failed(const struct rocks *rocks, const char *what, char *message, struct sabot_error *err) {
    const sabot_status status = SABOT_FAIL(err, strstr(message, "Corruption") ? SABOT_ERR_CORRUPT : SABOT_ERR_IO,
                                           "RocksDB in %s: %s: %s", rocks->path, what, message);
    lib.rocksdb_free(message);
    return status;
}

/* --- callbacks */
static char *number_new(int64_t value, size_t *size) {
    char *out = malloc(sizeof value);
    if (out) { memcpy(out, &value, sizeof value); }
    *size = sizeof value;
    return out;
}

/* Wraps, as the addition in memory does. */
static char *add_all(int64_t start, const char *const *operands, const size_t *sizes, int n, unsigned char *success,
                     size_t *size) {
    uint64_t sum = (uint64_t)start;
    *success = 1;
    for (int i = 0; i < n; i++) {
        uint64_t operand;
        if (sizes[i] != sizeof operand) {
            *success = 0;
            break;
        }
        memcpy(&operand, operands[i], sizeof operand);
        sum += operand;
    }
    char *out = number_new((int64_t)sum, size);
    if (!out) { *success = 0; }
    return out;
}

static char *full_merge(void *arg, const char *key, size_t key_size, const char *existing, size_t existing_size,
                        const char *const *operands, const size_t *sizes, int n, unsigned char *success,
                        size_t *size) {
    (void)arg;
    (void)key;
    (void)key_size;
    int64_t start = 0;
    if (existing && existing_size == sizeof start) { memcpy(&start, existing, sizeof start); }
    return add_all(start, operands, sizes, n, success, size);
}

static char *partial_merge(void *arg, const char *key, size_t key_size, const char *const *operands,
                           const size_t *sizes, int n, unsigned char *success, size_t *size) {
    (void)arg;
    (void)key;
    (void)key_size;
    return add_all(0, operands, sizes, n, success, size);
}

static void merged_free(void *arg, const char *value, size_t size) {
    (void)arg;
    (void)size;
    free((char *)value);
}

static void nothing(void *arg) { (void)arg; }
static const char *add_name(void *arg) {
    (void)arg;
    return "sabot.add";
}
static const char *filter_name(void *arg) {
    (void)arg;
    return "sabot.expired";
}

static unsigned char filter_value(void *arg, int level, const char *key, size_t key_size, const char *value,
                                  size_t value_size, char **new_value, size_t *new_size, unsigned char *changed) {
    (void)level;
    (void)new_value;
    (void)new_size;
    *changed = 0;
    struct rocks *rocks = arg;
    /* RocksDB's compactions don't spare what a snapshot holds, and what is expired by now was alive when it was taken:
     * a restore goes back to that time. */
    const bool expired = rocks->expired(rocks->expired_arg, key, key_size, value, value_size);
    return expired && atomic_load(&rocks->n_snapshots) == 0; /* in this order: expired before any was taken */
}

/* --- open */
static rocksdb_options_t *family_options(struct rocks *rocks, const struct rocks_options *options,
                                         const struct rocks_family *family, int64_t memory) {
    rocksdb_options_t *out = lib.rocksdb_options_create();
    lib.rocksdb_options_set_create_if_missing(out, 1);
    lib.rocksdb_options_set_create_missing_column_families(out, 1);
    lib.rocksdb_options_set_info_log_level(out, LOG_LEVEL_FATAL);
    lib.rocksdb_options_set_keep_log_file_num(out, 1);
    lib.rocksdb_options_set_stats_dump_period_sec(out, 0);
    lib.rocksdb_options_set_max_background_jobs(out, 2);
    lib.rocksdb_options_set_max_open_files(out, 256);
    lib.rocksdb_options_set_db_write_buffer_size(out, (size_t)(memory / 2));
    lib.rocksdb_options_set_write_buffer_size(out, (size_t)(memory / 4));
    /* A key that is not among the last changes is not searched for in their skip list: nearly each of its 15 steps
     * misses the cache, and it was a third of a get. */
    lib.rocksdb_options_set_memtable_prefix_bloom_size_ratio(out, MEMTABLE_BLOOM_RATIO);
    lib.rocksdb_options_set_memtable_whole_key_filtering(out, 1);
    lib.rocksdb_options_set_target_file_size_base(out, FILE_SIZE);
    lib.rocksdb_options_set_level_compaction_dynamic_level_bytes(out, 1);
    lib.rocksdb_options_set_compression(out, rocksdb_lz4_compression);
    rocksdb_block_based_table_options_t *table = lib.rocksdb_block_based_options_create();
    lib.rocksdb_block_based_options_set_block_size(table, BLOCK_SIZE);
    lib.rocksdb_block_based_options_set_block_cache(table, rocks->cache);
    lib.rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    lib.rocksdb_block_based_options_set_filter_policy(table, lib.rocksdb_filterpolicy_create_bloom(BLOOM_BITS));
    /* In pieces: the cache is made of up to 64 parts, and the filter of a whole file of a million keys fits none of
     * them (1.25 MB, of 1 MB), so that each get read and decoded all of it. */
    lib.rocksdb_block_based_options_set_index_type(table, rocksdb_block_based_table_index_type_two_level_index_search);
    lib.rocksdb_block_based_options_set_partition_filters(table, 1);
    lib.rocksdb_options_set_block_based_table_factory(out, table);
    lib.rocksdb_block_based_options_destroy(table);
    if (family && family->adds) {
        lib.rocksdb_options_set_merge_operator(
            out, lib.rocksdb_mergeoperator_create(NULL, nothing, full_merge, partial_merge, merged_free, add_name));
    }
    if (family && family->expires && options->expired) {
        if (!rocks->filter) {
            rocks->filter = lib.rocksdb_compactionfilter_create(rocks, nothing, filter_value, filter_name);
        }
        lib.rocksdb_options_set_compaction_filter(out, rocks->filter);
    }
    return out;
}

static sabot_status database_open(struct rocks *rocks, const struct rocks_options *options, struct sabot_error *err) {
    const char *names[ROCKS_FAMILIES_MAX + 1];
    const int32_t n = options->n_families;
    for (int32_t i = 0; i <= n; i++) {
        const struct rocks_family *family = i < n ? &options->families[i] : NULL;
        names[i] = family ? family->name : "default";
        rocks->options[i] = family_options(rocks, options, family, rocks->charged);
    }
    rocks->n_families = n;
    const rocksdb_options_t *const *each = (const rocksdb_options_t *const *)rocks->options;
    char *message = NULL;
    rocks->db = options->read_only
                    ? lib.rocksdb_open_for_read_only_column_families(rocks->options[n], rocks->path, n + 1, names, each,
                                                                     rocks->families, 0, &message)
                    : lib.rocksdb_open_column_families(rocks->options[n], rocks->path, n + 1, names, each,
                                                       rocks->families, &message);
    if (message) {
        memset(rocks->families, 0, sizeof rocks->families);
        return failed(rocks, "open", message, err);
    }
    rocks->write = lib.rocksdb_writeoptions_create();
    rocks->write_sync = lib.rocksdb_writeoptions_create();
    lib.rocksdb_writeoptions_disable_WAL(rocks->write, !options->wal);
    lib.rocksdb_writeoptions_set_sync(rocks->write_sync, 1);
    rocks->read = lib.rocksdb_readoptions_create();
    rocks->batch = lib.rocksdb_writebatch_create();
    return SABOT_OK;
}

sabot_status rocks_open(const struct rocks_options *options, struct rocks **out, struct sabot_error *err) {
    *out = NULL;
    assert(options->n_families <= ROCKS_FAMILIES_MAX);
    if (env_is_simulated(options->env)) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "RocksDB does not run in the simulator: use the memory backend");
    }
    while (atomic_flag_test_and_set(&load_lock)) {} /* held for as long as the library loads, once */
    if (!loaded) { load(); }
    atomic_flag_clear(&load_lock);
    if (load_failure[0]) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "RocksDB can't be loaded: %s", load_failure);
    }
    const int64_t memory = options->memory_bytes ? options->memory_bytes : ROCKS_MEMORY_DEFAULT;
    SABOT_TRY(memory_charge(options->pool, memory, err));
    struct rocks *rocks = calloc(1, sizeof *rocks);
    if (!rocks || !(rocks->path = strdup(options->path))) {
        free(rocks);
        memory_charge(options->pool, -memory, NULL);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a RocksDB");
    }
    rocks->pool = options->pool;
    rocks->charged = memory;
    rocks->expired = options->expired;
    rocks->expired_arg = options->expired_arg;
    rocks->cache = lib.rocksdb_cache_create_lru((size_t)(memory / 2));
    sabot_status status = options->read_only ? SABOT_OK : env_make_dirs(options->env, options->path, err);
    if (status == SABOT_OK) { status = database_open(rocks, options, err); }
    if (status != SABOT_OK) {
        rocks_close(rocks);
        return status;
    }
    *out = rocks;
    return SABOT_OK;
}

static void unpin(struct rocks *rocks) {
    if (!rocks->pinned) { return; }
    lib.rocksdb_pinnableslice_destroy(rocks->pinned);
    rocks->pinned = NULL;
}

void rocks_close(struct rocks *rocks) {
    if (!rocks) { return; }
    unpin(rocks);
    for (int32_t i = 0; i <= rocks->n_families; i++) {
        if (rocks->families[i]) { lib.rocksdb_column_family_handle_destroy(rocks->families[i]); }
    }
    if (rocks->db) { lib.rocksdb_close(rocks->db); }
    for (int32_t i = 0; i <= rocks->n_families; i++) {
        if (rocks->options[i]) { lib.rocksdb_options_destroy(rocks->options[i]); }
    }
    if (rocks->filter) { lib.rocksdb_compactionfilter_destroy(rocks->filter); }
    if (rocks->batch) { lib.rocksdb_writebatch_destroy(rocks->batch); }
    if (rocks->write) { lib.rocksdb_writeoptions_destroy(rocks->write); }
    if (rocks->write_sync) { lib.rocksdb_writeoptions_destroy(rocks->write_sync); }
    if (rocks->read) { lib.rocksdb_readoptions_destroy(rocks->read); }
    if (rocks->cache) { lib.rocksdb_cache_destroy(rocks->cache); }
    memory_charge(rocks->pool, -rocks->charged, NULL);
    free(rocks->path);
    free(rocks);
}

/* --- writing */
void rocks_put(struct rocks *rocks, int32_t family, struct rocks_span key, struct rocks_span value) {
    lib.rocksdb_writebatch_put_cf(rocks->batch, rocks->families[family], key.data, key.size, value.data, value.size);
}

void rocks_delete(struct rocks *rocks, int32_t family, struct rocks_span key) {
    lib.rocksdb_writebatch_delete_cf(rocks->batch, rocks->families[family], key.data, key.size);
}

void rocks_delete_range(struct rocks *rocks, int32_t family, struct rocks_span from, struct rocks_span to) {
    lib.rocksdb_writebatch_delete_range_cf(rocks->batch, rocks->families[family], from.data, from.size, to.data,
                                           to.size);
}

void rocks_merge(struct rocks *rocks, int32_t family, struct rocks_span key, int64_t delta) {
    lib.rocksdb_writebatch_merge_cf(rocks->batch, rocks->families[family], key.data, key.size, (const char *)&delta,
                                    sizeof delta);
}

int32_t rocks_pending(const struct rocks *rocks) { return lib.rocksdb_writebatch_count(rocks->batch); }

sabot_status rocks_commit(struct rocks *rocks, bool sync, struct sabot_error *err) {
    if (rocks_pending(rocks) == 0) { return SABOT_OK; }
    char *message = NULL;
    lib.rocksdb_write(rocks->db, sync ? rocks->write_sync : rocks->write, rocks->batch, &message);
    if (message) { return failed(rocks, "write", message, err); }
    lib.rocksdb_writebatch_clear(rocks->batch);
    return SABOT_OK;
}

void rocks_discard(struct rocks *rocks) { lib.rocksdb_writebatch_clear(rocks->batch); }

/* --- reading */
sabot_status rocks_snapshot_new(struct rocks *rocks, struct rocks_snapshot **out, struct sabot_error *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a snapshot of %s", rocks->path); }
    atomic_fetch_add(&rocks->n_snapshots, 1); /* before it is taken */
    **out = (struct rocks_snapshot){.rocks = rocks, .held = lib.rocksdb_create_snapshot(rocks->db),
                                    .read = lib.rocksdb_readoptions_create()};
    lib.rocksdb_readoptions_set_snapshot((*out)->read, (*out)->held);
    return SABOT_OK;
}

void rocks_snapshot_free(struct rocks_snapshot *snapshot) {
    if (!snapshot) { return; }
    lib.rocksdb_readoptions_destroy(snapshot->read);
    lib.rocksdb_release_snapshot(snapshot->rocks->db, snapshot->held);
    atomic_fetch_sub(&snapshot->rocks->n_snapshots, 1);
    free(snapshot);
}

sabot_status rocks_get(struct rocks *rocks, int32_t family, struct rocks_span key, struct rocks_span *out,
                       struct sabot_error *err) {
    return rocks_get_at(rocks, NULL, family, key, out, err);
}

sabot_status rocks_get_at(struct rocks *rocks, const struct rocks_snapshot *at, int32_t family, struct rocks_span key,
                          struct rocks_span *out, struct sabot_error *err) {
    unpin(rocks);
    *out = (struct rocks_span){0};
    char *message = NULL;
    rocks->pinned =
        lib.rocksdb_get_pinned_cf(rocks->db, at ? at->read : rocks->read, rocks->families[family], key.data, key.size,
                                  &message);
    if (message) { return failed(rocks, "get", message, err); }
    if (rocks->pinned) { out->data = lib.rocksdb_pinnableslice_value(rocks->pinned, &out->size); }
    return SABOT_OK;
}

sabot_status rocks_scan_open(struct rocks *rocks, int32_t family, struct rocks_span from, struct rocks_span to,
                             struct rocks_scan **out, struct sabot_error *err) {
    return rocks_scan_open_at(rocks, NULL, family, from, to, out, err);
}

sabot_status rocks_scan_open_at(struct rocks *rocks, const struct rocks_snapshot *at, int32_t family,
                                struct rocks_span from, struct rocks_span to, struct rocks_scan **out,
                                struct sabot_error *err) {
    struct rocks_scan *scan = calloc(1, sizeof *scan);
    *out = NULL;
    if (!scan || (to.size && !(scan->to = malloc(to.size)))) {
        free(scan);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to scan state");
    }
    scan->rocks = rocks;
    scan->read = lib.rocksdb_readoptions_create();
    if (at) { lib.rocksdb_readoptions_set_snapshot(scan->read, at->held); }
    if (to.size) {
        memcpy(scan->to, to.data, to.size);
        lib.rocksdb_readoptions_set_iterate_upper_bound(scan->read, scan->to, to.size);
    }
    scan->iterator = lib.rocksdb_create_iterator_cf(rocks->db, scan->read, rocks->families[family]);
    lib.rocksdb_iter_seek(scan->iterator, from.data, from.size);
    *out = scan;
    return SABOT_OK;
}

bool rocks_scan_next(struct rocks_scan *scan, struct rocks_span *key, struct rocks_span *value,
                     struct sabot_error *err) {
    if (scan->begun) { lib.rocksdb_iter_next(scan->iterator); }
    scan->begun = true;
    if (!lib.rocksdb_iter_valid(scan->iterator)) {
        scan->begun = false; /* an iterator behind its end may not be moved */
        char *message = NULL;
        lib.rocksdb_iter_get_error(scan->iterator, &message);
        if (message) { (void)failed(scan->rocks, "scan", message, err); }
        return false;
    }
    key->data = lib.rocksdb_iter_key(scan->iterator, &key->size);
    value->data = lib.rocksdb_iter_value(scan->iterator, &value->size);
    return true;
}

void rocks_scan_close(struct rocks_scan *scan) {
    if (!scan) { return; }
    lib.rocksdb_iter_destroy(scan->iterator);
    lib.rocksdb_readoptions_destroy(scan->read);
    free(scan->to);
    free(scan);
}

/* --- checkpoints */
sabot_status rocks_checkpoint(struct rocks *rocks, const char *path, struct sabot_error *err) {
    char *message = NULL;
    rocksdb_checkpoint_t *checkpoint = lib.rocksdb_checkpoint_object_create(rocks->db, &message);
    if (!message) { lib.rocksdb_checkpoint_create(checkpoint, path, 0, &message); }
    if (checkpoint) { lib.rocksdb_checkpoint_object_destroy(checkpoint); }
    return message ? failed(rocks, "checkpoint", message, err) : SABOT_OK;
}

void rocks_compact(struct rocks *rocks, int32_t family) {
    rocksdb_flushoptions_t *options = lib.rocksdb_flushoptions_create();
    char *message = NULL;
    lib.rocksdb_flush_cf(rocks->db, options, rocks->families[family], &message);
    lib.rocksdb_flushoptions_destroy(options);
    if (message) { lib.rocksdb_free(message); } /* then there is less to rewrite */
    lib.rocksdb_compact_range_cf(rocks->db, rocks->families[family], NULL, 0, NULL, 0);
}
