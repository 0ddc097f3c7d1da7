/* The sources "kafka" and "upsert-kafka". A split is a partition; partition p of a topic is read by subtask (hash of
 * the topic + p) modulo the parallelism. librdkafka's threads fetch into one bounded queue per partition; poll takes
 * what is there, copies the payloads into one block and decodes it at once. Requests that wait for a broker (offsets,
 * new partitions) run on a helper thread; poll goes on when they are answered. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "connect/kafka/client.h"
#include "connect/kafka/records.h"

#define QUEUE_KILOBYTES "8192" /* prefetched per partition */
#define QUEUE_BYTES (INT64_C(8192) << 10)
#define SPLITS_MAX 65536
#define DISCOVERY_TIMEOUT_MS 3000
#define COMMIT_TIMEOUT_MS 3000

#define OFFSET_UNKNOWN (-1)  /* ask the broker, as 'scan.startup.mode' says */
#define OFFSET_EARLIEST (-2) /* a partition that came later: from its beginning */
#define STOP_NONE INT64_MAX

static const char *const consumer_defaults[][2] = {
    {"enable.partition.eof", "true"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"isolation.level", "read_uncommitted"}, /* as Java's client */
    {"queued.max.messages.kbytes", QUEUE_KILOBYTES},
    {"fetch.error.backoff.ms", "100"},
    /* A broker answers one fetch at a time: one that waits at the end of a partition keeps the others waiting. */
    {"fetch.wait.max.ms", "20"},
    {"allow.auto.create.topics", "false"},
    {"socket.nagle.disable", "true"}, /* as Java's client */
    {"client.id", "sabot"},
    {NULL, NULL},
};

enum where { WHERE_EARLIEST, WHERE_LATEST, WHERE_GROUP, WHERE_TIMESTAMP, WHERE_SPECIFIC, WHERE_NEVER };

/* One of 'scan.startup.*' and 'scan.bounded.*'. */
struct place {
    enum where where;
    int64_t timestamp_ms;
    const char *offsets; /* "partition:0,offset:42;..." */
    const char *option;  /* "scan.startup" */
};

struct topic {
    char name[250];
    rd_kafka_topic_t *handle;
};

struct split {
    struct topic *topic;
    int32_t partition;
    rd_kafka_queue_t *queue;  /* NULL: not started */
    int64_t offset;           /* next to read; or OFFSET_UNKNOWN, OFFSET_EARLIEST */
    int64_t stop;             /* read no message from here on; STOP_NONE */
    int64_t checkpointed;     /* offset in the newest checkpoint */
    bool stop_known;          /* stop is what 'scan.bounded.mode' says */
    bool restored;            /* from a checkpoint */
    bool paused;
    bool more;                /* the queue may hold more than the last poll took */
};

/* Work of the helper thread. Between start and `done` it alone touches this and the client's requests. */
struct lookup {
    bool running; /* the helper thread has it, or has just finished with it */
    _Atomic bool done;
    struct env_event *finished;
    const struct rd_kafka_metadata *metadata; /* all topics, found by a lookup for new partitions */
    struct split *splits;   /* copies whose offsets are to be found, and are then in place */
    int32_t n_splits;
    sabot_status status;
    struct sabot_error error;
};

struct source {
    struct connector_context context;
    struct kafka_client client;
    struct kafka_layout layout;
    struct kafka_records records;
    struct place start, stop;
    pcre2_code *pattern; /* NULL: a list of topics */
    struct topic **topics;
    int32_t n_topics;
    struct split *splits;
    int32_t n_splits;
    int32_t next; /* split to look at first */
    bool settled; /* every split has its offsets and is started */
    bool group;   /* there is a group whose offsets are committed */
    rd_kafka_queue_t *commits; /* answers to commits of offsets */
    int32_t commits_open;      /* not answered yet */
    int64_t discovery_ns, discover_at_ns;
    struct lookup lookup;
    rd_kafka_message_t **messages; /* context.batch_rows of them */
};

/* ---- options ---- */

