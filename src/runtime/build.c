/* Makes a job's tasks, channels and operators from its graph, and takes them down. */
#include "base/env_local.h"
#include "base/log.h"
#include "checkpoint/restore.h"
#include "checkpoint/storage.h"
#include "ops/source.h"
#include "runtime/job_impl.h"
#include "runtime/state_check.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARALLELISM_MAX 32768

/* --- the graph comes from the planner or from a user of the library: checked once, then relied on */

static sabot_status edge_check(const struct job_graph *graph, int32_t v, const struct job_edge *edge,
                               struct sabot_error *err) {
    const struct job_vertex *to = &graph->vertices[v];
    if (edge->from < 0 || edge->from >= v) {
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s has an input that does not stand before it", to->name);
    }
    const struct job_vertex *from = &graph->vertices[edge->from];
    if (edge->exchange == EXCHANGE_FORWARD && from->parallelism != to->parallelism) {
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s (parallelism %d) can't forward to %s (parallelism %d)",
                          from->name, from->parallelism, to->name, to->parallelism);
    }
    if (edge->exchange == EXCHANGE_GATHER && to->parallelism != 1) {
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s gathers, but has parallelism %d", to->name, to->parallelism);
    }
    if (edge->exchange == EXCHANGE_HASH && edge->n_keys <= 0) {
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s gets its rows by hash of no column", to->name);
    }
    return SABOT_OK;
}

sabot_status job_parallelism_check(const struct job_vertex *vertex, int32_t max_parallelism, struct sabot_error *err) {
    if (vertex->parallelism < 1 || vertex->parallelism > PARALLELISM_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "%s has parallelism %d: it can be 1 to %d", vertex->name,
                          vertex->parallelism, PARALLELISM_MAX);
    }
    if (vertex->parallelism <= max_parallelism) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "%s has parallelism %d, more than the maximum parallelism %d: lower "
                      "'parallelism.default', or raise 'pipeline.max-parallelism' (of a job that begins without state)",
                      vertex->name, vertex->parallelism, max_parallelism);
}

static sabot_status graph_check(const struct job *job, struct sabot_error *err) {
    const struct job_graph *graph = job->graph;
    if (graph->n_vertices <= 0) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "the job has no vertices"); }
    for (int32_t v = 0; v < graph->n_vertices; v++) {
        const struct job_vertex *vertex = &graph->vertices[v];
        if (vertex->n_ops <= 0) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s has no operators", vertex->name); }
        SABOT_TRY(job_parallelism_check(vertex, job->options.max_parallelism, err));
        for (int32_t e = 0; e < vertex->n_edges; e++) { SABOT_TRY(edge_check(graph, v, &vertex->edges[e], err)); }
    }
    return SABOT_OK;
}

/* --- tasks and channels */

static int32_t channels_of(const struct job_graph *graph, int32_t v, const struct job_edge *edge) {
    const int32_t to = graph->vertices[v].parallelism;
    return edge->exchange == EXCHANGE_FORWARD ? to : graph->vertices[edge->from].parallelism * to;
}

static sabot_status tasks_make(struct job *job, struct sabot_error *err) {
    const struct job_graph *graph = job->graph;
    int32_t n_channels = 0, n_ops = 0;
    job->first_task = calloc((size_t)graph->n_vertices, sizeof *job->first_task);
    for (int32_t v = 0; job->first_task && v < graph->n_vertices; v++) {
        const struct job_vertex *vertex = &graph->vertices[v];
        job->first_task[v] = job->n_tasks;
        job->n_tasks += vertex->parallelism;
        n_ops += vertex->parallelism * vertex->n_ops;
        for (int32_t e = 0; e < vertex->n_edges; e++) { n_channels += channels_of(graph, v, &vertex->edges[e]); }
    }
    job->n_metrics = n_ops;
    job->tasks = calloc((size_t)job->n_tasks + 1, sizeof *job->tasks);
    job->channels = calloc((size_t)n_channels + 1, sizeof(struct channel *));
    SABOT_TRY(job_pools_new(job->env, &job->options, n_ops, &job->pools, err));
    if (!job->first_task || !job->tasks || !job->channels) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a job of %d tasks", job->n_tasks);
    }
    job->pool = job_pools_job(job->pools);
    return SABOT_OK;
}

