/* Messages that are Arrow IPC streams: a schema, then record batches. One message is many rows, so that it is no
 * struct format_type's record. */
#ifndef FORMAT_ARROW_MESSAGE_H
#define FORMAT_ARROW_MESSAGE_H

#include "format/format.h"

struct arrow_message_reader;
/* For columns of context->table->schema; they go by name, as in files. */
sabot_status arrow_message_reader_new(const struct connector_context *context, struct arrow_message_reader **out,
                                      struct sabot_error *err);
void arrow_message_reader_free(struct arrow_message_reader *reader); /* NULL is allowed */
/* The rows of a message, at most BATCH_ROWS_MAX; metadata columns stay NULL. A message that can't be read is no
 * failure: *rows = 0, and `reason` (of DECODE_REASON_MAX, empty before) says why. */
sabot_status arrow_message_read(struct arrow_message_reader *reader, const void *data, size_t size,
                                struct column **columns, int32_t *rows, char *reason, struct sabot_error *err);

/* Appends a batch as a stream of its own. */
sabot_status arrow_message_write(struct memory_pool *pool, struct batch *batch, struct text *target,
                                 struct sabot_error *err);

#endif
