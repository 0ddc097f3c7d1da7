/* Memory pools of a session, or of a job and its n operators, freed when the last buffer that was charged to them is
 * gone: results may be in the hands of others longer than the job and the session live. */
#ifndef RUNTIME_POOLS_H
#define RUNTIME_POOLS_H

#include "base/memory.h"
#include "runtime/job.h"

struct job_pools;
sabot_status job_pools_new(struct env *env, const struct job_options *options, int32_t n, struct job_pools **out,
                           struct sabot_error *err);
/* One pool without a parent, for the jobs of a session; NULL: no memory. */
struct job_pools *session_pools_new(const char *name, int64_t limit);
int64_t job_memory_limit(const struct job_options *options); /* INT64_MAX = none */
struct memory_pool *job_pools_job(struct job_pools *pools); /* the job's, the session's */
struct memory_pool *job_pools_op(struct job_pools *pools, int32_t i, const char *name); /* copies the name */
void job_pools_release(struct job_pools *pools); /* NULL is allowed */

#endif
