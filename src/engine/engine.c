/* The C API over sessions: engines, scripts, results, jobs. */
#include "arrow/export.h"
#include "base/text.h"
#include "engine/engine.h"
#include "sabot/version.h"

#include <stdio.h>
#include <stdlib.h>

const char *sabot_version(void) { return SABOT_VERSION; }

sabot_status argument_given(const void *argument, const char *name, struct sabot_error *err) {
    return argument ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_USAGE, "%s is NULL", name);
}

sabot_status sabot_engine_open(const struct sabot_engine_options *options, struct sabot_engine **engine,
                               struct sabot_error *err) {
    SABOT_TRY(argument_given(engine, "engine", err));
    *engine = NULL;
    struct sabot_engine_options given = {.size = sizeof given};
    SABOT_TRY(options_take(&given, sizeof given, options, options ? options->size : 0, "sabot_engine_options", err));
    struct sabot_engine *made = calloc(1, sizeof *made);
    if (!made) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for an engine"); }
    const sabot_status status = session_new(env_real(), given.memory_limit, &made->session, err);
    if (status != SABOT_OK) {
        free(made);
        return status;
    }
    *engine = made;
    return SABOT_OK;
}

void sabot_engine_close(struct sabot_engine *engine) {
    if (!engine) { return; }
    session_free(engine->session);
    registered_functions_free(engine->functions);
    free(engine);
}

sabot_status options_take(void *target, size_t target_size, const void *given, size_t given_size, const char *what,
                          struct sabot_error *err) {
    if (!given) { return SABOT_OK; }
    if (given_size < sizeof(size_t)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "%s: set .size = sizeof(struct %s)", what, what);
    }
    /* A newer program may know more fields than this library: they must be zero. */
    for (size_t i = target_size; i < given_size; i++) {
        if (((const unsigned char *)given)[i]) {
            return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                              "%s: this version of the library is too old for an option that "
                              "was set",
                              what);
        }
    }
    memcpy(target, given, given_size < target_size ? given_size : target_size);
    return SABOT_OK;
}

sabot_status sabot_engine_set(struct sabot_engine *engine, const char *key, const char *value,
                              struct sabot_error *err) {
    const struct sql_span nowhere = {0};
    SABOT_TRY(argument_given(engine, "engine", err));
    SABOT_TRY(argument_given(key, "key", err));
    SABOT_TRY(argument_given(value, "value", err));
    return settings_set(&engine->session->settings, key, value, nowhere, nowhere, err);
}

/* --- results */

struct sabot_job {
    struct session_job *job; /* the session's */
};

struct sabot_result {
    struct sabot_engine *engine;
    enum sabot_result_kind kind;
    struct batch *rows; /* ROWS that stand already; NULL once they are taken */
    struct sabot_job job;
    bool streamed; /* the rows have been asked for */
};

static sabot_status result_of(struct sabot_engine *engine, struct session_result *from, struct sabot_result **out,
                              struct sabot_error *err) {
    struct sabot_result *result = calloc(1, sizeof *result);
    if (!result) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a result"); }
    result->engine = engine;
    result->rows = from->rows;
    result->job.job = from->job;
    result->kind = from->outcome == STATEMENT_JOB                                        ? SABOT_RESULT_JOB
                   : from->outcome == STATEMENT_ROWS || from->outcome == STATEMENT_QUERY ? SABOT_RESULT_ROWS
                                                                                         : SABOT_RESULT_NONE;
    *out = result;
    return SABOT_OK;
}

/* What is done with the outcome of a statement that isn't the last one, and of an INSERT. */
static sabot_status step_settle(struct session_result *result, bool last, struct sabot_error *err) {
    if (!last && (result->outcome == STATEMENT_ROWS || result->outcome == STATEMENT_QUERY)) {
        batch_unref(result->rows);
        session_job_free(result->job);
        *result = (struct session_result){0};
        return SABOT_FAIL(err, SABOT_ERR_USAGE,
                          "a statement that gives rows must be the last one of a script: execute them one by one");
    }
    if (result->outcome != STATEMENT_JOB || !result->job->bounded) { return SABOT_OK; }
    const sabot_status status = session_job_wait(result->job, -1, NULL, err);
    session_job_free(result->job);
    *result = (struct session_result){0};
    return status;
}

sabot_status sabot_engine_execute(struct sabot_engine *engine, const char *sql, struct sabot_result **result,
                                  struct sabot_error *err) {
    if (result) { *result = NULL; }
    SABOT_TRY(argument_given(engine, "engine", err));
    SABOT_TRY(argument_given(sql, "sql", err));
    struct session_script script;
    SABOT_TRY(session_parse(sql, strlen(sql), &script, err));
    struct session_result last = {0};
    sabot_status status = SABOT_OK;
    while (status == SABOT_OK && session_left(&script) > 0) {
        status = session_step(engine->session, &script, &last, err);
        if (status == SABOT_OK) { status = step_settle(&last, session_left(&script) == 0, err); }
    }
    session_script_clear(&script);
    if (status == SABOT_OK && result) { status = result_of(engine, &last, result, err); }
    if (status != SABOT_OK || !result) {
        batch_unref(last.rows);
        if (status != SABOT_OK || last.outcome == STATEMENT_QUERY) { session_job_free(last.job); }
    }
    return status;
}

