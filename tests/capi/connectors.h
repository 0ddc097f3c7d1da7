/* Connectors of the program: a source that counts, and a sink that commits in two phases to a "server" in memory. */

/* --- source: the numbers subtask, subtask + parallelism, ... below `count`; position = the next number */

struct number_source {
    int64_t next, step, count, pause_at;
    bool gives_n, gives_ts; /* what the query reads */
    bool fail_poll;
    void (*wake)(void *arg);
    void *wake_arg;
};

static atomic_long restored_sources, sources_open;

static const char *option_of(const struct sabot_connector_context *context, const char *key) {
    for (int32_t i = 0; i < context->n_options; i++) {
        if (strcmp(context->option_keys[i], key) == 0) { return context->option_values[i]; }
    }
    return NULL;
}

static sabot_status fail_with(struct sabot_error *err, sabot_status status, const char *message) {
    if (err) {
        err->status = status;
        snprintf(err->message, sizeof err->message, "%s", message);
    }
    return status;
}

static sabot_status numbers_open(void *user, const struct sabot_connector_context *context, void **out,
                                 struct sabot_error *err) {
    CHECK(strcmp(user, "the program's") == 0 && context->size == sizeof *context);
    const char *count = option_of(context, "count"), *fails = option_of(context, "fails"), *pause = option_of(context,
        "pause");
    CHECK(!option_of(context, "connector"));
    if (fails && strcmp(fails, "open") == 0) { return fail_with(err, SABOT_ERR_IO, "the number server is down"); }
    if (fails && strcmp(fails, "silently") == 0) { return SABOT_ERR_IO; }
    struct number_source *source = calloc(1, sizeof *source);
    if (!source) { return fail_with(err, SABOT_ERR_MEMORY, "no memory"); }
    *source = (struct number_source){.next = context->subtask, .step = context->parallelism,
                                     .count = count ? atoll(count) : 1000, .pause_at = pause ? atoll(pause) : INT64_MAX,
                                     .fail_poll = fails && strcmp(fails, "poll") == 0, .wake = context->wake,
                                     .wake_arg = context->wake_arg};
    for (int64_t i = 0; i < context->schema->n_children; i++) {
        const struct ArrowSchema *column = context->schema->children[i];
        source->gives_n |= strcmp(column->name, "n") == 0 && strcmp(column->format, "l") == 0;
        source->gives_ts |= strcmp(column->name, "ts") == 0 && strcmp(column->format, "tsm:") == 0;
    }
    CHECK(source->gives_n + source->gives_ts == context->schema->n_children);
    atomic_fetch_add(&sources_open, 1);
    *out = source;
    return SABOT_OK;
}

static sabot_status numbers_poll(void *self, enum sabot_poll *state, struct ArrowArray *rows, struct sabot_error *err) {
    struct number_source *source = self;
    int64_t values[64], times[64];
    int n = 0;
    if (source->fail_poll && source->next > 500) { return fail_with(err, SABOT_ERR_IO, "number 500 is broken"); }
    *state = SABOT_POLL_END;
    if (source->next >= source->count) { return SABOT_OK; }
    *state = SABOT_POLL_WAIT;
    if (source->next >= source->pause_at) { return SABOT_OK; }
    for (; n < 64 && source->next < source->count && source->next < source->pause_at; n++,
        source->next += source->step) {
        values[n] = source->next;
        times[n] = source->next * 10;
    }
    struct ArrowArray children[2];
    int n_children = 0;
    if (source->gives_n) { children[n_children++] = arrow_fixed(values, n, 8, NULL); }
    if (source->gives_ts) { children[n_children++] = arrow_fixed(times, n, 8, NULL); }
    *rows = arrow_struct(children, n_children, n);
    *state = SABOT_POLL_ROWS;
    source->wake(source->wake_arg); /* from any thread, at any time */
    return SABOT_OK;
}

static sabot_status numbers_position(void *self, void *bytes, size_t capacity, size_t *used, struct sabot_error *err) {
    const struct number_source *source = self;
    if (capacity < sizeof source->next) { return fail_with(err, SABOT_ERR_STATE, "no room"); }
    memcpy(bytes, &source->next, sizeof source->next);
    *used = sizeof source->next;
    return SABOT_OK;
}

