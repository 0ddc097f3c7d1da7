/* Window aggregation whose results are updated: rows are taken until a window's end + lateness, and a window may also
 * be given out before its end (decision 0023).
 *
 * Slices are shared by windows as in window_aggregate.c, and stay until the last window that holds them is over. What
 * was given out last of each group and window is in a table of its own, so that an update can take it back. A window
 * is given out
 * - "early": groups that have changed, of windows whose end has not come; every early_ms, 0 = with every batch;
 * - "due": all its groups, when the watermark reaches its end;
 * - "late": groups that have changed, of windows behind their end; every late_ms, 0 = with every batch. Only groups
 * whose result differs from what was given out come out again.
 *
 * Which groups have changed is kept as slots of slices. It is worked off before a barrier, so that it is no state.
 * State: "panes" and "fired" as in window_aggregate.c, and "given" (namespace = end of a window; the cells of its
 * groups). */
#include <assert.h>
#include <stdlib.h>

#include "ops/aggregate/changes.h"
#include "ops/window/panes.h"
#include "ops/window/progress.h"
#include "ops/window/window_rows.h"
#include "time/lateness.h"

enum reason { GIVE_LATE, GIVE_EARLY, GIVE_DUE, REASONS, NO_REASON = REASONS };

#define OUTPUT_GROUPS_MAX (BATCH_ROWS_MAX / 2) /* a group is two rows: -U and +U */

/* Groups of a slice that have changed: slots, each once. */
struct dirty {
    int64_t slice_end;
    int32_t *slots;
    uint8_t *marks; /* by slot */
    int32_t n;
    size_t slots_capacity, marks_capacity;
};
struct dirty_set {
    struct dirty *items; /* ascending by slice */
    int32_t n;
    size_t capacity;
    int64_t due_ms; /* processing time at which it is to be given out; 0: none */
};

struct window_update {
    struct op op;
    struct op_context own;
    const struct window_aggregate_options *options;
    struct slices slices;
    struct splitter splitter;
    struct aggregator aggregator;
    struct state_table *given; /* the aggregator's schema */
    int32_t time_column;
    int64_t lateness_ms;
    int64_t delays[2];         /* of GIVE_LATE, GIVE_EARLY; -1: not at all */
    struct dirty_set dirty[2];
    struct window_progress progress;
    int64_t watermark_ms;      /* windows that end before it have been given out */
    int64_t created_ns;
    /* giving out */
    bool wanted[REASONS];
    enum reason reason;        /* that is being worked off */
    int64_t target_ms;         /* GIVE_DUE: the watermark */
    int64_t after;             /* windows up to this end are done */
    int64_t window_end, source; /* the window that is being given out; INT64_MAX = none. Where its groups are */
    int64_t done;              /* groups of it */
    int32_t keys[AGGREGATOR_KEYS_MAX]; /* 0, 1, ..: of the aggregator's table */
    int32_t *lists[4];         /* scratch */
    int32_t scratch;
};

/* --- groups that have changed */
static void dirty_free(struct window_update *self, struct dirty *dirty) {
    memory_free(self->own.pool, dirty->slots, dirty->slots_capacity);
    memory_free(self->own.pool, dirty->marks, dirty->marks_capacity);
}

static void dirty_clear(struct window_update *self, enum reason class) {
    struct dirty_set *set = &self->dirty[class];
    for (int32_t i = 0; i < set->n; i++) { dirty_free(self, &set->items[i]); }
    set->n = 0;
    set->due_ms = 0;
}

static sabot_status grow(struct window_update *self, void **block, size_t *capacity, size_t wanted,
                         struct sabot_error *err) {
    if (wanted <= *capacity) { return SABOT_OK; }
    size_t size = *capacity ? *capacity : 256;
    while (size < wanted) { size *= 2; }
    if (!*block) {
        SABOT_TRY(memory_alloc(self->own.pool, size, block, err));
    } else {
        SABOT_TRY(memory_resize(self->own.pool, block, *capacity, size, err));
    }
    memset((char *)*block + *capacity, 0, size - *capacity);
    *capacity = size;
    return SABOT_OK;
}

