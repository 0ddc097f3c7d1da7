/* The generator against the official one: every expected value here was made by the official Java generator, with its
 * seed made settable, and none by this code. */
#include "connect/nexmark/generator.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connect/nexmark/price.h"
#include "connect/nexmark/texts.h"

#define ROWS 1000
#define LINE_MAX_SIZE (2 << 20)

static const char *const first_events[] = {
#include "tests/nexmark/first_events.def"
};

/* A generator with room for one batch of all columns. */
struct fixture {
    struct nexmark_texts *texts;
    struct nexmark_generator generator;
    struct nexmark_columns columns;
    char *line;
};

static void *must(void *block) {
    assert_non_null(block);
    return block;
}

static struct nexmark_config config_of_sample(void) {
    struct nexmark_config config;
    nexmark_config_init(&config);
    config.seed = 7;
    config.base_time_ms = 1436918350000;
    config.first_event_rate = 1000;
    config.events_max = 100000;
    return config;
}

static void fixture_open(struct fixture *f, const struct nexmark_config *config, int64_t rows) {
    *f = (struct fixture){.columns.capacity = rows};
    struct sabot_error err = {0};
    assert_int_equal(nexmark_config_check(config, &err), SABOT_OK);
    assert_int_equal(nexmark_texts_new(config->seed, &f->texts, &err), SABOT_OK);
    nexmark_generator_init(&f->generator, config, f->texts);
    f->columns.event_type = must(malloc((size_t)rows * sizeof(int32_t)));
    for (int field = 0; field < NEXMARK_FIELD_COUNT; field++) {
        f->columns.fields[field] = must(malloc((size_t)rows * sizeof(struct string_view)));
    }
    for (int kind = 0; kind < NEXMARK_KIND_COUNT; kind++) {
        f->columns.valid[kind] = must(malloc((size_t)(rows + 63) / 64 * 8));
    }
    f->columns.heap_size = nexmark_generator_heap_hint(&f->generator, &f->columns, rows);
    f->columns.heap = must(malloc((size_t)f->columns.heap_size));
    f->line = must(malloc(LINE_MAX_SIZE));
}

static void fixture_close(struct fixture *f) {
    free(f->columns.event_type);
    for (int field = 0; field < NEXMARK_FIELD_COUNT; field++) { free(f->columns.fields[field]); }
    for (int kind = 0; kind < NEXMARK_KIND_COUNT; kind++) { free(f->columns.valid[kind]); }
    free(f->columns.heap);
    free(f->line);
    nexmark_texts_unref(f->texts);
}

static bool row_is_valid(const struct nexmark_columns *columns, int kind, int64_t row) {
    return columns->valid[kind][row >> 6] >> (row & 63) & 1;
}

/* "type\tfield\tfield...\n" of one row into f->line; returns its length. */
static size_t row_print(struct fixture *f, int64_t row) {
    const int32_t kind = f->columns.event_type[row];
    size_t size = (size_t)sprintf(f->line, "%d", kind);
    for (int field = 0; field < NEXMARK_FIELD_COUNT; field++) {
        if ((int32_t)nexmark_fields[field].kind != kind) { continue; }
        if (nexmark_fields[field].type == NEXMARK_STRING) {
            const struct string_view *view = (const struct string_view *)f->columns.fields[field] + row;
            f->line[size++] = '\t';
            memcpy(f->line + size, string_view_data(view), view->size);
            size += view->size;
        } else {
            size += (size_t)sprintf(f->line + size, "\t%" PRId64, ((const int64_t *)f->columns.fields[field])[row]);
        }
    }
    f->line[size++] = '\n';
    return size;
}

#define FNV_START UINT64_C(0xcbf29ce484222325)

static uint64_t fnv(uint64_t hash, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) { hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3); }
    return hash;
}

static uint64_t batch_fnv(struct fixture *f, uint64_t hash) {
    for (int64_t row = 0; row < f->columns.rows; row++) { hash = fnv(hash, f->line, row_print(f, row)); }
    return hash;
}

