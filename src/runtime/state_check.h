/* Whether a job can start from a checkpoint: its operators are opened without anything behind them, the tables that
 * they declare are compared with those of the checkpoint. `sabot check` prints the report; a job that is to be restored
 * is refused by it before anything is touched. */
#ifndef RUNTIME_STATE_CHECK_H
#define RUNTIME_STATE_CHECK_H

#include "checkpoint/restore.h"
#include "runtime/job.h"

enum state_fate {
    STATE_FATE_SAME,
    STATE_FATE_MIGRATES,
    STATE_FATE_NEW,     /* an operator without state in the checkpoint: it begins empty */
    STATE_FATE_DROPPED, /* state without an operator, or without a place in it */
    STATE_FATE_INCOMPATIBLE
};
const char *state_fate_name(enum state_fate fate);

struct state_finding {
    char *uid, *state; /* state NULL: of the whole operator */
    enum state_fate fate;
    char *why;         /* NULL: nothing to say; the reason, and what to do */
};
struct state_report {
    struct state_finding *items;
    int32_t n, capacity;
    bool drops; /* DROPPED is allowed */
};
/* The number of key groups must be the checkpoint's: ERR_STATE else. Where keys change their type, `restore` is told
 * so. options: time zone, key groups, allow_non_restored_state and the like are used, names and folders are not. */
sabot_status state_check(struct env *env, const struct job_graph *graph, const struct job_options *options,
                         struct restore *restore, struct memory_pool *pool, struct state_report *out,
                         struct sabot_error *err);
/* Whether a checkpoint at `path` (as in job_options.restore_from) holds rows that stood on an exchange: a job of one
 * task must have the exchanges then, which it would not have otherwise. What can't be read may hold some: it may be
 * readable when the job starts. */
bool state_may_be_on_exchanges(struct env *env, const struct job_options *options, const char *path);
/* The first finding that keeps the job from starting; NULL: it can. */
const struct state_finding *state_report_obstacle(const struct state_report *report);
void state_report_clear(struct state_report *report);
/* ERR_STATE where there is an obstacle; what is left behind is logged. */
sabot_status state_report_enforce(const struct state_report *report, struct env *env, const char *path,
                                  struct sabot_error *err);

#endif
