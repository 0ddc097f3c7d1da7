/* The machine behind env.h: files are written whole or not at all, events wake, helper threads run what they are
 * given. */
#include "base/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int folder_make(void **state) {
    (void)state;
    strcpy(folder, "/tmp/sabot-env-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state) {
    (void)state;
    char **names;
    size_t n;
    if (env_list(env_real(), folder, &names, &n, NULL) != SABOT_OK) { return -1; }
    for (size_t i = 0; i < n; i++) { env_remove(env_real(), in_folder(names[i]), NULL); }
    env_names_free(names, n);
    return env_remove(env_real(), folder, NULL) == SABOT_OK ? 0 : -1;
}

static void whole_files_come_back(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct env *env = env_real();
    assert_int_equal(env_write_file(env, in_folder("a"), "hello\0x", 7, &err), SABOT_OK);
    char *data;
    size_t size;
    assert_int_equal(env_read_file(env, in_folder("a"), &data, &size, &err), SABOT_OK);
    assert_int_equal(size, 7);
    assert_memory_equal(data, "hello\0x", 8);
    free(data);
    char **names;
    size_t n;
    assert_int_equal(env_list(env, folder, &names, &n, &err), SABOT_OK);
    assert_int_equal(n, 1); /* no temporary file stays */
    assert_string_equal(names[0], "a");
    env_names_free(names, n);
    /* what has no size beforehand is read to its end as well */
    assert_int_equal(env_read_file(env, "/proc/self/status", &data, &size, &err), SABOT_OK);
    assert_non_null(strstr(data, "Name:"));
    free(data);
}

static void errors_name_the_path(void **state) {
    (void)state;
    struct sabot_error err = {0};
    struct env_file *file;
    assert_int_equal(env_open(env_real(), in_folder("none"), ENV_READ, &file, &err), SABOT_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, in_folder("none")));
    assert_null(file);
    error_clear(&err);
    struct env_stat found;
    assert_int_equal(env_stat(env_real(), in_folder("none"), &found, &err), SABOT_ERR_NOT_FOUND);
    assert_int_equal(env_remove(env_real(), in_folder("none"), NULL), SABOT_OK);
    error_clear(&err);
    assert_int_equal(env_open(env_real(), in_folder("new"), ENV_WRITE_NEW, &file, &err), SABOT_OK);
    env_close(file);
    assert_int_equal(env_open(env_real(), in_folder("new"), ENV_WRITE_NEW, &file, &err), SABOT_ERR_IO);
}

static void reads_at_an_offset_do_not_move_the_next_read(void **state) {
    (void)state;
    struct env *env = env_real();
    assert_int_equal(env_write_file(env, in_folder("b"), "0123456789", 10, NULL), SABOT_OK);
    struct env_file *file;
    assert_int_equal(env_open(env, in_folder("b"), ENV_READ, &file, NULL), SABOT_OK);
    char bytes[16];
    size_t got;
    assert_int_equal(env_read(file, 7, bytes, sizeof bytes, &got, NULL), SABOT_OK);
    assert_int_equal(got, 3);
    assert_int_equal(env_read(file, -1, bytes, 4, &got, NULL), SABOT_OK);
    assert_memory_equal(bytes, "0123", 4);
    struct env_stat found;
    assert_int_equal(env_file_stat(file, &found, NULL), SABOT_OK);
    assert_int_equal(found.size, 10);
    env_close(file);
}

/* Past some windows of what goes to the disk at once, in pieces that do not fit into them, and with a look at the end
 * before. */
static void large_files_are_read_as_they_were_written(void **state) {
    (void)state;
    enum { PIECE = 100003, PIECES = 300 };
    static uint32_t written[PIECE], found[PIECE];
    struct env *env = env_real();
    struct env_file *file;
    size_t got;
    for (int round = 0; round < 2; round++) { /* over what was there */
        assert_int_equal(env_open(env, in_folder("large"), ENV_WRITE_LARGE, &file, NULL), SABOT_OK);
        for (uint32_t p = 0; p < PIECES; p++) {
            for (uint32_t i = 0; i < PIECE; i++) { written[i] = p * 31 + i + (uint32_t)round; }
            assert_int_equal(env_write(file, written, PIECE, NULL), SABOT_OK);
        }
        assert_int_equal(env_sync(file, NULL), SABOT_OK);
        env_close(file);
    }
    assert_int_equal(env_open(env, in_folder("large"), ENV_READ_LARGE, &file, NULL), SABOT_OK);
    assert_int_equal(env_read(file, (int64_t)PIECE * PIECES - 4, found, 8, &got, NULL), SABOT_OK);
    assert_int_equal(got, 4);
    for (uint32_t p = 0; p < PIECES; p++) {
        for (uint32_t i = 0; i < PIECE; i++) { written[i] = p * 31 + i + 1; }
        assert_int_equal(env_read(file, (int64_t)PIECE * p, found, PIECE, &got, NULL), SABOT_OK);
        assert_int_equal(got, PIECE);
        assert_memory_equal(found, written, PIECE);
    }
    env_close(file);
    env_remove(env, in_folder("large"), NULL);
}

