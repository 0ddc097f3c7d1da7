/* Functions with OVER (..): ROW_NUMBER() alone becomes a ranking (Top-N, deduplication), everything else aggregates in
 * the order of a time attribute. All of a SELECT have the same window, as in Flink.
 * They become columns behind those of the scope before anything else is bound. */
#include <string.h>
#include <strings.h>

#include "sql/bind_internal.h"

static void find_in(const struct sql_exprs *list, struct found *found) {
    for (unsigned i = 0; i < list->count; i++) { bind_find(list->items[i], found); }
}

static void add_value(const struct sql_expr *expr, struct found *found) {
    if (found->n_scalars == OVERS_MAX) {
        found->too_many_scalars = true;
    } else {
        found->scalars[found->n_scalars++] = expr;
    }
}

void bind_find(const struct sql_expr *expr, struct found *found) {
    if (!expr) { return; }
    switch (expr->kind) {
    case SQL_EXPR_UNARY: bind_find(expr->unary.operand, found); break;
    case SQL_EXPR_BINARY:
    case SQL_EXPR_INDEX:
        bind_find(expr->binary.left, found);
        bind_find(expr->binary.right, found);
        break;
    case SQL_EXPR_LOGIC: find_in(&expr->logic.operands, found); break;
    case SQL_EXPR_IS: bind_find(expr->is.operand, found); break;
    case SQL_EXPR_LIKE:
        bind_find(expr->like.operand, found);
        bind_find(expr->like.pattern, found);
        break;
    case SQL_EXPR_BETWEEN:
        bind_find(expr->between.operand, found);
        bind_find(expr->between.low, found);
        bind_find(expr->between.high, found);
        break;
    case SQL_EXPR_IN:
        bind_find(expr->in.operand, found);
        if (expr->in.query) { add_value(expr, found); }
        find_in(&expr->in.list, found);
        break;
    case SQL_EXPR_CASE:
        bind_find(expr->cases.operand, found);
        for (unsigned i = 0; i < expr->cases.whens.count; i++) {
            bind_find(expr->cases.whens.items[i].condition, found);
            bind_find(expr->cases.whens.items[i].result, found);
        }
        bind_find(expr->cases.otherwise, found);
        break;
    case SQL_EXPR_CAST: bind_find(expr->cast.operand, found); break;
    case SQL_EXPR_FIELD: bind_find(expr->field.operand, found); break;
    case SQL_EXPR_ARRAY:
    case SQL_EXPR_MAP:
    case SQL_EXPR_ROW: find_in(&expr->list, found); break;
    case SQL_EXPR_CALL:
        if (!expr->call.over) {
            find_in(&expr->call.args, found);
        } else if (found->n == OVERS_MAX) {
            found->too_many_calls = true;
        } else {
            found->calls[found->n++] = expr;
        }
        break;
    case SQL_EXPR_SUBQUERY:
    case SQL_EXPR_EXISTS: add_value(expr, found); break;
    default: break;
    }
}

static const char *name_of(const struct sql_expr *call) {
    return call->call.name.items[call->call.name.count - 1].text;
}

/* What OVER w and OVER (w ..) stand for. */
static sabot_status window_of(const struct sql_select *select, const struct sql_expr *call,
                              const struct sql_window **out, struct sabot_error *err) {
    const struct sql_window *over = call->call.over;
    *out = over;
    if (!over->base.text) { return SABOT_OK; }
    const bool refines = over->partition_by.count || over->order_by.count || over->has_frame;
    for (unsigned i = 0; i < select->windows.count; i++) {
        const struct sql_named_window *named = &select->windows.items[i];
        if (strcasecmp(named->name.text, over->base.text) != 0) { continue; }
        if (refines || named->window->base.text) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, over->span, "a window that is made from another can't run yet: "
                            "write it out");
        }
        *out = named->window;
        return SABOT_OK;
    }
    return SQL_FAIL(err, SABOT_ERR_PLAN, over->span, "there is no window \"%s\" in this SELECT", over->base.text);
}

/* ---- the input of the calls -------------------------------------------------------------------------------------- */

/* Columns of the scope, which keep their places, then what calls and windows compute. */
struct columns {
    struct expr **exprs;
    const char **names;
    int32_t n, capacity;
};

static sabot_status add(const struct expr_scope *in, const struct sql_expr *written, struct columns *columns,
                        int32_t *out, struct expr **expr, struct sabot_error *err) {
    SABOT_TRY(bind_expr(in, written, expr, err));
    for (int32_t i = 0; i < columns->n; i++) {
        if (!expr_equal(columns->exprs[i], *expr)) { continue; }
        *out = i;
        return SABOT_OK;
    }
    if (columns->n == columns->capacity) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, written->span, "too many expressions in OVER (..)");
    }
    columns->exprs[columns->n] = *expr;
    columns->names[columns->n] = "$over";
    *out = columns->n++;
    return SABOT_OK;
}

