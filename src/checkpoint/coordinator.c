/* The coordinator of a job's checkpoints.
 *
 * Helpers (file writers, the manifest, removal) hold a reference on the checkpoint that they work for. They only note
 * what came of it, under the mutex, and wake the control; what follows from it is decided in coordinator_step. */
#include "checkpoint/coordinator.h"

#include "base/log.h"
#include "checkpoint/local_copy.h"
#include "checkpoint/storage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 64
#define KEPT_MAX 64 /* checkpoints that are read at a time */
#define REMOVALS_MAX 5

enum stage {
    STAGE_COLLECTS, /* barriers are on their way, files are written */
    STAGE_WRITES,   /* all tasks have acknowledged: the manifest is being written */
    STAGE_WRITTEN,  /* it exists, and nobody had replaced us */
    STAGE_ABORTED
};
enum claim {
    CLAIM_OPEN, /* the folder is not made yet */
    CLAIM_OURS,
    CLAIM_REFUSED, /* a second try would find what the first has left */
    CLAIM_COLLIDED /* a process that was replaced has a checkpoint of this number: the next one has another */
};

struct checkpoint {
    struct coordinator *coordinator;
    int32_t refs; /* under the mutex */
    int64_t id, timestamp_ms, started_ns;
    char *path;   /* NULL: nothing is written */
    bool savepoint;
    bool may_overtake, overtakes;
    enum stage stage;           /* changed under the mutex */
    enum claim claim;           /* changed under both mutexes */
    struct sabot_error refused; /* why the folder is not ours; under `claims` */
    bool stays;   /* its manifest exists, or may: a newer process may have started from it, so nothing is removed */
    uint64_t *acknowledged; /* a bit per task */
    int32_t n_acknowledged;
    struct manifest manifest;
    struct sabot_error error; /* the first failure */
    struct checkpoint_request *requests;
};

struct coordinator {
    struct coordinator_options options;
    struct env_mutex *mutex;
    struct env_mutex *claims;      /* held by the helper that makes a checkpoint's folder */
    struct env_event *idle;        /* no helper is left */
    int32_t n_helpers;
    struct checkpoint *current;
    struct checkpoint_request *requests; /* not begun yet, oldest first */
    int32_t n_requests;
    int64_t next_id, next_at_ns;
    bool savepoint_was_last;       /* of what was begun */
    int32_t failures;              /* in a row */
    struct sabot_error failure;    /* the last of them */
    struct sabot_error fenced;     /* a newer process has the folder; under the mutex */
    bool over;
    struct sabot_error over_why;
    struct coordinator_counts counts;
    int64_t kept[KEPT_MAX]; /* checkpoints that are read, COORDINATOR_KEEP_ALL among them; under the mutex */
    int32_t n_kept;
};

void checkpoint_parts_free(struct checkpoint_part *parts, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        for (int32_t f = 0; f < parts[i].n_files; f++) { manifest_file_clear(&parts[i].files[f]); }
        free(parts[i].files);
    }
    free(parts);
}

sabot_status coordinator_new(const struct coordinator_options *options, struct coordinator **out,
                             struct sabot_error *err) {
    *out = NULL;
    int64_t last = options->restored_id;
    if (options->dir) {
        SABOT_TRY(store_make_dirs(options->store, options->dir, err));
        char shared[STORAGE_PATH_MAX];
        SABOT_TRY(storage_shared_path(options->dir, shared, err));
        if (options->incremental) { SABOT_TRY(store_make_dirs(options->store, shared, err)); }
        int64_t *ids;
        int32_t n;
        SABOT_TRY(storage_list(options->store, options->dir, &ids, &n, err));
        /* what the process before had under way when it died */
        local_copy_forget(options->store, options->dir, last + 1, INT64_MAX);
        /* an id is never used twice, also where its first use is only a torn folder */
        if (n > 0 && ids[n - 1] > last) { last = ids[n - 1]; }
        free(ids);
    }
    struct coordinator *coordinator = calloc(1, sizeof *coordinator);
    if (!coordinator) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the checkpoint coordinator"); }
    coordinator->options = *options;
    coordinator->mutex = env_mutex_new(options->env);
    coordinator->claims = env_mutex_new(options->env);
    coordinator->idle = env_event_new(options->env);
    coordinator->next_id = last < 0 ? 1 : last + 1;
    coordinator->next_at_ns =
        options->dir && options->interval_ns > 0 ? env_now_ns(options->env) + options->interval_ns : INT64_MAX;
    coordinator->counts.last_id = -1;
    *out = coordinator;
    return SABOT_OK;
}

/* --- helpers */

