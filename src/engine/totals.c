/* Sums over the operators of a job. */
#include "engine/totals.h"

#include "base/metrics.h"

void job_totals(const struct job *job, struct job_totals *out) {
    *out = (struct job_totals){.watermark_ms = INT64_MAX};
    for (int32_t i = 0; i < job_n_metrics(job); i++) {
        struct job_op_metrics at;
        job_metrics(job, i, &at);
        const struct metrics *metrics = at.metrics;
#define VALUE(name) atomic_load_explicit(&metrics->name, memory_order_relaxed)
        out->rows_late += VALUE(rows_late);
        out->rows_malformed += VALUE(rows_malformed);
        if (at.is_source) { out->events += VALUE(rows_in) ? VALUE(rows_in) : VALUE(rows_out); }
        if (!at.is_sink) { continue; }
        out->rows_written += VALUE(rows_in);
        if (VALUE(watermark_ms) < out->watermark_ms) { out->watermark_ms = VALUE(watermark_ms); }
#undef VALUE
    }
    if (out->watermark_ms == INT64_MAX) { out->watermark_ms = INT64_MIN; }
}

struct histogram *job_latency(const struct job *job) {
    struct histogram *latency = NULL;
    for (int32_t i = 0; i < job_n_metrics(job); i++) {
        struct job_op_metrics at;
        job_metrics(job, i, &at);
        const struct histogram *recorded = at.is_sink ? at.metrics->latency : NULL;
        if (!recorded || histogram_count(recorded) == 0) { continue; }
        if (!latency) { latency = histogram_new(); }
        if (latency) { histogram_merge(latency, recorded); }
    }
    return latency;
}
