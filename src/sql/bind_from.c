/* FROM: tables, views, subqueries, window functions, joins. */
#include "sql/bind_internal.h"

#include "base/nearest.h"
#include "sql/parse.h"

#include <stdlib.h>
#include <strings.h>

void binder_clear(struct binder *binder) {
    for (int32_t i = 0; i < binder->n_used; i++) {
        catalog_object_unref(binder->used[i]);
    }
    free(binder->used);
    binder->used = NULL;
    binder->n_used = binder->used_capacity = 0;
}

sabot_status binder_use(struct binder *binder, struct catalog_object *object, struct sabot_error *err) {
    for (int32_t i = 0; i < binder->n_used; i++) {
        if (binder->used[i] == object) { return SABOT_OK; }
    }
    if (binder->n_used == binder->used_capacity) {
        const int32_t capacity = binder->used_capacity ? binder->used_capacity * 2 : 8;
        struct catalog_object **grown = realloc(binder->used, (size_t)capacity * sizeof *grown);
        if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the tables of a query"); }
        binder->used = grown;
        binder->used_capacity = capacity;
    }
    binder->used[binder->n_used++] = catalog_object_ref(object);
    return SABOT_OK;
}

/* One name for all columns of a plan. */
static sabot_status scope_of(struct binder *binder, struct plan *plan, const char *name, struct scope *out,
                             struct sabot_error *err) {
    out->plan = plan;
    out->n_tables = 1;
    out->tables = ARENA_NEW(&binder->plans->arena, struct scope_table);
    if (!out->tables) { return PLAN_NO_MEMORY(err); }
    out->tables[0] = (struct scope_table){.first = 0, .count = plan->schema->n_fields};
    if (name) {
        out->tables[0].name = arena_copy(&binder->plans->arena, name, strlen(name));
        if (!out->tables[0].name) { return PLAN_NO_MEMORY(err); }
    }
    return SABOT_OK;
}

/* AS t (a, b): the same columns under other names. */
static sabot_status rename_columns(struct binder *binder, struct plan *plan, const struct sql_path *names,
                                   struct plan **out, struct sabot_error *err) {
    const int32_t n = plan->schema->n_fields;
    if (names->count == 0) {
        *out = plan;
        return SABOT_OK;
    }
    if (names->count != (unsigned)n) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, names->items[0].span, "%u column names are given for %d columns",
                        names->count, n);
    }
    struct arena *arena = &binder->plans->arena;
    struct expr **exprs = arena_alloc(arena, (size_t)n * sizeof *exprs);
    const char **texts = arena_alloc(arena, (size_t)n * sizeof *texts);
    if (!exprs || !texts) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(plan_column_ref(binder->plans, plan, i, span_of(names->items[i].span), &exprs[i], err));
        texts[i] = arena_copy(arena, names->items[i].text, strlen(names->items[i].text));
        if (!texts[i]) { return PLAN_NO_MEMORY(err); }
    }
    return plan_project(binder->plans, plan, exprs, texts, n, out, err);
}

static bool has_name(const char *const *names, int32_t n, const char *name) {
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) { return true; }
    }
    return false;
}

sabot_status bind_unique_names(struct binder *binder, struct plan *plan, struct plan **out, struct sabot_error *err) {
    struct arena *arena = &binder->plans->arena;
    const int32_t n = plan->schema->n_fields;
    const char **names = arena_alloc(arena, (size_t)(n + 1) * sizeof *names);
    struct expr **exprs = arena_alloc(arena, (size_t)(n + 1) * sizeof *exprs);
    bool renames = false;
    if (!names || !exprs) { return PLAN_NO_MEMORY(err); }
    *out = plan;
    for (int32_t i = 0; i < n; i++) { names[i] = plan->schema->fields[i].name; }
    for (int32_t i = 0; i < n; i++) {
        const char *name = names[i];
        for (int32_t number = 0; has_name(names, i, names[i]); number++) {
            const char *numbered = arena_format(arena, "%s%d", name, number);
            if (!numbered) { return PLAN_NO_MEMORY(err); }
            renames = true;
            /* neither a name before it nor one that is written behind it */
            if (!has_name(names, n, numbered)) { names[i] = numbered; }
        }
        SABOT_TRY(plan_column_ref(binder->plans, plan, i, plan->span, &exprs[i], err));
    }
    return renames ? plan_project(binder->plans, plan, exprs, names, n, out, err) : SABOT_OK;
}

