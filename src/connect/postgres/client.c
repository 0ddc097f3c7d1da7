/* Connections: the url in JDBC's or libpq's manner, statements, errors. */
#include "connect/postgres/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

const struct connector_option postgres_options[] = {
#define X(name, kind, fallback, values, summary) {name, kind, fallback, values, summary},
#include "connect/postgres/options.def"
#undef X
    {0},
};

#if POSTGRES_BUILT

/* Bounds what a stopped machine at the other end, or ours, can hold up. */
#define SESSION                                                                                                        \
    "SET TIME ZONE 'UTC'; SET datestyle = 'ISO'; SET extra_float_digits = 1; SET client_min_messages = warning; "      \
    "SET idle_in_transaction_session_timeout = '60s'"

/* ---- the url ---- */

/* JDBC's names of what libpq has too; NULL: it has no meaning here. */
static const struct {
    const char *jdbc, *libpq;
} properties[] = {
    {"user", "user"},
    {"password", "password"},
    {"ApplicationName", "application_name"},
    {"sslmode", "sslmode"},
    {"sslrootcert", "sslrootcert"},
    {"sslcert", "sslcert"},
    {"sslkey", "sslkey"},
    {"connectTimeout", "connect_timeout"},
    {"options", "options"},
    {"targetServerType", "target_session_attrs"},
    {"reWriteBatchedInserts", NULL},
    {"stringtype", NULL},
    {"socketTimeout", NULL},
    {"tcpKeepAlive", NULL},
    {"prepareThreshold", NULL},
    {"defaultRowFetchSize", NULL},
};

static sabot_status property_add(struct text *uri, char between, const char *key, size_t key_size, const char *value,
                                 size_t value_size, const char *table, bool *added, struct sabot_error *err) {
    *added = true;
    if (key_size == 13 && memcmp(key, "currentSchema", 13) == 0) {
        text_format(uri, "%coptions=-csearch_path%%3D%.*s", between, (int)value_size, value);
        return SABOT_OK;
    }
    if (key_size == 3 && memcmp(key, "ssl", 3) == 0) {
        const bool on = value_size == 4 && memcmp(value, "true", 4) == 0;
        text_format(uri, "%csslmode=%s", between, on ? "verify-full" : "prefer");
        return SABOT_OK;
    }
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        if (strlen(properties[i].jdbc) != key_size || memcmp(properties[i].jdbc, key, key_size) != 0) { continue; }
        *added = properties[i].libpq != NULL;
        if (*added) { text_format(uri, "%c%s=%.*s", between, properties[i].libpq, (int)value_size, value); }
        return SABOT_OK;
    }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'url': '%.*s' is no property that is known here; "
                      "libpq's own are taken in a url without 'jdbc:'", table, (int)key_size, key);
}

/* A url of JDBC as one of libpq. */
static sabot_status uri_make(const struct connector_table *table, const char *url, struct text *uri,
                             struct sabot_error *err) {
    if (strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0) {
        text_add(uri, url);
        return SABOT_OK;
    }
    if (strncmp(url, "jdbc:postgresql:", 16) != 0) {
        const char *colon = strchr(url, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'url': only PostgreSQL is known, as "
                          "jdbc:postgresql://host:port/database, not %.*s", table->name,
                          (int)(second ? second - url : (ptrdiff_t)strcspn(url, "@?/")), url);
    }
    url += 5;
    const char *question = strchr(url, '?');
    const size_t head = question ? (size_t)(question - url) : strlen(url);
    /* "postgresql:database" is short for one on this machine */
    const bool is_short = strncmp(url, "postgresql://", 13) != 0;
    if (is_short) { text_format(uri, "postgresql://localhost/%.*s", (int)(head - 11), url + 11); }
    if (!is_short) { text_append(uri, url, head); }
    char between = '?';
    for (const char *at = question ? question + 1 : ""; *at;) {
        const size_t size = strcspn(at, "&");
        const char *equals = memchr(at, '=', size);
        const size_t key = equals ? (size_t)(equals - at) : size;
        bool added;
        SABOT_TRY(property_add(uri, between, at, key, equals ? equals + 1 : "", equals ? size - key - 1 : 0,
                               table->name, &added, err));
        if (added) { between = '&'; }
        at += size + (at[size] == '&');
    }
    return SABOT_OK;
}

/* ---- life ---- */

sabot_status pg_client_init(struct pg_client *client, const struct connector_context *context,
                            struct sabot_error *err) {
    *client = (struct pg_client){.context = context};
    SABOT_TRY(libpq_open(&client->functions, err));
    client->libpq = &client->functions;
    client->mutex = env_mutex_new(context->env);
    return SABOT_OK;
}

