/* Expressions evaluated: operators, casts, conditionals, NULLs, selections, overflow; expected values are Flink's and
 * Java's. */
#include "expr/expr.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "expr/function.h"
#include "expr/program.h"

static struct memory_pool pool;
static struct arena arena;
static const struct source_span nowhere = {0};
static bool wrap;
static const char *zone_name;

#define OK(call) assert_int_equal((call), SABOT_OK)
#define ROWS 200

/* --- building */
static struct expr *lit(struct type type, const char *text) {
    /* a literal by way of a cast, so that any type can be written */
    struct expr *string, *cast, *folded;
    const struct string_view view = string_view_of(text, (uint32_t)strlen(text));
    OK(expr_literal(&arena, type_of(TYPE_STRING), &view, nowhere, &string, NULL));
    if (type.kind == TYPE_STRING) { return string; }
    OK(expr_cast(&arena, string, type, false, nowhere, &cast, NULL));
    OK(expr_fold(&arena, cast, &folded, NULL));
    assert_int_equal(folded->kind, EXPR_LITERAL);
    return folded;
}
static struct expr *str(const char *text) { return lit(type_of(TYPE_STRING), text); }
static struct expr *i32(const char *text) { return lit(type_of(TYPE_INT32), text); }
static struct expr *i64(const char *text) { return lit(type_of(TYPE_INT64), text); }
static struct expr *f64(const char *text) { return lit(type_of(TYPE_FLOAT64), text); }
static struct expr *boolean(const char *text) { return lit(type_of(TYPE_BOOL), text); }
static struct expr *dec(int precision, int scale, const char *text) {
    return lit(type_decimal(precision, scale), text);
}
static struct expr *ts(int precision, const char *text) { return lit(type_timestamp(precision), text); }
static struct expr *null(void) {
    struct expr *out;
    OK(expr_literal(&arena, type_of(TYPE_NULL), NULL, nowhere, &out, NULL));
    return out;
}
static struct expr *col(int32_t index, struct type type) {
    struct expr *out;
    OK(expr_column(&arena, index, type, nowhere, &out, NULL));
    return out;
}
static struct expr *call_n(const char *name, struct expr *const *args, int32_t n) {
    struct expr *out = NULL;
    struct sabot_error err = {0};
    const sabot_status status = expr_call(&arena, name, args, n, nowhere, &out, &err);
    if (status != SABOT_OK) { print_error("%s: %s\n", name, err.message); }
    OK(status);
    return out;
}
static struct expr *call1(const char *name, struct expr *a) { return call_n(name, &a, 1); }
static struct expr *call2(const char *name, struct expr *a, struct expr *b) {
    return call_n(name, (struct expr *[]){a, b}, 2);
}
static struct expr *call3(const char *name, struct expr *a, struct expr *b, struct expr *c) {
    return call_n(name, (struct expr *[]){a, b, c}, 3);
}
static struct expr *cast(struct expr *from, struct type to) {
    struct expr *out;
    OK(expr_cast(&arena, from, to, false, nowhere, &out, NULL));
    return out;
}
static struct expr *try_cast(struct expr *from, struct type to) {
    struct expr *out;
    OK(expr_cast(&arena, from, to, true, nowhere, &out, NULL));
    return out;
}

/* --- evaluating */
static struct program_context context_now(void) {
    return (struct program_context){
        .pool = &pool, .wrap_overflow = wrap, .time_zone = zone_name, .watermark_ms = INT64_MIN};
}

static sabot_status eval_text(const struct expr *expr, struct batch *batch, int32_t row, struct text *text,
                              struct sabot_error *err) {
    const struct program_context context = context_now();
    struct program *program;
    SABOT_TRY(program_compile(&expr, 1, &context, &program, err));
    struct column *column = NULL;
    const sabot_status status = program_eval(program, batch, &column, err);
    if (status == SABOT_OK) {
        assert_int_equal(column->length, batch->rows);
        const struct text_options options = {.null_text = "NULL"};
        OK(column_print(column, row, expr->type, &options, text, NULL));
        if (column_is_null(column, row)) { assert_true(expr->type.nullable); }
    }
    column_unref(column);
    program_free(program);
    return status;
}

static struct batch *one_row(void) {
    struct schema *schema;
    struct batch *batch;
    OK(schema_new(NULL, 0, &schema, NULL));
    OK(batch_new(schema, NULL, 0, 1, &batch, NULL));
    schema_unref(schema);
    return batch;
}

/* Literals become columns of ROWS rows (every third one NULL, half of the rows selected), so that the loops over
 * columns are tested by the same cases as the constants. */
struct spread {
    struct field fields[32];
    struct column *columns[32];
    int32_t n;
};

static struct expr *spread_expr(struct spread *spread, const struct expr *expr, bool with_nulls, int keep) {
    if (expr->kind == EXPR_LITERAL && expr->value) {
        if (spread->n == keep) { return (struct expr *)(uintptr_t)expr; }
        const enum phys phys = type_phys(expr->type);
        struct column_builder builder;
        OK(column_builder_init(&builder, &pool, phys, ROWS, with_nulls, NULL));
        const size_t size = phys_size(phys);
        struct string_view view;
        const void *value = expr->value;
        if (phys == PHYS_VIEW) {
            view = *(const struct string_view *)value;
            if (view.size > STRING_VIEW_INLINE) {
                char *bytes;
                OK(column_builder_reserve(&builder, view.size, &bytes, NULL));
                memcpy(bytes, view.data, view.size);
                view.data = bytes;
            }
            value = &view;
        }
        for (int32_t i = 0; i < ROWS; i++) {
            char *at = (char *)builder.values + (size_t)i * size;
            memcpy(at, value, size);
            if (with_nulls && i % 3 == 1) {
                column_builder_set_null(&builder, i);
                memset(at, phys == PHYS_VIEW || phys == PHYS_BOOL ? 0xff : 0, size); /* must not be looked at */
            }
        }
        struct type type = expr->type;
        type.nullable = with_nulls;
        spread->fields[spread->n] = (struct field){"c", type};
        OK(column_builder_finish(&builder, &spread->columns[spread->n], NULL));
        return col(spread->n++, type);
    }
    struct expr *copy = arena_alloc(&arena, sizeof *copy);
    *copy = *expr;
    copy->type.nullable = true;
    copy->args = arena_alloc(&arena, (size_t)(expr->n_args + 1) * sizeof *copy->args);
    const bool is_in = expr->kind == EXPR_CALL && (strcmp(expr->function->name, "IN") == 0 || expr->bound);
    for (int32_t i = 0; i < expr->n_args; i++) {
        /* what was bound stays with its literal */
        const bool bound_arg =
            is_in && i > 0 && expr->args[i]->kind == EXPR_LITERAL && type_phys(expr->args[0]->type) == PHYS_VIEW;
        copy->args[i] = bound_arg || (is_in && i > 0 && strcmp(expr->function->name, "IN") == 0)
                            ? expr->args[i]
                            : spread_expr(spread, expr->args[i], with_nulls, keep);
    }
    return copy;
}

