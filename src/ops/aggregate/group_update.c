/* GROUP BY whose result changes while rows come: a changelog of each group's result.
 *
 * A mini-batch is one input batch: every group that it touches is given out at most once, behind it, so that nothing
 * waits for a watermark or a barrier. The results of the touched groups are computed from the accumulators before the
 * batch is folded in and again afterwards. Keeping the results given out last in the state instead would save the
 * first computation (a gather of the touched cells), and cost as much memory again as the accumulators, in every
 * snapshot too.
 *
 * Retraction: COUNT, SUM and AVG subtract. MIN, MAX and DISTINCT keep a count per value in tables of their own; the
 * values of a group hang together in chains, from which MIN and MAX are found again when the extreme itself went. The
 * chains are no state: they are made anew from the tables when the operator opens.
 *
 * TTL, as Flink's: a group that was not written for so long (processing time) is forgotten without a word, and the next
 * row of its key makes a new one. Whether a batch finds forgotten groups is looked up before it is folded in; besides,
 * each batch looks at some other groups, so that those go too that never get a row again. With DISTINCT the values are
 * chained as for retraction, because they go with their group. */
#include <assert.h>
#include <stdlib.h>

#include "ops/aggregate/aggregator.h"
#include "ops/aggregate/changes.h"

#define OUTPUT_ROWS_MAX 16384 /* per batch given out */
#define REFOLD_VALUES 4096    /* values per step when an extreme is looked for */

struct array {
    int32_t *items;
    int64_t capacity;
};
/* Doubly linked lists of the values of each group: next and prev by slot of the set, head by slot of the group. */
struct chains {
    bool used;
    struct array head, next, prev; /* -1: none; prev of the first: ~group */
};
struct group_update {
    struct op op;
    struct op_context own;
    const struct group_update_options *options;
    struct aggregator aggregator;
    bool retracts;       /* values are counted: rows may be taken back, or groups be forgotten with their values */
    int64_t now_ms;      /* of the batch at hand; only with a TTL */
    int64_t looked_from; /* groups from here on were looked at for their age */
    struct chains chains[CELLS_MAX];
    struct array marks; /* by slot of a table, 0 between two uses */
    struct array touched, kept, changes, sources, kinds, minus, minus_slots, plus, plus_slots, lists[6];
};

static sabot_status reserve(struct group_update *self, struct array *array, int64_t wanted, int fill,
                            struct sabot_error *err) {
    if (wanted <= array->capacity) { return SABOT_OK; }
    int64_t capacity = array->capacity ? array->capacity : 1024;
    while (capacity < wanted) { capacity *= 2; }
    const size_t old = (size_t)array->capacity * sizeof(int32_t), size = (size_t)capacity * sizeof(int32_t);
    if (!array->items) {
        SABOT_TRY(memory_alloc_state(self->own.pool, size, false, (void **)&array->items, err));
    } else {
        SABOT_TRY(memory_resize_state(self->own.pool, (void **)&array->items, old, size, err));
    }
    memory_fill_state(self->own.pool, (char *)array->items + old, fill, size - old);
    array->capacity = capacity;
    return SABOT_OK;
}
static void array_free(struct group_update *self, struct array *array) {
    if (array->items) { memory_free_state(self->own.pool, array->items, (size_t)array->capacity * sizeof(int32_t)); }
    *array = (struct array){0};
}

static int descending(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x < y) - (x > y);
}

/* --- chains */
static sabot_status chains_reserve(struct group_update *self, int32_t s, struct sabot_error *err) {
    struct chains *chains = &self->chains[s];
    const int64_t values = state_count(self->aggregator.sets[s].table, 0);
    SABOT_TRY(reserve(self, &chains->head, state_count(self->aggregator.table, 0), 0xff, err));
    SABOT_TRY(reserve(self, &chains->next, values, 0xff, err));
    return reserve(self, &chains->prev, values, 0xff, err);
}
static void chain_add(struct chains *chains, int32_t group, int32_t slot) {
    const int32_t next = chains->head.items[group];
    chains->next.items[slot] = next;
    chains->prev.items[slot] = ~group;
    if (next >= 0) { chains->prev.items[next] = slot; }
    chains->head.items[group] = slot;
}
/* The neighbours of `slot` now see `other` in its place. */
static void chain_point(struct chains *chains, int32_t slot, int32_t other_as_next, int32_t other_as_prev) {
    const int32_t prev = chains->prev.items[slot], next = chains->next.items[slot];
    *(prev >= 0 ? &chains->next.items[prev] : &chains->head.items[~prev]) = other_as_next;
    if (next >= 0) { chains->prev.items[next] = other_as_prev; }
}
static void chain_remove(struct chains *chains, int32_t slot) {
    chain_point(chains, slot, chains->next.items[slot], chains->prev.items[slot]);
}
static void chain_move(struct chains *chains, int32_t from, int32_t to) {
    chain_point(chains, from, to, to);
    chains->next.items[to] = chains->next.items[from];
    chains->prev.items[to] = chains->prev.items[from];
}

