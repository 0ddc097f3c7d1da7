/* Keys of key-value state as bytes that sort like the keys: what RocksDB is given.
 *
 * key group (2 bytes), table (2), namespace (8), key, second key. Numbers are big-endian with the sign flipped; bytes
 * have 00 written as 00 FF and end in 00 00, so that no key is the beginning of another. */
#ifndef STATE_KV_KEY_H
#define STATE_KV_KEY_H

#include "state/kv_backend.h"

struct kv_bytes {
    uint8_t *data;
    size_t size, capacity;
};
void kv_bytes_free(struct kv_bytes *bytes);
sabot_status kv_bytes_reserve(struct kv_bytes *bytes, size_t more, struct sabot_error *err);

#define KV_PREFIX_SIZE 4
/* Empties `out` and begins a key: group and table. */
sabot_status kv_key_begin(struct kv_bytes *out, int32_t group, int32_t table, struct sabot_error *err);
sabot_status kv_key_number(struct kv_bytes *out, int64_t number, struct sabot_error *err);
sabot_status kv_key_add(struct kv_bytes *out, enum kv_type type, const void *key, struct sabot_error *err);
/* Makes the key of a range's end out of that of its beginning: the least that does not start with it. */
void kv_key_next(struct kv_bytes *key);

/* A key's parts again. `at` moves on; bytes are put into `scratch`, whose views stay valid as long as it is only
 * appended to within its capacity: reserve the key's size before. false: the bytes are no key. */
bool kv_key_read_number(const uint8_t **at, const uint8_t *end, int64_t *out);
bool kv_key_read(const uint8_t **at, const uint8_t *end, enum kv_type type, struct kv_bytes *scratch,
                 struct string_view *view, int64_t *number);

#endif
