/* The table of commands, made from commands.def. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stddef.h>

struct command {
    const char *name;
    const char *summary;
    /* argv[0] is the command's name; returns the exit code. */
    int (*run)(int argc, char **argv);
};

#define X(name, function, summary) int function(int argc, char **argv);
#include "cli/commands.def"
#undef X

extern const struct command commands[];
extern const size_t commands_count;

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);
/* The known command that `name` was most likely meant to be, or NULL. */
const struct command *command_nearest(const char *name);

#endif
