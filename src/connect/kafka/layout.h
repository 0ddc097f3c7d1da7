/* Which columns of a Kafka table come from the value, from the key and from the message itself, and the formats that
 * decode or encode each part. A format sees a table of its own: just its columns, and its options without "key." or
 * "value.". */
#ifndef CONNECT_KAFKA_LAYOUT_H
#define CONNECT_KAFKA_LAYOUT_H

#include "format/format.h"

enum kafka_metadata {
    KAFKA_NONE,
    KAFKA_TOPIC,
    KAFKA_PARTITION,
    KAFKA_HEADERS,
    KAFKA_LEADER_EPOCH,
    KAFKA_OFFSET,
    KAFKA_TIMESTAMP,
    KAFKA_TIMESTAMP_TYPE,
};

/* The key of a metadata column, KAFKA_NONE if there is none of this name; its type where `type` is given. */
enum kafka_metadata kafka_metadata_find(const char *key, struct type *type);

/* The value or the key of the messages. */
struct kafka_part {
    const struct format_type *format; /* NULL: this part has none */
    struct connector_context context; /* with `table` */
    struct connector_table table;
    struct table_option *options;
    int32_t *columns; /* of the whole table, in the order of table.schema */
};

struct kafka_layout {
    struct kafka_part value, key;
    enum kafka_metadata *metadata; /* per column of the table */
    bool is_arrow;                 /* the value's format is 'arrow': a message is a batch of rows */
    struct text key_names;         /* of 'upsert-kafka' */
    bool upsert;                   /* 'upsert-kafka': the primary key is the key, and no value is a deletion */
};

/* `reading`: a key that the value repeats is not decoded. context must outlive the layout. */
sabot_status kafka_layout_init(struct kafka_layout *layout, const struct connector_context *context, bool reading,
                               struct sabot_error *err);
void kafka_layout_clear(struct kafka_layout *layout);

#endif
