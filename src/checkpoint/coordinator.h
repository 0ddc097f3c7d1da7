/* The coordinator of a job's checkpoints: triggers them, gathers acknowledgements, has the files written by
 * helpers, writes the manifest, and only then tells the job that the checkpoint is complete.
 *
 * One checkpoint is under way at a time. step() is called by one thread, the job's control; acknowledgements come
 * from any thread. Without a folder a checkpoint is only a round of barriers: nothing is written (a job that stops
 * without checkpoints commits its sinks that way). */
#ifndef CHECKPOINT_COORDINATOR_H
#define CHECKPOINT_COORDINATOR_H

#include "base/env.h"
#include "checkpoint/lease.h"
#include "checkpoint/manifest.h"

/* The state of one operator instance at a barrier. */
struct checkpoint_part {
    const char *uid, *meaning; /* borrowed from the plan */
    int32_t subtask, parallelism;
    bool ended;      /* had given out its last row */
    struct manifest_file *files; /* written */
    int32_t n_files;
};
void checkpoint_parts_free(struct checkpoint_part *parts, int32_t n);

/* What the coordinator asks of the job. Called from step(), but for prepare_manifest (on a helper) and wake
 * (anywhere). */
struct coordinator_calls {
    void *arg;
    void (*trigger)(void *arg, int64_t checkpoint_id, int64_t timestamp_ms);
    void (*abort)(void *arg, int64_t checkpoint_id);
    /* Not called for savepoints: what a job that goes on has committed must be in its newest checkpoint. */
    void (*complete)(void *arg, int64_t checkpoint_id);
    /* Last work before the manifest: side outputs are made durable. */
    sabot_status (*prepare_manifest)(void *arg, struct sabot_error *err);
    void (*wake)(void *arg); /* step() has something to do */
    void (*acknowledged)(void *arg, int32_t task, int64_t checkpoint_id); /* any thread; NULL: nobody asks */
    /* Barriers of the checkpoint overtake rows from now on; called where coordinator_options.overtakes is set. */
    void (*overtake)(void *arg, int64_t checkpoint_id);
};

struct coordinator_options {
    struct env *env;
    struct store *store;       /* where dir and savepoints are */
    struct memory_pool *pool;
    const char *job_name;      /* borrowed */
    struct lease lease;        /* of dir; epoch 0: none, nobody is fenced */
    const char *dir;           /* borrowed; NULL: none */
    int64_t interval_ns;       /* 0: only on request */
    int64_t timeout_ns;
    bool overtakes;            /* barriers of the interval's checkpoints overtake rows, after so long: */
    int64_t overtake_after_ns;
    int64_t min_pause_ns;      /* between the end of a checkpoint and the beginning of the next one by the interval */
    bool incremental;          /* checkpoints share files (not savepoints) */
    int32_t retained;          /* complete checkpoints to keep, at least 1 */
    int32_t failures_max;      /* so many in a row make the job fail; savepoints do not count */
    int32_t max_parallelism;
    int32_t n_tasks;
    int64_t restored_id;       /* ids go on behind it */
    struct coordinator_calls calls;
};

/* A checkpoint that somebody waits for. Owned by who asks; may go away once `done` is set (read with
 * coordinator_poll). */
struct checkpoint_request {
    const char *path; /* a savepoint's folder; NULL: in the options' folder */
    bool done;
    int64_t checkpoint_id;
    struct sabot_error error; /* status OK: it is complete */
    struct checkpoint_request *next;
};

struct coordinator;
sabot_status coordinator_new(const struct coordinator_options *options, struct coordinator **out,
                             struct sabot_error *err);
/* Gives up what is under way, and waits for the helpers. NULL is allowed. */
void coordinator_free(struct coordinator *coordinator);

/* Does what is due; returns when it wants to be called again (env_now_ns; INT64_MAX: when woken). A failure that
 * the job must not survive is put into *fatal. `periodic`: whether new checkpoints may be begun by the interval. */
int64_t coordinator_step(struct coordinator *coordinator, bool periodic, struct sabot_error *fatal);
/* Any thread. At most 64 wait at a time. */
sabot_status coordinator_request(struct coordinator *coordinator, struct checkpoint_request *request,
                                 struct sabot_error *err);
bool coordinator_poll(struct coordinator *coordinator, const struct checkpoint_request *request);
/* The job is over: nothing more will complete; everybody who waits gets this error. */
void coordinator_give_up(struct coordinator *coordinator, const struct sabot_error *why);

/* Where a task writes its state to. */
struct checkpoint;
struct checkpoint_place {
    struct checkpoint *checkpoint;
    struct store *store;
    const char *path; /* its folder; until it is released */
    bool shares;      /* files may go into the folder `shared` beside it */
};
/* Any thread. False: nothing is to be written for this checkpoint. Its folder stays until it is released. */
bool coordinator_hold(struct coordinator *coordinator, int64_t checkpoint_id, struct checkpoint_place *out);
void coordinator_release(struct checkpoint_place *place);
/* Runs work for a held checkpoint on a helper, which the coordinator waits for before it is freed. `refused` has an
 * error where the folder could not be made the checkpoint's own: then nothing may be written. run NULL: no work. */
sabot_status coordinator_help(struct coordinator *coordinator, struct checkpoint *checkpoint,
                              void (*run)(void *arg, const struct sabot_error *refused), void *arg,
                              struct sabot_error *err);
/* A task could not save its state: the checkpoint fails, the job goes on. */
void coordinator_decline(struct coordinator *coordinator, int64_t checkpoint_id, const struct sabot_error *why);
/* A task's state at the barrier. Takes over `parts`. An acknowledgement counts once per task; those of tasks that have
 * acknowledged, and for checkpoints that are not under way, are ignored and counted. */
sabot_status coordinator_acknowledge(struct coordinator *coordinator, int32_t task, int64_t checkpoint_id,
                                     struct checkpoint_part *parts, int32_t n_parts, struct sabot_error *err);

struct coordinator_counts {
    int64_t completed, failed, acks_ignored;
    int64_t last_id, last_duration_ns;    /* of the newest complete one; last_id -1: none */
    int64_t last_ms;                      /* of what time its state is */
    int64_t last_bytes, last_full_bytes;  /* that it has written, and with the files that it shares with others */
    int64_t in_progress_id;                        /* -1: none */
};
/* After the end of the job: removes all checkpoints of its folder. */
sabot_status coordinator_remove_all(struct coordinator *coordinator, struct sabot_error *err);
/* Keeps a checkpoint from being removed while somebody reads it: one to come (COORDINATOR_KEEP_ALL: no old one is
 * removed, until it is known which), or that of an id. Every keep has its drop, with the same id. Any thread. */
#define COORDINATOR_KEEP_ALL (-1)
sabot_status coordinator_keep(struct coordinator *coordinator, int64_t id, struct sabot_error *err);
void coordinator_drop(struct coordinator *coordinator, int64_t id);
void coordinator_counts(struct coordinator *coordinator, struct coordinator_counts *out);

#endif
