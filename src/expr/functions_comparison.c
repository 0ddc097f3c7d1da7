/* = <> < <= > >=, IS DISTINCT FROM, BETWEEN, IN. LIKE is in functions_like.c. */
#include <math.h>
#include <stdlib.h>

#include "expr/decimal.h"
#include "expr/kernel.h"

enum order { ORDER_EQ, ORDER_NE, ORDER_LT, ORDER_LE, ORDER_GT, ORDER_GE };

static enum order order_of(const char *name) {
    if (name[0] == '=') { return ORDER_EQ; }
    if (name[0] == '<') { return name[1] == '>' ? ORDER_NE : name[1] == '=' ? ORDER_LE : ORDER_LT; }
    return name[1] == '=' ? ORDER_GE : ORDER_GT;
}
static enum order order_swapped(enum order order) {
    static const enum order swapped[] = {ORDER_EQ, ORDER_NE, ORDER_GT, ORDER_GE, ORDER_LT, ORDER_LE};
    return swapped[order];
}
static inline bool order_holds(enum order order, int sign) {
    switch (order) {
    case ORDER_EQ: return sign == 0;
    case ORDER_NE: return sign != 0;
    case ORDER_LT: return sign < 0;
    case ORDER_LE: return sign <= 0;
    case ORDER_GT: return sign > 0;
    case ORDER_GE: return sign >= 0;
    }
    return false;
}

/* One loop for each operator and for a constant on the right; a constant on the left is turned around before. */
#define COMPARE_OP(type, op)                                                                                           \
    if (b->constant) {                                                                                                 \
        const type right = y[0];                                                                                       \
        KERNEL_FOR(rows, n, row, target[row] = x[row] op right);                                                       \
    } else {                                                                                                           \
        KERNEL_FOR(rows, n, row, target[row] = x[row] op y[row]);                                                      \
    }                                                                                                                  \
    return;
#define COMPARE_FUNCTION(name, type)                                                                                   \
    static void name(const struct column *a, const struct column *b, enum order order, const int32_t *rows, int32_t n, \
                     uint8_t *restrict target) {                                                                       \
        const type *x = a->values, *y = b->values;                                                                     \
        switch (order) {                                                                                               \
        case ORDER_EQ: COMPARE_OP(type, ==)                                                                            \
        case ORDER_NE: COMPARE_OP(type, !=)                                                                            \
        case ORDER_LT: COMPARE_OP(type, <)                                                                             \
        case ORDER_LE: COMPARE_OP(type, <=)                                                                            \
        case ORDER_GT: COMPARE_OP(type, >)                                                                             \
        case ORDER_GE: COMPARE_OP(type, >=)                                                                            \
        }                                                                                                              \
    }
COMPARE_FUNCTION(compare_u8, uint8_t)
COMPARE_FUNCTION(compare_i8, int8_t)
COMPARE_FUNCTION(compare_i16, int16_t)
COMPARE_FUNCTION(compare_i32, int32_t)
COMPARE_FUNCTION(compare_i64, int64_t)
COMPARE_FUNCTION(compare_i128, __int128)
COMPARE_FUNCTION(compare_f32, float)
COMPARE_FUNCTION(compare_f64, double)

static inline __int128 wide_value(const struct column *column, int64_t row) {
    const int64_t at = column_at(column, row);
    return column->phys == PHYS_I64 ? ((const int64_t *)column->values)[at] : ((const __int128 *)column->values)[at];
}

/* The constant is brought to the column's scale once; where it does not fit there, its sign decides for every row. */
static void compare_with_constant(const struct column *a, __int128 constant, int raise, enum order order,
                                  const int32_t *rows, int32_t n, uint8_t *target) {
    __int128 wide;
    const bool too_big = __builtin_mul_overflow(constant, power_of_10(raise), &wide);
    if (too_big || (a->phys == PHYS_I64 && wide != (int64_t)wide)) {
        const uint8_t answer = order_holds(order, constant > 0 ? -1 : 1);
        KERNEL_FOR(rows, n, row, target[row] = answer);
        return;
    }
    const int64_t narrow = (int64_t)wide;
    const struct column scaled = {.phys = a->phys, .constant = true, .length = 1,
                                  .values = a->phys == PHYS_I64 ? (const void *)&narrow : (const void *)&wide};
    if (a->phys == PHYS_I64) {
        compare_i64(a, &scaled, order, rows, n, target);
    } else {
        compare_i128(a, &scaled, order, rows, n, target);
    }
}

