/* Connectors: sources and sinks. One folder each, one line in connectors.def.
 *
 * A connector's options are stated once (options.def -> struct connector_option[]) and feed SQL's WITH, the docs, the
 * command's help. A wrong option is an error that names it and what would be valid (nearest name). */
#ifndef CONNECT_CONNECTOR_H
#define CONNECT_CONNECTOR_H

#include "arrow/batch.h"
#include "base/env.h"
#include "base/metrics.h"

enum option_kind { OPTION_STRING, OPTION_INT, OPTION_BOOL, OPTION_DURATION, OPTION_SIZE, OPTION_ENUM, OPTION_PREFIX };
struct connector_option {
    const char *name;        /* "scan.startup.mode"; OPTION_PREFIX: "properties." takes any name behind it;
                                OPTION with '#' stands for a field name: "fields.#.kind" */
    enum option_kind kind;
    const char *fallback;    /* text of the default; NULL = none; OPTION_REQUIRED = must be given */
    const char *values;      /* ENUM: "a|b|c" */
    const char *summary;
};
extern const char OPTION_REQUIRED[];

/* WITH ('k' = 'v') of a table. */
struct table_option {
    const char *key, *value;
    uint32_t line, column; /* place of the value in the SQL text, 0 = none */
};

/* A table as a connector sees it: what to read or write. Immutable, lives as long as the job. */
/* Every row that is wanted has a value from `least` to `most` in a column: BIGINT and smaller, DATE, TIMESTAMP or
 * TIMESTAMP_LTZ, in the type's own unit. */
struct column_bound {
    int32_t column; /* of the schema */
    int64_t least, most;
};

struct connector_table {
    const char *name;              /* for messages */
    const struct table_option *options;
    int32_t n_options;
    struct schema *schema;         /* columns to produce (source, after projection) or to take (sink) */
    const char *const *metadata;   /* per column: the metadata key ("offset"), or NULL for a column of the record */
    struct schema *declared;       /* all physical columns of the table, for positional formats (csv); same as schema
                                      where nothing was pruned */
    const int32_t *primary_key;    /* columns of schema */
    int32_t n_primary_key;
    const struct column_bound *bounds; /* a source may leave out whole parts that surely hold no wanted row */
    int32_t n_bounds;
    const void *memory;            /* the engine's own connectors: the object behind the table; NULL elsewhere */
};
/* Checks all given options against a connector's and its format's tables: unknown, missing, malformed. */
sabot_status options_check(const struct connector_table *table, const struct connector_option *const *tables,
                           int32_t n_tables, struct sabot_error *err);
/* The text of an option, or its default from `options`; NULL where neither is there. */
const char *option_text(const struct connector_table *table, const struct connector_option *options, const char *name);
sabot_status option_int(const struct connector_table *table, const struct connector_option *options, const char *name,
                        int64_t *out, struct sabot_error *err);
sabot_status option_bool(const struct connector_table *table, const struct connector_option *options, const char *name,
                         bool *out, struct sabot_error *err);
/* "10 s", "500ms", "1 min" ... -> nanoseconds */
sabot_status option_duration(const struct connector_table *table, const struct connector_option *options,
                             const char *name, int64_t *out_ns, struct sabot_error *err);
/* "64 mb", "1024" -> bytes */
sabot_status option_size(const struct connector_table *table, const struct connector_option *options, const char *name,
                         int64_t *out, struct sabot_error *err);
sabot_status duration_parse(const char *text, int64_t *out_ns, struct sabot_error *err);
sabot_status size_parse(const char *text, int64_t *out, struct sabot_error *err);

enum on_error { ON_ERROR_SKIP, ON_ERROR_FAIL, ON_ERROR_DEAD_LETTER };

/* Where a sink keeps rows until they are committed: in checkpoints, and past a share of the memory limit on disk. What
 * is kept has a key, and comes in pieces of bytes. Only the sink's task calls it. */
