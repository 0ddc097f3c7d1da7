/* WITH ('key' = 'value'): checked against the tables that connectors and formats state their options in. */
#include "base/nearest.h"
#include "connect/connector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

const char OPTION_REQUIRED[] = "(required)";

static sabot_status fail_at(const struct table_option *given, sabot_status status, struct sabot_error *err) {
    if (err && given && given->line && !err->sql_line) {
        err->sql_line = given->line;
        err->sql_column = given->column;
        err->sql_length = (uint32_t)strlen(given->value) + 2; /* with the quotes */
    }
    return status;
}

static const struct table_option *option_given(const struct connector_table *table, const char *name) {
    for (int32_t i = 0; i < table->n_options; i++) {
        if (strcmp(table->options[i].key, name) == 0) { return &table->options[i]; }
    }
    return NULL;
}

/* "fields.#.kind" takes any text without a dot-bounded rest in place of '#'; "properties." any text behind it. */
static bool option_matches(const struct connector_option *option, const char *key) {
    const size_t length = strlen(option->name);
    if (option->kind == OPTION_PREFIX) { return strncmp(key, option->name, length) == 0 && key[length]; }
    const char *hash = strchr(option->name, '#');
    if (!hash) { return strcmp(key, option->name) == 0; }
    const size_t head = (size_t)(hash - option->name), tail = strlen(hash + 1), size = strlen(key);
    return size > head + tail && strncmp(key, option->name, head) == 0 && strcmp(key + size - tail, hash + 1) == 0;
}

static const struct connector_option *option_described(const struct connector_option *options, const char *key) {
    for (const struct connector_option *option = options; option && option->name; option++) {
        if (option_matches(option, key)) { return option; }
    }
    return NULL;
}

static bool enum_has(const char *values, const char *value) {
    const size_t size = strlen(value);
    for (const char *at = values; at; at = strchr(at, '|')) {
        if (*at == '|') { at++; }
        if (strncasecmp(at, value, size) == 0 && (at[size] == '|' || !at[size])) { return true; }
    }
    return false;
}

sabot_status duration_parse(const char *text, int64_t *out_ns, struct sabot_error *err) {
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {
        {"ns", 1}, {"nano", 1}, {"nanosecond", 1}, {"nanoseconds", 1},
        {"us", 1000}, {"micro", 1000}, {"microsecond", 1000}, {"microseconds", 1000},
        {"", 1000000}, {"ms", 1000000}, {"milli", 1000000}, {"millisecond", 1000000}, {"milliseconds", 1000000},
        {"s", 1000000000}, {"sec", 1000000000}, {"second", 1000000000}, {"seconds", 1000000000},
        {"m", 60000000000}, {"min", 60000000000}, {"minute", 60000000000}, {"minutes", 60000000000},
        {"h", 3600000000000}, {"hour", 3600000000000}, {"hours", 3600000000000},
        {"d", 86400000000000}, {"day", 86400000000000}, {"days", 86400000000000},
    };
    char *end = NULL;
    errno = 0;
    const double count = strtod(text, &end);
    while (*end == ' ') { end++; }
    char unit[16];
    size_t n = 0;
    while (end[n] && !isspace((unsigned char)end[n]) && n + 1 < sizeof unit) { unit[n] = end[n]; n++; }
    unit[n] = 0;
    const bool decimal = !strpbrk(text, "xX"); /* strtod takes 0x10 too */
    for (size_t i = 0; decimal && end != text && i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(units[i].unit, unit) != 0) { continue; }
        const double ns = count * (double)units[i].ns;
        if (errno == 0 && ns >= 0 && ns < 9.2e18) {
            *out_ns = (int64_t)ns;
            return SABOT_OK;
        }
    }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "\"%s\" is not a duration: write a number and ns, us, ms, s, min, h or d, "
                      "such as '10 s' or '500 ms'", text);
}

sabot_status size_parse(const char *text, int64_t *out, struct sabot_error *err) {
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {
        {"", 1}, {"b", 1}, {"bytes", 1}, {"k", 1024}, {"kb", 1024}, {"kib", 1024}, {"m", 1048576}, {"mb", 1048576},
        {"mib", 1048576}, {"g", 1073741824}, {"gb", 1073741824}, {"gib", 1073741824}, {"t", 1099511627776},
        {"tb", 1099511627776}, {"tib", 1099511627776},
    };
    char *end = NULL;
    errno = 0;
    const double count = strtod(text, &end);
    while (*end == ' ') { end++; }
    const bool decimal = !strpbrk(text, "xX"); /* strtod takes 0x10 too */
    for (size_t i = 0; decimal && end != text && i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(units[i].unit, end) != 0) { continue; }
        const double bytes = count * units[i].bytes;
        if (errno == 0 && bytes >= 0 && bytes < 9.2e18) {
            *out = (int64_t)bytes;
            return SABOT_OK;
        }
    }
    return SABOT_FAIL(err, SABOT_ERR_PLAN,
                      "\"%s\" is not a size: write a number and b, kb, mb, gb or tb, such as '64 mb'", text);
}

