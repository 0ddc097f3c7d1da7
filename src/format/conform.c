/* Files' columns become the table's columns. */
#include "format/conform.h"

#include <stdlib.h>

#include "format/scalar.h"

struct conform {
    struct schema *from, *to; /* owned references */
    int32_t n;
    int32_t *sources;         /* per column of `to`: column of `from`, or -1 */
    int32_t *places;          /* the same, counted among the needed ones */
    bool *skip;               /* metadata */
};

static bool is_exact(struct type type) { return type_is_integer(type) || type.kind == TYPE_DECIMAL; }

static bool is_timestamp(struct type type) {
    return type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ;
}

/* Many writers store a time as the number of milliseconds (or finer units) since 1970: in the unit of the declared
 * type. */
static bool is_epoch(struct type from, struct type to) { return from.kind == TYPE_INT64 && is_timestamp(to); }

static bool convertible(struct type from, struct type to) {
    if (from.kind == TYPE_NULL || (is_exact(from) && is_exact(to)) || (is_timestamp(from) && is_timestamp(to)) ||
        is_epoch(from, to)) {
        return true;
    }
    const bool texts = (from.kind == TYPE_STRING || from.kind == TYPE_BINARY) &&
                       (to.kind == TYPE_STRING || to.kind == TYPE_BINARY);
    const bool floats = (from.kind == TYPE_FLOAT32 || from.kind == TYPE_FLOAT64 || type_is_integer(from)) &&
                        (to.kind == TYPE_FLOAT64 || (to.kind == TYPE_FLOAT32 && from.kind == TYPE_FLOAT32));
    if (texts || floats) { return true; }
    if (from.kind != to.kind) { return false; }
    switch ((enum type_kind)from.kind) {
    case TYPE_ROW:
        for (int32_t i = 0; i < to.n_fields; i++) {
            for (int32_t k = 0; k < from.n_fields; k++) {
                const bool same = strcmp(from.fields[k].name, to.fields[i].name) == 0;
                if (same && !convertible(from.fields[k].type, to.fields[i].type)) { return false; }
            }
        }
        return true;
    case TYPE_ARRAY:
    case TYPE_MAP:
        for (int32_t i = 0; i < to.n_fields; i++) {
            if (!convertible(from.fields[i].type, to.fields[i].type)) { return false; }
        }
        return true;
    default: return true;
    }
}

static __int128 exact_at(const struct column *column, int64_t i) {
    switch (column->phys) {
    case PHYS_I8: return ((const int8_t *)column->values)[i];
    case PHYS_I16: return ((const int16_t *)column->values)[i];
    case PHYS_I32: return ((const int32_t *)column->values)[i];
    case PHYS_I64: return ((const int64_t *)column->values)[i];
    default: return ((const __int128 *)column->values)[i];
    }
}

static __int128 power_of_ten(int exponent) {
    __int128 power = 1;
    while (exponent-- > 0) { power *= 10; }
    return power;
}

/* false: does not fit */
static bool exact_put(void *values, int64_t i, __int128 value, struct type type) {
    if (type.kind == TYPE_DECIMAL) {
        const __int128 limit = power_of_ten(type.precision);
        if (value >= limit || value <= -limit) { return false; }
    }
    switch (type_phys(type)) {
    case PHYS_I8: ((int8_t *)values)[i] = (int8_t)value; return value == (int8_t)value;
    case PHYS_I16: ((int16_t *)values)[i] = (int16_t)value; return value == (int16_t)value;
    case PHYS_I32: ((int32_t *)values)[i] = (int32_t)value; return value == (int32_t)value;
    case PHYS_I64: ((int64_t *)values)[i] = (int64_t)value; return value == (int64_t)value;
    default: ((__int128 *)values)[i] = value; return true;
    }
}

