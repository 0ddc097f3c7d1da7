/* Aggregation over state tables: see aggregator.h. */
#include "ops/aggregate/aggregator.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/text.h"

#define RESULT_SHARE 16  /* of the memory limit: the texts of a batch of results */
#define MERGE_SLOTS 4096 /* per step, so that the slot lists stay in the cache */

/* --- open */
/* What a cell or set takes, in words that stay the same when the query gets more calls: state is found by them. */
static void add_taken(const struct schema *input, int32_t argument, int32_t filter, struct text *name) {
    if (argument >= 0) { text_format(name, "_%s", input->fields[argument].name); }
    if (filter >= 0) { text_format(name, "_if_%s", input->fields[filter].name); }
}

sabot_status aggregator_cell_name(const struct accumulators *plan, int32_t c, const struct schema *input,
                                  struct text *names, struct sabot_error *err) {
    struct text *name = &names[c];
    static const char *const ops[] = {"count", "sum", "min", "max", "first", "last", "list", "array", "set"};
    const struct cell *cell = &plan->cells[c];
    const char *what = cell->set >= 0 ? "_distinct" : cell->argument < 0 ? "_rows" : "";
    text_format(name, "%s%s", ops[cell->op], what);
    add_taken(input, cell->argument, cell->filter, name);
    for (int32_t before = 0; before < c; before++) { /* two input columns may have one name */
        if (strcmp(text_string(&names[before]), text_string(name)) == 0) { text_format(name, "_%d", c); }
    }
    return name->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for names of state columns") : SABOT_OK;
}

static sabot_status open_named(struct aggregator *aggregator, const struct aggregator_options *options,
                               struct state_tables *tables, const char *name, struct text *names,
                               struct sabot_error *err) {
    const struct schema *input = options->input;
    const struct accumulators *plan = &aggregator->accumulators;
    struct field fields[AGGREGATOR_KEYS_MAX + CELLS_MAX + 1];
    struct accumulator_defaults defaults;
    for (int32_t k = 0; k < aggregator->n_keys; k++) { fields[k] = input->fields[aggregator->keys[k]]; }
    for (int32_t c = 0; c < plan->n_cells; c++) {
        SABOT_TRY(aggregator_cell_name(plan, c, input, names, err));
        fields[aggregator->n_keys + c] = (struct field){text_string(&names[c]), plan->cells[c].type};
    }
    const int32_t n = aggregator->n_keys + plan->n_cells;
    fields[n] = (struct field){"written", type_not_null(type_of(TYPE_INT64))};
    SABOT_TRY(schema_new(fields, n, &aggregator->schema, err));
    SABOT_TRY(schema_new(fields, options->keeps_written ? n + 1 : n, &aggregator->stored, err));
    accumulators_defaults(plan, &defaults);
    defaults.columns[plan->n_cells] = (struct state_default){.known = options->keeps_written,
                                                             .value = &options->written_ms, .guard = -1};
    const struct state_spec spec = {.name = name, .kind = STATE_KEYED, .schema = aggregator->stored,
                                    .n_keys = aggregator->n_keys, .defaults = defaults.columns, .records = true};
    return state_table_open(tables, &spec, &aggregator->table, err);
}

static sabot_status open_table(struct aggregator *aggregator, const struct aggregator_options *options,
                               struct state_tables *tables, const char *name, struct sabot_error *err) {
    struct text names[CELLS_MAX] = {0};
    const sabot_status status = open_named(aggregator, options, tables, name, names, err);
    for (int32_t c = 0; c < aggregator->accumulators.n_cells; c++) { text_clear(&names[c]); }
    return status;
}

/* "panes_distinct_auction_if_cheap", or "panes_values_auction" of all sets of the column; a long one ends with its
 * hash. */
