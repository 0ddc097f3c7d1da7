/* Finds a command by its name, and the nearest one to a name that is wrong. */
#include "cli/commands.h"

#include <string.h>

#define NAME_MAX_COMPARED 31 /* longer names are not guessed at */

const struct command commands[] = {
#define X(name, function, summary) {#name, summary, function},
#include "cli/commands.def"
#undef X
};

const size_t commands_count = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name) {
    for (size_t i = 0; i < commands_count; i++) {
        if (strcmp(commands[i].name, name) == 0) { return &commands[i]; }
    }
    return NULL;
}

/* Levenshtein distance of two short names. */
static size_t name_distance(const char *a, const char *b) {
    const size_t a_length = strlen(a);
    const size_t b_length = strlen(b);
    size_t row[NAME_MAX_COMPARED + 1];
    if (a_length > NAME_MAX_COMPARED || b_length > NAME_MAX_COMPARED) { return NAME_MAX_COMPARED; }
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best) { best = above + 1; }
            if (row[j - 1] + 1 < best) { best = row[j - 1] + 1; }
            diagonal = above;
            row[j] = best;
        }
    }
    return row[b_length];
}

const struct command *command_nearest(const char *name) {
    const struct command *nearest = NULL;
    size_t nearest_distance = 3; /* two typing mistakes at most */
    for (size_t i = 0; i < commands_count; i++) {
        const size_t distance = name_distance(name, commands[i].name);
        if (distance < nearest_distance) {
            nearest = &commands[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}
