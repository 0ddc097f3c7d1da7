/* Plans as text. */
#include "plan/explain.h"

#include "arrow/widen.h"
#include "base/encode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void print_names(const struct schema *schema, struct text *target) {
    for (int32_t i = 0; i < schema->n_fields; i++) {
        text_format(target, "%s%s", i ? ", " : "", schema->fields[i].name);
    }
}

static void print_columns(const struct schema *schema, const int32_t *columns, int32_t n, struct text *target) {
    for (int32_t i = 0; i < n; i++) {
        text_format(target, "%s%s", i ? ", " : "", schema->fields[columns[i]].name);
    }
}

static void print_call(const struct aggregate_call *call, const struct schema *input, struct text *target) {
    static const char *const names[] = {"COUNT", "COUNT", "SUM", "AVG", "MIN", "MAX", "FIRST_VALUE", "LAST_VALUE",
                                        "LISTAGG", "ARRAY_AGG"};
    text_format(target, "%s(%s%s)", names[call->kind], call->distinct ? "DISTINCT " : "",
                call->argument < 0 ? "*" : input->fields[call->argument].name);
    if (call->filter >= 0) { text_format(target, " FILTER %s", input->fields[call->filter].name); }
}

static void print_calls(const struct plan *node, const struct aggregate_call *calls, int32_t n_calls, int32_t n_keys,
                        struct text *target) {
    for (int32_t i = 0; i < n_calls; i++) {
        text_add(target, i ? ", " : "");
        print_call(&calls[i], node->inputs[0]->schema, target);
        text_format(target, " AS %s", node->schema->fields[n_keys + i].name);
    }
}

static void explain_scan(const struct plan *node, struct text *target) {
    text_format(target, "TableSourceScan(table=[%s], fields=[", node->scan.table->name);
    print_names(node->schema, target);
    text_add(target, "]");
    if (node->scan.exprs) {
        bool pruned = node->scan.n_reads < node->scan.table->n_columns;
        for (int32_t i = 0; i < node->scan.n_reads; i++) {
            pruned =
                pruned || !type_same(node->scan.read_types[i], node->scan.table->columns[node->scan.reads[i]].type);
        }
        if (pruned) {
            char type[512];
            text_add(target, ", reads=[");
            for (int32_t i = 0; i < node->scan.n_reads; i++) {
                text_format(target, "%s%s", i ? ", " : "", node->scan.table->columns[node->scan.reads[i]].name);
                if (node->scan.read_types[i].kind == TYPE_ROW) {
                    type_print(type_nullable(node->scan.read_types[i]), type, sizeof type);
                    text_format(target, " %s", type);
                }
            }
            text_add(target, "]");
        }
    }
    if (node->scan.watermark) {
        text_add(target, ", watermark=[");
        expr_print(node->scan.watermark, node->schema, target);
        text_add(target, "]");
    }
    if (node->scan.filter) {
        text_add(target, ", filter=[");
        expr_print(node->scan.filter, node->schema, target);
        text_add(target, "]");
    }
    text_add(target, ")");
}

static void explain_values(const struct plan *node, struct text *target) {
    const int32_t n = node->schema->n_fields, shown = node->values.n_rows < 8 ? node->values.n_rows : 8;
    text_add(target, "Values(tuples=[");
    for (int32_t row = 0; row < shown; row++) {
        text_add(target, row ? ", {" : "{");
        for (int32_t i = 0; i < n; i++) {
            text_add(target, i ? ", " : " ");
            expr_print(node->values.cells[(int64_t)row * n + i], NULL, target);
        }
        text_add(target, " }");
    }
    if (shown < node->values.n_rows) { text_format(target, ", ... %d rows", node->values.n_rows); }
    text_add(target, "])");
}

static void explain_project(const struct plan *node, struct text *target) {
    text_add(target, "Project(");
    for (int32_t i = 0; i < node->schema->n_fields; i++) {
        const char *name = node->schema->fields[i].name;
        struct text expression = {0};
        expr_print(node->project.exprs[i], node->inputs[0]->schema, &expression);
        text_add(target, i ? ", " : "");
        if (strcmp(text_string(&expression), name) == 0) { /* a column, or what is named by its text */
            text_add(target, name);
        } else {
            text_format(target, "%s=[%s]", name, text_string(&expression));
        }
        text_clear(&expression);
    }
    text_add(target, ")");
}