static sabot_status place_read(const struct connector_table *table, const char *option, struct place *place,
                               struct sabot_error *err) {
    static const struct {
        const char *name;
        enum where where;
    } names[] = {
        {"earliest-offset", WHERE_EARLIEST}, {"latest-offset", WHERE_LATEST},     {"group-offsets", WHERE_GROUP},
        {"timestamp", WHERE_TIMESTAMP},      {"specific-offsets", WHERE_SPECIFIC}, {"unbounded", WHERE_NEVER},
    };
    char name[64];
    snprintf(name, sizeof name, "%s.mode", option);
    const char *mode = option_text(table, kafka_options, name);
    *place = (struct place){.where = WHERE_NEVER, .option = option};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(mode, names[i].name) == 0) { place->where = names[i].where; }
    }
    if (place->where == WHERE_TIMESTAMP) {
        snprintf(name, sizeof name, "%s.timestamp-millis", option);
        SABOT_TRY(option_int(table, kafka_options, name, &place->timestamp_ms, err));
    }
    if (place->where == WHERE_SPECIFIC) {
        snprintf(name, sizeof name, "%s.specific-offsets", option);
        place->offsets = option_text(table, kafka_options, name);
        if (!place->offsets) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": option '%s' is missing", table->name, name);
        }
    }
    if (place->where == WHERE_GROUP && !kafka_property(table, "group.id")) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": '%s.mode' = 'group-offsets'%s needs 'properties.group.id'; or set "
                          "'%s.mode' = '%s'",
                          table->name, option, strcmp(option, "scan.startup") == 0 ? ", the default," : "", option,
                          strcmp(option, "scan.startup") == 0 ? "earliest-offset" : "latest-offset");
    }
    return SABOT_OK;
}

/* The offset of a partition in "partition:0,offset:42;partition:1,offset:300"; -1 where it is not named. */
static sabot_status specific_offset(const struct connector_table *table, const struct place *place, int32_t partition,
                                    int64_t *out, struct sabot_error *err) {
    *out = -1;
    for (const char *at = place->offsets; at && *at; at = strchr(at, ';')) {
        if (*at == ';') { at++; }
        int named, used = 0;
        int64_t offset;
        if (sscanf(at, " partition : %d , offset : %" SCNd64 " %n", &named, &offset, &used) < 2 || !used ||
            (at[used] && at[used] != ';') || offset < 0) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\", option '%s.specific-offsets': \"%s\" is not of the form "
                              "partition:0,offset:42;partition:1,offset:300",
                              table->name, place->option, place->offsets);
        }
        if (named == partition) { *out = offset; }
    }
    return SABOT_OK;
}

static sabot_status pattern_read(struct source *source, const char *text, struct sabot_error *err) {
    int code;
    PCRE2_SIZE at;
    const uint32_t whole = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    source->pattern = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, whole, &code, &at, NULL);
    if (source->pattern) { return SABOT_OK; }
    PCRE2_UCHAR reason[128];
    pcre2_get_error_message(code, reason, sizeof reason);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'topic-pattern': %s at character %zu",
                      source->context.table->name, (const char *)reason, (size_t)at + 1);
}

static sabot_status options_read(struct source *source, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    const char *topic = option_text(table, kafka_options, "topic");
    const char *pattern = option_text(table, kafka_options, "topic-pattern");
    if (!topic == !pattern) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": one of 'topic' and 'topic-pattern' must be given, %s",
                          table->name, topic ? "not both" : "none is");
    }
    if (pattern) { SABOT_TRY(pattern_read(source, pattern, err)); }
    if (kafka_is_upsert(table)) { /* a changelog is read from its beginning */
        source->start = (struct place){.where = WHERE_EARLIEST, .option = "scan.startup"};
    } else {
        SABOT_TRY(place_read(table, "scan.startup", &source->start, err));
    }
    SABOT_TRY(place_read(table, "scan.bounded", &source->stop, err));
    SABOT_TRY(option_duration(table, kafka_options, "scan.topic-partition-discovery.interval", &source->discovery_ns,
                              err));
    if (source->stop.where != WHERE_NEVER) { source->discovery_ns = 0; }
    source->group = kafka_property(table, "group.id") != NULL;
    int64_t offset; /* of any partition: a malformed list is found now, not when the first partition is read */
    if (source->start.offsets) { SABOT_TRY(specific_offset(table, &source->start, 0, &offset, err)); }
    return source->stop.offsets ? specific_offset(table, &source->stop, 0, &offset, err) : SABOT_OK;
}

static sabot_status client_start(struct source *source, struct sabot_error *err) {
    rd_kafka_conf_t *conf;
    const struct connector_table *table = source->context.table;
    SABOT_TRY(kafka_conf_new(table, consumer_defaults, &conf, err));
    if (!kafka_property(table, "auto.offset.reset")) {
        /* An offset that retention has removed: as Flink, go on from the end that the job started from, or fail. */
        const char *reset = source->start.where == WHERE_EARLIEST ? "earliest"
                            : source->start.where == WHERE_LATEST ? "latest"
                                                                  : "error";
        char reason[256];
        rd_kafka_conf_set(conf, "auto.offset.reset", reset, reason, sizeof reason);
    }
    return kafka_client_open(&source->client, source->context.env, table, RD_KAFKA_CONSUMER, conf, err);
}

