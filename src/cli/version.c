/* sabot version, sabot --version: which version this is. */
#include "cli/commands.h"
#include "sabot/version.h"

#include <stdio.h>

int command_version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    puts("sabot " SABOT_VERSION);
    return 0;
}
