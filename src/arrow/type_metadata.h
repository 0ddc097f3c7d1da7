/* What an Arrow type can't say of a SQL type travels as field metadata: TIMESTAMP(0), CHAR(3), VARCHAR(10). */
#ifndef ARROW_TYPE_METADATA_H
#define ARROW_TYPE_METADATA_H

#include "arrow/type.h"

struct ArrowSchema;
#define TYPE_METADATA_KEY "sabot.type" /* "<precision> <fixed 0|1> <length>" */

/* Refines `type` where the metadata is there and fits its storage; else leaves it. */
void type_metadata_read(const struct ArrowSchema *arrow, struct type *type);

#endif
