/* Statements: dispatch, and those that are too small for a file of their own. */
#include "sql/statement.h"

#include "sql/bind_internal.h"

#include "checkpoint/local_copy.h"
#include "expr/function.h"
#include "plan/explain.h"
#include "plan/rules.h"
#include "runtime/state_check.h"
#include "sql/bind.h"
#include "sql/process_function.h"
#include "sql/show.h"

#include <stdlib.h>

void statement_result_clear(struct statement_result *result) {
    batch_unref(result->rows);
    physical_free(result->plan);
    schema_unref(result->schema);
    *result = (struct statement_result){0};
}

static void store_settings(const struct settings *settings, struct job_options *options) {
    static const enum setting keys[] = {
#define X(field, key, kind, fallback, summary) SETTING_##field,
#include "store/settings.def"
#undef X
    };
    options->n_store_settings = sizeof keys / sizeof keys[0];
    for (int32_t i = 0; i < options->n_store_settings; i++) {
        options->store_settings[i] = (struct store_setting){setting_infos[keys[i]].key,
                                                            settings_text(settings, keys[i])};
    }
    if (!settings_int(settings, SETTING_local_recovery)) { return; }
    const char *folder = settings_text(settings, SETTING_local_backup_dirs);
    options->store_settings[options->n_store_settings++] =
        (struct store_setting){LOCAL_COPY_SETTING, folder[0] ? folder : LOCAL_COPY_TEMPORARY};
}

void statement_job_options(const struct settings *settings, struct job_options *options) {
    const char *zone = settings_text(settings, SETTING_time_zone);
    const char *name = settings_text(settings, SETTING_job_name);
    const char *checkpoint_dir = settings_text(settings, SETTING_checkpoint_dir);
    const char *restore = settings_text(settings, SETTING_savepoint_path);
    const char *dead_letter = settings_text(settings, SETTING_dead_letter_path);
    const char *late = settings_text(settings, SETTING_late_path);
    store_settings(settings, options);
    options->name = name[0] ? name : NULL;
    options->workers = (int32_t)settings_int(settings, SETTING_workers);
    options->max_parallelism = (int32_t)settings_int(settings, SETTING_max_parallelism);
    options->batch_rows = (int32_t)settings_int(settings, SETTING_batch_rows);
    options->latency_target_ns = settings_int(settings, SETTING_latency_target);
    options->channel_batches = (int32_t)settings_int(settings, SETTING_channel_batches);
    options->time_zone = zone;
    options->wrap_overflow = settings_is(settings, SETTING_overflow, "wrap");
    options->on_error = settings_is(settings, SETTING_on_error, "fail")          ? JOB_ON_ERROR_FAIL
                        : settings_is(settings, SETTING_on_error, "dead-letter") ? JOB_ON_ERROR_DEAD_LETTER
                                                                                 : JOB_ON_ERROR_SKIP;
    options->dead_letter_path = dead_letter[0] ? dead_letter : NULL;
    options->late_path = late[0] ? late : NULL;
    options->checkpoint_dir = checkpoint_dir[0] ? checkpoint_dir : NULL;
    options->checkpoint_interval_ns = settings_int(settings, SETTING_checkpoint_interval);
    options->checkpoint_timeout_ns = settings_int(settings, SETTING_checkpoint_timeout);
    options->checkpoints_retained = (int32_t)settings_int(settings, SETTING_checkpoints_retained);
    options->unaligned = settings_int(settings, SETTING_unaligned) != 0;
    options->aligned_timeout_ns = settings_int(settings, SETTING_aligned_timeout);
    options->checkpoints_full = settings_int(settings, SETTING_checkpoint_incremental) == 0;
    options->checkpoint_min_pause_ns = settings_int(settings, SETTING_checkpoint_min_pause);
    options->checkpoint_failures_max = (int32_t)settings_int(settings, SETTING_checkpoint_failures) + 1;
    options->checkpoint_retention =
        settings_is(settings, SETTING_checkpoint_retention, "DELETE_ON_CANCELLATION")        ? JOB_RETAIN_ON_FAILURE
        : settings_is(settings, SETTING_checkpoint_retention, "NO_EXTERNALIZED_CHECKPOINTS") ? JOB_RETAIN_NEVER
                                                                                             : JOB_RETAIN_ALWAYS;
    options->allow_non_restored_state = settings_int(settings, SETTING_ignore_unclaimed) != 0;
    /* the checkpoints' disk has room for state; a temporary folder is the guess where they are elsewhere */
    const char *spill_dir = settings_text(settings, SETTING_spill_dir);
    const bool is_local = checkpoint_dir[0] && !strstr(checkpoint_dir, "://");
    options->spill_dir = spill_dir[0] ? spill_dir : is_local ? checkpoint_dir : NULL;
    const char *state_dir = settings_text(settings, SETTING_rocksdb_dir);
    options->state_backend = settings_is(settings, SETTING_state_backend, "rocksdb") ? "rocksdb"
                             : settings_is(settings, SETTING_state_backend, "tonbo") ? "tonbo" : "memory";
    options->state_dir = state_dir[0] ? state_dir : options->spill_dir;
    const char *system_dir = settings_text(settings, SETTING_system_state_dir);
    options->system_state_dir = system_dir[0] ? system_dir : NULL;
    options->state_memory = settings_int(settings, SETTING_rocksdb_memory);
    options->state_cache_rows = (int32_t)settings_int(settings, SETTING_rocksdb_cache_rows);
    options->memory_limit = settings_int(settings, SETTING_memory);
    options->restore_from = restore[0] ? restore : NULL;
    options->resumes = settings_int(settings, SETTING_resume);
    options->alignment_max_drift_ms = settings_int(settings, SETTING_alignment_drift) / 1000000;
}

