/* Drives a chain of operators. */
#include "runtime/task.h"

#include "ops/source.h"
#include "runtime/job_impl.h"

#include <assert.h>
#include <stdio.h>

/* An operator that is busy, has room and gives out nothing waits for a wake-up. One that forgets to ask for it is tried
 * again so often. */
#define BUSY_RETRY_NS 1000000
#define ALARM_SLEEP_MAX_MS INT64_C(1000)

/* --- whose time it is: busy_ns of an operator is the time in it without the operators behind it */

static void timer_switch(struct task *task, int32_t op) {
    const int64_t now = env_now_ns(task->job->env);
    if (task->timed_op >= 0) { metric_add(&task->ops[task->timed_op].metrics.busy_ns, now - task->timed_at_ns); }
    task->timed_op = op;
    task->timed_at_ns = now;
}

/* Calls into operator `op_index`; the first call that fails is the one to blame. */
#define CALL(task, op_index, call)                                                                                     \
    ({                                                                                                                 \
        const int32_t caller = (task)->timed_op;                                                                       \
        timer_switch((task), (op_index));                                                                              \
        const sabot_status called = (call);                                                                            \
        timer_switch((task), caller);                                                                                  \
        if (called != SABOT_OK && (task)->failed_op < 0) { (task)->failed_op = (op_index); }                           \
        called;                                                                                                        \
    })

void task_place(const struct task *task, char *target, size_t size) {
    const int32_t op = task->failed_op >= 0 ? task->failed_op : 0;
    snprintf(target, size, "%s[%d] %s", task->vertex->name, task->subtask, task->ops[op].spec->label);
}

/* --- the links of the chain */

static bool is_source_at(const struct task *task, int32_t index) { return index == 0 && task->is_source; }

static bool outputs_full(const struct task *task) {
    for (int32_t i = 0; i < task->n_outs; i++) {
        if (exchange_is_full(&task->outs[i])) { return true; }
    }
    return false;
}

/* A busy source only says that it has more to read. */
static bool op_is_busy(const struct task *task, int32_t index) {
    return task->ops[index].op->busy && !is_source_at(task, index);
}

static bool room_behind(const struct task *task, int32_t index) {
    if (outputs_full(task)) { return false; }
    for (int32_t i = index + 1; i < task->n_ops; i++) {
        if (op_is_busy(task, i) || !item_queue_is_empty(&task->ops[i].waiting)) { return false; }
    }
    return true;
}

static bool link_is_full(const struct op_out *out) {
    const struct chain_op *from = (const struct chain_op *)out;
    return !room_behind(from->task, from->index);
}

static bool is_sink_at(const struct task *task, int32_t index) {
    return task->n_outs == 0 && index == task->n_ops - 1;
}

/* A sink gives nothing out, and what it was given since the start has to be committed. */
static sabot_status deliver_end(struct task *task, struct chain_op *to, struct sabot_error *err) {
    if (to->end_done_before && !is_sink_at(task, to->index)) { return to->out.end(&to->out, err); }
    return CALL(task, to->index, to->spec->type->on_end(to->op, &to->out, err));
}

/* Rows for an operator that has given out its results in an earlier life: the job was drained, or its input has grown
 * since it had come to its end. */
static sabot_status rows_behind_the_end(struct task *task, struct chain_op *to, struct sabot_error *err) {
    if (task->failed_op < 0) { task->failed_op = to->index; }
    return SABOT_FAIL(err, SABOT_ERR_STATE, "the checkpoint that this job was started from was taken behind the end of "
                      "the input, when all results had been given out: the rows that come now can't become part of "
                      "them; start from a checkpoint before the end, or without one");
}