static int32_t consumers_of(const struct job_graph *graph, int32_t v) {
    int32_t n = 0;
    for (int32_t to = v + 1; to < graph->n_vertices; to++) {
        for (int32_t e = 0; e < graph->vertices[to].n_edges; e++) { n += graph->vertices[to].edges[e].from == v; }
    }
    return n;
}

static sabot_status task_init(struct job *job, int32_t v, int32_t subtask, struct sabot_error *err) {
    const struct job_graph *graph = job->graph;
    const struct job_vertex *vertex = &graph->vertices[v];
    struct task *task = &job->tasks[job->first_task[v] + subtask];
    task->job = job;
    task->vertex = vertex;
    task->vertex_index = v;
    task->subtask = subtask;
    task->index = job->first_task[v] + subtask;
    task->is_source = vertex->n_edges == 0;
    int32_t n_inputs = 0;
    for (int32_t e = 0; e < vertex->n_edges; e++) {
        const struct job_edge *edge = &vertex->edges[e];
        n_inputs += edge->exchange == EXCHANGE_FORWARD ? 1 : graph->vertices[edge->from].parallelism;
    }
    task->ops = calloc((size_t)vertex->n_ops, sizeof *task->ops);
    task->outs = calloc((size_t)consumers_of(graph, v) + 1, sizeof *task->outs);
    task->inputs = calloc((size_t)n_inputs + 1, sizeof *task->inputs);
    if (!task->ops || !task->outs || !task->inputs) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the task %s[%d]", vertex->name, subtask);
    }
    task->n_ops = vertex->n_ops;
    if (consumers_of(graph, v) == 0) { atomic_fetch_add(&job->n_wanting, 1); }
    atomic_init(&task->barrier_wanted, BARRIER_NONE);
    atomic_init(&task->overtake_wanted, BARRIER_NONE);
    atomic_init(&task->barrier_aborted, BARRIER_NONE);
    atomic_init(&task->complete_wanted, BARRIER_NONE);
    atomic_init(&task->watermark_ms, WATERMARK_NONE);
    atomic_init(&task->align_ms, WATERMARK_NONE);
    atomic_init(&task->watermark_since_ns, env_now_ns(job->env));
    SABOT_TRY(watermark_combine_init(&task->combine, n_inputs, env_now_ns(job->env), err));
    SABOT_TRY(barrier_aligner_init(&task->aligner, n_inputs, err));
    SABOT_TRY(overtake_init(task, err));
    task_link(task);
    return SABOT_OK;
}

/* The channels from one producing task over one edge, and the exchange that fills them. */
static sabot_status edge_connect(struct job *job, struct task *from, int32_t to_vertex, const struct job_edge *edge,
                                 struct channel **scratch, struct sabot_error *err) {
    const struct job_vertex *to = &job->graph->vertices[to_vertex];
    const bool forward = edge->exchange == EXCHANGE_FORWARD;
    const int32_t n = forward ? 1 : to->parallelism;
    for (int32_t t = 0; t < n; t++) {
        struct task *target = &job->tasks[job->first_task[to_vertex] + (forward ? from->subtask : t)];
        struct channel *channel;
        /* half of the places for batches, half for the watermarks between them */
        SABOT_TRY(channel_new(2 * job->options.channel_batches, (struct channel_wake){worker_wake_task, from},
                              (struct channel_wake){worker_wake_task, target}, &channel, err));
        job->channels[job->n_channels++] = channel;
        scratch[t] = channel;
        target->inputs[target->n_inputs++] =
            (struct task_input){.channel = channel, .from = from, .input = edge->input,
                                .edge = (int32_t)(edge - to->edges)};
    }
    const struct exchange_options options = {
        .exchange = edge->exchange,
        .keys = edge->keys,
        .n_keys = edge->n_keys,
        .max_parallelism = job->options.max_parallelism,
        .channels = scratch,
        .n_channels = n,
        .pool = job->pool,
    };
    SABOT_TRY(exchange_init(&from->outs[from->n_outs], &options, err));
    from->n_outs++;
    return SABOT_OK;
}

