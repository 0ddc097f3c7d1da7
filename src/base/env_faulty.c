/* The world whose files fail: see env_faulty.h. */
#include "base/env_faulty.h"

#include "base/env_impl.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const env_fault_op_names[ENV_FAULT_N_OPS] = {
#define X(symbol, name) name,
    ENV_FAULT_OPS(X)
#undef X
};
const char *const env_fault_kind_names[ENV_FAULT_N_KINDS] = {
#define X(symbol, name) name,
    ENV_FAULT_KINDS(X)
#undef X
};

struct faulty {
    struct env env;
    struct env *inner;
    struct env_fault fault;
    _Atomic int64_t counts[ENV_FAULT_N_OPS];
    _Atomic bool fired;
};

struct faulty_file {
    struct env_file base;
    struct faulty *world;
    struct env_file *inner;
    char path[]; /* for messages */
};

static const struct env_type faulty_type;

static struct faulty *faulty_of(const struct env *env) {
    assert(env->type == &faulty_type);
    return (struct faulty *)env;
}
static struct env *inner_of(const struct env *env) { return faulty_of(env)->inner; }

bool env_fault_applies(enum env_fault_op op, enum env_fault_kind kind) {
    const bool makes_bytes = op == ENV_FAULT_WRITE || op == ENV_FAULT_OPEN || op == ENV_FAULT_MAKE_DIR ||
                             op == ENV_FAULT_RENAME || op == ENV_FAULT_MAP || op == ENV_FAULT_SYNC;
    switch (kind) {
    case ENV_FAULT_KIND_ERROR: return true;
    case ENV_FAULT_KIND_DONE:
        return op == ENV_FAULT_WRITE || op == ENV_FAULT_SYNC || op == ENV_FAULT_RENAME || op == ENV_FAULT_REMOVE ||
               op == ENV_FAULT_MAKE_DIR;
    case ENV_FAULT_KIND_TORN: return op == ENV_FAULT_WRITE;
    case ENV_FAULT_KIND_SHORT: return op == ENV_FAULT_READ;
    case ENV_FAULT_KIND_CRASH: return op != ENV_FAULT_READ && op != ENV_FAULT_STAT && op != ENV_FAULT_LIST;
    case ENV_FAULT_KIND_FULL: return makes_bytes;
    case ENV_FAULT_N_KINDS: break;
    }
    return false;
}

static int name_find(const char *const *names, int n, const char *text, size_t size) {
    for (int i = 0; i < n; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], text, size) == 0) { return i; }
    }
    return -1;
}

bool env_fault_parse(const char *text, struct env_fault *out) {
    const size_t size = strcspn(text, ":");
    const int op = name_find(env_fault_op_names, ENV_FAULT_N_OPS, text, size);
    if (op < 0 || !text[size]) { return false; }
    char *rest;
    const long long at = strtoll(text + size + 1, &rest, 10);
    const int kind = *rest == ':' ? name_find(env_fault_kind_names, ENV_FAULT_N_KINDS, rest + 1, strlen(rest + 1)) : -1;
    *out = (struct env_fault){.op = (enum env_fault_op)op, .kind = (enum env_fault_kind)kind, .at = at};
    return at > 0 && kind >= 0 && env_fault_applies(out->op, out->kind);
}

/* --- which call goes wrong, and how */

/* Counts this call. ENV_FAULT_N_KINDS: it goes well. */
static enum env_fault_kind fault_of(struct faulty *world, enum env_fault_op op) {
    const int64_t n = atomic_fetch_add_explicit(&world->counts[op], 1, memory_order_relaxed) + 1;
    const struct env_fault *fault = &world->fault;
    if (fault->at == 0) { return ENV_FAULT_N_KINDS; }
    if (fault->kind == ENV_FAULT_KIND_FULL && atomic_load(&world->fired)) {
        return env_fault_applies(op, ENV_FAULT_KIND_FULL) ? ENV_FAULT_KIND_FULL : ENV_FAULT_N_KINDS;
    }
    if (op != fault->op || n != fault->at) { return ENV_FAULT_N_KINDS; }
    atomic_store(&world->fired, true);
    return fault->kind;
}

static _Noreturn void crash(void) {
    raise(SIGKILL);
    abort();
}

static sabot_status fail(enum env_fault_kind kind, const char *what, const char *path, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_IO, "%s %s: %s", what, path,
                      kind == ENV_FAULT_KIND_FULL ? "No space left on device" : "Input/output error");
}

/* A call that is done whole or not at all. */
#define WHOLE(world, op, what, path, err, call)                                                                        \
    do {                                                                                                               \
        const enum env_fault_kind kind = fault_of((world), (op));                                                      \
        if (kind == ENV_FAULT_KIND_ERROR || kind == ENV_FAULT_KIND_FULL) { return fail(kind, (what), (path), (err)); } \
        const sabot_status status = (call);                                                                            \
        if (kind == ENV_FAULT_KIND_CRASH) { crash(); }                                                                 \
        if (kind == ENV_FAULT_KIND_DONE && status == SABOT_OK) { return fail(kind, (what), (path), (err)); }           \
        return status;                                                                                                 \
    } while (0)

