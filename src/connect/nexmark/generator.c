/* The Nexmark generator. Events come in runs of one kind (1 person, 3 auctions, 46 bids by default); what is the same
 * for a run, such as the ids that a bid may refer to, is worked out once per run. */
#include "connect/nexmark/generator.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "connect/nexmark/price.h"
#include "connect/nexmark/texts.h"

#define FIRST_AUCTION_ID 1000
#define FIRST_PERSON_ID 1000
#define FIRST_CATEGORY_ID 10
#define CATEGORIES 5
#define ID_LEAD 10  /* ids not made yet that an event may already refer to */
#define HOT_BATCH 100 /* the hot auction, seller or bidder changes with every hundredth one */

#define NAME_MAX_LENGTH 20
#define DESCRIPTION_MAX_LENGTH 100
#define EMAIL_USER_MAX_LENGTH 7
#define EMAIL_HOST_MAX_LENGTH 5
#define EMAIL_SIZE_MAX (EMAIL_USER_MAX_LENGTH + EMAIL_HOST_MAX_LENGTH + 5)
#define CREDIT_CARD_SIZE 19
#define HEAP_OF_PERSON (EMAIL_SIZE_MAX + CREDIT_CARD_SIZE)
#define HEAP_OF_AUCTION (NAME_MAX_LENGTH + DESCRIPTION_MAX_LENGTH)

const struct nexmark_field_info nexmark_fields[NEXMARK_FIELD_COUNT] = {
#define X(field, kind, label, type) [NEXMARK_##field] = {label, NEXMARK_##kind, NEXMARK_##type},
#include "connect/nexmark/fields.def"
#undef X
};

static const enum nexmark_field kind_first[NEXMARK_KIND_COUNT + 1] = {NEXMARK_PERSON_ID, NEXMARK_AUCTION_ID,
                                                                      NEXMARK_BID_AUCTION, NEXMARK_FIELD_COUNT};

/* ---- configuration ---- */

void nexmark_config_init(struct nexmark_config *config) {
    *config = (struct nexmark_config){
        .stop_at = -1,
        .first_event_id = 1,
        .first_event_number = 1,
        .first_event_rate = 10000,
        .generators = 1,
        .person_proportion = 1,
        .auction_proportion = 3,
        .bid_proportion = 46,
        .person_avg_size = 200,
        .auction_avg_size = 500,
        .bid_avg_size = 100,
        .bid_hot_ratio_auctions = 2,
        .bid_hot_ratio_bidders = 4,
        .auction_hot_ratio_sellers = 4,
        .in_flight_auctions = 100,
        .active_people = 1000,
        .out_of_order_group_size = 1,
    };
}

sabot_status nexmark_config_check(const struct nexmark_config *config, struct sabot_error *err) {
    const struct {
        const char *name;
        int64_t value, min, max;
    } ranges[] = {
        {"events.num", config->events_max, 0, INT64_MAX},
        {"first-event.id", config->first_event_id, 0, INT64_MAX / 4},
        {"first-event.number", config->first_event_number, 0, INT64_MAX / 4},
        {"first-event.rate", config->first_event_rate, 1, INT32_MAX},
        {"generators", config->generators, 1, 65536},
        {"person.proportion", config->person_proportion, 0, 1000000},
        {"auction.proportion", config->auction_proportion, 0, 1000000},
        {"bid.proportion", config->bid_proportion, 0, 1000000},
        {"person.avg-size", config->person_avg_size, 0, NEXMARK_AVG_SIZE_MAX},
        {"auction.avg-size", config->auction_avg_size, 0, NEXMARK_AVG_SIZE_MAX},
        {"bid.avg-size", config->bid_avg_size, 0, NEXMARK_AVG_SIZE_MAX},
        {"bid.hot-ratio.auctions", config->bid_hot_ratio_auctions, 1, INT32_MAX},
        {"bid.hot-ratio.bidders", config->bid_hot_ratio_bidders, 1, INT32_MAX},
        {"auction.hot-ratio.sellers", config->auction_hot_ratio_sellers, 1, INT32_MAX},
        {"auctions.in-flight", config->in_flight_auctions, 0, 1000000000},
        {"people.active", config->active_people, 0, 1000000000},
        {"out-of-order.group-size", config->out_of_order_group_size, 1, NEXMARK_OUT_OF_ORDER_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "nexmark: '%s' is %" PRId64 ", but must be from %" PRId64 " to %" PRId64, ranges[i].name,
                              ranges[i].value, ranges[i].min, ranges[i].max);
        }
    }
    if (config->person_proportion + config->auction_proportion + config->bid_proportion == 0) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "nexmark: one of 'person.proportion', 'auction.proportion' and 'bid.proportion' must be "
                          "above 0");
    }
    return SABOT_OK;
}

