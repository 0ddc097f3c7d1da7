/* Status names and the caller-owned error. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} statuses[] = {
#define X(name, exit_code, text) {#name, exit_code},
#include "sabot/status.def"
#undef X
};

const char *sabot_status_name(sabot_status status) {
    return (size_t)status < sizeof statuses / sizeof statuses[0] ? statuses[status].name : "ERR_INTERNAL";
}

int sabot_status_exit_code(sabot_status status) {
    return (size_t)status < sizeof statuses / sizeof statuses[0] ? statuses[status].exit_code : 70;
}

sabot_status error_set(struct sabot_error *err, sabot_status status, const char *file, int line, const char *format,
                       ...) {
    if (!err || err->status != SABOT_OK) { return status; }
    err->status = status;
    err->file = file;
    err->line = line;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return status;
}

void error_context(struct sabot_error *err, const char *format, ...) {
    if (!err || err->status == SABOT_OK) { return; }
    char tail[sizeof err->message];
    memcpy(tail, err->message, sizeof tail);
    va_list args;
    va_start(args, format);
    const int head = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (head < 0 || (size_t)head + 3 > sizeof err->message) { return; }
    snprintf(err->message + head, sizeof err->message - (size_t)head, ": %s", tail);
}

void error_clear(struct sabot_error *err) {
    if (err) { *err = (struct sabot_error){0}; }
}