static sabot_status numbers_restore(void *self, const void *bytes, size_t size, struct sabot_error *err) {
    struct number_source *source = self;
    if (size != sizeof source->next) { return fail_with(err, SABOT_ERR_STATE, "not a position"); }
    memcpy(&source->next, bytes, size);
    atomic_fetch_add(&restored_sources, 1);
    return SABOT_OK;
}

static void numbers_close(void *self) {
    atomic_fetch_sub(&sources_open, 1);
    free(self);
}

/* --- the server: transactions by name, invisible until they are committed */

#define NUMBERS_MAX 20000
struct transaction {
    int64_t id, checkpoint;
    int64_t *numbers;
    int64_t n, capacity;
    bool open, committed;
};
static struct {
    pthread_mutex_t mutex;
    struct transaction transactions[4096];
    int n;
    int64_t times[NUMBERS_MAX]; /* how often a number is visible */
    int64_t visible, balance;   /* rows; changelog: +1 -1 per row kind, times the value */
} server = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static atomic_long sinks_open;

static void server_clear(void) {
    for (int i = 0; i < server.n; i++) { free(server.transactions[i].numbers); }
    server.n = 0;
    server.visible = server.balance = 0;
    memset(server.times, 0, sizeof server.times);
}

/* With the mutex held. */
static struct transaction *server_begin(void) {
    if (server.n == 4096) { abort(); }
    server.transactions[server.n] = (struct transaction){.id = server.n, .open = true};
    return &server.transactions[server.n++];
}

static void server_commit(struct transaction *transaction) {
    if (transaction->committed) { return; } /* the commit may come again */
    transaction->committed = true;
    for (int64_t i = 0; i < transaction->n; i++) {
        server.visible++;
        if (transaction->numbers[i] < NUMBERS_MAX) { server.times[transaction->numbers[i]]++; }
    }
}

struct server_sink {
    int64_t current; /* transaction */
    int64_t prepared[256];
    int n_prepared;
    bool fail_write, fail_prepare, changes;
    struct ArrowArray kept; /* the last rows, held beyond the engine's call */
};

static sabot_status server_open(void *user, const struct sabot_connector_context *context, void **out,
                                struct sabot_error *err) {
    (void)err;
    CHECK(strcmp(user, "the program's") == 0);
    const char *fails = option_of(context, "fails");
    struct server_sink *sink = calloc(1, sizeof *sink);
    sink->fail_write = fails && strcmp(fails, "write") == 0;
    sink->fail_prepare = fails && strcmp(fails, "prepare") == 0;
    sink->changes = strcmp(context->schema->children[context->schema->n_children - 1]->name, "row_kind") == 0;
    pthread_mutex_lock(&server.mutex);
    sink->current = server_begin()->id;
    pthread_mutex_unlock(&server.mutex);
    atomic_fetch_add(&sinks_open, 1);
    *out = sink;
    return SABOT_OK;
}

static sabot_status server_write(void *self, struct ArrowArray *rows, struct sabot_error *err) {
    struct server_sink *sink = self;
    if (sink->fail_write) {
        rows->release(rows);
        return fail_with(err, SABOT_ERR_IO, "the server's disk is full");
    }
    pthread_mutex_lock(&server.mutex);
    struct transaction *transaction = &server.transactions[sink->current];
    for (int64_t i = 0; i < rows->length; i++) {
        if (sink->changes) {
            const char *kind = arrow_string(rows->children[rows->n_children - 1], i);
            server.balance += (kind[0] == '+' ? 1 : -1) * arrow_int64(rows->children[0], i);
            continue;
        }
        if (transaction->n == transaction->capacity) {
            transaction->capacity = transaction->capacity ? transaction->capacity * 2 : 1024;
            transaction->numbers = realloc(transaction->numbers, sizeof(int64_t) * (size_t)transaction->capacity);
            if (!transaction->numbers) { abort(); }
        }
        transaction->numbers[transaction->n++] = arrow_int64(rows->children[0], i);
    }
    pthread_mutex_unlock(&server.mutex);
    if (sink->kept.release) { sink->kept.release(&sink->kept); }
    sink->kept = *rows;
    rows->release = NULL;
    return SABOT_OK;
}