static sabot_status connect(struct job *job, struct sabot_error *err) {
    const struct job_graph *graph = job->graph;
    struct channel **scratch = calloc((size_t)job->n_tasks, sizeof(struct channel *));
    if (!scratch) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the job's channels"); }
    sabot_status status = SABOT_OK;
    for (int32_t v = 0; v < graph->n_vertices && status == SABOT_OK; v++) {
        for (int32_t e = 0; e < graph->vertices[v].n_edges && status == SABOT_OK; e++) {
            const struct job_edge *edge = &graph->vertices[v].edges[e];
            for (int32_t s = 0; s < graph->vertices[edge->from].parallelism && status == SABOT_OK; s++) {
                status = edge_connect(job, &job->tasks[job->first_task[edge->from] + s], v, edge, scratch, err);
            }
        }
    }
    free(scratch);
    return status;
}

static sabot_status workers_make(struct job *job, struct sabot_error *err) {
    job->workers = calloc((size_t)job->options.workers, sizeof *job->workers);
    if (!job->workers) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the workers"); }
    for (int32_t w = 0; w < job->options.workers; w++) {
        int32_t n = 0;
        for (int32_t t = 0; t < job->n_tasks; t++) { n += job->tasks[t].subtask % job->options.workers == w; }
        SABOT_TRY(worker_init(&job->workers[w], job, w, n, err));
        job->n_workers++;
    }
    for (int32_t t = 0; t < job->n_tasks; t++) {
        worker_add(&job->workers[job->tasks[t].subtask % job->n_workers], &job->tasks[t]);
    }
    return SABOT_OK;
}

/* --- operators */

struct schema *job_graph_input(const struct job_graph *graph, int32_t v, int32_t op) {
    const struct job_vertex *vertex = &graph->vertices[v];
    if (op > 0) { return vertex->ops[op - 1]->output; }
    for (int32_t e = 0; e < vertex->n_edges; e++) {
        if (vertex->edges[e].input != 0) { continue; }
        const struct job_vertex *from = &graph->vertices[vertex->edges[e].from];
        return from->ops[from->n_ops - 1]->output;
    }
    return NULL;
}

