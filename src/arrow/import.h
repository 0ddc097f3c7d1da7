/* Foreign Arrow data taken in: schemas, arrays and streams of the Arrow C Data interface become batches.
 *
 * Nothing that comes from outside is trusted: lengths, offsets, buffer and child counts are checked before use. Buffers
 * are shared where our layout is Arrow's (numbers, dates, the bytes of strings); bitmaps, booleans, offsets and string
 * views are made anew; dictionaries are decoded. Types that Sabot lacks: unsigned integers are widened (uint64 to
 * DECIMAL(20, 0)), half floats become FLOAT, seconds become milliseconds; unions, run-ends, list views and 256-bit
 * decimals are refused. */
#ifndef ARROW_IMPORT_H
#define ARROW_IMPORT_H

#include "arrow/batch.h"

struct ArrowSchema;
struct ArrowArray;
struct ArrowArrayStream;

/* The schema of a struct type. The caller keeps `arrow`. */
sabot_status schema_import(const struct ArrowSchema *arrow, struct schema **out, struct sabot_error *err);

struct importer;
/* For arrays of one schema, which the caller keeps. */
sabot_status importer_new(const struct ArrowSchema *arrow, struct importer **out, struct sabot_error *err);
/* Pulls its arrays from a stream, which is taken over on every path. */
sabot_status importer_of_stream(struct ArrowArrayStream *stream, struct importer **out, struct sabot_error *err);
struct schema *importer_schema(const struct importer *importer); /* borrowed */
/* The next array; taken over on every path. Allowed when importer_next has given NULL. */
sabot_status importer_put(struct importer *importer, struct ArrowArray *array, struct sabot_error *err);
/* The next at most rows_max (1..BATCH_ROWS_MAX) rows, or NULL: the array (or the stream) is at its end. */
sabot_status importer_next(struct importer *importer, struct memory_pool *pool, int32_t rows_max, struct batch **out,
                           struct sabot_error *err);
void importer_free(struct importer *importer); /* NULL is allowed */

#endif
