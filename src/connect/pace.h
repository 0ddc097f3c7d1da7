/* A rate limit: row n is due n intervals after the start. */
#ifndef CONNECT_PACE_H
#define CONNECT_PACE_H

#include "base/env.h"

/* Rows are handed on this often at most. */
#define PACE_HAND_OVER_NS 100000

struct pace {
    double interval_ns; /* between two rows; 0: no limit */
    int64_t started_ms; /* wall clock of row 0, kept in checkpoints; 0: not started */
    int64_t started_ns; /* the same on the monotonic clock */
    bool running;
    bool resumes; /* the pause before this start does not count: its rows are not made up for */
};

/* How many of the next `rows` rows from number `next` on are due; where none is, *wake_at_ns says when to ask again.
 * With started_ms from a checkpoint the rows of the time in between are due at once. */
static inline int64_t pace_due(struct pace *pace, struct env *env, int64_t next, int64_t rows, int64_t *wake_at_ns) {
    if (pace->interval_ns <= 0) { return rows; }
    const int64_t now_ns = env_now_ns(env);
    if (!pace->running) {
        const int64_t wall_ns = env_wall_ns(env);
        if (pace->started_ms == 0) {
            pace->started_ms = (wall_ns - (pace->resumes ? (int64_t)((double)next * pace->interval_ns) : 0)) / 1000000;
        }
        pace->started_ns = now_ns - (wall_ns - pace->started_ms * 1000000);
        pace->running = true;
    }
    const double elapsed_ns = (double)(now_ns - pace->started_ns);
    const int64_t due = (int64_t)(elapsed_ns / pace->interval_ns) + 1 - next;
    if (due > 0) { return due < rows ? due : rows; }
    const int64_t wait_ns = (int64_t)((double)next * pace->interval_ns - elapsed_ns);
    *wake_at_ns = now_ns + (wait_ns > PACE_HAND_OVER_NS ? wait_ns : PACE_HAND_OVER_NS);
    return 0;
}

#endif
