/* SET and RESET: the session's settings, all from settings.def. One thread at a time. */
#ifndef SQL_SETTINGS_H
#define SQL_SETTINGS_H

#include "sql/ast.h"

enum setting {
#define X(field, key, kind, fallback, summary) SETTING_##field,
#include "sql/settings.def"
#undef X
    SETTINGS_COUNT
};

enum setting_kind {
    SETTING_KIND_STRING,
    SETTING_KIND_INT,
    SETTING_KIND_BOOL,
    SETTING_KIND_DURATION,
    SETTING_KIND_SIZE,
    SETTING_KIND_ENUM,
    SETTING_KIND_IGNORED,
};

struct setting_info {
    const char *key;
    enum setting_kind kind;
    const char *fallback; /* ENUM: all values, the first is the default */
    const char *summary;
};
extern const struct setting_info setting_infos[SETTINGS_COUNT];

struct settings {
    char *values[SETTINGS_COUNT]; /* NULL: the default */
};
void settings_clear(struct settings *settings); /* all back to their defaults; frees */

/* Checks key and value; an unknown key gets the nearest one in the message. Spans may be all zero. */
sabot_status settings_set(struct settings *settings, const char *key, const char *value, struct sql_span key_span,
                          struct sql_span value_span, struct sabot_error *err);
sabot_status settings_reset(struct settings *settings, const char *key, struct sql_span span, struct sabot_error *err);

/* Values are checked when they are set, so these can't fail. */
const char *settings_text(const struct settings *settings, enum setting setting);
int64_t settings_int(const struct settings *settings,
                     enum setting setting); /* INT, BOOL; DURATION in ns; SIZE in bytes */
bool settings_is(const struct settings *settings, enum setting setting, const char *value); /* ENUM, without case */

#endif
