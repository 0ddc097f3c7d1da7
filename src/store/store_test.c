/* The local side of the store on a disk that fails: what can't be looked at is neither there nor gone. */
#include "store/store.h"

#include "base/env_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static struct env *env;
static struct store *store;

static int world_make(void **state) {
    (void)state;
    env = env_sim_new(&(struct env_sim_options){.seed = 1});
    return store_new(env, NULL, 0, &store, NULL) == SABOT_OK && env_make_dirs(env, "/out", NULL) == SABOT_OK ? 0 : -1;
}

static int world_drop(void **state) {
    (void)state;
    store_free(store);
    env_sim_free(env);
    return 0;
}

static void part_prepare(struct text *ticket) {
    struct store_writer *writer;
    assert_int_equal(store_create(store, "/out/part-1", STORE_AT_COMMIT, &writer, NULL), SABOT_OK);
    assert_int_equal(store_write(writer, "rows", 4, NULL), SABOT_OK);
    assert_int_equal(store_prepare(writer, ticket, NULL), SABOT_OK);
    store_writer_close(writer);
}

static bool is_there(const char *path) {
    struct env_stat stat;
    bool found;
    assert_int_equal(store_look(store, path, &found, &stat, NULL), SABOT_OK);
    return found;
}

static void a_commit_that_is_not_sure_says_why(void **state) {
    (void)state;
    struct text ticket = {0};
    part_prepare(&ticket);
    for (int i = 0; i < 2; i++) { /* before the first commit, and behind it */
        struct sabot_error err = {0};
        env_sim_fail(env, "look at", 1);
        assert_int_equal(store_commit(store, "/out", text_string(&ticket), &err), SABOT_ERR_IO);
        assert_non_null(strstr(err.message, "Input/output error"));
        env_sim_fail(env, NULL, 0);
        assert_int_equal(store_commit(store, "/out", text_string(&ticket), NULL), SABOT_OK);
        assert_true(is_there("/out/part-1"));
    }
    text_clear(&ticket);
}

static void a_part_that_is_gone_is_no_commit(void **state) {
    (void)state;
    struct text ticket = {0};
    part_prepare(&ticket);
    assert_int_equal(store_abandon(store, "/out", text_string(&ticket), NULL), SABOT_OK);
    assert_int_equal(store_commit(store, "/out", text_string(&ticket), NULL), SABOT_ERR_STATE);
    text_clear(&ticket);
}

static void a_tree_is_removed_or_an_error_says_why_not(void **state) {
    (void)state;
    struct sabot_error err = {0};
    assert_int_equal(env_make_dirs(env, "/tree/a", NULL), SABOT_OK);
    assert_int_equal(env_write_file(env, "/tree/a/file", "x", 1, NULL), SABOT_OK);
    env_sim_fail(env, "look at", 1);
    assert_int_equal(store_remove_tree(store, "/tree", &err), SABOT_ERR_IO);
    env_sim_fail(env, NULL, 0);
    assert_true(is_there("/tree/a/file"));
    assert_int_equal(store_remove_tree(store, "/tree", NULL), SABOT_OK);
    assert_false(is_there("/tree"));
    assert_int_equal(store_remove_tree(store, "/tree", NULL), SABOT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_commit_that_is_not_sure_says_why, world_make, world_drop),
        cmocka_unit_test_setup_teardown(a_part_that_is_gone_is_no_commit, world_make, world_drop),
        cmocka_unit_test_setup_teardown(a_tree_is_removed_or_an_error_says_why_not, world_make, world_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