static void explain_aggregate(const struct plan *node, struct text *target) {
    text_add(target, node->aggregate.is_distinct ? "Distinct(" : node->aggregate.settles ? "Settle("
                                                                                         : "GroupAggregate(");
    if (node->aggregate.n_keys > 0) {
        text_add(target, "groupBy=[");
        print_columns(node->inputs[0]->schema, node->aggregate.keys, node->aggregate.n_keys, target);
        text_add(target, node->aggregate.n_calls ? "], " : "]");
    }
    if (node->aggregate.n_calls > 0) {
        text_add(target, "select=[");
        print_calls(node, node->aggregate.calls, node->aggregate.n_calls, node->aggregate.n_keys, target);
        text_add(target, "]");
    }
    text_add(target, ")");
}

static void print_emit(const struct window_emit *emit, struct text *target) {
    if (!emit->updates) { return; }
    text_add(target, ", emit=[");
    if (emit->early_ms >= 0) {
        text_add(target, "early every ");
        duration_print(emit->early_ms, target);
        text_add(target, emit->lateness_ms ? ", " : "");
    }
    if (emit->lateness_ms) {
        text_add(target, "late every ");
        duration_print(emit->late_ms, target);
        text_add(target, " until ");
        duration_print(emit->lateness_ms, target);
    }
    text_add(target, "]");
}

static void explain_window_aggregate(const struct plan *node, bool local, struct text *target) {
    static const char *const properties[] = {"window_start", "window_end", "window_time"};
    const struct schema *input = node->inputs[0]->schema;
    text_add(target, local ? "LocalWindowAggregate(" : "WindowAggregate(");
    if (node->window_aggregate.n_keys > 0) {
        text_add(target, "groupBy=[");
        print_columns(input, node->window_aggregate.keys, node->window_aggregate.n_keys, target);
        text_add(target, "], ");
    }
    text_add(target, "window=[");
    if (node->window_aggregate.attached) {
        text_format(target, "attached, window_end=[%s]", input->fields[node->window_aggregate.spec.time_column].name);
    } else {
        window_print(&node->window_aggregate.spec, target);
        text_format(target, ", time_col=[%s]", input->fields[node->window_aggregate.spec.time_column].name);
    }
    text_add(target, "], select=[");
    print_calls(node, node->window_aggregate.calls, node->window_aggregate.n_calls, node->window_aggregate.n_keys,
                target);
    for (int32_t i = 0; i < node->window_aggregate.n_properties && !local; i++) {
        text_format(target, "%s%s", i || node->window_aggregate.n_calls ? ", " : "",
                    properties[node->window_aggregate.properties[i]]);
    }
    text_add(target, "]");
    print_emit(&node->window_aggregate.emit, target);
    text_add(target, ")");
}

static void print_order(const struct schema *schema, const struct sort_key *keys, int32_t n, struct text *target) {
    for (int32_t i = 0; i < n; i++) {
        text_format(target, "%s%s %s", i ? ", " : "", schema->fields[keys[i].column].name,
                    keys[i].descending ? "DESC" : "ASC");
        if (keys[i].nulls_first == keys[i].descending) {
            text_add(target, keys[i].nulls_first ? " NULLS FIRST" : " NULLS LAST");
        }
    }
}

static void explain_sort(const struct plan *node, struct text *target) {
    text_add(target, node->kind == PLAN_SORT ? "Sort(" : "Limit(");
    if (node->kind == PLAN_SORT) {
        text_add(target, "orderBy=[");
        print_order(node->schema, node->sort.keys, node->sort.n_keys, target);
        text_add(target, "]");
    }
    const char *comma = node->kind == PLAN_SORT ? ", " : "";
    if (node->sort.limit >= 0) {
        text_format(target, "%slimit=[%" PRId64 "]", comma, node->sort.limit);
        comma = ", ";
    }
    if (node->sort.offset > 0) { text_format(target, "%soffset=[%" PRId64 "]", comma, node->sort.offset); }
    text_add(target, ")");
}

