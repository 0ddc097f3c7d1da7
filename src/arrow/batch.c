/* Batches: reference counts and the cheap changes that share everything else. */
#include "arrow/batch.h"

#include <assert.h>
#include <stdlib.h>

static sabot_status batch_make(struct schema *schema, struct column *const *columns, int32_t n_columns, int32_t rows,
                               struct batch **out, struct sabot_error *err) {
    struct batch *batch = malloc(sizeof *batch + (size_t)n_columns * sizeof(struct column *));
    *out = batch;
    if (!batch) {
        for (int32_t i = 0; i < n_columns; i++) { column_unref(columns[i]); }
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a batch");
    }
    *batch = (struct batch){
        .rows = rows,
        .selected = rows,
        .n_columns = n_columns,
        .schema = schema_ref(schema),
        .columns = (struct column **)(batch + 1),
    };
    atomic_init(&batch->refs, 1);
    for (int32_t i = 0; i < n_columns; i++) {
        assert(columns[i]->length == rows);
        batch->columns[i] = columns[i];
    }
    return SABOT_OK;
}

sabot_status batch_new(struct schema *schema, struct column *const *columns, int32_t n_columns, int32_t rows,
                       struct batch **out, struct sabot_error *err) {
    return batch_make(schema, columns, n_columns, rows, out, err);
}

struct batch *batch_ref(struct batch *batch) {
    if (batch) { atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed); }
    return batch;
}

void batch_unref(struct batch *batch) {
    if (!batch || atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1) { return; }
    for (int32_t i = 0; i < batch->n_columns; i++) { column_unref(batch->columns[i]); }
    schema_unref(batch->schema);
    buffer_unref(batch->selection_buffer);
    buffer_unref(batch->row_kinds_buffer);
    buffer_unref(batch->hashes_buffer);
    free(batch);
}

void batch_cleanup(struct batch **batch) { batch_unref(*batch); }

sabot_status batch_with_columns(const struct batch *from, struct schema *schema, struct column *const *columns,
                                int32_t n_columns, struct batch **out, struct sabot_error *err) {
    SABOT_TRY(batch_make(schema, columns, n_columns, from->rows, out, err));
    struct batch *batch = *out;
    batch->selected = from->selected;
    batch->selection = from->selection;
    batch->selection_buffer = buffer_ref(from->selection_buffer);
    batch->row_kinds = from->row_kinds;
    batch->row_kinds_buffer = buffer_ref(from->row_kinds_buffer);
    batch->created_ns = from->created_ns;
    return SABOT_OK;
}

sabot_status batch_with_column(const struct batch *from, struct schema *schema, struct column *column, bool first,
                               struct batch **out, struct sabot_error *err) {
    struct column **columns = malloc(sizeof *columns * ((size_t)from->n_columns + 1));
    *out = NULL;
    if (!columns) {
        column_unref(column);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a batch of %d columns", from->n_columns + 1);
    }
    columns[first ? 0 : from->n_columns] = column;
    for (int32_t i = 0; i < from->n_columns; i++) { columns[i + first] = column_ref(from->columns[i]); }
    const sabot_status status = batch_with_columns(from, schema, columns, from->n_columns + 1, out, err);
    free(columns);
    return status;
}

sabot_status schema_with_row_kinds(const struct schema *from, const char *name, bool first, struct schema **out,
                                   struct sabot_error *err) {
    struct field *fields = malloc(sizeof *fields * ((size_t)from->n_fields + 1));
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a schema of %d columns",
        from->n_fields + 1); }
    memcpy(fields + first, from->fields, sizeof *fields * (size_t)from->n_fields);
    fields[first ? 0 : from->n_fields] = (struct field){name, type_not_null(type_of(TYPE_STRING))};
    const sabot_status status = schema_new(fields, from->n_fields + 1, out, err);
    free(fields);
    return status;
}

static sabot_status row_kinds_column(struct memory_pool *pool, const struct batch *from, struct column **out,
                                     struct sabot_error *err) {
    static const char names[4][3] = {"+I", "-U", "+U", "-D"};
    struct column_builder builder = {0};
    SABOT_TRY(column_builder_init(&builder, pool, PHYS_VIEW, from->rows, false, err));
    for (int32_t i = 0; i < from->rows; i++) {
        ((struct string_view *)builder.values)[i] =
            string_view_of(names[from->row_kinds ? from->row_kinds[i] & 3 : ROW_INSERT], 2);
    }
    return column_builder_finish(&builder, out, err);
}

sabot_status batch_with_row_kinds(struct memory_pool *pool, const struct batch *from, struct schema *schema, bool first,
                                  struct batch **out, struct sabot_error *err) {
    struct column *kinds = NULL;
    SABOT_TRY(row_kinds_column(pool, from, &kinds, err));
    return batch_with_column(from, schema, kinds, first, out, err);
}

sabot_status batch_with_selection(const struct batch *from, struct buffer *selection, int32_t selected,
                                  struct batch **out, struct sabot_error *err) {
    for (int32_t i = 0; i < from->n_columns; i++) { column_ref(from->columns[i]); }
    const sabot_status status = batch_make(from->schema, from->columns, from->n_columns, from->rows, out, err);
    if (status != SABOT_OK) {
        buffer_unref(selection);
        return status;
    }
    struct batch *batch = *out;
    batch->selected = selected;
    batch->selection_buffer = selection;
    batch->selection = selection ? (const int32_t *)(const void *)selection->data : NULL;
    batch->row_kinds = from->row_kinds;
    batch->row_kinds_buffer = buffer_ref(from->row_kinds_buffer);
    batch->hashes = from->hashes;
    batch->hashes_buffer = buffer_ref(from->hashes_buffer);
    batch->hash_key_id = from->hash_key_id;
    batch->created_ns = from->created_ns;
    return SABOT_OK;
}

sabot_status batch_copy(const struct batch *from, struct batch **out, struct sabot_error *err) {
    SABOT_TRY(batch_with_selection(from, buffer_ref(from->selection_buffer), from->selected, out, err));
    (*out)->selection = from->selection;
    return SABOT_OK;
}
