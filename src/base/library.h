/* A part of Sabot that is a shared library of its own, opened when it is first needed. */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stddef.h>

/* Beside the library or command that this code is in, or where an installation has it. NULL: not found, and `why` says
 * what was tried last. It is never closed: it may have threads. */
void *library_open(const char *name, char *why, size_t why_size);

#endif
