/* Changelogs: what of inserts, updates and deletes comes out of each node, and by which key its rows are replaced.
 *
 * Bottom-up: scans give inserts, but for those of changelogs;
 * GROUP BY without a window, outer joins and ROW_NUMBER give updates; whatever stands
 * above passes them on or can't take them. Top-down: -U is given out only where something above needs it, which is all
 * but a sink that replaces rows by exactly the key. The nodes are annotated in place: it is the last rule. */
#include "plan/rules.h"

#include <inttypes.h>
#include <string.h>

#include "ops/aggregate/aggregator.h"

static struct plan_changes no_changes(void) { return (struct plan_changes){.n_key = -1}; }

/* What people call the node in a message. */
static const char *name_of(const struct plan *plan) {
    switch (plan->kind) {
    case PLAN_AGGREGATE:
        return plan->aggregate.is_distinct ? "DISTINCT" : plan->aggregate.n_keys ? "GROUP BY without a window"
                                                                                 : "an aggregate without a window";
    case PLAN_RANK: return plan->rank.of_sort ? "ORDER BY .. LIMIT over an unbounded table" : "ROW_NUMBER()";
    case PLAN_SCAN: return "a table that is a changelog";
    case PLAN_WINDOW_AGGREGATE: return "a window with early results or allowed lateness";
    case PLAN_JOIN:
        switch (plan->join.kind) {
        case PLAN_JOIN_INNER:
        case PLAN_JOIN_CROSS: return "the join";
        case PLAN_JOIN_SEMI: return "IN or EXISTS";
        case PLAN_JOIN_ANTI: return "NOT IN or NOT EXISTS";
        default: return "the outer join";
        }
    default: return "the query";
    }
}

static sabot_status cannot_take(const struct plan *plan, const struct plan *input, const char *what,
                                struct sabot_error *err) {
    const struct plan *cause = input->changes.cause;
    return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, plan->span,
                     "%s can't take rows that are updated later, and %s (line %" PRIu32 ", column %" PRIu32
                     ") gives such rows", what, name_of(cause), cause->span.line, cause->span.column);
}

/* The column that an expression passes on, perhaps in a wider type: different values stay different. -1: none. */
static int32_t passed_column(const struct expr *expr) {
    while (expr->kind == EXPR_CAST && !expr->try_cast) {
        const struct type from = expr->args[0]->type, to = expr->type;
        const bool widens = type_is_integer(from) && type_is_integer(to) && phys_size(type_phys(from)) <=
                                                                                phys_size(type_phys(to));
        const bool grows = from.kind == TYPE_STRING && to.kind == TYPE_STRING && !from.fixed_length &&
                           !to.fixed_length && to.length >= from.length;
        if (!widens && !grows) { return -1; }
        expr = expr->args[0];
    }
    return expr_is_column(expr) ? expr->index : -1;
}

/* The key of the input, found again in the projection. */
static sabot_status project_key(struct plan_arena *plans, const struct plan *plan, struct plan_changes *changes,
                                struct sabot_error *err) {
    if (changes->n_key < 0) { return SABOT_OK; }
    int32_t *key = arena_alloc(&plans->arena, (size_t)(changes->n_key + 1) * sizeof *key);
    if (!key) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < changes->n_key; i++) {
        int32_t at = 0;
        while (at < plan->schema->n_fields && passed_column(plan->project.exprs[at]) != changes->key[i]) { at++; }
        if (at == plan->schema->n_fields) {
            changes->n_key = -1;
            return SABOT_OK;
        }
        key[i] = at;
    }
    changes->key = key;
    return SABOT_OK;
}

/* A changelog by primary key, which the scan keeps. */
static sabot_status scan_changes(struct plan_arena *plans, const struct plan *plan, struct plan_changes *changes,
                                 struct sabot_error *err) {
    const struct plan_table *table = plan->scan.table;
    if (!table->connector->source || !table->connector->source->upserts) { return SABOT_OK; }
    int32_t *key = arena_alloc(&plans->arena, (size_t)(table->n_primary_key + 1) * sizeof *key);
    if (!key) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < table->n_primary_key; i++) {
        int32_t at = 0;
        while (plan->scan.picked[at] != table->primary_key[i]) { at++; }
        key[i] = at;
    }
    *changes = (struct plan_changes){.updating = true, .deletes = true, .cause = plan, .key = key,
                                     .n_key = table->n_primary_key};
    return SABOT_OK;
}

static sabot_status aggregate_changes(struct plan_arena *plans, const struct plan *plan, struct plan_changes *changes,
                                      struct sabot_error *err) {
    const struct plan *input = plan->inputs[0];
    if (plan->aggregate.settles || (!input->changes.updating && input->bounded)) { return SABOT_OK; } /* at the end */
    changes->updating = true;
    changes->deletes = input->changes.updating;
    changes->cause = plan;
    changes->n_key = plan->aggregate.n_keys;
    return plan_first_columns(plans, plan->aggregate.n_keys, &changes->key, err);
}

