/* The machine: Linux system calls, POSIX threads, and a pool of helper threads for blocking work. */
#include "base/env_faulty.h"
#include "base/env_impl.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const struct env_type real_type;
static struct env real = {.type = &real_type};
static struct env *world = &real; /* or one around it */

/* --- the point at which a test ends the process, or stops it */

struct point_wish {
    const char *variable;
    int signal;
    enum env_point at;
    _Atomic int64_t after; /* passings to go */
};

static struct point_wish point_wishes[] = {{"SABOT_KILL_AT", SIGKILL, 0, 0}, {"SABOT_STOP_AT", SIGSTOP, 0, 0}};
#define POINT_WISHES (sizeof point_wishes / sizeof point_wishes[0])

static pthread_once_t wishes_once = PTHREAD_ONCE_INIT;

static void fault_read(void) {
    const char *text = getenv("SABOT_FAULT_AT");
    struct env_fault fault;
    if (!text) { return; }
    if (!env_fault_parse(text, &fault)) {
        fprintf(stderr, "sabot: SABOT_FAULT_AT: \"%s\" is not what:n:how; src/base/env_faulty.h lists both\n", text);
        exit(2);
    }
    world = env_faulty_new(&real, &fault);
}

static void point_wish_read(struct point_wish *wish) {
    static const char *const names[] = {
#define X(symbol, name) name,
#include "base/env_points.def"
#undef X
    };
    const char *text = getenv(wish->variable);
    if (!text) { return; }
    const size_t size = strcspn(text, ":");
    for (size_t i = 0; i < ENV_POINTS; i++) {
        if (strlen(names[i]) != size || memcmp(names[i], text, size) != 0) { continue; }
        wish->at = (enum env_point)i;
        wish->after = text[size] ? strtoll(text + size + 1, NULL, 10) : 1;
        real.has_point |= wish->after > 0;
        return;
    }
    fprintf(stderr, "sabot: %s: there is no point \"%s\"; src/base/env_points.def lists them\n", wish->variable,
            text);
    exit(2);
}

static void real_point(struct env *env, enum env_point point) {
    (void)env;
    for (size_t i = 0; i < POINT_WISHES; i++) {
        struct point_wish *wish = &point_wishes[i];
        if (point == wish->at && atomic_fetch_sub(&wish->after, 1) == 1) { raise(wish->signal); }
    }
}

static void wishes_read(void) {
    for (size_t i = 0; i < POINT_WISHES; i++) { point_wish_read(&point_wishes[i]); }
    fault_read();
}

struct env *env_real(void) {
    pthread_once(&wishes_once, wishes_read);
    return world;
}

/* What errors say of a reason, in any thread. */
static const char *reason(int number, char *target, size_t size) { return strerror_r(number, target, size); }
#define REASON(number) reason((number), (char[128]){0}, 128)

static sabot_status io_status(int number) { return number == ENOENT ? SABOT_ERR_NOT_FOUND : SABOT_ERR_IO; }

static _Noreturn void die(const char *what) {
    fprintf(stderr, "sabot: %s\n", what);
    abort();
}

/* --- time and chance */

static int64_t clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t real_now_ns(struct env *env) {
    (void)env;
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t real_wall_ns(struct env *env) {
    (void)env;
    return clock_ns(CLOCK_REALTIME);
}

static uint64_t real_random(struct env *env) {
    (void)env;
    uint64_t value;
    if (getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value) { return value; }
    /* only before the system has gathered entropy, or in a sandbox without the call */
    return (uint64_t)clock_ns(CLOCK_REALTIME) * 0x9E3779B97F4A7C15u;
}

static int64_t real_cpu_ns(struct env *env) {
    (void)env;
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static int real_cores(struct env *env) {
    (void)env;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) { return CPU_COUNT(&set); }
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (int)cores : 1;
}

static int64_t real_memory_bytes(struct env *env) {
    (void)env;
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGE_SIZE);
    /* A container may be allowed less ("max" where it is not). */
    FILE *limit = fopen("/sys/fs/cgroup/memory.max", "re");
    long long allowed;
    if (limit && fscanf(limit, "%lld", &allowed) == 1 && allowed > 0 && allowed < bytes) { bytes = allowed; }
    if (limit) { fclose(limit); }
    return bytes;
}

