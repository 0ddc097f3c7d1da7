/* Functions that write times as text by a pattern, and read them: DATE_FORMAT, TO_TIMESTAMP, UNIX_TIMESTAMP and so on.
 */
#include "arrow/calendar.h"
#include "expr/functions_calendar.h"
#include "expr/temporal_parse.h"
#include "expr/time_format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY_NS (DAY_MS * 1000000)
#define SECOND_NS INT64_C(1000000000)

static const char default_pattern[] = "yyyy-MM-dd HH:mm:ss";

/* ---- the pattern of a call --------------------------------------------------------------------------------------- */

/* A pattern that is no literal: the one that came last is kept compiled. */
struct format_cache {
    struct time_format format;
    char pattern[TIME_FORMAT_SIZE_MAX];
    size_t size;
    bool is_set;
};

static int shown(struct slice text) { return text.size > 60 ? 60 : (int)text.size; }

static sabot_status compile(struct slice pattern, struct time_format *format, struct sabot_error *err) {
    const char *reason = NULL;
    if (time_format_compile(pattern, format, &reason)) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_DATA, "'%.*s' is no pattern of a time: %s (write yyyy-MM-dd HH:mm:ss.SSS)",
                      shown(pattern), pattern.data, reason);
}

/* The pattern at argument `arg` (beyond the arguments: the default). */
static sabot_status format_at(struct kernel_call *call, int32_t arg, int32_t row, const struct time_format **out,
                              struct sabot_error *err) {
    if (call->expr->bound) {
        *out = call->expr->bound;
        return SABOT_OK;
    }
    struct format_cache *cache = call->scratch;
    if (!cache) {
        cache = call->scratch = calloc(1, sizeof *cache);
        call->scratch_free = free;
        if (!cache) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a pattern"); }
    }
    const struct slice pattern = arg_string(call, arg, row);
    if (!cache->is_set || cache->size != pattern.size || memcmp(cache->pattern, pattern.data, pattern.size) != 0) {
        cache->is_set = false;
        SABOT_TRY(compile(pattern, &cache->format, err));
        memcpy(cache->pattern, pattern.data, pattern.size);
        cache->size = pattern.size;
        cache->is_set = true;
    }
    *out = &cache->format;
    return SABOT_OK;
}

/* Compiles the pattern now where it is constant or left out. */
static sabot_status bind_pattern(struct function_binding *binding, int32_t arg, struct sabot_error *err) {
    const void *value = NULL;
    struct slice pattern = {default_pattern, sizeof default_pattern - 1};
    if (arg < binding->n_args) {
        if (!binding_constant(binding, arg, &value) || !value) { return SABOT_OK; }
        pattern = slice_of(value);
    }
    struct time_format *format = ARENA_NEW(binding->arena, struct time_format);
    const char *reason = NULL;
    if (!format) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    if (!time_format_compile(pattern, format, &reason)) {
        return EXPR_FAIL(err, SABOT_ERR_PLAN, binding->span,
                         "'%.*s' is no pattern of a time: %s (write yyyy-MM-dd HH:mm:ss.SSS)", shown(pattern),
                         pattern.data, reason);
    }
    binding->bound = format;
    return SABOT_OK;
}

/* ---- writing: DATE_FORMAT, FROM_UNIXTIME ------------------------------------------------------------------------- */

/* A column is mostly in order, and most patterns change rarely (yyyy-MM-dd once a day): the text that was written last
 * is used again while the value stays in the span of time that it stands for. */
struct last_written {
    const struct time_format *format;
    int64_t low, high; /* [low, high) in units of the local value */
    struct string_view view;
};

