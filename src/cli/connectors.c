/* sabot connectors: the reference of connectors, formats and their options, made from their tables. */
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "engine/savepoint.h"
#include "format/format.h"

#include <stdio.h>

#define NAMES_MAX 256

/* Those that the engine makes tables of itself can't be named in WITH. */
static bool is_public(const struct connector *connector) {
    return !(connector->source ? connector->source->is_internal : connector->sink->is_internal);
}

static const char *summary_of(const struct connector *connector) {
    return connector->source ? connector->source->summary : connector->sink->summary;
}

static void print_options(const struct connector_option *options) {
    for (const struct connector_option *option = options; option && option->name; option++) {
        const bool required = option->fallback == OPTION_REQUIRED;
        printf("    '%s%s'%s%s%s\n        %s%s%s%s\n", option->name, option->kind == OPTION_PREFIX ? "*" : "",
               required ? "  required" : option->fallback ? "  default '" : "",
               required || !option->fallback ? "" : option->fallback, required || !option->fallback ? "" : "'",
               option->summary, option->values ? " (" : "", option->values ? option->values : "",
               option->values ? ")" : "");
    }
}

static void print_connector(const struct connector *connector) {
    printf("%s: %s\n", connector->name, summary_of(connector));
    if (connector->source) {
        printf("  as a source%s\n", connector->source->takes_format ? ", with a 'format'" : "");
        print_options(connector->source->options);
    }
    if (connector->sink && (!connector->source || connector->sink->options != connector->source->options)) {
        printf("  as a sink%s\n", connector->sink->takes_format ? ", with a 'format'" : "");
        print_options(connector->sink->options);
    }
}

static void print_all(void) {
    puts("connectors");
    for (size_t i = 0; connector_at(i); i++) {
        const struct connector *connector = connector_at(i);
        if (!is_public(connector)) { continue; }
        printf("  %-14s %-12s %s\n", connector->name,
               !connector->sink ? "source" : !connector->source ? "sink" : "source, sink", summary_of(connector));
    }
    puts("\nformats");
    for (size_t i = 0; format_at(i); i++) { printf("  %-27s %s\n", format_at(i)->name, format_at(i)->summary); }
    puts("\n`sabot connectors NAME` shows the options.");
}

int command_connectors(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts("usage: sabot connectors [NAME]\n\nShows all connectors and formats, or the options of one of them.");
        return 0;
    }
    if (argc > 2) { return console_usage("connectors", "one name, please"); }
    struct sabot_error err = {0};
    if (savepoint_register(&err) != SABOT_OK) { return console_error(&err, NULL, NULL, 0); }
    if (argc < 2) {
        print_all();
        return 0;
    }
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; connector_at(i) && n < NAMES_MAX; i++) {
        if (is_public(connector_at(i))) { names[n++] = connector_at(i)->name; }
    }
    for (size_t i = 0; format_at(i) && n < NAMES_MAX; i++) { names[n++] = format_at(i)->name; }
    const struct connector *connector = connector_find(argv[1]);
    const struct format_type *format = format_find(argv[1]);
    if (connector && is_public(connector)) { print_connector(connector); }
    if (format) {
        printf("format %s: %s\n", format->name, format->summary);
        print_options(format->options);
    }
    if ((connector && is_public(connector)) || format) { return 0; }
    const char *nearest = nearest_name(argv[1], names, n);
    return console_usage("connectors", nearest ? "there is no connector or format %s; did you mean %s?"
                                               : "there is no connector or format %s", argv[1], nearest);
}
