/* Watermarks: see watermark.h. */
#include "time/watermark.h"

#include <assert.h>
#include <stdlib.h>

/* --- from rows to a watermark */
int64_t watermark_to_ms(int64_t watermark, int64_t units_per_ms) {
    if (units_per_ms == 1 || watermark == WATERMARK_NONE || watermark == WATERMARK_END) { return watermark; }
    /* A ms is behind the watermark only when its last unit is. */
    const int64_t next = watermark + 1;
    const int64_t whole = next / units_per_ms - (next % units_per_ms < 0);
    return whole - 1;
}

bool time_column_range(const struct column *column, const int32_t *rows, int32_t n, int64_t *min, int64_t *max) {
    const int64_t *values = column->values;
    int64_t least = INT64_MAX, most = INT64_MIN;
    bool any = n > 0;
    if (column->constant) {
        if (n == 0 || column_is_null(column, 0)) { return false; }
        *min = *max = values[0];
        return true;
    }
    if (column->validity) {
        any = false;
        for (int32_t i = 0; i < n; i++) {
            const int32_t row = rows ? rows[i] : i;
            if (column_is_null(column, row)) { continue; }
            any = true;
            least = values[row] < least ? values[row] : least;
            most = values[row] > most ? values[row] : most;
        }
    } else if (rows) {
        for (int32_t i = 0; i < n; i++) {
            const int64_t value = values[rows[i]];
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
    } else {
        /* Several of each, so that no comparison waits for the one before. */
        int64_t low[4] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
        int64_t high[4] = {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN};
        int32_t i = 0;
        for (; i + 4 <= n; i += 4) {
            for (int32_t lane = 0; lane < 4; lane++) {
                const int64_t value = values[i + lane];
                low[lane] = value < low[lane] ? value : low[lane];
                high[lane] = value > high[lane] ? value : high[lane];
            }
        }
        for (; i < n; i++) {
            low[0] = values[i] < low[0] ? values[i] : low[0];
            high[0] = values[i] > high[0] ? values[i] : high[0];
        }
        for (int32_t lane = 0; lane < 4; lane++) {
            least = low[lane] < least ? low[lane] : least;
            most = high[lane] > most ? high[lane] : most;
        }
    }
    *min = least;
    *max = most;
    return any;
}

/* --- splits */
void watermarks_init(struct watermarks *watermarks, int64_t idle_timeout_ns, int64_t drift_max_ms) {
    *watermarks = (struct watermarks){.idle_timeout_ns = idle_timeout_ns,
                                      .drift_max_ms = drift_max_ms,
                                      .limit_ms = INT64_MAX,
                                      .combined_ms = WATERMARK_NONE,
                                      .quiet_ns = INT64_MIN};
}

void watermarks_clear(struct watermarks *watermarks) {
    free(watermarks->splits);
    *watermarks = (struct watermarks){0};
}

sabot_status watermarks_resize(struct watermarks *watermarks, int32_t n, int64_t now_ns, struct sabot_error *err) {
    if (n > watermarks->capacity) {
        const int32_t capacity = n < 8 ? 8 : n + n / 2;
        struct watermark_split *splits = realloc(watermarks->splits, (size_t)capacity * sizeof *splits);
        if (!splits) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for %d splits", n); }
        watermarks->splits = splits;
        watermarks->capacity = capacity;
    }
    for (; watermarks->n < n; watermarks->n++) {
        watermarks->splits[watermarks->n] =
            (struct watermark_split){.watermark_ms = WATERMARK_NONE, .active_ns = now_ns, .advanced_ns = now_ns};
    }
    return SABOT_OK;
}

void watermarks_rows(struct watermarks *watermarks, int32_t split, int64_t watermark_ms, int64_t now_ns) {
    assert(split >= 0 && split < watermarks->n);
    struct watermark_split *at = &watermarks->splits[split];
    at->active_ns = now_ns;
    at->idle = false;
    if (watermark_ms > at->watermark_ms) {
        at->watermark_ms = watermark_ms;
        at->advanced_ns = now_ns;
    }
}

void watermarks_finish(struct watermarks *watermarks, int32_t split) { watermarks->splits[split].finished = true; }

void watermarks_blocked(struct watermarks *watermarks, int64_t duration_ns) {
    if (duration_ns <= 0) { return; }
    for (int32_t i = 0; i < watermarks->n; i++) { watermarks->splits[i].active_ns += duration_ns; }
    if (watermarks->quiet_ns != INT64_MIN) { watermarks->quiet_ns += duration_ns; }
}

/* A split that is not read because it is ahead can't show rows: its silence is not idleness. */
static void find_idle(struct watermarks *watermarks, int64_t now_ns) {
    for (int32_t i = 0; i < watermarks->n; i++) {
        struct watermark_split *split = &watermarks->splits[i];
        if (split->paused) {
            split->active_ns = now_ns;
        } else if (watermarks->idle_timeout_ns > 0 && now_ns - split->active_ns >= watermarks->idle_timeout_ns) {
            split->idle = true;
        }
    }
}

/* Whoever has no split at all, or only such as have ended, must not hold up the others for ever either: one of more
 * tasks than there are files or partitions. */
static bool quiet_for_long(struct watermarks *watermarks, int64_t now_ns) {
    if (watermarks->quiet_ns == INT64_MIN) { watermarks->quiet_ns = now_ns; }
    return watermarks->idle_timeout_ns > 0 && now_ns - watermarks->quiet_ns >= watermarks->idle_timeout_ns;
}

enum watermark_event watermarks_combine(struct watermarks *watermarks, int64_t now_ns) {
    find_idle(watermarks, now_ns);
    int64_t least = INT64_MAX;
    int32_t n_idle = 0, n_counted = 0;
    for (int32_t i = 0; i < watermarks->n; i++) {
        const struct watermark_split *split = &watermarks->splits[i];
        if (split->finished) { continue; }
        if (split->idle) {
            n_idle++;
            continue;
        }
        n_counted++;
        least = split->watermark_ms < least ? split->watermark_ms : least;
    }
    if (n_counted == 0) {
        /* Finished splits say nothing: the end of the input is an event of its own, and where others are idle, they may
         * wake up with rows that are not late. */
        const bool idle = n_idle > 0 || quiet_for_long(watermarks, now_ns);
        if (!idle || watermarks->idle_given) { return WATERMARK_SAME; }
        watermarks->idle_given = true;
        return WATERMARK_IDLE;
    }
    watermarks->quiet_ns = now_ns;
    const bool wakes = watermarks->idle_given;
    watermarks->idle_given = false;
    if (least > watermarks->combined_ms) {
        watermarks->combined_ms = least;
        return WATERMARK_ADVANCED;
    }
    /* Behind "idle" the old watermark is told again: this path counts once more. */
    return wakes && watermarks->combined_ms != WATERMARK_NONE ? WATERMARK_ADVANCED : WATERMARK_SAME;
}

int64_t watermarks_next_idle_ns(const struct watermarks *watermarks) {
    int64_t next = INT64_MAX;
    bool any = false;
    if (watermarks->idle_timeout_ns <= 0) { return next; }
    for (int32_t i = 0; i < watermarks->n; i++) {
        const struct watermark_split *split = &watermarks->splits[i];
        any |= !split->finished;
        if (split->finished || split->idle || split->paused) { continue; }
        const int64_t at = split->active_ns + watermarks->idle_timeout_ns;
        next = at < next ? at : next;
    }
    const bool waits = !any && !watermarks->idle_given && watermarks->quiet_ns != INT64_MIN;
    return waits ? watermarks->quiet_ns + watermarks->idle_timeout_ns : next;
}

int32_t watermarks_holder(const struct watermarks *watermarks) {
    int32_t holder = -1;
    for (int32_t i = 0; i < watermarks->n; i++) {
        const struct watermark_split *split = &watermarks->splits[i];
        if (split->finished || split->idle) { continue; }
        if (holder < 0 || split->watermark_ms < watermarks->splits[holder].watermark_ms) { holder = i; }
    }
    return holder;
}

/* --- alignment */
int64_t watermark_alignment_limit(const int64_t *told_ms, int32_t n, int64_t drift_ms) {
    int64_t least = INT64_MAX;
    for (int32_t i = 0; i < n; i++) { least = told_ms[i] < least ? told_ms[i] : least; }
    if (least == WATERMARK_NONE) { return INT64_MAX; } /* somebody has not begun: there is nothing to compare with */
    return least > INT64_MAX - drift_ms ? INT64_MAX : least + drift_ms;
}

int64_t watermarks_for_alignment(const struct watermarks *watermarks) {
    const int32_t holder = watermarks_holder(watermarks);
    return holder < 0 ? INT64_MAX : watermarks->splits[holder].watermark_ms;
}

void watermarks_align(struct watermarks *watermarks, int64_t now_ns,
                      void (*pause)(void *arg, int32_t split, bool paused), void *arg) {
    int64_t limit = watermarks->limit_ms;
    if (watermarks->drift_max_ms > 0) {
        const int64_t least = watermarks_for_alignment(watermarks);
        const int64_t own = watermark_alignment_limit(&least, 1, watermarks->drift_max_ms);
        limit = own < limit ? own : limit;
    }
    for (int32_t i = 0; i < watermarks->n; i++) {
        struct watermark_split *split = &watermarks->splits[i];
        /* Idle splits are looked at too: one that was paused and fell idle meanwhile must come back. */
        const bool ahead = !split->finished && split->watermark_ms != WATERMARK_NONE && split->watermark_ms > limit;
        if (ahead == split->paused) { continue; }
        split->paused = ahead;
        if (!ahead) { split->active_ns = now_ns; } /* it gets its full time-out to show rows again */
        pause(arg, i, ahead);
    }
}
