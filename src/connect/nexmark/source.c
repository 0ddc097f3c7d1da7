/* The source "nexmark": the generator as a table, with the options of the official connector.
 *
 * One official generator is one stream, whatever the parallelism: its events are cut into blocks, and part p of n makes
 * the blocks whose number is p modulo n and walks over the others. So the rows are the same at every parallelism. With
 * 'generators' = k there are k official streams (as upstream has one per subtask), each a split of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "connect/blocks.h"
#include "connect/connector.h"
#include "connect/nexmark/texts.h"
#include "connect/pace.h"

#define SPLITS_MAX 65536

static const struct connector_option nexmark_options[] = {
    {"events.num", OPTION_INT, "0", NULL, "how many events; 0: without end"},
    {"first-event.rate", OPTION_INT, "10000", NULL, "events per second of event time"},
    {"next-event.rate", OPTION_INT, "10000", NULL, "taken for compatibility; the official generator ignores it too"},
    {"rate.shape", OPTION_ENUM, "SQUARE", "SQUARE|SINE", "taken for compatibility, as next-event.rate"},
    {"rate.period", OPTION_DURATION, "600 s", NULL, "taken for compatibility, as next-event.rate"},
    {"rate.limited", OPTION_BOOL, "false", NULL, "taken for compatibility; 'max-emit-speed' = 'false' sets the pace"},
    {"person.proportion", OPTION_INT, "1", NULL, "persons among person + auction + bid events"},
    {"auction.proportion", OPTION_INT, "3", NULL, "auctions among them"},
    {"bid.proportion", OPTION_INT, "46", NULL, "bids among them"},
    {"person.avg-size", OPTION_SIZE, "200 b", NULL, "average size of a person; 'extra' fills it up"},
    {"auction.avg-size", OPTION_SIZE, "500 b", NULL, "average size of an auction"},
    {"bid.avg-size", OPTION_SIZE, "100 b", NULL, "average size of a bid"},
    {"bid.hot-ratio.auctions", OPTION_INT, "2", NULL, "1 - 1/n of the bids go to a hot auction"},
    {"bid.hot-ratio.bidders", OPTION_INT, "4", NULL, "1 - 1/n of the bids come from a hot bidder"},
    {"auction.hot-ratio.sellers", OPTION_INT, "4", NULL, "1 - 1/n of the auctions are of a hot seller"},
    {"auctions.in-flight", OPTION_INT, "100", NULL, "auctions that are open at a time, on average"},
    {"people.active", OPTION_INT, "1000", NULL, "people who may sell or bid at a time, at most"},
    {"out-of-order.group-size", OPTION_INT, "1", NULL, "events of a group of n come in a mixed order"},
    {"keep-alive", OPTION_BOOL, "false", NULL, "do not end behind the last event"},
    {"stop-at", OPTION_INT, "-1", NULL, "end after this many events; negative: no"},
    {"max-emit-speed", OPTION_BOOL, "true", NULL, "false: each event at its time, from the job's start on"},
    {"rows-per-second", OPTION_INT, "0", NULL, "pace of all subtasks together, apart from event time; 0: none"},
    {"seed", OPTION_INT, "0", NULL, "the same seed gives the same events"},
    {"base-time", OPTION_STRING, "now", NULL,
     "event time of event 0: now, milliseconds since 1970, or 2015-07-15 00:00:00"},
    {"generators", OPTION_INT, "1", NULL, "official generators, each with ids and random numbers of its own"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

/* ---- options ---- */

