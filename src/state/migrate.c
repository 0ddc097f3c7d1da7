/* Migration of state: see migrate.h. */
#include "state/migrate.h"

#include "arrow/widen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_KEY 2 /* behind key_group and namespace */

struct planner {
    const struct state_shape *from, *to;
    struct state_migration *plan;
    struct text *why;
};

/* One sentence more. */
#define SAY(planner, ...)                                                                                              \
    do {                                                                                                               \
        if ((planner)->why->size) { text_add((planner)->why, "; "); }                                                  \
        text_format((planner)->why, __VA_ARGS__);                                                                      \
    } while (0)

static void raise_to(struct planner *planner, enum state_verdict verdict) {
    if (verdict > planner->plan->verdict) { planner->plan->verdict = verdict; }
}

static int32_t keys_end(const struct state_shape *shape) {
    return shape->kind == STATE_LIST ? 0 : FIRST_KEY + shape->n_keys;
}

static int32_t find_between(const struct schema *schema, const char *name, int32_t first, int32_t end) {
    for (int32_t i = first; i < end; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) { return i; }
    }
    return -1;
}

static bool names_are_unique(const struct schema *schema, int32_t first) {
    for (int32_t i = first; i < schema->n_fields; i++) {
        if (find_between(schema, schema->fields[i].name, i + 1, schema->n_fields) >= 0) { return false; }
    }
    return true;
}

/* --- one column that both have */
static void compare_types(struct planner *planner, int32_t to_column, int32_t from_column) {
    const struct field *to = &planner->to->schema->fields[to_column];
    const struct type from = planner->from->schema->fields[from_column].type;
    const bool is_key = to_column < keys_end(planner->to);
    char before[128], now[128];
    type_print(type_nullable(from), before, sizeof before);
    type_print(type_nullable(to->type), now, sizeof now);
    if (!type_widens(from, to->type)) {
        raise_to(planner, STATE_INCOMPATIBLE);
        SAY(planner, "column %s was %s and is %s, which doesn't hold all of its values: keep the old type (CAST), or "
            "begin without the state", to->name, before, now);
        return;
    }
    if (!type_same(from, to->type)) {
        raise_to(planner, STATE_MIGRATES);
        planner->plan->rekeyed |= is_key;
        SAY(planner, "column %s was %s and becomes %s", to->name, before, now);
    }
    if (from.nullable && !to->type.nullable) {
        raise_to(planner, STATE_MIGRATES);
        planner->plan->narrows = true;
        SAY(planner, "column %s is NOT NULL now", to->name);
    } else if (!from.nullable && to->type.nullable) {
        raise_to(planner, STATE_MIGRATES);
        SAY(planner, "column %s may be NULL now", to->name);
    }
}

/* --- keys */
static void list_keys(const struct state_shape *shape, struct text *target) {
    for (int32_t k = 0; k < shape->n_keys; k++) {
        const struct field *field = &shape->schema->fields[FIRST_KEY + k];
        char type[128];
        type_print(type_nullable(field->type), type, sizeof type);
        /* a join by something that is no column has a name for it that its user does not know */
        text_format(target, "%s%s %s", k ? ", " : "", field->name[0] == '$' ? "an expression" : field->name, type);
    }
}

/* Keys of one name are told apart by their order: those of a DISTINCT of a column that is grouped by, too, where
 * GROUPING SETS make it NULL. */
static int32_t find_key(const struct planner *planner, int32_t key) {
    const struct schema *from = planner->from->schema, *to = planner->to->schema;
    const char *name = to->fields[key].name;
    int32_t at = find_between(from, name, FIRST_KEY, keys_end(planner->from));
    for (int32_t k = FIRST_KEY; k < key && at >= 0; k++) {
        if (strcmp(to->fields[k].name, name) == 0) { at = find_between(from, name, at + 1, keys_end(planner->from)); }
    }
    return at;
}

static void compare_keys(struct planner *planner) {
    const struct state_shape *from = planner->from, *to = planner->to;
    bool same_set = from->n_keys == to->n_keys;
    for (int32_t k = 0; k < to->n_keys && same_set; k++) {
        const int32_t at = find_key(planner, FIRST_KEY + k);
        same_set = at >= 0;
        planner->plan->from[FIRST_KEY + k] = at;
    }
    if (!same_set) {
        struct text before = {0}, now = {0};
        list_keys(from, &before);
        list_keys(to, &now);
        raise_to(planner, STATE_INCOMPATIBLE);
        SAY(planner, "its key was (%s) and is (%s): keep the key, or begin without the state", text_string(&before),
            text_string(&now));
        text_clear(&before);
        text_clear(&now);
        return;
    }
    for (int32_t k = FIRST_KEY; k < keys_end(to); k++) {
        if (planner->plan->from[k] != k) {
            raise_to(planner, STATE_MIGRATES);
            planner->plan->rekeyed = true;
        }
        compare_types(planner, k, planner->plan->from[k]);
    }
}

