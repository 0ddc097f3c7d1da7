/* Passes every call of env.h on to its world, and what is the same in all worlds: whole files, folders on the way. */
#include "base/env_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX ((size_t)64 * 1024 * 1024)
#define PATH_SIZE_MAX 4096
#define NAMES_MAX ((size_t)10 * 1000 * 1000)

int64_t env_now_ns(struct env *env) { return env->type->now_ns(env); }
int64_t env_wall_ns(struct env *env) { return env->type->wall_ns(env); }
int64_t env_wall_ms(struct env *env) { return env->type->wall_ns(env) / 1000000; }
uint64_t env_random(struct env *env) { return env->type->random(env); }
int64_t env_cpu_ns(struct env *env) { return env->type->cpu_ns(env); }
struct env_memory env_memory_now(struct env *env) { return env->type->memory_now(env); }
int64_t env_page_faults(struct env *env) { return env->type->page_faults(env); }
int64_t env_rss_bytes(struct env *env) { return env->type->memory_now(env).resident; }
int env_cores(struct env *env) { return env->type->cores(env); }
int64_t env_memory_bytes(struct env *env) { return env->type->memory_bytes(env); }
void env_point(struct env *env, enum env_point point) {
    if (__builtin_expect(env->has_point, false)) { env->type->point(env, point); }
}
bool env_is_simulated(const struct env *env) { return env->type->simulated; }

sabot_status env_open(struct env *env, const char *path, enum env_open mode, struct env_file **out,
                      struct sabot_error *err) {
    *out = NULL;
    return env->type->open(env, path, mode, out, err);
}

sabot_status env_read(struct env_file *file, int64_t offset, void *target, size_t size, size_t *got,
                      struct sabot_error *err) {
    return file->type->read(file, offset, target, size, got, err);
}

sabot_status env_write(struct env_file *file, const void *data, size_t size, struct sabot_error *err) {
    return file->type->write(file, data, size, err);
}

sabot_status env_sync(struct env_file *file, struct sabot_error *err) { return file->type->sync(file, err); }

sabot_status env_file_stat(struct env_file *file, struct env_stat *out, struct sabot_error *err) {
    return file->type->file_stat(file, out, err);
}

void env_close(struct env_file *file) {
    if (file) { file->type->close(file); }
}

struct env_file *env_stdin(struct env *env) { return env->type->standard(env, 0); }
struct env_file *env_stdout(struct env *env) { return env->type->standard(env, 1); }
struct env_file *env_stderr(struct env *env) { return env->type->standard(env, 2); }
bool env_is_terminal(struct env_file *file) { return file->type->is_terminal(file); }

sabot_status env_stat(struct env *env, const char *path, struct env_stat *out, struct sabot_error *err) {
    return env->type->stat(env, path, out, err);
}

sabot_status env_rename(struct env *env, const char *from, const char *to, struct sabot_error *err) {
    return env->type->rename(env, from, to, err);
}

sabot_status env_rename_new(struct env *env, const char *from, const char *to, bool *done, struct sabot_error *err) {
    *done = false;
    return env->type->rename_new(env, from, to, done, err);
}

sabot_status env_sync_folder(struct env *env, const char *path, struct sabot_error *err) {
    return env->type->sync_folder(env, path, err);
}

sabot_status env_remove(struct env *env, const char *path, struct sabot_error *err) {
    return env->type->remove(env, path, err);
}

sabot_status env_make_dirs(struct env *env, const char *path, struct sabot_error *err) {
    char part[PATH_SIZE_MAX];
    const size_t size = strlen(path);
    if (size == 0 || size >= sizeof part) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "make the folder %.100s: a path has 1 to %d bytes", path,
                          PATH_SIZE_MAX - 1);
    }
    for (size_t i = 1; i < size; i++) {
        if (path[i] != '/' || path[i - 1] == '/') { continue; }
        memcpy(part, path, i);
        part[i] = '\0';
        SABOT_TRY(env->type->make_dir(env, part, err));
    }
    return env->type->make_dir(env, path, err);
}

sabot_status env_list(struct env *env, const char *path, char ***names, size_t *n_names, struct sabot_error *err) {
    *names = NULL;
    *n_names = 0;
    return env->type->list(env, path, names, n_names, err);
}

void env_names_free(char **names, size_t n_names) {
    for (size_t i = 0; i < n_names; i++) { free(names[i]); }
    free(names);
}

bool env_names_add(char ***names, size_t *n_names, size_t *capacity, const char *name) {
    if (*n_names == *capacity) {
        if (*n_names >= NAMES_MAX) { return false; }
        const size_t wanted = *capacity ? *capacity * 2 : 16;
        char **grown = realloc(*names, wanted * sizeof *grown);
        if (!grown) { return false; }
        *names = grown;
        *capacity = wanted;
    }
    char *copy = strdup(name);
    if (!copy) { return false; }
    (*names)[(*n_names)++] = copy;
    return true;
}

