/* Kafka source and sink. What needs a broker runs where SABOT_TEST_KAFKA names one ("127.0.0.1:9092"), and is skipped
 * elsewhere; tests/kafka/run starts one. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "connect/connector.h"
#include "connect/kafka/layout.h"
#include "connect/kafka/options.h"

extern const struct source_type kafka_source;
extern const struct sink_type kafka_sink;

#define OPTIONS_MAX 16
#define WAIT_NS INT64_C(20000000000)

static struct memory_pool pool;
static struct metrics metrics;
static struct env_event *woken;

struct setup {
    struct table_option options[OPTIONS_MAX];
    struct connector_table table;
    struct connector_context context;
    int malformed;
    char place[320], reason[200];
};

static void wake(void *arg) {
    (void)arg;
    env_event_set(woken);
}

static sabot_status malformed(void *arg, const char *place, const char *reason, const void *record, size_t size,
                              struct sabot_error *err) {
    struct setup *setup = arg;
    (void)record, (void)size, (void)err;
    setup->malformed++;
    snprintf(setup->place, sizeof setup->place, "%s", place);
    snprintf(setup->reason, sizeof setup->reason, "%s", reason);
    return SABOT_OK;
}

static void option_add(struct setup *setup, const char *key, const char *value) {
    for (int32_t i = 0; i < setup->table.n_options; i++) {
        if (strcmp(setup->options[i].key, key) == 0) {
            setup->options[i].value = value;
            return;
        }
    }
    assert_true(setup->table.n_options < OPTIONS_MAX);
    setup->options[setup->table.n_options++] = (struct table_option){.key = key, .value = value};
}

static const char *broker(void) {
    const char *address = getenv("SABOT_TEST_KAFKA");
    return address ? address : "127.0.0.1:1";
}

static void setup_init(struct setup *setup, const struct field *fields, int32_t n_fields, const char *topic) {
    *setup = (struct setup){0};
    setup->table = (struct connector_table){.name = "t", .options = setup->options};
    assert_int_equal(schema_new(fields, n_fields, &setup->table.schema, NULL), SABOT_OK);
    option_add(setup, "connector", "kafka");
    option_add(setup, "format", "json");
    option_add(setup, "properties.bootstrap.servers", broker());
    option_add(setup, "topic", topic);
    option_add(setup, "scan.startup.mode", "earliest-offset");
    setup->context = (struct connector_context){
        .env = env_real(),
        .pool = &pool,
        .metrics = &metrics,
        .table = &setup->table,
        .parallelism = 1,
        .batch_rows = 1000,
        .malformed = malformed,
        .malformed_arg = setup,
        .wake = wake,
    };
}

static void setup_clear(struct setup *setup) {
    schema_unref(setup->table.schema);
    if (atomic_load(&pool.used) != 0) { fail_msg("%" PRId64 " bytes are still charged", atomic_load(&pool.used)); }
}

static struct source *source_open(struct setup *setup, int32_t subtask) {
    struct source *source;
    struct sabot_error err = {0};
    setup->context.subtask = subtask;
    if (kafka_source.open(&setup->context, &source, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return source;
}

/* The next batch; NULL at the end, or where none comes within `wait_ns`. */
static struct batch *next_batch(struct source *source, int64_t wait_ns) {
    const int64_t end_ns = env_now_ns(env_real()) + wait_ns;
    while (true) {
        enum source_state state;
        struct source_result result = {0};
        struct sabot_error err = {0};
        if (kafka_source.poll(source, &state, &result, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (state == SOURCE_BATCH) { return result.batch; }
        const int64_t now_ns = env_now_ns(env_real());
        if (state == SOURCE_END || now_ns >= end_ns) { return NULL; }
        const int64_t until_ns = result.wake_at_ns < end_ns ? result.wake_at_ns : end_ns;
        env_event_wait(woken, until_ns > now_ns ? until_ns - now_ns : 0);
    }
}

static const struct field id_and_name[] = {
    {"id", {.kind = TYPE_INT64, .nullable = true}},
    {"name", {.kind = TYPE_STRING, .nullable = true, .length = TYPE_LENGTH_MAX}},
};

/* Rows id = first .. first + n - 1, name = "name of <id>". */
static struct batch *rows_make(struct schema *schema, int64_t first, int32_t n) {
    struct column_builder ids, names;
    assert_int_equal(column_builder_init(&ids, &pool, PHYS_I64, n, false, NULL), SABOT_OK);
    assert_int_equal(column_builder_init(&names, &pool, PHYS_VIEW, n, false, NULL), SABOT_OK);
    for (int32_t i = 0; i < n; i++) {
        char name[40], *target;
        const int size = snprintf(name, sizeof name, "name of %" PRId64, first + i);
        assert_int_equal(column_builder_reserve(&names, (size_t)size, &target, NULL), SABOT_OK);
        memcpy(target, name, (size_t)size);
        ((int64_t *)ids.values)[i] = first + i;
        ((struct string_view *)names.values)[i] = string_view_of(target, (uint32_t)size);
    }
    struct column *columns[2];
    assert_int_equal(column_builder_finish(&ids, &columns[0], NULL), SABOT_OK);
    assert_int_equal(column_builder_finish(&names, &columns[1], NULL), SABOT_OK);
    struct batch *batch;
    assert_int_equal(batch_new(schema, columns, 2, n, &batch, NULL), SABOT_OK);
    return batch;
}

static struct sink *sink_open(struct setup *setup) {
    struct sink *sink;
    struct sabot_error err = {0};
    if (kafka_sink.open(&setup->context, &sink, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    return sink;
}

/* Takes over the batch. */
static void sink_write(struct sink *sink, struct batch *batch) {
    bool full = true;
    while (full) {
        struct sabot_error err = {0};
        if (kafka_sink.write(sink, batch, &full, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (full) { env_event_wait(woken, WAIT_NS); }
    }
}

static void sink_prepare(struct sink *sink) {
    bool full = true;
    while (full) {
        struct sabot_error err = {0};
        struct text pending = {0};
        if (kafka_sink.prepare(sink, 1, &pending, &full, &err) != SABOT_OK) { fail_msg("%s", err.message); }
        if (full) { env_event_wait(woken, WAIT_NS); }
    }
}

static const char *topic_new(void) {
    static char name[64];
    snprintf(name, sizeof name, "t%016" PRIx64, env_random(env_real()));
    return name;
}

/* Writes rows first .. first + n - 1 to the setup's topic. */
static void write_rows(struct setup *setup, int64_t first, int32_t n) {
    struct sink *sink = sink_open(setup);
    for (int32_t done = 0; done < n; done += 5000) {
        sink_write(sink, rows_make(setup->table.schema, first + done, n - done < 5000 ? n - done : 5000));
    }
    sink_prepare(sink);
    kafka_sink.close(sink);
}

/* Marks the ids of a batch in seen[0 .. n) and checks the names; returns the number of rows. */
static int32_t ids_mark(struct batch *batch, uint8_t *seen, int64_t n) {
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        const int64_t id = ((const int64_t *)batch->columns[0]->values)[row];
        const struct string_view *name = (const struct string_view *)batch->columns[1]->values + row;
        char expected[40];
        const int size = snprintf(expected, sizeof expected, "name of %" PRId64, id);
        assert_true(id >= 0 && id < n);
        assert_int_equal(name->size, size);
        assert_memory_equal(string_view_data(name), expected, (size_t)size);
        seen[id]++;
    }
    const int32_t rows = batch->selected;
    batch_unref(batch);
    return rows;
}

static void seen_check(const uint8_t *seen, int64_t n, uint8_t times) {
    for (int64_t i = 0; i < n; i++) {
        if (seen[i] != times) { fail_msg("row %" PRId64 " came %d times, not %d", i, seen[i], times); }
    }
}

/* Positions of all splits as the batch that restore takes. */
static struct batch *positions_of(struct source *const *sources, int32_t n_sources) {
    const struct field fields[] = {{"split", type_of(TYPE_STRING)}, {"position", type_of(TYPE_BINARY)}};
    struct schema *schema;
    assert_int_equal(schema_new(fields, 2, &schema, NULL), SABOT_OK);
    int32_t rows = 0;
    for (int32_t s = 0; s < n_sources; s++) { rows += kafka_source.n_splits(sources[s]); }
    struct column_builder builders[2];
    for (int b = 0; b < 2; b++) {
        assert_int_equal(column_builder_init(&builders[b], &pool, PHYS_VIEW, rows, false, NULL), SABOT_OK);
    }
    int32_t row = 0;
    for (int32_t s = 0; s < n_sources; s++) {
        for (int32_t i = 0; i < kafka_source.n_splits(sources[s]); i++, row++) {
            struct source_split split;
            struct text position = {0};
            kafka_source.split(sources[s], i, &split);
            assert_int_equal(kafka_source.position(sources[s], i, &position, NULL), SABOT_OK);
            const char *cells[2] = {split.id, position.data};
            for (int b = 0; b < 2; b++) {
                char *target;
                const size_t size = strlen(cells[b]);
                assert_int_equal(column_builder_reserve(&builders[b], size, &target, NULL), SABOT_OK);
                memcpy(target, cells[b], size);
                ((struct string_view *)builders[b].values)[row] = string_view_of(target, (uint32_t)size);
            }
            text_clear(&position);
        }
    }
    struct column *columns[2];
    for (int b = 0; b < 2; b++) { assert_int_equal(column_builder_finish(&builders[b], &columns[b], NULL), SABOT_OK); }
    struct batch *batch;
    assert_int_equal(batch_new(schema, columns, 2, rows, &batch, NULL), SABOT_OK);
    schema_unref(schema);
    return batch;
}

/* --- without a broker */

static void refuse(const char *const (*options)[2], int32_t n, bool sink_side, sabot_status status,
                   const char *expected) {
    struct setup setup;
    setup_init(&setup, id_and_name, 2, "events");
    for (int32_t i = 0; i < n; i++) { option_add(&setup, options[i][0], options[i][1]); }
    struct sabot_error err = {0};
    struct source *source;
    struct sink *sink;
    const sabot_status found =
        sink_side ? kafka_sink.open(&setup.context, &sink, &err) : kafka_source.open(&setup.context, &source, &err);
    if (found != status || !strstr(err.message, expected)) {
        fail_msg("%s \"%s\" instead of %s \"%s\"", sabot_status_name(found), err.message, sabot_status_name(status),
                 expected);
    }
    setup_clear(&setup);
}
#define REFUSE(sink_side, status, expected, ...)                                                                       \
    do {                                                                                                               \
        const char *const refused[][2] = {__VA_ARGS__};                                                                \
        refuse(refused, (int32_t)(sizeof refused / sizeof refused[0]), sink_side, status, expected);                   \
    } while (0)

static void wrong_options_are_named(void **state) {
    (void)state;
    REFUSE(false, SABOT_ERR_PLAN, "'topic' and 'topic-pattern'", {"topic-pattern", "a.*"});
    REFUSE(false, SABOT_ERR_PLAN, "needs 'properties.group.id'", {"scan.startup.mode", "group-offsets"});
    REFUSE(false, SABOT_ERR_PLAN, "scan.startup.timestamp-millis", {"scan.startup.mode", "timestamp"});
    REFUSE(false, SABOT_ERR_PLAN, "scan.startup.specific-offsets", {"scan.startup.mode", "specific-offsets"});
    REFUSE(false, SABOT_ERR_PLAN, "is not of the form partition:0,offset:42", {"scan.startup.mode", "specific-offsets"},
           {"scan.startup.specific-offsets", "0:42"});
    REFUSE(false, SABOT_ERR_PLAN, "there is no format 'jsn'", {"format", "jsn"});
    REFUSE(false, SABOT_ERR_PLAN, "'key.fields' is missing", {"key.format", "json"});
    REFUSE(false, SABOT_ERR_PLAN, "there is no column 'ID'", {"key.format", "json"}, {"key.fields", "ID"});
    REFUSE(false, SABOT_ERR_PLAN, "there is no option 'key.jsn'", {"key.format", "json"}, {"key.fields", "id"},
           {"key.jsn", "1"}, {"value.fields-include", "EXCEPT_KEY"});
    REFUSE(false, SABOT_ERR_PLAN, "'properties.fetch.min.byte'", {"properties.fetch.min.byte", "1"});
    REFUSE(false, SABOT_ERR_PLAN, "keytool", {"properties.ssl.truststore.location", "/x/kafka.truststore.jks"});
    REFUSE(false, SABOT_ERR_PLAN, "'properties.sasl.jaas.config'", {"properties.sasl.jaas.config", "x"});
    REFUSE(true, SABOT_ERR_PLAN, "'exactly-once' needs 'sink.transactional-id-prefix'",
           {"sink.delivery-guarantee", "exactly-once"});
    REFUSE(true, SABOT_ERR_PLAN, "'sink.transactional-id-prefix': at most", {"sink.delivery-guarantee", "exactly-once"},
           {"sink.transactional-id-prefix", "two words"});
    REFUSE(true, SABOT_ERR_UNSUPPORTED, "Java classes", {"sink.partitioner", "org.example.Mine"});
    REFUSE(true, SABOT_ERR_PLAN, "exactly one 'topic'", {"topic", "a;b"});
}

/* librdkafka starts its threads by C11's thrd_create, which gcc's ThreadSanitizer does not know: it crashes in them. */
static void needs_client(void) {
#ifdef __SANITIZE_THREAD__
    skip();
#endif
}

static void a_broker_that_does_not_answer_is_named(void **state) {
    (void)state;
    needs_client();
    REFUSE(false, SABOT_ERR_IO, "no broker answers at '127.0.0.1:1'", {"properties.bootstrap.servers", "127.0.0.1:1"},
           {"properties.default.api.timeout.ms", "400"});
    REFUSE(true, SABOT_ERR_IO, "no broker answers at '127.0.0.1:1'", {"properties.bootstrap.servers", "127.0.0.1:1"},
           {"properties.default.api.timeout.ms", "400"});
}

static void key_and_value_see_their_own_columns_and_options(void **state) {
    (void)state;
    const struct field fields[] = {{"k_id", type_of(TYPE_INT64)}, {"name", type_of(TYPE_STRING)},
                                   {"at", type_of(TYPE_INT64)}, {"x", type_of(TYPE_INT32)}};
    const char *const metadata[] = {NULL, NULL, "offset", NULL};
    struct setup setup;
    setup_init(&setup, fields, 4, "events");
    setup.table.metadata = metadata;
    option_add(&setup, "key.format", "json");
    option_add(&setup, "key.fields", "k_id");
    option_add(&setup, "key.fields-prefix", "k_");
    option_add(&setup, "key.json.ignore-parse-errors", "true");
    option_add(&setup, "value.fields-include", "EXCEPT_KEY");
    option_add(&setup, "json.fail-on-missing-field", "true");
    struct kafka_layout layout;
    struct sabot_error err = {0};
    if (kafka_layout_init(&layout, &setup.context, true, &err) != SABOT_OK) { fail_msg("%s", err.message); }
    assert_int_equal(layout.key.table.schema->n_fields, 1);
    assert_string_equal(layout.key.table.schema->fields[0].name, "id");
    assert_int_equal(layout.key.columns[0], 0);
    assert_int_equal(layout.key.table.n_options, 1);
    assert_string_equal(layout.key.table.options[0].key, "json.ignore-parse-errors");
    assert_int_equal(layout.value.table.schema->n_fields, 2);
    assert_int_equal(layout.value.columns[0], 1);
    assert_int_equal(layout.value.columns[1], 3);
    assert_int_equal(layout.value.table.n_options, 1);
    assert_string_equal(layout.value.table.options[0].key, "json.fail-on-missing-field");
    assert_int_equal(layout.metadata[2], KAFKA_OFFSET);
    kafka_layout_clear(&layout);
    setup_clear(&setup);
}

static void metadata_of_another_type_is_refused(void **state) {
    (void)state;
    const struct field fields[] = {{"a", type_of(TYPE_INT64)}, {"at", type_of(TYPE_STRING)}};
    const char *const metadata[] = {NULL, "timestamp"};
    struct setup setup;
    setup_init(&setup, fields, 2, "events");
    setup.table.metadata = metadata;
    struct kafka_layout layout;
    struct sabot_error err = {0};
    assert_int_equal(kafka_layout_init(&layout, &setup.context, true, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "'timestamp' is TIMESTAMP_LTZ(3) NOT NULL"));
    setup_clear(&setup);
}

/* --- with a broker */

static void needs_broker(void) {
    needs_client();
    if (!getenv("SABOT_TEST_KAFKA")) { skip(); }
}

static void what_is_written_is_read_once_at_every_parallelism(void **state) {
    (void)state;
    needs_broker();
    enum { ROWS = 20000 };
    struct setup setup;
    setup_init(&setup, id_and_name, 2, topic_new());
    write_rows(&setup, 0, ROWS);
    option_add(&setup, "scan.bounded.mode", "latest-offset");
    uint8_t *seen = calloc(ROWS, 1);
    for (int32_t parallelism = 1; parallelism <= 7; parallelism += 3) {
        setup.context.parallelism = parallelism;
        memset(seen, 0, ROWS);
        for (int32_t subtask = 0; subtask < parallelism; subtask++) {
            struct source *source = source_open(&setup, subtask);
            struct batch *batch;
            while ((batch = next_batch(source, WAIT_NS))) { ids_mark(batch, seen, ROWS); }
            kafka_source.close(source);
        }
        seen_check(seen, ROWS, 1);
    }
    free(seen);
    setup_clear(&setup);
}

static void restore_goes_on_behind_the_last_batch_at_any_parallelism(void **state) {
    (void)state;
    needs_broker();
    enum { ROWS = 8000 };
    struct setup setup;
    setup_init(&setup, id_and_name, 2, topic_new());
    write_rows(&setup, 0, ROWS);
    option_add(&setup, "scan.bounded.mode", "latest-offset");
    const int32_t before[] = {1, 3, 2}, after[] = {1, 2, 5};
    for (int round = 0; round < 3; round++) {
        uint8_t *seen = calloc(ROWS, 1);
        struct source *sources[5];
        setup.context.parallelism = before[round];
        for (int32_t s = 0; s < before[round]; s++) {
            sources[s] = source_open(&setup, s);
            struct batch *batch = next_batch(sources[s], WAIT_NS);
            if (batch) { ids_mark(batch, seen, ROWS); }
        }
        struct batch *positions = positions_of(sources, before[round]);
        for (int32_t s = 0; s < before[round]; s++) { kafka_source.close(sources[s]); }
        setup.context.parallelism = after[round];
        for (int32_t s = 0; s < after[round]; s++) {
            struct source *source = source_open(&setup, s);
            struct sabot_error err = {0};
            if (kafka_source.restore(source, positions, &err) != SABOT_OK) { fail_msg("%s", err.message); }
            struct batch *batch;
            while ((batch = next_batch(source, WAIT_NS))) { ids_mark(batch, seen, ROWS); }
            kafka_source.close(source);
        }
        batch_unref(positions);
        seen_check(seen, ROWS, 1);
        free(seen);
    }
    setup_clear(&setup);
}

static int32_t rows_from(struct setup *setup, int64_t n) {
    uint8_t *seen = calloc((size_t)n, 1);
    struct source *source = source_open(setup, 0);
    struct batch *batch;
    int32_t rows = 0;
    while ((batch = next_batch(source, WAIT_NS))) { rows += ids_mark(batch, seen, n); }
    kafka_source.close(source);
    free(seen);
    return rows;
}

static void it_starts_where_the_startup_mode_says(void **state) {
    (void)state;
    needs_broker();
    struct setup setup;
    setup_init(&setup, id_and_name, 2, topic_new());
    option_add(&setup, "sink.partitioner", "round-robin");
    write_rows(&setup, 0, 400);
    env_sleep_ns(env_real(), 20000000);
    char now[32];
    snprintf(now, sizeof now, "%" PRId64, env_wall_ms(env_real()));
    env_sleep_ns(env_real(), 20000000);
    write_rows(&setup, 400, 200);
    option_add(&setup, "scan.bounded.mode", "latest-offset");
    assert_int_equal(rows_from(&setup, 600), 600);
    option_add(&setup, "scan.startup.mode", "latest-offset");
    assert_int_equal(rows_from(&setup, 600), 0);
    option_add(&setup, "scan.startup.mode", "timestamp");
    option_add(&setup, "scan.startup.timestamp-millis", now);
    assert_int_equal(rows_from(&setup, 600), 200);
    option_add(&setup, "scan.startup.mode", "specific-offsets");
    option_add(&setup, "scan.startup.specific-offsets",
               "partition:0,offset:100;partition:1,offset:149;partition:3,offset:0");
    assert_int_equal(rows_from(&setup, 600), 50 + 1 + 150 + 150);
    option_add(&setup, "scan.startup.mode", "earliest-offset");
    option_add(&setup, "scan.bounded.mode", "timestamp");
    option_add(&setup, "scan.bounded.timestamp-millis", now);
    assert_int_equal(rows_from(&setup, 600), 400);
    setup_clear(&setup);
}

static void a_group_goes_on_where_its_last_checkpoint_stood(void **state) {
    (void)state;
    needs_broker();
    struct setup setup;
    setup_init(&setup, id_and_name, 2, topic_new());
    write_rows(&setup, 0, 300);
    option_add(&setup, "properties.group.id", setup.options[3].value);
    option_add(&setup, "scan.startup.mode", "group-offsets");
    option_add(&setup, "scan.bounded.mode", "latest-offset");

    struct source *source = source_open(&setup, 0);
    enum source_state poll_state = SOURCE_WAIT;
    struct sabot_error err = {0};
    const int64_t end_ns = env_now_ns(env_real()) + WAIT_NS;
    sabot_status status = SABOT_OK;
    while (status == SABOT_OK && poll_state == SOURCE_WAIT && env_now_ns(env_real()) < end_ns) {
        struct source_result result = {0};
        status = kafka_source.poll(source, &poll_state, &result, &err);
        if (status == SABOT_OK) { env_event_wait(woken, 100000000); }
    }
    assert_int_equal(status, SABOT_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "has no offset for"));
    kafka_source.close(source);

    option_add(&setup, "properties.auto.offset.reset", "earliest");
    uint8_t seen[500] = {0};
    source = source_open(&setup, 0);
    struct batch *batch;
    while ((batch = next_batch(source, WAIT_NS))) { ids_mark(batch, seen, 500); }
    batch_unref(positions_of(&source, 1));
    assert_int_equal(kafka_source.on_complete(source, 1, NULL), SABOT_OK);
    kafka_source.close(source);
    write_rows(&setup, 300, 200);
    assert_int_equal(rows_from(&setup, 500), 200);
    setup_clear(&setup);
}

static rd_kafka_t *producer_new(const char *transactional_id) {
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", broker(), reason, sizeof reason);
    if (transactional_id) { rd_kafka_conf_set(conf, "transactional.id", transactional_id, reason, sizeof reason); }
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    assert_non_null(producer);
    return producer;
}

static void produce_text(rd_kafka_t *producer, const char *topic, int32_t partition, const char *key,
                         const char *value) {
    const rd_kafka_resp_err_t code = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key, key ? strlen(key) : 0),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value ? strlen(value) : 0), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) { fail_msg("%s", rd_kafka_err2str(code)); }
}

static void bad_records_are_reported_and_the_others_kept(void **state) {
    (void)state;
    needs_broker();
    struct setup setup;
    const char *topic = topic_new();
    setup_init(&setup, id_and_name, 2, topic);
    rd_kafka_t *producer = producer_new(NULL);
    produce_text(producer, topic, 0, NULL, "{\"id\": 0, \"name\": \"name of 0\"}");
    produce_text(producer, topic, 0, NULL, "{\"id\": 1, \"name\": ");
    produce_text(producer, topic, 0, NULL, NULL);
    produce_text(producer, topic, 0, NULL, "{\"id\": 2, \"name\": \"name of 2\"}");
    assert_int_equal(rd_kafka_flush(producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
    option_add(&setup, "scan.bounded.mode", "latest-offset");
    assert_int_equal(rows_from(&setup, 3), 2);
    assert_int_equal(setup.malformed, 1);
    char place[100];
    snprintf(place, sizeof place, "%s-0@1", topic);
    assert_string_equal(setup.place, place);
    assert_true(strlen(setup.reason) > 5);
    setup_clear(&setup);
}

static void keys_and_metadata_go_both_ways(void **state) {
    (void)state;
    needs_broker();
    struct type timestamp, headers;
    assert_int_equal(kafka_metadata_find("timestamp", &timestamp), KAFKA_TIMESTAMP);
    assert_int_equal(kafka_metadata_find("headers", &headers), KAFKA_HEADERS);
    const struct field fields[] = {{"id", type_of(TYPE_INT64)}, {"name", type_of(TYPE_STRING)}, {"at", timestamp},
                                   {"h", headers}, {"p", type_of(TYPE_INT32)}, {"o", type_of(TYPE_INT64)},
                                   {"topic", type_of(TYPE_STRING)}, {"kind", type_of(TYPE_STRING)}};
    const char *const metadata[] = {NULL,        NULL,     "timestamp", "headers",
                                    "partition", "offset", "topic",     "timestamp-type"};
    struct setup setup;
    const char *topic = topic_new();
    setup_init(&setup, fields, 3, topic); /* the sink has id, name and timestamp */
    setup.table.metadata = metadata;
    option_add(&setup, "key.format", "json");
    option_add(&setup, "key.fields", "id");
    option_add(&setup, "value.fields-include", "EXCEPT_KEY");
    struct batch *pairs = rows_make(setup.table.schema, 0, 100);
    const int64_t time_ms = 1436918350000;
    struct column *columns[3] = {column_ref(pairs->columns[0]), column_ref(pairs->columns[1]), NULL};
    assert_int_equal(column_constant(&pool, PHYS_I64, &time_ms, 100, &columns[2], NULL), SABOT_OK);
    struct batch *batch;
    assert_int_equal(batch_new(setup.table.schema, columns, 3, 100, &batch, NULL), SABOT_OK);
    batch_unref(pairs);
    struct sink *sink = sink_open(&setup);
    sink_write(sink, batch);
    sink_prepare(sink);
    kafka_sink.close(sink);
    schema_unref(setup.table.schema);

    rd_kafka_t *producer = producer_new(NULL);
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(2), RD_KAFKA_V_KEY("{\"id\":100}", 10),
                      RD_KAFKA_V_VALUE("{\"name\":\"name of 100\"}", 22), RD_KAFKA_V_HEADER("a", "12345678901234", 14),
                      RD_KAFKA_V_HEADER("b", NULL, 0), RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_END);
    assert_int_equal(rd_kafka_flush(producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);

    assert_int_equal(schema_new(fields, 8, &setup.table.schema, NULL), SABOT_OK);
    option_add(&setup, "scan.bounded.mode", "latest-offset");
    struct source *source = source_open(&setup, 0);
    int64_t next_offset[4] = {0};
    uint8_t seen[101] = {0};
    int with_headers = 0;
    while ((batch = next_batch(source, WAIT_NS))) {
        for (int32_t i = 0; i < batch->selected; i++) {
            const int32_t row = batch_row(batch, i);
            assert_true(((const int64_t *)batch->columns[2]->values)[row] == time_ms);
            const struct column *p = batch->columns[4], *name = batch->columns[6], *kind = batch->columns[7];
            const int32_t partition = ((const int32_t *)p->values)[column_at(p, row)];
            assert_in_range(partition, 0, 3);
            assert_true(((const int64_t *)batch->columns[5]->values)[row] == next_offset[partition]++);
            const struct string_view *view = (const struct string_view *)name->values + column_at(name, row);
            assert_memory_equal(string_view_data(view), topic, view->size);
            view = (const struct string_view *)kind->values + column_at(kind, row);
            assert_memory_equal(string_view_data(view), "CreateTime", view->size);
            const int32_t *offsets = batch->columns[3]->values;
            if (offsets[row + 1] == offsets[row]) { continue; }
            with_headers++;
            assert_int_equal(offsets[row + 1] - offsets[row], 2);
            const struct column *entries = batch->columns[3]->children[0];
            const struct string_view *keys = entries->children[0]->values, *values = entries->children[1]->values;
            assert_memory_equal(string_view_data(&keys[offsets[row]]), "a", 1);
            assert_memory_equal(string_view_data(&values[offsets[row]]), "12345678901234", 14);
            assert_true(column_is_null(entries->children[1], offsets[row] + 1));
        }
        ids_mark(batch, seen, 101);
    }
    seen_check(seen, 101, 1);
    assert_int_equal(with_headers, 1);
    kafka_source.close(source);
    setup_clear(&setup);
}

static void a_bounded_read_ends_at_transaction_markers_and_skips_what_was_aborted(void **state) {
    (void)state;
    needs_broker();
    struct setup setup;
    const char *topic = topic_new();
    setup_init(&setup, id_and_name, 2, topic);
    rd_kafka_t *producer = producer_new(topic);
    assert_null(rd_kafka_init_transactions(producer, 10000));
    for (int i = 0; i < 4; i++) {
        char text[64];
        assert_null(rd_kafka_begin_transaction(producer));
        snprintf(text, sizeof text, "{\"id\": %d, \"name\": \"name of %d\"}", i, i);
        produce_text(producer, topic, 0, NULL, text);
        rd_kafka_error_t *failed = i % 2 ? rd_kafka_flush(producer, 10000), rd_kafka_abort_transaction(producer, 10000)
                                         : rd_kafka_commit_transaction(producer, 10000);
        assert_null(failed);
    }
    rd_kafka_destroy(producer);
    option_add(&setup, "scan.bounded.mode", "latest-offset");
    assert_int_equal(rows_from(&setup, 4), 4); /* as Java's default: read_uncommitted */
    option_add(&setup, "properties.isolation.level", "read_committed");
    assert_int_equal(rows_from(&setup, 4), 2);
    setup_clear(&setup);
}

static void partitions_added(const char *topic, size_t n) {
    rd_kafka_t *client = producer_new(NULL);
    char reason[256];
    rd_kafka_NewPartitions_t *request = rd_kafka_NewPartitions_new(topic, n, reason, sizeof reason);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreatePartitions(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 10000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(request);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

static void new_partitions_are_found_and_read_from_their_beginning(void **state) {
    (void)state;
    needs_broker();
    struct setup setup;
    const char *topic = topic_new();
    setup_init(&setup, id_and_name, 2, topic);
    write_rows(&setup, 0, 100);
    option_add(&setup, "scan.startup.mode", "latest-offset");
    option_add(&setup, "scan.topic-partition-discovery.interval", "200 ms");
    struct source *source = source_open(&setup, 0);
    assert_null(next_batch(source, 1000000000));
    assert_int_equal(kafka_source.n_splits(source), 4);
    partitions_added(topic, 6);
    rd_kafka_t *producer = producer_new(NULL);
    produce_text(producer, topic, 5, NULL, "{\"id\": 100, \"name\": \"name of 100\"}");
    assert_int_equal(rd_kafka_flush(producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
    struct batch *batch = next_batch(source, WAIT_NS);
    assert_non_null(batch);
    uint8_t seen[101] = {0};
    assert_int_equal(ids_mark(batch, seen, 101), 1);
    assert_int_equal(kafka_source.n_splits(source), 6);
    kafka_source.close(source);
    setup_clear(&setup);
}

static void a_pattern_reads_every_topic_that_matches_as_a_whole(void **state) {
    (void)state;
    needs_broker();
    struct setup setup;
    char name[72], other[80], pattern[80];
    snprintf(name, sizeof name, "%s-1", topic_new());
    snprintf(other, sizeof other, "%s-x", name);
    snprintf(pattern, sizeof pattern, "%.17s-\\d", name);
    setup_init(&setup, id_and_name, 2, name);
    write_rows(&setup, 0, 10);
    option_add(&setup, "topic", other);
    write_rows(&setup, 10, 10);
    setup.options[3].key = "topic-pattern";
    setup.options[3].value = pattern;
    option_add(&setup, "scan.bounded.mode", "latest-offset");
    assert_int_equal(rows_from(&setup, 20), 10);
    setup_clear(&setup);
}

static void a_missing_topic_is_named(void **state) {
    (void)state;
    needs_broker();
    REFUSE(false, SABOT_ERR_NOT_FOUND, "there is no topic 'no-such-topic'", {"topic", "no-such-topic"});
}

static void a_paused_split_is_not_read(void **state) {
    (void)state;
    needs_broker();
    struct setup setup;
    setup_init(&setup, id_and_name, 2, topic_new());
    option_add(&setup, "sink.partitioner", "fixed");
    write_rows(&setup, 0, 50); /* all in partition 0 */
    struct source *source = source_open(&setup, 0);
    for (int32_t i = 0; i < 4; i++) { kafka_source.pause(source, i, true); }
    assert_null(next_batch(source, 1000000000));
    for (int32_t i = 0; i < 4; i++) {
        struct source_split split;
        kafka_source.split(source, i, &split);
        if (strcmp(split.id + strlen(split.id) - 2, "-0") == 0) { kafka_source.pause(source, i, false); }
    }
    struct batch *batch = next_batch(source, WAIT_NS);
    assert_non_null(batch);
    assert_int_equal(batch->selected, 50);
    batch_unref(batch);
    kafka_source.close(source);
    setup_clear(&setup);
}

int main(void) {
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    woken = env_event_new(env_real());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(a_broker_that_does_not_answer_is_named),
        cmocka_unit_test(key_and_value_see_their_own_columns_and_options),
        cmocka_unit_test(metadata_of_another_type_is_refused),
        cmocka_unit_test(what_is_written_is_read_once_at_every_parallelism),
        cmocka_unit_test(restore_goes_on_behind_the_last_batch_at_any_parallelism),
        cmocka_unit_test(it_starts_where_the_startup_mode_says),
        cmocka_unit_test(a_group_goes_on_where_its_last_checkpoint_stood),
        cmocka_unit_test(bad_records_are_reported_and_the_others_kept),
        cmocka_unit_test(keys_and_metadata_go_both_ways),
        cmocka_unit_test(a_bounded_read_ends_at_transaction_markers_and_skips_what_was_aborted),
        cmocka_unit_test(new_partitions_are_found_and_read_from_their_beginning),
        cmocka_unit_test(a_pattern_reads_every_topic_that_matches_as_a_whole),
        cmocka_unit_test(a_missing_topic_is_named),
        cmocka_unit_test(a_paused_split_is_not_read),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    env_event_free(woken);
    return failed;
}
