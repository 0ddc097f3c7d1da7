/* Process functions: C with keyed state and timers, called from SQL as Flink's process table functions are.
 *
 *     SELECT * FROM f(input => TABLE payments PARTITION BY card, on_time => DESCRIPTOR(ts), big => 500)
 *
 * A function declares what it reads and gives, its state and its timers (struct sabot_process_function); then either
 * sabot_engine_register_process_function (sabot/sabot.h) makes it known to an engine, or it stands in a shared library
 * behind SABOT_PROCESS_FUNCTION, and SQL loads it: CREATE FUNCTION f AS 'symbol' LANGUAGE C USING FILE 'f.so'. Such a
 * library needs this header only; it links nothing of Sabot's.
 *
 * Rows come in batches, sorted by key: rows key_starts[k] .. key_starts[k + 1] are those of key k, in the order they
 * came in. State and timers are asked for several keys of the call at once, by their numbers.
 * Each parallel instance is called by one thread at a time; several instances run at once. A callback must not block.
 * It reports a failure by writing err->message and returning another status than SABOT_OK: the job fails with it, and
 * goes on from its last checkpoint when it is started again. What a call has changed is never half in a checkpoint:
 * where one of the functions below fails (not: refuses what it was asked), the job fails also if the callback goes on.
 * Structs begin with `size` = sizeof the struct. */
#ifndef SABOT_PROCESS_H
#define SABOT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sabot/arrow.h"
#include "sabot/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- what a function declares */

enum sabot_process_time { SABOT_EVENT_TIME, SABOT_PROCESSING_TIME };

/* How values and keys of state are handed over: int64_t, double or struct sabot_bytes. */
enum sabot_process_type { SABOT_BIGINT, SABOT_DOUBLE, SABOT_BYTES };
struct sabot_bytes {
    const void *data;
    size_t size;
};

enum sabot_process_kind {
    SABOT_VALUE,   /* one value per key */
    SABOT_LIST,    /* values in the order in which they were added */
    SABOT_MAP,     /* values by a second key */
    SABOT_COUNTER  /* a BIGINT that is added to without being read; no TTL */
};
struct sabot_process_state {
    const char *name; /* a word; state is found by it in checkpoints and by `sabot state query` */
    enum sabot_process_kind kind;
    enum sabot_process_type type;    /* of values */
    enum sabot_process_type map_key; /* MAP: SABOT_BIGINT or SABOT_BYTES */
    int64_t ttl_ms;                  /* values, elements, entries are forgotten so long after their writing; 0: never */
    enum sabot_process_time ttl_time; /* EVENT: by the watermark; in on_timer of event time, by the timer's time */
    bool ttl_on_read;                /* reading makes them young again */
};
struct sabot_process_timer {
    const char *name;
    enum sabot_process_time time; /* EVENT: fires when the watermark has passed; at the end of the input all fire.
                                     PROCESSING: by the clock; at the end of the input they are dropped */
    bool many; /* a key may have timers at several times; without, setting it again moves it */
};
struct sabot_process_column {
    const char *name;
    const char *type; /* SQL: "BIGINT", "STRING", "DECIMAL(10, 2)", "TIMESTAMP(3)" ... */
};
struct sabot_process_argument {
    const char *name;
    const char *type;
    const char *otherwise; /* what it is where it is not given, as a SQL constant; NULL: it must be given */
};

/* --- what a call is told */

struct sabot_process; /* to be passed on to the functions below; valid during the call */

struct sabot_process_open {
    size_t size;
    const struct ArrowSchema *input;     /* of the rows that process() gets; a struct */
    const struct ArrowArray *arguments;  /* a struct array of one row: the scalar arguments; copy what you need */
    int32_t subtask, parallelism;
};

struct sabot_process_call {
    size_t size;
    const struct ArrowArray *rows; /* process: the declared input columns; on_timer: the columns of PARTITION BY, a row
                                      per timer. A struct array, borrowed for the call */
    int64_t n_rows;
    int32_t n_keys;             /* no key twice. Without PARTITION BY there is one "key", which has no state */
    const int32_t *key_starts;  /* n_keys + 1 */
    const int64_t *times_ms;    /* process: event time of each row, INT64_MIN = NULL; NULL without on_time.
                                   on_timer: the time of each timer */
    const int32_t *timers;      /* on_timer: which of the declared timers; NULL in process */
    int64_t watermark_ms;       /* no row before it is expected; INT64_MIN = none yet, INT64_MAX = the end */
    int64_t processing_ms;      /* wall clock */
};

