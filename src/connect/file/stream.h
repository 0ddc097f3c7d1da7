/* The bytes of a file in order, decompressed or compressed on the way: plain, gzip, zstd, LZ4 frames. */
#ifndef CONNECT_FILE_STREAM_H
#define CONNECT_FILE_STREAM_H

#include "base/text.h"
#include "store/store.h"

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_LZ4 };

/* By the end of a name: .gz .zst .zstd .lz4 */
enum compression compression_of_name(const char *path);
const char *compression_extension(enum compression compression); /* "", ".gz", ... */

struct stream;
/* "-" is standard input. */
sabot_status stream_open(struct store *store, const char *path, enum compression compression, struct stream **out,
                         struct sabot_error *err);
/* Up to `size` decompressed bytes; *got = 0 at the end. A compressed file that ends early is SABOT_ERR_CORRUPT. */
sabot_status stream_read(struct stream *stream, void *target, size_t size, size_t *got, struct sabot_error *err);
/* Goes on `offset` bytes from the beginning (once, before the first read). Reads over them where they are compressed.
 */
sabot_status stream_skip(struct stream *stream, int64_t offset, struct sabot_error *err);
int64_t stream_offset(const struct stream *stream); /* decompressed bytes given out */
void stream_close(struct stream *stream);           /* NULL is allowed */

/* Compresses a file's bytes piece by piece, appending to a text. */
struct compressor;
sabot_status compressor_new(enum compression compression, struct compressor **out, struct sabot_error *err);
sabot_status compressor_add(struct compressor *compressor, const char *data, size_t size, struct text *target,
                            struct sabot_error *err);
sabot_status compressor_end(struct compressor *compressor, struct text *target, struct sabot_error *err);
void compressor_free(struct compressor *compressor); /* NULL is allowed */

#endif
