/* Everything in sabot/sabot.h, as a program uses it. Results are compared with plain loops. Prints TAP. */
#include "arrow.h"

#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

static int failed_here;
#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                                                  \
            failed_here = 1;                                                                                          \
        }                                                                                                             \
    } while (0)
#define OK(call)                                                                                                      \
    do {                                                                                                              \
        struct sabot_error error = {0};                                                                               \
        struct sabot_error *const err = &error;                                                                       \
        if ((call) != SABOT_OK) {                                                                                     \
            printf("# %s:%d: %s: %s\n", __FILE__, __LINE__, sabot_status_name(error.status), error.message);          \
            failed_here = 1;                                                                                          \
        }                                                                                                             \
    } while (0)
/* The call fails with this status, and the message has the words. */
#define FAILS(status_wanted, words, call)                                                                             \
    do {                                                                                                              \
        struct sabot_error error = {0};                                                                               \
        struct sabot_error *const err = &error;                                                                       \
        const sabot_status got = (call);                                                                              \
        if (got != (status_wanted) || error.status != got || !strstr(error.message, words)) {                         \
            printf("# %s:%d: %s: %s\n", __FILE__, __LINE__, sabot_status_name(got), error.message);                   \
            failed_here = 1;                                                                                          \
        }                                                                                                             \
    } while (0)

static char folder[256]; /* for checkpoints */

/* --- results */

/* All batches of a statement; freed with rows_clear. */
struct rows {
    struct ArrowArray *batches;
    int n;
    int64_t rows;
    int error; /* of get_next */
    char message[1024];
};

static void rows_clear(struct rows *rows) {
    for (int i = 0; i < rows->n; i++) { rows->batches[i].release(&rows->batches[i]); }
    free(rows->batches);
    *rows = (struct rows){0};
}

static void rows_fetch(struct sabot_result *result, struct rows *out) {
    struct ArrowArrayStream stream = {0};
    *out = (struct rows){0};
    OK(sabot_result_stream(result, &stream, err));
    if (!stream.release) { return; }
    for (;;) {
        struct ArrowArray batch = {0};
        out->error = stream.get_next(&stream, &batch);
        if (out->error) { snprintf(out->message, sizeof out->message, "%s", stream.get_last_error(&stream)); }
        if (out->error || !batch.release) { break; }
        out->batches = realloc(out->batches, sizeof batch * (size_t)(out->n + 1));
        if (!out->batches) { abort(); }
        out->batches[out->n++] = batch;
        out->rows += batch.length;
    }
    stream.release(&stream);
}

static struct rows rows_of(struct sabot_engine *engine, const char *sql) {
    struct sabot_result *result = NULL;
    struct rows rows = {0};
    OK(sabot_engine_execute(engine, sql, &result, err));
    if (result) {
        CHECK(sabot_result_kind(result) == SABOT_RESULT_ROWS);
        rows_fetch(result, &rows);
    }
    sabot_result_free(result);
    if (rows.error) {
        printf("# %s: %s\n", sql, rows.message);
        failed_here = 1;
    }
    return rows;
}

/* The only value of a query. */
static int64_t number_of(struct sabot_engine *engine, const char *sql) {
    struct rows rows = rows_of(engine, sql);
    const int64_t value = rows.rows == 1 ? arrow_int64(rows.batches[0].children[0], 0) : INT64_MIN;
    CHECK(rows.rows == 1);
    rows_clear(&rows);
    return value;
}

/* The error of a query whose rows are read to the end. */
static void query_fails(struct sabot_engine *engine, const char *sql, const char *words) {
    struct sabot_result *result = NULL;
    struct sabot_error error = {0};
    struct rows rows = {0};
    if (sabot_engine_execute(engine, sql, &result, &error) == SABOT_OK && result) {
        rows_fetch(result, &rows);
        snprintf(error.message, sizeof error.message, "%s", rows.message);
        CHECK(rows.error);
    }
    if (!strstr(error.message, words)) {
        printf("# %s: \"%s\" is not in \"%s\"\n", sql, words, error.message);
        failed_here = 1;
    }
    rows_clear(&rows);
    sabot_result_free(result);
}

static struct sabot_engine *engine_new(void) {
    struct sabot_engine *engine = NULL;
    OK(sabot_engine_open(NULL, &engine, err));
    if (!engine) { exit(1); }
    return engine;
}

/* --- engines and statements */

static void options_are_checked(void) {
    struct sabot_engine *engine = NULL;
    struct sabot_engine_options options = {.size = sizeof options, .memory_limit = 64 << 20};
    OK(sabot_engine_open(&options, &engine, err));
    sabot_engine_close(engine);
    options.size = 0;
    FAILS(SABOT_ERR_USAGE, "size", sabot_engine_open(&options, &engine, err));
    CHECK(!engine);
    struct {
        struct sabot_engine_options known;
        int64_t later;
    } newer = {.known = {.size = sizeof newer}, .later = 1};
    FAILS(SABOT_ERR_UNSUPPORTED, "too old", sabot_engine_open(&newer.known, &engine, err));
    newer.later = 0;
    OK(sabot_engine_open(&newer.known, &engine, err));
    sabot_engine_close(engine);
    sabot_engine_close(NULL);
    sabot_result_free(NULL);
    FAILS(SABOT_ERR_USAGE, "engine", sabot_engine_open(NULL, NULL, err));
}

