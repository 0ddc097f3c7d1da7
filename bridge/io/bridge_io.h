/* Files of other formats, read and written by Rust crates behind a C ABI: Parquet, Arrow IPC files and streams.
 *
 * Data crosses as Arrow C Data: a batch is a struct array with one child per column. The bytes of a file come from and
 * go to the caller's functions, so that all file I/O is the caller's (struct env).
 *
 * Errors: every function that can fail takes a struct sabot_error, which may be NULL; a failure that a callback has
 * recorded there is the one that the caller gets. Bytes that are not what they claim to be give SABOT_ERR_CORRUPT: no
 * panic and no crash leaves this library. After a failure a reader may be closed or sought, a writer only closed.
 *
 * Threads: a handle belongs to one thread at a time; different handles are independent. Nothing here starts a thread.
 * No handle may be used after close; arrays that were handed out live on by themselves. */
#ifndef BRIDGE_IO_H
#define BRIDGE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sabot/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ArrowArray;  /* of the Arrow C Data Interface */
struct ArrowSchema;

/* Where a reader gets its bytes. Copied; the context must outlive the reader. */
struct bridge_source {
    void *context;
    uint64_t size; /* in bytes; UINT64_MAX: not known (a pipe), then offsets rise without a gap */
    /* Puts up to `size` bytes that stand at `offset` into `target` and says how many; 0 means the end. */
    sabot_status (*read_at)(void *context, uint64_t offset, void *target, size_t size, size_t *got,
                            struct sabot_error *err);
};

/* Where a writer puts its bytes, in order. Copied; the context must outlive the writer. */
struct bridge_sink {
    void *context;
    sabot_status (*write)(void *context, const void *bytes, size_t size, struct sabot_error *err);
};

/* ---- reading ----
 * A file is a row of groups: row groups in Parquet, record batches in Arrow IPC. A position is (group, row in the
 * group), and a file can be split between readers by groups. */

struct bridge_reader;

/* One group; `rows` is UINT64_MAX where the file's directory does not say (Arrow IPC). */
struct bridge_group {
    uint64_t rows;
    uint64_t offset; /* of its first byte in the file */
    uint64_t bytes;  /* as stored */
};

/* Opens what the first bytes say it is: Parquet, an Arrow IPC file or an Arrow IPC stream. A pipe can only be a stream.
 * `views`: strings and binary come as views and dictionaries as their values; otherwise as the file has them. */
sabot_status bridge_reader_open(const struct bridge_source *source, bool views, struct bridge_reader **reader,
                                struct sabot_error *err);
/* NULL is allowed. */
void bridge_reader_close(struct bridge_reader *reader);

/* The schema of the batches that `next` gives, a struct; owned by the caller. */
sabot_status bridge_reader_schema(const struct bridge_reader *reader, struct ArrowSchema *schema,
                                  struct sabot_error *err);

/* How many groups there are; UINT64_MAX for a stream, where only reading tells. */
uint64_t bridge_reader_groups(const struct bridge_reader *reader);
sabot_status bridge_reader_group(const struct bridge_reader *reader, uint64_t index, struct bridge_group *group,
                                 struct sabot_error *err);

/* Leaves fields of structs out where the format can (Parquet; elsewhere nothing changes): one flag per field of the
 * schema,
 * depth first, the fields of a struct behind it; what lists and maps hold is not counted. The numbers of top-level
 * columns
 * stay, and a top-level column whose flag is false must not be selected; of a struct that is read a field must be.
 * Before
 * the first read, once. */
sabot_status bridge_reader_prune(struct bridge_reader *reader, const bool *wanted, size_t wanted_count,
                                 struct sabot_error *err);

/* Which top-level columns to read, in which order (NULL = all), and the most rows in a batch (0 = as it was; 8192 at
 * first). The position stays. */
sabot_status bridge_reader_select(struct bridge_reader *reader, const uint32_t *columns, size_t columns_count,
                                  size_t batch_rows, struct sabot_error *err);