/* ---- tables and views -------------------------------------------------------------------------------------------- */

static sabot_status bind_view_text(struct binder *binder, const struct catalog_object *view, struct plan **out,
                                   struct sabot_error *err) {
    struct sql_script *script = NULL;
    const struct cte_frame *outer = binder->ctes;
    SABOT_TRY(sql_parse(view->query, strlen(view->query), &script, err));
    binder->ctes = NULL;
    binder->view_depth++;
    sabot_status status = SABOT_OK;
    if (script->statements.count != 1 || script->statements.items[0]->kind != SQL_STATEMENT_QUERY) {
        status = SABOT_FAIL(err, SABOT_ERR_INTERNAL, "the text of the view is no query");
    } else {
        status = bind_query(binder, script->statements.items[0]->query, out, err);
    }
    binder->view_depth--;
    binder->ctes = outer;
    sql_script_free(script);
    return status;
}

static sabot_status bind_view(struct binder *binder, const struct catalog_object *view, struct sql_span span,
                              struct plan **out, struct sabot_error *err) {
    if (binder->view_depth >= VIEW_DEPTH_MAX) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "view \"%s\" stands on more than %d other views, or on itself",
                        view->name, VIEW_DEPTH_MAX);
    }
    struct sabot_error inner = {0};
    struct plan *plan = NULL;
    if (bind_view_text(binder, view, &plan, &inner) != SABOT_OK) {
        /* The place in the view's own text means nothing to the reader of this statement. */
        if (binder->view_depth > 0) { return SQL_FAIL(err, inner.status, span, "%s", inner.message); }
        return SQL_FAIL(err, inner.status, span, "in view \"%s\": %s", view->name, inner.message);
    }
    if (view->n_view_columns > 0) {
        struct arena *arena = &binder->plans->arena;
        struct expr **exprs = arena_alloc(arena, (size_t)view->n_view_columns * sizeof *exprs);
        if (!exprs) { return PLAN_NO_MEMORY(err); }
        if (view->n_view_columns != plan->schema->n_fields) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, span, "view \"%s\" names %d columns, its query has %d now", view->name,
                            view->n_view_columns, plan->schema->n_fields);
        }
        for (int32_t i = 0; i < view->n_view_columns; i++) {
            SABOT_TRY(plan_column_ref(binder->plans, plan, i, span_of(span), &exprs[i], err));
        }
        return plan_project(binder->plans, plan, exprs, view->view_columns, view->n_view_columns, out, err);
    }
    *out = plan;
    return SABOT_OK;
}

/* A copy of the table with the options of a hint in place of its own. */
static sabot_status with_options(struct binder *binder, const struct plan_table *table, const struct sql_options *given,
                                 const struct plan_table **out, struct sabot_error *err) {
    struct arena *arena = &binder->plans->arena;
    struct plan_table *copy = ARENA_NEW(arena, struct plan_table);
    struct table_option *options =
        arena_alloc(arena, ((size_t)table->n_options + given->count) * sizeof *options);
    if (!copy || !options) { return PLAN_NO_MEMORY(err); }
    *copy = *table;
    memcpy(options, table->options, (size_t)table->n_options * sizeof *options);
    copy->options = options;
    for (unsigned i = 0; i < given->count; i++) {
        const struct sql_option *option = &given->items[i];
        int32_t at = 0;
        while (at < copy->n_options && strcmp(options[at].key, option->key) != 0) {
            at++;
        }
        if (strcmp(option->key, "connector") == 0) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, option->key_span, "a hint can't change the connector");
        }
        options[at].key = arena_copy(arena, option->key, strlen(option->key));
        options[at].value = arena_copy(arena, option->value, strlen(option->value));
        options[at].line = option->value_span.line;
        options[at].column = option->value_span.column;
        if (!options[at].key || !options[at].value) { return PLAN_NO_MEMORY(err); }
        if (at == copy->n_options) { copy->n_options++; }
    }
    *out = copy;
    return SABOT_OK;
}

