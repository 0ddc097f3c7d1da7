/* Checks that nothing was changed behind the back of incremental snapshots: each one is also taken as a whole, and what
 * the chain of its base and deltas gives is compared with that. A write that was not announced (state_touch) ends the
 * test with the rows that differ. */
#ifndef TESTS_UTIL_CHAIN_CHECK_H
#define TESTS_UTIL_CHAIN_CHECK_H

#include "state/state.h"

struct chain_check;
/* Of the tables that are open, and will be. */
struct chain_check *chain_check_new(struct memory_pool *pool, struct state_tables *tables);
/* From now on rows are left out that are older than this: a store may have dropped what is expired. Their times are in
 * the column time_ms; without it nothing is left out. */
void chain_check_forget(struct chain_check *check, int64_t before_ms);
void chain_check_free(struct chain_check *check); /* NULL is allowed */
/* Begins a snapshot of every table, each as a delta where it can be one (or a base, where `base` is set); what there is
 * now is what must come out. */
void chain_check_freeze(struct chain_check *check, bool base);
/* Looks at up to `slots` more slots of each table. True: all are copied, and were found right. */
bool chain_check_copy(struct chain_check *check, int32_t slots);
/* Gives up the snapshot under way: the next is a base. */
void chain_check_thaw(struct chain_check *check);
/* All at once. */
void chain_check_step(struct chain_check *check);

#endif
