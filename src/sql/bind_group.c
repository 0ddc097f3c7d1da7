/* GROUP BY: keys, a window function among them, GROUPING SETS.
 *
 * Grouping sets are one aggregation over rows that are expanded: each row comes once per set, with NULL in the keys
 * that the set leaves out, and with the set's id as a key besides. The id has a bit for each key that is left out, the
 * first key's the highest; sets that are written twice are told apart above these bits. */
#include "sql/bind_internal.h"

#include <stdlib.h>
#include <strings.h>

#define SETS_MAX 512
#define SET_KEYS_MAX 16

static struct arena *arena_of(struct binder *binder) { return &binder->plans->arena; }

#define EXPRESSION_NAME_MAX 100

const char *bind_column_name(struct binder *binder, const struct plan *input, const struct expr *expr,
                             const char *fallback, int32_t i) {
    if (expr->kind == EXPR_COLUMN) { return input->schema->fields[expr->index].name; }
    if (expr->kind == EXPR_FIELD) { return expr->args[0]->type.fields[expr->index].name; }
    /* State is found by these names, so an expression's must not depend on what else the query selects. */
    struct text text = {0};
    expr_print(expr, input->schema, &text);
    const bool is_short = !text.failed && text.size > 0 && text.size <= EXPRESSION_NAME_MAX;
    const char *name = is_short ? arena_format(arena_of(binder), "%s", text_string(&text))
                                : arena_format(arena_of(binder), "%s%d", fallback, i);
    text_clear(&text);
    return name ? name : fallback;
}

/* ---- a window ---------------------------------------------------------------------------------------------------- */

static bool is_group_window(const struct sql_expr *expr) {
    enum window_kind kind = 0;
    return expr->kind == SQL_EXPR_CALL && expr->call.name.count == 1 &&
           window_kind_of(expr->call.name.items[0].text, &kind);
}

/* GROUP BY TUMBLE(ts, INTERVAL ..): a window over the input, whose start, end and time become keys. */
static sabot_status bind_group_window(struct binder *binder, const struct sql_expr *call, struct scope *scope,
                                      struct grouping *grouping, struct sabot_error *err) {
    const struct sql_exprs *args = &call->call.args;
    const struct sql_expr *intervals[2] = {NULL, NULL};
    if (grouping->window.is_set) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "GROUP BY can have one window function only");
    }
    if (args->count < 2 || args->count > 3 || args->items[0]->kind != SQL_EXPR_COLUMN ||
        strcasecmp(call->call.name.items[0].text, "CUMULATE") == 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span,
                        "a window in GROUP BY is written TUMBLE(ts, size), HOP(ts, slide, size) or SESSION(ts, gap)");
    }
    for (unsigned i = 1; i < args->count; i++) {
        intervals[i - 1] = args->items[i];
    }
    const struct sql_path *path = &args->items[0]->path;
    struct group_window *window = &grouping->window;
    SABOT_TRY(bind_window_call(binder, scope->plan, call, &path->items[path->count - 1], intervals,
                               (int32_t)args->count - 1, &window->spec, err));
    window->is_set = true;
    window->call = call;
    window->over = scope->plan;
    window->start = scope->plan->schema->n_fields;
    window->end = window->start + 1;
    window->time = window->start + 2;
    SABOT_TRY(bind_arrival(binder, window->spec.time_column, span_of(call->span), &scope->plan, err));
    /* The scope's tables keep their columns: the window's three stand behind all of them. */
    const struct plan_partition by_group = {.n = -1};
    return plan_window(binder->plans, scope->plan, window->spec, binder->plans->next_window_id++, by_group,
                       span_of(call->span), &scope->plan, err);
}

/* A key that is a number is the position in the select list; a name that is no column of the input may be an alias. */
static const struct sql_expr *key_meant(const struct sql_select *select, const struct scope *scope,
                                        const struct sql_expr *key) {
    if (key->kind == SQL_EXPR_INTEGER) {
        const long at = strtol(key->text, NULL, 10);
        return at >= 1 && at <= (long)select->items.count ? select->items.items[at - 1].expr : key;
    }
    if (key->kind != SQL_EXPR_COLUMN || key->path.count != 1 || scope_has(scope, key->path.items[0].text)) {
        return key;
    }
    const struct sql_expr *found = NULL;
    for (unsigned i = 0; i < select->items.count; i++) {
        const struct sql_item *item = &select->items.items[i];
        if (item->alias.text && strcmp(item->alias.text, key->path.items[0].text) == 0) {
            if (found) { return key; } /* ambiguous */
            found = item->expr;
        }
    }
    return found && !has_aggregate(found) ? found : key;
}

