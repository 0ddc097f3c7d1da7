/* What bench/kafka/run measures latency with: a load, a reader, and a job written by hand. They use librdkafka alone
 * and are in C, so that they take as little as can be of the machine that they share with what they measure.
 *
 *   latency_bench load RATE SECONDS TOPIC ECHO   writes bids, each at the millisecond that its time says: a stall
 *       delays what follows and keeps its time (no coordinated omission). One in ECHO_EVERY goes to ECHO too. Prints
 *       for each millisecond how late it was, in us.
 *   latency_bench watch TOPIC FIELD              reads; prints of each message that comes, when SIGTERM does, its
 *       arrival, the time in the message, and the time in a field of its JSON, in us.
 *   latency_bench relay ROWS FROM TO             the floor: reads FROM, and when every partition has had a message of
 *       the next second, writes ROWS messages to TO, as many as the job under test; counts and groups nothing.
 *
 * SABOT_TEST_KAFKA=host:port names the broker. */
#include "tests/util/bench.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define SEEN_MAX 4000000
#define PARTITIONS 4 /* of a topic that the test broker makes */
#define ECHO_EVERY 500
#define READ_MAX 8192
#define SECOND_US INT64_C(1000000)

static volatile sig_atomic_t told;

static void on_signal(int number) { told = number; }

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

/* "2026-01-31 12:00:00.123" at that place. */
static int64_t field_us(const char *at) {
    struct tm time = {0};
    const char *rest = strptime(at, "%Y-%m-%d %H:%M:%S", &time);
    const int64_t fraction = rest && *rest == '.' ? (int64_t)(strtod(rest, NULL) * 1e6 + 0.5) : 0;
    return (int64_t)timegm(&time) * SECOND_US + fraction;
}

static void stamp(int64_t us, char target[32]) {
    const time_t seconds = (time_t)(us / SECOND_US);
    struct tm time;
    gmtime_r(&seconds, &time);
    const size_t n = strftime(target, 32, "%Y-%m-%d %H:%M:%S", &time);
    snprintf(target + n, 32 - n, ".%03d", (int)(us % SECOND_US / 1000));
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const (*settings)[2]) {
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = rd_kafka_conf_set(conf, "bootstrap.servers", getenv("SABOT_TEST_KAFKA"), reason, sizeof reason) == 0;
    for (; good && (*settings)[0]; settings++) {
        good = rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], reason, sizeof reason) == 0;
    }
    rd_kafka_t *handle = good ? rd_kafka_new(type, conf, reason, sizeof reason) : NULL;
    if (!handle) {
        fprintf(stderr, "latency_bench: %s\n", reason);
        exit(1);
    }
    return handle;
}

static const char *const writer[][2] = {{"linger.ms", "1"},
                                        {"acks", "all"},
                                        {"socket.nagle.disable", "true"},
                                        {"enable.idempotence", "true"},
                                        {"queue.buffering.max.messages", "1000000"},
                                        {NULL, NULL}};
static const char *const reader[][2] = {{"fetch.wait.max.ms", "20"},
                                        {"queued.max.messages.kbytes", "8192"},
                                        {"socket.nagle.disable", "true"},
                                        {NULL, NULL}};

static void produce(rd_kafka_topic_t *topic, rd_kafka_t *handle, int32_t partition, char *text, size_t size) {
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, text, size, NULL, 0, NULL) != 0) {
        rd_kafka_poll(handle, 10); /* its queue is full */
    }
}

static void read_from(rd_kafka_topic_t *topic, rd_kafka_queue_t *queue, int64_t offset) {
    for (int32_t p = 0; p < PARTITIONS; p++) { rd_kafka_consume_start_queue(topic, p, offset, queue); }
}

/* ---- load ---- */

static int load(int rate, int seconds, const char *topic_name, const char *echo_name) {
    rd_kafka_t *handle = client(RD_KAFKA_PRODUCER, writer);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, topic_name, NULL);
    rd_kafka_topic_t *echo = rd_kafka_topic_new(handle, echo_name, NULL);
    const int64_t n_ms = (int64_t)seconds * 1000, per_ms = rate / 1000;
    int64_t *late_us = calloc((size_t)n_ms, sizeof *late_us);
    uint64_t random = BENCH_SEED;
    const int64_t start_us = (now_us() / SECOND_US + 2) * SECOND_US;
    for (int64_t ms = 0; late_us && ms < n_ms; ms++) {
        const int64_t due_us = start_us + ms * 1000;
        const struct timespec due = {.tv_sec = due_us / SECOND_US, .tv_nsec = due_us % SECOND_US * 1000};
        clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &due, NULL);
        late_us[ms] = now_us() - due_us;
        char time[32], text[160];
        stamp(due_us, time);
        for (int64_t i = 0; i < per_ms; i++) {
            /* as Nexmark's: half of them on a hot auction, the others on the newest hundred */
            xorshift64(&random);
            const int64_t row = ms * per_ms + i, newest = 1000 + row * 3 / 50;
            const int64_t auction = random & 1 ? newest / 100 * 100 : newest - (int64_t)(random >> 8) % 100;
            const int size = snprintf(text, sizeof text, "{\"auction\":%" PRId64 ",\"price\":%d,\"ts\":\"%s\"}",
                                      auction, (int)(random >> 40), time);
            produce(topic, handle, (int32_t)(row % PARTITIONS), text, (size_t)size);
            if (row % ECHO_EVERY != 0) { continue; }
            produce(echo, handle, (int32_t)(row / ECHO_EVERY % PARTITIONS), text, (size_t)size);
        }
        rd_kafka_poll(handle, 0);
    }
    rd_kafka_flush(handle, 10000);
    for (int64_t ms = 0; late_us && ms < n_ms; ms++) { printf("%" PRId64 "\n", late_us[ms]); }
    fflush(stdout);
    _exit(0);
}

