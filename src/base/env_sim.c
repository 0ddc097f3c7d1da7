/* The simulated world. Everything that happens by chance takes its number from one generator, in program order. */
#include "base/env_sim.h"

#include "base/env_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORK_MAX 65536
#define FILES_MAX 100000
#define START_WALL_MS INT64_C(1700000000000)

/* What a file holds. Handles keep it alive after its name is gone. */
struct content {
    int32_t refs;
    char *data;
    size_t size, capacity;
    size_t synced; /* bytes that a crash leaves */
    int64_t modified_ms;
};

struct entry {
    char *path;
    struct content *content; /* NULL: a folder */
    bool is_durable;         /* the name; a crash may leave no other */
};

struct work {
    void (*run)(void *arg);
    void *arg;
    int64_t due_ns;
};

struct sim {
    struct env env;
    struct env_sim_options options;
    uint64_t state; /* of the generator */
    int64_t now_ns;
    struct work *work;
    int32_t n_work, work_capacity;
    struct entry *entries; /* sorted by path */
    int32_t n_entries, entries_capacity;
    int64_t bytes;
    bool crashed;
    const char *fail_what; /* of file operations, one in so many fails; NULL: any */
    int32_t fail_one_in;   /* 0: none fails */
    int32_t open_files;
};

struct sim_file {
    struct env_file base;
    struct sim *sim;
    struct content *content; /* NULL: standard streams */
    size_t at;               /* of the next sequential read */
    bool writes;
    int number;              /* standard streams */
    char *path;
};

static const struct env_type sim_type;

static struct sim *sim_of(const struct env *env) {
    assert(env->type == &sim_type);
    return (struct sim *)env;
}

static _Noreturn void die(const char *what, const struct sim *sim) {
    fprintf(stderr, "sabot simulator (seed %llu): %s\n", (unsigned long long)sim->options.seed, what);
    abort();
}

