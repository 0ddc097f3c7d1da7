/* The source of the connectors 'jdbc' and 'postgres': a table read once, whole, by the first subtask. PostgreSQL writes
 * each row as JSON, a thread takes them off the connection, the format json makes columns of them.
 *
 * The position is a number of rows: a scan that goes on skips them. The order is that of the table's pages, so it is
 * the same again as long as nobody writes to the table. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connect/postgres/client.h"
#include "format/format.h"

#define CHUNK_BYTES ((size_t)4 << 20)
#define RECORD_PADDING 64

/* Rows between the thread and the task. */
struct chunk {
    struct text text;
    int64_t *offsets; /* batch_rows + 1 of them */
    int32_t n;
};

struct source {
    struct connector_context context;
    struct connector_table json_table; /* without our options, for the decoder */
    struct connector_context json_context;
    struct decoder *decoder;
    struct pg_client client;
    struct chunk chunk;
    struct env_thread *thread;
    struct env_event *taken;
    struct env_mutex *mutex;
    bool ready, ended; /* under the mutex: the chunk is whole; it was the last */
    sabot_status failed;
    struct sabot_error failure;
    _Atomic bool stop;
    int64_t rows;      /* given out */
    bool over;
};

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to read a table of PostgreSQL");
}

static bool postgres_is_bounded(const struct connector_table *table) {
    (void)table;
    return true;
}

#if POSTGRES_BUILT

/* ---- the query ---- */

/* How a column comes into JSON so that the format json reads it as its type. */
static sabot_status column_add(const struct connector_table *table, int32_t c, struct text *sql,
                               struct sabot_error *err) {
    const struct field *field = &table->schema->fields[c];
    const char *before = "", *behind = "";
    switch ((enum type_kind)field->type.kind) {
    case TYPE_STRING:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_TIMESTAMP: behind = "::text"; break;
    case TYPE_TIMESTAMP_LTZ:
        before = "to_char(";
        behind = "::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US\"Z\"')";
        break;
    case TYPE_BINARY:
        before = "replace(encode(";
        behind = "::bytea, 'base64'), E'\\n', '')";
        break;
    case TYPE_INTERVAL_MONTH:
        before = "(SELECT (extract(year FROM i) * 12 + extract(month FROM i))::int FROM (SELECT ";
        behind = " AS i) i)";
        break;
    case TYPE_INTERVAL_DAY:
        before = "(extract(epoch FROM ";
        behind = ") * 1000)::bigint";
        break;
    case TYPE_MAP:
    case TYPE_ROW: behind = "::jsonb"; break;
    default: break;
    }
    text_add(sql, before);
    SABOT_TRY(pg_name_add(sql, field->name, strlen(field->name), err));
    text_format(sql, "%s AS ", behind);
    return pg_name_add(sql, field->name, strlen(field->name), err);
}

static sabot_status query_make(const struct source *source, struct text *sql, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    text_add(sql, "COPY (SELECT row_to_json(\"sabot row\")::text FROM (SELECT ");
    for (int32_t c = 0; c < table->schema->n_fields; c++) {
        if (c > 0) { text_add(sql, ", "); }
        SABOT_TRY(column_add(table, c, sql, err));
    }
    if (table->schema->n_fields == 0) { text_add(sql, "1 AS one"); }
    text_add(sql, " FROM ");
    SABOT_TRY(pg_table_add(sql, option_text(table, postgres_options, "table-name"), err));
    text_format(sql, " OFFSET %" PRId64 ") \"sabot row\") TO STDOUT WITH (FORMAT csv, DELIMITER E'\\x02', "
                "QUOTE E'\\x01')", source->rows);
    return sql->failed ? no_memory(err) : SABOT_OK;
}

/* ---- the thread ---- */

static sabot_status scan_begin(struct source *source, struct sabot_error *err) {
    struct pg_client *client = &source->client;
    SABOT_TRY(pg_client_connect(client, err));
    SABOT_TRY(pg_run(client, "SET synchronize_seqscans = off", "set up the connection", err));
    struct text sql = {0};
    sabot_status status = query_make(source, &sql, err);
    if (status == SABOT_OK) {
        PGresult *result = client->libpq->PQexec(client->connection, text_string(&sql));
        if (client->libpq->PQresultStatus(result) == PGRES_COPY_OUT) {
            client->libpq->PQclear(result);
        } else {
            status = pg_failed(client, result, "read the table", err);
        }
    }
    text_clear(&sql);
    return status;
}

