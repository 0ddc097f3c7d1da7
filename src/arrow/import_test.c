/* Arrow C Data in and out: every type makes the round trip, slices and foreign layouts are read right, and arrays that
 * lie are refused. */
#include "arrow/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <nanoarrow/nanoarrow.h>

#include "arrow/export.h"
#include "base/text.h"

static struct memory_pool pool;

#define OK(call) assert_int_equal((call), SABOT_OK)
#define ROWS 100

static struct column *fixed_column(enum phys phys, bool with_nulls) {
    struct column_builder builder;
    OK(column_builder_init(&builder, &pool, phys, ROWS, with_nulls, NULL));
    for (int32_t i = 0; i < ROWS; i++) {
        const int32_t v = i - 7;
        switch (phys) {
        case PHYS_BOOL: ((uint8_t *)builder.values)[i] = v % 3 == 0; break;
        case PHYS_I8: ((int8_t *)builder.values)[i] = (int8_t)v; break;
        case PHYS_I16: ((int16_t *)builder.values)[i] = (int16_t)v; break;
        case PHYS_I32: ((int32_t *)builder.values)[i] = v; break;
        case PHYS_I64: ((int64_t *)builder.values)[i] = v * INT64_C(1000000007); break;
        case PHYS_I128: ((__int128 *)builder.values)[i] = (__int128)v * INT64_MAX; break;
        case PHYS_F32: ((float *)builder.values)[i] = (float)v / 3; break;
        case PHYS_F64: ((double *)builder.values)[i] = v / 3.0; break;
        case PHYS_VIEW: {
            char text[40];
            const int size = snprintf(text, sizeof text, i % 2 ? "%d" : "a longer string number %d", i);
            char *bytes;
            OK(column_builder_reserve(&builder, (size_t)size, &bytes, NULL));
            memcpy(bytes, text, (size_t)size);
            ((struct string_view *)builder.values)[i] = string_view_of(bytes, (uint32_t)size);
            break;
        }
        default: break;
        }
        if (with_nulls && i % 5 == 2) { column_builder_set_null(&builder, i); }
    }
    struct column *column;
    OK(column_builder_finish(&builder, &column, NULL));
    return column;
}

static struct column *list_column(struct column *child) {
    struct buffer *offsets;
    OK(buffer_new(&pool, (ROWS + 1) * sizeof(int32_t), &offsets, NULL));
    for (int32_t i = 0; i <= ROWS; i++) { ((int32_t *)(void *)offsets->data)[i] = i; }
    struct column *column;
    OK(column_new(PHYS_LIST, ROWS, NULL, offsets->data, &offsets, 1, &child, 1, &column, NULL));
    return column;
}

static struct column *row_column(struct column *a, struct column *b) {
    struct column *children[] = {a, b}, *column;
    OK(column_new(PHYS_ROW, ROWS, NULL, NULL, NULL, 0, children, 2, &column, NULL));
    return column;
}

static struct type nested(enum type_kind kind, const struct field *fields, int32_t n) {
    struct type type = type_of(kind);
    type.fields = fields;
    type.n_fields = n;
    return type;
}

static void print_rows(const struct batch *batch, struct text *text) {
    const struct text_options options = {.null_text = "\\N"};
    for (int32_t i = 0; i < batch->selected; i++) {
        for (int32_t c = 0; c < batch->n_columns; c++) {
            OK(column_print(batch->columns[c], batch_row(batch, i), batch->schema->fields[c].type, &options, text,
                            NULL));
            text_add(text, "|");
        }
        text_add(text, "\n");
    }
}