static int64_t total_proportion(const struct nexmark_config *config) {
    return (int64_t)config->person_proportion + config->auction_proportion + config->bid_proportion;
}

static int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* 0 stands for as many as upstream's estimate of the bytes can count. */
static int64_t events_limit(const struct nexmark_config *config) {
    if (config->events_max > 0) { return config->events_max; }
    const int64_t size = max64(max64(config->person_avg_size, config->auction_avg_size), config->bid_avg_size);
    return INT64_MAX / (total_proportion(config) * max64(size, 1));
}

struct nexmark_config nexmark_config_split(const struct nexmark_config *config, int32_t index) {
    assert(index >= 0 && index < config->generators);
    struct nexmark_config split = *config;
    if (config->generators == 1) { return split; }
    const int64_t events = events_limit(config);
    const int64_t share = events / config->generators;
    const bool last = index == config->generators - 1;
    split.first_event_id = config->first_event_id + share * index;
    split.events_max = last ? events - share * index : share;
    if (config->stop_at >= 0) {
        const int64_t stop = config->stop_at / config->generators;
        split.stop_at = last ? config->stop_at - stop * index : stop;
    }
    /* With fewer events than generators a share is empty, while 0 in events_max means no limit. */
    if (split.events_max == 0) { split.stop_at = 0; }
    return split;
}

/* ---- event numbers, times and ids ---- */

static int64_t adjusted_number(const struct nexmark_config *config, int64_t number) {
    const int64_t group = config->out_of_order_group_size;
    if (group == 1) { return number; }
    return number / group * group + number % group * 953 % group;
}

static inline int64_t time_of(int64_t base_time_ms, double delay_us, int64_t number) {
    const double us = (double)number * delay_us;
    /* A Java cast saturates. */
    return base_time_ms + (us >= 0x1p63 ? INT64_MAX : (int64_t)us) / 1000;
}

static int64_t generator_time(const struct nexmark_generator *generator, int64_t number) {
    return time_of(generator->config.base_time_ms, generator->delay_us, number);
}

/* The last auction made when event `id` is due, counted from 0; its own number if it is one. */
static int64_t last_auction(const struct nexmark_generator *generator, int64_t id) {
    const struct nexmark_config *config = &generator->config;
    int64_t epoch = id / generator->total_proportion;
    int64_t offset = id % generator->total_proportion;
    if (offset < config->person_proportion) {
        epoch--;
        offset = config->auction_proportion - 1;
    } else if (offset >= config->person_proportion + config->auction_proportion) {
        offset = config->auction_proportion - 1;
    } else {
        offset -= config->person_proportion;
    }
    return epoch * config->auction_proportion + offset;
}

static int64_t last_person(const struct nexmark_generator *generator, int64_t id) {
    const struct nexmark_config *config = &generator->config;
    const int64_t epoch = id / generator->total_proportion;
    int64_t offset = id % generator->total_proportion;
    if (offset >= config->person_proportion) { offset = config->person_proportion - 1; }
    return epoch * config->person_proportion + offset;
}

