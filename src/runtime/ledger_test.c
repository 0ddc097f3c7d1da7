/* Ledgers lose nothing and mix up no lines; what jobs write into them can be read back. */
#include "runtime/ledger.h"

#include "base/env_sim.h"
#include "base/text.h"
#include "ops/services.h"
#include "runtime/job.h"
#include "tests/util/test_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 4
#define LINES 40000

struct writer {
    struct ledger *ledger;
    int number;
};

static void write_lines(void *arg) {
    const struct writer *writer = arg;
    char line[128];
    for (int i = 0; i < LINES; i++) {
        const int size = snprintf(line, sizeof line, "%d %d ........................................\n",
                                  writer->number, i);
        assert_int_equal(ledger_add(writer->ledger, line, (size_t)size, NULL), SABOT_OK);
    }
}

static void lines_of_many_threads_are_all_there_and_in_order(void **state) {
    (void)state;
    struct env *env = env_real();
    char path[] = "/tmp/sabot-ledger-XXXXXX";
    close(mkstemp(path));
    struct ledger *ledger;
    assert_int_equal(ledger_open(env, path, &ledger, NULL), SABOT_OK);
    struct writer writers[THREADS];
    struct env_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){ledger, i};
        assert_int_equal(env_thread_start(env, "writer", write_lines, &writers[i], &threads[i], NULL), SABOT_OK);
    }
    for (int i = 0; i < THREADS; i++) { env_thread_join(threads[i]); }
    assert_int_equal(ledger_close(ledger, NULL), SABOT_OK);
    char *data;
    size_t size;
    assert_int_equal(env_read_file(env, path, &data, &size, NULL), SABOT_OK);
    int next[THREADS] = {0};
    char *at = data;
    while (*at) {
        char *rest;
        const long writer = strtol(at, &rest, 10);
        assert_in_range(writer, 0, THREADS - 1);
        assert_int_equal(strtol(rest, &rest, 10), next[writer]);
        next[writer]++;
        at = strchr(rest, '\n') + 1;
    }
    for (int i = 0; i < THREADS; i++) { assert_int_equal(next[i], LINES); }
    free(data);
    env_remove(env, path, NULL);
}

static void a_failure_to_write_is_not_hidden(void **state) {
    (void)state;
    struct env *env = env_sim_new(&(struct env_sim_options){.seed = 1});
    struct ledger *ledger;
    assert_int_equal(ledger_open(env, "/l", &ledger, NULL), SABOT_OK);
    assert_int_equal(ledger_add(ledger, "a\n", 2, NULL), SABOT_OK);
    env_sim_crash(env);
    assert_int_equal(ledger_flush(ledger, NULL), SABOT_ERR_IO);
    assert_int_equal(ledger_add(ledger, "b\n", 2, NULL), SABOT_ERR_IO);
    assert_int_equal(ledger_close(ledger, NULL), SABOT_ERR_IO);
    env_sim_restart(env);
    env_sim_free(env);
}

/* --- through a job: an operator that finds fault with the first row of each batch */

struct fault {
    struct op op;
    struct op_context context;
};

static sabot_status fault_open(const struct op_context *context, struct op **out, struct sabot_error *err);

static sabot_status fault_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                   struct sabot_error *err) {
    (void)input;
    BATCH_OWNED struct batch *batch = taken;
    const struct op_context *context = &((struct fault *)op)->context;
    SABOT_TRY(job_malformed(context->job, context, "file:1", "not \"JSON\"", "ab\"\n", 4, err));
    SABOT_TRY(job_malformed(context->job, context, "file:2", "no UTF-8", "\xff\x00z", 3, err));
    const int32_t row = batch_row(batch, 0);
    SABOT_TRY(job_late(context->job, context, batch, row, "window closed", 1500, 25, err));
    return out_emit(out, batch_ref(batch), err);
}

static void fault_close(struct op *op) { free(op); }