/* ---- plans ----------------------------------------------------------------------------------------------------------
 */

/* What a plan is made with; binder->plans points to plans. */
struct planning {
    struct plan_arena plans;
    struct binder binder;
};

/* Windows that are given out more than once. */
static void emit_of(const struct settings *settings, struct window_emit *out) {
    const bool early = settings_int(settings, SETTING_early_fire) != 0;
    const bool late = settings_int(settings, SETTING_late_fire) != 0;
    *out = (struct window_emit){
        .lateness_ms = settings_int(settings, SETTING_allow_lateness) / 1000000,
        .early_ms = early ? settings_int(settings, SETTING_early_fire_delay) / 1000000 : -1,
        .late_ms = late ? settings_int(settings, SETTING_late_fire_delay) / 1000000 : -1,
    };
    out->updates = early || late || out->lateness_ms > 0;
}

static void planning_init(struct planning *planning, const struct statement_context *context) {
    plan_arena_init(&planning->plans);
    emit_of(context->settings, &planning->plans.emit);
    planning->binder = (struct binder){
        .catalog = context->catalog, .settings = context->settings, .plans = &planning->plans,
    };
}

static void planning_clear(struct planning *planning) {
    binder_clear(&planning->binder);
    plan_arena_clear(&planning->plans);
}

static void release_binder(void *owner) {
    binder_clear(owner);
    free(owner);
}

static void physical_options_of(const struct settings *settings, struct physical_options *out) {
    out->parallelism = (int32_t)settings_int(settings, SETTING_parallelism);
    out->two_phase = !settings_is(settings, SETTING_two_phase, "ONE_PHASE");
    out->late_ledger = settings_text(settings, SETTING_late_path)[0] != 0;
    /* as Flink: what ends gives the result of all its rows in batch mode */
    const bool is_batch = settings_is(settings, SETTING_runtime_mode, "batch");
    out->batch = is_batch || settings_is(settings, SETTING_runtime_mode, "automatic");
    out->state_ttl_ms = is_batch ? 0 : settings_int(settings, SETTING_state_ttl) / 1000000;
    out->lookup_reload_ns = settings_int(settings, SETTING_lookup_reload);
    out->idle_timeout_ns = settings_int(settings, SETTING_idle_timeout);
    out->alignment_drift_ms = settings_int(settings, SETTING_alignment_drift) / 1000000;
}