static sabot_status chains_open(struct group_update *self, int32_t s, struct sabot_error *err) {
    struct aggregator *aggregator = &self->aggregator;
    struct state_table *set = aggregator->sets[s].table;
    for (int32_t c = 0; c < aggregator->accumulators.n_cells; c++) {
        const struct cell *cell = &aggregator->accumulators.cells[c];
        self->chains[s].used |= cell->set == s && (cell->op == CELL_MIN || cell->op == CELL_MAX);
    }
    self->chains[s].used |= self->options->ttl_ms > 0;
    const int64_t count = state_count(set, 0), groups = state_count(aggregator->table, 0);
    if (!self->chains[s].used || count == 0) { return SABOT_OK; }
    SABOT_TRY(chains_reserve(self, s, err));
    SABOT_TRY(reserve(self, &self->lists[0], REFOLD_VALUES, 0, err));
    int32_t keys[AGGREGATOR_KEYS_MAX];
    for (int32_t k = 0; k < aggregator->n_keys; k++) { keys[k] = k; }
    for (int64_t first = 0; first < count; first += REFOLD_VALUES) {
        const int32_t n = count - first < REFOLD_VALUES ? (int32_t)(count - first) : REFOLD_VALUES;
        BATCH_OWNED struct batch *values = NULL;
        SABOT_TRY(state_read(set, 0, first, n, &values, err));
        if (aggregator->n_keys) {
            SABOT_TRY(batch_cache_hashes(self->own.pool, values, keys, aggregator->n_keys, err));
        }
        int32_t *slots = self->lists[0].items;
        SABOT_TRY(state_find_or_insert(aggregator->table, 0, values, keys, NULL, n, slots, err));
        if (state_count(aggregator->table, 0) != groups) {
            return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "the checkpoint of %s has values of a group that is not in it",
                              self->own.spec->uid);
        }
        for (int32_t i = 0; i < n; i++) { chain_add(&self->chains[s], slots[i], (int32_t)first + i); }
    }
    return SABOT_OK;
}

/* Removes slots (in any order, each once) of a set. */
static sabot_status set_remove(struct group_update *self, int32_t s, int32_t *slots, int32_t n,
                               struct sabot_error *err) {
    struct state_table *set = self->aggregator.sets[s].table;
    struct chains *chains = &self->chains[s];
    int32_t last = (int32_t)state_count(set, 0) - 1;
    qsort(slots, (size_t)n, sizeof *slots, descending);
    for (int32_t i = 0; i < n && chains->used; i++, last--) {
        chain_remove(chains, slots[i]);
        if (slots[i] != last) { chain_move(chains, last, slots[i]); }
    }
    return state_remove(set, 0, slots, n, err);
}

/* --- retraction in sets of values */
/* Whether a value that went was the MIN or MAX of its group. */
static bool was_extreme(const struct group_update *self, int32_t s, const struct column *value, int32_t row,
                        int32_t group) {
    const struct accumulators *plan = &self->aggregator.accumulators;
    for (int32_t c = 0; c < plan->n_cells; c++) {
        const struct cell *cell = &plan->cells[c];
        if (cell->set != s || (cell->op != CELL_MIN && cell->op != CELL_MAX)) { continue; }
        const struct state_cells cells = state_cells(self->aggregator.table, 0, c);
        const struct column now = {.phys = value->phys, .length = 1, .values = state_cell(&cells, group)};
        if (column_compare(value, row, &now, 0, cell->type) == 0) { return true; }
    }
    return false;
}

