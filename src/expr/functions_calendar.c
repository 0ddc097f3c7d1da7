/* Functions of dates, times and timestamps that need the calendar: parts of them, rounding to units, differences, and
 * what time it is now. Formats are in functions_time_format.c. */
#include "arrow/calendar.h"
#include "base/env.h"
#include "base/zone.h"
#include "expr/functions_calendar.h"
#include "expr/functions_temporal.h"
#include "expr/signature.h"

#include <strings.h>

#define HOUR_MS INT64_C(3600000)
#define MINUTE_MS INT64_C(60000)

/* ---- units ------------------------------------------------------------------------------------------------------- */

enum unit {
    UNIT_YEAR, UNIT_QUARTER, UNIT_MONTH, UNIT_WEEK, UNIT_DAY, UNIT_HOUR, UNIT_MINUTE, UNIT_SECOND, UNIT_MILLISECOND,
    UNIT_MICROSECOND, UNIT_NANOSECOND, UNIT_DOW, UNIT_ISODOW, UNIT_DOY, UNIT_ISOYEAR, UNIT_EPOCH, UNIT_DECADE,
    UNIT_CENTURY, UNIT_MILLENNIUM, UNITS
};

static const char *const unit_names[UNITS] = {
    "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND",
    "MICROSECOND", "NANOSECOND", "DOW", "ISODOW", "DOY", "ISOYEAR", "EPOCH", "DECADE",
    "CENTURY", "MILLENNIUM",
};

static enum unit unit_find(struct slice name) {
    for (int i = 0; i < UNITS; i++) {
        if (strlen(unit_names[i]) == name.size && strncasecmp(unit_names[i], name.data, name.size) == 0) {
            return (enum unit)i;
        }
    }
    return UNITS;
}

/* The unit that an argument names; UNITS: it names none. */
static enum unit unit_of(const struct function_binding *binding, int32_t arg) {
    const void *value = NULL;
    if (binding->args[arg]->type.kind != TYPE_STRING || !expr_literal_value(binding->args[arg], &value) || !value) {
        return UNITS;
    }
    return unit_find(slice_of(value));
}

static int64_t unit_ms(enum unit unit) {
    switch (unit) {
    case UNIT_WEEK: return 7 * DAY_MS;
    case UNIT_DAY: return DAY_MS;
    case UNIT_HOUR: return HOUR_MS;
    case UNIT_MINUTE: return MINUTE_MS;
    case UNIT_SECOND: return 1000;
    case UNIT_MILLISECOND: return 1;
    default: return 0;
    }
}

