/* Who may write checkpoints into a folder, and who no longer: leases without clocks (docs/decisions/0014).
 *
 * A job takes the next epoch of its checkpoint folder, finds what it starts from, and writes that down as its base.
 * From then on every older process is fenced: it learns so when it next completes a checkpoint, before it commits. All
 * calls may block. */
#ifndef CHECKPOINT_LEASE_H
#define CHECKPOINT_LEASE_H

#include "store/store.h"

#define LEASE_PATH_MAX 4096

struct lease {
    int64_t epoch;    /* from 1; 0: no lease */
    uint64_t lineage; /* random, the same for all epochs of a folder: whose hidden output is whose */
    const char *dir;  /* borrowed */
};

/* Takes the next epoch of the checkpoint folder `dir`, which is made where it is not there. */
sabot_status lease_take(struct store *store, const char *dir, struct lease *out, struct sabot_error *err);
/* Before anything outside is touched: this epoch begins behind checkpoint `base_id` (-1: behind none), so that what
 * older epochs complete from here on is void. ERR_STATE: a newer epoch was taken meanwhile. */
sabot_status lease_begin(struct store *store, const struct lease *lease, int64_t base_id, struct sabot_error *err);
/* The same where it begins from what is no checkpoint of `dir`: a savepoint, in it or elsewhere. Until the epoch has
 * completed a checkpoint, that is what a job goes on from that is started from `dir` (lease_origin). */
sabot_status lease_begin_from(struct store *store, const struct lease *lease, int64_t base_id, const char *savepoint,
                              struct sabot_error *err);
/* What the newest epoch began from where that is a savepoint; "": it is none. */
sabot_status lease_origin(struct store *store, const char *dir, int64_t *epoch, char savepoint[LEASE_PATH_MAX],
                          struct sabot_error *err);
/* ERR_STATE and *fenced: a newer epoch was taken, or this one's file is gone with the folder, and this process must
 * neither commit nor go on. Other failures say that it can't be told. */
sabot_status lease_check(struct store *store, const struct lease *lease, bool *fenced, struct sabot_error *err);
/* Whether a checkpoint of `dir` was completed by a process that had been replaced. */
sabot_status lease_is_void(struct store *store, const char *dir, int64_t epoch, int64_t checkpoint_id, bool *is_void,
                           struct sabot_error *err);

#endif
