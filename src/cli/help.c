/* sabot help [COMMAND]: the list of commands, or the help of one. */
#include "cli/commands.h"
#include "sabot/error.h"

#include <stdio.h>
#include <string.h>

static void print_all(void) {
    puts("Sabot runs streaming SQL jobs.\n\nusage: sabot COMMAND [OPTIONS]\n\ncommands:");
    for (size_t i = 0; i < commands_count; i++) {
        printf("  %-12s %s\n", commands[i].name, commands[i].summary);
    }
    puts("\n`sabot help COMMAND` shows the options of a command.");
}

int command_help(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        print_all();
        return 0;
    }
    const struct command *command = command_find(argv[1]);
    if (!command) {
        fprintf(stderr, "sabot help: there is no command \"%s\"; `sabot help` lists them\n", argv[1]);
        return sabot_status_exit_code(SABOT_ERR_USAGE);
    }
    if (command->run == command_help) {
        print_all();
        return 0;
    }
    char option[] = "--help";
    char *arguments[] = {argv[1], option, NULL};
    return command->run(2, arguments);
}