/* A condition over the columns of both sides; with_sides: their names say of which. */
static void print_pair_expr(const struct plan *join, const struct expr *expr, bool with_sides, struct text *target) {
    static const char *const sides[] = {"left.", "right."};
    const int32_t n_left = join->inputs[0]->schema->n_fields, n = n_left + join->inputs[1]->schema->n_fields;
    struct field *fields = calloc((size_t)n + 1, sizeof *fields);
    struct text *names = calloc((size_t)n + 1, sizeof *names);
    for (int32_t i = 0; i < n && fields && names; i++) {
        const bool right = i >= n_left;
        fields[i] = join->inputs[right]->schema->fields[right ? i - n_left : i];
        text_format(&names[i], "%s%s", with_sides ? sides[right] : "", fields[i].name);
        fields[i].name = text_string(&names[i]);
    }
    if (fields && names) {
        expr_print(expr, &(struct schema){.n_fields = n, .fields = fields}, target);
        for (int32_t i = 0; i < n; i++) { text_clear(&names[i]); }
    } else {
        target->failed = true;
    }
    free(names);
    free(fields);
}

static void print_bounds(const struct plan *node, struct text *target) {
    if (node->join.time == PLAN_JOIN_INTERVAL) {
        text_format(target, ", bounds=[%s - %s from ", node->inputs[0]->schema->fields[node->join.left_time].name,
                    node->inputs[1]->schema->fields[node->join.right_time].name);
        duration_print(node->join.lower_ms, target);
        text_add(target, " to ");
        duration_print(node->join.upper_ms, target);
        text_add(target, "]");
    }
}

static void print_condition(const struct plan *node, const struct expr *condition, bool with_sides,
                            struct text *target) {
    if (!condition) { return; }
    text_add(target, ", where=[");
    print_pair_expr(node, condition, with_sides, target);
    text_add(target, "]");
}

static void explain_join(const struct plan *node, struct text *target) {
    static const char *const kinds[] = {"InnerJoin", "LeftOuterJoin", "RightOuterJoin", "FullOuterJoin",
                                        "CrossJoin", "LeftSemiJoin",  "LeftAntiJoin"};
    static const char *const times[] = {"Join", "IntervalJoin", "WindowJoin", "LookupJoin"};
    text_format(target, "%s(joinType=[%s]", times[node->join.time], kinds[node->join.kind]);
    if (node->join.n_keys > 0) {
        text_add(target, ", on=[");
        for (int32_t i = 0; i < node->join.n_keys; i++) {
            text_format(target, "%s%s = %s", i ? ", " : "",
                        node->inputs[0]->schema->fields[node->join.left_keys[i]].name,
                        node->inputs[1]->schema->fields[node->join.right_keys[i]].name);
        }
        text_add(target, "]");
    }
    print_bounds(node, target);
    print_condition(node, node->join.condition, false, target);
    text_add(target, ")");
}

static void explain_rank(const struct plan *node, struct text *target) {
    const struct schema *input = node->inputs[0]->schema;
    text_add(target, "Rank(strategy=[ROW_NUMBER]");
    if (node->rank.limit >= 0) {
        text_format(target, ", rankRange=[rankStart=%" PRId64 ", rankEnd=%" PRId64 "]", node->rank.first,
                    node->rank.limit);
    }
    if (node->rank.n_keys > 0) {
        text_add(target, ", partitionBy=[");
        print_columns(input, node->rank.keys, node->rank.n_keys, target);
        text_add(target, "]");
    }
    text_add(target, ", orderBy=[");
    print_order(input, node->rank.order, node->rank.n_order, target);
    text_format(target, "]%s)", node->rank.output_rank ? "" : ", outputRank=[false]");
}

