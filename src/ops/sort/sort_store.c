/* Rows of a sort as columns of a log: see sort_store.h. A packed cell is a byte (0: NULL), then its value: of fixed
 * width as it lies in memory, of a text its size and bytes, of a list its size and elements, of a row its fields. */
#include "ops/sort/sort_store.h"

#include <stdlib.h>

#include "arrow/vector.h"
#include "base/text.h"
#include "state/cells.h"

#define FLAT_MAX (STATE_COLUMNS_MAX - 2) /* the packed column and the arrival are more */
#define PACKED "packed"
#define ARRIVAL "row_number"

/* ---- layout ---- */

static bool is_nested(struct type type) {
    const enum phys phys = type_phys(type);
    return phys == PHYS_LIST || phys == PHYS_ROW;
}

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a sort");
}

static sabot_status schemas_make(struct sort_store *store, const struct schema *input, struct field *fields,
                                 struct sabot_error *err) {
    const struct field arrival = {ARRIVAL, type_not_null(type_of(TYPE_INT64))};
    for (int32_t c = 0; c < input->n_fields; c++) { fields[c] = input->fields[c]; }
    fields[input->n_fields] = arrival;
    SABOT_TRY(schema_new(fields, input->n_fields + 1, &store->loaded, err));
    int32_t n = 0;
    for (; n < store->n_flat; n++) { fields[n] = input->fields[store->flat[n]]; }
    if (store->n_packed) { fields[n++] = (struct field){PACKED, type_not_null(type_of(TYPE_BINARY))}; }
    fields[n++] = arrival;
    return schema_new(fields, n, &store->stored, err);
}

sabot_status sort_store_init(struct sort_store *store, struct memory_pool *pool, const struct schema *input,
                             struct sabot_error *err) {
    const size_t n = (size_t)input->n_fields;
    *store = (struct sort_store){.pool = pool, .arrival = input->n_fields};
    store->flat = malloc((n + 1) * sizeof *store->flat);
    store->packed = malloc((n + 1) * sizeof *store->packed);
    struct field *fields = malloc((n + 2) * sizeof *fields);
    sabot_status status = store->flat && store->packed && fields ? SABOT_OK : no_memory(err);
    for (int32_t c = 0; c < input->n_fields && status == SABOT_OK; c++) {
        if (is_nested(input->fields[c].type) || store->n_flat == FLAT_MAX) {
            store->packed[store->n_packed++] = c;
        } else {
            store->flat[store->n_flat++] = c;
        }
        store->row_bytes += (int64_t)phys_size(type_phys(input->fields[c].type));
    }
    store->row_bytes += (int64_t)sizeof(int64_t);
    if (status == SABOT_OK) { status = schemas_make(store, input, fields, err); }
    free(fields);
    return status;
}

void sort_store_clear(struct sort_store *store) {
    schema_unref(store->loaded);
    schema_unref(store->stored);
    free(store->flat);
    free(store->packed);
    *store = (struct sort_store){0};
}

/* ---- packing ---- */

/* The fields of a MAP's entries. */
static struct type entry_type(struct type type) {
    return (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = type.fields};
}

static void cell_pack(struct text *text, const struct column *column, int64_t row, struct type type) {
    const bool is_null = column_is_null(column, row);
    text_append(text, is_null ? "\0" : "\1", 1);
    if (is_null) { return; }
    const int64_t at = column_at(column, row);
    switch ((enum phys)column->phys) {
    case PHYS_VIEW: {
        const struct string_view *view = (const struct string_view *)column->values + at;
        text_append(text, (const char *)&view->size, sizeof view->size);
        text_append(text, string_view_data(view), view->size);
        break;
    }
    case PHYS_LIST: {
        const int32_t *offsets = (const int32_t *)column->values + at;
        const int32_t n = offsets[1] - offsets[0];
        const struct type element = type.kind == TYPE_MAP ? entry_type(type) : type.fields[0].type;
        text_append(text, (const char *)&n, sizeof n);
        for (int32_t i = 0; i < n; i++) { cell_pack(text, column->children[0], offsets[0] + i, element); }
        break;
    }
    case PHYS_ROW:
        for (int32_t f = 0; f < type.n_fields; f++) { cell_pack(text, column->children[f], at, type.fields[f].type); }
        break;
    default: {
        const size_t size = phys_size((enum phys)column->phys);
        text_append(text, (const char *)column->values + (size_t)at * size, size);
        break;
    }
    }
}

static sabot_status packed_column(const struct sort_store *store, const struct batch *loaded, const int32_t *rows,
                                  int32_t n, struct column **out, struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, store->pool, PHYS_VIEW, loaded->rows, false, err));
    struct text text = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        text.size = 0;
        for (int32_t p = 0; p < store->n_packed; p++) {
            const int32_t c = store->packed[p];
            cell_pack(&text, loaded->columns[c], rows[i], store->loaded->fields[c].type);
        }
        char *bytes = NULL;
        status = text.failed ? no_memory(err) : column_builder_reserve(&builder, text.size, &bytes, err);
        if (status != SABOT_OK) { break; }
        memcpy(bytes, text.data, text.size);
        ((struct string_view *)builder.values)[rows[i]] = string_view_of(bytes, (uint32_t)text.size);
    }
    text_clear(&text);
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    if (status != SABOT_OK) { column_builder_clear(&builder); }
    return status;
}

