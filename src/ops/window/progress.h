/* How far the windows of an operator have fired: a watermark that survives, per range of key groups, in the list
 * "fired" of its state.
 *
 * The tasks of an operator are at the same watermark when an aligned checkpoint is taken; with barriers that overtake
 * rows they are not. A task that is restored with key groups of several fires from the least of their watermarks on;
 * of a group that was further it takes no row that was late there, and gives out no window again: of those that share
 * slices with later ones a part is still there. */
#ifndef OPS_WINDOW_PROGRESS_H
#define OPS_WINDOW_PROGRESS_H

#include "arrow/batch.h"
#include "ops/op.h"
#include "state/state.h"
#include "time/lateness.h"

struct window_progress {
    struct schema *schema, *schema_before;
    struct state_table *table;
    int32_t max_parallelism, first_group, n_groups; /* of this task */
    int64_t *further_ms; /* per group; NULL: none is further than the task */
    int64_t furthest_ms; /* of them */
};
/* Where there is a restored watermark, *watermark_ms becomes it. */
sabot_status window_progress_open(struct window_progress *progress, const struct op_context *context,
                                  int64_t *watermark_ms, struct sabot_error *err);
/* Before a barrier. */
sabot_status window_progress_keep(struct window_progress *progress, struct memory_pool *pool, int64_t watermark_ms,
                                  struct sabot_error *err);
void window_progress_clear(struct window_progress *progress);

/* The watermark that a row is judged by; the batch has the hashes of the keys. */
static inline int64_t window_progress_of(const struct window_progress *progress, const struct batch *batch,
                                         int32_t row, int64_t watermark_ms) {
    if (!progress->further_ms || !batch->hashes) { return watermark_ms; }
    const int32_t group = key_group_of(batch->hashes[row], progress->max_parallelism) - progress->first_group;
    if (group < 0 || group >= progress->n_groups) { return watermark_ms; }
    return progress->further_ms[group] > watermark_ms ? progress->further_ms[group] : watermark_ms;
}

/* Whether rows that the task's watermark lets pass may be late for their group: then they are split. */
static inline bool window_progress_splits(const struct window_progress *progress, int64_t closes_ms,
                                          int64_t lateness_ms) {
    return progress->further_ms && row_is_late(closes_ms, lateness_ms, progress->furthest_ms);
}
/* rows[0..n) (NULL: the first n) into kept[0..*n_kept) and late[0..n - *n_kept), in order; room for n in each. */
void window_progress_split(const struct window_progress *progress, const struct batch *batch, const int32_t *rows,
                           int32_t n, int64_t closes_ms, int64_t lateness_ms, int32_t *kept, int32_t *n_kept,
                           int32_t *late);
/* Groups of a window, their keys in the first columns: those that have not seen it fire before the restore, in order,
 * into kept[0..*n_kept), which has room for all. */
sabot_status window_progress_due(const struct window_progress *progress, struct memory_pool *pool,
                                 const struct batch *groups, int32_t n_keys, int64_t closes_ms, int64_t lateness_ms,
                                 int32_t *kept, int32_t *n_kept, struct sabot_error *err);

#endif
