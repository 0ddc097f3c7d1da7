/* Parquet and Arrow IPC files through the bridge, brought to the table's columns. */
#include "connect/file/file.h"

#ifdef SABOT_BRIDGE_IO

#include <stdlib.h>

#include <nanoarrow/nanoarrow.h>

#include "arrow/export.h"
#include "arrow/import.h"
#include "bridge/io/bridge_io.h"
#include "format/conform.h"

struct columnar {
    struct memory_pool *pool;
    struct store_file *file; /* NULL: standard input, */
    struct env_file *pipe;   /* which is this */
    struct bridge_reader *reader;
    struct importer *importer;
    struct conform *conform;
};

static sabot_status file_read_at(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                                 struct sabot_error *err) {
    struct columnar *columnar = context;
    if (columnar->pipe) { return env_read(columnar->pipe, -1, target, size, got, err); }
    return store_read(columnar->file, (int64_t)offset, target, size, got, err);
}

void columnar_close(struct columnar *columnar) {
    if (!columnar) { return; }
    conform_free(columnar->conform);
    importer_free(columnar->importer);
    bridge_reader_close(columnar->reader);
    store_close(columnar->file);
    free(columnar);
}

/* The schema of what the reader gives. */
static sabot_status reader_schema(const struct columnar *columnar, struct schema **out, struct sabot_error *err) {
    struct ArrowSchema arrow;
    *out = NULL;
    SABOT_TRY(bridge_reader_schema(columnar->reader, &arrow, err));
    const sabot_status status = schema_import(&arrow, out, err);
    ArrowSchemaRelease(&arrow);
    return status;
}

/* Has the reader leave out what the table does not name: columns, and fields of rows. */
static sabot_status columnar_select(struct columnar *columnar, const struct conform *whole, int32_t columns_max,
                                    size_t batch_rows, struct sabot_error *err) {
    const int32_t n_fields = conform_fields(whole, NULL);
    uint32_t *columns = calloc((size_t)columns_max + 1, sizeof *columns);
    bool *fields = calloc((size_t)n_fields + 1, sizeof *fields);
    sabot_status status = SABOT_OK;
    if (columns && fields) {
        const int32_t n = conform_needed(whole, columns);
        conform_fields(whole, fields);
        status = bridge_reader_prune(columnar->reader, fields, (size_t)n_fields, err);
        if (status == SABOT_OK) {
            status = bridge_reader_select(columnar->reader, columns, (size_t)n, batch_rows, err);
        }
    } else {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a file's schema");
    }
    free(columns);
    free(fields);
    return status;
}

/* Tells the reader what is wanted of columns that the table and the file have by the same name. Whether their types may
 * be compared the reader decides. */
static sabot_status columnar_bound(struct columnar *columnar, const struct connector_table *table,
                                   const struct schema *file, struct sabot_error *err) {
    for (int32_t i = 0; i < table->n_bounds; i++) {
        const struct column_bound *bound = &table->bounds[i];
        const struct field *field = &table->schema->fields[bound->column];
        const int32_t column = schema_find(file, field->name);
        if (column < 0 || (table->metadata && table->metadata[bound->column])) { continue; }
        int32_t kind = BRIDGE_BOUND_INTEGER;
        int64_t per_second = 0;
        if (field->type.kind == TYPE_DATE) {
            kind = BRIDGE_BOUND_DATE;
        } else if (field->type.kind == TYPE_TIMESTAMP || field->type.kind == TYPE_TIMESTAMP_LTZ) {
            kind = field->type.kind == TYPE_TIMESTAMP ? BRIDGE_BOUND_LOCAL : BRIDGE_BOUND_UTC;
            per_second = 1000 * timestamp_units_per_ms_num(field->type);
        }
        SABOT_TRY(bridge_reader_bound(columnar->reader, (uint32_t)column, kind, per_second, bound->least, bound->most,
                                      err));
    }
    return SABOT_OK;
}

