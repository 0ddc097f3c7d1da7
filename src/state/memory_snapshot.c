/* The memory backend's part in snapshots: which slots have changed, and the walk over those that a barrier froze. */
#include <assert.h>
#include <stdlib.h>

#include "state/memory_impl.h"

#define BLOCK_SLOTS 256 /* gathered together */
#define MARKS_AHEAD 16  /* of a large table each is a cache miss */

static struct capture_source source_of(const struct memory_table *table, const struct pane *pane) {
    struct capture_source source = {.namespace_ = pane->frozen_namespace};
    for (int32_t c = 0; c < table->n_columns; c++) {
        source.columns[c] = pane->columns[c];
        source.strides[c] = table->strides[c];
    }
    for (int32_t k = 0; k < table->n_keys; k++) { source.validity[k] = pane->validity[k]; }
    return source;
}

static void pane_capture(struct memory_table *table, const struct pane *pane, const int32_t *slots, int32_t n,
                         bool ascending) {
    if (n == 0) { return; }
    const struct capture_source source = source_of(table, pane);
    capture_rows(table->table.capture, &source, slots, n, ascending);
}

/* While a walk is under way, of up to BLOCK_SLOTS slots: which of them are to be captured, in `saved`. Without
 * branches: which slots are pending is chance, and a branch that is guessed wrongly costs more than all of this. */
static int32_t marks_set_frozen(const struct slot_watch *watch, const int32_t *slots, int32_t n, int32_t fresh,
                                int32_t *saved) {
    uint64_t *const all_changed = watch->changed, *const all_kept = watch->saved_slots;
    const int32_t cursor = watch->cursor, frozen = watch->frozen;
    const uint64_t all = watch->all ? UINT64_MAX : 0;
    int32_t n_saved = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t slot = slots[i], ahead = slots[i + MARKS_AHEAD < n ? i + MARKS_AHEAD : i] >> 6;
        __builtin_prefetch(&all_changed[ahead], 1);
        __builtin_prefetch(&all_kept[ahead], 1);
        uint64_t *changed = &all_changed[slot >> 6], *kept = &all_kept[slot >> 6];
        const uint64_t bit = UINT64_C(1) << (slot & 63);
        const uint64_t pending = bit & -(uint64_t)((slot >= cursor) & (slot < frozen));
        const uint64_t wanted = pending & ~*kept & (*changed | all);
        saved[n_saved] = slot;
        n_saved += (wanted != 0) & (slot < fresh);
        *changed |= bit;
        *kept |= pending;
    }
    return n_saved;
}

/* Captures what is pending of a word at once: its values stand beside each other. */
static void word_capture(struct memory_table *table, struct pane *pane, int32_t word) {
    struct slot_watch *watch = &pane->watch;
    const int32_t first = word * 64;
    const int32_t from = watch->cursor > first ? watch->cursor - first : 0;
    const int32_t to = watch->frozen - first < 64 ? watch->frozen - first : 64;
    const uint64_t pending = UINT64_MAX << from & UINT64_MAX >> (64 - to);
    uint64_t bits = pending & ~watch->saved_slots[word] & (watch->changed[word] | (watch->all ? UINT64_MAX : 0));
    int32_t wanted[64], n_wanted = 0;
    for (; bits; bits &= bits - 1) { wanted[n_wanted++] = first + __builtin_ctzll(bits); }
    pane_capture(table, pane, wanted, n_wanted, true);
    watch->saved_slots[word] |= pending;
}

/* The word of a slot that has changed is settled, unless something in it is pending and must wait for the walk. */
static void word_settle(struct memory_table *table, struct pane *pane, int32_t word) {
    struct slot_watch *watch = &pane->watch;
    if (word * 64 < watch->frozen && word * 64 + 64 > watch->cursor) {
        if (table->table.capture->copied >= table->table.capture->ahead_until) { return; }
        word_capture(table, pane, word);
    }
    watch->changed[word] = UINT64_MAX;
    bit_set(watch->settled, word);
}

static void marks_set_dense(struct memory_table *table, struct pane *pane, const int32_t *slots, int32_t n,
                            int32_t fresh) {
    struct slot_watch *watch = &pane->watch;
    int32_t rest[BLOCK_SLOTS], saved[BLOCK_SLOTS], n_rest = 0;
    const uint64_t *settled = watch->settled;
    for (int32_t i = 0; i < n; i++) { /* without a branch: behind a barrier it would be guessed wrongly */
        rest[n_rest] = slots[i];
        n_rest += !bit_is_set(settled, slots[i] >> 6);
    }
    for (int32_t i = 0; i < n_rest; i++) { word_settle(table, pane, rest[i] >> 6); }
    if (!watch->frozen) { return; }
    const int32_t n_saved = marks_set_frozen(watch, rest, n_rest, fresh, saved); /* those that were not settled */
    pane_capture(table, pane, saved, n_saved, false);
}