static struct batch *every_type(void) {
    static struct field element = {"e", {0}}, entry[2] = {{"k", {0}}, {"v", {0}}}, pair[2] = {{"x", {0}}, {"y", {0}}};
    element.type = type_of(TYPE_STRING);
    entry[0].type = type_not_null(type_of(TYPE_STRING));
    entry[1].type = type_of(TYPE_INT64);
    pair[0].type = type_of(TYPE_BOOL);
    pair[1].type = type_of(TYPE_FLOAT64);
    struct type chars = type_of(TYPE_STRING), ltz = type_timestamp(6), time = type_of(TYPE_TIME);
    chars.length = 30;
    ltz.kind = TYPE_TIMESTAMP_LTZ;
    const struct field fields[] = {
        {"bool", type_of(TYPE_BOOL)},
        {"i8", type_of(TYPE_INT8)},
        {"i16", type_of(TYPE_INT16)},
        {"i32", type_of(TYPE_INT32)},
        {"i64", type_not_null(type_of(TYPE_INT64))},
        {"f32", type_of(TYPE_FLOAT32)},
        {"f64", type_of(TYPE_FLOAT64)},
        {"d18", type_decimal(18, 3)},
        {"d38", type_decimal(38, 10)},
        {"s", type_of(TYPE_STRING)},
        {"c", chars},
        {"b", type_of(TYPE_BINARY)},
        {"date", type_of(TYPE_DATE)},
        {"time", time},
        {"ts0", type_timestamp(0)},
        {"ts3", type_timestamp(3)},
        {"ts9", type_timestamp(9)},
        {"ltz", ltz},
        {"im", type_of(TYPE_INTERVAL_MONTH)},
        {"id", type_of(TYPE_INTERVAL_DAY)},
        {"null", type_of(TYPE_NULL)},
        {"array", nested(TYPE_ARRAY, &element, 1)},
        {"map", nested(TYPE_MAP, entry, 2)},
        {"row", nested(TYPE_ROW, pair, 2)},
    };
    enum { N = sizeof fields / sizeof fields[0] };
    struct schema *schema;
    OK(schema_new(fields, N, &schema, NULL));
    struct column *columns[N];
    for (int i = 0; i < N; i++) {
        const enum phys phys = type_phys(fields[i].type);
        if (phys == PHYS_NULL) {
            OK(column_new(PHYS_NULL, ROWS, NULL, NULL, NULL, 0, NULL, 0, &columns[i], NULL));
        } else if (fields[i].type.kind == TYPE_TIME) {
            struct column_builder builder;
            OK(column_builder_init(&builder, &pool, PHYS_I32, ROWS, false, NULL));
            for (int k = 0; k < ROWS; k++) { ((int32_t *)builder.values)[k] = k * 1000; }
            OK(column_builder_finish(&builder, &columns[i], NULL));
        } else if (phys != PHYS_LIST && phys != PHYS_ROW) {
            columns[i] = fixed_column(phys, fields[i].type.nullable);
        }
    }
    columns[N - 3] = list_column(fixed_column(PHYS_VIEW, true));
    columns[N - 2] = list_column(row_column(fixed_column(PHYS_VIEW, false), fixed_column(PHYS_I64, true)));
    columns[N - 1] = row_column(fixed_column(PHYS_BOOL, true), fixed_column(PHYS_F64, true));
    struct batch *batch;
    OK(batch_new(schema, columns, N, ROWS, &batch, NULL));
    schema_unref(schema);
    return batch;
}

static void every_type_makes_the_round_trip(void **state) {
    (void)state;
    struct batch *batch = every_type();
    struct text expected = {0}, got = {0};
    print_rows(batch, &expected);
    struct ArrowSchema arrow;
    struct ArrowArray array;
    struct sabot_error err = {0};
    OK(schema_export(batch->schema, &arrow, &err));
    OK(batch_export(&pool, batch, &array, &err));
    struct importer *importer;
    OK(importer_new(&arrow, &importer, &err));
    assert_true(schema_equal(importer_schema(importer), batch->schema));
    batch_unref(batch);
    OK(importer_put(importer, &array, &err));
    assert_null(array.release);
    for (;;) { /* slices at odd places */
        struct batch *slice;
        OK(importer_next(importer, &pool, 17, &slice, &err));
        if (!slice) { break; }
        print_rows(slice, &got);
        batch_unref(slice);
    }
    assert_string_equal(text_string(&got), text_string(&expected));
    importer_free(importer);
    ArrowSchemaRelease(&arrow);
    text_clear(&expected);
    text_clear(&got);
    assert_int_equal(pool.used, 0);
}

struct list_source {
    struct batch *batch;
    int left;
    bool *closed;
};
static sabot_status list_next(void *self, struct batch **out, struct sabot_error *err) {
    struct list_source *source = self;
    if (source->left == 0) { return SABOT_FAIL(err, SABOT_ERR_IO, "the well is dry"); }
    source->left--;
    *out = source->left == 0 ? NULL : batch_ref(source->batch);
    return SABOT_OK;
}
static void list_close(void *self) {
    struct list_source *source = self;
    *source->closed = true;
    batch_unref(source->batch);
}

