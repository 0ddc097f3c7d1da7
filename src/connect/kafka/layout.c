/* Divides the columns of a Kafka table among value, key and metadata. */
#include "connect/kafka/layout.h"

#include <stdlib.h>
#include <strings.h>

#include "connect/kafka/options.h"

enum kafka_metadata kafka_metadata_find(const char *key, struct type *type) {
    static const struct {
        const char *key;
        enum kafka_metadata metadata;
    } keys[] = {
        {"topic", KAFKA_TOPIC},
        {"partition", KAFKA_PARTITION},
        {"headers", KAFKA_HEADERS},
        {"leader-epoch", KAFKA_LEADER_EPOCH},
        {"offset", KAFKA_OFFSET},
        {"timestamp", KAFKA_TIMESTAMP},
        {"timestamp-type", KAFKA_TIMESTAMP_TYPE},
    };
    static const struct field header_fields[2] = {
        {"key", {.kind = TYPE_STRING, .length = TYPE_LENGTH_MAX}},
        {"value", {.kind = TYPE_BINARY, .length = TYPE_LENGTH_MAX, .nullable = true}},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].key, key) != 0) { continue; }
        if (!type) { return keys[i].metadata; }
        switch (keys[i].metadata) {
        case KAFKA_PARTITION: *type = type_not_null(type_of(TYPE_INT32)); break;
        case KAFKA_LEADER_EPOCH: *type = type_of(TYPE_INT32); break;
        case KAFKA_OFFSET: *type = type_not_null(type_of(TYPE_INT64)); break;
        case KAFKA_TIMESTAMP:
            *type = type_timestamp(3);
            type->kind = TYPE_TIMESTAMP_LTZ;
            *type = type_not_null(*type);
            break;
        case KAFKA_HEADERS:
            *type = type_not_null(type_of(TYPE_MAP));
            type->n_fields = 2;
            type->fields = header_fields;
            break;
        default: *type = type_not_null(type_of(TYPE_STRING)); break;
        }
        return keys[i].metadata;
    }
    return KAFKA_NONE;
}

/* Whether `name` is in a list such as "a;b". */
static bool list_has(const char *list, const char *name) {
    const size_t size = strlen(name);
    for (const char *at = list; at; at = strchr(at, ';')) {
        if (*at == ';') { at++; }
        if (strncmp(at, name, size) == 0 && (!at[size] || at[size] == ';')) { return true; }
    }
    return false;
}

/* The options of a part's format: those that begin with "key." or "value." without it, and for the value also those
 * that begin with the format's name. */
static sabot_status part_options(struct kafka_part *part, const struct connector_table *table, const char *prefix,
                                 bool bare, struct sabot_error *err) {
    part->options = calloc((size_t)table->n_options + 1, sizeof *part->options);
    if (!part->options) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for options"); }
    const size_t name_size = strlen(part->format->name), prefix_size = strlen(prefix);
    int32_t n = 0;
    for (int32_t i = 0; i < table->n_options; i++) {
        struct table_option option = table->options[i];
        const bool prefixed = strncmp(option.key, prefix, prefix_size) == 0;
        if (!prefixed && !bare) { continue; }
        if (prefixed) { option.key += prefix_size; }
        if (strncmp(option.key, part->format->name, name_size) == 0 && option.key[name_size] == '.') {
            part->options[n++] = option;
        } else if (prefixed && strcmp(option.key, "format") != 0 && strcmp(option.key, "fields") != 0 &&
                   strcmp(option.key, "fields-prefix") != 0 && strcmp(option.key, "fields-include") != 0) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\": there is no option '%s%s'; options of the format begin with '%s%s.'",
                              table->name, prefix, option.key, prefix, part->format->name);
        }
    }
    part->table.options = part->options;
    part->table.n_options = n;
    return options_check(&part->table, &part->format->options, 1, err);
}

static sabot_status part_format(struct kafka_part *part, const struct connector_table *table, const char *option,
                                const char *name, struct sabot_error *err) {
    part->format = format_find(name);
    const bool is_value = strcmp(option, "key.format") != 0;
    if (part->format && (part->format->decoder_new || (is_value && strcmp(name, "arrow") == 0))) { return SABOT_OK; }
    if (part->format) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option '%s': %s is no format of %s", table->name, option,
                          name, is_value ? "messages, only of files" : "keys");
    }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option '%s': there is no format '%s'", table->name, option,
                      name);
}

/* Which fields of `schema` belong to a part. */
struct chooser {
    const char *key_fields; /* "a;b" */
    bool key;               /* those of the key */
    bool value;             /* those of no key */
    const char *prefix;     /* to take off names */
};

