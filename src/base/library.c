/* Finding and opening shared libraries of Sabot's own. */
#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 4096

static void *find(const char *name) {
    Dl_info info;
    char path[PATH_SIZE];
    if (dladdr((void *)find, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');
        const int folder = slash ? (int)(slash - info.dli_fname) + 1 : 0;
        static const char *const places[] = {"", "../lib/", "../lib/x86_64-linux-gnu/", "../", "../../"};
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            snprintf(path, sizeof path, "%.*s%s%s", folder, folder ? info.dli_fname : "./", places[i], name);
            void *found = dlopen(path, RTLD_NOW | RTLD_LOCAL);
            if (found) { return found; }
        }
    }
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

sabot_status library_open(struct library *library, struct sabot_error *err) {
    if (library->table) { return SABOT_OK; }
    void *found = find(library->name);
    if (!found) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "%s %s, which can't be opened (%s): %s", library->who,
                          library->name, dlerror(), library->remedy);
    }
    union {
        void *object;
        const void *(*function)(void);
    } symbol = {.object = dlsym(found, library->entry)};
    const struct library_head *head = symbol.object ? symbol.function() : NULL;
    if (!head || head->version != library->version || head->error_size != sizeof(struct sabot_error)) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "%s is of another version of Sabot: install both together",
                          library->name);
    }
    library->table = head;
    return SABOT_OK;
}
