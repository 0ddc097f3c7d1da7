/* The picture of an error. */
#include "sql/caret.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct picture {
    char *buffer;
    size_t size;
    size_t used;
};

static void put(struct picture *picture, char c) {
    if (picture->used + 1 < picture->size) { picture->buffer[picture->used++] = c; }
}

static void put_text(struct picture *picture, const char *text) {
    while (*text) { put(picture, *text++); }
}

static bool starts_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* A tab is as wide as the blank it becomes, so that the caret stays under its character. */
static char shown(char byte) { return (unsigned char)byte < 0x20 || byte == 0x7F ? ' ' : byte; }

size_t sql_caret(const char *text, size_t text_size, const struct sabot_error *err, char *buffer, size_t size) {
    struct picture picture = {buffer, size, 0};
    if (size > 0) { buffer[0] = 0; }
    if (!err || err->sql_line == 0 || size == 0) { return 0; }
    const char *end = text + text_size;
    const char *line = text;
    for (uint32_t i = 1; i < err->sql_line; i++) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (!next) { return 0; }
        line = next + 1;
    }
    const char *line_end = memchr(line, '\n', (size_t)(end - line));
    if (!line_end) { line_end = end; }
    size_t characters = 0;
    for (const char *at = line; at < line_end; at++) { characters += starts_character(*at); }

    const size_t column = err->sql_column > 0 ? err->sql_column - 1 : 0;
    const size_t first = column > SQL_CARET_WIDTH_MAX * 2 / 3 ? column - SQL_CARET_WIDTH_MAX * 2 / 3 : 0;
    const size_t last = first + SQL_CARET_WIDTH_MAX;
    char margin[24];
    const int width = snprintf(margin, sizeof margin, "%4u | ", err->sql_line);

    put_text(&picture, margin);
    if (first > 0) { put_text(&picture, "..."); }
    size_t character = 0;
    for (const char *at = line; at < line_end; at++) {
        const size_t here = character + starts_character(*at) - 1;
        character += starts_character(*at);
        if (character > 0 && here >= first && here < last) { put(&picture, shown(*at)); }
    }
    if (characters > last) { put_text(&picture, "..."); }
    put(&picture, '\n');

    for (int i = 0; i < width - 2; i++) { put(&picture, ' '); }
    put_text(&picture, "| ");
    for (size_t i = first; i < column + (first > 0 ? 3 : 0); i++) { put(&picture, ' '); }
    put(&picture, '^');
    for (size_t i = 1; i < err->sql_length && column + i < characters && column + i < last; i++) {
        put(&picture, '~');
    }
    put(&picture, '\n');
    buffer[picture.used] = 0;
    return picture.used;
}
