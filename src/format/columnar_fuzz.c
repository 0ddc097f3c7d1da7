/* Any bytes as a Parquet or Arrow IPC file: an error or rows, no crash, no leak, bounded memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanoarrow/nanoarrow.h>

#include "arrow/import.h"
#include "bridge/io/bridge_io.h"

#define BATCHES_MAX 64

struct bytes {
    const uint8_t *data;
    size_t size;
};

static sabot_status bytes_read_at(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                                  struct sabot_error *err) {
    (void)err;
    const struct bytes *bytes = context;
    *got = offset >= bytes->size ? 0 : bytes->size - offset < size ? bytes->size - (size_t)offset : size;
    if (*got) { memcpy(target, bytes->data + offset, *got); }
    return SABOT_OK;
}

/* The rows of one array as batches, as the file source takes them. */
static void take_rows(struct importer *importer, struct memory_pool *pool, struct ArrowArray *array) {
    if (importer_put(importer, array, NULL) != SABOT_OK) { return; }
    for (int n = 0; n < BATCHES_MAX; n++) {
        struct batch *batch = NULL;
        if (importer_next(importer, pool, 1024, &batch, NULL) != SABOT_OK || !batch) { return; }
        batch_unref(batch);
    }
}

static void read_all(struct bridge_reader *reader, struct memory_pool *pool) {
    struct ArrowSchema schema = {0};
    struct importer *importer = NULL;
    if (bridge_reader_schema(reader, &schema, NULL) != SABOT_OK) { return; }
    const sabot_status status = importer_new(&schema, &importer, NULL);
    for (int n = 0; n < BATCHES_MAX && status == SABOT_OK; n++) {
        struct ArrowArray array = {0};
        struct sabot_error err = {0};
        if (bridge_reader_next(reader, &array, &err) != SABOT_OK) {
            if (!err.message[0]) { abort(); }
            break;
        }
        if (!array.release) { break; }
        take_rows(importer, pool, &array);
        if (array.release) { abort(); } /* importer_put takes it on every path */
        importer_free(importer);
        importer = NULL;
        if (importer_new(&schema, &importer, NULL) != SABOT_OK) { break; }
    }
    importer_free(importer);
    schema.release(&schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory_pool pool;
    memory_pool_init(&pool, "fuzz", NULL, (int64_t)256 << 20);
    for (int views = 0; views < 2; views++) {
        struct bytes bytes = {data, size};
        const struct bridge_source source = {&bytes, size, bytes_read_at};
        struct bridge_reader *reader = NULL;
        struct sabot_error err = {0};
        if (bridge_reader_open(&source, views, &reader, &err) != SABOT_OK) {
            if (reader || !err.message[0]) { abort(); }
            continue;
        }
        read_all(reader, &pool);
        bridge_reader_close(reader);
    }
    if (pool.used != 0) { abort(); }
    return 0;
}