static sabot_status write_value(struct kernel_call *call, const struct time_format *format, const struct zone *zone,
                                int64_t instant_s, int64_t local, int64_t per_day, struct last_written *last,
                                struct sabot_error *err) {
    char text[TIME_FORMAT_SIZE_MAX];
    char *bytes = text;
    struct time_parts parts = {.day = floor_div(local, per_day), .zone_name = "UTC"};
    parts.ns = (local - parts.day * per_day) * (DAY_NS / per_day);
    if (format->resolution_ns == 0) {
        parts.offset_s = zone ? zone_offset_s(zone, instant_s) : 0;
        parts.zone_name = call->context->time_zone ? call->context->time_zone : "UTC";
    }
    const int size = time_format_write(format, &parts, text);
    if (size < 0) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "%s would write more than %d bytes", call->expr->function->name,
                          TIME_FORMAT_SIZE_MAX);
    }
    if (size > STRING_VIEW_INLINE) {
        SABOT_TRY(reserve_string(call, (size_t)size, &bytes, err));
        memcpy(bytes, text, (size_t)size);
    }
    const int64_t unit_ns = DAY_NS / per_day;
    const int64_t step = format->resolution_ns / unit_ns;
    last->format = format;
    last->low = step > 1 ? floor_div(local, step) * step : local;
    last->high = last->low + (step > 1 ? step : 1);
    if (format->resolution_ns == 0) { last->high = last->low; }
    last->view = string_view_of(bytes, (uint32_t)size);
    return SABOT_OK;
}

static sabot_status date_format_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct temporal_reader reader;
    SABOT_TRY(temporal_reader_init(&reader, call, 0, err));
    struct last_written last = {.format = NULL};
    struct string_view *target = call->result->values;
    FOR_ROWS(call, row, {
        const struct time_format *format = NULL;
        SABOT_TRY(format_at(call, 1, row, &format, err));
        const int64_t local = temporal_read(&reader, row);
        if (format != last.format || call->scratch || local < last.low || local >= last.high) {
            const int64_t instant = reader.zone ? floor_div(arg_long(call, 0, row), reader.per_second) : 0;
            SABOT_TRY(write_value(call, format, reader.zone, instant, local, reader.per_day, &last, err));
        }
        target[row] = last.view;
    })
    return SABOT_OK;
}

/* Of a string, which is read as CAST reads a TIMESTAMP(3); NULL where it is none. */
static sabot_status text_format_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct last_written last = {.format = NULL};
    FOR_ROWS(call, row, {
        const struct time_format *format = NULL;
        SABOT_TRY(format_at(call, 1, row, &format, err));
        const struct slice text = arg_string(call, 0, row);
        int64_t local;
        if (!text_to_timestamp(text.data, text.size, 3, &local, NULL)) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        SABOT_TRY(write_value(call, format, NULL, 0, local, DAY_MS, &last, err));
        ((struct string_view *)call->result->values)[row] = last.view;
    })
    return SABOT_OK;
}

sabot_status bind_date_format(const struct function *function, struct function_binding *binding,
                              struct sabot_error *err) {
    if (binding->args[0]->type.kind == TYPE_NULL) { SABOT_TRY(binding_cast(binding, 0, type_timestamp(3), err)); }
    const struct type from = binding->args[0]->type;
    const bool is_text = from.kind == TYPE_STRING;
    const bool is_time = from.kind == TYPE_DATE || from.kind == TYPE_TIMESTAMP || from.kind == TYPE_TIMESTAMP_LTZ;
    if (!is_text && !is_time) { return binding_refuse(function, binding, err); }
    SABOT_TRY(binding_expect(function, binding, 1, type_of(TYPE_STRING), err));
    SABOT_TRY(bind_pattern(binding, 1, err));
    binding->result = type_of(TYPE_STRING);
    binding->result.nullable = is_text || from.nullable || binding->args[1]->type.nullable;
    binding->kernel = is_text ? text_format_kernel : date_format_kernel;
    return SABOT_OK;
}

static sabot_status from_unixtime_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct zone *zone = NULL;
    SABOT_TRY(zone_find(call->context->time_zone, &zone, err));
    struct last_written last = {.format = NULL};
    FOR_ROWS(call, row, {
        const struct time_format *format = NULL;
        SABOT_TRY(format_at(call, 1, row, &format, err));
        const int64_t instant = arg_long(call, 0, row);
        if (instant > INT64_MAX / SECOND_NS * 1000 || instant < INT64_MIN / SECOND_NS * 1000) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "FROM_UNIXTIME: %lld seconds are out of range", (long long)instant);
        }
        SABOT_TRY(write_value(call, format, zone, instant, zone_to_local(zone, instant, 1), DAY_MS / 1000, &last, err));
        ((struct string_view *)call->result->values)[row] = last.view;
    })
    return SABOT_OK;
}

