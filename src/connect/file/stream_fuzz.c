/* Any bytes as a gzip, zstd or LZ4 file: an error or bytes, and what is compressed comes back. */
#include <stdlib.h>
#include <string.h>

#include "base/env_sim.h"
#include "connect/file/stream.h"

#define READ_BYTES_MAX ((size_t)4 << 20) /* a small file may be a large text */

static struct env *world;
static struct store *store;

static void read_all(enum compression compression, const char *same, size_t same_size) {
    struct stream *stream = NULL;
    static char block[65536];
    size_t total = 0, got = 0;
    sabot_status status = stream_open(store, "/f", compression, &stream, NULL);
    while (status == SABOT_OK && total < READ_BYTES_MAX) {
        status = stream_read(stream, block, sizeof block, &got, NULL);
        if (status != SABOT_OK || got == 0) { break; }
        if (same && (total + got > same_size || memcmp(block, same + total, got) != 0)) { abort(); }
        total += got;
        if (stream_offset(stream) != (int64_t)total) { abort(); }
    }
    stream_close(stream);
    if (same && (status != SABOT_OK || total != same_size)) { abort(); }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) { return 0; }
    if (!world) {
        world = env_sim_new(&(struct env_sim_options){.seed = 1});
        if (store_new(world, NULL, 0, &store, NULL) != SABOT_OK) { abort(); }
    }
    const enum compression compression = COMPRESSION_GZIP + data[0] % 3;
    const char *bytes = (const char *)data + 1;
    size--;
    if (env_write_file(world, "/f", bytes, size, NULL) != SABOT_OK) { abort(); }
    read_all(compression, NULL, 0);
    struct compressor *compressor = NULL;
    struct text packed = {0};
    if (compressor_new(compression, &compressor, NULL) != SABOT_OK) { return 0; }
    if (compressor_add(compressor, bytes, size, &packed, NULL) != SABOT_OK ||
        compressor_end(compressor, &packed, NULL) != SABOT_OK ||
        env_write_file(world, "/f", packed.data, packed.size, NULL) != SABOT_OK) {
        abort();
    }
    compressor_free(compressor);
    text_clear(&packed);
    read_all(compression, bytes, size);
    return 0;
}
