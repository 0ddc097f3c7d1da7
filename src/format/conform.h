/* Batches of a file that knows its own types, brought to the columns that a table declares: by name, with the
 * conversions that lose nothing or are checked. */
#ifndef FORMAT_CONFORM_H
#define FORMAT_CONFORM_H

#include "arrow/batch.h"

struct conform;
/* `metadata`: per column of `to` a key where it is no column of the file, or NULL. Columns that the file lacks are
 * NULL. Fails where a type can't become the other. */
sabot_status conform_new(const struct schema *from, const struct schema *to, const char *const *metadata,
                         struct conform **out, struct sabot_error *err);
void conform_free(struct conform *conform);
/* Which columns of `from` are needed, ascending in no order; returns how many. */
int32_t conform_needed(const struct conform *conform, uint32_t *columns);
/* Which fields of `from` are wanted, depth first, the fields of a ROW behind the ROW (those of ARRAY and MAP are not
 * counted);
 * returns how many flags that are. NULL only counts. Metadata columns do not matter: they are not needed. */
int32_t conform_fields(const struct conform *conform, bool *wanted);
/* `from` holds the needed columns in that order. Metadata columns stay NULL pointers. */
sabot_status conform_apply(const struct conform *conform, struct memory_pool *pool, const struct batch *from,
                           struct column **columns, struct sabot_error *err);

#endif
