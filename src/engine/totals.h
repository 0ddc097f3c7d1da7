/* What a job has done so far, summed over its operators. */
#ifndef ENGINE_TOTALS_H
#define ENGINE_TOTALS_H

#include "runtime/job.h"

struct job_totals {
    int64_t events;        /* rows that the sources read */
    int64_t rows_written;  /* rows into the sinks */
    int64_t rows_late, rows_malformed;
    int64_t watermark_ms;  /* least of the sinks', INT64_MIN: none */
};
void job_totals(const struct job *job, struct job_totals *out);
/* Of all sinks; the caller frees it. NULL where nothing was recorded. */
struct histogram *job_latency(const struct job *job);

#endif
