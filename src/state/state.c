/* Tables by name, lists, snapshots and restore: what is the same for every backend. */
#include "state/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "state/capture.h"
#include "state/migrate.h"
#include "state/multimap.h"
#include "state/state_backend.h"

#define TABLES_MAX 32 /* per operator */
#define STEP_BYTES_MAX (INT64_C(2) << 20) /* copied between two batches, about */
#define STEP_SLOTS_FIRST 256              /* before what they hold is looked at */

static const struct state_backend *const backends[] = {&state_memory};

/* Rows that a restore has handed over for a table that is not open yet. */
struct loaded {
    char name[64];
    enum state_kind kind;
    struct batch *rows;
};

struct state_tables {
    struct state_context context;
    const struct state_backend *backend;
    struct state_table *tables[TABLES_MAX];
    int32_t n_tables;
    struct loaded *loaded;
    int32_t n_loaded, loaded_capacity;
    struct state_source source; /* read NULL: none */
    struct state_observer observer; /* declared NULL: none */
};

sabot_status state_tables_new(const struct state_context *context, struct state_tables **out,
                              struct sabot_error *err) {
    *out = NULL;
    const struct state_backend *backend = NULL;
    const char *name = context->backend ? context->backend : "memory";
    /* below key-value state (kv.h); tables stay columnar */
    if (strcmp(name, "rocksdb") == 0 || strcmp(name, "tonbo") == 0) { name = "memory"; }
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (strcmp(backends[i]->name, name) == 0) { backend = backends[i]; }
    }
    if (!backend) { return SABOT_FAIL(err, SABOT_ERR_USAGE, "there is no state backend '%s'; there is: memory", name); }
    struct state_tables *tables = calloc(1, sizeof *tables);
    if (!tables) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for state tables"); }
    tables->context = *context;
    tables->backend = backend;
    *out = tables;
    return SABOT_OK;
}

static void table_free(struct state_table *table) {
    if (table->capture) { capture_clear(table->capture); }
    free(table->capture);
    schema_unref(table->schema);
    schema_unref(table->snapshot);
    for (int32_t f = 0; f < STATE_FORMS; f++) { schema_unref(table->forms[f]); }
    batch_unref(table->list);
    if (table->backend) {
        table->backend->close(table);
    } else {
        free(table);
    }
}

void state_tables_free(struct state_tables *tables) {
    if (!tables) { return; }
    for (int32_t i = 0; i < tables->n_tables; i++) { table_free(tables->tables[i]); }
    for (int32_t i = 0; i < tables->n_loaded; i++) { batch_unref(tables->loaded[i].rows); }
    free(tables->loaded);
    free(tables);
}

/* --- restore */
sabot_status state_tables_load(struct state_tables *tables, const char *name, enum state_kind kind,
                               struct batch *rows, struct sabot_error *err) {
    if (!rows) { return SABOT_OK; }
    if (tables->n_loaded == tables->loaded_capacity) {
        const int32_t capacity = tables->loaded_capacity ? tables->loaded_capacity * 2 : 8;
        struct loaded *loaded = realloc(tables->loaded, (size_t)capacity * sizeof *loaded);
        if (!loaded) {
            batch_unref(rows);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of restored rows");
        }
        tables->loaded = loaded;
        tables->loaded_capacity = capacity;
    }
    struct loaded *loaded = &tables->loaded[tables->n_loaded++];
    *loaded = (struct loaded){.kind = kind, .rows = rows};
    snprintf(loaded->name, sizeof loaded->name, "%s", name);
    return SABOT_OK;
}

