/* What a sink of one phase does in a checkpoint: nothing. Its rows are out when write returns, at least once. */
#include "connect/connector.h"

#include <stdlib.h>

void kept_pieces_clear(struct kept_pieces *pieces) {
    batch_unref(pieces->rows);
    free(pieces->pieces);
    *pieces = (struct kept_pieces){0};
}

sabot_status sink_default_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    (void)sink, (void)pending, (void)err;
    return SABOT_OK;
}

sabot_status sink_default_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                  struct sabot_error *err) {
    (void)sink, (void)checkpoint_id, (void)pending, (void)err;
    *full = false;
    return SABOT_OK;
}

sabot_status sink_default_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    (void)sink, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

sabot_status sink_default_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    (void)sink, (void)err;
    *full = false;
    return SABOT_OK;
}