/* Gives an operator that is not busy one event. */
static sabot_status deliver(struct task *task, int32_t index, int32_t input, const struct channel_item *item,
                            struct sabot_error *err) {
    struct chain_op *to = &task->ops[index];
    const struct op_type *type = to->spec->type;
    switch (item->kind) {
    case CHANNEL_BATCH:
        metric_add(&to->metrics.batches_in, 1);
        metric_add(&to->metrics.rows_in, item->batch->selected);
        if (to->end_done_before && type->ends_for_good) {
            batch_unref(item->batch);
            return rows_behind_the_end(task, to, err);
        }
        return CALL(task, index, type->on_batch(to->op, input, item->batch, &to->out, err));
    case CHANNEL_WATERMARK:
        atomic_store_explicit(&to->metrics.watermark_ms, item->value, memory_order_relaxed);
        return CALL(task, index, type->on_watermark(to->op, item->value, &to->out, err));
    case CHANNEL_IDLE: return CALL(task, index, type->on_idle(to->op, &to->out, err));
    case CHANNEL_END: return deliver_end(task, to, err);
    case CHANNEL_BARRIER: break;
    }
    assert(!"barriers do not go through links");
    return SABOT_ERR_INTERNAL;
}

static sabot_status outputs_put(struct task *task, const struct channel_item *item, struct sabot_error *err) {
    if (item->kind != CHANNEL_BATCH) {
        for (int32_t i = 0; i < task->n_outs; i++) { SABOT_TRY(exchange_event(&task->outs[i], item, err)); }
        return SABOT_OK;
    }
    BATCH_OWNED struct batch *batch = item->batch;
    for (int32_t i = 0; i + 1 < task->n_outs; i++) {
        SABOT_TRY(exchange_emit(&task->outs[i], batch_ref(batch), err));
    }
    if (task->n_outs == 0) { return SABOT_OK; } /* the last operator is a sink that passes rows on: to nobody */
    struct batch *last = batch;
    batch = NULL;
    return exchange_emit(&task->outs[task->n_outs - 1], last, err);
}

static void publish_watermark(struct task *task, int64_t watermark_ms) {
    atomic_store_explicit(&task->watermark_ms, watermark_ms, memory_order_relaxed);
    atomic_store_explicit(&task->watermark_since_ns, env_now_ns(task->job->env), memory_order_relaxed);
    atomic_store_explicit(&task->is_idle, false, memory_order_relaxed);
}

/* What operator `from` gives out: a direct call of the next one, or, behind the last, into the exchanges. */
static sabot_status link_put(struct chain_op *from, const struct channel_item *item, struct sabot_error *err) {
    struct task *task = from->task;
    const int32_t next = from->index + 1;
    task->given++;
    if (next == task->n_ops) {
        if (item->kind == CHANNEL_WATERMARK) { publish_watermark(task, item->value); }
        if (item->kind == CHANNEL_IDLE) { atomic_store_explicit(&task->is_idle, true, memory_order_relaxed); }
        return outputs_put(task, item, err);
    }
    struct chain_op *to = &task->ops[next];
    if (to->op->busy || !item_queue_is_empty(&to->waiting)) { return item_queue_add(&to->waiting, item, err); }
    return deliver(task, next, 0, item, err);
}

static sabot_status link_emit(struct op_out *out, struct batch *batch, struct sabot_error *err) {
    struct chain_op *from = (struct chain_op *)out;
    metric_add(&from->metrics.batches_out, 1);
    metric_add(&from->metrics.rows_out, batch->selected);
    return link_put(from, &(struct channel_item){.kind = CHANNEL_BATCH, .batch = batch}, err);
}

static sabot_status watermark_put(struct chain_op *from, int64_t watermark_ms, struct sabot_error *err) {
    return link_put(from, &(struct channel_item){.kind = CHANNEL_WATERMARK, .value = watermark_ms}, err);
}

/* Gives out the watermark that waits for its interval, if one does. */
static sabot_status held_watermark_put(struct chain_op *from, int64_t now, struct sabot_error *err) {
    struct task *task = from->task;
    const int64_t held = task->held_watermark_ms;
    if (held == WATERMARK_NONE) { return SABOT_OK; }
    task->held_watermark_ms = WATERMARK_NONE;
    task->watermark_sent_ns = now;
    return watermark_put(from, held, err);
}

