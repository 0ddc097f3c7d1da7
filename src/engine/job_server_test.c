/* Jobs as other processes ask for them: nobody waits for what is none of his business, and who is not answered is told
 * so. */
#include "engine/job_server.h"

#include "base/log.h"
#include "tests/util/test_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define CONNECTIONS 32 /* of a process at a time */

/* A job that does nothing until it is stopped. */
struct idler {
    struct test_stream stream;
    struct test_store store;
    struct test_sink sink;
    struct schema *rows;
    struct op_spec specs[2];
    const struct op_spec *chain[2];
    struct job_vertex vertex;
    struct job_graph graph;
    struct job *job;
    char id[JOB_ID_SIZE], dir[128];
};

static char folder[64];

static void idler_start(struct idler *idler, struct job_server *server, const char *name) {
    memset(idler, 0, sizeof *idler);
    idler->stream = (struct test_stream){.splits = 1, .rows = INT64_C(1) << 40, .keys = 3, .batch_rows = 1,
                                         .pause_ns = SECOND / 100};
    test_store_init(&idler->store, env_real());
    idler->sink.store = &idler->store;
    idler->rows = test_stream_schema();
    idler->specs[0] = (struct op_spec){&test_source_op, &idler->stream, idler->rows, "source", "Source", NULL};
    idler->specs[1] = (struct op_spec){&test_filter_op, NULL, idler->rows, "filter", "Filter", NULL};
    for (int32_t i = 0; i < 2; i++) { idler->chain[i] = &idler->specs[i]; }
    idler->vertex = (struct job_vertex){"source", idler->chain, 2, 1, NULL, 0};
    idler->graph = (struct job_graph){&idler->vertex, 1};
    snprintf(idler->dir, sizeof idler->dir, "%s/%s", folder, name);
    struct sabot_error err = {0};
    const struct job_options options = {.name = name, .workers = 1, .checkpoint_dir = idler->dir};
    if (job_start(env_real(), &idler->graph, &options, &idler->job, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    assert_int_equal(job_server_add(server, idler->job, NULL, idler->id, NULL), SABOT_OK);
}

static void idler_end(struct idler *idler, struct job_server *server) {
    job_cancel(idler->job);
    job_wait(idler->job, -1, NULL, NULL);
    job_server_remove(server, idler->job);
    job_free(idler->job);
    test_store_clear(&idler->store);
    schema_unref(idler->rows);
}

static struct job_server *server_open(void) {
    struct job_server *server;
    struct sabot_error err = {0};
    if (job_server_open(env_real(), &server, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return server;
}

/* One of several jobs of a process ends while somebody reads the state of another one. */
static void a_job_ends_while_another_is_read(void **state) {
    (void)state;
    struct job_server *server = server_open();
    for (int32_t read = 0; read < 2; read++) {
        struct idler idlers[2];
        for (int32_t i = 0; i < 2; i++) { idler_start(&idlers[i], server, i == 0 ? "first" : "second"); }
        char path[ENV_PATH_MAX];
        struct env_socket *held;
        struct sabot_error err = {0};
        const sabot_status status = job_server_hold(env_real(), idlers[read].id, path, &held, &err);
        if (status != SABOT_OK) { fail_msg("%s", err.message); }
        assert_non_null(held);
        idler_end(&idlers[1 - read], server);
        struct text jobs = {0};
        assert_int_equal(job_server_list(env_real(), &jobs, NULL), SABOT_OK);
        assert_memory_equal(text_string(&jobs), idlers[read].id, JOB_ID_SIZE - 1);
        text_clear(&jobs);
        idler_end(&idlers[read], server); /* its own end ends the reading */
        env_socket_close(held);
    }
    job_server_close(server);
}

/* A process that was stopped (Ctrl-Z) takes connections and answers none. */
static void a_process_that_does_not_answer_hides_no_others(void **state) {
    (void)state;
    struct job_server *server = server_open();
    struct idler idler;
    idler_start(&idler, server, "answers");
    char path[128];
    snprintf(path, sizeof path, "%s/1-0.sock", folder);
    struct env_socket *silent;
    assert_int_equal(env_socket_listen(env_real(), path, &silent, NULL), SABOT_OK);
    struct text jobs = {0};
    assert_int_equal(job_server_list(env_real(), &jobs, NULL), SABOT_OK);
    assert_memory_equal(text_string(&jobs), idler.id, JOB_ID_SIZE - 1);
    text_clear(&jobs);
    struct sabot_error err = {0};
    if (job_server_ask(env_real(), &(struct job_request){.verb = JOB_VERB_CANCEL, .job = "answers"}, &jobs, &err) !=
        SABOT_OK) {
        fail_msg("%s", err.message);
    }
    text_clear(&jobs);
    env_socket_close(silent);
    idler_end(&idler, server);
    job_server_close(server);
}

static void who_comes_when_there_are_too_many_is_told(void **state) {
    (void)state;
    struct job_server *server = server_open();
    struct idler idler;
    idler_start(&idler, server, "asked");
    struct env_socket *held[CONNECTIONS];
    char path[ENV_PATH_MAX];
    struct sabot_error err = {0};
    for (int32_t i = 0, tries = 0; i < CONNECTIONS; i += err.status == SABOT_OK) {
        err = (struct sabot_error){0};
        if (job_server_hold(env_real(), idler.id, path, &held[i], &err) == SABOT_OK) { continue; }
        /* the last one finds the job by a connection that is counted until its thread has ended */
        if (!strstr(err.message, "requests are under way") || ++tries > 1000) { fail_msg("%s", err.message); }
        env_sleep_ns(env_real(), SECOND / 100);
    }
    char **names;
    size_t n;
    assert_int_equal(env_list(env_real(), folder, &names, &n, NULL), SABOT_OK);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(names[i], ".sock")) { continue; }
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        struct env_socket *socket;
        char answer[512] = "";
        size_t got = 0;
        assert_int_equal(env_socket_connect(env_real(), path, &socket, NULL), SABOT_OK);
        assert_int_equal(env_socket_read(socket, answer, sizeof answer - 1, 10 * SECOND, &got, NULL), SABOT_OK);
        assert_non_null(strstr(answer, "requests are under way"));
        env_socket_close(socket);
    }
    env_names_free(names, n);
    for (int32_t i = 0; i < CONNECTIONS; i++) { env_socket_close(held[i]); }
    idler_end(&idler, server);
    job_server_close(server);
}

static int folder_make(void **state) {
    (void)state;
    strcpy(folder, "/tmp/sabot-server-XXXXXX");
    if (!mkdtemp(folder)) { return -1; }
    return setenv("SABOT_RUN_DIR", folder, 1);
}

static void remove_tree(const char *path) {
    char **names;
    size_t n;
    if (env_list(env_real(), path, &names, &n, NULL) == SABOT_OK) {
        for (size_t i = 0; i < n; i++) {
            char child[4096];
            snprintf(child, sizeof child, "%s/%s", path, names[i]);
            remove_tree(child);
        }
        env_names_free(names, n);
    }
    env_remove(env_real(), path, NULL);
}

static int folder_remove(void **state) {
    (void)state;
    remove_tree(folder);
    return 0;
}

int main(void) {
    alarm(120); /* what is tested is that nobody waits for ever */
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_ends_while_another_is_read),
        cmocka_unit_test(a_process_that_does_not_answer_hides_no_others),
        cmocka_unit_test(who_comes_when_there_are_too_many_is_told),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