static sabot_status server_prepare(void *self, int64_t checkpoint_id, void *bytes, size_t capacity, size_t *used,
                                   struct sabot_error *err) {
    struct server_sink *sink = self;
    if (sink->fail_prepare) { return fail_with(err, SABOT_ERR_IO, "the server takes no more transactions"); }
    if (capacity < sizeof(int64_t) || sink->n_prepared == 256) { return fail_with(err, SABOT_ERR_STATE, "no room"); }
    pthread_mutex_lock(&server.mutex);
    server.transactions[sink->current].checkpoint = checkpoint_id;
    server.transactions[sink->current].open = false;
    memcpy(bytes, &sink->current, sizeof sink->current);
    *used = sizeof sink->current;
    sink->prepared[sink->n_prepared++] = sink->current;
    sink->current = server_begin()->id;
    pthread_mutex_unlock(&server.mutex);
    return SABOT_OK;
}

static atomic_bool commits_are_lost; /* the job dies between the checkpoint and the commit */

static sabot_status server_commit_call(void *self, int64_t checkpoint_id, struct sabot_error *err) {
    struct server_sink *sink = self;
    if (commits_are_lost) { return fail_with(err, SABOT_ERR_IO, "the connection is lost"); }
    pthread_mutex_lock(&server.mutex);
    for (int i = 0; i < sink->n_prepared; i++) {
        struct transaction *transaction = &server.transactions[sink->prepared[i]];
        if (transaction->checkpoint <= checkpoint_id) { server_commit(transaction); }
    }
    pthread_mutex_unlock(&server.mutex);
    return SABOT_OK;
}

static sabot_status server_restore(void *self, const void *bytes, size_t size, struct sabot_error *err) {
    (void)self;
    int64_t id;
    if (size != sizeof id) { return fail_with(err, SABOT_ERR_STATE, "not a transaction"); }
    memcpy(&id, bytes, size);
    pthread_mutex_lock(&server.mutex);
    server_commit(&server.transactions[id]);
    pthread_mutex_unlock(&server.mutex);
    return SABOT_OK;
}

static struct ArrowArray kept_beyond; /* rows that a sink kept when it was closed */

static void server_close(void *self) {
    struct server_sink *sink = self;
    if (kept_beyond.release) { kept_beyond.release(&kept_beyond); }
    kept_beyond = sink->kept;
    atomic_fetch_sub(&sinks_open, 1);
    free(sink);
}

static const struct sabot_source_connector numbers_source = {
    .size = sizeof numbers_source, .bounded = true, .open = numbers_open, .poll = numbers_poll,
    .position = numbers_position, .restore = numbers_restore, .close = numbers_close};
static const struct sabot_sink_connector server_sink = {
    .size = sizeof server_sink, .open = server_open, .write = server_write, .close = server_close,
    .prepare = server_prepare, .commit = server_commit_call, .restore = server_restore};
static char program[] = "the program's";

static const char *pause_at = "1000000"; /* of the table `paused`, which never ends */

static struct sabot_engine *connectors_engine(int parallelism, const char *count) {
    static bool registered;
    struct sabot_source_connector unbounded = numbers_source;
    struct sabot_sink_connector changes = server_sink;
    unbounded.bounded = false;
    changes.takes_changes = true;
    if (!registered) {
        OK(sabot_register_connector("numbers", &numbers_source, &server_sink, program, err));
        OK(sabot_register_connector("endless-numbers", &unbounded, NULL, program, err));
        OK(sabot_register_connector("changes", NULL, &changes, program, err));
    }
    registered = true;
    struct sabot_engine *engine = engine_new();
    char text[4096];
    snprintf(text, sizeof text, "%d", parallelism);
    OK(sabot_engine_set(engine, "parallelism.default", text, err));
    snprintf(text, sizeof text,
             "CREATE TABLE numbers (n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'numbers', "
             "'count' = '%s');"
             "CREATE TABLE paused (n BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'endless-numbers', 'count' = '%s', "
             "'pause' = '%s');"
             "CREATE TABLE server (n BIGINT) WITH ('connector' = 'numbers', 'password' = 'secret');"
             "CREATE TABLE changes (s BIGINT) WITH ('connector' = 'changes')", count, count, pause_at);
    OK(sabot_engine_execute(engine, text, NULL, err));
    return engine;
}

/* Every number below n once. */
static void server_has(int64_t n) {
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) { wrong += server.times[i] != 1; }
    CHECK(wrong == 0 && server.visible == n);
    if (wrong) { printf("# %lld wrong of %lld, %lld visible\n", (long long)wrong, (long long)n,
        (long long)server.visible); }
}