static int name_compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void env_names_sort(char **names, size_t n_names) {
    if (n_names > 1) { qsort(names, n_names, sizeof *names, name_compare); }
}

static sabot_status read_all(struct env_file *file, const char *path, char **data, size_t *size,
                             struct sabot_error *err) {
    struct env_stat stat;
    SABOT_TRY(env_file_stat(file, &stat, err));
    /* the size is only a hint: pipes and files under /proc say 0 */
    size_t capacity = stat.size > 0 && (size_t)stat.size < FILE_SIZE_MAX ? (size_t)stat.size + 1 : 4096;
    char *bytes = malloc(capacity + 1);
    size_t used = 0;
    for (;;) {
        if (!bytes) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "read %s: no memory for %zu bytes", path, capacity); }
        size_t got = 0;
        const sabot_status status = env_read(file, -1, bytes + used, capacity - used, &got, err);
        if (status != SABOT_OK) {
            free(bytes);
            return status;
        }
        used += got;
        if (got == 0) { break; }
        if (used < capacity) { continue; }
        if (used > FILE_SIZE_MAX) {
            free(bytes);
            return SABOT_FAIL(err, SABOT_ERR_DATA, "read %s: it has more than %zu MiB, which is the limit for a file "
                              "that is read as a whole", path, FILE_SIZE_MAX >> 20);
        }
        capacity *= 2;
        char *grown = realloc(bytes, capacity + 1);
        if (!grown) { free(bytes); }
        bytes = grown;
    }
    bytes[used] = '\0';
    *data = bytes;
    *size = used;
    return SABOT_OK;
}

sabot_status env_read_file(struct env *env, const char *path, char **data, size_t *size, struct sabot_error *err) {
    *data = NULL;
    *size = 0;
    struct env_file *file;
    SABOT_TRY(env_open(env, path, ENV_READ, &file, err));
    const sabot_status status = read_all(file, path, data, size, err);
    env_close(file);
    return status;
}

sabot_status env_write_file(struct env *env, const char *path, const void *data, size_t size,
                            struct sabot_error *err) {
    char temporary[PATH_SIZE_MAX];
    const int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "write %.100s...: a path has at most %d bytes", path,
                          PATH_SIZE_MAX - 5);
    }
    struct env_file *file;
    SABOT_TRY(env_open(env, temporary, ENV_WRITE_TRUNCATE, &file, err));
    sabot_status status = env_write(file, data, size, err);
    if (status == SABOT_OK) { status = env_sync(file, err); }
    env_close(file);
    if (status == SABOT_OK) { status = env_rename(env, temporary, path, err); }
    if (status != SABOT_OK) { env_remove(env, temporary, NULL); }
    return status;
}

sabot_status env_map_open(struct env *env, const char *folder, size_t size, bool grows, struct env_map *out,
                          struct sabot_error *err) {
    return env->type->map_open(env, folder, size, grows, out, err);
}

sabot_status env_map_resize(struct env *env, struct env_map *map, size_t size, struct sabot_error *err) {
    assert(env_map_grows(map));
    return env->type->map_resize(env, map, size, err);
}

void env_map_drop(struct env *env, const struct env_map *map, size_t offset, size_t size) {
    env->type->map_drop(env, map, offset, size);
}

void env_map_close(struct env *env, struct env_map *map) { env->type->map_close(env, map); }

sabot_status env_thread_start(struct env *env, const char *name, void (*run)(void *arg), void *arg,
                              struct env_thread **out, struct sabot_error *err) {
    *out = NULL;
    return env->type->thread_start(env, name, run, arg, out, err);
}
void env_thread_join(struct env_thread *thread) { thread->type->thread_join(thread); }
struct env_event *env_event_new(struct env *env) { return env->type->event_new(env); }
void env_event_set(struct env_event *event) { event->type->event_set(event); }
bool env_event_wait(struct env_event *event, int64_t timeout_ns) { return event->type->event_wait(event, timeout_ns); }
void env_event_free(struct env_event *event) {
    if (event) { event->type->event_free(event); }
}
struct env_mutex *env_mutex_new(struct env *env) { return env->type->mutex_new(env); }
void env_mutex_lock(struct env_mutex *mutex) { mutex->type->mutex_lock(mutex); }
void env_mutex_unlock(struct env_mutex *mutex) { mutex->type->mutex_unlock(mutex); }
void env_mutex_free(struct env_mutex *mutex) {
    if (mutex) { mutex->type->mutex_free(mutex); }
}
void env_sleep_ns(struct env *env, int64_t ns) { env->type->sleep_ns(env, ns); }

sabot_status env_offload(struct env *env, void (*run)(void *arg), void *arg, struct sabot_error *err) {
    return env->type->offload(env, false, run, arg, err);
}

sabot_status env_offload_patient(struct env *env, void (*run)(void *arg), void *arg, struct sabot_error *err) {
    return env->type->offload(env, true, run, arg, err);
}