/* A schema of the chosen fields; `columns` (may be NULL) gets their places. */
static sabot_status schema_choose(const struct schema *schema, const char *const *metadata,
                                  const struct chooser *choose, int32_t *columns, struct schema **out,
                                  struct sabot_error *err) {
    struct field *fields = calloc((size_t)schema->n_fields + 1, sizeof *fields);
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for a schema"); }
    const size_t prefix_size = strlen(choose->prefix);
    int32_t n = 0;
    for (int32_t i = 0; i < schema->n_fields; i++) {
        if (metadata && metadata[i]) { continue; }
        const bool in_key = choose->key_fields && list_has(choose->key_fields, schema->fields[i].name);
        if (in_key ? !choose->key : !choose->value) { continue; }
        if (columns) { columns[n] = i; }
        fields[n] = schema->fields[i];
        if (in_key && strncmp(fields[n].name, choose->prefix, prefix_size) == 0) { fields[n].name += prefix_size; }
        n++;
    }
    const sabot_status status = schema_new(fields, n, out, err);
    free(fields);
    return status;
}

static sabot_status part_init(struct kafka_part *part, const struct connector_context *context,
                              const struct chooser *choose, const char *prefix, bool bare, struct sabot_error *err) {
    const struct connector_table *table = context->table;
    part->table = (struct connector_table){.name = table->name};
    SABOT_TRY(part_options(part, table, prefix, bare, err));
    part->columns = calloc((size_t)table->schema->n_fields + 1, sizeof *part->columns);
    if (!part->columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for columns"); }
    SABOT_TRY(schema_choose(table->schema, table->metadata, choose, part->columns, &part->table.schema, err));
    SABOT_TRY(schema_choose(table->declared ? table->declared : table->schema,
                            table->declared ? NULL : table->metadata, choose, NULL, &part->table.declared, err));
    part->context = *context;
    part->context.table = &part->table;
    return SABOT_OK;
}

static sabot_status key_fields_check(const struct connector_table *table, const char *fields, const char *prefix,
                                     struct sabot_error *err) {
    const struct schema *schema = table->declared ? table->declared : table->schema;
    for (const char *at = fields; at; at = strchr(at, ';')) {
        if (*at == ';') { at++; }
        const size_t size = strcspn(at, ";");
        bool found = false;
        for (int32_t i = 0; i < schema->n_fields && !found; i++) {
            found = strlen(schema->fields[i].name) == size && strncmp(schema->fields[i].name, at, size) == 0;
        }
        if (!found) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'key.fields': there is no column '%.*s'",
                              table->name, (int)size, at);
        }
        if (strncmp(at, prefix, strlen(prefix)) != 0) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\", option 'key.fields': column '%.*s' does not begin with '%s', as "
                              "'key.fields-prefix' says",
                              table->name, (int)size, at, prefix);
        }
    }
    return SABOT_OK;
}

/* Whether a column declared as `type` can hold the metadata: integers and timestamps may be wider than need be. */
static bool metadata_fits(enum kafka_metadata metadata, struct type type) {
    switch (metadata) {
    case KAFKA_PARTITION:
    case KAFKA_LEADER_EPOCH: return type.kind == TYPE_INT32 || type.kind == TYPE_INT64;
    case KAFKA_OFFSET: return type.kind == TYPE_INT64;
    case KAFKA_TIMESTAMP: return type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ;
    case KAFKA_HEADERS:
        return type.kind == TYPE_MAP && type.fields[0].type.kind == TYPE_STRING &&
               (type.fields[1].type.kind == TYPE_BINARY || type.fields[1].type.kind == TYPE_STRING);
    default: return type.kind == TYPE_STRING;
    }
}

static sabot_status metadata_refuse(const struct connector_table *table, int32_t column, struct sabot_error *err) {
    struct type known;
    char given[128], expected[128];
    kafka_metadata_find(table->metadata[column], &known);
    type_print(table->schema->fields[column].type, given, sizeof given);
    type_print(known, expected, sizeof expected);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": column %s is %s, but the metadata '%s' is %s", table->name,
                      table->schema->fields[column].name, given, table->metadata[column], expected);
}

