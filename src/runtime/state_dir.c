/* Folders named sabot-state-*, each with a socket that tells whether its process is still there. */
#include "runtime/state_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define PREFIX "sabot-state-"

static bool is_deserted(struct env *env, const char *folder) {
    char socket[ENV_PATH_MAX];
    struct env_socket *there = NULL;
    if (snprintf(socket, sizeof socket, "%s/alive", folder) >= (int)sizeof socket) { return false; }
    const sabot_status status = env_socket_connect(env, socket, &there, NULL);
    env_socket_close(there);
    return status == SABOT_ERR_NOT_FOUND;
}

/* Another job may be about to make its folder: one without a socket is left alone until it is a minute old. */
static bool is_young(struct env *env, const char *folder) {
    struct env_stat stat;
    char socket[ENV_PATH_MAX];
    if (snprintf(socket, sizeof socket, "%s/alive", folder) >= (int)sizeof socket) { return true; }
    if (env_stat(env, socket, &stat, NULL) == SABOT_OK) { return false; }
    return env_stat(env, folder, &stat, NULL) != SABOT_OK || env_wall_ms(env) - stat.modified_ms < 60000;
}

/* What can't be removed is in nobody's way. */
static void sweep(struct env *env, const char *base) {
    char **names, path[ENV_PATH_MAX];
    size_t n;
    if (env_list(env, base, &names, &n, NULL) != SABOT_OK) { return; }
    for (size_t i = 0; i < n; i++) {
        struct sabot_error err = {0};
        if (strncmp(names[i], PREFIX, sizeof PREFIX - 1) != 0) { continue; }
        if (snprintf(path, sizeof path, "%s/%s", base, names[i]) >= (int)sizeof path) { continue; }
        if (!is_deserted(env, path) || is_young(env, path)) { continue; }
        if (env_remove_tree(env, path, &err) != SABOT_OK) {
            log_write(env, LOG_WARNING, "state of a process that is gone can't be removed: %s", err.message);
        }
    }
    env_names_free(names, n);
}

sabot_status state_dir_open(struct env *env, const char *base, struct state_dir *out, struct sabot_error *err) {
    char path[ENV_PATH_MAX], socket[ENV_PATH_MAX + 8];
    *out = (struct state_dir){.env = env};
    SABOT_TRY(env_make_dirs(env, base, err));
    sweep(env, base);
    if (snprintf(path, sizeof path, "%s/" PREFIX "%016" PRIx64, base, env_random(env)) >= (int)sizeof path) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the folder of state %s has too long a name", base);
    }
    SABOT_TRY(env_make_dirs(env, path, err));
    snprintf(socket, sizeof socket, "%s/alive", path);
    out->path = strdup(path);
    if (!out->path) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the folder of state"); }
    return env_socket_listen(env, socket, &out->alive, err);
}

void state_dir_close(struct state_dir *dir) {
    struct sabot_error err = {0};
    env_socket_close(dir->alive);
    if (dir->path && env_remove_tree(dir->env, dir->path, &err) != SABOT_OK) {
        log_write(dir->env, LOG_WARNING, "the folder of state can't be removed: %s", err.message);
    }
    free(dir->path);
    *dir = (struct state_dir){0};
}
