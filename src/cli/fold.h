/* A changelog folded to the table that it ends in: rows as encoded lines, counted. */
#ifndef CLI_FOLD_H
#define CLI_FOLD_H

#include "base/text.h"
#include "sabot/error.h"

#include <stdint.h>

struct fold; /* lines with how often they stand in the table */
struct fold *fold_new(void); /* NULL: no memory */
void fold_free(struct fold *fold); /* NULL is allowed */

/* Adds (delta 1) or takes away (delta -1) a row. key: NULL where rows are known by all of their text; else a row of
 * this key replaces the one that was there (delta 1), or goes (delta -1). */
sabot_status fold_apply(struct fold *fold, const char *row, size_t row_size, const char *key, size_t key_size,
                        int delta, struct sabot_error *err);
/* Appends the rows that are left, in order of their first arrival. */
sabot_status fold_finish(const struct fold *fold, struct text *target, int64_t *n_rows, struct sabot_error *err);

#endif