struct sabot_process_function {
    size_t size;
    const char *name;                            /* as it is called in SQL; not needed in a library */
    const struct sabot_process_column *inputs;   /* columns that the table must have, found by name and cast; 0 = all of
                                                    it, whatever they are */
    int32_t n_inputs;
    const struct sabot_process_column *columns;  /* of the output; they may be NULL */
    int32_t n_columns;
    const struct sabot_process_argument *arguments;
    int32_t n_arguments;
    const struct sabot_process_state *states;
    int32_t n_states;
    const struct sabot_process_timer *timers;
    int32_t n_timers;
    bool pass_columns_through; /* the output begins with all columns of the table instead of those of PARTITION BY; such
                                  a function has no timers */
    /* One per parallel instance; may be NULL, then instance is user. */
    sabot_status (*open)(void *user, const struct sabot_process_open *open, void **instance, struct sabot_error *err);
    sabot_status (*process)(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                            struct sabot_error *err);
    sabot_status (*on_timer)(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                             struct sabot_error *err); /* NULL without timers */
    void (*close)(void *instance);                     /* may be NULL */
    void *user;
};

/* --- a function in a shared library:
 * SABOT_PROCESS_FUNCTION(symbol) = {.size = sizeof(struct sabot_process_function), ..}; */
#define SABOT_PROCESS_ABI 1
struct sabot_process_library {
    uint32_t abi;
    const struct sabot_process_function *function;
};
#if defined(__GNUC__)
#define SABOT_PROCESS_EXPORT __attribute__((visibility("default")))
#else
#define SABOT_PROCESS_EXPORT
#endif
#ifdef __cplusplus
#define SABOT_PROCESS_EXTERN extern "C"
#else
#define SABOT_PROCESS_EXTERN extern
#endif
#define SABOT_PROCESS_FUNCTION(symbol)                                                                                 \
    static const struct sabot_process_function symbol##_definition;                                                    \
    SABOT_PROCESS_EXTERN SABOT_PROCESS_EXPORT const struct sabot_process_library symbol;                               \
    const struct sabot_process_library symbol = {SABOT_PROCESS_ABI, &symbol##_definition};                             \
    static const struct sabot_process_function symbol##_definition

/* --- what a call may do
 *
 * state, timer: numbers in the declared lists. keys: numbers of the call's keys, n of them; NULL = 0 .. n - 1. For
 * VALUE and COUNTER each key stands once; for LIST and MAP there are n elements, and keys[i] says whose element i is.
 * What is handed out is valid until the next call of one of these. */
struct sabot_process_api {
    size_t size;
    sabot_status (*get)(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n, void *values,
                        bool *found, struct sabot_error *err);
    sabot_status (*put)(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                        const void *values, struct sabot_error *err);
    sabot_status (*add)(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                        const int64_t *deltas, struct sabot_error *err);
    sabot_status (*clear)(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                          struct sabot_error *err);
    sabot_status (*list_add)(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                             const void *values, struct sabot_error *err);
    sabot_status (*list_get)(struct sabot_process *process, int32_t state, int32_t key, const void **values, int64_t *n,
                             struct sabot_error *err);
    sabot_status (*map_get)(struct sabot_process *process, int32_t state, const int32_t *keys, const void *map_keys,
                            int32_t n, void *values, bool *found, struct sabot_error *err);
    sabot_status (*map_put)(struct sabot_process *process, int32_t state, const int32_t *keys, const void *map_keys,
                            int32_t n, const void *values, struct sabot_error *err);
    sabot_status (*map_remove)(struct sabot_process *process, int32_t state, const int32_t *keys, const void *map_keys,
                               int32_t n, struct sabot_error *err);
    sabot_status (*map_entries)(struct sabot_process *process, int32_t state, int32_t key, const void **map_keys,
                                const void **values, int64_t *n, struct sabot_error *err);
    sabot_status (*timer_set)(struct sabot_process *process, int32_t timer, const int32_t *keys, int32_t n,
                              const int64_t *times_ms, struct sabot_error *err);
    sabot_status (*timer_clear)(struct sabot_process *process, int32_t timer, const int32_t *keys, int32_t n,
                                const int64_t *times_ms, struct sabot_error *err);
    sabot_status (*emit)(struct sabot_process *process, struct ArrowArray *rows, const int32_t *from,
                         struct sabot_error *err);
};
struct sabot_process {
    const struct sabot_process_api *api;
};

/* VALUE, COUNTER: values[i] is set where found[i]. */
static inline sabot_status sabot_state_get(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                                           void *values, bool *found, struct sabot_error *err) {
    return process->api->get(process, state, keys, n, values, found, err);
}
static inline sabot_status sabot_state_put(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                                           const void *values, struct sabot_error *err) {
    return process->api->put(process, state, keys, n, values, err);
}
/* COUNTER. */
static inline sabot_status sabot_state_add(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                                           const int64_t *deltas, struct sabot_error *err) {
    return process->api->add(process, state, keys, n, deltas, err);
}
/* Any state: forgets the value, the list, the map of these keys. */
static inline sabot_status sabot_state_clear(struct sabot_process *process, int32_t state, const int32_t *keys,
                                             int32_t n, struct sabot_error *err) {
    return process->api->clear(process, state, keys, n, err);
}
/* LIST: values[i] goes to the end of the list of key keys[i]. */
static inline sabot_status sabot_list_add(struct sabot_process *process, int32_t state, const int32_t *keys, int32_t n,
                                          const void *values, struct sabot_error *err) {
    return process->api->list_add(process, state, keys, n, values, err);
}
static inline sabot_status sabot_list_get(struct sabot_process *process, int32_t state, int32_t key,
                                          const void **values, int64_t *n, struct sabot_error *err) {
    return process->api->list_get(process, state, key, values, n, err);
}
/* MAP: the entry map_keys[i] of key keys[i]. */
static inline sabot_status sabot_map_get(struct sabot_process *process, int32_t state, const int32_t *keys,
                                         const void *map_keys, int32_t n, void *values, bool *found,
                                         struct sabot_error *err) {
    return process->api->map_get(process, state, keys, map_keys, n, values, found, err);
}
static inline sabot_status sabot_map_put(struct sabot_process *process, int32_t state, const int32_t *keys,
                                         const void *map_keys, int32_t n, const void *values, struct sabot_error *err) {
    return process->api->map_put(process, state, keys, map_keys, n, values, err);
}
static inline sabot_status sabot_map_remove(struct sabot_process *process, int32_t state, const int32_t *keys,
                                            const void *map_keys, int32_t n, struct sabot_error *err) {
    return process->api->map_remove(process, state, keys, map_keys, n, err);
}
/* All entries of one key, in any order. */
static inline sabot_status sabot_map_entries(struct sabot_process *process, int32_t state, int32_t key,
                                             const void **map_keys, const void **values, int64_t *n,
                                             struct sabot_error *err) {
    return process->api->map_entries(process, state, key, map_keys, values, n, err);
}
/* times_ms[i] is when the timer of key keys[i] fires; one that lies in the past fires with the next watermark, or at
 * once. Timers of a key fire in the order of their times. Without `many`, the last time of a key counts. */
static inline sabot_status sabot_timer_set(struct sabot_process *process, int32_t timer, const int32_t *keys, int32_t n,
                                           const int64_t *times_ms, struct sabot_error *err) {
    return process->api->timer_set(process, timer, keys, n, times_ms, err);
}
/* times_ms: of timers with `many`, which one; else NULL. One that is not set is no error. */
static inline sabot_status sabot_timer_clear(struct sabot_process *process, int32_t timer, const int32_t *keys,
                                             int32_t n, const int64_t *times_ms, struct sabot_error *err) {
    return process->api->timer_clear(process, timer, keys, n, times_ms, err);
}
/* Gives out rows: a struct array of the declared columns, taken over on every path. from[i]: the row of the call (in
 * on_timer: the timer) that row i is about; it gives the columns in front and the rowtime behind. NULL: 0, 1, 2 .. */
static inline sabot_status sabot_emit(struct sabot_process *process, struct ArrowArray *rows, const int32_t *from,
                                      struct sabot_error *err) {
    return process->api->emit(process, rows, from, err);
}

#ifdef __cplusplus
}
#endif
#endif