/* --- files */

static sabot_status faulty_open(struct env *env, const char *path, enum env_open mode, struct env_file **out,
                                struct sabot_error *err) {
    struct faulty *world = faulty_of(env);
    const enum env_fault_kind kind = fault_of(world, ENV_FAULT_OPEN);
    /* a full disk can still be read */
    if (kind == ENV_FAULT_KIND_ERROR || (kind == ENV_FAULT_KIND_FULL && !env_open_reads(mode))) {
        return fail(kind, "open", path, err);
    }
    struct faulty_file *file = malloc(sizeof *file + strlen(path) + 1);
    if (!file) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "open %s: no memory", path); }
    *file = (struct faulty_file){.base = {&faulty_type}, .world = world};
    strcpy(file->path, path);
    const sabot_status status = env_open(world->inner, path, mode, &file->inner, err);
    if (kind == ENV_FAULT_KIND_CRASH) { crash(); }
    if (status != SABOT_OK) {
        free(file);
        return status;
    }
    *out = &file->base;
    return SABOT_OK;
}

static sabot_status faulty_read(struct env_file *base, int64_t offset, void *target, size_t size, size_t *got,
                                struct sabot_error *err) {
    struct faulty_file *file = (struct faulty_file *)base;
    const enum env_fault_kind kind = fault_of(file->world, ENV_FAULT_READ);
    if (kind == ENV_FAULT_KIND_ERROR) { return fail(kind, "read", file->path, err); }
    if (kind == ENV_FAULT_KIND_SHORT && size > 1) { size = size / 2; }
    return env_read(file->inner, offset, target, size, got, err);
}

static sabot_status faulty_write(struct env_file *base, const void *data, size_t size, struct sabot_error *err) {
    struct faulty_file *file = (struct faulty_file *)base;
    const enum env_fault_kind kind = fault_of(file->world, ENV_FAULT_WRITE);
    if (kind == ENV_FAULT_KIND_ERROR) { return fail(kind, "write", file->path, err); }
    const bool half = kind == ENV_FAULT_KIND_TORN || kind == ENV_FAULT_KIND_CRASH || kind == ENV_FAULT_KIND_FULL;
    const sabot_status status = env_write(file->inner, data, half ? size / 2 : size, err);
    if (kind == ENV_FAULT_KIND_CRASH) { crash(); }
    if (status != SABOT_OK || kind == ENV_FAULT_N_KINDS) { return status; }
    return fail(kind, "write", file->path, err);
}

static sabot_status faulty_sync(struct env_file *base, struct sabot_error *err) {
    struct faulty_file *file = (struct faulty_file *)base;
    WHOLE(file->world, ENV_FAULT_SYNC, "sync", file->path, err, env_sync(file->inner, err));
}

static sabot_status faulty_file_stat(struct env_file *base, struct env_stat *out, struct sabot_error *err) {
    struct faulty_file *file = (struct faulty_file *)base;
    WHOLE(file->world, ENV_FAULT_STAT, "look at", file->path, err, env_file_stat(file->inner, out, err));
}

static void faulty_close(struct env_file *base) {
    struct faulty_file *file = (struct faulty_file *)base;
    env_close(file->inner);
    free(file);
}

static sabot_status faulty_stat(struct env *env, const char *path, struct env_stat *out, struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_STAT, "look at", path, err, env_stat(inner_of(env), path, out, err));
}

static sabot_status faulty_rename(struct env *env, const char *from, const char *to, struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_RENAME, "rename", from, err, env_rename(inner_of(env), from, to, err));
}

static sabot_status faulty_rename_new(struct env *env, const char *from, const char *to, bool *done,
                                      struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_RENAME, "rename", from, err, env_rename_new(inner_of(env), from, to, done, err));
}

static sabot_status faulty_sync_folder(struct env *env, const char *path, struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_SYNC, "sync", path, err, env_sync_folder(inner_of(env), path, err));
}

static sabot_status faulty_remove(struct env *env, const char *path, struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_REMOVE, "remove", path, err, env_remove(inner_of(env), path, err));
}

static sabot_status faulty_make_dir(struct env *env, const char *path, struct sabot_error *err) {
    struct env *inner = inner_of(env);
    struct env_stat found;
    if (env_stat(inner, path, &found, NULL) == SABOT_OK) { return inner->type->make_dir(inner, path, err); }
    WHOLE(faulty_of(env), ENV_FAULT_MAKE_DIR, "make the folder", path, err, inner->type->make_dir(inner, path, err));
}

static sabot_status faulty_list(struct env *env, const char *path, char ***names, size_t *n_names,
                                struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_LIST, "list the folder", path, err,
          env_list(inner_of(env), path, names, n_names, err));
}

/* --- maps, threads, helpers */

static sabot_status faulty_map_open(struct env *env, const char *folder, size_t size, bool grows, struct env_map *out,
                                    struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_MAP, "reserve space for state in", folder ? folder : "the spill folder", err,
          env_map_open(inner_of(env), folder, size, grows, out, err));
}