/* Exchanges of a job of one task are left out, unless a checkpoint has rows on them. */
static bool keeps_exchanges(const struct statement_context *context) {
    const char *from = context->restore_from;
    if (settings_int(context->settings, SETTING_parallelism) != 1) { return false; }
    struct job_options job = {0};
    statement_job_options(context->settings, &job);
    return (from && from[0] && state_may_be_on_exchanges(context->env, &job, from)) ||
           (job.resumes && job.checkpoint_dir && state_may_be_on_exchanges(context->env, &job, job.checkpoint_dir));
}

/* Optimised roots -> physical plan, which takes over the arena and the references to tables. */
static sabot_status build_physical(const struct statement_context *context, struct planning *planning,
                                   struct plan *const *roots, const char *const *prefixes, int32_t n,
                                   struct physical_plan **out, struct sabot_error *err) {
    struct physical_options options = {0};
    struct binder *kept = malloc(sizeof *kept);
    if (!kept) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a plan"); }
    *kept = planning->binder;
    planning->binder.used = NULL;
    planning->binder.n_used = planning->binder.used_capacity = 0;
    physical_options_of(context->settings, &options);
    options.keeps_exchanges = keeps_exchanges(context);
    options.release = release_binder;
    options.owner = kept;
    return physical_build(&planning->plans, roots, prefixes, n, &options, out, err);
}

static sabot_status check_mode(const struct statement_context *context, const struct plan *root,
                               struct sabot_error *err) {
    if (root->bounded || !settings_is(context->settings, SETTING_runtime_mode, "batch")) { return SABOT_OK; }
    return SABOT_FAIL(
        err, SABOT_ERR_PLAN,
        "'execution.runtime-mode' = 'batch' needs sources that end, and one of this statement's does not");
}

/* The query's rows go to the reader of its result. */
static sabot_status collect_sink(struct planning *planning, const struct statement_context *context, struct plan *input,
                                 struct plan **out, struct sabot_error *err) {
    const int32_t n = input->schema->n_fields;
    struct arena *arena = &planning->plans.arena;
    struct plan_table *table = ARENA_NEW(arena, struct plan_table);
    struct table_column *columns = arena_alloc(arena, (size_t)(n + 1) * sizeof *columns);
    int32_t *picked = arena_alloc(arena, (size_t)(n + 1) * sizeof *picked);
    if (!table || !columns || !picked) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        columns[i] =
            (struct table_column){.name = input->schema->fields[i].name, .type = input->schema->fields[i].type};
        picked[i] = i;
    }
    *table = (struct plan_table){
        .name = "result", .full_name = "result", .connector = connector_find("collect"), .columns = columns,
        .n_columns = n, .rowtime = -1, .memory = context->collect ? context->collect : "",
    };
    if (!table->connector) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "there is no connector 'collect'"); }
    return plan_sink(&planning->plans, input, table, picked, false, out, err);
}

/* A statement's logical plan as bound: a SINK. */
static sabot_status bind_root(struct planning *planning, const struct statement_context *context,
                              const struct sql_statement *statement, struct plan **out, struct sabot_error *err) {
    if (statement->kind == SQL_STATEMENT_INSERT) {
        return bind_insert(&planning->binder, &statement->insert, out, err);
    }
    struct plan *query = NULL;
    SABOT_TRY(bind_query(&planning->binder, statement->query, &query, err));
    return collect_sink(planning, context, query, out, err);
}

static const char *prefix_of(struct planning *planning, const struct plan *root, const char *const *earlier,
                             int32_t n) {
    const char *name = root->sink.table->name;
    int32_t same = 1;
    const char *prefix = arena_format(&planning->plans.arena, "%s", name);
    for (int32_t i = 0; i < n && prefix; i++) {
        if (strcmp(earlier[i], prefix) == 0) {
            prefix = arena_format(&planning->plans.arena, "%s-%d", name, ++same);
            i = -1; /* the new name must differ from all of them */
        }
    }
    return prefix;
}

