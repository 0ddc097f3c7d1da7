/* The newest rows of a running query, drawn over the last drawing. */
#include "cli/live.h"

#include <stdio.h>
#include <string.h>

#define LIVE_ROWS 20
#define REFRESH_NS 100000000
#define POLL_NS 50000000

struct live {
    struct env *env;
    struct session_job *job;
    struct batch *kept[LIVE_ROWS]; /* one row each, oldest first */
    int n_kept;
    int drawn; /* lines of the last drawing */
};

/* The newest rows, drawn over the last drawing. */
static sabot_status draw(struct live *live, struct sabot_error *err) {
    if (live->drawn > 0) { printf("\033[%dA\033[J", live->drawn); }
    struct output *output = NULL;
    const struct output_options options = {.kind = OUTPUT_TABLE, .updating = live->job->updating};
    SABOT_TRY(output_new(live->env, live->job->session->pool, live->job->schema, &options, &output, err));
    fflush(stdout);
    sabot_status status = SABOT_OK;
    for (int i = 0; i < live->n_kept && status == SABOT_OK; i++) { status = output_write(output, live->kept[i], err); }
    if (status == SABOT_OK) { status = output_end(output, err); }
    live->drawn = (int)output_rows(output) + 5;
    output_free(output);
    return status;
}

/* Keeps the last LIVE_ROWS rows of what has come, as batches of one row. */
static sabot_status keep_newest(struct live *live, const struct batch *batch, struct sabot_error *err) {
    struct memory_pool *pool = live->job->session->pool;
    const int32_t first = batch->selected > LIVE_ROWS ? batch->selected - LIVE_ROWS : 0;
    for (int32_t i = first; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        struct batch *one = NULL, *detached = NULL;
        SABOT_TRY(batch_take(pool, batch, &row, 1, &one, err));
        const sabot_status status = batch_detach(pool, one, &detached, err);
        batch_unref(one);
        if (status != SABOT_OK) { return status; }
        if (live->n_kept == LIVE_ROWS) {
            batch_unref(live->kept[0]);
            memmove(live->kept, live->kept + 1, sizeof *live->kept * (LIVE_ROWS - 1));
            live->n_kept--;
        }
        live->kept[live->n_kept++] = detached;
    }
    return SABOT_OK;
}

sabot_status live_show(struct env *env, struct session_job *job, bool (*stop)(void *arg), void *arg,
                       struct sabot_error *err) {
    struct live live = {.env = env, .job = job};
    int64_t draw_at_ns = 0;
    bool end = false, changed = true;
    sabot_status status = SABOT_OK;
    while (!end && status == SABOT_OK && (stop ? !stop(arg) : console_signals() == 0)) {
        BATCH_OWNED struct batch *batch = NULL;
        status = session_job_next(job, POLL_NS, &batch, &end, err);
        if (status == SABOT_OK && batch) {
            status = keep_newest(&live, batch, err);
            changed = true;
        }
        if (status == SABOT_OK && changed && (end || env_now_ns(env) >= draw_at_ns)) {
            status = draw(&live, err);
            draw_at_ns = env_now_ns(env) + REFRESH_NS;
            changed = false;
        }
    }
    for (int i = 0; i < live.n_kept; i++) { batch_unref(live.kept[i]); }
    return status;
}
