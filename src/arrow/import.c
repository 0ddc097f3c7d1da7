/* Arrow C Data -> batches. nanoarrow reads the schema and checks the buffers; the layout changes are made here. */
#include "arrow/import.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <nanoarrow/nanoarrow.h>

#include "arrow/calendar.h"
#include "arrow/type_metadata.h"
#include "base/arena.h"

#define NESTING_MAX 64
#define TYPES_MEMORY_MAX ((size_t)16 * 1024 * 1024)

/* --- types */
static int precision_of_unit(enum ArrowTimeUnit unit) {
    switch (unit) {
    case NANOARROW_TIME_UNIT_SECOND: return 0;
    case NANOARROW_TIME_UNIT_MILLI: return 3;
    case NANOARROW_TIME_UNIT_MICRO: return 6;
    case NANOARROW_TIME_UNIT_NANO: return 9;
    }
    return 9;
}

static sabot_status type_import(struct arena *arena, const struct ArrowSchema *arrow, int depth, struct type *out,
                                struct sabot_error *err);

static sabot_status fields_import(struct arena *arena, const struct ArrowSchema *arrow, int64_t n, int depth,
                                  struct field **out, struct sabot_error *err) {
    if (arrow->n_children != n || n > INT16_MAX || (n > 0 && !arrow->children)) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow field '%s' has %lld children where %lld are needed",
                          arrow->name ? arrow->name : "", (long long)arrow->n_children, (long long)n);
    }
    struct field *fields = arena_alloc(arena, (size_t)(n ? n : 1) * sizeof *fields);
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "an Arrow schema is too big"); }
    for (int64_t i = 0; i < n; i++) {
        if (!arrow->children[i] || !arrow->children[i]->release) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "child %lld of an Arrow schema is missing", (long long)i);
        }
        const char *name = arrow->children[i]->name ? arrow->children[i]->name : "";
        fields[i].name = arena_copy(arena, name, strlen(name));
        if (!fields[i].name) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "an Arrow schema is too big"); }
        SABOT_TRY(type_import(arena, arrow->children[i], depth + 1, &fields[i].type, err));
    }
    *out = fields;
    return SABOT_OK;
}

static sabot_status nested_import(struct arena *arena, const struct ArrowSchema *arrow, enum type_kind kind,
                                  int64_t n, int depth, struct type *out, struct sabot_error *err) {
    struct field *fields = NULL;
    *out = type_of(kind);
    if (kind == TYPE_MAP) {
        if (arrow->n_children != 1 || !arrow->children || !arrow->children[0]) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "an Arrow map must have one child");
        }
        SABOT_TRY(fields_import(arena, arrow->children[0], 2, depth + 1, &fields, err));
    } else {
        SABOT_TRY(fields_import(arena, arrow, n, depth, &fields, err));
    }
    out->n_fields = (int32_t)n;
    out->fields = fields;
    return SABOT_OK;
}

