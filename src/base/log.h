/* Log lines on standard error: "sabot: warning: ...". For what happens beside a call that could return an error. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/env.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Lines above this level are dropped; LOG_WARNING at the start. Any thread. */
void log_set_level(enum log_level level);
/* "error", "warning", "info", "debug"; false for other texts. */
bool log_level_parse(const char *text, enum log_level *out);
bool log_is_on(enum log_level level);
/* One line, written at once; at most 2 KiB, longer ones are cut. */
void log_write(struct env *env, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