static sabot_status apply_hints(struct binder *binder, const struct sql_hints *hints, const struct plan_table **table,
                                struct sabot_error *err) {
    for (unsigned i = 0; i < hints->count; i++) {
        if (strcasecmp(hints->items[i].name.text, "OPTIONS") == 0) {
            SABOT_TRY(with_options(binder, *table, &hints->items[i].options, table, err));
        }
    }
    return SABOT_OK;
}

static sabot_status bind_name(struct binder *binder, const struct sql_table *table, struct plan **out,
                              struct sabot_error *err) {
    for (const struct cte_frame *frame = binder->ctes; table->name.count == 1 && frame; frame = frame->outer) {
        if (strcmp(frame->cte->name.text, table->name.items[0].text) == 0) {
            *out = frame->plan;
            return SABOT_OK;
        }
    }
    struct catalog_object *object = NULL;
    SABOT_TRY(catalog_get(binder->catalog, &table->name, &object, err));
    if (object->kind == CATALOG_VIEW) { return bind_view(binder, object, table->span, out, err); }
    SABOT_TRY(binder_use(binder, object, err));
    const struct plan_table *described = &object->table;
    SABOT_TRY(apply_hints(binder, &table->hints, &described, err));
    SABOT_TRY(table_check(described, true, false, table->span, err));
    int32_t *picked = arena_alloc(&binder->plans->arena, (size_t)(described->n_columns + 1) * sizeof *picked);
    if (!picked) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < described->n_columns; i++) {
        picked[i] = i;
    }
    return plan_scan(binder->plans, described, picked, described->n_columns, span_of(table->span), out, err);
}

/* ---- window functions -------------------------------------------------------------------------------------------- */

bool window_kind_of(const char *name, enum window_kind *kind) {
    static const struct {
        const char *name;
        enum window_kind kind;
    } known[] = {
        {"TUMBLE", WINDOW_TUMBLE},
        {"HOP", WINDOW_HOP},
        {"CUMULATE", WINDOW_CUMULATE},
        {"SESSION", WINDOW_SESSION},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(known[i].name, name) == 0) {
            *kind = known[i].kind;
            return true;
        }
    }
    return false;
}

static const char *call_name(const struct sql_expr *call) {
    return call->call.name.items[call->call.name.count - 1].text;
}

sabot_status bind_time_column(struct binder *binder, const struct plan *input, const struct sql_expr *call,
                              const struct sql_name *name, int32_t *out, struct sabot_error *err) {
    const struct schema *schema = input->schema;
    struct nearest nearest = {.wanted = name->text};
    int32_t at = -1;
    for (int32_t i = 0; i < schema->n_fields; i++) {
        if (strcmp(schema->fields[i].name, name->text) == 0) { at = i; }
        nearest_offer(&nearest, schema->fields[i].name);
    }
    char hint[128], type[160];
    if (at < 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "the input of %s has no column \"%s\"%s", call_name(call),
                        name->text, nearest_hint(&nearest, hint, sizeof hint));
    }
    const struct type column = schema->fields[at].type;
    type_print(column, type, sizeof type);
    if (column.kind != TYPE_TIMESTAMP && column.kind != TYPE_TIMESTAMP_LTZ) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "%s needs a time attribute, but \"%s\" is %s", call_name(call),
                        name->text, type);
    }
    const bool batch = settings_is(binder->settings, SETTING_runtime_mode, "batch");
    if (input->columns[at].time == TIME_NONE && !(batch && input->bounded)) {
        return SQL_FAIL(
            err, SABOT_ERR_PLAN, name->span,
            "%s needs a time attribute, but \"%s\" is an ordinary %s: declare WATERMARK FOR it on the source "
            "table and pass the column on unchanged (no computation, no CAST)",
            call_name(call), name->text, type);
    }
    *out = at;
    return SABOT_OK;
}

