/* One epoch is one transaction: the mark, the rows, the commit. Its mark is a row with the sink's id, the number of
 * the epoch and a token of the process that writes; whoever opens the id sets its own token, behind what the former
 * one has under way, whose session it ends. A transaction that is lost with its connection is looked up by its mark. */
#include "connect/postgres/marked.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "connect/postgres/client.h"
#include "connect/postgres/rows.h"

#define PAUSE_FIRST_NS INT64_C(100000000)
#define PAUSE_MAX_NS INT64_C(5000000000)
#define PAUSE_STEP_NS INT64_C(100000000) /* between two looks at `stop` */
#define HELD_MS "100"                    /* until who holds a mark's row is ended */

struct marked {
    struct epochs_target target;
    struct pg_client client;
    struct text table; /* of marks, as SQL */
    int64_t token;
    char token_text[24];
    int64_t retries, retry_timeout_ns;
};

#if POSTGRES_BUILT

static bool stopping(const struct marked *self) { return self->target.stop && atomic_load(self->target.stop); }

/* ---- the mark ---- */

/* Two that make the table at once would meet in the catalogue: one after the other. */
static sabot_status table_make(struct marked *self, struct sabot_error *err) {
    const char *name = text_string(&self->table);
    PGresult *result;
    SABOT_TRY(pg_query(&self->client, "SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass($1) AND "
                       "attname IN ('pid', 'started') AND NOT attisdropped", &name, 1, "look for the table of marks",
                       &result, err));
    const bool there = self->client.libpq->PQgetvalue(result, 0, 0)[0] == 't';
    self->client.libpq->PQclear(result);
    if (there) { return SABOT_OK; }
    struct text sql = {0};
    text_format(&sql, "BEGIN; SELECT pg_advisory_xact_lock(7236412001); CREATE TABLE IF NOT EXISTS %s (id text PRIMARY "
                "KEY, epoch bigint NOT NULL, checkpoint bigint NOT NULL, token bigint NOT NULL, written timestamptz "
                "NOT NULL DEFAULT now()); ALTER TABLE %s ADD COLUMN IF NOT EXISTS pid integer, ADD COLUMN IF NOT "
                "EXISTS started timestamptz; COMMIT", name, name);
    const sabot_status status = pg_run(&self->client, text_string(&sql), "make the table of marks", err);
    text_clear(&sql);
    return status;
}

/* Runs one statement about the mark, whose table is @. */
static sabot_status mark_ask(struct marked *self, const char *format, const char *const *values, int n,
                             const char *what, PGresult **out, struct sabot_error *err) {
    struct text sql = {0};
    for (const char *at = format; *at; at++) {
        if (*at == '@') {
            text_append(&sql, text_string(&self->table), self->table.size);
        } else {
            text_append(&sql, at, 1);
        }
    }
    const sabot_status status = pg_query(&self->client, text_string(&sql), values, n, what, out, err);
    text_clear(&sql);
    return status;
}

struct mark {
    bool there;
    int64_t epoch, token;
};

/* A statement that gives the mark's epoch and token. */
static sabot_status mark_query(struct marked *self, const char *format, const char *const *values, int n,
                               const char *what, struct mark *mark, struct sabot_error *err) {
    PGresult *result;
    SABOT_TRY(mark_ask(self, format, values, n, what, &result, err));
    const struct libpq *libpq = self->client.libpq;
    mark->there = libpq->PQntuples(result) == 1;
    mark->epoch = mark->there ? strtoll(libpq->PQgetvalue(result, 0, 0), NULL, 10) : -1;
    mark->token = mark->there ? strtoll(libpq->PQgetvalue(result, 0, 1), NULL, 10) : 0;
    libpq->PQclear(result);
    return SABOT_OK;
}

/* Ends the session that the mark names, where it is that one still (its number may be another's by now) and has the
 * row under way: its process is gone, stopped, or not reached, and nothing of it may be waited for. Sessions of
 * another role are not seen; those the server ends in its own time. */