/* A table without keys has one row, whose values are copied over. */
static sabot_status only_row_restore(struct state_table *table, int64_t namespace_, const struct batch *rows,
                                     int32_t row, struct sabot_error *err) {
    int32_t slot;
    SABOT_TRY(table->backend->find_or_insert(table, namespace_, rows, NULL, &row, 1, &slot, err));
    for (int32_t v = 0; v < table->schema->n_fields; v++) {
        const struct column *column = rows->columns[2 + v];
        const size_t size = phys_size((enum phys)column->phys);
        if (column_is_null(column, row)) { continue; }
        const char *value = (const char *)column->values + (size_t)column_at(column, row) * size;
        if (column->phys != PHYS_VIEW) {
            const struct state_cells cells = table->backend->cells(table, namespace_, v);
            memcpy(state_cell(&cells, slot), value, size);
            continue;
        }
        struct string_view view;
        memcpy(&view, value, sizeof view);
        SABOT_TRY(table->backend->set_view(table, namespace_, v, slot, view, err));
    }
    return SABOT_OK;
}

#define RUN_ROWS 1024
/* Rows of another table: the keys come in, and are marked. The table has its index by now. */
static sabot_status former_restore(struct state_table *table, const struct state_former *former, int64_t namespace_,
                                   const struct batch *rows, const int32_t *at, int32_t n, struct sabot_error *err) {
    const struct column *only = former->only ? rows->columns[2 + table->n_keys] : NULL;
    int32_t keys[64], taken[RUN_ROWS], slots[RUN_ROWS];
    int32_t m = 0;
    for (int32_t k = 0; k < table->n_keys; k++) { keys[k] = 2 + k; }
    for (int32_t i = 0; i < n; i++) {
        taken[m] = at[i];
        m += !only || (!column_is_null(only, at[i]) && ((const uint8_t *)only->values)[column_at(only, at[i])]);
    }
    SABOT_TRY(table->backend->find_or_insert(table, namespace_, rows, keys, taken, m, slots, err));
    if (former->flag < 0) { return SABOT_OK; }
    const struct state_cells flags = table->backend->cells(table, namespace_, former->flag);
    for (int32_t i = 0; i < m; i++) { *(uint8_t *)state_cell(&flags, slots[i]) = 1; }
    return SABOT_OK;
}

static sabot_status run_restore(struct state_table *table, const struct state_former *former, int64_t namespace_,
                                const struct batch *rows, const int32_t *at, int32_t n, struct sabot_error *err) {
    if (former) { return former_restore(table, former, namespace_, rows, at, n, err); }
    if (table->backend->restore) { return table->backend->restore(table, namespace_, rows, at, n, err); }
    if (table->n_keys) { return table->backend->append(table, namespace_, rows, 2, at, n, err); }
    for (int32_t i = 0; i < n; i++) { SABOT_TRY(only_row_restore(table, namespace_, rows, at[i], err)); }
    return SABOT_OK;
}

/* Of a row of a log by subtask. Not negative, whatever a checkpoint says. */
static int32_t former_subtask(const struct batch *rows, int32_t row) {
    const struct column *subtasks = rows->columns[2];
    const int32_t subtask = ((const int32_t *)subtasks->values)[column_at(subtasks, row)];
    return subtask < 0 ? 0 : subtask;
}

/* The rows whose key group is ours, run by run of one namespace. */
static sabot_status rows_restore(struct state_table *table, const struct state_former *former, struct batch *shared,
                                 const uint64_t *group_hashes, struct sabot_error *err) {
    const struct state_context *context = table->context;
    /* The restored batch may be in the hands of other subtasks too: hashes are cached in a batch of our own. */
    BATCH_OWNED struct batch *rows = NULL;
    SABOT_TRY(batch_copy(shared, &rows, err));
    int32_t keys[64];
    for (int32_t k = 0; k < table->n_keys; k++) { keys[k] = 2 + k; }
    if ((table->n_keys && !table->is_log) || table->backend->restore) {
        SABOT_TRY(batch_cache_hashes(context->pool, rows, keys, table->n_keys, err));
    }

    const int32_t n_group_keys = table->n_keys - table->n_sub_keys;
    int32_t at[RUN_ROWS];
    int32_t n = 0;
    const int64_t *namespaces = rows->columns[1]->values;
    int64_t current = 0;
    for (int32_t i = 0; i <= rows->selected; i++) {
        const bool end = i == rows->selected;
        const int32_t row = end ? 0 : batch_row(rows, i);
        const int64_t namespace_ = end ? 0 : namespaces[column_at(rows->columns[1], row)];
        if (n && (end || n == RUN_ROWS || namespace_ != current)) {
            SABOT_TRY(run_restore(table, former, current, rows, at, n, err));
            n = 0;
        }
        if (end) { break; }
        /* The group is computed, not read: the checkpoint's maximal parallelism may have been another. */
        const int32_t group =
            n_group_keys ? key_group_of((group_hashes ? group_hashes : rows->hashes)[row], context->max_parallelism)
                : 0;
        const int32_t owner = table->by_subtask
                                  ? former_subtask(rows, row) % context->parallelism
                                  : key_group_owner(group, context->max_parallelism, context->parallelism);
        const bool is_ours = owner == context->subtask;
        if (!is_ours) { continue; }
        current = namespace_;
        at[n++] = row;
    }
    return SABOT_OK;
}

