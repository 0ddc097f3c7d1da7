/* Batches handed out as Arrow C Data: plain arrays that any Arrow library reads.
 *
 * STRING and BYTES become utf8 and binary with 32-bit offsets, BOOLEAN bits, DECIMAL decimal128, TIMESTAMP(p) by its
 * unit (s never), TIMESTAMP_LTZ with zone UTC, TIME time32[ms], intervals month and duration[ms], MAP map, ROW struct.
 * Numbers are shared, not copied: the exported array keeps the columns alive. */
#ifndef ARROW_EXPORT_H
#define ARROW_EXPORT_H

#include "arrow/batch.h"

struct ArrowSchema;
struct ArrowArray;
struct ArrowArrayStream;

/* As a struct type. *out is filled; the receiver releases it. */
sabot_status schema_export(const struct schema *schema, struct ArrowSchema *out, struct sabot_error *err);
/* As a struct array; the batch is flattened first. The caller keeps its reference. The pool must outlive the array. */
sabot_status batch_export(struct memory_pool *pool, struct batch *batch, struct ArrowArray *out,
                          struct sabot_error *err);

/* Where a stream's batches come from. next gives NULL at the end; close is called once, by the stream's release. */
struct batch_source {
    sabot_status (*next)(void *self, struct batch **out, struct sabot_error *err);
    void (*close)(void *self);
    void *self;
};
/* Takes over the source on every path. */
sabot_status stream_export(struct memory_pool *pool, struct schema *schema, struct batch_source source,
                           struct ArrowArrayStream *out, struct sabot_error *err);

#endif
