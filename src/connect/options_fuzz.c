/* Any text as a duration, a size, or an option of WITH: a value or an error that has a message. */
#include <stdlib.h>
#include <string.h>

#include "connect/connector.h"

static const struct connector_option options[] = {
    {"text", OPTION_STRING, NULL, NULL, "a text"},
    {"number", OPTION_INT, "1", NULL, "a number"},
    {"yes", OPTION_BOOL, "true", NULL, "a truth"},
    {"time", OPTION_DURATION, "1 s", NULL, "a time"},
    {"bytes", OPTION_SIZE, "1 kb", NULL, "a size"},
    {"kind", OPTION_ENUM, "a", "a|bc|def", "a choice"},
    {"fields.#.kind", OPTION_ENUM, NULL, "random|sequence", "of a column"},
    {"properties.", OPTION_PREFIX, NULL, NULL, "anything"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

static void check(sabot_status status, const struct sabot_error *err) {
    if ((status == SABOT_OK) != (err->status == SABOT_OK) || (status != SABOT_OK && !err->message[0])) { abort(); }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 2);
    if (!text) { return 0; }
    if (size) { memcpy(text, data, size); }
    text[size] = text[size + 1] = 0;
    struct sabot_error errors[3] = {0};
    int64_t value;
    check(duration_parse(text, &value, &errors[0]), &errors[0]);
    check(size_parse(text, &value, &errors[1]), &errors[1]);
    /* key, NUL, value */
    const struct table_option given[] = {{.key = "connector", .value = "fuzz"},
                                         {.key = text, .value = text + strlen(text) + 1}};
    const struct connector_table table = {.name = "t", .options = given, .n_options = 2};
    const struct connector_option *const tables[] = {options};
    check(options_check(&table, tables, 1, &errors[2]), &errors[2]);
    free(text);
    return 0;
}