/* Where some keys have no say in the key group, the group is the hash of the others. */
static sabot_status keyed_restore(struct state_table *table, const struct state_former *former, struct batch *rows,
                                  struct sabot_error *err) {
    const int32_t n_group_keys = table->n_keys - table->n_sub_keys;
    if (n_group_keys == 0 || table->n_sub_keys == 0) { return rows_restore(table, former, rows, NULL, err); }
    int32_t keys[64];
    for (int32_t k = 0; k < n_group_keys; k++) { keys[k] = 2 + k; }
    struct buffer *hashes;
    SABOT_TRY(batch_hash(table->context->pool, rows, keys, n_group_keys, &hashes, err));
    const sabot_status status =
        rows_restore(table, former, rows, (const uint64_t *)(const void *)hashes->data, err);
    buffer_unref(hashes);
    return status;
}

/* Rows that come for a table that is being opened. */
struct taker {
    struct state_table *table;
    const struct state_former *former; /* they come from; NULL: the table of its own name */
    struct state_shape shape;
    struct batch **lists;
    int32_t n_lists, lists_capacity;
};

static sabot_status list_take(struct taker *taker, struct batch *taken, struct sabot_error *err) {
    BATCH_OWNED struct batch *rows = taken;
    if (taker->n_lists == taker->lists_capacity) {
        const int32_t capacity = taker->lists_capacity ? taker->lists_capacity * 2 : 8;
        struct batch **lists = realloc(taker->lists, (size_t)capacity * sizeof *lists);
        if (!lists) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to restore state"); }
        taker->lists = lists;
        taker->lists_capacity = capacity;
    }
    taker->lists[taker->n_lists++] = batch_ref(rows);
    return SABOT_OK;
}

/* The rows of a checkpoint, which comes from elsewhere, perhaps from an older version of the job, as the table's. */
static sabot_status rows_fit(const struct taker *taker, enum state_kind kind, struct batch *rows, struct batch **out,
                             struct sabot_error *err) {
    const struct state_table *table = taker->table;
    const struct state_shape from = {.name = taker->shape.name, .kind = kind, .n_keys = table->n_keys,
                                     .schema = rows->schema};
    struct state_migration migration;
    struct text why = {0};
    sabot_status status =
        state_migration_plan(&from, &taker->shape, table->context->drops_columns, &migration, &why, err);
    if (status == SABOT_OK && migration.verdict == STATE_INCOMPATIBLE) {
        status = SABOT_FAIL(err, SABOT_ERR_STATE, "state %s: %s", taker->shape.name, text_string(&why));
    }
    if (status == SABOT_OK) {
        status = state_migrate(&migration, &taker->shape, table->context->pool, rows, out, err);
    }
    state_migration_clear(&migration);
    text_clear(&why);
    return status;
}

static sabot_status rows_take(void *arg, enum state_kind kind, struct batch *taken, struct sabot_error *err) {
    struct taker *taker = arg;
    BATCH_OWNED struct batch *rows = taken;
    BATCH_OWNED struct batch *fitting = NULL;
    SABOT_TRY(rows_fit(taker, kind, rows, &fitting, err));
    if (kind == STATE_LIST) { return list_take(taker, batch_ref(fitting), err); }
    return keyed_restore(taker->table, taker->former, fitting, err);
}

