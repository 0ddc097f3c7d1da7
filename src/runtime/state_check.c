/* State of a checkpoint against a job: see state_check.h. */
#include "runtime/state_check.h"

#include "base/log.h"
#include "base/text.h"
#include "checkpoint/storage.h"
#include "runtime/job_impl.h"
#include "state/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT "in-flight."

struct check {
    struct env *env;
    const struct job_graph *graph;
    const struct job_options *options;
    struct restore *restore;
    struct memory_pool *pool;
    struct state_report *report;
    struct restore_table *tables; /* of the checkpoint */
    int32_t n_tables;
    bool *seen;                   /* of each: there is a finding */
    const struct op_spec *op;     /* that is being opened */
    bool declares;                /* it has declared a table */
};

const char *state_fate_name(enum state_fate fate) {
    static const char *const names[] = {"same", "migrates", "new", "dropped", "incompatible"};
    return names[fate];
}

/* --- findings */
static sabot_status add(struct check *check, const char *uid, const char *state, enum state_fate fate, const char *why,
                        struct sabot_error *err) {
    struct state_report *report = check->report;
    if (report->n == report->capacity) {
        const int32_t capacity = report->capacity ? report->capacity * 2 : 16;
        struct state_finding *items = realloc(report->items, (size_t)capacity * sizeof *items);
        if (!items) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a report on state"); }
        report->items = items;
        report->capacity = capacity;
    }
    struct state_finding *item = &report->items[report->n++];
    *item = (struct state_finding){.uid = strdup(uid), .state = state ? strdup(state) : NULL, .fate = fate,
                                   .why = why && why[0] ? strdup(why) : NULL};
    const bool whole = item->uid && (item->state || !state) && (item->why || !why || !why[0]);
    return whole ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a report on state");
}

void state_report_clear(struct state_report *report) {
    for (int32_t i = 0; i < report->n; i++) {
        free(report->items[i].uid);
        free(report->items[i].state);
        free(report->items[i].why);
    }
    free(report->items);
    *report = (struct state_report){0};
}

const struct state_finding *state_report_obstacle(const struct state_report *report) {
    const struct state_finding *dropped = NULL;
    for (int32_t i = 0; i < report->n; i++) {
        if (report->items[i].fate == STATE_FATE_INCOMPATIBLE) { return &report->items[i]; }
        if (report->items[i].fate == STATE_FATE_DROPPED && !report->drops && !dropped) { dropped = &report->items[i]; }
    }
    return dropped;
}

sabot_status state_report_enforce(const struct state_report *report, struct env *env, const char *path,
                                  struct sabot_error *err) {
    const struct state_finding *obstacle = state_report_obstacle(report);
    if (obstacle) {
        return SABOT_FAIL(err, SABOT_ERR_STATE, "the checkpoint %s does not fit this job: operator %s, state '%s': %s; "
                          "`sabot check` says it of all states", path, obstacle->uid, obstacle->state, obstacle->why);
    }
    for (int32_t i = 0; i < report->n; i++) {
        const struct state_finding *item = &report->items[i];
        if (item->fate != STATE_FATE_DROPPED && item->fate != STATE_FATE_MIGRATES) { continue; }
        const bool dropped = item->fate == STATE_FATE_DROPPED;
        log_write(env, dropped ? LOG_WARNING : LOG_INFO, "state '%s' of operator %s in %s %s: %s", item->state,
                  item->uid, path, dropped ? "is left behind" : "migrates",
                  item->why ? item->why : "its columns stand in another order");
    }
    return SABOT_OK;
}

/* --- one table */
static int32_t table_of(const struct check *check, const char *uid, const char *state) {
    for (int32_t i = 0; i < check->n_tables; i++) {
        if (strcmp(check->tables[i].uid, uid) == 0 && strcmp(check->tables[i].state, state) == 0) { return i; }
    }
    return -1;
}

struct looking {
    const struct state_migration *migration;
    const struct state_shape *shape;
    struct memory_pool *pool;
};

static sabot_status look_at_rows(void *arg, struct batch *taken, struct sabot_error *err) {
    const struct looking *looking = arg;
    BATCH_OWNED struct batch *rows = taken;
    BATCH_OWNED struct batch *fitting = NULL;
    return state_migrate(looking->migration, looking->shape, looking->pool, rows, &fitting, err);
}