static sabot_status link_watermark(struct op_out *out, int64_t watermark_ms, struct sabot_error *err) {
    struct chain_op *from = (struct chain_op *)out;
    struct task *task = from->task;
    if (!is_source_at(task, from->index)) { return watermark_put(from, watermark_ms, err); }
    atomic_store_explicit(&from->metrics.watermark_ms, watermark_ms, memory_order_relaxed);
    const int64_t interval = task->job->options.watermark_interval_ns;
    if (interval <= 0 || watermark_ms == WATERMARK_END) {
        task->held_watermark_ms = WATERMARK_NONE;
        return watermark_put(from, watermark_ms, err);
    }
    const int64_t now = env_now_ns(task->job->env);
    task->held_watermark_ms = watermark_ms;
    return now - task->watermark_sent_ns < interval ? SABOT_OK : held_watermark_put(from, now, err);
}

static sabot_status link_idle(struct op_out *out, struct sabot_error *err) {
    struct chain_op *from = (struct chain_op *)out;
    if (is_source_at(from->task, from->index)) { SABOT_TRY(held_watermark_put(from, from->task->timed_at_ns, err)); }
    return link_put(from, &(struct channel_item){.kind = CHANNEL_IDLE}, err);
}

static sabot_status link_end(struct op_out *out, struct sabot_error *err) {
    struct chain_op *from = (struct chain_op *)out;
    assert(!from->ended);
    from->ended = true;
    return link_put(from, &(struct channel_item){.kind = CHANNEL_END}, err);
}

void task_link(struct task *task) {
    for (int32_t i = 0; i < task->n_ops; i++) {
        struct chain_op *op = &task->ops[i];
        op->out = (struct op_out){link_emit, link_watermark, link_idle, link_end, link_is_full};
        op->task = task;
        op->index = i;
    }
    task->timed_op = task->failed_op = -1;
    task->barrier_id = BARRIER_NONE;
    task->barrier_passed = BARRIER_NONE;
    task->completed_id = BARRIER_NONE;
    task->blocked_since_ns = INT64_MIN;
    task->wake_at_ns = INT64_MAX;
    task->held_watermark_ms = WATERMARK_NONE;
}

/* --- what was interrupted */

static bool outputs_flush(struct task *task) {
    bool room = true;
    for (int32_t i = 0; i < task->n_outs; i++) { room &= exchange_flush(&task->outs[i]); }
    struct metrics *metrics = &task->ops[task->n_ops - 1].metrics;
    if (!room && task->blocked_since_ns == INT64_MIN) {
        task->blocked_since_ns = env_now_ns(task->job->env);
    } else if (room && task->blocked_since_ns != INT64_MIN) {
        metric_add(&metrics->blocked_ns, env_now_ns(task->job->env) - task->blocked_since_ns);
        task->blocked_since_ns = INT64_MIN;
    }
    return room;
}

static void wake_at_most(struct task *task, int64_t at_ns) {
    if (at_ns < task->wake_at_ns) { task->wake_at_ns = at_ns; }
}

/* Lets busy operators go on and gives them what waits for them, last first, so that room is made before it is needed.
 * *settled: no operator is busy, nothing waits. */
static sabot_status chain_go_on(struct task *task, int32_t *budget, bool *settled, struct sabot_error *err) {
    *settled = true;
    for (int32_t i = task->n_ops - 1; i >= 0; i--) {
        struct chain_op *op = &task->ops[i];
        for (;;) {
            if (op_is_busy(task, i)) {
                if (!room_behind(task, i) || *budget <= 0) { break; }
                --*budget;
                const int64_t given = task->given;
                SABOT_TRY(CALL(task, i, op->spec->type->resume(op->op, &op->out, err)));
                if (op_is_busy(task, i) && task->given == given) {
                    wake_at_most(task, task->timed_at_ns + BUSY_RETRY_NS);
                    break;
                }
            } else if (!item_queue_is_empty(&op->waiting)) {
                if (!room_behind(task, i) || *budget <= 0) { break; }
                --*budget;
                const struct channel_item item = *item_queue_first(&op->waiting);
                item_queue_drop_first(&op->waiting);
                SABOT_TRY(deliver(task, i, 0, &item, err));
            } else {
                break;
            }
        }
        *settled &= !op_is_busy(task, i) && item_queue_is_empty(&op->waiting);
    }
    return SABOT_OK;
}

