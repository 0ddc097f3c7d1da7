/* Answers other processes of the user on this machine: which jobs run here, take a savepoint or a checkpoint, stop,
 * cancel. A socket in env_run_dir().
 *
 * A request is lines: the verb, then key=value lines, then an empty line. The answer is "ok" or "error <status>", a
 * newline, and a text up to the end; to "checkpoint" it is "ok", the path and a newline, and the checkpoint stays until
 * the other process closes the connection. A job is named by its id, its name, or its checkpoint folder. */
#ifndef ENGINE_JOB_SERVER_H
#define ENGINE_JOB_SERVER_H

#include "base/env_local.h"
#include "base/text.h"
#include "runtime/job.h"

#define JOB_ID_SIZE 9 /* 8 hexadecimal digits and a NUL */

struct job_server;
sabot_status job_server_open(struct env *env, struct job_server **out, struct sabot_error *err);
void job_server_close(struct job_server *server); /* no job may be left; NULL is allowed */
/* savepoint_dir: where savepoints go that name no folder; copied; NULL: the job's checkpoint folder. */
sabot_status job_server_add(struct job_server *server, struct job *job, const char *savepoint_dir,
                            char id[JOB_ID_SIZE], struct sabot_error *err);
/* Waits for requests that use the job; to be called before job_free, when the job is over. */
void job_server_remove(struct job_server *server, const struct job *job);

/* --- for clients */
enum job_verb { JOB_VERB_SAVEPOINT, JOB_VERB_STOP, JOB_VERB_CANCEL };
struct job_request {
    enum job_verb verb;
    const char *job;  /* id, name or checkpoint folder */
    const char *dir;  /* SAVEPOINT, STOP with `savepoint`: where the savepoint's folder is made; NULL: the default */
    const char *path; /* SAVEPOINT: exactly this folder; NULL: a new one in dir */
    bool savepoint;   /* STOP: with a savepoint */
    bool drain;       /* STOP: the input comes to its end first */
};
/* Asks the process in which the job runs, and waits until it is done. The answer is appended to `answer`: the path of
 * a savepoint. ERR_NOT_FOUND: no such job; ERR_USAGE: several. */
sabot_status job_server_ask(struct env *env, const struct job_request *request, struct text *answer,
                            struct sabot_error *err);
/* Has a job take a checkpoint now (an incremental one, where its checkpoints are), and keeps it from being removed
 * until *held is closed (env_socket_close) or the job ends. *held stays NULL where the job has no checkpoint folder. */
sabot_status job_server_hold(struct env *env, const char *job, char path[ENV_PATH_MAX], struct env_socket **held,
                             struct sabot_error *err);
/* A line per job of the user, columns between tabs. */
enum job_column {
    JOB_COLUMN_ID,
    JOB_COLUMN_NAME,
    JOB_COLUMN_STATE,
    JOB_COLUMN_STARTED,     /* ms */
    JOB_COLUMN_CHECKPOINTS, /* completed */
    JOB_COLUMN_FAILED,      /* checkpoints */
    JOB_COLUMN_CHECKPOINT,  /* id of the newest; -1: none */
    JOB_COLUMN_DURATION,    /* of it, ms */
    JOB_COLUMN_FOLDER,
    JOB_COLUMN_CHECKPOINT_MS, /* of what time the newest checkpoint is; 0: none */
    JOB_COLUMN_ROWS,          /* that the sources have read */
    JOB_COLUMN_RATE,          /* of them in a second, over the last 5 to 10 s */
    JOB_COLUMN_WATERMARK,     /* ms, the least of its sinks'; "": none */
};
sabot_status job_server_list(struct env *env, struct text *answer, struct sabot_error *err);
/* The text of a column. "" where the process is of a version that has no such column. */
void job_server_column(const char *line, enum job_column column, char *target, size_t size);

#endif
