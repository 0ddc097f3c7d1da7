/* System state in RocksDB. A key is a and b, big-endian with the sign flipped: the bytes sort as the numbers. */
#include "checkpoint/system_state.h"

#include "base/log.h"
#include "state/rocks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES (INT64_C(8) << 20)
#define FIELDS_MAX 4096

struct system_state {
    struct env *env;
    struct env_mutex *mutex;
    struct rocks *rocks;
    _Atomic int64_t failures;
};

static const struct rocks_family families[SYSTEM_FAMILIES] = {
    [SYSTEM_CHECKPOINTS] = {.name = "checkpoints"}, [SYSTEM_ACKS] = {.name = "acks"},
    [SYSTEM_BARRIERS] = {.name = "barriers"},       [SYSTEM_WATERMARKS] = {.name = "watermarks"},
    [SYSTEM_TIMERS] = {.name = "timers"},           [SYSTEM_ASSIGNMENTS] = {.name = "assignments"},
};

const char *system_family_name(enum system_family family) { return families[family].name; }

static void number_encode(int64_t value, uint8_t *out) {
    const uint64_t flipped = __builtin_bswap64((uint64_t)value ^ UINT64_C(1) << 63);
    memcpy(out, &flipped, sizeof flipped);
}

static int64_t number_decode(const uint8_t *from) {
    uint64_t flipped;
    memcpy(&flipped, from, sizeof flipped);
    return (int64_t)(__builtin_bswap64(flipped) ^ UINT64_C(1) << 63);
}

static struct rocks_span key_encode(struct system_key key, uint8_t *out) {
    number_encode(key.a, out);
    number_encode(key.b, out + 8);
    return (struct rocks_span){out, 16};
}

sabot_status system_state_open(struct env *env, struct memory_pool *pool, const char *dir, bool read_only,
                               struct system_state **out, struct sabot_error *err) {
    *out = NULL;
    if (!dir || env_is_simulated(env)) { return SABOT_OK; }
    if (read_only) {
        struct env_stat found;
        SABOT_TRY(env_stat(env, dir, &found, err));
    }
    struct rocks *rocks;
    SABOT_TRY(rocks_open(&(struct rocks_options){.env = env, .pool = pool, .path = dir, .families = families,
                                                 .n_families = SYSTEM_FAMILIES, .memory_bytes = MEMORY_BYTES,
                                                 .wal = true, .read_only = read_only},
                         &rocks, err));
    struct system_state *state = calloc(1, sizeof *state);
    if (!state) {
        rocks_close(rocks);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the system state");
    }
    state->env = env;
    state->mutex = env_mutex_new(env);
    state->rocks = rocks;
    *out = state;
    return SABOT_OK;
}

void system_state_close(struct system_state *state) {
    if (!state) { return; }
    rocks_close(state->rocks);
    env_mutex_free(state->mutex);
    free(state);
}

/* Under the mutex. */
static void commit(struct system_state *state, bool sync) {
    struct sabot_error err = {0};
    if (rocks_commit(state->rocks, sync, &err) == SABOT_OK) { return; }
    rocks_discard(state->rocks);
    if (atomic_fetch_add(&state->failures, 1) == 0) {
        log_write(state->env, LOG_WARNING, "the system state is not written: %s", err.message);
    }
}

void system_state_put(struct system_state *state, enum system_family family, struct system_key key, const char *fields,
                      bool sync) {
    if (!state) { return; }
    uint8_t bytes[16];
    const size_t size = strlen(fields);
    const struct rocks_span value = {fields, size < FIELDS_MAX ? size : FIELDS_MAX - 1};
    env_mutex_lock(state->mutex);
    rocks_put(state->rocks, (int32_t)family, key_encode(key, bytes), value);
    commit(state, sync);
    env_mutex_unlock(state->mutex);
}

void system_state_remove(struct system_state *state, enum system_family family, struct system_key key) {
    if (!state) { return; }
    uint8_t bytes[16];
    env_mutex_lock(state->mutex);
    rocks_delete(state->rocks, (int32_t)family, key_encode(key, bytes));
    commit(state, false);
    env_mutex_unlock(state->mutex);
}

void system_state_remove_range(struct system_state *state, enum system_family family, int64_t from, int64_t to) {
    if (!state || from >= to) { return; }
    uint8_t low[16], high[16];
    env_mutex_lock(state->mutex);
    rocks_delete_range(state->rocks, (int32_t)family, key_encode((struct system_key){from, INT64_MIN}, low),
                       key_encode((struct system_key){to, INT64_MIN}, high));
    commit(state, false);
    env_mutex_unlock(state->mutex);
}

sabot_status system_state_scan(struct system_state *state, enum system_family family, int64_t from, int64_t to,
                               bool (*each)(void *arg, struct system_key key, const char *fields), void *arg,
                               struct sabot_error *err) {
    if (!state || from >= to) { return SABOT_OK; }
    uint8_t low[16], high[16];
    struct rocks_scan *scan;
    struct sabot_error failure = {0};
    env_mutex_lock(state->mutex);
    const sabot_status status =
        rocks_scan_open(state->rocks, (int32_t)family, key_encode((struct system_key){from, INT64_MIN}, low),
                        key_encode((struct system_key){to, INT64_MIN}, high), &scan, err);
    struct rocks_span key, value;
    while (status == SABOT_OK && rocks_scan_next(scan, &key, &value, &failure)) {
        char fields[FIELDS_MAX];
        if (key.size != 16 || value.size >= sizeof fields) { continue; } /* not ours */
        memcpy(fields, value.data, value.size);
        fields[value.size] = '\0';
        const uint8_t *bytes = key.data;
        if (!each(arg, (struct system_key){number_decode(bytes), number_decode(bytes + 8)}, fields)) { break; }
    }
    if (status == SABOT_OK) { rocks_scan_close(scan); }
    env_mutex_unlock(state->mutex);
    if (failure.status != SABOT_OK && err && err->status == SABOT_OK) { *err = failure; }
    return status != SABOT_OK ? status : failure.status;
}

bool system_field(const char *fields, const char *name, char *out, size_t size) {
    const size_t n = strlen(name);
    for (const char *at = fields; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, name, n) != 0 || at[n] != '=') { continue; }
        const char *value = at + n + 1;
        const size_t length = strcspn(value, " ");
        if (length >= size) { return false; }
        memcpy(out, value, length);
        out[length] = '\0';
        return true;
    }
    return false;
}

int64_t system_state_failures(const struct system_state *state) { return state ? atomic_load(&state->failures) : 0; }