/* --- barriers */

static void barrier_begin(struct task *task, int64_t checkpoint_id, int64_t timestamp_ms) {
    task->barrier_id = checkpoint_id;
    task->barrier_timestamp_ms = timestamp_ms;
    task->barrier_at = 0;
    task->barrier_entered = false;
}

/* Takes the barrier as far through the chain as it can go; it is through when barrier_id is BARRIER_NONE again. */
static sabot_status barrier_go_on(struct task *task, struct sabot_error *err) {
    for (; task->barrier_at < task->n_ops; task->barrier_at++, task->barrier_entered = false) {
        struct chain_op *op = &task->ops[task->barrier_at];
        if (op_is_busy(task, op->index) || !item_queue_is_empty(&op->waiting)) { return SABOT_OK; }
        if (!task->barrier_entered) {
            task->barrier_entered = true;
            SABOT_TRY(CALL(task, op->index,
                           op->spec->type->before_barrier(op->op, task->barrier_id, &op->out, err)));
            if (op_is_busy(task, op->index)) { return SABOT_OK; }
        }
    }
    const struct channel_item barrier = {
        .kind = CHANNEL_BARRIER, .value = task->barrier_id, .timestamp_ms = task->barrier_timestamp_ms};
    SABOT_TRY(outputs_put(task, &barrier, err));
    /* Rows go on behind the barrier at once; the state of this moment is copied between them. */
    const int64_t id = task->barrier_id;
    task->barrier_id = BARRIER_NONE;
    task->barrier_passed = id;
    if (task->overtake.told == id && task->overtake.id != id) {
        for (int32_t i = 0; i < task->n_outs; i++) { exchange_announce(&task->outs[i], id); }
    }
    return job_task_snapshot(task, id, err);
}

static void wishes_take(struct task *task) {
    const int64_t aborted = atomic_load_explicit(&task->barrier_aborted, memory_order_acquire);
    if (task->n_inputs > 0 && aborted > task->aligner.over) { barrier_abort(&task->aligner, aborted); }
    if (task->overtake.id != BARRIER_NONE && aborted >= task->overtake.id) { overtake_abort(task); }
    const bool satisfied = atomic_load_explicit(&task->job->satisfied, memory_order_acquire);
    if (task->is_source && !task->stopped && !source_op_of(task->ops[0].op)->drains &&
        (satisfied || atomic_load_explicit(&task->stop_wanted, memory_order_acquire))) {
        if (!satisfied && !source_op_of(task->ops[0].op)->ended) { atomic_store(&task->job->cut_short, true); }
        if (satisfied || atomic_load(&task->job->drain_wanted)) {
            source_drain(task->ops[0].op);
        } else {
            task->stopped = true;
            source_stop(task->ops[0].op);
        }
    }
    if (task->is_source && task->barrier_id == BARRIER_NONE) {
        /* sources have no channels: their aligner only remembers what is over */
        const int64_t wanted = atomic_load_explicit(&task->barrier_wanted, memory_order_acquire);
        if (wanted > task->aligner.over && wanted > aborted) {
            task->aligner.over = wanted;
            barrier_begin(task, wanted,
                          atomic_load_explicit(&task->barrier_wanted_timestamp_ms, memory_order_relaxed));
        }
    }
    if (task->is_source && atomic_exchange_explicit(&task->explain_wanted, false, memory_order_acq_rel)) {
        job_task_explain(task);
    }
}

