/* Rows as the text that COPY takes, and the statements that bring them into a table. */
#ifndef CONNECT_POSTGRES_ROWS_H
#define CONNECT_POSTGRES_ROWS_H

#include "base/text.h"
#include "connect/connector.h"

/* Appends the statements for rows of this table, a line each, so that they travel with the rows of an epoch. */
sabot_status pg_statements_add(const struct connector_table *table, const char *target, struct text *rows,
                               struct sabot_error *err);
/* Takes them off again. */
struct pg_statements {
    char *lines; /* freed by pg_statements_clear */
    const char *stage, *copy, *remove, *insert; /* `copy` alone where rows are only appended, else NULL is none */
    const char *data;
    size_t size;
};
sabot_status pg_statements_read(const char *rows, size_t size, struct pg_statements *out, struct sabot_error *err);
void pg_statements_clear(struct pg_statements *statements);

/* Appends the selected rows. `first` is the number of the first in its epoch: of several with one key the last
 * counts. */
sabot_status pg_rows_add(const struct connector_table *table, const struct batch *batch, int64_t first,
                         struct text *rows, struct sabot_error *err);

#endif
