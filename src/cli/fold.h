/* A changelog folded to the table that it ends in: rows as bytes (encoded lines, or numbers of kept rows), counted. */
#ifndef CLI_FOLD_H
#define CLI_FOLD_H

#include "base/text.h"
#include "sabot/error.h"

#include <stdbool.h>
#include <stdint.h>

struct fold; /* lines with how often they stand in the table */
struct fold *fold_new(void); /* NULL: no memory */
void fold_free(struct fold *fold); /* NULL is allowed */

struct fold_row {
    const char *key; /* what the row is known by: its key, or all of its text */
    size_t key_size;
    const char *row; /* what is kept of it; NULL: the key */
    size_t row_size;
    bool replaces; /* a row of this key replaces the one that was there, or takes it away; else rows are counted */
};
/* Adds (delta 1) or takes away (delta -1) a row. */
sabot_status fold_apply(struct fold *fold, const struct fold_row *row, int delta, struct sabot_error *err);
int64_t fold_rows(const struct fold *fold); /* different ones in the table */
/* Every row of the table in order of first arrival, and how often it is there; what was kept of it may be changed. */
sabot_status fold_each(const struct fold *fold,
                       sabot_status (*visit)(void *arg, char *row, size_t size, int64_t count, struct sabot_error *err),
                       void *arg, struct sabot_error *err);
/* Fails where more was taken away than given, which a right changelog never does. */
sabot_status fold_check(const struct fold *fold, struct sabot_error *err);
/* Appends the rows that are left, in order of their first arrival. */
sabot_status fold_finish(const struct fold *fold, struct text *target, int64_t *n_rows, struct sabot_error *err);

#endif