/* A window with its columns. */
struct bound_window {
    const int32_t *keys;
    const struct sort_key *order;
    int32_t n_keys, n_order;
};

static sabot_status bind_window(const struct expr_scope *in, const struct sql_window *window, struct columns *columns,
                                struct bound_window *out, struct sabot_error *err) {
    struct arena *arena = &in->binder->plans->arena;
    const int32_t n_keys = (int32_t)window->partition_by.count, n_order = (int32_t)window->order_by.count;
    int32_t *keys = arena_alloc(arena, ((size_t)n_keys + 1) * sizeof *keys);
    struct sort_key *order = arena_alloc(arena, ((size_t)n_order + 1) * sizeof *order);
    struct expr *expr = NULL;
    if (!keys || !order) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n_keys; i++) {
        SABOT_TRY(add(in, window->partition_by.items[i], columns, &keys[i], &expr, err));
    }
    for (int32_t i = 0; i < n_order; i++) {
        int32_t column = 0;
        SABOT_TRY(add(in, window->order_by.items[i].expr, columns, &column, &expr, err));
        order[i] = sort_key_of(&window->order_by.items[i], column);
    }
    *out = (struct bound_window){.keys = keys, .order = order, .n_keys = n_keys, .n_order = n_order};
    return SABOT_OK;
}

static bool same_window(const struct bound_window *a, const struct bound_window *b) {
    if (a->n_keys != b->n_keys || a->n_order != b->n_order) { return false; }
    for (int32_t i = 0; i < a->n_keys; i++) {
        if (a->keys[i] != b->keys[i]) { return false; }
    }
    for (int32_t i = 0; i < a->n_order; i++) {
        if (a->order[i].column != b->order[i].column || a->order[i].descending != b->order[i].descending ||
            a->order[i].nulls_first != b->order[i].nulls_first) {
            return false;
        }
    }
    return true;
}

/* ---- calls and frames -------------------------------------------------------------------------------------------- */

static sabot_status bind_lag(const struct expr_scope *in, const struct sql_expr *call, struct columns *columns,
                             struct over_call *out, struct sabot_error *err) {
    const struct sql_exprs *args = &call->call.args;
    struct expr *expr = NULL;
    if (args->count < 1 || args->count > 2) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, call->span, "LAG takes a value and how many rows back");
    }
    out->offset = 1;
    SABOT_TRY(add(in, args->items[0], columns, &out->aggregate.argument, &expr, err));
    if (args->count == 2) { SABOT_TRY(bind_count(in->binder, args->items[1], "LAG", &out->offset, err)); }
    if (out->offset < 1 || out->offset > 100000) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "LAG looks 1 to 100000 rows back");
    }
    out->aggregate.type = type_nullable(expr->type);
    return SABOT_OK;
}

static sabot_status bind_call(const struct expr_scope *in, const struct sql_expr *call, struct columns *columns,
                              struct over_call *out, struct sabot_error *err) {
    static const struct {
        const char *name;
        enum over_function function;
    } numbers[] = {{"ROW_NUMBER", OVER_ROW_NUMBER}, {"RANK", OVER_RANK}, {"DENSE_RANK", OVER_DENSE_RANK}};
    const struct sql_call *of = &call->call;
    *out = (struct over_call){.aggregate = {.argument = -1, .filter = -1}};
    if (of->distinct || of->order_by.count || of->ignore_nulls || of->respect_nulls) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, call->span,
                        "DISTINCT, ORDER BY and the treatment of NULLs inside of a function with OVER can't run yet");
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcasecmp(numbers[i].name, name_of(call)) != 0) { continue; }
        if (of->args.count) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "%s takes no arguments", numbers[i].name);
        }
        out->function = numbers[i].function;
        out->aggregate.type = type_not_null(type_of(TYPE_INT64));
        return SABOT_OK;
    }
    if (strcasecmp("LAG", name_of(call)) == 0) {
        out->function = OVER_LAG;
        return bind_lag(in, call, columns, out, err);
    }
    if (strcasecmp("LEAD", name_of(call)) == 0) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, call->span, "LEAD looks at rows that have not come yet, and each "
                        "row is given out once, as in Flink: LAG looks back");
    }
    struct aggregate_call *aggregate = &out->aggregate;
    struct expr *argument = NULL, *filter = NULL;
    if (of->name.count != 1 || !aggregate_kind_of(name_of(call), &aggregate->kind)) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, call->span, "%s(..) OVER (..) can't run", name_of(call));
    }
    if (aggregate->kind >= AGGREGATE_LISTAGG) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, call->span, "%s(..) OVER (..) can't run: each row would get a list "
                        "of all before it", name_of(call));
    }
    if (of->args.count != 1) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "%s takes one argument", name_of(call));
    }
    if (of->args.items[0]->kind == SQL_EXPR_STAR) {
        if (aggregate->kind != AGGREGATE_COUNT) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "* is for COUNT(*) only");
        }
        aggregate->kind = AGGREGATE_COUNT_STAR;
    } else {
        SABOT_TRY(add(in, of->args.items[0], columns, &aggregate->argument, &argument, err));
    }
    if (of->filter) {
        SABOT_TRY(bind_condition(in, of->filter, &filter, err));
        SABOT_TRY(add(in, of->filter, columns, &aggregate->filter, &filter, err));
    }
    return aggregate_type(aggregate->kind, call, argument, true, &aggregate->type, err);
}