/* ---- draws ---- */

static inline int64_t next_below(struct splittable_random *random, int64_t bound) {
    if (bound < INT32_MAX) { return splittable_next_below(random, (uint32_t)bound); }
    const int64_t rest = splittable_next_long(random) % bound;
    return rest < 0 ? -rest : rest;
}

/* A person that is active when the last one made is `last`, or one of the next few. */
static inline int64_t next_person_of(struct splittable_random *random, int64_t last, int64_t active_max) {
    const int64_t people = last + 1;
    const int64_t active = min64(people, active_max);
    return people - active + next_below(random, active + ID_LEAD);
}

static inline int64_t next_price(const struct nexmark_generator *generator, struct splittable_random *random) {
    return nexmark_price(generator->texts->exp_steps, splittable_next_double_bits(random));
}

/* Keeps the `length` bytes that stand at the heap's end, unless they are so few that the view itself holds them. */
static inline struct string_view heap_keep(struct nexmark_columns *columns, int32_t length) {
    const struct string_view view = string_view_of(columns->heap + columns->heap_used, (uint32_t)length);
    if (length > STRING_VIEW_INLINE) { columns->heap_used += length; }
    return view;
}

/* How `extra` fills an event up to the average size: a length from [min, min + spread), none if min is negative. */
struct extra_range {
    int32_t min;
    uint32_t spread; /* 0: the length is min, without a draw */
};

static inline struct extra_range extra_range_of(int32_t size, int32_t average) {
    if (size > average) { return (struct extra_range){.min = -1}; }
    const int32_t missing = average - size;
    const int32_t delta = (int32_t)floor(missing * 0.2 + 0.5);
    return (struct extra_range){.min = missing - delta, .spread = 2 * (uint32_t)delta};
}

static inline int64_t extra_length_max(int32_t average) {
    return (int64_t)average + average / 4 + 2;
}

/* From this length on upstream makes an extra of its own instead of cutting it from the reusable string. */
#define EXTRA_OWN_LENGTH (NEXMARK_EXTRA_SIZE / 2)

static struct string_view extra_own(struct splittable_random *random, int32_t length, bool wanted,
                                    struct nexmark_columns *columns) {
    if (!wanted) {
        splittable_skip(random, ((uint64_t)length + 5) / 6);
        return (struct string_view){0};
    }
    nexmark_letters(random, columns->heap + columns->heap_used, length);
    return heap_keep(columns, length);
}

static inline struct string_view next_extra(struct splittable_random *random, struct extra_range range, bool wanted,
                                            const char *reusable, struct nexmark_columns *columns) {
    if (range.min < 0) { return (struct string_view){0}; }
    const int32_t length = range.min + (range.spread ? (int32_t)splittable_next_below(random, range.spread) : 0);
    if (__builtin_expect(length >= EXTRA_OWN_LENGTH, 0)) { return extra_own(random, length, wanted, columns); }
    const uint32_t offset = splittable_next_below(random, NEXMARK_EXTRA_SIZE - (uint32_t)length);
    if (!wanted) { return (struct string_view){0}; }
    return string_view_of(reusable + offset, (uint32_t)length);
}

/* ---- writing ---- */

static inline void put_int(struct nexmark_columns *columns, enum nexmark_field field, int64_t row, int64_t value) {
    if (columns->fields[field]) { ((int64_t *)columns->fields[field])[row] = value; }
}

static inline void put_view(struct nexmark_columns *columns, enum nexmark_field field, int64_t row,
                            struct string_view value) {
    if (columns->fields[field]) { ((struct string_view *)columns->fields[field])[row] = value; }
}

static void columns_zero(struct nexmark_columns *columns, enum nexmark_kind kind, int64_t row, int64_t rows) {
    for (int field = kind_first[kind]; field < (int)kind_first[kind + 1]; field++) {
        if (!columns->fields[field]) { continue; }
        const size_t size = nexmark_fields[field].type == NEXMARK_STRING ? sizeof(struct string_view) : sizeof(int64_t);
        memset((char *)columns->fields[field] + (size_t)row * size, 0, (size_t)rows * size);
    }
}