static int64_t days_of_date(int64_t year, int64_t month, int64_t day) {
    /* Years begin in March, so that the leap day is the last one; eras are 400 years. */
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static sabot_status base_time_parse(const char *text, int64_t now_ms, int64_t *out, struct sabot_error *err) {
    if (strcmp(text, "now") == 0) {
        *out = now_ms;
        return SABOT_OK;
    }
    int year, month, day, hour = 0, minute = 0, second = 0, used = 0;
    if (sscanf(text, "%4d-%2d-%2d%n %2d:%2d:%2d%n", &year, &month, &day, &used, &hour, &minute, &second, &used) >= 3 &&
        !text[used] && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second < 60 &&
        hour >= 0 && minute >= 0 && second >= 0) {
        *out = ((days_of_date(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * INT64_C(1000);
        return SABOT_OK;
    }
    char *end;
    *out = strtoll(text, &end, 10);
    if (end == text || *end || *out < -INT64_C(62135596800000) || *out > INT64_C(253402300799999)) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "option 'base-time': \"%s\" is neither now, nor milliseconds since 1970, nor a time such as "
                          "2015-07-15 00:00:00",
                          text);
    }
    return SABOT_OK;
}

static sabot_status option_int32(const struct connector_table *table, const char *name, bool size, int32_t *out,
                                 struct sabot_error *err) {
    int64_t value;
    if (size) {
        SABOT_TRY(option_size(table, nexmark_options, name, &value, err));
    } else {
        SABOT_TRY(option_int(table, nexmark_options, name, &value, err));
    }
    if (value < INT32_MIN || value > INT32_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option '%s': %" PRId64 " is too large", table->name, name,
                          value);
    }
    *out = (int32_t)value;
    return SABOT_OK;
}

static sabot_status config_read(const struct connector_table *table, int64_t now_ms, struct nexmark_config *config,
                                struct sabot_error *err) {
    nexmark_config_init(config);
    const struct {
        const char *name;
        int64_t *value;
    } longs[] = {
        {"events.num", &config->events_max},
        {"stop-at", &config->stop_at},
        {"seed", &config->seed},
        {"first-event.rate", &config->first_event_rate},
        {"out-of-order.group-size", &config->out_of_order_group_size},
    };
    const struct {
        const char *name;
        int32_t *value;
        bool size;
    } ints[] = {
        {"person.proportion", &config->person_proportion, false},
        {"auction.proportion", &config->auction_proportion, false},
        {"bid.proportion", &config->bid_proportion, false},
        {"person.avg-size", &config->person_avg_size, true},
        {"auction.avg-size", &config->auction_avg_size, true},
        {"bid.avg-size", &config->bid_avg_size, true},
        {"bid.hot-ratio.auctions", &config->bid_hot_ratio_auctions, false},
        {"bid.hot-ratio.bidders", &config->bid_hot_ratio_bidders, false},
        {"auction.hot-ratio.sellers", &config->auction_hot_ratio_sellers, false},
        {"auctions.in-flight", &config->in_flight_auctions, false},
        {"people.active", &config->active_people, false},
        {"generators", &config->generators, false},
    };
    for (size_t i = 0; i < sizeof longs / sizeof longs[0]; i++) {
        SABOT_TRY(option_int(table, nexmark_options, longs[i].name, longs[i].value, err));
    }
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        SABOT_TRY(option_int32(table, ints[i].name, ints[i].size, ints[i].value, err));
    }
    SABOT_TRY(base_time_parse(option_text(table, nexmark_options, "base-time"), now_ms, &config->base_time_ms, err));
    return nexmark_config_check(config, err);
}

/* ---- schema ---- */

#define EVENT_TYPE (-1)
#define COLUMNS_MAX (1 + NEXMARK_KIND_COUNT)
#define CHILDREN_MAX 10

static const char *const kind_names[NEXMARK_KIND_COUNT] = {"person", "auction", "bid"};

/* What one column of the table is made of. */
struct output {
    int kind; /* enum nexmark_kind or EVENT_TYPE */
    int32_t n_fields;
    enum nexmark_field fields[CHILDREN_MAX]; /* of the ROW, in the order of the table */
};

static struct type type_of_field(enum nexmark_type type) {
    switch (type) {
    case NEXMARK_BIGINT: return type_of(TYPE_INT64);
    case NEXMARK_TIMESTAMP: return type_timestamp(3);
    default: return type_of(TYPE_STRING);
    }
}

static sabot_status nexmark_schema(const struct connector_table *table, struct schema **out, struct sabot_error *err) {
    (void)table;
    struct field fields[NEXMARK_FIELD_COUNT];
    struct field columns[COLUMNS_MAX] = {{"event_type", type_of(TYPE_INT32)}};
    for (int i = 0; i < NEXMARK_FIELD_COUNT; i++) {
        fields[i] = (struct field){nexmark_fields[i].name, type_of_field(nexmark_fields[i].type)};
        struct field *column = &columns[1 + nexmark_fields[i].kind];
        if (!column->name) {
            *column = (struct field){kind_names[nexmark_fields[i].kind], type_of(TYPE_ROW)};
            column->type.fields = &fields[i];
        }
        column->type.n_fields++;
    }
    return schema_new(columns, COLUMNS_MAX, out, err);
}