static sabot_status dirty_slice(struct window_update *self, struct dirty_set *set, int64_t slice_end,
                                struct dirty **out, struct sabot_error *err) {
    int32_t low = 0, high = set->n;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (set->items[middle].slice_end < slice_end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == set->n || set->items[low].slice_end != slice_end) {
        SABOT_TRY(grow(self, (void **)&set->items, &set->capacity, (size_t)(set->n + 1) * sizeof *set->items, err));
        memmove(set->items + low + 1, set->items + low, (size_t)(set->n - low) * sizeof *set->items);
        set->items[low] = (struct dirty){.slice_end = slice_end};
        set->n++;
    }
    *out = &set->items[low];
    return SABOT_OK;
}

static void set_alarm(struct window_update *self) {
    int64_t least = 0;
    for (int i = 0; i < 2; i++) {
        const int64_t due = self->dirty[i].due_ms;
        if (due && (!least || due < least)) { least = due; }
    }
    self->op.wake_at_ms = least;
}

static sabot_status mark(struct window_update *self, enum reason class, int64_t slice_end, const int32_t *slots,
                         int32_t n, struct sabot_error *err) {
    struct dirty_set *set = &self->dirty[class];
    struct dirty *dirty = NULL;
    SABOT_TRY(dirty_slice(self, set, slice_end, &dirty, err));
    const size_t groups = (size_t)state_count(self->aggregator.table, slice_end);
    SABOT_TRY(grow(self, (void **)&dirty->marks, &dirty->marks_capacity, groups, err));
    SABOT_TRY(grow(self, (void **)&dirty->slots, &dirty->slots_capacity,
                   ((size_t)dirty->n + (size_t)n) * sizeof *slots, err));
    for (int32_t i = 0; i < n; i++) {
        dirty->slots[dirty->n] = slots[i];
        dirty->n += !dirty->marks[slots[i]];
        dirty->marks[slots[i]] = 1;
    }
    if (self->delays[class] > 0 && !set->due_ms) {
        set->due_ms = env_wall_ms(self->own.env) + self->delays[class];
        set_alarm(self);
    }
    return SABOT_OK;
}

/* --- open and close */
static void update_close(struct op *op) {
    struct window_update *self = (struct window_update *)op;
    for (int i = 0; i < 2; i++) {
        dirty_clear(self, (enum reason)i);
        memory_free(self->own.pool, self->dirty[i].items, self->dirty[i].capacity);
    }
    for (int i = 0; i < 4; i++) {
        memory_free(self->own.pool, self->lists[i], (size_t)self->scratch * sizeof *self->lists[i]);
    }
    if (self->aggregator.pool) { aggregator_clear(&self->aggregator); }
    splitter_clear(&self->splitter);
    window_progress_clear(&self->progress);
    free(self);
}

static sabot_status open_parts(struct window_update *self, struct sabot_error *err) {
    const struct op_context *context = &self->own;
    SABOT_TRY(window_panes_open(context, &self->slices, &self->splitter, &self->aggregator, &self->time_column, err));
    self->lateness_ms = self->options->emit.lateness_ms;
    self->delays[GIVE_LATE] = self->options->emit.late_ms;
    self->delays[GIVE_EARLY] = self->options->emit.early_ms;
    for (int32_t k = 0; k < self->aggregator.n_keys; k++) { self->keys[k] = k; }
    const struct state_spec given = {
        .name = "given", .kind = STATE_KEYED, .schema = self->aggregator.schema, .n_keys = self->aggregator.n_keys};
    SABOT_TRY(state_table_open(context->state, &given, &self->given, err));
    self->scratch = context->batch_rows * 2;
    for (int i = 0; i < 4; i++) {
        SABOT_TRY(memory_alloc(context->pool, (size_t)self->scratch * sizeof *self->lists[i],
                               (void **)&self->lists[i], err));
    }
    return window_progress_open(&self->progress, context, &self->watermark_ms, err);
}

