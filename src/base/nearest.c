/* "Did you mean": optimal string alignment distance over short names. */
#include "base/nearest.h"

#include <ctype.h>
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

const char *nearest_name(const char *wrong, const char *const *names, size_t n_names) {
    const size_t size = strlen(wrong);
    if (size > NAME_MAX_SIZE) { return NULL; }
    const char *best = NULL;
    size_t best_distance = size / 3 + 2;
    for (size_t i = 0; i < n_names; i++) {
        const size_t name_size = strlen(names[i]);
        if (name_size > NAME_MAX_SIZE) { continue; }
        const size_t d = distance(wrong, size, names[i], name_size);
        /* a one-letter name is near to everything: most of the longer one must stay */
        if (d < best_distance && d * 3 <= (size > name_size ? size : name_size) + 1) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