/* Optimised roots -> physical plan. */
static sabot_status finish_optimized(const struct statement_context *context, struct planning *planning,
                                     struct plan **roots, int32_t n, struct statement_result *result,
                                     struct sabot_error *err) {
    const char **prefixes = arena_alloc(&planning->plans.arena, (size_t)(n + 1) * sizeof *prefixes);
    if (!prefixes) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(check_mode(context, roots[i], err));
        prefixes[i] = prefix_of(planning, roots[i], prefixes, i);
        if (!prefixes[i]) { return PLAN_NO_MEMORY(err); }
    }
    SABOT_TRY(build_physical(context, planning, roots, prefixes, n, &result->plan, err));
    result->bounded = physical_is_bounded(result->plan);
    return SABOT_OK;
}

static sabot_status finish_plans(const struct statement_context *context, struct planning *planning,
                                 struct plan **roots, int32_t n, struct statement_result *result,
                                 struct sabot_error *err) {
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(plan_optimize(&planning->plans, roots[i], &roots[i], err));
    }
    return finish_optimized(context, planning, roots, n, result, err);
}

static sabot_status execute_query(const struct statement_context *context, const struct sql_statement *statement,
                                  struct planning *planning, struct statement_result *result,
                                  struct sabot_error *err) {
    struct plan *root = NULL;
    SABOT_TRY(bind_root(planning, context, statement, &root, err));
    SABOT_TRY(schema_new(root->schema->fields, root->schema->n_fields, &result->schema, err));
    SABOT_TRY(finish_plans(context, planning, &root, 1, result, err));
    result->updating = root->changes.updating;
    if (root->changes.updating && root->changes.n_key > 0) {
        result->upsert_key = root->changes.key;
        result->n_upsert_key = root->changes.n_key;
    }
    result->outcome = STATEMENT_QUERY;
    return SABOT_OK;
}

static sabot_status execute_inserts(const struct statement_context *context,
                                    struct sql_statement *const *statements, int32_t n,
                                    struct planning *planning, struct statement_result *result,
                                    struct sabot_error *err) {
    struct plan **roots = arena_alloc(&planning->plans.arena, (size_t)(n + 1) * sizeof *roots);
    if (!roots) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        if (statements[i]->kind != SQL_STATEMENT_INSERT) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, statements[i]->span, "a statement set holds INSERT statements only");
        }
        SABOT_TRY(bind_root(planning, context, statements[i], &roots[i], err));
    }
    SABOT_TRY(finish_plans(context, planning, roots, n, result, err));
    result->outcome = STATEMENT_JOB;
    return SABOT_OK;
}

/* ---- EXPLAIN
 * --------------------------------------------------------------------------------------------------------- */

static sabot_status explain_into(const struct statement_context *context, struct sql_statement *const *statements,
                                 int32_t n, unsigned details, struct planning *planning, struct text *target,
                                 struct sabot_error *err) {
    struct plan **roots = arena_alloc(&planning->plans.arena, (size_t)(n + 1) * sizeof *roots);
    struct statement_result result = {0};
    if (!roots) { return PLAN_NO_MEMORY(err); }
    text_add(target, "== Abstract Syntax Tree ==\n");
    for (int32_t i = 0; i < n; i++) {
        const bool known =
            statements[i]->kind == SQL_STATEMENT_QUERY || statements[i]->kind == SQL_STATEMENT_INSERT;
        if (!known) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, statements[i]->span,
                            "EXPLAIN takes a query, an INSERT or a statement set");
        }
        SABOT_TRY(bind_root(planning, context, statements[i], &roots[i], err));
        explain_tree(roots[i], EXPLAIN_LOGICAL, target);
    }
    text_add(target, "\n== Optimized Physical Plan ==\n");
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(plan_optimize(&planning->plans, roots[i], &roots[i], err));
        explain_tree(roots[i], details & SQL_EXPLAIN_CHANGELOG_MODE ? EXPLAIN_CHANGELOG : EXPLAIN_PHYSICAL, target);
    }
    text_add(target, "\n== Optimized Execution Plan ==\n");
    struct sabot_error reason = {0};
    const sabot_status status = finish_optimized(context, planning, roots, n, &result, &reason);
    if (status == SABOT_OK) {
        physical_print(result.plan, target);
    } else if (status == SABOT_ERR_UNSUPPORTED) {
        text_format(target, "none: %s\n", reason.message);
    } else if (err) {
        *err = reason;
    }
    statement_result_clear(&result);
    return status == SABOT_ERR_UNSUPPORTED ? SABOT_OK : status;
}

