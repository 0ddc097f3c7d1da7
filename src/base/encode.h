/* Bytes in other notations. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include <stdbool.h>

#include "base/text.h"

/* As a JSON string: quoted, with escapes. */
void text_add_json(struct text *text, const char *data, size_t size);
void text_add_base64(struct text *text, const char *data, size_t size); /* with padding */

size_t base64_size(size_t size); /* of so many bytes, with padding */
void base64_encode(const char *data, size_t size, char *target);

enum base64_kind {
    BASE64_STRICT, /* padding fills the last four digits or is not there, as in java.util.Base64 */
    BASE64_LENIENT /* any padding, and - and _ of URLs too */
};
/* The target has room for size / 4 * 3 + 3 bytes; false: the text is no base64. */
bool base64_decode(const char *text, size_t size, enum base64_kind kind, char *target, size_t *target_size);

#endif
