/* Sessions: statements are run one by one; jobs belong to the session that started them. */
#include "engine/session.h"

#include "base/log.h"
#include "base/text.h"
#include "engine/savepoint.h"

#include <stdlib.h>
#include <string.h>

/* How often a waiting reader looks whether the job has failed. */
#define FAILURE_CHECK_NS 20000000
#define MEMORY_SHARE_PERCENT 60

sabot_status session_new(struct env *env, int64_t memory_limit, struct session **out, struct sabot_error *err) {
    *out = NULL;
    SABOT_TRY(savepoint_register(err));
    struct session *session = calloc(1, sizeof *session);
    if (memory_limit <= 0) { memory_limit = env_memory_bytes(env) / 100 * MEMORY_SHARE_PERCENT; }
    if (session) { session->pools = session_pools_new("engine", memory_limit); }
    if (!session || !session->pools) {
        free(session);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a session");
    }
    session->env = env;
    session->pool = job_pools_job(session->pools);
    *out = session;
    return SABOT_OK;
}

void session_free(struct session *session) {
    if (!session) { return; }
    while (session->jobs) { session_job_free(session->jobs); }
    job_server_close(session->server);
    catalog_clear(&session->catalog);
    settings_clear(&session->settings);
    job_pools_release(session->pools);
    free(session);
}

void session_job_free(struct session_job *job) {
    if (!job) { return; }
    for (struct session_job **at = &job->session->jobs; *at; at = &(*at)->next) {
        if (*at != job) { continue; }
        *at = job->next;
        break;
    }
    if (job->collect) { collect_close(job->collect); }
    if (job->session->server && job->job) {
        job_cancel(job->job); /* those who wait for it are told; a job that is over does not mind */
        job_server_remove(job->session->server, job->job);
    }
    job_free(job->job);
    physical_free(job->plan);
    collect_free(job->collect);
    schema_unref(job->schema);
    free(job);
}

sabot_status session_job_wait(struct session_job *job, int64_t timeout_ns, bool *done, struct sabot_error *err) {
    return job_wait(job->job, timeout_ns, done, err);
}

sabot_status session_job_next(struct session_job *job, int64_t timeout_ns, struct batch **out, bool *end,
                              struct sabot_error *err) {
    *end = false;
    const int64_t until_ns = timeout_ns < 0 ? INT64_MAX : env_now_ns(job->session->env) + timeout_ns;
    bool job_done = false;
    for (;;) {
        const int64_t left_ns = until_ns == INT64_MAX ? INT64_MAX : until_ns - env_now_ns(job->session->env);
        const int64_t wait_ns = left_ns < FAILURE_CHECK_NS ? (left_ns < 0 ? 0 : left_ns) : FAILURE_CHECK_NS;
        /* In the simulator nothing runs while the reader waits: the job runs inside job_wait. */
        const bool simulated = env_is_simulated(job->session->env);
        switch (collect_next(job->collect, simulated || job_done ? 0 : wait_ns, out)) {
        case COLLECT_BATCH: return SABOT_OK;
        case COLLECT_END:
            *end = true;
            return job_wait(job->job, -1, NULL, err);
        case COLLECT_WAIT: break;
        }
        if (job_done) { /* stopped or cancelled: what was in the queue has been read */
            *end = true;
            return SABOT_OK;
        }
        SABOT_TRY(job_wait(job->job, simulated ? wait_ns : 0, &job_done, err));
        if (!job_done && left_ns <= 0) { return SABOT_OK; }
    }
}

/* Makes a job visible to other processes. It runs as well without. */
static void serve(struct session *session, struct session_job *job) {
    struct sabot_error err = {0};
    if (!session->server) { job_server_open(session->env, &session->server, &err); }
    const char *dir = settings_text(&session->settings, SETTING_savepoint_dir);
    if (session->server) { job_server_add(session->server, job->job, dir[0] ? dir : NULL, job->id, &err); }
    if (err.status == SABOT_OK) { return; }
    session->serves = session->server != NULL;
    log_write(session->env, LOG_WARNING, "other processes can't see the job (sabot jobs, sabot savepoint): %s",
              err.message);
}

/* --- scripts */

sabot_status session_parse(const char *text, size_t size, struct session_script *out, struct sabot_error *err) {
    *out = (struct session_script){0};
    return sql_parse(text, size, &out->script, err);
}

int32_t session_left(const struct session_script *script) {
    return (int32_t)script->script->statements.count - script->next;
}