/* MIN and MAX of groups from all their values. */
static sabot_status refold(struct group_update *self, int32_t s, const int32_t *groups, int32_t n,
                           struct sabot_error *err) {
    struct aggregator *aggregator = &self->aggregator;
    struct chains *chains = &self->chains[s];
    accumulators_reset_extremes(&aggregator->accumulators, s, aggregator->table, 0, groups, n);
    int32_t values[REFOLD_VALUES], slots[REFOLD_VALUES];
    int32_t m = 0;
    for (int32_t i = 0; i <= n; i++) {
        int32_t at = i < n ? chains->head.items[groups[i]] : -1;
        while (at >= 0 || (i == n && m)) {
            if (at >= 0) {
                values[m] = at;
                slots[m++] = groups[i];
                at = chains->next.items[at];
            }
            if (m < REFOLD_VALUES && i < n) { continue; }
            struct column *column COLUMN_OWNED = NULL;
            SABOT_TRY(state_take(aggregator->sets[s].table, 0, values, m, aggregator->n_keys, 1, &column, err));
            SABOT_TRY(accumulators_refold_extremes(&aggregator->accumulators, s, aggregator->table, 0, column, slots, m,
                                                   err));
            m = 0;
        }
    }
    return SABOT_OK;
}

/* Counts the values of a batch up and down. Those that are new in the set are folded in, those that went are taken
 * back. */
static sabot_status set_update(struct group_update *self, int32_t s, const struct batch *batch, const int32_t *rows,
                               int32_t n, struct sabot_error *err) {
    struct aggregator *aggregator = &self->aggregator;
    struct state_table *set = aggregator->sets[s].table;
    for (int32_t i = 0; i < 6; i++) { SABOT_TRY(reserve(self, &self->lists[i], n, 0, err)); }
    int32_t *set_slots = self->lists[0].items, *fresh = self->lists[1].items, *fresh_slots = self->lists[2].items;
    int32_t *gone = self->lists[3].items, *gone_slots = self->lists[4].items, *removed = self->lists[5].items;
    const int64_t before = state_count(set, 0);
    int32_t kept;
    SABOT_TRY(aggregator_set_find(aggregator, s, 0, batch, rows, n, &kept, set_slots, err));
    if (kept == 0) { return SABOT_OK; }
    struct chains *chains = &self->chains[s];
    if (chains->used) { SABOT_TRY(chains_reserve(self, s, err)); }
    SABOT_TRY(reserve(self, &self->marks, state_count(set, 0), 0, err));
    int64_t *counts = state_values(set, 0, 0);
    int32_t *marks = self->marks.items;
    for (int32_t i = 0; i < kept; i++) { /* a mark: 1 = was not there, 2 = was */
        const int32_t slot = set_slots[i];
        if (!marks[slot]) {
            marks[slot] = counts[slot] > 0 ? 2 : 1;
            if (slot >= before && chains->used) { chain_add(chains, aggregator->kept_slots[i], slot); }
        }
        const bool minus = batch->row_kinds && row_kind_is_retraction(batch->row_kinds[aggregator->kept[i]]);
        counts[slot] += minus ? -1 : 1;
    }
    int32_t n_fresh = 0, n_gone = 0, n_removed = 0;
    for (int32_t i = 0; i < kept; i++) {
        const int32_t slot = set_slots[i], row = aggregator->kept[i], group = aggregator->kept_slots[i];
        if (!marks[slot]) { continue; }
        const bool was = marks[slot] == 2, is = counts[slot] > 0;
        marks[slot] = 0;
        if (is && !was) {
            fresh[n_fresh] = row;
            fresh_slots[n_fresh++] = group;
        } else if (!is && was) {
            gone[n_gone] = row;
            gone_slots[n_gone++] = group;
        }
        if (!is) { removed[n_removed++] = slot; }
    }
    SABOT_TRY(set_remove(self, s, removed, n_removed, err));
    SABOT_TRY(accumulators_update(&aggregator->accumulators, s, aggregator->table, 0, batch, NULL, fresh, fresh_slots,
                                  n_fresh, err));
    SABOT_TRY(accumulators_retract(&aggregator->accumulators, s, aggregator->table, 0, batch, gone, gone_slots, n_gone,
                                   err));
    if (!chains->used) { return SABOT_OK; }
    const struct column *value = batch->columns[aggregator->accumulators.sets[s].argument];
    SABOT_TRY(reserve(self, &self->marks, state_count(aggregator->table, 0), 0, err));
    marks = self->marks.items;
    int32_t n_groups = 0;
    for (int32_t i = 0; i < n_gone; i++) {
        const int32_t group = gone_slots[i];
        if (marks[group] || !was_extreme(self, s, value, gone[i], group)) { continue; }
        marks[group] = 1;
        removed[n_groups++] = group;
    }
    for (int32_t i = 0; i < n_groups; i++) { marks[removed[i]] = 0; }
    return refold(self, s, removed, n_groups, err);
}

