/* Dates, times and timestamps plus and minus intervals, and differences of times. */
#include "expr/functions_temporal.h"

#include "arrow/calendar.h"
#include "expr/kernel.h"

int64_t days_add_months(int64_t days, int64_t months) {
    const struct civil civil = civil_of_days(days);
    const int64_t month = civil.year * 12 + civil.month - 1 + months;
    const int64_t year = floor_div(month, 12);
    const int month_of_year = (int)floor_mod(month, 12) + 1;
    const int last = month_days(year, month_of_year);
    return days_of_civil(year, month_of_year, civil.day < last ? civil.day : last);
}

static inline int64_t number_at(const struct column *column, int64_t row) {
    const int64_t at = column_at(column, row);
    return column->phys == PHYS_I32 ? ((const int32_t *)column->values)[at] : ((const int64_t *)column->values)[at];
}

static void put_number(struct kernel_call *call, int32_t row, int64_t value) {
    if (call->result->phys == PHYS_I32) {
        ((int32_t *)call->result->values)[row] = (int32_t)value;
    } else {
        ((int64_t *)call->result->values)[row] = value;
    }
}

static sabot_status out_of_range(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_DATA, "the result of date or interval arithmetic is out of range");
}

static inline int sign_of(const struct kernel_call *call) { return call->expr->function->name[0] == '-' ? -1 : 1; }

/* Milliseconds are scaled to the timestamp's unit. */
static sabot_status timestamp_plus_ms(struct kernel_call *call, struct sabot_error *err) {
    const struct column *a = call->args[0], *b = call->args[1];
    const int64_t unit = timestamp_units_per_ms_num(call->expr->type) * sign_of(call);
    if (b->constant && !a->constant) { /* the usual case: vectorised, checked afterwards */
        int64_t delta;
        if (__builtin_mul_overflow(((const int64_t *)b->values)[0], unit, &delta)) { return out_of_range(err); }
        const int64_t *x = a->values;
        int64_t *restrict target = call->result->values;
        int64_t bad = 0;
        int32_t n;
        const int32_t *rows = kernel_rows_dense(call, &n);
        KERNEL_FOR(rows, n, row, {
            const int64_t sum = (int64_t)((uint64_t)x[row] + (uint64_t)delta);
            target[row] = sum;
            bad |= (x[row] ^ sum) & (delta ^ sum);
        });
        if (bad >= 0) { return SABOT_OK; }
    }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        int64_t delta, sum;
        if (__builtin_mul_overflow(number_at(b, row), unit, &delta) ||
            __builtin_add_overflow(number_at(a, row), delta, &sum)) {
            return out_of_range(err);
        }
        put_number(call, row, sum);
    }
    return SABOT_OK;
}

static sabot_status plus_months(struct kernel_call *call, struct sabot_error *err) {
    const bool is_date = call->expr->type.kind == TYPE_DATE;
    const int64_t per_day = is_date ? 1 : DAY_MS * timestamp_units_per_ms_num(call->expr->type);
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const int64_t from = number_at(call->args[0], row);
        const int64_t day = floor_div(from, per_day);
        const int64_t moved = days_add_months(day, sign_of(call) * number_at(call->args[1], row));
        int64_t sum;
        if (__builtin_mul_overflow(moved, per_day, &sum) || __builtin_add_overflow(sum, from - day * per_day, &sum) ||
            (is_date && sum != (int32_t)sum)) {
            return out_of_range(err);
        }
        put_number(call, row, sum);
    }
    return SABOT_OK;
}

static sabot_status date_plus_ms(struct kernel_call *call, struct sabot_error *err) {
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const int64_t sum = number_at(call->args[0], row) + sign_of(call) * (number_at(call->args[1], row) / DAY_MS);
        if (sum != (int32_t)sum) { return out_of_range(err); }
        put_number(call, row, sum);
    }
    return SABOT_OK;
}

static sabot_status time_plus_ms(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    KERNEL_FOR(
        call->rows, call->n_rows, row,
        put_number(call, row,
                   floor_mod(number_at(call->args[0], row) + sign_of(call) * (number_at(call->args[1], row) % DAY_MS),
                             DAY_MS)));
    return SABOT_OK;
}

