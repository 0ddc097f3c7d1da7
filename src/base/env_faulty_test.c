/* The world whose files fail: the n-th call goes wrong as it was asked to, all others go well. */
#include "base/env_faulty.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct env *env;

static const char *in_folder(const char *name) {
    static char paths[2][128];
    static int next;
    next = 1 - next;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

static int world_make(void **state) {
    (void)state;
    strcpy(folder, "/tmp/sabot-faulty-XXXXXX");
    env = env_faulty_new(env_real(), NULL);
    return mkdtemp(folder) ? 0 : -1;
}

static int world_drop(void **state) {
    (void)state;
    static const char *const names[] = {"a", "a.tmp", "b"};
    for (int i = 0; i < 3; i++) { env_remove(env_real(), in_folder(names[i]), NULL); }
    env_remove(env_real(), folder, NULL);
    env_faulty_free(env);
    return 0;
}

static void fault(const char *text) {
    struct env_fault parsed;
    assert_true(env_fault_parse(text, &parsed));
    env_faulty_set(env, &parsed);
}

static int64_t size_of(const char *name) {
    struct env_stat stat;
    return env_stat(env_real(), in_folder(name), &stat, NULL) == SABOT_OK ? stat.size : -1;
}

static sabot_status write_one(const char *bytes, struct sabot_error *err) {
    struct env_file *file;
    SABOT_TRY(env_open(env, in_folder("a"), ENV_WRITE_TRUNCATE, &file, err));
    const sabot_status status = env_write(file, bytes, strlen(bytes), err);
    env_close(file);
    return status;
}

static void the_nth_call_fails_and_no_other(void **state) {
    (void)state;
    struct sabot_error err = {0};
    fault("write:2:error");
    assert_int_equal(write_one("first", NULL), SABOT_OK);
    assert_int_equal(write_one("second", &err), SABOT_ERR_IO);
    assert_non_null(strstr(err.message, "Input/output error"));
    assert_non_null(strstr(err.message, folder));
    assert_int_equal(size_of("a"), 0);
    assert_true(env_faulty_fired(env));
    assert_int_equal(write_one("third", NULL), SABOT_OK);
    assert_int_equal(env_faulty_count(env, ENV_FAULT_WRITE), 3);
    assert_int_equal(env_faulty_count(env, ENV_FAULT_OPEN), 3);
}

static void each_way_to_fail_does_what_it_says(void **state) {
    (void)state;
    fault("write:1:done");
    assert_int_equal(write_one("12345678", NULL), SABOT_ERR_IO);
    assert_int_equal(size_of("a"), 8);
    fault("write:1:torn");
    assert_int_equal(write_one("12345678", NULL), SABOT_ERR_IO);
    assert_int_equal(size_of("a"), 4);
    fault("rename:1:done");
    assert_int_equal(env_rename(env, in_folder("a"), in_folder("b"), NULL), SABOT_ERR_IO);
    assert_int_equal(size_of("a"), -1);
    assert_int_equal(size_of("b"), 4);
    fault("read:1:short");
    struct env_file *file;
    char bytes[4];
    size_t got;
    assert_int_equal(env_open(env, in_folder("b"), ENV_READ, &file, NULL), SABOT_OK);
    assert_int_equal(env_read(file, 0, bytes, 4, &got, NULL), SABOT_OK);
    assert_int_equal(got, 2);
    env_close(file);
}

static void a_full_disk_stays_full_and_can_be_read(void **state) {
    (void)state;
    struct sabot_error err = {0};
    assert_int_equal(write_one("before", NULL), SABOT_OK);
    fault("write:1:full");
    assert_int_equal(env_write_file(env, in_folder("b"), "x", 1, &err), SABOT_ERR_IO);
    assert_non_null(strstr(err.message, "No space left on device"));
    assert_int_equal(env_make_dirs(env, in_folder("c"), NULL), SABOT_ERR_IO);
    char *data;
    size_t size;
    assert_int_equal(env_read_file(env, in_folder("a"), &data, &size, NULL), SABOT_OK);
    assert_string_equal(data, "before");
    free(data);
    assert_int_equal(env_remove(env, in_folder("a"), NULL), SABOT_OK);
}

static void a_crash_leaves_half_of_a_write(void **state) {
    (void)state;
    const pid_t pid = fork();
    if (pid == 0) {
        fault("write:1:crash");
        write_one("12345678", NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == 9);
    assert_int_equal(size_of("a"), 4);
}

static void a_wish_that_makes_no_sense_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"", "write", "write:1", "write:0:torn", "write:x:torn", "read:1:torn",
                                        "wrote:1:error", "write:1:torn:1"};
    struct env_fault parsed;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) { assert_false(env_fault_parse(wrong[i], &parsed)); }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_nth_call_fails_and_no_other, world_make, world_drop),
        cmocka_unit_test_setup_teardown(each_way_to_fail_does_what_it_says, world_make, world_drop),
        cmocka_unit_test_setup_teardown(a_full_disk_stays_full_and_can_be_read, world_make, world_drop),
        cmocka_unit_test_setup_teardown(a_crash_leaves_half_of_a_write, world_make, world_drop),
        cmocka_unit_test(a_wish_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