/* --- files */

struct real_file {
    struct env_file base;
    int fd;
    bool standard; /* never closed */
    bool large;    /* ENV_READ_LARGE, ENV_WRITE_LARGE: */
    int64_t done, behind; /* bytes read or written; of them out of memory, or on their way */
    const char *path; /* for messages; stands behind the struct */
};

static sabot_status real_open(struct env *env, const char *path, enum env_open mode, struct env_file **out,
                              struct sabot_error *err) {
    (void)env;
    int flags = O_CLOEXEC;
    switch (mode) {
    case ENV_READ_LARGE:
    case ENV_READ: flags |= O_RDONLY; break;
    case ENV_WRITE_NEW: flags |= O_WRONLY | O_CREAT | O_EXCL; break;
    case ENV_WRITE_LARGE:
    case ENV_WRITE_TRUNCATE: flags |= O_WRONLY | O_CREAT | O_TRUNC; break;
    case ENV_APPEND: flags |= O_WRONLY | O_CREAT | O_APPEND; break;
    }
    const size_t size = strlen(path) + 1;
    struct real_file *file = malloc(sizeof *file + size);
    if (!file) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "open %s: no memory", path); }
    int fd;
    do { fd = open(path, flags, 0666); } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        const int number = errno;
        free(file);
        return SABOT_FAIL(err, io_status(number), "open %s: %s", path, REASON(number));
    }
    const bool large = mode == ENV_READ_LARGE || mode == ENV_WRITE_LARGE;
    *file = (struct real_file){.base = {&real_type}, .fd = fd, .large = large,
                               .path = memcpy(file + 1, path, size)};
    *out = &file->base;
    return SABOT_OK;
}

/* What goes to or from the disk at once of a large file: pages of memory that are used again and again cost a system
 * much less than fresh ones. */
#define WINDOW_BYTES (INT64_C(8) << 20)

static void read_behind(struct real_file *file, int64_t end) {
    if (end > file->done && end - file->done <= WINDOW_BYTES) { file->done = end; } /* not the look at a file's end */
    for (; file->done - file->behind >= WINDOW_BYTES; file->behind += WINDOW_BYTES) {
        (void)posix_fadvise(file->fd, file->behind, WINDOW_BYTES, POSIX_FADV_DONTNEED);
    }
}

static sabot_status real_read(struct env_file *base, int64_t offset, void *target, size_t size, size_t *got,
                              struct sabot_error *err) {
    struct real_file *file = (struct real_file *)base;
    *got = 0;
    for (;;) {
        const ssize_t n = offset < 0 ? read(file->fd, target, size) : pread(file->fd, target, size, offset);
        if (n >= 0) {
            *got = (size_t)n;
            if (file->large) { read_behind(file, offset + n); }
            return SABOT_OK;
        }
        if (errno == EINTR) { continue; }
        if (errno == EAGAIN) { /* a terminal that somebody has set to non-blocking */
            poll(&(struct pollfd){.fd = file->fd, .events = POLLIN}, 1, -1);
            continue;
        }
        return SABOT_FAIL(err, SABOT_ERR_IO, "read %s: %s", file->path, REASON(errno));
    }
}

static sabot_status range_sync(const struct real_file *file, int64_t offset, unsigned flags, struct sabot_error *err) {
    if (sync_file_range(file->fd, offset, WINDOW_BYTES, flags) == 0) { return SABOT_OK; }
    /* not a file of a disk: the sync at the end does it all */
    if (errno == EINVAL || errno == ENOSYS || errno == ESPIPE) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_IO, "write %s: %s", file->path, REASON(errno)); /* it would be told only once */
}

/* Sends full windows on their way, and waits for the one before: a sync at the end has little left to wait for, and the
 * disk works while the next window is made. */
