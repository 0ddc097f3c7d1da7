/* How code inside the engine makes and passes on a failure. See sabot/error.h for the contract. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "sabot/error.h"

/* Records a failure, unless err is NULL or already holds one; returns `status`. */
sabot_status error_set(struct sabot_error *err, sabot_status status, const char *file, int line, const char *format,
                       ...) __attribute__((format(printf, 5, 6)));

/* Puts "<context>: " before the message that err holds. */
void error_context(struct sabot_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Empties an error, so that it can be used again. */
void error_clear(struct sabot_error *err);

/* return SABOT_FAIL(err, SABOT_ERR_IO, "read %s: %s", path, strerror(errno)); */
#define SABOT_FAIL(err, status, ...) error_set((err), (status), __FILE__, __LINE__, __VA_ARGS__)

/* Passes a failure of `call` on to the caller. */
#define SABOT_TRY(call)                                                                                                \
    do {                                                                                                               \
        const sabot_status try_status = (call);                                                                        \
        if (try_status != SABOT_OK) { return try_status; }                                                             \
    } while (0)

#endif