static struct batch *spread_batch(struct spread *spread, bool selected) {
    struct schema *schema;
    struct batch *batch, *some;
    OK(schema_new(spread->fields, spread->n, &schema, NULL));
    OK(batch_new(schema, spread->columns, spread->n, ROWS, &batch, NULL));
    schema_unref(schema);
    if (!selected) { return batch; }
    struct buffer *selection;
    OK(buffer_new(&pool, ROWS * sizeof(int32_t), &selection, NULL));
    int32_t n = 0;
    for (int32_t i = 0; i < ROWS; i += 7) { ((int32_t *)(void *)selection->data)[n++] = i; }
    OK(batch_with_selection(batch, selection, n, &some, NULL));
    batch_unref(batch);
    return some;
}

static void expect_at(const char *file, int line, struct expr *expr, const char *expected) {
    struct text text = {0}, printed = {0};
    struct sabot_error err = {0};
    struct batch *batch = one_row();
    sabot_status status = eval_text(expr, batch, 0, &text, &err);
    batch_unref(batch);
    if (status != SABOT_OK || strcmp(text_string(&text), expected) != 0) {
        expr_print(expr, NULL, &printed);
        print_error("%s:%d: %s: %s %s\n", file, line, text_string(&printed), text_string(&text), err.message);
    }
    assert_int_equal(status, SABOT_OK);
    assert_string_equal(text_string(&text), expected);
    /* as columns: dense, with NULLs, selected; all literals, or one of them kept constant */
    for (int variant = 0; variant < 12; variant++) {
        struct spread spread = {0};
        struct expr *over = spread_expr(&spread, expr, variant & 1, variant / 4 - 1);
        if (spread.n == 0) { continue; }
        batch = spread_batch(&spread, variant & 2);
        text_clear(&text);
        error_clear(&err);
        status = eval_text(over, batch, 126, &text, &err); /* 126 is a multiple of 3 and 7: selected and not NULL */
        if (status != SABOT_OK || strcmp(text_string(&text), expected) != 0) {
            expr_print(over, NULL, &printed);
            print_error("%s:%d: variant %d: %s: %s %s\n", file, line, variant, text_string(&printed),
                        text_string(&text), err.message);
        }
        assert_int_equal(status, SABOT_OK);
        assert_string_equal(text_string(&text), expected);
        batch_unref(batch);
    }
    text_clear(&text);
    text_clear(&printed);
}
#define EXPECT(expr, expected) expect_at(__FILE__, __LINE__, (expr), (expected))

static void fails_at(int line, struct expr *expr, const char *part) {
    struct text text = {0};
    for (int variant = -1; variant < 4; variant++) {
        struct sabot_error err = {0};
        struct spread spread = {0};
        struct expr *over = variant < 0 ? expr : spread_expr(&spread, expr, variant & 1, -1);
        struct batch *batch = spread.n ? spread_batch(&spread, variant & 2) : one_row();
        const sabot_status status = eval_text(over, batch, 0, &text, &err);
        if (status != SABOT_ERR_DATA || !strstr(err.message, part)) {
            print_error("line %d: status %d, got %s, message %s\n", line, status, text_string(&text), err.message);
        }
        assert_int_equal(status, SABOT_ERR_DATA);
        assert_non_null(strstr(err.message, part));
        batch_unref(batch);
    }
    text_clear(&text);
}
#define FAILS(expr, part) fails_at(__LINE__, (expr), (part))

static void expect_type(const struct expr *expr, const char *expected) {
    char text[160];
    type_print(type_nullable(expr->type), text, sizeof text);
    assert_string_equal(text, expected);
}

/* --- tests */
static void integers_add_up_and_refuse_to_overflow(void **state) {
    (void)state;
    EXPECT(call2("+", i32("1"), i32("2")), "3");
    EXPECT(call2("-", i32("1"), i64("2")), "-1");
    EXPECT(call2("*", i64("-3"), i64("3000000000")), "-9000000000");
    EXPECT(call1("-", i32("5")), "-5");
    expect_type(call2("+", i32("1"), i64("2")), "BIGINT");
    expect_type(call2("+", lit(type_of(TYPE_INT8), "1"), lit(type_of(TYPE_INT8), "2")), "TINYINT");
    EXPECT(call2("+", i64("9223372036854775806"), i64("1")), "9223372036854775807");
    EXPECT(call2("-", i64("-9223372036854775807"), i64("1")), "-9223372036854775808");
    FAILS(call2("+", i64("9223372036854775807"), i64("1")), "9223372036854775807 + 1");
    FAILS(call2("-", i64("-9223372036854775808"), i64("1")), "out of range");
    FAILS(call2("*", i64("4611686018427387904"), i64("2")), "out of range for BIGINT");
    FAILS(call2("+", i32("2147483647"), i32("1")), "out of range for INT");
    FAILS(call2("*", lit(type_of(TYPE_INT8), "100"), lit(type_of(TYPE_INT8), "2")), "TINYINT");
    FAILS(call1("-", i32("-2147483648")), "out of range");
    wrap = true; /* as Java */
    EXPECT(call2("+", i64("9223372036854775807"), i64("1")), "-9223372036854775808");
    EXPECT(call2("*", i32("65536"), i32("65536")), "0");
    wrap = false;
    EXPECT(call2("+", i32("1"), null()), "NULL");
}

static void integer_division_truncates_and_refuses_zero(void **state) {
    (void)state;
    EXPECT(call2("/", i32("7"), i32("2")), "3");
    EXPECT(call2("/", i32("-7"), i32("2")), "-3");
    EXPECT(call2("%", i32("-7"), i32("3")), "-1");
    EXPECT(call2("%", i32("7"), i32("-3")), "1");
    EXPECT(call2("%", i64("1000"), i32("123")), "16");
    expect_type(call2("%", i64("1000"), i32("123")), "INT"); /* the divisor's, as in Flink */
    EXPECT(call2("%", i64("-9223372036854775808"), i64("-1")), "0");
    EXPECT(call2("/", i64("5"), i64("1")), "5");
    EXPECT(call2("/", i64("5"), i64("-1")), "-5");
    FAILS(call2("/", i64("-9223372036854775808"), i64("-1")), "out of range");
    FAILS(call2("/", i32("1"), i32("0")), "division by zero: 1 / 0");
    FAILS(call2("%", i64("1"), i64("0")), "division by zero: 1 % 0");
    EXPECT(call2("MOD", i32("17"), i32("5")), "2");
}

