/* Expressions: literals, names, operators and calls. */
#include "sql/bind_internal.h"

#include "base/nearest.h"
#include "expr/function.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#define INT_DIGITS_MAX 38

static struct arena *arena_of(const struct expr_scope *in) { return &in->binder->plans->arena; }

/* ---- literals ---------------------------------------------------------------------------------------------------- */

/* Digits (with or without one point) as an unscaled number. */
static bool digits_parse(const char *text, bool negative, __int128 *out, int32_t *digits, int32_t *scale) {
    __int128 value = 0;
    bool fraction = false;
    *digits = 0;
    *scale = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        if (*digits == 0 && *at == '0' && !fraction && at[1] && at[1] != '.') { continue; } /* leading zeros */
        if (++*digits > INT_DIGITS_MAX) { return false; }
        value = value * 10 + (*at - '0');
        *scale += fraction;
    }
    *out = negative ? -value : value;
    return true;
}

static sabot_status bind_decimal(const struct expr_scope *in, const struct sql_expr *expr, bool negative,
                                 struct expr **out, struct sabot_error *err) {
    __int128 value = 0;
    int32_t digits = 0, scale = 0;
    if (!digits_parse(expr->text, negative, &value, &digits, &scale)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "a number may have at most %d digits", INT_DIGITS_MAX);
    }
    const struct type type = type_not_null(type_decimal(digits > 0 ? digits : 1, scale));
    const int64_t narrow = (int64_t)value;
    const void *at = type_phys(type) == PHYS_I128 ? (const void *)&value : (const void *)&narrow;
    return expr_literal(arena_of(in), type, at, span_of(expr->span), out, err);
}

static sabot_status bind_integer(const struct expr_scope *in, const struct sql_expr *expr, bool negative,
                                 struct expr **out, struct sabot_error *err) {
    __int128 value = 0;
    int32_t digits = 0, scale = 0;
    if (!digits_parse(expr->text, negative, &value, &digits, &scale)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "a number may have at most %d digits", INT_DIGITS_MAX);
    }
    if (value >= INT32_MIN && value <= INT32_MAX) {
        const int32_t narrow = (int32_t)value;
        return expr_literal(arena_of(in), type_not_null(type_of(TYPE_INT32)), &narrow, span_of(expr->span), out, err);
    }
    if (value >= INT64_MIN && value <= INT64_MAX) {
        const int64_t wide = (int64_t)value;
        return expr_literal(arena_of(in), type_not_null(type_of(TYPE_INT64)), &wide, span_of(expr->span), out, err);
    }
    return bind_decimal(in, expr, negative, out, err);
}

static sabot_status bind_double(const struct expr_scope *in, const struct sql_expr *expr, bool negative,
                                struct expr **out, struct sabot_error *err) {
    errno = 0;
    double value = strtod(expr->text, NULL);
    if (errno == ERANGE && (value > 1 || value < -1)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s is too large for a DOUBLE", expr->text);
    }
    if (negative) { value = -value; }
    return expr_literal(arena_of(in), type_not_null(type_of(TYPE_FLOAT64)), &value, span_of(expr->span), out, err);
}

static int32_t characters_in(const char *text, uint32_t size) {
    int32_t n = 0;
    for (uint32_t i = 0; i < size; i++) {
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    }
    return n;
}

static sabot_status string_literal(struct arena *arena, const char *text, uint32_t size, struct source_span span,
                                   struct expr **out, struct sabot_error *err) {
    struct type type = type_not_null(type_of(TYPE_STRING));
    type.length = characters_in(text, size);
    type.fixed_length = true;
    const struct string_view view = string_view_of(text, size);
    return expr_literal(arena, type, &view, span, out, err);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') { return c - '0'; }
    if (c >= 'a' && c <= 'f') { return c - 'a' + 10; }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static sabot_status bind_bytes(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                               struct sabot_error *err) {
    const uint32_t size = expr->text_size / 2;
    char *bytes = arena_alloc(arena_of(in), size ? size : 1);
    if (!bytes) { return PLAN_NO_MEMORY(err); }
    if (expr->text_size % 2) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "X'..' needs an even number of hexadecimal digits");
    }
    for (uint32_t i = 0; i < size; i++) {
        const int high = hex_digit(expr->text[2 * i]), low = hex_digit(expr->text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "X'..' takes hexadecimal digits only");
        }
        bytes[i] = (char)(high * 16 + low);
    }
    struct type type = type_not_null(type_of(TYPE_BINARY));
    type.length = (int32_t)size;
    type.fixed_length = true;
    const struct string_view view = string_view_of(bytes, size);
    return expr_literal(arena_of(in), type, &view, span_of(expr->span), out, err);
}

/* DATE '..', TIME '..', TIMESTAMP '..': as the cast of the text reads it, but at once. */
static sabot_status bind_time_literal(const struct expr_scope *in, const struct sql_expr *expr, struct type type,
                                      const char *what, struct expr **out, struct sabot_error *err) {
    const struct source_span span = span_of(expr->span);
    struct expr *text = NULL, *cast = NULL;
    const void *value = NULL;
    struct sabot_error reason = {0};
    SABOT_TRY(string_literal(arena_of(in), expr->text, expr->text_size, span, &text, err));
    SABOT_TRY(expr_cast(arena_of(in), text, type_nullable(type), true, span, &cast, err));
    const sabot_status status = expr_evaluate_constant(arena_of(in), cast, &value, &reason);
    if (status != SABOT_OK || !value) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "'%s' is no %s (write %s)", expr->text, what,
                        type.kind == TYPE_DATE   ? "DATE '2024-12-31'"
                        : type.kind == TYPE_TIME ? "TIME '23:59:59'"
                                                 : "TIMESTAMP '2024-12-31 23:59:59.123'");
    }
    return expr_literal(arena_of(in), type_not_null(type), value, span, out, err);
}

static struct type timestamp_literal_type(const char *text) {
    const char *point = strchr(text, '.');
    const size_t digits = point ? strlen(point + 1) : 0;
    return type_timestamp((int)(digits > 9 ? 9 : digits));
}

/* ---- intervals --------------------------------------------------------------------------------------------------- */

#define MS_PER_SECOND INT64_C(1000)
#define MS_PER_MINUTE (60 * MS_PER_SECOND)
#define MS_PER_HOUR (60 * MS_PER_MINUTE)
#define MS_PER_DAY (24 * MS_PER_HOUR)
#define INTERVAL_MS_MAX (INT64_MAX / 4)

/* Milliseconds in a unit, or 0. */
static int64_t unit_ms(enum sql_unit unit) {
    switch (unit) {
    case SQL_UNIT_WEEK: return 7 * MS_PER_DAY;
    case SQL_UNIT_DAY: return MS_PER_DAY;
    case SQL_UNIT_HOUR: return MS_PER_HOUR;
    case SQL_UNIT_MINUTE: return MS_PER_MINUTE;
    case SQL_UNIT_SECOND: return MS_PER_SECOND;
    case SQL_UNIT_MILLISECOND: return 1;
    default: return 0;
    }
}