static sabot_status write_behind(struct real_file *file, struct sabot_error *err) {
    while (file->done - file->behind >= WINDOW_BYTES) {
        SABOT_TRY(range_sync(file, file->behind, SYNC_FILE_RANGE_WRITE, err));
        const int64_t before = file->behind - WINDOW_BYTES;
        file->behind += WINDOW_BYTES;
        if (before < 0) { continue; }
        SABOT_TRY(range_sync(file, before, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                             SYNC_FILE_RANGE_WAIT_AFTER, err));
        (void)posix_fadvise(file->fd, before, WINDOW_BYTES, POSIX_FADV_DONTNEED);
    }
    return SABOT_OK;
}

static sabot_status real_write(struct env_file *base, const void *data, size_t size, struct sabot_error *err) {
    struct real_file *file = (struct real_file *)base;
    const char *at = data;
    const size_t given = size;
    while (size > 0) {
        const ssize_t n = write(file->fd, at, size);
        if (n >= 0) {
            at += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = file->fd, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return SABOT_FAIL(err, SABOT_ERR_IO, "write %s: %s", file->path, REASON(errno));
        }
    }
    if (!file->large) { return SABOT_OK; } /* which threads may share */
    file->done += (int64_t)given;
    return write_behind(file, err);
}

static sabot_status real_sync(struct env_file *base, struct sabot_error *err) {
    const struct real_file *file = (struct real_file *)base;
    /* pipes and terminals can't be synced, and need not be */
    if (fsync(file->fd) != 0 && errno != EINVAL && errno != EROFS) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "sync %s: %s", file->path, REASON(errno));
    }
    return SABOT_OK;
}

static void stat_take(struct env_stat *out, const struct stat *from) {
    *out = (struct env_stat){
        .size = from->st_size,
        .modified_ms = (int64_t)from->st_mtim.tv_sec * 1000 + from->st_mtim.tv_nsec / 1000000,
        .is_directory = S_ISDIR(from->st_mode),
    };
}

static sabot_status real_file_stat(struct env_file *base, struct env_stat *out, struct sabot_error *err) {
    const struct real_file *file = (struct real_file *)base;
    struct stat found;
    if (fstat(file->fd, &found) != 0) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "look at %s: %s", file->path, REASON(errno));
    }
    stat_take(out, &found);
    return SABOT_OK;
}

static void real_close(struct env_file *base) {
    struct real_file *file = (struct real_file *)base;
    if (file->standard) { return; }
    close(file->fd);
    free(file);
}

static struct env_file *real_standard(struct env *env, int number) {
    (void)env;
    static struct real_file files[3] = {
        {.base = {&real_type}, .fd = 0, .standard = true, .path = "standard input"},
        {.base = {&real_type}, .fd = 1, .standard = true, .path = "standard output"},
        {.base = {&real_type}, .fd = 2, .standard = true, .path = "standard error"},
    };
    return &files[number].base;
}

static bool real_is_terminal(struct env_file *base) { return isatty(((struct real_file *)base)->fd) == 1; }

static sabot_status real_stat(struct env *env, const char *path, struct env_stat *out, struct sabot_error *err) {
    (void)env;
    struct stat found;
    if (stat(path, &found) != 0) {
        const int number = errno == ENOTDIR ? ENOENT : errno;
        return SABOT_FAIL(err, io_status(number), "look at %s: %s", path, REASON(errno));
    }
    stat_take(out, &found);
    return SABOT_OK;
}

static sabot_status real_sync_folder(struct env *env, const char *path, struct sabot_error *err) {
    (void)env;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) { return SABOT_OK; } /* one may write where one may not read */
    if (fd < 0) { return SABOT_FAIL(err, SABOT_ERR_IO, "open the folder %s: %s", path, REASON(errno)); }
    /* some file systems can't sync folders and say EINVAL */
    const int number = fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
    close(fd);
    return number == 0 ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_IO, "sync the folder %s: %s", path, REASON(number));
}