/* Sums of doubles keep a residue of what was added and subtracted: where nothing is left, it is 0 again. */
static void clear_residues(struct group_update *self, const int32_t *touched, int32_t n) {
    const struct accumulators *plan = &self->aggregator.accumulators;
    for (int32_t i = 0; i < plan->n_calls; i++) {
        const struct cell *cell = &plan->cells[plan->calls[i].value];
        if (cell->op != CELL_SUM || type_phys(cell->type) != PHYS_F64 || plan->calls[i].count < 0) { continue; }
        const struct state_cells sums = state_cells(self->aggregator.table, 0, plan->calls[i].value);
        const struct state_cells counts = state_cells(self->aggregator.table, 0, plan->calls[i].count);
        for (int32_t t = 0; t < n; t++) {
            if (*(int64_t *)state_cell(&counts, touched[t]) == 0) { *(double *)state_cell(&sums, touched[t]) = 0; }
        }
    }
}

/* --- applying a batch */
static sabot_status apply(struct group_update *self, const struct batch *batch, const int32_t *rows, int32_t n,
                          int32_t n_touched, struct sabot_error *err) {
    struct aggregator *aggregator = &self->aggregator;
    if (!self->retracts) { return aggregator_fold(aggregator, 0, batch, rows, n, err); }
    if (!batch->row_kinds) {
        SABOT_TRY(accumulators_update(&aggregator->accumulators, -1, aggregator->table, 0, batch, NULL, rows,
                                      aggregator->slots, n, err));
    } else {
        SABOT_TRY(reserve(self, &self->minus, n, 0, err));
        SABOT_TRY(reserve(self, &self->minus_slots, n, 0, err));
        SABOT_TRY(reserve(self, &self->plus, n, 0, err));
        SABOT_TRY(reserve(self, &self->plus_slots, n, 0, err));
        int32_t n_minus = 0, n_plus = 0;
        for (int32_t i = 0; i < n; i++) {
            const int32_t row = rows ? rows[i] : i;
            const bool minus = row_kind_is_retraction(batch->row_kinds[row]);
            self->minus.items[n_minus] = self->plus.items[n_plus] = row;
            self->minus_slots.items[n_minus] = self->plus_slots.items[n_plus] = aggregator->slots[i];
            n_minus += minus;
            n_plus += !minus;
        }
        SABOT_TRY(accumulators_retract(&aggregator->accumulators, -1, aggregator->table, 0, batch, self->minus.items,
                                       self->minus_slots.items, n_minus, err));
        SABOT_TRY(accumulators_update(&aggregator->accumulators, -1, aggregator->table, 0, batch, NULL,
                                      self->plus.items,
                                      self->plus_slots.items, n_plus, err));
    }
    SABOT_TRY(accumulators_change_lists(&aggregator->accumulators, aggregator->table, 0, batch, rows,
                                        aggregator->slots, n, err));
    for (int32_t s = 0; s < aggregator->accumulators.n_sets; s++) {
        SABOT_TRY(set_update(self, s, batch, rows, n, err));
    }
    clear_residues(self, self->touched.items, n_touched);
    return SABOT_OK;
}

/* The groups of a batch, each once, in order of arrival. */
static sabot_status find_touched(struct group_update *self, int32_t n, int32_t *n_touched, struct sabot_error *err) {
    SABOT_TRY(reserve(self, &self->marks, state_count(self->aggregator.table, 0), 0, err));
    SABOT_TRY(reserve(self, &self->touched, (int64_t)n + 1, 0, err));
    int32_t *marks = self->marks.items, *touched = self->touched.items;
    const int32_t *slots = self->aggregator.slots;
    int32_t m = 0;
    for (int32_t i = 0; i < n; i++) {
        touched[m] = slots[i];
        m += !marks[slots[i]];
        marks[slots[i]] = 1;
    }
    for (int32_t i = 0; i < m; i++) { marks[touched[i]] = 0; }
    *n_touched = m;
    return SABOT_OK;
}