/* The place of a key; a new one is added. */
static int32_t add_key(struct keys *keys, struct expr *expr) {
    for (int32_t i = 0; i < keys->n; i++) {
        if (expr_equal(keys->exprs[i], expr)) { return i; }
    }
    keys->exprs[keys->n] = expr;
    return keys->n++;
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

struct sets {
    uint64_t *items;
    int32_t n;
};

struct group_scope {
    struct expr_scope in;
    const struct sql_select *select;
    struct keys *keys;
};

static sabot_status sets_new(const struct group_scope *group, struct sets *out, struct sabot_error *err) {
    out->n = 0;
    out->items = arena_alloc(arena_of(group->in.binder), SETS_MAX * sizeof *out->items);
    return out->items ? SABOT_OK : PLAN_NO_MEMORY(err);
}

static sabot_status add_set(struct sets *sets, uint64_t set, struct sql_span span, struct sabot_error *err) {
    if (sets->n == SETS_MAX) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, span, "GROUP BY makes more than %d grouping sets", SETS_MAX);
    }
    sets->items[sets->n++] = set;
    return SABOT_OK;
}

/* The keys of one expression: (a, b) is two. */
static sabot_status set_of_expr(const struct group_scope *group, const struct sql_expr *expr, uint64_t *set,
                                struct sabot_error *err) {
    const struct sql_expr *written = key_meant(group->select, group->in.scope, expr);
    if (written->kind == SQL_EXPR_ROW) {
        for (unsigned i = 0; i < written->list.count; i++) {
            SABOT_TRY(set_of_expr(group, written->list.items[i], set, err));
        }
        return SABOT_OK;
    }
    struct expr *bound = NULL;
    SABOT_TRY(bind_expr(&group->in, written, &bound, err));
    const int32_t at = add_key(group->keys, bound);
    if (at >= 64) { return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "a GROUP BY of more than 64 columns"); }
    *set |= UINT64_C(1) << at;
    return SABOT_OK;
}

static sabot_status sets_of(const struct group_scope *group, const struct sql_group *of, struct sets *sets,
                            struct sabot_error *err);

/* The keys of each part of ROLLUP or CUBE. */
static sabot_status parts_of(const struct group_scope *group, const struct sql_group *of, uint64_t *parts,
                             struct sabot_error *err) {
    for (unsigned i = 0; i < of->children.count; i++) {
        struct sets one = {0};
        SABOT_TRY(sets_new(group, &one, err));
        SABOT_TRY(sets_of(group, &of->children.items[i], &one, err));
        if (one.n != 1) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, of->children.items[i].span, "ROLLUP and CUBE take expressions, and "
                            "lists of them in parentheses");
        }
        parts[i] = one.items[0];
    }
    return SABOT_OK;
}

static sabot_status sets_of(const struct group_scope *group, const struct sql_group *of, struct sets *sets,
                            struct sabot_error *err) {
    const unsigned n = of->children.count;
    uint64_t set = 0, *parts = arena_alloc(arena_of(group->in.binder), ((size_t)n + 1) * sizeof *parts);
    if (!parts) { return PLAN_NO_MEMORY(err); }
    switch (of->kind) {
    case SQL_GROUP_EXPR:
        SABOT_TRY(set_of_expr(group, of->expr, &set, err));
        return add_set(sets, set, of->span, err);
    case SQL_GROUP_LIST:
        for (unsigned i = 0; i < n; i++) { SABOT_TRY(set_of_expr(group, of->children.items[i].expr, &set, err)); }
        return add_set(sets, set, of->span, err);
    case SQL_GROUP_SETS:
        for (unsigned i = 0; i < n; i++) { SABOT_TRY(sets_of(group, &of->children.items[i], sets, err)); }
        return SABOT_OK;
    case SQL_GROUP_ROLLUP:
        SABOT_TRY(parts_of(group, of, parts, err));
        for (unsigned size = n + 1; size > 0; size--) {
            set = 0;
            for (unsigned i = 0; i < size - 1; i++) { set |= parts[i]; }
            SABOT_TRY(add_set(sets, set, of->span, err));
        }
        return SABOT_OK;
    case SQL_GROUP_CUBE: break;
    }
    SABOT_TRY(parts_of(group, of, parts, err));
    if (n > 16) { return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, of->span, "a CUBE of more than 16 parts"); }
    for (uint32_t absent = 0; absent < UINT32_C(1) << n; absent++) {
        set = 0;
        for (unsigned i = 0; i < n; i++) { set |= absent >> (n - 1 - i) & 1 ? 0 : parts[i]; }
        SABOT_TRY(add_set(sets, set, of->span, err));
    }
    return SABOT_OK;
}

