/* How quickly events are made: all columns, the bid's columns, and walking without writing. */
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "connect/nexmark/generator.h"

#define EVENTS 2000000
#define ROWS BATCH_ROWS_DEFAULT

static void figure(const char *name, int64_t start_ns) {
    const int64_t ns = env_cpu_ns(env_real()) - start_ns;
    printf("nexmark/%s %.2f ns/event\n", name, (double)ns / EVENTS);
}

static void generate(const char *name, const struct nexmark_config *config, const struct nexmark_texts *texts,
                     enum nexmark_field first, enum nexmark_field end) {
    struct nexmark_generator generator;
    nexmark_generator_init(&generator, config, texts);
    struct nexmark_columns columns = {.capacity = ROWS, .event_type = calloc(ROWS, sizeof(int32_t))};
    for (int field = (int)first; field < (int)end; field++) {
        columns.fields[field] = calloc(ROWS, sizeof(struct string_view));
    }
    columns.heap_size = nexmark_generator_heap_hint(&generator, &columns, ROWS);
    columns.heap = malloc((size_t)columns.heap_size + 1);
    const int64_t start_ns = env_cpu_ns(env_real());
    while (!nexmark_generator_at_end(&generator)) { nexmark_generator_fill(&generator, &columns); }
    figure(name, start_ns);
    free(columns.event_type);
    free(columns.heap);
    for (int field = 0; field < NEXMARK_FIELD_COUNT; field++) { free(columns.fields[field]); }
}

int main(void) {
    struct nexmark_config config;
    nexmark_config_init(&config);
    config.seed = 7;
    config.events_max = EVENTS;
    struct nexmark_texts *texts;
    struct sabot_error err = {0};
    if (nexmark_texts_new(config.seed, &texts, &err) != SABOT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    generate("all", &config, texts, NEXMARK_PERSON_ID, NEXMARK_FIELD_COUNT);
    generate("bid", &config, texts, NEXMARK_BID_AUCTION, NEXMARK_FIELD_COUNT);
    generate("bid-numbers", &config, texts, NEXMARK_BID_AUCTION, NEXMARK_BID_CHANNEL);
    struct nexmark_generator walking;
    nexmark_generator_init(&walking, &config, texts);
    const int64_t start_ns = env_cpu_ns(env_real());
    nexmark_generator_skip(&walking, EVENTS);
    figure("walk", start_ns);
    nexmark_texts_unref(texts);
    return 0;
}
