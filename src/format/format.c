/* The table of formats. */
#include "format/format.h"

#include <string.h>

#define X(name, symbol) extern const struct format_type symbol;
#include "format/formats.def"
#undef X

static const struct format_type *const formats[] = {
#define X(name, symbol) &symbol,
#include "format/formats.def"
#undef X
    NULL,
};

const struct format_type *format_find(const char *name) {
    for (size_t i = 0; formats[i]; i++) {
        if (strcmp(formats[i]->name, name) == 0) { return formats[i]; }
    }
    return NULL;
}

const struct format_type *format_at(size_t i) {
    return i + 1 < sizeof formats / sizeof formats[0] ? formats[i] : NULL;
}