static void bits_set(uint64_t *bits, int64_t from, int64_t count) {
    while (count > 0) {
        const int64_t shift = from & 63;
        const int64_t here = min64(count, 64 - shift);
        bits[from >> 6] |= (UINT64_MAX >> (64 - here)) << shift;
        from += here;
        count -= here;
    }
}

/* Events of one kind that follow each other. */
struct run {
    int64_t row;    /* of the first one */
    int64_t rows;
    int64_t number; /* adjusted event number of the first one, rising by 1 */
    int64_t id;     /* event id of the first one */
};

static struct string_view email_write(struct splittable_random *random, struct nexmark_columns *columns, bool wanted,
                                      int32_t *length) {
    char user[EMAIL_USER_MAX_LENGTH + 1];
    char host[EMAIL_HOST_MAX_LENGTH + 1];
    int32_t user_start, host_start;
    const int32_t user_length = nexmark_word(random, EMAIL_USER_MAX_LENGTH, ' ', user, &user_start);
    const int32_t host_length = nexmark_word(random, EMAIL_HOST_MAX_LENGTH, ' ', host, &host_start);
    *length = user_length + 1 + host_length + 4;
    if (!wanted) { return (struct string_view){0}; }
    char *target = columns->heap + columns->heap_used;
    memcpy(target, user + user_start, (size_t)user_length);
    target[user_length] = '@';
    memcpy(target + user_length + 1, host + host_start, (size_t)host_length);
    memcpy(target + user_length + 1 + host_length, ".com", 4);
    return heap_keep(columns, *length);
}

static struct string_view credit_card_write(const struct nexmark_texts *texts, struct splittable_random *random,
                                            struct nexmark_columns *columns, bool wanted) {
    char card[CREDIT_CARD_SIZE + 1];
    for (int i = 0; i < 4; i++) {
        memcpy(card + i * 5, texts->digits[splittable_next_below(random, 10000)], 4);
        card[i * 5 + 4] = ' ';
    }
    if (!wanted) { return (struct string_view){0}; }
    memcpy(columns->heap + columns->heap_used, card, CREDIT_CARD_SIZE);
    return heap_keep(columns, CREDIT_CARD_SIZE);
}

static void person_write(struct nexmark_generator *generator, struct nexmark_columns *columns, int64_t row, int64_t id,
                         int64_t time_ms) {
    struct splittable_random *random = &generator->random;
    const struct nexmark_texts *texts = generator->texts;
    put_int(columns, NEXMARK_PERSON_ID, row, last_person(generator, id) + FIRST_PERSON_ID);
    const uint32_t first = splittable_next_below(random, NEXMARK_FIRST_NAMES);
    const struct string_view name = texts->names[first][splittable_next_below(random, NEXMARK_LAST_NAMES)];
    put_view(columns, NEXMARK_PERSON_NAME, row, name);
    int32_t email_length;
    const struct string_view email =
        email_write(random, columns, columns->fields[NEXMARK_PERSON_EMAIL] != NULL, &email_length);
    put_view(columns, NEXMARK_PERSON_EMAIL, row, email);
    put_view(columns, NEXMARK_PERSON_CREDIT_CARD, row,
             credit_card_write(texts, random, columns, columns->fields[NEXMARK_PERSON_CREDIT_CARD] != NULL));
    const struct string_view city = texts->cities[splittable_next_below(random, NEXMARK_CITIES)];
    put_view(columns, NEXMARK_PERSON_CITY, row, city);
    const struct string_view state = texts->states[splittable_next_below(random, NEXMARK_STATES)];
    put_view(columns, NEXMARK_PERSON_STATE, row, state);
    put_int(columns, NEXMARK_PERSON_DATE_TIME, row, time_ms);
    const int32_t size =
        8 + (int32_t)name.size + email_length + CREDIT_CARD_SIZE + (int32_t)city.size + (int32_t)state.size;
    put_view(columns, NEXMARK_PERSON_EXTRA, row,
             next_extra(random, extra_range_of(size, generator->config.person_avg_size),
                        columns->fields[NEXMARK_PERSON_EXTRA] != NULL, texts->extra, columns));
}