void session_script_clear(struct session_script *script) {
    sql_script_free(script->script);
    free(script->checkpoint_dir);
    free(script->restore_from);
    *script = (struct session_script){0};
}

static bool same_text(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

/* Two jobs of one script, one after the other. Nothing in a checkpoint says which of them it is of where both read and
 * write the same tables: started from there, the other one would take its rows for written. */
static sabot_status is_alone(const struct session_script *script, const struct job_options *options,
                             struct sabot_error *err) {
    if (same_text(script->checkpoint_dir, options->checkpoint_dir)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the job before it in this script has left its checkpoints in %s, and "
                          "is done; this one has not begun. Make the INSERTs one job (EXECUTE STATEMENT SET BEGIN .. "
                          "END), or give each a folder of its own with SET 'execution.checkpointing.dir' before it "
                          "(RESET for a query)", options->checkpoint_dir);
    }
    if (same_text(script->restore_from, options->restore_from)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the job before it in this script began from %s, and is done; this one "
                          "has not begun: two jobs can't go on from one checkpoint. Make the INSERTs one job (EXECUTE "
                          "STATEMENT SET BEGIN .. END), or run this one by itself, without --from",
                          options->restore_from);
    }
    return SABOT_OK;
}

static sabot_status remember(struct session_script *script, const struct job_options *options,
                             struct sabot_error *err) {
    free(script->checkpoint_dir);
    free(script->restore_from);
    script->checkpoint_dir = options->checkpoint_dir ? strdup(options->checkpoint_dir) : NULL;
    script->restore_from = options->restore_from ? strdup(options->restore_from) : NULL;
    if ((options->checkpoint_dir && !script->checkpoint_dir) || (options->restore_from && !script->restore_from)) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a job");
    }
    return SABOT_OK;
}

/* Two jobs of one script on one folder: the second would take it from the first, which then fails. */
static sabot_status folder_is_free(const struct session *session, const struct job_options *options,
                                   struct sabot_error *err) {
    for (const struct session_job *job = session->jobs; options->checkpoint_dir && job; job = job->next) {
        struct job_description other;
        if (!job->job) { continue; }
        job_describe(job->job, &other);
        if (other.state >= JOB_FINISHED || !other.checkpoint_dir ||
            strcmp(other.checkpoint_dir, options->checkpoint_dir) != 0) {
            continue;
        }
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "another job of this script takes its checkpoints in %s already: make "
                          "the INSERTs one job (EXECUTE STATEMENT SET BEGIN .. END), or give each a folder of its own "
                          "with SET 'execution.checkpointing.dir' before it (RESET for a query)",
                          options->checkpoint_dir);
    }
    return SABOT_OK;
}

static sabot_status start_job(struct session *session, struct session_script *script, struct statement_result *made,
                              struct collect *collect, struct session_job **out, struct sabot_error *err) {
    struct session_job *job = calloc(1, sizeof *job);
    if (!job) {
        collect_free(collect);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a job");
    }
    *job = (struct session_job){.session = session, .next = session->jobs, .plan = made->plan, .collect = collect,
                                .schema = made->schema, .bounded = made->bounded, .updating = made->updating,
                                .upsert_key = made->upsert_key, .n_upsert_key = made->n_upsert_key};
    made->plan = NULL;
    made->schema = NULL;
    session->jobs = job;
    struct job_options options = {0};
    statement_job_options(&session->settings, &options);
    options.memory = session->pool;
    options.bounded = job->bounded;
    sabot_status status = SABOT_OK;
    if (options.resumes && !options.checkpoint_dir) {
        status = SABOT_FAIL(err, SABOT_ERR_USAGE, "a job that is to go on from its own checkpoints (--resume, "
                            "'execution.checkpointing.resume') needs a folder for them: add --checkpoint-dir DIR, or "
                            "SET 'execution.checkpointing.dir'");
    }
    if (status == SABOT_OK) { status = folder_is_free(session, &options, err); }
    if (status == SABOT_OK) { status = is_alone(script, &options, err); }
    if (status == SABOT_OK) { status = remember(script, &options, err); }
    if (status == SABOT_OK) {
        status = job_start(session->env, physical_graph(job->plan), &options, &job->job, err);
    }
    if (status != SABOT_OK) {
        session_job_free(job);
        return status;
    }
    if (session->serves) { serve(session, job); }
    *out = job;
    return SABOT_OK;
}