/* GROUP BY a, ROLLUP (b, c): every set of the one with every set of the other. */
static sabot_status cross(const struct group_scope *group, const struct sql_group *of, struct sets *sets,
                          struct sabot_error *err) {
    struct sets more = {0}, all = {0};
    SABOT_TRY(sets_new(group, &more, err));
    SABOT_TRY(sets_new(group, &all, err));
    SABOT_TRY(sets_of(group, of, &more, err));
    for (int32_t i = 0; i < sets->n; i++) {
        for (int32_t j = 0; j < more.n; j++) {
            SABOT_TRY(add_set(&all, sets->items[i] | more.items[j], of->span, err));
        }
    }
    *sets = all;
    return SABOT_OK;
}

static sabot_status ids_of(struct binder *binder, const struct sets *sets, int32_t n_keys, const int64_t **out,
                           struct sabot_error *err) {
    int64_t *ids = arena_alloc(arena_of(binder), (size_t)sets->n * sizeof *ids);
    if (!ids) { return PLAN_NO_MEMORY(err); }
    for (int32_t s = 0; s < sets->n; s++) {
        int64_t same = 0;
        ids[s] = 0;
        for (int32_t i = 0; i < n_keys; i++) { ids[s] = ids[s] << 1 | !(sets->items[s] >> i & 1); }
        for (int32_t other = 0; other < s; other++) { same += sets->items[other] == sets->items[s]; }
        ids[s] |= same << n_keys;
    }
    *out = ids;
    return SABOT_OK;
}

/* Keys that are computed become columns, so that they are computed once. */
static sabot_status project_keys(struct binder *binder, const struct keys *keys, struct scope *scope, int32_t *columns,
                                 struct sabot_error *err) {
    struct plan *input = scope->plan;
    const int32_t n = input->schema->n_fields;
    struct plan_items items;
    SABOT_TRY(plan_first_items(binder->plans, input, n, keys->n, &items, err));
    for (int32_t i = 0; i < keys->n; i++) {
        columns[i] = keys->exprs[i]->index;
        if (expr_is_column(keys->exprs[i])) { continue; }
        items.names[items.n] = bind_column_name(binder, input, keys->exprs[i], "$key", i);
        items.exprs[items.n] = keys->exprs[i];
        columns[i] = items.n++;
    }
    if (items.n == n) { return SABOT_OK; }
    return plan_project(binder->plans, input, items.exprs, items.names, items.n, &scope->plan, err);
}

/* Puts an EXPAND over the scope's plan, whose columns keep their places: behind them stand the keys that some set
 * leaves out, then the id. */
