/* "Did you mean": the name nearest to a misspelt one. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* The name with the smallest Damerau-Levenshtein distance (optimal string alignment; case does not count), or NULL where
 * none is near: more than a third of its characters would have to change. Names over 64 bytes are passed over. */
const char *nearest_name(const char *wrong, const char *const *names, size_t n_names);

#endif