static sabot_status list_finish(struct state_table *table, struct batch *const *lists, int32_t n,
                                struct sabot_error *err) {
    if (n == 0) { return SABOT_OK; }
    if (n > 1) { return batch_concat(table->context->pool, lists, n, &table->list, err); }
    table->list = batch_ref(lists[0]);
    return SABOT_OK;
}

/* What the restore has under the name of taker->shape. */
static sabot_status rows_read(struct state_tables *tables, struct taker *taker, struct sabot_error *err) {
    const char *name = taker->shape.name;
    for (int32_t i = 0; i < tables->n_loaded; i++) {
        struct loaded *loaded = &tables->loaded[i];
        if (!loaded->rows || strcmp(loaded->name, name) != 0) { continue; }
        struct batch *rows = loaded->rows;
        loaded->rows = NULL;
        SABOT_TRY(rows_take(taker, loaded->kind, rows, err));
    }
    return tables->source.read ? tables->source.read(tables->source.arg, name, rows_take, taker, err) : SABOT_OK;
}

static sabot_status table_restore(struct state_tables *tables, struct state_table *table,
                                  const struct state_shape *shape, struct sabot_error *err) {
    struct taker taker = {.table = table, .shape = *shape};
    sabot_status status = rows_read(tables, &taker, err);
    if (status == SABOT_OK && table->kind == STATE_KEYED && !table->is_log && table->backend->index) {
        status = table->backend->index(table, err);
    }
    if (status == SABOT_OK) { status = list_finish(table, taker.lists, taker.n_lists, err); }
    for (int32_t i = 0; i < taker.n_lists; i++) { batch_unref(taker.lists[i]); }
    free(taker.lists);
    return status;
}

/* Its keys come out of another table, or are only declared to do so. */
static sabot_status former_begin(struct state_tables *tables, struct state_table *table,
                                 const struct state_former *former, struct sabot_error *err) {
    struct field fields[STATE_COLUMNS_MAX + 3];
    const int32_t n = 2 + table->n_keys;
    for (int32_t i = 0; i < n; i++) { fields[i] = table->snapshot->fields[i]; }
    if (former->only) { fields[n] = (struct field){former->only, type_not_null(type_of(TYPE_BOOL))}; }
    struct schema *schema;
    SABOT_TRY(schema_new(fields, former->only ? n + 1 : n, &schema, err));
    static const uint8_t no = 0;
    static const struct state_default absent = {.known = true, .value = &no, .guard = -1};
    struct taker taker = {.table = table, .former = former,
                          .shape = {.name = former->name, .kind = STATE_KEYED, .n_keys = table->n_keys,
                                    .schema = schema, .defaults = &absent}};
    const sabot_status status = tables->observer.declared
                                    ? tables->observer.declared(tables->observer.arg, &taker.shape, err)
                                    : rows_read(tables, &taker, err);
    schema_unref(schema);
    return status;
}

void state_tables_observe(struct state_tables *tables, const struct state_observer *observer) {
    tables->observer = *observer;
}

bool state_tables_are_observed(const struct state_tables *tables) { return tables->observer.declared != NULL; }

void state_tables_restore_from(struct state_tables *tables, const struct state_source *source) {
    tables->source = *source;
}