static int32_t unit_months(enum unit unit) {
    switch (unit) {
    case UNIT_MONTH: return 1;
    case UNIT_QUARTER: return 3;
    case UNIT_YEAR: return 12;
    case UNIT_DECADE: return 120;
    case UNIT_CENTURY: return 1200;
    case UNIT_MILLENNIUM: return 12000;
    default: return 0;
    }
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

int64_t temporal_per_day(struct type type) {
    if (type.kind == TYPE_DATE) { return 1; }
    return type.kind == TYPE_TIME ? DAY_MS : DAY_MS * timestamp_units_per_ms_num(type);
}

sabot_status temporal_reader_init(struct temporal_reader *reader, const struct kernel_call *call, int32_t arg,
                                  struct sabot_error *err) {
    *reader = (struct temporal_reader){.column = call->args[arg]};
    const struct type type = call->expr->args[arg]->type;
    reader->per_day = temporal_per_day(type);
    if (type.kind != TYPE_TIMESTAMP_LTZ) { return SABOT_OK; }
    reader->per_second = reader->per_day / (DAY_MS / 1000);
    return zone_find(call->context->time_zone, &reader->zone, err);
}

static bool is_time_point(struct type type) { return type.kind >= TYPE_DATE && type.kind <= TYPE_TIMESTAMP_LTZ; }
static bool is_timestamp(struct type type) { return type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ; }

/* ---- EXTRACT ----------------------------------------------------------------------------------------------------- */

static int32_t day_of_year(int64_t day, struct civil civil) {
    return (int32_t)(day - days_of_civil(civil.year, 1, 1)) + 1;
}

/* ISO 8601: weeks begin on Monday; week 1 has the year's first Thursday. */
void iso_week(int64_t day, int64_t *year, int32_t *week) {
    const int64_t thursday = day - floor_mod(day + 3, 7) + 3;
    const struct civil civil = civil_of_days(thursday);
    *year = civil.year;
    *week = (day_of_year(thursday, civil) - 1) / 7 + 1;
}

static int64_t century_of(int64_t year, int64_t years) {
    return year > 0 ? (year + years - 1) / years : year / years - 1;
}

static int64_t extract_day(enum unit unit, int64_t day) {
    const struct civil civil = civil_of_days(day);
    int64_t year;
    int32_t week;
    switch (unit) {
    case UNIT_YEAR: return civil.year;
    case UNIT_QUARTER: return (civil.month + 2) / 3;
    case UNIT_MONTH: return civil.month;
    case UNIT_DAY: return civil.day;
    case UNIT_DOY: return day_of_year(day, civil);
    case UNIT_DOW: return floor_mod(day + 4, 7) + 1;    /* Sunday is 1; 1970-01-01 was a Thursday */
    case UNIT_ISODOW: return floor_mod(day + 3, 7) + 1; /* Monday is 1 */
    case UNIT_WEEK:
        iso_week(day, &year, &week);
        return week;
    case UNIT_ISOYEAR:
        iso_week(day, &year, &week);
        return year;
    case UNIT_DECADE: return floor_div(civil.year, 10);
    case UNIT_CENTURY: return century_of(civil.year, 100);
    case UNIT_MILLENNIUM: return century_of(civil.year, 1000);
    default: return 0;
    }
}

/* per_day is a constant where this is inlined, so that no division is left. */
static inline int64_t extract_one(enum unit unit, int64_t value, int64_t per_day) {
    const int64_t day = floor_div(value, per_day);
    const int64_t rest = value - day * per_day;
    const int64_t per_ms = per_day / DAY_MS; /* 0 for dates */
    switch (unit) {
    case UNIT_HOUR: return per_ms ? rest / (per_ms * HOUR_MS) : 0;
    case UNIT_MINUTE: return per_ms ? rest / (per_ms * MINUTE_MS) % 60 : 0;
    case UNIT_SECOND: return per_ms ? rest / (per_ms * 1000) % 60 : 0;
    case UNIT_MILLISECOND: return per_ms ? rest / per_ms % 1000 : 0;
    case UNIT_MICROSECOND: return per_ms ? rest % (per_ms * 1000) * 1000 / per_ms : 0;
    case UNIT_NANOSECOND: return per_ms ? rest % (per_ms * 1000) * (1000000 / per_ms) : 0;
    case UNIT_EPOCH: return per_ms ? value / (per_ms * 1000) : value * (DAY_MS / 1000);
    default: return extract_day(unit, day);
    }
}

static sabot_status extract_kernel(struct kernel_call *call, struct sabot_error *err) {
    const enum unit unit = *(const enum unit *)call->expr->bound;
    struct temporal_reader reader;
    SABOT_TRY(temporal_reader_init(&reader, call, call->n_args - 1, err));
    switch (reader.per_day) {
    case 1: FOR_ROWS(call, row, { put_long(call, row, extract_one(unit, temporal_read(&reader, row), 1)); }) break;
    case DAY_MS:
        FOR_ROWS(call, row, { put_long(call, row, extract_one(unit, temporal_read(&reader, row), DAY_MS)); })
        break;
    default:
        FOR_ROWS(call, row, { put_long(call, row, extract_one(unit, temporal_read(&reader, row), reader.per_day)); })
    }
    return SABOT_OK;
}

/* Parts of intervals: INTERVAL '1-2' YEAR TO MONTH has the month 2. */
static sabot_status extract_interval_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const enum unit unit = *(const enum unit *)call->expr->bound;
    const bool is_months = call->args[call->n_args - 1]->phys == PHYS_I32;
    FOR_ROWS(call, row, {
        const int64_t value = is_months ? arg_int(call, call->n_args - 1, row) : arg_long(call, call->n_args - 1, row);
        int64_t part = 0;
        switch (unit) {
        case UNIT_YEAR: part = is_months ? value / 12 : 0; break;
        case UNIT_QUARTER: part = is_months ? value % 12 / 3 + 1 : 1; break;
        case UNIT_MONTH: part = is_months ? value % 12 : 0; break;
        case UNIT_DAY: part = is_months ? 0 : value / DAY_MS; break;
        case UNIT_HOUR: part = is_months ? 0 : value % DAY_MS / HOUR_MS; break;
        case UNIT_MINUTE: part = is_months ? 0 : value % HOUR_MS / MINUTE_MS; break;
        case UNIT_SECOND: part = is_months ? 0 : value % MINUTE_MS / 1000; break;
        case UNIT_MILLISECOND: part = is_months ? 0 : value % 1000; break;
        default: break;
        }
        put_long(call, row, part);
    })
    return SABOT_OK;
}

