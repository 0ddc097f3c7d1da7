/* Makes the strings that all events of one seed share, drawing in the order in which upstream's static initialisers
 * draw: the reusable extra string from seed + 1; the hot urls, then the channel urls, from seed + 2. */
#include "connect/nexmark/texts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define URL_MAX 96 /* https://www.nexmark.com/aaaa/aaaa/aaaa/item.htm?query=1&channel_id=-2147483648 and some */
#define WORDS_SIZE_MAX ((NEXMARK_HOT_CHANNELS + NEXMARK_CHANNELS) * URL_MAX + 8192)

static const char *const hot_channels[NEXMARK_HOT_CHANNELS] = {"Google", "Facebook", "Baidu", "Apple"};
static const char *const states[NEXMARK_STATES] = {"AZ", "CA", "ID", "OR", "WA", "WY"};
static const char *const cities[NEXMARK_CITIES] = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland",
                                                   "Bend",    "Redmond",     "Seattle",       "Kent",  "Cheyenne"};
static const char *const first_names[NEXMARK_FIRST_NAMES] = {"Peter", "Paul",  "Luke",  "John",   "Saul",  "Vicky",
                                                             "Kate",  "Julie", "Sarah", "Deiter", "Walter"};
static const char *const last_names[NEXMARK_LAST_NAMES] = {"Shultz", "Abrams", "Spencer", "White", "Bartels",
                                                           "Walton", "Smith",  "Jones",   "Noris"};

/* Appends a word to the words buffer and returns its view; the buffer was sized for all of them. */
static struct string_view words_add(struct nexmark_texts *texts, const char *word, size_t length) {
    char *target = texts->words + texts->words_size;
    memcpy(target, word, length);
    texts->words_size += (int32_t)length;
    return string_view_of(target, (uint32_t)length);
}

static size_t url_write(struct splittable_random *random, char *target) {
    char words[3][8];
    int32_t lengths[3];
    for (int i = 0; i < 3; i++) {
        int32_t start;
        lengths[i] = nexmark_word(random, 5, '_', words[i], &start);
    }
    return (size_t)snprintf(target, URL_MAX, "https://www.nexmark.com/%.*s/%.*s/%.*s/item.htm?query=1", lengths[0],
                            words[0], lengths[1], words[1], lengths[2], words[2]);
}

/* Math.abs(Integer.reverse(i)); the absolute value of the least int is itself in Java. */
static int32_t channel_id(uint32_t channel) {
    uint32_t reversed = 0;
    for (int bit = 0; bit < 32; bit++) { reversed |= ((channel >> bit) & 1) << (31 - bit); }
    return (int32_t)(reversed > INT32_MAX ? 0 - reversed : reversed);
}

static void urls_make(struct nexmark_texts *texts, struct splittable_random *random) {
    char text[URL_MAX];
    for (int i = 0; i < NEXMARK_HOT_CHANNELS; i++) {
        texts->channels[i] = words_add(texts, hot_channels[i], strlen(hot_channels[i]));
        texts->urls[i] = words_add(texts, text, url_write(random, text));
    }
    for (int i = 0; i < NEXMARK_CHANNELS; i++) {
        size_t length = url_write(random, text);
        if (splittable_next_below(random, 10) > 0) {
            length += (size_t)snprintf(text + length, sizeof text - length, "&channel_id=%d", channel_id((uint32_t)i));
        }
        texts->urls[NEXMARK_HOT_CHANNELS + i] = words_add(texts, text, length);
        length = (size_t)snprintf(text, sizeof text, "channel-%d", i);
        texts->channels[NEXMARK_HOT_CHANNELS + i] = words_add(texts, text, length);
    }
}

static void names_make(struct nexmark_texts *texts) {
    for (int i = 0; i < NEXMARK_FIRST_NAMES; i++) {
        for (int j = 0; j < NEXMARK_LAST_NAMES; j++) {
            char text[32];
            const int length = snprintf(text, sizeof text, "%s %s", first_names[i], last_names[j]);
            texts->names[i][j] = words_add(texts, text, (size_t)length);
        }
    }
    for (int i = 0; i < NEXMARK_CITIES; i++) { texts->cities[i] = words_add(texts, cities[i], strlen(cities[i])); }
    for (int i = 0; i < NEXMARK_STATES; i++) { texts->states[i] = words_add(texts, states[i], strlen(states[i])); }
    for (int i = 0; i < 10000; i++) {
        texts->digits[i][0] = (char)('0' + i / 1000);
        texts->digits[i][1] = (char)('0' + i / 100 % 10);
        texts->digits[i][2] = (char)('0' + i / 10 % 10);
        texts->digits[i][3] = (char)('0' + i % 10);
    }
}

sabot_status nexmark_texts_new(int64_t seed, struct nexmark_texts **texts, struct sabot_error *err) {
    struct nexmark_texts *made = calloc(1, sizeof *made);
    char *extra = malloc(NEXMARK_EXTRA_SIZE);
    char *words = malloc(WORDS_SIZE_MAX);
    if (!made || !extra || !words) {
        free(made);
        free(extra);
        free(words);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "nexmark: no memory for the %d bytes of shared strings",
                          NEXMARK_EXTRA_SIZE + WORDS_SIZE_MAX);
    }
    atomic_init(&made->refs, 1);
    made->extra = extra;
    made->words = words;
    struct splittable_random random = {(uint64_t)seed + 1};
    nexmark_letters(&random, made->extra, NEXMARK_EXTRA_SIZE);
    random.state = (uint64_t)seed + 2;
    urls_make(made, &random);
    names_make(made);
    for (int i = 0; i < NEXMARK_EXP_STEPS; i++) { made->exp_steps[i] = exp2((double)i / NEXMARK_EXP_STEPS); }
    *texts = made;
    return SABOT_OK;
}

struct nexmark_texts *nexmark_texts_ref(struct nexmark_texts *texts) {
    atomic_fetch_add_explicit(&texts->refs, 1, memory_order_relaxed);
    return texts;
}

void nexmark_texts_unref(struct nexmark_texts *texts) {
    if (!texts || atomic_fetch_sub_explicit(&texts->refs, 1, memory_order_acq_rel) > 1) { return; }
    free(texts->extra);
    free(texts->words);
    free(texts);
}