/* --- open */
static sabot_status table_make(struct state_tables *tables, const struct state_spec *spec,
                               const struct multimap_spec *multimap, struct state_table **out,
                               struct sabot_error *err) {
    if (*out) { /* adopted: made already */
        assert((*out)->backend->snapshot || (*out)->backend->freeze);
    } else if (multimap) {
        SABOT_TRY(state_multimap_make(&tables->context, multimap, out, err));
    } else if (spec->kind == STATE_KEYED) {
        SABOT_TRY(tables->backend->open(&tables->context, spec, out, err));
        (*out)->backend = tables->backend;
    } else {
        *out = calloc(1, sizeof **out);
        if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a state table"); }
    }
    struct state_table *table = *out;
    table->context = &tables->context;
    table->kind = spec->kind;
    table->n_keys = spec->n_keys;
    table->n_sub_keys = spec->n_sub_keys;
    table->is_log = spec->is_log;
    table->by_subtask = spec->by_subtask;
    assert(spec->n_sub_keys <= spec->n_keys);
    assert(!spec->is_log || (spec->n_keys == spec->schema->n_fields && spec->n_sub_keys == spec->n_keys));
    table->schema = schema_ref(spec->schema);
    snprintf(table->name, sizeof table->name, "%s", spec->name);
    if (spec->kind != STATE_KEYED) { return SABOT_OK; }
    SABOT_TRY(capture_schema(table, STATE_FORM_ROWS, &table->snapshot, err));
    table->forms[STATE_FORM_ROWS] = schema_ref(table->snapshot);
    return SABOT_OK;
}

/* Its rows come from the checkpoint; or it is only declared. */
static sabot_status table_begin(struct state_tables *tables, const struct state_spec *spec,
                                const struct multimap_spec *multimap, struct state_table *table,
                                struct sabot_error *err) {
    const struct state_shape shape = {
        .name = table->name,
        .kind = table->kind,
        .n_keys = table->n_keys,
        .schema = table->kind == STATE_KEYED ? table->snapshot : table->schema,
        .defaults = spec->defaults,
        /* counted rows are taken away by comparing all columns: one that lacks a column would never be found */
        .holds_nulls = spec->kind == STATE_LIST || (multimap && !multimap->counts),
        .fixed_layout = spec->fixed_layout,
    };
    SABOT_TRY(tables->observer.declared ? tables->observer.declared(tables->observer.arg, &shape, err)
                                        : table_restore(tables, table, &shape, err));
    for (int32_t i = 0; i < spec->n_formers; i++) {
        SABOT_TRY(former_begin(tables, table, &spec->formers[i], err));
    }
    return SABOT_OK;
}

static sabot_status table_add(struct state_tables *tables, const struct state_spec *spec,
                              const struct multimap_spec *multimap, struct state_table **out, struct sabot_error *err) {
    struct state_table *table = *out; /* NULL, or what is adopted */
    *out = NULL;
    for (int32_t i = 0; i < tables->n_tables; i++) {
        if (strcmp(tables->tables[i]->name, spec->name) == 0) {
            if (table) { table_free(table); }
            return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "state %s is declared twice by one operator", spec->name);
        }
    }
    if (tables->n_tables == TABLES_MAX || strlen(spec->name) >= sizeof tables->tables[0]->name) {
        if (table) { table_free(table); }
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "state %s: an operator has at most %d tables, with names of at most "
                          "63 bytes", spec->name, TABLES_MAX);
    }
    sabot_status status = table_make(tables, spec, multimap, &table, err);
    if (status == SABOT_OK) { status = table_begin(tables, spec, multimap, table, err); }
    if (status != SABOT_OK) {
        if (table) { table_free(table); }
        return status;
    }
    tables->tables[tables->n_tables++] = table;
    *out = table;
    return SABOT_OK;
}

sabot_status state_table_open(struct state_tables *tables, const struct state_spec *spec, struct state_table **out,
                              struct sabot_error *err) {
    *out = NULL;
    return table_add(tables, spec, NULL, out, err);
}

sabot_status state_table_adopt(struct state_tables *tables, const struct state_spec *spec, struct state_table *table,
                               struct sabot_error *err) {
    return table_add(tables, spec, NULL, &table, err);
}

const struct state_context *state_tables_context(const struct state_tables *tables) { return &tables->context; }

