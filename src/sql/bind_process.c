/* Calls of process functions in FROM: f(input => TABLE t PARTITION BY k, on_time => DESCRIPTOR(ts), ..). */
#include "sql/bind_internal.h"

#include "base/nearest.h"
#include "sql/parse.h"

#include <strings.h>

/* The arguments, by position (the table, the scalars, on_time, uid) or by name. */
struct process_args {
    const struct sql_expr *table, *on_time, *uid;
    const struct sql_expr **scalars; /* one per declared; NULL: not given */
};

static sabot_status argument_place(const struct process_function *function, struct process_args *args,
                                   const struct sql_expr *arg, unsigned position, const struct sql_expr ***place,
                                   struct sabot_error *err) {
    const int32_t n = function->definition.n_arguments;
    if (arg->kind != SQL_EXPR_NAMED_ARG) {
        *place = position == 0                     ? &args->table
                 : position <= (unsigned)n         ? &args->scalars[position - 1]
                 : position == (unsigned)n + 1     ? &args->on_time
                 : position == (unsigned)n + 2     ? &args->uid
                                                   : NULL;
        if (*place) { return SABOT_OK; }
        return SQL_FAIL(err, SABOT_ERR_PLAN, arg->span, "too many arguments for %s", function->name);
    }
    const char *name = arg->named.name.text;
    struct nearest nearest = {.wanted = name};
    char hint[128];
    static const char *const own[] = {"input", "on_time", "uid"};
    const struct sql_expr **places[] = {&args->table, &args->on_time, &args->uid};
    for (int32_t i = 0; i < 3; i++) {
        nearest_offer(&nearest, own[i]);
        if (strcasecmp(name, own[i]) == 0) {
            *place = places[i];
            return SABOT_OK;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        nearest_offer(&nearest, function->arguments[i].name);
        if (strcasecmp(name, function->arguments[i].name) == 0) {
            *place = &args->scalars[i];
            return SABOT_OK;
        }
    }
    return SQL_FAIL(err, SABOT_ERR_PLAN, arg->span, "%s has no argument \"%s\"%s", function->name, name,
                    nearest_hint(&nearest, hint, sizeof hint));
}

static sabot_status args_of(struct binder *binder, const struct process_function *function,
                            const struct sql_expr *call, struct process_args *out, struct sabot_error *err) {
    const struct sql_exprs *args = &call->call.args;
    out->scalars = arena_alloc(&binder->plans->arena, ((size_t)function->definition.n_arguments + 1) *
                                                          sizeof *out->scalars);
    if (!out->scalars) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < args->count; i++) {
        const struct sql_expr *arg = args->items[i], **place = NULL;
        SABOT_TRY(argument_place(function, out, arg, i, &place, err));
        if (*place) { return SQL_FAIL(err, SABOT_ERR_PLAN, arg->span, "this argument is given twice"); }
        *place = arg->kind == SQL_EXPR_NAMED_ARG ? arg->named.value : arg;
    }
    if (!out->table || out->table->kind != SQL_EXPR_TABLE_ARG) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, out->table ? out->table->span : call->span,
                        "%s takes a table: %s(input => TABLE t PARTITION BY k)", function->name, function->name);
    }
    return SABOT_OK;
}

/* --- what the operator reads: columns of a projection over the table */
struct reads {
    struct binder *binder;
    const struct plan *input;
    struct expr **exprs;
    const char **names;
    int32_t n;
};

static sabot_status reads_add(struct reads *reads, int32_t column, struct sql_span span, int32_t *at,
                              struct sabot_error *err) {
    *at = reads->n;
    reads->names[reads->n] = reads->input->schema->fields[column].name;
    return plan_column_ref(reads->binder->plans, reads->input, column, span_of(span), &reads->exprs[reads->n++], err);
}

/* A declared input column: found by name, cast. */
static sabot_status reads_declared(struct reads *reads, const struct process_function *function,
                                   const struct field *wanted, struct sql_span span, struct sabot_error *err) {
    const struct schema *schema = reads->input->schema;
    struct nearest nearest = {.wanted = wanted->name};
    char hint[128], from[160], to[160];
    int32_t at = -1, place;
    for (int32_t i = 0; i < schema->n_fields; i++) {
        if (strcmp(schema->fields[i].name, wanted->name) == 0) { at = i; }
        nearest_offer(&nearest, schema->fields[i].name);
    }
    if (at < 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "%s reads a column \"%s\", which the table does not have%s",
                        function->name, wanted->name, nearest_hint(&nearest, hint, sizeof hint));
    }
    SABOT_TRY(reads_add(reads, at, span, &place, err));
    struct expr *expr = reads->exprs[place];
    if (type_same(expr->type, wanted->type)) { return SABOT_OK; }
    if (!type_can_cast_implicitly(expr->type, wanted->type)) {
        type_print(type_nullable(expr->type), from, sizeof from);
        type_print(wanted->type, to, sizeof to);
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "%s reads column \"%s\" as %s, and it is %s: add a CAST in a "
                        "subquery", function->name, wanted->name, to, from);
    }
    struct type type = wanted->type;
    type.nullable = expr->type.nullable;
    return expr_cast(&reads->binder->plans->arena, expr, type, false, expr->span, &reads->exprs[place], err);
}