static sabot_status type_import(struct arena *arena, const struct ArrowSchema *arrow, int depth, struct type *out,
                                struct sabot_error *err) {
    struct ArrowSchemaView view;
    struct ArrowError problem = {0};
    if (depth > NESTING_MAX) { return SABOT_FAIL(err, SABOT_ERR_DATA, "an Arrow type is nested too deeply"); }
    if (ArrowSchemaViewInit(&view, arrow, &problem) != NANOARROW_OK) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "not a valid Arrow schema: %s", problem.message);
    }
    if (arrow->dictionary) {
        SABOT_TRY(type_import(arena, arrow->dictionary, depth + 1, out, err));
        out->nullable = true;
        if (!(arrow->flags & ARROW_FLAG_NULLABLE)) { out->nullable = (arrow->dictionary->flags & ARROW_FLAG_NULLABLE); }
        return SABOT_OK;
    }
    struct type type = type_of(TYPE_NULL);
    switch (view.storage_type) {
    case NANOARROW_TYPE_NA: break;
    case NANOARROW_TYPE_BOOL: type = type_of(TYPE_BOOL); break;
    case NANOARROW_TYPE_INT8: type = type_of(TYPE_INT8); break;
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_INT16: type = type_of(TYPE_INT16); break;
    case NANOARROW_TYPE_UINT16: type = type_of(TYPE_INT32); break;
    case NANOARROW_TYPE_UINT64: type = type_decimal(20, 0); break;
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT: type = type_of(TYPE_FLOAT32); break;
    case NANOARROW_TYPE_DOUBLE: type = type_of(TYPE_FLOAT64); break;
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW: type = type_of(TYPE_STRING); break;
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_BINARY_VIEW: type = type_of(TYPE_BINARY); break;
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
        type = type_of(TYPE_BINARY);
        type.fixed_length = true;
        type.length = view.fixed_size;
        break;
    /* nanoarrow gives dates, times and the like their integer as storage type */
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_INT64:
        switch (view.type) {
        case NANOARROW_TYPE_DATE32:
        case NANOARROW_TYPE_DATE64: type = type_of(TYPE_DATE); break;
        case NANOARROW_TYPE_TIME32:
        case NANOARROW_TYPE_TIME64:
            type = type_of(TYPE_TIME);
            type.precision = view.time_unit == NANOARROW_TIME_UNIT_SECOND ? 0 : 3;
            break;
        case NANOARROW_TYPE_TIMESTAMP:
            type = type_timestamp(precision_of_unit(view.time_unit));
            if (view.timezone && view.timezone[0]) { type.kind = TYPE_TIMESTAMP_LTZ; }
            break;
        case NANOARROW_TYPE_DURATION: type = type_of(TYPE_INTERVAL_DAY); break;
        default:
            type = type_of(view.storage_type == NANOARROW_TYPE_INT32 ? TYPE_INT32 : TYPE_INT64);
            break;
        }
        break;
    case NANOARROW_TYPE_INTERVAL_MONTHS: type = type_of(TYPE_INTERVAL_MONTH); break;
    case NANOARROW_TYPE_INTERVAL_DAY_TIME: type = type_of(TYPE_INTERVAL_DAY); break;
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
        if (view.decimal_precision < 1 || view.decimal_precision > 38 || view.decimal_scale < 0 ||
            view.decimal_scale > view.decimal_precision) {
            return SABOT_FAIL(
                err, SABOT_ERR_UNSUPPORTED,
                "Arrow field '%s' is decimal(%d, %d): DECIMAL takes a precision of 1 to 38 and a scale of "
                "0 to the precision",
                arrow->name ? arrow->name : "", view.decimal_precision, view.decimal_scale);
        }
        type = type_decimal(view.decimal_precision, view.decimal_scale);
        break;
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_LARGE_LIST:
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
        SABOT_TRY(nested_import(arena, arrow, TYPE_ARRAY, 1, depth, &type, err));
        break;
    case NANOARROW_TYPE_MAP: SABOT_TRY(nested_import(arena, arrow, TYPE_MAP, 2, depth, &type, err)); break;
    case NANOARROW_TYPE_STRUCT:
        SABOT_TRY(nested_import(arena, arrow, TYPE_ROW, arrow->n_children, depth, &type, err));
        break;
    default:
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                          "Arrow field '%s' has type %s, which has no SQL type here: cast it before you hand it over",
                          arrow->name ? arrow->name : "", ArrowTypeString(view.type));
    }
    type_metadata_read(arrow, &type);
    type.nullable = type.kind == TYPE_NULL || (arrow->flags & ARROW_FLAG_NULLABLE);
    *out = type;
    return SABOT_OK;
}

sabot_status schema_import(const struct ArrowSchema *arrow, struct schema **out, struct sabot_error *err) {
    *out = NULL;
    struct arena arena;
    arena_init(&arena, TYPES_MEMORY_MAX);
    struct type type;
    sabot_status status = arrow && arrow->release
                              ? type_import(&arena, arrow, 0, &type, err)
                              : SABOT_FAIL(err, SABOT_ERR_USAGE, "the Arrow schema was released already");
    if (status == SABOT_OK && (type.kind != TYPE_ROW || arrow->dictionary)) {
        status = SABOT_FAIL(err, SABOT_ERR_DATA, "a table's Arrow schema must be a struct, this is %s", arrow->format);
    }
    if (status == SABOT_OK) { status = schema_new(type.fields, type.n_fields, out, err); }
    arena_clear(&arena);
    return status;
}

/* --- arrays */
struct foreign { /* keeps an array until the last column that looks into it is gone */
    struct ArrowArray array;
};

static void foreign_release(void *owner) {
    struct foreign *foreign = owner;
    if (foreign->array.release) { ArrowArrayRelease(&foreign->array); }
    free(foreign);
}

struct importer {
    struct ArrowSchema arrow;
    struct ArrowArrayStream stream; /* release is NULL where there is none */
    struct schema *schema;
    struct ArrowArrayView view;
    struct foreign *pending; /* not yet wrapped by a buffer */
    struct buffer *owner;    /* wraps it, once a pool is known */
    int64_t at, length;
};

struct context {
    struct memory_pool *pool;
    struct buffer *owner;
};

static const void *buffer_of(const struct ArrowArrayView *view, int i) { return view->buffer_views[i].data.data; }

