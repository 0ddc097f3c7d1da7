/* State: typed tables with stable names. All that an operator must remember across a crash is in one of these.
 *
 * A table is (operator uid, state name, schema, kind). Keyed tables are divided by key group: the key's hash
 * (batch_hash) gives the group. Rows of a keyed table are addressed by (namespace, key): the namespace is an int64
 * such as
 * a pane's end; 0 where there is none. The full key is stored and compared, never just its hash.
 * One interface, several backends (backend memory first). One thread at a time. */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "arrow/batch.h"
#include "base/metrics.h"

enum state_kind {
    STATE_KEYED, /* divided by key group; restored to whoever owns the group */
    STATE_LIST   /* loose rows (source positions, pending commits): at restore every subtask gets all rows and keeps
                     what
                    is its own */
};

/* What a value column is in rows of a checkpoint that was written before the column was there. */
struct state_default {
    bool known;        /* false: such rows can't be restored */
    const void *value; /* as it lies in memory */
    int32_t guard;     /* the BIGINT value column that is 0 while this one was never set; -1: none */
};

/* A table that another query, or an older version, kept the same keys in: where a checkpoint has it, its keys come into
 * this table too. */
struct state_former {
    const char *name;
    const char *only; /* its BOOLEAN column that tells which keys; NULL: all */
    int32_t flag;     /* the BOOLEAN value column that is TRUE of such keys; -1: none */
};

struct state_spec {
    const char *name;            /* "panes"; unique within the operator */
    enum state_kind kind;
    struct schema *schema;       /* KEYED: key columns first, then value columns (fixed-width or VIEW) */
    int32_t n_keys;
    int32_t n_sub_keys;          /* the last so many keys (a position, a value within a group) have no say in the key
                                    group: all rows of a group stay together at any parallelism */
    const struct state_default *defaults; /* per value column; NULL: in lists and multimaps NULL, elsewhere none */
    bool fixed_layout;           /* rows of a checkpoint must have these columns in this order */
    bool is_log;                 /* rows are appended (state_append) and read by slot, never looked up: no index. All
                                    columns are keys (they may be NULL) and sub-keys: it is in one subtask. A restore
                                    may change the order of rows in a namespace */
    bool by_subtask;             /* a log whose first column (INT) is the subtask that wrote a row: a restore gives it
                                    to the one with that number, modulo the parallelism */
    bool by_slot;                /* KEYED, with a sub-key: rows are used by their slots alone. Each that is given to
                                    find_or_insert makes a new one (its key is in no other), none is found: no index */
    bool records;                /* KEYED: the values of a row are used together and stand beside each other, with the
                                    keys where these are compared to be found */
    const struct state_former *formers; /* KEYED, with keys */
    int32_t n_formers;
};

#define STATE_GROUP_ALL (-2) /* in a checkpoint, the key group of rows that any subtask may need */

struct state_table;
struct state_tables; /* all tables of one operator instance */
int64_t state_memory_limit(const struct state_table *table); /* of the pool; INT64_MAX: none */

struct state_context {
    struct memory_pool *pool;
    struct metrics *metrics;
    const char *backend; /* "memory" */
    bool drops_columns;  /* columns of a checkpoint that are not in a table any more are left behind, not refused */
    bool snapshots;      /* there will be some: what tells changed slots apart is kept from the start */
    int32_t subtask, parallelism, max_parallelism;
    struct { /* of key-value state (kv.h); zeroed: backend in memory */
        const char *backend, *dir; /* dir: of this operator instance alone */
        int64_t memory_bytes;
        int32_t cache_rows;
    } kv;
};
sabot_status state_tables_new(const struct state_context *context, struct state_tables **out, struct sabot_error *err);
void state_tables_free(struct state_tables *tables);
/* Declares a table; where a restore has rows for it, they are in it when this returns. The same name twice is a
 * defect. */
sabot_status state_table_open(struct state_tables *tables, const struct state_spec *spec, struct state_table **out,
                              struct sabot_error *err);

/* Before open: tables are declared to somebody who compares them with a checkpoint, and nothing is restored. */
struct state_shape; /* migrate.h */
struct state_observer {
    void *arg;
    sabot_status (*declared)(void *arg, const struct state_shape *shape, struct sabot_error *err);
};
void state_tables_observe(struct state_tables *tables, const struct state_observer *observer);
bool state_tables_are_observed(const struct state_tables *tables);

