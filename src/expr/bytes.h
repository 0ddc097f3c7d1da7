/* Sixteen bytes of a text looked at at once: what short searches are made of. */
#ifndef EXPR_BYTES_H
#define EXPR_BYTES_H

#include <stdint.h>

typedef char byte_vector __attribute__((vector_size(16), aligned(1), may_alias));

/* Bit i: byte i of the 16 at `data` is the one looked for. */
static inline uint32_t bytes_equal(const char *data, byte_vector wanted) {
    const byte_vector equal = *(const byte_vector *)(const void *)data == wanted;
#if defined(__SSE2__)
    return (uint32_t)__builtin_ia32_pmovmskb128(equal);
#else
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 16; i++) { bits |= (uint32_t)(equal[i] & 1) << i; }
    return bits;
#endif
}

#endif