/* ---- topics and splits ---- */

static bool topic_wanted(const struct source *source, const char *name) {
    if (source->pattern) {
        pcre2_match_data *match = pcre2_match_data_create_from_pattern(source->pattern, NULL);
        if (!match) { return false; }
        const int found =
            pcre2_match(source->pattern, (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, match, NULL);
        pcre2_match_data_free(match);
        return found >= 0;
    }
    const char *list = option_text(source->context.table, kafka_options, "topic");
    const size_t size = strlen(name);
    for (const char *at = list; at; at = strchr(at, ';')) {
        if (*at == ';') { at++; }
        if (strncmp(at, name, size) == 0 && (!at[size] || at[size] == ';')) { return true; }
    }
    return false;
}

/* FNV-1a; it must stay the same, as checkpoints are dealt out by it. */
static uint32_t name_hash(const char *name) {
    uint32_t hash = 2166136261u;
    for (; *name; name++) { hash = (hash ^ (uint8_t)*name) * 16777619u; }
    return hash;
}

static bool partition_is_mine(const struct source *source, const char *topic, int32_t partition) {
    const uint32_t parallelism = (uint32_t)source->context.parallelism;
    return (name_hash(topic) % parallelism + (uint32_t)partition) % parallelism == (uint32_t)source->context.subtask;
}

static sabot_status topic_get(struct source *source, const char *name, struct topic **out, struct sabot_error *err) {
    for (int32_t i = 0; i < source->n_topics; i++) {
        if (strcmp(source->topics[i]->name, name) == 0) {
            *out = source->topics[i];
            return SABOT_OK;
        }
    }
    struct topic **grown = realloc(source->topics, ((size_t)source->n_topics + 1) * sizeof *grown);
    if (grown) { source->topics = grown; }
    struct topic *topic = grown ? calloc(1, sizeof *topic) : NULL;
    if (!topic) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for a topic"); }
    snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->handle = rd_kafka_topic_new(source->client.handle, name, NULL);
    if (!topic->handle) {
        const rd_kafka_resp_err_t code = rd_kafka_last_error();
        free(topic);
        return kafka_client_fail(&source->client, code, name, err);
    }
    source->topics[source->n_topics++] = topic;
    *out = topic;
    return SABOT_OK;
}

static struct split *split_find(const struct source *source, const char *topic, int32_t partition) {
    for (int32_t i = 0; i < source->n_splits; i++) {
        struct split *split = &source->splits[i];
        if (split->partition == partition && strcmp(split->topic->name, topic) == 0) { return split; }
    }
    return NULL;
}

static sabot_status split_add(struct source *source, const char *topic, int32_t partition, int64_t offset,
                              struct sabot_error *err) {
    if (source->n_splits == SPLITS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "table \"%s\": more than %d partitions in one subtask",
                          source->context.table->name, SPLITS_MAX);
    }
    struct split *grown = realloc(source->splits, ((size_t)source->n_splits + 1) * sizeof *grown);
    if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for a partition"); }
    source->splits = grown;
    struct split split = {.partition = partition, .offset = offset, .stop = STOP_NONE, .checkpointed = OFFSET_UNKNOWN};
    SABOT_TRY(topic_get(source, topic, &split.topic, err));
    SABOT_TRY(memory_charge(source->context.pool, QUEUE_BYTES, err));
    source->splits[source->n_splits++] = split;
    return SABOT_OK;
}

/* Adds splits for the partitions of this subtask that are not there yet. */
static sabot_status topic_partitions(struct source *source, const rd_kafka_metadata_topic_t *topic, int64_t offset,
                                     struct sabot_error *err) {
    if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_client_fail(&source->client, topic->err, topic->topic, err);
    }
    for (int p = 0; p < topic->partition_cnt; p++) {
        const int32_t partition = topic->partitions[p].id;
        if (!partition_is_mine(source, topic->topic, partition) || split_find(source, topic->topic, partition)) {
            continue;
        }
        SABOT_TRY(split_add(source, topic->topic, partition, offset, err));
    }
    return SABOT_OK;
}

static sabot_status topics_read(struct source *source, const struct rd_kafka_metadata *metadata, int64_t offset,
                                struct sabot_error *err) {
    for (int t = 0; t < metadata->topic_cnt; t++) {
        if (!topic_wanted(source, metadata->topics[t].topic)) { continue; }
        SABOT_TRY(topic_partitions(source, &metadata->topics[t], offset, err));
    }
    return SABOT_OK;
}

