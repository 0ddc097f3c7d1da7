/* A file of lines that many tasks add to. */
#include "runtime/ledger.h"

#include "base/text.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HELPER_FROM_BYTES ((size_t)64 * 1024)
#define WAITING_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct ledger {
    struct env *env;
    struct env_file *file;
    struct env_mutex *lines_mutex; /* lines, error, helper */
    struct env_mutex *file_mutex;  /* held while writing; taken before lines_mutex */
    struct text lines;
    struct sabot_error error; /* the first failure to write */
    bool helper;              /* one is on its way */
    bool closing;
    struct env_event *helper_gone;
};

/* The file may be a new one. */
static sabot_status name_sync(struct env *env, const char *path, struct sabot_error *err) {
    const char *slash = strrchr(path, '/');
    if (!slash) { return env_sync_folder(env, ".", err); }
    char *folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!folder) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "open %s: no memory", path); }
    const sabot_status status = env_sync_folder(env, folder, err);
    free(folder);
    return status;
}

sabot_status ledger_open(struct env *env, const char *path, struct ledger **out, struct sabot_error *err) {
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "open %s: no memory", path); }
    sabot_status status = env_open(env, path, ENV_APPEND, &ledger->file, err);
    if (status == SABOT_OK) { status = name_sync(env, path, err); }
    if (status != SABOT_OK) {
        if (ledger->file) { env_close(ledger->file); }
        free(ledger);
        return status;
    }
    ledger->env = env;
    ledger->lines_mutex = env_mutex_new(env);
    ledger->file_mutex = env_mutex_new(env);
    ledger->helper_gone = env_event_new(env);
    *out = ledger;
    return SABOT_OK;
}

/* The failure that is kept, as this call's. Under lines_mutex. */
static sabot_status failure(const struct ledger *ledger, struct sabot_error *err) {
    if (ledger->error.status != SABOT_OK && err && err->status == SABOT_OK) { *err = ledger->error; }
    return ledger->error.status;
}

static sabot_status write_waiting(struct ledger *ledger, bool sync, struct sabot_error *err) {
    env_mutex_lock(ledger->file_mutex); /* first, so that lines are written in the order in which they were added */
    env_mutex_lock(ledger->lines_mutex);
    struct text lines = ledger->lines;
    ledger->lines = (struct text){0};
    struct sabot_error failed = ledger->error;
    env_mutex_unlock(ledger->lines_mutex);
    if (failed.status == SABOT_OK && lines.size > 0) { env_write(ledger->file, lines.data, lines.size, &failed); }
    if (failed.status == SABOT_OK && sync) { env_sync(ledger->file, &failed); }
    text_clear(&lines);
    env_mutex_unlock(ledger->file_mutex);

    env_mutex_lock(ledger->lines_mutex);
    if (ledger->error.status == SABOT_OK) { ledger->error = failed; }
    const sabot_status status = failure(ledger, err);
    env_mutex_unlock(ledger->lines_mutex);
    return status;
}

static void helper_main(void *arg) {
    struct ledger *ledger = arg;
    write_waiting(ledger, false, NULL);
    env_mutex_lock(ledger->lines_mutex);
    ledger->helper = false;
    if (ledger->closing) { env_event_set(ledger->helper_gone); } /* under the mutex: close frees the ledger after it */
    env_mutex_unlock(ledger->lines_mutex);
}

sabot_status ledger_add(struct ledger *ledger, const char *line, size_t size, struct sabot_error *err) {
    env_mutex_lock(ledger->lines_mutex);
    sabot_status status = failure(ledger, err);
    if (status == SABOT_OK) {
        text_append(&ledger->lines, line, size);
        if (ledger->lines.failed) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a ledger's lines"); }
    }
    const bool too_much = ledger->lines.size > WAITING_BYTES_MAX;
    if (status == SABOT_OK && !ledger->helper && ledger->lines.size > HELPER_FROM_BYTES) {
        ledger->helper = env_offload(ledger->env, helper_main, ledger, NULL) == SABOT_OK;
    }
    env_mutex_unlock(ledger->lines_mutex);
    return status == SABOT_OK && too_much ? write_waiting(ledger, false, err) : status;
}

sabot_status ledger_flush(struct ledger *ledger, struct sabot_error *err) { return write_waiting(ledger, true, err); }

sabot_status ledger_close(struct ledger *ledger, struct sabot_error *err) {
    if (!ledger) { return SABOT_OK; }
    const sabot_status status = ledger_flush(ledger, err);
    env_mutex_lock(ledger->lines_mutex);
    ledger->closing = true;
    const bool wait = ledger->helper;
    env_mutex_unlock(ledger->lines_mutex);
    if (wait) {
        env_event_wait(ledger->helper_gone, -1);
        env_mutex_lock(ledger->lines_mutex); /* until the helper is out of it */
        env_mutex_unlock(ledger->lines_mutex);
    }
    env_close(ledger->file);
    env_event_free(ledger->helper_gone);
    env_mutex_free(ledger->lines_mutex);
    env_mutex_free(ledger->file_mutex);
    text_clear(&ledger->lines);
    free(ledger);
    return status;
}
