/* The sink of the connectors 'jdbc' and 'postgres'. Rows are written as COPY takes them; an epoch of them
 * (connect/epochs.c) is one transaction. Exactly once where the job has checkpoints, else as soon as the transaction
 * before is over. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "connect/postgres/client.h"
#include "connect/postgres/marked.h"
#include "connect/postgres/rows.h"

#define COLUMNS_MAX 1600 /* of a table of PostgreSQL */
#define ID_MAX 180

struct sink {
    struct connector_context context;
    struct text target; /* the table as SQL */
    char id[ID_MAX + 64];
    bool exactly_once, finishing;
    struct epochs *epochs;
};

/* ---- options ---- */

static sabot_status guarantee_read(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    const char *guarantee = option_text(table, postgres_options, "sink.delivery-guarantee");
    sink->exactly_once = strcasecmp(guarantee, "exactly-once") == 0 ||
                         (strcasecmp(guarantee, "auto") == 0 && sink->context.epoch > 0);
    const char *id = option_text(table, postgres_options, "sink.id");
    if (id && (strlen(id) > ID_MAX || strpbrk(id, " \t\r\n"))) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'sink.id': at most %d bytes, without spaces",
                          table->name, ID_MAX);
    }
    if (id && *id) {
        snprintf(sink->id, sizeof sink->id, "%s", id);
        return SABOT_OK;
    }
    snprintf(sink->id, sizeof sink->id, "%.*s-%016" PRIx64, ID_MAX,
             option_text(table, postgres_options, "table-name"), sink->context.lineage);
    for (char *at = sink->id; *at; at++) {
        if (strchr(" \t\r\n", *at)) { *at = '_'; }
    }
    return SABOT_OK;
}

/* ---- the table in the database ---- */

#if POSTGRES_BUILT

static sabot_status no_column(const struct connector_table *table, const char *name, const char **columns, size_t n,
                              struct sabot_error *err) {
    const char *target = option_text(table, postgres_options, "table-name");
    const char *nearest = nearest_name(name, columns, n);
    if (nearest) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the table %s in the database has no column \"%s\"; did "
                          "you mean \"%s\"?", table->name, target, name, nearest);
    }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the table %s in the database has no column \"%s\"",
                      table->name, target, name);
}

static sabot_status columns_check(struct sink *sink, struct pg_client *client, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    const char *target = text_string(&sink->target);
    PGresult *result;
    SABOT_TRY(pg_query(client, "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT "
                       "attisdropped", &target, 1, "look for the table", &result, err));
    const char *names[COLUMNS_MAX];
    size_t n = (size_t)client->libpq->PQntuples(result);
    if (n > COLUMNS_MAX) { n = COLUMNS_MAX; }
    for (size_t i = 0; i < n; i++) { names[i] = client->libpq->PQgetvalue(result, (int)i, 0); }
    sabot_status status = SABOT_OK;
    for (int32_t c = 0; c < table->schema->n_fields && status == SABOT_OK; c++) {
        bool there = false;
        for (size_t i = 0; i < n; i++) { there |= strcmp(names[i], table->schema->fields[c].name) == 0; }
        if (!there) { status = no_column(table, table->schema->fields[c].name, names, n, err); }
    }
    client->libpq->PQclear(result);
    return status;
}

/* ON CONFLICT needs a unique index of just the key's columns. */
static sabot_status key_check(struct sink *sink, struct pg_client *client, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    if (table->n_primary_key == 0) { return SABOT_OK; }
    struct text key = {0};
    for (int32_t i = 0; i < table->n_primary_key; i++) {
        text_format(&key, "%s%s", i ? "\n" : "", table->schema->fields[table->primary_key[i]].name);
    }
    const char *const values[] = {text_string(&sink->target), text_string(&key)};
    PGresult *result;
    const sabot_status status =
        pg_query(client, "SELECT 1 FROM pg_index i WHERE indrelid = $1::regclass AND indisunique AND indpred IS NULL "
                 "AND indexprs IS NULL AND (SELECT array_agg(attname::text ORDER BY attname::text) FROM pg_attribute "
                 "WHERE attrelid = indrelid AND attnum = ANY (indkey[0:indnkeyatts-1])) = (SELECT array_agg(k ORDER BY "
                 "k) FROM unnest(string_to_array($2, E'\\n')) k)", values, 2, "look for a unique index", &result, err);
    text_clear(&key);
    SABOT_TRY(status);
    const int n = client->libpq->PQntuples(result);
    client->libpq->PQclear(result);
    if (n > 0) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": the table %s in the database has no primary key or unique "
                      "index of just the columns of PRIMARY KEY; without one rows can't be replaced", table->name,
                      option_text(table, postgres_options, "table-name"));
}

static sabot_status target_check(struct sink *sink, struct sabot_error *err) {
    struct pg_client client;
    sabot_status status = pg_client_init(&client, &sink->context, err);
    if (status == SABOT_OK) { status = pg_client_connect(&client, err); }
    if (status == SABOT_OK) { status = columns_check(sink, &client, err); }
    if (status == SABOT_OK) { status = key_check(sink, &client, err); }
    pg_client_clear(&client);
    return status;
}

