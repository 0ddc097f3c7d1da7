/* Epochs of rows between a barrier and the end of their transaction.
 *
 * The task fills the open epoch, closes it at a barrier and lists it; what is listed goes into every checkpoint until
 * it is sent. When the checkpoint is complete the epoch is told to be sent, and the thread does so, oldest first. Text
 * in the checkpoint, per epoch (the first has no rows):
 *   "<tag> <id> <place> <subtask> <number> <checkpoint> <rows> <bytes> <key> <pieces> <their bytes>\n", then the bytes
 * The pieces, which come before the bytes, are with the keeper. Older checkpoints have none, and no words for them. */
#include "connect/epochs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define UNSENT_SOFT (INT64_C(256) << 20) /* take no rows while so much is being sent */
#define EAGER_SOFT (INT64_C(16) << 20)
#define CHARGE_STEP (INT64_C(1) << 20)

struct listed_epoch {
    struct listed_epoch *next;
    struct epoch epoch; /* data and size are those of `rows` */
    struct text rows;
    int64_t key;        /* of its pieces; -1: it has none */
    int32_t n_kept;
    int64_t kept_bytes;
    struct kept_pieces kept; /* when it is listed */
    int64_t counted; /* bytes of `rows` that are in those of all */
    bool wanted, sent; /* under the mutex */
};

struct epochs {
    struct connector_context context;
    const struct epochs_type *type;
    struct epochs_target *target;
    struct listed_epoch *open;   /* under the mutex where the type is eager: the thread takes it */
    struct listed_epoch *listed; /* oldest first; linked and freed by the task, walked by both */
    int64_t next_number, marked_ns;
    int64_t bytes, in_memory, charged; /* of rows that are not sent; of them those in `rows` */
    int64_t mark;                 /* as it was at open: the target's is the thread's from then on */
    bool mark_asked;
    struct env_thread *thread;
    struct env_event *wanted; /* the thread has something to do */
    struct env_mutex *mutex;
    _Atomic bool stop;
    sabot_status failed; /* under the mutex */
    struct sabot_error failure;
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an epoch of rows");
}

static void id_of(const char *prefix, int32_t subtask, char id[EPOCHS_ID_MAX]) {
    snprintf(id, EPOCHS_ID_MAX, "%.*s-%d", EPOCHS_ID_MAX - 12, prefix, subtask);
}

/* ---- the list ---- */

static struct listed_epoch *epoch_new(struct sabot_error *err) {
    struct listed_epoch *epoch = calloc(1, sizeof *epoch);
    if (!epoch) { no_memory(err); }
    if (epoch) { epoch->key = -1; }
    return epoch;
}

static void epoch_free(struct listed_epoch *epoch) {
    if (!epoch) { return; }
    text_clear(&epoch->rows);
    kept_pieces_clear(&epoch->kept);
    free(epoch);
}

struct kept_piece epoch_part(const struct epoch *epoch, int32_t i) {
    return i < epoch->n_pieces ? epoch->pieces[i] : (struct kept_piece){epoch->data, epoch->size};
}

/* What is written of the rows so far becomes a piece. */
static sabot_status rows_keep(struct epochs *self, struct listed_epoch *epoch, struct sabot_error *err) {
    struct keeper *keeper = self->context.keeper;
    if (epoch->key < 0) { epoch->key = keeper->next_key++; }
    SABOT_TRY(keeper->add(keeper, epoch->key, text_string(&epoch->rows), epoch->rows.size, err));
    epoch->n_kept++;
    epoch->kept_bytes += (int64_t)epoch->rows.size;
    self->in_memory -= epoch->counted;
    epoch->counted = 0;
    epoch->rows.size = 0;
    return SABOT_OK;
}

/* Its pieces, for whoever sends it. */
static sabot_status pieces_open(struct epochs *self, struct listed_epoch *epoch, struct sabot_error *err) {
    if (epoch->key < 0) { return SABOT_OK; }
    return self->context.keeper->get(self->context.keeper, epoch->key, &epoch->kept, err);
}