/* Removes what an aborted checkpoint has left; on a helper, or where no helper can be had. */
static void checkpoint_free(struct checkpoint *checkpoint) {
    if (checkpoint->stage == STAGE_ABORTED && checkpoint->claim == CLAIM_OURS && !checkpoint->stays) {
        struct sabot_error err = {0};
        struct coordinator *coordinator = checkpoint->coordinator;
        const struct coordinator_options *options = &coordinator->options;
        if (storage_remove(options->store, checkpoint->path, &err) != SABOT_OK) {
            log_write(options->env, LOG_WARNING, "an aborted checkpoint is left behind: %s", err.message);
        }
        /* however many fail in a row: the next complete one would be long in coming */
        env_mutex_lock(coordinator->mutex);
        const int64_t last = coordinator->counts.last_id;
        env_mutex_unlock(coordinator->mutex);
        if (!checkpoint->savepoint) {
            local_copy_give_up(options->store, options->dir, last >= 0 ? last : options->restored_id, checkpoint->id);
        }
    }
    manifest_clear(&checkpoint->manifest);
    free(checkpoint->acknowledged);
    free(checkpoint->path);
    free(checkpoint);
}

/* Under the mutex: true if the caller has to free it, without the mutex. */
static bool checkpoint_drop(struct checkpoint *checkpoint) { return --checkpoint->refs == 0; }

static sabot_status helper_begin(struct coordinator *coordinator, struct checkpoint *checkpoint,
                                 void (*run)(void *arg), void *arg, struct sabot_error *err) {
    env_mutex_lock(coordinator->mutex);
    coordinator->n_helpers++;
    if (checkpoint) { checkpoint->refs++; }
    env_mutex_unlock(coordinator->mutex);
    const sabot_status status = env_offload_patient(coordinator->options.env, run, arg, err);
    if (status == SABOT_OK) { return SABOT_OK; }
    env_mutex_lock(coordinator->mutex);
    coordinator->n_helpers--;
    if (checkpoint) { checkpoint_drop(checkpoint); } /* never the last: the caller has one */
    env_mutex_unlock(coordinator->mutex);
    return status;
}

/* The last thing a helper does. */
static void helper_end(struct coordinator *coordinator, struct checkpoint *checkpoint) {
    env_mutex_lock(coordinator->mutex);
    const bool last = checkpoint && checkpoint_drop(checkpoint);
    env_mutex_unlock(coordinator->mutex);
    if (last) { checkpoint_free(checkpoint); }
    coordinator->options.calls.wake(coordinator->options.calls.arg);
    env_mutex_lock(coordinator->mutex);
    coordinator->n_helpers--;
    if (coordinator->n_helpers == 0) { env_event_set(coordinator->idle); }
    env_mutex_unlock(coordinator->mutex);
}

/* The job ends with this. Under `claims`. */
static void fence(struct checkpoint *checkpoint, const struct sabot_error *why) {
    struct coordinator *coordinator = checkpoint->coordinator;
    checkpoint->refused = *why;
    env_mutex_lock(coordinator->mutex);
    coordinator->fenced = *why;
    env_mutex_unlock(coordinator->mutex);
}

/* Somebody else has made the folder. Who holds the lease goes on with the next number: the processes that it replaced
 * end, but until then they may be one number ahead again and again. Under `claims`. */
static enum claim claim_lost(struct checkpoint *checkpoint) {
    struct coordinator *coordinator = checkpoint->coordinator;
    const struct lease *lease = &coordinator->options.lease;
    if (checkpoint->savepoint || lease->epoch == 0) { return CLAIM_REFUSED; }
    bool fenced = false;
    struct sabot_error err = {0};
    if (lease_check(coordinator->options.store, lease, &fenced, &err) == SABOT_OK) { return CLAIM_COLLIDED; }
    if (fenced) { fence(checkpoint, &err); }
    return CLAIM_REFUSED;
}

/* A folder that is not there any more is not made anew: what is shared, and who else writes there, is gone with it. A
 * remote store, which has no folders, is asked behind the manifest only. Under `claims`. */
static bool lease_is_lost(struct checkpoint *checkpoint) {
    struct coordinator *coordinator = checkpoint->coordinator;
    const struct coordinator_options *options = &coordinator->options;
    bool fenced = false;
    struct sabot_error err = {0};
    if (checkpoint->savepoint || options->lease.epoch == 0 || store_is_remote(options->dir)) { return false; }
    lease_check(options->store, &options->lease, &fenced, &err);
    if (fenced) { fence(checkpoint, &err); }
    return fenced;
}

/* Makes the folder. Under `claims`. */
static enum claim claim_try(struct checkpoint *checkpoint) {
    const struct coordinator_options *options = &checkpoint->coordinator->options;
    if (lease_is_lost(checkpoint)) { return CLAIM_REFUSED; }
    switch (storage_claim(options->store, checkpoint->path, checkpoint->savepoint, options->lease.epoch,
                          &checkpoint->refused)) {
    case SABOT_OK: return CLAIM_OURS;
    case SABOT_ERR_STATE: return claim_lost(checkpoint);
    default: return CLAIM_REFUSED;
    }
}

