/* The source "datagen": random values and sequences, with the options of Flink's connector.
 *
 * A value depends on the seed, the field's name and the row's number alone, so the rows are the same at every
 * parallelism and a position is a row number. Dates and times are the present, as in Flink. */
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "connect/blocks.h"
#include "connect/connector.h"
#include "connect/pace.h"

#define NESTING_MAX 16
#define STRING_BYTES_MAX (INT64_C(256) << 20) /* of one column in one batch */
#define MS_PER_DAY INT64_C(86400000)

static const struct connector_option datagen_options[] = {
    {"rows-per-second", OPTION_INT, "10000", NULL,
     "pace of all subtasks together, after a restore too; 0: as quickly as possible"},
    {"number-of-rows", OPTION_INT, NULL, NULL, "end behind this many rows; without it there is no end"},
    {"scan.parallelism", OPTION_INT, NULL, NULL, "subtasks that read"},
    {"seed", OPTION_INT, "0", NULL, "the same seed gives the same rows"},
    {"fields.#.kind", OPTION_ENUM, "random", "random|sequence", "how the values of a column are made"},
    {"fields.#.min", OPTION_STRING, NULL, NULL, "least random number"},
    {"fields.#.max", OPTION_STRING, NULL, NULL, "largest random number"},
    {"fields.#.max-past", OPTION_DURATION, "0", NULL, "a random timestamp is at most this far in the past"},
    {"fields.#.length", OPTION_INT, NULL, NULL, "size of a random string or binary (100 where the type says nothing)"},
    {"fields.#.var-len", OPTION_BOOL, "false", NULL, "sizes from 1 to length instead of length"},
    {"fields.#.start", OPTION_STRING, NULL, NULL, "first value of a sequence"},
    {"fields.#.end", OPTION_STRING, NULL, NULL, "last value of a sequence; then the source ends"},
    {"fields.#.null-rate", OPTION_STRING, "0", NULL, "share of NULLs, from 0 to 1"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

/* How the values of one field are made. */
struct generator {
    struct type type;
    uint64_t salt;
    double null_rate;
    bool sequence;
    int64_t start;            /* of a sequence */
    int64_t min, max;         /* whole numbers, unscaled decimals, units of time */
    __int128 min_wide, max_wide; /* decimals above precision 18 */
    double min_real, max_real;
    int32_t length;
    bool variable;
    struct generator *children; /* of a ROW */
    int32_t n_children;
};

struct source {
    struct connector_context context;
    struct generator *generators; /* per column */
    int64_t rows_end;
    struct pace pace;
    struct datagen_split {
        struct block_share share;
        int64_t row;
        bool paused;
    } *splits;
    int32_t n_splits;
};

/* ---- options ---- */

struct field_options {
    const struct connector_table *table;
    const char *path; /* "address.zip" */
};

/* "fields.<path>.<option>"; the name is good until the next call. */
static const char *field_option_name(const struct field_options *field, const char *option) {
    static _Thread_local char name[512];
    snprintf(name, sizeof name, "fields.%s.%s", field->path, option);
    return name;
}

static const char *field_text(const struct field_options *field, const char *option) {
    return option_text(field->table, datagen_options, field_option_name(field, option));
}

static sabot_status field_fail(const struct field_options *field, const char *option, const char *expected,
                               struct sabot_error *err) {
    const char *text = field_text(field, option);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option '%s': %s%s%s%s", field->table->name,
                      field_option_name(field, option), text ? "\"" : "", text ? text : "missing; it must be ",
                      text ? "\" is not " : "", expected);
}

static sabot_status field_real(const struct field_options *field, const char *option, double fallback, double *out,
                               struct sabot_error *err) {
    const char *text = field_text(field, option);
    *out = fallback;
    if (!text) { return SABOT_OK; }
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !isfinite(*out)) { return field_fail(field, option, "a number", err); }
    return SABOT_OK;
}

static sabot_status field_int(const struct field_options *field, const char *option, int64_t fallback, int64_t *out,
                              struct sabot_error *err) {
    const char *text = field_text(field, option);
    *out = fallback;
    if (!text) { return SABOT_OK; }
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end == text || *end || errno) { return field_fail(field, option, "a whole number", err); }
    return SABOT_OK;
}