static sabot_status column_refuse(const struct connector_table *table, const char *parent, const struct field *field,
                                  const char *expected, struct sabot_error *err) {
    char type[128];
    type_print(field->type, type, sizeof type);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": column %s%s%s is %s, but the nexmark connector has %s",
                      table->name, parent ? parent : "", parent ? "." : "", field->name, type, expected);
}

static sabot_status field_match(const struct connector_table *table, struct output *output, const struct field *field,
                                struct sabot_error *err) {
    for (int i = 0; i < NEXMARK_FIELD_COUNT; i++) {
        if ((int)nexmark_fields[i].kind != output->kind || strcmp(nexmark_fields[i].name, field->name) != 0) {
            continue;
        }
        struct type type = type_of_field(nexmark_fields[i].type);
        const bool same = nexmark_fields[i].type == NEXMARK_BIGINT      ? field->type.kind == TYPE_INT64
                          : nexmark_fields[i].type == NEXMARK_TIMESTAMP ? field->type.kind == TYPE_TIMESTAMP &&
                                                                              field->type.precision <= 3
                                                                        : field->type.kind == TYPE_STRING;
        if (!same || output->n_fields == CHILDREN_MAX) {
            char expected[64];
            type_print(type, expected, sizeof expected);
            return column_refuse(table, kind_names[output->kind], field, expected, err);
        }
        output->fields[output->n_fields++] = (enum nexmark_field)i;
        return SABOT_OK;
    }
    return column_refuse(table, kind_names[output->kind], field, "no such field", err);
}

static sabot_status output_match(const struct connector_table *table, const struct field *column,
                                 struct output *output, struct sabot_error *err) {
    *output = (struct output){.kind = EVENT_TYPE};
    if (strcmp(column->name, "event_type") == 0) {
        return column->type.kind == TYPE_INT32 ? SABOT_OK : column_refuse(table, NULL, column, "INT", err);
    }
    for (int kind = 0; kind < NEXMARK_KIND_COUNT; kind++) {
        if (strcmp(column->name, kind_names[kind]) != 0) { continue; }
        output->kind = kind;
        if (column->type.kind != TYPE_ROW) { return column_refuse(table, NULL, column, "ROW<...>", err); }
        for (int32_t i = 0; i < column->type.n_fields; i++) {
            SABOT_TRY(field_match(table, output, &column->type.fields[i], err));
        }
        return SABOT_OK;
    }
    return column_refuse(table, NULL, column, "the columns event_type, person, auction and bid", err);
}

/* ---- splits ---- */

struct nexmark_split {
    struct nexmark_generator generator;
    int32_t index; /* of the official generator */
    struct block_share share;
    bool paused;
};

/* What a checkpoint keeps of a split, little endian as the machine. */
struct stored_position {
    char magic[8];
    int64_t seed, base_time_ms, block_rows, started_ms, events;
    uint64_t random_state;
    int32_t index, generators, part, parts;
};
static const char position_magic[8] = "nexmark1";

struct source {
    struct connector_context context;
    struct nexmark_config config;
    struct nexmark_texts *texts;
    struct buffer *extra_buffer, *words_buffer;
    struct output outputs[COLUMNS_MAX];
    int32_t n_outputs;
    bool wanted[NEXMARK_FIELD_COUNT];
    bool event_type_wanted;
    bool keep_alive;
    struct pace pace;
    struct nexmark_split *splits;
    int32_t n_splits;
};

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The first event at or behind the generator's position that is in a block of this split. */
static int64_t split_next(const struct nexmark_split *split) {
    return block_share_next(&split->share, split->generator.events);
}

static bool split_at_end(const struct nexmark_split *split) {
    return split_next(split) >= split->generator.events_end;
}

static void split_init(struct nexmark_split *split, const struct source *source, int32_t index, int32_t part,
                       int32_t parts, int64_t block_rows) {
    const struct nexmark_config config = nexmark_config_split(&source->config, index);
    *split = (struct nexmark_split){
        .index = index, .share = {.part = part, .parts = parts, .block_rows = block_rows}};
    nexmark_generator_init(&split->generator, &config, source->texts);
}