static void division_by_any_constant_is_exact(void **state) {
    (void)state;
    const int64_t numbers[] = {0, 1, -1, 2, 122, 123, 124, -123, -124, 1000000007, INT64_MAX, INT64_MIN, INT64_MAX - 1,
                               INT64_MIN + 1, 4611686018427387904, 1234567890123456789, -987654321987654321};
    const int64_t divisors[] = {1, -1, 2, -2, 3, 7, 10, 123, -123, 641, 1 << 20, 1000000007, INT64_MAX, INT64_MIN,
                                4611686018427387905, 6700417, -10};
    for (size_t d = 0; d < sizeof divisors / sizeof divisors[0]; d++) {
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            if (numbers[k] == INT64_MIN && divisors[d] == -1) { continue; }
            char text[32];
            struct expr *x, *y;
            OK(expr_literal(&arena, type_of(TYPE_INT64), &numbers[k], nowhere, &x, NULL));
            OK(expr_literal(&arena, type_of(TYPE_INT64), &divisors[d], nowhere, &y, NULL));
            snprintf(text, sizeof text, "%lld", (long long)(numbers[k] / divisors[d]));
            EXPECT(call2("/", x, y), text);
            snprintf(text, sizeof text, "%lld", (long long)(numbers[k] % divisors[d]));
            EXPECT(call2("%", x, y), text);
        }
    }
}

static void floats_follow_ieee(void **state) {
    (void)state;
    EXPECT(call2("+", f64("0.1"), f64("0.2")), "0.30000000000000004");
    EXPECT(call2("/", f64("1"), f64("0")), "Infinity");
    EXPECT(call2("/", f64("-1"), f64("0")), "-Infinity");
    EXPECT(call2("/", f64("0"), f64("0")), "NaN");
    EXPECT(call2("%", f64("7.5"), f64("2")), "1.5");
    EXPECT(call1("-", f64("0")), "-0.0");
    EXPECT(call2("*", f64("2"), i32("3")), "6.0");
    expect_type(call2("*", lit(type_of(TYPE_FLOAT32), "2"), i32("3")), "FLOAT");
    expect_type(call2("*", lit(type_of(TYPE_FLOAT32), "2"), dec(3, 1, "3")), "DOUBLE");
    EXPECT(call2("=", f64("NaN"), f64("NaN")), "false");
    EXPECT(call2("<", f64("NaN"), f64("1")), "false");
}

static void decimals_have_flinks_types_and_values(void **state) {
    (void)state;
    /* q1 of Nexmark */
    struct expr *q1 = call2("*", dec(4, 3, "0.908"), i64("12345678901"));
    expect_type(q1, "DECIMAL(24, 3)");
    EXPECT(q1, "11209876442.108");
    EXPECT(call2("*", i64("-9223372036854775808"), dec(4, 3, "0.908")), "-8374821809464136433.664");
    struct expr *sum = call2("+", dec(10, 2, "1.25"), dec(5, 4, "0.0005"));
    expect_type(sum, "DECIMAL(13, 4)");
    EXPECT(sum, "1.2505");
    EXPECT(call2("-", dec(10, 2, "1.25"), dec(10, 2, "2.50")), "-1.25");
    expect_type(call2("+", dec(4, 3, "1"), i32("1")), "DECIMAL(14, 3)");
    EXPECT(call2("+", dec(4, 3, "1.5"), i32("1")), "2.500");
    struct expr *quotient = call2("/", dec(10, 2, "10"), dec(5, 1, "3"));
    expect_type(quotient, "DECIMAL(17, 8)");
    EXPECT(quotient, "3.33333333");
    EXPECT(call2("/", dec(10, 2, "20"), dec(5, 1, "3")), "6.66666667");
    EXPECT(call2("/", dec(10, 2, "-20"), dec(5, 1, "3")), "-6.66666667");
    EXPECT(call2("%", dec(10, 2, "-7.25"), dec(5, 1, "2.0")), "-1.25");
    EXPECT(call3("BETWEEN", q1, i32("1000000"), i32("50000000")), "false");
    EXPECT(call2("<", dec(10, 4, "1.5"), dec(38, 0, "99999999999999999999999999999999999999")), "true");
    EXPECT(call2(">", dec(10, 4, "1.5"), dec(38, 0, "-99999999999999999999999999999999999999")), "true");
    EXPECT(call2("<", dec(10, 0, "1"), dec(3, 1, "1.5")), "true");
    FAILS(call2("/", dec(5, 2, "1"), dec(5, 2, "0")), "division by zero: 1.00 / 0");
    EXPECT(call1("-", dec(5, 2, "1.50")), "-1.50");
    expect_type(call1("-", dec(5, 2, "1.50")), "DECIMAL(5, 2)");
    /* over 38 digits the scale gives way, and what still does not fit is NULL */
    struct expr *wide = call2("*", dec(38, 10, "12345678901234567890.5"), dec(38, 10, "2"));
    expect_type(wide, "DECIMAL(38, 6)");
    EXPECT(wide, "24691357802469135781.000000");
    EXPECT(call2("*", dec(38, 0, "99999999999999999999999999999999999999"), dec(38, 0, "10")), "NULL");
    EXPECT(call2("+", dec(38, 0, "99999999999999999999999999999999999999"), dec(38, 0, "1")), "NULL");
    EXPECT(call2("+", dec(38, 0, "1"), dec(38, 38, "0.5")), "1.500000");
    EXPECT(call2("/", dec(38, 0, "1"), dec(38, 0, "3")), "0.333333");
}