static void connector_gives_rows(void) {
    for (int parallelism = 1; parallelism <= 3; parallelism += 2) {
        struct sabot_engine *engine = connectors_engine(parallelism, "10000");
        struct rows rows = rows_of(engine, "SELECT n FROM numbers WHERE MOD(n, 2) = 0");
        CHECK(rows.rows == 5000);
        rows_clear(&rows);
        server_clear();
        OK(sabot_engine_execute(engine, "INSERT INTO server SELECT n FROM numbers", NULL, err));
        server_has(10000);
        sabot_engine_close(engine);
        CHECK(kept_beyond.release && kept_beyond.length > 0);
        if (!kept_beyond.release) { return; }
        CHECK(arrow_int64(kept_beyond.children[0], 0) >= 0); /* rows that a sink keeps outlive the engine */
        kept_beyond.release(&kept_beyond);
    }
    CHECK(atomic_load(&sources_open) == 0 && atomic_load(&sinks_open) == 0 && atomic_load(&arrow_open) == 0);
}

static void checkpoints_on(struct sabot_engine *engine, const char *from) {
    OK(sabot_engine_set(engine, "execution.checkpointing.dir", from, err));
    OK(sabot_engine_set(engine, "execution.checkpointing.interval", "50 ms", err));
}

/* The job pauses at number 5000; its last checkpoint's commit gets lost; another engine goes on. */
static void connector_is_restored(void) {
    char path[512];
    snprintf(path, sizeof path, "%s/checkpoints", folder);
    server_clear();
    atomic_store(&restored_sources, 0);
    pause_at = "5000";
    struct sabot_engine *engine = connectors_engine(2, "12000");
    checkpoints_on(engine, path);
    struct sabot_result *result = NULL;
    OK(sabot_engine_execute(engine, "INSERT INTO server SELECT n FROM paused", &result, err));
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&server.mutex);
        const bool there = server.visible == 5000;
        pthread_mutex_unlock(&server.mutex);
        if (there) { break; }
        usleep(10000);
    }
    server_has(5000); /* committed while it runs */
    sabot_job_cancel(sabot_result_job(result));
    sabot_result_free(result);
    sabot_engine_close(engine);

    pause_at = "1000000";
    engine = connectors_engine(2, "12000");
    checkpoints_on(engine, path);
    OK(sabot_engine_set(engine, "execution.savepoint.path", path, err));
    atomic_store(&commits_are_lost, true);
    OK(sabot_engine_execute(engine, "INSERT INTO server SELECT n FROM paused", &result, err));
    FAILS(SABOT_ERR_IO, "the connection is lost", sabot_job_wait(sabot_result_job(result), 20000, NULL, err));
    CHECK(atomic_load(&restored_sources) == 2);
    sabot_result_free(result);
    sabot_engine_close(engine);
    CHECK(server.visible == 5000);

    atomic_store(&commits_are_lost, false);
    engine = connectors_engine(2, "12000");
    checkpoints_on(engine, path);
    OK(sabot_engine_set(engine, "execution.savepoint.path", path, err));
    OK(sabot_engine_execute(engine, "INSERT INTO server SELECT n FROM paused", &result, err));
    OK(sabot_job_wait(sabot_result_job(result), 20000, NULL, err));
    sabot_result_free(result);
    sabot_engine_close(engine);
    server_has(12000);

    engine = connectors_engine(3, "12000"); /* positions are of 2 subtasks */
    OK(sabot_engine_set(engine, "execution.savepoint.path", path, err));
    struct sabot_error error = {0};
    sabot_status status = sabot_engine_execute(engine, "INSERT INTO server SELECT n FROM paused", &result, &error);
    if (status == SABOT_OK) {
        status = sabot_job_wait(sabot_result_job(result), 20000, NULL, &error);
        sabot_result_free(result);
    }
    CHECK(status == SABOT_ERR_STATE && strstr(error.message, "parallelism"));
    if (!strstr(error.message, "parallelism")) { printf("# %s\n", error.message); }
    sabot_engine_close(engine);
    server_clear();
    if (kept_beyond.release) { kept_beyond.release(&kept_beyond); }
}