static int64_t unit_months(enum sql_unit unit) {
    return unit == SQL_UNIT_YEAR ? 12 : unit == SQL_UNIT_QUARTER ? 3 : unit == SQL_UNIT_MONTH ? 1 : 0;
}

static bool number_parse(const char **at, int64_t *out) {
    int64_t value = 0;
    const char *start = *at;
    while (**at >= '0' && **at <= '9') {
        if (value > INT64_MAX / 100) { return false; }
        value = value * 10 + (*(*at)++ - '0');
    }
    *out = value;
    return *at > start;
}

/* ".5" behind seconds, in milliseconds; digits past the third are cut. */
static int64_t fraction_parse(const char **at) {
    int64_t ms = 0, weight = 100;
    if (**at != '.') { return 0; }
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, weight /= 10) {
        ms += (**at - '0') * weight;
    }
    return ms;
}

/* The units of an interval in order of size; each is 1/steps of the one before. */
static const enum sql_unit ladder[] = {SQL_UNIT_DAY, SQL_UNIT_HOUR, SQL_UNIT_MINUTE, SQL_UNIT_SECOND};
static const char separators[] = {0, ' ', ':', ':'};

/* "1 10:00:00.5" between two units of the ladder. */
static bool day_interval_parse(const char **at, enum sql_unit from, enum sql_unit to, int64_t *out) {
    size_t i = 0;
    int64_t total = 0;
    while (i < 4 && ladder[i] != from) {
        i++;
    }
    for (bool first = true; i < 4; i++, first = false) {
        int64_t value = 0;
        if (!first && *(*at)++ != separators[i]) { return false; }
        if (!number_parse(at, &value) || value > INTERVAL_MS_MAX / unit_ms(ladder[i])) { return false; }
        total += value * unit_ms(ladder[i]);
        if (ladder[i] == SQL_UNIT_SECOND) { total += fraction_parse(at); }
        if (ladder[i] == to) { break; }
    }
    *out = total;
    return true;
}

/* The interval in months or milliseconds; false: the text does not fit its units. */
static bool interval_parse(const struct sql_interval *interval, bool *is_months, int64_t *out) {
    const char *at = interval->text;
    const enum sql_unit to = interval->to == SQL_UNIT_NONE ? interval->from : interval->to;
    bool negative = interval->negative;
    while (*at == ' ') {
        at++;
    }
    if (*at == '-' || *at == '+') { negative ^= *at++ == '-'; }
    int64_t value = 0;
    *is_months = unit_months(interval->from) > 0;
    if (*is_months) {
        if (!number_parse(&at, &value) || value > INT32_MAX / 12) { return false; }
        value *= unit_months(interval->from);
        if (to != interval->from) {
            int64_t months = 0;
            if (*at++ != '-' || !number_parse(&at, &months) || months > 11) { return false; }
            value += months;
        }
    } else if (interval->from == to) {
        const int64_t unit = unit_ms(to);
        if (unit == 0 || !number_parse(&at, &value) || value > INTERVAL_MS_MAX / unit) { return false; }
        value *= unit;
        if (to == SQL_UNIT_SECOND) { value += fraction_parse(&at); }
    } else if (!day_interval_parse(&at, interval->from, to, &value)) {
        return false;
    }
    while (*at == ' ') {
        at++;
    }
    *out = negative ? -value : value;
    return *at == 0;
}

static sabot_status bind_interval(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                  struct sabot_error *err) {
    bool is_months = false;
    int64_t value = 0;
    if (!interval_parse(&expr->interval, &is_months, &value)) {
        return SQL_FAIL(
            err, SABOT_ERR_PLAN, expr->span,
            "'%s' is no interval of %s%s%s (write INTERVAL '10' SECOND, INTERVAL '1 02:30:00' DAY TO SECOND)",
            expr->interval.text, sql_unit_name(expr->interval.from), expr->interval.to != SQL_UNIT_NONE ? " TO " : "",
            sql_unit_name(expr->interval.to));
    }
    const int32_t months = (int32_t)value;
    const struct type type = type_not_null(type_of(is_months ? TYPE_INTERVAL_MONTH : TYPE_INTERVAL_DAY));
    return expr_literal(arena_of(in), type, is_months ? (const void *)&months : (const void *)&value,
                        span_of(expr->span), out, err);
}

sabot_status bind_interval_ms(struct binder *binder, const struct sql_expr *expr, const char *what, int64_t *out,
                              struct sabot_error *err) {
    const struct expr_scope in = {.binder = binder, .clause = what};
    struct expr *bound = NULL;
    const void *value = NULL;
    SABOT_TRY(bind_expr(&in, expr, &bound, err));
    if (bound->type.kind == TYPE_INTERVAL_MONTH) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span,
                        "%s can't be given in months or years, which differ in length; use days", what);
    }
    if (bound->type.kind != TYPE_INTERVAL_DAY || !expr_is_constant(bound)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s must be a constant such as INTERVAL '10' SECOND", what);
    }
    SABOT_TRY(expr_evaluate_constant(&binder->plans->arena, bound, &value, err));
    if (!value) { return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s must not be NULL", what); }
    memcpy(out, value, sizeof *out);
    return SABOT_OK;
}

sabot_status bind_count(struct binder *binder, const struct sql_expr *expr, const char *what, int64_t *out,
                        struct sabot_error *err) {
    if (expr->kind == SQL_EXPR_INTEGER) {
        errno = 0;
        const long long value = strtoll(expr->text, NULL, 10);
        if (errno == 0) {
            *out = value;
            return SABOT_OK;
        }
    }
    (void)binder;
    return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s takes a whole number", what);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

const char *path_text(struct arena *arena, const struct sql_path *path) {
    size_t size = 1;
    for (unsigned i = 0; i < path->count; i++) {
        size += strlen(path->items[i].text) + 1;
    }
    char *text = arena_alloc(arena, size);
    if (!text) { return "?"; }
    for (unsigned i = 0; i < path->count; i++) {
        if (i > 0) { strcat(text, "."); }
        strcat(text, path->items[i].text);
    }
    return text;
}

/* How many columns of a table have the name; *found is the last. */
static int32_t columns_named(const struct scope *scope, const struct scope_table *table, bool qualified,
                             const char *name, int32_t *found) {
    int32_t n = 0;
    for (int32_t i = table->first; i < table->first + table->count; i++) {
        if (!qualified && table->merged && table->merged[i - table->first]) { continue; }
        if (strcmp(scope->plan->schema->fields[i].name, name) == 0) {
            *found = i;
            n++;
        }
    }
    return n;
}

bool scope_has(const struct scope *scope, const char *name) {
    int32_t found = 0;
    for (int32_t t = 0; scope && t < scope->n_tables; t++) {
        if (columns_named(scope, &scope->tables[t], false, name, &found)) { return true; }
    }
    return false;
}

static sabot_status no_column(const struct scope *scope, const struct sql_name *name, const struct scope_table *of,
                              const char *clause, struct sabot_error *err) {
    struct nearest nearest = {.wanted = name->text};
    int32_t columns = 0;
    for (int32_t t = 0; scope && t < scope->n_tables; t++) {
        if (of && of != &scope->tables[t]) { continue; }
        for (int32_t i = 0; i < scope->tables[t].count; i++, columns++) {
            nearest_offer(&nearest, scope->plan->schema->fields[scope->tables[t].first + i].name);
        }
    }
    char hint[128];
    nearest_hint(&nearest, hint, sizeof hint);
    if (columns == 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there are no columns here, so \"%s\" means nothing",
                        name->text);
    }
    if (of && of->name) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "\"%s\" has no column \"%s\"%s", of->name, name->text, hint);
    }
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there is no column \"%s\" in %s%s", name->text, clause, hint);
}