/* Once per checkpoint, before its first file: on a helper, because it may take a while. */
static sabot_status folder_claim(struct checkpoint *checkpoint, struct sabot_error *err) {
    struct coordinator *coordinator = checkpoint->coordinator;
    env_mutex_lock(coordinator->claims);
    if (checkpoint->claim == CLAIM_OPEN) {
        const enum claim claim = claim_try(checkpoint);
        env_mutex_lock(coordinator->mutex);
        checkpoint->claim = claim;
        env_mutex_unlock(coordinator->mutex);
    }
    const struct sabot_error refused = checkpoint->refused;
    env_mutex_unlock(coordinator->claims);
    if (refused.status != SABOT_OK && err && err->status == SABOT_OK) { *err = refused; }
    return refused.status;
}

/* While the barriers are on their way. */
static void claim_main(void *arg) {
    struct checkpoint *checkpoint = arg;
    struct coordinator *coordinator = checkpoint->coordinator;
    struct sabot_error err = {0};
    folder_claim(checkpoint, &err);
    env_mutex_lock(coordinator->mutex);
    if (checkpoint->error.status == SABOT_OK) { checkpoint->error = err; }
    env_mutex_unlock(coordinator->mutex);
    helper_end(coordinator, checkpoint);
}

struct help {
    struct checkpoint *checkpoint;
    void (*run)(void *arg, const struct sabot_error *refused);
    void *arg;
};

static void help_main(void *arg) {
    const struct help help = *(struct help *)arg;
    free(arg);
    struct sabot_error refused = {0};
    if (help.run) {
        folder_claim(help.checkpoint, &refused);
        help.run(help.arg, &refused);
    }
    helper_end(help.checkpoint->coordinator, help.checkpoint);
}

sabot_status coordinator_help(struct coordinator *coordinator, struct checkpoint *checkpoint,
                              void (*run)(void *arg, const struct sabot_error *refused), void *arg,
                              struct sabot_error *err) {
    struct help *help = malloc(sizeof *help);
    if (!help) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a snapshot"); }
    *help = (struct help){.checkpoint = checkpoint, .run = run, .arg = arg};
    const sabot_status status = helper_begin(coordinator, checkpoint, help_main, help, err);
    if (status != SABOT_OK) { free(help); }
    return status;
}

void coordinator_release(struct checkpoint_place *place) {
    struct checkpoint *checkpoint = place->checkpoint;
    struct coordinator *coordinator = checkpoint->coordinator;
    /* the last one removes the folder of an aborted checkpoint: a helper's work */
    (void)coordinator_help(coordinator, checkpoint, NULL, NULL, NULL);
    env_mutex_lock(coordinator->mutex);
    const bool last = checkpoint_drop(checkpoint);
    env_mutex_unlock(coordinator->mutex);
    if (last) { checkpoint_free(checkpoint); }
}

bool coordinator_hold(struct coordinator *coordinator, int64_t checkpoint_id, struct checkpoint_place *out) {
    env_mutex_lock(coordinator->mutex);
    struct checkpoint *checkpoint = coordinator->current;
    const bool held = checkpoint && checkpoint->id == checkpoint_id && checkpoint->stage != STAGE_ABORTED &&
                      checkpoint->path;
    if (held) {
        checkpoint->refs++;
        *out = (struct checkpoint_place){.checkpoint = checkpoint, .store = coordinator->options.store,
                                         .path = checkpoint->path,
                                         .shares = coordinator->options.incremental && !checkpoint->savepoint};
    }
    env_mutex_unlock(coordinator->mutex);
    return held;
}

void coordinator_decline(struct coordinator *coordinator, int64_t checkpoint_id, const struct sabot_error *why) {
    env_mutex_lock(coordinator->mutex);
    struct checkpoint *checkpoint = coordinator->current;
    if (checkpoint && checkpoint->id == checkpoint_id && checkpoint->error.status == SABOT_OK) {
        checkpoint->error = *why;
    }
    env_mutex_unlock(coordinator->mutex);
    coordinator->options.calls.wake(coordinator->options.calls.arg);
}

/* Under the mutex. */
static sabot_status part_add(struct checkpoint *checkpoint, struct checkpoint_part *part, struct sabot_error *err) {
    const struct manifest_operator operator_ = {.uid = strdup(part->uid), .subtask = part->subtask,
                                                .parallelism = part->parallelism, .ended = part->ended,
                                                .meaning = part->meaning ? strdup(part->meaning) : NULL};
    if (part->meaning && !operator_.meaning) {
        free(operator_.uid);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a manifest");
    }
    SABOT_TRY(manifest_add_operator(&checkpoint->manifest, &operator_, err));
    for (int32_t f = 0; f < part->n_files; f++) {
        const struct manifest_file item = part->files[f];
        part->files[f] = (struct manifest_file){0};
        SABOT_TRY(manifest_add_file(&checkpoint->manifest, &item, err));
    }
    return SABOT_OK;
}

/* Behind a failure to write it: the answer may have been lost, or, of a remote store, the request still be on its way.
 * A folder that stays for nothing goes when a later checkpoint is complete. */
static bool manifest_may_be_there(const struct checkpoint *checkpoint) {
    if (store_is_remote(checkpoint->path)) { return true; }
    bool is_there;
    struct store *store = checkpoint->coordinator->options.store;
    return storage_has_manifest(store, checkpoint->path, &is_there, NULL) != SABOT_OK || is_there;
}

