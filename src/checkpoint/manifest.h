/* The manifest of a checkpoint: what belongs to it, with a checksum for every file. A checkpoint is complete when its
 * manifest exists and is whole. The format is described in docs/formats/checkpoint.md. */
#ifndef CHECKPOINT_MANIFEST_H
#define CHECKPOINT_MANIFEST_H

#include "base/text.h"
#include "state/state.h"

#define MANIFEST_NAME "MANIFEST"
#define MANIFEST_VERSION 3 /* 3: chains whose rows are told apart by their keys */
#define MANIFEST_VERSION_READ 2
#define MANIFEST_ENTRIES_MAX 1000000
#define MANIFEST_SIZE_MAX ((size_t)64 << 20) /* bytes: what store_read_file reads */
#define CHECKSUM_SIZE 33 /* 32 hexadecimal digits of xxh3-128 and a NUL */

/* One operator instance that took part, whether or not it had state. */
struct manifest_operator {
    char *uid;
    int32_t subtask, parallelism;
    bool ended;    /* had given out its last row */
    char *meaning; /* of its state (op_spec); NULL: nothing, or of a version that did not say */
};
/* A file of one state table of one operator instance. Those of a chain follow each other, the base first. */
struct manifest_file {
    char *uid, *state;
    int32_t subtask, parallelism;
    enum state_kind kind;
    enum state_form form;
    bool shared; /* in the folder `shared` beside the checkpoint's own: other checkpoints may need it too */
    int32_t n_keys;
    int64_t rows;
    int32_t first_group, last_group; /* KEYED: the key groups of its rows, inclusive; -1 for lists */
    char *file;                      /* name in its folder */
    int64_t size;
    char checksum[CHECKSUM_SIZE];
};
struct manifest {
    char *job;
    int64_t checkpoint_id;
    int64_t timestamp_ms;
    int64_t epoch; /* of the lease that it was written under (lease.h); 0 = none */
    int32_t max_parallelism;
    struct manifest_operator *operators;
    int32_t n_operators, operators_capacity;
    struct manifest_file *files;
    int32_t n_files, files_capacity;
};

void manifest_clear(struct manifest *manifest);
void manifest_file_clear(struct manifest_file *item);
sabot_status manifest_file_copy(const struct manifest_file *item, struct manifest_file *out, struct sabot_error *err);
/* Take over the strings in what they add, on every path. */
sabot_status manifest_add_operator(struct manifest *manifest, const struct manifest_operator *item,
                                   struct sabot_error *err);
sabot_status manifest_add_file(struct manifest *manifest, const struct manifest_file *item, struct sabot_error *err);
/* As text, checksum line included. */
sabot_status manifest_print(const struct manifest *manifest, struct text *target, struct sabot_error *err);
/* Checks everything: the bytes come from outside. `path` is for messages. */
sabot_status manifest_parse(const char *data, size_t size, const char *path, struct manifest *out,
                            struct sabot_error *err);

#endif