static sabot_status ambiguous(const struct sql_name *name, struct sabot_error *err) {
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "column \"%s\" is ambiguous; write table.%s", name->text,
                    name->text);
}

sabot_status scope_find(const struct scope *scope, const struct sql_path *path, const char *clause, int32_t *column,
                        unsigned *used, struct sabot_error *err) {
    const struct sql_name *first = &path->items[0];
    const struct scope_table *named = NULL;
    unsigned skip = 0;
    if (!scope) { return no_column(NULL, first, NULL, clause, err); }
    if (scope->n_inner > 0) {
        struct scope inner = *scope;
        inner.n_tables = scope->n_inner;
        inner.n_inner = 0;
        bool is_inner = scope_has(&inner, first->text);
        for (int32_t t = 0; t < inner.n_tables && path->count > 1; t++) {
            is_inner = is_inner || (inner.tables[t].name && strcmp(inner.tables[t].name, first->text) == 0);
        }
        if (is_inner) { return scope_find(&inner, path, clause, column, used, err); }
    }
    /* catalog.database.table.column */
    if (path->count >= 4 && strcmp(first->text, CATALOG_NAME) == 0) { skip = 2; }
    if (skip == 0 && path->count >= 3 && strcmp(first->text, DATABASE_NAME) == 0) { skip = 1; }
    for (int32_t t = 0; path->count > skip + 1 && t < scope->n_tables; t++) {
        const struct scope_table *table = &scope->tables[t];
        if (!table->name || strcmp(table->name, path->items[skip].text) != 0) { continue; }
        named = table;
        const int32_t n = columns_named(scope, table, true, path->items[skip + 1].text, column);
        if (n > 1) { return ambiguous(&path->items[skip + 1], err); }
        if (n == 1) {
            *used = skip + 2;
            return SABOT_OK;
        }
    }
    int32_t n = 0;
    for (int32_t t = 0; t < scope->n_tables; t++) {
        n += columns_named(scope, &scope->tables[t], false, first->text, column);
    }
    if (n > 1) { return ambiguous(first, err); }
    if (n == 1) {
        *used = 1;
        return SABOT_OK;
    }
    if (named) { return no_column(scope, &path->items[skip + 1], named, clause, err); }
    if (path->count > skip + 1) {
        struct nearest nearest = {.wanted = path->items[skip].text};
        for (int32_t t = 0; t < scope->n_tables; t++) {
            if (scope->tables[t].name) { nearest_offer(&nearest, scope->tables[t].name); }
        }
        char hint[128];
        return SQL_FAIL(err, SABOT_ERR_PLAN, path->items[skip].span, "there is no table or column \"%s\" in %s%s",
                        path->items[skip].text, clause, nearest_hint(&nearest, hint, sizeof hint));
    }
    return no_column(scope, first, NULL, clause, err);
}

static sabot_status bind_field(const struct expr_scope *in, struct expr *row, const struct sql_name *name,
                               struct expr **out, struct sabot_error *err) {
    if (row->type.kind != TYPE_ROW) {
        char type[160];
        type_print(row->type, type, sizeof type);
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span,
                        "\"%s\" can't be taken from a value of type %s, only from a ROW", name->text, type);
    }
    struct nearest nearest = {.wanted = name->text};
    for (int32_t i = 0; i < row->type.n_fields; i++) {
        if (strcmp(row->type.fields[i].name, name->text) == 0) {
            return expr_field(arena_of(in), row, name->text, span_of(name->span), out, err);
        }
        nearest_offer(&nearest, row->type.fields[i].name);
    }
    char hint[128];
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "the ROW has no field \"%s\"%s", name->text,
                    nearest_hint(&nearest, hint, sizeof hint));
}

