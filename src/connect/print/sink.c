/* The sink 'print': one line per row on standard output, with its row kind: +I[1, text]. As in Flink the identifier
 * and, where there are several, the number of the subtask stand before it: "identifier:2> +I[1, text]". */
#include <stdlib.h>

#include "connect/connector.h"
#include "base/text.h"

static const struct connector_option print_options[] = {
#define X(name, kind, fallback, values, summary) {name, kind, fallback, values, summary},
#include "connect/print/options.def"
#undef X
    {0},
};

struct sink {
    struct connector_context context;
    struct env_file *file;
    struct text prefix, lines;
};

static void print_close(struct sink *sink) {
    if (!sink) { return; }
    text_clear(&sink->prefix);
    text_clear(&sink->lines);
    free(sink);
}

static sabot_status print_open(const struct connector_context *context, struct sink **out, struct sabot_error *err) {
    *out = NULL;
    const struct connector_option *tables[] = {print_options};
    bool to_error;
    SABOT_TRY(options_check(context->table, tables, 1, err));
    SABOT_TRY(option_bool(context->table, print_options, "standard-error", &to_error, err));
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a sink"); }
    sink->context = *context;
    sink->file = to_error ? env_stderr(context->env) : env_stdout(context->env);
    const char *identifier = option_text(context->table, print_options, "print-identifier");
    const bool named = identifier && *identifier;
    if (named) { text_add(&sink->prefix, identifier); }
    if (context->parallelism > 1) { text_format(&sink->prefix, "%s%d", named ? ":" : "", context->subtask + 1); }
    if (sink->prefix.size) { text_add(&sink->prefix, "> "); }
    *out = sink;
    return SABOT_OK;
}

static sabot_status row_print(struct sink *sink, const struct batch *batch, int32_t row, struct sabot_error *err) {
    static const char *const kinds[] = {"+I[", "-U[", "+U[", "-D["};
    const struct text_options options = {.null_text = "null"};
    struct text *lines = &sink->lines;
    text_append(lines, text_string(&sink->prefix), sink->prefix.size);
    text_add(lines, kinds[batch->row_kinds ? batch->row_kinds[row] & 3 : ROW_INSERT]);
    for (int32_t c = 0; c < batch->n_columns; c++) {
        if (c > 0) { text_append(lines, ", ", 2); }
        SABOT_TRY(column_print(batch->columns[c], row, batch->schema->fields[c].type, &options, lines, err));
    }
    text_append(lines, "]\n", 2);
    return SABOT_OK;
}

static sabot_status print_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    *full = false;
    sabot_status status = SABOT_OK;
    sink->lines.size = 0;
    for (int32_t i = 0; i < batch->selected && status == SABOT_OK; i++) {
        status = row_print(sink, batch, batch_row(batch, i), err);
    }
    if (status == SABOT_OK && sink->lines.failed) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to print a batch");
    }
    /* one write, so that lines of several subtasks do not mix */
    if (status == SABOT_OK && sink->lines.size) {
        status = env_write(sink->file, sink->lines.data, sink->lines.size, err);
    }
    if (sink->context.metrics) { metric_add(&sink->context.metrics->bytes_out, (int64_t)sink->lines.size); }
    batch_unref(batch);
    return status;
}

const struct sink_type print_sink = {
    .name = "print",
    .summary = "each row as a line on standard output: +I[1, text]",
    .options = print_options,
    .accepts = SINK_INSERTS | SINK_UPSERTS | SINK_RETRACTS,
    .open = print_open,
    .restore = sink_default_restore,
    .write = print_write,
    .prepare = sink_default_prepare,
    .commit = sink_default_commit,
    .finish = sink_default_finish,
    .close = print_close,
};
