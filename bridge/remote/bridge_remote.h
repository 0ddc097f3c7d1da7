/* S3 and HDFS behind a C ABI: what libsabot_remote.so exports is one function that gives this table.
 *
 * Paths: for S3 the key in the bucket, for HDFS the path below the namenode. All calls block, on the caller's thread;
 * time-outs and retries are bounded by what open was told. A handle may be used by several threads at once, a writer by
 * one. Errors: struct sabot_error, NULL is allowed; no panic leaves the library. */
#ifndef BRIDGE_REMOTE_H
#define BRIDGE_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sabot/error.h"

#define BRIDGE_REMOTE_VERSION 3

struct bridge_fs;
struct bridge_fs_writer;
struct bridge_stat {
    uint64_t size;
    int64_t modified_ms;
    bool is_directory;
};

struct bridge_remote {
    uint32_t version;
    size_t error_size; /* sizeof(struct sabot_error) as the library knows it */
    /* `url` names the bucket or the namenode. Settings by key, as in src/store/settings.def. While *stop, no call waits
     * for long (ERR_CANCELLED); it must outlive the handle. */
    int32_t (*open)(const char *url, const char *const *keys, const char *const *values, size_t n, uint64_t timeout_ms,
                    uint32_t retries, const _Atomic bool *stop, struct bridge_fs **out, struct sabot_error *err);
    void (*close)(struct bridge_fs *fs);
    int32_t (*stat)(const struct bridge_fs *fs, const char *path, struct bridge_stat *out, struct sabot_error *err);
    int32_t (*make_dirs)(const struct bridge_fs *fs, const char *path, struct sabot_error *err);
    int32_t (*list)(const struct bridge_fs *fs, const char *path,
                    int32_t (*on_entry)(void *context, const char *name, size_t size, const struct bridge_stat *stat),
                    void *context, struct sabot_error *err);
    /* All `size` bytes, which must be there. */
    int32_t (*read)(const struct bridge_fs *fs, const char *path, uint64_t offset, void *target, size_t size,
                    struct sabot_error *err);
    int32_t (*put_new)(const struct bridge_fs *fs, const char *path, const void *data, size_t size, bool *won,
                       struct sabot_error *err);
    int32_t (*put)(const struct bridge_fs *fs, const char *path, const void *data, size_t size,
                   struct sabot_error *err); /* S3 */
    int32_t (*remove)(const struct bridge_fs *fs, const char *path, bool tree, struct sabot_error *err);
    int32_t (*rename)(const struct bridge_fs *fs, const char *from, const char *to, struct sabot_error *err); /* HDFS */
    /* S3: an upload in parts; ids and tags are words. */
    int32_t (*upload_begin)(const struct bridge_fs *fs, const char *path, char *id, size_t id_size,
                            struct sabot_error *err);
    int32_t (*upload_part)(const struct bridge_fs *fs, const char *path, const char *id, size_t index, const void *data,
                           size_t size, char *tag, size_t tag_size, struct sabot_error *err);
    int32_t (*upload_complete)(const struct bridge_fs *fs, const char *path, const char *id, const char *const *tags,
                               size_t n, struct sabot_error *err); /* can be repeated */
    int32_t (*upload_abort)(const struct bridge_fs *fs, const char *path, const char *id, struct sabot_error *err);
    int32_t (*uploads)(const struct bridge_fs *fs, const char *prefix,
                       int32_t (*on_upload)(void *context, const char *key, size_t key_size, const char *id,
                                            size_t id_size),
                       void *context, struct sabot_error *err);
    /* HDFS: a file that is written piece by piece; what is not finished is left closed as it is. The handle must
     * outlive it. */
    int32_t (*create)(const struct bridge_fs *fs, const char *path, struct bridge_fs_writer **out,
                      struct sabot_error *err);
    int32_t (*write)(struct bridge_fs_writer *writer, const void *data, size_t size, struct sabot_error *err);
    /* What was written is with the datanodes; the client keeps none of it any more. */
    int32_t (*flush)(struct bridge_fs_writer *writer, struct sabot_error *err);
    int32_t (*finish)(struct bridge_fs_writer *writer, struct sabot_error *err); /* durable and closed */
    void (*drop_writer)(struct bridge_fs_writer *writer);
};

const struct bridge_remote *sabot_remote(void);

#endif