/* --- results */
/* Results of touched groups as they are now; rows[0..n) gets how many rows each has (where the input retracts). */
struct results {
    struct batch *cells;
    struct column *columns[CELLS_MAX];
    int32_t n_columns;
    const int64_t *rows; /* NULL: at least one each */
};
static void results_clear(struct results *results) {
    batch_unref(results->cells);
    for (int32_t i = 0; i < results->n_columns; i++) { column_unref(results->columns[i]); }
    *results = (struct results){0};
}
static sabot_status results_of(struct group_update *self, const int32_t *slots, int32_t n, struct results *out,
                               struct sabot_error *err) {
    const struct accumulators *plan = &self->aggregator.accumulators;
    const int32_t n_keys = self->aggregator.n_keys;
    struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX];
    SABOT_TRY(state_take(self->aggregator.table, 0, slots, n, 0, n_keys + plan->n_cells, columns, err));
    SABOT_TRY(batch_new(self->aggregator.schema, columns, n_keys + plan->n_cells, n, &out->cells, err));
    for (int32_t i = 0; i < plan->n_calls; i++) {
        SABOT_TRY(accumulators_result(plan, i, out->cells, n_keys, self->own.pool,
                                      self->own.spec->output->fields[n_keys + i].type, &out->columns[i], err));
        out->n_columns++;
    }
    out->rows = self->retracts ? out->cells->columns[n_keys]->values : NULL;
    return SABOT_OK;
}

/* Which rows to give out: source i < n is the old result of the i-th touched group, n + i its new one. */
static int32_t decide(struct group_update *self, const struct results *old, const struct results *now, int64_t before,
                      int32_t n) {
    const bool pairs = self->options->emit_update_before;
    int32_t *sources = self->sources.items, *kinds = self->kinds.items;
    int32_t m = 0;
    for (int32_t i = 0; i < n; i++) {
        const bool was = self->touched.items[i] < before && (!old->rows || old->rows[i] > 0);
        const bool is = !now->rows || now->rows[i] > 0;
        /* With a TTL, as Flink: consumers that forget, too, hear that the group is still in use. */
        if (was && is && !self->changes.items[i] && self->options->ttl_ms == 0) { continue; }
        if (was && (pairs || !is)) {
            sources[m] = i;
            kinds[m++] = is ? ROW_UPDATE_BEFORE : ROW_DELETE;
        }
        if (is) {
            sources[m] = n + i;
            kinds[m++] = was ? ROW_UPDATE_AFTER : ROW_INSERT;
        }
    }
    return m;
}

static sabot_status take_results(struct group_update *self, const struct results *old, const struct results *now,
                                 const int32_t *sources, int32_t *rows, int32_t m, int32_t n, struct column **columns,
                                 struct sabot_error *err) {
    const int32_t n_keys = self->aggregator.n_keys;
    bool any_old = false;
    int32_t n_columns = 0;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < m; i++) {
        any_old |= sources[i] < n;
        rows[i] = sources[i] < n ? sources[i] : sources[i] - n;
    }
    for (int32_t k = 0; k < n_keys && status == SABOT_OK; k++) {
        status = column_take(self->own.pool, now->cells->columns[k], rows, m, &columns[k], err);
        n_columns += status == SABOT_OK;
    }
    for (int32_t i = 0; i < now->n_columns && status == SABOT_OK; i++) {
        if (!any_old) {
            status = column_take(self->own.pool, now->columns[i], rows, m, &columns[n_keys + i], err);
        } else {
            struct column *both COLUMN_OWNED = NULL;
            status = column_concat(self->own.pool, (struct column *const[]){old->columns[i], now->columns[i]}, 2, &both,
                                   err);
            if (status == SABOT_OK) {
                status = column_take(self->own.pool, both, sources, m, &columns[n_keys + i], err);
            }
        }
        n_columns += status == SABOT_OK;
    }
    for (int32_t i = 0; i < n_columns && status != SABOT_OK; i++) { column_unref(columns[i]); }
    return status;
}

