/* How quickly 200-byte JSON messages are written to and read from a broker: time, CPU time of the whole process, and of
 * the polling thread alone; beside it what librdkafka alone takes to give the same messages out, and writing
 * exactly-once, with a commit every 100,000 messages (without the checkpoint's file). Needs SABOT_TEST_KAFKA=host:port;
 * bench/kafka/run starts one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "base/text.h"
#include "connect/connector.h"

extern const struct source_type kafka_source;
extern const struct sink_type kafka_sink;

#define MESSAGES 1000000
#define ROWS 8192
#define PARTITIONS 4 /* of a topic that the test broker makes */

static struct memory_pool pool;
static struct metrics metrics;
static struct env_event *woken;

static void wake(void *arg) {
    (void)arg;
    env_event_set(woken);
}

static sabot_status malformed(void *arg, const char *place, const char *reason, const void *record, size_t size,
                              struct sabot_error *err) {
    (void)arg, (void)record, (void)size;
    return SABOT_FAIL(err, SABOT_ERR_DATA, "%s: %s", place, reason);
}

static int64_t thread_cpu_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void check(sabot_status status, const struct sabot_error *err) {
    if (status == SABOT_OK) { return; }
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

struct clocks {
    int64_t wall_ns, cpu_ns, thread_ns;
};

static struct clocks clocks_now(void) {
    return (struct clocks){env_now_ns(env_real()), env_cpu_ns(env_real()), thread_cpu_ns()};
}

static void figures(const char *name, struct clocks from) {
    const struct clocks to = clocks_now();
    printf("kafka/%s/wall %.1f ns/message\n", name, (double)(to.wall_ns - from.wall_ns) / MESSAGES);
    printf("kafka/%s/cpu %.1f ns/message\n", name, (double)(to.cpu_ns - from.cpu_ns) / MESSAGES);
    printf("kafka/%s/task %.1f ns/message\n", name, (double)(to.thread_ns - from.thread_ns) / MESSAGES);
}

static struct batch *rows_make(struct schema *schema, int64_t first) {
    struct column_builder builders[5];
    struct column *columns[5];
    struct sabot_error err = {0};
    for (int c = 0; c < 5; c++) {
        check(column_builder_init(&builders[c], &pool, c < 4 ? PHYS_I64 : PHYS_VIEW, ROWS, false, &err), &err);
    }
    static const char extra[] = "https://www.nexmark.com/abcd/efgh/ijk/item.htm?query=1&channel_id=1747189760 and more";
    for (int32_t i = 0; i < ROWS; i++) {
        for (int c = 0; c < 4; c++) { ((int64_t *)builders[c].values)[i] = 1436918350000 + (first + i) * (c + 1); }
        ((struct string_view *)builders[4].values)[i] = string_view_of(extra, sizeof extra - 1);
    }
    for (int c = 0; c < 5; c++) { check(column_builder_finish(&builders[c], &columns[c], &err), &err); }
    struct batch *batch;
    check(batch_new(schema, columns, 5, ROWS, &batch, &err), &err);
    return batch;
}

static void commit_now(struct sink *sink, int64_t checkpoint_id) {
    struct sabot_error err = {0};
    struct text pending = {0};
    bool full = true;
    while (full) {
        check(kafka_sink.prepare(sink, checkpoint_id, &pending, &full, &err), &err);
        if (full) { env_event_wait(woken, 1000000); }
    }
    text_clear(&pending);
    check(kafka_sink.commit(sink, checkpoint_id, &err), &err);
}

static void write_all(const struct connector_context *context, const char *name, int64_t commit_every) {
    struct sabot_error err = {0};
    struct sink *sink;
    check(kafka_sink.open(context, &sink, &err), &err);
    const struct clocks start = clocks_now();
    int64_t committed = 0;
    for (int64_t first = 0; first < MESSAGES; first += ROWS) {
        if (commit_every && first - committed >= commit_every) {
            commit_now(sink, first);
            committed = first;
        }
        struct batch *batch = rows_make(context->table->schema, first);
        bool full = true;
        while (full) {
            check(kafka_sink.write(sink, batch, &full, &err), &err);
            if (full) { env_event_wait(woken, 1000000); }
        }
    }
    bool full = true;
    while (full) {
        check(kafka_sink.finish(sink, &full, &err), &err);
        if (full) { env_event_wait(woken, 1000000); }
    }
    figures(name, start);
    kafka_sink.close(sink);
}

/* The same messages through librdkafka, given back at once. */
static void read_alone(const char *address, const char *topic_name) {
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", address, reason, sizeof reason);
    rd_kafka_conf_set(conf, "queued.max.messages.kbytes", "8192", reason, sizeof reason);
    rd_kafka_conf_set(conf, "fetch.wait.max.ms", "20", reason, sizeof reason);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, topic_name, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    static rd_kafka_message_t *messages[ROWS];
    const struct clocks start = clocks_now();
    for (int32_t p = 0; p < PARTITIONS; p++) {
        rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue);
    }
    for (int64_t rows = 0; rows < MESSAGES;) {
        const ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, ROWS);
        for (ssize_t i = 0; i < n; i++) {
            rows += messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            rd_kafka_message_destroy(messages[i]);
        }
    }
    figures("librdkafka-alone", start);
    for (int32_t p = 0; p < PARTITIONS; p++) { rd_kafka_consume_stop(topic, p); }
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(handle);
}

