/* Looks up libpq's functions. */
#include "connect/postgres/libpq.h"

#include <dlfcn.h>

#define LIBRARY "libpq.so.5"

#if POSTGRES_BUILT

sabot_status libpq_open(struct libpq *out, struct sabot_error *err) {
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "PostgreSQL's client library can't be opened (%s): install it, "
                          "on Debian as libpq5", dlerror());
    }
    const char *missing = NULL;
    union {
        void *object;
        void (*function)(void);
    } symbol;
    _Static_assert(sizeof symbol.object == sizeof symbol.function, "dlsym gives functions as objects");
#define X(name)                                                                                                        \
    symbol.object = dlsym(library, #name);                                                                             \
    out->name = (__typeof__(out->name))symbol.function;                                                                \
    if (!symbol.object) { missing = #name; }
    LIBPQ_FUNCTIONS(X)
#undef X
    if (!missing) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, LIBRARY " has no %s: install PostgreSQL's client library 10 or newer",
                      missing);
}

#else

sabot_status libpq_open(struct libpq *out, struct sabot_error *err) {
    (void)out;
    return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "this Sabot was built without PostgreSQL's header: install libpq-dev "
                      "and build it again");
}

#endif