/* How long an auction stays open: on average until in_flight_auctions more have been opened. */
static int64_t auction_length_ms(const struct nexmark_generator *generator, struct splittable_random *random,
                                 int64_t number, int64_t time_ms) {
    const struct nexmark_config *config = &generator->config;
    const int64_t events = config->in_flight_auctions * generator->total_proportion / config->auction_proportion;
    const int64_t horizon_ms = generator_time(generator, number + events) - time_ms;
    return 1 + next_below(random, max64(horizon_ms * 2, 1));
}

static int32_t auction_word(struct splittable_random *random, struct nexmark_columns *columns,
                            enum nexmark_field field, uint32_t max_length, int64_t row) {
    char word[DESCRIPTION_MAX_LENGTH];
    int32_t start;
    const int32_t length = nexmark_word(random, max_length, ' ', word, &start);
    if (columns->fields[field]) {
        memcpy(columns->heap + columns->heap_used, word + start, (size_t)length);
        put_view(columns, field, row, heap_keep(columns, length));
    }
    return length;
}

static void auction_write(struct nexmark_generator *generator, struct nexmark_columns *columns, int64_t row,
                          int64_t number, int64_t id, int64_t time_ms) {
    struct splittable_random *random = &generator->random;
    const struct nexmark_config *config = &generator->config;
    put_int(columns, NEXMARK_AUCTION_ID, row, last_auction(generator, id) + FIRST_AUCTION_ID);
    const int64_t person = last_person(generator, id);
    const bool hot = splittable_next_below(random, (uint32_t)config->auction_hot_ratio_sellers) > 0;
    const int64_t seller =
        hot ? person / HOT_BATCH * HOT_BATCH : next_person_of(random, person, config->active_people);
    put_int(columns, NEXMARK_AUCTION_SELLER, row, seller + FIRST_PERSON_ID);
    put_int(columns, NEXMARK_AUCTION_CATEGORY, row, FIRST_CATEGORY_ID + splittable_next_below(random, CATEGORIES));
    const int64_t initial_bid = next_price(generator, random);
    put_int(columns, NEXMARK_AUCTION_INITIAL_BID, row, initial_bid);
    put_int(columns, NEXMARK_AUCTION_DATE_TIME, row, time_ms);
    put_int(columns, NEXMARK_AUCTION_EXPIRES, row, time_ms + auction_length_ms(generator, random, number, time_ms));
    const int32_t name_length = auction_word(random, columns, NEXMARK_AUCTION_ITEM_NAME, NAME_MAX_LENGTH, row);
    const int32_t description_length =
        auction_word(random, columns, NEXMARK_AUCTION_DESCRIPTION, DESCRIPTION_MAX_LENGTH, row);
    put_int(columns, NEXMARK_AUCTION_RESERVE, row, initial_bid + next_price(generator, random));
    const int32_t size = 8 + name_length + description_length + 5 * 8;
    put_view(columns, NEXMARK_AUCTION_EXTRA, row,
             next_extra(random, extra_range_of(size, config->auction_avg_size),
                        columns->fields[NEXMARK_AUCTION_EXTRA] != NULL, generator->texts->extra, columns));
}

/* Bids are nearly all of the stream, so their loop keeps everything in registers; a run needs no heap unless `extra`
 * is of half a megabyte or more. */