/* Scales, half up. false: does not fit */
static bool exact_rescale(__int128 *value, int from, int to) {
    if (to >= from) { return !__builtin_mul_overflow(*value, power_of_ten(to - from), value); }
    const __int128 unit = power_of_ten(from - to), half = unit / 2;
    *value = (*value + (*value < 0 ? -half : half)) / unit;
    return true;
}

static bool value_convert(const struct column *from, int64_t i, struct type from_type, struct type to, void *values) {
    if (is_timestamp(to)) {
        const int64_t have = timestamp_units_per_ms_num(from_type), want = timestamp_units_per_ms_num(to);
        const int64_t value = ((const int64_t *)from->values)[i];
        if (want >= have) { return !__builtin_mul_overflow(value, want / have, (int64_t *)values + i); }
        const int64_t unit = have / want;
        ((int64_t *)values)[i] = value / unit - (value % unit < 0);
        return true;
    }
    if (to.kind == TYPE_FLOAT64) {
        ((double *)values)[i] = from->phys == PHYS_F32   ? (double)((const float *)from->values)[i]
                                : from->phys == PHYS_F64 ? ((const double *)from->values)[i]
                                                         : (double)exact_at(from, i);
        return true;
    }
    if (to.kind == TYPE_STRING) { /* from bytes */
        const struct string_view *view = (const struct string_view *)from->values + i;
        ((struct string_view *)values)[i] = *view;
        return utf8_is_valid(string_view_data(view), view->size);
    }
    __int128 value = exact_at(from, i);
    return exact_rescale(&value, from_type.scale, to.scale) && exact_put(values, i, value, to);
}

static sabot_status convert(struct memory_pool *pool, struct column *from, struct type from_type, struct type to,
                            const char *name, struct column **out, struct sabot_error *err);

/* The column with other values or children: keeps everything else of it alive. */
static sabot_status rebuilt(const struct column *from, enum phys phys, const void *values, struct buffer *more,
                            struct column **children, int32_t n_children, struct column **out,
                            struct sabot_error *err) {
    struct buffer **owners = malloc((size_t)(from->n_owners + 1) * sizeof *owners);
    if (!owners) {
        buffer_unref(more);
        for (int32_t i = 0; i < n_children; i++) { column_unref(children[i]); }
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    }
    int32_t n = 0;
    for (; n < from->n_owners; n++) { owners[n] = buffer_ref(from->owners[n]); }
    if (more) { owners[n++] = more; }
    const sabot_status status =
        column_new(phys, from->length, from->validity, values, owners, n, children, n_children, out, err);
    free(owners);
    if (status == SABOT_OK) { (*out)->constant = from->constant; }
    return status;
}

static sabot_status convert_nested(struct memory_pool *pool, struct column *from, struct type from_type,
                                   struct type to, const char *name, struct column **out, struct sabot_error *err) {
    if (to.kind == TYPE_MAP) { /* its child is a ROW of key and value */
        from_type = (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = from_type.fields};
        to = (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = to.fields};
        struct column *entries = NULL;
        SABOT_TRY(convert(pool, from->children[0], from_type, to, name, &entries, err));
        return rebuilt(from, PHYS_LIST, from->values, NULL, &entries, 1, out, err);
    }
    if (to.kind == TYPE_ARRAY) {
        struct column *element = NULL;
        SABOT_TRY(convert(pool, from->children[0], from_type.fields[0].type, to.fields[0].type, name, &element, err));
        return rebuilt(from, PHYS_LIST, from->values, NULL, &element, 1, out, err);
    }
    struct column **children = calloc((size_t)to.n_fields + 1, sizeof *children);
    if (!children) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < to.n_fields && status == SABOT_OK; i++) {
        int32_t k = 0;
        /* keys and values of maps go by place: writers name them differently */
        while (k < from_type.n_fields && strcmp(from_type.fields[k].name, to.fields[i].name) != 0) { k++; }
        status = k < from_type.n_fields
                     ? convert(pool, from->children[k], from_type.fields[k].type, to.fields[i].type, name,
                               &children[i], err)
                     : column_all_null(pool, to.fields[i].type, from->length, &children[i], err);
    }
    if (status == SABOT_OK) {
        status = rebuilt(from, PHYS_ROW, NULL, NULL, children, to.n_fields, out, err);
    } else {
        for (int32_t i = 0; i < to.n_fields; i++) { column_unref(children[i]); }
    }
    free(children);
    return status;
}