static void manifest_main(void *arg) {
    struct checkpoint *checkpoint = arg;
    struct coordinator *coordinator = checkpoint->coordinator;
    const struct coordinator_options *options = &coordinator->options;
    struct sabot_error err = {0};
    /* all files are written, so nobody else touches the manifest */
    sabot_status status = folder_claim(checkpoint, &err); /* done already, but where no task has state */
    if (status == SABOT_OK) { status = options->calls.prepare_manifest(options->calls.arg, &err); }
    env_point(options->env, ENV_POINT_MANIFEST);
    if (status == SABOT_OK) {
        status = storage_write_manifest(options->store, checkpoint->path, &checkpoint->manifest, &err);
        env_point(options->env, ENV_POINT_MANIFEST_WRITTEN);
        checkpoint->stays = options->lease.epoch > 0 && !checkpoint->savepoint &&
                            (status == SABOT_OK || manifest_may_be_there(checkpoint));
    }
    bool fenced = false;
    if (status == SABOT_OK && options->lease.epoch > 0) {
        /* after the manifest: a process that takes over sees it, or is seen here */
        status = lease_check(options->store, &options->lease, &fenced, &err);
    }
    env_mutex_lock(coordinator->mutex);
    if (fenced) { coordinator->fenced = err; }
    if (status == SABOT_OK && checkpoint->stage == STAGE_WRITES) { checkpoint->stage = STAGE_WRITTEN; }
    if (checkpoint->error.status == SABOT_OK) { checkpoint->error = err; }
    env_mutex_unlock(coordinator->mutex);
    helper_end(coordinator, checkpoint);
}

static bool is_kept(const int64_t *kept, int32_t n, int64_t id) {
    for (int32_t i = 0; i < n; i++) {
        if (kept[i] == id) { return true; }
    }
    return false;
}

/* Removes all but the newest complete checkpoints and those that are read, and what was left of torn ones before them.
 */
static void retire_main(void *arg) {
    struct coordinator *coordinator = arg;
    const struct coordinator_options *options = &coordinator->options;
    env_mutex_lock(coordinator->mutex);
    const int64_t newest = coordinator->counts.last_id;
    const bool keeps_all = is_kept(coordinator->kept, coordinator->n_kept, COORDINATOR_KEEP_ALL);
    int64_t read[KEPT_MAX]; /* what comes to it later is newer than `newest` */
    const int32_t n_read = coordinator->n_kept;
    memcpy(read, coordinator->kept, sizeof read);
    env_mutex_unlock(coordinator->mutex);
    if (keeps_all) { /* the next one removes them */
        helper_end(coordinator, NULL);
        return;
    }
    int64_t *ids;
    int32_t n;
    struct sabot_error err = {0};
    sabot_status status = storage_list(options->store, options->dir, &ids, &n, &err);
    int32_t kept = 0;
    struct manifest *manifests = calloc((size_t)options->retained + KEPT_MAX, sizeof *manifests);
    if (!manifests) { status = SABOT_FAIL(&err, SABOT_ERR_MEMORY, "no memory for a manifest"); }
    for (int32_t i = n - 1; i >= 0 && status == SABOT_OK; i--) {
        if (ids[i] > newest) { continue; } /* under way */
        char path[STORAGE_PATH_MAX];
        bool complete; /* not to be able to tell is no reason to remove it */
        status = storage_path(options->dir, ids[i], path, &err);
        if (status == SABOT_OK) { status = storage_has_manifest(options->store, path, &complete, &err); }
        if (status != SABOT_OK) { break; }
        if (complete && (kept < options->retained || is_kept(read, n_read, ids[i]))) {
            if (options->incremental) { status = storage_read_manifest(options->store, path, &manifests[kept], &err); }
            kept++;
            continue;
        }
        status = storage_remove(options->store, path, &err);
    }
    free(ids);
    /* what no manifest that stays names goes; where one can't be read, nothing does */
    if (status == SABOT_OK && options->incremental) {
        status = storage_sweep(options->store, options->dir, newest, manifests, kept, &err);
    }
    if (status == SABOT_OK) { local_copy_prune(options->store, options->dir, newest, manifests, kept > 0 ? 1 : 0); }
    for (int32_t m = 0; m < kept && manifests; m++) { manifest_clear(&manifests[m]); }
    free(manifests);
    if (status != SABOT_OK) {
        log_write(options->env, LOG_WARNING, "what no checkpoint needs any more could not be removed, and takes space "
                  "until the next checkpoint tries again: %s", err.message);
    }
    helper_end(coordinator, NULL);
}

/* --- what the job's tasks say */