/* Barriers are to overtake rows: only while none is on its way through the chain. */
static sabot_status overtake_take(struct task *task, struct sabot_error *err) {
    const int64_t wanted = atomic_load_explicit(&task->overtake_wanted, memory_order_acquire);
    if (wanted > task->overtake.told &&
        wanted > atomic_load_explicit(&task->barrier_aborted, memory_order_acquire)) {
        if (task->barrier_id == BARRIER_NONE) {
            SABOT_TRY(overtake_begin(
                task, wanted, atomic_load_explicit(&task->barrier_wanted_timestamp_ms, memory_order_relaxed), err));
        } else if (task->barrier_id == wanted) {
            task->overtake.told = wanted;
        }
    }
    return task->overtake.taken ? overtake_go_on(task, err) : SABOT_OK;
}

/* Tells the operators that a checkpoint is complete. Only between two barriers and while nobody is busy. */
static sabot_status commit(struct task *task, struct sabot_error *err) {
    const int64_t wanted = atomic_load_explicit(&task->complete_wanted, memory_order_acquire);
    if (wanted <= task->completed_id) { return SABOT_OK; }
    task->completed_id = wanted;
    task->commit_pending = true;
    for (int32_t i = 0; i < task->n_ops; i++) {
        SABOT_TRY(CALL(task, i, task->ops[i].spec->type->on_complete(task->ops[i].op, wanted, err)));
    }
    return SABOT_OK;
}

/* Whether the operators have done what was begun by commit(). */
static sabot_status commit_look(struct task *task, struct sabot_error *err) {
    for (int32_t i = 0; i < task->n_ops; i++) {
        bool done = true;
        const struct op_type *type = task->ops[i].spec->type;
        if (type->completed) { SABOT_TRY(CALL(task, i, type->completed(task->ops[i].op, &done, err))); }
        if (!done) { return SABOT_OK; }
    }
    task->commit_pending = false;
    job_task_committed(task, task->completed_id);
    return SABOT_OK;
}

/* --- input */

static sabot_status forward(struct task *task, const struct channel_item *item, struct sabot_error *err) {
    return deliver(task, 0, 0, item, err);
}

static sabot_status change_pass_on(struct task *task, struct watermark_change change, struct sabot_error *err) {
    if (change.advanced) {
        SABOT_TRY(forward(task, &(struct channel_item){.kind = CHANNEL_WATERMARK, .value = task->combine.watermark_ms},
                          err));
    }
    if (!change.idle) { return SABOT_OK; }
    /* the watermark may have made the first operator busy: then this waits in front of it */
    const struct channel_item idle = {.kind = CHANNEL_IDLE};
    return task->ops[0].op->busy ? item_queue_add(&task->ops[0].waiting, &idle, err) : forward(task, &idle, err);
}

/* An operator of several inputs hears of the end of one when all its channels have ended. */
static void input_end(struct task *task, int32_t input) {
    const struct op_type *type = task->ops[0].spec->type;
    for (int32_t i = 0; i < task->n_inputs; i++) {
        if (task->inputs[i].input == input && !task->inputs[i].ended) { return; }
    }
    if (type->on_input_end) { type->on_input_end(task->ops[0].op, input); }
}