/* With a session zone other than UTC, windows over TIMESTAMP_LTZ begin at local times. */
static sabot_status check_zone(struct binder *binder, const struct plan *input, const struct sql_expr *call,
                               const struct window_spec *spec, struct sabot_error *err) {
    const char *zone = settings_text(binder->settings, SETTING_time_zone);
    const bool utc = strcasecmp(zone, "UTC") == 0 || strcasecmp(zone, "Etc/UTC") == 0 || strcasecmp(zone, "GMT") == 0;
    if (utc || input->schema->fields[spec->time_column].type.kind != TYPE_TIMESTAMP_LTZ) { return SABOT_OK; }
    return SQL_FAIL(
        err, SABOT_ERR_UNSUPPORTED, call->span,
        "windows over TIMESTAMP_LTZ can run in time zone UTC only, not in %s; SET 'table.local-time-zone' = "
        "'UTC', or use a TIMESTAMP column",
        zone);
}

sabot_status bind_window_call(struct binder *binder, const struct plan *input, const struct sql_expr *call,
                              const struct sql_name *column, const struct sql_expr *const *intervals,
                              int32_t n_intervals, struct window_spec *out, struct sabot_error *err) {
    static const char *const size_names[] = {"the window size", "the window size", "the longest window", "the gap"};
    enum window_kind kind = 0;
    struct window_spec spec;
    memset(&spec, 0, sizeof spec); /* compared with memcmp */
    (void)window_kind_of(call_name(call), &kind);
    const int32_t needed = kind == WINDOW_TUMBLE || kind == WINDOW_SESSION ? 1 : 2;
    if (kind == WINDOW_SESSION && n_intervals != 1) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "SESSION takes one interval (the gap)");
    }
    if (n_intervals < needed || n_intervals > needed + 1) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "%s takes %s and an optional offset", call_name(call),
                        kind == WINDOW_TUMBLE ? "one interval (the size)"
                        : kind == WINDOW_HOP  ? "two intervals (slide, size)"
                                              : "two intervals (step, maximum size)");
    }
    spec.kind = kind;
    SABOT_TRY(bind_time_column(binder, input, call, column, &spec.time_column, err));
    if (needed == 2) {
        SABOT_TRY(
            bind_interval_ms(binder, intervals[0], kind == WINDOW_HOP ? "the slide" : "the step", &spec.slide_ms, err));
    }
    SABOT_TRY(bind_interval_ms(binder, intervals[needed - 1], size_names[kind], &spec.size_ms, err));
    if (needed == 1) { spec.slide_ms = spec.size_ms; }
    if (n_intervals > needed) {
        SABOT_TRY(bind_interval_ms(binder, intervals[needed], "the offset", &spec.offset_ms, err));
    }
    if (spec.size_ms <= 0 || spec.slide_ms <= 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "the intervals of %s must be greater than zero",
                        call_name(call));
    }
    if (kind == WINDOW_CUMULATE && spec.size_ms % spec.slide_ms != 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span,
                        "CUMULATE's maximum size must be a whole number of steps");
    }
    if (kind == WINDOW_HOP && spec.size_ms / spec.slide_ms > 100000) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "HOP would put each row into more than 100000 windows");
    }
    SABOT_TRY(check_zone(binder, input, call, &spec, err));
    *out = spec;
    return SABOT_OK;
}

/* A window over processing time is one over event time behind the operator that makes the clock a rowtime. */
sabot_status bind_arrival(struct binder *binder, int32_t time_column, struct source_span span, struct plan **input,
                          struct sabot_error *err) {
    if ((*input)->columns[time_column].time != TIME_PROCTIME) { return SABOT_OK; }
    return plan_arrival(binder->plans, *input, time_column, span, input, err);
}

/* The arguments of a window function, by position or by name. */
struct window_args {
    const struct sql_expr *data, *time;
    const struct sql_expr *intervals[3];
    int32_t n_intervals;
};

