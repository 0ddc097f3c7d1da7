/* Batches: references, selections, taking, joining, detaching, hashing, order, and values as text. */
#include "arrow/batch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arrow/print.h"
#include "base/text.h"
#include "base/zone.h"

static struct memory_pool pool;

#define OK(call) assert_int_equal((call), SABOT_OK)

static struct column *ints(const int64_t *values, int32_t n, int64_t null_value) {
    struct column_builder builder;
    OK(column_builder_init(&builder, &pool, PHYS_I64, n, true, NULL));
    for (int32_t i = 0; i < n; i++) {
        ((int64_t *)builder.values)[i] = values[i];
        if (values[i] == null_value) { column_builder_set_null(&builder, i); }
    }
    struct column *column;
    OK(column_builder_finish(&builder, &column, NULL));
    return column;
}

static struct column *strings(const char *const *values, int32_t n) {
    struct column_builder builder;
    OK(column_builder_init(&builder, &pool, PHYS_VIEW, n, true, NULL));
    for (int32_t i = 0; i < n; i++) {
        if (!values[i]) {
            column_builder_set_null(&builder, i);
            continue;
        }
        char *bytes;
        const size_t size = strlen(values[i]);
        OK(column_builder_reserve(&builder, size, &bytes, NULL));
        memcpy(bytes, values[i], size);
        ((struct string_view *)builder.values)[i] = string_view_of(bytes, (uint32_t)size);
    }
    struct column *column;
    OK(column_builder_finish(&builder, &column, NULL));
    return column;
}

static struct schema *two_fields(void) {
    const struct field fields[] = {{"id", type_of(TYPE_INT64)}, {"name", type_of(TYPE_STRING)}};
    struct schema *schema;
    OK(schema_new(fields, 2, &schema, NULL));
    return schema;
}

static struct batch *sample(void) {
    const int64_t ids[] = {5, -1, 7, 8};
    const char *const names[] = {"a", "a string longer than twelve", NULL, ""};
    struct schema *schema = two_fields();
    struct column *columns[] = {ints(ids, 4, -1), strings(names, 4)};
    struct batch *batch;
    OK(batch_new(schema, columns, 2, 4, &batch, NULL));
    schema_unref(schema);
    return batch;
}

static void expect_row(const struct batch *batch, int32_t row, const char *expected) {
    struct text text = {0};
    const struct text_options options = {.null_text = "\\N"};
    for (int32_t i = 0; i < batch->n_columns; i++) {
        if (i) { text_add(&text, "|"); }
        OK(column_print(batch->columns[i], row, batch->schema->fields[i].type, &options, &text, NULL));
    }
    assert_string_equal(text_string(&text), expected);
    text_clear(&text);
}

static void take_picks_rows_and_makes_nulls(void **state) {
    (void)state;
    struct batch *batch = sample(), *taken;
    const int32_t rows[] = {1, 1, 3, 0, 2};
    OK(batch_take(&pool, batch, rows, 5, &taken, NULL));
    batch_unref(batch); /* strings are shared and must stay */
    expect_row(taken, 0, "\\N|a string longer than twelve");
    expect_row(taken, 2, "8|");
    expect_row(taken, 3, "5|a");
    expect_row(taken, 4, "7|\\N");
    struct column *column;
    const int32_t with_null[] = {-1, 3};
    OK(column_take(&pool, taken->columns[0], with_null, 2, &column, NULL));
    assert_true(column_is_null(column, 0));
    assert_int_equal(((const int64_t *)column->values)[1], 5);
    column_unref(column);
    batch_unref(taken);
    assert_int_equal(pool.used, 0);
}

