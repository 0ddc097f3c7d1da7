/* UTF-8, one code point at a time. Strings may hold invalid bytes: each counts as one character of its own. */
#ifndef EXPR_UTF8_H
#define EXPR_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_INVALID UINT32_MAX

/* Decodes the code point at `text` (size > 0); returns its length in bytes, 1 for an invalid byte. */
static inline int utf8_decode(const char *text, size_t size, uint32_t *code) {
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80) {
        *code = at[0];
        return 1;
    }
    const int length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    *code = UTF8_INVALID;
    if (at[0] < 0xc2 || at[0] > 0xf4 || (size_t)length > size) { return 1; }
    uint32_t value = at[0] & (0xffu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) { return 1; }
        value = value << 6 | (at[i] & 0x3f);
    }
    const uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) { return 1; }
    *code = value;
    return length;
}

/* Writes at most 4 bytes; returns how many. */
static inline int utf8_encode(uint32_t code, char *target) {
    if (code < 0x80) {
        target[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        target[0] = (char)(0xc0 | code >> 6);
        target[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        target[0] = (char)(0xe0 | code >> 12);
        target[1] = (char)(0x80 | (code >> 6 & 0x3f));
        target[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    target[0] = (char)(0xf0 | code >> 18);
    target[1] = (char)(0x80 | (code >> 12 & 0x3f));
    target[2] = (char)(0x80 | (code >> 6 & 0x3f));
    target[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Bytes of the character at `text`, without decoding it. */
static inline size_t utf8_step(const char *text, size_t size) {
    uint32_t code;
    return (size_t)utf8_decode(text, size, &code);
}

/* Characters in a text: bytes that are not continuation bytes, exact for valid UTF-8. */
static inline int64_t utf8_length(const char *text, size_t size) {
    int64_t n = 0;
    for (size_t i = 0; i < size; i++) { n += ((unsigned char)text[i] & 0xc0) != 0x80; }
    return n;
}

#endif
