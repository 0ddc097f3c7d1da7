/* The source "batches": immutable batches that stand in memory, read by reference (benchmarks replay recorded input).
 */
#include "base/text.h"
#include "connect/memory/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct source {
    struct connector_context context;
    const struct batches_table *table;
    int64_t next, end; /* of all repetitions of all batches, in steps of the parallelism */
};

static bool batches_is_bounded(const struct connector_table *table) {
    (void)table;
    return true;
}

static sabot_status batches_open(const struct connector_context *context, struct source **out,
                                 struct sabot_error *err) {
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a source"); }
    source->context = *context;
    source->table = context->table->memory;
    source->next = context->subtask;
    source->end = (int64_t)source->table->n_batches * (source->table->repeat ? source->table->repeat : 1);
    *out = source;
    return SABOT_OK;
}

static void batches_split(const struct source *source, int32_t i, struct source_split *out) {
    (void)i;
    snprintf(out->id, sizeof out->id, "batches-%d", source->context.subtask);
    out->finished = source->next >= source->end;
}

static sabot_status batches_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    for (int32_t i = 0; positions && i < positions->selected; i++) {
        const struct split_position at = split_position_at(positions, i);
        struct source_split mine;
        batches_split(source, 0, &mine);
        if (!split_position_is_of(&at, mine.id)) { continue; }
        if (at.size != sizeof source->next) {
            return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "table \"%s\": the checkpoint holds no position of batches",
                              source->context.table->name);
        }
        memcpy(&source->next, at.bytes, sizeof source->next);
    }
    return SABOT_OK;
}

static sabot_status batches_poll(struct source *source, enum source_state *state, struct source_result *result,
                                 struct sabot_error *err) {
    *state = SOURCE_END;
    if (source->next >= source->end) { return SABOT_OK; }
    SABOT_TRY(memory_project(source->context.table, source->table->batches[source->next % source->table->n_batches],
                             &result->batch, err));
    result->batch->created_ns = env_now_ns(source->context.env);
    result->split = 0;
    source->next += source->context.parallelism;
    *state = SOURCE_BATCH;
    return SABOT_OK;
}

static int32_t batches_n_splits(const struct source *source) {
    (void)source;
    return 1;
}

static void batches_pause(struct source *source, int32_t split, bool paused) {
    (void)source, (void)split, (void)paused;
}

static sabot_status batches_position(struct source *source, int32_t split, struct text *position,
                                     struct sabot_error *err) {
    (void)split;
    text_append(position, (const char *)&source->next, sizeof source->next);
    return position->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a position") : SABOT_OK;
}

static sabot_status batches_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

static void batches_close(struct source *source) { free(source); }

const struct source_type memory_batches_source = {
    .name = "batches",
    .summary = "batches that stand in memory",
    .is_internal = true,
    .is_bounded = batches_is_bounded,
    .open = batches_open,
    .restore = batches_restore,
    .poll = batches_poll,
    .n_splits = batches_n_splits,
    .split = batches_split,
    .pause = batches_pause,
    .position = batches_position,
    .on_complete = batches_on_complete,
    .close = batches_close,
};