static sabot_status columnar_bind(struct columnar *columnar, const struct connector_context *context,
                                  struct sabot_error *err) {
    const struct connector_table *table = context->table;
    struct schema *schema = NULL;
    struct conform *whole = NULL;
    SABOT_TRY(reader_schema(columnar, &schema, err));
    sabot_status status = conform_new(schema, table->schema, table->metadata, &whole, err);
    if (status == SABOT_OK) { status = columnar_bound(columnar, table, schema, err); }
    schema_unref(schema);
    if (status != SABOT_OK) { conform_free(whole); }
    SABOT_TRY(status);
    status = columnar_select(columnar, whole, table->schema->n_fields, (size_t)context->batch_rows, err);
    conform_free(whole);
    SABOT_TRY(status);
    /* What comes now has the needed columns in the table's order, and fewer fields. */
    SABOT_TRY(reader_schema(columnar, &schema, err));
    status = conform_new(schema, table->schema, table->metadata, &columnar->conform, err);
    schema_unref(schema);
    SABOT_TRY(status);
    struct ArrowSchema arrow;
    SABOT_TRY(bridge_reader_schema(columnar->reader, &arrow, err));
    status = importer_new(&arrow, &columnar->importer, err);
    ArrowSchemaRelease(&arrow);
    return status;
}

sabot_status columnar_open(const struct connector_context *context, const char *path, struct columnar **out,
                           struct sabot_error *err) {
    *out = NULL;
    struct columnar *columnar = calloc(1, sizeof *columnar);
    if (!columnar) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to open a file"); }
    columnar->pool = context->pool;
    sabot_status status = SABOT_OK;
    if (strcmp(path, "-") == 0) {
        columnar->pipe = env_stdin(context->env);
    } else {
        status = store_open(context->store, path, &columnar->file, err);
    }
    if (status == SABOT_OK) {
        const struct bridge_source source = {
            .context = columnar,
            .size = columnar->pipe ? UINT64_MAX : (uint64_t)store_size(columnar->file),
            .read_at = file_read_at,
        };
        status = bridge_reader_open(&source, true, &columnar->reader, err);
    }
    if (status == SABOT_OK) { status = columnar_bind(columnar, context, err); }
    if (status != SABOT_OK) {
        error_context(err, "%s", columnar->pipe ? "standard input" : path);
        columnar_close(columnar);
        return status;
    }
    *out = columnar;
    return SABOT_OK;
}

uint64_t columnar_groups(const struct columnar *columnar) { return bridge_reader_groups(columnar->reader); }

int64_t columnar_group_bytes(const struct columnar *columnar, uint64_t group) {
    struct bridge_group found = {0};
    (void)bridge_reader_group(columnar->reader, group, &found, NULL);
    return (int64_t)found.bytes;
}

sabot_status columnar_seek(struct columnar *columnar, struct columnar_place place, uint64_t end,
                           struct sabot_error *err) {
    return bridge_reader_seek(columnar->reader, place.group, end, place.row, err);
}

sabot_status columnar_next(struct columnar *columnar, struct column **columns, int32_t *rows, struct sabot_error *err) {
    struct ArrowArray array;
    *rows = 0;
    SABOT_TRY(bridge_reader_next(columnar->reader, &array, err));
    if (!array.release) { return SABOT_OK; }
    SABOT_TRY(importer_put(columnar->importer, &array, err));
    struct batch *batch = NULL, *rest = NULL;
    SABOT_TRY(importer_next(columnar->importer, columnar->pool, BATCH_ROWS_MAX, &batch, err));
    sabot_status status = conform_apply(columnar->conform, columnar->pool, batch, columns, err);
    if (status == SABOT_OK) { *rows = batch->rows; }
    batch_unref(batch);
    /* the array is read when nothing follows; only then it takes the next one */
    if (status == SABOT_OK) { status = importer_next(columnar->importer, columnar->pool, BATCH_ROWS_MAX, &rest, err); }
    batch_unref(rest);
    return status;
}

struct columnar_place columnar_position(const struct columnar *columnar) {
    struct columnar_place place;
    bridge_reader_position(columnar->reader, &place.group, &place.row);
    return place;
}

/* --- writing */

struct columnar_writer {
    struct memory_pool *pool;
    struct bridge_writer *writer;
};