/* Manifests of before said the condition of inner joins too. */
static bool is_former_inner(const char *before, const char *now) {
    static const char condition[] = ", where=[";
    const size_t size = strlen(now);
    return strncmp(now, "an inner join", 13) == 0 && strncmp(before, now, size) == 0 &&
           strncmp(before + size, condition, sizeof condition - 1) == 0;
}

/* Rows of the same columns that were kept for another query: "its state was that of .. and would be that of ..". */
static void compare_meaning(const struct check *check, struct state_migration *migration, struct text *why) {
    const struct manifest *manifest = restore_manifest(check->restore);
    const char *before = NULL, *now = check->op->meaning;
    for (int32_t i = 0; i < manifest->n_operators && !before; i++) {
        if (strcmp(manifest->operators[i].uid, check->op->uid) == 0) { before = manifest->operators[i].meaning; }
    }
    if (!before || !now || strcmp(before, now) == 0 || is_former_inner(before, now)) { return; }
    migration->verdict = STATE_INCOMPATIBLE;
    text_format(why, "%sit is kept for %s, and the job now has %s, which needs other rows: start the old query, or "
                "begin without the state", why->size ? "; " : "", before, now);
}

static sabot_status compare(struct check *check, int32_t at, const struct state_shape *shape, struct schema *stored,
                            struct sabot_error *err) {
    const struct restore_table *table = &check->tables[at];
    const struct state_shape from = {.name = table->state, .kind = table->kind, .n_keys = table->n_keys,
                                     .schema = stored};
    struct state_migration migration;
    struct text why = {0};
    sabot_status status =
        state_migration_plan(&from, shape, check->options->allow_non_restored_state, &migration, &why, err);
    if (status == SABOT_OK) { compare_meaning(check, &migration, &why); }
    if (status == SABOT_OK && migration.rekeyed && migration.verdict != STATE_INCOMPATIBLE) {
        status = restore_rekey(check->restore, table->uid, table->state, err);
    }
    if (status == SABOT_OK && migration.narrows && migration.verdict != STATE_INCOMPATIBLE) {
        struct sabot_error found = {0};
        struct looking looking = {.migration = &migration, .shape = shape, .pool = check->pool};
        status = restore_read(check->restore, table->uid, table->state, -1, look_at_rows, &looking, &found);
        if (status == SABOT_ERR_STATE) {
            migration.verdict = STATE_INCOMPATIBLE;
            text_clear(&why);
            text_add(&why, found.message);
            status = SABOT_OK;
        } else if (status != SABOT_OK && err && err->status == SABOT_OK) {
            *err = found;
        }
    }
    if (status == SABOT_OK) {
        static const enum state_fate fates[] = {STATE_FATE_SAME, STATE_FATE_MIGRATES, STATE_FATE_INCOMPATIBLE};
        status = add(check, table->uid, table->state, fates[migration.verdict], text_string(&why), err);
    }
    state_migration_clear(&migration);
    text_clear(&why);
    return status;
}

static sabot_status declared(void *arg, const struct state_shape *shape, struct sabot_error *err) {
    struct check *check = arg;
    check->declares = true;
    const int32_t at = table_of(check, check->op->uid, shape->name);
    if (at < 0) { return SABOT_OK; }
    check->seen[at] = true;
    struct schema *stored;
    SABOT_TRY(restore_schema(check->restore, check->tables[at].uid, check->tables[at].state, &stored, err));
    const sabot_status status = stored ? compare(check, at, shape, stored, err)
                                       : add(check, check->op->uid, shape->name, STATE_FATE_SAME, NULL, err);
    schema_unref(stored);
    return status;
}

/* --- one operator */
static sabot_status open_and_close(struct check *check, struct state_tables *tables, struct metrics *metrics,
                                   struct schema *input, struct sabot_error *err) {
    const struct job_options *options = check->options;
    const struct op_context context = {
        .env = check->env,
        .pool = check->pool,
        .metrics = metrics,
        .spec = check->op,
        .input = input,
        .parallelism = 1,
        .max_parallelism = options->max_parallelism,
        .batch_rows = options->batch_rows > 0 ? options->batch_rows : BATCH_ROWS_DEFAULT,
        .latency_target_ns = options->latency_target_ns,
        .program = {.env = check->env,
                    .pool = check->pool,
                    .time_zone = options->time_zone,
                    .wrap_overflow = options->wrap_overflow,
                    .watermark_ms = WATERMARK_NONE},
        .state = tables,
        .bounded = options->bounded,
    };
    struct op *op = NULL;
    SABOT_TRY(check->op->type->open(&context, &op, err));
    check->op->type->close(op);
    return SABOT_OK;
}

