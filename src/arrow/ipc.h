/* Batches as Arrow IPC files (with a footer, lz4-compressed), through functions of the caller: no file is opened
 * here. */
#ifndef ARROW_IPC_H
#define ARROW_IPC_H

#include "arrow/batch.h"

/* Where the bytes go, in order. */
struct ipc_sink {
    void *context;
    sabot_status (*write)(void *context, const void *bytes, size_t size, struct sabot_error *err);
};
struct ipc_writer;
/* `pool` is charged for what a batch needs while it is written. */
sabot_status ipc_writer_open(const struct ipc_sink *sink, struct memory_pool *pool, const struct schema *schema,
                             struct ipc_writer **out, struct sabot_error *err);
/* A stream instead: no footer, not compressed. */
sabot_status ipc_writer_open_stream(const struct ipc_sink *sink, struct memory_pool *pool, const struct schema *schema,
                                    struct ipc_writer **out, struct sabot_error *err);
sabot_status ipc_writer_put(struct ipc_writer *writer, struct batch *batch, struct sabot_error *err); /* borrows */
/* Writes the footer; the file is whole after it. */
sabot_status ipc_writer_finish(struct ipc_writer *writer, struct sabot_error *err);
void ipc_writer_close(struct ipc_writer *writer); /* NULL is allowed */

/* Where the bytes come from: up to `size` bytes at `offset`; *got = 0 at the end. */
struct ipc_source {
    void *context;
    uint64_t size;
    sabot_status (*read_at)(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                            struct sabot_error *err);
};
struct ipc_reader;
sabot_status ipc_reader_open(const struct ipc_source *source, struct ipc_reader **out, struct sabot_error *err);
/* The next rows, at most BATCH_ROWS_MAX; NULL at the end. */
sabot_status ipc_reader_next(struct ipc_reader *reader, struct memory_pool *pool, struct batch **out,
                             struct sabot_error *err);
void ipc_reader_close(struct ipc_reader *reader); /* NULL is allowed */

#endif
