/* sabot settings: the reference of what SET takes, made from the table that SET checks against. */
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "sql/settings.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: sabot settings [NAME | PART] [--markdown]\n\n"
    "Shows the settings, or those whose name has PART in it: default, what it takes, what it means.\n"
    "A script sets one with SET 'name' = 'value'; the command line with --set name=value. SET; shows the values of\n"
    "a session.\n\n"
    "      --markdown    as a table in Markdown\n";

static const char *taken(const struct setting_info *info) {
    switch (info->kind) {
    case SETTING_KIND_STRING: return "text";
    case SETTING_KIND_INT: return "whole number";
    case SETTING_KIND_BOOL: return "true, false";
    case SETTING_KIND_DURATION: return "duration: 500 ms, 10 s, 5 min, 1 h, 1 d";
    case SETTING_KIND_SIZE: return "size: 512 mb, 4 gb";
    case SETTING_KIND_ENUM: return info->fallback;
    case SETTING_KIND_IGNORED: return "anything, without effect";
    }
    return "";
}

/* The first of the values that an ENUM lists. */
static int default_size(const struct setting_info *info) {
    return (int)(info->kind == SETTING_KIND_ENUM ? strcspn(info->fallback, "|") : strlen(info->fallback));
}

static void print_setting(const struct setting_info *info) {
    printf("%s  default '%.*s'  (%s)\n    %s\n", info->key, default_size(info), info->fallback, taken(info),
           info->summary);
}

static void print_row(const struct setting_info *info) {
    const int size = default_size(info);
    printf("| `%s` | %s%.*s%s | ", info->key, size ? "`" : "", size, info->fallback, size ? "`" : "empty");
    for (const char *at = taken(info); *at; at++) { /* a bar would end the cell */
        if (*at == '|') {
            fputs(", ", stdout);
        } else {
            putchar(*at);
        }
    }
    printf(" | %s |\n", info->summary);
}

int command_settings(int argc, char **argv) {
    const char *part = NULL;
    bool markdown = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--markdown") == 0) {
            markdown = true;
        } else if (argv[i][0] == '-') {
            return console_usage("settings", "there is no option %s", argv[i]);
        } else if (part) {
            return console_usage("settings", "one name, please");
        } else {
            part = argv[i];
        }
    }
    struct nearest nearest = {.wanted = part};
    bool found = false;
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting_info *info = &setting_infos[i];
        if (part) { nearest_offer(&nearest, info->key); }
        if (part && !strstr(info->key, part)) { continue; }
        if (markdown && !found) { puts("| setting | default | takes | meaning |\n|---|---|---|---|"); }
        found = true;
        if (markdown) {
            print_row(info);
        } else {
            print_setting(info);
        }
    }
    if (found) { return 0; }
    char hint[128];
    return console_usage("settings", "there is no setting with %s in its name%s", part,
                         nearest_hint(&nearest, hint, sizeof hint));
}