static sabot_status update_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct window_update *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a window aggregation"); }
    self->op.type = &op_window_update;
    self->own = *context;
    self->options = context->spec->options;
    self->watermark_ms = WATERMARK_NONE;
    self->window_end = INT64_MAX;
    self->reason = NO_REASON;
    const sabot_status status = open_parts(self, err);
    if (status != SABOT_OK) {
        update_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

/* --- what to give out */
/* The last end of a window that is over for good at a watermark. */
static int64_t last_over(const struct window_update *self, int64_t watermark_ms) {
    if (watermark_ms == WATERMARK_NONE) { return INT64_MIN; }
    if (watermark_ms == WATERMARK_END) { return INT64_MAX; }
    return watermark_ms - self->lateness_ms + 1;
}
/* The last end that a watermark has reached. */
static int64_t last_reached(int64_t watermark_ms) {
    if (watermark_ms == WATERMARK_NONE) { return INT64_MIN; }
    return watermark_ms == WATERMARK_END ? INT64_MAX : watermark_ms + 1;
}

static void begin(struct window_update *self, enum reason reason) {
    self->reason = reason;
    self->after = reason == GIVE_LATE ? last_over(self, self->watermark_ms) : last_reached(self->watermark_ms);
}

/* The next window for the reason that is being worked off. */
static sabot_status next_window(struct window_update *self, struct sabot_error *err) {
    int64_t least = INT64_MAX, last = INT64_MAX;
    if (self->reason == GIVE_DUE) {
        const int64_t *ends;
        int32_t n;
        SABOT_TRY(state_namespaces(self->aggregator.table, &ends, &n, err));
        for (int32_t i = 0; i < n && least == INT64_MAX; i++) {
            least = slice_next_window(&self->slices, ends[i], self->after);
        }
        last = last_reached(self->target_ms);
    } else {
        const struct dirty_set *set = &self->dirty[self->reason];
        for (int32_t i = 0; i < set->n && least == INT64_MAX; i++) {
            least = slice_next_window(&self->slices, set->items[i].slice_end, self->after);
        }
        if (self->reason == GIVE_LATE) { last = last_reached(self->watermark_ms); }
    }
    self->window_end = least <= last ? least : INT64_MAX;
    return SABOT_OK;
}

/* Empty groups in working space for those of the window that have changed. */
static sabot_status make_changed(struct window_update *self, struct sabot_error *err) {
    const struct dirty_set *set = &self->dirty[self->reason];
    struct state_table *table = self->aggregator.table;
    const int64_t start = window_start_of(&self->slices, self->window_end);
    for (int32_t i = 0; i < set->n; i++) {
        const struct dirty *dirty = &set->items[i];
        if (dirty->slice_end <= start || dirty->slice_end > self->window_end) { continue; }
        for (int32_t s = 0; s < dirty->n; s++) {
            int32_t slot;
            const int64_t before = state_count(table, STATE_NAMESPACE_SCRATCH);
            SABOT_TRY(state_merge(table, dirty->slice_end, dirty->slots[s], 1, STATE_NAMESPACE_SCRATCH, &slot, err));
            accumulators_init(&self->aggregator.accumulators, table, STATE_NAMESPACE_SCRATCH, before,
                              state_count(table, STATE_NAMESPACE_SCRATCH));
        }
    }
    return SABOT_OK;
}

/* Folds the groups of a slice that are in working space into these. */
static sabot_status fold_changed(struct window_update *self, int64_t slice_end, struct sabot_error *err) {
    struct state_table *table = self->aggregator.table;
    const int64_t count = state_count(table, STATE_NAMESPACE_SCRATCH);
    for (int64_t first = 0; first < count; first += self->scratch) {
        const int32_t n = count - first < self->scratch ? (int32_t)(count - first) : self->scratch;
        BATCH_OWNED struct batch *groups = NULL;
        SABOT_TRY(state_read(table, STATE_NAMESPACE_SCRATCH, first, n, &groups, err));
        if (self->aggregator.n_keys) {
            SABOT_TRY(batch_cache_hashes(self->own.pool, groups, self->keys, self->aggregator.n_keys, err));
        }
        int32_t *found = self->lists[0];
        state_find(table, slice_end, groups, self->keys, NULL, n, found);
        for (int32_t i = 0; i < n; i++) {
            const int32_t slot = (int32_t)first + i;
            if (found[i] < 0) { continue; }
            SABOT_TRY(accumulators_merge(&self->aggregator.accumulators, table, slice_end, found[i], 1,
                                         STATE_NAMESPACE_SCRATCH, &slot, err));
        }
    }
    return SABOT_OK;
}

/* Makes self->source the namespace that holds the groups to be given out. Values of DISTINCT have no index by group, so
 * that there all groups of the window are gathered. */
static sabot_status gather(struct window_update *self, struct sabot_error *err) {
    const int64_t *ends;
    int32_t first, n;
    SABOT_TRY(window_panes_of(self->aggregator.table, &self->slices, self->window_end, &ends, &first, &n, err));
    assert(n > 0);
    self->done = 0;
    self->source = STATE_NAMESPACE_SCRATCH;
    const bool changed_only = self->reason != GIVE_DUE && self->aggregator.accumulators.n_sets == 0;
    if (changed_only) {
        SABOT_TRY(make_changed(self, err));
    } else if (n == 1) {
        self->source = ends[first];
        return SABOT_OK;
    }
    for (int32_t i = 0; i < n; i++) {
        SABOT_TRY(state_namespaces(self->aggregator.table, &ends, &(int32_t){0}, err));
        if (changed_only) {
            SABOT_TRY(fold_changed(self, ends[first + i], err));
        } else {
            SABOT_TRY(aggregator_merge(&self->aggregator, ends[first + i], STATE_NAMESPACE_SCRATCH, err));
        }
    }
    return SABOT_OK;
}

/* --- giving out */
static void columns_unref(struct column **columns, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        column_unref(columns[i]);
        columns[i] = NULL;
    }
}