static inline __attribute__((always_inline)) void bids_write(struct nexmark_generator *generator,
                                                             struct nexmark_columns *columns, const struct run *run,
                                                             bool writing) {
    const struct nexmark_config *config = &generator->config;
    const struct nexmark_texts *texts = generator->texts;
    struct splittable_random random = generator->random;
    int64_t *auctions = writing ? columns->fields[NEXMARK_BID_AUCTION] : NULL;
    int64_t *bidders = writing ? columns->fields[NEXMARK_BID_BIDDER] : NULL;
    int64_t *prices = writing ? columns->fields[NEXMARK_BID_PRICE] : NULL;
    struct string_view *channels = writing ? columns->fields[NEXMARK_BID_CHANNEL] : NULL;
    struct string_view *urls = writing ? columns->fields[NEXMARK_BID_URL] : NULL;
    struct string_view *extras = writing ? columns->fields[NEXMARK_BID_EXTRA] : NULL;

    const int64_t auction_last = last_auction(generator, run->id);
    const int64_t auction_hot = auction_last / HOT_BATCH * HOT_BATCH + FIRST_AUCTION_ID;
    const int64_t auction_min = max64(auction_last - config->in_flight_auctions, 0);
    const int64_t auction_range = auction_last - auction_min + 1 + ID_LEAD;
    const int64_t person_last = last_person(generator, run->id);
    /* The second of the batch, so that hot bidders and hot sellers differ. Upstream adds the first id twice. */
    const int64_t bidder_hot = person_last / HOT_BATCH * HOT_BATCH + 1 + 2 * FIRST_PERSON_ID;
    const uint32_t auctions_ratio = (uint32_t)config->bid_hot_ratio_auctions;
    const uint32_t bidders_ratio = (uint32_t)config->bid_hot_ratio_bidders;
    const struct extra_range extra_range = extra_range_of(4 * 8, config->bid_avg_size);

    for (int64_t row = run->row; row < run->row + run->rows; row++) {
        int64_t auction = auction_hot;
        if (splittable_next_below(&random, auctions_ratio) == 0) {
            auction = auction_min + next_below(&random, auction_range) + FIRST_AUCTION_ID;
        }
        int64_t bidder = bidder_hot;
        if (splittable_next_below(&random, bidders_ratio) == 0) {
            bidder = next_person_of(&random, person_last, config->active_people) + 2 * FIRST_PERSON_ID;
        }
        random.state += SPLITTABLE_GAMMA;
        const uint64_t price_state = random.state;
        const bool hot = splittable_next_below(&random, 2) > 0;
        const uint32_t channel = splittable_next_below(&random, hot ? NEXMARK_HOT_CHANNELS : NEXMARK_CHANNELS) +
                                 (hot ? 0 : NEXMARK_HOT_CHANNELS);
        const struct string_view extra = next_extra(&random, extra_range, extras != NULL, texts->extra, columns);
        if (auctions) { auctions[row] = auction; }
        if (bidders) { bidders[row] = bidder; }
        if (prices) { prices[row] = (int64_t)price_state; } /* the draw for now, see below */
        if (channels) { channels[row] = texts->channels[channel]; }
        if (urls) { urls[row] = texts->urls[channel]; }
        if (extras) { extras[row] = extra; }
    }
    generator->random = random;
    if (!writing) { return; }

    if (prices) {
        for (int64_t row = run->row; row < run->row + run->rows; row++) {
            prices[row] = nexmark_price(texts->exp_steps, splittable_mix64((uint64_t)prices[row]) >> 11);
        }
    }
    int64_t *times = columns->fields[NEXMARK_BID_DATE_TIME];
    if (times) {
        for (int64_t i = 0; i < run->rows; i++) {
            times[run->row + i] = time_of(config->base_time_ms, generator->delay_us, run->number + i);
        }
    }
}

/* ---- runs ---- */

