/* A checkpoint that a new job starts from: which rows go to which operator instance, at the same or another
 * parallelism. */
#ifndef CHECKPOINT_RESTORE_H
#define CHECKPOINT_RESTORE_H

#include "checkpoint/manifest.h"
#include "store/store.h"

struct restore;
/* `path`: a checkpoint or savepoint folder, or a checkpoint_dir (its newest complete one). */
sabot_status restore_open(struct store *store, const char *path, struct memory_pool *pool, struct restore **out,
                          struct sabot_error *err);
void restore_close(struct restore *restore); /* NULL is allowed */
int64_t restore_id(const struct restore *restore);
const char *restore_path(const struct restore *restore);
/* Rows of this table have other keys in the job: they may belong to other key groups than its files say, so every
 * operator instance looks at all of them. */
sabot_status restore_rekey(struct restore *restore, const char *uid, const char *state, struct sabot_error *err);
/* All instances of the operator had given out their last row. */
bool restore_ended(const struct restore *restore, const char *uid);
/* The operator instance's tables get, as they are opened, what may be their own: keyed rows of its key groups, and all
 * rows of lists. Until restore_close, or until the tables are given another source. */
sabot_status restore_load(struct restore *restore, const char *uid, int32_t subtask, int32_t parallelism,
                          struct state_tables *tables, struct sabot_error *err);

/* --- for tools: what is in a checkpoint, whatever way it is kept in files */
struct restore_table {
    const char *uid, *state; /* borrowed */
    enum state_kind kind;
    int32_t n_keys;
    int64_t rows, bytes;     /* of all files of it */
    bool has_changes;        /* there are deltas: a row that was changed is in several files */
};
/* Malloc'ed, in order of uid and state. */
sabot_status restore_tables(const struct restore *restore, struct restore_table **out, int32_t *n,
                            struct sabot_error *err);
const struct manifest *restore_manifest(const struct restore *restore);
/* The rows that one of the producing subtasks had (0 <= subtask < its parallelism; -1: all of them), in the columns of
 * docs/formats/checkpoint.md; checks the files. take() owns the batches; what it returns but OK ends the reading. */
sabot_status restore_read(struct restore *restore, const char *uid, const char *state, int32_t subtask,
                          sabot_status (*take)(void *arg, struct batch *rows, struct sabot_error *err), void *arg,
                          struct sabot_error *err);
/* The columns that restore_read gives; *out is NULL where there are no rows. */
sabot_status restore_schema(struct restore *restore, const char *uid, const char *state, struct schema **out,
                            struct sabot_error *err);

#endif
