/* What a world has to provide: the table behind env.h. env.c calls it; env_real.c and env_sim.c fill it in.
 * Files, threads, events and mutexes start with the pointer to their world's table. */
#ifndef BASE_ENV_IMPL_H
#define BASE_ENV_IMPL_H

#include "base/env.h"

struct env_type {
    bool simulated;
    int64_t (*now_ns)(struct env *env);
    int64_t (*wall_ns)(struct env *env);
    uint64_t (*random)(struct env *env);
    int64_t (*cpu_ns)(struct env *env);
    struct env_memory (*memory_now)(struct env *env);
    int64_t (*page_faults)(struct env *env);
    int (*cores)(struct env *env);
    int64_t (*memory_bytes)(struct env *env);

    sabot_status (*open)(struct env *env, const char *path, enum env_open mode, struct env_file **out,
                         struct sabot_error *err);
    sabot_status (*read)(struct env_file *file, int64_t offset, void *target, size_t size, size_t *got,
                         struct sabot_error *err);
    sabot_status (*write)(struct env_file *file, const void *data, size_t size, struct sabot_error *err);
    sabot_status (*sync)(struct env_file *file, struct sabot_error *err);
    sabot_status (*file_stat)(struct env_file *file, struct env_stat *out, struct sabot_error *err);
    void (*close)(struct env_file *file);
    struct env_file *(*standard)(struct env *env, int number); /* 0 input, 1 output, 2 errors */
    bool (*is_terminal)(struct env_file *file);
    sabot_status (*stat)(struct env *env, const char *path, struct env_stat *out, struct sabot_error *err);
    sabot_status (*rename)(struct env *env, const char *from, const char *to, struct sabot_error *err);
    sabot_status (*rename_new)(struct env *env, const char *from, const char *to, bool *done,
                               struct sabot_error *err);
    sabot_status (*sync_folder)(struct env *env, const char *path, struct sabot_error *err);
    sabot_status (*remove)(struct env *env, const char *path, struct sabot_error *err);
    sabot_status (*make_dir)(struct env *env, const char *path, struct sabot_error *err); /* there already: OK */
    sabot_status (*list)(struct env *env, const char *path, char ***names, size_t *n_names, struct sabot_error *err);

    sabot_status (*map_open)(struct env *env, const char *folder, size_t size, bool grows, struct env_map *out,
                             struct sabot_error *err);
    sabot_status (*map_resize)(struct env *env, struct env_map *map, size_t size, struct sabot_error *err);
    void (*map_drop)(struct env *env, const struct env_map *map, size_t offset, size_t size);
    void (*map_close)(struct env *env, struct env_map *map);

    sabot_status (*thread_start)(struct env *env, const char *name, void (*run)(void *arg), void *arg,
                                 struct env_thread **out, struct sabot_error *err);
    void (*thread_join)(struct env_thread *thread);
    struct env_event *(*event_new)(struct env *env);
    void (*event_set)(struct env_event *event);
    bool (*event_wait)(struct env_event *event, int64_t timeout_ns);
    void (*event_free)(struct env_event *event);
    struct env_mutex *(*mutex_new)(struct env *env);
    void (*mutex_lock)(struct env_mutex *mutex);
    void (*mutex_unlock)(struct env_mutex *mutex);
    void (*mutex_free)(struct env_mutex *mutex);
    void (*sleep_ns)(struct env *env, int64_t ns);
    sabot_status (*offload)(struct env *env, bool patient, void (*run)(void *arg), void *arg, struct sabot_error *err);
    void (*point)(struct env *env, enum env_point point);
};

struct env {
    const struct env_type *type;
    bool has_point; /* the process is to end at a point: type->point is called at each */
};
struct env_file {
    const struct env_type *type;
};
struct env_thread {
    const struct env_type *type;
};
struct env_event {
    const struct env_type *type;
};
struct env_mutex {
    const struct env_type *type;
};

/* env_real_map.c */
struct env_memory real_memory_now(struct env *env);
int64_t real_page_faults(struct env *env);
sabot_status real_map_open(struct env *env, const char *folder, size_t size, bool grows, struct env_map *out,
                           struct sabot_error *err);
sabot_status real_map_resize(struct env *env, struct env_map *map, size_t size, struct sabot_error *err);
void real_map_drop(struct env *env, const struct env_map *map, size_t offset, size_t size);
void real_map_close(struct env *env, struct env_map *map);

/* Appends a copy of `name` to a growing list for `list`; false without memory. */
bool env_names_add(char ***names, size_t *n_names, size_t *capacity, const char *name);
void env_names_sort(char **names, size_t n_names);

#endif
