/* Barrier alignment of one task: which of its channels have delivered the barrier of the checkpoint under way. A
 * channel that has is blocked until all have, so that no row behind the barrier gets into the snapshot. Pure.
 *
 * A barrier counts once per channel. Duplicates, and barriers of checkpoints that are over or were aborted, are
 * ignored and counted. The barrier of a newer checkpoint ends the alignment of the older one: its coordinator has
 * given up on it. */
#ifndef CHECKPOINT_BARRIER_H
#define CHECKPOINT_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define BARRIER_NONE INT64_MIN

struct barrier_aligner {
    int32_t n_channels, n_arrived;
    uint64_t *arrived;      /* a bit per channel */
    int64_t checkpoint_id;  /* under way; BARRIER_NONE: none */
    int64_t over;           /* the highest one that was completed or aborted here */
    int64_t timestamp_ms;   /* of the one under way */
    int64_t ignored, aborted; /* barriers; alignments */
};

enum barrier_choice {
    BARRIER_IGNORED,
    BARRIER_WAITS,   /* the channel is blocked now */
    BARRIER_ALIGNED  /* all channels have delivered it, and none is blocked any more */
};

sabot_status barrier_aligner_init(struct barrier_aligner *aligner, int32_t n_channels, struct sabot_error *err);
void barrier_aligner_clear(struct barrier_aligner *aligner);
enum barrier_choice barrier_arrive(struct barrier_aligner *aligner, int32_t channel, int64_t checkpoint_id,
                                   int64_t timestamp_ms);
/* The barrier overtakes what is in the channels: unblocks, and ignores its barriers that still come in band. */
void barrier_overtake(struct barrier_aligner *aligner, int64_t checkpoint_id);
/* The coordinator has given up on a checkpoint: unblocks, and ignores its barriers from now on. */
void barrier_abort(struct barrier_aligner *aligner, int64_t checkpoint_id);
static inline bool barrier_blocks(const struct barrier_aligner *aligner, int32_t channel) {
    return aligner->n_arrived > 0 && (aligner->arrived[channel >> 6] >> (channel & 63) & 1);
}

#endif