static sabot_status splits_reserve(struct source *source, int32_t n, struct sabot_error *err) {
    free(source->splits);
    source->n_splits = 0;
    source->splits = calloc((size_t)n + 1, sizeof *source->splits);
    return source->splits ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "nexmark: no memory for %d splits", n);
}

/* The splits of this subtask in a job that starts afresh. */
static sabot_status splits_start(struct source *source, struct sabot_error *err) {
    const int32_t subtask = source->context.subtask, parallelism = source->context.parallelism;
    const int64_t block_rows = block_rows_for(source->context.batch_rows, source->pace.interval_ns);
    if (source->config.generators == 1) {
        SABOT_TRY(splits_reserve(source, 1, err));
        split_init(&source->splits[source->n_splits++], source, 0, subtask, parallelism, block_rows);
        return SABOT_OK;
    }
    SABOT_TRY(splits_reserve(source, source->config.generators / parallelism + 1, err));
    for (int32_t index = subtask; index < source->config.generators; index += parallelism) {
        split_init(&source->splits[source->n_splits++], source, index, 0, 1, block_rows);
    }
    return SABOT_OK;
}

static sabot_status position_check(const struct source *source, const struct stored_position *stored,
                                   struct sabot_error *err) {
    if (memcmp(stored->magic, position_magic, sizeof position_magic) != 0 || stored->part < 0 ||
        stored->part >= stored->parts || stored->parts > SPLITS_MAX || stored->index < 0 ||
        stored->index >= stored->generators || stored->block_rows < 1 || stored->block_rows > BATCH_ROWS_MAX ||
        stored->events < 0) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "table \"%s\": the checkpoint holds no position of a nexmark source",
                          source->context.table->name);
    }
    if (stored->seed != source->config.seed || stored->generators != source->config.generators) {
        return SABOT_FAIL(err, SABOT_ERR_STATE,
                          "table \"%s\": the checkpoint is of 'seed' = '%" PRId64 "', 'generators' = '%d', the table "
                          "says %" PRId64 " and %d; set them as they were, or start without the checkpoint",
                          source->context.table->name, stored->seed, stored->generators, source->config.seed,
                          source->config.generators);
    }
    return SABOT_OK;
}

static sabot_status nexmark_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    const int32_t n = positions ? positions->selected : 0;
    if (n == 0) { return SABOT_OK; }
    SABOT_TRY(splits_reserve(source, n, err));
    for (int32_t i = 0; i < n; i++) {
        const struct split_position at = split_position_at(positions, i);
        struct stored_position stored = {0};
        if (at.size == sizeof stored) { memcpy(&stored, at.bytes, sizeof stored); }
        SABOT_TRY(position_check(source, &stored, err));
        const int32_t number = source->config.generators == 1 ? stored.part : stored.index;
        if (number % source->context.parallelism != source->context.subtask) { continue; }
        source->config.base_time_ms = stored.base_time_ms;
        source->pace.started_ms = stored.started_ms;
        struct nexmark_split *split = &source->splits[source->n_splits++];
        split_init(split, source, stored.index, stored.part, stored.parts, stored.block_rows);
        SABOT_TRY(nexmark_generator_restore(
            &split->generator, (struct nexmark_position){stored.events, stored.random_state}, err));
    }
    return SABOT_OK;
}

static sabot_status nexmark_position(struct source *source, int32_t split_index, struct text *position,
                                     struct sabot_error *err) {
    const struct nexmark_split *split = &source->splits[split_index];
    const struct nexmark_position at = nexmark_generator_position(&split->generator);
    struct stored_position stored = {
        .seed = source->config.seed,
        .base_time_ms = source->config.base_time_ms,
        .block_rows = split->share.block_rows,
        .started_ms = source->pace.started_ms,
        .events = at.events,
        .random_state = at.random_state,
        .index = split->index,
        .generators = source->config.generators,
        .part = split->share.part,
        .parts = split->share.parts,
    };
    memcpy(stored.magic, position_magic, sizeof position_magic);
    text_append(position, (const char *)&stored, sizeof stored);
    return position->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "nexmark: no memory for a position") : SABOT_OK;
}

