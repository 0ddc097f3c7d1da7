/* Barrier alignment of one task. */
#include "checkpoint/barrier.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t words_of(const struct barrier_aligner *aligner) { return ((size_t)aligner->n_channels + 63) / 64; }

sabot_status barrier_aligner_init(struct barrier_aligner *aligner, int32_t n_channels, struct sabot_error *err) {
    *aligner = (struct barrier_aligner){.n_channels = n_channels, .checkpoint_id = BARRIER_NONE, .over = BARRIER_NONE};
    aligner->arrived = calloc(words_of(aligner) + 1, sizeof *aligner->arrived);
    if (!aligner->arrived) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for %d channels", n_channels); }
    return SABOT_OK;
}

void barrier_aligner_clear(struct barrier_aligner *aligner) {
    free(aligner->arrived);
    *aligner = (struct barrier_aligner){0};
}

static void unblock(struct barrier_aligner *aligner) {
    memset(aligner->arrived, 0, words_of(aligner) * sizeof *aligner->arrived);
    aligner->n_arrived = 0;
    aligner->over = aligner->checkpoint_id;
    aligner->checkpoint_id = BARRIER_NONE;
}

enum barrier_choice barrier_arrive(struct barrier_aligner *aligner, int32_t channel, int64_t checkpoint_id,
                                   int64_t timestamp_ms) {
    assert(channel >= 0 && channel < aligner->n_channels);
    if (checkpoint_id <= aligner->over || checkpoint_id < aligner->checkpoint_id) {
        aligner->ignored++;
        return BARRIER_IGNORED;
    }
    if (aligner->checkpoint_id != BARRIER_NONE && checkpoint_id > aligner->checkpoint_id) {
        aligner->aborted++;
        unblock(aligner);
    }
    aligner->checkpoint_id = checkpoint_id;
    aligner->timestamp_ms = timestamp_ms;
    if (barrier_blocks(aligner, channel)) {
        aligner->ignored++;
        return BARRIER_IGNORED;
    }
    aligner->arrived[channel >> 6] |= UINT64_C(1) << (channel & 63);
    if (++aligner->n_arrived < aligner->n_channels) { return BARRIER_WAITS; }
    unblock(aligner);
    return BARRIER_ALIGNED;
}

void barrier_overtake(struct barrier_aligner *aligner, int64_t checkpoint_id) {
    aligner->checkpoint_id = checkpoint_id;
    unblock(aligner);
}

void barrier_abort(struct barrier_aligner *aligner, int64_t checkpoint_id) {
    if (aligner->checkpoint_id != BARRIER_NONE && aligner->checkpoint_id <= checkpoint_id) {
        aligner->aborted++;
        unblock(aligner);
    }
    if (checkpoint_id > aligner->over) { aligner->over = checkpoint_id; }
}
