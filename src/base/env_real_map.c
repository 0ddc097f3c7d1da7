/* The machine's memory with files behind it: unnamed files, mapped shared. */
#include "base/env_local.h"
#include "base/env_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define REASON(number) strerror_r((number), (char[128]){0}, 128)

/* Asked for every few hundred rows while state is on disk: the file stays open. */
struct env_memory real_memory_now(struct env *env) {
    (void)env;
    static _Atomic int statm = -1;
    int fd = atomic_load_explicit(&statm, memory_order_acquire);
    if (fd < 0) {
        int opened = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        if (opened < 0) { return (struct env_memory){0}; }
        if (atomic_compare_exchange_strong(&statm, &fd, opened)) {
            fd = opened;
        } else {
            close(opened);
        }
    }
    char line[128];
    const ssize_t got = pread(fd, line, sizeof line - 1, 0);
    if (got <= 0) { return (struct env_memory){0}; }
    line[got] = '\0';
    char *at = line;
    (void)strtoll(at, &at, 10); /* of the address space */
    const int64_t resident = strtoll(at, &at, 10), of_files = strtoll(at, &at, 10), page = sysconf(_SC_PAGESIZE);
    return (struct env_memory){.resident = resident * page, .of_files = of_files * page};
}

/* Asked for more often still: a tenth of the price. */
int64_t real_page_faults(struct env *env) {
    (void)env;
    struct rusage used;
    if (getrusage(RUSAGE_THREAD, &used) != 0) { return -1; }
    return used.ru_minflt + used.ru_majflt;
}

/* /tmp may be memory; /var/tmp is a disk by convention. */
const char *env_temporary_dir(struct env *env) {
    (void)env;
    const char *wanted = getenv("TMPDIR");
    return wanted && *wanted ? wanted : "/var/tmp";
}

static const char *folder_or_default(const char *folder) { return folder ? folder : env_temporary_dir(env_real()); }

static int unnamed_file(const char *folder) {
    const int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) { return fd; }
    char path[PATH_MAX]; /* a file system without unnamed files */
    if (snprintf(path, sizeof path, "%s/sabot-spill-XXXXXX", folder) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    const int named = mkostemp(path, O_CLOEXEC);
    if (named >= 0) { unlink(path); }
    return named;
}

/* Space for bytes from..to of a file. 0 or the error's number. */
static int reserve(int fd, size_t from, size_t to) {
    int number;
    do {
        number = fallocate(fd, 0, (off_t)from, (off_t)(to - from)) == 0 ? 0 : errno;
    } while (number == EINTR);
    /* glibc's own way (it writes) where the file system has none */
    return number == EOPNOTSUPP ? posix_fallocate(fd, (off_t)from, (off_t)(to - from)) : number;
}

static sabot_status fail(const char *folder, size_t size, int number, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_IO,
                      "reserve %zu bytes for state in %s: %s: make room there, or name another folder with SET "
                      "'state.spill-dir'", size, folder, REASON(number));
}

sabot_status real_map_open(struct env *env, const char *folder, size_t size, bool grows, struct env_map *out,
                           struct sabot_error *err) {
    (void)env;
    folder = folder_or_default(folder);
    const int fd = unnamed_file(folder);
    if (fd < 0) { return fail(folder, size, errno, err); }
    int number = reserve(fd, 0, size);
    void *data = MAP_FAILED;
    if (number == 0) {
        data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        number = data == MAP_FAILED ? errno : 0;
    }
    if (number != 0) {
        close(fd);
        return fail(folder, size, number, err);
    }
    /* Hash tables are read here and there: reading ahead would only throw other pages out. */
    (void)madvise(data, size, MADV_RANDOM);
    if (!grows) { close(fd); }
    *out = (struct env_map){.data = data, .size = size, .file = grows ? fd : -1};
    return SABOT_OK;
}

sabot_status real_map_resize(struct env *env, struct env_map *map, size_t size, struct sabot_error *err) {
    (void)env;
    int number = size > map->size ? reserve(map->file, map->size, size) : 0;
    void *data = MAP_FAILED;
    if (number == 0) {
        data = mremap(map->data, map->size, size, MREMAP_MAYMOVE);
        number = data == MAP_FAILED ? errno : 0;
    }
    if (number != 0) { return fail("the spill folder", size, number, err); }
    /* cut off behind the new end, so that what grows there again is zero */
    if (size < map->size) { (void)!ftruncate(map->file, (off_t)size); }
    map->data = data;
    map->size = size;
    return SABOT_OK;
}

void real_map_drop(struct env *env, const struct env_map *map, size_t offset, size_t size) {
    (void)env;
    (void)madvise((char *)map->data + offset, size, MADV_DONTNEED);
}

void real_map_close(struct env *env, struct env_map *map) {
    (void)env;
    munmap(map->data, map->size);
    if (map->file >= 0) { close(map->file); }
    *map = (struct env_map){.file = -1};
}
