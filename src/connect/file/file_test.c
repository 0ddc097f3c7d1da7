/* The connector 'filesystem': what pyarrow and Python wrote is read in every format, from every position; what is
 * written is invisible until it is committed, and read back by others. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "connect/file/file.h"

extern const struct source_type file_source;
extern const struct sink_type file_sink;

static char folder[64];
static struct memory_pool pool;
static struct schema *all_columns, *flat_columns;
static struct env_event *awake;

static const char *script(void) {
    static const char *const places[] = {"../src/connect/file/file_test.py", "src/connect/file/file_test.py"};
    return access(places[0], R_OK) == 0 ? places[0] : places[1];
}

static void wake(void *arg) {
    (void)arg;
    env_event_set(awake);
}

/* --- lines of text, sorted, to compare multisets */

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void sort_lines(struct text *text) {
    char **lines = NULL;
    size_t n = 0;
    for (char *line = text->data; line && *line; n++) {
        if (n % 4096 == 0) { lines = realloc(lines, (n + 4096) * sizeof *lines); }
        assert_non_null(lines);
        lines[n] = line;
        line = strchr(line, '\n');
        if (line) { *line++ = 0; }
    }
    if (n) { qsort(lines, n, sizeof *lines, by_text); }
    struct text sorted = {0};
    for (size_t i = 0; i < n; i++) {
        text_add(&sorted, lines[i]);
        text_append(&sorted, "\n", 1);
    }
    free(lines);
    text_clear(text);
    *text = sorted;
}

static void load(const char *name, struct text *out) {
    char path[128];
    snprintf(path, sizeof path, "%s/in/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char block[65536];
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;) { text_append(out, block, got); }
    fclose(file);
}

static void assert_same_rows(struct text *got, const char *expected) {
    struct text want = {0};
    load(expected, &want);
    sort_lines(got);
    sort_lines(&want);
    if (got->size != want.size || (want.size && memcmp(got->data, want.data, want.size) != 0)) {
        size_t at = 0;
        while (at < got->size && at < want.size && got->data[at] == want.data[at]) { at++; }
        fail_msg("%zu bytes where %zu are expected; they differ at %zu: \"%.80s\" and \"%.80s\"", got->size, want.size,
                 at, at < got->size ? got->data + at : "", at < want.size ? want.data + at : "");
    }
    text_clear(&want);
}

/* --- reading */

struct reading {
    const char *path, *format;
    struct schema *schema, *declared;
    const char *const *metadata;
    struct table_option more[5];
    int32_t n_more;
    int32_t parallelism, batch_rows;
    int malformed;
    sabot_status status;
    struct sabot_error err;
};

static sabot_status on_malformed(void *arg, const char *place, const char *reason, const void *record, size_t size,
                                 struct sabot_error *err) {
    (void)record, (void)size, (void)err;
    assert_true(place[0] && reason[0]);
    ((struct reading *)arg)->malformed++;
    return SABOT_OK;
}

struct setup {
    struct table_option options[8];
    struct connector_table table;
    struct connector_context context;
};

static void setup_fill(struct setup *setup, struct reading *reading, int32_t subtask) {
    setup->options[0] = (struct table_option){"connector", "filesystem", 0, 0};
    setup->options[1] = (struct table_option){"path", reading->path, 0, 0};
    setup->options[2] = (struct table_option){"format", reading->format, 0, 0};
    for (int32_t i = 0; i < reading->n_more; i++) { setup->options[3 + i] = reading->more[i]; }
    setup->table = (struct connector_table){
        .name = "t",
        .options = setup->options,
        .n_options = 3 + reading->n_more,
        .schema = reading->schema,
        .declared = reading->declared ? reading->declared : reading->schema,
        .metadata = reading->metadata,
    };
    setup->context = (struct connector_context){
        .env = env_real(),
        .pool = &pool,
        .table = &setup->table,
        .subtask = subtask,
        .parallelism = reading->parallelism ? reading->parallelism : 1,
        .batch_rows = reading->batch_rows ? reading->batch_rows : 1000,
        .malformed = on_malformed,
        .malformed_arg = reading,
        .wake = wake,
    };
}

/* JSON lines of a batch. */
static void lines_of(struct reading *reading, const struct batch *batch, struct text *out) {
    struct sabot_error err = {0};
    struct setup setup;
    struct encoder *encoder;
    setup_fill(&setup, reading, 0);
    setup.table.n_options = 0;
    const struct format_type *json = format_find("json");
    assert_int_equal(json->encoder_new(&setup.context, &encoder, &err), SABOT_OK);
    assert_int_equal(json->encode(encoder, batch, out, NULL, &err), SABOT_OK);
    json->encoder_free(encoder);
}

/* Polls a source for at most `batches_max` batches; returns false at its end or after a failure. */
static bool take(struct reading *reading, struct source *source, int batches_max, struct text *out) {
    for (int n = 0; n < batches_max;) {
        enum source_state state;
        struct source_result result;
        reading->status = file_source.poll(source, &state, &result, &reading->err);
        if (reading->status != SABOT_OK || state == SOURCE_END) { return false; }
        if (state == SOURCE_WAIT) {
            env_event_wait(awake, 20000000);
            continue;
        }
        assert_true(result.split >= 0 && result.split < file_source.n_splits(source));
        assert_true(result.batch->rows <= (reading->batch_rows ? reading->batch_rows : 1000));
        lines_of(reading, result.batch, out);
        batch_unref(result.batch);
        n++;
    }
    return true;
}

