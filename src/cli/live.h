/* A query's result as a table on a terminal that is drawn again and again: its newest rows. */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "cli/console.h"

/* Until the query ends, Ctrl-C, or `stop` (may be NULL; called about 20 times a second) says so. */
sabot_status live_show(struct env *env, struct session_job *job, bool (*stop)(void *arg), void *arg,
                       struct sabot_error *err);

#endif
