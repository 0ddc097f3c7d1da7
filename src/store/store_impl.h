/* What the remote side provides to store.c, and the parts of the handles that both know. */
#ifndef STORE_STORE_IMPL_H
#define STORE_STORE_IMPL_H

#include "store/store.h"

#define STORE_PATH_MAX 4096

struct remotes; /* the clients that are open, by scheme and host */

struct store {
    struct env *env;
    struct store_setting *settings;
    int32_t n_settings;
    struct env_mutex *mutex;
    struct remotes *remotes; /* under the mutex */
    const _Atomic bool *stop; /* its own, or that of the one it was made from */
    _Atomic bool own_stop;
    struct memory_pool *pool; /* of buffers; NULL: they are not charged */
};

struct store_file {
    struct store *store;
    bool is_remote;
    int64_t size;
};
struct store_writer {
    struct store *store;
    bool is_remote;
    enum store_visible visible;
    char path[STORE_PATH_MAX]; /* where it becomes visible */
};

/* Appends an entry, growing; takes no memory of `name`. */
struct store_entries {
    struct store_entry *items;
    size_t n, capacity;
};
sabot_status store_entries_add(struct store_entries *entries, const char *name, size_t name_size,
                               const struct env_stat *stat, struct sabot_error *err);
sabot_status store_path_join(const char *folder, const char *name, char target[STORE_PATH_MAX],
                             struct sabot_error *err);

void remotes_free(struct store *store);
sabot_status remote_stat(struct store *store, const char *path, struct env_stat *out, struct sabot_error *err);
sabot_status remote_make_dirs(struct store *store, const char *path, struct sabot_error *err);
sabot_status remote_list(struct store *store, const char *path, struct store_entries *entries,
                         struct sabot_error *err);
sabot_status remote_read_file(struct store *store, const char *path, size_t size_max, char **data, size_t *size,
                              struct sabot_error *err);
sabot_status remote_put_new(struct store *store, const char *path, const void *data, size_t size, bool *won,
                            struct sabot_error *err);
sabot_status remote_remove(struct store *store, const char *path, bool tree, struct sabot_error *err);
sabot_status remote_open(struct store *store, const char *path, struct store_file **out, struct sabot_error *err);
sabot_status remote_read(struct store_file *file, int64_t offset, void *target, size_t size, size_t *got,
                         struct sabot_error *err);
void remote_close(struct store_file *file);
sabot_status remote_create(struct store *store, const char *path, enum store_visible visible,
                           struct store_writer **out, struct sabot_error *err);
sabot_status remote_write(struct store_writer *writer, const void *data, size_t size, struct sabot_error *err);
sabot_status remote_finish(struct store_writer *writer, struct sabot_error *err);
sabot_status remote_prepare(struct store_writer *writer, struct text *ticket, struct sabot_error *err);
void remote_writer_close(struct store_writer *writer);
sabot_status remote_commit(struct store *store, const char *folder, const char *ticket, struct sabot_error *err);
sabot_status remote_hidden(struct store *store, const char *folder, char ***tickets, size_t *n,
                           struct sabot_error *err);
sabot_status remote_abandon(struct store *store, const char *folder, const char *ticket, struct sabot_error *err);

#endif