/* Under the mutex. */
static void epoch_append(struct epochs *self, struct listed_epoch *epoch, int64_t checkpoint_id, bool wanted) {
    /* A mark of no rows says again what was sent last. With a number of its own it would pass for rows of that number
     * in a checkpoint that this process was not started from, and that the next one is. */
    const bool is_again = epoch->epoch.n == 0 && self->next_number > 0;
    epoch->epoch.number = is_again ? self->next_number - 1 : self->next_number++;
    epoch->epoch.checkpoint_id = checkpoint_id;
    epoch->epoch.data = text_string(&epoch->rows);
    epoch->epoch.size = epoch->rows.size;
    epoch->epoch.pieces = epoch->kept.pieces;
    epoch->epoch.n_pieces = epoch->kept.n;
    epoch->wanted = wanted;
    struct listed_epoch **at = &self->listed;
    while (*at) { at = &(*at)->next; }
    *at = epoch;
}

static void epoch_list(struct epochs *self, struct listed_epoch *epoch, int64_t checkpoint_id, bool wanted) {
    env_mutex_lock(self->mutex);
    epoch_append(self, epoch, checkpoint_id, wanted);
    env_mutex_unlock(self->mutex);
    if (wanted) { env_event_set(self->wanted); }
}

/* Lets go of what was sent. */
static void epochs_reap(struct epochs *self) {
    for (;;) {
        env_mutex_lock(self->mutex);
        struct listed_epoch *first = self->listed;
        const bool sent = first && first->sent;
        if (sent) { self->listed = first->next; }
        env_mutex_unlock(self->mutex);
        if (!sent) { break; }
        self->bytes -= (int64_t)first->rows.size + first->kept_bytes;
        self->in_memory -= first->counted;
        if (first->key >= 0) { self->context.keeper->drop(self->context.keeper, first->key); }
        epoch_free(first);
        self->marked_ns = env_now_ns(self->context.env);
    }
    const int64_t keep = (self->in_memory / CHARGE_STEP + 1) * CHARGE_STEP;
    if (self->charged > keep) {
        memory_charge(self->context.pool, keep - self->charged, NULL);
        self->charged = keep;
    }
}

/* ---- the thread ---- */

static struct listed_epoch *epoch_next(struct epochs *self) {
    env_mutex_lock(self->mutex);
    struct listed_epoch *epoch = self->listed;
    while (epoch && epoch->sent) { epoch = epoch->next; }
    if (!epoch && self->type->is_eager && self->open && self->open->epoch.n > 0) {
        epoch = self->open;
        self->open = NULL;
        epoch_append(self, epoch, 0, true);
    }
    if (epoch && (!epoch->wanted || self->failed != SABOT_OK)) { epoch = NULL; }
    env_mutex_unlock(self->mutex);
    return epoch;
}

