/* The table of connectors. */
#include "connect/connector.h"

#include <string.h>

#define SOURCE(name, source_symbol) extern const struct source_type source_symbol;
#define SINK(name, sink_symbol) extern const struct sink_type sink_symbol;
#define BOTH(name, source_symbol, sink_symbol) SOURCE(name, source_symbol) SINK(name, sink_symbol)
#include "connect/connectors.def"
#undef SOURCE
#undef SINK
#undef BOTH

static const struct connector connectors[] = {
#define SOURCE(name, source_symbol) {name, &source_symbol, NULL},
#define SINK(name, sink_symbol) {name, NULL, &sink_symbol},
#define BOTH(name, source_symbol, sink_symbol) {name, &source_symbol, &sink_symbol},
#include "connect/connectors.def"
#undef SOURCE
#undef SINK
#undef BOTH
    {NULL, NULL, NULL},
};

const struct connector *connector_find(const char *name) {
    for (const struct connector *connector = connectors; connector->name; connector++) {
        if (strcmp(connector->name, name) == 0) { return connector; }
    }
    return NULL;
}

const struct connector *connector_at(size_t i) {
    return i + 1 < sizeof connectors / sizeof connectors[0] ? &connectors[i] : NULL;
}