static sabot_status execute_explain(const struct statement_context *context, const struct sql_statement *statement,
                                    struct planning *planning, struct statement_result *result,
                                    struct sabot_error *err) {
    struct sql_statement *explained = statement->explain.statement;
    struct text text = {0};
    const bool is_set = explained->kind == SQL_STATEMENT_SET_OF_STATEMENTS;
    sabot_status status = explain_into(context, is_set ? explained->statements.items : &explained,
                                       is_set ? (int32_t)explained->statements.count : 1, statement->explain.details,
                                       planning, &text, err);
    if (status == SABOT_OK) {
        status = statement_text_rows(context->pool, "result", text_string(&text), &result->rows, err);
        result->outcome = STATEMENT_ROWS;
    }
    text_clear(&text);
    return status;
}

/* ---- CREATE, DROP
 * ----------------------------------------------------------------------------------------------------- */

static bool exists(const struct statement_context *context, const struct sql_path *path, bool temporary) {
    const char *name = path->items[path->count - 1].text;
    for (size_t i = 0; i < context->catalog->n_objects; i++) {
        const struct catalog_object *object = context->catalog->objects[i];
        if (object->temporary == temporary && strcmp(object->name, name) == 0) { return true; }
    }
    return false;
}

static sabot_status create_table(const struct statement_context *context, const struct sql_statement *statement,
                                 struct planning *planning, struct statement_result *result, struct sabot_error *err) {
    const struct sql_create_table *create = &statement->create_table;
    const struct sql_span place = create->name.items[create->name.count - 1].span;
    struct catalog_object *object = NULL;
    struct plan *as = NULL;
    if (create->if_not_exists && exists(context, &create->name, create->temporary)) { return SABOT_OK; }
    if (create->as) {
        SABOT_TRY(bind_query(&planning->binder, create->as, &as, err));
        SABOT_TRY(bind_unique_names(&planning->binder, as, &as, err));
    }
    SABOT_TRY(bind_create_table(&planning->binder, create, context->text, as, &object, err));
    if (!as) { return catalog_add(context->catalog, object, create->or_replace, place, err); }
    struct plan *root = NULL;
    sabot_status status = binder_use(&planning->binder, object, err);
    if (status == SABOT_OK) { status = bind_sink(&planning->binder, as, object, NULL, create->as->span, &root, err); }
    if (status == SABOT_OK) { status = finish_plans(context, planning, &root, 1, result, err); }
    if (status != SABOT_OK) {
        catalog_object_unref(object);
        return status;
    }
    result->outcome = STATEMENT_JOB;
    return catalog_add(context->catalog, object, create->or_replace, place, err);
}

static sabot_status create_view(const struct statement_context *context, const struct sql_statement *statement,
                                struct planning *planning, struct sabot_error *err) {
    const struct sql_create_view *create = &statement->create_view;
    struct catalog_object *object = NULL;
    if (create->if_not_exists && exists(context, &create->name, create->temporary)) { return SABOT_OK; }
    SABOT_TRY(bind_create_view(&planning->binder, create, context->text, &object, err));
    return catalog_add(context->catalog, object, create->or_replace, create->name.items[create->name.count - 1].span,
                       err);
}

/* Scripts name Java classes. These are built in here under another name; no other class is guessed at. */
static const struct function *function_of_class(const char *class_name) {
    static const struct {
        const char *class_name, *function;
    } known[] = {
        {"com.github.nexmark.flink.udf.CountChar", "COUNT_CHAR"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].class_name, class_name) == 0) { return function_find(known[i].function); }
    }
    return NULL;
}