/* A group of a window is one row, which may come again. Which window it is, its end tells. */
static sabot_status window_changes(struct plan_arena *plans, const struct plan *plan, struct plan_changes *changes,
                                   struct sabot_error *err) {
    const int32_t n_keys = plan->window_aggregate.n_keys;
    if (!plan->window_aggregate.emit.updates) { return SABOT_OK; }
    changes->updating = true;
    changes->cause = plan;
    int32_t *key = arena_alloc(&plans->arena, (size_t)(n_keys + 1) * sizeof *key);
    if (!key) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n_keys; i++) { key[i] = i; }
    changes->key = key;
    if (plan->window_aggregate.attached) {
        changes->n_key = n_keys;
        return SABOT_OK;
    }
    int32_t found = -1;
    for (int32_t i = 0; i < plan->window_aggregate.n_properties; i++) {
        const enum window_property property = plan->window_aggregate.properties[i];
        const bool tells = property != WINDOW_START || plan->window_aggregate.spec.kind != WINDOW_CUMULATE;
        if (tells && (found < 0 || property == WINDOW_END)) { found = i; }
    }
    if (found < 0) { return SABOT_OK; } /* no column of the result tells which window it is */
    key[n_keys] = n_keys + plan->window_aggregate.n_calls + found;
    changes->n_key = n_keys + 1;
    return SABOT_OK;
}

static bool holds_all(const int32_t *columns, int32_t n, const int32_t *wanted, int32_t n_wanted) {
    for (int32_t i = 0; i < n_wanted; i++) {
        int32_t at = 0;
        while (at < n && columns[at] != wanted[i]) { at++; }
        if (at == n) { return false; }
    }
    return true;
}

/* Whether a key of one side is a key of the result: its rows find at most one of the other side, and come to the join
 * by columns of their key only. Otherwise a row whose join key changes leaves one task and comes out of another, and
 * who replaces rows by their key may see that in any order. */
static bool keeps_key(const struct plan *plan, int32_t side) {
    const struct plan_changes *own = &plan->inputs[side]->changes, *other = &plan->inputs[1 - side]->changes;
    const int32_t *own_keys = side == 0 ? plan->join.left_keys : plan->join.right_keys;
    const int32_t *other_keys = side == 0 ? plan->join.right_keys : plan->join.left_keys;
    const int32_t n = plan->join.n_keys;
    const enum plan_join_kind kind = plan->join.kind;
    const bool tests = kind == PLAN_JOIN_SEMI || kind == PLAN_JOIN_ANTI;
    const bool pads_other = kind == PLAN_JOIN_FULL || kind == (side == 0 ? PLAN_JOIN_RIGHT : PLAN_JOIN_LEFT);
    if (own->n_key < 0 || pads_other || !holds_all(own->key, own->n_key, own_keys, n)) { return false; }
    return tests ? side == 0 : other->n_key >= 0 && holds_all(other_keys, n, other->key, other->n_key);
}

static sabot_status join_key(struct plan_arena *plans, const struct plan *plan, struct plan_changes *changes,
                             struct sabot_error *err) {
    const int32_t side = keeps_key(plan, 0) ? 0 : 1;
    if (side == 1 && !keeps_key(plan, 1)) { return SABOT_OK; }
    const struct plan_changes *own = &plan->inputs[side]->changes;
    const int32_t first = side == 0 ? 0 : plan->inputs[0]->schema->n_fields;
    int32_t *key = arena_alloc(&plans->arena, (size_t)(own->n_key + 1) * sizeof *key);
    if (!key) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < own->n_key; i++) { key[i] = first + own->key[i]; }
    changes->key = key;
    changes->n_key = own->n_key;
    return SABOT_OK;
}

static sabot_status join_changes(struct plan_arena *plans, const struct plan *plan, struct plan_changes *changes,
                                 struct sabot_error *err) {
    const enum plan_join_kind kind = plan->join.kind;
    if (plan->join.time == PLAN_JOIN_LOOKUP) { /* each row for itself; the table's rows are not followed */
        *changes = plan->inputs[0]->changes;
        changes->n_key = -1;
        return SABOT_OK;
    }
    for (int32_t i = 0; i < 2; i++) {
        const struct plan *input = plan->inputs[i];
        if (input->changes.updating && plan->join.time != PLAN_JOIN_REGULAR) {
            return cannot_take(plan, input, "a join by window or by time interval", err);
        }
        if (input->changes.updating && !changes->updating) {
            changes->updating = true;
            changes->cause = input->changes.cause;
        }
        changes->deletes = changes->deletes || input->changes.updating;
    }
    /* A row may come out before its match does. */
    const bool turns = kind != PLAN_JOIN_INNER && kind != PLAN_JOIN_CROSS && kind != PLAN_JOIN_SEMI;
    if (plan->join.time == PLAN_JOIN_REGULAR && turns) {
        changes->updating = changes->deletes = true;
        changes->cause = plan;
    }
    return plan->join.time == PLAN_JOIN_REGULAR && changes->updating ? join_key(plans, plan, changes, err) : SABOT_OK;
}

