/* The table of connectors. */
#include "connect/connector.h"

#include <stdatomic.h>
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

#define BUILT_IN (sizeof connectors / sizeof connectors[0] - 1)

/* Those of the embedding program: only ever added, so that readers need no lock. A place is taken first, then filled.
 */
static _Atomic(const struct connector *) registered[CONNECTORS_REGISTERED_MAX];
static _Atomic size_t n_registered;

const struct connector *connector_find(const char *name) {
    for (size_t i = 0;; i++) {
        const struct connector *connector = connector_at(i);
        if (!connector || strcmp(connector->name, name) == 0) { return connector; }
    }
}

const struct connector *connector_at(size_t i) {
    if (i < BUILT_IN) { return &connectors[i]; }
    i -= BUILT_IN;
    return i < CONNECTORS_REGISTERED_MAX ? atomic_load(&registered[i]) : NULL;
}

sabot_status connector_register(const struct connector *connector, struct sabot_error *err) {
    if (connector_find(connector->name)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "there is a connector \"%s\" already", connector->name);
    }
    const size_t at = atomic_fetch_add(&n_registered, 1);
    if (at >= CONNECTORS_REGISTERED_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "more than %d registered connectors", CONNECTORS_REGISTERED_MAX);
    }
    atomic_store(&registered[at], connector);
    return SABOT_OK;
}
