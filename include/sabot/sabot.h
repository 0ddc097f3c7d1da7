/* Sabot, embedded: open an engine, give it SQL, tables and functions, take rows as Arrow.
 *
 *     struct sabot_engine *engine;
 *     struct sabot_result *result;
 *     struct sabot_error err = {0};
 *     sabot_engine_open(NULL, &engine, &err);
 *     sabot_engine_execute(engine, "SELECT 1 + 1", &result, &err);
 *     struct ArrowArrayStream rows;
 *     sabot_result_stream(result, &rows, &err);      // rows.get_next(...) until an array comes released
 *
 * Ownership: what a function gives in an out-parameter is the caller's, and freed with the function named beside it.
 * Arrow structs follow the Arrow C Data and C Stream interfaces: who is given one owns it and calls its release.
 * Threads: an engine and its results are used by one thread at a time; sabot_job_stop, sabot_job_cancel and
 * sabot_job_metrics may be called by any thread. Callbacks run on threads of the engine.
 * Errors: every function returns a status; the last argument, which may be NULL, gets the message (sabot/error.h).
 * Options structs begin with `size` = sizeof the struct, so that a program built against an older header keeps working.
 */
#ifndef SABOT_SABOT_H
#define SABOT_SABOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sabot/api.h"
#include "sabot/arrow.h"
#include "sabot/error.h"
#include "sabot/process.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sabot_engine;
struct sabot_result;
struct sabot_job;

/* --- engine */

struct sabot_engine_options {
    size_t size;
    int64_t memory_limit; /* bytes for all jobs of this engine; 0 = 60 % of the machine's memory */
};

/* options may be NULL. Freed with sabot_engine_close. */
SABOT_API sabot_status sabot_engine_open(const struct sabot_engine_options *options, struct sabot_engine **engine,
                                         struct sabot_error *err);
/* Cancels the jobs that still run, and frees. Results and job handles must have been freed before. NULL is allowed. */
SABOT_API void sabot_engine_close(struct sabot_engine *engine);

/* SET 'key' = 'value'; `sabot help settings` and the guide list the keys. */
SABOT_API sabot_status sabot_engine_set(struct sabot_engine *engine, const char *key, const char *value,
                                        struct sabot_error *err);

/* Runs the statements of a script in order. A statement that gives rows (SELECT, SHOW, DESCRIBE, EXPLAIN) must be the
 * last one, and then *result has them; INSERT over bounded input is waited for, over unbounded input it goes on as a
 * job of *result. result may be NULL where nothing is wanted: a job then goes on until sabot_engine_close. The text is
 * UTF-8. On failure statements before the failing one have had their effect. */
SABOT_API sabot_status sabot_engine_execute(struct sabot_engine *engine, const char *sql, struct sabot_result **result,
                                            struct sabot_error *err);

/* --- results */

enum sabot_result_kind {
    SABOT_RESULT_NONE, /* nothing to show */
    SABOT_RESULT_ROWS, /* sabot_result_stream */
    SABOT_RESULT_JOB   /* sabot_result_job */
};
SABOT_API enum sabot_result_kind sabot_result_kind(const struct sabot_result *result);
/* The rows, once. Arrays may be kept, and released by any thread, also when the engine is closed. get_next blocks
 * until there are rows; a released array is the end. When rows are not fetched the query waits (a bounded number of
 * batches is kept). An updating query has a last column `row_kind`: +I, -U, +U or -D. The stream must be released
 * before sabot_result_free. */
SABOT_API sabot_status sabot_result_stream(struct sabot_result *result, struct ArrowArrayStream *stream,
                                           struct sabot_error *err);
/* The running job of an INSERT or a query, borrowed from the result; NULL where there is none. */
SABOT_API struct sabot_job *sabot_result_job(struct sabot_result *result);
/* Cancels the job where it still runs, and frees. NULL is allowed. */
SABOT_API void sabot_result_free(struct sabot_result *result);

/* --- jobs */

