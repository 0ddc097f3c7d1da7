/* Accumulators: what an aggregate keeps per group, as typed state columns, and the vectorised loops that fold rows into
 * them.
 *
 * A call is made of cells. AVG(x) is SUM(x) and COUNT(x); SUM, MIN and MAX of a column with NULLs (or with a FILTER)
 * also count what they took, because of nothing they are NULL. Calls share equal cells. A cell is one value column of a
 * state table, in the order of `cells`. */
#ifndef OPS_AGGREGATE_ACCUMULATE_H
#define OPS_AGGREGATE_ACCUMULATE_H

#include "ops/specs.h"
#include "state/state.h"

#define CELLS_MAX 48

enum cell_op {
    CELL_COUNT, CELL_SUM, CELL_MIN, CELL_MAX, CELL_FIRST, CELL_LAST,
    CELL_LIST, CELL_LIST_NULLS, /* list_cell.h: without NULLs, and with them */
    CELL_SET                    /* each different value once */
};
struct cell {
    enum cell_op op;
    int32_t argument; /* input column; -1 = rows are counted */
    int32_t filter;   /* BOOLEAN input column; -1 = none */
    int32_t set;      /* DISTINCT: which set of distinct values feeds it; -1 = all rows do */
    int32_t guard;    /* MIN, MAX of strings, FIRST, LAST: the COUNT cell that tells "none yet" */
    struct type from; /* of the argument */
    struct type type; /* of the state column */
};
/* DISTINCT values of one argument (under one filter). */
struct distinct_set {
    int32_t argument, filter;
};
struct accumulators {
    struct cell cells[CELLS_MAX];
    int32_t n_cells;
    struct distinct_set sets[CELLS_MAX];
    int32_t n_sets;
    struct {
        int32_t value; /* cell */
        int32_t count; /* cell; -1 = never NULL */
    } calls[CELLS_MAX];
    int32_t n_calls;
    const struct aggregate_call *specs;
    uint32_t flags; /* ACCUMULATE_ */
};

#define ACCUMULATE_ROWS 1u          /* cell 0 counts all rows: for partial results */
#define ACCUMULATE_MAY_BE_EMPTY 2u  /* there may be a group without rows */
#define ACCUMULATE_WRAP 4u          /* integer sums wrap instead of failing */
#define ACCUMULATE_RETRACTS 8u          /* rows may be taken back: MIN and MAX are fed by sets of values too */
#define ACCUMULATE_SET_CELLS 16u        /* DISTINCT values stand in a cell, which can be merged, not in a table */
sabot_status accumulators_plan(const struct aggregate_call *calls, int32_t n_calls, const struct schema *input,
                               uint32_t flags, struct accumulators *out, struct sabot_error *err);
/* Sets the cells of new slots first..end to what folding nothing gives. */
void accumulators_init(const struct accumulators *accumulators, struct state_table *table, int64_t namespace_,
                       int64_t first, int64_t end);
/* The cells' columns, for state_spec.defaults: what they are in rows of a checkpoint that was written before the query
 * had the call. Sums and counts begin with the rows to come; MIN and MAX are NULL until then, where they can be. A call
 * that would share a cell with one that was there, and so seem to have taken old rows, has no beginning; nor has any
 * where rows are taken back that it never took. */
struct accumulator_defaults {
    struct state_default columns[CELLS_MAX + 1]; /* one for a column behind the cells */
    _Alignas(16) char values[CELLS_MAX][16];
};
void accumulators_defaults(const struct accumulators *accumulators, struct accumulator_defaults *out);
/* Folds rows[i] of the batch (NULL = 0..n-1) into slots[i]. set -1: all cells that take every row; else those of a set.
 * partial_columns: NULL, or the column of `batch` that holds partial results of each cell, instead of raw rows. */
sabot_status accumulators_update(const struct accumulators *accumulators, int32_t set, struct state_table *table,
                                 int64_t namespace_, const struct batch *batch, const int32_t *partial_columns,
                                 const int32_t *rows, const int32_t *slots, int32_t n, struct sabot_error *err);
/* Takes rows back that were folded in: COUNT and SUM cells of the set; MIN and MAX are left as they are. */
sabot_status accumulators_retract(const struct accumulators *accumulators, int32_t set, struct state_table *table,
                                  int64_t namespace_, const struct batch *batch, const int32_t *rows,
                                  const int32_t *slots, int32_t n, struct sabot_error *err);
/* Cells that keep lists, of all rows: rows go in and out in their order (ACCUMULATE_RETRACTS: the two above leave
 * them). */
sabot_status accumulators_change_lists(const struct accumulators *accumulators, struct state_table *table,
                                       int64_t namespace_, const struct batch *batch, const int32_t *rows,
                                       const int32_t *slots, int32_t n, struct sabot_error *err);
/* MIN and MAX of a set anew: empties them at slots[], then folds values[i] into slots[i]. */
void accumulators_reset_extremes(const struct accumulators *accumulators, int32_t set, struct state_table *table,
                                 int64_t namespace_, const int32_t *slots, int32_t n);
sabot_status accumulators_refold_extremes(const struct accumulators *accumulators, int32_t set,
                                          struct state_table *table, int64_t namespace_, const struct column *values,
                                          const int32_t *slots, int32_t n, struct sabot_error *err);
/* Folds slots first..first+n of a namespace into slots[] of another; cells of DISTINCT sets are left out. */
sabot_status accumulators_merge(const struct accumulators *accumulators, struct state_table *table, int64_t from,
                                int64_t first, int32_t n, int64_t into, const int32_t *slots, struct sabot_error *err);
/* Result of a call: cells are columns first_cell.. of `rows` (as state_read gives them). */
sabot_status accumulators_result(const struct accumulators *accumulators, int32_t call, const struct batch *rows,
                                 int32_t first_cell, struct memory_pool *pool, struct type type, struct column **out,
                                 struct sabot_error *err);
/* Rows among rows[0..n) for which a cell or set takes part: argument not NULL, filter TRUE. Returns how many; kept and
 * kept_slots get them (slots may be NULL). */
int32_t rows_qualify(const struct batch *batch, int32_t argument, int32_t filter, const int32_t *rows,
                     const int32_t *slots, int32_t n, int32_t *kept, int32_t *kept_slots);

#endif