/* EXPLAIN STALL: what holds the watermarks of the running jobs, a row per line. */
static sabot_status stall_rows(struct session *session, struct batch **out, struct sabot_error *err) {
    struct text text = {0};
    for (struct session_job *job = session->jobs; job; job = job->next) { job_explain_stall(job->job, &text); }
    if (!session->jobs) { text_add(&text, "no job is running"); }
    const struct field field = {"result", type_of(TYPE_STRING)};
    struct schema *schema = NULL;
    struct column *column = NULL;
    const struct string_view view = string_view_of(text_string(&text), (uint32_t)text.size);
    sabot_status status = schema_new(&field, 1, &schema, err);
    if (status == SABOT_OK) { status = column_constant(session->pool, PHYS_VIEW, &view, 1, &column, err); }
    if (status == SABOT_OK) { status = batch_new(schema, &column, 1, 1, out, err); }
    schema_unref(schema);
    text_clear(&text);
    return status;
}

/* A job that would be started is compared with a checkpoint instead. */
struct against {
    const char *path;
    struct state_report *report;
};

static sabot_status check_job(struct session *session, const struct statement_result *made,
                              const struct against *against, struct sabot_error *err) {
    struct job_options options = {0};
    statement_job_options(&session->settings, &options);
    options.bounded = made->bounded;
    struct store *store;
    struct restore *restore = NULL;
    SABOT_TRY(store_new(session->env, options.store_settings, options.n_store_settings, &store, err));
    store_charge(store, session->pool);
    sabot_status status = restore_open(store, against->path, session->pool, &restore, err);
    if (status == SABOT_OK) {
        status = state_check(session->env, physical_graph(made->plan), &options, restore, session->pool,
                             against->report, err);
    }
    restore_close(restore);
    store_free(store);
    return status;
}

static sabot_status next_statement(struct session *session, struct session_script *script, bool explained,
                                   const struct against *against, struct session_result *result,
                                   struct sabot_error *err) {
    struct sql_statement *statement = script->script->statements.items[script->next++];
    *result = (struct session_result){.outcome = STATEMENT_DONE};
    struct collect *collect = NULL;
    SABOT_TRY(
        collect_new(session->env, (int32_t)settings_int(&session->settings, SETTING_result_batches), &collect, err));
    const struct statement_context context = {
        .env = session->env, .pool = session->pool, .catalog = &session->catalog, .settings = &session->settings,
        .text = script->script->text, .collect = collect, .statement_number = session->statements++,
        .restore_from = against ? against->path : settings_text(&session->settings, SETTING_savepoint_path)};
    struct statement_result made = {0};
    sabot_status status = explained ? statement_explain(&context, statement, &made, err)
                                    : statement_execute(&context, statement, &made, err);
    if (status == SABOT_OK && made.outcome == STATEMENT_STALL) {
        status = stall_rows(session, &made.rows, err);
        made.outcome = STATEMENT_ROWS;
    }
    result->outcome = made.outcome;
    const bool is_job = made.outcome == STATEMENT_JOB || made.outcome == STATEMENT_QUERY;
    if (status == SABOT_OK && is_job && against) {
        status = check_job(session, &made, against, err);
    } else if (status == SABOT_OK && is_job) {
        const bool query = made.outcome == STATEMENT_QUERY;
        struct collect *mine = query ? collect : NULL;
        if (query) { collect = NULL; }
        status = start_job(session, script, &made, mine, &result->job, err);
    } else if (status == SABOT_OK) {
        result->rows = made.rows;
        made.rows = NULL;
    }
    collect_free(collect);
    statement_result_clear(&made);
    return status;
}

sabot_status session_step(struct session *session, struct session_script *script, struct session_result *result,
                          struct sabot_error *err) {
    return next_statement(session, script, false, NULL, result, err);
}

sabot_status session_explain_step(struct session *session, struct session_script *script,
                                  struct session_result *result, struct sabot_error *err) {
    return next_statement(session, script, true, NULL, result, err);
}

sabot_status session_check_step(struct session *session, struct session_script *script, const char *path,
                                struct state_report *report, bool *is_job, struct sabot_error *err) {
    struct session_result result;
    const struct against against = {.path = path, .report = report};
    *report = (struct state_report){0};
    SABOT_TRY(next_statement(session, script, false, &against, &result, err));
    *is_job = result.outcome == STATEMENT_JOB || result.outcome == STATEMENT_QUERY;
    batch_unref(result.rows);
    return SABOT_OK;
}