static sabot_status bind_unit_of(const struct function *function, struct function_binding *binding, enum unit unit,
                                 struct sabot_error *err) {
    const int32_t arg = binding->n_args - 1;
    if (binding->args[arg]->type.kind == TYPE_NULL) {
        SABOT_TRY(binding_cast(binding, arg, type_timestamp(3), err));
    }
    const struct type from = binding->args[arg]->type;
    const bool is_interval = from.kind == TYPE_INTERVAL_DAY || from.kind == TYPE_INTERVAL_MONTH;
    const bool of_day = unit < UNIT_HOUR || unit >= UNIT_DOW;
    if ((!is_time_point(from) && !is_interval) || unit == UNITS ||
        (is_interval && (unit > UNIT_MILLISECOND || unit == UNIT_WEEK)) || (from.kind == TYPE_TIME && of_day)) {
        return binding_refuse(function, binding, err);
    }
    enum unit *kept = ARENA_NEW(binding->arena, enum unit);
    if (!kept) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    *kept = unit;
    binding->bound = kept;
    binding->result = type_of(TYPE_INT64);
    binding->result.nullable = from.nullable;
    binding->kernel = is_interval ? extract_interval_kernel : extract_kernel;
    return SABOT_OK;
}

sabot_status bind_extract(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    return bind_unit_of(function, binding, unit_of(binding, 0), err);
}

/* YEAR(t) and so on. */
sabot_status bind_extract_named(const struct function *function, struct function_binding *binding,
                                struct sabot_error *err) {
    const char *name = function->name;
    const enum unit unit = strcmp(name, "DAYOFYEAR") == 0    ? UNIT_DOY
                           : strcmp(name, "DAYOFMONTH") == 0 ? UNIT_DAY
                           : strcmp(name, "DAYOFWEEK") == 0  ? UNIT_DOW
                                                             : unit_find((struct slice){name, strlen(name)});
    return bind_unit_of(function, binding, unit, err);
}

/* ---- FLOOR(t TO unit), CEIL -------------------------------------------------------------------------------------- */

struct rounding {
    enum unit unit;
    bool up;
};

/* The first day of the unit that a day is in, `ahead` units later (0 or 1). */
static int64_t day_floor(int64_t day, enum unit unit, int ahead) {
    if (unit == UNIT_DAY) { return day + ahead; }
    if (unit == UNIT_WEEK) {
        return day - floor_mod(day + 4, 7) + 7 * ahead;
    } /* weeks begin on Sunday here, as in Flink */
    const struct civil civil = civil_of_days(day);
    const int64_t months = unit_months(unit);
    /* centuries and millennia begin with the year 1 */
    const int64_t base = months > 120 ? 12 : 0;
    const int64_t month = civil.year * 12 + civil.month - 1 - base;
    const int64_t first = (floor_div(month, months) + ahead) * months + base;
    return days_of_civil(floor_div(first, 12), (int)floor_mod(first, 12) + 1, 1);
}

