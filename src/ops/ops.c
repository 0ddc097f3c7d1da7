/* All operators by name. */
#include <string.h>

#include "ops/specs.h"

static const struct op_type *const types[] = {
#define X(symbol) &symbol,
#include "ops/ops.def"
#undef X
};

const struct op_type *op_find(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i]->name, name) == 0) { return types[i]; }
    }
    return NULL;
}

const struct op_type *op_at(size_t i) { return i < sizeof types / sizeof types[0] ? types[i] : NULL; }