static sabot_status check_declared(struct check *check, struct schema *input, struct sabot_error *err) {
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a report on state"); }
    const struct state_context context = {.pool = check->pool, .metrics = metrics, .backend = "memory",
                                          .parallelism = 1, .max_parallelism = check->options->max_parallelism};
    struct state_tables *tables = NULL;
    sabot_status status = state_tables_new(&context, &tables, err);
    if (status == SABOT_OK) {
        state_tables_observe(tables, &(struct state_observer){.arg = check, .declared = declared});
        status = open_and_close(check, tables, metrics, input, err);
    }
    state_tables_free(tables);
    histogram_free(metrics->latency);
    free(metrics);
    return status;
}

/* Rows that an unaligned barrier overtook on their way to this operator. */
static sabot_status check_in_flight(struct check *check, int32_t at, const struct job_vertex *vertex, int32_t op,
                                    struct sabot_error *err) {
    const int32_t edge = atoi(check->tables[at].state + sizeof IN_FLIGHT - 1);
    struct schema *stored = NULL, *wanted = NULL;
    if (op > 0 || edge < 0 || edge >= vertex->n_edges) {
        return add(check, check->op->uid, check->tables[at].state, STATE_FATE_INCOMPATIBLE, "an unaligned barrier has "
                   "overtaken these rows on an exchange that this job does not have there: start the old query, or "
                   "start from a savepoint, which has no such rows", err);
    }
    const struct job_vertex *from = &check->graph->vertices[vertex->edges[edge].from];
    const struct schema *rows = from->ops[from->n_ops - 1]->output;
    SABOT_TRY(restore_schema(check->restore, check->tables[at].uid, check->tables[at].state, &stored, err));
    if (!stored || stored->n_fields < 2) {
        schema_unref(stored);
        return SABOT_OK;
    }
    struct field *fields = calloc((size_t)rows->n_fields + 2, sizeof *fields);
    sabot_status status = fields ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a report on state");
    for (int32_t i = 0; i < rows->n_fields + 2 && fields; i++) {
        fields[i] = i < 2 ? stored->fields[i] : rows->fields[i - 2];
    }
    if (status == SABOT_OK) { status = schema_new(fields, rows->n_fields + 2, &wanted, err); }
    if (status == SABOT_OK) {
        const struct state_shape shape = {.name = check->tables[at].state, .kind = STATE_LIST, .schema = wanted,
                                          .holds_nulls = true};
        status = compare(check, at, &shape, stored, err);
    }
    free(fields);
    schema_unref(stored);
    schema_unref(wanted);
    return status;
}

/* false: it is none, or there are none. */
static bool manifest_may_have_in_flight(struct store *store, const char *path) {
    struct manifest manifest;
    struct sabot_error err = {0};
    if (storage_read_manifest(store, path, &manifest, &err) != SABOT_OK) { return err.status != SABOT_ERR_NOT_FOUND; }
    bool found = false;
    for (int32_t i = 0; i < manifest.n_files && !found; i++) {
        found = strncmp(manifest.files[i].state, IN_FLIGHT, sizeof IN_FLIGHT - 1) == 0;
    }
    manifest_clear(&manifest);
    return found;
}

bool state_may_be_on_exchanges(struct env *env, const struct job_options *options, const char *path) {
    struct store *store;
    if (store_new(env, options->store_settings, options->n_store_settings, &store, NULL) != SABOT_OK) { return true; }
    int64_t *ids = NULL;
    int32_t n = 0;
    const sabot_status listed = storage_list(store, path, &ids, &n, NULL);
    bool found = manifest_may_have_in_flight(store, path) || (listed != SABOT_OK && listed != SABOT_ERR_NOT_FOUND);
    for (int32_t i = 0; i < n && !found; i++) { /* any: the newest may turn out to be damaged */
        char checkpoint[STORAGE_PATH_MAX];
        found = storage_path(path, ids[i], checkpoint, NULL) == SABOT_OK &&
                manifest_may_have_in_flight(store, checkpoint);
    }
    free(ids);
    store_free(store);
    return found;
}