static void comparisons_know_every_type(void **state) {
    (void)state;
    EXPECT(call2("=", i32("1"), i64("1")), "true");
    EXPECT(call2("<", lit(type_of(TYPE_INT16), "-5"), f64("-4.5")), "true");
    EXPECT(call2("=", dec(5, 2, "1.50"), dec(3, 1, "1.5")), "true");
    EXPECT(call2(">", dec(38, 0, "99999999999999999999999999999999999999"), dec(38, 38, "0.9")), "true");
    EXPECT(call2("<", dec(38, 0, "-99999999999999999999999999999999999999"), dec(38, 38, "0.9")), "true");
    EXPECT(call2(">=", dec(4, 3, "1.000"), i64("1")), "true");
    EXPECT(call2("=", str("abc"), str("abc")), "true");
    EXPECT(call2("<>", str("a string of some length"), str("a string of some other length")), "true");
    EXPECT(call2("<", str("ab"), str("abc")), "true");
    EXPECT(call2("<", str("Z"), str("a")), "true");
    EXPECT(call2("<", str("z"), str("\xc3\xa4")), "true"); /* by bytes */
    EXPECT(call2("=", boolean("true"), boolean("false")), "false");
    EXPECT(call2("<", ts(3, "2020-01-01 00:00:00"), ts(9, "2020-01-01 00:00:00.000000001")), "true");
    EXPECT(call2(">", ts(3, "2020-01-02 00:00:00"), lit(type_of(TYPE_DATE), "2020-01-01")), "true");
    EXPECT(call2("<", ts(3, "2020-01-02 00:00:00"), str("2020-01-02 00:00:01")), "true");
    EXPECT(call2("=", i32("1"), null()), "NULL");
    EXPECT(call3("BETWEEN", i32("2"), i32("1"), i32("2")), "true");
    EXPECT(call3("BETWEEN", i32("3"), i32("1"), i32("2")), "false");
    EXPECT(call2("IS DISTINCT FROM", i32("3"), null()), "true");
    EXPECT(call2("IS NOT DISTINCT FROM", null(), null()), "true");
    EXPECT(call2("IS NOT DISTINCT FROM", dec(5, 2, "1.50"), dec(5, 1, "1.5")), "true");
    struct expr *out;
    struct sabot_error err = {0};
    assert_int_equal(expr_call(&arena, "=", (struct expr *[]){i32("1"), str("1")}, 2, nowhere, &out, &err),
                     SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "INT, STRING"));
}

static void logic_is_three_valued(void **state) {
    (void)state;
    struct expr *values[] = {boolean("true"), boolean("false"), cast(null(), type_of(TYPE_BOOL))};
    const char *const names[] = {"true", "false", "NULL"};
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 3; b++) {
            const char *const both = a == 1 || b == 1 ? "false" : a == 2 || b == 2 ? "NULL" : "true";
            const char *const either = a == 0 || b == 0 ? "true" : a == 2 || b == 2 ? "NULL" : "false";
            EXPECT(call2("AND", values[a], values[b]), both);
            EXPECT(call2("OR", values[a], values[b]), either);
        }
        EXPECT(call1("NOT", values[a]), a == 0 ? "false" : a == 1 ? "true" : "NULL");
        EXPECT(call1("IS TRUE", values[a]), a == 0 ? "true" : "false");
        EXPECT(call1("IS NOT TRUE", values[a]), a == 0 ? "false" : "true");
        EXPECT(call1("IS FALSE", values[a]), a == 1 ? "true" : "false");
        EXPECT(call1("IS NOT FALSE", values[a]), a == 1 ? "false" : "true");
        EXPECT(call1("IS UNKNOWN", values[a]), a == 2 ? "true" : "false");
        EXPECT(call1("IS NOT NULL", values[a]), a == 2 ? "false" : "true");
        (void)names;
    }
}

static void lists_are_searched(void **state) {
    (void)state;
    EXPECT(call_n("IN", (struct expr *[]){i64("3"), i64("1"), i64("2"), i64("3")}, 4), "true");
    EXPECT(call_n("IN", (struct expr *[]){i64("4"), i32("1"), i32("2")}, 3), "false");
    EXPECT(call_n("IN", (struct expr *[]){i64("4"), i32("1"), null()}, 3), "NULL");
    EXPECT(call_n("IN", (struct expr *[]){i64("1"), i32("1"), null()}, 3), "true");
    EXPECT(
        call_n("IN", (struct expr *[]){str("channel"), str("a"), str("a long string to look for"), str("channel")}, 4),
        "true");
    EXPECT(call_n("IN", (struct expr *[]){str("b"), str("a"), str("c")}, 3), "false");
    EXPECT(call_n("IN", (struct expr *[]){dec(3, 1, "1.5"), dec(4, 2, "1.50"), dec(3, 2, "2")}, 3), "true");
    struct expr *many[40];
    many[0] = i64("37");
    for (int i = 1; i < 40; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i * 37 % 101);
        many[i] = i64(text);
    }
    EXPECT(call_n("IN", many, 40), "true");
    many[0] = i64("1000");
    EXPECT(call_n("IN", many, 40), "false");
}

static void case_evaluates_only_the_branch_that_is_taken(void **state) {
    (void)state;
    /* over columns a = 10, 11, ... and b = 0, 1, 2, 0, 1, 2 ... */
    const struct field fields[] = {{"a", type_of(TYPE_INT64)}, {"b", type_of(TYPE_INT64)}};
    struct column *columns[2];
    for (int c = 0; c < 2; c++) {
        struct column_builder builder;
        OK(column_builder_init(&builder, &pool, PHYS_I64, ROWS, true, NULL));
        for (int32_t i = 0; i < ROWS; i++) { ((int64_t *)builder.values)[i] = c ? i % 3 : 10 + i; }
        if (c == 1) { column_builder_set_null(&builder, 4); }
        OK(column_builder_finish(&builder, &columns[c], NULL));
    }
    struct schema *schema;
    struct batch *batch;
    OK(schema_new(fields, 2, &schema, NULL));
    OK(batch_new(schema, columns, 2, ROWS, &batch, NULL));
    schema_unref(schema);
    struct expr *a = col(0, fields[0].type), *b = col(1, fields[1].type), *safe;
    struct expr *quotient = call2("/", a, b);
    OK(expr_case(&arena, (struct expr *[]){call2("<>", b, i32("0")), quotient}, 2, nowhere, &safe, NULL));
    struct expr *guarded = call2("AND", call2("<>", b, i32("0")), call2(">", quotient, i32("20")));
    struct expr *either = call2("OR", call2("=", b, i32("0")), call2(">", quotient, i32("20")));
    const struct expr *exprs[] = {safe, guarded, either};
    const struct program_context context = context_now();
    struct program *program;
    struct column *results[3];
    struct sabot_error err = {0};
    OK(program_compile(exprs, 3, &context, &program, &err));
    OK(program_eval(program, batch, results, &err));
    for (int32_t i = 0; i < ROWS; i++) {
        const int64_t x = 10 + i, y = i % 3;
        if (i == 4) {
            assert_true(column_is_null(results[0], i) && column_is_null(results[1], i) &&
                        column_is_null(results[2], i));
            continue;
        }
        assert_int_equal(column_is_null(results[0], i), y == 0);
        if (y != 0) { assert_int_equal(((const int64_t *)results[0]->values)[i], x / y); }
        assert_false(column_is_null(results[1], i));
        assert_int_equal(((const uint8_t *)results[1]->values)[i], y != 0 && x / y > 20);
        assert_int_equal(((const uint8_t *)results[2]->values)[i], y == 0 || x / y > 20);
    }
    for (int i = 0; i < 3; i++) { column_unref(results[i]); }
    program_free(program);
    /* the filter of the same */
    struct batch *filtered;
    const struct expr *condition = guarded;
    OK(program_compile(&condition, 1, &context, &program, &err));
    OK(program_filter(program, batch_ref(batch), &filtered, &err));
    int32_t expected = 0;
    for (int32_t i = 0; i < ROWS; i++) {
        if (i != 4 && i % 3 != 0 && (10 + i) / (i % 3) > 20) {
            assert_int_equal(filtered->selection[expected], i);
            expected++;
        }
    }
    assert_int_equal(filtered->selected, expected);
    /* again, on the filtered batch: nothing more goes */
    struct batch *again;
    OK(program_filter(program, filtered, &again, &err));
    assert_int_equal(again->selected, expected);
    batch_unref(again);
    program_free(program);
    batch_unref(batch);
}