static inline int64_t round_one(const struct rounding *how, int64_t value, int64_t per_day) {
    const int64_t ms = how->unit >= UNIT_HOUR && how->unit <= UNIT_MILLISECOND ? unit_ms(how->unit) : 0;
    if (ms > 0) {
        const int64_t step = ms * (per_day / DAY_MS);
        const int64_t low = step > 0 ? floor_div(value, step) * step : value;
        return how->up && low < value ? low + step : low;
    }
    const int64_t day = floor_div(value, per_day);
    const int64_t low = day_floor(day, how->unit, 0) * per_day;
    return how->up && low < value ? day_floor(day, how->unit, 1) * per_day : low;
}

static sabot_status round_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct rounding *how = call->expr->bound;
    struct temporal_reader reader;
    SABOT_TRY(temporal_reader_init(&reader, call, 0, err));
    FOR_ROWS(call, row, {
        const int64_t value = temporal_read(&reader, row);
        int64_t rounded =
            reader.per_day == DAY_MS ? round_one(how, value, DAY_MS) : round_one(how, value, reader.per_day);
        if (call->expr->type.kind == TYPE_TIME) { rounded %= DAY_MS; }
        if (reader.zone) { rounded = zone_to_instant(reader.zone, rounded, reader.per_second); }
        if (call->result->phys == PHYS_I32) {
            put_int(call, row, (int32_t)rounded);
        } else {
            put_long(call, row, rounded);
        }
    })
    return SABOT_OK;
}

sabot_status bind_round_time(const struct function *function, struct function_binding *binding,
                             struct sabot_error *err) {
    const enum unit unit = unit_of(binding, 1);
    const struct type from = binding->args[0]->type;
    const bool of_day = unit_months(unit) > 0 || unit == UNIT_WEEK || unit == UNIT_DAY;
    const bool of_clock = unit >= UNIT_HOUR && unit <= UNIT_MILLISECOND;
    if (!is_time_point(from) || (!of_day && !of_clock) || (from.kind == TYPE_TIME && of_day)) {
        return binding_refuse(function, binding, err);
    }
    struct rounding *how = ARENA_NEW(binding->arena, struct rounding);
    if (!how) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    *how = (struct rounding){.unit = unit, .up = function->name[0] == 'C'};
    binding->bound = how;
    binding->result = from;
    binding->kernel = round_kernel;
    return SABOT_OK;
}

/* ---- TIMESTAMPADD, TIMESTAMPDIFF --------------------------------------------------------------------------------- */

/* TIMESTAMPADD(unit, n, t) is t + n * INTERVAL '1' unit. */
sabot_status bind_timestamp_add(const struct function *function, struct function_binding *binding,
                                struct sabot_error *err) {
    const enum unit unit = unit_of(binding, 0);
    const int32_t months = unit_months(unit);
    const int64_t ms = unit_ms(unit);
    struct arena *arena = binding->arena;
    if ((months == 0 && ms == 0) || !is_time_point(binding->args[2]->type)) {
        return binding_refuse(function, binding, err);
    }
    SABOT_TRY(binding_expect(function, binding, 1, type_of(TYPE_INT64), err));
    if (binding->args[2]->type.kind == TYPE_DATE && ms > 0 && ms < DAY_MS) {
        SABOT_TRY(binding_cast(binding, 2, type_timestamp(0), err));
    }
    struct expr *one = NULL, *interval = NULL;
    const struct type type = type_not_null(type_of(months > 0 ? TYPE_INTERVAL_MONTH : TYPE_INTERVAL_DAY));
    SABOT_TRY(
        expr_literal(arena, type, months > 0 ? (const void *)&months : (const void *)&ms, binding->span, &one, err));
    SABOT_TRY(expr_call(arena, "*", (struct expr *[]){one, binding->args[1]}, 2, binding->span, &interval, err));
    return expr_call(arena, "+", (struct expr *[]){binding->args[2], interval}, 2, binding->span, &binding->replacement,
                     err);
}

/* The most whole months m for which from + m months is not past to: Flink's rule, by which 31 January and 28 February
 * are one month apart. */