static sabot_status bind_path(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                              struct sabot_error *err) {
    int32_t column = 0;
    unsigned used = 0;
    SABOT_TRY(scope_find(in->scope, &expr->path, in->clause, &column, &used, err));
    struct expr *bound = NULL;
    SABOT_TRY(plan_column_ref(in->binder->plans, in->scope->plan, column, span_of(expr->span), &bound, err));
    for (unsigned i = used; i < expr->path.count; i++) {
        SABOT_TRY(bind_field(in, bound, &expr->path.items[i], &bound, err));
    }
    *out = bound;
    return SABOT_OK;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static sabot_status call(const struct expr_scope *in, const char *name, struct expr *const *args, int32_t n,
                         struct sql_span span, struct expr **out, struct sabot_error *err) {
    return expr_call(arena_of(in), name, args, n, span_of(span), out, err);
}

static sabot_status bind_list(const struct expr_scope *in, const struct sql_exprs *list, struct expr ***out,
                              struct sabot_error *err) {
    struct expr **bound = arena_alloc(arena_of(in), (list->count ? list->count : 1) * sizeof *bound);
    if (!bound) { return PLAN_NO_MEMORY(err); }
    for (unsigned i = 0; i < list->count; i++) {
        SABOT_TRY(bind_expr(in, list->items[i], &bound[i], err));
    }
    *out = bound;
    return SABOT_OK;
}

static sabot_status negate(const struct expr_scope *in, bool negated, struct sql_span span, struct expr **in_out,
                           struct sabot_error *err) {
    if (!negated) { return SABOT_OK; }
    struct expr *operand = *in_out;
    return call(in, "NOT", &operand, 1, span, in_out, err);
}

static sabot_status bind_unary(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                               struct sabot_error *err) {
    const struct sql_expr *operand = expr->unary.operand;
    if (expr->unary.op == SQL_OP_MINUS && operand->kind == SQL_EXPR_INTEGER) {
        return bind_integer(in, operand, true, out, err);
    }
    if (expr->unary.op == SQL_OP_MINUS && operand->kind == SQL_EXPR_DECIMAL) {
        return bind_decimal(in, operand, true, out, err);
    }
    if (expr->unary.op == SQL_OP_MINUS && operand->kind == SQL_EXPR_DOUBLE) {
        return bind_double(in, operand, true, out, err);
    }
    struct expr *bound = NULL;
    SABOT_TRY(bind_expr(in, operand, &bound, err));
    if (expr->unary.op == SQL_OP_PLUS) {
        *out = bound;
        return SABOT_OK;
    }
    return call(in, expr->unary.op == SQL_OP_NOT ? "NOT" : "-", &bound, 1, expr->span, out, err);
}

static sabot_status bind_is_expr(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                            struct sabot_error *err) {
    static const char *const names[][2] = {
        [SQL_IS_NULL] = {"IS NULL", "IS NOT NULL"},
        [SQL_IS_TRUE] = {"IS TRUE", "IS NOT TRUE"},
        [SQL_IS_FALSE] = {"IS FALSE", "IS NOT FALSE"},
        [SQL_IS_UNKNOWN] = {"IS UNKNOWN", "IS NOT UNKNOWN"},
    };
    struct expr *operand = NULL;
    SABOT_TRY(bind_expr(in, expr->is.operand, &operand, err));
    if (expr->is.what <= SQL_IS_UNKNOWN) {
        return call(in, names[expr->is.what][expr->is.negated], &operand, 1, expr->span, out, err);
    }
    static const char *const json[] = {"VALUE", "OBJECT", "ARRAY", "SCALAR"};
    const char *kind = json[expr->is.what - SQL_IS_JSON];
    struct expr *args[2] = {operand, NULL};
    SABOT_TRY(string_literal(arena_of(in), kind, (uint32_t)strlen(kind), span_of(expr->span), &args[1], err));
    SABOT_TRY(call(in, "IS JSON", args, 2, expr->span, out, err));
    return negate(in, expr->is.negated, expr->span, out, err);
}

static sabot_status bind_like_expr(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                              struct sabot_error *err) {
    struct expr *args[3] = {NULL, NULL, NULL};
    SABOT_TRY(bind_expr(in, expr->like.operand, &args[0], err));
    SABOT_TRY(bind_expr(in, expr->like.pattern, &args[1], err));
    if (expr->like.escape) { SABOT_TRY(bind_expr(in, expr->like.escape, &args[2], err)); }
    SABOT_TRY(call(in, expr->like.similar ? "SIMILAR TO" : "LIKE", args, expr->like.escape ? 3 : 2, expr->span, out,
                   err));
    return negate(in, expr->like.negated, expr->span, out, err);
}

static sabot_status range(const struct expr_scope *in, struct expr *operand, struct expr *low, struct expr *high,
                          struct sql_span span, struct expr **out, struct sabot_error *err) {
    struct expr *both[2] = {NULL, NULL};
    SABOT_TRY(call(in, ">=", (struct expr *[]){operand, low}, 2, span, &both[0], err));
    SABOT_TRY(call(in, "<=", (struct expr *[]){operand, high}, 2, span, &both[1], err));
    return call(in, "AND", both, 2, span, out, err);
}

static sabot_status bind_between_expr(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                 struct sabot_error *err) {
    struct expr *operand = NULL, *low = NULL, *high = NULL;
    SABOT_TRY(bind_expr(in, expr->between.operand, &operand, err));
    SABOT_TRY(bind_expr(in, expr->between.low, &low, err));
    SABOT_TRY(bind_expr(in, expr->between.high, &high, err));
    SABOT_TRY(range(in, operand, low, high, expr->span, out, err));
    if (expr->between.symmetric) {
        struct expr *either[2] = {*out, NULL};
        SABOT_TRY(range(in, operand, high, low, expr->span, &either[1], err));
        SABOT_TRY(call(in, "OR", either, 2, expr->span, out, err));
    }
    return negate(in, expr->between.negated, expr->span, out, err);
}

static sabot_status no_subquery(const struct sql_expr *expr, const char *what, struct sabot_error *err) {
    return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span,
                    "%s can't run here: a subquery may stand in FROM, in WHERE and in a select list; beside GROUP BY "
                    "it is one aggregate or EXISTS", what);
}

/* A subquery that was joined before: its column. */
static sabot_status bind_subquery_value(const struct expr_scope *in, const struct sql_expr *expr, const char *what,
                                        struct expr **out, struct sabot_error *err) {
    for (int32_t i = 0; in->grouping && !in->in_aggregate && i < in->grouping->n_values; i++) {
        if (in->grouping->values[i].expr != expr) { continue; }
        const struct type type = in->grouping->values[i].type;
        return expr_column(arena_of(in), GROUPED_VALUE + i, type, span_of(expr->span), out, err);
    }
    for (int32_t i = 0; in->scope && i < in->scope->n_scalars; i++) {
        if (in->scope->scalars[i].call != expr) { continue; }
        return plan_column_ref(in->binder->plans, in->scope->plan, in->scope->scalars[i].column, span_of(expr->span),
                               out, err);
    }
    return no_subquery(expr, what, err);
}

static sabot_status bind_in_expr(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                            struct sabot_error *err) {
    if (expr->in.query) { return bind_subquery_value(in, expr, "IN (SELECT ..)", out, err); }
    const unsigned n = expr->in.list.count + 1;
    struct expr **args = arena_alloc(arena_of(in), n * sizeof *args);
    if (!args) { return PLAN_NO_MEMORY(err); }
    SABOT_TRY(bind_expr(in, expr->in.operand, &args[0], err));
    for (unsigned i = 1; i < n; i++) {
        SABOT_TRY(bind_expr(in, expr->in.list.items[i - 1], &args[i], err));
    }
    SABOT_TRY(call(in, "IN", args, (int32_t)n, expr->span, out, err));
    return negate(in, expr->in.negated, expr->span, out, err);
}

static sabot_status null_literal(const struct expr_scope *in, struct sql_span span, struct expr **out,
                                 struct sabot_error *err) {
    return expr_literal(arena_of(in), type_of(TYPE_NULL), NULL, span_of(span), out, err);
}

static sabot_status bind_case(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                              struct sabot_error *err) {
    const unsigned n = expr->cases.whens.count;
    struct expr **args = arena_alloc(arena_of(in), (2 * n + 1) * sizeof *args);
    struct expr *operand = NULL;
    if (!args) { return PLAN_NO_MEMORY(err); }
    if (expr->cases.operand) { SABOT_TRY(bind_expr(in, expr->cases.operand, &operand, err)); }
    for (unsigned i = 0; i < n; i++) {
        const struct sql_when *when = &expr->cases.whens.items[i];
        if (operand) {
            struct expr *value = NULL;
            SABOT_TRY(bind_expr(in, when->condition, &value, err));
            SABOT_TRY(call(in, "=", (struct expr *[]){operand, value}, 2, when->condition->span, &args[2 * i], err));
        } else {
            SABOT_TRY(bind_condition(in, when->condition, &args[2 * i], err));
        }
        SABOT_TRY(bind_expr(in, when->result, &args[2 * i + 1], err));
    }
    if (expr->cases.otherwise) {
        SABOT_TRY(bind_expr(in, expr->cases.otherwise, &args[2 * n], err));
    } else {
        SABOT_TRY(null_literal(in, expr->span, &args[2 * n], err));
    }
    return expr_case(arena_of(in), args, (int32_t)(2 * n + 1), span_of(expr->span), out, err);
}