static void conditionals_choose(void **state) {
    (void)state;
    EXPECT(call_n("COALESCE", (struct expr *[]){null(), i32("5"), i64("6")}, 3), "5");
    expect_type(call_n("COALESCE", (struct expr *[]){null(), i32("5"), i64("6")}, 3), "BIGINT");
    EXPECT(call2("NULLIF", i32("5"), i32("5")), "NULL");
    EXPECT(call2("NULLIF", i32("5"), i32("6")), "5");
    EXPECT(call3("IF", call2(">", i32("5"), i32("3")), str("yes, and long enough"), str("no")), "yes, and long enough");
    EXPECT(call3("IF", cast(null(), type_of(TYPE_BOOL)), str("yes"), str("no")), "no");
    EXPECT(call2("IFNULL", null(), str("x")), "x");
    EXPECT(call3("GREATEST", i32("1"), i64("3"), i32("2")), "3");
    EXPECT(call3("LEAST", str("b"), str("a"), str("c")), "a");
    EXPECT(call2("GREATEST", i32("1"), null()), "NULL");
    struct expr *out;
    OK(expr_case(&arena,
                 (struct expr *[]){call2("<", i32("5"), i32("3")), str("less"), call2("=", i32("5"), i32("5")),
                                   str("equal"), str("more")},
                 5, nowhere, &out, NULL));
    EXPECT(out, "equal");
    OK(expr_case(&arena, (struct expr *[]){boolean("false"), dec(3, 1, "1.5"), i32("7")}, 3, nowhere, &out, NULL));
    expect_type(out, "DECIMAL(11, 1)");
    EXPECT(out, "7.0");
    struct sabot_error err = {0};
    assert_int_equal(expr_case(&arena, (struct expr *[]){boolean("true"), i32("1"), str("x")}, 3, nowhere, &out, &err),
                     SABOT_ERR_PLAN);
}

static void casts_follow_flink(void **state) {
    (void)state;
    const struct type int8 = type_of(TYPE_INT8), int32 = type_of(TYPE_INT32), int64 = type_of(TYPE_INT64);
    const struct type f32 = type_of(TYPE_FLOAT32), dbl = type_of(TYPE_FLOAT64), string = type_of(TYPE_STRING);
    const struct type date = type_of(TYPE_DATE), boolean_type = type_of(TYPE_BOOL);
    EXPECT(cast(str(" 42 "), int32), "42");
    EXPECT(cast(str("12.9"), int32), "12");
    EXPECT(cast(str("-9223372036854775808"), int64), "-9223372036854775808");
    EXPECT(cast(str("1e3"), dbl), "1000.0");
    EXPECT(cast(str("-Infinity"), dbl), "-Infinity");
    EXPECT(cast(str("0.1"), f32), "0.1");
    EXPECT(cast(str("T"), boolean_type), "true");
    EXPECT(cast(str("no"), boolean_type), "false");
    EXPECT(cast(str("123.456"), type_decimal(5, 2)), "123.46");
    EXPECT(cast(str("1E2"), type_decimal(5, 2)), "100.00");
    EXPECT(cast(str("1234.5"), type_decimal(5, 2)), "NULL");
    FAILS(cast(str("abc"), int32), "'abc' can't be cast to INT");
    FAILS(cast(str(""), int32), "''");
    FAILS(cast(str("128"), int8), "'128'");
    FAILS(cast(str("1.5.2"), type_decimal(5, 2)), "'1.5.2'");
    FAILS(cast(str("2021-02-29"), date), "2021-02-29");
    EXPECT(try_cast(str("abc"), int32), "NULL");
    EXPECT(try_cast(str("7"), int32), "7");
    EXPECT(cast(i32("127"), int8), "127");
    FAILS(cast(i32("128"), int8), "128 can't be cast to TINYINT");
    EXPECT(try_cast(i32("128"), int8), "NULL");
    EXPECT(cast(f64("3.99"), int32), "3");
    EXPECT(cast(f64("-3.99"), int32), "-3");
    FAILS(cast(f64("NaN"), int32), "NaN");
    FAILS(cast(f64("9223372036854775808"), int64), "can't be cast to BIGINT");
    EXPECT(cast(f64("-9223372036854775808"), int64), "-9223372036854775808");
    EXPECT(cast(i32("3"), dbl), "3.0");
    EXPECT(cast(f64("2.345"), type_decimal(4, 2)), "2.35");
    EXPECT(cast(f64("-2.345"), type_decimal(4, 2)), "-2.35");
    EXPECT(cast(dec(10, 4, "2.3450"), type_decimal(4, 2)), "2.35");
    EXPECT(cast(dec(10, 4, "123.4"), type_decimal(4, 2)), "NULL");
    EXPECT(cast(dec(10, 4, "-2.9"), int32), "-2");
    EXPECT(cast(dec(4, 1, "2.5"), dbl), "2.5");
    EXPECT(cast(dec(38, 2, "123456789012345678901234567890.55"), dbl), "1.2345678901234568E29");
    EXPECT(cast(i64("5"), boolean_type), "true");
    EXPECT(cast(boolean("true"), int32), "1");
    EXPECT(cast(boolean("true"), string), "TRUE");
    EXPECT(cast(i64("-5"), string), "-5");
    EXPECT(cast(f64("1e10"), string), "1.0E10");
    EXPECT(cast(dec(5, 2, "1.5"), string), "1.50");
    struct type varchar = string, chars = string;
    varchar.length = 3;
    chars.length = 6;
    chars.fixed_length = true;
    EXPECT(cast(str("\xc3\xa4" "bcdefghijklmnop"), varchar), "\xc3\xa4" "bc");
    EXPECT(call2("=", cast(str("abc"), chars), str("abc   ")), "true");
    EXPECT(cast(cast(str("bytes"), type_of(TYPE_BINARY)), string), "bytes");
    EXPECT(cast(null(), int32), "NULL");
    struct expr *out;
    struct sabot_error err = {0};
    assert_int_equal(expr_cast(&arena, i32("1"), type_timestamp(3), false, nowhere, &out, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "INT can't be cast to TIMESTAMP(3)"));
}