static sabot_status give(struct group_update *self, const struct results *old, const struct results *now, int32_t m,
                         int32_t n, int64_t created_ns, struct op_out *out, struct sabot_error *err) {
    struct schema *schema = self->own.spec->output;
    for (int32_t done = 0; done < m;) {
        int32_t part = m - done < OUTPUT_ROWS_MAX ? m - done : OUTPUT_ROWS_MAX;
        /* -U and +U of a group stay together: a consumer must not see the group gone in between */
        if (part < m - done && self->kinds.items[done + part - 1] == ROW_UPDATE_BEFORE) { part--; }
        struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX];
        SABOT_TRY(take_results(self, old, now, self->sources.items + done, self->changes.items, part, n, columns, err));
        BATCH_OWNED struct batch *batch = NULL;
        SABOT_TRY(batch_new(schema, columns, schema->n_fields, part, &batch, err));
        SABOT_TRY(changes_set_kinds(self->own.pool, batch, self->kinds.items + done, part, err));
        batch->created_ns = created_ns;
        done += part;
        SABOT_TRY(out_emit(out, batch_ref(batch), err));
    }
    return SABOT_OK;
}

/* --- groups that are gone */
static sabot_status remove_groups(struct group_update *self, int32_t *groups, int32_t n, struct sabot_error *err) {
    struct aggregator *aggregator = &self->aggregator;
    qsort(groups, (size_t)n, sizeof *groups, descending);
    for (int32_t s = 0; s < aggregator->accumulators.n_sets; s++) {
        struct chains *chains = &self->chains[s];
        if (!chains->used) { continue; }
        SABOT_TRY(chains_reserve(self, s, err));
        /* Values that are left though the group is empty: rows came back otherwise than they went. They go too. */
        int32_t m = 0;
        for (int32_t i = 0; i < n; i++) {
            for (int32_t at = chains->head.items[groups[i]]; at >= 0; at = chains->next.items[at]) {
                SABOT_TRY(reserve(self, &self->lists[0], (int64_t)m + 1, 0, err));
                self->lists[0].items[m++] = at;
            }
        }
        if (m) { SABOT_TRY(set_remove(self, s, self->lists[0].items, m, err)); }
        int32_t last = (int32_t)state_count(aggregator->table, 0) - 1;
        for (int32_t i = 0; i < n; i++, last--) {
            const int32_t head = chains->head.items[last];
            chains->head.items[last] = -1;
            chains->head.items[groups[i]] = groups[i] == last ? -1 : head;
            if (groups[i] != last && head >= 0) { chains->prev.items[head] = ~groups[i]; }
        }
    }
    return state_remove(aggregator->table, 0, groups, n, err);
}

static sabot_status drop_empty(struct group_update *self, const struct results *now, int32_t n,
                               struct sabot_error *err) {
    int32_t m = 0;
    for (int32_t i = 0; now->rows && i < n; i++) {
        self->touched.items[m] = self->touched.items[i];
        m += now->rows[i] <= 0;
    }
    return m ? remove_groups(self, self->touched.items, m, err) : SABOT_OK;
}

/* --- groups that are too old */
#define LOOK_AT_LEAST 64 /* groups that a batch looks at besides its own */

static struct state_cells written_cells(struct group_update *self) {
    return state_cells(self->aggregator.table, 0, self->aggregator.accumulators.n_cells);
}
static bool is_too_old(const struct group_update *self, const struct state_cells *written, int32_t group) {
    return *(int64_t *)state_cell(written, group) <= self->now_ms - self->options->ttl_ms;
}

/* Groups of the batch's keys that are there: slots, -1 = none. */
static void find_groups(struct group_update *self, const struct batch *batch, int32_t *groups) {
    struct aggregator *aggregator = &self->aggregator;
    if (aggregator->n_keys == 0) { /* one group, or none yet */
        memset(groups, 0, (size_t)batch->selected * sizeof *groups);
        return;
    }
    state_find(aggregator->table, 0, batch, aggregator->keys, batch->selection, batch->selected, groups);
}

