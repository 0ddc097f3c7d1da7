/* A connection to PostgreSQL, with errors that name the table. Blocks; one thread at a time, but for pg_interrupt. */
#ifndef CONNECT_POSTGRES_CLIENT_H
#define CONNECT_POSTGRES_CLIENT_H

#include "base/text.h"
#include "connect/connector.h"
#include "connect/postgres/libpq.h"

extern const struct connector_option postgres_options[];

struct pg_client {
    struct libpq functions;
    const struct libpq *libpq; /* those; NULL before pg_client_init */
    const struct connector_context *context;
    struct pg_conn *connection;
    struct env_mutex *mutex; /* of `cancel` */
    struct pg_cancel *cancel;
    bool lost;     /* the last failure was the connection's */
    bool conflict; /* the last failure was another transaction's: the same may go well now */
};

/* Opens no connection yet. */
sabot_status pg_client_init(struct pg_client *client, const struct connector_context *context, struct sabot_error *err);
sabot_status pg_client_connect(struct pg_client *client, struct sabot_error *err);
void pg_client_disconnect(struct pg_client *client);
void pg_client_clear(struct pg_client *client);
/* Ends what the connection is waiting for, from another thread. */
void pg_client_interrupt(struct pg_client *client);

/* Runs statements. `what` says for which purpose: "read the mark". */
sabot_status pg_run(struct pg_client *client, const char *sql, const char *what, struct sabot_error *err);
/* One statement with parameters $1.. as text; *out is freed by the caller (libpq->PQclear). */
sabot_status pg_query(struct pg_client *client, const char *sql, const char *const *values, int n, const char *what,
                      struct pg_result **out, struct sabot_error *err);
/* COPY ... FROM STDIN with this data. */
sabot_status pg_copy_in(struct pg_client *client, const char *sql, const struct kept_piece *pieces, int32_t n,
                        const char *what, struct sabot_error *err);
/* The failure of the connection, or of a result, which is freed. */
sabot_status pg_failed(struct pg_client *client, struct pg_result *result, const char *what, struct sabot_error *err);

/* Appends "name" as SQL. ERR_USAGE for names that no table can have. */
sabot_status pg_name_add(struct text *sql, const char *name, size_t size, struct sabot_error *err);
/* "schema.name" as SQL. */
sabot_status pg_table_add(struct text *sql, const char *name, struct sabot_error *err);

#endif
