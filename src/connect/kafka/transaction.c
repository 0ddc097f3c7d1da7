/* Epochs of messages between a barrier and the end of their transaction.
 *
 * The task fills the open epoch, closes it at a barrier and lists it; what is listed goes into every checkpoint until
 * it is sent. When the checkpoint is complete the epoch is told to be sent, and the thread does so, oldest first. Text
 * in the checkpoint, per epoch (the first has no messages):
 *   "kafka1 <transactional id> <topic> <subtask> <number> <checkpoint> <messages> <bytes>\n", then the stored
 *   messages */
#include "connect/kafka/transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "connect/kafka/marked.h"

#define UNSENT_SOFT (INT64_C(256) << 20) /* take no rows while so much is being sent */
#define UNSENT_MAX (INT64_C(1) << 30)
#define CHARGE_STEP (INT64_C(1) << 20)
#define MARK_AGE_NS (INT64_C(3600) * 1000000000)

struct epoch {
    struct epoch *next;
    struct kafka_epoch epoch; /* data and size are those of `messages` */
    struct text messages;
    bool wanted, sent;        /* under the mutex */
};

struct kafka_transactions {
    struct connector_context context;
    struct kafka_marked marked;
    char prefix[KAFKA_TRANSACTIONAL_ID_MAX];
    struct epoch *open;
    struct epoch *listed;     /* oldest first; linked and freed by the task, walked by both */
    int64_t next_number, bytes, charged, marked_ns;
    bool mark_was_there, mark_asked;
    struct env_thread *thread;
    struct env_event *wanted; /* the thread has something to do */
    struct env_mutex *mutex;
    _Atomic bool stop;
    sabot_status failed; /* under the mutex */
    struct sabot_error failure;
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for an epoch of messages");
}

static void id_of(const char *prefix, int32_t subtask, char id[KAFKA_TRANSACTIONAL_ID_MAX]) {
    snprintf(id, KAFKA_TRANSACTIONAL_ID_MAX, "%.*s-%d", KAFKA_TRANSACTIONAL_ID_MAX - 12, prefix, subtask);
}

/* ---- the list ---- */

static struct epoch *epoch_new(struct sabot_error *err) {
    struct epoch *epoch = calloc(1, sizeof *epoch);
    if (!epoch) { no_memory(err); }
    return epoch;
}

static void epoch_free(struct epoch *epoch) {
    if (!epoch) { return; }
    text_clear(&epoch->messages);
    free(epoch);
}

static void epoch_list(struct kafka_transactions *self, struct epoch *epoch, int64_t checkpoint_id, bool wanted) {
    epoch->epoch.number = self->next_number++;
    epoch->epoch.checkpoint_id = checkpoint_id;
    epoch->epoch.data = text_string(&epoch->messages);
    epoch->epoch.size = epoch->messages.size;
    epoch->wanted = wanted;
    env_mutex_lock(self->mutex);
    struct epoch **at = &self->listed;
    while (*at) { at = &(*at)->next; }
    *at = epoch;
    env_mutex_unlock(self->mutex);
    if (wanted) { env_event_set(self->wanted); }
}

/* Lets go of what was sent. */
static void epochs_reap(struct kafka_transactions *self) {
    for (;;) {
        env_mutex_lock(self->mutex);
        struct epoch *first = self->listed;
        const bool sent = first && first->sent;
        if (sent) { self->listed = first->next; }
        env_mutex_unlock(self->mutex);
        if (!sent) { break; }
        self->bytes -= (int64_t)first->messages.size;
        epoch_free(first);
        self->marked_ns = env_now_ns(self->context.env);
    }
    const int64_t keep = (self->bytes / CHARGE_STEP + 1) * CHARGE_STEP;
    if (self->charged > keep) {
        memory_charge(self->context.pool, keep - self->charged, NULL);
        self->charged = keep;
    }
}

/* ---- the thread ---- */

static struct epoch *epoch_next(struct kafka_transactions *self) {
    env_mutex_lock(self->mutex);
    struct epoch *epoch = self->listed;
    while (epoch && epoch->sent) { epoch = epoch->next; }
    if (epoch && (!epoch->wanted || self->failed != SABOT_OK)) { epoch = NULL; }
    env_mutex_unlock(self->mutex);
    return epoch;
}

static void thread_main(void *arg) {
    struct kafka_transactions *self = arg;
    while (!atomic_load(&self->stop)) {
        struct epoch *epoch = epoch_next(self);
        if (!epoch) {
            env_event_wait(self->wanted, -1);
            continue;
        }
        bool sent = false;
        struct sabot_error err = {0};
        const sabot_status status = kafka_marked_send(&self->marked, &epoch->epoch, &sent, &err);
        env_mutex_lock(self->mutex);
        epoch->sent = sent;
        if (status != SABOT_OK) {
            self->failed = status;
            self->failure = err;
        }
        env_mutex_unlock(self->mutex);
        self->context.wake(self->context.wake_arg);
    }
}