/* CREATE FUNCTION f AS 'symbol' LANGUAGE C USING FILE 'library.so'. */
static sabot_status create_process_function(const struct statement_context *context,
                                            const struct sql_create_function *create, const struct sql_name *name,
                                            struct sabot_error *err) {
    struct process_function *function = NULL;
    struct sabot_error inner = {0};
    if (create->resources.count != 1 || strcmp(create->resources.items[0].kind, "FILE") != 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, create->class_span,
                        "a function in C is a symbol of one shared library: AS 'symbol' LANGUAGE C USING FILE 'f.so'");
    }
    const struct sql_resource *file = &create->resources.items[0];
    if (process_function_load(file->path, create->class_name, name->text, &function, &inner) != SABOT_OK) {
        return SQL_FAIL(err, inner.status, file->span, "%s", inner.message);
    }
    return catalog_process_add(context->catalog, name->text, function, create->class_name, create->temporary, err);
}

static sabot_status create_function(const struct statement_context *context, const struct sql_statement *statement,
                                    struct sabot_error *err) {
    const struct sql_create_function *create = &statement->create_function;
    const struct sql_name *name = &create->name.items[create->name.count - 1];
    if (catalog_function_find(context->catalog, name->text)) {
        if (create->if_not_exists) { return SABOT_OK; }
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "a function \"%s\" exists already", name->text);
    }
    if (create->language == SQL_LANGUAGE_C) { return create_process_function(context, create, name, err); }
    const struct function *function = function_of_class(create->class_name);
    if (!function) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, create->class_span,
                        "class '%s' can't be run here: Sabot has no Java; register \"%s\" through the C or Python API "
                        "instead", create->class_name, name->text);
    }
    return catalog_function_add(context->catalog, name->text, function, create->class_name, create->temporary, err);
}

static sabot_status drop(const struct statement_context *context, const struct sql_statement *statement,
                         struct sabot_error *err) {
    const struct sql_drop *dropped = &statement->drop;
    const struct sql_name *name = NULL;
    if (dropped->object != SQL_OBJECT_TABLE && dropped->object != SQL_OBJECT_VIEW &&
        dropped->object != SQL_OBJECT_FUNCTION) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, statement->span,
                        "there is one catalog and one database, and they can't be dropped");
    }
    SABOT_TRY(catalog_resolve(&dropped->name, &name, err));
    if (dropped->object == SQL_OBJECT_FUNCTION) {
        if (catalog_function_remove(context->catalog, name->text) || dropped->if_exists) { return SABOT_OK; }
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there is no function \"%s\" that was created or registered",
                        name->text);
    }
    const bool view = dropped->object == SQL_OBJECT_VIEW;
    const enum catalog_kind kind = view ? CATALOG_VIEW : CATALOG_TABLE;
    if (!dropped->temporary && catalog_remove(context->catalog, name->text, kind, false)) { return SABOT_OK; }
    if (catalog_remove(context->catalog, name->text, kind, true)) { return SABOT_OK; }
    const struct catalog_object *other = catalog_find(context->catalog, name->text);
    if (other && other->kind != kind) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "\"%s\" is a %s: write DROP %s", name->text,
                        view ? "table" : "view", view ? "TABLE" : "VIEW");
    }
    if (dropped->if_exists) { return SABOT_OK; }
    struct catalog_object *missing = NULL;
    SABOT_TRY(catalog_get(context->catalog, &dropped->name, &missing, err)); /* for its message */
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there is no temporary %s \"%s\"", view ? "view" : "table",
                    name->text);
}

static sabot_status use(const struct sql_statement *statement, struct sabot_error *err) {
    const bool catalog = statement->kind == SQL_STATEMENT_USE_CATALOG;
    const struct sql_name *name = &statement->name.items[statement->name.count - 1];
    const char *only = catalog ? CATALOG_NAME : DATABASE_NAME;
    if (strcmp(name->text, only) == 0) { return SABOT_OK; }
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there is no %s \"%s\"; the only one is \"%s\"",
                    catalog ? "catalog" : "database", name->text, only);
}

static sabot_status set_or_reset(const struct statement_context *context, const struct sql_statement *statement,
                                 struct statement_result *result, struct sabot_error *err) {
    const struct sql_options *options = &statement->set;
    if (statement->kind == SQL_STATEMENT_SET && options->count == 0) {
        SABOT_TRY(settings_show(context, &result->rows, err));
        result->outcome = STATEMENT_ROWS;
        return SABOT_OK;
    }
    if (options->count == 0) { settings_clear(context->settings); }
    for (unsigned i = 0; i < options->count; i++) {
        const struct sql_option *option = &options->items[i];
        if (statement->kind == SQL_STATEMENT_RESET) {
            SABOT_TRY(settings_reset(context->settings, option->key, option->key_span, err));
        } else {
            SABOT_TRY(settings_set(context->settings, option->key, option->value, option->key_span, option->value_span,
                                   err));
        }
    }
    return SABOT_OK;
}