/* Results of groups: one column per call. */
static sabot_status results_of(struct window_update *self, const struct batch *cells, struct column **columns,
                               struct sabot_error *err) {
    const struct accumulators *plan = &self->aggregator.accumulators;
    const int32_t n_keys = self->aggregator.n_keys;
    for (int32_t i = 0; i < plan->n_calls; i++) {
        const sabot_status status = accumulators_result(plan, i, cells, n_keys, self->own.pool,
                                                        self->own.spec->output->fields[n_keys + i].type, &columns[i],
                                                        err);
        if (status != SABOT_OK) {
            columns_unref(columns, i);
            return status;
        }
    }
    return SABOT_OK;
}

/* Emits rows: sources[i] < n is the old result of group sources[i], n + g the new one of g. old NULL: there is none. */
static sabot_status emit(struct window_update *self, const struct batch *now, struct column *const *old_results,
                         struct column *const *now_results, const int32_t *sources, const int32_t *kinds, int32_t m,
                         int32_t n, struct op_out *out, struct sabot_error *err) {
    const struct schema *schema = self->own.spec->output;
    const int32_t n_keys = self->aggregator.n_keys, n_calls = self->aggregator.accumulators.n_calls;
    struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX + 8] = {NULL};
    int32_t *groups = self->lists[3], at = 0;
    sabot_status status = SABOT_OK;
    assert(n_keys + n_calls + self->options->n_properties == schema->n_fields && self->options->n_properties <= 8);
    for (int32_t i = 0; i < m; i++) { groups[i] = sources[i] < n ? sources[i] : sources[i] - n; }
    for (int32_t k = 0; k < n_keys && status == SABOT_OK; k++) {
        status = column_take(self->own.pool, now->columns[k], groups, m, &columns[at], err);
        at += status == SABOT_OK;
    }
    for (int32_t i = 0; i < n_calls && status == SABOT_OK; i++) {
        struct column *both COLUMN_OWNED = NULL;
        if (old_results) {
            status = column_concat(self->own.pool, (struct column *const[]){old_results[i], now_results[i]}, 2, &both,
                                   err);
            if (status != SABOT_OK) { break; }
        }
        status = column_take(self->own.pool, both ? both : now_results[i], both ? sources : groups, m, &columns[at],
                             err);
        at += status == SABOT_OK;
    }
    for (int32_t i = 0; i < self->options->n_properties && status == SABOT_OK; i++) {
        status = window_property_column(self->own.pool, &self->slices, self->options->properties[i], self->window_end,
                                        schema->fields[at].type, m, &columns[at], err);
        at += status == SABOT_OK;
    }
    if (status != SABOT_OK) {
        columns_unref(columns, at);
        return status;
    }
    BATCH_OWNED struct batch *batch = NULL;
    SABOT_TRY(batch_new((struct schema *)(uintptr_t)schema, columns, at, m, &batch, err));
    SABOT_TRY(changes_set_kinds(self->own.pool, batch, kinds, m, err));
    batch->created_ns = self->created_ns;
    return out_emit(out, batch_ref(batch), err);
}