/* Of all remaining events. */
static uint64_t stream_fnv(struct fixture *f) {
    uint64_t hash = FNV_START;
    while (!nexmark_generator_at_end(&f->generator)) {
        nexmark_generator_fill(&f->generator, &f->columns);
        assert_true(f->columns.rows > 0);
        hash = batch_fnv(f, hash);
    }
    return hash;
}

static void first_events_are_the_official_ones(void **state) {
    (void)state;
    struct fixture f;
    const struct nexmark_config config = config_of_sample();
    fixture_open(&f, &config, ROWS);
    nexmark_generator_fill(&f.generator, &f.columns);
    const size_t count = sizeof first_events / sizeof first_events[0];
    assert_int_equal(count, 500);
    for (size_t row = 0; row < count; row++) {
        f.line[row_print(&f, (int64_t)row) - 1] = '\0';
        assert_string_equal(f.line, first_events[row]);
    }
    fixture_close(&f);
}

static void check_stream(const struct nexmark_config *config, uint64_t expected) {
    struct fixture f;
    fixture_open(&f, config, ROWS);
    const uint64_t found = stream_fnv(&f);
    if (found != expected) {
        fail_msg("seed %" PRId64 ": checksum %016" PRIx64 ", official %016" PRIx64, config->seed, found, expected);
    }
    fixture_close(&f);
}

static void hundred_thousand_events_are_the_official_ones(void **state) {
    (void)state;
    const struct nexmark_config config = config_of_sample();
    check_stream(&config, UINT64_C(0xc0e6dc0046f8fefd));
}

static struct nexmark_config config_of_seed(int64_t seed, int64_t events) {
    struct nexmark_config config = config_of_sample();
    config.seed = seed;
    config.events_max = events;
    return config;
}

static void every_option_has_the_official_effect(void **state) {
    (void)state;
    struct nexmark_config config = config_of_seed(1, 300000);
    check_stream(&config, UINT64_C(0xf130209e59c26c6f));

    config = config_of_seed(-5, 50000);
    config.first_event_rate = 10000000;
    check_stream(&config, UINT64_C(0x3100378c00eab42d));

    config = config_of_seed(8, 50000);
    config.person_proportion = 3;
    config.auction_proportion = 0;
    config.bid_proportion = 7;
    check_stream(&config, UINT64_C(0x902546e927a33d91));

    config = config_of_seed(8, 50000);
    config.person_proportion = 0;
    config.auction_proportion = 0;
    config.bid_proportion = 1;
    check_stream(&config, UINT64_C(0x67fc1b0c8982884f));

    config = config_of_seed(10, 50000);
    config.bid_hot_ratio_auctions = 7;
    config.bid_hot_ratio_bidders = 1;
    config.auction_hot_ratio_sellers = 100;
    config.in_flight_auctions = 5;
    config.active_people = 3;
    check_stream(&config, UINT64_C(0x1131783ac188ca6f));

    config = config_of_seed(11, 50000);
    config.out_of_order_group_size = 1000;
    check_stream(&config, UINT64_C(0xadb112bb093a9810));

    config = config_of_seed(12, 50000);
    config.person_avg_size = 60;
    config.auction_avg_size = 100;
    config.bid_avg_size = 32;
    check_stream(&config, UINT64_C(0x38e3e228ff35cfe3));

    config = config_of_seed(14, 50000);
    config.stop_at = 1234;
    check_stream(&config, UINT64_C(0x090a194c5af7c47d));

    /* Auctions that stay open for so long that upstream draws a 64-bit number. */
    config = config_of_seed(15, 3000);
    config.first_event_rate = 1;
    config.in_flight_auctions = 2000000;
    check_stream(&config, UINT64_C(0x0eb644f0f753ffe6));
}

static void strings_longer_than_the_shared_one_are_the_official_ones(void **state) {
    (void)state;
    struct nexmark_config config = config_of_seed(13, 100);
    config.person_avg_size = 600000;
    config.auction_avg_size = 700000;
    config.bid_avg_size = 500000;
    check_stream(&config, UINT64_C(0x2e2cbc6b175b0cc6));
}