static sabot_status topics_check(struct source *source, const struct rd_kafka_metadata *metadata,
                                 struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    const char *list = option_text(table, kafka_options, "topic");
    for (const char *at = list; at; at = strchr(at, ';')) {
        if (*at == ';') { at++; }
        const size_t size = strcspn(at, ";");
        bool found = false;
        for (int t = 0; t < metadata->topic_cnt && !found; t++) {
            const char *name = metadata->topics[t].topic;
            found = strlen(name) == size && strncmp(name, at, size) == 0;
        }
        if (!found) {
            return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND,
                              "table \"%s\": there is no topic '%.*s' at '%s' (or this user may not see it)",
                              table->name, (int)size, at, kafka_property(table, "bootstrap.servers"));
        }
    }
    return SABOT_OK;
}

static sabot_status partitions_first(struct source *source, struct sabot_error *err) {
    const struct rd_kafka_metadata *metadata;
    SABOT_TRY(kafka_client_metadata(&source->client, NULL, kafka_timeout_ms(source->context.table), &metadata, err));
    sabot_status status = topics_check(source, metadata, err);
    if (status == SABOT_OK) { status = topics_read(source, metadata, OFFSET_UNKNOWN, err); }
    rd_kafka_metadata_destroy(metadata);
    return status;
}

/* ---- offsets ---- */

static sabot_status offset_by_request(struct source *source, const struct split *split, const struct place *place,
                                      int64_t high, int64_t *out, struct sabot_error *err) {
    const int timeout_ms = kafka_timeout_ms(source->context.table);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *item = rd_kafka_topic_partition_list_add(list, split->topic->name, split->partition);
    struct env *env = source->context.env;
    const int64_t end_ns = env_now_ns(env) + timeout_ms * INT64_C(1000000);
    rd_kafka_resp_err_t code;
    do {
        if (place->where == WHERE_TIMESTAMP) {
            item->offset = place->timestamp_ms;
            code = rd_kafka_offsets_for_times(source->client.handle, list, timeout_ms);
        } else {
            code = rd_kafka_committed(source->client.handle, list, timeout_ms);
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { code = item->err; }
    } while (kafka_again(env, code, end_ns));
    *out = item->offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_client_fail(&source->client, code, "find the offset to start or end at", err);
    }
    /* No message is that young: the end. */
    if (place->where == WHERE_TIMESTAMP && *out < 0) { *out = high; }
    return SABOT_OK;
}

/* A group without an offset for this partition: 'properties.auto.offset.reset' decides, as in Flink. */
static sabot_status offset_reset(const struct source *source, const struct split *split, int64_t low, int64_t high,
                                 int64_t *out, struct sabot_error *err) {
    const char *reset = kafka_property(source->context.table, "auto.offset.reset");
    if (reset && strcmp(reset, "earliest") == 0) {
        *out = low;
        return SABOT_OK;
    }
    if (reset && strcmp(reset, "latest") == 0) {
        *out = high;
        return SABOT_OK;
    }
    return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND,
                      "table \"%s\": group '%s' has no offset for %s-%d; set 'properties.auto.offset.reset' to "
                      "earliest or latest, or another 'scan.startup.mode'",
                      source->context.table->name, kafka_property(source->context.table, "group.id"),
                      split->topic->name, split->partition);
}

static sabot_status place_find(struct source *source, const struct split *split, const struct place *place,
                               int64_t low, int64_t high, int64_t *out, struct sabot_error *err) {
    switch (place->where) {
    case WHERE_EARLIEST: *out = low; return SABOT_OK;
    case WHERE_LATEST: *out = high; return SABOT_OK;
    case WHERE_NEVER: *out = STOP_NONE; return SABOT_OK;
    case WHERE_SPECIFIC:
        SABOT_TRY(specific_offset(source->context.table, place, split->partition, out, err));
        if (*out < 0) { *out = place == &source->stop ? STOP_NONE : low; }
        return SABOT_OK;
    case WHERE_GROUP:
    case WHERE_TIMESTAMP: break;
    }
    SABOT_TRY(offset_by_request(source, split, place, high, out, err));
    if (*out < 0) { return offset_reset(source, split, low, high, out, err); }
    return SABOT_OK;
}

/* Where the split begins and ends; blocks. */
static sabot_status offsets_find(struct source *source, struct split *split, struct sabot_error *err) {
    int64_t low, high;
    struct env *env = source->context.env;
    const int timeout_ms = kafka_timeout_ms(source->context.table);
    const int64_t end_ns = env_now_ns(env) + timeout_ms * INT64_C(1000000);
    rd_kafka_resp_err_t code;
    do {
        code = rd_kafka_query_watermark_offsets(source->client.handle, split->topic->name, split->partition, &low,
                                                &high, timeout_ms);
    } while (kafka_again(env, code, end_ns));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_client_fail(&source->client, code, "find the offsets of a partition", err);
    }
    if (split->offset == OFFSET_EARLIEST) {
        split->offset = low;
    } else if (split->offset < 0) {
        SABOT_TRY(place_find(source, split, &source->start, low, high, &split->offset, err));
    }
    return place_find(source, split, &source->stop, low, high, &split->stop, err);
}