/* State that is larger spills; what can't is an error that names the limit. */
static void a_memory_limit_is_kept(void) {
    struct sabot_engine *engine = NULL;
    struct sabot_engine_options options = {.size = sizeof options, .memory_limit = 6 << 20};
    static const char table[] = "CREATE TABLE t (n BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '200000', "
                                "'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '200000')";
    OK(sabot_engine_open(&options, &engine, err));
    OK(sabot_engine_execute(engine, table, NULL, err));
    CHECK(number_of(engine, "SELECT COUNT(*) FROM (SELECT n, COUNT(*) FROM t GROUP BY n)") == 200000);
    sabot_engine_close(engine);
    options.memory_limit = 20 << 10;
    OK(sabot_engine_open(&options, &engine, err));
    OK(sabot_engine_execute(engine, table, NULL, err));
    query_fails(engine, "SELECT n, COUNT(*) FROM t GROUP BY n", "limit");
    CHECK(number_of(engine, "SELECT 40 + CAST(2 AS BIGINT)") == 42); /* the engine goes on */
    sabot_engine_close(engine);
}

static void statements_have_results_of_their_kind(void) {
    struct sabot_engine *engine = engine_new();
    struct sabot_result *result = NULL;
    struct ArrowArrayStream stream;
    OK(sabot_engine_execute(engine, "SET 'parallelism.default' = '2'", &result, err));
    CHECK(sabot_result_kind(result) == SABOT_RESULT_NONE);
    CHECK(!sabot_result_job(result));
    FAILS(SABOT_ERR_USAGE, "no rows", sabot_result_stream(result, &stream, err));
    CHECK(!stream.release);
    sabot_result_free(result);
    OK(sabot_engine_execute(engine, "", &result, err));
    CHECK(sabot_result_kind(result) == SABOT_RESULT_NONE);
    sabot_result_free(result);
    OK(sabot_engine_execute(engine, "SELECT CAST(1 AS BIGINT) AS one", &result, err));
    CHECK(sabot_result_kind(result) == SABOT_RESULT_ROWS);
    struct rows rows;
    rows_fetch(result, &rows);
    CHECK(rows.rows == 1 && arrow_int64(rows.batches[0].children[0], 0) == 1);
    FAILS(SABOT_ERR_USAGE, "once", sabot_result_stream(result, &stream, err));
    sabot_result_free(result);
    sabot_engine_close(engine);
    CHECK(arrow_int64(rows.batches[0].children[0], 0) == 1); /* arrays outlive the engine */
    rows_clear(&rows);
}

static void the_schema_of_a_result_names_its_columns(void) {
    struct sabot_engine *engine = engine_new();
    struct sabot_result *result = NULL;
    struct ArrowArrayStream stream = {0};
    struct ArrowSchema schema = {0};
    OK(sabot_engine_execute(engine, "SELECT 1 AS a, 'x' AS b, CAST(2.5 AS DOUBLE) AS c, TIMESTAMP '2020-01-01 "
                                    "00:00:00.000' AS d, CAST(1.5 AS DECIMAL(10, 2)) AS e, TRUE AS f", &result, err));
    OK(sabot_result_stream(result, &stream, err));
    CHECK(stream.get_schema(&stream, &schema) == 0);
    const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    const char *const formats[] = {"i", "u", "g", "tsm:", "d:10,2", "b"};
    CHECK(schema.n_children == 6 && strcmp(schema.format, "+s") == 0);
    for (int i = 0; i < schema.n_children; i++) {
        CHECK(strcmp(schema.children[i]->name, names[i]) == 0);
        CHECK(strcmp(schema.children[i]->format, formats[i]) == 0);
    }
    schema.release(&schema);
    stream.release(&stream); /* nothing was read: the query is cancelled */
    sabot_result_free(result);
    sabot_engine_close(engine);
}

static void wrong_calls_are_errors(void) {
    struct sabot_engine *engine = engine_new();
    struct sabot_result *result = NULL;
    struct sabot_error where = {0};
    CHECK(sabot_engine_execute(engine, "SELECT 1,\n  nope", &result, &where) == SABOT_ERR_PLAN);
    CHECK(where.sql_line == 2 && where.sql_column == 3 && where.sql_length == 4 && !result);
    CHECK(sabot_engine_execute(engine, "SELEC 1", &result, NULL) == SABOT_ERR_SQL); /* no error struct */
    FAILS(SABOT_ERR_USAGE, "last one", sabot_engine_execute(engine, "SELECT 1; SELECT 2", &result, err));
    FAILS(SABOT_ERR_USAGE, "last one", sabot_engine_execute(engine, "SHOW TABLES; SELECT 2", &result, err));
    FAILS(SABOT_ERR_USAGE, "sql", sabot_engine_execute(engine, NULL, &result, err));
    FAILS(SABOT_ERR_USAGE, "key", sabot_engine_set(engine, NULL, "x", err));
    FAILS(SABOT_ERR_USAGE, "value", sabot_engine_set(engine, "parallelism.default", NULL, err));
    FAILS(SABOT_ERR_PLAN, "parallelism", sabot_engine_set(engine, "paralelism.default", "1", err));
    FAILS(SABOT_ERR_PLAN, "parallelism.default", sabot_engine_set(engine, "parallelism.default", "many", err));
    OK(sabot_engine_set(engine, "parallelism.default", "3", err));
    FAILS(SABOT_ERR_USAGE, "stream", sabot_engine_register_stream(engine, "t", NULL, NULL, err));
    FAILS(SABOT_ERR_USAGE, "function", sabot_engine_register_function(engine, NULL, err));
    query_fails(engine, "SELECT 1 / 0", "zero");
    OK(sabot_engine_execute(engine, "SELECT 1", NULL, err)); /* rows that nobody wants */
    sabot_engine_close(engine);
}

static void explain_gives_rows(void) {
    struct sabot_engine *engine = engine_new();
    struct rows rows = rows_of(engine, "EXPLAIN SELECT 1 + 1");
    CHECK(rows.rows >= 1 && strstr(arrow_string(rows.batches[0].children[0], 0), "Plan"));
    rows_clear(&rows);
    rows = rows_of(engine, "EXPLAIN STALL");
    CHECK(rows.rows == 1 && strstr(arrow_string(rows.batches[0].children[0], 0), "no job"));
    rows_clear(&rows);
    sabot_engine_close(engine);
}

