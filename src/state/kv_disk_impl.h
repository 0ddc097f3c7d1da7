/* Inside of key-value state on disk: what its files share. */
#ifndef STATE_KV_DISK_IMPL_H
#define STATE_KV_DISK_IMPL_H

#include "state/capture.h"
#include "state/kv_below.h"
#include "state/kv_hot.h"
#include "state/kv_key.h"

enum cache_status {
    CACHE_UNKNOWN = 0, /* not looked up yet */
    CACHE_CLEAN,       /* as below */
    CACHE_ABSENT,      /* not there below either */
    CACHE_DIRTY,       /* new here: from here on to be written */
    CACHE_REMOVED,
    CACHE_DELTA        /* to be added to the value below */
};

/* Marks of an entry of the cache. */
#define CACHE_USED 1  /* since rows were dropped last */
#define CACHE_SAVED 2 /* new here, but a file of the chain has it */

struct dirty {
    int64_t namespace_;
    int32_t slot;
};

/* A snapshot under way (kv_disk_snapshot.c). */
struct kv_disk_frozen {
    struct capture *capture; /* NULL: none */
    struct kv_below *held;   /* what was below at the barrier */
    struct kv_hot overlay;   /* what was new in the cache then (delta: and in no file): columns as in `hot` */
    struct kv_hot changed;   /* delta: keys that went down since the file before */
    enum { FROZEN_CHANGED, FROZEN_OVERLAY, FROZEN_BELOW, FROZEN_DONE } phase;
    int32_t namespace_, slot; /* of the table that is walked: the namespace's number, the next slot */
    int32_t group;
    struct kv_bytes at;       /* the key below that was seen last; empty: none of the group */
    int32_t budget;           /* rows that the step may still look at */
    struct capture_source source;
};

struct kv_disk {
    struct kv_table table;
    struct kv_hot hot; /* value, [time], status, marks */
    int32_t status_column;
    struct kv_below *below;
    const struct state_context *context;
    int32_t id, first_group, last_group; /* first..last (excluded): the ranges of keys that a scan of all goes over */
    int32_t cache_rows;
    int64_t cached_rows, cached_bytes;
    struct dirty *dirty;
    int32_t n_dirty, dirty_capacity;
    struct kv_bytes key, key_end, value, scratch;
    /* What is read at once: keys one after the other, and which slots they are for. */
    struct kv_bytes wanted;
    struct kv_span wanted_keys[KV_ROWS_MAX]; /* sizes alone until all are there */
    int32_t wanted_slots[KV_ROWS_MAX], n_wanted;
    int64_t wanted_namespace;
    /* What has changed since the last file of the chain: entries that are DIRTY or above and not CACHE_SAVED, and these
     * keys of what went down already. */
    bool tracks;           /* there is a chain, and `changed` is whole */
    struct kv_hot changed; /* keys alone */
    struct kv_disk_frozen frozen;
};

static inline struct kv_disk *disk_of(struct kv_table *table) { return (struct kv_disk *)table; }
static inline struct kv_span kv_span_of(const struct kv_bytes *bytes) {
    return (struct kv_span){bytes->data, bytes->size};
}
sabot_status disk_hot_open(const struct kv_disk *self, struct kv_hot *out, struct sabot_error *err);

/* Into self->key. */
sabot_status disk_key_encode(struct kv_disk *self, int64_t namespace_, const void *key, const void *sub,
                             struct sabot_error *err);
/* The range of a group, or of all where that is one, into self->key and self->key_end. */
sabot_status disk_group_range(struct kv_disk *self, int32_t group, struct sabot_error *err);
/* The value as the kind of the table wants it; points into `span` where it is bytes. */
struct disk_value {
    union {
        struct string_view view;
        uint64_t word;
    };
    int64_t time_ms;
};
sabot_status disk_value_decode(const struct kv_disk *self, struct kv_span span, struct disk_value *out,
                               struct sabot_error *err);
/* An entry from below; the next call overwrites it. */
struct disk_entry {
    struct kv_entry entry;
    struct string_view key, sub; /* or numbers */
    struct disk_value value;
};
sabot_status disk_entry_decode(struct kv_disk *self, struct kv_span key, struct kv_span value, struct disk_entry *out,
                               struct sabot_error *err);
/* Keys that are to be read at once, into self->wanted_keys; `slot` says what each is for. */
void disk_wanted_begin(struct kv_disk *self, int64_t namespace_);
sabot_status disk_wanted_add(struct kv_disk *self, int32_t slot, const void *key, const void *sub,
                             struct sabot_error *err);
sabot_status disk_wanted_get(struct kv_disk *self, struct kv_below *below, kv_below_got got, void *arg,
                             struct sabot_error *err);

/* --- kv_disk_snapshot.c */
/* These keys go down, or are removed below: the next file of the chain must speak of them. */
void disk_note_changed(struct kv_disk *self, const struct kv_keys *keys);
sabot_status disk_freeze(struct kv_table *table, struct capture *capture, struct sabot_error *err);
bool disk_copy(struct kv_table *table, int32_t slots);
void disk_thaw(struct kv_table *table);

#endif
