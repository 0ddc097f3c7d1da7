/* An operator is called at the processing time that it asked for: in the simulator exactly so, on real threads soon. */
#include "base/env_sim.h"
#include "runtime/job.h"
#include "tests/util/test_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MILLISECOND INT64_C(1000000)
#define PERIOD_MS 100
#define CALLS_MAX 4096

/* What the operator under test has seen; subtask by subtask. */
struct calls {
    int64_t wanted_ms[CALLS_MAX], came_ms[CALLS_MAX];
    int32_t n;
};

struct alarm {
    struct op op;
    struct env *env;
    struct calls *calls;
    int64_t wanted_ms;
};

static sabot_status alarm_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    (void)err;
    struct alarm *self = calloc(1, sizeof *self);
    self->op.type = context->spec->type;
    self->env = context->env;
    self->calls = (struct calls *)context->spec->options + context->subtask;
    *out = &self->op;
    return SABOT_OK;
}

/* The first row starts the clock: from then on it strikes every PERIOD_MS. */
static sabot_status alarm_on_batch(struct op *op, int32_t input, struct batch *batch, struct op_out *out,
                                   struct sabot_error *err) {
    (void)input;
    struct alarm *self = (struct alarm *)op;
    if (!self->wanted_ms) { op->wake_at_ms = self->wanted_ms = env_wall_ms(self->env) + PERIOD_MS; }
    return out_emit(out, batch, err);
}

static sabot_status alarm_on_time(struct op *op, int64_t now_ms, struct op_out *out, struct sabot_error *err) {
    (void)out;
    (void)err;
    struct alarm *self = (struct alarm *)op;
    struct calls *calls = self->calls;
    assert_int_equal(op->wake_at_ms, 0);
    assert_true(calls->n < CALLS_MAX);
    calls->wanted_ms[calls->n] = self->wanted_ms;
    calls->came_ms[calls->n++] = now_ms;
    op->wake_at_ms = self->wanted_ms += PERIOD_MS;
    return SABOT_OK;
}

static void alarm_close(struct op *op) { free(op); }

static const struct op_type alarm_op = {
    .name = "alarm",
    .summary = "strikes every 100 ms",
    .open = alarm_open,
    .on_batch = alarm_on_batch,
    .on_watermark = op_default_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = op_default_resume,
    .before_barrier = op_default_before_barrier,
    .on_complete = op_default_on_complete,
    .close = alarm_close,
    .on_time = alarm_on_time,
};

/* source [-> alarm], rebalance -> [alarm ->] sink; returns how long the rows took, in ms. */
static int64_t run(struct env *env, bool behind_source, int32_t rows, int64_t pause_ns, struct calls *calls) {
    struct sabot_error err = {0};
    struct test_stream stream = {.splits = 1, .rows = rows, .keys = 3, .step_ms = 1, .batch_rows = 1,
                                 .pause_ns = pause_ns};
    struct test_store store;
    test_store_init(&store, env);
    const int32_t columns[] = {0, 1, 2, 0};
    const struct test_sink sink = {.store = &store, .columns = columns};
    struct schema *schema = test_stream_schema();
    const struct op_spec specs[] = {{&test_source_op, &stream, schema, "source", "Source[numbers]", NULL},
                                    {&alarm_op, calls, schema, "alarm", "Alarm", NULL},
                                    {&test_sink_op, &sink, schema, "sink", "Sink[store]", NULL}};
    const struct op_spec *chain[] = {&specs[0], &specs[1], &specs[2]};
    const struct job_edge edge = {.from = 0, .exchange = EXCHANGE_REBALANCE};
    const struct job_vertex vertices[] = {{"source", chain, behind_source ? 2 : 1, 1, NULL, 0},
                                          {"rest", behind_source ? chain + 2 : chain + 1, behind_source ? 1 : 2, 1,
                                           &edge, 1}};
    const struct job_graph graph = {vertices, 2};
    const struct job_options options = {.workers = 2};
    const int64_t start = env_wall_ms(env);
    struct job *job;
    bool done;
    if (job_start(env, &graph, &options, &job, &err) != SABOT_OK ||
        job_wait(job, INT64_C(3600000) * MILLISECOND, &done, &err) != SABOT_OK) {
        fail_msg("%s", err.message);
    }
    assert_true(done);
    assert_int_equal(store.n, rows);
    job_free(job);
    test_store_clear(&store);
    schema_unref(schema);
    return env_wall_ms(env) - start;
}

static void in_virtual_time_it_is_called_at_that_time(void **state) {
    (void)state;
    struct calls *calls = calloc(1, sizeof *calls);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct env *env = env_sim_new(&(struct env_sim_options){.seed = seed, .work_delay_max_ns = 30000});
        calls->n = 0;
        /* rows come much more rarely than the clock strikes: nothing else wakes the task */
        const int64_t took_ms = run(env, seed % 2 == 0, 20, 730 * MILLISECOND, calls);
        if (calls->n < took_ms / PERIOD_MS - 10 || calls->n > took_ms / PERIOD_MS) {
            fail_msg("seed %llu: %d calls in %lld ms", (unsigned long long)seed, calls->n, (long long)took_ms);
        }
        for (int32_t i = 0; i < calls->n; i++) {
            const int64_t late_ms = calls->came_ms[i] - calls->wanted_ms[i];
            if (late_ms < 0 || late_ms > 1) {
                fail_msg("seed %llu: called %lld ms late", (unsigned long long)seed, (long long)late_ms);
            }
        }
        env_sim_free(env);
    }
    free(calls);
}

static void on_threads_it_is_called_soon_and_never_early(void **state) {
    (void)state;
    struct calls *calls = calloc(1, sizeof *calls);
    const int64_t took_ms = run(env_real(), false, 10, 150 * MILLISECOND, calls);
    assert_in_range(calls->n, 3, took_ms / PERIOD_MS);
    for (int32_t i = 0; i < calls->n; i++) { assert_true(calls->came_ms[i] >= calls->wanted_ms[i]); }
    free(calls);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_virtual_time_it_is_called_at_that_time),
        cmocka_unit_test(on_threads_it_is_called_soon_and_never_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
