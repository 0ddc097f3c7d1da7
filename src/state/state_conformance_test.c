/* Every state backend against a plain model: random operations, many key types, then snapshot and restore with other
 * key-group ranges. A run prints its seed when it fails; give it as the argument to run it again. */
#include "state/state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/random.h"

#define KEYS_MAX 4
#define ROWS_MAX 20000
#define BATCH_MAX 1000

static const char *const backend_names[] = {"memory"};

struct model_row {
    int64_t namespace_;
    int32_t slot;
    int32_t ids[KEYS_MAX]; /* the key: small numbers that stand for values; -1 = NULL */
    int64_t number;
    char text[48];
};
struct model {
    struct model_row rows[ROWS_MAX];
    int32_t n_rows;
};

struct fixture {
    const char *backend;
    struct memory_pool pool;
    struct schema *schema;
    struct type key_types[KEYS_MAX];
    int32_t n_keys, n_sub_keys;
    struct state_context context;
    struct state_tables *tables;
    struct state_table *table;
    struct model *model;
    bool collide; /* hashes of few values, so that full keys must be compared */
    bool records; /* values of a row beside each other */
    bool by_slot; /* no index: only new keys are given, none is looked up */
    int32_t ids;  /* distinct values per key column */
};

static uint64_t random_state;
static uint64_t next_random(void) { return xorshift64(&random_state); }
static int32_t random_below(int32_t n) { return (int32_t)(next_random() % (uint64_t)n); }

static void ok(sabot_status status, struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}

/* --- values that ids stand for */
static void value_write(struct type type, int32_t id, struct column_builder *builder, int32_t row) {
    struct sabot_error err = {0};
    char text[64];
    switch (type_phys(type)) {
    case PHYS_BOOL: ((uint8_t *)builder->values)[row] = (uint8_t)(id & 1); break;
    case PHYS_I16: ((int16_t *)builder->values)[row] = (int16_t)(id * 7 - 300); break;
    case PHYS_I32: ((int32_t *)builder->values)[row] = id * 1000003 - 7; break;
    case PHYS_I64: ((int64_t *)builder->values)[row] = (int64_t)id * INT64_C(0x100000001) - 5; break;
    case PHYS_I128: ((__int128 *)builder->values)[row] = ((__int128)id << 70) - id; break;
    case PHYS_F64:
        ((double *)builder->values)[row] = id == 0   ? (random_below(2) ? 0.0 : -0.0)
                                           : id == 1 ? (random_below(2) ? (double)NAN : -(double)NAN)
                                                     : id * 0.5;
        break;
    case PHYS_VIEW: {
        const int size = snprintf(text, sizeof text, id % 3 ? "k%d" : "a longer key, number %d", id);
        char *target;
        ok(column_builder_reserve(builder, (size_t)size, &target, &err), &err);
        memcpy(target, text, (size_t)size);
        ((struct string_view *)builder->values)[row] = string_view_of(target, (uint32_t)size);
        break;
    }
    default: fail_msg("no values of this type"); break;
    }
}

static bool value_is(struct type type, int32_t id, const struct column *column, int32_t row) {
    if (column_is_null(column, row)) { return id < 0; }
    if (id < 0) { return false; }
    char text[64];
    switch (type_phys(type)) {
    case PHYS_BOOL: return ((const uint8_t *)column->values)[row] == (id & 1);
    case PHYS_I16: return ((const int16_t *)column->values)[row] == id * 7 - 300;
    case PHYS_I32: return ((const int32_t *)column->values)[row] == id * 1000003 - 7;
    case PHYS_I64: return ((const int64_t *)column->values)[row] == (int64_t)id * INT64_C(0x100000001) - 5;
    case PHYS_I128: return ((const __int128 *)column->values)[row] == ((__int128)id << 70) - id;
    case PHYS_F64: {
        const double value = ((const double *)column->values)[row];
        return id == 1 ? isnan(value) : value == id * 0.5;
    }
    case PHYS_VIEW: {
        const struct string_view *view = (const struct string_view *)column->values + row;
        const int size = snprintf(text, sizeof text, id % 3 ? "k%d" : "a longer key, number %d", id);
        return view->size == (uint32_t)size && memcmp(string_view_data(view), text, view->size) == 0;
    }
    default: return false;
    }
}

/* --- fixture */
static void tables_open(struct fixture *fixture, int32_t subtask, int32_t parallelism, struct state_tables **tables) {
    struct sabot_error err = {0};
    const struct state_context context = {.pool = &fixture->pool,
                                          .backend = fixture->backend,
                                          .subtask = subtask,
                                          .parallelism = parallelism,
                                          .max_parallelism = 128};
    ok(state_tables_new(&context, tables, &err), &err);
}
static struct state_table *table_open(struct fixture *fixture, struct state_tables *tables) {
    struct sabot_error err = {0};
    struct state_table *table;
    ok(state_table_open(tables,
                        &(struct state_spec){.name = "panes",
                                             .kind = STATE_KEYED,
                                             .schema = fixture->schema,
                                             .n_keys = fixture->n_keys,
                                             .n_sub_keys = fixture->n_sub_keys,
                                             .by_slot = fixture->by_slot,
                                             .records = fixture->records},
                        &table, &err),
       &err);
    return table;
}

