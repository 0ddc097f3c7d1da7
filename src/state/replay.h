/* From the files of a chain (a base and its deltas, decision 0010) to the rows that are in the table: the newest file
 * first; of an older one only slots that no newer one has spoken of. Each row comes once. */
#ifndef STATE_REPLAY_H
#define STATE_REPLAY_H

#include "state/state.h"

struct replay;
sabot_status replay_new(struct memory_pool *pool, struct replay **out, struct sabot_error *err);
void replay_free(struct replay *replay); /* NULL is allowed */
/* A batch of a file, which is taken over; *out: its rows that are in the table, in the columns of STATE_FORM_ROWS;
 * NULL: none. n_keys: of the table. `path` is for messages. */
sabot_status replay_rows(struct replay *replay, enum state_form form, int32_t n_keys, struct batch *rows,
                         const char *path, struct batch **out, struct sabot_error *err);
void replay_end_file(struct replay *replay); /* the next batches are of the file before it */

#endif