static sabot_status set_name(const struct aggregator *aggregator, int32_t s, bool shared, const struct schema *input,
                             const char *table_name, char target[64], struct sabot_error *err) {
    const struct distinct_set *set = &aggregator->accumulators.sets[s];
    struct text name = {0};
    text_format(&name, "%.40s_%s", table_name, shared ? "values" : "distinct");
    add_taken(input, set->argument, shared ? -1 : set->filter, &name);
    if (name.failed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the name of a state table"); }
    if (name.size < 64) {
        memcpy(target, name.data, name.size + 1);
    } else {
        snprintf(target, 64, "%.50s_%08x", name.data, (unsigned)XXH3_64bits(name.data, name.size));
    }
    text_clear(&name);
    return SABOT_OK;
}

/* "all", "if_cheap". */
static sabot_status flag_name(const struct aggregator *aggregator, int32_t s, const struct schema *input,
                              struct text *name, struct sabot_error *err) {
    const struct distinct_set *sets = aggregator->accumulators.sets;
    const int32_t filter = sets[s].filter;
    text_format(name, filter < 0 ? "all" : "if_%s", filter < 0 ? "" : input->fields[filter].name);
    for (int32_t other = 0; other < s && filter >= 0; other++) { /* two input columns may have one name */
        const bool beside = sets[other].argument == sets[s].argument && sets[other].filter >= 0;
        if (beside && strcmp(input->fields[sets[other].filter].name, input->fields[filter].name) == 0) {
            text_format(name, "_%d", s);
            break;
        }
    }
    return name->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for names of state columns") : SABOT_OK;
}

/* Finds the set whose table this one shares, and its place there. */
static void find_home(struct aggregator *aggregator, int32_t s) {
    const struct accumulators *plan = &aggregator->accumulators;
    aggregator->sets[s].home = s;
    aggregator->sets[s].flag = -1;
    if (plan->flags & ACCUMULATE_RETRACTS) { return; } /* counts its rows, set by set */
    int32_t before = 0, all = 0;
    for (int32_t other = 0; other < plan->n_sets; other++) {
        if (plan->sets[other].argument != plan->sets[s].argument) { continue; }
        if (all++ == 0) { aggregator->sets[s].home = other; }
        before += other < s;
    }
    if (all > 1) { aggregator->sets[s].flag = before; }
}

static bool shares_home(const struct aggregator *aggregator, int32_t s, int32_t other) {
    return aggregator->sets[s].home == aggregator->sets[other].home;
}

/* What of a table of DISTINCT values is looked for in a checkpoint, besides the table itself: whether sets share one
 * depends on how many the query has. */
struct set_columns {
    struct field fields[AGGREGATOR_KEYS_MAX + 1 + CELLS_MAX];
    int32_t n;
    struct text flags[CELLS_MAX]; /* names */
    struct state_default defaults[CELLS_MAX];
    struct state_former formers[CELLS_MAX];
    char former_names[CELLS_MAX][64];
    int32_t n_formers;
};

static sabot_status add_former(struct aggregator *aggregator, int32_t s, const struct schema *input,
                               const char *table_name, struct set_columns *columns, struct sabot_error *err) {
    const int32_t at = columns->n_formers++;
    const bool shared = aggregator->sets[s].flag >= 0;
    SABOT_TRY(set_name(aggregator, s, !shared, input, table_name, columns->former_names[at], err));
    columns->formers[at] = (struct state_former){.name = columns->former_names[at],
                                                 .only = shared ? NULL : text_string(&columns->flags[s]),
                                                 .flag = aggregator->sets[s].flag};
    return SABOT_OK;
}

static sabot_status set_columns_fill(struct aggregator *aggregator, int32_t s, const struct schema *input,
                                     const char *table_name, struct set_columns *columns, struct sabot_error *err) {
    const struct accumulators *plan = &aggregator->accumulators;
    static const uint8_t no = 0;
    for (int32_t k = 0; k < aggregator->n_keys; k++) { columns->fields[k] = input->fields[aggregator->keys[k]]; }
    columns->fields[aggregator->n_keys] = input->fields[plan->sets[s].argument];
    columns->n = aggregator->n_keys + 1;
    if (plan->flags & ACCUMULATE_RETRACTS) {
        columns->fields[columns->n++] = (struct field){"count", type_not_null(type_of(TYPE_INT64))};
        return SABOT_OK;
    }
    for (int32_t other = s; other < plan->n_sets; other++) {
        if (!shares_home(aggregator, s, other)) { continue; }
        SABOT_TRY(flag_name(aggregator, other, input, &columns->flags[other], err));
        SABOT_TRY(add_former(aggregator, other, input, table_name, columns, err));
        if (aggregator->sets[other].flag < 0) { continue; }
        columns->fields[columns->n++] =
            (struct field){text_string(&columns->flags[other]), type_not_null(type_of(TYPE_BOOL))};
        columns->defaults[aggregator->sets[other].flag] =
            (struct state_default){.known = true, .value = &no, .guard = -1};
    }
    return SABOT_OK;
}

static sabot_status open_set(struct aggregator *aggregator, int32_t s, const struct schema *input,
                             struct state_tables *tables, const char *table_name, struct set_columns *columns,
                             struct sabot_error *err) {
    const bool shared = aggregator->sets[s].flag >= 0;
    char name[64];
    SABOT_TRY(set_name(aggregator, s, shared, input, table_name, name, err));
    SABOT_TRY(set_columns_fill(aggregator, s, input, table_name, columns, err));
    SABOT_TRY(schema_new(columns->fields, columns->n, &aggregator->sets[s].schema, err));
    const struct state_spec spec = {
        .name = name,
        .kind = STATE_KEYED,
        .schema = aggregator->sets[s].schema,
        .n_keys = aggregator->n_keys + 1,
        .n_sub_keys = 1, /* the values of a group go where the group goes */
        .defaults = shared ? columns->defaults : NULL,
        .records = !(aggregator->accumulators.flags & ACCUMULATE_RETRACTS), /* else counts, read as an array */
        .formers = columns->formers,
        .n_formers = columns->n_formers,
    };
    return state_table_open(tables, &spec, &aggregator->sets[s].table, err);
}

static sabot_status open_sets(struct aggregator *aggregator, const struct schema *input, struct state_tables *tables,
                              const char *name, struct sabot_error *err) {
    const int32_t n = aggregator->accumulators.n_sets;
    for (int32_t s = 0; s < n; s++) { find_home(aggregator, s); }
    for (int32_t s = 0; s < n; s++) {
        const int32_t home = aggregator->sets[s].home;
        if (home != s) {
            aggregator->sets[s].schema = schema_ref(aggregator->sets[home].schema);
            aggregator->sets[s].table = aggregator->sets[home].table;
            continue;
        }
        struct set_columns *columns = calloc(1, sizeof *columns);
        if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for names of state columns"); }
        const sabot_status status = open_set(aggregator, s, input, tables, name, columns, err);
        for (int32_t other = 0; other < CELLS_MAX; other++) { text_clear(&columns->flags[other]); }
        free(columns);
        SABOT_TRY(status);
    }
    return SABOT_OK;
}

sabot_status aggregator_open(struct aggregator *aggregator, const struct aggregator_options *options,
                             struct state_tables *tables, const char *name, struct memory_pool *pool,
                             struct sabot_error *err) {
    *aggregator = (struct aggregator){.pool = pool, .n_keys = options->n_keys};
    if (options->n_keys > AGGREGATOR_KEYS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "a GROUP BY of %d columns, at most %d are possible: group "
                          "by fewer", options->n_keys, AGGREGATOR_KEYS_MAX);
    }
    for (int32_t k = 0; k < options->n_keys; k++) { aggregator->keys[k] = options->keys[k]; }
    SABOT_TRY(accumulators_plan(options->calls, options->n_calls, options->input, options->flags,
                                &aggregator->accumulators, err));
    SABOT_TRY(open_table(aggregator, options, tables, name, err));
    return open_sets(aggregator, options->input, tables, name, err);
}