sabot_status state_multimap_open(struct state_tables *tables, const struct multimap_spec *spec,
                                 struct state_multimap **out, struct sabot_error *err) {
    /* In a checkpoint, count and matches of a row stand behind its columns. */
    const int32_t n = spec->schema->n_fields;
    *out = NULL;
    struct field *fields = malloc((size_t)(n + 2) * sizeof *fields);
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a schema"); }
    for (int32_t i = 0; i < n; i++) { fields[i] = spec->schema->fields[i]; }
    fields[n] = (struct field){"row_count", type_not_null(type_of(TYPE_INT64))};
    fields[n + 1] = (struct field){"row_matches", type_not_null(type_of(TYPE_INT64))};
    struct schema *schema;
    sabot_status status = schema_new(fields, n + 2, &schema, err);
    free(fields);
    if (status != SABOT_OK) { return status; }
    const struct state_spec table = {.name = spec->name, .kind = STATE_KEYED, .schema = schema, .n_keys = spec->n_keys};
    struct state_table *opened = NULL;
    status = table_add(tables, &table, spec, &opened, err);
    schema_unref(schema);
    *out = (struct state_multimap *)opened; /* which begins with its table */
    return status;
}

/* --- keyed access */
sabot_status state_find_or_insert(struct state_table *table, int64_t namespace_, const struct batch *batch,
                                  const int32_t *keys, const int32_t *rows, int32_t n, int32_t *slots,
                                  struct sabot_error *err) {
    return table->backend->find_or_insert(table, namespace_, batch, keys, rows, n, slots, err);
}

sabot_status state_append(struct state_table *table, int64_t namespace_, const struct batch *batch,
                          const int32_t *rows, int32_t n, struct sabot_error *err) {
    assert(table->is_log);
    return n ? table->backend->append(table, namespace_, batch, 0, rows, n, err) : SABOT_OK;
}

void state_find(struct state_table *table, int64_t namespace_, const struct batch *batch, const int32_t *keys,
                const int32_t *rows, int32_t n, int32_t *slots) {
    table->backend->find(table, namespace_, batch, keys, rows, n, slots);
}

sabot_status state_merge(struct state_table *table, int64_t from, int64_t first, int32_t n, int64_t into,
                         int32_t *slots, struct sabot_error *err) {
    return table->backend->merge(table, from, first, n, into, slots, err);
}

void *state_values(struct state_table *table, int64_t namespace_, int32_t value_column) {
    const struct state_cells cells = table->backend->cells(table, namespace_, value_column);
    assert(!cells.first || cells.stride == phys_size(type_phys(table->schema->fields[table->n_keys +
                                                                                     value_column].type)));
    return cells.first;
}

struct state_cells state_cells(struct state_table *table, int64_t namespace_, int32_t value_column) {
    return table->backend->cells(table, namespace_, value_column);
}

sabot_status state_set_view(struct state_table *table, int64_t namespace_, int32_t value_column, int32_t slot,
                            struct string_view view, struct sabot_error *err) {
    return table->backend->set_view(table, namespace_, value_column, slot, view, err);
}

int64_t state_count(struct state_table *table, int64_t namespace_) { return table->backend->count(table, namespace_); }

int64_t state_memory_limit(const struct state_table *table) { return memory_limit(table->context->pool); }

uint64_t state_order(struct state_table *table, int64_t namespace_) { return table->backend->order(table, namespace_); }

sabot_status state_namespaces(struct state_table *table, const int64_t **out, int32_t *n, struct sabot_error *err) {
    return table->backend->namespaces(table, out, n, err);
}

sabot_status state_read(struct state_table *table, int64_t namespace_, int64_t first, int32_t n, struct batch **out,
                        struct sabot_error *err) {
    return table->backend->read(table, namespace_, first, n, out, err);
}

sabot_status state_take(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n,
                        int32_t first_column, int32_t n_columns, struct column **out, struct sabot_error *err) {
    return table->backend->take(table, namespace_, slots, n, first_column, n_columns, out, err);
}

sabot_status state_remove(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n,
                          struct sabot_error *err) {
    return n ? table->backend->remove(table, namespace_, slots, n, err) : SABOT_OK;
}

void state_touch(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n) {
    table->backend->touch(table, namespace_, slots, n);
}

