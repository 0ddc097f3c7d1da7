/* The memory pools of jobs and sessions. */
#include "base/spill.h"
#include "runtime/job_impl.h"

#include <stdio.h>
#include <stdlib.h>

struct named_pool {
    struct memory_pool pool;
    char name[96];
};

struct job_pools {
    struct job_pools *next;
    struct spill *spill; /* NULL: no limit, so nothing is ever too large */
    bool was_empty; /* at the last look */
    int32_t n;
    struct named_pool pools[]; /* the job's, then the operators' */
};

/* Pools of jobs that are over while somebody still holds batches of theirs. */
static struct job_pools *retired;
static atomic_flag retired_busy = ATOMIC_FLAG_INIT; /* taken once per job, for a few loads */

static bool is_empty(const struct job_pools *pools) {
    return atomic_load(&pools->pools[0].pool.used) == 0 && (!pools->spill || spill_bytes(pools->spill) == 0);
}

static void pools_free(struct job_pools *pools) {
    spill_free(pools->spill);
    free(pools);
}

static void retired_sweep(void) {
    struct job_pools **at = &retired;
    while (*at) {
        struct job_pools *pools = *at;
        const bool empty = is_empty(pools);
        /* Twice: who gives back the last byte reads the pool once more after the count is zero. */
        if (empty && pools->was_empty) {
            *at = pools->next;
            pools_free(pools);
            continue;
        }
        pools->was_empty = empty;
        at = &pools->next;
    }
}

int64_t job_memory_limit(const struct job_options *options) {
    int64_t limit = options->memory_limit > 0 ? options->memory_limit : INT64_MAX;
    for (const struct memory_pool *pool = options->memory; pool; pool = pool->parent) {
        limit = pool->limit < limit ? pool->limit : limit;
    }
    return limit;
}

sabot_status job_pools_new(struct env *env, const struct job_options *options, int32_t n, struct job_pools **out,
                           struct sabot_error *err) {
    *out = NULL;
    struct job_pools *pools = calloc(1, sizeof *pools + ((size_t)n + 1) * sizeof pools->pools[0]);
    if (!pools) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the pools of a job"); }
    pools->n = n + 1;
    const int64_t limit = job_memory_limit(options);
    memory_lists_fit(limit);
    if (limit < INT64_MAX) {
        const sabot_status status = spill_new(env, options->spill_dir, limit, &pools->spill, err);
        if (status != SABOT_OK) {
            free(pools);
            return status;
        }
        if (options->spills_all) { spill_blocks_from(pools->spill, 1); }
    }
    for (int32_t i = 0; i <= n; i++) {
        struct named_pool *pool = &pools->pools[i];
        snprintf(pool->name, sizeof pool->name, "job");
        memory_pool_init(&pool->pool, pool->name, i == 0 ? options->memory : &pools->pools[0].pool,
                         i == 0 ? limit : INT64_MAX);
        pool->pool.spill = pools->spill;
        if (options->spills_all) { pool->pool.spill_eighths = 0; }
    }
    *out = pools;
    return SABOT_OK;
}

struct job_pools *session_pools_new(const char *name, int64_t limit) {
    struct job_pools *pools = calloc(1, sizeof *pools + sizeof pools->pools[0]);
    if (!pools) { return NULL; }
    pools->n = 1;
    struct named_pool *pool = &pools->pools[0];
    snprintf(pool->name, sizeof pool->name, "%s", name);
    memory_pool_init(&pool->pool, pool->name, NULL, limit);
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
    if (is_empty(pools)) {
        pools_free(pools);
    } else {
        pools->next = retired;
        retired = pools;
    }
    atomic_flag_clear_explicit(&retired_busy, memory_order_release);
}
