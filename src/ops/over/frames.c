/* Frames of OVER: see frames.h. */
#include "ops/over/frames.h"

static void find_segments(struct frames *frames, const int32_t *groups, const bool *past) {
    int32_t n = 0, due = 0;
    for (int32_t i = 0; i < frames->n_rows; i++) {
        if (i == 0 || groups[i] != groups[i - 1]) {
            frames->starts[n] = i;
            frames->first_due[n++] = i;
        }
        if (past[i]) {
            frames->first_due[n - 1] = i + 1;
            continue;
        }
        frames->rows[due] = i;
        frames->segments[due++] = n - 1;
    }
    frames->starts[n] = frames->n_rows;
    frames->n_segments = n;
    frames->n_due = due;
}

static void find_frames(struct frames *frames, enum over_frame frame, int64_t preceding) {
    const int64_t *times = frames->times;
    int32_t low = 0, high = 0, peer = 0;
    for (int32_t j = 0; j < frames->n_due; j++) {
        const int32_t i = frames->rows[j], s = frames->segments[j];
        const int32_t start = frames->starts[s], end = frames->starts[s + 1], due = frames->first_due[s];
        if (j == 0 || frames->segments[j - 1] != s) {
            low = start;
            high = peer = due;
        }
        if (times[peer] != times[i]) { peer = i; }
        frames->peers[j] = peer;
        high = high > i ? high : i + 1;
        const bool peers_count = frame == OVER_RANGE || frame == OVER_UNBOUNDED;
        while (peers_count && high < end && times[high] == times[i]) { high++; }
        if (frame == OVER_RANGE) {
            while (times[low] < times[i] - preceding) { low++; }
        } else if (frame == OVER_ROWS) {
            low = i - start > preceding ? i - (int32_t)preceding : start;
        } else {
            low = due;
        }
        frames->low[j] = low;
        frames->high[j] = high;
    }
}

sabot_status frames_init(struct frames *frames, struct memory_pool *pool, const int32_t *groups, const bool *past,
                         const int64_t *times, int32_t n, enum over_frame frame, int64_t preceding,
                         struct sabot_error *err) {
    *frames = (struct frames){.pool = pool, .n_rows = n, .times = times};
    frames->block_size = ((size_t)n + 2) * 7 * sizeof(int32_t);
    SABOT_TRY(memory_alloc(pool, frames->block_size, &frames->block, err));
    int32_t *at = frames->block;
    int32_t **const lists[] = {&frames->starts, &frames->first_due, &frames->rows, &frames->segments,
                               &frames->low,    &frames->high,      &frames->peers};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++, at += n + 2) { *lists[i] = at; }
    find_segments(frames, groups, past);
    find_frames(frames, frame, preceding);
    return SABOT_OK;
}

void frames_clear(struct frames *frames) {
    if (frames->pool) { memory_free(frames->pool, frames->block, frames->block_size); }
    *frames = (struct frames){0};
}

void frames_count(const struct frames *frames, const bool *takes, const int64_t *carry, int64_t *out,
                  int64_t *scratch) {
    scratch[0] = 0;
    for (int32_t i = 0; i < frames->n_rows; i++) { scratch[i + 1] = scratch[i] + (!takes || takes[i]); }
    for (int32_t j = 0; j < frames->n_due; j++) {
        out[j] = scratch[frames->high[j]] - scratch[frames->low[j]] + (carry ? carry[frames->segments[j]] : 0);
    }
}

void frames_sum(const struct frames *frames, const __int128 *values, const __int128 *carry, __int128 *out,
                __int128 *scratch) {
    scratch[0] = 0;
    for (int32_t i = 0; i < frames->n_rows; i++) {
        scratch[i + 1] = (__int128)((unsigned __int128)scratch[i] + (unsigned __int128)values[i]);
    }
    for (int32_t j = 0; j < frames->n_due; j++) {
        out[j] = (__int128)((unsigned __int128)scratch[frames->high[j]] -
                            (unsigned __int128)scratch[frames->low[j]] +
                            (carry ? (unsigned __int128)carry[frames->segments[j]] : 0));
    }
}

/* Two stacks: sums from each row to `middle`, made anew when the frame has left them, and one sum from there on. */
void frames_sum_real(const struct frames *frames, const double *values, const double *carry, double *out,
                     double *scratch) {
    int32_t middle = 0, reached = 0;
    double behind = 0;
    for (int32_t j = 0; j < frames->n_due; j++) {
        const int32_t s = frames->segments[j], low = frames->low[j], high = frames->high[j];
        if (j == 0 || frames->segments[j - 1] != s) {
            middle = reached = low;
            behind = carry ? carry[s] : 0;
        }
        while (reached < high) { behind += values[reached++]; }
        if (low > middle) {
            scratch[high] = 0;
            for (int32_t i = high - 1; i >= low; i--) { scratch[i] = values[i] + scratch[i + 1]; }
            middle = high;
            behind = 0;
        }
        out[j] = low < middle ? scratch[low] + behind : behind;
    }
}

static bool is_better(enum frames_pick pick, const struct column *column, struct type type, int32_t a, int32_t b) {
    const int order = column_compare(column, a, column, b, type);
    return pick == PICK_MIN ? order < 0 : order > 0;
}

void frames_pick(const struct frames *frames, enum frames_pick pick, const struct column *column, struct type type,
                 const bool *takes, const bool *has_carry, int32_t *out, int32_t *queue) {
    const bool extreme = pick == PICK_MIN || pick == PICK_MAX;
    int32_t first = 0, last = 0, reached = 0, carry = -1; /* candidates are queue[first..last) */
    for (int32_t j = 0; j < frames->n_due; j++) {
        const int32_t s = frames->segments[j], low = frames->low[j], high = frames->high[j];
        if (j == 0 || frames->segments[j - 1] != s) {
            first = last = 0;
            reached = low;
            carry = has_carry && has_carry[s] ? frames->n_rows + s : -1;
        }
        for (; reached < high; reached++) {
            if (takes && !takes[reached]) { continue; }
            while (extreme && last > first && is_better(pick, column, type, reached, queue[last - 1])) { last--; }
            queue[last++] = reached;
        }
        while (first < last && queue[first] < low) { first++; }
        const int32_t held = first == last ? -1 : pick == PICK_LAST ? queue[last - 1] : queue[first];
        if (carry < 0 || held < 0) {
            out[j] = held < 0 ? carry : held;
        } else if (extreme) {
            out[j] = is_better(pick, column, type, held, carry) ? held : carry;
        } else {
            out[j] = pick == PICK_FIRST ? carry : held;
        }
    }
}