static uint64_t next_random(struct sim *sim) { /* splitmix64 */
    uint64_t z = (sim->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* --- time and chance */

static int64_t sim_now_ns(struct env *env) { return sim_of(env)->now_ns; }
static int64_t sim_wall_ns(struct env *env) { return START_WALL_MS * 1000000 + sim_of(env)->now_ns; }
static uint64_t sim_random(struct env *env) { return next_random(sim_of(env)); }
static int64_t sim_cpu_ns(struct env *env) { return sim_of(env)->now_ns; }
static int64_t sim_page_faults(struct env *env) {
    (void)env;
    return -1;
}
static struct env_memory sim_memory_now(struct env *env) {
    return (struct env_memory){.resident = sim_of(env)->bytes};
}
static int sim_cores(struct env *env) { return sim_of(env)->options.cores; }

uint64_t env_sim_seed(const struct env *env) { return sim_of(env)->options.seed; }

void env_sim_seeds_wanted(uint64_t n, uint64_t *first, uint64_t *last) {
    const char *one = getenv("SABOT_SIM_SEED"), *some = getenv("SABOT_SIM_SEEDS");
    unsigned long long from = 1, to = n;
    if (one) { from = to = strtoull(one, NULL, 10); }
    if (!one && some && (sscanf(some, "%llu-%llu", &from, &to) != 2 || from > to)) {
        fprintf(stderr, "SABOT_SIM_SEEDS is '%s', not first-last\n", some);
        abort();
    }
    *first = from;
    *last = to;
}

void env_sim_advance(struct env *env, int64_t now_ns) {
    struct sim *sim = sim_of(env);
    if (now_ns > sim->now_ns) { sim->now_ns = now_ns; }
}

void env_sim_tick(struct env *env) {
    struct sim *sim = sim_of(env);
    sim->now_ns += 500 + (int64_t)(next_random(sim) % 5000);
}

static void sim_sleep_ns(struct env *env, int64_t ns) {
    if (ns > 0) { sim_of(env)->now_ns += ns; }
}

/* --- helper work */

static sabot_status sim_offload(struct env *env, bool patient, void (*run)(void *arg), void *arg,
                                struct sabot_error *err) {
    (void)patient;
    struct sim *sim = sim_of(env);
    if (sim->n_work == sim->work_capacity) {
        const int32_t capacity = sim->work_capacity ? sim->work_capacity * 2 : 16;
        struct work *grown = capacity > WORK_MAX ? NULL : realloc(sim->work, (size_t)capacity * sizeof *grown);
        if (!grown) {
            return SABOT_FAIL(err, SABOT_ERR_IO, "hand work to a helper thread: %d pieces are waiting already",
                              sim->n_work);
        }
        sim->work = grown;
        sim->work_capacity = capacity;
    }
    const int64_t delay = (int64_t)(next_random(sim) % (uint64_t)sim->options.work_delay_max_ns);
    sim->work[sim->n_work++] = (struct work){.run = run, .arg = arg, .due_ns = sim->now_ns + delay};
    return SABOT_OK;
}

int32_t env_sim_due_work(const struct env *env) {
    const struct sim *sim = sim_of(env);
    int32_t n = 0;
    for (int32_t i = 0; i < sim->n_work; i++) { n += sim->work[i].due_ns <= sim->now_ns; }
    return n;
}

int64_t env_sim_next_work_ns(const struct env *env) {
    const struct sim *sim = sim_of(env);
    int64_t next = INT64_MAX;
    for (int32_t i = 0; i < sim->n_work; i++) { next = sim->work[i].due_ns < next ? sim->work[i].due_ns : next; }
    return next;
}

void env_sim_run_work(struct env *env) {
    struct sim *sim = sim_of(env);
    const int32_t due = env_sim_due_work(env);
    if (due == 0) { return; }
    int32_t skip = (int32_t)(next_random(sim) % (uint64_t)due);
    for (int32_t i = 0; i < sim->n_work; i++) {
        if (sim->work[i].due_ns > sim->now_ns || skip-- > 0) { continue; }
        const struct work work = sim->work[i];
        memmove(&sim->work[i], &sim->work[i + 1], (size_t)(sim->n_work - i - 1) * sizeof work);
        sim->n_work--;
        work.run(work.arg);
        return;
    }
}

/* --- threads: there are none, so locks are free, and who waits for an event does the work that will set it */

static sabot_status sim_thread_start(struct env *env, const char *name, void (*run)(void *arg), void *arg,
                                     struct env_thread **out, struct sabot_error *err) {
    (void)env;
    (void)run;
    (void)arg;
    (void)out;
    return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "start thread %s: the simulator has one thread only", name);
}

static void sim_thread_join(struct env_thread *thread) { (void)thread; }

struct sim_event {
    struct env_event base;
    struct sim *sim;
    bool set;
};

static struct env_event *sim_event_new(struct env *env) {
    struct sim_event *event = malloc(sizeof *event);
    if (!event) { die("no memory for an event", sim_of(env)); }
    *event = (struct sim_event){.base = {&sim_type}, .sim = sim_of(env)};
    return &event->base;
}

static void sim_event_set(struct env_event *base) { ((struct sim_event *)base)->set = true; }

static bool sim_event_wait(struct env_event *base, int64_t timeout_ns) {
    struct sim_event *event = (struct sim_event *)base;
    struct sim *sim = event->sim;
    const int64_t until = timeout_ns < 0 ? INT64_MAX : sim->now_ns + timeout_ns;
    while (!event->set) {
        const int64_t next = env_sim_next_work_ns(&sim->env);
        if (next > until || next == INT64_MAX) {
            if (until == INT64_MAX) { die("a wait for an event that nothing is left to set", sim); }
            env_sim_advance(&sim->env, until);
            return false;
        }
        env_sim_advance(&sim->env, next);
        env_sim_run_work(&sim->env);
    }
    event->set = false;
    return true;
}

static void sim_event_free(struct env_event *base) { free(base); }

struct sim_mutex {
    struct env_mutex base;
    bool locked;
};

static struct env_mutex *sim_mutex_new(struct env *env) {
    struct sim_mutex *mutex = malloc(sizeof *mutex);
    if (!mutex) { die("no memory for a mutex", sim_of(env)); }
    *mutex = (struct sim_mutex){.base = {&sim_type}};
    return &mutex->base;
}

static void sim_mutex_lock(struct env_mutex *base) {
    struct sim_mutex *mutex = (struct sim_mutex *)base;
    assert(!mutex->locked); /* with one thread a second lock would be for ever */
    mutex->locked = true;
}

static void sim_mutex_unlock(struct env_mutex *base) {
    struct sim_mutex *mutex = (struct sim_mutex *)base;
    assert(mutex->locked);
    mutex->locked = false;
}

static void sim_mutex_free(struct env_mutex *base) { free(base); }

/* --- files */

static void content_unref(struct sim *sim, struct content *content) {
    if (!content || --content->refs > 0) { return; }
    sim->bytes -= (int64_t)content->capacity;
    free(content->data);
    free(content);
}

/* The index of a path, or of where it would stand. */
static int32_t entry_at(const struct sim *sim, const char *path, bool *found) {
    int32_t low = 0, high = sim->n_entries;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (strcmp(sim->entries[middle].path, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < sim->n_entries && strcmp(sim->entries[low].path, path) == 0;
    return low;
}

/* A path without doubled and trailing slashes. */
static sabot_status path_clean(const char *path, char target[4096], struct sabot_error *err) {
    size_t size = 0;
    for (const char *at = path; *at; at++) {
        if (*at == '/' && size > 0 && target[size - 1] == '/') { continue; }
        if (size + 2 > 4096) { return SABOT_FAIL(err, SABOT_ERR_IO, "%.60s...: the path is too long", path); }
        target[size++] = *at;
    }
    if (size > 1 && target[size - 1] == '/') { size--; }
    target[size] = '\0';
    return SABOT_OK;
}

static bool goes_wrong(struct sim *sim, const char *what) {
    return sim->fail_one_in > 0 && !sim->crashed && (!sim->fail_what || strcmp(sim->fail_what, what) == 0) &&
           next_random(sim) % (uint64_t)sim->fail_one_in == 0;
}

static sabot_status failure(const char *what, const char *path, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_IO, "%s %s: Input/output error", what, path);
}

static sabot_status works(struct sim *sim, const char *what, const char *path, struct sabot_error *err) {
    if (goes_wrong(sim, what)) { return failure(what, path, err); }
    if (!sim->crashed) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_IO, "%s %s: the simulated machine has crashed", what, path);
}

static sabot_status entry_add(struct sim *sim, const char *path, struct content *content, bool is_durable,
                              struct sabot_error *err) {
    if (sim->n_entries == sim->entries_capacity) {
        const int32_t capacity = sim->entries_capacity ? sim->entries_capacity * 2 : 64;
        struct entry *grown = capacity > FILES_MAX ? NULL : realloc(sim->entries, (size_t)capacity * sizeof *grown);
        if (!grown) { return SABOT_FAIL(err, SABOT_ERR_IO, "%s: too many simulated files", path); }
        sim->entries = grown;
        sim->entries_capacity = capacity;
    }
    bool found;
    const int32_t at = entry_at(sim, path, &found);
    assert(!found);
    char *copy = strdup(path);
    if (!copy) { die("no memory for a file", sim); }
    memmove(&sim->entries[at + 1], &sim->entries[at], (size_t)(sim->n_entries - at) * sizeof sim->entries[0]);
    sim->entries[at] = (struct entry){.path = copy, .content = content, .is_durable = is_durable};
    sim->n_entries++;
    return SABOT_OK;
}

static void entry_drop(struct sim *sim, int32_t at) {
    free(sim->entries[at].path);
    content_unref(sim, sim->entries[at].content);
    memmove(&sim->entries[at], &sim->entries[at + 1], (size_t)(sim->n_entries - at - 1) * sizeof sim->entries[0]);
    sim->n_entries--;
}

static bool is_folder(const struct sim *sim, const char *path) {
    bool found;
    const int32_t at = entry_at(sim, path, &found);
    return (found && !sim->entries[at].content) || strcmp(path, "/") == 0 || strcmp(path, ".") == 0;
}

static bool folder_of_is_there(const struct sim *sim, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) { return true; }
    char folder[4096];
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return is_folder(sim, folder);
}