/* --- keyed access, vectorised */
/* For n physical rows of `batch`, finds or inserts (namespace, keys of row). slots[i] gets the slot number of rows[i];
 * slots of one namespace are dense 0..count-1 and stay valid until rows of it are removed: the slots that a call has
 * made
 * are state_count() before it .. state_count() after it (in any order among them). Value columns of new slots are zero
 * bytes (validity: not NULL). batch->hashes must be cached for `keys`; with n_keys 0 nothing is read of the batch. */
sabot_status state_find_or_insert(struct state_table *table, int64_t namespace_, const struct batch *batch,
                                  const int32_t *keys, const int32_t *rows /* physical; NULL = 0..n-1 */, int32_t n,
                                  int32_t *slots, struct sabot_error *err);
/* Of a log: rows rows[0..n) of a batch, whose columns are the table's, get the next slots of the namespace. */
sabot_status state_append(struct state_table *table, int64_t namespace_, const struct batch *batch,
                          const int32_t *rows /* physical */, int32_t n, struct sabot_error *err);
/* The slots of keys that are there; -1 = it is not. Nothing is inserted. */
void state_find(struct state_table *table, int64_t namespace_, const struct batch *batch, const int32_t *keys,
                const int32_t *rows /* physical; NULL = 0..n-1 */, int32_t n, int32_t *slots);
/* The same as state_find_or_insert for the keys of slots first..first+n of another namespace: slots[i] is where the key
 * of first + i stands in `into`. Values are the caller's to merge. */
sabot_status state_merge(struct state_table *table, int64_t from, int64_t first, int32_t n, int64_t into,
                         int32_t *slots, struct sabot_error *err);
/* The values of a fixed-width value column (0 = first behind the keys) of a namespace, not of records: index by slot.
 * The pointer is valid until the next find_or_insert in this namespace. NULL where the namespace is empty. */
void *state_values(struct state_table *table, int64_t namespace_, int32_t value_column);
/* The same for any table, also one of records: the value of a slot is at `first` + slot * stride. */
struct state_cells {
    char *first;
    size_t stride;
};
struct state_cells state_cells(struct state_table *table, int64_t namespace_, int32_t value_column);
static inline void *state_cell(const struct state_cells *cells, int64_t slot) {
    return cells->first + (size_t)slot * cells->stride;
}
/* Sets a VIEW value: its bytes are copied into the table. Space of replaced values is reclaimed now and then. */
sabot_status state_set_view(struct state_table *table, int64_t namespace_, int32_t value_column, int32_t slot,
                            struct string_view view, struct sabot_error *err);
int64_t state_count(struct state_table *table, int64_t namespace_); /* slots */
/* Rows that come in the order of their hashes & this walk through the index instead of jumping about in it. It changes
 * as the namespace grows. */
uint64_t state_order(struct state_table *table, int64_t namespace_);
/* Sorted list of the namespaces that have rows; borrowed until the next change. */
sabot_status state_namespaces(struct state_table *table, const int64_t **out, int32_t *n, struct sabot_error *err);
/* Keys and values of slots first..first+n as columns of the table's schema (a copy). */
sabot_status state_read(struct state_table *table, int64_t namespace_, int64_t first, int32_t n, struct batch **out,
                        struct sabot_error *err);
/* Columns first_column.. of the table's schema (keys are the first) at slots[0..n), in that order (a copy). */
sabot_status state_take(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n,
                        int32_t first_column, int32_t n_columns, struct column **out, struct sabot_error *err);
/* Removes rows: `slots` descending, each once. For each in turn, the row of the last slot moves to the freed one, so
 * that
 * slots stay dense. */
sabot_status state_remove(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n,
                          struct sabot_error *err);
/* The values at slots that were kept from an earlier call are about to be written (through state_values). Slots that
 * find_or_insert, merge or set_view were given since the last barrier need no touch. */
void state_touch(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n);
void state_drop_namespace(struct state_table *table, int64_t namespace_);
/* The rows of `from` become those of `to`, which must be empty. */
void state_rename_namespace(struct state_table *table, int64_t from, int64_t to);
/* Working space of an operator between two barriers: never in a snapshot, nor in state_namespaces. */
#define STATE_NAMESPACE_SCRATCH INT64_MAX