#else

static sabot_status target_check(struct sink *sink, struct sabot_error *err) {
    struct pg_client client;
    return pg_client_init(&client, &sink->context, err);
}

#endif

/* ---- rows ---- */

/* Tells of what failed meanwhile. */
static sabot_status postgres_write(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err) {
    bool done;
    const sabot_status failed = epochs_done(sink->epochs, &done, err);
    if (failed != SABOT_OK) {
        batch_unref(batch);
        return failed;
    }
    *full = epochs_full(sink->epochs);
    if (*full) { return SABOT_OK; }
    const struct connector_table *table = sink->context.table;
    struct text *rows = epochs_rows(sink->epochs, err);
    sabot_status status = rows ? SABOT_OK : SABOT_ERR_MEMORY;
    if (rows) {
        const size_t before = rows->size;
        const char *target = text_string(&sink->target);
        if (epochs_open_rows(sink->epochs) == 0) { status = pg_statements_add(table, target, rows, err); }
        if (status == SABOT_OK) { status = pg_rows_add(table, batch, epochs_open_rows(sink->epochs), rows, err); }
        if (status != SABOT_OK) { rows->size = before; }
        metric_add(&sink->context.metrics->bytes_out, (int64_t)(rows->size - before));
        const sabot_status added = epochs_added(sink->epochs, status == SABOT_OK ? batch->selected : 0, err);
        if (status == SABOT_OK) { status = added; }
    }
    batch_unref(batch);
    return status;
}

static sabot_status postgres_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                     struct sabot_error *err) {
    return epochs_prepare(sink->epochs, checkpoint_id, pending, full, err);
}

static sabot_status postgres_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err) {
    return sink->exactly_once ? epochs_commit(sink->epochs, checkpoint_id, err) : SABOT_OK;
}

static sabot_status postgres_committed(struct sink *sink, bool *done, struct sabot_error *err) {
    return epochs_done(sink->epochs, done, err);
}

static sabot_status postgres_finish(struct sink *sink, bool *full, struct sabot_error *err) {
    if (sink->exactly_once && !sink->finishing) {
        struct text unused = {0};
        sabot_status status = epochs_prepare(sink->epochs, 0, &unused, full, err);
        text_clear(&unused);
        if (status == SABOT_OK && !*full) { status = epochs_commit(sink->epochs, 0, err); }
        if (status != SABOT_OK || *full) { return status; }
        sink->finishing = true;
    }
    bool done;
    SABOT_TRY(epochs_done(sink->epochs, &done, err));
    *full = !done;
    return SABOT_OK;
}

static sabot_status postgres_restore(struct sink *sink, struct batch *pending, struct sabot_error *err) {
    if (!pending) { return SABOT_OK; }
    if (sink->exactly_once) { return epochs_restore(sink->epochs, pending, err); }
    return epochs_pending_finish(&postgres_epochs, &sink->context, pending, err); /* 'exactly-once' before, no more */
}

/* ---- life ---- */

static void postgres_close(struct sink *sink) {
    if (!sink) { return; }
    epochs_close(sink->epochs);
    text_clear(&sink->target);
    free(sink);
}

static sabot_status sink_setup(struct sink *sink, struct sabot_error *err) {
    const struct connector_table *table = sink->context.table;
    const struct connector_option *tables[] = {postgres_options};
    SABOT_TRY(options_check(table, tables, 1, err));
    SABOT_TRY(guarantee_read(sink, err));
    SABOT_TRY(pg_table_add(&sink->target, option_text(table, postgres_options, "table-name"), err));
    SABOT_TRY(target_check(sink, err));
    char place[EPOCHS_PLACE_MAX];
    snprintf(place, sizeof place, "%s", text_string(&sink->target));
    for (char *at = place; *at; at++) {
        if (*at == ' ') { *at = '\x01'; } /* a word in the checkpoint */
    }
    return epochs_open(sink->exactly_once ? &postgres_epochs : &postgres_batches, &sink->context, place, sink->id,
                       &sink->epochs, err);
}

static sabot_status postgres_open(const struct connector_context *context, struct sink **out, struct sabot_error *err) {
    *out = NULL;
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a sink"); }
    sink->context = *context;
    const sabot_status status = sink_setup(sink, err);
    if (status != SABOT_OK) {
        postgres_close(sink);
        return status;
    }
    *out = sink;
    return SABOT_OK;
}

const struct sink_type postgres_sink = {
    .name = "postgres",
    .summary = "rows of a table in PostgreSQL, exactly once",
    .options = postgres_options,
    .accepts = SINK_INSERTS | SINK_UPSERTS,
    .keeps_rows = true,
    .open = postgres_open,
    .restore = postgres_restore,
    .write = postgres_write,
    .prepare = postgres_prepare,
    .commit = postgres_commit,
    .committed = postgres_committed,
    .finish = postgres_finish,
    .close = postgres_close,
};
