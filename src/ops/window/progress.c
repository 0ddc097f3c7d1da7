/* The watermark up to which windows have fired: see progress.h. */
#include "ops/window/progress.h"

sabot_status window_progress_open(struct window_progress *progress, struct state_tables *state, int64_t *watermark_ms,
                                  struct sabot_error *err) {
    const struct field field = {"watermark", type_not_null(type_of(TYPE_INT64))};
    SABOT_TRY(schema_new(&field, 1, &progress->schema, err));
    const struct state_spec spec = {.name = "progress", .kind = STATE_LIST, .schema = progress->schema};
    SABOT_TRY(state_table_open(state, &spec, &progress->table, err));
    const struct batch *rows = state_list_rows(progress->table);
    /* Subtasks had the same watermark, but for unaligned barriers: firing twice for late rows is better than never.
     */
    for (int32_t i = 0; rows && i < rows->selected; i++) {
        const struct column *column = rows->columns[0];
        const int64_t watermark = ((const int64_t *)column->values)[column_at(column, batch_row(rows, i))];
        *watermark_ms = i == 0 || watermark < *watermark_ms ? watermark : *watermark_ms;
    }
    return SABOT_OK;
}

sabot_status window_progress_keep(struct window_progress *progress, struct memory_pool *pool, int64_t watermark_ms,
                                  struct sabot_error *err) {
    struct column *column;
    SABOT_TRY(column_constant(pool, PHYS_I64, &watermark_ms, 1, &column, err));
    struct batch *row;
    SABOT_TRY(batch_new(progress->schema, &column, 1, 1, &row, err));
    return state_list_replace(progress->table, row, err);
}

void window_progress_clear(struct window_progress *progress) {
    schema_unref(progress->schema);
    *progress = (struct window_progress){0};
}
