/* What expressions cost per row, over 8192-row batches: the arithmetic, filters, CASE and strings of Nexmark's q1, q2,
 * q14, q21. One line each: name, ns per row. CPU time of the calling thread's process, best of several runs. */
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "expr/expr.h"
#include "expr/program.h"
#include "tests/util/bench.h"

#define ROWS 8192
#define ROUNDS 300
#define RUNS 5

static struct memory_pool pool;
static struct arena arena;
static const struct source_span nowhere = {0};

static struct expr *column(int32_t index, enum type_kind kind) {
    struct expr *out;
    CHECK(expr_column(&arena, index, type_not_null(type_of(kind)), nowhere, &out, &err));
    return out;
}
static struct expr *number(int64_t value) {
    struct expr *out;
    CHECK(expr_literal(&arena, type_of(TYPE_INT64), &value, nowhere, &out, &err));
    return out;
}
static struct expr *decimal(int64_t unscaled, int precision, int scale) {
    struct expr *out;
    CHECK(expr_literal(&arena, type_decimal(precision, scale), &unscaled, nowhere, &out, &err));
    return out;
}
static struct expr *text(const char *value) {
    struct expr *out;
    const struct string_view view = string_view_of(value, (uint32_t)strlen(value));
    CHECK(expr_literal(&arena, type_of(TYPE_STRING), &view, nowhere, &out, &err));
    return out;
}
static struct expr *call(const char *name, struct expr *a, struct expr *b, struct expr *c) {
    struct expr *args[] = {a, b, c}, *out;
    CHECK(expr_call(&arena, name, args, c ? 3 : b ? 2 : 1, nowhere, &out, &err));
    return out;
}

/* Bids: auction, price, hour, channel, url. */
static struct batch *bids(void) {
    static const char *const channels[] = {"apple", "google", "facebook", "baidu", "channel-1234", "Channel-9876"};
    const struct field fields[] = {{"auction", type_not_null(type_of(TYPE_INT64))},
                                   {"price", type_not_null(type_of(TYPE_INT64))},
                                   {"hour", type_not_null(type_of(TYPE_INT64))},
                                   {"channel", type_not_null(type_of(TYPE_STRING))},
                                   {"url", type_not_null(type_of(TYPE_STRING))}};
    struct column *columns[5];
    uint64_t state = 42;
    for (int c = 0; c < 5; c++) {
        struct column_builder builder;
        CHECK(column_builder_init(&builder, &pool, c < 3 ? PHYS_I64 : PHYS_VIEW, ROWS, false, &err));
        for (int32_t i = 0; i < ROWS; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const uint64_t random = state >> 33;
            if (c < 3) {
                ((int64_t *)builder.values)[i] = (int64_t)(c == 2 ? random % 24 : random % 100000000);
                continue;
            }
            char url[100];
            const char *from = channels[random % 6];
            if (c == 4) {
                snprintf(url, sizeof url, "https://www.nexmark.com/item.htm?query=1&channel_id=%llu",
                         (unsigned long long)random);
                from = url;
            }
            char *bytes;
            const size_t size = strlen(from);
            CHECK(column_builder_reserve(&builder, size, &bytes, &err));
            memcpy(bytes, from, size);
            ((struct string_view *)builder.values)[i] = string_view_of(bytes, (uint32_t)size);
        }
        CHECK(column_builder_finish(&builder, &columns[c], &err));
    }
    struct schema *schema;
    struct batch *batch;
    CHECK(schema_new(fields, 5, &schema, &err));
    CHECK(batch_new(schema, columns, 5, ROWS, &batch, &err));
    schema_unref(schema);
    return batch;
}

static void measure(const char *name, const struct expr *expr, struct batch *batch, bool filter) {
    const struct program_context context = {.env = env_real(), .pool = &pool, .watermark_ms = INT64_MIN};
    struct program *program;
    CHECK(program_compile(&expr, 1, &context, &program, &err));
    double best = 1e9;
    for (int run = 0; run < RUNS; run++) {
        const int64_t start = env_cpu_ns(env_real());
        for (int round = 0; round < ROUNDS; round++) {
            if (filter) {
                struct batch *kept;
                CHECK(program_filter(program, batch_ref(batch), &kept, &err));
                batch_unref(kept);
            } else {
                struct column *result;
                CHECK(program_eval(program, batch, &result, &err));
                column_unref(result);
            }
        }
        const double ns = (double)(env_cpu_ns(env_real()) - start) / ((double)ROWS * ROUNDS);
        best = ns < best ? ns : best;
    }
    printf("%-44s %8.3f ns/row\n", name, best);
    program_free(program);
}

int main(void) {
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    arena_init(&arena, (size_t)64 << 20);
    struct batch *batch = bids();
    struct expr *auction = column(0, TYPE_INT64), *price = column(1, TYPE_INT64), *hour = column(2, TYPE_INT64);
    struct expr *channel = column(3, TYPE_STRING), *url = column(4, TYPE_STRING), *day_time;
    struct expr *cents = call("*", decimal(908, 4, 3), price, NULL);
    measure("price (a column)", price, batch, false);
    measure("price + 1", call("+", price, number(1), NULL), batch, false);
    measure("price + auction", call("+", price, auction, NULL), batch, false);
    measure("q1: 0.908 * price AS DECIMAL(24, 3)", cents, batch, false);
    measure("auction % 123", call("%", auction, number(123), NULL), batch, false);
    measure("q2: WHERE auction % 123 = 0", call("=", call("%", auction, number(123), NULL), number(0), NULL), batch,
            true);
    measure("q14: WHERE 0.908 * price BETWEEN 1e6 AND 5e7", call("BETWEEN", cents, number(1000000), number(50000000)),
            batch, true);
    struct expr *cases[] = {call("BETWEEN", hour, number(8), number(18)), text("dayTime"),
                            call("OR", call("<=", hour, number(6), NULL), call(">=", hour, number(20), NULL), NULL),
                            text("nightTime"), text("otherTime")};
    CHECK(expr_case(&arena, cases, 5, nowhere, &day_time, &err));
    measure("q14: CASE WHEN hour BETWEEN ...", day_time, batch, false);
    measure("q21: LOWER(channel)", call("LOWER", channel, NULL, NULL), batch, false);
    struct expr *list[] = {channel, text("apple"), text("google"), text("facebook"), text("baidu")}, *in;
    CHECK(expr_call(&arena, "IN", list, 5, nowhere, &in, &err));
    measure("channel IN ('apple', ...)", in, batch, true);
    measure("channel = 'google'", call("=", channel, text("google"), NULL), batch, true);
    measure("url LIKE '%query=2%'", call("LIKE", url, text("%query=2%"), NULL), batch, true);
    measure("url LIKE '%channel_id=1%'", call("LIKE", url, text("%channel_id=1%"), NULL), batch, true);
    struct expr *as_text;
    CHECK(expr_cast(&arena, price, type_of(TYPE_STRING), false, nowhere, &as_text, &err));
    measure("CAST(price AS STRING)", as_text, batch, false);
    batch_unref(batch);
    arena_clear(&arena);
    return 0;
}
