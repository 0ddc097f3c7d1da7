/* What the files of the process operator share. */
#ifndef OPS_PROCESS_PROCESS_IMPL_H
#define OPS_PROCESS_PROCESS_IMPL_H

#include <stddef.h>

#include "arrow/import.h"
#include "ops/specs.h"
#include "ops/window/progress.h"
#include "time/timers.h"

/* Space that grows and is used again; charged to the operator. */
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
    bool event_ttl;                                /* some state has a TTL of event time */
    int64_t names[PROCESS_TIMERS_MAX];             /* namespaces of the timers: even; + 1 for the NULL key */
    /* firing, which may stop and go on */
    enum timer_domain domain;
    int64_t until_ms;
    /* the call under way; NULL rows: none */
    struct sabot_process_call call;
    struct op_out *out;
    struct batch *rows;     /* whose columns the output begins with */
    const int32_t *passed;  /* those columns */
    const void *keys;       /* of its keys: int64_t[] or struct string_view[]; NULL: they have no state */
    const bool *nulls;      /* key k is the NULL of a single column; NULL: none is */
    int64_t created_ns;
    const int64_t *emit_ms;   /* rowtime of what is given out about each row; INT64_MIN: NULL */
    const struct column *row_times; /* the same in the column's units, where they are finer; NULL: made of emit_ms */
    /* space of calls */
    struct process_room hashes, table, groups, order, starts, key_room, null_room, times, emit_times, timer_ids;
    struct process_room gathered, found, offsets;
    struct process_room given, taken;                             /* what a call brings */
    struct process_room bytes, entry_bytes, out_keys, out_values; /* what it is given: it may bring that again */
    sabot_status failed; /* of a call by the function, whatever it returns; why */
    char failure[SABOT_ERROR_MESSAGE_MAX];
};

static inline struct process *process_of(struct sabot_process *handle) {
    return (struct process *)((char *)handle - offsetof(struct process, handle));
}

extern const struct sabot_process_api process_api; /* calls.c */
sabot_status process_room(struct process *self, struct process_room *room, size_t size, struct sabot_error *err);
void process_room_free(struct process *self, struct process_room *room);

#endif