/* --- tables from streams */

#define EVENTS_BATCHES 50
#define EVENTS_ROWS 1000
static const char *const events_columns[] = {"l|id", "u|name", "g|price", "tsm:|ts"};

struct event {
    int64_t id, ts;
    int name; /* -1: NULL */
    double price;
    uint8_t price_null;
};

/* Out of order by up to 5 s, and a few that are 60 s late. */
static struct event event_at(int64_t i) {
    const uint64_t mixed = (uint64_t)i * 0x9E3779B97F4A7C15u;
    const int64_t jitter = (int64_t)(mixed >> 40) % 5000;
    return (struct event){.id = (int64_t)(mixed >> 33) % 17, .name = i % 11 == 3 ? -1 : (int)(i % 7),
                          .price = (double)(i % 1000) / 4, .price_null = i % 13 == 5,
                          .ts = 1000000000 + i * 20 - jitter - (i % 501 == 500 ? 60000 : 0)};
}

static const char *events_make(void *arg, int64_t batch, struct ArrowArray *out) {
    static const char *const names[] = {"", "a", "bb", "a name that does not fit a short view", "\xc3\xa4", "e", "f"};
    const int64_t fails_at = arg ? *(const int64_t *)arg : -1;
    if (batch == fails_at) { return "the wire was cut"; }
    int64_t ids[EVENTS_ROWS], times[EVENTS_ROWS];
    double prices[EVENTS_ROWS];
    uint8_t nulls[EVENTS_ROWS];
    const char *texts[EVENTS_ROWS];
    for (int64_t i = 0; i < EVENTS_ROWS; i++) {
        const struct event event = event_at(batch * EVENTS_ROWS + i);
        ids[i] = event.id;
        times[i] = event.ts;
        prices[i] = event.price;
        nulls[i] = event.price_null;
        texts[i] = event.name < 0 ? NULL : names[event.name];
    }
    struct ArrowArray children[] = {arrow_fixed(ids, EVENTS_ROWS, 8, NULL), arrow_text(texts, EVENTS_ROWS),
                                    arrow_fixed(prices, EVENTS_ROWS, 8, nulls),
                                    arrow_fixed(times, EVENTS_ROWS, 8, NULL)};
    *out = arrow_struct(children, 4, EVENTS_ROWS);
    return NULL;
}

static void events_register(struct sabot_engine *engine, const char *name, const struct sabot_stream_options *options,
                            int64_t *fails_at) {
    struct ArrowArrayStream stream = arrow_stream(events_columns, 4, EVENTS_BATCHES, events_make, fails_at);
    OK(sabot_engine_register_stream(engine, name, &stream, options, err));
    CHECK(!stream.release); /* moved */
}

static void a_stream_is_a_table(bool never_blocks, int parallelism) {
    struct sabot_engine *engine = engine_new();
    char text[16];
    snprintf(text, sizeof text, "%d", parallelism);
    OK(sabot_engine_set(engine, "parallelism.default", text, err));
    const struct sabot_stream_options options = {.size = sizeof options, .never_blocks = never_blocks};
    events_register(engine, "events", &options, NULL);
    struct rows rows = rows_of(engine, "SELECT id, COUNT(name), SUM(price), COUNT(*) FROM events GROUP BY id");
    int64_t names[17] = {0}, counts[17] = {0};
    double sums[17] = {0};
    for (int64_t i = 0; i < EVENTS_BATCHES * EVENTS_ROWS; i++) {
        const struct event event = event_at(i);
        names[event.id] += event.name >= 0;
        counts[event.id]++;
        sums[event.id] += event.price_null ? 0 : event.price;
    }
    CHECK(rows.rows == 17);
    for (int b = 0; b < rows.n; b++) { /* bounded input: each key once */
        struct ArrowArray *const *columns = rows.batches[b].children;
        CHECK(rows.batches[b].n_children == 4);
        for (int64_t i = 0; i < rows.batches[b].length; i++) {
            const int64_t id = arrow_int64(columns[0], i);
            CHECK(id >= 0 && id < 17);
            names[id] -= arrow_int64(columns[1], i);
            sums[id] -= arrow_double(columns[2], i); /* quarters: exact */
            counts[id] -= arrow_int64(columns[3], i);
        }
    }
    for (int i = 0; i < 17; i++) { CHECK(names[i] == 0 && counts[i] == 0 && sums[i] == 0); }
    rows_clear(&rows);
    query_fails(engine, "SELECT * FROM events", "register a new one");
    events_register(engine, "events", NULL, NULL); /* in its place */
    CHECK(number_of(engine, "SELECT COUNT(*) FROM (SELECT * FROM events WHERE id = 3 LIMIT 1)") == 1);
    sabot_engine_close(engine);
}

/* The two latest times of each id, as they change: folded by their row kinds. */
static void an_updating_query_has_row_kinds(void) {
    struct sabot_engine *engine = engine_new();
    OK(sabot_engine_set(engine, "parallelism.default", "2", err));
    events_register(engine, "events", NULL, NULL);
    struct rows rows = rows_of(engine,
        "SELECT id, ts FROM (SELECT id, ts, ROW_NUMBER() OVER (PARTITION BY id ORDER BY ts "
                                       "DESC) AS r FROM events) WHERE r <= 2");
    int64_t latest[17][2] = {{0}}, sums[17] = {0}, counts[17] = {0}, deletes = 0;
    for (int64_t i = 0; i < EVENTS_BATCHES * EVENTS_ROWS; i++) {
        const struct event event = event_at(i);
        int64_t *two = latest[event.id];
        if (event.ts > two[0]) {
            two[1] = two[0];
            two[0] = event.ts;
        } else if (event.ts > two[1]) {
            two[1] = event.ts;
        }
    }
    for (int b = 0; b < rows.n; b++) {
        struct ArrowArray *const *columns = rows.batches[b].children;
        CHECK(rows.batches[b].n_children == 3);
        for (int64_t i = 0; i < rows.batches[b].length; i++) {
            const int64_t id = arrow_int64(columns[0], i);
            const char *kind = arrow_string(columns[2], i);
            const int sign = kind[0] == '+' ? 1 : -1;
            CHECK(strstr("+I -U +U -D", kind) && strlen(kind) == 2 && id >= 0 && id < 17);
            sums[id] += sign * arrow_int64(columns[1], i);
            counts[id] += sign;
            deletes += sign < 0;
        }
    }
    for (int i = 0; i < 17; i++) { CHECK(counts[i] == 2 && sums[i] == latest[i][0] + latest[i][1]); }
    CHECK(deletes > 0);
    rows_clear(&rows);
    sabot_engine_close(engine);
}

