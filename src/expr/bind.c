/* Type rules: which types go together, what may be cast, and the special forms. */
#include "expr/cast.h"
#include "expr/decimal.h"
#include "expr/expr.h"
#include "expr/function.h"

/* --- common types */
static int integer_digits(struct type type) {
    return type.kind == TYPE_INT8 ? 3 : type.kind == TYPE_INT16 ? 5 : type.kind == TYPE_INT32 ? 10 : 19;
}

struct type type_as_decimal(struct type type) {
    if (!type_is_integer(type)) { return type; }
    struct type decimal = type_decimal(integer_digits(type), 0);
    decimal.nullable = type.nullable;
    return decimal;
}

static bool is_float(struct type type) { return type.kind == TYPE_FLOAT32 || type.kind == TYPE_FLOAT64; }
static bool is_timestamp(struct type type) { return type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ; }

static bool common_numeric(struct type a, struct type b, struct type *out) {
    if (is_float(a) || is_float(b)) {
        /* FLOAT with an integer stays FLOAT; with DECIMAL or DOUBLE it is DOUBLE */
        const bool single = a.kind != TYPE_FLOAT64 && b.kind != TYPE_FLOAT64 && a.kind != TYPE_DECIMAL &&
                            b.kind != TYPE_DECIMAL;
        *out = type_of(single ? TYPE_FLOAT32 : TYPE_FLOAT64);
        return true;
    }
    if (type_is_integer(a) && type_is_integer(b)) {
        *out = a.kind > b.kind ? a : b;
        return true;
    }
    const struct type x = type_as_decimal(a), y = type_as_decimal(b);
    const int scale = x.scale > y.scale ? x.scale : y.scale;
    const int whole_x = x.precision - x.scale, whole_y = y.precision - y.scale;
    *out = decimal_adjusted((whole_x > whole_y ? whole_x : whole_y) + scale, scale);
    return true;
}

static bool common_of_two(struct type a, struct type b, struct type *out);

/* ARRAY, MAP, ROW of the same shape: field by field. Only equal field types are joined here, but for nullability. */
static bool common_nested(struct type a, struct type b, struct type *out) {
    if (a.n_fields != b.n_fields) { return false; }
    for (int32_t i = 0; i < a.n_fields; i++) {
        if (!type_same(a.fields[i].type, b.fields[i].type)) { return false; }
        if (b.fields[i].type.nullable && !a.fields[i].type.nullable) {
            *out = b;
            return true;
        }
    }
    *out = a;
    return true;
}

static bool common_of_two(struct type a, struct type b, struct type *out) {
    if (a.kind == TYPE_NULL || b.kind == TYPE_NULL) {
        *out = a.kind == TYPE_NULL ? b : a;
        return true;
    }
    if (type_same(a, b)) {
        *out = a.nullable ? a : b;
        return true;
    }
    if (type_is_numeric(a) && type_is_numeric(b)) { return common_numeric(a, b, out); }
    if (a.kind == b.kind && (a.kind == TYPE_STRING || a.kind == TYPE_BINARY)) {
        *out = a.length >= b.length ? a : b; /* of different lengths: VARCHAR */
        out->fixed_length = false;
        return true;
    }
    if (is_timestamp(a) && is_timestamp(b)) {
        *out = type_timestamp(a.precision > b.precision ? a.precision : b.precision);
        if (a.kind == TYPE_TIMESTAMP_LTZ || b.kind == TYPE_TIMESTAMP_LTZ) { out->kind = TYPE_TIMESTAMP_LTZ; }
        return true;
    }
    if (a.kind == TYPE_DATE && is_timestamp(b)) {
        *out = b;
        return true;
    }
    if (b.kind == TYPE_DATE && is_timestamp(a)) {
        *out = a;
        return true;
    }
    if (a.kind == TYPE_TIME && b.kind == TYPE_TIME) {
        *out = a.precision > b.precision ? a : b;
        return true;
    }
    if (a.kind == b.kind && (a.kind == TYPE_ARRAY || a.kind == TYPE_MAP || a.kind == TYPE_ROW)) {
        return common_nested(a, b, out);
    }
    return false;
}

