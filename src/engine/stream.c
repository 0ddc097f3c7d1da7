/* The C API: an Arrow stream as a table. */
#include "engine/engine.h"

#include <stdlib.h>

/* `event_time - INTERVAL delay` over the table's columns. */
static sabot_status watermark_expr(struct arena *arena, const struct plan_table *table, int64_t delay_ms,
                                   struct expr **out, struct sabot_error *err) {
    const struct source_span nowhere = {0};
    struct expr *column = NULL, *delay = NULL;
    SABOT_TRY(expr_column(arena, table->rowtime, table->columns[table->rowtime].type, nowhere, &column, err));
    SABOT_TRY(expr_literal(arena, type_not_null(type_of(TYPE_INTERVAL_DAY)), &delay_ms, nowhere, &delay, err));
    return expr_call(arena, "-", (struct expr *[]){column, delay}, 2, nowhere, out, err);
}

static sabot_status event_time_find(const struct schema *schema, const char *name, int32_t *out,
                                    struct sabot_error *err) {
    *out = -1;
    if (!name) { return SABOT_OK; }
    *out = schema_find(schema, name);
    if (*out < 0) { return SABOT_FAIL(err, SABOT_ERR_PLAN, "the stream has no column \"%s\" for event time", name); }
    const enum type_kind kind = schema->fields[*out].type.kind;
    if (kind == TYPE_TIMESTAMP || kind == TYPE_TIMESTAMP_LTZ) { return SABOT_OK; }
    char text[128];
    type_print(schema->fields[*out].type, text, sizeof text);
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "event time must be a timestamp, but \"%s\" is %s", name, text);
}

/* Nested fields are copied, so that the table outlives the stream's schema. */
static sabot_status type_copy(struct arena *arena, struct type from, struct type *out, struct sabot_error *err) {
    *out = from;
    if (from.n_fields == 0) { return SABOT_OK; }
    struct field *fields = arena_alloc(arena, sizeof *fields * (size_t)from.n_fields);
    if (!fields) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a schema"); }
    for (int32_t i = 0; i < from.n_fields; i++) {
        fields[i].name = arena_copy(arena, from.fields[i].name, strlen(from.fields[i].name));
        SABOT_TRY(type_copy(arena, from.fields[i].type, &fields[i].type, err));
    }
    out->fields = fields;
    return SABOT_OK;
}

static sabot_status table_fill(struct catalog_object *object, const char *name, const struct schema *schema,
                               const struct sabot_stream_options *options, struct sabot_error *err) {
    struct arena *arena = &object->arena;
    struct plan_table *table = &object->table;
    struct table_column *columns = arena_alloc(arena, sizeof *columns * (size_t)(schema->n_fields + 1));
    object->name = table->name = arena_copy(arena, name, strlen(name));
    table->full_name = arena_format(arena, CATALOG_NAME "." DATABASE_NAME ".%s", name);
    if (!columns || !table->name || !table->full_name) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for table \"%s\"", name);
    }
    for (int32_t i = 0; i < schema->n_fields; i++) {
        columns[i] = (struct table_column){.kind = TABLE_COLUMN_PHYSICAL,
                                           .name = arena_copy(arena, schema->fields[i].name,
                                                              strlen(schema->fields[i].name))};
        SABOT_TRY(type_copy(arena, schema->fields[i].type, &columns[i].type, err));
    }
    table->connector = connector_find("stream");
    table->columns = columns;
    table->n_columns = schema->n_fields;
    SABOT_TRY(event_time_find(schema, options->event_time, &table->rowtime, err));
    if (table->rowtime < 0) { return SABOT_OK; }
    table->watermark_text = arena_format(arena, "%s - INTERVAL '%lld' MILLISECOND", options->event_time,
                                         (long long)options->watermark_delay_ms);
    return watermark_expr(arena, table, options->watermark_delay_ms, &table->watermark, err);
}

sabot_status sabot_engine_register_stream(struct sabot_engine *engine, const char *table,
                                          struct ArrowArrayStream *stream, const struct sabot_stream_options *options,
                                          struct sabot_error *err) {
    struct sabot_stream_options given = {.size = sizeof given};
    struct stream_table *made = NULL;
    if (!stream || !stream->release) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "the stream is NULL or released");
    }
    SABOT_TRY(stream_table_new(stream, &made, err));
    sabot_status status = argument_given(engine, "engine", err);
    if (status == SABOT_OK) { status = argument_given(table, "the table's name", err); }
    if (status == SABOT_OK) {
        status = options_take(&given, sizeof given, options, options ? options->size : 0, "sabot_stream_options", err);
    }
    stream_table_set_blocking(made, !given.never_blocks);
    struct catalog_object *object = NULL;
    if (status == SABOT_OK) {
        object = catalog_object_new(CATALOG_TABLE);
        if (!object) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for table \"%s\"", table); }
    }
    if (!object) {
        stream_table_free(made);
        return status;
    }
    object->temporary = true;
    object->table.memory = made;
    object->owner = made;
    object->release = stream_table_free;
    status = table_fill(object, table, stream_table_schema(made), &given, err);
    if (status != SABOT_OK) {
        catalog_object_unref(object);
        return status;
    }
    return catalog_add(&engine->session->catalog, object, true, (struct sql_span){0}, err);
}
