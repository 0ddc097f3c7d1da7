/* Key columns as one column of BIGINT or BYTES, and back. */
#include "ops/process/process.h"

#include "state/kv_key.h"

sabot_status process_key_form(const struct type *types, int32_t n, enum process_key_form *out,
                              struct sabot_error *err) {
    for (int32_t i = 0; i < n; i++) {
        const enum phys phys = type_phys(types[i]);
        char text[128];
        if (phys != PHYS_NULL && phys != PHYS_LIST && phys != PHYS_ROW) { continue; }
        type_print(types[i], text, sizeof text);
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "PARTITION BY a column of type %s can't run", text);
    }
    *out = PROCESS_KEY_ENCODED;
    if (n != 1) { return SABOT_OK; }
    switch (type_phys(types[0])) {
    case PHYS_BOOL:
    case PHYS_I8:
    case PHYS_I16:
    case PHYS_I32:
    case PHYS_I64: *out = PROCESS_KEY_NUMBER; break;
    case PHYS_VIEW: *out = PROCESS_KEY_TEXT; break;
    default: break; /* floats (-0.0, NaN) and 128 bits */
    }
    return SABOT_OK;
}

struct field process_key_field(enum process_key_form form) {
    const enum type_kind kind = form == PROCESS_KEY_NUMBER ? TYPE_INT64 : TYPE_BINARY;
    return (struct field){"$key", type_not_null(type_of(kind))};
}

/* --- to one column */
#define WIDEN(type_)                                                                                                   \
    for (int32_t i = 0; i < rows; i++) {                                                                               \
        target[i] = column_is_null(from, i) ? 0 : ((const type_ *)from->values)[column_at(from, i)];                   \
    }                                                                                                                  \
    break

static sabot_status number_column(struct memory_pool *pool, struct column *from, int32_t rows, struct column **out,
                                  struct sabot_error *err) {
    if (from->phys == PHYS_I64 && !from->validity && !from->constant) {
        *out = column_ref(from);
        return SABOT_OK;
    }
    struct column_builder builder = {0};
    SABOT_TRY(column_builder_init(&builder, pool, PHYS_I64, rows, false, err));
    int64_t *target = builder.values;
    switch (from->phys) {
    case PHYS_BOOL: WIDEN(uint8_t);
    case PHYS_I8: WIDEN(int8_t);
    case PHYS_I16: WIDEN(int16_t);
    case PHYS_I32: WIDEN(int32_t);
    default: WIDEN(int64_t);
    }
    return column_builder_finish(&builder, out, err);
}

static sabot_status text_column(struct memory_pool *pool, struct column *from, int32_t rows, struct column **out,
                                struct sabot_error *err) {
    if (!from->validity && !from->constant) {
        *out = column_ref(from);
        return SABOT_OK;
    }
    struct column_builder builder = {0};
    SABOT_TRY(column_builder_init(&builder, pool, PHYS_VIEW, rows, false, err));
    struct string_view *target = builder.values;
    for (int32_t i = 0; i < rows; i++) {
        target[i] = column_is_null(from, i) ? string_view_of("", 0)
                                            : ((const struct string_view *)from->values)[column_at(from, i)];
    }
    sabot_status status = column_builder_share(&builder, from, err);
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

/* Values that compare equal have equal bytes. */
static void normalize(enum phys phys, void *value) {
    if (phys == PHYS_F64) {
        double *x = value;
        *x = *x == 0 ? 0 : *x != *x ? __builtin_nan("") : *x;
    } else if (phys == PHYS_F32) {
        float *x = value;
        *x = *x == 0 ? 0 : *x != *x ? __builtin_nanf("") : *x;
    }
}

static sabot_status append(struct kv_bytes *bytes, const void *data, size_t size, struct sabot_error *err) {
    SABOT_TRY(kv_bytes_reserve(bytes, size + 1, err));
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return SABOT_OK;
}

static sabot_status encode_cell(struct kv_bytes *bytes, const struct column *column, int32_t row,
                                struct sabot_error *err) {
    const uint8_t is_null = column_is_null(column, row);
    SABOT_TRY(append(bytes, &is_null, 1, err));
    if (is_null) { return SABOT_OK; }
    const int64_t at = column_at(column, row);
    if (column->phys == PHYS_VIEW) {
        const struct string_view *view = &((const struct string_view *)column->values)[at];
        SABOT_TRY(append(bytes, &view->size, sizeof view->size, err));
        return append(bytes, string_view_data(view), view->size, err);
    }
    const size_t size = phys_size(column->phys);
    char value[16];
    memcpy(value, (const char *)column->values + (size_t)at * size, size);
    normalize(column->phys, value);
    return append(bytes, value, size, err);
}

static sabot_status encoded_rows(struct column_builder *builder, struct kv_bytes *bytes, const struct batch *batch,
                                 const int32_t *keys, int32_t n, struct sabot_error *err) {
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        char *target;
        bytes->size = 0;
        for (int32_t k = 0; k < n; k++) { SABOT_TRY(encode_cell(bytes, batch->columns[keys[k]], row, err)); }
        SABOT_TRY(column_builder_reserve(builder, bytes->size, &target, err));
        memcpy(target, bytes->data, bytes->size);
        ((struct string_view *)builder->values)[row] = string_view_of(target, (uint32_t)bytes->size);
    }
    return SABOT_OK;
}

