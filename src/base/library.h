/* A part of Sabot that is a shared library of its own, opened when it is first needed. */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include "base/error.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What its table of functions begins with. */
struct library_head {
    uint32_t version;
    size_t error_size; /* sizeof(struct sabot_error) as the library knows it */
};

/* One per library, static. */
struct library {
    const char *name, *entry; /* the function that gives out its table */
    uint32_t version;
    const char *who, *remedy; /* "S3 and HDFS need", "build it with .."; for messages */
    _Atomic(const void *) table; /* NULL: not opened yet */
};

/* Sets its table. Looked for beside the library or command that this code is in, or where an installation has it; two
 * threads at once both find the same one. It is never closed: it may have threads. */
sabot_status library_open(struct library *library, struct sabot_error *err);

#endif