static sabot_status content_for(struct sim *sim, const char *path, enum env_open mode, struct content **out,
                                struct sabot_error *err) {
    bool found;
    const int32_t at = entry_at(sim, path, &found);
    if (found && !sim->entries[at].content) { return SABOT_FAIL(err, SABOT_ERR_IO, "open %s: it is a folder", path); }
    if (found && mode == ENV_WRITE_NEW) { return SABOT_FAIL(err, SABOT_ERR_IO, "open %s: File exists", path); }
    if (!found && (env_open_reads(mode) || !folder_of_is_there(sim, path))) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "open %s: No such file or directory", path);
    }
    if (found) {
        *out = sim->entries[at].content;
        if (mode == ENV_WRITE_TRUNCATE || mode == ENV_WRITE_LARGE) { (*out)->size = (*out)->synced = 0; }
        return SABOT_OK;
    }
    struct content *content = calloc(1, sizeof *content);
    if (!content) { die("no memory for a file", sim); }
    content->refs = 1;
    content->modified_ms = env_wall_ms(&sim->env);
    const sabot_status status = entry_add(sim, path, content, false, err);
    if (status != SABOT_OK) {
        content_unref(sim, content);
        return status;
    }
    *out = content;
    return SABOT_OK;
}

static sabot_status sim_open(struct env *env, const char *given, enum env_open mode, struct env_file **out,
                             struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    char path[4096];
    SABOT_TRY(path_clean(given, path, err));
    SABOT_TRY(works(sim, "open", path, err));
    struct content *content = NULL;
    SABOT_TRY(content_for(sim, path, mode, &content, err));
    struct sim_file *file = malloc(sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) { die("no memory for a file", sim); }
    content->refs++;
    sim->open_files++;
    *file = (struct sim_file){
        .base = {&sim_type}, .sim = sim, .content = content, .writes = !env_open_reads(mode), .path = copy};
    *out = &file->base;
    return SABOT_OK;
}

