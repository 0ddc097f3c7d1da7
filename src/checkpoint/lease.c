/* Leases: the files D/lease/<epoch> and D/lease/<epoch>.base, both put if absent. */
#include "checkpoint/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE LEASE_PATH_MAX
/* Old ones are removed: what they make void is older than what a newer base makes void too. */
#define LEASES_MAX 64
#define TRIES_MAX 100
#define BASE_OF_NOTHING INT64_MAX /* an epoch that was given up before it began: makes nothing void */

static sabot_status lease_path(const char *dir, int64_t epoch, const char *end, char target[PATH_SIZE],
                               struct sabot_error *err) {
    const int size = snprintf(target, PATH_SIZE, "%s/lease/%010" PRId64 "%s", dir, epoch, end);
    if (size < PATH_SIZE) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long: choose a shorter one", dir);
}

/* The leases of a folder, by rising epoch. */
struct leases {
    struct {
        int64_t epoch;
        bool taken, has_base;
    } *items;
    size_t n;
};

static bool name_read(const char *name, int64_t *epoch, bool *is_base) {
    char *rest;
    *epoch = strtoll(name, &rest, 10);
    *is_base = strcmp(rest, ".base") == 0;
    return rest != name && *epoch > 0 && (*is_base || *rest == '\0');
}

static sabot_status leases_read(struct store *store, const char *dir, struct leases *out, struct sabot_error *err) {
    *out = (struct leases){0};
    char folder[PATH_SIZE];
    if (snprintf(folder, sizeof folder, "%s/lease", dir) >= PATH_SIZE) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long: choose a shorter one", dir);
    }
    struct env_stat stat;
    struct sabot_error why = {0};
    sabot_status status = store_is_remote(dir) ? SABOT_OK : store_stat(store, folder, &stat, &why);
    if (status == SABOT_ERR_NOT_FOUND) { return SABOT_OK; }
    if (status != SABOT_OK) { return SABOT_FAIL(err, status, "%s", why.message); }
    struct store_entry *entries;
    size_t n;
    SABOT_TRY(store_list(store, folder, &entries, &n, err));
    out->items = calloc(n + 1, sizeof *out->items);
    if (!out->items) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to read %s", folder); }
    for (size_t i = 0; i < n && status == SABOT_OK; i++) {
        int64_t epoch;
        bool is_base;
        if (!name_read(entries[i].name, &epoch, &is_base)) { continue; }
        /* sorted by name, so both files of an epoch are neighbours */
        if (out->n == 0 || out->items[out->n - 1].epoch != epoch) { out->items[out->n++].epoch = epoch; }
        out->items[out->n - 1].taken |= !is_base;
        out->items[out->n - 1].has_base |= is_base;
    }
    store_entries_free(entries, n);
    return status;
}

static int64_t newest(const struct leases *leases) { return leases->n > 0 ? leases->items[leases->n - 1].epoch : 0; }

/* The number behind `key` at the beginning of a line. */
static bool number_read(const char *text, const char *key, int base, uint64_t *out) {
    const size_t size = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, size) != 0 || line[size] != ' ') { continue; }
        char *rest;
        *out = strtoull(line + size + 1, &rest, base);
        return rest != line + size + 1;
    }
    return false;
}

static sabot_status file_number(struct store *store, const char *path, const char *key, int base, uint64_t *out,
                                struct sabot_error *err) {
    char *data;
    size_t size;
    SABOT_TRY(store_read_file(store, path, &data, &size, err));
    const bool found = number_read(data, key, base, out);
    free(data);
    return found ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s has no line \"%s\": it is no lease", path, key);
}

static sabot_status replaced(const struct lease *lease, int64_t epoch, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_STATE, "another process has taken over the checkpoint folder %s (its epoch is %"
                      PRId64 ", ours was %" PRId64 "): this one stops and commits nothing more; give every job a "
                      "folder of its own", lease->dir, epoch, lease->epoch);
}

static sabot_status removed(const struct lease *lease, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_STATE, "the checkpoint folder %s was removed or emptied while the job ran (the "
                      "lease of its epoch %" PRId64 " is gone): nothing more is committed. Put the folder back and "
                      "start from it, or start anew with another one", lease->dir, lease->epoch);
}