/* Waits for the end, at most timeout_ms (negative: no limit). *done may be NULL. A failed job's error is returned. */
SABOT_API sabot_status sabot_job_wait(struct sabot_job *job, int64_t timeout_ms, bool *done, struct sabot_error *err);
/* A job that ended without an error: FINISHED has read all its input, STOPPED was ended on request before that,
 * cleanly: windows that were open and aggregates of bounded input have not given their last rows. Any thread. */
enum sabot_job_state {
    SABOT_JOB_RUNNING,
    SABOT_JOB_STOPPING, /* stop was asked for; what is in flight is finished */
    SABOT_JOB_FINISHED,
    SABOT_JOB_STOPPED,
    SABOT_JOB_CANCELLED,
    SABOT_JOB_FAILED
};
SABOT_API enum sabot_job_state sabot_job_state(const struct sabot_job *job);
/* Stops reading, finishes what is in flight, takes a last checkpoint where there are checkpoints. Returns at once. */
SABOT_API void sabot_job_stop(struct sabot_job *job);
/* Drops what is in flight. Returns at once. */
SABOT_API void sabot_job_cancel(struct sabot_job *job);

/* Counters of one operator instance; units in the names, times in nanoseconds. */
struct sabot_metrics {
    size_t size;               /* set by the caller */
    const char *operator_name; /* borrowed from the job, as are the other texts */
    const char *uid;
    int32_t subtask;
    int64_t rows_in, rows_out, batches_in, batches_out, bytes_in, bytes_out;
    int64_t rows_late;      /* came behind the watermark and were in no window that is still open */
    int64_t rows_malformed; /* could not be decoded */
    int64_t state_rows, state_bytes;
    int64_t busy_ns, blocked_ns;
    int64_t watermark_ms; /* INT64_MIN = none */
};
/* How many operator instances there are, and the counters of one of them (0 <= i < count). */
SABOT_API int32_t sabot_job_metrics_count(const struct sabot_job *job);
SABOT_API sabot_status sabot_job_metrics(const struct sabot_job *job, int32_t i, struct sabot_metrics *metrics,
                                         struct sabot_error *err);
/* Which split or operator holds the watermark back, and since when: one line each. Writes at most size bytes, always
 * terminated; returns the bytes that the whole text needs, without the NUL. */
SABOT_API size_t sabot_job_explain_stall(struct sabot_job *job, char *text, size_t size);

/* --- tables from Arrow */

struct sabot_stream_options {
    size_t size;
    const char *event_time;     /* a TIMESTAMP column that carries event time; NULL = none */
    int64_t watermark_delay_ms; /* rows come at most so late */
    bool never_blocks;          /* get_next returns at once: it is then called by the engine's own threads */
};
/* A table that is read once, by one query. Takes over the stream on every path; options may be NULL. get_next is called
 * by one thread at a time. A table of this name is replaced. */
SABOT_API sabot_status sabot_engine_register_stream(struct sabot_engine *engine, const char *table,
                                                    struct ArrowArrayStream *stream,
                                                    const struct sabot_stream_options *options,
                                                    struct sabot_error *err);

/* --- scalar functions */

/* Computes n_rows values. args: one array of n_rows each, borrowed; *out is filled by the function, with an array of
 * the declared type and n_rows values. Runs on several threads at once. Returns 0, or another number after writing a
 * message of at most message_size bytes. */
typedef int (*sabot_function_call)(void *user, const struct ArrowArray *const *args, int32_t n_args, int64_t n_rows,
                                   struct ArrowArray *out, char *message, size_t message_size);

struct sabot_function {
    size_t size;
    const char *name;                 /* as it is called in SQL, any case */
    const char *const *argument_types; /* SQL types: "BIGINT", "STRING", "DECIMAL(10, 2)", "TIMESTAMP(3)" ... */
    int32_t n_arguments;
    const char *return_type;
    bool not_deterministic; /* never computed in advance */
    sabot_function_call call;
    void *user;
};
/* Visible to this engine's statements from now on, in the place of one of the same name, also a built-in one. Names and
 * types are copied; call and user must outlive the engine. */
SABOT_API sabot_status sabot_engine_register_function(struct sabot_engine *engine,
                                                      const struct sabot_function *function, struct sabot_error *err);

/* --- process functions: C with keyed state and timers (sabot/process.h) */