static sabot_status rank_changes(struct plan_arena *plans, const struct plan *plan, struct plan_changes *changes,
                                 struct sabot_error *err) {
    const int32_t n_keys = plan->rank.n_keys;
    changes->updating = changes->deletes = true;
    changes->cause = plan;
    if (!plan->rank.output_rank && !(plan->rank.limit == plan->rank.first)) { return SABOT_OK; }
    int32_t *key = arena_alloc(&plans->arena, (size_t)(n_keys + 2) * sizeof *key);
    if (!key) { return PLAN_NO_MEMORY(err); }
    if (n_keys > 0) { memcpy(key, plan->rank.keys, (size_t)n_keys * sizeof *key); }
    changes->key = key;
    changes->n_key = n_keys;
    if (plan->rank.output_rank) { key[changes->n_key++] = plan->schema->n_fields - 1; }
    return SABOT_OK;
}

/* ---- ORDER BY, LIMIT --------------------------------------------------------------------------------------------- */

/* What is left of a bounded changelog at its end: each different row, and then as often as it is there. */
static sabot_status settled(struct plan_arena *plans, struct plan *input, struct plan **out, struct sabot_error *err) {
    static const char *const names[] = {"$times"};
    const int32_t n = input->schema->n_fields;
    const int32_t *columns = NULL;
    if (n > AGGREGATOR_KEYS_MAX) {
        return PLAN_FAIL(err, SABOT_ERR_UNSUPPORTED, input->span,
                         "ORDER BY and LIMIT over rows that are updated count each different row, of at most %d "
                         "columns, and here are %d: select fewer", AGGREGATOR_KEYS_MAX, n);
    }
    struct aggregate_call *count = ARENA_NEW(&plans->arena, struct aggregate_call);
    if (!count) { return PLAN_NO_MEMORY(err); }
    *count = (struct aggregate_call){.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1,
                                     .type = type_not_null(type_of(TYPE_INT64))};
    SABOT_TRY(plan_first_columns(plans, n, &columns, err));
    SABOT_TRY(plan_aggregate(plans, input, columns, n, count, names, 1, false, input->span, out, err));
    (*out)->aggregate.settles = true;
    return plan_repeat_rows(plans, *out, out, err);
}

/* ORDER BY .. LIMIT over unbounded input: the first rows so far, a changelog (Flink's SortLimit). */
static sabot_status sort_to_rank(struct plan_arena *plans, struct plan *plan, struct sabot_error *err) {
    const struct sort_key *keys = plan->sort.keys;
    const int32_t n_keys = plan->sort.n_keys, n = plan->schema->n_fields;
    const int64_t first = plan->sort.offset + 1, limit = plan->sort.limit;
    /* no time attributes */
    struct plan_column *columns = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *columns);
    if (!columns) { return PLAN_NO_MEMORY(err); }
    plan->kind = PLAN_RANK;
    plan->columns = columns;
    memset(&plan->rank, 0, sizeof plan->rank);
    plan->rank.order = keys;
    plan->rank.n_order = n_keys;
    plan->rank.first = first;
    plan->rank.limit = limit > INT64_MAX - first ? INT64_MAX : first + limit - 1;
    plan->rank.of_sort = true;
    return SABOT_OK;
}

static sabot_status derive(struct plan_arena *plans, struct plan *plan, struct sabot_error *err);

static sabot_status sort_changes(struct plan_arena *plans, struct plan *plan, struct sabot_error *err) {
    struct plan *input = plan->inputs[0];
    if (!input->changes.updating) { return SABOT_OK; }
    if (!plan->bounded) { return cannot_take(plan, input, plan->kind == PLAN_SORT ? "ORDER BY" : "LIMIT", err); }
    struct plan **inputs = arena_alloc(&plans->arena, sizeof *inputs);
    if (!inputs) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(settled(plans, input, &inputs[0], err));
    plan->inputs = inputs;
    return derive(plans, inputs[0], err);
}