static sabot_status int_range(struct generator *generator, const struct field_options *field, int64_t least,
                              int64_t most, struct sabot_error *err) {
    SABOT_TRY(field_int(field, "min", least, &generator->min, err));
    SABOT_TRY(field_int(field, "max", most, &generator->max, err));
    if (generator->min < least || generator->min > most) {
        return field_fail(field, "min", "within the range of the column's type", err);
    }
    if (generator->max < generator->min || generator->max > most) {
        return field_fail(field, "max", "at least 'min' and within the range of the column's type", err);
    }
    return SABOT_OK;
}

static sabot_status real_range(struct generator *generator, const struct field_options *field, double least,
                               double most, struct sabot_error *err) {
    SABOT_TRY(field_real(field, "min", least, &generator->min_real, err));
    SABOT_TRY(field_real(field, "max", most, &generator->max_real, err));
    if (generator->max_real < generator->min_real) { return field_fail(field, "max", "at least 'min'", err); }
    return SABOT_OK;
}

static __int128 power_of_10(int exponent) {
    __int128 power = 1;
    while (exponent-- > 0) { power *= 10; }
    return power;
}

static sabot_status decimal_range(struct generator *generator, const struct field_options *field,
                                  struct sabot_error *err) {
    const double limit = (double)power_of_10(generator->type.precision - generator->type.scale);
    const __int128 largest = power_of_10(generator->type.precision) - 1;
    SABOT_TRY(real_range(generator, field, 0, limit, err));
    if (generator->min_real < -limit) { return field_fail(field, "min", "within the range of the column's type", err); }
    if (generator->max_real > limit) { return field_fail(field, "max", "within the range of the column's type", err); }
    const double scale = (double)power_of_10(generator->type.scale);
    const double min = generator->min_real * scale, max = generator->max_real * scale;
    generator->min_wide = min <= -(double)largest ? -largest : (__int128)min;
    generator->max_wide = max >= (double)largest ? largest : (__int128)max;
    generator->min = (int64_t)generator->min_wide;
    generator->max = (int64_t)generator->max_wide;
    return SABOT_OK;
}

static sabot_status string_range(struct generator *generator, const struct field_options *field,
                                 struct sabot_error *err) {
    const bool bounded = generator->type.length != TYPE_LENGTH_MAX;
    int64_t length;
    SABOT_TRY(field_int(field, "length", bounded ? generator->type.length : 100, &length, err));
    if (length < 1 || length > (bounded ? generator->type.length : 16 << 20)) {
        return field_fail(field, "length", "from 1 to the length of the column's type, and at most 16 MiB", err);
    }
    generator->length = (int32_t)length;
    return option_bool(field->table, datagen_options, field_option_name(field, "var-len"), &generator->variable, err);
}

static sabot_status sequence_range(struct generator *generator, const struct field_options *field, int64_t *rows_end,
                                   struct sabot_error *err) {
    int64_t end;
    if (!field_text(field, "start")) { return field_fail(field, "start", "a whole number", err); }
    if (!field_text(field, "end")) { return field_fail(field, "end", "a whole number", err); }
    SABOT_TRY(field_int(field, "start", 0, &generator->start, err));
    SABOT_TRY(field_int(field, "end", 0, &end, err));
    int64_t rows;
    if (end < generator->start || __builtin_sub_overflow(end, generator->start, &rows) || rows == INT64_MAX) {
        return field_fail(field, "end", "at least 'start', and less than 2^63 behind it", err);
    }
    int64_t most = INT64_MAX;
    switch ((enum type_kind)generator->type.kind) {
    case TYPE_INT8: most = INT8_MAX; break;
    case TYPE_INT16: most = INT16_MAX; break;
    case TYPE_INT32: most = INT32_MAX; break;
    case TYPE_DECIMAL:
        /* The value times ten to the scale must fit. */
        most = (int64_t)(generator->type.precision - generator->type.scale > 18
                             ? INT64_MAX
                             : power_of_10(generator->type.precision - generator->type.scale) - 1);
        break;
    case TYPE_INT64:
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
    case TYPE_STRING: break;
    default: {
        char type[128];
        type_print(generator->type, type, sizeof type);
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": column %s is %s, which can't be a sequence",
                          field->table->name, field->path, type);
    }
    }
    if (end > most || generator->start < -most - 1) {
        return field_fail(field, end > most ? "end" : "start", "within the range of the column's type", err);
    }
    if (rows + 1 < *rows_end) { *rows_end = rows + 1; }
    return SABOT_OK;
}

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t salt_of(int64_t seed, const char *path) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *path; path++) { hash = (hash ^ (uint8_t)*path) * UINT64_C(0x100000001b3); }
    return mix(hash ^ mix((uint64_t)seed));
}