void aggregator_take_partials(struct aggregator *aggregator, int32_t first_key, int32_t rows_column,
                              int32_t first_cell) {
    aggregator->takes_partials = true;
    for (int32_t k = 0; k < aggregator->n_keys; k++) { aggregator->keys[k] = first_key + k; }
    aggregator->partial_columns[0] = rows_column;
    for (int32_t c = 1; c < aggregator->accumulators.n_cells; c++) {
        aggregator->partial_columns[c] = first_cell + c - 1;
    }
}

void aggregator_clear(struct aggregator *aggregator) {
    schema_unref(aggregator->schema);
    schema_unref(aggregator->stored);
    for (int32_t s = 0; s < aggregator->accumulators.n_sets; s++) { schema_unref(aggregator->sets[s].schema); }
    memory_free(aggregator->pool, aggregator->slots, (size_t)aggregator->scratch_rows * 3 * sizeof(int32_t));
    *aggregator = (struct aggregator){0};
}

/* --- adding */
static sabot_status reserve_scratch(struct aggregator *aggregator, int32_t rows, struct sabot_error *err) {
    if (rows <= aggregator->scratch_rows) { return SABOT_OK; }
    const int32_t wanted = rows < MERGE_SLOTS ? MERGE_SLOTS : rows;
    void *block;
    SABOT_TRY(memory_alloc(aggregator->pool, (size_t)wanted * 3 * sizeof(int32_t), &block, err));
    memory_free(aggregator->pool, aggregator->slots, (size_t)aggregator->scratch_rows * 3 * sizeof(int32_t));
    aggregator->slots = block;
    aggregator->kept = aggregator->slots + wanted;
    aggregator->kept_slots = aggregator->kept + wanted;
    aggregator->scratch_rows = wanted;
    return SABOT_OK;
}

