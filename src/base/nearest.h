/* "did you mean": the known name that a wrong one was most likely meant to be. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *wanted; /* the wrong name; borrowed */
    const char *name;   /* the best so far, NULL: none is near enough; borrowed */
    size_t distance;
};

/* Start with struct nearest n = {.wanted = name}; offer every known name; n.name is then the answer. */
void nearest_offer(struct nearest *nearest, const char *name);

/* Puts `; did you mean "x"?` into target (size bytes, terminated), or nothing where no name is near. Returns target. */
const char *nearest_hint(const struct nearest *nearest, char *target, size_t size);

#endif