/* All subtasks, one after the other. */
static void read_all(struct reading *reading, struct text *out) {
    const int32_t parallelism = reading->parallelism ? reading->parallelism : 1;
    for (int32_t i = 0; i < parallelism; i++) {
        struct setup setup;
        struct source *source = NULL;
        setup_fill(&setup, reading, i);
        reading->status = file_source.open(&setup.context, &source, &reading->err);
        if (reading->status != SABOT_OK) { return; }
        while (take(reading, source, 1 << 30, out)) {}
        file_source.close(source);
        if (reading->status != SABOT_OK) { return; }
    }
}

static const char *in(const char *name) {
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/in/%s", folder, name);
    return path;
}

static const struct {
    const char *name, *format;
    bool flat;
    struct table_option more[4];
    int32_t n_more;
} inputs[] = {
    {"a.json", "json", false, {{"source.split-size", "100 kb", 0, 0}}, 1},
    {"a.json", "json", false, {{0}}, 0},
    {"crlf.json", "json", false, {{"source.split-size", "77777", 0, 0}}, 1},
    {"a.json.gz", "json", false, {{0}}, 0},
    {"a.json.zst", "json", false, {{0}}, 0},
    {"a.json.lz4", "json", false, {{0}}, 0},
    {"a.csv", "csv", true, {{"csv.header", "true", 0, 0}, {"csv.null-literal", "\\N", 0, 0}}, 2},
    {"crlf.csv", "csv", true, {{"csv.header", "true", 0, 0}, {"csv.null-literal", "\\N", 0, 0}}, 2},
#ifdef SABOT_BRIDGE_IO
    {"a.parquet", "parquet", false, {{"source.split-size", "1 b", 0, 0}}, 1},
    {"a.parquet", "parquet", false, {{0}}, 0},
    {"a.arrow", "arrow", false, {{0}}, 0},
    {"stream.arrow", "arrow", false, {{0}}, 0},
#endif
};
#define N_INPUTS (sizeof inputs / sizeof inputs[0])

static struct reading input_reading(size_t i) {
    struct reading reading = {
        .path = in(inputs[i].name),
        .format = inputs[i].format,
        .schema = inputs[i].flat ? flat_columns : all_columns,
        .n_more = inputs[i].n_more,
    };
    memcpy(reading.more, inputs[i].more, sizeof inputs[i].more);
    return reading;
}

static void what_others_wrote_is_read_in_every_format(void **state) {
    (void)state;
    for (size_t i = 0; i < N_INPUTS; i++) {
        for (int32_t parallelism = 1; parallelism <= 3; parallelism += 2) {
            struct reading reading = input_reading(i);
            struct text out = {0};
            reading.parallelism = parallelism;
            read_all(&reading, &out);
            if (reading.status != SABOT_OK) { fail_msg("%s: %s", inputs[i].name, reading.err.message); }
            assert_int_equal(reading.malformed, 0);
            assert_same_rows(&out, inputs[i].flat ? "expected.flat" : "expected.all");
            text_clear(&out);
        }
    }
    assert_int_equal(pool.used, 0);
}

struct positions {
    struct string_view ids[512], places[512];
    struct text texts[1024];
    int32_t n;
};

static void positions_take(struct source *source, struct positions *positions) {
    struct sabot_error err = {0};
    for (int32_t s = 0; s < file_source.n_splits(source); s++) {
        struct source_split split;
        file_source.split(source, s, &split);
        struct text *id = &positions->texts[positions->n * 2], *place = id + 1;
        text_add(id, split.id);
        assert_int_equal(file_source.position(source, s, place, &err), SABOT_OK);
        positions->ids[positions->n] = string_view_of(id->data, (uint32_t)id->size);
        positions->places[positions->n++] = string_view_of(place->data, (uint32_t)place->size);
        assert_true(positions->n < 512);
    }
}

static struct batch *positions_batch(const struct positions *positions) {
    struct sabot_error err = {0};
    const struct field fields[] = {{"split", type_of(TYPE_STRING)}, {"position", type_of(TYPE_BINARY)}};
    struct schema *schema;
    struct column *columns[2];
    struct batch *batch;
    const struct string_view *const from[] = {positions->ids, positions->places};
    assert_int_equal(schema_new(fields, 2, &schema, &err), SABOT_OK);
    for (int c = 0; c < 2; c++) {
        struct column_builder builder;
        assert_int_equal(column_builder_init(&builder, &pool, PHYS_VIEW, positions->n, false, &err), SABOT_OK);
        memcpy(builder.values, from[c], (size_t)positions->n * sizeof(struct string_view));
        assert_int_equal(column_builder_finish(&builder, &columns[c], &err), SABOT_OK);
    }
    assert_int_equal(batch_new(schema, columns, 2, positions->n, &batch, &err), SABOT_OK);
    schema_unref(schema);
    return batch;
}