sabot_status columnar_writer_open(const struct connector_context *context, enum file_kind kind, const char *compression,
                                  sabot_status (*write)(void *arg, const void *data, size_t size,
                                                        struct sabot_error *err),
                                  void *arg, struct columnar_writer **out, struct sabot_error *err) {
    static const struct {
        char first;
        int32_t code;
    } codes[] = {{'n', BRIDGE_COMPRESSION_NONE}, {'s', BRIDGE_COMPRESSION_SNAPPY}, {'z', BRIDGE_COMPRESSION_ZSTD},
                 {'l', BRIDGE_COMPRESSION_LZ4}, {'g', BRIDGE_COMPRESSION_GZIP}};
    struct bridge_write_options options = {.format = kind == FILE_PARQUET        ? BRIDGE_PARQUET
                                                     : kind == FILE_ARROW_STREAM ? BRIDGE_IPC_STREAM
                                                                                 : BRIDGE_IPC_FILE};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if ((compression[0] | 0x20) == codes[i].first) { options.compression = codes[i].code; }
    }
    *out = calloc(1, sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to write a file"); }
    (*out)->pool = context->pool;
    struct ArrowSchema schema;
    sabot_status status = schema_export(context->table->schema, &schema, err);
    if (status == SABOT_OK) {
        const struct bridge_sink sink = {.context = arg, .write = write};
        status = bridge_writer_open(&sink, &schema, &options, &(*out)->writer, err);
        ArrowSchemaRelease(&schema);
    }
    if (status != SABOT_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

sabot_status columnar_writer_add(struct columnar_writer *writer, struct batch *batch, struct sabot_error *err) {
    struct ArrowArray array;
    SABOT_TRY(batch_export(writer->pool, batch, &array, err));
    return bridge_writer_write(writer->writer, &array, err);
}

int64_t columnar_writer_size(const struct columnar_writer *writer) {
    uint64_t written, held;
    bridge_writer_bytes(writer->writer, &written, &held);
    return (int64_t)(written + held);
}

sabot_status columnar_writer_finish(struct columnar_writer *writer, struct sabot_error *err) {
    return bridge_writer_finish(writer->writer, err);
}

void columnar_writer_close(struct columnar_writer *writer) {
    if (!writer) { return; }
    bridge_writer_close(writer->writer);
    free(writer);
}

#else

static sabot_status not_built(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                      "this build reads and writes no Parquet and no Arrow files: it was made "
                      "without the Rust bridge (bridge/io)");
}

sabot_status columnar_open(const struct connector_context *context, const char *path, struct columnar **out,
                           struct sabot_error *err) {
    (void)context, (void)path;
    *out = NULL;
    return not_built(err);
}
uint64_t columnar_groups(const struct columnar *columnar) {
    (void)columnar;
    return 0;
}
int64_t columnar_group_bytes(const struct columnar *columnar, uint64_t group) {
    (void)columnar, (void)group;
    return 0;
}
sabot_status columnar_seek(struct columnar *columnar, struct columnar_place place, uint64_t end,
                           struct sabot_error *err) {
    (void)columnar, (void)place, (void)end;
    return not_built(err);
}
sabot_status columnar_next(struct columnar *columnar, struct column **columns, int32_t *rows, struct sabot_error *err) {
    (void)columnar, (void)columns, (void)rows;
    return not_built(err);
}
struct columnar_place columnar_position(const struct columnar *columnar) {
    (void)columnar;
    return (struct columnar_place){0};
}
void columnar_close(struct columnar *columnar) { (void)columnar; }
sabot_status columnar_writer_open(const struct connector_context *context, enum file_kind kind, const char *compression,
                                  sabot_status (*write)(void *arg, const void *data, size_t size,
                                                        struct sabot_error *err),
                                  void *arg, struct columnar_writer **out, struct sabot_error *err) {
    (void)context, (void)kind, (void)compression, (void)write, (void)arg;
    *out = NULL;
    return not_built(err);
}
sabot_status columnar_writer_add(struct columnar_writer *writer, struct batch *batch, struct sabot_error *err) {
    (void)writer, (void)batch;
    return not_built(err);
}
int64_t columnar_writer_size(const struct columnar_writer *writer) {
    (void)writer;
    return 0;
}
sabot_status columnar_writer_finish(struct columnar_writer *writer, struct sabot_error *err) {
    (void)writer;
    return not_built(err);
}
void columnar_writer_close(struct columnar_writer *writer) { (void)writer; }

#endif