static inline bool foreign_bit(const uint8_t *bits, int64_t at) { return bits[at >> 3] >> (at & 7) & 1; }

/* Copies n bits from bit `at` on. The foreign bitmap may end with its last byte. */
static void bits_copy(const uint8_t *from, int64_t at, int32_t n, uint64_t *to) {
    from += at >> 3;
    const int shift = (int)(at & 7);
    const int64_t bytes = (n + shift + 7) / 8; /* readable */
    for (int32_t i = 0; i < n; i += 64) {
        uint64_t low = 0;
        const int64_t first = i / 8;
        const int64_t here = bytes - first < 8 ? bytes - first : 8;
        memcpy(&low, from + first, (size_t)here);
        uint64_t word = low >> shift;
        if (shift && first + 8 < bytes) { word |= (uint64_t)from[first + 8] << (64 - shift); }
        to[i / 64] = word;
    }
}

/* Validity of rows as our own words, or NULL where all are valid. */
static sabot_status validity_import(const struct context *context, const struct ArrowArrayView *view, int64_t start,
                                    int32_t n, struct buffer **out, struct sabot_error *err) {
    *out = NULL;
    const uint8_t *bits =
        view->layout.buffer_type[0] == NANOARROW_BUFFER_TYPE_VALIDITY ? buffer_of(view, 0) : NULL;
    if (!bits || n == 0) { return SABOT_OK; }
    SABOT_TRY(buffer_new(context->pool, ((size_t)n + 63) / 64 * 8, out, err));
    uint64_t *words = (uint64_t *)(void *)(*out)->data;
    bits_copy(bits, start, n, words);
    bool all = true;
    for (int32_t i = 0; i + 64 <= n; i += 64) { all = all && words[i / 64] == UINT64_MAX; }
    if (n % 64) {
        const uint64_t mask = (UINT64_C(1) << (n % 64)) - 1;
        all = all && (words[n / 64] & mask) == mask;
    }
    if (all) {
        buffer_unref(*out);
        *out = NULL;
    }
    return SABOT_OK;
}

static const uint64_t *words_of(const struct buffer *buffer) {
    return buffer ? (const uint64_t *)(const void *)buffer->data : NULL;
}

static inline bool row_is_valid(const uint64_t *words, int32_t i) { return !words || (words[i >> 6] >> (i & 63) & 1); }

/* A column that looks into the foreign values, or copies them where they are not aligned. */
static sabot_status values_share(const struct context *context, enum phys phys, const void *values, int64_t start,
                                 int32_t n, struct buffer *validity, struct column **out, struct sabot_error *err) {
    const size_t size = phys_size(phys);
    const char *from = (const char *)values + start * (int64_t)size;
    struct buffer *owners[2] = {NULL, validity};
    if ((uintptr_t)from % size == 0 && n > 0) {
        owners[0] = buffer_ref(context->owner);
        return column_new(phys, n, words_of(validity), from, owners, validity ? 2 : 1, NULL, 0, out, err);
    }
    const sabot_status status = buffer_new(context->pool, (size_t)n * size, &owners[0], err);
    if (status != SABOT_OK) {
        buffer_unref(validity);
        return status;
    }
    if (n > 0) { memcpy(owners[0]->data, from, (size_t)n * size); }
    return column_new(phys, n, words_of(validity), owners[0]->data, owners, validity ? 2 : 1, NULL, 0, out, err);
}

/* A new values buffer together with the validity (taken over) as a column; fill *values. */
static sabot_status values_make(const struct context *context, enum phys phys, int32_t n, struct buffer *validity,
                                void **values, struct column **out, struct sabot_error *err) {
    struct buffer *owners[2] = {NULL, validity};
    const sabot_status status = buffer_new(context->pool, (size_t)n * phys_size(phys), &owners[0], err);
    if (status != SABOT_OK) {
        buffer_unref(validity);
        return status;
    }
    *values = owners[0]->data;
    return column_new(phys, n, words_of(validity), owners[0]->data, owners, validity ? 2 : 1, NULL, 0, out, err);
}

static float half_to_float(uint16_t half) {
    const int exponent = half >> 10 & 31;
    const int fraction = half & 1023;
    float value;
    if (exponent == 31) {
        value = fraction ? NAN : INFINITY;
    } else if (exponent == 0) {
        value = ldexpf((float)fraction, -24);
    } else {
        value = ldexpf((float)(fraction + 1024), exponent - 25);
    }
    return half & 0x8000 ? -value : value;
}