sabot_status sort_store_put(const struct sort_store *store, struct batch *loaded, const int32_t *rows, int32_t n,
                            struct batch **out, struct sabot_error *err) {
    if (!store->n_packed) {
        *out = batch_ref(loaded);
        return SABOT_OK;
    }
    struct column *packed;
    SABOT_TRY(packed_column(store, loaded, rows, n, &packed, err));
    struct column *columns[STATE_COLUMNS_MAX];
    int32_t n_columns = 0;
    for (; n_columns < store->n_flat; n_columns++) {
        columns[n_columns] = column_ref(loaded->columns[store->flat[n_columns]]);
    }
    columns[n_columns++] = packed;
    columns[n_columns++] = column_ref(loaded->columns[store->arrival]);
    return batch_new(store->stored, columns, n_columns, loaded->rows, out, err);
}

/* ---- unpacking ---- */

struct reading {
    const char *at, *end;
};

static sabot_status torn(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_CORRUPT,
                      "packed columns of a row of ORDER BY are torn: take an earlier checkpoint");
}

static bool bytes_read(struct reading *reading, void *target, size_t size) {
    if ((size_t)(reading->end - reading->at) < size) { return false; }
    if (size) { memcpy(target, reading->at, size); }
    reading->at += size;
    return true;
}

static sabot_status cell_unpack(struct reading *reading, struct vector *vector, int32_t row, struct sabot_error *err) {
    char valid;
    if (!bytes_read(reading, &valid, 1)) { return torn(err); }
    if (!valid) {
        vector_set_null(vector, row);
        return SABOT_OK;
    }
    switch (vector->phys) {
    case PHYS_VIEW: {
        uint32_t size;
        if (!bytes_read(reading, &size, sizeof size) || (size_t)(reading->end - reading->at) < size) {
            return torn(err);
        }
        SABOT_TRY(vector_set_string(vector, row, reading->at, size, NULL, err));
        reading->at += size;
        return SABOT_OK;
    }
    case PHYS_LIST: {
        int32_t n;
        if (!bytes_read(reading, &n, sizeof n)) { return torn(err); }
        vector_list_begin(vector, row);
        for (int32_t i = 0; i < n; i++) {
            int32_t element;
            SABOT_TRY(vector_append(&vector->children[0], &element, err));
            SABOT_TRY(cell_unpack(reading, &vector->children[0], element, err));
        }
        vector_list_end(vector, row);
        return SABOT_OK;
    }
    case PHYS_ROW:
        for (int32_t f = 0; f < vector->n_children; f++) {
            SABOT_TRY(cell_unpack(reading, &vector->children[f], row, err));
        }
        return SABOT_OK;
    default: {
        const size_t size = phys_size(vector->phys);
        return bytes_read(reading, (char *)vector->values + (size_t)row * size, size) ? SABOT_OK : torn(err);
    }
    }
}

static sabot_status rows_unpack(const struct sort_store *store, const struct column *packed, struct vector *vectors,
                                struct sabot_error *err) {
    for (int32_t row = 0; row < packed->length; row++) {
        const struct string_view *view = (const struct string_view *)packed->values + column_at(packed, row);
        struct reading reading = {string_view_data(view), string_view_data(view) + view->size};
        for (int32_t p = 0; p < store->n_packed; p++) { SABOT_TRY(cell_unpack(&reading, &vectors[p], row, err)); }
        if (reading.at != reading.end) { return torn(err); }
    }
    return SABOT_OK;
}

/* columns[c] of what was packed. */
static sabot_status columns_unpack(const struct sort_store *store, const struct column *packed, struct column **columns,
                                   struct sabot_error *err) {
    struct vector *vectors = calloc((size_t)store->n_packed, sizeof *vectors);
    if (!vectors) { return no_memory(err); }
    sabot_status status = SABOT_OK;
    for (int32_t p = 0; p < store->n_packed && status == SABOT_OK; p++) {
        const struct type type = store->loaded->fields[store->packed[p]].type;
        status = vector_init(&vectors[p], store->pool, type, packed->length, err);
    }
    if (status == SABOT_OK) { status = rows_unpack(store, packed, vectors, err); }
    for (int32_t p = 0; p < store->n_packed && status == SABOT_OK; p++) {
        status = vector_finish(&vectors[p], &columns[store->packed[p]], err);
    }
    for (int32_t p = 0; p < store->n_packed; p++) { vector_clear(&vectors[p]); }
    free(vectors);
    return status;
}

sabot_status sort_store_get(const struct sort_store *store, struct batch *taken, struct batch **out,
                            struct sabot_error *err) {
    if (!store->n_packed) {
        *out = taken;
        return SABOT_OK;
    }
    BATCH_OWNED struct batch *stored = taken;
    const int32_t n = store->loaded->n_fields;
    struct column **columns = calloc((size_t)n, sizeof *columns);
    if (!columns) { return no_memory(err); }
    sabot_status status = columns_unpack(store, stored->columns[store->n_flat], columns, err);
    for (int32_t i = 0; i < store->n_flat && status == SABOT_OK; i++) {
        columns[store->flat[i]] = column_ref(stored->columns[i]);
    }
    if (status == SABOT_OK) {
        columns[store->arrival] = column_ref(stored->columns[store->n_flat + 1]);
        status = batch_new(store->loaded, columns, n, stored->rows, out, err);
    } else {
        for (int32_t c = 0; c < n; c++) { column_unref(columns[c]); }
    }
    free(columns);
    return status;
}
