/* Keys as sortable bytes. */
#include "state/kv_key.h"

#include <stdlib.h>

void kv_bytes_free(struct kv_bytes *bytes) {
    free(bytes->data);
    *bytes = (struct kv_bytes){0};
}

sabot_status kv_bytes_reserve(struct kv_bytes *bytes, size_t more, struct sabot_error *err) {
    if (bytes->capacity - bytes->size >= more) { return SABOT_OK; }
    size_t capacity = bytes->capacity ? bytes->capacity : 256;
    while (capacity - bytes->size < more) { capacity *= 2; }
    uint8_t *data = realloc(bytes->data, capacity);
    if (!data) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a key of %zu bytes", bytes->size + more); }
    bytes->data = data;
    bytes->capacity = capacity;
    return SABOT_OK;
}

sabot_status kv_key_begin(struct kv_bytes *out, int32_t group, int32_t table, struct sabot_error *err) {
    out->size = 0;
    SABOT_TRY(kv_bytes_reserve(out, KV_PREFIX_SIZE, err));
    const uint8_t prefix[KV_PREFIX_SIZE] = {(uint8_t)(group >> 8), (uint8_t)group, (uint8_t)(table >> 8),
                                            (uint8_t)table};
    memcpy(out->data, prefix, sizeof prefix);
    out->size = sizeof prefix;
    return SABOT_OK;
}

sabot_status kv_key_number(struct kv_bytes *out, int64_t number, struct sabot_error *err) {
    SABOT_TRY(kv_bytes_reserve(out, 8, err));
    const uint64_t flipped = __builtin_bswap64((uint64_t)number ^ UINT64_C(1) << 63);
    memcpy(out->data + out->size, &flipped, 8);
    out->size += 8;
    return SABOT_OK;
}

sabot_status kv_key_add(struct kv_bytes *out, enum kv_type type, const void *key, struct sabot_error *err) {
    if (type != KV_BYTES) { return kv_key_number(out, *(const int64_t *)key, err); }
    const struct string_view *view = key;
    const uint8_t *from = (const uint8_t *)string_view_data(view);
    SABOT_TRY(kv_bytes_reserve(out, (size_t)view->size * 2 + 2, err));
    uint8_t *to = out->data + out->size;
    for (uint32_t i = 0; i < view->size; i++) {
        *to++ = from[i];
        if (!from[i]) { *to++ = 0xff; }
    }
    *to++ = 0;
    *to++ = 0;
    out->size = (size_t)(to - out->data);
    return SABOT_OK;
}

void kv_key_next(struct kv_bytes *key) {
    while (key->size && key->data[key->size - 1] == 0xff) { key->size--; }
    if (key->size) { key->data[key->size - 1]++; }
}

bool kv_key_read_number(const uint8_t **at, const uint8_t *end, int64_t *out) {
    uint64_t flipped;
    if (end - *at < 8) { return false; }
    memcpy(&flipped, *at, 8);
    *out = (int64_t)(__builtin_bswap64(flipped) ^ UINT64_C(1) << 63);
    *at += 8;
    return true;
}

bool kv_key_read(const uint8_t **at, const uint8_t *end, enum kv_type type, struct kv_bytes *scratch,
                 struct string_view *view, int64_t *number) {
    if (type != KV_BYTES) { return kv_key_read_number(at, end, number); }
    uint8_t *start = scratch->data + scratch->size, *to = start;
    for (const uint8_t *from = *at; from + 1 < end; from++) {
        if (*from) {
            *to++ = *from;
        } else if (*++from == 0xff) {
            *to++ = 0;
        } else {
            *at = from + 1;
            *view = string_view_of((const char *)start, (uint32_t)(to - start));
            scratch->size += (size_t)(to - start);
            return *(from) == 0;
        }
    }
    return false;
}
