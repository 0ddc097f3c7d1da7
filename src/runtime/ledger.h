/* A ledger: a file of lines that tasks write beside their output (dead letters, late rows). Lines are gathered and
 * written by a helper; when more waits than the limit, the caller writes itself. So nothing is lost, and memory is
 * bounded. */
#ifndef RUNTIME_LEDGER_H
#define RUNTIME_LEDGER_H

#include "base/env.h"

struct ledger;
/* Appends to the file at `path`, which is made where it is not there. */
sabot_status ledger_open(struct env *env, const char *path, struct ledger **out, struct sabot_error *err);
/* Any thread. A failure to write (now or earlier) is the returned status. */
sabot_status ledger_add(struct ledger *ledger, const char *line, size_t size, struct sabot_error *err);
/* Writes and syncs everything added so far. */
sabot_status ledger_flush(struct ledger *ledger, struct sabot_error *err);
/* Flushes, waits for the helper, closes. NULL is allowed. */
sabot_status ledger_close(struct ledger *ledger, struct sabot_error *err);

#endif