static enum nexmark_kind kind_of(const struct nexmark_generator *generator, int64_t id, int64_t *left) {
    const struct nexmark_config *config = &generator->config;
    const int64_t offset = id % generator->total_proportion;
    if (offset < config->person_proportion) {
        *left = config->person_proportion - offset;
        return NEXMARK_PERSON;
    }
    if (offset < config->person_proportion + config->auction_proportion) {
        *left = config->person_proportion + config->auction_proportion - offset;
        return NEXMARK_AUCTION;
    }
    *left = generator->total_proportion - offset;
    return NEXMARK_BID;
}

/* The kind of the next events and how many of them follow each other, `rows_max` at most. */
static enum nexmark_kind run_next(const struct nexmark_generator *generator, int64_t row, int64_t rows_max,
                                  struct run *run) {
    const struct nexmark_config *config = &generator->config;
    run->row = row;
    run->number = adjusted_number(config, config->first_event_number + generator->events);
    run->id = config->first_event_id + run->number;
    const enum nexmark_kind kind = kind_of(generator, run->id, &run->rows);
    if (config->out_of_order_group_size > 1) { run->rows = 1; }
    run->rows = min64(run->rows, rows_max);
    return kind;
}

/* The most heap that one event of a kind takes with these columns. */
static int64_t heap_of_kind(const struct nexmark_generator *generator, const struct nexmark_columns *columns,
                            enum nexmark_kind kind) {
    static const int64_t words[NEXMARK_KIND_COUNT] = {HEAP_OF_PERSON, HEAP_OF_AUCTION, 0};
    static const enum nexmark_field extras[NEXMARK_KIND_COUNT] = {NEXMARK_PERSON_EXTRA, NEXMARK_AUCTION_EXTRA,
                                                                  NEXMARK_BID_EXTRA};
    const struct nexmark_config *config = &generator->config;
    const int32_t averages[NEXMARK_KIND_COUNT] = {config->person_avg_size, config->auction_avg_size,
                                                  config->bid_avg_size};
    const int64_t extra = columns->fields[extras[kind]] ? extra_length_max(averages[kind]) : 0;
    return words[kind] + (extra >= EXTRA_OWN_LENGTH ? extra : 0);
}

int64_t nexmark_generator_heap_hint(const struct nexmark_generator *generator, const struct nexmark_columns *columns,
                                    int64_t rows) {
    const struct nexmark_config *config = &generator->config;
    const int32_t proportions[NEXMARK_KIND_COUNT] = {config->person_proportion, config->auction_proportion,
                                                     config->bid_proportion};
    int64_t hint = 0;
    int64_t most = 0;
    for (int kind = 0; kind < NEXMARK_KIND_COUNT; kind++) {
        const int64_t one = heap_of_kind(generator, columns, (enum nexmark_kind)kind);
        hint += (rows * proportions[kind] / generator->total_proportion + proportions[kind]) * one;
        most = max64(most, one);
    }
    /* A batch of giant strings had better be a small one. */
    return max64(min64(hint, 64 << 20), most);
}

static void persons_write(struct nexmark_generator *generator, struct nexmark_columns *columns, const struct run *run) {
    for (int64_t i = 0; i < run->rows; i++) {
        person_write(generator, columns, run->row + i, run->id + i, generator_time(generator, run->number + i));
    }
}

static void auctions_write(struct nexmark_generator *generator, struct nexmark_columns *columns,
                           const struct run *run) {
    for (int64_t i = 0; i < run->rows; i++) {
        auction_write(generator, columns, run->row + i, run->number + i, run->id + i,
                      generator_time(generator, run->number + i));
    }
}