static void thread_main(void *arg) {
    struct epochs *self = arg;
    while (!atomic_load(&self->stop)) {
        struct listed_epoch *epoch = epoch_next(self);
        if (!epoch) {
            env_event_wait(self->wanted, -1);
            continue;
        }
        bool sent = false;
        struct sabot_error err = {0};
        const sabot_status status = self->type->send(self->target, &epoch->epoch, &sent, &err);
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

static void target_free(const struct epochs_type *type, struct epochs_target *target) {
    if (target) { type->close(target); }
    free(target);
}

static sabot_status target_open(const struct epochs_type *type, const struct connector_context *context,
                                const char *id, const char *place, _Atomic bool *stop, struct epochs_target **out,
                                struct sabot_error *err) {
    struct epochs_target *target = calloc(1, type->size);
    if (!target) { return no_memory(err); }
    target->context = context;
    target->mark = -1;
    target->stop = stop;
    snprintf(target->id, sizeof target->id, "%s", id);
    snprintf(target->place, sizeof target->place, "%s", place);
    const sabot_status status = type->open(target, err);
    if (status != SABOT_OK) {
        target_free(type, target);
        return status;
    }
    *out = target;
    return SABOT_OK;
}

sabot_status epochs_open(const struct epochs_type *type, const struct connector_context *context, const char *place,
                         const char *prefix, struct epochs **out, struct sabot_error *err) {
    *out = NULL;
    struct epochs *self = calloc(1, sizeof *self);
    if (!self) { return no_memory(err); }
    self->context = *context;
    self->type = type;
    self->mutex = env_mutex_new(context->env);
    self->wanted = env_event_new(context->env);
    char id[EPOCHS_ID_MAX];
    id_of(prefix, context->subtask, id);
    sabot_status status = target_open(type, &self->context, id, place, &self->stop, &self->target, err);
    if (status == SABOT_OK) {
        self->mark = self->target->mark;
        self->next_number = self->mark + 1;
        status = env_thread_start(context->env, type->thread, thread_main, self, &self->thread, err);
    }
    if (status != SABOT_OK) {
        epochs_close(self);
        return status;
    }
    *out = self;
    return SABOT_OK;
}

void epochs_close(struct epochs *self) {
    if (!self) { return; }
    atomic_store(&self->stop, true);
    env_event_set(self->wanted);
    if (self->thread && self->type->interrupt) { self->type->interrupt(self->target); }
    if (self->thread) { env_thread_join(self->thread); }
    target_free(self->type, self->target);
    while (self->listed) {
        struct listed_epoch *next = self->listed->next;
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
    char tag[16], id[EPOCHS_ID_MAX], place[EPOCHS_PLACE_MAX];
    int32_t subtask, n_pieces;
    int64_t key, kept_bytes;
    struct epoch epoch;
};

static sabot_status corrupt(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_CORRUPT,
                      "what the checkpoint keeps for this table is not from a sink of this kind, or is torn: start "
                      "with the query and the tables that the checkpoint is of");
}

static sabot_status stored_epoch_read(const struct epochs_type *type, const char **at, const char *end,
                                      struct stored_epoch *out, struct sabot_error *err) {
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    char line[EPOCHS_ID_MAX + EPOCHS_PLACE_MAX + 192]; /* and a tag, and nine numbers */
    if (!stop || (size_t)(stop - *at) >= sizeof line) { return corrupt(err); }
    memcpy(line, *at, (size_t)(stop - *at));
    line[stop - *at] = '\0';
    int64_t bytes;
    *out = (struct stored_epoch){.key = -1};
    const int words =
        sscanf(line, "%15s %255s %249s %" SCNd32 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
               " %" SCNd32 " %" SCNd64, out->tag, out->id, out->place, &out->subtask, &out->epoch.number,
               &out->epoch.checkpoint_id, &out->epoch.n, &bytes, &out->key, &out->n_pieces, &out->kept_bytes);
    if ((words != 8 && words != 11) || strcmp(out->tag, type->tag) != 0 || bytes < 0 || bytes > end - stop - 1) {
        return corrupt(err);
    }
    out->epoch.data = stop + 1;
    out->epoch.size = (size_t)bytes;
    *at = stop + 1 + bytes;
    return SABOT_OK;
}

/* The pieces of an epoch of a checkpoint; to be cleared. */
static sabot_status stored_pieces(const struct connector_context *context, struct stored_epoch *stored,
                                  struct kept_pieces *out, struct sabot_error *err) {
    *out = (struct kept_pieces){0};
    if (stored->key < 0) { return SABOT_OK; }
    SABOT_TRY(context->keeper->former(context->keeper, stored->subtask, stored->key, out, err));
    if (out->n != stored->n_pieces || out->bytes != stored->kept_bytes) {
        kept_pieces_clear(out);
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT,
                          "table \"%s\": the checkpoint lacks some of the rows that it says it keeps for '%s': start "
                          "from an earlier one", context->table->name, stored->place);
    }
    stored->epoch.pieces = out->pieces;
    stored->epoch.n_pieces = out->n;
    return SABOT_OK;
}

typedef sabot_status epoch_taker(void *arg, struct stored_epoch *epoch, struct sabot_error *err);

static sabot_status pending_epochs(const struct epochs_type *type, const struct batch *pending, epoch_taker *take,
                                   void *arg, struct sabot_error *err) {
    const struct column *column = pending->columns[0];
    for (int32_t i = 0; i < pending->selected; i++) {
        const int32_t row = batch_row(pending, i);
        if (column_is_null(column, row)) { continue; }
        const struct string_view *view = (const struct string_view *)column->values + column_at(column, row);
        const char *at = string_view_data(view), *const end = at + view->size;
        while (at < end) {
            struct stored_epoch epoch;
            SABOT_TRY(stored_epoch_read(type, &at, end, &epoch, err));
            SABOT_TRY(take(arg, &epoch, err));
        }
    }
    return SABOT_OK;
}

/* The rows of a stored epoch as those of a new one. */
static sabot_status rows_take(struct epochs *self, struct listed_epoch *epoch, struct stored_epoch *stored,
                              struct sabot_error *err) {
    struct kept_pieces pieces;
    SABOT_TRY(stored_pieces(&self->context, stored, &pieces, err));
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < pieces.n && status == SABOT_OK; i++) {
        text_append(&epoch->rows, pieces.pieces[i].data, pieces.pieces[i].size);
        status = epoch->rows.failed ? no_memory(err) : rows_keep(self, epoch, err);
    }
    kept_pieces_clear(&pieces);
    if (status != SABOT_OK) { return status; }
    text_append(&epoch->rows, stored->epoch.data, stored->epoch.size);
    if (epoch->rows.failed) { return no_memory(err); }
    epoch->counted = (int64_t)epoch->rows.size;
    self->in_memory += epoch->counted;
    self->bytes += epoch->counted + epoch->kept_bytes;
    return pieces_open(self, epoch, err);
}