static sabot_status compare_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const struct column *a = call->args[0], *b = call->args[1];
    struct type type = call->expr->args[0]->type, other = call->expr->args[1]->type;
    enum order order = order_of(call->expr->function->name);
    uint8_t *target = call->result->values;
    if (a->constant && !b->constant) {
        const struct column *column = a;
        const struct type swapped = type;
        a = b;
        b = column;
        type = other;
        other = swapped;
        order = order_swapped(order);
    }
    int32_t n;
    const int32_t *rows = kernel_rows_dense(call, &n);
    if (type.kind == TYPE_DECIMAL && (type.scale != other.scale || a->phys != b->phys)) {
        if (b->constant && !a->constant && other.scale <= type.scale) {
            compare_with_constant(a, wide_value(b, 0), type.scale - other.scale, order, rows, n, target);
            return SABOT_OK;
        }
        KERNEL_FOR(rows, n, row,
                   target[row] = order_holds(order, decimal_compare(wide_value(a, row), type.scale, wide_value(b, row),
                                                                    other.scale)));
        return SABOT_OK;
    }
    switch ((enum phys)a->phys) {
    case PHYS_BOOL: compare_u8(a, b, order, rows, n, target); break;
    case PHYS_I8: compare_i8(a, b, order, rows, n, target); break;
    case PHYS_I16: compare_i16(a, b, order, rows, n, target); break;
    case PHYS_I32: compare_i32(a, b, order, rows, n, target); break;
    case PHYS_I64: compare_i64(a, b, order, rows, n, target); break;
    case PHYS_I128: compare_i128(a, b, order, rows, n, target); break;
    case PHYS_F32: compare_f32(a, b, order, rows, n, target); break;
    case PHYS_F64: compare_f64(a, b, order, rows, n, target); break;
    default: return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "columns of layout %d are compared", a->phys);
    }
    return SABOT_OK;
}

/* A view of at most 12 bytes as two words: equal words are equal strings, and nothing is followed. */
struct view_words {
    uint64_t head, rest;
};
static inline struct view_words words_of(const struct string_view *view) {
    struct view_words words;
    memcpy(&words, view, sizeof words);
    return words;
}

static void equal_short(const struct kernel_call *call, const struct string_view *views,
                        const struct string_view *constant, uint8_t when_equal) {
    const struct view_words wanted = words_of(constant);
    uint8_t *target = call->result->values;
    int32_t n;
    const int32_t *rows = kernel_rows_dense(call, &n);
    KERNEL_FOR(rows, n, row, {
        const struct view_words words = words_of(&views[row]);
        target[row] = (((words.head ^ wanted.head) | (words.rest ^ wanted.rest)) == 0) == when_equal;
    });
}

/* Strings and nested values: only rows that are not NULL (views under a NULL must not be followed). */
static sabot_status compare_views_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const enum order order = order_of(call->expr->function->name);
    uint8_t *target = call->result->values;
    if (order == ORDER_EQ || order == ORDER_NE) {
        const uint8_t when_equal = order == ORDER_EQ;
        for (int32_t a = 0; a < 2; a++) {
            const struct string_view *constant = call->args[a]->values;
            if (!call->args[a]->constant || call->args[1 - a]->constant || constant->size > STRING_VIEW_INLINE) {
                continue;
            }
            equal_short(call, call->args[1 - a]->values, constant, when_equal);
            return SABOT_OK;
        }
        for (int32_t i = 0; i < call->n_rows; i++) {
            const int32_t row = kernel_row(call, i);
            target[row] = string_view_equal(kernel_string(call, 0, row), kernel_string(call, 1, row)) == when_equal;
        }
        return SABOT_OK;
    }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        target[row] =
            order_holds(order, string_view_compare(kernel_string(call, 0, row), kernel_string(call, 1, row)));
    }
    return SABOT_OK;
}