/* ---- the helper thread ---- */

static void lookup_end(struct source *source) {
    struct lookup *lookup = &source->lookup;
    atomic_store(&lookup->done, true);
    source->context.wake(source->context.wake_arg);
    env_event_set(lookup->finished); /* the source may be closed from here on */
}

static void offsets_lookup(void *arg) {
    struct source *source = arg;
    struct lookup *lookup = &source->lookup;
    for (int32_t i = 0; i < lookup->n_splits && lookup->status == SABOT_OK; i++) {
        lookup->status = offsets_find(source, &lookup->splits[i], &lookup->error);
    }
    lookup_end(source);
}

static void partitions_lookup(void *arg) {
    struct source *source = arg;
    /* Brokers that are away now are asked again at the next interval. */
    struct sabot_error ignored = {0};
    if (kafka_client_metadata(&source->client, NULL, DISCOVERY_TIMEOUT_MS, &source->lookup.metadata, &ignored) !=
        SABOT_OK) {
        source->lookup.metadata = NULL;
    }
    lookup_end(source);
}

static sabot_status lookup_start(struct source *source, void (*run)(void *), struct sabot_error *err) {
    struct lookup *lookup = &source->lookup;
    lookup->status = SABOT_OK;
    lookup->error = (struct sabot_error){0};
    atomic_store(&lookup->done, false);
    lookup->running = true;
    const sabot_status status = env_offload(source->context.env, run, source, err);
    if (status != SABOT_OK) { lookup->running = false; }
    return status;
}

static bool split_needs_offsets(const struct split *split) {
    return !split->queue && (split->offset < 0 || !split->stop_known);
}

/* Asks for the offsets of all splits that have none yet. */
static sabot_status offsets_lookup_start(struct source *source, struct sabot_error *err) {
    struct lookup *lookup = &source->lookup;
    lookup->n_splits = 0;
    free(lookup->splits);
    lookup->splits = calloc((size_t)source->n_splits + 1, sizeof *lookup->splits);
    if (!lookup->splits) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for partitions"); }
    for (int32_t i = 0; i < source->n_splits; i++) {
        if (split_needs_offsets(&source->splits[i])) { lookup->splits[lookup->n_splits++] = source->splits[i]; }
    }
    return lookup->n_splits > 0 ? lookup_start(source, offsets_lookup, err) : SABOT_OK;
}

static void on_queue(rd_kafka_t *handle, void *opaque) {
    (void)handle;
    struct source *source = opaque;
    source->context.wake(source->context.wake_arg);
}

static bool split_finished(const struct split *split) {
    return split->stop_known && split->offset >= split->stop;
}

static sabot_status split_start(struct source *source, struct split *split, struct sabot_error *err) {
    if (split_finished(split)) { return SABOT_OK; }
    split->queue = rd_kafka_queue_new(source->client.handle);
    rd_kafka_queue_cb_event_enable(split->queue, on_queue, source);
    if (rd_kafka_consume_start_queue(split->topic->handle, split->partition, split->offset, split->queue) == 0) {
        return SABOT_OK;
    }
    return kafka_client_fail(&source->client, rd_kafka_last_error(), "read a partition", err);
}

/* Takes over what the helper thread has found. */
static sabot_status lookup_take(struct source *source, struct sabot_error *err) {
    struct lookup *lookup = &source->lookup;
    env_event_wait(lookup->finished, -1);
    lookup->running = false;
    if (lookup->status != SABOT_OK) {
        if (err) { *err = lookup->error; }
        return lookup->status;
    }
    for (int32_t i = 0; i < lookup->n_splits; i++) {
        struct split *split = split_find(source, lookup->splits[i].topic->name, lookup->splits[i].partition);
        split->offset = lookup->splits[i].offset;
        split->stop = lookup->splits[i].stop;
        split->stop_known = true;
    }
    lookup->n_splits = 0;
    if (!lookup->metadata) { return SABOT_OK; }
    const sabot_status status = topics_read(source, lookup->metadata, OFFSET_EARLIEST, err);
    rd_kafka_metadata_destroy(lookup->metadata);
    lookup->metadata = NULL;
    return status;
}