static sabot_status former_end(struct marked *self, struct sabot_error *err) {
    const char *const values[] = {self->target.id};
    PGresult *result;
    const sabot_status status =
        mark_ask(self, "SELECT a.pid, pg_terminate_backend(a.pid) FROM @ m JOIN pg_stat_activity a ON a.pid = m.pid "
                 "AND a.backend_start = m.started AND a.backend_xid = m.xmax WHERE m.id = $1 AND a.pid <> "
                 "pg_backend_pid()",
                 values, 1, "end the session of the process before", &result, err);
    SABOT_TRY(status);
    if (self->client.libpq->PQntuples(result) > 0) {
        log_write(self->target.context->env, LOG_INFO, "postgres: mark '%s': the session %s of the process before, "
                  "which was in a transaction, is ended", self->target.id,
                  self->client.libpq->PQgetvalue(result, 0, 0));
    }
    self->client.libpq->PQclear(result);
    return SABOT_OK;
}

/* Like mark_query, where a transaction of a former process, or of a connection that was lost, may hold the row: it is
 * ended. The row then has this session's name. */
static sabot_status mark_hold(struct marked *self, const char *format, const char *const *values, int n,
                              const char *what, struct mark *mark, struct sabot_error *err) {
    SABOT_TRY(pg_run(&self->client, "SET lock_timeout = " HELD_MS, what, err));
    bool told = false;
    for (int32_t round = 0;; round++) {
        struct sabot_error why = {0};
        self->client.conflict = false;
        const sabot_status status = mark_query(self, format, values, n, what, mark, &why);
        if (status == SABOT_OK) { break; }
        if (!self->client.conflict || stopping(self)) {
            if (err) { *err = why; }
            return status;
        }
        if (former_end(self, &why) == SABOT_OK && round == 0) { continue; }
        if (self->client.lost) {
            if (err) { *err = why; }
            return SABOT_ERR_IO;
        }
        if (!told) { log_write(self->target.context->env, LOG_WARNING, "postgres: %s; waiting", why.message); }
        told = true;
    }
    return pg_run(&self->client, "RESET lock_timeout", what, err);
}

#define SESSION_NAME "pg_backend_pid(), (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"

static sabot_status mark_take(struct marked *self, struct sabot_error *err) {
    const char *const values[] = {self->target.id, self->token_text};
    struct mark mark;
    SABOT_TRY(mark_hold(self, "UPDATE @ SET token = $2::bigint, (pid, started) = (SELECT " SESSION_NAME ") WHERE id = "
                        "$1 RETURNING epoch, token", values, 2, "take over the mark", &mark, err));
    self->target.mark = mark.epoch;
    return SABOT_OK;
}

/* Behind a new connection: whose the mark is, and what it says. */
static sabot_status mark_again(struct marked *self, struct mark *mark, struct sabot_error *err) {
    const char *const values[] = {self->target.id, self->token_text};
    SABOT_TRY(mark_hold(self, "UPDATE @ SET (pid, started) = (SELECT " SESSION_NAME ") WHERE id = $1 AND token = "
                        "$2::bigint RETURNING epoch, token", values, 2, "take up the mark", mark, err));
    if (mark->there) { return SABOT_OK; }
    return mark_query(self, "SELECT epoch, token FROM @ WHERE id = $1", values, 1, "read the mark", mark, err);
}

static sabot_status fenced(const struct marked *self, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_STATE,
                      "table \"%s\": another job has taken over the mark '%s': it was restarted from this job's "
                      "checkpoint, or has the same 'sink.id'",
                      self->target.context->table->name, self->target.id);
}

static sabot_status mark_set(struct marked *self, const struct epoch *epoch, struct sabot_error *err) {
    char number[24], checkpoint[24];
    snprintf(number, sizeof number, "%" PRId64, epoch->number);
    snprintf(checkpoint, sizeof checkpoint, "%" PRId64, epoch->checkpoint_id);
    const char *const values[] = {self->target.id, number, checkpoint, self->token_text};
    struct mark mark;
    SABOT_TRY(mark_query(self, "INSERT INTO @ AS m (id, epoch, checkpoint, token, pid, started) SELECT $1, $2::bigint, "
                         "$3::bigint, $4::bigint, " SESSION_NAME " ON CONFLICT (id) DO UPDATE SET epoch = "
                         "EXCLUDED.epoch, checkpoint = EXCLUDED.checkpoint, written = now() WHERE m.token = "
                         "EXCLUDED.token RETURNING epoch, token", values, 4, "set the mark", &mark, err));
    return mark.there ? SABOT_OK : fenced(self, err);
}

