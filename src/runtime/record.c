/* The record of a job: see record.h. */
#include "runtime/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/system_state.h"
#include "runtime/job_impl.h"

#define KEPT 100 /* checkpoints whose records stay */
#define WATERMARKS_EVERY_MS 1000

struct note {
    struct {
        _Atomic int64_t checkpoint_id, at_ms;
        int64_t written_id; /* control thread */
    } last[RECORD_NOTES];
    int64_t watermark_ms; /* control thread: written last */
};

struct record {
    struct job *job;
    struct system_state *state;
    int64_t watermarks_ms; /* when they were written last */
    int64_t next_ns;
    struct note notes[]; /* per task */
};

static void assignments_write(struct record *record) {
    const struct job *job = record->job;
    system_state_remove_range(record->state, SYSTEM_ASSIGNMENTS, 0, INT64_MAX);
    system_state_remove_range(record->state, SYSTEM_TIMERS, 0, INT64_MAX);
    for (int32_t t = 0; t < job->n_tasks; t++) {
        const struct task *task = &job->tasks[t];
        char fields[256];
        snprintf(fields, sizeof fields, "vertex=%d subtask=%d parallelism=%d worker=%d uid=%.150s", task->vertex_index,
                 task->subtask, task->vertex->parallelism, task->worker, task->vertex->ops[0]->uid);
        for (char *at = fields; *at; at++) { *at = *at == '\n' ? '_' : *at; }
        system_state_put(record->state, SYSTEM_ASSIGNMENTS, (struct system_key){t, 0}, fields, false);
    }
}

/* False: there is none. */
static bool folder_of(const struct job_options *options, char *dir, size_t size) {
    const char *checkpoints = options->checkpoint_dir;
    if (options->system_state_dir) { return snprintf(dir, size, "%s", options->system_state_dir) < (int)size; }
    const bool rocksdb = options->state_backend && strcmp(options->state_backend, "rocksdb") == 0;
    if (!rocksdb || !checkpoints || strstr(checkpoints, "://")) { return false; }
    return snprintf(dir, size, "%s/" RECORD_FOLDER, checkpoints) < (int)size;
}

struct record *record_open(struct job *job, int64_t restored_id) {
    char dir[ENV_PATH_MAX];
    struct sabot_error err = {0};
    if (env_is_simulated(job->env) || !folder_of(&job->options, dir, sizeof dir)) { return NULL; }
    struct record *record = calloc(1, sizeof *record + (size_t)job->n_tasks * sizeof(struct note));
    if (!record) { return NULL; }
    record->job = job;
    record->next_ns = INT64_MAX;
    if (env_make_dirs(job->env, dir, &err) != SABOT_OK ||
        system_state_open(job->env, job->pool, dir, false, &record->state, &err) != SABOT_OK) {
        log_write(job->env, LOG_WARNING, "the job goes on without a record of itself: %s", err.message);
        free(record);
        return NULL;
    }
    for (int32_t t = 0; t < job->n_tasks; t++) {
        for (int32_t i = 0; i < RECORD_NOTES; i++) {
            atomic_init(&record->notes[t].last[i].checkpoint_id, -1);
            record->notes[t].last[i].written_id = -1;
        }
        record->notes[t].watermark_ms = WATERMARK_NONE;
    }
    assignments_write(record);
    if (restored_id > 0) { record_over(record, restored_id, "restored"); }
    return record;
}

void record_close(struct record *record) {
    if (!record) { return; }
    system_state_close(record->state);
    free(record);
}

