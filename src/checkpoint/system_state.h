/* System state: what the engine knows of itself and must still know after a crash. Checkpoints and their
 * acknowledgements, barriers, watermarks of splits, system timers, which task runs where: a RocksDB with a column
 * family for each.
 *
 * It is a record, never the truth: a checkpoint is complete when its manifest exists, whatever stands here. So a
 * failure to write it is logged and counted, and fails nothing. With a NULL handle every call does nothing. Any thread.
 */
#ifndef CHECKPOINT_SYSTEM_STATE_H
#define CHECKPOINT_SYSTEM_STATE_H

#include <stdbool.h>

#include "base/env.h"
#include "base/memory.h"

/* family: what `a` and `b` of its keys are */
enum system_family {
    SYSTEM_CHECKPOINTS, /* checkpoint id, 0 */
    SYSTEM_ACKS,        /* checkpoint id, task */
    SYSTEM_BARRIERS,    /* checkpoint id, task */
    SYSTEM_WATERMARKS,  /* source task, split */
    SYSTEM_TIMERS,      /* due at ms, number of the timer */
    SYSTEM_ASSIGNMENTS, /* task, 0 */
    SYSTEM_FAMILIES
};
const char *system_family_name(enum system_family family); /* "checkpoints" */

struct system_key {
    int64_t a, b;
};

struct system_state;
/* dir: a folder of the job's own, on a local disk. NULL dir, or in the simulator: *out is NULL, which is fine.
 * read_only: to show what is there, also while the job runs; SABOT_ERR_NOT_FOUND where there is none. */
sabot_status system_state_open(struct env *env, struct memory_pool *pool, const char *dir, bool read_only,
                               struct system_state **out, struct sabot_error *err);
void system_state_close(struct system_state *state); /* NULL is allowed */

/* Sets a record: `fields` is text of "name=value" words with a space between them, values without spaces
 * ("state=complete bytes=1234 path=/x"). sync: it survives the machine's crash too, for which the caller waits some
 * milliseconds (a helper); without, it survives the process. */
void system_state_put(struct system_state *state, enum system_family family, struct system_key key, const char *fields,
                      bool sync);
void system_state_remove(struct system_state *state, enum system_family family, struct system_key key);
/* Removes the records of a family with from <= key.a < to. */
void system_state_remove_range(struct system_state *state, enum system_family family, int64_t from, int64_t to);

/* Calls `each` for the records of a family with from <= key.a < to, in the order of their keys. It may not call back
 * into the state; false ends the scan. */
sabot_status system_state_scan(struct system_state *state, enum system_family family, int64_t from, int64_t to,
                               bool (*each)(void *arg, struct system_key key, const char *fields), void *arg,
                               struct sabot_error *err);
/* The value of a name in a record's text, copied; false: it has none, or `size` is too small. */
bool system_field(const char *fields, const char *name, char *out, size_t size);

int64_t system_state_failures(const struct system_state *state); /* writes that failed */

#endif
