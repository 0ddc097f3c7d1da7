/* The Nexmark event generator: for one seed, exactly the events of the official generator (nexmark/nexmark), written
 * straight into columns.
 *
 * An event is a person, an auction or a bid. What it holds follows from its number and from one sequence of random
 * draws; how many draws an event takes depends on their values, so the sequence can only be walked from the front (or
 * from a stored position). Walking without writing is several times as fast as writing, and that is how several
 * readers share one stream: each walks all of it and writes only its own blocks (nexmark_generator_skip).
 *
 * Threads: nexmark_texts are immutable once made and may be shared; a generator belongs to one caller at a time. */
#ifndef CONNECT_NEXMARK_GENERATOR_H
#define CONNECT_NEXMARK_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arrow/batch.h"
#include "connect/nexmark/random.h"

enum nexmark_kind { NEXMARK_PERSON, NEXMARK_AUCTION, NEXMARK_BID, NEXMARK_KIND_COUNT };

enum nexmark_type { NEXMARK_BIGINT, NEXMARK_TIMESTAMP, NEXMARK_STRING };

enum nexmark_field {
#define X(name, kind, label, type) NEXMARK_##name,
#include "connect/nexmark/fields.def"
#undef X
    NEXMARK_FIELD_COUNT
};

struct nexmark_field_info {
    const char *name;
    enum nexmark_kind kind;
    enum nexmark_type type;
};

/* Indexed by enum nexmark_field; the fields of one kind stand together. */
extern const struct nexmark_field_info nexmark_fields[NEXMARK_FIELD_COUNT];

/* The options of the official generator, with its names. Set by nexmark_config_init, then changed, then checked. */
struct nexmark_config {
    int64_t seed;
    int64_t base_time_ms;       /* event time of event number 0 */
    int64_t events_max;         /* 0: as many as upstream allows, in effect endless */
    int64_t stop_at;            /* end after this many events; negative: no */
    int64_t first_event_id;     /* 1 */
    int64_t first_event_number; /* 1 */
    int64_t first_event_rate;   /* events per second of event time, over all generators */
    int32_t generators;         /* official generators that share the rate; each is a stream of its own */
    int32_t person_proportion;
    int32_t auction_proportion;
    int32_t bid_proportion;
    int32_t person_avg_size; /* bytes; the field `extra` fills up to it */
    int32_t auction_avg_size;
    int32_t bid_avg_size;
    int32_t bid_hot_ratio_auctions; /* 1 - 1/ratio of the bids go to a hot auction */
    int32_t bid_hot_ratio_bidders;
    int32_t auction_hot_ratio_sellers;
    int32_t in_flight_auctions;
    int32_t active_people;
    int64_t out_of_order_group_size; /* 1: events come in the order of their time */
};

#define NEXMARK_AVG_SIZE_MAX (16 << 20)
#define NEXMARK_OUT_OF_ORDER_MAX 1000000

/* Upstream's defaults: base time 0, seed 0, no limit. */
void nexmark_config_init(struct nexmark_config *config);

/* Names the first option that is out of range and what would be valid. */
sabot_status nexmark_config_check(const struct nexmark_config *config, struct sabot_error *err);

/* The configuration of official generator `index` of config->generators: its own ids, the shared time line. */
struct nexmark_config nexmark_config_split(const struct nexmark_config *config, int32_t index);

#define NEXMARK_EXTRA_SIZE (1 << 20)
#define NEXMARK_CHANNELS 10000
#define NEXMARK_HOT_CHANNELS 4

/* The strings that upstream makes once per process; they depend on the seed alone. Views in columns point into them. */
struct nexmark_texts;

sabot_status nexmark_texts_new(int64_t seed, struct nexmark_texts **texts, struct sabot_error *err);
struct nexmark_texts *nexmark_texts_ref(struct nexmark_texts *texts);
void nexmark_texts_unref(struct nexmark_texts *texts); /* NULL is allowed; frees with the last reference */
/* Where to write. The caller provides room for `capacity` rows in each column it wants; NULL columns are not made.
 * Fields of the kinds that an event is not are written as zero, so that every byte is defined. */
struct nexmark_columns {
    int64_t capacity;
    int32_t *event_type;                /* 0 person, 1 auction, 2 bid; may be NULL */
    void *fields[NEXMARK_FIELD_COUNT];  /* int64_t or struct string_view; may be NULL */
    uint64_t *valid[NEXMARK_KIND_COUNT]; /* bitmaps of capacity bits, overwritten; may be NULL */
    char *heap;                         /* bytes of strings that the texts don't hold */
    int64_t heap_size;
    /* Out. */
    int64_t rows;
    int64_t heap_used;
    int64_t counts[NEXMARK_KIND_COUNT]; /* rows of each kind */
};

/* Where a generator stands: enough, with its configuration, to go on from there. */
struct nexmark_position {
    int64_t events;        /* made or passed over so far */
    uint64_t random_state; /* of the draws */
};

struct nexmark_generator {
    struct nexmark_config config;
    const struct nexmark_texts *texts;
    struct splittable_random random;
    int64_t events;     /* so far */
    int64_t events_end; /* stop before this one */
    int64_t total_proportion;
    double delay_us; /* between two events */
};

/* `config` must have passed the check; `texts` are borrowed and must be of the same seed. */
void nexmark_generator_init(struct nexmark_generator *generator, const struct nexmark_config *config,
                            const struct nexmark_texts *texts);

struct nexmark_position nexmark_generator_position(const struct nexmark_generator *generator);
sabot_status nexmark_generator_restore(struct nexmark_generator *generator, struct nexmark_position position,
                                       struct sabot_error *err);

/* The bytes of heap that `rows` rows take on average, rounded up so that a batch seldom ends early. */
int64_t nexmark_generator_heap_hint(const struct nexmark_generator *generator, const struct nexmark_columns *columns,
                                    int64_t rows);

/* Writes up to columns->capacity events from row 0 on. Ends early where the heap has no room for one more event; with
 * a heap of nexmark_generator_heap_hint bytes it always makes at least one, unless the stream is at its end. */
void nexmark_generator_fill(struct nexmark_generator *generator, struct nexmark_columns *columns);

/* Passes over up to `count` events. */
void nexmark_generator_skip(struct nexmark_generator *generator, int64_t count);

static inline bool nexmark_generator_at_end(const struct nexmark_generator *generator) {
    return generator->events >= generator->events_end;
}

/* Event time of the next event in milliseconds, as the official generator paces and stamps it. */
int64_t nexmark_generator_next_time_ms(const struct nexmark_generator *generator);

/* No later event has a timestamp below this. */
int64_t nexmark_generator_watermark_ms(const struct nexmark_generator *generator);

#endif
