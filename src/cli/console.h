/* What the commands share: errors with a caret, arguments, signals, the job's progress on a terminal. */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "cli/output.h"
#include "engine/session.h"
#include "engine/totals.h"

/* Prints "sabot: <message>" with the place in the SQL text, and returns the exit code. name: the file, NULL: no text.
 */
int console_error(const struct sabot_error *err, const char *name, const char *text, size_t text_size);
/* A wrong command line: "sabot run: <message>" and where help is. Returns the exit code. */
int console_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads a file, or standard input where path is "-"; at most 64 MiB. *data is malloc'ed and NUL-terminated. */
sabot_status console_read(struct env *env, const char *path, char **data, size_t *size, struct sabot_error *err);

/* Files, local and remote, for commands that run no job; of the process. NULL: no memory, *err says so. */
struct store *console_store(struct sabot_error *err);

/* The options of every command that has a session: -p, --memory, --set. The settings become the session's own. */
struct console_session {
    struct settings settings;
    int64_t memory_limit;
};
enum { CONSOLE_OPTION_MEMORY = 1000, CONSOLE_OPTION_SET };
#define CONSOLE_OPTIONS                                                                                               \
    {"parallelism", required_argument, NULL, 'p'}, {"memory", required_argument, NULL, CONSOLE_OPTION_MEMORY},        \
        {"set", required_argument, NULL, CONSOLE_OPTION_SET}
/* Takes one of them, or anything else that getopt gave, which is a mistake. Returns -1 to go on, else the exit code. */
int console_option(const char *command, int option, char *value, struct console_session *given);
/* One setting by its key; as above. */
int console_setting(const char *command, const char *key, const char *value, struct console_session *given);

/* A session with the settings that were given, and the script of a file, or of `sql` where it is given. */
struct console_script {
    const char *name; /* for errors */
    struct session *session;
    struct session_script script;
    char *text;
    size_t size;
};
sabot_status console_script_open(const char *path, const char *sql, const struct console_session *given,
                                 struct console_script *out, struct sabot_error *err);
/* Also where open has failed. Returns the exit code, and prints what `err` says. */
int console_script_close(struct console_script *script, const struct sabot_error *err);

/* SIGINT and SIGTERM from now on only count. */
void console_catch_signals(void);
void console_catch_hangup(void);    /* the terminal is gone: as SIGTERM */
/* From here to the next call with false this thread reads what is typed; whatever tells the process to end interrupts
 * the read. False: it was told already. */
bool console_reads(bool begins);
bool console_is_told_to_end(void);  /* by SIGTERM or SIGHUP; console_signals_clear does not forget it */
int console_signals(void);
int console_signal_code(void); /* of a command that a signal ended: 128 + the last one (130 where none came) */
void console_signals_clear(void);

/* "2026-11-22 21:47:38", UTC */
void console_time(int64_t ms, char *target, size_t size);
/* "850 ms", "7.5 s", "12 min" */
void console_duration(int64_t ms, char *target, size_t size);
/* "1.23 M" */
void console_number(double value, char *target, size_t size);

#endif
