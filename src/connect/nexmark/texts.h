/* The strings that all events of one seed share, laid out so that an event's string is one 16-byte copy. */
#ifndef CONNECT_NEXMARK_TEXTS_H
#define CONNECT_NEXMARK_TEXTS_H

#include <stdatomic.h>
#include <string.h>

#include "connect/nexmark/generator.h"
#include "connect/nexmark/price.h"

#define NEXMARK_FIRST_NAMES 11
#define NEXMARK_LAST_NAMES 9
#define NEXMARK_CITIES 10
#define NEXMARK_STATES 6

struct nexmark_texts {
    _Atomic int32_t refs;
    char *extra; /* NEXMARK_EXTRA_SIZE bytes */
    char *words;
    int32_t words_size;
    /* The hot channels come first, then channel-0, channel-1, ... */
    struct string_view channels[NEXMARK_HOT_CHANNELS + NEXMARK_CHANNELS];
    struct string_view urls[NEXMARK_HOT_CHANNELS + NEXMARK_CHANNELS];
    struct string_view names[NEXMARK_FIRST_NAMES][NEXMARK_LAST_NAMES];
    struct string_view cities[NEXMARK_CITIES];
    struct string_view states[NEXMARK_STATES];
    char digits[10000][4];             /* "0000" to "9999" */
    double exp_steps[NEXMARK_EXP_STEPS]; /* 2^(i / NEXMARK_EXP_STEPS) */
};

#define NEXMARK_WORD_MIN 3

/* Upstream's nextString: NEXMARK_WORD_MIN to max_length - 1 letters, one in 13 of them replaced by `special`, blanks
 * trimmed from both ends. Writes up to max_length bytes, of which the word is [*start, *start + length). */
static inline int32_t nexmark_word(struct splittable_random *random, uint32_t max_length, char special, char *target,
                                   int32_t *start) {
    const int32_t length = NEXMARK_WORD_MIN + (int32_t)splittable_next_below(random, max_length - NEXMARK_WORD_MIN);
    for (int32_t i = 0; i < length; i++) {
        target[i] = splittable_next_below(random, 13) == 0 ? special : (char)('a' + splittable_next_below(random, 26));
    }
    int32_t from = 0;
    int32_t to = length;
    while (from < to && target[from] == ' ') { from++; }
    while (to > from && target[to - 1] == ' ') { to--; }
    *start = from;
    return to - from;
}

/* Upstream's nextExactString where the reusable string is too short: six letters from each draw. The remainder of a
 * negative draw is negative, so bytes below 'a' are right. */
static inline void nexmark_letters(struct splittable_random *random, char *target, int64_t length) {
    int32_t draw = 0;
    int32_t left = 0;
    for (int64_t i = 0; i < length; i++) {
        if (left == 0) {
            draw = splittable_next_int(random);
            left = 6;
        }
        target[i] = (char)('a' + draw % 26);
        draw /= 26;
        left--;
    }
}

#endif