static sabot_status execute(const struct statement_context *context, const struct sql_statement *statement,
                            struct planning *planning, struct statement_result *result, struct sabot_error *err) {
    struct sql_statement *self = (struct sql_statement *)(uintptr_t)statement;
    switch (statement->kind) {
    case SQL_STATEMENT_QUERY: return execute_query(context, statement, planning, result, err);
    case SQL_STATEMENT_INSERT: return execute_inserts(context, &self, 1, planning, result, err);
    case SQL_STATEMENT_SET_OF_STATEMENTS:
        return execute_inserts(context, statement->statements.items, (int32_t)statement->statements.count, planning,
                               result, err);
    case SQL_STATEMENT_CREATE_TABLE: return create_table(context, statement, planning, result, err);
    case SQL_STATEMENT_CREATE_VIEW: return create_view(context, statement, planning, err);
    case SQL_STATEMENT_CREATE_FUNCTION: return create_function(context, statement, err);
    case SQL_STATEMENT_CREATE_CATALOG:
    case SQL_STATEMENT_CREATE_DATABASE:
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, statement->span,
                        "there is one catalog and one database, " CATALOG_NAME "." DATABASE_NAME);
    case SQL_STATEMENT_DROP: return drop(context, statement, err);
    case SQL_STATEMENT_ALTER:
    case SQL_STATEMENT_ALTER_FUNCTION:
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, statement->span, "ALTER can't run yet; DROP and CREATE again, or "
                        "CREATE OR REPLACE");
    case SQL_STATEMENT_USE_CATALOG:
    case SQL_STATEMENT_USE_DATABASE: return use(statement, err);
    case SQL_STATEMENT_SHOW:
        result->outcome = STATEMENT_ROWS;
        return show_execute(context, &statement->show, &result->rows, err);
    case SQL_STATEMENT_DESCRIBE:
        result->outcome = STATEMENT_ROWS;
        return describe_execute(context, &statement->describe, statement->span, &result->rows, err);
    case SQL_STATEMENT_SET:
    case SQL_STATEMENT_RESET: return set_or_reset(context, statement, result, err);
    case SQL_STATEMENT_EXPLAIN: return execute_explain(context, statement, planning, result, err);
    case SQL_STATEMENT_EXPLAIN_STALL: result->outcome = STATEMENT_STALL; return SABOT_OK;
    case SQL_STATEMENT_STOP_JOB:
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, statement->span, "STOP JOB can't run yet");
    case SQL_STATEMENT_ADD_JAR:
    case SQL_STATEMENT_REMOVE_JAR:
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, statement->span, "JAR files can't be used: there is no Java here");
    }
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a statement of kind %d is not known", (int)statement->kind);
}

sabot_status statement_execute(const struct statement_context *context, const struct sql_statement *statement,
                               struct statement_result *result, struct sabot_error *err) {
    struct planning planning;
    *result = (struct statement_result){.outcome = STATEMENT_DONE};
    planning_init(&planning, context);
    const sabot_status status = execute(context, statement, &planning, result, err);
    planning_clear(&planning);
    if (status != SABOT_OK) { statement_result_clear(result); }
    return status;
}

sabot_status statement_explain(const struct statement_context *context, struct sql_statement *statement,
                               struct statement_result *result, struct sabot_error *err) {
    if (statement->kind != SQL_STATEMENT_QUERY && statement->kind != SQL_STATEMENT_INSERT &&
        statement->kind != SQL_STATEMENT_SET_OF_STATEMENTS) {
        return statement_execute(context, statement, result, err);
    }
    struct sql_statement explain = {.kind = SQL_STATEMENT_EXPLAIN, .span = statement->span};
    explain.explain.statement = statement;
    return statement_execute(context, &explain, result, err);
}
