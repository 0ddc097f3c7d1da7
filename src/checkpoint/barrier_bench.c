/* What a checkpoint costs beside its files: the barrier at a channel, the look whether a channel is blocked, an
 * acknowledgement, and a whole round of trigger, acknowledgements and completion. CPU time, the best of some runs. */
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "checkpoint/barrier.h"
#include "tests/util/bench.h"
#include "tests/util/coordinator_calls.h"

#define RUNS 5
#define CHANNELS 64
#define TASKS 64

static struct noted_checkpoints noted;

static double cpu_ns(void) { return (double)env_cpu_ns(env_real()); }

static void barriers(void) {
    struct barrier_aligner aligner;
    CHECK(barrier_aligner_init(&aligner, CHANNELS, &err));
    double arrive = 1e9, check = 1e9;
    int64_t id = 0, blocked = 0;
    for (int32_t run = 0; run < RUNS; run++) {
        double start = cpu_ns();
        for (int32_t round = 0; round < 100000; round++) {
            id++;
            for (int32_t c = 0; c < CHANNELS; c++) { barrier_arrive(&aligner, c, id, 0); }
        }
        double ns = (cpu_ns() - start) / (100000.0 * CHANNELS);
        arrive = ns < arrive ? ns : arrive;
        id++;
        for (int32_t c = 0; c < CHANNELS / 2; c++) { barrier_arrive(&aligner, c, id, 0); }
        start = cpu_ns();
        for (int32_t round = 0; round < 100000; round++) {
            for (int32_t c = 0; c < CHANNELS; c++) {
                int32_t channel = c;
                __asm__ volatile("" : "+r"(channel)); /* each look is made */
                blocked += barrier_blocks(&aligner, channel);
            }
        }
        ns = (cpu_ns() - start) / (100000.0 * CHANNELS);
        check = ns < check ? ns : check;
        barrier_abort(&aligner, id);
    }
    printf("barrier/register %.2f ns/op # target: <=50\n", arrive);
    printf("barrier/check %.2f ns/op # target: <=5\n", check);
    barrier_aligner_clear(&aligner);
    if (blocked == 0) { exit(1); }
}

static void rounds(void) {
    static struct memory_pool pool;
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    struct coordinator *coordinator;
    CHECK(coordinator_new(&(struct coordinator_options){.env = env_real(), .pool = &pool, .job_name = "bench",
                                                        .timeout_ns = INT64_C(3600000000000), .retained = 1,
                                                        .failures_max = 3, .max_parallelism = 128, .n_tasks = TASKS,
                                                        .calls = noted_calls(&noted)},
                          &coordinator, &err));
    double ack = 1e9, whole = 1e9;
    for (int32_t run = 0; run < RUNS; run++) {
        double acks = 0;
        const double start = cpu_ns();
        for (int32_t round = 0; round < 2000; round++) {
            struct checkpoint_request request = {0};
            struct sabot_error fatal = {0};
            CHECK(coordinator_request(coordinator, &request, &err));
            (void)coordinator_step(coordinator, true, &fatal);
            const double before = cpu_ns();
            for (int32_t t = 0; t < TASKS; t++) {
                CHECK(coordinator_acknowledge(coordinator, t, noted.triggered, NULL, 0, &err));
            }
            acks += cpu_ns() - before;
            for (int32_t tries = 0; tries < 10 && !coordinator_poll(coordinator, &request); tries++) {
                (void)coordinator_step(coordinator, true, &fatal);
            }
            if (!coordinator_poll(coordinator, &request)) { exit(1); }
        }
        const double ns = (cpu_ns() - start) / 2000;
        whole = ns < whole ? ns : whole;
        ack = acks / (2000.0 * TASKS) < ack ? acks / (2000.0 * TASKS) : ack;
    }
    printf("coordinator/acknowledge %.1f ns/op # target: <=50\n", ack);
    printf("coordinator/round-of-64-tasks %.2f us # target: <=10\n", whole / 1000);
    coordinator_free(coordinator);
}

int main(void) {
    barriers();
    rounds();
    return 0;
}