static sabot_status bind_cast(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                              struct sabot_error *err) {
    struct expr *operand = NULL;
    struct type type;
    SABOT_TRY(bind_expr(in, expr->cast.operand, &operand, err));
    SABOT_TRY(bind_type(arena_of(in), expr->cast.type, &type, err));
    return expr_cast(arena_of(in), operand, type, expr->cast.try_cast, span_of(expr->span), out, err);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

bool is_any_of(const char *name, const char *const *names) {
    for (size_t i = 0; names[i]; i++) {
        if (strcasecmp(name, names[i]) == 0) { return true; }
    }
    return false;
}

static const char *name_of(const struct sql_call *of) { return of->name.items[of->name.count - 1].text; }

bool aggregate_kind_of(const char *name, enum aggregate_kind *kind) {
    static const struct {
        const char *name;
        enum aggregate_kind kind;
    } known[] = {
        {"COUNT", AGGREGATE_COUNT}, {"SUM", AGGREGATE_SUM}, {"AVG", AGGREGATE_AVG},
        {"MIN", AGGREGATE_MIN},     {"MAX", AGGREGATE_MAX},
        {"FIRST_VALUE", AGGREGATE_FIRST_VALUE}, {"LAST_VALUE", AGGREGATE_LAST_VALUE},
        {"LISTAGG", AGGREGATE_LISTAGG}, {"ARRAY_AGG", AGGREGATE_ARRAY_AGG}, {"APPROX_COUNT_DISTINCT", AGGREGATE_COUNT},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(known[i].name, name) == 0) {
            *kind = known[i].kind;
            return true;
        }
    }
    return false;
}

/* Flink's aggregates that have no operator here yet. */
static const char *const aggregates_to_come[] = {
    "COLLECT", "SUM0",
    "PERCENTILE", "REGR_COUNT", "COVAR_POP", "COVAR_SAMP", NULL,
};
/* Made of LISTAGG. */
static const char *const json_aggregates[] = {"JSON_OBJECTAGG", "JSON_ARRAYAGG", NULL};
/* Made of sums. */
static const char *const deviations[] = {"VAR_POP",  "VAR_SAMP", "STDDEV_POP", "STDDEV_SAMP",
                                         "VARIANCE", "STDDEV",   NULL};
static const char *const grouping_functions[] = {"GROUPING", "GROUPING_ID", "GROUP_ID", NULL};
static const char *const over_only[] = {"ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "LAG", "LEAD", "CUME_DIST",
                                        "PERCENT_RANK", NULL};

static bool has_aggregate_in(const struct sql_exprs *list) {
    for (unsigned i = 0; i < list->count; i++) {
        if (has_aggregate(list->items[i])) { return true; }
    }
    return false;
}

static bool call_is_aggregate(const struct sql_call *of) {
    enum aggregate_kind kind = 0;
    return !of->over && of->name.count == 1 &&
           (aggregate_kind_of(name_of(of), &kind) || is_any_of(name_of(of), aggregates_to_come) ||
            is_any_of(name_of(of), deviations) || is_any_of(name_of(of), json_aggregates));
}

bool has_aggregate(const struct sql_expr *expr) {
    if (!expr) { return false; }
    switch (expr->kind) {
    case SQL_EXPR_UNARY: return has_aggregate(expr->unary.operand);
    case SQL_EXPR_BINARY:
    case SQL_EXPR_INDEX: return has_aggregate(expr->binary.left) || has_aggregate(expr->binary.right);
    case SQL_EXPR_LOGIC: return has_aggregate_in(&expr->logic.operands);
    case SQL_EXPR_IS: return has_aggregate(expr->is.operand);
    case SQL_EXPR_LIKE: return has_aggregate(expr->like.operand) || has_aggregate(expr->like.pattern);
    case SQL_EXPR_BETWEEN:
        return has_aggregate(expr->between.operand) || has_aggregate(expr->between.low) ||
               has_aggregate(expr->between.high);
    case SQL_EXPR_IN: return has_aggregate(expr->in.operand) || has_aggregate_in(&expr->in.list);
    case SQL_EXPR_CASE:
        for (unsigned i = 0; i < expr->cases.whens.count; i++) {
            if (has_aggregate(expr->cases.whens.items[i].condition) ||
                has_aggregate(expr->cases.whens.items[i].result)) {
                return true;
            }
        }
        return has_aggregate(expr->cases.operand) || has_aggregate(expr->cases.otherwise);
    case SQL_EXPR_CAST: return has_aggregate(expr->cast.operand);
    case SQL_EXPR_CALL: return call_is_aggregate(&expr->call) || has_aggregate_in(&expr->call.args);
    case SQL_EXPR_FIELD: return has_aggregate(expr->field.operand);
    case SQL_EXPR_ARRAY:
    case SQL_EXPR_MAP:
    case SQL_EXPR_ROW: return has_aggregate_in(&expr->list);
    default: return false;
    }
}

/* Flink's result types. */
sabot_status aggregate_type(enum aggregate_kind kind, const struct sql_expr *expr, const struct expr *argument,
                                   bool may_be_empty, struct type *out, struct sabot_error *err) {
    if (kind == AGGREGATE_COUNT || kind == AGGREGATE_COUNT_STAR) {
        *out = type_not_null(type_of(TYPE_INT64));
        return SABOT_OK;
    }
    struct type type = argument->type;
    const bool numeric = type_is_numeric(type);
    if ((kind == AGGREGATE_SUM || kind == AGGREGATE_AVG) && !numeric) {
        char text[160];
        type_print(type, text, sizeof text);
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s takes numbers, not %s", name_of(&expr->call), text);
    }
    if (type.kind == TYPE_ROW || type.kind == TYPE_ARRAY || type.kind == TYPE_MAP || type.kind == TYPE_NULL) {
        char text[160];
        type_print(type, text, sizeof text);
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s can't be taken of %s", name_of(&expr->call), text);
    }
    if (type.kind == TYPE_DECIMAL && kind == AGGREGATE_SUM) { type = type_decimal(38, type.scale); }
    if (type.kind == TYPE_DECIMAL && kind == AGGREGATE_AVG) {
        type = type_decimal(38, type.scale > 6 ? type.scale : 6);
    }
    type.nullable = argument->type.nullable || may_be_empty;
    *out = type;
    return SABOT_OK;
}

sabot_status bind_pending(const struct expr_scope *in, struct pending_call pending, struct sql_span span,
                          struct expr **out, struct sabot_error *err) {
    struct grouping *grouping = in->grouping;
    int32_t at = 0;
    for (; at < grouping->n_calls; at++) {
        const struct pending_call *other = &grouping->calls[at];
        if (other->kind == pending.kind && other->distinct == pending.distinct &&
            string_view_equal(&other->separator, &pending.separator) && other->ignores_nulls == pending.ignores_nulls &&
            !other->argument == !pending.argument && !other->filter == !pending.filter &&
            (!pending.argument || expr_equal(other->argument, pending.argument)) &&
            (!pending.filter || expr_equal(other->filter, pending.filter))) {
            break;
        }
    }
    if (at == grouping->n_calls) {
        grouping->calls = arena_grow(arena_of(in), grouping->calls, (size_t)grouping->n_calls,
                                     sizeof *grouping->calls, &grouping->calls_capacity);
        if (!grouping->calls) { return PLAN_NO_MEMORY(err); }
        grouping->calls[grouping->n_calls++] = pending;
    }
    struct type type = grouping->calls[at].type;
    type.nullable = type.nullable || grouping->may_be_absent;
    SABOT_TRY(expr_column(arena_of(in), grouping->n_input + at, type, span_of(span), out, err));
    if (grouping->calls[at].type.nullable || !grouping->may_be_absent) { return SABOT_OK; }
    struct expr *either[2] = {*out, NULL}; /* COUNT */
    SABOT_TRY(expr_literal(arena_of(in), grouping->calls[at].type, &(int64_t){0}, span_of(span), &either[1], err));
    return expr_call(arena_of(in), "COALESCE", either, 2, span_of(span), out, err);
}

