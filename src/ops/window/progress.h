/* How far the windows of an operator have fired: a watermark that survives, in the list "progress" of its state. */
#ifndef OPS_WINDOW_PROGRESS_H
#define OPS_WINDOW_PROGRESS_H

#include "state/state.h"

struct window_progress {
    struct schema *schema;
    struct state_table *table;
};
/* Where there is a restored watermark, *watermark_ms becomes it. */
sabot_status window_progress_open(struct window_progress *progress, struct state_tables *state, int64_t *watermark_ms,
                                  struct sabot_error *err);
/* Before a barrier. */
sabot_status window_progress_keep(struct window_progress *progress, struct memory_pool *pool, int64_t watermark_ms,
                                  struct sabot_error *err);
void window_progress_clear(struct window_progress *progress);

#endif