static int64_t months_between(int64_t from, int64_t to, int64_t per_day) {
    const bool backwards = to < from;
    const int64_t low = backwards ? to : from, high = backwards ? from : to;
    const int64_t low_day = floor_div(low, per_day), high_day = floor_div(high, per_day);
    const struct civil a = civil_of_days(low_day), b = civil_of_days(high_day);
    int64_t months = (b.year - a.year) * 12 + b.month - a.month;
    if (days_add_months(low_day, months) > high_day) { months--; }
    if (days_add_months(low_day, months) == high_day && low - low_day * per_day > high - high_day * per_day) {
        months--;
    }
    return backwards ? -months : months;
}

static sabot_status timestamp_diff_kernel(struct kernel_call *call, struct sabot_error *err) {
    const enum unit unit = *(const enum unit *)call->expr->bound;
    const int32_t months = unit_months(unit);
    struct temporal_reader from, to;
    SABOT_TRY(temporal_reader_init(&from, call, 1, err));
    SABOT_TRY(temporal_reader_init(&to, call, 2, err));
    const int64_t step = months ? 0 : unit_ms(unit) * (from.per_day / DAY_MS);
    FOR_ROWS(call, row, {
        const int64_t a = temporal_read(&from, row);
        const int64_t b = temporal_read(&to, row);
        int64_t difference;
        if (months > 0) {
            difference = months_between(a, b, from.per_day) / months;
        } else if (step == 0) { /* dates */
            const __int128 days = (__int128)(b - a) * DAY_MS / unit_ms(unit);
            difference = (int64_t)days;
        } else {
            difference = (int64_t)(((__int128)b - a) / step);
        }
        if (difference != (int32_t)difference) {
            return SABOT_FAIL(err, SABOT_ERR_DATA,
                              "TIMESTAMPDIFF gives an INT, which %lld does not fit: take a larger unit",
                              (long long)difference);
        }
        put_int(call, row, (int32_t)difference);
    })
    return SABOT_OK;
}

sabot_status bind_timestamp_diff(const struct function *function, struct function_binding *binding,
                                 struct sabot_error *err) {
    const enum unit unit = unit_of(binding, 0);
    struct type common;
    if ((unit_months(unit) == 0 && unit_ms(unit) == 0) ||
        type_common((const struct type[]){binding->args[1]->type, binding->args[2]->type}, 2, &common, NULL) !=
            SABOT_OK ||
        (common.kind != TYPE_DATE && !is_timestamp(common))) {
        return binding_refuse(function, binding, err);
    }
    SABOT_TRY(binding_cast(binding, 1, common, err));
    SABOT_TRY(binding_cast(binding, 2, common, err));
    enum unit *kept = ARENA_NEW(binding->arena, enum unit);
    if (!kept) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    *kept = unit;
    binding->bound = kept;
    binding->result = type_of(TYPE_INT32);
    binding->result.nullable = binding->args[1]->type.nullable || binding->args[2]->type.nullable;
    binding->kernel = timestamp_diff_kernel;
    return SABOT_OK;
}

/* ---- LAST_DAY, OVERLAPS ------------------------------------------------------------------------------------------ */

static sabot_status last_day_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct temporal_reader reader;
    SABOT_TRY(temporal_reader_init(&reader, call, 0, err));
    FOR_ROWS(call, row, {
        const struct civil civil = civil_of_days(floor_div(temporal_read(&reader, row), reader.per_day));
        put_int(call, row, (int32_t)days_of_civil(civil.year, civil.month, month_days(civil.year, civil.month)));
    })
    return SABOT_OK;
}

sabot_status bind_last_day(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    const struct type from = binding->args[0]->type;
    if (!is_time_point(from) || from.kind == TYPE_TIME) { return binding_refuse(function, binding, err); }
    binding->result = type_of(TYPE_DATE);
    binding->result.nullable = from.nullable;
    binding->kernel = last_day_kernel;
    return SABOT_OK;
}