static void bounded_streams(void) {
    a_stream_is_a_table(false, 1);
    a_stream_is_a_table(true, 1);
    a_stream_is_a_table(false, 3);
    CHECK(atomic_load(&arrow_open) == 0);
}

static void values_come_as_they_were(void) {
    struct sabot_engine *engine = engine_new();
    events_register(engine, "events", NULL, NULL);
    struct rows rows = rows_of(engine, "SELECT * FROM events");
    int64_t at = 0;
    for (int b = 0; b < rows.n; b++) {
        struct ArrowArray *const *columns = rows.batches[b].children;
        for (int64_t i = 0; i < rows.batches[b].length; i++, at++) {
            const struct event event = event_at(at);
            CHECK(arrow_int64(columns[0], i) == event.id && arrow_int64(columns[3], i) == event.ts);
            CHECK(arrow_is_null(columns[1], i) == (event.name < 0));
            CHECK(arrow_is_null(columns[2], i) == event.price_null);
            CHECK(event.price_null || arrow_double(columns[2], i) == event.price);
            CHECK(event.name != 3 || strcmp(arrow_string(columns[1], i), "a name that does not fit a short view") == 0);
            if (failed_here) { break; }
        }
    }
    CHECK(at == EVENTS_BATCHES * EVENTS_ROWS);
    sabot_engine_close(engine);
    rows_clear(&rows);
    CHECK(atomic_load(&arrow_open) == 0); /* the stream's arrays went too */
}

/* Tumbling windows of 10 s behind a watermark that lags by 5 s; rows that are too late are left out and counted. */
static void event_time_of_a_stream(void) {
    struct sabot_engine *engine = engine_new();
    const struct sabot_stream_options options = {
        .size = sizeof options, .event_time = "ts", .watermark_delay_ms = 5000};
    events_register(engine, "events", &options, NULL);
    struct sabot_result *result = NULL;
    OK(sabot_engine_execute(engine, "SELECT window_start, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE events, "
                                    "DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end",
                            &result, err));
    struct rows rows;
    rows_fetch(result, &rows);
    enum { WINDOWS = 200 };
    int64_t counts[WINDOWS] = {0}, late = 0, seen = 0;
    const int64_t first = 1000000000 - 100000;
    for (int64_t i = 0; i < EVENTS_BATCHES * EVENTS_ROWS; i++) {
        /* 60 s late is behind every watermark; there is none before the first batch of the stream is through */
        const struct event event = event_at(i);
        if (i % 501 == 500 && i >= EVENTS_ROWS) {
            late++;
        } else {
            counts[(event.ts - first) / 10000]++;
        }
    }
    for (int b = 0; b < rows.n; b++) {
        for (int64_t i = 0; i < rows.batches[b].length; i++) {
            const int64_t window = (arrow_int64(rows.batches[b].children[0], i) - first) / 10000;
            CHECK(window >= 0 && window < WINDOWS && counts[window] == arrow_int64(rows.batches[b].children[1], i));
            seen += arrow_int64(rows.batches[b].children[1], i);
        }
    }
    CHECK(seen == EVENTS_BATCHES * EVENTS_ROWS - late);
    struct sabot_job *job = sabot_result_job(result);
    int64_t counted = 0;
    for (int32_t i = 0; i < sabot_job_metrics_count(job); i++) {
        struct sabot_metrics metrics = {.size = sizeof metrics};
        OK(sabot_job_metrics(job, i, &metrics, err));
        counted += metrics.rows_late;
    }
    CHECK(counted == late);
    if (counted != late) { printf("# %lld late, %lld expected, %lld seen\n", (long long)counted, (long long)late,
        (long long)seen); }
    rows_clear(&rows);
    sabot_result_free(result);
    sabot_engine_close(engine);
}

static void streams_that_fail(void) {
    struct sabot_engine *engine = engine_new();
    int64_t fails_at = 20;
    events_register(engine, "events", NULL, &fails_at);
    query_fails(engine, "SELECT SUM(id) FROM events", "the wire was cut");
    struct sabot_stream_options options = {.size = sizeof options, .event_time = "nope"};
    struct ArrowArrayStream stream = arrow_stream(events_columns, 4, 1, events_make, NULL);
    FAILS(SABOT_ERR_PLAN, "nope", sabot_engine_register_stream(engine, "t", &stream, &options, err));
    CHECK(!stream.release);
    options.event_time = "id";
    stream = arrow_stream(events_columns, 4, 1, events_make, NULL);
    FAILS(SABOT_ERR_PLAN, "timestamp", sabot_engine_register_stream(engine, "t", &stream, &options, err));
    options.size = 1;
    stream = arrow_stream(events_columns, 4, 1, events_make, NULL);
    FAILS(SABOT_ERR_USAGE, "size", sabot_engine_register_stream(engine, "t", &stream, &options, err));
    static const char *const unions[] = {"+ud:0|u"};
    stream = arrow_stream(unions, 1, 1, events_make, NULL);
    CHECK(sabot_engine_register_stream(engine, "t", &stream, NULL, NULL) != SABOT_OK);
    CHECK(!stream.release);
    stream = arrow_stream(events_columns, 4, 1, events_make, NULL);
    FAILS(SABOT_ERR_USAGE, "name", sabot_engine_register_stream(engine, NULL, &stream, NULL, err));
    CHECK(!stream.release); /* taken over on every path */
    sabot_engine_close(engine);
    CHECK(atomic_load(&arrow_open) == 0);
}

