/* Copies of a remote checkpoint's files on this machine: which ones go when. In the simulated world, where no remote
 * store is: copies are only looked at as what they are, local files. */
#include "checkpoint/local_copy.h"

#include "base/env_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIR "s3://bucket/job"

static struct env *env;
static struct store *store;

static int setup(void **state) {
    (void)state;
    const struct store_setting settings[] = {{LOCAL_COPY_SETTING, "/copies"}};
    env = env_sim_new(&(struct env_sim_options){.seed = 1});
    return store_new(env, settings, 1, &store, NULL) == SABOT_OK ? 0 : 1;
}
static int teardown(void **state) {
    (void)state;
    store_free(store);
    env_sim_free(env);
    return 0;
}

static void copy_make(const char *name) {
    char path[128];
    snprintf(path, sizeof path, DIR "/%s", name);
    struct local_copy *copy = local_copy_begin(store, path);
    assert_non_null(copy);
    local_copy_write(copy, name, strlen(name));
    local_copy_end(copy, true);
}

static bool copy_is_there(const char *name) {
    char path[128];
    snprintf(path, sizeof path, DIR "/%s", name);
    struct store_file *file = local_copy_open(store, path, &(struct manifest_file){.size = (int64_t)strlen(name)});
    if (file) { store_close(file); }
    return file != NULL;
}

static void copies_of_what_was_given_up_go(void **state) {
    (void)state;
    static const char *const kept[] = {"chk-7/a", "shared/7-a", "shared/9-a", "chk-9/a"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) { copy_make(kept[i]); }
    copy_make("chk-8/a");
    copy_make("chk-8/b");
    copy_make("shared/8-a");
    local_copy_forget(store, DIR, 8, 8);
    assert_false(copy_is_there("chk-8/a"));
    assert_false(copy_is_there("chk-8/b"));
    assert_false(copy_is_there("shared/8-a"));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) { assert_true(copy_is_there(kept[i])); }
    local_copy_forget(store, DIR, 8, INT64_MAX); /* a restart from 7 */
    assert_true(copy_is_there("chk-7/a"));
    assert_true(copy_is_there("shared/7-a"));
    assert_false(copy_is_there("chk-9/a"));
    assert_false(copy_is_there("shared/9-a"));
}

static const char *shared_name(int32_t id, char target[32]) {
    snprintf(target, 32, "shared/%d-a", id);
    return target;
}

/* A checkpoint that was given up: its tasks' next ones may name the shared files that they wrote for it. */
static void shared_copies_stay_for_the_checkpoints_that_follow(void **state) {
    (void)state;
    copy_make("chk-7/a");
    copy_make("chk-8/a");
    copy_make("shared/7-a");
    copy_make("shared/8-a");
    local_copy_give_up(store, DIR, 7, 8);
    assert_false(copy_is_there("chk-8/a"));
    assert_true(copy_is_there("chk-7/a"));
    assert_true(copy_is_there("shared/7-a"));
    assert_true(copy_is_there("shared/8-a"));
    char name[32];
    for (int32_t id = 9; id < 100; id++) { /* but not for ever, however many fail in a row */
        copy_make(shared_name(id, name));
        local_copy_give_up(store, DIR, 7, id);
    }
    int32_t n = 0;
    for (int32_t id = 8; id < 100; id++) { n += copy_is_there(shared_name(id, name)); }
    assert_int_equal(n, 18);
    assert_true(copy_is_there("shared/7-a"));
    assert_true(copy_is_there("shared/99-a"));
}

static void folders_without_copies_are_left_alone(void **state) {
    (void)state;
    copy_make("chk-1/a");
    local_copy_forget(store, "s3://bucket/other", 0, INT64_MAX);
    local_copy_forget(store, "/here", 0, INT64_MAX);
    assert_true(copy_is_there("chk-1/a"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copies_of_what_was_given_up_go, setup, teardown),
        cmocka_unit_test_setup_teardown(shared_copies_stay_for_the_checkpoints_that_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_without_copies_are_left_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