static int32_t nexmark_n_splits(const struct source *source) {
    return source->n_splits;
}

static void nexmark_split(const struct source *source, int32_t i, struct source_split *out) {
    const struct nexmark_split *split = &source->splits[i];
    if (source->config.generators == 1) {
        snprintf(out->id, sizeof out->id, "part-%d-of-%d", split->share.part, split->share.parts);
    } else {
        snprintf(out->id, sizeof out->id, "generator-%d-of-%d", split->index, source->config.generators);
    }
    out->finished = split_at_end(split) && !source->keep_alive;
}

static void nexmark_pause(struct source *source, int32_t split, bool paused) {
    source->splits[split].paused = paused;
}

/* ---- batches ---- */

/* Buffers that one batch is filled into. */
struct filling {
    struct nexmark_columns columns;
    struct buffer *fields[NEXMARK_FIELD_COUNT];
    struct buffer *valid[NEXMARK_KIND_COUNT];
    struct buffer *event_type;
    struct buffer *heap;
};

static void filling_clear(struct filling *filling) {
    for (int field = 0; field < NEXMARK_FIELD_COUNT; field++) { buffer_unref(filling->fields[field]); }
    for (int kind = 0; kind < NEXMARK_KIND_COUNT; kind++) { buffer_unref(filling->valid[kind]); }
    buffer_unref(filling->event_type);
    buffer_unref(filling->heap);
}

static sabot_status filling_init(struct filling *filling, const struct source *source,
                                 const struct nexmark_generator *generator, int64_t rows, struct sabot_error *err) {
    struct memory_pool *pool = source->context.pool;
    filling->columns.capacity = rows;
    if (source->event_type_wanted) {
        SABOT_TRY(buffer_new(pool, (size_t)rows * sizeof(int32_t), &filling->event_type, err));
        filling->columns.event_type = (int32_t *)(void *)filling->event_type->data;
    }
    for (int field = 0; field < NEXMARK_FIELD_COUNT; field++) {
        if (!source->wanted[field]) { continue; }
        const size_t size =
            nexmark_fields[field].type == NEXMARK_STRING ? sizeof(struct string_view) : sizeof(int64_t);
        SABOT_TRY(buffer_new(pool, (size_t)rows * size, &filling->fields[field], err));
        filling->columns.fields[field] = filling->fields[field]->data;
    }
    for (int32_t i = 0; i < source->n_outputs; i++) {
        const int kind = source->outputs[i].kind;
        if (kind == EVENT_TYPE || filling->valid[kind]) { continue; }
        SABOT_TRY(buffer_new(pool, (size_t)(rows + 63) / 64 * 8, &filling->valid[kind], err));
        filling->columns.valid[kind] = (uint64_t *)(void *)filling->valid[kind]->data;
    }
    filling->columns.heap_size = nexmark_generator_heap_hint(generator, &filling->columns, rows);
    if (filling->columns.heap_size > 0) {
        SABOT_TRY(buffer_new(pool, (size_t)filling->columns.heap_size, &filling->heap, err));
        filling->columns.heap = (char *)filling->heap->data;
    }
    return SABOT_OK;
}

static sabot_status field_column(const struct source *source, const struct filling *filling, enum nexmark_field field,
                                 struct column **out, struct sabot_error *err) {
    struct buffer *owners[4] = {buffer_ref(filling->fields[field])};
    int32_t n = 1;
    const bool is_string = nexmark_fields[field].type == NEXMARK_STRING;
    if (is_string) {
        owners[n++] = buffer_ref(source->extra_buffer);
        owners[n++] = buffer_ref(source->words_buffer);
        if (filling->heap) { owners[n++] = buffer_ref(filling->heap); }
    }
    return column_new(is_string ? PHYS_VIEW : PHYS_I64, (int32_t)filling->columns.rows, NULL,
                      filling->fields[field]->data, owners, n, NULL, 0, out, err);
}