sabot_status aggregator_prepare(struct aggregator *aggregator, struct batch **batch, struct sabot_error *err) {
    if (aggregator->n_keys == 0 ||
        ((*batch)->hashes && (*batch)->hash_key_id == key_id(aggregator->keys, aggregator->n_keys))) {
        return SABOT_OK;
    }
    if (atomic_load_explicit(&(*batch)->refs, memory_order_relaxed) > 1) {
        /* Others may read this batch at the same time: the hashes go into one of our own. */
        struct batch *own;
        SABOT_TRY(batch_copy(*batch, &own, err));
        batch_unref(*batch);
        *batch = own;
    }
    return batch_cache_hashes(aggregator->pool, *batch, aggregator->keys, aggregator->n_keys, err);
}

/* Of rows[0..n) with slots[i] in a set's table: those whose slot is new, each value once. Compacts kept, kept_slots. */
static int32_t keep_first_of_each(const int32_t *set_slots, int64_t before, int64_t after, uint8_t *seen, int32_t n,
                                  int32_t *rows, int32_t *group_slots) {
    memset(seen, 0, (size_t)(after - before));
    int32_t m = 0;
    for (int32_t i = 0; i < n; i++) {
        if (set_slots[i] < before || seen[set_slots[i] - before]) { continue; }
        seen[set_slots[i] - before] = 1;
        rows[m] = rows[i];
        group_slots[m++] = group_slots[i];
    }
    return m;
}

/* Puts the values of rows[0..n) into the set; returns in *fresh how many were not there yet: they stand first in rows
 * and
 * group_slots then. `keys` are the columns of the group keys and the value in `batch`. */
static sabot_status set_add(struct aggregator *aggregator, int32_t s, int64_t namespace_, struct batch *batch,
                            const int32_t *keys, int32_t *rows, int32_t *group_slots, int32_t n, int32_t *fresh,
                            struct sabot_error *err) {
    struct state_table *table = aggregator->sets[s].table;
    *fresh = 0;
    if (n == 0) { return SABOT_OK; }
    const int64_t before = state_count(table, namespace_);
    int32_t *slots;
    const size_t size = (size_t)n * (sizeof *slots + 1);
    SABOT_TRY(memory_alloc(aggregator->pool, size, (void **)&slots, err));
    const sabot_status status = state_find_or_insert(table, namespace_, batch, keys, rows, n, slots, err);
    if (status == SABOT_OK) {
        *fresh = keep_first_of_each(slots, before, state_count(table, namespace_), (uint8_t *)(slots + n), n, rows,
                                    group_slots);
    }
    memory_free(aggregator->pool, slots, size);
    return status;
}

/* A batch of the same rows whose hashes are those of `keys`. */
static sabot_status with_hashes(struct aggregator *aggregator, const struct batch *batch, const int32_t *keys,
                                int32_t n_keys, struct batch **out, struct sabot_error *err) {
    SABOT_TRY(batch_copy(batch, out, err));
    const sabot_status status = batch_cache_hashes(aggregator->pool, *out, keys, n_keys, err);
    if (status != SABOT_OK) {
        batch_unref(*out);
        *out = NULL;
    }
    return status;
}

/* --- sets that share a table
 * Which sets a row's value is to be in, and then which it was not in before, is a byte per set, eight to a word: as the
 * flags stand in the table's records, which are so read and written once a row. */
#define WORD_SETS 8

struct shared_rows {
    int32_t *rows, *groups; /* that at least one set takes */
    int32_t *slots;         /* of their values */
    uint64_t *wanted;       /* n_words each */
    int32_t *fresh, *fresh_groups;
    int32_t n, n_words;
    void *block;
    size_t size;
};

static sabot_status shared_rows_new(const struct aggregator *aggregator, int32_t home, int32_t rows,
                                    struct shared_rows *out, struct sabot_error *err) {
    const int32_t n_flags = aggregator->sets[home].schema->n_fields - aggregator->n_keys - 1;
    *out = (struct shared_rows){.n_words = (n_flags + WORD_SETS - 1) / WORD_SETS};
    out->size = (size_t)rows * ((size_t)out->n_words * sizeof(uint64_t) + 5 * sizeof(int32_t));
    SABOT_TRY(memory_alloc(aggregator->pool, out->size, &out->block, err));
    out->wanted = out->block;
    out->rows = (int32_t *)(void *)(out->wanted + (size_t)rows * (size_t)out->n_words);
    out->groups = out->rows + rows;
    out->slots = out->groups + rows;
    out->fresh = out->slots + rows;
    out->fresh_groups = out->fresh + rows;
    return SABOT_OK;
}