/* --- functions */

/* x + *user; a NULL stays NULL, 13 is an error */
static int add(void *user, const struct ArrowArray *const *args, int32_t n_args, int64_t n_rows, struct ArrowArray *out,
               char *message, size_t size) {
    int64_t *values = calloc((size_t)n_rows + 1, sizeof *values);
    uint8_t *nulls = calloc((size_t)n_rows + 1, 1);
    int code = n_args != 1 || !values || !nulls;
    for (int64_t i = 0; i < n_rows && !code; i++) {
        nulls[i] = arrow_is_null(args[0], i);
        values[i] = nulls[i] ? 0 : arrow_int64(args[0], i) + *(const int64_t *)user;
        if (!nulls[i] && arrow_int64(args[0], i) == 13) {
            snprintf(message, size, "13 brings bad luck");
            code = 7;
        }
    }
    if (!code) { *out = arrow_fixed(values, n_rows, 8, nulls); }
    free(values);
    free(nulls);
    return code;
}

/* price as text: "1.50 ok", by three types of argument */
static int show(void *user, const struct ArrowArray *const *args, int32_t n_args, int64_t n_rows,
                struct ArrowArray *out, char *message, size_t size) {
    (void)user, (void)n_args, (void)message, (void)size;
    char **texts = calloc((size_t)n_rows + 1, sizeof *texts);
    if (!texts) { return 1; }
    for (int64_t i = 0; i < n_rows; i++) {
        if (arrow_is_null(args[0], i) || arrow_is_null(args[1], i)) { continue; }
        const uint8_t *bits = args[2]->buffers[1];
        const int64_t bit = args[2]->offset + i;
        const bool yes = !arrow_is_null(args[2], i) && (bits[bit / 8] >> (bit % 8) & 1);
        char text[256];
        snprintf(text, sizeof text, "%.2f %s %s", arrow_double(args[0], i), arrow_string(args[1], i),
            yes ? "yes" : "no");
        texts[i] = strdup(text);
    }
    *out = arrow_text((const char *const *)texts, n_rows);
    for (int64_t i = 0; i < n_rows; i++) { free(texts[i]); }
    free(texts);
    return 0;
}

static int one_too_few(void *user, const struct ArrowArray *const *args, int32_t n_args, int64_t n_rows,
                       struct ArrowArray *out, char *message, size_t size) {
    (void)user, (void)args, (void)n_args, (void)message, (void)size;
    int64_t *values = calloc((size_t)n_rows + 1, sizeof *values);
    *out = arrow_fixed(values, n_rows - 1, 8, NULL);
    free(values);
    return 0;
}

static int no_array(void *user, const struct ArrowArray *const *args, int32_t n_args, int64_t n_rows,
                    struct ArrowArray *out, char *message, size_t size) {
    (void)user, (void)args, (void)n_args, (void)n_rows, (void)out, (void)message, (void)size;
    return 0;
}

static int counter(void *user, const struct ArrowArray *const *args, int32_t n_args, int64_t n_rows,
                   struct ArrowArray *out, char *message, size_t size) {
    (void)args, (void)n_args, (void)message, (void)size;
    int64_t *values = calloc((size_t)n_rows + 1, sizeof *values);
    for (int64_t i = 0; i < n_rows; i++) { values[i] = atomic_fetch_add((atomic_long *)user, 1); }
    *out = arrow_fixed(values, n_rows, 8, NULL);
    free(values);
    return 0;
}

static void function_register(struct sabot_engine *engine, const char *name, sabot_function_call call, void *user) {
    static const char *const bigint[] = {"BIGINT"};
    const struct sabot_function function = {.size = sizeof function, .name = name, .argument_types = bigint,
                                            .n_arguments = 1, .return_type = "BIGINT", .call = call, .user = user};
    OK(sabot_engine_register_function(engine, &function, err));
}

static void functions_of_a_program(void) {
    struct sabot_engine *engine = engine_new(), *other = engine_new();
    int64_t one = 1, ten = 10;
    function_register(engine, "Add_It", add, &one);
    function_register(other, "add_it", add, &ten); /* each engine has its own */
    CHECK(number_of(engine, "SELECT ADD_IT(41)") == 42);
    CHECK(number_of(other, "SELECT add_it(CAST(41 AS INT))") == 51); /* widened */
    CHECK(number_of(engine, "SELECT COALESCE(add_it(CAST(NULL AS BIGINT)), -1)") == -1);
    events_register(engine, "events", NULL, NULL);
    int64_t expected = 0; /* only some rows of a batch are asked for: 13 is never given to it */
    for (int64_t i = 0; i < EVENTS_BATCHES * EVENTS_ROWS; i++) {
        const struct event event = event_at(i);
        expected += event.id == 13 ? 0 : event.id % 2 ? event.id + 1 : event.id;
    }
    CHECK(number_of(engine,
        "SELECT SUM(CASE WHEN MOD(id, 2) = 1 THEN add_it(id) ELSE id END) FROM (SELECT * FROM events) "
                            "WHERE id <> 13 AND add_it(CASE WHEN id = 13 THEN 0 ELSE id END) > 0 HAVING COUNT(*) > 0")
          == expected || failed_here);
    query_fails(engine, "SELECT add_it(13)", "13 brings bad luck");
    query_fails(engine, "SELECT add_it(12, 1)", "ADD_IT");
    query_fails(engine, "SELECT add_it('x')", "ADD_IT");
    sabot_engine_close(engine);
    CHECK(number_of(other, "SELECT add_it(1)") == 11);
    sabot_engine_close(other);
}

