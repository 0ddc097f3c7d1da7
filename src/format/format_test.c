/* Formats: records into columns and back, the rules of Flink's formats, and what is no record. */
#include "format/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct memory_pool pool;

struct fixture {
    const char *format;
    const struct field *fields;
    int32_t n_fields;
    struct table_option options[4];
    int32_t n_options;
};

#define FIELDS(...)                                                                                                    \
    .fields = (const struct field[]){__VA_ARGS__},                                                                     \
    .n_fields = sizeof((const struct field[]){__VA_ARGS__}) / sizeof(struct field)

static struct schema *fixture_open(const struct fixture *fixture, struct connector_table *table,
                                   struct connector_context *context) {
    struct sabot_error err = {0};
    struct schema *schema = NULL;
    assert_int_equal(schema_new(fixture->fields, fixture->n_fields, &schema, &err), SABOT_OK);
    *table = (struct connector_table){
        .name = "t",
        .options = fixture->options,
        .n_options = fixture->n_options,
        .schema = schema,
        .declared = schema,
    };
    *context = (struct connector_context){.pool = &pool, .table = table, .batch_rows = 8192};
    return schema;
}

/* Cuts `input` at '|' into records (or at line ends, by the format), decodes them, and puts down the rows as JSON and
 * the malformed records as "!number reason", in the order of the records. */
