/* A session: catalogue and settings of one user, and the jobs that its statements started. What the C API and the
 * command are made of. One thread at a time, except session_job_stop and session_job_cancel. */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "connect/memory/memory.h"
#include "engine/job_server.h"
#include "runtime/job.h"
#include "runtime/pools.h"
#include "runtime/state_check.h"
#include "sql/parse.h"
#include "sql/statement.h"

struct session {
    struct env *env;
    struct job_pools *pools;
    struct memory_pool *pool; /* of `pools`: of all jobs; limit: the engine's memory limit */
    struct catalog catalog;
    struct settings settings;
    struct session_job *jobs; /* started and not yet freed, newest first */
    int32_t statements;       /* run so far */
    bool serves;              /* other processes may see and stop its jobs; set by who makes the session */
    struct job_server *server; /* NULL until the first job, and where none can be had */
};

/* memory_limit 0 = 60 % of the machine's memory. */
sabot_status session_new(struct env *env, int64_t memory_limit, struct session **out, struct sabot_error *err);
void session_free(struct session *session); /* cancels and frees all its jobs; NULL is allowed */

/* A running INSERT or query. Owned by the session until session_job_free. */
struct session_job {
    struct session *session;
    struct session_job *next;
    struct job *job;
    char id[JOB_ID_SIZE]; /* "" where the session does not serve */
    struct physical_plan *plan;
    struct collect *collect; /* QUERY: where its rows come out */
    struct schema *schema;   /* QUERY */
    bool bounded, updating;
    const int32_t *upsert_key; /* QUERY, updating: of the plan; NULL: none */
    int32_t n_upsert_key;
};
void session_job_free(struct session_job *job); /* cancels it where it still runs; NULL is allowed */
/* job_wait with the job's own failure as the status. */
sabot_status session_job_wait(struct session_job *job, int64_t timeout_ns, bool *done, struct sabot_error *err);
/* The next rows of a query: a batch (the caller's), or NULL: *end says whether it was the last or just nothing within
 * timeout_ns (negative: no limit). A failed query's error comes here. */
sabot_status session_job_next(struct session_job *job, int64_t timeout_ns, struct batch **out, bool *end,
                              struct sabot_error *err);

/* A parsed script that is run statement by statement. */
struct session_script {
    struct sql_script *script;
    int32_t next; /* statement */
    char *checkpoint_dir, *restore_from; /* of the last job that it started */
};
sabot_status session_parse(const char *text, size_t size, struct session_script *out, struct sabot_error *err);
int32_t session_left(const struct session_script *script); /* statements still to run */
void session_script_clear(struct session_script *script);

struct session_result {
    enum statement_outcome outcome; /* DONE, ROWS, JOB or QUERY */
    struct batch *rows;             /* ROWS: owned */
    struct session_job *job;        /* JOB, QUERY: running */
};
/* Runs the next statement. Jobs are started, not waited for. */
sabot_status session_step(struct session *session, struct session_script *script, struct session_result *result,
                          struct sabot_error *err);
/* The same, but queries and INSERTs are explained (ROWS) instead of run. */
sabot_status session_explain_step(struct session *session, struct session_script *script,
                                  struct session_result *result, struct sabot_error *err);

/* The same, but queries and INSERTs are compared with the checkpoint or savepoint at `path` (*is_job; the report is the
 * caller's) instead of run. */
sabot_status session_check_step(struct session *session, struct session_script *script, const char *path,
                                struct state_report *report, bool *is_job, struct sabot_error *err);

#endif