static void functions_of_several_types(void) {
    struct sabot_engine *engine = engine_new();
    static const char *const types[] = {"DOUBLE", "STRING", "BOOLEAN"};
    const struct sabot_function function = {.size = sizeof function, .name = "show_it", .argument_types = types,
                                            .n_arguments = 3, .return_type = "STRING", .call = show};
    OK(sabot_engine_register_function(engine, &function, err));
    struct rows rows = rows_of(engine,
        "SELECT show_it(CAST(p AS DOUBLE), s, b) AS t FROM (VALUES (1.5, 'x', TRUE), (2.25, "
                                       "CAST(NULL AS STRING), FALSE), (3.0, 'a longer text, beyond a view', FALSE)) "
                                               "AS v "
                                       "(p, s, b)");
    int64_t n = 0, found = 0;
    for (int b = 0; b < rows.n; b++) {
        const struct ArrowArray *texts = rows.batches[b].children[0];
        for (int64_t i = 0; i < rows.batches[b].length; i++, n++) {
            if (arrow_is_null(texts, i)) {
                found += 100;
            } else {
                found += strcmp(arrow_string(texts, i), "1.50 x yes") == 0;
                found += 10 * (strcmp(arrow_string(texts, i), "3.00 a longer text, beyond a view no") == 0);
            }
        }
    }
    CHECK(n == 3 && found == 111);
    rows_clear(&rows);
    sabot_engine_close(engine);
}

/* --- process functions */
struct counts {
    struct ArrowArray column, *columns[1];
    const void *buffers[2], *none[1];
    int64_t values[];
};
static void counts_column_release(struct ArrowArray *array) { array->release = NULL; }
static void counts_release(struct ArrowArray *array) {
    free(array->private_data);
    array->release = NULL;
}

/* How many rows its key has had, for every row; user: a limit that it fails at. */
static sabot_status count_rows(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                               struct sabot_error *err) {
    const int64_t limit = *(const int64_t *)instance;
    struct counts *counts = calloc(1, sizeof *counts + (size_t)call->n_rows * sizeof(int64_t));
    for (int32_t k = 0; k < call->n_keys; k++) {
        int64_t before = 0;
        bool found;
        sabot_status status = sabot_state_get(process, 0, &k, 1, &before, &found, err);
        if (!found) { before = 0; }
        for (int32_t i = call->key_starts[k]; i < call->key_starts[k + 1]; i++) { counts->values[i] = ++before; }
        if (status == SABOT_OK) { status = sabot_state_put(process, 0, &k, 1, &before, err); }
        if (status == SABOT_OK && before > limit) {
            snprintf(err->message, sizeof err->message, "a key has more than %lld rows", (long long)limit);
            status = SABOT_ERR_DATA;
        }
        if (status != SABOT_OK) {
            free(counts);
            return status;
        }
    }
    counts->buffers[1] = counts->values;
    counts->column = (struct ArrowArray){
        .length = call->n_rows, .n_buffers = 2, .buffers = counts->buffers, .release = counts_column_release};
    counts->columns[0] = &counts->column;
    struct ArrowArray rows = {.length = call->n_rows, .n_buffers = 1, .buffers = counts->none, .n_children = 1,
                              .children = counts->columns, .release = counts_release, .private_data = counts};
    return sabot_emit(process, &rows, NULL, err);
}

static void process_functions(void) {
    struct sabot_engine *engine = engine_new();
    int64_t limit = 100;
    static const struct sabot_process_column n[] = {{"n", "BIGINT"}}, wrong[] = {{"n", "BIGINTT"}};
    static const struct sabot_process_state states[] = {{.name = "n", .kind = SABOT_VALUE, .type = SABOT_BIGINT},
                                                        {.name = "n", .kind = SABOT_VALUE, .type = SABOT_BIGINT}};
    static const struct sabot_process_timer timers[] = {{.name = "t"}};
    struct sabot_process_function function = {.size = sizeof function, .name = "count_rows", .columns = n,
                                              .n_columns = 1, .states = states, .n_states = 1, .process = count_rows,
                                              .user = &limit};
    OK(sabot_engine_register_process_function(engine, &function, err));
    static const char of[] = "count_rows(input => TABLE (SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'a'), (4, 'a')) "
                             "AS v (id, k)) PARTITION BY k)";
    char sql[512];
    snprintf(sql, sizeof sql, "SELECT SUM(n * CASE WHEN k = 'a' THEN 10 ELSE 1 END) FROM %s", of);
    CHECK(number_of(engine, sql) == 61);
    limit = 2;
    snprintf(sql, sizeof sql, "SELECT * FROM %s", of);
    query_fails(engine, sql, "count_rows(), process: a key has more than 2 rows");

    FAILS(SABOT_ERR_USAGE, "function", sabot_engine_register_process_function(engine, NULL, err));
    struct sabot_process_function bad = function;
    bad.process = NULL;
    FAILS(SABOT_ERR_USAGE, "no process()", sabot_engine_register_process_function(engine, &bad, err));
    bad = function;
    bad.n_states = 2;
    FAILS(SABOT_ERR_USAGE, "declared twice", sabot_engine_register_process_function(engine, &bad, err));
    bad = function;
    bad.timers = timers;
    bad.n_timers = 1;
    FAILS(SABOT_ERR_USAGE, "no on_timer()", sabot_engine_register_process_function(engine, &bad, err));
    bad.on_timer = count_rows;
    bad.pass_columns_through = true;
    FAILS(SABOT_ERR_USAGE, "passes columns through", sabot_engine_register_process_function(engine, &bad, err));
    bad = function;
    bad.columns = wrong;
    FAILS(SABOT_ERR_PLAN, "BIGINTT", sabot_engine_register_process_function(engine, &bad, err));
    bad = function;
    bad.n_columns = 0;
    FAILS(SABOT_ERR_USAGE, "no output columns", sabot_engine_register_process_function(engine, &bad, err));
    bad = function;
    bad.size = 0;
    FAILS(SABOT_ERR_USAGE, "size", sabot_engine_register_process_function(engine, &bad, err));
    sabot_engine_close(engine);
}