static sabot_status window_args_of(const struct sql_expr *call, struct window_args *out, struct sabot_error *err) {
    static const char *const names[4][6] = {
        {"DATA", "TIMECOL", "SIZE", "OFFSET"},
        {"DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"},
        {"DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"},
        {"DATA", "TIMECOL", "GAP"},
    };
    const struct sql_exprs *args = &call->call.args;
    const struct sql_expr *found[5] = {NULL};
    enum window_kind kind = 0;
    (void)window_kind_of(call_name(call), &kind);
    for (unsigned i = 0; i < args->count; i++) {
        const struct sql_expr *arg = args->items[i];
        unsigned at = i;
        if (arg->kind == SQL_EXPR_NAMED_ARG) {
            for (at = 0; names[kind][at] && strcasecmp(names[kind][at], arg->named.name.text) != 0; at++) {}
            if (!names[kind][at]) {
                return SQL_FAIL(err, SABOT_ERR_PLAN, arg->span, "%s has no argument \"%s\"", call_name(call),
                                arg->named.name.text);
            }
            arg = arg->named.value;
        }
        if (at >= 5) { return SQL_FAIL(err, SABOT_ERR_PLAN, arg->span, "too many arguments for %s", call_name(call)); }
        if (found[at]) { return SQL_FAIL(err, SABOT_ERR_PLAN, arg->span, "this argument is given twice"); }
        found[at] = arg;
    }
    if (!found[0] || !found[1] || !found[2]) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span,
                        "%s takes a table, a time column and intervals: TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' "
                        "SECOND)", call_name(call));
    }
    out->data = found[0];
    out->time = found[1];
    out->n_intervals = 0;
    for (int i = 2; i < 5 && found[i]; i++) {
        out->intervals[out->n_intervals++] = found[i];
    }
    return SABOT_OK;
}

/* PARTITION BY of a session's table: columns by their names. */
static sabot_status bind_partition(struct binder *binder, const struct sql_exprs *written, const struct scope *scope,
                                   struct plan_partition *out, struct sabot_error *err) {
    int32_t *columns = arena_alloc(&binder->plans->arena, ((size_t)written->count + 1) * sizeof *columns);
    const struct expr_scope in = {.binder = binder, .scope = scope, .clause = "PARTITION BY"};
    if (!columns) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < written->count; i++) {
        struct expr *expr = NULL;
        SABOT_TRY(bind_expr(&in, written->items[i], &expr, err));
        if (!expr_is_column(expr)) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, written->items[i]->span,
                            "PARTITION BY of a session takes columns; compute it in a subquery");
        }
        columns[i] = expr->index;
    }
    *out = (struct plan_partition){.columns = columns, .n = (int32_t)written->count};
    return SABOT_OK;
}

static sabot_status bind_window_data(struct binder *binder, const struct sql_expr *data, enum window_kind kind,
                                     struct plan_partition *partition, struct plan **out, struct sabot_error *err) {
    struct scope scope = {0};
    if (data->kind == SQL_EXPR_TABLE_ARG) {
        const bool partitions = data->table_arg.partition_by.count > 0;
        if ((partitions && kind != WINDOW_SESSION) || data->table_arg.order_by.count) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, data->span,
                            "the table of a window function takes PARTITION BY for SESSION only, and no ORDER BY");
        }
        SABOT_TRY(bind_table(binder, data->table_arg.table, &scope, err));
        if (partitions) { SABOT_TRY(bind_partition(binder, &data->table_arg.partition_by, &scope, partition, err)); }
    } else if (data->kind == SQL_EXPR_COLUMN) {
        const struct sql_table table = {.kind = SQL_TABLE_NAME, .span = data->span, .name = data->path};
        SABOT_TRY(bind_table(binder, &table, &scope, err));
    } else if (data->kind == SQL_EXPR_SUBQUERY) {
        return bind_query(binder, data->query, out, err);
    } else {
        return SQL_FAIL(err, SABOT_ERR_PLAN, data->span, "a window function's first argument is TABLE t or (query)");
    }
    *out = scope.plan;
    return SABOT_OK;
}

static sabot_status unknown_function(struct binder *binder, const struct sql_expr *call, struct sabot_error *err) {
    struct nearest nearest = {.wanted = call_name(call)};
    char hint[128];
    for (size_t i = 0; i < binder->catalog->n_functions; i++) {
        if (binder->catalog->functions[i].process) { nearest_offer(&nearest, binder->catalog->functions[i].name); }
    }
    return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, call->span,
                    "table function %s can't run yet; TUMBLE, HOP, CUMULATE and SESSION can, and process functions "
                    "that were created or registered%s", call_name(call), nearest_hint(&nearest, hint, sizeof hint));
}