static inline uint8_t *wanted_at(const struct shared_rows *shared, int32_t row, int32_t flag) {
    return (uint8_t *)(shared->wanted + (size_t)row * (size_t)shared->n_words) + flag;
}

/* Rows of a batch whose value is not NULL, and that a filter lets through; `wanted` says which. */
static void shared_rows_qualify(const struct aggregator *aggregator, int32_t home, const struct batch *batch,
                                const int32_t *rows, int32_t n, struct shared_rows *shared) {
    const struct accumulators *plan = &aggregator->accumulators;
    const int32_t kept = rows_qualify(batch, plan->sets[home].argument, -1, rows, aggregator->slots, n, shared->rows,
                                      shared->groups);
    memset(shared->wanted, 0, (size_t)kept * (size_t)shared->n_words * sizeof(uint64_t));
    for (int32_t s = home; s < plan->n_sets; s++) {
        if (!shares_home(aggregator, s, home)) { continue; }
        const struct column *filter = plan->sets[s].filter >= 0 ? batch->columns[plan->sets[s].filter] : NULL;
        const uint8_t *is_true = filter ? filter->values : NULL;
        const int32_t flag = aggregator->sets[s].flag;
        for (int32_t i = 0; i < kept; i++) {
            const int32_t row = shared->rows[i];
            *wanted_at(shared, i, flag) =
                !filter || (!column_is_null(filter, row) && is_true[column_at(filter, row)]);
        }
    }
    for (int32_t i = 0; i < kept; i++) {
        uint64_t any = 0;
        for (int32_t w = 0; w < shared->n_words; w++) {
            const uint64_t word = shared->wanted[(size_t)i * (size_t)shared->n_words + (size_t)w];
            shared->wanted[(size_t)shared->n * (size_t)shared->n_words + (size_t)w] = word;
            any |= word;
        }
        shared->rows[shared->n] = shared->rows[i];
        shared->groups[shared->n] = shared->groups[i];
        shared->n += any != 0;
    }
}

/* Sets the flags of the rows' values; `wanted` keeps those that were not set. Returns which any row has. */
static uint64_t flags_set(struct state_table *table, int64_t namespace_, struct shared_rows *shared, int32_t word) {
    const struct state_cells cells = state_cells(table, namespace_, word * WORD_SETS);
    uint64_t *wanted = shared->wanted + word;
    uint64_t any = 0;
    for (int32_t i = 0; i < shared->n; i++, wanted += shared->n_words) {
        uint64_t *flags = state_cell(&cells, shared->slots[i]);
        const uint64_t fresh = *wanted & ~*flags;
        *flags |= fresh;
        *wanted = fresh;
        any |= fresh;
    }
    return any;
}

/* Puts the values of the rows into their sets, and folds those that were not there into the groups. `plan` says where
 * the value stands in `batch`, which has the hashes of group and value. */
static sabot_status shared_add(struct aggregator *aggregator, const struct accumulators *plan, int32_t home,
                               int64_t namespace_, const struct batch *batch, const int32_t *keys,
                               struct shared_rows *shared, struct sabot_error *err) {
    struct state_table *table = aggregator->sets[home].table;
    if (shared->n == 0) { return SABOT_OK; }
    SABOT_TRY(state_find_or_insert(table, namespace_, batch, keys, shared->rows, shared->n, shared->slots, err));
    uint64_t any[CELLS_MAX / WORD_SETS];
    for (int32_t w = 0; w < shared->n_words; w++) { any[w] = flags_set(table, namespace_, shared, w); }
    for (int32_t s = home; s < plan->n_sets; s++) {
        const int32_t flag = aggregator->sets[s].flag;
        if (!shares_home(aggregator, s, home) || !((const uint8_t *)any)[flag]) { continue; }
        int32_t m = 0;
        for (int32_t i = 0; i < shared->n; i++) {
            shared->fresh[m] = shared->rows[i];
            shared->fresh_groups[m] = shared->groups[i];
            m += *wanted_at(shared, i, flag);
        }
        SABOT_TRY(accumulators_update(plan, s, aggregator->table, namespace_, batch, NULL, shared->fresh,
                                      shared->fresh_groups, m, err));
    }
    return SABOT_OK;
}

