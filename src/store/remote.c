/* S3 and HDFS through the library of bridge/remote. */
#include "store/store_impl.h"

static sabot_status refused(const char *path, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "%s: this build reaches no S3 and no HDFS; name a local path", path);
}
void remotes_free(struct store *store) { (void)store; }
sabot_status remote_stat(struct store *store, const char *path, struct env_stat *out, struct sabot_error *err) {
    (void)store, (void)out;
    return refused(path, err);
}
sabot_status remote_make_dirs(struct store *store, const char *path, struct sabot_error *err) {
    (void)store;
    return refused(path, err);
}
sabot_status remote_list(struct store *store, const char *path, struct store_entries *entries,
                         struct sabot_error *err) {
    (void)store, (void)entries;
    return refused(path, err);
}
sabot_status remote_read_file(struct store *store, const char *path, size_t size_max, char **data, size_t *size,
                              struct sabot_error *err) {
    (void)store, (void)size_max, (void)data, (void)size;
    return refused(path, err);
}
sabot_status remote_put_new(struct store *store, const char *path, const void *data, size_t size, bool *won,
                            struct sabot_error *err) {
    (void)store, (void)data, (void)size, (void)won;
    return refused(path, err);
}
sabot_status remote_remove(struct store *store, const char *path, bool tree, struct sabot_error *err) {
    (void)store, (void)tree;
    return refused(path, err);
}
sabot_status remote_open(struct store *store, const char *path, struct store_file **out, struct sabot_error *err) {
    (void)store, (void)out;
    return refused(path, err);
}
sabot_status remote_read(struct store_file *file, int64_t offset, void *target, size_t size, size_t *got,
                         struct sabot_error *err) {
    (void)file, (void)offset, (void)target, (void)size, (void)got;
    return refused("", err);
}
void remote_close(struct store_file *file) { (void)file; }
sabot_status remote_create(struct store *store, const char *path, enum store_visible visible,
                           struct store_writer **out, struct sabot_error *err) {
    (void)store, (void)visible, (void)out;
    return refused(path, err);
}
sabot_status remote_write(struct store_writer *writer, const void *data, size_t size, struct sabot_error *err) {
    (void)data, (void)size;
    return refused(writer->path, err);
}
sabot_status remote_finish(struct store_writer *writer, struct sabot_error *err) { return refused(writer->path, err); }
sabot_status remote_prepare(struct store_writer *writer, struct text *ticket, struct sabot_error *err) {
    (void)ticket;
    return refused(writer->path, err);
}
void remote_writer_close(struct store_writer *writer) { (void)writer; }
sabot_status remote_commit(struct store *store, const char *folder, const char *ticket, struct sabot_error *err) {
    (void)store, (void)ticket;
    return refused(folder, err);
}
sabot_status remote_hidden(struct store *store, const char *folder, char ***tickets, size_t *n,
                           struct sabot_error *err) {
    (void)store, (void)tickets, (void)n;
    return refused(folder, err);
}
sabot_status remote_abandon(struct store *store, const char *folder, const char *ticket, struct sabot_error *err) {
    (void)store, (void)ticket;
    return refused(folder, err);
}
