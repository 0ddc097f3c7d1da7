/* Small tables of text: the results of SHOW, DESCRIBE, SET and EXPLAIN. */
#ifndef SQL_ROWS_H
#define SQL_ROWS_H

#include "arrow/batch.h"
#include "base/arena.h"

#define ROWS_COLUMNS_MAX 8

struct rows {
    struct arena arena;
    const char *names[ROWS_COLUMNS_MAX];
    int32_t n_columns;
    const char **cells; /* row by row; NULL is SQL NULL */
    unsigned n_cells, capacity;
};

void rows_init(struct rows *rows, const char *const *names, int32_t n_columns);
/* One row; cells are copied. What can't be kept is reported by rows_finish. */
void rows_add(struct rows *rows, const char *const *cells);
/* All rows as a batch of STRING columns; frees the rest on every path. */
sabot_status rows_finish(struct rows *rows, struct memory_pool *pool, struct batch **out, struct sabot_error *err);
void rows_clear(struct rows *rows);

#endif
