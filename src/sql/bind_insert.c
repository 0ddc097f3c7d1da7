/* INSERT INTO: the query's columns, cast to those of the target. */
#include "sql/bind_internal.h"

#include "base/nearest.h"

static bool is_written(const struct table_column *column) {
    return column->kind == TABLE_COLUMN_PHYSICAL || (column->kind == TABLE_COLUMN_METADATA && !column->is_virtual);
}

static sabot_status find_target(const struct plan_table *table, const struct sql_name *name, int32_t *out,
                                struct sabot_error *err) {
    struct nearest nearest = {.wanted = name->text};
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].name, name->text) == 0) {
            if (!is_written(&table->columns[i])) {
                return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "column \"%s\" of \"%s\" is %s and can't be written",
                                name->text, table->name,
                                table->columns[i].kind == TABLE_COLUMN_COMPUTED ? "computed" : "virtual metadata");
            }
            *out = i;
            return SABOT_OK;
        }
        nearest_offer(&nearest, table->columns[i].name);
    }
    char hint[128];
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "table \"%s\" has no column \"%s\"%s", table->name, name->text,
                    nearest_hint(&nearest, hint, sizeof hint));
}

/* Which columns of the target the query's columns are meant for, in order. */
static sabot_status targets_of(struct binder *binder, const struct plan_table *table, const struct sql_path *columns,
                               int32_t **out, int32_t *n, struct sabot_error *err) {
    int32_t *targets = arena_alloc(&binder->plans->arena,
                                   ((size_t)table->n_columns + (columns ? columns->count : 0) + 1) * sizeof *targets);
    if (!targets) { return PLAN_NO_MEMORY(err); }
    *n = 0;
    for (int32_t i = 0; !columns && i < table->n_columns; i++) {
        if (is_written(&table->columns[i])) { targets[(*n)++] = i; }
    }
    for (unsigned i = 0; columns && i < columns->count; i++) {
        SABOT_TRY(find_target(table, &columns->items[i], &targets[*n], err));
        for (int32_t j = 0; j < *n; j++) {
            if (targets[j] == targets[*n]) {
                return SQL_FAIL(err, SABOT_ERR_PLAN, columns->items[i].span, "column \"%s\" is given twice",
                                columns->items[i].text);
            }
        }
        (*n)++;
    }
    *out = targets;
    return SABOT_OK;
}

static sabot_status cast_for(struct binder *binder, const struct plan_table *table, int32_t target, struct expr *expr,
                             struct sql_span span, struct expr **out, struct sabot_error *err) {
    const struct table_column *column = &table->columns[target];
    char from[160], to[160];
    if (type_same(expr->type, column->type)) {
        *out = expr;
        return SABOT_OK;
    }
    if (!type_can_cast_implicitly(expr->type, column->type)) {
        type_print(expr->type, from, sizeof from);
        type_print(column->type, to, sizeof to);
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "column \"%s\" of \"%s\" is %s, the query gives %s; add a CAST",
                        column->name, table->name, to, from);
    }
    struct type type = column->type;
    type.nullable = expr->type.nullable || expr->type.kind == TYPE_NULL;
    return expr_cast(&binder->plans->arena, expr, type, false, expr->span, out, err);
}

/* What stands in a written column: a column of the query, or NULL. */
static sabot_status value_for(struct binder *binder, const struct plan *input, const struct plan_table *table,
                              int32_t column, const int32_t *targets, int32_t n_targets, struct sql_span span,
                              struct expr **out, struct sabot_error *err) {
    for (int32_t i = 0; i < n_targets; i++) {
        if (targets[i] != column) { continue; }
        struct expr *value = NULL;
        SABOT_TRY(plan_column_ref(binder->plans, input, i, span_of(span), &value, err));
        return cast_for(binder, table, column, value, span, out, err);
    }
    if (!table->columns[column].type.nullable) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "column \"%s\" of \"%s\" is NOT NULL and gets no value",
                        table->columns[column].name, table->name);
    }
    struct expr *null = NULL;
    SABOT_TRY(expr_literal(&binder->plans->arena, type_of(TYPE_NULL), NULL, span_of(span), &null, err));
    return expr_cast(&binder->plans->arena, null, table->columns[column].type, false, span_of(span), out, err);
}

