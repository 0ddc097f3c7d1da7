/* What the commands share: errors with a caret, arguments, signals, the job's progress on a terminal. */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "cli/output.h"
#include "engine/session.h"

/* Prints "sabot: <message>" with the place in the SQL text, and returns the exit code. name: the file, NULL: no text.
 */
int console_error(const struct sabot_error *err, const char *name, const char *text, size_t text_size);
/* A wrong command line: "sabot run: <message>" and where help is. Returns the exit code. */
int console_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads a file, or standard input where path is "-"; at most 64 MiB. *data is malloc'ed and NUL-terminated. */
sabot_status console_read(struct env *env, const char *path, char **data, size_t *size, struct sabot_error *err);

/* Files, local and remote, for commands that run no job; of the process. NULL: no memory, *err says so. */
struct store *console_store(struct sabot_error *err);

/* SIGINT and SIGTERM from now on only count. */
void console_catch_signals(void);
int console_signals(void);
void console_signals_clear(void);

/* Sums over the operators of a job. */
struct job_totals {
    int64_t events;        /* rows that the sources read */
    int64_t rows_written;  /* rows into the sinks */
    int64_t rows_late, rows_malformed;
    int64_t watermark_ms;  /* least of the sinks', INT64_MIN: none */
    struct histogram *latency; /* of all sinks; NULL where nothing was recorded */
};
void job_totals(const struct session_job *job, struct job_totals *out);
void job_totals_clear(struct job_totals *totals);
/* "1.23 M" */
void console_number(double value, char *target, size_t size);

#endif
