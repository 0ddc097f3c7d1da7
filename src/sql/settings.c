/* Settings as text, checked against their kind when they are set. */
#include "sql/settings.h"

#include "base/nearest.h"
#include "base/zone.h"
#include "connect/connector.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct setting_info setting_infos[SETTINGS_COUNT] = {
#define X(field, key, kind, fallback, summary) [SETTING_##field] = {key, SETTING_KIND_##kind, fallback, summary},
#include "sql/settings.def"
#undef X
};

struct range {
    enum setting setting;
    int64_t min, max;
};
static const struct range ranges[] = {
    {SETTING_parallelism, 1, 1024},   {SETTING_max_parallelism, 1, 32768}, {SETTING_batch_rows, 1, 65536},
    {SETTING_workers, 0, 1024},       {SETTING_channel_batches, 1, 1024},  {SETTING_checkpoints_retained, 1, 1000},
    {SETTING_result_batches, 1, 4096}, {SETTING_checkpoints_concurrent, 1, 1},
    {SETTING_checkpoint_failures, 0, 1000000}, {SETTING_store_retries, 0, 100},
};

void settings_clear(struct settings *settings) {
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        free(settings->values[i]);
        settings->values[i] = NULL;
    }
}

/* Whether `value` is one of "a|b|c", without regard to case. */
static bool is_listed(const char *list, const char *value) {
    const size_t length = strlen(value);
    for (const char *at = list; *at;) {
        const size_t size = strcspn(at, "|");
        if (size == length && strncasecmp(at, value, size) == 0) { return true; }
        at += size + (at[size] == '|');
    }
    return false;
}

static bool int_parse(const char *text, int64_t *out) {
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    *out = value;
    return errno == 0 && end != text && *end == 0;
}

static sabot_status not_listed(const struct setting_info *info, const char *value, struct sql_span span,
                               struct sabot_error *err) {
    struct nearest nearest = {.wanted = value};
    char names[256], hint[128], *rest = NULL;
    snprintf(names, sizeof names, "%s", info->fallback);
    for (char *name = strtok_r(names, "|", &rest); name; name = strtok_r(NULL, "|", &rest)) {
        nearest_offer(&nearest, name);
    }
    return SQL_FAIL(err, SABOT_ERR_PLAN, span, "'%s' takes one of %s, not '%s'%s", info->key, info->fallback, value,
                    nearest_hint(&nearest, hint, sizeof hint));
}

static sabot_status check(enum setting setting, const char *value, struct sql_span span, struct sabot_error *err) {
    const struct setting_info *info = &setting_infos[setting];
    int64_t number = 0;
    struct sabot_error reason = {0};
    switch (info->kind) {
    case SETTING_KIND_INT:
        if (!int_parse(value, &number)) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, span, "'%s' takes a whole number, not '%s'", info->key, value);
        }
        for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
            if (ranges[i].setting == setting && (number < ranges[i].min || number > ranges[i].max)) {
                return SQL_FAIL(err, SABOT_ERR_PLAN, span, "'%s' takes %lld to %lld, not %s", info->key,
                                (long long)ranges[i].min, (long long)ranges[i].max, value);
            }
        }
        return SABOT_OK;
    case SETTING_KIND_BOOL:
        if (is_listed("true|false", value)) { return SABOT_OK; }
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "'%s' takes true or false, not '%s'", info->key, value);
    case SETTING_KIND_DURATION:
        if (duration_parse(value, &number, &reason) == SABOT_OK && number >= 0) { return SABOT_OK; }
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "'%s' takes a duration such as '10 s' or '500 ms', not '%s'",
                        info->key, value);
    case SETTING_KIND_SIZE:
        if (size_parse(value, &number, &reason) == SABOT_OK && number >= 0) { return SABOT_OK; }
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "'%s' takes a size such as '512 mb', not '%s'", info->key, value);
    case SETTING_KIND_ENUM:
        if (is_listed(info->fallback, value)) { return SABOT_OK; }
        return not_listed(info, value, span, err);
    case SETTING_KIND_STRING:
    case SETTING_KIND_IGNORED: return SABOT_OK;
    }
    return SABOT_OK;
}

static sabot_status find(const char *key, struct sql_span span, enum setting *out, struct sabot_error *err) {
    struct nearest nearest = {.wanted = key};
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        if (strcmp(setting_infos[i].key, key) == 0) {
            *out = (enum setting)i;
            return SABOT_OK;
        }
        nearest_offer(&nearest, setting_infos[i].key);
    }
    char hint[128];
    return SQL_FAIL(err, SABOT_ERR_PLAN, span, "there is no setting '%s'%s (`sabot settings` lists them all)", key,
                    nearest_hint(&nearest, hint, sizeof hint));
}

sabot_status settings_set(struct settings *settings, const char *key, const char *value, struct sql_span key_span,
                          struct sql_span value_span, struct sabot_error *err) {
    enum setting setting = 0;
    SABOT_TRY(find(key, key_span, &setting, err));
    SABOT_TRY(check(setting, value, value_span, err));
    const struct zone *zone;
    if (setting == SETTING_time_zone && zone_find(value, &zone, NULL) != SABOT_OK) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, value_span,
                        "'%s' takes a time zone such as 'Europe/Berlin', 'UTC' or '+02:00', not '%s'", key, value);
    }
    char *copy = strdup(value);
    if (!copy) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for setting '%s'", key); }
    free(settings->values[setting]);
    settings->values[setting] = copy;
    return SABOT_OK;
}

sabot_status settings_reset(struct settings *settings, const char *key, struct sql_span span, struct sabot_error *err) {
    enum setting setting = 0;
    SABOT_TRY(find(key, span, &setting, err));
    free(settings->values[setting]);
    settings->values[setting] = NULL;
    return SABOT_OK;
}

const char *settings_text(const struct settings *settings, enum setting setting) {
    static _Thread_local char first[64];
    if (settings->values[setting]) { return settings->values[setting]; }
    const struct setting_info *info = &setting_infos[setting];
    if (info->kind != SETTING_KIND_ENUM) { return info->fallback; }
    const size_t size = strcspn(info->fallback, "|");
    assert(size < sizeof first);
    memcpy(first, info->fallback, size);
    first[size] = 0;
    return first;
}

int64_t settings_int(const struct settings *settings, enum setting setting) {
    const char *text = settings_text(settings, setting);
    int64_t value = 0;
    switch (setting_infos[setting].kind) {
    case SETTING_KIND_BOOL: return strcasecmp(text, "true") == 0;
    case SETTING_KIND_DURATION: (void)duration_parse(text, &value, NULL); return value;
    case SETTING_KIND_SIZE: (void)size_parse(text, &value, NULL); return value;
    default: (void)int_parse(text, &value); return value;
    }
}

bool settings_is(const struct settings *settings, enum setting setting, const char *value) {
    return strcasecmp(settings_text(settings, setting), value) == 0;
}