/* ---- life ---- */

static sabot_status marked_connect(struct marked *self, struct sabot_error *err) {
    const struct connector_table *table = self->target.context->table;
    SABOT_TRY(pg_client_init(&self->client, self->target.context, err));
    SABOT_TRY(option_int(table, postgres_options, "sink.max-retries", &self->retries, err));
    SABOT_TRY(option_duration(table, postgres_options, "sink.retry-timeout", &self->retry_timeout_ns, err));
    return pg_client_connect(&self->client, err);
}

static sabot_status marked_open(struct epochs_target *target, struct sabot_error *err) {
    struct marked *self = (struct marked *)target;
    self->token = (int64_t)(env_random(target->context->env) >> 1 | 1);
    snprintf(self->token_text, sizeof self->token_text, "%" PRId64, self->token);
    const char *name = option_text(target->context->table, postgres_options, "sink.checkpoint-table");
    SABOT_TRY(pg_table_add(&self->table, name, err));
    SABOT_TRY(marked_connect(self, err));
    SABOT_TRY(table_make(self, err));
    return mark_take(self, err);
}

static sabot_status batches_open(struct epochs_target *target, struct sabot_error *err) {
    return marked_connect((struct marked *)target, err);
}

static void marked_close(struct epochs_target *target) {
    struct marked *self = (struct marked *)target;
    pg_client_clear(&self->client);
    text_clear(&self->table);
}

static void marked_interrupt(struct epochs_target *target) { pg_client_interrupt(&((struct marked *)target)->client); }

/* ---- one transaction ---- */

/* The parts of an epoch are the rows of one COPY; before the first stand the statements. */
static sabot_status rows_copy(struct marked *self, const struct epoch *epoch, const struct pg_statements *statements,
                              struct sabot_error *err) {
    const int32_t n = epoch->n_pieces + 1;
    struct kept_piece *parts = malloc((size_t)n * sizeof *parts);
    if (!parts) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for rows"); }
    parts[0] = (struct kept_piece){statements->data, statements->size};
    for (int32_t i = 1; i < n; i++) { parts[i] = epoch_part(epoch, i); }
    const sabot_status status = pg_copy_in(&self->client, statements->copy, parts, n, "write rows", err);
    free(parts);
    return status;
}

static sabot_status rows_send(struct marked *self, const struct epoch *epoch, struct sabot_error *err) {
    struct pg_statements statements;
    const struct kept_piece first = epoch_part(epoch, 0);
    SABOT_TRY(pg_statements_read(first.data, first.size, &statements, err));
    sabot_status status = SABOT_OK;
    if (statements.stage) { status = pg_run(&self->client, statements.stage, "make a table for rows", err); }
    if (status == SABOT_OK) { status = rows_copy(self, epoch, &statements, err); }
    if (status == SABOT_OK && statements.remove) {
        status = pg_run(&self->client, statements.remove, "delete rows", err);
    }
    if (status == SABOT_OK && statements.insert) {
        status = pg_run(&self->client, statements.insert, "insert or replace rows", err);
    }
    pg_statements_clear(&statements);
    return status;
}

static sabot_status transaction_run(struct marked *self, const struct epoch *epoch, bool marks,
                                    struct sabot_error *err) {
    struct env *env = self->target.context->env;
    SABOT_TRY(pg_run(&self->client, "BEGIN", "begin a transaction", err));
    if (marks) { SABOT_TRY(mark_set(self, epoch, err)); }
    if (epoch->n > 0) { SABOT_TRY(rows_send(self, epoch, err)); }
    env_point(env, ENV_POINT_POSTGRES_SENT);
    SABOT_TRY(pg_run(&self->client, "COMMIT", "commit a transaction", err));
    env_point(env, ENV_POINT_POSTGRES_COMMITTED);
    return SABOT_OK;
}

/* A new connection; the mark says what came of the transaction. */
static sabot_status reconnect(struct marked *self, const struct epoch *epoch, bool marks, bool *sent,
                              struct sabot_error *err) {
    SABOT_TRY(pg_client_connect(&self->client, err));
    if (!marks) { return SABOT_OK; }
    struct mark mark;
    SABOT_TRY(mark_again(self, &mark, err));
    if (mark.there && mark.token != self->token) { return fenced(self, err); }
    *sent = mark.there && mark.epoch >= epoch->number;
    return SABOT_OK;
}