sabot_status coordinator_acknowledge(struct coordinator *coordinator, int32_t task, int64_t checkpoint_id,
                                     struct checkpoint_part *parts, int32_t n_parts, struct sabot_error *err) {
    (void)err;
    env_mutex_lock(coordinator->mutex);
    struct checkpoint *checkpoint = coordinator->current;
    const uint64_t bit = UINT64_C(1) << (task & 63);
    const bool counts = checkpoint && checkpoint->id == checkpoint_id && checkpoint->stage == STAGE_COLLECTS &&
                        task >= 0 && task < coordinator->options.n_tasks &&
                        !(checkpoint->acknowledged[task >> 6] & bit);
    bool all = false, failed = false;
    if (counts) {
        checkpoint->acknowledged[task >> 6] |= bit;
        all = ++checkpoint->n_acknowledged == coordinator->options.n_tasks;
        for (int32_t i = 0; i < n_parts && checkpoint->path && !failed; i++) {
            failed = part_add(checkpoint, &parts[i], &checkpoint->error) != SABOT_OK; /* the first failure stays */
        }
    } else {
        coordinator->counts.acks_ignored++;
    }
    env_mutex_unlock(coordinator->mutex);
    checkpoint_parts_free(parts, n_parts);
    const struct coordinator_calls *calls = &coordinator->options.calls;
    if (counts && calls->acknowledged) { calls->acknowledged(calls->arg, task, checkpoint_id); }
    if (all || failed) { coordinator->options.calls.wake(coordinator->options.calls.arg); }
    return SABOT_OK;
}

sabot_status coordinator_request(struct coordinator *coordinator, struct checkpoint_request *request,
                                 struct sabot_error *err) {
    request->done = false;
    request->next = NULL;
    request->checkpoint_id = -1;
    error_clear(&request->error);
    env_mutex_lock(coordinator->mutex);
    sabot_status status = SABOT_OK;
    if (coordinator->over) {
        if (err && err->status == SABOT_OK) { *err = coordinator->over_why; }
        status = coordinator->over_why.status;
    } else if (coordinator->n_requests >= REQUESTS_MAX) {
        status = SABOT_FAIL(err, SABOT_ERR_STATE, "%d checkpoints are asked for already: wait for them", REQUESTS_MAX);
    } else {
        struct checkpoint_request **at = &coordinator->requests;
        while (*at) { at = &(*at)->next; }
        *at = request;
        coordinator->n_requests++;
    }
    env_mutex_unlock(coordinator->mutex);
    if (status == SABOT_OK) { coordinator->options.calls.wake(coordinator->options.calls.arg); }
    return status;
}

bool coordinator_poll(struct coordinator *coordinator, const struct checkpoint_request *request) {
    env_mutex_lock(coordinator->mutex);
    const bool done = request->done;
    env_mutex_unlock(coordinator->mutex);
    return done;
}

sabot_status coordinator_keep(struct coordinator *coordinator, int64_t id, struct sabot_error *err) {
    env_mutex_lock(coordinator->mutex);
    const bool room = coordinator->n_kept < KEPT_MAX;
    if (room) { coordinator->kept[coordinator->n_kept++] = id; }
    env_mutex_unlock(coordinator->mutex);
    if (room) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "%d others read checkpoints of this job already", KEPT_MAX);
}

void coordinator_drop(struct coordinator *coordinator, int64_t id) {
    env_mutex_lock(coordinator->mutex);
    int32_t at = 0;
    while (at < coordinator->n_kept && coordinator->kept[at] != id) { at++; }
    assert(at < coordinator->n_kept);
    coordinator->kept[at] = coordinator->kept[--coordinator->n_kept];
    env_mutex_unlock(coordinator->mutex);
}

void coordinator_counts(struct coordinator *coordinator, struct coordinator_counts *out) {
    env_mutex_lock(coordinator->mutex);
    *out = coordinator->counts;
    out->in_progress_id = coordinator->current ? coordinator->current->id : -1;
    env_mutex_unlock(coordinator->mutex);
}

/* --- decisions, on the control's thread */

/* Under the mutex. After this the requests belong to those who asked. */
static void requests_finish(struct checkpoint_request *requests, int64_t checkpoint_id,
                            const struct sabot_error *error) {
    while (requests) {
        struct checkpoint_request *next = requests->next;
        requests->checkpoint_id = checkpoint_id;
        if (error) { requests->error = *error; }
        requests->done = true;
        requests = next;
    }
}

static struct checkpoint *checkpoint_new(struct coordinator *coordinator, const char *savepoint,
                                         struct sabot_error *err) {
    const struct coordinator_options *options = &coordinator->options;
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (checkpoint) { checkpoint->acknowledged = calloc((size_t)options->n_tasks / 64 + 1, sizeof(uint64_t)); }
    if (!checkpoint || !checkpoint->acknowledged) {
        free(checkpoint);
        SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a checkpoint");
        return NULL;
    }
    checkpoint->coordinator = coordinator;
    checkpoint->refs = 1;
    checkpoint->id = coordinator->next_id++;
    checkpoint->timestamp_ms = env_wall_ms(options->env);
    checkpoint->started_ns = env_now_ns(options->env);
    checkpoint->savepoint = savepoint != NULL;
    checkpoint->manifest = (struct manifest){
        .job = options->job_name ? strdup(options->job_name) : NULL,
        .checkpoint_id = checkpoint->id,
        .timestamp_ms = checkpoint->timestamp_ms,
        .epoch = options->lease.epoch,
        .max_parallelism = options->max_parallelism,
    };
    return checkpoint;
}