/* From now on `cells` are what was given out for the groups at slots[] of the window. */
static sabot_status keep_given(struct window_update *self, const struct batch *cells, const int32_t *slots, int32_t n,
                               struct sabot_error *err) {
    const struct accumulators *plan = &self->aggregator.accumulators;
    for (int32_t c = 0; c < plan->n_cells; c++) {
        const struct column *column = cells->columns[self->aggregator.n_keys + c];
        const size_t size = phys_size((enum phys)column->phys);
        for (int32_t i = 0; i < n; i++) {
            if (column->phys == PHYS_VIEW) {
                const struct string_view view = ((const struct string_view *)column->values)[i];
                SABOT_TRY(state_set_view(self->given, self->window_end, c, slots[i], view, err));
                continue;
            }
            char *values = state_values(self->given, self->window_end, c);
            memcpy(values + (size_t)slots[i] * size, (const char *)column->values + (size_t)i * size, size);
        }
    }
    return SABOT_OK;
}

/* Behind a restore: *due (free it) are the groups for which the window was not over; NULL: all. */
static sabot_status find_due(struct window_update *self, const struct batch *now, int32_t **due, int32_t *n,
                             struct sabot_error *err) {
    if (!self->aggregator.n_keys || !window_progress_splits(&self->progress, self->window_end, self->lateness_ms)) {
        return SABOT_OK;
    }
    *due = malloc((size_t)(now->rows + 1) * sizeof **due);
    if (!*due) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a window's groups"); }
    return window_progress_due(&self->progress, self->own.pool, now, self->aggregator.n_keys, self->window_end,
                               self->lateness_ms, *due, n, err);
}