static void functions_that_fail(void) {
    struct sabot_engine *engine = engine_new();
    function_register(engine, "one_too_few", one_too_few, NULL);
    function_register(engine, "no_array", no_array, NULL);
    query_fails(engine, "SELECT one_too_few(1)", "values for 1 rows");
    query_fails(engine, "SELECT no_array(1)", "no array");
    static const char *const wrong[] = {"BIGINTT"}, *const two[] = {"BIGINT", NULL};
    struct sabot_function function = {.size = sizeof function, .name = "f", .argument_types = wrong, .n_arguments = 1,
                                      .return_type = "BIGINT", .call = no_array};
    FAILS(SABOT_ERR_PLAN, "BIGINTT", sabot_engine_register_function(engine, &function, err));
    function.argument_types = two;
    function.n_arguments = 2;
    FAILS(SABOT_ERR_USAGE, "type", sabot_engine_register_function(engine, &function, err));
    function.argument_types = NULL;
    FAILS(SABOT_ERR_USAGE, "type", sabot_engine_register_function(engine, &function, err));
    function.n_arguments = 65;
    FAILS(SABOT_ERR_USAGE, "64", sabot_engine_register_function(engine, &function, err));
    function.n_arguments = 0;
    function.return_type = NULL;
    FAILS(SABOT_ERR_USAGE, "type", sabot_engine_register_function(engine, &function, err));
    function.return_type = "BIGINT";
    function.call = NULL;
    FAILS(SABOT_ERR_USAGE, "call", sabot_engine_register_function(engine, &function, err));
    function.call = no_array;
    OK(sabot_engine_register_function(engine, &function, err));
    query_fails(engine, "SELECT f()", "no array");
    atomic_long calls = 41;
    function.call = counter; /* in the place of the one before, and of one that is built in */
    function.user = &calls;
    function.not_deterministic = true;
    OK(sabot_engine_register_function(engine, &function, err));
    CHECK(number_of(engine, "SELECT f()") == 41);
    function.name = "pi";
    OK(sabot_engine_register_function(engine, &function, err));
    CHECK(number_of(engine, "SELECT pi()") == 42);
    sabot_engine_close(engine);
}

static void a_function_without_arguments_is_called_per_row(void) {
    struct sabot_engine *engine = engine_new();
    atomic_long calls = 0;
    const struct sabot_function function = {.size = sizeof function, .name = "tick", .return_type = "BIGINT",
                                            .not_deterministic = true, .call = counter, .user = &calls};
    OK(sabot_engine_register_function(engine, &function, err));
    events_register(engine, "events", NULL, NULL);
    CHECK(number_of(engine,
        "SELECT MAX(t) - MIN(t) + 1 FROM (SELECT tick() AS t, 1 AS k FROM events) HAVING COUNT(*) > 0")
          >= 1 || failed_here);
    CHECK(atomic_load(&calls) == EVENTS_BATCHES * EVENTS_ROWS);
    sabot_engine_close(engine);
}

#include "connectors.h"

/* --- threads */

static void *engine_thread(void *arg) {
    int64_t *sum = arg;
    struct sabot_engine *engine = NULL;
    struct sabot_result *result = NULL;
    struct ArrowArrayStream rows;
    if (sabot_engine_open(NULL, &engine, NULL) || sabot_engine_set(engine, "parallelism.default", "2", NULL)) {
        return NULL; }
    for (int round = 0; round < 3; round++) {
        struct ArrowArrayStream stream = arrow_stream(events_columns, 4, EVENTS_BATCHES, events_make, NULL);
        if (sabot_engine_register_stream(engine, "events", &stream, NULL, NULL) ||
            sabot_engine_execute(engine, "SELECT id FROM events WHERE id > 2", &result, NULL) ||
            sabot_result_stream(result, &rows, NULL)) {
            return NULL;
        }
        for (;;) {
            struct ArrowArray batch = {0};
            if (rows.get_next(&rows, &batch) || !batch.release) { break; }
            for (int64_t i = 0; i < batch.length; i++) { *sum += arrow_int64(batch.children[0], i); }
            batch.release(&batch);
        }
        rows.release(&rows);
        sabot_result_free(result);
    }
    sabot_engine_close(engine);
    return NULL;
}

static void engines_in_threads(void) {
    pthread_t threads[4];
    int64_t sums[4] = {0}, expected = 0;
    for (int64_t i = 0; i < EVENTS_BATCHES * EVENTS_ROWS; i++) {
        const struct event event = event_at(i);
        expected += event.id > 2 ? 3 * event.id : 0;
    }
    for (int i = 0; i < 4; i++) { pthread_create(&threads[i], NULL, engine_thread, &sums[i]); }
    for (int i = 0; i < 4; i++) { pthread_join(threads[i], NULL); }
    for (int i = 0; i < 4; i++) { CHECK(sums[i] == expected); }
}

static void *watch_thread(void *arg) {
    struct sabot_job *job = arg;
    int64_t rows = 0;
    for (int i = 0; i < 200 && rows < 1000; i++) {
        rows = 0;
        for (int32_t m = 0; m < sabot_job_metrics_count(job); m++) {
            struct sabot_metrics metrics = {.size = sizeof metrics};
            if (sabot_job_metrics(job, m, &metrics, NULL) == SABOT_OK) { rows += metrics.rows_in; }
        }
        usleep(10000);
    }
    sabot_job_stop(job);
    return NULL;
}

