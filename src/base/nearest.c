/* Edit distance without regard to case, for names of at most NAME_MAX bytes. */
#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_COMPARED 63 /* longer names are not guessed at */

static int lower(char c) { return tolower((unsigned char)c); }

/* Optimal string alignment: insert, delete, replace and swap of neighbours cost 1. */
static size_t distance_of(const char *a, const char *b) {
    const size_t a_length = strlen(a), b_length = strlen(b);
    size_t rows[3][NAME_MAX_COMPARED + 1];
    if (a_length > NAME_MAX_COMPARED || b_length > NAME_MAX_COMPARED) { return NAME_MAX_COMPARED; }
    for (size_t j = 0; j <= b_length; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const size_t cost = lower(a[i - 1]) != lower(b[j - 1]);
            size_t best = above[j - 1] + cost;
            if (above[j] + 1 < best) { best = above[j] + 1; }
            if (row[j - 1] + 1 < best) { best = row[j - 1] + 1; }
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
                const size_t swapped = rows[(i - 2) % 3][j - 2] + 1;
                if (swapped < best) { best = swapped; }
            }
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

void nearest_offer(struct nearest *nearest, const char *name) {
    const size_t length = strlen(nearest->wanted);
    const size_t mistakes_max = length < 3 ? 1 : length < 8 ? 2 : 3;
    const size_t distance = strcasecmp(nearest->wanted, name) == 0 ? 0 : distance_of(nearest->wanted, name);
    if (distance > mistakes_max || distance >= length) { return; }
    if (!nearest->name || distance < nearest->distance) {
        nearest->name = name;
        nearest->distance = distance;
    }
}

const char *nearest_hint(const struct nearest *nearest, char *target, size_t size) {
    if (nearest->name) {
        snprintf(target, size, "; did you mean \"%s\"?", nearest->name);
    } else if (size > 0) {
        target[0] = 0;
    }
    return target;
}