static void times_are_read_printed_and_converted(void **state) {
    (void)state;
    const struct type string = type_of(TYPE_STRING), date = type_of(TYPE_DATE);
    struct type ltz = type_timestamp(3), time = type_of(TYPE_TIME);
    ltz.kind = TYPE_TIMESTAMP_LTZ;
    EXPECT(cast(str("2015-07-14 23:59:10"), type_timestamp(3)), "2015-07-14 23:59:10.000");
    EXPECT(cast(str("2015-7-4T3:09:10.1239"), type_timestamp(3)), "2015-07-04 03:09:10.123");
    EXPECT(cast(str("2015-07-14"), type_timestamp(0)), "2015-07-14 00:00:00");
    EXPECT(cast(str("1969-12-31 23:59:59.999999999"), type_timestamp(9)), "1969-12-31 23:59:59.999999999");
    EXPECT(cast(str("0001-01-01"), date), "0001-01-01");
    EXPECT(cast(str("9999-12-31 23:59:59.999"), type_timestamp(3)), "9999-12-31 23:59:59.999");
    EXPECT(cast(ts(9, "2015-07-14 23:59:10.123456789"), type_timestamp(3)), "2015-07-14 23:59:10.123");
    EXPECT(cast(ts(9, "1969-12-31 23:59:59.999999999"), type_timestamp(6)), "1969-12-31 23:59:59.999999");
    EXPECT(cast(ts(3, "2015-07-14 23:59:10.123"), type_timestamp(0)), "2015-07-14 23:59:10");
    EXPECT(cast(ts(3, "2015-07-14 23:59:10.123"), type_timestamp(9)), "2015-07-14 23:59:10.123000000");
    FAILS(cast(ts(3, "9999-01-01"), type_timestamp(9)), "9999-01-01");
    EXPECT(cast(ts(3, "1969-12-31 23:59:59"), date), "1969-12-31");
    time.precision = 3;
    EXPECT(cast(ts(3, "1969-12-31 23:59:59.5"), time), "23:59:59.500");
    time.precision = 0;
    EXPECT(cast(str("23:59"), time), "23:59:00");
    EXPECT(cast(lit(date, "2020-02-29"), type_timestamp(3)), "2020-02-29 00:00:00.000");
    EXPECT(cast(ts(3, "2020-01-01"), string), "2020-01-01 00:00:00.000");
    zone_name = "Europe/Berlin";
    EXPECT(cast(cast(ts(3, "2020-07-01 12:00:00"), ltz), string), "2020-07-01 12:00:00.000");
    EXPECT(cast(ts(3, "2020-07-01 12:00:00"), ltz), "2020-07-01 10:00:00.000"); /* column_print shows UTC */
    EXPECT(cast(str("2020-07-01T12:00:00Z"), ltz), "2020-07-01 12:00:00.000");
    EXPECT(cast(cast(str("2020-07-01 12:00:00Z"), ltz), type_timestamp(3)), "2020-07-01 14:00:00.000");
    zone_name = NULL;
}

static void times_and_intervals_add_up(void **state) {
    (void)state;
    const int64_t day = 86400000, ms = -1500;
    const int32_t month = 1;
    struct expr *one_day, *back, *one_month;
    OK(expr_literal(&arena, type_of(TYPE_INTERVAL_DAY), &day, nowhere, &one_day, NULL));
    OK(expr_literal(&arena, type_of(TYPE_INTERVAL_DAY), &ms, nowhere, &back, NULL));
    OK(expr_literal(&arena, type_of(TYPE_INTERVAL_MONTH), &month, nowhere, &one_month, NULL));
    struct expr *at = ts(3, "2020-01-31 10:00:00");
    EXPECT(call2("+", at, one_day), "2020-02-01 10:00:00.000");
    EXPECT(call2("+", back, at), "2020-01-31 09:59:58.500");
    EXPECT(call2("-", at, back), "2020-01-31 10:00:01.500");
    EXPECT(call2("+", at, one_month), "2020-02-29 10:00:00.000");
    EXPECT(call2("-", at, one_month), "2019-12-31 10:00:00.000");
    EXPECT(call2("+", ts(9, "2020-01-31 10:00:00.000000001"), one_day), "2020-02-01 10:00:00.000000001");
    EXPECT(call2("+", lit(type_of(TYPE_DATE), "2020-02-28"), one_day), "2020-02-29");
    EXPECT(call2("-", lit(type_of(TYPE_DATE), "2020-03-31"), one_month), "2020-02-29");
    EXPECT(call2("-", at, ts(3, "2020-01-30 09:00:00")), "+1 01:00:00.000");
    EXPECT(call2("*", one_day, i32("2")), "+2 00:00:00.000");
    EXPECT(call2("+", one_day, back), "+0 23:59:58.500");
    EXPECT(call1("-", one_month), "-0-01");
    struct expr *out;
    struct sabot_error err = {0};
    assert_int_equal(expr_call(&arena, "+", (struct expr *[]){at, i32("1")}, 2, nowhere, &out, &err), SABOT_ERR_PLAN);
}

