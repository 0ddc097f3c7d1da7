/* The multimap's part in snapshots: which slots have changed, and the walk over those that a barrier froze. */
#include "state/multimap_impl.h"

#define BLOCK_SLOTS 256 /* gathered together */

static void map_capture(struct state_multimap *map, const int32_t *slots, int32_t n, bool ascending) {
    if (n == 0) { return; }
    struct capture_source source = {.namespaces = NAMESPACES(map)};
    for (int32_t c = 0; c < map->n_columns; c++) {
        source.columns[c] = map->columns[c].data;
        source.validity[c] = map->validity[c].data;
    }
    source.columns[map->n_columns] = COUNTS(map);
    source.absent[map->n_columns] = 1; /* every row is there once */
    source.columns[map->n_columns + 1] = MATCHES(map);
    capture_rows(map->table.capture, &source, slots, n, ascending);
}

/* Of a slot that is wanted: a row in `slots`, or the mark of an empty one that a delta needs. True: one for `slots`. */
static bool slot_capture(struct state_multimap *map, int32_t slot) {
    if (map_is_live(map, slot)) { return true; }
    if (map->table.capture->form == STATE_FORM_DELTA) { capture_mark(map->table.capture, SLOT_EMPTY, 0, slot); }
    return false;
}

void map_note_changes(struct state_multimap *map, const int32_t *slots, int32_t n) {
    struct slot_watch *watch = &map->watch;
    int32_t saved[BLOCK_SLOTS];
    int32_t n_saved = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t slot = slots[i];
        const bool is_wanted = slot_is_pending(watch, slot) && slot_is_wanted(watch, slot);
        if (is_wanted && slot_capture(map, slot)) { saved[n_saved++] = slot; }
        slot_set_changed(watch, slot);
        if (n_saved == BLOCK_SLOTS) {
            map_capture(map, saved, n_saved, false);
            n_saved = 0;
        }
    }
    map_capture(map, saved, n_saved, false);
}

void map_touch_table(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n) {
    (void)namespace_; /* slots are those of the whole map */
    map_touch(map_of(table), slots, n);
}

sabot_status map_freeze(struct state_table *table, struct sabot_error *err) {
    struct state_multimap *map = map_of(table);
    SABOT_TRY(slot_watch_fit(&map->watch, map->pool, map->slots, err));
    slot_watch_freeze(&map->watch, table->capture->form, map->used);
    table->capture->expected = map->live;
    return SABOT_OK;
}

bool map_copy(struct state_table *table, int32_t n) {
    struct state_multimap *map = map_of(table);
    struct slot_watch *watch = &map->watch;
    while (n > 0 && watch->cursor < watch->frozen) {
        int32_t wanted[BLOCK_SLOTS], n_rows = 0;
        const int32_t n_wanted = slot_watch_walk(watch, &n, wanted, BLOCK_SLOTS);
        for (int32_t i = 0; i < n_wanted; i++) {
            if (slot_capture(map, wanted[i])) { wanted[n_rows++] = wanted[i]; }
        }
        map_capture(map, wanted, n_rows, true);
    }
    if (watch->cursor < watch->frozen) { return false; }
    slot_watch_thaw(watch);
    return true;
}

void map_thaw(struct state_table *table) { slot_watch_thaw(&map_of(table)->watch); }