/* An exchange's parts share one buffer of selections: a copy must not begin at the buffer's start. */
static void a_copy_keeps_a_selection_that_begins_inside_its_buffer(void **state) {
    (void)state;
    const struct field field = {"x", type_of(TYPE_INT64)};
    struct schema *schema;
    OK(schema_new(&field, 1, &schema, NULL));
    struct column_builder builder = {0};
    OK(column_builder_init(&builder, &pool, PHYS_I64, 4, false, NULL));
    for (int i = 0; i < 4; i++) { ((int64_t *)builder.values)[i] = i; }
    struct column *column;
    OK(column_builder_finish(&builder, &column, NULL));
    struct batch *whole, *part, *copy, *taken;
    OK(batch_new(schema, &column, 1, 4, &whole, NULL));
    struct buffer *rows;
    OK(buffer_new(&pool, 4 * sizeof(int32_t), &rows, NULL));
    memcpy(rows->data, (const int32_t[]){0, 2, 1, 3}, 4 * sizeof(int32_t));
    OK(batch_with_selection(whole, rows, 2, &part, NULL));
    part->selection += 2; /* rows 1 and 3 */
    OK(batch_copy(part, &copy, NULL));
    OK(batch_compact(&pool, copy, &taken, NULL));
    assert_int_equal(((const int64_t *)taken->columns[0]->values)[0], 1);
    assert_int_equal(((const int64_t *)taken->columns[0]->values)[1], 3);
    batch_unref(taken);
    batch_unref(copy);
    batch_unref(part);
    batch_unref(whole);
    schema_unref(schema);
}

static void compact_applies_the_selection_and_expands_constants(void **state) {
    (void)state;
    struct batch *batch = sample();
    struct string_view value = string_view_of("constant text of some length", 28);
    struct column *columns[] = {column_ref(batch->columns[0]), NULL};
    OK(column_constant(&pool, PHYS_VIEW, &value, 4, &columns[1], NULL));
    struct batch *changed, *selected, *flat, *same;
    OK(batch_with_columns(batch, batch->schema, columns, 2, &changed, NULL));
    batch_unref(batch);
    struct buffer *selection;
    OK(buffer_new(&pool, 2 * sizeof(int32_t), &selection, NULL));
    memcpy(selection->data, (const int32_t[]){1, 2}, 2 * sizeof(int32_t));
    OK(batch_with_selection(changed, selection, 2, &selected, NULL));
    batch_unref(changed);
    OK(batch_compact(&pool, selected, &flat, NULL));
    batch_unref(selected);
    assert_int_equal(flat->rows, 2);
    assert_null(flat->selection);
    expect_row(flat, 0, "\\N|constant text of some length");
    expect_row(flat, 1, "7|constant text of some length");
    OK(batch_compact(&pool, flat, &same, NULL));
    assert_ptr_equal(flat, same);
    batch_unref(same);
    batch_unref(flat);
    assert_int_equal(pool.used, 0);
}

static void concat_joins_rows_nulls_and_row_kinds(void **state) {
    (void)state;
    struct batch *parts[40];
    for (int i = 0; i < 40; i++) { parts[i] = sample(); }
    OK(buffer_new(&pool, 4, &parts[39]->row_kinds_buffer, NULL));
    memcpy(parts[39]->row_kinds_buffer->data, (const uint8_t[]){ROW_DELETE, 0, 0, 0}, 4);
    parts[39]->row_kinds = parts[39]->row_kinds_buffer->data;
    struct batch *all;
    OK(batch_concat(&pool, parts, 40, &all, NULL));
    for (int i = 0; i < 40; i++) { batch_unref(parts[i]); }
    assert_int_equal(all->rows, 160);
    for (int i = 0; i < 40; i++) {
        expect_row(all, 4 * i, "5|a");
        expect_row(all, 4 * i + 1, "\\N|a string longer than twelve");
        expect_row(all, 4 * i + 2, "7|\\N");
        expect_row(all, 4 * i + 3, "8|");
    }
    assert_int_equal(all->row_kinds[155], ROW_INSERT);
    assert_int_equal(all->row_kinds[156], ROW_DELETE);
    batch_unref(all);
    assert_int_equal(pool.used, 0);
}

static void count_release(void *owner) { (*(int *)owner)++; }

static void detach_lets_go_of_foreign_memory(void **state) {
    (void)state;
    char foreign[] = "foreign bytes of a long string";
    struct string_view views[2] = {string_view_of(foreign, 30), string_view_of("x", 1)};
    int64_t numbers[2] = {1, 2};
    int released = 0;
    struct buffer *owners[2];
    OK(buffer_wrap(&pool, views, sizeof views, count_release, &released, &owners[0], NULL));
    OK(buffer_wrap(&pool, numbers, sizeof numbers, count_release, &released, &owners[1], NULL));
    struct schema *schema = two_fields();
    struct column *columns[2];
    OK(column_new(PHYS_I64, 2, NULL, numbers, &owners[1], 1, NULL, 0, &columns[0], NULL));
    OK(column_new(PHYS_VIEW, 2, NULL, views, &owners[0], 1, NULL, 0, &columns[1], NULL));
    struct batch *batch, *own;
    OK(batch_new(schema, columns, 2, 2, &batch, NULL));
    schema_unref(schema);
    OK(batch_detach(&pool, batch, &own, NULL));
    batch_unref(batch);
    assert_int_equal(released, 2);
    memset(foreign, 'z', sizeof foreign);
    memset(numbers, 0, sizeof numbers);
    expect_row(own, 0, "1|foreign bytes of a long string");
    expect_row(own, 1, "2|x");
    batch_unref(own);
}