static sabot_status bind_function_table(struct binder *binder, const struct sql_table *table, struct plan **out,
                                        struct sabot_error *err) {
    const struct sql_expr *call = table->function;
    enum window_kind kind = 0;
    struct plan_partition partition = {0};
    const struct catalog_function *user = catalog_function_find(binder->catalog, call_name(call));
    if (user && user->process) { return bind_process(binder, user->process, call, out, err); }
    if (user) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "%s is a scalar function: it gives no table", call_name(call));
    }
    if (!window_kind_of(call_name(call), &kind)) { return unknown_function(binder, call, err); }
    struct window_args args = {0};
    struct plan *input = NULL;
    SABOT_TRY(window_args_of(call, &args, err));
    SABOT_TRY(bind_window_data(binder, args.data, kind, &partition, &input, err));
    const struct sql_expr *time = args.time;
    if (time->kind != SQL_EXPR_DESCRIPTOR && time->kind != SQL_EXPR_COLUMN) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, time->span, "the time column is given as DESCRIPTOR(column)");
    }
    if (time->path.count != 1) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, time->span, "DESCRIPTOR takes one column, not %u", time->path.count);
    }
    struct window_spec spec;
    SABOT_TRY(
        bind_window_call(binder, input, call, &time->path.items[0], args.intervals, args.n_intervals, &spec, err));
    SABOT_TRY(bind_arrival(binder, spec.time_column, span_of(call->span), &input, err));
    return plan_window(binder->plans, input, spec, binder->plans->next_window_id++, partition, span_of(call->span), out,
                       err);
}

/* ---- joins ------------------------------------------------------------------------------------------------------- */

/* FOR SYSTEM_TIME AS OF left.proctime: the right side as it is when the left row comes. */
static sabot_status check_as_of(struct binder *binder, const struct scope *left, const struct sql_table *right,
                                struct sabot_error *err) {
    const struct expr_scope in = {.binder = binder, .scope = left, .clause = "FOR SYSTEM_TIME AS OF"};
    struct expr *time = NULL;
    SABOT_TRY(bind_expr(&in, right->as_of, &time, err));
    const enum time_attribute attribute =
        expr_is_column(time) ? left->plan->columns[time->index].time : TIME_NONE;
    if (attribute == TIME_PROCTIME) { return SABOT_OK; }
    if (attribute == TIME_ROWTIME) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, right->as_of->span,
                        "a temporal join by event time can't run yet; by processing time (a PROCTIME() column of the "
                        "left side) the table is looked up");
    }
    return SQL_FAIL(err, SABOT_ERR_PLAN, right->as_of->span,
                    "FOR SYSTEM_TIME AS OF takes a time attribute of the left side, such as a column that is "
                    "PROCTIME()");
}

static sabot_status bind_right(struct binder *binder, const struct scope *left, const struct sql_table *table,
                               bool *is_lookup, struct scope *out, struct sabot_error *err) {
    *is_lookup = table->as_of != NULL;
    if (!*is_lookup) { return bind_table(binder, table, out, err); }
    SABOT_TRY(check_as_of(binder, left, table, err));
    struct sql_table now = *table;
    now.as_of = NULL;
    return bind_table(binder, &now, out, err);
}

static sabot_status join_scope(struct binder *binder, const struct scope *left, const struct scope *right,
                               struct sql_span span, struct scope *out, struct sabot_error *err) {
    out->n_tables = left->n_tables + right->n_tables;
    out->tables = arena_alloc(&binder->plans->arena, (size_t)(out->n_tables + 1) * sizeof *out->tables);
    if (!out->tables) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < out->n_tables; i++) {
        const bool of_left = i < left->n_tables;
        out->tables[i] = of_left ? left->tables[i] : right->tables[i - left->n_tables];
        if (!of_left) { out->tables[i].first += left->plan->schema->n_fields; }
    }
    return plan_join(binder->plans, left->plan, right->plan, PLAN_JOIN_CROSS, NULL, span_of(span), &out->plan, err);
}

/* The columns of USING, or of NATURAL: of the joined scope, left and right. */
struct common {
    struct sql_name *names;
    int32_t *left, *right;
    int32_t n;
};

static sabot_status common_add(const struct scope *left, const struct scope *right, const struct sql_name *name,
                               struct common *common, struct sabot_error *err) {
    const struct sql_path path = {.items = (struct sql_name *)(uintptr_t)name, .count = 1};
    unsigned used = 0;
    SABOT_TRY(scope_find(left, &path, "the left side of the join", &common->left[common->n], &used, err));
    SABOT_TRY(scope_find(right, &path, "the right side of the join", &common->right[common->n], &used, err));
    common->right[common->n] += left->plan->schema->n_fields;
    common->names[common->n++] = *name;
    return SABOT_OK;
}