/* Fills the chunk; *ended with the last row. */
static sabot_status chunk_fill(struct source *source, bool *ended, struct sabot_error *err) {
    const struct libpq *libpq = source->client.libpq;
    struct chunk *chunk = &source->chunk;
    chunk->n = 0;
    chunk->text.size = 0;
    while (chunk->n < source->context.batch_rows && chunk->text.size < CHUNK_BYTES) {
        char *row;
        const int size = libpq->PQgetCopyData(source->client.connection, &row, 0);
        if (size == -1) { /* the end, or a failure */
            PGresult *result = libpq->PQgetResult(source->client.connection);
            if (libpq->PQresultStatus(result) != PGRES_COMMAND_OK) {
                return pg_failed(&source->client, result, "read the table", err);
            }
            libpq->PQclear(result);
            *ended = true;
            break;
        }
        if (size < 0) { return pg_failed(&source->client, NULL, "read the table", err); }
        chunk->offsets[chunk->n++] = (int64_t)chunk->text.size;
        text_append(&chunk->text, row, (size_t)size);
        libpq->PQfreemem(row);
    }
    chunk->offsets[chunk->n] = (int64_t)chunk->text.size;
    return chunk->text.failed ? no_memory(err) : SABOT_OK;
}

static void thread_main(void *arg) {
    struct source *source = arg;
    struct sabot_error err = {0};
    bool ended = false;
    sabot_status status = scan_begin(source, &err);
    while (!ended && !atomic_load(&source->stop)) {
        if (status == SABOT_OK) { status = chunk_fill(source, &ended, &err); }
        ended |= status != SABOT_OK;
        env_mutex_lock(source->mutex);
        source->ready = true;
        source->ended = ended;
        source->failed = status;
        source->failure = err;
        env_mutex_unlock(source->mutex);
        source->context.wake(source->context.wake_arg);
        for (bool waits = true; waits && !atomic_load(&source->stop);) {
            env_event_wait(source->taken, -1);
            env_mutex_lock(source->mutex);
            waits = source->ready;
            env_mutex_unlock(source->mutex);
        }
    }
    pg_client_disconnect(&source->client);
}

/* ---- batches ---- */

static sabot_status records_make(struct source *source, struct records *records, struct buffer **offsets,
                                 struct sabot_error *err) {
    const struct chunk *chunk = &source->chunk;
    const size_t ends = ((size_t)chunk->n + 1) * sizeof(int64_t);
    SABOT_TRY(buffer_new(source->context.pool, ends, offsets, err));
    memcpy((*offsets)->data, chunk->offsets, ends);
    SABOT_TRY(buffer_new(source->context.pool, chunk->text.size + RECORD_PADDING, &records->block, err));
    memcpy(records->block->data, text_string(&chunk->text), chunk->text.size);
    memset((char *)records->block->data + chunk->text.size, 0, RECORD_PADDING);
    records->data = (const char *)records->block->data;
    records->offsets = (const int64_t *)(const void *)(*offsets)->data;
    records->n = chunk->n;
    return SABOT_OK;
}

static sabot_status chunk_decode(struct source *source, struct batch **out, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    struct records records = {0};
    struct buffer *offsets = NULL;
    struct decode_errors errors = {0};
    struct column **columns = calloc((size_t)table->schema->n_fields + 1, sizeof *columns);
    if (!columns) { return no_memory(err); }
    sabot_status status = records_make(source, &records, &offsets, err);
    if (status == SABOT_OK) {
        status = format_find("json")->decode(source->decoder, &records, columns, &errors, err);
    }
    if (status == SABOT_OK && errors.n > 0) {
        status = SABOT_FAIL(err, SABOT_ERR_DATA, "table \"%s\": row %" PRId64 " of %s in the database does not fit the "
                            "declared columns: %s", table->name, source->rows + errors.items[0].record + 1,
                            option_text(table, postgres_options, "table-name"), errors.items[0].reason);
    }
    if (status == SABOT_OK) {
        status = batch_new(table->schema, columns, table->schema->n_fields, records.n, out, err);
    } else {
        for (int32_t c = 0; c < table->schema->n_fields; c++) { column_unref(columns[c]); }
    }
    decode_errors_clear(&errors);
    free(columns);
    buffer_unref(records.block);
    buffer_unref(offsets);
    return status;
}

static sabot_status thread_begin(struct source *source, struct sabot_error *err) {
    return env_thread_start(source->context.env, "pg-scan", thread_main, source, &source->thread, err);
}

