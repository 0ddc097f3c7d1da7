/* Log lines on standard error. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX 2048

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static _Atomic int level_max = LOG_WARNING;

void log_set_level(enum log_level level) { atomic_store_explicit(&level_max, (int)level, memory_order_relaxed); }

bool log_level_parse(const char *text, enum log_level *out) {
    for (int i = 0; i <= LOG_DEBUG; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_is_on(enum log_level level) {
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

void log_write(struct env *env, enum log_level level, const char *format, ...) {
    if (!log_is_on(level)) { return; }
    char line[LINE_MAX];
    int size = snprintf(line, sizeof line, "sabot: %s: ", level_names[level]);
    va_list args;
    va_start(args, format);
    const int body = vsnprintf(line + size, sizeof line - (size_t)size - 1, format, args);
    va_end(args);
    if (body < 0) { return; }
    size = body > (int)sizeof line - size - 2 ? (int)sizeof line - 2 : size + body;
    line[size++] = '\n';
    /* there is nowhere to report a failure to write the log */
    env_write(env_stderr(env), line, (size_t)size, NULL);
}