/* Intervals of one kind, or timestamps of one unit: the difference in ms. */
static sabot_status plus_same(struct kernel_call *call, struct sabot_error *err) {
    const struct type from = call->expr->args[0]->type;
    const bool is_time = from.kind == TYPE_TIMESTAMP || from.kind == TYPE_TIMESTAMP_LTZ;
    const int64_t divide = is_time ? timestamp_units_per_ms_num(from) : 1;
    const int64_t multiply = from.kind == TYPE_DATE ? DAY_MS : 1;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const __int128 sum = ((__int128)number_at(call->args[0], row) +
                              (__int128)sign_of(call) * number_at(call->args[1], row)) /
                             divide * multiply;
        if (sum != (int64_t)sum || (call->result->phys == PHYS_I32 && sum != (int32_t)sum)) {
            return out_of_range(err);
        }
        put_number(call, row, (int64_t)sum);
    }
    return SABOT_OK;
}

static sabot_status interval_times(struct kernel_call *call, struct sabot_error *err) {
    const bool divide = call->expr->function->name[0] == '/';
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        if (!kernel_row_counts(call, row)) { continue; }
        const int64_t interval = number_at(call->args[0], row), factor = number_at(call->args[1], row);
        if (divide && factor == 0) { return SABOT_FAIL(err, SABOT_ERR_DATA, "an interval is divided by zero"); }
        const __int128 value = divide ? (__int128)interval / factor : (__int128)interval * factor;
        if (value != (int64_t)value || (call->result->phys == PHYS_I32 && value != (int32_t)value)) {
            return out_of_range(err);
        }
        put_number(call, row, (int64_t)value);
    }
    return SABOT_OK;
}

static bool is_interval(struct type type) { return type.kind == TYPE_INTERVAL_DAY || type.kind == TYPE_INTERVAL_MONTH; }
static bool is_point(struct type type) { return type.kind >= TYPE_DATE && type.kind <= TYPE_TIMESTAMP_LTZ; }

static void swap_args(struct function_binding *binding) {
    struct expr *first = binding->args[0];
    binding->args[0] = binding->args[1];
    binding->args[1] = first;
}

sabot_status bind_temporal_arithmetic(const struct function *function, struct function_binding *binding, bool *taken,
                                      struct sabot_error *err) {
    struct type a = binding->args[0]->type, b = binding->args[1]->type;
    const char op = function->name[0];
    *taken = is_interval(a) || is_interval(b) || is_point(a) || is_point(b);
    if (!*taken) { return SABOT_OK; }
    /* the time first: INTERVAL '1' DAY + ts, 2 * INTERVAL '1' DAY */
    if ((op == '+' && is_interval(a) && is_point(b)) || (op == '*' && is_interval(b) && !is_interval(a))) {
        swap_args(binding);
        a = binding->args[0]->type;
        b = binding->args[1]->type;
    }
    if (b.kind == TYPE_NULL) {
        b = is_interval(a) && (op == '*' || op == '/') ? type_of(TYPE_INT64)
            : is_interval(a)                           ? a
                                                       : type_of(TYPE_INTERVAL_DAY);
        SABOT_TRY(binding_cast(binding, 1, b, err));
    }
    binding->result = a;
    binding->result.nullable = binding->args[0]->type.nullable || binding->args[1]->type.nullable;
    const bool additive = op == '+' || op == '-';
    if (additive && is_point(a) && is_interval(b)) {
        const bool months = b.kind == TYPE_INTERVAL_MONTH;
        if (a.kind == TYPE_TIME) {
            if (months) { return binding_refuse(function, binding, err); }
            binding->kernel = time_plus_ms;
        } else {
            binding->kernel = months ? plus_months : a.kind == TYPE_DATE ? date_plus_ms : timestamp_plus_ms;
        }
        return SABOT_OK;
    }
    if (additive && is_interval(a) && a.kind == b.kind) {
        binding->kernel = plus_same;
        return SABOT_OK;
    }
    if (op == '-' && is_point(a) && is_point(b)) {
        struct type common;
        if (type_common((const struct type[]){a, b}, 2, &common, NULL) != SABOT_OK) {
            return binding_refuse(function, binding, err);
        }
        SABOT_TRY(binding_cast(binding, 0, common, err));
        SABOT_TRY(binding_cast(binding, 1, common, err));
        const bool nullable = binding->result.nullable;
        binding->result = type_of(TYPE_INTERVAL_DAY);
        binding->result.nullable = nullable;
        binding->kernel = plus_same;
        return SABOT_OK;
    }
    if ((op == '*' || op == '/') && is_interval(a) && type_is_integer(b)) {
        SABOT_TRY(binding_cast(binding, 1, type_of(TYPE_INT64), err));
        binding->kernel = interval_times;
        return SABOT_OK;
    }
    return binding_refuse(function, binding, err);
}
