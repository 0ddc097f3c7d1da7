/* Bytes in other notations, behind a text. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/text.h"

/* As a JSON string: quoted, with escapes. */
void text_add_json(struct text *text, const char *data, size_t size);
void text_add_base64(struct text *text, const char *data, size_t size); /* with padding */

#endif