struct kept_piece {
    const char *data;
    size_t size;
};
struct kept_pieces {
    struct batch *rows; /* keeps the bytes */
    struct kept_piece *pieces;
    int32_t n;
    int64_t bytes;
};
struct keeper {
    int64_t next_key;    /* not given away so far */
    int64_t piece_bytes; /* what has so many should be kept */
    /* The next piece of a key. */
    sabot_status (*add)(struct keeper *keeper, int64_t key, const char *data, size_t size, struct sabot_error *err);
    /* All pieces of a key, in order; they stay readable, for any thread, until they are cleared. */
    sabot_status (*get)(struct keeper *keeper, int64_t key, struct kept_pieces *out, struct sabot_error *err);
    void (*drop)(struct keeper *keeper, int64_t key);
    /* While a sink is restored: what `subtask` had kept under a key; one that is this one, modulo the parallelism. */
    sabot_status (*former)(struct keeper *keeper, int32_t subtask, int64_t key, struct kept_pieces *out,
                           struct sabot_error *err);
};
void kept_pieces_clear(struct kept_pieces *pieces);

struct connector_context {
    struct env *env;
    struct store *store;           /* files, local and remote; NULL in unit tests that use none */
    int64_t epoch;                 /* of the job's checkpoint folder, rises with every start on it; 0 = there is none */
    uint64_t lineage;              /* of that folder: the same for all epochs */
    const char *uid;               /* of the operator: no other of the job has it; "" in unit tests of one */
    struct memory_pool *pool;
    struct keeper *keeper;         /* of sinks whose type has keeps_rows; NULL elsewhere */
    struct metrics *metrics;
    const struct connector_table *table;
    int32_t subtask, parallelism;
    int32_t batch_rows;
    int64_t latency_target_ns;
    int64_t started_ms; /* wall clock at the job's start, the same for all its subtasks; 0: take the clock */
    enum on_error on_error;
    /* A record that could not be decoded: counted and kept by the caller by its policy; returns an error where the
     * policy is to fail. `place` names split and position ("topic-0@1234", "a.json:17"). */
    sabot_status (*malformed)(void *arg, const char *place, const char *reason, const void *record, size_t size,
                              struct sabot_error *err);
    void *malformed_arg;
    void (*wake)(void *arg); /* from any thread: poll again, write again */
    void *wake_arg;
};

struct source;
enum source_state {
    SOURCE_BATCH, /* *batch is set */
    SOURCE_WAIT,  /* nothing now; poll again when woken, or at *wake_at_ns (INT64_MAX: only when woken) */
    SOURCE_END    /* bounded input is read */
};
struct source_result {
    struct batch *batch;  /* rows of one split; created_ns set */
    int32_t split;        /* index into this instance's splits */
    int64_t wake_at_ns;
};
struct source_split {
    char id[256];       /* stable: "topic-0", "file.json:0" */
    bool finished;
};

/* One row of the positions that `restore` gets, read by split_position_at; the bytes are the batch's. */
struct split_position {
    const char *id, *bytes;
    size_t id_size, size;
};
struct split_position split_position_at(const struct batch *positions, int32_t i);
bool split_position_is_of(const struct split_position *position, const char *id);