static void read_all(const struct connector_context *context) {
    struct sabot_error err = {0};
    struct source *source;
    check(kafka_source.open(context, &source, &err), &err);
    const struct clocks start = clocks_now();
    int64_t rows = 0, batches = 0, first_ns = 0;
    while (rows < MESSAGES) {
        enum source_state state;
        struct source_result result;
        check(kafka_source.poll(source, &state, &result, &err), &err);
        if (state == SOURCE_WAIT) {
            env_event_wait(woken, 100000000);
            continue;
        }
        if (rows == 0) { first_ns = env_now_ns(env_real()) - start.wall_ns; }
        rows += result.batch->selected;
        batches++;
        batch_unref(result.batch);
    }
    figures("read", start);
    printf("kafka/read/first %.1f ms\n", (double)first_ns / 1e6);
    printf("kafka/read/batch %.0f rows\n", (double)rows / (double)batches);
    kafka_source.close(source);
}

int main(void) {
    const char *address = getenv("SABOT_TEST_KAFKA");
    if (!address) {
        printf("kafka: SABOT_TEST_KAFKA names no broker\n");
        return 0;
    }
    memory_pool_init(&pool, "bench", NULL, INT64_MAX);
    woken = env_event_new(env_real());
    const struct field fields[] = {{"auction", type_of(TYPE_INT64)}, {"bidder", type_of(TYPE_INT64)},
                                   {"price", type_of(TYPE_INT64)},   {"at", type_of(TYPE_INT64)},
                                   {"extra", type_of(TYPE_STRING)}};
    char topic[64];
    snprintf(topic, sizeof topic, "bench%016" PRIx64, env_random(env_real()));
    const struct table_option options[] = {{"connector", "kafka", 0, 0},
                                           {"format", "json", 0, 0},
                                           {"topic", topic, 0, 0},
                                           {"properties.bootstrap.servers", address, 0, 0},
                                           {"scan.startup.mode", "earliest-offset", 0, 0}};
    char once[80];
    snprintf(once, sizeof once, "%s-once", topic);
    const struct table_option options_once[] = {{"connector", "kafka", 0, 0},
                                                {"format", "json", 0, 0},
                                                {"topic", once, 0, 0},
                                                {"properties.bootstrap.servers", address, 0, 0},
                                                {"sink.delivery-guarantee", "exactly-once", 0, 0},
                                                {"sink.transactional-id-prefix", once, 0, 0}};
    struct connector_table table = {.name = "bids", .options = options, .n_options = 5};
    struct sabot_error err = {0};
    check(schema_new(fields, 5, &table.schema, &err), &err);
    const struct connector_context context = {
        .env = env_real(),
        .pool = &pool,
        .metrics = &metrics,
        .table = &table,
        .parallelism = 1,
        .batch_rows = ROWS,
        .malformed = malformed,
        .wake = wake,
    };
    write_all(&context, "write", 0);
    read_all(&context);
    read_alone(address, topic);
    table.options = options_once;
    table.n_options = 6;
    write_all(&context, "write-once", 100000);
    schema_unref(table.schema);
    env_event_free(woken);
    return 0;
}
