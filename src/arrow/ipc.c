/* Arrow IPC files: our batches to and from the bridge's Arrow arrays. */
#include "arrow/ipc.h"

#include "arrow/export.h"
#include "arrow/import.h"
#include "bridge/io/bridge_io.h"

#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>

struct ipc_writer {
    struct bridge_writer *bridge;
    struct memory_pool *pool;
};

static sabot_status writer_open(const struct ipc_sink *sink, struct memory_pool *pool, const struct schema *schema,
                                const struct bridge_write_options *options, struct ipc_writer **out,
                                struct sabot_error *err) {
    *out = NULL;
    struct ipc_writer *writer = calloc(1, sizeof *writer);
    if (!writer) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write an Arrow file"); }
    writer->pool = pool;
    struct ArrowSchema arrow;
    sabot_status status = schema_export(schema, &arrow, err);
    if (status == SABOT_OK) {
        const struct bridge_sink to = {.context = sink->context, .write = sink->write};
        status = bridge_writer_open(&to, &arrow, options, &writer->bridge, err);
        ArrowSchemaRelease(&arrow);
    }
    if (status != SABOT_OK) {
        free(writer);
        return status;
    }
    *out = writer;
    return SABOT_OK;
}

sabot_status ipc_writer_open(const struct ipc_sink *sink, struct memory_pool *pool, const struct schema *schema,
                             struct ipc_writer **out, struct sabot_error *err) {
    const struct bridge_write_options options = {.format = BRIDGE_IPC_FILE,
                                                 .compression = BRIDGE_COMPRESSION_LZ4_SPARING};
    return writer_open(sink, pool, schema, &options, out, err);
}

sabot_status ipc_writer_open_stream(const struct ipc_sink *sink, struct memory_pool *pool, const struct schema *schema,
                                    struct ipc_writer **out, struct sabot_error *err) {
    const struct bridge_write_options options = {.format = BRIDGE_IPC_STREAM};
    return writer_open(sink, pool, schema, &options, out, err);
}

sabot_status ipc_writer_put(struct ipc_writer *writer, struct batch *batch, struct sabot_error *err) {
    struct ArrowArray arrow;
    SABOT_TRY(batch_export(writer->pool, batch, &arrow, err));
    return bridge_writer_write(writer->bridge, &arrow, err);
}

sabot_status ipc_writer_finish(struct ipc_writer *writer, struct sabot_error *err) {
    return bridge_writer_finish(writer->bridge, err);
}

void ipc_writer_close(struct ipc_writer *writer) {
    if (!writer) { return; }
    bridge_writer_close(writer->bridge);
    free(writer);
}

struct ipc_reader {
    struct bridge_reader *bridge;
    struct importer *importer;
};

static sabot_status reader_start(struct ipc_reader *reader, const struct ipc_source *source, struct sabot_error *err) {
    const struct bridge_source from = {
        .context = source->context, .size = source->size, .read_at = source->read_at};
    SABOT_TRY(bridge_reader_open(&from, true, &reader->bridge, err));
    SABOT_TRY(bridge_reader_select(reader->bridge, NULL, 0, BATCH_ROWS_MAX, err));
    struct ArrowSchema arrow;
    SABOT_TRY(bridge_reader_schema(reader->bridge, &arrow, err));
    const sabot_status status = importer_new(&arrow, &reader->importer, err);
    ArrowSchemaRelease(&arrow);
    return status;
}

sabot_status ipc_reader_open(const struct ipc_source *source, struct ipc_reader **out, struct sabot_error *err) {
    *out = NULL;
    struct ipc_reader *reader = calloc(1, sizeof *reader);
    if (!reader) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to read an Arrow file"); }
    const sabot_status status = reader_start(reader, source, err);
    if (status != SABOT_OK) {
        ipc_reader_close(reader);
        return status;
    }
    *out = reader;
    return SABOT_OK;
}

sabot_status ipc_reader_next(struct ipc_reader *reader, struct memory_pool *pool, struct batch **out,
                             struct sabot_error *err) {
    *out = NULL;
    for (;;) {
        SABOT_TRY(importer_next(reader->importer, pool, BATCH_ROWS_MAX, out, err));
        if (*out) { return SABOT_OK; }
        struct ArrowArray arrow;
        SABOT_TRY(bridge_reader_next(reader->bridge, &arrow, err));
        if (!arrow.release) { return SABOT_OK; }
        SABOT_TRY(importer_put(reader->importer, &arrow, err));
    }
}

void ipc_reader_close(struct ipc_reader *reader) {
    if (!reader) { return; }
    importer_free(reader->importer);
    bridge_reader_close(reader->bridge);
    free(reader);
}