/* As add_distinct, for all sets of the table. */
static sabot_status add_shared(struct aggregator *aggregator, int32_t home, int64_t namespace_,
                               const struct batch *batch, const int32_t *rows, int32_t n, struct sabot_error *err) {
    int32_t keys[AGGREGATOR_KEYS_MAX + 1];
    memcpy(keys, aggregator->keys, sizeof aggregator->keys);
    keys[aggregator->n_keys] = aggregator->accumulators.sets[home].argument;
    BATCH_OWNED struct batch *hashed = NULL;
    SABOT_TRY(with_hashes(aggregator, batch, keys, aggregator->n_keys + 1, &hashed, err));
    struct shared_rows shared;
    SABOT_TRY(shared_rows_new(aggregator, home, n, &shared, err));
    shared_rows_qualify(aggregator, home, batch, rows, n, &shared);
    const sabot_status status = shared_add(aggregator, &aggregator->accumulators, home, namespace_, hashed, keys,
                                           &shared, err);
    memory_free(aggregator->pool, shared.block, shared.size);
    return status;
}

static sabot_status add_distinct(struct aggregator *aggregator, int32_t s, int64_t namespace_,
                                 const struct batch *batch, const int32_t *rows, int32_t n, struct sabot_error *err) {
    const struct distinct_set *set = &aggregator->accumulators.sets[s];
    int32_t keys[AGGREGATOR_KEYS_MAX + 1];
    memcpy(keys, aggregator->keys, sizeof aggregator->keys);
    keys[aggregator->n_keys] = set->argument;
    const int32_t kept = rows_qualify(batch, set->argument, set->filter, rows, aggregator->slots, n, aggregator->kept,
                                      aggregator->kept_slots);
    BATCH_OWNED struct batch *hashed = NULL;
    SABOT_TRY(with_hashes(aggregator, batch, keys, aggregator->n_keys + 1, &hashed, err));
    int32_t fresh;
    SABOT_TRY(set_add(aggregator, s, namespace_, hashed, keys, aggregator->kept, aggregator->kept_slots, kept, &fresh,
                      err));
    return accumulators_update(&aggregator->accumulators, s, aggregator->table, namespace_, batch, NULL,
                               aggregator->kept, aggregator->kept_slots, fresh, err);
}

sabot_status aggregator_set_find(struct aggregator *aggregator, int32_t s, int64_t namespace_,
    const struct batch *batch,
                                 const int32_t *rows, int32_t n, int32_t *kept, int32_t *set_slots,
                                 struct sabot_error *err) {
    const struct distinct_set *set = &aggregator->accumulators.sets[s];
    int32_t keys[AGGREGATOR_KEYS_MAX + 1];
    memcpy(keys, aggregator->keys, sizeof aggregator->keys);
    keys[aggregator->n_keys] = set->argument;
    *kept = rows_qualify(batch, set->argument, set->filter, rows, aggregator->slots, n, aggregator->kept,
                         aggregator->kept_slots);
    if (*kept == 0) { return SABOT_OK; }
    BATCH_OWNED struct batch *hashed = NULL;
    SABOT_TRY(with_hashes(aggregator, batch, keys, aggregator->n_keys + 1, &hashed, err));
    return state_find_or_insert(aggregator->sets[s].table, namespace_, hashed, keys, aggregator->kept, *kept, set_slots,
                                err);
}

sabot_status aggregator_find(struct aggregator *aggregator, int64_t namespace_, const struct batch *batch,
                             const int32_t *rows, int32_t n, struct sabot_error *err) {
    SABOT_TRY(reserve_scratch(aggregator, n, err));
    const int64_t before = state_count(aggregator->table, namespace_);
    SABOT_TRY(state_find_or_insert(aggregator->table, namespace_, batch, aggregator->keys, rows, n, aggregator->slots,
                                   err));
    accumulators_init(&aggregator->accumulators, aggregator->table, namespace_, before,
                      state_count(aggregator->table, namespace_));
    return SABOT_OK;
}

sabot_status aggregator_add(struct aggregator *aggregator, int64_t namespace_, const struct batch *batch,
                            const int32_t *rows, int32_t n, struct sabot_error *err) {
    if (n == 0) { return SABOT_OK; }
    SABOT_TRY(aggregator_find(aggregator, namespace_, batch, rows, n, err));
    return aggregator_fold(aggregator, namespace_, batch, rows, n, err);
}