/* ---- life ---- */

sabot_status kafka_transactions_open(const struct connector_context *context, const char *topic, const char *prefix,
                                     struct kafka_transactions **out, struct sabot_error *err) {
    *out = NULL;
    struct kafka_transactions *self = calloc(1, sizeof *self);
    if (!self) { return no_memory(err); }
    self->context = *context;
    snprintf(self->prefix, sizeof self->prefix, "%s", prefix);
    self->mutex = env_mutex_new(context->env);
    self->wanted = env_event_new(context->env);
    char id[KAFKA_TRANSACTIONAL_ID_MAX];
    id_of(prefix, context->subtask, id);
    sabot_status status = kafka_marked_open(&self->marked, &self->context, id, topic, &self->stop, err);
    self->mark_was_there = self->marked.mark >= 0;
    self->next_number = self->marked.mark + 1;
    if (status == SABOT_OK) {
        status = env_thread_start(context->env, "kafka-commit", thread_main, self, &self->thread, err);
    }
    if (status != SABOT_OK) {
        kafka_transactions_close(self);
        return status;
    }
    *out = self;
    return SABOT_OK;
}

void kafka_transactions_close(struct kafka_transactions *self) {
    if (!self) { return; }
    atomic_store(&self->stop, true);
    env_event_set(self->wanted);
    if (self->thread) { env_thread_join(self->thread); }
    kafka_marked_close(&self->marked);
    while (self->listed) {
        struct epoch *next = self->listed->next;
        epoch_free(self->listed);
        self->listed = next;
    }
    epoch_free(self->open);
    memory_charge(self->context.pool, -self->charged, NULL);
    env_event_free(self->wanted);
    env_mutex_free(self->mutex);
    free(self);
}

/* ---- restore ---- */

/* One epoch as it stands in a checkpoint. */
struct stored_epoch {
    char id[KAFKA_TRANSACTIONAL_ID_MAX], topic[KAFKA_TOPIC_MAX];
    int32_t subtask;
    struct kafka_epoch epoch;
};

static sabot_status corrupt(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_CORRUPT,
                      "what the checkpoint keeps for this table is not from a Kafka sink, or is torn: start with the "
                      "query and the tables that the checkpoint is of");
}

static sabot_status stored_epoch_read(const char **at, const char *end, struct stored_epoch *out,
                                      struct sabot_error *err) {
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    char line[KAFKA_TRANSACTIONAL_ID_MAX + KAFKA_TOPIC_MAX + 128];
    if (!stop || (size_t)(stop - *at) >= sizeof line) { return corrupt(err); }
    memcpy(line, *at, (size_t)(stop - *at));
    line[stop - *at] = '\0';
    int64_t bytes;
    if (sscanf(line, "kafka1 %255s %249s %" SCNd32 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, out->id, out->topic,
               &out->subtask, &out->epoch.number, &out->epoch.checkpoint_id, &out->epoch.n, &bytes) != 7 ||
        bytes < 0 || bytes > end - stop - 1) {
        return corrupt(err);
    }
    out->epoch.data = stop + 1;
    out->epoch.size = (size_t)bytes;
    *at = stop + 1 + bytes;
    return SABOT_OK;
}

typedef sabot_status epoch_taker(void *arg, const struct stored_epoch *epoch, struct sabot_error *err);

static sabot_status pending_epochs(const struct batch *pending, epoch_taker *take, void *arg, struct sabot_error *err) {
    const struct column *column = pending->columns[0];
    for (int32_t i = 0; i < pending->selected; i++) {
        const int32_t row = batch_row(pending, i);
        if (column_is_null(column, row)) { continue; }
        const struct string_view *view = (const struct string_view *)column->values + column_at(column, row);
        const char *at = string_view_data(view), *const end = at + view->size;
        while (at < end) {
            struct stored_epoch epoch;
            SABOT_TRY(stored_epoch_read(&at, end, &epoch, err));
            SABOT_TRY(take(arg, &epoch, err));
        }
    }
    return SABOT_OK;
}

static sabot_status mark_missing(const struct connector_context *context, const char *id, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_STATE,
                      "table \"%s\": the mark of transactional id '%s' (the committed offset of a group of this name) "
                      "is gone, so it can't be told whether the last rows of the checkpoint were sent: the brokers "
                      "keep it for 'offsets.retention.minutes'. Start with 'sink.delivery-guarantee' = 'at-least-once' "
                      "to send them, perhaps a second time",
                      context->table->name, id);
}