/* (from, to) or (from, interval), in either order, as its two ends. */
static sabot_status overlap_ends(const struct function *function, struct function_binding *binding, int32_t arg,
                                 struct expr *ends[2], struct sabot_error *err) {
    const struct expr *row = binding->args[arg];
    if (row->kind != EXPR_CALL || strcmp(row->function->name, "ROW") != 0 || row->n_args != 2) {
        return binding_refuse(function, binding, err);
    }
    struct expr *points[2] = {row->args[0], row->args[1]};
    const struct type second = points[1]->type;
    if (second.kind == TYPE_INTERVAL_DAY || second.kind == TYPE_INTERVAL_MONTH) {
        struct expr *end = NULL;
        SABOT_TRY(expr_call(binding->arena, "+", points, 2, binding->span, &end, err));
        points[1] = end;
    }
    SABOT_TRY(expr_call(binding->arena, "LEAST", points, 2, binding->span, &ends[0], err));
    return expr_call(binding->arena, "GREATEST", points, 2, binding->span, &ends[1], err);
}

sabot_status bind_overlaps(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    struct expr *a[2], *b[2], *both[2];
    SABOT_TRY(overlap_ends(function, binding, 0, a, err));
    SABOT_TRY(overlap_ends(function, binding, 1, b, err));
    SABOT_TRY(expr_call(binding->arena, ">=", (struct expr *[]){a[1], b[0]}, 2, binding->span, &both[0], err));
    SABOT_TRY(expr_call(binding->arena, ">=", (struct expr *[]){b[1], a[0]}, 2, binding->span, &both[1], err));
    return expr_call(binding->arena, "AND", both, 2, binding->span, &binding->replacement, err);
}

/* ---- now --------------------------------------------------------------------------------------------------------- */

/* All rows of a batch see one time. */
static sabot_status now_kernel(struct kernel_call *call, struct sabot_error *err) {
    int64_t now = env_wall_ms(call->context->env);
    const struct type type = call->expr->type;
    if (type.kind == TYPE_INT64) {
        now /= 1000; /* UNIX_TIMESTAMP() */
    } else if (type.kind != TYPE_TIMESTAMP_LTZ) {
        const struct zone *zone = NULL;
        SABOT_TRY(zone_find(call->context->time_zone, &zone, err));
        now = zone_to_local(zone, now, 1000);
        if (type.kind == TYPE_DATE) { now = floor_div(now, DAY_MS); }
        if (type.kind == TYPE_TIME) { now = floor_mod(now, DAY_MS) / 1000 * 1000; }
    }
    if (call->result->phys == PHYS_I32) {
        FOR_ROWS(call, row, { put_int(call, row, (int32_t)now); })
    } else {
        FOR_ROWS(call, row, { put_long(call, row, now); })
    }
    return SABOT_OK;
}

sabot_status bind_now(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    static const struct signature now[] = {
        {"CURRENT_TIMESTAMP", "", 'Z', false, now_kernel}, {"NOW", "", 'Z', false, now_kernel},
        {"PROCTIME", "", 'Z', false, now_kernel},
        {"CURRENT_ROW_TIMESTAMP", "", 'Z', false, now_kernel}, {"LOCALTIMESTAMP", "", 'T', false, now_kernel},
        {"CURRENT_DATE", "", 'd', false, now_kernel}, {"CURRENT_TIME", "", 't', false, now_kernel},
        {"LOCALTIME", "", 't', false, now_kernel},
    };
    return BIND_SIGNATURE(function, binding, now, err);
}

/* UNIX_TIMESTAMP(). */
sabot_status bind_unix_now(struct function_binding *binding) {
    binding->result = type_not_null(type_of(TYPE_INT64));
    binding->flags |= FUNCTION_TEMPORAL;
    binding->kernel = now_kernel;
    return SABOT_OK;
}

static sabot_status watermark_kernel(struct kernel_call *call, struct sabot_error *err) {
    const int64_t watermark = call->context->watermark_ms;
    FOR_ROWS(call, row, {
        put_long(call, row, watermark);
        if (watermark == INT64_MIN) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

/* The type of the time attribute, with milliseconds. */
sabot_status bind_current_watermark(const struct function *function, struct function_binding *binding,
                                    struct sabot_error *err) {
    if (!is_timestamp(binding->args[0]->type)) {
        return binding_refuse(function, binding, err);
    }
    struct type type = type_timestamp(3);
    type.kind = binding->args[0]->type.kind;
    binding->result = type;
    binding->kernel = watermark_kernel;
    return SABOT_OK;
}
