/* What the machine's caches cost a GROUP BY, whatever it is written in: the reference for the cost of a row by the
 * number of keys (bench/state). A plain loop over rows with random keys: one entry of an open-addressing index of twice
 * as many entries (16 bytes, the key compared), then a sum and a count of the key's slot. Nothing is inserted while the
 * clock runs, and nothing keeps the processor from working on several rows at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "tests/util/bench.h"

#define ROWS (1 << 16)
#define ROUNDS 64
#define REPEATS 3

struct entry {
    uint64_t key;
    uint64_t slot1;
};
struct table {
    struct entry *index;
    uint64_t mask;
    int64_t *sums, *counts;
};

static uint64_t hash_of(uint64_t key) {
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return key ^ key >> 32;
}

static struct entry *entry_of(const struct table *table, uint64_t key) {
    uint64_t at = hash_of(key) & table->mask;
    while (table->index[at].slot1 && table->index[at].key != key) { at = (at + 1) & table->mask; }
    return &table->index[at];
}

static void table_fill(struct table *table, uint64_t keys) {
    uint64_t capacity = 16;
    while (capacity < keys * 2) { capacity *= 2; }
    *table = (struct table){.index = calloc(capacity, sizeof *table->index), .mask = capacity - 1,
                            .sums = calloc(keys, sizeof(int64_t)), .counts = calloc(keys, sizeof(int64_t))};
    uint64_t *order = malloc(keys * sizeof *order), random = BENCH_SEED;
    if (!table->index || !table->sums || !table->counts || !order) { exit(1); }
    for (uint64_t key = 0; key < keys; key++) { order[key] = key; }
    for (uint64_t slot = 0; slot < keys; slot++) { /* in the order in which random rows would bring them */
        xorshift64(&random);
        const uint64_t other = slot + random % (keys - slot), key = order[other];
        order[other] = order[slot];
        *entry_of(table, key) = (struct entry){.key = key, .slot1 = slot + 1};
    }
    free(order);
}

static double measure(struct table *table, uint64_t keys) {
    uint64_t *rows = malloc(ROWS * sizeof *rows), random = BENCH_SEED;
    if (!rows) { exit(1); }
    int64_t ns = 0;
    for (int32_t round = 0; round < ROUNDS; round++) {
        for (int32_t i = 0; i < ROWS; i++) {
            xorshift64(&random);
            rows[i] = random % keys;
        }
        const int64_t start = env_cpu_ns(env_real());
        for (int32_t i = 0; i < ROWS; i++) {
            const uint64_t slot = entry_of(table, rows[i])->slot1 - 1;
            table->sums[slot] += i;
            table->counts[slot]++;
        }
        ns += env_cpu_ns(env_real()) - start;
    }
    free(rows);
    return (double)ns / ((double)ROWS * ROUNDS);
}

int main(void) {
    static const uint64_t sizes[] = {10000, 1000000, 10000000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct table table;
        table_fill(&table, sizes[s]);
        double best = measure(&table, sizes[s]);
        for (int32_t repeat = 1; repeat < REPEATS; repeat++) {
            const double ns = measure(&table, sizes[s]);
            best = ns < best ? ns : best;
        }
        printf("miss/%llu-keys %.2f ns/row\n", (unsigned long long)sizes[s], best);
        free(table.index);
        free(table.sums);
        free(table.counts);
    }
    return 0;
}
