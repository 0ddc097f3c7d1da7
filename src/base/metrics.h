/* Counters and latency histograms of an operator: written by its own thread, read by any (relaxed atomics). */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

/* X(name, unit, summary): the counters that every operator has; shown by the command, the C API and the metrics
 * page. */
#define METRICS_COUNTERS(X)                                                                                            \
    X(rows_in, "rows", "rows taken in; of a source: read, before a filter that was pushed down to it")                 \
    X(rows_out, "rows", "rows given out")                                                                              \
    X(batches_in, "batches", "batches taken in")                                                                       \
    X(batches_out, "batches", "batches given out")                                                                     \
    X(bytes_in, "bytes", "bytes read by a source")                                                                     \
    X(bytes_out, "bytes", "bytes written by a sink")                                                                   \
    X(rows_late, "rows", "rows that came behind the watermark and were not counted in a window")                       \
    X(rows_malformed, "rows", "records that could not be decoded")                                                     \
    X(state_rows, "rows", "rows in state tables")                                                                      \
    X(state_bytes, "bytes", "memory of state tables")                                                                  \
    X(busy_ns, "ns", "time spent in the operator")                                                                     \
    X(blocked_ns, "ns", "time spent waiting for room in the output")

struct metrics {
#define X(name, unit, summary) _Atomic int64_t name;
    METRICS_COUNTERS(X)
#undef X
    _Atomic int64_t watermark_ms; /* INT64_MIN = none */
    struct histogram *latency;    /* sinks: ns from created_ns to write; NULL elsewhere */
};
static inline void metric_add(_Atomic int64_t *counter, int64_t n) {
    /* one writer: a plain add would do, the atomic store only keeps readers from seeing torn values */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Log-linear histogram (as HdrHistogram's): 2^6 steps per power of two, about 1.6 % error, 0 .. 2^50. */
struct histogram;
struct histogram *histogram_new(void);
void histogram_free(struct histogram *histogram);
void histogram_record(struct histogram *histogram, int64_t value, int64_t count); /* one writer */
int64_t histogram_count(const struct histogram *histogram);
int64_t histogram_quantile(const struct histogram *histogram, double q); /* 0..1; 0 while empty */
void histogram_merge(struct histogram *into, const struct histogram *from);

#endif
