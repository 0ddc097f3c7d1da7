/* Bytes as JSON strings and as base64. */
#include "base/encode.h"

#include <stdint.h>

void text_add_json(struct text *text, const char *data, size_t size) {
    text_append(text, "\"", 1);
    size_t begin = 0;
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)data[i];
        if (c >= 0x20 && c != '"' && c != '\\') { continue; }
        text_append(text, data + begin, i - begin);
        begin = i + 1;
        switch (c) {
        case '"': text_append(text, "\\\"", 2); break;
        case '\\': text_append(text, "\\\\", 2); break;
        case '\n': text_append(text, "\\n", 2); break;
        case '\r': text_append(text, "\\r", 2); break;
        case '\t': text_append(text, "\\t", 2); break;
        case '\b': text_append(text, "\\b", 2); break;
        case '\f': text_append(text, "\\f", 2); break;
        default: text_format(text, "\\u%04x", c); break;
        }
    }
    text_append(text, data + begin, size - begin);
    text_append(text, "\"", 1);
}

size_t base64_size(size_t size) { return (size + 2) / 3 * 4; }

void base64_encode(const char *data, size_t size, char *target) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = target;
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const uint32_t bits = (uint32_t)(unsigned char)data[i] << 16 |
                              (left > 1 ? (uint32_t)(unsigned char)data[i + 1] << 8 : 0) |
                              (left > 2 ? (uint32_t)(unsigned char)data[i + 2] : 0);
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        *at++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? digits[bits & 63] : '=';
    }
}

void text_add_base64(struct text *text, const char *data, size_t size) {
    char *target = text_reserve(text, base64_size(size));
    if (!target) { return; }
    base64_encode(data, size, target);
    text->size += base64_size(size);
}

static int base64_value(char c, enum base64_kind kind) {
    if (c >= 'A' && c <= 'Z') { return c - 'A'; }
    if (c >= 'a' && c <= 'z') { return c - 'a' + 26; }
    if (c >= '0' && c <= '9') { return c - '0' + 52; }
    const bool lenient = kind == BASE64_LENIENT;
    return c == '+' || (lenient && c == '-') ? 62 : c == '/' || (lenient && c == '_') ? 63 : -1;
}

bool base64_decode(const char *text, size_t size, enum base64_kind kind, char *target, size_t *target_size) {
    size_t n = size, padding_max = kind == BASE64_LENIENT ? size : size % 4 == 0 ? 2 : 0;
    for (; n > 0 && padding_max > 0 && text[n - 1] == '='; n--) { padding_max--; }
    uint32_t bits = 0;
    int n_bits = 0;
    char *at = target;
    for (size_t i = 0; i < n; i++) {
        const int value = base64_value(text[i], kind);
        if (value < 0) { return false; }
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *at++ = (char)(bits >> n_bits);
        }
    }
    *target_size = (size_t)(at - target);
    return n % 4 != 1;
}