sabot_status aggregator_fold(struct aggregator *aggregator, int64_t namespace_, const struct batch *batch,
                             const int32_t *rows, int32_t n, struct sabot_error *err) {
    SABOT_TRY(accumulators_update(&aggregator->accumulators, -1, aggregator->table, namespace_, batch,
                                  aggregator->takes_partials ? aggregator->partial_columns : NULL, rows,
                                  aggregator->slots, n, err));
    for (int32_t s = 0; s < aggregator->accumulators.n_sets; s++) {
        if (aggregator->sets[s].home != s) { continue; }
        SABOT_TRY(aggregator->sets[s].flag >= 0 ? add_shared(aggregator, s, namespace_, batch, rows, n, err)
                                                : add_distinct(aggregator, s, namespace_, batch, rows, n, err));
    }
    return SABOT_OK;
}

/* --- merging */
/* Values of a table that sets share, as rows with their flags, into another namespace. */
static sabot_status merge_shared(struct aggregator *aggregator, const struct accumulators *moved, int32_t home,
                                 int64_t into, const struct batch *values, const int32_t *keys, const int32_t *rows,
                                 const int32_t *groups, struct sabot_error *err) {
    struct shared_rows shared;
    const int32_t n = values->rows;
    SABOT_TRY(shared_rows_new(aggregator, home, n, &shared, err));
    shared.n = n;
    memset(shared.wanted, 0, (size_t)n * (size_t)shared.n_words * sizeof(uint64_t));
    memcpy(shared.rows, rows, (size_t)n * sizeof *rows);
    memcpy(shared.groups, groups, (size_t)n * sizeof *groups);
    for (int32_t c = aggregator->n_keys + 1; c < values->n_columns; c++) {
        const uint8_t *flags = values->columns[c]->values;
        for (int32_t i = 0; i < n; i++) { *wanted_at(&shared, i, c - aggregator->n_keys - 1) = flags[i]; }
    }
    const sabot_status status = shared_add(aggregator, moved, home, into, values, keys, &shared, err);
    memory_free(aggregator->pool, shared.block, shared.size);
    return status;
}

/* Distinct values can't be added up: those of `from` are put into the set of `into`, and the new ones are counted. */
static sabot_status merge_distinct(struct aggregator *aggregator, int32_t s, int64_t from, int64_t into,
                                   struct sabot_error *err) {
    struct state_table *set = aggregator->sets[s].table;
    const int64_t count = state_count(set, from);
    int32_t keys[AGGREGATOR_KEYS_MAX + 1];
    for (int32_t k = 0; k <= aggregator->n_keys; k++) { keys[k] = k; }
    for (int64_t first = 0; first < count; first += MERGE_SLOTS) {
        const int32_t n = count - first < MERGE_SLOTS ? (int32_t)(count - first) : MERGE_SLOTS;
        BATCH_OWNED struct batch *values = NULL, *by_group = NULL, *by_value = NULL;
        SABOT_TRY(state_read(set, from, first, n, &values, err));
        int32_t *rows = aggregator->kept, *slots = aggregator->kept_slots;
        if (aggregator->n_keys) {
            SABOT_TRY(with_hashes(aggregator, values, keys, aggregator->n_keys, &by_group, err));
        }
        /* the groups are there: merge_cells ran before */
        SABOT_TRY(state_find_or_insert(aggregator->table, into, by_group ? by_group : values, keys, NULL, n, slots,
            err));
        for (int32_t i = 0; i < n; i++) { rows[i] = i; }
        SABOT_TRY(with_hashes(aggregator, values, keys, aggregator->n_keys + 1, &by_value, err));
        /* The value stands behind the keys, not where raw rows have it. */
        struct accumulators moved = aggregator->accumulators;
        for (int32_t c = 0; c < moved.n_cells; c++) {
            const int32_t of = moved.cells[c].set;
            if (of >= 0 && shares_home(aggregator, of, s)) { moved.cells[c].argument = aggregator->n_keys; }
        }
        if (aggregator->sets[s].flag >= 0) {
            SABOT_TRY(merge_shared(aggregator, &moved, s, into, by_value, keys, rows, slots, err));
            continue;
        }
        int32_t fresh;
        SABOT_TRY(set_add(aggregator, s, into, by_value, keys, rows, slots, n, &fresh, err));
        SABOT_TRY(accumulators_update(&moved, s, aggregator->table, into, values, NULL, rows, slots, fresh, err));
    }
    return SABOT_OK;
}