static void streams_go_out_and_come_in(void **state) {
    (void)state;
    bool closed = false;
    struct list_source source = {.batch = every_type(), .left = 4, .closed = &closed};
    struct ArrowArrayStream stream;
    OK(stream_export(&pool, source.batch->schema, (struct batch_source){list_next, list_close, &source}, &stream,
                     NULL));
    struct importer *importer;
    OK(importer_of_stream(&stream, &importer, NULL));
    int64_t rows = 0;
    for (;;) {
        struct batch *batch;
        OK(importer_next(importer, &pool, BATCH_ROWS_MAX, &batch, NULL));
        if (!batch) { break; }
        rows += batch->rows;
        batch_unref(batch);
    }
    assert_int_equal(rows, 3 * ROWS);
    struct batch *none;
    struct sabot_error err = {0};
    assert_int_equal(importer_next(importer, &pool, 10, &none, &err), SABOT_ERR_IO);
    assert_non_null(strstr(err.message, "the well is dry"));
    assert_false(closed);
    importer_free(importer);
    assert_true(closed);
    assert_int_equal(pool.used, 0);
}

/* One column of a type with values, made by nanoarrow itself. */
static void make_schema(struct ArrowSchema *schema, enum ArrowType type) {
    ArrowSchemaInit(schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(schema, 1), 0);
    assert_int_equal(ArrowSchemaSetType(schema->children[0], type), 0);
    assert_int_equal(ArrowSchemaSetName(schema->children[0], "c"), 0);
}

static void expect_column(const struct ArrowSchema *schema, struct ArrowArray *array, const char *expected) {
    struct importer *importer;
    struct batch *batch;
    struct text got = {0};
    struct sabot_error err = {0};
    OK(importer_new(schema, &importer, &err));
    OK(importer_put(importer, array, &err));
    OK(importer_next(importer, &pool, 1000, &batch, &err));
    print_rows(batch, &got);
    assert_string_equal(text_string(&got), expected);
    text_clear(&got);
    batch_unref(batch);
    importer_free(importer);
}

static void unsigned_numbers_are_widened(void **state) {
    (void)state;
    const enum ArrowType types[] = {NANOARROW_TYPE_UINT8, NANOARROW_TYPE_UINT16, NANOARROW_TYPE_UINT32,
                                    NANOARROW_TYPE_UINT64};
    const uint64_t values[] = {255, 65535, 4294967295u, UINT64_MAX};
    const char *const expected[] = {"255|\n\\N|\n", "65535|\n\\N|\n", "4294967295|\n\\N|\n",
                                    "18446744073709551615|\n\\N|\n"};
    for (int i = 0; i < 4; i++) {
        struct ArrowSchema schema;
        struct ArrowArray array;
        make_schema(&schema, types[i]);
        assert_int_equal(ArrowArrayInitFromSchema(&array, &schema, NULL), 0);
        assert_int_equal(ArrowArrayStartAppending(&array), 0);
        assert_int_equal(ArrowArrayAppendUInt(array.children[0], values[i]), 0);
        assert_int_equal(ArrowArrayFinishElement(&array), 0);
        assert_int_equal(ArrowArrayAppendNull(array.children[0], 1), 0);
        assert_int_equal(ArrowArrayFinishElement(&array), 0);
        assert_int_equal(ArrowArrayFinishBuildingDefault(&array, NULL), 0);
        expect_column(&schema, &array, expected[i]);
        ArrowSchemaRelease(&schema);
    }
    assert_int_equal(pool.used, 0);
}

