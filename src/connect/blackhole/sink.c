/* The sink 'blackhole': takes everything and keeps nothing; what benchmarks write to. */
#include <stdlib.h>

#include "connect/connector.h"

#include "base/text.h"

static const struct connector_option blackhole_options[] = {
#define X(name, kind, fallback, values, summary) {name, kind, fallback, values, summary},
#include "connect/blackhole/options.def"
#undef X
    {0},
};

struct sink {
    int64_t rows;
};

static sabot_status blackhole_open(const struct connector_context *context, struct sink **out,
                                   struct sabot_error *err) {
    const struct connector_option *tables[] = {blackhole_options};
    *out = NULL;
    SABOT_TRY(options_check(context->table, tables, 1, err));
    *out = calloc(1, sizeof **out);
    return *out ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a sink");
}

static sabot_status blackhole_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    (void)err;
    *full = false;
    sink->rows += batch->selected;
    batch_unref(batch);
    return SABOT_OK;
}

static void blackhole_close(struct sink *sink) { free(sink); }

const struct sink_type blackhole_sink = {
    .name = "blackhole",
    .summary = "takes every row and keeps none",
    .options = blackhole_options,
    .accepts = SINK_INSERTS | SINK_UPSERTS | SINK_RETRACTS,
    .open = blackhole_open,
    .restore = sink_default_restore,
    .write = blackhole_write,
    .prepare = sink_default_prepare,
    .commit = sink_default_commit,
    .finish = sink_default_finish,
    .close = blackhole_close,
};