sabot_status bind_from_unixtime(const struct function *function, struct function_binding *binding,
                                struct sabot_error *err) {
    static const struct signature signatures[] = {{"FROM_UNIXTIME", "L|S", 'S', false, from_unixtime_kernel}};
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    return bind_pattern(binding, 1, err);
}

/* ---- reading: TO_DATE, TO_TIMESTAMP, TO_TIMESTAMP_LTZ, UNIX_TIMESTAMP -------------------------------------------- */

static int64_t local_ms(const struct time_parsed *parsed) {
    return parsed->parts.day * DAY_MS + parsed->parts.ns / 1000000;
}

static sabot_status to_date_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        struct time_parsed parsed;
        int32_t days = 0;
        bool good;
        if (call->n_args == 1) {
            good = text_to_date(text.data, text.size, &days);
        } else {
            const struct time_format *format = NULL;
            SABOT_TRY(format_at(call, 1, row, &format, err));
            good = time_format_read(format, text, false, &parsed);
            days = (int32_t)parsed.parts.day;
        }
        put_int(call, row, good ? days : 0);
        if (!good) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

static sabot_status to_timestamp_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        struct time_parsed parsed;
        int64_t value = 0;
        bool good;
        if (call->n_args == 1) {
            good = text_to_timestamp(text.data, text.size, 3, &value, NULL);
        } else {
            const struct time_format *format = NULL;
            SABOT_TRY(format_at(call, 1, row, &format, err));
            good = time_format_read(format, text, false, &parsed);
            value = good ? local_ms(&parsed) : 0;
        }
        put_long(call, row, good ? value : 0);
        if (!good) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

/* A zone in the text wins over the one that is given. */
static int64_t instant_ms(const struct time_parsed *parsed, const struct zone *zone) {
    if (parsed->has_offset) { return local_ms(parsed) - parsed->parts.offset_s * INT64_C(1000); }
    return zone_to_instant(parsed->zone ? parsed->zone : zone, local_ms(parsed), 1000);
}

/* TO_TIMESTAMP_LTZ('2020-01-01 00:00:00'[, pattern[, zone]]): the zone is UTC unless it is given. */
static sabot_status text_to_ltz_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct time_format *format = NULL;
        const struct zone *zone = NULL;
        struct time_parsed parsed;
        int64_t value = 0;
        bool good;
        if (call->n_args == 3) {
            char name[64];
            const struct slice given = arg_string(call, 2, row);
            snprintf(name, sizeof name, "%.*s", shown(given), given.data);
            SABOT_TRY(zone_find(name, &zone, err));
        }
        if (call->n_args == 1) {
            good = text_to_timestamp(text.data, text.size, 3, &value, NULL);
        } else {
            SABOT_TRY(format_at(call, 1, row, &format, err));
            good = time_format_read(format, text, false, &parsed);
            value = good ? instant_ms(&parsed, zone) : 0;
        }
        put_long(call, row, good ? value : 0);
        if (!good) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

static sabot_status number_to_ltz_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const int32_t precision = call->n_args == 2 ? arg_int(call, 1, row) : 3;
        if (precision != 0 && precision != 3) {
            return SABOT_FAIL(err, SABOT_ERR_DATA,
                              "TO_TIMESTAMP_LTZ takes seconds (precision 0) or milliseconds (precision 3), not %d",
                              precision);
        }
        int64_t value;
        bool fits = true;
        if (call->args[0]->phys == PHYS_F64) {
            const double ms = arg_double(call, 0, row) * (precision == 0 ? 1000 : 1);
            fits = fabs(ms) < 9.2e18;
            value = fits ? (int64_t)ms : 0;
        } else {
            value = arg_long(call, 0, row);
            fits = precision == 3 || !__builtin_mul_overflow(value, INT64_C(1000), &value);
        }
        if (!fits) { return SABOT_FAIL(err, SABOT_ERR_DATA, "TO_TIMESTAMP_LTZ: the number is out of range"); }
        put_long(call, row, value);
    })
    return SABOT_OK;
}