/* Starts what waits: lookups, splits whose offsets are known, the search for new partitions. */
static sabot_status housekeeping(struct source *source, struct sabot_error *err) {
    struct lookup *lookup = &source->lookup;
    if (lookup->running) {
        if (!atomic_load(&lookup->done)) { return SABOT_OK; }
        SABOT_TRY(lookup_take(source, err));
        source->settled = false;
    }
    if (!source->settled) {
        source->settled = true;
        for (int32_t i = 0; i < source->n_splits; i++) {
            struct split *split = &source->splits[i];
            if (split->queue) { continue; }
            if (split_needs_offsets(split)) {
                source->settled = false;
            } else {
                SABOT_TRY(split_start(source, split, err));
            }
        }
        if (!source->settled) { return offsets_lookup_start(source, err); }
    }
    if (source->discovery_ns <= 0) { return SABOT_OK; }
    const int64_t now_ns = env_now_ns(source->context.env);
    if (source->discover_at_ns == 0) { source->discover_at_ns = now_ns + source->discovery_ns; }
    if (now_ns < source->discover_at_ns) { return SABOT_OK; }
    source->discover_at_ns = now_ns + source->discovery_ns;
    return lookup_start(source, partitions_lookup, err);
}

/* ---- polling ---- */

static void messages_destroy(rd_kafka_message_t **messages, ssize_t n) {
    for (ssize_t i = 0; i < n; i++) {
        if (messages[i]) { rd_kafka_message_destroy(messages[i]); }
    }
}

/* An event in a partition's queue that is no message. */
static sabot_status event_take(struct source *source, struct split *split, const rd_kafka_message_t *message,
                               struct sabot_error *err) {
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        /* The end may lie behind the last message: transaction markers and compacted messages count too. */
        if (message->offset > split->offset) { split->offset = message->offset; }
        return SABOT_OK;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT: return SABOT_OK; /* librdkafka connects again by itself */
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND,
                          "table \"%s\": offset %" PRId64 " of %s-%d is not there, retention may have removed it; set "
                          "'properties.auto.offset.reset' to earliest or latest to go on from there",
                          source->context.table->name, split->offset, split->topic->name, split->partition);
    default: {
        char what[320];
        snprintf(what, sizeof what, "read %s-%d", split->topic->name, split->partition);
        return kafka_client_fail(&source->client, message->err, what, err);
    }
    }
}

/* Sorts what the queue gave: messages that become rows are moved to the front. */
static sabot_status messages_sort(struct source *source, struct split *split, ssize_t n, struct kafka_messages *taken,
                                  struct sabot_error *err) {
    rd_kafka_message_t **messages = source->messages;
    *taken = (struct kafka_messages){.items = messages};
    int64_t bytes = 0;
    for (ssize_t i = 0; i < n; i++) {
        rd_kafka_message_t *message = messages[i];
        messages[i] = NULL;
        sabot_status status = SABOT_OK;
        bool row = false;
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            status = event_take(source, split, message, err);
        } else if (message->offset < split->stop) {
            /* It may lie before the last one: 'properties.auto.offset.reset' has gone back to what is there. */
            split->offset = message->offset + 1;
            bytes += (int64_t)(message->len + message->key_len);
            /* A deletion in a compacted topic is no row, as in Flink, but a change for 'upsert-kafka'. */
            row = message->payload != NULL || source->layout.upsert;
        } else {
            split->offset = split->stop;
        }
        if (row) {
            messages[taken->n++] = message;
        } else {
            rd_kafka_message_destroy(message);
        }
        if (status != SABOT_OK) { /* the rest is only given back */
            messages_destroy(messages + i + 1, n - i - 1);
            return status;
        }
    }
    metric_add(&source->context.metrics->bytes_in, bytes);
    return SABOT_OK;
}

static void split_stop(struct split *split) {
    if (!split->queue) { return; }
    rd_kafka_queue_cb_event_enable(split->queue, NULL, NULL);
    rd_kafka_consume_stop(split->topic->handle, split->partition);
    rd_kafka_queue_destroy(split->queue);
    split->queue = NULL;
}

/* Takes what a partition's queue holds; *batch stays NULL if that makes no row. */
static sabot_status split_poll(struct source *source, struct split *split, struct batch **batch,
                               struct sabot_error *err) {
    const int32_t max = kafka_records_max(&source->records);
    const ssize_t n =
        rd_kafka_consume_batch_queue(split->queue, 0, source->messages, (size_t)max);
    if (n < 0) { return kafka_client_fail(&source->client, rd_kafka_last_error(), "read", err); }
    const struct kafka_place place = {split->topic->name, split->partition};
    struct kafka_messages taken;
    sabot_status status = messages_sort(source, split, n, &taken, err);
    if (status == SABOT_OK && taken.n > 0) {
        status = kafka_records_batch(&source->records, &place, &taken, batch, err);
    }
    messages_destroy(taken.items, taken.n);
    /* A full answer means that more is there: poll again, as no callback will come. */
    split->more = n == max;
    if (split_finished(split)) { split_stop(split); }
    return status;
}