/* The folder that the checkpoint goes to, a helper makes it; none where there is nothing to write. */
static sabot_status folder_make(struct checkpoint *checkpoint, const char *savepoint, struct sabot_error *err) {
    const struct coordinator_options *options = &checkpoint->coordinator->options;
    if (!savepoint && !options->dir) { return SABOT_OK; }
    char path[STORAGE_PATH_MAX];
    if (!savepoint) { SABOT_TRY(storage_path(options->dir, checkpoint->id, path, err)); }
    checkpoint->path = strdup(savepoint ? savepoint : path);
    return checkpoint->path ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a checkpoint");
}

/* Begins the next checkpoint, for the oldest request and all others that want the same folder, or for the interval. */
static void checkpoint_begin(struct coordinator *coordinator, struct checkpoint_request *requests) {
    const char *savepoint = requests ? requests->path : NULL;
    struct sabot_error err = {0};
    struct checkpoint *checkpoint = checkpoint_new(coordinator, savepoint, &err);
    if (checkpoint && folder_make(checkpoint, savepoint, &err) == SABOT_OK) {
        checkpoint->requests = requests;
        /* savepoints, and the last one of a job that is stopped, have no rows in flight */
        checkpoint->may_overtake = coordinator->options.overtakes && !requests;
        env_mutex_lock(coordinator->mutex);
        coordinator->current = checkpoint;
        env_mutex_unlock(coordinator->mutex);
        if (checkpoint->path) { helper_begin(coordinator, checkpoint, claim_main, checkpoint, NULL); }
        coordinator->options.calls.trigger(coordinator->options.calls.arg, checkpoint->id, checkpoint->timestamp_ms);
        return;
    }
    if (checkpoint) { checkpoint_free(checkpoint); }
    env_mutex_lock(coordinator->mutex);
    coordinator->counts.failed++;
    coordinator->failures += savepoint == NULL;
    if (!savepoint) { coordinator->failure = err; }
    requests_finish(requests, -1, &err);
    env_mutex_unlock(coordinator->mutex);
    log_write(coordinator->options.env, LOG_WARNING, "a checkpoint could not be begun: %s", err.message);
    coordinator->options.calls.wake(coordinator->options.calls.arg);
}

static void checkpoint_abort(struct coordinator *coordinator, const struct sabot_error *why, bool counts) {
    struct checkpoint *checkpoint = coordinator->current;
    /* its folder is removed by a helper: a store that is away would stop the control */
    (void)coordinator_help(coordinator, checkpoint, NULL, NULL, NULL);
    env_mutex_lock(coordinator->mutex);
    coordinator->current = NULL;
    checkpoint->stage = STAGE_ABORTED;
    coordinator->counts.failed++;
    coordinator->failures += counts && !checkpoint->savepoint;
    if (counts && !checkpoint->savepoint) { coordinator->failure = *why; }
    requests_finish(checkpoint->requests, checkpoint->id, why);
    const int64_t id = checkpoint->id;
    const bool last = checkpoint_drop(checkpoint);
    env_mutex_unlock(coordinator->mutex);
    if (last) { checkpoint_free(checkpoint); }
    coordinator->options.calls.abort(coordinator->options.calls.arg, id);
}

static void checkpoint_complete(struct coordinator *coordinator) {
    struct checkpoint *checkpoint = coordinator->current;
    const bool in_folder = checkpoint->path && !checkpoint->savepoint;
    const bool savepoint = checkpoint->savepoint;
    const int64_t id = checkpoint->id;
    const int64_t now = env_now_ns(coordinator->options.env);
    const int64_t pause = coordinator->options.min_pause_ns;
    if (coordinator->next_at_ns < now + pause && !savepoint) { coordinator->next_at_ns = now + pause; }
    env_mutex_lock(coordinator->mutex);
    coordinator->current = NULL;
    if (!savepoint) { coordinator->failures = 0; }
    struct coordinator_counts *counts = &coordinator->counts;
    counts->completed += checkpoint->path != NULL;
    counts->last_bytes = counts->last_full_bytes = 0;
    for (int32_t i = 0; i < checkpoint->manifest.n_files; i++) {
        const struct manifest_file *file = &checkpoint->manifest.files[i];
        const bool written = !file->shared || storage_shared_id(file->file) == id;
        counts->last_bytes += written ? file->size : 0;
        counts->last_full_bytes += file->size;
    }
    counts->last_duration_ns = now - checkpoint->started_ns;
    if (in_folder) {
        counts->last_id = id;
        counts->last_ms = checkpoint->manifest.timestamp_ms;
    }
    struct checkpoint_request *requests = checkpoint->requests;
    const bool last = checkpoint_drop(checkpoint);
    env_mutex_unlock(coordinator->mutex);
    if (last) { checkpoint_free(checkpoint); }
    /* the commits begin before anybody who waits is told */
    if (!savepoint) { coordinator->options.calls.complete(coordinator->options.calls.arg, id); }
    env_mutex_lock(coordinator->mutex);
    requests_finish(requests, id, NULL);
    env_mutex_unlock(coordinator->mutex);
    coordinator->options.calls.wake(coordinator->options.calls.arg);
    if (in_folder && helper_begin(coordinator, NULL, retire_main, coordinator, NULL) != SABOT_OK) {
        log_write(coordinator->options.env, LOG_WARNING, "old checkpoints stay: no helper thread could be had");
    }
}