static sabot_status forget(struct group_update *self, const struct batch *batch, struct sabot_error *err) {
    struct state_table *table = self->aggregator.table;
    const int64_t count = state_count(table, 0);
    self->now_ms = env_wall_ms(self->own.env);
    if (count == 0) { return SABOT_OK; }
    const int32_t n = batch->selected, look = n > LOOK_AT_LEAST ? n : LOOK_AT_LEAST;
    SABOT_TRY(reserve(self, &self->marks, count, 0, err));
    SABOT_TRY(reserve(self, &self->changes, n, 0, err));
    SABOT_TRY(reserve(self, &self->touched, (int64_t)n + look, 0, err));
    int32_t *groups = self->changes.items, *old = self->touched.items, *marks = self->marks.items;
    find_groups(self, batch, groups);
    const struct state_cells written = written_cells(self);
    int32_t m = 0;
    for (int32_t i = 0; i < n; i++) {
        if (groups[i] < 0 || marks[groups[i]] || !is_too_old(self, &written, groups[i])) { continue; }
        marks[groups[i]] = 1;
        old[m++] = groups[i];
    }
    /* From the end, because what is removed is replaced by the last: that one was looked at already. */
    int64_t at = self->looked_from > 0 && self->looked_from <= count ? self->looked_from : count;
    for (int32_t i = 0; i < look && at > 0; i++) {
        at--;
        if (marks[at] || !is_too_old(self, &written, (int32_t)at)) { continue; }
        marks[at] = 1;
        old[m++] = (int32_t)at;
    }
    self->looked_from = at;
    for (int32_t i = 0; i < m; i++) { marks[old[i]] = 0; }
    return m ? remove_groups(self, old, m, err) : SABOT_OK;
}

/* Retractions of rows that were forgotten: of groups that this batch has made (slots from `before` on), those that come
 * before any row does are passed over, as in Flink. Compacts the batch's rows and the aggregator's slots. */
static sabot_status leave_out_forgotten(struct group_update *self, const struct batch *batch, int64_t before,
                                        const int32_t **rows, int32_t *n, struct sabot_error *err) {
    const int64_t fresh = state_count(self->aggregator.table, 0) - before;
    if (!batch->row_kinds || fresh == 0) { return SABOT_OK; }
    SABOT_TRY(reserve(self, &self->kept, *n, 0, err));
    SABOT_TRY(reserve(self, &self->changes, fresh, 0, err));
    int32_t *kept = self->kept.items, *counts = self->changes.items, *slots = self->aggregator.slots;
    memset(counts, 0, (size_t)fresh * sizeof *counts);
    int32_t m = 0;
    for (int32_t i = 0; i < *n; i++) {
        const int32_t row = *rows ? (*rows)[i] : i, slot = slots[i];
        const bool minus = row_kind_is_retraction(batch->row_kinds[row]);
        if (slot >= before) {
            if (minus && counts[slot - before] == 0) { continue; }
            counts[slot - before] += minus ? -1 : 1;
        }
        kept[m] = row;
        slots[m++] = slot;
    }
    *rows = kept;
    *n = m;
    return SABOT_OK;
}

static void note_written(struct group_update *self, int32_t n) {
    const struct state_cells written = written_cells(self);
    for (int32_t i = 0; i < n; i++) { *(int64_t *)state_cell(&written, self->touched.items[i]) = self->now_ms; }
}

/* --- events */
static sabot_status update(struct group_update *self, const struct batch *batch, struct results *old,
                           struct results *now, struct op_out *out, struct sabot_error *err) {
    if (self->options->ttl_ms > 0) { SABOT_TRY(forget(self, batch, err)); }
    const int64_t before = state_count(self->aggregator.table, 0);
    SABOT_TRY(aggregator_find(&self->aggregator, 0, batch, batch->selection, batch->selected, err));
    int32_t n;
    SABOT_TRY(find_touched(self, batch->selected, &n, err));
    SABOT_TRY(results_of(self, self->touched.items, n, old, err));
    const int32_t *rows = batch->selection;
    int32_t n_rows = batch->selected;
    if (self->options->ttl_ms > 0) {
        SABOT_TRY(leave_out_forgotten(self, batch, before, &rows, &n_rows, err));
        note_written(self, n);
    }
    SABOT_TRY(apply(self, batch, rows, n_rows, n, err));
    SABOT_TRY(results_of(self, self->touched.items, n, now, err));
    SABOT_TRY(reserve(self, &self->changes, (int64_t)n * 2, 0, err));
    SABOT_TRY(reserve(self, &self->sources, (int64_t)n * 2, 0, err));
    SABOT_TRY(reserve(self, &self->kinds, (int64_t)n * 2, 0, err));
    memset(self->changes.items, 0, (size_t)n * sizeof(int32_t));
    for (int32_t i = 0; i < now->n_columns; i++) {
        changes_mark(old->columns[i], now->columns[i], self->changes.items, n);
    }
    const int32_t m = decide(self, old, now, before, n);
    SABOT_TRY(drop_empty(self, now, n, err));
    return give(self, old, now, m, n, batch->created_ns, out, err);
}