static sabot_status compare_nested_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const enum order order = order_of(call->expr->function->name);
    uint8_t *target = call->result->values;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        target[row] = order_holds(
            order, column_compare(call->args[0], row, call->args[1], row, call->expr->args[0]->type));
    }
    return SABOT_OK;
}

static bool is_temporal(struct type type) { return type.kind >= TYPE_DATE && type.kind <= TYPE_TIMESTAMP_LTZ; }

/* Brings two arguments to types that can be compared. Decimals of different scale are left: the kernel takes them. */
static sabot_status make_comparable(const struct function *function, struct function_binding *binding, int32_t a,
                                    int32_t b, struct sabot_error *err) {
    const struct type x = binding->args[a]->type, y = binding->args[b]->type;
    if (x.kind == TYPE_DECIMAL || y.kind == TYPE_DECIMAL) {
        const bool exact =
            (x.kind == TYPE_DECIMAL || type_is_integer(x)) && (y.kind == TYPE_DECIMAL || type_is_integer(y));
        if (exact) {
            SABOT_TRY(binding_cast(binding, a, type_as_decimal(x), err));
            return binding_cast(binding, b, type_as_decimal(y), err);
        }
    }
    /* a text is compared with a time as that time */
    if (x.kind == TYPE_STRING && is_temporal(y)) { return binding_cast(binding, a, y, err); }
    if (y.kind == TYPE_STRING && is_temporal(x)) { return binding_cast(binding, b, x, err); }
    struct type common;
    if (type_common((const struct type[]){x, y}, 2, &common, NULL) != SABOT_OK) {
        return binding_refuse(function, binding, err);
    }
    if (common.kind == TYPE_STRING || common.kind == TYPE_BINARY) { return SABOT_OK; } /* lengths do not matter */
    SABOT_TRY(binding_cast(binding, a, common, err));
    return binding_cast(binding, b, common, err);
}

sabot_status bind_compare(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    SABOT_TRY(make_comparable(function, binding, 0, 1, err));
    binding->result.kind = TYPE_BOOL;
    const enum phys phys = type_phys(binding->args[0]->type);
    binding->kernel = compare_kernel;
    if (phys == PHYS_VIEW || phys == PHYS_LIST || phys == PHYS_ROW) {
        binding->kernel = phys == PHYS_VIEW ? compare_views_kernel : compare_nested_kernel;
        binding->flags &= ~FUNCTION_DENSE;
        const enum order order = order_of(function->name);
        if (phys != PHYS_VIEW && order != ORDER_EQ && order != ORDER_NE) {
            return binding_refuse(function, binding, err);
        }
    }
    return SABOT_OK;
}

/* --- IS [NOT] DISTINCT FROM */
/* SQL equality of values that are not NULL; column_compare has an order of its own for NaN. */
static bool values_equal(const struct column *a, const struct column *b, int64_t row, struct type type,
                         struct type other) {
    if (type.kind == TYPE_DECIMAL) {
        return decimal_compare(wide_value(a, row), type.scale, wide_value(b, row), other.scale) == 0;
    }
    return column_compare(a, row, b, row, type) == 0;
}

static sabot_status distinct_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const struct column *a = call->args[0], *b = call->args[1];
    const bool negated = strstr(call->expr->function->name, "NOT") != NULL;
    uint8_t *target = call->result->values;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        const bool null_a = column_is_null(a, row), null_b = column_is_null(b, row);
        const bool same = null_a || null_b ? null_a == null_b
                                           : values_equal(a, b, row, call->expr->args[0]->type,
                                                          call->expr->args[1]->type);
        target[row] = same == negated;
    }
    return SABOT_OK;
}

sabot_status bind_distinct(const struct function *function, struct function_binding *binding,
                           struct sabot_error *err) {
    SABOT_TRY(make_comparable(function, binding, 0, 1, err));
    binding->result = type_not_null(type_of(TYPE_BOOL));
    binding->kernel = distinct_kernel;
    return SABOT_OK;
}