void pane_note_changes(struct memory_table *table, struct pane *pane, const int32_t *slots, int32_t n, int32_t fresh) {
    struct slot_watch *watch = &pane->watch;
    if (watch->frozen || watch->dense) {
        for (int32_t first = 0; first < n; first += BLOCK_SLOTS) {
            const int32_t m = n - first < BLOCK_SLOTS ? n - first : BLOCK_SLOTS;
            if (watch->dense) {
                marks_set_dense(table, pane, slots + first, m, fresh);
                continue;
            }
            int32_t saved[BLOCK_SLOTS];
            const int32_t n_saved = marks_set_frozen(watch, slots + first, m, fresh, saved);
            pane_capture(table, pane, saved, n_saved, false);
        }
        return;
    }
    uint64_t *changed = watch->changed;
    int32_t i = 0;
    for (; i < n && i < MARKS_AHEAD; i++) { __builtin_prefetch(&changed[slots[i] >> 6], 1); }
    for (i = 0; i + MARKS_AHEAD < n; i++) {
        __builtin_prefetch(&changed[slots[i + MARKS_AHEAD] >> 6], 1);
        bit_set(changed, slots[i]);
    }
    for (; i < n; i++) { bit_set(changed, slots[i]); }
}

void pane_note_end(struct memory_table *table, struct pane *pane) {
    if (pane->watch.saved == 0 || table->n_gone < 0) { return; }
    if (table->n_gone == table->gone_capacity) {
        const int32_t capacity = table->gone_capacity ? table->gone_capacity * 2 : 64;
        int64_t *gone = realloc(table->gone, (size_t)capacity * sizeof *gone);
        if (!gone) {
            table->n_gone = -1; /* no delta can be made until there is a base again */
            return;
        }
        table->gone = gone;
        table->gone_capacity = capacity;
    }
    table->gone[table->n_gone++] = pane->namespace_;
}

bool pane_keep_for_snapshot(struct pane *pane) {
    pane->dropped = pane->watch.frozen > 0;
    return pane->dropped;
}

void memory_touch(struct state_table *base, int64_t namespace_, const int32_t *slots, int32_t n) {
    struct memory_table *table = memory_table_of(base);
    struct pane *pane = pane_find(table, namespace_);
    if (!pane) { return; }
    if (memory_is_spilled(table->pool)) { pages_in(table, pane, slots, n); }
    pane_touch(table, pane, slots, n, pane->count);
}

/* --- the barrier */
static bool pane_is_scratch(const struct pane *pane) { return pane->namespace_ == STATE_NAMESPACE_SCRATCH; }

static sabot_status freeze_reserve(struct memory_table *table, struct sabot_error *err) {
    free(table->frozen);
    table->frozen_at = table->n_frozen = 0;
    table->frozen = malloc((size_t)(table->n_panes + 1) * sizeof(struct pane *));
    if (!table->frozen) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a snapshot"); }
    for (int32_t i = 0; i < table->n_panes; i++) {
        if (pane_is_scratch(table->panes[i])) { continue; }
        SABOT_TRY(slot_watch_fit(&table->panes[i]->watch, table->pool, table->panes[i]->slots, err));
    }
    return SABOT_OK;
}

sabot_status memory_freeze(struct state_table *base, struct sabot_error *err) {
    struct memory_table *table = memory_table_of(base);
    struct capture *capture = base->capture;
    const enum state_form form = capture->form;
    if (form == STATE_FORM_DELTA && table->n_gone < 0) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "state %s: changes were lost for want of memory", base->name);
    }
    SABOT_TRY(freeze_reserve(table, err));
    for (int32_t i = 0; form == STATE_FORM_DELTA && i < table->n_gone; i++) {
        capture_mark(capture, SLOT_END, table->gone[i], 0);
    }
    if (form != STATE_FORM_ROWS) { table->n_gone = 0; }
    capture->expected = 0;
    for (int32_t i = 0; i < table->n_panes; i++) {
        struct pane *pane = table->panes[i];
        if (pane_is_scratch(pane)) { continue; }
        if (form == STATE_FORM_DELTA && pane->watch.saved > pane->count) {
            capture_mark(capture, SLOT_END, pane->namespace_, pane->count);
        }
        slot_watch_freeze(&pane->watch, form, pane->count);
        pane->frozen_namespace = pane->namespace_;
        capture->expected += pane->count;
        if (pane->count) { table->frozen[table->n_frozen++] = pane; }
    }
    return SABOT_OK;
}

/* --- the walk */
/* Looks at up to n slots; returns how many are left. */
static int32_t pane_walk(struct memory_table *table, struct pane *pane, int32_t n) {
    struct slot_watch *watch = &pane->watch;
    while (n > 0 && watch->cursor < watch->frozen) {
        int32_t wanted[BLOCK_SLOTS];
        int32_t n_wanted = slot_watch_walk(watch, &n, wanted, BLOCK_SLOTS);
        while (n_wanted && wanted[n_wanted - 1] >= pane->count) { n_wanted--; } /* they are gone, and were captured */
        pane_capture(table, pane, wanted, n_wanted, true);
    }
    return n;
}

static void pane_end_walk(struct memory_table *table, struct pane *pane) {
    slot_watch_thaw(&pane->watch);
    if (!pane->dropped) { return; }
    pane->dropped = false;
    pane_recycle(table, pane);
}

bool memory_copy(struct state_table *base, int32_t n) {
    struct memory_table *table = memory_table_of(base);
    while (table->frozen_at < table->n_frozen && n > 0) {
        struct pane *pane = table->frozen[table->frozen_at];
        n = pane_walk(table, pane, n);
        if (pane->watch.cursor < pane->watch.frozen) { return false; }
        table->frozen_at++;
        pane_end_walk(table, pane);
    }
    return table->frozen_at == table->n_frozen;
}

void memory_thaw(struct state_table *base) {
    struct memory_table *table = memory_table_of(base);
    while (table->frozen_at < table->n_frozen) { pane_end_walk(table, table->frozen[table->frozen_at++]); }
    table->frozen_at = table->n_frozen = 0;
}