static sabot_status find_common(struct binder *binder, const struct sql_table *table, const struct scope *left,
                                const struct scope *right, struct common *out, struct sabot_error *err) {
    struct arena *arena = &binder->plans->arena;
    const size_t most = (size_t)table->join.columns.count + (size_t)left->plan->schema->n_fields + 1;
    out->names = arena_alloc(arena, most * sizeof *out->names);
    out->left = arena_alloc(arena, most * sizeof *out->left);
    out->right = arena_alloc(arena, most * sizeof *out->right);
    if (!out->names || !out->left || !out->right) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < table->join.columns.count; i++) {
        SABOT_TRY(common_add(left, right, &table->join.columns.items[i], out, err));
    }
    for (int32_t t = 0; t < left->n_tables && table->join.natural; t++) {
        const struct scope_table *of = &left->tables[t];
        for (int32_t i = 0; i < of->count; i++) {
            const struct sql_name name = {.text = left->plan->schema->fields[of->first + i].name, .span = table->span};
            if ((of->merged && of->merged[i]) || !scope_has(right, name.text)) { continue; }
            SABOT_TRY(common_add(left, right, &name, out, err));
        }
    }
    return SABOT_OK;
}

static sabot_status common_condition(struct binder *binder, const struct common *common, const struct scope *scope,
                                     struct expr **out, struct sabot_error *err) {
    struct arena *arena = &binder->plans->arena;
    for (int32_t i = 0; i < common->n; i++) {
        const struct source_span span = span_of(common->names[i].span);
        struct expr *pair[2] = {NULL, NULL}, *equal = NULL;
        SABOT_TRY(plan_column_ref(binder->plans, scope->plan, common->left[i], span, &pair[0], err));
        SABOT_TRY(plan_column_ref(binder->plans, scope->plan, common->right[i], span, &pair[1], err));
        SABOT_TRY(expr_call(arena, "=", pair, 2, span, &equal, err));
        struct expr *both[2] = {*out, equal};
        if (!*out) {
            *out = equal;
        } else {
            SABOT_TRY(expr_call(arena, "AND", both, 2, span, out, err));
        }
    }
    return SABOT_OK;
}

static sabot_status merge_flags(struct binder *binder, const struct common *common, struct scope_table *table,
                                struct sabot_error *err) {
    bool *merged = arena_alloc(&binder->plans->arena, (size_t)table->count + 1);
    if (!merged) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < table->count; i++) {
        merged[i] = table->merged && table->merged[i];
        for (int32_t c = 0; c < common->n; c++) {
            merged[i] = merged[i] || common->left[c] == table->first + i || common->right[c] == table->first + i;
        }
    }
    table->merged = merged;
    return SABOT_OK;
}

/* The columns of USING stand once, before all others; the originals can be named by their tables. */
static sabot_status merge_common(struct binder *binder, const struct common *common, enum plan_join_kind kind,
                                 struct scope *scope, struct sabot_error *err) {
    struct arena *arena = &binder->plans->arena;
    const int32_t n_old = scope->plan->schema->n_fields, n = n_old + common->n;
    struct expr **exprs = arena_alloc(arena, (size_t)(n + 1) * sizeof *exprs);
    const char **names = arena_alloc(arena, (size_t)(n + 1) * sizeof *names);
    struct scope_table *tables = arena_alloc(arena, (size_t)(scope->n_tables + 1) * sizeof *tables);
    if (!exprs || !names || !tables) { return PLAN_NO_MEMORY(err); }
    tables[0] = (struct scope_table){.first = 0, .count = common->n};
    for (int32_t t = 0; t < scope->n_tables; t++) {
        tables[t + 1] = scope->tables[t];
        SABOT_TRY(merge_flags(binder, common, &tables[t + 1], err));
        tables[t + 1].first += common->n;
    }
    for (int32_t i = 0; i < n; i++) {
        const bool is_common = i < common->n;
        const int32_t *of_common = kind == PLAN_JOIN_RIGHT ? common->right : common->left;
        const int32_t column = is_common ? of_common[i] : i - common->n;
        const struct source_span span = is_common ? span_of(common->names[i].span) : scope->plan->span;
        SABOT_TRY(plan_column_ref(binder->plans, scope->plan, column, span, &exprs[i], err));
        names[i] = scope->plan->schema->fields[column].name;
        if (!is_common || kind != PLAN_JOIN_FULL) { continue; }
        struct expr *either[2] = {exprs[i], NULL};
        SABOT_TRY(plan_column_ref(binder->plans, scope->plan, common->right[i], span, &either[1], err));
        SABOT_TRY(expr_call(arena, "COALESCE", either, 2, span, &exprs[i], err));
    }
    scope->tables = tables;
    scope->n_tables++;
    return plan_project(binder->plans, scope->plan, exprs, names, n, &scope->plan, err);
}