sabot_status type_common(const struct type *types, int32_t n_types, struct type *out, struct sabot_error *err) {
    struct type common = type_of(TYPE_NULL);
    bool nullable = false;
    for (int32_t i = 0; i < n_types; i++) {
        struct type next;
        if (!common_of_two(common, types[i], &next)) {
            char a[160], b[160];
            type_print(type_nullable(common), a, sizeof a);
            type_print(type_nullable(types[i]), b, sizeof b);
            return SABOT_FAIL(err, SABOT_ERR_PLAN, "%s and %s have no common type: cast one of them", a, b);
        }
        common = next;
        nullable = nullable || types[i].nullable || types[i].kind == TYPE_NULL;
    }
    common.nullable = nullable;
    *out = common;
    return SABOT_OK;
}

bool type_can_cast_implicitly(struct type from, struct type to) {
    if (from.kind == TYPE_NULL || type_same(from, to)) { return true; }
    if (type_is_numeric(from) && type_is_numeric(to)) {
        if (to.kind == TYPE_FLOAT64) { return true; }
        if (to.kind == TYPE_FLOAT32) { return from.kind != TYPE_FLOAT64; }
        if (is_float(from)) { return false; }
        if (to.kind == TYPE_DECIMAL) { return true; }
        return type_is_integer(from) && from.kind <= to.kind;
    }
    if (from.kind == to.kind) {
        switch ((enum type_kind)from.kind) {
        case TYPE_STRING:
        case TYPE_BINARY:
        case TYPE_TIME:
        case TYPE_TIMESTAMP:
        case TYPE_TIMESTAMP_LTZ: return true;
        case TYPE_ARRAY:
        case TYPE_MAP:
        case TYPE_ROW:
            if (from.n_fields != to.n_fields) { return false; }
            for (int32_t i = 0; i < from.n_fields; i++) {
                if (!type_can_cast_implicitly(from.fields[i].type, to.fields[i].type)) { return false; }
            }
            return true;
        default: return false;
        }
    }
    if (is_timestamp(from) && is_timestamp(to)) { return true; }
    return from.kind == TYPE_DATE && is_timestamp(to);
}

/* --- casts */
/* A number that does not fit a DECIMAL becomes NULL, as in Flink. */
static bool may_not_fit(struct type from, struct type to) {
    if (to.kind != TYPE_DECIMAL) { return false; }
    const struct type exact = type_as_decimal(from);
    return exact.kind != TYPE_DECIMAL || exact.scale > to.scale ||
           exact.precision - exact.scale > to.precision - to.scale;
}

sabot_status expr_cast(struct arena *arena, struct expr *from, struct type to, bool try_cast, struct source_span span,
                       struct expr **out, struct sabot_error *err) {
    to.nullable = from->type.nullable || from->type.kind == TYPE_NULL;
    *out = from;
    if (type_same(from->type, to)) {
        if (!try_cast || from->type.nullable) { return SABOT_OK; }
    }
    if (from->kind == EXPR_LITERAL && !from->value) { return expr_literal(arena, to, NULL, span, out, err); }
    function_kernel kernel;
    uint32_t flags = 0;
    void *bound = NULL;
    if (!cast_find(arena, from->type, to, &kernel, &flags, &bound)) {
        char a[160], b[160];
        type_print(type_nullable(from->type), a, sizeof a);
        type_print(type_nullable(to), b, sizeof b);
        return EXPR_FAIL(err, SABOT_ERR_PLAN, span, "%s can't be cast to %s", a, b);
    }
    struct expr *expr = ARENA_NEW(arena, struct expr);
    struct expr **args = arena_alloc(arena, sizeof *args);
    if (!expr || !args) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, span, "the query is too big"); }
    args[0] = from;
    *expr = (struct expr){
        .kind = EXPR_CAST,
        .type = to,
        .span = span,
        .try_cast = try_cast,
        .kernel = kernel,
        .flags = flags,
        .bound = bound,
        .n_args = 1,
        .args = args,
    };
    expr->type.nullable = to.nullable || try_cast || may_not_fit(from->type, to);
    *out = expr;
    return SABOT_OK;
}

