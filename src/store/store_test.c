/* The local side of the store over the simulated world's files; S3 and HDFS have suites with real servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env_sim.h"
#include "store/store.h"

static int setup(void **state) {
    struct store *store = NULL;
    struct env *env = env_sim_new(&(struct env_sim_options){.seed = 5});
    const struct store_setting settings[] = {{"s3.region", "here"}, {"s3.endpoint", ""}};
    assert_int_equal(store_new(env, settings, 2, &store, NULL), SABOT_OK);
    assert_int_equal(store_make_dirs(store, "/f", NULL), SABOT_OK);
    *state = store;
    return 0;
}

static int teardown(void **state) {
    struct env *env = store_env(*state);
    store_free(*state);
    env_sim_free(env);
    return 0;
}

static void put_new_has_one_winner_and_leaves_its_bytes(void **state) {
    bool won;
    assert_int_equal(store_put_new(*state, "/f/a", "one", 3, &won, NULL), SABOT_OK);
    assert_true(won);
    assert_int_equal(store_put_new(*state, "/f/a", "two", 3, &won, NULL), SABOT_OK);
    assert_false(won);
    char *data;
    size_t size, n;
    assert_int_equal(store_read_file(*state, "/f/a", &data, &size, NULL), SABOT_OK);
    assert_string_equal(data, "one");
    free(data);
    struct store_entry *entries;
    assert_int_equal(store_list(*state, "/f", &entries, &n, NULL), SABOT_OK);
    assert_int_equal(n, 1); /* the loser leaves nothing */
    store_entries_free(entries, n);
}

static struct store_writer *written(struct store *store, const char *path) {
    struct store_writer *writer;
    assert_int_equal(store_create(store, path, STORE_AT_COMMIT, &writer, NULL), SABOT_OK);
    assert_int_equal(store_write(writer, "rows", 4, NULL), SABOT_OK);
    return writer;
}

static void a_file_is_seen_only_after_its_commit_which_can_be_repeated(void **state) {
    struct text ticket = {0};
    struct env_stat stat;
    struct store_writer *writer = written(*state, "/f/b");
    assert_int_equal(store_stat(*state, "/f/b", &stat, NULL), SABOT_ERR_NOT_FOUND);
    assert_int_equal(store_prepare(writer, &ticket, NULL), SABOT_OK);
    store_writer_close(writer);
    assert_int_equal(store_stat(*state, "/f/b", &stat, NULL), SABOT_ERR_NOT_FOUND);
    char **tickets;
    size_t n;
    assert_int_equal(store_hidden(*state, "/f", &tickets, &n, NULL), SABOT_OK);
    assert_int_equal(n, 1);
    assert_string_equal(tickets[0], text_string(&ticket));
    env_names_free(tickets, n);
    assert_int_equal(store_commit(*state, "/f", text_string(&ticket), NULL), SABOT_OK);
    assert_int_equal(store_commit(*state, "/f", text_string(&ticket), NULL), SABOT_OK);
    assert_int_equal(store_stat(*state, "/f/b", &stat, NULL), SABOT_OK);
    assert_int_equal(stat.size, 4);
    assert_int_equal(store_remove(*state, "/f/b", NULL), SABOT_OK);
    assert_int_equal(store_commit(*state, "/f", text_string(&ticket), NULL), SABOT_ERR_STATE); /* gone: not silent */
    text_clear(&ticket);
}

static void what_is_not_prepared_or_is_abandoned_leaves_nothing(void **state) {
    struct text ticket = {0};
    store_writer_close(written(*state, "/f/c"));
    struct store_writer *writer = written(*state, "/f/d");
    assert_int_equal(store_prepare(writer, &ticket, NULL), SABOT_OK);
    store_writer_close(writer);
    assert_int_equal(store_abandon(*state, "/f", text_string(&ticket), NULL), SABOT_OK);
    assert_int_equal(store_abandon(*state, "/f", text_string(&ticket), NULL), SABOT_OK);
    text_clear(&ticket);
    struct store_entry *entries;
    size_t n;
    assert_int_equal(store_list(*state, "/f", &entries, &n, NULL), SABOT_OK);
    assert_int_equal(n, 0);
    store_entries_free(entries, n);
}