/* --- BETWEEN */
sabot_status bind_between(const struct function *function, struct function_binding *binding,
                          struct sabot_error *err) {
    (void)function;
    struct expr *both[2];
    SABOT_TRY(expr_call(binding->arena, ">=", (struct expr *[]){binding->args[0], binding->args[1]}, 2, binding->span,
                        &both[0], err));
    SABOT_TRY(expr_call(binding->arena, "<=", (struct expr *[]){binding->args[0], binding->args[2]}, 2, binding->span,
                        &both[1], err));
    return expr_call(binding->arena, "AND", both, 2, binding->span, &binding->replacement, err);
}

/* --- IN a list of literals: a sorted set, or all compared where there are few numbers */
#define IN_LINEAR_MAX 8

struct in_set {
    bool has_null;
    bool all_short; /* strings: none is longer than STRING_VIEW_INLINE */
    int32_t n;
    enum phys phys;
    int64_t *numbers;           /* sorted */
    struct string_view *strings; /* sorted */
};

static int order_numbers(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}
static int order_strings(const void *a, const void *b) { return string_view_compare(a, b); }

static bool strings_have(const struct in_set *set, const struct string_view *view) {
    int32_t low = 0, high = set->n;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        const int order = string_view_compare(view, &set->strings[middle]);
        if (order == 0) { return true; }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}

static bool numbers_have(const struct in_set *set, int64_t number) {
    int32_t low = 0, n = set->n;
    while (n > 1) { /* without branches in the loop */
        const int32_t half = n / 2;
        low += set->numbers[low + half] <= number ? half : 0;
        n -= half;
    }
    return set->n > 0 && set->numbers[low] == number;
}

static int64_t number_at(const void *values, enum phys phys, int64_t at) {
    switch (phys) {
    case PHYS_BOOL: return ((const uint8_t *)values)[at];
    case PHYS_I8: return ((const int8_t *)values)[at];
    case PHYS_I16: return ((const int16_t *)values)[at];
    case PHYS_I32: return ((const int32_t *)values)[at];
    default: return ((const int64_t *)values)[at];
    }
}

static void in_small_i64(const struct in_set *set, const int64_t *values, int32_t n, uint8_t *restrict target) {
    memset(target, 0, (size_t)n);
    for (int32_t k = 0; k < set->n; k++) {
        const int64_t wanted = set->numbers[k];
        for (int32_t i = 0; i < n; i++) { target[i] |= values[i] == wanted; }
    }
}

/* Few short strings: all are compared. A longer string in the column differs by its size. */
static void in_small_strings(const struct in_set *set, const struct string_view *views, int32_t n,
                             uint8_t *restrict target) {
    for (int32_t i = 0; i < n; i++) {
        const struct view_words words = words_of(&views[i]);
        uint8_t found = 0;
        for (int32_t k = 0; k < set->n; k++) {
            const struct view_words wanted = words_of(&set->strings[k]);
            found |= ((words.head ^ wanted.head) | (words.rest ^ wanted.rest)) == 0;
        }
        target[i] = found;
    }
}

static sabot_status in_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct in_set *set = call->expr->bound;
    const struct column *from = call->args[0];
    uint8_t *target = call->result->values;
    const bool few = set->n <= IN_LINEAR_MAX && !from->constant;
    const bool small = few && (set->phys == PHYS_I64 || (set->phys == PHYS_VIEW && set->all_short));
    if (small) {
        if (set->phys == PHYS_VIEW) {
            in_small_strings(set, from->values, call->physical_rows, target);
        } else {
            in_small_i64(set, from->values, call->physical_rows, target);
        }
        if (!set->has_null && !from->validity) { return SABOT_OK; }
    }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (column_is_null(from, row)) {
            column_builder_set_null(call->result, row);
            target[row] = 0;
            continue;
        }
        const int64_t at = column_at(from, row);
        if (!small) {
            target[row] = set->phys == PHYS_VIEW ? strings_have(set, (const struct string_view *)from->values + at)
                                                 : numbers_have(set, number_at(from->values, set->phys, at));
        }
        if (!target[row] && set->has_null) { column_builder_set_null(call->result, row); }
    }
    (void)err;
    return SABOT_OK;
}

