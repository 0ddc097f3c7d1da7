/* Watermarks of a source: one per split, combined to one that never moves back.
 *
 * A watermark W says that no row with a time <= W is expected any more. It is kept in milliseconds; a window [start,
 * end) fires when W >= end - 1. The combined watermark is the least of the splits that are neither idle nor finished.
 * All is plain state and arithmetic: the clock is a parameter. One thread. */
#ifndef TIME_WATERMARK_H
#define TIME_WATERMARK_H

#include "arrow/batch.h"
#include "expr/program.h"

#ifndef WATERMARK_NONE
#define WATERMARK_NONE INT64_MIN
#define WATERMARK_END INT64_MAX
#endif

/* --- from rows to a watermark */
/* The watermark in ms that a watermark in finer units stands for: the last ms that lies wholly behind it. */
int64_t watermark_to_ms(int64_t watermark, int64_t units_per_ms);
/* Least and largest value of a TIMESTAMP column at rows[0..n) (NULL = 0..n-1), NULLs skipped; false where there is
 * none. */
bool time_column_range(const struct column *column, const int32_t *rows, int32_t n, int64_t *min, int64_t *max);

/* WATERMARK FOR ts AS <expression>: `ts` and `ts - INTERVAL ...` are taken from the column itself, all else is
 * compiled. */
struct watermark_generator {
    int32_t column;          /* >= 0: watermark = max(column) - delay */
    int64_t delay;           /* in units of the column */
    int64_t units_per_ms;
    struct program *program; /* column < 0 */
};
sabot_status watermark_generator_init(struct watermark_generator *generator, const struct expr *expression,
                                      const struct program_context *context, struct sabot_error *err);
void watermark_generator_clear(struct watermark_generator *generator);
/* The watermark in ms behind the batch's rows; WATERMARK_NONE where they have none. */
sabot_status watermark_generate(struct watermark_generator *generator, const struct batch *batch, int64_t *watermark_ms,
                                struct sabot_error *err);

/* --- splits */
struct watermark_split {
    int64_t watermark_ms; /* WATERMARK_NONE: no row yet */
    int64_t active_ns;    /* when it last had rows, less the time in which it could not be read */
    int64_t advanced_ns;  /* when watermark_ms last rose: for EXPLAIN STALL */
    bool idle;
    bool finished;
    bool paused;          /* ahead of the others by more than the drift: not read for now */
};
struct watermarks {
    struct watermark_split *splits;
    int32_t n, capacity;
    int64_t idle_timeout_ns; /* 0 = a split without rows holds the watermark for ever */
    int64_t drift_max_ms;    /* 0 = the splits are not aligned with each other */
    int64_t limit_ms;        /* alignment with other sources: no split may be ahead of it; INT64_MAX = none */
    int64_t combined_ms;     /* given out last */
    int64_t quiet_ns;        /* since when there has been no split that counts; INT64_MIN = not known */
    bool idle_given;         /* the last thing given out was "idle" */
};
void watermarks_init(struct watermarks *watermarks, int64_t idle_timeout_ns, int64_t drift_max_ms);
void watermarks_clear(struct watermarks *watermarks);
/* Announces splits up to n: new ones hold the watermark until they have rows, are idle or finished. */
sabot_status watermarks_resize(struct watermarks *watermarks, int32_t n, int64_t now_ns, struct sabot_error *err);
/* A split had rows (watermark_ms WATERMARK_NONE: none with a time). */
void watermarks_rows(struct watermarks *watermarks, int32_t split, int64_t watermark_ms, int64_t now_ns);
void watermarks_finish(struct watermarks *watermarks, int32_t split);
/* Nothing could be read for so long, because the output was full: that is no idleness. */
void watermarks_blocked(struct watermarks *watermarks, int64_t duration_ns);

enum watermark_event {
    WATERMARK_SAME,
    WATERMARK_ADVANCED, /* combined_ms is to be passed on */
    WATERMARK_IDLE      /* every split is idle: this path holds nobody up */
};
enum watermark_event watermarks_combine(struct watermarks *watermarks, int64_t now_ns);
/* When a split will be idle if nothing comes (env_now_ns); INT64_MAX = never. */
int64_t watermarks_next_idle_ns(const struct watermarks *watermarks);
/* The split that holds the watermark; -1 = none. */
int32_t watermarks_holder(const struct watermarks *watermarks);

/* --- alignment */
/* Pauses splits that are ahead, resumes the others; calls `pause` for each that changes. */
void watermarks_align(struct watermarks *watermarks, int64_t now_ns,
                      void (*pause)(void *arg, int32_t split, bool paused), void *arg);
/* What this source tells those that align with it: its least watermark; INT64_MAX where nobody need wait for it (no
 * splits, all idle or finished), WATERMARK_NONE where a split has not begun. */
int64_t watermarks_for_alignment(const struct watermarks *watermarks);
/* The limit of a group: the least that its members told, plus the drift. INT64_MAX = none. */
int64_t watermark_alignment_limit(const int64_t *told_ms, int32_t n, int64_t drift_ms);

#endif