/* An epoch of this subtask's own id. */
static sabot_status own_take(struct kafka_transactions *self, const struct stored_epoch *stored,
                             struct sabot_error *err) {
    if (stored->epoch.n == 0) { return SABOT_OK; }
    if (strcmp(stored->topic, self->marked.topic_name) != 0) {
        return SABOT_FAIL(err, SABOT_ERR_STATE,
                          "table \"%s\": the checkpoint has rows for topic '%s' that may not be sent yet, and the "
                          "table writes to '%s': start once with the former topic, or take another "
                          "'sink.transactional-id-prefix'",
                          self->context.table->name, stored->topic, self->marked.topic_name);
    }
    if (!self->mark_was_there) { return mark_missing(&self->context, stored->id, err); }
    if (stored->epoch.number <= self->marked.mark) { return SABOT_OK; }
    struct epoch *epoch = epoch_new(err);
    if (!epoch) { return SABOT_ERR_MEMORY; }
    text_append(&epoch->messages, stored->epoch.data, stored->epoch.size);
    if (epoch->messages.failed) {
        epoch_free(epoch);
        return no_memory(err);
    }
    epoch->epoch.n = stored->epoch.n;
    self->bytes += (int64_t)epoch->messages.size;
    /* it keeps its number, so that a second crash finds it as it was */
    self->next_number = stored->epoch.number;
    epoch_list(self, epoch, stored->epoch.checkpoint_id, true);
    return SABOT_OK;
}

/* An epoch of an id that nobody has any more. One without messages is there so that nothing of its id stays open. */
static sabot_status former_finish(const struct connector_context *context, _Atomic bool *stop,
                                  const struct stored_epoch *stored, bool guess, struct sabot_error *err) {
    struct kafka_marked *marked = calloc(1, sizeof *marked);
    if (!marked) { return no_memory(err); }
    sabot_status status = kafka_marked_open(marked, context, stored->id, stored->topic, stop, err);
    if (status == SABOT_OK && stored->epoch.n > 0 && marked->mark < 0 && !guess) {
        status = mark_missing(context, stored->id, err);
    }
    if (status == SABOT_OK && stored->epoch.n > 0 && marked->mark < stored->epoch.number) {
        bool sent;
        status = kafka_marked_send(marked, &stored->epoch, &sent, err);
    }
    kafka_marked_close(marked);
    free(marked);
    return status;
}

static sabot_status restore_take(void *arg, const struct stored_epoch *stored, struct sabot_error *err) {
    struct kafka_transactions *self = arg;
    if (strcmp(stored->id, self->marked.id) == 0) { return own_take(self, stored, err); }
    char id[KAFKA_TRANSACTIONAL_ID_MAX];
    for (int32_t i = 0; i < self->context.parallelism; i++) {
        id_of(self->prefix, i, id);
        if (strcmp(stored->id, id) == 0) { return SABOT_OK; } /* another subtask's own */
    }
    if (stored->subtask % self->context.parallelism != self->context.subtask) { return SABOT_OK; }
    return former_finish(&self->context, &self->stop, stored, false, err);
}

sabot_status kafka_transactions_restore(struct kafka_transactions *self, const struct batch *pending,
                                        struct sabot_error *err) {
    SABOT_TRY(pending_epochs(pending, restore_take, self, err));
    SABOT_TRY(memory_charge(self->context.pool, self->bytes, err));
    self->charged += self->bytes;
    return SABOT_OK;
}

static sabot_status finish_take(void *arg, const struct stored_epoch *stored, struct sabot_error *err) {
    const struct connector_context *context = arg;
    if (stored->subtask % context->parallelism != context->subtask) { return SABOT_OK; }
    return former_finish(context, NULL, stored, true, err);
}

sabot_status kafka_pending_finish(const struct connector_context *context, const struct batch *pending,
                                  struct sabot_error *err) {
    return pending_epochs(pending, finish_take, (void *)context, err);
}

/* ---- from barrier to barrier ---- */

static sabot_status failure_of(struct kafka_transactions *self, struct sabot_error *err) {
    env_mutex_lock(self->mutex);
    const sabot_status status = self->failed;
    if (status != SABOT_OK && err) { *err = self->failure; }
    env_mutex_unlock(self->mutex);
    return status;
}

static bool all_sent(struct kafka_transactions *self) {
    env_mutex_lock(self->mutex);
    bool all = true;
    for (const struct epoch *epoch = self->listed; epoch; epoch = epoch->next) { all &= epoch->sent || !epoch->wanted; }
    env_mutex_unlock(self->mutex);
    return all;
}

bool kafka_transactions_full(struct kafka_transactions *self) {
    if (self->bytes < UNSENT_SOFT) { return false; }
    epochs_reap(self);
    return self->bytes >= UNSENT_SOFT && !all_sent(self);
}