static void equal_keys_hash_equally_whatever_the_layout(void **state) {
    (void)state;
    struct batch *batch = sample(), *twice[2], *flat;
    twice[0] = batch;
    twice[1] = batch;
    OK(batch_concat(&pool, twice, 2, &flat, NULL));
    const int32_t keys[] = {0, 1};
    struct buffer *hashes;
    OK(batch_hash(&pool, flat, keys, 2, &hashes, NULL));
    const uint64_t *h = (const uint64_t *)(const void *)hashes->data;
    for (int i = 0; i < 4; i++) {
        assert_true(h[i] == h[i + 4]);
        for (int k = 0; k < i; k++) { assert_true(h[i] != h[k]); }
    }
    OK(batch_cache_hashes(&pool, flat, keys, 1, NULL)); /* one more column goes on from there */
    OK(batch_cache_hashes(&pool, flat, keys, 2, NULL));
    assert_memory_equal(flat->hashes, h, 8 * sizeof *h);
    buffer_unref(hashes);
    OK(batch_cache_hashes(&pool, flat, keys, 1, NULL));
    const uint64_t *cached = flat->hashes;
    OK(batch_cache_hashes(&pool, flat, keys, 1, NULL));
    assert_ptr_equal(cached, flat->hashes);
    /* part of the checkpoint format: this value never changes */
    const uint64_t five = cached[0];
    int32_t group = key_group_of(five, 128);
    assert_in_range(group, 0, 127);
    /* an INT 5 and a constant 5 hash as a BIGINT 5 does */
    const int32_t small = 5;
    const struct field field = {"k", type_of(TYPE_INT32)};
    struct schema *schema;
    struct column *column;
    struct batch *other;
    OK(schema_new(&field, 1, &schema, NULL));
    OK(column_constant(&pool, PHYS_I32, &small, 3, &column, NULL));
    OK(batch_new(schema, &column, 1, 3, &other, NULL));
    schema_unref(schema);
    OK(batch_cache_hashes(&pool, other, keys, 1, NULL));
    assert_true(other->hashes[2] == five);
    batch_unref(other);
    batch_unref(flat);
    batch_unref(batch);
    assert_int_equal(pool.used, 0);
}

static void floats_hash_by_value(void **state) {
    (void)state;
    const double values[] = {0.0, -0.0, (double)NAN, -(double)NAN, 1.5};
    struct column_builder builder;
    OK(column_builder_init(&builder, &pool, PHYS_F64, 5, false, NULL));
    memcpy(builder.values, values, sizeof values);
    struct column *column;
    OK(column_builder_finish(&builder, &column, NULL));
    const struct field field = {"f", type_of(TYPE_FLOAT64)};
    struct schema *schema;
    struct batch *batch;
    OK(schema_new(&field, 1, &schema, NULL));
    OK(batch_new(schema, &column, 1, 5, &batch, NULL));
    schema_unref(schema);
    OK(batch_cache_hashes(&pool, batch, (const int32_t[]){0}, 1, NULL));
    assert_true(batch->hashes[0] == batch->hashes[1]);
    assert_true(batch->hashes[2] == batch->hashes[3]);
    assert_true(batch->hashes[4] != batch->hashes[0]);
    assert_int_equal(column_compare(column, 0, column, 1, type_of(TYPE_FLOAT64)), 0);
    assert_int_equal(column_compare(column, 2, column, 3, type_of(TYPE_FLOAT64)), 0);
    assert_true(column_compare(column, 2, column, 4, type_of(TYPE_FLOAT64)) > 0);
    batch_unref(batch);
}