static sabot_status input_take(struct task *task, int32_t index, struct channel_item *item, struct sabot_error *err) {
    struct task_input *input = &task->inputs[index];
    const int64_t now = item->kind == CHANNEL_BATCH ? 0 : env_now_ns(task->job->env);
    switch (item->kind) {
    case CHANNEL_BATCH:
        watermark_combine_active(&task->combine, index);
        if (task->overtake.taken && !task->overtake.closed[index]) {
            const sabot_status status = overtake_record(task, index, item->batch, err);
            if (status != SABOT_OK) {
                batch_unref(item->batch);
                return status;
            }
        }
        return deliver(task, 0, input->input, item, err);
    case CHANNEL_WATERMARK:
        return change_pass_on(task, watermark_combine_advance(&task->combine, index, item->value, now), err);
    case CHANNEL_IDLE: return change_pass_on(task, watermark_combine_idle(&task->combine, index, now), err);
    case CHANNEL_BARRIER:
        overtake_barrier(task, index, item->value);
        if (barrier_arrive(&task->aligner, index, item->value, item->timestamp_ms) == BARRIER_ALIGNED) {
            barrier_begin(task, item->value, item->timestamp_ms);
        }
        atomic_store_explicit(&task->barriers_ignored, task->aligner.ignored, memory_order_relaxed);
        return SABOT_OK;
    case CHANNEL_END:
        assert(!input->ended);
        input->ended = true;
        input_end(task, input->input);
        if (++task->n_inputs_ended < task->n_inputs) { return SABOT_OK; }
        task->end_reached = true;
        return forward(task, item, err);
    }
    return SABOT_OK;
}

/* The input that the operator wants to read next; -1: any. A barrier must find its way through all channels, and
 * sources that wait for each other's event time must all be read. */
static int32_t input_wanted(const struct task *task, bool *waits) {
    const struct op_type *type = task->ops[0].spec->type;
    *waits = false;
    if (!type->next_input || task->aligner.n_arrived > 0 || task->overtake.id != BARRIER_NONE ||
        task->job->options.alignment_max_drift_ms > 0) {
        return -1;
    }
    return type->next_input(task->ops[0].op, waits);
}

/* The next event from the channels of an input (-1: of any), in turn, so that none starves; false: nothing there. */
static bool input_pop(struct task *task, int32_t input, int32_t *index, struct channel_item *item) {
    for (int32_t i = 0; i < task->n_inputs; i++) {
        int32_t at = task->next_input + i;
        at = at >= task->n_inputs ? at - task->n_inputs : at;
        if (input >= 0 && task->inputs[at].input != input) { continue; }
        if (barrier_blocks(&task->aligner, at) || !channel_pop(task->inputs[at].channel, item)) { continue; }
        *index = at;
        task->next_input = at + 1 == task->n_inputs ? 0 : at + 1;
        return true;
    }
    return false;
}

static bool input_next(struct task *task, int32_t *index, struct channel_item *item) {
    bool waits;
    const int32_t wanted = input_wanted(task, &waits);
    if (wanted >= 0 && input_pop(task, wanted, index, item)) { return true; }
    return !waits && input_pop(task, -1, index, item);
}

/* Keeps this source from running ahead of the slowest of the job's sources by more than the drift. */
static void source_keep_pace(struct task *task) {
    const struct job *job = task->job;
    const int64_t drift = job->options.alignment_max_drift_ms;
    if (drift <= 0) { return; }
    struct op *source = task->ops[0].op;
    atomic_store_explicit(&task->align_ms, source_watermark_ms(source), memory_order_relaxed);
    int64_t least = INT64_MAX;
    for (int32_t t = 0; t < job->n_tasks; t++) {
        if (!job->tasks[t].is_source) { continue; }
        const int64_t other = atomic_load_explicit(&job->tasks[t].align_ms, memory_order_relaxed);
        /* one without a watermark yet says nothing of where it stands */
        if (other != WATERMARK_NONE && other < least) { least = other; }
    }
    source_align(source, least > INT64_MAX - drift ? INT64_MAX : least + drift);
    /* the others do not wake us when they catch up */
    wake_at_most(task, env_now_ns(job->env) + task->ops[0].context.latency_target_ns);
}

/* While memory is short a source waits until what it has given out is taken. It never waits for nothing: where the
 * memory is held by something else, reading on ends in an error that says by what. */
static bool source_waits(struct task *task) {
    if (!memory_is_short(task->job->pool)) { return false; }
    for (int32_t i = 0; i < task->n_outs; i++) {
        for (int32_t t = 0; t < task->outs[i].n_targets; t++) {
            if (channel_count(task->outs[i].targets[t].channel) == 0) { continue; }
            wake_at_most(task, env_now_ns(task->job->env) + BUSY_RETRY_NS);
            return true;
        }
    }
    return false;
}

