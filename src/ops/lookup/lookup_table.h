/* The table of a lookup join: a bounded table read into memory as a multimap by key, one for each subtask. */
#ifndef OPS_LOOKUP_LOOKUP_TABLE_H
#define OPS_LOOKUP_LOOKUP_TABLE_H

#include "ops/specs.h"
#include "state/multimap.h"

struct lookup_table {
    const struct op_context *context; /* of the join */
    const struct lookup_options *options;
    struct source *reader; /* NULL: all is read */
    struct program *columns, *filter, *project; /* NULL: none */
    struct state_tables *tables; /* of its own: a table that can be read again is in no checkpoint */
    struct state_multimap *map;
    struct schema *schema; /* of the map: keys first; owned */
    int32_t *order;        /* column of the map -> of options->right */
    int32_t *places;       /* the way back */
    bool is_unique;        /* no key stands twice; known when all is read */
};

/* Begins to read. The table is the caller's on every path: lookup_table_clear. */
sabot_status lookup_table_open(struct lookup_table *table, const struct op_context *context,
                               const struct lookup_options *options, struct sabot_error *err);
/* Reads on, a few batches at most; never blocks. *again: there is more at once; else the task will be woken. All is
 * read when reader is NULL. */
sabot_status lookup_table_read(struct lookup_table *table, bool *again, struct sabot_error *err);
void lookup_table_clear(struct lookup_table *table);

#endif
