/* The latency histogram. A value below 128 has a bucket of its own; above, each power of two is cut into 64. */
#include "base/metrics.h"

#include <stdlib.h>

#define STEP_BITS 6
#define VALUE_BITS_MAX 50
#define VALUE_MAX ((INT64_C(1) << VALUE_BITS_MAX) - 1)
#define BUCKETS (((VALUE_BITS_MAX - STEP_BITS) << STEP_BITS) + (1 << STEP_BITS))

struct histogram {
    _Atomic int64_t total, largest;
    _Atomic int64_t counts[BUCKETS];
};

struct histogram *histogram_new(void) { return calloc(1, sizeof(struct histogram)); }
void histogram_free(struct histogram *histogram) { free(histogram); }

static int bucket_of(int64_t value) {
    if (value < (2 << STEP_BITS)) { return (int)value; }
    const int shift = 63 - __builtin_clzll((unsigned long long)value) - STEP_BITS;
    return (shift << STEP_BITS) + (int)(value >> shift);
}

/* The largest value that falls into a bucket. */
static int64_t bucket_top(int bucket) {
    if (bucket < (2 << STEP_BITS)) { return bucket; }
    const int shift = (bucket >> STEP_BITS) - 1;
    const int64_t first = (int64_t)((bucket & ((1 << STEP_BITS) - 1)) + (1 << STEP_BITS)) << shift;
    return first + (INT64_C(1) << shift) - 1;
}

static int64_t read_count(const _Atomic int64_t *count) {
    return atomic_load_explicit((_Atomic int64_t *)count, memory_order_relaxed);
}

void histogram_record(struct histogram *histogram, int64_t value, int64_t count) {
    value = value < 0 ? 0 : value > VALUE_MAX ? VALUE_MAX : value;
    metric_add(&histogram->counts[bucket_of(value)], count);
    metric_add(&histogram->total, count);
    if (value > read_count(&histogram->largest)) {
        atomic_store_explicit(&histogram->largest, value, memory_order_relaxed);
    }
}

int64_t histogram_count(const struct histogram *histogram) { return read_count(&histogram->total); }

int64_t histogram_quantile(const struct histogram *histogram, double q) {
    /* the buckets are summed, not the total read: the writer may be between the two */
    int64_t total = 0;
    for (int i = 0; i < BUCKETS; i++) { total += read_count(&histogram->counts[i]); }
    if (total == 0) { return 0; }
    q = q < 0 ? 0 : q > 1 ? 1 : q;
    const double exact = q * (double)total;
    int64_t wanted = (int64_t)exact;
    wanted += (double)wanted < exact;
    wanted = wanted < 1 ? 1 : wanted > total ? total : wanted;
    const int64_t largest = read_count(&histogram->largest);
    int64_t seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += read_count(&histogram->counts[i]);
        if (seen >= wanted) { return bucket_top(i) < largest ? bucket_top(i) : largest; }
    }
    return largest;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    int64_t total = 0;
    for (int i = 0; i < BUCKETS; i++) {
        const int64_t count = read_count(&from->counts[i]);
        if (count > 0) { metric_add(&into->counts[i], count); }
        total += count;
    }
    metric_add(&into->total, total);
    const int64_t largest = read_count(&from->largest);
    if (largest > read_count(&into->largest)) {
        atomic_store_explicit(&into->largest, largest, memory_order_relaxed);
    }
}