static sabot_status base_write(struct store *store, const char *dir, int64_t epoch, int64_t base, const char *from,
                               bool *won, struct sabot_error *err) {
    char path[PATH_SIZE], text[LEASE_PATH_MAX + 128];
    SABOT_TRY(lease_path(dir, epoch, ".base", path, err));
    const int size = snprintf(text, sizeof text, "base %" PRId64 "\n%s%s%stoken %016" PRIx64 "\n", base,
                              from ? "from " : "", from ? from : "", from ? "\n" : "",
                              env_random(store_env(store)));
    return store_put_new(store, path, text, (size_t)size, won, err);
}

/* Epochs that never began must not begin any more; very old ones are removed. */
static sabot_status older_close(struct store *store, const char *dir, const struct leases *leases,
                                struct sabot_error *err) {
    for (size_t i = 0; i < leases->n; i++) {
        const int64_t epoch = leases->items[i].epoch;
        if (i + LEASES_MAX < leases->n) {
            char path[PATH_SIZE];
            SABOT_TRY(lease_path(dir, epoch, "", path, err));
            SABOT_TRY(store_remove(store, path, err));
            SABOT_TRY(lease_path(dir, epoch, ".base", path, err));
            SABOT_TRY(store_remove(store, path, err));
        } else if (!leases->items[i].has_base) {
            bool won;
            SABOT_TRY(base_write(store, dir, epoch, BASE_OF_NOTHING, NULL, &won, err));
        }
    }
    return SABOT_OK;
}

/* One try: *won where the epoch is ours. */
static sabot_status take_try(struct store *store, struct lease *lease, bool *won, struct sabot_error *err) {
    struct leases leases;
    sabot_status status = leases_read(store, lease->dir, &leases, err);
    char path[PATH_SIZE];
    lease->epoch = newest(&leases) + 1;
    lease->lineage = env_random(store_env(store));
    if (status == SABOT_OK && leases.n > 0 && leases.items[leases.n - 1].taken) {
        status = lease_path(lease->dir, newest(&leases), "", path, err);
        if (status == SABOT_OK) { status = file_number(store, path, "lineage", 16, &lease->lineage, err); }
    }
    if (status == SABOT_OK) { status = lease_path(lease->dir, lease->epoch, "", path, err); }
    if (status == SABOT_OK) {
        char text[160];
        struct env *env = store_env(store);
        const int size = snprintf(text, sizeof text, "lineage %016" PRIx64 "\nstarted_ms %" PRId64
                                  "\ntoken %016" PRIx64 "\n", lease->lineage, env_wall_ms(env), env_random(env));
        status = store_put_new(store, path, text, (size_t)size, won, err);
    }
    if (status == SABOT_OK && *won) { status = older_close(store, lease->dir, &leases, err); }
    free(leases.items);
    return status;
}

sabot_status lease_take(struct store *store, const char *dir, struct lease *out, struct sabot_error *err) {
    *out = (struct lease){.dir = dir};
    char folder[PATH_SIZE];
    if (snprintf(folder, sizeof folder, "%s/lease", dir) >= PATH_SIZE) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.100s... is too long: choose a shorter one", dir);
    }
    SABOT_TRY(store_make_dirs(store, folder, err));
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        bool won = false;
        SABOT_TRY(take_try(store, out, &won, err));
        if (won) { return SABOT_OK; }
    }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "too many processes start with the checkpoint folder %s: give every job a "
                      "folder of its own", dir);
}

static sabot_status begin(struct store *store, const struct lease *lease, int64_t base_id, const char *from,
                          struct sabot_error *err) {
    bool won;
    SABOT_TRY(base_write(store, lease->dir, lease->epoch, base_id, from, &won, err));
    return won ? SABOT_OK : replaced(lease, lease->epoch + 1, err);
}

sabot_status lease_begin(struct store *store, const struct lease *lease, int64_t base_id, struct sabot_error *err) {
    return begin(store, lease, base_id, NULL, err);
}

