/* What a job does for its operators besides calling them: the dead letters and the late ledger.
 *
 * The runtime implements these (src/runtime/side.c); the header stands here because operators may not use the runtime.
 */
#ifndef OPS_SERVICES_H
#define OPS_SERVICES_H

#include "ops/op.h"

/* A record that could not be decoded; applies the job's policy. Thread safe. */
sabot_status job_malformed(struct job *job, const struct op_context *context, const char *place, const char *reason,
                           const void *record, size_t size, struct sabot_error *err);
/* A late row (a physical row of a batch) for the late ledger, with the watermark that it was judged by. Thread safe. */
sabot_status job_late(struct job *job, const struct op_context *context, const struct batch *batch, int32_t row,
                      const char *rule, int64_t watermark_ms, int64_t lateness_ms, struct sabot_error *err);

#endif
