/* What the window aggregations share about rows: see window_rows.h. */
#include "ops/window/window_rows.h"

#include "ops/services.h"

sabot_status window_check_time(const struct schema *input, int32_t time_column, struct sabot_error *err) {
    const struct type time = input->fields[time_column].type;
    if (time.kind == TYPE_TIMESTAMP || time.kind == TYPE_TIMESTAMP_LTZ) { return SABOT_OK; }
    char type[128];
    type_print(time, type, sizeof type);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "a window needs a time column of type TIMESTAMP or TIMESTAMP_LTZ, %s is %s",
                      input->fields[time_column].name, type);
}

/* Whether a row is not one of those that grouping sets made of it besides. */
static bool is_counted_copy(const struct window_aggregate_options *options, const struct batch *batch, int32_t row) {
    if (!options || !options->copies) { return true; }
    const int32_t key = options->copies->key;
    const struct column *ids = batch->columns[options->merges_partials ? 2 + key : options->keys[key]];
    const int64_t id = ((const int64_t *)ids->values)[column_at(ids, row)];
    for (int32_t i = 0; i < options->copies->n_ids; i++) {
        if (options->copies->ids[i] == id) { return true; }
    }
    return false;
}

sabot_status window_late(const struct op_context *context, const struct window_aggregate_options *options,
                         const struct batch *batch, const int32_t *rows, int32_t n, const char *rule,
                         int64_t closes_ms, int64_t watermark_ms, const struct window_progress *progress,
                         struct sabot_error *err) {
    const struct column *counts = options && options->merges_partials ? batch->columns[1] : NULL;
    int64_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        if (!is_counted_copy(options, batch, row)) { continue; }
        count += counts ? ((const int64_t *)counts->values)[column_at(counts, row)] : 1;
        if (!context->job) { continue; }
        const int64_t judge_ms = progress ? window_progress_of(progress, batch, row, watermark_ms) : watermark_ms;
        const int64_t lateness_ms = closes_ms == INT64_MAX ? 0 : judge_ms - (closes_ms - 1);
        SABOT_TRY(job_late(context->job, context, batch, row, rule, judge_ms, lateness_ms, err));
    }
    if (context->metrics) { metric_add(&context->metrics->rows_late, count); }
    return SABOT_OK;
}

sabot_status window_property_column(struct memory_pool *pool, const struct slices *slices,
                                    enum window_property property, int64_t window_end, struct type type, int32_t n,
                                    struct column **out, struct sabot_error *err) {
    int64_t value = window_end;
    if (property == WINDOW_START) { value = window_start_of(slices, window_end); }
    if (property == WINDOW_TIME) { value = window_end - 1; }
    value *= timestamp_units_per_ms_num(type);
    return column_constant(pool, PHYS_I64, &value, n, out, err);
}