#define CONVERT(from_type, to_type, expression)                                                                        \
    for (int32_t i = 0; i < n; i++) {                                                                                  \
        from_type value;                                                                                               \
        memcpy(&value, (const char *)from + (start + i) * (int64_t)sizeof value, sizeof value);                        \
        ((to_type *)values)[i] = (to_type)(expression);                                                                \
    }

/* Integers and what nanoarrow stores as integers, changed in width or unit. */
static sabot_status numbers_convert(const struct context *context, const struct ArrowSchemaView *schema,
                                    const void *from, int64_t start, int32_t n, struct type type,
                                    struct buffer *validity, struct column **out, struct sabot_error *err) {
    void *values;
    SABOT_TRY(values_make(context, type_phys(type), n, validity, &values, out, err));
    bool overflow = false;
    switch (schema->storage_type) {
    case NANOARROW_TYPE_UINT8: CONVERT(uint8_t, int16_t, value) break;
    case NANOARROW_TYPE_UINT16: CONVERT(uint16_t, int32_t, value) break;
    case NANOARROW_TYPE_UINT32: CONVERT(uint32_t, int64_t, value) break;
    case NANOARROW_TYPE_UINT64: CONVERT(uint64_t, __int128, value) break;
    case NANOARROW_TYPE_HALF_FLOAT: CONVERT(uint16_t, float, half_to_float(value)) break;
    case NANOARROW_TYPE_DECIMAL128:
        if (type_phys(type) == PHYS_I64) {
            CONVERT(__int128, int64_t, (overflow |= value != (int64_t)value, value))
        } else {
            CONVERT(__int128, __int128, value)
        }
        break;
    case NANOARROW_TYPE_DECIMAL32:
        if (type_phys(type) == PHYS_I64) {
            CONVERT(int32_t, int64_t, value)
        } else {
            CONVERT(int32_t, __int128, value)
        }
        break;
    case NANOARROW_TYPE_DECIMAL64:
        if (type_phys(type) == PHYS_I64) {
            CONVERT(int64_t, int64_t, value)
        } else {
            CONVERT(int64_t, __int128, value)
        }
        break;
    case NANOARROW_TYPE_INTERVAL_DAY_TIME:
        CONVERT(uint64_t, int64_t, (int64_t)(int32_t)(uint32_t)value * DAY_MS + (int32_t)(uint32_t)(value >> 32))
        break;
    case NANOARROW_TYPE_INT32: /* time32 in seconds */
        CONVERT(int32_t, int32_t, (uint32_t)value * 1000u)
        break;
    default: /* int64 */
        if (schema->type == NANOARROW_TYPE_DATE64) {
            CONVERT(int64_t, int32_t, floor_div(value, DAY_MS))
        } else if (schema->type == NANOARROW_TYPE_TIME64) {
            const int64_t unit = schema->time_unit == NANOARROW_TIME_UNIT_MICRO ? 1000 : 1000000;
            CONVERT(int64_t, int32_t, value / unit)
        } else if (schema->time_unit == NANOARROW_TIME_UNIT_SECOND) {
            CONVERT(int64_t, int64_t, (overflow |= value > INT64_MAX / 1000 || value < INT64_MIN / 1000,
                                       (uint64_t)value * 1000))
        } else { /* durations in us and ns; floor, so that order is kept */
            const int64_t unit = schema->time_unit == NANOARROW_TIME_UNIT_MICRO ? 1000 : 1000000;
            CONVERT(int64_t, int64_t, floor_div(value, unit))
        }
        break;
    }
    if (!overflow) { return SABOT_OK; }
    /* values under a NULL may be anything; look again with care */
    const uint64_t *words = (*out)->validity;
    for (int32_t i = 0; i < n; i++) {
        __int128 wide = 0;
        if (schema->storage_type == NANOARROW_TYPE_DECIMAL128) {
            memcpy(&wide, (const char *)from + (start + i) * 16, 16);
        } else {
            int64_t value;
            memcpy(&value, (const char *)from + (start + i) * 8, 8);
            wide = (__int128)value * 1000;
        }
        if (row_is_valid(words, i) && wide != (int64_t)wide) {
            column_unref(*out);
            *out = NULL;
            return SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow value %d is out of range for its type", i);
        }
    }
    return SABOT_OK;
}

static sabot_status bools_import(const struct context *context, const uint8_t *bits, int64_t start, int32_t n,
                                 struct buffer *validity, struct column **out, struct sabot_error *err) {
    void *values;
    SABOT_TRY(values_make(context, PHYS_BOOL, n, validity, &values, out, err));
    for (int32_t i = 0; i < n; i++) { ((uint8_t *)values)[i] = foreign_bit(bits, start + i); }
    return SABOT_OK;
}