/* The next groups of the window: decides what of them is new, and what has changed since it was given out. */
static sabot_status give_groups(struct window_update *self, int32_t n, struct op_out *out, struct sabot_error *err) {
    const int32_t n_keys = self->aggregator.n_keys, n_cells = self->aggregator.accumulators.n_cells;
    const int32_t n_calls = self->aggregator.accumulators.n_calls;
    struct column *old_results[CELLS_MAX] = {NULL}, *now_results[CELLS_MAX] = {NULL};
    BATCH_OWNED struct batch *now = NULL, *old = NULL;
    int32_t *slots = self->lists[0], *sources = self->lists[1], *kinds = self->lists[2], *changed = self->lists[3];
    n = aggregator_rows_fit(&self->aggregator, self->source, NULL, self->done, n);
    SABOT_TRY(state_read(self->aggregator.table, self->source, self->done, n, &now, err));
    self->done += n;
    const int64_t before = state_count(self->given, self->window_end);
    const bool stays = self->reason != GIVE_DUE || self->window_end > last_over(self, self->target_ms);
    if (stays || before) {
        if (n_keys) { SABOT_TRY(batch_cache_hashes(self->own.pool, now, self->keys, n_keys, err)); }
        SABOT_TRY(state_find_or_insert(self->given, self->window_end, now, self->keys, NULL, n, slots, err));
    } else { /* given out once and for all */
        for (int32_t i = 0; i < n; i++) { slots[i] = i; }
    }
    bool any_old = false;
    for (int32_t i = 0; i < n; i++) { any_old |= slots[i] < before; }
    SABOT_TRY(results_of(self, now, now_results, err));
    sabot_status status = SABOT_OK;
    memset(changed, 0, (size_t)n * sizeof *changed);
    if (any_old) {
        struct column *columns[AGGREGATOR_KEYS_MAX + CELLS_MAX];
        status = state_take(self->given, self->window_end, slots, n, 0, n_keys + n_cells, columns, err);
        if (status == SABOT_OK) {
            status = batch_new(self->aggregator.schema, columns, n_keys + n_cells, n, &old, err);
        }
        if (status == SABOT_OK) { status = results_of(self, old, old_results, err); }
        for (int32_t i = 0; i < n_calls && status == SABOT_OK; i++) {
            changes_mark(old_results[i], now_results[i], changed, n);
        }
    }
    int32_t m = 0, n_due = n;
    int32_t *due = NULL;
    if (status == SABOT_OK) { status = find_due(self, now, &due, &n_due, err); }
    for (int32_t d = 0; d < n_due && status == SABOT_OK; d++) {
        const int32_t i = due ? due[d] : d;
        const bool was = slots[i] < before;
        if (was && !changed[i]) { continue; }
        if (was && self->options->emit.before) {
            sources[m] = i;
            kinds[m++] = ROW_UPDATE_BEFORE;
        }
        sources[m] = n + i;
        kinds[m++] = was ? ROW_UPDATE_AFTER : ROW_INSERT;
    }
    if (status == SABOT_OK && stays) { status = keep_given(self, now, slots, n, err); }
    if (status == SABOT_OK && m > 0) {
        status = emit(self, now, any_old ? old_results : NULL, now_results, sources, kinds, m, n, out, err);
    }
    free(due);
    columns_unref(old_results, CELLS_MAX);
    columns_unref(now_results, CELLS_MAX);
    return status;
}

/* Windows that are over, and slices that no other holds. */
static sabot_status drop_over(struct window_update *self, struct sabot_error *err) {
    const int64_t over = last_over(self, self->watermark_ms);
    const int64_t *ends;
    int32_t n;
    for (;;) {
        SABOT_TRY(state_namespaces(self->given, &ends, &n, err));
        if (n == 0 || ends[0] > over) { break; }
        state_drop_namespace(self->given, ends[0]);
    }
    for (;;) {
        SABOT_TRY(state_namespaces(self->aggregator.table, &ends, &n, err));
        if (n == 0 || slice_last_window(&self->slices, ends[0]) > over) { break; }
        aggregator_drop(&self->aggregator, ends[0]);
    }
    for (int i = 0; i < 2; i++) {
        struct dirty_set *set = &self->dirty[i];
        int32_t gone = 0;
        while (gone < set->n && slice_last_window(&self->slices, set->items[gone].slice_end) <= over) {
            dirty_free(self, &set->items[gone++]);
        }
        set->n -= gone;
        if (gone) { memmove(set->items, set->items + gone, (size_t)set->n * sizeof *set->items); }
    }
    return SABOT_OK;
}

static sabot_status finish(struct window_update *self, struct op_out *out, struct sabot_error *err) {
    const enum reason reason = self->reason;
    self->wanted[reason] = false;
    self->reason = NO_REASON;
    if (reason != GIVE_DUE) {
        dirty_clear(self, reason);
        set_alarm(self);
        return SABOT_OK;
    }
    self->watermark_ms = self->target_ms;
    if (self->own.metrics) {
        atomic_store_explicit(&self->own.metrics->watermark_ms, self->watermark_ms, memory_order_relaxed);
    }
    SABOT_TRY(drop_over(self, err));
    return out->watermark(out, self->target_ms, err);
}