/* An epoch of this subtask's own id. */
static sabot_status own_take(struct epochs *self, struct stored_epoch *stored, struct sabot_error *err) {
    if (stored->epoch.n == 0) { return SABOT_OK; }
    if (strcmp(stored->place, self->target->place) != 0) {
        return SABOT_FAIL(err, SABOT_ERR_STATE,
                          "table \"%s\": the checkpoint has rows for '%s' that may not be sent yet, and the table "
                          "writes to '%s': start once with the former one, or take another name (%s)",
                          self->context.table->name, stored->place, self->target->place, self->type->id_option);
    }
    if (self->mark < 0) { return self->type->mark_missing(&self->context, stored->id, err); }
    if (stored->epoch.number <= self->mark) { return SABOT_OK; }
    struct listed_epoch *epoch = epoch_new(err);
    if (!epoch) { return SABOT_ERR_MEMORY; }
    const sabot_status status = rows_take(self, epoch, stored, err);
    if (status != SABOT_OK) {
        epoch_free(epoch);
        return status;
    }
    epoch->epoch.n = stored->epoch.n;
    /* it keeps its number, so that a second crash finds it as it was */
    self->next_number = stored->epoch.number;
    epoch_list(self, epoch, stored->epoch.checkpoint_id, true);
    return SABOT_OK;
}

/* An epoch of an id that nobody has any more. One without rows is there so that nothing of its id stays open. */
static sabot_status former_finish(const struct epochs_type *type, const struct connector_context *context,
                                  _Atomic bool *stop, struct stored_epoch *stored, bool guess,
                                  struct sabot_error *err) {
    struct epochs_target *target;
    SABOT_TRY(target_open(type, context, stored->id, stored->place, stop, &target, err));
    sabot_status status = SABOT_OK;
    if (stored->epoch.n > 0 && target->mark < 0 && !guess) { status = type->mark_missing(context, stored->id, err); }
    if (status == SABOT_OK && stored->epoch.n > 0 && target->mark < stored->epoch.number) {
        bool sent;
        struct kept_pieces pieces;
        status = stored_pieces(context, stored, &pieces, err);
        if (status == SABOT_OK) { status = type->send(target, &stored->epoch, &sent, err); }
        kept_pieces_clear(&pieces);
    }
    target_free(type, target);
    return status;
}