/* Adds the foreign array as an owner of a column of views. */
static sabot_status views_make(const struct context *context, int32_t n, struct buffer *validity,
                               struct string_view **views, struct column **out, struct sabot_error *err) {
    struct buffer *owners[3] = {NULL, buffer_ref(context->owner), validity};
    const sabot_status status = buffer_new(context->pool, (size_t)n * sizeof **views, &owners[0], err);
    if (status != SABOT_OK) {
        buffer_unref(owners[1]);
        buffer_unref(validity);
        return status;
    }
    *views = (struct string_view *)(void *)owners[0]->data;
    return column_new(PHYS_VIEW, n, words_of(validity), owners[0]->data, owners, validity ? 3 : 2, NULL, 0, out, err);
}

static sabot_status strings_import(const struct context *context, const struct ArrowArrayView *view, int64_t start,
                                   int32_t n, struct type type, struct buffer *validity, struct column **out,
                                   struct sabot_error *err) {
    struct string_view *views;
    SABOT_TRY(views_make(context, n, validity, &views, out, err));
    const uint64_t *words = (*out)->validity;
    if (view->storage_type == NANOARROW_TYPE_FIXED_SIZE_BINARY) {
        const char *data = buffer_of(view, 1);
        for (int32_t i = 0; i < n; i++) {
            views[i] = string_view_of(data ? data + (start + i) * type.length : "", (uint32_t)type.length);
        }
        return SABOT_OK;
    }
    if (view->storage_type == NANOARROW_TYPE_STRING_VIEW || view->storage_type == NANOARROW_TYPE_BINARY_VIEW) {
        const union ArrowBinaryView *foreign = buffer_of(view, 1);
        for (int32_t i = 0; i < n; i++) {
            memset(&views[i], 0, sizeof views[i]);
            if (!row_is_valid(words, i)) { continue; }
            union ArrowBinaryView one;
            memcpy(&one, foreign + start + i, sizeof one);
            const int32_t size = one.inlined.size;
            if (size >= 0 && size <= STRING_VIEW_INLINE) {
                views[i] = string_view_of((const char *)one.inlined.data, (uint32_t)size);
                continue;
            }
            const int32_t heap = one.ref.buffer_index;
            if (size < 0 || heap < 0 || heap >= view->n_variadic_buffers || one.ref.offset < 0 ||
                (int64_t)one.ref.offset + size > view->variadic_buffer_sizes[heap]) {
                column_unref(*out);
                *out = NULL;
                return SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow string view %d points outside of its buffers", i);
            }
            views[i] = string_view_of((const char *)view->variadic_buffers[heap] + one.ref.offset, (uint32_t)size);
        }
        return SABOT_OK;
    }
    const char *data = buffer_of(view, 2);
    const bool large =
        view->storage_type == NANOARROW_TYPE_LARGE_STRING || view->storage_type == NANOARROW_TYPE_LARGE_BINARY;
    const int32_t *narrow = buffer_of(view, 1);
    const int64_t *wide = buffer_of(view, 1);
    for (int32_t i = 0; i < n; i++) {
        const int64_t from = large ? wide[start + i] : narrow[start + i];
        const int64_t to = large ? wide[start + i + 1] : narrow[start + i + 1];
        if (to - from > INT32_MAX) {
            column_unref(*out);
            *out = NULL;
            return SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow string %d is longer than 2 GiB", i);
        }
        views[i] = to > from ? string_view_of(data + from, (uint32_t)(to - from)) : string_view_of("", 0);
    }
    return SABOT_OK;
}

static sabot_status column_import(const struct context *context, const struct ArrowArrayView *view,
                                  const struct ArrowSchema *arrow, struct type type, int64_t at, int32_t n,
                                  struct column **out, struct sabot_error *err);