static bool all_finished(const struct source *source) {
    if (source->stop.where == WHERE_NEVER) { return false; }
    for (int32_t i = 0; i < source->n_splits; i++) {
        if (!split_finished(&source->splits[i])) { return false; }
    }
    return true;
}

static sabot_status kafka_poll(struct source *source, enum source_state *state, struct source_result *result,
                               struct sabot_error *err) {
    result->batch = NULL;
    result->wake_at_ns = source->discover_at_ns > 0 ? source->discover_at_ns : INT64_MAX;
    rd_kafka_poll(source->client.handle, 0);
    SABOT_TRY(housekeeping(source, err));
    bool more = false;
    for (int32_t i = 0; i < source->n_splits; i++) {
        const int32_t at = (source->next + i) % source->n_splits;
        struct split *split = &source->splits[at];
        if (!split->queue || split->paused) { continue; }
        SABOT_TRY(split_poll(source, split, &result->batch, err));
        more |= split->queue && split->more;
        if (!result->batch) { continue; }
        source->next = (at + 1) % source->n_splits;
        result->split = at;
        *state = SOURCE_BATCH;
        return SABOT_OK;
    }
    *state = all_finished(source) ? SOURCE_END : SOURCE_WAIT;
    if (more) { result->wake_at_ns = 0; }
    if (source->discover_at_ns > 0 && !more) { result->wake_at_ns = source->discover_at_ns; }
    return SABOT_OK;
}

/* ---- positions ---- */

static int32_t kafka_n_splits(const struct source *source) {
    return source->n_splits;
}

static void kafka_split(const struct source *source, int32_t i, struct source_split *out) {
    const struct split *split = &source->splits[i];
    snprintf(out->id, sizeof out->id, "%s-%d", split->topic->name, split->partition);
    out->finished = split_finished(split);
}

static void kafka_pause(struct source *source, int32_t split, bool paused) {
    source->splits[split].paused = paused;
}

/* As text, so that a savepoint can be read: "kafka1 <partition> <offset> <stop> <topic>". */
static sabot_status kafka_position(struct source *source, int32_t i, struct text *position, struct sabot_error *err) {
    struct split *split = &source->splits[i];
    split->checkpointed = split->offset;
    text_format(position, "kafka1 %d %" PRId64 " %" PRId64 " %s", split->partition, split->offset,
                split->stop_known ? split->stop : -1, split->topic->name);
    return position->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for a position") : SABOT_OK;
}

static sabot_status position_take(struct source *source, const char *text, struct sabot_error *err) {
    int partition, used = 0;
    int64_t offset, stop;
    if (sscanf(text, "kafka1 %d %" SCNd64 " %" SCNd64 " %n", &partition, &offset, &stop, &used) < 3 || !used) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "table \"%s\": the checkpoint holds no position of a Kafka partition",
                          source->context.table->name);
    }
    const char *topic = text + used;
    if (!partition_is_mine(source, topic, partition)) { return SABOT_OK; }
    struct split *split = split_find(source, topic, partition);
    if (!split) {
        if (!topic_wanted(source, topic)) { return SABOT_OK; } /* the table was changed and reads it no more */
        return SABOT_FAIL(err, SABOT_ERR_STATE,
                          "table \"%s\": the checkpoint has read %s-%d, which is not there any more; start without the "
                          "checkpoint, or read another topic",
                          source->context.table->name, topic, partition);
    }
    split->offset = offset;
    split->restored = true;
    /* An end that was fixed at the first start stays where it was. */
    if (stop >= 0 && source->stop.where != WHERE_NEVER) {
        split->stop = stop;
        split->stop_known = offset >= 0;
    }
    return SABOT_OK;
}

static sabot_status kafka_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    const int32_t n = positions ? positions->selected : 0;
    if (n == 0) { return SABOT_OK; }
    for (int32_t i = 0; i < n; i++) {
        const struct split_position at = split_position_at(positions, i);
        char text[512];
        const size_t size = at.size < sizeof text ? at.size : sizeof text - 1;
        memcpy(text, at.bytes, size);
        text[size] = '\0';
        SABOT_TRY(position_take(source, text, err));
    }
    /* Partitions that the checkpoint does not know came later. */
    for (int32_t i = 0; i < source->n_splits; i++) {
        if (!source->splits[i].restored) { source->splits[i].offset = OFFSET_EARLIEST; }
    }
    return SABOT_OK;
}