static sabot_status restore_take(void *arg, struct stored_epoch *stored, struct sabot_error *err) {
    struct epochs *self = arg;
    if (strcmp(stored->id, self->target->id) == 0) { return own_take(self, stored, err); }
    /* an id ends in its subtask: one that somebody has is not this one's by its number either */
    if (stored->subtask % self->context.parallelism != self->context.subtask) { return SABOT_OK; }
    return former_finish(self->type, &self->context, &self->stop, stored, false, err);
}

sabot_status epochs_restore(struct epochs *self, const struct batch *pending,
                                        struct sabot_error *err) {
    SABOT_TRY(pending_epochs(self->type, pending, restore_take, self, err));
    SABOT_TRY(memory_charge(self->context.pool, self->in_memory, err));
    self->charged += self->in_memory;
    return SABOT_OK;
}

struct finish {
    const struct epochs_type *type;
    const struct connector_context *context;
};

static sabot_status finish_take(void *arg, struct stored_epoch *stored, struct sabot_error *err) {
    const struct finish *finish = arg;
    if (stored->subtask % finish->context->parallelism != finish->context->subtask) { return SABOT_OK; }
    return former_finish(finish->type, finish->context, NULL, stored, true, err);
}

sabot_status epochs_pending_finish(const struct epochs_type *type, const struct connector_context *context,
                                   const struct batch *pending, struct sabot_error *err) {
    struct finish finish = {type, context};
    return pending_epochs(type, pending, finish_take, &finish, err);
}

/* ---- from barrier to barrier ---- */

static sabot_status failure_of(struct epochs *self, struct sabot_error *err) {
    env_mutex_lock(self->mutex);
    const sabot_status status = self->failed;
    if (status != SABOT_OK && err) { *err = self->failure; }
    env_mutex_unlock(self->mutex);
    return status;
}

static bool all_sent(struct epochs *self) {
    env_mutex_lock(self->mutex);
    bool all = true;
    for (const struct listed_epoch *at = self->listed; at; at = at->next) { all &= at->sent || !at->wanted; }
    if (self->type->is_eager && self->open) { all &= self->open->epoch.n == 0; }
    env_mutex_unlock(self->mutex);
    return all;
}

bool epochs_full(struct epochs *self) {
    const int64_t soft = self->type->is_eager ? EAGER_SOFT : UNSENT_SOFT;
    if (self->bytes < soft) { return false; }
    epochs_reap(self);
    return self->bytes >= soft && !all_sent(self);
}

static sabot_status bytes_add(struct epochs *self, int64_t bytes, struct sabot_error *err) {
    self->bytes += bytes;
    self->in_memory += bytes;
    if (self->in_memory <= self->charged) { return SABOT_OK; }
    const int64_t more = (bytes / CHARGE_STEP + 1) * CHARGE_STEP;
    const sabot_status status = memory_charge(self->context.pool, more, err);
    if (status == SABOT_OK) {
        self->charged += more;
        return SABOT_OK;
    }
    error_context(err, "table \"%s\": the rows that wait to be sent do not fit", self->context.table->name);
    return status;
}

struct text *epochs_rows(struct epochs *self, struct sabot_error *err) {
    if (self->type->is_eager) { env_mutex_lock(self->mutex); }
    if (!self->open) { self->open = epoch_new(err); }
    if (!self->open && self->type->is_eager) { env_mutex_unlock(self->mutex); }
    return self->open ? &self->open->rows : NULL;
}

sabot_status epochs_added(struct epochs *self, int64_t rows, struct sabot_error *err) {
    struct listed_epoch *open = self->open;
    const int64_t bytes = (int64_t)open->rows.size - open->counted;
    const bool failed = open->rows.failed;
    open->counted += bytes;
    open->epoch.n += rows;
    if (self->type->is_eager) {
        env_mutex_unlock(self->mutex);
        env_event_set(self->wanted);
    }
    if (failed) { return no_memory(err); }
    SABOT_TRY(bytes_add(self, bytes, err));
    if (self->type->is_eager || !self->context.keeper) { return SABOT_OK; }
    if ((int64_t)open->rows.size < self->context.keeper->piece_bytes) { return SABOT_OK; }
    const sabot_status status = rows_keep(self, open, err);
    if (status != SABOT_OK) {
        error_context(err, "table \"%s\": the rows since the last complete checkpoint, which 'exactly-once' keeps "
                      "until then, do not fit; take a shorter checkpoint interval", self->context.table->name);
    }
    return status;
}