static const char endless[] = "CREATE TABLE t (n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = "
                              "'datagen', 'rows-per-second' = '20000', 'fields.ts.max-past' = '0 s');"
                              "CREATE TABLE b (n BIGINT) WITH ('connector' = 'blackhole');";

static void a_job_is_stopped_from_another_thread(void) {
    struct sabot_engine *engine = engine_new();
    struct sabot_result *result = NULL;
    pthread_t thread;
    bool done = true;
    OK(sabot_engine_execute(engine, endless, NULL, err));
    OK(sabot_engine_execute(engine, "INSERT INTO b SELECT n FROM t", &result, err));
    CHECK(sabot_result_kind(result) == SABOT_RESULT_JOB);
    struct sabot_job *job = sabot_result_job(result);
    OK(sabot_job_wait(job, 0, &done, err));
    CHECK(!done);
    CHECK(sabot_job_state(job) == SABOT_JOB_RUNNING);
    pthread_create(&thread, NULL, watch_thread, job);
    OK(sabot_job_wait(job, -1, &done, err));
    CHECK(done);
    CHECK(sabot_job_state(job) == SABOT_JOB_STOPPED);
    pthread_join(thread, NULL);
    struct sabot_metrics metrics = {.size = sizeof metrics};
    const int32_t n = sabot_job_metrics_count(job);
    int64_t in = 0;
    for (int32_t i = 0; i < n; i++) {
        OK(sabot_job_metrics(job, i, &metrics, err));
        CHECK(metrics.operator_name && metrics.uid && metrics.subtask >= 0);
        in += metrics.rows_in;
    }
    CHECK(n >= 2 && in >= 1000);
    FAILS(SABOT_ERR_USAGE, "counters", sabot_job_metrics(job, n, &metrics, err));
    FAILS(SABOT_ERR_USAGE, "counters", sabot_job_metrics(job, -1, &metrics, err));
    metrics.size = 3;
    FAILS(SABOT_ERR_USAGE, "size", sabot_job_metrics(job, 0, &metrics, err));
    metrics = (struct sabot_metrics){.size = offsetof(struct sabot_metrics, rows_in), .rows_in = 77}; /* an older one */
    OK(sabot_job_metrics(job, 0, &metrics, err));
    CHECK(metrics.rows_in == 77 && metrics.uid);
    sabot_result_free(result);
    sabot_engine_close(engine);
}

static void a_query_is_cancelled_while_rows_wait(void) {
    struct sabot_engine *engine = engine_new();
    struct sabot_result *result = NULL;
    struct ArrowArrayStream stream = {0};
    struct ArrowArray batch = {0};
    OK(sabot_engine_execute(engine, endless, NULL, err));
    OK(sabot_engine_execute(engine, "SELECT n FROM t", &result, err));
    OK(sabot_result_stream(result, &stream, err));
    CHECK(stream.get_next(&stream, &batch) == 0 && batch.length > 0);
    batch.release(&batch);
    char text[8], all[1024];
    const size_t needed = sabot_job_explain_stall(sabot_result_job(result), all, sizeof all);
    CHECK(sabot_job_explain_stall(sabot_result_job(result), NULL, 0) >= needed / 2);
    sabot_job_explain_stall(sabot_result_job(result), text, sizeof text);
    CHECK(strlen(text) < sizeof text && strlen(all) == needed);
    sabot_job_cancel(sabot_result_job(result));
    sabot_job_cancel(sabot_result_job(result)); /* twice does no harm */
    while (stream.get_next(&stream, &batch) == 0 && batch.release) { batch.release(&batch); }
    stream.release(&stream);
    sabot_result_free(result);
    OK(sabot_engine_execute(engine, "INSERT INTO b SELECT n FROM t", NULL, err)); /* goes on until close */
    sabot_engine_close(engine);
}

/* --- all */

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"options are checked", options_are_checked},
    {"a memory limit is kept", a_memory_limit_is_kept},
    {"statements have results of their kind", statements_have_results_of_their_kind},
    {"the schema of a result names its columns", the_schema_of_a_result_names_its_columns},
    {"wrong calls are errors", wrong_calls_are_errors},
    {"EXPLAIN gives rows", explain_gives_rows},
    {"a bounded stream is a table, blocking or not, at two parallelisms", bounded_streams},
    {"an updating query has row kinds", an_updating_query_has_row_kinds},
    {"values come as they were, and outlive the engine", values_come_as_they_were},
    {"event time of a stream: windows, late rows", event_time_of_a_stream},
    {"streams that fail", streams_that_fail},
    {"functions of a program: two engines, NULL, some rows of a batch", functions_of_a_program},
    {"functions of several types", functions_of_several_types},
    {"functions that fail", functions_that_fail},
    {"process functions of a program: state by key, failures, wrong declarations", process_functions},
    {"a function without arguments is called per row", a_function_without_arguments_is_called_per_row},
    {"a connector gets its options and gives rows", connector_gives_rows},
    {"a connector restored from a checkpoint: nothing lost, nothing doubled", connector_is_restored},
    {"a connector takes changelogs", connector_takes_changes},
    {"a connector's source has event time", connector_has_event_time},
    {"connectors that fail", connectors_that_fail},
    {"engines in threads", engines_in_threads},
    {"a job is stopped from another thread; its counters", a_job_is_stopped_from_another_thread},
    {"a query is cancelled while rows wait", a_query_is_cancelled_while_rows_wait},
};

int main(int argc, char **argv) {
    int failed = 0;
    snprintf(folder, sizeof folder, "%s", argc > 1 ? argv[1] : "/tmp");
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (argc > 2 && !strstr(cases[i].name, argv[2])) { continue; }
        failed_here = 0;
        cases[i].run();
        failed += failed_here;
        printf("%s %zu - %s\n", failed_here ? "not ok" : "ok", i + 1, cases[i].name);
    }
    return failed > 0;
}