/* LISTAGG (string, separator), ARRAY_AGG (value). */
static sabot_status bind_list_aggregate(const struct expr_scope *in, const struct sql_expr *expr,
                                        struct pending_call *pending, struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    const struct type type = pending->argument->type;
    char text[160];
    type_print(type, text, sizeof text);
    pending->ignores_nulls = of->ignore_nulls;
    if (pending->kind == AGGREGATE_ARRAY_AGG) {
        struct field *element = ARENA_NEW(arena_of(in), struct field);
        if (!element) { return PLAN_NO_MEMORY(err); }
        if (type.kind == TYPE_ROW || type.kind == TYPE_ARRAY || type.kind == TYPE_MAP || type.kind == TYPE_NULL) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "ARRAY_AGG of %s can't run yet", text);
        }
        if (pending->distinct && type.nullable && !of->ignore_nulls) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "ARRAY_AGG(DISTINCT ..) of values that may be NULL "
                            "needs IGNORE NULLS");
        }
        *element = (struct field){.name = "element", .type = type};
        pending->type = type_of(TYPE_ARRAY);
        pending->type.fields = element;
        pending->type.n_fields = 1;
        return SABOT_OK;
    }
    pending->type = type_of(TYPE_STRING);
    if (type.kind != TYPE_STRING) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "LISTAGG takes strings, not %s: CAST it to STRING", text);
    }
    const void *value = NULL;
    struct expr *separator = NULL;
    if (of->args.count == 1) {
        pending->separator = string_view_of(",", 1);
        return SABOT_OK;
    }
    SABOT_TRY(bind_expr(in, of->args.items[1], &separator, err));
    if (separator->type.kind == TYPE_STRING && expr_is_constant(separator)) {
        SABOT_TRY(expr_evaluate_constant(arena_of(in), separator, &value, err));
    }
    if (!value) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, of->args.items[1]->span, "the separator of LISTAGG is a constant string");
    }
    memcpy(&pending->separator, value, sizeof pending->separator);
    return SABOT_OK;
}

static sabot_status check_place(const struct expr_scope *in, const struct sql_expr *aggregate,
                                struct sabot_error *err) {
    if (in->grouping && !in->in_aggregate) { return SABOT_OK; }
    return SQL_FAIL(err, SABOT_ERR_PLAN, aggregate->span, "%s is an aggregate, which can't stand in %s",
                    name_of(&aggregate->call), in->clause);
}

static sabot_status bind_aggregate(const struct expr_scope *in, const struct sql_expr *expr, enum aggregate_kind kind,
                                   struct expr **out, struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    if (in->in_aggregate) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "an aggregate can't stand inside of another aggregate");
    }
    SABOT_TRY(check_place(in, expr, err));
    if (of->args.count != 1 && !(kind == AGGREGATE_LISTAGG && of->args.count == 2)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s takes one argument, not %u%s", name_of(of), of->args.count,
                        of->args.count == 0 && kind == AGGREGATE_COUNT ? "; write COUNT(*)" : "");
    }
    if (of->order_by.count) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "ORDER BY in an aggregate can't run yet");
    }
    const struct expr_scope inner = argument_scope(in);
    /* exact: within what an approximation may answer */
    const bool approximate = strcasecmp(name_of(of), "APPROX_COUNT_DISTINCT") == 0;
    struct pending_call pending = {.kind = kind, .distinct = of->distinct || approximate};
    if (of->filter) { SABOT_TRY(bind_condition(&inner, of->filter, &pending.filter, err)); }
    if (of->args.items[0]->kind == SQL_EXPR_STAR) {
        if (kind != AGGREGATE_COUNT || of->distinct) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, of->args.items[0]->span, "* is for COUNT(*) only");
        }
        pending.kind = AGGREGATE_COUNT_STAR;
    } else {
        SABOT_TRY(bind_expr(&inner, of->args.items[0], &pending.argument, err));
        if (kind == AGGREGATE_COUNT && !of->distinct && !pending.argument->type.nullable) {
            pending.kind = AGGREGATE_COUNT_STAR; /* COUNT(1) */
            pending.argument = NULL;
        }
        const bool is_extreme = kind == AGGREGATE_MIN || kind == AGGREGATE_MAX || kind == AGGREGATE_FIRST_VALUE ||
                                kind == AGGREGATE_LAST_VALUE;
        if (is_extreme) { pending.distinct = false; }
    }
    if (kind == AGGREGATE_LISTAGG || kind == AGGREGATE_ARRAY_AGG) {
        SABOT_TRY(bind_list_aggregate(&inner, expr, &pending, err));
        return bind_pending(in, pending, expr->span, out, err);
    }
    SABOT_TRY(aggregate_type(pending.kind, expr, pending.argument, true, &pending.type, err));
    return bind_pending(in, pending, expr->span, out, err);
}

static sabot_status binary(const struct expr_scope *in, const char *name, struct expr *a, struct expr *b,
                           struct sql_span span, struct expr **out, struct sabot_error *err) {
    return call(in, name, (struct expr *[]){a, b}, 2, span, out, err);
}

/* VAR_POP(x) is (SUM(x * x) - SUM(x) * SUM(x) / n) / n in DOUBLE; VAR_SAMP divides by n - 1, and of one row is NULL. */
static sabot_status bind_deviation(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                   struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    const char *name = name_of(of);
    const bool is_root = strncasecmp(name, "STDDEV", 6) == 0;
    const bool is_sample = !(strlen(name) > 4 && strcasecmp(name + strlen(name) - 4, "_POP") == 0);
    const struct type real = type_not_null(type_of(TYPE_FLOAT64));
    SABOT_TRY(check_place(in, expr, err));
    if (of->args.count != 1 || of->distinct || of->order_by.count) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "%s takes one argument, without DISTINCT and ORDER BY",
                        name);
    }
    const struct expr_scope inner = argument_scope(in);
    struct pending_call sum = {.kind = AGGREGATE_SUM};
    if (of->filter) { SABOT_TRY(bind_condition(&inner, of->filter, &sum.filter, err)); }
    struct expr *value = NULL, *total = NULL, *squares = NULL, *count = NULL, *spread = NULL, *one = NULL, *zero = NULL;
    SABOT_TRY(bind_expr(&inner, of->args.items[0], &value, err));
    SABOT_TRY(aggregate_type(AGGREGATE_SUM, expr, value, true, &sum.type, err));
    struct type type = real;
    type.nullable = value->type.nullable;
    SABOT_TRY(expr_cast(arena_of(in), value, type, false, span_of(expr->span), &sum.argument, err));
    struct pending_call number = sum;
    number.kind = AGGREGATE_COUNT;
    number.type = type_not_null(type_of(TYPE_INT64));
    sum.type = type_nullable(real);
    struct pending_call square = sum;
    SABOT_TRY(binary(in, "*", sum.argument, sum.argument, expr->span, &square.argument, err));
    SABOT_TRY(bind_pending(in, sum, expr->span, &total, err));
    SABOT_TRY(bind_pending(in, square, expr->span, &squares, err));
    SABOT_TRY(bind_pending(in, number, expr->span, &count, err));
    SABOT_TRY(expr_cast(arena_of(in), count, real, false, span_of(expr->span), &count, err));
    SABOT_TRY(expr_literal(arena_of(in), real, &(double){1}, span_of(expr->span), &one, err));
    SABOT_TRY(expr_literal(arena_of(in), real, &(double){0}, span_of(expr->span), &zero, err));
    SABOT_TRY(binary(in, "*", total, total, expr->span, &spread, err));
    SABOT_TRY(binary(in, "/", spread, count, expr->span, &spread, err));
    SABOT_TRY(binary(in, "-", squares, spread, expr->span, &spread, err));
    /* rounding may leave less than nothing */
    SABOT_TRY(binary(in, "GREATEST", spread, zero, expr->span, &spread, err));
    if (is_sample) {
        SABOT_TRY(binary(in, "-", count, one, expr->span, &count, err));
        SABOT_TRY(binary(in, "NULLIF", count, zero, expr->span, &count, err));
    }
    SABOT_TRY(binary(in, "/", spread, count, expr->span, &spread, err));
    *out = spread;
    return is_root ? call(in, "SQRT", &spread, 1, expr->span, out, err) : SABOT_OK;
}