/* --- values */
static const struct state_default *default_of(const struct state_shape *to, int32_t column) {
    return to->defaults ? &to->defaults[column - keys_end(to)] : NULL;
}

/* Whether another column, which was there before, tells its own "no value yet" by this added one, or this one by
 * another that was: then rows of the checkpoint would say that there is a value, or that there is none, and be wrong.
 * */
static bool guards_fit(const struct planner *planner, int32_t column) {
    const struct state_shape *to = planner->to;
    const int32_t first = keys_end(to);
    const int32_t guard = to->defaults[column - first].guard;
    if (guard >= 0 && planner->plan->from[first + guard] >= 0) { return false; }
    for (int32_t c = first; c < to->schema->n_fields; c++) {
        if (to->defaults[c - first].guard == column - first && planner->plan->from[c] >= 0) { return false; }
    }
    return true;
}

static void add_column(struct planner *planner, int32_t column) {
    const struct field *field = &planner->to->schema->fields[column];
    const struct state_default *begins = default_of(planner->to, column);
    char type[128];
    type_print(field->type, type, sizeof type);
    if (!begins && planner->to->holds_nulls && field->type.nullable) {
        raise_to(planner, STATE_MIGRATES);
        SAY(planner, "column %s %s is added and NULL in the rows that are there", field->name, type);
    } else if (begins && begins->known && guards_fit(planner, column)) {
        raise_to(planner, STATE_MIGRATES);
        SAY(planner, "column %s %s is added and begins with what comes from now on", field->name, type);
    } else {
        raise_to(planner, STATE_INCOMPATIBLE);
        SAY(planner, "column %s %s is new, and there is nothing that the rows of the checkpoint could have there: "
            "leave it out, compute it in another INSERT, or begin without the state", field->name, type);
    }
}

static void compare_values(struct planner *planner, bool drops_columns) {
    const struct state_shape *from = planner->from, *to = planner->to;
    for (int32_t c = keys_end(to); c < to->schema->n_fields; c++) {
        planner->plan->from[c] = find_between(from->schema, to->schema->fields[c].name, keys_end(from),
                                              from->schema->n_fields);
    }
    for (int32_t c = keys_end(to); c < to->schema->n_fields; c++) {
        if (planner->plan->from[c] < 0) {
            add_column(planner, c);
        } else {
            compare_types(planner, c, planner->plan->from[c]);
            if (planner->plan->from[c] - keys_end(from) != c - keys_end(to)) { raise_to(planner, STATE_MIGRATES); }
        }
    }
    for (int32_t c = keys_end(from); c < from->schema->n_fields; c++) {
        const char *name = from->schema->fields[c].name;
        if (find_between(to->schema, name, keys_end(to), to->schema->n_fields) >= 0) { continue; }
        raise_to(planner, drops_columns ? STATE_MIGRATES : STATE_INCOMPATIBLE);
        SAY(planner, "column %s is not in this job%s", name,
            drops_columns ? " and is left behind" : ": keep it, or leave it behind with --allow-non-restored-state");
    }
}

/* The same names at the same places. */
static bool compare_in_place(struct planner *planner) {
    const struct schema *from = planner->from->schema, *to = planner->to->schema;
    bool same = from->n_fields == to->n_fields && planner->from->n_keys == planner->to->n_keys;
    for (int32_t c = 0; c < to->n_fields && same; c++) {
        same = strcmp(from->fields[c].name, to->fields[c].name) == 0;
    }
    for (int32_t c = 0; c < to->n_fields && same; c++) {
        planner->plan->from[c] = c;
        compare_types(planner, c, c);
    }
    return same;
}

static void columns_text(const struct schema *schema, int32_t first, struct text *target) {
    for (int32_t c = first; c < schema->n_fields; c++) {
        text_format(target, "%s%s", c > first ? ", " : "", schema->fields[c].name);
    }
}

static void compare(struct planner *planner, bool drops_columns) {
    const struct state_shape *from = planner->from, *to = planner->to;
    if (from->kind != to->kind) {
        raise_to(planner, STATE_INCOMPATIBLE);
        SAY(planner, "it is %s in the checkpoint and %s in this job: begin without the state",
            from->kind == STATE_LIST ? "a list" : "keyed", to->kind == STATE_LIST ? "a list" : "keyed");
        return;
    }
    const bool by_name = !to->fixed_layout && names_are_unique(from->schema, keys_end(from)) &&
                         names_are_unique(to->schema, keys_end(to));
    if (by_name) {
        for (int32_t c = 0; c < FIRST_KEY && to->kind == STATE_KEYED; c++) { planner->plan->from[c] = c; }
        if (to->kind == STATE_KEYED) { compare_keys(planner); }
        if (planner->plan->verdict != STATE_INCOMPATIBLE) { compare_values(planner, drops_columns); }
    } else if (!compare_in_place(planner)) {
        struct text before = {0}, now = {0};
        const int32_t first = to->kind == STATE_LIST ? 0 : FIRST_KEY;
        columns_text(from->schema, first, &before);
        columns_text(to->schema, first, &now);
        raise_to(planner, STATE_INCOMPATIBLE);
        SAY(planner, "its columns were %s and are %s, and such rows are kept whole: select the same columns in the "
            "same order, or begin without the state", text_string(&before), text_string(&now));
        text_clear(&before);
        text_clear(&now);
    }
}