static void generators_of_a_group_are_the_official_ones(void **state) {
    (void)state;
    struct nexmark_config config = config_of_seed(9, 50000);
    config.first_event_rate = 10000;
    config.generators = 3;
    struct nexmark_config split = nexmark_config_split(&config, 1);
    check_stream(&split, UINT64_C(0xc4ade2c3b6a21757));
    split = nexmark_config_split(&config, 2);
    check_stream(&split, UINT64_C(0x5a17b5c8c58ca2a9));

    config.events_max = 2;
    split = nexmark_config_split(&config, 0);
    check_stream(&split, FNV_START);
}

static void a_stored_position_goes_on_with_the_same_events(void **state) {
    (void)state;
    struct fixture f;
    const struct nexmark_config config = config_of_sample();
    for (int64_t stop = 1; stop < 20000; stop = stop * 3 + 1) {
        fixture_open(&f, &config, ROWS);
        uint64_t hash = FNV_START;
        while (f.generator.events < stop) {
            f.columns.capacity = stop - f.generator.events < ROWS ? stop - f.generator.events : ROWS;
            nexmark_generator_fill(&f.generator, &f.columns);
            hash = batch_fnv(&f, hash);
        }
        const struct nexmark_position position = nexmark_generator_position(&f.generator);
        fixture_close(&f);

        fixture_open(&f, &config, ROWS);
        assert_int_equal(nexmark_generator_restore(&f.generator, position, NULL), SABOT_OK);
        while (!nexmark_generator_at_end(&f.generator)) {
            nexmark_generator_fill(&f.generator, &f.columns);
            hash = batch_fnv(&f, hash);
        }
        fixture_close(&f);
        assert_true(hash == UINT64_C(0xc0e6dc0046f8fefd));
    }
}

static void skipping_walks_the_same_draws_as_writing(void **state) {
    (void)state;
    struct nexmark_config configs[3] = {config_of_sample(), config_of_seed(11, 50000), config_of_seed(13, 100)};
    configs[1].out_of_order_group_size = 7;
    configs[2].person_avg_size = 600000;
    configs[2].auction_avg_size = 700000;
    configs[2].bid_avg_size = 500000;
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        fixture_open(&f, &configs[i], ROWS);
        struct nexmark_generator skipping = f.generator;
        while (!nexmark_generator_at_end(&f.generator)) {
            nexmark_generator_fill(&f.generator, &f.columns);
            nexmark_generator_skip(&skipping, f.columns.rows);
            assert_true(skipping.random.state == f.generator.random.state);
            assert_true(skipping.events == f.generator.events);
        }
        nexmark_generator_skip(&skipping, 5);
        assert_true(skipping.events == f.generator.events);
        fixture_close(&f);
    }
}

static void columns_left_out_do_not_change_the_others(void **state) {
    (void)state;
    const struct nexmark_config config = config_of_sample();
    struct fixture f;
    fixture_open(&f, &config, ROWS);
    for (int field = 0; field < NEXMARK_FIELD_COUNT; field++) {
        struct nexmark_generator alone_generator = f.generator;
        struct nexmark_generator all_generator = f.generator;
        struct nexmark_columns alone = {.capacity = ROWS, .heap = must(malloc(ROWS * 200)), .heap_size = ROWS * 200};
        alone.fields[field] = must(calloc(ROWS, sizeof(struct string_view)));
        for (int batch = 0; batch < 3; batch++) {
            nexmark_generator_fill(&all_generator, &f.columns);
            nexmark_generator_fill(&alone_generator, &alone);
            assert_int_equal(alone.rows, ROWS);
            for (int64_t row = 0; row < ROWS; row++) {
                if (nexmark_fields[field].type == NEXMARK_STRING) {
                    const struct string_view *a = (const struct string_view *)alone.fields[field] + row;
                    const struct string_view *b = (const struct string_view *)f.columns.fields[field] + row;
                    assert_int_equal(a->size, b->size);
                    assert_memory_equal(string_view_data(a), string_view_data(b), a->size);
                } else {
                    const int64_t *a = alone.fields[field], *b = f.columns.fields[field];
                    assert_true(a[row] == b[row]);
                }
            }
        }
        free(alone.fields[field]);
        free(alone.heap);
    }
    fixture_close(&f);
}