/* Works off what is wanted until the output is full or nothing is left. */
static sabot_status give(struct window_update *self, struct op_out *out, struct sabot_error *err) {
    const int32_t step = self->own.batch_rows < OUTPUT_GROUPS_MAX ? self->own.batch_rows : OUTPUT_GROUPS_MAX;
    self->op.busy = true;
    for (;;) {
        if (self->reason == NO_REASON) {
            enum reason next = GIVE_LATE;
            while (next < REASONS && !self->wanted[next]) { next++; }
            if (next == REASONS) { break; }
            begin(self, next);
        }
        if (self->window_end == INT64_MAX) {
            SABOT_TRY(next_window(self, err));
            if (self->window_end == INT64_MAX) {
                SABOT_TRY(finish(self, out, err));
                continue;
            }
            SABOT_TRY(gather(self, err));
        }
        const int64_t count = state_count(self->aggregator.table, self->source);
        while (self->done < count) {
            if (out_is_full(out)) { return SABOT_OK; }
            const int64_t left = count - self->done;
            SABOT_TRY(give_groups(self, left < step ? (int32_t)left : step, out, err));
        }
        if (self->source == STATE_NAMESPACE_SCRATCH) { aggregator_drop(&self->aggregator, STATE_NAMESPACE_SCRATCH); }
        self->after = self->window_end;
        self->window_end = INT64_MAX;
    }
    self->op.busy = false;
    return SABOT_OK;
}

/* --- rows */
static sabot_status add_run(struct window_update *self, const struct batch *batch, const struct slice_run *run,
                            int64_t closes, struct sabot_error *err) {
    SABOT_TRY(aggregator_add(&self->aggregator, run->slice_end, batch, run->rows, run->n, err));
    const int64_t reached = last_reached(self->watermark_ms);
    const int64_t next = slice_next_window(&self->slices, run->slice_end, last_over(self, self->watermark_ms));
    if (next <= reached) { SABOT_TRY(mark(self, GIVE_LATE, run->slice_end, self->aggregator.slots, run->n, err)); }
    if (self->delays[GIVE_EARLY] >= 0 && closes > reached) {
        SABOT_TRY(mark(self, GIVE_EARLY, run->slice_end, self->aggregator.slots, run->n, err));
    }
    return SABOT_OK;
}

static sabot_status give_away(struct window_update *self, const struct batch *batch, const int32_t *rows, int32_t n,
                              int64_t closes, struct sabot_error *err) {
    return window_late(&self->own, self->options, batch, rows, n, "window", closes,
                       self->watermark_ms, &self->progress, err);
}

/* Behind a restore: rows of key groups that had fired further than this task. */
static sabot_status take_run_by_group(struct window_update *self, const struct batch *batch,
                                      const struct slice_run *run, int64_t closes, struct sabot_error *err) {
    int32_t *kept = malloc((size_t)run->n * 2 * sizeof *kept), n;
    if (!kept) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a window aggregation"); }
    int32_t *late = kept + run->n;
    window_progress_split(&self->progress, batch, run->rows, run->n, closes, self->lateness_ms, kept, &n, late);
    sabot_status status = SABOT_OK;
    if (n < run->n) { status = give_away(self, batch, late, run->n - n, closes, err); }
    const struct slice_run left = {.slice_end = run->slice_end, .rows = kept, .n = n};
    if (status == SABOT_OK && n > 0) { status = add_run(self, batch, &left, closes, err); }
    free(kept);
    return status;
}