/* A rename is durable when its folder is, and so is a new folder. */
static sabot_status folder_of_sync(const char *path, struct sabot_error *err) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash) { return real_sync_folder(NULL, ".", err); }
    const size_t size = slash == path ? 1 : (size_t)(slash - path);
    if (size >= sizeof folder) { return SABOT_FAIL(err, SABOT_ERR_IO, "sync the folder of %s: too long", path); }
    memcpy(folder, path, size);
    folder[size] = '\0';
    return real_sync_folder(NULL, folder, err);
}

static sabot_status real_rename(struct env *env, const char *from, const char *to, struct sabot_error *err) {
    (void)env;
    if (rename(from, to) != 0) {
        return SABOT_FAIL(err, io_status(errno), "rename %s to %s: %s", from, to, REASON(errno));
    }
    return folder_of_sync(to, err);
}

static sabot_status real_rename_new(struct env *env, const char *from, const char *to, bool *done,
                                    struct sabot_error *err) {
    (void)env;
    int number = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 ? 0 : errno;
    if (number == EINVAL || number == ENOSYS) { /* a file system that can't, NFS for one: a link is as exact */
        number = link(from, to) == 0 ? 0 : errno;
        if (number == 0 || number == EEXIST) { unlink(from); }
    }
    if (number == EEXIST) { return SABOT_OK; }
    if (number != 0) {
        return SABOT_FAIL(err, io_status(number), "rename %s to %s: %s", from, to, REASON(number));
    }
    *done = true;
    return folder_of_sync(to, err);
}

static sabot_status real_remove(struct env *env, const char *path, struct sabot_error *err) {
    (void)env;
    if (remove(path) != 0 && errno != ENOENT) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "remove %s: %s", path, REASON(errno));
    }
    return SABOT_OK;
}

static sabot_status real_make_dir(struct env *env, const char *path, struct sabot_error *err) {
    (void)env;
    if (mkdir(path, 0777) == 0) { return folder_of_sync(path, err); }
    const int number = errno;
    struct stat found;
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode)) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_IO, "make the folder %s: %s", path, REASON(number));
}

static sabot_status real_list(struct env *env, const char *path, char ***names, size_t *n_names,
                              struct sabot_error *err) {
    (void)env;
    DIR *folder = opendir(path);
    if (!folder) { return SABOT_FAIL(err, io_status(errno), "list the folder %s: %s", path, REASON(errno)); }
    size_t capacity = 0;
    bool room = true;
    int number = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            number = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) { continue; }
        room = env_names_add(names, n_names, &capacity, entry->d_name);
        if (!room) { break; }
    }
    closedir(folder);
    if (number == 0 && room) {
        env_names_sort(*names, *n_names);
        return SABOT_OK;
    }
    env_names_free(*names, *n_names);
    *names = NULL;
    *n_names = 0;
    if (!room) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "list the folder %s: no memory for its names", path); }
    return SABOT_FAIL(err, SABOT_ERR_IO, "list the folder %s: %s", path, REASON(number));
}

/* --- threads */

struct real_thread {
    struct env_thread base;
    pthread_t thread;
    void (*run)(void *arg);
    void *arg;
    char name[16]; /* the kernel's limit */
};

static void *thread_main(void *arg) {
    const struct real_thread *thread = arg;
    pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->arg);
    return NULL;
}

static sabot_status real_thread_start(struct env *env, const char *name, void (*run)(void *arg), void *arg,
                                      struct env_thread **out, struct sabot_error *err) {
    (void)env;
    struct real_thread *thread = malloc(sizeof *thread);
    if (!thread) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "start thread %s: no memory", name); }
    *thread = (struct real_thread){.base = {&real_type}, .run = run, .arg = arg};
    snprintf(thread->name, sizeof thread->name, "%s", name);
    const int number = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (number != 0) {
        free(thread);
        return SABOT_FAIL(err, SABOT_ERR_IO, "start thread %s: %s", name, REASON(number));
    }
    *out = &thread->base;
    return SABOT_OK;
}

