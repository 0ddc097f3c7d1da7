/* The simulated world: the same seed is the same world, time moves only when asked, a crash loses what was not
 * synced. */
#include "base/env_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct env *world(uint64_t seed) { return env_sim_new(&(struct env_sim_options){.seed = seed}); }

static void chance_comes_from_the_seed(void **state) {
    (void)state;
    struct env *a = world(1), *b = world(1), *c = world(2);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        const uint64_t value = env_random(a);
        assert_true(value == env_random(b));
        differs |= value != env_random(c);
    }
    assert_true(differs);
    env_sim_free(a);
    env_sim_free(b);
    env_sim_free(c);
}

static void add_digit(void *arg) { *(int *)arg = *(int *)arg * 10 + 1; }

static void time_moves_only_when_somebody_waits(void **state) {
    (void)state;
    struct env *env = world(3);
    const int64_t start = env_now_ns(env);
    assert_int_equal(env_now_ns(env), start);
    struct env_event *event = env_event_new(env);
    assert_false(env_event_wait(event, 1000));
    assert_int_equal(env_now_ns(env), start + 1000);
    env_event_set(event);
    assert_true(env_event_wait(event, -1));
    assert_int_equal(env_now_ns(env), start + 1000);
    env_sim_advance(env, 5); /* never back */
    assert_int_equal(env_now_ns(env), start + 1000);
    env_event_free(event);
    env_sim_free(env);
}

static void helper_work_is_done_later(void **state) {
    (void)state;
    struct env *env = world(4);
    int digits = 0;
    assert_int_equal(env_offload(env, add_digit, &digits, NULL), SABOT_OK);
    assert_int_equal(env_offload(env, add_digit, &digits, NULL), SABOT_OK);
    assert_int_equal(digits, 0);
    while (env_sim_next_work_ns(env) != INT64_MAX) {
        env_sim_advance(env, env_sim_next_work_ns(env));
        env_sim_run_work(env);
    }
    assert_int_equal(digits, 11);
    env_sim_free(env);
}

static void write_text(struct env *env, const char *path, const char *text, bool sync) {
    struct env_file *file;
    assert_int_equal(env_open(env, path, ENV_APPEND, &file, NULL), SABOT_OK);
    assert_int_equal(env_write(file, text, strlen(text), NULL), SABOT_OK);
    if (sync) { assert_int_equal(env_sync(file, NULL), SABOT_OK); }
    env_close(file);
}

static size_t size_of(struct env *env, const char *path) {
    struct env_stat found = {.size = -1};
    env_stat(env, path, &found, NULL);
    return (size_t)found.size;
}

static void a_crash_loses_what_was_not_synced(void **state) {
    (void)state;
    bool lost = false, kept = false, lost_name = false, kept_name = false;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct env *env = world(seed);
        assert_int_equal(env_make_dirs(env, "/a/b", NULL), SABOT_OK);
        write_text(env, "/a/b/f", "durable", true);
        write_text(env, "/a/b/g", "", true);
        assert_int_equal(env_sync_folder(env, "/a/b", NULL), SABOT_OK);
        write_text(env, "/a/b/nameless", "durable", true);
        write_text(env, "/a/b/f", "volatile", false);
        env_sim_crash(env);
        struct env_file *file;
        assert_int_equal(env_open(env, "/a/b/f", ENV_READ, &file, NULL), SABOT_ERR_IO);
        env_sim_restart(env);
        const size_t size = size_of(env, "/a/b/f");
        assert_true(size >= 7 && size <= 15);
        assert_true(size_of(env, "/a/b/g") == 0);
        lost_name |= size_of(env, "/a/b/nameless") == (size_t)-1;
        kept_name |= size_of(env, "/a/b/nameless") == 7;
        lost |= size < 15;
        kept |= size > 7;
        env_sim_free(env);
    }
    assert_true(lost && kept && lost_name && kept_name);
}

static void files_and_folders_are_as_on_the_machine(void **state) {
    (void)state;
    struct env *env = env_sim_new(&(struct env_sim_options){.seed = 5, .short_reads = true});
    struct env_file *file;
    assert_int_equal(env_open(env, "/d/f", ENV_WRITE_NEW, &file, NULL), SABOT_ERR_NOT_FOUND);
    assert_int_equal(env_make_dirs(env, "/d/e/", NULL), SABOT_OK);
    assert_int_equal(env_write_file(env, "/d/f", "0123456789", 10, NULL), SABOT_OK);
    assert_int_equal(env_open(env, "/d/f", ENV_WRITE_NEW, &file, NULL), SABOT_ERR_IO);
    char **names;
    size_t n;
    assert_int_equal(env_list(env, "/d", &names, &n, NULL), SABOT_OK);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "e");
    assert_string_equal(names[1], "f");
    env_names_free(names, n);
    assert_int_equal(env_remove(env, "/d", NULL), SABOT_ERR_IO); /* not empty */
    assert_int_equal(env_rename(env, "/d/f", "/d/e/g", NULL), SABOT_OK);
    assert_int_equal(env_open(env, "/d/f", ENV_READ, &file, NULL), SABOT_ERR_NOT_FOUND);
    char *data;
    size_t size;
    assert_int_equal(env_read_file(env, "/d/e//g", &data, &size, NULL), SABOT_OK); /* in spite of short reads */
    assert_int_equal(size, 10);
    assert_string_equal(data, "0123456789");
    free(data);
    /* a handle outlives the name */
    assert_int_equal(env_open(env, "/d/e/g", ENV_READ, &file, NULL), SABOT_OK);
    assert_int_equal(env_remove(env, "/d/e/g", NULL), SABOT_OK);
    char byte;
    size_t got;
    assert_int_equal(env_read(file, 9, &byte, 1, &got, NULL), SABOT_OK);
    assert_int_equal(byte, '9');
    env_close(file);
    assert_int_equal(env_remove(env, "/d/e", NULL), SABOT_OK);
    assert_int_equal(env_remove(env, "/d", NULL), SABOT_OK);
    env_sim_free(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chance_comes_from_the_seed),
        cmocka_unit_test(time_moves_only_when_somebody_waits),
        cmocka_unit_test(helper_work_is_done_later),
        cmocka_unit_test(a_crash_loses_what_was_not_synced),
        cmocka_unit_test(files_and_folders_are_as_on_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