static sabot_status sim_read(struct env_file *base, int64_t offset, void *target, size_t size, size_t *got,
                             struct sabot_error *err) {
    struct sim_file *file = (struct sim_file *)base;
    struct sim *sim = file->sim;
    *got = 0;
    if (!file->content) { return SABOT_OK; } /* standard input is empty */
    SABOT_TRY(works(sim, "read", file->path, err));
    const size_t from = offset < 0 ? file->at : (size_t)offset;
    if (from >= file->content->size) { return SABOT_OK; }
    size_t n = file->content->size - from;
    n = n < size ? n : size;
    if (sim->options.short_reads && n > 1 && next_random(sim) % 4 == 0) { n = 1 + next_random(sim) % n; }
    memcpy(target, file->content->data + from, n);
    if (offset < 0) { file->at += n; }
    *got = n;
    return SABOT_OK;
}

static sabot_status sim_write(struct env_file *base, const void *data, size_t size, struct sabot_error *err) {
    struct sim_file *file = (struct sim_file *)base;
    struct sim *sim = file->sim;
    if (!file->content) {
        fwrite(data, 1, size, file->number == 1 ? stdout : stderr);
        return SABOT_OK;
    }
    const bool torn = goes_wrong(sim, "write");
    if (!torn && sim->crashed) { SABOT_TRY(works(sim, "write", file->path, err)); }
    if (torn) { size = next_random(sim) % (size + 1); }
    assert(file->writes);
    struct content *content = file->content;
    if (content->size + size > content->capacity) {
        size_t capacity = content->capacity ? content->capacity : 256;
        while (capacity < content->size + size) { capacity *= 2; }
        if (sim->bytes + (int64_t)(capacity - content->capacity) > sim->options.bytes_max) {
            return SABOT_FAIL(err, SABOT_ERR_IO, "write %s: No space left on device", file->path);
        }
        char *grown = realloc(content->data, capacity);
        if (!grown) { die("no memory for a file", sim); }
        sim->bytes += (int64_t)(capacity - content->capacity);
        content->data = grown;
        content->capacity = capacity;
    }
    if (size > 0) { memcpy(content->data + content->size, data, size); }
    content->size += size;
    content->modified_ms = env_wall_ms(&sim->env);
    return torn ? failure("write", file->path, err) : SABOT_OK;
}