/* It failed for its number only: who asked for it gets the next one. */
static void requests_put_back(struct coordinator *coordinator, struct checkpoint *checkpoint) {
    env_mutex_lock(coordinator->mutex);
    struct checkpoint_request **at = &checkpoint->requests;
    for (; *at; at = &(*at)->next) { coordinator->n_requests++; }
    *at = coordinator->requests;
    coordinator->requests = checkpoint->requests;
    checkpoint->requests = NULL;
    env_mutex_unlock(coordinator->mutex);
}

/* What has become of the checkpoint under way. */
static void current_step(struct coordinator *coordinator, int64_t now) {
    struct checkpoint *checkpoint = coordinator->current;
    env_mutex_lock(coordinator->mutex);
    struct sabot_error error = checkpoint->error;
    const bool counts = checkpoint->claim != CLAIM_COLLIDED;
    const bool all = checkpoint->n_acknowledged == coordinator->options.n_tasks;
    const enum stage stage = checkpoint->stage;
    const int32_t missing = coordinator->options.n_tasks - checkpoint->n_acknowledged;
    env_mutex_unlock(coordinator->mutex);
    if (error.status == SABOT_OK && all && (stage == STAGE_WRITTEN || !checkpoint->path)) {
        checkpoint_complete(coordinator);
        return;
    }
    if (error.status == SABOT_OK && checkpoint->may_overtake && !checkpoint->overtakes &&
        now - checkpoint->started_ns >= coordinator->options.overtake_after_ns) {
        checkpoint->overtakes = true;
        if (missing > 0) { coordinator->options.calls.overtake(coordinator->options.calls.arg, checkpoint->id); }
    }
    /* the manifest is not given up on while it is being written: it might exist the moment after */
    if (error.status == SABOT_OK && stage == STAGE_COLLECTS &&
        now - checkpoint->started_ns >= coordinator->options.timeout_ns) {
        SABOT_FAIL(&error, SABOT_ERR_STATE, "checkpoint %lld was not complete after %lld ms: %d of %d tasks have not "
                   "acknowledged it; raise the timeout, or look for back-pressure", (long long)checkpoint->id,
                   (long long)(coordinator->options.timeout_ns / 1000000), missing, coordinator->options.n_tasks);
    }
    if (error.status == SABOT_OK && all && stage == STAGE_COLLECTS) {
        env_mutex_lock(coordinator->mutex);
        checkpoint->stage = STAGE_WRITES;
        env_mutex_unlock(coordinator->mutex);
        helper_begin(coordinator, checkpoint, manifest_main, checkpoint, &error);
    }
    if (error.status != SABOT_OK) {
        log_write(coordinator->options.env, LOG_WARNING, "checkpoint %lld failed: %s", (long long)checkpoint->id,
                  error.message);
        if (!counts) { requests_put_back(coordinator, checkpoint); }
        checkpoint_abort(coordinator, &error, counts);
    }
}

/* The next request, and all others that ask for the same folder. Under the mutex. */
static struct checkpoint_request *requests_take(struct coordinator *coordinator) {
    struct checkpoint_request *first = coordinator->requests;
    if (!first) { return NULL; }
    coordinator->requests = first->next;
    coordinator->n_requests--;
    first->next = NULL;
    if (first->path) { return first; } /* a savepoint is one request's own */
    struct checkpoint_request **at = &coordinator->requests, *last = first;
    while (*at) {
        struct checkpoint_request *other = *at;
        if (other->path) {
            at = &other->next;
            continue;
        }
        *at = other->next;
        coordinator->n_requests--;
        other->next = NULL;
        last->next = other;
        last = other;
    }
    return first;
}

/* Begins what waits, or is due. A savepoint commits nothing, so it does not take the place of the interval's
 * checkpoint, and where somebody takes one behind the other they take turns. */
static void next_begin(struct coordinator *coordinator, bool due, int64_t now) {
    env_mutex_lock(coordinator->mutex);
    const bool takes_turn = due && coordinator->savepoint_was_last && coordinator->requests &&
                            coordinator->requests->path;
    struct checkpoint_request *requests = coordinator->over || takes_turn ? NULL : requests_take(coordinator);
    env_mutex_unlock(coordinator->mutex);
    if (!requests && !due) { return; }
    coordinator->savepoint_was_last = requests && requests->path;
    if (due && !coordinator->savepoint_was_last) { coordinator->next_at_ns = now + coordinator->options.interval_ns; }
    checkpoint_begin(coordinator, requests);
}