static sabot_status expand(struct binder *binder, const struct sets *sets, struct scope *scope, struct sql_span span,
                           struct grouping *grouping, struct keys *keys, struct sabot_error *err) {
    struct arena *arena = arena_of(binder);
    struct grouping_sets *out = &grouping->sets;
    int32_t *columns = arena_alloc(arena, (size_t)(keys->n + 1) * sizeof *columns);
    if (!columns) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(project_keys(binder, keys, scope, columns, err));
    const struct plan *input = scope->plan;
    const int32_t n_input = input->schema->n_fields;
    const size_t most = (size_t)n_input + (size_t)keys->n + 1;
    int32_t *sources = arena_alloc(arena, most * (size_t)sets->n * sizeof *sources);
    int32_t *places = arena_alloc(arena, ((size_t)keys->n + 1) * sizeof *places);
    const char **names = arena_alloc(arena, most * sizeof *names);
    if (!sources || !places || !names) { return PLAN_NO_MEMORY(err); }
    struct expand_options options = {.sources = sources, .ids = out->ids, .n_columns = n_input, .n_sets = sets->n};
    for (int32_t i = 0; i < keys->n; i++) {
        bool always = true;
        for (int32_t s = 0; s < sets->n; s++) { always = always && (sets->items[s] >> i & 1); }
        places[i] = always ? columns[i] : options.n_columns;
        if (!always) { names[options.n_columns++] = input->schema->fields[columns[i]].name; }
    }
    for (int32_t i = 0; i < n_input; i++) { names[i] = input->schema->fields[i].name; }
    names[options.n_columns] = "$grouping_id";
    for (int32_t s = 0; s < sets->n; s++) {
        int32_t *of_set = sources + (size_t)s * (size_t)options.n_columns;
        for (int32_t i = 0; i < n_input; i++) { of_set[i] = i; }
        for (int32_t i = 0; i < keys->n; i++) {
            if (places[i] >= n_input) { of_set[places[i]] = sets->items[s] >> i & 1 ? columns[i] : -1; }
        }
    }
    SABOT_TRY(plan_expand(binder->plans, scope->plan, &options, names, span_of(span), &scope->plan, err));
    out->keys = arena_alloc(arena, ((size_t)keys->n + 1) * sizeof *out->keys);
    if (!out->keys) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < keys->n; i++) {
        SABOT_TRY(plan_column_ref(binder->plans, scope->plan, places[i], keys->exprs[i]->span, &out->keys[i], err));
    }
    SABOT_TRY(plan_column_ref(binder->plans, scope->plan, options.n_columns, span_of(span), &out->id, err));
    out->keys[keys->n] = out->id;
    *keys = (struct keys){.exprs = out->keys, .n = keys->n + 1};
    return SABOT_OK;
}

static int32_t exprs_of(const struct sql_groups *groups) {
    int32_t n = 0;
    for (unsigned i = 0; i < groups->count; i++) {
        const struct sql_group *group = &groups->items[i];
        const bool is_row = group->expr && group->expr->kind == SQL_EXPR_ROW;
        n += 1 + (is_row ? (int32_t)group->expr->list.count : 0) + exprs_of(&group->children);
    }
    return n;
}

sabot_status bind_group_keys(struct binder *binder, const struct sql_select *select, struct scope *scope,
                       struct grouping *grouping, struct keys *keys, struct sabot_error *err) {
    const struct sql_groups *groups = &select->group_by;
    keys->exprs = arena_alloc(arena_of(binder), ((size_t)exprs_of(groups) + 3) * sizeof *keys->exprs);
    if (!keys->exprs) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < groups->count; i++) {
        const struct sql_group *group = &groups->items[i];
        if (group->kind != SQL_GROUP_EXPR || !is_group_window(group->expr)) { continue; }
        SABOT_TRY(bind_group_window(binder, group->expr, scope, grouping, err));
    }
    const struct group_scope in = {.in = {.binder = binder, .scope = scope, .clause = "GROUP BY"}, .select = select,
                                   .keys = keys};
    struct sets sets = {0};
    SABOT_TRY(sets_new(&in, &sets, err));
    sets.items[sets.n++] = 0;
    for (unsigned i = 0; i < groups->count; i++) {
        const struct sql_group *group = &groups->items[i];
        if (group->kind == SQL_GROUP_EXPR && is_group_window(key_meant(select, scope, group->expr))) { continue; }
        SABOT_TRY(cross(&in, group, &sets, err));
    }
    if (grouping->window.is_set) {
        const int32_t columns[] = {grouping->window.start, grouping->window.end, grouping->window.time};
        for (int i = 0; i < 3; i++) {
            struct expr *expr = NULL;
            const struct source_span span = span_of(grouping->window.call->span);
            SABOT_TRY(plan_column_ref(binder->plans, scope->plan, columns[i], span, &expr, err));
            const int32_t at = add_key(keys, expr);
            for (int32_t s = 0; s < sets.n && at < 64; s++) { sets.items[s] |= UINT64_C(1) << at; }
        }
    }
    grouping->sets = (struct grouping_sets){.written = *keys, .sets = sets.items, .n_sets = sets.n};
    if (sets.n == 1) { return SABOT_OK; }
    const struct sql_span span = groups->items[0].span;
    if (sets.n == 0) { return SQL_FAIL(err, SABOT_ERR_PLAN, span, "GROUPING SETS needs a set"); }
    if (keys->n > SET_KEYS_MAX - 1) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, span, "grouping sets over more than %d columns", SET_KEYS_MAX - 1);
    }
    SABOT_TRY(ids_of(binder, &sets, keys->n, &grouping->sets.ids, err));
    return expand(binder, &sets, scope, span, grouping, keys, err);
}

