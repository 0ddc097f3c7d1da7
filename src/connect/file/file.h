/* What source and sink of the connector 'filesystem' share. */
#ifndef CONNECT_FILE_FILE_H
#define CONNECT_FILE_FILE_H

#include "connect/connector.h"
#include "connect/file/stream.h"
#include "format/format.h"
#include "store/store.h"

extern const struct connector_option file_options[];

enum file_kind { FILE_RECORDS, FILE_PARQUET, FILE_ARROW, FILE_ARROW_STREAM /* written only: standard output */ };

/* The options of a table that both read. */
struct file_table {
    const char *path; /* borrowed; without file:// */
    const struct format_type *format;
    enum file_kind kind;
};
/* Checks all options of the table. */
sabot_status file_table_read(const struct connector_table *table, struct file_table *out, struct sabot_error *err);

/* The store of a table: the job's, with what its options say. Owned by the caller. */
sabot_status file_store_open(const struct connector_context *context, struct store **out, struct sabot_error *err);

/* --- discover.c */
struct file_found {
    char *path;
    int64_t size, modified_ms;
};
struct file_list {
    struct file_found *items;
    size_t n, capacity;
};
#define FILES_MAX ((size_t)1 << 20)
/* The files that a path, folder or pattern stands for, sorted by path; ERR_NOT_FOUND where there is nothing at all. */
sabot_status files_discover(struct store *store, const char *path, struct file_list *out, struct sabot_error *err);
void file_list_clear(struct file_list *list);

/* --- columnar.c: one Parquet or Arrow IPC file by the bridge */
struct columnar;
struct columnar_place {
    uint64_t group, row;
};
sabot_status columnar_open(const struct connector_context *context, const char *path, struct columnar **out,
                           struct sabot_error *err);
uint64_t columnar_groups(const struct columnar *columnar); /* UINT64_MAX: a stream, only reading tells */
int64_t columnar_group_bytes(const struct columnar *columnar, uint64_t group); /* as stored; 0 = not known */
/* Reads from `place` on, before group `end`. */
sabot_status columnar_seek(struct columnar *columnar, struct columnar_place place, uint64_t end,
                           struct sabot_error *err);
/* The next rows: columns of the table's schema (metadata ones stay NULL). *rows = 0 at the end. */
sabot_status columnar_next(struct columnar *columnar, struct column **columns, int32_t *rows, struct sabot_error *err);
struct columnar_place columnar_position(const struct columnar *columnar);
void columnar_close(struct columnar *columnar); /* NULL is allowed */

/* Writes one such file through `write`. */
struct columnar_writer;
sabot_status columnar_writer_open(const struct connector_context *context, enum file_kind kind, const char *compression,
                                  sabot_status (*write)(void *arg, const void *data, size_t size,
                                                        struct sabot_error *err),
                                  void *arg, struct columnar_writer **out, struct sabot_error *err);
sabot_status columnar_writer_add(struct columnar_writer *writer, struct batch *batch, struct sabot_error *err);
int64_t columnar_writer_size(const struct columnar_writer *writer); /* bytes, about */
sabot_status columnar_writer_finish(struct columnar_writer *writer, struct sabot_error *err);
void columnar_writer_close(struct columnar_writer *writer); /* NULL is allowed */

#endif