/* Of plain types: what is in memory is the same for both. */
static bool same_values(struct type from, struct type to) {
    if (to.n_fields > 0 || type_phys(from) != type_phys(to)) { return false; }
    if (is_timestamp(to)) {
        return is_epoch(from, to) || timestamp_units_per_ms_num(from) == timestamp_units_per_ms_num(to);
    }
    if (is_exact(to)) { return from.kind != TYPE_DECIMAL && to.kind != TYPE_DECIMAL; }
    return from.kind == to.kind || to.kind == TYPE_BINARY;
}

static sabot_status convert(struct memory_pool *pool, struct column *from, struct type from_type, struct type to,
                            const char *name, struct column **out, struct sabot_error *err) {
    *out = NULL;
    if (type_same(from_type, to) || same_values(from_type, to)) {
        *out = column_ref(from);
        return SABOT_OK;
    }
    if (from_type.kind == TYPE_NULL) { return column_all_null(pool, to, from->length, out, err); }
    if (to.n_fields > 0) { return convert_nested(pool, from, from_type, to, name, out, err); }
    const int32_t rows = from->constant ? 1 : from->length;
    struct buffer *buffer;
    SABOT_TRY(buffer_new(pool, (size_t)rows * phys_size(type_phys(to)), &buffer, err));
    for (int32_t i = 0; i < rows; i++) {
        if (column_is_null(from, i)) {
            memset(buffer->data + (size_t)i * phys_size(type_phys(to)), 0, phys_size(type_phys(to)));
        } else if (!value_convert(from, i, from_type, to, buffer->data)) {
            buffer_unref(buffer);
            char have[96], want[96];
            type_print(from_type, have, sizeof have);
            type_print(to, want, sizeof want);
            return SABOT_FAIL(err, SABOT_ERR_DATA,
                              "column \"%s\": a value of the file's %s does not fit the declared %s", name, have, want);
        }
    }
    return rebuilt(from, type_phys(to), buffer->data, buffer, NULL, 0, out, err);
}

void conform_free(struct conform *conform) {
    if (!conform) { return; }
    schema_unref(conform->from);
    schema_unref(conform->to);
    free(conform->sources);
    free(conform->places);
    free(conform->skip);
    free(conform);
}

sabot_status conform_new(const struct schema *from, const struct schema *to, const char *const *metadata,
                         struct conform **out, struct sabot_error *err) {
    *out = NULL;
    struct conform *conform = calloc(1, sizeof *conform);
    if (!conform) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a file's schema"); }
    conform->from = schema_ref((struct schema *)(uintptr_t)from);
    conform->to = schema_ref((struct schema *)(uintptr_t)to);
    conform->n = to->n_fields;
    conform->sources = calloc((size_t)to->n_fields + 1, sizeof *conform->sources);
    conform->places = calloc((size_t)to->n_fields + 1, sizeof *conform->places);
    conform->skip = calloc((size_t)to->n_fields + 1, sizeof *conform->skip);
    if (!conform->sources || !conform->places || !conform->skip) {
        conform_free(conform);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a file's schema");
    }
    int32_t n = 0;
    for (int32_t i = 0; i < to->n_fields; i++) {
        conform->skip[i] = metadata && metadata[i];
        conform->sources[i] = conform->skip[i] ? -1 : schema_find(from, to->fields[i].name);
        if (conform->sources[i] < 0) { continue; }
        conform->places[i] = n++;
        const struct type have = from->fields[conform->sources[i]].type, want = to->fields[i].type;
        if (convertible(have, want)) { continue; }
        char have_text[96], want_text[96];
        type_print(have, have_text, sizeof have_text);
        type_print(want, want_text, sizeof want_text);
        conform_free(conform);
        return SABOT_FAIL(err, SABOT_ERR_DATA,
                          "column \"%s\" is %s in the file and declared %s: declare it as the file "
                          "has it, and CAST in the query",
                          to->fields[i].name, have_text, want_text);
    }
    *out = conform;
    return SABOT_OK;
}

