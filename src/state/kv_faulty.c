/* A backend before another that fails every n-th call: sometimes before the work is done, sometimes behind it, as it
 * is with a disk whose answer is lost. An addition fails only before: done twice it would be wrong. */
#include <stdlib.h>

#include "state/kv_backend.h"

struct kv_faulty {
    struct kv_table table;
    struct kv_table *inner;
    struct kv_faults *faults;
};

static const struct kv_backend kv_faulty;

sabot_status kv_faulty_wrap(struct kv_table *inner, struct kv_faults *faults, struct kv_table **out,
                            struct sabot_error *err) {
    *out = NULL;
    struct kv_faulty *self = calloc(1, sizeof *self);
    if (!self) {
        inner->backend->close(inner);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for faults in state");
    }
    self->table = *inner;
    self->table.backend = &kv_faulty;
    self->inner = inner;
    self->faults = faults;
    *out = &self->table;
    return SABOT_OK;
}

static struct kv_faulty *faulty_of(struct kv_table *table) { return (struct kv_faulty *)table; }

enum fault { FAULT_NONE, FAULT_BEFORE, FAULT_BEHIND };

static enum fault fault_next(struct kv_faults *faults) {
    faults->calls++;
    if (!faults->every || ((uint64_t)faults->calls + faults->seed) % (uint64_t)faults->every) { return FAULT_NONE; }
    faults->failed++;
    const uint64_t mixed = ((uint64_t)faults->calls ^ faults->seed) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed >> 63 ? FAULT_BEFORE : FAULT_BEHIND;
}

static sabot_status fail(const struct kv_faulty *self, const char *call, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_IO, "state %s: call %lld (%s) fails, as every %lld. does here (seed %llu)",
                      self->table.name, (long long)self->faults->calls, call, (long long)self->faults->every,
                      (unsigned long long)self->faults->seed);
}

static sabot_status faulty_open(const struct kv_open *open, struct kv_table **out, struct sabot_error *err) {
    (void)open;
    *out = NULL;
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "faults are put before a table that is open");
}

static void faulty_close(struct kv_table *table) {
    struct kv_faulty *self = faulty_of(table);
    self->inner->backend->close(self->inner);
    free(self);
}

#define CALL(name, behind, call)                                                                                       \
    struct kv_faulty *self = faulty_of(table);                                                                         \
    struct kv_table *inner = self->inner;                                                                              \
    const enum fault fault = fault_next(self->faults);                                                                 \
    if (fault == FAULT_BEFORE || (fault && !(behind))) { return fail(self, name, err); }                               \
    SABOT_TRY(inner->backend->call);                                                                                   \
    return fault ? fail(self, name, err) : SABOT_OK

static sabot_status faulty_get(struct kv_table *table, const struct kv_keys *keys, void *values, bool *found,
                               struct sabot_error *err) {
    CALL("get", true, get(inner, keys, values, found, err));
}
static sabot_status faulty_put(struct kv_table *table, const struct kv_keys *keys, const void *values,
                               struct sabot_error *err) {
    CALL("put", true, put(inner, keys, values, err));
}
static sabot_status faulty_remove(struct kv_table *table, const struct kv_keys *keys, struct sabot_error *err) {
    CALL("remove", true, erase(inner, keys, err));
}
static sabot_status faulty_add(struct kv_table *table, const struct kv_keys *keys, const int64_t *deltas,
                               struct sabot_error *err) {
    CALL("add", false, add(inner, keys, deltas, err));
}
static sabot_status faulty_scan(struct kv_table *table, int64_t namespace_, const void *key, kv_each each, void *arg,
                                struct sabot_error *err) {
    CALL("scan", true, scan(inner, namespace_, key, each, arg, err));
}
static sabot_status faulty_clear(struct kv_table *table, int64_t namespace_, struct sabot_error *err) {
    CALL("clear", true, clear(inner, namespace_, err));
}
static sabot_status faulty_sweep(struct kv_table *table, int32_t entries, struct sabot_error *err) {
    CALL("sweep", true, sweep(inner, entries, err));
}
static sabot_status faulty_flush(struct kv_table *table, struct sabot_error *err) {
    CALL("flush", true, flush(inner, err));
}

static sabot_status faulty_freeze(struct kv_table *table, struct capture *capture, struct sabot_error *err) {
    CALL("freeze", false, freeze(inner, capture, err));
}
static bool faulty_copy(struct kv_table *table, int32_t slots) {
    struct kv_table *inner = faulty_of(table)->inner;
    return inner->backend->copy(inner, slots);
}
static void faulty_thaw(struct kv_table *table) {
    struct kv_table *inner = faulty_of(table)->inner;
    inner->backend->thaw(inner);
}

static const struct kv_backend kv_faulty = {
    .name = "faulty",
    .open = faulty_open,
    .close = faulty_close,
    .get = faulty_get,
    .put = faulty_put,
    .erase = faulty_remove,
    .add = faulty_add,
    .scan = faulty_scan,
    .clear = faulty_clear,
    .sweep = faulty_sweep,
    .flush = faulty_flush,
    .freeze = faulty_freeze,
    .copy = faulty_copy,
    .thaw = faulty_thaw,
};