static sabot_status bind_frame(struct binder *binder, const struct sql_window *window, struct type time,
                               struct over_options *out, struct sabot_error *err) {
    out->frame = OVER_UNBOUNDED;
    if (!window->has_frame) { return SABOT_OK; }
    if (window->end.kind != SQL_BOUND_CURRENT_ROW ||
        (window->start.kind != SQL_BOUND_UNBOUNDED_PRECEDING && window->start.kind != SQL_BOUND_PRECEDING &&
         window->start.kind != SQL_BOUND_CURRENT_ROW)) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, window->span,
                        "a frame runs from PRECEDING to CURRENT ROW: rows behind the current one have not come yet");
    }
    if (window->start.kind == SQL_BOUND_UNBOUNDED_PRECEDING) {
        out->frame = window->frame_is_rows ? OVER_UNBOUNDED_ROWS : OVER_UNBOUNDED;
        return SABOT_OK;
    }
    out->frame = window->frame_is_rows ? OVER_ROWS : OVER_RANGE;
    if (window->start.kind == SQL_BOUND_CURRENT_ROW) { return SABOT_OK; }
    if (window->frame_is_rows) {
        SABOT_TRY(bind_count(binder, window->start.offset, "ROWS .. PRECEDING", &out->preceding, err));
        if (out->preceding <= 1000000) { return SABOT_OK; }
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, window->span, "a frame of more than 1000000 rows");
    }
    SABOT_TRY(bind_interval_ms(binder, window->start.offset, "RANGE .. PRECEDING", &out->preceding, err));
    if (out->preceding < 0 || out->preceding > INT64_C(1000) * 86400 * 366 * 100) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, window->span, "RANGE .. PRECEDING takes an interval up to 100 years");
    }
    out->preceding *= timestamp_units_per_ms_num(time);
    return SABOT_OK;
}

/* ---- all together ------------------------------------------------------------------------------------------------ */

static sabot_status project(struct binder *binder, const struct columns *columns, struct scope *scope,
                            struct sabot_error *err) {
    if (columns->n == scope->plan->schema->n_fields) { return SABOT_OK; }
    return plan_project(binder->plans, scope->plan, columns->exprs, columns->names, columns->n, &scope->plan, err);
}

/* ROW_NUMBER() in any order: a ranking, of which something outside asks for the first. */
static sabot_status make_rank(struct binder *binder, const struct bound_window *window, struct sql_span span,
                              struct scope *scope, struct sabot_error *err) {
    struct plan model = {.kind = PLAN_RANK, .span = span_of(span)};
    model.rank.keys = window->keys;
    model.rank.n_keys = window->n_keys;
    model.rank.order = window->order;
    model.rank.n_order = window->n_order;
    model.rank.first = 1;
    model.rank.limit = -1;
    model.rank.output_rank = true;
    return plan_rank(binder->plans, scope->plan, &model, "w0$o0", &scope->plan, err);
}