static void explain_process(const struct plan *node, struct text *target) {
    const struct schema *input = node->inputs[0]->schema;
    text_format(target, "ProcessTableFunction(invocation=[%s]", node->process.function->name);
    if (node->process.uid) { text_format(target, ", uid=[%s]", node->process.uid); }
    if (node->process.n_keys > 0) {
        text_add(target, ", partitionBy=[");
        print_columns(input, node->process.keys, node->process.n_keys, target);
        text_add(target, "]");
    }
    if (node->process.time_column >= 0) {
        text_format(target, ", onTime=[%s]", input->fields[node->process.time_column].name);
    }
    text_add(target, ", select=[");
    print_names(node->schema, target);
    text_add(target, "])");
}

static void print_frame(const struct over_options *over, const struct schema *input, struct text *target) {
    const bool rows = over->frame == OVER_ROWS || over->frame == OVER_UNBOUNDED_ROWS;
    text_add(target, rows ? "ROWS BETWEEN " : "RANGE BETWEEN ");
    if (over->frame == OVER_ROWS) {
        text_format(target, "%" PRId64, over->preceding);
    } else if (over->frame == OVER_RANGE) {
        duration_print(over->preceding / timestamp_units_per_ms_num(input->fields[over->time_column].type), target);
    } else {
        text_add(target, "UNBOUNDED");
    }
    text_add(target, " PRECEDING AND CURRENT ROW");
}