static sabot_status bind_join(struct binder *binder, const struct sql_table *table, struct scope *out,
                              struct sabot_error *err) {
    static const enum plan_join_kind kinds[] = {
        [SQL_JOIN_INNER] = PLAN_JOIN_INNER, [SQL_JOIN_LEFT] = PLAN_JOIN_LEFT,   [SQL_JOIN_RIGHT] = PLAN_JOIN_RIGHT,
        [SQL_JOIN_FULL] = PLAN_JOIN_FULL,   [SQL_JOIN_CROSS] = PLAN_JOIN_CROSS,
    };
    const enum plan_join_kind kind = kinds[table->join.kind];
    struct scope left = {0}, right = {0};
    struct common common = {0};
    bool is_lookup = false;
    SABOT_TRY(bind_table(binder, table->join.left, &left, err));
    if (table->join.right->kind == SQL_TABLE_UNNEST) { return bind_unnest_join(binder, table, &left, out, err); }
    SABOT_TRY(bind_right(binder, &left, table->join.right, &is_lookup, &right, err));
    SABOT_TRY(join_scope(binder, &left, &right, table->span, out, err));
    struct expr *condition = NULL;
    if (table->join.on) {
        const struct expr_scope in = {.binder = binder, .scope = out, .clause = "ON"};
        SABOT_TRY(bind_condition(&in, table->join.on, &condition, err));
    }
    if (table->join.columns.count || table->join.natural) {
        SABOT_TRY(find_common(binder, table, &left, &right, &common, err));
        SABOT_TRY(common_condition(binder, &common, out, &condition, err));
    }
    const struct source_span span = span_of(table->span);
    SABOT_TRY(plan_join(binder->plans, left.plan, right.plan, kind, condition, span, &out->plan, err));
    if (is_lookup) { out->plan->join.time = PLAN_JOIN_LOOKUP; }
    return common.n > 0 ? merge_common(binder, &common, kind, out, err) : SABOT_OK;
}

sabot_status bind_table(struct binder *binder, const struct sql_table *table, struct scope *out,
                        struct sabot_error *err) {
    struct plan *plan = NULL;
    const char *name = NULL;
    if (table->as_of) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, table->as_of->span,
                        "FOR SYSTEM_TIME AS OF can stand on the right side of a JOIN only");
    }
    switch (table->kind) {
    case SQL_TABLE_NAME:
        SABOT_TRY(bind_name(binder, table, &plan, err));
        name = table->name.items[table->name.count - 1].text;
        break;
    case SQL_TABLE_QUERY:
        SABOT_TRY(bind_query(binder, table->query, &plan, err));
        SABOT_TRY(bind_unique_names(binder, plan, &plan, err));
        break;
    case SQL_TABLE_FUNCTION: SABOT_TRY(bind_function_table(binder, table, &plan, err)); break;
    case SQL_TABLE_JOIN: return bind_join(binder, table, out, err);
    case SQL_TABLE_UNNEST: return bind_unnest(binder, NULL, table, false, out, err);
    case SQL_TABLE_MATCH: return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, table->span, "MATCH_RECOGNIZE can't run yet");
    }
    SABOT_TRY(rename_columns(binder, plan, &table->columns, &plan, err));
    return scope_of(binder, plan, table->alias.text ? table->alias.text : name, out, err);
}