static sabot_status list_import(const struct context *context, const struct ArrowArrayView *view,
                                const struct ArrowSchema *arrow, struct type type, int64_t start, int32_t n,
                                struct buffer *validity, struct column **out, struct sabot_error *err) {
    struct buffer *owners[2] = {NULL, validity};
    sabot_status status = buffer_new(context->pool, ((size_t)n + 1) * sizeof(int32_t), &owners[0], err);
    if (status != SABOT_OK) {
        buffer_unref(validity);
        return status;
    }
    int32_t *offsets = (int32_t *)(void *)owners[0]->data;
    const bool large = view->storage_type == NANOARROW_TYPE_LARGE_LIST;
    const bool fixed = view->storage_type == NANOARROW_TYPE_FIXED_SIZE_LIST;
    const int32_t *narrow = buffer_of(view, 1);
    const int64_t *wide = buffer_of(view, 1);
    const int64_t width = view->layout.child_size_elements;
#define OFFSET(i)                                                                                                      \
    (fixed ? (start + (i)) * width : n == 0 ? 0 : large ? wide[start + (i)] : (int64_t)narrow[start + (i)])
    const int64_t first = OFFSET(0), last = OFFSET(n);
    struct column *child = NULL;
    if (first < 0 || last < first || last - first > INT32_MAX) {
        status = SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow lists with more than %d elements in one batch", INT32_MAX);
    } else {
        for (int32_t i = 0; i <= n; i++) { offsets[i] = (int32_t)(OFFSET(i) - first); }
        struct type element = type.fields[0].type;
        if (type.kind == TYPE_MAP) {
            element = (struct type){.kind = TYPE_ROW, .n_fields = 2, .fields = type.fields};
        }
        status = column_import(context, view->children[0], arrow->children[0], element, first,
                               (int32_t)(last - first), &child, err);
    }
#undef OFFSET
    if (status != SABOT_OK) {
        buffer_unref(owners[0]);
        buffer_unref(validity);
        return status;
    }
    return column_new(PHYS_LIST, n, words_of(validity), offsets, owners, validity ? 2 : 1, &child, 1, out, err);
}

static sabot_status row_import(const struct context *context, const struct ArrowArrayView *view,
                               const struct ArrowSchema *arrow, struct type type, int64_t start, int32_t n,
                               struct buffer *validity, struct column **out, struct sabot_error *err) {
    struct column **children = calloc((size_t)type.n_fields + 1, sizeof *children);
    sabot_status status =
        children ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    for (int32_t i = 0; i < type.n_fields && status == SABOT_OK; i++) {
        status = column_import(context, view->children[i], arrow->children[i], type.fields[i].type, start, n,
                               &children[i], err);
    }
    if (status == SABOT_OK) {
        status = column_new(PHYS_ROW, n, words_of(validity), NULL, &validity, validity ? 1 : 0, children,
                            type.n_fields, out, err);
    } else {
        for (int32_t i = 0; children && i < type.n_fields; i++) { column_unref(children[i]); }
        buffer_unref(validity);
    }
    free(children);
    return status;
}

/* Values by index out of the dictionary. */
static sabot_status dictionary_import(const struct context *context, const struct ArrowArrayView *view,
                                      const struct ArrowSchema *arrow, struct type type, int64_t start, int32_t n,
                                      struct buffer *validity, struct column **out, struct sabot_error *err) {
    COLUMN_OWNED struct column *values = NULL;
    struct buffer *rows = NULL;
    sabot_status status = SABOT_OK;
    if (view->dictionary->length > INT32_MAX) {
        status = SABOT_FAIL(err, SABOT_ERR_DATA, "an Arrow dictionary has more than %d values", INT32_MAX);
    }
    struct type any = type;
    any.nullable = true;
    if (status == SABOT_OK) {
        status = column_import(context, view->dictionary, arrow->dictionary, any, 0, (int32_t)view->dictionary->length,
                               &values, err);
    }
    if (status == SABOT_OK) { status = buffer_new(context->pool, (size_t)n * sizeof(int32_t), &rows, err); }
    if (status == SABOT_OK) {
        int32_t *indexes = (int32_t *)(void *)rows->data;
        for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
            indexes[i] = -1;
            if (!row_is_valid(words_of(validity), i)) { continue; }
            struct ArrowArrayView copy = *view; /* ArrowArrayViewGetIntUnsafe adds the offset itself */
            copy.offset = 0;
            const int64_t index = ArrowArrayViewGetIntUnsafe(&copy, start + i);
            if (index < 0 || index >= view->dictionary->length) {
                status = SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow dictionary index %lld is out of range",
                                    (long long)index);
            }
            indexes[i] = (int32_t)index;
        }
    }
    if (status == SABOT_OK) {
        status = column_take(context->pool, values, (const int32_t *)(const void *)rows->data, n, out, err);
    }
    buffer_unref(rows);
    buffer_unref(validity);
    return status;
}