static const struct signature readers[] = {
    {"TO_DATE", "S|S", 'd', true, to_date_kernel},
    {"TO_TIMESTAMP", "S|S", 'T', true, to_timestamp_kernel},
    {"TO_TIMESTAMP_LTZ", "S|SS", 'Z', true, text_to_ltz_kernel},
};

sabot_status bind_to_time(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    SABOT_TRY(BIND_SIGNATURE(function, binding, readers, err));
    return binding->n_args > 1 ? bind_pattern(binding, 1, err) : SABOT_OK;
}

sabot_status bind_to_ltz(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    static const struct signature of_integer[] = {{"TO_TIMESTAMP_LTZ", "L|I", 'Z', false, number_to_ltz_kernel}};
    static const struct signature of_number[] = {{"TO_TIMESTAMP_LTZ", "D|I", 'Z', false, number_to_ltz_kernel}};
    const struct type from = binding->args[0]->type;
    if (type_is_integer(from)) { return BIND_SIGNATURE(function, binding, of_integer, err); }
    if (type_is_numeric(from)) { return BIND_SIGNATURE(function, binding, of_number, err); }
    return bind_to_time(function, binding, err);
}

/* As Flink has it: a text that can't be read gives the least BIGINT. */
static sabot_status unix_timestamp_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct zone *zone = NULL;
    SABOT_TRY(zone_find(call->context->time_zone, &zone, err));
    FOR_ROWS(call, row, {
        const struct time_format *format = NULL;
        struct time_parsed parsed;
        SABOT_TRY(format_at(call, 1, row, &format, err));
        const bool good = time_format_read(format, arg_string(call, 0, row), true, &parsed);
        put_long(call, row, good ? instant_ms(&parsed, zone) / 1000 : INT64_MIN);
    })
    return SABOT_OK;
}

sabot_status bind_unix_timestamp(const struct function *function, struct function_binding *binding,
                                 struct sabot_error *err) {
    static const struct signature signatures[] = {{"UNIX_TIMESTAMP", "S|S", 'L', false, unix_timestamp_kernel}};
    if (binding->n_args == 0) { return bind_unix_now(binding); }
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    return bind_pattern(binding, 1, err);
}

/* ---- CONVERT_TZ -------------------------------------------------------------------------------------------------- */

static sabot_status zone_arg(struct kernel_call *call, int32_t arg, int32_t row, const struct zone **zone,
                             struct sabot_error *err) {
    char name[64];
    const struct slice given = arg_string(call, arg, row);
    snprintf(name, sizeof name, "%.*s", shown(given), given.data);
    return zone_find(name, zone, err);
}

static sabot_status convert_tz_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct time_format *format = call->expr->bound;
    struct last_written last = {.format = NULL};
    FOR_ROWS(call, row, {
        const struct zone *from = NULL;
        const struct zone *to = NULL;
        struct time_parsed parsed;
        SABOT_TRY(zone_arg(call, 1, row, &from, err));
        SABOT_TRY(zone_arg(call, 2, row, &to, err));
        if (!time_format_read(format, arg_string(call, 0, row), true, &parsed)) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        const int64_t instant = zone_to_instant(from, local_ms(&parsed), 1000);
        SABOT_TRY(write_value(call, format, NULL, 0, zone_to_local(to, instant, 1000), DAY_MS, &last, err));
        ((struct string_view *)call->result->values)[row] = last.view;
    })
    return SABOT_OK;
}

sabot_status bind_convert_tz(const struct function *function, struct function_binding *binding,
                             struct sabot_error *err) {
    static const struct signature signatures[] = {{"CONVERT_TZ", "SSS", 'S', true, convert_tz_kernel}};
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    return bind_pattern(binding, binding->n_args, err);
}