/* TUMBLE_START(ts, size) and so on: columns of the window that GROUP BY TUMBLE(ts, size) made. */
static sabot_status bind_window_property(const struct expr_scope *in, const struct sql_expr *expr, bool *is_one,
                                         struct expr **out, struct sabot_error *err) {
    static const char *const windows[] = {"TUMBLE", "HOP", "SESSION", NULL};
    static const char *const suffixes[] = {"START", "END", "ROWTIME", "PROCTIME", NULL};
    const char *name = name_of(&expr->call);
    const char *under = strrchr(name, '_');
    *is_one = false;
    if (!under || under == name || !is_any_of(under + 1, suffixes)) { return SABOT_OK; }
    size_t window = 0;
    while (windows[window] && (strlen(windows[window]) != (size_t)(under - name) ||
                               strncasecmp(windows[window], name, (size_t)(under - name)) != 0)) {
        window++;
    }
    if (!windows[window]) { return SABOT_OK; }
    *is_one = true;
    const struct group_window *group = in->grouping ? &in->grouping->window : NULL;
    if (!group || !group->is_set || in->in_aggregate ||
        strcasecmp(group->call->call.name.items[0].text, windows[window]) != 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s needs %s with the same arguments in GROUP BY", name,
                        windows[window]);
    }
    const struct sql_exprs *args = &expr->call.args;
    struct window_spec spec = {0};
    const struct sql_expr *intervals[2] = {NULL, NULL};
    if (args->count < 2 || args->count > 3 || args->items[0]->kind != SQL_EXPR_COLUMN) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s takes the arguments of %s in GROUP BY", name,
                        windows[window]);
    }
    for (unsigned i = 1; i < args->count; i++) {
        intervals[i - 1] = args->items[i];
    }
    const struct sql_path *path = &args->items[0]->path;
    SABOT_TRY(bind_window_call(in->binder, group->over, group->call, &path->items[path->count - 1], intervals,
                               (int32_t)args->count - 1, &spec, err));
    if (memcmp(&spec, &group->spec, sizeof spec) != 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s has other arguments than %s in GROUP BY", name,
                        windows[window]);
    }
    const int32_t column = strcasecmp(under + 1, "START") == 0 ? group->start
                           : strcasecmp(under + 1, "END") == 0 ? group->end
                                                               : group->time;
    return plan_column_ref(in->binder->plans, in->scope->plan, column, span_of(expr->span), out, err);
}

static sabot_status refuse_clauses(const struct expr_scope *in, const struct sql_expr *expr, struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    const char *name = name_of(of);
    (void)in;
    if (of->over) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "%s(..) OVER (..) can't run here: it stands in a "
                        "select list or in QUALIFY, without GROUP BY beside it", name);
    }
    if (is_any_of(name, over_only)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s needs OVER (..)", name);
    }
    if (is_any_of(name, aggregates_to_come)) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "aggregate %s can't run yet", name);
    }
    return SABOT_OK;
}

static sabot_status bind_scalar_call(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                     struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    const char *name = name_of(of);
    const struct catalog_function *user = catalog_function_find(in->binder->catalog, name);
    if (of->distinct || of->filter || of->order_by.count || of->ignore_nulls || of->respect_nulls) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "DISTINCT, FILTER and ORDER BY are for aggregates; %s is none",
                        name);
    }
    if (user && user->process) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s is a process function: it stands in FROM, as %s(input => "
                        "TABLE t ..)", name, name);
    }
    struct expr **args = NULL;
    SABOT_TRY(bind_list(in, &of->args, &args, err));
    if (user) {
        return expr_call_function(arena_of(in), user->function, args, (int32_t)of->args.count, span_of(expr->span), out,
                                  err);
    }
    return call(in, name, args, (int32_t)of->args.count, expr->span, out, err);
}

static sabot_status bind_call(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                              struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    enum aggregate_kind kind = 0;
    bool is_property = false;
    for (int32_t i = 0; of->over && in->scope && i < in->scope->n_overs; i++) {
        if (in->scope->overs[i].call != expr) { continue; }
        return plan_column_ref(in->binder->plans, in->scope->plan, in->scope->overs[i].column, span_of(expr->span), out,
                               err);
    }
    SABOT_TRY(refuse_clauses(in, expr, err));
    const bool is_user = catalog_function_find(in->binder->catalog, name_of(of)) != NULL;
    if (!is_user && of->name.count == 1 && aggregate_kind_of(name_of(of), &kind)) {
        return bind_aggregate(in, expr, kind, out, err);
    }
    if (!is_user && of->name.count == 1 && is_any_of(name_of(of), deviations)) {
        return bind_deviation(in, expr, out, err);
    }
    if (!is_user && of->name.count == 1 && is_any_of(name_of(of), json_aggregates)) {
        SABOT_TRY(check_place(in, expr, err));
        return bind_json_aggregate(in, expr, out, err);
    }
    if (!is_user && of->name.count == 1 && is_any_of(name_of(of), grouping_functions)) {
        return bind_grouping_function(in, expr, out, err);
    }
    SABOT_TRY(bind_window_property(in, expr, &is_property, out, err));
    if (is_property) { return SABOT_OK; }
    enum window_kind window = 0;
    if (!is_user && window_kind_of(name_of(of), &window)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span,
                        "%s makes windows: it stands in FROM or in GROUP BY, not in %s", name_of(of), in->clause);
    }
    static const char *const json_paths[] = {"JSON_VALUE", "JSON_QUERY", "JSON_EXISTS", NULL};
    static const char *const json_entries[] = {"JSON_OBJECT", "JSON_ARRAY", NULL};
    if (!is_user && is_any_of(name_of(of), json_entries)) { return bind_json_entries_call(in, expr, out, err); }
    if (!is_user && is_any_of(name_of(of), json_paths)) { return bind_json_path_call(in, expr, out, err); }
    if (of->json) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s takes no clauses of JSON functions", name_of(of));
    }
    return bind_scalar_call(in, expr, out, err);
}