/* ---- GROUPING ---------------------------------------------------------------------------------------------------- */

/* The keys that the arguments name. */
static sabot_status grouping_arguments(const struct expr_scope *in, const struct sql_call *of, int32_t *keys,
                                       struct sabot_error *err) {
    const struct grouping_sets *sets = &in->grouping->sets;
    struct expr_scope input = *in;
    input.grouping = NULL;
    input.clause = "GROUPING";
    for (unsigned i = 0; i < of->args.count; i++) {
        struct expr *bound = NULL;
        SABOT_TRY(bind_expr(&input, of->args.items[i], &bound, err));
        keys[i] = 0;
        while (keys[i] < sets->written.n && !expr_equal(sets->written.exprs[keys[i]], bound)) { keys[i]++; }
        if (keys[i] == sets->written.n) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, of->args.items[i]->span, "%s takes expressions of GROUP BY",
                            of->name.items[0].text);
        }
    }
    return SABOT_OK;
}

static int64_t grouping_value(const struct grouping_sets *sets, int32_t set, const int32_t *keys, unsigned n) {
    int64_t value = 0;
    for (unsigned i = 0; i < n; i++) { value = value << 1 | !(sets->sets[set] >> keys[i] & 1); }
    for (int32_t other = 0; n == 0 && other < set; other++) { value += sets->sets[other] == sets->sets[set]; }
    return value;
}

sabot_status bind_grouping_function(const struct expr_scope *in, const struct sql_expr *call, struct expr **out,
                                    struct sabot_error *err) {
    const struct sql_call *of = &call->call;
    const char *name = of->name.items[0].text;
    const struct source_span span = span_of(call->span);
    struct arena *arena = arena_of(in->binder);
    int32_t keys[SET_KEYS_MAX];
    if (!in->grouping || in->in_aggregate || in->grouping->sets.n_sets == 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, "%s needs GROUP BY, and can't stand in %s", name, in->clause);
    }
    const bool is_group_id = strcasecmp(name, "GROUP_ID") == 0;
    if (is_group_id ? of->args.count > 0 : of->args.count == 0 || of->args.count > SET_KEYS_MAX) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, call->span, is_group_id ? "%s takes no arguments"
                                                                     : "%s takes 1 to %d expressions of GROUP BY",
                        name, SET_KEYS_MAX);
    }
    SABOT_TRY(grouping_arguments(in, of, keys, err));
    const struct grouping_sets *sets = &in->grouping->sets;
    const struct type type = type_not_null(type_of(TYPE_INT64));
    struct expr **args = arena_alloc(arena, (2 * (size_t)sets->n_sets + 1) * sizeof *args);
    if (!args) { return PLAN_NO_MEMORY(err); }
    for (int32_t s = 0; s < sets->n_sets; s++) {
        const bool last = s + 1 == sets->n_sets;
        const int64_t value = grouping_value(sets, s, keys, of->args.count);
        SABOT_TRY(expr_literal(arena, type, &value, span, &args[2 * s + !last], err));
        if (last) { break; }
        struct expr *sides[2] = {sets->id, NULL};
        SABOT_TRY(expr_literal(arena, type, &sets->ids[s], span, &sides[1], err));
        SABOT_TRY(expr_call(arena, "=", sides, 2, span, &args[2 * s], err));
    }
    if (sets->n_sets == 1) {
        *out = args[0];
        return SABOT_OK;
    }
    return expr_case(arena, args, 2 * sets->n_sets - 1, span, out, err);
}
