/* Text cells into a batch. */
#include "sql/rows.h"

#include <string.h>

#define ROWS_BYTES_MAX ((size_t)64 << 20)

void rows_init(struct rows *rows, const char *const *names, int32_t n_columns) {
    memset(rows, 0, sizeof *rows);
    arena_init(&rows->arena, ROWS_BYTES_MAX);
    for (int32_t i = 0; i < n_columns; i++) {
        rows->names[i] = names[i];
    }
    rows->n_columns = n_columns;
}

void rows_add(struct rows *rows, const char *const *cells) {
    for (int32_t i = 0; i < rows->n_columns; i++) {
        const char **grown =
            arena_grow(&rows->arena, rows->cells, rows->n_cells, sizeof *rows->cells, &rows->capacity);
        if (!grown) { return; } /* the arena remembers it */
        rows->cells = grown;
        rows->cells[rows->n_cells++] = cells[i] ? arena_copy(&rows->arena, cells[i], strlen(cells[i])) : NULL;
    }
}

void rows_clear(struct rows *rows) { arena_clear(&rows->arena); }

static sabot_status fill_column(const struct rows *rows, int32_t column, int32_t n_rows, struct memory_pool *pool,
                                struct column **out, struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, pool, PHYS_VIEW, n_rows, true, err));
    struct string_view *views = builder.values;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n_rows && status == SABOT_OK; i++) {
        const char *cell = rows->cells[(int64_t)i * rows->n_columns + column];
        const size_t size = cell ? strlen(cell) : 0;
        char *bytes = NULL;
        if (!cell) { column_builder_set_null(&builder, i); }
        if (size > STRING_VIEW_INLINE) {
            status = column_builder_reserve(&builder, size, &bytes, err);
            if (status == SABOT_OK) { memcpy(bytes, cell, size); }
        }
        if (status == SABOT_OK) { views[i] = string_view_of(bytes ? bytes : cell ? cell : "", (uint32_t)size); }
    }
    if (status == SABOT_OK) { return column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

static sabot_status make_batch(const struct rows *rows, struct memory_pool *pool, struct batch **out,
                               struct sabot_error *err) {
    struct field fields[ROWS_COLUMNS_MAX];
    struct column *columns[ROWS_COLUMNS_MAX];
    const int32_t n_rows = (int32_t)rows->n_cells / rows->n_columns;
    struct schema *schema = NULL;
    int32_t made = 0;
    if (rows->arena.exhausted || n_rows > BATCH_ROWS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the answer is too long: more than %d rows or %zu MiB", BATCH_ROWS_MAX,
                          ROWS_BYTES_MAX >> 20);
    }
    for (int32_t i = 0; i < rows->n_columns; i++) {
        fields[i] = (struct field){.name = rows->names[i], .type = type_of(TYPE_STRING)};
    }
    SABOT_TRY(schema_new(fields, rows->n_columns, &schema, err));
    sabot_status status = SABOT_OK;
    while (made < rows->n_columns && status == SABOT_OK) {
        status = fill_column(rows, made, n_rows, pool, &columns[made], err);
        made += status == SABOT_OK;
    }
    if (status == SABOT_OK) {
        status = batch_new(schema, columns, rows->n_columns, n_rows, out, err);
    } else {
        for (int32_t i = 0; i < made; i++) {
            column_unref(columns[i]);
        }
    }
    schema_unref(schema);
    return status;
}

sabot_status rows_finish(struct rows *rows, struct memory_pool *pool, struct batch **out, struct sabot_error *err) {
    const sabot_status status = make_batch(rows, pool, out, err);
    rows_clear(rows);
    return status;
}
