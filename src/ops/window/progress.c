/* The watermarks up to which windows have fired: see progress.h. */
#include "ops/window/progress.h"

#include <assert.h>
#include <stdlib.h>

#include "time/watermark_combine.h"

static int64_t value_at(const struct batch *rows, int32_t column, int32_t row) {
    const struct column *from = rows->columns[column];
    const int32_t at = column_at(from, batch_row(rows, row));
    return from->phys == PHYS_I32 ? ((const int32_t *)from->values)[at] : ((const int64_t *)from->values)[at];
}

/* Checkpoints of before had one watermark per task, and did not say of which groups: the least is right for all. */
static sabot_status open_before(struct window_progress *progress, const struct op_context *context,
                                int64_t *watermark_ms, struct sabot_error *err) {
    const struct field field = {"watermark", type_not_null(type_of(TYPE_INT64))};
    SABOT_TRY(schema_new(&field, 1, &progress->schema_before, err));
    const struct state_spec spec = {.name = "progress", .kind = STATE_LIST, .schema = progress->schema_before};
    struct state_table *table;
    SABOT_TRY(state_table_open(context->state, &spec, &table, err));
    const struct batch *rows = state_list_rows(table);
    for (int32_t i = 0; rows && i < rows->selected; i++) {
        const int64_t watermark = value_at(rows, 0, i);
        *watermark_ms = i == 0 || watermark < *watermark_ms ? watermark : *watermark_ms;
    }
    return state_list_replace(table, NULL, err);
}

/* What the rows say of this task's groups. */
static sabot_status rows_take(struct window_progress *progress, const struct batch *rows, int64_t *watermark_ms,
                              struct sabot_error *err) {
    int64_t *fired = malloc((size_t)(progress->n_groups + 1) * sizeof *fired);
    if (!fired) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for watermarks"); }
    for (int32_t g = 0; g < progress->n_groups; g++) { fired[g] = INT64_MIN; }
    for (int32_t i = 0; i < rows->selected; i++) {
        const int64_t first = value_at(rows, 0, i) - progress->first_group;
        const int64_t behind = value_at(rows, 1, i) - progress->first_group + 1, watermark = value_at(rows, 2, i);
        for (int64_t g = first < 0 ? 0 : first; g < behind && g < progress->n_groups; g++) {
            fired[g] = watermark > fired[g] ? watermark : fired[g];
        }
    }
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (int32_t g = 0; g < progress->n_groups; g++) {
        least = fired[g] < least ? fired[g] : least;
        most = fired[g] > most ? fired[g] : most;
    }
    if (progress->n_groups > 0) { *watermark_ms = least; }
    if (most > least) {
        progress->further_ms = fired;
        progress->furthest_ms = most;
    } else {
        free(fired);
    }
    return SABOT_OK;
}

sabot_status window_progress_open(struct window_progress *progress, const struct op_context *context,
                                  int64_t *watermark_ms, struct sabot_error *err) {
    const struct field fields[] = {{"first_group", type_not_null(type_of(TYPE_INT32))},
                                   {"last_group", type_not_null(type_of(TYPE_INT32))},
                                   {"watermark", type_not_null(type_of(TYPE_INT64))}};
    progress->max_parallelism = context->max_parallelism;
    progress->first_group = key_group_first(context->subtask, context->max_parallelism, context->parallelism);
    progress->n_groups =
        key_group_first(context->subtask + 1, context->max_parallelism, context->parallelism) - progress->first_group;
    SABOT_TRY(schema_new(fields, 3, &progress->schema, err));
    const struct state_spec spec = {.name = "fired", .kind = STATE_LIST, .schema = progress->schema};
    SABOT_TRY(state_table_open(context->state, &spec, &progress->table, err));
    const struct batch *rows = state_list_rows(progress->table);
    return rows && rows->selected > 0 ? rows_take(progress, rows, watermark_ms, err)
                                      : open_before(progress, context, watermark_ms, err);
}

static int64_t fired_of(const struct window_progress *progress, int32_t group, int64_t watermark_ms) {
    const int64_t further = progress->further_ms ? progress->further_ms[group] : INT64_MIN;
    return further > watermark_ms ? further : watermark_ms;
}