static sabot_status random_range(struct generator *generator, const struct field_options *field,
                                 struct sabot_error *err) {
    switch ((enum type_kind)generator->type.kind) {
    case TYPE_BOOL:
    case TYPE_DATE:
    case TYPE_TIME: return SABOT_OK;
    case TYPE_INT8: return int_range(generator, field, INT8_MIN, INT8_MAX, err);
    case TYPE_INT16: return int_range(generator, field, INT16_MIN, INT16_MAX, err);
    case TYPE_INT32: return int_range(generator, field, INT32_MIN, INT32_MAX, err);
    case TYPE_INT64: return int_range(generator, field, INT64_MIN, INT64_MAX, err);
    case TYPE_INTERVAL_MONTH: return int_range(generator, field, 0, 120000, err);
    case TYPE_INTERVAL_DAY: return int_range(generator, field, 0, 10000 * 365 * MS_PER_DAY, err);
    case TYPE_FLOAT32: return real_range(generator, field, FLT_TRUE_MIN, FLT_MAX, err);
    case TYPE_FLOAT64: return real_range(generator, field, DBL_TRUE_MIN, DBL_MAX, err);
    case TYPE_DECIMAL: return decimal_range(generator, field, err);
    case TYPE_STRING:
    case TYPE_BINARY: return string_range(generator, field, err);
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ: {
        int64_t past_ns;
        SABOT_TRY(option_duration(field->table, datagen_options, field_option_name(field, "max-past"), &past_ns, err));
        generator->max = past_ns / 1000000;
        return SABOT_OK;
    }
    default: {
        char type[128];
        type_print(generator->type, type, sizeof type);
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED,
                          "table \"%s\": column %s is %s, which datagen does not make yet; leave the column out",
                          field->table->name, field->path, type);
    }
    }
}

static sabot_status generator_init(struct generator *generator, const struct field_options *field, struct type type,
                                   int depth, int64_t seed, int64_t *rows_end, struct sabot_error *err) {
    *generator = (struct generator){.type = type, .salt = salt_of(seed, field->path)};
    SABOT_TRY(field_real(field, "null-rate", 0, &generator->null_rate, err));
    if (generator->null_rate < 0 || generator->null_rate > 1) {
        return field_fail(field, "null-rate", "from 0 to 1", err);
    }
    if (generator->null_rate > 0 && !type.nullable) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": column %s is NOT NULL, so 'fields.%s.null-rate' must be 0", field->table->name,
                          field->path, field->path);
    }
    if (type.kind == TYPE_ROW) {
        if (depth == NESTING_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "table \"%s\": column %s: more than %d levels of ROW",
                              field->table->name, field->path, NESTING_MAX);
        }
        generator->children = calloc((size_t)type.n_fields + 1, sizeof *generator->children);
        if (!generator->children) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "datagen: no memory for fields"); }
        for (int32_t i = 0; i < type.n_fields; i++) {
            char path[400];
            snprintf(path, sizeof path, "%s.%s", field->path, type.fields[i].name);
            const struct field_options child = {field->table, path};
            generator->n_children = i + 1;
            SABOT_TRY(generator_init(&generator->children[i], &child, type.fields[i].type, depth + 1, seed, rows_end,
                                     err));
        }
        return SABOT_OK;
    }
    generator->sequence = strcasecmp(field_text(field, "kind"), "sequence") == 0;
    if (generator->sequence) { return sequence_range(generator, field, rows_end, err); }
    return random_range(generator, field, err);
}

static void generator_clear(struct generator *generator) {
    for (int32_t i = 0; i < generator->n_children; i++) { generator_clear(&generator->children[i]); }
    free(generator->children);
}

/* ---- values ---- */

/* Rows row, row + 1, ... of the stream, as the clock says now_ms. */
struct stretch {
    int64_t row;
    int32_t rows;
    int64_t now_ms;
};

