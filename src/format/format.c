/* The table of formats. */
#include "format/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/vector.h"

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

sabot_status decode_error_add(struct decode_errors *errors, int32_t record, const char *reason,
                              struct sabot_error *err) {
    if (errors->n == errors->capacity) {
        const int32_t capacity = errors->capacity ? errors->capacity * 2 : 16;
        struct decode_error *items = realloc(errors->items, (size_t)capacity * sizeof *items);
        if (!items) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for malformed records"); }
        errors->items = items;
        errors->capacity = capacity;
    }
    struct decode_error *item = &errors->items[errors->n++];
    item->record = record;
    snprintf(item->reason, sizeof item->reason, "%s", reason);
    return SABOT_OK;
}

bool decode_lacks_value(const char *name, const struct vector *vector, int32_t row, char *reason) {
    if (vector->type.nullable || !vector_is_null(vector, row)) { return false; }
    snprintf(reason, DECODE_REASON_MAX, "field \"%s\": no value, but it is NOT NULL", name);
    return true;
}

void decode_errors_clear(struct decode_errors *errors) {
    free(errors->items);
    *errors = (struct decode_errors){0};
}

sabot_status format_nothing(struct encoder *encoder, struct text *target, struct sabot_error *err) {
    (void)encoder, (void)target, (void)err;
    return SABOT_OK;
}