void record_trigger(struct record *record, int64_t checkpoint_id, int64_t timestamp_ms) {
    char fields[128];
    if (!record) { return; }
    snprintf(fields, sizeof fields, "state=in-progress started_ms=%lld tasks=%d", (long long)timestamp_ms,
             record->job->n_tasks);
    system_state_put(record->state, SYSTEM_CHECKPOINTS, (struct system_key){checkpoint_id, 0}, fields, false);
    static const enum system_family old[] = {SYSTEM_CHECKPOINTS, SYSTEM_ACKS, SYSTEM_BARRIERS};
    for (int32_t i = 0; i < 3; i++) { system_state_remove_range(record->state, old[i], 0, checkpoint_id - KEPT); }
    for (int32_t t = 0; t < record->job->n_tasks; t++) {
        if (!record->job->tasks[t].is_source) { continue; }
        snprintf(fields, sizeof fields, "state=sent at_ms=%lld", (long long)env_wall_ms(record->job->env));
        system_state_put(record->state, SYSTEM_BARRIERS, (struct system_key){checkpoint_id, t}, fields, false);
    }
}

void record_over(struct record *record, int64_t checkpoint_id, const char *state) {
    char fields[128];
    if (!record) { return; }
    snprintf(fields, sizeof fields, "state=%s at_ms=%lld", state, (long long)env_wall_ms(record->job->env));
    system_state_put(record->state, SYSTEM_CHECKPOINTS, (struct system_key){checkpoint_id, 0}, fields, false);
}

void record_note(struct record *record, enum record_note note, int32_t task, int64_t checkpoint_id) {
    if (!record) { return; }
    struct note *of = &record->notes[task];
    atomic_store_explicit(&of->last[note].at_ms, env_wall_ms(record->job->env), memory_order_relaxed);
    atomic_store_explicit(&of->last[note].checkpoint_id, checkpoint_id, memory_order_release);
}

static void notes_write(struct record *record, enum record_note which, enum system_family family) {
    for (int32_t t = 0; t < record->job->n_tasks; t++) {
        struct note *note = &record->notes[t];
        const int64_t id = atomic_load_explicit(&note->last[which].checkpoint_id, memory_order_acquire);
        char fields[64];
        if (id == note->last[which].written_id) { continue; }
        note->last[which].written_id = id;
        snprintf(fields, sizeof fields, "%sat_ms=%lld", which == RECORD_BARRIER ? "state=passed " : "",
                 (long long)atomic_load_explicit(&note->last[which].at_ms, memory_order_relaxed));
        system_state_put(record->state, family, (struct system_key){id, t}, fields, false);
    }
}

static void watermarks_write(struct record *record) {
    const int64_t now_ms = env_wall_ms(record->job->env);
    if (now_ms - record->watermarks_ms < WATERMARKS_EVERY_MS) { return; }
    record->watermarks_ms = now_ms;
    for (int32_t t = 0; t < record->job->n_tasks; t++) {
        const int64_t watermark_ms = atomic_load_explicit(&record->job->tasks[t].watermark_ms, memory_order_relaxed);
        char fields[96];
        if (watermark_ms == record->notes[t].watermark_ms) { continue; }
        record->notes[t].watermark_ms = watermark_ms;
        snprintf(fields, sizeof fields, "watermark_ms=%lld at_ms=%lld", (long long)watermark_ms, (long long)now_ms);
        system_state_put(record->state, SYSTEM_WATERMARKS, (struct system_key){t, 0}, fields, false);
    }
}

void record_step(struct record *record, int64_t next_ns) {
    if (!record) { return; }
    notes_write(record, RECORD_BARRIER, SYSTEM_BARRIERS);
    notes_write(record, RECORD_ACK, SYSTEM_ACKS);
    watermarks_write(record);
    if (next_ns == record->next_ns) { return; }
    record->next_ns = next_ns;
    system_state_remove_range(record->state, SYSTEM_TIMERS, 0, INT64_MAX);
    if (next_ns == INT64_MAX) { return; }
    const int64_t due_ms = env_wall_ms(record->job->env) + (next_ns - env_now_ns(record->job->env)) / 1000000;
    system_state_put(record->state, SYSTEM_TIMERS, (struct system_key){due_ms, 0}, "what=checkpoints", false);
}
