/* Functions that read a pattern or a format from text: any text, any pattern, as constants and as columns. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "expr/function.h"
#include "expr/program.h"

static const struct source_span nowhere = {0};

static const char *const functions[] = {
    "LIKE", "SIMILAR TO", "REGEXP", "REGEXP_EXTRACT", "REGEXP_REPLACE", "JSON_VALUE", "JSON_QUERY", "JSON_EXISTS",
    "TO_TIMESTAMP", "TO_DATE", "DATE_FORMAT", "UNIX_TIMESTAMP", "SPLIT_INDEX", "PARSE_URL", "STR_TO_MAP", "CONVERT_TZ",
    "FROM_BASE64", "UNHEX", "LOCATE", "OVERLAY", "TRANSLATE", "LPAD", "PRINTF",
};
#define FUNCTIONS (sizeof functions / sizeof functions[0])

static const struct type casts[] = {
    {.kind = TYPE_INT32, .nullable = true}, {.kind = TYPE_INT64, .nullable = true},
    {.kind = TYPE_FLOAT32, .nullable = true}, {.kind = TYPE_FLOAT64, .nullable = true},
    {.kind = TYPE_BOOL, .nullable = true}, {.kind = TYPE_DATE, .nullable = true},
    {.kind = TYPE_TIME, .nullable = true}, {.kind = TYPE_TIMESTAMP, .precision = 3, .nullable = true},
    {.kind = TYPE_TIMESTAMP, .precision = 9, .nullable = true},
    {.kind = TYPE_TIMESTAMP_LTZ, .precision = 3, .nullable = true},
    {.kind = TYPE_DECIMAL, .precision = 38, .scale = 10, .nullable = true}, {.kind = TYPE_BINARY, .nullable = true},
};
#define CASTS (sizeof casts / sizeof casts[0])

static void evaluate(struct memory_pool *pool, struct expr *expr, struct batch *batch) {
    const struct program_context context = {.pool = pool, .watermark_ms = INT64_MIN};
    struct program *program = NULL;
    struct column *column = NULL;
    if (program_compile((const struct expr *const[]){expr}, 1, &context, &program, NULL) != SABOT_OK) { return; }
    if (program_eval(program, batch, &column, NULL) == SABOT_OK) {
        struct text text = {0};
        const struct text_options options = {.null_text = "NULL"};
        for (int32_t i = 0; i < batch->rows; i++) { column_print(column, i, expr->type, &options, &text, NULL); }
        text_clear(&text);
    }
    column_unref(column);
    program_free(program);
}

/* way: bit 0: the text is a constant, bit 1: the pattern is. */
static void one(struct memory_pool *pool, size_t function, int way, const struct string_view *views,
                struct batch *batch) {
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    struct expr *args[3] = {NULL}, *expr = NULL;
    const struct type string = type_of(TYPE_STRING);
    sabot_status status = SABOT_OK;
    for (int i = 0; i < 3 && status == SABOT_OK; i++) {
        status = way >> (i > 0) & 1 ? expr_literal(&arena, string, &views[i], nowhere, &args[i], NULL)
                                    : expr_column(&arena, i, string, nowhere, &args[i], NULL);
    }
    if (status == SABOT_OK && function >= FUNCTIONS) {
        if (expr_cast(&arena, args[0], casts[function - FUNCTIONS], (way & 2) != 0, nowhere, &expr, NULL) == SABOT_OK) {
            evaluate(pool, expr, batch);
        }
    }
    for (int n = 1; n <= 3 && status == SABOT_OK && function < FUNCTIONS; n++) {
        if (expr_call(&arena, functions[function], args, n, nowhere, &expr, NULL) == SABOT_OK) {
            evaluate(pool, expr, batch);
        }
    }
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* which function, text, NUL, pattern, NUL, third argument */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 4096) { return 0; }
    struct memory_pool pool;
    memory_pool_init(&pool, "fuzz", NULL, (int64_t)256 << 20);
    const size_t function = data[0] % (FUNCTIONS + CASTS);
    const char *at = (const char *)data + 1, *const end = (const char *)data + size;
    struct string_view views[3];
    struct field fields[3];
    struct column *columns[3];
    for (int i = 0; i < 3; i++) {
        const char *const stop = i < 2 && at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
        const size_t length = (size_t)((stop ? stop : end) - at);
        views[i] = string_view_of(at, (uint32_t)length);
        at = stop ? stop + 1 : end;
        fields[i] = (struct field){i == 0 ? "a" : i == 1 ? "b" : "c", type_of(TYPE_STRING)};
        if (column_constant(&pool, PHYS_VIEW, &views[i], 3, &columns[i], NULL) != SABOT_OK) { abort(); }
    }
    struct schema *schema = NULL;
    struct batch *batch = NULL;
    if (schema_new(fields, 3, &schema, NULL) != SABOT_OK ||
        batch_new(schema, columns, 3, 3, &batch, NULL) != SABOT_OK) {
        abort();
    }
    for (int way = 0; way < 4; way++) { one(&pool, function, way, views, batch); }
    batch_unref(batch);
    schema_unref(schema);
    if (pool.used != 0) { abort(); }
    return 0;
}
