/* Any bytes as the manifest of a checkpoint: refused, or it prints as what was read. A right checksum line is
 * put behind each input too, so that what is in front of it is read. */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "checkpoint/manifest.h"

static void parse(const char *data, size_t size) {
    struct manifest manifest = {0};
    struct sabot_error err = {0};
    if (manifest_parse(data, size, "MANIFEST", &manifest, &err) != SABOT_OK) {
        if (!err.message[0]) { abort(); }
    } else {
        struct text text = {0}, again = {0};
        struct manifest second = {0};
        if (manifest_print(&manifest, &text, NULL) != SABOT_OK ||
            manifest_parse(text.data, text.size, "MANIFEST", &second, NULL) != SABOT_OK ||
            manifest_print(&second, &again, NULL) != SABOT_OK || text.size != again.size ||
            memcmp(text.data, again.data, text.size) != 0) {
            abort();
        }
        manifest_clear(&second);
        text_clear(&text);
        text_clear(&again);
    }
    manifest_clear(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text text = {0};
    text_append(&text, (const char *)data, size);
    parse(text_string(&text), text.size);
    const XXH128_hash_t hash = XXH3_128bits(text_string(&text), text.size);
    text_format(&text, "{\"xxh3_128\": \"%016llx%016llx\"}\n", (unsigned long long)hash.high64,
                (unsigned long long)hash.low64);
    parse(text.data, text.size);
    text_clear(&text);
    return 0;
}