static sabot_status output_column(const struct source *source, const struct filling *filling,
                                  const struct output *output, struct column **out, struct sabot_error *err) {
    const int32_t rows = (int32_t)filling->columns.rows;
    if (output->kind == EVENT_TYPE) {
        struct buffer *owner = buffer_ref(filling->event_type);
        return column_new(PHYS_I32, rows, NULL, owner->data, &owner, 1, NULL, 0, out, err);
    }
    struct column *children[CHILDREN_MAX];
    for (int32_t i = 0; i < output->n_fields; i++) {
        const sabot_status status = field_column(source, filling, output->fields[i], &children[i], err);
        if (status != SABOT_OK) {
            while (i > 0) { column_unref(children[--i]); }
            return status;
        }
    }
    struct buffer *owner = buffer_ref(filling->valid[output->kind]);
    return column_new(PHYS_ROW, rows, (const uint64_t *)(const void *)owner->data, NULL, &owner, 1, children,
                      output->n_fields, out, err);
}

static sabot_status filling_batch(const struct source *source, const struct filling *filling, struct batch **out,
                                  struct sabot_error *err) {
    struct column *columns[COLUMNS_MAX];
    for (int32_t i = 0; i < source->n_outputs; i++) {
        const sabot_status status = output_column(source, filling, &source->outputs[i], &columns[i], err);
        if (status != SABOT_OK) {
            while (i > 0) { column_unref(columns[--i]); }
            return status;
        }
    }
    SABOT_TRY(batch_new(source->context.table->schema, columns, source->n_outputs, (int32_t)filling->columns.rows, out,
                        err));
    (*out)->created_ns = env_now_ns(source->context.env);
    return SABOT_OK;
}

static sabot_status split_batch(struct source *source, struct nexmark_split *split, int64_t rows, struct batch **out,
                                struct sabot_error *err) {
    nexmark_generator_skip(&split->generator, split_next(split) - split->generator.events);
    struct filling filling = {0};
    sabot_status status = filling_init(&filling, source, &split->generator, rows, err);
    if (status == SABOT_OK) {
        nexmark_generator_fill(&split->generator, &filling.columns);
        status = filling_batch(source, &filling, out, err);
    }
    filling_clear(&filling);
    return status;
}

/* ---- polling ---- */

/* The split that is furthest behind in its stream; so event time moves evenly. */
static struct nexmark_split *split_choose(const struct source *source) {
    struct nexmark_split *chosen = NULL;
    for (int32_t i = 0; i < source->n_splits; i++) {
        struct nexmark_split *split = &source->splits[i];
        if (split->paused || split_at_end(split)) { continue; }
        if (!chosen || split_next(split) < split_next(chosen)) { chosen = split; }
    }
    return chosen;
}

static bool splits_ended(const struct source *source) {
    for (int32_t i = 0; i < source->n_splits; i++) {
        if (!split_at_end(&source->splits[i])) { return false; }
    }
    return !source->keep_alive;
}

static sabot_status nexmark_poll(struct source *source, enum source_state *state, struct source_result *result,
                                 struct sabot_error *err) {
    result->batch = NULL;
    result->wake_at_ns = INT64_MAX;
    struct nexmark_split *split = split_choose(source);
    if (!split) {
        *state = splits_ended(source) ? SOURCE_END : SOURCE_WAIT;
        return SABOT_OK;
    }
    const int64_t next = split_next(split);
    const int64_t block_left = block_share_left(&split->share, next);
    const int64_t left = min64(min64(block_left, split->generator.events_end - next), source->context.batch_rows);
    const int64_t rows = pace_due(&source->pace, source->context.env, next, left, &result->wake_at_ns);
    if (rows == 0) {
        *state = SOURCE_WAIT;
        return SABOT_OK;
    }
    SABOT_TRY(split_batch(source, split, rows, &result->batch, err));
    result->split = (int32_t)(split - source->splits);
    *state = SOURCE_BATCH;
    return SABOT_OK;
}

/* ---- life ---- */

static void texts_release(void *owner) {
    nexmark_texts_unref(owner);
}

/* A buffer over bytes of the texts that keeps all of them alive. */
static sabot_status texts_wrap(const struct source *source, const char *bytes, size_t size, struct buffer **out,
                               struct sabot_error *err) {
    struct nexmark_texts *texts = nexmark_texts_ref(source->texts);
    const sabot_status status = buffer_wrap(source->context.pool, bytes, size, texts_release, texts, out, err);
    if (status != SABOT_OK) { nexmark_texts_unref(texts); }
    return status;
}