static void decode(const struct fixture *fixture, const char *input, struct text *out) {
    struct sabot_error err = {0};
    struct connector_table table;
    struct connector_context context;
    struct schema *schema = fixture_open(fixture, &table, &context);
    const struct format_type *format = format_find(fixture->format);
    assert_non_null(format);
    struct decoder *decoder;
    if (format->decoder_new(&context, &decoder, &err) != SABOT_OK) {
        text_format(out, "error: %s", err.message);
        schema_unref(schema);
        return;
    }
    struct buffer *block;
    const size_t size = strlen(input);
    assert_int_equal(buffer_new(&pool, size + 64, &block, &err), SABOT_OK);
    memset(block->data, ' ', size + 64);
    memcpy(block->data, input, size);
    int64_t offsets[64] = {0};
    int32_t n = 0;
    if (format->cut) {
        n = format->cut(decoder, (const char *)block->data, size, true, offsets, 63);
    } else {
        for (size_t i = 0; i < size; i++) {
            if (block->data[i] == '|' || i + 1 == size) { offsets[++n] = (int64_t)i + 1; }
        }
        for (size_t i = 0; i < size; i++) {
            if (block->data[i] == '|') { block->data[i] = '\n'; }
        }
    }
    const struct records records = {block, (const char *)block->data, offsets, n, true};
    struct column *columns[16] = {0};
    struct decode_errors errors = {0};
    if (format->decode(decoder, &records, columns, &errors, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    format->decoder_free(decoder);
    struct batch *batch = NULL;
    assert_int_equal(batch_new(schema, columns, schema->n_fields, n, &batch, &err), SABOT_OK);
    struct encoder *encoder;
    struct connector_table plain = table;
    plain.n_options = 0;
    context.table = &plain;
    const struct format_type *json = format_find("json");
    assert_int_equal(json->encoder_new(&context, &encoder, &err), SABOT_OK);
    struct text text = {0};
    int64_t ends[64];
    if (json->encode(encoder, batch, &text, ends, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    json->encoder_free(encoder);
    int32_t e = 0;
    for (int32_t i = 0; i < n; i++) {
        if (e < errors.n && errors.items[e].record == i) {
            text_format(out, "!%s%s\n", errors.items[e++].reason, errors.tolerated ? " (tolerated)" : "");
            continue;
        }
        const int64_t begin = i ? ends[i - 1] : 0;
        text_append(out, text.data + begin, (size_t)(ends[i] - begin));
        text_append(out, "\n", 1);
    }
    text_clear(&text);
    decode_errors_clear(&errors);
    batch_unref(batch);
    schema_unref(schema);
    buffer_unref(block);
}

static void check_decode(const struct fixture *fixture, const char *input, const char *expected) {
    struct text out = {0};
    decode(fixture, input, &out);
    assert_string_equal(text_string(&out), expected);
    text_clear(&out);
    assert_int_equal(pool.used, 0);
}

static struct type make(enum type_kind kind) { return type_of(kind); }


static void json_fields_go_by_name_and_missing_ones_are_null(void **state) {
    (void)state;
    const struct fixture f = {.format = "json",
                              FIELDS({"a", make(TYPE_INT64)}, {"b", make(TYPE_STRING)}, {"c", make(TYPE_FLOAT64)})};
    check_decode(&f,
                 "{\"a\":1,\"b\":\"x\",\"c\":1.5}|{\"c\":2,\"zzz\":{\"a\":[1,2]},\"b\":null}|"
                 "{}|  {\"a\" : -9223372036854775808 , \"b\" : \"a longer string than twelve\" } |"
                 "{\"b\":\"\\u00e9\\n\\\"\\\\\",\"a\":9223372036854775807}|{\"\\u0061\":7,\"a\":null,\"a\":8}",
                 "{\"a\":1,\"b\":\"x\",\"c\":1.5}\n{\"a\":null,\"b\":null,\"c\":2.0}\n"
                 "{\"a\":null,\"b\":null,\"c\":null}\n"
                 "{\"a\":-9223372036854775808,\"b\":\"a longer string than twelve\",\"c\":null}\n"
                 "{\"a\":9223372036854775807,\"b\":\"é\\n\\\"\\\\\",\"c\":null}\n{\"a\":8,\"b\":null,\"c\":null}\n");
}

static void a_record_without_a_value_that_is_not_null_is_malformed(void **state) {
    (void)state;
    const struct fixture json = {.format = "json",
                                 FIELDS({"a", type_not_null(type_of(TYPE_INT64))}, {"b", make(TYPE_STRING)})};
    check_decode(&json, "{\"a\":null,\"b\":\"x\"}|{\"a\":1}|{\"b\":\"y\"}|{\"a\":null,\"a\":2}|oops",
                 "!field \"a\": no value, but it is NOT NULL\n{\"a\":1,\"b\":null}\n"
                 "!field \"a\": no value, but it is NOT NULL\n{\"a\":2,\"b\":null}\n"
                 "!not a JSON object\n");
    const struct fixture csv = {.format = "csv",
                                FIELDS({"a", type_not_null(type_of(TYPE_INT64))}, {"b", make(TYPE_STRING)}),
                                .options = {{"csv.ignore-parse-errors", "true", 0, 0}},
                                .n_options = 1};
    check_decode(&csv, ",x\n1,\n2x,y\n3,z\n",
                 "!field \"a\": no value, but it is NOT NULL (tolerated)\n{\"a\":1,\"b\":\"\"}\n"
                 "!field \"a\": no value, but it is NOT NULL (tolerated)\n{\"a\":3,\"b\":\"z\"}\n");
}

static void json_that_is_malformed_is_told_by_record_with_a_reason(void **state) {
    (void)state;
    const struct fixture f = {.format = "json", FIELDS({"a", make(TYPE_INT32)}, {"b", make(TYPE_STRING)})};
    struct text out = {0};
    decode(
        &f,
        "{\"a\":1}|{\"a\":|nonsense|{\"a\":2} tail|[1]|7|{\"a\":\"x\"}|{\"a\":99999999999}|{\"b\":\"\xff\"}|{\"a\":3|"
        "{\"a\":012}|{\"b\":tru}|{\"a\":1e400}|{\"a\":nul}|{\"b\":\"abc|{\"a\":4}",
        &out);
    char *line = strtok(out.data, "\n");
    int good = 0, bad = 0;
    for (; line; line = strtok(NULL, "\n")) {
        good += line[0] == '{';
        bad += line[0] == '!';
    }
    assert_int_equal(good, 2);
    assert_int_equal(bad, 14);
    text_clear(&out);
    assert_int_equal(pool.used, 0);
    const struct fixture ignore = {.format = "json",
                                   FIELDS({"a", make(TYPE_INT32)}),
                                   .options = {{"json.ignore-parse-errors", "true", 0, 0}},
                                   .n_options = 1};
    check_decode(&ignore, "{\"a\":\"x\"}|oops|{\"a\":5}", "{\"a\":null}\n!not a JSON object (tolerated)\n{\"a\":5}\n");
}

static void json_numbers_and_strings_are_converted_as_in_flink(void **state) {
    (void)state;
    const struct fixture f = {.format = "json",
                              FIELDS({"i", make(TYPE_INT32)}, {"s", make(TYPE_STRING)}, {"d", make(TYPE_FLOAT64)},
                                     {"b", make(TYPE_BOOL)}, {"n", type_decimal(10, 2)},
                                     {"big", type_decimal(38, 10)})};
    check_decode(
        &f,
        "{\"i\":\" 12 "
        "\",\"s\":12.50,\"d\":\"1e3\",\"b\":\"TRUE\",\"n\":1.005,\"big\":123456789012345678901234567.0123456789}|"
        "{\"i\":12.7,\"s\":true,\"d\":\"NaN\",\"b\":false,\"n\":\"-0.125\",\"big\":-1e-10}|"
        "{\"i\":1e3,\"s\":{\"a\": [1, 2]},\"n\":99999999999,\"d\":1e-400,\"big\":1e5}",
        "{\"i\":12,\"s\":\"12.50\",\"d\":1000.0,\"b\":true,\"n\":1.01,\"big\":123456789012345678901234567.0123456789}\n"
        "{\"i\":12,\"s\":\"true\",\"d\":\"NaN\",\"b\":false,\"n\":-0.13,\"big\":-0.0000000001}\n"
        "{\"i\":1000,\"s\":\"{\\\"a\\\":[1,2]}\",\"d\":0.0,\"b\":null,\"n\":null,\"big\":100000.0000000000}\n");
}

static void times_are_read_in_both_standards(void **state) {
    (void)state;
    const struct fixture f = {.format = "json", FIELDS({"ts", type_timestamp(3)}, {"us", type_timestamp(6)},
                                             {"z", {.kind = TYPE_TIMESTAMP_LTZ, .precision = 3, .nullable = true}},
                                             {"d", make(TYPE_DATE)}, {"t", make(TYPE_TIME)}, {"x", make(TYPE_BINARY)})};
    check_decode(
        &f,
        "{\"ts\":\"2015-07-14 23:59:10.123\",\"us\":\"1969-12-31T23:59:59.999999\",\"z\":\"2015-07-15 "
        "01:59:10.5+02:00\","
        "\"d\":\"2024-02-29\",\"t\":\"23:59:10.5\",\"x\":\"aGVsbG8=\"}|"
        "{\"ts\":\"0001-01-01 "
        "00:00:00\",\"z\":\"2015-07-14T23:59:10Z\"}|{\"d\":\"2023-02-29\"}|{\"ts\":\"2015-07-14\"}|"
        "{\"ts\":\"2015-07-14 24:00:00\"}|{\"ts\":1436918350000}|{\"ts\":\"2015-07-14 23:59:10Z\"}",
        "{\"ts\":\"2015-07-14 23:59:10.123\",\"us\":\"1969-12-31 23:59:59.999999\",\"z\":\"2015-07-14 23:59:10.5Z\","
        "\"d\":\"2024-02-29\",\"t\":\"23:59:10.5\",\"x\":\"aGVsbG8=\"}\n"
        "{\"ts\":\"0001-01-01 00:00:00\",\"us\":null,\"z\":\"2015-07-14 23:59:10Z\",\"d\":null,\"t\":null,\"x\":null}\n"
        "!field \"d\": not a DATE (2015-07-14)\n"
        "!field \"ts\": not a TIMESTAMP (2015-07-14 23:59:10.123)\n"
        "!field \"ts\": not a TIMESTAMP (2015-07-14 23:59:10.123)\n"
        "!field \"ts\": a date or time must be a string such as \"2015-07-14 23:59:10.123\"\n"
        "!field \"ts\": not a TIMESTAMP (2015-07-14 23:59:10.123)\n");
}

static void nested_json_fills_rows_arrays_and_maps(void **state) {
    (void)state;
    const struct field inner[] = {{"p", make(TYPE_INT64)}, {"q", make(TYPE_STRING)}};
    struct type row = {.kind = TYPE_ROW, .nullable = true, .n_fields = 2, .fields = inner};
    const struct field element[] = {{"element", row}};
    const struct field entry[] = {{"key", make(TYPE_STRING)}, {"value", make(TYPE_INT32)}};
    const struct field ints[] = {{"element", make(TYPE_INT32)}};
    const struct field deep[] = {{"element", {.kind = TYPE_ARRAY, .nullable = true, .n_fields = 1, .fields = ints}}};
    const struct fixture f = {.format = "json",
                              FIELDS({"r", row},
                                     {"a", {.kind = TYPE_ARRAY, .nullable = true, .n_fields = 1, .fields = element}},
                                     {"m", {.kind = TYPE_MAP, .nullable = true, .n_fields = 2, .fields = entry}},
                                     {"d", {.kind = TYPE_ARRAY, .nullable = true, .n_fields = 1, .fields = deep}})};
    check_decode(&f,
                 "{\"r\":{\"p\":1,\"q\":\"x\"},\"a\":[{\"p\":2},null,{\"q\":\"y\"}],\"m\":{\"k\":1,\"l\":null},\"d\":[["
                 "1,2],[],[3]]}|"
                 "{\"r\":null,\"a\":[],\"m\":{},\"d\":[null]}|{\"a\":[1]}|{\"a\":[{\"p\":3}],\"a\":[{\"p\":4},{\"p\":5}"
                 "]}|{\"r\":{}}",
                 "{\"r\":{\"p\":1,\"q\":\"x\"},\"a\":[{\"p\":2,\"q\":null},null,{\"p\":null,\"q\":\"y\"}],\"m\":{\"k\":"
                 "1,\"l\":null},"
                 "\"d\":[[1,2],[],[3]]}\n"
                 "{\"r\":null,\"a\":[],\"m\":{},\"d\":[null]}\n"
                 "!field \"a\": an object is expected\n"
                 "{\"r\":null,\"a\":[{\"p\":4,\"q\":null},{\"p\":5,\"q\":null}],\"m\":null,\"d\":null}\n"
                 "{\"r\":{\"p\":null,\"q\":null},\"a\":null,\"m\":null,\"d\":null}\n");
    /* many elements: the columns below a list grow and move */
    struct text many = {0}, out = {0};
    text_add(&many, "{\"a\":[");
    for (int i = 0; i < 5000; i++) {
        text_format(&many, "%s{\"p\":%d,\"q\":\"the text of element %d\"}", i ? "," : "", i, i);
    }
    text_add(&many, "]}");
    decode(&f, many.data, &out);
    assert_non_null(strstr(out.data, "{\"p\":4999,\"q\":\"the text of element 4999\"}"));
    assert_non_null(strstr(out.data, "{\"p\":0,\"q\":\"the text of element 0\"}"));
    text_clear(&many);
    text_clear(&out);
}

static void a_deep_nest_is_refused_not_followed(void **state) {
    (void)state;
    struct text deep = {0}, out = {0};
    text_add(&deep, "{\"s\":");
    for (int i = 0; i < 100000; i++) { text_add(&deep, "["); }
    const struct fixture f = {.format = "json", FIELDS({"s", make(TYPE_STRING)})};
    decode(&f, deep.data, &out);
    assert_int_equal(out.data[0], '!');
    text_clear(&deep);
    text_clear(&out);
}

static void csv_follows_rfc_4180(void **state) {
    (void)state;
    const struct fixture f = {.format = "csv",
                              FIELDS({"a", make(TYPE_INT32)}, {"b", make(TYPE_STRING)}, {"c", make(TYPE_FLOAT64)})};
    check_decode(
        &f, "1,x,1.5\r\n2,\"a, \"\"quoted\"\"\nnew line\",\n\n , y ,2\n4,\"\",3\n5,,4\n\"6\",\"z\" ,5",
        "{\"a\":1,\"b\":\"x\",\"c\":1.5}\n{\"a\":2,\"b\":\"a, \\\"quoted\\\"\\nnew line\",\"c\":null}\n"
        "{\"a\":null,\"b\":\" y \",\"c\":2.0}\n{\"a\":4,\"b\":\"\",\"c\":3.0}\n{\"a\":5,\"b\":\"\",\"c\":4.0}\n"
        "{\"a\":6,\"b\":\"z\",\"c\":5.0}\n");
    check_decode(&f, "1,x\n2,y,3,4\nz,y,3\n3,\"open,1\n4,x,1", "!2 fields where the table has 3 columns\n"
                 "!4 fields where the table has 3 columns\n!field \"a\": not a whole number, or out of range\n"
                 "!field 2: a quoted field does not end\n");
    /* a quote behind a blank begins no quotes: neither where fields end nor where records do */
    check_decode(&f, "1, \"x,1\n2,y\",2\n",
                 "{\"a\":1,\"b\":\" \\\"x\",\"c\":1.0}\n{\"a\":2,\"b\":\"y\\\"\",\"c\":2.0}\n");
    check_decode(&f, "1,\"x\"y,2\n2,\xff,2\n3,b,1", "!field 2: text behind a closing quote\n!field \"b\": not UTF-8\n"
                 "{\"a\":3,\"b\":\"b\",\"c\":1.0}\n");
    check_decode(&f, "", "");
    check_decode(&f, "\n\n", "");
}

static void csv_options_change_the_dialect(void **state) {
    (void)state;
    const struct field ints[] = {{"element", make(TYPE_INT32)}};
    const struct fixture f = {.format = "csv",
                              FIELDS({"a", make(TYPE_INT32)}, {"b", make(TYPE_STRING)},
                                     {"l", {.kind = TYPE_ARRAY, .nullable = true, .n_fields = 1, .fields = ints}}),
                              .options = {{"csv.field-delimiter", "\\t", 0, 0},
                                          {"csv.null-literal", "\\N", 0, 0},
                                          {"csv.escape-character", "^", 0, 0},
                                          {"csv.allow-comments", "true", 0, 0}},
                              .n_options = 4};
    check_decode(&f, "# a comment\n1\tx^\ty\t1;2;\\N\n\\N\t\\N\t\\N\n# another\n2\t\"q^\"q\"\t\n",
                 "{\"a\":1,\"b\":\"x\\ty\",\"l\":[1,2,null]}\n{\"a\":null,\"b\":null,\"l\":null}\n"
                 "{\"a\":2,\"b\":\"q\\\"q\",\"l\":null}\n");
    const struct fixture bad = {.format = "csv",
                                FIELDS({"a", make(TYPE_INT32)}),
                                .options = {{"csv.field-delimiter", "ab", 0, 0}},
                                .n_options = 1};
    check_decode(
        &bad, "1",
        "error: table \"t\", option 'csv.field-delimiter': \"ab\" must be one ASCII character, such as ';' or '\\t'");
}

static void raw_takes_the_record_as_it_is(void **state) {
    (void)state;
    const struct fixture f = {.format = "raw", FIELDS({"line", make(TYPE_STRING)})};
    check_decode(&f, "one||{\"x\":1}|\xff",
                 "{\"line\":\"one\"}\n{\"line\":\"\"}\n{\"line\":\"{\\\"x\\\":1}\"}\n!not UTF-8\n");
    const struct fixture two = {.format = "raw", FIELDS({"a", make(TYPE_STRING)}, {"b", make(TYPE_STRING)})};
    check_decode(&two, "x", "error: table \"t\": the format raw takes exactly one column, this table has 2");
}

static void csv_that_was_written_reads_back_the_same(void **state) {
    (void)state;
    struct sabot_error err = {0};
    const struct fixture f = {.format = "csv",
                              FIELDS({"a", make(TYPE_INT32)}, {"b", make(TYPE_STRING)}, {"ts", type_timestamp(3)}),
                              .options = {{"csv.null-literal", "NULL", 0, 0}, {"csv.header", "true", 0, 0}},
                              .n_options = 2};
    struct connector_table table;
    struct connector_context context;
    struct schema *schema = fixture_open(&f, &table, &context);
    const char *texts[] = {"plain", "with, comma", "with \"quotes\"", "two\nlines", "", "NULL", " blanks "};
    struct column *columns[3];
    struct column_builder a, b, ts;
    assert_int_equal(column_builder_init(&a, &pool, PHYS_I32, 7, true, &err), SABOT_OK);
    assert_int_equal(column_builder_init(&b, &pool, PHYS_VIEW, 7, true, &err), SABOT_OK);
    assert_int_equal(column_builder_init(&ts, &pool, PHYS_I64, 7, false, &err), SABOT_OK);
    for (int i = 0; i < 7; i++) {
        ((int32_t *)a.values)[i] = i - 3;
        ((struct string_view *)b.values)[i] = string_view_of(texts[i], (uint32_t)strlen(texts[i]));
        ((int64_t *)ts.values)[i] = INT64_C(1436918350000) + i * 250;
    }
    column_builder_set_null(&a, 2);
    assert_int_equal(column_builder_finish(&a, &columns[0], &err), SABOT_OK);
    assert_int_equal(column_builder_finish(&b, &columns[1], &err), SABOT_OK);
    assert_int_equal(column_builder_finish(&ts, &columns[2], &err), SABOT_OK);
    struct batch *batch;
    assert_int_equal(batch_new(schema, columns, 3, 7, &batch, &err), SABOT_OK);
    const struct format_type *csv = format_find("csv");
    struct encoder *encoder;
    assert_int_equal(csv->encoder_new(&context, &encoder, &err), SABOT_OK);
    struct text text = {0};
    assert_int_equal(csv->begin(encoder, &text, &err), SABOT_OK);
    assert_string_equal(text_string(&text), "a,b,ts\n");
    text.size = 0;
    assert_int_equal(csv->encode(encoder, batch, &text, NULL, &err), SABOT_OK);
    csv->encoder_free(encoder);
    batch_unref(batch);
    schema_unref(schema);
    assert_string_equal(
        text_string(&text),
        "-3,plain,2015-07-14 23:59:10\n-2,\"with, comma\",2015-07-14 23:59:10.25\n"
        "NULL,\"with \"\"quotes\"\"\",2015-07-14 23:59:10.5\n0,\"two\nlines\",2015-07-14 23:59:10.75\n"
        "1,\"\",2015-07-14 23:59:11\n2,NULL,2015-07-14 23:59:11.25\n3,\" blanks \",2015-07-14 23:59:11.5\n");
    struct text out = {0};
    decode(&f, text.data, &out);
    assert_non_null(strstr(out.data, "{\"a\":0,\"b\":\"two\\nlines\",\"ts\":\"2015-07-14 23:59:10.75\"}"));
    assert_non_null(strstr(out.data, "{\"a\":null,\"b\":\"with \\\"quotes\\\"\",\"ts\":\"2015-07-14 23:59:10.5\"}"));
    text_clear(&text);
    text_clear(&out);
    assert_int_equal(pool.used, 0);
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_fields_go_by_name_and_missing_ones_are_null),
        cmocka_unit_test(a_record_without_a_value_that_is_not_null_is_malformed),
        cmocka_unit_test(json_that_is_malformed_is_told_by_record_with_a_reason),
        cmocka_unit_test(json_numbers_and_strings_are_converted_as_in_flink),
        cmocka_unit_test(times_are_read_in_both_standards),
        cmocka_unit_test(nested_json_fills_rows_arrays_and_maps),
        cmocka_unit_test(a_deep_nest_is_refused_not_followed),
        cmocka_unit_test(csv_follows_rfc_4180),
        cmocka_unit_test(csv_options_change_the_dialect),
        cmocka_unit_test(raw_takes_the_record_as_it_is),
        cmocka_unit_test(csv_that_was_written_reads_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
