/* Sockets between processes of one machine, and the folder where they are. */
#include "base/env_local.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S 5
#define BACKLOG 16
#define WRITE_TIMEOUT_MS 10000

struct env_socket {
    int fd;
    char *path; /* of a listener */
};

#define REASON(number) strerror_r((number), (char[128]){0}, 128)

#define DEPTH_MAX 8 /* folders below each other, of what is removed */

static sabot_status real_only(struct env *env, struct sabot_error *err) {
    if (!env_is_simulated(env)) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "the simulator has no other processes");
}

static sabot_status too_long(const char *path, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "the path %.200s... is too long", path);
}

/* --- folders */

static sabot_status folder_own(const char *path, struct sabot_error *err) {
    if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "make the folder %s: %s", path, REASON(errno));
    }
    struct stat found;
    if (lstat(path, &found) != 0) { return SABOT_FAIL(err, SABOT_ERR_IO, "look at %s: %s", path, REASON(errno)); }
    if (S_ISDIR(found.st_mode) && found.st_uid == geteuid() && (found.st_mode & (S_IRWXG | S_IRWXO)) == 0) {
        return SABOT_OK;
    }
    return SABOT_FAIL(err, SABOT_ERR_IO, "%s must be a folder that is yours and that only you may enter "
                      "(chmod 700), or name another one in SABOT_RUN_DIR", path);
}

sabot_status env_run_dir(struct env *env, char target[ENV_PATH_MAX], struct sabot_error *err) {
    SABOT_TRY(real_only(env, err));
    const char *given = getenv("SABOT_RUN_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
    int size;
    if (given && given[0]) {
        size = snprintf(target, ENV_PATH_MAX, "%s", given);
    } else if (runtime && runtime[0]) {
        size = snprintf(target, ENV_PATH_MAX, "%s/sabot", runtime);
    } else {
        size = snprintf(target, ENV_PATH_MAX, "/tmp/sabot-%u", (unsigned)geteuid());
    }
    if (size >= ENV_PATH_MAX) { return too_long(target, err); }
    return folder_own(target, err);
}

sabot_status env_absolute(struct env *env, const char *path, char target[ENV_PATH_MAX], struct sabot_error *err) {
    SABOT_TRY(real_only(env, err));
    char folder[ENV_PATH_MAX] = "";
    if (path[0] != '/' && !getcwd(folder, sizeof folder)) {
        return SABOT_FAIL(err, SABOT_ERR_IO, "the current folder: %s", REASON(errno));
    }
    const size_t base = strlen(folder), size = strlen(path);
    if (base + size + 2 > ENV_PATH_MAX) { return too_long(path, err); }
    memcpy(target, folder, base);
    size_t at = base;
    if (base) { target[at++] = '/'; }
    memcpy(target + at, path, size + 1);
    for (at += size; at > 1 && target[at - 1] == '/'; at--) { target[at - 1] = '\0'; }
    return SABOT_OK;
}

static sabot_status remove_below(struct env *env, const char *path, int32_t depth, struct sabot_error *err) {
    struct env_stat stat;
    if (env_stat(env, path, &stat, NULL) == SABOT_OK && stat.is_directory && depth < DEPTH_MAX) {
        char **names, below[ENV_PATH_MAX];
        size_t n;
        SABOT_TRY(env_list(env, path, &names, &n, err));
        sabot_status status = SABOT_OK;
        for (size_t i = 0; i < n && status == SABOT_OK; i++) {
            if (snprintf(below, sizeof below, "%s/%s", path, names[i]) >= (int)sizeof below) {
                status = SABOT_FAIL(err, SABOT_ERR_IO, "%s: a path in it is too long", path);
            } else {
                status = remove_below(env, below, depth + 1, err);
            }
        }
        env_names_free(names, n);
        SABOT_TRY(status);
    }
    return env_remove(env, path, err);
}

sabot_status env_remove_tree(struct env *env, const char *path, struct sabot_error *err) {
    return remove_below(env, path, 0, err);
}

int32_t env_process_id(struct env *env) {
    (void)env;
    return (int32_t)getpid();
}

/* --- sockets */

/* An address holds 108 bytes at most; a long path is reached through its open folder. *folder: to be closed. */
static sabot_status address_of(const char *path, struct sockaddr_un *address, int *folder, struct sabot_error *err) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *folder = -1;
    if (strlen(path) < sizeof address->sun_path) {
        strcpy(address->sun_path, path);
        return SABOT_OK;
    }
    const char *name = strrchr(path, '/');
    char parent[ENV_PATH_MAX];
    if (!name || (size_t)(name - path) >= sizeof parent || strlen(name) > 64) { return too_long(path, err); }
    memcpy(parent, path, (size_t)(name - path));
    parent[name - path] = '\0';
    *folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0) { return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "the folder %s: %s", parent, REASON(errno)); }
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d%.64s", *folder, name);
    return SABOT_OK;
}

static struct env_socket *socket_of(int fd, const char *path) {
    struct env_socket *made = calloc(1, sizeof *made);
    char *copy = path ? strdup(path) : NULL;
    if (!made || (path && !copy)) {
        free(made);
        free(copy);
        close(fd);
        return NULL;
    }
    *made = (struct env_socket){.fd = fd, .path = copy};
    return made;
}

static sabot_status socket_open(int *fd, struct sabot_error *err) {
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return *fd >= 0 ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_IO, "make a socket: %s", REASON(errno));
}