static void like_matches(void **state) {
    (void)state;
    const char *const cases[][3] = {
        {"sabot", "sabot", "true"},      {"sabot", "s%t", "true"},         {"sabot", "%bo%", "true"},
        {"sabot", "%bot", "true"},       {"sabot", "sab%", "true"},        {"sabot", "_abo_", "true"},
        {"sabot", "_abo", "false"},      {"sabot", "%", "true"},           {"", "%", "true"},
        {"", "", "true"},                {"a", "", "false"},               {"sabot", "", "false"},
        {"aab", "a%ab", "true"},         {"ab", "ab%ab", "false"},         {"abab", "ab%ab", "true"},
        {"xaxbx", "%a%b%", "true"},      {"xbxax", "%a%b%", "false"},      {"\xc3\xa4x", "_x", "true"},
        {"mississippi", "m%iss%pp_", "true"},                              {"mississippi", "%is_ip%", "true"},
        {"mississippi", "%issip_", "false"},                               {"abcabd", "%ab_", "true"},
        {"abcabd", "%_bd", "true"},      {"a longer string of text", "%of text", "true"},
        {"a longer string of text", "%of  text%", "false"},                {"ab", "__", "true"},
        {"abc", "__", "false"},          {"%", "%%", "true"},              {"line\nbreak", "line%", "true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        EXPECT(call2("LIKE", str(cases[i][0]), str(cases[i][1])), cases[i][2]);
        /* the pattern as a column */
        EXPECT(
            call2("LIKE", str(cases[i][0]), cast(cast(str(cases[i][1]), type_of(TYPE_BINARY)), type_of(TYPE_STRING))),
            cases[i][2]);
    }
    EXPECT(call3("LIKE", str("100%"), str("100!%"), str("!")), "true");
    EXPECT(call3("LIKE", str("1000"), str("100!%"), str("!")), "false");
    EXPECT(call3("LIKE", str("a_b"), str("a!_b"), str("!")), "true");
    /* a CHAR(n) literal, as the SQL front end makes them, is compiled at bind time too */
    struct type chars = type_not_null(type_of(TYPE_STRING));
    chars.length = 4;
    chars.fixed_length = true;
    const struct string_view view = string_view_of("%bot", 4);
    struct expr *pattern, *out;
    OK(expr_literal(&arena, chars, &view, nowhere, &pattern, NULL));
    struct expr *like = call2("LIKE", str("sabot"), pattern);
    assert_non_null(like->bound);
    EXPECT(like, "true");
    assert_int_equal(
        expr_call(&arena, "LIKE", (struct expr *[]){str("a"), str("a!b"), str("!")}, 3, nowhere, &out, NULL),
        SABOT_ERR_PLAN);
}

static void collections_are_made_and_taken_apart(void **state) {
    (void)state;
    struct expr *array = call3("ARRAY", i32("5"), i64("6"), i32("7"));
    expect_type(array, "ARRAY<BIGINT NOT NULL>");
    EXPECT(array, "[5, 6, 7]");
    EXPECT(call2("[]", array, i32("2")), "6");
    EXPECT(call2("[]", array, i32("0")), "NULL");
    EXPECT(call2("[]", array, i32("4")), "NULL");
    EXPECT(call1("CARDINALITY", array), "3");
    struct expr *map = call_n("MAP", (struct expr *[]){str("a"), i32("1"), str("a key that is long"), i32("2")}, 4);
    EXPECT(map, "{a=1, a key that is long=2}");
    EXPECT(call2("[]", map, str("a key that is long")), "2");
    EXPECT(call2("[]", map, str("b")), "NULL");
    struct expr *row = call3("ROW", i32("1"), str("x"), null());
    EXPECT(row, "(1, x, NULL)");
    EXPECT(call2("[]", row, i32("2")), "x");
    struct expr *field;
    OK(expr_field(&arena, row, "EXPR$0", nowhere, &field, NULL));
    EXPECT(field, "1");
    EXPECT(cast(row, type_of(TYPE_STRING)), "(1, x, NULL)");
    EXPECT(cast(call2("ARRAY", boolean("true"), null()), type_of(TYPE_STRING)), "[TRUE, NULL]");
    static struct field element;
    element = (struct field){"e", type_of(TYPE_STRING)};
    struct type strings = type_of(TYPE_ARRAY);
    strings.n_fields = 1;
    strings.fields = &element;
    EXPECT(cast(array, strings), "[5, 6, 7]");
    EXPECT(call2("=", array, call3("ARRAY", i64("5"), i64("6"), i64("7"))), "true");
    EXPECT(call3("IF", boolean("false"), array, call2("ARRAY", i64("1"), null())), "[1, NULL]");
    EXPECT(call2("NULLIF", i32("1"), i32("1")), "NULL");
}

static void letters_change_case(void **state) {
    (void)state;
    EXPECT(call1("UPPER", str("abcXYZ019[`{@")), "ABCXYZ019[`{@");
    EXPECT(call1("LOWER", str("ABCxyz019[`{@ and a longer one ZZ")), "abcxyz019[`{@ and a longer one zz");
    EXPECT(call1("UPPER", str("stra\xc3\x9f" "e \xc3\xa4")), "STRASSE \xc3\x84");
    EXPECT(call1("LOWER", str("\xc3\x84\xff")), "\xc3\xa4\xff");
    EXPECT(call1("ABS", i32("-5")), "5");
    EXPECT(call1("ABS", f64("-0.5")), "0.5");
    EXPECT(call1("ABS", dec(20, 2, "-1.50")), "1.50");
    FAILS(call1("ABS", i64("-9223372036854775808")), "out of range");
}

static void trees_fold_print_compare_and_substitute(void **state) {
    (void)state;
    const struct field fields[] = {{"price", type_of(TYPE_INT64)}, {"channel", type_of(TYPE_STRING)}};
    struct schema *schema;
    OK(schema_new(fields, 2, &schema, NULL));
    struct expr *price = col(0, fields[0].type), *channel = col(1, fields[1].type);
    struct expr *expr = call2("AND", call2(">", call2("*", price, dec(4, 3, "0.908")), call2("+", i32("1"), i32("2"))),
                              call2("LIKE", call1("LOWER", channel), str("%a'b%")));
    struct expr *folded;
    struct text text = {0};
    OK(expr_fold(&arena, expr, &folded, NULL));
    expr_print(folded, schema, &text);
    assert_string_equal(text_string(&text), "(price * 0.908) > 3 AND LOWER(channel) LIKE '%a''b%'");
    text_clear(&text);
    assert_true(expr_equal(call2("+", price, i32("1")), call2("+", price, i32("1"))));
    assert_false(expr_equal(call2("+", price, i32("1")), call2("+", price, i32("2"))));
    assert_false(expr_equal(call2("+", price, i32("1")), call2("-", price, i32("1"))));
    bool used[2] = {false, false};
    expr_columns(call2("+", price, i32("1")), used, 2);
    assert_true(used[0] && !used[1]);
    struct expr *replaced;
    OK(expr_substitute(&arena, call2("+", price, i32("1")), (struct expr *[]){i64("41"), NULL}, 2, &replaced, NULL));
    assert_true(expr_is_constant(replaced));
    EXPECT(replaced, "42");
    /* what fails stays for run time */
    struct expr *bad = call2("/", i32("1"), i32("0"));
    OK(expr_fold(&arena, bad, &folded, NULL));
    assert_int_equal(folded->kind, EXPR_CALL);
    schema_unref(schema);
}

static void names_and_counts_are_checked(void **state) {
    (void)state;
    struct expr *out;
    struct sabot_error err = {0};
    const struct source_span span = {.line = 3, .column = 7, .length = 5};
    assert_int_equal(expr_call(&arena, "UPER", (struct expr *[]){str("a")}, 1, span, &out, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "UPPER"));
    assert_int_equal(err.sql_line, 3);
    assert_int_equal(err.sql_column, 7);
    error_clear(&err);
    assert_int_equal(expr_call(&arena, "upper", NULL, 0, span, &out, &err), SABOT_ERR_PLAN);
    error_clear(&err);
    assert_int_equal(expr_call(&arena, "UPPER", (struct expr *[]){i32("1")}, 1, span, &out, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "STRING"));
}

static void equal_parts_are_computed_once_and_rows_survive(void **state) {
    (void)state;
    /* (a + 1) * (a + 1), with an empty batch and with constants */
    const struct field field = {"a", type_of(TYPE_INT64)};
    struct expr *a = col(0, field.type), *sum = call2("+", a, i32("1"));
    const struct expr *exprs[] = {call2("*", sum, call2("+", a, i32("1"))), a, i64("5")};
    const struct program_context context = context_now();
    struct program *program;
    OK(program_compile(exprs, 3, &context, &program, NULL));
    struct schema *schema;
    OK(schema_new(&field, 1, &schema, NULL));
    const int32_t sizes[] = {0, 1, 63, 64, 65, 8192};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct column_builder builder;
        struct column *column, *results[3];
        struct batch *batch;
        OK(column_builder_init(&builder, &pool, PHYS_I64, sizes[s], false, NULL));
        for (int32_t i = 0; i < sizes[s]; i++) { ((int64_t *)builder.values)[i] = i; }
        OK(column_builder_finish(&builder, &column, NULL));
        OK(batch_new(schema, &column, 1, sizes[s], &batch, NULL));
        OK(program_eval(program, batch, results, NULL));
        for (int32_t i = 0; i < sizes[s]; i++) {
            assert_int_equal(((const int64_t *)results[0]->values)[i], (int64_t)(i + 1) * (i + 1));
        }
        assert_ptr_equal(results[1], batch->columns[0]); /* a column reference costs nothing */
        assert_true(results[2]->constant);
        assert_int_equal(results[2]->length, sizes[s]);
        for (int i = 0; i < 3; i++) { column_unref(results[i]); }
        batch_unref(batch);
    }
    schema_unref(schema);
    program_free(program);
}

