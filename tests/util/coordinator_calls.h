/* A job for a coordinator under test: notes which checkpoint was triggered and completed, and does nothing else. */
#ifndef TESTS_UTIL_COORDINATOR_CALLS_H
#define TESTS_UTIL_COORDINATOR_CALLS_H

#include "checkpoint/coordinator.h"

struct noted_checkpoints {
    int64_t triggered, completed;
};

static inline void noted_trigger(void *arg, int64_t id, int64_t timestamp_ms) {
    (void)timestamp_ms;
    ((struct noted_checkpoints *)arg)->triggered = id;
}
static inline void noted_complete(void *arg, int64_t id) { ((struct noted_checkpoints *)arg)->completed = id; }
static inline void noted_abort(void *arg, int64_t id) { (void)arg, (void)id; }
static inline sabot_status noted_manifest(void *arg, struct sabot_error *err) {
    (void)arg, (void)err;
    return SABOT_OK;
}
static inline void noted_wake(void *arg) { (void)arg; }

static inline struct coordinator_calls noted_calls(struct noted_checkpoints *noted) {
    return (struct coordinator_calls){.arg = noted, .trigger = noted_trigger, .abort = noted_abort,
                                      .complete = noted_complete, .prepare_manifest = noted_manifest,
                                      .wake = noted_wake};
}

#endif