static sabot_status postgres_poll(struct source *source, enum source_state *state, struct source_result *result,
                                  struct sabot_error *err) {
    *state = SOURCE_END;
    if (source->over) { return SABOT_OK; }
    if (!source->thread) { SABOT_TRY(thread_begin(source, err)); }
    env_mutex_lock(source->mutex);
    const bool ready = source->ready, ended = source->ended;
    env_mutex_unlock(source->mutex);
    if (!ready) {
        *state = SOURCE_WAIT;
        result->wake_at_ns = INT64_MAX;
        return SABOT_OK;
    }
    if (source->failed != SABOT_OK) {
        if (err) { *err = source->failure; }
        return source->failed;
    }
    const int32_t n = source->chunk.n;
    if (n > 0) {
        SABOT_TRY(chunk_decode(source, &result->batch, err));
        result->batch->created_ns = env_now_ns(source->context.env);
        result->split = 0;
        source->rows += n;
        metric_add(&source->context.metrics->bytes_in, (int64_t)source->chunk.text.size);
        *state = SOURCE_BATCH;
    }
    source->over = ended;
    env_mutex_lock(source->mutex);
    source->ready = false;
    env_mutex_unlock(source->mutex);
    env_event_set(source->taken);
    return SABOT_OK;
}

#else

static sabot_status postgres_poll(struct source *source, enum source_state *state, struct source_result *result,
                                  struct sabot_error *err) {
    (void)state, (void)result;
    return libpq_open(&source->client.functions, err);
}

#endif

/* ---- positions ---- */

static int32_t postgres_n_splits(const struct source *source) { return source->context.subtask == 0; }

static void postgres_split(const struct source *source, int32_t i, struct source_split *out) {
    (void)i;
    snprintf(out->id, sizeof out->id, "table");
    out->finished = source->over;
}

/* "<rows>", with a point behind it where that is all. */
static sabot_status postgres_position(struct source *source, int32_t split, struct text *position,
                                      struct sabot_error *err) {
    (void)split;
    text_format(position, "%" PRId64 "%s", source->rows, source->over ? "." : "");
    return position->failed ? no_memory(err) : SABOT_OK;
}

static sabot_status postgres_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    for (int32_t i = 0; positions && i < positions->selected && source->context.subtask == 0; i++) {
        const struct split_position at = split_position_at(positions, i);
        char text[32] = "", end = '\0';
        if (!split_position_is_of(&at, "table")) { continue; }
        if (at.size < sizeof text) { memcpy(text, at.bytes, at.size); }
        if (sscanf(text, "%" SCNd64 "%c", &source->rows, &end) < 1) {
            return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "table \"%s\": the checkpoint holds no position in a table",
                              source->context.table->name);
        }
        source->over = end == '.';
    }
    return SABOT_OK;
}

static void postgres_pause(struct source *source, int32_t split, bool paused) {
    (void)source, (void)split, (void)paused; /* it is bounded: it is read as fast as it is taken */
}

static sabot_status postgres_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

/* ---- life ---- */

static void postgres_close(struct source *source) {
    if (!source) { return; }
    if (source->thread) {
        atomic_store(&source->stop, true);
        env_event_set(source->taken);
#if POSTGRES_BUILT
        pg_client_interrupt(&source->client);
#endif
        env_thread_join(source->thread);
    }
    pg_client_clear(&source->client);
    if (source->decoder) { format_find("json")->decoder_free(source->decoder); }
    text_clear(&source->chunk.text);
    free(source->chunk.offsets);
    env_event_free(source->taken);
    env_mutex_free(source->mutex);
    free(source);
}

static sabot_status source_setup(struct source *source, struct sabot_error *err) {
    const struct connector_option *tables[] = {postgres_options};
    SABOT_TRY(options_check(source->context.table, tables, 1, err));
    SABOT_TRY(pg_client_init(&source->client, &source->context, err));
    source->json_table = *source->context.table;
    source->json_table.n_options = 0;
    source->json_context = source->context;
    source->json_context.table = &source->json_table;
    SABOT_TRY(format_find("json")->decoder_new(&source->json_context, &source->decoder, err));
    source->over = source->context.subtask != 0;
    source->chunk.offsets = malloc(((size_t)source->context.batch_rows + 1) * sizeof(int64_t));
    return source->chunk.offsets ? SABOT_OK : no_memory(err);
}

static sabot_status postgres_open(const struct connector_context *context, struct source **out,
                                  struct sabot_error *err) {
    *out = NULL;
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return no_memory(err); }
    source->context = *context;
    source->mutex = env_mutex_new(context->env);
    source->taken = env_event_new(context->env);
    const sabot_status status = source_setup(source, err);
    if (status != SABOT_OK) {
        postgres_close(source);
        return status;
    }
    *out = source;
    return SABOT_OK;
}

const struct source_type postgres_source = {
    .name = "postgres",
    .summary = "a table in PostgreSQL, read once",
    .options = postgres_options,
    .is_bounded = postgres_is_bounded,
    .open = postgres_open,
    .restore = postgres_restore,
    .poll = postgres_poll,
    .n_splits = postgres_n_splits,
    .split = postgres_split,
    .pause = postgres_pause,
    .position = postgres_position,
    .on_complete = postgres_on_complete,
    .close = postgres_close,
};