static void a_restored_source_goes_on_where_the_snapshot_was_at_any_parallelism(void **state) {
    (void)state;
    unsigned seed = 5;
    for (size_t i = 0; i < N_INPUTS; i++) {
        struct reading reading = input_reading(i);
        struct text out = {0};
        struct positions *before = calloc(1, sizeof *before);
        reading.batch_rows = 300;
        bool more = true;
        for (int round = 0; more && round < 50; round++) {
            const int32_t parallelism = 1 + rand_r(&seed) % 3;
            struct positions *after = calloc(1, sizeof *after);
            assert_non_null(after);
            more = false;
            reading.parallelism = parallelism;
            for (int32_t subtask = 0; subtask < parallelism; subtask++) {
                struct setup setup;
                struct source *source;
                setup_fill(&setup, &reading, subtask);
                if (file_source.open(&setup.context, &source, &reading.err) != SABOT_OK) {
                    fail_msg("%s", reading.err.message);
                }
                struct batch *rows = positions_batch(before);
                if (file_source.restore(source, rows, &reading.err) != SABOT_OK) {
                    fail_msg("%s", reading.err.message);
                }
                batch_unref(rows);
                more |= take(&reading, source, rand_r(&seed) % 8, &out);
                if (reading.status != SABOT_OK) { fail_msg("%s", reading.err.message); }
                positions_take(source, after);
                file_source.close(source);
            }
            for (int t = 0; t < 1024; t++) { text_clear(&before->texts[t]); }
            free(before);
            before = after;
        }
        assert_false(more);
        assert_same_rows(&out, inputs[i].flat ? "expected.flat" : "expected.all");
        for (int t = 0; t < 1024; t++) { text_clear(&before->texts[t]); }
        free(before);
        text_clear(&out);
    }
    assert_int_equal(pool.used, 0);
}

/* --- ranges of lines */

/* Writes `text` to in/<name>; the path. */
static const char *input_write(const char *name, const struct text *text) {
    struct sabot_error err = {0};
    const char *path = in(name);
    assert_int_equal(env_write_file(env_real(), path, text->data, text->size, &err), SABOT_OK);
    return path;
}

static void lines_add(struct text *text, int first, int end) {
    for (int i = first; i < end; i++) { text_format(text, "{\"id\":%d}\n", i); }
}

static void assert_same_lines(struct text *got, struct text *want) {
    sort_lines(got);
    sort_lines(want);
    assert_string_equal(text_string(got), text_string(want));
    text_clear(got);
    text_clear(want);
}

static struct schema *id_schema(void) {
    struct sabot_error err = {0};
    const struct field field = {"id", type_of(TYPE_INT64)};
    struct schema *schema;
    assert_int_equal(schema_new(&field, 1, &schema, &err), SABOT_OK);
    return schema;
}

static void blank_lines_at_the_border_of_two_ranges_double_no_record(void **state) {
    (void)state;
    static const char *const gaps[] = {"", "\n", "\r\n", " \t\n\n", "\n\n\n\n\n\n\n\n"};
    struct schema *schema = id_schema();
    struct text file = {0};
    for (int i = 0; i < 100; i++) { text_format(&file, "{\"id\":%d}\n%s", i, gaps[i % 5]); }
    const char *path = input_write("gaps.json", &file);
    for (int bytes = 1; bytes < 64; bytes++) {
        char size[16];
        snprintf(size, sizeof size, "%d", bytes);
        struct reading reading = {.path = path, .format = "json", .schema = schema, .parallelism = 1 + bytes % 3,
                                  .more = {{"source.split-size", size, 0, 0}}, .n_more = 1,
                                  .batch_rows = 1 + bytes % 4};
        struct text out = {0}, want = {0};
        read_all(&reading, &out);
        assert_int_equal(reading.status, SABOT_OK);
        lines_add(&want, 0, 100);
        assert_same_lines(&out, &want);
    }
    text_clear(&file);
    schema_unref(schema);
    assert_int_equal(pool.used, 0);
}