static sabot_status sim_sync(struct env_file *base, struct sabot_error *err) {
    struct sim_file *file = (struct sim_file *)base;
    if (!file->content) { return SABOT_OK; }
    SABOT_TRY(works(file->sim, "sync", file->path, err));
    file->content->synced = file->content->size;
    return SABOT_OK;
}

static sabot_status sim_file_stat(struct env_file *base, struct env_stat *out, struct sabot_error *err) {
    const struct sim_file *file = (struct sim_file *)base;
    *out = (struct env_stat){0};
    if (!file->content) { return SABOT_OK; }
    SABOT_TRY(works(file->sim, "look at", file->path, err));
    *out = (struct env_stat){.size = (int64_t)file->content->size, .modified_ms = file->content->modified_ms};
    return SABOT_OK;
}

static void sim_close(struct env_file *base) {
    struct sim_file *file = (struct sim_file *)base;
    if (!file->content) { return; }
    file->sim->open_files--;
    content_unref(file->sim, file->content);
    free(file->path);
    free(file);
}

static struct env_file *sim_standard(struct env *env, int number) {
    static struct sim_file files[3] = {
        {.base = {&sim_type}, .number = 0}, {.base = {&sim_type}, .number = 1}, {.base = {&sim_type}, .number = 2}};
    (void)env;
    return &files[number].base;
}

static bool sim_is_terminal(struct env_file *file) {
    (void)file;
    return false;
}

static sabot_status sim_stat(struct env *env, const char *given, struct env_stat *out, struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    char path[4096];
    SABOT_TRY(path_clean(given, path, err));
    SABOT_TRY(works(sim, "look at", path, err));
    bool found;
    const int32_t at = entry_at(sim, path, &found);
    if (!found && !is_folder(sim, path)) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "look at %s: No such file or directory", path);
    }
    const struct content *content = found ? sim->entries[at].content : NULL;
    *out = (struct env_stat){.is_directory = !content};
    if (content) {
        out->size = (int64_t)content->size;
        out->modified_ms = content->modified_ms;
    }
    return SABOT_OK;
}

static void names_sync(struct sim *sim, const char *folder, size_t size) {
    for (int32_t i = 0; i < sim->n_entries; i++) {
        struct entry *entry = &sim->entries[i];
        if (strncmp(entry->path, folder, size) == 0 && entry->path[size] == '/' &&
            !strchr(entry->path + size + 1, '/')) {
            entry->is_durable = true;
        }
    }
}

static sabot_status sim_sync_folder(struct env *env, const char *given, struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    char path[4096];
    SABOT_TRY(path_clean(given, path, err));
    SABOT_TRY(works(sim, "sync", path, err));
    if (!is_folder(sim, path)) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "open the folder %s: No such file or directory", path);
    }
    names_sync(sim, path, strcmp(path, "/") == 0 ? 0 : strlen(path));
    return SABOT_OK;
}

/* Atomic and durable at once, as rename with a synced folder is; what is not synced of the file's bytes is still
 * lost. */
static sabot_status sim_rename(struct env *env, const char *given_from, const char *given_to, struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    char from[4096], to[4096];
    SABOT_TRY(path_clean(given_from, from, err));
    SABOT_TRY(path_clean(given_to, to, err));
    const bool wrong = goes_wrong(sim, "rename");
    if (wrong && next_random(sim) % 2) { return failure("rename", from, err); }
    if (sim->crashed) { SABOT_TRY(works(sim, "rename", from, err)); }
    bool found;
    int32_t at = entry_at(sim, from, &found);
    if (!found || !folder_of_is_there(sim, to)) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "rename %s to %s: No such file or directory", from, to);
    }
    struct content *content = sim->entries[at].content;
    if (!content) { return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "rename %s: folders can't be renamed here", from); }
    if (strcmp(from, to) == 0) { return SABOT_OK; }
    content->refs++;
    entry_drop(sim, at);
    const char *slash = strrchr(to, '/');
    if (slash) { names_sync(sim, to, (size_t)(slash - to)); }
    at = entry_at(sim, to, &found);
    if (found) {
        if (!sim->entries[at].content) {
            content_unref(sim, content);
            return SABOT_FAIL(err, SABOT_ERR_IO, "rename %s to %s: Is a directory", from, to);
        }
        content_unref(sim, sim->entries[at].content);
        sim->entries[at].content = content;
        return wrong ? failure("rename", from, err) : SABOT_OK;
    }
    const sabot_status status = entry_add(sim, to, content, true, err);
    if (status != SABOT_OK) { content_unref(sim, content); }
    return wrong && status == SABOT_OK ? failure("rename", from, err) : status;
}