static void explain_over(const struct plan *node, struct text *target) {
    static const char *const functions[] = {"", "ROW_NUMBER()", "RANK()", "DENSE_RANK()", "LAG"};
    const struct schema *input = node->inputs[0]->schema;
    const struct over_options *over = &node->over;
    text_add(target, "OverAggregate(");
    if (over->n_keys > 0) {
        text_add(target, "partitionBy=[");
        print_columns(input, over->keys, over->n_keys, target);
        text_add(target, "], ");
    }
    text_format(target, "orderBy=[%s ASC], window=[", input->fields[over->time_column].name);
    print_frame(over, input, target);
    text_add(target, "], select=[");
    for (int32_t i = 0; i < over->n_calls; i++) {
        const struct over_call *call = &over->calls[i];
        text_add(target, i ? ", " : "");
        if (call->function == OVER_AGGREGATE) {
            print_call(&call->aggregate, input, target);
        } else {
            text_add(target, functions[call->function]);
            if (call->function == OVER_LAG) {
                text_format(target, "(%s, %" PRId64 ")", input->fields[call->aggregate.argument].name, call->offset);
            }
        }
        text_format(target, " AS %s", node->schema->fields[input->n_fields + i].name);
    }
    text_add(target, "])");
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* What a list holds is a text already. Calls may change places, as their columns may. */
static void meaning_of_calls(const struct plan *node, const struct aggregate_call *calls, int32_t n_calls,
                             struct text *target) {
    char **items = calloc((size_t)n_calls + 1, sizeof *items);
    int32_t n = 0;
    target->failed |= !items;
    for (int32_t i = 0; i < n_calls && items; i++) {
        if (calls[i].kind != AGGREGATE_LISTAGG) { continue; }
        struct text item = {0};
        print_call(&calls[i], node->inputs[0]->schema, &item);
        text_add(&item, " with ");
        text_add_json(&item, string_view_data(&calls[i].separator), calls[i].separator.size);
        items[n] = strdup(text_string(&item));
        target->failed |= item.failed || !items[n];
        n += items[n] != NULL;
        text_clear(&item);
    }
    if (n > 1) { qsort(items, (size_t)n, sizeof *items, by_text); }
    for (int32_t i = 0; i < n; i++) {
        text_format(target, "%s%s", target->size ? ", " : "", items[i]);
        free(items[i]);
    }
    free(items);
}

/* The condition without casts that only widen: they come and go with the types of columns, which may become wider. */
static const struct expr *without_widening(struct arena *arena, const struct expr *expr) {
    while (expr->kind == EXPR_CAST && !expr->try_cast && type_widens(expr->args[0]->type, expr->type)) {
        expr = expr->args[0];
    }
    if (expr->n_args == 0) { return expr; }
    struct expr *copy = ARENA_NEW(arena, struct expr);
    struct expr **args = arena_alloc(arena, (size_t)expr->n_args * sizeof *args);
    if (!copy || !args) { return expr; } /* `exhausted` says so */
    *copy = *expr;
    copy->args = args;
    for (int32_t i = 0; i < expr->n_args; i++) {
        args[i] = (struct expr *)(uintptr_t)without_widening(arena, expr->args[i]);
    }
    return copy;
}

static void meaning_of_join(const struct plan *node, struct text *target) {
    static const char *const kinds[] = {"an inner", "a left", "a right", "a full", "an inner", "a semi", "an anti"};
    static const char *const times[] = {"", " by time", " by window", " with a table as it is"};
    text_format(target, "%s join%s", kinds[node->join.kind], times[node->join.time]);
    print_bounds(node, target);
    /* an inner join keeps the rows of both sides as they come, and a condition only says which pairs come out: it is
     * as well a WHERE above */
    if (node->join.kind == PLAN_JOIN_INNER || node->join.kind == PLAN_JOIN_CROSS || !node->join.condition) { return; }
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    print_condition(node, without_widening(&arena, node->join.condition), true, target);
    target->failed |= arena.exhausted;
    arena_clear(&arena);
}

static void meaning_of_window(const struct plan *node, struct text *target) {
    const struct schema *input = node->inputs[0]->schema;
    const struct window_spec *spec = &node->window_aggregate.spec;
    if (node->window_aggregate.attached) {
        text_add(target, "windows of the input");
    } else {
        window_print(spec, target);
    }
    text_format(target, " by %s", input->fields[spec->time_column].name);
    meaning_of_calls(node, node->window_aggregate.calls, node->window_aggregate.n_calls, target);
}

void explain_meaning(const struct plan *node, struct text *target) {
    const struct schema *input = node->n_inputs ? node->inputs[0]->schema : NULL;
    switch (node->kind) {
    case PLAN_AGGREGATE:
        if (node->aggregate.is_distinct) { text_add(target, "different rows"); }
        meaning_of_calls(node, node->aggregate.calls, node->aggregate.n_calls, target);
        break;
    case PLAN_WINDOW_AGGREGATE: meaning_of_window(node, target); break;
    case PLAN_JOIN: meaning_of_join(node, target); break;
    case PLAN_RANK:
        text_format(target, "rows %" PRId64 " to %" PRId64 " in the order of ", node->rank.first, node->rank.limit);
        print_order(input, node->rank.order, node->rank.n_order, target);
        break;
    case PLAN_SORT: /* runs are sorted again where the order differs, but what a limit has left out is gone */
        if (node->sort.limit < 0) { break; }
        text_format(target, "rows %" PRId64 " to %" PRId64 " + %" PRId64 " in the order of ", node->sort.offset + 1,
                    node->sort.offset, node->sort.limit);
        print_order(node->schema, node->sort.keys, node->sort.n_keys, target);
        break;
    case PLAN_OVER:
        text_format(target, "%s ASC ", input->fields[node->over.time_column].name);
        print_frame(&node->over, input, target);
        break;
    default: break;
    }
}

static void explain_expand(const struct plan *node, struct text *target) {
    const struct expand_options *options = &node->expand;
    text_add(target, "Expand(projects=[");
    for (int32_t s = 0; s < options->n_sets; s++) {
        text_add(target, s ? ", {" : "{");
        for (int32_t i = 0; i < options->n_columns; i++) {
            const int32_t source = options->sources[s * options->n_columns + i];
            text_format(target, "%s, ", source < 0 ? "null" : node->inputs[0]->schema->fields[source].name);
        }
        text_format(target, "%s=%" PRId64 "}", node->schema->fields[options->n_columns].name, options->ids[s]);
    }
    text_add(target, "])");
}

static void explain_unnest(const struct plan *node, struct text *target) {
    const struct unnest_options *options = &node->unnest;
    text_format(target, "%s(%s=[%s]%s%s, select=[", options->repeats ? "Repeat" : "Unnest",
                options->repeats ? "times" : "array", node->inputs[0]->schema->fields[options->column].name,
                options->keeps_empty ? ", joinType=[LEFT]" : "", options->with_ordinality ? ", ordinality=[true]" : "");
    print_names(node->schema, target);
    text_add(target, "])");
}

/* [I], [I,UA], [I,UB,UA,D] as Flink writes it. */
static void explain_changes(const struct plan *node, struct text *target) {
    const struct plan_changes *changes = &node->changes;
    if (node->kind == PLAN_SINK) {
        text_add(target, "[NONE]");
        return;
    }
    text_format(target, "[I%s%s%s]", changes->before ? ",UB" : "", changes->updating ? ",UA" : "",
                changes->deletes ? ",D" : "");
}

void explain_node(const struct plan *node, enum explain_style style, struct text *target) {
    if (style == EXPLAIN_LOGICAL) { text_add(target, "Logical"); }
    switch (node->kind) {
    case PLAN_SCAN: explain_scan(node, target); break;
    case PLAN_VALUES: explain_values(node, target); break;
    case PLAN_FILTER:
        text_add(target, "Filter(condition=[");
        expr_print(node->filter.condition, node->schema, target);
        text_add(target, "])");
        break;
    case PLAN_PROJECT: explain_project(node, target); break;
    case PLAN_WINDOW:
        text_add(target, "WindowTableFunction(window=[");
        window_print(&node->window.spec, target);
        text_format(target, ", time_col=[%s]])", node->inputs[0]->schema->fields[node->window.spec.time_column].name);
        break;
    case PLAN_AGGREGATE: explain_aggregate(node, target); break;
    case PLAN_WINDOW_AGGREGATE: explain_window_aggregate(node, style == EXPLAIN_LOCAL, target); break;
    case PLAN_UNION:
        text_add(target, "Union(all=[true], union=[");
        print_names(node->schema, target);
        text_add(target, "])");
        break;
    case PLAN_SORT:
    case PLAN_LIMIT: explain_sort(node, target); break;
    case PLAN_SINK:
        text_format(target, "Sink(table=[%s], fields=[", node->sink.table->name);
        print_names(node->schema, target);
        text_add(target, "])");
        break;
    case PLAN_JOIN: explain_join(node, target); break;
    case PLAN_RANK: explain_rank(node, target); break;
    case PLAN_PROCESS: explain_process(node, target); break;
    case PLAN_OVER: explain_over(node, target); break;
    case PLAN_EXPAND: explain_expand(node, target); break;
    case PLAN_UNNEST: explain_unnest(node, target); break;
    case PLAN_ARRIVAL:
        text_format(target, "ProcessingTime(time_col=[%s])", node->schema->fields[node->arrival.column].name);
        break;
    }
    if (style == EXPLAIN_CHANGELOG) {
        if (target->size > 0) { target->size--; } /* inside of the parentheses */
        text_add(target, ", changelogMode=");
        explain_changes(node, target);
        if (node->changes.updating && node->changes.n_key >= 0 && node->kind != PLAN_SINK) {
            text_add(target, ", upsertKey=[");
            print_columns(node->schema, node->changes.key, node->changes.n_key, target);
            text_add(target, "]");
        }
        text_add(target, ")");
    }
}

/* lead: what stands before the node's line; indent: before the lines of what is below it. */
static void explain_below(const struct plan *node, enum explain_style style, const char *lead, const char *indent,
                          struct text *target) {
    text_add(target, lead);
    explain_node(node, style, target);
    text_add(target, "\n");
    for (int32_t i = 0; i < node->n_inputs; i++) {
        const bool last = i + 1 == node->n_inputs;
        struct text child_lead = {0}, child_indent = {0};
        text_format(&child_lead, "%s%s", indent, last ? "+- " : ":- ");
        text_format(&child_indent, "%s%s", indent, last ? "   " : ":  ");
        explain_below(node->inputs[i], style, text_string(&child_lead), text_string(&child_indent), target);
        text_clear(&child_lead);
        text_clear(&child_indent);
    }
}

void explain_tree(const struct plan *root, enum explain_style style, struct text *target) {
    explain_below(root, style, "", "", target);
}