/* The end of the run of groups from `group` on that have fired up to the same watermark. */
static int32_t run_end(const struct window_progress *progress, int32_t group, int64_t watermark_ms) {
    int32_t end = group + 1;
    while (end < progress->n_groups &&
           fired_of(progress, end, watermark_ms) == fired_of(progress, group, watermark_ms)) {
        end++;
    }
    return end;
}

sabot_status window_progress_keep(struct window_progress *progress, struct memory_pool *pool, int64_t watermark_ms,
                                  struct sabot_error *err) {
    if (progress->further_ms && watermark_ms >= progress->furthest_ms) {
        free(progress->further_ms);
        progress->further_ms = NULL;
    }
    int32_t n = 0;
    for (int32_t g = 0; g < progress->n_groups; g = run_end(progress, g, watermark_ms)) { n++; }
    if (n == 0) { return state_list_replace(progress->table, NULL, err); }
    struct column_builder builders[3] = {0};
    struct column *columns[3] = {0};
    static const enum phys phys[3] = {PHYS_I32, PHYS_I32, PHYS_I64};
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c < 3 && status == SABOT_OK; c++) {
        status = column_builder_init(&builders[c], pool, phys[c], n, false, err);
    }
    int32_t row = 0;
    for (int32_t g = 0; g < progress->n_groups && status == SABOT_OK; row++) {
        const int32_t end = run_end(progress, g, watermark_ms);
        ((int32_t *)builders[0].values)[row] = progress->first_group + g;
        ((int32_t *)builders[1].values)[row] = progress->first_group + end - 1;
        ((int64_t *)builders[2].values)[row] = fired_of(progress, g, watermark_ms);
        g = end;
    }
    for (int32_t c = 0; c < 3; c++) {
        if (status == SABOT_OK) { status = column_builder_finish(&builders[c], &columns[c], err); }
        column_builder_clear(&builders[c]);
    }
    struct batch *rows = NULL;
    if (status == SABOT_OK) { /* which takes over the columns on every path */
        status = batch_new(progress->schema, columns, 3, n, &rows, err);
        return status == SABOT_OK ? state_list_replace(progress->table, rows, err) : status;
    }
    for (int32_t c = 0; c < 3; c++) { column_unref(columns[c]); }
    return status;
}

void window_progress_clear(struct window_progress *progress) {
    schema_unref(progress->schema);
    schema_unref(progress->schema_before);
    free(progress->further_ms);
    *progress = (struct window_progress){0};
}

void window_progress_split(const struct window_progress *progress, const struct batch *batch, const int32_t *rows,
                           int32_t n, int64_t closes_ms, int64_t lateness_ms, int32_t *kept, int32_t *n_kept,
                           int32_t *late) {
    int32_t n_late = 0;
    *n_kept = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        if (row_is_late(closes_ms, lateness_ms, window_progress_of(progress, batch, row, INT64_MIN))) {
            late[n_late++] = row;
        } else {
            kept[(*n_kept)++] = row;
        }
    }
}

sabot_status window_progress_due(const struct window_progress *progress, struct memory_pool *pool,
                                 const struct batch *groups, int32_t n_keys, int64_t closes_ms, int64_t lateness_ms,
                                 int32_t *kept, int32_t *n_kept, struct sabot_error *err) {
    int32_t keys[64];
    assert(n_keys <= 64);
    for (int32_t k = 0; k < n_keys; k++) { keys[k] = k; }
    struct buffer *late;
    SABOT_TRY(buffer_new(pool, ((size_t)groups->rows + 1) * sizeof(int32_t), &late, err));
    BATCH_OWNED struct batch *hashed = NULL; /* the groups may be in other hands too */
    sabot_status status = batch_copy(groups, &hashed, err);
    if (status == SABOT_OK) { status = batch_cache_hashes(pool, hashed, keys, n_keys, err); }
    if (status == SABOT_OK) {
        window_progress_split(progress, hashed, NULL, groups->rows, closes_ms, lateness_ms, kept, n_kept,
                              (int32_t *)(void *)late->data);
    }
    buffer_unref(late);
    return status;
}