/* A savepoint in the folder goes with it when it is moved. */
sabot_status lease_begin_from(struct store *store, const struct lease *lease, int64_t base_id, const char *savepoint,
                              struct sabot_error *err) {
    const size_t size = strlen(lease->dir);
    const bool is_within = strncmp(savepoint, lease->dir, size) == 0 && savepoint[size] == '/';
    const char *from = is_within ? savepoint + size + 1 : savepoint;
    /* of a relative path nobody knows what it is relative to */
    const bool is_said = (is_within || *from == '/' || store_is_remote(from)) && !strchr(from, '\n') &&
                         strlen(savepoint) < LEASE_PATH_MAX;
    return begin(store, lease, base_id, is_said ? from : NULL, err);
}

static sabot_status origin_read(struct store *store, const char *dir, int64_t epoch, int64_t *base,
                                char savepoint[LEASE_PATH_MAX], struct sabot_error *err) {
    char path[PATH_SIZE], *data;
    size_t size;
    SABOT_TRY(lease_path(dir, epoch, ".base", path, err));
    SABOT_TRY(store_read_file(store, path, &data, &size, err));
    uint64_t number = (uint64_t)BASE_OF_NOTHING;
    sabot_status status = SABOT_OK;
    if (!number_read(data, "base", 10, &number)) {
        status = SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s has no line \"base\": it is no lease", path);
    }
    *base = (int64_t)number;
    const char *line = strstr(data, "\nfrom ");
    if (status == SABOT_OK && line) {
        line += strlen("\nfrom ");
        const int length = (int)strcspn(line, "\n");
        const bool is_within = *line != '/' && !store_is_remote(line);
        snprintf(savepoint, LEASE_PATH_MAX, "%s%s%.*s", is_within ? dir : "", is_within ? "/" : "", length, line);
    }
    free(data);
    return status;
}

sabot_status lease_origin(struct store *store, const char *dir, int64_t *epoch, char savepoint[LEASE_PATH_MAX],
                          struct sabot_error *err) {
    savepoint[0] = '\0';
    struct leases leases;
    struct sabot_error why = {0};
    sabot_status status = leases_read(store, dir, &leases, &why);
    int64_t base = BASE_OF_NOTHING;
    for (size_t i = leases.n; i > 0 && status == SABOT_OK && base == BASE_OF_NOTHING; i--) {
        *epoch = leases.items[i - 1].epoch;
        if (leases.items[i - 1].has_base) { status = origin_read(store, dir, *epoch, &base, savepoint, &why); }
    }
    free(leases.items);
    /* a folder without leases; or a newer process has just removed an old one */
    return status == SABOT_OK || status == SABOT_ERR_NOT_FOUND ? SABOT_OK : SABOT_FAIL(err, status, "%s", why.message);
}

sabot_status lease_check(struct store *store, const struct lease *lease, bool *fenced, struct sabot_error *err) {
    struct leases leases;
    *fenced = false;
    const sabot_status status = leases_read(store, lease->dir, &leases, err);
    const int64_t epoch = newest(&leases);
    bool mine = false;
    for (size_t i = 0; i < leases.n; i++) { mine |= leases.items[i].epoch == lease->epoch && leases.items[i].taken; }
    free(leases.items);
    SABOT_TRY(status);
    *fenced = !mine || epoch > lease->epoch;
    if (epoch > lease->epoch) { return replaced(lease, epoch, err); }
    return mine ? SABOT_OK : removed(lease, err);
}

sabot_status lease_is_void(struct store *store, const char *dir, int64_t epoch, int64_t checkpoint_id, bool *is_void,
                           struct sabot_error *err) {
    *is_void = false;
    struct leases leases;
    sabot_status status = leases_read(store, dir, &leases, err);
    for (size_t i = 0; i < leases.n && status == SABOT_OK && !*is_void; i++) {
        if (leases.items[i].epoch <= epoch || !leases.items[i].has_base) { continue; }
        char path[PATH_SIZE];
        uint64_t base;
        status = lease_path(dir, leases.items[i].epoch, ".base", path, err);
        if (status == SABOT_OK) { status = file_number(store, path, "base", 10, &base, err); }
        *is_void = status == SABOT_OK && checkpoint_id > (int64_t)base;
    }
    free(leases.items);
    return status;
}
