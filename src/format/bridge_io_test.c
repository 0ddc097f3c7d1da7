/* bridge/io: what pyarrow wrote is read and written again without a difference; damaged files are refused. */
#include "bridge/io/bridge_io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <nanoarrow/nanoarrow.h>

#ifdef SABOT_BRIDGE_IO

static char folder[128];

/* The Python half of this test; the tests are started in the build directory or in the source tree. */
static const char *script(void) {
    static const char *const places[] = {"../src/format/bridge_io_test.py", "src/format/bridge_io_test.py"};
    return access(places[0], R_OK) == 0 ? places[0] : places[1];
}

struct bytes {
    char *data;
    size_t size, capacity;
};

static sabot_status bytes_read_at(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                                  struct sabot_error *err) {
    (void)err;
    const struct bytes *bytes = context;
    *got = offset >= bytes->size ? 0 : bytes->size - offset < size ? bytes->size - (size_t)offset : size;
    memcpy(target, bytes->data + (offset < bytes->size ? offset : 0), *got);
    return SABOT_OK;
}

static sabot_status bytes_write(void *context, const void *data, size_t size, struct sabot_error *err) {
    (void)err;
    struct bytes *bytes = context;
    if (bytes->size + size > bytes->capacity) {
        bytes->capacity = (bytes->size + size) * 2;
        bytes->data = realloc(bytes->data, bytes->capacity);
        assert_non_null(bytes->data);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return SABOT_OK;
}

static sabot_status no_read(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                            struct sabot_error *err) {
    (void)context, (void)offset, (void)target, (void)size, (void)got;
    err->status = SABOT_ERR_IO;
    snprintf(err->message, sizeof err->message, "read x: the disk is gone");
    return SABOT_ERR_IO;
}

static struct bytes load(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct bytes bytes = {0};
    char block[65536];
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;) {
        bytes_write(&bytes, block, got, NULL);
    }
    fclose(file);
    return bytes;
}

static void store(const struct bytes *bytes, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->data, 1, bytes->size, file), bytes->size);
    fclose(file);
}

