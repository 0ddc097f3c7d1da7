/* PostgreSQL's client library, opened (dlopen) by the first job that needs it: a start without it stays quick. */
#ifndef CONNECT_POSTGRES_LIBPQ_H
#define CONNECT_POSTGRES_LIBPQ_H

#include "base/error.h"

#if __has_include(<libpq-fe.h>)
#define POSTGRES_BUILT 1
#include <libpq-fe.h>
#else
#define POSTGRES_BUILT 0
#endif

#if POSTGRES_BUILT
#define LIBPQ_FUNCTIONS(X)                                                                                             \
    X(PQconnectdbParams) X(PQfinish) X(PQstatus) X(PQerrorMessage) X(PQexec) X(PQexecParams) X(PQresultStatus)         \
    X(PQresultErrorField) X(PQclear) X(PQntuples) X(PQgetvalue) X(PQputCopyData) X(PQputCopyEnd) X(PQgetResult)        \
    X(PQgetCopyData) X(PQfreemem) X(PQgetCancel) X(PQfreeCancel) X(PQcancel) X(PQsetNoticeProcessor)

struct libpq {
#define X(name) __typeof__(name) *name;
    LIBPQ_FUNCTIONS(X)
#undef X
};
#else
struct libpq {
    int unused;
};
#endif
struct pg_conn;   /* PGconn */
struct pg_result; /* PGresult */
struct pg_cancel; /* PGcancel */

/* ERR_UNSUPPORTED where there is none. Any thread; the library stays open. */
sabot_status libpq_open(struct libpq *out, struct sabot_error *err);

#endif