static sabot_status bind_constructor(const struct expr_scope *in, const char *name, const struct sql_expr *expr,
                                     struct expr **out, struct sabot_error *err) {
    struct expr **args = NULL;
    SABOT_TRY(bind_list(in, &expr->list, &args, err));
    return call(in, name, args, (int32_t)expr->list.count, expr->span, out, err);
}

static sabot_status bind_any(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                             struct sabot_error *err) {
    const struct source_span span = span_of(expr->span);
    switch (expr->kind) {
    case SQL_EXPR_NULL: return null_literal(in, expr->span, out, err);
    case SQL_EXPR_BOOL: {
        const uint8_t value = expr->boolean;
        return expr_literal(arena_of(in), type_not_null(type_of(TYPE_BOOL)), &value, span, out, err);
    }
    case SQL_EXPR_INTEGER: return bind_integer(in, expr, false, out, err);
    case SQL_EXPR_DECIMAL: return bind_decimal(in, expr, false, out, err);
    case SQL_EXPR_DOUBLE: return bind_double(in, expr, false, out, err);
    case SQL_EXPR_STRING: return string_literal(arena_of(in), expr->text, expr->text_size, span, out, err);
    case SQL_EXPR_BYTES: return bind_bytes(in, expr, out, err);
    case SQL_EXPR_DATE: return bind_time_literal(in, expr, type_of(TYPE_DATE), "date", out, err);
    case SQL_EXPR_TIME: return bind_time_literal(in, expr, type_of(TYPE_TIME), "time", out, err);
    case SQL_EXPR_TIMESTAMP:
        return bind_time_literal(in, expr, timestamp_literal_type(expr->text), "timestamp", out, err);
    case SQL_EXPR_INTERVAL: return bind_interval(in, expr, out, err);
    case SQL_EXPR_COLUMN: return bind_path(in, expr, out, err);
    case SQL_EXPR_STAR:
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "* can stand in a select list and in COUNT(*) only");
    case SQL_EXPR_UNARY: return bind_unary(in, expr, out, err);
    case SQL_EXPR_BINARY: {
        struct expr *args[2] = {NULL, NULL};
        SABOT_TRY(bind_expr(in, expr->binary.left, &args[0], err));
        SABOT_TRY(bind_expr(in, expr->binary.right, &args[1], err));
        return call(in, sql_op_name(expr->binary.op), args, 2, expr->span, out, err);
    }
    case SQL_EXPR_LOGIC: {
        struct expr **args = NULL;
        SABOT_TRY(bind_list(in, &expr->logic.operands, &args, err));
        return call(in, sql_op_name(expr->logic.op), args, (int32_t)expr->logic.operands.count, expr->span, out, err);
    }
    case SQL_EXPR_IS: return bind_is_expr(in, expr, out, err);
    case SQL_EXPR_LIKE: return bind_like_expr(in, expr, out, err);
    case SQL_EXPR_BETWEEN: return bind_between_expr(in, expr, out, err);
    case SQL_EXPR_IN: return bind_in_expr(in, expr, out, err);
    case SQL_EXPR_QUANTIFIED: return no_subquery(expr, "a comparison with ANY or ALL of a subquery", err);
    case SQL_EXPR_EXISTS: return bind_subquery_value(in, expr, "EXISTS (SELECT ..)", out, err);
    case SQL_EXPR_SUBQUERY: return bind_subquery_value(in, expr, "a subquery as a value", out, err);
    case SQL_EXPR_ARRAY_QUERY: return no_subquery(expr, "ARRAY (SELECT ..)", err);
    case SQL_EXPR_CASE: return bind_case(in, expr, out, err);
    case SQL_EXPR_CAST: return bind_cast(in, expr, out, err);
    case SQL_EXPR_CALL: return bind_call(in, expr, out, err);
    case SQL_EXPR_FIELD: {
        struct expr *row = NULL;
        SABOT_TRY(bind_expr(in, expr->field.operand, &row, err));
        return bind_field(in, row, &expr->field.name, out, err);
    }
    case SQL_EXPR_INDEX: {
        struct expr *args[2] = {NULL, NULL};
        SABOT_TRY(bind_expr(in, expr->binary.left, &args[0], err));
        SABOT_TRY(bind_expr(in, expr->binary.right, &args[1], err));
        return call(in, "[]", args, 2, expr->span, out, err);
    }
    case SQL_EXPR_ARRAY: return bind_constructor(in, "ARRAY", expr, out, err);
    case SQL_EXPR_MAP: return bind_constructor(in, "MAP", expr, out, err);
    case SQL_EXPR_ROW: return bind_constructor(in, "ROW", expr, out, err);
    case SQL_EXPR_SYMBOL: {
        const char *word =
            expr->symbol.unit == SQL_UNIT_NONE ? expr->symbol.word : sql_unit_name(expr->symbol.unit);
        return string_literal(arena_of(in), word, (uint32_t)strlen(word), span, out, err);
    }
    case SQL_EXPR_NAMED_ARG:
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "named arguments can be used in window functions only");
    case SQL_EXPR_TABLE_ARG:
    case SQL_EXPR_DESCRIPTOR:
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span,
                        "TABLE and DESCRIPTOR are arguments of window functions in FROM");
    case SQL_EXPR_DEFAULT:
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "DEFAULT as an argument can't be used yet");
    }
    return SQL_FAIL(err, SABOT_ERR_INTERNAL, expr->span, "an expression of kind %d is not known", (int)expr->kind);
}

/* The key of grouping sets that an expression is; *out stays NULL: it is none. A key is NULL in the rows of some sets:
 * what is made of it must know, so its column is put in its place before that is bound. */
static void find_set_key(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out) {
    const struct grouping_sets *sets = &in->grouping->sets;
    struct expr_scope plain = *in;
    struct sabot_error none = {0};
    struct expr *bound = NULL;
    plain.grouping = NULL;
    *out = NULL;
    if (has_aggregate(expr) || bind_any(&plain, expr, &bound, &none) != SABOT_OK) { return; }
    for (int32_t i = 0; i < sets->written.n && !*out; i++) {
        if (expr_equal(sets->written.exprs[i], bound)) { *out = sets->keys[i]; }
    }
}

sabot_status bind_expr(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                       struct sabot_error *err) {
    if (in->grouping && in->grouping->sets.id && !in->in_aggregate) {
        find_set_key(in, expr, out);
        if (*out) { return SABOT_OK; }
    }
    return bind_any(in, expr, out, err);
}

sabot_status bind_condition(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                            struct sabot_error *err) {
    SABOT_TRY(bind_expr(in, expr, out, err));
    if ((*out)->type.kind == TYPE_BOOL) { return SABOT_OK; }
    if ((*out)->type.kind == TYPE_NULL) {
        return expr_cast(arena_of(in), *out, type_of(TYPE_BOOL), false, span_of(expr->span), out, err);
    }
    char text[160];
    type_print((*out)->type, text, sizeof text);
    return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "a condition must be BOOLEAN, this is %s", text);
}
