/* The sink "collect": a bounded queue from the sink's tasks to one reader. */
#include "connect/memory/memory.h"

#include <stdlib.h>

/* A task that found the queue full and is woken when there is room. */
#define WRITERS_MAX 1024

struct collect {
    struct env *env;
    struct env_mutex *mutex;
    struct env_event *arrived; /* for the reader */
    bool closed;
    int32_t opened, finished; /* sink instances */
    int32_t capacity, head, count;
    struct batch **ring;
    struct sink *waiting[WRITERS_MAX];
    int32_t n_waiting;
};

struct sink {
    struct connector_context context;
    struct collect *collect;
    bool finished, waits;
};

sabot_status collect_new(struct env *env, int32_t batches_max, struct collect **out, struct sabot_error *err) {
    *out = NULL;
    struct collect *collect = calloc(1, sizeof *collect);
    struct batch **ring = calloc((size_t)batches_max, sizeof *ring);
    if (!collect || !ring) {
        free(collect);
        free(ring);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a result queue of %d batches", batches_max);
    }
    collect->env = env;
    collect->mutex = env_mutex_new(env);
    collect->arrived = env_event_new(env);
    collect->capacity = batches_max;
    collect->ring = ring;
    *out = collect;
    return SABOT_OK;
}

/* Wakes the tasks that wait for room. Called with the lock: a sink can't be closed meanwhile. */
static void wake_writers(struct collect *collect) {
    for (int32_t i = 0; i < collect->n_waiting; i++) {
        struct sink *sink = collect->waiting[i];
        sink->waits = false;
        sink->context.wake(sink->context.wake_arg);
    }
    collect->n_waiting = 0;
}

enum collect_state collect_next(struct collect *collect, int64_t timeout_ns, struct batch **out) {
    *out = NULL;
    const int64_t until_ns = timeout_ns < 0 ? INT64_MAX : env_now_ns(collect->env) + timeout_ns;
    for (;;) {
        env_mutex_lock(collect->mutex);
        enum collect_state state = COLLECT_WAIT;
        if (collect->count > 0) {
            *out = collect->ring[collect->head];
            collect->head = (collect->head + 1) % collect->capacity;
            collect->count--;
            wake_writers(collect);
            state = COLLECT_BATCH;
        } else if (collect->opened > 0 && collect->finished == collect->opened) {
            state = COLLECT_END;
        }
        env_mutex_unlock(collect->mutex);
        if (state != COLLECT_WAIT) { return state; }
        const int64_t left_ns = until_ns == INT64_MAX ? -1 : until_ns - env_now_ns(collect->env);
        if (until_ns != INT64_MAX && left_ns <= 0) { return COLLECT_WAIT; }
        env_event_wait(collect->arrived, left_ns);
    }
}

static void drop_waiting(struct collect *collect) {
    for (; collect->count > 0; collect->count--) {
        batch_unref(collect->ring[collect->head]);
        collect->head = (collect->head + 1) % collect->capacity;
    }
}

void collect_close(struct collect *collect) {
    env_mutex_lock(collect->mutex);
    collect->closed = true;
    drop_waiting(collect);
    wake_writers(collect);
    env_mutex_unlock(collect->mutex);
}

void collect_free(struct collect *collect) {
    if (!collect) { return; }
    drop_waiting(collect);
    env_mutex_free(collect->mutex);
    env_event_free(collect->arrived);
    free(collect->ring);
    free(collect);
}

static sabot_status collect_open(const struct connector_context *context, struct sink **out, struct sabot_error *err) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a result"); }
    sink->context = *context;
    sink->collect = (struct collect *)context->table->memory;
    env_mutex_lock(sink->collect->mutex);
    sink->collect->opened++;
    env_mutex_unlock(sink->collect->mutex);
    *out = sink;
    return SABOT_OK;
}

static sabot_status collect_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    struct collect *collect = sink->collect;
    sabot_status status = SABOT_OK;
    bool arrived = false;
    *full = false;
    env_mutex_lock(collect->mutex);
    if (collect->closed) {
        batch_unref(batch);
    } else if (collect->count < collect->capacity) {
        collect->ring[(collect->head + collect->count) % collect->capacity] = batch;
        arrived = collect->count++ == 0;
    } else if (sink->waits || collect->n_waiting < WRITERS_MAX) {
        *full = true;
        if (!sink->waits) { collect->waiting[collect->n_waiting++] = sink; }
        sink->waits = true;
    } else {
        batch_unref(batch);
        status = SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "more than %d tasks write to one result: lower the parallelism",
                            WRITERS_MAX);
    }
    env_mutex_unlock(collect->mutex);
    if (arrived) { env_event_set(collect->arrived); }
    return status;
}

static sabot_status collect_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    (void)err;
    *full = false;
    struct collect *collect = sink->collect;
    env_mutex_lock(collect->mutex);
    if (!sink->finished) { collect->finished++; }
    sink->finished = true;
    env_mutex_unlock(collect->mutex);
    env_event_set(collect->arrived);
    return SABOT_OK;
}

static void collect_sink_close(struct sink *sink) {
    struct collect *collect = sink->collect;
    env_mutex_lock(collect->mutex);
    for (int32_t i = 0; i < collect->n_waiting; i++) {
        if (collect->waiting[i] == sink) { collect->waiting[i--] = collect->waiting[--collect->n_waiting]; }
    }
    env_mutex_unlock(collect->mutex);
    free(sink);
}

const struct sink_type memory_collect_sink = {
    .name = "collect",
    .summary = "rows of a query, handed to its reader",
    .is_internal = true,
    .accepts = SINK_INSERTS | SINK_UPSERTS | SINK_RETRACTS,
    .open = collect_open,
    .restore = sink_default_restore,
    .write = collect_write,
    .prepare = sink_default_prepare,
    .commit = sink_default_commit,
    .finish = collect_finish,
    .close = collect_sink_close,
};