static sabot_status bytes_add(struct kafka_transactions *self, int64_t bytes, struct sabot_error *err) {
    self->bytes += bytes;
    if (self->bytes > UNSENT_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY,
                          "table \"%s\": more than %d MiB of messages since the last complete checkpoint; "
                          "'exactly-once' keeps them until then: take a shorter checkpoint interval or a higher "
                          "parallelism",
                          self->context.table->name, (int)(UNSENT_MAX >> 20));
    }
    if (self->bytes <= self->charged) { return SABOT_OK; }
    const int64_t more = (bytes / CHARGE_STEP + 1) * CHARGE_STEP;
    const sabot_status status = memory_charge(self->context.pool, more, err);
    if (status == SABOT_OK) {
        self->charged += more;
        return SABOT_OK;
    }
    error_context(err, "table \"%s\": the messages since the last complete checkpoint, which 'exactly-once' keeps "
                  "until then, do not fit; take a shorter checkpoint interval", self->context.table->name);
    return status;
}

sabot_status kafka_transactions_add(struct kafka_transactions *self, const struct kafka_message *message,
                                    struct sabot_error *err) {
    if (!self->open) { self->open = epoch_new(err); }
    if (!self->open) { return SABOT_ERR_MEMORY; }
    struct text *messages = &self->open->messages;
    const size_t before = messages->size;
    SABOT_TRY(kafka_message_store(message, messages, err));
    self->open->epoch.n++;
    return bytes_add(self, (int64_t)(messages->size - before), err);
}

/* An epoch of nothing but its mark. */
static sabot_status mark_ask(struct kafka_transactions *self, struct sabot_error *err) {
    struct epoch *epoch = epoch_new(err);
    if (!epoch) { return SABOT_ERR_MEMORY; }
    self->mark_asked = true;
    epoch_list(self, epoch, 0, true);
    return SABOT_OK;
}

static void pending_write(const struct kafka_transactions *self, const struct kafka_epoch *epoch,
                          struct text *pending) {
    text_format(pending, "kafka1 %s %s %d %" PRId64 " %" PRId64 " %" PRId64 " %zu\n", self->marked.id,
                self->marked.topic_name, self->context.subtask, epoch->number, epoch->checkpoint_id, epoch->n,
                epoch->size);
    if (epoch->size) { text_append(pending, epoch->data, epoch->size); }
}

sabot_status kafka_transactions_prepare(struct kafka_transactions *self, int64_t checkpoint_id, struct text *pending,
                                        bool *full, struct sabot_error *err) {
    *full = false;
    SABOT_TRY(failure_of(self, err));
    if (!self->mark_asked) { SABOT_TRY(mark_ask(self, err)); }
    epochs_reap(self);
    if (self->marked_ns == 0 && !all_sent(self)) { /* the first mark must be there before anything depends on it */
        *full = true;
        return SABOT_OK;
    }
    if (self->open) {
        epoch_list(self, self->open, checkpoint_id, false);
        self->open = NULL;
    }
    /* One without messages names the id to whoever restores. */
    pending_write(self, &(struct kafka_epoch){.checkpoint_id = checkpoint_id}, pending);
    env_mutex_lock(self->mutex); /* an epoch that is sent meanwhile is known by its mark */
    for (const struct epoch *epoch = self->listed; epoch; epoch = epoch->next) {
        if (!epoch->sent && epoch->epoch.n > 0) { pending_write(self, &epoch->epoch, pending); }
    }
    env_mutex_unlock(self->mutex);
    return pending->failed ? no_memory(err) : SABOT_OK;
}

sabot_status kafka_transactions_commit(struct kafka_transactions *self, int64_t checkpoint_id,
                                       struct sabot_error *err) {
    SABOT_TRY(failure_of(self, err));
    epochs_reap(self);
    bool any = false;
    env_mutex_lock(self->mutex);
    for (struct epoch *epoch = self->listed; epoch; epoch = epoch->next) {
        epoch->wanted |= epoch->epoch.checkpoint_id <= checkpoint_id;
        any |= epoch->wanted;
    }
    env_mutex_unlock(self->mutex);
    if (!any && self->marked_ns && env_now_ns(self->context.env) - self->marked_ns > MARK_AGE_NS) {
        SABOT_TRY(mark_ask(self, err));
    }
    env_event_set(self->wanted);
    return SABOT_OK;
}

sabot_status kafka_transactions_done(struct kafka_transactions *self, bool *done, struct sabot_error *err) {
    SABOT_TRY(failure_of(self, err));
    *done = all_sent(self);
    if (*done) { epochs_reap(self); }
    return SABOT_OK;
}