static void fixture_open(struct fixture *fixture, const char *backend, const struct type *types, int32_t n_keys,
                         int32_t n_sub_keys, bool by_slot) {
    struct sabot_error err = {0};
    *fixture = (struct fixture){.backend = backend, .n_keys = n_keys, .n_sub_keys = n_sub_keys, .ids = 40,
                                .records = random_below(2), .by_slot = by_slot};
    memory_pool_init(&fixture->pool, "test", NULL, INT64_MAX);
    struct field fields[KEYS_MAX + 2];
    char names[KEYS_MAX][16];
    for (int32_t k = 0; k < n_keys; k++) {
        snprintf(names[k], sizeof names[k], "k%d", k);
        fields[k] = (struct field){names[k], types[k]};
        fixture->key_types[k] = types[k];
    }
    fields[n_keys] = (struct field){"number", type_not_null(type_of(TYPE_INT64))};
    fields[n_keys + 1] = (struct field){"text", type_not_null(type_of(TYPE_STRING))};
    ok(schema_new(fields, n_keys + 2, &fixture->schema, &err), &err);
    fixture->model = calloc(1, sizeof *fixture->model);
    tables_open(fixture, 0, 1, &fixture->tables);
    fixture->table = table_open(fixture, fixture->tables);
}

static void fixture_close(struct fixture *fixture) {
    state_tables_free(fixture->tables);
    schema_unref(fixture->schema);
    free(fixture->model);
    assert_int_equal(fixture->pool.used, 0);
}

/* --- model */
static struct model_row *model_find(struct fixture *fixture, int64_t namespace_, const int32_t *ids) {
    for (int32_t i = 0; i < fixture->model->n_rows; i++) {
        struct model_row *row = &fixture->model->rows[i];
        bool same = row->namespace_ == namespace_;
        for (int32_t k = 0; k < fixture->n_keys && same; k++) { same = row->ids[k] == ids[k]; }
        if (same) { return row; }
    }
    return NULL;
}
static int32_t model_count(struct fixture *fixture, int64_t namespace_) {
    int32_t n = 0;
    for (int32_t i = 0; i < fixture->model->n_rows; i++) { n += fixture->model->rows[i].namespace_ == namespace_; }
    return n;
}
/* The slot of a key that is there must be `slot`; a new one may have any that is new: `before` or above, and free. */
static void model_take(struct fixture *fixture, int64_t namespace_, const int32_t *ids, int32_t slot, int32_t before) {
    struct model_row *row = model_find(fixture, namespace_, ids);
    if (row) {
        assert_int_equal(slot, row->slot);
        return;
    }
    assert_true(slot >= before && slot < state_count(fixture->table, namespace_));
    for (int32_t i = 0; i < fixture->model->n_rows; i++) {
        assert_false(fixture->model->rows[i].namespace_ == namespace_ && fixture->model->rows[i].slot == slot);
    }
    assert_true(fixture->model->n_rows < ROWS_MAX);
    row = &fixture->model->rows[fixture->model->n_rows++];
    *row = (struct model_row){.namespace_ = namespace_, .slot = slot};
    for (int32_t k = 0; k < fixture->n_keys; k++) { row->ids[k] = ids[k]; }
}
static void model_drop(struct fixture *fixture, int64_t namespace_) {
    int32_t n = 0;
    for (int32_t i = 0; i < fixture->model->n_rows; i++) {
        if (fixture->model->rows[i].namespace_ != namespace_) { fixture->model->rows[n++] = fixture->model->rows[i]; }
    }
    fixture->model->n_rows = n;
}

/* --- operations */
static struct batch *random_batch(struct fixture *fixture, int32_t rows, int32_t (*ids)[KEYS_MAX]) {
    struct sabot_error err = {0};
    struct column *columns[KEYS_MAX + 2];
    for (int32_t k = 0; k < fixture->n_keys; k++) {
        struct column_builder builder;
        const bool nulls = fixture->key_types[k].nullable && random_below(2);
        ok(column_builder_init(&builder, &fixture->pool, type_phys(fixture->key_types[k]), rows, nulls, &err), &err);
        memset(builder.values, 0xee, (size_t)rows * phys_size(builder.phys)); /* NULLs stand on garbage */
        for (int32_t i = 0; i < rows; i++) {
            const int32_t id = nulls && random_below(10) == 0 ? -1 : random_below(fixture->ids);
            ids[i][k] = fixture->key_types[k].kind == TYPE_BOOL && id > 0 ? id & 1 : id;
            if (id < 0) {
                column_builder_set_null(&builder, i);
            } else {
                value_write(fixture->key_types[k], id, &builder, i);
            }
        }
        ok(column_builder_finish(&builder, &columns[k], &err), &err);
    }
    struct batch *batch;
    ok(batch_new(fixture->schema, columns, fixture->n_keys, rows, &batch, &err), &err);
    const int32_t keys[KEYS_MAX] = {0, 1, 2, 3};
    if (fixture->n_keys) { ok(batch_cache_hashes(&fixture->pool, batch, keys, fixture->n_keys, &err), &err); }
    for (int32_t i = 0; i < rows && fixture->collide; i++) {
        ((uint64_t *)(uintptr_t)batch->hashes)[i] = batch->hashes[i] % 3 * UINT64_C(0x4000000040000001);
    }
    return batch;
}