static void structs_are_valid_where_the_event_is_one(void **state) {
    (void)state;
    const struct nexmark_config config = config_of_sample();
    struct fixture f;
    fixture_open(&f, &config, ROWS);
    for (int batch = 0; batch < 10; batch++) {
        f.columns.capacity = ROWS - batch * 77;
        nexmark_generator_fill(&f.generator, &f.columns);
        int64_t counts[NEXMARK_KIND_COUNT] = {0};
        for (int64_t row = 0; row < f.columns.rows; row++) {
            const int32_t type = f.columns.event_type[row];
            counts[type]++;
            for (int kind = 0; kind < NEXMARK_KIND_COUNT; kind++) {
                assert_int_equal(row_is_valid(&f.columns, kind, row), kind == type);
            }
        }
        assert_memory_equal(counts, f.columns.counts, sizeof counts);
    }
    fixture_close(&f);
}

static void watermark_is_never_ahead_of_a_later_event(void **state) {
    (void)state;
    struct nexmark_config config = config_of_seed(3, 5000);
    config.out_of_order_group_size = 100;
    struct fixture f;
    fixture_open(&f, &config, 1);
    int64_t watermark_ms = INT64_MIN;
    while (!nexmark_generator_at_end(&f.generator)) {
        const int64_t next_ms = nexmark_generator_watermark_ms(&f.generator);
        assert_true(next_ms >= watermark_ms);
        watermark_ms = next_ms;
        nexmark_generator_fill(&f.generator, &f.columns);
        static const int times[NEXMARK_KIND_COUNT] = {NEXMARK_PERSON_DATE_TIME, NEXMARK_AUCTION_DATE_TIME,
                                                      NEXMARK_BID_DATE_TIME};
        const int64_t time_ms = *(const int64_t *)f.columns.fields[times[f.columns.event_type[0]]];
        assert_true(time_ms >= watermark_ms);
    }
    fixture_close(&f);
}

static void quick_price_equals_the_exact_one(void **state) {
    (void)state;
    struct nexmark_texts *texts;
    assert_int_equal(nexmark_texts_new(1, &texts, NULL), SABOT_OK);
    struct splittable_random random = {20150714};
    for (int i = 0; i < 3000000; i++) {
        const uint64_t bits = splittable_next_double_bits(&random);
        if (nexmark_price(texts->exp_steps, bits) != nexmark_price_exact(bits)) {
            fail_msg("price of %" PRIu64 ": %" PRId64 ", exactly %" PRId64, bits, nexmark_price(texts->exp_steps, bits),
                     nexmark_price_exact(bits));
        }
    }
    const uint64_t edges[] = {0, 1, UINT64_C(1) << 52, (UINT64_C(1) << 53) - 1};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        assert_true(nexmark_price(texts->exp_steps, edges[i]) == nexmark_price_exact(edges[i]));
    }
    nexmark_texts_unref(texts);
}

static void wrong_options_are_named(void **state) {
    (void)state;
    struct nexmark_config config = config_of_sample();
    struct sabot_error err = {0};
    config.bid_hot_ratio_auctions = 0;
    assert_int_equal(nexmark_config_check(&config, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "'bid.hot-ratio.auctions' is 0"));
    config = config_of_sample();
    config.person_proportion = config.auction_proportion = config.bid_proportion = 0;
    error_clear(&err);
    assert_int_equal(nexmark_config_check(&config, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "'bid.proportion'"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_events_are_the_official_ones),
        cmocka_unit_test(hundred_thousand_events_are_the_official_ones),
        cmocka_unit_test(every_option_has_the_official_effect),
        cmocka_unit_test(strings_longer_than_the_shared_one_are_the_official_ones),
        cmocka_unit_test(generators_of_a_group_are_the_official_ones),
        cmocka_unit_test(a_stored_position_goes_on_with_the_same_events),
        cmocka_unit_test(skipping_walks_the_same_draws_as_writing),
        cmocka_unit_test(columns_left_out_do_not_change_the_others),
        cmocka_unit_test(structs_are_valid_where_the_event_is_one),
        cmocka_unit_test(watermark_is_never_ahead_of_a_later_event),
        cmocka_unit_test(quick_price_equals_the_exact_one),
        cmocka_unit_test(wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
