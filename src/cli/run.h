/* `sabot run` for other commands. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

/* As command_run, after the statements of `prelude` (NULL: none), which make the tables that a script reads. */
int run_with_prelude(int argc, char **argv, const char *prelude);

#endif