/* The list as a set; *out stays NULL where it is not all literals of a type that a set is made for. */
static sabot_status in_set_make(struct function_binding *binding, struct in_set **out, struct sabot_error *err) {
    *out = NULL;
    const struct type type = binding->args[0]->type;
    const enum phys phys = type_phys(type);
    const bool integral =
        phys == PHYS_BOOL || phys == PHYS_I8 || phys == PHYS_I16 || phys == PHYS_I32 || phys == PHYS_I64;
    if (!integral && phys != PHYS_VIEW) { return SABOT_OK; }
    for (int32_t i = 1; i < binding->n_args; i++) {
        const bool same = phys == PHYS_VIEW ? binding->args[i]->type.kind == type.kind
                                            : type_same(binding->args[i]->type, type);
        if (binding->args[i]->kind != EXPR_LITERAL || !same) { return SABOT_OK; }
    }
    struct in_set *set = ARENA_NEW(binding->arena, struct in_set);
    void *values = arena_alloc(binding->arena, (size_t)binding->n_args * sizeof(struct string_view));
    if (!set || !values) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    set->phys = phys;
    set->all_short = true;
    set->numbers = values;
    set->strings = values;
    for (int32_t i = 1; i < binding->n_args; i++) {
        const void *value = binding->args[i]->value;
        if (!value) {
            set->has_null = true;
        } else if (phys == PHYS_VIEW) {
            const struct string_view *view = memcpy(&set->strings[set->n++], value, sizeof *set->strings);
            set->all_short = set->all_short && view->size <= STRING_VIEW_INLINE;
        } else {
            set->numbers[set->n++] = number_at(value, phys, 0);
        }
    }
    if (phys == PHYS_VIEW) {
        qsort(set->strings, (size_t)set->n, sizeof *set->strings, order_strings);
    } else {
        qsort(set->numbers, (size_t)set->n, sizeof *set->numbers, order_numbers);
    }
    *out = set;
    return SABOT_OK;
}

/* Literals of other types are brought to the first one's where nothing is lost by it. */
static sabot_status in_cast_literals(struct function_binding *binding, struct sabot_error *err) {
    struct type *types = arena_alloc(binding->arena, (size_t)binding->n_args * sizeof *types);
    if (!types) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    for (int32_t i = 0; i < binding->n_args; i++) {
        const struct type type = binding->args[i]->type;
        const bool text = type.kind == TYPE_STRING && is_temporal(binding->args[0]->type);
        types[i] = text ? binding->args[0]->type : type;
    }
    struct type common;
    const sabot_status status = type_common(types, binding->n_args, &common, err);
    if (status != SABOT_OK) {
        error_context(err, "the list of IN");
        return expr_fail_at(status, err, binding->span);
    }
    for (int32_t i = 0; i < binding->n_args; i++) {
        if (common.kind == TYPE_STRING && binding->args[i]->type.kind == TYPE_STRING) { continue; }
        SABOT_TRY(binding_cast(binding, i, common, err));
        struct expr *folded;
        if (i > 0 && expr_fold(binding->arena, binding->args[i], &folded, NULL) == SABOT_OK) {
            binding->args[i] = folded;
        }
    }
    return SABOT_OK;
}

sabot_status bind_in(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    SABOT_TRY(in_cast_literals(binding, err));
    struct in_set *set;
    SABOT_TRY(in_set_make(binding, &set, err));
    if (set) {
        binding->bound = set;
        binding->kernel = in_kernel;
        binding->result = type_of(TYPE_BOOL);
        binding->result.nullable = binding->args[0]->type.nullable || set->has_null;
        return SABOT_OK;
    }
    /* a = b OR a = c ... */
    (void)function;
    struct expr **equal = arena_alloc(binding->arena, (size_t)binding->n_args * sizeof *equal);
    if (!equal) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big"); }
    for (int32_t i = 1; i < binding->n_args; i++) {
        struct expr *pair[2] = {binding->args[0], binding->args[i]};
        SABOT_TRY(expr_call(binding->arena, "=", pair, 2, binding->span, &equal[i - 1], err));
    }
    if (binding->n_args == 2) {
        binding->replacement = equal[0];
        return SABOT_OK;
    }
    return expr_call(binding->arena, "OR", equal, binding->n_args - 1, binding->span, &binding->replacement, err);
}