struct source_type {
    const char *name, *summary;
    const struct connector_option *options; /* ends with name NULL */
    bool (*is_bounded)(const struct connector_table *table);
    /* Metadata columns it can fill: type of a key, false = unknown. NULL where there are none. */
    bool (*metadata_type)(const char *key, struct type *out);
    bool takes_format;       /* 'format' = ... */
    bool upserts;            /* rows are changes by primary key: +U replaces or adds, -D (its key only) removes */
    bool is_internal;        /* the engine makes its tables; WITH can't name it */
    bool nested_projection;  /* fills only the fields of ROW columns that schema names */
    /* Fixed schema of tables without declared columns (nexmark); NULL where it must be declared. */
    sabot_status (*schema)(const struct connector_table *table, struct schema **out, struct sabot_error *err);
    sabot_status (*open)(const struct connector_context *context, struct source **out, struct sabot_error *err);
    /* Before the first poll, with the positions of all splits of the job (STATE_LIST rows: split STRING, position
     * BINARY); keeps what belongs to this subtask. */
    sabot_status (*restore)(struct source *source, struct batch *positions, struct sabot_error *err);
    /* Never blocks. */
    sabot_status (*poll)(struct source *source, enum source_state *state, struct source_result *result,
                         struct sabot_error *err);
    int32_t (*n_splits)(const struct source *source); /* so far; grows with discovery */
    void (*split)(const struct source *source, int32_t i, struct source_split *out);
    /* Pauses or resumes reading of one split (watermark alignment). */
    void (*pause)(struct source *source, int32_t split, bool paused);
    /* Positions behind the last batch that poll gave out: split i -> bytes appended to `position`. */
    sabot_status (*position)(struct source *source, int32_t split, struct text *position, struct sabot_error *err);
    sabot_status (*on_complete)(struct source *source, int64_t checkpoint_id, struct sabot_error *err);
    void (*close)(struct source *source);
};

struct sink;
enum sink_accepts { SINK_INSERTS = 1, SINK_UPSERTS = 2, SINK_RETRACTS = 4 };
struct sink_type {
    const char *name, *summary;
    const struct connector_option *options;
    uint32_t accepts; /* enum sink_accepts, or'ed */
    bool takes_format;
    bool is_internal; /* the engine makes its tables; WITH can't name it */
    bool keeps_rows;  /* wants a keeper */
    bool one_task;    /* takes the rows of all tasks in one, at any parallelism */
    sabot_status (*open)(const struct connector_context *context, struct sink **out, struct sabot_error *err);
    /* Pending commits of all subtasks (STATE_LIST rows: pending BINARY): finish those of a completed checkpoint
     * (`subtask` 0 does it), remove what was left by others. */
    sabot_status (*restore)(struct sink *sink, struct batch *pending, struct sabot_error *err);
    /* Takes over the batch. *full: not taken (the batch stays the caller's); try again when woken. */
    sabot_status (*write)(struct sink *sink, struct batch *batch, bool *full, struct sabot_error *err);
    /* Pre-commit: everything written so far becomes durable but invisible; what commit needs is appended to `pending`
     * (may stay empty). *full: not done yet, call again when woken. */
    sabot_status (*prepare)(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                            struct sabot_error *err);
    /* Makes what prepare(checkpoint_id) and earlier ones prepared visible; can be repeated. */
    sabot_status (*commit)(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err);
    /* NULL: commit does it all. Else commit only begins it, on a thread of the sink's: whether all is done, asked again
     * when woken. A job does not end before. */
    sabot_status (*committed)(struct sink *sink, bool *done, struct sabot_error *err);
    /* End of input: *full as above. Commits where there are no checkpoints. */
    sabot_status (*finish)(struct sink *sink, bool *full, struct sabot_error *err);
    void (*close)(struct sink *sink);
};

/* For sinks of one phase, whose rows are out when write returns (sink_default.c). */
sabot_status sink_default_restore(struct sink *sink, struct batch *pending, struct sabot_error *err);
sabot_status sink_default_prepare(struct sink *sink, int64_t checkpoint_id, struct text *pending, bool *full,
                                  struct sabot_error *err);
sabot_status sink_default_commit(struct sink *sink, int64_t checkpoint_id, struct sabot_error *err);
sabot_status sink_default_finish(struct sink *sink, bool *full, struct sabot_error *err);

struct connector {
    const char *name;
    const struct source_type *source; /* NULL: can't be read */
    const struct sink_type *sink;     /* NULL: can't be written */
};
const struct connector *connector_find(const char *name); /* NULL: unknown */
const struct connector *connector_at(size_t i);           /* NULL behind the last */
/* Adds one for the rest of the process; it and what it points to must stay. Any thread. */
#define CONNECTORS_REGISTERED_MAX 256
sabot_status connector_register(const struct connector *connector, struct sabot_error *err);

#endif