static sabot_status op_open(struct job *job, struct task *task, int32_t index, struct restore *restore,
                            struct sabot_error *err) {
    const struct op_spec *spec = task->vertex->ops[index];
    const struct job_options *options = &job->options;
    struct chain_op *op = &task->ops[index];
    char name[96];
    snprintf(name, sizeof name, "operator %.60s[%d]", spec->label, task->subtask);
    int32_t pool_index = index;
    for (int32_t v = 0; v < task->vertex_index; v++) {
        pool_index += job->graph->vertices[v].parallelism * job->graph->vertices[v].n_ops;
    }
    char state_dir[ENV_PATH_MAX + 64] = "";
    if (job->state_dir.path) {
        snprintf(state_dir, sizeof state_dir, "%s/%d-%d-%d", job->state_dir.path, task->vertex_index, index,
                 task->subtask);
    }
    op->spec = spec;
    op->pool = job_pools_op(job->pools, pool_index + task->subtask * task->vertex->n_ops, name);
    atomic_init(&op->metrics.watermark_ms, WATERMARK_NONE);
    const struct state_context state = {
        .pool = op->pool,
        .metrics = &op->metrics,
        .backend = "memory",
        .drops_columns = options->allow_non_restored_state,
        .snapshots = options->checkpoint_dir != NULL,
        .subtask = task->subtask,
        .parallelism = task->vertex->parallelism,
        .max_parallelism = options->max_parallelism,
        .kv = {.backend = options->state_backend, .dir = state_dir[0] ? state_dir : NULL,
               .memory_bytes = options->state_memory, .cache_rows = options->state_cache_rows},
    };
    SABOT_TRY(state_tables_new(&state, &op->state, err));
    if (restore) {
        SABOT_TRY(restore_load(restore, spec->uid, task->subtask, task->vertex->parallelism, op->state, err));
        op->end_done_before = !(index == 0 && task->is_source) && restore_ended(restore, spec->uid);
    }
    op->context = (struct op_context){
        .env = job->env,
        .pool = op->pool,
        .metrics = &op->metrics,
        .spec = spec,
        .input = job_graph_input(job->graph, task->vertex_index, index),
        .subtask = task->subtask,
        .parallelism = task->vertex->parallelism,
        .max_parallelism = options->max_parallelism,
        .batch_rows = options->batch_rows,
        .latency_target_ns = options->latency_target_ns,
        .started_ms = job->started_ms,
        .store = job->store,
        .epoch = job->lease.epoch,
        .lineage = job->lease.lineage,
        .program = {.env = job->env,
                    .pool = op->pool,
                    .time_zone = options->time_zone,
                    .wrap_overflow = options->wrap_overflow,
                    .watermark_ms = WATERMARK_NONE},
        .state = op->state,
        .bounded = options->bounded,
        .checkpoints = options->checkpoint_dir != NULL,
        .wake = worker_wake_task,
        .wake_arg = task,
        .job = job,
    };
    SABOT_TRY(spec->type->open(&op->context, &op->op, err));
    assert(op->op);
    task->has_ticks |= spec->type->wants_ticks && !(index == 0 && task->is_source);
    return SABOT_OK;
}

static sabot_status ops_open(struct job *job, struct restore *restore, struct sabot_error *err) {
    /* consumers first: a sink that can't be opened is found out before a source has begun to read */
    for (int32_t t = job->n_tasks - 1; t >= 0; t--) {
        struct task *task = &job->tasks[t];
        for (int32_t i = task->n_ops - 1; i >= 0; i--) {
            const sabot_status status = op_open(job, task, i, restore, err);
            if (status == SABOT_OK) { continue; }
            error_context(err, "%s[%d] %s", task->vertex->name, task->subtask, task->vertex->ops[i]->label);
            return status;
        }
        if (restore && !task->is_source) { SABOT_TRY(overtake_restore(task, restore, err)); }
        /* what is opened later begins empty */
        for (int32_t i = 0; i < task->n_ops; i++) {
            state_tables_restore_from(task->ops[i].state, &(struct state_source){0});
        }
    }
    return SABOT_OK;
}

static sabot_status restore_begin(struct job *job, struct restore **restore, struct sabot_error *err) {
    SABOT_TRY(restore_open(job->store, job->options.restore_from, job->pool, restore, err));
    struct state_report report;
    SABOT_TRY(state_check(job->env, job->graph, &job->options, *restore, job->pool, &report, err));
    const sabot_status status = state_report_enforce(&report, job->env, restore_path(*restore), err);
    state_report_clear(&report);
    return status;
}

/* Whether the job's own checkpoint folder has what it starts from, whatever that is called; `own` gets its name there.
 */
static sabot_status is_of_folder(struct job *job, const struct restore *restore, bool *is_own,
                                 char own[STORAGE_PATH_MAX], struct sabot_error *err) {
    const char *dir = job->options.checkpoint_dir, *path = restore_path(restore);
    const size_t size = strlen(dir);
    snprintf(own, STORAGE_PATH_MAX, "%s", path);
    *is_own = strncmp(path, dir, size) == 0 && path[size] == '/'; /* a savepoint in it, too */
    if (*is_own) { return SABOT_OK; }
    SABOT_TRY(storage_path(dir, restore_id(restore), own, err));
    SABOT_TRY(storage_same(job->store, path, own, is_own, err));
    if (*is_own) { return SABOT_OK; }
    const char *name = strrchr(path, '/');
    const bool fits = snprintf(own, STORAGE_PATH_MAX, "%s/%s", dir, name ? name + 1 : path) < STORAGE_PATH_MAX;
    return fits ? storage_same(job->store, path, own, is_own, err) : SABOT_OK;
}

