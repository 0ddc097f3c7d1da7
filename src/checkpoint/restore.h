/* A checkpoint that a new job starts from: which rows go to which operator instance, at the same or another
 * parallelism. */
#ifndef CHECKPOINT_RESTORE_H
#define CHECKPOINT_RESTORE_H

#include "state/state.h"
#include "store/store.h"

struct restore;
/* `path`: a checkpoint or savepoint folder, or a checkpoint_dir (its newest complete one). */
sabot_status restore_open(struct store *store, const char *path, struct memory_pool *pool, struct restore **out,
                          struct sabot_error *err);
void restore_close(struct restore *restore); /* NULL is allowed */
int64_t restore_id(const struct restore *restore);
const char *restore_path(const struct restore *restore);
/* The number of key groups must be that of the checkpoint; each operator that has state in it must be in `uids`, or,
 * where allow_non_restored is set, its state is left behind, which the log says. */
sabot_status restore_check(const struct restore *restore, int32_t max_parallelism, const char *const *uids,
                           int32_t n_uids, bool allow_non_restored, struct sabot_error *err);
/* All instances of the operator had given out their last row. */
bool restore_ended(const struct restore *restore, const char *uid);
/* Hands the operator instance what may be its own: keyed rows of its key groups, and all rows of lists. */
sabot_status restore_load(struct restore *restore, const char *uid, int32_t subtask, int32_t parallelism,
                          struct state_tables *tables, struct sabot_error *err);

#endif