/* Rows at .. at + n of a view, counted from its own beginning. */
static sabot_status column_import(const struct context *context, const struct ArrowArrayView *view,
                                  const struct ArrowSchema *arrow, struct type type, int64_t at, int32_t n,
                                  struct column **out, struct sabot_error *err) {
    *out = NULL;
    if (at < 0 || at + n > view->length) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow array '%s' has %lld rows where %lld are needed",
                          arrow->name ? arrow->name : "", (long long)view->length, (long long)(at + n));
    }
    const int64_t start = view->offset + at;
    struct ArrowSchemaView schema;
    if (ArrowSchemaViewInit(&schema, arrow, NULL) != NANOARROW_OK) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "not a valid Arrow schema");
    }
    if (schema.storage_type == NANOARROW_TYPE_NA) {
        return column_new(PHYS_NULL, n, NULL, NULL, NULL, 0, NULL, 0, out, err);
    }
    struct buffer *validity;
    SABOT_TRY(validity_import(context, view, start, n, &validity, err));
    if (validity && !type.nullable && type.kind != TYPE_ROW) {
        buffer_unref(validity);
        return SABOT_FAIL(err, SABOT_ERR_DATA, "Arrow field '%s' is declared NOT NULL but has NULLs",
                          arrow->name ? arrow->name : "");
    }
    if (arrow->dictionary) {
        return dictionary_import(context, view, arrow, type, start, n, validity, out, err);
    }
    const void *values = buffer_of(view, 1);
    switch ((enum type_kind)type.kind) {
    case TYPE_BOOL: return bools_import(context, values, start, n, validity, out, err);
    case TYPE_STRING:
    case TYPE_BINARY: return strings_import(context, view, start, n, type, validity, out, err);
    case TYPE_ARRAY:
    case TYPE_MAP: return list_import(context, view, arrow, type, start, n, validity, out, err);
    case TYPE_ROW: return row_import(context, view, arrow, type, start, n, validity, out, err);
    default: break;
    }
    bool same = true; /* our layout is Arrow's */
    switch (schema.storage_type) {
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_INTERVAL_DAY_TIME: same = false; break;
    case NANOARROW_TYPE_DECIMAL64: same = type_phys(type) == PHYS_I64; break;
    case NANOARROW_TYPE_DECIMAL128: same = type_phys(type) == PHYS_I128; break;
    case NANOARROW_TYPE_INT32:
        same = schema.type != NANOARROW_TYPE_TIME32 || schema.time_unit != NANOARROW_TIME_UNIT_SECOND;
        break;
    case NANOARROW_TYPE_INT64:
        same = schema.type == NANOARROW_TYPE_INT64 ||
               (schema.type == NANOARROW_TYPE_TIMESTAMP && schema.time_unit != NANOARROW_TIME_UNIT_SECOND) ||
               (schema.type == NANOARROW_TYPE_DURATION && schema.time_unit == NANOARROW_TIME_UNIT_MILLI);
        break;
    default: break;
    }
    if (same) { return values_share(context, type_phys(type), values, start, n, validity, out, err); }
    return numbers_convert(context, &schema, values, start, n, type, validity, out, err);
}

/* --- the importer */
sabot_status importer_new(const struct ArrowSchema *arrow, struct importer **out, struct sabot_error *err) {
    *out = NULL;
    struct importer *importer = calloc(1, sizeof *importer);
    if (!importer) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an Arrow importer"); }
    sabot_status status = schema_import(arrow, &importer->schema, err);
    struct ArrowError problem = {0};
    if (status == SABOT_OK && ArrowSchemaDeepCopy(arrow, &importer->arrow) != NANOARROW_OK) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an Arrow schema");
    }
    if (status == SABOT_OK &&
        ArrowArrayViewInitFromSchema(&importer->view, &importer->arrow, &problem) != NANOARROW_OK) {
        status = SABOT_FAIL(err, SABOT_ERR_DATA, "not a valid Arrow schema: %s", problem.message);
    }
    if (status != SABOT_OK) {
        importer_free(importer);
        return status;
    }
    *out = importer;
    return SABOT_OK;
}

sabot_status importer_of_stream(struct ArrowArrayStream *stream, struct importer **out, struct sabot_error *err) {
    *out = NULL;
    struct ArrowArrayStream taken = {0};
    if (!stream->release) { return SABOT_FAIL(err, SABOT_ERR_USAGE, "the Arrow stream was released already"); }
    ArrowArrayStreamMove(stream, &taken);
    struct ArrowSchema arrow = {0};
    sabot_status status = SABOT_OK;
    if (taken.get_schema(&taken, &arrow) != 0) {
        const char *reason = taken.get_last_error ? taken.get_last_error(&taken) : NULL;
        status = SABOT_FAIL(err, SABOT_ERR_IO, "the Arrow stream gives no schema: %s", reason ? reason : "no reason");
    }
    if (status == SABOT_OK) { status = importer_new(&arrow, out, err); }
    if (arrow.release) { ArrowSchemaRelease(&arrow); }
    if (status == SABOT_OK) {
        (*out)->stream = taken;
    } else {
        ArrowArrayStreamRelease(&taken);
    }
    return status;
}

struct schema *importer_schema(const struct importer *importer) { return importer->schema; }