static sabot_status int_parse(const char *text, int64_t *out, struct sabot_error *err) {
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end) { return SABOT_FAIL(err, SABOT_ERR_PLAN, "\"%s\" is not a whole number", text); }
    *out = value;
    return SABOT_OK;
}

static sabot_status bool_parse(const char *text, bool *out, struct sabot_error *err) {
    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
        *out = strcasecmp(text, "true") == 0;
        return SABOT_OK;
    }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "\"%s\" is neither true nor false", text);
}

static sabot_status value_check(const struct connector_option *option, const char *value, struct sabot_error *err) {
    int64_t number;
    bool truth;
    switch (option->kind) {
    case OPTION_INT: return int_parse(value, &number, err);
    case OPTION_BOOL: return bool_parse(value, &truth, err);
    case OPTION_DURATION: return duration_parse(value, &number, err);
    case OPTION_SIZE: return size_parse(value, &number, err);
    case OPTION_ENUM:
        if (enum_has(option->values, value)) { return SABOT_OK; }
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "\"%s\" is not one of %s", value, option->values);
    case OPTION_STRING:
    case OPTION_PREFIX: break;
    }
    return SABOT_OK;
}

static sabot_status unknown_option(const struct connector_table *table, const struct table_option *given,
                                   const struct connector_option *const *tables, int32_t n_tables,
                                   struct sabot_error *err) {
    const char *names[256];
    size_t n = 0;
    for (int32_t t = 0; t < n_tables; t++) {
        for (const struct connector_option *option = tables[t]; option && option->name && n < 256; option++) {
            names[n++] = option->name;
        }
    }
    const char *nearest = nearest_name(given->key, names, n);
    if (nearest) {
        SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": there is no option '%s'; did you mean '%s'?", table->name,
                   given->key, nearest);
    } else {
        SABOT_FAIL(err, SABOT_ERR_PLAN,
                   "table \"%s\": there is no option '%s' for this connector and format; `sabot connectors` lists them",
                   table->name, given->key);
    }
    return fail_at(given, SABOT_ERR_PLAN, err);
}

sabot_status options_check(const struct connector_table *table, const struct connector_option *const *tables,
                           int32_t n_tables, struct sabot_error *err) {
    for (int32_t i = 0; i < table->n_options; i++) {
        const struct table_option *given = &table->options[i];
        if (strcmp(given->key, "connector") == 0 || strcmp(given->key, "format") == 0) { continue; }
        const struct connector_option *option = NULL;
        for (int32_t t = 0; t < n_tables && !option; t++) { option = option_described(tables[t], given->key); }
        if (!option) { return unknown_option(table, given, tables, n_tables, err); }
        const sabot_status status = value_check(option, given->value, err);
        if (status != SABOT_OK) {
            error_context(err, "table \"%s\", option '%s'", table->name, given->key);
            return fail_at(given, status, err);
        }
    }
    for (int32_t t = 0; t < n_tables; t++) {
        for (const struct connector_option *option = tables[t]; option && option->name; option++) {
            if (option->fallback == OPTION_REQUIRED && !option_given(table, option->name)) {
                return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": option '%s' is missing (%s)", table->name,
                                  option->name, option->summary);
            }
        }
    }
    return SABOT_OK;
}

const char *option_text(const struct connector_table *table, const struct connector_option *options,
                        const char *name) {
    const struct table_option *given = option_given(table, name);
    if (given) { return given->value; }
    const struct connector_option *option = option_described(options, name);
    return option && option->fallback != OPTION_REQUIRED ? option->fallback : NULL;
}

/* Names the option in a failure of one of the parsers. */
static sabot_status option_parsed(sabot_status status, const struct connector_table *table, const char *name,
                                  struct sabot_error *err) {
    if (status == SABOT_OK) { return SABOT_OK; }
    error_context(err, "table \"%s\", option '%s'", table->name, name);
    return fail_at(option_given(table, name), status, err);
}

#define OPTION_TEXT_OR_FAIL(text)                                                                                      \
    const char *text = option_text(table, options, name);                                                              \
    if (!text) { return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": option '%s' is missing", table->name, name); }

sabot_status option_int(const struct connector_table *table, const struct connector_option *options, const char *name,
                        int64_t *out, struct sabot_error *err) {
    OPTION_TEXT_OR_FAIL(text);
    return option_parsed(int_parse(text, out, err), table, name, err);
}

sabot_status option_bool(const struct connector_table *table, const struct connector_option *options, const char *name,
                         bool *out, struct sabot_error *err) {
    OPTION_TEXT_OR_FAIL(text);
    return option_parsed(bool_parse(text, out, err), table, name, err);
}

sabot_status option_duration(const struct connector_table *table, const struct connector_option *options,
                             const char *name, int64_t *out_ns, struct sabot_error *err) {
    OPTION_TEXT_OR_FAIL(text);
    return option_parsed(duration_parse(text, out_ns, err), table, name, err);
}

sabot_status option_size(const struct connector_table *table, const struct connector_option *options, const char *name,
                         int64_t *out, struct sabot_error *err) {
    OPTION_TEXT_OR_FAIL(text);
    return option_parsed(size_parse(text, out, err), table, name, err);
}