/* Rows whose keys are in no row yet, each key once. */
static void insert_by_slot(struct fixture *fixture, int64_t namespace_) {
    struct sabot_error err = {0};
    static int32_t ids[BATCH_MAX][KEYS_MAX];
    int32_t slots[BATCH_MAX], rows[BATCH_MAX], selected = 0;
    const int32_t keys[KEYS_MAX] = {0, 1, 2, 3}, before = model_count(fixture, namespace_);
    const int32_t n = random_below(BATCH_MAX);
    struct batch *batch = random_batch(fixture, n, ids);
    for (int32_t i = 0; i < n; i++) {
        bool is_new = !model_find(fixture, namespace_, ids[i]);
        for (int32_t s = 0; s < selected && is_new; s++) {
            is_new = memcmp(ids[rows[s]], ids[i], (size_t)fixture->n_keys * sizeof ids[i][0]) != 0;
        }
        if (is_new) { rows[selected++] = i; }
    }
    ok(state_find_or_insert(fixture->table, namespace_, batch, keys, rows, selected, slots, &err), &err);
    for (int32_t i = 0; i < selected; i++) {
        assert_int_equal(slots[i], before + i);
        model_take(fixture, namespace_, ids[rows[i]], slots[i], before);
    }
    assert_int_equal(state_count(fixture->table, namespace_), model_count(fixture, namespace_));
    batch_unref(batch);
}

static void find_or_insert(struct fixture *fixture, int64_t namespace_) {
    struct sabot_error err = {0};
    static int32_t ids[BATCH_MAX][KEYS_MAX];
    int32_t slots[BATCH_MAX], rows[BATCH_MAX], found[BATCH_MAX];
    const int32_t n = random_below(BATCH_MAX);
    struct batch *batch = random_batch(fixture, n, ids);
    int32_t selected = 0;
    const bool all = random_below(2) == 0;
    for (int32_t i = 0; i < n; i++) {
        if (all || random_below(3)) { rows[selected++] = i; }
    }
    const int32_t keys[KEYS_MAX] = {0, 1, 2, 3};
    const int32_t before = model_count(fixture, namespace_);
    state_find(fixture->table, namespace_, batch, keys, all ? NULL : rows, selected, found);
    assert_int_equal(state_count(fixture->table, namespace_), before);
    ok(state_find_or_insert(fixture->table, namespace_, batch, keys, all ? NULL : rows, selected, slots, &err), &err);
    for (int32_t i = 0; i < selected; i++) { assert_int_equal(found[i], slots[i] < before ? slots[i] : -1); }
    state_find(fixture->table, namespace_, batch, keys, all ? NULL : rows, selected, found);
    assert_memory_equal(found, slots, (size_t)selected * sizeof *slots);
    for (int32_t i = 0; i < selected; i++) { model_take(fixture, namespace_, ids[rows[i]], slots[i], before); }
    assert_int_equal(state_count(fixture->table, namespace_), model_count(fixture, namespace_));
    batch_unref(batch);
}