static inline uint64_t draw(const struct generator *generator, int64_t row) {
    return mix(generator->salt + (uint64_t)(row + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* From [min, max], both included. */
static inline int64_t draw_between(uint64_t bits, int64_t min, int64_t max) {
    const uint64_t span = (uint64_t)max - (uint64_t)min + 1;
    if (span == 0) { return (int64_t)bits; }
    return (int64_t)((uint64_t)min + (uint64_t)(((unsigned __int128)bits * span) >> 64));
}

static inline double draw_real(uint64_t bits, double min, double max) {
    const double share = (double)(bits >> 11) * 0x1p-53;
    /* max - min may be infinite, each part is not. */
    return min * (1 - share) + max * share;
}

static int64_t whole_value(const struct generator *generator, int64_t row) {
    if (generator->sequence) { return generator->start + row; }
    return draw_between(draw(generator, row), generator->min, generator->max);
}

static double real_value(const struct generator *generator, int64_t row) {
    if (generator->sequence) { return (double)(generator->start + row); }
    return draw_real(draw(generator, row), generator->min_real, generator->max_real);
}

static __int128 decimal_value(const struct generator *generator, int64_t row) {
    if (generator->sequence) { return (generator->start + row) * power_of_10(generator->type.scale); }
    const uint64_t bits = draw(generator, row);
    if (generator->type.precision <= 18) { return draw_between(bits, generator->min, generator->max); }
    const unsigned __int128 wide = (unsigned __int128)bits << 64 | mix(bits ^ generator->salt);
    const unsigned __int128 span = (unsigned __int128)(generator->max_wide - generator->min_wide) + 1;
    return generator->min_wide + (__int128)(wide % span);
}

static int64_t time_value(const struct generator *generator, int64_t row, int64_t now_ms) {
    const int64_t time_ms = now_ms - draw_between(draw(generator, row), 0, generator->max);
    return time_ms * timestamp_units_per_ms_num(generator->type);
}

static void fixed_fill(const struct generator *generator, const struct stretch *stretch, void *values) {
#define FILL(c_type, value)                                                                                            \
    for (int32_t i = 0; i < stretch->rows; i++) {                                                                      \
        const int64_t row = stretch->row + i;                                                                          \
        ((c_type *)values)[i] = (c_type)(value);                                                                       \
    }                                                                                                                  \
    break
    switch ((enum type_kind)generator->type.kind) {
    case TYPE_BOOL: FILL(uint8_t, draw(generator, row) >> 63);
    case TYPE_INT8: FILL(int8_t, whole_value(generator, row));
    case TYPE_INT16: FILL(int16_t, whole_value(generator, row));
    case TYPE_INTERVAL_MONTH:
    case TYPE_INT32: FILL(int32_t, whole_value(generator, row));
    case TYPE_INTERVAL_DAY:
    case TYPE_INT64: FILL(int64_t, whole_value(generator, row));
    case TYPE_FLOAT32: FILL(float, real_value(generator, row));
    case TYPE_FLOAT64: FILL(double, real_value(generator, row));
    case TYPE_DATE: FILL(int32_t, stretch->now_ms / MS_PER_DAY + 0 * row);
    case TYPE_TIME: FILL(int32_t, stretch->now_ms % MS_PER_DAY + 0 * row);
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ: FILL(int64_t, time_value(generator, row, stretch->now_ms));
    case TYPE_DECIMAL:
        if (type_phys(generator->type) == PHYS_I64) { FILL(int64_t, decimal_value(generator, row)); }
        FILL(__int128, decimal_value(generator, row));
    default: break;
    }
#undef FILL
}

static int32_t string_length(const struct generator *generator, int64_t row) {
    if (!generator->variable) { return generator->length; }
    return (int32_t)draw_between(mix(draw(generator, row) + 1), 1, generator->length);
}

/* Sixteen hexadecimal digits, as Flink's strings, or eight bytes from each draw. */
static void string_write(const struct generator *generator, int64_t row, char *target, int32_t length) {
    static const char digits[] = "0123456789abcdef";
    const bool text = generator->type.kind == TYPE_STRING;
    uint64_t bits = 0;
    for (int32_t i = 0; i < length; i++) {
        const int32_t per_draw = text ? 16 : 8;
        if (i % per_draw == 0) { bits = mix(draw(generator, row) ^ ((uint64_t)(i / per_draw) << 32)); }
        target[i] = text ? digits[bits & 15] : (char)(bits & 255);
        bits >>= text ? 4 : 8;
    }
}

static sabot_status strings_fill(const struct generator *generator, const struct stretch *stretch,
                                 struct column_builder *builder, struct sabot_error *err) {
    struct string_view *views = builder->values;
    for (int32_t i = 0; i < stretch->rows; i++) {
        const int64_t row = stretch->row + i;
        char number[24];
        int32_t length = string_length(generator, row);
        if (generator->sequence) {
            length = snprintf(number, sizeof number, "%" PRId64, generator->start + row);
        }
        char *target;
        SABOT_TRY(column_builder_reserve(builder, (size_t)length, &target, err));
        if (generator->sequence) {
            memcpy(target, number, (size_t)length);
        } else {
            string_write(generator, row, target, length);
        }
        views[i] = string_view_of(target, (uint32_t)length);
    }
    return SABOT_OK;
}

static bool row_is_null(const struct generator *generator, int64_t row) {
    return generator->null_rate > 0 &&
           (double)(mix(draw(generator, row) ^ UINT64_C(0x6e756c6c)) >> 11) * 0x1p-53 < generator->null_rate;
}

static sabot_status generator_column(const struct generator *generator, struct memory_pool *pool,
                                     const struct stretch *stretch, struct column **out, struct sabot_error *err);

static sabot_status row_column(const struct generator *generator, struct memory_pool *pool,
                               const struct stretch *stretch, struct column **out, struct sabot_error *err) {
    struct column **children = calloc((size_t)generator->n_children + 1, sizeof *children);
    struct buffer *validity = NULL;
    sabot_status status =
        children ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "datagen: no memory for the fields of a row");
    int32_t n = 0;
    while (status == SABOT_OK && n < generator->n_children) {
        status = generator_column(&generator->children[n], pool, stretch, &children[n], err);
        if (status == SABOT_OK) { n++; }
    }
    const size_t words = ((size_t)stretch->rows + 63) / 64;
    if (status == SABOT_OK && generator->null_rate > 0) { status = buffer_new(pool, words * 8, &validity, err); }
    if (status == SABOT_OK) {
        uint64_t *bits = validity ? (uint64_t *)(void *)validity->data : NULL;
        if (bits) { memset(bits, 0, words * 8); }
        for (int32_t i = 0; bits && i < stretch->rows; i++) {
            bits[i >> 6] |= (uint64_t)!row_is_null(generator, stretch->row + i) << (i & 63);
        }
        status = column_new(PHYS_ROW, stretch->rows, bits, NULL, &validity, validity != NULL, children, n, out, err);
    } else {
        while (n > 0) { column_unref(children[--n]); }
    }
    free(children);
    return status;
}

static sabot_status generator_column(const struct generator *generator, struct memory_pool *pool,
                                     const struct stretch *stretch, struct column **out, struct sabot_error *err) {
    if (generator->type.kind == TYPE_ROW) { return row_column(generator, pool, stretch, out, err); }
    struct column_builder builder;
    const enum phys phys = type_phys(generator->type);
    SABOT_TRY(column_builder_init(&builder, pool, phys, stretch->rows, generator->null_rate > 0, err));
    sabot_status status = SABOT_OK;
    if (phys == PHYS_VIEW) {
        status = strings_fill(generator, stretch, &builder, err);
    } else {
        fixed_fill(generator, stretch, builder.values);
    }
    if (status != SABOT_OK) {
        column_builder_clear(&builder);
        return status;
    }
    for (int32_t i = 0; generator->null_rate > 0 && i < stretch->rows; i++) {
        if (row_is_null(generator, stretch->row + i)) { column_builder_set_null(&builder, i); }
    }
    return column_builder_finish(&builder, out, err);
}

static sabot_status stretch_batch(const struct source *source, const struct stretch *stretch, struct batch **out,
                                  struct sabot_error *err) {
    struct schema *schema = source->context.table->schema;
    struct column **columns = calloc((size_t)schema->n_fields + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "datagen: no memory for columns"); }
    sabot_status status = SABOT_OK;
    int32_t n = 0;
    while (status == SABOT_OK && n < schema->n_fields) {
        status = generator_column(&source->generators[n], source->context.pool, stretch, &columns[n], err);
        if (status == SABOT_OK) { n++; }
    }
    if (status == SABOT_OK) {
        status = batch_new(schema, columns, n, stretch->rows, out, err);
    } else {
        while (n > 0) { column_unref(columns[--n]); }
    }
    free(columns);
    if (status == SABOT_OK) { (*out)->created_ns = env_now_ns(source->context.env); }
    return status;
}

/* ---- polling ---- */

static int64_t split_next(const struct datagen_split *split) {
    return block_share_next(&split->share, split->row);
}

static bool split_at_end(const struct source *source, const struct datagen_split *split) {
    return split_next(split) >= source->rows_end;
}

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Long strings make smaller batches. */
static int64_t rows_max(const struct source *source) {
    int64_t rows = source->context.batch_rows;
    for (int32_t i = 0; i < source->context.table->schema->n_fields; i++) {
        const int64_t length = source->generators[i].length;
        if (length > 0) { rows = min64(rows, STRING_BYTES_MAX / length); }
    }
    return rows < 1 ? 1 : rows;
}

static sabot_status datagen_poll(struct source *source, enum source_state *state, struct source_result *result,
                                 struct sabot_error *err) {
    result->batch = NULL;
    result->wake_at_ns = INT64_MAX;
    struct datagen_split *split = NULL;
    bool ended = true;
    for (int32_t i = 0; i < source->n_splits; i++) {
        struct datagen_split *candidate = &source->splits[i];
        if (split_at_end(source, candidate)) { continue; }
        ended = false;
        if (!candidate->paused && (!split || split_next(candidate) < split_next(split))) { split = candidate; }
    }
    *state = ended ? SOURCE_END : SOURCE_WAIT;
    if (!split) { return SABOT_OK; }
    const int64_t next = split_next(split);
    const int64_t left = min64(min64(block_share_left(&split->share, next), source->rows_end - next), rows_max(source));
    const int64_t rows = pace_due(&source->pace, source->context.env, next, left, &result->wake_at_ns);
    if (rows == 0) { return SABOT_OK; }
    const struct stretch stretch = {next, (int32_t)rows, env_wall_ms(source->context.env)};
    SABOT_TRY(stretch_batch(source, &stretch, &result->batch, err));
    split->row = next + rows;
    result->split = (int32_t)(split - source->splits);
    *state = SOURCE_BATCH;
    return SABOT_OK;
}

/* ---- positions ---- */

static int32_t datagen_n_splits(const struct source *source) {
    return source->n_splits;
}

static void datagen_split(const struct source *source, int32_t i, struct source_split *out) {
    const struct datagen_split *split = &source->splits[i];
    snprintf(out->id, sizeof out->id, "part-%d-of-%d", split->share.part, split->share.parts);
    out->finished = split_at_end(source, split);
}

static void datagen_pause(struct source *source, int32_t split, bool paused) {
    source->splits[split].paused = paused;
}

/* As text: "datagen1 <row> <part> <parts> <rows of a block> <wall clock of the start>"; the last is to be looked at. */
static sabot_status datagen_position(struct source *source, int32_t i, struct text *position, struct sabot_error *err) {
    const struct datagen_split *split = &source->splits[i];
    text_format(position, "datagen1 %" PRId64 " %d %d %" PRId64 " %" PRId64, split->row, split->share.part,
                split->share.parts, split->share.block_rows, source->pace.started_ms);
    return position->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "datagen: no memory for a position") : SABOT_OK;
}