static sabot_status sim_rename_new(struct env *env, const char *from, const char *to, bool *done,
                                   struct sabot_error *err) {
    char path[4096];
    SABOT_TRY(path_clean(to, path, err));
    bool found;
    entry_at(sim_of(env), path, &found);
    if (found) { return SABOT_OK; }
    SABOT_TRY(sim_rename(env, from, to, err));
    *done = true;
    return SABOT_OK;
}

static sabot_status sim_remove(struct env *env, const char *given, struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    char path[4096];
    SABOT_TRY(path_clean(given, path, err));
    SABOT_TRY(works(sim, "remove", path, err));
    bool found;
    const int32_t at = entry_at(sim, path, &found);
    if (!found) { return SABOT_OK; }
    const size_t size = strlen(path);
    if (!sim->entries[at].content) {
        for (int32_t i = at + 1; i < sim->n_entries; i++) {
            if (strncmp(sim->entries[i].path, path, size) == 0 && sim->entries[i].path[size] == '/') {
                return SABOT_FAIL(err, SABOT_ERR_IO, "remove %s: Directory not empty", path);
            }
        }
    }
    entry_drop(sim, at);
    return SABOT_OK;
}

static sabot_status sim_make_dir(struct env *env, const char *given, struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    char path[4096];
    SABOT_TRY(path_clean(given, path, err));
    SABOT_TRY(works(sim, "make the folder", path, err));
    if (is_folder(sim, path)) { return SABOT_OK; }
    bool found;
    entry_at(sim, path, &found);
    if (found) { return SABOT_FAIL(err, SABOT_ERR_IO, "make the folder %s: File exists", path); }
    return entry_add(sim, path, NULL, true, err);
}

static sabot_status sim_list(struct env *env, const char *given, char ***names, size_t *n_names,
                             struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    char path[4096];
    SABOT_TRY(path_clean(given, path, err));
    SABOT_TRY(works(sim, "list the folder", path, err));
    if (!is_folder(sim, path)) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "list the folder %s: No such file or directory", path);
    }
    const size_t size = strcmp(path, "/") == 0 ? 0 : strlen(path);
    size_t capacity = 0;
    for (int32_t i = 0; i < sim->n_entries; i++) {
        const char *entry = sim->entries[i].path;
        if (strncmp(entry, path, size) != 0 || entry[size] != '/' || strchr(entry + size + 1, '/')) { continue; }
        if (!env_names_add(names, n_names, &capacity, entry + size + 1)) { die("no memory for names", sim); }
    }
    env_names_sort(*names, *n_names);
    return SABOT_OK;
}

/* --- the world itself */

void env_sim_fail(struct env *env, const char *what, int32_t one_in) {
    sim_of(env)->fail_what = what;
    sim_of(env)->fail_one_in = one_in;
}

void env_sim_crash(struct env *env) { sim_of(env)->crashed = true; }

void env_sim_restart(struct env *env) {
    struct sim *sim = sim_of(env);
    sim->crashed = false;
    for (int32_t i = sim->n_entries - 1; i >= 0; i--) {
        if (!sim->entries[i].is_durable && next_random(sim) % 2) { entry_drop(sim, i); }
    }
    for (int32_t i = 0; i < sim->n_entries; i++) {
        struct content *content = sim->entries[i].content;
        if (!content || content->synced >= content->size) { continue; }
        /* a part of what was not synced may have reached the disk */
        content->size = content->synced + next_random(sim) % (content->size - content->synced + 1);
        content->synced = content->size;
    }
}

