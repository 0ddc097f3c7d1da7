/* Exactly-once by writing ahead: the rows of an epoch (from barrier to barrier) are kept, go into the checkpoint, and
 * are sent behind it in one transaction together with a mark that says so (docs/decisions/0015, 0019). They are kept in
 * pieces by the sink's keeper (connector.h), so that an epoch may be larger than memory (0032).
 *
 * What is sent to, and how, is an `epochs_type`: Kafka, PostgreSQL. Called by the task; a thread of its own sends, so
 * that only open, restore and close wait for a server. */
#ifndef CONNECT_EPOCHS_H
#define CONNECT_EPOCHS_H

#include "base/text.h"
#include "connect/connector.h"

#define EPOCHS_ID_MAX 256
#define EPOCHS_PLACE_MAX 250

struct epoch {
    int64_t number, checkpoint_id;
    const struct kept_piece *pieces; /* rows as the sink has written them, cut between two; `data` is the rest */
    int32_t n_pieces;
    const char *data;
    size_t size;
    int64_t n; /* 0: nothing but the mark */
};
/* Part i of an epoch, 0..n_pieces: a piece, or the rest (which may be empty). */
struct kept_piece epoch_part(const struct epoch *epoch, int32_t i);

/* Where epochs go, under one id; the head of what an epochs_type makes. */
struct epochs_target {
    const struct connector_context *context;
    char id[EPOCHS_ID_MAX];       /* of the one who writes: whose mark it is */
    char place[EPOCHS_PLACE_MAX]; /* topic or table */
    int64_t mark;                 /* epoch that was sent last; -1: there is no mark */
    _Atomic bool *stop;           /* give up where you are; may be NULL */
};

struct epochs_type {
    const char *tag;          /* of its epochs in a checkpoint, "kafka1" */
    const char *thread;       /* its name */
    const char *id_option;    /* what gives an id its prefix */
    size_t size;              /* of its target */
    bool is_eager;            /* no marks, nothing in checkpoints: rows are sent as soon as those before them are */
    int64_t mark_age_ns;      /* the mark is set again when it is that old; 0: it stays */
    /* Ends whatever the id has open, fences its former user and reads the mark. Is closed, also where this fails. */
    sabot_status (*open)(struct epochs_target *target, struct sabot_error *err);
    /* Makes rows and mark visible in one transaction. *sent stays false only where `stop` was set. */
    sabot_status (*send)(struct epochs_target *target, const struct epoch *epoch, bool *sent, struct sabot_error *err);
    void (*interrupt)(struct epochs_target *target); /* from another thread, with `stop` set; may be NULL */
    void (*close)(struct epochs_target *target);
    /* Says that the mark of an id is gone. */
    sabot_status (*mark_missing)(const struct connector_context *context, const char *id, struct sabot_error *err);
};

struct epochs;

/* Ids are "<prefix>-<subtask>". Fences whoever used this one before. `context` must outlive it. */
sabot_status epochs_open(const struct epochs_type *type, const struct connector_context *context, const char *place,
                         const char *prefix, struct epochs **out, struct sabot_error *err);
/* Waits for the sending thread, which stops in the middle: the checkpoint has the rest. NULL is allowed. */
void epochs_close(struct epochs *self);

/* Epochs of a complete checkpoint that may not have been sent. */
sabot_status epochs_restore(struct epochs *self, const struct batch *pending, struct sabot_error *err);
/* The rows of the open epoch, to be appended to; then epochs_added says how many there are, 0 where it failed. NULL: no
 * memory. */
struct text *epochs_rows(struct epochs *self, struct sabot_error *err);
sabot_status epochs_added(struct epochs *self, int64_t rows, struct sabot_error *err);
/* Only between the two: how many rows there are already. */
int64_t epochs_open_rows(const struct epochs *self);
/* Too much waits to be sent: take no more rows until woken. */
bool epochs_full(struct epochs *self);
/* The epoch is over; appends all that is not sent yet. *full: not now, again when woken. */
sabot_status epochs_prepare(struct epochs *self, int64_t checkpoint_id, struct text *pending, bool *full,
                            struct sabot_error *err);
/* Sends the epochs up to this checkpoint. */
sabot_status epochs_commit(struct epochs *self, int64_t checkpoint_id, struct sabot_error *err);
/* *done: all that was to be sent is. Also tells of what failed meanwhile. */
sabot_status epochs_done(struct epochs *self, bool *done, struct sabot_error *err);

/* For sinks that have no transactions any more: ends what ids of the checkpoint have open, and sends the epochs that
 * were not sent, or of which that is not known. */
sabot_status epochs_pending_finish(const struct epochs_type *type, const struct connector_context *context,
                                   const struct batch *pending, struct sabot_error *err);

#endif
