/* Finding and opening shared libraries of Sabot's own. */
#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 4096

void *library_open(const char *name, char *why, size_t why_size) {
    Dl_info info;
    char path[PATH_SIZE];
    if (dladdr((void *)library_open, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');
        const int folder = slash ? (int)(slash - info.dli_fname) + 1 : 0;
        static const char *const places[] = {"", "../lib/", "../lib/x86_64-linux-gnu/", "../", "../../"};
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            snprintf(path, sizeof path, "%.*s%s%s", folder, folder ? info.dli_fname : "./", places[i], name);
            void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
            if (library) { return library; }
        }
    }
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) { snprintf(why, why_size, "%s", dlerror()); }
    return library;
}
