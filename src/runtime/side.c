/* What runs beside the rows: records that could not be decoded, late rows, and what holds the watermark. */
#include "arrow/print.h"
#include "base/encode.h"
#include "ops/source.h"
#include "runtime/job_impl.h"

#include <stdio.h>
#include <string.h>

/* --- JSON lines */

/* The bytes of one well-formed UTF-8 character at `at`, 0 where there is none. */
static size_t utf8_length(const unsigned char *at, size_t left) {
    if (at[0] < 0x80) { return 1; }
    const size_t n = at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || at[0] > 0xf4 || n > left) { return 0; }
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80) { return 0; }
    }
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f)) {
        return 0;
    }
    return n;
}

static bool is_utf8(const char *data, size_t size) {
    for (size_t i = 0; i < size;) {
        const size_t n = utf8_length((const unsigned char *)data + i, size - i);
        if (n == 0) { return false; }
        i += n;
    }
    return true;
}

static void add_operator(struct text *line, const struct op_context *context) {
    text_add(line, "{\"operator\": ");
    text_add_json(line, context->spec->label, strlen(context->spec->label));
    text_format(line, ", \"subtask\": %d", context->subtask);
}

static sabot_status line_write(struct ledger *ledger, struct text *line, struct sabot_error *err) {
    text_add(line, "}\n");
    const sabot_status status = line->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a ledger's line")
                                             : ledger_add(ledger, line->data, line->size, err);
    text_clear(line);
    return status;
}

static void malformed_note(struct job *job, const char *place, const char *reason) {
    int none = 0;
    if (atomic_load_explicit(&job->malformed, memory_order_relaxed) != 0) { return; }
    if (!atomic_compare_exchange_strong(&job->malformed, &none, 1)) { return; }
    snprintf(job->malformed_first, sizeof job->malformed_first, "%.100s: %.200s", place, reason);
    atomic_store(&job->malformed, 2);
}

const char *job_malformed_first(const struct job *job) {
    return atomic_load(&((struct job *)job)->malformed) == 2 ? job->malformed_first : NULL;
}

sabot_status job_malformed(struct job *job, const struct op_context *context, const char *place, const char *reason,
                           const void *record, size_t size, struct sabot_error *err) {
    /* a connector may call this from any thread */
    atomic_fetch_add_explicit(&context->metrics->rows_malformed, 1, memory_order_relaxed);
    malformed_note(job, place, reason);
    if (job->options.on_error == JOB_ON_ERROR_FAIL) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "%s: %s; SET 'sabot.on-error' = 'skip' or 'dead-letter' to go on "
            "without "
                          "such records", place, reason);
    }
    if (!job->dead_letters) { return SABOT_OK; }
    struct text line = {0};
    add_operator(&line, context);
    text_add(&line, ", \"place\": ");
    text_add_json(&line, place, strlen(place));
    text_add(&line, ", \"reason\": ");
    text_add_json(&line, reason, strlen(reason));
    if (is_utf8(record, size)) {
        text_add(&line, ", \"record\": ");
        text_add_json(&line, record, size);
    } else {
        text_add(&line, ", \"record_base64\": ");
        text_add(&line, "\"");
        text_add_base64(&line, record, size);
        text_add(&line, "\"");
    }
    return line_write(job->dead_letters, &line, err);
}

/* --- the late ledger */

static bool prints_as_json(struct type type) {
    return type.kind == TYPE_BOOL || (type_is_numeric(type) && type.kind != TYPE_FLOAT32 && type.kind != TYPE_FLOAT64);
}

static sabot_status add_cell(struct text *line, const struct column *column, int64_t row, struct type type,
                             struct sabot_error *err) {
    if (column_is_null(column, row)) {
        text_add(line, "null");
        return SABOT_OK;
    }
    const struct text_options options = {.null_text = "null"};
    if (prints_as_json(type)) { return column_print(column, row, type, &options, line, err); }
    struct text cell = {0};
    const sabot_status status = column_print(column, row, type, &options, &cell, err);
    if (status == SABOT_OK) { text_add_json(line, text_string(&cell), cell.size); }
    text_clear(&cell);
    return status;
}

static void add_time(struct text *line, int64_t ms) {
    char time[PRINT_SIZE];
    if (ms == WATERMARK_NONE || ms == WATERMARK_END) {
        text_add(line, ms == WATERMARK_NONE ? "none" : "end of input");
        return;
    }
    print_timestamp(ms, 3, time);
    text_add(line, time);
}

sabot_status job_late(struct job *job, const struct op_context *context, const struct batch *batch, int32_t row,
                      const char *rule, int64_t watermark_ms, int64_t lateness_ms, struct sabot_error *err) {
    if (!job->late) { return SABOT_OK; }
    struct text line = {0};
    add_operator(&line, context);
    text_add(&line, ", \"rule\": ");
    text_add_json(&line, rule, strlen(rule));
    text_add(&line, ", \"watermark\": \"");
    add_time(&line, watermark_ms);
    text_format(&line, "\", \"lateness_ms\": %lld, \"row\": {", (long long)lateness_ms);
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c < batch->n_columns && status == SABOT_OK; c++) {
        const struct field *field = &batch->schema->fields[c];
        text_add(&line, c ? ", " : "");
        text_add_json(&line, field->name, strlen(field->name));
        text_add(&line, ": ");
        status = add_cell(&line, batch->columns[c], row, field->type, err);
    }
    text_add(&line, "}");
    if (status != SABOT_OK) {
        text_clear(&line);
        return status;
    }
    return line_write(job->late, &line, err);
}

