/* sabot functions: the reference of scalar functions, made from the table that the binder uses. */
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "expr/function.h"

#include <stdio.h>
#include <strings.h>

#define FUNCTIONS_MAX 1024

static void print_function(const struct function *function) {
    printf("%s\n    %s\n", function->signature, function->summary);
    if (function->example && function->example[0]) { printf("    %s  ->  %s\n", function->example, function->result); }
}

static void print_all(void) {
    const char *category = "";
    for (size_t i = 0; function_at(i); i++) {
        const struct function *function = function_at(i);
        if (strcmp(category, function->category) != 0) {
            category = function->category;
            printf("%s%s\n", i ? "\n" : "", category);
        }
        printf("  %-44s %s\n", function->signature, function->summary);
    }
}

/* The table in Markdown, for the guide. */
static void print_markdown(void) {
    const char *category = "";
    for (size_t i = 0; function_at(i); i++) {
        const struct function *function = function_at(i);
        if (strcmp(category, function->category) != 0) {
            category = function->category;
            printf("%s## %s\n| function | is | example | gives |\n|---|---|---|---|\n", i ? "\n" : "", category);
        }
        printf("| `%s` | %s | `%s` | `%s` |\n", function->signature, function->summary, function->example,
               function->result);
    }
}

int command_functions(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts("usage: sabot functions [NAME | --markdown]\n\nShows all scalar functions, or what one of them does.");
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        print_markdown();
        return 0;
    }
    if (argc > 2) { return console_usage("functions", "one name, please"); }
    if (argc < 2) {
        print_all();
        return 0;
    }
    const char *names[FUNCTIONS_MAX];
    size_t n = 0;
    bool found = false;
    for (size_t i = 0; function_at(i); i++) {
        if (n < FUNCTIONS_MAX) { names[n++] = function_at(i)->name; }
        if (strcasecmp(function_at(i)->name, argv[1]) != 0) { continue; }
        print_function(function_at(i));
        found = true;
    }
    if (found) { return 0; }
    const char *nearest = nearest_name(argv[1], names, n);
    return console_usage("functions", nearest ? "there is no function %s; did you mean %s?" : "there is no function %s",
                         argv[1], nearest);
}