static sabot_status datagen_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    const int32_t n = positions ? positions->selected : 0;
    if (n == 0) { return SABOT_OK; }
    free(source->splits);
    source->n_splits = 0;
    source->splits = calloc((size_t)n, sizeof *source->splits);
    if (!source->splits) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "datagen: no memory for splits"); }
    for (int32_t i = 0; i < n; i++) {
        const struct split_position at = split_position_at(positions, i);
        char text[160];
        snprintf(text, sizeof text, "%.*s", (int)min64((int64_t)at.size, sizeof text - 1), at.bytes);
        struct datagen_split split = {0};
        if (sscanf(text, "datagen1 %" SCNd64 " %d %d %" SCNd64, &split.row, &split.share.part,
                   &split.share.parts, &split.share.block_rows) != 4 ||
            split.row < 0 || split.share.part < 0 || split.share.part >= split.share.parts ||
            split.share.block_rows < 1) {
            return SABOT_FAIL(err, SABOT_ERR_CORRUPT,
                              "table \"%s\": the checkpoint holds no position of a datagen source",
                              source->context.table->name);
        }
        if (split.share.part % source->context.parallelism != source->context.subtask) { continue; }
        source->pace.resumes = true; /* as Flink's: at its rate from now on */
        source->splits[source->n_splits++] = split;
    }
    return SABOT_OK;
}