static sabot_status derive(struct plan_arena *plans, struct plan *plan, struct sabot_error *err) {
    struct plan_changes changes = no_changes();
    if (plan->kind == PLAN_SORT && !plan->bounded && plan->sort.limit >= 0) {
        SABOT_TRY(sort_to_rank(plans, plan, err));
    }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        SABOT_TRY(derive(plans, plan->inputs[i], err));
    }
    const struct plan *input = plan->n_inputs ? plan->inputs[0] : NULL;
    switch (plan->kind) {
    case PLAN_SCAN: SABOT_TRY(scan_changes(plans, plan, &changes, err)); break;
    case PLAN_VALUES: break;
    case PLAN_FILTER:
    case PLAN_SINK: changes = input->changes; break;
    case PLAN_PROJECT:
        changes = input->changes;
        SABOT_TRY(project_key(plans, plan, &changes, err));
        break;
    case PLAN_WINDOW:
    case PLAN_ARRIVAL:
    case PLAN_WINDOW_AGGREGATE:
        if (input->changes.updating) { return cannot_take(plan, input, "a window", err); }
        if (plan->kind == PLAN_WINDOW_AGGREGATE) { SABOT_TRY(window_changes(plans, plan, &changes, err)); }
        break;
    case PLAN_PROCESS:
        if (input->changes.updating) { return cannot_take(plan, input, "a process function", err); }
        break;
    case PLAN_OVER:
        if (input->changes.updating) { return cannot_take(plan, input, "an OVER aggregate", err); }
        break;
    case PLAN_EXPAND: /* no row of a key is the only one any more */
    case PLAN_UNNEST:
        changes = input->changes;
        changes.n_key = -1;
        changes.deletes = changes.updating;
        break;
    case PLAN_AGGREGATE: SABOT_TRY(aggregate_changes(plans, plan, &changes, err)); break;
    case PLAN_UNION:
        for (int32_t i = plan->n_inputs - 1; i >= 0; i--) {
            if (!plan->inputs[i]->changes.updating) { continue; }
            changes.updating = true;
            changes.cause = plan->inputs[i]->changes.cause;
            changes.deletes = changes.deletes || plan->inputs[i]->changes.deletes;
        }
        break;
    case PLAN_SORT:
    case PLAN_LIMIT: SABOT_TRY(sort_changes(plans, plan, err)); break;
    case PLAN_JOIN: SABOT_TRY(join_changes(plans, plan, &changes, err)); break;
    case PLAN_RANK: SABOT_TRY(rank_changes(plans, plan, &changes, err)); break;
    }
    /* Behind a filter an update of a row that it keeps may be one that it drops. */
    if (plan->kind == PLAN_FILTER && changes.updating) { changes.deletes = true; }
    plan->changes = changes;
    return SABOT_OK;
}

/* ---- who needs -U ------------------------------------------------------------------------------------------------ */

static void mark_before(struct plan *plan, bool before) {
    plan->changes.before = (before || plan->kind == PLAN_FILTER) && plan->changes.updating;
    const bool passes = plan->kind == PLAN_PROJECT || plan->kind == PLAN_SINK;
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        mark_before(plan->inputs[i], passes ? before : true);
    }
}

/* Whether the primary key of the sink's table is the key of what it gets. */
static bool is_primary_key(const struct plan *sink) {
    const struct plan_table *table = sink->sink.table;
    const struct plan_changes *changes = &sink->changes;
    if (table->n_primary_key == 0 || changes->n_key != table->n_primary_key) { return false; }
    for (int32_t i = 0; i < changes->n_key; i++) {
        bool found = false;
        for (int32_t j = 0; j < table->n_primary_key; j++) {
            found = found || sink->sink.picked[changes->key[i]] == table->primary_key[j];
        }
        if (!found) { return false; }
    }
    return true;
}

static sabot_status check_sink(struct plan *sink, bool *before, struct sabot_error *err) {
    const struct plan_table *table = sink->sink.table;
    const struct plan *cause = sink->changes.cause;
    const uint32_t accepts = table->connector->sink->accepts;
    *before = true;
    if (!sink->changes.updating) { return SABOT_OK; }
    if ((accepts & SINK_UPSERTS) && is_primary_key(sink)) {
        *before = false;
        return SABOT_OK;
    }
    if (accepts & SINK_RETRACTS) { return SABOT_OK; }
    if (accepts & SINK_UPSERTS) {
        return PLAN_FAIL(err, SABOT_ERR_PLAN, cause->span,
                         "%s updates its result, and table \"%s\" (connector '%s') replaces rows by its primary "
                         "key, %s", name_of(cause), table->name, table->connector->name,
                         table->n_primary_key ? "which is not the key of this result" : "of which none is declared");
    }
    return PLAN_FAIL(err, SABOT_ERR_PLAN, cause->span,
                     "%s updates its result, and table \"%s\" (connector '%s') takes inserted rows only",
                     name_of(cause), table->name, table->connector->name);
}

sabot_status rule_changes(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err) {
    bool before = true;
    *out = plan;
    SABOT_TRY(derive(plans, plan, err));
    if (plan->kind == PLAN_SINK) { SABOT_TRY(check_sink(plan, &before, err)); }
    mark_before(plan, before);
    return SABOT_OK;
}