/* Its manifest is on its way, or there. */
static bool is_written(struct coordinator *coordinator, const struct checkpoint *checkpoint) {
    env_mutex_lock(coordinator->mutex);
    const enum stage stage = checkpoint->stage;
    env_mutex_unlock(coordinator->mutex);
    return stage == STAGE_WRITES || stage == STAGE_WRITTEN;
}

int64_t coordinator_step(struct coordinator *coordinator, bool periodic, struct sabot_error *fatal) {
    const struct coordinator_options *options = &coordinator->options;
    const int64_t now = env_now_ns(options->env);
    if (coordinator->current) { current_step(coordinator, now); }
    env_mutex_lock(coordinator->mutex);
    const struct sabot_error fenced = coordinator->fenced;
    env_mutex_unlock(coordinator->mutex);
    if (fenced.status != SABOT_OK) {
        *fatal = fenced;
        return INT64_MAX;
    }
    if (coordinator->failures > 0 && coordinator->failures >= options->failures_max) {
        SABOT_FAIL(fatal, SABOT_ERR_STATE, "%d checkpoints in a row failed, the last one: %s", coordinator->failures,
                   coordinator->failure.message);
        return INT64_MAX;
    }
    if (!coordinator->current) { next_begin(coordinator, periodic && now >= coordinator->next_at_ns, now); }
    const struct checkpoint *current = coordinator->current;
    if (current && is_written(coordinator, current)) { return INT64_MAX; } /* its end wakes us */
    if (current && current->may_overtake && !current->overtakes && options->overtake_after_ns < options->timeout_ns) {
        return current->started_ns + options->overtake_after_ns;
    }
    if (current) { return current->started_ns + options->timeout_ns; }
    return periodic ? coordinator->next_at_ns : INT64_MAX;
}

void coordinator_give_up(struct coordinator *coordinator, const struct sabot_error *why) {
    if (coordinator->current) { checkpoint_abort(coordinator, why, false); }
    env_mutex_lock(coordinator->mutex);
    coordinator->over = true;
    coordinator->over_why = *why;
    struct checkpoint_request *requests = coordinator->requests;
    coordinator->requests = NULL;
    coordinator->n_requests = 0;
    requests_finish(requests, -1, why);
    env_mutex_unlock(coordinator->mutex);
}

static void helpers_wait(struct coordinator *coordinator) {
    for (;;) {
        env_mutex_lock(coordinator->mutex);
        const bool idle = coordinator->n_helpers == 0;
        env_mutex_unlock(coordinator->mutex);
        if (idle) { return; }
        env_event_wait(coordinator->idle, -1);
    }
}

/* Of a job that is over, whose requests to a store get little time each (store_hurry): a folder of many files takes
 * several, each of which removes some. *is_named: its manifest is still there, or may be. */
static sabot_status folder_remove(const struct coordinator_options *options, int64_t id, bool *is_named,
                                  struct sabot_error *err) {
    char path[STORAGE_PATH_MAX];
    struct sabot_error why = {0};
    SABOT_TRY(storage_path(options->dir, id, path, err));
    for (int32_t i = 0; i < REMOVALS_MAX; i++) {
        error_clear(&why);
        if (storage_remove(options->store, path, &why) == SABOT_OK) { return SABOT_OK; }
        bool is_there = true;
        *is_named = storage_has_manifest(options->store, path, &is_there, NULL) != SABOT_OK || is_there;
        if (*is_named || why.status != SABOT_ERR_CANCELLED) { break; }
    }
    return SABOT_FAIL(err, why.status, "%s", why.message);
}

sabot_status coordinator_remove_all(struct coordinator *coordinator, struct sabot_error *err) {
    const struct coordinator_options *options = &coordinator->options;
    if (!options->dir) { return SABOT_OK; }
    helpers_wait(coordinator);
    bool fenced; /* what is there may be a newer process's */
    if (options->lease.epoch > 0) { SABOT_TRY(lease_check(options->store, &options->lease, &fenced, err)); }
    int64_t *ids;
    int32_t n;
    SABOT_TRY(storage_list(options->store, options->dir, &ids, &n, err));
    sabot_status status = SABOT_OK;
    bool is_named = false; /* what is shared, by a manifest that stays: then nobody answers */
    for (int32_t i = 0; i < n && !is_named; i++) {
        const sabot_status removed = folder_remove(options, ids[i], &is_named, err);
        status = status == SABOT_OK ? removed : status;
    }
    free(ids);
    local_copy_prune(options->store, options->dir, INT64_MAX, NULL, 0);
    if (is_named) { return status; }
    const sabot_status swept = storage_sweep(options->store, options->dir, INT64_MAX, NULL, 0, err);
    return status == SABOT_OK ? swept : status;
}

void coordinator_free(struct coordinator *coordinator) {
    if (!coordinator) { return; }
    const struct sabot_error why = {.status = SABOT_ERR_CANCELLED, .message = "the job is over"};
    coordinator_give_up(coordinator, &why);
    helpers_wait(coordinator);
    env_mutex_free(coordinator->mutex);
    env_mutex_free(coordinator->claims);
    env_event_free(coordinator->idle);
    free(coordinator);
}