sabot_status bind_sink(struct binder *binder, struct plan *input, struct catalog_object *target,
                       const struct sql_path *columns, struct sql_span span, struct plan **out,
                       struct sabot_error *err) {
    const struct plan_table *table = &target->table;
    struct arena *arena = &binder->plans->arena;
    int32_t *targets = NULL, n_targets = 0, n = 0;
    SABOT_TRY(table_check(table, false, true, span, err));
    SABOT_TRY(targets_of(binder, table, columns, &targets, &n_targets, err));
    if (input->schema->n_fields != n_targets) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "\"%s\" takes %d columns here, the query gives %d", table->name,
                        n_targets, input->schema->n_fields);
    }
    const size_t most = (size_t)table->n_columns + 1;
    struct expr **exprs = arena_alloc(arena, most * sizeof *exprs);
    const char **names = arena_alloc(arena, most * sizeof *names);
    int32_t *picked = arena_alloc(arena, most * sizeof *picked);
    bool same = true;
    if (!exprs || !names || !picked) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (!is_written(&table->columns[i])) { continue; }
        SABOT_TRY(value_for(binder, input, table, i, targets, n_targets, span, &exprs[n], err));
        same = same && expr_is_column(exprs[n]) && exprs[n]->index == n;
        names[n] = table->columns[i].name;
        picked[n++] = i;
    }
    if (!same || n != input->schema->n_fields) {
        SABOT_TRY(plan_project(binder->plans, input, exprs, names, n, &input, err));
    }
    return plan_sink(binder->plans, input, table, picked, true, out, err);
}

/* PARTITION (k = 'v'): constants behind the query's columns. */
static sabot_status add_partition(struct binder *binder, const struct sql_insert *insert, struct plan *input,
                                  struct sql_path *columns, struct plan **out, struct sabot_error *err) {
    const int32_t n = input->schema->n_fields, more = (int32_t)insert->partition_values.count;
    struct arena *arena = &binder->plans->arena;
    struct plan_items items;
    SABOT_TRY(plan_first_items(binder->plans, input, n, more, &items, err));
    const struct expr_scope in = {.binder = binder, .clause = "PARTITION"};
    for (int32_t i = 0; i < more; i++) {
        if (!insert->partition_values.items[i]) { continue; } /* dynamic: the query gives it */
        const char *key = insert->partition.items[i].key;
        struct sql_name *name = NULL;
        columns->items = arena_grow(arena, columns->items, columns->count, sizeof *columns->items, &columns->capacity);
        if (!columns->items) { return PLAN_NO_MEMORY(err); }
        name = &columns->items[columns->count++];
        *name = (struct sql_name){.text = key, .span = insert->partition.items[i].key_span};
        SABOT_TRY(bind_expr(&in, insert->partition_values.items[i], &items.exprs[items.n], err));
        items.names[items.n++] = key;
    }
    return plan_project(binder->plans, input, items.exprs, items.names, items.n, out, err);
}

/* Without a column list the query's columns are the written ones that PARTITION does not give. */
static sabot_status columns_besides(struct binder *binder, const struct plan_table *table,
                                    const struct sql_insert *insert, struct sql_path *out, struct sabot_error *err) {
    for (int32_t i = 0; i < table->n_columns; i++) {
        bool is_given = !is_written(&table->columns[i]);
        for (unsigned j = 0; j < insert->partition.count; j++) {
            const bool is_static = insert->partition_values.items[j] != NULL;
            is_given = is_given || (is_static && strcmp(insert->partition.items[j].key, table->columns[i].name) == 0);
        }
        if (is_given) { continue; }
        out->items = arena_grow(&binder->plans->arena, out->items, out->count, sizeof *out->items, &out->capacity);
        if (!out->items) { return PLAN_NO_MEMORY(err); }
        out->items[out->count++] = (struct sql_name){.text = table->columns[i].name, .span = insert->query->span};
    }
    return SABOT_OK;
}

sabot_status bind_insert(struct binder *binder, const struct sql_insert *insert, struct plan **out,
                         struct sabot_error *err) {
    struct catalog_object *target = NULL;
    struct plan *input = NULL;
    const struct sql_span place = insert->target.items[insert->target.count - 1].span;
    if (insert->overwrite) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, place, "INSERT OVERWRITE can't run yet");
    }
    SABOT_TRY(catalog_get(binder->catalog, &insert->target, &target, err));
    if (target->kind == CATALOG_VIEW) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, place, "\"%s\" is a view; rows can be inserted into tables only",
                        target->name);
    }
    if (insert->hints.count) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, place, "hints on the target of INSERT can't be used yet");
    }
    SABOT_TRY(bind_query(binder, insert->query, &input, err));
    struct sql_path columns = {0};
    for (unsigned i = 0; insert->has_columns && i < insert->columns.count; i++) {
        columns.items = arena_grow(&binder->plans->arena, columns.items, columns.count, sizeof *columns.items,
                                   &columns.capacity);
        if (!columns.items) { return PLAN_NO_MEMORY(err); }
        columns.items[columns.count++] = insert->columns.items[i];
    }
    if (insert->partition.count) {
        if (!insert->has_columns) { SABOT_TRY(columns_besides(binder, &target->table, insert, &columns, err)); }
        SABOT_TRY(add_partition(binder, insert, input, &columns, &input, err));
    }
    const bool listed = insert->has_columns || insert->partition.count;
    SABOT_TRY(bind_sink(binder, input, target, listed ? &columns : NULL, insert->query->span, out, err));
    /* The plan reads the table's columns and options: it must outlive DROP TABLE. */
    return binder_use(binder, target, err);
}