/* --- CASE, AND, OR */
static sabot_status expect_condition(const char *where, struct arena *arena, struct expr **arg,
                                     struct sabot_error *err) {
    if ((*arg)->type.kind == TYPE_BOOL) { return SABOT_OK; }
    if ((*arg)->type.kind == TYPE_NULL) {
        return expr_cast(arena, *arg, type_of(TYPE_BOOL), false, (*arg)->span, arg, err);
    }
    char type[160];
    type_print(type_nullable((*arg)->type), type, sizeof type);
    return EXPR_FAIL(err, SABOT_ERR_PLAN, (*arg)->span, "%s takes a BOOLEAN condition, this is %s", where, type);
}

sabot_status expr_case(struct arena *arena, struct expr *const *args, int32_t n_args, struct source_span span,
                       struct expr **out, struct sabot_error *err) {
    /* without ELSE it is NULL */
    const int32_t n = n_args % 2 ? n_args : n_args + 1;
    struct expr **all = arena_alloc(arena, (size_t)n * sizeof *all);
    struct type *types = arena_alloc(arena, (size_t)n * sizeof *types);
    struct expr *expr = ARENA_NEW(arena, struct expr);
    if (!all || !types || !expr) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, span, "the query is too big"); }
    for (int32_t i = 0; i < n_args; i++) { all[i] = args[i]; }
    if (n > n_args) { SABOT_TRY(expr_literal(arena, type_of(TYPE_NULL), NULL, span, &all[n - 1], err)); }
    int32_t n_types = 0;
    for (int32_t i = 0; i < n; i++) {
        if (i % 2 == 0 && i + 1 < n) {
            SABOT_TRY(expect_condition("CASE WHEN", arena, &all[i], err));
        } else {
            types[n_types++] = all[i]->type;
        }
    }
    struct type common;
    const sabot_status status = type_common(types, n_types, &common, err);
    if (status != SABOT_OK) {
        error_context(err, "the results of CASE");
        return expr_fail_at(status, err, span);
    }
    for (int32_t i = 1; i < n; i += i + 2 < n ? 2 : 1) { /* each THEN, at last the ELSE */
        SABOT_TRY(expr_cast(arena, all[i], common, false, all[i]->span, &all[i], err));
    }
    common.nullable = all[n - 1]->type.nullable;
    for (int32_t i = 1; i < n; i += 2) { common.nullable = common.nullable || all[i]->type.nullable; }
    *expr = (struct expr){.kind = EXPR_CASE, .type = common, .span = span, .n_args = n, .args = all};
    *out = expr;
    return SABOT_OK;
}

/* a AND (b AND c) becomes one AND of three. */
sabot_status bind_and_or(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    const enum expr_kind kind = function->name[0] == 'A' ? EXPR_AND : EXPR_OR;
    int32_t n = 0;
    for (int32_t i = 0; i < binding->n_args; i++) {
        SABOT_TRY(expect_condition(function->name, binding->arena, &binding->args[i], err));
        n += binding->args[i]->kind == kind ? binding->args[i]->n_args : 1;
    }
    struct expr *expr = ARENA_NEW(binding->arena, struct expr);
    struct expr **args = arena_alloc(binding->arena, (size_t)n * sizeof *args);
    if (!expr || !args) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    struct type type = type_not_null(type_of(TYPE_BOOL));
    n = 0;
    for (int32_t i = 0; i < binding->n_args; i++) {
        struct expr *arg = binding->args[i];
        type.nullable = type.nullable || arg->type.nullable;
        if (arg->kind != kind) {
            args[n++] = arg;
            continue;
        }
        for (int32_t k = 0; k < arg->n_args; k++) { args[n++] = arg->args[k]; }
    }
    *expr = (struct expr){.kind = kind, .type = type, .span = binding->span, .n_args = n, .args = args};
    binding->replacement = expr;
    return SABOT_OK;
}