/* Reads a file of ten lines in ranges of 30 bytes, `batches` of 2 rows from each subtask; its positions. */
static void ten_lines_begin(struct reading *reading, int batches, struct positions *at, struct text *out) {
    struct text file = {0};
    if (strcmp(reading->format, "csv") == 0) {
        text_add(&file, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    } else {
        lines_add(&file, 0, 10);
    }
    reading->path = input_write("grows.json", &file);
    text_clear(&file);
    for (int32_t subtask = 0; subtask < reading->parallelism; subtask++) {
        struct setup setup;
        struct source *source;
        setup_fill(&setup, reading, subtask);
        assert_int_equal(file_source.open(&setup.context, &source, &reading->err), SABOT_OK);
        take(reading, source, batches, out);
        positions_take(source, at);
        file_source.close(source);
    }
}

static void positions_clear(struct positions *positions) {
    for (int32_t i = 0; i < 2 * positions->n; i++) { text_clear(&positions->texts[i]); }
    free(positions);
}

/* Goes on from positions at another parallelism. */
static sabot_status go_on(struct reading *reading, const struct positions *at, int32_t parallelism, struct text *out) {
    reading->parallelism = parallelism;
    reading->status = SABOT_OK;
    for (int32_t subtask = 0; subtask < parallelism && reading->status == SABOT_OK; subtask++) {
        struct setup setup;
        struct source *source;
        setup_fill(&setup, reading, subtask);
        assert_int_equal(file_source.open(&setup.context, &source, &reading->err), SABOT_OK);
        struct batch *rows = positions_batch(at);
        reading->status = file_source.restore(source, rows, &reading->err);
        batch_unref(rows);
        while (reading->status == SABOT_OK && take(reading, source, 1 << 30, out)) {}
        file_source.close(source);
    }
    return reading->status;
}

static void a_file_of_ranges_that_has_grown_is_gone_on_with_as_it_was_cut(void **state) {
    (void)state;
    struct schema *schema = id_schema();
    /* read to its end: what came later is not followed; 20 bytes: it is one range until it has grown */
    static const struct {
        int batches;
        const char *bytes;
        int32_t parallelism;
        int rows;
    } cases[] = {{99, "30", 1, 10}, {99, "30", 2, 10}, {1, "30", 1, 40}, {3, "30", 1, 40},
                 {1, "30", 2, 40},  {5, "30", 1, 40},  {1, "200", 1, 40}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct positions *at = calloc(1, sizeof *at);
        struct text out = {0}, want = {0}, file = {0};
        struct reading reading = {.format = "json", .schema = schema, .parallelism = cases[i].parallelism,
                                  .more = {{"source.split-size", cases[i].bytes, 0, 0}}, .n_more = 1, .batch_rows = 2};
        assert_non_null(at);
        ten_lines_begin(&reading, cases[i].batches, at, &out);
        lines_add(&file, 0, 40);
        input_write("grows.json", &file);
        if (go_on(&reading, at, 1 + (int32_t)i % 3, &out) != SABOT_OK) { fail_msg("%s", reading.err.message); }
        lines_add(&want, 0, cases[i].rows);
        assert_same_lines(&out, &want);
        positions_clear(at);
        text_clear(&file);
    }
    schema_unref(schema);
    assert_int_equal(pool.used, 0);
}

static void a_half_read_file_that_has_become_shorter_is_refused(void **state) {
    (void)state;
    struct schema *schema = id_schema();
    for (int is_csv = 0; is_csv < 2; is_csv++) {
        struct positions *at = calloc(1, sizeof *at);
        struct text out = {0}, file = {0};
        struct reading reading = {.format = is_csv ? "csv" : "json", .schema = schema, .parallelism = 1,
                                  .batch_rows = 2};
        assert_non_null(at);
        ten_lines_begin(&reading, 1, at, &out);
        text_add(&file, is_csv ? "1\n" : "{\"id\":0}\n{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n");
        input_write("grows.json", &file);
        assert_int_equal(go_on(&reading, at, 1, &out), SABOT_ERR_STATE);
        assert_non_null(strstr(reading.err.message, "grows.json"));
        positions_clear(at);
        text_clear(&file);
        text_clear(&out);
    }
    schema_unref(schema);
    assert_int_equal(pool.used, 0);
}

static void positions_of_earlier_versions_are_read(void **state) {
    (void)state;
    struct schema *schema = id_schema();
    struct text file = {0}, out = {0}, want = {0};
    lines_add(&file, 0, 10);
    struct reading reading = {.path = input_write("grows.json", &file), .format = "json", .schema = schema,
                              .more = {{"source.split-size", "30", 0, 0}}, .n_more = 1};
    struct positions *at = calloc(1, sizeof *at);
    assert_non_null(at);
    static const char *const parts[] = {":0+30", ":30+30"}, *const places[] = {"done", "bytes 36"};
    for (int i = 0; i < 2; i++) {
        struct text *id = &at->texts[i * 2], *place = id + 1;
        text_format(id, "%s%s", reading.path, parts[i]);
        text_add(place, places[i]);
        at->ids[i] = string_view_of(id->data, (uint32_t)id->size);
        at->places[i] = string_view_of(place->data, (uint32_t)place->size);
    }
    at->n = 2;
    assert_int_equal(go_on(&reading, at, 2, &out), SABOT_OK);
    lines_add(&want, 4, 10);
    assert_same_lines(&out, &want);
    positions_clear(at);
    text_clear(&file);
    schema_unref(schema);
}

static void a_damaged_or_missing_file_is_an_error_that_names_it(void **state) {
    (void)state;
    const struct {
        const char *name, *format, *text;
        sabot_status status;
    } cases[] = {
        {"cut.json.gz", "json", "cut.json.gz: damaged compression", SABOT_ERR_CORRUPT},
#ifdef SABOT_BRIDGE_IO
        {"cut.parquet", "parquet", "cut.parquet", SABOT_ERR_CORRUPT},
        {"cut.arrow", "arrow", "truncated", SABOT_ERR_CORRUPT},
        {"a.json", "parquet", "neither Parquet nor", SABOT_ERR_CORRUPT},
        {"empty.json", "arrow", "empty", SABOT_ERR_CORRUPT},
#endif
        {"nowhere.json", "json", "nowhere.json", SABOT_ERR_NOT_FOUND},
        {"a.json", "jsn", "no format 'jsn'", SABOT_ERR_PLAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reading reading = {.path = in(cases[i].name), .format = cases[i].format, .schema = all_columns};
        struct text out = {0};
        read_all(&reading, &out);
        if (reading.status != cases[i].status || !strstr(reading.err.message, cases[i].text)) {
            fail_msg("%s as %s: status %d, \"%s\"", cases[i].name, cases[i].format, reading.status,
                     reading.err.message);
        }
        text_clear(&out);
    }
    struct reading wrong = {.path = in("a.json"), .format = "json", .schema = all_columns,
                            .more = {{"source.monitor-intervall", "1 s", 0, 0}}, .n_more = 1};
    struct text out = {0};
    read_all(&wrong, &out);
    assert_int_equal(wrong.status, SABOT_ERR_PLAN);
    assert_non_null(strstr(wrong.err.message, "source.monitor-interval"));
    assert_int_equal(pool.used, 0);
}

static void malformed_records_are_told_and_passed_over(void **state) {
    (void)state;
    struct sabot_error err = {0};
    const struct field fields[] = {{"id", type_of(TYPE_INT64)}};
    struct schema *schema;
    assert_int_equal(schema_new(fields, 1, &schema, &err), SABOT_OK);
    struct reading reading = {.path = in("bad.json"), .format = "json", .schema = schema};
    struct text out = {0};
    read_all(&reading, &out);
    assert_int_equal(reading.status, SABOT_OK);
    assert_string_equal(text_string(&out), "{\"id\":1}\n{\"id\":2}\n");
    assert_int_equal(reading.malformed, 4);
    text_clear(&out);
    const char *const empty[] = {"empty.json", "blank.json"};
    for (int i = 0; i < 2; i++) {
        struct reading none = {.path = in(empty[i]), .format = "json", .schema = schema};
        read_all(&none, &out);
        assert_int_equal(none.status, SABOT_OK);
        assert_int_equal(none.malformed, 0);
        assert_int_equal(out.size, 0);
    }
    struct reading csv = {.path = in("empty.csv"), .format = "csv", .schema = flat_columns,
                          .more = {{"csv.header", "true", 0, 0}}, .n_more = 1};
    read_all(&csv, &out);
    assert_int_equal(csv.status, SABOT_OK);
    assert_int_equal(out.size, 0);
    schema_unref(schema);
}

static void metadata_columns_tell_of_the_file(void **state) {
    (void)state;
    struct sabot_error err = {0};
    const struct field fields[] = {{"id", type_of(TYPE_INT64)},
                                   {"p", type_of(TYPE_STRING)},
                                   {"n", type_of(TYPE_STRING)},
                                   {"s", type_of(TYPE_INT64)}};
    const char *const metadata[] = {NULL, "file.path", "file.name", "file.size"};
    struct schema *schema;
    assert_int_equal(schema_new(fields, 4, &schema, &err), SABOT_OK);
    struct reading reading = {.path = in("b*d.json"), .format = "json", .schema = schema, .metadata = metadata};
    struct text out = {0}, want = {0};
    read_all(&reading, &out);
    assert_int_equal(reading.status, SABOT_OK);
    for (int id = 1; id <= 2; id++) {
        text_format(&want, "{\"id\":%d,\"p\":\"%s\",\"n\":\"bad.json\",\"s\":%d}\n", id, in("bad.json"), 101);
    }
    /* the size is what the file system says */
    FILE *file = fopen(in("bad.json"), "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    fclose(file);
    char number[32];
    snprintf(number, sizeof number, "\"s\":%ld}", size);
    assert_non_null(strstr(out.data, number));
    assert_non_null(strstr(out.data, "\"n\":\"bad.json\""));
    assert_non_null(strstr(out.data, in("bad.json")));
    text_clear(&out);
    text_clear(&want);
    schema_unref(schema);
}

/* --- writing */

static char output[96];

static int count(const char *pattern) {
    char path[256];
    glob_t found;
    snprintf(path, sizeof path, "%s/%s", output, pattern);
    const int n = glob(path, GLOB_PERIOD, NULL, &found) == 0 ? (int)found.gl_pathc : 0;
    globfree(&found);
    return n;
}

static void output_clear(void) {
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s/out", folder);
    assert_int_equal(system(command), 0);
    snprintf(output, sizeof output, "%s/out", folder);
}

static struct sink *sink_open(struct setup *setup, struct reading *how) {
    struct sabot_error err = {0};
    struct sink *sink;
    setup_fill(setup, how, 0);
    static int64_t starts;
    setup->context.lineage = 7;
    setup->context.epoch = ++starts; /* as leases of one checkpoint folder give them */
    if (file_sink.open(&setup->context, &sink, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return sink;
}

static void sink_put(struct sink *sink, struct batch *batch) {
    struct sabot_error err = {0};
    for (bool full = true; full;) {
        if (file_sink.write(sink, batch, &full, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (full) { env_event_wait(awake, 20000000); }
    }
}

static void sink_prepare(struct sink *sink, int64_t checkpoint, struct text *pending) {
    struct sabot_error err = {0};
    for (bool full = true; full;) {
        if (file_sink.prepare(sink, checkpoint, pending, &full, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (full) { env_event_wait(awake, 20000000); }
    }
}

static void sink_finish(struct sink *sink) {
    struct sabot_error err = {0};
    for (bool full = true; full;) {
        if (file_sink.finish(sink, &full, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (full) { env_event_wait(awake, 20000000); }
    }
}

/* Copies a.json through a sink; rolls often. */
static void copy_to(struct reading *how, struct table_option compression) {
    struct reading from = {.path = in("a.json"), .format = "json", .schema = how->schema};
    struct setup setup, source_setup;
    struct source *source;
    struct sabot_error err = {0};
    output_clear();
    how->path = output;
    how->more[how->n_more++] = compression;
    how->more[how->n_more++] = (struct table_option){"sink.rolling-policy.file-size", "300 kb", 0, 0};
    struct sink *sink = sink_open(&setup, how);
    setup_fill(&source_setup, &from, 0);
    assert_int_equal(file_source.open(&source_setup.context, &source, &err), SABOT_OK);
    for (;;) {
        enum source_state state;
        struct source_result result;
        assert_int_equal(file_source.poll(source, &state, &result, &err), SABOT_OK);
        if (state == SOURCE_END) { break; }
        if (state == SOURCE_WAIT) {
            env_event_wait(awake, 20000000);
        } else {
            sink_put(sink, result.batch);
        }
    }
    file_source.close(source);
    assert_int_equal(count("part-*"), 0);
    sink_finish(sink);
    assert_true(count("part-*") >= 1);
    assert_int_equal(count(".part-*"), 0);
    file_sink.close(sink);
}

static void what_is_written_is_read_back_by_us_and_by_others(void **state) {
    (void)state;
    const struct {
        const char *format, *compression;
        bool flat;
    } cases[] = {
        {"json", "none", false}, {"json", "gzip", false}, {"json", "zstd", false}, {"json", "lz4", false},
        {"csv", "none", true},   {"csv", "zstd", true},
#ifdef SABOT_BRIDGE_IO
        {"parquet", "zstd", false}, {"parquet", "none", false}, {"arrow", "lz4", false}, {"arrow", "none", false},
#endif
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reading how = {.format = cases[i].format, .schema = cases[i].flat ? flat_columns : all_columns};
        if (cases[i].flat) {
            how.more[how.n_more++] = (struct table_option){"csv.header", "true", 0, 0};
            how.more[how.n_more++] = (struct table_option){"csv.null-literal", "\\N", 0, 0};
        }
        copy_to(&how, (struct table_option){"sink.compression", cases[i].compression, 0, 0});
        struct text out = {0};
        how.parallelism = 2;
        read_all(&how, &out);
        if (how.status != SABOT_OK) { fail_msg("%s", how.err.message); }
        assert_int_equal(how.malformed, 0);
        assert_same_rows(&out, cases[i].flat ? "expected.flat" : "expected.all");
        text_clear(&out);
        if (cases[i].format[0] == 'p' || cases[i].format[0] == 'a') {
            char command[512];
            snprintf(command, sizeof command, "python3 %s check %s/in '%s/part-*'", script(), folder, output);
            assert_int_equal(system(command), 0);
        }
    }
    assert_int_equal(pool.used, 0);
}

static struct batch *numbers(int64_t from, int32_t n, struct schema *schema) {
    struct sabot_error err = {0};
    struct column_builder builder;
    struct column *column;
    struct batch *batch;
    assert_int_equal(column_builder_init(&builder, &pool, PHYS_I64, n, false, &err), SABOT_OK);
    for (int32_t i = 0; i < n; i++) { ((int64_t *)builder.values)[i] = from + i; }
    assert_int_equal(column_builder_finish(&builder, &column, &err), SABOT_OK);
    assert_int_equal(batch_new(schema, &column, 1, n, &batch, &err), SABOT_OK);
    return batch;
}

static struct batch *pending_batch(struct text *pending) {
    struct sabot_error err = {0};
    const struct field field = {"pending", type_of(TYPE_BINARY)};
    struct schema *schema;
    struct column *column;
    struct batch *batch;
    const struct string_view view = string_view_of(pending->data, (uint32_t)pending->size);
    assert_int_equal(schema_new(&field, 1, &schema, &err), SABOT_OK);
    assert_int_equal(column_constant(&pool, PHYS_VIEW, &view, 1, &column, &err), SABOT_OK);
    assert_int_equal(batch_new(schema, &column, 1, 1, &batch, &err), SABOT_OK);
    schema_unref(schema);
    return batch;
}

static void a_checkpoint_commits_its_files_once_and_a_restore_removes_what_came_after(void **state) {
    (void)state;
    struct sabot_error err = {0};
    const struct field field = {"id", type_of(TYPE_INT64)};
    struct schema *schema;
    assert_int_equal(schema_new(&field, 1, &schema, &err), SABOT_OK);
    output_clear();
    struct reading how = {.path = output, .format = "json", .schema = schema};
    struct setup setup;
    struct text first = {0}, second = {0}, third = {0};

    struct sink *sink = sink_open(&setup, &how);
    sink_put(sink, numbers(0, 10, schema));
    sink_prepare(sink, 1, &first);
    assert_int_equal(count("part-*"), 0);
    assert_int_equal(count(".part-*.pending"), 1);
    sink_put(sink, numbers(10, 10, schema)); /* belongs to checkpoint 2 */
    assert_int_equal(file_sink.commit(sink, 1, &err), SABOT_OK);
    assert_int_equal(file_sink.commit(sink, 1, &err), SABOT_OK); /* again: nothing */
    assert_int_equal(count("part-*"), 1);
    sink_prepare(sink, 2, &second);
    sink_put(sink, numbers(20, 10, schema)); /* of no complete checkpoint */
    sink_prepare(sink, 3, &third);           /* aborted */
    sink_put(sink, numbers(30, 10, schema));
    file_sink.close(sink); /* a crash: checkpoint 2 was complete, its commit did not come */
    assert_int_equal(count("part-*"), 1);
    assert_true(count(".part-*") >= 2);

    for (int again = 0; again < 2; again++) { /* the restored job crashes too */
        sink = sink_open(&setup, &how);
        struct batch *rows = pending_batch(&second);
        if (file_sink.restore(sink, rows, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        batch_unref(rows);
        assert_int_equal(count("part-*"), 2);
        assert_int_equal(count(".part-*"), 0);
        sink_put(sink, numbers(20, 15, schema));
        if (again == 0) { file_sink.close(sink); }
    }
    sink_finish(sink);
    file_sink.close(sink);
    struct text out = {0}, want = {0};
    read_all(&how, &out);
    for (int i = 0; i < 35; i++) { text_format(&want, "{\"id\":%d}\n", i); }
    sort_lines(&out);
    sort_lines(&want);
    assert_string_equal(text_string(&out), text_string(&want));

    /* a pending file that is gone is told, not passed over */
    struct text gone = {0};
    text_add(&gone, "file part-0123456789abcdef-1-0-7.json\n");
    sink = sink_open(&setup, &how);
    struct batch *rows = pending_batch(&gone);
    assert_int_equal(file_sink.restore(sink, rows, &err), SABOT_ERR_STATE);
    batch_unref(rows);
    file_sink.close(sink);
    struct text *const texts[] = {&first, &second, &third, &out, &want, &gone};
    for (int i = 0; i < 6; i++) { text_clear(texts[i]); }
    schema_unref(schema);
    assert_int_equal(pool.used, 0);
}

/* As a statement set with two INSERTs into one table has them. */
static struct sink *one_of_two_open(struct setup *setup, struct reading *how, int64_t epoch, const char *uid) {
    struct sabot_error err = {0};
    struct sink *sink;
    setup_fill(setup, how, 0);
    setup->context.lineage = 7;
    setup->context.epoch = epoch;
    setup->context.uid = uid;
    if (file_sink.open(&setup->context, &sink, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return sink;
}

static void restore_from(struct sink *sink, struct text *pending) {
    struct sabot_error err = {0};
    struct batch *rows = pending_batch(pending);
    if (file_sink.restore(sink, rows, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    batch_unref(rows);
}

static void two_sinks_of_a_job_write_into_one_folder(void **state) {
    (void)state;
    struct sabot_error err = {0};
    const struct field field = {"id", type_of(TYPE_INT64)};
    struct schema *schema;
    assert_int_equal(schema_new(&field, 1, &schema, &err), SABOT_OK);
    output_clear();
    struct reading how = {.path = output, .format = "json", .schema = schema};
    struct setup setups[2];
    struct text first = {0}, second = {0}, out = {0}, want = {0};

    struct sink *a = one_of_two_open(&setups[0], &how, 1, "a/sink");
    struct sink *b = one_of_two_open(&setups[1], &how, 1, "b/sink");
    sink_put(a, numbers(0, 10, schema));
    sink_prepare(a, 1, &first);
    sink_prepare(b, 1, &second);
    assert_int_equal(file_sink.commit(a, 1, &err), SABOT_OK);
    assert_int_equal(file_sink.commit(b, 1, &err), SABOT_OK);
    sink_put(b, numbers(10, 10, schema)); /* its first file, where the other one's is visible already */
    sink_put(a, numbers(20, 10, schema)); /* both at once */
    text_clear(&first);
    text_clear(&second);
    sink_prepare(a, 2, &first);
    sink_prepare(b, 2, &second);
    file_sink.close(a); /* a crash between the manifest and the commits */
    file_sink.close(b);
    assert_int_equal(count("part-*"), 1);

    a = one_of_two_open(&setups[0], &how, 2, "a/sink");
    restore_from(a, &first);
    assert_int_equal(count("part-*"), 2);
    assert_int_equal(count(".part-*.pending"), 1); /* the other one's, which is still to be committed */
    b = one_of_two_open(&setups[1], &how, 2, "b/sink");
    restore_from(b, &second);
    assert_int_equal(count("part-*"), 3);
    file_sink.close(a);
    file_sink.close(b);
    read_all(&how, &out);
    for (int i = 0; i < 30; i++) { text_format(&want, "{\"id\":%d}\n", i); }
    sort_lines(&out);
    sort_lines(&want);
    assert_string_equal(text_string(&out), text_string(&want));
    struct text *const texts[] = {&first, &second, &out, &want};
    for (int i = 0; i < 4; i++) { text_clear(texts[i]); }
    schema_unref(schema);
    assert_int_equal(pool.used, 0);
}

static void a_watched_folder_gives_new_files_as_they_come(void **state) {
    (void)state;
    struct sabot_error err = {0};
    const struct field field = {"id", type_of(TYPE_INT64)};
    struct schema *schema;
    assert_int_equal(schema_new(&field, 1, &schema, &err), SABOT_OK);
    output_clear();
    char path[160], hidden[160];
    assert_int_equal(env_make_dirs(env_real(), output, &err), SABOT_OK);
    struct reading how = {.path = output, .format = "json", .schema = schema,
                          .more = {{"source.monitor-interval", "5 ms", 0, 0}}, .n_more = 1};
    struct setup setup;
    struct source *source;
    setup_fill(&setup, &how, 0);
    assert_false(file_source.is_bounded(&setup.table));
    assert_int_equal(file_source.open(&setup.context, &source, &err), SABOT_OK);
    struct text out = {0};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%d.json", output, i);
        snprintf(hidden, sizeof hidden, "%s/.%d.json", output, i);
        char line[32];
        snprintf(line, sizeof line, "{\"id\":%d}\n", i);
        assert_int_equal(env_write_file(env_real(), path, line, strlen(line), &err), SABOT_OK);
        assert_int_equal(env_write_file(env_real(), hidden, line, strlen(line), &err), SABOT_OK);
        assert_true(take(&how, source, 1, &out));
    }
    assert_string_equal(text_string(&out), "{\"id\":0}\n{\"id\":1}\n{\"id\":2}\n");
    file_source.close(source);
    text_clear(&out);
    schema_unref(schema);
}

static int begin(void **state) {
    (void)state;
    struct sabot_error err = {0};
    static const struct field r[] = {{"a", {.kind = TYPE_INT32, .nullable = true}},
                                     {"b", {.kind = TYPE_STRING, .nullable = true, .length = TYPE_LENGTH_MAX}}};
    static const struct field l[] = {{"element", {.kind = TYPE_INT32, .nullable = true}}};
    const struct field fields[] = {
        {"id", type_of(TYPE_INT64)},
        {"name", type_of(TYPE_STRING)},
        {"price", type_of(TYPE_FLOAT64)},
        {"flag", type_of(TYPE_BOOL)},
        {"ts", type_timestamp(3)},
        {"amount", type_decimal(20, 3)},
        {"r", {.kind = TYPE_ROW, .nullable = true, .n_fields = 2, .fields = r}},
        {"l", {.kind = TYPE_ARRAY, .nullable = true, .n_fields = 1, .fields = l}},
    };
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    awake = env_event_new(env_real());
    assert_int_equal(schema_new(fields, 8, &all_columns, &err), SABOT_OK);
    assert_int_equal(schema_new(fields, 6, &flat_columns, &err), SABOT_OK);
    snprintf(folder, sizeof folder, "/tmp/sabot_file_%d", (int)getpid());
    char command[512];
    snprintf(command, sizeof command, "mkdir -p %s && python3 %s make %s/in", folder, script(), folder);
    return system(command);
}

static int end(void **state) {
    (void)state;
    char command[128];
    schema_unref(all_columns);
    schema_unref(flat_columns);
    env_event_free(awake);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    if (system("python3 -c 'import pyarrow' 2>/dev/null") != 0) {
        puts("skipped: pyarrow is not there (tools/bootstrap test)");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_wrote_is_read_in_every_format),
        cmocka_unit_test(a_restored_source_goes_on_where_the_snapshot_was_at_any_parallelism),
        cmocka_unit_test(blank_lines_at_the_border_of_two_ranges_double_no_record),
        cmocka_unit_test(a_file_of_ranges_that_has_grown_is_gone_on_with_as_it_was_cut),
        cmocka_unit_test(a_half_read_file_that_has_become_shorter_is_refused),
        cmocka_unit_test(positions_of_earlier_versions_are_read),
        cmocka_unit_test(a_damaged_or_missing_file_is_an_error_that_names_it),
        cmocka_unit_test(malformed_records_are_told_and_passed_over),
        cmocka_unit_test(metadata_columns_tell_of_the_file),
        cmocka_unit_test(what_is_written_is_read_back_by_us_and_by_others),
        cmocka_unit_test(a_checkpoint_commits_its_files_once_and_a_restore_removes_what_came_after),
        cmocka_unit_test(two_sinks_of_a_job_write_into_one_folder),
        cmocka_unit_test(a_watched_folder_gives_new_files_as_they_come),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