/* The same to a process with another current folder. */
static void path_for_all(struct job *job, const char *path, char target[STORAGE_PATH_MAX]) {
    if (store_is_remote(path) || env_absolute(job->env, path, target, NULL) != SABOT_OK) {
        snprintf(target, STORAGE_PATH_MAX, "%s", path);
    }
}

static bool is_checkpoint(const char *path) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return storage_id_of(name, strlen(name)) >= 0;
}

/* What older processes complete behind this is void from now on. *foreign: the newest checkpoint of earlier runs in the
 * folder of a job that does not start from it. */
static sabot_status lease_base(struct job *job, const struct restore *restore, int64_t *foreign,
                               struct sabot_error *err) {
    const char *dir = job->options.checkpoint_dir;
    char path[STORAGE_PATH_MAX];
    if (restore) {
        bool is_own;
        SABOT_TRY(is_of_folder(job, restore, &is_own, path, err));
        /* its manifest may have been put by a process that died before the name was synced: what sinks commit now must
         * not outlive it */
        if (is_own) {
            SABOT_TRY(store_sync_folder(job->store, restore_path(restore), err));
            return is_checkpoint(path)
                       ? lease_begin(job->store, &job->lease, restore_id(restore), err)
                       : lease_begin_from(job->store, &job->lease, restore_id(restore), path, err);
        }
    }
    /* the checkpoints of others that are in the folder stay what they are */
    struct manifest newest = {0};
    char newest_path[STORAGE_PATH_MAX];
    struct sabot_error why = {0};
    const sabot_status found = storage_newest(job->store, dir, newest_path, &newest, &why);
    const int64_t base = found == SABOT_OK ? newest.checkpoint_id : -1;
    if (found == SABOT_OK && restore) { *foreign = base; } /* a savepoint of it, mostly: who names one knows */
    if (found == SABOT_OK && !restore) {
        log_write(job->env, LOG_WARNING, "this job begins without the state of the earlier run that has left %s: to go "
                  "on from there, stop it and start it with --from. That checkpoint is kept", newest_path);
        *foreign = base;
    }
    manifest_clear(&newest);
    if (found != SABOT_OK && found != SABOT_ERR_NOT_FOUND) { return SABOT_FAIL(err, found, "%s", why.message); }
    if (!restore) { return lease_begin(job->store, &job->lease, base, err); }
    path_for_all(job, restore_path(restore), path);
    return lease_begin_from(job->store, &job->lease, base, path, err);
}

/* A folder for RocksDB or Tonbo, where some operator has key-value state. */
static sabot_status state_dir_make(struct job *job, struct sabot_error *err) {
    const struct job_options *options = &job->options;
    const struct job_graph *graph = job->graph;
    bool wanted = false;
    for (int32_t v = 0; v < graph->n_vertices; v++) {
        for (int32_t i = 0; i < graph->vertices[v].n_ops; i++) {
            wanted = wanted || graph->vertices[v].ops[i]->type->key_value_state;
        }
    }
    if (!wanted || !options->state_backend || strcmp(options->state_backend, "memory") == 0 ||
        env_is_simulated(job->env)) {
        return SABOT_OK;
    }
    return state_dir_open(job->env, options->state_dir ? options->state_dir : env_temporary_dir(job->env),
                          &job->state_dir, err);
}