static sabot_status make_over(struct binder *binder, const struct bound_window *window,
                              const struct sql_window *written, const struct over_call *calls, int32_t n,
                              struct sql_span span, struct scope *scope, struct sabot_error *err) {
    const struct plan *input = scope->plan;
    const bool by_time = window->n_order == 1 && input->columns[window->order[0].column].time != TIME_NONE;
    if (!by_time || window->order[0].descending) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, span,
                        "OVER (..) needs ORDER BY a time attribute, ascending, and by nothing else: rows are taken in "
                        "the order of time");
    }
    struct plan model = {.kind = PLAN_OVER, .span = span_of(span)};
    struct over_call *copied = arena_alloc(&binder->plans->arena, (size_t)n * sizeof *copied);
    const char **names = arena_alloc(&binder->plans->arena, (size_t)n * sizeof *names);
    if (!copied || !names) { return PLAN_NO_MEMORY(err); }
    memcpy(copied, calls, (size_t)n * sizeof *copied);
    for (int32_t i = 0; i < n; i++) {
        names[i] = arena_format(&binder->plans->arena, "w0$o%d", i);
        if (!names[i]) { return PLAN_NO_MEMORY(err); }
    }
    model.over = (struct over_options){
        .keys = window->keys, .n_keys = window->n_keys, .time_column = window->order[0].column, .calls = copied,
        .n_calls = n,
    };
    SABOT_TRY(bind_frame(binder, written, input->schema->fields[model.over.time_column].type, &model.over, err));
    for (int32_t i = 0; i < n; i++) {
        if (calls[i].function != OVER_LAG || model.over.frame != OVER_RANGE) { continue; }
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, span, "LAG can't stand beside a RANGE frame of an interval");
    }
    SABOT_TRY(bind_arrival(binder, model.over.time_column, span_of(span), &scope->plan, err));
    return plan_over(binder->plans, scope->plan, &model, names, &scope->plan, err);
}

sabot_status bind_overs(struct binder *binder, const struct sql_select *select, struct scope *scope,
                       struct sabot_error *err) {
    struct found found = {.n = 0};
    for (unsigned i = 0; i < select->items.count; i++) { bind_find(select->items.items[i].expr, &found); }
    bind_find(select->qualify, &found);
    if (found.n == 0) { return SABOT_OK; }
    const struct sql_span span = found.calls[0]->span;
    if (found.too_many_calls) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, span, "more than %d functions with OVER in a SELECT", OVERS_MAX);
    }
    struct arena *arena = &binder->plans->arena;
    const int32_t n = scope->plan->schema->n_fields;
    struct plan_items items;
    SABOT_TRY(plan_first_items(binder->plans, scope->plan, n, 4 * OVERS_MAX, &items, err));
    struct columns columns = {.exprs = items.exprs, .names = items.names, .n = n, .capacity = n + 4 * OVERS_MAX};
    struct over_call *calls = arena_alloc(arena, (size_t)found.n * sizeof *calls);
    struct scope_over *overs = arena_alloc(arena, (size_t)found.n * sizeof *overs);
    if (!calls || !overs) { return PLAN_NO_MEMORY(err); }
    const struct expr_scope in = {.binder = binder, .scope = scope, .clause = "OVER"};
    struct bound_window first = {0};
    const struct sql_window *written = NULL, *framed = NULL;
    bool only_numbers = true;
    for (int32_t i = 0; i < found.n; i++) {
        struct bound_window window = {0};
        SABOT_TRY(bind_call(&in, found.calls[i], &columns, &calls[i], err));
        SABOT_TRY(window_of(select, found.calls[i], &written, err));
        SABOT_TRY(bind_window(&in, written, &columns, &window, err));
        if (window.n_order == 0) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, found.calls[i]->span, "%s() OVER (..) needs an ORDER BY",
                            name_of(found.calls[i]));
        }
        if (i == 0) { first = window; }
        if (!same_window(&first, &window)) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, found.calls[i]->span,
                            "all functions with OVER of a SELECT need the same window: put the others into a subquery");
        }
        only_numbers = only_numbers && calls[i].function == OVER_ROW_NUMBER && !written->has_frame;
        if (calls[i].function != OVER_AGGREGATE && !written->has_frame) { continue; }
        if (!framed) { framed = written; }
        const bool same = framed->has_frame == written->has_frame && framed->frame_is_rows == written->frame_is_rows &&
                          framed->start.kind == written->start.kind && framed->end.kind == written->end.kind;
        struct over_options a = {0}, b = {0};
        const struct type ms = type_timestamp(3);
        SABOT_TRY(bind_frame(binder, framed, ms, &a, err));
        SABOT_TRY(bind_frame(binder, written, ms, &b, err));
        if (!same || a.preceding != b.preceding) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, found.calls[i]->span,
                            "all functions with OVER of a SELECT need the same frame: put the others into a subquery");
        }
    }
    SABOT_TRY(project(binder, &columns, scope, err));
    for (int32_t i = 0; i < found.n; i++) {
        overs[i] = (struct scope_over){.call = found.calls[i], .column = columns.n + (only_numbers ? 0 : i)};
    }
    SABOT_TRY(only_numbers ? make_rank(binder, &first, span, scope, err)
                           : make_over(binder, &first, framed ? framed : written, calls, found.n, span, scope, err));
    scope->overs = overs;
    scope->n_overs = found.n;
    return SABOT_OK;
}