/* What the checkpoint has of this operator and open() did not declare. */
static sabot_status check_rest(struct check *check, const struct job_vertex *vertex, int32_t op, bool *has_state,
                               struct sabot_error *err) {
    for (int32_t i = 0; i < check->n_tables; i++) {
        if (strcmp(check->tables[i].uid, check->op->uid) != 0) { continue; }
        *has_state = true;
        if (check->seen[i]) { continue; }
        check->seen[i] = true;
        const char *state = check->tables[i].state;
        if (strncmp(state, IN_FLIGHT, sizeof IN_FLIGHT - 1) == 0) {
            SABOT_TRY(check_in_flight(check, i, vertex, op, err));
        } else if (!check->op->type->declares_state) {
            SABOT_TRY(add(check, check->op->uid, state, STATE_FATE_SAME, NULL, err));
        } else {
            SABOT_TRY(add(check, check->op->uid, state, STATE_FATE_DROPPED, "the operator keeps no such state in this "
                          "job: start the old query, or leave it behind with --allow-non-restored-state", err));
        }
    }
    return SABOT_OK;
}

static sabot_status check_op(struct check *check, int32_t v, int32_t op, struct sabot_error *err) {
    const struct job_vertex *vertex = &check->graph->vertices[v];
    check->op = vertex->ops[op];
    check->declares = false;
    if (check->op->type->declares_state) {
        SABOT_TRY(check_declared(check, job_graph_input(check->graph, v, op), err));
    }
    bool has_state = false;
    SABOT_TRY(check_rest(check, vertex, op, &has_state, err));
    if (has_state || !check->declares) { return SABOT_OK; }
    return add(check, check->op->uid, NULL, STATE_FATE_NEW, "it has no state in the checkpoint and begins empty", err);
}

/* "a, b, ... (12 in all)" */
static void uids_text(const struct check *check, struct text *target) {
    int32_t n = 0;
    for (int32_t v = 0; v < check->graph->n_vertices; v++) {
        for (int32_t i = 0; i < check->graph->vertices[v].n_ops; i++) {
            const struct op_spec *op = check->graph->vertices[v].ops[i];
            if (!op->type->declares_state && i > 0 && i < check->graph->vertices[v].n_ops - 1) { continue; }
            if (++n <= 8) { text_format(target, "%s%s", n > 1 ? ", " : "", op->uid); }
        }
    }
    if (n > 8) { text_format(target, ", ... (%d in all)", n); }
}

static sabot_status check_orphans(struct check *check, struct sabot_error *err) {
    struct text why = {0};
    text_add(&why, "the operator is not in this job (it has ");
    uids_text(check, &why);
    text_add(&why, "): start the old query, or leave that state behind with --allow-non-restored-state");
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < check->n_tables && status == SABOT_OK; i++) {
        if (check->seen[i]) { continue; }
        status = add(check, check->tables[i].uid, check->tables[i].state, STATE_FATE_DROPPED, text_string(&why), err);
    }
    text_clear(&why);
    return status;
}

static sabot_status check_all(struct check *check, struct sabot_error *err) {
    for (int32_t v = 0; v < check->graph->n_vertices; v++) {
        for (int32_t i = 0; i < check->graph->vertices[v].n_ops; i++) {
            const sabot_status status = check_op(check, v, i, err);
            if (status == SABOT_OK) { continue; }
            error_context(err, "%s", check->op->label);
            return status;
        }
    }
    return check_orphans(check, err);
}

sabot_status state_check(struct env *env, const struct job_graph *graph, const struct job_options *options,
                         struct restore *restore, struct memory_pool *pool, struct state_report *out,
                         struct sabot_error *err) {
    *out = (struct state_report){.drops = options->allow_non_restored_state};
    const int32_t groups = options->max_parallelism > 0 ? options->max_parallelism : MAX_PARALLELISM_DEFAULT;
    const int32_t stored = restore_manifest(restore)->max_parallelism;
    if (stored != groups) {
        return SABOT_FAIL(err, SABOT_ERR_STATE, "the checkpoint %s has %d key groups and the job has %d: SET "
                          "'pipeline.max-parallelism' = '%d'", restore_path(restore), stored, groups, stored);
    }
    for (int32_t v = 0; v < graph->n_vertices; v++) {
        SABOT_TRY(job_parallelism_check(&graph->vertices[v], groups, err));
    }
    struct job_options filled = *options;
    filled.max_parallelism = groups;
    struct check check = {.env = env, .graph = graph, .options = &filled, .restore = restore, .pool = pool,
                          .report = out};
    SABOT_TRY(restore_tables(restore, &check.tables, &check.n_tables, err));
    check.seen = calloc((size_t)check.n_tables + 1, sizeof *check.seen);
    sabot_status status = check.seen ? check_all(&check, err)
                                     : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a report on state");
    free(check.seen);
    free(check.tables);
    if (status != SABOT_OK) { state_report_clear(out); }
    return status;
}
