/* The world as a parameter: clocks, random numbers, files, threads. Nothing outside env_*.c calls the machine.
 *
 * env_real.c is the machine. env_sim.c is a deterministic simulator: one thread, virtual time, a seeded scheduler that
 * decides which task or job runs next, seeded delays and faults, an in-memory file system. The same seed gives the same
 * run. Paths are UTF-8. All functions are thread safe unless said otherwise. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct env;
struct env_file;
struct env_thread;
struct env_event; /* a wake-up flag that one thread waits for and any thread sets */
struct env_mutex;

enum env_open {
    ENV_READ,
    ENV_READ_LARGE, /* from front to back, by one thread: it does not stay in the system's memory */
    ENV_WRITE_NEW,  /* fails if it exists */
    ENV_WRITE_TRUNCATE,
    ENV_WRITE_LARGE, /* the same; it goes to the disk as it is written, and does not stay in the system's memory */
    ENV_APPEND
};
static inline bool env_open_reads(enum env_open mode) { return mode == ENV_READ || mode == ENV_READ_LARGE; }

struct env_stat {
    int64_t size;        /* bytes */
    int64_t modified_ms; /* Unix time */
    bool is_directory;
};

/* The machine; one per process, static. */
struct env *env_real(void);

/* --- time and chance */
int64_t env_now_ns(struct env *env);      /* monotonic */
int64_t env_wall_ns(struct env *env);     /* Unix time in nanoseconds */
int64_t env_wall_ms(struct env *env);     /* the same in milliseconds */
uint64_t env_random(struct env *env);     /* seeded in the simulator, from the system otherwise */
int64_t env_cpu_ns(struct env *env);      /* CPU time of the process */
struct env_memory {
    int64_t resident; /* bytes of the process that are in memory */
    int64_t of_files; /* of them: pages of files */
};
struct env_memory env_memory_now(struct env *env);
/* How often the calling thread has had a page brought into memory so far (each time up to 64 KiB); -1: not known. */
int64_t env_page_faults(struct env *env);
int64_t env_rss_bytes(struct env *env);   /* env_memory_now().resident */
int env_cores(struct env *env);
int64_t env_memory_bytes(struct env *env); /* that the machine (or its control group) has */

/* --- files. Every error names the path and the reason. */
sabot_status env_open(struct env *env, const char *path, enum env_open mode, struct env_file **out,
                      struct sabot_error *err);
/* Reads up to `size` bytes at `offset` (offset -1: the next bytes, for pipes and standard input); *got = 0 at the
 * end. */
sabot_status env_read(struct env_file *file, int64_t offset, void *target, size_t size, size_t *got,
                      struct sabot_error *err);
sabot_status env_write(struct env_file *file, const void *data, size_t size, struct sabot_error *err); /* all of it */
sabot_status env_sync(struct env_file *file, struct sabot_error *err);                                 /* fsync */
sabot_status env_file_stat(struct env_file *file, struct env_stat *out, struct sabot_error *err);
void env_close(struct env_file *file); /* NULL is allowed */
struct env_file *env_stdin(struct env *env);  /* never closed; env_close on them does nothing */
struct env_file *env_stdout(struct env *env);
struct env_file *env_stderr(struct env *env);
bool env_is_terminal(struct env_file *file);

/* ERR_NOT_FOUND where nothing is there. */
sabot_status env_stat(struct env *env, const char *path, struct env_stat *out, struct sabot_error *err);
/* With fsync of the folder. */
sabot_status env_rename(struct env *env, const char *from, const char *to, struct sabot_error *err);
/* The same, but an existing `to` stays as it is, and *done is false then; of several at once one is done. */
sabot_status env_rename_new(struct env *env, const char *from, const char *to, bool *done, struct sabot_error *err);
/* The names in it are durable; env_sync makes a file's bytes so, and a new file needs both. A rename and env_make_dirs
 * do this for theirs. */
sabot_status env_sync_folder(struct env *env, const char *path, struct sabot_error *err);
/* A file or an empty folder; absent is OK. */
sabot_status env_remove(struct env *env, const char *path, struct sabot_error *err);
sabot_status env_make_dirs(struct env *env, const char *path, struct sabot_error *err); /* like mkdir -p */
/* Names in a folder, sorted by bytes, without . and ..; freed with env_names_free. */
sabot_status env_list(struct env *env, const char *path, char ***names, size_t *n_names, struct sabot_error *err);
void env_names_free(char **names, size_t n_names);
/* Whole files, for small ones (limit 64 MiB); *data is malloc'ed and NUL-terminated. */
sabot_status env_read_file(struct env *env, const char *path, char **data, size_t *size, struct sabot_error *err);
/* Writes path atomically: temporary file, fsync, rename. */
sabot_status env_write_file(struct env *env, const char *path, const void *data, size_t size, struct sabot_error *err);

/* --- memory with a file behind it: what is dropped from memory is still in the file. The file has no name, so that
 * nothing is left of it when the process ends. */
struct env_map {
    void *data; /* page-aligned */
    size_t size;
    int file; /* -1: it can't be resized */
};
/* `size` zero bytes. The disk's space is reserved: writing to them can't fail later. folder NULL: a temporary one of
 * the system. An error names the folder and the reason. */
sabot_status env_map_open(struct env *env, const char *folder, size_t size, bool grows, struct env_map *out,
                          struct sabot_error *err);
static inline bool env_map_grows(const struct env_map *map) { return map->file >= 0; }
/* It may move; new bytes are zero. Where this fails the map is as before. */
sabot_status env_map_resize(struct env *env, struct env_map *map, size_t size, struct sabot_error *err);
/* Bytes offset..offset+size (whole pages) need not be in memory until they are touched again. */
void env_map_drop(struct env *env, const struct env_map *map, size_t offset, size_t size);
void env_map_close(struct env *env, struct env_map *map);

/* --- threads */
sabot_status env_thread_start(struct env *env, const char *name, void (*run)(void *arg), void *arg,
                              struct env_thread **out, struct sabot_error *err);
void env_thread_join(struct env_thread *thread);
struct env_event *env_event_new(struct env *env); /* aborts when the system has no memory for it */
void env_event_set(struct env_event *event);
/* Returns true if it was set (and clears it), false after `timeout_ns` (negative: no limit). */
bool env_event_wait(struct env_event *event, int64_t timeout_ns);
void env_event_free(struct env_event *event);
struct env_mutex *env_mutex_new(struct env *env);
void env_mutex_lock(struct env_mutex *mutex);
void env_mutex_unlock(struct env_mutex *mutex);
void env_mutex_free(struct env_mutex *mutex);
void env_sleep_ns(struct env *env, int64_t ns);

/* Runs blocking work away from the caller: on a pool of helper threads (real) or at a random later moment of virtual
 * time (simulated). `run` must not touch the caller's data without a lock or an atomic flag. */
sabot_status env_offload(struct env *env, void (*run)(void *arg), void *arg, struct sabot_error *err);
/* The same for work of which nobody waits for the next row: its threads stand behind the others where cores are few. */
sabot_status env_offload_patient(struct env *env, void (*run)(void *arg), void *arg, struct sabot_error *err);

/* A place where a test may end the process; does nothing otherwise. */
enum env_point {
#define X(symbol, name) ENV_POINT_##symbol,
#include "base/env_points.def"
#undef X
    ENV_POINTS
};
void env_point(struct env *env, enum env_point point);

/* True in the simulator: libraries with threads of their own must not be started then. */
bool env_is_simulated(const struct env *env);

#endif
