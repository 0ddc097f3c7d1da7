/* A growing text for messages, plans and encoders: malloc'ed, always NUL-terminated, at most TEXT_SIZE_MAX bytes. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_SIZE_MAX ((size_t)1 << 31)

struct text {
    char *data;  /* NULL while empty */
    size_t size; /* bytes without the NUL */
    size_t capacity;
    bool failed; /* out of memory or too long: later appends do nothing; check once at the end */
};
void text_append(struct text *text, const char *data, size_t size);
void text_add(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for `size` more bytes and returns where they go (NULL after a failure); then text->size += used. */
char *text_reserve(struct text *text, size_t size);
const char *text_string(const struct text *text); /* "" while empty */
void text_clear(struct text *text);               /* frees */

#endif
