/* Several subtasks of one keyed operator: rows go to the subtask that owns their key's group, and a rescale takes the
 * state of all of them through a snapshot into another number of subtasks. What comes out is a changelog, applied to
 * a table. */
#ifndef TESTS_UTIL_FLEET_H
#define TESTS_UTIL_FLEET_H

#include "tests/util/op_harness.h"

#define FLEET_MAX 8
#define FLEET_TABLE_MAX 20000

struct fleet {
    struct memory_pool pool; /* for batches that come in */
    const struct op_type *type;
    const void *options;
    struct schema *input, *output;
    const int32_t *keys; /* of the input */
    int32_t n_keys;
    struct op_harness *members[FLEET_MAX];
    int32_t n_members;
    /* The table that the changelog makes: rows as text. */
    int32_t n_upsert_keys; /* leading columns that address a row; -1: -U and -D name the whole row */
    char *table[FLEET_TABLE_MAX];
    int32_t n_table;
    int32_t n_changes; /* rows that came out since the last fleet_apply */
};

void fleet_open(struct fleet *fleet, int32_t n_members);
void fleet_batch(struct fleet *fleet, struct batch *batch); /* takes over */
void fleet_apply(struct fleet *fleet);                      /* what came out, to the table; checks each change */
void fleet_rescale(struct fleet *fleet, int32_t n_members);
/* Ends the test unless the table holds exactly these rows. */
void fleet_expect(struct fleet *fleet, char **rows, int32_t n);
void fleet_close(struct fleet *fleet);

/* A changelog batch: `kinds` per row (enum row_kind), NULL = inserts. */
struct batch *test_changes(struct memory_pool *pool, struct schema *schema, struct column *const *columns,
                           int32_t n_columns, const uint8_t *kinds);

#endif