static void array_drop(struct importer *importer) {
    if (importer->pending) { foreign_release(importer->pending); }
    importer->pending = NULL;
    buffer_unref(importer->owner);
    importer->owner = NULL;
    importer->at = importer->length = 0;
}

void importer_free(struct importer *importer) {
    if (!importer) { return; }
    array_drop(importer);
    if (importer->view.storage_type != NANOARROW_TYPE_UNINITIALIZED) { ArrowArrayViewReset(&importer->view); }
    if (importer->arrow.release) { ArrowSchemaRelease(&importer->arrow); }
    if (importer->stream.release) { ArrowArrayStreamRelease(&importer->stream); }
    schema_unref(importer->schema);
    free(importer);
}

sabot_status importer_put(struct importer *importer, struct ArrowArray *array, struct sabot_error *err) {
    array_drop(importer);
    struct foreign *foreign = calloc(1, sizeof *foreign);
    if (!foreign) {
        if (array->release) { ArrowArrayRelease(array); }
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an Arrow array");
    }
    if (!array->release) {
        free(foreign);
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the Arrow array was released already");
    }
    ArrowArrayMove(array, &foreign->array);
    importer->pending = foreign;
    struct ArrowError problem = {0};
    if (foreign->array.length < 0 || foreign->array.offset < 0 ||
        ArrowArrayViewSetArray(&importer->view, &foreign->array, &problem) != NANOARROW_OK ||
        ArrowArrayViewValidate(&importer->view, NANOARROW_VALIDATION_LEVEL_FULL, &problem) != NANOARROW_OK) {
        array_drop(importer);
        return SABOT_FAIL(err, SABOT_ERR_DATA, "not a valid Arrow array: %s",
                          problem.message[0] ? problem.message : "negative length");
    }
    importer->length = importer->view.length;
    return SABOT_OK;
}

static int64_t view_bytes(const struct ArrowArrayView *view) {
    int64_t bytes = 0;
    for (int i = 0; i < NANOARROW_MAX_FIXED_BUFFERS; i++) { bytes += view->buffer_views[i].size_bytes; }
    for (int32_t i = 0; i < view->n_variadic_buffers; i++) { bytes += view->variadic_buffer_sizes[i]; }
    for (int64_t i = 0; i < view->n_children; i++) { bytes += view_bytes(view->children[i]); }
    return bytes + (view->dictionary ? view_bytes(view->dictionary) : 0);
}

/* The next array of the stream; *more is false at its end. */
static sabot_status stream_pull(struct importer *importer, bool *more, struct sabot_error *err) {
    struct ArrowArray array = {0};
    *more = false;
    if (importer->stream.get_next(&importer->stream, &array) != 0) {
        const char *reason =
            importer->stream.get_last_error ? importer->stream.get_last_error(&importer->stream) : NULL;
        return SABOT_FAIL(err, SABOT_ERR_IO, "the Arrow stream failed: %s", reason ? reason : "it gave no reason");
    }
    if (!array.release) { return SABOT_OK; }
    *more = true;
    return importer_put(importer, &array, err);
}

sabot_status importer_next(struct importer *importer, struct memory_pool *pool, int32_t rows_max, struct batch **out,
                           struct sabot_error *err) {
    assert(rows_max > 0 && rows_max <= BATCH_ROWS_MAX);
    *out = NULL;
    while (importer->at >= importer->length) {
        array_drop(importer);
        bool more = false;
        if (importer->stream.release) { SABOT_TRY(stream_pull(importer, &more, err)); }
        if (!more) { return SABOT_OK; }
    }
    if (importer->pending) {
        SABOT_TRY(buffer_wrap(pool, importer->pending, (size_t)view_bytes(&importer->view), foreign_release,
                              importer->pending, &importer->owner, err));
        importer->pending = NULL;
    }
    const int64_t left = importer->length - importer->at;
    const int32_t n = left < rows_max ? (int32_t)left : rows_max;
    const struct context context = {.pool = pool, .owner = importer->owner};
    const struct type row = {
        .kind = TYPE_ROW, .n_fields = importer->schema->n_fields, .fields = importer->schema->fields, .nullable = true};
    COLUMN_OWNED struct column *rows = NULL;
    SABOT_TRY(column_import(&context, &importer->view, &importer->arrow, row, importer->at, n, &rows, err));
    if (rows->validity) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "an Arrow record batch has rows that are NULL as a whole");
    }
    for (int32_t i = 0; i < rows->n_children; i++) { column_ref(rows->children[i]); }
    SABOT_TRY(batch_new(importer->schema, rows->children, rows->n_children, n, out, err));
    importer->at += n;
    return SABOT_OK;
}