static sabot_status bind_keys(struct binder *binder, const struct process_function *function,
                              const struct sql_expr *table, const struct scope *scope, struct reads *reads,
                              int32_t **keys, int32_t *n_keys, struct sabot_error *err) {
    const struct sql_exprs *written = &table->table_arg.partition_by;
    const struct expr_scope in = {.binder = binder, .scope = scope, .clause = "PARTITION BY"};
    struct type types[PROCESS_KEYS_MAX];
    struct sabot_error inner = {0};
    enum process_key_form form;
    *n_keys = (int32_t)written->count;
    *keys = arena_alloc(&binder->plans->arena, ((size_t)*n_keys + 1) * sizeof **keys);
    if (!*keys) { return PLAN_NO_MEMORY(err); }
    if (table->table_arg.order_by.count) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, table->span, "ORDER BY of a table argument can't run yet");
    }
    if (*n_keys == 0 && function->definition.n_states + function->definition.n_timers > 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, table->span,
                        "%s has state or timers, which are kept by key: write TABLE t PARTITION BY k", function->name);
    }
    if (*n_keys > PROCESS_KEYS_MAX) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, table->span, "PARTITION BY takes up to %d columns", PROCESS_KEYS_MAX);
    }
    for (int32_t i = 0; i < *n_keys; i++) {
        struct expr *expr = NULL;
        SABOT_TRY(bind_expr(&in, written->items[i], &expr, err));
        if (!expr_is_column(expr)) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, written->items[i]->span,
                            "PARTITION BY of a table argument takes columns; compute it in a subquery");
        }
        types[i] = expr->type;
        SABOT_TRY(reads_add(reads, expr->index, written->items[i]->span, &(*keys)[i], err));
    }
    if (process_key_form(types, *n_keys, &form, &inner) == SABOT_OK) { return SABOT_OK; }
    return SQL_FAIL(err, inner.status, table->span, "%s", inner.message);
}

static sabot_status bind_on_time(struct binder *binder, const struct sql_expr *call, const struct sql_expr *on_time,
                                 struct reads *reads, int32_t *out, struct sabot_error *err) {
    int32_t column = -1;
    *out = -1;
    if (!on_time) { return SABOT_OK; }
    if (on_time->kind != SQL_EXPR_DESCRIPTOR || on_time->path.count != 1) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, on_time->span, "on_time is given as DESCRIPTOR(column)");
    }
    SABOT_TRY(bind_time_column(binder, reads->input, call, &on_time->path.items[0], &column, err));
    if (reads->input->columns[column].time == TIME_PROCTIME) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, on_time->span,
                        "on_time takes a column of event time; timers of processing time need no on_time");
    }
    return reads_add(reads, column, on_time->span, out, err);
}

/* The scalar arguments, as constants of their declared types. */
static sabot_status bind_scalars(struct binder *binder, const struct process_function *function,
                                 const struct process_args *args, const struct sql_expr *call,
                                 struct expr *const **out, struct sabot_error *err) {
    struct arena *arena = &binder->plans->arena;
    const int32_t n = function->definition.n_arguments;
    const struct expr_scope in = {.binder = binder, .clause = "an argument"};
    struct expr **exprs = arena_alloc(arena, ((size_t)n + 1) * sizeof *exprs);
    if (!exprs) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) {
        const struct process_argument *declared = &function->arguments[i];
        const struct sql_expr *given = args->scalars[i];
        struct sql_script *script = NULL;
        struct sql_expr *otherwise = NULL;
        if ((!given || given->kind == SQL_EXPR_DEFAULT) && !declared->otherwise) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "%s needs its argument \"%s\"", function->name,
                            declared->name);
        }
        if (!given || given->kind == SQL_EXPR_DEFAULT) {
            SABOT_TRY(sql_parse_expr(declared->otherwise, strlen(declared->otherwise), &script, &otherwise, err));
            given = otherwise;
        }
        struct expr *expr = NULL;
        sabot_status status = bind_expr(&in, given, &expr, err);
        if (status == SABOT_OK && !type_can_cast_implicitly(expr->type, declared->type)) {
            char from[160], to[160];
            type_print(type_nullable(expr->type), from, sizeof from);
            type_print(declared->type, to, sizeof to);
            status = SQL_FAIL(err, SABOT_ERR_PLAN, given->span, "the argument \"%s\" of %s is %s, not %s",
                              declared->name, function->name, to, from);
        }
        if (status == SABOT_OK) {
            status = expr_cast(arena, expr, type_nullable(declared->type), false, expr->span, &exprs[i], err);
        }
        sql_script_free(script);
        if (status != SABOT_OK) { return status; }
    }
    *out = exprs;
    return SABOT_OK;
}

