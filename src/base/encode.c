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

void text_add_base64(struct text *text, const char *data, size_t size) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = text_reserve(text, (size + 2) / 3 * 4);
    if (!at) { return; }
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const uint32_t bits = (uint32_t)(unsigned char)data[i] << 16 |
                              (left > 1 ? (uint32_t)(unsigned char)data[i + 1] << 8 : 0) |
                              (left > 2 ? (uint32_t)(unsigned char)data[i + 2] : 0);
        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        *at++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    text->size += (size + 2) / 3 * 4;
}