static void pause(const struct marked *self, int64_t ns) {
    for (; ns > 0 && !stopping(self); ns -= PAUSE_STEP_NS) { env_sleep_ns(self->target.context->env, PAUSE_STEP_NS); }
}

static sabot_status epoch_send(struct marked *self, const struct epoch *epoch, bool marks, bool *sent,
                               struct sabot_error *err) {
    *sent = false;
    int64_t left = self->retries, pause_ns = PAUSE_FIRST_NS, until_ns = INT64_MAX;
    bool connected = true;
    while (!stopping(self)) {
        struct sabot_error why = {0};
        sabot_status status = SABOT_OK;
        self->client.lost = self->client.conflict = false;
        if (!connected) { status = reconnect(self, epoch, marks, sent, &why); }
        if (status == SABOT_OK && !*sent) { status = transaction_run(self, epoch, marks, &why); }
        if (status == SABOT_OK) {
            self->target.mark = epoch->number;
            *sent = true;
            return SABOT_OK;
        }
        if (stopping(self)) { break; }
        const bool again = self->client.lost || self->client.conflict;
        const int64_t now_ns = env_now_ns(self->target.context->env);
        if (until_ns == INT64_MAX) { until_ns = now_ns + self->retry_timeout_ns; }
        if (!again || left-- == 0 || now_ns >= until_ns) {
            if (err) { *err = why; }
            error_context(err, "the rows of checkpoint %" PRId64 " are kept in it; mend the cause and start from it",
                          epoch->checkpoint_id);
            return status;
        }
        log_write(self->target.context->env, LOG_WARNING, "postgres: %s; trying again", why.message);
        connected = false; /* also ends a transaction that has failed */
        pause(self, pause_ns);
        pause_ns = pause_ns * 2 < PAUSE_MAX_NS ? pause_ns * 2 : PAUSE_MAX_NS;
    }
    return SABOT_OK;
}

static sabot_status marked_send(struct epochs_target *target, const struct epoch *epoch, bool *sent,
                                struct sabot_error *err) {
    return epoch_send((struct marked *)target, epoch, true, sent, err);
}

static sabot_status batches_send(struct epochs_target *target, const struct epoch *epoch, bool *sent,
                                 struct sabot_error *err) {
    return epoch_send((struct marked *)target, epoch, false, sent, err);
}

#else

static sabot_status marked_open(struct epochs_target *target, struct sabot_error *err) {
    return pg_client_init(&((struct marked *)target)->client, target->context, err);
}
#define batches_open marked_open
static void marked_close(struct epochs_target *target) { (void)target; }
static void marked_interrupt(struct epochs_target *target) { (void)target; }
static sabot_status marked_send(struct epochs_target *target, const struct epoch *epoch, bool *sent,
                                struct sabot_error *err) {
    (void)epoch, (void)sent;
    return marked_open(target, err);
}
#define batches_send marked_send

#endif

static sabot_status mark_missing(const struct connector_context *context, const char *id, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_STATE,
                      "table \"%s\": the mark '%s' is gone from the table %s of the database, so it can't be told "
                      "whether the last rows of the checkpoint were written. Start with 'sink.delivery-guarantee' = "
                      "'at-least-once' to write them, perhaps a second time",
                      context->table->name, id, option_text(context->table, postgres_options, "sink.checkpoint-table"));
}

const struct epochs_type postgres_epochs = {
    .tag = "postgres1",
    .thread = "pg-commit",
    .id_option = "'sink.id'",
    .size = sizeof(struct marked),
    .open = marked_open,
    .send = marked_send,
    .interrupt = marked_interrupt,
    .close = marked_close,
    .mark_missing = mark_missing,
};

const struct epochs_type postgres_batches = {
    .tag = "postgres1",
    .thread = "pg-commit",
    .id_option = "'sink.id'",
    .size = sizeof(struct marked),
    .is_eager = true,
    .open = batches_open,
    .send = batches_send,
    .interrupt = marked_interrupt,
    .close = marked_close,
    .mark_missing = mark_missing,
};