static sabot_status encoded_column(struct memory_pool *pool, const struct batch *batch, const int32_t *keys, int32_t n,
                                   struct column **out, struct sabot_error *err) {
    struct column_builder builder = {0};
    struct kv_bytes bytes = {0};
    SABOT_TRY(column_builder_init(&builder, pool, PHYS_VIEW, batch->rows, false, err));
    memset(builder.values, 0, (size_t)batch->rows * sizeof(struct string_view));
    sabot_status status = encoded_rows(&builder, &bytes, batch, keys, n, err);
    kv_bytes_free(&bytes);
    if (status == SABOT_OK) { status = column_builder_finish(&builder, out, err); }
    column_builder_clear(&builder);
    return status;
}

static sabot_status form_of(const struct batch *batch, const int32_t *keys, int32_t n, enum process_key_form *out,
                            struct sabot_error *err) {
    struct type types[PROCESS_KEYS_MAX];
    for (int32_t k = 0; k < n; k++) { types[k] = batch->schema->fields[keys[k]].type; }
    return process_key_form(types, n, out, err);
}

sabot_status process_key_column(struct memory_pool *pool, const struct batch *batch, const int32_t *keys, int32_t n,
                                struct column **out, struct sabot_error *err) {
    enum process_key_form form;
    SABOT_TRY(form_of(batch, keys, n, &form, err));
    switch (form) {
    case PROCESS_KEY_NUMBER: return number_column(pool, batch->columns[keys[0]], batch->rows, out, err);
    case PROCESS_KEY_TEXT: return text_column(pool, batch->columns[keys[0]], batch->rows, out, err);
    case PROCESS_KEY_ENCODED: break;
    }
    return encoded_column(pool, batch, keys, n, out, err);
}

/* --- and back */
static void narrow(enum phys phys, int64_t number, void *target, int32_t i) {
    switch (phys) {
    case PHYS_BOOL: ((uint8_t *)target)[i] = (uint8_t)number; break;
    case PHYS_I8: ((int8_t *)target)[i] = (int8_t)number; break;
    case PHYS_I16: ((int16_t *)target)[i] = (int16_t)number; break;
    case PHYS_I32: ((int32_t *)target)[i] = (int32_t)number; break;
    default: ((int64_t *)target)[i] = number; break;
    }
}

static sabot_status view_set(struct column_builder *builder, int32_t row, const char *data, uint32_t size,
                             struct sabot_error *err) {
    char *bytes;
    SABOT_TRY(column_builder_reserve(builder, size, &bytes, err));
    memcpy(bytes, data, size);
    ((struct string_view *)builder->values)[row] = string_view_of(bytes, size);
    return SABOT_OK;
}

/* One cell of an encoded key; *at moves on. */
static sabot_status decode_cell(struct column_builder *builder, int32_t row, const char **at, const char *end,
                                struct sabot_error *err) {
    const bool is_view = builder->phys == PHYS_VIEW;
    const size_t left = (size_t)(end - *at), fixed = is_view ? sizeof(uint32_t) : phys_size(builder->phys);
    const bool is_null = left > 0 && **at == 1;
    if (is_null) {
        column_builder_set_null(builder, row);
        memset((char *)builder->values + (size_t)row * phys_size(builder->phys), 0, phys_size(builder->phys));
        ++*at;
        return SABOT_OK;
    }
    uint32_t size = 0;
    if (left < 1 + fixed) { return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "a key of state is too short"); }
    if (!is_view) {
        memcpy((char *)builder->values + (size_t)row * fixed, *at + 1, fixed);
        *at += 1 + fixed;
        return SABOT_OK;
    }
    memcpy(&size, *at + 1, sizeof size);
    if (left - 1 - fixed < size) { return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "a key of state is too short"); }
    SABOT_TRY(view_set(builder, row, *at + 1 + fixed, size, err));
    *at += 1 + fixed + size;
    return SABOT_OK;
}

static sabot_status decode_row(struct column_builder *builders, int32_t n_types, enum process_key_form form,
                               const void *keys, const bool *nulls, int32_t row, struct sabot_error *err) {
    if (form != PROCESS_KEY_ENCODED && nulls && nulls[row]) { column_builder_set_null(&builders[0], row); }
    if (form == PROCESS_KEY_NUMBER) {
        narrow(builders[0].phys, ((const int64_t *)keys)[row], builders[0].values, row);
        return SABOT_OK;
    }
    const struct string_view *view = &((const struct string_view *)keys)[row];
    const char *at = string_view_data(view), *end = at + view->size;
    if (form == PROCESS_KEY_TEXT) { return view_set(&builders[0], row, at, view->size, err); }
    for (int32_t t = 0; t < n_types; t++) { SABOT_TRY(decode_cell(&builders[t], row, &at, end, err)); }
    return SABOT_OK;
}

sabot_status process_key_decode(struct memory_pool *pool, const struct type *types, int32_t n_types, const void *keys,
                                const bool *nulls, int32_t n, struct column **columns, struct sabot_error *err) {
    struct column_builder builders[PROCESS_KEYS_MAX] = {0};
    enum process_key_form form;
    int32_t made = 0;
    SABOT_TRY(process_key_form(types, n_types, &form, err));
    sabot_status status = SABOT_OK;
    for (int32_t t = 0; t < n_types && status == SABOT_OK; t++) {
        status = column_builder_init(&builders[t], pool, type_phys(types[t]), n, true, err);
    }
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        status = decode_row(builders, n_types, form, keys, nulls, i, err);
    }
    while (status == SABOT_OK && made < n_types) {
        status = column_builder_finish(&builders[made], &columns[made], err);
        made += status == SABOT_OK;
    }
    for (int32_t t = 0; t < n_types; t++) { column_builder_clear(&builders[t]); }
    if (status != SABOT_OK) {
        while (made > 0) { column_unref(columns[--made]); }
    }
    return status;
}
