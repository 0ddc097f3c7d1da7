/* What a state backend implements: the keyed tables of state.h. Lists, restore and the bookkeeping of names are done
 * once
 * for all of them in state.c. To add one: a file with a const struct state_backend, a line in state.c, a line in
 * state_conformance_test.c. The contract of each slot is the one of the function of its name in state.h. */
#ifndef STATE_STATE_BACKEND_H
#define STATE_STATE_BACKEND_H

#include "state/state.h"

struct state_backend;

/* Every backend's table begins with this. */
struct state_table {
    const struct state_backend *backend; /* NULL: a list */
    const struct state_context *context;
    char name[64];
    enum state_kind kind;
    struct schema *schema;   /* owned: keys, then values */
    struct schema *snapshot; /* owned; KEYED: key_group and namespace in front */
    struct schema *forms[STATE_FORMS]; /* owned; KEYED: of the files of a chain, made when first needed */
    struct capture *capture; /* KEYED: the snapshot under way */
    int32_t n_keys, n_sub_keys;
    bool is_log, by_subtask;
    struct batch *list;      /* LIST: the rows */
};

struct state_backend {
    const char *name;
    const char *slot_column; /* what a slot is unique in (CAPTURE_SLOT ...); NULL: no chains: all rows each time */
    sabot_status (*open)(const struct state_context *context, const struct state_spec *spec, struct state_table **out,
                         struct sabot_error *err); /* sets only what is the backend's own */
    void (*close)(struct state_table *table);
    sabot_status (*find_or_insert)(struct state_table *table, int64_t namespace_, const struct batch *batch,
                                   const int32_t *keys, const int32_t *rows, int32_t n, int32_t *slots,
                                   struct sabot_error *err);
    void (*find)(struct state_table *table, int64_t namespace_, const struct batch *batch, const int32_t *keys,
                 const int32_t *rows, int32_t n, int32_t *slots);
    sabot_status (*merge)(struct state_table *table, int64_t from, int64_t first, int32_t n, int64_t into,
                          int32_t *slots, struct sabot_error *err);
    struct state_cells (*cells)(struct state_table *table, int64_t namespace_, int32_t value_column);
    sabot_status (*set_view)(struct state_table *table, int64_t namespace_, int32_t value_column, int32_t slot,
                             struct string_view view, struct sabot_error *err);
    int64_t (*count)(struct state_table *table, int64_t namespace_);
    uint64_t (*order)(struct state_table *table, int64_t namespace_);
    sabot_status (*namespaces)(struct state_table *table, const int64_t **out, int32_t *n, struct sabot_error *err);
    sabot_status (*read)(struct state_table *table, int64_t namespace_, int64_t first, int32_t n, struct batch **out,
                         struct sabot_error *err);
    sabot_status (*take)(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n,
                         int32_t first_column, int32_t n_columns, struct column **out, struct sabot_error *err);
    sabot_status (*remove)(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n,
                           struct sabot_error *err);
    void (*drop)(struct state_table *table, int64_t namespace_);
    void (*rename)(struct state_table *table, int64_t from, int64_t to);
    /* The rows at slots are about to be changed. */
    void (*touch)(struct state_table *table, int64_t namespace_, const int32_t *slots, int32_t n);
    /* A snapshot (capture.h) in table->capture: the mark, rows of up to n more slots; done when it returns true. */
    sabot_status (*freeze)(struct state_table *table, struct sabot_error *err);
    bool (*copy)(struct state_table *table, int32_t n);
    void (*thaw)(struct state_table *table);
    /* Adopted tables only, where they have no freeze: *out: all rows in one flat batch of table->snapshot's schema (an
     * adopted list: of table->schema), copied at the barrier; NULL = no rows. */
    sabot_status (*snapshot)(struct state_table *table, struct batch **out, struct sabot_error *err);
    /* Of a log always, else while a restore fills a table with keys, instead of find_or_insert: rows at[0..n) of a
     * batch (with cached hashes, if it is no log), whose columns from first_column on are the table's. They are found
     * after index() only, which comes once. Where a key comes twice the last row counts. */
    sabot_status (*append)(struct state_table *table, int64_t namespace_, const struct batch *rows,
                           int32_t first_column, const int32_t *at, int32_t n, struct sabot_error *err);
    sabot_status (*index)(struct state_table *table, struct sabot_error *err);
    /* Multimaps and adopted tables only (NULL else): takes in rows at[0..n) of a snapshot, all of one namespace. */
    sabot_status (*restore)(struct state_table *table, int64_t namespace_, const struct batch *rows, const int32_t *at,
                            int32_t n, struct sabot_error *err);
};

extern const struct state_backend state_memory;

/* Makes a table of another kind (kv.c) part of the operator's state: in its snapshots, restored when this returns, and
 * closed with the tables. Its backend needs close, restore, and snapshot or else freeze, copy and thaw; for a list
 * (which finds what was restored in table->list) close and snapshot. Taken over on every path. */
sabot_status state_table_adopt(struct state_tables *tables, const struct state_spec *spec, struct state_table *table,
                               struct sabot_error *err);
const struct state_context *state_tables_context(const struct state_tables *tables);

/* multimap.c: sets what is its own, and table->backend. */
struct multimap_spec;
sabot_status state_multimap_make(const struct state_context *context, const struct multimap_spec *spec,
                                 struct state_table **out, struct sabot_error *err);

#endif