static void order_puts_null_first_and_compares_bytes(void **state) {
    (void)state;
    const char *const names[] = {"abc", "abd", NULL, "ab", "longer than twelve a", "longer than twelve b"};
    struct column *column = strings(names, 6);
    const struct type type = type_of(TYPE_STRING);
    assert_true(column_compare(column, 0, column, 1, type) < 0);
    assert_true(column_compare(column, 2, column, 3, type) < 0);
    assert_true(column_compare(column, 3, column, 0, type) < 0);
    assert_true(column_compare(column, 4, column, 5, type) < 0);
    assert_int_equal(column_compare(column, 2, column, 2, type), 0);
    column_unref(column);
}

static void all_null_columns_of_every_type_can_be_taken(void **state) {
    (void)state;
    const struct field element = {"e", type_of(TYPE_STRING)};
    struct type array = type_of(TYPE_ARRAY);
    array.n_fields = 1;
    array.fields = &element;
    const struct field inner[] = {{"a", array}, {"b", type_of(TYPE_INT32)}};
    struct type row = type_of(TYPE_ROW);
    row.n_fields = 2;
    row.fields = inner;
    const struct type types[] = {type_of(TYPE_NULL), type_of(TYPE_BOOL), type_decimal(30, 2), array, row};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct column *column, *taken;
        OK(column_all_null(&pool, types[i], 3, &column, NULL));
        OK(column_take(&pool, column, (const int32_t[]){2, -1, 0}, 3, &taken, NULL));
        for (int k = 0; k < 3; k++) { assert_true(column_is_null(taken, k)); }
        column_unref(column);
        column_unref(taken);
    }
    assert_int_equal(pool.used, 0);
}

static void f64(double value, const char *expected) {
    char text[PRINT_SIZE];
    assert_int_equal(print_f64(value, text), (int)strlen(expected));
    assert_string_equal(text, expected);
}

static void numbers_print_as_in_java(void **state) {
    (void)state;
    char text[PRINT_SIZE];
    f64(1, "1.0");
    f64(0, "0.0");
    f64(-0.0, "-0.0");
    f64(1e10, "1.0E10");
    f64(1e7, "1.0E7");
    f64(9999999, "9999999.0");
    f64(123456.789, "123456.789");
    f64(0.001, "0.001");
    f64(0.00099, "9.9E-4");
    f64(0.1 + 0.2, "0.30000000000000004");
    f64(-1.5e-7, "-1.5E-7");
    f64(1.7976931348623157e308, "1.7976931348623157E308");
    f64(5e-324, "4.9E-324"); /* Java's Double.MIN_VALUE */
    f64((double)NAN, "NaN");
    f64(-(double)INFINITY, "-Infinity");
    print_f32(0.1F, text);
    assert_string_equal(text, "0.1");
    print_f32(3.4028235e38F, text);
    assert_string_equal(text, "3.4028235E38");
    print_f32(16777216.0F, text);
    assert_string_equal(text, "1.6777216E7");
    print_decimal(-908, 3, text);
    assert_string_equal(text, "-0.908");
    print_decimal(0, 2, text);
    assert_string_equal(text, "0.00");
    print_decimal(12345, 2, text);
    assert_string_equal(text, "123.45");
    __int128 nines = 1;
    for (int i = 0; i < 38; i++) { nines *= 10; }
    print_decimal(nines - 1, 0, text);
    assert_string_equal(text, "99999999999999999999999999999999999999");
    print_decimal(-(nines - 1), 38, text);
    assert_string_equal(text, "-0.99999999999999999999999999999999999999");
    print_i128((__int128)INT64_MIN * 10, text);
    assert_string_equal(text, "-92233720368547758080");
    print_i64(INT64_MIN, text);
    assert_string_equal(text, "-9223372036854775808");
}

static void times_print_with_their_precision(void **state) {
    (void)state;
    char text[PRINT_SIZE];
    print_timestamp(1436918350000, 3, text);
    assert_string_equal(text, "2015-07-14 23:59:10.000");
    print_timestamp(1436918350000, 0, text);
    assert_string_equal(text, "2015-07-14 23:59:10");
    print_timestamp(-1, 3, text);
    assert_string_equal(text, "1969-12-31 23:59:59.999");
    print_timestamp(1436918350000001, 6, text);
    assert_string_equal(text, "2015-07-14 23:59:10.000001");
    print_timestamp(-1, 9, text);
    assert_string_equal(text, "1969-12-31 23:59:59.999999999");
    print_date(-719162, text);
    assert_string_equal(text, "0001-01-01");
    print_date(2932896, text);
    assert_string_equal(text, "9999-12-31");
    print_date(11016, text);
    assert_string_equal(text, "2000-02-29");
    print_time(86399999, 3, text);
    assert_string_equal(text, "23:59:59.999");
    print_time(86399999, 0, text);
    assert_string_equal(text, "23:59:59");
    print_interval_month(-14, text);
    assert_string_equal(text, "-1-02");
    print_interval_day(93784005, text);
    assert_string_equal(text, "+1 02:03:04.005");
}