static const struct op_type fault_op = {
    .name = "fault",
    .summary = "finds fault",
    .open = fault_open,
    .on_batch = fault_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = fault_close,
};

static sabot_status fault_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    (void)err;
    struct fault *self = calloc(1, sizeof *self);
    self->op.type = &fault_op;
    self->context = *context;
    *out = &self->op;
    return SABOT_OK;
}

static sabot_status run(struct env *env, const struct job_options *options, int64_t *malformed,
                        struct sabot_error *err) {
    struct test_stream stream = {.splits = 1, .rows = 1, .keys = 9, .step_ms = 1, .batch_rows = 1};
    struct schema *schema = test_stream_schema();
    const struct op_spec source = {&test_source_op, &stream, schema, "source", "Source", NULL};
    const struct op_spec fault = {&fault_op, NULL, schema, "fault", "Fault", NULL};
    const struct op_spec *const ops[] = {&source, &fault};
    const struct job_vertex vertex = {.name = "v", .ops = ops, .n_ops = 2, .parallelism = 1};
    const struct job_graph graph = {&vertex, 1};
    struct job *job;
    assert_int_equal(job_start(env, &graph, options, &job, err), SABOT_OK);
    const sabot_status status = job_wait(job, -1, NULL, err);
    struct job_op_metrics metrics;
    job_metrics(job, 1, &metrics);
    *malformed = metrics.metrics->rows_malformed;
    job_free(job);
    schema_unref(schema);
    return status;
}

static void malformed_records_are_kept_as_the_policy_says(void **state) {
    (void)state;
    struct env *env = env_sim_new(&(struct env_sim_options){.seed = 2});
    struct sabot_error err = {0};
    int64_t malformed;
    const struct job_options keep = {
        .on_error = JOB_ON_ERROR_DEAD_LETTER, .dead_letter_path = "/dead", .late_path = "/late"};
    assert_int_equal(run(env, &keep, &malformed, &err), SABOT_OK);
    assert_int_equal(malformed, 2);
    char *data;
    size_t size;
    assert_int_equal(env_read_file(env, "/dead", &data, &size, NULL), SABOT_OK);
    assert_string_equal(data,
                        "{\"operator\": \"Fault\", \"subtask\": 0, \"place\": \"file:1\", \"reason\": \"not "
                        "\\\"JSON\\\"\", \"record\": \"ab\\\"\\n\"}\n"
                        "{\"operator\": \"Fault\", \"subtask\": 0, \"place\": \"file:2\", \"reason\": \"no UTF-8\", "
                        "\"record_base64\": \"/wB6\"}\n");
    free(data);
    assert_int_equal(env_read_file(env, "/late", &data, &size, NULL), SABOT_OK);
    const struct test_stream stream = {.keys = 9, .step_ms = 1};
    const struct test_row row = test_stream_row(&stream, 0, 0);
    char wanted[512];
    snprintf(wanted, sizeof wanted, "{\"operator\": \"Fault\", \"subtask\": 0, \"rule\": \"window closed\", "
             "\"watermark\": \"1970-01-01 00:00:01.500\", \"lateness_ms\": 25, \"row\": {\"key\": %lld, \"ts\": "
             "\"1970-01-01 00:00:00.000\", \"value\": %lld}}\n", (long long)row.key, (long long)row.value);
    assert_string_equal(data, wanted);
    free(data);

    assert_int_equal(run(env, &(struct job_options){.on_error = JOB_ON_ERROR_SKIP}, &malformed, &err), SABOT_OK);
    assert_int_equal(malformed, 2);
    assert_int_equal(run(env, &(struct job_options){.on_error = JOB_ON_ERROR_FAIL}, &malformed, &err), SABOT_ERR_DATA);
    assert_non_null(strstr(err.message, "v[0] Fault: file:1: not \"JSON\""));
    env_sim_free(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_many_threads_are_all_there_and_in_order),
        cmocka_unit_test(a_failure_to_write_is_not_hidden),
        cmocka_unit_test(malformed_records_are_kept_as_the_policy_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