void state_drop_namespace(struct state_table *table, int64_t namespace_) { table->backend->drop(table, namespace_); }

void state_rename_namespace(struct state_table *table, int64_t from, int64_t to) {
    assert(table->backend->count(table, to) == 0);
    table->backend->rename(table, from, to);
}

/* --- lists */
sabot_status state_list_replace(struct state_table *table, struct batch *rows, struct sabot_error *err) {
    assert(table->kind == STATE_LIST);
    struct batch *kept = NULL;
    if (rows) {
        BATCH_OWNED struct batch *owned = rows;
        SABOT_TRY(batch_detach(table->context->pool, owned, &kept, err));
    }
    batch_unref(table->list);
    table->list = kept;
    return SABOT_OK;
}

struct batch *state_list_rows(struct state_table *table) { return table->list; }

/* --- snapshot */
/* Else it is copied at the barrier: a list, or a table of another kind. */
static bool can_freeze(const struct state_table *table) {
    return table->kind == STATE_KEYED && table->backend->freeze != NULL;
}

int32_t state_tables_count(const struct state_tables *tables) { return tables->n_tables; }

void state_table_info(const struct state_tables *tables, int32_t at, struct state_table_info *out) {
    const struct state_table *table = tables->tables[at];
    *out = (struct state_table_info){.name = table->name, .kind = table->kind, .n_keys = table->n_keys,
                                     .has_chain = can_freeze(table) && table->backend->slot_column};
}

sabot_status state_table_schema(struct state_tables *tables, int32_t at, enum state_form form, struct schema **out,
                                struct sabot_error *err) {
    struct state_table *table = tables->tables[at];
    *out = table->schema;
    if (table->kind == STATE_LIST) { return SABOT_OK; }
    if (!table->forms[form]) { SABOT_TRY(capture_schema(table, form, &table->forms[form], err)); }
    *out = table->forms[form];
    return SABOT_OK;
}

void state_table_grouping(const struct state_tables *tables, int32_t at, enum state_form form,
                          struct state_grouping *out) {
    const struct state_table *table = tables->tables[at];
    const int32_t head = capture_head(form);
    *out = (struct state_grouping){.column = form == STATE_FORM_DELTA, .first_key = head,
                                   .n_keys = can_freeze(table) ? table->n_keys - table->n_sub_keys : 0,
                                   .max_parallelism = table->context->max_parallelism};
}

static sabot_status copy_at_once(struct state_table *table, struct sabot_error *err) {
    struct batch *rows = NULL;
    if (table->backend) {
        SABOT_TRY(table->backend->snapshot(table, &rows, err));
    } else if (table->list && table->list->selected) {
        SABOT_TRY(batch_compact(table->context->pool, table->list, &rows, err));
    }
    return rows ? capture_add(table->capture, rows, err) : SABOT_OK;
}

sabot_status state_table_freeze(struct state_tables *tables, int32_t at, enum state_form form,
                                struct sabot_error *err) {
    struct state_table *table = tables->tables[at];
    struct schema *schema;
    SABOT_TRY(state_table_schema(tables, at, form, &schema, err));
    if (!table->capture) {
        table->capture = calloc(1, sizeof *table->capture);
        if (!table->capture) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
    }
    assert(!table->capture->active && (form == STATE_FORM_ROWS || can_freeze(table)));
    capture_begin(table->capture, table, form, INT64_MAX);
    const sabot_status status =
        can_freeze(table) ? table->backend->freeze(table, err) : copy_at_once(table, err);
    if (status != SABOT_OK) { capture_clear(table->capture); }
    return status;
}

/* Time is what a step may take, and that goes by bytes too: of wide rows it takes fewer. Whether that was all. */
static bool table_walk(struct state_table *table, int32_t slots) {
    if (!can_freeze(table)) { return true; }
    if (slots == INT32_MAX) { return table->backend->copy(table, slots); }
    const struct capture *capture = table->capture;
    const int64_t until = capture->copied + STEP_BYTES_MAX;
    int32_t n = slots < STEP_SLOTS_FIRST ? slots : STEP_SLOTS_FIRST;
    for (;;) {
        if (table->backend->copy(table, n)) { return true; }
        slots -= n;
        if (slots <= 0 || capture->copied >= until) { return false; }
        n = slots < 2 * n ? slots : 2 * n; /* as many as before: at most about twice the bytes */
    }
}

