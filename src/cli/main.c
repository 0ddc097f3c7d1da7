/* The command `sabot`: looks its first argument up in the table of commands and runs it. */
#include "cli/commands.h"
#include "sabot/error.h"

#include <stdio.h>
#include <string.h>

/* The spellings that every command-line user tries first. */
static const char *command_name(const char *argument) {
    if (strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0) { return "version"; }
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) { return "help"; }
    return argument;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fputs("sabot: no command given; `sabot help` lists them\n", stderr);
        return sabot_status_exit_code(SABOT_ERR_USAGE);
    }
    const struct command *command = command_find(command_name(argv[1]));
    if (command) {
        static char name[64], whole[] = "--help";
        snprintf(name, sizeof name, "sabot %s", command->name);
        argv[1] = name; /* getopt's messages begin with it */
        if (argc == 3 && strcmp(argv[2], "-h") == 0) { argv[2] = whole; }
        return command->run(argc - 1, argv + 1);
    }

    const struct command *nearest = command_nearest(argv[1]);
    fprintf(stderr, "sabot: there is no command \"%s\"", argv[1]);
    if (nearest) { fprintf(stderr, "; did you mean \"%s\"?", nearest->name); }
    fputs("\n`sabot help` lists the commands.\n", stderr);
    return sabot_status_exit_code(SABOT_ERR_USAGE);
}
