/* What the files of the C API share. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/session.h"
#include "sabot/sabot.h"

struct registered_function;

struct sabot_engine {
    struct session *session;
    struct registered_function *functions; /* of sabot_engine_register_function; freed with the engine */
};

/* Copies a caller's options struct of given_size bytes over the defaults in `target`. */
sabot_status options_take(void *target, size_t target_size, const void *given, size_t given_size, const char *what,
                          struct sabot_error *err);
/* Fails where a caller left out what must be there. */
sabot_status argument_given(const void *argument, const char *name, struct sabot_error *err);
void registered_functions_free(struct registered_function *functions);

#endif