enum sabot_result_kind sabot_result_kind(const struct sabot_result *result) { return result->kind; }

struct sabot_job *sabot_result_job(struct sabot_result *result) { return result->job.job ? &result->job : NULL; }

void sabot_result_free(struct sabot_result *result) {
    if (!result) { return; }
    batch_unref(result->rows);
    session_job_free(result->job.job);
    free(result);
}

struct result_source {
    struct sabot_result *result;
    struct schema *schema; /* of the stream */
};

static sabot_status result_next(void *self, struct batch **out, struct sabot_error *err) {
    struct result_source *source = self;
    struct session_job *job = source->result->job.job;
    *out = NULL;
    if (!job) {
        *out = source->result->rows;
        source->result->rows = NULL;
        return SABOT_OK;
    }
    bool end = false;
    SABOT_TRY(session_job_next(job, -1, out, &end, err));
    if (!*out || !job->updating) { return SABOT_OK; }
    BATCH_OWNED struct batch *batch = *out;
    *out = NULL;
    return batch_with_row_kinds(job->session->pool, batch, source->schema, false, out, err);
}

static void result_close(void *self) {
    struct result_source *source = self;
    schema_unref(source->schema);
    free(source);
}

static sabot_status stream_schema(const struct sabot_result *result, struct schema **out, struct sabot_error *err) {
    const struct session_job *job = result->job.job;
    struct schema *schema = job ? job->schema : result->rows->schema;
    if (!job || !job->updating) {
        *out = schema_ref(schema);
        return SABOT_OK;
    }
    return schema_with_row_kinds(schema, "row_kind", false, out, err);
}

sabot_status sabot_result_stream(struct sabot_result *result, struct ArrowArrayStream *stream,
                                 struct sabot_error *err) {
    *stream = (struct ArrowArrayStream){0};
    if (result->kind != SABOT_RESULT_ROWS) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the statement gave no rows: look at sabot_result_kind first");
    }
    if (result->streamed) { return SABOT_FAIL(err, SABOT_ERR_USAGE, "the rows of a result can be taken once"); }
    struct result_source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a result"); }
    source->result = result;
    const sabot_status status = stream_schema(result, &source->schema, err);
    if (status != SABOT_OK) {
        free(source);
        return status;
    }
    result->streamed = true;
    return stream_export(result->engine->session->pool, source->schema,
                         (struct batch_source){.next = result_next, .close = result_close, .self = source}, stream,
                         err);
}

/* --- jobs */

sabot_status sabot_job_wait(struct sabot_job *job, int64_t timeout_ms, bool *done, struct sabot_error *err) {
    return session_job_wait(job->job, timeout_ms < 0 ? -1 : timeout_ms * 1000000, done, err);
}

enum sabot_job_state sabot_job_state(const struct sabot_job *job) {
    switch (job_state(job->job->job)) {
    case JOB_CREATED:
    case JOB_RUNNING: return SABOT_JOB_RUNNING;
    case JOB_STOPPING: return SABOT_JOB_STOPPING;
    case JOB_FINISHED: return SABOT_JOB_FINISHED;
    case JOB_STOPPED: return SABOT_JOB_STOPPED;
    case JOB_CANCELLED: return SABOT_JOB_CANCELLED;
    case JOB_FAILED: return SABOT_JOB_FAILED;
    }
    return SABOT_JOB_FAILED;
}

void sabot_job_stop(struct sabot_job *job) { job_stop(job->job->job); }
void sabot_job_cancel(struct sabot_job *job) { job_cancel(job->job->job); }
int32_t sabot_job_metrics_count(const struct sabot_job *job) { return job_n_metrics(job->job->job); }

sabot_status sabot_job_metrics(const struct sabot_job *job, int32_t i, struct sabot_metrics *metrics,
                               struct sabot_error *err) {
    if (i < 0 || i >= job_n_metrics(job->job->job)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "there are counters 0 to %d, not %d", job_n_metrics(job->job->job) - 1,
                          i);
    }
    struct job_op_metrics from;
    job_metrics(job->job->job, i, &from);
    struct sabot_metrics all = {
        .size = sizeof all, .operator_name = from.label, .uid = from.uid, .subtask = from.subtask};
#define TAKE(name) all.name = atomic_load_explicit(&from.metrics->name, memory_order_relaxed);
    TAKE(rows_in) TAKE(rows_out) TAKE(batches_in) TAKE(batches_out) TAKE(bytes_in) TAKE(bytes_out) TAKE(rows_late)
    TAKE(rows_malformed) TAKE(state_rows) TAKE(state_bytes) TAKE(busy_ns) TAKE(blocked_ns) TAKE(watermark_ms)
#undef TAKE
    if (metrics->size < sizeof(size_t) || metrics->size > sizeof all) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "sabot_metrics: set .size = sizeof(struct sabot_metrics)");
    }
    const size_t size = metrics->size;
    all.size = size;
    memcpy(metrics, &all, size);
    return SABOT_OK;
}

size_t sabot_job_explain_stall(struct sabot_job *job, char *text, size_t size) {
    struct text stall = {0};
    job_explain_stall(job->job->job, &stall);
    const size_t needed = stall.size;
    if (size > 0) { snprintf(text, size, "%s", text_string(&stall)); }
    text_clear(&stall);
    return needed;
}