sabot_status job_build(struct job *job, struct sabot_error *err) {
    SABOT_TRY(graph_check(job, err));
    SABOT_TRY(tasks_make(job, err));
    for (int32_t v = 0; v < job->graph->n_vertices; v++) {
        for (int32_t s = 0; s < job->graph->vertices[v].parallelism; s++) { SABOT_TRY(task_init(job, v, s, err)); }
    }
    SABOT_TRY(connect(job, err));
    SABOT_TRY(workers_make(job, err));
    const struct job_options *options = &job->options;
    if (options->on_error == JOB_ON_ERROR_DEAD_LETTER) {
        if (!options->dead_letter_path) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN, "'sabot.on-error' is 'dead-letter', but there is no file for dead "
                "letters: "
                              "SET 'sabot.dead-letter.path' = 'file'");
        }
        SABOT_TRY(ledger_open(job->env, options->dead_letter_path, &job->dead_letters, err));
    }
    if (options->late_path) { SABOT_TRY(ledger_open(job->env, options->late_path, &job->late, err)); }
    struct restore *restore = NULL;
    int64_t foreign = -1;
    sabot_status status = store_new(job->env, options->store_settings, options->n_store_settings, &job->store, err);
    if (status == SABOT_OK) { store_charge(job->store, job->pool); }
    if (status == SABOT_OK && options->checkpoint_dir) {
        status = lease_take(job->store, options->checkpoint_dir, &job->lease, err);
    }
    if (status == SABOT_OK && options->resumes) {
        bool has;
        status = storage_has_any(job->store, options->checkpoint_dir, &has, err);
        if (status == SABOT_OK && has) { job->options.restore_from = options->checkpoint_dir; }
    }
    if (status == SABOT_OK && options->restore_from) { status = restore_begin(job, &restore, err); }
    if (status == SABOT_OK && job->lease.epoch > 0) { status = lease_base(job, restore, &foreign, err); }
    if (status == SABOT_OK) { status = state_dir_make(job, err); }
    if (status == SABOT_OK) { status = ops_open(job, restore, err); }
    if (status == SABOT_OK) { status = job_coordinator_make(job, restore ? restore_id(restore) : 0, err); }
    /* who forgot --from has not lost anything */
    if (status == SABOT_OK && foreign >= 0) { status = coordinator_keep(job->coordinator, foreign, err); }
    if (status == SABOT_OK) { job->record = record_open(job, restore ? restore_id(restore) : 0); }
    restore_close(restore);
    return status;
}

/* --- taking down */

static void task_clear(struct task *task) {
    for (int32_t i = 0; i < task->n_ops; i++) {
        struct chain_op *op = &task->ops[i];
        if (op->op) { op->spec->type->close(op->op); }
        item_queue_clear(&op->waiting);
        snapshot_chains_free(op->chains);
        state_tables_free(op->state);
        histogram_free(op->metrics.latency);
    }
    if (task->ops) { overtake_clear(task); }
    for (int32_t i = 0; i < task->n_outs; i++) { exchange_clear(&task->outs[i]); }
    watermark_combine_clear(&task->combine);
    barrier_aligner_clear(&task->aligner);
    free(task->ops);
    free(task->outs);
    free(task->inputs);
}

void job_tear_down(struct job *job) {
    for (int32_t t = 0; t < job->n_tasks && job->tasks; t++) {
        task_snapshot_cancel(job->tasks[t].snapshot);
        job->tasks[t].snapshot = NULL;
    }
    coordinator_free(job->coordinator); /* its helpers hold copies of state */
    for (int32_t t = 0; t < job->n_tasks && job->tasks; t++) { task_clear(&job->tasks[t]); }
    record_close(job->record);
    state_dir_close(&job->state_dir);
    store_free(job->store);
    for (int32_t c = 0; c < job->n_channels; c++) { channel_free(job->channels[c]); }
    for (int32_t w = 0; w < job->n_workers; w++) { worker_clear(&job->workers[w]); }
    free(job->tasks);
    free(job->first_task);
    free(job->channels);
    free(job->workers);
    job_pools_release(job->pools);
}