static sabot_status take_run(struct window_update *self, const struct batch *batch, const struct slice_run *run,
                             struct sabot_error *err) {
    const int64_t closes = slice_last_window(&self->slices, run->slice_end);
    if (closes == INT64_MIN) { return SABOT_OK; } /* between the windows of a hop with gaps */
    if (late_choose(closes, self->lateness_ms, self->watermark_ms, true) != LATE_TAKE) {
        return give_away(self, batch, run->rows, run->n, closes, err);
    }
    if (window_progress_splits(&self->progress, closes, self->lateness_ms)) {
        return take_run_by_group(self, batch, run, closes, err);
    }
    return add_run(self, batch, run, closes, err);
}

static sabot_status update_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                    struct sabot_error *err) {
    (void)input;
    struct window_update *self = (struct window_update *)op;
    BATCH_OWNED struct batch *batch = taken;
    if (batch->selected == 0) { return SABOT_OK; }
    if (batch->created_ns) { self->created_ns = batch->created_ns; }
    SABOT_TRY(splitter_split(&self->splitter, batch, self->time_column, err));
    SABOT_TRY(aggregator_prepare(&self->aggregator, &batch, err));
    if (self->splitter.n_timeless) {
        SABOT_TRY(window_late(&self->own, self->options, batch, self->splitter.timeless,
                              self->splitter.n_timeless, "no time", INT64_MAX, self->watermark_ms, NULL, err));
    }
    for (int32_t i = 0; i < self->splitter.n_runs; i++) {
        SABOT_TRY(take_run(self, batch, &self->splitter.runs[i], err));
    }
    for (int i = 0; i < 2; i++) { self->wanted[i] = self->delays[i] == 0 && self->dirty[i].n > 0; }
    return give(self, out, err);
}

/* Whether a window with late rows that were not given out yet would be over at a watermark. */
static bool late_rows_are_due(const struct window_update *self, int64_t watermark_ms) {
    const struct dirty_set *set = &self->dirty[GIVE_LATE];
    const int64_t over = last_over(self, self->watermark_ms), next = last_over(self, watermark_ms);
    bool due = false;
    for (int32_t i = 0; i < set->n && !due; i++) {
        due = slice_next_window(&self->slices, set->items[i].slice_end, over) <= next;
    }
    return due;
}

static sabot_status update_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                        struct sabot_error *err) {
    struct window_update *self = (struct window_update *)op;
    if (watermark_ms <= self->watermark_ms) { /* behind a restore the sources begin anew */
        return watermark_ms == self->watermark_ms ? out->watermark(out, watermark_ms, err) : SABOT_OK;
    }
    self->wanted[GIVE_LATE] = late_rows_are_due(self, watermark_ms);
    self->wanted[GIVE_DUE] = true;
    self->target_ms = watermark_ms;
    return give(self, out, err);
}

static sabot_status update_on_time(struct op *op, int64_t now_ms, struct op_out *out, struct sabot_error *err) {
    struct window_update *self = (struct window_update *)op;
    for (int i = 0; i < 2; i++) {
        const int64_t due = self->dirty[i].due_ms;
        self->wanted[i] = due && due <= now_ms;
    }
    set_alarm(self);
    return give(self, out, err);
}

static sabot_status update_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? give((struct window_update *)op, out, err) : SABOT_OK;
}

static sabot_status update_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                          struct sabot_error *err) {
    (void)checkpoint_id;
    struct window_update *self = (struct window_update *)op;
    for (int i = 0; i < 2; i++) { self->wanted[i] = self->dirty[i].n > 0; }
    SABOT_TRY(window_progress_keep(&self->progress, self->own.pool, self->watermark_ms, err));
    return give(self, out, err);
}

const struct op_type op_window_update = {
    .name = "window_update",
    .summary = "aggregate by key and window, and give out each change: early results, allowed lateness",
    .open = update_open,
    .on_batch = update_on_batch,
    .on_watermark = update_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = update_resume,
    .before_barrier = update_before_barrier,
    .on_complete = op_default_on_complete,
    .close = update_close,
    .on_time = update_on_time,
    .stateful = true,
};
