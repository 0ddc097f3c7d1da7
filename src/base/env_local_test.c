/* Sockets of the machine, in the hands of several threads. */
#include "base/env_local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/env.h"

#define ROUNDS 400

static char folder[64];
static atomic_bool over;

/* As `sabot jobs` does: what answers nobody is removed. */
static void visit(void *arg) {
    (void)arg;
    struct env *env = env_real();
    while (!over) {
        char **names;
        size_t n;
        if (env_list(env, folder, &names, &n, NULL) != SABOT_OK) { continue; }
        for (size_t i = 0; i < n; i++) {
            char path[ENV_PATH_MAX];
            if (strlen(names[i]) < 6 || strcmp(names[i] + strlen(names[i]) - 5, ".sock") != 0) { continue; }
            snprintf(path, sizeof path, "%s/%.100s", folder, names[i]);
            struct env_socket *socket = NULL;
            if (env_socket_connect(env, path, &socket, NULL) == SABOT_ERR_NOT_FOUND) { env_remove(env, path, NULL); }
            env_socket_close(socket);
        }
        env_names_free(names, n);
    }
}

static void who_looks_for_the_dead_removes_nobody_who_begins_to_listen(void **state) {
    (void)state;
    struct env *env = env_real();
    struct env_thread *visitor;
    assert_int_equal(env_thread_start(env, "visitor", visit, NULL, &visitor, NULL), SABOT_OK);
    for (int round = 0; round < ROUNDS; round++) {
        char path[ENV_PATH_MAX];
        struct sabot_error err = {0};
        struct env_socket *socket;
        snprintf(path, sizeof path, "%s/%d.sock", folder, round);
        if (env_socket_listen(env, path, &socket, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        assert_int_equal(access(path, F_OK), 0);
        env_socket_close(socket);
        assert_int_equal(access(path, F_OK), -1);
    }
    over = true;
    env_thread_join(visitor);
}

static void what_a_dead_process_left_is_taken_over(void **state) {
    (void)state;
    struct env *env = env_real();
    struct env_socket *socket, *other = NULL;
    char path[ENV_PATH_MAX];
    snprintf(path, sizeof path, "%s/left.sock", folder);
    assert_int_equal(env_write_file(env, path, "", 0, NULL), SABOT_OK);
    assert_int_equal(env_socket_listen(env, path, &socket, NULL), SABOT_OK);
    assert_int_equal(env_socket_listen(env, path, &other, NULL), SABOT_ERR_STATE);
    assert_int_equal(env_socket_connect(env, path, &other, NULL), SABOT_OK);
    env_socket_close(other);
    env_socket_close(socket);
}

int main(void) {
    snprintf(folder, sizeof folder, "/tmp/sabot_local_XXXXXX");
    if (!mkdtemp(folder)) { return 1; }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_looks_for_the_dead_removes_nobody_who_begins_to_listen),
        cmocka_unit_test(what_a_dead_process_left_is_taken_over),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