sabot_status state_table_copy(struct state_tables *tables, int32_t at, int32_t slots, struct batch **out, bool *done,
                              struct sabot_error *err) {
    struct state_table *table = tables->tables[at];
    struct capture *capture = table->capture;
    *out = NULL;
    *done = false;
    assert(capture && capture->active);
    if (slots == 0) { /* the walk pauses */
        *out = capture_take(capture);
        if (*out) { return SABOT_OK; }
    }
    const bool walked = table_walk(table, slots);
    if (slots > 0) { capture->ahead_until = capture->copied + STEP_BYTES_MAX; }
    if (walked) { capture_flush(capture); }
    if (capture->error.status != SABOT_OK) {
        const struct sabot_error error = capture->error;
        state_table_thaw(tables, at);
        if (err && err->status == SABOT_OK) { *err = error; }
        return error.status;
    }
    *out = capture_take(capture);
    *done = walked && !*out;
    if (*done) { state_table_thaw(tables, at); }
    return SABOT_OK;
}

void state_table_thaw(struct state_tables *tables, int32_t at) {
    struct state_table *table = tables->tables[at];
    if (!table->capture || !table->capture->active) { return; }
    if (can_freeze(table)) { table->backend->thaw(table); }
    capture_clear(table->capture);
}

static sabot_status table_snapshot(struct state_tables *tables, int32_t at, struct batch **out,
                                   struct sabot_error *err) {
    SABOT_TRY(state_table_freeze(tables, at, STATE_FORM_ROWS, err));
    struct state_grouping grouping;
    state_table_grouping(tables, at, STATE_FORM_ROWS, &grouping);
    struct batch **parts = NULL;
    int32_t n = 0, capacity = 0;
    sabot_status status = SABOT_OK;
    for (bool done = false; !done && status == SABOT_OK;) {
        if (n == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct batch **grown = realloc(parts, (size_t)capacity * sizeof *parts);
            if (!grown) {
                status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot");
                break;
            }
            parts = grown;
        }
        status = state_table_copy(tables, at, INT32_MAX, &parts[n], &done, err);
        if (status == SABOT_OK && parts[n]) {
            status = state_grouping_fill(&grouping, tables->context.pool, parts[n++], err);
        }
    }
    if (status == SABOT_OK && n) { status = batch_concat(tables->context.pool, parts, n, out, err); }
    for (int32_t i = 0; i < n; i++) { batch_unref(parts[i]); }
    free(parts);
    state_table_thaw(tables, at);
    return status;
}

sabot_status state_tables_snapshot(struct state_tables *tables, struct state_snapshot **out, int32_t *n,
                                   struct sabot_error *err) {
    *n = 0;
    *out = calloc((size_t)tables->n_tables + 1, sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
    for (int32_t i = 0; i < tables->n_tables; i++) {
        struct state_table *table = tables->tables[i];
        struct state_snapshot *snapshot = &(*out)[*n];
        memcpy(snapshot->name, table->name, sizeof snapshot->name);
        snapshot->kind = table->kind;
        snapshot->n_keys = table->n_keys;
        snapshot->schema = schema_ref(table->kind == STATE_KEYED ? table->snapshot : table->schema);
        (*n)++;
        const sabot_status status = table_snapshot(tables, i, &snapshot->rows, err);
        if (status != SABOT_OK) {
            state_snapshots_free(*out, *n);
            *out = NULL;
            *n = 0;
            return status;
        }
    }
    return SABOT_OK;
}

void state_snapshots_free(struct state_snapshot *snapshots, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        batch_unref(snapshots[i].rows);
        schema_unref(snapshots[i].schema);
    }
    free(snapshots);
}