/* "host:port/database" for messages: never the password. */
static void place_print(const char *uri, char *target, size_t size) {
    const char *host = strstr(uri, "://");
    host = host ? host + 3 : uri;
    const size_t length = strcspn(host, "?");
    const char *at = memchr(host, '@', length);
    const char *from = at ? at + 1 : host;
    snprintf(target, size, "%.*s", (int)(length - (size_t)(from - host)), from);
}

static void on_notice(void *arg, const char *message) {
    const struct pg_client *client = arg;
    log_write(client->context->env, LOG_DEBUG, "postgres: %s", message);
}

static sabot_status connect_with(struct pg_client *client, const char *uri, struct sabot_error *err) {
    const struct connector_table *table = client->context->table;
    const struct libpq *libpq = client->libpq;
    int64_t timeout_ns;
    SABOT_TRY(option_duration(table, postgres_options, "connection.max-retry-timeout", &timeout_ns, err));
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%" PRId64, timeout_ns / 1000000000 + 1);
    const char *keys[16] = {"fallback_application_name", "connect_timeout", "keepalives_idle", "keepalives_interval",
                            "keepalives_count", "tcp_user_timeout", "dbname", "client_encoding"};
    const char *values[16] = {"sabot", seconds, "10", "10", "3", "60000", uri, "UTF8"};
    int n = 8;
    const char *user = option_text(table, postgres_options, "username");
    const char *password = option_text(table, postgres_options, "password");
    if (user && *user) { keys[n] = "user", values[n++] = user; }
    if (password && *password) { keys[n] = "password", values[n++] = password; }
    pg_client_disconnect(client);
    client->connection = libpq->PQconnectdbParams(keys, values, 1);
    if (!client->connection) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a connection to PostgreSQL"); }
    if (libpq->PQstatus(client->connection) != CONNECTION_OK) {
        char place[256], what[300];
        place_print(uri, place, sizeof place);
        snprintf(what, sizeof what, "connect to PostgreSQL at %s", place);
        const sabot_status status = pg_failed(client, NULL, what, err);
        client->lost = true;
        return status;
    }
    libpq->PQsetNoticeProcessor(client->connection, on_notice, client);
    env_mutex_lock(client->mutex);
    client->cancel = libpq->PQgetCancel(client->connection);
    env_mutex_unlock(client->mutex);
    return pg_run(client, SESSION, "set up the connection", err);
}

sabot_status pg_client_connect(struct pg_client *client, struct sabot_error *err) {
    const struct connector_table *table = client->context->table;
    const char *url = option_text(table, postgres_options, "url");
    struct text uri = {0};
    sabot_status status = uri_make(table, url, &uri, err);
    if (status == SABOT_OK) { status = connect_with(client, text_string(&uri), err); }
    text_clear(&uri);
    return status;
}

void pg_client_disconnect(struct pg_client *client) {
    if (!client->libpq || !client->mutex) { return; }
    env_mutex_lock(client->mutex);
    if (client->cancel) { client->libpq->PQfreeCancel(client->cancel); }
    client->cancel = NULL;
    env_mutex_unlock(client->mutex);
    if (client->connection) { client->libpq->PQfinish(client->connection); }
    client->connection = NULL;
}

void pg_client_clear(struct pg_client *client) {
    pg_client_disconnect(client);
    if (client->mutex) { env_mutex_free(client->mutex); }
    *client = (struct pg_client){0};
}

void pg_client_interrupt(struct pg_client *client) {
    char why[256];
    env_mutex_lock(client->mutex);
    if (client->cancel) { client->libpq->PQcancel(client->cancel, why, sizeof why); }
    env_mutex_unlock(client->mutex);
}

/* ---- statements ---- */

static bool is_conflict(const char *state) {
    return strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 || strcmp(state, "55P03") == 0;
}

/* The server goes down, comes up, or is full. */
static bool is_passing(const char *state) {
    return strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0 || strncmp(state, "53", 2) == 0;
}

static enum sabot_status status_of(const char *state) {
    if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0) { return SABOT_ERR_DATA; }
    if (strncmp(state, "42", 2) == 0 || strncmp(state, "3D", 2) == 0) { return SABOT_ERR_PLAN; }
    return SABOT_ERR_IO;
}

static const char *field_of(const struct pg_client *client, PGresult *result, int field) {
    const char *text = result ? client->libpq->PQresultErrorField(result, field) : NULL;
    return text ? text : "";
}