/* ---- watch ---- */

static int watch(const char *topic_name, const char *field) {
    static struct seen {
        int64_t arrival_us, sent_us;
        char field[32]; /* its text: read later, when nothing is measured any more */
    } *seen;
    size_t n = 0;
    char mark[80];
    snprintf(mark, sizeof mark, "\"%s\":\"", field);
    seen = calloc(SEEN_MAX, sizeof *seen);
    rd_kafka_t *handle = client(RD_KAFKA_CONSUMER, reader);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, topic_name, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    read_from(topic, queue, RD_KAFKA_OFFSET_BEGINNING);
    while (!told && seen) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(queue, 50);
        const char *at =
            message && !message->err ? memmem(message->payload, message->len, mark, strlen(mark)) : NULL;
        if (at && n < SEEN_MAX) {
            rd_kafka_timestamp_type_t type;
            const size_t left = message->len - (size_t)(at - (const char *)message->payload) - strlen(mark);
            seen[n] = (struct seen){now_us(), rd_kafka_message_timestamp(message, &type) * 1000, ""};
            memcpy(seen[n].field, at + strlen(mark), left < 31 ? left : 31);
            n++;
        }
        if (message) { rd_kafka_message_destroy(message); }
    }
    for (size_t i = 0; i < n; i++) {
        printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", seen[i].arrival_us, seen[i].sent_us,
               field_us(seen[i].field));
    }
    fflush(stdout);
    _exit(0); /* the measured are still running: take no time for a farewell */
}

/* ---- relay ---- */

static void relay_fire(rd_kafka_t *handle, rd_kafka_topic_t *to, int64_t end_us, int rows) {
    char time[32], text[160];
    stamp(end_us, time);
    for (int i = 0; i < rows; i++) {
        const int size = snprintf(text, sizeof text, "{\"auction\":%d,\"w\":\"%s\",\"n\":17,\"price\":%d}", i, time, i);
        produce(to, handle, RD_KAFKA_PARTITION_UA, text, (size_t)size);
    }
}

static int relay(int rows, const char *from_name, const char *to_name) {
    rd_kafka_t *in = client(RD_KAFKA_CONSUMER, reader), *out = client(RD_KAFKA_PRODUCER, writer);
    rd_kafka_topic_t *from = rd_kafka_topic_new(in, from_name, NULL), *to = rd_kafka_topic_new(out, to_name, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(in);
    static rd_kafka_message_t *messages[READ_MAX];
    int64_t newest_us[PARTITIONS] = {0}, end_us = 0;
    read_from(from, queue, RD_KAFKA_OFFSET_END);
    while (!told) {
        messages[0] = rd_kafka_consume_queue(queue, 50); /* to ask for many would be to wait for many */
        if (!messages[0]) { continue; }
        const ssize_t n = 1 + rd_kafka_consume_batch_queue(queue, 0, messages + 1, READ_MAX - 1);
        const rd_kafka_message_t *last[PARTITIONS] = {NULL};
        for (ssize_t i = 0; i < n; i++) {
            if (!messages[i]->err) { last[messages[i]->partition % PARTITIONS] = messages[i]; }
        }
        for (int p = 0; p < PARTITIONS; p++) {
            const char *at = last[p] ? memmem(last[p]->payload, last[p]->len, "\"ts\":\"", 6) : NULL;
            if (at) { newest_us[p] = field_us(at + 6); }
        }
        for (ssize_t i = 0; i < n; i++) { rd_kafka_message_destroy(messages[i]); }
        int64_t watermark_us = INT64_MAX;
        for (int p = 0; p < PARTITIONS; p++) {
            watermark_us = newest_us[p] < watermark_us ? newest_us[p] : watermark_us;
        }
        const int64_t reached_us = watermark_us / SECOND_US * SECOND_US;
        if (end_us && reached_us > end_us) { relay_fire(out, to, reached_us, rows); }
        if (reached_us > end_us) { end_us = reached_us; }
        rd_kafka_poll(out, 0);
    }
    _exit(0);
}

int main(int argc, char **argv) {
    if (!getenv("SABOT_TEST_KAFKA")) {
        printf("kafka: SABOT_TEST_KAFKA names no broker\n");
        return 0;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (argc == 6 && strcmp(argv[1], "load") == 0) { return load(atoi(argv[2]), atoi(argv[3]), argv[4], argv[5]); }
    if (argc == 4 && strcmp(argv[1], "watch") == 0) { return watch(argv[2], argv[3]); }
    if (argc == 5 && strcmp(argv[1], "relay") == 0) { return relay(atoi(argv[2]), argv[3], argv[4]); }
    printf("kafka: bench/kafka/run starts this with a broker\n");
    return 0;
}