static void strings_of_every_arrow_layout_are_read(void **state) {
    (void)state;
    const enum ArrowType types[] = {NANOARROW_TYPE_STRING, NANOARROW_TYPE_LARGE_STRING, NANOARROW_TYPE_STRING_VIEW};
    for (int i = 0; i < 3; i++) {
        struct ArrowSchema schema;
        struct ArrowArray array;
        make_schema(&schema, types[i]);
        assert_int_equal(ArrowArrayInitFromSchema(&array, &schema, NULL), 0);
        assert_int_equal(ArrowArrayStartAppending(&array), 0);
        const char *const texts[] = {"cut off", "", "short", "a string that is not inlined"};
        for (int k = 0; k < 4; k++) {
            assert_int_equal(ArrowArrayAppendString(array.children[0], ArrowCharView(texts[k])), 0);
            assert_int_equal(ArrowArrayFinishElement(&array), 0);
        }
        assert_int_equal(ArrowArrayAppendNull(array.children[0], 1), 0);
        assert_int_equal(ArrowArrayFinishElement(&array), 0);
        assert_int_equal(ArrowArrayFinishBuildingDefault(&array, NULL), 0);
        array.offset = 1; /* a slice: offsets of parents count for children */
        array.length = 4;
        expect_column(&schema, &array, "|\nshort|\na string that is not inlined|\n\\N|\n");
        ArrowSchemaRelease(&schema);
    }
}

static void dictionaries_are_decoded(void **state) {
    (void)state;
    struct ArrowSchema schema;
    struct ArrowArray array;
    make_schema(&schema, NANOARROW_TYPE_INT16);
    assert_int_equal(ArrowSchemaAllocateDictionary(schema.children[0]), 0);
    assert_int_equal(ArrowSchemaInitFromType(schema.children[0]->dictionary, NANOARROW_TYPE_STRING), 0);
    for (int bad = 0; bad < 2; bad++) {
        assert_int_equal(ArrowArrayInitFromSchema(&array, &schema, NULL), 0);
        assert_int_equal(ArrowArrayStartAppending(&array), 0);
        assert_int_equal(ArrowArrayAppendString(array.children[0]->dictionary, ArrowCharView("red")), 0);
        assert_int_equal(ArrowArrayAppendString(array.children[0]->dictionary, ArrowCharView("green")), 0);
        const int64_t indexes[] = {1, 0, bad ? 2 : 1};
        for (int k = 0; k < 3; k++) {
            assert_int_equal(ArrowArrayAppendInt(array.children[0], indexes[k]), 0);
            assert_int_equal(ArrowArrayFinishElement(&array), 0);
        }
        assert_int_equal(ArrowArrayFinishBuilding(&array, NANOARROW_VALIDATION_LEVEL_NONE, NULL), 0);
        if (!bad) {
            expect_column(&schema, &array, "green|\nred|\ngreen|\n");
            continue;
        }
        struct importer *importer;
        OK(importer_new(&schema, &importer, NULL));
        struct sabot_error err = {0};
        struct batch *batch = NULL;
        sabot_status status = importer_put(importer, &array, &err);
        if (status == SABOT_OK) { status = importer_next(importer, &pool, 10, &batch, &err); }
        assert_int_equal(status, SABOT_ERR_DATA);
        importer_free(importer);
    }
    ArrowSchemaRelease(&schema);
    assert_int_equal(pool.used, 0);
}

static void expect_refused(struct batch *batch, void (*spoil)(struct ArrowArray *)) {
    struct ArrowSchema arrow;
    struct ArrowArray array;
    OK(schema_export(batch->schema, &arrow, NULL));
    OK(batch_export(&pool, batch, &array, NULL));
    spoil(&array);
    struct importer *importer;
    OK(importer_new(&arrow, &importer, NULL));
    struct sabot_error err = {0};
    struct batch *got = NULL;
    sabot_status status = importer_put(importer, &array, &err);
    if (status == SABOT_OK) { status = importer_next(importer, &pool, 1000, &got, &err); }
    assert_int_equal(status, SABOT_ERR_DATA);
    assert_true(err.message[0] != '\0');
    importer_free(importer);
    ArrowSchemaRelease(&arrow);
}

static void spoil_length(struct ArrowArray *array) { array->children[3]->length = 50; }
static void spoil_buffer_count(struct ArrowArray *array) { array->children[3]->n_buffers = 1; }
static void spoil_negative(struct ArrowArray *array) { array->length = -1; }
static void spoil_offsets(struct ArrowArray *array) {
    /* the last offset stays, so that only a check of all of them finds it */
    int32_t *offsets = (int32_t *)(uintptr_t)array->children[9]->buffers[1];
    offsets[50] = offsets[51] + 1000;
}
static void spoil_null_buffer(struct ArrowArray *array) { array->children[3]->buffers[1] = NULL; }