int32_t conform_needed(const struct conform *conform, uint32_t *columns) {
    int32_t n = 0;
    for (int32_t i = 0; i < conform->n; i++) {
        if (conform->sources[i] >= 0) { columns[n++] = (uint32_t)conform->sources[i]; }
    }
    return n;
}

/* Marks those of `from` that `to` names (or all), where `wanted` is not NULL. Returns how many fields there are,
 * those of
 * rows in rows counted. */
static int32_t mark_fields(const struct field *from, int32_t n_from, const struct field *to, int32_t n_to, bool all,
                           bool *wanted) {
    int32_t n = 0;
    for (int32_t i = 0; i < n_from; i++) {
        const struct field *match = NULL;
        for (int32_t k = 0; k < n_to && !match; k++) { match = strcmp(to[k].name, from[i].name) == 0 ? &to[k] : NULL; }
        const bool keeps = all || match;
        const int32_t at = n++;
        if (wanted) { wanted[at] = keeps; }
        if (from[i].type.kind != TYPE_ROW) { continue; }
        const bool has_fields = match && match->type.kind == TYPE_ROW;
        bool *below = wanted ? wanted + n : NULL;
        const int32_t below_n =
            mark_fields(from[i].type.fields, from[i].type.n_fields, has_fields ? match->type.fields : NULL,
                        has_fields ? match->type.n_fields : 0, all || (match && !has_fields), below);
        /* Of a row whose fields nobody reads it is still read whether it is NULL: through its first field. */
        bool any_below = false;
        for (int32_t k = 0; below && k < below_n; k++) { any_below |= below[k]; }
        if (keeps && below && below_n > 0 && !any_below) {
            mark_fields(from[i].type.fields, 1, NULL, 0, true, below);
        }
        n += below_n;
    }
    return n;
}

int32_t conform_fields(const struct conform *conform, bool *wanted) {
    return mark_fields(conform->from->fields, conform->from->n_fields, conform->to->fields, conform->to->n_fields,
        false,
                       wanted);
}

/* What trusts a NOT NULL would give wrong results without a word. */
static sabot_status check_not_null(const struct field *field, const struct column *column, bool is_there, int32_t rows,
                                   struct sabot_error *err) {
    if (field->type.nullable || rows == 0) { return SABOT_OK; }
    if (!is_there) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "column \"%s\" is declared NOT NULL, and the file does not have it: "
                          "declare it without NOT NULL", field->name);
    }
    if (!column->validity) { return SABOT_OK; }
    for (int32_t i = 0; i < rows; i++) {
        if (!column_is_null(column, i)) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_DATA, "column \"%s\" is declared NOT NULL, and the file has NULL in it: "
                          "declare it without NOT NULL", field->name);
    }
    return SABOT_OK;
}

sabot_status conform_apply(const struct conform *conform, struct memory_pool *pool, const struct batch *from,
                           struct column **columns, struct sabot_error *err) {
    for (int32_t i = 0; i < conform->n; i++) {
        const struct field *field = &conform->to->fields[i];
        if (conform->skip[i]) { continue; }
        if (conform->sources[i] < 0) {
            SABOT_TRY(column_all_null(pool, field->type, from->rows, &columns[i], err));
        } else {
            SABOT_TRY(convert(pool, from->columns[conform->places[i]], conform->from->fields[conform->sources[i]].type,
                              field->type, field->name, &columns[i], err));
        }
        SABOT_TRY(check_not_null(field, columns[i], conform->sources[i] >= 0, from->rows, err));
    }
    return SABOT_OK;
}