static void real_thread_join(struct env_thread *base) {
    struct real_thread *thread = (struct real_thread *)base;
    pthread_join(thread->thread, NULL);
    free(thread);
}

/* An event is one futex word: setting one that is set, or that nobody waits for, costs one atomic exchange. */
enum { EVENT_CLEAR, EVENT_SET, EVENT_AWAITED };

struct real_event {
    struct env_event base;
    _Atomic uint32_t word;
};

static struct env_event *real_event_new(struct env *env) {
    (void)env;
    struct real_event *event = malloc(sizeof *event);
    if (!event) { die("no memory for an event"); }
    event->base.type = &real_type;
    atomic_init(&event->word, EVENT_CLEAR);
    return &event->base;
}

static void real_event_set(struct env_event *base) {
    struct real_event *event = (struct real_event *)base;
    if (atomic_exchange_explicit(&event->word, EVENT_SET, memory_order_acq_rel) == EVENT_AWAITED) {
        syscall(SYS_futex, &event->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static bool real_event_wait(struct env_event *base, int64_t timeout_ns) {
    struct real_event *event = (struct real_event *)base;
    if (atomic_exchange_explicit(&event->word, EVENT_CLEAR, memory_order_acq_rel) == EVENT_SET) { return true; }
    if (timeout_ns == 0) { return false; }
    const int64_t until = timeout_ns < 0 ? INT64_MAX : clock_ns(CLOCK_MONOTONIC) + timeout_ns;
    for (;;) {
        uint32_t expected = EVENT_CLEAR;
        if (!atomic_compare_exchange_strong_explicit(&event->word, &expected, EVENT_AWAITED, memory_order_acq_rel,
                                                     memory_order_acquire) &&
            expected == EVENT_SET) {
            atomic_store_explicit(&event->word, EVENT_CLEAR, memory_order_relaxed);
            return true;
        }
        struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
        /* absolute monotonic time, so that a spurious return does not prolong the wait */
        const long rc = syscall(SYS_futex, &event->word, FUTEX_WAIT_BITSET_PRIVATE, EVENT_AWAITED,
                                timeout_ns < 0 ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
        const bool timed_out = rc != 0 && errno == ETIMEDOUT;
        if (atomic_exchange_explicit(&event->word, EVENT_CLEAR, memory_order_acq_rel) == EVENT_SET) { return true; }
        if (timed_out) { return false; }
    }
}

static void real_event_free(struct env_event *base) { free(base); }

struct real_mutex {
    struct env_mutex base;
    pthread_mutex_t mutex;
};

static struct env_mutex *real_mutex_new(struct env *env) {
    (void)env;
    struct real_mutex *mutex = malloc(sizeof *mutex);
    if (!mutex || pthread_mutex_init(&mutex->mutex, NULL) != 0) { die("no memory for a mutex"); }
    mutex->base.type = &real_type;
    return &mutex->base;
}

static void real_mutex_lock(struct env_mutex *base) {
    const int number = pthread_mutex_lock(&((struct real_mutex *)base)->mutex);
    assert(number == 0);
    (void)number;
}

static void real_mutex_unlock(struct env_mutex *base) {
    const int number = pthread_mutex_unlock(&((struct real_mutex *)base)->mutex);
    assert(number == 0);
    (void)number;
}

static void real_mutex_free(struct env_mutex *base) {
    pthread_mutex_destroy(&((struct real_mutex *)base)->mutex);
    free(base);
}

static void real_sleep_ns(struct env *env, int64_t ns) {
    (void)env;
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    while (ns > 0 && nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

/* --- the pools of helper threads: they grow while work waits, and shrink when there is none */

#define POOL_THREADS_MAX 64
#define POOL_QUEUE_MAX 65536
#define POOL_IDLE_SECONDS 10
#define PATIENT_NICE 5 /* of checkpoints' helpers: a third of a worker's share, and a worker that wakes goes first */

struct pool_work {
    struct pool_work *next;
    void (*run)(void *arg);
    void *arg;
};

static struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t more;
    int nice;
    struct pool_work *first, *last;
    int queued, threads, idle;
} pools[] = {{.mutex = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER},
             {.mutex = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .nice = PATIENT_NICE}};

static void *pool_main(void *arg) {
    struct pool *pool = arg;
    pthread_setname_np(pthread_self(), pool->nice ? "sabot-writer" : "sabot-helper");
    if (pool->nice) { /* a system that refuses it has one rank for all */
        const int of_process = getpriority(PRIO_PROCESS, (id_t)getpid());
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), of_process + pool->nice);
    }
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct pool_work *work = pool->first;
        if (work) {
            pool->first = work->next;
            pool->queued--;
            pthread_mutex_unlock(&pool->mutex);
            work->run(work->arg);
            free(work);
            pthread_mutex_lock(&pool->mutex);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += POOL_IDLE_SECONDS;
        pool->idle++;
        const int number = pthread_cond_timedwait(&pool->more, &pool->mutex, &until);
        pool->idle--;
        if (number == ETIMEDOUT && !pool->first) { break; }
    }
    pool->threads--;
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static sabot_status real_offload(struct env *env, bool patient, void (*run)(void *arg), void *arg,
                                 struct sabot_error *err) {
    (void)env;
    struct pool *pool = &pools[patient];
    struct pool_work *work = malloc(sizeof *work);
    if (!work) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "hand work to a helper thread: no memory"); }
    *work = (struct pool_work){.run = run, .arg = arg};
    pthread_mutex_lock(&pool->mutex);
    sabot_status status = SABOT_OK;
    if (pool->queued >= POOL_QUEUE_MAX) {
        status = SABOT_FAIL(err, SABOT_ERR_IO, "hand work to a helper thread: %d pieces are waiting already",
                            POOL_QUEUE_MAX);
    } else if (pool->idle <= pool->queued && pool->threads < POOL_THREADS_MAX) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_t thread;
        const int number = pthread_create(&thread, &attributes, pool_main, pool);
        pthread_attr_destroy(&attributes);
        if (number == 0) {
            pool->threads++;
        } else if (pool->threads == 0) {
            status = SABOT_FAIL(err, SABOT_ERR_IO, "start a helper thread: %s", REASON(number));
        }
    }
    if (status == SABOT_OK) {
        if (pool->first) {
            pool->last->next = work;
        } else {
            pool->first = work;
        }
        pool->last = work;
        pool->queued++;
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (status != SABOT_OK) { free(work); }
    return status;
}

static const struct env_type real_type = {
    .simulated = false,
    .now_ns = real_now_ns,
    .wall_ns = real_wall_ns,
    .random = real_random,
    .cpu_ns = real_cpu_ns,
    .memory_now = real_memory_now,
    .page_faults = real_page_faults,
    .cores = real_cores,
    .memory_bytes = real_memory_bytes,
    .open = real_open,
    .read = real_read,
    .write = real_write,
    .sync = real_sync,
    .file_stat = real_file_stat,
    .close = real_close,
    .standard = real_standard,
    .is_terminal = real_is_terminal,
    .stat = real_stat,
    .rename = real_rename,
    .rename_new = real_rename_new,
    .sync_folder = real_sync_folder,
    .remove = real_remove,
    .make_dir = real_make_dir,
    .list = real_list,
    .map_open = real_map_open,
    .map_resize = real_map_resize,
    .map_drop = real_map_drop,
    .map_close = real_map_close,
    .thread_start = real_thread_start,
    .thread_join = real_thread_join,
    .event_new = real_event_new,
    .event_set = real_event_set,
    .event_wait = real_event_wait,
    .event_free = real_event_free,
    .mutex_new = real_mutex_new,
    .mutex_lock = real_mutex_lock,
    .mutex_unlock = real_mutex_unlock,
    .mutex_free = real_mutex_free,
    .sleep_ns = real_sleep_ns,
    .offload = real_offload,
    .point = real_point,
};