static void run_write(struct nexmark_generator *generator, struct nexmark_columns *columns, enum nexmark_kind kind,
                      const struct run *run) {
    switch (kind) {
    case NEXMARK_PERSON: persons_write(generator, columns, run); break;
    case NEXMARK_AUCTION: auctions_write(generator, columns, run); break;
    default: bids_write(generator, columns, run, true); break;
    }
    for (int other = 0; other < NEXMARK_KIND_COUNT; other++) {
        if (other != (int)kind) { columns_zero(columns, (enum nexmark_kind)other, run->row, run->rows); }
    }
    if (columns->valid[kind]) { bits_set(columns->valid[kind], run->row, run->rows); }
    if (columns->event_type) {
        for (int64_t i = 0; i < run->rows; i++) { columns->event_type[run->row + i] = (int32_t)kind; }
    }
    columns->counts[kind] += run->rows;
}

void nexmark_generator_fill(struct nexmark_generator *generator, struct nexmark_columns *columns) {
    columns->rows = 0;
    columns->heap_used = 0;
    int64_t heap_of_one[NEXMARK_KIND_COUNT];
    for (int kind = 0; kind < NEXMARK_KIND_COUNT; kind++) {
        columns->counts[kind] = 0;
        heap_of_one[kind] = heap_of_kind(generator, columns, (enum nexmark_kind)kind);
        if (columns->valid[kind]) { memset(columns->valid[kind], 0, (size_t)(columns->capacity + 63) / 64 * 8); }
    }
    const int64_t rows_max = min64(columns->capacity, generator->events_end - generator->events);
    while (columns->rows < rows_max) {
        struct run run;
        const enum nexmark_kind kind = run_next(generator, columns->rows, rows_max - columns->rows, &run);
        if (heap_of_one[kind] > 0) {
            run.rows = min64(run.rows, (columns->heap_size - columns->heap_used) / heap_of_one[kind]);
            if (run.rows == 0) { return; }
        }
        run_write(generator, columns, kind, &run);
        columns->rows += run.rows;
        generator->events += run.rows;
    }
}

void nexmark_generator_skip(struct nexmark_generator *generator, int64_t count) {
    struct nexmark_columns none = {0};
    const int64_t end = min64(generator->events_end, generator->events + count);
    while (generator->events < end) {
        struct run run;
        switch (run_next(generator, 0, end - generator->events, &run)) {
        case NEXMARK_PERSON: persons_write(generator, &none, &run); break;
        case NEXMARK_AUCTION: auctions_write(generator, &none, &run); break;
        default: bids_write(generator, &none, &run, false); break;
        }
        generator->events += run.rows;
    }
}

/* ---- life ---- */

void nexmark_generator_init(struct nexmark_generator *generator, const struct nexmark_config *config,
                            const struct nexmark_texts *texts) {
    const int64_t limit = events_limit(config);
    *generator = (struct nexmark_generator){
        .config = *config,
        .texts = texts,
        .random = {(uint64_t)config->seed * 1000003 + (uint64_t)config->first_event_id},
        .events_end = config->stop_at < 0 ? limit : min64(config->stop_at, limit),
        .total_proportion = total_proportion(config),
        .delay_us = 1000000.0 / (double)config->first_event_rate * config->generators,
    };
}

struct nexmark_position nexmark_generator_position(const struct nexmark_generator *generator) {
    return (struct nexmark_position){.events = generator->events, .random_state = generator->random.state};
}

sabot_status nexmark_generator_restore(struct nexmark_generator *generator, struct nexmark_position position,
                                       struct sabot_error *err) {
    if (position.events < 0) {
        return SABOT_FAIL(err, SABOT_ERR_STATE, "nexmark: the stored position %" PRId64 " is not one of this generator",
                          position.events);
    }
    generator->events = position.events;
    generator->random.state = position.random_state;
    return SABOT_OK;
}

int64_t nexmark_generator_next_time_ms(const struct nexmark_generator *generator) {
    return generator_time(generator, generator->config.first_event_number + generator->events);
}

int64_t nexmark_generator_watermark_ms(const struct nexmark_generator *generator) {
    const int64_t group = generator->config.out_of_order_group_size;
    const int64_t number = generator->config.first_event_number + generator->events;
    return generator_time(generator, number / group * group);
}
