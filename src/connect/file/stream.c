/* Files as streams of bytes, through zlib, libzstd and lz4frame. */
#include "connect/file/stream.h"

#include <stdlib.h>
#include <string.h>

#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#define INPUT_BYTES ((size_t)256 * 1024)

static const struct {
    const char *extension;
    enum compression compression;
} extensions[] = {
    {".gz", COMPRESSION_GZIP}, {".zst", COMPRESSION_ZSTD}, {".lz4", COMPRESSION_LZ4}, {".zstd", COMPRESSION_ZSTD},
    {".gzip", COMPRESSION_GZIP},
};

enum compression compression_of_name(const char *path) {
    const size_t size = strlen(path);
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        const size_t tail = strlen(extensions[i].extension);
        if (size > tail && strcmp(path + size - tail, extensions[i].extension) == 0) {
            return extensions[i].compression;
        }
    }
    return COMPRESSION_NONE;
}

const char *compression_extension(enum compression compression) {
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        if (extensions[i].compression == compression) { return extensions[i].extension; }
    }
    return "";
}

struct stream {
    struct store_file *file; /* NULL: standard input, */
    struct env_file *pipe;   /* which is this */
    enum compression compression;
    int64_t file_offset, offset;
    char *input; /* compressed bytes: [at, end) are not used yet */
    size_t at, end;
    bool file_ended;
    bool in_frame; /* a frame has begun and not ended */
    z_stream zlib;
    ZSTD_DStream *zstd;
    LZ4F_dctx *lz4;
    char path[]; /* for messages */
};

static sabot_status no_memory(const char *what, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to %s", what);
}

void stream_close(struct stream *stream) {
    if (!stream) { return; }
    store_close(stream->file);
    if (stream->compression == COMPRESSION_GZIP) { inflateEnd(&stream->zlib); }
    ZSTD_freeDStream(stream->zstd);
    LZ4F_freeDecompressionContext(stream->lz4);
    free(stream->input);
    free(stream);
}

static bool decompressor_start(struct stream *stream) {
    stream->input = malloc(INPUT_BYTES);
    if (!stream->input) { return false; }
    switch (stream->compression) {
    case COMPRESSION_NONE: return true;
    case COMPRESSION_GZIP: return inflateInit2(&stream->zlib, 15 + 32) == Z_OK;
    case COMPRESSION_ZSTD:
        stream->zstd = ZSTD_createDStream();
        return stream->zstd && !ZSTD_isError(ZSTD_initDStream(stream->zstd));
    case COMPRESSION_LZ4: return !LZ4F_isError(LZ4F_createDecompressionContext(&stream->lz4, LZ4F_VERSION));
    }
    return false;
}

sabot_status stream_open(struct store *store, const char *path, enum compression compression, struct stream **out,
                         struct sabot_error *err) {
    *out = NULL;
    const size_t size = strlen(path) + 1;
    struct stream *stream = calloc(1, sizeof *stream + size);
    if (!stream) { return no_memory("open a file", err); }
    memcpy(stream->path, path, size);
    sabot_status status = SABOT_OK;
    if (strcmp(path, "-") == 0) {
        stream->pipe = env_stdin(store_env(store));
    } else {
        status = store_open(store, path, &stream->file, err);
    }
    if (status == SABOT_OK && compression != COMPRESSION_NONE) {
        stream->compression = compression;
        if (!decompressor_start(stream)) { status = no_memory("decompress a file", err); }
    }
    if (status != SABOT_OK) {
        stream_close(stream);
        return status;
    }
    *out = stream;
    return SABOT_OK;
}

static sabot_status raw_read(struct stream *stream, void *target, size_t size, size_t *got, struct sabot_error *err) {
    SABOT_TRY(stream->pipe ? env_read(stream->pipe, -1, target, size, got, err)
                           : store_read(stream->file, stream->file_offset, target, size, got, err));
    stream->file_offset += (int64_t)*got;
    return SABOT_OK;
}

static sabot_status damaged(const struct stream *stream, const char *why, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s: damaged compression behind byte %lld: %s", stream->path,
                      (long long)(stream->file_offset - (int64_t)(stream->end - stream->at)), why);
}

