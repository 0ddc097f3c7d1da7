/* The picture of an error: the source line and a caret under the place. */
#ifndef SQL_CARET_H
#define SQL_CARET_H

#include <stddef.h>

#include "sabot/error.h"

#define SQL_CARET_WIDTH_MAX 120u /* characters of a source line; longer ones are cut around the place */

/* Writes two lines, "  3 | SELECT pirce FROM bid" and "    |        ^~~~~", each with a newline, NUL-terminated, cut at
 * `size`. Writes "" where the error has no place or the text lacks that line. Returns the length. */
size_t sql_caret(const char *text, size_t text_size, const struct sabot_error *err, char *buffer, size_t size);

#endif