static sabot_status bind_uid(struct binder *binder, const struct sql_expr *uid, const char **out,
                             struct sabot_error *err) {
    *out = NULL;
    if (!uid) { return SABOT_OK; }
    bool good = uid->kind == SQL_EXPR_STRING && uid->text_size > 0 && uid->text_size <= 100;
    for (uint32_t i = 0; good && i < uid->text_size; i++) { good = !strchr("/ \t\n", uid->text[i]); }
    if (!good) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, uid->span, "uid is a text of up to 100 characters without spaces and /");
    }
    *out = arena_copy(&binder->plans->arena, uid->text, uid->text_size);
    return *out ? SABOT_OK : PLAN_NO_MEMORY(err);
}

static sabot_status reads_rows(struct reads *reads, const struct process_function *function, struct sql_span span,
                               struct sabot_error *err) {
    const struct sabot_process_function *definition = &function->definition;
    for (int32_t i = 0; i < definition->n_inputs; i++) {
        SABOT_TRY(reads_declared(reads, function, &function->inputs[i], span, err));
    }
    for (int32_t i = 0; definition->n_inputs == 0 && i < reads->input->schema->n_fields; i++) {
        int32_t at;
        SABOT_TRY(reads_add(reads, i, span, &at, err));
    }
    return SABOT_OK;
}

/* The columns that the output begins with. */
static sabot_status reads_passed(struct reads *reads, const struct process_function *function,
                                 const struct sql_expr *table, struct plan *model, struct sabot_error *err) {
    const int32_t n = reads->input->schema->n_fields;
    if (!function->definition.pass_columns_through) {
        model->process.passed = model->process.keys;
        model->process.n_passed = model->process.n_keys;
        return SABOT_OK;
    }
    int32_t *passed = arena_alloc(&reads->binder->plans->arena, ((size_t)n + 1) * sizeof *passed);
    if (!passed) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) { SABOT_TRY(reads_add(reads, i, table->span, &passed[i], err)); }
    model->process.passed = passed;
    model->process.n_passed = n;
    return SABOT_OK;
}

sabot_status bind_process(struct binder *binder, const struct process_function *function, const struct sql_expr *call,
                          struct plan **out, struct sabot_error *err) {
    struct arena *arena = &binder->plans->arena;
    struct process_args args = {0};
    struct scope scope = {0};
    struct plan model = {.kind = PLAN_PROCESS, .span = span_of(call->span), .process = {.function = function}};
    int32_t *keys = NULL;
    SABOT_TRY(args_of(binder, function, call, &args, err));
    SABOT_TRY(bind_table(binder, args.table->table_arg.table, &scope, err));
    const size_t most =
        (size_t)function->definition.n_inputs + 2 * (size_t)scope.plan->schema->n_fields + PROCESS_KEYS_MAX + 2;
    struct reads reads = {.binder = binder, .input = scope.plan, .exprs = arena_alloc(arena, most * sizeof(void *)),
                          .names = arena_alloc(arena, most * sizeof(void *))};
    if (!reads.exprs || !reads.names) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(reads_rows(&reads, function, args.table->span, err));
    model.process.n_rows = reads.n;
    if (reads.n > PROCESS_COLUMNS_MAX || scope.plan->schema->n_fields > PROCESS_COLUMNS_MAX) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, args.table->span, "a process function's table has at most %d columns",
                        PROCESS_COLUMNS_MAX);
    }
    SABOT_TRY(bind_keys(binder, function, args.table, &scope, &reads, &keys, &model.process.n_keys, err));
    model.process.keys = keys;
    SABOT_TRY(reads_passed(&reads, function, args.table, &model, err));
    SABOT_TRY(bind_on_time(binder, call, args.on_time, &reads, &model.process.time_column, err));
    SABOT_TRY(bind_scalars(binder, function, &args, call, &model.process.arguments, err));
    SABOT_TRY(bind_uid(binder, args.uid, &model.process.uid, err));
    struct plan *input = NULL;
    SABOT_TRY(plan_project(binder->plans, scope.plan, reads.exprs, reads.names, reads.n, &input, err));
    SABOT_TRY(plan_process(binder->plans, input, &model, out, err));
    return bind_unique_names(binder, *out, out, err);
}
