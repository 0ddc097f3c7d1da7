/* What the files of the process operator share. */
#ifndef OPS_PROCESS_PROCESS_IMPL_H
#define OPS_PROCESS_PROCESS_IMPL_H

#include <stddef.h>

#include "arrow/import.h"
#include "ops/specs.h"
#include "ops/window/progress.h"
#include "time/timers.h"

/* Space that grows and is used again. */
struct process_room {
    void *data;
    size_t capacity;
};

struct process {
    struct op op;
    struct sabot_process handle; /* what callbacks are given */
    struct op_context own;
    const struct process_options *options;
    const struct process_function *function;
    enum process_key_form form;
    enum kv_type key_type;
    int32_t key_column; /* of the input; -1: no PARTITION BY */
    struct schema *rows_schema, *keys_schema, *columns_schema; /* of process(), on_timer(); of what they give */
    struct importer *importer;
    void *instance;
    bool is_open;
    int64_t watermark_ms;
    struct window_progress progress;
    /* state */
    struct kv_store *store;
    struct kv_state *states[PROCESS_STATES_MAX];
    struct timers *timers;
    struct kv_state *standing[PROCESS_TIMERS_MAX]; /* named timers: when the key's fires */
    int64_t names[PROCESS_TIMERS_MAX];             /* namespaces of the timers: even; + 1 for the NULL key */
    /* firing, which may stop and go on */
    enum timer_domain domain;
    int64_t until_ms;
    const struct timer *due; /* taken out of the heap and not yet called */
    int32_t n_due;
    bool *cancelled; /* of due */
    bool cancelled_room[1024];
    /* the call under way; NULL rows: none */
    struct sabot_process_call call;
    struct op_out *out;
    struct batch *rows;     /* whose columns the output begins with */
    const int32_t *passed;  /* those columns */
    const void *keys;       /* of its keys: int64_t[] or struct string_view[]; NULL: they have no state */
    const bool *nulls;      /* key k is the NULL of a single column; NULL: none is */
    int64_t created_ns;
    const int64_t *emit_ms;   /* rowtime of what is given out about each row; INT64_MIN: NULL */
    const int64_t *row_times; /* the same in the column's units, where they are finer; NULL: made of emit_ms */
    /* space of calls */
    struct process_room hashes, table, groups, order, starts, key_room, null_room, times, emit_times, timer_ids;
    struct process_room gathered, given, taken, bytes, found, offsets;
};

static inline struct process *process_of(struct sabot_process *handle) {
    return (struct process *)((char *)handle - offsetof(struct process, handle));
}

extern const struct sabot_process_api process_api; /* calls.c */
sabot_status process_room(struct process_room *room, size_t size, struct sabot_error *err);
/* One more timer of a key that is about to fire does not. calls.c needs it. */
void process_cancel_due(struct process *self, int32_t timer, int64_t namespace_, int64_t time_ms, const void *key);

#endif
