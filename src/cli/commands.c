/* Finds a command by its name, and the nearest one to a name that is wrong. */
#include "cli/commands.h"

#include "base/nearest.h"

#include <string.h>

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

const struct command *command_nearest(const char *name) {
    const char *names[sizeof commands / sizeof commands[0]];
    for (size_t i = 0; i < commands_count; i++) { names[i] = commands[i].name; }
    const char *nearest = nearest_name(name, names, commands_count);
    return nearest ? command_find(nearest) : NULL;
}
