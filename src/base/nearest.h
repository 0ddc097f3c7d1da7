/* "Did you mean": the name nearest to a misspelt one. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* The name with the smallest Damerau-Levenshtein distance (optimal string alignment; case does not count), or NULL
 * where none is near: more than a third of its characters would have to change. Names over 64 bytes are passed over. */
const char *nearest_name(const char *wrong, const char *const *names, size_t n_names);

/* The same one name at a time: start with {.wanted = name}, offer every known name; .name is then the answer or NULL.
 */
struct nearest {
    const char *wanted; /* borrowed */
    const char *name;   /* borrowed */
    size_t distance;
};
void nearest_offer(struct nearest *nearest, const char *name);
/* Puts `; did you mean "x"?` into target (size bytes, terminated), or nothing where no name is near. Returns target. */
const char *nearest_hint(const struct nearest *nearest, char *target, size_t size);

#endif