/* One step: takes from the input, gives up to `size` bytes. */
static sabot_status step_gzip(struct stream *stream, char *target, size_t size, size_t *got, struct sabot_error *err) {
    z_stream *z = &stream->zlib;
    if (!stream->in_frame) {
        /* zeroes behind the last member are padding */
        while (stream->at < stream->end && stream->offset > 0 && stream->input[stream->at] == 0) { stream->at++; }
        if (stream->at == stream->end) { return SABOT_OK; }
        inflateReset(z);
        stream->in_frame = true;
    }
    z->next_in = (unsigned char *)stream->input + stream->at;
    z->avail_in = (unsigned)(stream->end - stream->at);
    z->next_out = (unsigned char *)target;
    z->avail_out = (unsigned)(size > 1 << 30 ? 1 << 30 : size);
    const unsigned room = z->avail_out;
    const int result = inflate(z, Z_NO_FLUSH);
    stream->at = stream->end - z->avail_in;
    *got = room - z->avail_out;
    if (result == Z_STREAM_END) {
        stream->in_frame = false;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return damaged(stream, z->msg ? z->msg : "not gzip", err);
    }
    return SABOT_OK;
}

static sabot_status step_zstd(struct stream *stream, char *target, size_t size, size_t *got, struct sabot_error *err) {
    ZSTD_inBuffer in = {stream->input + stream->at, stream->end - stream->at, 0};
    ZSTD_outBuffer out = {target, size, 0};
    const size_t result = ZSTD_decompressStream(stream->zstd, &out, &in);
    if (ZSTD_isError(result)) { return damaged(stream, ZSTD_getErrorName(result), err); }
    stream->at += in.pos;
    stream->in_frame = result != 0;
    *got = out.pos;
    return SABOT_OK;
}

static sabot_status step_lz4(struct stream *stream, char *target, size_t size, size_t *got, struct sabot_error *err) {
    size_t used = stream->end - stream->at;
    *got = size;
    const size_t result = LZ4F_decompress(stream->lz4, target, got, stream->input + stream->at, &used, NULL);
    if (LZ4F_isError(result)) {
        *got = 0;
        return damaged(stream, LZ4F_getErrorName(result), err);
    }
    stream->at += used;
    stream->in_frame = result != 0;
    return SABOT_OK;
}

sabot_status stream_read(struct stream *stream, void *target, size_t size, size_t *got, struct sabot_error *err) {
    *got = 0;
    if (stream->compression == COMPRESSION_NONE) {
        SABOT_TRY(raw_read(stream, target, size, got, err));
        stream->offset += (int64_t)*got;
        return SABOT_OK;
    }
    while (*got == 0) {
        const size_t before = stream->at;
        if (stream->at < stream->end || stream->in_frame) {
            sabot_status status = SABOT_OK;
            switch (stream->compression) {
            case COMPRESSION_GZIP: status = step_gzip(stream, target, size, got, err); break;
            case COMPRESSION_ZSTD: status = step_zstd(stream, target, size, got, err); break;
            case COMPRESSION_LZ4: status = step_lz4(stream, target, size, got, err); break;
            case COMPRESSION_NONE: break;
            }
            if (status != SABOT_OK) { return status; }
        }
        if (*got > 0 || stream->at > before) { continue; }
        if (stream->file_ended) {
            if (stream->in_frame) { return damaged(stream, "the file ends too early", err); }
            return SABOT_OK;
        }
        memmove(stream->input, stream->input + stream->at, stream->end - stream->at);
        stream->end -= stream->at;
        stream->at = 0;
        size_t more;
        SABOT_TRY(raw_read(stream, stream->input + stream->end, INPUT_BYTES - stream->end, &more, err));
        stream->end += more;
        stream->file_ended = more == 0;
    }
    stream->offset += (int64_t)*got;
    return SABOT_OK;
}

sabot_status stream_skip(struct stream *stream, int64_t offset, struct sabot_error *err) {
    if (stream->compression == COMPRESSION_NONE && !stream->pipe) {
        stream->file_offset = stream->offset = offset;
        return SABOT_OK;
    }
    char *block = offset > 0 ? malloc(INPUT_BYTES) : NULL;
    if (offset > 0 && !block) { return no_memory("read a file", err); }
    sabot_status status = SABOT_OK;
    while (stream->offset < offset && status == SABOT_OK) {
        const int64_t left = offset - stream->offset;
        size_t got;
        status = stream_read(stream, block, left < (int64_t)INPUT_BYTES ? (size_t)left : INPUT_BYTES, &got, err);
        if (status == SABOT_OK && got == 0) {
            status = SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s: has only %lld bytes, but %lld were read before the "
                                "checkpoint", stream->path, (long long)stream->offset, (long long)offset);
        }
    }
    free(block);
    return status;
}

int64_t stream_offset(const struct stream *stream) { return stream->offset; }

/* --- compressing */

struct compressor {
    enum compression compression;
    z_stream zlib;
    ZSTD_CStream *zstd;
    LZ4F_cctx *lz4;
    bool begun; /* lz4 */
};

void compressor_free(struct compressor *compressor) {
    if (!compressor) { return; }
    if (compressor->compression == COMPRESSION_GZIP) { deflateEnd(&compressor->zlib); }
    ZSTD_freeCStream(compressor->zstd);
    LZ4F_freeCompressionContext(compressor->lz4);
    free(compressor);
}