sabot_status aggregator_merge(struct aggregator *aggregator, int64_t from, int64_t into, struct sabot_error *err) {
    SABOT_TRY(reserve_scratch(aggregator, MERGE_SLOTS, err));
    const int64_t count = state_count(aggregator->table, from);
    for (int64_t first = 0; first < count; first += MERGE_SLOTS) {
        const int32_t n = count - first < MERGE_SLOTS ? (int32_t)(count - first) : MERGE_SLOTS;
        const int64_t before = state_count(aggregator->table, into);
        SABOT_TRY(state_merge(aggregator->table, from, first, n, into, aggregator->slots, err));
        accumulators_init(&aggregator->accumulators, aggregator->table, into, before,
                          state_count(aggregator->table, into));
        SABOT_TRY(accumulators_merge(&aggregator->accumulators, aggregator->table, from, first, n, into,
                                     aggregator->slots, err));
    }
    for (int32_t s = 0; s < aggregator->accumulators.n_sets; s++) {
        if (aggregator->sets[s].home == s) { SABOT_TRY(merge_distinct(aggregator, s, from, into, err)); }
    }
    return SABOT_OK;
}

static bool is_text(const struct cell *cell) { return cell->op >= CELL_LIST || type_phys(cell->type) == PHYS_VIEW; }

int64_t aggregator_share(const struct aggregator *aggregator) {
    const struct accumulators *accumulators = &aggregator->accumulators;
    const int64_t limit = memory_limit(aggregator->pool);
    for (int32_t c = 0; c < accumulators->n_cells && limit < INT64_MAX; c++) {
        if (is_text(&accumulators->cells[c])) { return limit / RESULT_SHARE; }
    }
    return INT64_MAX;
}

int64_t aggregator_text_bytes(struct aggregator *aggregator, int64_t namespace_, int32_t slot) {
    const struct accumulators *accumulators = &aggregator->accumulators;
    int64_t bytes = 0;
    for (int32_t c = 0; c < accumulators->n_cells; c++) {
        if (!is_text(&accumulators->cells[c])) { continue; }
        const struct state_cells texts = state_cells(aggregator->table, namespace_, c);
        bytes += ((const struct string_view *)state_cell(&texts, slot))->size;
    }
    return bytes;
}

int32_t aggregator_rows_fit(struct aggregator *aggregator, int64_t namespace_, const int32_t *slots, int64_t first,
                            int32_t n) {
    const int64_t share = aggregator_share(aggregator);
    int64_t bytes = 0;
    for (int32_t i = 0; i < n && share < INT64_MAX; i++) {
        bytes += aggregator_text_bytes(aggregator, namespace_, slots ? slots[i] : (int32_t)first + i);
        if (bytes > share) { return i > 0 ? i : 1; }
    }
    return n;
}

/* --- results */
sabot_status aggregator_results(struct aggregator *aggregator, int64_t namespace_, int64_t first, int32_t n,
                                const struct schema *output, struct column **columns, struct sabot_error *err) {
    BATCH_OWNED struct batch *rows = NULL;
    SABOT_TRY(state_read(aggregator->table, namespace_, first, n, &rows, err));
    const int32_t n_keys = aggregator->n_keys;
    for (int32_t k = 0; k < n_keys; k++) { columns[k] = column_ref(rows->columns[k]); }
    for (int32_t i = 0; i < aggregator->accumulators.n_calls; i++) {
        const sabot_status status = accumulators_result(&aggregator->accumulators, i, rows, n_keys, aggregator->pool,
                                                        output->fields[n_keys + i].type, &columns[n_keys + i], err);
        if (status != SABOT_OK) {
            for (int32_t c = 0; c < n_keys + i; c++) { column_unref(columns[c]); }
            return status;
        }
    }
    return SABOT_OK;
}

void aggregator_drop(struct aggregator *aggregator, int64_t namespace_) {
    state_drop_namespace(aggregator->table, namespace_);
    for (int32_t s = 0; s < aggregator->accumulators.n_sets; s++) {
        state_drop_namespace(aggregator->sets[s].table, namespace_);
    }
}

void aggregator_rename(struct aggregator *aggregator, int64_t from, int64_t to) {
    state_rename_namespace(aggregator->table, from, to);
    for (int32_t s = 0; s < aggregator->accumulators.n_sets; s++) {
        if (aggregator->sets[s].home == s) { state_rename_namespace(aggregator->sets[s].table, from, to); }
    }
}