/* Rows whose value in a top-level column of the file is NULL, or not from `least` to `most`, are not wanted: groups of
 * Parquet whose statistics say that they hold no others are passed over. Any number of times, before the first read.
 * Nothing changes where the file's column is of another kind, or without statistics. `per_second`: the unit of a
 * timestamp. */
enum bridge_bound_kind {
    BRIDGE_BOUND_INTEGER = 0,
    BRIDGE_BOUND_DATE = 1,
    BRIDGE_BOUND_LOCAL = 2, /* TIMESTAMP */
    BRIDGE_BOUND_UTC = 3,   /* TIMESTAMP_LTZ */
};
sabot_status bridge_reader_bound(struct bridge_reader *reader, uint32_t column, int32_t kind, int64_t per_second,
                                 int64_t least, int64_t most, struct sabot_error *err);

/* Goes on at row `row` of group `group`, up to but without group `group_end` (UINT64_MAX = to the end). A stream goes
 * forward only. */
sabot_status bridge_reader_seek(struct bridge_reader *reader, uint64_t group, uint64_t group_end, uint64_t row,
                                struct sabot_error *err);

/* The place of the first row that `next` has not given yet. */
void bridge_reader_position(const struct bridge_reader *reader, uint64_t *group, uint64_t *row);

/* The next rows, all from one group; owned by the caller. At the end `array->release` is NULL. */
sabot_status bridge_reader_next(struct bridge_reader *reader, struct ArrowArray *array, struct sabot_error *err);

/* ---- writing ---- */

enum bridge_format { BRIDGE_PARQUET = 1, BRIDGE_IPC_FILE = 2, BRIDGE_IPC_STREAM = 3 };

/* Snappy and gzip for Parquet only; for Arrow IPC files only: lz4 for buffers that it makes smaller by a quarter at
 * least, the others as they are. */
enum bridge_compression {
    BRIDGE_COMPRESSION_NONE = 0,
    BRIDGE_COMPRESSION_SNAPPY = 1,
    BRIDGE_COMPRESSION_ZSTD = 2,
    BRIDGE_COMPRESSION_LZ4 = 3,
    BRIDGE_COMPRESSION_GZIP = 4,
    BRIDGE_COMPRESSION_LZ4_SPARING = 5,
};

struct bridge_write_options {
    int32_t format;      /* enum bridge_format */
    int32_t compression; /* enum bridge_compression */
    int32_t level;       /* of zstd and gzip; 0 = the usual one */
    bool views;          /* store string views as such; otherwise as plain strings, which every reader knows */
    uint64_t group_rows; /* most rows of a Parquet row group; 0 = the usual 1048576 */
};

struct bridge_writer;

/* `schema` is a struct, and stays the caller's. */
sabot_status bridge_writer_open(const struct bridge_sink *sink, const struct ArrowSchema *schema,
                                const struct bridge_write_options *options, struct bridge_writer **writer,
                                struct sabot_error *err);
/* Of an unfinished writer nothing more reaches the sink. NULL is allowed. */
void bridge_writer_close(struct bridge_writer *writer);

/* Appends the rows of a struct array of the writer's schema; takes the array on every path. */
sabot_status bridge_writer_write(struct bridge_writer *writer, struct ArrowArray *array, struct sabot_error *err);

/* Ends the row group (Parquet): the rows so far go to the sink. */
sabot_status bridge_writer_flush(struct bridge_writer *writer, struct sabot_error *err);

/* Bytes that went to the sink, and about how many more wait in memory for the end of their row group. */
void bridge_writer_bytes(const struct bridge_writer *writer, uint64_t *written, uint64_t *held);

/* Writes what is left and the footer; the file is whole after it. */
sabot_status bridge_writer_finish(struct bridge_writer *writer, struct sabot_error *err);

/* sizeof(struct sabot_error) as this library knows it. */
size_t bridge_error_size(void);

#ifdef __cplusplus
}
#endif
#endif