static void nexmark_close(struct source *source) {
    if (!source) { return; }
    buffer_unref(source->extra_buffer);
    buffer_unref(source->words_buffer);
    nexmark_texts_unref(source->texts);
    free(source->splits);
    free(source);
}

static sabot_status pace_read(struct source *source, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    int64_t rows_per_second;
    bool max_speed;
    SABOT_TRY(option_int(table, nexmark_options, "rows-per-second", &rows_per_second, err));
    SABOT_TRY(option_bool(table, nexmark_options, "max-emit-speed", &max_speed, err));
    SABOT_TRY(option_bool(table, nexmark_options, "keep-alive", &source->keep_alive, err));
    if (rows_per_second < 0) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'rows-per-second': must be 0 or above",
                          table->name);
    }
    const double event_ns = 1e9 / (double)source->config.first_event_rate * source->config.generators;
    if (!max_speed) { source->pace.interval_ns = event_ns; }
    if (rows_per_second > 0) { source->pace.interval_ns = 1e9 / (double)rows_per_second * source->config.generators; }
    return SABOT_OK;
}

static sabot_status outputs_match(struct source *source, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    if (table->schema->n_fields > COLUMNS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the nexmark connector has %d columns, not %d",
                          table->name, COLUMNS_MAX, table->schema->n_fields);
    }
    source->n_outputs = table->schema->n_fields;
    for (int32_t i = 0; i < source->n_outputs; i++) {
        struct output *output = &source->outputs[i];
        SABOT_TRY(output_match(table, &table->schema->fields[i], output, err));
        source->event_type_wanted |= output->kind == EVENT_TYPE;
        for (int32_t k = 0; k < output->n_fields; k++) { source->wanted[output->fields[k]] = true; }
    }
    return SABOT_OK;
}

static sabot_status source_setup(struct source *source, struct sabot_error *err) {
    const int64_t started_ms = source->context.started_ms;
    SABOT_TRY(config_read(source->context.table, started_ms ? started_ms : env_wall_ms(source->context.env),
                          &source->config, err));
    SABOT_TRY(pace_read(source, err));
    /* Event time that begins now and a pace have one start: an event is not given out behind its own time. */
    if (strcmp(option_text(source->context.table, nexmark_options, "base-time"), "now") == 0) {
        source->pace.started_ms = source->config.base_time_ms;
    }
    SABOT_TRY(outputs_match(source, err));
    SABOT_TRY(nexmark_texts_new(source->config.seed, &source->texts, err));
    SABOT_TRY(texts_wrap(source, source->texts->extra, NEXMARK_EXTRA_SIZE, &source->extra_buffer, err));
    const size_t words_size = (size_t)source->texts->words_size;
    SABOT_TRY(texts_wrap(source, source->texts->words, words_size, &source->words_buffer, err));
    return splits_start(source, err);
}

static sabot_status nexmark_open(const struct connector_context *context, struct source **out,
                                 struct sabot_error *err) {
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "nexmark: no memory for the source"); }
    source->context = *context;
    const sabot_status status = source_setup(source, err);
    if (status != SABOT_OK) {
        nexmark_close(source);
        return status;
    }
    *out = source;
    return SABOT_OK;
}

static bool nexmark_is_bounded(const struct connector_table *table) {
    int64_t events = 0, stop = -1;
    bool keep_alive = false;
    option_int(table, nexmark_options, "events.num", &events, NULL);
    option_int(table, nexmark_options, "stop-at", &stop, NULL);
    option_bool(table, nexmark_options, "keep-alive", &keep_alive, NULL);
    return (events > 0 || stop >= 0) && !keep_alive;
}

static sabot_status nexmark_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

const struct source_type nexmark_source = {
    .name = "nexmark",
    .summary = "persons, auctions and bids of the Nexmark benchmark, as its official generator makes them",
    .options = nexmark_options,
    .is_bounded = nexmark_is_bounded,
    .metadata_type = NULL,
    .takes_format = false,
    .nested_projection = true,
    .schema = nexmark_schema,
    .open = nexmark_open,
    .restore = nexmark_restore,
    .poll = nexmark_poll,
    .n_splits = nexmark_n_splits,
    .split = nexmark_split,
    .pause = nexmark_pause,
    .position = nexmark_position,
    .on_complete = nexmark_on_complete,
    .close = nexmark_close,
};
