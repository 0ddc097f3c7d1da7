/* sabot completion SHELL: what a shell needs to complete commands, options and files.
 *
 * The commands come from commands.def; the options of a command from its own help text, asked for when they are needed,
 * so that nothing has to be listed twice. */
#include "cli/commands.h"
#include "sabot/error.h"

#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: sabot completion bash\n\n"
                            "Prints a script for the shell. To use it now:  source <(sabot completion bash)\n"
                            "An installed Sabot has put it where bash looks for it.\n";

static const char bash_head[] =
    "# bash completion for sabot; made by `sabot completion bash`\n"
    "_sabot() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-}\n"
    "    if [ \"$COMP_CWORD\" -eq 1 ] || { [ \"$COMP_CWORD\" -eq 2 ] && [ \"$command\" = help ]; }; then\n"
    "        COMPREPLY=($(compgen -W '";
static const char bash_tail[] =
    "' -- \"$word\"))\n"
    "    elif [[ $word == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" help \"$command\" 2>/dev/null |\n"
    "            grep -oE -- '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u)\" -- \"$word\"))\n"
    "    else\n"
    "        COMPREPLY=()\n"
    "    fi\n"
    "}\n"
    "complete -o default -F _sabot sabot\n";

static void print_bash(void) {
    fputs(bash_head, stdout);
    for (size_t i = 0; i < commands_count; i++) {
        printf("%s%s", i > 0 ? " " : "", commands[i].name);
    }
    fputs(bash_tail, stdout);
}

int command_completion(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc != 2 || strcmp(argv[1], "bash") != 0) {
        fprintf(stderr, "sabot completion: name the shell; \"bash\" is known\n%s", usage);
        return sabot_status_exit_code(SABOT_ERR_USAGE);
    }
    print_bash();
    return 0;
}