static void zones_follow_their_rules(void **state) {
    (void)state;
    const struct zone *zone;
    struct sabot_error err = {0};
    OK(zone_find("+08:00", &zone, NULL));
    assert_int_equal(zone_to_local(zone, 0, 1000), 8 * 3600 * 1000);
    OK(zone_find("Europe/Berlin", &zone, NULL));
    assert_int_equal(zone_offset_s(zone, 1436918350), 7200);
    assert_int_equal(zone_offset_s(zone, 1420070400), 3600);
    assert_int_equal(zone_offset_s(zone, INT64_C(4118083200)), 7200); /* July 2100: by the rule */
    /* 2021-03-28 02:30 does not exist: 03:30 summer time; 2021-10-31 02:30 is twice there: the earlier one */
    assert_int_equal(zone_to_instant(zone, 1616898600, 1), 1616895000);
    assert_int_equal(zone_to_instant(zone, 1635647400, 1), 1635640200);
    assert_int_equal(zone_to_local(zone, 1635640200, 1), 1635647400);
    OK(zone_find("America/New_York", &zone, NULL));
    assert_int_equal(zone_offset_s(zone, 1700000000), -18000);
    assert_int_equal(zone_find("Mars/Base", &zone, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "Mars/Base"));
    assert_int_equal(zone_find("../../etc/passwd", &zone, NULL), SABOT_ERR_PLAN);
}

static void types_print_and_compare(void **state) {
    (void)state;
    char text[200];
    type_print(type_not_null(type_decimal(24, 3)), text, sizeof text);
    assert_string_equal(text, "DECIMAL(24, 3) NOT NULL");
    const struct field fields[] = {{"a", type_of(TYPE_INT32)}, {"b", type_not_null(type_of(TYPE_STRING))}};
    struct type row = type_of(TYPE_ROW);
    row.n_fields = 2;
    row.fields = fields;
    type_print(row, text, sizeof text);
    assert_string_equal(text, "ROW<`a` INT, `b` STRING NOT NULL>");
    type_print(row, text, 6);
    assert_string_equal(text, "ROW<`");
    assert_true(type_same(type_timestamp(3), type_not_null(type_timestamp(3))));
    assert_false(type_equal(type_timestamp(3), type_not_null(type_timestamp(3))));
    assert_false(type_same(type_timestamp(3), type_timestamp(6)));
    struct schema *a, *b;
    const struct field nested[] = {{"r", row}};
    OK(schema_new(nested, 1, &a, NULL));
    OK(schema_new(nested, 1, &b, NULL));
    assert_true(schema_equal(a, b));
    assert_int_equal(schema_find(a, "r"), 0);
    assert_int_equal(schema_find(a, "x"), -1);
    schema_unref(a);
    schema_unref(b);
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_C(1) << 30);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_picks_rows_and_makes_nulls),
        cmocka_unit_test(compact_applies_the_selection_and_expands_constants),
        cmocka_unit_test(a_copy_keeps_a_selection_that_begins_inside_its_buffer),
        cmocka_unit_test(concat_joins_rows_nulls_and_row_kinds),
        cmocka_unit_test(detach_lets_go_of_foreign_memory),
        cmocka_unit_test(equal_keys_hash_equally_whatever_the_layout),
        cmocka_unit_test(floats_hash_by_value),
        cmocka_unit_test(order_puts_null_first_and_compares_bytes),
        cmocka_unit_test(all_null_columns_of_every_type_can_be_taken),
        cmocka_unit_test(numbers_print_as_in_java),
        cmocka_unit_test(times_print_with_their_precision),
        cmocka_unit_test(zones_follow_their_rules),
        cmocka_unit_test(types_print_and_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