sabot_status state_migration_plan(const struct state_shape *from, const struct state_shape *to, bool drops_columns,
                                  struct state_migration *out, struct text *why, struct sabot_error *err) {
    *out = (struct state_migration){.n = to->schema->n_fields};
    if (from->kind == STATE_KEYED && (from->schema->n_fields < FIRST_KEY + from->n_keys || from->n_keys < 0)) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "state %s has %d columns in the checkpoint, fewer than its keys need",
                          to->name, from->schema->n_fields);
    }
    out->from = calloc((size_t)out->n + 1, sizeof *out->from);
    if (!out->from) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
    struct planner planner = {.from = from, .to = to, .plan = out, .why = why};
    compare(&planner, drops_columns);
    return SABOT_OK;
}

void state_migration_clear(struct state_migration *migration) {
    free(migration->from);
    *migration = (struct state_migration){0};
}

/* --- rows */
static sabot_status check_not_null(const struct state_shape *to, int32_t column, const struct batch *rows,
                                   const struct column *values, struct sabot_error *err) {
    for (int32_t i = 0; i < rows->selected && (values->validity || values->phys == PHYS_NULL); i++) {
        if (!column_is_null(values, batch_row(rows, i))) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_STATE, "state %s: column %s is NOT NULL in this job and a row of the "
                          "checkpoint has NULL there: let it be NULL, or begin without the state", to->name,
                          to->schema->fields[column].name);
    }
    return SABOT_OK;
}

/* What stands for "no value yet" in a narrow type (the least of no rows is the largest number) is another value in the
 * wider one. The column is fresh where it was widened, so it can be written to. */
static void put_beginnings(const struct state_migration *migration, const struct state_shape *to, int32_t column,
                           const struct batch *rows, struct column *widened) {
    const struct state_default *begins = column >= keys_end(to) ? default_of(to, column) : NULL;
    if (!begins || begins->guard < 0 || widened == rows->columns[migration->from[column]]) { return; }
    const int32_t guard_at = migration->from[keys_end(to) + begins->guard];
    if (guard_at < 0) { return; }
    const struct column *guard = rows->columns[guard_at];
    const size_t size = phys_size((enum phys)widened->phys);
    char *values = (char *)(uintptr_t)widened->values;
    for (int32_t i = 0; i < rows->selected; i++) {
        const int32_t row = batch_row(rows, i);
        if (((const int64_t *)guard->values)[column_at(guard, row)] != 0) { continue; }
        memcpy(values + (size_t)row * size, begins->value, size);
    }
}

static sabot_status migrate_column(const struct state_migration *migration, const struct state_shape *to,
                                   int32_t column, struct memory_pool *pool, const struct batch *rows,
                                   struct column **out, struct sabot_error *err) {
    const struct type type = to->schema->fields[column].type;
    const int32_t at = migration->from[column];
    if (at < 0) {
        const struct state_default *begins = default_of(to, column);
        return begins ? column_constant(pool, type_phys(type), begins->value, rows->rows, out, err)
                      : column_all_null(pool, type, rows->rows, out, err);
    }
    const struct type from = rows->schema->fields[at].type;
    if (from.nullable && !type.nullable) { SABOT_TRY(check_not_null(to, column, rows, rows->columns[at], err)); }
    SABOT_TRY(column_widen(pool, rows->columns[at], from, type, out, err));
    put_beginnings(migration, to, column, rows, *out);
    return SABOT_OK;
}

sabot_status state_migrate(const struct state_migration *migration, const struct state_shape *to,
                           struct memory_pool *pool, struct batch *rows, struct batch **out, struct sabot_error *err) {
    *out = NULL;
    struct column **columns = calloc((size_t)migration->n + 1, sizeof(struct column *));
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
    sabot_status status = SABOT_OK;
    int32_t n = 0;
    for (; n < migration->n && status == SABOT_OK; n += status == SABOT_OK) {
        status = migrate_column(migration, to, n, pool, rows, &columns[n], err);
    }
    if (status == SABOT_OK) {
        status = batch_with_columns(rows, (struct schema *)(uintptr_t)to->schema, columns, n, out, err);
    } else {
        for (int32_t c = 0; c < n; c++) { column_unref(columns[c]); }
    }
    free(columns);
    return status;
}
