/* "Did you mean": optimal string alignment distance over short names. */
#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_SIZE 64

static size_t min2(size_t a, size_t b) { return a < b ? a : b; }

static size_t distance(const char *a, size_t size_a, const char *b, size_t size_b) {
    size_t rows[3][NAME_MAX_SIZE + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= size_b; j++) { last[j] = j; }
    for (size_t i = 1; i <= size_a; i++) {
        now[0] = i;
        for (size_t j = 1; j <= size_b; j++) {
            const int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            now[j] = min2(min2(last[j] + 1, now[j - 1] + 1), last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && tolower((unsigned char)a[i - 2]) == y) {
                now[j] = min2(now[j], before[j - 2] + 1); /* two neighbours swapped */
            }
        }
        size_t *const oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[size_b];
}

void nearest_offer(struct nearest *nearest, const char *name) {
    const size_t size = strlen(nearest->wanted), name_size = strlen(name);
    if (size > NAME_MAX_SIZE || name_size > NAME_MAX_SIZE) { return; }
    const size_t d = distance(nearest->wanted, size, name, name_size);
    const size_t limit = nearest->name ? nearest->distance : size / 3 + 2;
    /* a one-letter name is near to everything: most of the longer one must stay */
    if (d < limit && d * 3 <= (size > name_size ? size : name_size) + 1) {
        nearest->name = name;
        nearest->distance = d;
    }
}

const char *nearest_name(const char *wrong, const char *const *names, size_t n_names) {
    struct nearest nearest = {.wanted = wrong};
    for (size_t i = 0; i < n_names; i++) { nearest_offer(&nearest, names[i]); }
    return nearest.name;
}

const char *nearest_hint(const struct nearest *nearest, char *target, size_t size) {
    if (nearest->name) {
        snprintf(target, size, "; did you mean \"%s\"?", nearest->name);
    } else if (size > 0) {
        target[0] = 0;
    }
    return target;
}
