/* Answers other processes of the user on this machine: which jobs run here, take a savepoint, stop, cancel. A socket in
 * env_run_dir().
 *
 * A request is lines: the verb, then key=value lines, then an empty line. The answer is "ok" or "error <status>", a
 * newline, and a text up to the end. A job is named by its id, its name, or its checkpoint folder. */
#ifndef ENGINE_JOB_SERVER_H
#define ENGINE_JOB_SERVER_H

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
/* A line per job of the user: id, name, state, start (ms), checkpoints, failed ones, newest id (-1: none), duration of
 * the newest (ms), checkpoint folder; between tabs. */
sabot_status job_server_list(struct env *env, struct text *answer, struct sabot_error *err);

#endif
