/* Options of the connector 'filesystem', and the formats that only files have. */
#include "connect/file/file.h"

const struct connector_option file_options[] = {
#define X(name, kind, fallback, values, summary) {name, kind, fallback, values, summary},
#include "connect/file/options.def"
#undef X
#define X(field, name, kind, fallback, summary) {name, OPTION_##kind, NULL, NULL, summary},
#include "store/settings.def"
#undef X
    {0},
};

sabot_status file_table_read(const struct connector_table *table, struct file_table *out, struct sabot_error *err) {
    *out = (struct file_table){0};
    const char *name = option_text(table, NULL, "format");
    if (!name) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": option 'format' is missing: csv, json, raw, parquet or arrow", table->name);
    }
    out->format = format_find(name);
    if (!out->format) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": there is no format '%s': csv, json, raw, parquet or arrow", table->name, name);
    }
    out->kind = strcmp(name, "parquet") == 0 ? FILE_PARQUET : strcmp(name, "arrow") == 0 ? FILE_ARROW : FILE_RECORDS;
    const struct connector_option *tables[] = {file_options, out->format->options};
    SABOT_TRY(options_check(table, tables, 2, err));
    out->path = option_text(table, file_options, "path");
    if (strncmp(out->path, "file://", 7) == 0) { out->path += 7; }
    if (!*out->path) { return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": option 'path' is empty", table->name); }
    return SABOT_OK;
}

sabot_status file_store_open(const struct connector_context *context, struct store **out, struct sabot_error *err) {
    static const char *const keys[] = {
#define X(field, name, kind, fallback, summary) name,
#include "store/settings.def"
#undef X
    };
    struct store_setting settings[sizeof keys / sizeof keys[0]];
    int32_t n = 0;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = option_text(context->table, NULL, keys[i]);
        if (value) { settings[n++] = (struct store_setting){keys[i], value}; }
    }
    return context->store ? store_with(context->store, settings, n, out, err)
                          : store_new(context->env, settings, n, out, err);
}