static sabot_status metadata_init(struct kafka_layout *layout, const struct connector_table *table,
                                  struct sabot_error *err) {
    layout->metadata = calloc((size_t)table->schema->n_fields + 1, sizeof *layout->metadata);
    if (!layout->metadata) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for columns"); }
    for (int32_t i = 0; table->metadata && i < table->schema->n_fields; i++) {
        if (!table->metadata[i]) { continue; }
        layout->metadata[i] = kafka_metadata_find(table->metadata[i], NULL);
        if (layout->metadata[i] == KAFKA_NONE) {
            return SABOT_FAIL(err, SABOT_ERR_PLAN,
                              "table \"%s\": there is no metadata '%s'; the kafka connector has topic, partition, "
                              "headers, leader-epoch, offset, timestamp and timestamp-type",
                              table->name, table->metadata[i]);
        }
        if (!metadata_fits(layout->metadata[i], table->schema->fields[i].type)) {
            return metadata_refuse(table, i, err);
        }
    }
    return SABOT_OK;
}

/* The primary key's columns as 'key.fields' would name them: "a;b". */
static sabot_status key_of_table(struct kafka_layout *layout, const struct connector_table *table,
                                 struct sabot_error *err) {
    if (table->n_primary_key == 0) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": 'upsert-kafka' needs PRIMARY KEY (...) NOT ENFORCED, the key of its messages",
                          table->name);
    }
    for (int32_t i = 0; i < table->n_primary_key; i++) {
        const char *name = table->schema->fields[table->primary_key[i]].name;
        text_format(&layout->key_names, "%s%s", i ? ";" : "", name);
    }
    return layout->key_names.failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "kafka: no memory for columns") : SABOT_OK;
}

static sabot_status layout_fill(struct kafka_layout *layout, const struct connector_context *context, bool reading,
                                struct sabot_error *err) {
    const struct connector_table *table = context->table;
    const char *value_format = option_text(table, kafka_options, "value.format");
    const char *value_option = value_format ? "value.format" : "format";
    if (!value_format) { value_format = option_text(table, kafka_options, "format"); }
    const char *key_format = option_text(table, kafka_options, "key.format");
    const char *key_fields = option_text(table, kafka_options, "key.fields");
    const char *prefix = option_text(table, kafka_options, "key.fields-prefix");
    layout->upsert = kafka_is_upsert(table);
    if (layout->upsert) {
        SABOT_TRY(key_of_table(layout, table, err));
        key_fields = text_string(&layout->key_names);
    }
    const bool value_has_key = strcasecmp(option_text(table, kafka_options, "value.fields-include"), "ALL") == 0;
    if (!value_format) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\": option 'format' is missing (format of the message value)",
                          table->name);
    }
    if (!key_format != !key_fields) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": 'key.format' and 'key.fields' belong together, '%s' is missing", table->name,
                          key_format ? "key.fields" : "key.format");
    }
    if (*prefix && value_has_key) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\": 'key.fields-prefix' needs 'value.fields-include' = 'EXCEPT_KEY'", table->name);
    }
    SABOT_TRY(metadata_init(layout, table, err));
    SABOT_TRY(part_format(&layout->value, table, value_option, value_format, err));
    const struct chooser of_value = {.key_fields = key_fields, .key = value_has_key && !(reading && layout->upsert),
                                     .value = true, .prefix = ""};
    SABOT_TRY(part_init(&layout->value, context, &of_value, "value.", true, err));
    layout->is_arrow = strcmp(layout->value.format->name, "arrow") == 0;
    if (layout->upsert && layout->is_arrow) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "table \"%s\", option 'value.format': a message in format 'arrow' is many rows, and "
                          "'upsert-kafka' needs one row for each key",
                          table->name);
    }
    if (!key_format) { return SABOT_OK; }
    SABOT_TRY(key_fields_check(table, key_fields, prefix, err));
    /* a deletion has its key in the key only */
    if (reading && value_has_key && !layout->upsert) { return SABOT_OK; }
    SABOT_TRY(part_format(&layout->key, table, "key.format", key_format, err));
    const struct chooser of_key = {.key_fields = key_fields, .key = true, .value = false, .prefix = prefix};
    return part_init(&layout->key, context, &of_key, "key.", false, err);
}

static void part_clear(struct kafka_part *part) {
    schema_unref(part->table.schema);
    schema_unref(part->table.declared);
    free(part->options);
    free(part->columns);
}

void kafka_layout_clear(struct kafka_layout *layout) {
    part_clear(&layout->value);
    part_clear(&layout->key);
    free(layout->metadata);
    text_clear(&layout->key_names);
    *layout = (struct kafka_layout){0};
}

sabot_status kafka_layout_init(struct kafka_layout *layout, const struct connector_context *context, bool reading,
                               struct sabot_error *err) {
    *layout = (struct kafka_layout){0};
    const sabot_status status = layout_fill(layout, context, reading, err);
    if (status != SABOT_OK) { kafka_layout_clear(layout); }
    return status;
}