sabot_status pg_failed(struct pg_client *client, PGresult *result, const char *what, struct sabot_error *err) {
    const char *state = field_of(client, result, PG_DIAG_SQLSTATE);
    const char *primary = field_of(client, result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = field_of(client, result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = field_of(client, result, PG_DIAG_MESSAGE_HINT);
    const char *context = field_of(client, result, PG_DIAG_CONTEXT);
    client->lost = !client->connection || client->libpq->PQstatus(client->connection) != CONNECTION_OK ||
                   is_passing(state);
    client->conflict = is_conflict(state);
    char text[600];
    if (*primary) {
        snprintf(text, sizeof text, "%s%s%s%s%s%s%.*s%s", primary, *detail ? "; " : "", detail, *hint ? "; " : "", hint,
                 *context ? " (" : "", (int)strcspn(context, "\n"), context, *context ? ")" : "");
    } else {
        const char *said = client->connection ? client->libpq->PQerrorMessage(client->connection) : "no connection";
        snprintf(text, sizeof text, "%s", said);
        for (char *at = text; *at; at++) {
            if (*at == '\n') { *at = at[1] ? ' ' : '\0'; }
        }
    }
    const sabot_status status = *state ? (sabot_status)status_of(state) : SABOT_ERR_IO;
    if (result) { client->libpq->PQclear(result); }
    return SABOT_FAIL(err, status, "table \"%s\": %s: %s", client->context->table->name, what, text);
}

sabot_status pg_run(struct pg_client *client, const char *sql, const char *what, struct sabot_error *err) {
    PGresult *result = client->libpq->PQexec(client->connection, sql);
    const ExecStatusType status = client->libpq->PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) { return pg_failed(client, result, what, err); }
    client->libpq->PQclear(result);
    return SABOT_OK;
}

sabot_status pg_query(struct pg_client *client, const char *sql, const char *const *values, int n, const char *what,
                      PGresult **out, struct sabot_error *err) {
    PGresult *result = client->libpq->PQexecParams(client->connection, sql, n, NULL, values, NULL, NULL, 0);
    const ExecStatusType status = client->libpq->PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) { return pg_failed(client, result, what, err); }
    *out = result;
    return SABOT_OK;
}

sabot_status pg_copy_in(struct pg_client *client, const char *sql, const struct kept_piece *pieces, int32_t n,
                        const char *what, struct sabot_error *err) {
    const struct libpq *libpq = client->libpq;
    PGconn *connection = client->connection;
    PGresult *result = libpq->PQexec(connection, sql);
    if (libpq->PQresultStatus(result) != PGRES_COPY_IN) { return pg_failed(client, result, what, err); }
    libpq->PQclear(result);
    bool good = true;
    for (int32_t i = 0; i < n && good; i++) {
        const char *data = pieces[i].data;
        for (size_t left = pieces[i].size, part; left > 0 && good; left -= part, data += part) {
            part = left < (1 << 20) ? left : 1 << 20;
            memory_relax(client->context->pool);
            good = libpq->PQputCopyData(connection, data, (int)part) == 1;
            env_point(client->context->env, ENV_POINT_POSTGRES_COPY);
        }
    }
    good = good && libpq->PQputCopyEnd(connection, NULL) == 1;
    if (!good) { return pg_failed(client, NULL, what, err); }
    PGresult *last = libpq->PQgetResult(connection);
    for (PGresult *more; (more = libpq->PQgetResult(connection));) { libpq->PQclear(more); }
    if (libpq->PQresultStatus(last) != PGRES_COMMAND_OK) { return pg_failed(client, last, what, err); }
    libpq->PQclear(last);
    return SABOT_OK;
}

#else

sabot_status pg_client_init(struct pg_client *client, const struct connector_context *context,
                            struct sabot_error *err) {
    *client = (struct pg_client){.context = context};
    return libpq_open(&client->functions, err);
}
void pg_client_clear(struct pg_client *client) { *client = (struct pg_client){0}; }

#endif

/* ---- names ---- */

sabot_status pg_name_add(struct text *sql, const char *name, size_t size, struct sabot_error *err) {
    if (size == 0 || size > 63 || memchr(name, '\n', size)) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "PostgreSQL knows no name like \"%.*s\": it has 1 to 63 bytes",
                          (int)(size > 80 ? 80 : size), name);
    }
    text_append(sql, "\"", 1);
    for (size_t i = 0; i < size; i++) { text_append(sql, name[i] == '"' ? "\"\"" : name + i, name[i] == '"' ? 2 : 1); }
    text_append(sql, "\"", 1);
    return SABOT_OK;
}

sabot_status pg_table_add(struct text *sql, const char *name, struct sabot_error *err) {
    const char *dot = strchr(name, '.');
    if (dot) {
        SABOT_TRY(pg_name_add(sql, name, (size_t)(dot - name), err));
        text_append(sql, ".", 1);
        name = dot + 1;
    }
    return pg_name_add(sql, name, strlen(name), err);
}