static sabot_status update_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    struct group_update *self = (struct group_update *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0) { return SABOT_OK; }
    for (int32_t i = 0; batch->row_kinds && !self->options->input_retracts && i < batch->selected; i++) {
        if (row_kind_is_retraction(batch->row_kinds[batch_row(batch, i)])) {
            return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s gets a retraction from an input that was planned without",
                              self->own.spec->label);
        }
    }
    SABOT_TRY(aggregator_prepare(&self->aggregator, &batch, err));
    struct results old = {0}, now = {0};
    const sabot_status status = update(self, batch, &old, &now, out, err);
    results_clear(&old);
    results_clear(&now);
    return status;
}

/* An aggregate without keys over bounded input has a row even if none came; over a stream it has not, as in Flink. */
static sabot_status give_only_group(struct group_update *self, struct op_out *out, struct sabot_error *err) {
    struct state_table *table = self->aggregator.table;
    if (self->options->n_keys || !self->own.bounded || self->own.subtask != 0 || state_count(table, 0)) {
        return SABOT_OK;
    }
    int32_t slot;
    SABOT_TRY(state_find_or_insert(table, 0, NULL, NULL, NULL, 1, &slot, err));
    accumulators_init(&self->aggregator.accumulators, table, 0, 0, 1);
    struct results now = {0};
    sabot_status status = results_of(self, &slot, 1, &now, err);
    struct batch *batch = NULL;
    if (status == SABOT_OK) {
        for (int32_t i = 0; i < now.n_columns; i++) { column_ref(now.columns[i]); }
        status = batch_new(self->own.spec->output, now.columns, now.n_columns, 1, &batch, err);
    }
    results_clear(&now);
    return status == SABOT_OK ? out_emit(out, batch, err) : status;
}

static sabot_status update_on_end(struct op *op, struct op_out *out, struct sabot_error *err) {
    SABOT_TRY(give_only_group((struct group_update *)op, out, err));
    return out->end(out, err);
}

/* --- open and close */
static void update_close(struct op *op) {
    struct group_update *self = (struct group_update *)op;
    for (int32_t s = 0; s < CELLS_MAX; s++) {
        array_free(self, &self->chains[s].head);
        array_free(self, &self->chains[s].next);
        array_free(self, &self->chains[s].prev);
    }
    struct array *const arrays[] = {
        &self->marks, &self->touched,     &self->kept, &self->changes,    &self->sources,
        &self->kinds, &self->minus,       &self->plus, &self->plus_slots, &self->minus_slots,
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) { array_free(self, arrays[i]); }
    for (int32_t i = 0; i < 6; i++) { array_free(self, &self->lists[i]); }
    if (self->aggregator.pool) { aggregator_clear(&self->aggregator); }
    free(self);
}

static sabot_status update_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    const struct group_update_options *options = context->spec->options;
    struct group_update *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an aggregation"); }
    self->op.type = &op_group_update;
    self->own = *context;
    self->options = options;
    self->retracts = options->input_retracts;
    for (int32_t i = 0; i < options->n_calls; i++) {
        self->retracts |= options->ttl_ms > 0 && options->calls[i].distinct;
    }
    const struct aggregator_options aggregator = {
        .keys = options->keys,
        .n_keys = options->n_keys,
        .calls = options->calls,
        .n_calls = options->n_calls,
        .input = context->input,
        .flags = (context->program.wrap_overflow ? ACCUMULATE_WRAP : 0) |
                 (options->n_keys == 0 ? ACCUMULATE_MAY_BE_EMPTY : 0) |
                 (self->retracts ? ACCUMULATE_RETRACTS | ACCUMULATE_ROWS : 0),
        .keeps_written = options->ttl_ms > 0,
        .written_ms = options->ttl_ms > 0 ? env_wall_ms(context->env) : 0,
    };
    sabot_status status = aggregator_open(&self->aggregator, &aggregator, context->state, "groups", context->pool, err);
    for (int32_t s = 0; status == SABOT_OK && s < self->aggregator.accumulators.n_sets; s++) {
        if (self->retracts) { status = chains_open(self, s, err); }
    }
    if (status != SABOT_OK) {
        update_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

const struct op_type op_group_update = {
    .name = "group_update",
    .summary = "aggregate by key and give out each change of a result",
    .open = update_open,
    .on_batch = update_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = update_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = update_close,
    .stateful = true,
    .declares_state = true,
};
