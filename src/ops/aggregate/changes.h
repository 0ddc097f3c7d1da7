/* What the operators that give out a changelog share: which results differ, and the row kinds of a batch. */
#ifndef OPS_AGGREGATE_CHANGES_H
#define OPS_AGGREGATE_CHANGES_H

#include "arrow/batch.h"

static inline bool row_kind_is_retraction(uint8_t kind) { return kind == ROW_UPDATE_BEFORE || kind == ROW_DELETE; }
/* Sets changed[i] where the values differ. Doubles by their bits: NaN has not changed into NaN. */
void changes_mark(const struct column *a, const struct column *b, int32_t *changed, int32_t n);
/* Row kinds of all n rows; none where all are inserts. The batch is not shared yet. */
sabot_status changes_set_kinds(struct memory_pool *pool, struct batch *batch, const int32_t *kinds, int32_t n,
                               struct sabot_error *err);

#endif