static sabot_status faulty_map_resize(struct env *env, struct env_map *map, size_t size, struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_MAP, "reserve space for state in", "the spill folder", err,
          env_map_resize(inner_of(env), map, size, err));
}

static sabot_status faulty_thread_start(struct env *env, const char *name, void (*run)(void *arg), void *arg,
                                        struct env_thread **out, struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_THREAD, "start thread", name, err,
          env_thread_start(inner_of(env), name, run, arg, out, err));
}

static sabot_status faulty_offload(struct env *env, bool patient, void (*run)(void *arg), void *arg,
                                   struct sabot_error *err) {
    WHOLE(faulty_of(env), ENV_FAULT_OFFLOAD, "start", "a helper thread", err,
          inner_of(env)->type->offload(inner_of(env), patient, run, arg, err));
}

/* --- what never fails */

static int64_t faulty_now_ns(struct env *env) { return env_now_ns(inner_of(env)); }
static int64_t faulty_wall_ns(struct env *env) { return env_wall_ns(inner_of(env)); }
static uint64_t faulty_random(struct env *env) { return env_random(inner_of(env)); }
static int64_t faulty_cpu_ns(struct env *env) { return env_cpu_ns(inner_of(env)); }
static struct env_memory faulty_memory_now(struct env *env) { return env_memory_now(inner_of(env)); }
static int64_t faulty_page_faults(struct env *env) { return env_page_faults(inner_of(env)); }
static int faulty_cores(struct env *env) { return env_cores(inner_of(env)); }
static int64_t faulty_memory_bytes(struct env *env) { return env_memory_bytes(inner_of(env)); }
static struct env_file *faulty_standard(struct env *env, int number) {
    struct env *inner = inner_of(env);
    return inner->type->standard(inner, number);
}
static void faulty_map_drop(struct env *env, const struct env_map *map, size_t offset, size_t size) {
    env_map_drop(inner_of(env), map, offset, size);
}
static void faulty_map_close(struct env *env, struct env_map *map) { env_map_close(inner_of(env), map); }
static struct env_event *faulty_event_new(struct env *env) { return env_event_new(inner_of(env)); }
static struct env_mutex *faulty_mutex_new(struct env *env) { return env_mutex_new(inner_of(env)); }
static void faulty_sleep_ns(struct env *env, int64_t ns) { env_sleep_ns(inner_of(env), ns); }
static void faulty_point(struct env *env, enum env_point point) { env_point(inner_of(env), point); }

/* Threads, events, mutexes and the standard files are the inner world's own, and call it. */
static const struct env_type faulty_type = {
    .simulated = false,
    .now_ns = faulty_now_ns,
    .wall_ns = faulty_wall_ns,
    .random = faulty_random,
    .cpu_ns = faulty_cpu_ns,
    .memory_now = faulty_memory_now,
    .page_faults = faulty_page_faults,
    .cores = faulty_cores,
    .memory_bytes = faulty_memory_bytes,
    .open = faulty_open,
    .read = faulty_read,
    .write = faulty_write,
    .sync = faulty_sync,
    .file_stat = faulty_file_stat,
    .close = faulty_close,
    .standard = faulty_standard,
    .stat = faulty_stat,
    .rename = faulty_rename,
    .rename_new = faulty_rename_new,
    .sync_folder = faulty_sync_folder,
    .remove = faulty_remove,
    .make_dir = faulty_make_dir,
    .list = faulty_list,
    .map_open = faulty_map_open,
    .map_resize = faulty_map_resize,
    .map_drop = faulty_map_drop,
    .map_close = faulty_map_close,
    .thread_start = faulty_thread_start,
    .event_new = faulty_event_new,
    .mutex_new = faulty_mutex_new,
    .sleep_ns = faulty_sleep_ns,
    .offload = faulty_offload,
    .point = faulty_point,
};

/* --- the world itself */

struct env *env_faulty_new(struct env *inner, const struct env_fault *fault) {
    assert(!env_is_simulated(inner));
    struct faulty *world = calloc(1, sizeof *world);
    if (!world) {
        fprintf(stderr, "sabot: no memory for a world with faults\n");
        abort();
    }
    world->env = (struct env){.type = &faulty_type, .has_point = inner->has_point};
    world->inner = inner;
    if (fault) { world->fault = *fault; }
    return &world->env;
}

void env_faulty_free(struct env *env) { free(env); }

void env_faulty_set(struct env *env, const struct env_fault *fault) {
    struct faulty *world = faulty_of(env);
    world->fault = *fault;
    atomic_store(&world->fired, false);
    for (int i = 0; i < ENV_FAULT_N_OPS; i++) { atomic_store(&world->counts[i], 0); }
}

int64_t env_faulty_count(const struct env *env, enum env_fault_op op) {
    return atomic_load(&faulty_of(env)->counts[op]);
}

bool env_faulty_fired(const struct env *env) { return atomic_load(&faulty_of(env)->fired); }
