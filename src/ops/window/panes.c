/* The shared slices of the window aggregations. */
#include "ops/window/panes.h"

#include "ops/window/window_rows.h"

sabot_status window_panes_open(const struct op_context *context, struct slices *slices, struct splitter *splitter,
                               struct aggregator *aggregator, int32_t *time_column, struct sabot_error *err) {
    const struct window_aggregate_options *options = context->spec->options;
    const bool partial = options->merges_partials;
    const struct schema *raw = partial ? options->raw_input : context->input;
    const struct window_aggregate_options *plan = partial ? options->local : options;
    SABOT_TRY(slices_init(slices, &plan->window, err));
    SABOT_TRY(window_check_time(raw, plan->window.time_column, err));
    const struct type time = raw->fields[plan->window.time_column].type;
    *time_column = partial ? 0 : plan->window.time_column;
    splitter_init(splitter, context->pool, slices, partial ? 1 : timestamp_units_per_ms_num(time),
                  partial || plan->window.times_are_ends);
    const struct aggregator_options aggregator_options = {
        .keys = plan->keys,
        .n_keys = plan->n_keys,
        .calls = plan->calls,
        .n_calls = plan->n_calls,
        .input = raw,
        /* rows are counted in one phase too: a job may go on at a parallelism at which the plan has two */
        .flags = ACCUMULATE_ROWS | (context->program.wrap_overflow ? ACCUMULATE_WRAP : 0),
    };
    SABOT_TRY(aggregator_open(aggregator, &aggregator_options, context->state, "panes", context->pool, err));
    if (partial) { aggregator_take_partials(aggregator, 2, 1, 2 + plan->n_keys); }
    return SABOT_OK;
}

sabot_status window_panes_of(struct state_table *panes, const struct slices *slices, int64_t window_end,
                             const int64_t **ends, int32_t *first, int32_t *n, struct sabot_error *err) {
    const int64_t start = window_start_of(slices, window_end);
    int32_t all;
    SABOT_TRY(state_namespaces(panes, ends, &all, err));
    *first = 0;
    while (*first < all && (*ends)[*first] <= start) { (*first)++; }
    *n = 0;
    while (*first + *n < all && (*ends)[*first + *n] <= window_end) { (*n)++; }
    return SABOT_OK;
}