/* --- lists */
/* The new rows are copied (strings too). */
sabot_status state_list_replace(struct state_table *table, struct batch *rows /* taken over; NULL = empty */,
                                struct sabot_error *err);
/* All rows that were restored or set; borrowed; NULL where there are none. */
struct batch *state_list_rows(struct state_table *table);

/* --- snapshot and restore: used by the runtime */
/* What the rows of a snapshot look like (docs/formats/checkpoint.md). KEYED: columns [change TINYINT,] key_group INT,
 * namespace BIGINT, [slot INT,] keys..., values...; LIST: always ROWS, the schema's columns. */
enum state_form {
    STATE_FORM_ROWS,  /* complete, without slots: what a savepoint has and a restore takes */
    STATE_FORM_BASE,  /* complete, with slots: a chain of files begins with it */
    STATE_FORM_DELTA, /* with `change` and slots: what has changed since the last BASE or DELTA */
    STATE_FORMS
};
struct state_table_info {
    const char *name;
    enum state_kind kind;
    int32_t n_keys;
    bool has_chain; /* BASE and DELTA are possible */
};
int32_t state_tables_count(const struct state_tables *tables);
void state_table_info(const struct state_tables *tables, int32_t table, struct state_table_info *out);
sabot_status state_table_schema(struct state_tables *tables, int32_t table, enum state_form form,
                                struct schema **out /* borrowed */, struct sabot_error *err);
/* A snapshot of one table, while it goes on changing: freeze() is quick, whatever the size, and marks which rows belong
 * to it. Then copy() is called between the operator's batches until *done; each call looks at up to `slots` slots and
 * may hand out a batch that shares nothing with the table. A failed one is over (and a delta behind it would lack
 * changes: the next of its chain must be a BASE). One at a time per table. */
sabot_status state_table_freeze(struct state_tables *tables, int32_t table, enum state_form form,
                                struct sabot_error *err);
sabot_status state_table_copy(struct state_tables *tables, int32_t table, int32_t slots, struct batch **out,
                              bool *done, struct sabot_error *err);
void state_table_thaw(struct state_tables *tables, int32_t table); /* gives it up */
/* What copy() leaves to be done with its batches before anybody reads them, on whatever thread: their key groups. To
 * look up the stored hash of each row costs the task a cache miss, to hash the copied keys costs a helper little. */
struct state_grouping {
    int32_t column, first_key, n_keys; /* 0 keys: nothing is left to do */
    int32_t max_parallelism;
};
void state_table_grouping(const struct state_tables *tables, int32_t table, enum state_form form,
                          struct state_grouping *out);
sabot_status state_grouping_fill(const struct state_grouping *grouping, struct memory_pool *pool,
                                 struct batch *chunk /* its owner calls */, struct sabot_error *err);

/* All at once, as ROWS: for tests and tools. */
struct state_snapshot {
    char name[64];
    enum state_kind kind;
    int32_t n_keys;
    struct batch *rows; /* one flat batch; NULL = no rows */
    struct schema *schema; /* of rows */
};
sabot_status state_tables_snapshot(struct state_tables *tables, struct state_snapshot **out, int32_t *n,
                                   struct sabot_error *err);
void state_snapshots_free(struct state_snapshot *snapshots, int32_t n);
/* Before open: hands rows of a snapshot (form ROWS) to the tables to be opened; rows of foreign key groups are skipped.
 * Takes over the batch. May be called many times per name. */
sabot_status state_tables_load(struct state_tables *tables, const char *name, enum state_kind kind,
                               struct batch *rows, struct sabot_error *err);
/* The same without holding all rows in memory: when a table is opened, read() gives its rows to take(), which owns
 * the batches. The source must stay until the last table is open. */
struct state_source {
    void *arg;
    sabot_status (*read)(void *arg, const char *name,
                         sabot_status (*take)(void *taker, enum state_kind kind, struct batch *rows,
                                              struct sabot_error *err),
                         void *taker, struct sabot_error *err);
};
void state_tables_restore_from(struct state_tables *tables, const struct state_source *source);

#endif