/* Takes in answers to commits, waiting for each at most timeout_ms. The next commit makes good one that failed. */
static void commits_answered(struct source *source, int timeout_ms) {
    while (source->commits_open > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(source->commits, timeout_ms);
        if (!event) { return; }
        rd_kafka_event_destroy(event);
        source->commits_open--;
    }
}

/* Tells the group how far a complete checkpoint has read; other tools show it as the lag. Only closing waits
 * for the answer, so that a job that was stopped leaves the group where its last checkpoint stood. */
static sabot_status kafka_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)checkpoint_id, (void)err;
    if (!source->group) { return SABOT_OK; }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(source->n_splits);
    for (int32_t i = 0; i < source->n_splits; i++) {
        const struct split *split = &source->splits[i];
        if (split->checkpointed < 0) { continue; }
        rd_kafka_topic_partition_list_add(list, split->topic->name, split->partition)->offset = split->checkpointed;
    }
    if (!source->commits) { source->commits = rd_kafka_queue_new(source->client.handle); }
    commits_answered(source, 0);
    if (list->cnt > 0 && rd_kafka_commit_queue(source->client.handle, list, source->commits, NULL, NULL) ==
                             RD_KAFKA_RESP_ERR_NO_ERROR) {
        source->commits_open++;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return SABOT_OK;
}

/* ---- life ---- */

static void topics_free(struct source *source) {
    for (int32_t i = 0; i < source->n_topics; i++) {
        rd_kafka_topic_destroy(source->topics[i]->handle);
        free(source->topics[i]);
    }
    free(source->topics);
}

static void kafka_close(struct source *source) {
    if (!source) { return; }
    struct lookup *lookup = &source->lookup;
    if (lookup->running) { env_event_wait(lookup->finished, -1); }
    if (lookup->metadata) { rd_kafka_metadata_destroy(lookup->metadata); }
    for (int32_t i = 0; i < source->n_splits; i++) { split_stop(&source->splits[i]); }
    commits_answered(source, COMMIT_TIMEOUT_MS);
    if (source->commits) { rd_kafka_queue_destroy(source->commits); }
    memory_charge(source->context.pool, -QUEUE_BYTES * source->n_splits, NULL);
    kafka_records_close(&source->records);
    topics_free(source);
    kafka_client_close(&source->client);
    kafka_layout_clear(&source->layout);
    pcre2_code_free(source->pattern);
    if (lookup->finished) { env_event_free(lookup->finished); }
    free(lookup->splits);
    free(source->splits);
    free(source->messages);
    free(source);
}

static sabot_status source_setup(struct source *source, struct sabot_error *err) {
    SABOT_TRY(options_read(source, err));
    SABOT_TRY(kafka_layout_init(&source->layout, &source->context, true, err));
    SABOT_TRY(kafka_records_open(&source->records, &source->context, &source->layout, err));
    source->messages = calloc((size_t)source->context.batch_rows, sizeof(rd_kafka_message_t *));
    if (!source->messages) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for messages"); }
    SABOT_TRY(client_start(source, err));
    source->lookup.finished = env_event_new(source->context.env);
    return partitions_first(source, err);
}

static sabot_status kafka_open(const struct connector_context *context, struct source **out, struct sabot_error *err) {
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for the source"); }
    source->context = *context;
    const sabot_status status = source_setup(source, err);
    if (status != SABOT_OK) {
        kafka_close(source);
        return status;
    }
    *out = source;
    return SABOT_OK;
}

static bool kafka_is_bounded(const struct connector_table *table) {
    return strcasecmp(option_text(table, kafka_options, "scan.bounded.mode"), "unbounded") != 0;
}

static bool kafka_metadata_type(const char *key, struct type *out) {
    return kafka_metadata_find(key, out) != KAFKA_NONE;
}

#define SOURCE_CALLS                                                                                                   \
    .is_bounded = kafka_is_bounded, .metadata_type = kafka_metadata_type, .takes_format = true,                        \
    .nested_projection = true, .open = kafka_open, .restore = kafka_restore, .poll = kafka_poll,                       \
    .n_splits = kafka_n_splits, .split = kafka_split, .pause = kafka_pause, .position = kafka_position,                \
    .on_complete = kafka_on_complete, .close = kafka_close

const struct source_type kafka_source = {
    .name = "kafka",
    .summary = "messages of Kafka topics",
    .options = kafka_options,
    SOURCE_CALLS,
};

const struct source_type upsert_kafka_source = {
    .name = "upsert-kafka",
    .summary = "the newest message of each key, and deletions",
    .options = upsert_kafka_options,
    .upserts = true,
    SOURCE_CALLS,
};