static void arrays_that_lie_are_refused(void **state) {
    (void)state;
    void (*const spoilers[])(struct ArrowArray *) = {spoil_length,   spoil_buffer_count,
                                                     spoil_negative, spoil_offsets,      spoil_null_buffer};
    for (size_t i = 0; i < sizeof spoilers / sizeof spoilers[0]; i++) {
        struct batch *batch = every_type();
        expect_refused(batch, spoilers[i]);
        batch_unref(batch);
    }
}

static void tables_must_be_structs_of_known_types(void **state) {
    (void)state;
    struct ArrowSchema schema;
    struct schema *out;
    struct sabot_error err = {0};
    assert_int_equal(ArrowSchemaInitFromType(&schema, NANOARROW_TYPE_INT32), 0);
    assert_int_equal(schema_import(&schema, &out, &err), SABOT_ERR_DATA);
    ArrowSchemaRelease(&schema);
    assert_int_equal(schema_import(&schema, &out, NULL), SABOT_ERR_USAGE);
    error_clear(&err);
    ArrowSchemaInit(&schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(&schema, 1), 0);
    assert_int_equal(ArrowSchemaSetTypeUnion(schema.children[0], NANOARROW_TYPE_DENSE_UNION, 0), 0);
    assert_int_equal(ArrowSchemaSetName(schema.children[0], "u"), 0);
    assert_int_equal(schema_import(&schema, &out, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'u'"));
    ArrowSchemaRelease(&schema);
}

/* Out, in, joined, taken and detached under every memory limit: failures are reported, nothing leaks. */
static sabot_status there_and_back(struct batch *batch, struct sabot_error *err) {
    struct ArrowSchema arrow;
    struct ArrowArray array;
    struct importer *importer = NULL;
    struct batch *parts[2] = {NULL, NULL}, *all = NULL, *taken = NULL, *own = NULL;
    const int32_t rows[] = {199, 0, 57, 101, 57};
    SABOT_TRY(schema_export(batch->schema, &arrow, err));
    sabot_status status = importer_new(&arrow, &importer, err);
    if (status == SABOT_OK) { status = batch_export(&pool, batch, &array, err); }
    if (status == SABOT_OK) { status = importer_put(importer, &array, err); }
    if (status == SABOT_OK) { status = importer_next(importer, &pool, ROWS, &parts[0], err); }
    parts[1] = batch_ref(batch);
    if (status == SABOT_OK) { status = batch_concat(&pool, parts, 2, &all, err); }
    if (status == SABOT_OK) { status = batch_take(&pool, all, rows, 5, &taken, err); }
    if (status == SABOT_OK) { status = batch_detach(&pool, taken, &own, err); }
    if (status == SABOT_OK) { status = batch_cache_hashes(&pool, own, rows + 1, 1, err); }
    if (status == SABOT_OK) {
        struct text expected = {0}, got = {0};
        print_rows(taken, &expected);
        print_rows(own, &got);
        assert_string_equal(text_string(&got), text_string(&expected));
        text_clear(&expected);
        text_clear(&got);
    }
    batch_unref(own);
    batch_unref(taken);
    batch_unref(all);
    batch_unref(parts[0]);
    batch_unref(parts[1]);
    importer_free(importer);
    ArrowSchemaRelease(&arrow);
    return status;
}

static void memory_limits_are_survived(void **state) {
    (void)state;
    struct batch *batch = every_type();
    const int64_t base = pool.used;
    sabot_status status = SABOT_ERR_MEMORY;
    for (int64_t room = 0; status == SABOT_ERR_MEMORY; room += 512) {
        assert_true(room < 10000000);
        pool.limit = base + room;
        struct sabot_error err = {0};
        status = there_and_back(batch, &err);
        assert_int_equal(err.status, status);
        assert_int_equal(pool.used, base);
    }
    pool.limit = INT64_C(1) << 30;
    assert_int_equal(status, SABOT_OK);
    batch_unref(batch);
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_C(1) << 30);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_makes_the_round_trip),
        cmocka_unit_test(streams_go_out_and_come_in),
        cmocka_unit_test(unsigned_numbers_are_widened),
        cmocka_unit_test(strings_of_every_arrow_layout_are_read),
        cmocka_unit_test(dictionaries_are_decoded),
        cmocka_unit_test(arrays_that_lie_are_refused),
        cmocka_unit_test(memory_limits_are_survived),
        cmocka_unit_test(tables_must_be_structs_of_known_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
