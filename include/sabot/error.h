/* Status codes and the caller-owned error: how every function of Sabot reports a failure.
 *
 * A function returns sabot_status. Its last argument is a caller-owned `struct sabot_error *`, which may be NULL.
 * The first failure wins: later ones do not overwrite it. Who returns an error does not log it.
 * Threads: an error belongs to one call at a time. */
#ifndef SABOT_ERROR_H
#define SABOT_ERROR_H

#include "sabot/api.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SABOT_ERROR_MESSAGE_MAX 1024

typedef enum sabot_status {
#define X(name, exit_code, text) SABOT_##name,
#include "sabot/status.def"
#undef X
} sabot_status;

struct sabot_error {
    sabot_status status;
    const char *file;    /* source file of Sabot that found it; static */
    int line;            /* line in that file */
    uint32_t sql_line;   /* 1-based place in the SQL text, 0 = none */
    uint32_t sql_column; /* 1-based, in characters */
    uint32_t sql_length; /* characters to underline, at least 1 where sql_line is set */
    char message[SABOT_ERROR_MESSAGE_MAX];
};

/* The name of a status ("ERR_IO"); static, never NULL. */
SABOT_API const char *sabot_status_name(sabot_status status);
/* The exit code that the command uses for a status. */
SABOT_API int sabot_status_exit_code(sabot_status status);

#ifdef __cplusplus
}
#endif
#endif
