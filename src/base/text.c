/* Growing texts. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *text_reserve(struct text *text, size_t size) {
    if (text->failed) { return NULL; }
    if (size > TEXT_SIZE_MAX || text->size > TEXT_SIZE_MAX - size) {
        text->failed = true;
        return NULL;
    }
    const size_t need = text->size + size + 1;
    if (need > text->capacity) {
        size_t capacity = text->capacity ? text->capacity : 64;
        while (capacity < need) { capacity *= 2; }
        char *data = realloc(text->data, capacity);
        if (!data) {
            text->failed = true;
            return NULL;
        }
        text->data = data;
        text->capacity = capacity;
    }
    return text->data + text->size;
}

void text_append(struct text *text, const char *data, size_t size) {
    char *target = text_reserve(text, size);
    if (!target) { return; }
    if (size > 0) { memcpy(target, data, size); }
    text->size += size;
    text->data[text->size] = '\0';
}

void text_add(struct text *text, const char *string) { text_append(text, string, strlen(string)); }

void text_format(struct text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *target = size < 0 ? NULL : text_reserve(text, (size_t)size);
    if (target) {
        vsnprintf(target, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    } else {
        text->failed = true;
    }
    va_end(again);
}

const char *text_string(const struct text *text) {
    if (!text->data) { return ""; }
    text->data[text->size] = '\0'; /* after text_reserve the caller wrote the bytes */
    return text->data;
}

void text_clear(struct text *text) {
    free(text->data);
    *text = (struct text){0};
}