static void connector_takes_changes(void) {
    struct sabot_engine *engine = connectors_engine(1, "1000");
    server_clear();
    static const char latest[] = "SELECT n FROM (SELECT n, ROW_NUMBER() OVER (PARTITION BY MOD(n, 10) ORDER BY n "
                                 "DESC) AS r FROM numbers) WHERE r = 1";
    char text[256];
    snprintf(text, sizeof text, "INSERT INTO changes %s", latest);
    OK(sabot_engine_execute(engine, text, NULL, err));
    snprintf(text, sizeof text, "INSERT INTO server %s", latest);
    CHECK(server.balance == 990 * 10 + 45);
    FAILS(SABOT_ERR_PLAN, "server", sabot_engine_execute(engine, text, NULL, err));
    sabot_engine_close(engine);
}

static void connector_has_event_time(void) {
    struct sabot_engine *engine = connectors_engine(2, "10000");
    struct rows rows = rows_of(engine, "SELECT window_end, COUNT(*) AS n, SUM(n) AS s FROM TABLE(TUMBLE(TABLE numbers, "
                                       "DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end");
    CHECK(rows.rows == 100);
    for (int b = 0; b < rows.n; b++) {
        for (int64_t i = 0; i < rows.batches[b].length; i++) {
            const int64_t window = arrow_int64(rows.batches[b].children[0], i) / 1000 - 1;
            CHECK(arrow_int64(rows.batches[b].children[1], i) == 100);
            CHECK(arrow_int64(rows.batches[b].children[2], i) == window * 10000 + 4950);
        }
    }
    rows_clear(&rows);
    sabot_engine_close(engine);
}

static void connectors_that_fail(void) {
    struct sabot_engine *engine = connectors_engine(2, "10000");
    FAILS(SABOT_ERR_USAGE, "already", sabot_register_connector("numbers", &numbers_source, NULL, program, err));
    FAILS(SABOT_ERR_USAGE, "already", sabot_register_connector("kafka", &numbers_source, NULL, program, err));
    FAILS(SABOT_ERR_USAGE, "open", sabot_register_connector("nothing", NULL, NULL, program, err));
    FAILS(SABOT_ERR_USAGE, "name", sabot_register_connector(NULL, &numbers_source, NULL, program, err));
    FAILS(SABOT_ERR_USAGE, "name", sabot_register_connector("", &numbers_source, NULL, program, err));
    struct sabot_sink_connector half = server_sink;
    half.commit = NULL;
    FAILS(SABOT_ERR_USAGE, "commit", sabot_register_connector("half", NULL, &half, program, err));
    struct sabot_source_connector mute = numbers_source;
    mute.poll = NULL;
    FAILS(SABOT_ERR_USAGE, "poll", sabot_register_connector("mute", &mute, NULL, program, err));
    mute.size = 4;
    FAILS(SABOT_ERR_USAGE, "size", sabot_register_connector("mute", &mute, NULL, program, err));
    static const char table[] = "CREATE TABLE broken (n BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'numbers', "
            "'fails' = ";
    static const char *const how[][2] = {{"open", "the number server is down"}, {"poll", "number 500 is broken"},
                                         {"silently", "broken"}};
    for (int i = 0; i < 3; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s'%s')", table, how[i][0]);
        OK(sabot_engine_execute(engine, text, NULL, err));
        query_fails(engine, "SELECT n FROM broken", how[i][1]);
        OK(sabot_engine_execute(engine, "DROP TABLE broken", NULL, err));
    }
    OK(sabot_engine_execute(engine,
        "CREATE TABLE full_server (n BIGINT) WITH ('connector' = 'numbers', 'fails' = 'write');"
                                    "CREATE TABLE busy_server (n BIGINT) WITH ('connector' = 'numbers', 'fails' = "
                                    "'prepare')", NULL, err));
    FAILS(SABOT_ERR_IO, "the server's disk is full",
          sabot_engine_execute(engine, "INSERT INTO full_server SELECT n FROM numbers", NULL, err));
    FAILS(SABOT_ERR_IO, "no more transactions",
          sabot_engine_execute(engine, "INSERT INTO busy_server SELECT n FROM numbers", NULL, err));
    FAILS(SABOT_ERR_PLAN, "can't be read",
          sabot_engine_execute(engine, "SELECT * FROM changes", NULL, err));
    sabot_engine_close(engine);
    if (kept_beyond.release) { kept_beyond.release(&kept_beyond); }
    CHECK(atomic_load(&sources_open) == 0 && atomic_load(&sinks_open) == 0 && atomic_load(&arrow_open) == 0);
}
