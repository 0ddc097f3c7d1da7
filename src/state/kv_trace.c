/* A backend before another that writes a line per call: what, how many, what came of it, how long it took. */
#include <stdio.h>
#include <stdlib.h>

#include "state/kv_backend.h"

struct kv_trace {
    struct kv_table table;
    struct kv_table *inner;
    struct env *env;
    void (*line)(void *arg, const char *text);
    void *arg;
};

static const struct kv_backend kv_trace;

sabot_status kv_trace_wrap(struct kv_table *inner, struct env *env, void (*line)(void *arg, const char *text),
                           void *arg, struct kv_table **out, struct sabot_error *err) {
    *out = NULL;
    struct kv_trace *self = calloc(1, sizeof *self);
    if (!self) {
        inner->backend->close(inner);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to trace state");
    }
    self->table = *inner;
    self->table.backend = &kv_trace;
    self->inner = inner;
    self->env = env;
    self->line = line;
    self->arg = arg;
    *out = &self->table;
    return SABOT_OK;
}

static struct kv_trace *trace_of(struct kv_table *table) { return (struct kv_trace *)table; }

static sabot_status told(struct kv_trace *self, const char *call, const struct kv_keys *keys, int64_t began_ns,
                         int64_t hits, sabot_status status) {
    char text[256];
    int size = snprintf(text, sizeof text, "%s %s.%s", self->inner->backend->name, self->table.name, call);
    if (keys) {
        size += snprintf(text + size, sizeof text - (size_t)size, " namespace=%lld keys=%d",
                         (long long)keys->namespace_, keys->n);
    }
    if (hits >= 0) { size += snprintf(text + size, sizeof text - (size_t)size, " found=%lld", (long long)hits); }
    snprintf(text + size, sizeof text - (size_t)size, " %s %.1f us", status == SABOT_OK ? "ok" : "failed",
             (double)(env_now_ns(self->env) - began_ns) / 1000);
    self->line(self->arg, text);
    return status;
}

static sabot_status trace_open(const struct kv_open *open, struct kv_table **out, struct sabot_error *err) {
    (void)open;
    *out = NULL;
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a trace is put before a table that is open");
}

static void trace_close(struct kv_table *table) {
    struct kv_trace *self = trace_of(table);
    self->inner->backend->close(self->inner);
    free(self);
}

#define CALL(name, keys, hits, call)                                                                                   \
    struct kv_trace *self = trace_of(table);                                                                           \
    struct kv_table *inner = self->inner;                                                                              \
    const int64_t began_ns = env_now_ns(self->env);                                                                    \
    const sabot_status status = inner->backend->call;                                                                  \
    return told(self, name, keys, began_ns, hits, status)

static int64_t hits_of(const struct kv_keys *keys, const bool *found, sabot_status status) {
    int64_t hits = 0;
    for (int32_t i = 0; status == SABOT_OK && i < keys->n; i++) { hits += found[i]; }
    return hits;
}

static sabot_status trace_get(struct kv_table *table, const struct kv_keys *keys, void *values, bool *found,
                              struct sabot_error *err) {
    CALL("get", keys, hits_of(keys, found, status), get(inner, keys, values, found, err));
}
static sabot_status trace_put(struct kv_table *table, const struct kv_keys *keys, const void *values,
                              struct sabot_error *err) {
    CALL("put", keys, -1, put(inner, keys, values, err));
}
static sabot_status trace_remove(struct kv_table *table, const struct kv_keys *keys, struct sabot_error *err) {
    CALL("remove", keys, -1, erase(inner, keys, err));
}
static sabot_status trace_add(struct kv_table *table, const struct kv_keys *keys, const int64_t *deltas,
                              struct sabot_error *err) {
    CALL("add", keys, -1, add(inner, keys, deltas, err));
}

struct counted {
    kv_each each;
    void *arg;
    int64_t n;
};

static bool count(void *arg, const struct kv_entry *entry) {
    struct counted *counted = arg;
    counted->n++;
    return counted->each(counted->arg, entry);
}

static sabot_status trace_scan(struct kv_table *table, int64_t namespace_, const void *key, kv_each each, void *arg,
                               struct sabot_error *err) {
    const struct kv_keys keys = {.namespace_ = namespace_, .n = key != NULL};
    struct counted counted = {each, arg, 0};
    CALL("scan", &keys, counted.n, scan(inner, namespace_, key, count, &counted, err));
}
static sabot_status trace_clear(struct kv_table *table, int64_t namespace_, struct sabot_error *err) {
    const struct kv_keys keys = {.namespace_ = namespace_};
    CALL("clear", &keys, -1, clear(inner, namespace_, err));
}
static sabot_status trace_sweep(struct kv_table *table, int32_t entries, struct sabot_error *err) {
    CALL("sweep", NULL, -1, sweep(inner, entries, err));
}
static sabot_status trace_flush(struct kv_table *table, struct sabot_error *err) {
    CALL("flush", NULL, -1, flush(inner, err));
}

static sabot_status trace_freeze(struct kv_table *table, struct capture *capture, struct sabot_error *err) {
    CALL("freeze", NULL, -1, freeze(inner, capture, err));
}
static bool trace_copy(struct kv_table *table, int32_t slots) {
    struct kv_table *inner = trace_of(table)->inner;
    return inner->backend->copy(inner, slots);
}
static void trace_thaw(struct kv_table *table) {
    struct kv_table *inner = trace_of(table)->inner;
    inner->backend->thaw(inner);
}

static const struct kv_backend kv_trace = {
    .name = "trace",
    .open = trace_open,
    .close = trace_close,
    .get = trace_get,
    .put = trace_put,
    .erase = trace_remove,
    .add = trace_add,
    .scan = trace_scan,
    .clear = trace_clear,
    .sweep = trace_sweep,
    .flush = trace_flush,
    .freeze = trace_freeze,
    .copy = trace_copy,
    .thaw = trace_thaw,
};