static void change_values(struct fixture *fixture) {
    struct sabot_error err = {0};
    for (int32_t i = 0; i < fixture->model->n_rows; i++) {
        struct model_row *row = &fixture->model->rows[i];
        if (random_below(4)) { continue; }
        const struct state_cells numbers = state_cells(fixture->table, row->namespace_, 0);
        const struct state_cells texts = state_cells(fixture->table, row->namespace_, 1);
        int64_t *number = state_cell(&numbers, row->slot);
        const struct string_view *text = state_cell(&texts, row->slot);
        assert_int_equal(*number, row->number);
        assert_int_equal(text->size, strlen(row->text));
        row->number = *number = (int64_t)next_random();
        snprintf(row->text, sizeof row->text, "%.*s%d", random_below(30), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", i);
        ok(state_set_view(fixture->table, row->namespace_, 1, row->slot,
                          string_view_of(row->text, (uint32_t)strlen(row->text)), &err),
           &err);
    }
}

/* Some rows go; the last ones take their slots, one by one. Also checks state_take on what is left. */
static void remove_rows(struct fixture *fixture, int64_t namespace_) {
    struct sabot_error err = {0};
    int32_t count = model_count(fixture, namespace_), n = 0;
    if (count == 0) { return; }
    int32_t *slots = malloc((size_t)count * sizeof *slots);
    const int32_t odds = 1 + random_below(5);
    for (int32_t slot = count - 1; slot >= 0; slot--) {
        if (random_below(odds) == 0) { slots[n++] = slot; }
    }
    ok(state_remove(fixture->table, namespace_, slots, n, &err), &err);
    for (int32_t i = 0; i < n; i++) {
        struct model *model = fixture->model;
        int32_t gone = -1, last = -1;
        for (int32_t r = 0; r < model->n_rows; r++) {
            if (model->rows[r].namespace_ != namespace_) { continue; }
            if (model->rows[r].slot == slots[i]) { gone = r; }
            if (model->rows[r].slot == count - 1) { last = r; }
        }
        assert_true(gone >= 0 && last >= 0);
        model->rows[last].slot = slots[i];
        model->rows[gone] = model->rows[--model->n_rows];
        count--;
    }
    assert_int_equal(state_count(fixture->table, namespace_), count);
    n = 0;
    for (int32_t i = 0; i < count; i++) { slots[n++] = random_below(count); }
    struct column *numbers = NULL;
    if (n) { ok(state_take(fixture->table, namespace_, slots, n, fixture->n_keys, 1, &numbers, &err), &err); }
    for (int32_t i = 0; i < n; i++) {
        for (int32_t r = 0; r < fixture->model->n_rows; r++) {
            const struct model_row *row = &fixture->model->rows[r];
            if (row->namespace_ != namespace_ || row->slot != slots[i]) { continue; }
            assert_int_equal(((const int64_t *)numbers->values)[i], row->number);
        }
    }
    column_unref(numbers);
    free(slots);
}

static void merge(struct fixture *fixture, int64_t from, int64_t into) {
    struct sabot_error err = {0};
    const int32_t count = model_count(fixture, from);
    if (from == into || count == 0) { return; }
    const int32_t first = random_below(count), n = random_below(count - first + 1);
    const int32_t before = model_count(fixture, into);
    int32_t *slots = malloc((size_t)(n + 1) * sizeof *slots);
    ok(state_merge(fixture->table, from, first, n, into, slots, &err), &err);
    for (int32_t i = 0; i < n; i++) {
        for (int32_t r = 0; r < fixture->model->n_rows; r++) {
            const struct model_row *row = &fixture->model->rows[r];
            if (row->namespace_ != from || row->slot != first + i) { continue; }
            int32_t ids[KEYS_MAX];
            memcpy(ids, row->ids, sizeof ids);
            model_take(fixture, into, ids, slots[i], before);
            break;
        }
    }
    free(slots);
}

static void rename_namespace(struct fixture *fixture, int64_t from, int64_t to) {
    if (from == to) { return; }
    state_drop_namespace(fixture->table, to);
    model_drop(fixture, to);
    state_rename_namespace(fixture->table, from, to);
    for (int32_t i = 0; i < fixture->model->n_rows; i++) {
        if (fixture->model->rows[i].namespace_ == from) { fixture->model->rows[i].namespace_ = to; }
    }
}

/* Checks rows of a table against the model; returns how many rows it holds. by_slot: the slots must be the model's. */
static int32_t check_table(struct fixture *fixture, struct state_table *table, bool by_slot) {
    struct sabot_error err = {0};
    const int64_t *namespaces;
    int32_t n, total = 0;
    ok(state_namespaces(table, &namespaces, &n, &err), &err);
    for (int32_t s = 0; s < n; s++) {
        const int64_t namespace_ = namespaces[s];
        assert_true(s == 0 || namespaces[s - 1] < namespace_);
        const int32_t count = (int32_t)state_count(table, namespace_);
        assert_true(count > 0);
        total += count;
        struct batch *batch;
        ok(state_read(table, namespace_, 0, count, &batch, &err), &err);
        bool *seen = calloc((size_t)fixture->model->n_rows + 1, sizeof *seen);
        for (int32_t i = 0; i < count; i++) {
            int32_t found = -1;
            for (int32_t r = 0; r < fixture->model->n_rows && found < 0; r++) {
                const struct model_row *row = &fixture->model->rows[r];
                bool same = row->namespace_ == namespace_ && !seen[r] && (!by_slot || row->slot == i);
                for (int32_t k = 0; k < fixture->n_keys && same; k++) {
                    same = value_is(fixture->key_types[k], row->ids[k], batch->columns[k], i);
                }
                if (same) { found = r; }
            }
            assert_true(found >= 0);
            seen[found] = true;
            const struct model_row *row = &fixture->model->rows[found];
            assert_int_equal(((const int64_t *)batch->columns[fixture->n_keys]->values)[i], row->number);
            const struct string_view *text = (const struct string_view *)batch->columns[fixture->n_keys + 1]->values
                + i;
            assert_int_equal(text->size, strlen(row->text));
            assert_memory_equal(string_view_data(text), row->text, text->size);
        }
        free(seen);
        batch_unref(batch);
    }
    return total;
}

static void load(struct state_tables *tables, struct batch *older, struct batch *rows) {
    struct sabot_error err = {0};
    if (older) { ok(state_tables_load(tables, "panes", STATE_KEYED, batch_ref(older), &err), &err); }
    ok(state_tables_load(tables, "panes", STATE_KEYED, batch_ref(rows), &err), &err);
}

/* The model's slots are those at which its keys stand in the table. */
static void slots_look_up(struct fixture *fixture) {
    for (int32_t r = 0; r < fixture->model->n_rows; r++) {
        struct sabot_error err = {0};
        struct model_row *row = &fixture->model->rows[r];
        struct batch *batch;
        const int32_t count = (int32_t)state_count(fixture->table, row->namespace_);
        ok(state_read(fixture->table, row->namespace_, 0, count, &batch, &err), &err);
        row->slot = -1;
        for (int32_t i = 0; i < count && row->slot < 0; i++) {
            bool same = true;
            for (int32_t k = 0; k < fixture->n_keys && same; k++) {
                same = value_is(fixture->key_types[k], row->ids[k], batch->columns[k], i);
            }
            if (same) { row->slot = i; }
        }
        assert_true(row->slot >= 0);
        batch_unref(batch);
    }
}

/* Snapshot, restore into `parallelism` tables, check that each key is in exactly one; then goes on from a restore
 * into one. Sometimes each key comes twice, first with older values: the last row counts. */
static void snapshot_and_restore(struct fixture *fixture, int32_t parallelism) {
    struct sabot_error err = {0};
    struct state_snapshot *snapshots, *before_change;
    int32_t n;
    ok(state_tables_snapshot(fixture->tables, &before_change, &n, &err), &err);
    struct batch *older = !fixture->by_slot && random_below(2) ? before_change[0].rows : NULL;
    change_values(fixture);
    ok(state_tables_snapshot(fixture->tables, &snapshots, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_string_equal(snapshots[0].name, "panes");
    struct batch *rows = snapshots[0].rows;
    assert_int_equal(rows ? rows->rows : 0, fixture->model->n_rows);
    int32_t total = 0;
    for (int32_t subtask = 0; subtask < parallelism; subtask++) {
        struct state_tables *tables;
        tables_open(fixture, subtask, parallelism, &tables);
        load(tables, older, rows);
        total += check_table(fixture, table_open(fixture, tables), false);
        state_tables_free(tables);
    }
    assert_int_equal(total, fixture->model->n_rows);

    state_tables_free(fixture->tables);
    tables_open(fixture, 0, 1, &fixture->tables);
    load(fixture->tables, older, rows);
    fixture->table = table_open(fixture, fixture->tables);
    state_snapshots_free(snapshots, n);
    state_snapshots_free(before_change, n);
    if (fixture->by_slot) {
        slots_look_up(fixture);
        return;
    }
    /* Slots are the restored table's own now. */
    const int32_t keys[KEYS_MAX] = {0, 1, 2, 3};
    for (int32_t r = 0; r < fixture->model->n_rows; r++) {
        struct model_row *row = &fixture->model->rows[r];
        struct column *columns[KEYS_MAX];
        for (int32_t k = 0; k < fixture->n_keys; k++) {
            struct column_builder builder;
            ok(column_builder_init(&builder, &fixture->pool, type_phys(fixture->key_types[k]), 1, true, &err), &err);
            memset(builder.values, 0, phys_size(builder.phys));
            if (row->ids[k] < 0) {
                column_builder_set_null(&builder, 0);
            } else {
                value_write(fixture->key_types[k], row->ids[k], &builder, 0);
            }
            ok(column_builder_finish(&builder, &columns[k], &err), &err);
        }
        struct batch *batch;
        ok(batch_new(fixture->schema, columns, fixture->n_keys, 1, &batch, &err), &err);
        if (fixture->n_keys) { ok(batch_cache_hashes(&fixture->pool, batch, keys, fixture->n_keys, &err), &err); }
        const int64_t before = state_count(fixture->table, row->namespace_);
        ok(state_find_or_insert(fixture->table, row->namespace_, batch, keys, NULL, 1, &row->slot, &err), &err);
        assert_int_equal(state_count(fixture->table, row->namespace_), before);
        batch_unref(batch);
    }
}

static uint64_t seed_given;

static void run_as(const struct type *types, int32_t n_keys, int32_t ids, bool collide, bool by_slot) {
    for (size_t b = 0; b < sizeof backend_names / sizeof backend_names[0]; b++) {
        for (uint64_t seed = 1; seed <= 6; seed++) {
            random_state = (seed_given ? seed_given : seed) * UINT64_C(0x9e3779b97f4a7c15);
            print_message("backend %s, %d keys, %d ids, seed %llu\n", backend_names[b], n_keys, ids,
                          (unsigned long long)(seed_given ? seed_given : seed));
            struct fixture fixture;
            const int32_t n_sub_keys = by_slot ? 1 : (int32_t)(seed % (uint64_t)(n_keys + 1));
            fixture_open(&fixture, backend_names[b], types, n_keys, n_sub_keys, by_slot);
            fixture.ids = ids;
            fixture.collide = collide && n_keys;
            const int64_t namespaces[] = {-20000, -1, 0, 7, INT64_C(1) << 50};
            for (int32_t step = 0; step < 40; step++) {
                const int64_t a = namespaces[random_below(5)], c = namespaces[random_below(5)];
                switch (random_below(11)) {
                case 0: state_drop_namespace(fixture.table, a); model_drop(&fixture, a); break;
                case 1: rename_namespace(&fixture, a, c); break;
                case 2:
                case 3:
                    if (!by_slot) { merge(&fixture, a, c); }
                    break;
                case 4: change_values(&fixture); break;
                case 9: remove_rows(&fixture, a); break;
                case 5:
                    if (!fixture.collide) { snapshot_and_restore(&fixture, 1 + random_below(7)); }
                    break;
                default: (by_slot ? insert_by_slot : find_or_insert)(&fixture, a); break;
                }
                if (step % 8 == 7) {
                    assert_int_equal(check_table(&fixture, fixture.table, true), fixture.model->n_rows);
                }
            }
            fixture_close(&fixture);
        }
    }
}

static void run(const struct type *types, int32_t n_keys, int32_t ids, bool collide) {
    run_as(types, n_keys, ids, collide, false);
}

static void random_operations_with_a_bigint_key_equal_the_model(void **state) {
    (void)state;
    run(&(struct type){.kind = TYPE_INT64, .nullable = true}, 1, 900, false);
}
static void random_operations_with_small_integer_keys_equal_the_model(void **state) {
    (void)state;
    run(&(struct type){.kind = TYPE_INT32}, 1, 40, false);
    run(&(struct type){.kind = TYPE_INT16, .nullable = true}, 1, 60, false);
    run(&(struct type){.kind = TYPE_BOOL, .nullable = true}, 1, 2, false);
}
static void random_operations_with_a_string_key_equal_the_model(void **state) {
    (void)state;
    const struct type type = type_of(TYPE_STRING);
    run(&type, 1, 300, false);
    run(&type, 1, 300, true);
}
static void random_operations_with_double_and_wide_decimal_keys_equal_the_model(void **state) {
    (void)state;
    const struct type real = type_of(TYPE_FLOAT64), wide = type_decimal(38, 4);
    run(&real, 1, 50, true);
    run(&wide, 1, 200, false);
}
static void random_operations_with_several_keys_equal_the_model(void **state) {
    (void)state;
    const struct type types[] = {type_of(TYPE_INT64), type_of(TYPE_STRING), type_of(TYPE_FLOAT64), type_of(TYPE_INT16)};
    run(types, 4, 4, false);
    run(types, 2, 20, true);
    run(types, 2, 20, false);
}
static void a_table_without_an_index_keeps_its_rows_by_slot(void **state) {
    (void)state;
    const struct type types[] = {type_of(TYPE_STRING), type_of(TYPE_INT64)};
    run_as(types, 2, 20, false, true);
    run_as(types + 1, 1, 300, false, true);
}
static void a_table_without_keys_has_one_row(void **state) {
    (void)state;
    run(NULL, 0, 1, false);
}

/* --- growth */
/* The keys numbered first..first + n, with their hashes. */
static struct batch *keys_from(struct fixture *fixture, int64_t first, int32_t n) {
    struct sabot_error err = {0};
    struct column_builder builder;
    struct column *column;
    struct batch *batch;
    const int32_t key = 0;
    ok(column_builder_init(&builder, &fixture->pool, PHYS_I64, n, false, &err), &err);
    for (int32_t i = 0; i < n; i++) { ((int64_t *)builder.values)[i] = (first + i) * 3 - 1000; }
    ok(column_builder_finish(&builder, &column, &err), &err);
    ok(batch_new(fixture->schema, &column, 1, n, &batch, &err), &err);
    ok(batch_cache_hashes(&fixture->pool, batch, &key, 1, &err), &err);
    return batch;
}

static void a_namespace_grows_to_many_keys_and_its_memory_is_used_again(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct fixture fixture;
    const struct type type = type_not_null(type_of(TYPE_INT64));
    fixture_open(&fixture, "memory", &type, 1, 0, false);
    const int32_t n = 8192, keys[1] = {0};
    int32_t *slots = malloc((size_t)n * sizeof *slots);
    int64_t used = 0;
    for (int64_t round = 0; round < 3; round++) {
        for (int64_t start = 0; start < 300000; start += n) {
            struct batch *batch = keys_from(&fixture, start, n);
            for (int32_t twice = 0; twice < 2; twice++) {
                ok(state_find_or_insert(fixture.table, round, batch, keys, NULL, n, slots, &err), &err);
                for (int32_t i = 0; i < n; i++) { assert_int_equal(slots[i], start + i); }
            }
            batch_unref(batch);
        }
        const struct state_cells numbers = state_cells(fixture.table, round, 0);
        for (int64_t i = 0; i < 300000; i++) {
            int64_t *number = state_cell(&numbers, i);
            assert_int_equal(*number, 0);
            *number = i;
        }
        if (round) { assert_int_equal(fixture.pool.used, used); }
        used = fixture.pool.used;
        state_drop_namespace(fixture.table, round);
    }
    free(slots);
    fixture_close(&fixture);
}

static void full_memory_is_an_error_and_the_table_stays_whole(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct fixture fixture;
    const struct type types[] = {type_of(TYPE_STRING), type_of(TYPE_INT64)};
    fixture_open(&fixture, "memory", types, 2, 0, false);
    random_state = 99;
    fixture.ids = 30;
    static int32_t ids[BATCH_MAX][KEYS_MAX];
    int32_t slots[BATCH_MAX];
    const int32_t keys[2] = {0, 1};
    for (int32_t round = 0; round < 200; round++) {
        struct batch *batch = random_batch(&fixture, 300, ids);
        fixture.pool.limit = atomic_load(&fixture.pool.used) + random_below(60000);
        error_clear(&err);
        const sabot_status status = state_find_or_insert(fixture.table, 5, batch, keys, NULL, 300, slots, &err);
        fixture.pool.limit = INT64_MAX;
        if (status != SABOT_OK) { assert_int_equal(status, SABOT_ERR_MEMORY); }
        /* Whatever was taken in: the same rows again must find or make consistent slots. */
        error_clear(&err);
        ok(state_find_or_insert(fixture.table, 5, batch, keys, NULL, 300, slots, &err), &err);
        int32_t again[BATCH_MAX];
        ok(state_find_or_insert(fixture.table, 5, batch, keys, NULL, 300, again, &err), &err);
        struct batch *rows;
        ok(state_read(fixture.table, 5, 0, (int32_t)state_count(fixture.table, 5), &rows, &err), &err);
        for (int32_t i = 0; i < 300; i++) {
            assert_int_equal(slots[i], again[i]);
            for (int32_t k = 0; k < 2; k++) { assert_true(value_is(types[k], ids[i][k], rows->columns[k], slots[i])); }
        }
        batch_unref(rows);
        batch_unref(batch);
    }
    fixture_close(&fixture);
}

static void many_keys_are_found_behind_a_restore(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct fixture fixture;
    const struct type type = type_not_null(type_of(TYPE_INT64));
    fixture_open(&fixture, "memory", &type, 1, 0, false);
    const int32_t n = 65536, keys[1] = {0};
    int32_t *slots = malloc((size_t)n * sizeof *slots);
    struct batch *parts[6];
    for (int64_t p = 0; p < 6; p++) {
        parts[p] = keys_from(&fixture, p * n, n);
        ok(state_find_or_insert(fixture.table, 4, parts[p], keys, NULL, n, slots, &err), &err);
        for (int32_t i = 0; i < n; i++) {
            const struct state_cells numbers = state_cells(fixture.table, 4, 0);
            *(int64_t *)state_cell(&numbers, slots[i]) = p * n + i;
            if (i % 1000 == 0) { ok(state_set_view(fixture.table, 4, 1, slots[i], string_view_of("a text of a row", 15),
                                                   &err), &err); }
        }
    }
    struct state_snapshot *snapshots;
    int32_t n_snapshots;
    ok(state_tables_snapshot(fixture.tables, &snapshots, &n_snapshots, &err), &err);
    state_tables_free(fixture.tables);
    tables_open(&fixture, 0, 1, &fixture.tables);
    load(fixture.tables, NULL, snapshots[0].rows);
    fixture.table = table_open(&fixture, fixture.tables);
    state_snapshots_free(snapshots, n_snapshots);
    assert_int_equal(state_count(fixture.table, 4), 6 * n);
    for (int64_t p = 0; p < 6; p++) {
        state_find(fixture.table, 4, parts[p], keys, NULL, n, slots);
        const struct state_cells numbers = state_cells(fixture.table, 4, 0);
        const struct state_cells texts = state_cells(fixture.table, 4, 1);
        for (int32_t i = 0; i < n; i++) {
            assert_true(slots[i] >= 0);
            assert_int_equal(*(int64_t *)state_cell(&numbers, slots[i]), p * n + i);
            assert_int_equal(((struct string_view *)state_cell(&texts, slots[i]))->size, i % 1000 ? 0 : 15);
        }
        batch_unref(parts[p]);
    }
    free(slots);
    fixture_close(&fixture);
}

/* --- lists and names */
static void a_list_is_restored_whole_to_every_subtask(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct memory_pool pool;
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    struct schema *schema;
    ok(schema_new(&(struct field){"position", type_of(TYPE_INT64)}, 1, &schema, &err), &err);
    const struct state_spec spec = {.name = "positions", .kind = STATE_LIST, .schema = schema};
    struct state_snapshot *snapshots[2];
    int32_t n;
    for (int64_t subtask = 0; subtask < 2; subtask++) {
        struct state_tables *tables;
        struct state_table *table;
        ok(state_tables_new(&(struct state_context){.pool = &pool, .parallelism = 2, .max_parallelism = 128,
                                                    .subtask = (int32_t)subtask}, &tables, &err), &err);
        ok(state_table_open(tables, &spec, &table, &err), &err);
        assert_null(state_list_rows(table));
        struct column *column;
        ok(column_constant(&pool, PHYS_I64, &subtask, 2, &column, &err), &err);
        struct batch *batch;
        ok(batch_new(schema, &column, 1, 2, &batch, &err), &err);
        ok(state_list_replace(table, batch, &err), &err);
        ok(state_tables_snapshot(tables, &snapshots[subtask], &n, &err), &err);
        state_tables_free(tables);
    }
    struct state_tables *tables;
    struct state_table *table;
    ok(state_tables_new(&(struct state_context){.pool = &pool, .parallelism = 1, .max_parallelism = 128}, &tables,
        &err),
       &err);
    for (int32_t i = 0; i < 2; i++) {
        ok(state_tables_load(tables, "positions", STATE_LIST, batch_ref(snapshots[i][0].rows), &err), &err);
    }
    ok(state_table_open(tables, &spec, &table, &err), &err);
    assert_int_equal(state_list_rows(table)->selected, 4);
    assert_int_equal(((const int64_t *)state_list_rows(table)->columns[0]->values)[3], 1);
    struct state_table *twice;
    assert_int_equal(state_table_open(tables, &spec, &twice, &err), SABOT_ERR_INTERNAL);
    state_tables_free(tables);
    for (int32_t i = 0; i < 2; i++) { state_snapshots_free(snapshots[i], 1); }
    schema_unref(schema);
    assert_int_equal(pool.used, 0);
}

static void state_of_another_type_is_refused_with_a_sentence(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct fixture fixture;
    const struct type type = type_of(TYPE_INT64), other = type_of(TYPE_STRING);
    fixture_open(&fixture, "memory", &type, 1, 0, false);
    random_state = 5;
    find_or_insert(&fixture, 0);
    struct state_snapshot *snapshots;
    int32_t n;
    ok(state_tables_snapshot(fixture.tables, &snapshots, &n, &err), &err);
    struct fixture changed;
    fixture_open(&changed, "memory", &other, 1, 0, false);
    struct state_tables *tables;
    struct state_table *table;
    tables_open(&changed, 0, 1, &tables);
    ok(state_tables_load(tables, "panes", STATE_KEYED, batch_ref(snapshots[0].rows), &err), &err);
    assert_int_equal(state_table_open(tables, &(struct state_spec){.name = "panes", .kind = STATE_KEYED,
                                                                   .schema = changed.schema, .n_keys = 1}, &table,
                                                                       &err),
                     SABOT_ERR_STATE);
    assert_non_null(strstr(err.message, "column k0 was BIGINT and is STRING"));
    state_tables_free(tables);
    state_snapshots_free(snapshots, n);
    fixture_close(&changed);
    fixture_close(&fixture);
}

static void an_unknown_backend_is_named(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct state_tables *tables;
    assert_int_equal(state_tables_new(&(struct state_context){.backend = "rocks"}, &tables, &err), SABOT_ERR_USAGE);
    assert_non_null(strstr(err.message, "rocks"));
}

int main(int argc, char **argv) {
    if (argc > 1) { seed_given = strtoull(argv[1], NULL, 10); }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_with_a_bigint_key_equal_the_model),
        cmocka_unit_test(random_operations_with_small_integer_keys_equal_the_model),
        cmocka_unit_test(random_operations_with_a_string_key_equal_the_model),
        cmocka_unit_test(random_operations_with_double_and_wide_decimal_keys_equal_the_model),
        cmocka_unit_test(random_operations_with_several_keys_equal_the_model),
        cmocka_unit_test(a_table_without_an_index_keeps_its_rows_by_slot),
        cmocka_unit_test(a_table_without_keys_has_one_row),
        cmocka_unit_test(a_namespace_grows_to_many_keys_and_its_memory_is_used_again),
        cmocka_unit_test(many_keys_are_found_behind_a_restore),
        cmocka_unit_test(full_memory_is_an_error_and_the_table_stays_whole),
        cmocka_unit_test(a_list_is_restored_whole_to_every_subtask),
        cmocka_unit_test(state_of_another_type_is_refused_with_a_sentence),
        cmocka_unit_test(an_unknown_backend_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