static sabot_status source_read(struct task *task, bool *more, struct sabot_error *err) {
    struct chain_op *source = &task->ops[0];
    struct source_op *base = source_op_of(source->op);
    *more = false;
    if (task->stopped || base->ended || source_waits(task)) { return SABOT_OK; }
    source_keep_pace(task);
    SABOT_TRY(CALL(task, 0, source->spec->type->resume(source->op, &source->out, err)));
    task->end_reached = base->ended;
    if (base->ended) { atomic_store_explicit(&task->align_ms, INT64_MAX, memory_order_relaxed); }
    *more = source->op->busy && !base->ended;
    if (!*more && !base->ended) { wake_at_most(task, base->wake_at_ns); }
    return SABOT_OK;
}

/* Who has seen the barrier of a stop sees this too: it was set before the barrier was begun. */
static bool is_still(const struct task *task) {
    return atomic_load_explicit(&task->job->still, memory_order_acquire);
}

static sabot_status ticks(struct task *task, int64_t now, struct sabot_error *err) {
    if (!task->has_ticks || is_still(task)) { return SABOT_OK; }
    if (now >= task->tick_at_ns) {
        task->tick_at_ns = now + task->ops[0].context.latency_target_ns;
        for (int32_t i = task->n_ops - 1; i >= 0; i--) {
            struct chain_op *op = &task->ops[i];
            if (!op->spec->type->wants_ticks || op->ended || op->op->busy || is_source_at(task, i)) { continue; }
            if (!room_behind(task, i)) { continue; }
            SABOT_TRY(CALL(task, i, op->spec->type->resume(op->op, &op->out, err)));
        }
    }
    wake_at_most(task, task->tick_at_ns);
    return SABOT_OK;
}

/* Processing time: calls operators whose time has come, last first, as ticks do. */
static sabot_status alarms(struct task *task, struct sabot_error *err) {
    if (is_still(task)) { return SABOT_OK; }
    for (int32_t i = task->n_ops - 1; i >= 0; i--) {
        struct chain_op *op = &task->ops[i];
        if (!op->op->wake_at_ms || op->ended || is_source_at(task, i)) { continue; }
        const int64_t wall_ms = env_wall_ms(task->job->env);
        if (op->op->wake_at_ms > wall_ms || op->op->busy || !room_behind(task, i)) { continue; }
        op->op->wake_at_ms = 0;
        SABOT_TRY(CALL(task, i, op->spec->type->on_time(op->op, wall_ms, &op->out, err)));
    }
    return SABOT_OK;
}

/* When the task has to be stepped for the next of them. */
static void alarms_set(struct task *task, int64_t now) {
    if (is_still(task)) { return; }
    for (int32_t i = 0; i < task->n_ops; i++) {
        const struct chain_op *op = &task->ops[i];
        if (!op->op->wake_at_ms || op->ended || is_source_at(task, i)) { continue; }
        const int64_t left_ms = op->op->wake_at_ms - env_wall_ms(task->job->env);
        /* What is due and was not called waits for something else, which wakes the task. The wall clock may be set
         * while the task sleeps, so it is looked at now and then. */
        wake_at_most(task, now + (left_ms <= 0                   ? BUSY_RETRY_NS
                                  : left_ms < ALARM_SLEEP_MAX_MS ? left_ms * 1000000
                                                                 : ALARM_SLEEP_MAX_MS * 1000000));
    }
}

static sabot_status watermark_release(struct task *task, int64_t now, struct sabot_error *err) {
    if (task->held_watermark_ms == WATERMARK_NONE || is_still(task)) { return SABOT_OK; }
    const int64_t due = task->watermark_sent_ns + task->job->options.watermark_interval_ns;
    if (now >= due) { return held_watermark_put(&task->ops[0], now, err); }
    wake_at_most(task, due);
    return SABOT_OK;
}