sabot_status compressor_new(enum compression compression, struct compressor **out, struct sabot_error *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) { return no_memory("compress a file", err); }
    bool good = true;
    switch (compression) {
    case COMPRESSION_NONE: break;
    case COMPRESSION_GZIP:
        good = deflateInit2(&(*out)->zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
        break;
    case COMPRESSION_ZSTD: good = ((*out)->zstd = ZSTD_createCStream()) != NULL; break;
    case COMPRESSION_LZ4: good = !LZ4F_isError(LZ4F_createCompressionContext(&(*out)->lz4, LZ4F_VERSION)); break;
    }
    if (!good) {
        free(*out);
        *out = NULL;
        return no_memory("compress a file", err);
    }
    (*out)->compression = compression;
    return SABOT_OK;
}

#define PIECE ((size_t)1 << 20)

static sabot_status compress_gzip(struct compressor *compressor, const char *data, size_t size, bool end,
                                  struct text *target, struct sabot_error *err) {
    z_stream *z = &compressor->zlib;
    z->next_in = (unsigned char *)(uintptr_t)data;
    z->avail_in = (unsigned)size;
    for (int result = Z_OK; result != Z_STREAM_END;) {
        char *to = text_reserve(target, 65536);
        if (!to) { return no_memory("compress a file", err); }
        z->next_out = (unsigned char *)to;
        z->avail_out = 65536;
        result = deflate(z, end ? Z_FINISH : Z_NO_FLUSH);
        target->size += 65536 - z->avail_out;
        if (!end && z->avail_in == 0 && z->avail_out > 0) { break; }
    }
    return SABOT_OK;
}

static sabot_status compress_zstd(struct compressor *compressor, const char *data, size_t size, bool end,
                                  struct text *target, struct sabot_error *err) {
    ZSTD_inBuffer in = {data, size, 0};
    for (;;) {
        char *to = text_reserve(target, 65536);
        if (!to) { return no_memory("compress a file", err); }
        ZSTD_outBuffer out = {to, 65536, 0};
        const size_t left = ZSTD_compressStream2(compressor->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left)) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left)); }
        target->size += out.pos;
        if (end ? left == 0 : in.pos == in.size) { return SABOT_OK; }
    }
}

static sabot_status compress_lz4(struct compressor *compressor, const char *data, size_t size, bool end,
                                 struct text *target, struct sabot_error *err) {
    const size_t bound = LZ4F_HEADER_SIZE_MAX + LZ4F_compressBound(size, NULL);
    char *to = text_reserve(target, bound);
    if (!to) { return no_memory("compress a file", err); }
    size_t made = 0, n = 0;
    if (!compressor->begun) {
        n = LZ4F_compressBegin(compressor->lz4, to, bound, NULL);
        compressor->begun = true;
        made = LZ4F_isError(n) ? 0 : n;
    }
    if (!LZ4F_isError(n) && size > 0) {
        n = LZ4F_compressUpdate(compressor->lz4, to + made, bound - made, data, size, NULL);
        made += LZ4F_isError(n) ? 0 : n;
    }
    if (!LZ4F_isError(n) && end) {
        n = LZ4F_compressEnd(compressor->lz4, to + made, bound - made, NULL);
        made += LZ4F_isError(n) ? 0 : n;
    }
    if (LZ4F_isError(n)) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "lz4: %s", LZ4F_getErrorName(n)); }
    target->size += made;
    return SABOT_OK;
}

static sabot_status compress_piece(struct compressor *compressor, const char *data, size_t size, bool end,
                                   struct text *target, struct sabot_error *err) {
    switch (compressor->compression) {
    case COMPRESSION_GZIP: return compress_gzip(compressor, data, size, end, target, err);
    case COMPRESSION_ZSTD: return compress_zstd(compressor, data, size, end, target, err);
    case COMPRESSION_LZ4: return compress_lz4(compressor, data, size, end, target, err);
    case COMPRESSION_NONE: break;
    }
    text_append(target, data, size);
    return target->failed ? no_memory("write a file", err) : SABOT_OK;
}

sabot_status compressor_add(struct compressor *compressor, const char *data, size_t size, struct text *target,
                            struct sabot_error *err) {
    for (size_t at = 0; at < size; at += PIECE) {
        SABOT_TRY(compress_piece(compressor, data + at, size - at < PIECE ? size - at : PIECE, false, target, err));
    }
    return SABOT_OK;
}

sabot_status compressor_end(struct compressor *compressor, struct text *target, struct sabot_error *err) {
    return compress_piece(compressor, "", 0, true, target, err);
}
