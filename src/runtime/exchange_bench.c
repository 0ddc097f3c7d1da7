/* What an exchange costs per row: partitioning alone, and a hash exchange whole, with shared batches and with copies.
 * Prints nanoseconds per row; argument: rows per batch. */
#include "runtime/exchange.h"

#include "base/env.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 2000
#define COLUMNS 4

static struct memory_pool pool;

static void no_wake(void *arg) { (void)arg; }

static struct batch *batch_make(struct schema *schema, int32_t rows) {
    struct column *columns[COLUMNS];
    for (int32_t c = 0; c < COLUMNS; c++) {
        struct column_builder builder;
        if (column_builder_init(&builder, &pool, PHYS_I64, rows, false, NULL) != SABOT_OK) { abort(); }
        for (int64_t i = 0; i < rows; i++) { ((int64_t *)builder.values)[i] = (i + c) * 7919 % 10007; }
        if (column_builder_finish(&builder, &columns[c], NULL) != SABOT_OK) { abort(); }
    }
    struct batch *batch;
    if (batch_new(schema, columns, COLUMNS, rows, &batch, NULL) != SABOT_OK) { abort(); }
    return batch;
}

static void report(const char *what, int32_t targets, int64_t ns, int64_t rows) {
    printf("%-28s %2d targets  %6.2f ns/row\n", what, targets, (double)ns / (double)rows);
}

static void bench(struct schema *schema, int32_t rows, int32_t targets) {
    struct env *env = env_real();
    struct channel *channels[64];
    const struct channel_wake wake = {no_wake, NULL};
    for (int32_t i = 0; i < targets; i++) {
        if (channel_new(16, wake, wake, &channels[i], NULL) != SABOT_OK) { abort(); }
    }
    const int32_t keys[1] = {0};
    const struct exchange_options options = {.exchange = EXCHANGE_HASH, .keys = keys, .n_keys = 1,
                                             .max_parallelism = 128, .channels = channels, .n_channels = targets,
                                             .pool = &pool};
    struct exchange_out out;
    if (exchange_init(&out, &options, NULL) != SABOT_OK) { abort(); }
    struct batch *batch = batch_make(schema, rows);
    if (batch_cache_hashes(&pool, batch, keys, 1, NULL) != SABOT_OK) { abort(); }

    int32_t *order = malloc((size_t)rows * sizeof *order);
    int64_t start = env_now_ns(env);
    for (int32_t r = 0; out.owner_of_group && r < ROUNDS; r++) {
        exchange_partition(batch, out.owner_of_group, 128, targets, out.target_of_row, out.counts, order);
    }
    report("partition", targets, env_now_ns(env) - start, (int64_t)ROUNDS * rows);

    start = env_now_ns(env);
    for (int32_t r = 0; r < ROUNDS; r++) {
        if (exchange_emit(&out, batch_ref(batch), NULL) != SABOT_OK) { abort(); }
        for (int32_t i = 0; i < targets; i++) {
            struct channel_item item;
            while (channel_pop(channels[i], &item)) { channel_item_clear(&item); }
        }
    }
    report("exchange, shared batch", targets, env_now_ns(env) - start, (int64_t)ROUNDS * rows);

    start = env_now_ns(env);
    for (int32_t r = 0; r < ROUNDS; r++) {
        if (exchange_emit(&out, batch_ref(batch), NULL) != SABOT_OK) { abort(); }
        for (int32_t i = 0; i < targets; i++) {
            struct channel_item item;
            while (channel_pop(channels[i], &item)) {
                struct batch *copy;
                if (batch_compact(&pool, item.batch, &copy, NULL) != SABOT_OK) { abort(); }
                batch_unref(copy);
                channel_item_clear(&item);
            }
        }
    }
    report("exchange, then copied", targets, env_now_ns(env) - start, (int64_t)ROUNDS * rows);

    free(order);
    batch_unref(batch);
    exchange_clear(&out);
    for (int32_t i = 0; i < targets; i++) { channel_free(channels[i]); }
}

static void bench_channel(void) {
    struct env *env = env_real();
    struct channel *channel;
    const struct channel_wake wake = {no_wake, NULL};
    if (channel_new(16, wake, wake, &channel, NULL) != SABOT_OK) { abort(); }
    const int64_t n = 20000000;
    const int64_t start = env_now_ns(env);
    for (int64_t i = 0; i < n; i++) {
        struct channel_item item = {.kind = CHANNEL_WATERMARK, .value = i};
        channel_push(channel, &item);
        channel_pop(channel, &item);
    }
    printf("%-28s             %6.2f ns/item\n", "channel push + pop", (double)(env_now_ns(env) - start) / (double)n);
    channel_free(channel);
}

int main(int argc, char **argv) {
    const int32_t rows = argc > 1 ? atoi(argv[1]) : BATCH_ROWS_DEFAULT;
    if (rows < 1 || rows > BATCH_ROWS_MAX) {
        fprintf(stderr, "rows per batch: 1 to %d\n", BATCH_ROWS_MAX);
        return 2;
    }
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    struct field fields[COLUMNS];
    for (int32_t c = 0; c < COLUMNS; c++) { fields[c] = (struct field){"c", type_of(TYPE_INT64)}; }
    struct schema *schema;
    if (schema_new(fields, COLUMNS, &schema, NULL) != SABOT_OK) { return 1; }
    bench_channel();
    static const int32_t targets[] = {2, 4, 7, 16};
    for (size_t t = 0; t < sizeof targets / sizeof targets[0]; t++) { bench(schema, rows, targets[t]); }
    schema_unref(schema);
    return 0;
}
