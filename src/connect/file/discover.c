/* Which files a path stands for: itself, all below a folder, or those that match a pattern. Hidden ones (a name that
 * begins with . or _) are left out, as in Flink. */
#include "connect/file/file.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

struct discovery {
    struct store *store;
    struct file_list *list;
    struct sabot_error *err;
};

void file_list_clear(struct file_list *list) {
    for (size_t i = 0; i < list->n; i++) { free(list->items[i].path); }
    free(list->items);
    *list = (struct file_list){0};
}

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of files");
}

static sabot_status found(struct discovery *discovery, const char *path, const struct env_stat *stat) {
    struct file_list *list = discovery->list;
    if (list->n == FILES_MAX) {
        return SABOT_FAIL(discovery->err, SABOT_ERR_DATA, "more than %zu files: name a smaller folder or a pattern",
                          FILES_MAX);
    }
    if (list->n == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct file_found *items = realloc(list->items, capacity * sizeof *items);
        if (!items) { return no_memory(discovery->err); }
        list->items = items;
        list->capacity = capacity;
    }
    char *copy = strdup(path);
    if (!copy) { return no_memory(discovery->err); }
    list->items[list->n++] = (struct file_found){copy, stat->size, stat->modified_ms};
    return SABOT_OK;
}

static char *join(const char *folder, const char *name) {
    const size_t size = strlen(folder);
    char *path = malloc(size + strlen(name) + 2);
    if (!path) { return NULL; }
    memcpy(path, folder, size);
    size_t at = size;
    if (size > 0 && folder[size - 1] != '/') { path[at++] = '/'; }
    strcpy(path + at, name);
    return path;
}

static bool is_hidden(const char *name) { return name[0] == '.' || name[0] == '_'; }

static sabot_status walk(struct discovery *discovery, const char *path, const struct env_stat *stat,
                         const char *pattern, int depth);

/* One entry of a folder; `rest` is what of the pattern lies behind it, NULL for all. */
static sabot_status walk_entry(struct discovery *discovery, const char *folder, const struct store_entry *entry,
                               const char *rest, int depth) {
    char *path = join(folder, entry->name);
    if (!path) { return no_memory(discovery->err); }
    const sabot_status status = walk(discovery, path, &entry->stat, rest, depth + 1);
    free(path);
    return status;
}

/* `pattern`: components still to match below `path`; NULL or "": path itself, with all below it. */
static sabot_status walk(struct discovery *discovery, const char *path, const struct env_stat *stat,
                         const char *pattern, int depth) {
    const bool all = !pattern || !*pattern;
    if (!stat->is_directory) { return all ? found(discovery, path, stat) : SABOT_OK; }
    if (depth > DEPTH_MAX) {
        return SABOT_FAIL(discovery->err, SABOT_ERR_DATA, "%s: folders nested more than %d deep", path, DEPTH_MAX);
    }
    char component[256] = "*";
    const char *rest = NULL;
    if (!all) {
        const char *slash = strchr(pattern, '/');
        const size_t size = slash ? (size_t)(slash - pattern) : strlen(pattern);
        if (size >= sizeof component) {
            return SABOT_FAIL(discovery->err, SABOT_ERR_USAGE, "a name in the pattern \"%s\" is too long", pattern);
        }
        memcpy(component, pattern, size);
        component[size] = 0;
        rest = slash ? slash + 1 : NULL;
    }
    struct store_entry *entries = NULL;
    size_t n = 0;
    sabot_status status = store_list(discovery->store, path, &entries, &n, discovery->err);
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        const char *name = entries[i].name;
        if (fnmatch(component, name, FNM_PERIOD) != 0 || (is_hidden(name) && component[0] != name[0])) { continue; }
        status = walk_entry(discovery, path, &entries[i], rest, depth);
    }
    store_entries_free(entries, n);
    return status;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct file_found *)a)->path, ((const struct file_found *)b)->path);
}

sabot_status files_discover(struct store *store, const char *path, struct file_list *out, struct sabot_error *err) {
    *out = (struct file_list){0};
    struct discovery discovery = {store, out, err};
    struct env_stat stat;
    const char *wild = strpbrk(path, "*?[");
    bool is_there = true;
    sabot_status status = wild ? store_look(store, path, &is_there, &stat, err) : store_stat(store, path, &stat, err);
    if (status != SABOT_OK || is_there) {
        if (status == SABOT_OK) { status = walk(&discovery, path, &stat, NULL, 0); }
    } else {
        /* the folder before the first component with a wildcard */
        size_t size = (size_t)(wild - path);
        while (size > 0 && path[size - 1] != '/') { size--; }
        char *root = strndup(size ? path : ".", size ? size : 1);
        if (!root) { return no_memory(err); }
        status = store_stat(store, root, &stat, err);
        if (status == SABOT_OK) { status = walk(&discovery, root, &stat, path + size, 0); }
        free(root);
    }
    if (status != SABOT_OK) {
        file_list_clear(out);
        return status;
    }
    if (out->n > 1) { qsort(out->items, out->n, sizeof *out->items, by_path); }
    return SABOT_OK;
}
