/* An aggregation over state tables: groups by namespace (a pane) and key. What the window and the group operators
 * share. */
#ifndef OPS_AGGREGATE_AGGREGATOR_H
#define OPS_AGGREGATE_AGGREGATOR_H

#include "ops/aggregate/accumulate.h"

#define AGGREGATOR_KEYS_MAX 60 /* less than STATE_COLUMNS_MAX: there are cells too */

struct aggregator_options {
    const int32_t *keys; /* columns of `input` */
    int32_t n_keys;
    const struct aggregate_call *calls;
    int32_t n_calls;
    const struct schema *input; /* of raw rows */
    uint32_t flags;             /* ACCUMULATE_ */
    bool keeps_written;         /* the table has a BIGINT behind the cells: when a group was written, the caller's */
    int64_t written_ms;         /* and what it is for groups of a checkpoint that has none */
};

struct aggregator {
    struct memory_pool *pool;
    struct accumulators accumulators;
    int32_t keys[AGGREGATOR_KEYS_MAX]; /* columns of the batches that come */
    int32_t n_keys;
    bool takes_partials;
    int32_t partial_columns[CELLS_MAX]; /* per cell */
    struct schema *schema;      /* keys, cells */
    struct schema *stored;      /* of the table: the same, and "written" where it is kept */
    struct state_table *table;
    struct {
        struct schema *schema;  /* keys, value, flags; of a set that shares a table the first one's */
        struct state_table *table;
        int32_t home;           /* the first set of the same table */
        int32_t flag;           /* its BOOLEAN value column: which values are of this set; -1: all are */
    } sets[CELLS_MAX];
    int32_t *slots, *kept, *kept_slots; /* scratch, one per row */
    int32_t scratch_rows;
};

/* The name of a cell's state column, by what it takes: names[c], other than names[0..c). */
struct text;
sabot_status aggregator_cell_name(const struct accumulators *plan, int32_t c, const struct schema *input,
                                  struct text *names, struct sabot_error *err);
/* Opens the table `name` in `tables`, and those of DISTINCT values: one per column, where a value tells by a flag which
 * FILTERs let it in (name_values_x), or where it has but one set, or rows are taken back, one per set
 * (name_distinct_x_if_y). */
sabot_status aggregator_open(struct aggregator *aggregator, const struct aggregator_options *options,
                             struct state_tables *tables, const char *name, struct memory_pool *pool,
                             struct sabot_error *err);
void aggregator_clear(struct aggregator *aggregator); /* the tables stay with their owner */
/* From now on rows are partial results: keys from column first_key on, cells from first_cell on. */
void aggregator_take_partials(struct aggregator *aggregator, int32_t first_key, int32_t rows_column,
                              int32_t first_cell);

/* Makes batch->hashes those of the keys; *batch is replaced where it is shared with others or has constant columns. */
sabot_status aggregator_prepare(struct aggregator *aggregator, struct batch **batch, struct sabot_error *err);
/* Folds physical rows (NULL = 0..n-1) into their groups of a namespace. */
sabot_status aggregator_add(struct aggregator *aggregator, int64_t namespace_, const struct batch *batch,
                            const int32_t *rows, int32_t n, struct sabot_error *err);
/* The two halves of aggregator_add: aggregator->slots gets the group of each row; then the rows are folded into them.
 * */
sabot_status aggregator_find(struct aggregator *aggregator, int64_t namespace_, const struct batch *batch,
                             const int32_t *rows, int32_t n, struct sabot_error *err);
sabot_status aggregator_fold(struct aggregator *aggregator, int64_t namespace_, const struct batch *batch,
                             const int32_t *rows, int32_t n, struct sabot_error *err);
/* Behind aggregator_find: of the rows that a set takes, aggregator->kept gets the row, kept_slots its group, and
 * set_slots where its value stands in the set (new ones are made). */
sabot_status aggregator_set_find(struct aggregator *aggregator, int32_t s, int64_t namespace_,
                                 const struct batch *batch,
                                 const int32_t *rows, int32_t n, int32_t *kept, int32_t *set_slots,
                                 struct sabot_error *err);
/* Folds all groups of a namespace into those of another. */
sabot_status aggregator_merge(struct aggregator *aggregator, int64_t from, int64_t into, struct sabot_error *err);
/* Bytes of texts and lists that one batch of results may hold: more would be in memory together with what is made of
 * them. INT64_MAX: no limit, or no texts. */
int64_t aggregator_share(const struct aggregator *aggregator);
int64_t aggregator_text_bytes(struct aggregator *aggregator, int64_t namespace_, int32_t slot); /* of a group */
/* How many of the groups slots[0..n) (NULL: first..first+n) may be one batch of results. One at least. */
int32_t aggregator_rows_fit(struct aggregator *aggregator, int64_t namespace_, const int32_t *slots, int64_t first,
                            int32_t n);
/* Results of groups first..first+n: columns[0..n_keys + n_calls) with the types of `output`. */
sabot_status aggregator_results(struct aggregator *aggregator, int64_t namespace_, int64_t first, int32_t n,
                                const struct schema *output, struct column **columns, struct sabot_error *err);
void aggregator_drop(struct aggregator *aggregator, int64_t namespace_);
void aggregator_rename(struct aggregator *aggregator, int64_t from, int64_t to);

#endif