int64_t epochs_open_rows(const struct epochs *self) { return self->open ? self->open->epoch.n : 0; }

/* An epoch of nothing but its mark. */
static sabot_status mark_ask(struct epochs *self, struct sabot_error *err) {
    struct listed_epoch *epoch = epoch_new(err);
    if (!epoch) { return SABOT_ERR_MEMORY; }
    self->mark_asked = true;
    epoch_list(self, epoch, 0, true);
    return SABOT_OK;
}

static void pending_write(const struct epochs *self, const struct listed_epoch *listed, struct text *pending) {
    const struct epoch *epoch = &listed->epoch;
    text_format(pending, "%s %s %s %d %" PRId64 " %" PRId64 " %" PRId64 " %zu %" PRId64 " %d %" PRId64 "\n",
                self->type->tag, self->target->id, self->target->place, self->context.subtask, epoch->number,
                epoch->checkpoint_id, epoch->n, epoch->size, listed->key, listed->n_kept, listed->kept_bytes);
    if (epoch->size) { text_append(pending, epoch->data, epoch->size); }
}

sabot_status epochs_prepare(struct epochs *self, int64_t checkpoint_id, struct text *pending,
                                        bool *full, struct sabot_error *err) {
    *full = false;
    SABOT_TRY(failure_of(self, err));
    if (self->type->is_eager) {
        *full = !all_sent(self);
        epochs_reap(self);
        return SABOT_OK;
    }
    if (!self->mark_asked) { SABOT_TRY(mark_ask(self, err)); }
    epochs_reap(self);
    if (self->marked_ns == 0 && !all_sent(self)) { /* the first mark must be there before anything depends on it */
        *full = true;
        return SABOT_OK;
    }
    if (self->open) {
        SABOT_TRY(pieces_open(self, self->open, err));
        epoch_list(self, self->open, checkpoint_id, false);
        self->open = NULL;
    }
    /* One without rows names the id to whoever restores. */
    pending_write(self, &(struct listed_epoch){.epoch.checkpoint_id = checkpoint_id, .key = -1}, pending);
    env_mutex_lock(self->mutex); /* an epoch that is sent meanwhile is known by its mark */
    for (const struct listed_epoch *epoch = self->listed; epoch; epoch = epoch->next) {
        if (!epoch->sent && epoch->epoch.n > 0) { pending_write(self, epoch, pending); }
    }
    env_mutex_unlock(self->mutex);
    return pending->failed ? no_memory(err) : SABOT_OK;
}

sabot_status epochs_commit(struct epochs *self, int64_t checkpoint_id,
                                       struct sabot_error *err) {
    SABOT_TRY(failure_of(self, err));
    epochs_reap(self);
    bool any = false;
    env_mutex_lock(self->mutex);
    for (struct listed_epoch *epoch = self->listed; epoch; epoch = epoch->next) {
        epoch->wanted |= epoch->epoch.checkpoint_id <= checkpoint_id;
        any |= epoch->wanted;
    }
    env_mutex_unlock(self->mutex);
    const int64_t age_max_ns = self->type->mark_age_ns;
    if (!any && age_max_ns && self->marked_ns && env_now_ns(self->context.env) - self->marked_ns > age_max_ns) {
        SABOT_TRY(mark_ask(self, err));
    }
    env_event_set(self->wanted);
    return SABOT_OK;
}

sabot_status epochs_done(struct epochs *self, bool *done, struct sabot_error *err) {
    SABOT_TRY(failure_of(self, err));
    *done = all_sent(self);
    if (*done) { epochs_reap(self); }
    return SABOT_OK;
}