static void end_report(struct task *task) {
    if (task->end_reported || !task->ops[task->n_ops - 1].ended) { return; }
    task->end_reported = true;
    atomic_store_explicit(&task->has_ended, true, memory_order_relaxed);
    job_task_ended(task);
}

/* One thing at a time. *more: there is (or may be) another. */
static sabot_status work_once(struct task *task, int64_t now, int32_t *budget, bool *more, struct sabot_error *err) {
    *more = false;
    wishes_take(task);
    SABOT_TRY(overtake_take(task, err));
    const bool room = outputs_flush(task);
    bool settled;
    const int32_t before = *budget;
    SABOT_TRY(chain_go_on(task, budget, &settled, err));
    if (task->barrier_id != BARRIER_NONE) {
        SABOT_TRY(barrier_go_on(task, err));
        if (task->barrier_id != BARRIER_NONE) {
            *more = *budget < before && *budget <= 0;
            return SABOT_OK;
        }
        *more = true;
        return SABOT_OK;
    }
    end_report(task);
    if (!settled) {
        *more = *budget <= 0 && room;
        return SABOT_OK;
    }
    SABOT_TRY(commit(task, err));
    if (task->commit_pending) {
        for (int32_t i = 0; i < task->n_ops; i++) {
            if (op_is_busy(task, i)) { return SABOT_OK; }
        }
        SABOT_TRY(commit_look(task, err));
    }
    if (!room || outputs_full(task)) { return SABOT_OK; } /* the channel wakes us */
    if (task->snapshot && task_snapshot_is_full(task->snapshot)) { return SABOT_OK; } /* a helper wakes us */
    SABOT_TRY(ticks(task, now, err));
    SABOT_TRY(alarms(task, err));
    if (task->is_source) {
        SABOT_TRY(source_read(task, more, err));
        SABOT_TRY(watermark_release(task, now, err));
        --*budget;
    } else {
        int32_t index;
        struct channel_item item;
        if (task->overtake.next_restored < task->overtake.n_restored) {
            const struct overtaken *restored = &task->overtake.restored[task->overtake.next_restored++];
            *more = true;
            --*budget;
            const struct channel_item rows = {.kind = CHANNEL_BATCH, .batch = restored->batch};
            SABOT_TRY(deliver(task, 0, task->inputs[restored->input].input, &rows, err));
        } else if (input_next(task, &index, &item)) {
            *more = true;
            --*budget;
            SABOT_TRY(input_take(task, index, &item, err));
        }
    }
    end_report(task);
    return SABOT_OK;
}

static sabot_status step_once(struct task *task, int64_t now, int32_t *budget, bool *more, struct sabot_error *err) {
    bool copies = false;
    if (task->snapshot) { task_snapshot_step(&task->snapshot, &copies); }
    const int32_t before = *budget;
    SABOT_TRY(work_once(task, now, budget, more, err));
    if (copies && *budget == before) { --*budget; }
    *more |= copies;
    return SABOT_OK;
}

/* Where no sink of the job gets another row (a LIMIT is reached, or its input is over) nobody needs to read on. */
static void satisfaction_tell(struct task *task) {
    if (task->n_outs > 0 || task->satisfied) { return; }
    task->satisfied = task->end_reported;
    for (int32_t i = 0; i < task->n_ops; i++) { task->satisfied |= task->ops[i].op->satisfied; }
    if (task->satisfied && atomic_fetch_sub(&task->job->n_wanting, 1) == 1) { job_satisfied(task->job); }
}

sabot_status task_step(struct task *task, const struct task_step *step, bool *more, struct sabot_error *err) {
    task->wake_at_ns = INT64_MAX;
    int32_t budget = step->items;
    int64_t now = step->now_ns;
    do {
        SABOT_TRY(step_once(task, now, &budget, more, err));
        now = env_now_ns(task->job->env);
    } while (*more && budget > 0 && now < step->until_ns);
    alarms_set(task, now);
    satisfaction_tell(task);
    return SABOT_OK;
}