static void the_simulator_refuses_remote_paths(void **state) {
    struct env_stat stat;
    struct sabot_error err = {0};
    assert_true(store_is_remote("s3://b/k") && store_is_remote("s3a://b/k") && store_is_remote("hdfs://h:1/p"));
    assert_false(store_is_remote("/s3://b") || store_is_remote("s3/b"));
    assert_int_equal(store_stat(*state, "s3://b/k", &stat, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "s3://b/k"));
}

static void a_tree_is_removed_with_all_in_it(void **state) {
    bool won;
    struct env_stat stat;
    assert_int_equal(store_make_dirs(*state, "/t/u/v", NULL), SABOT_OK);
    assert_int_equal(store_put_new(*state, "/t/u/v/x", "1", 1, &won, NULL), SABOT_OK);
    assert_int_equal(store_remove_tree(*state, "/t", NULL), SABOT_OK);
    assert_int_equal(store_stat(*state, "/t", &stat, NULL), SABOT_ERR_NOT_FOUND);
    assert_int_equal(store_remove_tree(*state, "/t", NULL), SABOT_OK);
}

/* A checkpoint names what is prepared: from then on it is there, also behind a power cut. */
static void what_is_prepared_outlives_a_power_cut(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct env *env = env_sim_new(&(struct env_sim_options){.seed = seed});
        struct store *store;
        assert_int_equal(store_new(env, NULL, 0, &store, NULL), SABOT_OK);
        assert_int_equal(store_make_dirs(store, "/f", NULL), SABOT_OK);
        struct store_writer *writer;
        static char rows[10000];
        struct text ticket = {0};
        assert_int_equal(store_create(store, "/f/a", STORE_AT_COMMIT, &writer, NULL), SABOT_OK);
        assert_int_equal(store_write(writer, rows, sizeof rows, NULL), SABOT_OK);
        assert_int_equal(store_prepare(writer, &ticket, NULL), SABOT_OK);
        store_writer_close(writer);
        env_sim_crash(env);
        env_sim_restart(env);
        struct env_stat stat;
        assert_int_equal(store_commit(store, "/f", text_string(&ticket), NULL), SABOT_OK);
        assert_int_equal(store_stat(store, "/f/a", &stat, NULL), SABOT_OK);
        assert_int_equal(stat.size, sizeof rows);
        text_clear(&ticket);
        store_free(store);
        env_sim_free(env);
    }
}

/* A process may have died between the rename and its sync: who finds the commit done makes it last. */
static void a_commit_that_is_found_done_is_made_durable(void **state) {
    struct text ticket = {0};
    struct store_writer *writer = written(*state, "/f/b");
    assert_int_equal(store_prepare(writer, &ticket, NULL), SABOT_OK);
    store_writer_close(writer);
    assert_int_equal(store_commit(*state, "/f", text_string(&ticket), NULL), SABOT_OK);
    env_sim_fail(store_env(*state), "sync", 1);
    assert_int_equal(store_commit(*state, "/f", text_string(&ticket), NULL), SABOT_ERR_IO);
    env_sim_fail(store_env(*state), NULL, 0);
    assert_int_equal(store_commit(*state, "/f", text_string(&ticket), NULL), SABOT_OK);
    text_clear(&ticket);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(put_new_has_one_winner_and_leaves_its_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_seen_only_after_its_commit_which_can_be_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_prepared_or_is_abandoned_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_simulator_refuses_remote_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_is_removed_with_all_in_it, setup, teardown),
        cmocka_unit_test(what_is_prepared_outlives_a_power_cut),
        cmocka_unit_test_setup_teardown(a_commit_that_is_found_done_is_made_durable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