/* --- maps: plain memory, counted as files are, so that the simulated disk can be full */

static sabot_status map_room(struct sim *sim, const char *folder, size_t more, struct sabot_error *err) {
    if ((int64_t)more <= sim->options.bytes_max - sim->bytes) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_IO, "reserve %zu bytes for state in %s: No space left on device", more,
                      folder ? folder : "/tmp");
}

static sabot_status sim_map_open(struct env *env, const char *folder, size_t size, bool grows, struct env_map *out,
                                 struct sabot_error *err) {
    struct sim *sim = sim_of(env);
    SABOT_TRY(map_room(sim, folder, size, err));
    void *data = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    if (!data) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no %zu bytes left", size); }
    memset(data, 0, size);
    sim->bytes += (int64_t)size;
    *out = (struct env_map){.data = data, .size = size, .file = grows ? 0 : -1};
    return SABOT_OK;
}

static void sim_map_close(struct env *env, struct env_map *map) {
    sim_of(env)->bytes -= (int64_t)map->size;
    free(map->data);
    *map = (struct env_map){.file = -1};
}

static sabot_status sim_map_resize(struct env *env, struct env_map *map, size_t size, struct sabot_error *err) {
    struct env_map moved;
    SABOT_TRY(sim_map_open(env, NULL, size, true, &moved, err));
    memcpy(moved.data, map->data, size < map->size ? size : map->size);
    sim_map_close(env, map);
    *map = moved;
    return SABOT_OK;
}

static void sim_map_drop(struct env *env, const struct env_map *map, size_t offset, size_t size) {
    (void)env;
    assert(offset + size <= map->size);
}

struct env *env_sim_new(const struct env_sim_options *options) {
    struct sim *sim = calloc(1, sizeof *sim);
    if (!sim) {
        fprintf(stderr, "sabot simulator: no memory\n");
        abort();
    }
    sim->env.type = &sim_type;
    sim->options = *options;
    sim->state = options->seed;
    if (sim->options.cores <= 0) { sim->options.cores = 2; }
    if (sim->options.work_delay_max_ns <= 0) { sim->options.work_delay_max_ns = 5000000; }
    if (sim->options.bytes_max <= 0) { sim->options.bytes_max = INT64_C(1) << 30; }
    sim->now_ns = 1000000000; /* not zero, which means "unknown" here and there */
    return &sim->env;
}

void env_sim_free(struct env *env) {
    if (!env) { return; }
    struct sim *sim = sim_of(env);
    if (sim->n_work > 0) { die("freed while helper work waits", sim); }
    if (sim->open_files > 0) { die("freed while files are open", sim); }
    while (sim->n_entries > 0) { entry_drop(sim, sim->n_entries - 1); }
    free(sim->entries);
    free(sim->work);
    free(sim);
}

static const struct env_type sim_type = {
    .simulated = true,
    .now_ns = sim_now_ns,
    .wall_ns = sim_wall_ns,
    .random = sim_random,
    .cpu_ns = sim_cpu_ns,
    .memory_now = sim_memory_now,
    .page_faults = sim_page_faults,
    .cores = sim_cores,
    .open = sim_open,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .file_stat = sim_file_stat,
    .close = sim_close,
    .standard = sim_standard,
    .is_terminal = sim_is_terminal,
    .stat = sim_stat,
    .rename = sim_rename,
    .rename_new = sim_rename_new,
    .sync_folder = sim_sync_folder,
    .remove = sim_remove,
    .make_dir = sim_make_dir,
    .list = sim_list,
    .map_open = sim_map_open,
    .map_resize = sim_map_resize,
    .map_drop = sim_map_drop,
    .map_close = sim_map_close,
    .thread_start = sim_thread_start,
    .thread_join = sim_thread_join,
    .event_new = sim_event_new,
    .event_set = sim_event_set,
    .event_wait = sim_event_wait,
    .event_free = sim_event_free,
    .mutex_new = sim_mutex_new,
    .mutex_lock = sim_mutex_lock,
    .mutex_unlock = sim_mutex_unlock,
    .mutex_free = sim_mutex_free,
    .sleep_ns = sim_sleep_ns,
    .offload = sim_offload,
};