/* Every allocation of an evaluation fails once: each failure is reported, and nothing leaks or is freed twice. */
static void memory_limits_are_survived(void **state) {
    (void)state;
    struct expr *array = call3("ARRAY", i32("5"), i64("6"), i32("7")), *choice;
    OK(expr_case(&arena, (struct expr *[]){call2(">", i32("5"), i32("3")), str("a text that is not inlined"), str("b")},
                 3, nowhere, &choice, NULL));
    struct expr *exprs[] = {
        call2("*", dec(4, 3, "0.908"), i64("12345678901")),
        call2("*", dec(38, 10, "5.5"), dec(38, 10, "2")),
        choice,
        call1("UPPER", str("a text that is not inlined")),
        call2("||", str("a text that is not inlined"), str("b")),
        call2("[]", array, i32("2")),
        call3("IF", call2("=", i32("1"), i32("1")), array, array),
        call2("[]", call2("MAP", str("k"), call2("ROW", i32("1"), str("x"))), str("k")),
        cast(array, type_of(TYPE_STRING)),
        cast(str("12"), type_of(TYPE_INT32)),
        call2("LIKE", cast(i32("1"), type_of(TYPE_STRING)), str("%1_%")),
        call2("AND", call2(">", i32("1"), i32("0")), call2("LIKE", str("abc"), str("a%"))),
    };
    for (size_t e = 0; e < sizeof exprs / sizeof exprs[0]; e++) {
        for (int variant = 0; variant < 4; variant++) {
            struct spread spread = {0};
            const struct expr *over = spread_expr(&spread, exprs[e], variant & 1, -1);
            struct batch *batch = spread_batch(&spread, variant & 2);
            const int64_t base = pool.used;
            sabot_status status = SABOT_ERR_MEMORY;
            for (int64_t room = 0; status == SABOT_ERR_MEMORY; room += 64) {
                assert_true(room < 1000000);
                pool.limit = base + room;
                const struct program_context context = context_now();
                struct sabot_error err = {0};
                struct program *program = NULL;
                struct column *column = NULL;
                status = program_compile(&over, 1, &context, &program, &err);
                if (status == SABOT_OK) { status = program_eval(program, batch, &column, &err); }
                assert_int_equal(err.status, status);
                column_unref(column);
                program_free(program);
                assert_int_equal(pool.used, base);
            }
            pool.limit = INT64_C(1) << 30;
            if (status != SABOT_OK) { print_error("expression %zu\n", e); }
            assert_int_equal(status, SABOT_OK);
            batch_unref(batch);
        }
    }
}

static int teardown(void **state) {
    (void)state;
    arena_clear(&arena);
    return pool.used == 0 ? 0 : -1;
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_C(1) << 30);
    arena_init(&arena, (size_t)1 << 30);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_add_up_and_refuse_to_overflow),
        cmocka_unit_test(integer_division_truncates_and_refuses_zero),
        cmocka_unit_test(division_by_any_constant_is_exact),
        cmocka_unit_test(floats_follow_ieee),
        cmocka_unit_test(decimals_have_flinks_types_and_values),
        cmocka_unit_test(comparisons_know_every_type),
        cmocka_unit_test(logic_is_three_valued),
        cmocka_unit_test(lists_are_searched),
        cmocka_unit_test(case_evaluates_only_the_branch_that_is_taken),
        cmocka_unit_test(conditionals_choose),
        cmocka_unit_test(casts_follow_flink),
        cmocka_unit_test(times_are_read_printed_and_converted),
        cmocka_unit_test(times_and_intervals_add_up),
        cmocka_unit_test(like_matches),
        cmocka_unit_test(collections_are_made_and_taken_apart),
        cmocka_unit_test(letters_change_case),
        cmocka_unit_test(trees_fold_print_compare_and_substitute),
        cmocka_unit_test(names_and_counts_are_checked),
        cmocka_unit_test(equal_parts_are_computed_once_and_rows_survive),
        cmocka_unit_test(memory_limits_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