static sabot_status datagen_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

/* ---- life ---- */

static void datagen_close(struct source *source) {
    if (!source) { return; }
    const int32_t n = source->generators ? source->context.table->schema->n_fields : 0;
    for (int32_t i = 0; i < n; i++) { generator_clear(&source->generators[i]); }
    free(source->generators);
    free(source->splits);
    free(source);
}

static sabot_status source_setup(struct source *source, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    int64_t rows_per_second, seed;
    SABOT_TRY(option_int(table, datagen_options, "rows-per-second", &rows_per_second, err));
    SABOT_TRY(option_int(table, datagen_options, "seed", &seed, err));
    source->rows_end = INT64_MAX;
    if (option_text(table, datagen_options, "number-of-rows")) {
        SABOT_TRY(option_int(table, datagen_options, "number-of-rows", &source->rows_end, err));
    }
    if (rows_per_second < 0 || source->rows_end < 0) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option '%s': must be 0 or above", table->name,
                          rows_per_second < 0 ? "rows-per-second" : "number-of-rows");
    }
    if (rows_per_second > 0) { source->pace.interval_ns = 1e9 / (double)rows_per_second; }
    source->generators = calloc((size_t)table->schema->n_fields + 1, sizeof *source->generators);
    source->splits = calloc(1, sizeof *source->splits);
    if (!source->generators || !source->splits) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "datagen: no memory"); }
    /* A sequence ends the source even where nobody reads its column. */
    for (int32_t i = 0; table->declared && i < table->declared->n_fields; i++) {
        const struct field_options field = {table, table->declared->fields[i].name};
        struct generator unused;
        const sabot_status status =
            generator_init(&unused, &field, table->declared->fields[i].type, 0, seed, &source->rows_end, err);
        generator_clear(&unused);
        SABOT_TRY(status);
    }
    for (int32_t i = 0; i < table->schema->n_fields; i++) {
        const struct field_options field = {table, table->schema->fields[i].name};
        SABOT_TRY(generator_init(&source->generators[i], &field, table->schema->fields[i].type, 0, seed,
                                 &source->rows_end, err));
    }
    source->n_splits = 1;
    source->splits[0].share = (struct block_share){
        .part = source->context.subtask,
        .parts = source->context.parallelism,
        .block_rows = block_rows_for(source->context.batch_rows, source->pace.interval_ns),
    };
    return SABOT_OK;
}