/* SELECT * FROM name(input => TABLE t PARTITION BY k). Visible to this engine's statements from now on, in the place of
 * one of the same name. What it declares is copied; callbacks and user must outlive the engine. */
SABOT_API sabot_status sabot_engine_register_process_function(struct sabot_engine *engine,
                                                              const struct sabot_process_function *function,
                                                              struct sabot_error *err);

/* --- connectors */

/* What a source or sink is opened for. Texts are borrowed for the call. */
struct sabot_connector_context {
    size_t size;
    const struct ArrowSchema *schema; /* of the rows to take, or to give (only what is read); a struct */
    const char *const *option_keys;   /* WITH (...), without 'connector' */
    const char *const *option_values;
    int32_t n_options;
    int32_t subtask, parallelism;
    void (*wake)(void *wake_arg); /* any thread may call it: poll again */
    void *wake_arg;
};
enum sabot_poll { SABOT_POLL_ROWS, SABOT_POLL_WAIT /* until woken, at most 10 ms */, SABOT_POLL_END };

struct sabot_source_connector {
    size_t size;
    bool bounded; /* it ends */
    sabot_status (*open)(void *user, const struct sabot_connector_context *context, void **source,
                         struct sabot_error *err);
    /* Never blocks. ROWS: *rows is a struct array of the schema. */
    sabot_status (*poll)(void *source, enum sabot_poll *state, struct ArrowArray *rows, struct sabot_error *err);
    /* The position behind the rows that were given, for checkpoints; NULL where it can't be wound back. Called with
     * capacity bytes of room; *used <= capacity. */
    sabot_status (*position)(void *source, void *bytes, size_t capacity, size_t *used, struct sabot_error *err);
    sabot_status (*restore)(void *source, const void *bytes, size_t size, struct sabot_error *err);
    void (*close)(void *source);
};
struct sabot_sink_connector {
    size_t size;
    sabot_status (*open)(void *user, const struct sabot_connector_context *context, void **sink,
                         struct sabot_error *err);
    /* Takes over *rows, and may keep them. Should not block for long. */
    sabot_status (*write)(void *sink, struct ArrowArray *rows, struct sabot_error *err);
    /* Everything written must be durable when this returns; called before each checkpoint and at the end. NULL where
     * write has done that. Rows behind the last checkpoint come again after a crash: at least once. */
    sabot_status (*flush)(void *sink, struct sabot_error *err);
    void (*close)(void *sink);
    /* Exactly once: all three, or none. prepare takes the place of flush: what was written since the last one becomes
     * durable, but not visible; what a commit after a crash needs is written to bytes (*used <= capacity) and kept in
     * the checkpoint. At the end of a job without checkpoints checkpoint_id is INT64_MAX. */
    sabot_status (*prepare)(void *sink, int64_t checkpoint_id, void *bytes, size_t capacity, size_t *used,
                            struct sabot_error *err);
    /* The checkpoint is complete: what was prepared for it and for earlier ones becomes visible. May come again. */
    sabot_status (*commit)(void *sink, int64_t checkpoint_id, struct sabot_error *err);
    /* After open, before any write, in subtask 0: once for each prepare of the checkpoint that the job starts from.
     * Commits it, if the crash came first. What was prepared for later checkpoints is to be dropped: it comes again. */
    sabot_status (*restore)(void *sink, const void *bytes, size_t size, struct sabot_error *err);
    /* Takes updating queries too: rows have a last column `row_kind` as in sabot_result_stream. */
    bool takes_changes;
};
/* A callback that fails writes err->message, which ends up in the job's error, and returns another status than OK.
 *
 * 'connector' = name in CREATE TABLE, for all engines of the process. source or sink may be NULL; the structs are
 * copied, what they point to and `user` must stay. Names can't be registered twice. */
SABOT_API sabot_status sabot_register_connector(const char *name, const struct sabot_source_connector *source,
                                                const struct sabot_sink_connector *sink, void *user,
                                                struct sabot_error *err);

/* "0.1.0" */
SABOT_API const char *sabot_version(void);

#ifdef __cplusplus
}
#endif
#endif
