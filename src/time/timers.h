/* Timers of a keyed operator: at a time, of event or processing time, call back for a key and a namespace.
 *
 * A timer is (key, namespace, time, callback); registering it twice makes one timer. They fire in the order of time, in
 * batches, and are part of the operator's snapshots, restored to who owns their keys. With the rocksdb backend those
 * that lie far ahead move there when there are many. One thread at a time.
 *
 * They are kept in a radix heap: buckets of 64-way levels over all of int64, to which a registration is appended.
 * A deletion is appended too. What was registered twice, or deleted, falls out when a bucket is sorted: when it comes
 * due, and each time it has doubled. */
#ifndef TIME_TIMERS_H
#define TIME_TIMERS_H

#include "state/kv.h"

enum timer_domain { TIMER_EVENT_TIME, TIMER_PROCESSING_TIME };

struct timer {
    int64_t time_ms, namespace_;
    union {
        int64_t number;
        struct string_view bytes;
    } key;
};
/* n timers of one callback, in the order of their times; views are valid during the call. *taken: how many of them it
 * takes, n as it comes, at least one. It may register and delete timers: those that are due already fire in the same
 * timers_fire, before what was not taken where they are earlier; what was not taken can be deleted. */
typedef sabot_status (*timer_callback)(void *arg, enum timer_domain domain, const struct timer *timers, int32_t n,
                                       int32_t *taken, struct sabot_error *err);

#define TIMER_CALLBACKS_MAX 16

struct timers_options {
    struct kv_store *store;
    const char *name;          /* of the state; unique within the operator */
    enum kv_type key;          /* KV_INT64 or KV_BYTES */
    int64_t memory_max;        /* timers in memory before some move to RocksDB, where there is one; 0 = a default */
    timer_callback callbacks[TIMER_CALLBACKS_MAX]; /* by id; a snapshot holds the id: never renumber */
    void *arg;
};

struct timers;
/* Closed with the store's tables. */
sabot_status timers_open(const struct timers_options *options, struct timers **out, struct sabot_error *err);
/* key: an int64_t or a struct string_view. */
sabot_status timers_register(struct timers *timers, enum timer_domain domain, int64_t time_ms, int64_t namespace_,
                             const void *key, int32_t callback, struct sabot_error *err);
sabot_status timers_delete(struct timers *timers, enum timer_domain domain, int64_t time_ms, int64_t namespace_,
                           const void *key, int32_t callback, struct sabot_error *err);
/* Fires up to about `max` timers with time_ms <= until_ms (the watermark, or env_wall_ms). *more: others are due. */
sabot_status timers_fire(struct timers *timers, enum timer_domain domain, int64_t until_ms, int32_t max, bool *more,
                         struct sabot_error *err);
/* No timer is due before this (one may not be due then either: it was deleted); INT64_MAX: there is none. For
 * op->wake_at_ms. */
int64_t timers_next(const struct timers *timers, enum timer_domain domain);

#endif