static sabot_status datagen_open(const struct connector_context *context, struct source **out,
                                 struct sabot_error *err) {
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "datagen: no memory for the source"); }
    source->context = *context;
    const sabot_status status = source_setup(source, err);
    if (status != SABOT_OK) {
        datagen_close(source);
        return status;
    }
    *out = source;
    return SABOT_OK;
}

static bool datagen_is_bounded(const struct connector_table *table) {
    if (option_text(table, datagen_options, "number-of-rows")) { return true; }
    for (int32_t i = 0; i < table->n_options; i++) {
        const char *key = table->options[i].key;
        const size_t size = strlen(key);
        if (strncmp(key, "fields.", 7) == 0 && size > 5 && strcmp(key + size - 5, ".kind") == 0 &&
            strcasecmp(table->options[i].value, "sequence") == 0) {
            return true;
        }
    }
    return false;
}

const struct source_type datagen_source = {
    .name = "datagen",
    .summary = "random values and sequences",
    .options = datagen_options,
    .is_bounded = datagen_is_bounded,
    .metadata_type = NULL,
    .takes_format = false,
    .nested_projection = true,
    .schema = NULL,
    .open = datagen_open,
    .restore = datagen_restore,
    .poll = datagen_poll,
    .n_splits = datagen_n_splits,
    .split = datagen_split,
    .pause = datagen_pause,
    .position = datagen_position,
    .on_complete = datagen_on_complete,
    .close = datagen_close,
};