static struct bridge_reader *open_bytes(struct bytes *bytes, bool views, uint64_t size) {
    struct sabot_error err = {0};
    struct bridge_reader *reader = NULL;
    const struct bridge_source source = {.context = bytes, .size = size, .read_at = bytes_read_at};
    if (bridge_reader_open(&source, views, &reader, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return reader;
}

struct copy {
    bool views;
    uint32_t batch_rows;
    bool by_group; /* each group by a reader of its own, the second half of each after a second seek */
    bool pipe;
    struct bridge_write_options write;
    const char *prefix;
};

static void take_all(struct bridge_reader *reader, struct bridge_writer *writer, const struct copy *copy) {
    struct sabot_error err = {0};
    for (;;) {
        struct ArrowArray array;
        uint64_t group, row, group_after, row_after;
        bridge_reader_position(reader, &group, &row);
        if (bridge_reader_next(reader, &array, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (!array.release) { return; }
        assert_true(array.length > 0 && array.length <= copy->batch_rows);
        bridge_reader_position(reader, &group_after, &row_after);
        assert_true(group_after > group ? row_after == (uint64_t)array.length
                                        : row_after == row + (uint64_t)array.length);
        if (bridge_writer_write(writer, &array, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        assert_null(array.release);
        if (copy->by_group) {
            /* A new reader at the same place goes on as the old one would. */
            assert_int_equal(bridge_reader_seek(reader, group_after, UINT64_MAX, row_after, &err), SABOT_OK);
        }
    }
}

static void copy_file(const char *name, const struct copy *copy) {
    struct sabot_error err = {0};
    struct bytes in = load(name), out = {0};
    struct bridge_reader *reader = open_bytes(&in, copy->views, copy->pipe ? UINT64_MAX : in.size);
    struct ArrowSchema schema;
    assert_int_equal(bridge_reader_select(reader, NULL, 0, copy->batch_rows, &err), SABOT_OK);
    assert_int_equal(bridge_reader_schema(reader, &schema, &err), SABOT_OK);
    struct bridge_writer *writer;
    const struct bridge_sink sink = {.context = &out, .write = bytes_write};
    if (bridge_writer_open(&sink, &schema, &copy->write, &writer, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    take_all(reader, writer, copy);
    if (bridge_writer_finish(writer, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    uint64_t written, held;
    bridge_writer_bytes(writer, &written, &held);
    assert_int_equal(written, out.size);
    bridge_writer_close(writer);
    bridge_reader_close(reader);
    ArrowSchemaRelease(&schema);
    char target[256];
    snprintf(target, sizeof target, "%s.from.%s", copy->prefix, name);
    store(&out, target);
    free(in.data);
    free(out.data);
}

static const char *const originals[] = {
    "big_zstd.parquet", "big_none.parquet", "big_snappy.parquet", "big_lz4.parquet",  "big_gzip.parquet",
    "big_zstd.arrow",   "big_none.arrow",   "big_lz4.arrows",     "big_views.arrows", "small_zstd.parquet",
    "small_zstd.arrow", "small_lz4.arrows", "empty_zstd.parquet", "empty_zstd.arrow", "empty_lz4.arrows",
};
#define N_ORIGINALS (sizeof originals / sizeof originals[0])

static void what_pyarrow_wrote_is_copied_without_a_difference(void **state) {
    (void)state;
    static const struct copy copies[] = {
        {true, 1000, false, false, {.format = BRIDGE_PARQUET, .compression = BRIDGE_COMPRESSION_ZSTD}, "a.parquet"},
        {true,
         777,
         true,
         false,
         {.format = BRIDGE_PARQUET, .compression = BRIDGE_COMPRESSION_SNAPPY, .group_rows = 1234},
         "b.parquet"},
        {true, 8192, false, false, {.format = BRIDGE_PARQUET, .compression = BRIDGE_COMPRESSION_LZ4}, "c.parquet"},
        {true, 100, true, false, {.format = BRIDGE_IPC_FILE, .compression = BRIDGE_COMPRESSION_LZ4}, "d.arrow"},
        {true,
         9999,
         false,
         false,
         {.format = BRIDGE_IPC_FILE, .compression = BRIDGE_COMPRESSION_ZSTD, .level = 3},
         "e.arrow"},
        {true, 4096, true, false, {.format = BRIDGE_IPC_STREAM}, "f.arrows"},
        {true,
         300,
         false,
         false,
         {.format = BRIDGE_IPC_FILE, .compression = BRIDGE_COMPRESSION_LZ4_SPARING},
         "i.arrow"},
        {true,
         700,
         true,
         false,
         {.format = BRIDGE_IPC_FILE, .compression = BRIDGE_COMPRESSION_LZ4_SPARING},
         "j.arrow"},
        {false, 4096, true, false, {.format = BRIDGE_PARQUET, .compression = BRIDGE_COMPRESSION_GZIP}, "g.parquet"},
        {true, 5000, false, true, {.format = BRIDGE_PARQUET}, "h.parquet"},
    };
    int made = 0;
    for (size_t i = 0; i < N_ORIGINALS; i++) {
        for (size_t c = 0; c < sizeof copies / sizeof copies[0]; c++) {
            if (copies[c].pipe && !strstr(originals[i], ".arrows")) { continue; }
            copy_file(originals[i], &copies[c]);
            made++;
        }
    }
    char command[1024];
    snprintf(command, sizeof command, "python3 %s check %s %d", script(), folder, made);
    assert_int_equal(system(command), 0);
}

static void selected_columns_come_in_the_order_asked_for(void **state) {
    (void)state;
    for (size_t i = 0; i < N_ORIGINALS; i++) {
        if (strstr(originals[i], "views")) { continue; }
        struct sabot_error err = {0};
        struct bytes in = load(originals[i]);
        struct bridge_reader *reader = open_bytes(&in, true, in.size);
        struct ArrowSchema schema;
        struct ArrowArray array;
        assert_int_equal(bridge_reader_select(reader, (const uint32_t[]){13, 6, 2}, 3, 500, &err), SABOT_OK);
        assert_int_equal(bridge_reader_schema(reader, &schema, &err), SABOT_OK);
        assert_int_equal(schema.n_children, 3);
        assert_string_equal(schema.children[0]->name, "row");
        assert_string_equal(schema.children[1]->name, "text");
        assert_string_equal(schema.children[1]->format, "vu");
        assert_string_equal(schema.children[2]->name, "i64");
        int64_t rows = 0;
        for (;; rows += array.length, ArrowArrayRelease(&array)) {
            assert_int_equal(bridge_reader_next(reader, &array, &err), SABOT_OK);
            if (!array.release) { break; }
            assert_int_equal(array.n_children, 3);
            const int64_t *values = array.children[2]->buffers[1];
            assert_int_equal(values[array.children[2]->offset], rows);
        }
        assert_int_equal(rows, originals[i][0] == 'b' ? 10000 : originals[i][0] == 's' ? 40 : 0);
        assert_int_equal(bridge_reader_select(reader, (const uint32_t[]){99}, 1, 0, &err), SABOT_ERR_USAGE);
        ArrowSchemaRelease(&schema);
        bridge_reader_close(reader);
        free(in.data);
    }
}

/* Reads all of it and forgets it; true if nothing was wrong. */
static bool read_through(struct bytes *bytes, bool views, uint64_t size) {
    struct sabot_error err = {0};
    struct bridge_reader *reader = NULL;
    const struct bridge_source source = {.context = bytes, .size = size, .read_at = bytes_read_at};
    bool good = bridge_reader_open(&source, views, &reader, &err) == SABOT_OK;
    while (good) {
        struct ArrowArray array;
        good = bridge_reader_next(reader, &array, &err) == SABOT_OK;
        if (!good || !array.release) { break; }
        array.release(&array);
    }
    bridge_reader_close(reader);
    assert_int_equal(good, err.status == SABOT_OK);
    if (!good) { assert_true(err.message[0] != 0 && err.file); }
    return good;
}

static const char *const small[] = {"small_zstd.parquet", "small_zstd.arrow", "small_lz4.arrows"};

static void a_truncated_file_is_an_error(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct bytes whole = load(small[i]);
        const size_t step = whole.size / 400 + 1;
        int silent = 0;
        for (size_t size = 0; size < whole.size; size += step) {
            struct bytes cut = whole;
            cut.size = size;
            silent += read_through(&cut, true, size);
            if (i == 2) { read_through(&cut, true, UINT64_MAX); }
        }
        /* A stream may end without its end mark, between two messages; nothing else passes for whole. */
        assert_true(silent <= (i == 2 ? 4 : 0));
        free(whole.data);
    }
}

static void a_damaged_file_is_no_crash(void **state) {
    (void)state;
    const char *rounds_text = getenv("SABOT_DAMAGE_ROUNDS");
    const int rounds = rounds_text ? atoi(rounds_text) : 2000;
    unsigned seed = 7;
    for (size_t i = 0; i < 3; i++) {
        struct bytes whole = load(small[i]);
        int refused = 0;
        for (int round = 0; round < rounds; round++) {
            struct bytes damaged = {malloc(whole.size), whole.size, whole.size};
            memcpy(damaged.data, whole.data, whole.size);
            const int flips = 1 + rand_r(&seed) % 4;
            for (int f = 0; f < flips; f++) {
                /* Directories are where damage matters most, so half of it goes to the ends. */
                size_t at = (size_t)rand_r(&seed) % whole.size;
                if (rand_r(&seed) % 2) {
                    at = rand_r(&seed) % 2 ? at % 600 % whole.size : whole.size - 1 - at % 4000 % whole.size;
                }
                damaged.data[at] = (char)(rand_r(&seed) % 3 ? rand_r(&seed) : 0xff);
            }
            refused += !read_through(&damaged, round % 2, round % 5 ? damaged.size : UINT64_MAX);
            free(damaged.data);
        }
        assert_true(refused > 0);
        free(whole.data);
    }
}

static void a_failure_of_the_callers_read_is_the_failure_told(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct bridge_reader *reader = NULL;
    const struct bridge_source source = {.size = 100, .read_at = no_read};
    assert_int_equal(bridge_reader_open(&source, true, &reader, &err), SABOT_ERR_IO);
    assert_string_equal(err.message, "read x: the disk is gone");
    assert_int_equal(bridge_error_size(), sizeof(struct sabot_error));
}

static int make_files(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sabot_bridge_%d", (int)getpid());
    char command[1024];
    snprintf(command, sizeof command, "mkdir -p %s && python3 %s make %s", folder, script(), folder);
    return system(command);
}

static int remove_files(void **state) {
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    if (system("python3 -c 'import pyarrow' 2>/dev/null") != 0) {
        puts("skipped: pyarrow is not there (tools/bootstrap test)");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_pyarrow_wrote_is_copied_without_a_difference),
        cmocka_unit_test(selected_columns_come_in_the_order_asked_for),
        cmocka_unit_test(a_truncated_file_is_an_error),
        cmocka_unit_test(a_damaged_file_is_no_crash),
        cmocka_unit_test(a_failure_of_the_callers_read_is_the_failure_told),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}

#else
int main(void) { return 77; } /* built without the bridge */
#endif