static void folders_are_made_with_all_above_them(void **state) {
    (void)state;
    struct env *env = env_real();
    assert_int_equal(env_make_dirs(env, in_folder("x/y//z/"), NULL), SABOT_OK);
    assert_int_equal(env_make_dirs(env, in_folder("x/y/z"), NULL), SABOT_OK);
    struct env_stat found;
    assert_int_equal(env_stat(env, in_folder("x/y/z"), &found, NULL), SABOT_OK);
    assert_true(found.is_directory);
    env_remove(env, in_folder("x/y/z"), NULL);
    env_remove(env, in_folder("x/y"), NULL);
    env_remove(env, in_folder("x"), NULL);
}

struct pair {
    struct env_event *ping, *pong;
    int rounds;
};

static void pong_main(void *arg) {
    struct pair *pair = arg;
    for (int i = 0; i < pair->rounds; i++) {
        assert_true(env_event_wait(pair->ping, -1));
        env_event_set(pair->pong);
    }
}

static void events_wake_one_another_without_loss(void **state) {
    (void)state;
    struct env *env = env_real();
    struct pair pair = {env_event_new(env), env_event_new(env), 20000};
    struct env_thread *thread;
    assert_int_equal(env_thread_start(env, "pong", pong_main, &pair, &thread, NULL), SABOT_OK);
    for (int i = 0; i < pair.rounds; i++) {
        env_event_set(pair.ping);
        assert_true(env_event_wait(pair.pong, INT64_C(10000000000)));
    }
    env_thread_join(thread);
    assert_false(env_event_wait(pair.pong, 0));
    const int64_t before = env_now_ns(env);
    assert_false(env_event_wait(pair.pong, 5000000));
    assert_true(env_now_ns(env) - before >= 5000000);
    env_event_set(pair.pong);
    env_event_set(pair.pong); /* a flag, not a count */
    assert_true(env_event_wait(pair.pong, 0));
    assert_false(env_event_wait(pair.pong, 0));
    env_event_free(pair.ping);
    env_event_free(pair.pong);
}

struct counter {
    struct env_mutex *mutex;
    struct env_event *done;
    int count, wanted;
};

static void count_up(void *arg) {
    struct counter *counter = arg;
    env_mutex_lock(counter->mutex);
    counter->count++;
    if (counter->count == counter->wanted) { env_event_set(counter->done); }
    env_mutex_unlock(counter->mutex);
}

static void offloaded_work_runs_once_each(void **state) {
    (void)state;
    struct env *env = env_real();
    struct counter counter = {env_mutex_new(env), env_event_new(env), 0, 2000};
    for (int i = 0; i < counter.wanted; i += 2) {
        assert_int_equal(env_offload(env, count_up, &counter, NULL), SABOT_OK);
        assert_int_equal(env_offload_patient(env, count_up, &counter, NULL), SABOT_OK);
    }
    assert_true(env_event_wait(counter.done, INT64_C(20000000000)));
    env_mutex_lock(counter.mutex);
    assert_int_equal(counter.count, counter.wanted);
    env_mutex_unlock(counter.mutex);
    env_event_free(counter.done);
    env_mutex_free(counter.mutex);
}

struct rank {
    struct env_event *done;
    int of_thread;
};
static void rank_tell(void *arg) {
    struct rank *rank = arg;
    rank->of_thread = getpriority(PRIO_PROCESS, 0); /* on Linux the calling thread's */
    env_event_set(rank->done);
}

static void patient_work_stands_behind_other_threads(void **state) {
    (void)state;
    struct env *env = env_real();
    struct rank eager = {.done = env_event_new(env)}, patient = {.done = env_event_new(env)};
    assert_int_equal(env_offload_patient(env, rank_tell, &patient, NULL), SABOT_OK);
    assert_true(env_event_wait(patient.done, INT64_C(20000000000)));
    assert_int_equal(env_offload(env, rank_tell, &eager, NULL), SABOT_OK);
    assert_true(env_event_wait(eager.done, INT64_C(20000000000)));
    const int own = getpriority(PRIO_PROCESS, 0);
    assert_int_equal(eager.of_thread, own);
    assert_true(patient.of_thread > own || own == 19);
    env_event_free(eager.done);
    env_event_free(patient.done);
}

static void the_machine_answers(void **state) {
    (void)state;
    struct env *env = env_real();
    assert_true(env_cores(env) >= 1);
    assert_true(env_rss_bytes(env) > 100000);
    assert_true(env_wall_ms(env) > INT64_C(1700000000000));
    assert_true(env_cpu_ns(env) > 0);
    assert_true(env_random(env) != env_random(env));
    assert_false(env_is_simulated(env));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_come_back),
        cmocka_unit_test(errors_name_the_path),
        cmocka_unit_test(reads_at_an_offset_do_not_move_the_next_read),
        cmocka_unit_test(large_files_are_read_as_they_were_written),
        cmocka_unit_test(folders_are_made_with_all_above_them),
        cmocka_unit_test(events_wake_one_another_without_loss),
        cmocka_unit_test(offloaded_work_runs_once_each),
        cmocka_unit_test(patient_work_stands_behind_other_threads),
        cmocka_unit_test(the_machine_answers),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