/* --- EXPLAIN STALL */

/* How long a running source may take to answer. */
#define EXPLAIN_WAIT_NS 1000000000

static void explain_source(struct task *task, struct text *target) {
    const struct source_op *source = source_op_of(task->ops[0].op);
    if (source->explain_stall && !source->ended) { source->explain_stall(source, target); }
}

/* On the source's own thread: its answer. */
void job_task_explain(struct task *task) {
    struct job *job = task->job;
    env_mutex_lock(job->mutex);
    struct text answer = {0};
    explain_source(task, &answer);
    if (answer.size > 0) {
        text_format(&job->explain, "%s[%d] %s: %s", task->vertex->name, task->subtask, task->ops[0].spec->label,
                    text_string(&answer));
        if (answer.data[answer.size - 1] != '\n') { text_add(&job->explain, "\n"); }
    }
    text_clear(&answer);
    job->explain_open--;
    for (struct job_waiter *waiter = job->waiters; waiter; waiter = waiter->next) { env_event_set(waiter->event); }
    env_mutex_unlock(job->mutex);
}

static int64_t watermark_of(const struct task *task) {
    return atomic_load_explicit(&((struct task *)task)->watermark_ms, memory_order_relaxed);
}

static bool takes_part(const struct task *task) {
    struct task *readable = (struct task *)task;
    return !atomic_load_explicit(&readable->is_idle, memory_order_relaxed) &&
           !atomic_load_explicit(&readable->has_ended, memory_order_relaxed);
}

static void explain_task(struct job *job, struct task *task, const char *why, struct text *target) {
    const int64_t since = atomic_load_explicit(&task->watermark_since_ns, memory_order_relaxed);
    text_format(target, "%s[%d] %s: watermark ", task->vertex->name, task->subtask, task->ops[0].spec->label);
    add_time(target, watermark_of(task));
    text_format(target, " since %.3f s; %s\n", (double)(env_now_ns(job->env) - since) / 1e9, why);
}

/* The sources whose watermark is the least, and the tasks that lag behind all that feed them. */
static void explain_tasks(struct job *job, struct text *target) {
    int64_t least = INT64_MAX;
    for (int32_t t = 0; t < job->n_tasks; t++) {
        const struct task *task = &job->tasks[t];
        if (task->is_source && takes_part(task) && watermark_of(task) < least) { least = watermark_of(task); }
    }
    for (int32_t t = 0; t < job->n_tasks; t++) {
        struct task *task = &job->tasks[t];
        if (!takes_part(task)) { continue; }
        if (task->is_source) {
            if (watermark_of(task) == least) { explain_task(job, task, "no source is behind it", target); }
            continue;
        }
        int64_t inputs = INT64_MAX;
        int32_t waiting = 0;
        for (int32_t i = 0; i < task->n_inputs; i++) {
            if (takes_part(task->inputs[i].from) && watermark_of(task->inputs[i].from) < inputs) {
                inputs = watermark_of(task->inputs[i].from);
            }
            waiting += channel_count(task->inputs[i].channel);
        }
        if (inputs == INT64_MAX || watermark_of(task) >= inputs) { continue; }
        char why[96];
        snprintf(why, sizeof why, "its inputs are ahead of it, %d events wait in its channels", waiting);
        explain_task(job, task, why, target);
    }
}

void job_explain_stall(struct job *job, struct text *target) {
    explain_tasks(job, target);
    if (env_is_simulated(job->env) || atomic_load(&job->over)) {
        for (int32_t t = 0; t < job->n_tasks; t++) {
            if (job->tasks[t].is_source) { explain_source(&job->tasks[t], target); }
        }
        return;
    }
    struct job_waiter waiter = {.event = env_event_new(job->env)};
    env_mutex_lock(job->mutex);
    waiter.next = job->waiters;
    job->waiters = &waiter;
    text_clear(&job->explain);
    job->explain_open = 0;
    for (int32_t t = 0; t < job->n_tasks; t++) { job->explain_open += job->tasks[t].is_source; }
    env_mutex_unlock(job->mutex);
    for (int32_t t = 0; t < job->n_tasks; t++) {
        if (!job->tasks[t].is_source) { continue; }
        atomic_store_explicit(&job->tasks[t].explain_wanted, true, memory_order_release);
        worker_wake_task(&job->tasks[t]);
    }
    const int64_t until = env_now_ns(job->env) + EXPLAIN_WAIT_NS;
    for (;;) {
        env_mutex_lock(job->mutex);
        const bool answered = job->explain_open <= 0;
        env_mutex_unlock(job->mutex);
        const int64_t now = env_now_ns(job->env);
        if (answered || now >= until || atomic_load(&job->over)) { break; }
        env_event_wait(waiter.event, until - now);
    }
    env_mutex_lock(job->mutex);
    struct job_waiter **at = &job->waiters;
    while (*at != &waiter) { at = &(*at)->next; }
    *at = waiter.next;
    text_append(target, text_string(&job->explain), job->explain.size);
    env_mutex_unlock(job->mutex);
    env_event_free(waiter.event);
}