sabot_status env_socket_connect(struct env *env, const char *path, struct env_socket **out, struct sabot_error *err) {
    *out = NULL;
    SABOT_TRY(real_only(env, err));
    struct sockaddr_un address;
    int folder, fd;
    SABOT_TRY(address_of(path, &address, &folder, err));
    sabot_status status = socket_open(&fd, err);
    /* a process that is stopped takes no more than BACKLOG */
    const struct timeval patience = {.tv_sec = CONNECT_TIMEOUT_S};
    if (status == SABOT_OK) { setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); }
    if (status == SABOT_OK && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        const int number = errno;
        close(fd);
        const bool nobody = number == ENOENT || number == ECONNREFUSED;
        status = SABOT_FAIL(err, nobody ? SABOT_ERR_NOT_FOUND : SABOT_ERR_IO, "connect to %s: %s", path,
                            number == EAGAIN ? "nobody takes the connection" : REASON(number));
    }
    if (folder >= 0) { close(folder); }
    SABOT_TRY(status);
    *out = socket_of(fd, NULL);
    return *out ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a socket");
}

sabot_status env_socket_listen(struct env *env, const char *path, struct env_socket **out, struct sabot_error *err) {
    *out = NULL;
    SABOT_TRY(real_only(env, err));
    struct env_socket *other = NULL;
    if (env_socket_connect(env, path, &other, NULL) == SABOT_OK) {
        env_socket_close(other);
        return SABOT_FAIL(err, SABOT_ERR_STATE, "somebody listens at %s already", path);
    }
    /* It gets its name when it listens: a socket that answers nobody is taken for one that a dead process has left. */
    char unnamed[ENV_PATH_MAX];
    if (snprintf(unnamed, sizeof unnamed, "%s.new", path) >= (int)sizeof unnamed) { return too_long(path, err); }
    unlink(unnamed); /* left behind by a process that was killed */
    struct sockaddr_un address;
    int folder, fd;
    SABOT_TRY(address_of(unnamed, &address, &folder, err));
    sabot_status status = socket_open(&fd, err);
    if (status == SABOT_OK) {
        fchmod(fd, S_IRUSR | S_IWUSR); /* what bind makes has this mode from its first moment */
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
            chmod(unnamed, S_IRUSR | S_IWUSR) != 0 || listen(fd, BACKLOG) != 0 || rename(unnamed, path) != 0) {
            status = SABOT_FAIL(err, SABOT_ERR_IO, "listen at %s: %s", path, REASON(errno));
            unlink(unnamed);
            close(fd);
        }
    }
    if (folder >= 0) { close(folder); }
    SABOT_TRY(status);
    *out = socket_of(fd, path);
    return *out ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a socket");
}

/* 1: ready, 0: not within the time, -1: errno. */
static int wait_for(int fd, short events, int64_t timeout_ns) {
    struct pollfd waits = {.fd = fd, .events = events};
    int ready;
    do {
        ready = poll(&waits, 1, timeout_ns < 0 ? -1 : (int)(timeout_ns / 1000000));
    } while (ready < 0 && errno == EINTR);
    return ready;
}

sabot_status env_socket_accept(struct env_socket *listener, int64_t timeout_ns, struct env_socket **out,
                               struct sabot_error *err) {
    *out = NULL;
    const int ready = wait_for(listener->fd, POLLIN, timeout_ns);
    if (ready == 0) { return SABOT_OK; }
    const int fd = ready < 0 ? -1 : accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == ECONNABORTED || errno == EINTR) { return SABOT_OK; }
        return SABOT_FAIL(err, SABOT_ERR_IO, "listen at %s: %s", listener->path, REASON(errno));
    }
    *out = socket_of(fd, NULL);
    return *out ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a socket");
}

sabot_status env_socket_read(struct env_socket *from, void *target, size_t size, int64_t timeout_ns, size_t *got,
                             struct sabot_error *err) {
    *got = 0;
    const int ready = wait_for(from->fd, POLLIN, timeout_ns);
    if (ready == 0) { return SABOT_FAIL(err, SABOT_ERR_IO, "the other process does not answer"); }
    const ssize_t size_got = ready < 0 ? -1 : recv(from->fd, target, size, 0);
    if (size_got < 0) { return SABOT_FAIL(err, SABOT_ERR_IO, "read from another process: %s", REASON(errno)); }
    *got = (size_t)size_got;
    return SABOT_OK;
}

sabot_status env_socket_write(struct env_socket *to, const void *data, size_t size, struct sabot_error *err) {
    const char *at = data;
    while (size > 0) {
        const int ready = wait_for(to->fd, POLLOUT, (int64_t)WRITE_TIMEOUT_MS * 1000000);
        const ssize_t sent = ready <= 0 ? -1 : send(to->fd, at, size, MSG_NOSIGNAL);
        if (sent < 0) {
            return SABOT_FAIL(err, SABOT_ERR_IO, "write to another process: %s",
                              ready == 0 ? "it does not read" : REASON(errno));
        }
        at += sent;
        size -= (size_t)sent;
    }
    return SABOT_OK;
}

void env_socket_close(struct env_socket *closed) {
    if (!closed) { return; }
    if (closed->path) { unlink(closed->path); }
    close(closed->fd);
    free(closed->path);
    free(closed);
}
