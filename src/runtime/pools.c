/* The memory pools of a job. */
#include "runtime/job_impl.h"

#include <stdio.h>
#include <stdlib.h>

struct named_pool {
    struct memory_pool pool;
    char name[96];
};

struct job_pools {
    struct job_pools *next;
    bool was_empty; /* at the last look */
    int32_t n;
    struct named_pool pools[]; /* the job's, then the operators' */
};

/* Pools of jobs that are over while somebody still holds batches of theirs. */
static struct job_pools *retired;
static atomic_flag retired_busy = ATOMIC_FLAG_INIT; /* taken once per job, for a few loads */

static void retired_sweep(void) {
    struct job_pools **at = &retired;
    while (*at) {
        struct job_pools *pools = *at;
        const bool empty = atomic_load(&pools->pools[0].pool.used) == 0;
        /* Twice: who gives back the last byte reads the pool once more after the count is zero. */
        if (empty && pools->was_empty) {
            *at = pools->next;
            free(pools);
            continue;
        }
        pools->was_empty = empty;
        at = &pools->next;
    }
}

struct job_pools *job_pools_new(struct memory_pool *parent, int32_t n) {
    struct job_pools *pools = calloc(1, sizeof *pools + ((size_t)n + 1) * sizeof pools->pools[0]);
    if (!pools) { return NULL; }
    pools->n = n + 1;
    for (int32_t i = 0; i <= n; i++) {
        struct named_pool *pool = &pools->pools[i];
        snprintf(pool->name, sizeof pool->name, "job");
        memory_pool_init(&pool->pool, pool->name, i == 0 ? parent : &pools->pools[0].pool, INT64_MAX);
    }
    return pools;
}

struct memory_pool *job_pools_job(struct job_pools *pools) { return &pools->pools[0].pool; }

struct memory_pool *job_pools_op(struct job_pools *pools, int32_t i, const char *name) {
    struct named_pool *pool = &pools->pools[i + 1];
    snprintf(pool->name, sizeof pool->name, "%s", name);
    return &pool->pool;
}

void job_pools_release(struct job_pools *pools) {
    if (!pools) { return; }
    while (atomic_flag_test_and_set_explicit(&retired_busy, memory_order_acquire)) {}
    retired_sweep();
    if (atomic_load(&pools->pools[0].pool.used) == 0) {
        free(pools);
    } else {
        pools->next = retired;
        retired = pools;
    }
    atomic_flag_clear_explicit(&retired_busy, memory_order_release);
}
